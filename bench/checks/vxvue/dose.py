"""VX-SR-001 … -006: the dose report of a study is sent by C-STORE; images and report may share one association (C2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case, Stored
from bench.checks.finding import Finding, Unseen, check, failed, passed
from bench.checks.services import claims
from bench.checks.services.common import (
    DOSE_REPORT,
    DX_IMAGE,
    asked,
    idle_associations,
    opening,
    peer,
    proposes,
    release_finding,
    uid,
)
from bench.checks.services.storage import difference

UNSEEN: Final = {
    "VX-SR-003": Unseen("configuration", "how the report is to be processed is set at the product"),
    "VX-SR-006": Unseen("operator", "the warning is shown at the product"),
}


@check("VX-SR-001", "VX-SR-002", "VX-SR-004", "VX-SR-005")
def steps(case: Case) -> Iterator[Finding]:
    """Association, C-STORE, release."""
    reports = tuple(case.objects_of(DOSE_REPORT))
    yield from opening(
        case, "VX-SR-001", "X-Ray Radiation Dose SR storage", (DOSE_REPORT,), (s.message for s in reports)
    )
    studies: dict[int, str] = {}
    taken: dict[tuple[int, str], Stored] = {}
    for stored in reports:
        at = case.at(stored.message)
        number = stored.message.association
        before = taken.get((number, stored.sop_instance))
        if before is not None and not difference(before, stored):
            text = f"{stored.sop_instance} is sent twice on one association although it was taken"
            yield failed("VX-SR-002", text, at)
        else:
            yield passed("VX-SR-002", f"C-STORE-RQ of dose report {stored.sop_instance}", at)
        if stored.accepted:
            taken.setdefault((number, stored.sop_instance), stored)
        study = uid(stored.dataset, "StudyInstanceUID")
        if study and studies.setdefault(number, study) != study:
            yield failed("VX-SR-005", "dose reports of two studies on one association", at)
        else:
            yield passed("VX-SR-005", "the dose report of one study on its association", at)
    for association in idle_associations(case, (DOSE_REPORT,)):
        text = f"an association for the dose report to {peer(association)} is released without a C-STORE-RQ"
        yield failed("VX-SR-002", text, case.at(association))
    for association in case.outgoing:
        classes = {e.request.sop_class for e in asked(case, association)}
        own = proposes(association, DOSE_REPORT) and not proposes(association, DX_IMAGE) and not classes
        if DOSE_REPORT in classes or own:
            yield release_finding(case, "VX-SR-004", association)


@check("VX-SR-006")
def rejection_warning(case: Case) -> Iterator[Finding]:
    """A rejected association gives a warning (a claim)."""
    for association in claims.rejected(case, DOSE_REPORT):
        if not proposes(association, DX_IMAGE):
            yield from claims.warned(case, "VX-SR-006", "dose", DOSE_REPORT)
            return
