"""Media that are made to do harm, or that time has worn: refused in bounded time and memory, or added to with care."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import pytest

from modality.media import MediaError, Options, add, export
from modality.media import directory as directories
from modality.media.elements import encode, file_meta
from modality.media.journal import Journal, Note, new_token
from modality.media.master import read_master
from tests.unit.judged_media import explained, fails, judge
from tests.unit.test_modality_media_lab import masters, tree

ITEM = struct.Struct("<HHI")
ENDLESS = 0xFFFFFFFF


def record(more: bytes = b"", kind: bytes = b"PRIVATE ", use: bytes = b"\0\0", before: bytes = b"") -> bytes:
    """A directory record that is as short as one can be."""
    body = before + b"".join(
        (
            encode(0x00041400, b"UL", bytes(4)), encode(0x00041410, b"US", use),
            encode(0x00041420, b"UL", bytes(4)), encode(0x00041430, b"CS", kind), more,
        )
    )  # fmt: skip
    return ITEM.pack(0xFFFE, 0xE000, len(body)) + body


def dicomdir(items: bytes, behind: bytes = b"", length: int | None = None) -> bytes:
    """A DICOMDIR with any bytes as its records."""
    return b"".join(
        (
            bytes(128), b"DICM", file_meta(directories.DIRECTORY, "1.2.3", "1.2.840.10008.1.2.1", ("1.2", "X")),
            encode(0x00041130, b"CS", b""), encode(0x00041200, b"UL", bytes(4)), encode(0x00041202, b"UL", bytes(4)),
            encode(0x00041212, b"US", bytes(2)),
            struct.pack("<HH2sHI", 4, 0x1220, b"SQ", 0, len(items) if length is None else length), items, behind,
        )
    )  # fmt: skip


LITTLE = ITEM.pack(0xFFFE, 0xE000, 0)
SIZE = 4 << 20
MOST = 1 << 15
HUGE = {
    "empty items": lambda: dicomdir(LITTLE * (SIZE // len(LITTLE))),
    "short records": lambda: dicomdir(record() * (SIZE // len(record()))),
    "records of strange order": lambda: dicomdir(record(before=encode(0x00041300, b"CS", b"")) * 40_000),
    "items without a length": lambda: dicomdir(
        (ITEM.pack(0xFFFE, 0xE000, ENDLESS) + record()[8:] + ITEM.pack(0xFFFE, 0xE00D, 0)) * 40_000,
        ITEM.pack(0xFFFE, 0xE0DD, 0),
        length=ENDLESS,
    ),
    "items within items": lambda: dicomdir(
        (ITEM.pack(0xFFFE, 0xE000, ENDLESS) + struct.pack("<HH2sHI", 9, 1, b"SQ", 0, ENDLESS)) * (SIZE // 20)
    ),
    "elements behind the records": lambda: dicomdir(
        b"", b"".join(encode(0x00050000 + n, b"LO", b"") for n in range(1 << 18))
    ),
    "bytes behind the records": lambda: dicomdir(b"", bytes(SIZE) + b"\1"),
}


@pytest.mark.parametrize("what", HUGE)
def test_large_and_senseless(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before it costs a console its memory, in a time that does not grow with the square of the size.

    At an eighth of the real limit, since watching the memory is slow."""
    monkeypatch.setattr(directories, "MOST", MOST)
    data = HUGE[what]()
    tracemalloc.start()
    try:
        begun = time.monotonic()
        with pytest.raises(MediaError) as caught:
            directories.read(data)
        took = time.monotonic() - begun
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == "foreign-damaged"
    assert most < 8 * len(data) + (32 << 20)
    assert took < 60


