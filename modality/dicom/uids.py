"""The UIDs that both products speak of, under names.

Rules of this file: constants only; no import beyond the standard library.
"""

from __future__ import annotations

from typing import Final

VERIFICATION: Final = "1.2.840.10008.1.1"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
DX_PRESENTATION: Final = "1.2.840.10008.5.1.4.1.1.1.1"
US_MULTIFRAME: Final = "1.2.840.10008.5.1.4.1.1.3.1"
US: Final = "1.2.840.10008.5.1.4.1.1.6.1"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.70"
SYNTAX_NAMES: Final = {
    IMPLICIT: "Implicit VR Little Endian",
    EXPLICIT: "Explicit VR Little Endian",
    BIG_ENDIAN: "Explicit VR Big Endian",
    JPEG_BASELINE: "JPEG Baseline",
    JPEG_LOSSLESS: "JPEG Lossless",
}
