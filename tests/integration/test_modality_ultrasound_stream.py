"""The ultrasound acquisition with a front end over real sockets: what is kept was made, and every fault is told."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest

from modality.ultrasound import Clip, Scanner, ScannerError, UltrasoundConfig
from simulators.ultrasound import Config, Ultrasound, create
from tests.lab.eventlog import WAIT, Log


class Bench:
    """A front end, a scanner, and what both have told."""

    def __init__(self, **values: Any) -> None:
        own = {k: values.pop(k) for k in list(values) if k in UltrasoundConfig.__dataclass_fields__}
        self.truth, self.log = Log(), Log()
        self.values = {"port": 0, "fps": 30.0, "bank": True, "queue": 64, **values}
        self.device: Ultrasound = create(Config.from_dict(self.values), self.truth.emit)
        self.port = int(self.device.start()["port"])
        patience = {"stall_s": WAIT, "answer_timeout_s": WAIT}  # a busy machine is no broken front end
        config = UltrasoundConfig(
            **{"address": "127.0.0.1", "port": self.port, "retry_s": 0.05, **patience, **own}
        )
        self.scanner = Scanner(config, self.log.tell)

    def open(self) -> Scanner:
        self.scanner.open()
        self.log.wait("state", state="live")
        self.scanner.set(gain=0)  # answered: the front end listens as well
        return self.scanner

    def restart(self) -> None:
        """Another front end at the same place."""
        self.device = create(Config.from_dict({**self.values, "port": self.port}), self.truth.emit)
        self.device.start()

    def arm(self, fault: str, **args: Any) -> int:
        """A fault at the next picture; the number of that picture."""
        self.device.command("arm", {"id": fault, "fault": fault, "args": args})
        return int(self.truth.wait("fault.fired", id=fault)["where"]["frame"])

    def arm_in_clip(self, fault: str, clip: dict[str, Any], **args: Any) -> tuple[int, Clip]:
        """A fault after some pictures of a clip; the number of its first picture, and the clip."""
        clips: list[Clip] = []
        thread = threading.Thread(
            target=lambda: clips.append(self.scanner.clip(**{"timeout": 2 * WAIT, **clip}))
        )
        thread.start()
        self.recording()
        self.truth.wait("ultrasound.frame", sequence=self.scanner.still().sequence + 3)
        frame = self.arm(fault, **args)
        thread.join(3 * WAIT)
        (got,) = clips
        return frame, got

    def recording(self) -> None:
        """A clip has been begun."""
        while not self.scanner.state()["recording"]:
            self.truth.wait("ultrasound.frame", sequence=self.scanner.still().sequence + 1)

    def digest(self, sequence: int) -> str:
        return str(self.truth.wait("ultrasound.frame", sequence=sequence)["sha256"])


@contextmanager
def bench(**values: Any) -> Iterator[Bench]:
    made = Bench(**values)
    try:
        yield made
    finally:
        if made.scanner.state()["state"] == "live":  # perhaps over a connection that was just made
            with suppress(ScannerError):  # or is just lost
                made.scanner.set(gain=0)
        made.scanner.close()
        made.device.stop()


def refused(action: Callable[[], Any]) -> str:
    with pytest.raises(ScannerError) as error:
        action()
    assert len(error.value.text) > 10
    return error.value.code


# -------------------------------------------------------------------------------- what is kept


@pytest.mark.parametrize("protocol", [1, 2, 3])
@pytest.mark.parametrize("mode", ["B", "colour", "M", "PW"])
def test_a_still_is_the_picture_that_was_made(mode: str, protocol: int) -> None:
    with bench(mode=mode, protocol=protocol, size="640x480", bank=False, fps=10.0) as b:
        still = b.open().still()
        assert still.sha256 == b.digest(still.sequence)
        assert still.pixels.shape == ((480, 640, 3) if mode == "colour" else (480, 640))
        assert (still.mode, still.settings.probe, still.settings.depth_mm) == (mode, "C5-2", 160.0)
        said = b.truth.wait("ultrasound.geometry")["regions"]
        for region, truth in zip(still.settings.regions, said, strict=True):
            scale = 1.0 if truth["units"][0] == "s" else 0.1
            assert region.delta_x == pytest.approx(truth["delta"][0] * scale)
            assert region.delta_y == pytest.approx(truth["delta"][1] * 0.1)
            # The device's own reference, which is no whole pixel, has the device's own value.
            u, v = truth["reference"]
            there = region.value(region.min_x0 + u, region.min_y0 + v)
            assert there == pytest.approx((truth["value"][0] * scale, truth["value"][1] * 0.1))
        assert not b.log.warnings()
        with pytest.raises(ValueError, match="read-only"):
            still.pixels[0, 0] = 1


def test_a_clip_has_every_picture_from_now_on() -> None:
    with bench() as b:
        scanner = b.open()
        before = scanner.still().sequence
        clip = scanner.clip(frames=25, timeout=WAIT)
        assert clip.first > before
        assert [f.sequence for f in clip.frames] == list(range(clip.first, clip.first + 25))
        assert [f.sha256 for f in clip.frames] == [b.digest(f.sequence) for f in clip.frames]
        joined = "".join(b.digest(n) for n in range(clip.first, clip.last + 1))
        assert clip.raw_sha256 == hashlib.sha256(joined.encode()).hexdigest()
        assert (clip.ended, clip.gaps) == ("whole", ())
        assert clip.frame_time_ms == pytest.approx(1000 / 30) or b.truth.of("ultrasound.late")
        assert len(scanner.clip(seconds=0.5, timeout=WAIT).frames) == 15


def test_frozen_is_frozen_and_the_cine_memory_is_what_was_before() -> None:
    with bench() as b:
        scanner = b.open()
        scanner.clip(frames=20, timeout=WAIT)
        scanner.freeze()
        held = scanner.still()
        b.truth.wait("ultrasound.set", freeze=True)
        assert b.log.wait("freeze") == {"on": True, "by": "console"}
        assert b.device.command("state", {})["freeze"] is True
        assert scanner.still() is held
        assert scanner.state()["state"] == "frozen"
        clip = scanner.clip(frames=15, before=True)
        assert (clip.last, len(clip.frames), clip.ended) == (held.sequence, 15, "whole")
        assert clip.frames[3].sha256 == b.digest(clip.frames[3].sequence)
        assert len(scanner.clip(seconds=0.5, before=True).frames) == 15
        assert scanner.clip(frames=5000 // 10, before=True).ended == "memory"
        assert refused(lambda: scanner.clip(frames=2)) == "frozen"
        scanner.freeze(False)
        after = scanner.still()
        assert after.sequence > held.sequence
        assert min(f.sequence for f in scanner.clip(frames=400, before=True).frames) > held.sequence
        assert b.device.command("state", {})["freeze"] is False


def test_a_front_end_that_is_frozen_by_somebody_else_freezes_the_picture() -> None:
    with bench() as b:
        scanner = b.open()
        b.device.command("freeze", {})
        assert b.log.wait("freeze", on=True)["by"] == "frontend"
        newest = b.device.command("state", {})["sequence"]
        assert scanner.still().sequence == newest
        b.device.command("unfreeze", {})
        assert b.log.wait("freeze", on=False)["by"] == "frontend"
        assert scanner.still().sequence > newest


def test_knobs_are_in_the_picture_when_set_returns() -> None:
    with bench(fps=20.0) as b:
        scanner = b.open()
        scanner.set(depth=120, gain=6)
        still = scanner.still()
        assert (still.settings.depth_mm, still.settings.gain_db) == (120.0, 6.0)
        assert still.sha256 == b.digest(still.sequence)
        scanner.set(mode="PW")
        assert scanner.still().settings.regions[0].data_type == 3
        assert refused(lambda: scanner.set(depth=9999)) == "frontend-refused"
        assert refused(lambda: scanner.set(mode="B;freeze=1")) == "frontend-refused"


def test_an_old_front_end_without_commands_obeys_too() -> None:
    with bench(protocol=1, fps=20.0) as b:
        scanner = b.open()
        scanner.set(depth=100)
        assert scanner.still().settings.depth_mm == 100.0
        assert refused(lambda: scanner.set(depth=1)) == "frontend-refused"


def test_memory_is_bounded() -> None:
    size = 640 * 480
    with bench(cine_bytes=7 * size + 5, clip_bytes=30 * size) as b:
        scanner = b.open()
        scanner.clip(frames=12, timeout=WAIT)
        assert scanner.state()["cine"] == {"frames": 7, "bytes": 7 * size}
        assert refused(lambda: scanner.clip(frames=31)) == "clip-length"
        assert refused(lambda: scanner.clip(frames=0)) == "clip-length"
        assert refused(lambda: scanner.clip()) == "clip-length"
        newest = scanner.still()
        assert scanner.still(newest.sequence) is newest
        assert refused(lambda: scanner.still(1)) == "no-picture"


# -------------------------------------------------------------------------------- faults


def test_lost_pictures_are_counted_and_a_clip_says_so() -> None:
    with bench() as b:
        scanner = b.open()
        first, clip = b.arm_in_clip("drop", {"frames": 30}, count=3)
        assert clip.gaps == ((first, first + 2),)
        assert (clip.missing, len(clip.frames), clip.ended) == (3, 30, "whole")
        assert scanner.state()["dropped"] == 3
        assert b.log.wait("warning", code="pictures-lost")["peer"] == "ultrasound"
        b.log.wait("warning", code="clip-gaps")
        assert b.log.warnings().count("pictures-lost") == 1


def test_a_clip_of_seconds_is_no_longer_for_lost_pictures() -> None:
    with bench() as b:
        b.open()
        _, clip = b.arm_in_clip("drop", {"seconds": 1.0}, count=3)
        assert clip.missing == 3
        assert (clip.last - clip.first + 1, len(clip.frames)) == (30, 27)


def test_spoiled_pictures_are_refused_and_told_once() -> None:
    with bench() as b:
        scanner = b.open()
        first, clip = b.arm_in_clip("crc", {"frames": 25}, count=4)
        assert clip.gaps == ((first, first + 3),)
        state = scanner.state()
        assert (state["refused"], state["dropped"]) == (4, 0)
        assert "checksum" in b.log.wait("warning", code="picture-spoiled")["text"]
        assert b.log.warnings().count("picture-spoiled") == 1
        assert refused(lambda: scanner.still(first)) == "no-picture"


def test_another_size_ends_a_clip_and_is_never_mixed() -> None:
    with bench() as b:
        scanner = b.open()
        at, clip = b.arm_in_clip("resize", {"frames": 300}, size="1024x768")
        assert (clip.ended, clip.last) == ("picture-changed", at - 1)
        assert {f.pixels.shape for f in clip.frames} == {(480, 640)}
        b.log.wait("warning", code="clip-short")
        b.log.wait("state", size="1024x768")
        still = scanner.still()
        assert still.pixels.shape == (768, 1024)
        assert still.settings.columns == 1024
        assert still.settings.regions[0].max_x1 > 640
        assert {f.pixels.shape for f in scanner.clip(frames=90, before=True).frames} == {(768, 1024)}


def test_another_depth_ends_a_clip_too() -> None:
    with bench(bank=False, fps=15.0) as b:
        scanner = b.open()
        clips: list[Clip] = []
        thread = threading.Thread(target=lambda: clips.append(scanner.clip(frames=500, timeout=WAIT)))
        thread.start()
        b.recording()
        b.truth.wait("ultrasound.frame", sequence=scanner.still().sequence + 5)
        b.device.command("set", {"depth": 100})
        thread.join(WAIT)
        assert clips[0].ended == "picture-changed"
        assert {f.settings.depth_mm for f in clips[0].frames} == {160.0}
        b.log.wait("state", depth_mm=100.0)
        assert scanner.still().settings.depth_mm == 100.0


def test_without_a_probe_there_is_no_picture() -> None:
    with bench() as b:
        scanner = b.open()
        at, clip = b.arm_in_clip("unplug", {"frames": 300})
        assert (clip.ended, clip.last) == ("probe-unplugged", at - 1)
        b.log.wait("state", state="unplugged")
        assert refused(scanner.still) == "probe-unplugged"
        assert refused(lambda: scanner.clip(frames=2)) == "probe-unplugged"
        assert scanner.clip(frames=5, before=True).last == at - 1
        b.device.command("plug", {})
        b.log.wait("state", state="live", count=2)
        assert scanner.still().sequence >= at
        assert {f.sequence >= at for f in scanner.clip(frames=90, before=True).frames} == {True}


@pytest.mark.parametrize("at_bytes", [0, 30, 100_000])
def test_a_stall_is_told_and_passes(at_bytes: int) -> None:
    with bench(stall_s=1.0) as b:
        scanner = b.open()
        at = b.arm("stall", seconds=5.0, at_bytes=at_bytes)
        b.log.wait("state", state="stalled")
        b.log.wait("warning", code="stalled")
        assert refused(scanner.still) == "stalled"
        deadline = time.monotonic() + WAIT
        while scanner.state()["sequence"] < at and time.monotonic() < deadline:
            time.sleep(0.01)
        stalls = [d for d in b.log.of("state") if d["state"] == "stalled"]
        b.log.wait("state", state="live", count=len(stalls) + 1)
        assert scanner.still().sequence >= at
        assert scanner.state()["refused"] == 0


def test_a_clip_that_stalls_ends_with_its_time() -> None:
    with bench(stall_s=0.3) as b:
        b.open()
        at, clip = b.arm_in_clip("stall", {"frames": 300, "timeout": 3.0}, seconds=60.0)
        assert (clip.ended, clip.last) == ("stalled", at - 1)


@pytest.mark.parametrize("at_bytes", [0, 30, 100_000])
def test_a_connection_that_breaks_is_made_again(at_bytes: int) -> None:
    with bench() as b:
        scanner = b.open()
        at, clip = b.arm_in_clip("close", {"frames": 300}, at_bytes=at_bytes)
        assert (clip.ended, clip.last) == ("frontend-absent", at - 1)
        b.log.wait("warning", code="frontend-lost")
        b.log.wait("state", state="live", count=2)
        still = scanner.still()
        assert (still.connection, still.sequence > at) == (2, True)
        assert still.sha256 == b.digest(still.sequence)


def test_the_front_end_goes_and_comes_back() -> None:
    with bench() as b:
        scanner = b.open()
        b.device.stop()
        b.log.wait("state", state="absent")
        assert refused(scanner.still) == "frontend-absent"
        assert refused(lambda: scanner.set(gain=1)) == "frontend-absent"
        b.restart()
        b.log.wait("state", state="live", count=2)
        assert scanner.still().connection >= 2
        assert b.log.warnings() == ["frontend-lost"]


def test_a_frozen_picture_outlives_its_front_end() -> None:
    with bench() as b:
        scanner = b.open()
        scanner.freeze()
        held = scanner.still()
        b.device.stop()
        b.log.wait("warning", code="frontend-lost")
        assert scanner.still() is held
        b.restart()
        b.truth.wait("ultrasound.set", freeze=True, count=2)
        assert scanner.still() is held
        scanner.freeze(False)
        assert scanner.still().connection > held.connection


def test_one_clip_at_a_time_and_none_after_the_end() -> None:
    with bench() as b:
        scanner = b.open()
        outcome: list[str] = []
        thread = threading.Thread(target=lambda: outcome.append(refused(lambda: scanner.clip(frames=1000))))
        thread.start()
        b.recording()
        assert refused(lambda: scanner.clip(frames=2)) == "busy"
        scanner.close()
        thread.join(WAIT)
        assert outcome == ["closed"]
        assert refused(scanner.still) == "closed"
        assert scanner.state()["state"] == "closed"
        assert not [
            t.name for t in threading.enumerate() if t.name in ("ultrasound-link", "ultrasound-events")
        ]


# -------------------------------------------------------------------------------- peers that are none


@contextmanager
def peer(greeting: bytes) -> Iterator[int]:
    """Somebody who says this and then nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    socks: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
                socks.append(sock)
                sock.sendall(greeting)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(WAIT)
        for sock in socks:
            sock.close()


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        (b"", "frontend-lost"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "frontend-protocol"),
    ],
)
def test_whoever_else_listens_there_is_left(greeting: bytes, code: str) -> None:
    with peer(greeting) as port:
        log = Log()
        config = UltrasoundConfig("127.0.0.1", port, silence_s=0.6, retry_s=0.05, stall_s=0.2)
        scanner = Scanner(config, log.tell)
        scanner.open()
        try:
            log.wait("warning", code=code)
            assert refused(scanner.still) in ("frontend-absent", "stalled", "no-picture")
        finally:
            scanner.close()


def test_nobody_there_is_told_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    log = Log()
    scanner = Scanner(UltrasoundConfig("127.0.0.1", port, retry_s=0.01), log.tell)
    scanner.open()
    try:
        assert log.wait("warning", code="frontend-absent")["service"] == "acquisition"
        assert refused(scanner.still) == "frontend-absent"
        assert refused(scanner.freeze) == "frontend-absent"
        assert refused(scanner.screen) == "frontend-absent"
    finally:
        scanner.close()
    assert log.warnings() == ["frontend-absent"]


def test_the_screen_is_the_picture_and_its_words() -> None:
    with bench() as b:
        scanner = b.open()
        scanner.freeze()
        still, screen = scanner.still(), scanner.screen(["YAMADA^TARO=山田^太郎"])
        band = screen.shape[0] - still.rows
        assert (screen.shape[1], screen.shape[2], screen.dtype) == (640, 3, np.uint8)
        assert np.array_equal(screen[band:, :560, 1], still.pixels[:, :560])
        assert screen[:band].any()
        assert not np.array_equal(scanner.screen([])[:20], np.zeros_like(screen[:20]))
