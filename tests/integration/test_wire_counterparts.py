"""The wire against implementations that nobody here wrote: pynetdicom and DCMTK, over 127.0.0.1, in both roles.

The driver below is as small as a blocking loop around a :class:`~simulators.wire.Connection` can be; it is also what
shows that the wire needs nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import doctor
from simulators.wire import (
    NEED_DATA,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Connection,
    ConnectionClosed,
    ReleaseRequest,
    ReleaseResponse,
    RemoteProtocolError,
    Role,
    State,
    UserIdentityRQ,
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


# -- pynetdicom asks, we answer -------------------------------------------------------------------------------------


@pytest.fixture
def pynetdicom() -> Any:
    """The package, with timeouts that end a hanging test."""
    return pytest.importorskip("pynetdicom")


def _associate(pynetdicom: Any, port: int, *abstract: str, **more: Any) -> Any:
    entity = pynetdicom.AE("PYNETDICOM")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT
    for uid in abstract:
        entity.add_requested_context(uid, [EXPLICIT, IMPLICIT])
    return entity.associate("127.0.0.1", port, ae_title="WIRE", **more)


def test_pynetdicom_echoes_and_stores_and_releases(pynetdicom: Any) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset

    stored: list[tuple[dimse.Command, bytes]] = []

    def answer(command: dimse.Command, dataset: bytes) -> list[tuple[dimse.Command, bytes | None]]:
        stored.append((command, dataset))
        return [(command.reply(0xB006 if command.name == "C-STORE-RQ" else 0), None)]

    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = SECONDARY_CAPTURE, "1.2.3.4"
    image.PatientName = "X" * 60
    image.PixelData = bytes(range(256)) * 400
    image.BitsAllocated = 8
    image["PixelData"].VR = "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = EXPLICIT
    with acceptor(serve_all(VERIFICATION, SECONDARY_CAPTURE, answer=answer)) as (port, drivers):
        association = _associate(pynetdicom, port, VERIFICATION, SECONDARY_CAPTURE, MPPS)
        assert association.is_established
        assert [context.abstract_syntax for context in association.rejected_contexts] == [MPPS]
        assert association.acceptor.maximum_length == 16384
        assert association.send_c_echo().Status == 0
        status = association.send_c_store(image)
        assert status.Status == 0xB006
        association.release()
        assert association.is_released
    [driver] = drivers
    assert driver.log == ["AssociateRequest", "C-ECHO-RQ", "C-STORE-RQ", "ReleaseRequest", "ConnectionClosed"]
    command, dataset = stored[1]
    assert (command.sop_class, command.sop_instance) == (SECONDARY_CAPTURE, "1.2.3.4")
    from io import BytesIO

    from pynetdicom.dsutils import decode as decode_dataset

    assert decode_dataset(BytesIO(dataset), False, True) == image
    assert driver.wire.request is not None
    assert driver.wire.request.calling == "PYNETDICOM"


def test_pynetdicom_finds_with_pending_answers(pynetdicom: Any) -> None:
    from pydicom.dataset import Dataset

    def answer(command: dimse.Command, dataset: bytes) -> list[tuple[dimse.Command, bytes | None]]:
        pending = [
            (command.reply(0xFF00, dataset=True), dataset_of(PatientName=f"P{n}", PatientID="7" * n))
            for n in range(5)
        ]
        return [*pending, (command.reply(), None)]

    query = Dataset()
    query.PatientName = "*"
    with acceptor(serve_all(WORKLIST, answer=answer)) as (port, _):
        association = _associate(pynetdicom, port, WORKLIST)
        results = list(association.send_c_find(query, WORKLIST))
        association.release()
    assert [status.Status for status, _ in results] == [0xFF00] * 5 + [0]
    assert [str(found.PatientName) for _, found in results[:-1]] == [f"P{n}" for n in range(5)]


def test_pynetdicom_normalized_services(pynetdicom: Any) -> None:
    from pydicom.dataset import Dataset

    seen: list[dimse.Command] = []

    def answer(command: dimse.Command, dataset: bytes) -> list[tuple[dimse.Command, bytes | None]]:
        seen.append(command)
        back = dataset if command.name in ("N-CREATE-RQ", "N-SET-RQ") else None
        if command.name in ("N-GET-RQ", "N-ACTION-RQ"):
            back = dataset_of(PatientID="7")
        return [(command.reply(dataset=back is not None), back)]

    step = Dataset()
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    action = Dataset()
    action.TransactionUID = "1.2.3"
    with acceptor(serve_all(MPPS, COMMITMENT, answer=answer)) as (port, _):
        association = _associate(pynetdicom, port, MPPS, COMMITMENT)
        for status, back in (
            association.send_n_create(step, MPPS, "1.2.3"),
            association.send_n_set(step, MPPS, "1.2.3"),
            association.send_n_get([0x00100010, 0x00100020], MPPS, "1.2.3"),
            association.send_n_action(action, 1, COMMITMENT, "1.2.840.10008.1.20.1.1"),
            association.send_n_event_report(action, 2, COMMITMENT, "1.2.840.10008.1.20.1.1"),
        ):
            assert status.Status == 0
            assert back is not None or seen[-1].name == "N-EVENT-REPORT-RQ"
        assert association.send_n_delete(MPPS, "1.2.3").Status == 0
        association.release()
    assert [command.name for command in seen] == [
        f"N-{name}-RQ" for name in ("CREATE", "SET", "GET", "ACTION", "EVENT-REPORT", "DELETE")
    ]
    assert seen[2].get("AttributeIdentifierList") == (0x00100010, 0x00100020)


def test_pynetdicom_aborts(pynetdicom: Any) -> None:
    with acceptor(serve_all(VERIFICATION, answer=answer_success)) as (port, drivers):
        association = _associate(pynetdicom, port, VERIFICATION)
        association.abort()
    assert drivers[0].log == ["AssociateRequest", "Abort"]


def test_pynetdicom_is_rejected(pynetdicom: Any) -> None:
    def serve(driver: Driver) -> None:
        for event in driver.events():
            if isinstance(event, AssociateRequest):
                driver.send(AssociateReject(2, 3, 2))

    with acceptor(serve) as (port, drivers):
        association = _associate(pynetdicom, port, VERIFICATION)
        assert association.is_rejected
        answer = association.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    assert drivers[0].log == ["AssociateRequest", "ConnectionClosed"]


def test_pynetdicom_is_aborted_within_a_message(pynetdicom: Any) -> None:
    def serve(driver: Driver) -> None:
        for event in driver.events():
            if isinstance(event, AssociateRequest):
                driver.send(accept(event, {VERIFICATION: []}))
            elif isinstance(event, tuple):
                driver.send(Abort())

    with acceptor(serve) as (port, drivers):
        association = _associate(pynetdicom, port, VERIFICATION)
        assert "Status" not in association.send_c_echo()
        association.join(TIMEOUT)
        assert association.is_aborted
    assert drivers[0].log == ["AssociateRequest", "C-ECHO-RQ", "ConnectionClosed"]


def test_pynetdicom_proposes_everything_it_can(pynetdicom: Any) -> None:
    """128 contexts, role selection, extended negotiation, user identity, asynchronous operations."""
    from pynetdicom.pdu_primitives import (
        AsynchronousOperationsWindowNegotiation,
        SOPClassCommonExtendedNegotiation,
        SOPClassExtendedNegotiation,
        UserIdentityNegotiation,
    )
    from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CTImageStorage, b"\x02\x00"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = CTImageStorage, "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = ["1.2.3", "1.2.4"]
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"me", b"secret"
    identity.positive_response_requested = True
    items = [
        window,
        extended,
        common,
        identity,
        pynetdicom.build_role(CTImageStorage, scu_role=True, scp_role=True),
    ]
    uids = [f"1.2.3.{n}" for n in range(127)]
    with acceptor(serve_all(CTImageStorage, answer=answer_success)) as (port, drivers):
        association = _associate(pynetdicom, port, CTImageStorage, *uids, ext_neg=items)
        assert association.is_established
        assert len(association.rejected_contexts) == 127
        association.release()
    request = drivers[0].wire.request
    assert request is not None
    assert len(request.contexts) == 128
    assert request.roles == {CTImageStorage: (1, 1)}
    assert UserIdentityRQ(2, 1, b"me", b"secret") in request.user_items
    kinds = {type(item).__name__ for item in request.user_items}
    assert {
        "AsyncOperationsWindow",
        "ExtendedNegotiation",
        "CommonExtendedNegotiation",
        "RoleSelection",
    } <= kinds


# -- we ask, pynetdicom answers -------------------------------------------------------------------------------------


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


# -- DCMTK ----------------------------------------------------------------------------------------------------------

dcmtk = pytest.mark.witness


@functools.cache
def tool(name: str) -> str:
    """The path of a DCMTK tool, or skip."""
    path = doctor.dcmtk(name)
    if path is None:
        pytest.skip(f"{name} of DCMTK is not installed")
    return path


def run(*command: str, expect: int = 0) -> str:
    """Run a tool; its output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, errors="replace", check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small Secondary Capture file."""
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SECONDARY_CAPTURE, "1.2.3.4.5"
    dataset.PatientName, dataset.PatientID = "Doe^John", "1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (
        300,
        400,
        16,
        16,
        15,
    )
    dataset.SamplesPerPixel, dataset.PixelRepresentation, dataset.PhotometricInterpretation = (
        1,
        0,
        "MONOCHROME2",
    )
    dataset.PixelData = bytes(i * 7 % 256 for i in range(300 * 400 * 2))
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT
    dataset.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    path = tmp_path / "image.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


@dcmtk
def test_echoscu_echoes() -> None:
    echoscu = tool("echoscu")
    with acceptor(serve_all(VERIFICATION, answer=answer_success)) as (port, drivers):
        output = run(echoscu, "-v", "--repeat", "5", "127.0.0.1", str(port))
    assert output.count("Received Echo Response (Success)") == 5
    assert drivers[0].log == ["AssociateRequest", *["C-ECHO-RQ"] * 5, "ReleaseRequest", "ConnectionClosed"]


@dcmtk
def test_echoscu_proposes_128_contexts() -> None:
    echoscu = tool("echoscu")
    with acceptor(serve_all(VERIFICATION, answer=answer_success)) as (port, drivers):
        run(echoscu, "--propose-pc", "128", "--propose-ts", "38", "127.0.0.1", str(port))
    request = drivers[0].wire.request
    assert request is not None
    assert len(request.contexts) == 128
    assert len(request.contexts[0].transfer_syntaxes) == 38


@dcmtk
def test_echoscu_aborts() -> None:
    echoscu = tool("echoscu")
    with acceptor(serve_all(VERIFICATION, answer=answer_success)) as (port, drivers):
        run(echoscu, "--abort", "127.0.0.1", str(port))
    assert drivers[0].log == ["AssociateRequest", "C-ECHO-RQ", "Abort"]


@dcmtk
@pytest.mark.parametrize("max_pdu", [4096, 16384, 131072])
def test_storescu_stores(image: Path, max_pdu: int) -> None:
    storescu = tool("storescu")
    received: list[bytes] = []

    def answer(command: dimse.Command, dataset: bytes) -> list[tuple[dimse.Command, bytes | None]]:
        received.append(dataset)
        return answer_success(command, dataset)

    with acceptor(serve_all(SECONDARY_CAPTURE, answer=answer)) as (port, drivers):
        output = run(
            storescu,
            "-v",
            "--repeat",
            "2",
            "--max-send-pdu",
            str(max_pdu),
            "127.0.0.1",
            str(port),
            str(image),
        )
    assert output.count("Received Store Response (Success)") == 2
    assert drivers[0].log.count("C-STORE-RQ") == 2
    whole = image.read_bytes()
    # DCMTK writes the data set of the file with its own encoding of lengths; the pixels are the same.
    assert received[0] == received[1]
    assert received[0].endswith(whole[-300 * 400 * 2 :])


@contextlib.contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """DCMTK's storescp on a free port, ready."""
    path = tool("storescp")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [path, "-v", "-od", str(folder), *options, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT)


