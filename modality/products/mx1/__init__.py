"""What the statement says about MX1 as a product (spec sections 1 to 4, 10).

Rules of this file: constants only; each with its clause.  Nothing slow is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ...dicom.uids import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    SECONDARY_CAPTURE,
    US,
    US_MULTIFRAME,
    VERIFICATION,
    WORKLIST,
)
from ...dicom.values import STEP
from ...objects.usfacts import CHARSETS
from ..profile import Context, Profile, WorklistKeys

MODEL: Final = "SONIMAGE MX1"
MANUFACTURER: Final = "KONICA MINOLTA"
VERSIONS: Final = ("1.20", "1.10")
ANNOUNCED_PDU: Final = 65536  # MX-VER-002 and sisters
LONGEST_PDU: Final = {"1.20": 131072, "1.10": 20480}  # MX-VER-003, 004 and sisters; MX-D-03
MEDIA_IMPLEMENTATION: Final = ("1.2.392.200036.9107.700.1", "MG_DICOM V1.00")  # MX-MED-001, 002

SYNTAXES: Final = {
    "explicit": EXPLICIT,
    "implicit": IMPLICIT,
    "big": BIG_ENDIAN,
    "jpeg": JPEG_BASELINE,
    "lossless": JPEG_LOSSLESS,
}
"""The words of the settings -> transfer syntaxes."""
KINDS: Final = {"still": US, "clip": US_MULTIFRAME, "screen": SECONDARY_CAPTURE}
"""Kinds of images -> SOP classes."""
UNCOMPRESSED: Final = (EXPLICIT, IMPLICIT, BIG_ENDIAN)  # the order of preference (MX-D-02)
COMPRESSED: Final = {  # MX-STO-PC-001 … 014; a clip has no lossless row (MX-E-07)
    "still": (JPEG_LOSSLESS, JPEG_BASELINE),
    "clip": (JPEG_BASELINE,),
    "screen": (JPEG_LOSSLESS, JPEG_BASELINE),
}

_CODE: Final = ("CodeValue", "CodingSchemeVersion", "CodingSchemeDesignator", "CodeMeaning")
WORKLIST_KEYS: Final = (  # MX-MWL-MK-01 … 08, MX-MWL-RK-01 … 46
    f"{STEP}.ScheduledStationAETitle",
    f"{STEP}.ScheduledProcedureStepStartDate",
    f"{STEP}.ScheduledProcedureStepStartTime",
    f"{STEP}.Modality",
    f"{STEP}.ScheduledPerformingPhysicianName",
    f"{STEP}.ScheduledProcedureStepDescription",
    *(f"{STEP}.ScheduledProtocolCodeSequence.{key}" for key in _CODE),
    f"{STEP}.ScheduledProcedureStepID",
    f"{STEP}.RequestedContrastAgent",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    *(f"RequestedProcedureCodeSequence.{key}" for key in _CODE),
    "StudyInstanceUID",
    "AccessionNumber",
    "RequestingPhysician",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientComments",
    "MedicalAlerts",
    "Allergies",
    "PregnancyStatus",
    "LastMenstrualDate",
    "SpecialNeeds",
    "PatientState",
)


def preference(kind: str, word: str) -> tuple[str, ...]:
    """The transfer syntaxes of a kind of image, best first: the wished one, then what keeps every pixel (MX-D-02)."""
    rest = sorted({*UNCOMPRESSED, *COMPRESSED[kind]} - {SYNTAXES[word]}, key=_BY_QUALITY.index)
    return (SYNTAXES[word], *rest)


_BY_QUALITY: Final = (*UNCOMPRESSED, JPEG_LOSSLESS, JPEG_BASELINE)


def storage_contexts(wished: Mapping[str, str]) -> tuple[Context, ...]:
    """Each class once with the uncompressed three and once with each compressed one (MX-D-01): eight contexts."""
    contexts = []
    for kind, sop_class in KINDS.items():
        best = preference(kind, wished[kind])
        contexts.append(Context(sop_class, tuple(uid for uid in best if uid in UNCOMPRESSED)))
        contexts += [Context(sop_class, (uid,)) for uid in best if uid not in UNCOMPRESSED]
    return tuple(contexts)


STORAGE_SYNTAX: Final = {"still": "explicit", "clip": "jpeg", "screen": "explicit"}  # MX-D-02
MEDIA_SYNTAX: Final = {"still": "explicit", "clip": "explicit", "screen": "explicit"}  # MX-D-22
PROFILE: Final = Profile(
    name="mx1",
    implementation_class_uid="1.2.392.200036.9107.804",  # MX-VER-007 and sisters
    implementation_version_name="KM_SMGMX1_1.00",  # MX-VER-008 and sisters
    announced_pdu=ANNOUNCED_PDU,
    unlimited_pdu=LONGEST_PDU["1.20"],
    longest_pdu=LONGEST_PDU["1.20"],
    contexts={
        "verification": (Context(VERIFICATION, (IMPLICIT, EXPLICIT, BIG_ENDIAN)),),  # MX-VER-PC-001 … 003
        "worklist": (Context(WORKLIST, (IMPLICIT,)),),  # MX-MWL-PC-001
        "storage": storage_contexts(STORAGE_SYNTAX),
    },
    worklist=WorklistKeys(
        paths=WORKLIST_KEYS,
        defaults={},  # MX-D-10: name, ID and accession number as typed
        limit=500,
        name_prefix=False,
        say_charset=True,  # MX-MWL-MK-01
    ),
    one_association=True,  # MX-VER-005 and sisters, ruling C8
    charsets=CHARSETS,
    ipv4_only=True,  # MX-COM-006
)


def profile_of(version: str, wished: Mapping[str, str]) -> Profile:
    """The profile of one software version (MX-VER-004: V1.10 sends shorter PDUs) and preference of syntaxes."""
    longest = LONGEST_PDU[version]
    contexts = {**PROFILE.contexts, "storage": storage_contexts(wished)}
    return replace(PROFILE, unlimited_pdu=longest, longest_pdu=longest, contexts=contexts)
