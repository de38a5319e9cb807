"""pcap and pcapng files from frames: several interfaces, time units, byte orders, snap lengths, gzip.

Rules of this file: formats as in draft-ietf-opsawg-pcap and -pcapng; deterministic (no date, no host name).
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LINKTYPES = {"null": 0, "ethernet": 1, "raw": 101, "sll": 113, "ipv4": 228, "ipv6": 229, "sll2": 276}
"""Link types of frames (tcpdump.org/linktypes)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: seconds since the epoch, the bytes, the name of its link type, and its interface."""

    time: float
    data: bytes
    link: str = "ethernet"
    interface: int = 0


def pcap(
    frames: Iterable[Frame], *, nanoseconds: bool = False, order: str = "<", snaplen: int = 262144
) -> bytes:
    """A pcap file; the link type is that of the first frame."""
    frames = list(frames)
    link = LINKTYPES[frames[0].link] if frames else 1
    unit = 1_000_000_000 if nanoseconds else 1_000_000
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)]
    for frame in frames:
        ticks = round(frame.time * unit)
        data = frame.data[:snaplen]
        out.append(struct.pack(order + "IIII", ticks // unit, ticks % unit, len(data), len(frame.data)))
        out.append(data)
    return b"".join(out)


def pcapng(
    frames: Iterable[Frame],
    *,
    nanoseconds: bool = False,
    order: str = "<",
    snaplen: int = 0,
    comment: str = "",
    simple: bool = False,
    sections: int = 1,
) -> bytes:
    """A pcapng file; one interface per (interface, link type) that occurs, each section with its own.

    ``simple``: Simple Packet Blocks (no times).  ``sections``: the frames are dealt to so many sections.
    """
    frames = list(frames)
    size = -(-len(frames) // sections) if frames else 0
    out = []
    for number in range(sections):
        part = frames[number * size : (number + 1) * size]
        interfaces = sorted({(f.interface, f.link) for f in part}) or [(0, "ethernet")]
        options = _option(order, 1, comment.encode()) if comment and not number else b""
        out.append(
            _block(
                order,
                0x0A0D0D0A,
                struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + _options(order, options),
            )
        )
        for _, link in interfaces:
            resolution = _option(order, 9, b"\x09") if nanoseconds else b""
            body = struct.pack(order + "HHI", LINKTYPES[link], 0, snaplen) + _options(order, resolution)
            out.append(_block(order, 1, body))
        index = {key: at for at, key in enumerate(interfaces)}
        for frame in part:
            data = frame.data[:snaplen] if snaplen else frame.data
            padding = b"\0" * (-len(data) % 4)
            if simple:
                out.append(_block(order, 3, struct.pack(order + "I", len(frame.data)) + data + padding))
                continue
            ticks = round(frame.time * (1_000_000_000 if nanoseconds else 1_000_000))
            head = struct.pack(
                order + "IIIII",
                index[frame.interface, frame.link],
                ticks >> 32,
                ticks & 0xFFFFFFFF,
                len(data),
                len(frame.data),
            )
            out.append(_block(order, 6, head + data + padding))
    return b"".join(out)


def _block(order: str, kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def _option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _options(order: str, options: bytes) -> bytes:
    return options + struct.pack(order + "HH", 0, 0) if options else b""


def write(path: Path | str, data: bytes) -> Path:
    """Write a file; a name that ends with .gz is compressed (always to the same bytes)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path
