"""The wire asks an implementation that nobody here wrote: pynetdicom, over 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from simulators.wire import (
    Abort,
    AssociateReject,
    AssociateRequest,
    Role,
    State,
    dimse,
)
from tests.integration.wire_driver import (
    EXPLICIT,
    IMPLICIT,
    MPPS,
    SECONDARY_CAPTURE,
    TIMEOUT,
    VERIFICATION,
    WORKLIST,
    Driver,
    dataset_of,
    requestor,
)


@pytest.fixture
def pynetdicom() -> Any:
    """The package, with timeouts that end a hanging test."""
    return pytest.importorskip("pynetdicom")


@contextlib.contextmanager
def pynetdicom_server(pynetdicom: Any, *abstract: str, **handlers: Any) -> Iterator[int]:
    """A pynetdicom acceptor on a free port."""
    from pynetdicom import evt

    entity = pynetdicom.AE("PYNETDICOM")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT
    entity.maximum_pdu_size = 1000
    for uid in abstract:
        entity.add_supported_context(uid, [EXPLICIT, IMPLICIT])
    bound = [(getattr(evt, name), function) for name, function in handlers.items()]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=bound)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def test_we_echo_and_store_at_pynetdicom(pynetdicom: Any) -> None:
    received = []

    def store(event: Any) -> int:
        received.append(
            (event.dataset.PatientName, len(event.dataset.PixelData), event.request.AffectedSOPInstanceUID)
        )
        return 0xB000

    data = (
        dataset_of(PatientName="Doe", SOPInstanceUID="1.2.3.5")
        + b"\xe0\x7f\x10\x00OB\0\0"
        + (50_000).to_bytes(4, "little")
    )
    data += bytes(50_000)
    with pynetdicom_server(pynetdicom, VERIFICATION, SECONDARY_CAPTURE, EVT_C_STORE=store) as port:
        with requestor(port, VERIFICATION, SECONDARY_CAPTURE) as driver:
            assert driver.wire.peer_max_length == 1000
            events = driver.events()
            driver.message(1, dimse.Command.new("C-ECHO-RQ", MessageID=1, AffectedSOPClassUID=VERIFICATION))
            _, echoed, _ = next(events)
            assert (echoed.name, echoed.status, echoed.responded_to) == ("C-ECHO-RSP", 0, 1)
            store_rq = dimse.Command.new(
                "C-STORE-RQ",
                MessageID=2,
                AffectedSOPClassUID=SECONDARY_CAPTURE,
                AffectedSOPInstanceUID="1.2.3.5",
            )
            driver.message(3, store_rq, data)
            _, stored, _ = next(events)
            assert (stored.name, stored.status, stored.responded_to) == ("C-STORE-RSP", 0xB000, 2)
    assert received == [("Doe", 50_000, "1.2.3.5")]


def test_we_find_and_cancel_at_pynetdicom(pynetdicom: Any) -> None:
    from pydicom.dataset import Dataset

    cancel_sent = threading.Event()

    def find(event: Any) -> Iterator[tuple[int, Any]]:
        for number in range(3):
            found = Dataset()
            found.PatientID = str(number)
            yield 0xFF00, found
        assert cancel_sent.wait(TIMEOUT)
        deadline = time.monotonic() + TIMEOUT
        # pynetdicom says so once only.
        while not (cancelled := event.is_cancelled) and time.monotonic() < deadline:
            time.sleep(0.005)
        yield (0xFE00 if cancelled else 0xA700), None

    with (
        pynetdicom_server(pynetdicom, WORKLIST, EVT_C_FIND=find) as port,
        requestor(port, WORKLIST) as driver,
    ):
        events = driver.events()
        query = dimse.Command.new("C-FIND-RQ", MessageID=9, AffectedSOPClassUID=WORKLIST)
        driver.message(1, query, dataset_of(PatientID=""))
        answers = [next(events)[1] for _ in range(3)]
        assert [(answer.status, answer.has_dataset) for answer in answers] == [(0xFF00, True)] * 3
        driver.message(1, dimse.Command.new("C-CANCEL-RQ", MessageIDBeingRespondedTo=9))
        cancel_sent.set()
        final = next(events)[1]
        assert (final.status, final.has_dataset) == (0xFE00, False)


def test_we_create_and_set_at_pynetdicom(pynetdicom: Any) -> None:
    def create(event: Any) -> tuple[int, Any]:
        return 0, event.attribute_list

    def change(event: Any) -> tuple[int, Any]:
        return 0x0110, None

    with pynetdicom_server(pynetdicom, MPPS, EVT_N_CREATE=create, EVT_N_SET=change) as port:
        with requestor(port, MPPS) as driver:
            events = driver.events()
            data = dataset_of(PerformedProcedureStepStatus="IN PROGRESS")
            driver.message(
                1,
                dimse.Command.new(
                    "N-CREATE-RQ",
                    dataset=True,
                    MessageID=1,
                    AffectedSOPClassUID=MPPS,
                    AffectedSOPInstanceUID="1.2.3",
                ),
                data,
            )
            _, created, back = next(events)
            assert (created.name, created.status, created.sop_instance, back) == (
                "N-CREATE-RSP",
                0,
                "1.2.3",
                data,
            )
            driver.message(
                1,
                dimse.Command.new(
                    "N-SET-RQ", MessageID=2, RequestedSOPClassUID=MPPS, RequestedSOPInstanceUID="1.2.3"
                ),
                data,
            )
            _, changed, _ = next(events)
            assert (changed.name, changed.status) == ("N-SET-RSP", 0x0110)


def test_pynetdicom_rejects_us(pynetdicom: Any) -> None:
    entity = pynetdicom.AE("PYNETDICOM")
    entity.add_supported_context(VERIFICATION)
    entity.require_called_aet = True
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        port = server.socket.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
            driver = Driver(sock, Role.REQUESTOR)
            driver.send(
                AssociateRequest.build(called="OTHER", calling="WIRE", contexts=[(VERIFICATION, [IMPLICIT])])
            )
            assert list(driver.events()) == [AssociateReject(1, 1, 7)]
    finally:
        server.shutdown()


def test_pynetdicom_aborts_us(pynetdicom: Any) -> None:
    def echo(event: Any) -> int:
        event.assoc.abort()
        return 0

    with pynetdicom_server(pynetdicom, VERIFICATION, EVT_C_ECHO=echo) as port:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
            driver = Driver(sock, Role.REQUESTOR)
            driver.send(
                AssociateRequest.build(called="A", calling="WIRE", contexts=[(VERIFICATION, [IMPLICIT])])
            )
            events = driver.events()
            next(events)
            driver.message(1, dimse.Command.new("C-ECHO-RQ", MessageID=1, AffectedSOPClassUID=VERIFICATION))
            assert isinstance(next(events), Abort)
            assert driver.wire.state is State.STA1
