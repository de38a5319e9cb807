"""What images and procedure steps share: taking values over from the order, references, coded entries.

Rules of this file:

* An *order* is the worklist item of the exam, or a data set of the same shape made from what the operator typed.
* Values are taken over as they are; a value that cannot be read is left out, never guessed.
* Half of an identifier may be somebody else's: one with several values stays whole, and a reference or a code with
  several is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ..dicom.values import STEP, da, tm

IDENTIFIERS: Final = frozenset(
    (
        "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "AccessionNumber", "RequestedProcedureID",
        "ScheduledProcedureStepID", "StudyInstanceUID", "StudyID",
    )
)  # fmt: skip


def value(source: Dataset, keyword: str) -> Any:
    """A value, or None when it is absent, empty or not readable."""
    try:
        found = source.get(keyword)
    except (ValueError, TypeError, OverflowError, NotImplementedError, KeyError):
        return None
    return None if found is None or found == "" else found


def text(source: Dataset, keyword: str, limit: int | None = None) -> str:
    """A value as text; empty when there is none or it is longer than ``limit``.

    Of several the first one, but all of an identifier's.
    """
    found = value(source, keyword)
    if found is None:
        return ""
    if _are_several(found):
        found = "\\".join(map(str, found)) if keyword in IDENTIFIERS else found[0] if found else ""
    result = str(found).strip()
    return "" if limit and len(result) > limit else result


def _are_several(found: Any) -> bool:
    return type(found).__name__ == "MultiValue" or isinstance(found, list)


def _only(source: Dataset, keyword: str) -> str:
    """A value as text when it is the only one."""
    return "" if _are_several(value(source, keyword)) else text(source, keyword)


def items(source: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty when absent."""
    found = value(source, keyword)
    return list(found) if isinstance(found, Sequence) else []


def scheduled_step(order: Dataset) -> Dataset:
    """The first scheduled procedure step of an order; an empty data set when there is none."""
    steps = items(order, STEP)
    return steps[0] if steps else Dataset()


def code(value_: str, scheme: str, meaning: str) -> Dataset:
    """A coded entry (PS3.3 8.8)."""
    entry = Dataset()
    entry.CodeValue = value_
    entry.CodingSchemeDesignator = scheme
    entry.CodeMeaning = meaning
    return entry


def codes(source: Dataset, keyword: str) -> list[Dataset]:
    """The usable coded entries of a sequence; Code Meaning is always there (VX-E-42)."""
    entries = []
    for item in items(source, keyword):
        code_value, scheme = _only(item, "CodeValue"), _only(item, "CodingSchemeDesignator")
        if not code_value or not scheme:
            continue
        entry = code(code_value, scheme, text(item, "CodeMeaning") or code_value)
        version = text(item, "CodingSchemeVersion")
        if version:
            entry.CodingSchemeVersion = version
        entries.append(entry)
    return entries


def reference(sop_class: str, sop_instance: str) -> Dataset:
    """An item that refers to one instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = sop_instance
    return item


def references(source: Dataset, keyword: str) -> list[Dataset]:
    """The complete references of a sequence."""
    pairs = (
        (_only(i, "ReferencedSOPClassUID"), _only(i, "ReferencedSOPInstanceUID"))
        for i in items(source, keyword)
    )
    return [reference(sop_class, instance) for sop_class, instance in pairs if sop_class and instance]


def put(target: Dataset, keyword: str, entries: list[Dataset]) -> None:
    """Set a sequence, if there is something to say."""
    if entries:
        setattr(target, keyword, Sequence(entries))


def request(order: Dataset, study_uid: str) -> Dataset | None:
    """The request that an image answers; None for an unscheduled exam (PS3.3 Table 10-9)."""
    scheduled = scheduled_step(order)
    step_id, procedure_id = text(scheduled, "ScheduledProcedureStepID"), text(order, "RequestedProcedureID")
    if not step_id or not procedure_id:
        return None
    item = Dataset()
    item.RequestedProcedureID = procedure_id
    item.ScheduledProcedureStepID = step_id
    item.StudyInstanceUID = study_uid
    for keyword, found in (
        ("AccessionNumber", text(order, "AccessionNumber")),
        ("RequestedProcedureDescription", text(order, "RequestedProcedureDescription")),
        ("ScheduledProcedureStepDescription", text(scheduled, "ScheduledProcedureStepDescription")),
    ):
        if found:
            setattr(item, keyword, found)
    put(item, "RequestedProcedureCodeSequence", codes(order, "RequestedProcedureCodeSequence"))
    put(item, "ScheduledProtocolCodeSequence", codes(scheduled, "ScheduledProtocolCodeSequence"))
    return item


def sex(order: Dataset) -> str:
    """Patient's Sex as the statement allows it (M, F, O), else empty."""
    found = text(order, "PatientSex").upper()
    return found if found in ("M", "F", "O") else ""


@dataclass(frozen=True)
class StepFacts:
    """What is known of a performed procedure step (identifiers are those of the store)."""

    study_uid: str
    study_id: str
    sop_instance: str
    pps_id: str
    started: datetime
    station_ae: str
    station_name: str
    location: str
    modality: str = "DX"


@dataclass(frozen=True)
class SeriesFacts:
    """A series of a performed step with the instances made in it."""

    uid: str
    protocol: str
    description: str
    instances: tuple[str, ...] = ()


def put_start(target: Dataset, facts: StepFacts) -> None:
    """Performed Procedure Step Start Date and Time."""
    target.PerformedProcedureStepStartDate = da(facts.started)
    target.PerformedProcedureStepStartTime = tm(facts.started)


def step_description(order: Dataset) -> str:
    """What is done, in words: of the scheduled step, else of the requested procedure."""
    return text(scheduled_step(order), "ScheduledProcedureStepDescription") or text(
        order, "RequestedProcedureDescription"
    )
