"""The clauses of one cell: its capture and its media are read, judged with its journal, and become one table.

Rules of this file:

* What the scenario found (``scenario_verdict``) is kept apart, so that a cell can be judged again, years later, and
  as often as one likes.
* A clause that fails and was not declared makes the cell FAIL.  A check that fails by itself, or two witnesses that
  disagree, are the bench's fault: ERROR.
* A scenario that says it covers a clause which nothing exercised is told so in the cell's remarks; where no cell of
  the run exercised it, the run's table has INCONCLUSIVE (:func:`bench.results.summarise_clauses`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import witness
from bench.checks import registry
from bench.checks.case import SutConfig
from bench.checks.second_witness import count_journal, count_witness
from bench.journal import Event
from bench.judge.cellmedia import facts_of, judge_media, together
from bench.judge.deviations import Deviation
from bench.judge.engine import Judged, judge_capture
from bench.judge.inputs import CAPTURE, InputError, as_it_went, config_of, events_of
from bench.judge.volumes import images_of
from bench.judge.who import NoSut, choose
from bench.resultmodel import CellResult, ClauseResult, RunInfo, WireFacts
from bench.results import section_of
from bench.statements.model import Statement
from bench.verdict import Verdict, combine
from bench.witness.model import Capture, Endpoint

Progress = Callable[[int, int], None]
ANSWERED: Final = ("operator", "configuration")
"""What a scenario's own expectations can show where no capture can."""


def judge_cell(
    result: CellResult,
    folder: Path,
    statement: Statement,
    *,
    info: RunInfo | None = None,
    config: SutConfig | None = None,
    deviations: Iterable[Deviation] = (),
    who: str | None = None,
    progress: Progress | None = None,
) -> CellResult:
    """Return the result of a cell with the verdicts of all clauses that its capture touches.

    Args:
        result: what the scenario found, or an earlier judgement of it.
        folder: the cell's folder, with its capture, journal and configuration.
        statement: of the product.
        info: the run, for what the cell's folder does not tell.
        config: instead of what the folder tells.
        deviations: what was declared.
        who: names the SUT.
        progress: called with bytes read and bytes in all.
    """
    began = time.perf_counter()
    base = unjudged(result)
    if base.not_runnable is not None:
        return base
    path = folder / CAPTURE
    images = images_of(folder)
    if not path.is_file() and not images:
        return _untouched(base, "There is no capture: no clause was judged on the wire.", statement)
    declared, names = tuple(deviations), (base.id, base.scenario)
    capture: Capture | None = None
    events: tuple[Event, ...] = ()
    settings = SutConfig()
    wire: Judged | None = None
    try:
        events = events_of(folder)
        settings = as_it_went(
            config if config is not None else config_of(folder, info, statement.name), events
        )
        if path.is_file():
            capture = witness.read(path, progress=progress, digest=True)
            sut = choose(capture, statement, who, settings)
            wire = judge_capture(
                capture,
                statement,
                sut,
                config=settings,
                events=events,
                deviations=declared,
                names=names,
            )
    except (InputError, witness.NotACapture) as error:
        return _at_fault(base, str(error))
    except NoSut as error:
        if capture is not None and capture.associations:
            return _at_fault(base, str(error))
    media = judge_media(folder, statement, config=settings, events=events, deviations=declared, names=names)
    if wire is None and not media:
        return _untouched(base, "No association was captured: no clause was judged.", statement)
    return merge(base, wire, events, statement, time.perf_counter() - began, media)


def unjudged(result: CellResult) -> CellResult:
    """Return what the scenario alone found: the state before its clauses were judged."""
    if result.scenario_verdict is None:
        covers = result.covers or tuple(clause.id for clause in result.clauses)
        return replace(result, covers=covers, clauses=(), wire=None)
    return replace(
        result,
        verdict=result.scenario_verdict,
        reason=result.scenario_reason or "",
        scenario_verdict=None,
        scenario_reason=None,
        clauses=(),
        wire=None,
    )


def merge(
    base: CellResult,
    judged: Judged | None,
    events: Sequence[Event],
    statement: Statement,
    seconds: float,
    media: Sequence[Judged] = (),
) -> CellResult:
    """Make one result of what the scenario found and what the clauses say, on the wire and on media."""
    parts = [part for part in (judged, *media) if part is not None]
    remarks: list[str] = []
    clauses = []
    table = together(statement, judged.clauses if judged is not None else (), [m.clauses for m in media])
    for clause in table:
        if clause.id in base.covers and clause.verdict is Verdict.NOT_EXERCISED:
            clause = _covered(clause, base, statement)
            if not clause.verdict.green:
                remarks.append(f"{clause.id} is covered by the scenario, but nothing here exercised it")
        named = clause.id in base.covers or clause.expected is not None
        if clause.verdict is not Verdict.NOT_EXERCISED or clause.remarks or named:
            clauses.append(clause)
    if any(part.case.reference for part in parts):
        news = (Verdict.DEV_FROM_STD, Verdict.FAIL)
        open_ = [c.id for c in clauses if c.verdict in news and c.expected is None]
        if open_:
            remarks.append(f"not declared: {', '.join(open_)}")
    errors = disagreements(events, judged.case.capture) if events and judged is not None else ()
    read = facts_of(judged.facts if judged is not None else None, media)
    facts = replace(read, seconds=seconds, errors=errors, remarks=(*read.remarks, *remarks))
    return combined(base, tuple(clauses), facts)


