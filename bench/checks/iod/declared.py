"""What a statement declares, so that exactly that deviation from the standard is DEV-FROM-STD and not FAIL
(ruling A2).

Rules of this file:

* A row of the statement that promises less than the standard demands is a declaration; so is an erratum that
  names the tag of an attribute which the statement's tables lack, and a ruling that names it (:data:`RULED`).
* Where the statement is silent nothing is declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.checks.iod.tables import tag_text
from bench.statements.model import AttributeRule, Clause, Statement

RULED: Final = {("VX", "PositionerType"): "ruling E1", ("VX", "AcquisitionContextSequence"): "ruling E1"}
_LACKS: Final = re.compile(r"\blacks?\b|\bmissing\b|\bnot in (?:the|its) tables?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Declared:
    """The declarations of a statement about the objects of one SOP class."""

    statement: Statement
    sop_class: str

    def rows(self, *path: str) -> Iterator[tuple[Clause, AttributeRule]]:
        """Clauses about an attribute, named by its keywords from the top level."""
        for section in self.statement.sections:
            if section.dataset != "object":
                continue
            for clause in section.clauses:
                rule = clause.attribute
                if rule is None or (*rule.path_keywords, rule.keyword) != path:
                    continue
                if self.sop_class in (rule.sop_classes or section.sop_classes):
                    yield clause, rule

    def allows(self, state: str, kind: str, *path: str) -> str | None:
        """Return who declares that an attribute of a type may be ``absent`` or ``empty``, None when nobody does."""
        rows = list(self.rows(*path))
        if rows:
            ids = [clause.id for clause, rule in rows if _weaker(rule.types.promised, kind, state)]
            return ids[0] if len(ids) == len(rows) else None
        if (self.statement.prefix, path[-1]) in RULED:
            return RULED[self.statement.prefix, path[-1]]
        tag = tag_text(path[-1])
        for erratum in self.statement.errata.values():
            if tag in erratum.statement and _LACKS.search(erratum.statement):
                return erratum.id
        return None

    def lists(self, value: str, *path: str) -> str | None:
        """Return the clause that lists a value for an attribute (in its reading, not in its misprints)."""
        for clause, rule in self.rows(*path):
            if value in rule.values:
                return clause.id
        return None

    def names(self, keyword: str) -> bool:
        """Whether the statement has a row for an attribute of the top level."""
        return any(True for _ in self.rows(keyword))

    @property
    def excludes_extension(self) -> str | None:
        """The clause that excludes Standard Extended SOP Classes, None when the statement does not speak of them."""
        for clause in self.statement.clauses:
            if re.search(
                r"\bno (?:Standard )?Extended\b|\bno Standard Extended\b", clause.text or clause.title
            ):
                return clause.id
        return None


def _weaker(promised: str | None, kind: str, state: str) -> bool:
    """Whether a promised type allows what the standard's type forbids."""
    if state == "empty":
        return promised in ("2", "2C", "3")
    return promised == "3" or (promised in ("1C", "2C") and kind in ("1", "2"))
