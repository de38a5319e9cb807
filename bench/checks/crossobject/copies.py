"""What was copied from the worklist item into the step and into the objects, literally (IHE RAD Appendix A).

Rules of this file:

* An object is right when it agrees with the latest version of the item that was known when its exam began, or
  with one that came until it was sent; each attribute by itself.
* What the item leaves empty the operator may have filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from bench.checks.crossobject.story import Indexed, Item, Made, Step, find_items, story, versions
from bench.checks.crossobject.text import codes, same, sound, value
from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.iod.tables import label, tag_text

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet
    from bench.witness.model import Message

PATIENT: Final = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
ORDER_IDS: Final = ("ScheduledProcedureStepID", "RequestedProcedureID")
REQUEST_IDS: Final = ("AccessionNumber", "StudyInstanceUID")
ORDER_WORDS: Final = ("RequestedProcedureDescription", "ScheduledProcedureStepDescription")
IN_STEP: Final = frozenset(
    {"ScheduledProcedureStepID", "ScheduledProcedureStepDescription", "ScheduledProtocolCodeSequence"}
)
"""Attributes that stand in the item's Scheduled Procedure Step Sequence."""


class Ledger:
    """Attributes of messages that were already told to be wrong, so that they are told once; and the findings."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._told: set[tuple[int, int, str]] = set()

    def tell(self, message: Message, keyword: str) -> None:
        """Note that an attribute of a message differs from its source."""
        self._told.add((message.association, message.number, keyword))

    def told(self, keyword: str, *messages: Message) -> bool:
        """Whether an attribute of one of the messages was told."""
        return any((m.association, m.number, keyword) in self._told for m in messages)


def ledger(case: Case) -> Ledger:
    """What the comparison with the worklist has told; made by running it."""
    return case.once(_ledger)


def _ledger(case: Case) -> Ledger:
    found = Ledger()
    found.findings.extend(_compare_all(case, found))
    return found


@check(*(f"STD-X-0{number}" for number in (10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25)))
def copied_from_worklist(case: Case) -> Iterator[Finding]:
    """Steps and objects against their worklist items."""
    yield from ledger(case).findings


def _compare_all(case: Case, told: Ledger) -> Iterator[Finding]:
    tale = story(case)
    for step in tale.steps.values():
        yield from step_against_items(case, step, tale.indexed, told)
    for made in tale.objects:
        if made.versions:
            yield from object_against_item(case, made, told)


def source(item: Item, keyword: str) -> str | None:
    """The item's value of an attribute, wherever it stands; None when it was not given or not decoded."""
    return value(item.step if keyword in IN_STEP else item.dataset, keyword)


def compare(
    case: Case,
    told: Ledger,
    rule: str,
    message: Message,
    dataset: DataSet,
    keyword: str,
    items: Sequence[Item],
    *,
    path: tuple[str, ...] = (),
    must: bool = True,
) -> Iterator[Finding]:
    """Compare one attribute with the versions of an item; with ``must`` an empty copy is wrong too."""
    wanted = [text for item in items if (text := source(item, keyword)) and sound(keyword, text)]
    state = dataset.state(keyword)
    if not wanted or (state == "absent" and path and not must):
        return
    got = value(dataset, keyword)
    where = case.at(message, dataset.get(keyword) or tag_text(keyword))
    name = label(*path, keyword)
    if got is None and state != "absent":
        return  # not decoded: told by STD-CS
    if any(got and same(keyword, got, text) for text in wanted):
        yield passed(rule, f"{name} is that of the worklist item", where)
    elif state == "empty" and keyword == "StudyInstanceUID":
        return  # told by STD-IOD-001
    elif got or (must and state == "empty"):
        told.tell(message, keyword)
        yield failed(
            rule,
            f"{name} is {got!r}; the worklist item says {wanted[-1]!r}",
            where,
            case.at(items[-1].message, tag_text(keyword)),
        )
    elif state == "empty":
        yield remark(rule, f"{name} is empty; the worklist item says {wanted[-1]!r}", where)


def step_against_items(case: Case, step: Step, indexed: Indexed, told: Ledger) -> Iterator[Finding]:
    """An N-CREATE against the worklist item (or items) that it was made from."""
    message, dataset = step.created, step.dataset
    if message is None or dataset is None:
        return
    patient = dataset.text("PatientID") or ""
    used: list[Item] = []
    for scheduled in step.scheduled:
        step_id = scheduled.text("ScheduledProcedureStepID") or ""
        accession = scheduled.text("AccessionNumber") or ""
        study = scheduled.text("StudyInstanceUID") or ""
        if not step_id and study not in indexed[0]:
            continue  # an exam that was not scheduled
        found = versions(find_items(study, step_id, accession, patient, indexed), step.began, step.began)
        if not found:
            continue
        used.extend(found)
        inside = ("ScheduledStepAttributesSequence",)
        for rule, keyword, must in (
            ("STD-X-011", "StudyInstanceUID", True),
            ("STD-X-012", "AccessionNumber", True),
            ("STD-X-013", "ScheduledProcedureStepID", True),
            ("STD-X-013", "RequestedProcedureID", True),
            ("STD-X-014", "RequestedProcedureDescription", True),
            ("STD-X-014", "ScheduledProcedureStepDescription", True),
        ):
            yield from compare(case, told, rule, message, scheduled, keyword, found, path=inside, must=must)
        yield from _codes(
            case, "STD-X-014", message, scheduled, "ScheduledProtocolCodeSequence", found, inside
        )
        yield from _referenced_study(case, "STD-X-015", message, scheduled, found, inside)
    if used:
        for keyword in PATIENT:
            yield from compare(case, told, "STD-X-010", message, dataset, keyword, used)


