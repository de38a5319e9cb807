"""The table of a run: every clause, default and rule of its statement, also those that nothing touched.

Rules of this file:

* What nothing touched is NOT-EXERCISED, with the reason where no capture can show it.
* The order is the statement's, then its defaults, then the standard's rules by area.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from bench.checks import registry
from bench.checks.finding import BY
from bench.checks.standard import rules
from bench.resultmodel import ClauseSummary
from bench.results import section_of
from bench.statements import BUNDLED, load
from bench.statements.model import Statement
from bench.verdict import Verdict


def complete(summaries: Iterable[ClauseSummary], statement: str | None) -> tuple[ClauseSummary, ...]:
    """Return the summaries with those that are missing, in order; as they are for a statement that is not known."""
    found = {summary.id: summary for summary in summaries}
    if statement not in BUNDLED:
        return tuple(found.values())
    blank = _blank(statement)
    return (
        *(found.get(id, empty) for id, empty in blank.items()),
        *(summary for id, summary in found.items() if id not in blank),
    )


@cache
def _blank(name: str) -> Mapping[str, ClauseSummary]:
    statement: Statement = load(name)
    unseen = registry.unseen(name)
    titles = {clause.id: clause.title for clause in statement.clauses}
    titles |= {id: default.fact for id, default in statement.defaults.items()}
    titles |= {id: rule.title for id, rule in rules().items()}
    out = {}
    for id, title in titles.items():
        reason, by = "the occasion did not come", None
        if id in unseen:
            by = unseen[id].by
            reason = f"not to be seen in a capture, {BY[by]}: {unseen[id].why}"
        out[id] = ClauseSummary(
            id=id,
            verdict=Verdict.NOT_EXERCISED,
            section=section_of(id),
            reason=reason,
            title=title,
            cells=(),
            evidence=(),
            expected=None,
            cite=rules()[id].cite if id in rules() else None,
            by=by,
        )
    return out


__all__ = ["complete"]
