"""What an outside judge says of an object: lines with a severity and, where it names one, a tag.

Rules of this file:

* A judge's exit code is never believed (all of them return 0 on errors); its lines are what counts.
* A line is kept as printed, bounded in length and number: a judge may be as chatty as it likes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning"]
MAX_LINES: Final = 200
MAX_LENGTH: Final = 1000
_TAG: Final = re.compile(r"\(([0-9a-fA-F]{4}),([0-9a-fA-F]{4})\)")
_CODE: Final = re.compile(r"\(([A-Z0-9-]{1,16}),([A-Z0-9_]{1,16}),\"")


class JudgeError(Exception):
    """A judge could not look at an object: it is missing, took too long, or printed nothing that can be read."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a judge; ``about`` is the tag ``(gggg,eeee)`` or the concept code it ends with, if any."""

    severity: Severity
    text: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Opinion:
    """Everything that one judge says of one object; ``kind`` is what it takes the object for."""

    judge: str
    kind: str
    lines: tuple[Line, ...]

    @property
    def errors(self) -> tuple[Line, ...]:
        """Lines that call something wrong."""
        return tuple(line for line in self.lines if line.severity == "error")


def line(severity: Severity, text: str) -> Line:
    """Return a line with what it is about: the last tag in it, else the last concept code."""
    shown = text.strip()[:MAX_LENGTH]
    tags = _TAG.findall(shown)
    if tags:
        return Line(severity, shown, f"({tags[-1][0].upper()},{tags[-1][1].upper()})")
    codes = _CODE.findall(shown)
    return Line(severity, shown, codes[-1][0] if codes else "")


def opinion(judge: str, kind: str, lines: list[Line]) -> Opinion:
    """Return an opinion; of too many lines the first are kept, and the last one says how many were left out."""
    more = len(lines) - MAX_LINES
    if more > 0:
        lines = [*lines[:MAX_LINES], Line("warning", f"and {more} more lines")]
    return Opinion(judge, kind, tuple(lines))
