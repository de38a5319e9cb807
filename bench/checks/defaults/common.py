"""How a default is judged (ruling A3): a deviation is FAIL for the reference products, a remark for every other SUT.

Checks of a default that the statement does not have give nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from bench.checks.case import Case, Exchange
from bench.checks.finding import Finding, failed, passed, remark
from bench.checks.services.common import asked, peer_excuse
from bench.resultmodel import Evidence
from bench.witness.model import Association, Message
from simulators.wire import AssociateAccept, AssociateRequest

EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
UNCOMPRESSED: Final = frozenset({IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE})


def has(case: Case, id: str) -> bool:
    """Tell whether the statement has this default."""
    return id in case.statement.defaults


def keeps(case: Case, id: str, kept: bool, yes: str, no: str, *at: Evidence) -> Finding:
    """Give the finding on one occasion of a default."""
    if kept:
        return passed(id, yes, *at)
    return failed(id, no, *at) if case.reference else remark(id, no, *at)


def suits(case: Case, id: str, kept: bool, yes: str, no: str, *at: Evidence) -> Finding:
    """Give the finding on a default that the operator or a setting may overrule unseen: never FAIL."""
    return passed(id, yes, *at) if kept else remark(id, no, *at)


def proposal(association: Association) -> AssociateRequest | None:
    """Return the A-ASSOCIATE-RQ as far as it could be read."""
    pdu = association.request.pdu if association.request is not None else None
    return pdu if isinstance(pdu, AssociateRequest) else None


def acceptance(association: Association) -> AssociateAccept | None:
    """Return the A-ASSOCIATE-AC as far as it could be read."""
    pdu = association.answer.pdu if association.answer is not None else None
    return pdu if isinstance(pdu, AssociateAccept) else None


def peer_limit(case: Case, association: Association) -> int | None:
    """Return the maximum length that the SUT's peer announced (0: none); None when it is unknown."""
    pdu = acceptance(association) if case.side(association) == "requestor" else proposal(association)
    return None if pdu is None else pdu.max_length


def waits(case: Case, id: str, seconds: Callable[[Exchange], float]) -> Iterator[Finding]:
    """Judge how long the SUT waited for an answer before it gave up: where the peer was silent and the SUT ended it."""
    for association in case.outgoing:
        ours = case.side(association)
        pending = [e for e in asked(case, association) if e.final is None]
        ended = next((p for p in association.pdus if p.kind == "A-ABORT" and p.side == ours), None)
        if not pending or not association.whole or association.ended_by != ours:
            continue
        last = max(m.last_time for m in association.messages)
        waited = (ended.time if ended is not None else association.last_time) - last
        if peer_excuse(case, association, last + waited) is None:
            continue
        wanted = seconds(pending[-1])
        text = f"gave up {waited:.1f} s after the last word of {pending[-1].request.name}; {wanted:g} s is the default"
        kept = wanted - 1 <= waited <= wanted + 5
        yield keeps(case, id, kept, text, text, case.at(pending[-1].request))


def sent_datasets(case: Case) -> Iterator[Message]:
    """Return every message of the SUT with a data set."""
    return (m for m in case.sent() if m.dataset is not None)
