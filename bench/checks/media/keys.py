"""Elements of the DICOMDIR: the file-set's own, those of every record, and the keys of each kind (PS3.3 F.3, F.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.datasets import group_length
from bench.checks.finding import Finding, check, remark
from bench.checks.iod.tables import label, tag_text
from bench.checks.media.authors import authors
from bench.checks.media.common import FIRST, LAST, LOWER, NEXT, RECORDS, in_doubt, judged, number, padding
from bench.checks.media.view import in_file, in_record
from bench.resultmodel import Evidence
from bench.witness.dataset import DataSet, Element
from bench.witness.medium import Directory, Medium, Record
from bench.witness.values import fault, multiplicity
from bench.witness.vr import PLAIN, UNIT, WORD, lookup

if TYPE_CHECKING:
    from bench.checks.case import Case

ELEMENTS: Final = "STD-MED-041"
TOGETHER: Final = "STD-MED-042"
TYPE_1: Final = "STD-MED-043"
TYPE_2: Final = "STD-MED-044"
OF_ROOT: Final = (
    ("FileSetID", "2"),
    (FIRST, "1"),
    (LAST, "1"),
    ("FileSetConsistencyFlag", "1"),
    (RECORDS, "2"),
)
OF_RECORD: Final = ((NEXT, "1"), ("RecordInUseFlag", "1"), (LOWER, "1"), ("DirectoryRecordType", "1"))
REFERENCE: Final = (
    "ReferencedFileID",
    "ReferencedSOPClassUIDInFile",
    "ReferencedSOPInstanceUIDInFile",
    "ReferencedTransferSyntaxUIDInFile",
)
KEYS: Final = {
    "PATIENT": (("PatientName", "2"), ("PatientID", "1")),
    "STUDY": (
        ("StudyDate", "1"),
        ("StudyTime", "1"),
        ("StudyDescription", "2"),
        ("StudyInstanceUID", "1"),
        ("StudyID", "1"),
        ("AccessionNumber", "2"),
    ),
    "SERIES": (("Modality", "1"), ("SeriesInstanceUID", "1"), ("SeriesNumber", "1")),
    "IMAGE": (("InstanceNumber", "1"),),
}
"""Keys by kind of record (PS3.3 F.5.1 to F.5.4); Study Instance UID is 1C, and without a file needed."""
LENGTH_OF_GROUP: Final = 0x00040000
OF_FILES: Final = frozenset(("IMAGE",))
ABOVE: Final = frozenset(("PATIENT", "STUDY", "SERIES"))
Fault = tuple[str, Evidence, tuple[str, ...]]


@check(ELEMENTS, TOGETHER, TYPE_1, TYPE_2)
def elements(case: Case) -> Iterator[Finding]:
    """The DICOMDIR of every medium."""
    for medium in case.media:
        directory = medium.directory
        if directory is not None and directory.file.dataset is not None and directory.file.magic:
            yield from _elements(case, medium, directory)


def _elements(case: Case, medium: Medium, directory: Directory) -> Iterator[Finding]:
    root = directory.file.dataset or DataSet()
    own = authors(case).records
    found: dict[str, list[Fault]] = {ELEMENTS: [], TOGETHER: [], TYPE_1: [], TYPE_2: []}
    counts = dict.fromkeys(found, 0)
    if not directory.broken:
        for keyword, kind in OF_ROOT:
            counts[ELEMENTS] += 1
            why = _lack(root, keyword, kind)
            if why:
                found[ELEMENTS].append(
                    (f"{label(keyword)} {why}", in_file(directory.file, tag_text(keyword)), ())
                )
    for element in root.elements:
        if element.tag >> 16 == 4 and (why := _form(root, element)):
            found[ELEMENTS].append((why, in_file(directory.file, element), ()))
    for record in directory.records:
        if record.number in own:
            if directory.broken and record is directory.records[-1]:
                continue  # it may be the one that is cut
            for rule, reason, place in _record(medium, directory, record, counts):
                found[rule].append((reason, place, ()))
        elif any(_lack(record.item, keyword, kind) for keyword, kind in KEYS.get(record.kind, ())):
            yield remark(TYPE_1, f"{record.name}, of a foreign object, lacks keys")
    where = in_file(directory.file, offset=directory.file.begin)
    for rule, faults in found.items():
        yield from judged(rule, faults, counts[rule], f"kept on {counts[rule]} occasions", where)


def _lack(dataset: DataSet, keyword: str, kind: str) -> str:
    state = dataset.state(keyword)
    if state == "absent":
        return f"is absent; type {kind} wants it"
    if state == "empty" and kind == "1":
        return "is empty; type 1 wants a value"
    return ""


def _record(
    medium: Medium, directory: Directory, record: Record, counts: dict[str, int]
) -> Iterator[tuple[str, str, Evidence]]:
    item, name = record.item, record.name
    for keyword, kind in OF_RECORD:
        counts[ELEMENTS] += 1
        if why := _lack(item, keyword, kind):
            yield ELEMENTS, f"{name}: {label(keyword)} {why}", in_record(medium, record, keyword)
    for element in item.elements:
        if element.tag >> 16 == 4 and (why := _form(item, element)):
            yield ELEMENTS, f"{name}: {why}", in_record(medium, record, element.keyword)
    counts[TOGETHER] += 1
    there = [keyword for keyword in REFERENCE if item.state(keyword) == "value"]
    if record.kind in ABOVE and there:
        reason = f"{name}: {label(there[0])} is there, and a {record.kind} record refers to no file"
        yield TOGETHER, reason, in_record(medium, record, there[0])
    elif there or record.kind in OF_FILES:
        for keyword in REFERENCE:
            if keyword not in there:
                state = "is absent" if item.state(keyword) == "absent" else "is empty"
                reason = f"{name}: {label(keyword)} {state}"
                yield TOGETHER, reason, in_record(medium, record, keyword)
    keys = KEYS.get(record.kind, ())
    if in_doubt(directory, record, tuple(keyword for keyword, _ in keys)):
        return
    for keyword, kind in keys:
        rule = TYPE_1 if kind == "1" else TYPE_2
        counts[rule] += 1
        if why := _lack(item, keyword, kind):
            yield rule, f"{name}: {label(keyword)} {why}", in_record(medium, record, keyword)


def _form(owner: DataSet, element: Element) -> str:
    """Say what is wrong with an element of group 0004 by itself: its VR, padding, number of values, their syntax."""
    if element.tag == LENGTH_OF_GROUP:
        return next(group_length(owner, element), "")
    entry = lookup(element.tag)
    if entry is None:
        return ""
    if element.explicit and element.vr not in entry.vrs:
        return f"{label(entry.keyword)} has the VR {element.vr} instead of {' or '.join(entry.vrs)}"
    if element.empty or element.vr == "SQ" or element.value is None:
        return ""
    if padded := padding(element):
        return f"{label(entry.keyword)} {padded}"
    if element.keyword == "ReferencedFileID":
        return ""  # its components are judged with the names
    unit = UNIT.get(element.vr) or WORD.get(element.vr)
    if unit and len(element.value) % unit:
        return f"{label(entry.keyword)} has {len(element.value)} bytes"
    if entry.vm and not multiplicity(entry.vm)(element.vm):
        return f"{label(entry.keyword)} has {number(element.vm, 'value')} instead of {entry.vm}"
    if element.vr in PLAIN:
        for text in owner.texts_of(element):
            if why := fault(element.vr, text):
                return f"{label(entry.keyword)} {why}"
    return ""
