"""The attribute lists of a Modality Performed Procedure Step (VX-MPPS-NC-001 … 038, VX-MPPS-NS-001 … 024).

Rules of this file:

* Exactly the tables 8.2 and 8.3 with the errata VX-E-40 … 44, 59, 60 and the rulings D4 … D7: nesting restored, Code
  Meaning always sent, Performed Series Sequence empty at N-CREATE only, end date and time always filled at N-SET.
* Type 2 without a value is sent empty, never left out.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ..dicom.uids import DX_PRESENTATION
from ..dicom.values import da, tm
from ..products import vxvue
from .common import (
    SeriesFacts,
    StepFacts,
    codes,
    put_start,
    reference,
    references,
    scheduled_step,
    sex,
    step_description,
    text,
    value,
)


def in_progress(order: Dataset, facts: StepFacts) -> Dataset:
    """The attribute list of the N-CREATE (table 8.2)."""
    step = scheduled_step(order)
    out = Dataset()
    out.PatientName = text(order, "PatientName")
    out.PatientID = text(order, "PatientID")
    out.PatientBirthDate = text(order, "PatientBirthDate")
    out.PatientSex = sex(order)
    out.ReferencedPatientSequence = Sequence(references(order, "ReferencedPatientSequence"))  # VX-E-59

    scheduled = Dataset()
    scheduled.AccessionNumber = text(order, "AccessionNumber")
    study = references(order, "ReferencedStudySequence")
    scheduled.ReferencedStudySequence = Sequence(
        study or [reference(vxvue.DETACHED_STUDY, facts.study_uid)]
    )  # D4
    scheduled.StudyInstanceUID = facts.study_uid
    scheduled.RequestedProcedureDescription = text(order, "RequestedProcedureDescription")
    scheduled.ScheduledProcedureStepDescription = text(step, "ScheduledProcedureStepDescription")
    scheduled.ScheduledProtocolCodeSequence = Sequence(
        codes(step, "ScheduledProtocolCodeSequence")
    )  # VX-E-59
    scheduled.ScheduledProcedureStepID = text(step, "ScheduledProcedureStepID")
    scheduled.RequestedProcedureID = text(order, "RequestedProcedureID")
    out.ScheduledStepAttributesSequence = Sequence([scheduled])  # VX-E-43

    _put_procedure(out, order)
    out.PerformedStationAETitle = facts.station_ae
    out.PerformedStationName = facts.station_name
    out.PerformedLocation = facts.location
    put_start(out, facts)
    out.PerformedProcedureStepEndDate = ""
    out.PerformedProcedureStepEndTime = ""
    out.PerformedProcedureStepStatus = "IN PROGRESS"
    out.PerformedProcedureStepID = facts.pps_id
    out.Modality = facts.modality
    out.StudyID = facts.study_id
    out.PerformedSeriesSequence = Sequence()
    return out


def final(
    order: Dataset,
    status: str,
    ended: datetime,
    series: Several[SeriesFacts],
    operator: str,
    retrieve_ae: str,
) -> Dataset:
    """The attribute list of the N-SET (table 8.3).

    Args:
        status: COMPLETED or DISCONTINUED.
        series: those with instances; may be empty only when discontinued (ruling D6).
        retrieve_ae: AE title of the first storage destination, or empty (ruling D7).

    Raises:
        ValueError: a completed step without series.
    """
    if status == "COMPLETED" and not series:
        raise ValueError("a completed step needs at least one series (PS3.4 Table F.7.2-1)")
    out = Dataset()
    _put_procedure(out, order)
    out.PerformedProcedureStepEndDate = da(ended)
    out.PerformedProcedureStepEndTime = tm(ended)
    out.PerformedProcedureStepStatus = status
    performed = []
    for one in series:
        item = Dataset()
        item.PerformingPhysicianName = value(scheduled_step(order), "ScheduledPerformingPhysicianName") or ""
        item.ProtocolName = "Unknown" if status == "DISCONTINUED" else one.protocol  # VX-MPPS-NS-018
        item.OperatorsName = operator
        item.SeriesInstanceUID = one.uid
        item.SeriesDescription = one.description
        item.RetrieveAETitle = retrieve_ae
        item.ReferencedImageSequence = Sequence([reference(DX_PRESENTATION, uid) for uid in one.instances])
        item.ReferencedNonImageCompositeSOPInstanceSequence = Sequence()
        performed.append(item)
    out.PerformedSeriesSequence = Sequence(performed)
    return out


def _put_procedure(out: Dataset, order: Dataset) -> None:
    """What N-CREATE and N-SET say alike: procedure, description and protocol."""
    out.ProcedureCodeSequence = Sequence(codes(order, "RequestedProcedureCodeSequence"))
    out.PerformedProcedureStepDescription = step_description(order)
    out.PerformedProcedureTypeDescription = text(order, "RequestedProcedureDescription")
    out.PerformedProtocolCodeSequence = Sequence(
        codes(scheduled_step(order), "ScheduledProtocolCodeSequence")
    )
