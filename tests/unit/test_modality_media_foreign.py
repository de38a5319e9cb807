"""Adding to file-sets of others: kept byte for byte, or refused with a reason; offsets put right when certain."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from pydicom.fileset import FileSet as PydicomFileSet

from bench.volumes.foreign import VARIANTS, make_foreign
from modality.media import CODES, MediaError, add, export
from modality.media import directory as directories
from modality.media.layout import Tree
from modality.media.matching import text
from tests.lab.elements import DataSet
from tests.lab.media import LOWER, NEXT, START, FileSet, Record
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import Picture, Scan
from tests.unit.judged_media import explained, fails, judge
from tests.unit.test_modality_media_lab import masters, tree

REFUSED = {"looping", "truncated-dicomdir", "garbled-dicomdir"}
WHO = ("1.2.392.200036.9107.700.1", "MG_DICOM V1.00")


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # the vendor's names, which pydicom writes
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_another_vendor(variant: str, tmp_path: Path) -> None:
    """No byte of another file changes, no new fault appears, what is refused is untouched."""
    medium = tmp_path / "medium"
    medium.mkdir()
    make_foreign(medium, variant)
    old, before = tree(medium), fails(judge(medium))
    images = masters(tmp_path / "device", "kanji")
    if variant in REFUSED:
        with pytest.raises(MediaError) as caught:
            add(medium, images)
        assert caught.value.code == "foreign-damaged"
        assert "DICOMDIR" in caught.value.text
        assert tree(medium) == old
        return
    saved = add(medium, images)
    assert saved.action == "add"
    assert len(saved.files) == 4
    new = tree(medium)
    assert {n: d for n, d in new.items() if n in old and n != "DICOMDIR"} == {
        n: d for n, d in old.items() if n != "DICOMDIR"
    }
    after = judge(medium)
    assert fails(after) <= before, explained(after)
    assert bool(saved.notes) == (variant == "wrong-offsets")
    found = directories.read(new["DICOMDIR"])
    was = directories.read(old["DICOMDIR"])
    assert len(found) == len(was) + 9
    assert _bare(was) <= _bare(found)  # every record, byte for byte but for its offsets
    if variant in ("", "private-records", "same-names", "reversed", "japanese", "wrong-offsets"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert len(PydicomFileSet(medium / "DICOMDIR")) == 10
    assert len(add(medium, images).skipped) == 4


def _bare(directory: directories.Directory) -> set[bytes]:
    out = set()
    for index in range(len(directory)):
        start = int(directory.starts[index])
        raw = bytearray(directory.data[start : start + int(directory.sizes[index])])
        for place in (directory.next_at[index], directory.lower_at[index]):
            raw[int(place) - start : int(place) - start + 4] = bytes(4)
        out.add(bytes(raw))
    return out


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("person", ["default", "kanji", "gb18030"])
def test_layout_is_the_same_bytes(person: str, undefined: bool) -> None:
    """A directory that is depth first already is laid out as it is."""
    made = FileSet.of_mx1(PERSONS[person])
    made.undefined = undefined
    data = made.dicomdir()
    found = directories.read(data)
    assert Tree(found).encode(found.instance, WHO) == data


def test_padding_and_elements_behind_the_records() -> None:
    """Zeros go, elements stay, anything else is refused."""
    made = FileSet.of_mx1()
    data = made.dicomdir()
    found = directories.read(data + bytes(300))
    assert found.notes
    assert Tree(found).encode(found.instance, WHO) == data
    private = struct.pack("<HHHHI", 0x0009, 0x0010, 0x4F4C, 4, 0x454D4341)  # LO, "ACME"
    found = directories.read(data + private)
    assert Tree(found).encode(found.instance, WHO) == data + private
    with pytest.raises(MediaError) as caught:
        directories.read(data + data[-200:])
    assert caught.value.code == "foreign-damaged"


@pytest.mark.parametrize("shift", [-22, 2, 1000])
def test_offsets_that_were_miscounted(shift: int) -> None:
    """All by the same number, or growing with each record: the order tells the right ones."""
    made = FileSet.of_mx1(PERSONS["kanji"])
    right = made.dicomdir()

    def moved(ordered: list[Record], offsets: list[int], top: DataSet) -> None:
        for each in ordered:
            for key in (NEXT, LOWER):
                if value := each.ds.get(key):
                    each.ds.put(key, value + shift * (offsets.index(value) + 1 if shift == 2 else 1))

    made.links = moved
    found = directories.read(made.dicomdir())
    assert found.notes
    assert Tree(found).encode(found.instance, WHO) == right


def test_offsets_that_could_mean_two_things() -> None:
    """One offset lost, or two exchanged: refused."""
    for spoil in (lambda a, b: (0, b), lambda a, b: (b + 2, a + 2)):
        made = FileSet.of_mx1(pictures=tuple(Picture("us", number=n) for n in range(1, 5)))

        def wrong(ordered: list[Record], offsets: list[int], top: DataSet, spoil=spoil) -> None:  # type: ignore[no-untyped-def]
            one, other = ordered[3].ds, ordered[4].ds
            a, b = spoil(one.get(NEXT), other.get(NEXT))
            one.put(NEXT, a)
            other.put(NEXT, b)

        made.links = wrong
        with pytest.raises(MediaError, match="not certain"):
            directories.read(made.dicomdir())


def test_existing_patient_study_and_series(tmp_path: Path) -> None:
    """What is known gets no second record, also when another writer filled its texts up."""
    images = masters(tmp_path / "device", "kanji")
    medium = tmp_path / "medium"
    medium.mkdir()
    export(medium, images[:1])
    add(medium, images[1:])
    kinds = [bytes(k) for k in directories.read((medium / "DICOMDIR").read_bytes()).kinds]
    assert kinds.count(b"PATIENT") == kinds.count(b"STUDY") == 1
    assert kinds.count(b"SERIES") == 3
    assert kinds[:5] == [b"PATIENT", b"STUDY", b"SERIES", b"IMAGE", b"IMAGE"]  # depth first, behind its like
    assert sorted(n for n in tree(medium) if "SE000001" in n) == [
        "DICOM/PA000001/ST000001/SE000001/IM000001",
        "DICOM/PA000001/ST000001/SE000001/IM000002",
    ]


def _named(name: str | bytes | None, charset: str | None = None, patient: str = "SAME"):  # type: ignore[no-untyped-def]
    def change(ds: DataSet) -> None:
        ds.put("PatientID", patient)
        ds.put("PatientName", name)
        if charset is not None:
            ds.put("SpecificCharacterSet", charset)

    return change


@pytest.mark.parametrize(
    ("keyword", "one", "other", "what"),
    [
        ("PatientBirthDate", "19700101", "19700102", "birth date"),
        ("PatientBirthDate", "19700101", "1970.01.01", ""),
        ("PatientBirthDate", "19700101", None, ""),
        ("PatientSex", "F", "M", "sex"),
        ("PatientSex", None, "M", ""),
    ],
)
def test_same_id_and_name_and_another_birth_date_or_sex(
    keyword: str, one: str | None, other: str | None, what: str, tmp_path: Path
) -> None:
    """One record cannot say both; what is not known is no other one's."""

    def born(value: str | None) -> Callable[[DataSet], None]:
        def change(ds: DataSet) -> None:
            ds.put("PatientID", "SAME")
            ds.put(keyword, value)

        return change

    medium, old, new = tmp_path / "medium", tmp_path / "a", tmp_path / "b"
    medium.mkdir()
    first, second = masters(old, change=born(one)), masters(new, number=2, change=born(other))
    if not what:
        export(medium, [*first, *second])
        kinds = [bytes(k) for k in directories.read((medium / "DICOMDIR").read_bytes()).kinds]
        assert kinds.count(b"PATIENT") == 1
        return
    for images in ((*first, *second), (*second, *first)):
        with pytest.raises(MediaError, match=f"another {what} in the chosen exams"):
            export(medium, images)
        assert not tree(medium)
    export(medium, first)
    before = tree(medium)
    with pytest.raises(MediaError, match=f"another {what} on the medium"):
        add(medium, second)
    assert tree(medium) == before


