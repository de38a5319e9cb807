"""Performed procedure steps as the SUT reported them: N-CREATEs and N-SETs put together by step.

Rules of this file:

* A step is known by its SOP Instance UID; what happened to it is told apart by the SCP's address, as the same step may
  be reported to two SCPs.
* A request is about a step by its SOP class or by its context, so that one wrong SOP class is one fault.
* An N-SET of a step that was never created is the SUT's fault only where the capture has everything from the begin of
  the step on; else the step may be older than the capture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from bench.checks.case import Case, Exchange
from bench.checks.services.common import (
    FINAL_STATES,
    MPPS,
    WORKLIST,
    failed_attempt,
    recorded,
    uid,
)
from bench.witness.model import Message

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
