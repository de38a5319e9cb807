"""Armed faults happen to an association: abort, close, delay and stall, now or at a byte.

Rules of this file:

* :mod:`simulators.dicom.faults` decides whether; here it is done, and what ends the connection raises
  :class:`~simulators.dicom.message.Ended`.
* No armed byte is passed unseen: as long as one waits, no more is read at once than up to it.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Any, Final

from simulators.dicom.channel import Channel
from simulators.dicom.faults import Fault
from simulators.dicom.message import Ended, Message
from simulators.wire import Abort

_POLLRDHUP: Final = getattr(select, "POLLRDHUP", 0)


class Mishaps(Channel):
    """A connection to which faults happen."""

    def _request_faults(self, message: Message) -> None:
        """The command of a request is here: what happens now, what later."""
        name = message.request.name
        self._faults.requested(name, self.number)
        for fault in self._faults.occasion(name, self._calling):
            if fault.kind in ("abort", "close"):
                self._do(fault, on=name, msgid=message.msgid)
            elif fault.kind != "reject":
                message.faults = [*message.faults, fault]
        if message.request.command.has_dataset:
            message.byte_faults = self._faults.waiting_in_message(name, self._calling)

    def _message_faults(self, message: Message) -> None:
        """Fire what waited for a byte of this message that is here now."""
        reached = self._reached(message)
        while message.byte_faults and (message.byte_faults[0].at_bytes or 0) <= reached:
            fault = message.byte_faults.pop(0)
            if self._faults.claim(fault):
                self._do(fault, on=message.request.name, msgid=message.msgid, bytes=reached)

    def _stream_faults(self) -> None:
        """Fire what waited for a byte of this connection's stream that is here now."""
        for fault in self._faults.waiting_in_stream(self._bytes_in):
            if (fault.at_bytes or 0) > self._bytes_in:
                break
            if self._faults.claim(fault):
                self._do(fault, on="stream", bytes=self._bytes_in)

    def _room(self) -> int | None:
        """How many bytes may be read at most, so that no armed byte is passed unseen."""
        rooms = []
        watch = self._faults.watch_room()
        if watch is not None:
            rooms.append(watch)
        for fault in self._faults.waiting_in_stream(self._bytes_in):
            rooms.append((fault.at_bytes or 0) - self._bytes_in)
        current = self._current
        if current is not None:
            for fault in current.byte_faults or ():
                rooms.append((fault.at_bytes or 0) - self._reached(current))
        else:
            # A command and the beginning of its data set may come together: stop before the byte can be there.
            rooms.append(self._faults.nearest_message_byte() or 0)
        rooms = [room for room in rooms if room > 0]
        return min(rooms) if rooms else None

    def _reached(self, message: Message) -> int:
        """Bytes of the data set received, those of an unfinished PDU with a single PDV included."""
        return message.bytes + max(0, self._connection.pending - 12)

    def _do(self, fault: Fault, **where: Any) -> None:
        """Let a fault happen now; those that end the connection raise."""
        self._faults.fire(fault, assoc=self.number, **where)
        if fault.kind == "abort":
            self._established = False
            self._drop_current()
            self._abort(Abort(fault.args.get("source", 0), fault.args.get("reason", 0)))
            self._linger()
            raise Ended("abort", "self")
        if fault.kind == "close":
            self._established = False
            how = str(fault.args["how"])
            if how == "fin":
                with contextlib.suppress(OSError):
                    self.sock.shutdown(socket.SHUT_WR)
                self._linger()
            raise Ended(how, "self")
        if fault.kind == "delay":
            self._hold(fault, float(fault.args["seconds"]))
        elif fault.kind == "stall":
            self._hold(fault, None)

    def _hold(self, fault: Fault, seconds: float | None) -> None:
        """Neither read nor answer for a time, or until disarmed; end when the peer closes or the server stops."""
        ours, theirs = socket.socketpair()
        poke = theirs.close
        try:
            fault.on_lift.append(poke)
            self.server.on_stop(poke)
            if fault.lifted.is_set() or self.server.stopping:
                return
            poll = select.poll()
            poll.register(ours, select.POLLIN)
            if seconds is None:
                # A stall ends with the peer, whose end the next read sees; a delay is as long as it is.
                poll.register(self.sock, _POLLRDHUP)
            poll.poll(None if seconds is None else seconds * 1000)
        finally:
            self.server.off_stop(poke)
            with contextlib.suppress(ValueError):
                fault.on_lift.remove(poke)
            ours.close()
            theirs.close()
