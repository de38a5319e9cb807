"""Text of strangers made harmless and readable: control characters become visible, numbers get units.

Rules of this file:

* Nothing here escapes for HTML or XML; templates and writers do that.  What leaves here holds no character
  that a page, a terminal or an XML file could not carry, and none that turns the direction of writing.
* A path becomes a link only if it is relative and made of plain parts (:func:`safe_path`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

_PICTURES: Final = {code: chr(0x2400 + code) for code in range(32)} | {127: "␡"}
_HIDDEN: Final = re.compile(
    "[\x80-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)


def visible(value: Any, lines: bool = False) -> str:
    """Return text in which every control, direction, half or unseen character is shown instead of acting.

    Two patient ids that differ in a sign that nobody sees would look the same; the marks that choose between forms of
    a kanji (U+FE00…, U+E0100…) stay, they belong to names.
    With ``lines``, newline and tab stay what they are.
    """
    text = str(value)
    pictures = {c: p for c, p in _PICTURES.items() if not (lines and c in (9, 10))}
    return _HIDDEN.sub(lambda m: f"⟦U+{ord(m.group()):04X}⟧", text.translate(pictures))


def shorten(text: str, limit: int) -> str:
    """Cut a text to at most ``limit`` characters, with an ellipsis where something is gone."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def seconds(value: float | None) -> str:
    """Return a duration that a person can compare: ``0.8 ms``, ``12 ms``, ``1.24 s``, ``120 s``, ``13 min 04 s``."""
    if value is None:
        return "–"
    sign, value = ("−", -value) if value < 0 else ("", value)
    if value < 0.000_95:
        return f"{sign}{value * 1e6:.0f} µs"
    if value < 0.0095:
        return f"{sign}{value * 1000:.1f} ms"
    if value < 0.9995:
        return f"{sign}{value * 1000:.0f} ms"
    if value < 9.995:
        return f"{sign}{value:.2f} s"
    if value < 99.95:
        return f"{sign}{value:.1f} s"
    if value < 600:
        return f"{sign}{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{sign}{minutes} min {rest:02d} s"


def size(value: int | float | None) -> str:
    """Return a number of bytes in the decimal units of disc and network makers."""
    if value is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}" if value < 1000 * factor else f"{value / factor:.0f} {unit}"
    return f"{value:g} B"


_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]*")


def safe_path(folder: Path, path: str) -> str | None:
    """Return ``path`` as it may stand in a link relative to ``folder``, or None.

    Allowed are plain parts divided by ``/`` that lead to something that exists inside the folder, with no
    link leading out of it.
    """
    parts = path.split("/")
    if len(path) > 400 or not all(_PART.fullmatch(part) and not part.endswith(".") for part in parts):
        return None
    try:
        full = folder.joinpath(*parts).resolve(strict=True)
        full.relative_to(folder.resolve())
    except (OSError, ValueError):
        return None
    return path
