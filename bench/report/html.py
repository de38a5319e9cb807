"""The page for people: one self-contained index.html made from a run folder.

Rules of this file:

* Everything that is shown comes from results.json, the journals and the attachments of the run folder;
  nothing is judged here.  What a journal cannot back (a broken chain, a lost event) is said on the first
  screen.
* Jinja2 escapes everything; the only markup made elsewhere is the ladder's.  A policy in the page forbids it
  to load anything and to run any script but its own, so that even a mistake here could not act.
* Links are relative to the run folder and only to files that exist inside it
  (:func:`bench.report.text.safe_path`).
* Anchors are made from positions (``c3``, ``c3-e17``), never from names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from bench.journal import ChainReport, ClockMap, Event, JournalError, Seal, read, verify
from bench.report.images import Agreement, Picture, compare, dicom_picture, truth_picture
from bench.report.ladder import ladder
from bench.report.text import safe_path, seconds, shorten, size, visible
from bench.results import (
    Artefact,
    CellResult,
    ClauseResult,
    ClauseSummary,
    Evidence,
    ExpectationResult,
    LinkFidelity,
    RunResult,
    StepResult,
    VolumeFidelity,
    cell_folder,
    in_words,
    portable_path,
    section_of,
)
from bench.statements import clause_ids
from bench.verdict import WORST_FIRST, Verdict

MAX_EVENTS: Final = 3000
"""Rows of one cell's event table; the rest is in the journal."""
MAX_DATA: Final = 6000
"""Characters of one event's data in the page."""
MAX_PICTURES: Final = 12
"""Pairs of pictures per cell."""


@dataclass(frozen=True)
class Row:
    """A step with the expectations that stand on its line, or an expectation alone."""

    line: int
    text: str
    verdict: Verdict
    step: StepResult | None
    expectations: tuple[ExpectationResult, ...]


@dataclass(frozen=True)
class Pair:
    """An image as it was stored beside the truth of what was in the beam."""

    title: str
    stored: Picture
    truth: Picture | None
    agreement: Agreement | None
    seq: int
    frame_seq: int | None
    sha256: str
    link: str | None
    basis: str = ""


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
    anchor: str
    folder: str
    rows: list[Row]
    ladder: Markup | str = ""
    pairs: list[Pair] = field(default_factory=list)
    more_pictures: int = 0
    segments: list[Segment] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    total_events: int = 0
    chain: ChainReport | None = None
    journal_note: str = ""
    downloads: list[tuple[Artefact, str | None]] = field(default_factory=list)
    by_sha: dict[str, str] = field(default_factory=dict)
    shown: frozenset[int] = frozenset()

    def detach(self) -> None:
        """Forget where files are: the page will be read without them."""
        self.downloads = [(artefact, None) for artefact, _ in self.downloads]
        self.by_sha = {}
        self.pairs = [replace(pair, link=None) for pair in self.pairs]

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
        """Return the scenario line that decided: of the first failed expectation or step, else of the
        scenario.
        """
        for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE):
            parts: list[ExpectationResult | StepResult] = [*self.cell.expectations, *self.cell.steps]
            for part in parts:
                if part.verdict is verdict:
                    return part.line
        return self.cell.line

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
    def misses(self) -> list[tuple[ExpectationResult, Any]]:
        """Return the nearest misses of failed expectations."""
        return [(e, miss) for e in self.cell.expectations if not e.verdict.green for miss in e.nearest]


@dataclass(frozen=True)
class Section:
    """Clauses of one section of the statement, with counts per verdict for the bar, and how many there are."""

    name: str
    clauses: tuple[ClauseSummary, ...]
    counts: Mapping[Verdict, int]
    total: int


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


