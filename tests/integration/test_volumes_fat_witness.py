"""What fsck.vfat, mtools and mkfs.vfat, which nobody here wrote, say to the FAT engine's media."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatcheck import check_device
from bench.volumes.format import format_image
from bench.volumes.layout import FatType, find_volume
from tests.lab.fatmodel import Model, compare, step

pytestmark = pytest.mark.witness
MB = 1024 * 1024


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def volume_file(image: Path) -> Path:
    """The volume alone, as fsck.vfat wants it; a partition is copied out, holes stay holes."""
    device = BlockDevice(image)
    layout = find_volume(device)
    device.close()
    if not layout.start:
        return image
    alone = image.with_suffix(".part")
    source = os.open(image, os.O_RDONLY)
    with alone.open("wb") as target:
        start = stop = layout.start * 512
        while True:
            try:
                start = os.lseek(source, stop, os.SEEK_DATA)
            except OSError:
                break
            stop = os.lseek(source, start, os.SEEK_HOLE)
            for at in range(start, stop, MB):
                target.seek(at - layout.start * 512)
                target.write(os.pread(source, min(MB, stop - at), at))
        target.truncate(layout.sectors * 512)
    os.close(source)
    return alone


def fsck(image: Path) -> None:
    done = subprocess.run(
        [tool("fsck.vfat"), "-n", str(volume_file(image))], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def mtools(image: Path, name: str, *args: str) -> bytes:
    env = {"MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
    done = subprocess.run(
        [tool(name), "-i", str(volume_file(image)), *args], capture_output=True, timeout=60, env=env
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(
    ("fat", "size", "partition", "cluster"),
    [
        ("FAT16", 16 * MB, "none", None),
        ("FAT16", 64 * MB, "mbr", None),
        ("FAT16", 1024 * MB, "mbr", None),
        ("FAT16", 2048 * MB, "mbr", 32768),
        ("FAT32", 64 * MB, "none", None),
        ("FAT32", 512 * MB, "mbr", None),
        ("FAT32", 8192 * MB, "mbr", None),
    ],
)
def test_fsck_has_nothing_to_say_to_what_was_formatted(
    tmp_path: Path, fat: FatType, size: int, partition: str, cluster: int | None
) -> None:
    image = tmp_path / "card.img"
    format_image(image, size=size, fat=fat, label="CARD", partition=partition, cluster=cluster)  # type: ignore[arg-type]
    fsck(image)  # empty, and after two files: FATs and FSInfo are right
    device = BlockDevice(image)
    volume = FatVolume.mount(device)
    volume.close(volume.create("/DICOMDIR"))
    handle = volume.create("/A file.dcm")
    volume.write(handle, 0, b"data" * 100_000)
    volume.close(handle)
    volume.unmount()
    device.close()
    fsck(image)
    assert mtools(image, "mtype", "::/a file.DCM") == b"data" * 100_000
    assert image.stat().st_blocks * 512 < 20 * MB


@pytest.mark.parametrize("fat", ["FAT16", "FAT32"])
@pytest.mark.parametrize("seed", range(8))
def test_after_random_work_fsck_is_content_and_mtools_read_the_same(
    tmp_path: Path, fat: FatType, seed: int
) -> None:
    rng = random.Random(seed)
    image = tmp_path / "stick.img"
    format_image(image, size=(16 if fat == "FAT16" else 40) * MB, fat=fat, label="W", partition="none")
    device = BlockDevice(image)
    volume = FatVolume.mount(device)
    model = Model()
    for number in range(150):
        step(volume, model, rng)
        if number == 70:
            volume.unmount()
            volume = FatVolume.mount(device)
    compare(volume, model)
    volume.unmount()
    device.close()
    fsck(image)
    read = 0
    for key, (_, data) in model.files.items():
        if data is not None and read < 12:
            read += 1
            spelled, at = "", ""
            for part in key.split("/")[1:]:
                at += "/" + part
                spelled += "/" + model.files[at][0]
            assert mtools(image, "mtype", "::" + spelled) == data, spelled
    assert read >= 3


def test_thousands_of_names_in_a_directory_that_grows(tmp_path: Path) -> None:
    image = tmp_path / "stick.img"
    format_image(image, size=40 * MB, fat="FAT32", label="MANY", partition="none")
    device = BlockDevice(image)
    volume = FatVolume.mount(device)
    volume.mkdir("/many")
    for number in range(3000):
        volume.close(volume.create(f"/many/a rather long name {number}.dcm"))
    for number in range(0, 3000, 3):
        volume.unlink(f"/many/A RATHER LONG NAME {number}.DCM")
    for number in range(500):
        volume.close(volume.create(f"/many/IM{number:06}"))
    assert len(volume.listdir("/many")) == 2500
    volume.unmount()
    device.close()
    fsck(image)
    assert mtools(image, "mdir", "-b", "::/many").count(b"\n") == 2500


@pytest.mark.parametrize(("bits", "size"), [("16", 32 * MB), ("32", 64 * MB)])
def test_what_mkfs_and_mtools_made_is_read_and_written(tmp_path: Path, bits: str, size: int) -> None:
    image = tmp_path / "theirs.img"
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(
        [tool("mkfs.vfat"), "-F", bits, "-n", "THEIRS", str(image)], check=True, capture_output=True
    )
    body = tmp_path / "body"
    body.write_bytes(bytes(range(256)) * 400)
    mtools(image, "mmd", "::/Sub directory")
    for name in ("::/UPPER.TXT", "::/Sub directory/lower.txt", "::/Sub directory/ünï 超音波.dcm"):
        mtools(image, "mcopy", str(body), name)
    device = BlockDevice(image)
    assert check_device(device) == []
    volume = FatVolume.mount(device)
    assert volume.label == "THEIRS"
    assert sorted(volume.listdir("/Sub directory")) == ["lower.txt", "ünï 超音波.dcm"]
    for name in ("/upper.txt", "/SUB DIRECTORY/LOWER.TXT", "/Sub directory/ÜNÏ 超音波.dcm"):
        handle = volume.open(name)
        assert volume.read(handle, 0, 10**6) == body.read_bytes()
        volume.truncate(handle, 1000)
        volume.close(handle)
    volume.rename("/UPPER.TXT", "/Sub directory/lower.txt")
    volume.unmount()
    device.close()
    fsck(image)
    assert mtools(image, "mtype", "::/Sub directory/lower.txt") == body.read_bytes()[:1000]


def test_a_full_medium_is_still_a_whole_one(tmp_path: Path) -> None:
    image = tmp_path / "full.img"
    format_image(image, size=16 * MB, fat="FAT16", label="FULL", partition="none")
    device = BlockDevice(image)
    volume = FatVolume.mount(device)
    handle = volume.create("/BIG")
    at = 0
    for piece in (MB, 100_000, 2048, 1):
        while True:
            try:
                at += volume.write(handle, at, b"f" * piece)
            except OSError as error:
                assert error.strerror == "no space left on the medium"  # noqa: PT017
                break
    volume.close(handle)
    assert volume.statfs().free == 0
    volume.unmount()
    device.close()
    fsck(image)
    assert mtools(image, "mtype", "::/BIG") == b"f" * at


def test_the_dirty_bit_is_seen_by_fsck(tmp_path: Path) -> None:
    image = tmp_path / "dirty.img"
    format_image(image, size=16 * MB, fat="FAT16", label="DIRTY", partition="none")
    device = BlockDevice(image)
    FatVolume.mount(device)
    device.close()
    done = subprocess.run([tool("fsck.vfat"), "-n", str(image)], capture_output=True, text=True, timeout=60)
    assert "irty bit is set" in done.stdout
