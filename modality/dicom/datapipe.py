"""P-DATA straight into the socket: one message in as few, as long PDUs as the peer allows, without copying pixels.

Rules of this file:

* The upper layer is pynetdicom's; only P-DATA-TF of requests are written here, by the thread that sends, while
  pynetdicom's own threads read (so a peer's abort or close ends the writing at once).
* The maximum length counts the PDU-length field's bytes, so a fragment has 6 less (PS3.8 D.1, MX-D-03); every fragment
  but the last is of even length (PS3.8 E.2).
* Writing waits for the network; a peer that takes nothing for ``idle`` seconds is given up.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final

_HEAD: Final = struct.Struct(">BBIIBB")
_COMMAND, _LAST = 1, 2
_GATHER: Final = 1 << 20
"""Bytes given to the kernel in one call, about."""
_FEWEST: Final = 16
"""A peer that takes less than this in a PDU cannot be spoken with."""

Buffers = list[bytes | memoryview]


class TooShort(ValueError):
    """The peer's maximum length leaves no room for data."""


class DataPipe:
    """Writes messages of one presentation context after the other to one connection."""

    def __init__(self, sock: socket.socket, maximum_length: int, idle: float) -> None:
        """Begin to use a connection of pynetdicom's; it stays the owner.

        Raises:
            TooShort: nothing fits into the peer's PDUs.
        """
        if maximum_length < _FEWEST:
            raise TooShort(f"the peer takes PDUs of {maximum_length} bytes at most")
        self._room = (maximum_length - 6) & ~1
        # Own descriptor: when pynetdicom closes its own, the number must not be somebody else's all of a sudden.
        self._socket = sock.dup()
        self._socket.settimeout(idle)

    def close(self) -> None:
        """Give the descriptor back; the connection lives on."""
        self._socket.close()

    def send(self, context_id: int, command: bytes, pieces: Iterable[bytes | memoryview]) -> None:
        """Send one message: command set, then data set.

        Raises:
            OSError: the connection ended, or took nothing for too long.
        """
        waiting: Buffers = []
        size = 0
        for head, fragment in self._fragments(context_id, command, pieces):
            waiting.append(head)
            waiting += fragment
            size += len(head) + sum(len(part) for part in fragment)
            if size >= _GATHER:
                self._write(waiting)
                waiting, size = [], 0
        self._write(waiting)

    def _fragments(
        self, context_id: int, command: bytes, pieces: Iterable[bytes | memoryview]
    ) -> Iterator[tuple[bytes, Buffers]]:
        for flag, whole in ((_COMMAND, [command]), (0, pieces)):
            for fragment, last in _cut(whole, self._room):
                length = sum(len(part) for part in fragment)
                control = flag | (_LAST if last else 0)
                yield _HEAD.pack(4, 0, length + 6, length + 2, context_id, control), fragment

    def _write(self, buffers: Buffers) -> None:
        while buffers:
            sent = self._socket.sendmsg(buffers[:_IOV])
            done = 0
            for part in buffers:
                if sent < len(part):
                    break
                sent -= len(part)
                done += 1
            buffers = buffers[done:]
            if sent and buffers:
                buffers[0] = memoryview(buffers[0])[sent:]


_IOV: Final = 512


def _cut(pieces: Iterable[bytes | memoryview], room: int) -> Iterator[tuple[Buffers, bool]]:
    """Pieces of any size into fragments of ``room`` bytes, the last one shorter; tells which is the last."""
    fragment: Buffers = []
    free = room
    for piece in pieces:
        view = memoryview(piece)
        while len(view):
            if not free:  # only now is it known that the full fragment is not the last
                yield fragment, False
                fragment, free = [], room
            part = view[:free]
            fragment.append(part)
            free -= len(part)
            view = view[len(part) :]
    yield fragment, True
