"""The FAT engine against a dict of bytes, against a yank at any byte, and against images made to hurt it."""

from __future__ import annotations

import errno
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.volumes.device import BlockDevice, Data
from bench.volumes.fat import FatVolume
from bench.volumes.fatcheck import check_device
from bench.volumes.fatnames import fold
from bench.volumes.format import format_image
from bench.volumes.layout import FatType
from bench.volumes.unsynced import Loss, Some
from tests.lab.fatmodel import Model, compare, step

MB = 1024 * 1024
#: clusters of 2 KB, and of 512 bytes
MEDIA: dict[FatType, int] = {"FAT16": 16 * MB, "FAT32": 40 * MB}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("volumes")


@pytest.mark.parametrize("fat", ["FAT16", "FAT32"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), count=st.integers(10, 80))
def test_a_volume_is_a_dict_of_bytes(folder: Path, fat: FatType, seed: int, count: int) -> None:
    rng = random.Random(seed)
    path = folder / f"model-{fat}.img"
    format_image(path, size=MEDIA[fat], fat=fat, label="MODEL", partition=rng.choice(("mbr", "none")))
    device = BlockDevice(path)
    volume = FatVolume.mount(device)
    model = Model()
    for number in range(count):
        step(volume, model, rng)
        if rng.random() < 0.2:
            volume.fsync_folder("/")
        if rng.random() < 0.1:
            volume.age(number * 20.0)
        if number % 20 == 7:
            compare(volume, model)
            assert volume.check() == []
        if number % 25 == 11:
            volume.unmount()
            assert check_device(device) == []
            volume = FatVolume.mount(device)
            compare(volume, model)
    volume.unmount()
    device.close()
    again = BlockDevice(path)
    assert check_device(again) == []
    volume = FatVolume.mount(again, read_only=True)
    assert not volume.was_dirty
    compare(volume, model)
    again.close()


class History:
    """What a scripted session wrote: every state a file may have after a yank, and the least it must have."""

    def __init__(self) -> None:
        self.allowed: dict[str, list[bytes]] = {}
        self.durable: dict[str, bytes] = {}
        self.replacing = False  # from the rename to the sync after it

    def save(self, volume: FatVolume, path: str, data: bytes) -> None:
        """Write in pieces, fsync or fdatasync, close: from then on the file must be whole."""
        datasync = len(self.allowed) % 2 > 0
        self.durable.pop(path, None)
        self.allowed.setdefault(path, []).append(b"")
        handle = volume.create(path)
        for at in range(0, len(data), 3000):
            volume.write(handle, at, data[at : at + 3000])
            self.allowed[path].append(data[: at + 3000])
            if at % 9000 == 6000:
                volume.fsync(handle, datasync=datasync)
        volume.fsync(handle, datasync=datasync)
        volume.close(handle)
        self.allowed[path] = [data]
        self.durable[path] = data


def session(volume: FatVolume, history: History, rng: random.Random) -> None:
    """An export and three additions: images with fsync, a new DICOMDIR under another name, renamed over."""
    data = rng.randbytes
    volume.mkdir("/DICOM")
    volume.mkdir("/DICOM/PA000001")
    history.save(volume, "/foreign file with a long name.txt", data(5000))
    history.save(volume, "/DICOMDIR", data(7000))
    for number in range(20):  # so that DICOMDIR and what is renamed over it lie in two sectors
        history.save(volume, f"/FOREIGN.{number}", data(10))
    for number in range(3):
        for image in range(3):
            history.save(volume, f"/DICOM/PA000001/IM{number}{image}", data(rng.choice((100, 4096, 20000))))
        temporary = "/DICOMDIR.tmp" if number % 2 else "/DDTMP"  # with and without a long name
        history.save(volume, temporary, new := data(rng.choice((6000, 9000, 30000))))
        old = history.durable.pop("/DICOMDIR")
        history.durable.pop(temporary)
        history.allowed["/DICOMDIR"] = [old, new]
        history.replacing = True
        volume.rename(temporary, "/DICOMDIR")
        if number == 1:
            volume.fsync()
        else:  # as who does not know of everything, but of the file and the folder
            handle = volume.open("/DICOMDIR")
            volume.fsync(handle, datasync=number > 1)
            volume.close(handle)
            history.allowed["/DICOMDIR"] = [new]
            volume.fsync_folder("/")
        history.replacing = False
        history.allowed["/DICOMDIR"] = [new]
        history.durable["/DICOMDIR"] = new
        # Leftovers go, so that their clusters are used again while the yank may still undo that.
        gone = f"/DICOM/PA000001/IM{number}1"
        history.durable.pop(gone)
        volume.unlink(gone)


