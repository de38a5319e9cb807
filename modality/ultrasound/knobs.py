"""Knobs of the front end: ask for a setting, wait for its answer.

Rules of this file:

* A setting is text ``depth=120;gain=6``.  From header version 2 on it goes as COMMAND ``Set`` and is answered by
  RTS_COMMAND of the same number (JSON ``{"code", "text"}``), before as STRING ``UsSet``, answered by STATUS ``UsSet``
  in the order it was asked.
* The condition is the scanner's, and held by who calls.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from modality.ultrasound.igtl import OK, write_command, write_question, write_text
from modality.ultrasound.model import ScannerError, Settings

KNOB_ANSWER: Final = "UsSet"
UNANSWERED: Final = 64
"""Settings without an answer that are remembered."""
_WORD: Final = re.compile(r"[A-Za-z0-9_.+-]{1,32}")


def write_knobs(knobs: Mapping[str, Any]) -> str:
    """``name=value;name=value``; raises :class:`ScannerError` for what cannot be said like that."""
    parts = []
    for name, value in knobs.items():
        said = f"{value:d}" if isinstance(value, bool) else str(value)
        if not (_WORD.fullmatch(name) and _WORD.fullmatch(said)):
            raise ScannerError("frontend-refused", f"The knob {name!r} cannot be set to {value!r}.")
        parts.append(f"{name}={said}")
    if not parts:
        raise ScannerError("frontend-refused", "No knob was named.")
    return ";".join(parts)


def shown(knobs: Mapping[str, Any], settings: Settings) -> bool:
    """A picture of these settings was made with these knobs."""
    for name, value in knobs.items():
        if name in ("mode", "probe"):
            if str(value).lower() != (settings.mode if name == "mode" else settings.probe).lower():
                return False
            continue
        have = {
            "depth": settings.depth_mm,
            "gain": settings.gain_db,
            "dynamic_range": settings.dynamic_range_db,
        }
        if name in have and not math.isclose(float(value), have[name], abs_tol=1e-6):
            return False
    return True


def read_answer(text: str) -> tuple[int, str] | None:
    """Code and words of an answer ``{"code": 1, "text": "..."}``; None when it is none."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    code = said.get("code") if isinstance(said, dict) else None
    if isinstance(code, bool) or not isinstance(code, int):
        return None
    return code, str(said.get("text", ""))[:200]


class Requests:
    """Settings on their way."""

    def __init__(self, send: Callable[[bytes], bool], changed: threading.Condition) -> None:
        self._send = send
        self._changed = changed
        self._number = 0
        self._open: dict[int, tuple[int, str] | None] = {}
        self._unwaited: set[int] = set()
        """Numbers of those nobody waits for (any more): their answers may still come, and are no others'."""

    def ask(self, knobs: Mapping[str, Any], wait: float, alive: Callable[[], bool], version: int) -> None:
        """Set knobs and wait for the answer; raises :class:`ScannerError`."""
        text = write_knobs(knobs)
        number = self._put(text, version) if alive() else None
        if number is None:
            raise ScannerError("frontend-absent", "The ultrasound front end is not connected.")
        try:
            self._changed.wait_for(lambda: not alive() or self._open.get(number, (0, "")) is not None, wait)
            answer = self._open.get(number)
        finally:
            if self._open.get(number, (0, "")) is None and len(self._unwaited) < UNANSWERED:
                self._unwaited.add(number)
            else:
                self._open.pop(number, None)
        if answer is None and not alive():
            raise ScannerError("frontend-absent", "The connection to the ultrasound front end broke.")
        if answer is None:
            raise ScannerError("frontend-silent", f"The front end did not answer to {text}.")
        if answer[0] != OK:
            raise ScannerError("frontend-refused", f"The front end refused {text}: {answer[1]}")

    def tell(self, knobs: Mapping[str, Any], version: int) -> None:
        """Send a setting and do not wait for its answer."""
        number = self._put(write_knobs(knobs), version)
        if number is None:
            return
        if len(self._unwaited) < UNANSWERED:
            self._unwaited.add(number)
        else:
            self._open.pop(number)

    def _put(self, text: str, version: int) -> int | None:
        """Send a setting; its number, or None when there is no connection."""
        self._number = self._number % 0xFFFFFFFF + 1
        if version >= 2:
            data = write_command(KNOB_ANSWER, self._number, "Set", text, time.time_ns())
        else:
            data = write_text(KNOB_ANSWER, text, time.time_ns())
        self._open[self._number] = None
        if not self._send(data):
            del self._open[self._number]
            return None
        return self._number

    def question(self, type_: str, device: str) -> None:
        """Ask for something that comes by itself."""
        self._send(write_question(type_, device, time.time_ns()))

    def answered(self, number: int | None, code: int, text: str) -> None:
        """An answer came; without a number it belongs to the oldest question."""
        if number is None:
            number = next((n for n, answer in self._open.items() if answer is None), 0)
        if number in self._unwaited:
            self._unwaited.discard(number)
            del self._open[number]
        elif number in self._open:
            self._open[number] = (code, text)
            self._changed.notify_all()

    def forget(self) -> None:
        """The connection is another one: no answer will come any more."""
        self._open.clear()
        self._unwaited.clear()
        self._changed.notify_all()
