"""The story of a capture: worklist items, performed procedure steps, images, reports, and what belongs to what.

Rules of this file:

* A worklist item belongs to an object by its Study Instance UID (with Scheduled Procedure Step ID where one
  study has several steps); else by Scheduled Procedure Step ID with Accession Number; else by Accession Number
  with Patient ID.
* A step belongs to an object by the reference in the object; else by Performed Procedure Step ID; else because
  it is the only step of the study that was begun before.
* An item may be answered several times: what an exam is compared with is the latest version before it began,
  and what came until it was sent; without a step nobody knows when it began, and every version until then
  counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from bench.checks.case import accomplished

if TYPE_CHECKING:
    from bench.checks.case import Case, Stored
    from bench.witness.dataset import DataSet
    from bench.witness.model import Message

WORKLIST: Final = "1.2.840.10008.5.1.4.31"
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
DOSE: Final = "1.2.840.10008.5.1.4.1.1.88.67"
Indexed: TypeAlias = (
    "tuple[dict[str, list[Item]], dict[tuple[str, str], list[Item]], dict[tuple[str, str], list[Item]]]"
)
FINAL: Final = ("COMPLETED", "DISCONTINUED")


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One version of a worklist item, as the SUT got it."""

    message: Message
    dataset: DataSet
    step: DataSet  # the item of Scheduled Procedure Step Sequence

    @property
    def time(self) -> float:
        """When it had come."""
        return self.message.last_time

    @property
    def study(self) -> str:
        """Study Instance UID."""
        return self.dataset.text("StudyInstanceUID") or ""

    @property
    def step_id(self) -> str:
        """Scheduled Procedure Step ID."""
        return self.step.text("ScheduledProcedureStepID") or ""

    @property
    def accession(self) -> str:
        """Accession Number."""
        return self.dataset.text("AccessionNumber") or ""

    @property
    def patient_id(self) -> str:
        """Patient ID."""
        return self.dataset.text("PatientID") or ""


@dataclass(slots=True, eq=False)
class Step:
    """A performed procedure step: its N-CREATE (None when it is not in the capture) and its N-SETs."""

    uid: str
    created: Message | None = None
    accepted: bool = False
    sets: list[Message] = field(default_factory=list)

    @property
    def dataset(self) -> DataSet | None:
        """What the N-CREATE said."""
        return self.created.dataset if self.created is not None else None

    @property
    def scheduled(self) -> tuple[DataSet, ...]:
        """Items of Scheduled Step Attributes Sequence."""
        return self.dataset.items("ScheduledStepAttributesSequence") if self.dataset is not None else ()

    @property
    def studies(self) -> tuple[str, ...]:
        """Study Instance UIDs that it says it belongs to."""
        return tuple(item.text("StudyInstanceUID") or "" for item in self.scheduled)

    @property
    def began(self) -> float:
        """When the N-CREATE was sent."""
        return self.created.first_time if self.created is not None else float("-inf")

    @property
    def final(self) -> Message | None:
        """The last N-SET with a final state."""
        return next((m for m in reversed(self.sets) if final_state(m)), None)

    @property
    def first_final(self) -> Message | None:
        """The first N-SET with a final state."""
        return next((m for m in self.sets if final_state(m)), None)


def final_state(message: Message) -> bool:
    """Whether an N-SET ends its step."""
    return message.dataset is not None and message.dataset.text("PerformedProcedureStepStatus") in FINAL


@dataclass(slots=True, eq=False)
class Made:
    """An object that the SUT sent, with all its tries, and what it belongs to."""

    stored: list[Stored]
    dataset: DataSet
    item: Item | None = None
    versions: tuple[Item, ...] = ()
    step: Step | None = None
    by_reference: bool = False

    @property
    def message(self) -> Message:
        """The first time it was sent."""
        return self.stored[0].message

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return self.stored[0].sop_instance or self.dataset.text("SOPInstanceUID") or ""

    @property
    def sop_class(self) -> str:
        """SOP Class UID."""
        return self.stored[0].sop_class or self.dataset.text("SOPClassUID") or ""

    @property
    def is_report(self) -> bool:
        """Whether it is a dose report."""
        return self.sop_class == DOSE

    @property
    def accepted(self) -> bool:
        """Whether somebody took it."""
        return any(stored.accepted for stored in self.stored)


@dataclass(slots=True, eq=False)
class Story:
    """All of it."""

    items: list[Item] = field(default_factory=list)
    steps: dict[str, Step] = field(default_factory=dict)
    objects: list[Made] = field(default_factory=list)
    by_uid: dict[str, Made] = field(default_factory=dict)
    indexed: Indexed = field(default_factory=lambda: ({}, {}, {}))
    steps_of: dict[str, list[Step]] = field(default_factory=dict)
    images_of: dict[str, list[Made]] = field(default_factory=dict)

    def images(self) -> Iterator[Made]:
        """Objects that are no reports."""
        return (made for made in self.objects if not made.is_report)

    def reports(self) -> Iterator[Made]:
        """Dose reports."""
        return (made for made in self.objects if made.is_report)


def recorded(case: Case) -> bool:
    """Whether all associations of the SUT were captured to their ends: only then does an absence prove something."""
    return all(a.whole and a.end != "open" for a in case.outgoing)


def story(case: Case) -> Story:
    """Return the story of a case, made once."""
    return case.once(_story)


