"""Performed procedure steps and images: who they are about, what the step names, in which order things happened.

Rules of this file:

* An image belongs to the step that it names, else to the only step that it can belong to; without one there is
  nothing to say.
* What the final N-SET names may still be on its way: an image that it names and that was never sent is a fault
  only when others of that step were sent and nothing was refused or lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.crossobject.copies import PATIENT, ledger
from bench.checks.crossobject.story import MPPS, Made, Step, Story, recorded, story
from bench.checks.crossobject.text import codes, same, value
from bench.checks.finding import (
    Finding,
    check,
    deviates,
    failed,
    inconclusive,
    not_applicable,
    passed,
    remark,
)
from bench.checks.iod.declared import Declared
from bench.checks.iod.tables import iod, label, tag_text
from bench.checks.iod.times import moment

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet
    from bench.witness.model import Message

STEP_REFERENCE: Final = "ReferencedPerformedProcedureStepSequence"
SERIES: Final = "PerformedSeriesSequence"


@check("STD-X-001", "STD-X-002", "STD-X-003")
def order_of_work(case: Case) -> Iterator[Finding]:
    """Worklist before N-CREATE before the first image (ruling D5)."""
    tale = story(case)
    by_study = {item.study: item for item in reversed(tale.items)}
    for step in tale.steps.values():
        if step.created is None:
            continue
        for study in step.studies:
            item = by_study.get(study)
            if item is not None and item.time <= step.began:
                yield passed(
                    "STD-X-001",
                    "the worklist item came before the step was created",
                    case.at(item.message),
                    case.at(step.created),
                )
    for made in tale.images():
        named = made.step
        if named is None or named.created is None:
            continue
        where = (case.at(named.created), case.at(made.message))
        if named.began > made.message.first_time and _unreachable(case, made.message.first_time):
            reason = "the step could not be created before: its peer refused, failed or did not answer"
            yield not_applicable("STD-X-002", reason, *where)
        elif named.began > made.message.first_time:
            yield failed(
                "STD-X-002", f"image {made.uid} was sent before its step {named.uid} was created", *where
            )
        else:
            yield passed("STD-X-002", "the step was created before its images were sent", *where)
        final = named.first_final
        if final is not None:
            if made.message.first_time > final.first_time:
                yield remark(
                    "STD-X-003", f"image {made.uid} was sent after its step had ended", case.at(made.message)
                )
            else:
                yield passed(
                    "STD-X-003",
                    "the image was sent before its step ended",
                    case.at(made.message),
                    case.at(final),
                )


def _unreachable(case: Case, before: float) -> bool:
    """Whether an attempt to reach the peer of the steps had failed before a moment (ruling B3)."""
    for association in case.outgoing:
        asks = any(context.abstract == MPPS for context in association.contexts.values())
        if asks and association.first_time < before:
            taken = any(c.abstract == MPPS and c.accepted for c in association.contexts.values())
            if not association.accepted or not taken or association.end not in ("released", "open"):
                return True
    for request in case.requests("N-CREATE-RQ"):
        if request.first_time < before and not case.exchange(request).succeeded:
            return True
    return any(
        stream.what in ("refused", "unanswered", "empty") and stream.first_time < before
        for stream in case.capture.streams
    )


@check("STD-X-030", "STD-X-031", "STD-X-032", "STD-X-036", "STD-X-038")
def images_agree_with_steps(case: Case) -> Iterator[Finding]:
    """Images (and reports) against the N-CREATE and the N-SET of their step."""
    tale, told = story(case), ledger(case)
    for made in tale.objects:
        step = made.step
        if step is None or step.dataset is None or step.created is None:
            continue
        created = step.created

        def pair(
            rule: str, keyword: str, dataset: DataSet, message: Message, made: Made = made
        ) -> Iterator[Finding]:
            one, other = value(made.dataset, keyword), value(dataset, keyword)
            if not one or not other:
                return
            where = (case.at(made.message, made.dataset.get(keyword)), case.at(message, tag_text(keyword)))
            if same(keyword, one, other):
                yield passed(rule, f"{label(keyword)} agrees with the step", *where)
            elif not told.told(keyword, made.message, message):
                yield failed(rule, f"{label(keyword)} is {one!r}, the step says {other!r}", *where)

        for keyword in PATIENT:
            yield from pair("STD-X-030", keyword, step.dataset, created)
        yield from _study(case, made, step)
        for keyword in (
            "PerformedProcedureStepID",
            "PerformedProcedureStepStartDate",
            "PerformedProcedureStepStartTime",
            "StudyID",
        ):
            yield from pair("STD-X-032", keyword, step.dataset, created)
        yield from _described(case, made, step)
        modality = value(step.dataset, "Modality")
        own = value(made.dataset, "Modality")
        if modality and own and not made.is_report:
            where = (
                case.at(made.message, made.dataset.get("Modality")),
                case.at(created, tag_text("Modality")),
            )
            if own == modality:
                yield passed("STD-X-038", f"Modality {own}", *where)
            elif _right_modality(made, own):
                yield failed(
                    "STD-X-038",
                    f"{label('Modality')} of the step is {modality!r}, of its image {own!r}",
                    *where,
                )
        yield from _series_words(case, made, step)


def _described(case: Case, made: Made, step: Step) -> Iterator[Finding]:
    """Performed Procedure Step Description: that of the N-CREATE or of an N-SET."""
    keyword = "PerformedProcedureStepDescription"
    own = value(made.dataset, keyword)
    sources = [m.dataset for m in (step.created, *step.sets) if m is not None and m.dataset is not None]
    said = [text for dataset in sources if (text := value(dataset, keyword))]
    if not own or not said or step.created is None:
        return
    where = (case.at(made.message, made.dataset.get(keyword)), case.at(step.created, tag_text(keyword)))
    if any(same(keyword, own, text) for text in said):
        yield passed("STD-X-032", f"{label(keyword)} agrees with the step", *where)
    else:
        yield failed("STD-X-032", f"{label(keyword)} is {own!r}, the step says {said[0]!r}", *where)


def _right_modality(made: Made, own: str) -> bool:
    """Whether the image's own Modality is one of its IOD; else the image is told to be wrong by STD-IOD-040."""
    from bench.checks.iod.terms import MODALITIES

    return own in MODALITIES.get(made.sop_class, (own,))


