"""Defaults about media that a medium shows (MX-D-19 and the like), for reference products; else a remark.

Rules of this file: as in :mod:`bench.checks.defaults`; found by the fact that a default states, so that another
statement's defaults of the same fact are judged too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.defaults.common import keeps, suits
from bench.checks.finding import Finding, check
from bench.checks.media.authors import authors
from bench.checks.media.view import in_file, story_of
from bench.resultmodel import Evidence
from bench.witness.medium import DicomFile, Medium, printable

if TYPE_CHECKING:
    from bench.checks.case import Case

_NAME: Final = re.compile(r"DICOM/PA\d{6}/ST[0-9A-Z_]+/SE[0-9A-Z_]+/IM[0-9A-Z_]+")
PRIVATE: Final = ("PrivateInformationCreatorUID", "PrivateInformation", "SourceApplicationEntityTitle")
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"


@check("MX-D-19", "MX-D-20", "MX-D-21", "MX-D-22", "MX-D-26", "MX-D-27", "MX-D-28")
def habits(case: Case) -> Iterator[Finding]:
    """The defaults of the statement, by their facts."""
    facts = {default.fact: id for id, default in case.statement.defaults.items()}
    for medium in case.media:
        own = [file for file in medium.files if file.path in authors(case).own and file.magic]
        for begin, judge in _JUDGES.items():
            for fact, id in facts.items():
                if fact.startswith(begin):
                    yield from judge(case, id, medium, own)


def _older(case: Case) -> bool:
    """Whether the file-set was there before the product wrote: what it is called and how it lies is another's."""
    story = story_of(case)
    return story is not None and bool(story.had_file_set)


def _names(case: Case, id: str, medium: Medium, own: list[DicomFile]) -> Iterator[Finding]:
    for file in own:
        good = bool(_NAME.fullmatch(file.path.upper() if not medium.raw else file.path))
        yield keeps(case, id, good, file.path, f"the object is called {file.path}", in_file(file, offset=0))


def _file_set_id(case: Case, id: str, medium: Medium, own: list[DicomFile]) -> Iterator[Finding]:
    directory = medium.directory
    root = directory.file.dataset if directory is not None else None
    if _older(case):
        return
    if directory is not None and root is not None and root.has("FileSetID"):
        place = in_file(directory.file, root.get("FileSetID"))
        kept = root.state("FileSetID") == "empty"
        yield keeps(case, id, kept, "File-set ID is empty", "File-set ID has a value", place)


def _system(case: Case, id: str, medium: Medium, own: list[DicomFile]) -> Iterator[Finding]:
    kind = medium.file_system.kind
    if medium.raw and own:
        text = f"the file system is {kind}"
        yield suits(case, id, kind in ("FAT16", "FAT32"), text, text, Evidence(what="the file system"))


def _syntax(case: Case, id: str, medium: Medium, own: list[DicomFile]) -> Iterator[Finding]:
    for file in own:
        text = f"{file.path} is in {file.transfer_syntax}"
        kept = file.transfer_syntax == EXPLICIT_LITTLE
        place = in_file(file, file.meta.get("TransferSyntaxUID"))
        yield suits(case, id, kept, text, text, place)


def _order(case: Case, id: str, medium: Medium, own: list[DicomFile]) -> Iterator[Finding]:
    directory = medium.directory
    if directory is None or not directory.records or directory.astray or directory.broken or _older(case):
        return
    below: dict[int, list[int]] = {}
    for record in directory.records:
        if directory.reached(record):
            below.setdefault(directory.parent[record.number], []).append(record.number)
    walk: list[int] = []
    waiting = list(reversed(below.get(0, [])))
    while waiting:
        number = waiting.pop()
        walk.append(number)
        waiting.extend(reversed(below.get(number, [])))
    place = in_file(directory.file, offset=directory.file.begin)
    kept = walk == sorted(walk)
    yield keeps(
        case, id, kept, "the records are in depth-first order", "the records are not depth-first", place
    )


def _private(case: Case, id: str, medium: Medium, own: list[DicomFile]) -> Iterator[Finding]:
    for file in own:
        there = next((keyword for keyword in PRIVATE if file.meta.has(keyword)), None)
        place = in_file(file, file.meta.get(there) if there else None)
        yield keeps(case, id, there is None, "none of them is there", f"{file.path} has {there}", place)


def _uids(case: Case, id: str, medium: Medium, own: list[DicomFile]) -> Iterator[Finding]:
    for file in own:
        kept = file.sop_instance.startswith("2.25.")
        text = f"{file.path} is the instance {printable(file.sop_instance)}"
        yield keeps(case, id, kept, text, text, in_file(file, "(0008,0018)"))


_JUDGES: Final = {
    "Instance UIDs": _uids,
    "File names on media": _names,
    "File-set ID": _file_set_id,
    "File system": _system,
    "Files written in which syntax": _syntax,
    "DICOMDIR offsets and order": _order,
    "Private information": _private,
}
