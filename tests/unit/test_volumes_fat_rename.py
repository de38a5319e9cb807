"""A renaming waits as with Linux' vfat: for the file, for the folder, for everything, or for half a minute."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatback import AGE_S
from bench.volumes.fatcheck import check_device
from bench.volumes.format import format_image

MB = 1024 * 1024
OLD, NEW = b"old" * 3000, b"new" * 5000


@pytest.fixture(params=["FAT16", "FAT32"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlockDevice]:
    fat: Any = request.param
    path = tmp_path / "stick.img"
    format_image(path, size=40 * MB if fat == "FAT32" else 16 * MB, fat=fat, label="STICK", partition="none")
    device = BlockDevice(path)
    yield device
    device.close()


def put(volume: FatVolume, path: str, data: bytes = b"") -> None:
    handle = volume.create(path)
    volume.write(handle, 0, data)
    volume.close(handle)


def get(volume: FatVolume, path: str) -> bytes | int | None:
    """The content of a file, or the errno."""
    try:
        handle = volume.open(path)
        return volume.read(handle, 0, 1 << 30)
    except OSError as error:
        return error.errno


def sync(volume: FatVolume, path: str) -> None:
    handle = volume.open(path)
    volume.fsync(handle)
    volume.close(handle)


@pytest.fixture
def volume(device: BlockDevice) -> FatVolume:
    """A DICOMDIR, and in another sector of the root what is to take its place."""
    volume = FatVolume.mount(device)
    put(volume, "/DICOMDIR", OLD)
    for number in range(20):
        put(volume, f"/F{number}")
    put(volume, "/DRAFT", NEW)
    volume.fsync()
    return volume


def pulled(device: BlockDevice, lose: int | None = None) -> FatVolume:
    device.yank(lose)
    device.reinsert()
    return FatVolume.mount(device, read_only=True)


@pytest.mark.parametrize("lose", [0, None])
def test_what_was_not_synchronised_is_not_on_the_medium(
    device: BlockDevice, volume: FatVolume, lose: int | None
) -> None:
    volume.rename("/DRAFT", "/DICOMDIR")
    volume.rename("/F3", "/G3")
    assert get(volume, "/DICOMDIR") == NEW
    again = pulled(device, lose)
    assert (get(again, "/DICOMDIR"), get(again, "/DRAFT")) == (OLD, NEW)
    assert "G3" not in again.listdir("/")


def test_synchronising_the_file_makes_its_new_name_durable(device: BlockDevice, volume: FatVolume) -> None:
    volume.rename("/DRAFT", "/DICOMDIR")
    sync(volume, "/DICOMDIR")
    again = pulled(device)
    assert get(again, "/DICOMDIR") == NEW
    assert get(again, "/DRAFT") == NEW, "that the old name is gone is the folder's matter"


def test_synchronising_the_folder_alone_leaves_neither(device: BlockDevice, volume: FatVolume) -> None:
    """The fault that only a kernel's own vfat used to show."""
    volume.rename("/DRAFT", "/DICOMDIR")
    volume.fsync_folder("/")
    again = pulled(device)
    assert "DRAFT" not in again.listdir("/")
    assert again.stat("/DICOMDIR").size == len(OLD)
    assert get(again, "/DICOMDIR") == errno.EIO, "its clusters are free already"


def test_any_file_that_is_synchronised_frees_what_was_renamed_over(
    device: BlockDevice, volume: FatVolume
) -> None:
    volume.rename("/DRAFT", "/DICOMDIR")
    sync(volume, "/F1")
    again = pulled(device)
    assert get(again, "/DICOMDIR") == errno.EIO
    assert get(again, "/DRAFT") == NEW


def test_a_new_name_is_empty_until_its_file_is_synchronised(device: BlockDevice, volume: FatVolume) -> None:
    volume.rename("/DRAFT", "/FRESH")
    volume.fsync_folder("/")
    again = pulled(device)
    assert get(again, "/FRESH") == b""
    assert "DRAFT" not in again.listdir("/")


@pytest.mark.parametrize("folder_first", [True, False])
def test_file_and_folder_are_all_that_is_needed(
    device: BlockDevice, volume: FatVolume, folder_first: bool
) -> None:
    volume.mkdir("/D")
    volume.rename("/DRAFT", "/D/a long name of more than one entry")
    steps: list[Callable[[], None]] = [
        lambda: sync(volume, "/D/a long name of more than one entry"),
        lambda: volume.fsync_folder("/D"),
    ]
    for step in reversed(steps) if folder_first else steps:
        step()
    volume.fsync_folder("/")
    again = pulled(device)
    assert again.listdir("/D") == ["a long name of more than one entry"]
    assert get(again, "/D/a long name of more than one entry") == NEW
    assert "DRAFT" not in again.listdir("/")
    assert [line for line in check_device(device) if "dirty" not in line and "FSInfo" not in line] == []


def test_while_a_folder_waits_nothing_in_it_overtakes(device: BlockDevice, volume: FatVolume) -> None:
    volume.rename("/DRAFT", "/DICOMDIR")
    volume.unlink("/F19")  # in the sector that DRAFT leaves
    put(volume, "/AFTER", b"after" * 1000)
    volume.mkdir("/D")
    volume.utime("/F18", 1e9)
    before = device.path.read_bytes()
    assert b"AFTER   " not in before
    again = pulled(device, 0)
    assert (get(again, "/DICOMDIR"), get(again, "/DRAFT"), get(again, "/F19")) == (OLD, NEW, b"")


