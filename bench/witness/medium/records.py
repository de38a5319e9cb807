"""The records of a DICOMDIR and how they hang together, by byte offset (PS3.3 F.2).

Rules of this file:

* All links of all records are looked at first; a record that several links lead to belongs to the one that suits it
  best (kind of record, lower before next, forward before backward, near before far), and the others are astray.
* One fault is told once: what cannot be reached because a link leads nowhere is no fault of its own.
* The order of records inside a level has no meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Final

from bench.witness.dataset import DataSet
from bench.witness.medium.model import DicomFile, Directory, Link, Record

LEVELS: Final[Mapping[str, int]] = {
    "PATIENT": 1,
    "HANGING PROTOCOL": 1,
    "PALETTE": 1,
    "IMPLANT": 1,
    "IMPLANT GROUP": 1,
    "IMPLANT ASSY": 1,
    "STUDY": 2,
    "SERIES": 3,
    **dict.fromkeys(
        (
            "IMAGE", "RT DOSE", "RT STRUCTURE SET", "RT PLAN", "RT TREAT RECORD", "PRESENTATION", "WAVEFORM",
            "SR DOCUMENT",
            "KEY OBJECT DOC", "SPECTROSCOPY", "RAW DATA", "REGISTRATION", "FIDUCIAL", "ENCAP DOC", "HL7 STRUC DOC",
            "VALUE MAP", "STEREOMETRIC", "PLAN", "MEASUREMENT", "SURFACE", "SURFACE SCAN", "TRACT", "ASSESSMENT",
            "RADIOTHERAPY", "ANNOTATION",
        ),
        4,
    ),
}  # fmt: skip
"""The level of each kind of record (PS3.3 Table F.4-1); PRIVATE may stand anywhere."""
REFERRED: Final = "MRDR"
"""Retired: records refer to it by (0004,1504), and no chain leads to it."""
LOST: Final = 300
"""Records that cannot be reached and are looked into."""
_SEQUENCE: Final = 0x00041220
_PADDING: Final = 0xFFFCFFFC


def directory_of(file: DicomFile) -> Directory:
    """Read the records of a DICOMDIR and follow their offsets."""
    dataset = file.dataset or DataSet()
    sequence = dataset.get(_SEQUENCE)
    items = sequence.items if sequence is not None else ()
    records = tuple(
        Record(number, file.begin + item.offset - 8, item) for number, item in enumerate(items, 1)
    )
    end = _end_of(file, dataset)
    broken = ""
    for problem in dataset.problems:
        if problem.structural and file.begin + problem.offset < end:
            broken = f"{problem.text}, at byte {file.begin + problem.offset}"
            break
    if not broken and file.lost and end >= file.read:
        broken = file.lost
    if not file.magic and not records:
        broken = "it is no file of PS3.10"
    stale = max(file.read - end, 0) if sequence is not None and not broken else 0
    return _linked(file, records, dataset, stale, end, broken)


def _end_of(file: DicomFile, dataset: DataSet) -> int:
    """The byte behind the last element that belongs to the data set: the records, private elements, padding."""
    sequence = dataset.get(_SEQUENCE)
    if sequence is None:
        return file.read
    end = sequence.offset + sequence.header
    if not sequence.undefined:
        end += sequence.length
    elif not sequence.items:
        end += 8
    else:
        end = _behind(sequence.items, file.read - file.begin)
    for element in dataset.elements:
        if element.offset != end or element.undefined or element.truncated:
            continue
        if element.tag == _PADDING or (element.private and element.tag >> 16 > 8):
            end = element.offset + element.header + element.length
    return file.begin + end


def _behind(items: tuple[DataSet, ...], total: int) -> int:
    """The byte behind a sequence of undefined length: items may have a delimiter of their own, or not."""
    gaps = {then.offset - one.end for one, then in pairwise(items)}
    last = items[-1].end
    if gaps:
        return last + (16 if 16 in gaps else 8)
    return last + (16 if total == last + 16 else 8)


def _linked(
    file: DicomFile, records: tuple[Record, ...], dataset: DataSet, stale: int, end: int, broken: str
) -> Directory:
    by_offset = {record.offset: record for record in records}
    links: list[Link] = []
    first = dataset.number("OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity")
    if isinstance(first, int) and first:
        links.append(Link(0, "first", first))
    for record in records:
        if record.next:
            links.append(Link(record.number, "next", record.next))
        if record.lower:
            links.append(Link(record.number, "lower", record.lower))
    astray: list[tuple[Link, str]] = []
    claims: dict[int, list[Link]] = {}
    for link in links:
        target = by_offset.get(link.offset)
        if target is None:
            astray.append((link, f"byte {link.offset}, where no record begins"))
        else:
            claims.setdefault(target.number, []).append(link)

    chosen: dict[int, Link] = {}
    level_faults: list[tuple[Record, str]] = []
    for number, rivals in claims.items():
        target = records[number - 1]
        best = max(rivals, key=partial(_fitness, target=target, records=records))
        chosen[number] = best
        for link in rivals:
            if link is not best:
                astray.append((link, f"byte {link.offset}, where {target.name} begins, which {_said(best)}"))
    # A link to a record of another level is wrong when what it jumps over cannot be reached without it; else the
    # record stands in the wrong place.
    unclaimed: dict[int | None, Record] = {}  # the first of each level
    for record in records:
        if record.number not in chosen and record.in_use:
            unclaimed.setdefault(LEVELS.get(record.kind), record)
    excuses: dict[int, Link] = {}
    misplaced: dict[int, int] = {}  # level at which a misplaced record really stands
    for number, link in sorted(chosen.items()):
        target = records[number - 1]
        if link.what == "next" and link.owner in misplaced:
            level = misplaced[link.owner]
            if LEVELS.get(target.kind) not in (None, level):
                misplaced[number] = level
            continue
        why = _misfit(link, target, records)
        if not why:
            continue
        jumped = [r for r in unclaimed.values() if _fits(link, r, records)]
        if link.owner == number or jumped:
            astray.append((link, f"byte {link.offset}, where {target.name} begins: {why}"))
            del chosen[number]
            for record in jumped[:1]:
                excuses[record.number] = link
            if not jumped:
                excuses[number] = link
        else:
            level_faults.append((target, why))
            misplaced[number] = _wanted(link, records) or 0

    parent: dict[int, int] = {}
    below: dict[int, list[Link]] = {}
    for number, link in chosen.items():
        below.setdefault(link.owner, []).append(Link(number, link.what, link.offset))
    waiting = [(link.owner, 0) for link in below.get(0, ()) if link.what == "first"]
    while waiting:
        number, above = waiting.pop()
        if number in parent:
            continue
        parent[number] = above
        for link in below.get(number, ()):
            waiting.append((link.owner, above if link.what == "next" else number))
    unreached = [
        record
        for record in records
        if record.number not in parent
        and record.number not in chosen
        and record.in_use
        and record.kind != REFERRED
    ]
    lost = tuple((r, _short_link(r, records, astray[:LOST], excuses)) for r in unreached[:LOST])
    # A ring that nothing leads to has no first record: take the first by number.
    rings = [r for r in records if r.number not in parent and r.number in chosen and r.in_use]
    if rings and not lost and not astray:
        lost = ((rings[0], None),)
    return Directory(file, records, parent, tuple(astray), lost, tuple(level_faults), stale, end, broken)


def _said(link: Link) -> str:
    if link.what == "first":
        return "is the first of the root"
    word = "follows" if link.what == "next" else "is the first below"
    return f"{word} record {link.owner}"


def _wanted(link: Link, records: tuple[Record, ...]) -> int | None:
    """The level of what a link should lead to; None where anything may stand."""
    if link.what == "first":
        return 1
    level = LEVELS.get(records[link.owner - 1].kind)
    if level is None:
        return None
    return level if link.what == "next" else level + 1


def _fits(link: Link, target: Record, records: tuple[Record, ...]) -> bool:
    return not _misfit(link, target, records)


def _misfit(link: Link, target: Record, records: tuple[Record, ...]) -> str:
    if link.owner == target.number:
        return "the record itself"
    wanted, level = _wanted(link, records), LEVELS.get(target.kind)
    if wanted is None or level is None or wanted == level:
        return ""
    if link.what == "first":
        return f"a {target.kind} record cannot stand in the root"
    owner = records[link.owner - 1]
    if link.what == "lower":
        return f"a {target.kind} record cannot stand right below a {owner.kind} record"
    return f"a {target.kind} record cannot follow a {owner.kind} record"


def _fitness(link: Link, target: Record, records: tuple[Record, ...]) -> tuple[bool, bool, bool, int]:
    begin = records[link.owner - 1].offset if link.owner else 0
    return (
        _fits(link, target, records),
        link.what != "next",
        begin < target.offset,
        -abs(target.offset - begin),
    )


def _short_link(
    record: Record,
    records: tuple[Record, ...],
    astray: list[tuple[Link, str]],
    excuses: Mapping[int, Link],
) -> Link | None:
    """The link that should lead to a record that cannot be reached; None when none stands out."""
    if record.number in excuses:
        return excuses[record.number]
    for link, _ in astray:
        if _fits(link, record, records):
            return link
    level = LEVELS.get(record.kind)
    for other in reversed(records[: record.number - 1]):
        its = LEVELS.get(other.kind)
        if its is None or level is None:
            continue
        if its == level and not other.next:
            return Link(other.number, "next", 0)
        if its == level - 1:
            return Link(other.number, "lower", other.lower or 0)
        if its < level - 1:
            break
    return Link(0, "first", 0) if level == 1 else None


__all__ = ["LEVELS", "directory_of"]
