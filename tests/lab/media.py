"""Removable media in bytes: FAT images, and file-sets with a DICOMDIR, right or wrong in any place.

    disc = FileSet.of_mx1()                          # one patient, a study, two series, three objects
    disc.files["DICOM", "PA000001", "X"] = b"..."     # any file
    disc.record("IMAGE", 1).drop("InstanceNumber")   # any record; offsets are set when the DICOMDIR is written
    disc.after = lambda data: data[:-200]            # any byte of the DICOMDIR
    disc.write_image(path, kind="FAT16")             # or write_folder(path)

Rules of this file: nothing is repaired; what is asked for is written.  Images are sparse.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab.elements import EXPLICIT_LE, DataSet
from tests.lab.fat import Path8, Volume, fat_image
from tests.lab.products.facts import PERSONS, Person
from tests.lab.products.mx1 import Picture, Scan, image

MEDIA_UID: Final = "1.2.392.200036.9107.700.1"
MEDIA_VERSION: Final = "MG_DICOM V1.00"
DIRECTORY: Final = "1.2.840.10008.1.3.10"
START: Final = 1_767_259_800.0
"""When exams begin: 2026-01-01."""
NEXT: Final = "OffsetOfTheNextDirectoryRecord"
LOWER: Final = "OffsetOfReferencedLowerLevelDirectoryEntity"
FIRST: Final = "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity"
LAST: Final = "OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity"


# Files of PS3.10


def meta(
    sop_class: str,
    sop_instance: str,
    syntax: str = EXPLICIT_LE,
    *,
    uid: str | None = MEDIA_UID,
    version: str | None = MEDIA_VERSION,
) -> DataSet:
    """File meta information without its group length."""
    made = DataSet(
        FileMetaInformationVersion=b"\0\1",
        MediaStorageSOPClassUID=sop_class,
        MediaStorageSOPInstanceUID=sop_instance,
        TransferSyntaxUID=syntax,
    )
    if uid is not None:
        made.put("ImplementationClassUID", uid)
    if version is not None:
        made.put("ImplementationVersionName", version)
    return made


def part10(head: DataSet, body: bytes, *, length: int | None = None) -> bytes:
    """A file: preamble, prefix, file meta information with its group length, data set."""
    group = head.encode(EXPLICIT_LE)
    size = len(group) if length is None else length
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, size) + group + body


def object_file(ds: DataSet, syntax: str = EXPLICIT_LE, **how: str | None) -> bytes:
    """A file of an object."""
    head = meta(str(ds.get("SOPClassUID")), str(ds.get("SOPInstanceUID")), syntax, **how)
    return part10(head, ds.encode(syntax))


@dataclass
class Record:
    """A directory record: its elements, and the records below."""

    ds: DataSet
    below: list[Record] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Directory Record Type."""
        return str(self.ds.get("DirectoryRecordType"))

    def walk(self) -> Iterator[Record]:
        """This and all below, depth first."""
        yield self
        for record in self.below:
            yield from record.walk()


def record(kind: str, **keys: object) -> Record:
    """A record in use with its offsets still 0."""
    return Record(
        DataSet(
            **{NEXT: 0, LOWER: 0},
            RecordInUseFlag=0xFFFF,
            DirectoryRecordType=kind,
            **{key: value for key, value in keys.items() if value is not ...},
        )
    )


