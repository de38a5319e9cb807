"""The templates of a dose report (``templates.yaml``): which rows, where, how often, of which type and unit.

Rules of this file:

* A report that claims another template than a known one is not judged by these rows.
* What a statement's own content row prints (a unit, a relationship) is the statement's deviation (ruling A2).
* Templates are extensible: an item that no row knows is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import yaml

from bench.checks.finding import Finding, check, deviates, failed, passed, remark
from bench.checks.iod.tables import label
from bench.checks.sr.reports import Report, reports
from bench.checks.sr.tree import SAME, Concept, Node

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.statements.model import Clause

ROOT: Final = "STD-SR-001"
MISSING: Final = "STD-SR-002"
CONDITION: Final = "STD-SR-003"
TOO_OFTEN: Final = "STD-SR-004"
TYPE: Final = "STD-SR-005"
RELATION: Final = "STD-SR-006"
PLACE: Final = "STD-SR-007"
UNIT: Final = "STD-SR-008"
VALUE: Final = "STD-SR-009"
MECHANICAL: Final = "STD-SR-019"
PARTS: Final = "STD-SR-020"
YES: Final = "373066001"
NO: Final = "373067005"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a template."""

    concept: str
    scheme: str
    meaning: str
    inside: tuple[str, ...]
    relationship: str
    value_types: tuple[str, ...]
    once: bool
    need: str
    when: str
    unit: str
    codes: frozenset[str]
    closed: bool

    @property
    def key(self) -> tuple[str, str]:
        """The concept's key."""
        return Concept(self.concept, self.scheme).key

    def __str__(self) -> str:
        return f"{self.meaning} ({self.concept}, {self.scheme})"


@cache
def table() -> Any:
    """Return the file."""
    return yaml.safe_load(resources.files(__package__).joinpath("templates.yaml").read_text(encoding="utf-8"))


@cache
def rows() -> tuple[Row, ...]:
    """Return every row."""
    return tuple(
        Row(
            row["concept"],
            row.get("scheme", "DCM"),
            row["meaning"],
            tuple(table()["root"]["concept"] if p == "root" else p for p in row["in"].split(" or ")),
            row["rel"],
            tuple(row["vt"].split(" or ")),
            row["vm"] == "1",
            row.get("need", "U"),
            row.get("when", ""),
            str(row.get("unit", "")),
            frozenset(SAME.get(str(c), str(c)) for c in row.get("codes", ())),
            bool(row.get("closed")),
        )
        for row in table()["rows"]
    )


@cache
def meanings() -> Mapping[str, str]:
    """Return the meanings of DCM codes that are known here."""
    own = {row.concept: row.meaning for row in rows() if row.scheme == "DCM"}
    return {**own, **table()["meanings"]}


@check(ROOT, MISSING, CONDITION, TOO_OFTEN, TYPE, RELATION, PLACE, UNIT, VALUE, MECHANICAL, PARTS)
def dose_templates(case: Case) -> Iterator[Finding]:
    """Every dose report."""
    for report in reports(case):
        if report.subject.sop_class not in table()["root"]["sop_classes"]:
            continue
        faults = list(_judge(report))
        yield from faults
        wrong = {fault.id for fault in faults if not fault.remark}
        for id in (
            ROOT,
            MISSING,
            CONDITION,
            TOO_OFTEN,
            TYPE,
            RELATION,
            PLACE,
            UNIT,
            VALUE,
            MECHANICAL,
            PARTS,
        ):
            if id not in wrong:
                yield passed(id, "the report follows its template", *report.at())


