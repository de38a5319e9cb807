"""The few blocks of pcapng that the bench writes (IETF draft-ietf-opsawg-pcapng), little-endian, nanoseconds.

Pure functions from values to bytes; reading captures is the witness's business.
"""

from __future__ import annotations

import struct
from typing import Final

LINKTYPE_ETHERNET: Final = 1
SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION: Final = 1
INTERFACE_STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6

PACKET_HEADER: Final = struct.Struct("<IIIIIII")
"""Block type, total length, interface, time high, time low, captured length, original length."""


def section_header(application: str, hardware: str = "", system: str = "") -> bytes:
    """The first block of a file."""
    options = _text(2, hardware) + _text(3, system) + _text(4, application)
    return _block(SECTION_HEADER, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), options)


def interface_description(name: str, description: str, snap_length: int) -> bytes:
    """An Ethernet interface whose time stamps count nanoseconds; *snap_length* 0 = whole frames."""
    options = _text(2, name) + _text(3, description) + _option(9, b"\x09")
    return _block(INTERFACE_DESCRIPTION, struct.pack("<HHI", LINKTYPE_ETHERNET, 0, snap_length), options)


def interface_statistics(
    interface: int, start_ns: int, end_ns: int, received: int, dropped: int, filtered: int | None = None
) -> bytes:
    """What one interface received and dropped; times are CLOCK_REALTIME in ns."""
    options = _option(2, _time(start_ns)) + _option(3, _time(end_ns))
    options += _option(4, struct.pack("<Q", received)) + _option(5, struct.pack("<Q", dropped))
    if filtered is not None:
        options += _option(6, struct.pack("<Q", filtered))
    return _block(INTERFACE_STATISTICS, struct.pack("<I", interface) + _time(end_ns), options)


def packet_tail(captured: int) -> tuple[int, bytes]:
    """Total length of a packet block with *captured* bytes of data, and what follows that data."""
    padding = -captured % 4
    total = PACKET_HEADER.size + captured + padding + 4
    return total, b"\0" * padding + struct.pack("<I", total)


def packet(interface: int, time_ns: int, data: bytes, original: int | None = None) -> bytes:
    """One captured frame."""
    total, tail = packet_tail(len(data))
    length = len(data) if original is None else original
    head = PACKET_HEADER.pack(
        ENHANCED_PACKET, total, interface, time_ns >> 32, time_ns & 0xFFFF_FFFF, len(data), length
    )
    return head + data + tail


def _time(ns: int) -> bytes:
    return struct.pack("<II", ns >> 32, ns & 0xFFFF_FFFF)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _text(code: int, text: str) -> bytes:
    return _option(code, text.encode()) if text else b""


def _block(kind: int, body: bytes, options: bytes) -> bytes:
    if options:
        options += _option(0, b"")
    total = 12 + len(body) + len(options)
    return struct.pack("<II", kind, total) + body + options + struct.pack("<I", total)
