"""What the probe is put on: a block of tissue with pins at known depths, cysts, a lesion and a vessel with flow.

Rules of this file:

* Everything has its place in mm (x, z as in ``probe.py``), whatever probe looks at it.
* Scatterers are drawn from a seed for a probe and a depth, spread evenly over lines and samples, so that
  speckle is fully developed everywhere.  The same seed, probe and depth give the same scatterers.
* Tissue moves up and down with the heart beat; pins do not, so that a caliper has something to hold on to.
* Blood moves along the vessel; what a beam sees of it is the part along the beam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulators.ultrasound.probe import Floats, Probe

BEAT_S: Final = 0.8
"""One heart beat: 75 per minute.  Everything that moves repeats itself after it."""
SHIFT_MM: Final = 0.8
"""How far tissue moves at most."""
SHIFT_DEPTH_MM: Final = 90.0
SHIFT_WIDTH_MM: Final = 30.0

PINS: Final[tuple[tuple[float, float], ...]] = (
    *((0.0, float(z)) for z in range(20, 240, 20)),
    (-10.0, 30.0),
    (10.0, 30.0),
    (-40.0, 80.0),
    (-20.0, 80.0),
    (20.0, 80.0),
    (40.0, 80.0),
)
"""x and z in mm: a column in the middle each 20 mm, a pair 20 mm apart at 30 mm, four in a row at 80 mm."""
PIN_DB: Final = 32.0
"""Above the mean of speckle."""


@dataclass(frozen=True)
class Disc:
    """A round inclusion; ``amplitude`` multiplies that of the tissue around it."""

    x: float
    z: float
    radius: float
    amplitude: float


CYSTS: Final = (Disc(-12.0, 50.0, 7.0, 0.01), Disc(-28.0, 112.0, 12.0, 0.01))
LESION: Final = Disc(25.0, 105.0, 10.0, 3.0)


@dataclass(frozen=True)
class Vessel:
    """A tube from ``x, z`` both ways along a direction that goes down to the right."""

    x: float = 12.0
    z: float = 52.0
    radius: float = 4.5
    half_length: float = 12.0
    slope_deg: float = 30.0
    peak_mm_s: float = 600.0
    """Fastest flow, in the middle at systole."""
    amplitude: float = 0.08

    @property
    def direction(self) -> tuple[float, float]:
        """Unit vector of the flow."""
        slope = math.radians(self.slope_deg)
        return math.cos(slope), math.sin(slope)

    def profile(self, x: Floats, z: Floats) -> Floats:
        """Share of the fastest flow (parabolic), 0 outside."""
        u, w = self.direction
        dx, dz = x - np.float32(self.x), z - np.float32(self.z)
        along = dx * np.float32(u) + dz * np.float32(w)
        across = dx * np.float32(w) - dz * np.float32(u)
        share = 1 - (across / np.float32(self.radius)) ** 2
        share[(share < 0) | (np.abs(along) > self.half_length)] = 0
        return share.astype(np.float32)


VESSEL: Final = Vessel()


def speed(t: float | npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Share of the peak speed at a time in s: 0.3 in diastole, 1 in systole."""
    beat: npt.NDArray[np.float64] = 0.3 + 0.7 * np.sin(np.pi * np.asarray(t, np.float64) / BEAT_S) ** 6
    return beat


@cache
def _travel_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    t = np.linspace(0.0, BEAT_S, 2049)
    v = speed(t)
    return t, np.concatenate(([0.0], np.cumsum((v[1:] + v[:-1]) / 2 * np.diff(t))))


def travel(t: float | npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Integral of :func:`speed` from 0 to t, in s."""
    times, table = _travel_table()
    beats, rest = np.divmod(np.asarray(t, np.float64), BEAT_S)
    gone: npt.NDArray[np.float64] = beats * table[-1] + np.interp(rest, times, table)
    return gone


def shift(t: float) -> float:
    """How far tissue at the middle of the movement has moved at a time, in mm."""
    return SHIFT_MM * math.sin(2 * math.pi * t / BEAT_S)


@dataclass(frozen=True)
class Scatterers:
    """Points that echo, as arrays of one length."""

    line: Floats
    """0 to 1."""
    depth: Floats
    """mm."""
    amplitude: Floats
    moves: Floats
    """Share of :func:`shift` that moves this point, away from the probe."""
    flow: Floats
    """mm/s away from the probe at peak flow; 0 in tissue."""
    blood: npt.NDArray[np.bool_]


def scatterers(probe: Probe, depth_mm: float, seed: int, count: int) -> Scatterers:
    """What a probe sees at a depth setting."""
    rng = np.random.default_rng((seed, round(depth_mm * 10), *probe.name.encode()))
    line = rng.random(count, np.float32)
    depth = rng.random(count, np.float32) * np.float32(depth_mm)
    amplitude = np.ones(count, np.float32)  # their phases are as good as random
    x, z = probe.space(line, depth)
    for disc in (*CYSTS, LESION):
        inside = (x - np.float32(disc.x)) ** 2 + (z - np.float32(disc.z)) ** 2 < disc.radius**2
        amplitude[inside] *= np.float32(disc.amplitude)
    share = VESSEL.profile(x, z)
    blood = share > 0
    amplitude[blood] *= np.float32(VESSEL.amplitude)
    u, w = VESSEL.direction
    if probe.linear:
        along = np.full(count, w, np.float32)
    else:
        angle = (line - np.float32(0.5)) * np.float32(math.radians(probe.angle_deg))
        along = (np.sin(angle) * u + np.cos(angle) * w).astype(np.float32)
    moves = np.exp(-(((depth - np.float32(SHIFT_DEPTH_MM)) / np.float32(SHIFT_WIDTH_MM)) ** 2))
    moves[blood] = 0
    flow = share * along * np.float32(VESSEL.peak_mm_s)
    return Scatterers(line, depth, amplitude, moves.astype(np.float32), flow.astype(np.float32), blood)
