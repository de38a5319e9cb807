"""Colour Doppler and pulsed-wave Doppler: velocities measured from echoes, not painted.

Rules of this file:

* Colour: a packet of pulses over the blood in a box, lag-one autocorrelation, and a map of the angle it has.
  Red is flow towards the probe, blue away; faster than half the pulse rate turns round, as it does in life.
* PW: slow-time echoes of blood in a gate, short Fourier transforms.  Velocities towards the probe are above the
  baseline.
* Only blood is in the packet: what a wall filter would take away (tissue) is not put in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.ultrasound import phantom
from simulators.ultrasound.beamform import LINES, SAMPLES, Beamformer, Bytes, Complex, levels
from simulators.ultrasound.probe import SOUND_MM_S, Floats, Layout, Region
from simulators.ultrasound.scan import FINE, ROWS, Converter

PULSES: Final = 6
COLOUR_RATE_HZ: Final = 4000.0
PW_RATE_HZ: Final = 6000.0
PW_WINDOW: Final = 96
PW_BINS: Final = 256
QUIET_DB: Final = -32.0
"""Blood below this is no flow (mean of tissue is 0)."""
STILL: Final = 128
"""Index of the palette: no velocity, or too little blood to measure one.  Grey stays there."""
BOX_MM: Final = 6.0
"""How far the colour box reaches around the vessel."""


@dataclass(frozen=True)
class Flow:
    """What there is of colour in one picture: ``places`` (pixels counted row by row) and their ``colours`` (n, 3)."""

    places: npt.NDArray[np.int32]
    colours: Bytes


def paint(grey: bytes, flow: Flow) -> bytes:
    """RGB picture, row by row: grey with the flow over it."""
    tone = np.frombuffer(grey, np.uint8)
    rgb = np.empty((tone.size, 3), np.uint8)
    for component in range(3):  # far quicker than one assignment
        rgb[:, component] = tone
    rgb[flow.places] = flow.colours
    return rgb.tobytes()


def fastest_mm_s(frequency_hz: float, rate_hz: float) -> float:
    """Nyquist velocity of a pulse rate."""
    return SOUND_MM_S * rate_hz / (4 * frequency_hz)


def _palette() -> Bytes:
    """(256, 3): 1-127 away (blue), :data:`STILL` black, 129-255 towards (red); 0 is unused."""
    value = np.clip((np.arange(256) - STILL) / 127, -1, 1)
    red, blue = np.clip(value, 0, 1), np.clip(-value, 0, 1)
    strong = (np.abs(value) > 0) * 90 + 165 * np.abs(value)
    out = np.stack([strong * (red > 0), 200 * np.maximum(red, blue) ** 2, strong * (blue > 0)], axis=1)
    palette: Bytes = np.clip(out, 0, 255).astype(np.uint8)
    return palette


PALETTE: Final = _palette()


def fast_length(least: int) -> int:
    """The next length that a Fourier transform is quick at: factors 2, 3 and 5 only."""
    while True:
        rest = least
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return least
        least += 1


class Colour:
    """The colour box of one beamformer and layout."""

    def __init__(self, beam: Beamformer, converter: Converter) -> None:
        self.beam = beam
        self.layout: Layout = converter.layout
        v = phantom.VESSEL
        u, w = v.direction
        reach = v.radius + BOX_MM
        ends = [(v.x + k * v.half_length * u, v.z + k * v.half_length * w) for k in (-1, 1)]
        corners = [(x + dx, z + dz) for x, z in ends for dx in (-reach, reach) for dz in (-reach, reach)]
        polar = [beam.probe.polar(x, z) for x, z in corners]
        lines = [float(p[0]) * (LINES - 1) for p in polar]
        samples = [float(p[1]) * beam.per_mm for p in polar]
        self.line0, self.line1 = max(0, math.floor(min(lines))), min(LINES, math.ceil(max(lines)) + 1)
        self.sample0, self.sample1 = max(0, math.floor(min(samples))), min(SAMPLES, math.ceil(max(samples)))
        s, k = beam.s, beam.k
        row = np.rint(s.line * (LINES - 1)).astype(np.int64)
        sample = np.rint(s.depth * beam.per_mm).astype(np.int64)
        inside = s.blood & (row >= self.line0) & (row < self.line1)
        inside &= (sample >= self.sample0) & (sample < self.sample1)
        self._flow = s.flow[inside]
        self._phase = (s.depth[inside].astype(np.float64) * float(k) % (2 * math.pi)).astype(np.float32)
        self._amplitude = s.amplitude[inside]
        shape = (self.line1 - self.line0, self.sample1 - self.sample0)
        self.shape = (max(1, shape[0]), fast_length(max(1, shape[1])))
        """Lines and samples that are worked on; the last samples may lie below the box."""
        place = (row[inside] - self.line0) * self.shape[1] + sample[inside] - self.sample0
        steps = np.arange(PULSES)[:, None]
        self._place = (place[None] + steps * (self.shape[0] * self.shape[1])).ravel()
        self._times = (steps - (PULSES - 1) / 2) / COLOUR_RATE_HZ
        self._kernel = beam.axial_kernel(self.shape[1])
        self.nyquist_mm_s = fastest_mm_s(beam.probe.frequency_hz, COLOUR_RATE_HZ)
        self._pixels(converter)

    def _pixels(self, converter: Converter) -> None:
        """Where the box lies in the picture; its pixels, and which value of the box each of them shows."""
        row, sample = np.divmod(converter.table, SAMPLES)
        line = np.rint(row / FINE).astype(np.int64)
        inside = (line >= self.line0) & (line < self.line1) & (row < ROWS)
        inside &= (sample >= self.sample0) & (sample < self.sample1)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        self.rectangle: tuple[int, int, int, int] | None = None
        """x0, y0, x1, y1 of the box; None when the vessel is not in the picture."""
        if len(rows) > 1 and len(columns) > 1:
            self.rectangle = (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
        self._places = np.flatnonzero(inside).astype(np.int32)
        table = (line[inside] - self.line0) * self.shape[1] + sample[inside] - self.sample0
        self._table = table.astype(np.int32)

    def packet(self, t: float) -> Complex:
        """(pulses, lines, samples) of echoes of blood around a time in s."""
        gone = phantom.travel(t % phantom.BEAT_S + self._times).astype(np.float32)
        phase = self._phase + self.beam.k * (gone * self._flow)
        size = PULSES * self.shape[0] * self.shape[1]
        grid = np.empty((PULSES, *self.shape), np.complex64)
        grid.real = np.bincount(self._place, (np.cos(phase) * self._amplitude).ravel(), size).reshape(
            grid.shape
        )
        grid.imag = np.bincount(self._place, (np.sin(phase) * -self._amplitude).ravel(), size).reshape(
            grid.shape
        )
        return self.beam.blur(grid, self._kernel)

    def velocity(self, t: float) -> tuple[Floats, Floats]:
        """(lines, samples) of mm/s towards the probe, and of the power that this was measured from."""
        echo = self.packet(t)
        lag = (echo[1:] * echo[:-1].conj()).sum(0)
        power = (echo.real**2 + echo.imag**2).mean(0)
        # Away from the probe the way grows and the phase falls.
        return (np.angle(lag) * np.float32(self.nyquist_mm_s / math.pi)).astype(np.float32), power

    def flow(self, t: float) -> Flow:
        """The pixels that show flow at a time in s."""
        velocity, power = self.velocity(t)
        index = (STILL + np.rint(velocity * np.float32(127 / self.nyquist_mm_s))).astype(np.uint8)
        index[power < 10 ** (QUIET_DB / 10)] = STILL
        box = index.ravel().take(self._table)
        shown = np.flatnonzero(box != STILL)
        return Flow(self._places[shown], PALETTE[box[shown]])

    def regions(self) -> tuple[Region, ...]:
        """The box as a calibrated region of the picture, if there is one."""
        if self.rectangle is None:
            return ()
        x0, y0, x1, y1 = self.rectangle
        u, v = self.layout.origin
        step = self.layout.spacing_mm
        return (Region("colour", x0, y0, x1, y1, "mm", "mm", step, step, (u - x0, v - y0)),)


class Spectrum:
    """PW Doppler with the gate in the middle of the vessel."""

    COUNT: Final = 48

    def __init__(self, beam: Beamformer, seed: int) -> None:
        rng = np.random.default_rng((seed, 7))
        v = phantom.VESSEL
        line, _ = beam.probe.polar(v.x, v.z)
        self._seen = 0.0 <= float(line) <= 1.0 and v.z < beam.depth_mm
        u, w = v.direction
        angle = 0.0 if beam.probe.linear else (float(line) - 0.5) * math.radians(beam.probe.angle_deg)
        along = math.sin(angle) * u + math.cos(angle) * w
        radius = np.sqrt(rng.random(self.COUNT))
        self._flow = v.peak_mm_s * along * (1 - radius**2)
        self._phase = rng.random(self.COUNT) * 2 * math.pi
        self._k = float(beam.k)
        self._window = np.hanning(PW_WINDOW)
        self._scale = 1 / math.sqrt(self.COUNT * float((self._window**2).sum()))
        self.nyquist_mm_s = fastest_mm_s(beam.probe.frequency_hz, PW_RATE_HZ)

    def columns(self, times: npt.NDArray[np.float64]) -> Floats:
        """(times, PW_BINS) of levels; the first bin is the fastest flow towards the probe."""
        t = times[:, None] + (np.arange(PW_WINDOW) - PW_WINDOW / 2) / PW_RATE_HZ
        gone = phantom.travel(t)[..., None]
        phase = self._phase - self._k * gone * self._flow
        signal = np.exp(1j * phase.astype(np.float32)).sum(-1) * (1.0 if self._seen else 0.0)
        # Noise of the receiver, the same for the same time.
        seed = (17, *(int(x) for x in np.rint(times[:1] * 1e6) % (1 << 31)))
        noise = np.random.default_rng(seed).standard_normal((2, *signal.shape)) * 0.05
        signal = (signal + noise[0] + 1j * noise[1]) * self._window
        spectrum = np.fft.fftshift(np.fft.fft(signal, PW_BINS, axis=-1), axes=-1)[:, ::-1] * self._scale
        return levels((spectrum.real**2 + spectrum.imag**2).astype(np.float32))
