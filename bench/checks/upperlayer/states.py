"""Rules about which PDU may be sent when, and about the end of associations (PS3.8 7.2, 7.3, 9.2).

Rules of this file:

* The order of what one side sends is certain.  The order between the two sides is that of the recorder; where it
  decides, a margin (:data:`CERTAIN`) keeps crossing PDUs from being called a fault.
* What the SUT does after its peer broke off, or after a cable was pulled, is no fault of the SUT.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import Deal, deals
from bench.witness.model import Association, Message, Pdu, Problem

CERTAIN: Final = 1.0
"""Seconds that a peer must have waited before a missing answer is the SUT's fault."""
ABORT_REASONS: Final = (0, 1, 2, 4, 5, 6)
FIXED: Final = ("A-ASSOCIATE-RJ", "A-RELEASE-RQ", "A-RELEASE-RP", "A-ABORT")
ACCIDENTS: Final = ("sut.exited", "link.pulled")
"""Journal events after which a broken connection is the bench's own doing."""


@check("STD-UL-050", "STD-UL-051")
@merged
def pdu_frames(case: Case) -> Iterator[Finding]:
    """PDU types are known, lengths are right."""
    for deal in deals(case).values():
        association = deal.association
        unknown, lengths = False, False
        ours = association.request if deal.side == "requestor" else association.answer
        for problem in _problems(deal, "pdu-type", "pdu-garbage"):
            if ours is not None and ours.frame == problem.frame and deal.ours and deal.ours.faults:
                lengths = True
                reason = f"the length of the {ours.kind} is {ours.length}, which cuts it in two"
                yield failed("STD-UL-051", reason, case.at(ours, association=association))
                continue
            unknown = True
            yield failed("STD-UL-050", problem.text, case.at(problem, association=association))
        for problem in _problems(deal, "pdu-length"):
            lengths = True
            yield failed("STD-UL-051", problem.text, case.at(problem, association=association))
        for problem in _problems(deal, "pdu-cut", "pdu-stopped"):
            if _lies(deal, problem):
                lengths = True
                yield failed("STD-UL-051", problem.text, case.at(problem, association=association))
        first = next((p for p in association.pdus if p.side == deal.side), None)
        if first is None:
            continue
        at = case.at(first, association=association)
        wrong = [p for p in association.pdus if p.side == deal.side and p.kind in FIXED and p.length != 4]
        for pdu in wrong if not lengths else ():
            lengths = True
            reason = f"the {pdu.kind} has a length of {pdu.length}, not 4"
            yield failed("STD-UL-051", reason, case.at(pdu, association=association))
        if not unknown:
            yield passed("STD-UL-050", "PDU types are known", at)
        if not lengths:
            yield passed("STD-UL-051", "PDU lengths are right", at)


def _lies(deal: Deal, problem: Problem) -> bool:
    """Whether a PDU without an end is one whose length says too much, and not one that was broken off."""
    association, tcp = deal.association, deal.association.tcp
    if not tcp.syn or tcp.gaps or tcp.one_direction or tcp.mid_stream:
        return False
    if association.request is None:  # the first PDU is sent at once
        return deal.side == "requestor" and not tcp.retransmissions
    if deal.side == "requestor" and problem.frame == association.request.frame:
        return True
    return problem.code == "pdu-cut" and (not association.accepted or association.end == "released")


@check("STD-UL-023")
@merged
def reserved_bytes(case: Case) -> Iterator[Finding]:
    """Reserved bytes of the small PDUs and of P-DATA-TF headers are zero."""
    for deal in deals(case).values():
        association = deal.association
        for pdu in association.pdus:
            if pdu.side != deal.side or pdu.kind not in FIXED or len(pdu.raw) < 10:
                continue
            bytes_ = {1, 6} | (
                {7, 8, 9} if "RELEASE" in pdu.kind else {7} if pdu.kind == "A-ABORT" else set()
            )
            if any(pdu.raw[index] for index in bytes_):
                reason = f"reserved bytes of the {pdu.kind} are not zero: {pdu.raw[:10].hex(' ')}"
                yield failed("STD-UL-023", reason, case.at(pdu, association=association))
        named = {p.index for p in association.pdus}
        for problem in _problems(deal, "reserved"):
            if problem.pdu is None or problem.pdu not in named:
                yield failed("STD-UL-023", problem.text, case.at(problem, association=association))


