"""One association as an acceptor lives it: a thread, a blocking socket, a wire connection.

Rules of this file:

* Arriving messages are first taken completely (:meth:`Association._take`), then answered (:meth:`Association._work`);
  while an answer has many parts, what arrives meanwhile (C-CANCEL, A-ABORT) is taken between them.
* Every way to end leads through :meth:`Association.run`, which says how it ended and closes the socket.

It stands on :mod:`~simulators.dicom.agreement`, :mod:`~simulators.dicom.arrival`, :mod:`~simulators.dicom.mishaps` and
:mod:`~simulators.dicom.channel`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any, Final

from simulators.dicom.agreement import Agreement
from simulators.dicom.message import NAMES, Ended, Message, extra_elements, fault_answer, performs
from simulators.dicom.quick import response
from simulators.dicom.service import Answer, Refused
from simulators.wire import (
    Abort,
    AssociateRequest,
    ConnectionClosed,
    LocalProtocolError,
    ReleaseRequest,
    ReleaseResponse,
    RemoteProtocolError,
    State,
)

_LINGER_RST: Final = struct.pack("@ii", 1, 0)
_ANSWERABLE: Final = (State.STA6, State.STA8)
"""States in which responses can be sent (PS3.8 9.2.1)."""
_QUEUED: Final = 4


class Association(Agreement):
    """Serves one TCP connection to its end."""

    # -- life --------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the end; never raises."""
        self._emit("wire.open", assoc=self.number, peer=self.peer[0], port=self.peer[1], role="acceptor")
        by, how = "peer", "fin"
        try:
            self._loop()
            by = "self"
        except Ended as end:
            by, how = end.by, end.how
        except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError):
            how = "rst"
            self._lost = self._lost or "reset"
        except OSError as error:
            by, how = "self", f"error: {error.strerror}"
        except Exception as error:
            # Our own bug must not look like the peer's: say so, and end this connection only.
            by, how = "self", f"internal error: {type(error).__name__}: {error}"
            self.server.bug(error, self.number)
        finally:
            self._close(by, how)

    def _close(self, by: str, how: str) -> None:
        if self.closed_by_us is not None:
            by, how, self._lost = "self", self.closed_by_us, None
        self._tell_cut()
        pending = None
        for message in (self._current, self._answering, *self._todo):
            if isinstance(message, Message):
                with contextlib.suppress(Exception):
                    message.sink.abandon()
                pending = pending or message.request.name
        if how == "rst" and by == "self":
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RST)
        with contextlib.suppress(OSError):
            self.sock.close()
        if self._lost is not None and self._established:
            source = self._service.source
            self._emit(f"{source}.lost", assoc=self.number, how=self._lost, pending=pending)
        self._emit(
            "wire.close",
            assoc=self.number,
            by=by,
            how=how,
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
        )

    def _loop(self) -> None:
        connection = self._connection
        if self._faults.by_bytes:
            self._stream_faults()
        while not connection.should_close:
            if not self._read():
                continue
            more = True
            while more and not connection.should_close:
                more = self._take()
                if self._todo:
                    self._work()
            if self._at_end:
                raise Ended("fin")

    # -- working --------------------------------------------------------------------------------

    def _work(self) -> None:
        todo = self._todo
        while todo:
            item = todo.popleft()
            if isinstance(item, Message):
                if self._connection.state not in _ANSWERABLE:
                    item.sink.abandon()  # the peer broke the protocol right after it
                    continue
                self._answering = item
                self._answer(item)
                self._answering = None
            elif isinstance(item, RemoteProtocolError):
                self._garbage(item)
            else:
                self._pdu(item)

    def _pdu(self, event: object) -> None:
        connection = self._connection
        if isinstance(event, AssociateRequest):
            self._associate(event)
        elif isinstance(event, ReleaseRequest):
            self._release()
        elif isinstance(event, Abort):
            self._tell_cut()
            self._emit("wire.abort", assoc=self.number, by="peer", source=event.source, reason=event.reason)
            if self._established:
                self._lost = "abort"
            raise Ended("abort")
        elif isinstance(event, ConnectionClosed):
            if not event.clean and self._established:
                self._lost = "closed"
            elif event.pending and not self._established:
                self._emit_garbage(f"{event.pending} bytes, then the connection was closed")
            raise Ended("fin")
        elif isinstance(event, ReleaseResponse):
            pass  # only after a release of ours, which acceptors here never ask for
        else:
            raise LocalProtocolError(f"unforeseen event {event!r} in {connection.state}")

    # -- answering --------------------------------------------------------------------------------

    def _answer(self, message: Message) -> None:
        """Perform a request and send its responses."""
        status_fault = None
        for fault in message.faults:
            if fault.kind == "status":
                status_fault = fault
            else:
                self._do(fault, on=message.request.name, msgid=message.msgid)
        if status_fault is not None:
            self._faults.fire(
                status_fault,
                assoc=self.number,
                on=message.request.name,
                msgid=message.msgid,
                status=status_fault.args["status"],
            )
            if not performs(status_fault):
                self._respond(message, fault_answer(status_fault))
                return
        try:
            if message.refused is not None:
                raise message.refused
            for answer in message.sink.finish():
                final = answer.status & 0xFF00 != 0xFF00
                if final and status_fault is not None:
                    answer = Answer(
                        status_fault.args["status"],
                        answer.dataset,
                        {**answer.elements, **extra_elements(status_fault)},
                    )
                self._respond(message, answer)
                if not final:
                    self._between()
        except Refused as refused:
            command = message.request.command
            self._emit(
                f"{self._service.source}.refused",
                assoc=self.number,
                field=command.name,
                status=refused.status,
                reason=refused.reason,
                msgid=command.message_id,
                sop_instance=command.sop_instance,
                **({"error_id": refused.error_id} if refused.error_id is not None else {}),
            )
            elements: dict[str, Any] = {
                "ErrorComment": refused.reason.encode("ascii", "replace").decode()[:64]
            }
            if refused.error_id is not None:
                elements["ErrorID"] = refused.error_id
            self._respond(message, Answer(refused.status, None, elements))

    def _respond(self, message: Message, answer: Answer) -> None:
        connection, request, dataset = self._connection, message.request, answer.dataset
        elements = request.command.elements
        data = None
        usual = not answer.elements and 0x1002 not in elements and 0x1008 not in elements
        if usual and dataset is None and connection.state is State.STA6 and isinstance(message.msgid, int):
            data = response(
                message.context_id,
                message.field | 0x8000,
                message.msgid,
                answer.status,
                message.sop_class,
                message.sop_instance,
                connection.peer_max_length,
            )
        if data is None:
            reply = request.command.reply(answer.status, dataset=dataset is not None, **answer.elements)
            data = connection.send_message(message.context_id, reply, dataset)
        self._send(data)
        assigned = answer.elements.get("AffectedSOPInstanceUID") if answer.elements else None
        self._emit(
            "wire.message",
            assoc=self.number,
            dir="out",
            field=NAMES[message.field | 0x8000],
            msgid=message.msgid,
            context=message.context_id,
            status=answer.status,
            sop_class=message.sop_class,
            sop_instance=assigned or message.sop_instance,
            bytes=0 if dataset is None else len(dataset),
        )

    def _between(self) -> None:
        """Take what arrived between two responses without waiting (C-CANCEL, A-ABORT, a lost connection)."""
        connection = self._connection
        # Requests that wait for their turn are bounded: a peer without asynchronous operations sends none here.
        while len(self._todo) < _QUEUED and all(isinstance(item, Message) for item in self._todo):
            buffer = connection.buffer()
            try:
                count = self.sock.recv_into(buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            finally:
                buffer.release()
            connection.received(count)
            self._at_end = not count
            self._bytes_in += count
            self._take()
            if any(isinstance(item, ConnectionClosed | Abort | RemoteProtocolError) for item in self._todo):
                self._work_on_end()
            if not count:
                return

    def _work_on_end(self) -> None:
        """The association ended while we were answering: say so at once, there is nobody to answer."""
        for item in list(self._todo):
            if isinstance(item, RemoteProtocolError):
                self._garbage(item)
                raise Ended("protocol error", "self")
            if isinstance(item, ConnectionClosed | Abort):
                self._pdu(item)