def test_what_is_made_meanwhile_comes_with_its_own_synchronisation(
    device: BlockDevice, volume: FatVolume
) -> None:
    volume.rename("/F3", "/G3")
    put(volume, "/AFTER", b"after" * 1000)
    sync(volume, "/AFTER")
    assert get(pulled(device), "/AFTER") == b"after" * 1000


def test_what_waits_is_written_after_a_while(device: BlockDevice, volume: FatVolume) -> None:
    volume.age(50.0)
    volume.rename("/DRAFT", "/DICOMDIR")
    volume.age(1000.0)
    volume.age(1000.0 + AGE_S - 1)
    assert get(FatVolume.mount(device, read_only=True), "/DICOMDIR") == OLD
    volume.age(1000.0 + AGE_S)
    now = FatVolume.mount(device, read_only=True)
    assert get(now, "/DICOMDIR") == NEW
    assert "DRAFT" not in now.listdir("/")
    assert device.unsynced, "written is not durable"
    volume.rename("/F3", "/G3")
    volume.age(1001.0 + AGE_S)
    assert "G3" not in FatVolume.mount(device, read_only=True).listdir("/"), "it waits for its own while"


def test_a_folder_that_is_gone_is_never_written(device: BlockDevice, volume: FatVolume) -> None:
    """Its cluster may be another's when what waited in it would come to the medium."""
    volume.mkdir("/D")
    put(volume, "/D/F", b"f")
    volume.fsync()
    volume.rename("/D/F", "/OUT")
    volume.rmdir("/D")
    sync(volume, "/F1")  # now its cluster is free
    room = volume.statfs().free_bytes
    put(volume, "/ALL", b"a" * room)
    volume.unmount()
    assert check_device(device) == []
    again = FatVolume.mount(device, read_only=True)
    assert get(again, "/ALL") == b"a" * room
    assert get(again, "/OUT") == b"f"


def test_room_that_a_renaming_gave_can_be_used_at_once(device: BlockDevice, volume: FatVolume) -> None:
    big = bytes(volume.statfs().free_bytes - 100_000)
    put(volume, "/BIG", big)
    volume.rename("/F1", "/BIG")
    free = volume.statfs().free_bytes
    assert free > len(big)
    put(volume, "/NEXT", b"n" * free)
    volume.unmount()
    assert check_device(device) == []
    assert get(FatVolume.mount(device, read_only=True), "/NEXT") == b"n" * free


def test_a_reader_of_what_was_renamed_over_keeps_it(device: BlockDevice, volume: FatVolume) -> None:
    handle = volume.open("/DICOMDIR")
    free = volume.statfs().free
    volume.rename("/DRAFT", "/DICOMDIR")
    volume.fsync_folder("/")
    put(volume, "/X", b"x" * 50_000)
    assert volume.read(handle, 0, 1 << 20) == OLD
    volume.unlink("/X")
    assert volume.statfs().free == free
    volume.close(handle)
    volume.fsync()
    assert volume.statfs().free > free
    volume.unmount()
    assert check_device(device) == []


def test_what_was_renamed_over_is_not_freed_by_its_last_reader(
    device: BlockDevice, volume: FatVolume
) -> None:
    volume.mkdir("/D")
    volume.fsync()
    handle = volume.open("/DICOMDIR")
    volume.rename("/DRAFT", "/DICOMDIR")
    volume.close(handle)
    put(volume, "/D/F", b"f")  # the table comes to the medium with it
    assert get(pulled(device, 0), "/DICOMDIR") == OLD


def test_a_folder_moves_with_what_is_in_it(device: BlockDevice, volume: FatVolume) -> None:
    volume.mkdir("/A")
    volume.mkdir("/B")
    put(volume, "/A/F", b"f")
    volume.fsync()
    volume.rename("/A", "/B/A")
    assert get(FatVolume.mount(device, read_only=True), "/A/F") == b"f"
    for path in ("/B/A", "/B", "/"):
        volume.fsync_folder(path)
    again = pulled(device)
    assert get(again, "/B/A/F") == b"f"
    assert "A" not in again.listdir("/")
    assert [line for line in check_device(device) if "dirty" not in line and "FSInfo" not in line] == []


def test_renamed_twice_and_removed(device: BlockDevice, volume: FatVolume) -> None:
    volume.rename("/DRAFT", "/ONE")
    volume.rename("/ONE", "/TWO")
    volume.rename("/F1", "/ONE")
    assert get(volume, "/TWO") == NEW
    volume.unlink("/TWO")
    volume.unmount()
    assert check_device(device) == []
    again = FatVolume.mount(device, read_only=True)
    assert {"ONE", "TWO", "DRAFT", "F1"} & set(again.listdir("/")) == {"ONE"}


def test_a_medium_that_is_protected_meanwhile_says_so_at_the_next_synchronisation(
    device: BlockDevice, volume: FatVolume
) -> None:
    volume.rename("/DRAFT", "/DICOMDIR")
    handle = volume.open("/DICOMDIR")
    device.protected = True
    calls: tuple[Callable[[], None], ...] = (
        lambda: volume.fsync(handle),
        lambda: volume.fsync_folder("/"),
        volume.fsync,
    )
    for call in calls:
        with pytest.raises(OSError, match="read-only") as refused:
            call()
        assert refused.value.errno == errno.EROFS
    device.protected = False
    volume.fsync(handle)
    assert get(pulled(device), "/DICOMDIR") == NEW