class _Pictures:
    """Finds the pictures of a cell: stored objects, and the frame and truth that each came from."""

    def __init__(self, folder: Path, cell: CellResult, events: list[Event]) -> None:
        self.folder, self.cell, self.events = folder, cell, events
        self.artefacts = {a.sha256: a.path for a in cell.artefacts if a.sha256}

    def file(self, *names: Any) -> Path | None:
        """Return the first of several names that is a file inside the cell's folder."""
        for name in names:
            if isinstance(name, str) and safe_path(self.folder, name) and (self.folder / name).is_file():
                return self.folder / name
        return None

    def stored(self, data: Mapping[str, Any]) -> Path | None:
        """Return the file of a stored object."""
        sha, name = data.get("sha256"), data.get("object")
        known = self.artefacts.get(sha) if isinstance(sha, str) else None
        tail = name.rpartition("/")[2] if isinstance(name, str) else None
        return self.file(known, name, f"objects/{name}", f"objects/{tail}", f"objects/{sha}.dcm")

    def truth(self, value: Any) -> list[Path]:
        """Return the files of a truth: a name, a stem, or an object of names."""
        names = (
            list(value.values())
            if isinstance(value, Mapping)
            else value
            if isinstance(value, list)
            else [value]
        )
        found: list[Path] = []
        for name in (n for n in names if isinstance(n, str)):
            stem = name.removesuffix(".png").removesuffix(".npy")
            for each in (stem + ".npy", stem + ".png"):
                tail = each.rpartition("/")[2]
                path = self.file(self.artefacts.get(name), each, f"truth/{each}", f"truth/{tail}")
                if path and path not in found:
                    found.append(path)
        return found

    def frame_of(self, stored: Event) -> tuple[Event | None, str]:
        """Return the detector's frame that a stored object shows, and how that is known."""
        frames = [
            e
            for e in self.events
            if e.kind == "detector.frame" and e.data.get("truth") and e.data.get("frame_kind") != "Dark"
        ]
        claims = [e for e in self.events if e.kind == "modality.image"]
        for claim in claims:
            if claim.data.get("sop_instance") == stored.data.get("sop_instance"):
                for frame in frames:
                    if frame.data.get("sha256") == claim.data.get("raw_sha256"):
                        return (
                            frame,
                            "paired by the raw frame's SHA-256 that the product names for this instance",
                        )
        before = [frame for frame in frames if frame.t <= stored.t]
        return (before[-1], "paired by time: the last frame before it was stored") if before else (None, "")

    def pairs(self) -> tuple[list[Pair], int]:
        """Return the pairs to show and how many more there are."""
        stored = [e for e in self.events if e.kind == "pacs.stored"]
        return [self.pair(event) for event in stored[:MAX_PICTURES]], max(len(stored) - MAX_PICTURES, 0)

    def pair(self, event: Event) -> Pair:
        path = self.stored(event.data)
        picture = (
            dicom_picture(path)
            if path
            else Picture(note="no picture: the object was not kept in the run folder")
        )
        frame, basis = self.frame_of(event)
        truth = truth_picture(self.truth(frame.data.get("truth"))) if frame else None
        agreement = None
        if truth is not None and truth.grid is not None and picture.grid is not None:
            agreement = compare(truth.grid, picture.grid)
        return Pair(
            title=str(event.data.get("sop_instance", "")),
            stored=picture,
            truth=truth,
            agreement=agreement,
            seq=event.seq,
            frame_seq=frame.seq if frame else None,
            sha256=str(event.data.get("sha256", "")),
            link=path.relative_to(self.folder).as_posix() if path else None,
            basis=basis,
        )


def _view(run_dir: Path, cell: CellResult, number: int) -> CellView:
    """Read what a cell left and make its view; every fault of the files becomes a note."""
    name = cell_folder(cell.id)
    folder = run_dir / "cells" / name
    view = CellView(cell, f"c{number}", f"cells/{name}", _rows(cell), segments=_segments(cell))
    for artefact in cell.artefacts:
        path = safe_path(folder, artefact.path)
        view.downloads.append((artefact, f"{view.folder}/{path}" if path else None))
        if path and artefact.sha256:
            view.by_sha[artefact.sha256] = f"{view.folder}/{path}"
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
        view.downloads.insert(0, (made, f"{view.folder}/journal.jsonl"))
    cell = view.cell = _located(cell, events)
    view.rows = _rows(cell)
    if events:
        view.ladder = Markup(ladder(events, cell, view.anchor))  # noqa: S704  # escaped piece by piece there
    finder = _Pictures(folder, cell, events)
    view.pairs, view.more_pictures = finder.pairs()
    for pair in view.pairs:
        if pair.link and pair.sha256:
            view.by_sha.setdefault(pair.sha256, f"{view.folder}/{pair.link}")
    view.total_events = len(events)
    if len(events) > MAX_EVENTS:
        wanted = _references(cell)
        events = [e for i, e in enumerate(events) if i < MAX_EVENTS or e.seq in wanted]
    view.events = _event_rows(events, ClockMap.from_events(events))
    view.shown = frozenset(row.event.seq for row in view.events)
    return view


