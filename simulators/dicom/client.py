"""The asking side: a blocking requestor on the wire, for services that call back and for tests.

Rules of this file:

* One association per object, one thread at a time; every wait has a deadline (:class:`TimeoutError`).
* It does what it is told, legal or not: :attr:`Requestor.sock` is there for bytes that no PDU class can say.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from simulators.wire import (
    NEED_DATA,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Connection,
    ConnectionClosed,
    Limits,
    ReleaseRequest,
    ReleaseResponse,
    Role,
    dimse,
)
from simulators.wire.pdu import UserItem


class NotEstablished(Exception):
    """The peer answered something else than an acceptance; ``event`` is what it was."""

    def __init__(self, event: object) -> None:
        super().__init__(repr(event))
        self.event = event


class AssociationLost(Exception):
    """The association ended while an answer was awaited; ``event`` says how."""

    def __init__(self, event: object) -> None:
        super().__init__(repr(event))
        self.event = event


class Requestor:
    """One association as a requestor."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 30.0) -> None:
        """Connect; no association yet."""
        self.timeout_s = timeout_s
        self.sock = socket.create_connection((host, port), timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limits = Limits()
        self.connection = Connection(Role.REQUESTOR, limits)
        self._assembler = dimse.Assembler(limits)
        self._messages: deque[tuple[dimse.Command, bytes]] = deque()
        self._data = bytearray()
        self._next_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def associate(
        self,
        called: str,
        calling: str,
        contexts: Iterable[tuple[str, Sequence[str]]] | Mapping[str, Sequence[str]],
        *,
        max_length: int = 16384,
        user_items: Iterable[UserItem] = (),
    ) -> AssociateAccept:
        """Ask for an association; raises :class:`NotEstablished`."""
        request = AssociateRequest.build(
            called=called, calling=calling, contexts=contexts, max_length=max_length, user_items=user_items
        )
        self.sock.sendall(self.connection.send(request))
        event = self._event()
        if not isinstance(event, AssociateAccept):
            raise NotEstablished(event)
        return event

    def context_for(self, abstract_syntax: str) -> int:
        """The accepted presentation context of an abstract syntax; ``LookupError`` when there is none."""
        for context in self.connection.contexts.values():
            if context.abstract_syntax == abstract_syntax:
                return context.context_id
        raise LookupError(f"no accepted context for {abstract_syntax}")

    def send(
        self, name: str, dataset: bytes | None = None, *, context: int | None = None, **elements: Any
    ) -> int:
        """Send a request; return its message id."""
        self._next_id += 1
        elements.setdefault("MessageID", None if name == "C-CANCEL-RQ" else self._next_id)
        command = dimse.Command.new(name, dataset=dataset is not None, **elements)
        context_id = context if context is not None else next(iter(self.connection.contexts))
        for chunk in self.connection.message_chunks(context_id, command, dataset):
            self.sock.sendall(chunk)
        return self._next_id

    def receive(self) -> tuple[dimse.Command, bytes]:
        """The next message with its data set; raises :class:`AssociationLost`."""
        while not self._messages:
            event = self._event(messages=True)
            if event is not None:
                raise AssociationLost(event)
        return self._messages.popleft()

    def ask(
        self, name: str, dataset: bytes | None = None, *, context: int | None = None, **elements: Any
    ) -> dimse.Command:
        """Send a request and return its first response."""
        self.send(name, dataset, context=context, **elements)
        return self.receive()[0]

    def release(self) -> object:
        """Release and wait for the answer; return the event that came (a ReleaseResponse, if all is well)."""
        self.sock.sendall(self.connection.send(ReleaseRequest()))
        event = self._event()
        self.close()
        return event

    def abort(self, source: int = 0, reason: int = 0) -> None:
        """Abort and close."""
        self.sock.sendall(self.connection.send(Abort(source, reason)))
        self.close()

    def wait_end(self) -> object:
        """Wait for what ends the association: an Abort, a ConnectionClosed."""
        while (event := self._event(messages=True)) is None:
            pass
        return event

    def close(self) -> None:
        """Close the socket; idempotent."""
        self.sock.close()

    def _event(self, *, messages: bool = False) -> object:
        """The next event that is no data; with ``messages``, also return None when a message came."""
        deadline = time.monotonic() + self.timeout_s
        while True:
            for event in self._assembler.events(self.connection.data_fragments()):
                if isinstance(event, dimse.DatasetFragment):
                    self._data += event.data
                elif isinstance(event, dimse.MessageComplete):
                    self._messages.append((event.command, bytes(self._data)))
                    self._data.clear()
            if messages and self._messages:
                return None
            pdu = self.connection.next_event()
            if pdu is not NEED_DATA:
                return pdu
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the peer did not answer")
            self.sock.settimeout(left)
            try:
                buffer = self.connection.buffer()
                try:
                    count = self.sock.recv_into(buffer)
                finally:
                    buffer.release()
            except ConnectionError:
                return self.connection.transport_failed()
            self.connection.received(count)


__all__ = [
    "AssociateReject",
    "AssociationLost",
    "ConnectionClosed",
    "NotEstablished",
    "ReleaseResponse",
    "Requestor",
]
