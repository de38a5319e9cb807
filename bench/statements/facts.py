"""What the standard says where a statement may contradict it: terms, mandatory elements, profiles, syntaxes.

Rules of this file:

* Only what the linter compares with and the dictionary (PS3.6) does not hold; each table cites its place.
* Terms are enumerated values and defined terms of PS3.3; where the standard leaves the list open, a term outside it
  is an extension that a reader must know, and the linter says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
DX: Final = "1.2.840.10008.5.1.4.1.1.1.1"
XRAY_DOSE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.67"

TERMS: Final[Mapping[str, frozenset[str]]] = {
    # PS3.3 C.8.11.4, C.11.6, C.8.11.3, C.13.1, C.13.3, C.13.5
    "DetectorType": frozenset(("DIRECT", "SCINTILLATOR", "STORAGE", "FILM")),
    "PresentationLUTShape": frozenset(("IDENTITY", "INVERSE")),
    "PixelIntensityRelationship": frozenset(("LIN", "LOG")),
    "BurnedInAnnotation": frozenset(("YES", "NO")),
    "FilmDestination": frozenset(("MAGAZINE", "PROCESSOR", *(f"BIN_{i}" for i in range(1, 10)))),
    "FilmOrientation": frozenset(("PORTRAIT", "LANDSCAPE")),
    "MagnificationType": frozenset(("REPLICATE", "BILINEAR", "CUBIC", "NONE")),
    "MediumType": frozenset(("PAPER", "CLEAR FILM", "BLUE FILM", "MAMMO CLEAR FILM", "MAMMO BLUE FILM")),
    "PrintPriority": frozenset(("HIGH", "MED", "LOW")),
    "Polarity": frozenset(("NORMAL", "REVERSE")),
    "Trim": frozenset(("YES", "NO")),
    "FilmSizeID": frozenset(
        (
            "8INX10IN",
            "8_5INX11IN",
            "10INX12IN",
            "10INX14IN",
            "11INX14IN",
            "11INX17IN",
            "14INX14IN",
            "14INX17IN",
            "24CMX24CM",
            "24CMX30CM",
            "A4",
            "A3",
        )
    ),
    "PerformedProcedureStepStatus": frozenset(("IN PROGRESS", "DISCONTINUED", "COMPLETED")),
    "QueryRetrieveLevel": frozenset(("PATIENT", "STUDY", "SERIES", "IMAGE")),
}

ONLY: Final[Mapping[tuple[str, str], tuple[frozenset[str], str]]] = {
    # (SOP class or data set, keyword): the values there, and where the standard says so
    (XRAY_DOSE_SR, "CompletionFlag"): (frozenset(("COMPLETE",)), "PS3.16 TID 10001 and PS3.3 A.35.8"),
    (XRAY_DOSE_SR, "Modality"): (frozenset(("SR",)), "PS3.3 C.17.1"),
    (DX, "Modality"): (frozenset(("DX", "PX", "IO", "MG")), "PS3.3 A.26 and C.8.11.1: DX in a DX image"),
    (DX, "PhotometricInterpretation"): (frozenset(("MONOCHROME1", "MONOCHROME2")), "PS3.3 C.8.11.3"),
    ("image-box", "BitsStored"): (frozenset(("8", "12")), "PS3.4 H.4.3.1.2 with PS3.3 C.13.5"),
    ("image-box", "HighBit"): (frozenset(("7", "11")), "PS3.4 H.4.3.1.2 with PS3.3 C.13.5"),
}

TOGETHER: Final = (
    # values of two elements of one data set that exclude each other
    (
        DX,
        ("PhotometricInterpretation", "MONOCHROME2"),
        ("PresentationLUTShape", "INVERSE"),
        "PS3.3 C.8.11.3: INVERSE goes with MONOCHROME1, IDENTITY with MONOCHROME2",
    ),
)

MANDATORY: Final[Mapping[str, tuple[tuple[str, tuple[str, ...], str, str], ...]]] = {
    # SOP class or data set: (keyword, inside, type, where), elements of mandatory modules that a table must have
    DX: (
        ("PositionerType", (), "2", "PS3.3 C.8.11.5 DX Positioning"),
        ("AcquisitionContextSequence", (), "2", "PS3.3 C.7.6.14 Acquisition Context"),
        ("AnatomicRegionSequence", (), "2", "PS3.3 C.8.11.2 DX Anatomy Imaged"),
        ("ImageLaterality", (), "1", "PS3.3 C.8.11.2 DX Anatomy Imaged"),
        ("PresentationIntentType", (), "1", "PS3.3 C.8.11.1 DX Series"),
        ("DetectorType", (), "2", "PS3.3 C.8.11.4 DX Detector"),
        ("ImagerPixelSpacing", (), "1", "PS3.3 C.8.11.4 DX Detector"),
    ),
    XRAY_DOSE_SR: (
        ("ReferencedPerformedProcedureStepSequence", (), "2", "PS3.3 C.17.1 SR Document Series"),
        ("PerformedProcedureCodeSequence", (), "2", "PS3.3 C.17.2 SR Document General"),
    ),
    "mpps-create": (
        (
            "ScheduledProtocolCodeSequence",
            ("ScheduledStepAttributesSequence",),
            "2",
            "PS3.4 Table F.7.2-1",
        ),
        ("ReferencedPatientSequence", (), "2", "PS3.4 Table F.7.2-1"),
    ),
}

PROFILES: Final[Mapping[str, frozenset[str]]] = {
    # PS3.11 annex J, Tables J.1-1 and J.3-1 (general purpose USB and flash memory)
    name: frozenset((EXPLICIT_LE, *syntaxes))
    for name, syntaxes in {
        "STD-GEN-USB-JPEG": (
            "1.2.840.10008.1.2.4.70",
            "1.2.840.10008.1.2.4.50",
            "1.2.840.10008.1.2.4.51",
        ),
        "STD-GEN-SD-JPEG": ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"),
        "STD-GEN-USB-J2K": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
        "STD-GEN-SD-J2K": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
    }.items()
}

MULTI_BYTE: Final = frozenset(("ISO 2022 IR 87", "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58"))
"""Sets that are never the first value of Specific Character Set (PS3.3 C.12.1.1.2)."""

RETIRED_SCHEMES: Final[Mapping[str, str]] = {"SRT": "SCT", "SNM3": "SCT", "99SDM": "SCT"}
"""Coding schemes that the standard has replaced (PS3.16 section 8)."""
