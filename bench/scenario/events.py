"""What the scenario language knows about journal events: kinds, their fields, and who says them."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from bench.kinds import KINDS

DATASET_FIELDS: Final = ("dataset", "identifier")
"""Fields that hold a data set (DICOM JSON model); ``dataset:`` of an expectation looks at the first one there."""

DIMSE_SOURCES: Final = frozenset({"wire", "ris", "pacs", "printer"})
"""Sources whose ``status`` is a DIMSE status; elsewhere it is the exit status of a process."""

UID_FIELDS: Final = frozenset({"sop_class", "sop_instance"})
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]*")


@cache
def fields_of(kind: str) -> frozenset[str] | None:
    """Return the fields of an event kind as :data:`bench.kinds.KINDS` lists them, or None when the list is open."""
    text = re.sub(r"\([^)]*\)", "", KINDS[kind])
    _, colon, tail = text.rpartition(": ")
    names = [part.strip() for part in tail.split(",")]
    if not colon or not all(_FIELD.fullmatch(name) for name in names):
        return None
    return frozenset(names)


@cache
def kinds_of(pattern: str) -> tuple[str, ...]:
    """Return the kinds that a kind or ``source.*`` names; empty when there are none."""
    if pattern.endswith(".*"):
        return tuple(kind for kind in KINDS if kind.startswith(pattern[:-1]))
    return (pattern,) if pattern in KINDS else ()


@cache
def fields_of_pattern(pattern: str) -> frozenset[str] | None:
    """Return the fields that any event of the pattern may have, or None when that is open."""
    out: frozenset[str] = frozenset()
    for kind in kinds_of(pattern):
        fields = fields_of(kind)
        if fields is None:
            return None
        out |= fields
    return out
