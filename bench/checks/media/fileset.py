"""Files against records: missing, cut, doubled and unreferenced files, and what a record says of its file (ruling F4).

Rules of this file:

* Files are matched by their raw names; nothing of a record is ever a path of the host.
* What follows is no fault of its own: a file that only a lost record names is referenced, and one that stands under
  another name than its record says is told once, by the record.
* A DICOMDIR that cannot be read to its end proves nothing about files that it does not name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, inconclusive, passed, remark
from bench.checks.iod.tables import label
from bench.checks.media.authors import authors, older
from bench.checks.media.common import MOST, clauses_of, judged, number, on, profiles
from bench.checks.media.common import kind_of as medium_kind
from bench.checks.media.view import in_file, in_record, story_of
from bench.resultmodel import Evidence
from bench.witness.medium import DicomFile, Directory, Entry, Medium, Record, printable

if TYPE_CHECKING:
    from bench.checks.case import Case

ROOT: Final = "STD-MED-010"
ONE: Final = "STD-MED-011"
THERE: Final = "STD-MED-014"
WHOLE: Final = "STD-MED-015"
REFERENCED: Final = "STD-MED-016"
ONCE: Final = "STD-MED-017"
INSTANCES: Final = "STD-MED-018"
SAME: Final = (
    ("STD-MED-050", "ReferencedSOPClassUIDInFile", "SOPClassUID", "MediaStorageSOPClassUID", "SOP Class"),
    ("STD-MED-051", "ReferencedSOPInstanceUIDInFile", "SOPInstanceUID", "MediaStorageSOPInstanceUID",
     "SOP Instance"),
    ("STD-MED-052", "ReferencedTransferSyntaxUIDInFile", "", "TransferSyntaxUID", "transfer syntax"),
)  # fmt: skip

DESCRIPTOR: Final = "FileSetDescriptorFileID"
Fault = tuple[str, Evidence, tuple[str, ...]]


def claimed(case: Case) -> tuple[str, ...]:
    """Return the clauses of the profile at hand: both when the kind of the medium is not known."""
    kind, _ = medium_kind(case)
    return tuple(clause.id for medium, clause in profiles(case) if not kind or medium == kind)


@check("STD-MED-01*", "STD-MED-05*", "MX-MED-00*", "MX-MED-DIR-1*")
def file_set(case: Case) -> Iterator[Finding]:
    """Every medium."""
    for medium in case.media:
        if medium.file_system.kind not in ("FAT12", "FAT16", "FAT32", "folder"):
            continue
        yield from _directories(case, medium)
        yield from _whole(case, medium)
        if medium.directory is not None:
            yield from _references(case, medium)


def _directories(case: Case, medium: Medium) -> Iterator[Finding]:
    rows = claimed(case)
    where = Evidence(what=medium.name)
    if medium.directory is None:
        for further in medium.directories:
            text = f"the DICOMDIR is {further.path}, and there is none in the root"
            yield from on((ROOT, *rows), failed, text, in_file(further, offset=0))
        if not medium.directories and medium.files:
            text = f"there is no DICOMDIR, and {number(len(medium.files), 'DICOM file')}"
            yield from on((ROOT, *rows), failed, text, where)
        elif not medium.directories:
            yield inconclusive(ROOT, "there is neither a DICOMDIR nor a DICOM file on the medium", where)
        return
    file = medium.directory.file
    if not file.magic and not medium.directory.records:
        text = "the DICOMDIR in the root is no file of PS3.10"
        yield from on((ROOT, *rows), failed, text, in_file(file, offset=0))
    else:
        yield passed(ROOT, "there is a DICOMDIR in the root", in_file(file, offset=0))
    for further in medium.directories:
        foreign = further.path in authors(case).foreign
        text = f"there is a second DICOMDIR, {further.path}"
        if foreign:
            yield remark(ONE, text, in_file(further, offset=0))
        else:
            yield from on((ONE, *rows), failed, text, in_file(further, offset=0))
    if not medium.directories:
        yield passed(ONE, "there is one DICOMDIR", in_file(file, offset=0))


def _whole(case: Case, medium: Medium) -> Iterator[Finding]:
    foreign = authors(case).foreign
    count = told = 0
    for file in medium.files:
        if not file.lost and file.entry.size:
            count += 1
            continue
        text = f"{file.path}: {file.lost or 'the file is empty'}"
        where = in_file(file, offset=file.read)
        if file.path in foreign:
            yield inconclusive(WHOLE, f"{text}; another implementation wrote it", where)
        elif any(offset + length > medium.size for offset, length in file.entry.runs) and medium.raw:
            yield inconclusive(WHOLE, f"{text}: the image ends before", where)
        else:
            told += 1
            if told <= MOST:
                yield failed(WHOLE, text, where)
    if count and not told:
        yield passed(
            WHOLE, f"{number(count, 'file')} hold their data sets to the end", Evidence(what=medium.name)
        )


def _references(case: Case, medium: Medium) -> Iterator[Finding]:
    directory = medium.directory
    if directory is None:
        return
    named = clauses_of(case, "ReferencedFileID")
    users: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    entries: dict[int, Entry] = {}
    missing: list[Fault] = []
    lost_instances: set[str] = set()
    count = 0
    for record in directory.records:
        parts = record.file_id
        if not parts:
            continue
        entry = medium.find(parts)
        active = record.in_use
        if entry is None or entry.folder:
            if active and older(case, record):
                yield remark(THERE, f"{record.name}, which was there before, refers to no file")
            elif active:
                what = "which is a folder" if entry is not None else "which is not on the medium"
                text = f"{record.name} refers to {printable('/'.join(parts))}, {what}"
                missing.append((text, in_record(medium, record, "ReferencedFileID"), named))
                lost_instances.add(record.item.text("ReferencedSOPInstanceUIDInFile") or "")
            continue
        count += 1
        entries[record.number] = entry
        users[entry.short].append(record)
    yield from _descriptor(medium, directory)
    where = in_file(directory.file, offset=0)
    if directory.broken and not missing:
        yield inconclusive(THERE, "the DICOMDIR cannot be read to its end", where)
    else:
        yield from judged(THERE, missing, count, f"{number(count, 'referenced file')} are there", where)

    doubled: list[Fault] = []
    for group in users.values():
        active_ones = [r for r in group if r.in_use and directory.reached(r)]
        for record in active_ones[1:]:
            if all(older(case, one) for one in active_ones):
                continue
            text = f"{record.name} refers to {entries[record.number].path}, as {active_ones[0].name} does"
            doubled.append((text, in_record(medium, record, "ReferencedFileID"), named))
    yield from judged(ONCE, doubled, count, f"{number(count, 'file')} are referenced once", where)
    yield from _unreferenced(case, medium, users, lost_instances)
    yield from _instances(medium, users)
    yield from _same(case, medium, entries, {id(r) for f in users.values() if len(f) > 1 for r in f[1:]})


def _descriptor(medium: Medium, directory: Directory) -> Iterator[Finding]:
    """The file that describes the file-set is there, when the DICOMDIR names one (PS3.3 F.3.2.1)."""
    root = directory.file.dataset
    parts = root.texts(DESCRIPTOR) if root is not None else ()
    if root is None or not parts:
        return
    entry = medium.find(parts)
    if entry is None or entry.folder:
        text = f"{label(DESCRIPTOR)} names {printable('/'.join(parts))}, which is no file of the medium"
        yield failed(THERE, text, in_file(directory.file, root.get(DESCRIPTOR)))


def _unreferenced(
    case: Case, medium: Medium, users: dict[tuple[str, ...], list[Record]], lost_instances: set[str]
) -> Iterator[Finding]:
    directory = medium.directory
    if directory is None:
        return
    rows = claimed(case)
    faults: list[Fault] = []
    excused = 0
    for file in medium.files:
        if file.entry.short in users or not file.magic:
            continue
        if story_of(case) is not None and file.path in authors(case).foreign:
            continue  # it was there before
        if file.sop_instance and file.sop_instance in lost_instances:
            excused += 1
            continue
        text = f"{file.path} is a DICOM file, and no record refers to it"
        faults.append((text, in_file(file, offset=0), rows))
    if directory.broken and faults:
        yield inconclusive(
            REFERENCED, f"{faults[0][0]}, but the DICOMDIR cannot be read to its end", faults[0][1]
        )
        return
    count = sum(file.entry.short in users for file in medium.files)
    right = f"{number(count, 'DICOM file')} are referenced"
    yield from judged(REFERENCED, faults, count, right, in_file(directory.file, offset=0))


def _instances(medium: Medium, users: dict[tuple[str, ...], list[Record]]) -> Iterator[Finding]:
    groups: dict[str, list[DicomFile]] = defaultdict(list)
    for file in medium.files:
        if file.entry.short in users and file.sop_instance:
            groups[file.sop_instance].append(file)
    faults: list[Fault] = []
    for uid, group in groups.items():
        if len(group) > 1:
            records = [users[file.entry.short][0] for file in group]
            said = {record.item.text("ReferencedSOPInstanceUIDInFile") for record in records}
            if len(said) == len(group):
                continue  # the records tell them apart: one of the files is not what its record says
            names = ", ".join(file.path for file in group[:4])
            text = f"{names} hold the same SOP Instance {printable(uid)}"
            faults.append((text, in_file(group[1], "(0008,0018)"), ()))
    directory = medium.directory.file if medium.directory is not None else None
    own = directory.meta.text("MediaStorageSOPInstanceUID") if directory is not None else None
    if directory is not None and own and own in groups:
        text = (
            f"the DICOMDIR says that it is the SOP Instance {printable(own)}, which is {groups[own][0].path}"
        )
        faults.append((text, in_file(directory, directory.meta.get("MediaStorageSOPInstanceUID")), ()))
    right = f"{number(len(groups), 'instance')} are there once"
    yield from judged(INSTANCES, faults, len(groups), right, Evidence(what=medium.name))


def _same(case: Case, medium: Medium, entries: dict[int, Entry], doubles: set[int]) -> Iterator[Finding]:
    directory = medium.directory
    if directory is None:
        return
    for rule, keyword, own, stored, what in SAME:
        rows = clauses_of(case, keyword)
        faults: list[Fault] = []
        count = 0
        for record in directory.records:
            entry = entries.get(record.number)
            file = medium.by_path.get(entry.short) if entry is not None else None
            said = record.item.text(keyword)
            if file is None or not said or not record.in_use or id(record) in doubles:
                continue
            dataset = file.dataset
            held = [file.meta.text(stored), dataset.text(own) if own and dataset is not None else None]
            known = [text for text in held if text]
            if not known:
                continue
            count += 1
            if said not in known:
                text = f"{record.name} says the {what} {printable(said)}, and {file.path} is {printable(known[-1])}"
                faults.append((text, in_record(medium, record, keyword), rows))
        right = f"{number(count, 'record')} name the {what} of their files"
        yield from judged(rule, faults, count, right, in_file(directory.file, offset=0))
