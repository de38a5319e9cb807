"""Modality performed procedure steps and their rules (PS3.4 F.7.2; status codes PS3.7 annex C).

Rules of this file:

* Pure: a data set in, the new state or a :class:`Refusal` out.  The table of steps is guarded by one lock.
* A step is IN PROGRESS, then COMPLETED or DISCONTINUED, which is final.  What a final step answers to N-SET is
  status 0110 with Error ID A710 (F.7.2.2.4), never C300 (that is UPS).
* The attribute rules are Table F.7.2-1: what N-CREATE must carry, what N-SET must not, what a final state needs.
  ``checks`` says how many of them this RIS enforces: ``state`` only the state machine, ``type1`` also what must
  have a value, at creation and in a final state (the default: few RIS ask for more), ``full`` the whole table.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final, Literal

from simulators.dicom.elements import DataSet, keyword_entry, keyword_of

SOP_CLASS: Final = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step SOP Class."""
RETRIEVE_SOP_CLASS: Final = "1.2.840.10008.3.1.2.3.4"

IN_PROGRESS: Final = "IN PROGRESS"
FINAL: Final = ("COMPLETED", "DISCONTINUED")

Checks = Literal["state", "type1", "full"]
CHECKS: Final = ("state", "type1", "full")


class Refusal(Exception):
    """A request that is answered with a failure: ``status``, ``error_id`` (0000,0903), ``comment``."""

    def __init__(self, status: int, comment: str, error_id: int | None = None) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment
        self.error_id = error_id


def _tags(*keywords: str) -> tuple[int, ...]:
    return tuple(keyword_entry(k)[0] for k in keywords)


STATUS: Final = keyword_entry("PerformedProcedureStepStatus")[0]
_SCHEDULED: Final = keyword_entry("ScheduledStepAttributesSequence")[0]
_SERIES: Final = keyword_entry("PerformedSeriesSequence")[0]
_STUDY_UID: Final = keyword_entry("StudyInstanceUID")[0]

_CREATE_TYPE_1: Final = _tags(
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
)
_CREATE_TYPE_2: Final = _tags(
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ReferencedPatientSequence",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepDescription",
    "PerformedProcedureTypeDescription",
    "ProcedureCodeSequence",
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "StudyID",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
)
_SCHEDULED_TYPE_2: Final = _tags(
    "ReferencedStudySequence",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
)
_NOT_IN_SET: Final = _tags(
    "ScheduledStepAttributesSequence",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ReferencedPatientSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "Modality",
    "StudyID",
)
"""Attributes that N-SET may not change (Table F.7.2-1, 'Not allowed')."""
_FINAL_TYPE_1: Final = _tags("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")
_SERIES_TYPE_1: Final = _tags("ProtocolName", "SeriesInstanceUID")
_SERIES_TYPE_2: Final = _tags(
    "PerformingPhysicianName",
    "OperatorsName",
    "SeriesDescription",
    "RetrieveAETitle",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
)


@dataclass
class Step:
    """One performed procedure step as the RIS holds it."""

    sop_instance: str
    state: str
    dataset: DataSet = field(default_factory=dict)


class Steps:
    """The performed procedure steps of one RIS."""

    def __init__(self, checks: Checks = "type1", limit: int = 10_000) -> None:
        """``limit``: steps that are kept; more are refused as out of resources (0213)."""
        self._steps: dict[str, Step] = {}
        self._lock = threading.Lock()
        self._checks = checks
        self._limit = limit

    def all(self) -> list[Step]:
        """The steps in order of their creation."""
        with self._lock:
            return list(self._steps.values())

    def clear(self) -> None:
        """Forget every step."""
        with self._lock:
            self._steps.clear()

    def create(self, sop_instance: str, dataset: DataSet) -> Step:
        """N-CREATE; raises :class:`Refusal` with 0111, 0106, 0120, 0121 or 0213."""
        with self._lock:
            if sop_instance in self._steps:
                raise Refusal(0x0111, "duplicate SOP instance")
            state = _one(dataset, STATUS, "Performed Procedure Step Status")
            if state != IN_PROGRESS:
                raise Refusal(0x0106, f"a step is created IN PROGRESS, not {state}")
            if self._checks != "state":
                _check_create(dataset, full=self._checks == "full")
            if len(self._steps) >= self._limit:
                raise Refusal(0x0213, "too many performed procedure steps")
            step = self._steps[sop_instance] = Step(sop_instance, state, dict(dataset))
            return step

    def set(self, sop_instance: str, dataset: DataSet) -> Step:
        """N-SET; raises :class:`Refusal` with 0112, 0110 (A710), 0106, 0105, 0120 or 0121."""
        with self._lock:
            step = self._steps.get(sop_instance)
            if step is None:
                raise Refusal(0x0112, "no such SOP instance")
            if step.state in FINAL:
                raise Refusal(0x0110, "Performed Procedure Step Object may no longer be updated", 0xA710)
            state = step.state
            if STATUS in dataset:
                state = _one(dataset, STATUS, "Performed Procedure Step Status")
                if state not in (IN_PROGRESS, *FINAL):
                    raise Refusal(0x0106, f"{state} is no state of a step")
            merged = {**step.dataset, **dataset}
            if self._checks == "full":
                for tag in _NOT_IN_SET:
                    if tag in dataset:
                        raise Refusal(0x0105, f"{keyword_of(tag)} may not be set")
            if self._checks != "state" and state in FINAL:
                _check_final(merged, state, full=self._checks == "full")
            step.dataset, step.state = merged, state
            return step


def _one(dataset: DataSet, tag: int, name: str) -> str:
    element = dataset.get(tag)
    if element is None:
        raise Refusal(0x0120, f"missing attribute {name}")
    if not element.value:
        raise Refusal(0x0121, f"missing value of {name}")
    return str(element.value[0])


def _check_create(dataset: DataSet, *, full: bool) -> None:
    for tag in _CREATE_TYPE_1:
        _need_value(dataset, tag)
    for tag in _CREATE_TYPE_2 if full else ():
        _need(dataset, tag)
    for item in dataset[_SCHEDULED].value:
        _need_value(item, _STUDY_UID)
        for tag in _SCHEDULED_TYPE_2 if full else ():
            _need(item, tag)


def _check_final(dataset: DataSet, state: str, *, full: bool) -> None:
    for tag in _FINAL_TYPE_1:
        _need_value(dataset, tag)
    if state == "COMPLETED":  # a step that was discontinued before its first image has no series
        _need_value(dataset, _SERIES)
    series = dataset.get(_SERIES)
    for item in series.value if series else ():
        for tag in _SERIES_TYPE_1:
            _need_value(item, tag)
        for tag in _SERIES_TYPE_2 if full else ():
            _need(item, tag)


def _need(dataset: DataSet, tag: int) -> None:
    if tag not in dataset:
        raise Refusal(0x0120, f"missing attribute {keyword_of(tag)}")


def _need_value(dataset: DataSet, tag: int) -> None:
    _need(dataset, tag)
    if not dataset[tag].value:
        raise Refusal(0x0121, f"missing value of {keyword_of(tag)}")
