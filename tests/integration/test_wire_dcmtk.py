"""The wire against DCMTK's echoscu, storescu and storescp over 127.0.0.1, in both roles."""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import doctor
from simulators.wire import (
    Abort,
    AssociateReject,
    AssociateRequest,
    ConnectionClosed,
    Role,
    State,
    dimse,
)
from tests.integration.wire_driver import (
    EXPLICIT,
    IMPLICIT,
    SECONDARY_CAPTURE,
    TIMEOUT,
    VERIFICATION,
    Driver,
    acceptor,
    answer_success,
    dataset_of,
    requestor,
    serve_all,
)

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
