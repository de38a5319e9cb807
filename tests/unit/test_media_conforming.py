"""File-sets that are right, however odd: nothing fails."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.witness.medium import NotAMedium, read_medium
from tests.lab.elements import EXPLICIT_LE, JPEG_BASELINE, JPEG_LOSSLESS, DataSet
from tests.lab.media import DIRECTORY, MEDIA_UID, START, FileSet, meta, object_file, part10, record
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import Picture, Scan, image
from tests.unit.judged_media import explained, fails, judge, judge_set

ALL = (
    Picture("us", number=1),
    Picture("us", JPEG_BASELINE, number=2),
    Picture("us", JPEG_LOSSLESS, number=3),
    Picture("clip", number=1),
    Picture("clip", JPEG_BASELINE, number=2),
    Picture("sc", number=1),
    Picture("sc", JPEG_BASELINE, number=2),
    Picture("sc", JPEG_LOSSLESS, number=3),
)


@pytest.mark.parametrize("person", ["default", "latin1", "utf8", "gb18030", "kanji", "kanjix"])
def test_every_character_set(person: str, tmp_path: Path) -> None:
    """Records and objects in each set of the statement's list."""
    rows = judge_set(FileSet.of_mx1(PERSONS[person]), tmp_path)
    assert not fails(rows), explained(rows)
    needed = "PASS" if person != "default" else "N/A"
    assert rows["MX-MED-PK-01"].verdict.value == needed


def test_every_class_and_syntax(tmp_path: Path) -> None:
    """All rows of media syntaxes but the two old ones."""
    rows = judge_set(FileSet.of_mx1(pictures=ALL), tmp_path)
    assert not fails(rows), explained(rows)
    passed = [id for id, row in rows.items() if id.startswith("MX-MED-PC") and row.verdict.value == "PASS"]
    assert len(passed) == 9


@pytest.mark.parametrize(
    "how",
    [
        {"kind": "FAT32"},
        {"partition": None},
        {"kind": "FAT32", "partition": None},
        {"fragmented": True},
        {"deleted": ("OLD.TXT", "DICOMDIR")},
        {"partition": 4},
        {"cluster": 512, "clusters": 20000},
        {"cluster": 32768, "clusters": 5000},
        {"long_names": {("DICOM",): "dicom", ("DICOM", "PA000001"): "Pa000001"}},
        {"label": "USB STICK"},
    ],
)
def test_every_form_of_image(how: dict[str, object], tmp_path: Path) -> None:
    """Whatever the medium is like below its files."""
    rows = judge_set(FileSet.of_mx1(), tmp_path, **how)
    assert not fails(rows), explained(rows)
    assert rows["STD-MED-003"].verdict.value == "PASS"


def test_folder_and_gzip(tmp_path: Path) -> None:
    """A mounted medium and a compressed image."""
    made = FileSet.of_mx1()
    rows = judge(made.write_folder(tmp_path / "usb"))
    assert not fails(rows), explained(rows)
    assert rows["STD-MED-001"].verdict.value == "NOT-EXERCISED"
    packed = tmp_path / "m.img.gz"
    with made.write_image(tmp_path / "m.img").open("rb") as data, gzip.open(packed, "wb", 1) as out:
        shutil.copyfileobj(data, out)
    rows = judge(packed)
    assert not fails(rows), explained(rows)


def test_lower_case_folder(tmp_path: Path) -> None:
    """Hosts that show 8.3 names in lower case: a remark only."""
    made = FileSet.of_mx1()
    for path, data in made.all_files().items():
        target = tmp_path.joinpath(*(part.lower() for part in path))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    rows = judge(tmp_path)
    assert not fails(rows), explained(rows)
    assert rows["STD-MED-012"].remarks


def test_other_files_are_no_fault(tmp_path: Path) -> None:
    """A README, a viewer, long names, a picture."""
    made = FileSet.of_mx1()
    made.files["README.TXT",] = b"hello\r\n"
    made.files["VIEWER", "RUN.EXE"] = b"MZ" + bytes(5000)
    made.files["EMPTY.DAT",] = b""
    raw = {("VIEWER", "RUN.EXE"): b"A~#LOWERexe"}
    rows = judge_set(
        made, tmp_path, raw_names=raw, long_names={("VIEWER", "RUN.EXE"): "a long name.with.dots.exe"}
    )
    assert not fails(rows), explained(rows)


