"""The clauses of a run as a report shows them: the statement's own order, untouched ones too; faults, not rows.

Rules of this file:

* Pure functions of a :class:`bench.results.RunResult` and the statements as data; nothing is judged here.
* A clause that nothing touched is listed as loudly as one that failed: it is part of the statement.
* Rows that rest on the same evidence are one fault (ruling: a person sees one fault, not ten rows).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.checks.standard import AREAS, rules
from bench.results import ClauseSummary, RunResult, section_of
from bench.statements import BUNDLED, load
from bench.statements.model import Statement
from bench.statements.words import section_title
from bench.verdict import WORST_FIRST, Verdict

STANDARD = "Standard: "
"""What the headings of the standard's rules begin with."""
UNTOUCHED = "nothing in this run touched it"


@dataclass(frozen=True)
class Chapter:
    """Clauses that stand together: a section of the statement, its defaults, or an area of the standard."""

    title: str
    rows: tuple[ClauseSummary, ...]
    anchor: str = ""
    untouched: int = 0

    @cached_property
    def counts(self) -> Mapping[Verdict, int]:
        """How many rows have which verdict, worst first."""
        return {v: n for v in WORST_FIRST if (n := sum(row.verdict is v for row in self.rows))}

    def count(self, *verdicts: Verdict) -> int:
        """Return how many rows have one of some verdicts."""
        return sum(self.counts.get(verdict, 0) for verdict in verdicts)


@dataclass(frozen=True)
class Fault:
    """What went wrong once, with every row that says so; the first one is the most telling."""

    rows: tuple[ClauseSummary, ...]

    @property
    def first(self) -> ClauseSummary:
        """The row that names it."""
        return self.rows[0]


def chapters(run: RunResult) -> list[Chapter]:
    """Return every clause of the statements that the run touched, in their order; then defaults, then rules."""
    left = {row.id: row for row in run.clauses}
    prefixes = {id.partition("-")[0] for id in left}
    found = [
        chapter
        for name, prefix in BUNDLED.items()
        if prefix in prefixes
        for chapter in _statement(load(name), left)
    ]
    grouped: dict[str, list[ClauseSummary]] = {}
    for row in left.values():
        grouped.setdefault(_area(row), []).append(row)
    for title in sorted(grouped, key=lambda title: (title.startswith(STANDARD), title)):
        found.append(Chapter(title, tuple(sorted(grouped[title], key=lambda row: row.id))))
    return [Chapter(c.title, c.rows, f"s{number}", c.untouched) for number, c in enumerate(found, 1)]


def _area(row: ClauseSummary) -> str:
    """Return the heading of a row that is in no statement: for a rule of the standard its area, in words."""
    rule = rules().get(row.id)
    return f"{STANDARD}{AREAS[rule.area]}" if rule is not None else row.section or section_of(row.id)


def _statement(statement: Statement, left: dict[str, ClauseSummary]) -> Iterator[Chapter]:
    """Yield the sections of a statement; what is shown is taken out of *left*."""
    for section in statement.sections:
        if section.clauses:
            rows = [(left.pop(c.id, None), c.id, c.title) for c in section.clauses]
            shown = tuple(row or _untouched(id, section.number, title) for row, id, title in rows)
            title = f"{section.number} {section_title(statement, section.number)}"
            yield Chapter(title, shown, untouched=sum(row is None for row, _, _ in rows))
    rows = [(left.pop(id, None), id, default.fact) for id, default in statement.defaults.items()]
    if any(row is not None for row, _, _ in rows):
        shown = tuple(row or _untouched(id, "Defaults", title) for row, id, title in rows)
        title = f"Defaults of {statement.product.name}: where the statement is silent"
        yield Chapter(title, shown, untouched=sum(row is None for row, _, _ in rows))


def _untouched(id: str, section: str, title: str) -> ClauseSummary:
    return ClauseSummary(
        id=id,
        verdict=Verdict.NOT_EXERCISED,
        section=section,
        reason=UNTOUCHED,
        title=title,
        cells=(),
        evidence=(),
        expected=None,
    )


def faults(run: RunResult, *verdicts: Verdict) -> list[Fault]:
    """Return the rows with some verdicts (FAIL and ERROR unless told), those with the same evidence together."""
    wanted = verdicts or (Verdict.FAIL, Verdict.ERROR)
    places: dict[object, list[ClauseSummary]] = {}
    for row in run.clauses:
        if row.verdict in wanted:
            places.setdefault(_place(row), []).append(row)
    # the statement's words before the standard's: they are what the product promised
    ordered = [sorted(rows, key=lambda row: row.id.startswith("STD-")) for rows in places.values()]
    ordered.sort(
        key=lambda rows: (WORST_FIRST.index(rows[0].verdict), rows[0].id.startswith("STD-"), rows[0].id)
    )
    return [Fault(tuple(rows)) for rows in ordered]


def _place(row: ClauseSummary) -> object:
    if not row.evidence:
        return row.id
    first = row.evidence[0]
    if first.frame is None and first.seq is None:
        return row.id
    where = first.tag if first.tag is not None else first.offset
    return (
        row.verdict,
        row.cells[:1],
        first.frame,
        first.association,
        first.message,
        first.seq,
        where or row.id,
    )
