"""One mutant for every row of the dose report's content tree that is exercised: its relationship, or its template gone.

Rules of this file: the defect is made in the first place of the tree where the row stands; what it turns is declared
from the statement: the row itself, and the standard's rules about relationships or missing rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from bench.resultmodel import ClauseResult
from bench.statements import load
from bench.statements.model import Clause, ContentRule
from tests.lab.conversation import Lab
from tests.lab.elements import DataSet
from tests.lab.recipes.defects import dataset
from tests.mutants.model import GREEN, Base, Mutant

REPORT: Final = "1.2.840.10008.5.1.4.1.1.88.67"
LEVEL_2: Final = {"VX-SR-T-002": ("STD-SR-006",), "VX-SR-T-005": ()}
"""Rows below a concept: INFERRED FROM a code is a relationship of the IOD; the standard has no row of T-005 there."""
CONTAINER: Final = {"10002": "113702", "10004": "113702", "10007": "113702"}
"""Where the rows of a template stand; the others of 10003 in 113706, the rest at the root."""
GONE: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]]] = {
    # INCLUDE row: the container, the concepts that go, and what turns
    "VX-SR-T-003": (
        (),
        ("121005", "121012", "121013", "121014", "121015", "121016"),
        frozenset({"VX-SR-T-003"}),
    ),
    "VX-SR-T-009": ((), ("113702",), frozenset({"VX-SR-T-009", "VX-SR-T-012", "STD-SR-002"})),
    "VX-SR-T-010": ((), ("113706",), frozenset({"VX-SR-T-010", "VX-SR-T-016", "STD-SR-002"})),
    "VX-SR-T-014": (("113702",), ("113727", "113729", "113855"), frozenset({"VX-SR-T-014"})),
    "VX-SR-T-015": (("113702",), ("113722", "113725", "113780"), frozenset({"VX-SR-T-015"})),
    "VX-SR-T-024": (
        ("113706",),
        ("113845", "113846", "113847", "113795"),
        frozenset({"VX-SR-T-024", "STD-SR-020", "STD-X-047"}),
    ),
    "VX-SR-T-049": (
        (),
        ("121012", "121013", "121014", "121015", "121016"),
        frozenset({"VX-SR-T-049", "STD-SR-003"}),
    ),
    "VX-SR-T-025": (
        ("113706",),
        ("113738", "113780", "113733", "113734", "113824", "113736", "111635"),
        frozenset({"VX-SR-T-025", "STD-SR-003", "STD-SR-020"}),
    ),
}


def mutants(base: Base, found: dict[str, ClauseResult], done: set[str]) -> Iterator[Mutant]:
    """One mutant for every content row that has none yet (``done`` grows)."""
    parent = ""
    for clause in load(base.statement).clauses:
        row = clause.content
        if row is None:
            continue
        if row.level == 1 and row.concept is not None:
            parent = row.concept.value
        if clause.id in done or found[clause.id].verdict not in GREEN:
            continue
        if clause.id in GONE:
            done.add(clause.id)
            place, codes, turns = GONE[clause.id]
            edit = _edit(lambda root, place=place, codes=codes: _drop(content(root, *place), codes))  # type: ignore[misc]
            yield Mutant(f"{clause.id} left out", base, clause.id, turns, edit)
        elif row.concept is not None:
            done.add(clause.id)
            turns = frozenset({clause.id, *LEVEL_2.get(clause.id, ("STD-SR-006", "STD-SR-013"))})
            yield Mutant(
                f"{clause.id} relationship", base, clause.id, turns, _edit(_wrong(clause, row, parent))
            )


def _edit(change: Callable[[DataSet], object]) -> Callable[[Lab], None]:
    return lambda lab: dataset(lab, "C-STORE-RQ", change, of=REPORT, nth=1)


def _place(row: ContentRule, parent: str) -> tuple[str, ...]:
    assert row.concept is not None
    code = row.concept.value
    if row.level == 2:
        return (parent, code)
    if row.level == 0:
        return (code,)
    if row.template.startswith("10003"):
        return ("113706", code)
    return (CONTAINER[row.template], code) if row.template in CONTAINER else (code,)


def _wrong(clause: Clause, row: ContentRule, parent: str) -> Callable[[DataSet], object]:
    path = _place(row, parent)
    return lambda root: content(root, *path).put("RelationshipType", "INFERRED FROM")


def _code(item: DataSet) -> str:
    """The code value of a content item's concept name; values of a recording are bytes."""
    if not item.get("ConceptNameCodeSequence"):
        return ""
    value = item.item("ConceptNameCodeSequence").get("CodeValue")
    return value.decode("ascii").strip() if isinstance(value, bytes) else str(value)


def content(root: DataSet, *codes: str) -> DataSet:
    """The content item with these concepts, from the root down; ``KeyError`` when there is none."""
    for code in codes:
        root = next((item for item in root.get("ContentSequence") or () if _code(item) == code), DataSet())
        if not root.elements:
            raise KeyError(code)
    return root


def _drop(root: DataSet, codes: tuple[str, ...]) -> None:
    kept = [item for item in root.get("ContentSequence") if _code(item) not in codes]
    root.put("ContentSequence", kept)
