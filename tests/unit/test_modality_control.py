"""The control socket: garbage, long lines, many clients, events, a stale socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from modality.control import LINE_LIMIT, ControlServer, Refused
from modality.notices import Notices
from modality.store import Store


class Client:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, verb: str, **args: Any) -> Any:
        self.send(json.dumps({"id": 5, "do": verb, "args": args}).encode() + b"\n")
        return self.read()

    def read(self) -> Any:
        return json.loads(self.file.readline())

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Bench:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "ctl"
        self.release = threading.Event()
        self.store = Store(folder)
        self.notices = Notices(self.store)
        self.server = ControlServer(self.path, self.do, self.notices)

    def do(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        if verb == "echo":
            return args
        if verb == "wait":
            self.release.wait(20)
            return {"waited": True}
        if verb == "fail":
            raise ZeroDivisionError
        raise Refused(f"unknown verb {verb!r}")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.release.set()
    made.server.close()
    made.store.close()


def test_answers_and_refusals(bench: Bench) -> None:
    client = Client(bench.path)
    assert client.ask("echo", name="山田") == {"id": 5, "ok": True, "result": {"name": "山田"}}
    assert client.ask("nonsense") == {"id": 5, "ok": False, "error": "unknown verb 'nonsense'"}
    assert client.ask("fail")["error"].startswith("internal error: ZeroDivisionError")
    assert bench.path.stat().st_mode & 0o777 == 0o600
    client.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe\n", b"GET / HTTP/1.1\n", b"[1, 2]\n", b'"do"\n', b'{"id": 1}\n', b'{"do": 7}\n',
        b'{"do": "echo", "args": [1]}\n', b"[" * 200_000 + b"\n", b"x" * (LINE_LIMIT + 10) + b"\n",
        b"x" * (3 * LINE_LIMIT) + b"\n",
    ],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_garbage_is_answered_and_survived(bench: Bench, garbage: bytes) -> None:
    client = Client(bench.path)
    writer = threading.Thread(target=client.send, args=(garbage,))
    writer.start()
    assert client.read()["ok"] is False
    writer.join(20)
    assert client.ask("echo", a=1)["result"] == {"a": 1}
    client.close()


def test_half_a_line_and_a_closed_client_harm_nobody(bench: Bench) -> None:
    for data in (b'{"do": "ec', b'{"id": 1, "do": "wait"}\n', b""):
        client = Client(bench.path)
        client.send(data)
        client.close()
    other = Client(bench.path)
    assert other.ask("echo")["ok"]
    other.close()


def test_long_verbs_do_not_block_others_and_events_reach_everybody(bench: Bench) -> None:
    first, second = Client(bench.path), Client(bench.path)
    assert first.ask("echo")["ok"]
    assert second.ask("echo")["ok"]
    first.send(b'{"id": 1, "do": "wait"}\n')
    assert first.ask("echo", x=1)["result"] == {"x": 1}
    bench.notices.warn("storage", "pacs", "no connection", connection="refused")
    for client in (first, second):
        event = client.read()
        assert event["event"] == "modality.warning"
        assert event["data"]["service"] == "storage"
        assert event["data"]["connection"] == "refused"
        assert event["t"] > 0
    bench.release.set()
    assert first.read() == {"id": 1, "ok": True, "result": {"waited": True}}
    first.close()
    second.close()


def test_too_many_requests_at_a_time_are_refused(bench: Bench) -> None:
    client = Client(bench.path)
    for number in range(40):
        client.send(json.dumps({"id": number, "do": "wait"}).encode() + b"\n")
    refused = [client.read() for _ in range(8)]
    assert all("at a time" in answer["error"] for answer in refused)
    bench.release.set()
    assert sum(client.read()["ok"] for _ in range(32)) == 32
    client.close()


def test_a_client_that_does_not_read_is_cut_off(bench: Bench) -> None:
    lazy, other = Client(bench.path), Client(bench.path)
    assert other.ask("echo")["ok"]
    assert lazy.ask("echo")["ok"]
    reader = threading.Thread(target=lambda: [None for _ in iter(other.file.readline, b"")])
    reader.start()
    for _ in range(600):
        bench.notices.emit("modality.state", {"text": "x" * 100_000})
        if other.socket.fileno() < 0:
            break
    bench.server.close()
    reader.join(20)
    assert not reader.is_alive()
    other.close()
    lazy.close()


def test_a_stale_socket_is_replaced_and_a_live_one_respected(tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    bench = Bench(tmp_path)
    with pytest.raises(OSError, match="another console"):
        ControlServer(path, bench.do, bench.notices)
    bench.server.close()
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(OSError, match="in the way"):
        ControlServer(path, bench.do, bench.notices)
    assert path.read_text() == "precious"
    bench.store.close()
