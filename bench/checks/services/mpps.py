"""PS3.4 Annex F, Modality Performed Procedure Step: states, and what Table F.7.2-1 wants (STD-SVC-101 … -117).

Rules of this file:

* A step is known by its SOP Instance UID; what happened to it is told apart by the SCP's address, as the same step may
  be reported to two SCPs.
* The requirements of the final state hold for the step, not for one message: what the N-CREATE or an earlier N-SET
  gave counts (PS3.4 F.7.2, note 1).
* A repetition after a failure or without an answer is no second message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from bench.checks.case import Case, Exchange
from bench.checks.finding import Finding, check, deviates, failed, inconclusive, passed
from bench.checks.services.common import (
    FINAL_STATES,
    IN_PROGRESS,
    MPPS,
    WORKLIST,
    declares,
    failed_attempt,
    readable,
    recorded,
    status_text,
    tag,
    uid,
    whole,
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
NO_SUCH_INSTANCE: Final = 0x0112


@dataclass(slots=True)
class Step:
    """A performed procedure step as the SUT reported it to one SCP: its N-CREATEs and N-SETs in order."""

    uid: str
    creates: list[Exchange] = field(default_factory=list)
    sets: list[Exchange] = field(default_factory=list)

    @property
    def created(self) -> Exchange | None:
        """The N-CREATE that succeeded, else the last one."""
        return next((e for e in self.creates if e.succeeded), self.creates[-1] if self.creates else None)

    @property
    def study(self) -> str:
        """Study Instance UID of the (first) scheduled step."""
        created = self.created
        data = created.request.dataset if created is not None else None
        return (
            uid(data.first("ScheduledStepAttributesSequence"), "StudyInstanceUID") if data is not None else ""
        )

    @property
    def finished(self) -> Exchange | None:
        """The first N-SET to a final state that the SCP took."""
        return next((e for e in self.sets if status_of(e.request) in FINAL_STATES and e.succeeded), None)


@dataclass(frozen=True, slots=True)
class Stray:
    """An N-SET for which no N-CREATE was seen before."""

    exchange: Exchange
    verdict: Literal["wrong", "unknown"]
    reason: str
    skipped: bool = False
    """The N-CREATE was left out, rather than another instance set."""


@dataclass(frozen=True, slots=True)
class Steps:
    """All steps by (address of the SCP, UID), and the N-SETs of none of them."""

    steps: dict[tuple[str, str], Step]
    strays: tuple[Stray, ...]


def status_of(message: Message) -> str | None:
    """Return Performed Procedure Step Status of a request; None when it is not there."""
    return message.dataset.text("PerformedProcedureStepStatus") if message.dataset is not None else None


def instance_of(exchange: Exchange) -> str:
    """Return the UID of the step: the SCU's, or the one that the SCP gave."""
    given = exchange.request.sop_instance
    return given or (exchange.final.sop_instance if exchange.final is not None else None) or ""


def creations(case: Case) -> Iterator[Message]:
    """Return the N-CREATE requests of performed procedure steps."""
    return (m for m in case.requests("N-CREATE-RQ") if is_step(m))


def changes(case: Case) -> Iterator[Message]:
    """Return the N-SET requests of performed procedure steps."""
    return (m for m in case.requests("N-SET-RQ") if is_step(m))


def is_step(message: Message) -> bool:
    """Tell whether a message is about a performed procedure step, by its SOP class or its context."""
    return MPPS in (message.sop_class, message.context.abstract if message.context else None)


def steps(case: Case) -> Steps:
    """Return what the SUT reported, put together by step."""
    return case.once(_steps)


def _steps(case: Case) -> Steps:
    found: dict[tuple[str, str], Step] = {}
    seen: set[str] = set()
    strays: list[Exchange] = []
    for message in (m for m in case.requests() if is_step(m)):
        exchange = case.exchange(message)
        key = (case.association(message).acceptor.address, instance_of(exchange))
        if message.name == "N-CREATE-RQ":
            if not key[1]:
                continue
            found.setdefault(key, Step(key[1])).creates.append(exchange)
            seen.add(key[1])
        elif message.name == "N-SET-RQ":
            found.setdefault(key, Step(key[1])).sets.append(exchange)
            if key[1] not in seen:
                strays.append(exchange)
    return Steps(found, tuple(_stray(case, exchange, found) for exchange in strays))


