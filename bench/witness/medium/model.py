"""What a removable medium holds: partitions, file system, entries, PS3.10 files, the records of the DICOMDIR.

Rules of this file:

* Everything is a plain value; nothing of the medium is ever used as a path or a name on the host.
* Offsets of files count from the first byte of the file (the preamble included), those of :class:`Trouble` with code
  of the file system from the first byte of the image.
* ``short`` is the name of the raw 8.3 entry; where there is none (a folder) it is the name as the host shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from bench.witness.dataset import DataSet, Element

EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DIRECTORY: Final = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage."""

CODES: Final[Mapping[str, str]] = {
    "no-image": "the bytes of the image end too early",
    "partition": "a partition that cannot be",
    "boot-sector": "a boot sector that makes no sense",
    "file-system": "a file system that is not read here",
    "chain-short": "a cluster chain that ends before the file does",
    "chain-long": "a cluster chain that goes on behind the file",
    "chain-loop": "a cluster chain that comes back to itself",
    "chain-bad": "a cluster chain that leads to a free, bad or impossible cluster",
    "cross-link": "two files that share a cluster",
    "folder-loop": "a folder inside itself",
    "twice": "two entries of one name in a folder",
    "dots": "a folder that does not lead to itself, or not back to the folder above",
    "tables": "two allocation tables that differ",
    "lost": "clusters that are taken and belong to nothing",
    "dirty": "a mark that the file system was not left in order",
    "media-byte": "a boot sector and an allocation table that name different kinds of media",
    "boot-copy": "a copy of the boot sector that is another one",
    "free-count": "a count of free clusters that is wrong",
    "long-name": "long names without an entry",
    "entry": "a folder's entry that makes no sense",
    "link": "a symbolic link or another thing that is no file",
    "unreadable": "a file that the host could not read",
    "bound": "more than is looked at",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong with the medium below its files; ``path`` is the file or folder meant."""

    code: str
    text: str
    path: str = ""
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """An entry of the partition table: ``type`` is the byte of the table; start and length in bytes."""

    number: int
    type: int
    start: int
    length: int
    file_system: str = ""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """Facts of the file system that was read; sizes in bytes, ``free`` in clusters, None where it is not known.

    ``kind`` is ``damaged FAT`` where a boot sector names FAT and makes no sense, ``unknown`` where nothing is known.
    """

    kind: str
    label: str = ""
    start: int = 0
    sector: int = 0
    cluster: int = 0
    clusters: int = 0
    free: int | None = None
    partition: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder: its names from the root down, the 11 raw bytes of its entry, and where its bytes are.

    ``names`` are the long names (the short ones where there are none); ``runs`` are (offset in the image, length).
    """

    short: tuple[str, ...]
    names: tuple[str, ...]
    folder: bool
    size: int
    raw: bytes | None = None
    attributes: int = 0
    runs: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    cut: bool = False

    @property
    def path(self) -> str:
        """The short names with ``/`` between them, printable."""
        return printable("/".join(self.short))

    @property
    def shown(self) -> str:
        """The long names with ``/`` between them, printable."""
        return printable("/".join(self.names))

    @property
    def fragments(self) -> int:
        """In how many pieces its bytes lie."""
        return len(self.runs)


def printable(text: str) -> str:
    """Return a text with everything that is not printable written as an escape; never longer than 300 characters."""
    if len(text) <= 300 and text.isprintable():
        return text
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:300])
    return shown if len(text) <= 300 else shown + "..."


@dataclass(frozen=True)
class DicomFile:
    """A file that is, or should be, one of PS3.10.

    ``begin`` is the byte of the first element of the data set; ``meta_faults`` are (code, sentence, offset) of the file
    meta information; ``dataset`` is None when there is none to be read.
    """

    entry: Entry
    magic: bool
    meta: DataSet
    begin: int = 0
    dataset: DataSet | None = None
    meta_faults: tuple[tuple[str, str, int], ...] = ()
    read: int = 0

    @property
    def path(self) -> str:
        """Where it is on the medium."""
        return self.entry.path

    @property
    def transfer_syntax(self) -> str:
        """That of the file meta information, empty without one."""
        return self.meta.text("TransferSyntaxUID") or ""

    @property
    def sop_class(self) -> str:
        """Of the data set, else of the file meta information."""
        return self._of("SOPClassUID", "MediaStorageSOPClassUID")

    @property
    def sop_instance(self) -> str:
        """Of the data set, else of the file meta information."""
        return self._of("SOPInstanceUID", "MediaStorageSOPInstanceUID")

    def _of(self, own: str, stored: str) -> str:
        text = self.dataset.text(own) if self.dataset is not None else None
        return text or self.meta.text(stored) or ""

    @property
    def is_directory(self) -> bool:
        """Whether it is a DICOMDIR by its SOP Class."""
        return self.meta.text("MediaStorageSOPClassUID") == DIRECTORY

    @cached_property
    def lost(self) -> str:
        """Why it is not whole, a sentence; empty when it is."""
        if self.entry.cut or self.read < self.entry.size:
            return f"only {self.read} of its {self.entry.size} bytes are on the medium"
        dataset = self.dataset
        if dataset is None:
            return "there is no data set in it" if self.magic else ""
        for problem in dataset.problems:
            if problem.code in ("truncated", "missing-delimiter", "deflate"):
                return f"{problem.text}, at byte {self.begin + problem.offset}"
        return ""


