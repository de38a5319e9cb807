"""What the page shows of one cell, read from its result, its journal and its files.

Rules of this file:

* Nothing is judged here.  What the result leaves open (the events of steps and faults) is found in the journal.
* A damaged or missing file becomes a note; a mistake of this program costs the drawings of one cell, never the page.
* Anchors are made from positions (``c3``, ``c3-e17``), never from names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from markupsafe import Markup

from bench.journal import ChainReport, ClockMap, Event, JournalError, Seal, read, verify
from bench.report.firstscreen import decided, misses
from bench.report.ladder import ladder
from bench.report.medium import MediumView, media_of
from bench.report.pictures import MAX_PICTURES, CellPictures, Pair
from bench.report.text import safe_path, shorten, visible
from bench.results import (
    Artefact,
    CellResult,
    ClauseResult,
    ExpectationResult,
    NearMiss,
    StepResult,
    cell_folder,
    in_words,
)
from bench.verdict import WORST_FIRST, Verdict


@dataclass(frozen=True)
class MediumLeft:
    """A medium in one line: how many files came from where, the worst first."""

    name: str
    facts: str
    note: str
    origins: tuple[tuple[str, bool, int], ...]
    """Words, whether that is as it should be, and the number of files."""
    more: int


def _left(medium: MediumView) -> MediumLeft:
    counted: dict[tuple[bool, str], int] = {}
    for file in medium.files:
        if not file.folder:
            counted[file.good, file.origin] = counted.get((file.good, file.origin), 0) + 1
    told = tuple((origin, good, number) for (good, origin), number in sorted(counted.items()))
    return MediumLeft(medium.name, medium.facts, medium.note, told, medium.more)


Here = Literal["index", "cell", "alone"]
"""The page that is being made: that of the run, that of one cell, or both as one file without links to others."""

PAGE: Final = "cell.html"
"""Name of a cell's page in its folder."""
MAX_EVENTS: Final = 3000
"""Rows of one cell's event table; the rest is in the journal."""
MAX_DATA: Final = 6000
"""Characters of one event's data in the page."""


@dataclass(frozen=True)
class Row:
    """A step with the expectations that stand on its line, or an expectation alone."""

    line: int
    text: str
    verdict: Verdict
    step: StepResult | None
    expectations: tuple[ExpectationResult, ...]


@dataclass(frozen=True)
class Segment:
    """A piece of the bar of times: share in percent of the cell's seconds."""

    name: str
    seconds: float
    share: float
    tone: int


@dataclass(frozen=True)
class EventRow:
    """An event as the table shows it."""

    event: Event
    at: float
    wall: str
    brief: str
    full: str


def _told(clause: ClauseResult) -> bool:
    return bool(clause.reason or clause.evidence or clause.remarks or clause.title or clause.expected)


