"""What a judgement looks like: JSON for programs, lines for a person, a run folder for the reports.

Rules of this file:

* Pure but for :func:`write_folder`.  The order is always the statement's, then defaults, then the standard's rules.
* Rows that stand on the same evidence are one fault to a person: they are told together (ruling A4).
* Text of a capture is never printed as it came: only printable characters, and short.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.checks.case import SutConfig
from bench.checks.standard import rules
from bench.resultmodel import (
    CellResult,
    ClauseResult,
    ClauseSummary,
    Evidence,
    Product,
    RunInfo,
    RunResult,
    SutInfo,
    WireFacts,
)
from bench.results import host_facts, library_versions, write_cell, write_run
from bench.scenario.problems import shorten
from bench.statements.model import Statement
from bench.verdict import WORST_FIRST, Verdict, combine

Row = ClauseResult | ClauseSummary
ALWAYS: Final = ("frame", "pdu", "tag", "association", "message", "offset")
"""Keys that every evidence has in JSON; the others stand there when they are known."""
TOLD: Final = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
PASSES: Final = (Verdict.PASS, Verdict.PASS_ERRATUM)
MOST: Final = 60
"""Faults that are listed on the terminal; the rest is counted."""


def json_of(
    statement: Statement,
    rows: Sequence[Row],
    facts: Iterable[WireFacts],
    cells: Sequence[CellResult] = (),
    error: str = "",
) -> dict[str, Any]:
    """Return what ``judge --json`` writes (DESIGN, Results), with more keys behind.

    Args:
        statement: by which was judged.
        rows: clauses, defaults and rules in their order.
        facts: of each capture.
        cells: of a run; each with its own clauses.
        error: why nothing could be judged.
    """
    found = list(facts)
    out: dict[str, Any] = {
        "statement": statement.name,
        "clauses": [clause_json(row) for row in rows],
        "messages": sum(one.messages for one in found),
        "bytes": sum(one.bytes for one in found),
        "frames": sum(one.frames for one in found),
        "associations": sum(one.associations for one in found),
        "counts": counts(rows),
        "faults": [[row.id for row in group] for group in faults(rows)],
        "captures": [one.to_json() for one in found],
        "problems": [problem for one in found for problem in one.problems],
        "rules": {
            row.id: {"title": rules()[row.id].title, "cite": rules()[row.id].cite}
            for row in rows
            if row.id in rules() and row.verdict is not Verdict.NOT_EXERCISED
        },
    }
    if len(found) == 1:
        out["sut"] = {
            "address": found[0].sut,
            "ae_titles": list(found[0].ae_titles),
            "why": found[0].sut_reason,
        }
    if cells:
        out["cells"] = [
            {
                "id": cell.id,
                "verdict": cell.verdict.value,
                "reason": cell.reason,
                "clauses": [clause_json(clause) for clause in cell.clauses],
            }
            for cell in cells
        ]
    if error:
        out["error"] = error
    return out


def clause_json(row: Row) -> dict[str, Any]:
    """Return one clause: the keys of DESIGN first."""
    out: dict[str, Any] = {
        "id": row.id,
        "verdict": row.verdict.value,
        "reason": row.reason,
        "evidence": [evidence_json(one) for one in row.evidence],
        "remarks": list(row.remarks),
        "title": row.title,
        "section": row.section,
    }
    for key in ("cite", "reading", "by"):
        if getattr(row, key):
            out[key] = getattr(row, key)
    if row.expected is not None:
        out["expected"] = row.expected.to_json()
    if isinstance(row, ClauseSummary):
        out["cells"] = list(row.cells)
    return out


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """Return one evidence: the keys that it always has, and what else is known."""
    return {**{key: getattr(evidence, key) for key in ALWAYS}, **evidence.to_json()}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON so that a reader sees the old or the new file, never half of one."""
    text = json.dumps(value, ensure_ascii=True, indent=1, allow_nan=False) + "\n"
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="ascii", newline="\n")
    partial.replace(path)


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """Return how many clauses have each verdict, worst first."""
    found = [row.verdict for row in rows]
    return {verdict.value: found.count(verdict) for verdict in WORST_FIRST if verdict in found}


