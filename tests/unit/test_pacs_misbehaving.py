"""Peers that misbehave cost the PACS nothing: garbage, silence, crowds, breaks."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.dicom.client import NotEstablished, Requestor
from simulators.dicom.elements import IMPLICIT_LE
from simulators.wire import (
    Abort,
    AssociateReject,
    AssociateRequest,
    PresentationContextRQ,
)
from simulators.wire import encode as encode_pdu
from tests.unit.pacs_peers import (
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
    it_answers(port)


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
    it_answers(port)


def test_half_a_request_runs_into_artim(start: Start, log: Log) -> None:
    _, port = start(artim_s=0.3)
    for data in (b"", b"\x01\x00", b"\x01\x00\x00\x00\x10\x00abc"):
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
            sock.sendall(data)
            assert sock.recv(100) in (b"", b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00")
    assert log.wait("wire.close", 3, how="timeout")
    it_answers(port)


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
    with an_association(port) as peer:
        assert isinstance(peer.wait_end(), Abort)
    assert log.wait("pacs.lost")["how"] == "timeout"


def test_a_message_that_stops_is_ended_in_time(start: Start, log: Log) -> None:
    _, port = start(dimse_s=0.2)
    with an_association(port) as peer:
        peer.sock.sendall(b"\x04\x00\x00\x00\x40\x00abc")
        assert isinstance(peer.wait_end(), Abort)
    assert log.wait("pacs.lost")["how"] == "timeout"


@pytest.mark.parametrize("nodelay", [True, False])
def test_connections_have_their_socket_options(start: Start, log: Log, nodelay: bool) -> None:
    # They are inherited from the listening socket where the system does that.
    pacs, port = start(tcp_nodelay=nodelay, dimse_s=7.0)
    with an_association(port) as peer:
        assert ask_echo(peer) == 0
        (association,) = pacs._server._associations.values()
        option = association.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        limit = association.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)
    assert bool(option) is nodelay
    assert struct.unpack("@ll", limit) == (7, 0)


def test_half_open_peers_cannot_lock_others_out(start: Start, log: Log) -> None:
    _, port = start(max_associations=3, artim_s=60.0)
    mute = [socket.create_connection(("127.0.0.1", port), WAIT_S) for _ in range(8)]
    try:
        it_answers(port)
        assert log.wait("wire.close", how="evicted")["by"] == "self"
    finally:
        for sock in mute:
            sock.close()


def test_more_associations_than_allowed_are_rejected(start: Start, log: Log) -> None:
    _, port = start(max_associations=2)
    with an_association(port) as one, an_association(port) as two:
        with Requestor("127.0.0.1", port) as third:
            with pytest.raises(NotEstablished) as caught:
                third.associate("PACS", "TEST", {ECHO: [IMPLICIT_LE]})
            assert caught.value.event == AssociateReject(2, 3, 2)
        assert ask_echo(one) == ask_echo(two) == 0
        one.release()
        log.wait("wire.close", assoc=1)
        log.wait("wire.close", assoc=3)
        it_answers(port)


def test_abort_by_the_peer_loses_the_association(start: Start, log: Log) -> None:
    _, port = start()
    with an_association(port) as peer:
        peer.abort(2, 1)
    assert log.wait("wire.abort") == {"assoc": 1, "by": "peer", "source": 2, "reason": 1}
    assert log.wait("pacs.lost") == {"assoc": 1, "how": "abort", "pending": None}


def test_an_abort_within_a_large_object_is_seen_at_once(start: Start, log: Log, tmp_path: Path) -> None:
    _, port = start()
    with an_association(port) as peer:
        command = a_command("C-STORE-RQ", MessageID=1, AffectedSOPClassUID=DX, AffectedSOPInstanceUID="1.2.3")
        chunks = list(
            peer.connection.message_chunks(peer.context_for(DX), command, an_object(pixels=3_000_000))
        )
        peer.sock.sendall(b"".join(chunks[: len(chunks) // 2]) + peer.connection.send(Abort(0, 0)))
        # "abort": a time-out of the silent message would be told as one
        assert log.wait("pacs.lost") == {"assoc": 1, "how": "abort", "pending": "C-STORE-RQ"}
    log.wait("wire.close")
    assert list((tmp_path / "objects" / "pacs").iterdir()) == []


def test_requests_that_come_together_are_answered_in_order(start: Start, log: Log) -> None:
    _, port = start()
    with an_association(port) as peer:
        for _ in range(20):
            peer.send("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO)
        assert [peer.receive()[0].responded_to for _ in range(20)] == list(range(1, 21))


def test_a_reset_by_the_peer_loses_the_association(start: Start, log: Log) -> None:
    _, port = start()
    with an_association(port) as peer:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    assert log.wait("pacs.lost")["how"] == "reset"
    assert log.wait("wire.close")["how"] == "rst"


def test_many_at_once(start: Start, log: Log) -> None:
    _, port = start()
    statuses: list[int] = []

    def send(number: int) -> None:
        with an_association(port) as peer:
            for n in range(5):
                uid = f"1.2.{number}.{n}"
                statuses.append(put_object(peer, an_object(uid, pixels=200_000), uid).status)
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
    it_answers(port)
