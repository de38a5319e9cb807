"""Durations, sizes, percentages and DIMSE status codes as people write them.

Rules of this file:

* A duration or size always carries its unit, so that nobody reads milliseconds as seconds.
* Sizes are decimal (``4 MB`` = 4,000,000 bytes) unless written ``KiB``, ``MiB``, ``GiB``.
* Every function raises ValueError with a sentence that says what would be right.
"""

from __future__ import annotations

import re
from typing import Final

_QUANTITY: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?([A-Za-zµ%]{1,3})")
_SECONDS: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_BYTES: Final = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
DURATION_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?(us|µs|ms|s|min|h)$"
SIZE_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)$"
RATE_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)/s$"
PERCENT_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?%$"
STATUS_PATTERN: Final = r"^(0x)?[0-9A-Fa-f]{4}$"


def duration(text: str) -> float:
    """Return seconds for texts like ``120 s``, ``500 ms``, ``2 min``."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in _SECONDS:
        raise ValueError("a duration looks like '120 s', '500 ms' or '2 min'")
    return round(float(match[1]) * _SECONDS[match[2]], 9)


def milliseconds(text: str) -> float:
    """Return milliseconds for a duration."""
    return round(duration(text) * 1000, 6)


def size(text: str) -> int:
    """Return bytes for texts like ``4 MB``, ``16 KiB``, ``512 B``."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in _BYTES:
        raise ValueError("a size looks like '4 MB', '16 KiB' or '512 B'")
    value = float(match[1]) * _BYTES[match[2]]
    if value != int(value):
        raise ValueError("a size is a whole number of bytes")
    return int(value)


def rate(text: str) -> int:
    """Return bytes per second for texts like ``2 MB/s``."""
    amount, slash, time = text.strip().partition("/")
    try:
        if not slash or time != "s":
            raise ValueError
        return size(amount)
    except ValueError:
        raise ValueError("a rate looks like '2 MB/s' or '500 kB/s'") from None


def percent(text: str) -> float:
    """Return 0…100 for texts like ``0.5 %``."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] != "%" or float(match[1]) > 100:
        raise ValueError("a share looks like '0.5 %', from 0 to 100")
    return float(match[1])


def status(text: str) -> int:
    """Return the DIMSE status (PS3.7 C) for four hexadecimal digits like ``A700`` or ``0xA700``."""
    if not re.fullmatch(STATUS_PATTERN, text.strip()):
        raise ValueError("a DIMSE status is four hexadecimal digits, like A700")
    return int(text.strip(), 16)


def format_duration(seconds: float) -> str:
    """Write seconds as a person would: ``120 s``, ``9.402 s``, ``70.2 ms``, ``3 µs``."""
    if seconds >= 1 or seconds <= 0:
        return f"{round(seconds, 3):.12g} s"
    if seconds >= 1e-3:
        return f"{round(seconds * 1e3, 1):g} ms"
    return f"{seconds * 1e6:.3g} µs"
