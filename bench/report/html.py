"""The page for people: one self-contained index.html made from a run folder.

Rules of this file:

* Everything that is shown comes from results.json, the journals and the attachments of the run folder;
  nothing is judged here.  What a journal cannot back (a broken chain, a lost event) is said on the first
  screen.
* Jinja2 escapes everything; the only markup made elsewhere is the ladder's.  A policy in the page forbids it
  to load anything and to run any script but its own, so that even a mistake here could not act.
* Links are relative to the run folder and only to files that exist inside it
  (:func:`bench.report.text.safe_path`).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from pathlib import Path

import jinja2
from markupsafe import Markup

from bench.report.cellview import CellView, cell_view
from bench.report.chapters import chapters, faults
from bench.report.firstscreen import badges, deviation, duration, headline, link_groups, volumes
from bench.report.text import seconds, shorten, size, visible
from bench.results import Evidence, RunResult, portable_path
from bench.verdict import WORST_FIRST, Verdict


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


def _cells_of(views: list[CellView]) -> dict[str, list[tuple[CellView, Verdict]]]:
    """Return the cells that touched a clause with their verdicts, worst first, by its id."""
    found: dict[str, list[tuple[CellView, Verdict]]] = {}
    for view in views:
        for clause in view.cell.clauses:
            if clause.verdict is not Verdict.NOT_EXERCISED:
                found.setdefault(clause.id, []).append((view, clause.verdict))
    for hits in found.values():
        hits.sort(key=lambda hit: WORST_FIRST.index(hit[1]))
    return found


def html(run: RunResult, run_dir: Path, alone: bool = False) -> str:
    """Return the whole page of a run; ``alone`` without a link to any file, to be read without the run folder."""
    views = [cell_view(run_dir, cell, number) for number, cell in enumerate(run.cells, 1)]
    bare = run.run.origin == "capture"
    for view in views:
        if alone:
            view.detach()
        if bare:
            view.journal_note = ""  # a capture from the field has no journal, and nobody ran a bench
    env = environment()
    source = Path(__file__).parent / "templates"
    style = (source / "style.css").read_text(encoding="utf-8")
    script = (source / "script.html").read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    by_id = {view.cell.id: view for view in views}
    parts = chapters(run)
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
        headline=headline(run),
        badges=badges(run),
        chapters=parts,
        faults=faults(run),
        clause_counts={v: sum(part.count(v) for part in parts) for v in Verdict},
        cells_of=_cells_of(views),
        links=link_groups(run),
        volumes=volumes(run),
        untested=sorted({link.backend for link in run.links if not link.tested}),
        all_untested=bool(run.links) and not any(link.tested for link in run.links),
        no_links=not bare and not run.links and any(cell.not_runnable is None for cell in run.cells),
        damaged=[v for v in views if v.journal_note and (v.chain or not v.cell.errors)],
        duration=duration(run),
        style=Markup(style),  # noqa: S704  # our own files
        script=Markup(script),  # noqa: S704
        digest=digest,
        alone=alone,
    )