def _safe_view(run_dir: Path, cell: CellResult, number: int) -> CellView:
    """Make the view of a cell; a fault of this program costs the drawings of one cell, never the report of a night."""
    try:
        return _view(run_dir, cell, number)
    except Exception as error:
        view = CellView(cell, f"c{number}", f"cells/{cell_folder(cell.id)}", _rows(cell))
        view.journal_note = f"What this cell left could not be shown: {type(error).__name__}: {error}"
        return view


def _sections(run: RunResult) -> list[Section]:
    """Return the sections of every statement that a clause of the run belongs to, untouched ones too."""
    grouped: dict[str, list[ClauseSummary]] = {}
    for clause in run.clauses:
        grouped.setdefault(clause.section, []).append(clause)
    statements = {clause.id.partition("-")[0] for clause in run.clauses}
    known: dict[str, set[str]] = {}
    for clause_id in clause_ids():
        if clause_id.partition("-")[0] in statements:
            known.setdefault(section_of(clause_id), set()).add(clause_id)
    sections = []
    for name in sorted({*grouped, *known}):
        clauses = grouped.get(name, [])
        sections.append(
            Section(
                name,
                tuple(sorted(clauses, key=lambda c: (WORST_FIRST.index(c.verdict), c.id))),
                {v: n for v in WORST_FIRST if (n := sum(c.verdict is v for c in clauses))},
                len(known.get(name, set()) | {c.id for c in clauses}),
            )
        )
    return sections


@dataclass(frozen=True)
class Badge:
    """One statement about fidelity on the first screen; tone: good, warn, bad."""

    label: str
    text: str
    tone: str
    title: str = ""


def _badges(run: RunResult) -> list[Badge]:
    """Return the fidelity of the bench in a few words each, the same words once."""
    found: dict[tuple[str, str], Badge] = {}
    kinds: dict[str, list[LinkFidelity]] = {}
    for link in run.links:
        kinds.setdefault(" ".join(filter(None, (link.backend, link.mode))), []).append(link)
    for text, links in sorted(kinds.items()):
        names = list(dict.fromkeys(link.name for link in links))
        offs = [deviation(link) for link in links]
        tone = "good" if all(off is not None and abs(off) <= 5 for off in offs) else "warn"
        tone = tone if all(link.tested for link in links) else "bad"
        limits = dict.fromkeys(limit for link in links for limit in link.cannot_prove)
        title = f"links {', '.join(names)}" + (f". Cannot prove: {'; '.join(limits)}" if limits else "")
        label = f"link {names[0]}" if len(names) == 1 else f"{len(names)} links"
        found[label, text] = Badge(label, text, tone, title)
    for volume in (v for cell in run.cells for v in cell.volumes):
        text = " ".join(filter(None, (volume.backend, volume.filesystem)))
        title = "Cannot prove: " + "; ".join(volume.cannot_prove) if volume.cannot_prove else ""
        found[f"volume {volume.name}", text] = Badge(f"volume {volume.name}", text, "good", title)
    sut = run.run.sut
    what = {"reference": "reference software", "operator": "a person at the real product"}.get(
        sut.adapter, sut.adapter
    )
    tone = "good" if sut.adapter != "reference" else "warn"
    return [Badge("SUT", what, tone, sut.description or ""), *found.values()]


def deviation(link: LinkFidelity) -> float | None:
    """Return how far the measured goodput is from nominal, in percent."""
    if not link.nominal_mbps or link.measured_mbps is None:
        return None
    return round(100 * (link.measured_mbps / link.nominal_mbps - 1), 1) + 0.0  # no minus before a zero


def _headline(run: RunResult) -> str:
    """Return the run in one sentence."""
    total = len(run.cells)
    red = [c for c in run.cells if c.verdict is Verdict.FAIL]
    errors = sum(c.bench_at_fault for c in run.cells)
    parts = []
    if not total:
        return "Nothing was run."
    if red:
        parts.append(f"{len(red)} of {total} cells failed" if total > 1 else "the one cell failed")
    if errors:
        parts.append(f"in {errors} of {total} the bench itself was at fault")
    unclear = sum(c.verdict is Verdict.INCONCLUSIVE for c in run.cells)
    if unclear:
        parts.append(f"{unclear} could not be judged")
    if not parts:
        ran = sum(c.verdict.green for c in run.cells)
        if not ran:
            parts.append("Nothing was runnable here")
        elif ran < total:
            parts.append(f"{ran} of {total} cells did what was expected, nothing failed")
        else:
            parts.append(f"{f'All {total} cells' if total > 1 else 'The one cell'} did what was expected")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:] + "."