@dcmtk
@pytest.mark.parametrize("max_pdu", [4096, 131072])
def test_we_echo_and_store_at_storescp(image: Path, tmp_path: Path, max_pdu: int) -> None:
    import pydicom

    folder = tmp_path / "received"
    folder.mkdir()
    sent = pydicom.dcmread(image)
    from pynetdicom.dsutils import encode as encode_dataset

    data = encode_dataset(sent, False, True)
    assert data is not None
    with storescp(folder, "--max-pdu", str(max_pdu)) as port:
        with requestor(port, VERIFICATION, SECONDARY_CAPTURE) as driver:
            assert driver.wire.peer_max_length == max_pdu
            assert driver.wire.contexts[3].transfer_syntax == EXPLICIT
            events = driver.events()
            driver.message(1, dimse.Command.new("C-ECHO-RQ", MessageID=1, AffectedSOPClassUID=VERIFICATION))
            assert next(events)[1].status == 0
            command = dimse.Command.new(
                "C-STORE-RQ",
                MessageID=2,
                AffectedSOPClassUID=SECONDARY_CAPTURE,
                AffectedSOPInstanceUID=sent.SOPInstanceUID,
            )
            driver.message(3, command, data)
            assert next(events)[1] == command.reply()
    [stored] = folder.iterdir()
    assert pydicom.dcmread(stored).PixelData == sent.PixelData


