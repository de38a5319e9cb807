"""Defects that were thought of without the checks in sight: found, under the right id, with words that say where."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.witness.medium import read_medium
from tests.lab.fat import Volume
from tests.lab.media import START as START_OF_EXAM
from tests.lab.media import FileSet, Record, object_file
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import Picture, Scan
from tests.unit.judged_media import explained, fails, judge, judge_set
from tests.unit.media_defects_more import MORE, second


@pytest.mark.parametrize("name", MORE)
def test_defect_turns_its_set(name: str, tmp_path: Path) -> None:
    """Exactly the declared set fails, and the evidence names a place."""
    change, wanted = MORE[name]
    made = FileSet.of_mx1()
    change(made)
    rows = judge_set(made, tmp_path)
    assert fails(rows) == wanted, explained(rows)
    for id in wanted:
        assert any(one.what and (one.tag or one.offset is not None) for one in rows[id].evidence), id


def test_fault_of_a_record_names_the_record(tmp_path: Path) -> None:
    """An encoding fault inside a record is told with its kind and number, not as one of the whole DICOMDIR."""
    made = FileSet.of_mx1()
    MORE["elements of a record in the wrong order"][0](made)
    assert "STUDY record 2" in judge_set(made, tmp_path)["STD-DS-006"].reason


def test_fault_outside_the_records_names_no_record(tmp_path: Path) -> None:
    """What stands behind the last record is the DICOMDIR's."""
    made = FileSet.of_mx1()
    made.after = lambda data: data + b"\x09\0\x01\x10LO\x03\0abc"
    rows = judge_set(made, tmp_path)
    assert fails(rows), explained(rows)
    assert all("record" not in (one.what or "") for id in fails(rows) for one in rows[id].evidence)


def test_two_patients_are_right(tmp_path: Path) -> None:
    """What the mix-ups start from."""
    made = FileSet.of_mx1()
    second(made)
    rows = judge_set(made, tmp_path)
    assert not fails(rows), explained(rows)


def _two_writers(own: str | None) -> FileSet:
    """Two PATIENT records with one Patient ID, one above objects of another implementation, the second above *own*."""
    made = FileSet()
    foreign = {"uid": "1.2.3.4.5", "version": "OTHER_1"}
    pictures = (Picture("us", number=1),)
    made.add(Scan(PERSONS["latin1"], number=7, start=START_OF_EXAM), pictures, **foreign)
    made.add(Scan(PERSONS["default"], number=1, start=START_OF_EXAM), pictures, **({} if own else foreign))
    made.add(Scan(PERSONS["default"], number=2, start=START_OF_EXAM), pictures)
    for number in (0, 1):
        ds = made.objects[number].put("PatientID", "SAME")
        others = not (own and number)
        if others:
            ds.put("Manufacturer", "Another")
        made.files[made.paths[number]] = object_file(ds, **(foreign if others else {}))
    for number in (1, 2):
        made.record("PATIENT", number).put("PatientID", "SAME")
    return made


def test_second_record_of_a_foreign_patient(tmp_path: Path) -> None:
    """A product that adds to a patient of another vendor's file-set makes no second record for the same Patient ID."""
    rows = judge_set(_two_writers("own"), tmp_path)
    assert "STD-MED-045" in fails(rows), explained(rows)


def test_two_records_of_others_are_a_remark(tmp_path: Path) -> None:
    """What other implementations wrote is not the product's fault."""
    rows = judge_set(_two_writers(None), tmp_path)
    assert "STD-MED-045" not in fails(rows), explained(rows)
    assert any("the same PatientID" in text for text in rows["STD-MED-045"].remarks)


def test_record_with_nothing_below_is_a_remark(tmp_path: Path) -> None:
    """The standard lets a series be empty; it is seldom meant."""
    made = FileSet.of_mx1()
    series = made.roots[0].below[0].below
    series.append(Record(series[0].ds.copy().put("SeriesInstanceUID", "2.25.4")))
    rows = judge_set(made, tmp_path)
    assert not fails(rows), explained(rows)
    assert any("nothing below" in text for text in rows["STD-MED-037"].remarks)


