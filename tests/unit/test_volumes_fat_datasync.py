"""fdatasync(2) as with Linux' vfat: an entry of which only times wait is left out, anything else of it is not."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.volumes import fuseproto as proto
from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatcheck import check_device
from bench.volumes.files import FatFiles
from bench.volumes.format import format_image
from bench.volumes.fuse import Server

MB = 1024 * 1024
THEN, NOW = 1_000_000_000.0, 1_000_003_600.0
OLD = b"o" * 3000


class Clock:
    """A clock that stands still until it is set."""

    now = THEN

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def device(tmp_path: Path) -> Iterator[BlockDevice]:
    path = tmp_path / "stick.img"
    format_image(path, size=16 * MB, fat="FAT16", label="STICK", partition="none")
    device = BlockDevice(path)
    yield device
    device.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def volume(device: BlockDevice, clock: Clock) -> FatVolume:
    """A file of 3000 bytes, and an hour later."""
    volume = FatVolume.mount(device, clock=clock)
    handle = volume.create("/F")
    volume.write(handle, 0, OLD)
    volume.close(handle)
    volume.fsync()
    clock.now = NOW
    return volume


def pulled(device: BlockDevice) -> FatVolume:
    device.yank(None)
    device.reinsert()
    return FatVolume.mount(device, read_only=True)


def content(volume: FatVolume, path: str = "/F") -> bytes:
    return volume.read(volume.open(path), 0, 1 << 30)


def test_data_inside_a_file_are_durable_and_its_times_are_not(device: BlockDevice, volume: FatVolume) -> None:
    handle = volume.open("/F")
    volume.write(handle, 5, b"new")
    written = device.written
    volume.fsync(handle, datasync=True)
    assert device.written == written, "no entry, and nothing else"
    assert device.unsynced == 0, "the data are flushed"
    assert volume.stat("/F").mtime == NOW, "who asks the mounted volume sees the new time"
    again = pulled(device)
    assert again.stat("/F").mtime == THEN
    assert content(again) == OLD[:5] + b"new" + OLD[8:]


def test_fsync_makes_the_times_durable_also_after_fdatasync(device: BlockDevice, volume: FatVolume) -> None:
    handle = volume.open("/F")
    volume.write(handle, 5, b"new")
    volume.fsync(handle, datasync=True)
    volume.fsync(handle)
    assert pulled(device).stat("/F").mtime == NOW


@pytest.mark.parametrize("late", ["close", "everything", "age"])
def test_times_that_were_left_out_still_come(device: BlockDevice, volume: FatVolume, late: str) -> None:
    handle = volume.open("/F")
    volume.write(handle, 5, b"new")
    volume.fsync(handle, datasync=True)
    if late == "close":
        volume.close(handle)
    elif late == "everything":
        volume.fsync()
    else:
        volume.age(0.0)
        volume.age(1000.0)
    assert FatVolume.mount(device, read_only=True).stat("/F").mtime == NOW


def append(volume: FatVolume, handle: int) -> None:
    volume.write(handle, 3000, b"x")


def append_then_overwrite(volume: FatVolume, handle: int) -> None:
    append(volume, handle)
    volume.write(handle, 5, b"new")


def overwrite_then_append(volume: FatVolume, handle: int) -> None:
    volume.write(handle, 5, b"new")
    append(volume, handle)


def append_clusters(volume: FatVolume, handle: int) -> None:
    volume.write(handle, 3000, bytes(50_000))


def lengthen(volume: FatVolume, handle: int) -> None:
    volume.truncate(handle, 3001)


def cut(volume: FatVolume, handle: int) -> None:
    volume.truncate(handle, 10)


def cut_to_nothing(volume: FatVolume, handle: int) -> None:
    volume.truncate(handle, 0)


def set_time(volume: FatVolume, handle: int) -> None:
    """Linux marks the whole inode when times are set by hand (fat_setattr)."""
    volume.write(handle, 5, b"new")
    volume.utime("/F", NOW)


@pytest.mark.parametrize(
    "change",
    [
        append,
        append_then_overwrite,
        overwrite_then_append,
        append_clusters,
        lengthen,
        cut,
        cut_to_nothing,
        set_time,
    ],
)
def test_what_is_more_than_times_is_durable(
    device: BlockDevice, volume: FatVolume, change: Callable[[FatVolume, int], None]
) -> None:
    handle = volume.open("/F")
    change(volume, handle)
    volume.fsync(handle, datasync=True)
    expected = volume.read(handle, 0, 1 << 20)
    again = pulled(device)
    assert content(again) == expected
    assert again.stat("/F").mtime == NOW, "they come with it"


def test_the_first_cluster_of_a_new_file_is_durable(device: BlockDevice, volume: FatVolume) -> None:
    handle = volume.create("/NEW")
    volume.write(handle, 0, b"new" * 5000)
    volume.fsync(handle, datasync=True)
    assert content(pulled(device), "/NEW") == b"new" * 5000


def test_a_new_name_is_durable_with_its_file(device: BlockDevice, volume: FatVolume) -> None:
    """It is more than times, also when a write inside the file came last."""
    volume.rename("/F", "/G")
    handle = volume.open("/G")
    volume.write(handle, 5, b"new")
    volume.fsync(handle, datasync=True)
    assert content(pulled(device), "/G") == OLD[:5] + b"new" + OLD[8:]


def test_a_file_without_the_archive_bit_gets_it(device: BlockDevice, volume: FatVolume) -> None:
    """Linux marks the whole inode when a write sets ATTR_ARCH (fat_write_end)."""
    volume.unmount()
    raw = device.path.read_bytes()
    at = raw.index(b"F          ")
    device.write(
        at // 512 * 512, raw[at // 512 * 512 : at + 11] + b"\0" + raw[at + 12 : at // 512 * 512 + 512]
    )
    device.flush()
    volume = FatVolume.mount(device, clock=volume._clock)
    handle = volume.open("/F")
    assert not volume.stat("/F").attributes
    volume.write(handle, 5, b"new")
    volume.fsync(handle, datasync=True)
    again = pulled(device)
    assert again.stat("/F").attributes == 0x20
    assert again.stat("/F").mtime == NOW


def test_what_was_renamed_over_is_freed_by_fdatasync_too(device: BlockDevice, volume: FatVolume) -> None:
    """Linux writes the allocation table with each file, with or without the entry."""
    volume.close(volume.create("/DRAFT"))
    other = volume.create("/OTHER")
    volume.write(other, 0, OLD)
    volume.fsync()
    volume.rename("/DRAFT", "/F")
    volume.write(other, 5, b"new")
    volume.fsync(other, datasync=True)
    with pytest.raises(OSError, match="corrupt"):
        content(pulled(device))


def test_a_renaming_does_not_write_the_old_entry_for_times_alone(
    device: BlockDevice, volume: FatVolume
) -> None:
    handle = volume.open("/F")
    volume.write(handle, 5, b"new")
    written = device.written
    volume.rename("/F", "/G")
    assert device.written == written
    assert FatVolume.mount(device, read_only=True).stat("/F").mtime == THEN
    volume.fsync(handle)
    volume.fsync_folder("/")
    again = pulled(device)
    assert again.listdir("/") == ["G"]
    assert again.stat("/G").mtime == NOW


def test_a_renaming_writes_the_old_entry_of_a_file_that_grew(device: BlockDevice, volume: FatVolume) -> None:
    handle = volume.open("/F")
    volume.write(handle, 3000, b"x" * 20_000)
    volume.rename("/F", "/G")
    again = FatVolume.mount(device, read_only=True)
    assert content(again) == OLD + b"x" * 20_000


def test_it_is_whole_after_all_of_it(device: BlockDevice, volume: FatVolume) -> None:
    handle = volume.open("/F")
    for step in range(40):
        volume.write(handle, step * 700 % 5000, bytes([step]) * 900)
        volume.fsync(handle, datasync=step % 3 > 0)
        if step % 7 == 0:
            volume.rename("/F" if step % 2 == 0 else "/G", "/G" if step % 2 == 0 else "/F")
    expected = volume.read(handle, 0, 1 << 20)
    volume.close(handle)
    volume.unmount()
    assert check_device(device) == []
    again = FatVolume.mount(device, read_only=True)
    assert content(again, "/" + again.listdir("/")[0]) == expected


@pytest.mark.parametrize("flags", [0, proto.FSYNC_DATASYNC])
def test_the_flag_of_the_kernel_reaches_the_volume(
    device: BlockDevice, volume: FatVolume, flags: int
) -> None:
    server = Server(FatFiles(volume, device))
    handle = volume.open("/F")
    volume.write(handle, 5, b"new")
    body = struct.pack("=QII", handle, flags, 0)
    header = proto.IN_HEADER.pack(proto.IN_HEADER.size + len(body), proto.Op.FSYNC, 7, 2, 0, 0, 0, 0, 0)
    answer = server._handle(memoryview(header + body))
    assert answer == proto.answer(7)
    assert pulled(device).stat("/F").mtime == (THEN if flags else NOW)
