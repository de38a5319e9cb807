"""The block device: what is durable, what a yank takes, and every fault at its sector."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.volumes.device import BlockDevice, Yank

SIZE = 1024 * 1024


class Told(list[tuple[str, dict[str, Any]]]):
    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        self.append((kind, data))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def device(tmp_path: Path, told: Told) -> Iterator[BlockDevice]:
    device = BlockDevice(tmp_path / "disk.img", SIZE, on_event=told)
    yield device
    device.close()


def image(device: BlockDevice) -> bytes:
    return device.path.read_bytes()


def refused(device: BlockDevice, what: str, *args: Any) -> int | None:
    with pytest.raises(OSError) as caught:
        getattr(device, what)(*args)
    assert caught.value.strerror
    return caught.value.errno


def test_what_is_written_is_read_at_any_offset(device: BlockDevice) -> None:
    device.write(700, b"abc" * 500)
    assert device.read(699, 1502) == b"\0" + b"abc" * 500 + b"\0"
    assert device.written == device.unsynced == 4 * 512
    assert image(device)[700:2200] == b"abc" * 500


def test_a_new_image_takes_no_room_and_neither_do_zeros_in_it(device: BlockDevice) -> None:
    device.write(0, bytes(SIZE))
    assert device.written == SIZE
    assert os.stat(device.path).st_blocks == 0
    device.write(512, b"x" * 512)
    device.write(0, bytes(2048))
    assert device.read(0, 2048) == bytes(2048)


def test_outside_the_medium_is_refused(device: BlockDevice) -> None:
    assert refused(device, "read", SIZE - 1, 2) == errno.EINVAL
    assert refused(device, "write", SIZE - 511, bytes(512)) == errno.EINVAL
    assert refused(device, "write", -512, bytes(512)) == errno.EINVAL


@pytest.mark.parametrize(("size", "there"), [(1000, 0), (0, 0), (512, 1024)])
def test_a_size_that_cannot_be_is_refused(tmp_path: Path, size: int, there: int) -> None:
    path = tmp_path / "bad.img"
    path.write_bytes(bytes(there))
    with pytest.raises(ValueError, match="bytes"):
        BlockDevice(path, size)


def test_a_yank_takes_the_newest_unflushed_sectors_first(device: BlockDevice, told: Told) -> None:
    device.write(0, b"a" * 1024)
    device.flush()
    device.write(0, b"b" * 512)
    device.write(2048, b"c" * 1024)
    device.write(512, b"d" * 512)
    # The newest 600 bytes are two sectors: all of the d, and the second of the c.
    assert device.yank(600) == Yank(written=3072, unsynced=2048, lost=1024)
    assert image(device)[:1024] == b"b" * 512 + b"a" * 512
    assert image(device)[2048:3072] == b"c" * 512 + bytes(512)
    assert refused(device, "read", 0, 1) == errno.EIO
    assert refused(device, "write", 0, b"x") == errno.EIO
    assert refused(device, "flush") == errno.EIO
    assert told[-1] == ("yanked", {"written": 3072, "unsynced": 2048, "lost": 1024})
    assert device.yank(None).lost == 1024, "a second yank takes nothing more"
    device.reinsert()
    assert device.read(0, 512) == b"b" * 512


def test_a_yank_that_loses_all_leaves_what_was_flushed(device: BlockDevice) -> None:
    device.write(0, b"a" * 4096)
    device.flush()
    for n in range(5):
        device.write(512 * n, bytes([n]) * 2048)
    device.yank(None)
    assert image(device)[:8192] == b"a" * 4096 + bytes(4096)


@pytest.mark.parametrize(
    ("at", "kept"), [(1, 0), (511, 0), (512, 1), (1000, 1), (1024, 2), (1535, 2), (2047, 3), (2048, 4)]
)
def test_a_write_that_crosses_the_yank_byte_is_done_to_the_last_whole_sector(
    device: BlockDevice, at: int, kept: int
) -> None:
    device.yank_at(at)
    if at == 2048:
        device.write(0, b"n" * 2048)  # it was done; only then the medium went
    else:
        assert refused(device, "write", 0, b"n" * 2048) == errno.EIO
    assert device.yanked
    assert image(device)[:2048] == (b"n" * 512 * kept).ljust(2048, b"\0")
    assert device.last_yank == Yank(512 * kept, 512 * kept, 0)


def test_a_yank_point_that_has_passed_is_now_and_one_can_be_taken_back(device: BlockDevice) -> None:
    device.write(0, bytes(1024))
    device.yank_at(2000)
    device.yank_at(None)
    device.write(0, bytes(2048))
    device.yank_at(3072, None)
    assert device.yanked
    assert device.last_yank == Yank(3072, 3072, 3072)


def test_protection_is_no_yank(device: BlockDevice) -> None:
    device.write(0, b"a" * 512)
    device.protected = True
    assert refused(device, "write", 0, b"b" * 512) == errno.EROFS
    assert device.read(0, 512) == b"a" * 512
    device.protected = False
    device.write(0, b"b" * 512)


def test_bad_sectors_fail_where_and_as_often_as_said(device: BlockDevice, told: Told) -> None:
    device.bad((512, 1024), "read", 2, name="scratch")
    assert device.read(0, 512) == bytes(512)
    assert refused(device, "read", 0, 513) == errno.EIO
    assert refused(device, "read", 1023, 10) == errno.EIO
    assert device.read(0, 2048) == bytes(2048)
    assert [kind for kind, _ in told] == ["io_error", "io_error"]
    assert told[0][1]["name"] == "scratch"
    fault = device.bad(range(4096, 8192), "write")
    assert refused(device, "write", 4096, b"x" * 512) == errno.EIO
    assert image(device)[4096:4608] == bytes(512)
    device.heal(fault)
    device.write(4096, b"x" * 512)


def test_a_worn_range_fails_after_its_reads(device: BlockDevice) -> None:
    device.wear((0, 512), after_reads=2)
    for _ in range(2):
        device.read(100, 1)
        device.read(512, 100)
    assert refused(device, "read", 0, 1) == errno.EIO
    assert refused(device, "read", 0, 1) == errno.EIO
    device.heal()
    device.read(0, 1)


def test_a_slow_medium_takes_its_time_and_a_yank_ends_the_wait(device: BlockDevice) -> None:
    device.rate = 1_000_000
    started = time.monotonic()
    for _ in range(4):
        device.write(0, bytes(25_600))
    assert 0.1 <= time.monotonic() - started < 2
    device.rate = 10
    failed: list[int | None] = []

    def slow() -> None:
        try:
            device.write(0, bytes(512))  # would take 51 s
        except OSError as error:
            failed.append(error.errno)

    thread = threading.Thread(target=slow)
    thread.start()
    started = time.monotonic()
    device.yank()
    thread.join(10)
    assert not thread.is_alive()
    assert failed == [errno.EIO]


def test_a_watch_tells_once(device: BlockDevice, told: Told) -> None:
    device.watch(1024, "w")
    device.write(0, bytes(512))
    assert told == []
    device.write(0, bytes(1024))
    device.write(0, bytes(1024))
    assert told == [("reached", {"name": "w", "written": 1536})]


def test_the_log_of_old_contents_is_bounded(tmp_path: Path) -> None:
    device = BlockDevice(tmp_path / "disk.img", SIZE, cache_limit=4096)
    device.write(0, b"a" * 65536)
    device.flush()
    for n in range(32):
        device.write(n * 1024, b"b" * 1024)
    assert device.unsynced == 4096
    device.yank(None)
    assert image(device)[:65536] == b"b" * 28 * 1024 + b"a" * 36 * 1024


def test_many_threads_write_and_one_pulls(device: BlockDevice) -> None:
    def work(number: int) -> None:
        for _ in range(200):
            try:
                device.write(number * 8192, bytes([number + 1]) * 8192)
                assert device.read(number * 8192, 8192) == bytes([number + 1]) * 8192
            except OSError:
                return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    device.yank_at(3_000_000, None)
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert device.yanked
    assert image(device) == bytes(SIZE), "nothing was ever flushed, all is lost"


def test_a_closed_device_gives_errors(tmp_path: Path) -> None:
    device = BlockDevice(tmp_path / "disk.img", 4096)
    device.close()
    device.close()
    assert refused(device, "read", 0, 1) == errno.EIO
