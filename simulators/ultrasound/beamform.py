"""Echoes of the scatterers as a beamformer would hand them over: complex baseband, lines x samples, then levels.

Rules of this file:

* A scatterer is a point with a phase of its way to and fro; the point spread function (Gaussian, axial and lateral)
  makes a picture of it.  Speckle is what comes out, nobody draws it.
* 0 dB is the mean power of speckle of tissue, by calculation and not by looking at a picture.
* Levels are what the cine memory holds: 0 is nothing, 1 to 255 are steps of :data:`STEP_DB` from :data:`FLOOR_DB`.
  Gain and dynamic range are applied to levels (``scan.py``), so they act on stored frames as well.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.ultrasound import phantom
from simulators.ultrasound.probe import Floats, Probe

Complex = npt.NDArray[np.complex64]
Bytes = npt.NDArray[np.uint8]

LINES: Final = 192
SAMPLES: Final = 1024
SCATTERERS: Final = 100_000
"""About six in every cell of resolution: enough for speckle to be developed."""
FLOOR_DB: Final = -52.0
STEP_DB: Final = 0.4
LATERAL: Final = 1.3
"""Standard deviation of the beam in lines."""
TAPS: Final = 4
"""Lines to each side that a point reaches."""


def levels(power: Floats) -> Floats:
    """Power (1 is the mean of speckle) to levels, not yet rounded."""
    out: Floats = np.maximum(power, np.float32(1e-9))
    np.log10(out, out=out)
    out *= np.float32(10 / STEP_DB)
    out += np.float32(1 - FLOOR_DB / STEP_DB)
    return np.clip(out, 0, 255, out=out)


class Beamformer:
    """One probe at one depth over the phantom of one seed."""

    def __init__(self, probe: Probe, depth_mm: float, seed: int) -> None:
        self.probe = probe
        self.depth_mm = depth_mm
        self.per_mm = SAMPLES / depth_mm
        self.axial = max(1.0, 0.5 * probe.wavelength_mm * self.per_mm)
        """Standard deviation of the pulse in samples."""
        self.k = np.float32(4 * math.pi / probe.wavelength_mm)
        """Phase in radians per mm of depth."""
        self.s = s = phantom.scatterers(probe, depth_mm, seed, SCATTERERS)
        self._row = np.rint(s.line * (LINES - 1)).astype(np.int32) * SAMPLES
        self._phase = np.remainder(s.depth.astype(np.float64) * float(self.k), 2 * math.pi).astype(np.float32)
        self._kernel = self.axial_kernel(SAMPLES)
        across = np.exp(-0.5 * (np.arange(-TAPS, TAPS + 1) / LATERAL) ** 2).astype(np.float32)
        along = np.exp(-0.5 * (np.arange(-20, 21) / self.axial) ** 2)
        density = SCATTERERS / (LINES * SAMPLES)
        self.scale = np.float32(1 / math.sqrt(density * float((across**2).sum() * (along**2).sum())))
        self._across = across * self.scale
        self._pins = self._draw_pins()

    def axial_kernel(self, count: int) -> Complex:
        """The pulse for :meth:`along` over ``count`` samples."""
        n = np.arange(count)
        pulse = np.exp(-0.5 * (np.minimum(n, count - n) / self.axial) ** 2)
        return np.asarray(np.fft.fft(pulse) * count, np.complex64)

    @staticmethod
    def along(grid: Complex, kernel: Complex) -> Complex:
        """The pulse over (..., samples); what leaves at one end comes in at the other.

        numpy transforms with double precision, several times slower, unless the transform has a factor of single
        precision: both ways divide by the length here, and the kernel makes up for one of them.
        """
        spectrum = np.fft.fft(grid, axis=-1, norm="forward")
        spectrum *= kernel
        return np.fft.ifft(spectrum, axis=-1).astype(np.complex64, copy=False)

    def _draw_pins(self) -> Complex:
        """Pins at their exact places, not at the next sample."""
        out = np.zeros((LINES, SAMPLES), np.complex64)
        strength = 10 ** (phantom.PIN_DB / 20)
        row, sample = np.arange(LINES)[:, None], np.arange(SAMPLES)[None]
        for x, z in phantom.PINS:
            line, depth = self.probe.polar(x, z)
            if not (0.0 <= line <= 1.0 and 0.0 < depth < self.depth_mm):
                continue
            across = np.exp(-0.5 * ((row - line * (LINES - 1)) / LATERAL) ** 2)
            along = np.exp(-0.5 * ((sample - depth * self.per_mm) / self.axial) ** 2)
            out += (strength * across * along * np.exp(-1j * float(self.k) * depth)).astype(np.complex64)
        return out

    def blur(self, grid: Complex, kernel: Complex) -> Complex:
        """Point spread function over (..., lines, samples)."""
        echo = self.along(grid, kernel)
        out: Complex = echo * self._across[TAPS]
        lines = grid.shape[-2]
        for tap in range(1, min(TAPS, lines - 1) + 1):
            part = echo * self._across[TAPS + tap]
            out[..., tap:, :] += part[..., :-tap, :]
            out[..., :-tap, :] += part[..., tap:, :]
        return out

    def echoes(self, t: float) -> Complex:
        """(lines, samples) at a time in s."""
        s = self.s
        moved = s.moves * np.float32(phantom.shift(t))
        phase = self._phase + self.k * moved
        phase[s.blood] += self.k * s.flow[s.blood] * np.float32(phantom.travel(t % phantom.BEAT_S))
        moved += s.depth
        moved *= np.float32(self.per_mm)
        index = np.clip(np.rint(moved), 0, SAMPLES - 1).astype(np.int32)
        index += self._row
        size = LINES * SAMPLES
        grid = np.empty((LINES, SAMPLES), np.complex64)
        grid.real = np.bincount(index, np.cos(phase) * s.amplitude, size).reshape(LINES, SAMPLES)
        grid.imag = np.bincount(index, np.sin(phase) * -s.amplitude, size).reshape(LINES, SAMPLES)
        out = self.blur(grid, self._kernel)
        out += self._pins
        return out

    def tissue(self, t: float) -> Floats:
        """(lines, samples) of levels at a time in s."""
        echo = self.echoes(t)
        return levels(echo.real**2 + echo.imag**2)

    def motion(self, times: npt.NDArray[np.float64]) -> Floats:
        """M-mode: (times, samples) of levels of the line in the middle."""
        middle = (LINES - 1) / 2
        near = np.abs(self.s.line * (LINES - 1) - middle) <= TAPS
        s, phase0 = self.s, self._phase[near]
        weight = np.exp(-0.5 * ((s.line[near] * (LINES - 1) - middle) / LATERAL) ** 2)
        amplitude = (s.amplitude[near] * weight * self.scale).astype(np.float32)
        shifts = np.array([phantom.shift(t) for t in times], np.float32)[:, None]
        gone = phantom.travel(np.remainder(times, phantom.BEAT_S)).astype(np.float32)[:, None]
        moved = s.moves[near] * shifts
        phase = phase0 + self.k * (moved + s.flow[near] * gone)
        place = np.clip(np.rint((moved + s.depth[near]) * self.per_mm), 0, SAMPLES - 1).astype(np.int64)
        place += np.arange(len(times))[:, None] * SAMPLES
        size = len(times) * SAMPLES
        echo = np.empty((len(times), SAMPLES), np.complex64)
        echo.real = np.bincount(place.ravel(), (np.cos(phase) * amplitude).ravel(), size).reshape(-1, SAMPLES)
        echo.imag = np.bincount(place.ravel(), (np.sin(phase) * -amplitude).ravel(), size).reshape(
            -1, SAMPLES
        )
        echo = self.along(echo, self._kernel)
        echo += self._pins[LINES // 2]
        return levels(echo.real**2 + echo.imag**2)
