"""Conformance statements as data.  For now: the ids of all their clauses."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files


@cache
def clause_ids() -> frozenset[str]:
    """Return the permanent ids of every clause (``VX-…``, ``MX-…``) and default (``VX-D-…``, ``MX-D-…``)."""
    return frozenset(json.loads((files(__package__) / "ids.json").read_text(encoding="utf-8")))
