"""The PACS over real sockets: storing, refusing, faults at their byte, peers that misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from bench.kinds import KINDS
from simulators.base import CommandError
from simulators.dicom.client import AssociationLost, NotEstablished, Requestor
from simulators.dicom.config import ConfigError
from simulators.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, encode
from simulators.dicom.keywords import from_mapping
from simulators.pacs import Config, Pacs, create
from simulators.wire import (
    Abort,
    AssociateReject,
    AssociateRequest,
    ConnectionClosed,
    PresentationContextRQ,
    RoleSelection,
)
from simulators.wire import encode as encode_pdu
from simulators.wire.pdu import ReleaseResponse

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
ECHO = "1.2.840.10008.1.1"
WAIT_S = 20.0


class Log:
    """Collects events and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._more = threading.Condition()

    def __call__(self, kind: str, /, **data: Any) -> None:
        with self._more:
            self.events.append((kind, data))
            self._more.notify_all()

    def wait(self, kind: str, count: int = 1, **wanted: Any) -> dict[str, Any]:
        """The count-th event of that kind with these values."""

        def found() -> list[dict[str, Any]]:
            return [d for k, d in self.events if k == kind and wanted.items() <= d.items()]

        with self._more:
            assert self._more.wait_for(lambda: len(found()) >= count, WAIT_S), (kind, wanted, self.events)
            return found()[count - 1]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    assert set(made.kinds()) <= set(KINDS)
    assert [d for k, d in made.events if k == "bench.error"] == []


Start = Callable[..., tuple[Pacs, int]]


@pytest.fixture
def start(log: Log, tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def begin(**config: Any) -> tuple[Pacs, int]:
            pacs = create({"store": str(tmp_path / "objects" / "pacs"), "artim_s": 5.0, **config}, log)
            stack.callback(pacs.stop)
            return pacs, int(pacs.start()["port"])

        yield begin
    assert threads_named("pacs") == []


def threads_named(prefix: str) -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(prefix)]


def _object(
    uid: str = "1.2.3", sop_class: str = DX, syntax: str = EXPLICIT_LE, pixels: int = 100, **more: Any
) -> bytes:
    stated = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": uid,
        "PatientName": "Doe^John",
        "PatientID": "1",
        **more,
    }
    return encode(from_mapping(stated), syntax) + _pixels(syntax, os.urandom(pixels))


def _pixels(syntax: str, value: bytes) -> bytes:
    if syntax == IMPLICIT_LE:
        return struct.pack("<HHI", 0x7FE0, 0x0010, len(value)) + value
    return (
        struct.pack((">" if syntax == EXPLICIT_BE else "<") + "HH2sHI", 0x7FE0, 0x10, b"OW", 0, len(value))
        + value
    )


@contextlib.contextmanager
def _association(
    port: int, sop_class: str = DX, syntax: str = EXPLICIT_LE, **more: Any
) -> Iterator[Requestor]:
    with Requestor("127.0.0.1", port, timeout_s=WAIT_S) as peer:
        peer.associate("PACS", "TEST", [(sop_class, [syntax]), (ECHO, [IMPLICIT_LE])], **more)
        yield peer


def _store(peer: Requestor, data: bytes, uid: str = "1.2.3", sop_class: str = DX) -> Any:
    return peer.ask(
        "C-STORE-RQ",
        data,
        context=peer.context_for(sop_class),
        AffectedSOPClassUID=sop_class,
        AffectedSOPInstanceUID=uid,
    )


