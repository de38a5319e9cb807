"""From photons to counts: what a panel reads out when beams went through a phantom onto it.

Rules of this file:

* Air kerma without an object comes from the world (:func:`simulators.world.bus.air_kerma_ugy`); then Beer-Lambert
  through water and bone with attenuation that falls with kVp, heel effect, collimator, scatter (with or without
  grid), quantum noise, electronic noise, gain, offset, defects, ADC.
* Reproducible: (panel, scene, beams, shot number, region, integration) decide every byte.  Time, threads and
  temperature do not.
* float32, in place, in bands of rows that stay in the processor's cache; two threads.
* Units: cm, mm, µGy at the detector, detected quanta per pixel, ADC counts.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.world.bus import Beam, air_kerma_ugy
from simulators.world.phantom import Scene
from simulators.world.phantom_canvas import F32
from simulators.world.physics_panel import Panel

QUANTA_PER_MM2_UGY: Final = 30_000.0
"""Photons per mm² and µGy, about those of beam quality RQA5."""
DQE: Final = 0.65
ELECTRONIC_14: Final = 2.5
"""Electronic noise in counts of a 14 bit ADC."""
ROW_14: Final = 0.6
"""Noise common to a row."""
DARK_14_PER_S: Final = 3.0
"""Dark current in counts of a 14 bit ADC per second of integration."""
LEAK: Final = 0.003
"""What the collimator lets through."""
SCATTER_PER_CM: Final = 0.16
"""Scatter-to-primary ratio per cm of water."""
SCATTER_MM: Final = 22.0
GRID_PRIMARY: Final = 0.70
GRID_SCATTER: Final = 0.12
COARSE: Final = 16
"""Scatter is computed on blocks of so many pixels."""
BAND: Final = 32
"""Rows that are worked on at once."""

Region = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


def attenuation(kvp: float) -> tuple[float, float]:
    """Effective attenuation (1/cm) of water and bone at a tube voltage."""
    return 0.205 * (70 / kvp) ** 0.45, 0.60 * (70 / kvp) ** 1.1


@dataclass(frozen=True)
class Picture:
    """What is known about a frame: the charge that made it, and the photons detected."""

    kvp: float | None
    mas: float
    kerma_ugy: float
    """Air kerma at the detector without an object."""
    photons: int
    phantom: str | None

    def facts(self) -> dict[str, float | int | str | None]:
        """As fields of an event."""
        return {
            "kvp": self.kvp,
            "mas": round(self.mas, 9),
            "kerma_ugy": round(self.kerma_ugy, 6),
            "photons": self.photons,
            "phantom": self.phantom,
        }


@dataclass(frozen=True)
class _Primary:
    """One beam's way to the detector, without noise."""

    water: F32 | None
    bone: F32 | None
    mu_water: np.float32
    mu_bone: np.float32
    rows: F32
    """Kerma (µGy) along y: output, heel and collimator."""
    columns: F32
    """Collimator along x."""

    def fill(self, out: F32, rows: slice, columns: slice, scratch: F32) -> None:
        """Primary kerma of a band into ``out``."""
        if self.water is None:
            out[:] = 1
        else:
            np.multiply(self.water[rows, columns], -self.mu_water, out=out)
            if self.bone is not None:
                np.multiply(self.bone[rows, columns], self.mu_bone, out=scratch)
                out -= scratch
            np.exp(out, out=out)
        out *= self.rows[rows, None]
        out *= self.columns[columns]


def _edges(n: int, pitch: float, field_mm: float) -> F32:
    """Collimator along one axis: 1 inside, LEAK outside, a penumbra of 1 mm."""
    at = np.abs((np.arange(n, dtype=np.float32) + 0.5 - n / 2) * pitch)
    inside = np.clip((field_mm / 2 - at) / 1.0 + 0.5, 0, 1)
    return np.asarray(LEAK + (1 - LEAK) * inside, np.float32)


def _opening(scene: Scene, beam: Beam) -> tuple[float, float]:
    """The collimated field (mm): the world's, or the phantom's own if that is narrower."""
    if scene.field_mm is None:
        return beam.field_mm
    return min(beam.field_mm[0], scene.field_mm[0]), min(beam.field_mm[1], scene.field_mm[1])


def _primary(panel: Panel, scene: Scene, beam: Beam) -> _Primary:
    s = panel.sensor
    field = _opening(scene, beam)
    heel = 1 - np.float32(0.08) * np.linspace(-0.5, 0.5, s.height, dtype=np.float32)
    kerma = air_kerma_ugy(beam.kvp, beam.mas, beam.sid_mm) * (GRID_PRIMARY if scene.grid else 1.0)
    water, bone = attenuation(beam.kvp)
    return _Primary(
        scene.water,
        scene.bone,
        np.float32(water),
        np.float32(bone),
        (heel * _edges(s.height, s.pitch_mm, field[1]) * np.float32(kerma)).astype(np.float32),
        _edges(s.width, s.pitch_mm, field[0]),
    )


