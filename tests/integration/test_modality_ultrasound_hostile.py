"""A front end that sends what no front end should: the exam goes on or ends cleanly, and no picture is made up."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from modality.ultrasound import Scanner, ScannerError, UltrasoundConfig
from modality.ultrasound.overlay import ruler
from simulators.ultrasound import crc, igtl
from tests.lab.eventlog import WAIT, Log

WIDTH, HEIGHT, SCALE = 64, 48, 0.4


def words(**top: Any) -> bytes:
    """UsSettings; ``delta`` is that of the one region."""
    delta = top.pop("delta", SCALE)
    mode = top.pop("mode", "B")
    region = {
        "kind": "tissue",
        "rectangle": [2, 3, 60, 40],
        "units": ["mm", "mm"],
        "delta": [delta, delta],
        "reference": [29.5, -2.25],
        "value": [0.0, 0.0],
    }
    knobs = {
        "depth": 160.0,
        "gain": 0.0,
        "dynamic_range": 60.0,
        "freeze": False,
        "probe": "C5-2",
        "mode": mode,
    }
    size = {"width": WIDTH, "height": HEIGHT, "components": 1, "spacing_mm": SCALE, "regions": [region]}
    values = {"model": "US-1", "serial": "1", "fps": 30.0, "from": 1, "knobs": knobs, "number": 1}
    text = json.dumps({**values, "geometry": size, **top})
    return igtl.encode(igtl.Message(igtl.Text(text), "UsSettings", 0, 2))


def pixels(number: int) -> bytes:
    """Of a picture: no two are alike."""
    return bytes((number + i) % 256 for i in range(WIDTH)) * HEIGHT


def picture(number: int, version: int = 2, **meta: str) -> bytes:
    """IMAGE of a number."""
    image = igtl.Image((WIDTH, HEIGHT, 1), pixels(number), (SCALE, 0, 0, 0, SCALE, 0, 0, 0, 1, 0, 0, 0))
    metadata = {"sequence": str(number), "geometry": "1", "mode": "B", **meta} if version >= 2 else {}
    return igtl.encode(
        igtl.Message(image, "Image_Probe", 0, version, number if version >= 2 else 0, metadata)
    )


def framed(type_: bytes, body: bytes, version: int = 2, size: int | None = None) -> bytes:
    """A right checksum around any body; ``size`` is what the header says instead of the truth."""
    size = len(body) if size is None else size
    return igtl.HEADER.pack(version, type_, b"Image_Probe", 0, 0, size, crc.crc64(body)) + body


def answer(text: str) -> bytes:
    """RTS_COMMAND."""
    return igtl.encode(igtl.Message(igtl.Command(1, "Set", text, True), "UsSet", 0, 2))


class FrontEnd:
    """Says something to each connection in turn, the last again and again, and holds the line."""

    def __init__(self, scripts: Sequence[bytes]) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._socks: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
                self._socks.append(sock)
                sock.sendall(self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0])
            except ConnectionError:
                continue  # the console has had enough of it
            except OSError:
                return

    def say(self, data: bytes) -> None:
        """Go on, on the newest connection."""
        self._socks[-1].sendall(data)

    def stop(self) -> None:
        """End."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WAIT)
        for sock in self._socks:
            sock.close()


@contextmanager
def console(*scripts: bytes, **values: Any) -> Iterator[tuple[Scanner, FrontEnd, Log]]:
    """A scanner in front of it."""
    peer, log = FrontEnd(scripts), Log()
    config = {"retry_s": 0.05, "stall_s": 10.0, "answer_timeout_s": 0.1, **values}
    scanner = Scanner(UltrasoundConfig("127.0.0.1", peer.port, **config), log.tell)
    scanner.open()
    try:
        yield scanner, peer, log
    finally:
        scanner.close()
        peer.stop()


def until(scanner: Scanner, number: int) -> None:
    """Wait for a picture."""
    deadline = time.monotonic() + WAIT
    while scanner.state()["sequence"] != number:
        assert time.monotonic() < deadline, scanner.state()
        time.sleep(0.005)


GOOD = words() + picture(1)
LONGER_EXTENDED = struct.pack(">HHII", 20, 0, 0, 9) + bytes(8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "1",
        '{"code": 1e999}',
        '{"code": "x"}',
        '{"text": 1}',
        "[" * 5000,
        '{"code": {}}',
        "\0",
    ],
)
def test_an_answer_that_is_none_is_passed_over(text: str) -> None:
    """The picture after it is there: whoever reads has not died of it."""
    with console(GOOD + answer(text) + picture(2)) as (scanner, _, log):
        until(scanner, 2)
        assert scanner.still().sha256 == hashlib.sha256(pixels(2)).hexdigest()
        assert log.warnings() == []


