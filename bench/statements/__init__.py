"""Conformance statements as data (docs/statements.md): their ids, their clauses, and the words of each clause.

This package is imported by the scenario lint, so it loads nothing by itself: the list of ids is small; the statement
files are read by the first `load` or `describe`, and only the one that is asked for.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from bench.statements.model import Statement
    from bench.statements.words import ClauseText

#: The statements of this project: name -> prefix of their ids.
BUNDLED: Final = {"vxvue": "VX", "mx1": "MX"}


@cache
def clause_ids() -> frozenset[str]:
    """Return the permanent ids of every clause (``VX-…``, ``MX-…``) and default (``VX-D-…``, ``MX-D-…``)."""
    return frozenset(json.loads((files(__package__) / "ids.json").read_text(encoding="utf-8")))


def load(name_or_file: str | Path) -> Statement:
    """Return a statement of this project by its name, or that of a file.

    Raises:
        bench.statements.model.StatementErrors: there is none, or it has faults; each is told as file:line.
    """
    from bench.statements import loader

    return loader.load(name_or_file)


def describe(clause_id: str, statement: Statement | None = None) -> ClauseText | None:
    """Return title, section and words of a clause, default or erratum; None when nobody knows the id.

    Without `statement` the id's prefix names one of this project; a vendor's own statement is given as `statement`.
    """
    from bench.statements.words import explain

    if statement is None:
        prefix = clause_id.partition("-")[0]
        name = next((name for name, known in BUNDLED.items() if known == prefix), None)
        if name is None:
            return None
        statement = load(name)
    return explain(clause_id, statement)