@dataclass(frozen=True)
class Record:
    """A directory record: ``number`` from 1 in the order of the bytes, ``offset`` of its item in the file."""

    number: int
    offset: int
    item: DataSet

    @cached_property
    def kind(self) -> str:
        """Directory Record Type, empty when it has none."""
        return self.item.text("DirectoryRecordType") or ""

    @cached_property
    def next(self) -> int | None:
        """Offset of the Next Directory Record; None without a value."""
        return _whole(self.item, "OffsetOfTheNextDirectoryRecord")

    @cached_property
    def lower(self) -> int | None:
        """Offset of Referenced Lower-Level Directory Entity; None without a value."""
        return _whole(self.item, "OffsetOfReferencedLowerLevelDirectoryEntity")

    @cached_property
    def in_use(self) -> bool:
        """Whether it is active: any value but 0000H is (PS3.3 F.3.2.2)."""
        return _whole(self.item, "RecordInUseFlag") != 0

    @cached_property
    def file_id(self) -> tuple[str, ...]:
        """Components of Referenced File ID; () without one."""
        return self.item.texts("ReferencedFileID")

    @cached_property
    def name(self) -> str:
        """For sentences: kind and number."""
        return f"{printable(self.kind) or 'untyped'} record {self.number}"


def _whole(item: DataSet, keyword: str) -> int | None:
    value = item.number(keyword)
    return value if isinstance(value, int) else None


@dataclass(frozen=True, slots=True)
class Link:
    """An offset that a record (or the root, owner 0) holds: ``what`` is first, last, next or lower."""

    owner: int
    what: str
    offset: int


@dataclass(frozen=True)
class Directory:
    """A DICOMDIR: its file, its records, and how they hang together.

    ``parent`` gives the number of the record above (0: the root) of every record that can be reached; ``astray`` are
    links that lead to no record, or to the wrong one, each with a sentence; ``lost`` the first records of what cannot
    be reached, each with the link that is probably too short (or None); ``level_faults`` records in a place where
    their kind may not be; ``stale``: bytes behind the records that belong to nothing.
    """

    file: DicomFile
    records: tuple[Record, ...]
    parent: Mapping[int, int]
    astray: tuple[tuple[Link, str], ...]
    lost: tuple[tuple[Record, Link | None], ...]
    level_faults: tuple[tuple[Record, str], ...]
    stale: int = 0
    end: int = 0
    broken: str = ""

    @cached_property
    def misplaced(self) -> frozenset[int]:
        """Numbers of records in a place where their kind may not be."""
        return frozenset(record.number for record, _ in self.level_faults)

    def reached(self, record: Record) -> bool:
        """Whether a reader that follows the offsets comes to a record."""
        return record.number in self.parent

    def above(self, record: Record) -> tuple[Record, ...]:
        """Return the records above one, nearest first."""
        found: list[Record] = []
        number = self.parent.get(record.number, 0)
        while number and len(found) < 10:
            found.append(self.records[number - 1])
            number = self.parent.get(number, 0)
        return tuple(found)


@dataclass(frozen=True)
class Medium:
    """A removable medium as it was read.

    ``backend``: image or folder; ``scheme``: mbr, gpt or none (a file system without a partition table), folder.
    ``others``: names of file systems in further partitions, with the number of files there.
    """

    name: str
    size: int
    backend: str
    scheme: str
    partitions: tuple[Partition, ...]
    file_system: FileSystem
    entries: tuple[Entry, ...]
    files: tuple[DicomFile, ...]
    directory: Directory | None
    directories: tuple[DicomFile, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    @property
    def raw(self) -> bool:
        """Whether the raw 8.3 entries were seen."""
        return self.backend == "image"

    @cached_property
    def by_path(self) -> Mapping[tuple[str, ...], DicomFile]:
        """DICOM files by their short names."""
        return {file.entry.short: file for file in self.files}

    @cached_property
    def entry_by_path(self) -> Mapping[tuple[str, ...], Entry]:
        """Files and folders by their short names."""
        return {entry.short: entry for entry in self.entries}

    @cached_property
    def entry_by_folded(self) -> Mapping[tuple[str, ...], Entry]:
        """Files and folders by short and long names in upper case."""
        found: dict[tuple[str, ...], Entry] = {}
        for names in ("short", "names"):
            for entry in self.entries:
                found.setdefault(tuple(part.upper() for part in getattr(entry, names)), entry)
        return found

    def find(self, file_id: tuple[str, ...]) -> Entry | None:
        """Return the file that a File ID names, by the raw name, else in any case of letters."""
        exact = self.entry_by_path.get(file_id)
        if exact is not None:
            return exact
        return self.entry_by_folded.get(tuple(part.upper() for part in file_id))


__all__ = [
    "CODES",
    "DIRECTORY",
    "EXPLICIT_LITTLE",
    "DicomFile",
    "Directory",
    "Element",
    "Entry",
    "FileSystem",
    "Link",
    "Medium",
    "Partition",
    "Record",
    "Trouble",
    "printable",
]
