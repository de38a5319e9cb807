"""The FAT volume call by call: names, errors, room, times, open files, damage."""

from __future__ import annotations

import errno
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatcheck import check_device
from bench.volumes.format import format_image
from bench.volumes.layout import find_volume

MB = 1024 * 1024
NOON = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


@pytest.fixture(params=["FAT16", "FAT32"])
def fat(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def device(tmp_path: Path, fat: Any) -> Iterator[BlockDevice]:
    path = tmp_path / "stick.img"
    format_image(path, size=40 * MB if fat == "FAT32" else 16 * MB, fat=fat, label="STICK", partition="none")
    device = BlockDevice(path)
    yield device
    device.close()


@pytest.fixture
def volume(device: BlockDevice) -> Iterator[FatVolume]:
    volume = FatVolume.mount(device, clock=lambda: NOON + 1)
    yield volume
    volume.unmount()
    assert check_device(device) == [], "whatever a test did, the volume is whole"


def put(volume: FatVolume, path: str, data: bytes = b"") -> None:
    handle = volume.create(path)
    volume.write(handle, 0, data)
    volume.close(handle)


def get(volume: FatVolume, path: str) -> bytes:
    handle = volume.open(path)
    data = volume.read(handle, 0, 1 << 30)
    volume.close(handle)
    return data


def refused(call: Any, *args: Any) -> int | None:
    with pytest.raises(OSError) as caught:
        call(*args)
    assert caught.value.strerror
    return caught.value.errno


def root_entries(device: BlockDevice) -> list[bytes]:
    layout = find_volume(device)
    at = layout.cluster_offset(layout.root_cluster) if layout.root_cluster else layout.root_offset
    raw = device.read(at, 512)
    return [raw[n : n + 32] for n in range(0, 512, 32) if raw[n]]


def test_a_name_in_upper_case_has_one_entry_and_no_long_name(device: BlockDevice, volume: FatVolume) -> None:
    put(volume, "/DICOMDIR", b"d")
    put(volume, "/IM000001.DCM")
    shorts = [entry[:11] for entry in root_entries(device)]
    assert shorts == [b"STICK      ", b"DICOMDIR   ", b"IM000001DCM"]


def test_a_long_name_has_its_entries_checksum_and_alias(device: BlockDevice, volume: FatVolume) -> None:
    put(volume, "/The quick brown.fox", b"")
    entries = root_entries(device)[1:]
    # The example of the specification: two long entries, last first, then THEQUI~1.FOX.
    assert [entry[0] for entry in entries] == [0x42, 0x01, ord("T")]
    assert entries[2][:11] == b"THEQUI~1FOX"
    assert entries[1][1:11].decode("utf-16-le") == "The q"
    total = 0
    for byte in b"THEQUI~1FOX":
        total = ((total >> 1) | (total << 7)) + byte & 0xFF
    assert entries[0][13] == entries[1][13] == total
    assert volume.stat("/thequi~1.fox") == volume.stat("/THE QUICK BROWN.FOX")


def test_aliases_are_unique_and_a_name_like_one_is_the_file_it_belongs_to(volume: FatVolume) -> None:
    for number in range(30):
        put(volume, f"/a long name number {number}.txt", b"%d" % number)
    aliases = {volume.stat("/" + name).short for name in volume.listdir("/")}
    assert len(aliases) == 30
    assert "ALONGN~1.TXT" in aliases
    assert "ALONG~30.TXT" in aliases
    assert refused(volume.create, "/ALONGN~1.TXT") == errno.EEXIST


@pytest.mark.parametrize(
    "name", ["ü", "超音波.dcm", "İstanbul", "a+b=c.x", "two.dots.txt", ".hidden", "x" * 255, "😀"]
)
def test_any_name_comes_back_as_given(device: BlockDevice, volume: FatVolume, name: str) -> None:
    put(volume, "/" + name, b"1")
    volume.unmount()
    again = FatVolume.mount(device)
    assert again.listdir("/") == [name]
    assert get(again, "/" + name.swapcase() if name.isascii() else "/" + name) == b"1"
    again.unmount()
    assert check_device(device) == []


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("a:b", errno.EINVAL),
        ("what?", errno.EINVAL),
        ("tab\t", errno.EINVAL),
        ("end ", errno.EINVAL),
        ("x" * 256, errno.ENAMETOOLONG),
        ("😀" * 128, errno.ENAMETOOLONG),
        ("...", errno.EINVAL),
        ("\udc80", errno.EINVAL),
        ("..", errno.EINVAL),
    ],
)
def test_names_that_cannot_be_are_refused(volume: FatVolume, name: str, number: int) -> None:
    assert refused(volume.create, "/" + name) == number
    assert volume.listdir("/") == []


