"""Laws of both OpenIGTLink readers, the front end's and the console's: whatever comes, in whatever pieces.

* How a stream is cut decides nothing: the same messages, refusals and end, in the same order.
* Right checksums around wrong bodies, false lengths, extended headers and metadata of any size: refused, never more.
* Of what both know, both read the same.
* No more is kept than one body and one piece; what is promised and not sent costs at most one body.
"""

from __future__ import annotations

import struct
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modality.ultrasound import igtl as console
from simulators.ultrasound import crc, igtl

BODY = 4096
"""Longest body of both readers here."""
u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
types = st.sampled_from(
    [b"IMAGE", b"STRING", b"STATUS", b"RTS_COMMAND", b"COMMAND", b"TRANSFORM", b"?", b"\xff"]
)


@st.composite
def images(draw: st.DrawFn) -> bytes:
    """Body of an IMAGE: right, or with one thing wrong."""
    columns, rows, components = (
        draw(st.integers(1, 6)),
        draw(st.integers(1, 6)),
        draw(st.sampled_from([1, 3])),
    )
    values = {"components": components, "scalar": 3, "order": 2, "slices": 1, "at": 0, "part": columns}
    count = columns * rows * components
    match draw(st.sampled_from(["", "", "", "value", "pixels"])):
        case "value":
            name = draw(st.sampled_from(sorted(values)))
            values[name] = draw(st.integers(0, 0xFF if name in ("components", "scalar", "order") else 0xFFFF))
        case "pixels":
            count = draw(st.integers(0, 150))
    v = values
    size = (columns, rows, v["slices"])
    matrix = [draw(st.floats(width=32))] * 12
    numbers = (*size, *matrix, v["at"], 0, 0, v["part"], rows, v["slices"])
    head = igtl.IMAGE.pack(1, v["components"], v["scalar"], v["order"], 1, *numbers)
    return head + draw(st.binary(min_size=count, max_size=count))


words = st.binary(max_size=9)
lengths = st.sampled_from([None, None, None, 0, 1, 10, 0xFFFF])


def counted(head: str, *first: Any) -> Any:
    """A text behind its encoding and a length that is mostly right."""

    def build(encoding: int, length: int | None, text: bytes) -> bytes:
        return struct.pack(head, *first, encoding, len(text) if length is None else length) + text

    return st.builds(build, st.sampled_from([3, 106, 0]), lengths, words)


matching = st.one_of(
    st.tuples(st.just(b"IMAGE"), images()),
    st.tuples(st.just(b"IMAGE"), images()),
    st.tuples(st.just(b"STRING"), counted(">HH")),
    st.tuples(st.sampled_from([b"COMMAND", b"RTS_COMMAND"]), counted(">I128sHI", 7, b"Set")),
    st.tuples(
        st.just(b"STATUS"), st.builds(lambda c, n, t: struct.pack(">Hq20s", c, 0, n) + t, u16, words, words)
    ),
)
"""A type and a body that is one of it, or nearly."""
strange = st.tuples(types, st.binary(max_size=150))


@st.composite
def framed(draw: st.DrawFn) -> bytes:
    """A header that gets past the first look: mostly right checksum and length, some version, perhaps metadata."""
    version, (type_, body) = draw(st.sampled_from([1, 2, 2, 3])), draw(st.one_of(matching, matching, strange))
    if version >= 2:
        entries = draw(st.lists(st.tuples(words, words), max_size=3))
        flaw = draw(st.sampled_from(["", "", "", "count", "length", "own", "sizes"]))
        count = draw(u16) if flaw == "count" else len(entries)
        index = struct.pack(">H", count)
        for key, value in entries:
            length = draw(u32) if flaw == "length" else len(value)
            index += struct.pack(">HHI", len(key), draw(st.sampled_from([3, 106, 0])), length)
        text = b"".join(key + value for key, value in entries)
        own = draw(u16) if flaw == "own" else draw(st.sampled_from([12, 12, 16]))
        sizes = draw(st.tuples(u16, u32)) if flaw == "sizes" else (len(index), len(text))
        longer = bytes(4) if own == 16 else b""
        body = struct.pack(">HHII", own, *sizes, draw(u32)) + longer + body + index + text
    check = crc.crc64(body) ^ draw(st.sampled_from([0] * 9 + [1]))
    size = draw(st.sampled_from([len(body)] * 20 + [BODY + 1, 1 << 32, (1 << 64) - 1]))
    head = (version, type_, draw(st.binary(max_size=20)), draw(u32), draw(u32), size, check)
    return igtl.HEADER.pack(*head) + body


streams = st.lists(st.one_of(framed(), framed(), framed(), st.binary(max_size=80)), max_size=5).map(b"".join)
places = st.lists(u16, max_size=12)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """Bytes in pieces."""
    marks = [0, *sorted(p % (len(data) + 1) for p in at), len(data)]
    return [data[a:b] for a, b in pairwise(marks)]


def by_simulator(parts: list[bytes]) -> list[Any]:
    """Everything that the front end's reader makes of it."""
    decoder, found = igtl.Decoder(igtl.Limits(body=BODY)), []
    for part in parts:
        decoder.receive(part)
        try:
            while (got := decoder.next()) is not None:
                found.append(got)
        except igtl.ProtocolError as error:
            return [*found, str(error)]
        assert decoder.buffered < igtl.HEADER.size + BODY + len(part)
    return [*found, decoder.buffered]


def by_console(parts: list[bytes]) -> list[Any]:
    """Everything that the console's reader makes of it."""
    decoder, found = console.Decoder(limit=BODY), []
    for part in parts:
        try:
            for got in decoder.feed(part):
                found.append(got)
                assert isinstance(got, console.Message | console.Refused)
        except console.StreamError as error:
            return [*found, str(error)]
        assert 0 < len(decoder.target()) <= BODY
    return [*found, decoder.between]