@pytest.mark.parametrize("number", [0, 5])
def test_undefined_lengths_and_many_patients(number: int, tmp_path: Path) -> None:
    """Sequences of undefined length; several patients; a folder that needs several clusters."""
    made = FileSet.of_mx1()
    made.undefined = True
    for n in range(number):
        scan = Scan(PERSONS["utf8"], number=n + 2, start=START + n)
        made.add(scan, tuple(Picture("us", number=k + 1) for k in range(6)))
    rows = judge_set(made, tmp_path, kind="FAT32", cluster=512)
    assert not fails(rows), explained(rows)
    assert rows["STD-MED-040"].verdict.value == "PASS"


def test_order_inside_a_level(tmp_path: Path) -> None:
    """Breadth first, or backwards: the order of records has no meaning."""
    made = FileSet.of_mx1(pictures=tuple(Picture("us", number=n) for n in range(1, 5)))
    series = made.roots[0].below[0].below[0]

    def backwards(ordered, offsets, top) -> None:  # type: ignore[no-untyped-def]
        from tests.lab.media import LOWER, NEXT

        images = [n for n, each in enumerate(ordered) if each.kind == "IMAGE"]
        series.ds.put(LOWER, offsets[images[-1]])
        for later, earlier in zip(images[1:], images, strict=False):
            ordered[later].ds.put(NEXT, offsets[earlier])
        ordered[images[0]].ds.put(NEXT, 0)

    made.links = backwards
    rows = judge_set(made, tmp_path)
    assert not fails(rows), explained(rows)


def _foreign(made: FileSet, *, name: tuple[str, ...] = ("OTHER", "CT_1")) -> None:
    """An object of another vendor with its own records."""
    ds = image(Scan(PERSONS["latin2"], number=77, start=START), Picture("us", number=1), "9")
    ds.update(Manufacturer="ACME", ManufacturerModelName="Scanner", InstitutionName=None)
    ds.drop("Rows")
    made.files[name] = object_file(ds, uid="1.2.840.113619.6.1", version="ACME_1")
    patient = record("PATIENT", PatientName=None, PatientID="F1")
    study = record("STUDY", StudyInstanceUID=ds.get("StudyInstanceUID"), StudyID="1")
    series = record("SERIES", SeriesInstanceUID=ds.get("SeriesInstanceUID"), Modality="US", SeriesNumber=1)
    series.below.append(
        record(
            "IMAGE",
            ReferencedFileID=list(name),
            ReferencedSOPClassUIDInFile=ds.get("SOPClassUID"),
            ReferencedSOPInstanceUIDInFile=ds.get("SOPInstanceUID"),
            ReferencedTransferSyntaxUIDInFile=EXPLICIT_LE,
        )
    )
    study.below.append(series)
    patient.below.append(study)
    made.roots.append(patient)


@pytest.mark.parametrize("name", [("OTHER", "CT_1"), ("other", "ct1.dcm")])
def test_foreign_objects(name: tuple[str, ...], tmp_path: Path) -> None:
    """What another vendor wrote is no fault of the product: content, keys and names."""
    made = FileSet.of_mx1()
    _foreign(made, name=name)
    rows = judge_set(made, tmp_path)
    assert not fails(rows), explained(rows)
    assert rows["MX-MED-004"].verdict.value == "PASS"
    assert rows["MX-MED-005"].verdict.value == "PASS"
    assert rows["STD-MED-070"].remarks


def test_every_media_clause_is_judged(tmp_path: Path) -> None:
    """Three media are enough for every clause about media to be kept."""
    from tests.lab.elements import EXPLICIT_BE, IMPLICIT_LE

    plain = FileSet.of_mx1(PERSONS["kanji"], (*ALL, *(Picture("clip", s, n) for n, s in ((3, IMPLICIT_LE),))))
    for each in plain.records():
        each.ds.put("SpecificCharacterSet", ["", "ISO 2022 IR 87"])
    old = FileSet.of_mx1(
        pictures=tuple(
            Picture(kind, syntax, number)
            for number, syntax in ((1, IMPLICIT_LE), (2, EXPLICIT_BE))
            for kind in ("us", "clip", "sc")
        )
    )
    _foreign(old)
    kept: set[str] = set()
    for number, (made, medium) in enumerate(((plain, "usb"), (old, "sd"))):
        rows = judge(made.write_image(tmp_path / f"{number}.img"), medium=medium)
        assert not fails(rows), explained(rows)
        kept |= {id for id, row in rows.items() if row.verdict.value.startswith("PASS")}
    wanted = {id for id in rows if id.startswith("MX-MED")} | {"MX-GEN-004", "MX-GEN-005"}
    assert wanted <= kept, sorted(wanted - kept)


def test_no_medium_no_verdict(tmp_path: Path) -> None:
    """What is none is said in one sentence."""
    (tmp_path / "zero.img").write_bytes(bytes(1 << 20))
    with pytest.raises(NotAMedium, match="neither a partition table"):
        read_medium(tmp_path / "zero.img")


