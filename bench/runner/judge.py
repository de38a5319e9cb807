"""From what a cell did and saw to its verdict: one sentence, and everything behind it.

Rules of this file:

* Pure: it looks at results, never at live objects.
* ERROR and FAIL are never mixed: an error of the bench stands beside a failure of the SUT, and both are shown.
* A cell in which nothing was expected proves nothing: INCONCLUSIVE.
* Clauses are not judged here: :mod:`bench.judge.cellwise` reads the cell's capture for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bench.expect import Outcome, Report, Status
from bench.expect.outcome import FaultOutcome
from bench.plan import Plan, shown
from bench.results import (
    CellResult,
    ExpectationResult,
    FaultResult,
    NearMiss,
    StrictnessFinding,
)
from bench.runner.steps import VERDICTS, Walk
from bench.scenario import Expect, Never
from bench.verdict import Verdict, combine


def judge(
    plan: Plan, walk: Walk | None, report: Report, errors: Sequence[str], failures: Sequence[str]
) -> CellResult:
    """Combine steps, expectations, strictness, faults, and what bench and SUT did wrong apart from every step."""
    scenario = plan.cell.scenario
    expectations = tuple(_expectation(o) for o in report.outcomes)
    strictness = tuple(
        StrictnessFinding(
            seq=e.seq, kind=e.kind, message=f"{brief(e)}: no expectation matched it and no allow names it"
        )
        for e in report.unexpected
    )
    steps = walk.steps if walk is not None else ()
    all_errors = [*errors, *report.errors]
    miscounted = _miscounted(plan, walk) if walk is not None and not all_errors else ""
    failed = [text for text in (*failures, *report.failures, miscounted) if text]
    verdicts: list[Verdict] = [s.verdict for s in steps if s.verdict is not Verdict.NOT_EXERCISED]
    verdicts += [e.verdict for e in expectations]
    verdicts += [Verdict.FAIL] * bool(strictness or failed)
    verdicts += [Verdict.INCONCLUSIVE] * bool(report.unobserved)
    verdicts += [Verdict.ERROR] * bool(all_errors)
    if not expectations and not all_errors:
        verdicts.append(Verdict.INCONCLUSIVE)
    verdict = combine(verdicts)
    return CellResult(
        id=plan.cell.id,
        scenario=scenario.name,
        file=scenario.file,
        line=scenario.line,
        title=scenario.title or "",
        axes={k: str(v) for k, v in plan.cell.values.items()},
        seed=plan.seed,
        verdict=verdict,
        reason=_reason(verdict, steps, expectations, strictness, failed, report, all_errors),
        remarks=tuple(text for text in (*failures, miscounted) if text),
        seconds=0.0,
        steps=steps,
        expectations=expectations,
        strictness=strictness,
        faults=tuple(_fault(f) for f in report.faults),
        covers=tuple(scenario.covers),
        combinations=len(scenario.cells(mode="full")),
        repeat=plan.repeat,
        errors=tuple(all_errors),
    )


TELLING: Final = ("text", "reason", "how", "field", "state", "status", "sop_instance")
"""Fields that tell a person what an event was, most telling first."""


def brief(event: Any) -> str:
    """Return an event in a few words."""
    told = [str(event.data[key]) for key in TELLING if event.data.get(key) not in (None, "")]
    return f"{event.kind} ({', '.join(told[:2])})" if told else str(event.kind)


def _expectation(outcome: Outcome) -> ExpectationResult:
    step = outcome.step
    within = outcome.within_s
    what = "expect" if isinstance(step, Expect) else "never" if isinstance(step, Never) else "order"
    return ExpectationResult(
        line=step.line,
        index=step.index,
        text=shown(step),
        what=what,
        verdict=VERDICTS[outcome.status],
        within_s=within,
        measured_s=outcome.measured_s,
        margin_s=outcome.margin_s,
        count_expected=getattr(step, "count", None),
        count_seen=outcome.counted,
        matched=tuple(outcome.events),
        nearest=tuple(NearMiss(seq=n.seq, why=f"{n.kind}: {'; '.join(n.why)}") for n in outcome.near),
        message=outcome.message or None,
    )


def _fault(fault: FaultOutcome) -> FaultResult:
    return FaultResult(
        id=fault.id,
        host=fault.host,
        fault=fault.fault,
        line=fault.line,
        armed_seq=fault.armed_seq,
        fired_seq=fault.fired_seqs[0] if fault.fired_seqs else None,
        where=fault.where[0] if fault.where else None,
    )


def _reason(
    verdict: Verdict,
    steps: Sequence[Any],
    expectations: Sequence[ExpectationResult],
    strictness: Sequence[StrictnessFinding],
    failures: Sequence[str],
    report: Report,
    errors: Sequence[str],
) -> str:
    """One sentence for the engineer at seven in the morning: the first thing that went wrong."""
    if verdict is Verdict.PASS:
        margins = [e.margin_s / e.within_s for e in expectations if e.margin_s is not None and e.within_s]
        tight = f"; the tightest kept {min(margins):.0%} of its time" if margins else ""
        return f"All {len(expectations)} expectations held{tight}."
    if verdict is Verdict.ERROR:
        first = next((s.message for s in steps if s.verdict is Verdict.ERROR and s.message), None)
        return f"The bench failed: {first or (errors[0] if errors else 'unknown')}"
    also = f" (The bench failed too: {errors[0]})" if errors else ""
    for step in steps:
        if step.verdict is verdict and step.message:
            return f"Line {step.line}: {step.message}{also}"
    for expectation in expectations:
        if expectation.verdict is verdict:
            return f"Line {expectation.line}: {expectation.message or expectation.text}{also}"
    if strictness:
        return f"{strictness[0].message} (event {strictness[0].seq}).{also}"
    found = [text for text in (*failures, *report.unobserved) if text]
    return found[0] + also if found else "Nothing was expected, so nothing is proven."


def _miscounted(plan: Plan, walk: Walk) -> str:
    """Say how the DIMSE requests of the cell differ from what the scenario predicts; empty if they do not."""
    predicted = plan.cell.scenario.messages
    if predicted is None:
        return ""
    wrong = [
        f"{walk.requests[kind]} {kind} instead of {predicted.get(kind, 0)}"
        for kind in sorted({*predicted, *walk.requests})
        if walk.requests[kind] != predicted.get(kind, 0)
    ]
    return f"The scenario predicts other messages: {', '.join(wrong)}." if wrong else ""


__all__ = ["Status", "judge"]
