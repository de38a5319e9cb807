"""What the statement says about VXvue as a product (spec sections 1, 2, 6.2, 15).

Rules of this file: constants only; each with its clause.  No import beyond the standard library.
"""

from __future__ import annotations

from typing import Final

NAME: Final = "VXvue"
SOFTWARE_VERSION: Final = "3.8.1"
MODEL: Final = "VIVIX"  # VX-STO-DX-067, a prefix (E3)
DETECTOR_MANUFACTURER: Final = "Vieworks Co.,Ltd"  # VX-STO-DX-126
IMPLEMENTATION_CLASS_UID: Final = "1.3.6.1.4.1.19719"  # VX-ASC-007, only as impersonation (VX-E-11)
MAX_PDU: Final = 16384  # VX-ASC-001, VX-D-03, VX-D-04

VERIFICATION: Final = "1.2.840.10008.1.1"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
DX_PRESENTATION: Final = "1.2.840.10008.5.1.4.1.1.1.1"
DETACHED_STUDY: Final = "1.2.840.10008.3.1.2.3.1"

WORKLIST_LIMIT: Final = 500  # VX-D-14

STEP: Final = "ScheduledProcedureStepSequence"
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