def _story(case: Case) -> Story:
    found = Story()
    for query in case.requests("C-FIND-RQ"):
        if query.sop_class != WORKLIST:
            continue
        for answer in case.exchange(query).responses:
            dataset = answer.dataset
            if dataset is None or not answer.complete or dataset.broken_at is not None:
                continue
            step = dataset.first("ScheduledProcedureStepSequence")
            if step is not None:
                found.items.append(Item(answer, dataset, step))
    found.items.sort(key=lambda item: item.time)
    for message in case.requests():
        if message.sop_class != MPPS or message.dataset is None or not message.complete:
            continue
        if message.dataset.broken_at is not None:
            continue
        if message.name == "N-CREATE-RQ":
            _created(case, found, message)
        elif message.name == "N-SET-RQ" and message.sop_instance:
            found.steps.setdefault(message.sop_instance, Step(message.sop_instance)).sets.append(message)
    for stored in case.objects:
        dataset = stored.dataset
        if dataset is None or not stored.message.complete or dataset.broken_at is not None:
            continue
        made = Made([stored], dataset)
        known = found.by_uid.get(made.uid)
        if known is not None:
            known.stored.append(stored)
            continue
        found.by_uid[made.uid] = made
        found.objects.append(made)
    _link(found)
    return found


def _created(case: Case, found: Story, message: Message) -> None:
    exchange = case.exchange(message)
    final = exchange.final
    given = final.command.sop_instance if final is not None else None
    uid = message.sop_instance or given or f"unknown {message.association}.{message.number}"
    step = found.steps.setdefault(uid, Step(uid))
    if step.created is None or not step.accepted:
        step.created = message
        step.accepted = accomplished(exchange.status) or exchange.status == 0x0111


def _link(found: Story) -> None:
    found.indexed = index_items(found.items)
    steps_of: dict[str, list[Step]] = defaultdict(list)
    found.steps_of = steps_of
    by_pps: dict[str, list[Step]] = defaultdict(list)
    for step in found.steps.values():
        for study in dict.fromkeys(step.studies):
            if study:
                steps_of[study].append(step)
        number = step.dataset.text("PerformedProcedureStepID") if step.dataset is not None else None
        if number:
            by_pps[number].append(step)
    for made in found.objects:
        _step_of(found, made, steps_of, by_pps)
        _item_of(made, found.indexed)
        if made.step is not None and not made.is_report:
            found.images_of.setdefault(made.step.uid, []).append(made)


def _step_of(
    found: Story, made: Made, steps_of: dict[str, list[Step]], by_pps: dict[str, list[Step]]
) -> None:
    reference = made.dataset.first("ReferencedPerformedProcedureStepSequence")
    uid = reference.text("ReferencedSOPInstanceUID") if reference is not None else None
    if uid and uid in found.steps:
        made.step, made.by_reference = found.steps[uid], True
        return
    study = made.dataset.text("StudyInstanceUID") or ""
    number = made.dataset.text("PerformedProcedureStepID") or ""
    named = [step for step in by_pps.get(number, ()) if number]
    sent = made.message.first_time
    own = [step for step in steps_of.get(study, ()) if step.began <= sent]
    if len(named) == 1 and (not own or named[0] in own):
        made.step = named[0]
    elif len(own) == 1:
        made.step = own[0]


def _item_of(made: Made, indexed: Indexed) -> None:
    dataset, sent = made.dataset, made.message.first_time
    request = dataset.first("RequestAttributesSequence")
    step_id = (request.text("ScheduledProcedureStepID") or "") if request is not None else ""
    if not step_id and made.step is not None and len(made.step.scheduled) == 1:
        step_id = made.step.scheduled[0].text("ScheduledProcedureStepID") or ""
    scheduled = made.step.scheduled if made.step is not None else ()
    ordered = step_id or not scheduled or any(item.text("ScheduledProcedureStepID") for item in scheduled)
    if not ordered and (dataset.text("StudyInstanceUID") or "") not in indexed[0]:
        return  # the step says that it was not scheduled
    accession, patient = dataset.text("AccessionNumber") or "", dataset.text("PatientID") or ""
    began = made.step.began if made.step is not None and made.step.created is not None else float("-inf")
    made.versions = versions(
        find_items(dataset.text("StudyInstanceUID") or "", step_id, accession, patient, indexed),
        began,
        sent,
    )
    made.item = made.versions[-1] if made.versions else None


def find_items(study: str, step_id: str, accession: str, patient: str, indexed: Indexed) -> list[Item]:
    """Return all versions of the item that something belongs to; none when it is not clear."""
    by_study, by_ids, by_order = indexed
    found = by_study.get(study, []) if study else []
    if found:
        exact = [item for item in found if item.step_id == step_id]
        if exact:
            return exact
        return found if len({item.step_id for item in found}) == 1 else []
    found = by_ids.get((step_id, accession), []) or by_order.get((accession, patient), [])
    return found if len({item.study for item in found}) == 1 else []


def versions(found: list[Item], began: float, sent: float) -> tuple[Item, ...]:
    """Return the latest version before *began* and those until *sent*."""
    before = [item for item in found if item.time <= began]
    during = [item for item in found if began < item.time <= sent]
    return (*before[-1:], *during)


def index_items(items: list[Item]) -> Indexed:
    """Return items by study, by step id and accession, by accession and patient."""
    by_study: dict[str, list[Item]] = defaultdict(list)
    by_ids: dict[tuple[str, str], list[Item]] = defaultdict(list)
    by_order: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        if item.study:
            by_study[item.study].append(item)
        if item.step_id and item.accession:
            by_ids[item.step_id, item.accession].append(item)
        if item.accession and item.patient_id:
            by_order[item.accession, item.patient_id].append(item)
    return by_study, by_ids, by_order
