"""Removable media: an image of a USB stick or SD card, or the folder where one is mounted, read and never changed.

Rules of this package:

* Own readers only: partition table, FAT, PS3.10 files, DICOMDIR; no pydicom, no mount, nothing of one operating system.
* No name of the medium is ever used as a path of the host.
* Bounded in time and memory whatever the bytes say; what is left out is told as a :class:`Trouble`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from bench.witness.medium import folder as folders
from bench.witness.medium.disk import FAT_TYPES, PROTECTIVE, SECTOR, damaged, leads_to_fat, look, name_of
from bench.witness.medium.fat import Fat
from bench.witness.medium.fatform import Geometry, geometry
from bench.witness.medium.model import (
    DIRECTORY,
    DicomFile,
    Directory,
    Entry,
    FileSystem,
    Link,
    Medium,
    Partition,
    Record,
    Trouble,
    printable,
)
from bench.witness.medium.part10 import HEAD, pieces, read_file
from bench.witness.medium.records import LEVELS, directory_of
from bench.witness.medium.source import Source, TooBig

NAME: Final = "DICOMDIR"
CAPTURES: Final = frozenset(
    bytes.fromhex(magic) for magic in ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "0a0d0d0a")
)
"""First bytes of pcap and pcapng."""
READ: Final = 1 << 34
"""Bytes of DICOM files that are read in all."""


class NotAMedium(Exception):
    """This is no image of a medium; the message says why."""


Content = Callable[[Entry, int | None], Iterator[bytes]]
"""Gives the bytes of a file in pieces: all, or the first so many."""


def looks_like_medium(path: Path) -> bool:
    """Tell whether a file (gzip is looked into) is an image of a medium: a partition table, or a known file system."""
    try:
        with path.open("rb") as stream:
            head = stream.read(SECTOR)
            if head[:4] in CAPTURES:
                return False
            if len(head) == SECTOR and leads_to_fat(head, lambda first: _sector(stream, first)):
                return True
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as unpacked:
                head = unpacked.read(SECTOR)
    except (OSError, EOFError, zlib.error):
        return False
    if head[:4] in CAPTURES:
        return False
    if name_of(head):
        return True
    parts = [head[446 + 16 * n : 462 + 16 * n] for n in range(4)]
    return head[510:512] == b"\x55\xaa" and any(
        part[4] and part[0] in (0, 0x80) and any(part[12:16]) for part in parts
    )


def _sector(stream: IO[bytes], first: int) -> bytes:
    stream.seek(first)
    return stream.read(SECTOR)


def read_medium(path: Path) -> Medium:
    """Read an image or a folder.

    Raises:
        NotAMedium: it is none, or cannot be read.
    """
    if path.is_dir():
        return _folder(path)
    try:
        with Source(path) as source:
            return _image(path.name, source)
    except (OSError, TooBig) as error:
        raise NotAMedium(f"{path}: {error}") from error


def _image(name: str, source: Source) -> Medium:
    scheme, partitions, troubles = look(source)
    if not scheme or (scheme == "mbr" and not partitions):
        raise NotAMedium(f"{name}: there is neither a partition table nor a FAT file system in it")
    spots = [(one.number, one.start) for one in partitions] or [(0, 0)]
    best: tuple[Fat | None, FileSystem] | None = None
    for number, start in spots:
        if number and (not start or start >= source.size):
            continue
        form = geometry(source.read(start, 512))
        part = next((one for one in partitions if one.number == number), None)
        if not isinstance(form, Geometry):
            first = source.read(start, SECTOR)
            kind = (part.file_system if part is not None else "") or name_of(first)
            if not kind and damaged(first):
                kind = "damaged FAT"
            if best is None:
                best = None, FileSystem(kind or "unknown", start=start, partition=number)
            if kind in ("", "damaged FAT") and part is not None and part.type in FAT_TYPES:
                troubles.append(Trouble("boot-sector", f"partition {number}: {form}", offset=start))
            continue
        fat = Fat(source, start, form)
        fat.walk()
        has = any(entry.short == (NAME,) for entry in fat.entries)
        if best is None or best[0] is None or has:
            best = fat, fat.facts(number)
        if has:
            break
    if best is None:
        best = None, FileSystem("unknown")
    fat_found, facts = best
    if fat_found is None:
        if facts.kind not in ("unknown", "damaged FAT"):
            troubles.append(
                Trouble("file-system", f"the file system is {facts.kind}, which is not read here")
            )
        return Medium(
            name, source.size, "image", scheme, partitions, facts, (), (), None, (), tuple(troubles)
        )

    def content(entry: Entry, most: int | None) -> Iterator[bytes]:
        left = most
        for data in pieces(entry.runs, source.read):
            if left is not None:
                if left <= 0:
                    return
                data = data[:left]
                left -= len(data)
            yield data

    medium = Medium(name, source.size, "image", scheme, partitions, facts, tuple(fat_found.entries), (), None)
    return _with_files(medium, content, [*troubles, *fat_found.troubles])


def _folder(path: Path) -> Medium:
    entries, places, troubles = folders.walk(path)
    if not any(not entry.folder for entry in entries):
        raise NotAMedium(f"{path}: there is no file in this folder")

    def content(entry: Entry, most: int | None) -> Iterator[bytes]:
        place = places.get(entry.short)
        if place is None:
            return
        left = most
        try:
            with open(place, "rb") as stream:
                while left is None or left > 0:
                    data = stream.read(1 << 20 if left is None else min(left, 1 << 20))
                    if not data:
                        return
                    if left is not None:
                        left -= len(data)
                    yield data
        except OSError as error:
            troubles.append(Trouble("unreadable", f"{entry.path}: {error.strerror}", entry.path))

    size = sum(entry.size for entry in entries)
    facts = FileSystem("folder")
    medium = Medium(path.name, size, "folder", "folder", (), facts, tuple(entries), (), None)
    return _with_files(medium, content, troubles)


def _with_files(medium: Medium, content: Content, troubles: list[Trouble]) -> Medium:
    """Read the DICOMDIR, the files that it names, and every other file that is one of PS3.10."""
    budget = [READ]
    files: dict[tuple[str, ...], DicomFile] = {}

    def take(entry: Entry, directory: bool = False) -> DicomFile | None:
        if entry.short in files:
            return files[entry.short]
        budget[0] -= sum(length for _, length in entry.runs) or entry.size
        if budget[0] < 0:
            if len(troubles) < 500:
                troubles.append(Trouble("bound", f"{entry.path} is not read: there is too much", entry.path))
            return None
        found = files[entry.short] = read_file(entry, content(entry, None), directory=directory)
        return found

    root = next((e for e in medium.entries if len(e.short) == 1 and _named(e) and not e.folder), None)
    directory = None
    if root is not None:
        file = take(root, directory=True)
        directory = directory_of(file) if file is not None else None
    wanted: set[tuple[str, ...]] = set()
    if directory is not None:
        for record in directory.records:
            entry = medium.find(record.file_id) if record.file_id else None
            if entry is not None and not entry.folder:
                wanted.add(entry.short)
    for entry in medium.entries:
        if entry.folder or entry is root:
            continue
        if entry.short in wanted or b"".join(content(entry, HEAD))[128:132] == b"DICM":
            take(entry)
    ordered = tuple(files[e.short] for e in medium.entries if e.short in files and e is not root)
    further = tuple(f for f in ordered if f.is_directory or f.entry.short[-1].upper() == NAME)
    return replace(
        medium,
        files=tuple(f for f in ordered if f not in further),
        directory=directory,
        directories=further,
        troubles=tuple(troubles),
    )


def _named(entry: Entry) -> bool:
    return entry.short[0] == NAME or entry.names[0].upper() == NAME


__all__ = [
    "DIRECTORY",
    "FAT_TYPES",
    "LEVELS",
    "PROTECTIVE",
    "DicomFile",
    "Directory",
    "Entry",
    "FileSystem",
    "Link",
    "Medium",
    "NotAMedium",
    "Partition",
    "Record",
    "Trouble",
    "looks_like_medium",
    "printable",
    "read_medium",
]
