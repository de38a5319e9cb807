"""The dose report against the images and the step of its study (rulings E12; IHE RAD REM).

Rules of this file:

* An event belongs to an image by the reference (113795), else by the Irradiation Event UID in the image, else
  because there is one of each.
* Quantities are compared in one unit, within the rounding of what is written: the images' whole numbers are
  coarse.
* An exposure whose image was rejected is in the report and nowhere else: that is right.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bench.checks.crossobject.copies import ledger
from bench.checks.crossobject.story import MPPS, Made, Story, story
from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.iod.tables import label
from bench.checks.iod.technique import PLAUSIBLE, deviation_fits
from bench.checks.sr.numbers import PLAUSIBLE as RANGES
from bench.checks.sr.numbers import grain, quantity
from bench.checks.sr.tree import Node, tree

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.resultmodel import Evidence
    from bench.witness.dataset import DataSet

INDICES: Final = (
    ("113845", "ExposureIndex"),
    ("113846", "TargetExposureIndex"),
    ("113847", "DeviationIndex"),
)
# concept -> attributes of the image with the factor to the report's base unit, finest first
TECHNIQUE: Final = (
    ("113733", (("KVP", 1.0),), 1.0),
    ("113734", (("XRayTubeCurrentInuA", 1e-3), ("XRayTubeCurrentInmA", 1.0), ("XRayTubeCurrent", 1.0)), 1.0),
    ("113824", (("ExposureTimeInuS", 1e-3), ("ExposureTimeInms", 1.0), ("ExposureTime", 1.0)), 1.0),
    ("113736", (("ExposureInuAs", 1.0), ("ExposureInmAs", 1e3), ("Exposure", 1e3)), 1.0),
)
AREA: Final = ("122130", (("ImageAndFluoroscopyAreaDoseProduct", 1e-5),), 1e-9)
COARSE: Final = frozenset({"XRayTubeCurrent", "ExposureTime", "Exposure", "ExposureInuAs"})
"""Attributes of VR IS: whole numbers."""

APART: Final = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An irradiation event with the image that it belongs to."""

    report: Made
    event: Node
    image: Made


@check(*(f"STD-X-0{number}" for number in (42, 43, 44, 45, 46, 47, 48)))
def dose_report(case: Case) -> Iterator[Finding]:
    """Every dose report."""
    tale = story(case)
    covered = _covered(tale)
    images: dict[str, list[Made]] = defaultdict(list)
    for made in tale.images():
        images[made.dataset.text("StudyInstanceUID") or ""].append(made)
    for made in tale.reports():
        root = tree(made.dataset)
        events = root.all("113706")
        study = made.dataset.text("StudyInstanceUID") or ""
        own = images.get(study, []) if study else []
        pairs = list(_pairs(tale, made, events, own))
        yield from _references(case, tale, made, events, own, pairs, covered)
        for pair in pairs:
            yield from _event_uid(case, pair)
            yield from _numbers(case, pair)
            yield from _time(case, pair)
        yield from _step(case, tale, made)


def _covered(tale: Story) -> set[str]:
    """Images that some report names: a study may have several reports."""
    return {
        uid
        for made in tale.reports()
        for event in tree(made.dataset).all("113706")
        for _, uid in _images_of(event)
    }


def _at(case: Case, made: Made, node: Node, keyword: str = "ConceptNameCodeSequence") -> Evidence:
    element = node.dataset.get(keyword) or next(iter(node.dataset.elements), None)
    return case.at(made.message, element, note=f"content item {node.place}")


def _images_of(event: Node) -> list[tuple[str, str]]:
    return [reference for node in event.all("113795") for reference in node.references]


def _uid_of(event: Node) -> str:
    node = event.child("113769")
    return (node.dataset.text("UID") or "") if node is not None else ""


def _pairs(tale: Story, report: Made, events: list[Node], own: list[Made]) -> Iterator[Pair]:
    by_event = {uid: made for made in own for uid in made.dataset.texts("IrradiationEventUID")}
    taken: set[int] = set()
    for event in events:
        named = [tale.by_uid[uid] for _, uid in _images_of(event) if uid in tale.by_uid]
        if not named and _uid_of(event) in by_event:
            named = [by_event[_uid_of(event)]]
        for image in named:
            taken.add(id(image))
            yield Pair(report, event, image)
    if len(events) == 1 and len(own) == 1 and not taken:
        yield Pair(report, events[0], own[0])


