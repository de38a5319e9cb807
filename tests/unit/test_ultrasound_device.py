"""The ultrasound front end over real sockets: truth, knobs, faults, bad and slow clients."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from bench.kinds import KINDS
from simulators.base import CommandError
from simulators.ultrasound import Config, Ultrasound, create
from simulators.ultrasound.clients import GARBAGE_LIMIT
from simulators.ultrasound.engine import Picture
from simulators.ultrasound.faults import FAULTS
from simulators.ultrasound.igtl import (
    HEADER,
    Command,
    Decoder,
    Image,
    Message,
    Other,
    Spoiled,
    Status,
    Text,
    encode,
)

TIMEOUT = 60.0


class Log:
    """Events, and waiting for one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.moments: dict[str, float] = {}
        """When (s, monotonic) a kind was told last."""
        self._new = threading.Condition()

    def __call__(self, kind: str, /, **data: Any) -> None:
        assert kind in KINDS
        json.dumps(data)
        with self._new:
            self.events.append((kind, data))
            self.moments[kind] = time.monotonic()
            self._new.notify_all()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What was told of a kind."""
        with self._new:
            return [data for k, data in self.events if k == kind]

    def wait(self, kind: str, true: Callable[[dict[str, Any]], bool] = lambda data: True) -> dict[str, Any]:
        """The first event of a kind for which something holds."""
        with self._new:
            assert self._new.wait_for(lambda: any(k == kind and true(d) for k, d in self.events), TIMEOUT), (
                kind
            )
            return next(d for k, d in self.events if k == kind and true(d))


_OPEN: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    """Every client's socket is closed after its test."""
    yield
    while _OPEN:
        _OPEN.pop().close()


