"""Any picture of any size in any syntax: another decoder finds the same pixels."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.encaps import generate_fragmented_frames

from modality.pixel import (
    EXPLICIT_LE,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    SYNTAXES,
    PixelError,
    Source,
    dataset_pieces,
    encode_instance,
)
from modality.pixel.elements import Element, NeedMore, Reader, write
from tests.unit import test_modality_us_objects_lab as us_objects
from tests.unit.test_modality_us_objects_lab import Truth, from_pictures

SIDES = st.integers(1, 40)


@st.composite
def truths(draw: st.DrawFn) -> tuple[str, Truth]:
    """A master of noise, and a syntax that its class has."""
    kind = draw(st.sampled_from(us_objects.ALL_KINDS))
    clip = kind.startswith("clip")
    shape = (draw(SIDES), draw(SIDES)) if kind.endswith("gray") else (draw(SIDES), draw(SIDES), 3)
    frames = draw(st.integers(1, 5)) if clip else 1
    seed = draw(st.integers(0, 2**32 - 1))
    noise = np.random.default_rng(seed).integers(0, 256, (frames, *shape), np.uint8)
    syntax = draw(st.sampled_from([s for s in SYNTAXES if not (clip and s == JPEG_LOSSLESS)]))
    return syntax, from_pictures(kind, list(noise))


def file_of(truth: Truth) -> bytes:
    return b"".join(bytes(part) for part in truth.instance.parts)


def streams_of(made: pydicom.Dataset, frames: int) -> list[bytes]:
    return [b"".join(parts) for parts in generate_fragmented_frames(made.PixelData, number_of_frames=frames)]


@settings(max_examples=200, deadline=None)
@given(truths())
def test_another_decoder_finds_the_same_pixels(made: tuple[str, Truth]) -> None:
    syntax, truth = made
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "master.dcm")
        path.write_bytes(file_of(truth))
        out = io.BytesIO()
        encode_instance(path, out, syntax)
    found = pydicom.dcmread(io.BytesIO(out.getvalue()))
    if syntax in (JPEG_BASELINE, JPEG_LOSSLESS):
        found.pixel_array_options(decoding_plugin="gdcm")  # a codec that did not write it
    frames = len(truth.pixels)
    pixels = np.asarray(found.pixel_array).reshape(truth.pixels.shape)
    if syntax != JPEG_BASELINE:
        assert np.array_equal(pixels, truth.pixels)
    elif found.SamplesPerPixel == 1:  # noise: the worst that there is for a lossy process
        assert np.mean((pixels.astype(int) - truth.pixels) ** 2) < 100
    if syntax in (JPEG_BASELINE, JPEG_LOSSLESS):
        assert len(streams_of(found, frames)) == frames


# -- the header's elements

TAGS = st.integers(0x00080000, 0x7FDFFFFF).filter(lambda tag: tag & 0xFFFF)
VALUES = {
    "LO": st.binary(max_size=12), "US": st.binary(min_size=2, max_size=2), "FD": st.binary(min_size=8, max_size=8),
    "UL": st.binary(min_size=4, max_size=8).map(lambda b: b[: len(b) // 4 * 4]),
    "OB": st.binary(max_size=70000).map(lambda b: b[: len(b) // 2 * 2]), "AT": st.binary(min_size=4, max_size=4),
}  # fmt: skip


def plain(tag: int) -> st.SearchStrategy[Element]:
    return st.sampled_from(sorted(VALUES)).flatmap(lambda vr: VALUES[vr].map(lambda v: Element(tag, vr, v)))


def in_order(elements: st.SearchStrategy[Element]) -> st.SearchStrategy[tuple[Element, ...]]:
    return st.lists(elements, max_size=4, unique_by=lambda e: e.tag).map(
        lambda found: tuple(sorted(found, key=lambda e: e.tag))
    )


DATA_SETS = in_order(
    st.recursive(
        TAGS.flatmap(plain),
        lambda inner: st.builds(
            lambda tag, items: Element(tag, "SQ", tuple(items)), TAGS, st.lists(in_order(inner), max_size=3)
        ),
        max_leaves=6,
    )
)


@settings(max_examples=150, deadline=None)
@given(DATA_SETS, st.booleans())
def test_elements_come_back(elements: tuple[Element, ...], big: bool) -> None:
    """Explicit VR in both byte orders keeps every value."""
    data = write(elements, implicit=False, big=big)
    found, stop = Reader(data, len(data), implicit=False, big=big).elements(0, len(data))
    assert tuple(found) == elements
    assert stop is None
    implicit = write(elements, implicit=True, big=False)
    read, _ = Reader(implicit, len(implicit), implicit=True, big=False).elements(0, len(implicit))
    assert [e.tag for e in read] == [e.tag for e in elements]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_garbage_is_refused_or_read(data: bytes, implicit: bool, big: bool) -> None:
    """Never another error, never endless."""
    try:
        Reader(data, len(data), implicit=implicit, big=big and not implicit).elements(0, len(data))
    except PixelError:
        pass
    with pytest.raises((PixelError, NeedMore)):
        Reader(data, len(data) + 50, implicit=implicit, big=False).elements(0, len(data) + 50)


SPOILT = arrays(np.uint8, (4, 6)).map(lambda p: file_of(from_pictures("us-gray", [p])))


@settings(max_examples=100, deadline=None)
@given(
    SPOILT,
    st.lists(st.tuples(st.integers(132, 1400), st.integers(0, 255)), min_size=1, max_size=4),
    st.booleans(),
)
def test_a_spoilt_file_is_refused_or_written(data: bytes, changes: list[tuple[int, int]], jpeg: bool) -> None:
    """Whatever bytes are wrong: a file comes out, or a PixelError."""
    spoilt = bytearray(data)
    for at, value in changes:
        spoilt[min(at, len(spoilt) - 1)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.dcm")
        path.write_bytes(bytes(spoilt))
        try:
            with Source(path) as source:
                assert source.shape.total_bytes <= len(data)
            for syntax in (EXPLICIT_LE, JPEG_BASELINE if jpeg else "1.2.840.10008.1.2"):
                with dataset_pieces(path, syntax) as pieces:
                    assert sum(map(len, pieces)) == pieces.length
        except PixelError:
            pass
