"""One association as a machine without sockets and clock: bytes in, events out; events in, bytes out.

Rules of this file:

* The caller owns the socket and the clock.  It reads into :meth:`Connection.buffer`, tells
  :meth:`Connection.received`, takes events until :data:`NEED_DATA`, and sends the bytes that :meth:`send` returns.
* What is allowed when is decided by :mod:`simulators.wire.states` alone, for both roles.
* For any bytes in any chunking: events or :class:`RemoteProtocolError`, never anything else.
* A PDU is judged by its 6-byte header (type, length, state) before anything is kept for it; a PDU that is refused
  or ignored is skipped and never kept.

The loop of an acceptor::

    connection = Connection(Role.ACCEPTOR)
    while not connection.should_close:
        connection.received(sock.recv_into(connection.buffer()))
        for context_id, control, data in connection.data_fragments():   # fast path, no copies
            ...
        while (event := connection.next_event()) is not NEED_DATA:
            ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

from simulators.wire.codec import (
    DATA_HEADER,
    HEADER,
    INVALID_PARAMETER,
    UNEXPECTED_PDU,
    check_length,
    decode_body,
    encode,
    split_pdvs,
)
from simulators.wire.commands import Command
from simulators.wire.errors import LocalProtocolError, RemoteProtocolError
from simulators.wire.events import NEED_DATA, ConnectionClosed, Event, NeedData, Role
from simulators.wire.limits import DEFAULT_LIMITS, Limits
from simulators.wire.messages import fragments
from simulators.wire.negotiate import AcceptedContext, agreed_contexts
from simulators.wire.pdu import (
    PDU,
    PDV,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    PresentationData,
    ReleaseRequest,
    ReleaseResponse,
)
from simulators.wire.receivebuffer import ReceiveBuffer
from simulators.wire.states import EFFECTS, STATE_TEXT, TABLE, Action, Evt, State

Bytes: TypeAlias = bytes | bytearray | memoryview
_RECEIVED: Final[dict[int, Evt]] = {
    1: Evt.EVT6,
    2: Evt.EVT3,
    3: Evt.EVT4,
    4: Evt.EVT10,
    5: Evt.EVT12,
    6: Evt.EVT13,
    7: Evt.EVT16,
}
_SENT: Final[dict[type, Evt]] = {
    AssociateRequest: Evt.EVT1,
    AssociateAccept: Evt.EVT7,
    AssociateReject: Evt.EVT8,
    PresentationData: Evt.EVT9,
    ReleaseRequest: Evt.EVT11,
    ReleaseResponse: Evt.EVT14,
    Abort: Evt.EVT15,
}
_REFUSALS: Final = (Action.AA_1, Action.AA_7, Action.AA_8)
# Where data is received (Sta6 and Sta7).  It leaves the state as it is, so that the hot path need not ask again.
_DATA_STATES: Final = frozenset(
    state
    for state in State
    if TABLE[state][Evt.EVT10] in (Action.DT_2, Action.AR_6)
    and EFFECTS[TABLE[state][Evt.EVT10]].next_state is state
)


class Connection:
    """The upper layer of one association, for either role (PS3.8 9.2).

    Not thread-safe: one thread at a time.
    """

    __slots__ = (
        "_data_limit",
        "_deaf",
        "_eof",
        "_incoming",
        "_limits",
        "_receiving",
        "_skip",
        "accept",
        "artim_running",
        "artim_starts",
        "contexts",
        "peer_max_length",
        "request",
        "role",
        "should_close",
        "state",
    )

    state: State
    """Where the association is, Sta1 to Sta13."""
    artim_running: bool
    """Whether the caller's ARTIM timer should run.  When it ends, call :meth:`artim_expired`."""
    artim_starts: int
    """How often the timer was started or restarted: restart yours when this number changed."""
    should_close: bool
    """Whether the transport connection is to be closed now (after sending what :meth:`send` returned)."""
    request: AssociateRequest | None
    accept: AssociateAccept | None
    contexts: dict[int, AcceptedContext]
    """The accepted presentation contexts by id; empty until the association is established."""
    peer_max_length: int
    """The longest variable field of a P-DATA-TF PDU that the peer takes; 0 = any."""

    def __init__(self, role: Role, limits: Limits = DEFAULT_LIMITS, *, connected: bool = True) -> None:
        """``connected``: the transport connection exists (else call :meth:`transport_connected` when it does).

        A connected acceptor begins in Sta2.  A connected requestor begins in Sta1 and goes through Sta4 to Sta5 when
        it sends its request.
        """
        self.role = role
        self._limits = limits
        self.state = State.STA1
        self._receiving = False
        self.artim_running = False
        self.artim_starts = 0
        self.should_close = False
        self.request = None
        self.accept = None
        self.contexts = {}
        self.peer_max_length = 0
        self._data_limit = limits.data_length
        self._deaf = False  # the stream makes no sense any more: throw everything away
        self._skip = 0  # bytes of a refused or ignored PDU that are still to be thrown away
        self._eof: int | None = 0 if connected else None  # None: no transport; 0: open; 1: closed; 2: told
        self._incoming = ReceiveBuffer(limits.receive_buffer)
        if connected and role is Role.ACCEPTOR:
            self._apply(Evt.EVT5)

    # -- bytes from the peer --------------------------------------------------------------------------------

    @property
    def buffer_size(self) -> int:
        """Bytes that the receive buffer holds or could hold: all the memory that a peer's bytes use here."""
        return len(self._incoming.data)

    @property
    def pending(self) -> int:
        """Bytes received and not yet given out."""
        return self._incoming.end - self._incoming.start

    def buffer(self) -> memoryview:
        """Free space for ``sock.recv_into``, never empty.  Ends the life of all views that were handed out.

        Raises :class:`LocalProtocolError` when the events of the last bytes were not taken, or after the end.
        """
        if self._eof != 0:
            raise LocalProtocolError("no open transport connection")
        self._throw_away()
        most = 6 + max(self._data_limit, self._limits.associate_length)
        if self._incoming.full and not self._unfinished(most):
            raise LocalProtocolError("take the events before receiving more")
        return self._incoming.space(most)

    def _unfinished(self, most: int) -> bool:
        """Whether all pending bytes belong to one PDU of a possible length that is not complete."""
        length: int = HEADER.unpack_from(self._incoming.data, self._incoming.start)[1]
        return self.pending < 6 + length <= most

    def _throw_away(self) -> None:
        """Let go of the pending bytes that nobody wants."""
        incoming = self._incoming
        if self._deaf or self.state is State.STA1:
            incoming.start = incoming.end
        elif self._skip:
            skipped = min(self._skip, incoming.end - incoming.start)
            self._skip -= skipped
            incoming.start += skipped

    def received(self, count: int) -> None:
        """Tell how many bytes were written into :meth:`buffer`; 0: the peer closed the connection."""
        if self._eof != 0 or not self._incoming.added(count):
            raise LocalProtocolError(f"{count} bytes cannot have been received into the buffer")
        if count == 0:
            self._eof = 1

    def receive_data(self, data: Bytes) -> None:
        """Take bytes from the peer by copying; empty: the peer closed the connection.

        The buffer grows to any size that is given at once; :meth:`buffer` with :meth:`received` is bounded.
        """
        if self._eof != 0:
            raise LocalProtocolError("no open transport connection")
        if len(data) == 0:
            self._eof = 1
        else:
            self._incoming.append(data)

    def shrink(self) -> None:
        """Give back the receive buffer's memory while nothing arrives; ends the life of handed-out views."""
        self._incoming.shrink()

    def data_fragments(self) -> Iterator[tuple[int, int, memoryview]]:
        """(context id, control byte, data) of every PDV of the complete P-DATA-TF PDUs in the buffer.

        The views are valid until the next :meth:`buffer`, :meth:`receive_data` or :meth:`shrink`.  Stops before any
        other PDU, which :meth:`next_event` then returns.  Raises :class:`RemoteProtocolError` as that does.  The
        caller may :meth:`send` between two fragments; when that ends the association, so does the iteration.
        """
        unpack = DATA_HEADER.unpack_from
        incoming = self._incoming
        view, data, end = incoming.view, incoming.data, incoming.end
        while self._receiving:
            start = incoming.start
            available = end - start
            if available < 12:
                return
            pdu_type, length, pdv_length, context_id, control = unpack(data, start)
            if pdu_type != 4:
                return
            if length <= self._data_limit and length >= 6:
                after = start + 6 + length
                if after > end:
                    return
                if pdv_length == length - 4 and context_id in self.contexts:
                    # One PDV in the PDU: what nearly everybody sends.
                    incoming.start = after
                    yield context_id, control, view[start + 12 : after]
                    continue
            pdvs = self._data(pdu_type, length)
            for pdv in pdvs:
                yield pdv
                if self.state not in _DATA_STATES:
                    return

    def _data(self, pdu_type: int, length: int) -> list[tuple[int, int, memoryview]]:
        """Take the P-DATA-TF PDU that begins the buffer; its PDVs as views."""
        incoming = self._incoming
        start = incoming.start
        try:
            check_length(pdu_type, length, self._data_limit, self._limits)
        except RemoteProtocolError as error:
            self._deaf = True
            raise self._refused(error, Evt.EVT19) from None
        incoming.start = start + 6 + length
        try:
            pdvs = split_pdvs(incoming.view[start + 6 : incoming.start], self._limits)
            for context_id, _, _ in pdvs:
                if context_id not in self.contexts:
                    raise RemoteProtocolError(
                        f"data in presentation context {context_id}, which was not accepted",
                        INVALID_PARAMETER,
                    )
        except RemoteProtocolError as error:
            raise self._refused(error, Evt.EVT19) from None
        return pdvs

    def next_event(self) -> Event | Literal[NeedData.NEED_DATA]:
        """The next event, or :data:`NEED_DATA`.

        Raises :class:`RemoteProtocolError`; then send ``connection.refuse(error)``, and close when ``should_close`` or
        when the ARTIM time is over.
        """
        incoming = self._incoming
        while True:
            self._throw_away()
            available = incoming.end - incoming.start
            if available < 6:
                return self._ended(available)
            pdu_type, length = HEADER.unpack_from(incoming.data, incoming.start)
            try:
                check_length(pdu_type, length, self._data_limit, self._limits)
            except RemoteProtocolError as error:
                # Where the next PDU begins is unknown or not worth believing.
                self._deaf = True
                raise self._refused(error, Evt.EVT19) from None
            event = _RECEIVED[pdu_type]
            action = TABLE[self.state][event]
            if action is Action.AA_6:
                self._skip = 6 + length
                continue
            if action in _REFUSALS:
                self._skip = 6 + length
                unexpected = RemoteProtocolError(
                    f"PDU type {pdu_type:02X}H while {STATE_TEXT[self.state]} (Sta{int(self.state)})",
                    UNEXPECTED_PDU,
                )
                raise self._refused(unexpected, event)
            if available < 6 + length:
                return self._ended(available)
            return self._take(pdu_type, length, event)

    def _take(self, pdu_type: int, length: int, event: Evt) -> PDU:
        """Decode the whole PDU that begins the buffer and apply its event."""
        if pdu_type == 4:
            return _data_event(self._data(pdu_type, length))
        incoming = self._incoming
        body = incoming.view[incoming.start + 6 : incoming.start + 6 + length]
        incoming.start += 6 + length
        rejection: AssociateReject | None = None
        try:
            pdu = decode_body(pdu_type, body, self._limits)
            if type(pdu) is AssociateRequest:
                _check_room(pdu.max_length)
                self.request = pdu
                self.peer_max_length = pdu.max_length
                if not pdu.protocol_version & 1:
                    rejection = AssociateReject(1, 2, 2)
            elif type(pdu) is AssociateAccept:
                assert self.request is not None
                if not pdu.protocol_version & 1:
                    raise RemoteProtocolError(
                        f"protocol version {pdu.protocol_version:04X}H accepted, 0001H proposed",
                        INVALID_PARAMETER,
                    )
                _check_room(pdu.max_length)
                self.contexts = agreed_contexts(self.request, pdu)
                self.accept = pdu
                self.peer_max_length = pdu.max_length
        except RemoteProtocolError as error:
            raise self._refused(error, Evt.EVT19) from None
        self._apply(event, otherwise=rejection is not None)
        if rejection is not None:
            self._start_artim()
            version = RemoteProtocolError(f"protocol version {self.request.protocol_version:04X}H")  # type: ignore[union-attr]
            version.answer = rejection
            raise version
        return pdu

    def _ended(self, available: int) -> ConnectionClosed | Literal[NeedData.NEED_DATA]:
        """What to say when no whole PDU is there."""
        if self._eof != 1:
            return NEED_DATA
        self._eof = 2
        self._incoming.start = self._incoming.end
        state = self.state
        if state is not State.STA1:
            self._apply(Evt.EVT17)
        self.should_close = True
        return ConnectionClosed(state, available)

    def refuse(self, error: RemoteProtocolError) -> bytes:
        """The bytes that answer a protocol error, and the state after them (an A-ABORT, an A-ASSOCIATE-RJ or none).

        Takes errors of this connection (whose state already changed) and of the DIMSE assembler (whose service user
        aborts now).
        """
        if error.answer is None:
            if TABLE[self.state][Evt.EVT15] is Action.NONE:
                return b""
            error.answer = Abort(0, 0)
            self._apply(Evt.EVT15)
        return encode(error.answer)

    def _refused(self, error: RemoteProtocolError, event: Evt) -> RemoteProtocolError:
        """Apply the table's refusal of a PDU and note the answer in the error."""
        action = TABLE[self.state][event]
        assert action in _REFUSALS
        error.answer = Abort(0, 0) if action is Action.AA_1 else Abort(2, error.abort_reason)
        self._apply(event)
        return error

    # -- what our side does ---------------------------------------------------------------------------------

    def send(self, event: PDU) -> bytes:
        """The bytes to send for an event of ours, and the new state.

        Raises :class:`LocalProtocolError` when it is not allowed now; then nothing changed.
        """
        kind = _SENT.get(type(event))
        if kind is None:
            raise LocalProtocolError(f"not an event to send: {event!r}")
        if TABLE[self.state][kind] is Action.NONE or (
            kind is Evt.EVT1 and (self.role is not Role.REQUESTOR or self.should_close or self._eof == 2)
        ):
            raise LocalProtocolError(
                f"{type(event).__name__} is not possible while {STATE_TEXT[self.state]} (Sta{int(self.state)})"
            )
        data = encode(event)
        if type(event) is PresentationData:
            self._check_data(event, len(data) - 6)
        elif type(event) is AssociateRequest:
            self._announce(event.max_length)
            self.request = event
            self._apply(kind)
            if self._eof is None:
                return b""
            self._apply(Evt.EVT2)
            return data
        elif type(event) is AssociateAccept:
            assert self.request is not None
            try:
                self.contexts = agreed_contexts(self.request, event)
            except RemoteProtocolError as error:
                raise LocalProtocolError(str(error)) from None
            self._announce(event.max_length)
            self.accept = event
        elif type(event) is Abort and self.state is State.STA4:
            data = b""  # AA-2: nobody is there to hear it
        self._apply(kind)
        return data

    def send_message(self, context_id: int, command: Command | bytes, dataset: Bytes | None = None) -> bytes:
        """One DIMSE message as P-DATA-TF PDUs within the peer's maximum length, joined; for small messages."""
        self._check_sending(context_id)
        return b"".join(fragments(context_id, command, dataset, self.peer_max_length))

    def message_chunks(
        self, context_id: int, command: Command | bytes, dataset: Bytes | Iterable[Bytes] | None = None
    ) -> Iterator[bytes]:
        """The same, one PDU at a time, for large data sets.  The state is looked at again for every PDU."""
        for chunk in fragments(context_id, command, dataset, self.peer_max_length):
            self._check_sending(context_id)
            yield chunk

    def _check_sending(self, context_id: int) -> None:
        if TABLE[self.state][Evt.EVT9] is Action.NONE:
            raise LocalProtocolError(
                f"data is not possible while {STATE_TEXT[self.state]} (Sta{int(self.state)})"
            )
        if context_id not in self.contexts:
            raise LocalProtocolError(f"presentation context {context_id} was not accepted")

    def _check_data(self, event: PresentationData, length: int) -> None:
        if self.peer_max_length and length > self.peer_max_length:
            raise LocalProtocolError(f"P-DATA-TF of {length} bytes, the peer takes {self.peer_max_length}")
        for pdv in event.pdvs:
            self._check_sending(pdv.context_id)

    def _announce(self, max_length: int) -> None:
        limit = self._limits.data_length
        self._data_limit = min(max_length, limit) if max_length else limit

    def transport_connected(self) -> bytes:
        """The transport connection exists now (only with ``connected=False``); bytes to send."""
        if self._eof is not None:
            raise LocalProtocolError("the transport connection exists already")
        event = Evt.EVT5 if self.role is Role.ACCEPTOR else Evt.EVT2
        if TABLE[self.state][event] is Action.NONE:
            raise LocalProtocolError(f"no transport connection was asked for (Sta{int(self.state)})")
        self._eof = 0
        self._apply(event)
        if self.role is Role.ACCEPTOR:
            return b""
        assert self.request is not None
        return encode(self.request)

    def transport_failed(self) -> ConnectionClosed:
        """The transport connection could not be opened, or was reset: as if the peer had closed it, at once."""
        state, pending = self.state, self.pending
        self._eof = 2
        self._incoming.start = self._incoming.end
        if TABLE[state][Evt.EVT17] is not Action.NONE:
            self._apply(Evt.EVT17)
        self.should_close = True
        return ConnectionClosed(state, pending)

    def artim_expired(self) -> None:
        """The ARTIM time is over: the transport connection is to be closed (AA-2)."""
        if not self.artim_running:
            raise LocalProtocolError("the ARTIM timer does not run")
        self._apply(Evt.EVT18)

    # -- the machine ----------------------------------------------------------------------------------------

    def _apply(self, event: Evt, *, otherwise: bool = False) -> None:
        """Do what the table says; the only place where the state changes."""
        action = TABLE[self.state][event]
        assert action is not Action.NONE
        effect = EFFECTS[action]
        if action is Action.AR_8:
            otherwise = self.role is Role.ACCEPTOR
        state = effect.next_state
        if otherwise:
            assert effect.otherwise is not None
            state = effect.otherwise
        self.state = state
        self._receiving = state in _DATA_STATES
        if effect.artim:
            self._start_artim()
        elif effect.artim is False:
            self.artim_running = False
        if effect.closes:
            self.should_close = True

    def _start_artim(self) -> None:
        self.artim_running = True
        self.artim_starts += 1


def _check_room(max_length: int) -> None:
    """A peer that takes PDUs but no byte of data in them could never be answered."""
    if 0 < max_length < 7:
        raise RemoteProtocolError(f"a maximum length of {max_length} has no room for data", INVALID_PARAMETER)


def _data_event(pdvs: list[tuple[int, int, memoryview]]) -> PresentationData:
    return PresentationData(
        tuple(PDV(context_id, control, bytes(data)) for context_id, control, data in pdvs)
    )