@dataclass
class CellView:
    """Everything that the template needs of one cell."""

    cell: CellResult
    number: int
    folder: str
    rows: list[Row]
    ladder: Markup | str = ""
    pairs: list[Pair] = field(default_factory=list)
    more_pictures: int = 0
    media: list[MediumView] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    total_events: int = 0
    chain: ChainReport | None = None
    journal_note: str = ""
    downloads: list[tuple[Artefact, str | None]] = field(default_factory=list)
    """Artefacts with their path inside the cell's folder; None where there is no such file."""
    by_sha: dict[str, str] = field(default_factory=dict)
    """Path inside the cell's folder by SHA-256."""
    shown: frozenset[int] = frozenset()
    left: list[MediumLeft] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Return the prefix of the cell's anchors."""
        return f"c{self.number}"

    @property
    def page(self) -> str:
        """Return the path of the cell's own page in the run folder."""
        return f"{self.folder}/{PAGE}"

    def at(self, here: Here, part: str = "") -> str:
        """Return the link to the cell, or to a part of it (``-e17``), from the page that is being made."""
        return f"{self.page if here == 'index' else ''}#{self.anchor}{part}"

    def file(self, here: Here, path: str) -> str:
        """Return the link to a file of the cell from the page that is being made."""
        return f"{self.folder}/{path}" if here == "index" else path

    def detach(self) -> None:
        """Forget where files are: the page will be read without them."""
        self.downloads = [(artefact, None) for artefact, _ in self.downloads]
        self.by_sha = {}
        self.pairs = [replace(pair, link=None) for pair in self.pairs]

    def lighten(self) -> None:
        """Let go of what only the cell's own page shows: a night has hundreds of cells, and each holds pictures."""
        self.pairs, self.events, self.ladder, self.rows, self.media = [], [], "", [], []

    @property
    def open(self) -> bool:
        """Tell whether a person wants to see it without asking."""
        return not self.cell.verdict.green and self.cell.verdict not in (Verdict.NOT_EXERCISED, Verdict.NA)

    @property
    def tightest(self) -> ExpectationResult | None:
        """Return the passed expectation that came nearest to its limit."""
        limited = [
            e for e in self.cell.expectations if e.margin_s is not None and e.within_s and e.verdict.green
        ]
        return min(limited, key=lambda e: (e.margin_s or 0) / (e.within_s or 1), default=None)

    @property
    def where(self) -> int:
        """Return the scenario line that decided: of the first failed expectation or step, else of the scenario."""
        part = decided(self.cell)
        return part.line if part is not None else self.cell.line

    @property
    def asked(self) -> str:
        """Return what the scenario says on that line; empty when no line of it decided."""
        part = decided(self.cell)
        return part.text if part is not None else ""

    @property
    def told_clauses(self) -> list[tuple[ClauseResult, list[str]]]:
        """Return clauses about which there is more to say than a verdict, worst first, with all ids it is said of."""
        grouped: dict[ClauseResult, list[str]] = {}
        for clause in filter(_told, self.cell.clauses):
            grouped.setdefault(replace(clause, id=clause.id if clause.title else ""), []).append(clause.id)
        return sorted(grouped.items(), key=lambda item: WORST_FIRST.index(item[0].verdict))

    @property
    def plain_clauses(self) -> list[tuple[Verdict, list[str]]]:
        """Return the ids of all other clauses by verdict."""
        plain = [c for c in self.cell.clauses if not _told(c)]
        return [(v, ids) for v in WORST_FIRST if (ids := [c.id for c in plain if c.verdict is v])]

    @property
    def misses(self) -> list[tuple[ExpectationResult, NearMiss]]:
        """Return what came nearest to failed expectations and stands nowhere else on the page."""
        return misses(self.cell)


def _rows(cell: CellResult) -> list[Row]:
    """Put expectations to the steps of their lines."""
    rest = list(cell.expectations)
    rows = []
    for step in cell.steps:
        mine = tuple(e for e in rest if e.line == step.line)
        rest = [e for e in rest if e.line != step.line]
        rows.append(Row(step.line, step.text, step.verdict, step, mine))
    rows += [Row(e.line, f"{e.what} {e.subject}", e.verdict, None, (e,)) for e in rest]
    return rows


def _located(cell: CellResult, events: list[Event]) -> CellResult:
    """Fill in where in the journal steps and faults are, as far as the result leaves that open."""
    found: dict[tuple[str, str], int] = {}
    where: dict[str, list[str]] = {}
    for event in events:
        match event.kind:
            case "step.start" | "step.end":
                found[event.kind, str(event.data.get("index"))] = event.seq
            case "fault.armed" | "fault.fired":
                name = str(event.data.get("id"))
                found.setdefault((event.kind, name), event.seq)
                if event.kind == "fault.fired" and (words := in_words(event.data.get("where"))):
                    where.setdefault(name, []).append(words)
    steps = (
        replace(
            step,
            start_seq=step.start_seq or found.get(("step.start", str(step.index))),
            end_seq=step.end_seq or found.get(("step.end", str(step.index))),
        )
        for step in cell.steps
    )
    faults = (
        replace(
            fault,
            armed_seq=fault.armed_seq or found.get(("fault.armed", fault.id)),
            fired_seq=fault.fired_seq or found.get(("fault.fired", fault.id)),
            where="; ".join(where[fault.id][:3]) if fault.id in where else fault.where,
        )
        for fault in cell.faults
    )
    return replace(cell, steps=tuple(steps), faults=tuple(faults))


def _segments(cell: CellResult) -> list[Segment]:
    named: dict[str, float] = {}
    for phase in cell.phases:
        named[phase.name] = named.get(phase.name, 0.0) + phase.seconds
    total = max(cell.seconds, sum(named.values()), 1e-9)
    found = [Segment(name, took, 100 * took / total, i % 8) for i, (name, took) in enumerate(named.items())]
    rest = cell.seconds - sum(named.values())
    if found and rest > 0.005 * total:
        found.append(Segment("not named", rest, 100 * rest / total, 8))
    return found