#: What a yank may leave, as it does on Linux: nothing of it touches a file's contents.
HARMLESS = (
    "its dirty bit is set",
    "copies of the FAT differ",
    "belong to no file",
    "FSInfo tells",
    "a part of a long name without its file",
    "longer than its size",
)


def content(volume: FatVolume, path: str) -> bytes:
    handle = volume.open(path)
    try:
        return volume.read(handle, 0, volume.stat(path).size)
    finally:
        volume.close(handle)


@pytest.mark.parametrize("fat", ["FAT16", "FAT32"])
def test_a_yank_at_any_byte_leaves_what_was_synced_whole(tmp_path: Path, fat: FatType) -> None:
    path = tmp_path / "stick.img"

    class Recorder(BlockDevice):
        """Notes how far `written` was after each write of less than a cluster: names, chains, entries."""

        def write(self, offset: int, data: Data) -> None:
            super().write(offset, data)
            if len(data) < 2048:
                edges.append(self.written)

    edges: list[int] = []
    marks = 3 * 512  # that the volume is mounted is written first, and may be lost

    def run(seed: int, at: int | None, lose: Loss) -> tuple[BlockDevice, History, bool]:
        format_image(path, size=MEDIA[fat], fat=fat, label="CRASH", partition="none")
        device = Recorder(path)
        history = History()
        device.yank_at(at, lose)
        try:
            volume = FatVolume.mount(device)
            session(volume, history, random.Random(seed))
            volume.unmount()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return device, history, True
        return device, history, device.yanked

    rng = random.Random(4)
    whole, _, _ = run(1, None, 0)
    written = whole.written
    whole.close()
    places = sorted(set(edges))
    assert written > 100_000
    yanked = torn = 0
    for _ in range(150):
        at = rng.choice((rng.randrange(written + 1), rng.choice(places), rng.choice(places) + 1))
        lose: Loss = rng.choice((0, 0, 512, rng.randrange(1, 20_000), None, Some(at), Some(at + 1)))
        device, history, out = run(1, at, lose)
        yanked += out
        torn += bool(device.last_yank and device.last_yank.lost)
        device.yank_at(None)
        device.reinsert()
        where = f"yanked at byte {at}, {lose} lost"
        volume = FatVolume.mount(device)
        for name, data in history.durable.items():
            assert content(volume, name) == data, f"{where}: {name} is not what was synced"
        if history.replacing:
            assert content(volume, "/DICOMDIR") in history.allowed["/DICOMDIR"], where
        if isinstance(lose, Some):  # nothing is said of what was never synced, nor of what holds it
            device.close()
            continue
        for name, states in history.allowed.items():
            if name not in ("/DDTMP", "/DICOMDIR.tmp") and name not in history.durable:
                try:
                    got = content(volume, name)
                except FileNotFoundError:
                    continue
                assert any(state.startswith(got) for state in states), f"{where}: {name} is a mix"
        findings = volume.check()
        double = [f for f in findings if "DDTMP" in f or "DICOMDIR" in f]  # a rename cut in two
        assert [f for f in findings if f not in double and not any(h in f for h in HARMLESS)] == [], where
        # Whoever cleans up and goes on does no harm to what was there.
        before = content(volume, "/DICOMDIR") if "/DICOMDIR" in history.durable or double else None
        for name in ("/DDTMP", "/DICOMDIR.tmp"):
            try:
                volume.unlink(name)
            except FileNotFoundError:
                pass
        handle = volume.create("/AFTER")
        volume.write(handle, 0, bytes(200_000))
        volume.close(handle)
        volume.unmount()
        volume = FatVolume.mount(device, read_only=True)
        assert volume.was_dirty or at >= written or at <= marks
        for name, data in history.durable.items():
            assert content(volume, name) == data, f"{where}: {name} did not survive the next session"
        if before is not None:
            assert content(volume, "/DICOMDIR") == before, where
        device.close()
    assert yanked >= 140
    assert torn >= 20


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    fat=st.sampled_from(["FAT16", "FAT32"]),
    after=st.integers(1, 60_000),
    lose=st.sampled_from([0, 512, 4096, None]),
)
def test_a_yank_in_the_middle_of_anything_leaves_alone_what_nobody_touched(
    folder: Path, seed: int, fat: FatType, after: int, lose: int | None
) -> None:
    rng = random.Random(seed)
    path = folder / "anything.img"
    format_image(path, size=MEDIA[fat], fat=fat, label="ANY", partition="none")
    device = BlockDevice(path)
    volume = FatVolume.mount(device)
    model = Model()
    for _ in range(rng.randrange(5, 50)):
        step(volume, model, rng)
    volume.fsync()
    before = dict(model.files)
    device.yank_at(device.written + after, lose)
    log: list[str] = []
    try:
        for _ in range(60):
            log.append(fold(step(volume, model, rng)) + " ")
    except AssertionError as error:  # the model knows nothing of media that go
        log.append(fold(str(error)))
    device.yank_at(None)
    device.reinsert()
    volume = FatVolume.mount(device)
    log_text = " ".join(log)
    if "RENAME" not in log_text:  # one that is cut in two shows a file under both names
        assert [line for line in volume.check() if not any(h in line for h in HARMLESS)] == []
    for key, (_, data) in before.items():
        above = ["/".join(key.split("/")[:n]) for n in range(2, key.count("/") + 2)]
        if data is not None and not any(p + " " in log_text or p + "'" in log_text for p in above):
            assert content(volume, key) == data, key
    device.close()


