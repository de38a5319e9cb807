"""The structured reports of a case, each with its content tree, made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.checks.iod.subjects import Subject, subjects
from bench.checks.iod.tables import tag_text
from bench.checks.sr.tree import Node, tree

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.resultmodel import Evidence

SR_CLASSES = "1.2.840.10008.5.1.4.1.1.88."


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A structured report: the object and the root of its tree."""

    subject: Subject
    root: Node

    @property
    def case(self) -> Case:
        """The case it belongs to."""
        return self.subject.case

    def at(self, node: Node | None = None, keyword: str = "ConceptNameCodeSequence") -> tuple[Evidence, ...]:
        """Return where a content item stands (its concept name, or another attribute of it)."""
        dataset = self.root.dataset if node is None else node.dataset
        element = dataset.get(keyword) or next(iter(dataset.elements), None) or tag_text(keyword)
        note = None if node is None else f"content item {node.place}"
        return (self.case.at(self.subject.message, element, note=note),)

    def nodes(self, code: str, scheme: str = "DCM") -> list[Node]:
        """Every content item with a concept, anywhere."""
        return [node for node in self.root.walk() if node.key == (code, scheme)]


def reports(case: Case) -> tuple[Report, ...]:
    """Return every structured report that the SUT sent whole."""
    return case.once(_reports)


def _reports(case: Case) -> tuple[Report, ...]:
    return tuple(
        Report(subject, tree(subject.dataset))
        for subject in subjects(case)
        if subject.sop_class.startswith(SR_CLASSES)
    )
