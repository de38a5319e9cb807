"""Archives that answer what was not asked, of either product: an image counts as sent only by its own answer."""

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
        "timeouts": {"connect": 5, "association": 5, "dimse": 2, "idle": 5},
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
    operator.do("queue", wait=30)
    return operator, archive, images


@pytest.mark.parametrize(
    ("product", "answer", "sent"),
    [
        *[
            (product, answer, 0)
            for product in ("vxvue", "mx1")
            for answer in (no_status, half_an_answer, refusing)
        ],
        ("mx1", wrong_number, 0),
        ("mx1", another_instance, 0),
        ("mx1", first_twice, 1),
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
    del archive.stored[:]
    assert operator.do("send", wait=30)["done"]
    assert sorted(archive.stored) == sorted(images[sent:])  # each one once more, under its own UID
    assert operator.do("queue")["jobs"][0]["state"] == "sent"
    assert operator.do("exam_state")["exam"]["sent"]


@pytest.mark.parametrize("product", ["vxvue", "mx1"])
def test_an_answer_in_single_bytes_is_an_answer(product: str, request: pytest.FixtureRequest) -> None:
    operator, archive, images = _two_images(product, request, dripping)
    assert operator.do("queue")["jobs"][0]["state"] == "sent"
    assert archive.stored == images
    assert operator.warnings() == []
