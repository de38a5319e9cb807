"""What the scanner remembers: the cine memory, and a clip that is being recorded.

Rules of this file:

* No clock, no lock, no thread: the scanner calls with its own lock held.
* Bounded in pictures and in bytes.
* A clip holds pictures of one geometry and one connection only (:meth:`Frame.like`); pictures that were lost on the
  way are told as gaps, never filled.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from modality.ultrasound.model import Clip, Frame

TOLERANCE: Final = 0.1
"""A measured frame time that is off by more than this share counts more than the announced one."""


class Cine:
    """The newest pictures."""

    def __init__(self, frames: int, limit: int) -> None:
        """Keep at most so many pictures and bytes (but always the newest)."""
        self._most, self._limit = frames, limit
        self._frames: deque[Frame] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Frame) -> None:
        """Remember a picture and forget the oldest where that is needed."""
        self._frames.append(frame)
        self.bytes += frame.pixels.nbytes
        while len(self._frames) > 1 and (len(self._frames) > self._most or self.bytes > self._limit):
            self.bytes -= self._frames.popleft().pixels.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._frames.clear()
        self.bytes = 0

    @property
    def newest(self) -> Frame | None:
        """The newest picture."""
        return self._frames[-1] if self._frames else None

    def find(self, sequence: int) -> Frame | None:
        """The newest picture of that number."""
        return next((f for f in reversed(self._frames) if f.sequence == sequence), None)

    def run(self, newest: Frame, recording: Recording) -> tuple[Sequence[Frame], bool]:
        """The last pictures up to ``newest`` that make a clip, oldest first; whether ``recording`` wants no more."""
        found: list[Frame] = []
        for frame in reversed(self._frames):
            if frame.sequence > newest.sequence and frame.connection == newest.connection:
                continue
            if not frame.like(newest):
                break
            if found and recording.enough(frame, newest, len(found)):
                return found[::-1], True
            found.append(frame)
        # One more picture, were there one, would be too many.
        whole = bool(found) and recording.complete(found[-1], newest, len(found))
        return found[::-1], whole


class Recording:
    """How long a clip shall be, and what there is of it: so many pictures, or those of a span of numbers."""

    def __init__(self, frames: int | None, span: int | None, limit: int = 1 << 62) -> None:
        """``frames`` pictures received, or those of ``span`` numbers in a row whether received or not; at most
        ``limit`` bytes (but always one picture)."""
        self.frames: list[Frame] = []
        self._count, self._span, self._limit = frames, span, limit
        self._bytes = 0
        self.ended = ""
        """Why it is over; empty: it is not."""

    @property
    def most(self) -> int:
        """Pictures it may have."""
        return self._count if self._count is not None else self._span or 0

    def enough(self, first: Frame, last: Frame, count: int) -> bool:
        """``count`` pictures between them (one of the two not counted) are all that is wanted."""
        if self._count is not None:
            return count >= self._count
        assert self._span is not None
        return last.sequence - first.sequence >= self._span

    def complete(self, first: Frame, last: Frame, count: int) -> bool:
        """From ``first`` to ``last``, both counted, it is as long as was wanted."""
        if self._count is not None:
            return count >= self._count
        assert self._span is not None
        return last.sequence - first.sequence + 1 >= self._span

    def add(self, frame: Frame) -> None:
        """A picture has come."""
        if self.ended:
            return
        if self.frames and not frame.like(self.frames[0]):
            self.end("picture-changed")
            return
        if self.frames and self.enough(self.frames[0], frame, len(self.frames)):
            self.end("whole")  # the last numbers of the span were lost
            return
        self._bytes += frame.pixels.nbytes
        if self.frames and self._bytes > self._limit:
            self.end("memory")
            return
        self.frames.append(frame)
        if self.complete(self.frames[0], frame, len(self.frames)):
            self.end("whole")

    def end(self, why: str) -> None:
        """It is over; the first reason counts."""
        self.ended = self.ended or why


def make_clip(frames: Sequence[Frame], ended: str) -> Clip:
    """A clip of at least one picture."""
    gaps = tuple((a.sequence + 1, b.sequence - 1) for a, b in pairwise(frames) if b.sequence - a.sequence > 1)
    return Clip(tuple(frames), frame_time_ms(frames), ended, gaps)


def frame_time_ms(frames: Sequence[Frame]) -> float:
    """Announced by the front end, unless its own clock says otherwise; 0 when nobody knows."""
    fps = frames[0].settings.fps
    announced = 1000.0 / fps if fps > 0 else 0.0
    steps = [
        (b.timestamp_ns - a.timestamp_ns) / 1e6 / (b.sequence - a.sequence)
        for a, b in pairwise(frames)
        if b.timestamp_ns > a.timestamp_ns and b.sequence > a.sequence
    ]
    if len(steps) < 3:
        return announced
    measured = statistics.median(steps)
    if announced and abs(measured / announced - 1) <= TOLERANCE:
        return announced
    return round(measured, 3)