def plain(got: Any) -> Any:
    """A message of the console's that can be compared."""
    if isinstance(got, console.Message):
        content: Any = got.content
        if isinstance(content, console.Picture):
            content = (content.pixels.shape, content.pixels.tobytes(), repr(content.matrix))
        return (content, got.type, got.device, got.timestamp_ns, got.version, got.number, dict(got.metadata))
    return got


@given(streams, places)
@settings(max_examples=120, deadline=None)
def test_how_a_stream_is_cut_decides_nothing(data: bytes, at: list[int]) -> None:
    """Whole, in pieces and byte by byte."""
    for parts in (cut(data, at), [data[i : i + 1] for i in range(len(data))]):
        assert repr(by_simulator(parts)) == repr(by_simulator([data]))
        assert [plain(g) for g in by_console(parts)] == [plain(g) for g in by_console([data])]


@given(streams)
@settings(max_examples=120, deadline=None)
def test_both_read_the_same(data: bytes) -> None:
    """Message for message: what both can read is equal, and both stop at the same place."""
    ours, theirs = by_simulator([data]), by_console([data])
    assert len(ours) == len(theirs)
    assert isinstance(ours.pop(), str) == isinstance(theirs.pop(), str)
    for a, b in zip(ours, theirs, strict=True):
        spoiled = isinstance(a, igtl.Spoiled) and a.reason.startswith("CRC")
        assert spoiled == (isinstance(b, console.Refused) and b.spoiled)
        if not isinstance(b, console.Message) or not isinstance(a, igtl.Message):
            continue  # one of them is stricter
        assert (a.device, a.timestamp_ns, a.version, a.number) == (
            b.device,
            b.timestamp_ns,
            b.version,
            b.number,
        )
        if isinstance(b.content, console.Picture):
            assert isinstance(a.body, igtl.Image)
            assert (b.content.pixels.tobytes(), repr(b.content.matrix)) == (
                a.body.pixels,
                repr(a.body.matrix),
            )
            rows, columns = b.content.pixels.shape[:2]
            assert a.body.size == (columns, rows, 1)
        elif isinstance(b.content, console.Text):
            assert a.body == igtl.Text(b.content.text)
        elif isinstance(b.content, console.Status):
            assert isinstance(a.body, igtl.Status)
            assert (a.body.code, a.body.name, a.body.text) == (b.content.code, b.content.name, b.content.text)
        elif isinstance(b.content, console.Answer):
            assert a.body == igtl.Command(b.content.number, b.content.name, b.content.text, True)


@pytest.mark.parametrize("size", [BODY, BODY + 1, 1 << 31, 1 << 40, 1 << 63, (1 << 64) - 1])
def test_a_promise_costs_at_most_one_body(size: int) -> None:
    """A length is no reason to ask for memory, however large."""
    header = igtl.HEADER.pack(2, b"IMAGE", b"x", 0, 0, size, 0)
    for read in (by_simulator, by_console):
        read([header])  # whatever is loaded once is loaded now
        tracemalloc.start()
        try:
            ended = isinstance(read([header, b"x" * 100])[-1], str)
            assert tracemalloc.get_traced_memory()[1] < 8 * BODY
        finally:
            tracemalloc.stop()
        assert ended == (size > BODY)


def test_the_console_takes_the_largest_picture_and_promises_of_16_mb_and_no_more() -> None:
    """The limit that is really set."""
    for size, good in ((16 << 20, True), ((16 << 20) + 1, False)):
        decoder = console.Decoder()
        header = igtl.HEADER.pack(1, b"IMAGE", b"x", 0, 0, size, 0)
        if good:
            assert list(decoder.feed(header)) == []
            assert len(decoder.target()) == size
        else:
            with pytest.raises(console.StreamError, match="too long"):
                list(decoder.feed(header))


def extended(own: int, index: int, values: int, content: bytes) -> bytes:
    """A message of version 2 that says so of its extended header, with a right checksum."""
    body = struct.pack(">HHII", own, index, values, 1) + content
    return igtl.HEADER.pack(2, b"STRING", b"UsSettings", 0, 0, len(body), crc.crc64(body)) + body


TEXT = struct.pack(">HH", 3, 4) + b"good"
ENTRY = struct.pack(">HHHI", 1, 1, 3, 5) + b"kv"


@pytest.mark.parametrize(
    "raw",
    [
        extended(0, 0, 0, TEXT),
        extended(11, 0, 0, b"\0" + TEXT),
        extended(8, 0, 0, struct.pack(">HH", 3, 2) + TEXT),
        extended(60, 0, 0, TEXT),
        extended(12, 65535, 0, TEXT),
        extended(12, 2, (1 << 32) - 1, TEXT + b"\0\0"),
        extended(12, 2, 0, TEXT + b"\0\1"),  # one entry, and no room for it
        extended(12, 2, 0, TEXT + b"\xff\xff"),
        extended(12, 10, 2, TEXT + ENTRY),  # a value of five bytes of which one is there
        extended(12, 0, 0, struct.pack(">HH", 3, 5) + b"good"),
    ],
)
def test_what_does_not_fit_is_refused_by_both_and_the_next_is_read(raw: bytes) -> None:
    """Not read from a wrong place, not cut, not filled up."""
    good = extended(12, 0, 0, TEXT)
    ours, theirs = by_simulator([raw + good]), by_console([raw + good])
    assert isinstance(ours[0], igtl.Spoiled)
    assert isinstance(theirs[0], console.Refused)
    assert not theirs[0].spoiled
    assert ours[1].body == igtl.Text("good")
    assert theirs[1].content == console.Text("good")
