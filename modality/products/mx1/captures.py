"""What is captured from the probe: stills, clips and screens, each an image of the open exam.

Rules of this file:

* A picture belongs to the exam that was open when it was asked for; when another is open at the end, it is refused.
* A picture that was made before the exam began (or went on) is never an image of it, whether it is frozen, in the cine
  memory, the last one of a probe that fell silent, or late on its way: it may show somebody else.
* What the front end reports by itself (absent, stalled, unplugged) is its own warning; a verb that it makes impossible
  is only refused.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ...control import Refused
from ...notices import Notices
from ...store import Row
from ...ultrasound import Clip, Frame, Scanner, ScannerError
from ...ultrasound.cine import make_clip
from .config import Mx1Config
from .exam import Mx1Exams

if TYPE_CHECKING:
    from .exam import Build

CLIP_TIMEOUT_S = 120.0
_FIRST_PICTURE_S: Final = 1.0
"""How long the first picture after the beginning of an exam is waited for."""
_LOOK_AGAIN_S: Final = 0.005


@contextmanager
def operator_hears() -> Iterator[None]:
    """What the probe cannot do is refused with its own words."""
    try:
        yield
    except ScannerError as error:
        raise Refused(error.text) from error


class Captures:
    """Takes pictures from the probe into the open exam."""

    def __init__(
        self,
        scanner: Scanner,
        exams: Mx1Exams,
        notices: Notices,
        config: Callable[[], Mx1Config],
        lock: threading.RLock,
    ) -> None:
        """``lock`` is the exam's: no exam begins or ends while an image is being made."""
        self._scanner, self._exams, self._notices, self._config = scanner, exams, notices, config
        self._lock = lock
        self._since = time.monotonic()
        self._last: Frame | None = None
        """The newest picture when the exam began."""

    def anew(self) -> None:
        """An exam begins, goes on or ends: what came before is no picture of what follows (the exam's lock is held)."""
        self._since, self._last = time.monotonic(), None
        with suppress(ScannerError):
            self._last = self._scanner.still(self._scanner.state()["sequence"])

    def _is_new(self, frame: Frame) -> bool:
        """Whether a picture was made since the exam began, as far as its arrival and the probe's own clock tell."""
        if frame.t < self._since:
            return False
        last = self._last
        if last is None or last.connection != frame.connection or not last.timestamp_ns < frame.timestamp_ns:
            return True  # no clock to go by
        # The last one was made before it arrived, and this one so much later by the probe's clock.
        return last.t + (frame.timestamp_ns - last.timestamp_ns) / 1e9 >= self._since

    def begin(self) -> None:
        """Let the picture run and wait for the exam's first one, so that what is frozen from now on is of this exam."""
        with suppress(ScannerError):  # a probe that is not there has nothing to show
            self._scanner.freeze(False)
            self._newest()

    def still(self, sequence: int | None = None) -> Row:
        """The frozen or newest picture, or one that the cine memory still has."""
        exam = self._exams.open()
        with operator_hears():
            frame = self._newest() if sequence is None else self._scanner.still(sequence)

        def build(facts: Any, order: Any) -> Any:
            from ...objects.us import build_still

            return build_still(facts, order, frame)

        return self._keep(exam, frame, "still", datetime.now(), build, _of(frame))

    def _newest(self) -> Frame:
        """The frozen or newest picture; the first one of an exam that has just begun is waited for."""
        deadline = time.monotonic() + _FIRST_PICTURE_S
        while True:
            frame = self._scanner.still()
            if self._is_new(frame) or time.monotonic() >= deadline:
                return frame
            if self._scanner.state()["state"] == "frozen":
                return frame
            time.sleep(_LOOK_AGAIN_S)

    def screen(self) -> Row:
        """The screen as the operator sees it, with the patient's line."""
        exam = self._exams.open()
        with operator_hears():
            frame = self._newest()
            now = datetime.now()
            pixels = self._scanner.screen(self._lines(exam, now), frame=frame)

        def build(facts: Any, order: Any) -> Any:
            from ...objects.sc import build_screen

            return build_screen(facts, order, pixels)

        picture = {**_of(frame), "raw_sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}
        return self._keep(exam, frame, "screen", now, build, picture)

    def clip(self, frames: int | None, seconds: float | None, start_trim: int, before: bool) -> Row:
        """Pictures of one geometry: those that come, or with ``before`` those that were."""
        exam = self._exams.open()
        with operator_hears():
            clip = self._scanner.clip(frames, seconds, before=before, timeout=CLIP_TIMEOUT_S)
        if before:
            clip = self._of_this_exam(clip)
        if start_trim > len(clip.frames):
            raise Refused(f"start_trim {start_trim}: the clip has only {len(clip.frames)} pictures")
        began = datetime.now() - timedelta(seconds=max(0.0, time.monotonic() - clip.frames[0].t))

        def build(facts: Any, order: Any) -> Any:
            from ...objects.usmf import build_clip

            return build_clip(replace(facts, start_trim=start_trim), order, clip)

        picture = {**_of_clip(clip), "start_trim": start_trim}
        return self._keep(exam, clip.frames[0], "clip", began, build, picture)

    def _of_this_exam(self, clip: Clip) -> Clip:
        """What the cine memory has of the exam; a clip without any such picture is left for :meth:`_keep` to refuse."""
        own = [frame for frame in clip.frames if self._is_new(frame)]
        return make_clip(own, "memory") if own and len(own) < len(clip.frames) else clip

    def _keep(
        self,
        exam: Row,
        first: Frame,
        kind: str,
        moment: datetime,
        build: Build,
        picture: Mapping[str, Any],
    ) -> Row:
        """Make a capture, whose first picture is ``first``, an image of the exam."""
        with self._lock:  # never a picture of one patient in the exam of another
            if self._exams.open()["id"] != exam["id"]:
                raise Refused("the exam was ended before its picture was there")
            if not self._is_new(first):
                raise Refused("the picture came before this exam: take one that the probe makes now")
            try:
                return self._exams.keep(self._config(), kind, moment, build, picture)
            except ValueError as error:
                text = f"the picture cannot become an image: {error}"
                self._notices.warn("acquisition", "ultrasound", text)
                raise Refused(text) from error
            except (OSError, sqlite3.Error) as error:
                text = f"the image cannot be stored: {error}"
                self._notices.warn("acquisition", "disk", text)
                raise Refused(text) from error

    def _lines(self, exam: Row, now: datetime) -> list[str]:
        """What stands on the screen beside the picture."""
        from ...objects.common import text

        order = self._exams.order(exam)
        name = text(order, "PatientName").replace("^", " ").split("=")[0].strip()
        return [
            f"{name}  {text(order, 'PatientID')}".strip(),
            f"{self._config().institution}  {now:%Y-%m-%d %H:%M:%S}".strip(),
        ]


def _of(frame: Frame) -> dict[str, Any]:
    """What the claim says of one picture."""
    return {
        "raw_sha256": frame.sha256,
        "sequence": frame.sequence,
        "mode": frame.mode,
        "depth_mm": frame.settings.depth_mm,
    }


def _of_clip(clip: Clip) -> dict[str, Any]:
    return {
        "raw_sha256": clip.raw_sha256,
        "sequence": [clip.first, clip.last],
        "first": clip.first,
        "last": clip.last,
        "missing": clip.missing,
        "ended": clip.ended,
        "frame_time_ms": clip.frame_time_ms,
        "mode": clip.settings.mode,
        "depth_mm": clip.settings.depth_mm,
    }
