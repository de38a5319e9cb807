"""From bytes that two hosts say to each other to frames: TCP with its handshake and end, IP, link headers.

Rules of this file:

* A :class:`Stream` collects what the two sides do, with times; :meth:`Stream.segments` makes TCP of it: SYN, data cut
  to the MSS, acknowledgements, FIN or RST, right sequence and acknowledgement numbers (they wrap).
* Accidents of the capture (lost, twice, out of order, overlapping) are done to segments by :func:`disturb`; they never
  change what was said.
* Checksums are right (IPv4 header and TCP).  Everything is deterministic.
"""

from __future__ import annotations

import ipaddress
import random
import struct
from dataclasses import dataclass, replace
from typing import Final

from tests.lab.files import Frame

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
_WORD: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment.  ``side`` 0: from the client, 1: from the server."""

    time: float
    side: int
    flags: int
    seq: int
    ack: int
    data: bytes = b""
    window: int = 64240
    options: bytes = b""
    mss: int = 0


@dataclass(frozen=True, slots=True)
class _Act:
    time: float
    side: int
    what: str  # "data", "fin", "rst", "window"
    data: bytes = b""
    seen: bool = True
    value: int = 0


class Stream:
    """One TCP connection between ``client`` and ``server`` (address, port)."""

    def __init__(
        self,
        client: tuple[str, int],
        server: tuple[str, int],
        *,
        start: float,
        isn: tuple[int, int],
        macs: tuple[bytes, bytes],
        mss: int | None = None,
    ) -> None:
        self.ends = (client, server)
        self.start = start
        self.isn = isn
        self.macs = macs
        self.mss = mss
        self.acts: list[_Act] = []
        self.handshake: str = "whole"  # "whole", "none" (capture began later), "refused" (RST), "unanswered"
        self.order: str | None = None
        self.one_direction: int | None = None  # only frames of this side are in the capture

    def add(
        self, time: float, side: int, what: str, data: bytes = b"", *, seen: bool = True, value: int = 0
    ) -> None:
        """Something that a side does."""
        self.acts.append(_Act(time, side, what, data, seen, value))

    def segments(self, mss: int) -> list[Segment]:
        """The segments in the order in which they were sent."""
        mss = self.mss or mss
        seq = [self.isn[0], self.isn[1]]
        out: list[Segment] = []
        tick = 0.00002

        def put(
            time: float, side: int, flags: int, data: bytes = b"", seen: bool = True, options: bytes = b""
        ) -> None:
            ack = seq[1 - side] if flags & ACK else 0
            if seen:
                out.append(Segment(time, side, flags, seq[side], ack, data, options=options))
            seq[side] = (seq[side] + len(data) + (1 if flags & (SYN | FIN) else 0)) % _WORD

        announced = struct.pack(">BBH", 2, 4, mss if mss <= 65535 else 65535)
        see = self.handshake != "none"
        put(self.start, 0, SYN, seen=see, options=announced)
        if self.handshake == "unanswered":
            for wait in (1.0, 3.0):
                out.append(replace(out[0], time=self.start + wait))
            return out
        if self.handshake == "refused":
            out.append(Segment(self.start + tick, 1, RST | ACK, 0, seq[0]))
            return out
        put(self.start + tick, 1, SYN | ACK, seen=see, options=announced)
        put(self.start + 2 * tick, 0, ACK, seen=see)
        for act in self.acts:
            if act.what == "data":
                unacknowledged = 0
                pieces = [act.data[at : at + mss] for at in range(0, len(act.data), mss)]
                for index, piece in enumerate(pieces):
                    last = index == len(pieces) - 1
                    time = act.time + index * tick
                    put(time, act.side, ACK | (PSH if last else 0), piece, act.seen)
                    unacknowledged += 1
                    if unacknowledged == 2 or last:
                        put(time + tick / 2, 1 - act.side, ACK, seen=act.seen)
                        unacknowledged = 0
            elif act.what == "fin":
                put(act.time, act.side, FIN | ACK, seen=act.seen)
                put(act.time + tick, 1 - act.side, ACK, seen=act.seen)
            elif act.what == "rst":
                put(act.time, act.side, RST | ACK, seen=act.seen)
            elif act.what == "window":
                out.append(
                    Segment(act.time, act.side, ACK, seq[act.side], seq[1 - act.side], window=act.value)
                )
            elif act.what == "keepalive":
                before = (seq[act.side] - 1) % _WORD
                out.append(Segment(act.time, act.side, ACK, before, seq[1 - act.side], act.data))
        if self.one_direction is not None:
            out = [segment for segment in out if segment.side == self.one_direction]
        return out


def disturb(segments: list[Segment], how: str, seed: int) -> list[Segment]:
    """Do to the data segments of one connection what networks and captures do.

    ``normal`` nothing; ``shuffled`` neighbours swap places; ``retransmitted`` some are seen twice, later;
    ``overlapping`` a retransmission that is cut differently and overlaps what was sent; ``gaps`` some are missing.
    """
    if how == "normal":
        return segments
    dice = random.Random(seed)
    data = [index for index, segment in enumerate(segments) if segment.data]
    if how == "shuffled":
        out = list(segments)
        for first in data[1:]:
            second = first + dice.randint(1, 4)
            if second >= len(out) or dice.random() < 0.5 or out[second].side != out[first].side:
                continue
            a, b = out[first], out[second]
            if not (a.flags | b.flags) & (SYN | FIN | RST):
                out[first], out[second] = replace(b, time=a.time), replace(a, time=b.time)
        return out
    if how == "gaps":
        lost = set(dice.sample(data[1:], max(1, len(data) // 10))) if len(data) > 1 else set(data)
        return [segment for index, segment in enumerate(segments) if index not in lost]
    out = []
    for index, segment in enumerate(segments):
        out.append(segment)
        if index not in data or dice.random() < 0.7:
            continue
        if how == "retransmitted":
            out.append(replace(segment, time=segment.time + 0.000005))
        elif how == "overlapping":
            before = next((s for s in reversed(segments[:index]) if s.side == segment.side and s.data), None)
            if before is not None and (before.seq + len(before.data)) % _WORD == segment.seq:
                cut = len(before.data) // 2
                joined = before.data[cut:] + segment.data[: len(segment.data) // 2]
                out.append(
                    replace(
                        segment, seq=(before.seq + cut) % _WORD, data=joined, time=segment.time + 0.000005
                    )
                )
        else:
            raise ValueError(f"unknown order {how!r}")
    return out


def frames(
    stream: Stream, segments: list[Segment], *, link: str = "ethernet", mtu: int = 0, interface: int = 0
) -> list[Frame]:
    """The frames of segments.

    ``link``: ethernet, vlan, qinq, sll, sll2, raw, null, ipv6 (addresses mapped to fd00::/96).
    ``mtu``: IPv4 packets longer than this are cut to fragments.
    """
    out = []
    for number, segment in enumerate(segments):
        source, target = stream.ends[segment.side], stream.ends[1 - segment.side]
        for packet in _ip(segment, source, target, number, link == "ipv6", mtu):
            data, kind = _link(
                packet, link, stream.macs[segment.side], stream.macs[1 - segment.side], segment.side
            )
            out.append(Frame(segment.time, data, kind, interface))
    return out


def _sum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def _ip(
    s: Segment, source: tuple[str, int], target: tuple[str, int], number: int, mapped: bool, mtu: int
) -> list[bytes]:
    ends = [ipaddress.ip_address(address) for address in (source[0], target[0])]
    if mapped:
        ends = [e if e.version == 6 else ipaddress.ip_address((0xFD00 << 112) | int(e)) for e in ends]
    offset = (20 + len(s.options)) // 4 << 4
    head = (
        struct.pack(">HHIIBBHHH", source[1], target[1], s.seq, s.ack, offset, s.flags, s.window, 0, 0)
        + s.options
    )
    body = head + s.data
    pseudo = b"".join(e.packed for e in ends)
    pseudo += (
        struct.pack(">IHBB", len(body), 0, 0, 6)
        if ends[0].version == 6
        else struct.pack(">BBH", 0, 6, len(body))
    )
    check = _sum(pseudo + body)
    body = body[:16] + struct.pack(">H", check) + body[18:]
    if ends[0].version == 6:
        return [struct.pack(">IHBB", 6 << 28, len(body), 6, 64) + ends[0].packed + ends[1].packed + body]
    room = (mtu - 20) // 8 * 8 if mtu else len(body)
    pieces = [(at, body[at : at + room]) for at in range(0, len(body), room)]
    packets = []
    for at, piece in pieces:
        more = at + len(piece) < len(body)
        flags = at // 8 | (0x2000 if more else 0) | (0x4000 if len(pieces) == 1 else 0)
        ident = (number * 2 + s.side) & 0xFFFF
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(piece), ident, flags, 64, 6, 0)
        ip += ends[0].packed + ends[1].packed
        packets.append(ip[:10] + struct.pack(">H", _sum(ip)) + ip[12:] + piece)
    return packets


def _link(packet: bytes, link: str, source: bytes, target: bytes, side: int) -> tuple[bytes, str]:
    version = packet[0] >> 4
    ether = struct.pack(">H", 0x86DD if version == 6 else 0x0800)
    if link in ("ethernet", "ipv6"):
        data = target + source + ether + packet
        return data + b"\0" * max(0, 60 - len(data)), "ethernet"
    if link == "vlan":
        return target + source + struct.pack(">HH", 0x8100, 42) + ether + packet, "ethernet"
    if link == "qinq":
        return target + source + struct.pack(">HHHH", 0x88A8, 7, 0x8100, 42) + ether + packet, "ethernet"
    if link == "sll":
        return struct.pack(">HHH", 4 if side else 0, 1, 6) + source + b"\0\0" + ether + packet, "sll"
    if link == "sll2":
        return ether + struct.pack(">HIHBB", 0, 1, 1, 4 if side else 0, 6) + source + b"\0\0" + packet, "sll2"
    if link == "raw":
        return packet, "raw"
    if link == "null":
        return struct.pack("<I", 24 if version == 6 else 2) + packet, "null"
    raise ValueError(f"unknown link {link!r}")
