"""The mutants of each product, what its bases exercise, and why a clause has none.

Rules of this file: a clause is exercised when a base shows it and the product keeps it; rules of the standard and
defaults are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab.make_captures import load as load_recipes
from tests.mutants import bases, moves, mx1, mx1_media, mx1_moves, order, rows, trees
from tests.mutants.model import GREEN, Found, Mutant, Subject

EXISTS: Final = (
    "it says that something is done: not doing it is NOT-EXERCISED, how it is done is judged by other rows"
)
OPTIONAL: Final = (
    "an attribute of the printer that need not be asked for (PS3.4 H.4.6: U): no request can break the row"
)
FURTHER: Final = "every further key of the module is allowed: no request can break the row"
SPEED: Final = "that it works at this speed: a product that does not says nothing, and nothing is exercised"


@dataclass
class Made:
    """The bases and mutants of one product; ``alarms``: every FAIL or ERROR on what nobody mutated."""

    subjects: list[Subject] = field(default_factory=list)
    exercised: dict[str, str] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    mutants: list[Mutant] = field(default_factory=list)

    def take(self, subject: Subject, folder: Path) -> Found:
        """Judge a base as it is, and note what it exercises."""
        found = subject.judged(folder)
        self.subjects.append(subject)
        for id, clause in found.items():
            if clause.verdict.value in ("FAIL", "ERROR"):
                self.alarms.append(f"{subject.name}: {id} {clause.verdict}: {clause.reason}")
            elif clause.verdict in GREEN and not id.startswith("STD-") and "-D-" not in id:
                self.exercised.setdefault(id, subject.name)
        return found


@dataclass(frozen=True)
class Product:
    """A product of the bench: where its run comes from, its mutants, and the least share of clauses with one.

    ``whole`` tells whether a run has all the cells that the mutants are made of.
    """

    name: str
    scenarios: str
    choice: str
    whole: Callable[[Path], bool]
    make: Callable[[Path, Path], Made]
    goal: float
    without: Mapping[str, str]


def vxvue(run: Path, folder: Path) -> Made:
    """Mutants of a VXvue: recordings of the reference product, and the laboratory's for what it does not have yet."""
    made, done = Made(), set[str]()
    laboratory = bases.laboratory(folder)
    for base in [*bases.recorded(run), *laboratory]:
        found = made.take(base, folder)
        made.mutants += rows.mutants(base, found, done)
        made.mutants += trees.mutants(base, found, done)
        made.mutants += moves.mutants(base, base.services)
    two = bases.two_exams(folder)
    made.take(two, folder)
    made.mutants += order.mutants(laboratory[0], two)
    made.mutants += _recipes("vxvue")
    return made


def sonimage(run: Path, folder: Path) -> Made:
    """Mutants of an MX1: recordings and media of the reference product."""
    made, done = Made(), set[str]()
    for base in mx1.recorded(run):
        found = made.take(base, folder)
        made.mutants += rows.mutants(base, found, done)
        made.mutants += mx1_moves.mutants(base, found, done)
    for base in mx1.speeds(run):
        made.take(base, folder)
    for disc in mx1_media.discs(run):
        made.mutants += mx1_media.mutants(disc, made.take(disc, folder))
    made.mutants += _recipes("mx1")
    return made


def _recipes(statement: str) -> Iterable[Mutant]:
    """The laboratory's single defects: each is a mutant of its own conversation."""
    return [
        Mutant(
            recipe.name,
            bases.of_recipe(recipe),
            recipe.fails[0],
            frozenset(recipe.fails),
            may=frozenset(recipe.may),
        )
        for recipe in load_recipes().values()
        if recipe.fails and recipe.statement == statement
    ]


PRODUCTS: Final = (
    Product(
        "vxvue",
        "scenarios/regression",
        " or ".join(bases.TAPES),
        bases.whole,
        vxvue,
        0.95,
        {
            "VX-COM-001": "a capture that is not DICOM over TCP/IP holds no association: nothing is left to judge",
            **dict.fromkeys((f"VX-GEN-{number:03}" for number in range(1, 9)), EXISTS),
            "VX-SR-T-026": "the report says that mechanical data is not available (VX-E-51): its rows may be absent",
            **dict.fromkeys((f"VX-PRN-PR-{number:03}" for number in range(1, 10)), OPTIONAL),
        },
    ),
    Product(
        "mx1",
        "scenarios/conformance/mx1",
        " or ".join(mx1.CELLS),
        mx1.whole,
        sonimage,
        0.93,
        {
            "MX-COM-001": "a capture that is not DICOM over TCP/IP holds no association: nothing is left to judge",
            **dict.fromkeys(("MX-COM-003", "MX-COM-004", "MX-COM-005"), SPEED),
            "MX-MWL-010": EXISTS,
            **dict.fromkeys((f"MX-MWL-RK-{number}" for number in (16, 25, 29, 32, 39, 46)), FURTHER),
            "MX-MWL-RK-38": "an optional key in Implicit VR whose backslash is text: whatever is sent is right",
        },
    ),
)
"""The goal of the MX1 is what its statement allows: 12 of its 198 exercised clauses cannot be broken at all (6.1 %)."""
