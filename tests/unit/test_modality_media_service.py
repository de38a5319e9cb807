"""Export and add on a folder: keys, names, character sets, what is refused and how it is said."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from modality.media import CODES, MediaError, Options, Stop, add, export, planning, service
from modality.media import directory as directories
from modality.media.journal import Journal, Note, new_token
from modality.media.volume import HostVolume, Space
from tests.lab.elements import JPEG_BASELINE, JPEG_LOSSLESS, DataSet
from tests.lab.products.mx1 import Picture
from tests.unit.judged_media import explained, fails, judge
from tests.unit.test_modality_media_lab import Failing, Through, masters, tree

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


def _refused(code: str, medium: Path, images: list[Path], what=add, **options: object) -> str:  # type: ignore[no-untyped-def]
    before = tree(medium) if medium.is_dir() else {}
    with pytest.raises(MediaError) as caught:
        what(medium, images, Options(**options))  # type: ignore[arg-type]
    assert caught.value.code == code
    assert code in CODES
    assert caught.value.text.endswith(".")
    assert (tree(medium) if medium.is_dir() else {}) == before
    return caught.value.text


def test_no_medium_and_no_folder(tmp_path: Path) -> None:
    """Nothing is in, or something that is no medium."""
    images = masters(tmp_path / "device")
    _refused("no-medium", tmp_path / "none", images)
    (tmp_path / "file").write_bytes(b"")
    _refused("not-a-directory", tmp_path / "file", images)
    _refused("nothing", tmp_path, [])


def test_export_never_replaces(medium: Path, tmp_path: Path) -> None:
    """A file-set that is there stays (MX-D-24), also one in lower case; add without one makes one (MX-D-23)."""
    images = masters(tmp_path / "device")
    assert add(medium, images).action == "export"
    _refused("exists", medium, images, export)
    (medium / "DICOMDIR").rename(medium / "dicomdir")
    _refused("exists", medium, images, export)
    _refused("exists", medium, images, export, state=tmp_path / "state")
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
        _refused("unreadable", medium, images, what)
    (medium / "DICOMDIR").rmdir()
    (medium / "DICOMDIR").symlink_to(victim / "precious")
    _refused("unreadable", medium, images)
    (medium / "DICOMDIR").unlink()
    os.mkfifo(medium / "DICOMDIR")
    _refused("unreadable", medium, images)
    (medium / "DICOMDIR").unlink()
    (medium / "DICOM").symlink_to(victim)
    _refused("unreadable", medium, images)
    (medium / "DICOM").unlink()
    (medium / "DICOM").write_bytes(b"")
    _refused("unreadable", medium, images)
    (medium / "DICOM").unlink()
    (medium / "DICOMDIR;1").write_bytes(b"x")
    _refused("foreign-unsupported", medium, images)
    assert tree(victim) == {"precious": b"x"}


@pytest.mark.parametrize("content", [b"", b"x" * 500, bytes(128) + b"DICM" + b"\xff" * 300])
def test_directory_that_is_none(content: bytes, medium: Path, tmp_path: Path) -> None:
    """Refused, and left as it is."""
    (medium / "DICOMDIR").write_bytes(content)
    _refused("foreign-damaged", medium, masters(tmp_path / "device"))


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
    _refused("image", medium, [*images, tmp_path / "text"], export)
    _refused("image", medium, [*images, tmp_path / "missing"], export)
    (tmp_path / "cut").write_bytes(images[0].read_bytes()[:300])
    _refused("image", medium, [*images, tmp_path / "cut"], export)
    other = masters(tmp_path / "o", change=lambda ds: ds.put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1"))
    _refused("image", medium, other, export)


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


JPEG = {"still": JPEG_BASELINE, "clip": JPEG_BASELINE, "screen": JPEG_LOSSLESS}


def _cut(data: bytes) -> bytes:
    return data[: len(data) - 100]


def _one_bit(data: bytes) -> bytes:
    return data[:-50] + bytes([data[-50] ^ 1]) + data[-49:]


def _longer(data: bytes) -> bytes:
    return data + bytes(2)


def _head_only(data: bytes) -> bytes:
    return data[:512]


def _other_syntax(data: bytes) -> bytes:
    return data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0", 1)


@pytest.mark.parametrize("spoil", [_cut, _one_bit, _longer, _head_only, _other_syntax])
@pytest.mark.parametrize("syntaxes", [{}, JPEG], ids=["plain", "jpeg"])
def test_what_is_not_whole_on_the_medium_is_not_there(
    spoil: Callable[[bytes], bytes], syntaxes: dict[str, str], medium: Path, tmp_path: Path
) -> None:
    """Cut short, changed, filled up: written again under another name, told, and whole from then on."""
    images = masters(tmp_path / "device", pictures=(STILL, CLIP))
    options = Options(syntaxes=syntaxes)
    first = export(medium, images, options)
    spoilt = medium / first.files[0].file_id
    spoilt.write_bytes(spoil(spoilt.read_bytes()))
    before = tree(medium)
    if spoil is _other_syntax and syntaxes:
        return  # it says another one anyhow
    saved = add(medium, images, options)
    assert [file.sop_instance for file in saved.files] == [first.files[0].sop_instance]
    assert saved.files[0].file_id != first.files[0].file_id
    assert saved.skipped == (first.files[1].sop_instance,)
    assert "1 image(s) on the medium were not whole and were written again." in saved.notes
    assert tree(medium)[first.files[0].file_id] == before[first.files[0].file_id]
    assert len(add(medium, images, options).skipped) == 2


@pytest.mark.parametrize(
    "syntax", ["", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", JPEG_BASELINE, JPEG_LOSSLESS]
)
def test_what_is_whole_in_another_syntax_is_there(syntax: str, medium: Path, tmp_path: Path) -> None:
    """The wish has changed since; the image is on the medium nevertheless."""
    images = masters(tmp_path / "device", pictures=(STILL,))
    export(medium, images, Options(syntaxes={"still": syntax} if syntax else {}))
    for wish in ({}, {"still": JPEG_BASELINE}):
        assert len(add(medium, images, Options(syntaxes=wish)).skipped) == 1


@pytest.mark.parametrize("wish", ["", "1.2.840.10008.1.2", JPEG_BASELINE])
@pytest.mark.parametrize("there", ["", "1.2.840.10008.1.2", JPEG_BASELINE])
def test_comparing_and_encoding_are_told_and_may_be_stopped(
    there: str, wish: str, medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long clip is read whole before it counts as there: piece by piece, as the writing is."""
    monkeypatch.setattr("modality.media.wholeness._PIECE", 4096)
    images = masters(tmp_path / "device", pictures=(STILL, CLIP))
    kind = {"clip": there} if there else {}
    (saved,) = export(medium, images[1:], Options(syntaxes=kind)).files
    before = tree(medium)
    told: list[tuple[int, int]] = []
    options = Options(syntaxes={"clip": wish} if wish else {}, state=tmp_path / "state")
    assert add(medium, images[1:], options, lambda *said: told.append(said)).skipped
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] >= saved.bytes
    assert len(told) >= saved.bytes // 4096
    (medium / saved.file_id).write_bytes(_one_bit((medium / saved.file_id).read_bytes()))
    before = tree(medium)
    every: list[tuple[int, int]] = []
    with HostVolume(medium) as host:
        writing = Told(host)

        def count(done: int, total: int) -> None:
            every.append((done, total))
            if not any(name == "make_folder" or name == "create" for name, _ in writing.done):
                told.append((done, total))

        told.clear()
        service.save(writing, images, options, count, root=medium, new=False)
    assert every == sorted(every)
    assert every[-1][0] == every[-1][1]
    early = len(told)
    assert early >= 2
    for at in range(early):
        for name in tree(medium):
            (medium / name).unlink()
        for name, data in before.items():
            (medium / name).write_bytes(data)
        calls = 0

        def stop(done: int, total: int, at: int = at) -> None:
            nonlocal calls
            calls += 1
            if calls > at:
                raise Stop

        with pytest.raises(MediaError, match="stopped") as caught:
            add(medium, images, options, stop)
        assert caught.value.code == "interrupted"
        assert tree(medium) == before
        assert not list((tmp_path / "state").iterdir())