class Peer:
    """A client that reads everything in order."""

    def __init__(self, port: int, **options: int) -> None:
        self.sock = socket.socket()
        _OPEN.append(self.sock)
        if "buffer" in options:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["buffer"])
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(("127.0.0.1", port))
        self.decoder = Decoder()

    def next(self) -> Message | Spoiled | None:
        """The next message; None at the end of the stream."""
        while (got := self.decoder.next()) is None:
            data = self.sock.recv(1 << 20)
            if not data:
                return None
            self.decoder.receive(data)
        return got

    def until(self, true: Callable[[Message], bool]) -> Message:
        """Skip to a message; not for ever."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            got = self.next()
            assert isinstance(got, Message)
            if true(got):
                return got
        raise AssertionError("it does not come")

    def image(self) -> Message:
        """Skip to a picture."""
        return self.until(lambda m: isinstance(m.body, Image))

    def say(self, body: Any, device: str = "UsSet") -> None:
        """Send a message."""
        self.sock.sendall(encode(Message(body, device)))


@contextmanager
def running(**values: Any) -> Iterator[tuple[Ultrasound, int, Log]]:
    """A device on a free port; small, without bank, patient with clients that read late, unless said otherwise."""
    log = Log()
    device = create(Config.from_dict({"port": 0, "fps": 20, "bank": False, "queue": 256, **values}), log)
    try:
        yield device, int(device.start()["port"]), log
    finally:
        device.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("ultrasound")]


def sha(message: Message) -> str:
    """Of the pixels."""
    assert isinstance(message.body, Image)
    return hashlib.sha256(message.body.pixels).hexdigest()


@pytest.mark.parametrize("protocol", [1, 3])
def test_every_picture_is_the_one_that_was_told(protocol: int) -> None:
    """Two clients get all pictures from the sequence number they joined at, equal to the truth."""
    with running(protocol=protocol) as (_, port, log):
        peers = [Peer(port), Peer(port)]
        for peer in peers:
            messages = [peer.image() for _ in range(4)]
            truth = {e["sha256"]: e for e in log.of("ultrasound.frame")}
            told = [truth[sha(m)] for m in messages]
            assert [t["sequence"] for t in told] == list(range(told[0]["sequence"], told[0]["sequence"] + 4))
            for message, t in zip(messages, told, strict=True):
                assert isinstance(message.body, Image)
                assert message.body.size == (t["width"], t["height"], 1)
                assert message.body.matrix[0] == pytest.approx(t["spacing_mm"])
                if protocol == 3:
                    assert message.number == t["sequence"]
                    assert message.metadata["region"] == " ".join(str(v) for v in t["region"])
                else:
                    assert (message.version, message.metadata) == (1, {})
        assert [log.of("ultrasound.dropped"), log.of("ultrasound.garbage")] == [[], []]


def test_pictures_are_due_at_a_steady_pace() -> None:
    """Due times are multiples of the period, whatever the machine does in between; none is made before it is due."""
    with running(fps=40, bank=True) as (_, port, log):
        peer = Peer(port)
        for _ in range(12):
            peer.image()
        due = [e["due"] for e in log.of("ultrasound.frame")]
        steps = [b - a for a, b in pairwise(due)]
        assert all(step % 25_000_000 == 0 and step > 0 for step in steps)
        skipped = sum(e["slots"] for e in log.of("ultrasound.late"))
        assert sum(steps) // 25_000_000 - len(steps) == skipped
        assert time.monotonic_ns() > due[-1]


def test_knobs_are_told_before_the_first_picture_they_are_seen_in() -> None:
    """By text, by command and by the bench; a wrong one changes nothing and is answered."""
    with running() as (device, port, log):
        peer = Peer(port)
        first = peer.next()
        assert isinstance(first, Message)
        assert first.body == Status(1, 0, "", "C5-2")
        old = peer.image()
        peer.say(Text("depth=80;gain=6"))
        answer = peer.until(lambda m: isinstance(m.body, Status))
        assert answer.body == Status(1, 0, "", "depth=80;gain=6")
        said = peer.until(lambda m: isinstance(m.body, Text))
        assert isinstance(said.body, Text)
        settings = json.loads(said.body.text)
        assert (settings["knobs"]["depth"], settings["knobs"]["gain"]) == (80.0, 6.0)
        new = peer.image()
        assert new.number == settings["from"] == int(new.metadata["sequence"])
        assert new.metadata["geometry"] == str(settings["number"]) == "2" != old.metadata["geometry"]
        assert float(new.metadata["spacing"].split()[0]) == settings["geometry"]["spacing_mm"]
        assert settings["geometry"]["spacing_mm"] < float(old.metadata["spacing"].split()[0])

        peer.say(Command(7, "Set", "depth=9999;gain=1"), "Console")
        reply = peer.until(lambda m: isinstance(m.body, Command)).body
        assert isinstance(reply, Command)
        assert (reply.number, reply.reply, json.loads(reply.text)["code"]) == (7, True, 10)
        peer.say(Command(8, "Explode", ""), "Console")
        reply = peer.until(lambda m: isinstance(m.body, Command)).body
        assert isinstance(reply, Command)
        assert json.loads(reply.text)["code"] == 4
        peer.say(Text("gain"))
        status = peer.until(lambda m: isinstance(m.body, Status)).body
        assert isinstance(status, Status)
        assert status.code == 10
        assert device.command("state", {})["gain"] == 6.0
        assert len(log.of("ultrasound.refused")) == 2
        device.command("set", {"mode": "colour"})
        image = peer.until(lambda m: m.metadata.get("mode") == "colour").body
        assert isinstance(image, Image)
        assert (image.components, len(image.pixels)) == (3, 3 * 640 * 480)


def test_settings_are_those_of_the_picture_they_come_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Knobs that are turned while a picture is made belong to the next one: each picture has its own mode and depth."""
    with running(fps=20) as (device, port, _):
        engine = device._engine
        assert engine is not None
        render, turns = engine.render, iter([{"mode": "M"}, {"mode": "PW", "depth": 80}, {"probe": "L12-4"}])

        def slow(number: int) -> Picture:
            for turn in turns:
                device.command("set", turn)
                break
            return render(number)

        monkeypatch.setattr(engine, "render", slow)
        peer = Peer(port)
        told: dict[str, Any] = {}
        seen = []
        while not seen or seen[-1][0] != "L12-4":
            got = peer.next()
            assert isinstance(got, Message)
            if isinstance(got.body, Text):
                told = json.loads(got.body.text)
            elif isinstance(got.body, Image):
                knobs = told["knobs"]
                assert got.metadata["mode"] == knobs["mode"]
                assert got.metadata["geometry"] == str(told["number"])
                assert (got.body.matrix[0] == 1.0) == (knobs["mode"] in ("M", "PW"))
                assert got.number >= told["from"]
                seen.append((knobs["probe"], knobs["mode"], knobs["depth"]))
        assert seen[:4] == [
            ("C5-2", "B", 160.0),
            ("C5-2", "M", 160.0),
            ("C5-2", "PW", 80.0),
            ("L12-4", "PW", 60.0),
        ]


