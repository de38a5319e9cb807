"""What of a FAT file system is not as it must be, beside the chains: folders' own entries, names, counts, copies."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.format import format_image
from bench.witness.medium import read_medium
from tests.lab.fat import long_entries
from tests.lab.media import FileSet
from tests.unit.judged_media import explained, fails, judge

START = 2048 * 512
DOT, DOTS = b".".ljust(11), b"..".ljust(11)


def image(folder: Path, kind: str = "FAT16") -> Path:
    """A conforming medium of the laboratory."""
    return FileSet.of_mx1().write_image(folder / "medium.img", kind=kind)


def codes(path: Path) -> set[str]:
    """What is wrong with it below its files."""
    return {trouble.code for trouble in read_medium(path).troubles}


def entry_at(data: bytes, name: bytes, number: int = 0) -> int:
    """Where the entry of a raw name stands that has so many before it."""
    at = data.index(name + b"\x10")
    for _ in range(number):
        at = data.index(name + b"\x10", at + 1)
    return at


def _cluster(data: bytearray, at: int, number: int) -> None:
    struct.pack_into("<H", data, at + 26, number)


def _leads_elsewhere(data: bytearray) -> None:
    _cluster(data, entry_at(data, DOT), 7)


def _leads_back_elsewhere(data: bytearray) -> None:
    _cluster(data, entry_at(data, DOTS, 1), 7)


def _no_way_back(data: bytearray) -> None:
    data[entry_at(data, DOTS)] = 0xE5


def _another_media_byte(data: bytearray) -> None:
    data[START + 21] = 0xF0


def _no_media_byte(data: bytearray) -> None:
    data[START + 21] = data[START + 6 * 512 + 21] = 0x12


def _copy_of_another(data: bytearray) -> None:
    data[START + 6 * 512 + 13] ^= 0xFF


def _wrong_count(data: bytearray) -> None:
    struct.pack_into("<I", data, START + 512 + 488, 17)


def _no_count(data: bytearray) -> None:
    data[START + 512] = 0


@pytest.mark.parametrize(
    ("kind", "change", "code", "bad"),
    [
        ("FAT16", _leads_elsewhere, "dots", True),
        ("FAT32", _leads_elsewhere, "dots", True),
        ("FAT16", _leads_back_elsewhere, "dots", True),
        ("FAT32", _leads_back_elsewhere, "dots", True),
        ("FAT16", _no_way_back, "dots", True),
        ("FAT16", _another_media_byte, "media-byte", False),
        ("FAT32", _no_media_byte, "media-byte", False),
        ("FAT32", _copy_of_another, "boot-copy", False),
        ("FAT32", _wrong_count, "free-count", False),
        ("FAT32", _no_count, "free-count", False),
    ],
)
def test_each_is_told(
    kind: str, change: Callable[[bytearray], None], code: str, bad: bool, tmp_path: Path
) -> None:
    """Only what stands in the way of a reader is a failure; the rest is a remark."""
    path = image(tmp_path, kind)
    assert codes(path) == set()
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    assert codes(path) == {code}
    rows = judge(path)
    assert fails(rows) == ({"STD-MED-003"} if bad else set()), explained(rows)
    assert bad or rows["STD-MED-003"].remarks


def test_the_root_may_be_named_by_its_cluster(tmp_path: Path) -> None:
    """Microsoft's text says 0 on FAT32 as well; who writes the root's cluster leads to the same place."""
    path = image(tmp_path, "FAT32")
    data = bytearray(path.read_bytes())
    _cluster(data, entry_at(data, DOTS), 2)
    path.write_bytes(data)
    assert codes(path) == set()


def test_one_name_twice_in_a_folder(tmp_path: Path) -> None:
    """Two entries of one name: who opens the image of one patient may see the other one's."""
    path = image(tmp_path)
    medium = read_medium(path)
    one, other = [entry for entry in medium.entries if not entry.folder and len(entry.short) > 1][:2]
    assert one.raw is not None
    assert other.raw is not None
    assert one.short[:-1] == other.short[:-1]
    path.write_bytes(path.read_bytes().replace(other.raw + b"\x20", one.raw + b"\x20"))
    rows = judge(path)
    assert "twice" in codes(path)
    assert "STD-MED-003" in fails(rows), explained(rows)
    assert "stands twice" in rows["STD-MED-003"].reason


