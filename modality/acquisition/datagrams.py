"""Many UDP datagrams per system call: ``recvmmsg`` through ctypes, or a plain loop where there is none.

Rules of this file:

* A :class:`Batch` owns a slab of ``slots`` x ``size`` bytes; :meth:`Batch.receive` fills rows 0..n-1 and
  says how long each datagram was (longer ones are cut and reported with their cut length).
* Nothing blocks: who wants to wait polls the socket.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_MSG_DONTWAIT: Final = 0x40
_SO_RCVBUFFORCE: Final = 33
_IOVEC = np.dtype([("base", np.uintp), ("length", np.uintp)])
# struct mmsghdr on 64-bit Linux: msghdr with natural alignment, then the received length
_MMSGHDR = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "length"],
        "formats": ["<u8", "<u4", "<u8", "<u8", "<u8", "<u8", "<i4", "<u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)


def _find_recvmmsg() -> Any:
    """Return libc's function, or None where the plain loop must do."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        return ctypes.CDLL(None, use_errno=True).recvmmsg
    except (OSError, AttributeError):
        return None


class Batch:
    """A slab for datagrams of at most ``size`` bytes (a multiple of 4)."""

    def __init__(self, slots: int, size: int, *, plain: bool = False) -> None:
        if size % 4:
            raise ValueError("size must be a multiple of 4")
        self.slots = slots
        self.slab: npt.NDArray[np.uint8] = np.zeros((slots, size), np.uint8)
        self.words = self.slab.view(">u4")
        self._lengths: npt.NDArray[np.uint32] = np.zeros(slots, np.uint32)
        self._rows = [memoryview(row) for row in self.slab]
        self._call = None if plain else _find_recvmmsg()
        self._iov = np.zeros(slots, _IOVEC)
        self._iov["base"] = self.slab.ctypes.data + size * np.arange(slots, dtype=np.uintp)
        self._iov["length"] = size
        self._headers = np.zeros(slots, _MMSGHDR)
        self._headers["iov"] = self._iov.ctypes.data + _IOVEC.itemsize * np.arange(slots, dtype=np.uint64)
        self._headers["iovlen"] = 1
        self._pointer = ctypes.c_void_p(self._headers.ctypes.data)

    def receive(self, sock: socket.socket) -> tuple[int, npt.NDArray[np.uint32]]:
        """Take what is there: number of datagrams (0 when none) and their lengths.

        Raises :class:`OSError` for a real error of the socket.
        """
        if self._call is None:
            return self._receive_plain(sock)
        while True:
            count = int(self._call(sock.fileno(), self._pointer, self.slots, _MSG_DONTWAIT, None))
            if count >= 0:
                return count, self._headers["length"][:count]
            error = ctypes.get_errno()
            if error in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNREFUSED):
                return 0, self._lengths[:0]
            if error != errno.EINTR:
                raise OSError(error, "recvmmsg")

    def _receive_plain(self, sock: socket.socket) -> tuple[int, npt.NDArray[np.uint32]]:
        count = 0
        sock.setblocking(False)
        try:
            while count < self.slots:
                self._lengths[count] = sock.recv_into(self._rows[count])
                count += 1
        except (BlockingIOError, ConnectionRefusedError):
            pass
        return count, self._lengths[:count]


def widen(sock: socket.socket, wanted: int = 64 << 20) -> int:
    """Make a socket's receive buffer as large as the system allows; returns what it is (bytes)."""
    for option in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF) if sys.platform.startswith("linux") else (socket.SO_RCVBUF,)
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, wanted)
            break
        except OSError:
            continue  # not privileged: the ordinary limit (net.core.rmem_max) applies
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