def test_knobs_that_are_turned_in_the_freeze_are_told_with_the_first_picture_that_shows_them() -> None:
    """Until then the settings are those of the picture that everybody has on the screen."""
    with running(fps=60) as (device, port, _):
        peer = Peer(port)
        peer.image()
        device.command("set", {"freeze": True, "depth": 80})
        said = peer.until(lambda m: isinstance(m.body, Text))
        settings = json.loads(getattr(said.body, "text", ""))
        assert (settings["knobs"]["freeze"], settings["knobs"]["depth"], settings["number"]) == (
            True,
            160.0,
            1,
        )
        device.command("set", {"mode": "M"})
        device.command("unfreeze", {})
        said = peer.until(lambda m: isinstance(m.body, Text))
        settings = json.loads(getattr(said.body, "text", ""))
        knobs = settings["knobs"]
        assert (knobs["freeze"], knobs["depth"], knobs["mode"], settings["number"]) == (False, 80.0, "M", 2)
        assert peer.image().number == settings["from"]


@pytest.mark.parametrize("stop", ["freeze", "unplug"])
def test_no_picture_is_shown_that_a_break_came_upon(monkeypatch: pytest.MonkeyPatch, stop: str) -> None:
    """Begun before the freeze or with the probe that was pulled, or at that very moment: nobody sees it."""
    with running(fps=60) as (device, port, log):
        engine = device._engine
        assert engine is not None
        render, breaks, begun = engine.render, iter([stop]), []

        def slow(number: int) -> Picture:
            begun.append(number + 1)
            picture = render(number)
            for verb in breaks if number == 2 else ():
                device.command(verb, {})
                device.command({"freeze": "unfreeze", "unplug": "plug"}[verb], {})
            return picture

        monkeypatch.setattr(engine, "render", slow)
        peer = Peer(port)
        assert [peer.image().number for _ in range(4)] == [1, 2, 3, 4]
        assert begun[:5] == [1, 2, 3, 3, 4]  # what the break came upon was thrown away and made anew
        device.command(stop, {})
        before = len(log.of("ultrasound.frame"))
        device._frame(0)  # the clock had just struck
        assert len(log.of("ultrasound.frame")) == before


def test_freeze_stops_pictures_and_they_go_on_where_they_stopped() -> None:
    """The sequence has no hole; the settings say so, and say so again."""
    with running(fps=60) as (device, port, log):
        peer = Peer(port)
        peer.image()
        device.command("freeze", {})
        said = peer.until(lambda m: isinstance(m.body, Text) and '"freeze": true' in m.body.text)
        assert said.device == "UsSettings"
        made = device.command("state", {})["sequence"]
        peer.say(Other("GET_STATUS"), "UsProbe")
        got = peer.next()
        assert isinstance(got, Message)
        assert isinstance(got.body, Status)  # and no picture before it
        device.command("unfreeze", {})
        said = peer.until(lambda m: isinstance(m.body, Text))
        assert '"freeze": false' in getattr(said.body, "text", "")
        assert peer.image().number == made + 1
        assert [e["freeze"] for e in log.of("ultrasound.set")] == [True, False]


