"""Rules about the SUT's answers to requests of others: A-ASSOCIATE-AC and -RJ (PS3.8 9.3.3, 9.3.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import Deal, deals
from bench.checks.upperlayer.items import Negotiation, uid_of
from bench.checks.upperlayer.proposal import named
from bench.witness.model import Pdu

REASONS: Final = {1: (1, 2, 3, 7), 2: (1, 2), 3: (1, 2)}
"""Reject reasons that are not reserved, by source (PS3.8 Table 9-21)."""


def accepts(case: Case) -> Iterator[tuple[Deal, Pdu, Negotiation, Negotiation]]:
    """Every A-ASSOCIATE-AC of the SUT: deal, PDU, the request, the accept."""
    for deal in deals(case).values():
        pdu = deal.association.answer
        if (
            deal.side == "acceptor"
            and pdu is not None
            and deal.request is not None
            and deal.accept is not None
        ):
            yield deal, pdu, deal.request, deal.accept


@check("STD-UL-030", "STD-UL-031", "STD-UL-032", "STD-UL-033", "STD-UL-034")
@merged
def contexts_answered(case: Case) -> Iterator[Finding]:
    """Every proposed context is answered once, with a legal result and a transfer syntax that was proposed."""
    for deal, pdu, request, accept in accepts(case):
        at = case.at(pdu, association=deal.association)
        echo = (accept.called, accept.calling) == (request.called, request.calling)
        if not echo:
            yield remark("STD-UL-034", "the accept does not repeat the AE titles of the request", at)
        else:
            yield passed("STD-UL-034", "the accept repeats the AE titles of the request", at)
        if request.faults or accept.faults:
            continue
        proposals = deal.proposals()
        answers = Counter(c.id for c in accept.contexts)
        missing = sorted(set(proposals) - set(answers))
        foreign = sorted(set(answers) - set(proposals))
        twice = sorted(id for id, count in answers.items() if count > 1)
        faults = []
        if missing:
            faults.append(f"contexts {_list(missing)} are not answered")
        if foreign:
            faults.append(f"contexts {_list(foreign)} were not proposed")
        if twice:
            faults.append(f"contexts {_list(twice)} are answered more than once")
        if faults:
            yield failed("STD-UL-030", "; ".join(faults), at)
        else:
            yield passed("STD-UL-030", f"{len(proposals)} contexts are answered once each", at)
        for answer in accept.contexts:
            if answer.result not in range(5):
                yield failed("STD-UL-031", f"context {answer.id} has the result {answer.result}", at)
                continue
            yield passed("STD-UL-031", f"context {answer.id} has the result {answer.result}", at)
            if answer.result:
                continue
            if len(answer.transfer) != 1:
                reason = f"context {answer.id} is accepted with {len(answer.transfer)} transfer syntaxes"
                yield failed("STD-UL-032", reason, at)
            else:
                yield passed("STD-UL-032", f"context {answer.id} is accepted with one transfer syntax", at)
            proposal = proposals.get(answer.id)
            for chosen in answer.transfer_syntaxes if proposal else ():
                if proposal is None or chosen in proposal.transfer_syntaxes:
                    yield passed("STD-UL-033", f"context {answer.id} is accepted with {chosen}", at)
                else:
                    reason = f"context {answer.id} is accepted with {chosen}, which was not proposed for it"
                    yield failed("STD-UL-033", reason, at)


def _list(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:8])) + (" and more" if len(ids) > 8 else "")


@check("STD-UL-018", "STD-UL-020", "STD-UL-021", "STD-UL-022")
@merged
def negotiation_answered(case: Case) -> Iterator[Finding]:
    """Only what was proposed is answered: window, roles, extended negotiation, identity."""
    for deal, pdu, request, accept in accepts(case):
        if request.faults or accept.faults:
            continue
        at = case.at(pdu, association=deal.association)
        window, asked = accept.window, request.window
        if window is not None:
            if asked is None:
                yield failed("STD-UL-018", "the accept has a window that was not proposed", at)
            elif any(a != 0 and (g == 0 or g > a) for a, g in zip(asked, window, strict=True)):
                yield failed("STD-UL-018", f"the accept's window {window} is larger than {asked}", at)
        proposed = {uid_of(r.sop_class): r for r in request.roles}
        for role in accept.roles:
            sop_class = uid_of(role.sop_class)
            offer = proposed.get(sop_class)
            if offer is None:
                yield failed("STD-UL-020", f"a role of {sop_class} is answered, none was proposed", at)
            elif (role.scu or 0) > (offer.scu or 0) or (role.scp or 0) > (offer.scp or 0):
                given, wanted = f"SCU {role.scu}, SCP {role.scp}", f"SCU {offer.scu}, SCP {offer.scp}"
                yield failed(
                    "STD-UL-020", f"{sop_class}: {given} is accepted where {wanted} was proposed", at
                )
            else:
                yield passed("STD-UL-020", f"the role of {sop_class} is answered", at)
        known = {named(item) for item in request.of(0x56)}
        for item in accept.of(0x56):
            if named(item) not in known:
                reason = f"extended negotiation of {named(item)} is answered, none was proposed"
                yield failed("STD-UL-021", reason, at)
        identity = request.of(0x58)
        wanted_answer = any(len(item.data) > 1 and item.data[1] for item in identity)
        if accept.of(0x59) and not wanted_answer:
            yield failed("STD-UL-022", "a user identity is answered that asked for no answer", at)


@check("STD-UL-035")
@merged
def rejects(case: Case) -> Iterator[Finding]:
    """Result, source and reason of the SUT's rejects."""
    for deal in deals(case).values():
        pdu = deal.association.answer
        if deal.side != "acceptor" or pdu is None or pdu.kind != "A-ASSOCIATE-RJ" or len(pdu.raw) < 10:
            continue
        result, source, reason = pdu.raw[7:10]
        text = f"result {result}, source {source}, reason {reason}"
        at = case.at(pdu, association=deal.association)
        if result in (1, 2) and reason in REASONS.get(source, ()):
            yield passed("STD-UL-035", f"rejected with {text}", at)
        else:
            yield failed("STD-UL-035", f"rejected with {text}, which the standard does not have", at)


@check("STD-UL-036")
@merged
def requests_answered(case: Case) -> Iterator[Finding]:
    """A request of a peer gets an answer, when the capture shows all of it and the peer waited for one."""
    for deal in deals(case).values():
        association = deal.association
        if deal.side != "acceptor" or association.request is None:
            continue
        at = case.at(association.request, association=association)
        if association.answer is not None:
            yield passed("STD-UL-036", f"answered by {association.answer.kind}", at)
        elif any(p.side == "acceptor" and p.kind == "A-ABORT" for p in association.pdus):
            yield passed("STD-UL-036", "answered by A-ABORT", at)
        elif (
            association.whole
            and association.request.pdu is not None
            and association.end in ("closed", "reset")
        ) and association.ended_by == "acceptor":
            yield failed("STD-UL-036", "the connection was closed without an answer to the request", at)