def _patched(tmp_path: Path, change: Callable[[bytearray], object], **how: object) -> Path:
    """An image of which some bytes are changed."""
    path = FileSet.of_mx1().write_image(tmp_path / "medium.img", **how)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


START = 2048 * 512
TABLE = START + 512
"""The first allocation table of an image of FAT16 as the laboratory makes it."""


def _table_size(data: bytearray) -> int:
    return int(struct.unpack_from("<H", data, START + 22)[0]) * 512


def _link(data: bytearray, cluster: int, value: int, copy: int) -> None:
    struct.pack_into("<H", data, TABLE + copy * _table_size(data) + 2 * cluster, value)


@pytest.mark.parametrize("copy", [0, 1])
def test_tables_that_differ(copy: int, tmp_path: Path) -> None:
    """One of the two tables ends the chain of an image early: hosts that use it read half an image."""
    medium = read_medium(FileSet.of_mx1().write_image(tmp_path / "medium.img"))
    entry = max(medium.entries, key=lambda one: one.size)
    geometry = medium.file_system
    base = START + 512 + 2 * _table_size(bytearray((tmp_path / "medium.img").read_bytes())) + 512 * 32
    cluster = 2 + (entry.runs[0][0] - base) // geometry.cluster
    path = _patched(tmp_path, lambda data: _link(data, cluster, 0xFFFF, copy))
    rows = judge(path)
    assert "STD-MED-003" in fails(rows), explained(rows)
    assert "the two allocation tables differ" in rows["STD-MED-003"].reason or copy == 0
    assert any(entry.path in (one.what or "") for one in rows["STD-MED-003"].evidence)


def test_tables_that_differ_in_a_folder(tmp_path: Path) -> None:
    """The second table calls the folder of the images free: with it, everything in it is lost."""
    rows = judge(_patched(tmp_path, lambda data: _link(data, 2, 0, 1)))
    assert "STD-MED-003" in fails(rows), explained(rows)
    assert rows["STD-MED-003"].reason.endswith("cluster 2, which belongs to DICOM")


def test_tables_that_differ_in_free_clusters_are_a_remark(tmp_path: Path) -> None:
    """Nothing of the file-set is touched."""
    rows = judge(_patched(tmp_path, lambda data: _link(data, 7000, 0xFFFF, 1)))
    assert not fails(rows), explained(rows)
    assert any("tables differ" in text for text in rows["STD-MED-003"].remarks)


def test_lost_clusters_and_marks_are_remarks(tmp_path: Path) -> None:
    """Clusters of nobody, and the mark of a volume that was pulled out: told, and no fault of the file-set."""

    def change(data: bytearray) -> None:
        for copy in (0, 1):
            _link(data, 7000, 7001, copy)
            _link(data, 7001, 0xFFFF, copy)
            _link(data, 1, 0x3FFF, copy)

    rows = judge(_patched(tmp_path, change))
    assert not fails(rows), explained(rows)
    said = " ".join(rows["STD-MED-003"].remarks)
    assert "2 clusters are taken" in said
    assert "not taken out cleanly" in said
    assert "errors of the medium" in said


def _behind(volume: Volume, target: str) -> None:
    """The last cluster of a file leads on: back to its first, or into another file."""
    first = {path[-2:]: cluster for path, cluster in volume.first.items()}
    begin = last = first["SE000001", "IM000001"]
    while volume.table[last] != volume.end:
        last = volume.table[last]
    volume.table[last] = begin if target == "itself" else first["SE000001", "IM000002"]


@pytest.mark.parametrize("target", ["itself", "another"])
def test_chain_that_does_not_end_with_its_file(target: str, tmp_path: Path) -> None:
    """The file reads well to its size, and its chain never ends, or ends in another file."""
    rows = judge_set(FileSet.of_mx1(), tmp_path, spoil=lambda volume: _behind(volume, target))
    assert "STD-MED-003" in fails(rows), explained(rows)
    assert ("comes back" if target == "itself" else "of another") in rows["STD-MED-003"].reason


