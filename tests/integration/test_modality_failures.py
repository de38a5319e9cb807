"""What the console does when peers refuse, fail, fall silent or vanish: warnings, and nothing lost."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NAME = "modality_peers"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name(f"{_NAME}.py"))
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
peers: Any = sys.modules[_NAME]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Any]:
    made = peers.Console(tmp_path)
    yield made
    made.end()
    assert b"Traceback" not in (tmp_path / "stderr").read_bytes()


class RawPeer:
    """A TCP listener whose behaviour is one function on the accepted socket."""

    title = "PACS"

    def __init__(self, behave: Any) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.behave = behave
        self.ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.behave(connection, self.ended)

    def close(self) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # a thread in accept() would keep the port open
        self.socket.close()


def _read_pdu(connection: socket.socket) -> bytes:
    head = connection.recv(6, socket.MSG_WAITALL)
    return head + connection.recv(int.from_bytes(head[2:6], "big"), socket.MSG_WAITALL)


def _accept_dx(connection: socket.socket) -> None:
    """Answer an A-ASSOCIATE-RQ of one context with an A-ASSOCIATE-AC (PS3.8 9.3.3), max PDU without limit."""
    request = _read_pdu(connection)

    def item(kind: int, value: bytes) -> bytes:
        return bytes([kind, 0]) + len(value).to_bytes(2, "big") + value

    body = request[6:74] + item(0x10, b"1.2.840.10008.3.1.1.1")
    body += item(0x21, b"\x01\0\0\0" + item(0x40, b"1.2.840.10008.1.2.1"))
    body += item(0x50, item(0x51, b"\0\0\0\0") + item(0x52, b"1.2.3"))
    connection.sendall(b"\x02\0" + len(body).to_bytes(4, "big") + body)


def _reject(connection: socket.socket, ended: threading.Event) -> None:
    _read_pdu(connection)
    connection.sendall(b"\x03\0\0\0\0\x04\0\x02\x03\x02")
    connection.recv(10)


def _silent(connection: socket.socket, ended: threading.Event) -> None:
    ended.wait(60)


def _silent_after_image(connection: socket.socket, ended: threading.Event) -> None:
    _accept_dx(connection)
    while connection.recv(1 << 16):
        pass


def _stalled_mid_image(connection: socket.socket, ended: threading.Event) -> None:
    _accept_dx(connection)
    connection.recv(100_000, socket.MSG_WAITALL)
    ended.wait(60)


def _reset_mid_image(connection: socket.socket, ended: threading.Event) -> None:
    _accept_dx(connection)
    connection.recv(100_000, socket.MSG_WAITALL)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def _abort_mid_image(connection: socket.socket, ended: threading.Event) -> None:
    _accept_dx(connection)
    connection.recv(100_000, socket.MSG_WAITALL)
    connection.sendall(b"\x07\0\0\0\0\x04\0\0\x02\x06")
    while connection.recv(1 << 16):
        pass


def _close_at_once(connection: socket.socket, ended: threading.Event) -> None:
    pass


def _garbage(connection: socket.socket, ended: threading.Event) -> None:
    _read_pdu(connection)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.recv(100)


@pytest.mark.parametrize(
    ("behave", "evidence"),
    [
        (_reject, {"result": 2, "source": 3, "reason": 2}),
        (_silent, {"timeout": "association"}),
        (_silent_after_image, {"timeout": "dimse"}),
        (_stalled_mid_image, None),
        (_reset_mid_image, {"connection": "lost"}),
        (_abort_mid_image, {"abort": {"source": 2, "reason": 6}}),
        (_close_at_once, {"connection": "lost"}),
        (_garbage, None),
        (None, {"connection": "refused"}),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_failing_archive_costs_a_warning_and_no_image(console: Any, behave: Any, evidence: Any) -> None:
    raw = RawPeer(behave or _close_at_once)
    if behave is None:
        raw.close()
    console.settings["storage"] = [peers.peer_settings(raw, "pacs")]
    # A busy machine must not turn another failure into a timeout.
    short = {_silent: "association", _silent_after_image: "dimse", _stalled_mid_image: "idle"}.get(behave)
    console.settings["timeouts"] = dict.fromkeys(("connect", "association", "dimse", "idle"), 20)
    if short:
        console.settings["timeouts"][short] = 1
    console.environment["FRONT_SIDE"] = "2048"
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    images = [operator.expose(), operator.expose()]
    operator.do("complete")
    assert operator.do("queue", wait=60)["idle"]
    (warning,) = operator.warnings()
    assert (warning["service"], warning["peer"]) == ("storage", "pacs")
    assert warning["text"]
    for key, value in (evidence or {}).items():
        assert warning[key] == value
    (job,) = operator.do("queue")["jobs"]
    assert (job["state"], job["waits_for_operator"], job["attempts"]) == ("queued", True, 1)
    assert [image["state"] for image in job["images"]] == ["queued", "queued"]
    assert operator.do("exam_state")["exam"]["sent"] is False
    raw.close()

    good = peers.Pacs()
    operator.do(
        "configure",
        storage=[peers.peer_settings(good, "pacs")],
        timeouts={"association": 20, "dimse": 20, "idle": 20},
    )
    assert good.stored == []  # nothing goes by itself (VX-D-09)
    again = operator.do("send", wait=60)
    assert again["done"]
    assert again["jobs"] == [job["job"]]
    assert [(uid, sha) for uid, _, sha in good.stored] == [(i["sop_instance"], i["sha256"]) for i in images]
    assert operator.do("exam_state")["exam"]["sent"] is True
    good.close()


def test_after_an_abort_nothing_more_is_sent(console: Any) -> None:
    """pynetdicom alone reads only when it has nothing to send: it would push the rest of the image at the peer."""
    read: list[int] = []
    closed = threading.Event()

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        _accept_dx(connection)
        connection.recv(100_000, socket.MSG_WAITALL)
        connection.sendall(b"\x07\0\0\0\0\x04\0\0\0\0")
        while chunk := connection.recv(1 << 15):
            read.append(len(chunk))
            ended.wait(0.002)
        closed.set()

    raw = RawPeer(behave)
    console.settings["storage"] = [peers.peer_settings(raw, "pacs")]
    console.environment["FRONT_SIDE"] = "4096"  # 33 MB
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    operator.expose()
    operator.do("complete")
    assert operator.do("queue", wait=60)["idle"]
    assert operator.warnings()[0]["abort"] == {"source": 0, "reason": 0}
    assert closed.wait(20)
    assert sum(read) < 8_000_000  # what was in the buffers of both ends, not the image
    raw.close()


@pytest.mark.parametrize(
    ("status", "sent"),
    [(0xB000, True), (0xB007, True), (0xA700, False), (0xC000, False), (0x0110, False), (0xFF00, False)],
)
def test_storage_statuses(console: Any, status: int, sent: bool) -> None:
    pacs = peers.Pacs()
    seen: list[str] = []

    def answer(event: Any) -> int:
        seen.append(event.request.AffectedSOPInstanceUID)
        return status if len(seen) == 1 else 0

    pacs.answer = answer
    console.settings["storage"] = [peers.peer_settings(pacs, "pacs")]
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    uids = [operator.expose()["sop_instance"], operator.expose()["sop_instance"]]
    operator.do("complete")
    operator.do("queue", wait=60)
    (job,) = operator.do("queue")["jobs"]
    assert job["state"] == ("sent" if sent else "failed")
    assert [image["state"] for image in job["images"]] == ["sent" if sent else "failed", "sent"]
    (warning,) = operator.warnings()
    assert warning["status"] == f"{status:04X}"
    assert seen == uids  # the set went on (VX-D-11)
    operator.do("send", wait=60)
    assert seen == uids + ([] if sent else uids[:1])
    assert operator.do("queue")["jobs"][0]["state"] == "sent"
    pacs.close()


def test_a_peer_that_refuses_explicit_little_endian(console: Any) -> None:
    pacs = peers.Pacs(syntaxes=("1.2.840.10008.1.2",))
    console.settings["storage"] = [peers.peer_settings(pacs, "pacs")]
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    operator.expose()
    operator.do("complete")
    operator.do("queue", wait=60)
    (warning,) = operator.warnings()
    assert warning["contexts"] == [4]
    assert pacs.stored == []
    assert operator.do("queue")["jobs"][0]["state"] == "queued"
    pacs.close()


def test_an_abort_by_the_archive_keeps_what_was_answered(console: Any) -> None:
    pacs = peers.Pacs()
    pacs.answer = lambda event: None if len(pacs.stored) == 1 else 0
    console.settings["storage"] = [peers.peer_settings(pacs, "pacs")]
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    uids = [operator.expose()["sop_instance"] for _ in range(3)]
    operator.do("complete")
    operator.do("queue", wait=60)
    (job,) = operator.do("queue")["jobs"]
    assert [image["state"] for image in job["images"]] == ["sent", "queued", "queued"]
    pacs.answer = lambda event: 0
    operator.do("send", wait=60)
    assert [stored[0] for stored in pacs.stored] == uids  # the first one not a second time
    pacs.close()


def test_images_go_without_the_ris_and_the_operator_sends_the_step_later(console: Any) -> None:
    ris, pacs = peers.Ris(), peers.Pacs()
    port = ris.port
    ris.close()
    console.settings |= {"mpps": peers.peer_settings(ris), "storage": [peers.peer_settings(pacs, "pacs")]}
    operator = console.start()
    assert operator.do("start_exam", patient={"PatientID": "1"})["mpps"] == "failed"
    operator.expose()
    assert operator.do("complete")["mpps"] == "failed"
    assert operator.do("queue", wait=60)["idle"]
    assert len(pacs.stored) == 1
    assert [w["service"] for w in operator.warnings()] == ["mpps", "mpps"]
    back = peers.Ris(port=port)
    assert len(operator.do("send")["mpps"]) == 1
    ((uid, _),) = back.steps.items()
    assert back.final[uid].PerformedProcedureStepStatus == "COMPLETED"
    assert back.names("create", "set") == ["create", "set"]
    assert operator.do("queue")["mpps"] == []
    assert operator.do("send")["mpps"] == []
    back.close()
    pacs.close()


@pytest.mark.parametrize("status", [0x0110, 0x0120, 0xC000])
def test_a_refused_step_is_a_warning(console: Any, status: int) -> None:
    ris = peers.Ris()
    ris.mpps = lambda request: status if request == "set" else 0
    pacs = peers.Pacs()
    console.settings |= {"mpps": peers.peer_settings(ris), "storage": [peers.peer_settings(pacs, "pacs")]}
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    operator.expose()
    assert operator.do("complete")["mpps"] == "failed"
    (warning,) = operator.warnings()
    assert (warning["service"], warning["status"]) == ("mpps", f"{status:04X}")
    ris.mpps = lambda request: 0
    operator.do("send", what="mpps")
    assert ris.names("create", "set") == ["create", "set", "set"]
    ris.close()
    pacs.close()


def test_a_lost_answer_to_n_create_is_made_good(console: Any) -> None:
    ris = peers.Ris()
    pacs = peers.Pacs()
    console.settings |= {"mpps": peers.peer_settings(ris), "storage": [peers.peer_settings(pacs, "pacs")]}
    console.settings["timeouts"]["dimse"] = 1
    given_up = threading.Event()

    def late(request: str) -> int:
        assert given_up.wait(60)  # longer than the console waits
        return 0

    ris.mpps = late
    operator = console.start()
    assert operator.do("start_exam", patient={"PatientID": "1"})["mpps"] == "failed"
    operator.do("configure", timeouts={"dimse": 30})
    given_up.set()
    operator.expose()
    assert ris.wait(lambda: "create" in ris.names())  # it arrived after all
    assert operator.do("complete")["mpps"] == "sent"  # 0111 on our own UID is no failure
    assert [value for what, value in ris.log if what in ("create", "set")] == [0, 0x0111, 0]
    ris.close()
    pacs.close()


def test_automatic_retry_is_a_setting(console: Any) -> None:
    pacs = peers.Pacs()
    pacs.answer = lambda event: None if not pacs.names("aborted") else 0
    console.settings |= {
        "storage": [peers.peer_settings(pacs, "pacs")],
        "auto_retry": True,
        "retry_interval": 0.3,
    }
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    operator.expose()
    operator.do("complete")
    assert pacs.wait(lambda: len(pacs.stored) == 1)
    assert len(operator.warnings()) == 1
    pacs.close()


def test_a_peer_without_pdu_limit_gets_16384(console: Any) -> None:
    sizes: list[int] = []
    enough = threading.Event()

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        _accept_dx(connection)
        for _ in range(20):
            sizes.append(len(_read_pdu(connection)) - 6)
        enough.set()

    raw = RawPeer(behave)
    console.settings["storage"] = [peers.peer_settings(raw, "pacs")]
    console.environment["FRONT_SIDE"] = "1024"
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    operator.expose()
    operator.do("complete")
    assert enough.wait(60)
    assert max(sizes) == 16384
    raw.close()


def test_a_slow_line_is_no_failure(console: Any) -> None:
    """The answer's timeout starts when the request has left: 8 MB over 4 s with a timeout of 3 s (10BASE-T)."""
    took: list[float] = []

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        _accept_dx(connection)
        done, received, begun = False, 0, time.monotonic()
        while not done:
            pdu = _read_pdu(connection)
            if pdu[0] != 4:
                break
            done = pdu[11] == 2  # the last fragment of a data set
            received += len(pdu)
            if received < 6_000_000:  # what waits in buffers at the end goes fast, however busy the machine
                ended.wait(0.012)
        took.append(time.monotonic() - begun)
        connection.sendall(_store_response(1))
        _read_pdu(connection)
        connection.sendall(b"\x06\0\0\0\0\x04\0\0\0\0")

    raw = RawPeer(behave)
    console.settings["storage"] = [peers.peer_settings(raw, "pacs")]
    console.settings["timeouts"] = {"connect": 20, "association": 20, "dimse": 3, "idle": 20}
    console.environment["FRONT_SIDE"] = "2048"
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    operator.expose()
    operator.do("complete")
    assert operator.do("queue", wait=60)["idle"]
    assert operator.warnings() == []
    assert operator.do("queue")["jobs"][0]["state"] == "sent"
    assert took[0] > 3
    raw.close()


def _store_response(message: int) -> bytes:
    """A P-DATA-TF with a C-STORE-RSP of status 0 (PS3.7 9.3.1.2)."""

    def element(number: int, value: bytes) -> bytes:
        return b"\0\0" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value

    def us(number: int, value: int) -> bytes:
        return element(number, value.to_bytes(2, "little"))

    command = element(2, peers.DX.encode() + b"\0" * (len(peers.DX) % 2)) + us(0x100, 0x8001)
    command += us(0x120, message) + us(0x800, 0x0101) + us(0x900, 0)
    command = element(0, len(command).to_bytes(4, "little")) + command
    pdv = b"\x01\x03" + command
    return b"\x04\0" + (len(pdv) + 4).to_bytes(4, "big") + len(pdv).to_bytes(4, "big") + pdv


def test_absent_detector_is_told_and_looked_for_again(console: Any) -> None:
    console.environment["FRONT_ABSENT"] = "1"
    operator = console.start()
    operator.do("start_exam", kind="emergency")
    assert "does not answer" in operator.ask("prepare", view="PA")["error"]
    codes = {warning["code"] for warning in operator.warnings()}
    assert codes == {"detector-absent"}
