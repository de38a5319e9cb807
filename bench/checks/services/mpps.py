"""PS3.4 Annex F, Modality Performed Procedure Step: states, and what Table F.7.2-1 wants (STD-SVC-101 … -117).

Rules of this file:

* The requirements of the final state hold for the step, not for one message: what the N-CREATE or an earlier N-SET
  gave counts (PS3.4 F.7.2, note 1).
* A repetition after a failure or without an answer is no second message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bench.checks.case import Case, Exchange
from bench.checks.finding import Finding, check, deviates, failed, inconclusive, passed
from bench.checks.services.common import (
    FINAL_STATES,
    IN_PROGRESS,
    WORKLIST,
    declares,
    readable,
    tag,
    uid,
    whole,
)
from bench.checks.services.performed import (
    Late,
    Step,
    after_final,
    changes,
    creations,
    has_images,
    status_of,
    steps,
)
from bench.witness.dataset import DataSet
from bench.witness.model import Message

TYPE_1: Final = (
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
)
TYPE_2: Final = (
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
SCHEDULED_TYPE_2: Final = (
    "AccessionNumber",
    "ReferencedStudySequence",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
)
SERIES_TYPE_1: Final = ("ProtocolName", "SeriesInstanceUID")
SERIES_TYPE_2: Final = (
    "PerformingPhysicianName",
    "OperatorsName",
    "SeriesDescription",
    "RetrieveAETitle",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
)
NOT_IN_SET: Final = (
    "ScheduledStepAttributesSequence",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientSex",
    "ReferencedPatientSequence",
    "AdmissionID",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "Modality",
    "StudyID",
)
REFERENCES: Final = (
    "ReferencedStudySequence",
    "ReferencedPatientSequence",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
)
CODES: Final = (
    "ProcedureCodeSequence",
    "PerformedProtocolCodeSequence",
    "ScheduledProtocolCodeSequence",
    "RequestedProcedureCodeSequence",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence",
)
DECLARED: Final = {  # erratum of a statement -> attributes that its tables lack
    "VX-E-59": ("ScheduledProtocolCodeSequence", "ReferencedPatientSequence"),
}


# -- states -------------------------------------------------------------------------------------------------


@check("STD-SVC-101")
def begins_in_progress(case: Case) -> Iterator[Finding]:
    """The N-CREATE says IN PROGRESS."""
    for message in creations(case):
        status = status_of(message)
        at = case.at(message, tag("PerformedProcedureStepStatus"))
        if status == IN_PROGRESS:
            yield passed("STD-SVC-101", "created IN PROGRESS", at)
        elif status:
            yield failed("STD-SVC-101", f"created with status {status}; IN PROGRESS is wanted", at)
        elif not readable(message):
            yield inconclusive("STD-SVC-101", "the data set of the N-CREATE is not whole", at)
        # absent or empty: STD-SVC-107


@check("STD-SVC-102")
def own_instance(case: Case) -> Iterator[Finding]:
    """An N-SET addresses a step that was created."""
    view = steps(case)
    stray = {id(s.exchange): s for s in view.strays}
    for step in view.steps.values():
        for exchange in step.sets:
            found = stray.get(id(exchange))
            at = case.at(exchange.request)
            if found is None:
                yield passed("STD-SVC-102", f"N-SET of the step that was created, {step.uid}", at)
            elif found.verdict == "wrong":
                yield failed("STD-SVC-102", found.reason, at)
            else:
                yield inconclusive("STD-SVC-102", found.reason, at)


@check("STD-SVC-103")
def nothing_after_final(case: Case) -> Iterator[Finding]:
    """No N-SET after COMPLETED or DISCONTINUED."""
    for found in after_final(case):
        if isinstance(found, Late):
            text = f"N-SET after the step became {found.state} in frame {found.final.request.first_frame}"
            yield failed("STD-SVC-103", text, case.at(found.exchange.request), case.at(found.final.request))
        else:
            yield passed("STD-SVC-103", "the step was not in a final state", case.at(found.request))


@check("STD-SVC-104")
def known_state(case: Case) -> Iterator[Finding]:
    """The status of an N-SET is a state of the table."""
    for message in changes(case):
        status = status_of(message)
        if status is None:
            continue
        at = case.at(message, tag("PerformedProcedureStepStatus"))
        if status in (IN_PROGRESS, *FINAL_STATES):
            yield passed("STD-SVC-104", f"set to {status}", at)
        else:
            yield failed(
                "STD-SVC-104", f"set to '{status}', which is no state of a performed procedure step", at
            )


@check("STD-SVC-116")
def created_once(case: Case) -> Iterator[Finding]:
    """A UID that the SCP took is not created again."""
    for step in steps(case).steps.values():
        taken: Exchange | None = None
        for exchange in step.creates:
            at = case.at(exchange.request)
            if taken is not None:
                text = f"{step.uid} is created again; the SCP took it in frame {taken.request.first_frame}"
                yield failed("STD-SVC-116", text, at)
            else:
                yield passed("STD-SVC-116", f"{step.uid} is created", at)
            taken = taken or (exchange if exchange.succeeded else None)


# -- attributes ---------------------------------------------------------------------------------------------


@check("STD-SVC-105")
def settled(case: Case) -> Iterator[Finding]:
    """An N-SET holds nothing that is not allowed there."""
    for message in changes(case):
        if message.dataset is None:
            continue
        found = [k for k in NOT_IN_SET if message.dataset.has(k)]
        if found:
            names = ", ".join(f"{k} {tag(k)}" for k in found)
            yield failed(
                "STD-SVC-105",
                f"not allowed in an N-SET: {names}",
                case.at(message, message.dataset.get(found[0])),
            )
        else:
            yield passed("STD-SVC-105", "nothing that was settled at creation", case.at(message))


def _declared(case: Case, section: str, keyword: str, parents: tuple[str, ...] = ()) -> bool:
    """Tell whether the statement's own table lets an attribute be absent: printed as type 3, or an erratum says so."""
    if any(keyword in keywords and declares(case, erratum) for erratum, keywords in DECLARED.items()):
        return True
    return keyword in _optional(case, section, parents)