def arm(device: Ultrasound, fault: str, frame: int = 3, **args: Any) -> None:
    """Arm one fault for a frame."""
    device.command("arm", {"id": "f", "fault": fault, "args": args, "when": {"frame": frame}})


def test_dropped_pictures_are_a_hole_in_the_sequence() -> None:
    """Made, told, counted, sent to nobody."""
    with running() as (device, port, log):
        arm(device, "drop", count=2)
        peer = Peer(port)
        assert [peer.image().number for _ in range(4)] == [1, 2, 5, 6]
        assert [(e["sequence"], e["why"]) for e in log.of("ultrasound.dropped")] == [
            (3, "fault"),
            (4, "fault"),
        ]
        assert [e["where"] for e in log.of("fault.fired")] == [{"frame": 3}, {"frame": 4}]
        assert {e["sequence"] for e in log.of("ultrasound.frame")} >= {3, 4}


def test_a_wrong_crc_spoils_one_picture() -> None:
    """The next one is whole."""
    with running() as (device, port, _):
        arm(device, "crc")
        peer = Peer(port)
        seen: list[Any] = []
        while len(seen) < 4:
            got = peer.next()
            if isinstance(got, Spoiled):
                seen.append(got.type)
            elif isinstance(got, Message) and isinstance(got.body, Image):
                seen.append(got.number)
        assert seen == [1, 2, "IMAGE", 4]


def test_what_is_told_as_fired_has_happened() -> None:
    """Two of a kind for one picture: the second takes the next one."""
    with running() as (device, port, log):
        for id_ in ("a", "b"):
            order = {"id": id_, "fault": "crc", "when": {"frame": 2}}
            device.command("arm", order)
        peer = Peer(port)
        seen: list[Any] = []
        while len(seen) < 4:
            got = peer.next()
            if isinstance(got, Spoiled):
                seen.append(got.type)
            elif isinstance(got, Message) and isinstance(got.body, Image):
                seen.append(got.number)
        assert seen == [1, "IMAGE", "IMAGE", 4]
        fired = [(e["id"], e["where"]["frame"]) for e in log.of("fault.fired")]
        assert fired == [("a", 2), ("b", 3)]


def test_a_client_of_many_faults_is_borne_with_and_then_cut_off() -> None:
    """A name that is no text is answered all the same; garbage is told, but not for ever."""
    with running() as (_, port, log):
        peer = Peer(port)
        raw = bytearray(encode(Message(Command(5, "Set", "gain=1"), "x" * 20)))
        raw[14:34] = b"\xff" * 20
        peer.sock.sendall(raw)
        reply = peer.until(lambda m: isinstance(m.body, Command)).body
        assert isinstance(reply, Command)
        assert (reply.number, json.loads(reply.text)["code"]) == (5, 1)
        peer.sock.sendall((HEADER.pack(1, b"STRING", b"UsSet", 0, 0, 4, 1) + b"abcd") * 500)
        log.wait("ultrasound.client", lambda e: e["how"] == "broke the protocol")
        assert len(log.of("ultrasound.garbage")) <= GARBAGE_LIMIT + 1


def test_the_size_changes_in_mid_stream() -> None:
    """From one picture to the next, geometry with it."""
    with running() as (device, port, log):
        arm(device, "resize", size="1024x768")
        peer = Peer(port)
        sizes = [getattr(peer.image().body, "size", ())[:2] for _ in range(4)]
        assert sizes == [(640, 480)] * 2 + [(1024, 768)] * 2
        assert [g["width"] for g in log.of("ultrasound.geometry")] == [640, 1024]


