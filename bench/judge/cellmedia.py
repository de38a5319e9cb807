"""The clauses of a cell that its removable media show, and the tables of wire and media put together.

Rules of this file:

* A medium on which the product reported nothing as saved gives no verdict but on what it must leave alone.
* What lay on a medium before is not the product's work; what an interruption left behind is nobody's fault: neither
  is judged.
* Of one clause the worst verdict counts, with the reasons and evidence of all places that say so; what was exercised
  anywhere is exercised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.checks import registry
from bench.checks.case import SutConfig
from bench.checks.media.history import History, remarks
from bench.journal import Event
from bench.judge.deviations import Deviation
from bench.judge.engine import GREEN_EVIDENCE, NEWS, Judged
from bench.judge.medium import judge_medium
from bench.judge.volumes import FOLDER, Inventory, images_of, story_of
from bench.resultmodel import ClauseResult, Evidence, WireFacts
from bench.statements.model import Statement
from bench.verdict import Verdict, combine
from bench.witness.medium import Medium

KINDS: Final = ("sd", "usb")
EVIDENCE: Final = 20
"""Evidences of one clause that are kept."""
REASONS: Final = 3
REMARKS: Final = 5


def judge_media(
    folder: Path,
    statement: Statement,
    *,
    config: SutConfig | None = None,
    events: Sequence[Event] = (),
    deviations: Iterable[Deviation] = (),
    names: Collection[str] = (),
) -> tuple[Judged, ...]:
    """Judge every medium of a cell; arguments as of :func:`bench.judge.engine.judge_capture`, *folder* the cell's."""
    config = config or SutConfig()
    declared = tuple(deviations)
    found = []
    for image in images_of(folder):
        now, story = story_of(image, events)
        if now.medium is None or now.unreadable or not (story.actions or story.asked):
            continue
        kind = next((kind for kind in KINDS if image.stem.startswith(kind)), None)
        settings = SutConfig({**config.values, "medium": kind} if kind else config.values, config.source)
        judged = judge_medium(
            _bare(now, story),
            statement,
            config=settings,
            deviations=declared,
            names=names,
            story=story,
            events=events,
        )
        found.append(_labelled(judged, image, story))
    return tuple(found)


def _bare(now: Inventory, story: History) -> Medium:
    """Return a medium without what an interruption left on it."""
    medium = now.medium
    assert medium is not None
    if not story.interrupted:
        return medium
    left = set(story.leftovers)
    if medium.directory is not None:
        left -= {"/".join(record.file_id) for record in medium.directory.records}
    return replace(
        medium,
        files=tuple(f for f in medium.files if "/".join(f.entry.short) not in left),
        troubles=tuple(t for t in medium.troubles if t.path not in left),
    )


def _labelled(judged: Judged, image: Path, story: History) -> Judged:
    """Let evidence name the image, and leave out what a medium without anything saved says nothing of."""
    label = f"{FOLDER}/{image.name}"
    clauses = tuple(
        replace(clause, evidence=tuple(_named(one, label) for one in clause.evidence))
        if story.actions or _speaks_of_rest(clause.id, judged)
        else replace(
            clause,
            verdict=Verdict.NOT_EXERCISED,
            reason=f"nothing was saved on {image.stem}",
            evidence=(),
            remarks=(),
        )
        for clause in judged.clauses
    )
    facts = replace(judged.facts, files=(label,), remarks=(*judged.facts.remarks, *remarks(story)))
    return Judged(judged.case, clauses, facts)


def _speaks_of_rest(id: str, judged: Judged) -> bool:
    """Tell whether an id is about what a product that did not write must have left alone."""
    statement = judged.case.statement
    clause = statement.by_id.get(id)
    if clause is not None:
        return clause.kind == "media" and "Only SOP Instances made by" in clause.text
    default = statement.defaults.get(id)
    return default is not None and default.fact.startswith(("Volume full", "Export on a volume that has"))


def _named(evidence: Evidence, label: str) -> Evidence:
    if evidence.seq is not None:
        return evidence
    return replace(evidence, what=f"{label}: {evidence.what}" if evidence.what else label)


def together(
    statement: Statement, wire: Sequence[ClauseResult], media: Sequence[Sequence[ClauseResult]]
) -> tuple[ClauseResult, ...]:
    """Put the tables of wire and media together, in the order of the first that is there."""
    tables = [table for table in (wire, *media) if table]
    if len(tables) < 2:
        return tuple(tables[0]) if tables else ()
    by_id: dict[str, list[ClauseResult]] = {}
    for table in tables:
        for clause in table:
            by_id.setdefault(clause.id, []).append(clause)
    unseen = registry.unseen(statement.name)
    out = []
    for id, clauses in by_id.items():
        one = _one(clauses)
        if one.verdict is Verdict.NOT_EXERCISED and id in unseen and unseen[id].by == "media":
            one = replace(one, reason=clauses[-1].reason)
        out.append(one)
    return tuple(out)


def _one(clauses: Sequence[ClauseResult]) -> ClauseResult:
    verdict = combine(clause.verdict for clause in clauses)
    said = [clause for clause in clauses if clause.verdict is verdict]
    first = said[0]
    reasons = list(dict.fromkeys(clause.reason for clause in said if clause.reason))
    evidence = tuple(one for clause in said for one in clause.evidence)[:EVIDENCE]
    if verdict.green and verdict not in NEWS:
        evidence = evidence[:GREEN_EVIDENCE]
    told = tuple(dict.fromkeys(text for clause in clauses for text in clause.remarks))[:REMARKS]
    return replace(
        first,
        reason="; ".join(reasons[:REASONS]),
        evidence=evidence,
        remarks=told,
        expected=next((clause.expected for clause in clauses if clause.expected is not None), None),
    )


def facts_of(wire: WireFacts | None, media: Sequence[Judged]) -> WireFacts:
    """Return what a report says of everything that was read: the capture first, then the media."""
    parts = ([wire] if wire is not None else []) + [judged.facts for judged in media]
    first = parts[0]
    return replace(
        first,
        files=tuple(file for part in parts for file in part.files),
        problems=tuple(problem for part in parts for problem in part.problems),
        remarks=tuple(
            (f"{', '.join(part.files)}: {text}" if part is not wire else text)
            for part in parts
            for text in part.remarks
        ),
    )


__all__ = ["facts_of", "judge_media", "together"]
