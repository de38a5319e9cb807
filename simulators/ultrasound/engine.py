"""Frames: from knobs and a time to pixels and their geometry.

Rules of this file:

* Deterministic: the same configuration, knobs and frame numbers give the same pixels, from the bank or not.
* The cine bank holds levels of one heart beat (everything that moves repeats itself after it), so gain and dynamic
  range act live on stored frames.  With ``bank`` off every frame is synthesised anew.
* Geometry is what the picture was made with; whoever calibrates measures against the same numbers.
* M-mode and PW are pictures of time: every frame adds columns at the right edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from simulators.ultrasound.beamform import SAMPLES, Beamformer, Bytes
from simulators.ultrasound.doppler import PW_BINS, Colour, Flow, Spectrum, paint
from simulators.ultrasound.knobs import Knobs
from simulators.ultrasound.phantom import BEAT_S
from simulators.ultrasound.probe import PROBES, Layout, Region
from simulators.ultrasound.scan import Converter, grey, refine

SWEEP_S: Final = 4.0
"""Time across an M-mode or PW picture."""


@dataclass(frozen=True)
class Geometry:
    """How a picture is calibrated; ``spacing_mm`` is 0 where pixels are not square millimetres (M, PW)."""

    width: int
    height: int
    components: int
    spacing_mm: float
    regions: tuple[Region, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "width": self.width,
            "height": self.height,
            "components": self.components,
            "spacing_mm": self.spacing_mm,
            "regions": [r.to_json() for r in self.regions],
        }


@dataclass(frozen=True)
class Picture:
    """Pixels row by row, grey or RGB interleaved; ``source`` is bank or synthesis."""

    pixels: bytes
    geometry: Geometry
    source: str


class Engine:
    """The image processor behind the probe."""

    def __init__(self, seed: int, fps: float, size: tuple[int, int], knobs: Knobs, *, bank: bool) -> None:
        self.seed = seed
        self.fps = fps
        self.phases = max(1, round(fps * BEAT_S))
        """Frames of one heart beat."""
        self._bank_on = bank
        self._bank: dict[int, bytes] = {}
        """Moment of the beat -> levels of tissue, not yet grey."""
        self._flows: dict[int, Flow] = {}
        """Moment of the beat -> what is coloured."""
        self.size = size
        self.set(size, knobs)

    def set(self, size: tuple[int, int], knobs: Knobs) -> None:
        """Turn knobs or change the picture's size; what still fits is kept."""
        old: Knobs | None = getattr(self, "knobs", None)
        same_beam = old is not None and (old.probe, old.depth) == (knobs.probe, knobs.depth)
        same = same_beam and size == self.size
        self.size, self.knobs = size, knobs
        if not same_beam:
            self.beam = Beamformer(PROBES[knobs.probe], knobs.depth, self.seed)
        if not same:
            self.layout = Layout(PROBES[knobs.probe], knobs.depth, *size)
            self._converter = Converter(self.layout)
            self._bank.clear()
            self._flows.clear()
            self._colour: Colour | None = None
        if not same or old is None or old.mode != knobs.mode:
            self._strip: Bytes | None = None
            self._drawn = -1
        if knobs.mode == "colour" and self._colour is None:
            self._colour = Colour(self.beam, self._converter)
        if knobs.mode == "PW" and not (same and old is not None and old.mode == "PW"):
            self._spectrum = Spectrum(self.beam, self.seed)
        self._grey = grey(knobs.gain, knobs.dynamic_range)
        self.geometry = self._geometry()

    def fill_bank(self) -> None:
        """Synthesise the whole beat beforehand."""
        if self._bank_on and self.knobs.mode in ("B", "colour"):
            for phase in range(self.phases):
                self._tissue(phase)
                if self.knobs.mode == "colour":
                    self._flow(phase)

    def render(self, number: int) -> Picture:
        """The frame of a number since power-up (time = number / fps)."""
        if self.knobs.mode in ("M", "PW"):
            return Picture(self._sweep(number).translate(self._grey), self.geometry, "synthesis")
        phase = number % self.phases
        colour = self.knobs.mode == "colour"
        kept = phase in self._bank and (phase in self._flows or not colour)
        pixels = self._tissue(phase).translate(self._grey)
        if colour:
            pixels = paint(pixels, self._flow(phase))
        return Picture(pixels, self.geometry, "bank" if kept else "synthesis")

    def _tissue(self, phase: int) -> bytes:
        kept = self._bank.get(phase)
        if kept is None:
            level = self.beam.tissue(phase * BEAT_S / self.phases)
            kept = self._converter.convert(refine(level)).tobytes()
            if self._bank_on:
                self._bank[phase] = kept
        return kept

    def _flow(self, phase: int) -> Flow:
        kept = self._flows.get(phase)
        if kept is None:
            assert self._colour is not None
            kept = self._colour.flow(phase * BEAT_S / self.phases)
            if self._bank_on:
                self._flows[phase] = kept
        return kept

    def _sweep(self, number: int) -> bytes:
        """The time picture after this frame's new columns."""
        width, height = self.size
        if self._strip is None:
            self._strip = np.zeros((height, width), np.uint8)
        per_frame = width / SWEEP_S / self.fps
        before = int(number * per_frame) if self._drawn < 0 else self._drawn
        self._drawn = int((number + 1) * per_frame)
        count = min(max(0, self._drawn - before), width)
        if count:
            step = SWEEP_S / width
            times = number / self.fps - step * np.arange(count - 1, -1, -1, dtype=np.float64)
            if self.knobs.mode == "M":
                new, rows = self.beam.motion(times), SAMPLES
            else:
                new, rows = self._spectrum.columns(times), PW_BINS
            pick = np.minimum((np.arange(height) + 0.5) * (rows / height), rows - 1).astype(np.int64)
            self._strip[:, :-count] = self._strip[:, count:]
            self._strip[:, -count:] = new[:, pick].astype(np.uint8).T
        return self._strip.tobytes()

    def _geometry(self) -> Geometry:
        width, height = self.size
        mode, step = self.knobs.mode, SWEEP_S / width
        right = (float(width - 1), 0.0)
        if mode == "M":
            # The middle of the first row is half a row below the probe's face.
            deep = self.knobs.depth / height
            region = Region("motion", 0, 0, width - 1, height - 1, "s", "mm", step, deep, (right[0], -0.5))
            return Geometry(width, height, 1, 0.0, (region,))
        if mode == "PW":
            fast = 2 * self._spectrum.nyquist_mm_s / height
            middle = (right[0], (height - 1) / 2 + height / PW_BINS / 2)
            kind = ("spectrum", 0, 0, width - 1, height - 1, "s", "mm/s")
            return Geometry(width, height, 1, 0.0, (Region(*kind, step, -fast, middle),))
        regions: tuple[Region, ...] = (self.layout.region(),)
        if mode == "colour" and self._colour is not None:
            regions += self._colour.regions()
        return Geometry(width, height, 3 if mode == "colour" else 1, self.layout.spacing_mm, regions)


def matrix(geometry: Geometry) -> tuple[float, ...]:
    """IMAGE's matrix: columns of direction x spacing, then the middle of the picture (mm from the probe's face)."""
    step = geometry.spacing_mm or 1.0
    middle = (0.0, 0.0)
    if geometry.spacing_mm:
        region = geometry.regions[0]
        u, v = region.x0 + region.reference[0], region.y0 + region.reference[1]
        middle = (((geometry.width - 1) / 2 - u) * step, ((geometry.height - 1) / 2 - v) * step)
    return (step, 0.0, 0.0, 0.0, step, 0.0, 0.0, 0.0, step, *middle, 0.0)


def metadata(geometry: Geometry, sequence: int, mode: str, number: int) -> Mapping[str, str]:
    """What is sent along with every picture (header version 2 and later)."""
    region = geometry.regions[0]
    return {
        "sequence": str(sequence),
        "geometry": str(number),
        "mode": mode,
        "spacing": f"{geometry.spacing_mm!r} {geometry.spacing_mm!r}",
        "region": f"{region.x0} {region.y0} {region.x1} {region.y1}",
    }
