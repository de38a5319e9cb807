"""VX-MWL-001 … -008: one association for each worklist, one C-FIND to the configured scheduler, release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, Unseen, check, failed, inconclusive, passed
from bench.checks.services import claims
from bench.checks.services.common import (
    WORKLIST,
    asked,
    configured_peer,
    idle_associations,
    opening,
    peer,
    proposes,
    readable,
    release_finding,
    whole,
)
from bench.checks.services.queries import finds
from bench.witness.model import Association, Message

UNSEEN: Final = {
    "VX-MWL-004": Unseen("operator", "the local database is not on the wire"),
    "VX-MWL-007": Unseen("operator", "the warning is shown at the product"),
    "VX-MWL-008": Unseen(
        "configuration", "whether keys can be removed or added is seen in the configuration"
    ),
}


@check("VX-MWL-001", "VX-MWL-002", "VX-MWL-003", "VX-MWL-005", "VX-MWL-006")
def steps(case: Case) -> Iterator[Finding]:
    """Association, C-FIND to the configured peer, release; one query for each association."""
    queries = tuple(finds(case, WORKLIST))
    yield from opening(case, "VX-MWL-001", "Modality Worklist FIND", (WORKLIST,), queries)
    for message in queries:
        yield from asks(case, "VX-MWL-002", message, "worklist-query")
        yield configured_peer(case, "VX-MWL-003", message, ("worklist",), "worklist SCP")
    for association in idle_associations(case, (WORKLIST,)):
        text = f"an association for the worklist to {peer(association)} is released without a C-FIND-RQ"
        yield failed("VX-MWL-002", text, case.at(association))
    for association in case.outgoing:
        if proposes(association, WORKLIST):
            yield release_finding(case, "VX-MWL-005", association)
            yield from one_query(case, "VX-MWL-006", association, WORKLIST, "worklist")


def asks(case: Case, id: str, message: Message, dataset: str) -> Iterator[Finding]:
    """Judge that a C-FIND carries an identifier made of the statement's keys (which of them: the key rows)."""
    at = case.at(message)
    keys = {
        clause.attribute.path_keywords[0] if clause.attribute.path_keywords else clause.attribute.keyword
        for section in case.statement.sections
        if section.dataset == dataset
        for clause in section.clauses
        if clause.attribute is not None
    }
    if message.dataset is not None and any(message.dataset.has(k) for k in keys):
        yield passed(id, "C-FIND-RQ with an identifier of the statement's keys", at)
    elif (message.dataset is not None or message.command.has_dataset) and not readable(message):
        yield inconclusive(id, "the identifier of the C-FIND-RQ cannot be read to its end", at)
    elif message.dataset is not None:
        yield failed(id, "the identifier holds none of the statement's keys", at)
    elif whole(case.association(message)):
        yield failed(id, "the C-FIND-RQ has no identifier", at)


def one_query(case: Case, id: str, association: Association, model: str, name: str) -> Iterator[Finding]:
    """Judge that an association carries one query only."""
    queries = [
        e.request
        for e in asked(case, association)
        if e.request.name == "C-FIND-RQ" and e.request.sop_class == model
    ]
    if len(queries) > 1:
        text = f"{len(queries)} {name} queries on one association; each wants its own"
        yield failed(id, text, *(case.at(m) for m in queries[1:4]))
    elif queries:
        yield passed(id, f"one {name} query on its association", case.at(queries[0]))


@check("VX-MWL-004")
def database(case: Case) -> Iterator[Finding]:
    """The items of the answer are in the list that the SUT shows (a claim)."""
    told = claims.states(case, "worklist")
    for message in finds(case, WORKLIST):
        exchange = case.exchange(message)
        if exchange.final is None or exchange.status != 0:
            continue
        items = sum(1 for r in exchange.responses if r is not exchange.final and r.dataset is not None)
        begin = exchange.final.last_time
        event = next((e for t, e in told if begin - claims.SLACK <= t <= begin + claims.PATIENCE), None)
        if event is None:
            continue
        count = event.data.get("count")
        at = (case.at(exchange.final), claims.claim(event))
        if count == items:
            added, updated = event.data.get("added"), event.data.get("updated")
            yield passed("VX-MWL-004", f"{count} items listed ({added} added, {updated} updated)", *at)
        elif isinstance(count, int) and count > items:
            text = f"{count} items listed; the scheduler sent {items} (not updated but doubled?)"
            yield failed("VX-MWL-004", text, *at)
        else:
            yield inconclusive(
                "VX-MWL-004", f"{count} items listed, {items} were sent; some may be unusable", *at
            )


@check("VX-MWL-007")
def rejection_warning(case: Case) -> Iterator[Finding]:
    """A rejected worklist association gives a warning (a claim)."""
    yield from claims.warned(case, "VX-MWL-007", "worklist", WORKLIST)
