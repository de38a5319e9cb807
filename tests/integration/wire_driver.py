"""A helper without tests: the smallest blocking loop around a :class:`~simulators.wire.Connection`, in both roles.

It is also what shows that the wire needs nothing else.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from simulators.wire import (
    NEED_DATA,
    AssociateAccept,
    AssociateRequest,
    Connection,
    ReleaseRequest,
    ReleaseResponse,
    RemoteProtocolError,
    Role,
    State,
    accept,
    dimse,
)

VERIFICATION = "1.2.840.10008.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
WORKLIST = "1.2.840.10008.5.1.4.31"
MPPS = "1.2.840.10008.3.1.2.3.3"
COMMITMENT = "1.2.840.10008.1.20.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
TIMEOUT = 20.0


class Driver:
    """Moves bytes between a socket and a connection, and remembers what happened."""

    def __init__(self, sock: socket.socket, role: Role) -> None:
        sock.settimeout(TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.wire = Connection(role)
        self.assembler = dimse.Assembler()
        self.dataset = bytearray()
        self.log: list[Any] = []

    def send(self, pdu: Any) -> None:
        self.sock.sendall(self.wire.send(pdu))

    def message(self, context_id: int, command: dimse.Command, dataset: bytes | None = None) -> None:
        for chunk in self.wire.message_chunks(context_id, command, dataset):
            self.sock.sendall(chunk)

    def events(self) -> Iterator[Any]:
        """Upper layer events, and (context id, command, data set) of whole messages, until the end."""
        while not self.wire.should_close:
            self.wire.received(self.sock.recv_into(self.wire.buffer()))
            while True:
                for event in self.assembler.events(self.wire.data_fragments()):
                    if isinstance(event, dimse.DatasetFragment):
                        self.dataset += event.data
                    elif isinstance(event, dimse.MessageComplete):
                        dataset, self.dataset = bytes(self.dataset), bytearray()
                        assert len(dataset) == event.dataset_length
                        self.log.append(event.command.name)
                        yield event.context_id, event.command, dataset
                upper = self.wire.next_event()
                if upper is NEED_DATA:
                    break
                self.log.append(type(upper).__name__)
                yield upper


Serve = Callable[[Driver], None]


@contextlib.contextmanager
def acceptor(serve: Serve) -> Iterator[tuple[int, list[Driver]]]:
    """Serve connections one after another on a free port; errors of the serving thread are raised at the end."""
    drivers: list[Driver] = []
    errors: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock:
                    driver = Driver(sock, Role.ACCEPTOR)
                    drivers.append(driver)
                    try:
                        serve(driver)
                    except RemoteProtocolError as error:
                        driver.log.append(error)
                        sock.sendall(driver.wire.refuse(error))
                    except BaseException as error:
                        errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1], drivers
        # shutdown wakes the accept; a close alone does not.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(TIMEOUT)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def serve_all(
    *supported: str, answer: Callable[[dimse.Command, bytes], list[tuple[dimse.Command, bytes | None]]]
) -> Serve:
    """A server that accepts these abstract syntaxes and answers every message."""

    def serve(driver: Driver) -> None:
        for event in driver.events():
            if isinstance(event, AssociateRequest):
                driver.send(accept(event, dict.fromkeys(supported, (EXPLICIT, IMPLICIT)), max_length=16384))
            elif isinstance(event, ReleaseRequest):
                driver.send(ReleaseResponse())
            elif isinstance(event, tuple):
                context_id, command, dataset = event
                for reply, identifier in answer(command, dataset):
                    driver.message(context_id, reply, identifier)

    return serve


def answer_success(command: dimse.Command, dataset: bytes) -> list[tuple[dimse.Command, bytes | None]]:
    """Success to everything."""
    return [(command.reply(), None)]


@contextlib.contextmanager
def requestor(port: int, *abstract: str, called: str = "ANY") -> Iterator[Driver]:
    """An established association with the peer on this port; released at the end."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        driver = Driver(sock, Role.REQUESTOR)
        driver.send(
            AssociateRequest.build(
                called=called, calling="WIRE", contexts=[(uid, [EXPLICIT, IMPLICIT]) for uid in abstract]
            )
        )
        events = driver.events()
        answer = next(events)
        assert isinstance(answer, AssociateAccept), answer
        yield driver
        driver.send(ReleaseRequest())
        assert [type(event) for event in events] == [ReleaseResponse]
        assert driver.wire.state is State.STA1


def dataset_of(**elements: Any) -> bytes:
    """An explicit VR little endian data set."""
    from pydicom.dataset import Dataset
    from pynetdicom.dsutils import encode

    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    data = encode(dataset, False, True)
    assert data is not None
    return data
