"""Attributes and keys: every row of a statement's tables against every data set of its kind that the SUT sent.

Rules of this folder:

* The statement's data decide alone: what a row says stands in its file, and a third vendor's is judged without code.
* ``where``: which data sets, and which item in them; ``conditions``: when a conditional attribute is needed;
  ``values`` and ``words``: which value is right; ``readings``: what the errata decide; ``engine``: one row, one place;
  ``keys``: identifiers of queries; ``mapping``: where worklist values go.
* A row whose check breaks is ERROR by itself, and all others are judged.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from bench.checks.attributes import engine, keys, mapping
from bench.checks.attributes.where import SOURCES, Occasion, occasions
from bench.checks.case import Case
from bench.checks.finding import Finding, check
from bench.statements.model import Clause, Section
from bench.verdict import Verdict

KINDS = ("attribute", "key")


@check("kind:attribute", "kind:key")
def attributes(case: Case) -> Iterator[Finding]:
    """Judge every row of an attribute or key table whose data set is sent over the network."""
    for section in case.statement.sections:
        if section.dataset not in SOURCES:
            continue
        rows = [clause for clause in section.clauses if clause.kind in KINDS]
        if not rows:
            continue
        try:
            seen = occasions(case, section)
        except Exception as error:
            yield from (_error(clause, error) for clause in rows)
            continue
        for clause in rows:
            try:
                yield from judge(case, section, clause, seen)
            except Exception as error:
                yield _error(clause, error)


def _error(clause: Clause, error: Exception) -> Finding:
    where = traceback.extract_tb(error.__traceback__)[-1]
    file = where.filename.replace("\\", "/").rsplit("/", 1)[-1]
    reason = f"the check of this row failed at {file}:{where.lineno}: {type(error).__name__}: {error}"
    return Finding(clause.id, Verdict.ERROR, reason)


def judge(case: Case, section: Section, clause: Clause, seen: tuple[Occasion, ...]) -> Iterator[Finding]:
    """Judge one row on the data sets of its section."""
    rule = clause.attribute
    for occasion in seen:
        if rule is not None and rule.sop_classes and occasion.sop_class not in rule.sop_classes:
            continue
        if section.dataset == "printer":
            yield from keys.printer(case, clause, occasion)
        elif section.dataset in keys.QUERIES:
            yield from keys.judge(case, section, clause, occasion)
        else:
            yield from engine.judge(case, clause, occasion)
    if section.dataset == "worklist-query" and rule is not None and rule.maps_to:
        yield from mapping.judge(case, clause)
