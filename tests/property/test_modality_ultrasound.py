"""Laws of the ultrasound acquisition: any bytes are survived, what is written is read, clips are never mixed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from modality.ultrasound import Frame, Settings
from modality.ultrasound import crc as own
from modality.ultrasound.cine import Cine, Recording, make_clip
from modality.ultrasound.geometry import read_settings
from modality.ultrasound.igtl import Decoder, Message, Picture, Refused, StreamError, write_command
from modality.ultrasound.lettering import drawable
from modality.ultrasound.reader import MAX_CODE, CodeReader
from modality.ultrasound.rfc2217 import MAX_OPTION, ModemLines
from simulators.ultrasound import igtl as peer

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.binary(max_size=40_000))
@settings(max_examples=60, deadline=None)
def test_the_checksum_is_that_of_the_front_end(data: bytes) -> None:
    assert own.crc64(data) == own.crc64_numpy(data) == own.crc64_bytes(data)


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([1, 3]),
    st.integers(1, 3),
    st.dictionaries(words, words, max_size=4),
    st.integers(0, 2**62),
    st.lists(st.integers(0, 400), max_size=6),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_what_a_front_end_writes_is_read_in_any_pieces(
    columns: int,
    rows: int,
    components: int,
    version: int,
    meta: dict[str, str],
    t: int,
    cuts: list[int],
    rng: object,
) -> None:
    pixels = bytes(rng.randrange(256) for _ in range(columns * rows * components))  # type: ignore[attr-defined]
    image = peer.Image((columns, rows, 1), pixels, (0.5,) + (0.0,) * 11, components)
    t %= 2**32 * 1_000_000_000
    data = peer.encode(peer.Message(image, "Image_Probe", t, version, 7, meta)) * 2
    decoder = Decoder()
    got: list[Message | Refused] = []
    marks = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    for a, b in pairwise(marks):
        got += decoder.feed(data[a:b])
    assert len(got) == 2
    assert decoder.between
    for message in got:
        assert isinstance(message, Message)
        assert isinstance(message.content, Picture)
        assert message.content.pixels.tobytes() == pixels
        assert abs(message.timestamp_ns - t) <= 1
        if version >= 2:
            assert (message.number, dict(message.metadata)) == (7, meta)


@given(st.integers(1, 2**32 - 1), words, st.integers(0, 2**61))
@settings(max_examples=50, deadline=None)
def test_what_is_asked_is_understood_by_the_front_end(number: int, text: str, t: int) -> None:
    decoder = peer.Decoder()
    decoder.receive(write_command("UsSet", number, "Set", text, t))
    got = decoder.next()
    assert isinstance(got, peer.Message)
    assert got.body == peer.Command(number, "Set", text)


@given(st.binary(max_size=400), st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_survived(head: bytes, tail: bytes) -> None:
    for data in (head, b"\0\1IMAGE" + bytes(7) + head, b"\0\2STRING" + bytes(46) + b"\0" * 4 + tail):
        decoder = Decoder(limit=10_000)
        try:
            for got in decoder.feed(data):
                assert isinstance(got, Message | Refused)
        except StreamError:
            pass
    lines = ModemLines()
    try:
        lines.feed(head + tail)
    except ValueError:
        pass
    assert len(lines._option) <= MAX_OPTION
    codes = CodeReader()
    for text, _ in codes.feed(head + tail):
        assert text.strip()
    assert len(codes._buffer) <= MAX_CODE


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(json_like, json_like, st.text(max_size=50))
@settings(max_examples=150, deadline=None)
def test_settings_are_settings_or_a_value_error(knobs: object, regions: object, text: str) -> None:
    import json

    geometry = {"width": 64, "height": 48, "components": 1, "spacing_mm": 0.4, "regions": regions}
    good = {"depth": 1.0, "gain": 0.0, "dynamic_range": 60, "freeze": False, "probe": "p", "mode": "B"}
    top = {"model": "m", "serial": "s", "fps": 30, "number": 1}
    assert read_settings(json.dumps({**top, "knobs": good, "geometry": geometry}))[0].regions == ()
    for said in (text, json.dumps(knobs), json.dumps({**top, "knobs": knobs, "geometry": geometry})):
        try:
            read_settings(said)
        except ValueError:
            pass


steps = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([5, 5, 5, 7]), st.sampled_from([1, 1, 1, 2])), max_size=40
)


@given(steps, st.integers(1, 12), st.booleans(), st.integers(1, 12), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_no_clip_is_ever_mixed_or_too_long(
    way: list[tuple[int, int, int]], length: int, span: bool, most: int, limit: int
) -> None:
    cine = Cine(most, limit)
    live = Recording(None, length) if span else Recording(length, None)
    number = 0
    for step, size, connection in way:
        number += step
        frame = Frame(np.zeros((1, size), np.uint8), number, 0.0, Settings(), 0, connection)
        cine.add(frame)
        live.add(frame)
        assert len(cine) <= most
        assert cine.bytes <= limit or len(cine) == 1
    clips = [live.frames]
    if cine.newest is not None:
        clips.append(
            list(cine.run(cine.newest, Recording(None, length) if span else Recording(length, None))[0])
        )
        assert clips[1]
    for frames in clips:
        if not frames:
            continue
        clip = make_clip(frames, "whole")
        assert all(f.like(frames[0]) for f in frames)
        assert [f.sequence for f in frames] == sorted({f.sequence for f in frames})
        assert (clip.last - clip.first + 1 if span else len(frames)) <= length
        assert len(frames) + clip.missing == clip.last - clip.first + 1


@given(words)
def test_only_signs_that_the_font_has_are_drawn(text: str) -> None:
    assert drawable(text, lambda sign: sign.isascii() and sign.isprintable()).isascii()
