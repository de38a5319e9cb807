"""Bytes of the ultrasound's lines: checksum, messages, modem lines, barcodes, and what cannot be true."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from modality.ultrasound import crc, igtl
from modality.ultrasound.contacts import BOUNCE_S, Edges
from modality.ultrasound.reader import MAX_CODE, CodeReader
from modality.ultrasound.rfc2217 import CTS, DSR, ModemLines


def definition(data: bytes) -> int:
    """Bit by bit, as ECMA-182 has it."""
    value = 0
    for byte in data:
        value ^= byte << 56
        for _ in range(8):
            value = (value << 1) ^ (0x142F0E1EBA9EA3693 if value >> 63 else 0)
    return value


def test_the_checksum_is_that_of_the_catalogue() -> None:
    assert definition(b"123456789") == crc.crc64(b"123456789") == crc.CHECK


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 16383, 16384, 16391, 40001, 65536, 300_007])
def test_all_ways_to_the_checksum_agree(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    wanted = definition(data) if size < 50_000 else crc.crc64_bytes(data)
    assert crc.crc64_bytes(data) == crc.crc64(data) == crc.crc64(memoryview(data)) == wanted
    assert crc.crc64_numpy(data) == wanted
    if crc.crc64_library is not None:
        assert crc.crc64_library(bytearray(data)) == wanted
    cut = size // 3
    assert crc.crc64_bytes(data[cut:], crc.crc64_bytes(data[:cut])) == wanted


def message(type_: str, body: bytes, *, version: int = 1, device: str = "d", spoil: int = 0) -> bytes:
    return (
        struct.pack(
            ">H12s20sIIQQ",
            version,
            type_.encode(),
            device.encode(),
            7,
            1 << 31,
            len(body),
            crc.crc64(body) ^ spoil,
        )
        + body
    )


def picture(columns: int = 4, rows: int = 3, components: int = 1, **other: object) -> bytes:
    values = {
        "scalar": 3,
        "slices": 1,
        "offset": (0, 0, 0),
        "part": (columns, rows, 1),
        "matrix": (0.5,) + (0.0,) * 3 + (0.25,) + (0.0,) * 7,
    }
    values.update(other)
    size = (columns, rows, values["slices"])
    head = struct.pack(
        ">HBBBB3H12f6H",
        1,
        components,
        values["scalar"],
        2,
        2,
        *size,
        *values["matrix"],
        *values["offset"],
        *values["part"],
    )  # type: ignore[misc]
    return head + bytes(i % 251 for i in range(columns * rows * components))


def extended(body: bytes, entries: dict[str, str], number: int = 9, own: int = 12) -> bytes:
    index, text = struct.pack(">H", len(entries)), b""
    for key, value in entries.items():
        index += struct.pack(">HHI", len(key.encode()), 106, len(value.encode()))
        text += key.encode() + value.encode()
    head = struct.pack(">HHII", own, len(index), len(text), number) + bytes(own - 12)
    return head + body + index + text


def one(data: bytes) -> igtl.Message | igtl.Refused:
    (got,) = igtl.Decoder().feed(data)
    return got


def test_a_picture_is_read_where_it_was_received() -> None:
    got = one(message("IMAGE", picture(components=3), device="Image_Probe"))
    assert isinstance(got, igtl.Message)
    assert isinstance(got.content, igtl.Picture)
    assert (got.type, got.device, got.version, got.timestamp_ns) == ("IMAGE", "Image_Probe", 1, 7_500_000_000)
    assert got.content.pixels.shape == (3, 4, 3)
    assert got.content.pixels.tobytes() == bytes(range(36))
    assert got.content.spacing == (0.5, 0.25)
    assert not got.content.pixels.flags.owndata
    assert not got.content.pixels.flags.writeable


@pytest.mark.parametrize("own", [12, 20])
def test_an_extended_header_and_metadata_are_read(own: int) -> None:
    got = one(message("IMAGE", extended(picture(), {"sequence": "41", "名": "値"}, own=own), version=2))
    assert isinstance(got, igtl.Message)
    assert (got.number, dict(got.metadata)) == (9, {"sequence": "41", "名": "値"})
    assert isinstance(got.content, igtl.Picture)
    assert got.content.pixels.tobytes() == bytes(range(12))


def test_versions_may_change_from_message_to_message() -> None:
    data = b"".join(
        message("IMAGE", extended(picture(), {}) if v >= 2 else picture(), version=v) for v in (1, 3, 2, 1)
    )
    assert [m.version for m in igtl.Decoder().feed(data) if isinstance(m, igtl.Message)] == [1, 3, 2, 1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        picture()[:-1],
        picture() + b"x",
        picture(scalar=5),
        picture(components=2),
        picture(slices=2),
        picture(columns=0),
        picture(offset=(1, 0, 0)),
        picture(part=(2, 3, 1)),
    ],
)
def test_a_picture_that_is_not_what_it_says_costs_one_message(body: bytes) -> None:
    decoder = igtl.Decoder()
    bad, good = decoder.feed(message("IMAGE", body) + message("IMAGE", picture()))
    assert isinstance(bad, igtl.Refused)
    assert (bad.type, bad.spoiled) == ("IMAGE", False)
    assert isinstance(good, igtl.Message)


@pytest.mark.parametrize("flaw", ["checksum", "metadata", "own", "entries"])
def test_other_flaws_cost_one_message(flaw: str) -> None:
    body = extended(picture(), {"a": "b"})
    if flaw == "metadata":
        body = body[:2] + struct.pack(">HI", 1000, 4000) + body[8:]
    elif flaw == "own":
        body = b"\0\4" + body[2:]
    elif flaw == "entries":
        body = extended(picture(), {str(i): "" for i in range(300)})
    data = message("IMAGE", body, version=2, spoil=flaw == "checksum")
    bad, good = igtl.Decoder().feed(data + message("STATUS", struct.pack(">Hq20s", 1, 0, b"") + b"fine\0"))
    assert isinstance(bad, igtl.Refused)
    assert bad.spoiled == (flaw == "checksum")
    assert isinstance(good, igtl.Message)
    assert good.content == igtl.Status(1, "", "fine")


@pytest.mark.parametrize(
    "header", [b"HTTP/1.1 400 Bad Request\r\n" * 3, message("IMAGE", b"", version=4), b"\0" * 58]
)
def test_what_is_no_openigtlink_ends_the_stream(header: bytes) -> None:
    with pytest.raises(igtl.StreamError):
        list(igtl.Decoder().feed(header))


def test_a_body_beyond_the_limit_ends_the_stream_before_it_is_stored() -> None:
    header = struct.pack(">H12s20sIIQQ", 1, b"IMAGE", b"", 0, 0, 1 << 60, 0)
    with pytest.raises(igtl.StreamError, match="too long"):
        list(igtl.Decoder().feed(header))


def test_texts_answers_and_strangers() -> None:
    text = one(message("STRING", struct.pack(">HH", 106, 6) + "深さ".encode()))
    assert isinstance(text, igtl.Message)
    assert text.content == igtl.Text("深さ")
    answer = one(message("RTS_COMMAND", struct.pack(">I128sHI", 5, b"Set", 3, 2) + b"{}"))
    assert isinstance(answer, igtl.Message)
    assert answer.content == igtl.Answer(5, "Set", "{}")
    assert isinstance(one(message("STRING", struct.pack(">HH", 3, 50) + b"short")), igtl.Refused)
    stranger = one(message("TRANSFORM", bytes(48)))
    assert isinstance(stranger, igtl.Message)
    assert stranger.content == igtl.Other()


# -------------------------------------------------------------------------------- modem lines


def told(state: int) -> bytes:
    return bytes(
        [255, 250, 44, 107, *([255] * (2 if state == 255 else 1) if state == 255 else [state]), 255, 240]
    )


def test_every_notification_is_handed_out() -> None:
    lines = ModemLines()
    stream = b"data" + bytes([255, 251, 44]) + told(0x80) + told(0x90) + b"\xff\xff" + told(0x80) + told(255)
    for cut in range(len(stream)):
        lines = ModemLines()
        assert lines.feed(stream[:cut]) + lines.feed(stream[cut:]) == [0x80, 0x90, 0x80, 255]
    assert bytes(lines.outgoing).endswith(bytes([255, 250, 44, 11, 255, 255, 255, 240]))
    assert lines.outgoing.count(bytes([255, 250, 44, 11])) == 1


def test_options_that_are_not_ours_are_refused() -> None:
    lines = ModemLines()
    lines.outgoing.clear()
    assert lines.feed(bytes([255, 251, 1, 255, 253, 3, 255, 252, 9])) == []
    assert bytes(lines.outgoing) == bytes([255, 254, 1, 255, 252, 3])


@pytest.mark.parametrize("data", [bytes([255, 254, 44]), bytes([255, 250]) + bytes(100)])
def test_a_line_without_modem_lines_is_none(data: bytes) -> None:
    with pytest.raises(ValueError):
        ModemLines().feed(data)


def test_contacts_that_bounce_are_pressed_once() -> None:
    edges = Edges()
    assert edges.feed(DSR, 0.0) == []  # closed from the beginning
    assert edges.feed(DSR | CTS, 1.0) == [("footswitch", True)]
    assert edges.feed(DSR, 1.0 + BOUNCE_S / 4) == [("footswitch", False)]
    assert edges.feed(DSR | CTS, 1.0 + BOUNCE_S / 2) == []
    assert edges.feed(0, 1.5) == [("freeze", False)]
    assert edges.feed(CTS, 2.0) == [("footswitch", True)]
    assert edges.feed(DSR, 2.5) == [("footswitch", False), ("freeze", True)]


# -------------------------------------------------------------------------------- barcodes


def test_codes_in_any_pieces() -> None:
    data = b"PAT-1\r\n\r\n]C1010491\rlast\n" + "山田".encode("shift_jis") + b"\r"
    wanted = [("PAT-1", ""), ("010491", "]C1"), ("last", ""), ("山田", "")]
    for cut in range(len(data)):
        reader = CodeReader()
        assert reader.feed(data[:cut]) + reader.feed(data[cut:]) == wanted


def test_codes_that_cannot_be_are_not_taken() -> None:
    reader = CodeReader()
    assert reader.feed(b"x" * (MAX_CODE + 5) + b"\r" + b"\xff\xfe\x80\r" + b"]C1\r" + b"ok\r") == [("ok", "")]
    assert reader.spoiled == 3
    assert reader.feed(b"y" * (MAX_CODE * 50)) == []
    assert len(reader._buffer) == MAX_CODE


def test_the_same_sum_is_not_another_crc() -> None:
    """Guards the oracle above: it is 64 bits wide and no CRC-32."""
    assert definition(b"abc") != zlib.crc32(b"abc")