def test_as_many_records_as_there_may_be() -> None:
    """One more than that is refused, so that what we write can be read again."""
    one = record()
    assert len(directories.read(dicomdir(one * directories.MOST))) == directories.MOST
    with pytest.raises(MediaError, match="records"):
        directories.read(dicomdir(one * (directories.MOST + 1)))


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A medium with our own file-set of two images."""
    path = tmp_path / "medium"
    path.mkdir()
    export(path, masters(tmp_path / "device", "kanji")[:2])
    return path


def test_a_set_that_is_full(medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be read again is not written."""
    images = masters(tmp_path / "device", "utf8", number=3)
    old = tree(medium)
    monkeypatch.setattr(directories, "MOST", len(directories.read(old["DICOMDIR"])) + 3)
    with pytest.raises(MediaError) as caught:
        add(medium, images)
    assert caught.value.code == "full"
    assert tree(medium) == old


@pytest.mark.parametrize("uid", [b"1.2.\xe9\xe9.4", b"A" * 20, b"1" * 66])
def test_an_identity_that_is_none(uid: bytes, medium: Path, tmp_path: Path) -> None:
    """What stands where the UID of the file-set should: the set gets a new one, which others can read."""
    path = medium / "DICOMDIR"
    data = path.read_bytes()
    meta = directories.read(data)
    start = data[:132] + file_meta(directories.DIRECTORY, "1.9", "1.2.840.10008.1.2.1", ("1.2", "X")).replace(
        encode(0x00020003, b"UI", b"1.9"), encode(0x00020003, b"UI", uid)
    )
    path.write_bytes(start + data[meta.body :])
    add(medium, masters(tmp_path / "more", "utf8", number=3)[:1])
    now = directories.read(path.read_bytes()).instance
    assert now.startswith("2.25.")
    rows = judge(medium)
    assert not fails(rows), explained(rows)


def test_a_record_that_is_spoilt_where_it_is_needed(medium: Path, tmp_path: Path) -> None:
    """The patient's record begins well and is no elements further on: refused with a sentence."""
    path = medium / "DICOMDIR"
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x40\x00CS")  # Patient's Sex
    path.write_bytes(data[: at + 4] + b"\xff\xff" + data[at + 6 :])
    old = tree(medium)
    with pytest.raises(MediaError) as caught:
        add(medium, masters(tmp_path / "more", "kanji")[2:])
    assert caught.value.code == "foreign-damaged"
    assert tree(medium) == old


def _kinds(medium: Path) -> list[bytes]:
    return [bytes(kind) for kind in directories.read((medium / "DICOMDIR").read_bytes()).kinds]


@pytest.mark.parametrize("how", ["gone", "another image", "a folder", "no DICOM file"])
def test_an_image_that_only_the_directory_has(how: str, medium: Path, tmp_path: Path) -> None:
    """A record is no proof of a file: what is not there is written, and the operator hears of it."""
    images = masters(tmp_path / "device", "kanji")[:2]
    lost = medium / "DICOM/PA000001/ST000001/SE000001/IM000002"
    if how == "another image":
        lost.write_bytes((lost.parent / "IM000001").read_bytes())
    elif how == "no DICOM file":
        lost.write_bytes(bytes(1000))
    else:
        lost.unlink()
        if how == "a folder":
            lost.mkdir()
    saved = add(medium, images)
    assert [file.file_id for file in saved.files] == ["DICOM/PA000001/ST000001/SE000001/IM000003"]
    assert len(saved.skipped) == 1
    assert "1 image(s) of the DICOMDIR were not on the medium any more" in saved.notes[0]
    assert images[1].read_bytes()[-500:] == (medium / saved.files[0].file_id).read_bytes()[-500:]
    again = add(medium, images)
    assert (again.files, len(again.skipped), again.notes) == ((), 2, ())