def test_root_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """FAT32 whose root folder begins nowhere: nothing can be found on it."""
    path = _patched(tmp_path, lambda data: struct.pack_into("<I", data, START + 44, 0xFFFFFF), kind="FAT32")
    assert "STD-MED-003" in fails(judge(path))


@pytest.mark.parametrize("type_", [0x07, 0x0F, 0x16, 0x83])
def test_partition_of_another_type(type_: int, tmp_path: Path) -> None:
    """A FAT file system in a partition that says that it holds something else."""
    rows = judge_set(FileSet.of_mx1(), tmp_path, type_=type_)
    assert fails(rows) == {"STD-MED-002"}, explained(rows)
    assert f"{type_:02X}H" in rows["STD-MED-002"].reason


def test_partition_type_of_another_fat_is_a_remark(tmp_path: Path) -> None:
    """Hosts look into the boot sector."""
    rows = judge_set(FileSet.of_mx1(), tmp_path, type_=0x0C)
    assert not fails(rows), explained(rows)
    assert any("0CH" in text for text in rows["STD-MED-002"].remarks)


@pytest.mark.parametrize(
    ("length", "words"),
    [(1000, "the file system says"), (1 << 24, "behind the medium")],
)
def test_partition_that_does_not_hold_its_file_system(length: int, words: str, tmp_path: Path) -> None:
    """Shorter than the file system, or longer than the medium."""
    rows = judge(_patched(tmp_path, lambda data: struct.pack_into("<I", data, 458, length)))
    assert fails(rows) == {"STD-MED-002"}, explained(rows)
    assert words in rows["STD-MED-002"].reason


def test_image_that_was_cut_blames_nobody(tmp_path: Path) -> None:
    """The end of the image is missing, in free space: the table of partitions may be right."""
    path = FileSet.of_mx1().write_image(tmp_path / "medium.img")
    with path.open("r+b") as out:
        out.truncate(path.stat().st_size - (1 << 20))
    assert not fails(judge(path))


def test_damaged_boot_sector(tmp_path: Path) -> None:
    """A boot sector of FAT with impossible sizes; one full of zeros was perhaps never formatted."""
    path = _patched(tmp_path, lambda data: struct.pack_into("<H", data, START + 11, 0))
    rows = judge(path)
    assert fails(rows) == {"STD-MED-001"}, explained(rows)
    path = _patched(tmp_path, lambda data: data.__setitem__(slice(START, START + 512), bytes(512)))
    rows = judge(path)
    assert not fails(rows), explained(rows)
    assert rows["STD-MED-001"].verdict.value == "INCONCLUSIVE"


def test_guid_partition_table_is_read(tmp_path: Path) -> None:
    """A stick with a GUID partition table: what is on it is judged, the table itself is in no annex."""

    def change(data: bytearray) -> None:
        start, length = struct.unpack_from("<II", data, 454)
        struct.pack_into("<B3sB3sII", data, 446, 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, 0xFFFFFFFF)
        data[512:520] = b"EFI PART"
        struct.pack_into("<QII", data, 512 + 72, 2, 128, 128)
        struct.pack_into("<16s16sQQ", data, 1024, b"\xa2" * 16, b"\1" * 16, start, start + length - 1)

    path = _patched(tmp_path, change)
    rows = judge(path)
    assert not fails(rows), explained(rows)
    assert rows["STD-MED-002"].verdict.value == "INCONCLUSIVE"
    assert rows["STD-MED-014"].verdict.value == "PASS"
    assert [(one.number, one.start) for one in read_medium(path).partitions] == [(1, START)]


def test_second_table_in_use(tmp_path: Path) -> None:
    """FAT32 may say that only the second table is kept: that one is read, and they may differ."""

    def change(data: bytearray) -> None:
        struct.pack_into("<H", data, START + 40, 0x81)
        size = struct.unpack_from("<I", data, START + 36)[0] * 512
        first = START + 32 * 512
        data[first : first + size] = bytes(size)

    rows = judge(_patched(tmp_path, change, kind="FAT32"))
    assert not fails(rows), explained(rows)
    assert rows["STD-MED-014"].verdict.value == "PASS"
