"""The digest of every native frame, in whatever pieces the pixels come."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import bench.witness
from bench.witness import pixels
from bench.witness.pixels import Layout, Native, Pixels
from tests.lab.conversation import Lab
from tests.lab.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import MX1, PACS, Picture, Scan


def digests(data: bytes, size: int) -> tuple[str, ...]:
    """What is right."""
    return tuple(hashlib.sha256(data[at : at + size]).hexdigest() for at in range(0, len(data), size))


def seen(
    data: bytes, frame: int | None, frames: int, *, bits: int = 8, piece: int = 100, digest: bool = True
) -> Pixels:
    """What is said of native pixels of so many samples a frame."""
    every = None if frame is None else frame * frames
    sink = Native(Layout(bits, bits, bits - 1, False, every, frame=frame), digest=digest)
    for at in range(0, len(data), piece):
        sink.feed(memoryview(data)[at : at + piece])
    return sink.finish()


@pytest.mark.parametrize("piece", [1, 7, 35, 36, 1000])
@pytest.mark.parametrize(("size", "count"), [(35, 1), (35, 3), (36, 1), (36, 4), (1, 5)])
def test_every_frame_has_its_digest_in_any_pieces(size: int, count: int, piece: int) -> None:
    """A byte of padding behind the last frame is none of its pixels."""
    data = bytes(n * 37 % 251 for n in range(size * count))
    found = seen(data + bytes(len(data) % 2), size, count, piece=piece)
    assert found.frames == digests(data, size)


def test_frames_are_counted_in_bytes() -> None:
    """Two bytes a sample."""
    data = bytes(n % 256 for n in range(240))
    assert seen(data, 40, 3, bits=16).frames == digests(data, 80)


def test_only_whole_frames_that_were_announced_count() -> None:
    """Cut off, or longer than Number of Frames says: what is there is told, nothing is invented."""
    data = bytes(range(120))
    assert seen(data[:100], 40, 3).frames == digests(data[:80], 40)
    assert seen(data, 40, 2).frames == digests(data[:80], 40)
    assert seen(data[:39], 40, 1).frames == ()
    assert seen(data[:44], 40, 1).frames == ()


@pytest.mark.parametrize(("frame", "frames"), [(None, 3), (0, 3), (40, 0)])
def test_without_a_size_there_are_no_frames(frame: int | None, frames: int) -> None:
    assert seen(bytes(120), frame, frames).frames == ()


def test_without_digests_nothing_is_made() -> None:
    assert seen(bytes(120), 40, 3, digest=False).frames == ()


def test_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of one byte each cannot fill the memory."""
    monkeypatch.setattr(pixels, "MOST_FRAMES", 10)
    assert len(seen(bytes(5000), 1, 5000).frames) == 10


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
def test_frames_of_a_capture(tmp_path: Path, syntax: str) -> None:
    """Rows, columns, samples and Number of Frames of the object cut its pixels."""
    lab = Lab()
    MX1(lab).store(PACS, Scan(PERSONS["default"]), [Picture("clip", syntax, rows=5, columns=7)])
    found = bench.witness.read(lab.write(tmp_path / "a.pcapng"), digest=True)
    sent = next(m.dataset for a in found.associations for m in a.messages if m.name == "C-STORE-RQ")
    assert sent is not None
    assert sent.pixels is not None
    assert len(sent.pixels.frames) == sent.number("NumberOfFrames")
    assert sent.pixels.length >= len(sent.pixels.frames) * 35


def test_compressed_frames_have_none(tmp_path: Path) -> None:
    lab = Lab()
    MX1(lab).store(PACS, Scan(PERSONS["default"]), [Picture("clip", JPEG_BASELINE)])
    found = bench.witness.read(lab.write(tmp_path / "a.pcapng"), digest=True)
    sent = next(m.dataset for a in found.associations for m in a.messages if m.name == "C-STORE-RQ")
    assert sent is not None
    assert sent.pixels is not None
    assert sent.pixels.frames == ()
