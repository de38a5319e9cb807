"""Identifiers: one UID for one thing, one study for one patient, one series in one study.

Rules of this file:

* Objects that belong to a worklist item are compared with it (STD-X-020 and so on) and only what is not told
  there is told here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.crossobject.copies import ledger
from bench.checks.crossobject.story import Made, story
from bench.checks.crossobject.text import same, value
from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case, Stored
    from bench.witness.dataset import DataSet, Element

CONTENT: Final = "STD-X-070"
PATIENT: Final = "STD-X-071"
SERIES: Final = "STD-X-072"
SHARED: Final = "STD-X-073"
TWO_STEPS: Final = "STD-X-074"
OF_SYNTAX: Final = frozenset(
    {
        "PlanarConfiguration",
        "PhotometricInterpretation",
        "LossyImageCompression",
        "LossyImageCompressionRatio",
        "LossyImageCompressionMethod",
        "DerivationDescription",
        "DerivationCodeSequence",
        "PixelData",
        "SpecificCharacterSet",
        "SmallestImagePixelValue",
        "LargestImagePixelValue",
    }
)
"""Attributes that may differ between two encodings of one object."""

OF_SERIES: Final = (
    "StudyInstanceUID",
    "Modality",
    "SeriesNumber",
    "Laterality",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
)
"""What the objects of a series share: the series itself and the equipment that made it (PS3.3 A.1.2.3)."""


@check(CONTENT)
def one_uid_one_content(case: Case) -> Iterator[Finding]:
    """Every try to send an instance sends the same instance."""
    for made in story(case).objects:
        for again in made.stored[1:]:
            where = (case.at(made.message, "(0008,0018)"), case.at(again.message, "(0008,0018)"))
            differ = list(differences(made.stored[0], again))
            if differ:
                shown = ", ".join(differ[:5]) + (" and more" if len(differ) > 5 else "")
                yield failed(CONTENT, f"{made.uid} was sent twice with different content: {shown}", *where)
            else:
                yield passed(
                    CONTENT, f"{made.uid} was sent {len(made.stored)} times and is the same each time", *where
                )


def differences(one: Stored, other: Stored) -> Iterator[str]:
    """Attributes in which two sendings of one instance differ."""
    a, b = one.dataset, other.dataset
    if a is None or b is None:
        return
    recoded = one.message.transfer_syntax != other.message.transfer_syntax
    mine, theirs = dict(_values(a, recoded)), dict(_values(b, recoded))
    for path in sorted(mine.keys() | theirs.keys()):
        if mine.get(path) != theirs.get(path):
            yield path
    if not recoded and a.pixels is not None and b.pixels is not None:
        p, q = a.pixels, b.pixels
        if (p.length, p.crc, p.fragments) != (q.length, q.crc, q.fragments):
            yield "PixelData"


def _values(dataset: DataSet, recoded: bool) -> Iterator[tuple[str, object]]:
    for path, owner, element in dataset.walk():
        keyword = element.keyword
        if element.tag & 0xFFFF == 0 or keyword == "PixelData":
            continue
        if recoded and (
            keyword in OF_SYNTAX or not keyword or element.vr in ("OB", "OW", "UN", "OF", "OD", "OL")
        ):
            continue
        yield "/".join(map(str, (*path, keyword or element.tag_text))), _value(owner, element)


def _value(owner: DataSet, element: Element) -> object:
    if element.vr == "SQ" or element.items:
        return len(element.items)
    if element.value is None:
        return element.length
    return owner.texts_of(element) or (element.value.rstrip(b" \0") if element.vr == "UN" else element.value)


@check(PATIENT, SERIES, "STD-X-026", "STD-X-041", "STD-X-040")
def one_study_one_story(case: Case) -> Iterator[Finding]:
    """Attributes of patient, study and series in all objects that share one."""
    tale, told = story(case), ledger(case)
    studies: dict[str, list[Made]] = defaultdict(list)
    series: dict[str, list[Made]] = defaultdict(list)
    for made in tale.objects:
        if uid := made.dataset.text("StudyInstanceUID"):
            studies[uid].append(made)
        if uid := made.dataset.text("SeriesInstanceUID"):
            series[uid].append(made)

    def agree(rule: str, keyword: str, group: list[Made]) -> Iterator[Finding]:
        first = next((made for made in group if value(made.dataset, keyword)), None)
        if first is None:
            return
        wanted = value(first.dataset, keyword) or ""
        for made in group:
            got = value(made.dataset, keyword)
            if made is first or not got:
                continue
            where = (
                case.at(made.message, made.dataset.get(keyword)),
                case.at(first.message, first.dataset.get(keyword)),
            )
            if same(keyword, wanted, got):
                yield passed(rule, f"{label(keyword)} is the same", *where)
            elif not told.told(keyword, made.message, first.message) and not _by_step(
                case, keyword, made, first
            ):
                yield failed(
                    rule, f"{label(keyword)} is {got!r} here and {wanted!r} in another object", *where
                )

    for group in studies.values():
        images = [made for made in group if not made.is_report]
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
            yield from agree(PATIENT, keyword, images)
            for report in (made for made in group if made.is_report):
                yield from agree("STD-X-040", keyword, [*images[:1], report])
        for keyword in ("StudyDate", "StudyTime"):
            yield from agree("STD-X-026", keyword, group)
        for keyword in ("AccessionNumber", "StudyID"):
            yield from agree("STD-X-041", keyword, group)
    for group in series.values():
        for keyword in OF_SERIES:
            yield from agree(SERIES, keyword, group)


def _by_step(case: Case, keyword: str, *group: Made) -> bool:
    """Whether one of the objects already differs from its step: told by STD-X-030 to STD-X-032."""
    for made in group:
        if made.step is None or made.step.dataset is None:
            continue
        if keyword in ("StudyInstanceUID", "AccessionNumber"):
            said = [text for item in made.step.scheduled if (text := value(item, keyword))]
        else:
            said = [text] if (text := value(made.step.dataset, keyword)) else []
        own = value(made.dataset, keyword)
        if own and said and not any(same(keyword, own, text) for text in said):
            return True
    return False


@check(SHARED, TWO_STEPS)
def uids_are_not_shared(case: Case) -> Iterator[Finding]:
    """Study, series, instance and step have different UIDs; a step's UID is not given twice."""
    tale = story(case)
    kinds: dict[str, set[str]] = defaultdict(set)
    where: dict[str, Made] = {}
    for made in tale.objects:
        for kind, uid in (
            ("study", made.dataset.text("StudyInstanceUID")),
            ("series", made.dataset.text("SeriesInstanceUID")),
            ("instance", made.uid),
        ):
            if uid:
                kinds[uid].add(kind)
                where.setdefault(uid, made)
    for uid in tale.steps:
        kinds[uid].add("step")
    for uid, found in kinds.items():
        if len(found) > 1 and uid in where:
            yield failed(
                SHARED,
                f"{uid} is the UID of a {' and of a '.join(sorted(found))}",
                case.at(where[uid].message),
            )
    if kinds and all(len(found) == 1 for found in kinds.values()):
        yield passed(SHARED, f"{len(kinds)} UIDs, each of one thing")
    begun: dict[str, DataSet] = {}
    for message in case.requests("N-CREATE-RQ"):
        uid, dataset = message.sop_instance, message.dataset
        if not uid or dataset is None or uid not in tale.steps:
            continue
        first = begun.setdefault(uid, dataset)
        if first is dataset:
            continue
        differ = [
            keyword
            for keyword in ("PatientID", "PerformedProcedureStepID", "PerformedProcedureStepStartTime")
            if (one := value(first, keyword))
            and (two := value(dataset, keyword))
            and not same(keyword, one, two)
        ]
        if differ:
            yield failed(
                TWO_STEPS,
                f"the step {uid} was created twice with different {', '.join(differ)}",
                case.at(message),
            )
        else:
            yield passed(TWO_STEPS, f"the step {uid} was created again as it was", case.at(message))