@pytest.mark.parametrize(
    ("records", "image", "under"),
    [
        ([("19700101", "F"), ("19710101", "F")], ("19710101", "F"), 1),
        ([(None, "F"), ("19700101", "F")], ("19700101", "F"), 1),
        ([("19700101", "F"), (None, "F")], (None, "F"), 1),
        ([(None, None), ("19700101", None)], ("19700101", "F"), 0),
        ([("19700101", "F"), ("19710101", "F")], (None, "F"), None),
        ([("19700101", "F"), ("19710101", "F")], ("19720101", "F"), None),
        ([(None, None), ("19700101", "F")], ("19710101", "F"), None),
        ([("19700101", "F"), ("19700101", "M")], ("19700101", None), None),
    ],
)
def test_media_on_which_an_id_is_that_of_several(
    records: list[tuple[str | None, str | None]],
    image: tuple[str | None, str | None],
    under: int | None,
    tmp_path: Path,
) -> None:
    """Of somebody else: an image goes under the record that says what it says, or none says otherwise; else refused."""
    made = FileSet.of_mx1(pictures=(Picture("us", number=1),))
    made.add(Scan(PERSONS["default"], number=2, start=START + 2), (Picture("us", number=1),))
    for number, (born, sex) in enumerate(records, 1):
        made.record("PATIENT", number).put("PatientBirthDate", born)
        made.record("PATIENT", number).put("PatientSex", sex)
        made.record("PATIENT", number).put("PatientName", "Doe^John")
        made.record("PATIENT", number).put("PatientID", "SAME")
    medium = tmp_path / "medium"
    made.write_folder(medium)

    def change(ds: DataSet) -> None:
        _named("Doe^John")(ds)
        ds.put("PatientBirthDate", image[0])
        ds.put("PatientSex", image[1])

    new, before = masters(tmp_path / "new", number=3, change=change)[:1], tree(medium)
    if under is None:
        with pytest.raises(MediaError, match="on the medium") as caught:
            add(medium, new)
        assert caught.value.code == "patient-conflict"
        assert tree(medium) == before
        return
    add(medium, new)
    found = directories.read((medium / "DICOMDIR").read_bytes())
    kinds = [bytes(kind) for kind in found.kinds]
    patients = [at for at, kind in enumerate(kinds) if kind == b"PATIENT"]
    assert len(patients) == 2
    bounds = [*patients, len(kinds)]
    assert [kinds[a:b].count(b"STUDY") for a, b in pairwise(bounds)] == [1 + (under == 0), 1 + (under == 1)]


