"""What the statement says about VXvue as a product (spec sections 1, 2, 6.2, 15).

Rules of this file: constants only; each with its clause.  Nothing slow is imported.
"""

from __future__ import annotations

from typing import Final

from ...dicom.uids import DX_PRESENTATION, MPPS, VERIFICATION, WORKLIST
from ...dicom.values import STEP
from ..profile import Context, Profile, WorklistKeys

NAME: Final = "VXvue"
SOFTWARE_VERSION: Final = "3.8.1"
MODEL: Final = "VIVIX"  # VX-STO-DX-067, a prefix (E3)
DETECTOR_MANUFACTURER: Final = "Vieworks Co.,Ltd"  # VX-STO-DX-126
IMPLEMENTATION_CLASS_UID: Final = "1.3.6.1.4.1.19719"  # VX-ASC-007, only as impersonation (VX-E-11)
MAX_PDU: Final = 16384  # VX-ASC-001, VX-D-03, VX-D-04

DETACHED_STUDY: Final = "1.2.840.10008.3.1.2.3.1"

WORKLIST_LIMIT: Final = 500  # VX-D-14

CODE_KEYS: Final = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")
REFERENCE_KEYS: Final = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
WORKLIST_KEYS: Final = (  # VX-MWL-K-001 … 039; sequence keys get one item of these (D2)
    f"{STEP}.ScheduledStationAETitle",
    "StudyDate",
    "StudyTime",
    f"{STEP}.ScheduledProcedureStepStartDate",
    f"{STEP}.ScheduledProcedureStepStartTime",
    f"{STEP}.Modality",
    f"{STEP}.ScheduledPerformingPhysicianName",
    f"{STEP}.ScheduledProcedureStepDescription",
    f"{STEP}.ScheduledStationName",
    f"{STEP}.ScheduledProcedureStepLocation",
    *(f"{STEP}.ScheduledProtocolCodeSequence.{key}" for key in CODE_KEYS),
    f"{STEP}.PreMedication",
    f"{STEP}.ScheduledProcedureStepID",
    f"{STEP}.RequestedContrastAgent",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    *(f"RequestedProcedureCodeSequence.{key}" for key in CODE_KEYS),
    "StudyInstanceUID",
    *(f"ReferencedStudySequence.{key}" for key in REFERENCE_KEYS),
    "RequestedProcedurePriority",
    "PatientTransportArrangements",
    "AccessionNumber",
    "RequestingPhysician",
    "ReferringPhysicianName",
    "AdmissionID",
    "CurrentPatientLocation",
    *(f"ReferencedPatientSequence.{key}" for key in REFERENCE_KEYS),
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientWeight",
    "ConfidentialityConstraintOnPatientDataDescription",
    "PatientState",
    "PregnancyStatus",
    "MedicalAlerts",
    "Allergies",
    "SpecialNeeds",
)

PROFILE: Final = Profile(
    name="vxvue",
    implementation_class_uid=IMPLEMENTATION_CLASS_UID,
    implementation_version_name=None,  # VX-ASC-008
    announced_pdu=MAX_PDU,
    unlimited_pdu=MAX_PDU,
    longest_pdu=None,
    contexts={  # VX-PC-…: Explicit VR Little Endian only
        "verification": (Context(VERIFICATION),),
        "worklist": (Context(WORKLIST),),
        "mpps": (Context(MPPS),),
        "storage": (Context(DX_PRESENTATION),),
    },
    worklist=WorklistKeys(
        paths=WORKLIST_KEYS,
        defaults={"PatientName": "*"},  # VX-D-13
        limit=WORKLIST_LIMIT,
        name_prefix=True,
        say_charset=False,
    ),
)