@check("STD-UL-052")
@merged
def data_in_associations_only(case: Case) -> Iterator[Finding]:
    """P-DATA is sent after the accept only."""
    for deal in deals(case).values():
        association, answer = deal.association, deal.association.answer
        if association.tcp.mid_stream or association.request is None:
            continue
        for message in _sent(deal):
            at = case.at(message)
            if answer is None:
                if association.whole and not deal.peer_broke:
                    yield failed("STD-UL-052", f"{message.name} on an association that was not answered", at)
            elif not association.accepted:
                yield failed("STD-UL-052", f"{message.name} on an association that was rejected", at)
            elif message.first_pdu > answer.index:
                yield passed("STD-UL-052", "data after the accept", at)
            elif message.first_time < answer.time and message.first_frame < answer.frame:
                yield failed("STD-UL-052", f"{message.name} was sent before the association was accepted", at)


@check("STD-UL-053", "STD-UL-058")
@merged
def nothing_after_the_end(case: Case) -> Iterator[Finding]:
    """What the SUT sends after its own release, abort or reject."""
    for deal in deals(case).values():
        association = deal.association
        ours = [p for p in association.pdus if p.side == deal.side]
        end = next((p for p in ours if p.kind in ("A-ABORT", "A-ASSOCIATE-RJ")), None)
        if end is not None:
            late = _later(deal, end, ())
            told = late is not None or any(_problems(deal, "pdu-after-end"))
            at = case.at(end, association=association)
            if told:
                what = late.name if isinstance(late, Message) else late.kind if late else "bytes"
                yield failed("STD-UL-058", f"{what} after the SUT's own {end.kind}", at)
            else:
                yield passed("STD-UL-058", f"nothing after the {end.kind}", at)
        theirs = next(
            (p for p in association.pdus if p.side == deal.peer and p.kind in ("A-ABORT", "A-ASSOCIATE-RJ")),
            None,
        )
        late = _later(deal, theirs, ()) if theirs is not None and end is None else None
        if late is not None and theirs is not None and _since(late) - theirs.time >= CERTAIN:
            what = late.name if isinstance(late, Message) else late.kind
            if not (isinstance(late, Message) and theirs.kind == "A-ASSOCIATE-RJ"):  # that is STD-UL-052
                reason = f"{what} long after the peer's {theirs.kind}"
                yield failed("STD-UL-058", reason, case.at(theirs, association=association))
        asked = next((p for p in ours if p.kind == "A-RELEASE-RQ"), None)
        answered = next((p for p in ours if p.kind == "A-RELEASE-RP"), None)
        allowed = ("A-RELEASE-RP", "A-ABORT")
        late_data = asked and _later(deal, asked, (*allowed, "A-RELEASE-RQ"))
        late_data = late_data or (answered and _later(deal, answered, ("A-ABORT", "A-RELEASE-RQ", *allowed)))
        mark = asked or answered
        if late_data:
            what = late_data.name if isinstance(late_data, Message) else late_data.kind
            at = (
                case.at(late_data)
                if isinstance(late_data, Message)
                else case.at(late_data, association=association)
            )
            yield failed("STD-UL-053", f"{what} after the SUT's own {mark.kind if mark else 'release'}", at)
        elif mark is not None:
            at = case.at(mark, association=association)
            yield passed("STD-UL-053", f"nothing but the end of the release after the {mark.kind}", at)


def _since(thing: Pdu | Message) -> float:
    return thing.first_time if isinstance(thing, Message) else thing.time


def _later(deal: Deal, pdu: Pdu, allowed: tuple[str, ...]) -> Pdu | Message | None:
    for message in _sent(deal):
        if message.first_pdu > pdu.index:
            return message
    for other in deal.association.pdus:
        if other.side == deal.side and other.index > pdu.index and other.kind not in allowed:
            return other
    return None