def test_the_case_of_a_name_can_be_changed(volume: FatVolume) -> None:
    put(volume, "/readme.txt", b"r")
    volume.rename("/README.TXT", "/ReadMe.txt")
    assert volume.listdir("/") == ["ReadMe.txt"]
    volume.rename("/readme.txt", "/README.TXT")
    assert volume.listdir("/") == ["README.TXT"]
    assert get(volume, "/readme.TXT") == b"r"


def test_errors_are_those_of_posix(volume: FatVolume) -> None:
    volume.mkdir("/D")
    put(volume, "/D/F", b"x")
    assert refused(volume.stat, "/none") == errno.ENOENT
    assert refused(volume.create, "/none/F") == errno.ENOENT
    assert refused(volume.create, "/D/F/G") == errno.ENOTDIR
    assert refused(volume.listdir, "/D/F") == errno.ENOTDIR
    assert refused(volume.create, "/d/f") == errno.EEXIST
    assert refused(volume.mkdir, "/d") == errno.EEXIST
    assert refused(volume.open, "/D") == errno.EISDIR
    assert refused(volume.unlink, "/D") == errno.EISDIR
    assert refused(volume.rmdir, "/D") == errno.ENOTEMPTY
    assert refused(volume.rmdir, "/D/F") == errno.ENOTDIR
    assert refused(volume.rmdir, "/") == errno.EBUSY
    assert refused(volume.rename, "/D", "/D/E") == errno.EINVAL
    assert refused(volume.read, 99, 0, 1) == errno.EBADF
    assert refused(volume.truncate, "/D/F", 1 << 32) == errno.EFBIG


def test_renaming_over_an_open_file_leaves_its_reader_the_old_one(volume: FatVolume) -> None:
    put(volume, "/OLD", b"old" * 5000)
    put(volume, "/NEW", b"new" * 9000)
    handle = volume.open("/OLD")
    free = volume.statfs().free
    volume.rename("/NEW", "/OLD")
    assert volume.read(handle, 0, 20_000) == b"old" * 5000
    assert get(volume, "/OLD") == b"new" * 9000
    assert volume.statfs().free == free, "the old clusters are still read"
    volume.close(handle)
    assert volume.statfs().free > free


def test_an_unlinked_open_file_lives_until_it_is_closed(volume: FatVolume) -> None:
    free = volume.statfs().free
    handle = volume.create("/F")
    volume.write(handle, 0, b"x" * 10_000)
    volume.unlink("/F")
    volume.write(handle, 10_000, b"y")
    volume.fsync(handle)
    assert volume.read(handle, 9_999, 5) == b"xy"
    assert volume.stat_handle(handle).size == 10_001
    assert volume.listdir("/") == []
    volume.close(handle)
    assert volume.statfs().free == free


def test_a_directory_moves_with_its_parent_entry(device: BlockDevice, volume: FatVolume) -> None:
    volume.mkdir("/A")
    volume.mkdir("/B")
    volume.mkdir("/A/C")
    put(volume, "/A/C/F", b"f")
    volume.rename("/A/C", "/B/a longer name")
    assert get(volume, "/B/a longer name/F") == b"f"
    volume.rename("/B/a longer name", "/C")
    volume.unmount()
    assert check_device(device) == [], "'..' of the moved directory is right"


def test_a_write_that_does_not_fit_changes_nothing(device: BlockDevice, volume: FatVolume) -> None:
    put(volume, "/KEEP", b"k" * 5000)
    handle = volume.create("/BIG")
    volume.write(handle, 0, b"b" * 1000)
    room = volume.statfs().free_bytes
    assert refused(volume.write, handle, 1000, bytes(room + 4096)) == errno.ENOSPC
    assert volume.stat("/BIG").size == 1000
    assert volume.statfs().free_bytes == room
    volume.write(handle, 1000, bytes(room - 8192))
    volume.close(handle)
    assert get(volume, "/KEEP") == b"k" * 5000


