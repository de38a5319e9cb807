"""Records against objects: patient, study, series, instance, decoded by their own sets (STD-X-073, STD-X-090 to 094).

Rules of this file:

* Compared is what both have: a record may hold a value that its object lacks (type 1 in the record, 2 in the object).
  A name or an accession number, of type 2 in both, is known to both or to none, and so are Patient ID and name to all
  objects of a study.
* A key of a level above, such as Patient ID in a STUDY record, must agree as well where somebody put it there.
* Texts are compared as decoded; one that cannot be decoded is a fault of its character set, not of agreement.
* Foreign objects are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.crossobject.text import same, value
from bench.checks.finding import Finding, check, remark
from bench.checks.iod.tables import label
from bench.checks.media.authors import authors
from bench.checks.media.common import judged, number
from bench.checks.media.view import in_file, in_record
from bench.resultmodel import Evidence
from bench.witness.dataset import DataSet
from bench.witness.medium import DicomFile, Medium, printable

if TYPE_CHECKING:
    from bench.checks.case import Case

RULES: Final = {"PATIENT": "STD-X-090", "STUDY": "STD-X-091", "SERIES": "STD-X-092", "IMAGE": "STD-X-093"}
COMPARED: Final = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription"),
    "SERIES": ("SeriesInstanceUID", "Modality", "SeriesNumber"),
    "IMAGE": ("InstanceNumber",),
}
TOGETHER: Final = "STD-X-094"
ORDER: Final = tuple(COMPARED)
NUMBERS: Final = frozenset(("SeriesNumber", "InstanceNumber"))
KNOWN: Final = frozenset(("PatientName", "AccessionNumber"))
"""Keys of type 2 in record and object: empty says that nobody knows it (PS3.5 7.4.3)."""
IDENTIFIED: Final = ("PatientID", "PatientName")
OF_STUDY: Final = (*IDENTIFIED, "IssuerOfPatientID", "ReferringPhysicianName")
OF_SERIES: Final = (
    "StudyInstanceUID",
    "Modality",
    "SeriesDate",
    "SeriesTime",
    "Laterality",
    "FrameOfReferenceUID",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
)
"""What the objects of a series share: the series itself and the equipment that made it (PS3.3 A.1.2.3, C.7.3.1)."""
SELDOM: Final = ("BodyPartExamined", "SeriesDescription", "ProtocolName")
"""Of the series too, and often set for each image: told as a remark."""
SHARED: Final = "STD-X-073"
STANDARD: Final = "1.2.840.10008."
"""The root of UIDs that the standard itself gives (PS3.5 9, PS3.6)."""
Fault = tuple[str, Evidence, tuple[str, ...]]


@check(*RULES.values(), TOGETHER, SHARED)
def records_and_objects(case: Case) -> Iterator[Finding]:
    """Every object that a record refers to, with the records above it."""
    for medium in case.media:
        yield from _records(case, medium)
        yield from _objects(case, medium)
        yield from _identifiers(case, medium)


def differs(keyword: str, one: DataSet, other: DataSet) -> tuple[str, str] | None:
    """Return two values that are not the same; None when they are, or cannot be compared."""
    a, b = value(one, keyword), value(other, keyword)
    if not a or not b:
        return None
    if keyword in NUMBERS:
        x, y = one.number(keyword), other.number(keyword)
        return (a, b) if x is not None and y is not None and x != y else None
    return None if same(keyword, a, b) else (a, b)


def _one_only(keyword: str, one: DataSet, other: DataSet) -> tuple[str, str] | None:
    """Return two values of which exactly one is empty or absent."""
    if (one.state(keyword) == "value") == (other.state(keyword) == "value"):
        return None
    return value(one, keyword) or "", value(other, keyword) or ""


def _compared(kind: str) -> tuple[tuple[str, str], ...]:
    """Keys that a kind of record may hold of an object, of its own kind and of those above, each with its kind."""
    upto = ORDER[: ORDER.index(kind) + 1]
    return tuple((keyword, of) for of in reversed(upto) for keyword in COMPARED[of])


def _records(case: Case, medium: Medium) -> Iterator[Finding]:
    directory = medium.directory
    if directory is None:
        return
    own = authors(case).own
    faults: dict[str, list[Fault]] = {rule: [] for rule in RULES.values()}
    counts = dict.fromkeys(faults, 0)
    seen: set[tuple[int, str]] = set()
    for record in directory.records:
        entry = medium.find(record.file_id) if record.file_id else None
        file = medium.by_path.get(entry.short) if entry is not None else None
        if file is None or file.path not in own or file.dataset is None or not record.in_use:
            continue
        said = record.item.text("ReferencedSOPInstanceUIDInFile")
        if said and file.sop_instance and said != file.sop_instance:
            continue  # another instance: what it says of its patient is no news
        for level in (record, *directory.above(record)):
            rule = RULES.get(level.kind)
            if rule is None:
                continue
            counts[rule] += 1
            for keyword, of in _compared(level.kind):
                if (level.number, keyword) in seen:
                    continue
                found = differs(keyword, level.item, file.dataset)
                if found is None and keyword in KNOWN and level.kind == of and level.item.has(keyword):
                    found = _one_only(keyword, level.item, file.dataset)
                if found is None:
                    continue
                seen.add((level.number, keyword))
                reason = f"{level.name}: {label(keyword)} is {_shown(found[0])}, and {_shown(found[1])} in {file.path}"
                faults[RULES[of]].append((reason, in_record(medium, level, keyword), ()))
    where = in_file(directory.file, offset=directory.file.begin)
    for rule, wrong in faults.items():
        right = f"records and objects agree on {number(counts[rule], 'occasion')}"
        yield from judged(rule, wrong, counts[rule], right, where)


def _objects(case: Case, medium: Medium) -> Iterator[Finding]:
    own = authors(case).own
    studies: dict[str, list[DicomFile]] = defaultdict(list)
    series: dict[str, list[DicomFile]] = defaultdict(list)
    for file in medium.files:
        if file.path not in own or file.dataset is None or file.lost:
            continue
        if uid := file.dataset.text("StudyInstanceUID"):
            studies[uid].append(file)
        if uid := file.dataset.text("SeriesInstanceUID"):
            series[uid].append(file)
    faults: list[Fault] = []
    told: set[str] = set()
    for what, groups, keywords in (
        ("study", studies, OF_STUDY),
        ("series", series, (*OF_SERIES, *SELDOM)),
    ):
        for group in groups.values():
            first = group[0]
            for file in group[1:]:
                for keyword in keywords:
                    if first.dataset is None or file.dataset is None:
                        continue
                    found = differs(keyword, file.dataset, first.dataset)
                    if found is None and keyword in IDENTIFIED:
                        found = _one_only(keyword, file.dataset, first.dataset)
                    if found is None:
                        continue
                    said, held = map(_shown, found)
                    where = f"{first.path} of the same {what}"
                    reason = f"{file.path}: {label(keyword)} is {said}, and {held} in {where}"
                    spot = in_file(file, file.dataset.get(keyword))
                    if keyword not in SELDOM:
                        faults.append((reason, spot, ()))
                    elif keyword not in told:
                        told.add(keyword)
                        yield remark(TOGETHER, reason, spot)
    yield from _alike(studies, series)
    count = sum(map(len, studies.values()))
    right = f"{number(count, 'object')} agree with those of their study and series"
    yield from judged(TOGETHER, faults, count, right, Evidence(what=medium.name))


def _alike(studies: dict[str, list[DicomFile]], series: dict[str, list[DicomFile]]) -> Iterator[Finding]:
    """What the standard lets be the same, and is seldom meant so."""
    for group in series.values():
        seen: dict[int, DicomFile] = {}
        for file in group:
            said = file.dataset.number("InstanceNumber") if file.dataset is not None else None
            first = file if said is None else seen.setdefault(int(said), file)
            if first is not file and said is not None:
                reason = (
                    f"{file.path} and {first.path}, of one series, have the same Instance Number {said:g}"
                )
                yield remark(RULES["IMAGE"], reason, in_file(file, "(0020,0013)"))
                break
    patients: dict[str, dict[str, DicomFile]] = defaultdict(dict)
    for group in studies.values():
        file = group[0]
        order, patient = (
            (value(file.dataset, keyword) or "" for keyword in ("AccessionNumber", "PatientID"))
            if file.dataset is not None
            else ("", "")
        )
        if order and patient:
            patients[order].setdefault(patient, file)
    for order, found in patients.items():
        if len(found) > 1:
            one, other = list(found.values())[:2]
            reason = f"Accession Number {printable(order)!r} stands with two patients, in {one.path} and {other.path}"
            yield remark(TOGETHER, reason, in_file(other, "(0008,0050)"))


def _identifiers(case: Case, medium: Medium) -> Iterator[Finding]:
    """No UID stands for a study and a series, or for one of them and an instance (PS3.5 9)."""
    own = authors(case).own
    kinds: dict[str, dict[str, str]] = defaultdict(dict)
    for file in medium.files:
        if file.path not in own or file.dataset is None:
            continue
        for kind, keyword in (
            ("a study", "StudyInstanceUID"),
            ("a series", "SeriesInstanceUID"),
            ("an instance", "SOPInstanceUID"),
        ):
            if uid := file.dataset.text(keyword):
                kinds[uid].setdefault(kind, file.path)
    directory = medium.directory
    uid = directory.file.meta.text("MediaStorageSOPInstanceUID") if directory is not None else None
    if uid and uid not in kinds and directory is not None:  # that of an image is told by STD-MED-018
        kinds[uid]["the DICOMDIR"] = directory.file.path
    faults: list[Fault] = []
    for uid, found in kinds.items():
        if uid.startswith(STANDARD):
            kind, path = next(iter(found.items()))
            reason = (
                f"{printable(uid)}, the UID of {kind}, is below the root that the standard keeps for itself"
            )
            faults.append((reason, Evidence(what=path), ()))
        elif len(found) > 1:
            reason = f"{printable(uid)} is the UID of {' and of '.join(sorted(found))}"
            faults.append((reason, Evidence(what=next(iter(found.values()))), ()))
    right = f"{number(len(kinds), 'UID')}, each of one thing"
    yield from judged(SHARED, faults, len(kinds), right, Evidence(what=medium.name))


def _shown(text: str) -> str:
    return repr(printable(text)) if text else "empty"