@dcmtk
def test_storescp_refuses_us(tmp_path: Path) -> None:
    with (
        storescp(tmp_path, "--refuse") as port,
        socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock,
    ):
        driver = Driver(sock, Role.REQUESTOR)
        driver.send(AssociateRequest.build(called="A", calling="B", contexts=[(VERIFICATION, [IMPLICIT])]))
        assert list(driver.events()) == [AssociateReject(1, 1, 1)]


@dcmtk
def test_storescp_aborts_us(image: Path, tmp_path: Path) -> None:
    with (
        storescp(tmp_path, "--abort-during") as port,
        socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock,
    ):
        driver = Driver(sock, Role.REQUESTOR)
        driver.send(
            AssociateRequest.build(called="A", calling="B", contexts=[(SECONDARY_CAPTURE, [EXPLICIT])])
        )
        events = driver.events()
        next(events)
        command = dimse.Command.new(
            "C-STORE-RQ", MessageID=2, AffectedSOPClassUID=SECONDARY_CAPTURE, AffectedSOPInstanceUID="1.2"
        )
        driver.message(
            1, command, dataset_of(SOPClassUID=SECONDARY_CAPTURE, SOPInstanceUID="1.2", PatientID="x")
        )
        ended = next(events)
        assert isinstance(ended, Abort | ConnectionClosed)
        assert driver.wire.state is State.STA1
