"""Rules about requests and responses on an association: ids, order, answers, cancels (PS3.7 9.1, 10.1, D.3.3.3).

Rules of this file:

* An operation is outstanding from its request to its final response.  Between the two sides the order is that of the
  recorder; a doubt speaks for the SUT.
* A peer that stays silent is at fault itself: after :data:`SILENCE` seconds the SUT may go on.  So is a peer whose
  answer names no request, or cannot be read: the SUT may have taken it for what it was meant to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench.checks.case import Case, pending
from bench.checks.dimse.commandset import readable
from bench.checks.dimse.tables import PENDING_FOLLOWS, legal_status
from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import Deal, deals
from bench.checks.upperlayer.states import CERTAIN
from bench.witness.model import Message, Pdu

SILENCE: Final = 5.0
"""Seconds after which a request without an answer may be taken for lost."""
CROSSING: Final = 0.2
"""Seconds within which a message and the response that made it needless may have crossed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request of the SUT and the requests before it that were still outstanding."""

    deal: Deal
    request: Message
    outstanding: tuple[Message, ...]
    allowed: int | None  # how many may be outstanding, this one included; None: no limit

    @property
    def early(self) -> bool:
        """Whether the request came too early."""
        return self.allowed is not None and len(self.outstanding) >= self.allowed

    @property
    def lost(self) -> bool:
        """Whether the SUT may have taken the outstanding operations for lost."""
        return bool(self.outstanding) and self.request.first_time - self.outstanding[-1].last_time >= SILENCE


def turns(case: Case) -> tuple[Turn, ...]:
    """Return every request of the SUT with what was outstanding; made once."""
    return case.once(_turns)


def _turns(case: Case) -> tuple[Turn, ...]:
    return tuple(turn for deal in deals(case).values() for turn in _turns_of(deal))


def _turns_of(deal: Deal) -> Iterator[Turn]:
    association = deal.association
    if association.tcp.one_direction or association.tcp.gaps or deal.peer_broke:
        return
    final: dict[int, Message] = {}
    opened: dict[int, Message] = {}
    for message in association.messages:
        if message.sender == deal.side and _operation(message):
            opened[message.command.message_id or 0] = message
        elif message.sender == deal.peer and not message.command.is_request:
            asked = opened.get(message.command.responded_to or 0)
            if asked is None or asked.number in final:
                asked = next((m for m in opened.values() if m.number not in final), None)
            if asked is not None and not pending(message.command.status):
                final.setdefault(asked.number, message)
    waiting: list[Message] = []
    for message in association.messages:
        if message.sender != deal.side or not _operation(message):
            continue
        waiting = [m for m in waiting if _outstanding(final.get(m.number), message)]
        yield Turn(deal, message, tuple(waiting), _window(deal))
        waiting.append(message)


def _operation(message: Message) -> bool:
    return message.command.is_request and message.name != "C-CANCEL-RQ"


def _outstanding(answer: Message | None, later: Message) -> bool:
    return answer is None or (answer.number > later.number and answer.last_time > later.first_time)


def _window(deal: Deal) -> int | None:
    window = deal.accept.window if deal.accept and deal.request and deal.request.window else None
    if window is None:
        return 1
    number = window[0] if deal.side == "requestor" else window[1]
    return number or None


@check("STD-DIMSE-040", "STD-DIMSE-041")
@merged
def outstanding(case: Case) -> Iterator[Finding]:
    """Message ids of outstanding operations, and how many there are."""
    for turn in turns(case):
        message = turn.request
        at, id = case.at(message), message.command.message_id
        twins = [m for m in turn.outstanding if m.command.message_id == id]
        if twins and not turn.lost:
            reason = f"{message.name} uses the Message ID {id} of an operation that is outstanding"
            yield failed("STD-DIMSE-040", reason, at, case.at(twins[0]))
        else:
            yield passed("STD-DIMSE-040", f"Message ID {id} is free", at)
        if not turn.early:
            yield passed(
                "STD-DIMSE-041", f"{message.name} after the final response to the request before", at
            )
        elif turn.lost:
            reason = f"{message.name} although an earlier operation was never answered"
            yield remark("STD-DIMSE-041", reason, at)
        else:
            count = len(turn.outstanding) + 1
            reason = f"{message.name} while {turn.outstanding[-1].name} is outstanding ({count} operations"
            reason += f", {turn.allowed} negotiated)" if turn.allowed != 1 else ", no window negotiated)"
            yield failed("STD-DIMSE-041", reason, at, case.at(turn.outstanding[-1]))


@dataclass(frozen=True, slots=True)
class _Answers:
    """Responses of the SUT on one association: by request, and those that belong to none."""

    by_request: Mapping[int, tuple[Message, ...]]
    strays: tuple[Message, ...]
    asked: tuple[Message, ...]


def _answers(deal: Deal) -> _Answers:
    opened: dict[int, Message] = {}
    found: dict[int, list[Message]] = {}
    asked, strays = [], []
    for message in deal.association.messages:
        command = message.command
        if message.sender == deal.peer and _operation(message):
            asked.append(message)
            found[message.number] = []
            if command.message_id is not None:
                opened[command.message_id] = message
        elif message.sender == deal.side and not command.is_request:
            request = opened.get(command.responded_to) if command.responded_to is not None else None
            if request is None:
                strays.append(message)
            else:
                found[request.number].append(message)
    return _Answers({number: tuple(m) for number, m in found.items()}, tuple(strays), tuple(asked))


@check("STD-DIMSE-042", "STD-DIMSE-043", "STD-DIMSE-044", "STD-DIMSE-045", "STD-DIMSE-046")
@merged
def responses(case: Case) -> Iterator[Finding]:
    """What the SUT answers, and that it answers."""
    for deal in deals(case).values():
        answers = _answers(deal)
        for message in answers.strays if not deal.peer_broke else ():
            if readable(message) and message.command.responded_to is not None and deal.association.whole:
                id = message.command.responded_to
                reason = f"{message.name} to the Message ID {id}, for which nothing is outstanding"
                yield failed("STD-DIMSE-042", reason, case.at(message, "(0000,0120)"))
        for request in answers.asked:
            given = answers.by_request[request.number]
            for message in given:
                if readable(message):
                    yield from _response(case, request, message)
            yield from _answered(case, deal, request, given, answers.strays)


def _response(case: Case, request: Message, message: Message) -> Iterator[Finding]:
    at = case.at(message)
    yield passed("STD-DIMSE-042", f"{message.name} to Message ID {message.command.responded_to}", at)
    wanted = request.name.removesuffix("-RQ") + "-RSP"
    if message.name != wanted:
        yield failed("STD-DIMSE-043", f"{message.name} to a {request.name}", at)
        return
    if message.context_id != request.context_id:
        reason = f"{message.name} in context {message.context_id}, the request was in {request.context_id}"
        yield failed("STD-DIMSE-043", reason, at)
    else:
        yield passed("STD-DIMSE-043", f"{message.name} in its request's context", at)
    status = message.command.status
    if status is not None:
        text = f"{message.name} with the status {status:04X}H"
        where = case.at(message, "(0000,0900)")
        legal = legal_status(message.name, status)
        yield passed("STD-DIMSE-045", text, where) if legal else failed("STD-DIMSE-045", text, where)
    for affected, requested, tag in (
        ("AffectedSOPClassUID", "RequestedSOPClassUID", "(0000,0002)"),
        ("AffectedSOPInstanceUID", "RequestedSOPInstanceUID", "(0000,1000)"),
    ):
        said = message.command.get(affected)
        asked = request.command.get(affected) or request.command.get(requested)
        if not said or not asked:
            continue
        if said == asked:
            yield passed("STD-DIMSE-046", f"{message.name} names what was asked for", at)
        else:
            yield failed(
                "STD-DIMSE-046", f"{message.name} names {said}, asked was {asked}", case.at(message, tag)
            )


def _answered(
    case: Case, deal: Deal, request: Message, given: tuple[Message, ...], strays: tuple[Message, ...]
) -> Iterator[Finding]:
    association = deal.association
    final = [m for m in given if not pending(m.command.status)]
    at = case.at(request)
    if len(final) > 1:
        reason = f"{request.name} is answered by {len(final)} final responses"
        yield failed("STD-DIMSE-044", reason, case.at(final[1]), at)
    elif final:
        yield passed("STD-DIMSE-044", f"{request.name} is answered", at)
    elif (
        not request.complete
        or not readable(request)
        or request.context_id not in deal.agreed
        or strays
        or deal.peer_broke
        or not association.whole
        or association.end == "open"
    ):
        return
    elif any(p.side == deal.side and p.kind == "A-ABORT" for p in association.pdus):
        yield remark("STD-DIMSE-044", f"{request.name} is answered by an abort", at)
    elif ignored(deal, request):
        yield failed("STD-DIMSE-044", f"{request.name} is not answered", at)
    else:
        yield remark("STD-DIMSE-044", f"the peer did not wait for the answer to {request.name}", at)


def ignored(deal: Deal, request: Message) -> bool:
    """Whether the SUT had its time, or went on to other things, without answering a request."""
    association = deal.association
    for pdu in association.pdus:
        if pdu.side == deal.side and pdu.index > request.last_pdu:
            late = pdu.time - request.last_time >= CROSSING
            if pdu.kind == "A-RELEASE-RP" or (pdu.kind == "A-RELEASE-RQ" and late):
                return True
    later = [m for m in association.messages if m.sender == deal.side and m.first_pdu > request.last_pdu]
    if any(not m.command.is_request for m in later):
        return True
    return association.last_time - request.last_time >= CERTAIN


@check("STD-DIMSE-047")
@merged
def cancels(case: Case) -> Iterator[Finding]:
    """C-CANCEL names an operation that can be cancelled and is outstanding."""
    for deal in deals(case).values():
        if deal.association.tcp.mid_stream or deal.association.tcp.gaps:
            continue
        requests: dict[int, Message] = {}
        for message in deal.association.messages:
            if message.sender != deal.side or not readable(message):
                continue
            if message.name != "C-CANCEL-RQ":
                if message.command.is_request and message.command.message_id is not None:
                    requests[message.command.message_id] = message
                continue
            id, at = message.command.responded_to, case.at(message)
            request = requests.get(id) if id is not None else None
            fault = _cancel_fault(case, request, message)
            if id is None:
                continue
            if fault:
                yield failed("STD-DIMSE-047", f"C-CANCEL-RQ for Message ID {id}: {fault}", at)
            else:
                yield passed("STD-DIMSE-047", f"C-CANCEL-RQ for Message ID {id}", at)


def _cancel_fault(case: Case, request: Message | None, cancel: Message) -> str:
    if request is None:
        return "no request has it"
    if request.name not in PENDING_FOLLOWS:
        return f"a {request.name} cannot be cancelled"
    if request.context_id != cancel.context_id:
        return f"in context {cancel.context_id}, the request was in {request.context_id}"
    final = case.exchange(request).final
    if final is not None and final.number < cancel.number and cancel.first_time - final.last_time > CROSSING:
        return "its final response had come"
    return ""


@check("STD-DIMSE-048")
@merged
def releases(case: Case) -> Iterator[Finding]:
    """The SUT waits for its answers before it releases."""
    for deal in deals(case).values():
        association = deal.association
        release = next(
            (p for p in association.pdus if p.side == deal.side and p.kind == "A-RELEASE-RQ"), None
        )
        if release is None or association.tcp.one_direction or association.tcp.gaps or deal.peer_broke:
            continue
        open_ = _open_at(deal, release)
        at = case.at(release, association=association)
        if open_ is None:
            yield passed("STD-DIMSE-048", "nothing was outstanding at the release", at)
        elif open_.cancelled or release.time - open_.since >= CERTAIN:
            yield remark("STD-DIMSE-048", f"released while {open_.name} was not answered", at)
        else:
            reason = f"released {release.time - open_.since:.3f} s after {open_.name}, without waiting for the answer"
            yield failed("STD-DIMSE-048", reason, at)


@dataclass(frozen=True, slots=True)
class _Open:
    name: str
    since: float
    cancelled: bool


def _open_at(deal: Deal, release: Pdu) -> _Open | None:
    waiting: list[Message] = []
    since: dict[int, float] = {}
    cancelled = set()
    for message in deal.association.messages:
        command = message.command
        if message.sender == deal.side and message.first_pdu < release.index:
            if message.name == "C-CANCEL-RQ":
                cancelled.add(command.responded_to)
            elif command.is_request and message.complete:
                waiting.append(message)
                since[message.number] = message.last_time
        elif message.sender == deal.peer and not command.is_request:
            if message.last_pdu > release.index and message.last_time > release.time:
                continue
            asked = next((m for m in waiting if m.command.message_id == command.responded_to), None)
            asked = asked or next(iter(waiting), None)
            if asked is None:
                continue
            if pending(command.status):
                since[asked.number] = message.last_time
            else:
                waiting.remove(asked)
    if not waiting:
        return None
    first = waiting[0]
    return _Open(first.name, since[first.number], first.command.message_id in cancelled)