def _judge(report: Report) -> Iterator[Finding]:
    root, wanted = report.root, table()["root"]
    if root.value_type and root.value_type != "CONTAINER":
        yield failed(
            ROOT, f"the root is a {root.value_type}; a CONTAINER is wanted", *report.at(None, "ValueType")
        )
    template = root.dataset.first("ContentTemplateSequence")
    said = template.text("TemplateIdentifier") if template is not None else None
    if root.concept is not None and root.concept.key != (wanted["concept"], "DCM"):
        reason = f"the root is {root.concept}; ({wanted['concept']}, DCM) is wanted"
        yield failed(ROOT, reason, *report.at(None))
    if said is None:
        yield failed(
            ROOT,
            f"{label('ContentTemplateSequence')} names no template",
            *report.at(None, "ContentTemplateSequence"),
        )
    elif said != wanted["template"]:
        if said in ("10011", "10013", "10020", "10030", "10040"):
            yield remark(
                ROOT,
                f"the report follows TID {said}, which is not judged",
                *report.at(None, "ContentTemplateSequence"),
            )
            return
        yield failed(
            ROOT,
            f"the report names TID {said}; {wanted['template']} is wanted",
            *report.at(None, "ContentTemplateSequence"),
        )
    declared = _Declared(report)
    by_key: dict[tuple[str, str] | None, list[Node]] = {}
    for node in root.walk():
        by_key.setdefault(node.key, []).append(node)
    for row in rows():
        yield from _row(report, row, by_key, declared)
    yield from _parts(report, declared)


class _Declared:
    """What the statement's content rows print about a concept."""

    def __init__(self, report: Report) -> None:
        self._rows: dict[tuple[str, str], list[Clause]] = {}
        for section in report.case.statement.sections:
            for clause in section.clauses:
                content = clause.content
                if (
                    content is None
                    or content.concept is None
                    or report.subject.sop_class not in section.sop_classes
                ):
                    continue
                key = Concept(content.concept.value, content.concept.scheme).key
                self._rows.setdefault(key, []).append(clause)

    def unit(self, key: tuple[str, str], unit: str) -> str | None:
        """The clause that prints a unit for a concept."""
        return next(
            (
                c.id
                for c in self._rows.get(key, ())
                if c.content and c.content.unit and c.content.unit.value == unit
            ),
            None,
        )

    def relationship(self, key: tuple[str, str], relationship: str) -> str | None:
        """The clause that prints a relationship for a concept."""
        return next(
            (c.id for c in self._rows.get(key, ()) if c.content and c.content.relationship == relationship),
            None,
        )

    def has(self, key: tuple[str, str]) -> str | None:
        """The clause that prints a row for a concept."""
        return next((c.id for c in self._rows.get(key, ())), None)


def _containers(row: Row, by_key: Mapping[tuple[str, str] | None, list[Node]]) -> list[Node]:
    return [node for concept in row.inside for node in by_key.get((concept, "DCM"), [])]


def _row(
    report: Report, row: Row, by_key: Mapping[tuple[str, str] | None, list[Node]], declared: _Declared
) -> Iterator[Finding]:
    containers = _containers(row, by_key)
    everywhere = by_key.get(row.key, [])
    homes = {concept for other in rows() if other.key == row.key for concept in other.inside}
    stray = [
        n
        for n in everywhere
        if n.parent is not None and (n.parent.concept is None or n.parent.concept.value not in homes)
    ]
    for container in containers:
        here = [child for child in container.children if child.key == row.key]
        if not here:
            yield from _absent(report, row, container, stray)
            continue
        if row.once and len(here) > 1:
            yield failed(
                TOO_OFTEN,
                f"{row} is there {len(here)} times in {container.name}; once is wanted",
                *report.at(here[1]),
            )
        for node in here:
            yield from _node(report, row, node, declared)
    if row is next(other for other in rows() if other.key == row.key):
        for node in stray:
            parent = node.parent
            if parent is not None and not _extension(parent, by_key):
                yield failed(PLACE, f"{row} stands in {parent.name}", *report.at(node))


def _extension(parent: Node, by_key: Mapping[tuple[str, str] | None, list[Node]]) -> bool:
    """Whether an item stands in a container of somebody's own, which templates allow."""
    known = {row.key for row in rows()} | {(table()["root"]["concept"], "DCM")}
    return parent.key not in known


