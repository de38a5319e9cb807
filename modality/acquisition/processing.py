"""From a raw frame to a picture a radiologist reads: correction, exposure index, logarithm, anatomical
window.

Rules of this file:

* Everything works on bands of rows that fit a processor's cache, on ``threads`` threads (numpy lets go of the
  interpreter lock), in buffers that are made once.
* The result is a function of raw frame, maps and settings only: the same input gives the same bytes.
* Corrected values are proportional to air kerma at the detector: kerma = value / counts per µGy.
* Exposure index (IEC 62494-1): EI = 100 x K_cal / 1 µGy, K_cal being the median kerma of the relevant region:
  the central half of the image in both directions, without direct radiation (above :data:`DIRECT` of the
  brightest) and without what the collimator covers (below :data:`COVERED` of it).  DI = 10 log10(EI / EI_T).
* Presentation: density = (ln high - ln value) / (ln high - ln low), through a gentle S curve, into 12 or 14
  bits.  More exposure is darker and bone is bright: MONOCHROME2, relationship LOG, sign -1.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from modality.acquisition.calibration import Calibration

F32 = npt.NDArray[np.float32]
U16 = npt.NDArray[np.uint16]

DIRECT: Final = 0.8
COVERED: Final = 0.02
BAND: Final = 8
"""Rows that are worked on at once: 8 x 3072 indices are 200 kB and stay in the cache."""
PIECE: Final = 64
"""Rows that a thread takes at once."""
LOOK: Final = 256
"""About so many rows and columns are looked at for statistics."""
MARGIN: Final = 1.25
STEEPNESS: Final = 3.0
"""Of the S curve; towards 0 it becomes a straight line."""


@dataclass(frozen=True)
class Processed:
    """A picture and what was measured on the way."""

    pixels: U16
    ei: float
    di: float
    low: float
    high: float
    """Kerma-proportional values that became white and black."""
    timings_ms: dict[str, float]


class Processor:
    """Processes frames of one size; not for several threads at once."""

    def __init__(self, width: int, height: int, bits_stored: int, threads: int) -> None:
        self._shape = (height, width)
        self._bits = bits_stored
        self._corrected: F32 = np.zeros((height, width), np.float32)
        self._pool = ThreadPoolExecutor(max(1, threads), "processing")
        self._pieces = [
            [slice(b, min(b + BAND, height)) for b in range(a, min(a + PIECE, height), BAND)]
            for a in range(0, height, PIECE)
        ]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def process(
        self,
        raw: U16,
        calibration: Calibration,
        offset: F32,
        counts_per_ugy: float,
        target_ei: float,
    ) -> Processed:
        """Process one raw frame; ``offset`` is the offset map as the last dark frame moved it."""
        if raw.shape != self._shape or calibration.shape != self._shape:
            raise ValueError(f"frame {raw.shape}, maps {calibration.shape}, processor {self._shape}")
        times: dict[str, float] = {}
        start = time.perf_counter()
        gain, corrected = calibration.gain, self._corrected

        def correct(band: slice) -> None:
            part = corrected[band]
            np.copyto(part, raw[band])
            part -= offset[band]
            part *= gain[band]

        self._each(correct)
        calibration.repair.apply(corrected.reshape(-1))
        times["correct"] = _lap(start)
        lap = time.perf_counter()
        sample = look(corrected)
        ei = exposure_index(sample, counts_per_ugy)
        low, high = window(sample)
        table = presentation_table(low, high, self._bits)
        times["measure"] = _lap(lap)
        lap = time.perf_counter()
        pixels = np.empty(self._shape, np.uint16)

        def present(band: slice) -> None:
            # "clip": counts below 0 or above 65535 get the first or last entry
            np.take(table, corrected[band].astype(np.intp), out=pixels[band], mode="clip")

        self._each(present)
        times["present"] = _lap(lap)
        times["all"] = _lap(start)
        return Processed(pixels, ei, deviation_index(ei, target_ei), low, high, times)

    def _each(self, work: Callable[[slice], None]) -> None:
        """Do something to every band, on all threads."""

        def piece(bands: list[slice]) -> None:
            for band in bands:
                work(band)

        for _ in self._pool.map(piece, self._pieces):
            pass


def _lap(start: float) -> float:
    return round((time.perf_counter() - start) * 1000.0, 3)


@dataclass(frozen=True)
class Sample:
    """A sparse copy of an image and its brightest level (99.5th percentile)."""

    values: F32
    brightest: float


def look(image: F32) -> Sample:
    """Take every n-th pixel of every n-th row, so that :data:`LOOK` or a few more remain each way."""
    step = max(1, min(image.shape) // LOOK)
    sparse = np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step])
    return Sample(sparse, max(1.0, float(np.percentile(sparse, 99.5))))


def _anatomy(values: F32, brightest: float) -> F32:
    """Return the values that are neither direct radiation nor covered; all of them when hardly any are
    left."""
    flat = values.reshape(-1)
    kept = flat[(flat > COVERED * brightest) & (flat < DIRECT * brightest)]
    return kept if len(kept) >= 0.1 * len(flat) else flat


def exposure_index(sample: Sample, counts_per_ugy: float) -> float:
    """Return the exposure index of a corrected image."""
    h, w = sample.values.shape
    centre = sample.values[h // 4 : h - h // 4, w // 4 : w - w // 4]
    kerma = max(0.0, float(np.median(_anatomy(centre, sample.brightest)))) / counts_per_ugy
    return 100.0 * kerma


def deviation_index(ei: float, target_ei: float) -> float:
    """Return 10 log10(EI / EI_T), limited to +-99.9 as there is no logarithm of nothing."""
    if ei <= 0 or target_ei <= 0:
        return -99.9
    return max(-99.9, min(99.9, 10.0 * math.log10(ei / target_ei)))


def window(sample: Sample) -> tuple[float, float]:
    """Return the values between which the anatomy lies, with a margin; low becomes white, high black."""
    anatomy = _anatomy(sample.values, sample.brightest)
    low, high = (float(v) for v in np.percentile(anatomy, (0.5, 99.5)))
    low = max(low, sample.brightest * 0.002, 0.5) / MARGIN
    return low, max(high * MARGIN, low * 2.0)


def presentation_table(low: float, high: float, bits: int) -> U16:
    """Return the presentation value of every corrected count 0..65535."""
    counts = np.maximum(np.arange(65536, dtype=np.float64), 0.5)
    density = (math.log(high) - np.log(counts)) / (math.log(high) - math.log(low))
    np.clip(density, 0.0, 1.0, out=density)
    curve = np.tanh(STEEPNESS * (density - 0.5)) / (2.0 * math.tanh(STEEPNESS / 2.0)) + 0.5
    return np.rint(curve * ((1 << bits) - 1)).astype(np.uint16)
