"""DICOM file-sets of another vendor, as they are found on real media: valid ones with odd habits, and damaged ones.

Rules of this file:

* Pure functions of variant and seed: path -> bytes, the same on every machine.
* The plain set and those said to be *valid* follow PS3.10 section 8 and PS3.3 Annex F; the others break one thing each.
* Names of people are invented.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pydicom.config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID

from bench.volumes.fat import FatVolume

VARIANTS: Final[Mapping[str, str]] = {
    "": "valid: two patients, six images, upper-case names in folders of the vendor's own",
    "private-records": "valid: PRIVATE records, private elements and an icon beside the images",
    "same-names": "valid: names that the product would choose itself (DICOM/PA000001/…)",
    "reversed": "valid: the records lie in the file in reverse order",
    "japanese": "valid: names in ISO 2022 IR 87",
    "inactive": "valid: one record is marked as no longer in use",
    "lower-case": "files have lower-case names, the directory says upper case",
    "semicolon": "files have the version ;1 of a CD behind their names",
    "extension": "files end with .dcm, the directory says so, too",
    "wrong-offsets": "offsets of records are wrong by two",
    "looping": "the last image's next record is the first one",
    "inconsistent": "the consistency flag says that the directory may be wrong",
    "missing-file": "one file that the directory names is not there",
    "truncated-file": "one file ends in the middle of its pixels",
    "escaping": "one record names a file outside of the medium: ..\\..\\ETC\\PASSWD",
    "truncated-dicomdir": "the directory ends in the middle of a record",
    "garbled-dicomdir": "bytes of the directory were overwritten",
}
"""Variant -> what is special about it."""

_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_SC: Final = "1.2.840.10008.5.1.4.1.1.7"
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_IMPLEMENTATION: Final = "2.25.302043790172249692526321623266752743501"
_NAMES: Final = ("OTHER^ONE", "OTHER^TWO")
_JAPANESE: Final = ("Yamada^Tarou=山田^太郎", "Sasaki^Hanako=佐々木^花子")


@dataclass
class _Record:
    """A directory record before its offsets are known; ``used`` False: marked as inactive."""

    data: Dataset
    below: list[_Record] = field(default_factory=list)
    used: bool = True


def foreign_files(variant: str = "", seed: int = 1) -> dict[str, bytes]:
    """The files of a foreign file-set by their paths on the medium (``/`` between, DICOMDIR first).

    Raises:
        ValueError: there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(
            f"there is no foreign file-set {variant!r}; there are {', '.join(v for v in VARIANTS if v)}"
        )
    rng = random.Random(f"{variant} {seed}")  # noqa: S311  # repeatable, not secret
    names = _JAPANESE if variant == "japanese" else _NAMES
    tops: list[_Record] = []
    files: dict[str, bytes] = {}
    number = 0
    for index, name in enumerate(names):
        patient = _dataset(PatientName=name, PatientID=f"FOR{seed:04d}{index}")
        if variant == "japanese":
            patient.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        study = _dataset(
            StudyDate=f"2021030{index + 1}",
            StudyTime="101500",
            AccessionNumber=f"X{index}",
            StudyDescription="FOREIGN STUDY",
            StudyInstanceUID=_uid(rng),
            StudyID=str(index + 1),
        )
        series = _dataset(Modality="OT", SeriesInstanceUID=_uid(rng), SeriesNumber=1)
        leaves: list[_Record] = []
        for instance in range(1, 4):
            number += 1
            parts = _file_id(variant, index, number)
            image, meta, body = _image(rng, patient, study, series, instance)
            files["/".join(parts)] = body
            leaf = _dataset(
                ReferencedSOPClassUIDInFile=_SC,
                ReferencedSOPInstanceUIDInFile=image.SOPInstanceUID,
                ReferencedTransferSyntaxUIDInFile=meta.TransferSyntaxUID,
                InstanceNumber=instance,
            )
            leaf.add(_file_element(parts))
            leaves.append(_Record(_typed("IMAGE", leaf)))
        tops.append(
            _Record(
                _typed("PATIENT", patient),
                [_Record(_typed("STUDY", study), [_Record(_typed("SERIES", series), leaves)])],
            )
        )
    before = _CHANGES.get(variant)
    if before is not None:
        before(tops, rng)
    directory = _directory(tops, variant)
    return {"DICOMDIR": _spoilt(directory, variant, rng), **_on_disk(files, variant)}


