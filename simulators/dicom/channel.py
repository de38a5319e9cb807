"""What an association holds: the socket, the connection, the message that is arriving; and how it waits and tells.

Rules of this file:

* The thread blocks in ``recv`` with a kernel timeout and does nothing while nothing arrives.
* Nothing here knows faults, requests or answers: what arrives, what is agreed and what is answered builds upon it.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from simulators.dicom.message import Ended, Message, timeval
from simulators.wire import Abort, Connection, LocalProtocolError, Role, dimse

if TYPE_CHECKING:
    from simulators.dicom.server import Server


class Channel:
    """One TCP connection with its wire connection."""

    def __init__(self, server: Server, sock: socket.socket, peer: tuple[str, int], number: int) -> None:
        self.server = server
        self.sock = sock
        self.peer = peer
        self.number = number
        self.opened = time.monotonic()
        self.half_open = True
        """No association yet, or over and only waiting for the peer to close."""
        self.crowded = False
        """The server has too many of us: answer the request with a transient rejection."""
        self.closed_by_us: str | None = None
        """Set by others before they shut the socket down: why."""
        self._config = server.config
        self._service = server.service
        self._emit = server.emit
        self._faults = server.faults
        self._connection = Connection(Role.ACCEPTOR, server.limits)
        self._assembler = dimse.Assembler(server.limits)
        self._calling = self._called = ""
        self._established = False
        self._current: Message | None = None
        self._todo: deque[Message | object] = deque()
        self._answering: Message | None = None
        self._bytes_in = self._bytes_out = 0
        self._phase = ""
        self._deadline: float | None = None
        self._artim_starts = -1
        self._timeout = 0.0
        self._lost: str | None = None
        self._parts: list[memoryview] = []
        self._at_end = False

    # -- waiting --------------------------------------------------------------------------------

    def _wait(self, phase: str, seconds: float) -> None:
        """Let ``recv`` give up after so many seconds of silence (kernel timeout: no extra system call per read)."""
        if self._phase == "bulk" and phase != "bulk":
            self._low_water(1)
        self._phase = phase
        self._timeout = seconds
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(seconds))

    def _low_water(self, count: int) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _linger(self) -> None:
        """Read and forget until the peer closes: closing with unread bytes would send RST and lose our last PDU."""
        deadline = time.monotonic() + self._config.artim_s
        self.half_open = True
        scratch = bytearray(65536)
        while (left := deadline - time.monotonic()) > 0:
            self._wait("linger", left)
            try:
                count = self.sock.recv_into(scratch)
            except OSError:
                return
            if not count:
                return
            self._bytes_in += count

    # -- sending --------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except BlockingIOError:
            self._lost = "timeout"
            raise Ended("timeout", "self") from None
        self._bytes_out += len(data)

    def _abort(self, abort: Abort) -> None:
        """Abort from our side: event, PDU."""
        self._tell_cut()
        self._emit("wire.abort", assoc=self.number, by="self", source=abort.source, reason=abort.reason)
        with contextlib.suppress(OSError, LocalProtocolError):
            self.sock.sendall(self._connection.send(abort))

    # -- telling --------------------------------------------------------------------------------

    def _tell(self, message: Message, *, cut: bool = False) -> None:
        """The event of a message that arrived, stamped when its last byte was here.

        ``cut``: its command was complete, its data set will never be; ``bytes`` are those that came.
        """
        status = message.request.command.elements.get(0x0900)
        data: dict[str, Any] = {
            "assoc": self.number,
            "dir": "in",
            "field": message.request.name,
            "msgid": message.msgid,
            "context": message.context_id,
            "status": status,
            "sop_class": message.sop_class,
            "sop_instance": message.sop_instance,
            "bytes": message.bytes,
        }
        if message.bytes:
            data["started"] = message.started
        if cut:
            data["complete"] = False
        self._emit("wire.message", **data)

    def _tell_cut(self) -> None:
        """A message was cut off: tell that it was there."""
        message = self._current
        if message is not None and not message.told:
            message.told = True
            self._tell(message, cut=True)

    def _drop_current(self) -> None:
        if self._current is not None:
            self._tell_cut()
            self._current.sink.abandon()
            self._current = None

    def _emit_garbage(self, reason: str) -> None:
        self._emit(f"{self._service.source}.garbage", assoc=self.number, reason=reason)
