"""The five transfer syntaxes of the statement (MX-STO-PC-001 … 014, MX-MED-PC-001 … 015) and what each means.

Rules of this file: constants and questions about them only; no file is opened here.
"""

from __future__ import annotations

from typing import Final

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.70"

NATIVE: Final = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)
COMPRESSED: Final = (JPEG_BASELINE, JPEG_LOSSLESS)
SYNTAXES: Final = (*NATIVE, *COMPRESSED)
NAMES: Final = {
    "explicit": EXPLICIT_LE,
    "implicit": IMPLICIT_LE,
    "big": EXPLICIT_BE,
    "jpeg": JPEG_BASELINE,
    "lossless": JPEG_LOSSLESS,
}
"""The words of the configuration."""
METHOD: Final = "ISO_10918_1"
"""Lossy Image Compression Method of JPEG Baseline (PS3.3 C.7.6.1.1.5.1)."""

_US_MULTIFRAME: Final = "1.2.840.10008.5.1.4.1.1.3.1"


class PixelError(ValueError):
    """An instance cannot be read or cannot be written in the wished transfer syntax; the text says why."""


def offered(sop_class: str, syntax: str) -> bool:
    """Tell whether the statement has a row for the two; Ultrasound Multi-frame has none for JPEG Lossless (MX-E-07)."""
    return syntax in SYNTAXES and not (sop_class == _US_MULTIFRAME and syntax == JPEG_LOSSLESS)


def is_implicit(syntax: str) -> bool:
    """No VR is written in this syntax (PS3.5 A.1)."""
    return syntax == IMPLICIT_LE


def is_big(syntax: str) -> bool:
    """Numbers have their highest byte first (PS3.5 A.3)."""
    return syntax == EXPLICIT_BE