def _optional(case: Case, section: str, parents: tuple[str, ...]) -> set[str]:
    return {
        clause.attribute.keyword
        for one in case.statement.sections
        if one.dataset == section
        for clause in one.clauses
        if clause.attribute is not None
        and clause.attribute.path_keywords == parents
        and clause.attribute.types.promised == "3"
    }


def _demand(
    case: Case,
    id: str,
    message: Message,
    missing: Iterable[str],
    what: str,
    section: str,
    parents: tuple[str, ...] = (),
    *,
    value: bool = False,
) -> Iterator[Finding]:
    """Say that attributes are missing (or have no value) in one message; declared ones are a deviation."""
    missing = list(dict.fromkeys(missing))
    if not missing:
        yield passed(id, f"{what} are complete", case.at(message))
        return
    if not readable(message):
        yield inconclusive(id, f"the data set of the {message.name} is not whole", case.at(message))
        return
    for declared, verdict in ((False, failed), (True, deviates)):
        names = [k for k in missing if _declared(case, section, k, parents) is declared]
        if names:
            lack = "no value in" if value else "missing:"
            text = f"{what}: {lack} {', '.join(f'{k} {tag(k)}' for k in names)}"
            if declared:
                text += "; the statement's table does not have it"
            yield verdict(id, text, case.at(message, tag(names[0])))


def _without_value(data: DataSet, keywords: Iterable[str]) -> list[str]:
    return [k for k in keywords if data.state(k) != "value"]


def _absent(data: DataSet, keywords: Iterable[str]) -> list[str]:
    return [k for k in keywords if not data.has(k)]


