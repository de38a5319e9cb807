"""What lies on a medium beforehand: every word of the list, on FAT16 and FAT32, and foreign file-sets."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest

from bench.volumes.content import WORDS, parse_content, prepare
from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatcheck import check_device
from bench.volumes.foreign import VARIANTS, foreign_files, make_foreign
from bench.volumes.layout import find_volume

MB = 1 << 20
SHAPES = {"FAT16": 64 * MB, "FAT32": 512 * MB}


def made(path: Path, fat: Any, *content: str) -> Path:
    image = path / "stick.img"
    prepare(image, size=SHAPES[fat], fat=fat, label="BENCH", content=parse_content(content))
    return image


@contextmanager
def opened(image: Path) -> Iterator[tuple[FatVolume, BlockDevice]]:
    device = BlockDevice(image)
    try:
        yield FatVolume.mount(device, read_only=True), device
    finally:
        device.close()


def body(volume: FatVolume, path: str) -> bytes:
    handle = volume.open(path)
    return volume.read(handle, 0, volume.stat(path).size)


@pytest.mark.parametrize("fat", SHAPES)
@pytest.mark.parametrize("word", sorted(set(WORDS) - {"corrupt-fat", "files", "fill"}))
def test_content_leaves_a_sound_volume(word: str, fat: str, tmp_path: Path) -> None:
    image = made(tmp_path, fat, word)
    with opened(image) as (volume, device):
        assert check_device(device) == []
        names = volume.listdir("/")
        assert ("DICOMDIR" in names) == (word != "empty")
        assert volume.stat("/DICOMDIR").is_dir == (word == "dicomdir-is-a-directory") if names else True


@pytest.mark.parametrize("fat", SHAPES)
def test_files_and_fill(fat: str, tmp_path: Path) -> None:
    image = made(tmp_path, fat, "fill:2000000", "files:40")
    with opened(image) as (volume, device):
        assert check_device(device) == []
        room = volume.statfs()
        assert 0 <= 2_000_000 - room.free_bytes < room.block_size
        assert len(volume.listdir("/DCIM/100CAMER")) == 30
        assert "Report of the meeting 00003.txt" in volume.listdir("/Documents/000")
    assert os.stat(image).st_blocks * 512 < 8 * MB, "what fills the medium is sparse"


def test_the_huge_directory_is_as_long_as_it_says(tmp_path: Path) -> None:
    image = tmp_path / "big.img"
    prepare(image, size=4 << 30, fat="FAT32", content=parse_content(["huge-dicomdir"]))
    with opened(image) as (volume, _):
        size = volume.stat("/DICOMDIR").size
        assert size == (2 << 30) - MB
        head = volume.read(volume.open("/DICOMDIR"), 0, 4096)
    at = head.index(struct.pack("<HH2s", 0x0004, 0x1220, b"SQ")) + 8
    assert struct.unpack_from("<I", head, at)[0] == size - at - 4
    assert os.stat(image).st_blocks * 512 < 16 * MB


@pytest.mark.parametrize("fat", SHAPES)
def test_a_corrupt_table_is_noticed(fat: str, tmp_path: Path) -> None:
    image = made(tmp_path, fat, "corrupt-fat")
    device = BlockDevice(image)
    try:
        assert check_device(device) != []
        layout = find_volume(device)
        starts = [device.read(layout.fat_offset(copy), 8) for copy in range(2)]
        assert starts[0] == starts[1]
        assert starts[0][0] == 0xF8, "the media byte stays: it is what tells a table from anything else"
        rest = [device.read(layout.fat_offset(copy) + 8, 4000) for copy in range(2)]
        assert rest[0] != rest[1]
    finally:
        device.close()


@pytest.mark.parametrize("fat", SHAPES)
def test_the_name_dotdot_is_in_the_root_directory(fat: str, tmp_path: Path) -> None:
    data = made(tmp_path, fat, "dotdot-names").read_bytes()[: 40 * MB]
    at = data.index(b"BENCH      \x08")
    assert b"..         \x20" in data[at : at + 16 * 1024]


@pytest.mark.parametrize(
    "text",
    [
        "nix",
        "files",
        "files:x",
        "files:²",
        "files:1000000",
        "files:" + "9" * 5000,
        "fill:",
        "fill:-1",
        "fill:2199023255553",
        "empty:1",
        "foreign-fileset:nix",
    ],
)
def test_wrong_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"content|file-set"):
        parse_content([text])


def test_the_largest_numbers_are_taken() -> None:
    assert [one.number for one in parse_content(["files:999999", "fill:2199023255552", "fill:0"])] == [
        999_999, 2**41, 0
    ]  # fmt: skip


@pytest.mark.parametrize("variant", ["garbled-dicomdir", "truncated-dicomdir"])
def test_nobody_can_read_what_is_said_to_be_unreadable(variant: str) -> None:
    """Whatever the seed: the records do not end where they say that they do, or their bytes are none."""
    for seed in range(1, 41):
        data = foreign_files(variant, seed)["DICOMDIR"]
        at = data.index(struct.pack("<HH2s", 0x0004, 0x1220, b"SQ")) + 8
        (length,) = struct.unpack_from("<I", data, at)
        place, end, sound = at + 4, at + 4 + length, at + 4 + length <= len(data)
        while sound and place < end:
            tag, size = struct.unpack_from("<II", data, place)
            sound = tag == 0xE000FFFE and place + 8 + size <= end and _elements(data[place + 8 :][:size])
            place += 8 + size
        assert not sound, seed


def _elements(data: bytes) -> bool:
    """Whether the bytes are elements of short values, as the records of this vendor have them."""
    at = 0
    while at + 8 <= len(data):
        if not (data[at + 4 : at + 6].isalpha() and data[at + 4 : at + 6].isupper()):
            return False
        at += 8 + int(struct.unpack_from("<H", data, at + 6)[0])
    return at == len(data)


def test_content_that_does_not_fit_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        prepare(tmp_path / "x.img", size=9 * MB, fat="FAT16", content=parse_content(["files:2000"]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_foreign_sets_are_repeatable_and_written_as_told(variant: str, tmp_path: Path) -> None:
    files = foreign_files(variant, 3)
    assert files == foreign_files(variant, 3)
    assert files != foreign_files(variant, 4)
    image = made(tmp_path, "FAT16", f"foreign-fileset:{variant}" if variant else "foreign-fileset")
    made_in = tmp_path / "folder"
    paths = make_foreign(made_in, variant, 1)
    with opened(image) as (volume, _):
        for path in paths:
            assert body(volume, "/" + path) == (made_in / path).read_bytes()


@pytest.mark.parametrize("variant", [name for name, text in VARIANTS.items() if text.startswith("valid")])
def test_valid_sets_are_read_by_others(variant: str, tmp_path: Path) -> None:
    make_foreign(tmp_path, variant, 1)
    found = pydicom.dcmread(tmp_path / "DICOMDIR")
    images = [r for r in found.DirectoryRecordSequence if r.DirectoryRecordType == "IMAGE"]
    assert len(images) == 6
    for record in images:
        image = pydicom.dcmread(tmp_path.joinpath(*record.ReferencedFileID))
        assert image.SOPInstanceUID == record.ReferencedSOPInstanceUIDInFile
        assert len(image.PixelData) == image.Rows * image.Columns


@pytest.mark.witness
@pytest.mark.skipif(shutil.which("dcdirdmp") is None, reason="no dcdirdmp (dicom3tools)")
@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"looping"}))
def test_a_foreign_judge_agrees_which_are_damaged(variant: str, tmp_path: Path) -> None:
    """But for the loop: dcdirdmp follows it for ever."""
    make_foreign(tmp_path, variant, 1)
    done = subprocess.run(
        ["dcdirdmp", str(tmp_path / "DICOMDIR")], capture_output=True, timeout=30, check=False
    )
    told = "Error" in (done.stdout + done.stderr).decode("latin-1")
    assert told == (variant in ("wrong-offsets", "truncated-dicomdir", "garbled-dicomdir"))
