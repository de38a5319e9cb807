"""Further defects of file-sets: what an examiner who had not read the checks thought of, with what each breaks.

Rules of this file: as of media_defects.py; the mix-ups need two patients, and get a second one.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.elements import DataSet, Element
from tests.lab.media import START, FileSet, Record, meta, object_file, part10
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import Picture, Scan

Change = Callable[[FileSet], None]
REFERENCE = (
    "ReferencedFileID",
    "ReferencedSOPClassUIDInFile",
    "ReferencedSOPInstanceUIDInFile",
    "ReferencedTransferSyntaxUIDInFile",
)


def _split(level: list[Record], number: int = 0) -> None:
    """Two records with the same keys in the place of one; what was below is divided between them."""
    first = level[number]
    level.append(Record(first.ds.copy(), [first.below.pop()]))


def _split_patient(made: FileSet) -> None:
    second(made)
    patient = made.roots[0]
    study = patient.below[0]
    made.roots[1].ds.put("PatientID", patient.ds.get("PatientID"))
    for number, ds in enumerate(made.objects):
        if made.paths[number][1] == "PA000002":
            ds.put("PatientID", patient.ds.get("PatientID"))
            made.files[made.paths[number]] = object_file(ds)
    assert study is not made.roots[1].below[0]


def _series_in_two_studies(made: FileSet) -> None:
    study = made.roots[0].below[0]
    other = Record(study.ds.copy().put("StudyInstanceUID", "2.25.98"), [Record(study.below[0].ds.copy())])
    other.below[0].below.append(study.below[0].below.pop())
    made.roots[0].below.append(other)
    ds = made.objects[1].put("StudyInstanceUID", "2.25.98")
    made.files[made.paths[1]] = object_file(ds)


def second(made: FileSet) -> None:
    """Add a second patient with two images in one series."""
    made.add(
        Scan(PERSONS["latin1"], number=7, start=START), (Picture("us", number=1), Picture("us", number=2))
    )


def _swapped_references(made: FileSet) -> None:
    second(made)
    one, other = made.record("IMAGE", 1), made.record("IMAGE", 4)
    for keyword in REFERENCE:
        a, b = one.get(keyword), other.get(keyword)
        one.put(keyword, b)
        other.put(keyword, a)


def _image_below_other_patient(made: FileSet) -> None:
    second(made)
    series = made.roots[0].below[0].below[0]
    made.roots[1].below[0].below[0].below.append(series.below.pop())


def _swapped_patients(made: FileSet) -> None:
    second(made)
    one, other = made.roots
    one.below, other.below = other.below, one.below


def _swapped_files(made: FileSet) -> None:
    second(made)
    one, other = made.paths[0], made.paths[3]
    made.files[one], made.files[other] = made.files[other], made.files[one]


def _file_of_another(made: FileSet) -> None:
    second(made)
    ds = made.objects[0].put("PatientID", made.objects[3].get("PatientID"))
    made.files[made.paths[0]] = object_file(ds)


def _no_patient_id(made: FileSet) -> None:
    made.files[made.paths[0]] = object_file(made.objects[0].put("PatientID", None))


def _of(kind: str, change: Callable[[DataSet], object]) -> Change:
    def defect(made: FileSet) -> None:
        change(made.record(kind))

    return defect


def _head(change: Callable[[DataSet], object]) -> Change:
    """Change the file meta information of the first object."""

    def defect(made: FileSet) -> None:
        ds = made.objects[0]
        head = meta(str(ds.get("SOPClassUID")), str(ds.get("SOPInstanceUID")))
        change(head)
        made.files[made.paths[0]] = part10(head, ds.encode())

    return defect


def _reserved(made: FileSet) -> None:
    data = bytearray(made.files[made.paths[0]])
    at = data.index(b"\x02\0\x01\0OB\0\0")
    data[at + 6] = 1
    made.files[made.paths[0]] = bytes(data)


def _described(made: FileSet) -> None:
    made.files[made.paths[0]] = object_file(made.objects[0].put("StudyDescription", "Abdomen"))
    made.record("STUDY").put("StudyDescription", "Thyroid")


def _command(made: FileSet) -> None:
    ds = made.objects[0]
    ds.elements.insert(0, Element(0x00000100, "US", b"\1\0"))
    made.files[made.paths[0]] = object_file(ds)


def _order_in_record(made: FileSet) -> None:
    ds = made.record("STUDY")
    date = next(n for n, element in enumerate(ds.elements) if element.tag == 0x00080020)
    ds.elements[date], ds.elements[date + 1] = ds.elements[date + 1], ds.elements[date]


def _instance_of_the_directory(made: FileSet) -> None:
    made.head.put("MediaStorageSOPInstanceUID", made.objects[0].get("SOPInstanceUID"))


MORE: dict[str, tuple[Change, set[str]]] = {
    # one record for a patient, a study, a series
    "two patients with one Patient ID": (_split_patient, {"STD-MED-045"}),
    "study twice": (lambda made: _split(made.roots[0].below), {"STD-MED-045"}),
    "series twice": (lambda made: _split(made.roots[0].below[0].below), {"STD-MED-045"}),
    "series in two studies": (_series_in_two_studies, {"STD-MED-045", "STD-X-094"}),
    # mix-ups of patients
    "references of two patients exchanged": (_swapped_references, {"STD-X-090", "STD-X-091", "STD-X-092"}),
    "image below another patient": (_image_below_other_patient, {"STD-X-090", "STD-X-091", "STD-X-092"}),
    "patients exchanged above their studies": (_swapped_patients, {"STD-X-090"}),
    "files of two patients exchanged": (_swapped_files, {"STD-MED-051", "MX-MED-DIR-12"}),
    "file with another's Patient ID": (_file_of_another, {"STD-X-090", "STD-X-094"}),
    "one file of a study without Patient ID": (_no_patient_id, {"STD-X-094"}),
    "study record names another patient": (
        _of("STUDY", lambda ds: ds.put("PatientID", "B-1")),
        {"STD-X-090"},
    ),
    "study record describes another study": (_described, {"STD-X-091"}),
    # encoding of records and file meta information
    "File ID padded with NUL": (
        _of(
            "IMAGE",
            lambda ds: ds.put(
                "ReferencedFileID", b"\\".join(map(str.encode, ds.get("ReferencedFileID"))) + b"\0"
            ),
        ),
        {"STD-MED-041"},
    ),
    "UID of a record padded with a space": (
        _of("IMAGE", lambda ds: ds.put("ReferencedSOPClassUIDInFile", b"1.2.840.10008.5.1.4.1.1.6.1 ")),
        {"STD-MED-041"},
    ),
    "elements of a record in the wrong order": (_order_in_record, {"STD-DS-006"}),
    "UID of the file meta padded with a space": (
        _head(lambda ds: ds.put("ImplementationClassUID", b"1.2.392.200036.9107.700.1 ")),
        {"STD-MED-067"},
    ),
    "version of the file meta": (
        _head(lambda ds: ds.put("FileMetaInformationVersion", b"\x10\1")),
        {"STD-MED-067"},
    ),
    "reserved bytes of the file meta": (_reserved, {"STD-MED-063"}),
    "private information without its creator": (
        _head(lambda ds: ds.put("PrivateInformation", b"ab")),
        {"STD-MED-061"},
    ),
    "command element in a data set": (_command, {"STD-DS-013"}),
    # the file-set
    "descriptor file missing": (
        lambda made: made.top.put("FileSetDescriptorFileID", "README") and None,
        {"STD-MED-014"},
    ),
    "descriptor that is a folder": (
        lambda made: made.top.put("FileSetDescriptorFileID", "DICOM") and None,
        {"STD-MED-014"},
    ),
    "DICOMDIR with the instance of an image": (_instance_of_the_directory, {"STD-MED-018"}),
}
