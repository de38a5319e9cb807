"""What is on a medium already: compared byte by byte, encoded to be compared, told meanwhile, never taken for there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from modality.media import MediaError, Options, Stop, add, export, service
from modality.media.volume import HostVolume
from tests.lab.elements import JPEG_BASELINE, JPEG_LOSSLESS
from tests.lab.products.mx1 import Picture
from tests.unit.judged_media import fails, judge
from tests.unit.test_modality_media_lab import Told, masters, refused, tree

US = "1.2.840.10008.5.1.4.1.1.6.1"
JPEG = {"still": JPEG_BASELINE, "clip": JPEG_BASELINE, "screen": JPEG_LOSSLESS}
STILL, CLIP = Picture("us", number=1), Picture("clip", number=1)


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """An empty medium."""
    path = tmp_path / "medium"
    path.mkdir()
    return path


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
    refused("image", medium, images, export, syntaxes={"clip": syntax} if syntax else {})


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
