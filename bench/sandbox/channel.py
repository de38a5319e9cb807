"""JSON lines over a socket, both ways, between a sandbox and its launcher."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from typing import Any, Final

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes that one message may have; a sandbox is our own code, so more is a fault."""


class ChannelClosed(ConnectionError):
    """The other side has gone."""


class Channel:
    """One end.  Any thread may send; one thread at a time may receive.

    Args:
        sock: a connected stream socket; becomes this object's.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._searched = 0
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """The descriptor, for ``select``; a message may also wait in :meth:`pending`."""
        return self._sock.fileno()

    def pending(self) -> bool:
        """Whether a whole message was already read from the socket."""
        return b"\n" in self._buffer

    def send(self, message: Any) -> None:
        """Send anything that JSON can say.

        Raises:
            ChannelClosed: the other side has gone.
            TypeError: JSON cannot say it.
        """
        data = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        try:
            with self._sending:
                self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed("the other side of the channel has gone") from error

    def recv(self, timeout_s: float | None = None) -> Any:
        """The next message.

        Raises:
            TimeoutError: none came within *timeout_s*.
            ChannelClosed: the other side has gone and nothing is left.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                self._searched = 0
                return json.loads(line)
            self._searched = len(self._buffer)
            if self._searched > MAX_LINE:
                raise ChannelClosed(f"a message of more than {MAX_LINE} bytes")
            if deadline is not None:
                # a socket time-out would also bind the threads that send
                ready, _, _ = select.select([self._sock], [], [], max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError(f"no message within {timeout_s} s")
            try:
                data = self._sock.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise ChannelClosed("the other side of the channel has gone")
            self._buffer += data

    def close(self) -> None:
        """Close this end."""
        self._sock.close()
