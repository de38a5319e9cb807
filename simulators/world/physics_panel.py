"""One flat panel's individuality: gain and offset of every pixel, dead and hot pixels, lines and clusters.

Rules of this file:

* Everything follows from sensor size, ADC bits and seed; the maps are cached by exactly that.
* Dead is gain 0, stuck is an offset beyond the ADC: so no pixel needs a special case when a frame is made.
* These maps are the truth; what a factory would measure is made from frames (``simulators.detector.calibration``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.world.phantom import Sensor
from simulators.world.phantom_canvas import F32
from simulators.world.physics_cache import cached

VERSION: Final = 1
BANK: Final = 1 << 24
"""Samples of the noise bank: as many as pixels of a 4096 x 4096 frame."""
STUCK: Final = 1e6


@dataclass(frozen=True)
class Panel:
    """A panel's maps, shape (rows, columns), and its constants."""

    sensor: Sensor
    bits: int
    seed: int
    full_scale_ugy: float
    gain: F32
    offset: F32
    bank: F32
    """Standard normal noise, one dimension."""

    @property
    def counts_per_ugy(self) -> float:
        """ADC counts per µGy of air kerma at the detector."""
        return float((1 << self.bits) - 1) / self.full_scale_ugy

    @property
    def unit(self) -> float:
        """Counts that correspond to one count of a 14 bit ADC."""
        return float(1 << (self.bits - 14))


def panel(
    sensor: Sensor, bits: int, seed: int, full_scale_ugy: float = 60.0, cache_dir: str | None = None
) -> Panel:
    """The panel with this seed."""
    key = ("panel", VERSION, sensor.width, sensor.height, bits, seed)
    maps = cached(cache_dir, key, lambda: _draw(sensor, bits, seed))
    bank = cached(cache_dir, ("noise", VERSION, BANK), _bank)
    return Panel(sensor, bits, seed, full_scale_ugy, maps["gain"], maps["offset"], bank["bank"])


def _bank() -> dict[str, F32]:
    return {"bank": np.random.default_rng(20_000).standard_normal(BANK, np.float32)}


def _draw(sensor: Sensor, bits: int, seed: int) -> dict[str, F32]:
    rng = np.random.default_rng((seed, 77))
    h, w = sensor.height, sensor.width
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, w, dtype=np.float32)[None, :]
    a, b, c = rng.uniform(-0.03, 0.03, 3).astype(np.float32)
    gain = 1 - np.float32(0.05) * (x * x + y * y) + a * x + b * y + c * x * y  # scintillator
    chip = np.repeat(rng.normal(0, 0.006, -(-w // 256)).astype(np.float32), 256)[:w]  # read-out chips
    gain = gain * (1 + chip + rng.normal(0, 0.003, w).astype(np.float32))[None, :]
    gain *= 1 + np.float32(0.008) * rng.standard_normal((h, w), np.float32)

    unit = np.float32(1 << (bits - 14))
    columns = np.repeat(rng.normal(0, 9, -(-w // 256)).astype(np.float32), 256)[:w] + rng.normal(0, 4, w)
    offset = (190 + columns.astype(np.float32)[None, :] + 6 * y) * unit
    offset = offset + (3 * unit) * rng.standard_normal((h, w), np.float32)
    _spoil(rng, gain, offset)
    return {
        "gain": np.ascontiguousarray(gain, np.float32),
        "offset": np.ascontiguousarray(offset, np.float32),
    }


def _spoil(rng: np.random.Generator, gain: F32, offset: F32) -> None:
    """Defects, in numbers as of an ordinary panel: 40 pixels per million, a few clusters, three lines."""
    h, w = gain.shape
    count = max(6, h * w // 25_000)
    for share, what in ((0.5, "dead"), (0.25, "stuck"), (0.25, "weak")):
        n = max(1, int(count * share))
        at = rng.integers(0, h, n), rng.integers(0, w, n)
        if what == "stuck":
            offset[at] = STUCK
        else:
            gain[at] *= np.float32(0.0 if what == "dead" else 0.35)
    for _ in range(max(2, count // 60)):
        top, left = int(rng.integers(2, h - 6)), int(rng.integers(2, w - 6))
        gain[top : top + int(rng.integers(2, 5)), left : left + int(rng.integers(2, 5))] = 0
    gain[:, int(rng.integers(w // 8, w - w // 8))] = 0  # a data line
    row = int(rng.integers(h // 8, h - h // 8))
    gain[row, : int(rng.integers(w // 4, w // 2))] = 0  # a broken gate line
    offset[: h // 3, int(rng.integers(w // 8, w - w // 8))] = STUCK