def _study(case: Case, made: Made, step: Step) -> Iterator[Finding]:
    told = ledger(case)
    created = step.created
    if created is None:
        return
    for keyword in ("StudyInstanceUID", "AccessionNumber"):
        own = value(made.dataset, keyword)
        wanted = [text for item in step.scheduled if (text := value(item, keyword))]
        if not own or not wanted:
            continue
        where = (case.at(made.message, made.dataset.get(keyword)), case.at(created, tag_text(keyword)))
        if any(same(keyword, own, text) for text in wanted):
            yield passed("STD-X-031", f"{label(keyword)} agrees with the step", *where)
        elif not told.told(keyword, made.message, created):
            yield failed("STD-X-031", f"{label(keyword)} is {own!r}, the step says {wanted[0]!r}", *where)


def _series_words(case: Case, made: Made, step: Step) -> Iterator[Finding]:
    final = step.final
    if final is None or final.dataset is None or made.is_report:
        return
    series = made.dataset.text("SeriesInstanceUID")
    for item in final.dataset.items(SERIES):
        if not series or item.text("SeriesInstanceUID") != series:
            continue
        for keyword in ("SeriesDescription", "ProtocolName", "PerformingPhysicianName", "OperatorsName"):
            one, other = value(made.dataset, keyword), value(item, keyword)
            if not one or not other or (keyword == "ProtocolName" and other.upper() == "UNKNOWN"):
                continue
            where = (case.at(made.message, made.dataset.get(keyword)), case.at(final, item.get(keyword)))
            if same(keyword, one, other):
                yield passed("STD-X-036", f"{label(keyword)} agrees with the step", *where)
            else:
                yield failed(
                    "STD-X-036", f"{label(keyword)} is {one!r} in the image, {other!r} in the step", *where
                )
    one_code, other_code = (
        codes(made.dataset, "PerformedProtocolCodeSequence"),
        codes(final.dataset, "PerformedProtocolCodeSequence"),
    )
    if one_code and other_code and not set(one_code) & set(other_code):
        reason = f"{label('PerformedProtocolCodeSequence')} names other codes in the image than in the step"
        yield failed(
            "STD-X-036", reason, case.at(made.message, made.dataset.get("PerformedProtocolCodeSequence"))
        )


