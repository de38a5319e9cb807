"""The book of a medium's faults: what is armed is done to every device on the image, and what cannot be done is not."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.volumes.config import Config
from bench.volumes.device import BlockDevice
from bench.volumes.faults import Faults
from bench.volumes.files import Note
from simulators.base import CommandError

MB = 1 << 20


class Medium:
    """A medium on which only room can be taken, or not even that."""

    def __init__(self) -> None:
        self.left: list[int | None] = []
        self.refuses = False

    def insert(self, note: Note) -> str:
        return ""

    def remove(self, seconds: float, *, force: bool = False) -> str:
        return ""

    def vanish(self) -> list[str]:
        return []

    def leave(self, free: int | None) -> Mapping[str, Any] | None:
        if self.refuses:
            raise OSError(errno.EIO, "Input/output error")
        self.left.append(free)
        return None

    def free(self) -> int | None:
        return None

    def close(self) -> None:
        pass


class Bench:
    """Faults of one medium, a device, and the events."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder = folder
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.medium = Medium()
        config = Config("usb", folder / "in", folder / "usb.img", seed=seed)
        self.faults = Faults(config, "fuse", self.emit, lambda: None)
        self.device = self.put_on("one.img")

    def emit(self, kind: str, /, **data: Any) -> None:
        self.events.append((kind, data))

    def put_on(self, name: str) -> BlockDevice:
        device = BlockDevice(self.folder / name, MB, on_event=self.faults.on_device)
        self.faults.attach(device, self.medium)
        return device

    def arm(self, fault: str, **args: Any) -> None:
        self.faults.arm({"id": f"id-{fault}", "fault": fault, "args": args}, there=True)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.device.close()


def refused(device: BlockDevice, on: str) -> int | None:
    try:
        device.read(0, 512) if on == "read" else device.write(0, bytes(512))
    except OSError as error:
        return error.errno
    return None


@pytest.mark.parametrize(
    ("fault", "args"), [("io_error", {"count": 0}), ("io_error", {"on": "read", "count": 0})]
)
def test_what_is_armed_stays_armed_when_the_medium_is_made_anew(
    bench: Bench, fault: str, args: dict[str, Any]
) -> None:
    on = args.get("on", "write")
    bench.arm(fault, **args)
    assert refused(bench.device, on) == errno.EIO
    bench.device.close()
    bench.device = bench.put_on("two.img")
    assert refused(bench.device, on) == errno.EIO
    assert bench.faults.disarm({"id": "*"}) == {"known": 1, "fired": 1}
    assert refused(bench.device, on) is None
    assert bench.kinds() == ["fault.armed", "fault.fired"]


def test_a_fault_that_cannot_be_done_is_not_armed(bench: Bench) -> None:
    bench.medium.refuses = True
    with pytest.raises(CommandError, match="fault full: Input/output error"):
        bench.arm("full", leave=5)
    assert bench.faults.disarm({}) == {"known": 0, "fired": 0}
    bench.medium.refuses = False
    bench.arm("full", leave=5)
    bench.faults.put_in()
    assert bench.medium.left == [5, 5]
    bench.faults.disarm({"id": "id-full"})
    assert bench.medium.left[-1] is None


def test_the_same_fault_is_armed_once(bench: Bench) -> None:
    bench.arm("yank", at_bytes=100_000)
    with pytest.raises(CommandError, match="armed already"):
        bench.arm("yank", at_bytes=5)
    with pytest.raises(CommandError, match="fault yank is armed already"):
        bench.faults.arm({"id": "other", "fault": "yank", "args": {"at_bytes": 5}}, there=True)
    with pytest.raises(CommandError, match="not in"):
        bench.faults.arm({"id": "now", "fault": "yank"}, there=False)


def after_a_pull(folder: Path, seed: int, **args: Any) -> bytes:
    """What is left of 200 sectors, each written and none flushed."""
    folder.mkdir()
    bench = Bench(folder, seed)
    for number in range(200):
        bench.device.write(number * 512, bytes([1 + number % 250]) * 512)
    bench.arm("yank", **args)
    bench.device.close()
    assert bench.kinds() == ["fault.armed", "fault.fired"]
    return bench.device.path.read_bytes()


def test_some_of_what_was_not_flushed_is_lost_by_the_seed_of_the_medium(tmp_path: Path) -> None:
    found = [after_a_pull(tmp_path / str(n), seed, lose="some") for n, seed in enumerate((1, 1, 2, 3))]
    lost = [[n for n in range(200) if not image[n * 512]] for image in found]
    assert lost[0] == lost[1]
    assert lost[0] != lost[2] != lost[3]
    for them in lost:
        assert 0 < len(them) < 200
        assert set(them) != set(range(200 - len(them), 200)), "not only the newest"
    assert after_a_pull(tmp_path / "all", 1, lose="all") == bytes(MB)
    newest = after_a_pull(tmp_path / "newest", 1, lose=1024)
    assert [n for n in range(200) if not newest[n * 512]] == [198, 199]