def test_a_medium_can_be_fuller_than_it_is(volume: FatVolume) -> None:
    put(volume, "/OLD", bytes(50_000))
    volume.leave(20_000)
    assert 16_000 < volume.statfs().free_bytes <= 20_000
    assert refused(put, volume, "/F", bytes(30_000)) == errno.ENOSPC
    volume.unlink("/F")
    volume.unlink("/OLD")
    put(volume, "/G", bytes(60_000))
    volume.leave(None)
    assert volume.statfs().free_bytes > 10 * MB


def test_a_full_medium_refuses_a_directory_and_a_name_that_needs_a_cluster(volume: FatVolume) -> None:
    volume.mkdir("/D")
    volume.leave(0)
    assert refused(volume.mkdir, "/E") == errno.ENOSPC
    made = 0
    while True:
        try:
            volume.close(volume.create(f"/D/a name of more than one entry {made}"))
        except OSError as error:
            number = error.errno
            break
        made += 1
    assert number == errno.ENOSPC
    assert len(volume.listdir("/D")) == made >= 3


def test_the_fixed_root_of_fat16_gets_full(tmp_path: Path) -> None:
    path = tmp_path / "root.img"
    format_image(path, size=16 * MB, fat="FAT16", label="", partition="none")
    device = BlockDevice(path)
    volume = FatVolume.mount(device)
    for number in range(512):
        volume.close(volume.create(f"/F{number}"))
    assert refused(volume.create, "/ONEMORE") == errno.ENOSPC
    volume.unlink("/F100")
    assert refused(volume.create, "/a long name") == errno.ENOSPC
    volume.close(volume.create("/ONEMORE"))
    volume.rename("/ONEMORE", "/F5")
    volume.mkdir("/DIR")
    put(volume, "/DIR/F", b"x")
    volume.unmount()
    assert check_device(device) == []
    device.close()


def test_times_are_kept_to_two_seconds(device: BlockDevice, volume: FatVolume) -> None:
    put(volume, "/F", b"x")
    assert volume.stat("/F").mtime == NOON
    volume.utime("/F", 1_000_000_001.9)
    entry = root_entries(device)[1]
    assert struct.unpack_from("<H", entry, 24)[0] == (2001 - 1980) << 9 | 9 << 5 | 9
    volume.utime("/F", 0)  # before 1980
    volume.unmount()
    again = FatVolume.mount(device, read_only=True)
    assert again.stat("/F").mtime == 315532800


def test_holes_read_as_zeros_even_where_old_data_lay(volume: FatVolume) -> None:
    put(volume, "/F", b"s" * volume.statfs().free_bytes)
    volume.unlink("/F")
    handle = volume.create("/G")
    volume.write(handle, 50_000, b"end")
    assert volume.read(handle, 0, 60_000) == bytes(50_000) + b"end"
    volume.truncate(handle, 10)
    volume.truncate(handle, 40_000)
    assert volume.read(handle, 0, 60_000) == bytes(40_000)
    volume.close(handle)


def test_directories_grow_into_clusters_full_of_old_data(device: BlockDevice, volume: FatVolume) -> None:
    put(volume, "/OLD", b"A" * volume.statfs().free_bytes)
    volume.unlink("/OLD")
    volume.mkdir("/D")
    for number in range(100):
        volume.close(volume.create(f"/D/F{number}"))
        # Another look at the medium: also where an entry is the last of its sector, nothing comes after it.
        assert len(FatVolume.mount(device, read_only=True).listdir("/D")) == number + 1


