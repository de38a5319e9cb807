"""OpenIGTLink without sockets, as a console needs it: read pictures, texts and answers, write commands and questions.

Rules of this file:

* A :class:`Decoder` says where the next bytes belong (:meth:`Decoder.target`) and is told how many came; a picture's
  pixels stay where they were received and are never copied.
* Header of 58 bytes, big endian; from header version 2 on the body begins with an extended header and ends with
  metadata.  Every message tells its own version.
* A wrong checksum or a body that is not what it says costs one message (:class:`Refused`); a version that does not
  exist or a body beyond the limit ends the stream (:class:`StreamError`), for then nobody knows where the next begins.
* Pictures are 8 bit, grey or RGB, one slice, whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from modality.ultrasound.crc import crc64
from modality.ultrasound.model import Pixels

HEADER: Final = struct.Struct(">H12s20sIIQQ")
"""Version, type, device, seconds, fraction of a second / 2^32, bytes of the body, checksum of the body."""
EXTENDED: Final = struct.Struct(">HHII")
"""Own size, size of the metadata's index, size of the metadata's text, message number."""
PICTURE: Final = struct.Struct(">HBBBB3H12f3H3H")
"""Version, components, scalar type, byte order, coordinate system, size, matrix, offset and size of the part."""
STATUS: Final = struct.Struct(">Hq20s")
TEXT: Final = struct.Struct(">HH")
COMMAND: Final = struct.Struct(">I128sHI")
ENTRY: Final = struct.Struct(">HHI")
"""Metadata: length of the key, encoding and length of the value."""

UINT8: Final = 3
ASCII: Final = 3
"""IANA number of US-ASCII; everything else is read as UTF-8."""
UTF8: Final = 106
BODY_LIMIT: Final = 16 << 20
ENTRY_LIMIT: Final = 256
OK: Final = 1
"""STATUS: all is well."""
NOT_PRESENT: Final = 16


class StreamError(Exception):
    """The stream cannot be read on."""


@dataclass(frozen=True, eq=False)
class Picture:
    """IMAGE; the matrix is three columns (direction x mm per pixel) and a position in mm."""

    pixels: Pixels
    matrix: tuple[float, ...]

    @property
    def spacing(self) -> tuple[float, float]:
        """mm per pixel to the right and down."""
        m = self.matrix
        return (m[0] ** 2 + m[1] ** 2 + m[2] ** 2) ** 0.5, (m[3] ** 2 + m[4] ** 2 + m[5] ** 2) ** 0.5


@dataclass(frozen=True)
class Text:
    """STRING."""

    text: str


@dataclass(frozen=True)
class Status:
    """STATUS; 1 is good."""

    code: int
    name: str
    text: str


@dataclass(frozen=True)
class Answer:
    """RTS_COMMAND: what became of the command of that number."""

    number: int
    name: str
    text: str


@dataclass(frozen=True)
class Other:
    """A type that a console has no use for."""


Content: TypeAlias = Picture | Text | Status | Answer | Other


@dataclass(frozen=True, eq=False)
class Message:
    """One message that is whole and unspoiled."""

    content: Content
    type: str
    device: str
    timestamp_ns: int
    """Since 1970, by the sender's clock."""
    version: int
    number: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A message that was not taken; ``spoiled`` when its checksum was wrong."""

    type: str
    device: str
    reason: str
    spoiled: bool


def _name(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def _text(raw: memoryview, encoding: int, length: int) -> str:
    if length > len(raw):
        raise ValueError(f"a text of {length} bytes is cut short")
    return bytes(raw[:length]).decode("ascii" if encoding == ASCII else "utf-8", "replace")


def _metadata(index: memoryview, values: memoryview) -> dict[str, str]:
    found: dict[str, str] = {}
    if len(index) < 2:
        return found
    count = int.from_bytes(index[:2], "big")
    if count > ENTRY_LIMIT or 2 + count * ENTRY.size > len(index):
        raise ValueError(f"metadata of {count} entries")
    at = 0
    for i in range(count):
        key, encoding, size = ENTRY.unpack_from(index, 2 + i * ENTRY.size)
        name = _text(values[at:], UTF8, key)
        found[name] = _text(values[at + key :], encoding, size)
        at += key + size
    return found


def _picture(body: memoryview) -> Picture:
    _, components, scalar, _, _, columns, rows, slices, *rest = PICTURE.unpack_from(body)
    matrix, offset, part = tuple(rest[:12]), tuple(rest[12:15]), tuple(rest[15:18])
    if scalar != UINT8 or components not in (1, 3) or slices != 1:
        raise ValueError(f"{components} components of scalar type {scalar} in {slices} slices")
    if not columns or not rows or any(offset) or part != (columns, rows, 1):
        raise ValueError(f"part {part} at {offset} of {columns} x {rows}")
    pixels = body[PICTURE.size :]
    if len(pixels) != columns * rows * components:
        raise ValueError(f"{len(pixels)} bytes of pixels where {columns * rows * components} belong")
    array = np.frombuffer(pixels, np.uint8)
    array = array.reshape((rows, columns) if components == 1 else (rows, columns, components))
    array.flags.writeable = False
    return Picture(array, matrix)


def _content(type_: str, body: memoryview) -> Content:
    match type_:
        case "IMAGE":
            return _picture(body)
        case "STRING":
            encoding, length = TEXT.unpack_from(body)
            return Text(_text(body[TEXT.size :], encoding, length))
        case "STATUS":
            code, _, name = STATUS.unpack_from(body)
            return Status(code, _name(name), _name(bytes(body[STATUS.size :])))
        case "RTS_COMMAND":
            number, name, encoding, length = COMMAND.unpack_from(body)
            return Answer(number, _name(name), _text(body[COMMAND.size :], encoding, length))
    return Other()


class Decoder:
    """Bytes in, messages out."""

    def __init__(self, limit: int = BODY_LIMIT) -> None:
        self._limit = limit
        self._header = bytearray(HEADER.size)
        self._body: bytearray | None = None
        self._have = 0

    @property
    def between(self) -> bool:
        """Nothing of the next message has come yet."""
        return self._body is None and not self._have

    def target(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        return memoryview(self._header if self._body is None else self._body)[self._have :]

    def filled(self, count: int) -> Message | Refused | None:
        """So many bytes were put into :meth:`target`; raises :class:`StreamError`."""
        self._have += count
        if self._body is None:
            if self._have < HEADER.size:
                return None
            self._have = 0
            version, type_, _, _, _, size, _ = HEADER.unpack(self._header)
            if not 1 <= version <= 3:
                raise StreamError(f"a header of version {version} is not OpenIGTLink")
            if size > self._limit:
                raise StreamError(f"a {_name(type_)!r} of {size} bytes is too long")
            self._body = bytearray(size)
        if self._have < len(self._body):
            return None
        body, self._body, self._have = self._body, None, 0
        return self._read(body)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Message | Refused]:
        """Take bytes that are elsewhere already."""
        rest = memoryview(data)
        while len(rest):
            target = self.target()
            count = min(len(target), len(rest))
            target[:count] = rest[:count]
            target.release()
            rest = rest[count:]
            got = self.filled(count)
            if got is not None:
                yield got

    def _read(self, body: bytearray) -> Message | Refused:
        version, raw_type, raw_device, seconds, fraction, _, crc = HEADER.unpack(self._header)
        type_, device = _name(raw_type), _name(raw_device)
        found = crc64(body)
        if found != crc:
            return Refused(type_, device, f"checksum {found:016x} where {crc:016x} was told", True)
        timestamp = seconds * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
        view, number, metadata = memoryview(body), 0, {}
        try:
            if version >= 2:
                own, index, values, number = EXTENDED.unpack_from(view)
                end = len(view) - index - values
                if own < EXTENDED.size or own > end:
                    raise ValueError("an extended header that does not fit")
                metadata = _metadata(view[end : end + index], view[end + index :])
                view = view[own:end]
            content = _content(type_, view)
        except (ValueError, struct.error) as error:
            return Refused(type_, device, str(error), False)
        return Message(content, type_, device, timestamp, version, number, metadata)


# -------------------------------------------------------------------------------- writing


def _message(type_: str, device: str, content: bytes, timestamp_ns: int, version: int) -> bytes:
    if version >= 2:
        content = EXTENDED.pack(EXTENDED.size, 0, 0, 0) + content
    seconds, nanoseconds = divmod(timestamp_ns, 1_000_000_000)
    fraction = (nanoseconds << 32) // 1_000_000_000
    names = type_.encode("ascii"), device.encode("ascii")
    header = HEADER.pack(version, *names, seconds & 0xFFFFFFFF, fraction, len(content), crc64(content))
    return header + content


def write_text(device: str, text: str, timestamp_ns: int, version: int = 1) -> bytes:
    """STRING, for front ends that know no commands."""
    raw = text.encode("utf-8")
    return _message("STRING", device, TEXT.pack(UTF8, len(raw)) + raw, timestamp_ns, version)


def write_command(device: str, number: int, name: str, text: str, timestamp_ns: int) -> bytes:
    """COMMAND (version 3 of the protocol); answered by RTS_COMMAND of the same number."""
    raw = text.encode("utf-8")
    content = COMMAND.pack(number, name.encode("ascii"), UTF8, len(raw)) + raw
    return _message("COMMAND", device, content, timestamp_ns, 2)


def write_question(type_: str, device: str, timestamp_ns: int, version: int = 1) -> bytes:
    """GET_STATUS, GET_STRING: an empty body."""
    return _message(type_, device, b"", timestamp_ns, version)
