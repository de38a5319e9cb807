"""What is formatted, and what mounting says to everything else."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

import pytest

from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatcheck import check_device
from bench.volumes.format import default_cluster, format_image

MB = 1024 * 1024


def mounted(path: Path, size: int | None = None) -> str:
    device = BlockDevice(path, size)
    try:
        with pytest.raises(OSError) as caught:
            FatVolume.mount(device)
        return f"{errno.errorcode[caught.value.errno or 0]} {caught.value.strerror}"
    finally:
        device.close()


def test_what_is_no_fat_volume_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "none.img"
    format_image(path, size=4 * MB, fat=None, label="")
    assert mounted(path) == "EINVAL the medium is not formatted: its first sector is empty"
    format_image(path, size=32 * MB, fat="FAT16", label="X", partition="mbr")
    good = path.read_bytes()

    def damaged(at: int, data: bytes) -> str:
        path.write_bytes(good[:at] + data + good[at + len(data) :])
        return mounted(path)

    boot = 2048 * 512
    assert "exFAT" in damaged(boot + 3, b"EXFAT   ")
    assert "NTFS" in damaged(boot + 3, b"NTFS    ")
    assert "GPT" in damaged(450, b"\xee")
    assert "no boot signature" in damaged(boot + 510, b"\0\0")
    assert "no partition in use" in damaged(446, bytes(64))
    assert "outside the medium" in damaged(446 + 12, b"\xff\xff\xff\x7f")
    assert "sectors of 1000 bytes" in damaged(boot + 11, struct.pack("<H", 1000))
    assert "3 sectors per cluster" in damaged(boot + 13, b"\x03")
    assert "0 FATs" in damaged(boot + 16, b"\0")
    assert "sectors in a volume of" in damaged(boot + 19, b"\xff\xff")
    assert "FAT12" in damaged(boot + 13, b"\x80")


@pytest.mark.parametrize(
    ("size", "fat", "cluster", "start"),
    [
        (2_000_000_000 // 512 * 512, "FAT16", 32768, 8192),
        (512 * MB, "FAT16", 16384, 8192),
        (64 * MB, "FAT16", 2048, 8192),
        (32 * MB, "FAT16", 2048, 2048),
        (32_000_000_000, "FAT32", 32768, 8192),
        (4_000_000_000, "FAT32", 32768, 8192),
        (512 * MB, "FAT32", 2048, 8192),
    ],
)
def test_media_are_formatted_as_real_cards_are(
    tmp_path: Path, size: int, fat: Any, cluster: int, start: int
) -> None:
    path = tmp_path / "card.img"
    layout = format_image(path, size=size, fat=fat, label="CARD", serial=0x1234ABCD)
    assert layout is not None
    assert (layout.fat, layout.start, layout.cluster_bytes) == (fat, start, cluster)
    assert layout.data_offset % cluster == 0
    assert (layout.serial, layout.label) == (0x1234ABCD, "CARD")
    assert path.stat().st_size == size
    assert path.stat().st_blocks * 512 < MB
    device = BlockDevice(path)
    assert check_device(device) == []
    with path.open("rb") as file:
        table = file.read(512)
    assert table[450] == (0x0C if fat == "FAT32" else 0x04 if size == 32 * MB else 0x06)
    device.close()


@pytest.mark.parametrize(
    "bad",
    [
        {"size": 1000},
        {"size": 4 * MB, "fat": "FAT32"},
        {"size": 4096 * MB, "fat": "FAT16"},
        {"size": 32 * MB, "cluster": 3000},
        {"size": 32 * MB, "label": "much too long a label"},
        {"size": 32 * MB, "label": "a/b"},
        {"size": 32 * MB, "partition": "gpt"},
    ],
)
def test_a_format_that_cannot_be_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        format_image(tmp_path / "x.img", **{"fat": "FAT16", "label": "", **bad})


def test_small_media_get_clusters_that_give_the_type() -> None:
    assert default_cluster(16 * MB, "FAT16") == 2048
    assert default_cluster(40 * MB, "FAT32") == 512
