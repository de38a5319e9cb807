"""A chest, postero-anterior, patient's right on the left of the picture.

Rules of this file:

* Invented anatomy in millimetres: it is to look like a chest to a person and to be different left and right (heart,
  aortic arch, diaphragm, stomach bubble, the letter R), so that a flip is seen.
* Returns water-equivalent and bone thickness (cm) on the canvas.
"""

from __future__ import annotations

import numpy as np

from simulators.world.phantom_canvas import F32, LEAD, Canvas, Point, blur, curve

_HALF_WIDTH = (
    (-300, 58), (-225, 60), (-200, 74), (-182, 118), (-165, 168), (-140, 200), (-105, 210), (-70, 192),
    (-30, 180), (40, 174), (120, 168), (220, 172), (300, 178),
)  # fmt: skip
_DEPTH = ((-300, 11.0), (-210, 11.5), (-165, 13.5), (-100, 18.0), (-20, 20.5), (80, 21.0), (300, 21.5))
_RIGHT_LATERAL = (
    (-172, 42),
    (-160, 64),
    (-140, 88),
    (-105, 112),
    (-50, 131),
    (20, 142),
    (80, 147),
    (125, 148),
)
_RIGHT_MEDIAL = ((-172, 30), (-150, 20), (-100, 17), (-40, 18), (30, 20), (125, 26))
_LEFT_LATERAL = (
    (-172, 42),
    (-160, 63),
    (-140, 87),
    (-105, 111),
    (-50, 129),
    (20, 140),
    (80, 145),
    (130, 146),
)
_LEFT_MEDIAL = ((-172, 30), (-150, 21), (-100, 18), (-40, 18), (30, 20), (130, 26))
_RIGHT_DOME, _LEFT_DOME = (-84.0, 62.0), (90.0, 78.0)
_AIR = 0.76
"""Part of a lung that is air."""


def _lung(c: Canvas, side: int) -> F32:
    """Antero-posterior thickness (cm) of one lung; ``side`` -1 is the patient's right."""
    lateral, medial = (_RIGHT_LATERAL, _RIGHT_MEDIAL) if side < 0 else (_LEFT_LATERAL, _LEFT_MEDIAL)
    dome_x, dome_y = _RIGHT_DOME if side < 0 else _LEFT_DOME
    y = c.y[:, None]
    out = side * c.x[None, :]
    to_wall = curve(lateral, c.y)[:, None] - out
    to_middle = out - curve(medial, c.y)[:, None]
    beside = side * (c.x - dome_x)  # the dome falls steeply to the wall and hardly to the middle
    base = dome_y + np.where(beside > 0, 0.0145, 0.0042) * beside**2
    to_base = base[None, :] - y
    to_top = y + 172

    def rounded(d: F32, radius: float) -> F32:
        t = np.clip(d / np.float32(radius), 0, 1)
        return np.asarray(np.sqrt(t * (2 - t)), np.float32)

    shape = rounded(to_wall, 45) * rounded(to_middle, 26) * rounded(to_base, 30) * rounded(to_top, 40)
    depth = curve(((-172, 7.0), (-120, 11.5), (-40, 15.0), (40, 16.0), (130, 13.0)), c.y)[:, None]
    return (shape * depth).astype(np.float32)


def _vessels(c: Canvas, rng: np.random.Generator) -> F32:
    """Pulmonary vessels: two trees that branch and thin out."""
    water = c.empty()

    def grow(start: Point, heading: float, radius: float, length: float, depth: int) -> None:
        points = [start]
        bend = rng.normal(0, 0.12)
        for _ in range(5):
            heading += bend + rng.normal(0, 0.06)
            x, y = points[-1]
            points.append((x + length / 5 * np.cos(heading), y + length / 5 * np.sin(heading)))
        c.tube(water, points, (radius, radius * 0.72), scale=1.25)
        if depth == 0 or radius < 0.45:
            return
        for turn in (rng.uniform(0.2, 0.5), -rng.uniform(0.2, 0.5), rng.normal(0, 0.1)):
            if turn and rng.random() < 0.93:
                scale = rng.uniform(0.5, 0.68)
                grow(points[-1], heading + turn, radius * scale, length * rng.uniform(0.6, 0.85), depth - 1)
        if depth >= 2:
            grow(points[2], heading + rng.choice((-0.8, 0.8)), radius * 0.45, length * 0.6, depth - 2)

    right: Point = (-40.0, -32.0)
    left: Point = (44.0, -42.0)
    for degrees, radius in ((-118, 4.6), (-150, 3.6), (172, 4.2), (140, 5.4), (116, 6.2), (96, 4.2)):
        grow(right, np.radians(degrees), radius, 44, 4)
    for degrees, radius in ((-60, 4.6), (-28, 3.8), (6, 4.2), (36, 5.0), (60, 5.6), (80, 4.0)):
        grow(left, np.radians(degrees), radius, 42, 4)
    return water


