"""VX-QR-001 … -006: one association for each study query, at level STUDY, released."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, Unseen, check, failed
from bench.checks.services import claims
from bench.checks.services.common import (
    STUDY_ROOT_FIND,
    idle_associations,
    opening,
    peer,
    proposes,
    readable,
    release_finding,
    tag,
)
from bench.checks.services.queries import finds
from bench.checks.vxvue.worklist import asks, one_query

UNSEEN: Final = {
    "VX-QR-004": Unseen("operator", "the list of studies is shown at the product"),
    "VX-QR-006": Unseen("operator", "the warning is shown at the product"),
}


@check("VX-QR-001", "VX-QR-002", "VX-QR-003", "VX-QR-005")
def steps(case: Case) -> Iterator[Finding]:
    """Association, C-FIND at level STUDY, release; one query for each association."""
    queries = tuple(finds(case, STUDY_ROOT_FIND))
    yield from opening(case, "VX-QR-001", "Study Root FIND", (STUDY_ROOT_FIND,), queries)
    for message in queries:
        level = message.dataset.text("QueryRetrieveLevel") if message.dataset is not None else None
        if level != "STUDY" and (level or readable(message)):
            at = case.at(message, tag("QueryRetrieveLevel"))
            yield failed("VX-QR-002", f"the query is at level '{level or ''}'; STUDY is wanted", at)
        else:
            yield from asks(case, "VX-QR-002", message, "study-query")
    for association in idle_associations(case, (STUDY_ROOT_FIND,)):
        text = f"an association for a study query to {peer(association)} is released without a C-FIND-RQ"
        yield failed("VX-QR-002", text, case.at(association))
    for association in case.outgoing:
        if proposes(association, STUDY_ROOT_FIND):
            yield release_finding(case, "VX-QR-003", association)
            yield from one_query(case, "VX-QR-005", association, STUDY_ROOT_FIND, "study")


@check("VX-QR-006")
def rejection_warning(case: Case) -> Iterator[Finding]:
    """A rejected query association gives a warning (a claim)."""
    yield from claims.warned(case, "VX-QR-006", "query", STUDY_ROOT_FIND)
