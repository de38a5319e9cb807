"""Media storage when something fails: every operation on the medium in turn, once or from there on."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from bench.volumes.format import format_image
from modality.media import MediaError, Options, export
from modality.media.service import save
from modality.media.volume import HostVolume
from tests.unit.judged_media import explained, fails, judge
from tests.unit.test_modality_media_lab import Failing, FatMedium, Through, masters, mounted, tree

LEFT = {"STD-MED-010", "STD-MED-011", "STD-MED-016", "MX-MED-006"}
"""What whole files say that no directory refers to yet: there is none, or it is not told of them."""

EVERY = 13
"""So many operations lie between two interruptions after which clearing up is interrupted as well."""


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's disk need not keep what is looked at here."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr("os.fdatasync", lambda handle: None)


def _count(medium: Path, images: list[Path], state: Path, new: bool) -> int:
    with HostVolume(medium) as host:
        through = Through(host)
        save(through, images, Options(state=state), root=medium, new=new)
        return through.count


def _valid(medium: Path, old: dict[str, bytes], wanted: int) -> None:
    """The old file-set is there byte for byte, or the new one, whole."""
    now = tree(medium)
    kept = {name: data for name, data in now.items() if name in old and name != "DICOMDIR"}
    assert kept == {name: data for name, data in old.items() if name != "DICOMDIR"}
    if now.get("DICOMDIR") == old.get("DICOMDIR") or now.get("DICOMDIR") == b"":
        rows = judge(medium)
        assert fails(rows) <= LEFT, explained(rows)
    else:
        assert len([name for name in now if "/IM" in name]) == wanted
        rows = judge(medium)
        assert fails(rows) <= {"STD-MED-011"}, explained(rows)


def _each(tmp: Path, *, new: bool, number: int, forever: bool) -> None:
    before = masters(tmp / "device", "kanji")[:2]
    more = masters(tmp / "device", "utf8", number=3)[:2]
    start = tmp / "start"
    start.mkdir()
    (start / "README.TXT").write_bytes(b"of somebody else")
    if not new:
        export(start, before)
    old = tree(start)
    trial = tmp / "trial"
    shutil.copytree(start, trial)
    total = _count(trial, more, tmp / "state", new)
    wanted = 2 if new else 4
    assert total > 40
    for at in range(1, total + 1):
        medium, state = tmp / "medium", tmp / f"state-{at}"
        shutil.rmtree(medium, ignore_errors=True)
        shutil.copytree(start, medium)
        failed = ""
        with HostVolume(medium) as host:
            failing = Failing(host, at, number, forever=forever)
            try:
                save(failing, more, Options(state=state), root=medium, new=new)
            except MediaError as error:
                failed = error.code
            where = failing.failed
        _valid(medium, old, wanted)
        if failed and not forever and where not in ("remove", "remove_folder", "sync_folder"):
            assert set(tree(medium)) in (set(old), set(old) | set(tree(trial))), (at, where)
        with HostVolume(medium) as host:
            done = save(host, more, Options(state=state), root=medium, new=False)
        assert len(done.files) + len(done.skipped) == 2, (at, where)
        assert set(tree(medium)) == set(tree(trial)), (at, where, failed)
        rows = judge(medium)
        assert not fails(rows), (at, where, explained(rows))


@pytest.mark.parametrize("new", [True, False], ids=["export", "add"])
@pytest.mark.parametrize("forever", [True, False], ids=["from there on", "once"])
def test_errors_at_every_operation(tmp_path: Path, new: bool, forever: bool) -> None:
    """The old or the new file-set is whole after each; a repeated add leaves a clean medium."""
    _each(tmp_path, new=new, number=errno.EIO, forever=forever)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_full_and_protected_at_every_operation(tmp_path: Path, number: int) -> None:
    """Other errors, once, at every operation of an add."""
    _each(tmp_path, new=False, number=number, forever=False)


def _whole(medium: Path, old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """The old or the new directory is there, and every file that it names, byte for byte."""
    now = tree(medium)
    directory = now.get("DICOMDIR", b"")
    assert {name: now.get(name) for name in old if name != "DICOMDIR"} == {
        name: data for name, data in old.items() if name != "DICOMDIR"
    }
    if directory in (old.get("DICOMDIR"), b""):
        return
    assert {name: now.get(name) for name in new} == new


def _interrupted(
    medium: Path, start: Path, more: list[Path], state: Path, at: int, *, new: bool, number: int = errno.EIO
) -> bool:
    """Begin on a copy of a medium, and let nothing answer from an operation on; tell whether it came to that."""
    shutil.rmtree(medium, ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(start, medium)
    with HostVolume(medium) as host:
        failing = Failing(host, at, number, forever=True)
        with suppress(MediaError):
            save(failing, more, Options(state=state), root=medium, new=new)
    return bool(failing.failed)


def _taken_back(medium: Path, more: list[Path], state: Path) -> int:
    """How many operations the next one needs until what was left is cleared up."""
    with HostVolume(medium) as host:
        told = Told(host)
        save(told, more, Options(state=state), root=medium, new=False)
    return told.done.index("create") if "create" in told.done else len(told.done)


@pytest.mark.parametrize("new", [True, False], ids=["export", "add"])
@pytest.mark.parametrize("forever", [True, False], ids=["from there on", "once"])
def test_errors_at_every_operation_of_clearing_up(
    tmp_path: Path, new: bool, forever: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, put in again, and then each operation that takes back what was left fails, too."""
    monkeypatch.setattr("uuid.uuid4", lambda: UUID(int=1 << 127))
    more = masters(tmp_path / "device", "utf8", number=3)[:2]
    start = tmp_path / "start"
    start.mkdir()
    (start / "README.TXT").write_bytes(b"of somebody else")
    if not new:
        export(start, masters(tmp_path / "device", "kanji")[:2])
    old = tree(start)
    medium, state, again, kept = (tmp_path / name for name in ("medium", "state", "again", "kept"))
    shutil.copytree(start, medium)
    total = _count(medium, more, state, new)
    final = tree(medium)
    tried = 0
    for at in range(2, total + 1, EVERY):
        assert _interrupted(medium, start, more, state, at, new=new)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(state, kept)
        shutil.rmtree(again, ignore_errors=True)
        shutil.copytree(medium, again)
        needed = _taken_back(again, more, state)
        for then in range(1, needed + 1):
            for place, source in ((again, medium), (state, kept)):
                shutil.rmtree(place, ignore_errors=True)
                shutil.copytree(source, place)
            with HostVolume(again) as host, suppress(MediaError):
                save(Failing(host, then, forever=forever), more, Options(state=state), root=again, new=False)
            _whole(again, old, final)
            with HostVolume(again) as host:
                save(host, more, Options(state=state), root=again, new=False)
            assert set(tree(again)) == set(final), (at, then)
            _whole(again, old, final)
            assert {path.suffix for path in state.iterdir()} <= {".json"}, (at, then)
            tried += 1
    assert tried > 50


