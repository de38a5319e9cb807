"""The directory in its place: durable before anything else goes, and read back; notes of what may be left behind."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from modality.media import MediaError, Options, add, export, service
from modality.media.journal import Journal, Note, new_token
from modality.media.volume import HostVolume
from tests.lab.products.mx1 import Picture
from tests.unit.judged_media import fails, judge
from tests.unit.test_modality_media_lab import Told, masters, tree

US = "1.2.840.10008.5.1.4.1.1.6.1"
STILL, CLIP = Picture("us", number=1), Picture("clip", number=1)


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """An empty medium."""
    path = tmp_path / "medium"
    path.mkdir()
    return path


def test_a_directory_that_shared_its_place_is_durable_before_the_other_goes(
    medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux's FAT driver writes a renamed entry with the file: unsynchronised, it would lead to free clusters."""
    state = tmp_path / "state"
    images = masters(tmp_path / "device")
    export(medium, images[:1])
    note = Note(new_token())
    Journal(state).keep(note)
    (medium / note.marker[0]).write_bytes(note.marking())
    (medium / note.draft[0]).write_bytes((medium / "DICOMDIR").read_bytes())
    with HostVolume(medium) as host:
        told = Told(host)
        service.save(told, images, Options(state=state), root=medium, new=False)
    renamed = next(at for at, (name, _) in enumerate(told.done) if name == "rename")
    removed = told.done.index(("remove", note.draft))
    between = told.done[renamed + 1 : removed]
    assert between[0] == ("open", ("DICOMDIR",))
    assert [name for name, _ in between] == ["open", "sync", "close_file", "sync_folder"]


def test_a_renaming_that_had_an_error_is_made_durable_all_the_same(medium: Path, tmp_path: Path) -> None:
    """The new directory stands there, and its own synchronisation failed once: done again before it counts."""
    images = masters(tmp_path / "device")
    export(medium, images[:1])

    class Once(Told):
        failed = False

        def before(self, name: str, arguments: tuple[object, ...]) -> None:
            super().before(name, arguments)
            renamed = any(done == "rename" for done, _ in self.done[:-1])
            if renamed and name == "sync" and not self.failed:
                self.failed = True
                raise OSError(errno.EIO, "on purpose")

    with HostVolume(medium) as host:
        told = Once(host)
        saved = service.save(told, images, Options(state=tmp_path / "state"), root=medium, new=False)
    assert len(saved.files) == 3
    done = [name for name, _ in told.done if name != "close_file"]
    after = done[done.index("rename") + 1 :]
    assert after[:5] == ["open", "sync", "open", "sync", "sync_folder"]
    assert not fails(judge(medium))


def test_notes_that_cannot_be_kept_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves no half note; one that cannot be read now is not thrown away; half ones are."""
    journal = Journal(tmp_path)
    note = Note(new_token(), ((("A", "B"), "A\\B", "1.2"),), (("A",),), ("DICOMDIR",))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.keep(note)
    assert not list(tmp_path.iterdir())
    journal.keep(note)
    (tmp_path / f"media-{new_token()}.part").write_text("{")
    (tmp_path / f"media-{new_token()}.json").write_text("{}")
    assert journal.notes() == [note]
    assert [path.name for path in tmp_path.iterdir()] == [f"media-{note.token}.json"]

    def unreadable(path: Path, *_: object) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", unreadable)
        assert journal.notes() == []
    assert journal.notes() == [note]


def _doubled(medium: Path, state: Path, drafts: int = 1) -> Note:
    """A medium on which power went while the new directory was renamed: one file under several names."""
    note = Note(new_token())
    Journal(state).keep(note)
    (medium / note.marker[0]).write_bytes(note.marking())
    for names in note.drafts[:drafts]:
        (medium / names[0]).write_bytes((medium / "DICOMDIR").read_bytes())
    return note


def test_a_fresh_copy_of_the_directory_is_read_back_first(medium: Path, tmp_path: Path) -> None:
    """A defective stick must not get the copy in the place of the good one."""
    images = masters(tmp_path / "device")
    export(medium, images[:1])
    _doubled(medium, tmp_path / "state")
    before = (medium / "DICOMDIR").read_bytes()

    class Spoiling(Told):
        """Keeps other bytes than it was given, of a directory."""

        def write(self, handle: int, offset: int, data: bytes | bytearray | memoryview) -> None:
            spoilt = bytes(data[:-1]) + b"\xff" if data == before else data
            self._inner.write(handle, offset, spoilt)

    with HostVolume(medium) as host:
        told = Spoiling(host)
        with pytest.raises(MediaError):
            service.save(told, images, Options(state=tmp_path / "state"), root=medium, new=False)
    assert "rename" not in [name for name, _ in told.done]
    assert (medium / "DICOMDIR").read_bytes() == before
    assert len(add(medium, images, Options(state=tmp_path / "state")).files) == 3
    assert not fails(judge(medium))


def test_no_name_is_left_for_a_fresh_copy(medium: Path, tmp_path: Path) -> None:
    """Interrupted ten times over: what may be the directory under another name is not removed."""
    images = masters(tmp_path / "device")
    export(medium, images[:1])
    note = _doubled(medium, tmp_path / "state", drafts=10)
    (medium / note.drafts[3][0]).write_bytes(b"not finished")
    add(medium, images, Options(state=tmp_path / "state"))
    names = {name for name in tree(medium) if name.startswith("MG")}
    assert names == {names[0] for names in note.drafts} - {note.drafts[3][0]}
