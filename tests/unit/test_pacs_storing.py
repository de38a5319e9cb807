"""The PACS over real sockets: what is sent is kept byte by byte, or refused and gone."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from simulators.dicom.client import AssociationLost, Requestor
from simulators.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from tests.unit.pacs_peers import (
    CT,
    DX,
    ECHO,
    WAIT_S,
    Log,
    Start,
    a_command,
    an_association,
    an_object,
    ask_echo,
    checked_log,
    it_answers,
    put_object,
    starter,
)


@pytest.fixture
def log() -> Iterator[Log]:
    with checked_log() as made:
        yield made


@pytest.fixture
def start(log: Log, tmp_path: Path) -> Iterator[Start]:
    with starter(log, tmp_path) as begin:
        yield begin


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
@pytest.mark.parametrize("pixels", [0, 100, 1_000_000])
def test_an_object_is_kept_as_it_came(
    start: Start, log: Log, tmp_path: Path, syntax: str, pixels: int
) -> None:
    pacs, port = start()
    data = an_object(syntax=syntax, pixels=pixels)
    with an_association(port, syntax=syntax) as peer:
        assert put_object(peer, data).status == 0
        peer.release()
    stored = log.wait("pacs.stored")
    file = (tmp_path / stored["object"]).read_bytes()
    assert stored["object"].startswith("objects/pacs/000001-")
    assert hashlib.sha256(file).hexdigest() == stored["sha256"]
    assert len(file) == stored["bytes"]
    assert file.endswith(data)
    read = dcmread(io.BytesIO(file))
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.file_meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID == "1.2.3"
    assert read.file_meta.SourceApplicationEntityTitle == "TEST"
    assert read.file_meta.FileMetaInformationGroupLength + 144 + len(data) == len(file)
    value = data[-pixels:] if pixels else b""
    shown = stored["dataset"]["7FE00010"]
    assert (shown["sha256"], shown["length"]) == (hashlib.sha256(value).hexdigest(), pixels)
    assert stored["dataset"]["00100010"]["Value"] == [{"Alphabetic": "Doe^John"}]
    assert pacs.command("objects", {})["objects"][0]["sha256"] == stored["sha256"]
    assert sorted(os.listdir(tmp_path / "objects" / "pacs")) == [Path(stored["object"]).name]


def test_the_same_instance_twice_is_kept_twice(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    with an_association(port) as peer:
        for _ in range(2):
            assert put_object(peer, an_object()).status == 0
    assert [log.wait("pacs.stored", n)["copy"] for n in (1, 2)] == [1, 2]
    assert len(list((tmp_path / "objects" / "pacs").iterdir())) == 2


def test_discarding_keeps_nothing_and_still_tells_hashes(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start(store=None)
    data = an_object(pixels=1_000_000)
    with an_association(port) as peer:
        assert put_object(peer, data).status == 0
    stored = log.wait("pacs.stored")
    assert stored["object"] is None
    assert stored["dataset"]["7FE00010"]["sha256"] == hashlib.sha256(data[-1_000_000:]).hexdigest()
    assert not (tmp_path / "objects").exists()


def test_without_hashing_the_bytes_are_kept_all_the_same(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start(hash=False)
    data = an_object(pixels=1_000_000)
    with an_association(port, max_length=16384) as peer:
        assert put_object(peer, data).status == 0
    stored = log.wait("pacs.stored")
    assert stored["sha256"] is None
    assert stored["dataset"]["7FE00010"]["length"] == 1_000_000
    assert (tmp_path / stored["object"]).read_bytes().endswith(data)


@pytest.mark.parametrize("uid", ["../../x", "..", "/etc/passwd", "1.2.3"])
def test_what_a_peer_sends_is_never_part_of_a_path(start: Start, log: Log, tmp_path: Path, uid: str) -> None:
    _, port = start()
    name = "../../x^<script>alert(1)</script>"
    with an_association(port) as peer:
        data = an_object(uid, PatientName=name, PatientID="../y")
        if uid == "1.2.3":
            assert put_object(peer, data, uid).status == 0
        else:  # a command with what is no UID breaks the protocol
            with pytest.raises(AssociationLost):
                put_object(peer, data, uid)
            assert log.wait("pacs.garbage")
    log.wait("wire.close")
    assert {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*")} <= {"objects"}
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    for path in files:
        assert path.parent == tmp_path / "objects" / "pacs"
        assert path.name.startswith("000001-")
    if uid == "1.2.3":
        shown = log.wait("pacs.stored")["dataset"]
        assert shown["00100010"]["Value"] == [{"Alphabetic": name}]
        assert len(files) == 1
    it_answers(port)


def test_an_instance_that_is_another_is_refused(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    with an_association(port) as peer:
        response = put_object(peer, an_object("1.2.3"), uid="1.2.4")
        assert response.status == 0xA900
        assert "1.2.4" in response.get("ErrorComment")
        assert put_object(peer, an_object("1.2.3", CT)).status == 0xA900
        assert ask_echo(peer) == 0
    refused = log.wait("pacs.refused")
    assert (refused["field"], refused["status"]) == ("C-STORE-RQ", 0xA900)
    assert list((tmp_path / "objects" / "pacs").iterdir()) == []


def test_what_is_no_data_set_is_not_understood(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    with an_association(port) as peer:
        assert put_object(peer, b"GET / HTTP/1.1\r\n\r\n" * 4000).status == 0xC000
        assert put_object(peer, an_object()[:-1]).status == 0xC000
        assert put_object(peer, an_object()).status == 0
    assert len(list((tmp_path / "objects" / "pacs").iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_out_of_resources(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    (tmp_path / "objects" / "pacs").rmdir()
    with an_association(port) as peer:
        assert put_object(peer, an_object()).status == 0xA700
        assert ask_echo(peer) == 0


def test_requests_that_are_not_for_this_service(start: Start, log: Log) -> None:
    _, port = start()
    with an_association(port) as peer:
        context = peer.context_for(DX)
        assert peer.ask("C-ECHO-RQ", context=context, AffectedSOPClassUID=ECHO).status == 0x0211
        response = peer.ask(
            "N-SET-RQ", b"", context=context, RequestedSOPClassUID=DX, RequestedSOPInstanceUID="1.2"
        )
        assert response.status == 0x0211
        wrong = peer.ask(
            "C-STORE-RQ", an_object(), context=context, AffectedSOPClassUID=CT, AffectedSOPInstanceUID="1.2.3"
        )
        assert wrong.status == 0x0122


def test_a_broken_transfer_leaves_nothing(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    data = an_object(pixels=1_000_000)
    with an_association(port) as peer:
        chunks = list(
            peer.connection.message_chunks(
                peer.context_for(DX),
                a_command("C-STORE-RQ", MessageID=1, AffectedSOPClassUID=DX, AffectedSOPInstanceUID="1.2.3"),
                data,
            )
        )
        peer.sock.sendall(b"".join(chunks[: len(chunks) // 2]))
    lost = log.wait("pacs.lost")
    assert (lost["how"], lost["pending"]) == ("closed", "C-STORE-RQ")
    message = log.wait("wire.message")
    assert (message["field"], message["complete"]) == ("C-STORE-RQ", False)
    assert 0 < message["bytes"] < 1_000_000
    log.wait("wire.close")
    assert list((tmp_path / "objects" / "pacs").iterdir()) == []
    assert "pacs.stored" not in log.kinds()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="what waits in a socket is told by Linux only")
def test_the_last_bytes_are_not_waited_for(start: Start, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in bulk counts what has arrived of a PDU, so that it never waits for more than is still to come."""
    monkeypatch.setattr("simulators.dicom.arrival._BULK_S", 10 * WAIT_S)
    _, port = start(max_pdu=1 << 20)
    command = a_command("C-STORE-RQ", MessageID=1, AffectedSOPClassUID=DX, AffectedSOPInstanceUID="1.2.3")
    with an_association(port) as peer:
        chunks = peer.connection.message_chunks(peer.context_for(DX), command, an_object(pixels=1_500_000))
        data = b"".join(chunks)
        for begin, end in ((0, len(data) - 5_000), (len(data) - 5_000, len(data))):
            peer.sock.sendall(data[begin:end])
            _taken(port)
        assert peer.receive()[0].status == 0
    log.wait("pacs.stored")


def _taken(port: int) -> None:
    """Wait until what was sent to the port has been read, but for less than a bulk."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        waiting = [int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(f":{port:04X}")]
        if max(waiting, default=0) < 3 << 16:
            return
        time.sleep(0.001)  # nobody tells when another socket was read
    raise AssertionError("the server does not read")


def test_going_down_and_coming_back_keeps_port_and_objects(start: Start, log: Log, tmp_path: Path) -> None:
    pacs, port = start()
    with an_association(port) as peer:
        put_object(peer, an_object())
    pacs.stop()
    with pytest.raises(ConnectionRefusedError):
        Requestor("127.0.0.1", port)
    assert pacs.start()["port"] == port
    with an_association(port) as peer:
        assert put_object(peer, an_object("1.2.4"), "1.2.4").status == 0
    assert log.wait("pacs.stored", 2)["object"].startswith("objects/pacs/000002-")
    assert len(pacs.command("objects", {})["objects"]) == 2
    assert pacs.command("clear", {}) == {"forgotten": 2}