@cache
def _spread(n: int, sigma: float) -> F32:
    """Gaussian blur of n samples as a matrix."""
    at = np.arange(n, dtype=np.float32)
    k = np.exp(-0.5 * ((at[:, None] - at[None, :]) / sigma) ** 2)
    return np.asarray(k / (sigma * np.sqrt(2 * np.pi)), np.float32)


def _coarse(a: F32) -> F32:
    """Every 16th block's middle: four samples of each block, averaged."""
    q = COARSE // 4
    parts = [a[y::COARSE, x::COARSE] for y in (q, 3 * q) for x in (q, 3 * q)]
    return np.asarray(sum(parts) / np.float32(4), np.float32)


def _scatter(panel: Panel, scene: Scene, one: _Primary) -> tuple[F32 | None, F32]:
    """Scattered and primary kerma (µGy) on blocks; None without an object."""
    rows, columns = _coarse_axis(one.rows), _coarse_axis(one.columns)
    if scene.water is None:
        return None, rows[:, None] * columns
    water = _coarse(scene.water)
    depth = water * -one.mu_water
    if scene.bone is not None:
        depth -= _coarse(scene.bone) * one.mu_bone
    primary = np.exp(depth) * rows[:, None] * columns
    sigma = SCATTER_MM / (COARSE * panel.sensor.pitch_mm)
    share = SCATTER_PER_CM * (GRID_SCATTER / GRID_PRIMARY if scene.grid else 1.0)
    source = primary * water * np.float32(share)
    blurred = _spread(source.shape[0], sigma) @ source @ _spread(source.shape[1], sigma)
    return blurred.astype(np.float32), primary


def _coarse_axis(a: F32) -> F32:
    return np.asarray(a.reshape(-1, COARSE).mean(1), np.float32)


def _between(n: int, coarse: int) -> tuple[npt.NDArray[np.intp], F32]:
    """For each of n samples the lower coarse neighbour and how far it is to the next."""
    at = np.clip((np.arange(n) + 0.5) / COARSE - 0.5, 0, coarse - 1.001)
    low = np.floor(at).astype(np.intp)
    return low, (at - low).astype(np.float32)


@dataclass(frozen=True)
class _Field:
    """Noise-free kerma on the detector."""

    primaries: tuple[_Primary, ...]
    columns: F32 | None
    """Scatter, coarse in y, fine in x."""
    low: npt.NDArray[np.intp]
    part: F32
    mean_kerma: float

    def fill(self, out: F32, rows: slice, columns: slice, scratch: F32) -> None:
        """Total kerma (µGy) of a band into ``out``."""
        self.primaries[0].fill(out, rows, columns, scratch)
        for one in self.primaries[1:]:
            more = np.empty_like(out)
            one.fill(more, rows, columns, scratch)
            out += more
        if self.columns is None:
            return
        low, part = self.low[rows], self.part[rows, None]
        first = int(low[0])
        edge = self.columns[first : int(low[-1]) + 2, columns]
        step = np.diff(edge, axis=0)
        cuts = np.searchsorted(low, np.arange(first, first + len(step) + 1))
        for i, (a, b) in enumerate(itertools.pairwise(cuts)):
            if b > a:
                np.multiply(part[a:b], step[i], out=scratch[a:b])
                scratch[a:b] += edge[i]
        out += scratch