def _absent(report: Report, row: Row, container: Node, stray: list[Node]) -> Iterator[Finding]:
    if stray:
        return  # it stands in a wrong place, and is told there
    if row.need == "M":
        yield failed(
            MISSING, f"{row} is missing in {container.name} ({container.place})", *report.at(container)
        )
    elif row.need == "MC" and _holds(report, row, container):
        yield failed(
            CONDITION,
            f"{row} is missing in {container.name} ({container.place}), with {row.when}",
            *report.at(container),
        )


def _holds(report: Report, row: Row, container: Node) -> bool:
    root = report.root
    if row.when == "device observer":
        kind = root.child("121005")
        return kind is not None and kind.code is not None and kind.code.value == "121007"
    if row.when == "source data available":
        return _flag(root, "113943") == YES
    return False


def _flag(root: Node, concept: str) -> str | None:
    node = root.child(concept)
    return node.code.key[0] if node is not None and node.code is not None else None


def _node(report: Report, row: Row, node: Node, declared: _Declared) -> Iterator[Finding]:
    if node.value_type and node.value_type not in row.value_types:
        yield failed(
            TYPE,
            f"{row} is a {node.value_type}; {' or '.join(row.value_types)} is wanted",
            *report.at(node, "ValueType"),
        )
        return
    if node.relationship and node.relationship != row.relationship:
        reason = f"{row} hangs by {node.relationship}; {row.relationship} is wanted"
        clause = declared.relationship(row.key, node.relationship)
        if clause:
            yield deviates(RELATION, f"{reason}; declared by {clause}", *report.at(node, "RelationshipType"))
        else:
            yield failed(RELATION, reason, *report.at(node, "RelationshipType"))
    if row.unit and node.unit is not None and node.unit.value and not same_unit(node.unit.value, row.unit):
        reason = f"the unit of {row} is {node.unit}; {row.unit} is wanted"
        clause = declared.unit(row.key, node.unit.value)
        if clause:
            yield deviates(UNIT, f"{reason}; declared by {clause}", *report.at(node, "MeasuredValueSequence"))
        else:
            yield failed(UNIT, reason, *report.at(node, "MeasuredValueSequence"))
    if row.codes and node.code is not None and node.code.value and node.code.key[0] not in row.codes:
        reason = f"{row} is {node.code}, which its context group does not have"
        if row.closed:
            yield failed(VALUE, reason, *report.at(node, "ConceptCodeSequence"))
        else:
            yield remark(VALUE, reason, *report.at(node, "ConceptCodeSequence"))


def same_unit(one: str, other: str) -> bool:
    """Whether two UCUM codes are one unit, with the usual ways of writing 'no unit'."""
    none = {"1", "{ratio}", "{no units}", "no units", "[arb'U]", "{index}"}
    return one == other or (one in none and other in none)


def _parts(report: Report, declared: _Declared) -> Iterator[Finding]:
    """The rows of detector, source and mechanical data against the flags that announce them."""
    events = report.root.all("113706")
    for name, part in table()["parts"].items():
        rule = MECHANICAL if name == "mechanical" else PARTS
        flag = _flag(report.root, part["flag"])
        if flag not in (YES, NO) or not events:
            continue
        for event in events:
            there = [
                child for child in event.children if child.key is not None and child.key[0] in part["rows"]
            ]
            if flag == NO and there:
                reason = f"the report says that no {name} data is available, the event has {there[0].name}"
                clause = declared.has(there[0].key or ("", "")) if name == "mechanical" else None
                if clause:
                    yield deviates(rule, f"{reason}; declared by {clause} (ruling E9)", *report.at(there[0]))
                else:
                    yield failed(rule, reason, *report.at(there[0]))
            elif flag == YES and not there:
                reason = f"the report says that {name} data is available, the event {event.place} has none"
                yield failed(rule, reason, *report.at(event))