def _stray(case: Case, exchange: Exchange, found: dict[tuple[str, str], Step]) -> Stray:
    """Tell whether an N-SET of an unknown step can belong to a step from before the capture."""
    request = exchange.request
    if not request.sop_instance:
        return Stray(exchange, "unknown", "the N-SET names no instance")
    if not recorded(case, MPPS):
        return Stray(exchange, "unknown", "the associations for MPPS are not wholly in the capture")
    studies = _studies_of_series(case)
    data = request.dataset
    series = (
        {uid(item, "SeriesInstanceUID") for item in data.items("PerformedSeriesSequence")} if data else set()
    )
    mine = {studies[s] for s in series if s in studies}
    for step in found.values():
        created = step.created
        if (
            created is None
            or not created.succeeded
            or created.request.first_time > request.first_time
            or step.sets
        ):
            continue
        if mine and step.study and step.study not in mine:
            continue  # its series belong to another study: a step from before the capture
        wanted = f"the step created in frame {created.request.first_frame} is {step.uid} and is never set"
        return Stray(exchange, "wrong", f"N-SET of {request.sop_instance}, which was not created; {wanted}")
    begun = _scheduled_in_the_capture(case, request, mine)
    if begun is not None:
        text = f"N-SET of {request.sop_instance}, which was never created; the study was scheduled in frame {begun}"
        return Stray(exchange, "wrong", text, skipped=True)
    if exchange.status == NO_SUCH_INSTANCE and any(s.creates for s in found.values()):
        text = (
            f"N-SET of {request.sop_instance}, which was not created; the SCP does not know it either (0112H)"
        )
        return Stray(exchange, "wrong", text)
    return Stray(exchange, "unknown", f"the N-CREATE of {request.sop_instance} is not in the capture")


def _scheduled_in_the_capture(case: Case, request: Message, studies: set[str]) -> int | None:
    """Return the frame in which the worklist first offered the study of an N-SET, when the step must have begun after.

    The capture then has everything from the query on, and the SUT did not even try to create the step.
    """
    answers = (m for m in case.messages if m.name == "C-FIND-RSP" and m.sop_class == WORKLIST)
    offered = next((m for m in answers if uid(m.dataset, "StudyInstanceUID") in studies), None)
    first = min(
        (s.message.first_time for s in case.objects if uid(s.dataset, "StudyInstanceUID") in studies),
        default=request.first_time,
    )
    if offered is None or offered.first_time > min(first, request.first_time):
        return None
    queries = [m for m in case.requests("C-FIND-RQ", WORKLIST) if m.first_time < request.first_time]
    if len(queries) > 1:
        return None  # a list that is refreshed by itself: the step may be older than the capture
    address = case.association(request).acceptor.address
    if failed_attempt(case, MPPS, address, offered.first_time, request.first_time - 0.001):
        return None
    return offered.first_frame


def _studies_of_series(case: Case) -> dict[str, str]:
    found = {}
    for stored in case.objects:
        series, study = uid(stored.dataset, "SeriesInstanceUID"), uid(stored.dataset, "StudyInstanceUID")
        if series and study:
            found[series] = study
    return found


def has_images(case: Case, step: Step) -> bool:
    """Tell whether the SUT sent objects that belong to a step (ruling D6)."""
    for stored in case.objects:
        data = stored.dataset
        if data is None:
            continue
        references = {
            uid(i, "ReferencedSOPInstanceUID") for i in data.items("ReferencedPerformedProcedureStepSequence")
        } - {""}
        if step.uid in references or (
            not references and step.study and step.study == uid(data, "StudyInstanceUID")
        ):
            return True
    return False


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


@dataclass(frozen=True, slots=True)
class Late:
    """An N-SET after the final state."""

    exchange: Exchange
    final: Exchange
    state: str


def after_final(case: Case) -> Iterator[Late | Exchange]:
    """Return every N-SET: as :class:`Late` when the step had its final state already."""
    for step in steps(case).steps.values():
        final: Exchange | None = None
        for exchange in step.sets:
            if final is not None:
                yield Late(exchange, final, status_of(final.request) or "")
            else:
                yield exchange
            if final is None and exchange.succeeded and status_of(exchange.request) in FINAL_STATES:
                final = exchange


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


__all__ = ["Late", "Step", "Steps", "Stray", "after_final", "changes", "creations", "status_text", "steps"]
