"""What the SUT said about itself (journal events ``modality.*`` and ``sut.*``), laid beside the capture.

Rules of this file:

* Claims count only for clauses about what the operator sees or does; they are never evidence of anything else.
* Without events, or from a SUT that says nothing of this sort, there is no finding: the clause stays NOT-EXERCISED with
  its reason (``UNSEEN``).
* The journal's clock and the capture's are brought together by ``clock.pair`` events; orders closer than
  :data:`SLACK` are not judged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, failed, inconclusive, passed
from bench.checks.services.common import peer, proposes
from bench.journal import Event
from bench.resultmodel import Evidence
from bench.witness.model import Association

SLACK: Final = 0.5
"""Seconds by which claim and wire may disagree about before and after."""
PATIENCE: Final = 35.0
"""Seconds in which a warning is expected to be shown."""

SERVICES: Final = {
    "storage": ("storage", "store"),
    "worklist": ("worklist", "mwl"),
    "mpps": ("mpps",),
    "commitment": ("commitment", "storage-commitment", "commit"),
    "print": ("print", "printing", "printer"),
    "query": ("query", "query_archive", "archive"),
    "dose": ("dose", "dose-report", "storage", "store"),
    "verification": ("verification", "verify", "echo"),
}


def clock(case: Case) -> Callable[[int], float] | None:
    """Return the function from a journal time (ns, monotonic) to seconds since 1970; None without clock pairs."""
    return case.once(_clock)


def _clock(case: Case) -> Callable[[int], float] | None:
    pairs = [
        (int(e.data["mono"]), int(e.data["real"]))
        for e in case.happened("clock.pair")
        if "mono" in e.data and "real" in e.data
    ]
    if not pairs:
        return None
    pairs.sort()
    starts = [mono for mono, _ in pairs]

    def wall(t: int) -> float:
        mono, real = pairs[max(bisect_right(starts, t) - 1, 0)]
        return (real + t - mono) / 1e9

    return wall


def states(case: Case, what: str) -> list[tuple[float, Event]]:
    """Return the claims about one thing (``job``, ``worklist``, ``mpps``) with their time."""
    wall = clock(case)
    if wall is None:
        return []
    return [(wall(e.t), e) for e in case.happened("modality.state") if e.data.get("what") == what]


def operator(case: Case, *verbs: str) -> list[tuple[float, Event]]:
    """Return what the operator did, with its time."""
    wall = clock(case)
    if wall is None:
        return []
    return [(wall(e.t), e) for e in case.happened("sut.request") if e.data.get("do") in verbs]


def warnings(case: Case, service: str) -> list[tuple[float, Event]]:
    """Return the warnings of one service that the operator would see, with their time."""
    wall = clock(case)
    if wall is None:
        return []
    names = SERVICES.get(service, (service,))
    return [
        (wall(e.t), e)
        for e in case.happened("modality.warning")
        if str(e.data.get("service", "")).lower() in names
    ]


def tells(case: Case) -> bool:
    """Tell whether the SUT makes claims at all, and their time is known."""
    return clock(case) is not None and any(e.kind.startswith("modality.") for e in case.events)


def until(case: Case) -> float:
    """Return when the journal ends."""
    wall = clock(case)
    return wall(case.events[-1].t) if wall is not None and case.events else 0.0


def claim(event: Event, note: str | None = None) -> Evidence:
    """Return where a claim stands in the journal."""
    return Evidence(seq=event.seq, note=note)


def rejected(case: Case, *abstract: str) -> Iterator[Association]:
    """Return associations for a service that the peer rejected."""
    for association in case.outgoing:
        answer = association.answer
        if answer is not None and answer.kind == "A-ASSOCIATE-RJ" and proposes(association, *abstract):
            yield association


def warned(case: Case, id: str, service: str, *abstract: str) -> Iterator[Finding]:
    """Judge 'a warning is issued when the association is rejected' by the SUT's own warnings."""
    if not tells(case):
        return
    shown = warnings(case, service)
    for association in rejected(case, *abstract):
        at = (
            case.at(association.answer, association=association)
            if association.answer
            else case.at(association)
        )
        begin = association.answer.time if association.answer else association.last_time
        found = next((e for t, e in shown if begin - SLACK <= t <= begin + PATIENCE), None)
        if found is not None:
            text = f"warned: {found.data.get('text', '')}".strip()
            yield passed(id, f"{peer(association)} rejected the association; {text}", at, claim(found))
        elif until(case) < begin + PATIENCE:
            yield inconclusive(id, "the journal ends soon after the rejection, without a warning", at)
        else:
            yield failed(id, f"{peer(association)} rejected the association and no warning was issued", at)
