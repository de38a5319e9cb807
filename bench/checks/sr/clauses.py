"""The rows of a statement's content tree (clauses of kind ``content``) against the reports that the product sent.

Rules of this file:

* Only the statement's data says what is wanted: a third statement's rows are judged in the same way.
* A row stands in the container of its template: the nodes of the template's own container row, else those of
  the template that includes it; a row of level 2 stands below the row of level 1 before it.
* SRT and SCT codes of one concept are the same (erratum VX-E-49); another unit or relationship than the printed
  one passes where it is the standard's and an erratum names the row.
* Rows of parts that the report says are not available are not demanded (ruling E9).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, erratum, failed, not_applicable, passed
from bench.checks.sr.reports import Report, reports
from bench.checks.sr.templates import NO, rows, same_unit
from bench.checks.sr.templates import table as template_data
from bench.checks.sr.tree import Concept, Node
from bench.verdict import Verdict

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.statements.model import Clause, Code, ContentRule

DX: Final = ("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1")
COMPRESSION: Final = "111633"
_UID: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+$")


@dataclass(slots=True)
class _Plan:
    """The content rows of one section: by template, and who includes whom."""

    clauses: list[Clause] = field(default_factory=list)
    by_template: dict[str, list[Clause]] = field(default_factory=lambda: defaultdict(list))
    included_by: dict[str, str] = field(default_factory=dict)


def _content(clause: Clause) -> ContentRule:
    if clause.content is None:
        raise TypeError(f"{clause.id} is no row of a content tree")
    return clause.content


def _plans(case: Case) -> Mapping[str, _Plan]:
    """Return the plans by SOP class."""
    found: dict[str, _Plan] = defaultdict(_Plan)
    for section in case.statement.sections:
        for clause in section.clauses:
            if clause.content is None:
                continue
            for uid in section.sop_classes:
                plan = found[uid]
                plan.clauses.append(clause)
                plan.by_template[clause.content.template].append(clause)
                if clause.content.value_type == "INCLUDE":
                    plan.included_by.setdefault(_included(clause.content), clause.content.template)
    return found


def _included(rule: ContentRule) -> str:
    return rule.include.split(" ", 1)[0]


@check("VX-SR-T-*")
def content_rows(case: Case) -> Iterator[Finding]:
    """Every content row of the statement in every report of its SOP class.

    The ids are those of whatever statement is judged; a failure of the check itself is told on all of its rows
    here, since the decorator can only name those of the bundled one.
    """
    plans = case.once(_plans)
    for report in reports(case):
        plan = plans.get(report.subject.sop_class)
        if plan is None:
            continue
        try:
            yield from _Reading(report, plan).judge()
        except Exception as error:
            if case.statement.prefix == "VX":
                raise
            for clause in plan.clauses:
                reason = f"the check sr.clauses.content_rows failed: {type(error).__name__}: {error}"
                yield Finding(clause.id, Verdict.ERROR, reason)


class _Reading:
    """One report read by one plan."""

    def __init__(self, report: Report, plan: _Plan) -> None:
        self.report = report
        self.plan = plan
        self.found: dict[str, list[Node]] = {}
        self.keys: dict[tuple[str, str] | None, list[Node]] = defaultdict(list)
        for node in report.root.walk():
            self.keys[node.key].append(node)

    def judge(self) -> Iterator[Finding]:
        """Go through the rows in their order."""
        for index, clause in enumerate(self.plan.clauses):
            rule = _content(clause)
            if rule.value_type == "INCLUDE":
                yield self._include(clause, rule)
            elif rule.level == 0:
                yield from self._container_row(clause, rule)
            else:
                yield from self._row(clause, rule, index)

    def containers(self, template: str, depth: int = 0) -> list[Node]:
        """The nodes in which rows of level 1 of a template stand."""
        own = next((c for c in self.plan.by_template.get(template, ()) if _content(c).level == 0), None)
        if own is not None:
            concept = _content(own).concept
            return list(self.keys[_key(concept)]) if concept is not None else []
        outer = self.plan.included_by.get(template)
        if outer is None or depth > 8:
            return [self.report.root]
        return self.containers(outer, depth + 1)

    def _include(self, clause: Clause, rule: ContentRule) -> Finding:
        template = _included(rule)
        where = self.report.at()
        nodes = self._nodes_of(template)
        own = any(_content(c).level == 0 for c in self.plan.by_template.get(template, ()))
        if nodes:
            without = [] if own or self._not_available(template) else self._without(template)
            if without:
                text = f"no row of TID {rule.include} is in {without[0].name}"
                return failed(clause.id, text, *self.report.at(without[0]))
            if own and rule.vm == "1" and len(nodes) > 1:
                return failed(
                    clause.id,
                    f"TID {rule.include} is there {len(nodes)} times; once is wanted",
                    *self.report.at(nodes[1]),
                )
            return passed(clause.id, f"rows of TID {rule.include} are there", *self.report.at(nodes[0]))
        if self._not_available(template):
            return not_applicable(
                clause.id, f"the report says that the data of TID {rule.include} is not available", *where
            )
        if not self.containers(rule.template) or self._is_gone(rule.template):
            return not_applicable(clause.id, "what includes it is missing", *where)
        return failed(clause.id, f"no row of TID {rule.include} is in the report", *where)

    def _nodes_of(self, template: str, depth: int = 0) -> list[Node]:
        """Nodes of an included template: its containers, else any of its rows where they belong."""
        clauses = self.plan.by_template.get(template, ())
        own = next((c for c in clauses if _content(c).level == 0), None)
        if own is not None:
            return self.containers(template)
        keys = {_key(_content(c).concept) for c in clauses if _content(c).concept is not None}
        nodes = [child for box in self.containers(template) for child in box.children if child.key in keys]
        if not nodes and depth < 8:
            for clause in clauses:
                if _content(clause).value_type == "INCLUDE":
                    nodes += self._nodes_of(_included(_content(clause)), depth + 1)
        return nodes

    def _keys_of(self, template: str, depth: int = 0) -> frozenset[tuple[str, str] | None]:
        """Concepts of the rows that an included template brings, those of templates inside it too."""
        found: set[tuple[str, str] | None] = set()
        for clause in self.plan.by_template.get(template, ()):
            rule = _content(clause)
            if rule.value_type == "INCLUDE" and depth < 8:
                found |= self._keys_of(_included(rule), depth + 1)
            elif rule.concept is not None and rule.level == 1:
                found.add(_key(rule.concept))
        return frozenset(found)

    def _without(self, template: str) -> list[Node]:
        """Containers in which no row of an included template stands."""
        keys = self._keys_of(template)
        boxes = self.containers(template)
        return [box for box in boxes if not any(child.key in keys for child in box.children)]

    def _is_block(self, template: str) -> bool:
        """Whether a template is included and has no container of its own: a block of rows in somebody else's."""
        own = any(_content(c).level == 0 for c in self.plan.by_template.get(template, ()))
        return template in self.plan.included_by and not own

    def _is_gone(self, template: str) -> bool:
        """Whether a block of rows is nowhere in the report."""
        return self._is_block(template) and len(self._without(template)) == len(self.containers(template))

    def _not_available(self, template: str) -> bool:
        """Whether the report's flag says that this part of an event is not available."""
        concepts = [_content(clause).concept for clause in self.plan.by_template.get(template, ())]
        wanted = {concept.value for concept in concepts if concept is not None}
        for part in template_data()["parts"].values():
            if wanted & set(part["rows"]):
                flag = self.report.root.child(part["flag"])
                return flag is not None and flag.code is not None and flag.code.key[0] == NO
        return False

    def _container_row(self, clause: Clause, rule: ContentRule) -> Iterator[Finding]:
        nodes = self.containers(rule.template)
        if not nodes:
            yield failed(clause.id, f"{rule.concept} is not in the report", *self.report.at())
            return
        for node in nodes:
            yield self._node(clause, rule, node)

    def _row(self, clause: Clause, rule: ContentRule, index: int) -> Iterator[Finding]:
        if rule.concept is None:
            return
        key = _key(rule.concept)
        if rule.level >= 2:
            above = self.plan.clauses[index - 1]
            boxes = self.found.get(above.id, [])
            if not boxes:
                yield not_applicable(
                    clause.id, f"the row above it ({above.id}) is missing", *self.report.at()
                )
                return
        else:
            boxes = self.containers(rule.template)
            if not boxes:
                yield not_applicable(
                    clause.id, f"the container of TID {rule.template} is missing", *self.report.at()
                )
                return
        gone = self._without(rule.template) if rule.level == 1 and self._is_block(rule.template) else []
        matched: list[Node] = []
        for box in boxes:
            here = [child for child in box.children if child.key == key]
            matched += here
            if not here and box in gone:  # the row that includes the template says so, once
                text = f"no row of TID {rule.template} is in {box.name}"
                yield not_applicable(clause.id, text, *self.report.at(box))
                continue
            if not here:
                yield self._absent(clause, rule, box)
                continue
            if rule.vm == "1" and len(here) > 1:
                yield failed(
                    clause.id,
                    f"{rule.concept} is there {len(here)} times in {box.name}; once is wanted",
                    *self.report.at(here[1]),
                )
                continue
            for node in here:
                yield self._node(clause, rule, node)
        self.found[clause.id] = matched

    def _absent(self, clause: Clause, rule: ContentRule, box: Node) -> Finding:
        where = self.report.at(box)
        concept = rule.concept
        if concept is not None and concept.value == COMPRESSION:
            return not_applicable(
                clause.id, "compression thickness has no meaning in a DX exam (ruling E9)", *where
            )
        if self._not_available(rule.template):
            return not_applicable(clause.id, "the report says that this data is not available", *where)
        elsewhere = self.keys.get(_key(concept), []) if concept is not None else []
        if elsewhere and elsewhere[0].parent is not None:
            reason = f"{concept} stands in {elsewhere[0].parent.name}; {box.name} is its place"
        else:
            reason = f"{concept} is missing in {box.name} ({box.place})"
        return failed(clause.id, reason, *where)

    def _node(self, clause: Clause, rule: ContentRule, node: Node) -> Finding:
        """Judge one content item by its row."""
        report, notes = self.report, []
        if node.value_type != rule.value_type:
            return failed(
                clause.id,
                f"{rule.concept} is a {node.value_type or 'nothing'}; a {rule.value_type} is wanted",
                *report.at(node, "ValueType"),
            )
        if rule.relationship and node.relationship != rule.relationship:
            if clause.errata and node.relationship == _standard_relationship(node):
                notes.append(f"{node.relationship}, as the standard has it")
            else:
                return failed(
                    clause.id,
                    f"{rule.concept} hangs by {node.relationship or 'nothing'}; {rule.relationship} is wanted",
                    *report.at(node, "RelationshipType"),
                )
        if (
            rule.concept is not None
            and node.concept is not None
            and node.concept.scheme != rule.concept.scheme
        ):
            notes.append(f"its concept is {node.concept}")
        if rule.unit is not None:
            unit = node.unit
            if unit is None or (unit.value, unit.scheme) != (rule.unit.value, rule.unit.scheme):
                standard = _standard_unit(node)
                if (
                    unit is not None
                    and unit.scheme == rule.unit.scheme
                    and same_unit(unit.value, rule.unit.value)
                ):
                    pass
                elif unit is not None and clause.errata and standard and same_unit(unit.value, standard):
                    notes.append(f"its unit is {unit.value}, as the standard has it")
                else:
                    return failed(
                        clause.id,
                        f"the unit of {rule.concept} is {unit or 'missing'}; {rule.unit} is wanted",
                        *report.at(node, "MeasuredValueSequence"),
                    )
        if rule.codes:
            code = node.code
            if code is None or code.key not in {_key(one) for one in rule.codes}:
                wanted = " or ".join(str(one) for one in rule.codes)
                return failed(
                    clause.id,
                    f"{rule.concept} is {code or 'without a code'}; {wanted} is wanted",
                    *report.at(node, "ConceptCodeSequence"),
                )
            if (code.value, code.scheme) not in {(one.value, one.scheme) for one in rule.codes}:
                notes.append(f"its value is {code}")
        fault = self._words(rule, node)
        if fault:
            return failed(clause.id, fault, *report.at(node))
        if notes:
            return erratum(clause.id, f"{rule.concept}: {'; '.join(notes)}", *report.at(node))
        return passed(clause.id, f"{rule.concept} is there", *report.at(node))

    def _words(self, rule: ContentRule, node: Node) -> str | None:
        """What a row says only in words; the fault, or None."""
        dataset, concept = node.dataset, rule.concept
        if rule.value_type == "TEXT" and not dataset.text("TextValue"):
            return f"{concept} has no text"
        if rule.value_type == "UIDREF":
            uid = dataset.text("UID") or ""
            if not _UID.match(uid) or len(uid) > 64:
                return f"{concept} is {uid!r}, which is no UID"
            study = self.report.root.dataset.text("StudyInstanceUID")
            if "Study Instance UID" in rule.words and study and uid != study:
                return f"{concept} is {uid}; the report belongs to {study}"
            if "unique" in rule.words and sum(n.dataset.text("UID") == uid for n in self.keys[node.key]) > 1:
                return f"{concept} {uid} is that of two items"
        if rule.value_type == "DATETIME" and not re.match(r"\d{8}", dataset.text("DateTime") or ""):
            return f"{concept} is {dataset.text('DateTime')!r}, which is no date and time"
        if (
            rule.value_type == "NUM"
            and dataset.state("MeasuredValueSequence") == "value"
            and node.number_value is None
        ):
            return f"{concept} has no number"
        if concept is not None and concept.value == COMPRESSION and node.number_value:
            return f"{concept} is {node.number_value:g}; 0 or nothing is wanted in a DX exam (ruling E9)"
        if rule.value_type == "IMAGE" and "DX" in rule.words:
            wrong = [klass for klass, _ in node.references if klass not in DX]
            if wrong or not node.references:
                return f"{concept} refers to {wrong[0] if wrong else 'nothing'}; a DX image is wanted"
        if rule.value_type == "CODE" and not rule.codes:
            group = (
                "4010"
                if "projection" in rule.words.lower()
                else ("4031" if "body part" in rule.words.lower() else "")
            )
            code = node.code
            if code is None or not code.value:
                return f"{concept} has no code"
            if group and code.value not in _group(group):
                return f"{concept} is {code}, which is not in CID {group} (ruling E9)"
        return None


def _key(code: Code | None) -> tuple[str, str] | None:
    return None if code is None else Concept(code.value, code.scheme).key


def _standard_relationship(node: Node) -> str | None:
    return next((row.relationship for row in rows() if row.key == node.key), None)


def _standard_unit(node: Node) -> str | None:
    return next((row.unit for row in rows() if row.key == node.key and row.unit), None)


@cache
def _group(number: str) -> frozenset[str]:
    data = json.loads(resources.files(__package__).joinpath("contextgroups.json").read_text(encoding="utf-8"))
    return frozenset(data[number])
