"""What the page shows of a DICOMDIR: its records as a tree, what each refers to, and what findings name.

Rules of this file:

* Nothing is judged here: beside a record stands what the judge's findings name, and, as a fact, where the file that it
  refers to says something else than the records above it, or is not there.
* Bounded: so many records are looked at, so many rows shown; what a finding names and what differs before the rest.
* Every text of the medium leaves here printable and short; the template escapes it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from bench.report.text import shorten
from bench.results import ClauseResult
from bench.verdict import Verdict

if TYPE_CHECKING:
    from bench.witness.medium import DicomFile, Directory, Medium, Record

MAX_RECORDS: Final = 300
"""Rows of one DICOMDIR."""
LOOKED: Final = 5000
"""Records whose files are looked at; further ones are shown when a finding names them."""
MAX_TEXT: Final = 70
"""Characters of one value."""
MAX_DEPTH: Final = 8
TOLD: Final = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
"""Verdicts whose evidence is marked."""

KEYS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "PATIENT": (("Patient ID", "PatientID"), ("Name", "PatientName"), ("Birth Date", "PatientBirthDate")),
    "STUDY": (
        ("Study ID", "StudyID"),
        ("Accession", "AccessionNumber"),
        ("Date", "StudyDate"),
        ("Time", "StudyTime"),
        ("UID", "StudyInstanceUID"),
    ),
    "SERIES": (("Modality", "Modality"), ("Number", "SeriesNumber"), ("UID", "SeriesInstanceUID")),
}
LEAF: Final = (("Number", "InstanceNumber"), ("SOP Instance", "ReferencedSOPInstanceUIDInFile"))
"""Keys of every other kind of record that refers to a file."""
SAME: Final = (
    ("PATIENT", "PatientID", "PatientID", "Patient ID"),
    ("PATIENT", "PatientName", "PatientName", "Patient's Name"),
    ("STUDY", "StudyInstanceUID", "StudyInstanceUID", "Study Instance UID"),
    ("SERIES", "SeriesInstanceUID", "SeriesInstanceUID", "Series Instance UID"),
    ("", "ReferencedSOPInstanceUIDInFile", "SOPInstanceUID", "SOP Instance UID"),
)
"""What a record of this kind above a file (none: the one that refers to it) and the file both say."""
_RECORD: Final = re.compile(r".* record ([0-9]{1,9})", re.DOTALL)

Finding = tuple[str, Verdict]
"""A clause and what was found of it."""


@dataclass(frozen=True)
class RecordRow:
    """One record: where it stands, its keys (None: absent), what it refers to, what differs, what findings name it."""

    number: int
    kind: str
    depth: int
    offset: int
    keys: tuple[tuple[str, str | None], ...]
    file_id: str = ""
    facts: tuple[str, ...] = ()
    found: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Named:
    """What findings name on one medium: records by number, files by path."""

    records: Mapping[int, tuple[Finding, ...]]
    files: Mapping[str, tuple[Finding, ...]]


class _InTree(Protocol):
    @property
    def depth(self) -> int: ...


Row = TypeVar("Row", bound=_InTree)


def cut(rows: Sequence[Row], most: int, first: Callable[[Row], bool]) -> list[Row]:
    """Return at most so many rows of a tree, in its order: those that come *first*, each below what it lies in, before
    all others."""
    if len(rows) <= most:
        return list(rows)
    above: list[int] = []
    way: list[int] = []
    for index, row in enumerate(rows):
        while way and rows[way[-1]].depth >= row.depth:
            way.pop()
        above.append(way[-1] if way else -1)
        way.append(index)
    kept: set[int] = set()
    for wanted in (True, False):
        for index, row in enumerate(rows):
            if first(row) is not wanted:
                continue
            needed, at = [], index
            while at >= 0 and at not in kept:
                needed.append(at)
                at = above[at]
            if len(kept) + len(needed) > most:
                break
            kept.update(needed)
    return [rows[index] for index in sorted(kept)]


def named_by(clauses: Iterable[ClauseResult], label: str, directory: Directory | None) -> Named:
    """Collect what the findings of a cell name on one medium.

    Args:
        clauses: of the cell.
        label: the image as evidence names it.
        directory: of the medium.
    """
    records: dict[int, dict[str, Verdict]] = {}
    files: dict[str, dict[str, Verdict]] = {}
    for clause in clauses:
        if clause.verdict not in TOLD:
            continue
        for evidence in clause.evidence:
            image, colon, place = (evidence.what or "").partition(": ")
            if image != label or not colon:
                continue
            number = _record_at(place, evidence.offset, directory)
            if number:
                records.setdefault(number, {})[clause.id] = clause.verdict
                continue
            if directory is not None and place.startswith(f"{directory.file.path}, "):
                place = directory.file.path
            files.setdefault(place, {})[clause.id] = clause.verdict
    return Named(
        {number: tuple(found.items()) for number, found in records.items()},
        {path: tuple(found.items()) for path, found in files.items()},
    )


def _record_at(place: str, offset: int | None, directory: Directory | None) -> int:
    """The number of the record that evidence names, or in which its byte lies; 0 for none."""
    if directory is None:
        return 0
    path = directory.file.path
    if place.startswith(f"{path}, ") and (found := _RECORD.fullmatch(place)):
        number = int(found.group(1))
        return number if number <= len(directory.records) else 0
    if place == path and offset is not None:
        number = bisect_right(directory.records, offset, key=lambda record: record.offset)
        if number and offset < directory.file.begin + directory.records[number - 1].item.end:
            return number
    return 0


def records_of(medium: Medium, named: Named) -> tuple[tuple[RecordRow, ...], int]:
    """Return the rows of a medium's DICOMDIR, and how many records are not among them."""
    directory = medium.directory
    if directory is None:
        return (), 0
    rows = [
        _row(record, depth, medium, directory, named)
        for record, depth in _ordered(directory)
        if record.number <= LOOKED or record.number in named.records
    ]
    shown = cut(rows, MAX_RECORDS, lambda row: bool(row.found or row.facts))
    return tuple(shown), len(directory.records) - len(shown)