@check("STD-X-033", "STD-IOD-042")
def images_name_their_step(case: Case) -> Iterator[Finding]:
    """Referenced Performed Procedure Step Sequence (rulings E2)."""
    tale = story(case)
    for made in tale.objects:
        yield from _names_step(case, tale, made)


def _names_step(case: Case, tale: Story, made: Made) -> Iterator[Finding]:
    dataset = made.dataset
    study = dataset.text("StudyInstanceUID") or ""
    mine = [
        step
        for step in tale.steps_of.get(study, ())
        if step.accepted and step.began < made.message.first_time
    ]
    where = (case.at(made.message, dataset.get(STEP_REFERENCE) or tag_text(STEP_REFERENCE)),)
    table = iod(made.sop_class)
    demanded = (
        table is not None
        and STEP_REFERENCE in table.mandatory
        and table.mandatory[STEP_REFERENCE].type == "1C"
    )
    references = dataset.items(STEP_REFERENCE)
    if not references:
        if mine and demanded and not made.is_report:
            reason = f"{label(STEP_REFERENCE)} is missing although the step {mine[0].uid} was created for this study"
            declared = Declared(case.statement, made.sop_class).allows("absent", "1C", STEP_REFERENCE)
            if declared and dataset.state(STEP_REFERENCE) == "absent":
                yield deviates("STD-IOD-042", f"{reason}; declared by {declared}", *where)
            else:
                yield failed("STD-IOD-042", reason, *where)
        return
    if demanded:
        yield passed("STD-IOD-042", "the image names its step", *where)
    for reference in references:
        uid = reference.text("ReferencedSOPInstanceUID") or ""
        klass = reference.text("ReferencedSOPClassUID") or ""
        step = tale.steps.get(uid)
        if step is not None and step.created is not None:
            if klass and klass != MPPS:
                yield failed("STD-X-033", f"the step {uid} is named with SOP Class {klass}", *where)
            elif not study or study in step.studies or not any(step.studies) or _explained(case, made, step):
                yield passed("STD-X-033", "the object names the step that was created for it", *where)
            else:
                yield failed(
                    "STD-X-033", f"the object names the step {uid}, which is one of another study", *where
                )
        elif step is None and mine and _of_one_of(made, mine):
            reason = (
                f"the object names the step {uid}; the one that was created for its study is {mine[-1].uid}"
            )
            yield failed("STD-X-033", reason, *where)


def _of_one_of(made: Made, mine: list[Step]) -> bool:
    """Whether nothing speaks against the object being of one of these steps: an older one may be sent again."""
    number = value(made.dataset, "PerformedProcedureStepID")
    return not number or any(
        value(step.dataset, "PerformedProcedureStepID") in (None, "", number) for step in mine
    )


def _explained(case: Case, made: Made, step: Step) -> bool:
    told = ledger(case)
    messages = [made.message] + ([step.created] if step.created is not None else [])
    return told.told("StudyInstanceUID", *messages) or _same_patient(made, step)


def _same_patient(made: Made, step: Step) -> bool:
    """The study differs, but all else says that it is this step: told by STD-X-031, not as a wrong reference."""
    one, other = (
        value(made.dataset, "PerformedProcedureStepID"),
        value(step.dataset, "PerformedProcedureStepID"),
    )
    return bool(one) and one == other


@check("STD-X-034", "STD-X-035", "STD-X-037")
def steps_name_their_images(case: Case) -> Iterator[Finding]:
    """Performed Series Sequence of every final N-SET."""
    tale = story(case)
    lost = _lost(case)
    for step in tale.steps.values():
        yield from _ends_after_beginning(case, step)
        final = step.final
        if final is None or final.dataset is None:
            continue
        yield from _performed_series(case, tale, step, final, lost)