def test_how_much_there_is_to_do_is_known_before_it_is_done(medium: Path, tmp_path: Path) -> None:
    """What has to be encoded counts from the beginning, so that the share that is done never leaps back."""
    images = masters(tmp_path / "device", pictures=(STILL, CLIP))
    told: list[tuple[int, int]] = []
    options = Options(syntaxes={"still": "1.2.840.10008.1.2", "clip": "1.2.840.10008.1.2"})
    export(medium, images, options, lambda *said: told.append(said))
    totals = [total for _, total in told]
    guessed = 2 * sum(path.stat().st_size for path in images)
    assert totals[0] == guessed
    assert max(totals) - min(totals) < 5000  # file meta information, and the DICOMDIR


def test_reading_back_may_be_stopped(medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is written then, so nothing more is told; but the operator is asked."""
    monkeypatch.setattr("modality.media.writing.PIECE", 1000)
    images = masters(tmp_path / "device", pictures=(CLIP,))
    last: list[int] = []

    def tell(done: int, total: int) -> None:
        if last and done == last[-1]:
            raise Stop
        last.append(done)

    with pytest.raises(MediaError, match="stopped"):
        export(medium, images, progress=tell)
    assert not tree(medium)


@pytest.mark.parametrize("wish", ["", JPEG_BASELINE])
def test_a_full_disk_of_the_device_is_no_proof(
    wish: str, medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be made for comparing cannot be compared: said as it is, and the image is not taken for there."""
    images = masters(tmp_path / "device", pictures=(CLIP,))
    (saved,) = export(medium, images, Options(syntaxes={"clip": JPEG_BASELINE})).files
    spoilt = medium / saved.file_id
    spoilt.write_bytes(_one_bit(spoilt.read_bytes()))
    before = tree(medium)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("modality.pixel.encode_instance", full)
    with pytest.raises(MediaError, match="No space left") as caught:
        add(medium, images, Options(syntaxes={"clip": wish} if wish else {}))
    assert caught.value.code == "image"
    assert tree(medium) == before


def test_what_no_encoder_can_make_again_is_not_ours(
    medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file under our name that cannot be compared is written again; its bytes alone prove nothing."""
    from modality.pixel import PixelError, encode_instance

    images = masters(tmp_path / "device", pictures=(STILL,))
    export(medium, images, Options(syntaxes={"still": JPEG_LOSSLESS}))

    def never(source: Path, target: Path, syntax: str, **more: object) -> object:
        if syntax == JPEG_LOSSLESS:
            raise PixelError("not here")
        return encode_instance(source, target, syntax, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("modality.pixel.encode_instance", never)
    assert len(add(medium, images).files) == 1


def test_the_devices_disk_is_not_the_medium(
    medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A master that cannot be read while it is compared: the image is at fault, not the medium."""
    images = masters(tmp_path / "device", pictures=(STILL,))
    export(medium, images)
    real = os.pread

    def pread(handle: int, length: int, offset: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{handle}") == str(images[0]) and offset > 132:
            raise OSError(errno.EIO, "Input/output error")
        return real(handle, length, offset)

    monkeypatch.setattr("os.pread", pread)
    with pytest.raises(MediaError, match="on the device cannot be read") as caught:
        add(medium, images)
    assert caught.value.code == "image"


@pytest.mark.parametrize("syntax", ["", "1.2.840.10008.1.2", JPEG_BASELINE])
def test_a_master_that_is_cut_off_is_not_copied(syntax: str, medium: Path, tmp_path: Path) -> None:
    """Its header is whole, its pixels are not: said before anything is written, whatever it is to become."""
    images = masters(tmp_path / "device", pictures=(STILL, CLIP))
    images[1].write_bytes(images[1].read_bytes()[:-10])
    _refused("image", medium, images, export, syntaxes={"clip": syntax} if syntax else {})


def test_frames_wait_below_the_state(medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed frames of a long clip go to the device's own folder, never to the system's, which may be memory."""
    monkeypatch.setattr("modality.pixel.encode._IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    images = masters(tmp_path / "device", pictures=(CLIP,))
    export(medium, images, Options(syntaxes={"clip": JPEG_BASELINE}, state=tmp_path / "state"))
    assert not fails(judge(medium))


FOREIGN = ("1.2.3.4", "SOMEBODY ELSE")


@pytest.mark.parametrize("syntax", ["", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", JPEG_BASELINE])
def test_copies_of_another_writer(syntax: str, medium: Path, tmp_path: Path) -> None:
    """With a data set that is encoded otherwise, whole: there; without its end: not there; other pixels: not there."""
    images = masters(tmp_path / "device", pictures=(CLIP,))
    kind = {"clip": syntax} if syntax else {}
    (saved,) = export(medium, images, Options(implementation=FOREIGN, syntaxes=kind)).files
    path = medium / saved.file_id
    assert add(medium, images).skipped  # the same data set
    dataset = pydicom.dcmread(path)
    dataset.ImageComments = "copied by another device"
    dataset.save_as(path)
    whole = path.read_bytes()
    assert add(medium, images).skipped
    start = whole.index(b"\x7f\xe0\x00\x10" if syntax.endswith("2.2") else b"\xe0\x7f\x10\x00")
    no_picture = whole[: start + 12] + bytes.fromhex("feff00e000000000 feffdde000000000")
    for damaged in (whole[:-10], whole[: len(whole) // 2], whole[:600], b"", no_picture):
        path.write_bytes(damaged)
        before = tree(medium)
        assert add(medium, images).notes
        for name in set(tree(medium)) - set(before):
            (medium / name).unlink()
        (medium / "DICOMDIR").write_bytes(before["DICOMDIR"])
    if syntax != JPEG_BASELINE:
        path.write_bytes(_one_bit(whole))
        assert add(medium, images).notes


def test_pixels_as_words_in_big_endian(medium: Path, tmp_path: Path) -> None:
    """Of another writer: OW instead of OB, with each pair exchanged, is the same picture; not exchanged, it is not."""
    images = masters(tmp_path / "device", pictures=(STILL,))
    (saved,) = export(
        medium, images, Options(implementation=FOREIGN, syntaxes={"still": "1.2.840.10008.1.2.2"})
    ).files
    path = medium / saved.file_id
    data = path.read_bytes()
    at = data.index(b"\x7f\xe0\x00\x10OB") + 12
    words = np.frombuffer(data[at:], "<u2").byteswap().tobytes()
    for pixels, there in ((words, True), (data[at:], False)):
        path.write_bytes(data[: at - 8] + b"OW" + data[at - 6 : at] + pixels)
        saved_again = add(medium, images)
        assert bool(saved_again.skipped) == there
        assert bool(saved_again.notes) != there


def test_fragments_without_number_are_no_image(
    medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressed file that is nothing but empty items is given up on."""
    monkeypatch.setattr("modality.media.wholeness._MOST_FRAGMENTS", 50)
    images = masters(tmp_path / "device", pictures=(STILL,))
    options = Options(implementation=FOREIGN, syntaxes={"still": JPEG_BASELINE})
    (saved,) = export(medium, images, options).files
    path = medium / saved.file_id
    data = path.read_bytes()
    for count, there in ((10, True), (60, False)):
        path.write_bytes(data[:-8] + b"\xfe\xff\x00\xe0\0\0\0\0" * count + data[-8:])
        assert bool(add(medium, images).skipped) == there


class Told(Through):
    """Keeps the operations in their order."""

    def __init__(self, inner: HostVolume) -> None:
        super().__init__(inner)
        self.done: list[tuple[str, object]] = []

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        """Note it."""
        self.done.append((name, arguments[0] if arguments else None))


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
