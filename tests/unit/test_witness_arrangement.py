"""How the samples of a colour picture lie is seen in its grey pixels, in whatever pieces the picture comes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bench.witness.arrangement import Greys, Probe
from bench.witness.pixels import Fragments, Layout, Native

ROWS, COLUMNS = 96, 128
COUNT = ROWS * COLUMNS
SHADES = bytes(0 if n % COLUMNS < 20 else random.Random(n).randrange(20, 250) for n in range(COUNT))


def by_pixel(shades: bytes) -> bytes:
    return bytes(shade for shade in shades for _ in range(3))


def by_plane(shades: bytes) -> bytes:
    return shades * 3


def exchanged(shades: bytes) -> bytes:
    data = by_pixel(shades)
    return b"".join(data[n + 1 : n + 2] + data[n : n + 1] for n in range(0, len(data), 2))


def seen(data: bytes, pixels: int = COUNT, piece: int = 4096) -> Greys | None:
    probe = Probe(pixels)
    for at in range(0, len(data), piece):
        probe.feed(memoryview(data)[at : at + piece])
    return probe.finish()


@pytest.mark.parametrize("piece", [1, 7, 1019, 16_378, 1_000_000])
@pytest.mark.parametrize(
    ("lay", "told"), [(by_pixel, "pixels"), (by_plane, "planes"), (exchanged, "swapped")]
)
def test_each_arrangement_is_told_in_any_pieces(lay: Callable[[bytes], bytes], told: str, piece: int) -> None:
    greys = seen(lay(SHADES), piece=piece)
    assert greys is not None
    assert [name for name in ("pixels", "planes", "swapped") if getattr(greys, name)] == [told]


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (bytes(3 * COUNT), COUNT),  # background only
        (by_pixel(SHADES)[:5000], COUNT),  # cut off
        (b"", 0),
        (bytes(range(9)), 3),
        (by_pixel(SHADES), 65535 * 65535),  # an announced size that never comes
    ],
)
def test_too_little_says_nothing(data: bytes, pixels: int) -> None:
    assert seen(data, pixels) is None


def test_true_colour_is_no_arrangement() -> None:
    """A picture without grey pixels fits none of the three."""
    greys = seen(random.Random(5).randbytes(3 * COUNT))
    assert greys is not None
    assert [greys.pixels, greys.planes, greys.swapped] == [False] * 3


def test_equal_pixels_have_an_equal_checksum_in_any_pieces() -> None:
    data = by_pixel(SHADES)

    def native(piece: int, given: bytes = data) -> int:
        sink = Native(Layout(8, 8, 7, False, 3 * COUNT, False, COUNT))
        for at in range(0, len(given), piece):
            sink.feed(memoryview(given)[at : at + piece])
        return sink.finish().crc

    assert native(1000) == native(16_378)
    changed = bytearray(data)
    changed[30_000] ^= 1
    assert native(1000, bytes(changed)) != native(1000)


def test_a_stream_ends_with_its_marker_and_padding() -> None:
    """Of three fragments the one without EOI is not counted; zeros behind the marker are padding."""
    sink = Fragments()
    sink.begin(0)
    for body in (b"\xff\xd8..\xff\xd9", b"\xff\xd8....", b"\xff\xd8.\xff\xd9\0\0\0"):
        sink.begin(len(body))
        for byte in body:
            sink.feed(memoryview(bytes((byte,))))
    assert sink.finish().eoi == 2
