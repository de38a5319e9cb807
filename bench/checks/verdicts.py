"""From findings to verdicts: every clause of the statement, every default, every rule of the standard.

Rules of this file:

* Findings of all occasions combine in the one fixed order (:mod:`bench.verdict`); no finding at all is
  NOT-EXERCISED, with the reason where no capture can show the clause.
* A check that fails by itself is the bench's fault: ERROR on what it speaks of, and its findings so far stay.
* Bounded: of many findings the first few of the winning verdict are kept as evidence, and all are counted.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.checks import registry
from bench.checks.case import Case
from bench.checks.finding import BY, Check, Finding
from bench.checks.standard import AREAS, rules
from bench.resultmodel import ClauseResult, Evidence
from bench.statements.model import Statement
from bench.verdict import Verdict, combine

EVIDENCE_KEPT: Final = 20
REASONS_KEPT: Final = 5
DEFAULTS: Final = "Defaults"
"""Section of the defaults in results (ruling A3)."""


@dataclass(slots=True)
class _Tally:
    """Findings on one id, by verdict: how many, the first reasons, the first evidences."""

    counts: dict[Verdict, int] = field(default_factory=dict)
    reasons: dict[Verdict, dict[str, None]] = field(default_factory=dict)
    evidence: dict[Verdict, list[Evidence]] = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        if finding.remark:
            if len(self.remarks) < REASONS_KEPT:
                frames = ", ".join(str(e.frame) for e in finding.evidence if e.frame is not None)
                self.remarks[f"{finding.reason} (frame {frames})" if frames else finding.reason] = None
            return
        verdict = finding.verdict
        self.counts[verdict] = self.counts.get(verdict, 0) + 1
        reasons = self.reasons.setdefault(verdict, {})
        if len(reasons) < REASONS_KEPT:
            reasons[finding.reason] = None
        kept = self.evidence.setdefault(verdict, [])
        if len(kept) < EVIDENCE_KEPT:
            kept.extend(finding.evidence[: EVIDENCE_KEPT - len(kept)])


def judge(case: Case, checks: Sequence[Check] | None = None) -> tuple[ClauseResult, ...]:
    """Judge a case: one result for each clause, default and rule, in the statement's order, rules last.

    *checks* defaults to all that are registered for the statement.
    """
    titles = _titles(case.statement)
    tallies = {id: _Tally() for id in titles}
    for each in registry.checks(case.statement.name) if checks is None else checks:
        for finding in _findings(each, case, titles):
            tallies[finding.id].add(finding)
    unseen = registry.unseen(case.statement.name)
    results = []
    for id, (section, title) in titles.items():
        tally = tallies[id]
        verdict = combine(tally.counts) if tally.counts else Verdict.NOT_EXERCISED
        if tally.counts:
            reason = _reason(tally, verdict)
        elif id in unseen and not (case.media and unseen[id].by == "media"):
            reason = f"not to be seen in a capture, {BY[unseen[id].by]}: {unseen[id].why}"
        else:
            reason = "the occasion did not come"
        results.append(
            ClauseResult(
                id=id,
                verdict=verdict,
                reason=reason,
                section=section,
                title=title,
                evidence=tuple(tally.evidence.get(verdict, ())),
                remarks=tuple(tally.remarks),
            )
        )
    return tuple(results)


def _titles(statement: Statement) -> Mapping[str, tuple[str, str]]:
    """Section and title of everything that can have a verdict."""
    titles = {clause.id: (clause.section, clause.title) for clause in statement.clauses}
    titles |= {id: (DEFAULTS, default.fact) for id, default in statement.defaults.items()}
    titles |= {id: (f"Standard: {AREAS[rule.area]}", rule.title) for id, rule in rules().items()}
    return titles


def _findings(check: Check, case: Case, known: Mapping[str, object]) -> Iterable[Finding]:
    try:
        for finding in check(case):
            if finding.id in known:
                yield finding
            elif finding.id.startswith(("STD-", f"{case.statement.prefix}-")):
                raise LookupError(f"{finding.id} is no id of the statement or of the standard's rules")
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename.replace(chr(92), '/').rsplit('/', 1)[-1]}:{frame.lineno}"
        reason = f"the check {check.name} failed at {where}: {type(error).__name__}: {error}"
        for id in known:
            if any(id.startswith(one[:-1]) if one.endswith("*") else id == one for one in check.ids):
                yield Finding(id, Verdict.ERROR, reason)


def _reason(tally: _Tally, verdict: Verdict) -> str:
    reasons = list(tally.reasons[verdict])
    more = tally.counts[verdict] - 1
    if not more:
        return reasons[0]
    others = f"; also: {'; '.join(reasons[1:3])}" if len(reasons) > 1 else ""
    return f"{reasons[0]} ({more + 1} times){others}"
