"""Judging one capture: from what the witness read to the results of clauses and rules, with all a report needs.

Rules of this file:

* Pure: capture, statement, SUT, configuration and journal events in; results out.
* The verdicts are those of :mod:`bench.checks.verdicts`; here they get the words of the statement or the standard,
  the elements around the one that is meant, and what was declared of them.
* Of a verdict that is no news little is kept: reports of a night must stay small.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from bench.checks import registry, verdicts
from bench.checks.case import Case, Sut, SutConfig
from bench.checks.standard import rules
from bench.journal import Event
from bench.judge.config import completed
from bench.judge.deviations import Deviation, declare
from bench.judge.excerpt import excerpt
from bench.resultmodel import ClauseResult, Evidence, WireFacts
from bench.results import section_of
from bench.statements.model import Statement
from bench.statements.words import words_of
from bench.verdict import Verdict
from bench.witness.model import Capture, Message

EXCERPTS: Final = 3
"""Evidences of one clause that get a listing of elements."""
GREEN_EVIDENCE: Final = 1
"""Evidences that are kept of a clause that is green."""
PROBLEMS: Final = 50
"""Problems of a capture that are told."""
MINOR: Final = frozenset(("reserved", "uid-padding", "item-order", "item-unknown", "pdv-odd"))
"""Problems that take nothing from the evidence: told last."""
NEWS: Final = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.DEV_FROM_STD,
    Verdict.PASS_ERRATUM,
)
"""Verdicts that a person wants to understand."""


@dataclass(frozen=True)
class Judged:
    """What was found out about a capture."""

    case: Case
    clauses: tuple[ClauseResult, ...]
    facts: WireFacts


def known_ids(statement: Statement) -> frozenset[str]:
    """Return every id that can have a verdict: clauses, defaults, rules of the standard."""
    return frozenset((*statement.by_id, *statement.defaults, *rules()))


def judge_capture(
    capture: Capture,
    statement: Statement,
    sut: Sut,
    *,
    config: SutConfig | None = None,
    events: Sequence[Event] = (),
    reference: bool | None = None,
    deviations: Iterable[Deviation] = (),
    names: Collection[str] = (),
) -> Judged:
    """Judge a capture by a statement.

    Args:
        capture: what the witness read.
        statement: the statement of the product.
        sut: who it is.
        config: what the wire does not show.
        events: the journal of the cell, if it is one.
        reference: it is a reference product; default: what the configuration says.
        deviations: what was declared.
        names: of the scenario and the cell, for deviations of some scenarios only.
    """
    config = config or SutConfig()
    config = SutConfig(completed(config.values), config.source)
    case = Case(
        statement=statement,
        capture=capture,
        sut=sut,
        config=config,
        events=tuple(events),
        reference=bool(config.get("reference", False)) if reference is None else reference,
    )
    found = verdicts.judge(case)
    told = tell(found, case)
    return Judged(case, declare(told, deviations, names), facts(capture, sut))


def facts(capture: Capture, sut: Sut) -> WireFacts:
    """Return what a report says of the capture and of the choice of the SUT."""
    found = [(p.code in MINOR, p, "") for p in capture.problems]
    found += [
        (p.code in MINOR, p, f"association {a.number}: ") for a in capture.associations for p in a.problems
    ]
    found.sort(key=lambda entry: entry[0])  # stable: what is missing comes before what is odd
    problems = [f"{_frame(p.frame)}{where}{p.text}" for _, p, where in found]
    more = len(problems) - PROBLEMS
    if more > 0:
        problems = [*problems[:PROBLEMS], f"and {more} more"]
    addresses = ", ".join(sorted(sut.addresses))
    titles = ", ".join(sorted(sut.ae_titles))
    return WireFacts(
        files=tuple(file.replace("\\", "/").rsplit("/", 1)[-1] for file in capture.files),
        frames=capture.frames,
        bytes=capture.bytes,
        associations=len(capture.associations),
        messages=capture.dicom_messages,
        sut=addresses or titles,
        sut_reason=sut.why,
        ae_titles=tuple(sorted(sut.ae_titles)),
        problems=tuple(problems),
        first=_stamp(capture.first_time),
        last=_stamp(capture.last_time),
    )


def _frame(number: int | None) -> str:
    return "" if number is None else f"frame {number}: "


def _stamp(time: float | None) -> str | None:
    if time is None:
        return None
    try:
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return None


def tell(clauses: Iterable[ClauseResult], case: Case) -> tuple[ClauseResult, ...]:
    """Give the clauses that are news their words, readings, and the elements around what is meant."""
    messages: dict[tuple[int, int], Message] = {}
    places: dict[tuple[int | None, int | None, str | None, int | None], Any] = {}

    def message_of(evidence: Evidence) -> Message | None:
        if evidence.association is None or evidence.message is None:
            return None
        if not messages:
            messages.update(
                ((m.association, m.number), m) for a in case.capture.associations for m in a.messages
            )
        return messages.get((evidence.association, evidence.message))

    def shown(evidence: Evidence, number: int) -> Evidence:
        message = message_of(evidence)
        if message is None:
            return _placed(evidence, case.capture)
        key = (evidence.association, evidence.message, evidence.tag, evidence.offset)
        if number < EXCERPTS and key not in places:
            places[key] = excerpt(message, evidence.tag, evidence.offset)
        what = f"{message.name} of association {message.association}"
        found = replace(evidence, what=what, excerpt=places.get(key, ()) if number < EXCERPTS else ())
        return _placed(found, case.capture)

    unseen = registry.unseen(case.statement.name)
    return tuple(_told(clause, case.statement, shown, unseen) for clause in clauses)


def _placed(evidence: Evidence, capture: Capture) -> Evidence:
    """Of several files a frame's number is worth little without its file."""
    if len(capture.files) < 2 or evidence.frame is None:
        return evidence
    file, frame = capture.locate(evidence.frame)
    said = f"frame {frame} of {file.replace(chr(92), '/').rsplit('/', 1)[-1]}"
    return replace(evidence, note=f"{evidence.note}; {said}" if evidence.note else said)


def _told(
    clause: ClauseResult,
    statement: Statement,
    shown: Callable[[Evidence, int], Evidence],
    unseen: Any,
) -> ClauseResult:
    section = section_of(clause.id)
    rule = rules().get(clause.id)
    cite = rule.cite if rule is not None else None
    by = unseen[clause.id].by if clause.id in unseen else None
    if clause.verdict not in NEWS:
        kept = clause.evidence[:GREEN_EVIDENCE]
        return replace(clause, section=section, evidence=kept, cite=cite, by=by)
    text = rule.text if rule is not None else None
    reading = None
    own = statement.by_id.get(clause.id)
    if own is not None:
        text = words_of(own)
        readings = [f"{e}: {statement.errata[e].reading}" for e in own.errata if e in statement.errata]
        reading = " ".join(readings) or None
    elif clause.id in statement.defaults:
        text = statement.defaults[clause.id].value
    kept = clause.evidence[:GREEN_EVIDENCE] if clause.verdict.green else clause.evidence
    evidence = tuple(shown(one, number) for number, one in enumerate(kept))
    return replace(clause, section=section, evidence=evidence, text=text, reading=reading, cite=cite, by=by)


__all__ = ["Judged", "facts", "judge_capture", "known_ids", "tell"]