def object_against_item(case: Case, made: Made, told: Ledger) -> Iterator[Finding]:
    """An object against the worklist item of its exam."""
    dataset, message, items = made.dataset, made.message, made.versions
    for keyword in PATIENT:
        yield from compare(case, told, "STD-X-020", message, dataset, keyword, items)
    yield from compare(case, told, "STD-X-021", message, dataset, "StudyInstanceUID", items)
    yield from compare(case, told, "STD-X-022", message, dataset, "AccessionNumber", items)
    yield from compare(case, told, "STD-X-025", message, dataset, "ReferringPhysicianName", items, must=False)
    inside = ("RequestAttributesSequence",)
    for request in dataset.items("RequestAttributesSequence"):
        own = [item for item in items if item.step_id == request.text("ScheduledProcedureStepID")]
        if not own and len(dataset.items("RequestAttributesSequence")) > 1:
            continue  # a group case: which of the items is meant is not known
        for keyword in ORDER_IDS:
            yield from compare(case, told, "STD-X-023", message, request, keyword, own or items, path=inside)
        for keyword in (*REQUEST_IDS, *ORDER_WORDS):
            yield from compare(
                case, told, "STD-X-023", message, request, keyword, own or items, path=inside, must=False
            )
        for keyword in ("ScheduledProtocolCodeSequence", "RequestedProcedureCodeSequence"):
            yield from _codes(case, "STD-X-024", message, request, keyword, own or items, inside)
    yield from _referenced_requests(case, made, told)
    if dataset.state("ReferencedStudySequence") == "value":
        yield from _referenced_study(case, "STD-X-025", message, dataset, items, ())


def _referenced_requests(case: Case, made: Made, told: Ledger) -> Iterator[Finding]:
    """The requests that a report says it fulfils (PS3.3 C.17.2, SR Document General)."""
    inside = ("ReferencedRequestSequence",)
    requests = made.dataset.items("ReferencedRequestSequence")
    for request in requests:
        study = request.text("StudyInstanceUID")
        own = [item for item in made.versions if item.study == study]
        if not own and len(requests) > 1:
            continue  # which of the items is meant is not known
        items = own or made.versions
        for keyword in (*REQUEST_IDS, "RequestedProcedureID", "RequestedProcedureDescription"):
            yield from compare(
                case, told, "STD-X-023", made.message, request, keyword, items, path=inside, must=False
            )
        keyword = "RequestedProcedureCodeSequence"
        yield from _codes(case, "STD-X-024", made.message, request, keyword, items, inside)


def _codes(
    case: Case,
    rule: str,
    message: Message,
    dataset: DataSet,
    keyword: str,
    items: Sequence[Item],
    path: tuple[str, ...],
) -> Iterator[Finding]:
    wanted = [
        found
        for item in items
        if (found := codes(item.step if keyword in IN_STEP else item.dataset, keyword))
    ]
    got = codes(dataset, keyword)
    if not wanted or not got:
        return
    where = case.at(message, dataset.get(keyword) or tag_text(keyword))
    if any(set(got) <= set(found) for found in wanted):
        yield passed(rule, f"{label(*path, keyword)} is that of the worklist item", where)
    else:
        reason = f"{label(*path, keyword)} is {_said(got)}; the worklist item says {_said(wanted[-1])}"
        yield failed(rule, reason, where)


def _said(found: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"({code}, {scheme})" for code, scheme in found)


def _referenced_study(
    case: Case, rule: str, message: Message, dataset: DataSet, items: Sequence[Item], path: tuple[str, ...]
) -> Iterator[Finding]:
    keyword = "ReferencedStudySequence"
    got = {item.text("ReferencedSOPInstanceUID") or "" for item in dataset.items(keyword)} - {""}
    wanted = [
        {one.text("ReferencedSOPInstanceUID") or "" for one in item.dataset.items(keyword)} - {""}
        for item in items
    ]
    if not got:
        return
    where = case.at(message, dataset.get(keyword) or tag_text(keyword))
    allowed = [found or {item.study} for found, item in zip(wanted, items, strict=True)]
    if any(got <= found | {item.study} for found, item in zip(allowed, items, strict=True)):
        yield passed(rule, f"{label(*path, keyword)} is that of the worklist item", where)
    else:
        names, says = ", ".join(sorted(got)), ", ".join(sorted(allowed[-1]))
        reason = f"{label(*path, keyword)} names {names}; the worklist item says {says}"
        yield failed(rule, reason, where)
