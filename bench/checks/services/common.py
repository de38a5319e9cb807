"""What the checks of services share: names of SOP classes, soundness of the evidence, how an association ended.

Rules of this file:

* Something that is *there* and wrong is a fault whatever is missing around it; something that is *not there* is a
  fault only where the evidence is whole (:func:`whole`), else INCONCLUSIVE.
* After the peer's refusal, failure, silence or broken answer the SUT is excused from the steps that could no longer
  happen (ruling B3); how it ends the association afterwards is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bench.checks.case import Case, Exchange
from bench.checks.finding import Finding, failed, inconclusive, not_applicable, passed
from bench.resultmodel import Evidence
from bench.witness.dataset import DataSet
from bench.witness.model import Association, Message, Pdu
from bench.witness.problems import EVIDENCE
from bench.witness.vr import number_of, text_of

VERIFICATION: Final = "1.2.840.10008.1.1"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
GRAYSCALE_META: Final = "1.2.840.10008.5.1.1.9"
COLOR_META: Final = "1.2.840.10008.5.1.1.18"
FILM_SESSION: Final = "1.2.840.10008.5.1.1.1"
FILM_BOX: Final = "1.2.840.10008.5.1.1.2"
GRAYSCALE_BOX: Final = "1.2.840.10008.5.1.1.4"
COLOR_BOX: Final = "1.2.840.10008.5.1.1.4.1"
PRINTER: Final = "1.2.840.10008.5.1.1.16"
PRINTER_INSTANCE: Final = "1.2.840.10008.5.1.1.17"
PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
DX_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.1.1"
DOSE_REPORT: Final = "1.2.840.10008.5.1.4.1.1.88.67"

IN_PROGRESS: Final = "IN PROGRESS"
FINAL_STATES: Final = ("COMPLETED", "DISCONTINUED")

SILENCE: Final = 1.0
"""Seconds without an answer after which giving up is the SUT's right, whatever its timeout is set to."""
IDLE: Final = 60.0
"""Seconds that an association stays unused in the capture before 'never released' is more than the capture's end."""

Excuse: TypeAlias = "str | None"


SOP_CLASS: Final = "(0000,0003)"
INSTANCE: Final = "(0000,1001)"
ACTION_TYPE: Final = "(0000,1008)"
"""Command elements by which a request names what it is about: the same place for every rule that they break."""


def status_text(status: int | None) -> str:
    """Write a status as in the standard: ``A700H``."""
    return "no status" if status is None else f"{status:04X}H"


def tag(keyword: str) -> str:
    """Return the tag of a keyword as ``(GGGG,EEEE)``."""
    return text_of(number_of(keyword))


def uid(dataset: DataSet | None, keyword: str) -> str:
    """Return a UID of a data set without padding, empty if absent or empty."""
    return (dataset.text(keyword) or "").strip() if dataset is not None else ""


def whole(association: Association) -> bool:
    """Tell whether what is missing in the association was really not sent."""
    return association.whole and not any(
        p.code in EVIDENCE and p.code not in _OPEN for p in association.problems
    )


_OPEN: Final = frozenset({"pdu-open", "message-open", "left-out"})


def recorded(case: Case, *abstract: str) -> bool:
    """Tell whether the SUT's associations for a service were recorded from begin to end, without gaps."""
    mine = (a for a in case.outgoing if a.request is None or not a.contexts or proposes(a, *abstract))
    return all(whole(a) and a.end != "open" for a in mine)


def readable(message: Message) -> bool:
    """Tell whether the data set of a message was read to its end, so that an absent element is absent."""
    return message.complete and message.dataset is not None and message.dataset.broken_at is None


def cut_by_peer(case: Case, message: Message) -> bool:
    """Tell whether the SUT's peer ended the association while the SUT was still sending a message (ruling B3)."""
    association = case.association(message)
    return (
        not message.complete
        and case.sends(message)
        and association.whole
        and association.ended_by is not None
        and association.ended_by != message.sender
    )


def proposes(association: Association, *abstract: str) -> bool:
    """Tell whether the request proposes one of these abstract syntaxes."""
    return any(context.abstract in abstract for context in association.contexts.values())


def serves(association: Association, *abstract: str) -> bool:
    """Tell whether one of these abstract syntaxes was accepted."""
    return any(c.abstract in abstract and c.accepted for c in association.contexts.values())


def peer(association: Association) -> str:
    """Name the acceptor for a person."""
    return f"{association.called or 'an unnamed AE'} at {association.acceptor}"