class Told(Through):
    """Keeps what was done, in order, and how many bytes a medium in an image had been written before each."""

    def __init__(self, inner: HostVolume | FatMedium) -> None:
        super().__init__(inner)
        self.done: list[str] = []
        self.written: list[int] = []
        self.device = inner.volume.device if isinstance(inner, FatMedium) else None

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        super().before(name, arguments)
        if name == "write" and arguments[1:] == (128, b"DICM"):
            name = "prefix"
        self.done.append(f"{name} DICOMDIR" if arguments and arguments[0] == ("DICOMDIR",) else name)
        self.written.append(self.device.written if self.device is not None else 0)


@pytest.mark.parametrize("new", [True, False], ids=["export", "add"])
def test_the_new_directory_is_synchronised_under_its_own_name(tmp_path: Path, new: bool) -> None:
    """Linux's FAT driver writes a new name with the file: after the renaming a folder's sync alone is not enough."""
    images = masters(tmp_path / "device", "utf8")[:1]
    medium = tmp_path / "medium"
    medium.mkdir()
    if not new:
        export(medium, masters(tmp_path / "other", "kanji", number=3)[:1])
    with HostVolume(medium) as host:
        told = Told(host)
        save(told, images, Options(state=tmp_path / "state"), root=medium, new=new)
    after = told.done[told.done.index("rename") + 1 :]
    assert after[:4] == ["open DICOMDIR", "sync", "close_file", "sync_folder"]


@pytest.mark.parametrize("new", [True, False], ids=["export", "add"])
@pytest.mark.parametrize("held", [256, 2])
def test_between_prefixes_and_directory_nothing_else_is_written(
    tmp_path: Path, new: bool, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a medium may be pulled out with images that no record names: one sector for each file, and the names'."""
    monkeypatch.setattr("modality.media.writing._HELD", held)
    images = masters(tmp_path / "device", "utf8")
    image = tmp_path / "stick.img"
    format_image(image, size=33 << 20, fat="FAT16")
    if not new:
        with mounted(image) as medium:
            save(medium, masters(tmp_path / "other", "kanji", number=3)[:1], Options(), new=True)
    with mounted(image) as medium:
        told = Told(medium)
        save(told, images, Options(state=tmp_path / "state"), new=new)
    assert fails(judge(image)) == set()
    first, change = told.done.index("prefix"), told.done.index("rename")
    between = told.done[first:change]
    assert between.count("prefix") == between.count("sync_data") == len(images) + 1
    assert set(between) <= {"prefix", "sync_data", "create DICOMDIR", "open", "close_file"}
    last_sync = max(at for at, name in enumerate(between) if name == "sync_data")
    assert "prefix" not in between[last_sync:], "a prefix was not durable before the directory changed"
    if held > len(images):
        assert "close_file" not in between, "closing may write times"
        # The engine writes the draft's entry once more before it renames it.
        sectors = len(images) + 1 + new + 2
        assert told.written[change + 1] - told.written[first] <= 512 * sectors


def test_the_old_directory_is_held_until_the_new_one_is_durable(tmp_path: Path) -> None:
    """Its clusters must not be free while a name on the medium may still lead to them."""
    medium = tmp_path / "medium"
    medium.mkdir()
    export(medium, masters(tmp_path / "other", "kanji", number=3)[:1])
    links: list[int] = []

    class Old(Through):
        def __init__(self, inner: HostVolume) -> None:
            super().__init__(inner)
            self.handle = -1
            self.changed = False

        def before(self, name: str, arguments: tuple[object, ...]) -> None:
            super().before(name, arguments)
            self.changed |= name == "rename"
            if self.changed and name in ("sync", "sync_folder") and len(links) < 2:
                links.append(sum(os.fstat(int(n)).st_nlink == 0 for n in self.files()))

        @staticmethod
        def files() -> list[str]:
            names = os.listdir("/proc/self/fd")
            return [
                n
                for n in names
                if os.path.realpath(f"/proc/self/fd/{n}").startswith(str(medium / "DICOMDIR"))
            ]

    with HostVolume(medium) as host:
        save(Old(host), masters(tmp_path / "device", "utf8")[:1], Options(), root=medium, new=False)
    assert links == [1, 1]
