"""Judging a laboratory conversation by the checks of services alone.

verdicts = judged(tmp_path, build)            # build(lab) holds the conversations
failures(verdicts) == {"STD-SVC-101", "VX-MPPS-002"}
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from bench.checks.case import Case, Sut, SutConfig
from bench.checks.finding import Check, Finding
from bench.journal import Event
from bench.statements import load
from bench.verdict import Verdict, combine
from bench.witness import read
from tests.lab.conversation import START, Lab

SERVICES: Final = tuple(
    f"bench.checks.services.{name}"
    for name in ("verification", "storage", "mpps", "queries", "commitment", "printing")
)
VXVUE: Final = tuple(
    f"bench.checks.vxvue.{name}"
    for name in ("storage", "worklist", "mpps", "commitment", "print", "query", "dose")
)
MX1: Final = ("bench.checks.mx1.behaviour",)
WHO: Final = {"vxvue": "10.0.0.5", "mx1": "10.0.0.6"}


@cache
def checks(*modules: str) -> tuple[Check, ...]:
    """The checks of some modules."""
    found = [
        v for name in modules for v in vars(importlib.import_module(name)).values() if isinstance(v, Check)
    ]
    return tuple(dict.fromkeys(found))


def case_of(
    tmp_path: Path,
    build: Callable[[Lab], object],
    *,
    statement: str = "vxvue",
    config: Mapping[str, Any] | None = None,
    events: Sequence[Event] = (),
    reference: bool = False,
    digest: bool = False,
    **write: Any,
) -> Case:
    """The case of a conversation."""
    lab = Lab()
    build(lab)
    capture = read(str(lab.write(tmp_path / "wire.pcapng", **write)), digest=digest)
    who = Sut(addresses=frozenset({WHO[statement]}))
    return Case(load(statement), capture, who, SutConfig(dict(config or {})), tuple(events), reference)


def findings(case: Case, modules: Iterable[str]) -> list[Finding]:
    """All findings of some modules on a case, and that each is about an id its check names."""
    found = []
    for one in checks(*modules):
        for finding in one(case):
            assert any(
                finding.id.startswith(i[:-1]) if i.endswith("*") else finding.id == i for i in one.ids
            ), f"{one.name} speaks of {finding.id} and names {one.ids}"
            found.append(finding)
    return found


def judged(
    tmp_path: Path,
    build: Callable[[Lab], object],
    *,
    statement: str = "vxvue",
    modules: Iterable[str] | None = None,
    **how: Any,
) -> dict[str, Verdict]:
    """Verdicts by id, of everything that was judged."""
    case = case_of(tmp_path, build, statement=statement, **how)
    own = MX1 if statement == "mx1" else VXVUE
    counts: dict[str, dict[Verdict, int]] = {}
    for finding in findings(case, modules or (*SERVICES, *own)):
        if not finding.remark:
            tally = counts.setdefault(finding.id, {})
            tally[finding.verdict] = tally.get(finding.verdict, 0) + 1
    return {id: combine(tally) for id, tally in counts.items()}


def failures(verdicts: Mapping[str, Verdict]) -> set[str]:
    """The ids that FAIL."""
    return {id for id, verdict in verdicts.items() if verdict is Verdict.FAIL}


def journal(*told: tuple[float, str, dict[str, Any]], end: float = 3600.0) -> tuple[Event, ...]:
    """Events at seconds after the laboratory's start."""
    rows = [(0.0, "clock.pair", {"mono": 0, "real": int(START * 1e9)}), *told]
    rows.append((0.0, "modality.state", {"what": "console", "state": "ready"}))
    rows.sort(key=lambda row: row[0])
    rows.append((end, "cell.end", {}))
    return tuple(Event(n, int(t * 1e9), "x", n, kind, data) for n, (t, kind, data) in enumerate(rows, 1))