def _objects(folder: Path) -> list[Path]:
    """Files with 8.3 names for tools that make a DICOMDIR by themselves."""
    folder.mkdir(exist_ok=True)
    found = []
    for number, picture in enumerate(ALL, 1):
        ds = image(Scan(PERSONS["default"], start=START), picture, "1.20")
        path = folder / f"IM{number:04d}"
        path.write_bytes(object_file(ds, picture.syntax))
        found.append(path)
    return found


ONLY_IDENTITY = {"MX-MED-001", "MX-MED-002", "MX-MED-PK-04", "MX-MED-PK-05"}
"""What a DICOMDIR of other tools does not have and MX1 promises."""


@pytest.mark.witness
def test_dcmmkdir_makes_it_right(tmp_path: Path) -> None:
    """DCMTK's file-set keeps every rule of the standard."""
    tool = shutil.which("dcmmkdir")
    if tool is None:
        pytest.skip("dcmmkdir (DCMTK) is not installed")
    files = _objects(tmp_path)
    subprocess.run(
        [tool, "-Pfl", *(f.name for f in files)], cwd=tmp_path, timeout=60, capture_output=True, check=True
    )
    rows = judge(tmp_path)
    assert not {id for id in fails(rows) if id.startswith("STD-")}, explained(rows)
    assert fails(rows) <= ONLY_IDENTITY, explained(rows)


@pytest.mark.witness
def test_pydicom_makes_it_right(tmp_path: Path) -> None:
    """pydicom's FileSet keeps every rule of the standard."""
    fileset = pytest.importorskip("pydicom.fileset")
    made = fileset.FileSet()
    for path in _objects(tmp_path / "in"):
        made.add(path)
    made.write(tmp_path / "out")
    rows = judge(tmp_path / "out")
    assert not {id for id in fails(rows) if id.startswith("STD-")}, explained(rows)
    assert fails(rows) <= ONLY_IDENTITY, explained(rows)


@pytest.mark.witness
def test_tools_read_what_the_lab_writes(tmp_path: Path) -> None:
    """The lab's own DICOMDIR is one for dcdirdmp and pydicom too: the tests stand on real ground."""
    made = FileSet.of_mx1(PERSONS["utf8"])
    made.write_folder(tmp_path / "m")
    fileset = pytest.importorskip("pydicom.fileset")
    assert len(list(fileset.FileSet(tmp_path / "m" / "DICOMDIR"))) == 3
    tool = shutil.which("dcdirdmp")
    if tool is not None:
        done = subprocess.run(
            [tool, "DICOMDIR"], cwd=tmp_path / "m", timeout=60, capture_output=True, check=False
        )
        assert b"Error" not in done.stderr, done.stderr


@pytest.mark.witness
@pytest.mark.parametrize("kind", ["FAT16", "FAT32"])
def test_fsck_accepts_the_lab_images(kind: str, tmp_path: Path) -> None:
    """The lab's FAT is one for fsck.vfat too."""
    tool = shutil.which("fsck.vfat")
    if tool is None:
        pytest.skip("fsck.vfat (dosfstools) is not installed")
    path = FileSet.of_mx1().write_image(tmp_path / "m.img", kind=kind, partition=None)
    done = subprocess.run([tool, "-n", str(path)], timeout=60, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_facts_of_the_image(tmp_path: Path) -> None:
    """Entries, raw names, long names, label, free clusters, offsets."""
    made = FileSet.of_mx1()
    medium = read_medium(
        made.write_image(tmp_path / "m.img", kind="FAT32", label="CARD", long_names={("DICOM",): "dicom"})
    )
    assert (medium.scheme, medium.file_system.kind, medium.file_system.label) == ("mbr", "FAT32", "CARD")
    entry = medium.entry_by_path["DICOM",]
    assert (entry.raw, entry.names) == (b"DICOM      ", ("dicom",))
    assert medium.file_system.free is not None
    assert 0 < medium.file_system.free < medium.file_system.clusters
    assert medium.directory is not None
    data = made.dicomdir()
    for each in medium.directory.records:
        assert data[each.offset : each.offset + 4] == b"\xfe\xff\x00\xe0"
    assert [f.entry.size for f in medium.files] == [len(made.files[p]) for p in made.paths]


def test_empty_file_set(tmp_path: Path) -> None:
    """A DICOMDIR without records and a medium without files."""
    made = FileSet()
    rows = judge_set(made, tmp_path)
    assert not fails(rows), explained(rows)
    assert part10(meta(DIRECTORY, "1.2"), DataSet().encode(), length=None)
    assert MEDIA_UID
