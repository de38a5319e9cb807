"""MX-STO-010 and MX-MWL-009: what the MX1 does on an established association."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks import policies
from bench.checks.case import Case, Stored
from bench.checks.finding import Finding, check, failed, inconclusive, not_applicable, passed
from bench.checks.services.common import (
    WORKLIST,
    cut_by_peer,
    idle_associations,
    peer,
    proposes,
    readable,
    whole,
)
from bench.checks.services.queries import CUT, finds
from bench.checks.services.storage import difference

US_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTIFRAME: Final = "1.2.840.10008.5.1.4.1.1.3.1"
SC_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.7"
IMAGES: Final = (US_IMAGE, US_MULTIFRAME, SC_IMAGE)


@check("MX-STO-010")
def images(case: Case) -> Iterator[Finding]:
    """Each exported image is one C-STORE-RQ over an established association for its class."""
    id = "MX-STO-010"
    taken: dict[tuple[int, str], Stored] = {}
    for stored in case.objects_of(*IMAGES):
        at = case.at(stored.message)
        association = case.association(stored.message)
        key = (association.number, stored.sop_instance)
        before = taken.get(key)
        if before is not None and not difference(before, stored):
            yield failed(
                id, f"{stored.sop_instance} is sent twice on one association although it was taken", at
            )
        elif not stored.message.command.has_dataset and stored.dataset is None:
            yield failed(id, "the C-STORE-RQ carries no image", at)
        elif association.request is not None and not proposes(association, stored.sop_class):
            yield failed(id, f"the association was not made for {stored.sop_class}", at)
        else:
            if policies.established(association, stored.message):
                yield passed(id, f"C-STORE-RQ of {stored.sop_instance}", at)
        if stored.accepted:
            taken.setdefault(key, stored)
    for association in idle_associations(case, IMAGES):
        yield failed(
            id,
            f"an association for images to {peer(association)} is released without a C-STORE-RQ",
            case.at(association),
        )


@check("MX-MWL-009")
def worklist(case: Case) -> Iterator[Finding]:
    """When the association is established a C-FIND-RQ with an identifier is sent."""
    id = "MX-MWL-009"
    for message in finds(case, WORKLIST):
        at = case.at(message)
        association = case.association(message)
        if association.request is not None and not proposes(association, WORKLIST):
            yield failed(id, "the association was not made for the worklist", at)
        elif message.dataset is not None and message.dataset.elements:
            # one that was sent too early is judged with the other services
            if policies.established(association, message):
                yield passed(id, "C-FIND-RQ for the worklist", at)
        elif cut_by_peer(case, message):
            yield not_applicable(id, CUT, at)
        elif message.command.has_dataset and not readable(message):
            yield inconclusive(id, "the identifier of the C-FIND-RQ is not in the capture", at)
        elif whole(association):
            yield failed(id, "the C-FIND-RQ has no identifier", at)
    for association in idle_associations(case, (WORKLIST,)):
        yield failed(
            id,
            f"an association for the worklist to {peer(association)} is released without a C-FIND-RQ",
            case.at(association),
        )