def _duration(run: RunResult) -> str:
    try:
        start, end = datetime.fromisoformat(run.run.start), datetime.fromisoformat(run.run.end or "")
        return seconds((end - start).total_seconds())
    except (ValueError, TypeError):
        return seconds(sum(cell.seconds for cell in run.cells))


def _when(stamp: str | None) -> str:
    """Return an ISO stamp as a person reads it, with its offset."""
    try:
        at = datetime.fromisoformat(stamp or "")
    except ValueError:
        return visible(stamp or "–")
    return at.strftime("%Y-%m-%d %H:%M:%S %Z").strip()


def _slug(verdict: Verdict) -> str:
    return "v-" + "".join(c if c.isalnum() else "-" for c in verdict.value.lower())


def _evidence(evidence: Evidence) -> str:
    parts = [f"frame {evidence.frame}" if evidence.frame is not None else ""]
    parts += [
        f"PDU {evidence.pdu}" if evidence.pdu is not None else "",
        evidence.tag or "",
        evidence.note or "",
    ]
    return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class LinkGroup:
    """The same kind of link over all cells: measured goodput as (least, most), captures summed."""

    link: LinkFidelity
    cells: int
    measured: tuple[float, float] | None
    worst: float | None
    packets: int | None
    dropped: int | None


def _link_groups(run: RunResult) -> list[LinkGroup]:
    grouped: dict[tuple[str, str, str], list[LinkFidelity]] = {}
    for link in run.links:
        grouped.setdefault((link.name, link.backend, link.mode or ""), []).append(link)
    groups = []
    for _, links in sorted(grouped.items()):
        measured = [link.measured_mbps for link in links if link.measured_mbps is not None]
        off = [d for link in links if (d := deviation(link)) is not None]
        captures = [link.capture for link in links if link.capture]
        groups.append(
            LinkGroup(
                links[0],
                len(links),
                (min(measured), max(measured)) if measured else None,
                max(off, key=abs, default=None),
                sum(c.packets for c in captures) if captures else None,
                sum(c.dropped for c in captures) if captures else None,
            )
        )
    return groups


def _volumes(run: RunResult) -> list[VolumeFidelity]:
    return list({(v.name, v.backend, v.filesystem): v for cell in run.cells for v in cell.volumes}.values())


def environment() -> jinja2.Environment:
    """Return the template environment: everything escaped, every name must exist, all text made visible."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Escaping keeps a page from acting; this keeps its text from lying (direction marks, control
        # characters).
        finalize=lambda v: v if isinstance(v, Markup) else "" if v is None else visible(v, lines=True),
    )
    env.filters.update(
        place=portable_path,
        seconds=seconds,
        size=size,
        visible=visible,
        shorten=shorten,
        slug=_slug,
        when=_when,
        evidence=_evidence,
    )
    env.globals.update(
        Verdict=Verdict, deviation=deviation, abs=abs, min=min, max=max, WORST_FIRST=WORST_FIRST
    )
    return env


def html(run: RunResult, run_dir: Path, alone: bool = False) -> str:
    """Return the whole page of a run; ``alone`` without a link to any file, to be read without the run folder."""
    views = [_safe_view(run_dir, cell, number) for number, cell in enumerate(run.cells, 1)]
    if alone:
        for view in views:
            view.detach()
    env = environment()
    source = Path(__file__).parent / "templates"
    style = (source / "style.css").read_text(encoding="utf-8")
    script = (source / "script.html").read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    by_id = {view.cell.id: view for view in views}
    red = sorted(
        (v for v in views if v.open or v.cell.bench_at_fault or v.cell.unexpected),
        key=lambda v: (WORST_FIRST.index(v.cell.verdict), -v.cell.unexpected),
    )
    return env.get_template("index.html.j2").render(
        run=run,
        info=run.run,
        views=views,
        by_id=by_id,
        red=red,
        headline=_headline(run),
        badges=_badges(run),
        sections=_sections(run),
        links=_link_groups(run),
        volumes=_volumes(run),
        untested=sorted({link.backend for link in run.links if not link.tested}),
        all_untested=bool(run.links) and not any(link.tested for link in run.links),
        no_links=not run.links and any(cell.not_runnable is None for cell in run.cells),
        damaged=[v for v in views if v.journal_note and (v.chain or not v.cell.errors)],
        duration=_duration(run),
        style=Markup(style),  # noqa: S704  # our own files
        script=Markup(script),  # noqa: S704
        digest=digest,
        alone=alone,
    )