@check("STD-SVC-106", "STD-SVC-107", "STD-SVC-108", "STD-SVC-109")
def creation(case: Case) -> Iterator[Finding]:
    """What the N-CREATE must hold."""
    section = "mpps-create"
    for message in creations(case):
        data = message.dataset
        if data is None:
            if message.complete and whole(case.association(message)):
                yield failed("STD-SVC-107", "the N-CREATE carries no data set", case.at(message))
            continue
        scheduled = data.items("ScheduledStepAttributesSequence")
        at = case.at(message, tag("ScheduledStepAttributesSequence"))
        if scheduled and all(uid(item, "StudyInstanceUID") for item in scheduled):
            yield passed("STD-SVC-106", f"{len(scheduled)} scheduled step(s), each with its study", at)
        elif not readable(message):
            yield inconclusive("STD-SVC-106", "the data set of the N-CREATE is not whole", at)
        elif scheduled:
            yield failed(
                "STD-SVC-106", "an item of Scheduled Step Attributes Sequence has no Study Instance UID", at
            )
        else:
            state = data.state("ScheduledStepAttributesSequence")
            yield failed(
                "STD-SVC-106",
                f"Scheduled Step Attributes Sequence is {state}; one item at least is wanted",
                at,
            )
        yield from _demand(
            case,
            "STD-SVC-107",
            message,
            _without_value(data, TYPE_1),
            "attributes of type 1",
            section,
            value=True,
        )
        yield from _demand(
            case, "STD-SVC-108", message, _absent(data, TYPE_2), "attributes of type 2", section
        )
        if scheduled:
            missing = [k for item in scheduled for k in _absent(item, SCHEDULED_TYPE_2)]
            parents: tuple[str, ...] = ("ScheduledStepAttributesSequence",)
            what = "items of Scheduled Step Attributes Sequence"
            yield from _demand(case, "STD-SVC-109", message, missing, what, section, parents)