def _references(
    case: Case,
    tale: Story,
    report: Made,
    events: list[Node],
    own: list[Made],
    pairs: list[Pair],
    covered: set[str],
) -> Iterator[Finding]:
    paired = {id(pair.image) for pair in pairs}
    uncovered = [
        made
        for made in own
        if id(made) not in paired
        and made.uid not in covered
        and made.message.first_time < report.message.first_time
    ]
    dangling = 0
    by_uid = {id(pair.event) for pair in pairs}
    for event in events:
        for klass, uid in _images_of(event):
            where = next(_at(case, report, node, "ReferencedSOPSequence") for node in event.all("113795"))
            image = tale.by_uid.get(uid)
            if image is None:
                dangling += 1
                if uncovered or id(event) in by_uid or (len(events) == 1 and own):
                    yield failed(
                        "STD-X-042", f"the report names the image {uid}, which was never sent", where
                    )
                else:
                    yield remark(
                        "STD-X-042", f"the report names the image {uid}, which was not sent: rejected?", where
                    )
            elif klass and klass != image.sop_class:
                yield failed(
                    "STD-X-042",
                    f"the report names {uid} with SOP Class {klass}; it is {image.sop_class}",
                    where,
                )
            elif _other_study(case, image, report):
                yield failed(
                    "STD-X-042", f"the report names the image {uid}, which is one of another study", where
                )
            else:
                yield passed("STD-X-042", "the report names images that were sent", where)
    if not events or not pairs or dangling:
        return
    for made in uncovered:
        reason = f"image {made.uid} was made in this study, and no irradiation event of the report names it"
        yield failed("STD-X-047", reason, case.at(made.message), case.at(report.message))
    if not uncovered:
        yield passed("STD-X-047", "every image of the study has its event", case.at(report.message))


def _other_study(case: Case, image: Made, report: Made) -> bool:
    one, other = image.dataset.text("StudyInstanceUID"), report.dataset.text("StudyInstanceUID")
    told = ledger(case).told("StudyInstanceUID", image.message, report.message)
    return bool(one and other) and one != other and not told


def _event_uid(case: Case, pair: Pair) -> Iterator[Finding]:
    said = pair.image.dataset.texts("IrradiationEventUID")
    uid = _uid_of(pair.event)
    if not said or not uid:
        return
    where = (
        case.at(pair.image.message, pair.image.dataset.get("IrradiationEventUID")),
        _at(case, pair.report, pair.event),
    )
    if uid in said:
        yield passed("STD-X-043", "the image names its irradiation event", *where)
    else:
        reason = f"{label('IrradiationEventUID')} of the image is {said[0]}, its event is {uid}"
        yield failed("STD-X-043", reason, *where)


def _numbers(case: Case, pair: Pair) -> Iterator[Finding]:
    dataset = pair.image.dataset
    for concept, keyword in INDICES:
        node = pair.event.child(concept)
        value = dataset.number(keyword)
        if node is None or node.number_value is None or value is None:
            continue
        if not _possible(keyword, float(value)) or (keyword == "DeviationIndex" and _contradicted(pair)):
            continue  # wrong by itself, and told so
        slack = grain(node) + _grain(dataset, keyword) + 0.001 * abs(value)
        yield _compared(case, "STD-X-044", pair, node, keyword, float(value), node.number_value, slack)
    for rule, concept, attributes, floor in (
        *(("STD-X-045", *row) for row in TECHNIQUE),
        ("STD-X-046", *AREA),
    ):
        node = pair.event.child(concept)
        said = quantity(node)
        name, own, own_grain = _own(dataset, attributes)
        if node is None or said is None or name is None or own is None:
            continue
        low, high, _unit = RANGES.get(concept, (float("-inf"), float("inf"), ""))
        if not low <= said <= high or not _possible(name, float(dataset.number(name) or 0)):
            continue  # wrong by itself, and told so
        slack = grain(node) + own_grain + 0.01 * abs(own) + (floor if rule == "STD-X-046" else 0.0)
        yield _compared(case, rule, pair, node, name, own, said, slack)