@pytest.mark.parametrize(
    "name", [b"..\\..\\precious", b"DICOM\\..\\LINK", b"LINK", b"LINKED\\precious", b"", b"\\\\"]
)
def test_file_ids_that_lead_elsewhere(name: bytes, medium: Path, tmp_path: Path) -> None:
    """Neither '..' nor a symbolic link is followed to see whether an image is there."""
    images = masters(tmp_path / "device", "kanji")[:2]
    (tmp_path / "precious").write_bytes((medium / "DICOM/PA000001/ST000001/SE000001/IM000002").read_bytes())
    (medium / "LINK").symlink_to(tmp_path / "precious")
    (medium / "LINKED").symlink_to(tmp_path)
    path = medium / "DICOMDIR"
    data = path.read_bytes()
    right = encode(0x00041500, b"CS", b"DICOM\\PA000001\\ST000001\\SE000001\\IM000002")
    wrong = encode(0x00041500, b"CS", name.ljust(len(right) - 8))
    assert data.count(right) == 1
    path.write_bytes(data.replace(right, wrong))
    saved = add(medium, images)
    assert len(saved.files) == len(saved.skipped) == 1


@pytest.mark.parametrize("said", [b"IM000002", b"im000002"])
@pytest.mark.parametrize("called", ["IM000002", "im000002;1", "IM000002."])
def test_an_image_under_the_name_of_another_writer(
    said: bytes, called: str, medium: Path, tmp_path: Path
) -> None:
    """Lower case, a version, a dot, on the medium or in the DICOMDIR: it is there all the same."""
    images = masters(tmp_path / "device", "kanji")[:2]
    file = medium / "DICOM/PA000001/ST000001/SE000001/IM000002"
    file.rename(file.with_name(called))
    path = medium / "DICOMDIR"
    path.write_bytes(path.read_bytes().replace(b"\\IM000002", b"\\" + said))
    assert len(add(medium, images).skipped) == 2


def test_what_took_the_place_of_an_unfinished_image_stays(medium: Path, tmp_path: Path) -> None:
    """Another machine wrote an image under the name that ours was about to use: it is not ours to remove."""
    names = ("DICOM", "PA000001", "ST000001", "SE000001", "IM000003")
    theirs = (medium / "DICOM/PA000001/ST000001/SE000001/IM000001").read_bytes()
    ours = masters(tmp_path / "device", "kanji")[2]
    for content, stays in ((theirs, True), (bytes(5000), False)):
        journal = Journal(tmp_path / "state")
        note = Note(new_token(), ((names, "\\".join(names), read_master(ours).sop_instance),))
        journal.keep(note)
        (medium / note.marker[0]).write_bytes(note.marking())
        medium.joinpath(*names).write_bytes(content)
        saved = add(medium, masters(tmp_path / "device", "kanji")[:1], Options(state=tmp_path / "state"))
        assert len(saved.skipped) == 1
        assert medium.joinpath(*names).exists() == stays
        assert not (medium / note.marker[0]).exists()
        assert journal.notes() == []


def test_offsets_into_everything(medium: Path, tmp_path: Path) -> None:
    """Each offset in turn leads to each record, into each, and behind all: refused, or understood as it was meant."""
    path = medium / "DICOMDIR"
    right = path.read_bytes()
    found = directories.read(right)
    images = masters(tmp_path / "more", "utf8", number=3)[:1]
    refused = repaired = 0
    for place in (*found.next_at.tolist(), *found.lower_at.tolist(), found.first_at):
        for to in (*found.starts.tolist(), *(found.starts + 9).tolist(), len(right), 0xFFFFFFFF):
            data = bytearray(right)
            struct.pack_into("<I", data, place, to)
            if data == right:
                continue
            path.write_bytes(data)
            try:
                meant = directories.read(bytes(data))
            except MediaError:
                with pytest.raises(MediaError) as caught:
                    add(medium, images)
                assert caught.value.code == "foreign-damaged"
                assert path.read_bytes() == data
                refused += 1
                continue
            assert meant.notes
            assert [meant.next.tolist(), meant.lower.tolist(), meant.first] == [
                found.next.tolist(), found.lower.tolist(), found.first
            ]  # fmt: skip
            repaired += 1
    assert refused > 10 * repaired > 0


def test_kinds_are_not_read_beyond_their_record() -> None:
    """A kind that claims more than its record holds is no kind."""
    short = record(kind=b"")
    short = short[:-2] + b"\x08\x00"  # eight bytes that belong to the next record
    with pytest.raises(MediaError):
        directories.read(dicomdir(short + record()))
