"""A content tree as nodes (PS3.3 C.17.3): concept, value type, relationship, value, children.

Rules of this file:

* A tree deeper than :data:`DEEPEST` is cut there; nothing here recurses without bound.
* Codes of SNOMED RT and SNOMED CT that mean the same are one concept (:data:`SAME`), as are their scheme names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.witness.dataset import DataSet

DEEPEST: Final = 64
SNOMED: Final = frozenset({"SRT", "SCT", "SNM3", "99SDM", "SNM"})
SAME: Final = {
    "G-C0E8": "363703001",
    "R-408C3": "261004008",
    "R-0038D": "373066001",
    "R-00339": "373067005",
    "P5-0823F": "261004008",
}
"""SRT codes of the dose templates -> SCT."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A code as it stands in a data set."""

    value: str
    scheme: str
    meaning: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes two codes the same concept."""
        if self.scheme in SNOMED:
            return SAME.get(self.value, self.value), "SCT"
        return self.value, self.scheme

    def __str__(self) -> str:
        return f'({self.value}, {self.scheme}, "{self.meaning}")'


def concept_of(item: DataSet | None) -> Concept | None:
    """Read a coded entry; None without one."""
    if item is None:
        return None
    value = item.text("CodeValue") or item.text("LongCodeValue") or item.text("URNCodeValue") or ""
    return Concept(value, item.text("CodingSchemeDesignator") or "", item.text("CodeMeaning") or "")


@dataclass(slots=True, eq=False)
class Node:
    """A content item with those below it."""

    dataset: DataSet
    relationship: str
    value_type: str
    concept: Concept | None
    parent: Node | None = None
    number: int = 0
    children: list[Node] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str] | None:
        """The concept's key."""
        return self.concept.key if self.concept is not None else None

    @property
    def name(self) -> str:
        """The concept for people."""
        return (
            self.concept.meaning or self.concept.value if self.concept is not None else f"a {self.value_type}"
        )

    @property
    def place(self) -> str:
        """Where it stands: numbers from the root, as 1.2.3."""
        numbers = []
        node: Node | None = self
        while node is not None:
            numbers.append(str(node.number))
            node = node.parent
        return ".".join(reversed(numbers))

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in order."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def child(self, code: str, scheme: str = "DCM") -> Node | None:
        """The first child with a concept."""
        return next((c for c in self.children if c.key == Concept(code, scheme).key), None)

    def all(self, code: str, scheme: str = "DCM") -> list[Node]:
        """All children with a concept."""
        return [c for c in self.children if c.key == Concept(code, scheme).key]

    @property
    def code(self) -> Concept | None:
        """The value of a CODE."""
        return concept_of(self.dataset.first("ConceptCodeSequence"))

    @property
    def number_value(self) -> float | None:
        """The value of a NUM."""
        measured = self.dataset.first("MeasuredValueSequence")
        value = measured.number("NumericValue") if measured is not None else None
        return None if value is None else float(value)

    @property
    def unit(self) -> Concept | None:
        """The unit of a NUM."""
        measured = self.dataset.first("MeasuredValueSequence")
        return concept_of(measured.first("MeasurementUnitsCodeSequence")) if measured is not None else None

    @property
    def references(self) -> list[tuple[str, str]]:
        """(SOP class, instance) of an IMAGE, COMPOSITE or WAVEFORM."""
        return [
            (item.text("ReferencedSOPClassUID") or "", item.text("ReferencedSOPInstanceUID") or "")
            for item in self.dataset.items("ReferencedSOPSequence")
        ]


def tree(dataset: DataSet) -> Node:
    """Return the content tree whose root is the data set itself."""
    root = _node(dataset, None, 1)
    stack = [(root, 1)]
    while stack:
        node, depth = stack.pop()
        if depth >= DEEPEST:
            continue
        for number, item in enumerate(node.dataset.items("ContentSequence"), 1):
            child = _node(item, node, number)
            node.children.append(child)
            stack.append((child, depth + 1))
    return root


def _node(dataset: DataSet, parent: Node | None, number: int) -> Node:
    return Node(
        dataset,
        dataset.text("RelationshipType") or "",
        dataset.text("ValueType") or "",
        concept_of(dataset.first("ConceptNameCodeSequence")),
        parent,
        number,
    )