def _time(case: Case, pair: Pair) -> Iterator[Finding]:
    """The event began when the image was made.  Clocks of console and generator may differ by minutes."""
    node, dataset = pair.event.child("111526"), pair.image.dataset
    text = (node.dataset.text("DateTime") or "") if node is not None else ""
    began = seconds(text)
    made = seconds((dataset.text("AcquisitionDate") or "") + (dataset.text("AcquisitionTime") or ""))
    if node is None or began is None or made is None:
        return
    where = (
        case.at(pair.image.message, dataset.get("AcquisitionTime")),
        _at(case, pair.report, node, "DateTime"),
    )
    if abs(began - made) <= APART:
        yield passed("STD-X-045", "the event began when the image was made", *where)
    else:
        acquired = f"{dataset.text('AcquisitionDate')} {dataset.text('AcquisitionTime')}"
        yield failed("STD-X-045", f"the event began at {text}; its image was acquired at {acquired}", *where)


def seconds(text: str) -> float | None:
    """A moment written to the minute at least, without a time zone, as seconds on a clock of its own; else None."""
    if not re.fullmatch(r"\d{12}(\d\d(\.\d{1,6})?)?", text):
        return None
    try:
        return datetime.strptime(text[:12], "%Y%m%d%H%M").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _possible(keyword: str, value: float) -> bool:
    """Whether a device can have this value (else STD-IOD-033 tells it)."""
    low, high, _unit = PLAUSIBLE.get(keyword, (float("-inf"), float("inf"), ""))
    return low <= value <= high


def _contradicted(pair: Pair) -> bool:
    """Whether the Deviation Index of the image or of the event is not that of its own indices."""
    in_image = [pair.image.dataset.number(keyword) for _, keyword in INDICES]
    nodes = [pair.event.child(concept) for concept, _ in INDICES]
    in_event = [node.number_value if node is not None else None for node in nodes]
    for ei, target, di in (in_image, in_event):
        if ei is None or target is None or di is None or ei <= 0 or target <= 0:
            continue
        if not deviation_fits(float(ei), float(target), float(di), 1):
            return True
    return False


def _own(
    dataset: DataSet, attributes: tuple[tuple[str, float], ...]
) -> tuple[str | None, float | None, float]:
    """The finest attribute that the image has, its value in the report's base unit, and half of its last digit."""
    for keyword, factor in attributes:
        value = dataset.number(keyword)
        if value is not None:
            grain_ = _grain(dataset, keyword) * factor * (2 if keyword in COARSE else 1)
            return keyword, float(value) * factor, grain_
    return None, None, 0.0


def _grain(dataset: DataSet, keyword: str) -> float:
    text = (dataset.text(keyword) or "").lower()
    mantissa, _, exponent = text.partition("e")
    try:
        return float(0.5 * 10 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))
    except ValueError:
        return 0.0


def _compared(
    case: Case, rule: str, pair: Pair, node: Node, keyword: str, own: float, said: float, slack: float
) -> Finding:
    where = (
        case.at(pair.image.message, pair.image.dataset.get(keyword)),
        _at(case, pair.report, node, "MeasuredValueSequence"),
    )
    if abs(own - said) <= slack:
        return passed(rule, f"{label(keyword)} is the same in image and report", *where)
    unit = f" {node.unit.value}" if node.unit is not None and node.unit.value != "1" else ""
    written = node.number_value if node.number_value is not None else said
    image = pair.image.dataset.text(keyword)
    return failed(
        rule,
        f"{label(keyword)} is {image} in the image, the report says {node.name} {written:g}{unit}",
        *where,
    )


def _step(case: Case, tale: Story, report: Made) -> Iterator[Finding]:
    """The report's own reference to the step is judged with those of images (STD-X-033); here whether it has one."""
    study = report.dataset.text("StudyInstanceUID") or ""
    mine = [s for s in tale.steps_of.get(study, ()) if s.accepted and s.began < report.message.first_time]
    if not mine:
        return
    keyword = "ReferencedPerformedProcedureStepSequence"
    named = [item.text("ReferencedSOPInstanceUID") for item in report.dataset.items(keyword)]
    where = case.at(report.message, report.dataset.get(keyword))
    if any(step.uid in named for step in mine):
        yield passed("STD-X-048", "the report names the step", where)
    elif not named:
        yield remark(
            "STD-X-048",
            f"{label(keyword)} of the report is empty although the step {mine[0].uid} ({MPPS}) was made",
            where,
        )