def _echo(peer: Requestor) -> int:
    return peer.ask("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO).status


def _alive(port: int) -> None:
    with _association(port) as peer:
        assert _echo(peer) == 0
        assert isinstance(peer.release(), ReleaseResponse)


# -- storing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
@pytest.mark.parametrize("pixels", [0, 100, 1_000_000])
def test_an_object_is_kept_as_it_came(
    start: Start, log: Log, tmp_path: Path, syntax: str, pixels: int
) -> None:
    pacs, port = start()
    data = _object(syntax=syntax, pixels=pixels)
    with _association(port, syntax=syntax) as peer:
        assert _store(peer, data).status == 0
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
    with _association(port) as peer:
        for _ in range(2):
            assert _store(peer, _object()).status == 0
    assert [log.wait("pacs.stored", n)["copy"] for n in (1, 2)] == [1, 2]
    assert len(list((tmp_path / "objects" / "pacs").iterdir())) == 2


def test_discarding_keeps_nothing_and_still_tells_hashes(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start(store=None)
    data = _object(pixels=1_000_000)
    with _association(port) as peer:
        assert _store(peer, data).status == 0
    stored = log.wait("pacs.stored")
    assert stored["object"] is None
    assert stored["dataset"]["7FE00010"]["sha256"] == hashlib.sha256(data[-1_000_000:]).hexdigest()
    assert not (tmp_path / "objects").exists()


def test_without_hashing_the_bytes_are_kept_all_the_same(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start(hash=False)
    data = _object(pixels=1_000_000)
    with _association(port, max_length=16384) as peer:
        assert _store(peer, data).status == 0
    stored = log.wait("pacs.stored")
    assert stored["sha256"] is None
    assert stored["dataset"]["7FE00010"]["length"] == 1_000_000
    assert (tmp_path / stored["object"]).read_bytes().endswith(data)


@pytest.mark.parametrize("uid", ["../../x", "..", "/etc/passwd", "1.2.3"])
def test_what_a_peer_sends_is_never_part_of_a_path(start: Start, log: Log, tmp_path: Path, uid: str) -> None:
    _, port = start()
    name = "../../x^<script>alert(1)</script>"
    with _association(port) as peer:
        data = _object(uid, PatientName=name, PatientID="../y")
        if uid == "1.2.3":
            assert _store(peer, data, uid).status == 0
        else:  # a command with what is no UID breaks the protocol
            with pytest.raises(AssociationLost):
                _store(peer, data, uid)
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
    _alive(port)


def test_an_instance_that_is_another_is_refused(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    with _association(port) as peer:
        response = _store(peer, _object("1.2.3"), uid="1.2.4")
        assert response.status == 0xA900
        assert "1.2.4" in response.get("ErrorComment")
        assert _store(peer, _object("1.2.3", CT)).status == 0xA900
        assert _echo(peer) == 0
    refused = log.wait("pacs.refused")
    assert (refused["field"], refused["status"]) == ("C-STORE-RQ", 0xA900)
    assert list((tmp_path / "objects" / "pacs").iterdir()) == []


def test_what_is_no_data_set_is_not_understood(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    with _association(port) as peer:
        assert _store(peer, b"GET / HTTP/1.1\r\n\r\n" * 4000).status == 0xC000
        assert _store(peer, _object()[:-1]).status == 0xC000
        assert _store(peer, _object()).status == 0
    assert len(list((tmp_path / "objects" / "pacs").iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_out_of_resources(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    (tmp_path / "objects" / "pacs").rmdir()
    with _association(port) as peer:
        assert _store(peer, _object()).status == 0xA700
        assert _echo(peer) == 0


def test_requests_that_are_not_for_this_service(start: Start, log: Log) -> None:
    _, port = start()
    with _association(port) as peer:
        context = peer.context_for(DX)
        assert peer.ask("C-ECHO-RQ", context=context, AffectedSOPClassUID=ECHO).status == 0x0211
        response = peer.ask(
            "N-SET-RQ", b"", context=context, RequestedSOPClassUID=DX, RequestedSOPInstanceUID="1.2"
        )
        assert response.status == 0x0211
        wrong = peer.ask(
            "C-STORE-RQ", _object(), context=context, AffectedSOPClassUID=CT, AffectedSOPInstanceUID="1.2.3"
        )
        assert wrong.status == 0x0122


def test_a_broken_transfer_leaves_nothing(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    data = _object(pixels=1_000_000)
    with _association(port) as peer:
        chunks = list(
            peer.connection.message_chunks(
                peer.context_for(DX),
                _command("C-STORE-RQ", MessageID=1, AffectedSOPClassUID=DX, AffectedSOPInstanceUID="1.2.3"),
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
    command = _command("C-STORE-RQ", MessageID=1, AffectedSOPClassUID=DX, AffectedSOPInstanceUID="1.2.3")
    with _association(port) as peer:
        chunks = peer.connection.message_chunks(peer.context_for(DX), command, _object(pixels=1_500_000))
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


def _command(name: str, **elements: Any) -> Any:
    from simulators.wire import dimse

    return dimse.Command.new(name, **elements)


def test_going_down_and_coming_back_keeps_port_and_objects(start: Start, log: Log, tmp_path: Path) -> None:
    pacs, port = start()
    with _association(port) as peer:
        _store(peer, _object())
    pacs.stop()
    with pytest.raises(ConnectionRefusedError):
        Requestor("127.0.0.1", port)
    assert pacs.start()["port"] == port
    with _association(port) as peer:
        assert _store(peer, _object("1.2.4"), "1.2.4").status == 0
    assert log.wait("pacs.stored", 2)["object"].startswith("objects/pacs/000002-")
    assert len(pacs.command("objects", {})["objects"]) == 2
    assert pacs.command("clear", {}) == {"forgotten": 2}


# -- negotiation ------------------------------------------------------------------------------------------------


def test_who_may_associate(start: Start, log: Log) -> None:
    _, port = start(accept_calling=["GOOD"])
    for called, calling, expected in (
        ("WRONG", "GOOD", AssociateReject(1, 1, 7)),
        ("pacs", "GOOD", AssociateReject(1, 1, 7)),
        ("PACS", "BAD", AssociateReject(1, 1, 3)),
    ):
        with Requestor("127.0.0.1", port) as peer:
            with pytest.raises(NotEstablished) as caught:
                peer.associate(called, calling, {ECHO: [IMPLICIT_LE]})
            assert caught.value.event == expected
    assert log.wait("wire.reject", 3)["reason"] == 3


def test_contexts_are_answered_one_by_one(start: Start, log: Log) -> None:
    _, port = start(transfer_syntaxes=[EXPLICIT_LE, IMPLICIT_LE])
    with Requestor("127.0.0.1", port) as peer:
        accept = peer.associate(
            "PACS",
            "TEST",
            [
                (DX, [EXPLICIT_BE]),
                (DX, [EXPLICIT_BE, IMPLICIT_LE, EXPLICIT_LE]),
                ("1.2.840.10008.5.1.4.31", [IMPLICIT_LE]),
                (ECHO, [IMPLICIT_LE]),
            ],
            user_items=[RoleSelection(DX, 1, 1)],
        )
        assert [(c.context_id, c.result) for c in accept.contexts] == [(1, 4), (3, 0), (5, 3), (7, 0)]
        assert accept.contexts[1].transfer_syntax == IMPLICIT_LE
        assert accept.roles == {DX: (1, 0)}
        assert accept.max_length == 16384
        peer.release()
    contexts = log.wait("wire.associate")["contexts"]
    assert [c["transfer"] for c in contexts] == [None, IMPLICIT_LE, None, IMPLICIT_LE]


def test_the_story_of_an_association(start: Start, log: Log) -> None:
    _, port = start()
    with _association(port) as peer:
        _echo(peer)
        peer.release()
    log.wait("wire.close")
    assert log.kinds() == [
        "wire.open",
        "wire.associate",
        "wire.message",
        "pacs.echoed",
        "wire.message",
        "wire.release",
        "wire.close",
    ]
    answer = log.events[4][1]
    assert (answer["dir"], answer["field"], answer["msgid"], answer["status"]) == ("out", "C-ECHO-RSP", 1, 0)


# -- faults ------------------------------------------------------------------------------------------------


def _arm(pacs: Pacs, fault: str, **args: Any) -> None:
    pacs.command("arm", {"id": "f", "fault": fault, "args": args})


def test_reject_on_command(start: Start, log: Log) -> None:
    pacs, port = start()
    _arm(pacs, "reject", result=2, source=3, reason=1)
    with Requestor("127.0.0.1", port) as peer, pytest.raises(NotEstablished) as caught:
        peer.associate("PACS", "TEST", {ECHO: [IMPLICIT_LE]})
    assert caught.value.event == AssociateReject(2, 3, 1)
    assert log.wait("fault.fired")["id"] == "f"
    _alive(port)


@pytest.mark.parametrize(("status", "stored"), [("A700", 0), ("C000", 0), ("B000", 1), ("0000", 1)])
def test_a_status_on_command(start: Start, log: Log, status: str, stored: int) -> None:
    pacs, port = start()
    _arm(pacs, "status", of="C-STORE-RQ", status=status, comment="as told")
    with _association(port) as peer:
        assert _echo(peer) == 0
        response = _store(peer, _object())
        assert (response.status, response.get("ErrorComment")) == (int(status, 16), "as told")
        assert _store(peer, _object("1.2.4"), "1.2.4").status == 0
    assert log.wait("pacs.stored", stored + 1)["sop_instance"] == "1.2.4"
    assert "pacs.refused" not in log.kinds()


@pytest.mark.parametrize("on", ["associate", "C-STORE-RQ"])
def test_abort_on_command(start: Start, log: Log, on: str) -> None:
    pacs, port = start()
    _arm(pacs, "abort", on=on, source=2, reason=6)
    if on == "associate":
        with Requestor("127.0.0.1", port) as peer, pytest.raises(NotEstablished) as refused:
            peer.associate("PACS", "TEST", {ECHO: [IMPLICIT_LE]})
        assert refused.value.event == Abort(2, 6)
    else:
        with _association(port) as peer:
            with pytest.raises(AssociationLost) as lost:
                _store(peer, _object())
            assert lost.value.event == Abort(2, 6)
    assert log.wait("wire.abort")["by"] == "self"
    log.wait("wire.close")
    assert "pacs.lost" not in log.kinds()
    _alive(port)


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("at_bytes", [1, 12, 300_000, 999_999])
def test_close_at_a_byte_of_the_object(
    start: Start, log: Log, tmp_path: Path, how: str, at_bytes: int
) -> None:
    pacs, port = start()
    _arm(pacs, "close", on="C-STORE-RQ", at_bytes=at_bytes, how=how)
    with _association(port) as peer:
        with pytest.raises((AssociationLost, ConnectionError)) as lost:
            _store(peer, _object(pixels=2_000_000))
        if isinstance(lost.value, AssociationLost):
            assert isinstance(lost.value.event, ConnectionClosed)
    assert log.wait("fault.fired")["where"]["bytes"] == at_bytes
    assert log.wait("wire.close")["how"] == how
    assert [m["complete"] for k, m in log.events if k == "wire.message"] == [False]
    assert list((tmp_path / "objects" / "pacs").iterdir()) == []
    assert "pacs.lost" not in log.kinds()
    _alive(port)


def test_close_at_a_byte_of_the_stream(start: Start, log: Log) -> None:
    pacs, port = start()
    _arm(pacs, "close", at_bytes=1000, how="rst")
    with _association(port) as peer, pytest.raises((AssociationLost, ConnectionError)):
        _store(peer, _object(pixels=100_000))
    assert log.wait("fault.fired")["where"]["bytes"] == 1000
    assert log.wait("wire.close")["bytes_in"] == 1000


def test_a_watch_sees_its_byte_at_once(start: Start, log: Log) -> None:
    pacs, port = start()
    pacs.command("watch", {"id": "w", "received_bytes": 500_000})
    with _association(port) as peer:
        assert _store(peer, _object(pixels=1_000_000)).status == 0
    assert log.wait("trigger.hit") == {"id": "w", "received_bytes": 500_000, "assoc": 1}
    assert log.kinds().index("trigger.hit") < log.kinds().index("pacs.stored")


def test_a_delay_is_as_long_as_said(start: Start, log: Log) -> None:
    pacs, port = start()
    _arm(pacs, "delay", on="C-ECHO-RQ", by=0.3)
    with _association(port) as peer:
        begin = time.monotonic()
        assert _echo(peer) == 0
        assert time.monotonic() - begin >= 0.3
    log.wait("fault.fired")


@pytest.mark.parametrize("at_bytes", [None, 100_000])
def test_a_stall_lasts_until_it_is_disarmed(start: Start, log: Log, at_bytes: int | None) -> None:
    pacs, port = start()
    _arm(pacs, "stall", on="C-STORE-RQ", at_bytes=at_bytes)
    with _association(port) as peer:
        answers: list[int] = []
        sender = threading.Thread(
            target=lambda: answers.append(_store(peer, _object(pixels=1_000_000)).status)
        )
        sender.start()
        log.wait("fault.fired")
        _alive(port)  # only this association stands
        assert answers == []
        pacs.command("disarm", {"id": "*"})
        sender.join(WAIT_S)
        assert answers == [0]


def test_a_stall_ends_with_its_peer_and_with_the_server(start: Start, log: Log) -> None:
    pacs, port = start()
    _arm(pacs, "stall", on="C-ECHO-RQ", count=2)
    with _association(port) as peer:
        peer.send("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO)
        log.wait("fault.fired")
    log.wait("wire.close", assoc=1)
    with _association(port) as peer:
        peer.send("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO)
        log.wait("fault.fired", 2)
        pacs.stop()
        log.wait("wire.close", how="stopped")


# -- peers that misbehave -----------------------------------------------------------------------


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "random": bytes((i * 37 + 11) & 0xFF for i in range(4096)),
    "length of 4 GB": b"\x01\x00\xff\xff\xff\xff" + bytes(1000),
    "data before association": b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
    "empty request": b"\x01\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_answered_logged_and_survived(start: Start, log: Log, name: str) -> None:
    _, port = start(artim_s=0.5)
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
        sock.sendall(GARBAGE[name])
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(4096):
                answer += data
    assert answer[:6] == b"\x07\x00\x00\x00\x00\x04"
    log.wait("pacs.garbage")
    log.wait("wire.close")
    assert "pacs.lost" not in log.kinds()
    _alive(port)


def _many_contexts(count: int) -> bytes:
    """A request of that many contexts, ids wrapping around."""
    request = AssociateRequest.build(called="PACS", calling="TEST", contexts=[(ECHO, [IMPLICIT_LE])])
    contexts = [PresentationContextRQ((2 * n + 1) & 0xFF, ECHO, (IMPLICIT_LE,)) for n in range(count)]
    return encode_pdu(replace(request, items=(request.items[0], *contexts, request.items[-1])))


@pytest.mark.parametrize(("count", "kind"), [(128, 2), (129, 7), (1000, 7)])
def test_contexts_are_counted(start: Start, log: Log, count: int, kind: int) -> None:
    _, port = start(artim_s=0.5)
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
        sock.sendall(_many_contexts(count))
        assert sock.recv(1)[0] == kind
    log.wait("wire.close")
    assert ("pacs.garbage" in log.kinds()) is (kind == 7)
    _alive(port)


def test_half_a_request_runs_into_artim(start: Start, log: Log) -> None:
    _, port = start(artim_s=0.3)
    for data in (b"", b"\x01\x00", b"\x01\x00\x00\x00\x10\x00abc"):
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
            sock.sendall(data)
            assert sock.recv(100) in (b"", b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00")
    assert log.wait("wire.close", 3, how="timeout")
    _alive(port)


def test_dripping_bytes_do_not_prolong_artim(start: Start, log: Log) -> None:
    _, port = start(artim_s=0.4)
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
        sock.settimeout(0.05)
        ended = False
        while not ended and time.monotonic() - begin < WAIT_S:
            try:
                sock.sendall(b"\x01" if time.monotonic() - begin < 0.01 else b"\x00")
                ended = sock.recv(10) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                ended = True
    assert ended
    log.wait("wire.close")


def test_an_idle_association_is_ended_in_time(start: Start, log: Log) -> None:
    _, port = start(idle_s=0.2)
    with _association(port) as peer:
        assert isinstance(peer.wait_end(), Abort)
    assert log.wait("pacs.lost")["how"] == "timeout"


def test_a_message_that_stops_is_ended_in_time(start: Start, log: Log) -> None:
    _, port = start(dimse_s=0.2)
    with _association(port) as peer:
        peer.sock.sendall(b"\x04\x00\x00\x00\x40\x00abc")
        assert isinstance(peer.wait_end(), Abort)
    assert log.wait("pacs.lost")["how"] == "timeout"


@pytest.mark.parametrize("nodelay", [True, False])
def test_connections_have_their_socket_options(start: Start, log: Log, nodelay: bool) -> None:
    # They are inherited from the listening socket where the system does that.
    pacs, port = start(tcp_nodelay=nodelay, dimse_s=7.0)
    with _association(port) as peer:
        assert _echo(peer) == 0
        (association,) = pacs._server._associations.values()
        option = association.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        limit = association.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)
    assert bool(option) is nodelay
    assert struct.unpack("@ll", limit) == (7, 0)


def test_half_open_peers_cannot_lock_others_out(start: Start, log: Log) -> None:
    _, port = start(max_associations=3, artim_s=60.0)
    mute = [socket.create_connection(("127.0.0.1", port), WAIT_S) for _ in range(8)]
    try:
        _alive(port)
        assert log.wait("wire.close", how="evicted")["by"] == "self"
    finally:
        for sock in mute:
            sock.close()


def test_more_associations_than_allowed_are_rejected(start: Start, log: Log) -> None:
    _, port = start(max_associations=2)
    with _association(port) as one, _association(port) as two:
        with Requestor("127.0.0.1", port) as third:
            with pytest.raises(NotEstablished) as caught:
                third.associate("PACS", "TEST", {ECHO: [IMPLICIT_LE]})
            assert caught.value.event == AssociateReject(2, 3, 2)
        assert _echo(one) == _echo(two) == 0
        one.release()
        log.wait("wire.close", assoc=1)
        log.wait("wire.close", assoc=3)
        _alive(port)


def test_abort_by_the_peer_loses_the_association(start: Start, log: Log) -> None:
    _, port = start()
    with _association(port) as peer:
        peer.abort(2, 1)
    assert log.wait("wire.abort") == {"assoc": 1, "by": "peer", "source": 2, "reason": 1}
    assert log.wait("pacs.lost") == {"assoc": 1, "how": "abort", "pending": None}


def test_an_abort_within_a_large_object_is_seen_at_once(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    with _association(port) as peer:
        command = _command("C-STORE-RQ", MessageID=1, AffectedSOPClassUID=DX, AffectedSOPInstanceUID="1.2.3")
        chunks = list(
            peer.connection.message_chunks(peer.context_for(DX), command, _object(pixels=3_000_000))
        )
        peer.sock.sendall(b"".join(chunks[: len(chunks) // 2]) + peer.connection.send(Abort(0, 0)))
        begin = time.monotonic()
        assert log.wait("pacs.lost") == {"assoc": 1, "how": "abort", "pending": "C-STORE-RQ"}
        assert time.monotonic() - begin < 5  # far below the time-outs of a silent message
    log.wait("wire.close")
    assert list((tmp_path / "objects" / "pacs").iterdir()) == []


def test_requests_that_come_together_are_answered_in_order(start: Start, log: Log) -> None:
    _, port = start()
    with _association(port) as peer:
        for _ in range(20):
            peer.send("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO)
        assert [peer.receive()[0].responded_to for _ in range(20)] == list(range(1, 21))


def test_a_reset_by_the_peer_loses_the_association(start: Start, log: Log) -> None:
    _, port = start()
    with _association(port) as peer:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    assert log.wait("pacs.lost")["how"] == "reset"
    assert log.wait("wire.close")["how"] == "rst"


def test_many_at_once(start: Start, log: Log) -> None:
    _, port = start()
    statuses: list[int] = []

    def send(number: int) -> None:
        with _association(port) as peer:
            for n in range(5):
                uid = f"1.2.{number}.{n}"
                statuses.append(_store(peer, _object(uid, pixels=200_000), uid).status)
            peer.release()

    threads = [threading.Thread(target=send, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert statuses == [0] * 30
    objects = [d for k, d in log.events if k == "pacs.stored"]
    assert len({d["object"] for d in objects}) == 30
    assert len({d["sop_instance"] for d in objects}) == 30


# -- configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"ae_titel": "X"}, "did you mean 'ae_title'"),
        ({"ae_title": "X" * 17}, "1 to 16"),
        ({"port": 70000}, "port"),
        ({"max_pdu": 5}, "max_pdu"),
        ({"port": "many"}, "port"),
        ({"transfer_syntaxes": ["1.2.3"]}, "1.2.3"),
        ({"transfer_syntaxes": ["1.2.840.10008.1.2.1.99"]}, "not taken"),
        ({"artim_s": 0}, "artim_s"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Config.from_dict(config)


def test_an_unknown_verb(start: Start) -> None:
    with pytest.raises(CommandError, match="dance"):
        start()[0].command("dance", {})


def test_noise_never_ends_the_service(start: Start, log: Log) -> None:
    # Seeded; begins like a PDU as often as not, so that more than the first byte is looked at.
    import random

    _, port = start(artim_s=0.2)
    noise = random.Random(2)
    valid = encode_pdu(
        AssociateRequest.build(called="PACS", calling="TEST", contexts=[(ECHO, [IMPLICIT_LE])])
    )
    for number in range(60):
        data = bytearray(valid if number % 2 else noise.randbytes(noise.randrange(1, 300)))
        for _ in range(noise.randrange(1, 6)):
            data[noise.randrange(len(data))] = noise.randrange(256)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
            sock.sendall(bytes(data) + noise.randbytes(noise.randrange(100)))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
    log.wait("wire.close", 60)
    _alive(port)
