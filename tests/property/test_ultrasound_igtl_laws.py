"""OpenIGTLink codec: what was said is understood, in any pieces; any bytes are survived within bounds."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.ultrasound import crc
from simulators.ultrasound.igtl import (
    HEADER,
    SCALAR_BYTES,
    Command,
    Decoder,
    Image,
    Limits,
    Message,
    Other,
    ProtocolError,
    Spoiled,
    Status,
    Text,
    Transform,
    encode,
    pieces,
)

f32 = st.floats(width=32, allow_nan=False)
u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
matrices = st.tuples(*[f32] * 12)


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Small images of every scalar type, whole or part of a larger one."""
    part = draw(st.tuples(*[st.integers(0, 5)] * 3))
    offset = draw(st.tuples(*[st.integers(0, 3)] * 3))
    rest = draw(st.tuples(*[st.integers(0, 3)] * 3))
    size = tuple(p + o + r for p, o, r in zip(part, offset, rest, strict=True))
    components, scalar = draw(st.integers(1, 4)), draw(st.sampled_from(sorted(SCALAR_BYTES)))
    length = part[0] * part[1] * part[2] * components * SCALAR_BYTES[scalar]
    pixels = draw(st.binary(min_size=1, max_size=8)) * length
    return Image(
        size,  # type: ignore[arg-type]
        pixels[:length],
        draw(matrices),
        components,
        scalar,
        draw(st.booleans()),
        draw(st.sampled_from([1, 2])),
        offset,
        None if part == size else part,
    )


bodies = st.one_of(
    images(),
    st.builds(Transform, matrices),
    st.builds(Status, u16, st.integers(-(1 << 63), (1 << 63) - 1), names, words),
    st.builds(Text, words),
    st.builds(Command, u32, names, words, st.booleans()),
    st.builds(Other, st.sampled_from(["GET_STATUS", "CAPABILITY", "X"]), st.binary(max_size=50)),
)
messages = st.builds(
    Message,
    bodies,
    names,
    st.integers(0, (1 << 62)).map(lambda n: n % (1 << 32) * 1_000_000_000),
    st.integers(1, 3),
    u32,
    st.dictionaries(words, words, max_size=3),
).map(lambda m: m if m.version >= 2 else Message(m.body, m.device, m.timestamp_ns, 1))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Bytes in pieces."""
    at = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in pairwise(at)]


def read(decoder: Decoder, parts: list[bytes]) -> list[Message | Spoiled]:
    """Everything that comes out."""
    found = []
    for part in parts:
        decoder.receive(part)
        while (got := decoder.next()) is not None:
            found.append(got)
    return found


@given(st.lists(messages, max_size=4), st.lists(u16, max_size=12))
@settings(max_examples=150, deadline=None)
def test_what_was_said_is_understood_in_any_pieces(sent: list[Message], places: list[int]) -> None:
    """Encode, cut anywhere, decode: the same messages and nothing left over."""
    decoder = Decoder()
    assert read(decoder, cut(b"".join(encode(m) for m in sent), places)) == sent
    assert decoder.buffered == 0


@given(messages, messages, st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_bit_of_a_body_costs_that_message_only(a: Message, b: Message, data: st.DataObject) -> None:
    """CRC-64 sees every single bit; the next message is read as if nothing had been."""
    raw = bytearray(encode(a))
    if len(raw) == HEADER.size:
        return
    bit = data.draw(st.integers(HEADER.size * 8, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    first, second = read(Decoder(), [bytes(raw) + encode(b)])
    assert isinstance(first, Spoiled)
    assert first.reason.startswith("CRC")
    assert second == b


@given(messages)
@settings(max_examples=30, deadline=None)
def test_a_spoiled_crc_is_seen(message: Message) -> None:
    """What the fault does is what a receiver notices."""
    (got,) = read(Decoder(), [b"".join(pieces(message, spoil=True))])
    assert isinstance(got, Spoiled)


types = st.sampled_from(
    [b"IMAGE", b"TRANSFORM", b"STATUS", b"STRING", b"COMMAND", b"RTS_COMMAND", b"\xff\xfe"]
)


@st.composite
def framed(draw: st.DrawFn) -> bytes:
    """A right header and CRC around anything: these bytes get past the first checks."""
    body = draw(st.binary(max_size=200))
    header = (draw(st.integers(1, 3)), draw(types), draw(st.binary(max_size=20)), draw(u32), draw(u32))
    return HEADER.pack(*header, len(body), crc.crc64(body)) + body


@given(st.lists(st.one_of(framed(), st.binary(max_size=120)), max_size=6), st.lists(u16, max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_survived(parts: list[bytes], places: list[int]) -> None:
    """Messages, spoiled messages or the end of the stream; nothing else, and memory stays bounded."""
    decoder = Decoder(Limits(body=4096))
    given_at_once = 0
    for piece in cut(b"".join(parts), places):
        given_at_once = max(given_at_once, len(piece))
        try:
            read(decoder, [piece])
        except ProtocolError:
            return
        assert decoder.buffered < HEADER.size + 4096 + given_at_once


@given(st.binary(max_size=9000), st.integers(0, 9000), st.integers(0, (1 << 64) - 1))
@settings(max_examples=60, deadline=None)
def test_three_ways_to_the_same_crc(data: bytes, at: int, before: int) -> None:
    """Bytewise, numpy and liblzma agree, also when they go on from something."""
    data, at = data * 5, at % (5 * len(data) + 1)
    right = crc.crc64_bytes(data, before)
    assert crc.crc64_numpy(data, before) == right
    assert crc.crc64_numpy(data[at:], crc.crc64_numpy(data[:at], before)) == right
    assert crc.crc64(data[at:], crc.crc64(data[:at], before)) == right


def test_check_value_of_the_catalogue() -> None:
    """CRC-64/ECMA-182 of the nine digits."""
    assert crc.crc64_bytes(b"123456789") == crc.CHECK
    assert crc.crc64(b"") == 0


def test_no_openigtlink_and_too_long_a_body_end_the_stream() -> None:
    """Neither can be skipped safely."""
    for header in (b"GET / HTTP/1.1\r\n".ljust(58), HEADER.pack(1, b"IMAGE", b"", 0, 0, 1 << 62, 0)):
        decoder = Decoder()
        decoder.receive(header)
        with pytest.raises(ProtocolError):
            decoder.next()


@pytest.mark.parametrize(
    "message",
    [
        Message(Text("x" * 70_000)),
        Message(Other("A_TYPE_TOO_LONG")),
        Message(Text(""), "a device name too long"),
        Message(Image((2, 2, 1), b"123", (0.0,) * 12)),
        Message(Image((70_000, 1, 1), b"1" * 70_000, (0.0,) * 12)),
        Message(Transform((0.0,) * 11)),
    ],
)
def test_what_the_format_cannot_say_is_refused(message: Message) -> None:
    """An error and no wrong bytes."""
    with pytest.raises(ValueError):
        encode(message)


def test_a_header_as_it_is_printed_in_the_protocol() -> None:
    """Field by field: version, type, name, time, size; then one of the smallest bodies."""
    raw = encode(Message(Status(1, 2, "E", "t"), "Dev", 3_500_000_000))
    body = struct.pack(">Hq", 1, 2) + b"E" + bytes(19) + b"t\0"
    head = b"\0\1" + b"STATUS".ljust(12, b"\0") + b"Dev".ljust(20, b"\0")
    head += struct.pack(">IIQQ", 3, 1 << 31, len(body), crc.crc64_bytes(body))
    assert raw == head + body
