"""OpenIGTLink messages without sockets: header versions 1 to 3, IMAGE, TRANSFORM, STATUS, STRING, COMMAND.

Rules of this file:

* Sans-I/O: :func:`encode` makes bytes, :class:`Decoder` takes bytes in any pieces and hands out what they mean.
* A body is bounded by :class:`Limits`; a longer one cannot be skipped safely and ends the stream
  (:class:`ProtocolError`).  Anything else that is wrong costs one message (:class:`Spoiled`) and no more.
* All numbers are big endian; pixels have the byte order that their message names (ours: little endian).
* Header version 1 is that of protocols 1 and 2; from version 2 on (protocol 3) the body begins with an extended header
  and ends with metadata.  The CRC covers the whole body.
* Names are cut at their first NUL; text that is not what its encoding says is kept with replacement characters.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from simulators.ultrasound.crc import crc64

HEADER: Final = struct.Struct(">H12s20sIIQQ")
EXTENDED: Final = struct.Struct(">HHII")
IMAGE: Final = struct.Struct(">HBBBB3H12f6H")
TRANSFORM: Final = struct.Struct(">12f")
STATUS: Final = struct.Struct(">Hq20s")
STRING: Final = struct.Struct(">HH")
COMMAND: Final = struct.Struct(">I128sHI")
META: Final = struct.Struct(">HHI")

ASCII, UTF8 = 3, 106
"""IANA MIBenum numbers of character sets."""
SCALAR_BYTES: Final[Mapping[int, int]] = {2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 10: 4, 11: 8}
"""Scalar type of an image -> bytes."""
UINT8: Final = 3
OK, NOT_FOUND, CONFIGURATION, NOT_READY, NOT_PRESENT = 1, 4, 10, 13, 16
"""Codes of STATUS that this device uses."""

Matrix: TypeAlias = tuple[float, ...]
"""Twelve numbers: three columns (direction x spacing in mm), then the position in mm."""


class ProtocolError(Exception):
    """The stream cannot be read on."""


@dataclass(frozen=True)
class Limits:
    """What a peer may cost."""

    body: int = 64 << 20
    metadata: int = 1024
    """Number of entries."""


@dataclass(frozen=True)
class Image:
    """IMAGE: ``size`` is columns, rows, slices; ``pixels`` row by row, components interleaved."""

    size: tuple[int, int, int]
    pixels: bytes | memoryview
    matrix: Matrix
    components: int = 1
    scalar: int = UINT8
    big_endian: bool = False
    coordinates: int = 2
    """1 RAS, 2 LPS."""
    offset: tuple[int, int, int] = (0, 0, 0)
    """Where a part of an image lies in the whole; its own size is then ``part``."""
    part: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Transform:
    """TRANSFORM: a position and orientation in mm."""

    matrix: Matrix


@dataclass(frozen=True)
class Status:
    """STATUS: 1 is OK; the name of an error has at most 20 bytes."""

    code: int
    subcode: int = 0
    name: str = ""
    text: str = ""


@dataclass(frozen=True)
class Text:
    """STRING."""

    text: str


@dataclass(frozen=True)
class Command:
    """COMMAND, or with ``reply`` RTS_COMMAND, its answer with the same number."""

    number: int
    name: str
    text: str
    reply: bool = False


@dataclass(frozen=True)
class Other:
    """Any other type (GET_STATUS, CAPABILITY...), as it came."""

    type: str
    content: bytes = b""


Body: TypeAlias = Image | Transform | Status | Text | Command | Other


@dataclass(frozen=True)
class Message:
    """One message; ``timestamp_ns`` since 1970 (a resolution of 0.23 ns on the line)."""

    body: Body
    device: str = ""
    timestamp_ns: int = 0
    version: int = 1
    number: int = 0
    """Message id of the extended header."""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spoiled:
    """A message that was skipped, and why."""

    reason: str
    type: str
    device: str


# -------------------------------------------------------------------------------- encoding


def _type_name(body: Body) -> str:
    match body:
        case Image():
            return "IMAGE"
        case Transform():
            return "TRANSFORM"
        case Status():
            return "STATUS"
        case Text():
            return "STRING"
        case Command():
            return "RTS_COMMAND" if body.reply else "COMMAND"
        case Other():
            return body.type


def _text(text: str) -> tuple[int, bytes]:
    return (ASCII if text.isascii() else UTF8), text.encode("utf-8", "replace")


def _name(text: str, size: int) -> bytes:
    raw = text.encode("utf-8", "replace")
    if len(raw) > size:
        raise ValueError(f"{text!r} has {len(raw)} bytes; {size} fit")
    return raw


def _content(body: Body) -> tuple[bytes, bytes | memoryview]:
    """Fixed part, bulk part."""
    match body:
        case Image():
            part = body.part or body.size
            wanted = part[0] * part[1] * part[2] * body.components * SCALAR_BYTES[body.scalar]
            if len(body.pixels) != wanted:
                raise ValueError(f"{len(body.pixels)} bytes of pixels where {wanted} belong")
            order = 1 if body.big_endian else 2
            numbers = (*body.size, *body.matrix, *body.offset, *part)
            head = IMAGE.pack(1, body.components, body.scalar, order, body.coordinates, *numbers)
            return head, body.pixels
        case Transform():
            return TRANSFORM.pack(*body.matrix), b""
        case Status():
            text = body.text.encode("utf-8", "replace") + b"\0"
            return STATUS.pack(body.code, body.subcode, _name(body.name, 20)) + text, b""
        case Text():
            encoding, raw = _text(body.text)
            return STRING.pack(encoding, len(raw)) + raw, b""
        case Command():
            encoding, raw = _text(body.text)
            return COMMAND.pack(body.number, _name(body.name, 128), encoding, len(raw)) + raw, b""
        case Other():
            return b"", body.content


def _metadata(metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
    head, tail = struct.pack(">H", len(metadata)), b""
    for key, value in metadata.items():
        encoding, raw = _text(value)
        name = key.encode("utf-8", "replace")
        head += META.pack(len(name), encoding, len(raw))
        tail += name + raw
    return head, tail


def pieces(message: Message, *, spoil: bool = False) -> tuple[bytes, bytes | memoryview, bytes]:
    """A message for a gathering send: what comes before the bulk, the bulk itself, what comes after.

    ``spoil`` makes the CRC wrong.  Raises :class:`ValueError` for what the format cannot say.
    """
    tail = b""
    try:
        fixed, bulk = _content(message.body)
        if message.version >= 2:
            head, values = _metadata(message.metadata)
            fixed = EXTENDED.pack(EXTENDED.size, len(head), len(values), message.number) + fixed
            tail = head + values
        crc = crc64(tail, crc64(bulk, crc64(fixed)))
        seconds, nanoseconds = divmod(message.timestamp_ns, 1_000_000_000)
        header = HEADER.pack(
            message.version,
            _name(_type_name(message.body), 12),
            _name(message.device, 20),
            seconds & 0xFFFFFFFF,
            (nanoseconds << 32) // 1_000_000_000,
            len(fixed) + len(bulk) + len(tail),
            crc ^ 1 if spoil else crc,
        )
    except struct.error as error:
        raise ValueError(str(error)) from None
    return header + fixed, bulk, tail


def encode(message: Message) -> bytes:
    """A message in one piece."""
    return b"".join(pieces(message))


# -------------------------------------------------------------------------------- decoding


def _string(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def _decoded(raw: bytes | memoryview, encoding: int) -> str:
    return bytes(raw).decode("ascii" if encoding == ASCII else "utf-8", "replace")


def _read_metadata(raw: memoryview, head: int, limits: Limits) -> dict[str, str]:
    if head < 2:
        raise ValueError("metadata without a count")
    count = int.from_bytes(raw[:2], "big")
    if count > limits.metadata or 2 + count * META.size > head:
        raise ValueError(f"metadata of {count} entries do not fit")
    at, found = head, {}
    for i in range(count):
        key, encoding, value = META.unpack_from(raw, 2 + i * META.size)
        if at + key + value > len(raw):
            raise ValueError("metadata are cut short")
        name = bytes(raw[at : at + key]).decode("utf-8", "replace")
        found[name] = _decoded(raw[at + key : at + key + value], encoding)
        at += key + value
    return found


def _read_image(content: memoryview) -> Image:
    _, components, scalar, order, coordinates, *rest = IMAGE.unpack_from(content)
    size, matrix = tuple(rest[:3]), tuple(rest[3:15])
    offset, part = tuple(rest[15:18]), tuple(rest[18:21])
    if scalar not in SCALAR_BYTES or order not in (1, 2) or not components:
        raise ValueError(f"image of scalar type {scalar}, byte order {order}, {components} components")
    if any(o + p > s for o, p, s in zip(offset, part, size, strict=True)):
        raise ValueError("the part lies outside the image")
    wanted = part[0] * part[1] * part[2] * components * SCALAR_BYTES[scalar]
    pixels = content[IMAGE.size :]
    if len(pixels) != wanted:
        raise ValueError(f"{len(pixels)} bytes of pixels where {wanted} belong")
    whole = part == size
    return Image(
        (size[0], size[1], size[2]),
        bytes(pixels),
        matrix,
        components,
        scalar,
        order == 1,
        coordinates,
        (offset[0], offset[1], offset[2]),
        None if whole else (part[0], part[1], part[2]),
    )


def _read_body(type_: str, content: memoryview) -> Body:
    match type_:
        case "IMAGE":
            return _read_image(content)
        case "TRANSFORM":
            return Transform(TRANSFORM.unpack_from(content))
        case "STATUS":
            code, subcode, name = STATUS.unpack_from(content)
            return Status(code, subcode, _string(name), _string(bytes(content[STATUS.size :])))
        case "STRING":
            encoding, length = STRING.unpack_from(content)
            raw = content[STRING.size : STRING.size + length]
            if len(raw) < length:
                raise ValueError(f"a string of {length} bytes is cut short")
            return Text(_decoded(raw, encoding))
        case "COMMAND" | "RTS_COMMAND":
            number, name, encoding, length = COMMAND.unpack_from(content)
            raw = content[COMMAND.size : COMMAND.size + length]
            if len(raw) < length:
                raise ValueError(f"a command of {length} bytes is cut short")
            return Command(number, _string(name), _decoded(raw, encoding), type_ == "RTS_COMMAND")
    return Other(type_, bytes(content))


class Decoder:
    """Bytes of one direction of a connection in, messages out."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._buffer = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes that wait for more; never more than one header, one body and the piece last given."""
        return len(self._buffer)

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take what arrived; call :meth:`next` until it returns None before giving more."""
        self._buffer += data

    def next(self) -> Message | Spoiled | None:
        """The next message, or None when more bytes are wanted; raises :class:`ProtocolError`."""
        if len(self._buffer) < HEADER.size:
            return None
        version, raw_type, raw_device, seconds, fraction, size, crc = HEADER.unpack_from(self._buffer)
        type_, device = _string(raw_type), _string(raw_device)
        if not 1 <= version <= 3:
            raise ProtocolError(f"header version {version}: this is no OpenIGTLink")
        if size > self._limits.body:
            raise ProtocolError(f"a body of {size} bytes; {self._limits.body} are allowed")
        end = HEADER.size + size
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[HEADER.size : end])
        del self._buffer[:end]
        found = crc64(body)
        if found != crc:
            return Spoiled(f"CRC {found:016x} where the header says {crc:016x}", type_, device)
        try:
            timestamp = seconds * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
            return self._message(memoryview(body), version, type_, device, timestamp)
        except (ValueError, struct.error) as error:
            return Spoiled(str(error), type_, device)

    def _message(self, body: memoryview, version: int, type_: str, device: str, timestamp: int) -> Message:
        if version < 2:
            return Message(_read_body(type_, body), device, timestamp, version)
        own, head, values, number = EXTENDED.unpack_from(body)
        if own < EXTENDED.size or own + head + values > len(body):
            raise ValueError("the extended header promises more than there is")
        end = len(body) - head - values
        metadata = _read_metadata(body[end:], head, self._limits) if head or values else {}
        return Message(_read_body(type_, body[own:end]), device, timestamp, version, number, metadata)
