"""One association as an acceptor lives it: a thread, a blocking socket, a wire connection.

Rules of this file:

* The thread blocks in ``recv`` with a kernel timeout and does nothing while nothing arrives.
* Bytes go into the connection's own buffer and from there as views into the service's sink; nothing is copied.
* Arriving messages are first taken completely (:meth:`Association._take`), then answered (:meth:`Association._work`);
  while an answer has many parts, what arrives meanwhile (C-CANCEL, A-ABORT) is taken between them.
* Every way to end leads through :meth:`Association.run`, which says how it ended and closes the socket.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from simulators.dicom.faults import ASSOCIATE, RELEASE, Fault
from simulators.dicom.message import (
    CANCEL,
    NAMES,
    Ended,
    Message,
    extra_elements,
    fault_answer,
    performs,
    timeval,
)
from simulators.dicom.negotiation import decide
from simulators.dicom.quick import response
from simulators.dicom.service import (
    Answer,
    Discard,
    Refused,
    Request,
)
from simulators.wire import (
    NEED_DATA,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Connection,
    ConnectionClosed,
    LocalProtocolError,
    ReleaseRequest,
    ReleaseResponse,
    RemoteProtocolError,
    Role,
    State,
    dimse,
)

if TYPE_CHECKING:
    from simulators.dicom.server import Server

_LINGER_RST: Final = struct.pack("@ii", 1, 0)
_FRESH_S: Final = 1.0
"""After so much silence the receive buffer's memory is given back."""
_BULK: Final = 3 << 16
"""While so much of a big value is certain to come, the kernel wakes us for as much, not for every segment."""
_BULK_S: Final = 0.05
"""... but not later than so many seconds after the last wake: an A-ABORT may come instead."""
_ANSWERABLE: Final = (State.STA6, State.STA8)
"""States in which responses can be sent (PS3.8 9.2.1)."""
_QUEUED: Final = 4
_POLLRDHUP: Final = getattr(select, "POLLRDHUP", 0)


class Association:
    """Serves one TCP connection to its end."""

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
            and self._current.sink.expected > 2 * _BULK
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

    def _wait(self, phase: str, seconds: float) -> None:
        """Let ``recv`` give up after so many seconds of silence (kernel timeout: no extra system call per read)."""
        if self._phase == "bulk" and phase != "bulk":
            self._low_water(1)
        self._phase = phase
        self._timeout = seconds
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(seconds))

    def _low_water(self, count: int) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

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

    def _garbage(self, error: RemoteProtocolError) -> None:
        """The peer broke the protocol: tell, answer as the standard has it, wait for the peer to close."""
        self._tell_cut()
        answer = self._connection.refuse(error)
        if isinstance(error.answer, AssociateReject):
            reject = error.answer
            self._tell_reject(reject)
        else:
            self._emit_garbage(str(error))
            if isinstance(error.answer, Abort):
                self._emit(
                    "wire.abort",
                    assoc=self.number,
                    by="self",
                    source=error.answer.source,
                    reason=error.answer.reason,
                )
        self._established = False
        self._drop_current()
        if answer:
            self._send(answer)

    def _emit_garbage(self, reason: str) -> None:
        self._emit(f"{self._service.source}.garbage", assoc=self.number, reason=reason)

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

    def _associate(self, request: AssociateRequest) -> None:
        self._calling, self._called = request.calling, request.called
        answer: AssociateAccept | AssociateReject
        if self.crowded:
            answer = AssociateReject(2, 3, 2)
        else:
            answer = decide(request, self._service.policy())
        if self._faults.active:
            self._faults.requested(ASSOCIATE, self.number)
            for fault in self._faults.occasion(ASSOCIATE, self._calling):
                if fault.kind == "reject":
                    values = (fault.args.get(k, 1) for k in ("result", "source", "reason"))
                    answer = AssociateReject(*values)
                    self._faults.fire(fault, assoc=self.number, on=ASSOCIATE)
                else:
                    self._do(fault, on=ASSOCIATE)
        data = self._connection.send(answer)
        if isinstance(answer, AssociateReject):
            self._tell_reject(answer)
        else:
            self._established = True
            self.half_open = False
            self._deadline = None
            contexts = [
                {
                    "id": asked.context_id,
                    "abstract": asked.abstract_syntax,
                    "transfer": given.transfer_syntax if given.result == 0 else None,
                    "result": given.result,
                }
                for asked, given in zip(request.contexts, answer.contexts, strict=True)
            ]
            self._emit(
                "wire.associate",
                assoc=self.number,
                calling=request.calling,
                called=request.called,
                contexts=contexts,
                max_pdu=request.max_length,
                own_max_pdu=self._config.max_pdu,
                implementation=request.implementation_class_uid,
                version=request.implementation_version,
            )
        self._send(data)

    def _tell_reject(self, reject: AssociateReject) -> None:
        self._emit(
            "wire.reject",
            assoc=self.number,
            result=reject.result,
            source=reject.source,
            reason=reject.reason,
            by="self",
            calling=self._calling,
            called=self._called,
        )

    def _release(self) -> None:
        if self._faults.active:
            self._faults.requested(RELEASE, self.number)
            for fault in self._faults.occasion(RELEASE, self._calling):
                self._do(fault, on=RELEASE)
        data = self._connection.send(ReleaseResponse())
        self._emit("wire.release", assoc=self.number, by="peer")
        self._established = False
        self._send(data)

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

    # -- faults --------------------------------------------------------------------------------

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


_DISCARD: Final = Discard()
