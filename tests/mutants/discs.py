"""Media of a run as file-sets that can be changed: their files, their records, the file system around them.

    disc = recorded(image)                       # a conforming base of mutants
    made = disc.fileset()                        # tests.lab.media.FileSet, to be changed in any way

Rules of this file:

* What nobody changes is written as it was recorded, byte for byte, but for pixels that are made small.
* With a story (:func:`with_story`) nothing is made small: every file's SHA-256 is what the product reported.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from bench.checks.case import SutConfig
from bench.journal import Event
from bench.judge.medium import judge_medium
from bench.judge.volumes import story_of
from bench.witness.medium import Medium, read_medium
from bench.witness.medium.part10 import pieces
from bench.witness.medium.source import Source
from tests.lab.elements import EXPLICIT_LE, TEXT, DataSet
from tests.lab.fat import Path8
from tests.lab.media import FileSet, Record, part10
from tests.lab.replay import read
from tests.mutants.model import Found, Mutant, statement_of
from tests.mutants.shrink import eight_bits

BEFORE: Final = ".before.json"
WORDS: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"))
"""VRs whose values are words of the default repertoire."""


@dataclass(frozen=True)
class Disc:
    """A conforming medium of one product; ``how`` says what is not right with its file system."""

    name: str
    statement: str
    image: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    reference: bool = True
    how: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def medium(self) -> Medium:
        """The medium as it was recorded."""
        return read_medium(self.image)

    @cached_property
    def _whole(self) -> FileSet:
        return _opened(self.image, self.medium, shrink=not self.events)

    def fileset(self) -> FileSet:
        """A copy of its content, to be changed."""
        return copy.deepcopy(self._whole)

    def judged(self, folder: Path, mutant: Mutant | None = None) -> Found:
        """Write it, with the defect of a mutant, and judge the image."""
        made = self.fileset()
        if mutant is not None and mutant.edit is not None:
            mutant.edit(made)
        kind = self.medium.file_system.kind
        path = folder / f"{self.image.name.partition('.')[0]}.img"
        made.write_image(path, **{"kind": kind, **_room(kind, made), **self.how})
        story = None
        if self.events:
            before = self.image.with_suffix(BEFORE)
            path.with_suffix(BEFORE).write_bytes(before.read_bytes())
            now, story = story_of(path, self.events)
            medium = now.medium
            if medium is None:
                raise ValueError(f"the image cannot be read: {now.unreadable}")
        else:
            medium = read_medium(path)
        judged = judge_medium(
            medium,
            statement_of(self.statement),
            config=SutConfig(self.config, "mutants"),
            reference=self.reference,
            story=story,
            events=self.events,
        )
        return {clause.id: clause for clause in judged.clauses}


def _room(kind: str, made: FileSet) -> dict[str, int]:
    """Clusters enough for what is on it."""
    size = sum(len(data) for data in made.files.values())
    least = {"FAT12": 2000, "FAT16": 8000, "FAT32": 70000}[kind]
    return {"clusters": max(least, size // 4096 + 1000)}


def _opened(image: Path, medium: Medium, *, shrink: bool) -> FileSet:
    """Take a medium apart: files by name, objects in the order of their records, records by level."""
    files: dict[Path8, bytes] = {}
    with Source(image) as source:
        for entry in medium.entries:
            if not entry.folder:
                files[entry.short] = b"".join(pieces(entry.runs, source.read))[: entry.size]
    directory = medium.directory
    if directory is None:
        raise ValueError(f"{image.name} has no DICOMDIR")
    data = files.pop(("DICOMDIR",))
    begin = directory.file.begin
    root = worded(read(data[begin:], EXPLICIT_LE))
    records = [Record(ds) for ds in root.get("DirectoryRecordSequence")]
    made = FileSet(files=files, head=_meta(data[:begin]), top=root.drop("DirectoryRecordSequence"))
    for ours, theirs in zip(records, directory.records, strict=True):
        above = directory.above(theirs)
        (records[above[0].number - 1].below if above else made.roots).append(ours)
    by_path = medium.by_path
    for each in made.records():
        path = tuple(str(each.ds.get("ReferencedFileID") or "").split("\\"))
        if len(path) > 1:
            each.ds.put("ReferencedFileID", list(path))
        if path not in by_path:
            continue
        start, syntax = by_path[path].begin, by_path[path].transfer_syntax
        ds = worded(read(files[path][start:], syntax), syntax)
        if shrink:
            eight_bits(ds, syntax)
            files[path] = files[path][:start] + ds.encode(syntax)
        made.objects.append(ds)
        made.paths.append(path)
    return made


def _meta(head: bytes) -> DataSet:
    """File meta information without its group length."""
    found = worded(read(head[132:], EXPLICIT_LE))
    return found.drop(0x00020000)


def worded(made: DataSet, syntax: str = EXPLICIT_LE) -> DataSet:
    """The same data set with words for the bytes of plain values, so that they can be read and compared."""
    for owner, element in made.walk():
        value = element.value
        if element.vr in WORDS and isinstance(value, bytes) and value.isascii():
            owner.change(element.tag, value=value.decode("ascii").rstrip(" \0"))
        elif element.vr in TEXT and isinstance(value, bytes) and not value:
            owner.change(element.tag, value=None)
    return made


def file_of(made: FileSet, number: int) -> bytes:
    """The bytes of an object as it stands now, with the file meta information that it had."""
    path = made.paths[number]
    head = made.files[path]
    length = int.from_bytes(head[140:144], "little")
    meta = _meta(head[: 144 + length])
    return part10(meta, made.objects[number].encode(str(meta.get("TransferSyntaxUID"))))


Change = Callable[[DataSet], object]


def in_object(number: int, change: Change) -> Callable[[FileSet], None]:
    """A defect in an object's data set."""

    def edit(made: FileSet) -> None:
        change(made.objects[number])
        made.files[made.paths[number]] = file_of(made, number)

    return edit


def in_meta(number: int, change: Change) -> Callable[[FileSet], None]:
    """A defect in an object's file meta information; its group length fits."""

    def edit(made: FileSet) -> None:
        path = made.paths[number]
        data = made.files[path]
        length = int.from_bytes(data[140:144], "little")
        meta = _meta(data[: 144 + length])
        change(meta)
        made.files[path] = part10(meta, data[144 + length :])

    return edit