def combined(base: CellResult, clauses: tuple[ClauseResult, ...], facts: WireFacts) -> CellResult:
    """Put clauses and facts of the wire to what the scenario found, and say the one verdict and the one reason."""
    failed = [c for c in clauses if c.verdict is Verdict.FAIL and not _declared(c)]
    broken = [c for c in clauses if c.verdict is Verdict.ERROR]
    verdict = combine(
        [
            base.verdict,
            *[Verdict.FAIL] * bool(failed),
            *[Verdict.ERROR] * bool(broken or facts.errors),
        ]
    )
    reason = base.reason
    if verdict is not base.verdict:
        if failed:
            reason = f"{sentence(failed[0])}{_more(len(failed) - 1, 'clause')}"
        elif facts.errors:
            reason = f"The bench failed: {facts.errors[0]}"
        else:
            reason = f"The bench failed: {broken[0].reason}"
    return replace(
        base,
        verdict=verdict,
        reason=reason,
        clauses=clauses,
        wire=facts,
        scenario_verdict=base.verdict,
        scenario_reason=base.reason,
    )


def _declared(clause: ClauseResult) -> bool:
    return clause.expected is not None and clause.expected.verdict is clause.verdict


def _more(number: int, what: str) -> str:
    return f" (and {number} more {what}{'' if number == 1 else 's'})" if number > 0 else ""


def sentence(clause: ClauseResult) -> str:
    """Return a clause's verdict as one sentence with its place."""
    frame = next((e.frame for e in clause.evidence if e.frame is not None), None)
    place = next((e.what for e in clause.evidence if e.what and e.what.startswith("media/")), None)
    where = f" (frame {frame})" if frame is not None else f" ({place})" if place else ""
    title = f" {clause.title}" if clause.title else ""
    return f"{clause.id}{title}: {clause.reason}{where}"


def _covered(clause: ClauseResult, base: CellResult, statement: Statement) -> ClauseResult:
    """A clause that the scenario covers and the wire did not exercise: another cell may have done so."""
    unseen = registry.unseen(statement.name).get(clause.id)
    if unseen is None or unseen.by not in ANSWERED:
        return clause
    if base.verdict.green:
        why = f"the scenario's expectations held; no capture can show it: {unseen.why}"
        return replace(clause, verdict=Verdict.PASS, reason=why)
    why = f"no capture can show it ({unseen.why}), and the scenario did not pass"
    return replace(clause, verdict=Verdict.INCONCLUSIVE, reason=why)


def _untouched(base: CellResult, why: str, statement: Statement) -> CellResult:
    """A cell of which nothing can be judged on the wire: what it covers is inconclusive."""
    covered = []
    for id in base.covers:
        clause = ClauseResult(id=id, section=section_of(id), verdict=Verdict.NOT_EXERCISED, reason=why)
        clause = _covered(clause, base, statement)
        if clause.verdict is Verdict.NOT_EXERCISED:
            clause = replace(clause, verdict=Verdict.INCONCLUSIVE)
        covered.append(clause)
    remarks = base.remarks if why in base.remarks else (*base.remarks, why)
    return replace(base, clauses=tuple(covered), remarks=remarks)


def _at_fault(base: CellResult, why: str) -> CellResult:
    facts = WireFacts(
        files=(CAPTURE,), frames=0, bytes=0, associations=0, messages=0, sut="", sut_reason="", errors=(why,)
    )
    return combined(base, (), facts)


def disagreements(events: Sequence[Event], capture: Capture) -> tuple[str, ...]:
    """Compare the messages that the simulators tell of with those of the capture, connection by connection.

    The simulators and the witness read the wire with the same codec, so their agreement proves little; their
    disagreement proves that the bench does not know what happened.  A connection that was not captured whole is
    excused: its gaps are told as such.
    """
    told = count_journal(events)
    if not told:
        return ()
    _, doubtful = count_witness(capture)
    excused = {end for pair in doubtful for end in pair}
    seen: dict[tuple[str, int], int] = {}
    for association in capture.associations:
        key = (association.requestor.address, association.requestor.port)
        seen[key] = seen.get(key, 0) + len(association.messages)
    found = []
    for key in sorted({*told, *seen}):
        mine, other = seen.get(key, 0), told.get(key, 0)
        if mine != other and Endpoint(*key) not in excused:
            found.append(
                f"the connection from {key[0]}:{key[1]} carried {mine} DICOM messages according to the capture, "
                f"{other} according to the journal"
            )
    return tuple(found)


__all__ = ["combined", "disagreements", "judge_cell", "merge", "sentence", "unjudged"]