def faults(rows: Iterable[Row], verdict: Verdict = Verdict.FAIL) -> list[list[Row]]:
    """Group the clauses of a verdict that stand on the same evidence, in the order of their first."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        if row.verdict is verdict:
            groups.setdefault(_place(row), []).append(row)
    return list(groups.values())


def _place(row: Row) -> Any:
    evidence = next(iter(row.evidence), None)
    if evidence is None:
        return row.reason if row.verdict is Verdict.ERROR else row.id
    cells = getattr(row, "cells", ())[:1]
    if evidence.message is not None:
        tag = re.split(r"[.>/]", evidence.tag or "")[-1].strip()
        return (*cells, evidence.association, evidence.message, tag)
    if evidence.frame is None and evidence.seq is None and evidence.what:
        return (*cells, evidence.what, evidence.tag, evidence.offset)  # on a medium
    return (*cells, evidence.association, evidence.pdu, evidence.frame, evidence.seq)


def where(evidence: Evidence) -> str:
    """Return a place in words: frame, message, tag, byte."""
    parts = [f"frame {evidence.frame}" if evidence.frame is not None else ""]
    parts.append(evidence.what or (f"association {evidence.association}" if evidence.association else ""))
    parts.append(f"PDU {evidence.pdu}" if evidence.pdu is not None and evidence.message is None else "")
    parts.append(evidence.tag or "")
    parts.append(f"byte {evidence.offset}" if evidence.offset is not None else "")
    parts.append(f"event {evidence.seq}" if evidence.seq is not None else "")
    parts.append(evidence.note or "")
    return ", ".join(filter(None, parts))


def head(statement: Statement, facts: WireFacts, label: str = "") -> list[str]:
    """Return what was read, by which statement, and who the SUT is and why."""
    edition = statement.edition
    files = ", ".join(facts.files)
    medium = not facts.frames and not facts.associations and facts.sut.startswith("the product that wrote")
    what = "cell" if label else "medium" if medium else "capture"
    wire = f"{facts.associations} associations, {facts.messages} DICOM messages, {facts.frames} frames, "
    lines = [
        f"{what:<10}{_clean(label or files)}",
        f"{'read':<10}{'' if medium else wire}{_size(facts.bytes)}",
        f"{'statement':<10}{edition.document}, revision {edition.revision}",
        f"{'SUT':<10}{_clean(facts.sut or 'unknown')}: {_clean(facts.sut_reason, 400)}",
    ]
    shown = facts.problems[:5]
    lines += [f"{'problem':<10}{_clean(problem, 200)}" for problem in shown]
    if len(facts.problems) > len(shown):
        lines.append(f"{'':<10}and {len(facts.problems) - len(shown)} more problems (see --json)")
    lines += [f"{'remark':<10}{_clean(remark, 300)}" for remark in facts.remarks]
    lines += [f"{'error':<10}{_clean(error, 300)}" for error in facts.errors]
    return lines


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 100_000 else f"{number / 1e3:.1f} kB"


def body(rows: Sequence[Row]) -> list[tuple[Verdict | None, str]]:
    """Return the faults one after the other, then what else is news, then the counts: (verdict for colour, line)."""
    lines: list[tuple[Verdict | None, str]] = []
    groups = [(verdict, group) for verdict in TOLD for group in faults(rows, verdict)]
    for verdict, group in groups[:MOST]:
        lines += _told(verdict, group)
    if len(groups) > MOST:
        lines.append((None, f"and {len(groups) - MOST} more (see --json or --html)"))
    for row in rows:
        expected = row.expected
        if expected is not None and row.verdict in PASSES and expected.verdict is not row.verdict:
            said = f"{row.id} {row.title or ''}: declared as {expected.verdict}, but it is {row.verdict}"
            lines.append((Verdict.FAIL, f"{'UNEXPECTED':<13} {said}"))
    told = "  ".join(f"{number} {verdict}" for verdict, number in counts(rows).items())
    lines += [(None, ""), (None, told or "nothing was judged")]
    return lines


def _told(verdict: Verdict, group: list[Row]) -> list[tuple[Verdict | None, str]]:
    first = group[0]
    ids = ", ".join(row.id for row in group[:6]) + (f" and {len(group) - 6} more" if len(group) > 6 else "")
    lines: list[tuple[Verdict | None, str]] = [
        (verdict, f"{verdict.value:<13} {ids}  {_clean(first.title or '')}")
    ]
    place = where(first.evidence[0]) if first.evidence else ""
    lines.append(
        (None, f"{'':<14}{_clean(first.reason, 300)}" + (f"  [{_clean(place, 120)}]" if place else ""))
    )
    if first.reading:
        lines.append((None, f"{'':<14}read as: {_clean(first.reading, 200)}"))
    if first.expected is not None:
        lines.append((None, f"{'':<14}declared {first.expected.date}: {_clean(first.expected.reason, 200)}"))
    return lines


def _clean(text: str, limit: int = 160) -> str:
    return shorten(text, limit)


def as_cell(
    name: str, statement: Statement, clauses: tuple[ClauseResult, ...], facts: WireFacts
) -> CellResult:
    """Return a capture as the one cell of a run, so that every report can show it."""
    undeclared = [c for c in clauses if not (c.expected is not None and c.expected.verdict is c.verdict)]
    declared = [c.verdict for c in clauses if c.expected is not None and c.expected.verdict is c.verdict]
    verdict = combine(c.verdict for c in undeclared)
    if declared and verdict in (Verdict.NOT_EXERCISED, Verdict.NA):
        verdict = Verdict.DEV_FROM_STD
    failed = faults(clauses)
    open_ = [c for c in clauses if c.verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)]
    worst = next((c for c in open_ if c.verdict is verdict), None)
    judged = [c for c in clauses if c.verdict.green]
    if worst is not None:
        reason = f"{worst.id} {worst.title or ''}: {worst.reason}"
        if verdict is Verdict.FAIL and len(failed) > 1:
            reason += f" (and {len(failed) - 1} more)"
    elif judged:
        reason = f"{len(judged)} clauses and rules were judged; none was broken."
    else:
        reason = "Nothing in the capture touches the statement."
    seconds = _length(facts)
    return CellResult(
        id=name,
        scenario=name,
        file=", ".join(facts.files) or name,
        line=1,
        verdict=verdict,
        reason=reason,
        seconds=seconds,
        title=f"A capture judged by the statement of {statement.product.name}",
        start=facts.first,
        end=facts.last,
        clauses=tuple(
            c for c in clauses if c.verdict is not Verdict.NOT_EXERCISED or c.remarks or c.expected
        ),
        wire=facts,
    )


def _length(facts: WireFacts) -> float:
    if facts.first is None or facts.last is None:
        return 0.0
    begin, end = datetime.fromisoformat(facts.first), datetime.fromisoformat(facts.last)
    return max(0.0, (end - begin).total_seconds())


def as_run(
    name: str, statement: Statement, facts: WireFacts, command: str | None, config: SutConfig | None = None
) -> RunInfo:
    """Return what a report says of a judgement of a capture, in the place of a run; *config* names the product."""
    config = config or SutConfig()
    now = datetime.now().astimezone().isoformat()
    edition = statement.edition
    return RunInfo(
        run_id=name,
        product=Product(
            name=statement.product.name,
            serial=config.get("serial"),
            version=config.get("software_version"),
            statement=f"{edition.document}, revision {edition.revision}",
        ),
        tester=config.get("tester", "not named"),
        start=facts.first or now,
        end=facts.last,
        seed=0,
        sut=SutInfo(
            adapter="capture",
            description=facts.sut_reason,
            ae_title=", ".join(facts.ae_titles) or None,
            address=facts.sut or None,
        ),
        host=host_facts(),
        versions=library_versions(),
        command=command,
        remarks=("Made from a capture: it may name patients.",),
        statement=statement.name,
        origin="capture",
    )


def write_folder(folder: Path, info: RunInfo, cells: Iterable[tuple[CellResult, Path | None]]) -> RunResult:
    """Write a run folder of a judgement and its reports; what the cells' own folders hold comes along.

    Args:
        folder: is made; files of an earlier judgement are replaced.
        info: of the run.
        cells: results, each with the folder that it was judged from (None for a bare capture).
    """
    from bench.report import render
    from bench.results import collect

    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, info)
    for cell, source in cells:
        path = write_cell(folder, cell)
        if source is not None and source.resolve() != path.parent.resolve():
            _bring(source, path.parent)
    render(folder)
    return collect(folder)


def _bring(source: Path, target: Path) -> None:
    """Link or copy what a report shows: the journal, captures, objects, pictures."""
    for file in sorted(source.rglob("*")):
        inner = file.relative_to(source)
        if file.is_symlink() or not file.is_file() or inner.name == "cell.json":
            continue
        to = target / inner
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.exists():
            continue
        try:
            os.link(file, to)
        except OSError:
            shutil.copyfile(file, to)


def with_clauses(info: RunInfo, statement: Statement) -> RunInfo:
    """Name the statement in what is known of a run that was made before statements were named there."""
    return info if info.statement else replace(info, statement=statement.name)


__all__ = [
    "as_cell",
    "as_run",
    "body",
    "clause_json",
    "counts",
    "faults",
    "head",
    "json_of",
    "where",
    "with_clauses",
    "write_folder",
    "write_json",
]