def _lost(case: Case) -> bool:
    """Whether anything of storage was refused, cut off, or not captured: then an image may still be on its way."""
    if not recorded(case):
        return True
    storage = [
        a
        for a in case.outgoing
        if any(c.abstract.startswith("1.2.840.10008.5.1.4.1.1.") for c in a.contexts.values())
    ]
    return (
        any(not s.accepted for s in case.objects)
        or any(not a.whole or not a.accepted or a.end != "released" for a in storage)
        or any(stream.what in ("refused", "unanswered") for stream in case.capture.streams)
    )


def _performed_series(case: Case, tale: Story, step: Step, final: Message, lost: bool) -> Iterator[Finding]:
    dataset = final.dataset
    if dataset is None:
        return
    listed: dict[str, tuple[str, str]] = {}
    for series in dataset.items(SERIES):
        for keyword in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"):
            for reference in series.items(keyword):
                uid = reference.text("ReferencedSOPInstanceUID") or ""
                listed[uid] = (
                    reference.text("ReferencedSOPClassUID") or "",
                    series.text("SeriesInstanceUID") or "",
                )
    where = case.at(final, dataset.get(SERIES) or tag_text(SERIES))
    mine = tale.images_of.get(step.uid, [])
    wrong = False
    for made in mine:
        if made.uid in listed:
            yield from _as_listed(case, made, listed[made.uid], final)
            continue
        if not made.by_reference and made.message.first_time > final.first_time:
            continue
        if made.message.first_time > final.first_time and len(listed) == 0 and not mine[0].by_reference:
            continue
        wrong = True
        reason = f"image {made.uid} was stored for the step, but {label(SERIES)} does not name it"
        yield failed("STD-X-034", reason, where, case.at(made.message))
    sent = [uid for uid in listed if uid in tale.by_uid]
    tried = {stored.sop_instance for stored in case.objects}
    for uid in listed:
        if uid in tale.by_uid or uid in tried:
            other = tale.by_uid.get(uid)
            if other is not None and other.step is not None and other.step is not step and other.by_reference:
                wrong = True
                yield failed(
                    "STD-X-034", f"{label(SERIES)} names {uid}, an image of the step {other.step.uid}", where
                )
            continue
        wrong = True
        if (sent or mine) and not lost:
            yield failed(
                "STD-X-034", f"{label(SERIES)} names {uid or 'nothing'}, which was never sent", where
            )
        else:
            yield inconclusive(
                "STD-X-034", f"{label(SERIES)} names {uid}, which was not sent within the capture", where
            )
    if not wrong and (listed or mine):
        yield passed("STD-X-034", f"the step names the {len(listed)} object(s) of its exam", where)


def _as_listed(case: Case, made: Made, listed: tuple[str, str], final: Message) -> Iterator[Finding]:
    klass, series = listed
    own = made.dataset.text("SeriesInstanceUID") or ""
    where = (case.at(final, tag_text(SERIES)), case.at(made.message))
    if klass and klass != made.sop_class:
        yield failed(
            "STD-X-035",
            f"the step names image {made.uid} with SOP Class {klass}; it is {made.sop_class}",
            *where,
        )
    elif series and own and series != own:
        yield failed(
            "STD-X-035",
            f"the step names image {made.uid} under series {series}; it is of series {own}",
            *where,
        )
    else:
        yield passed("STD-X-035", "series and SOP Class are those of the image", *where)


def _ends_after_beginning(case: Case, step: Step) -> Iterator[Finding]:
    final, created = step.final, step.dataset
    if final is None or final.dataset is None or created is None:
        return
    start = moment(created, "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime")
    end = moment(final.dataset, "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")
    if start is None or end is None:
        return
    where = case.at(final, final.dataset.get("PerformedProcedureStepEndTime"))
    if start.after(end):
        yield failed("STD-X-037", f"the step ended at {end}, before it began at {start}", where)
    else:
        yield passed("STD-X-037", f"from {start} to {end}", where)