def _ordered(directory: Directory) -> list[tuple[Record, int]]:
    """Records from the root down, each with its depth; at the end those to which no offset leads."""
    below: dict[int, list[Record]] = {}
    for record in directory.records:
        if directory.reached(record):
            below.setdefault(directory.parent[record.number], []).append(record)
    found: list[tuple[Record, int]] = []
    seen: set[int] = set()
    waiting = [(record, 0) for record in reversed(below.get(0, []))]
    while waiting:
        record, depth = waiting.pop()
        if record.number in seen:
            continue
        seen.add(record.number)
        found.append((record, min(depth, MAX_DEPTH)))
        waiting += [(under, depth + 1) for under in reversed(below.get(record.number, []))]
    return found + [(record, 0) for record in directory.records if record.number not in seen]


def _row(record: Record, depth: int, medium: Medium, directory: Directory, named: Named) -> RecordRow:
    found = dict(named.records.get(record.number, ()))
    facts: list[str] = []
    if not directory.reached(record):
        facts.append("no offset leads to it")
    if not record.in_use:
        facts.append("marked as not in use")
    if record.file_id:
        entry = medium.find(record.file_id)
        if entry is None or entry.folder:
            facts.append("there is no such file on the medium")
        else:
            for id, verdict in named.files.get(entry.path, ()):
                found.setdefault(id, verdict)
            facts += _differences(record, directory, medium.by_path.get(entry.short))
    return RecordRow(
        number=record.number,
        kind=_short(record.kind) or "untyped",
        depth=depth,
        offset=record.offset,
        keys=tuple(
            (label, None if (text := record.item.text(keyword)) is None else _short(text))
            for label, keyword in KEYS.get(record.kind, LEAF if record.file_id else ())
        ),
        file_id=_short("\\".join(record.file_id), 2 * MAX_TEXT),
        facts=tuple(facts),
        found=tuple(found.items()),
    )


def _differences(record: Record, directory: Directory, file: DicomFile | None) -> list[str]:
    """What the file that a record refers to says otherwise than the records above it."""
    if file is None:
        return ["its file was not read"]
    if file.dataset is None:
        return ["there is no data set in the file"]
    above = {one.kind: one for one in reversed(directory.above(record))}
    told = []
    for kind, key, own, label in SAME:
        holder = above.get(kind) if kind else record
        theirs = file.dataset.text(own) or ""
        if holder is not None and (holder.item.text(key) or "") != theirs:
            told.append(f"the file says {label} {_short(theirs)!r}")
    return told


def _short(text: str, most: int = MAX_TEXT) -> str:
    from bench.witness.medium import printable

    return shorten(printable(text), most)