@dataclass
class FileSet:
    """Files by their names from the root down, and the records of the DICOMDIR.

    ``links`` change offsets before they are written: it gets (records in the order of the bytes, their offsets) and may
    put other ones.  ``after`` changes the finished bytes of the DICOMDIR.
    """

    files: dict[Path8, bytes] = field(default_factory=dict)
    roots: list[Record] = field(default_factory=list)
    head: DataSet = field(default_factory=lambda: meta(DIRECTORY, "2.25.1234567890"))
    top: DataSet = field(
        default_factory=lambda: DataSet(FileSetID=None, **{FIRST: 0, LAST: 0}, FileSetConsistencyFlag=0)
    )
    links: Callable[[list[Record], list[int], DataSet], None] | None = None
    after: Callable[[bytes], bytes] | None = None
    undefined: bool = False
    directory: bool = True
    objects: list[DataSet] = field(default_factory=list)
    paths: list[Path8] = field(default_factory=list)

    @classmethod
    def of_mx1(
        cls,
        person: Person | None = None,
        pictures: tuple[Picture, ...] = (
            Picture("us", number=1),
            Picture("us", number=2),
            Picture("clip", number=1),
        ),
        **how: str | None,
    ) -> FileSet:
        """A file-set as MX1 writes it."""
        found = cls()
        found.add(Scan(person or PERSONS["default"], start=START), pictures, **how)
        return found

    def add(
        self, scan: Scan, pictures: tuple[Picture, ...], *, base: str = "DICOM", **how: str | None
    ) -> None:
        """Add the objects of an exam with their records."""
        patient_number = len(self.roots) + 1
        patient = study = None
        series: dict[str, Record] = {}
        for picture in pictures:
            ds = image(scan, picture, "1.20")
            charset = ds.get("SpecificCharacterSet")
            sets = {"SpecificCharacterSet": charset} if charset else {}
            if patient is None:
                patient = record(
                    "PATIENT",
                    **sets,
                    **{k: ds.get(k) for k in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")},
                )
                study = record(
                    "STUDY",
                    **{
                        k: ds.get(k)
                        for k in (
                            "StudyDate",
                            "StudyTime",
                            "AccessionNumber",
                            "StudyDescription",
                            "StudyInstanceUID",
                            "StudyID",
                        )
                    },
                )
                patient.below.append(study)
                self.roots.append(patient)
            assert study is not None
            uid = str(ds.get("SeriesInstanceUID"))
            if uid not in series:
                series[uid] = record(
                    "SERIES", **{k: ds.get(k) for k in ("Modality", "SeriesInstanceUID", "SeriesNumber")}
                )
                study.below.append(series[uid])
            path = (
                base,
                f"PA{patient_number:06d}",
                "ST000001",
                f"SE{list(series).index(uid) + 1:06d}",
                f"IM{picture.number:06d}",
            )
            self.files[path] = object_file(ds, picture.syntax, **how)
            series[uid].below.append(
                record(
                    "IMAGE",
                    ReferencedFileID=list(path),
                    ReferencedSOPClassUIDInFile=ds.get("SOPClassUID"),
                    ReferencedSOPInstanceUIDInFile=ds.get("SOPInstanceUID"),
                    ReferencedTransferSyntaxUIDInFile=picture.syntax,
                    InstanceNumber=ds.get("InstanceNumber"),
                )
            )
            self.objects.append(ds)
            self.paths.append(path)

    def records(self) -> list[Record]:
        """All records, depth first."""
        return [each for root in self.roots for each in root.walk()]

    def record(self, kind: str, number: int = 1) -> DataSet:
        """The elements of a record by kind and number from 1."""
        return [each for each in self.records() if each.kind == kind][number - 1].ds

    def dicomdir(self) -> bytes:
        """The bytes of the DICOMDIR."""
        ordered = self.records()
        begin = len(part10(self.head, b""))
        syntax = str(self.head.get("TransferSyntaxUID") or EXPLICIT_LE)
        top = self.top.copy()
        prefix = len(top.encode(syntax)) + (12 if syntax != "1.2.840.10008.1.2" else 8)
        gap = 16 if self.undefined else 8
        offsets, at = [], begin + prefix
        for each in ordered:
            offsets.append(at)
            at += len(each.ds.encode(syntax)) + gap
        place = {id(each): offset for each, offset in zip(ordered, offsets, strict=True)}

        def link(level: list[Record]) -> None:
            for each, then in zip(level, [*level[1:], None], strict=False):
                each.ds.put(NEXT, place[id(then)] if then is not None else 0)
                each.ds.put(LOWER, place[id(each.below[0])] if each.below else 0)
                link(each.below)

        link(self.roots)
        if self.roots:
            top.put(FIRST, place[id(self.roots[0])])
            top.put(LAST, place[id(self.roots[-1])])
        if self.links is not None:
            self.links(ordered, offsets, top)
        top.put("DirectoryRecordSequence", [each.ds for each in ordered])
        data = part10(self.head, top.encode(syntax, undefined=self.undefined))
        return self.after(data) if self.after is not None else data

    def all_files(self) -> dict[Path8, bytes]:
        """Every file, the DICOMDIR first."""
        return ({("DICOMDIR",): self.dicomdir()} if self.directory else {}) | self.files

    def write_folder(self, folder: Path) -> Path:
        """Write a mounted medium."""
        for path, data in self.all_files().items():
            target = folder.joinpath(*path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return folder

    def write_image(self, path: Path, **how: object) -> Path:
        """Write an image; *how* as :func:`fat_image`."""
        return fat_image(path, self.all_files(), **how)  # type: ignore[arg-type]


__all__ = [
    "DIRECTORY",
    "FIRST",
    "LAST",
    "LOWER",
    "MEDIA_UID",
    "MEDIA_VERSION",
    "NEXT",
    "START",
    "FileSet",
    "Record",
    "Volume",
    "fat_image",
    "meta",
    "object_file",
    "part10",
    "record",
]