@check("STD-SVC-110", "STD-SVC-113", "STD-SVC-114", "STD-SVC-115")
def items(case: Case) -> Iterator[Finding]:
    """What items of sequences must hold, in N-CREATE and N-SET."""
    foreign = case.once(_codes_of_the_worklist)
    for message in (*creations(case), *changes(case)):
        data = message.dataset
        if data is None:
            continue
        section = "mpps-create" if message.name == "N-CREATE-RQ" else "mpps-set"
        series = data.items("PerformedSeriesSequence")
        if series:
            parents: tuple[str, ...] = ("PerformedSeriesSequence",)
            lacking = [k for item in series for k in _without_value(item, SERIES_TYPE_1)]
            what = "items of Performed Series Sequence"
            yield from _demand(case, "STD-SVC-113", message, lacking, what, section, parents, value=True)
            lacking = [k for item in series for k in _absent(item, SERIES_TYPE_2)]
            yield from _demand(case, "STD-SVC-114", message, lacking, what, section, parents)
        for path, _, element in data.walk():
            if element.keyword in REFERENCES and element.items:
                missing = [
                    k
                    for item in element.items
                    for k in _without_value(item, ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"))
                ]
                what = f"references in {element.keyword}"
                yield from _demand(case, "STD-SVC-110", message, missing, what, section, value=True)
            elif element.keyword in CODES and element.items:
                parents = (*(str(p) for p in path if isinstance(p, str)), element.keyword)
                missing = [
                    k for item in element.items if _identity(item) not in foreign for k in _incomplete(item)
                ]
                what = f"codes in {element.keyword}"
                yield from _demand(case, "STD-SVC-115", message, missing, what, section, parents, value=True)


def _identity(item: DataSet) -> tuple[str | None, str | None, str | None]:
    return item.text("CodeValue"), item.text("CodingSchemeDesignator"), item.text("CodeMeaning")


def _incomplete(item: DataSet) -> list[str]:
    missing = []
    if not any(item.state(k) == "value" for k in ("CodeValue", "LongCodeValue", "URNCodeValue")):
        missing.append("CodeValue")
    if item.state("CodingSchemeDesignator") != "value" and item.state("URNCodeValue") != "value":
        missing.append("CodingSchemeDesignator")
    if item.state("CodeMeaning") != "value":
        missing.append("CodeMeaning")
    return missing


def _codes_of_the_worklist(case: Case) -> set[tuple[str | None, str | None, str | None]]:
    """Codes that a worklist SCP gave incomplete: handed on as they are, they are not the SUT's fault."""
    found: set[tuple[str | None, str | None, str | None]] = set()
    for message in case.messages:
        if message.name == "C-FIND-RSP" and message.dataset is not None and message.sop_class == WORKLIST:
            for _, _, element in message.dataset.walk():
                if element.keyword in CODES:
                    found.update(_identity(item) for item in element.items if _incomplete(item))
    return found


@check("STD-SVC-111", "STD-SVC-112", "STD-SVC-117")
def final_state(case: Case) -> Iterator[Finding]:
    """What a step must have when it is COMPLETED or DISCONTINUED, and that it does not end before it began."""
    for step in steps(case).steps.values():
        sources = [e.request for e in step.creates[-1:]]
        for exchange in step.sets:
            message = exchange.request
            sources.append(message)
            state = status_of(message)
            if state not in FINAL_STATES:
                continue
            gap = not step.creates or not all(readable(m) for m in sources)
            yield from _end(case, message, sources, state, gap)
            yield from _series(case, step, message, sources, state, gap)


def _last(sources: list[Message], keyword: str) -> tuple[str, str | None]:
    """State and text of an attribute after these messages: the last one that has it counts."""
    for message in reversed(sources):
        if message.dataset is not None and message.dataset.has(keyword):
            return message.dataset.state(keyword), message.dataset.text(keyword)
    return "absent", None


def _end(case: Case, message: Message, sources: list[Message], state: str, gap: bool) -> Iterator[Finding]:
    for keyword in ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"):
        has = _last(sources, keyword)[0]
        at = case.at(message, tag(keyword))
        if has == "value":
            yield passed("STD-SVC-111", f"{keyword} has a value", at)
        elif has == "absent" and gap:
            yield inconclusive("STD-SVC-111", f"{keyword} may stand in what was not captured", at)
        else:
            yield failed("STD-SVC-111", f"{keyword} {tag(keyword)} is {has} although the step is {state}", at)
    start = _moment(sources, "Start")
    end = _moment(sources, "End")
    if start and end:
        at = case.at(message, tag("PerformedProcedureStepEndTime"))
        if end < start:
            yield failed("STD-SVC-117", f"the step ends {' '.join(end)} and began {' '.join(start)}", at)
        else:
            yield passed("STD-SVC-117", "the step ends after it began", at)


def _moment(sources: list[Message], which: str) -> tuple[str, str] | None:
    date = _last(sources, f"PerformedProcedureStep{which}Date")[1] or ""
    time = (_last(sources, f"PerformedProcedureStep{which}Time")[1] or "").partition(".")[0]
    if len(date) != 8 or len(time) not in (4, 6) or not (date + time).isdigit():
        return None
    # to the precision that both have: HHMM is not before HHMMSS of the same minute
    return date, time[:4] + (time[4:] or ("00" if which == "Start" else "59"))


def _series(
    case: Case, step: Step, message: Message, sources: list[Message], state: str, gap: bool
) -> Iterator[Finding]:
    keyword = "PerformedSeriesSequence"
    at = case.at(message, tag(keyword))
    has = _last(sources, keyword)[0]
    if has == "value":
        yield passed("STD-SVC-112", "Performed Series Sequence has items", at)
    elif has == "absent" and gap:
        yield inconclusive("STD-SVC-112", "Performed Series Sequence may stand in what was not captured", at)
    elif state == "DISCONTINUED" and has == "empty" and not has_images(case, step):
        yield passed("STD-SVC-112", "DISCONTINUED without images: the sequence may be empty (D6)", at)
    else:
        yield failed("STD-SVC-112", f"Performed Series Sequence is {has} although the step is {state}", at)