def peer_key(association: Association) -> tuple[str, str, int]:
    """Tell destinations apart."""
    return association.called, association.acceptor.address, association.acceptor.port


def asked(case: Case, association: Association) -> Iterator[Exchange]:
    """Return what the SUT requested on an association, in order, with the answers."""
    side = case.side(association)
    for message in association.messages:
        if message.sender == side and message.command.is_request and message.name != "C-CANCEL-RQ":
            yield case.exchange(message)


def all_seen(message: Message) -> bool:
    """Tell whether everything that the message carries was read, be it no data set at all."""
    return readable(message) or (
        message.complete and message.dataset is None and not message.command.has_dataset
    )


def complain(problems: Iterable[object], side: object) -> bool:
    """Tell whether one of the problems is of that side's making."""
    return any(getattr(p, "side", None) == side and getattr(p, "code", "") not in EVIDENCE for p in problems)


def peer_excuse(case: Case, association: Association, at: float | None = None) -> Excuse:
    """Tell what the peer did that ends the SUT's duties on an association, None if nothing.

    *at*: when the SUT gave up; waiting shorter than :data:`SILENCE` is no silence.
    """
    ours = case.side(association)
    theirs = "acceptor" if ours == "requestor" else "requestor"
    if complain(association.problems, theirs):
        return "the peer broke the protocol"
    pending = [e for e in asked(case, association) if e.final is None]
    if pending:
        last = max((m.last_time for m in association.messages), default=association.last_time)
        end = association.last_time if at is None else at
        if end - last >= SILENCE:
            return f"the peer left {pending[-1].request.name} unanswered"
    return None


@dataclass(frozen=True, slots=True)
class Ending:
    """How the SUT left an association that it requested: released, or by what fault or excuse it did not."""

    how: Literal["released", "excused", "wrong", "unknown"]
    reason: str
    pdu: Pdu | None = None


def ending(case: Case, association: Association, *, waits: bool = False) -> Ending:
    """Judge how the SUT ended an association that it requested; *waits*: it may stay open for what is to come."""
    ours = case.side(association)
    if not association.accepted and association.answer is None and association.request is not None:
        return Ending("excused", "the association was never answered")
    if not association.accepted and association.request is not None:
        return Ending("excused", "the association was rejected")
    release = _first(association, "A-RELEASE-RQ", ours)
    abort = _first(association, "A-ABORT", ours)
    if release is not None and (abort is None or release.index < abort.index):
        return Ending("released", "the association is ended by A-RELEASE-RQ", release)
    other = next(
        (p for p in association.pdus if p.side != ours and p.kind in ("A-ABORT", "A-RELEASE-RQ")), None
    )
    if other is not None and (abort is None or other.index < abort.index):
        return Ending("excused", f"the peer ended the association ({other.kind})", other)
    if abort is not None:
        excuse = peer_excuse(case, association, abort.time)
        if association.contexts and not any(c.accepted for c in association.contexts.values()):
            excuse = excuse or "the peer accepted no presentation context"
        if excuse:
            return Ending("excused", f"{excuse}; the association was aborted", abort)
        if not whole(association):
            return Ending("unknown", "the association was aborted, and the capture has gaps before it", abort)
        return Ending("wrong", "the association is aborted (A-ABORT) instead of released", abort)
    if association.end in ("closed", "reset"):
        if association.ended_by != ours:
            return Ending(
                "excused" if association.ended_by else "unknown",
                "the connection was ended by the peer or the network",
            )
        excuse = peer_excuse(case, association)
        if excuse:
            return Ending("excused", f"{excuse}; the connection was closed")
        if not whole(association):
            return Ending("unknown", "the connection was closed, and the capture has gaps before it")
        return Ending("wrong", f"the connection is {association.end} without A-RELEASE-RQ")
    if not whole(association):
        return Ending("unknown", "the end of the association is not in the capture")
    last = max((m.last_time for m in association.messages), default=association.last_time)
    later = next((a for a in case.outgoing if a.first_time >= last + IDLE), None)
    unanswered = any(e.final is None for e in asked(case, association))
    if later is not None and not unanswered and not waits:
        return Ending("wrong", f"the association is still open {IDLE:g} s after its last message")
    return Ending("unknown", "the capture ends while the association is open")


def _first(association: Association, kind: str, side: str | None) -> Pdu | None:
    return next((p for p in association.pdus if p.kind == kind and p.side == side), None)