def told(error: OSError, *numbers: int) -> None:
    """An error has a number and says in words what is wrong."""
    assert error.errno
    assert error.strerror
    assert not numbers or error.errno in numbers


def endure(path: Path) -> None:
    """Do everything there is to do on an image; only OSError, with a text, and only for a while."""
    device = BlockDevice(path)
    started = time.monotonic()
    try:
        volume = FatVolume.mount(device)
        reached = 0
        waiting = ["/"]
        while waiting and reached < 300:
            above = waiting.pop()
            try:
                entries = volume.listdir(above)
            except OSError as error:
                told(error)
                continue
            for name in entries[:100]:
                reached += 1
                path_of = f"{above.rstrip('/')}/{name}"
                try:
                    if volume.stat(path_of).is_dir:
                        waiting.append(path_of)
                        continue
                    handle = volume.open(path_of)
                    volume.read(handle, 0, 100_000)
                    volume.read(handle, max(0, volume.stat(path_of).size - 100), 100)
                    volume.write(handle, 0, b"x" * 5000)
                    volume.close(handle)
                    if reached % 3 == 0:
                        volume.unlink(path_of)
                except OSError as error:
                    told(error)
        for what in (
            lambda: volume.close(volume.create("/NEW FILE.TXT")),
            lambda: volume.mkdir("/NEWDIR"),
            lambda: volume.rename("/DICOMDIR", "/NEWDIR/moved away"),
            lambda: volume.truncate("/NEWDIR/moved away", 3),
            lambda: volume.check(),
            volume.unmount,
        ):
            try:
                what()
            except OSError as error:
                told(error)
    except OSError as error:
        told(error, errno.EINVAL, errno.EIO)
    finally:
        device.close()
    assert time.monotonic() - started < 5


