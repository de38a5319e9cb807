"""Defects of file-sets, each with the rules and clauses that it breaks: for tests/unit/test_media_defects.py."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.lab.elements import IMPLICIT_LE, JPEG_BASELINE, DataSet, Element, Fragments
from tests.lab.media import (
    FIRST,
    LAST,
    LOWER,
    NEXT,
    START,
    FileSet,
    Record,
    meta,
    object_file,
    part10,
)
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import SC, Picture, Scan, image

Change = Callable[[FileSet], None]


def _links(change: Callable[[list[Record], list[int], DataSet], None]) -> Change:
    def defect(made: FileSet) -> None:
        made.links = change

    return defect


def _bytes(change: Callable[[bytes], bytes]) -> Change:
    def defect(made: FileSet) -> None:
        made.after = change

    return defect


def _of(kind: str, number: int, change: Callable[[DataSet], object]) -> Change:
    def defect(made: FileSet) -> None:
        change(made.record(kind, number))

    return defect


def _kind(ordered: list[Record], kind: str, number: int) -> int:
    return [n for n, each in enumerate(ordered) if each.kind == kind][number - 1]


def _missing(made: FileSet) -> None:
    del made.files[made.paths[0]]


def _cut(made: FileSet) -> None:
    made.files[made.paths[0]] = made.files[made.paths[0]][:-700]


def _renamed(made: FileSet) -> None:
    old = made.paths[0]
    made.files[*old[:-1], "im_in_lower_case"] = made.files.pop(old)


def _replaced(made: FileSet) -> None:
    other = made.objects[0].copy().put("SOPInstanceUID", "2.25.777")
    made.files[made.paths[0]] = object_file(other)


def _unreferenced_file(made: FileSet) -> None:
    made.files[("EXTRA",)] = object_file(made.objects[0].copy().put("SOPInstanceUID", "2.25.778"))


def _long_uid(made: FileSet) -> None:
    uid = "1.2." + "3" * 62
    ds = made.objects[0].put("SOPInstanceUID", uid)
    made.files[made.paths[0]] = object_file(ds)
    made.record("IMAGE").put("ReferencedSOPInstanceUIDInFile", uid)


def _next_astray(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    ordered[_kind(ordered, "IMAGE", 1)].ds.put(NEXT, offsets[_kind(ordered, "IMAGE", 2)] + 6)


def _next_short(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    ordered[_kind(ordered, "IMAGE", 1)].ds.put(NEXT, 0)


def _next_back(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    ordered[_kind(ordered, "IMAGE", 2)].ds.put(NEXT, offsets[_kind(ordered, "IMAGE", 1)])


def _next_into_other_series(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    ordered[_kind(ordered, "IMAGE", 2)].ds.put(NEXT, offsets[_kind(ordered, "IMAGE", 3)])


def _lower_astray(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    ordered[_kind(ordered, "SERIES", 1)].ds.put(LOWER, offsets[_kind(ordered, "IMAGE", 1)] - 4)


def _lower_absent(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    ordered[_kind(ordered, "STUDY", 1)].ds.put(LOWER, 0)


def _first_astray(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    top.put(FIRST, offsets[0] + 8)


def _last_astray(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    top.put(LAST, offsets[-1])


def _inactive(made: FileSet) -> None:
    made.record("IMAGE", 2).put("RecordInUseFlag", 0)


def _flat(made: FileSet) -> None:
    study = made.roots[0].below[0]
    study.below = study.below[0].below + study.below[1:]


def _doubled(made: FileSet) -> None:
    series = made.roots[0].below[0].below[0]
    again = series.below[0].ds.copy()
    series.below.append(Record(again))


def _second_instance(made: FileSet) -> None:
    path = (*made.paths[0][:-1], "COPY0001")
    made.files[path] = made.files[made.paths[0]]
    series = made.roots[0].below[0].below[0]
    series.below.append(Record(series.below[0].ds.copy().put("ReferencedFileID", list(path))))


def _second_directory(made: FileSet) -> None:
    made.files["DICOM", "DICOMDIR"] = made.dicomdir()


def _no_directory(made: FileSet) -> None:
    made.directory = False


def _deep(made: FileSet) -> None:
    path = ("A", "B", "C", "D", "E", "F", "G", "H", "IM")
    made.files[path] = made.files.pop(made.paths[0])
    made.record("IMAGE").put("ReferencedFileID", list(path))


def _extension(made: FileSet) -> None:
    path = (*made.paths[0][:-1], "IM1.DCM")
    made.files[path] = made.files.pop(made.paths[0])
    made.record("IMAGE").put("ReferencedFileID", list(path))


def _meta_of(change: Callable[[DataSet], object], number: int = 0) -> Change:
    def defect(made: FileSet) -> None:
        ds = made.objects[number]
        head = meta(str(ds.get("SOPClassUID")), str(ds.get("SOPInstanceUID")))
        change(head)
        made.files[made.paths[number]] = part10(head, ds.encode())

    return defect


def _group_length(made: FileSet) -> None:
    ds = made.objects[0]
    head = meta(str(ds.get("SOPClassUID")), str(ds.get("SOPInstanceUID")))
    made.files[made.paths[0]] = part10(head, ds.encode(), length=10)


def _no_prefix(made: FileSet) -> None:
    data = made.files[made.paths[0]]
    made.files[made.paths[0]] = data[:128] + b"DICX" + data[132:]


def _other_syntax(made: FileSet) -> None:
    ds = made.objects[0]
    head = meta(str(ds.get("SOPClassUID")), str(ds.get("SOPInstanceUID")))
    made.files[made.paths[0]] = part10(head, ds.encode(IMPLICIT_LE))


def _object(change: Callable[[DataSet], object], number: int = 0) -> Change:
    def defect(made: FileSet) -> None:
        change(made.objects[number])
        made.files[made.paths[number]] = object_file(made.objects[number])

    return defect


def _syntax_of_clip(made: FileSet) -> None:
    ds = image(Scan(PERSONS["default"], start=START), Picture("clip", "1.2.840.10008.1.2.4.70"), "1.20")
    made.files[made.paths[2]] = object_file(ds, "1.2.840.10008.1.2.4.70")
    made.record("IMAGE", 3).put("ReferencedTransferSyntaxUIDInFile", "1.2.840.10008.1.2.4.70")


def _jpeg_2000(made: FileSet) -> None:
    syntax = "1.2.840.10008.1.2.4.90"
    size = struct.pack(">HHIIIIIIIIH", 47, 0, 64, 48, 0, 0, 64, 48, 0, 0, 3) + b"\7\1\1" * 3
    stream = b"\xff\x4f\xff\x51" + size + bytes(100) + b"\xff\xd9"
    ds = made.objects[0].put("PixelData", Fragments((stream + bytes(len(stream) & 1),)), vr="OB")
    made.files[made.paths[0]] = object_file(ds, syntax)
    made.record("IMAGE").put("ReferencedTransferSyntaxUIDInFile", syntax)


def _below_another_series(made: FileSet) -> None:
    study = made.roots[0].below[0]
    study.below[0].below.append(study.below[1].below.pop())


def _no_lossy_flag(made: FileSet) -> None:
    scan = Scan(PERSONS["default"], start=START)
    ds = image(scan, Picture("us", JPEG_BASELINE), "1.20").drop("LossyImageCompression")
    made.files[made.paths[0]] = object_file(ds, JPEG_BASELINE)
    made.record("IMAGE").put("ReferencedTransferSyntaxUIDInFile", JPEG_BASELINE)


def _all_foreign(made: FileSet) -> None:
    for path, ds in zip(made.paths, made.objects, strict=True):
        made.files[path] = object_file(ds, uid="1.2.826.0.1.3680043.8.498.1", version="PYDICOM 3.0.2")


def _other_class(made: FileSet) -> None:
    ds = made.objects[0].put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7.4")
    made.files[made.paths[0]] = object_file(ds)
    made.record("IMAGE").put("ReferencedSOPClassUIDInFile", "1.2.840.10008.5.1.4.1.1.7.4")


def _stale(data: bytes) -> bytes:
    return data + data[-333:]


def _empty(made: FileSet) -> None:
    made.files[made.paths[0]] = b""


def _zeros(made: FileSet) -> None:
    made.files[made.paths[0]] = bytes(len(made.files[made.paths[0]]))


def _below(made: FileSet) -> None:
    made.files["DICOM", "DICOMDIR"] = made.dicomdir()
    made.directory = False


def _shifted(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
    for each in ordered:
        for keyword in (NEXT, LOWER):
            if each.ds.get(keyword):
                each.ds.put(keyword, each.ds.get(keyword) - 132)
    top.put(FIRST, top.get(FIRST) - 132).put(LAST, top.get(LAST) - 132)


def _other_patient(made: FileSet) -> None:
    made.record("PATIENT").put("PatientName", "Other^Person")


DIR = "MX-MED-DIR-"
DEFECTS: dict[str, tuple[Change, set[str]]] = {
    # the nine of the research
    "referenced file missing": (_missing, {"STD-MED-014", DIR + "10"}),
    "pixel data cut": (_cut, {"STD-MED-015"}),
    "long lower-case name, stale record": (_renamed, {"STD-MED-012", "STD-MED-014", DIR + "10"}),
    "DICOMDIR cut": (_bytes(lambda d: d[:-200]), {"STD-MED-030", DIR + "05"}),
    "wrong next offset": (_links(_next_astray), {"STD-MED-033", DIR + "06"}),
    "UI of 66 characters": (_long_uid, {"STD-DS-032", "STD-MED-067", "STD-MED-041", DIR + "12"}),
    "file replaced by another instance": (_replaced, {"STD-MED-051", DIR + "12"}),
    "unreferenced DICOM file": (_unreferenced_file, {"STD-MED-016", "MX-MED-006"}),
    # offsets
    "next too short": (_links(_next_short), {"STD-MED-033", "STD-MED-035", DIR + "06"}),
    "next leads back": (_links(_next_back), {"STD-MED-033", DIR + "06"}),
    "next leads into another series": (_links(_next_into_other_series), {"STD-MED-033", DIR + "06"}),
    "lower astray": (_links(_lower_astray), {"STD-MED-034", DIR + "08"}),
    "lower absent": (_links(_lower_absent), {"STD-MED-034", "STD-MED-035", DIR + "08"}),
    "first astray": (_links(_first_astray), {"STD-MED-031", DIR + "02"}),
    "last astray": (_links(_last_astray), {"STD-MED-032", DIR + "03"}),
    "stale bytes": (_bytes(_stale), {"STD-MED-040"}),
    # records
    "inactive record": (_inactive, {"STD-MED-036", DIR + "07"}),
    "images below a study": (_flat, {"STD-MED-037", DIR + "09"}),
    "unknown record type": (
        _of("IMAGE", 2, lambda ds: ds.put("DirectoryRecordType", "PICTURE")),
        {"STD-MED-038", DIR + "09", DIR + "10", DIR + "11", DIR + "12", DIR + "13"},
    ),
    "doubled record": (_doubled, {"STD-MED-017", DIR + "10"}),
    "instance twice": (_second_instance, {"STD-MED-018"}),
    "consistency flag": (
        lambda m: m.top.put("FileSetConsistencyFlag", 0xFFFF) and None,
        {"STD-MED-039", DIR + "04"},
    ),
    "no consistency flag": (
        lambda m: m.top.drop("FileSetConsistencyFlag") and None,
        {"STD-MED-041", DIR + "04"},
    ),
    "no file-set id": (lambda m: m.top.drop("FileSetID") and None, {"STD-MED-041", DIR + "01"}),
    "long file-set id": (
        lambda m: m.top.put("FileSetID", "ABCDEFGHIJKLMNOPQ") and None,
        {"STD-MED-041", DIR + "01"},
    ),
    "no record type": (
        _of("SERIES", 2, lambda ds: ds.drop("DirectoryRecordType")),
        {"STD-MED-041", DIR + "09"},
    ),
    "file id in a series": (
        _of("SERIES", 1, lambda ds: ds.put("ReferencedFileID", ["DICOM", "PA000001"])),
        {"STD-MED-042", "STD-MED-014", DIR + "10"},
    ),
    "no transfer syntax in a record": (
        _of("IMAGE", 1, lambda ds: ds.drop("ReferencedTransferSyntaxUIDInFile")),
        {"STD-MED-042", DIR + "13"},
    ),
    "other class in a record": (
        _of("IMAGE", 1, lambda ds: ds.put("ReferencedSOPClassUIDInFile", SC)),
        {"STD-MED-050", DIR + "11"},
    ),
    "other syntax in a record": (
        _of("IMAGE", 1, lambda ds: ds.put("ReferencedTransferSyntaxUIDInFile", IMPLICIT_LE)),
        {"STD-MED-052", DIR + "13"},
    ),
    "no patient id": (
        _of("PATIENT", 1, lambda ds: ds.put("PatientID", None)),
        {"STD-MED-043", "MX-MED-PK-03"},
    ),
    "no patient name": (
        _of("PATIENT", 1, lambda ds: ds.drop("PatientName")),
        {"STD-MED-044", "MX-MED-PK-02"},
    ),
    "no birth date": (_of("PATIENT", 1, lambda ds: ds.drop("PatientBirthDate")), {"MX-MED-PK-04"}),
    "no study time": (_of("STUDY", 1, lambda ds: ds.drop("StudyTime")), {"STD-MED-043", "MX-MED-SK-03"}),
    "no study description": (
        _of("STUDY", 1, lambda ds: ds.drop("StudyDescription")),
        {"STD-MED-044", "MX-MED-SK-05"},
    ),
    "no study uid": (
        _of("STUDY", 1, lambda ds: ds.drop("StudyInstanceUID")),
        {"STD-MED-043", "MX-MED-SK-06"},
    ),
    "bad study date": (
        _of("STUDY", 1, lambda ds: ds.put("StudyDate", "01.01.26")),
        {"STD-DS-023", "MX-MED-SK-02", "STD-X-091"},
    ),
    "no modality": (_of("SERIES", 1, lambda ds: ds.put("Modality", None)), {"STD-MED-043", "MX-MED-RK-02"}),
    "no series number": (
        _of("SERIES", 1, lambda ds: ds.drop("SeriesNumber")),
        {"STD-MED-043", "MX-MED-RK-04"},
    ),
    "no instance number": (
        _of("IMAGE", 1, lambda ds: ds.drop("InstanceNumber")),
        {"STD-MED-043", "MX-MED-IK-02"},
    ),
    "wrong VR of a key": (
        _of("PATIENT", 1, lambda ds: ds.change("PatientID", vr="SH")),
        {"STD-DS-008", "MX-MED-PK-03"},
    ),
    # agreement
    "other patient": (_other_patient, {"STD-X-090"}),
    "other study id": (_of("STUDY", 1, lambda ds: ds.put("StudyID", "X9")), {"STD-X-091"}),
    "other series number": (_of("SERIES", 1, lambda ds: ds.put("SeriesNumber", 9)), {"STD-X-092"}),
    "other instance number": (_of("IMAGE", 1, lambda ds: ds.put("InstanceNumber", 9)), {"STD-X-093"}),
    # files and names
    "second DICOMDIR": (_second_directory, {"STD-MED-011", "MX-MED-006"}),
    "no DICOMDIR": (_no_directory, {"STD-MED-010", "MX-MED-006"}),
    "nine levels": (_deep, {"STD-MED-013", DIR + "10"}),
    "extension": (_extension, {"STD-MED-012", DIR + "10"}),
    # file meta information
    "network identity": (
        _meta_of(lambda m: m.put("ImplementationClassUID", "1.2.392.200036.9107.804")),
        {"MX-MED-001"},
    ),
    "network version name": (
        _meta_of(lambda m: m.put("ImplementationVersionName", "KM_SMGMX1_1.00")),
        {"MX-MED-002"},
    ),
    "no implementation": (
        _meta_of(lambda m: m.drop("ImplementationClassUID")),
        {"STD-MED-061", "MX-MED-001"},
    ),
    "no version": (_meta_of(lambda m: m.drop("FileMetaInformationVersion")), {"STD-MED-061"}),
    "group length": (_group_length, {"STD-MED-062"}),
    "no prefix": (_no_prefix, {"STD-MED-060"}),
    "meta names another class": (_meta_of(lambda m: m.put("MediaStorageSOPClassUID", SC)), {"STD-MED-064"}),
    "meta names another instance": (
        _meta_of(lambda m: m.put("MediaStorageSOPInstanceUID", "2.25.5")),
        {"STD-MED-065"},
    ),
    "data set in another syntax": (_other_syntax, {"STD-MED-066", "STD-DS-001"}),
    "meta in implicit order": (
        _meta_of(lambda m: m.append(Element(0x00020002, "UI", b"1.2\0"))),
        {"STD-MED-063"},
    ),
    # profile
    "clip in JPEG lossless": (
        _syntax_of_clip,
        {"MX-MED-PC-002", "MX-MED-PC-003", "MX-MED-PC-004", "MX-MED-PC-005"},
    ),
    "JPEG 2000": (
        _jpeg_2000,
        {"STD-MED-070", *(f"MX-MED-PC-{n:03}" for n in range(6, 11))},
    ),
    "class that is not listed": (_other_class, {"STD-MED-019"}),
    "record of another kind": (
        _of("STUDY", 1, lambda ds: ds.put("DirectoryRecordType", "SERIES")),
        {"STD-MED-037", DIR + "09"},
    ),
    "File ID with slashes": (
        _of("IMAGE", 1, lambda ds: ds.put("ReferencedFileID", "DICOM/PA000001")),
        {"STD-MED-012", "STD-MED-014", DIR + "10"},
    ),
    "File ID in lower case": (
        _of(
            "IMAGE", 1, lambda ds: ds.put("ReferencedFileID", [p.lower() for p in ds.get("ReferencedFileID")])
        ),
        {"STD-MED-012", DIR + "10"},
    ),
    "File ID of a folder": (
        _of("IMAGE", 1, lambda ds: ds.put("ReferencedFileID", ["DICOM", "PA000001"])),
        {"STD-MED-014", DIR + "10"},
    ),
    "empty file": (_empty, {"STD-MED-015"}),
    "file full of zeros": (_zeros, {"STD-MED-060"}),
    "DICOMDIR is no DICOM file": (
        _bytes(lambda d: b"hello" * 100),
        {"STD-MED-010", "STD-MED-060", "MX-MED-006"},
    ),
    "DICOMDIR below the root": (_below, {"STD-MED-010", "MX-MED-006"}),
    "offsets count from behind the meta": (
        _links(_shifted),
        {
            "STD-MED-031",
            "STD-MED-032",
            "STD-MED-033",
            "STD-MED-034",
            *(DIR + n for n in ("02", "03", "06", "08")),
        },
    ),
    "identity of the DICOMDIR": (
        lambda m: m.head.put("ImplementationClassUID", "1.2.826.0.1.3680043.8.498.1") and None,
        {"MX-MED-001"},
    ),
    "other study uid in the record": (
        _of("STUDY", 1, lambda ds: ds.put("StudyInstanceUID", "2.25.99")),
        {"STD-X-091"},
    ),
    "clip below another series": (_below_another_series, {"STD-X-092"}),
    "lossy flag gone": (_no_lossy_flag, {"MX-STO-IMG-009", "STD-IOD-019"}),
    "zeros behind the records": (_bytes(lambda d: d + bytes(64)), {"STD-MED-040"}),
    "identity of all objects": (_all_foreign, {"MX-MED-001", "MX-MED-002"}),
    # objects
    "no rows": (_object(lambda ds: ds.drop("Rows")), {"STD-IOD-001", "MX-STO-IMG-014"}),
}