def _field(panel: Panel, scenes: Sequence[Scene], beams: Sequence[Beam]) -> _Field | None:
    primaries = []
    total: F32 | None = None
    mean = 0.0
    for scene, beam in zip(scenes, beams, strict=True):
        one = _primary(panel, scene, beam)
        primaries.append(one)
        blurred, primary = _scatter(panel, scene, one)
        mean += float(primary.mean())
        if blurred is not None:
            mean += float(blurred.mean())
            total = blurred if total is None else total + blurred
    if not primaries:
        return None
    s = panel.sensor
    low, part = _between(s.height, s.height // COARSE)
    fine = None
    if total is not None:
        x_low, x_part = _between(s.width, s.width // COARSE)
        fine = (total[:, x_low] * (1 - x_part) + total[:, x_low + 1] * x_part).astype(np.float32)
    return _Field(tuple(primaries), fine, low, part, mean)


def expose(
    panel: Panel,
    scenes: Sequence[Scene],
    beams: Sequence[Beam],
    *,
    shot: int,
    region: Region,
    bits: int,
    integration_s: float,
    out: npt.NDArray[np.uint16],
) -> Picture:
    """Read a frame into ``out`` (rows, columns of the region); one scene per beam, no beam: a dark frame.

    ``bits`` limits the counts (a 14 bit pixel format clips a 16 bit ADC's counts; it does not scale them).
    """
    x, y, width, height = region
    field = _field(panel, scenes, beams)
    rng = np.random.default_rng((panel.seed, shot))
    starts = rng.integers(0, len(panel.bank), 2)
    lines = rng.normal(0, ROW_14 * panel.unit, height).astype(np.float32)
    top = np.float32((1 << min(bits, panel.bits)) - 1)
    quanta = QUANTA_PER_MM2_UGY * panel.sensor.pitch_mm**2 * DQE  # per pixel and µGy
    counts = np.float32(panel.counts_per_ugy)
    per_quantum = np.float32(panel.counts_per_ugy / quanta)
    electronic = np.float32(ELECTRONIC_14 * panel.unit)
    # Half a count is added so that the cast to integers rounds.
    base = np.float32(DARK_14_PER_S * panel.unit * integration_s + 0.5)
    lines += base
    columns = slice(x, x + width)

    def band(first: int, signal: F32, noise: F32, scratch: F32) -> None:
        n = min(BAND, height - first)
        s, z, t = signal[:n], noise[:n], scratch[:n]
        rows = slice(y + first, y + first + n)
        _take(panel.bank, int(starts[0]) + first * width, z)
        if field is None:
            z *= electronic
            s[:] = z
        else:
            field.fill(s, rows, columns, t)
            s *= counts
            np.multiply(s, per_quantum, out=t)
            t += electronic * electronic
            np.sqrt(t, out=t)
            t *= z
            s += t
        s *= panel.gain[rows, columns]
        s += panel.offset[rows, columns]
        s += lines[first : first + n, None]
        np.clip(s, 0, top, out=s)
        out[first : first + n] = s

    _in_bands(height, width, band)
    pixels = panel.sensor.width * panel.sensor.height
    kerma = sum(air_kerma_ugy(b.kvp, b.mas, b.sid_mm) for b in beams)
    return Picture(
        kvp=beams[-1].kvp if beams else None,
        mas=sum(b.mas for b in beams),
        kerma_ugy=kerma,
        photons=round(field.mean_kerma * quanta * pixels) if field is not None else 0,
        phantom=beams[-1].phantom if beams else None,
    )


def ideal(
    panel: Panel, scenes: Sequence[Scene], beams: Sequence[Beam], region: Region, about: int = 512
) -> F32:
    """Noise-free kerma (µGy) at the detector over the region, means over squares of pixels; zeros without a beam.

    What a perfect panel would show: attenuation, collimator, heel and scatter, but no noise, gain or defect.  The
    shorter side has ``about`` samples (all pixels where there are fewer); what does not fill a square is left out.
    """
    x, y, width, height = region
    step = max(1, min(width, height) // about)
    stride = 2 if step % 2 == 0 and step > 2 else 1  # every other pixel is enough for a mean
    rows, columns, side = height // step, width // step, step // stride
    out = np.zeros((rows, columns), np.float32)
    field = _field(panel, scenes, beams)
    if field is None:
        return out
    many = max(1, BAND // side)
    signal, scratch = (np.empty((many * side, columns * side), np.float32) for _ in range(2))
    for first in range(0, rows, many):
        n = min(many, rows - first)
        top = y + first * step
        part = signal[: n * side]
        lines = slice(top, top + n * step, stride)
        field.fill(part, lines, slice(x, x + columns * step, stride), scratch[: n * side])
        across = part.reshape(n, side, columns * side).sum(1).reshape(n, columns, side).sum(2)
        np.divide(across, side * side, out=out[first : first + n])
    return out


def in_field(
    panel: Panel, scenes: Sequence[Scene], beams: Sequence[Beam], region: Region, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Which samples of the region, on a grid of this shape, some beam's collimator leaves open."""
    x, y, width, height = region
    rows = y + (np.arange(shape[0]) * height) // shape[0]
    columns = x + (np.arange(shape[1]) * width) // shape[1]
    mask = np.zeros(shape, bool)
    for scene, beam in zip(scenes, beams, strict=True):
        field = _opening(scene, beam)
        across = _edges(panel.sensor.width, panel.sensor.pitch_mm, field[0])[columns] > 0.5
        mask |= across & (_edges(panel.sensor.height, panel.sensor.pitch_mm, field[1])[rows] > 0.5)[:, None]
    return mask


def _take(bank: F32, start: int, out: F32) -> None:
    """Copy noise from a place in the bank, which is thought of as a ring."""
    flat = out.reshape(-1)
    start %= len(bank)
    first = min(len(flat), len(bank) - start)
    flat[:first] = bank[start : start + first]
    if first < len(flat):
        flat[first:] = bank[: len(flat) - first]


def _in_bands(height: int, width: int, work: Callable[[int, F32, F32, F32], None]) -> None:
    """Call ``work(first row, three scratch arrays)`` for every band."""
    firsts = range(0, height, BAND)
    count = min(2, os.cpu_count() or 1)

    def some(part: int) -> None:
        a, b, c = (np.empty((BAND, width), np.float32) for _ in range(3))
        for first in firsts[part::count]:
            work(first, a, b, c)

    if count == 1 or len(firsts) < 4:
        count = 1
        some(0)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="exposure") as pool:
        for done in [pool.submit(some, part) for part in range(count)]:
            done.result()
