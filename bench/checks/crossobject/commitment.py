"""Storage commitment names what was stored (PS3.4 J.3; rulings C6, E10).

Rules of this file:

* Where the archive that is asked for commitment is none of those that took images, what was taken anywhere
  counts.
* An instance that was never seen stored is told only when others of the same request were: else the capture
  began later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from bench.checks.crossobject.story import COMMITMENT, recorded
from bench.checks.finding import Finding, check, failed, inconclusive, passed
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case, Stored
    from bench.witness.model import Message

REFERENCES: Final = "ReferencedSOPSequence"


@check("STD-X-050", "STD-X-051", "STD-X-052")
def commitment(case: Case) -> Iterator[Finding]:
    """Every N-ACTION of storage commitment."""
    requests = [
        m
        for m in case.requests("N-ACTION-RQ")
        if m.sop_class == COMMITMENT and m.complete and m.dataset is not None and m.dataset.broken_at is None
    ]
    if not requests:
        return
    there: dict[tuple[str, str], list[Stored]] = defaultdict(list)
    for stored in case.objects:
        there[archive(case, stored.message)].append(stored)
    asked_at: dict[tuple[str, str], set[str]] = defaultdict(set)
    for request in requests:
        asked_at[_place(case, request, there)].update(uid for _, uid in _named(request))
    for request in requests:
        yield from _one(case, request, there, asked_at)


def archive(case: Case, message: Message) -> tuple[str, str]:
    """Where a message went: address and called AE title."""
    association = case.association(message)
    return association.acceptor.address, association.called


def _named(request: Message) -> list[tuple[str, str]]:
    if request.dataset is None:
        return []
    return [
        (item.text("ReferencedSOPClassUID") or "", item.text("ReferencedSOPInstanceUID") or "")
        for item in request.dataset.items(REFERENCES)
    ]


def _place(case: Case, request: Message, there: Mapping[tuple[str, str], list[Stored]]) -> tuple[str, str]:
    """The archive that a request is about: the one that is asked; ("", "") for all when it took nothing."""
    address, title = archive(case, request)
    if (address, title) in there:
        return address, title
    same = [place for place in there if place[0] == address]
    return same[0] if len(same) == 1 else ("", "")


def _one(
    case: Case,
    request: Message,
    there: Mapping[tuple[str, str], list[Stored]],
    asked_at: Mapping[tuple[str, str], set[str]],
) -> Iterator[Finding]:
    dataset = request.dataset
    if dataset is None:
        return
    place = _place(case, request, there)
    pool = there[place] if place != ("", "") else [s for group in there.values() for s in group]
    before = [s for s in pool if s.message.first_time < request.first_time]
    taken = {s.sop_instance: s for s in before if s.accepted}
    tried = {s.sop_instance: s for s in before}
    elsewhere = {s.sop_instance for group in there.values() for s in group}
    named = _named(request)
    where = case.at(request, dataset.get(REFERENCES))
    known = [uid for _, uid in named if uid in taken]
    wrong = False
    for klass, uid in named:
        if not uid:  # that it is missing is told by the rules of the request
            continue
        if uid in taken:
            if klass and taken[uid].sop_class and klass != taken[uid].sop_class:
                yield failed(
                    "STD-X-052",
                    f"{uid} is named with SOP Class {klass}; it was stored as {taken[uid].sop_class}",
                    where,
                )
            else:
                yield passed("STD-X-052", "instances are named with their SOP Class", where)
            continue
        wrong = True
        if uid in tried and tried[uid].exchange.status is not None:
            yield failed("STD-X-050", f"commitment is asked for {uid}, which the archive had refused", where)
        elif uid in elsewhere and uid not in tried and recorded(case):
            yield failed(
                "STD-X-050",
                f"commitment is asked for {uid}, which was not stored at this archive before",
                where,
            )
        elif known and uid not in tried and recorded(case):
            yield failed("STD-X-050", f"commitment is asked for {uid}, which was never stored", where)
        else:
            yield inconclusive(
                "STD-X-050",
                f"commitment is asked for {uid}; whether it was stored is not in the capture",
                where,
            )
    if named and not wrong:
        yield passed("STD-X-050", f"{len(named)} instance(s), all stored before", where)
    studies = {_study(stored) for stored in before if stored.sop_instance in known} - {""}
    asked = asked_at[place]
    left = [s for s in taken.values() if _study(s) in studies and s.sop_instance not in asked]
    for stored in left:
        reason = f"{stored.sop_instance} of the same study was stored there, but {label(REFERENCES)} does not name it"
        yield failed("STD-X-051", reason, where, case.at(stored.message))
    if known and not left:
        yield passed("STD-X-051", "commitment is asked for all that was stored", where)


def _study(stored: Stored) -> str:
    """Study Instance UID of an object, empty where it was not seen."""
    return (stored.dataset.text("StudyInstanceUID") or "") if stored.dataset is not None else ""
