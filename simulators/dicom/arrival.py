"""Bytes arrive and become messages: read from the socket, taken into the service's sinks.

Rules of this file:

* Bytes go into the connection's own buffer and from there as views into the service's sink; nothing is copied.
* A message that has arrived waits in ``_todo`` to be worked on; nothing is answered here.
* How long silence may last depends on what is expected (PS3.8 9.1.5 ARTIM, the rest of a message, a next request).
"""

from __future__ import annotations

import time
from typing import Final

from simulators.dicom.message import CANCEL, NAMES, Ended, Message, performs
from simulators.dicom.mishaps import Mishaps
from simulators.dicom.service import Discard, Refused, Request
from simulators.wire import NEED_DATA, Abort, RemoteProtocolError, dimse

_FRESH_S: Final = 1.0
"""After so much silence the receive buffer's memory is given back."""
_BULK: Final = 3 << 16
"""While so much of a big value is certain to come, the kernel wakes us for as much, not for every segment."""
_BULK_S: Final = 0.05
"""... but not later than so many seconds after the last wake: an A-ABORT may come instead."""
_DISCARD: Final = Discard()


class Arrival(Mishaps):
    """A connection from which messages come."""

    # -- reading --------------------------------------------------------------------------------

    def _read(self) -> bool:
        """Wait for bytes; false when the ARTIM time ended and the connection is to be closed."""
        connection = self._connection
        buffer = connection.buffer()
        if self._faults.by_bytes:
            room = self._room()
            if room is not None:
                buffer = buffer[:room]
        if connection.artim_running:
            self._wait_artim()
        elif (
            self._current is not None
            and self._current.sink.expected - connection.pending > 2 * _BULK
            and not self._faults.by_bytes
        ):
            if self._phase not in ("bulk", "slow"):
                self._low_water(_BULK)
                self._wait("bulk", _BULK_S)
        elif self._current is not None or not self._assembler.idle or connection.pending:
            if self._phase != "message":
                self._wait("message", self._config.dimse_s)
        elif self._phase == "artim" and self._timeout < self._config.idle_s:
            self._phase = "early"  # nothing to give back yet: the time-out that is set will do
        elif self._phase not in ("fresh", "idle", "early"):
            self._wait("fresh", min(_FRESH_S, self._config.idle_s))
        try:
            count = self.sock.recv_into(buffer)
        except BlockingIOError:
            buffer.release()
            return self._silence()
        buffer.release()
        connection.received(count)
        self._at_end = not count
        if count:
            if self._phase in ("idle", "slow", "early"):
                self._phase = ""  # the next read sets its time-out anew
            self._bytes_in += count
            if self._faults.by_bytes:
                self._faults.received(count, self.number)
                self._stream_faults()
        return True

    def _wait_artim(self) -> None:
        connection = self._connection
        now = time.monotonic()
        if self._deadline is None or connection.artim_starts != self._artim_starts:
            self._artim_starts = connection.artim_starts
            self._deadline = now + self._config.artim_s
            self.half_open = True
        # The deadline stands however many bytes drip in, so what is left of it is set again, if it is much less.
        left = max(self._deadline - now, 0.001)
        if self._phase == "bulk" or not 0.95 * left <= self._timeout <= 1.05 * left:
            self._wait("artim", left)
        self._phase = "artim"

    def _silence(self) -> bool:
        """Nothing came for as long as this phase allows."""
        connection = self._connection
        if connection.artim_running:
            if self._deadline is not None and time.monotonic() < self._deadline - 0.001:
                return False
            connection.artim_expired()
            raise Ended("timeout", "self")
        if self._phase == "bulk":
            self._wait("slow", self._config.dimse_s)
            return False
        if self._phase in ("fresh", "early"):
            connection.shrink()
            rest = self._config.idle_s - self._timeout
            if rest > 0:
                self._wait("idle", rest)
                return False
        self._lost = "timeout"
        self._abort(Abort(2, 0))
        raise Ended("timeout", "self")

    # -- taking --------------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take what the connection's buffer has, into sinks and into ``_todo``.

        True when it stopped at an event that is to be answered before what follows it can be understood.
        """
        connection = self._connection
        parts = self._parts
        fragment = dimse.DatasetFragment
        stopped = False
        try:
            # Without an association there are no messages to be looked for.
            for event in self._assembler.events(connection.data_fragments()) if self._established else ():
                if type(event) is fragment:
                    parts.append(event[0])
                    continue
                if parts:
                    self._hand_over(parts)
                if type(event) is dimse.MessageStarted:
                    self._started(event.context_id, event.command)
                else:
                    self._complete(event)  # type: ignore[arg-type]
            if parts:
                self._hand_over(parts)
            if connection.pending or self._at_end:
                pdu = connection.next_event()
                stopped = pdu is not NEED_DATA
                if stopped:
                    self._todo.append(pdu)
        except RemoteProtocolError as error:
            parts.clear()
            self._todo.append(error)
            stopped = True
        current = self._current
        if current is not None and current.byte_faults:
            self._message_faults(current)
        return stopped

    def _started(self, context_id: int, command: dimse.Command) -> None:
        field = command.elements[0x0100]
        assert isinstance(field, int)
        name = NAMES[field]
        context = self._connection.contexts[context_id]
        request = Request(
            self.number,
            self._calling,
            self._called,
            context_id,
            context.abstract_syntax,
            context.transfer_syntax,
            command,
            name,
        )
        message = self._current = Message(request, field, _DISCARD)
        if not message.asks:
            answering = self._answering
            if field == CANCEL and answering is not None and answering.msgid == command.responded_to:
                self._service.cancel(self.number, command.responded_to)
            return
        if self._faults.active:
            self._request_faults(message)
            if any(f.kind == "status" and not performs(f) for f in message.faults):
                return
        try:
            message.sink = self._service.begin(request)
        except Refused as refused:
            message.refused = refused

    def _hand_over(self, parts: list[memoryview]) -> None:
        """Give the fragments of one receive buffer to the sink."""
        message = self._current
        assert message is not None
        message.bytes = self._assembler.dataset_length or message.bytes + sum(map(len, parts))
        if message.refused is None:
            try:
                message.sink.write(parts)
            except Refused as refused:
                self._refuse(message, refused)
        parts.clear()

    @staticmethod
    def _refuse(message: Message, refused: Refused) -> None:
        """The rest of the message is read and forgotten, then the refusal is sent."""
        message.sink.abandon()
        message.sink = _DISCARD
        message.refused = refused

    def _complete(self, event: dimse.MessageComplete) -> None:
        message = self._current
        assert message is not None
        self._current = None
        message.bytes = event.dataset_length
        self._tell(message)
        if message.asks:
            self._todo.append(message)
