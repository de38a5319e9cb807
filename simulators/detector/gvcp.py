"""GigE Vision Control Protocol: datagrams to commands and answers, and back (GigE Vision 1.2, section 14-18).

Rules of this file:

* Sans I/O: bytes in, values out.  No socket, no clock, no register.
* :func:`decode_command` takes *any* bytes and returns a :class:`Command` or a :class:`Refusal`; it never raises.
* :func:`decode_answer` (the application's side) returns an :class:`Answer` or ``None``; it never raises either.
* ``decode_command(encode_command(x)) == x`` for every valid command.
* All numbers are big endian on the wire; addresses are byte addresses in the device's register space.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

PORT: Final = 3956
"""The well-known UDP port of a device."""
KEY: Final = 0x42
FLAG_ACK: Final = 0x01
"""The sender wants an acknowledge."""
FLAG_BROADCAST_ACK: Final = 0x10
"""DISCOVERY: the device may broadcast its acknowledge."""
MAX_PAYLOAD: Final = 540
"""Largest GVCP payload in bytes: a datagram fits 576 bytes of IP."""
MAX_MEM: Final = MAX_PAYLOAD - 4
"""Largest READMEM or WRITEMEM data in bytes."""
DISCOVERY_SIZE: Final = 0xF8
"""The acknowledge of DISCOVERY is the first 248 bytes of the register space."""

_COMMAND = struct.Struct(">BBHHH")
_ANSWER = struct.Struct(">HHHH")


class Code(IntEnum):
    """Command codes; the acknowledge has the next higher number."""

    DISCOVERY = 0x0002
    FORCEIP = 0x0004
    PACKETRESEND = 0x0040
    READREG = 0x0080
    WRITEREG = 0x0082
    READMEM = 0x0084
    WRITEMEM = 0x0086
    PENDING = 0x0088
    EVENT = 0x00C0
    EVENTDATA = 0x00C2
    ACTION = 0x0100


class Status(IntEnum):
    """Status codes of acknowledges (section 19)."""

    SUCCESS = 0x0000
    NOT_IMPLEMENTED = 0x8001
    INVALID_PARAMETER = 0x8002
    INVALID_ADDRESS = 0x8003
    WRITE_PROTECT = 0x8004
    BAD_ALIGNMENT = 0x8005
    ACCESS_DENIED = 0x8006
    BUSY = 0x8007
    LOCAL_PROBLEM = 0x8008
    INVALID_HEADER = 0x800E
    PACKET_UNAVAILABLE = 0x800C


@dataclass(frozen=True)
class Discovery:
    """Who is there?"""


@dataclass(frozen=True)
class ForceIp:
    """Take this address (when the MAC is yours)."""

    mac: bytes
    address: int
    mask: int
    gateway: int


@dataclass(frozen=True)
class ReadReg:
    """Read 32-bit registers."""

    addresses: tuple[int, ...]


@dataclass(frozen=True)
class WriteReg:
    """Write 32-bit registers, in order: pairs of address and value."""

    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ReadMem:
    """Read ``count`` bytes (a multiple of four)."""

    address: int
    count: int


@dataclass(frozen=True)
class WriteMem:
    """Write bytes (a multiple of four)."""

    address: int
    data: bytes


@dataclass(frozen=True)
class PacketResend:
    """Send packets ``first`` to ``last`` (inclusive, 24 bits) of a block again."""

    channel: int
    block: int
    first: int
    last: int


@dataclass(frozen=True)
class Event:
    """Something happened in the device (device to application, message channel)."""

    event: int
    channel: int
    block: int
    timestamp: int


@dataclass(frozen=True)
class Action:
    """A broadcast trigger."""

    device_key: int
    group_key: int
    group_mask: int


Body = Discovery | ForceIp | ReadReg | WriteReg | ReadMem | WriteMem | PacketResend | Event | Action


@dataclass(frozen=True)
class Command:
    """One command datagram."""

    body: Body
    request_id: int
    flags: int = FLAG_ACK

    @property
    def wants_answer(self) -> bool:
        """Whether the sender asked for an acknowledge."""
        return bool(self.flags & FLAG_ACK)


@dataclass(frozen=True)
class Refusal:
    """A datagram that is no command: what to answer, if anything (``answer`` False: stay silent)."""

    status: Status
    ack: int
    request_id: int
    answer: bool
    reason: str


@dataclass(frozen=True)
class Answer:
    """One acknowledge as an application sees it."""

    status: int
    ack: int
    request_id: int
    payload: bytes


def decode_command(data: bytes) -> Command | Refusal:
    """Read one datagram; any bytes are allowed.

    A datagram without the key byte or shorter than its header is not answered (it may not be GVCP at all).
    """
    if len(data) < 8:
        return Refusal(Status.INVALID_HEADER, 0, 0, False, f"{len(data)} bytes are no GVCP header")
    key, flags, code, length, rid = _COMMAND.unpack_from(data)
    if key != KEY:
        return Refusal(Status.INVALID_HEADER, 0, rid, False, f"key 0x{key:02x} is not 0x42")
    wants = bool(flags & FLAG_ACK)
    ack = (code + 1) & 0xFFFF

    def refuse(status: Status, reason: str) -> Refusal:
        return Refusal(status, ack, rid, wants, reason)

    if rid == 0:
        return Refusal(Status.INVALID_HEADER, ack, rid, wants, "request id 0 is not allowed")
    payload = data[8:]
    if length != len(payload):
        return refuse(Status.INVALID_HEADER, f"length says {length}, datagram carries {len(payload)}")
    if length > MAX_PAYLOAD:
        return refuse(Status.INVALID_PARAMETER, f"payload of {length} bytes exceeds {MAX_PAYLOAD}")
    try:
        known = Code(code)
    except ValueError:
        return refuse(Status.NOT_IMPLEMENTED, f"command 0x{code:04x}")
    body = _body(known, payload)
    if isinstance(body, Status):
        return refuse(body, f"payload of {known.name}")
    if body is None:
        return refuse(Status.NOT_IMPLEMENTED, f"command {known.name}")
    return Command(body, rid, flags)


def _body(code: Code, p: bytes) -> Body | Status | None:
    n = len(p)
    bad = Status.INVALID_PARAMETER
    if code is Code.DISCOVERY:
        return Discovery() if n == 0 else bad
    if code is Code.READREG:
        if n == 0 or n % 4:
            return bad
        return ReadReg(struct.unpack(f">{n // 4}I", p))
    if code is Code.WRITEREG:
        if n == 0 or n % 8:
            return bad
        words = struct.unpack(f">{n // 4}I", p)
        return WriteReg(tuple(zip(words[::2], words[1::2], strict=True)))
    if code is Code.READMEM:
        if n != 8:
            return bad
        address, _, count = struct.unpack(">IHH", p)
        if address % 4 or count % 4:
            return Status.BAD_ALIGNMENT
        return ReadMem(address, count) if 0 < count <= MAX_MEM else bad
    if code is Code.WRITEMEM:
        if n < 8:
            return bad
        (address,) = struct.unpack_from(">I", p)
        return Status.BAD_ALIGNMENT if address % 4 or n % 4 else WriteMem(address, p[4:])
    if code is Code.PACKETRESEND:
        if n != 12:
            return bad
        channel, block, first, last = struct.unpack(">HHII", p)
        return PacketResend(channel, block, first & 0xFFFFFF, last & 0xFFFFFF)
    if code is Code.FORCEIP:
        if n != 56:
            return bad
        mac = p[2:8]
        address, mask, gateway = (struct.unpack_from(">I", p, at)[0] for at in (20, 36, 52))
        return ForceIp(mac, address, mask, gateway)
    if code is Code.EVENT:
        if n != 16:
            return bad
        _, event, channel, block, stamp = struct.unpack(">HHHHQ", p)
        return Event(event, channel, block, stamp)
    if code is Code.ACTION:
        return Action(*struct.unpack_from(">III", p)) if n in (12, 20) else bad
    return None


def encode_body(body: Body) -> tuple[Code, bytes]:
    """The command code and payload of a body; values are taken as they are (faults may want nonsense)."""
    if isinstance(body, Discovery):
        return Code.DISCOVERY, b""
    if isinstance(body, ReadReg):
        return Code.READREG, struct.pack(f">{len(body.addresses)}I", *body.addresses)
    if isinstance(body, WriteReg):
        return Code.WRITEREG, b"".join(struct.pack(">II", a, v) for a, v in body.pairs)
    if isinstance(body, ReadMem):
        return Code.READMEM, struct.pack(">IHH", body.address, 0, body.count)
    if isinstance(body, WriteMem):
        return Code.WRITEMEM, struct.pack(">I", body.address) + body.data
    if isinstance(body, PacketResend):
        return Code.PACKETRESEND, struct.pack(">HHII", body.channel, body.block, body.first, body.last)
    if isinstance(body, ForceIp):
        parts = (b"\0\0", body.mac, bytes(12), struct.pack(">I", body.address), bytes(12))
        return Code.FORCEIP, b"".join(
            (*parts, struct.pack(">I", body.mask), bytes(12), struct.pack(">I", body.gateway))
        )
    if isinstance(body, Event):
        return Code.EVENT, struct.pack(">HHHHQ", 0, body.event, body.channel, body.block, body.timestamp)
    return Code.ACTION, struct.pack(">III", body.device_key, body.group_key, body.group_mask)


def encode_command(command: Command) -> bytes:
    """One command as it goes on the wire."""
    code, payload = encode_body(command.body)
    return _COMMAND.pack(KEY, command.flags, code, len(payload), command.request_id) + payload


def encode_answer(status: int, ack: int, request_id: int, payload: bytes = b"") -> bytes:
    """One acknowledge as it goes on the wire; ``ack`` is the acknowledge's own code."""
    return _ANSWER.pack(status, ack, len(payload), request_id) + payload


def encode_pending(request_id: int, milliseconds: int) -> bytes:
    """PENDING_ACK: the real acknowledge will come within this time (ms, 16 bits)."""
    return encode_answer(Status.SUCCESS, Code.PENDING + 1, request_id, struct.pack(">HH", 0, milliseconds))


def decode_answer(data: bytes) -> Answer | None:
    """Read one acknowledge; ``None`` when the bytes are none."""
    if len(data) < 8:
        return None
    status, ack, length, rid = _ANSWER.unpack_from(data)
    if length != len(data) - 8:
        return None
    return Answer(status, ack, rid, data[8:])
