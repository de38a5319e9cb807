"""PS3.4 Annex J, Storage Commitment Push Model (STD-SVC-401 … -410).

Views that the statement's clauses share stand here too: the requests, what each names, the reports that came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.checks.case import Case, Exchange, Stored
from bench.checks.finding import Finding, check, failed, inconclusive, passed
from bench.checks.services.common import (
    ACTION_TYPE,
    COMMITMENT,
    COMMITMENT_INSTANCE,
    INSTANCE,
    SOP_CLASS,
    readable,
    status_text,
    tag,
    uid,
    whole,
)
from bench.witness.model import Association, Message


@dataclass(frozen=True, slots=True)
class Request:
    """A commitment N-ACTION: the exchange, its transaction, and (class, instance) of what it names."""

    exchange: Exchange
    transaction: str
    names: tuple[tuple[str, str], ...]

    @property
    def message(self) -> Message:
        """The N-ACTION-RQ."""
        return self.exchange.request


@dataclass(frozen=True, slots=True)
class Report:
    """A commitment N-EVENT-REPORT that the SUT received; ``request`` is the one it belongs to, if it was seen."""

    exchange: Exchange
    transaction: str
    event: int | None
    request: Request | None

    @property
    def message(self) -> Message:
        """The N-EVENT-REPORT-RQ."""
        return self.exchange.request


def requests(case: Case) -> tuple[Request, ...]:
    """Return the commitment requests of the SUT in order."""
    return case.once(_requests)


def _requests(case: Case) -> tuple[Request, ...]:
    found = []
    for message in case.requests("N-ACTION-RQ"):
        if not is_commitment(message):
            continue
        data = message.dataset
        named = tuple(
            (uid(item, "ReferencedSOPClassUID"), uid(item, "ReferencedSOPInstanceUID"))
            for item in (data.items("ReferencedSOPSequence") if data else ())
        )
        found.append(Request(case.exchange(message), uid(data, "TransactionUID"), named))
    return tuple(found)


def is_commitment(message: Message) -> bool:
    """Tell whether a message is about storage commitment, by its SOP class or its context."""
    return COMMITMENT in (message.sop_class, message.context.abstract if message.context else None)


def reports(case: Case) -> tuple[Report, ...]:
    """Return the commitment reports that the SUT received in order."""
    return case.once(_reports)


def _reports(case: Case) -> tuple[Report, ...]:
    found = []
    for message in case.received("N-EVENT-REPORT-RQ"):
        if not is_commitment(message):
            continue
        transaction = uid(message.dataset, "TransactionUID")
        request = next(
            (
                r
                for r in requests(case)
                if transaction and r.transaction == transaction and r.message.first_time <= message.first_time
            ),
            None,
        )
        event = message.command.get("EventTypeID")
        found.append(
            Report(case.exchange(message), transaction, event if isinstance(event, int) else None, request)
        )
    return tuple(found)


def excused_report(case: Case, report: Report) -> str | None:
    """Tell why no (right) answer to a report may be expected: the peer's fault or its leaving; None if it may."""
    message = report.message
    association = case.association(message)
    ours = case.side(association)
    if not message.complete:
        return "the report is not whole"
    if message.dataset is not None and message.dataset.problems:
        return "the report cannot be read without doubt"
    if any(p.side not in (None, ours) for p in message.problems):
        return "the report breaks the protocol"
    parting = next((p for p in association.pdus if p.side == ours and p.kind == "A-RELEASE-RQ"), None)
    if parting is not None and parting.time < message.first_time and report.exchange.final is None:
        return "the report crossed the product's A-RELEASE-RQ"
    gone = next((p for p in association.pdus if p.side != ours and p.kind == "A-ABORT"), None)
    if gone is not None and report.exchange.final is None:
        return "the peer aborted the association"
    if (
        association.end in ("closed", "reset")
        and association.ended_by != ours
        and report.exchange.final is None
    ):
        return "the peer left before an answer could come"
    return None