def _rib_pair(c: Canvas, bone: F32, number: int, side: int, lateral: float) -> None:
    """One rib: behind from the spine outwards and down, around the wall, in front back to the middle."""
    top = -158.0 + 22.5 * number
    s = np.linspace(0, 1, 22)
    reach = lateral - 22
    fall = 14 + 2.4 * number
    back = [
        (side * (22 + reach * t), top - 9 * np.sin(np.pi * min(1.0, t * 1.6)) + fall * t**2.2 + 4 * t)
        for t in s
    ]
    turn_x, turn_y = back[-1]
    ends = 62 + 3 * abs(number - 5)
    front = [
        (
            turn_x - side * (lateral - ends) * t**1.15,
            turn_y + (16 + 3.2 * number) * np.sin(t * np.pi / 2) ** 1.1 + 8 * t,
        )
        for t in np.linspace(0, 1, 16)
    ]
    radius = 5.6 + 0.16 * number
    c.tube(bone, back, (radius * 0.9, radius, radius * 1.05), wall=(1.5, 1.3, 1.5), fill=0.22, flat=0.9)
    if number < 8:
        c.tube(bone, front, (radius, radius * 1.05, radius * 1.2), wall=(1.2, 0.9, 0.7), fill=0.18, flat=0.62)


def _spine(c: Canvas, bone: F32) -> None:
    c.tube(bone, [(0, -260), (0, 260)], (13, 21), scale=0.13)  # arches and ligaments run through
    y = -232.0
    for number in range(21):
        height = 15.5 + 0.55 * number
        width = 15 + 0.42 * number
        box = c.box(-width - 8, y, width + 8, y + height)
        yy, xx = c.grid(box)
        waist = width * (1 - 0.10 * np.sin(np.pi * (yy - y) / height))
        inside = np.clip((waist - np.abs(xx)) / 1.2, 0, 1)
        plates = np.exp(-(((yy - y) / 1.3) ** 2)) + np.exp(-(((yy - y - height) / 1.3) ** 2))
        body = 0.62 + 0.30 * plates + 0.28 * np.exp(-(((np.abs(xx) - waist + 1.5) / 1.4) ** 2))
        bone[box] += (inside * body).astype(np.float32)
        for x in (-1, 1):
            at, ring = c.ellipsoid((x * width * 0.62, y + height * 0.42), (3.6, 5.2), 0.42)
            bone[at] += ring
        at, process = c.ellipsoid((0.8, y + height * 1.02), (3.0, 6.5), 0.5)
        bone[at] += process
        if 3 <= number <= 15:
            for x in (-1, 1):
                c.tube(
                    bone,
                    [(x * width * 0.8, y + height * 0.35), (x * (width + 15), y + height * 0.12)],
                    (4.2, 3.2),
                    wall=(0.9,),
                    fill=0.2,
                    flat=0.7,
                )
        y += height + 4.2 + 0.12 * number


def _shoulder(c: Canvas, bone: F32, side: int) -> None:
    clavicle: list[Point] = [(19, -128), (45, -139), (80, -147), (112, -151), (140, -158), (160, -160)]
    c.tube(
        bone,
        [(side * x, y + (2 if side > 0 else 0)) for x, y in clavicle],
        (7.6, 5.2, 4.6, 5.0, 5.6),
        wall=(1.2, 1.9, 1.9, 1.6, 1.0),
        fill=0.25,
    )
    blade: list[Point] = [(124, -138), (121, -100), (126, -50), (137, 0), (150, -40), (160, -92), (160, -118)]
    box, d, _ = c.distance([(side * x, y) for x, y in [*blade, blade[0]]], 3.2)
    bone[box] += 0.42 * np.exp(-((d / 1.7) ** 2)).astype(np.float32)
    spine: list[Point] = [(126, -118), (150, -140), (172, -158)]
    c.tube(bone, [(side * x, y) for x, y in spine], (4.0, 4.6, 5.0), wall=(1.0,), fill=0.3, flat=0.8)
    box, head = c.ellipsoid((side * 182, -128), (23, 24), 1.5)
    bone[box] += head
    arm: list[Point] = [(side * 186, -112), (side * 199, -50), (side * 230, 300)]
    c.tube(bone, arm, (18, 11.5, 11, 11), wall=(1.4, 3.6, 3.8, 3.8), fill=0.12, flat=0.8)


