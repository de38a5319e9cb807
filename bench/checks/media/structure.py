"""The DICOMDIR's structure: offsets, what can be reached, kinds and places of records, what lies behind them (PS3.3 F).

Rules of this file:

* The order of records inside a level has no meaning (ruling F4).
* Every fault turns the rule and the clause of the element that is wrong; what cannot be reached because of it is told
  once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.iod.tables import label
from bench.checks.media.authors import authors, older
from bench.checks.media.common import FIRST, LAST, LOWER, MOST, NEXT, RECORDS, clauses_of, judged, number, on
from bench.checks.media.view import in_file, in_record
from bench.resultmodel import Evidence
from bench.witness.medium import LEVELS, Directory, Link, Medium, Record, printable

if TYPE_CHECKING:
    from bench.checks.case import Case

READABLE: Final = "STD-MED-030"
LAST_ROOT: Final = "STD-MED-032"
REACHED: Final = "STD-MED-035"
SINGLE: Final = "STD-MED-045"
IN_USE: Final = "STD-MED-036"
PLACE: Final = "STD-MED-037"
KIND: Final = "STD-MED-038"
CONSISTENT: Final = "STD-MED-039"
BEHIND: Final = "STD-MED-040"
OFFSETS: Final = {
    "first": ("STD-MED-031", FIRST),
    "next": ("STD-MED-033", NEXT),
    "lower": ("STD-MED-034", LOWER),
}
KINDS: Final = frozenset((*LEVELS, "PRIVATE", "MRDR", "VISIT", "RESULTS", "INTERPRETATION", "STUDY COMPONENT", "TOPIC",
                          "CURVE", "OVERLAY", "MODALITY LUT", "VOI LUT", "FILM SESSION", "FILM BOX", "IMAGE BOX",
                          "STORED PRINT", "PRINT QUEUE", "PATIENT"))  # fmt: skip
"""Defined kinds, retired ones too (PS3.3 F.3.2.2.1)."""
Fault = tuple[str, Evidence, tuple[str, ...]]


@check("STD-MED-03*", "STD-MED-040", SINGLE, "MX-MED-DIR-0*")
def structure(case: Case) -> Iterator[Finding]:
    """The DICOMDIR of every medium."""
    for medium in case.media:
        if medium.directory is not None and (medium.directory.file.magic or medium.directory.records):
            yield from _structure(case, medium, medium.directory)


def _structure(case: Case, medium: Medium, directory: Directory) -> Iterator[Finding]:
    file = directory.file
    where = in_file(file, offset=file.begin)
    count = len(directory.records)
    if directory.broken:
        reason = f"the DICOMDIR cannot be read to its end: {directory.broken}"
        yield from on((READABLE, *clauses_of(case, RECORDS)), failed, reason, in_file(file, offset=file.read))
    else:
        yield passed(READABLE, f"{number(count, 'record')} can be read", where)
        yield from _offsets(case, medium, directory)
        if directory.stale:
            reason = f"{number(directory.stale, 'byte')} stand behind the end of the records"
            yield failed(BEHIND, reason, in_file(file, offset=directory.end))
        else:
            yield passed(BEHIND, "the file ends with its records", where)
    yield from _records(case, medium, directory)
    root = file.dataset
    flag = root.number("FileSetConsistencyFlag") if root is not None else None
    if flag is not None and root is not None:
        place = in_file(file, root.get("FileSetConsistencyFlag"))
        if flag:
            reason = f"File-set Consistency Flag is {int(flag):04X}H: there are known inconsistencies"
            yield from on((CONSISTENT, *clauses_of(case, "FileSetConsistencyFlag")), failed, reason, place)
        else:
            yield passed(CONSISTENT, "File-set Consistency Flag is 0000H", place)


def _place(medium: Medium, directory: Directory, link: Link) -> Evidence:
    if link.owner:
        return in_record(medium, directory.records[link.owner - 1], OFFSETS[link.what][1])
    root = directory.file.dataset
    element = root.get(FIRST) if root is not None else None
    return in_file(directory.file, element or "(0004,1200)")


def _owner(directory: Directory, link: Link) -> str:
    return directory.records[link.owner - 1].name if link.owner else "the root"


def _offsets(case: Case, medium: Medium, directory: Directory) -> Iterator[Finding]:
    faults: dict[str, list[Fault]] = {what: [] for what in OFFSETS}
    for link, text in directory.astray:
        keyword = OFFSETS[link.what][1]
        word = {"first": "first record", "next": "next record", "lower": "lower-level entity"}[link.what]
        reason = f"{_owner(directory, link)}: the offset of its {word} leads to {text}"
        faults[link.what].append((reason, _place(medium, directory, link), clauses_of(case, keyword)))
    astray = {(link.owner, link.what) for link, _ in directory.astray}
    unreached: list[Fault] = []
    for record, missing in directory.lost:
        if missing is not None and (missing.owner, missing.what) in astray:
            continue  # told above
        reason = f"{record.name}, which is in use, cannot be reached from the root"
        place = in_record(medium, record)
        if missing is not None:
            keyword = OFFSETS[missing.what][1]
            reason += f"; {_owner(directory, missing)} should lead to it"
            place = _place(medium, directory, missing)
            faults[missing.what].append((reason, place, clauses_of(case, keyword)))
        elif astray:
            continue
        unreached.append((reason, place, () if missing is not None else clauses_of(case, RECORDS)))
    where = in_file(directory.file, offset=directory.file.begin)
    for what, (rule, _) in OFFSETS.items():
        right = "every offset of its kind leads to the right record"
        yield from judged(rule, faults[what], 1, right, where)
    if not (astray and not unreached):
        yield from judged(REACHED, unreached, 1, "every record in use can be reached", where)
    yield from _last(case, directory, bool(faults["first"] or faults["next"]))


def _last(case: Case, directory: Directory, doubtful: bool) -> Iterator[Finding]:
    root = directory.file.dataset
    element = root.get(LAST) if root is not None else None
    if root is None or element is None:
        return
    said = root.number(LAST)
    ends = [
        record for record in directory.records if directory.parent.get(record.number) == 0 and not record.next
    ]
    tops = {r.offset for r in directory.records if directory.parent.get(r.number) == 0}
    wanted = ends[-1].offset if ends else 0
    place = in_file(directory.file, element)
    if said == wanted:
        yield passed(LAST_ROOT, "the offset of the last root record is right", place)
    elif doubtful and (said in tops or said in {r.offset for r in directory.records}):
        return  # which one is the last is not known
    else:
        where = f"that record begins at byte {wanted}"
        if doubtful or not ends:
            where = "no record begins there"
        reason = f"the offset of the last root record is {said}; {where}"
        yield from on((LAST_ROOT, *clauses_of(case, LAST)), failed, reason, place)


def _records(case: Case, medium: Medium, directory: Directory) -> Iterator[Finding]:
    kinds: list[Fault] = []
    flags: list[Fault] = []
    for record in directory.records:
        if older(case, record):
            continue
        if record.kind not in KINDS and record.item.state("DirectoryRecordType") == "value":
            place = in_record(medium, record, "DirectoryRecordType")
            reason = f"record {record.number} has the type {printable(record.kind)!r}, which is none of the standard's"
            kinds.append((reason, place, clauses_of(case, "DirectoryRecordType")))
        flag = record.item.number("RecordInUseFlag")
        if flag is not None and flag != 0xFFFF:
            place = in_record(medium, record, "RecordInUseFlag")
            what = "is inactive" if flag == 0 else "has an unknown state"
            reason = f"{record.name} {what}: Record In-use Flag is {int(flag):04X}H"
            flags.append((reason, place, clauses_of(case, "RecordInUseFlag")))
    places: list[Fault] = [
        (f"{record.name}: {why}", in_record(medium, record, "DirectoryRecordType"),
         clauses_of(case, "DirectoryRecordType"))
        for record, why in directory.level_faults
        if not older(case, record)
    ]  # fmt: skip
    count = len(directory.records)
    where = in_file(directory.file, offset=directory.file.begin)
    yield from judged(KIND, kinds, count, f"{number(count, 'record')} have defined types", where)
    yield from judged(IN_USE, flags, count, f"{number(count, 'record')} are in use", where)
    yield from judged(PLACE, places, count, f"{number(count, 'record')} stand where they may", where)
    yield from _doubles(case, medium, directory)
    yield from _childless(directory)


IDENTIFIER: Final = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "PATIENT": "PatientID"}


def _doubles(case: Case, medium: Medium, directory: Directory) -> Iterator[Finding]:
    """One record for a patient, a study and a series in the whole file-set; where both are foreign, a remark."""
    own = authors(case).records
    seen: dict[tuple[str, str], Record] = {}
    faults: list[Fault] = []
    for record in directory.records:
        keyword = IDENTIFIER.get(record.kind)
        value = (record.item.text(keyword) or "").strip() if keyword else ""
        if not keyword or not value or not record.in_use:
            continue
        first = seen.setdefault((record.kind, value), record)
        if first is record:
            continue
        text = f"{record.name} and {first.name} have the same {label(keyword)} {printable(value)}"
        mine = [one for one in (record, first) if one.number in own]
        if mine:
            faults.append((text, in_record(medium, mine[0], keyword), ()))
        else:
            yield remark(SINGLE, text)
    count = len(seen)
    where = in_file(directory.file, offset=directory.file.begin)
    yield from judged(SINGLE, faults, count, f"{number(count, 'patient, study or series')} once", where)


def _childless(directory: Directory) -> Iterator[Finding]:
    """A patient, study or series without anything below it: allowed, and seldom meant."""
    if directory.broken or directory.astray or directory.lost:
        return
    parents = set(directory.parent.values())
    empty = [r for r in directory.records if r.kind in IDENTIFIER and r.in_use and r.number not in parents]
    for record in empty[:MOST]:
        yield remark(PLACE, f"{record.name}: there is nothing below it")
