"""The generator over its real lines, spoken to by pyserial, with the hand switch pressed."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import serial

from bench.kinds import KINDS
from simulators import panel
from simulators.generator import Config, Generator, create
from simulators.generator.codec import Decoder, Frame, encode
from simulators.world import World

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's RFC 2217


PATIENCE_S = 30.0
"""How long an answer that must come is waited for."""


class Bench:
    """A generator with its world, its switch and everything it told."""

    def __init__(self, **config: Any) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.world = World(emit=self.emit)
        self.generator: Generator = create(
            Config(**{"prep_ms": 60, "cooldown_ms": 20} | config), self.emit, self.world
        )
        self.switch = panel.create(panel.Config(timeout_s=30.0), self.emit, self.world, self.generator)
        self.where = self.generator.start()
        self._came = threading.Condition()

    def emit(self, kind: str, /, **data: Any) -> None:
        assert kind in KINDS, kind
        json.dumps(data)
        self.told.append((kind, data))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [d for k, d in list(self.told) if k == kind]

    def wait_for(self, kind: str, timeout: float = 30.0) -> dict[str, Any]:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if found := self.of(kind):
                return found[-1]
            threading.Event().wait(0.005)
        raise AssertionError(f"no {kind} in {self.told}")

    def client(self, baud: int = 19200) -> serial.SerialBase:
        return serial.serial_for_url(self.where["url"], baud, timeout=PATIENCE_S)

    def stop(self) -> None:
        self.switch.stop()
        self.generator.stop()


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**config: Any) -> Bench:
        made.append(Bench(**config))
        return made[-1]

    yield make
    for b in made:
        b.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("generator")]


def ask(line: Any, command: str, *args: object) -> tuple[str, ...]:
    line.write(encode(command, *(str(a) for a in args)))
    (frame,) = Decoder().feed(line.read_until(b"\x03"))
    assert isinstance(frame, Frame)
    assert frame.command == command
    return frame.args


@pytest.mark.parametrize("transport", ["rfc2217", "socket", "pty"])
def test_one_exposure(bench: Callable[..., Bench], transport: str) -> None:
    b = bench(transport=transport, cooldown_ms=60_000)  # it is still cooling when we look
    with b.client() as line:
        assert ask(line, "50", 20, 3003, 819) == ("$",)
        assert b.switch.command("expose", {}) == {
            "outcome": "exposed",
            "generator": "cooldown",
            "fault": "",
            "mas": pytest.approx(4.0),
            "ms": pytest.approx(20.0),
        }
        assert ask(line, "61")[:5] == ("1", "1100", "2000", "200", "4000")
        dap = int(ask(line, "61")[5]) / 1000
    # What the console and the switch see changes first; it is told right after that.
    b.wait_for("generator.exposure")
    (exposure,) = b.of("generator.exposure")
    (photons,) = b.of("world.exposure")
    assert photons["mas"] == exposure["mas"] == pytest.approx(4.0)
    assert photons["end"] - photons["start"] == 20_000_000
    assert dap == pytest.approx(exposure["dap_dgycm2"], abs=0.001)
    # kerma at 1 m (46 µGy/mAs at 80 kVp) times the field at 1 m, in dGy·cm²
    assert dap == pytest.approx(46 * (110 / 80) ** 2.3 * 4.0 * (0.4 / 1.8) ** 2 * 0.1, rel=1e-3)
    states = [d["to"] for d in b.of("generator.state")]
    assert states[:4] == ["prep", "ready", "exposing", "cooldown"]


def test_line_speed_is_that_of_a_real_line(bench: Callable[..., Bench]) -> None:
    b = bench(transport="socket", baud=9600)
    with b.client() as line:
        took = []
        for _ in range(5):
            start = time.monotonic()
            ask(line, "22")
            took.append(time.monotonic() - start)
    wire = (5 + 58) * 10 / 9600
    assert min(took) >= wire * 0.95
    assert min(took) < wire + 1.0  # the best of some: the machine may stand still


def test_client_at_the_wrong_speed_is_noise(bench: Callable[..., Bench]) -> None:
    b = bench()
    with b.client(9600) as line:
        line.timeout = 0.2
        line.write(encode("22"))
        assert line.read_until(b"\x03") == b""
        assert "9600" in b.wait_for("generator.garbage")["why"]
        line.baudrate = 19200
        line.timeout = PATIENCE_S
        assert len(ask(line, "22")) == 26


def test_modem_lines_follow_the_contacts(bench: Callable[..., Bench]) -> None:
    b = bench()
    with b.client() as line:
        ask(line, "50", 20, 3003, 819)
        assert (line.cts, line.dsr, line.cd) == (False, False, True)
        b.switch.command("press_prep", {})
        deadline = time.monotonic() + PATIENCE_S
        while not line.cts and time.monotonic() < deadline:
            threading.Event().wait(0.005)
        assert (line.cts, line.dsr) == (True, False)


def test_second_client_waits_or_is_refused(bench: Callable[..., Bench]) -> None:
    waiting = bench(transport="socket")
    first = waiting.client()
    ask(first, "22")
    second = waiting.client()
    second.write(encode("14"))
    second.timeout = 0.2
    assert second.read(1) == b""
    first.close()
    second.timeout = PATIENCE_S
    assert second.read_until(b"\x03") == encode("14", 0)
    second.close()

    refusing = bench(transport="socket", second_client="refuse")
    with refusing.client() as first:
        ask(first, "22")
        with socket.create_connection((refusing.where["host"], refusing.where["port"]), PATIENCE_S) as other:
            assert other.recv(10) == b""
        ask(first, "22")


def test_garbage_is_bounded_logged_and_survived(bench: Callable[..., Bench]) -> None:
    b = bench(pace=False)
    address = (b.where["host"], b.where["port"])
    for junk in (
        b"GET / HTTP/1.1\r\n\r\n" * 50,
        os.urandom(5000),
        b"\x02" + b"9" * 5000,
        b"\xff\xfa" + b"x" * 9000,
    ):
        with socket.create_connection(address, PATIENCE_S) as s:
            try:
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
            except OSError as error:  # the generator hung up on it, at any of these moments
                if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                    raise
    with b.client() as line:
        assert len(ask(line, "22")) == 26
    told = b.of("generator.garbage")
    assert told
    assert all(len(d["sample"]) <= 32 for d in told)
    assert len(told) < 60


@pytest.mark.parametrize(
    ("fault", "args", "outcome", "code", "photons"),
    [
        ("rotor", {}, "fault", 33, 0),
        ("filament", {}, "fault", 34, 0),
        ("interlock", {}, "fault", 9, 0),
        ("arc", {"fraction": 0.25}, "truncated", 2, 1),
        ("over_dose", {"factor": 1.5}, "exposed", 35, 1),
        ("stuck_busy", {}, "refused", 0, 0),
        ("kv_drift", {"percent": 5}, "exposed", 0, 1),
    ],
)
def test_faults(
    bench: Callable[..., Bench], fault: str, args: dict[str, Any], outcome: str, code: int, photons: int
) -> None:
    b = bench(transport="socket")
    with b.client() as line:
        assert ask(line, "50", 20, 3003, 819) == ("$",)
        b.generator.command("arm", {"id": "f1", "fault": fault, "args": args})
        assert b.switch.command("expose", {})["outcome"] == outcome
        assert ask(line, "62") == (str(code),)
        assert ask(line, "22")[2] == str(int(code != 0))
        if photons:
            b.wait_for("generator.exposure")
    assert b.of("fault.armed") == [{"id": "f1", "fault": fault}]
    fired = b.wait_for("fault.fired")
    assert (fired["id"], fired["fault"]) == ("f1", fault)
    assert len(b.of("world.exposure")) == photons
    if fault == "arc":
        assert b.of("generator.exposure")[0]["mas"] == pytest.approx(1.0)
        assert b.of("world.exposure")[0]["truncated"] is True
    if fault == "over_dose":
        assert b.of("generator.exposure")[0]["mas"] == pytest.approx(6.0)
    if fault == "kv_drift":
        assert b.of("world.exposure")[0]["kvp"] == pytest.approx(115.5)


def test_interlock_in_the_middle_of_an_exposure_and_cleared(bench: Callable[..., Bench]) -> None:
    b = bench(transport="socket")
    with b.client() as line:
        ask(line, "50", 8000, 3003, 100)
        when = {"state": "exposing", "after_ms": 40}
        b.generator.command("arm", {"id": "door", "fault": "interlock", "when": when})
        result = b.switch.command("expose", {})
        assert result["outcome"] == "truncated"
        assert 40 <= result["ms"] < 7900
        assert ask(line, "52") == ("10",)
        b.generator.command("disarm", {"id": "door"})
        assert ask(line, "52") == ("$",)
        assert ask(line, "22")[1:3] == ("1", "0")


def test_spoiled_replies(bench: Callable[..., Bench]) -> None:
    b = bench(transport="socket")
    with b.client() as line:
        ask(line, "22")
        b.generator.command("arm", {"id": "a", "fault": "no_answer", "args": {"count": 2, "command": "14"}})
        assert ask(line, "15") == ("0",)
        line.timeout = 0.3
        for _ in range(2):
            line.write(encode("14"))
            assert line.read_until(b"\x03") == b""
        line.timeout = PATIENCE_S
        assert ask(line, "14") == ("0",)
        b.generator.command("arm", {"id": "b", "fault": "bad_checksum"})
        line.write(encode("14"))
        (spoiled,) = Decoder().feed(line.read_until(b"\x03"))
        assert getattr(spoiled, "why", "") == "checksum"
        b.generator.command("arm", {"id": "c", "fault": "garbled"})
        line.write(encode("14"))
        assert not any(isinstance(u, Frame) for u in Decoder().feed(line.read_until(b"\x03")))
        assert ask(line, "14") == ("0",)
    assert [d["id"] for d in b.of("fault.fired")] == ["a", "a", "b", "c"]


def test_watch_tells_a_condition(bench: Callable[..., Bench]) -> None:
    b = bench(transport="socket")
    b.generator.command("watch", {"id": "w", "command": "14", "count": 2})
    with b.client() as line:
        ask(line, "14")
        assert not b.of("trigger.hit")
        ask(line, "14")
    assert b.wait_for("trigger.hit") == {"id": "w"}


def test_thumb_too_early_too_short_and_bouncing(bench: Callable[..., Bench]) -> None:
    b = bench(transport="socket")
    with b.client() as line:
        ask(line, "50", 8000, 3003, 100)
    b.switch.command("press_expose", {})
    b.switch.command("release", {})
    assert b.of("generator.refused")[-1]["reason"] == "no prep"
    assert not b.of("world.exposure")
    early = b.switch.command("release_early", {"after_ms": 30})
    assert early["outcome"] == "truncated"
    assert 30 <= early["ms"] < 7900
    b.switch.command("bounce", {"contact": "prep", "times": 2, "ms": 1})
    contacts = b.of("panel.contact")
    assert [c["prep"] for c in contacts[-4:]] == [True, False, True, False]
    b.generator.command("warm", {"percent": 95})
    assert b.switch.command("expose", {"timeout": 0.2})["outcome"] == "not_ready"


def test_alone_says_where_it_listens_and_ends_on_sigterm() -> None:
    code = (
        "import argparse, sys; from simulators.generator import alone; p = argparse.ArgumentParser();"
        "alone.add_arguments(p); sys.exit(alone.run(p.parse_args()))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--transport", "socket", "--prep-ms", "50"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        where = json.loads(process.stdout.readline())
        with serial.serial_for_url(where["url"], timeout=PATIENCE_S) as line:
            assert ask(line, "50", 20, 3003, 819) == ("$",)
            process.stdin.write("press\n")
            process.stdin.flush()
            while json.loads(process.stdout.readline())["kind"] != "generator.exposure":
                pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(60.0) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_busy_port_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        code = (
            "import argparse, sys; from simulators.generator import alone; p = argparse.ArgumentParser();"
            "alone.add_arguments(p); sys.exit(alone.run(p.parse_args()))"
        )
        port = str(busy.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", code, "--port", port], capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 2
    assert "Address already in use" in done.stderr
    assert "Traceback" not in done.stderr
