"""The disk of a block medium, its loop device's setting-up, and when the backend is offered; without any mount."""

from __future__ import annotations

import errno
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import doctor
from bench.volumes import backends, block
from bench.volumes.backends import NoBackend, best, probe
from bench.volumes.blockdisk import Disk
from bench.volumes.device import SECTOR, BlockDevice
from bench.volumes.format import format_image

MB = 1 << 20


@pytest.fixture
def notes() -> list[tuple[str, str, int]]:
    return []


@pytest.fixture
def device(tmp_path: Path) -> Iterator[BlockDevice]:
    made = BlockDevice(tmp_path / "disk", MB)
    yield made
    made.close()


@pytest.fixture
def disk(device: BlockDevice, notes: list[tuple[str, str, int]]) -> Disk:
    return Disk(device, lambda what, op, count=0: notes.append((what, op, count)))


def test_the_disk_is_the_device(disk: Disk, device: BlockDevice, notes: list[tuple[str, str, int]]) -> None:
    assert disk.stat("/disk.img").size == MB
    assert disk.stat("/").is_dir
    with pytest.raises(FileNotFoundError):
        disk.stat("/other")
    assert disk.write(1, SECTOR, memoryview(b"x" * SECTOR)) == SECTOR
    assert device.unsynced == SECTOR
    disk.flush(1, None)
    assert device.unsynced == SECTOR, "closing is not flushing"
    disk.fsync(1, False)
    assert device.unsynced == 0
    assert disk.read(1, 0, 2 * SECTOR) == bytes(SECTOR) + b"x" * SECTOR
    assert len(disk.read(1, MB - SECTOR, 4096)) == SECTOR, "the end of the disk is the end of the file"
    assert disk.read(1, MB, 4096) == b""
    assert [what for what, _, _ in notes] == ["written", "synced", "read", "read", "read"]


def test_the_disk_keeps_its_name_and_size(disk: Disk) -> None:
    for change in (
        lambda: disk.create("/a"),
        lambda: disk.truncate("/disk.img", None, 0),
        lambda: disk.open("/disk.img", True, True),
        lambda: disk.unlink("/disk.img"),
        lambda: disk.mkdir("/a"),
        lambda: disk.rmdir("/a"),
        lambda: disk.rename("/disk.img", "/a", True),
    ):
        with pytest.raises(PermissionError):
            change()


def test_faults_are_the_devices_and_are_told(
    disk: Disk, device: BlockDevice, notes: list[tuple[str, str, int]]
) -> None:
    device.protected = True
    with pytest.raises(OSError, match="write protected") as refused:
        disk.write(1, 0, memoryview(bytes(SECTOR)))
    assert refused.value.errno == errno.EROFS
    device.protected = False
    device.bad((0, SECTOR), "read")
    with pytest.raises(OSError, match="cannot read"):
        disk.read(1, 0, 4096)
    assert disk.read(1, SECTOR, SECTOR) == bytes(SECTOR)
    assert notes[:2] == [("refused", "write", errno.EROFS), ("refused", "read", errno.EIO)]


def test_who_had_it_when_it_was_pulled_out_never_gets_it_again(disk: Disk, device: BlockDevice) -> None:
    """Late write-back of the old mount must not come to the medium that is in again."""
    device.yank(None)
    with pytest.raises(OSError, match="pulled out"):
        disk.fsync(1, False)
    device.reinsert()
    for late in (
        lambda: disk.write(1, 0, memoryview(b"x" * SECTOR)),
        lambda: disk.read(1, 0, SECTOR),
        lambda: disk.fsync(1, False),
    ):
        with pytest.raises(OSError, match="pulled out") as error:
            late()
        assert error.value.errno == errno.EIO
    assert device.read(0, SECTOR) == bytes(SECTOR)


@pytest.mark.parametrize("partition", ["mbr", "none"])
def test_the_first_partition_is_found(tmp_path: Path, partition: Any) -> None:
    path = tmp_path / "stick"
    format_image(path, size=64 * MB, fat="FAT16", label="A", partition=partition)
    device = BlockDevice(path)
    try:
        start, length = block.VFAT.where(device)
        boot = device.read(start, SECTOR)
        sectors = struct.unpack_from("<H", boot, 19)[0] or struct.unpack_from("<I", boot, 32)[0]
        assert boot[510:512] == b"\x55\xaa"
        assert (start > 0) is (partition == "mbr")
        assert length >= sectors * SECTOR
        assert start + length <= device.size
    finally:
        device.close()


def test_an_unformatted_medium_is_said_to_be_one(device: BlockDevice) -> None:
    with pytest.raises(OSError, match="not formatted"):
        block.VFAT.where(device)


def test_waiting_ends() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match="asking: no end"):
        block.within(0.05, never.wait, "asking")
    assert block.within(5, lambda: 7, "asking") == 7
    with pytest.raises(OSError, match="why"):
        block.within(5, lambda: (_ for _ in ()).throw(OSError(errno.EIO, "why")), "asking")
    # what gets on is waited for, what does not is not
    steps = iter((1, 2, 2, 3, 3, 3))
    with pytest.raises(TimeoutError):
        block.within(0.02, never.wait, "writing", lambda: next(steps))
    assert list(steps) == [], "given up when nothing had moved between two looks"
    never.set()


@pytest.mark.parametrize(
    ("systems", "loops", "trial", "text"),
    [
        ((), True, "", "the kernel has no vfat"),
        (("vfat",), False, "", "no access to loop devices"),
        (("vfat",), True, "mount of vfat: Invalid argument", "Invalid argument"),
    ],
)
def test_it_is_offered_only_where_it_works(
    systems: tuple[str, ...],
    loops: bool,
    trial: str,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    control = tmp_path / "loop-control"
    if loops:
        control.touch()
    monkeypatch.setattr(backends, "LOOP_CONTROL", str(control))
    monkeypatch.setattr(backends, "_kernel_file_systems", lambda: frozenset(systems))
    monkeypatch.setattr(backends, "can_block", lambda: trial)
    found = probe()[0]
    assert (found.name, found.available) == ("block", False)
    assert text in found.why
    assert best().name != "block"
    with pytest.raises(NoBackend, match=text):
        best("block")


def test_where_it_works_it_is_the_best(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    control = tmp_path / "loop-control"
    control.touch()
    monkeypatch.setattr(backends, "LOOP_CONTROL", str(control))
    monkeypatch.setattr(backends, "_kernel_file_systems", lambda: frozenset({"vfat"}))
    monkeypatch.setattr(backends, "can_block", lambda: "")
    assert best().name == best("block").name == "block"
    item = next(item for item in doctor.examine() if item.name == "volumes: block")
    assert item.level == "ok"
    assert "(chosen)" in item.found


def test_a_kernel_s_own_driver_is_what_only_this_one_shows() -> None:
    unproven = {backend.name: " ".join(backend.cannot_prove) for backend in probe()}
    assert "FAT driver" not in unproven["block"]
    assert "two names share" in unproven["fuse"]


def test_the_trial_says_what_went_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A place that cannot be made: the reason is the answer, and nothing is mounted."""
    monkeypatch.setattr(block, "own_mounts", lambda: None)
    nowhere = block.System("nodev", "", lambda device: (0, device.size))
    (tmp_path / "trial.img").write_bytes(bytes(MB))
    (tmp_path / "in").write_bytes(b"")
    assert block.trial(tmp_path, nowhere) == "Not a directory"
