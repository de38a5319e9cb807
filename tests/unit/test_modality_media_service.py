"""Export and add on a folder: keys, names, character sets, what is refused and how it is said."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from modality.media import MediaError, Options, Stop, add, export, planning, service
from modality.media import directory as directories
from modality.media.volume import HostVolume, Space
from tests.lab.elements import JPEG_BASELINE, JPEG_LOSSLESS, DataSet
from tests.lab.products.mx1 import Picture
from tests.unit.judged_media import explained, fails, judge
from tests.unit.test_modality_media_lab import Failing, Through, masters, refused, tree

US = "1.2.840.10008.5.1.4.1.1.6.1"
STILL, CLIP = Picture("us", number=1), Picture("clip", number=1)


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """An empty medium."""
    path = tmp_path / "medium"
    path.mkdir()
    return path


@pytest.mark.parametrize("person", ["default", "latin1", "utf8", "gb18030", "kanji", "kanjix"])
def test_every_character_set(person: str, medium: Path, tmp_path: Path) -> None:
    """The bytes of the name are those of the object, with its set where it is needed."""
    state = tmp_path / "state"
    images = masters(tmp_path / "device", person)
    first = export(medium, images[:1], Options(state=state))
    assert first.action == "export"
    second = add(medium, images, Options(state=state))
    assert (second.action, len(second.files), len(second.skipped)) == ("add", 3, 1)
    rows = judge(medium)
    assert not fails(rows), explained(rows)
    assert rows["MX-MED-PK-01"].verdict.value == ("N/A" if person == "default" else "PASS")
    assert sorted(tree(medium)) == [
        "DICOM/PA000001/ST000001/SE000001/IM000001",
        "DICOM/PA000001/ST000001/SE000001/IM000002",
        "DICOM/PA000001/ST000001/SE000002/IM000001",
        "DICOM/PA000001/ST000001/SE000003/IM000001",
        "DICOMDIR",
    ]
    assert not list(state.iterdir())
    for saved in first.files + second.files:
        data = (medium / saved.file_id).read_bytes()
        assert (saved.bytes, saved.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert second.dicomdir_sha256 == hashlib.sha256((medium / "DICOMDIR").read_bytes()).hexdigest()
    body = images[0].read_bytes()
    assert (medium / first.files[0].file_id).read_bytes()[-2000:] == body[-2000:]


def test_exactly_the_keys_of_the_statement(medium: Path, tmp_path: Path) -> None:
    """Spec 5.3 and 5.4: these elements, no others."""
    export(medium, masters(tmp_path / "device", "kanji"))
    found = directories.read((medium / "DICOMDIR").read_bytes())
    links = {0x00041400, 0x00041410, 0x00041420, 0x00041430}
    keys = {
        b"PATIENT": {0x00080005, 0x00100010, 0x00100020, 0x00100030, 0x00100040},
        b"STUDY": {0x00080020, 0x00080030, 0x00080050, 0x00081030, 0x0020000D, 0x00200010},
        b"SERIES": {0x00080060, 0x0020000E, 0x00200011},
        b"IMAGE": {0x00041500, 0x00041510, 0x00041511, 0x00041512, 0x00200013},
    }
    for index in range(len(found)):
        assert set(found.elements(index)) == links | keys[bytes(found.kinds[index])]


def test_what_an_object_lacks_is_made(medium: Path, tmp_path: Path) -> None:
    """Type 1 keys of records are never empty, and the same ones each time."""

    def bare(ds: DataSet) -> None:
        for key in (
            "PatientID",
            "StudyDate",
            "StudyTime",
            "StudyID",
            "SeriesNumber",
            "InstanceNumber",
            "PatientName",
        ):
            ds.put(key, None)

    images = masters(tmp_path / "device", change=bare)
    export(medium, images[:2])
    add(medium, images)
    rows = judge(medium)
    assert not fails(rows), explained(rows)
    kinds = [bytes(k) for k in directories.read((medium / "DICOMDIR").read_bytes()).kinds]
    assert kinds.count(b"PATIENT") == kinds.count(b"STUDY") == 1


@pytest.mark.parametrize("syntax", [JPEG_BASELINE, JPEG_LOSSLESS, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
def test_other_syntaxes(syntax: str, medium: Path, tmp_path: Path) -> None:
    """Encoded on the device's disk; the record, the file meta information and the claim agree."""
    options = Options(syntaxes={"still": syntax}, state=tmp_path / "state")
    saved = export(medium, masters(tmp_path / "device", "utf8"), options)
    assert {f.syntax for f in saved.files if f.sop_class == US} == {syntax}
    rows = judge(medium)
    assert not fails(rows), explained(rows)
    assert not list((tmp_path / "state").iterdir())