def _brief(data: Mapping[str, Any]) -> str:
    parts = []
    for key, value in data.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts.append(f"{key}={shorten(text, 60)}")
    return visible(shorten("  ".join(parts), 220))


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _event_rows(events: list[Event], clocks: ClockMap) -> list[EventRow]:
    rows = []
    origin = events[0].t if events else 0
    for event in events:
        full = visible(json.dumps(event.data, ensure_ascii=False, indent=1), lines=True)
        brief = _brief(event.data)
        if len(full) > MAX_DATA:
            full = (
                full[:MAX_DATA]
                + f"\n… {len(full) - MAX_DATA} more characters in the journal, event {event.seq}"
            )
        wall = clocks.iso(event.t) if clocks.pairs else ""
        more = full if len(brief) > 215 or "…" in brief or any(map(_nested, event.data.values())) else ""
        rows.append(EventRow(event, (event.t - origin) / 1e9, wall, brief, more))
    return rows


def _references(cell: CellResult) -> set[int]:
    """Return every event that something in the report points to."""
    found = {seq for e in cell.expectations for seq in e.matched}
    found |= {miss.seq for e in cell.expectations for miss in e.nearest}
    found |= {s.seq for s in cell.strictness}
    found |= {s for f in cell.faults for s in (f.armed_seq, f.fired_seq) if s}
    found |= {e.seq for c in cell.clauses for e in c.evidence if e.seq}
    return found | {s for step in cell.steps for s in (step.start_seq, step.end_seq) if s}


def _view(run_dir: Path, cell: CellResult, number: int) -> CellView:
    """Read what a cell left and make its view; every fault of the files becomes a note."""
    name = cell_folder(cell.id)
    folder = run_dir / "cells" / name
    view = CellView(cell, number, f"cells/{name}", _rows(cell), segments=_segments(cell))
    for artefact in cell.artefacts:
        path = safe_path(folder, artefact.path)
        view.downloads.append((artefact, path))
        if path and artefact.sha256:
            view.by_sha[artefact.sha256] = path
    journal = folder / "journal.jsonl"
    if not journal.is_file():
        if cell.not_runnable is None:
            view.journal_note = "There is no journal: what happened in this cell is not known."
        return view
    try:
        seal = Seal(cell.journal.events, cell.journal.last) if cell.journal and cell.journal.sealed else None
        view.chain = verify(journal, seal)
        events = list(read(journal, lenient=True))
    except (OSError, JournalError) as error:
        view.journal_note = f"The journal cannot be read: {error}."
        return view
    if not view.chain.ok:
        view.journal_note = "The journal is not whole: " + "; ".join(
            f"line {p.line}: {p.message}" for p in view.chain.problems[:3]
        )
    if not any(a.kind == "journal" for a in cell.artefacts):
        made = Artefact(kind="journal", path="journal.jsonl", bytes=journal.stat().st_size)
        view.downloads.insert(0, (made, "journal.jsonl"))
    cell = view.cell = _located(cell, events)
    view.rows = _rows(cell)
    if events:
        view.ladder = Markup(ladder(events, cell, view.anchor))  # noqa: S704  # escaped piece by piece there
    finder = CellPictures(folder, cell, events)
    view.pairs, view.more_pictures = finder.pairs(MAX_PICTURES)
    view.media = media_of(folder, cell, events)
    view.left = [_left(medium) for medium in view.media]
    for pair in view.pairs:
        if pair.link and pair.sha256:
            view.by_sha.setdefault(pair.sha256, pair.link)
    view.total_events = len(events)
    wanted = _references(cell)
    # Pictures of a stream come 30 a second; those that nothing points to are in the journal.
    events = [e for e in events if e.kind != "ultrasound.frame" or e.seq in wanted]
    if len(events) > MAX_EVENTS:
        events = [e for i, e in enumerate(events) if i < MAX_EVENTS or e.seq in wanted]
    view.events = _event_rows(events, ClockMap.from_events(events))
    view.shown = frozenset(row.event.seq for row in view.events)
    return view


def cell_view(run_dir: Path, cell: CellResult, number: int) -> CellView:
    """Make the view of a cell; a fault of this program costs the drawings of one cell, never the report of a night."""
    try:
        return _view(run_dir, cell, number)
    except Exception as error:
        view = CellView(cell, number, f"cells/{cell_folder(cell.id)}", _rows(cell))
        view.journal_note = f"What this cell left could not be shown: {type(error).__name__}: {error}"
        return view