def test_a_pulled_probe_is_told_and_comes_back() -> None:
    """STATUS says not present, then OK; nothing between; by itself after a time, or by command."""
    with running() as (device, port, log):
        arm(device, "unplug", seconds=0.1)
        peer = Peer(port)
        assert [peer.image().number for _ in range(2)] == [1, 2]
        for code in (16, 1):
            got = peer.next()
            assert isinstance(got, Message)
            assert isinstance(got.body, Status)
            assert got.body.code == code
        assert peer.image().number == 3
        device.command("unplug", {})
        assert device.command("unplug", {}) == {"plugged": False}
        peer.until(lambda m: isinstance(m.body, Status) and m.body.code == 16)
        device.command("plug", {})
        peer.until(lambda m: isinstance(m.body, Status) and m.body.code == 1)
        assert peer.image().number >= 4
        assert [e["plugged"] for e in log.of("ultrasound.probe")] == [False, True, False, True]


def test_a_connection_is_cut_inside_a_picture_and_the_device_lives_on() -> None:
    """The client has exactly the bytes that were allowed; another can come."""
    with running() as (device, port, log):
        arm(device, "close", at_bytes=1000)
        peer = Peer(port)
        assert [peer.image().number for _ in range(2)] == [1, 2]
        assert peer.next() is None
        assert peer.decoder.buffered == 1000
        assert log.wait("ultrasound.client", lambda e: e["how"] == "cut by the device")["sent"] == 2
        assert Peer(port).image().number > 3


def test_a_stalled_stream_stops_inside_a_picture_and_goes_on() -> None:
    """Silence for a time after some bytes; then the rest of it, whole."""
    with running() as (device, port, log):
        arm(device, "stall", seconds=0.4, at_bytes=500)
        peer = Peer(port)
        assert [peer.image().number for _ in range(2)] == [1, 2]
        while peer.decoder.buffered < 500:
            peer.decoder.receive(peer.sock.recv(1 << 20))
        assert peer.decoder.buffered == 500
        begun = log.wait("fault.fired")
        assert peer.image().number == 3
        assert begun["where"] == {"frame": 3}
        assert time.monotonic() - log.moments["fault.fired"] > 0.4


def test_a_slow_client_loses_pictures_and_nobody_else_does() -> None:
    """Its oldest are thrown away and told; what it then reads is in order and whole."""
    with running(fps=20, size="1024x768", queue=8, bank=True) as (_, port, log):
        slow, quick = Peer(port, buffer=4096), Peer(port)
        got = []
        while not log.of("ultrasound.dropped"):
            got.append(quick.image().number)
        assert got == list(range(got[0], got[0] + len(got)))
        lost = {e["sequence"] for e in log.of("ultrasound.dropped")}
        assert {e["client"] for e in log.of("ultrasound.dropped")} == {1}
        numbers: list[int] = []
        while not numbers or numbers[-1] < max(lost):
            numbers.append(slow.image().number)
            assert len(quick.image().metadata) == 5
        assert numbers == sorted(set(numbers))
        assert not set(numbers) & lost


def test_too_many_clients_and_bad_ones_are_turned_away() -> None:
    """The third gets nothing; one that speaks HTTP, and one that promises a huge message, are cut off."""
    with running(max_clients=2) as (_, port, log):
        first, second = Peer(port), Peer(port)
        first.image()
        second.image()
        assert Peer(port).next() is None
        second.sock.sendall(b"GET / HTTP/1.1\r\n" + b"Host: x\r\n" * 10)
        assert "no OpenIGTLink" in log.wait("ultrasound.garbage")["reason"]
        log.wait("ultrasound.client", lambda e: e["how"] == "broke the protocol")
        third = Peer(port)
        third.image()
        third.sock.sendall(HEADER.pack(1, b"IMAGE", b"x", 0, 0, 1 << 40, 0))
        log.wait("ultrasound.garbage", lambda e: "allowed" in e["reason"])
        first.sock.sendall(HEADER.pack(1, b"STRING", b"UsSet", 0, 0, 4, 1) + b"abcd")
        log.wait("ultrasound.garbage", lambda e: "CRC" in e["reason"])
        first.image()