def make_foreign(target: Path | FatVolume, variant: str = "", seed: int = 1) -> tuple[str, ...]:
    """Write a foreign file-set into a folder or onto a mounted volume; returns the paths of its files."""
    files = foreign_files(variant, seed)
    for path, body in files.items():
        put(target, path, body)
    return tuple(files)


def put(target: Path | FatVolume, path: str, body: bytes) -> None:
    """Write one file with the folders above it; a name that is there already is an error."""
    parts = path.split("/")
    if isinstance(target, Path):
        place = target.joinpath(*parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as file:
            file.write(body)
        return
    for depth in range(1, len(parts)):
        try:
            target.mkdir("/" + "/".join(parts[:depth]))
        except FileExistsError:
            continue
    handle = target.create("/" + path)
    try:
        for start in range(0, len(body), 1 << 20):
            target.write(handle, start, body[start : start + (1 << 20)])
    finally:
        target.close(handle)


# -- names -----------------------------------------------------------------------------------------


def _file_id(variant: str, patient: int, number: int) -> tuple[str, ...]:
    if variant == "same-names":
        return ("DICOM", f"PA{patient + 1:06d}", "ST000001", "SE000001", f"US{(number - 1) % 3 + 1:06d}")
    last = f"IM{number:05d}" + (".DCM" if variant == "extension" else "")
    return ("IMAGES", f"P{patient}", last)


def _on_disk(files: Mapping[str, bytes], variant: str) -> dict[str, bytes]:
    if variant == "lower-case":
        return {path.lower(): body for path, body in files.items()}
    if variant == "semicolon":
        return {f"{path};1": body for path, body in files.items()}
    if variant == "missing-file":
        return dict(list(files.items())[:-1])
    if variant == "truncated-file":
        last = list(files)[-1]
        return {path: body[:-2000] if path == last else body for path, body in files.items()}
    return dict(files)


# -- images and records ----------------------------------------------------------------------------


def _uid(rng: random.Random) -> str:
    return f"2.25.{rng.getrandbits(120) | 1 << 119}"


def _dataset(**elements: Any) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def _file_element(parts: tuple[str, ...]) -> DataElement:
    """(0004,1500), without pydicom's rightful complaints about names that are none."""
    return DataElement(0x00041500, "CS", list(parts), validation_mode=pydicom.config.IGNORE)


def _typed(kind: str, data: Dataset) -> Dataset:
    made = Dataset()
    made.DirectoryRecordType = kind
    made.update(data)
    return made


def _image(
    rng: random.Random, patient: Dataset, study: Dataset, series: Dataset, number: int
) -> tuple[Dataset, FileMetaDataset, bytes]:
    """A secondary capture of 64 x 64 pixels as a PS3.10 file."""
    data = Dataset()
    for part in (patient, study, series):
        data.update(part)
    data.update(
        _dataset(
            SOPClassUID=_SC,
            SOPInstanceUID=_uid(rng),
            PatientBirthDate="19700101",
            PatientSex="O",
            ReferringPhysicianName="",
            ConversionType="WSD",
            InstanceNumber=number,
            Manufacturer="OTHER VENDOR",
            PatientOrientation="",
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            Rows=64,
            Columns=64,
            BitsAllocated=8,
            BitsStored=8,
            HighBit=7,
            PixelRepresentation=0,
            PixelData=rng.randbytes(64 * 64),
        )
    )
    data["PixelData"].VR = "OB"
    meta = _meta(_SC, data.SOPInstanceUID)
    return data, meta, _file(meta, _encoded(data))


def _meta(sop_class: str, sop_instance: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = UID(_EXPLICIT)
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    meta.ImplementationVersionName = "OTHER_VENDOR_1"
    return meta


def _writer(buffer: BytesIO) -> DicomIO:
    made = DicomIO(buffer)
    made.is_little_endian = True
    made.is_implicit_VR = False
    return made


def _encoded(data: Dataset) -> bytes:
    buffer = BytesIO()
    write_dataset(_writer(buffer), data)
    return buffer.getvalue()


def _file(meta: FileMetaDataset, body: bytes) -> bytes:
    buffer = BytesIO()
    write_file_meta_info(_writer(buffer), meta)
    return bytes(128) + b"DICM" + buffer.getvalue() + body


# -- the directory ---------------------------------------------------------------------------------


def _directory(tops: list[_Record], variant: str) -> bytes:
    """DICOMDIR (PS3.3 F.3): records in depth-first order, or the other way round."""
    ordered: list[_Record] = []

    def walk(record: _Record) -> None:
        ordered.append(record)
        for below in record.below:
            walk(below)

    for top in tops:
        walk(top)
    if variant == "reversed":
        ordered.reverse()
    nothing = dict.fromkeys(map(id, ordered), 0)
    sizes = {id(r): 8 + len(_encoded(_linked(r, tops, nothing, variant))) for r in ordered}
    start = len(_head(0, 0, variant, 0))
    offsets: dict[int, int] = {}
    for record in ordered:
        offsets[id(record)] = start
        start += sizes[id(record)]
    shift = 2 if variant == "wrong-offsets" else 0
    told = {key: value + shift for key, value in offsets.items()}
    items = bytearray()
    for record in ordered:
        body = _encoded(_linked(record, tops, told, variant))
        items += struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
    return _head(told[id(tops[0])], told[id(tops[-1])], variant, len(items)) + bytes(items)


def _head(first: int, last: int, variant: str, length: int) -> bytes:
    root = Dataset()
    root.FileSetID = "OTHERVENDOR"
    root.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = first
    root.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = last
    root.FileSetConsistencyFlag = 0xFFFF if variant == "inconsistent" else 0
    sequence = struct.pack("<HH2sHI", 0x0004, 0x1220, b"SQ", 0, length)
    return _file(_meta(_DIRECTORY, f"2.25.{7**40}"), _encoded(root) + sequence)


def _linked(record: _Record, tops: list[_Record], offsets: Mapping[int, int], variant: str) -> Dataset:
    siblings = _siblings(record, tops)
    place = next(i for i, other in enumerate(siblings) if other is record)
    following = siblings[place + 1] if place + 1 < len(siblings) else None
    if variant == "looping" and following is None and record.data.DirectoryRecordType == "IMAGE":
        following = siblings[0]
    made = Dataset()
    made.OffsetOfTheNextDirectoryRecord = offsets[id(following)] if following is not None else 0
    made.RecordInUseFlag = 0xFFFF if record.used else 0
    made.OffsetOfReferencedLowerLevelDirectoryEntity = offsets[id(record.below[0])] if record.below else 0
    made.update(record.data)
    return made


def _siblings(record: _Record, level: list[_Record]) -> list[_Record]:
    if any(other is record for other in level):
        return level
    return next((found for other in level if (found := _siblings(record, other.below))), [])


def _private_records(tops: list[_Record], rng: random.Random) -> None:
    for top in tops:
        series = top.below[0].below[0]
        for leaf in series.below:
            block = leaf.data.private_block(0x0009, "OTHER VENDOR", create=True)
            block.add_new(0x01, "LO", "kept by nobody else")
            block.add_new(0x02, "OB", rng.randbytes(32))
        icon = _dataset(
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            Rows=16,
            Columns=16,
            BitsAllocated=8,
            BitsStored=8,
            HighBit=7,
            PixelRepresentation=0,
            PixelData=rng.randbytes(256),
        )
        icon["PixelData"].VR = "OB"
        series.below[0].data.IconImageSequence = [icon]
        series.below.append(_Record(_typed("PRIVATE", _dataset(PrivateRecordUID=_uid(rng)))))


def _inactive(tops: list[_Record], rng: random.Random) -> None:
    tops[0].below[0].below[0].below[1].used = False


def _escaping(tops: list[_Record], rng: random.Random) -> None:
    tops[0].below[0].below[0].below[1].data.add(_file_element(("..", "..", "ETC", "PASSWD")))


_CHANGES: Final[Mapping[str, Callable[[list[_Record], random.Random], None]]] = {
    "private-records": _private_records,
    "inactive": _inactive,
    "escaping": _escaping,
}


def _spoilt(directory: bytes, variant: str, rng: random.Random) -> bytes:
    if variant == "truncated-dicomdir":
        return directory[: len(directory) * 2 // 3]
    if variant == "garbled-dicomdir":
        middle = len(directory) // 2
        return directory[:middle] + rng.randbytes(200) + directory[middle + 200 :]
    return directory
