"""Mutants of VXvue's steps: what belongs on an association of its own is said on another one.

Rules of this file: the defect is cut into a tape of the laboratory (two exams of two patients), or into the proposal of
one association; what turns is declared from the words of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from simulators.wire import AssociateRequest, PresentationContextRQ
from tests.lab.conversation import Lab
from tests.mutants.model import Base, Edit, Mutant
from tests.mutants.tapes import joined

VERIFICATION: Final = "1.2.840.10008.1.1"
TOGETHER: Final = {
    # what may not share an association with that of another patient -> the row, and what else its text says
    "create": ("VX-MPPS-001", "VX-MPPS-004"),
    "print": ("VX-PRN-010",),
    "dose": ("VX-SR-005",),
}
"""Two N-CREATEs on one association: it is not released after the first (VX-MPPS-004, step 4)."""
OPENS: Final = {
    # step 1, "open an association proposing …": the abstract syntax in its place, and what turns
    "worklist": ("VX-MWL-001", "1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.1.2.2.1"),
    "create": ("VX-MPPS-001", "1.2.840.10008.3.1.2.3.3", VERIFICATION),
    "store": ("VX-STO-001", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.88.67"),
    "commit": ("VX-SC-001", "1.2.840.10008.1.20.1", VERIFICATION),
    "print": ("VX-PRN-001", "1.2.840.10008.5.1.1.9", VERIFICATION),
    "dose": ("VX-SR-001", "1.2.840.10008.5.1.4.1.1.88.67", "1.2.840.10008.5.1.4.1.1.1.1"),
}
NAMED: Final = {False: ("STD-DIMSE-030",), True: ("STD-DIMSE-030", "STD-DIMSE-031")}
"""A request names a class that its context is not for; on one for Verification it is no request of it either."""


def mutants(base: Base, two: Base) -> Iterator[Mutant]:
    """Every mutant of the steps, on an exam and on two exams."""
    for service, rows in TOGETHER.items():
        first, second = [n for n, each in enumerate(two.services) if each == service][:2]
        made = two.with_tape(joined(two.tape, first, second))
        yield Mutant(f"{rows[0]} two on one association", made, rows[0], frozenset(rows))
    for service, (row, abstract, other) in OPENS.items():
        number = base.services.index(service) + 1
        turns = frozenset({row, *NAMED[other == VERIFICATION], *("STD-SVC-501",) * (service == "print")})
        yield Mutant(f"{row} another proposal", base, row, turns, _proposes(number, abstract, other))


def _proposes(number: int, abstract: str, other: str) -> Edit:
    """One abstract syntax of one request becomes another."""
    seen = [0]

    def edit(request: AssociateRequest) -> AssociateRequest:
        seen[0] += 1
        if seen[0] != number:
            return request
        items = tuple(
            replace(item, abstract_syntax=other)
            if isinstance(item, PresentationContextRQ) and item.abstract_syntax == abstract
            else item
            for item in request.items
        )
        if items == request.items:
            raise ValueError(f"{abstract} is not proposed")
        return replace(request, items=items)

    def install(lab: Lab) -> None:
        lab.edit_request(edit)

    return install
