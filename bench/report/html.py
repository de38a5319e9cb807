"""The pages for people: ``index.html`` of a run, and a page of its own for every cell.

Rules of this file:

* Everything that is shown comes from results.json, the journals and the attachments of the run folder;
  nothing is judged here.  What a journal cannot back (a broken chain, a lost event) is said on the first
  screen.
* Jinja2 escapes everything; the only markup made elsewhere is the ladder's.  A policy in the page forbids it
  to load anything and to run any script but its own, so that even a mistake here could not act.
* The first page stays small however much a night leaves: pictures, ladders and events are on the cells' pages.
  No page loads another file; each holds its own pictures.
* Links are relative, and only to files that exist inside the run folder (:func:`bench.report.text.safe_path`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import jinja2
from markupsafe import Markup

from bench.report.cellview import PAGE, CellView, Here, cell_view
from bench.report.chapters import chapters, faults
from bench.report.firstscreen import (
    badges,
    bench_faults,
    deviation,
    duration,
    headline,
    link_groups,
    surprises,
    tone,
    volumes,
)
from bench.report.text import seconds, shorten, size, visible
from bench.results import Evidence, RunResult, cell_folder, portable_path
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
        Verdict=Verdict,
        WORST_FIRST=WORST_FIRST,
        deviation=deviation,
        bench_faults=bench_faults,
        surprises=surprises,
        abs=abs,
        min=min,
        max=max,
    )
    return env


def _cells_of(views: list[CellView]) -> dict[str, list[tuple[Verdict, list[CellView]]]]:
    """Return the cells that touched a clause by its id, those with the same verdict together, worst first."""
    found: dict[str, dict[Verdict, list[CellView]]] = {}
    for view in views:
        for clause in view.cell.clauses:
            if clause.verdict is not Verdict.NOT_EXERCISED:
                found.setdefault(clause.id, {}).setdefault(clause.verdict, []).append(view)
    return {
        id: sorted(verdicts.items(), key=lambda item: WORST_FIRST.index(item[0]))
        for id, verdicts in found.items()
    }


@dataclass(frozen=True)
class _Maker:
    """Makes the pages of one run."""

    run: RunResult
    folder: Path
    env: jinja2.Environment
    assets: dict[str, object]

    @classmethod
    def of(cls, run: RunResult, folder: Path) -> _Maker:
        """Read the templates."""
        source = Path(__file__).parent / "templates"
        style = (source / "style.css").read_text(encoding="utf-8")
        script = (source / "script.html").read_text(encoding="utf-8").strip()
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        shared = {
            "style": Markup(style),  # noqa: S704  # our own files
            "script": Markup(script),  # noqa: S704
            "digest": digest,
            "run": run,
            "info": run.run,
        }
        return cls(run, folder, environment(), shared)

    @property
    def bare(self) -> bool:
        """Tell whether it is a capture from the field: that has no journal, and nobody ran a bench."""
        return self.run.run.origin == "capture"

    def view(self, number: int) -> CellView:
        """Return what is shown of a cell, counted from 1."""
        view = cell_view(self.folder, self.run.cells[number - 1], number)
        if self.bare:
            view.journal_note = ""
        return view

    def cell(self, view: CellView, before: str, after: str) -> str:
        """Return the page of a cell; ``before`` and ``after`` are the pages of its neighbours, or empty."""
        template = self.env.get_template("cell.html.j2")
        up = "../" * view.page.count("/")
        return template.render(self.assets, here="cell", view=view, up=up, before=before, after=after)

    def index(self, views: list[CellView], here: Here) -> str:
        """Return the page of the run, with or without its cells."""
        run = self.run
        parts = chapters(run)
        red = sorted(
            (v for v in views if v.open or v.cell.bench_at_fault or v.cell.unexpected),
            key=lambda v: (WORST_FIRST.index(v.cell.verdict), -v.cell.unexpected),
        )
        return self.env.get_template("index.html.j2").render(
            self.assets,
            here=here,
            views=views,
            by_id={view.cell.id: view for view in views},
            red=red,
            headline=headline(run),
            tone=tone(run),
            badges=badges(run),
            chapters=parts,
            faults=faults(run),
            clause_counts={v: sum(part.count(v) for part in parts) for v in Verdict},
            cells_of=_cells_of(views),
            links=link_groups(run),
            volumes=volumes(run),
            untested=sorted({link.backend for link in run.links if not link.tested}),
            all_untested=bool(run.links) and not any(link.tested for link in run.links),
            no_links=not self.bare and not run.links and any(c.not_runnable is None for c in run.cells),
            damaged=[v for v in views if v.journal_note and (v.chain or not v.cell.errors)],
            duration=duration(run),
        )


def pages(run: RunResult, run_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield the pages of a run, each with its path in the run folder: one for each cell, ``index.html`` at the end."""
    make = _Maker.of(run, run_dir)
    names = ["", *(f"cells/{cell_folder(cell.id)}/{PAGE}" for cell in run.cells), ""]
    views = []
    for number in range(1, len(run.cells) + 1):
        view = make.view(number)
        yield view.page, make.cell(view, names[number - 1], names[number + 1])
        view.lighten()
        views.append(view)
    yield "index.html", make.index(views, "index")


def page_alone(run: RunResult, run_dir: Path) -> str:
    """Return everything as one page without a link to any file, to be read without the run folder."""
    make = _Maker.of(run, run_dir)
    views = [make.view(number) for number in range(1, len(run.cells) + 1)]
    for view in views:
        view.detach()
    return make.index(views, "alone")