def build(c: Canvas) -> tuple[F32, F32]:
    """Water and bone thickness (cm) of the chest."""
    rng = np.random.default_rng(4343)
    half = curve(_HALF_WIDTH, c.y)[:, None]
    u = np.clip(np.abs(c.x)[None, :] / half, 0, 1)
    water = (curve(_DEPTH, c.y)[:, None] * (1 - u**2.8) ** 0.55).astype(np.float32)
    for side in (-1, 1):  # upper arms
        c.tube(water, [(side * 188, -130), (side * 205, -40), (side * 232, 300)], (46, 42, 38), scale=0.75)

    lungs = _lung(c, -1) + _lung(c, 1)
    solid = c.empty()  # what stands in the lungs' place, cm
    for centre, axes, thick, angle in (
        ((26.0, 42.0), (73.0, 47.0), 11.5, 38.0),  # left ventricle
        ((-14.0, 34.0), (34.0, 50.0), 9.5, 8.0),  # right atrium
        ((14.0, -2.0), (38.0, 42.0), 9.0, 20.0),
        ((30.0, -84.0), (17.0, 17.0), 4.8, 0.0),  # aortic arch
        ((34.0, -52.0), (20.0, 16.0), 4.4, 0.0),  # pulmonary trunk
        ((62.0, 74.0), (30.0, 14.0), 3.0, 25.0),  # fat pad at the apex
    ):
        box, part = c.ellipsoid(centre, axes, thick, angle=angle, power=0.42)
        solid[box] = np.maximum(solid[box], part)
    c.tube(solid, [(30, -84), (25, -20), (20, 60), (12, 150)], (12, 11, 11, 11), scale=0.8)
    c.tube(solid, [(-22, -150), (-24, -90), (-26, -30)], (9, 10, 11), scale=0.7)
    solid += _vessels(c, rng)
    air = np.maximum(lungs * np.float32(_AIR) - solid, 0)
    texture = blur(rng.standard_normal(c.shape).astype(np.float32), 1.1 / c.step)
    air *= 1 + np.float32(0.022) / texture.std() * texture
    water -= air

    c.tube(water, [(1, -235), (-1, -150), (-3, -84)], (8.5, 8.5, 8.0), scale=-0.9)  # trachea
    c.tube(water, [(-3, -84), (-20, -62), (-38, -44)], (6.5, 6.0, 5.0), scale=-0.7)
    c.tube(water, [(-3, -84), (22, -64), (44, -52)], (6.0, 5.5, 4.5), scale=-0.7)
    for centre, axes, thick, angle in (
        ((62.0, 108.0), (34.0, 12.0), -5.5, -8.0),  # air under the left dome
        ((92.0, 150.0), (24.0, 14.0), -2.5, 30.0),
        ((40.0, 176.0), (18.0, 10.0), -1.8, 0.0),
        ((-86.0, 46.0), (52.0, 44.0), 1.5, 0.0),  # breasts
        ((90.0, 50.0), (52.0, 44.0), 1.5, 0.0),
    ):
        box, part = c.ellipsoid(centre, axes, thick, angle=angle)
        water[box] += part

    bone = c.empty()
    _spine(c, bone)
    bone *= np.float32(0.7)  # behind a heart and in front of a back it is hardly seen
    for number in range(11):
        at = np.asarray([-150.0 + 22.5 * number], np.float32)
        for side, wall in ((-1, _RIGHT_LATERAL), (1, _LEFT_LATERAL)):
            _rib_pair(c, bone, number, side, float(curve(wall, at)[0]) + 6 + 0.4 * number)
    for side in (-1, 1):
        _shoulder(c, bone, side)
    box, manubrium = c.ellipsoid((0.0, -118.0), (24.0, 20.0), 0.5, power=0.3)
    bone[box] += manubrium
    water, bone = blur(np.maximum(water, 0), 0.45 / c.step), blur(bone, 0.4 / c.step)
    c.letter_r(bone, (-176.0, -181.0), 15.0, LEAD)
    return np.maximum(water, 0), np.maximum(bone, 0)
