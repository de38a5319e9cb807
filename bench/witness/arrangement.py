"""How the samples of a colour image really lie: by pixel, by plane, or with the bytes of each word exchanged.

Rules of this file:

* Most of an ultrasound or screen picture is grey: its three samples are equal.  Only the right reading of the bytes
  shows that; so the share of pixels that are grey, read in each way, tells the arrangement.
* Background says nothing (it is grey in every reading) and is left out; too few other pixels say nothing either.
* Windows of the first frame are looked at, the same places of each third, 48 KiB at most; nothing else is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

WINDOW: Final = 1020  # a multiple of 6: whole words and whole pixels
PLACES: Final = 16
FEWEST: Final = 100
"""Pixels other than background that have to be seen."""
CLEAR: Final = 0.9
UNCLEAR: Final = 0.5


@dataclass(frozen=True, slots=True)
class Greys:
    """Shares (0 to 1) of the pixels seen that are grey, read by pixel, by plane, and by pixel of exchanged bytes."""

    by_pixel: float
    by_plane: float
    exchanged: float

    @property
    def planes(self) -> bool:
        """Whether the samples can only lie plane by plane."""
        return self.by_plane >= CLEAR and max(self.by_pixel, self.exchanged) <= UNCLEAR

    @property
    def pixels(self) -> bool:
        """Whether the samples can only lie pixel by pixel."""
        return self.by_pixel >= CLEAR and max(self.by_plane, self.exchanged) <= UNCLEAR

    @property
    def swapped(self) -> bool:
        """Whether the two bytes of each word can only be exchanged."""
        return self.exchanged >= CLEAR and max(self.by_plane, self.by_pixel) <= UNCLEAR


class Probe:
    """Windows of a frame of ``pixels`` pixels with three samples of 8 bits, fed from its first byte on."""

    __slots__ = ("_at", "_spans", "_starts", "_windows", "end")

    def __init__(self, pixels: int) -> None:
        size = min(WINDOW, pixels // 6 * 6)
        step = max((pixels - size) // PLACES, 6)
        places = list(range(0, pixels - size + 1, step))[:PLACES]
        self._spans = sorted(
            (third * pixels + at, number, third) for third in range(3) for number, at in enumerate(places)
        )
        self._starts = [span[0] for span in self._spans]
        self._windows = [bytearray(size) for _ in self._spans]
        self._at = 0
        self.end = self._starts[-1] + size if size else 0
        """Bytes of the frame after which nothing more is looked at."""

    def feed(self, data: memoryview) -> None:
        """Take the next bytes of the frame."""
        begin, end = self._at, self._at + len(data)
        self._at = end
        if not self.end:
            return
        size = len(self._windows[0])
        first = bisect_right(self._starts, begin - size)
        for index in range(first, len(self._starts)):
            start = self._starts[index]
            if start >= end:
                break
            low, high = max(start, begin), min(start + size, end)
            self._windows[index][low - start : high - start] = data[low - begin : high - begin]

    def finish(self) -> Greys | None:
        """Return what was seen; None when that is too little."""
        if not self.end or self._at < self.end:
            return None
        arrays = [np.frombuffer(window, np.uint8) for window in self._windows]
        counts = np.bincount(np.concatenate(arrays), minlength=256)
        ground = int(counts.argmax())
        by_pixel = _Share(ground)
        exchanged = _Share(ground)
        thirds: dict[int, dict[int, npt.NDArray[Any]]] = {}
        for (start, number, third), array in zip(self._spans, arrays, strict=True):
            thirds.setdefault(number, {})[third] = array
            whole = array[-start % 6 :]
            whole = whole[: len(whole) // 6 * 6]
            by_pixel.add(whole.reshape(-1, 3))
            exchanged.add(whole.reshape(-1, 2)[:, ::-1].reshape(-1, 3))
        by_plane = _Share(ground)
        for found in thirds.values():
            by_plane.add(np.stack([found[third] for third in range(3)], axis=1))
        if min(by_pixel.seen, by_plane.seen, exchanged.seen) < FEWEST:
            return None
        return Greys(by_pixel.value, by_plane.value, exchanged.value)


class _Share:
    """The share of pixels that are grey, of those that are not all background."""

    __slots__ = ("_ground", "grey", "seen")

    def __init__(self, ground: int) -> None:
        self._ground = ground
        self.seen = self.grey = 0

    def add(self, pixels: npt.NDArray[Any]) -> None:
        pixels = pixels[(pixels != self._ground).any(axis=1)]
        self.seen += len(pixels)
        equal = (pixels[:, 0] == pixels[:, 1]) & (pixels[:, 1] == pixels[:, 2])
        self.grey += int(np.count_nonzero(equal))

    @property
    def value(self) -> float:
        return self.grey / self.seen if self.seen else 0.0