@pytest.fixture(scope="module")
def used(folder: Path) -> dict[FatType, tuple[bytes, int, list[tuple[int, int]]]]:
    """Per type: the first bytes of a used image (all that is not zero), its size, and its structures' places."""
    out: dict[FatType, tuple[bytes, int, list[tuple[int, int]]]] = {}
    for fat, size in MEDIA.items():
        path = folder / f"used-{fat}.img"
        layout = format_image(path, size=size, fat=fat, label="USED", partition="none")
        assert layout is not None
        device = BlockDevice(path)
        volume = FatVolume.mount(device)
        volume.mkdir("/DICOM")
        volume.mkdir("/DICOM/a directory with a long name")
        for name in ("/DICOMDIR", "/DICOM/IM1", "/DICOM/a directory with a long name/another name", "/x.txt"):
            handle = volume.create(name)
            volume.write(handle, 0, name.encode() * 1500)
            volume.close(handle)
        volume.unmount()
        device.close()
        fats = layout.fat_offset(0)
        places = [(0, 90), (fats, 600), (layout.root_offset, 512), (layout.data_offset, 30_000)]
        if layout.root_cluster:
            places[2] = (layout.cluster_offset(2), 512)
        out[fat] = (path.read_bytes()[: layout.data_offset + 200_000], size, places)
    return out


@pytest.mark.parametrize("fat", ["FAT16", "FAT32"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_errors_and_no_end_of_trouble(
    folder: Path,
    used: dict[FatType, tuple[bytes, int, list[tuple[int, int]]]],
    fat: FatType,
    data: st.DataObject,
) -> None:
    start, size, places = used[fat]
    image = bytearray(start)
    for _ in range(data.draw(st.integers(1, 12))):
        at, length = data.draw(st.sampled_from(places))
        offset = at + data.draw(st.integers(0, length - 1))
        # Numbers that hurt: zero, one, ends of chains, small clusters (loops and cross-links), all ones.
        value = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.integers(0, 30).map(lambda n: n.to_bytes(2, "little")),
                st.sampled_from([bytes(4), b"\xff" * 4, b"\xf8\xff", b"\xe5", b"\x0f", b"\x10", b"\x7f" * 4]),
            )
        )
        image[offset : offset + len(value)] = value
    path = folder / "hurt.img"
    with path.open("wb") as file:
        file.write(image)
        file.truncate(size)
    endure(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.binary(min_size=512, max_size=4096), boot=st.booleans())
def test_random_bytes_are_no_volume(folder: Path, head: bytes, boot: bool) -> None:
    path = folder / "random.img"
    sector = bytearray(head)
    sector[510:512] = b"\x55\xaa"
    if boot:
        sector[0] = 0xEB
        sector[11:13] = b"\x00\x02"
        sector[13] = 1 << (sector[13] % 8)
    with path.open("wb") as file:
        file.write(sector)
        file.truncate(4 * MB)
    endure(path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sectors=st.one_of(st.integers(1, 100_000), st.integers(1, 80_000_000)),
    fat=st.sampled_from(["FAT16", "FAT32"]),
    cluster=st.sampled_from([None, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]),
    partition=st.sampled_from(["mbr", "none"]),
)
def test_whatever_can_be_formatted_is_whole_and_the_rest_is_a_value_error(
    folder: Path, sectors: int, fat: Any, cluster: int | None, partition: Any
) -> None:
    path = folder / "sizes.img"
    try:
        layout = format_image(
            path, size=sectors * 512, fat=fat, label="ANY", cluster=cluster, partition=partition
        )
    except ValueError:
        return
    assert layout is not None
    assert layout.fat == fat
    assert layout.start + layout.sectors == sectors
    assert layout.cluster_offset(layout.clusters + 2) <= sectors * 512
    device = BlockDevice(path)
    volume = FatVolume.mount(device)
    handle = volume.create("/DICOMDIR")
    volume.write(handle, 0, b"x" * 100_000)
    volume.close(handle)
    assert volume.label == "ANY"
    volume.unmount()
    assert check_device(device) == []
    device.close()