@check("STD-UL-055")
@merged
def pdus_of_the_state(case: Case) -> Iterator[Finding]:
    """The SUT sends only PDUs that its side may send in its state."""
    for deal in deals(case).values():
        association = deal.association
        if association.tcp.mid_stream or association.tcp.one_direction or deal.peer_broke:
            continue
        faults = list(_out_of_state(deal))
        request = association.request
        for problem in _problems(deal, "pdu-unexpected"):
            if request is not None and problem.frame == request.frame and deal.side == "requestor":
                faults.append((request, "a second A-ASSOCIATE-RQ on the same connection"))
        for pdu, reason in faults:
            yield failed("STD-UL-055", reason, case.at(pdu, association=association))
        first = next((p for p in association.pdus if p.side == deal.side), None)
        if first is not None and not faults:
            yield passed("STD-UL-055", "PDUs in their states", case.at(first, association=association))


def _out_of_state(deal: Deal) -> Iterator[tuple[Pdu, str]]:
    foreign = {
        "requestor": ("A-ASSOCIATE-AC", "A-ASSOCIATE-RJ"),
        "acceptor": ("A-ASSOCIATE-RQ",),
    }[deal.side]
    counts: dict[str, int] = {}
    end: Pdu | None = None
    pdus = deal.association.pdus
    for pdu in pdus:
        if pdu.side != deal.side:
            continue
        counts[pdu.kind] = counts.get(pdu.kind, 0) + 1
        if pdu.kind in foreign:
            yield pdu, f"an {pdu.kind} from the association's {deal.side}"
        elif pdu.kind in ("A-ASSOCIATE-RQ", "A-ASSOCIATE-AC", "A-ASSOCIATE-RJ"):
            answers = counts.get("A-ASSOCIATE-AC", 0) + counts.get("A-ASSOCIATE-RJ", 0)
            if (answers if deal.side == "acceptor" else counts[pdu.kind]) > 1:
                yield pdu, f"a second answer or request: {pdu.kind}"
        elif end is not None:
            continue  # after the end: STD-UL-058
        elif pdu.kind == "A-RELEASE-RQ":
            if counts[pdu.kind] > 1:
                yield pdu, "a second A-RELEASE-RQ"
            elif deal.association.answer is None and deal.association.whole:
                yield pdu, "an A-RELEASE-RQ on an association that was not accepted"
        elif pdu.kind == "A-RELEASE-RP":
            theirs = [p for p in pdus if p.side != deal.side and p.kind == "A-RELEASE-RQ"]
            if counts[pdu.kind] > 1:
                yield pdu, "a second A-RELEASE-RP"
            elif not theirs and not deal.association.tcp.gaps:
                yield pdu, "an A-RELEASE-RP that no A-RELEASE-RQ asked for"
        elif pdu.kind == "A-ABORT":
            end = pdu


@check("STD-UL-054")
@merged
def releases_answered(case: Case) -> Iterator[Finding]:
    """A release that the peer asks for is answered."""
    for deal in deals(case).values():
        association = deal.association
        asked = next((p for p in association.pdus if p.side == deal.peer and p.kind == "A-RELEASE-RQ"), None)
        if asked is None:
            continue
        at = case.at(asked, association=association)
        ours = [p for p in association.pdus if p.side == deal.side]
        if any(p.kind in ("A-RELEASE-RP", "A-ABORT") for p in ours):
            yield passed("STD-UL-054", "the peer's A-RELEASE-RQ is answered", at)
        elif any(p.kind == "A-RELEASE-RQ" for p in ours):
            yield remark("STD-UL-054", "both sides asked for the release; the peer's is not answered", at)
        elif not association.whole or association.end == "open" or accident(case):
            continue
        elif _peer_broke_off(deal, asked):
            yield remark("STD-UL-054", "the peer broke off before its A-RELEASE-RQ could be answered", at)
        else:
            yield failed("STD-UL-054", "the peer's A-RELEASE-RQ is not answered by A-RELEASE-RP", at)


