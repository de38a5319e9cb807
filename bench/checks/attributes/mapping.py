"""Where a worklist value goes: the rows of a query that promise it (``maps_to``) against the images that were made.

Rules of this file:

* The items are what the SUT got in answers before the image was sent; a query answered again with other values
  leaves the choice to the product: any of them is right.
* An image belongs to an item by its Study Instance UID, and by the step's ID where the image names one; for the row
  of the Study Instance UID itself by the step's ID and the Patient ID.
* An item without a value gives nothing to take over.  Modality is not compared: a step of another modality may be
  performed (ruling D3).
* A text that cannot be decoded on either side is nobody's fault here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench.checks.attributes.where import WORKLIST, tag_number
from bench.checks.case import Case, Stored, pending
from bench.checks.finding import Finding, failed, passed
from bench.statements.model import AttributeRule, Clause
from bench.witness.dataset import DataSet, Element
from bench.witness.values import fault

_TARGET: Final = re.compile(r"\([0-9A-Fa-f]{4},[0-9A-Fa-f]{4}\)")
_STUDY: Final = 0x0020000D
_MODALITY: Final = 0x00080060
_REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."


@dataclass(frozen=True, slots=True)
class Item:
    """A worklist item that the SUT was given, with the time of the answer."""

    time: float
    dataset: DataSet

    @property
    def step(self) -> DataSet:
        """The scheduled procedure step; an empty data set when the item has none."""
        return self.dataset.first("ScheduledProcedureStepSequence") or DataSet()


def judge(case: Case, clause: Clause) -> Iterator[Finding]:
    """Judge whether the value of a key went where the statement says, for every image of a scheduled step."""
    rule = clause.attribute
    target = _TARGET.search(rule.maps_to) if rule is not None else None
    if rule is None or target is None or tag_number(target[0]) == _MODALITY:
        return
    for stored in case.objects:
        if stored.dataset is None or not stored.message.complete or stored.sop_class.startswith(_REPORTS):
            continue
        finding = _image(case, clause, rule, stored, stored.dataset, tag_number(target[0]))
        if finding is not None:
            yield finding


def _image(
    case: Case, clause: Clause, rule: AttributeRule, stored: Stored, image: DataSet, target: int
) -> Finding | None:
    if image.state(target) != "value" and (target == _STUDY or _own_row_fails(case, stored, image, target)):
        return None
    items = _items_of(case, stored, image, of_study=target == _STUDY)
    given = [text for item in items if (text := _value(_owner(item, rule), tag_number(rule.tag)))]
    if not given or len(given) < len(items):
        return None
    element, taken = image.get(target), _value(image, target)
    at = case.at(stored.message, element if element is not None else _TARGET.findall(rule.maps_to)[0])
    kind = rule.vrs[0]
    if any("\ufffd" in text for text in (*given, taken)) or _malformed(element, kind):
        return None
    if any(fault(kind, text) is not None for text in given):
        return None  # what the worklist gave cannot be taken over
    name = rule.maps_to.split(" (")[0]
    if any(_plain(text, kind) == _plain(taken, kind) for text in given):
        return passed(clause.id, f"{name} of the image is {taken!r}, as the worklist gave it", at)
    wanted = " or ".join(repr(text) for text in dict.fromkeys(given))
    state = repr(taken) if taken else "empty" if element is not None else "absent"
    return failed(
        clause.id, f"{name} of the image is {state}; the worklist gave {wanted} in {rule.dotted}", at
    )


def _malformed(element: Element | None, kind: str) -> bool:
    """Whether what the image holds is no value of its kind at all: then that is its fault, and not the way it went."""
    if element is None or element.empty:
        return False
    text = (element.value or b"").decode("latin-1").strip(" \0")
    return (element.explicit and element.vr not in (kind, "UN")) or fault(kind, text) is not None


def _own_row_fails(case: Case, stored: Stored, image: DataSet, target: int) -> bool:
    """Whether a row of the image's own table is broken already by what is missing: one fault, one name."""
    worst = "12" if not image.has(target) else "1"
    rules = (
        clause.attribute
        for section in case.statement.sections
        if section.dataset == "object" and stored.sop_class in section.sop_classes
        for clause in section.clauses
    )
    return any(
        r is not None and not r.path and tag_number(r.tag) == target and (r.types.promised or "-") in worst
        for r in rules
    )


def _items_of(case: Case, stored: Stored, image: DataSet, *, of_study: bool) -> list[Item]:
    table = case.once(_table)
    study = image.text("StudyInstanceUID") or ""
    steps = {
        step
        for request in image.items("RequestAttributesSequence")
        if (step := request.text("ScheduledProcedureStepID"))
    }
    patient = image.text("PatientID") or ""
    if of_study:
        found = [
            i
            for step in steps
            for i in table.get(("step", step), ())
            if i.dataset.text("PatientID") == patient
        ]
    else:
        found = list(table.get(("study", study), ()))
        found = [i for i in found if i.step.text("ScheduledProcedureStepID") in steps] if steps else found
    return [item for item in found if item.time <= stored.message.first_time]


def _table(case: Case) -> Mapping[tuple[str, str], list[Item]]:
    """All worklist items that the SUT was given, by study and by step; the same answer again counts once."""
    rules = [
        clause.attribute
        for section in case.statement.sections
        if section.dataset == "worklist-query"
        for clause in section.clauses
        if clause.attribute is not None and clause.attribute.maps_to
    ]
    found: dict[tuple[str, str], list[Item]] = {}
    seen: set[tuple[str, ...]] = set()
    for request in case.requests("C-FIND-RQ", WORKLIST):
        for response in case.exchange(request).responses:
            if response.dataset is None or not response.complete or not pending(response.command.status):
                continue
            item = Item(response.first_time, response.dataset)
            study = response.dataset.text("StudyInstanceUID") or ""
            step = item.step.text("ScheduledProcedureStepID") or ""
            values = (_value(_owner(item, rule), tag_number(rule.tag)) for rule in rules)
            mark = (study, step, response.dataset.text("PatientID") or "", *values)
            if mark not in seen:
                seen.add(mark)
                found.setdefault(("study", study), []).append(item)
                found.setdefault(("step", step), []).append(item)
    return found


def _owner(item: Item, rule: AttributeRule) -> DataSet:
    owner = item.dataset
    for keyword in rule.path_keywords:
        owner = owner.first(keyword) or DataSet()
    return owner


def _value(dataset: DataSet, tag: int) -> str:
    return dataset.text(tag) or ""


def _plain(text: str, kind: str) -> str:
    """Return what two equal values have in common: times to the second's last digit, names without empty ends."""
    if kind == "TM":
        digits, _, fraction = text.replace(":", "").partition(".")
        return f"{digits:0<6}.{fraction.rstrip('0')}"
    if kind == "DA":
        return text.replace(".", "")
    if kind == "PN":
        return "=".join(group.rstrip("^ ") for group in text.split("=")).rstrip("=")
    return text
