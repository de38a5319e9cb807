"""A packet recorder of our own: the kernel's TPACKET_V3 ring, drained by one process into one pcapng file.

Rules of this file:

* :func:`open_ring` returns with the kernel already recording; whoever drains the ring may start later.
* The process that drains does nothing else, in large pieces: one write per block of the ring, and each packet's block
  header is made in the ring itself, in the room that the kernel's own packet header no longer needs.
* After ``stop`` it reads until the ring stays empty, so nothing that arrived before is missing, and then states per
  interface how many packets the kernel delivered and how many it dropped.
* Linux only at run time; importing works everywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.links import pcapng

_SOL_PACKET: Final = 263
_PACKET_RX_RING: Final = 5
_PACKET_STATISTICS: Final = 6
_PACKET_VERSION: Final = 10
_TPACKET_V3: Final = 2
_SO_ATTACH_FILTER: Final = 26
_ETH_P_ALL: Final = 3

BLOCK: Final = 1 << 20
"""Bytes of one block of the ring: the unit that the kernel hands over."""
RETIRE_MS: Final = 8
"""The kernel hands a block over after this time even if it is not full."""
QUIET_S: Final = 0.020
"""An empty ring for this long (more than twice :data:`RETIRE_MS`) after ``stop`` means that all was read."""
WHOLE: Final = 0x40000
"""Snap length that no frame exceeds."""

_PACKET: Final = struct.Struct("=IIIIIIH")  # next, sec, nsec, captured, original, status, offset of the data
_HEAD: Final = pcapng.PACKET_HEADER


@dataclass(frozen=True)
class Source:
    """One interface to record: an open ring and how the file names it."""

    fd: int
    blocks: int
    name: str
    description: str
    snap: int


@dataclass(frozen=True)
class SourceReport:
    """What one interface delivered: packets in the file, packets the kernel dropped, bytes of whole frames."""

    name: str
    packets: int
    dropped: int
    bytes: int


def open_ring(
    interface: str, blocks: int, snap: int = WHOLE, ports: Iterable[int] = (), loopback: bool = False
) -> tuple[socket.socket, int]:
    """Start recording an interface of the calling thread's namespace.

    Args:
        interface: its name.
        blocks: wanted size of the ring in MB; halved as often as memory demands.
        snap: bytes to keep of each frame.
        ports: keep only TCP and UDP over IPv4 from or to these ports; empty: everything.
        loopback: count each frame once, although the loopback interface shows it twice.

    Returns:
        The socket and the size of its ring in blocks.

    Raises:
        PermissionError: capturing is not allowed here.
        OSError: no such interface, or no memory.
    """
    if not hasattr(socket, "AF_PACKET"):
        raise PermissionError(f"{sys.platform} has no packet sockets")
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: deaf until it is bound
    try:
        sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        while True:
            request = struct.pack("=7I", BLOCK, blocks, 2048, BLOCK * blocks // 2048, RETIRE_MS, 0, 0)
            try:
                sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
                break
            except OSError:
                if blocks <= 2:
                    raise
                blocks //= 2
        _attach(sock, filter_program(snap, sorted(set(ports)), loopback))
        sock.bind((interface, _ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    return sock, blocks


def filter_program(snap: int, ports: Sequence[int], once: bool) -> list[tuple[int, int, int, int]]:
    """A classic BPF program as (code, jump if true, jump if false, k).

    With *once* outgoing frames are dropped (the loopback interface shows each frame going out and coming in).
    """
    load_byte, load_half, load_half_x = 0x30, 0x28, 0x48
    equal, any_bit, header_length, give = 0x15, 0x45, 0xB1, 0x06
    if len(ports) > 100:
        raise ValueError("at most 100 ports")
    steps: list[tuple[int, int | str, int | str, int]] = []  # jumps: steps to skip, or the name of an end
    if once:
        steps += [(load_byte, 0, 0, 0xFFFF_F004), (equal, "refuse", 0, 4)]  # SKF_AD_PKTTYPE, PACKET_OUTGOING
    if ports:
        steps += [
            (load_half, 0, 0, 12),
            (equal, 0, "refuse", 0x0800),
            (load_byte, 0, 0, 23),
            (equal, 1, 0, 6),
            (equal, 0, "refuse", 17),
            (load_half, 0, 0, 20),
            (any_bit, "refuse", 0, 0x1FFF),
            (header_length, 0, 0, 14),
        ]
        for offset in (14, 16):
            steps.append((load_half_x, 0, 0, offset))
            steps += [(equal, "accept", 0, port) for port in ports]
        steps.append((give, 0, 0, 0))
    ends = {"accept": len(steps), "refuse": len(steps) + 1}

    def skip(target: int | str, position: int) -> int:
        return target if isinstance(target, int) else ends[target] - position - 1

    resolved = [(code, skip(yes, at), skip(no, at), k) for at, (code, yes, no, k) in enumerate(steps)]
    return [*resolved, (give, 0, 0, snap), (give, 0, 0, 0)]


def _attach(sock: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer))
    )


class _Ring:
    """The reading side of one ring."""

    def __init__(self, source: Source, number: int) -> None:
        self.source = source
        self.number = number
        self.sock = socket.socket(fileno=source.fd)
        self.map = mmap.mmap(source.fd, BLOCK * source.blocks, mmap.MAP_SHARED)
        self.view = memoryview(self.map)
        self.block = 0
        self.packets = 0
        self.bytes = 0

    def take(self, tails: dict[int, tuple[int, bytes]]) -> list[Any] | None:
        """The pieces to be written for the next block, or None if the kernel has none; then call :meth:`give`."""
        start = self.block * BLOCK
        memory = self.map
        status, count, offset = struct.unpack_from("=III", memory, start + 8)
        if not status & 1:
            return None
        at = start + offset
        pieces: list[Any] = []
        view, number, total_bytes = self.view, self.number, 0
        unpack, pack_into, append = _PACKET.unpack_from, _HEAD.pack_into, pieces.append
        for _ in range(count):
            step, seconds, nanoseconds, captured, original, _, data = unpack(memory, at)
            tail = tails.get(captured)
            if tail is None:
                tail = tails[captured] = pcapng.packet_tail(captured)
            stamp = seconds * 1_000_000_000 + nanoseconds
            begin = at + data - 28
            pack_into(memory, begin, 6, tail[0], number, stamp >> 32, stamp & 0xFFFF_FFFF, captured, original)
            append(view[begin : begin + 28 + captured])
            append(tail[1])
            total_bytes += original
            at += step
        self.packets += count
        self.bytes += total_bytes
        return pieces

    def give(self) -> None:
        """Hand the block back to the kernel."""
        struct.pack_into("=I", self.map, self.block * BLOCK + 8, 0)
        self.block = (self.block + 1) % self.source.blocks

    def clear_error(self) -> None:
        """Take a pending error off the socket, or poll would report it for ever."""
        self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def dropped(self) -> int:
        """Packets that found the ring full since the last call."""
        statistics = self.sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12)
        return int(struct.unpack("=III", statistics)[1])


def drain(sources: Sequence[Source], file: int, control: socket.socket) -> None:
    """Write what the rings deliver until ``stop`` (or the end of *control*), then answer with a report and return.

    The answer on *control* is one JSON line: ``{"interfaces": […]}`` or ``{"error": text}``.
    """
    start = time.time_ns()
    try:
        rings = [_Ring(source, number) for number, source in enumerate(sources)]
        os.write(
            file,
            pcapng.section_header("Modality Bench")
            + b"".join(
                pcapng.interface_description(s.name, s.description, 0 if s.snap == WHOLE else s.snap)
                for s in sources
            ),
        )
        _loop(rings, file, control)
        end = time.time_ns()
        reports = []
        for ring in rings:
            dropped = ring.dropped()
            reports.append(SourceReport(ring.source.name, ring.packets, dropped, ring.bytes))
            _write(
                file, [pcapng.interface_statistics(ring.number, start, end, ring.packets + dropped, dropped)]
            )
        answer: dict[str, Any] = {"interfaces": [asdict(report) for report in reports]}
    except OSError as error:
        answer = {"error": str(error)}
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(answer).encode() + b"\n")


def _loop(rings: list[_Ring], file: int, control: socket.socket) -> None:
    poll = select.poll()
    for ring in rings:
        poll.register(ring.sock, select.POLLIN)
    poll.register(control, select.POLLIN | select.POLLHUP)
    tails: dict[int, tuple[int, bytes]] = {}
    stopping = False
    last = time.monotonic()
    while True:
        busy = False
        for ring in rings:
            pieces = ring.take(tails)
            if pieces is not None:
                _write(file, pieces)
                del pieces  # views into the block must be gone before the kernel writes to it
                ring.give()
                busy = True
        now = time.monotonic()
        if busy:
            last = now
            continue
        if stopping and now - last >= QUIET_S:
            return
        for fd, events in poll.poll(5 if stopping else None):
            if fd == control.fileno():
                stopping = True
                last = time.monotonic()
                poll.unregister(control)
            elif events & select.POLLERR:
                # the interface went down (a pulled cable) and reports it once; recording goes on when it is up
                next(ring for ring in rings if ring.source.fd == fd).clear_error()


def _write(file: int, pieces: list[Any]) -> None:
    data = memoryview(b"".join(pieces))
    while data:
        data = data[os.write(file, data) :]


def main(arguments: list[str]) -> None:
    """Entry of a recorder process that was exec'd: JSON with the sources and descriptors as the only argument."""
    job = json.loads(arguments[0])
    run_recorder([Source(**source) for source in job["sources"]], job["file"], job["control"])


def run_recorder(sources: Sequence[Source], file: int, control: int) -> None:
    """Body of a recorder process; it outlives signals meant for the bench and ends with *control*."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(-10)  # falling behind loses evidence; only root may
    drain(sources, file, socket.socket(fileno=control))


if __name__ == "__main__":
    main(sys.argv[1:])