@check("STD-SVC-401", "STD-SVC-402", "STD-SVC-403", "STD-SVC-405", "STD-SVC-406", "STD-SVC-407")
def request(case: Case) -> Iterator[Finding]:
    """Action, instance, transaction and the list of instances."""
    for one in requests(case):
        message, command = one.message, one.message.command
        at = case.at(message)
        action = command.get("ActionTypeID")
        if action == 1:
            yield passed("STD-SVC-401", "Action Type ID 1", at)
        elif action is not None:
            yield failed(
                "STD-SVC-401", f"Action Type ID {action}; 1 is wanted", case.at(message, ACTION_TYPE)
            )
        target = (command.sop_class, command.sop_instance)
        if target == (COMMITMENT, COMMITMENT_INSTANCE):
            yield passed("STD-SVC-402", "addressed to the well-known instance", at)
        else:
            text = f"addressed to class {target[0]}, instance {target[1]}; {COMMITMENT_INSTANCE} is wanted"
            wrong = INSTANCE if target[0] == COMMITMENT else SOP_CLASS
            yield failed("STD-SVC-402", text, case.at(message, wrong))
        if message.dataset is None and (command.has_dataset or not whole(case.association(message))):
            yield inconclusive("STD-SVC-403", "the data set of the request is not in the capture", at)
            continue
        sound = message.dataset is None or readable(message)
        where = case.at(message, tag("TransactionUID"))
        if one.transaction:
            yield passed("STD-SVC-403", f"Transaction UID {one.transaction}", where)
        elif sound:
            yield failed("STD-SVC-403", "the request has no Transaction UID", where)
        where = case.at(message, tag("ReferencedSOPSequence"))
        if one.names:
            yield passed("STD-SVC-405", f"{len(one.names)} instances", where)
        elif sound:
            yield failed("STD-SVC-405", "Referenced SOP Sequence names no instance", where)
        lacking = [n for n, (cls, instance) in enumerate(one.names, 1) if not cls or not instance]
        if lacking:
            text = (
                f"item {lacking[0]} of Referenced SOP Sequence lacks class or instance ({len(lacking)} items)"
            )
            # an item that the capture or a broken encoding cuts in the middle proves nothing
            yield failed("STD-SVC-406", text, where) if sound else inconclusive("STD-SVC-406", text, where)
        elif one.names:
            yield passed("STD-SVC-406", "each item has class and instance", where)
        instances = [instance for _, instance in one.names if instance]
        twice = (
            {i for i in instances if instances.count(i) > 1}
            if len(set(instances)) < len(instances)
            else set()
        )
        if twice:
            yield failed("STD-SVC-407", f"named more than once: {', '.join(sorted(twice)[:3])}", where)
        elif instances:
            yield passed("STD-SVC-407", "each instance is named once", where)


@check("STD-SVC-404")
def new_transaction(case: Case) -> Iterator[Finding]:
    """A Transaction UID is used once."""
    taken: dict[str, Request] = {}
    for one in requests(case):
        if not one.transaction:
            continue
        at = case.at(one.message, tag("TransactionUID"))
        known = taken.get(one.transaction)
        if known is not None:
            text = f"Transaction UID {one.transaction} was used in frame {known.message.first_frame}"
            yield failed("STD-SVC-404", text, at, case.at(known.message))
        else:
            yield passed("STD-SVC-404", "a Transaction UID of its own", at)
        if one.exchange.succeeded:
            taken.setdefault(one.transaction, one)


@check("STD-SVC-408")
def class_as_stored(case: Case) -> Iterator[Finding]:
    """An instance is named with the class that it was stored under."""
    stored: dict[str, Stored] = {s.sop_instance: s for s in case.objects if s.sop_instance}
    for one in requests(case):
        known = [(cls, i) for cls, i in one.names if i in stored and cls]
        wrong = [(cls, i) for cls, i in known if stored[i].sop_class not in ("", cls)]
        at = case.at(one.message, tag("ReferencedSOPSequence"))
        if wrong:
            cls, instance = wrong[0]
            text = f"{instance} is named as {cls}; it was stored as {stored[instance].sop_class}"
            yield failed("STD-SVC-408", text, at, case.at(stored[instance].message))
        elif known:
            yield passed("STD-SVC-408", "the classes are those of the C-STORE", at)


@check("STD-SVC-409", "STD-SVC-410")
def answers(case: Case) -> Iterator[Finding]:
    """A report of a known transaction is answered with success, and the answer repeats the event type."""
    done: set[str] = set()
    for report in reports(case):
        final = report.exchange.final
        if final is not None:
            event = final.command.get("EventTypeID")
            if event is not None and report.event is not None:
                at = case.at(final)
                if event == report.event:
                    yield passed("STD-SVC-410", f"Event Type ID {event} repeated", at)
                else:
                    yield failed(
                        "STD-SVC-410", f"Event Type ID {event} answers a report of {report.event}", at
                    )
        if report.request is None or report.transaction in done:
            continue
        yield answered(case, "STD-SVC-409", report)
        if final is not None and final.command.status == 0:
            done.add(report.transaction)  # a repetition may be refused


def answered(case: Case, id: str, report: Report) -> Finding:
    """Judge whether a report of a transaction that the SUT asked for was answered with success."""
    final = report.exchange.final
    at = case.at(report.message)
    if final is not None and final.command.status == 0:
        return passed(id, "the report is answered with 0000H", case.at(final))
    excuse = excused_report(case, report)
    if excuse:
        return inconclusive(id, excuse, at)
    if final is not None:
        text = f"the report is answered with {status_text(final.command.status)}; 0000H is wanted"
        return failed(id, text, case.at(final), at)
    association = case.association(report.message)
    if not whole(association) or not _over(case, association, report.message):
        return inconclusive(id, "no answer to the report is in the capture", at)
    return failed(id, "the report is not answered", at)


def _over(case: Case, association: Association, message: Message) -> bool:
    """Tell whether the SUT had its time to answer: the association ended, or much was captured afterwards."""
    last = case.capture.last_time or message.last_time
    return association.end != "open" or last - message.last_time > 30.0
