"""Attributes of types 1, 2, 1C and 2C (PS3.5 7.4) in the modules of an object's IOD.

Rules of this file:

* The modules of the IOD that are mandatory are demanded; another module once the object has an attribute that
  only that module brings.
* An attribute has the strictest of the types that the modules of its IOD give it.
* Pixel Data, references between documents and lossy flags have rules of their own and are left to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, deviates, failed, inconclusive, passed
from bench.checks.iod.borrowed import borrowed
from bench.checks.iod.predicates import predicate
from bench.checks.iod.subjects import Subject, subjects, unreadable
from bench.checks.iod.tables import Attribute, label, tag_text

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet

TYPE_1: Final = "STD-IOD-001"
TYPE_2: Final = "STD-IOD-002"
TYPE_1C: Final = "STD-IOD-003"
TYPE_2C: Final = "STD-IOD-004"
NOT_ALLOWED: Final = "STD-IOD-005"
ITEMS: Final = "STD-IOD-007"

ELSEWHERE: Final = frozenset(
    {
        "PixelData",
        "PlanarConfiguration",
        "LossyImageCompression",
        "LossyImageCompressionRatio",
        "FrameIncrementPointer",
        "Modality",
        "PresentationIntentType",
        "SpecificCharacterSet",
    }
)
"""Attributes whose absence has a rule of its own, in classes where their table has them conditional."""
CONDITIONAL_ELSEWHERE: Final = ("1C", "2C")
SINGLE: Final = frozenset(
    {
        "AnatomicRegionSequence",
        "ViewCodeSequence",
        "PatientOrientationCodeSequence",
        "PatientGantryRelationshipCodeSequence",
        "ConceptNameCodeSequence",
        "ContentTemplateSequence",
        "PatientSpeciesCodeSequence",
    }
)
"""Sequences with a single item (PS3.3: "Only a single Item shall be included")."""
OVERLAYS: Final = frozenset({"overlay-plane", "multi-frame-overlay"})


@check(TYPE_1, TYPE_2, TYPE_1C, TYPE_2C, NOT_ALLOWED, ITEMS)
def attributes_by_type(case: Case) -> Iterator[Finding]:
    """Every object against the module tables of its IOD."""
    for subject in subjects(case):
        yield from judge(subject)
    for stored in unreadable(case):
        where = case.at(stored.message, offset=stored.dataset.broken_at if stored.dataset else None)
        for id in (TYPE_1, TYPE_2):
            yield inconclusive(
                id, "the data set cannot be read to its end, so what it lacks is not known", where
            )


def judge(subject: Subject) -> Iterator[Finding]:
    """Judge one object: what is wrong, and one PASS for each rule that it kept."""
    iod = subject.iod
    if iod is None:
        return
    faults: list[Finding] = []
    seen: set[str] = set()
    dataset = subject.dataset
    demanded: list[Mapping[str, Attribute]] = [iod.mandatory]
    present = {element.keyword for element in dataset.elements}
    for name, attributes in iod.optional.items():
        if name not in OVERLAYS and not present.isdisjoint(iod.marks[name]):
            demanded.append({k: a for k, a in attributes.items() if k not in iod.mandatory})
    for attributes in demanded:
        faults.extend(_level(subject, dataset, attributes, (), seen))
    yield from faults
    wrong = {fault.id for fault in faults}
    for id in sorted(seen - wrong):
        yield passed(id, f"the {iod.name} object has what its modules ask for", *subject.at())


def _level(
    subject: Subject,
    dataset: DataSet,
    attributes: Mapping[str, Attribute],
    path: tuple[str, ...],
    seen: set[str],
) -> Iterator[Finding]:
    present = {element.keyword for element in dataset.elements}
    for keyword, attribute in attributes.items():
        if attribute.type == "3" and keyword not in present:
            continue
        here = (*path, keyword)
        yield from _one(subject, dataset, attribute, here, seen)
        if keyword not in present:
            continue
        items = dataset.items(keyword) if attribute.items or attribute.code or keyword in SINGLE else ()
        if keyword in SINGLE and items:
            seen.add(ITEMS)
            if len(items) > 1:
                reason = f"{label(*here)} has {len(items)} items; a single one is allowed"
                yield failed(ITEMS, reason, *subject.at(keyword, owner=dataset))
        for item in items:
            if attribute.code:
                yield from _code(subject, item, here, seen)
            yield from _level(subject, item, attribute.items, here, seen)


def _one(
    subject: Subject, dataset: DataSet, attribute: Attribute, path: tuple[str, ...], seen: set[str]
) -> Iterator[Finding]:
    keyword, kind = attribute.keyword, attribute.type
    if kind == "3" or (keyword in ELSEWHERE and kind in CONDITIONAL_ELSEWHERE):
        return
    state = dataset.state(keyword)
    if kind in ("1", "2"):
        seen.add(TYPE_1 if kind == "1" else TYPE_2)
        if state == "absent" or (state == "empty" and kind == "1"):
            yield _lack(
                subject, TYPE_1 if kind == "1" else TYPE_2, state, dataset, path, f"type {kind}", kind
            )
        return
    rule = TYPE_1C if kind == "1C" else TYPE_2C
    if state == "empty" and kind == "1C":
        yield _lack(subject, rule, state, dataset, path, "type 1C", kind)
        return
    if attribute.condition is None:
        return
    holds = predicate(attribute.condition.when)(dataset, subject.case.config)
    if holds is None:
        return
    if holds and state == "absent":
        yield _lack(
            subject, rule, state, dataset, path, f"type {kind}, when {attribute.condition.when}", kind
        )
    elif not holds and state == "value" and attribute.condition.absent_otherwise:
        reason = f"{label(*path)} is there although its condition ({attribute.condition.when}) is false"
        yield failed(NOT_ALLOWED, reason, *subject.at(keyword, owner=dataset))
    elif holds:
        seen.add(rule)


def _lack(
    subject: Subject,
    rule: str,
    state: str,
    dataset: DataSet,
    path: tuple[str, ...],
    wanted: str,
    kind: str = "1",
) -> Finding:
    what = "is missing" if state == "absent" else "is empty"
    reason = f"{label(*path)} {what}; {wanted} in the {subject.iod.name if subject.iod else 'object'} IOD"
    where = subject.at(path[-1], owner=dataset)
    declared = subject.declared.allows(state, kind, *path)
    if declared is not None:
        return deviates(rule, f"{reason}; declared by {declared}", *where)
    return failed(rule, reason, *where)


def _code(subject: Subject, item: DataSet, path: tuple[str, ...], seen: set[str]) -> Iterator[Finding]:
    seen.add(TYPE_1)
    if item.text("CodeValue") and item.text("CodeValue") in borrowed(subject.case).bare_codes:
        return  # copied as the worklist gave it
    values = ("CodeValue", "LongCodeValue", "URNCodeValue")
    if not any(item.state(keyword) == "value" for keyword in values):
        yield _lack(
            subject, TYPE_1, item.state("CodeValue"), item, (*path, "CodeValue"), "a coded entry needs it"
        )
    if item.state("CodingSchemeDesignator") != "value" and item.state("URNCodeValue") != "value":
        state = item.state("CodingSchemeDesignator")
        yield _lack(subject, TYPE_1, state, item, (*path, "CodingSchemeDesignator"), "a coded entry needs it")
    if item.state("CodeMeaning") != "value":
        yield _lack(subject, TYPE_1, item.state("CodeMeaning"), item, (*path, "CodeMeaning"), "type 1")


__all__ = ["attributes_by_type", "judge", "tag_text"]