def _peer_broke_off(deal: Deal, asked: Pdu) -> bool:
    tcp = deal.association.tcp
    abort = next((p for p in deal.association.pdus if p.side == deal.peer and p.kind == "A-ABORT"), None)
    first = abort is not None or (tcp.reset or tcp.first_fin) == deal.peer
    end = abort.time if abort is not None else deal.association.last_time
    return first and end - asked.time < CERTAIN


@check("STD-UL-056")
@merged
def orderly_ends(case: Case) -> Iterator[Finding]:
    """An established association is released or aborted, not just dropped by the SUT."""
    for deal in deals(case).values():
        association = deal.association
        if not association.accepted:
            continue
        at = case.at(association)
        if association.end in ("released", "aborted"):
            yield passed("STD-UL-056", f"the association was {association.end}", at)
        elif _hurried(deal) and not accident(case):
            reason = "the SUT closed the connection without waiting for the answer to its release"
            yield failed("STD-UL-056", reason, at)
        elif (
            association.end not in ("closed", "reset")
            or association.ended_by != deal.side
            or not association.whole
            or _ending(deal)
        ):
            continue
        elif accident(case) or waited(deal) >= CERTAIN or not deal.agreed:
            reason = "the SUT closed the connection without release or abort, after trouble or a refusal"
            yield remark("STD-UL-056", reason, at)
        else:
            what = "reset" if association.end == "reset" else "closed"
            yield failed("STD-UL-056", f"the SUT {what} the connection without release or abort", at)


def _hurried(deal: Deal) -> bool:
    """Whether the SUT asked for the release and was gone at once (PS3.8 9.2.3, state Sta7)."""
    association = deal.association
    asked = next((p for p in association.pdus if p.side == deal.side and p.kind == "A-RELEASE-RQ"), None)
    other = any(
        p.kind in ("A-RELEASE-RP", "A-ABORT") or p.side != deal.side
        for p in association.pdus
        if asked and p.time > asked.time
    )
    return (
        asked is not None
        and not other
        and association.whole
        and association.end in ("closed", "reset")
        and association.ended_by == deal.side
        and association.last_time - asked.time < CERTAIN
    )


def _ending(deal: Deal) -> bool:
    """Whether a release or an abort was under way."""
    return any(p.kind in ("A-RELEASE-RQ", "A-RELEASE-RP", "A-ABORT") for p in deal.association.pdus)


def waited(deal: Deal) -> float:
    """Seconds for which the SUT had waited for an answer of its peer when the association ended; 0 if for none."""
    association = deal.association
    answered = {m.command.responded_to for m in association.messages if m.sender == deal.peer}
    open_ = [
        m
        for m in association.messages
        if m.sender == deal.side and m.command.is_request and m.command.message_id not in answered
    ]
    return association.last_time - open_[-1].last_time if open_ else 0.0


def accident(case: Case) -> bool:
    """Whether the bench pulled a cable or ended the SUT in this cell."""
    return next(case.happened(*ACCIDENTS), None) is not None


@check("STD-UL-057")
@merged
def aborts(case: Case) -> Iterator[Finding]:
    """Source and reason of the SUT's aborts."""
    for deal in deals(case).values():
        for pdu in deal.association.pdus:
            if pdu.side != deal.side or pdu.kind != "A-ABORT" or len(pdu.raw) < 10:
                continue
            source, reason = pdu.raw[8:10]
            ok = (source == 0 and reason == 0) or (source == 2 and reason in ABORT_REASONS)
            text = f"A-ABORT with source {source}, reason {reason}"
            at = case.at(pdu, association=deal.association)
            yield passed("STD-UL-057", text, at) if ok else failed("STD-UL-057", text, at)


def _sent(deal: Deal) -> Iterator[Message]:
    return (m for m in deal.association.messages if m.sender == deal.side)


def _problems(deal: Deal, *codes: str) -> Iterator[Problem]:
    return (p for p in deal.association.problems if p.side == deal.side and p.code in codes)


def last_pdu(association: Association, side: str, *kinds: str) -> Pdu | None:
    """The last PDU of some kinds that a side sent."""
    return next((p for p in reversed(association.pdus) if p.side == side and p.kind in kinds), None)
