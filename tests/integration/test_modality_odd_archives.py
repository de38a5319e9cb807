"""Peers that answer what was not asked, of either product: only the answer to a request counts as its answer."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.wire import (
    NEED_DATA,
    AssociateRequest,
    Connection,
    ReleaseRequest,
    ReleaseResponse,
    Role,
    accept,
    dimse,
)

_NAME = "modality_mx1_bench"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name(f"{_NAME}.py"))
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
mx1: Any = sys.modules[_NAME]

DX = "1.2.840.10008.5.1.4.1.1.1.1"
SERVICES = ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3")  # echo, worklist, steps

Answer = Callable[["Archive", socket.socket, Connection, int, Any], None]


class Archive:
    """Takes every image and answers as it is told; ``stored`` are the instances whose data sets were whole."""

    title = "PACS"

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.stored: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                self._talk(sock)

    def _talk(self, sock: socket.socket) -> None:
        conn, messages = Connection(Role.ACCEPTOR), dimse.Assembler()
        classes = {uid: [mx1.EXPLICIT] for uid in (mx1.US, mx1.CLIP, mx1.SC, DX)}
        classes |= {uid: [mx1.EXPLICIT, mx1.IMPLICIT] for uid in SERVICES}
        while not conn.should_close:
            conn.received(sock.recv_into(conn.buffer()))
            while True:
                for event in messages.events(conn.data_fragments()):
                    if isinstance(event, dimse.MessageComplete):
                        self.stored.append(event.command.sop_instance)
                        self.answer(self, sock, conn, event.context_id, event.command)
                heard = conn.next_event()
                if heard is NEED_DATA:
                    break
                if isinstance(heard, AssociateRequest):
                    sock.sendall(conn.send(accept(heard, classes)))
                elif isinstance(heard, ReleaseRequest):
                    sock.sendall(conn.send(ReleaseResponse()))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def reply(command: Any, name: str = "C-STORE-RSP", **changed: Any) -> Any:
    values = {
        "MessageIDBeingRespondedTo": command.message_id,
        "AffectedSOPClassUID": command.sop_class,
        "AffectedSOPInstanceUID": command.sop_instance,
        "Status": 0,
        **changed,
    }
    return dimse.Command.new(name, dataset=False, **{k: v for k, v in values.items() if v is not None})


def good(archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any) -> None:
    sock.sendall(conn.send_message(context, reply(command), None))


def wrong_number(archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any) -> None:
    changed = reply(command, MessageIDBeingRespondedTo=command.message_id + 1)
    sock.sendall(conn.send_message(context, changed, None))


def another_instance(
    archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any
) -> None:
    sock.sendall(conn.send_message(context, reply(command, AffectedSOPInstanceUID="1.2.3.4"), None))


def another_service(
    archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any
) -> None:
    changed = reply(command, "C-ECHO-RSP", AffectedSOPInstanceUID=None)
    sock.sendall(conn.send_message(context, changed, None))


def wrong_and_then_right(
    archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any
) -> None:
    """Both lie there by the time the first one is judged."""
    changed = reply(command, MessageIDBeingRespondedTo=command.message_id + 1)
    sock.sendall(conn.send_message(context, changed, None) + conn.send_message(context, reply(command), None))


def no_status(archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any) -> None:
    sock.sendall(conn.send_message(context, reply(command, Status=None), None))


def first_twice(archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any) -> None:
    if len(archive.stored) == 1:
        answer = conn.send_message(context, reply(command), None)
        sock.sendall(answer + answer)


def half_an_answer(
    archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any
) -> None:
    sock.sendall(conn.send_message(context, reply(command), None)[:-10])
    sock.shutdown(socket.SHUT_RDWR)


def refusing(archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any) -> None:
    sock.sendall(conn.send_message(context, reply(command, Status=0x0122), None))


def dripping(archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any) -> None:
    for byte in conn.send_message(context, reply(command), None):
        sock.sendall(bytes([byte]))


@pytest.fixture
def vxvue(tmp_path: Path) -> Iterator[Any]:
    console = mx1.peers.Console(tmp_path)
    yield console
    assert console.end() == 0
    assert b"Traceback" not in (tmp_path / "stderr").read_bytes()


@pytest.fixture
def sonimage(tmp_path: Path) -> Iterator[Any]:
    with mx1.Mx1Bench(tmp_path, {"size": "640x480"}) as bench:
        yield bench


def _two_images(
    product: str, request: pytest.FixtureRequest, answer: Answer
) -> tuple[Any, Archive, list[str]]:
    """The operator after an exam of two images went to such an archive, and their instances."""
    archive = Archive(answer)
    request.addfinalizer(archive.close)
    settings = {
        "storage": [mx1.peers.peer_settings(archive, "pacs")],
        "timeouts": {"connect": 20, "association": 20, "dimse": 60 if answer is dripping else 2, "idle": 20},
    }
    if product == "vxvue":
        console = request.getfixturevalue("vxvue")
        console.settings.update(settings)
        operator = console.start()
        operator.do("start_exam", patient={"PatientID": "1"})
        images = [operator.expose()["sop_instance"] for _ in range(2)]
    else:
        bench = request.getfixturevalue("sonimage")
        bench.settings(**settings)
        operator = bench.start()
        bench.exam()
        images = [operator.do("capture_still")["sop_instance"] for _ in range(2)]
    operator.do("complete")
    operator.do("queue", wait=60)
    return operator, archive, images


@pytest.mark.parametrize(
    ("product", "answer", "sent"),
    [
        *[
            (product, answer, 0)
            for product in ("vxvue", "mx1")
            for answer in (
                wrong_number,
                another_instance,
                another_service,
                wrong_and_then_right,
                no_status,
                half_an_answer,
                refusing,
            )
        ],
        *[(product, first_twice, 1) for product in ("vxvue", "mx1")],
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_an_image_without_its_own_answer_is_not_sent(
    product: str, answer: Answer, sent: int, request: pytest.FixtureRequest
) -> None:
    operator, archive, images = _two_images(product, request, answer)
    (job,) = operator.do("queue")["jobs"]
    assert [image["state"] for image in job["images"]].count("sent") == sent
    assert job["state"] in ("queued", "failed")
    assert not operator.do("exam_state")["exam"]["sent"]
    warnings = operator.warnings()
    assert warnings
    assert all(
        warning["service"] == "storage" and warning["text"].startswith("pacs: ") for warning in warnings
    )

    archive.answer = good
    patiently(operator)
    del archive.stored[:]
    assert operator.do("send", wait=60)["done"]
    assert sorted(archive.stored) == sorted(images[sent:])  # each one once more, under its own UID
    assert operator.do("queue")["jobs"][0]["state"] == "sent"
    assert operator.do("exam_state")["exam"]["sent"]


def patiently(operator: Any) -> None:
    """From now on answers come, however late on a busy machine."""
    operator.do("configure", timeouts={"dimse": 60})


@pytest.mark.parametrize("product", ["vxvue", "mx1"])
def test_an_answer_in_single_bytes_is_an_answer(product: str, request: pytest.FixtureRequest) -> None:
    operator, archive, images = _two_images(product, request, dripping)
    assert operator.do("queue")["jobs"][0]["state"] == "sent"
    assert archive.stored == images
    assert operator.warnings() == []


def _to_message(number: int, name: str = "", **changed: Any) -> Answer:
    """An answer of status 0 that says it is to the message so many later, or of another kind."""

    def answer(archive: Archive, sock: socket.socket, conn: Connection, context: int, command: Any) -> None:
        kind = name or command.name.replace("-RQ", "-RSP")
        told = reply(command, kind, MessageIDBeingRespondedTo=command.message_id + number, **changed)
        sock.sendall(conn.send_message(context, told, None))

    return answer


ODD = {
    "number": _to_message(1),
    "echo": _to_message(0, "C-ECHO-RSP"),
    "find": _to_message(0, "C-FIND-RSP", AffectedSOPInstanceUID=None),
    "set": _to_message(0, "N-SET-RSP"),
    "create": _to_message(0, "N-CREATE-RSP"),
    "instance": _to_message(0, AffectedSOPInstanceUID="1.2.3.4"),
}
RIGHT = _to_message(0)


@pytest.mark.parametrize("odd", ["number", "find"])
@pytest.mark.parametrize("product", ["vxvue", "mx1"])
def test_an_echo_without_its_own_answer_failed(
    product: str, odd: str, request: pytest.FixtureRequest
) -> None:
    operator, peer = _with_services(product, request, ODD[odd])
    assert not operator.ask("verify", peer="pacs")["ok"]
    (warning,) = operator.warnings()
    assert warning["service"] == "verification"
    assert "no answer to the request" in warning["text"]
    peer.answer = RIGHT
    patiently(operator)
    operator.do("verify", peer="pacs")
    assert len(operator.warnings()) == 1


@pytest.mark.parametrize("odd", ["number", "echo"])
@pytest.mark.parametrize("product", ["vxvue", "mx1"])
def test_a_worklist_without_its_own_answer_is_none(
    product: str, odd: str, request: pytest.FixtureRequest
) -> None:
    operator, peer = _with_services(product, request, ODD[odd])
    assert not operator.ask("query_worklist")["ok"]
    (warning,) = operator.warnings()
    assert warning["service"] == "worklist"
    assert "no answer to the request" in warning["text"]
    peer.answer = RIGHT
    patiently(operator)
    assert operator.do("query_worklist")["items"] == []


@pytest.mark.parametrize("odd", ["number", "echo", "find", "instance", "set", "create"])
def test_a_step_without_its_own_answer_is_sent_again(odd: str, request: pytest.FixtureRequest) -> None:
    """N-SET-RSP is the odd one for N-CREATE, and the other way round."""
    operator, peer = _with_services("vxvue", request, RIGHT if odd == "create" else ODD[odd])
    started = operator.do("start_exam", patient={"PatientID": "1"})["mpps"]
    assert started == ("sent" if odd == "create" else "failed")
    if odd == "set":
        peer.answer = RIGHT
        patiently(operator)
        assert operator.do("send", what="mpps")["mpps"]
    peer.answer = ODD["create" if odd == "set" else odd]
    operator.expose()
    assert operator.do("complete")["mpps"] == "failed"
    warnings = operator.warnings()
    assert warnings
    assert {warning["service"] for warning in warnings} == {"mpps"}
    assert all("no answer to the request" in warning["text"] for warning in warnings)
    assert len(operator.do("queue")["mpps"]) == 1
    peer.answer = RIGHT
    patiently(operator)
    operator.do("send", what="mpps")
    assert operator.do("queue")["mpps"] == []


def _with_services(product: str, request: pytest.FixtureRequest, answer: Answer) -> tuple[Any, Archive]:
    """The operator of a console whose every peer is such an odd one."""
    peer = Archive(answer)
    request.addfinalizer(peer.close)
    one = mx1.peers.peer_settings(peer)
    settings = {
        "worklist": one,
        "storage": [mx1.peers.peer_settings(peer, "pacs")],
        "auto_send": "off",
        "timeouts": {"connect": 20, "association": 20, "dimse": 60 if answer is RIGHT else 2, "idle": 20},
    }
    if product == "vxvue":
        console = request.getfixturevalue("vxvue")
        console.settings.update(settings | {"mpps": one})
        return console.start(), peer
    bench = request.getfixturevalue("sonimage")
    bench.settings(**settings)
    return bench.start(), peer
