"""What may stand in the beam: phantoms by name, as maps of water and bone thickness on a sensor.

Rules of this file:

* A phantom is a function of the sensor (columns, rows, pixel pitch) and nothing else; its maps are cached by that.
* Thickness in centimetres, float32, shape (rows, columns); ``None`` where there is none of a material.
* Anatomy is drawn coarsely and enlarged; test objects are drawn at the sensor's own resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.world import phantom_chest, phantom_hand
from simulators.world.phantom_canvas import F32, LEAD, Canvas, enlarge
from simulators.world.physics_cache import cached

VERSION: Final = 3
"""Goes into cache keys: raise it when a phantom's drawing changes."""


@dataclass(frozen=True)
class Sensor:
    """Columns, rows and pixel pitch (mm) that a phantom is drawn for."""

    width: int
    height: int
    pitch_mm: float


@dataclass(frozen=True)
class Phantom:
    """How a phantom is made, and how it is usually exposed."""

    draw: Callable[[Sensor], tuple[F32 | None, F32 | None]]
    field_mm: tuple[float, float] | None = None
    """Collimated narrower than the world says: (width, height) at the detector."""
    grid: bool = False
    """An anti-scatter grid is used."""
    about: str = ""


@dataclass(frozen=True)
class Scene:
    """A phantom on a sensor, ready to be exposed."""

    name: str
    water: F32 | None
    bone: F32 | None
    field_mm: tuple[float, float] | None
    grid: bool


def _air(sensor: Sensor) -> tuple[F32 | None, F32 | None]:
    return None, None


def _flat(sensor: Sensor) -> tuple[F32 | None, F32 | None]:
    return np.full((sensor.height, sensor.width), np.float32(10.0)), None


def _anatomy(
    build: Callable[[Canvas], tuple[F32, F32]], step_mm: float, extent_mm: tuple[float, float]
) -> Callable[[Sensor], tuple[F32 | None, F32 | None]]:
    """Draw no larger than ``extent_mm`` (width, height) in the middle of the sensor, and no finer than its pixels."""

    def draw(sensor: Sensor) -> tuple[F32 | None, F32 | None]:
        pitch = sensor.pitch_mm
        columns = min(sensor.width, round(extent_mm[0] / pitch) // 2 * 2)
        rows = min(sensor.height, round(extent_mm[1] / pitch) // 2 * 2)
        canvas = Canvas(columns * pitch, rows * pitch, max(step_mm, pitch))
        top, left = (sensor.height - rows) // 2, (sensor.width - columns) // 2
        whole = []
        for part in build(canvas):
            filled = np.zeros((sensor.height, sensor.width), np.float32)
            filled[top : top + rows, left : left + columns] = enlarge(part, (rows, columns))
            whole.append(filled)
        return whole[0], whole[1]

    return draw


def _technical(sensor: Sensor) -> Canvas:
    return Canvas(sensor.width * sensor.pitch_mm, sensor.height * sensor.pitch_mm, sensor.pitch_mm)


def _step_wedge(sensor: Sensor) -> tuple[F32 | None, F32 | None]:
    """Eleven steps of 2 cm of water from left to right, a letter R and a small hole at the upper left."""
    c = _technical(sensor)
    size = min(sensor.width, sensor.height) * sensor.pitch_mm
    water = c.empty()
    half = 0.42 * size
    box = c.box(-half, -0.28 * size, half, 0.28 * size)
    _, x = c.grid(box)
    water[box] = (np.floor((x + half) / (2 * half) * 11).clip(0, 10) + 1).astype(np.float32) * 2
    bone = c.empty()
    c.letter_r(bone, (-0.38 * size, -0.38 * size), 0.06 * size, LEAD)
    bone[c.box(-0.02 * size, 0.33 * size, 0.0, 0.35 * size)] = LEAD
    return water, bone


def _line_pairs(sensor: Sensor) -> tuple[F32 | None, F32 | None]:
    """Groups of lead bars, 0.5 to 3.4 line pairs per mm, upright above and lying below; 2 cm of water around."""
    c = _technical(sensor)
    water = np.full(c.shape, np.float32(2.0))
    bone = c.empty()
    size = min(sensor.width, sensor.height) * sensor.pitch_mm
    groups = (0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.4, 2.8, 3.4)
    wide = 0.84 * size / len(groups)
    for number, pairs in enumerate(groups):
        left = -0.42 * size + number * wide
        for upright, top in ((True, -0.25 * size), (False, 0.05 * size)):
            box = c.box(left, top, left + 0.7 * wide, top + 0.16 * size)
            y, x = c.grid(box)
            phase = (x - left if upright else y - top) * np.float32(2 * pairs)
            bone[box] = np.where(np.floor(phase) % 2 == 0, np.float32(3.0), np.float32(0.0))
    c.letter_r(bone, (-0.38 * size, -0.38 * size), 0.06 * size, LEAD)
    return water, bone


def _contrast(sensor: Sensor) -> tuple[F32 | None, F32 | None]:
    """15 cm of water with a disc of 2 cm in the middle of a small field."""
    c = _technical(sensor)
    water = np.full(c.shape, np.float32(15.0))
    box, disc = c.ellipsoid((-12.0, -8.0), (18.0, 18.0), 2.0, power=0.05)
    water[box] += disc
    bone = c.empty()
    c.letter_r(bone, (-38.0, -38.0), 10.0, LEAD)
    return water, bone


PHANTOMS: Final[dict[str, Phantom]] = {
    "chest": Phantom(
        _anatomy(phantom_chest.build, 0.417, (460.0, 460.0)), grid=True, about="chest, postero-anterior"
    ),
    "hand": Phantom(
        _anatomy(phantom_hand.build, 0.21, (210.0, 300.0)),
        (200.0, 290.0),
        about="right hand, postero-anterior",
    ),
    "step_wedge": Phantom(_step_wedge, about="steps of 2 to 22 cm water"),
    "line_pairs": Phantom(_line_pairs, about="lead bars, 0.5 to 3.4 line pairs per mm"),
    "flat": Phantom(_flat, about="10 cm water everywhere"),
    "air": Phantom(_air, about="nothing in the beam"),
    "small_field": Phantom(_contrast, (100.0, 100.0), grid=True, about="a disc in a 10 cm field"),
}


def scene(name: str, sensor: Sensor, cache_dir: str | None = None) -> Scene:
    """A phantom on a sensor; raises :class:`KeyError` for an unknown name."""
    phantom = PHANTOMS[name]

    def make() -> dict[str, F32]:
        water, bone = phantom.draw(sensor)
        return {k: v for k, v in (("water", water), ("bone", bone)) if v is not None}

    maps = cached(cache_dir, ("phantom", VERSION, name, sensor.width, sensor.height, sensor.pitch_mm), make)
    return Scene(name, maps.get("water"), maps.get("bone"), phantom.field_mm, phantom.grid)