def test_what_lies_behind_the_end_of_a_directory_never_comes_to_life(device: BlockDevice) -> None:
    volume = FatVolume.mount(device)
    volume.mkdir("/D")
    put(volume, "/D/A")
    volume.unmount()
    place = device.path.read_bytes().index(b"A          ")
    # Behind the end, which stays, another system left garbage, as it may.
    ghost = b"GHOST   TXT" + bytes(21)
    device.write(place + 64, ghost * ((find_volume(device).cluster_bytes - 128) // 32))
    volume = FatVolume.mount(device)
    assert volume.listdir("/D") == ["A"]
    for number in range(20):
        volume.close(volume.create(f"/D/F{number}"))
        assert len(FatVolume.mount(device, read_only=True).listdir("/D")) == number + 2
    volume.unmount()


def test_the_dirty_bits_are_set_while_mounted(device: BlockDevice) -> None:
    volume = FatVolume.mount(device)
    assert any("dirty" in line for line in check_device(device))
    volume.unmount()
    assert check_device(device) == []
    FatVolume.mount(device).abandon()
    volume = FatVolume.mount(device)
    assert volume.was_dirty
    volume.unmount()
    assert any("dirty" in line for line in check_device(device)), "only a repair may take that back"


def test_read_only_and_write_protected(device: BlockDevice) -> None:
    volume = FatVolume.mount(device)
    put(volume, "/F", b"x")
    volume.unmount()
    before = device.written
    device.protected = True
    volume = FatVolume.mount(device)
    assert volume.read_only
    assert get(volume, "/F") == b"x"
    for call, args in ((volume.create, ("/G",)), (volume.unlink, ("/F",)), (volume.truncate, ("/F", 0))):
        assert refused(call, *args) == errno.EROFS
    volume.unmount()
    assert device.written == before


def test_after_a_yank_everything_is_an_io_error(device: BlockDevice) -> None:
    volume = FatVolume.mount(device)
    put(volume, "/F", b"x")
    handle = volume.open("/F")
    device.yank()
    for call, args in (
        (volume.listdir, ("/",)),
        (volume.stat, ("/F",)),
        (volume.read, (handle, 0, 1)),
        (volume.create, ("/G",)),
        (volume.fsync, ()),
        (volume.unmount, ()),
    ):
        assert refused(call, *args) == errno.EIO
    device.reinsert()
    assert get(FatVolume.mount(device), "/F") == b"x"


def test_a_bad_sector_in_a_file_spares_the_rest(device: BlockDevice, volume: FatVolume) -> None:
    put(volume, "/A", b"a" * 3000)
    put(volume, "/B", b"b" * 3000)
    start = device.path.read_bytes().index(b"a" * 512)
    fault = device.bad((start, start + 512), "read")
    assert refused(get, volume, "/A") == errno.EIO
    assert get(volume, "/B") == b"b" * 3000
    assert not volume.read_only
    device.heal(fault)
    fault = device.bad(None, "write", 1)
    assert refused(volume.create, "/C") == errno.EIO
    assert volume.listdir("/") == ["A", "B"]
    put(volume, "/C", b"c")


def test_many_threads_write_their_own_files(volume: FatVolume) -> None:
    def work(number: int) -> None:
        for count in range(20):
            put(volume, f"/thread {number} file {count}", bytes([number]) * 3000 * (count % 3))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for number in range(5):
        for count in range(20):
            assert get(volume, f"/thread {number} file {count}") == bytes([number]) * 3000 * (count % 3)


def test_chains_that_cannot_be_make_the_volume_read_only(tmp_path: Path) -> None:
    path = tmp_path / "loop.img"
    layout = format_image(path, size=16 * MB, fat="FAT16", label="", partition="none")
    assert layout is not None
    device = BlockDevice(path)
    volume = FatVolume.mount(device)
    put(volume, "/GOOD", b"g" * 5000)
    put(volume, "/LOOP", b"l" * 8 * layout.cluster_bytes)
    volume.unmount()
    first = struct.unpack_from("<H", root_entries(device)[1], 26)[0]
    device.write(layout.fat_offset(0) + 2 * (first + 5), struct.pack("<H", first + 2))
    volume = FatVolume.mount(device)
    handle = volume.open("/LOOP")
    with pytest.raises(OSError, match="comes back to") as caught:
        volume.read(handle, 0, 10)
    assert caught.value.errno == errno.EIO
    assert refused(volume.create, "/NEW") == errno.EROFS
    assert get(volume, "/GOOD") == b"g" * 5000
    assert any("already in use" in line for line in volume.check())
    device.close()
