"""Sending many UDP datagrams at a chosen pace: ``sendmmsg`` through ctypes, or plain ``sendmsg``.

Rules of this file:

* Pixels are never copied: every datagram is gathered from an 8-byte header and a slice of the frame.
* The pace is kept against an absolute schedule; a sender that was late (another process ran) may catch up by no
  more than :data:`CATCH_UP_S`, so that no burst overruns the line's queue.
* Send buffers are small on purpose: a queue in front of the line then blocks the sender instead of losing packets.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulators.detector.gvsp import ETHERNET, Packets

CATCH_UP_S: Final = 0.010
BATCH_S: Final = 0.001
"""How much line time one system call may carry."""
SEND_TIMEOUT_S: Final = 0.5

_IOV = np.dtype([("base", "=u8"), ("len", "=u8")])
_MMSG = np.dtype(
    [
        ("name", "=u8"),
        ("namelen", "=u4"),
        ("pad0", "=u4"),
        ("iov", "=u8"),
        ("iovlen", "=u8"),
        ("control", "=u8"),
        ("controllen", "=u8"),
        ("flags", "=i4"),
        ("pad1", "=u4"),
        ("len", "=u4"),
        ("pad2", "=u4"),
    ]
)
"""struct mmsghdr of a 64 bit Linux."""


def _load() -> Any:
    """The C library's sendmmsg, or None where there is none that we know the structs of."""
    if struct.calcsize("P") != 8:
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).sendmmsg
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    function.restype = ctypes.c_int
    return function


_sendmmsg = _load()


class Pacer:
    """Keeps a line rate: ``spend`` sleeps until the line would have carried what was handed to it."""

    def __init__(
        self,
        bytes_per_s: float,
        gap_s: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.bytes_per_s = bytes_per_s
        self.gap_s = gap_s
        self._clock = clock
        self._sleep = sleep
        self._free = 0.0
        """When the line is free again."""

    def batch(self, line_bytes: int) -> int:
        """How many packets of this size to hand over at once."""
        each = line_bytes / self.bytes_per_s + self.gap_s
        return max(1, min(512, int(BATCH_S / each)))

    def begin(self) -> None:
        """After a pause: time that was not used is not made up for."""
        self._free = max(self._free, self._clock())

    def spend(self, line_bytes: int, packets: int = 1) -> None:
        """Account for packets just handed over, and wait until they are out."""
        now = self._clock()
        self._free = max(self._free, now - CATCH_UP_S) + line_bytes / self.bytes_per_s + packets * self.gap_s
        if self._free > now:
            self._sleep(self._free - now)


def tune(sock: socket.socket, line_mbps: float) -> None:
    """Size the send buffer for a line: some milliseconds, less than the line's queue of 20 ms can hold."""
    size = 524288 if line_mbps > 100 else 131072 if line_mbps > 10 else 32768  # the kernel doubles it
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    sock.settimeout(None)
    seconds, rest = divmod(SEND_TIMEOUT_S, 1)
    sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(seconds), int(rest * 1_000_000))
    )


def hurry() -> None:
    """Let this thread go before others: a detector's hardware does not wait for the bench's processors.

    Round-robin real time where the process may ask for it (root); elsewhere nothing happens.  The thread sleeps
    for most of the time, so it takes from others only what a line's pace needs (a third of one processor at 1000
    Mbit/s), and what it starts does not inherit the privilege.
    """
    try:
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(threading.get_native_id(), policy, os.sched_param(1))
    except (AttributeError, OSError):
        pass


class Burst:
    """Payload packets of one frame, in a chosen order, ready to be sent piece by piece."""

    def __init__(
        self,
        cut: Packets,
        headers: npt.NDArray[np.void],
        pixels: npt.NDArray[np.uint8],
        order: npt.NDArray[np.int64],
        destination: tuple[str, int],
        *,
        plain: bool = False,
    ) -> None:
        """``order`` holds packet ids (1..count); ``pixels`` must be contiguous and ``cut.size`` bytes long."""
        self.cut = cut
        self.order = order
        self.destination = destination
        self._headers = headers
        self._pixels = pixels
        index = order.astype(np.int64) - 1
        lengths = np.minimum(cut.step, cut.size - index * cut.step)
        self.line = (lengths + (cut.packet_size - cut.step + ETHERNET)).astype(np.int64)
        """What every packet costs on the line, in bytes."""
        self._plain = plain or _sendmmsg is None
        if self._plain:
            self._bytes = memoryview(headers.tobytes())
            self._view = pixels.data
            return
        n = len(order)
        self._iov = np.empty((n, 2), _IOV)
        self._iov[:, 0]["base"] = headers.ctypes.data + 8 * index
        self._iov[:, 0]["len"] = 8
        self._iov[:, 1]["base"] = pixels.ctypes.data + index * cut.step
        self._iov[:, 1]["len"] = lengths
        host, port = destination
        name = struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton(host) + bytes(8)
        self._name = ctypes.create_string_buffer(name, 16)
        self._msgs = np.zeros(n, _MMSG)
        self._msgs["name"] = ctypes.addressof(self._name)
        self._msgs["namelen"] = 16
        self._msgs["iov"] = self._iov.ctypes.data + 32 * np.arange(n)
        self._msgs["iovlen"] = 2

    def __len__(self) -> int:
        return len(self.order)

    def send(self, sock: socket.socket, start: int, stop: int) -> int:
        """Send packets ``order[start:stop]``; return how many went out (0 on a full or dead line)."""
        if self._plain:
            return self._send_plain(sock, start, stop)
        where = self._msgs.ctypes.data + start * _MMSG.itemsize
        sent = int(_sendmmsg(sock.fileno(), where, stop - start, 0))
        if sent >= 0:
            return sent
        if ctypes.get_errno() in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(ctypes.get_errno(), "sendmmsg")

    def _send_plain(self, sock: socket.socket, start: int, stop: int) -> int:
        for at in range(start, stop):
            packet = int(self.order[at])
            header = self._bytes[8 * packet - 8 : 8 * packet]
            try:
                sock.sendmsg((header, self._view[self.cut.piece(packet)]), (), 0, self.destination)
            except (BlockingIOError, InterruptedError):
                return at - start
        return stop - start