@pytest.mark.parametrize("order", ["of another", "of none", "begun twice"])
def test_long_names_that_belong_to_nothing(order: str, tmp_path: Path) -> None:
    """Other systems wrote beside them; what they are called is not known."""
    path = image(tmp_path)
    data = path.read_bytes()
    raw = b"DICOM".ljust(11)
    at = data.index(raw + b"\x10")
    stray = long_entries("somebody else", b"SOMEBO~1   ")
    if order == "of none":
        stray += b"\xe5" + data[at + 1 : at + 32]
    elif order == "begun twice":
        stray += long_entries("DICOM", raw)
    room = data[at : at + 32 * 20]
    path.write_bytes(data[:at] + (stray + room)[: len(room)] + data[at + len(room) :])
    assert codes(path) == {"long-name"}
    assert not fails(judge(path))


def test_hidden_images_are_told(tmp_path: Path) -> None:
    path = image(tmp_path)
    entry = next(one for one in read_medium(path).entries if not one.folder and len(one.short) > 1)
    assert entry.raw is not None
    path.write_bytes(path.read_bytes().replace(entry.raw + b"\x20", entry.raw + b"\x22"))
    rows = judge(path)
    assert not fails(rows)
    assert any("hidden" in text for text in rows["STD-MED-003"].remarks)


def _grown(volume: FatVolume) -> None:
    """Folders in folders of more than a cluster, long names, things deleted and renamed."""
    for folder in ("/Patient images", "/A", "/A/Second floor", "/A/Second floor/CD"):
        volume.mkdir(folder)
    for number in range(300):
        name = f"/A/Second floor/a long name {number}.dcm"
        handle = volume.create(name)
        volume.write(handle, 0, bytes(700))
        volume.close(handle)
        if number % 3 == 0:
            volume.unlink(name)
        elif number % 3 == 1:
            volume.rename(name, f"/Patient images/IM{number:06d}")
    volume.fsync()


@pytest.mark.parametrize(("kind", "size"), [("FAT16", 64 << 20), ("FAT32", 1 << 30)])
def test_the_own_engine_leaves_it_in_order(kind: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "own.img"
    format_image(path, size=size, fat=kind, label="OWN")
    device = BlockDevice(path, None)
    volume = FatVolume.mount(device)
    _grown(volume)
    volume.unmount()
    device.close()
    assert len(read_medium(path).entries) == 204
    assert codes(path) == set()


@pytest.mark.witness
@pytest.mark.parametrize("kind", ["12", "16", "32"])
def test_images_of_other_tools_are_in_order(kind: str, tmp_path: Path) -> None:
    """What mkfs.fat and mtools write."""
    if not all(shutil.which(tool) for tool in ("mkfs.fat", "mmd", "mcopy", "mdel")):
        pytest.skip("dosfstools and mtools are not installed")
    path = tmp_path / "theirs.img"
    with path.open("wb") as file:
        file.truncate({"12": 4 << 20, "16": 64 << 20, "32": 300 << 20}[kind])
    (tmp_path / "A rather long name.txt").write_bytes(bytes(5000))

    def do(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)

    do("mkfs.fat", "-F", kind, str(path))
    for folder in ("::/DICOM", "::/DICOM/A long folder", "::/DICOM/A long folder/IN IT"):
        do("mmd", "-i", str(path), folder)
    for number in range(40):
        do("mcopy", "-i", str(path), "A rather long name.txt", f"::/DICOM/A long folder/a file {number}.txt")
    do("mdel", "-i", str(path), "::/DICOM/A long folder/a file 7.txt")
    assert codes(path) == set()
