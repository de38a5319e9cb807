"""Frames to TCP segments: Ethernet, VLAN, PPPoE, MPLS, Linux cooked, null, raw IP; IPv4 and IPv6 with fragments.

Rules of this file:

* :func:`segment` looks at one frame and gives a :class:`Segment` or None; it never raises for what a frame holds.
* Checksums are not looked at: on a sending host they are filled in by the card, after the capture.
* Fragments are kept within bounds (``FRAGMENTS``); what does not fit any more is dropped and counted.
* The fast way for Ethernet + IPv4 + TCP without options stands in :mod:`bench.witness.tcp`; this is the thorough one.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple

FRAGMENTS: Final = 256
"""Datagrams that may wait for fragments at a time."""
DATAGRAM: Final = 65535

ETHERNET, LINUX_SLL, LINUX_SLL2 = 1, 113, 276
IPV4: Final = 0x0800
IPV6: Final = 0x86DD
_TAGS: Final = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
_NULL_V6: Final = frozenset((10, 24, 28, 30))
_EXTENSIONS: Final = frozenset((0, 43, 60, 135, 139, 140))


class Segment(NamedTuple):
    """A TCP segment; ``key``: addresses and ports, as on the wire (12 bytes for IPv4, 36 for IPv6).

    ``length`` is the payload's length on the wire; ``data`` has less when the frame was cut.
    """

    key: bytes
    seq: int
    ack: int
    flags: int
    window: int
    data: bytes
    length: int
    macs: tuple[bytes, bytes] | None


@dataclass(slots=True)
class _Datagram:
    parts: dict[int, bytes] = field(default_factory=dict)
    total: int | None = None
    frame: int = 0


@dataclass(slots=True)
class Decoder:
    """Keeps the fragments that wait, and counts what it could not decode."""

    waiting: dict[tuple[bytes, int, int], _Datagram] = field(default_factory=dict)
    dropped: int = 0
    first_dropped: int | None = None
    unknown_links: dict[int, tuple[int, int]] = field(default_factory=dict)

    def segment(self, link: int, buffer: bytes, start: int, end: int, frame: int) -> Segment | None:
        """The TCP segment of a frame, or None (not TCP, not decodable, or a fragment that must wait)."""
        try:
            return self._segment(link, buffer, start, end, frame)
        except (struct.error, IndexError):
            return None

    def _segment(self, link: int, buffer: bytes, start: int, end: int, frame: int) -> Segment | None:
        macs: tuple[bytes, bytes] | None = None
        if link == ETHERNET:
            macs = buffer[start + 6 : start + 12], buffer[start : start + 6]
            (kind,) = struct.unpack_from(">H", buffer, start + 12)
            position = start + 14
        elif link == LINUX_SLL:
            (kind,) = struct.unpack_from(">H", buffer, start + 14)
            position = start + 16
        elif link == LINUX_SLL2:
            (kind,) = struct.unpack_from(">H", buffer, start)
            position = start + 20
        elif link in (0, 108):
            # The family stands in the byte order of the capturing host (108: network order).
            family = max(buffer[start], buffer[start + 3])
            kind = IPV4 if family == 2 else IPV6 if family in _NULL_V6 else 0
            position = start + 4
        elif link in (12, 14, 101, 228, 229):
            kind = IPV4 if buffer[start] >> 4 == 4 else IPV6 if buffer[start] >> 4 == 6 else 0
            position = start
        else:
            first, count = self.unknown_links.get(link, (frame, 0))
            self.unknown_links[link] = first, count + 1
            return None
        for _ in range(8):
            if kind in _TAGS:
                (kind,) = struct.unpack_from(">H", buffer, position + 2)
                position += 4
            elif kind == 0x8864:  # PPPoE session
                (protocol,) = struct.unpack_from(">H", buffer, position + 6)
                kind = {0x0021: IPV4, 0x0057: IPV6}.get(protocol, 0)
                position += 8
            elif kind in (0x8847, 0x8848):  # MPLS: labels up to the bottom of the stack
                while not buffer[position + 2] & 1:
                    position += 4
                position += 4
                kind = IPV4 if buffer[position] >> 4 == 4 else IPV6
            else:
                break
        if kind == IPV4:
            return self._ipv4(buffer, position, end, frame, macs)
        if kind == IPV6:
            return self._ipv6(buffer, position, end, frame, macs)
        return None

    def _ipv4(
        self, buffer: bytes, start: int, end: int, frame: int, macs: tuple[bytes, bytes] | None
    ) -> Segment | None:
        head, total, number, fragment, protocol = struct.unpack_from(">BxHHHxB", buffer, start)
        header = (head & 15) * 4
        if head >> 4 != 4 or header < 20 or protocol != 6:
            return None
        addresses = buffer[start + 12 : start + 20]
        # A length of 0: the card was to cut it (TSO), the frame's end counts.
        stop = start + total if total else end
        body = start + header
        if fragment & 0x3FFF:
            whole = self._fragment(
                (addresses, number, 4),
                (fragment & 0x1FFF) * 8,
                bool(fragment & 0x2000),
                buffer[body : min(stop, end)],
                stop - body,
                frame,
            )
            return None if whole is None else _tcp(addresses, whole, 0, len(whole), len(whole), macs)
        return _tcp(addresses, buffer, body, min(stop, end), stop, macs)

    def _ipv6(
        self, buffer: bytes, start: int, end: int, frame: int, macs: tuple[bytes, bytes] | None
    ) -> Segment | None:
        head, length, following = struct.unpack_from(">IHB", buffer, start)
        if head >> 28 != 6:
            return None
        addresses = buffer[start + 8 : start + 40]
        position = start + 40
        stop = position + length if length else end
        for _ in range(16):
            if following == 6:
                return _tcp(addresses, buffer, position, min(stop, end), stop, macs)
            if following in _EXTENSIONS:
                following, size = buffer[position], buffer[position + 1]
                position += 8 + size * 8
            elif following == 51:  # authentication header: in words
                following, size = buffer[position], buffer[position + 1]
                position += (size + 2) * 4
            elif following == 44:
                following, place, number = struct.unpack_from(">BxHI", buffer, position)
                position += 8
                if place & 0xFFF9 == 0:  # the only fragment
                    continue
                whole = self._fragment(
                    (addresses, number, following),
                    place & 0xFFF8,
                    bool(place & 1),
                    buffer[position : min(stop, end)],
                    stop - position,
                    frame,
                )
                if whole is None or following != 6:
                    return None
                return _tcp(addresses, whole, 0, len(whole), len(whole), macs)
            else:
                return None
        return None

    def _fragment(
        self, key: tuple[bytes, int, int], offset: int, more: bool, data: bytes, length: int, frame: int
    ) -> bytes | None:
        """Keep a fragment; the whole datagram once nothing of it is missing.  First data wins."""
        if len(data) < length or offset + length > DATAGRAM:
            self._drop(frame)
            return None
        datagram = self.waiting.get(key)
        if datagram is None:
            if len(self.waiting) >= FRAGMENTS:
                oldest = next(iter(self.waiting))
                self._drop(self.waiting.pop(oldest).frame)
            datagram = self.waiting[key] = _Datagram(frame=frame)
        datagram.parts.setdefault(offset, data)
        if not more:
            datagram.total = offset + length
        if datagram.total is None:
            return None
        whole, position = bytearray(), 0
        for place in sorted(datagram.parts):
            if place > position:
                return None
            part = datagram.parts[place]
            whole += part[position - place :]
            position = max(position, place + len(part))
        if position < datagram.total:
            return None
        del self.waiting[key]
        return bytes(whole[: datagram.total])

    def _drop(self, frame: int) -> None:
        self.dropped += 1
        if self.first_dropped is None:
            self.first_dropped = frame


def _tcp(
    addresses: bytes, buffer: bytes, start: int, end: int, stop: int, macs: tuple[bytes, bytes] | None
) -> Segment | None:
    """A TCP header and what follows; ``end``: captured, ``stop``: on the wire."""
    if end - start < 20:
        return None
    ports, seq, ack, offset, flags, window = struct.unpack_from(">4sIIBBH", buffer, start)
    body = start + (offset >> 4) * 4
    if offset < 0x50 or body > stop:
        return None
    return Segment(addresses + ports, seq, ack, flags, window, buffer[body:end], stop - body, macs)


def address(key: bytes) -> tuple[str, int, str, int]:
    """Source address and port, target address and port of a key."""
    size = (len(key) - 4) // 2
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    source, target = socket.inet_ntop(family, key[:size]), socket.inet_ntop(family, key[size : 2 * size])
    ports = struct.unpack_from(">HH", key, 2 * size)
    return source, ports[0], target, ports[1]


def reverse(key: bytes) -> bytes:
    """The key of the other direction."""
    size = (len(key) - 4) // 2
    return key[size : 2 * size] + key[:size] + key[-2:] + key[-4:-2]
