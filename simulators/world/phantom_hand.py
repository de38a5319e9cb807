"""A right hand, postero-anterior: thumb on the left of the picture.

Rules of this file:

* Invented anatomy in millimetres; long bones are hollow and widen at their ends, so that they look like bones.
* Returns water-equivalent and bone thickness (cm) on the canvas.
"""

from __future__ import annotations

import numpy as np

from simulators.world.phantom_canvas import F32, LEAD, Canvas, Point, blur

# (from, to, shaft radius, end radius): thumb to little finger, from the wrist to the tip
_BONES: tuple[tuple[Point, Point, float, float], ...] = (
    ((-36, 47), (-61, 14), 4.6, 7.4), ((-66, 7), (-79, -20), 4.2, 6.6), ((-82, -27), (-90, -46), 3.0, 5.4),
    ((-21, 38), (-30, -21), 4.4, 7.6), ((-32, -30), (-40, -67), 4.1, 6.8),
    ((-41, -74), (-46, -96), 3.4, 5.4), ((-47, -102), (-50, -116), 2.4, 4.0),
    ((-5, 35), (-6, -27), 4.4, 7.6), ((-6, -36), (-6, -79), 4.2, 6.9),
    ((-6, -86), (-6, -112), 3.5, 5.5), ((-6, -118), (-6, -134), 2.5, 4.1),
    ((9, 37), (16, -19), 3.9, 6.9), ((18, -28), (27, -67), 3.9, 6.5),
    ((29, -74), (34, -98), 3.3, 5.2), ((35, -104), (38, -119), 2.4, 3.9),
    ((21, 41), (35, -8), 3.8, 6.6), ((38, -16), (51, -46), 3.5, 5.7),
    ((53, -52), (60, -68), 2.9, 4.6), ((62, -73), (67, -86), 2.1, 3.5),
)  # fmt: skip
_CARPALS: tuple[tuple[Point, Point, float], ...] = (
    ((-20, 60), (11, 6.5), -35.0), ((-5, 64), (8, 7.5), 0.0), ((9, 61), (7.5, 6.5), 25.0), ((14, 56), (4.6, 4.2), 0.0),
    ((-31, 51), (7.5, 6.5), -25.0), ((-19, 46), (6, 5.5), 0.0), ((-4, 49), (7, 10.5), 0.0),
    ((10, 48), (7.5, 8.5), 12.0),
)  # fmt: skip
_FINGERS: tuple[tuple[tuple[Point, ...], tuple[float, ...]], ...] = (
    (((-40, 44), (-63, 10), (-80, -22), (-91, -50)), (17, 14, 11.5, 8.5)),
    (((-28, -8), (-31, -28), (-40, -70), (-46, -98), (-51, -119)), (13, 11.5, 10.5, 9.2, 7.2)),
    (((-6, -10), (-6, -36), (-6, -82), (-6, -114), (-6, -137)), (13, 11.8, 10.8, 9.4, 7.4)),
    (((15, -8), (18, -28), (28, -70), (34, -100), (39, -122)), (12.5, 11.2, 10.0, 8.8, 7.0)),
    (((33, 2), (38, -16), (52, -49), (61, -70), (68, -89)), (12, 10, 9.0, 7.8, 6.2)),
)


def build(c: Canvas) -> tuple[F32, F32]:
    """Water and bone thickness (cm) of the hand."""
    rng = np.random.default_rng(19)
    water = c.empty()
    part = c.empty()
    for points, radii in _FINGERS:
        part[:] = 0
        c.tube(part, points, radii, scale=0.85)
        np.maximum(water, part, out=water)
    part[:] = 0
    for points, radii in (
        (((-12, 52), (-22, 6), (-24, -8)), (30, 24, 17)),
        (((2, 56), (6, 6), (8, -4)), (31, 28, 20)),
        (((8, 52), (24, 14), (27, 2)), (28, 20, 15)),
        (((0, 60), (0, 90), (1, 300)), (31, 29, 33)),
    ):
        one = c.empty()
        c.tube(one, points, radii, scale=0.55)
        np.maximum(part, one, out=part)
    one = c.empty()
    c.tube(one, ((-26, 48), (-50, 20)), (21, 16), scale=0.75)
    np.maximum(part, one, out=part)
    np.maximum(water, blur(part, 2.5 / c.step), out=water)
    water = blur(water, 0.6 / c.step)

    bone = c.empty()
    for number, (root, top, shaft, end) in enumerate(_BONES):
        (ax, ay), (bx, by) = root, top
        tip = number in (2, 6, 10, 14, 18)
        length = float(np.hypot(bx - ax, by - ay))
        ux, uy = (bx - ax) / length, (by - ay) / length
        ax, ay = ax + 0.45 * end * ux, ay + 0.45 * end * uy  # the rounded ends reach so far beyond
        if not tip:
            bx, by = bx - 0.45 * end * ux, by - 0.45 * end * uy
        t = np.linspace(0, 1, 15)
        u = 2 * t - 1
        flare = np.where(u < 0, np.abs(u) ** 2.6, np.abs(u) ** 3.4 * (0.55 if tip else 0.9))
        thick = shaft + (end - shaft) * flare
        cortex = shaft * (0.16 + 0.36 * (1 - np.abs(2 * t - 1) ** 1.8))
        c.tube(
            bone,
            [(ax + (bx - ax) * f, ay + (by - ay) * f) for f in t],
            [float(r) for r in thick],
            wall=[float(w) for w in cortex],
            fill=0.42,
            scale=0.8,
        )
    for centre, axes, angle in _CARPALS:
        box, body = c.ellipsoid(centre, axes, 1.0, angle=angle, power=0.5)
        _, core = c.ellipsoid(centre, axes, 1.0, angle=angle, power=1.6)
        bone[box] += 0.95 * body - 0.35 * core
    for points, radii, wall in (
        (((-12, 87), (-13, 100), (-17, 300)), (15.5, 13.5, 9.5, 8.2, 7.8, 7.8), (0.9, 1.4, 3.0, 3.2, 3.2)),
        (((16, 84), (17, 96), (21, 300)), (7.8, 6.9, 6.3, 6.0, 6.0), (0.9, 1.6, 2.4, 2.6)),
    ):
        c.tube(bone, points, radii, wall=wall, fill=0.32, flat=0.48)
    for at in ((-54, 12), (-58, 8), (-36, -24)):  # sesamoids
        box, seed = c.ellipsoid((float(at[0]), float(at[1])), (2.4, 2.8), 0.45)
        bone[box] += seed
    web = blur(rng.standard_normal(c.shape).astype(np.float32), 0.35 / c.step)
    web -= blur(web, 1.2 / c.step)
    bone *= 1 + np.float32(0.075) / web.std() * web
    bone = blur(np.maximum(bone, 0), 0.12 / c.step)
    c.letter_r(bone, (70.0, -118.0), 13.0, LEAD)
    return np.maximum(water, 0), np.maximum(bone, 0)