def test_clip_of_many_pieces(medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is copied piece by piece."""
    monkeypatch.setattr("modality.media.writing.PIECE", 1000)
    saved = export(medium, masters(tmp_path / "device", pictures=(STILL, CLIP)))
    for one in saved.files:
        assert hashlib.sha256((medium / one.file_id).read_bytes()).hexdigest() == one.sha256
    assert not fails(judge(medium))


def test_series_of_more_than_a_folder(medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are not endless; the series stays one."""
    monkeypatch.setattr(planning, "MOST_FILES", 2)
    pictures = tuple(Picture("us", number=n) for n in range(1, 6))
    images = masters(tmp_path / "device", pictures=pictures)
    export(medium, images[:3])
    add(medium, images)
    assert sorted(n.split("/", 3)[3] for n in tree(medium) if n != "DICOMDIR") == [
        "SE000001/IM000001", "SE000001/IM000002", "SE000002/IM000001", "SE000002/IM000002", "SE000003/IM000001",
    ]  # fmt: skip
    assert not fails(judge(medium))


def test_no_medium_and_no_folder(tmp_path: Path) -> None:
    """Nothing is in, or something that is no medium."""
    images = masters(tmp_path / "device")
    refused("no-medium", tmp_path / "none", images)
    (tmp_path / "file").write_bytes(b"")
    refused("not-a-directory", tmp_path / "file", images)
    refused("nothing", tmp_path, [])


def test_export_never_replaces(medium: Path, tmp_path: Path) -> None:
    """A file-set that is there stays (MX-D-24), also one in lower case; add without one makes one (MX-D-23)."""
    images = masters(tmp_path / "device")
    assert add(medium, images).action == "export"
    refused("exists", medium, images, export)
    (medium / "DICOMDIR").rename(medium / "dicomdir")
    refused("exists", medium, images, export)
    refused("exists", medium, images, export, state=tmp_path / "state")
    add(medium, masters(tmp_path / "b", "utf8", number=2))
    assert "DICOMDIR" not in tree(medium)


def test_strange_things_in_the_way(medium: Path, tmp_path: Path) -> None:
    """A folder, a link, a pipe, a file where a folder should be; links are never followed."""
    images = masters(tmp_path / "device")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_bytes(b"x")
    (medium / "DICOMDIR").mkdir()
    for what in (add, export):
        refused("unreadable", medium, images, what)
    (medium / "DICOMDIR").rmdir()
    (medium / "DICOMDIR").symlink_to(victim / "precious")
    refused("unreadable", medium, images)
    (medium / "DICOMDIR").unlink()
    os.mkfifo(medium / "DICOMDIR")
    refused("unreadable", medium, images)
    (medium / "DICOMDIR").unlink()
    (medium / "DICOM").symlink_to(victim)
    refused("unreadable", medium, images)
    (medium / "DICOM").unlink()
    (medium / "DICOM").write_bytes(b"")
    refused("unreadable", medium, images)
    (medium / "DICOM").unlink()
    (medium / "DICOMDIR;1").write_bytes(b"x")
    refused("foreign-unsupported", medium, images)
    assert tree(victim) == {"precious": b"x"}


@pytest.mark.parametrize("content", [b"", b"x" * 500, bytes(128) + b"DICM" + b"\xff" * 300])
def test_directory_that_is_none(content: bytes, medium: Path, tmp_path: Path) -> None:
    """Refused, and left as it is."""
    (medium / "DICOMDIR").write_bytes(content)
    refused("foreign-damaged", medium, masters(tmp_path / "device"))


def test_huge_directory(medium: Path, tmp_path: Path) -> None:
    """2 GB are refused at once, unread."""
    with (medium / "DICOMDIR").open("wb") as stream:
        stream.truncate(2 << 30)
    images = masters(tmp_path / "device")
    start = time.monotonic()
    with pytest.raises(MediaError) as caught:
        add(medium, images)
    assert caught.value.code == "foreign-damaged"
    assert time.monotonic() - start < 5
    assert (medium / "DICOMDIR").stat().st_size == 2 << 30


class Little(Through):
    """A medium with little room."""

    def __init__(self, inner: HostVolume, free: int, cluster: int) -> None:
        super().__init__(inner)
        self._space = Space(free, cluster)

    def space(self) -> Space:
        """What is left."""
        return self._space


def test_room_is_counted_in_clusters(medium: Path, tmp_path: Path) -> None:
    """The bytes would fit, the clusters do not; nothing is written."""
    images = masters(tmp_path / "device")
    total = sum(path.stat().st_size for path in images)
    with HostVolume(medium) as host:
        for free, fits in ((total + 60_000, False), (17 * 32768 + total, True)):
            small = Little(host, free, 32768)
            if fits:
                assert len(service.save(small, images, Options(), root=medium, new=True).files) == 4
            else:
                with pytest.raises(MediaError, match="MB are needed") as caught:
                    service.save(small, images, Options(), root=medium, new=True)
                assert caught.value.code == "full"
                assert not tree(medium)


def test_operator_stops(medium: Path, tmp_path: Path) -> None:
    """In the middle, told by the progress callback: the medium is as before."""
    images = masters(tmp_path / "device")
    export(medium, images[:1])
    before = tree(medium)
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 2:
            raise Stop

    with pytest.raises(MediaError) as caught:
        add(medium, images[1:], Options(state=tmp_path / "state"), tell)
    assert caught.value.code == "interrupted"
    assert tree(medium) == before
    told.clear()
    add(medium, images[1:], progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)


def test_images_that_cannot_be_written(medium: Path, tmp_path: Path) -> None:
    """Missing, cut, no DICOM file, another kind: said before anything is written."""
    images = masters(tmp_path / "device")
    (tmp_path / "text").write_text("no image")
    refused("image", medium, [*images, tmp_path / "text"], export)
    refused("image", medium, [*images, tmp_path / "missing"], export)
    (tmp_path / "cut").write_bytes(images[0].read_bytes()[:300])
    refused("image", medium, [*images, tmp_path / "cut"], export)
    other = masters(tmp_path / "o", change=lambda ds: ds.put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1"))
    refused("image", medium, other, export)


def test_twice_in_one_request(medium: Path, tmp_path: Path) -> None:
    """Written once, and told."""
    images = masters(tmp_path / "device")
    saved = export(medium, [*images, images[0]])
    assert len(saved.files) == 4
    assert saved.skipped == (saved.files[0].sop_instance,)


class Lying(Through):
    """A medium that keeps other bytes than it was given."""

    def read(self, handle: int, offset: int, length: int) -> bytes:
        """All ones at the end."""
        data = self._inner.read(handle, offset, length)
        return data[:-1] + b"\xff" if len(data) > 3000 else data


def test_what_was_written_is_read_back(medium: Path, tmp_path: Path) -> None:
    """A defective stick is told; without the check it is not seen."""
    images = masters(tmp_path / "device")
    with HostVolume(medium) as host:
        with pytest.raises(MediaError, match="defective") as caught:
            service.save(Lying(host), images, Options(), root=medium, new=True)
        assert caught.value.code == "io"
        assert not tree(medium)
        assert len(service.save(Lying(host), images, Options(verify=False), root=medium, new=True).files) == 4


def test_leftovers_of_another_device_stay(medium: Path, tmp_path: Path) -> None:
    """Only what this device noted is cleared up."""
    (medium / "MG123456.TMP").write_bytes(b"0" * 32)
    (medium / "MG123456.NEW").write_bytes(b"of another device")
    export(medium, masters(tmp_path / "device"), Options(state=tmp_path / "state"))
    assert (medium / "MG123456.NEW").read_bytes() == b"of another device"
    assert (medium / "MG123456.TMP").exists()


class Vanishing(Through):
    """A medium whose folder goes away in the middle."""

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        """From the second file on nothing answers."""
        if self.count > 20:
            self._inner.root.rename(self._inner.root.with_name("gone")) if self._inner.root.exists() else None
            raise OSError(errno.EIO, "on purpose")


def test_pulled_out_is_told_from_broken(medium: Path, tmp_path: Path) -> None:
    """The folder is gone: pulled out; it is there and gives errors: broken, or never readable."""
    images = masters(tmp_path / "device")
    with HostVolume(medium) as host, pytest.raises(MediaError, match="pulled out") as caught:
        service.save(Vanishing(host), images, Options(), root=medium, new=True)
    assert caught.value.code == "interrupted"
    medium.mkdir()
    for at, code in ((1, "unreadable"), (20, "io")):
        with HostVolume(medium) as host, pytest.raises(MediaError) as caught:
            service.save(Failing(host, at, forever=True), images, Options(), root=medium, new=True)
        assert caught.value.code == code