def test_a_client_that_was_told_as_gone_has_left_its_place() -> None:
    """Whoever hears that somebody is gone may come instead, however long the rest of the end takes."""
    served: list[int] = []
    where: list[int] = []

    class Heard(Log):
        def __call__(self, kind: str, /, **data: Any) -> None:
            if kind == "ultrasound.client" and data["how"] == "left" and not served:
                served.append(Peer(where[0]).image().number)
            super().__call__(kind, **data)

    log = Heard()
    device = create(Config.from_dict({"port": 0, "fps": 20, "bank": False, "max_clients": 1}), log)
    where.append(int(device.start()["port"]))
    try:
        first = Peer(where[0])
        first.image()
        first.sock.shutdown(socket.SHUT_WR)
        log.wait("ultrasound.client", lambda e: e["how"] == "left")
        assert served
    finally:
        device.stop()


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("jump", {}),
        ("set", {"gain": "loud"}),
        ("set", {"freeze": 3}),
        ("freeze", {"now": 1}),
        ("arm", {"id": "a", "fault": "stal"}),
        ("arm", {"id": "", "fault": "drop"}),
        ("arm", {"id": "a", "fault": "drop", "args": {"count": 0}}),
        ("arm", {"id": "a", "fault": "drop", "args": {"percent": 5}}),
        ("arm", {"id": "a", "fault": "resize", "args": {"size": "1x1"}}),
        ("arm", {"id": "a", "fault": "stall", "args": {"seconds": float("nan")}}),
        ("arm", {"id": "a", "fault": "drop", "when": {"state": "x"}}),
        ("arm", {"id": "a", "fault": "drop", "when": {"frame": -1}}),
        ("arm", {"id": "a", "fault": "drop", "args": [1]}),
        ("arm", {"id": "a", "fault": "drop", "when": "now"}),
        ("watch", {"id": "w"}),
    ],
)
def test_wrong_commands_are_refused(verb: str, args: dict[str, Any]) -> None:
    """Before anything is touched."""
    log = Log()
    with pytest.raises(CommandError):
        create(Config(port=0), log).command(verb, args)
    assert not log.of("fault.armed")


def test_faults_can_be_disarmed_and_frames_watched() -> None:
    """A disarmed fault never fires; a watch is told once."""
    with running(fps=60) as (device, port, log):
        for number, fault in enumerate(FAULTS):
            device.command("arm", {"id": str(number), "fault": fault, "when": {"frame": 2}})
            assert device.command("disarm", {"id": str(number)}) == {"known": True}
        assert device.command("disarm", {"id": "0"}) == {"known": False}
        device.command("watch", {"id": "w", "frame": 3})
        peer = Peer(port)
        for _ in range(5):
            peer.image()
        assert log.of("trigger.hit") == [{"id": "w"}]
        assert not log.of("fault.fired")


@pytest.mark.parametrize(
    "values",
    [
        {"siez": "x"},
        {"size": "800x600"},
        {"fps": 61},
        {"fps": True},
        {"port": "1"},
        {"depth": 5.0},
        {"mode": "D"},
    ],
)
def test_a_wrong_configuration_is_refused_by_name(values: dict[str, Any]) -> None:
    """The message names what is wrong."""
    with pytest.raises(ValueError, match="ultrasound: "):
        Config.from_dict(values)


def test_alone_it_says_where_it_listens_and_ends_on_sigterm() -> None:
    """``modbench simulate ultrasound``: one line, pictures, exit code 0 and silence."""
    command = [sys.executable, "-m", "simulators", "ultrasound", "--port", "0", "--synthesise"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ultrasound US-1 US000001 listens on 127.0.0.1:"), line
        assert Peer(int(line.rsplit(":", 1)[1])).image().number == 1
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out, err) == (0, "", "")
