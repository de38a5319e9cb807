"""GigE Vision Streaming Protocol: leader, payload and trailer packets of an image (GigE Vision 1.2, section 23-26).

Rules of this file:

* Sans I/O.  Standard (16 bit) block ids: 1 to 65535, never 0; 24 bit packet ids: leader 0, payload 1..n,
  trailer n+1.
* :class:`Packets` describes how one frame is cut; header bytes of all packets are made at once with numpy, and the
  pixels are never copied.
* :func:`decode` takes any bytes and returns a packet or ``None``; it never raises.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

OVERHEAD: Final = 20 + 8 + 8
"""Bytes of a packet (as SCPS counts it) that are not payload: IP, UDP and GVSP header."""
ETHERNET: Final = 38
"""Bytes a packet costs on the line beyond its IP datagram: preamble, header, FCS, gap."""
MONO14: Final = 0x01100025
MONO16: Final = 0x01100007
HEADER = np.dtype([("status", ">u2"), ("block", ">u2"), ("packet", ">u4")])
_HEADER = struct.Struct(">HHI")
_LEADER = struct.Struct(">HHIIIIIIIHH")
_TRAILER = struct.Struct(">HHI")


class Kind(IntEnum):
    """Packet format field."""

    LEADER = 1
    TRAILER = 2
    PAYLOAD = 3


@dataclass(frozen=True)
class Leader:
    """What announces an image; times are device ticks (ns)."""

    block: int
    timestamp: int
    pixel_format: int
    width: int
    height: int
    offset_x: int = 0
    offset_y: int = 0
    status: int = 0


@dataclass(frozen=True)
class Payload:
    """A piece of the image; with a non-zero status usually without data."""

    block: int
    packet: int
    data: bytes
    status: int = 0


@dataclass(frozen=True)
class Trailer:
    """What ends an image."""

    block: int
    packet: int
    height: int
    status: int = 0


Packet = Leader | Payload | Trailer


def encode(packet: Packet) -> bytes:
    """One datagram's bytes."""
    if isinstance(packet, Leader):
        head = _HEADER.pack(packet.status, packet.block, Kind.LEADER << 24)
        high, low = packet.timestamp >> 32 & 0xFFFFFFFF, packet.timestamp & 0xFFFFFFFF
        size = (packet.width, packet.height, packet.offset_x, packet.offset_y)
        return head + _LEADER.pack(0, 1, high, low, packet.pixel_format, *size, 0, 0)
    if isinstance(packet, Trailer):
        head = _HEADER.pack(packet.status, packet.block, Kind.TRAILER << 24 | packet.packet)
        return head + _TRAILER.pack(0, 1, packet.height)
    return _HEADER.pack(packet.status, packet.block, Kind.PAYLOAD << 24 | packet.packet) + packet.data


def decode(data: bytes) -> Packet | None:
    """Read one datagram; ``None`` when it is no GVSP packet of an image with standard ids."""
    if len(data) < 8:
        return None
    status, block, word = _HEADER.unpack_from(data)
    kind, packet = word >> 24, word & 0xFFFFFF
    if block == 0:
        return None
    if kind == Kind.PAYLOAD:
        return Payload(block, packet, data[8:], status)
    if kind == Kind.LEADER and len(data) == 8 + _LEADER.size and packet == 0:
        _, payload_type, high, low, pixel_format, width, height, x, y, _, _ = _LEADER.unpack_from(data, 8)
        if payload_type != 1:
            return None
        return Leader(block, high << 32 | low, pixel_format, width, height, x, y, status)
    if kind == Kind.TRAILER and len(data) == 8 + _TRAILER.size:
        _, payload_type, height = _TRAILER.unpack_from(data, 8)
        return Trailer(block, packet, height, status) if payload_type == 1 else None
    return None


def next_block(block: int) -> int:
    """The block id after this one: 1..65535, never 0."""
    return block % 0xFFFF + 1


@dataclass(frozen=True)
class Packets:
    """How a frame of ``size`` bytes is cut into packets of ``packet_size`` bytes (IP datagram size, SCPS)."""

    size: int
    packet_size: int

    @property
    def step(self) -> int:
        """Pixel bytes per full payload packet."""
        return self.packet_size - OVERHEAD

    @property
    def count(self) -> int:
        """Number of payload packets."""
        return -(-self.size // self.step)

    @property
    def trailer(self) -> int:
        """Packet id of the trailer."""
        return self.count + 1

    @property
    def total(self) -> int:
        """All packets, leader and trailer included."""
        return self.count + 2

    def headers(self, block: int) -> npt.NDArray[np.void]:
        """The 8-byte headers of all payload packets, as :data:`HEADER` records."""
        made = np.zeros(self.count, HEADER)
        made["block"] = block
        made["packet"] = np.arange(1, self.count + 1, dtype=np.uint32) | np.uint32(Kind.PAYLOAD << 24)
        return made

    def piece(self, packet: int) -> slice:
        """Where payload packet ``packet`` (1..count) lies in the frame's bytes."""
        start = (packet - 1) * self.step
        return slice(start, min(start + self.step, self.size))

    def line_bytes(self, payload: int) -> int:
        """What a packet with this much payload costs on an Ethernet line."""
        return payload + OVERHEAD + ETHERNET


def goodput(line_mbps: float, packet_size: int = 1500) -> float:
    """Payload bytes per second of a full line: 118.98e6 at 1000 Mbit/s and 1500."""
    return line_mbps * 1e6 / 8 * (packet_size - OVERHEAD) / (packet_size + ETHERNET)
