"""File-sets with one defect each: exactly the rules and clauses that it breaks turn, and no others."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.lab.elements import EXPLICIT_BE, IMPLICIT_LE
from tests.lab.fat import Volume, fat_image
from tests.lab.media import FileSet, object_file, record
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import Picture
from tests.unit.judged_media import explained, fails, judge, judge_set
from tests.unit.media_defects import DEFECTS, DIR


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_turns_its_set(name: str, tmp_path: Path) -> None:
    """Exactly the declared set fails."""
    change, wanted = DEFECTS[name]
    made = FileSet.of_mx1()
    change(made)
    rows = judge_set(made, tmp_path)
    assert fails(rows) == wanted, explained(rows)
    for id in wanted:
        assert rows[id].evidence, id


def _loop(volume: Volume) -> None:
    first = next(c for p, c in volume.first.items() if p[-1] == "IM000001")
    volume.table[first + 1] = first


def _cross(volume: Volume) -> None:
    one, two = [c for p, c in volume.first.items() if p[-1].startswith("IM00000") and p[3] == "SE000001"]
    volume.table[two] = one + 1


def _short(volume: Volume) -> None:
    first = next(c for p, c in volume.first.items() if p[-1] == "IM000001")
    volume.table[first] = volume.end


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"partition": 2}, set()),
        ({"kind": "FAT12"}, {"STD-MED-001"}),
        ({"spoil": _loop}, {"STD-MED-003", "STD-MED-015"}),
        ({"spoil": _short}, {"STD-MED-003", "STD-MED-015"}),
        ({"raw_names": {("DICOM",): b"dicom      "}}, {"STD-MED-012"}),
        ({"raw_names": {("DICOM", "PA000001"): b"PA~00001   "}}, {"STD-MED-012", "STD-MED-014", DIR + "10"}),
    ],
)
def test_defect_of_the_file_system(how: dict[str, object], wanted: set[str], tmp_path: Path) -> None:
    """Chains and raw names."""
    rows = judge_set(FileSet.of_mx1(), tmp_path, **how)
    assert fails(rows) == wanted, explained(rows)


def test_cross_link(tmp_path: Path) -> None:
    """Two files share clusters: one of them is not whole."""
    rows = judge_set(FileSet.of_mx1(), tmp_path, spoil=_cross)
    assert "STD-MED-003" in fails(rows), explained(rows)


def test_second_partition(tmp_path: Path) -> None:
    """A file-set in the second of two partitions is not where it belongs."""
    made = FileSet.of_mx1()
    path = made.write_image(tmp_path / "two.img", partition=2, start=70000)
    fat_image(tmp_path / "first.img", {("README.TXT",): b"hello"}, start=2048)
    first = (tmp_path / "first.img").read_bytes()
    with path.open("r+b") as out:
        out.seek(446)
        out.write(first[446:462])
        out.seek(2048 * 512)
        out.write(first[2048 * 512 :][: 60000 * 512])
    rows = judge(path)
    assert fails(rows) == {"STD-MED-002"}, explained(rows)


def test_exfat_fails(tmp_path: Path) -> None:
    """ExFAT is in no annex (ruling F2)."""
    path = tmp_path / "card.img"
    path.write_bytes(b"\xeb\x76\x90EXFAT   " + bytes(499) + b"\x55\xaa" + bytes(1 << 16))
    rows = judge(path, medium="sd")
    assert fails(rows) == {"STD-MED-001"}, explained(rows)


def test_fat32_on_sd_deviates(tmp_path: Path) -> None:
    """FAT32 on an SD card is DEV-FROM-STD (ruling F2)."""
    rows = judge(FileSet.of_mx1().write_image(tmp_path / "m.img", kind="FAT32"), medium="sd")
    assert not fails(rows), explained(rows)
    assert rows["STD-MED-001"].verdict.value == "DEV-FROM-STD"
    assert rows["MX-MED-007"].verdict.value == "PASS"
    assert rows["MX-MED-006"].verdict.value == "NOT-EXERCISED"


@pytest.mark.parametrize(("syntax", "row"), [(IMPLICIT_LE, "MX-MED-PC-006"), (EXPLICIT_BE, "MX-MED-PC-008")])
def test_declared_syntaxes_deviate(syntax: str, row: str, tmp_path: Path) -> None:
    """Implicit LE and Explicit BE: the clause passes, the profile is left (ruling F3)."""
    rows = judge_set(FileSet.of_mx1(pictures=(Picture("us", syntax),)), tmp_path)
    assert not fails(rows), explained(rows)
    assert rows[row].verdict.value == "PASS"
    assert rows["STD-MED-070"].verdict.value == "DEV-FROM-STD"


def test_directory_in_another_syntax(tmp_path: Path) -> None:
    """A DICOMDIR in Implicit VR."""
    made = FileSet.of_mx1()
    made.head.put("TransferSyntaxUID", IMPLICIT_LE)
    rows = judge_set(made, tmp_path)
    assert fails(rows) == {"STD-MED-071", "MX-MED-PC-001"}, explained(rows)


def test_character_set_that_is_not_listed(tmp_path: Path) -> None:
    """A set outside the statement's list turns the section's row (ruling F7)."""
    made = FileSet.of_mx1(PERSONS["latin1"])
    for ds in (made.record("PATIENT"), *made.objects):
        ds.put("SpecificCharacterSet", "ISO_IR 101")
    for path, ds in zip(made.paths, made.objects, strict=True):
        made.files[path] = object_file(ds)
    rows = judge_set(made, tmp_path)
    assert any(id.startswith("MX-CHR") for id in fails(rows)), explained(rows)


def test_name_without_its_character_set(tmp_path: Path) -> None:
    """A record in Kanji that does not say so."""
    made = FileSet.of_mx1(PERSONS["kanji"])
    raw = made.record("PATIENT").encode()
    assert b"\x1b" in raw
    name = raw[raw.index(b"\x10\0\x10\0") + 8 :]
    length = struct.unpack_from("<H", raw, raw.index(b"\x10\0\x10\0") + 6)[0]
    made.record("PATIENT").put("PatientName", name[:length]).drop("SpecificCharacterSet")
    rows = judge_set(made, tmp_path)
    assert {"MX-MED-PK-01", "STD-CS-005"} <= fails(rows) or {"MX-MED-PK-01", "STD-CS-003"} <= fails(rows)


def test_record_kinds_of_other_tables(tmp_path: Path) -> None:
    """A PRIVATE record of the product is not in its table."""
    made = FileSet.of_mx1()
    made.roots.append(record("PRIVATE", PrivateRecordUID="2.25.9"))
    rows = judge_set(made, tmp_path)
    assert fails(rows) == {DIR + "09"}, explained(rows)