@pytest.mark.parametrize("size", [(16 << 20) + 1, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("type_", [b"IMAGE", b"STRING", b"\xff\xfe"])
def test_a_body_without_end_is_not_waited_for(size: int, type_: bytes) -> None:
    """The connection is given up at the header; the next one is as good as new."""
    with console(GOOD + framed(type_, b"x" * 100, size=size), words() + picture(7)) as (scanner, _, log):
        log.wait("warning", code="frontend-protocol")
        until(scanner, 7)
        assert scanner.still().connection == 2


@pytest.mark.parametrize("version", [0, 4, 17, 65535])
def test_a_version_that_does_not_exist_ends_the_connection(version: int) -> None:
    """Nobody knows where the next message would begin."""
    with console(GOOD + framed(b"IMAGE", b"", version), words() + picture(7)) as (scanner, _, log):
        assert str(version) in log.wait("warning", code="frontend-protocol")["text"]
        until(scanner, 7)


def head(**other: int) -> bytes:
    """The fixed part of an IMAGE that promises the usual picture, but for some values."""
    v = {"components": 1, "scalar": 3, "width": WIDTH, "height": HEIGHT, "slices": 1, "part": WIDTH, "at": 0}
    v |= other
    numbers = (
        v["width"],
        v["height"],
        v["slices"],
        SCALE,
        0,
        0,
        0,
        SCALE,
        *(0,) * 7,
        v["at"],
        0,
        0,
        v["part"],
        HEIGHT,
        1,
    )
    return igtl.IMAGE.pack(1, v["components"], v["scalar"], 2, 2, *numbers)


PLAIN = struct.pack(">HHII", 12, 0, 0, 2)


@pytest.mark.parametrize(
    "body",
    [
        PLAIN + head() + pixels(2)[:-1],  # shorter than it says
        PLAIN + head() + pixels(2) + b"x",  # longer than it says
        PLAIN + head(width=0, part=0),
        PLAIN + head(components=2) + pixels(2) * 2,
        PLAIN + head(scalar=5) + pixels(2) * 2,
        PLAIN + head(slices=2) + pixels(2) * 2,
        PLAIN + head(at=1) + pixels(2),
        PLAIN + head()[:40],
        b"",
        struct.pack(">HHII", 11, 0, 0, 2) + head() + pixels(2),  # an extended header shorter than it can be
        struct.pack(">HHII", 12, 65535, 0, 2) + head() + pixels(2),
        struct.pack(">HHII", 12, 2, (1 << 32) - 1, 2) + head() + pixels(2) + b"\0\0",
        struct.pack(">HHII", 12, 2, 0, 2) + head() + pixels(2) + b"\xff\xff",  # 65535 entries in two bytes
        struct.pack(">HHII", 12, 10, 0, 2) + head() + pixels(2) + struct.pack(">HHHI", 1, 9, 3, 9),
    ],
)
def test_a_picture_that_is_not_what_it_says_is_never_shown(body: bytes) -> None:
    """It is refused and counted; the one before stays until the one after comes."""
    with console(GOOD + framed(b"IMAGE", body) + igtl.encode(igtl.Message(igtl.Other("X")))) as (
        scanner,
        peer,
        log,
    ):
        log.wait("warning", code="picture-refused")
        assert scanner.still().sequence == 1
        peer.say(picture(3))
        until(scanner, 3)
        state = scanner.state()
        assert (state["refused"], state["dropped"], state["received"]) == (1, 0, 2)


def test_versions_may_be_mixed_and_headers_longer() -> None:
    """Each message tells its own version; an extended header may be longer than we know; unknown types are nothing."""
    longer = framed(b"IMAGE", LONGER_EXTENDED + head() + pixels(9))
    stranger = framed(b"POLYDATA", b"\0" * 5000, 1) + framed(b"TDATA", b"", 1) + framed(b"\xff" * 12, b"?", 1)
    with console(GOOD + stranger + picture(2, 3) + picture(3, 1) + longer) as (scanner, _, log):
        until(scanner, 9)
        assert scanner.still().sha256 == hashlib.sha256(pixels(9)).hexdigest()
        assert log.warnings() == ["pictures-lost"]  # 4 to 8 were never sent


def test_a_scale_of_no_probe_draws_no_ruler() -> None:
    """100 m per row would be hundreds of thousands of ticks (and what a number can say, billions)."""
    with console(words(delta=1e5) + picture(1)) as (scanner, _, _log):
        until(scanner, 1)
        assert len(scanner.still().settings.regions) == 1
        assert ruler(scanner.still())[1] == []
        assert scanner.screen(["x"]).shape[2] == 3


# -------------------------------------------------------------------------------- settings of another picture


@pytest.mark.parametrize(
    "between",
    [
        words(number=2),  # the geometry of a picture to come
        words(mode="M"),
        words(**{"from": 3}),
        words(number="2"),  # cannot be read: who knows what it said
        b"".join(igtl.pieces(igtl.Message(igtl.Text("{}"), "UsSettings", 0, 2), spoil=True)),
    ],
)
def test_a_picture_never_has_the_calibration_of_another(between: bytes) -> None:
    """No region, no depth, no probe rather than wrong ones; right again as soon as settings come that are its own."""
    with console(GOOD + between + picture(2)) as (scanner, peer, log):
        until(scanner, 2)
        still = scanner.still()
        assert (still.settings.regions, still.settings.spacing_mm) == ((), (0.0, 0.0))
        assert (still.settings.depth_mm, still.settings.probe, still.mode) == (0.0, "", "B")
        log.wait("warning", code="calibration")
        peer.say(words() + picture(3))
        until(scanner, 3)
        assert (scanner.still().settings.depth_mm, len(scanner.still().settings.regions)) == (160.0, 1)


def test_an_old_front_end_whose_settings_were_spoiled_is_not_trusted() -> None:
    """Header version 1 has no metadata: only the settings say what a picture is."""
    spoiled = b"".join(igtl.pieces(igtl.Message(igtl.Text("{}"), "UsSettings"), spoil=True))
    with console(words() + picture(1, 1) + spoiled + picture(2, 1)) as (scanner, _, log):
        until(scanner, 2)
        assert scanner.still().settings.regions == ()
        log.wait("warning", code="calibration")


# -------------------------------------------------------------------------------- what is held


def test_the_still_is_the_newest_whole_picture_at_the_freeze() -> None:
    """Half of the next one had come; it is never shown, nor are those after it, until the picture runs again."""
    second, third = picture(2), picture(3)
    with console(GOOD + second + third[:2000]) as (scanner, peer, _):
        until(scanner, 2)
        scanner.freeze()
        held = scanner.still()
        assert (held.sequence, held.sha256) == (2, hashlib.sha256(pixels(2)).hexdigest())
        peer.say(third[2000:] + picture(4) + words(mode="M", number=2) + picture(5, mode="M", geometry="2"))
        while scanner.state()["received"] < 5:
            time.sleep(0.005)
        assert scanner.still() is held
        assert held.pixels.tobytes() == pixels(2)
        assert (held.mode, len(held.settings.regions)) == ("B", 1)
        assert scanner.clip(frames=9, before=True).last == 2
        assert scanner.state()["cine"]["frames"] == 2  # what came since has pushed nothing out
        screen = scanner.screen(frame=held)
        assert (screen[-HEIGHT:, :40, 0] == held.pixels[:, :40]).all()


def test_a_screen_can_be_of_the_very_picture_that_was_taken() -> None:
    """Whatever has come since."""
    with console(GOOD) as (scanner, peer, _):
        until(scanner, 1)
        first = scanner.still()
        peer.say(picture(2))
        until(scanner, 2)
        assert (scanner.screen(frame=first)[-HEIGHT:, :40, 0] == first.pixels[:, :40]).all()
        assert not (scanner.screen()[-HEIGHT:, :40, 0] == first.pixels[:, :40]).all()


def test_a_clip_is_bounded_by_what_comes_and_not_by_what_was_said() -> None:
    """Nothing had come when it was asked for; it ends at the memory it may have."""
    size = WIDTH * HEIGHT
    with console(words(), clip_bytes=3 * size) as (scanner, peer, _):
        while not scanner.state()["connected"]:
            time.sleep(0.005)
        peer_says = threading.Timer(0.2, lambda: peer.say(b"".join(picture(n) for n in range(1, 9))))
        peer_says.start()
        try:
            with pytest.raises(ScannerError) as error:
                scanner.clip(frames=100, timeout=WAIT)
            assert error.value.code == "clip-length"
        finally:
            peer_says.join()
