"""Values as DICOM writes them: numbers as text, dates, times, UIDs.

Rules of this file: pure functions, no DICOM library; local time without zone (VX-D-33); UIDs under ``2.25.`` (VX-D-28).
"""

from __future__ import annotations

import math
import uuid
from datetime import date, datetime
from typing import Final

STEP: Final = "ScheduledProcedureStepSequence"
"""The sequence of a worklist item that says what is to be done."""


def new_uid() -> str:
    """A new UID: ``2.25.`` and a random UUID as integer (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def decimal(value: float) -> str:
    """A DS of at most 16 characters with as many digits as fit (PS3.5 6.2).

    Raises:
        ValueError: infinity or not a number.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value!r} cannot be written as decimal string")
    if value == 0:
        return "0"
    for digits in range(12, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError(f"{value!r} does not fit a decimal string")


def integer(value: float) -> str:
    """An IS: rounded, within 32 bits (PS3.5 6.2)."""
    number = round(value)
    if not -(2**31) <= number < 2**31:
        raise ValueError(f"{value!r} does not fit an integer string")
    return str(number)


def da(moment: date) -> str:
    """A DA."""
    return moment.strftime("%Y%m%d")


def tm(moment: datetime, *, fraction: bool = False) -> str:
    """A TM to the second, or to the microsecond."""
    return moment.strftime("%H%M%S.%f" if fraction else "%H%M%S")


def age(birth_date: str, on: date) -> str:
    """An AS (``034Y``, ``005M``, ``012D``), or empty when the birth date is none (PS3.5 6.2)."""
    try:
        born = datetime.strptime(birth_date, "%Y%m%d").date()
    except ValueError:
        return ""
    days = (on - born).days
    if days < 0:
        return ""
    months = (on.year - born.year) * 12 + on.month - born.month - (on.day < born.day)
    if days < 31:
        return f"{days:03d}D"
    if months < 24:
        return f"{months:03d}M"
    years = months // 12
    return f"{years:03d}Y" if years < 1000 else ""


def split_name(keyword_path: str) -> list[str]:
    """``A.B`` -> ``["A", "B"]`` for keys inside sequences."""
    return [part for part in keyword_path.split(".") if part]