@pytest.mark.parametrize("other", ["Roe^Jane", "Doe^Joh", None, "Doe^John^^Dr."])
def test_same_id_and_another_name(other: str | None, tmp_path: Path) -> None:
    """Two persons with one Patient ID: one record may have it, so the second one is refused, in either order."""
    medium = tmp_path / "medium"
    medium.mkdir()
    one = masters(tmp_path / "a", change=_named("Doe^John"))
    two = masters(tmp_path / "b", number=2, change=_named(other))
    for first, second in ((one, two), (two, one)):
        for images in ((*first, *second), (*second, *first)):
            with pytest.raises(MediaError, match=r"Patient ID SAME .* in the chosen exams") as caught:
                export(medium, images)
            assert caught.value.code == "patient-conflict"
            assert not tree(medium)
        export(medium, first)
        before = tree(medium)
        with pytest.raises(
            MediaError, match=r"Patient ID SAME .* on the medium.*still on the device"
        ) as caught:
            add(medium, [*second, *masters(tmp_path / "c", number=3)])
        assert caught.value.code == "patient-conflict"
        assert caught.value.code in CODES
        assert tree(medium) == before
        assert len(add(medium, first).skipped) == 4  # what is there already is no conflict
        for name in sorted(tree(medium)):
            (medium / name).unlink()
        for path in sorted(medium.rglob("*"), reverse=True):
            path.rmdir()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("Doe^John", None), ("Doe^John^^^ ", None)),
        (("Doe^John ", None), (" Doe ^John", "ISO_IR 100")),
        ((None, None), ("^^", None)),
        (("Müller^Jürgen", "ISO_IR 100"), ("Müller^Jürgen", "ISO_IR 192")),
        (("Wang^XiaoDong=王^小东", "GB18030"), ("Wang^XiaoDong=王^小东=", "ISO_IR 192")),
        (("Mu\u0308ller", "ISO_IR 192"), ("M\u00fcller", "ISO_IR 192")),
    ],
)
def test_same_name_in_other_bytes(
    first: tuple[str | None, str | None], second: tuple[str | None, str | None], tmp_path: Path
) -> None:
    """How a name is encoded and filled up makes nobody another person."""
    medium = tmp_path / "medium"
    medium.mkdir()
    export(medium, masters(tmp_path / "a", change=_named(*first)))
    add(medium, masters(tmp_path / "b", number=2, change=_named(*second)))
    kinds = [bytes(k) for k in directories.read((medium / "DICOMDIR").read_bytes()).kinds]
    assert kinds.count(b"PATIENT") == 1
    assert "STD-MED-045" not in fails(judge(medium))


def test_same_id_in_other_bytes(tmp_path: Path) -> None:
    """An ID that is the same text in another character set is the same ID."""
    medium = tmp_path / "medium"
    medium.mkdir()
    export(medium, masters(tmp_path / "a", change=_named("Doe", "ISO_IR 100", "MÜ1")))
    add(medium, masters(tmp_path / "b", number=2, change=_named("Doe", "ISO_IR 192", "MÜ1")))
    kinds = [bytes(k) for k in directories.read((medium / "DICOMDIR").read_bytes()).kinds]
    assert kinds.count(b"PATIENT") == 1
    with pytest.raises(MediaError, match="Patient ID MÜ1 "):
        add(medium, masters(tmp_path / "c", number=3, change=_named("Roe", "ISO_IR 192", "MÜ1")))


def test_names_that_cannot_be_read_are_not_the_same() -> None:
    """Two that both become the sign for what cannot be decoded."""
    assert text(b"\xff\xfe", b"ISO_IR 192") != text(b"\xfe\xff", b"ISO_IR 192")
    assert text(b"\xff\xfe", b"ISO_IR 192") == text(b"\xff\xfe", b"ISO_IR 192")


def test_names_that_are_there(tmp_path: Path) -> None:
    """Files of others are never written over, in whatever case their names are."""
    medium = tmp_path / "medium"
    (medium / "dicom" / "pa000001").mkdir(parents=True)
    (medium / "dicom" / "pa000001" / "im000001").write_bytes(b"theirs")
    (medium / "dicom" / "PA000002;1").write_bytes(b"theirs too")
    saved = export(medium, masters(tmp_path / "device"))
    assert {f.file_id.split("/")[1] for f in saved.files} == {"PA000003"}
    assert (medium / "dicom" / "PA000003").is_dir()  # one folder, not two that differ in case
    assert (medium / "dicom" / "pa000001" / "im000001").read_bytes() == b"theirs"
