"""Probes, and how their lines lie in a picture: millimetres to lines, millimetres to pixels.

Rules of this file:

* Space is seen from the middle of the probe's face: x to the right, z into the body, both in mm.
* A line is a number from 0 to 1 across the probe, a depth is mm from the face along that line.
* Pixels are square in space; the whole sector fits into the picture.  A pixel's value belongs to its centre.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
SOUND_MM_S: Final = 1_540_000.0
"""Speed of sound in tissue."""
MARGIN: Final = 8
"""Pixels around the sector."""


@dataclass(frozen=True)
class Probe:
    """``radius_mm`` 0 and ``width_mm`` make a linear probe; else an arc of ``angle_deg`` around a centre."""

    name: str
    radius_mm: float
    angle_deg: float
    width_mm: float
    frequency_hz: float
    depth_mm: float
    """Depth after it was plugged in."""
    min_depth_mm: float
    max_depth_mm: float

    @property
    def linear(self) -> bool:
        """Lines are parallel."""
        return self.angle_deg == 0

    @property
    def wavelength_mm(self) -> float:
        """In tissue."""
        return SOUND_MM_S / self.frequency_hz

    def space(self, line: Floats, depth: Floats) -> tuple[Floats, Floats]:
        """Line and depth to x and z."""
        if self.linear:
            return ((line - np.float32(0.5)) * np.float32(self.width_mm)), depth
        angle = (line - np.float32(0.5)) * np.float32(math.radians(self.angle_deg))
        r = depth + np.float32(self.radius_mm)
        return r * np.sin(angle), r * np.cos(angle) - np.float32(self.radius_mm)

    def polar(self, x: Any, z: Any) -> tuple[Any, Any]:
        """x and z (numbers or arrays) to line and depth."""
        if self.linear:
            return x / self.width_mm + 0.5, z
        line = np.arctan2(x, z + self.radius_mm) / math.radians(self.angle_deg) + 0.5
        return line, np.hypot(x, z + self.radius_mm) - self.radius_mm

    def extent(self, depth_mm: float) -> tuple[float, float, float, float]:
        """x0, z0, x1, z1 in mm of what is seen at a depth setting."""
        if self.linear:
            return -self.width_mm / 2, 0.0, self.width_mm / 2, depth_mm
        half = math.radians(self.angle_deg) / 2
        wide = (self.radius_mm + depth_mm) * math.sin(half)
        return -wide, self.radius_mm * (math.cos(half) - 1), wide, depth_mm


PROBES: Final[Mapping[str, Probe]] = {
    p.name: p
    for p in (
        Probe("C5-2", 60.0, 70.0, 0.0, 3.5e6, 160.0, 60.0, 240.0),
        Probe("L12-4", 0.0, 0.0, 38.0, 7.5e6, 60.0, 20.0, 80.0),
        Probe("P4-2", 12.0, 84.0, 0.0, 2.5e6, 160.0, 60.0, 240.0),
    )
}
"""Convex abdominal, linear small parts, phased-array-like cardiac."""


@dataclass(frozen=True)
class Region:
    """A calibrated rectangle of the picture (corners included) as PS3.3 C.8.5.5 wants to know it.

    ``kind`` is tissue, colour, motion or spectrum; a step of one pixel to the right is ``delta_x`` of ``unit_x``,
    one down ``delta_y`` of ``unit_y``.  ``reference`` is a place in pixels from the region's corner (x0, y0)
    with the value ``value`` in these units.
    """

    kind: str
    x0: int
    y0: int
    x1: int
    y1: int
    unit_x: str
    unit_y: str
    delta_x: float
    delta_y: float
    reference: tuple[float, float]
    value: tuple[float, float] = (0.0, 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kind": self.kind,
            "rectangle": [self.x0, self.y0, self.x1, self.y1],
            "units": [self.unit_x, self.unit_y],
            "delta": [self.delta_x, self.delta_y],
            "reference": list(self.reference),
            "value": list(self.value),
        }


@dataclass(frozen=True)
class Layout:
    """How a probe's field of view lies in a picture of ``width`` x ``height`` pixels."""

    probe: Probe
    depth_mm: float
    width: int
    height: int

    @property
    def spacing_mm(self) -> float:
        """mm per pixel, both ways."""
        x0, z0, x1, z1 = self.probe.extent(self.depth_mm)
        return max((x1 - x0) / (self.width - 2 * MARGIN), (z1 - z0) / (self.height - 2 * MARGIN))

    @property
    def origin(self) -> tuple[float, float]:
        """Pixel of the middle of the probe's face."""
        z0 = self.probe.extent(self.depth_mm)[1]
        return (self.width - 1) / 2, MARGIN - z0 / self.spacing_mm

    def pixel(self, x: float, z: float) -> tuple[float, float]:
        """mm to column and row."""
        u, v = self.origin
        return u + x / self.spacing_mm, v + z / self.spacing_mm

    def region(self) -> Region:
        """The rectangle around the sector."""
        x0, z0, x1, z1 = self.probe.extent(self.depth_mm)
        left, top = (math.floor(p) for p in self.pixel(x0, z0))
        right, bottom = (math.ceil(p) for p in self.pixel(x1, z1))
        left, top = max(0, left), max(0, top)
        right, bottom = min(self.width - 1, right), min(self.height - 1, bottom)
        u, v = self.origin
        step = self.spacing_mm
        return Region("tissue", left, top, right, bottom, "mm", "mm", step, step, (u - left, v - top))