def release_finding(case: Case, id: str, association: Association, *, waits: bool = False) -> Finding:
    """Turn the ending of an association into a finding on the clause that promises its release."""
    end = ending(case, association, waits=waits)
    at = case.at(end.pdu, association=association) if end.pdu else case.at(association)
    match end.how:
        case "released":
            return passed(id, end.reason, at)
        case "wrong":
            return failed(id, f"{end.reason}; {peer(association)}", at)
        case "excused":
            return not_applicable(id, end.reason, at)
        case _:
            return inconclusive(id, end.reason, at)


def opening(
    case: Case, id: str, name: str, abstract: tuple[str, ...], messages: Iterable[Message] = ()
) -> Iterator[Finding]:
    """Judge 'open an association that proposes …': each such request, and each message of the service.

    *messages*: those that need such an association; one sent on another is the fault.
    """
    for association in case.outgoing:
        if proposes(association, *abstract):
            yield passed(id, f"an association to {peer(association)} proposes {name}", case.at(association))
    for message in messages:
        association = case.association(message)
        if association.request is None:
            yield inconclusive(id, "the association began before the capture", case.at(message))
        elif not proposes(association, *abstract):
            yield failed(
                id, f"{message.name} is sent on an association that does not propose {name}", case.at(message)
            )


def idle_associations(case: Case, abstract: tuple[str, ...]) -> Iterator[Association]:
    """Return associations for a service, accepted and nothing else, that the SUT left without asking anything."""
    for association in case.outgoing:
        if (
            serves(association, *abstract)
            and all(c.abstract in abstract for c in association.contexts.values())
            and whole(association)
            and not any(True for _ in asked(case, association))
            and ending(case, association).how == "released"
        ):
            yield association


def addresses(case: Case) -> frozenset[str]:
    """Return the SUT's addresses, also where it is known by its AE title only."""
    return case.sut.addresses or case.once(_addresses)


def _addresses(case: Case) -> frozenset[str]:
    return frozenset(
        a.endpoint(side).address.lower() for a in case.associations if (side := case.side(a)) is not None
    )


def failed_attempt(case: Case, abstract: str, address: str, since: float, before: float) -> bool:
    """Tell whether the SUT tried in vain to reach a host for a service in a span of time (ruling B3)."""
    for association in case.outgoing:
        if association.acceptor.address == address and since <= association.first_time <= before:
            answered = any(e.final is not None for e in asked(case, association))
            if proposes(association, abstract) and not answered:
                return True
            if not whole(association) and (not association.contexts or proposes(association, abstract)):
                return True
    own = addresses(case)
    return any(
        stream.other.address == address
        and stream.opener.address.lower() in own
        and since <= stream.first_time <= before
        for stream in case.capture.streams
    )


def configured_peer(case: Case, id: str, message: Message, services: tuple[str, ...], name: str) -> Finding:
    """Judge whether a message went to a peer that the configuration names for a service (ruling B2)."""
    association = case.association(message)
    at = case.at(message)
    entries = [e for service in services for e in _entries(case.config.get(service))]
    if not entries:
        return inconclusive(
            id, f"sent to {peer(association)}; which {name} is configured is not known (--config)", at
        )
    wrong: list[str] = []
    for entry in entries:
        wanted = (
            ("AE title", entry.get("ae_title"), association.called if association.request else None),
            ("address", entry.get("address") or entry.get("host"), association.acceptor.address),
            ("port", entry.get("port"), association.acceptor.port),
        )
        bad = [
            f"{what} {seen}, configured {value}"
            for what, value, seen in wanted
            if value is not None and seen is not None and str(value) != str(seen)
        ]
        if not bad:
            return passed(id, f"sent to the configured {name}, {peer(association)}", at)
        wrong.append(", ".join(bad))
    return failed(id, f"not sent to the configured {name}: {'; or '.join(wrong)}", at)


def _entries(value: object) -> list[dict[str, object]]:
    if isinstance(value, dict):
        return [value]
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list | tuple) else []


def declares(case: Case, *errata: str) -> bool:
    """Tell whether the statement (or its errata) owns up to a deviation (ruling A2)."""
    return any(erratum in case.statement.errata for erratum in errata)


def evidence(case: Case, *messages: Message | None) -> tuple[Evidence, ...]:
    """Return where messages stand, leaving out those that are not there."""
    return tuple(case.at(message) for message in messages if message is not None)
