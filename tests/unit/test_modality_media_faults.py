"""Media storage when something fails: every operation on the medium in turn, once or from there on."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from modality.media import MediaError, Options, export
from modality.media.service import save
from modality.media.volume import HostVolume
from tests.unit.judged_media import explained, fails, judge
from tests.unit.test_modality_media_lab import Failing, Through, masters, tree

LEFT = {"STD-MED-010", "STD-MED-011", "STD-MED-016", "MX-MED-006"}
"""What whole files say that no directory refers to yet: there is none, or it is not told of them."""


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's disk need not keep what is looked at here."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


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


class Told(Through):
    """Keeps what was done, in order."""

    def __init__(self, inner: HostVolume) -> None:
        super().__init__(inner)
        self.done: list[str] = []

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        super().before(name, arguments)
        self.done.append(f"{name} DICOMDIR" if arguments and arguments[0] == ("DICOMDIR",) else name)


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
    after = told.done[len(told.done) - told.done[::-1].index("rename") :]
    assert after[:4] == ["open DICOMDIR", "sync", "close_file", "sync_folder"]
