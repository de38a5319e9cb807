"""One association as a machine without sockets and clock: bytes in, events out; events in, bytes out.

Rules of this file:

* The caller owns the socket and the clock.  It reads into :meth:`Connection.buffer`, tells
  :meth:`Connection.received`, takes events until :data:`NEED_DATA`, and sends the bytes that :meth:`send` returns.
* What is allowed when is decided by :mod:`simulators.wire.states` alone, for both roles.
* For any bytes in any chunking: events or :class:`RemoteProtocolError`, never anything else.
* A length is judged from the 6-byte header, before anything is kept for it.

The loop of an acceptor::

    connection = Connection(Role.ACCEPTOR)
    while True:
        connection.received(sock.recv_into(connection.buffer()))
        for context_id, control, data in connection.data_fragments():   # fast path, no copies
            ...
        while (event := connection.next_event()) is not NEED_DATA:
            ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from simulators.wire.commands import Command
from simulators.wire.errors import RemoteProtocolError
from simulators.wire.limits import DEFAULT_LIMITS, Limits
from simulators.wire.pdu import (
    PDU,
    AssociateAccept,
    AssociateRequest,
)
from simulators.wire.states import State


class Role(Enum):
    """Who asked for the association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class _NeedData(Enum):
    NEED_DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return "NEED_DATA"


NEED_DATA: Final = _NeedData.NEED_DATA
"""What :meth:`Connection.next_event` returns when it needs more bytes."""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The peer closed the transport connection.

    ``state`` is where the association was: clean in Sta13 or Sta1, a lost association elsewhere.  ``pending`` is the
    number of bytes of an unfinished PDU.
    """

    state: State
    pending: int = 0

    @property
    def clean(self) -> bool:
        """Whether the association was over."""
        return self.state in (State.STA1, State.STA13)


Bytes: TypeAlias = bytes | bytearray | memoryview
Event: TypeAlias = PDU | ConnectionClosed


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context that both sides agreed on."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


class Connection:
    """The upper layer of one association, for either role (PS3.8 9.2)."""

    state: State
    """Where the association is, Sta1 to Sta13."""
    artim_running: bool
    """Whether the caller's ARTIM timer should run.  When it ends, call :meth:`artim_expired`."""
    artim_starts: int
    """How often the timer was (re)started: restart yours when this number changed."""
    should_close: bool
    """Whether the transport connection is to be closed now."""
    request: AssociateRequest | None
    accept: AssociateAccept | None
    contexts: dict[int, AcceptedContext]
    """The accepted presentation contexts by id; empty until the association is established."""
    peer_max_length: int
    """The longest variable field of a P-DATA-TF PDU that the peer takes; 0 = any."""

    def __init__(self, role: Role, limits: Limits = DEFAULT_LIMITS, *, connected: bool = True) -> None:
        """``connected``: the transport connection exists (else call :meth:`transport_connected` when it does)."""
        raise NotImplementedError

    # -- bytes from the peer --------------------------------------------------------------------------------

    def buffer(self) -> memoryview:
        """Free space for ``sock.recv_into``, never empty.  Ends the life of all views that were handed out."""
        raise NotImplementedError

    def received(self, count: int) -> None:
        """Tell how many bytes were written into :meth:`buffer`; 0: the peer closed the connection."""
        raise NotImplementedError

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the peer by copying; empty: the peer closed the connection."""
        raise NotImplementedError

    def next_event(self) -> Event | Literal[_NeedData.NEED_DATA]:
        """The next event, or :data:`NEED_DATA`.

        Raises :class:`RemoteProtocolError`; then send ``connection.refuse(error)`` and close when ``should_close`` or
        when the ARTIM time is over.
        """
        raise NotImplementedError

    def data_fragments(self) -> Iterator[tuple[int, int, memoryview]]:
        """(context id, control byte, data) of every PDV of the complete P-DATA-TF PDUs in the buffer.

        The views are valid until the next :meth:`buffer` or :meth:`receive_data`.  Stops before any other PDU, which
        :meth:`next_event` then returns.  Raises :class:`RemoteProtocolError` as that does.
        """
        raise NotImplementedError

    def refuse(self, error: RemoteProtocolError) -> bytes:
        """The bytes that answer a protocol error, and the state after them (an A-ABORT, an A-ASSOCIATE-RJ or none).

        Takes errors of this connection and of the DIMSE assembler.
        """
        raise NotImplementedError

    # -- what our side does ---------------------------------------------------------------------------------

    def send(self, event: PDU) -> bytes:
        """The bytes to send for an event of ours, and the new state.

        Raises :class:`LocalProtocolError` when it is not allowed now; then nothing changed.
        """
        raise NotImplementedError

    def send_message(self, context_id: int, command: Command | bytes, dataset: Bytes | None = None) -> bytes:
        """One DIMSE message as P-DATA-TF PDUs within the peer's maximum length, joined; for small messages."""
        raise NotImplementedError

    def message_chunks(
        self, context_id: int, command: Command | bytes, dataset: Bytes | Iterable[Bytes] | None = None
    ) -> Iterator[bytes]:
        """The same, one PDU at a time, for large data sets.  The state is looked at again for every PDU."""
        raise NotImplementedError

    def transport_connected(self) -> bytes:
        """The transport connection exists now (only with ``connected=False``); bytes to send."""
        raise NotImplementedError

    def artim_expired(self) -> None:
        """The ARTIM time is over: the connection is to be closed."""
        raise NotImplementedError

    def shrink(self) -> None:
        """Give back the receive buffer's memory while idle."""
        raise NotImplementedError
