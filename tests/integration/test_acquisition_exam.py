"""The console's acquisition against the simulated front end, each in its own process, over loopback."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modality.acquisition import Acquisition, AcquisitionConfig, AcquisitionError, Shot, Technique

pytestmark = [
    pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning"),  # pyserial's RFC 2217 client
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="the simulators' CLOCK_MONOTONIC is Linux's"
    ),
]
FRONT = Path(__file__).with_name("acquisition_front.py")
SIZE = 512
TECHNIQUE = Technique(110.0, 200.0, 10.0, "PA", "CHEST")


class Front:
    """The other side: starts the process, gives orders, collects what it tells."""

    def __init__(self, calibration: Path, cache: Path, transport: str = "socket", prep_ms: int = 80) -> None:
        settings: dict[str, Any] = {
            "detector": {"width": SIZE, "height": SIZE, "gvcp_port": 0, "cache_dir": str(cache)},
            "generator": {"transport": transport, "prep_ms": prep_ms, "cooldown_ms": 20},
        }
        if not (calibration / "gain.map").exists():
            calibration.mkdir(exist_ok=True)
            settings["calibration"] = str(calibration)
        self.told: list[dict[str, Any]] = []
        self.news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, str(FRONT), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.where = self.wait("listening", timeout=120)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.news:
                self.told.append(json.loads(line))
                self.news.notify_all()

    def order(self, device: str, verb: str, **args: Any) -> int:
        """Give an order; returns a mark for :meth:`wait`."""
        mark = len(self.told)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"device": device, "verb": verb, "args": args}) + "\n")
        self.process.stdin.flush()
        return mark

    def wait(self, kind: str, mark: int = 0, timeout: float = 60.0, **wanted: Any) -> dict[str, Any]:
        """Wait for an event after a mark."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [
                e
                for e in self.told[mark:]
                if e["kind"] == kind and all(e.get(k) == v for k, v in wanted.items())
            ]
            return bool(found)

        with self.news:
            assert self.news.wait_for(there, timeout), f"no {kind} in {self.told[mark:]}"
        return found[0]

    def done(self, device: str, verb: str, **args: Any) -> dict[str, Any]:
        """Give an order and return what came of it."""
        mark = self.order(device, verb, **args)
        result: dict[str, Any] = self.wait("answer", mark, verb=verb)["result"]
        assert "error" not in result, result
        return result

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Console:
    """The acquisition and what it told the operator."""

    def __init__(self, front: Front, calibration: Path, **detector: Any) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        where = front.where
        config = AcquisitionConfig.from_settings(
            {
                "address": "127.0.0.1",
                "gvcp_port": where["detector"]["gvcp_port"],
                "calibration": str(calibration),
                "dark_every_s": 0,
                "heartbeat_ms": 5000,  # a machine that stands still for a second loses nothing
                "stall_timeout_s": 3.0,
                **detector,
            },
            {"url": where["generator"]["url"], "poll_s": 0.02, "idle_poll_s": 0.1, "reply_timeout_s": 2.0},
        )
        self.front = front
        self.acquisition = Acquisition(config, lambda kind, data: self.events.append((kind, data)))
        self.acquisition.open()

    def shoot(self, technique: Technique = TECHNIQUE, verb: str = "expose", **args: Any) -> Shot:
        """Prepare, press the switch, wait."""
        self.acquisition.prepare(technique)
        self.front.order("panel", verb, **args)
        return self.acquisition.wait(60.0)

    def warnings(self) -> list[str]:
        return [d["code"] for k, d in self.events if k == "warning"]

    def states(self, device: str) -> list[str]:
        return [d["state"] for k, d in self.events if k == "state" and d["device"] == device]


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calibration that comes with the panel, and a cache of scenes."""
    return tmp_path_factory.mktemp("disc")


@pytest.fixture
def room(disc: Path) -> Iterator[Callable[..., Console]]:
    made: collections.deque[Any] = collections.deque()

    def build(transport: str = "socket", prep_ms: int = 80, **detector: Any) -> Console:
        front = Front(disc / "maps", disc / "cache", transport, prep_ms)
        made.appendleft(front.close)
        console = Console(front, disc / "maps", **detector)
        made.appendleft(console.acquisition.close)
        return console

    yield build
    for close in made:
        close()


@pytest.mark.parametrize("transport", ["socket", "rfc2217"])
def test_exposures_from_switch_to_picture(room: Callable[..., Console], transport: str) -> None:
    console = room(transport, dark_every_s=900.0)
    first = console.shoot()
    truth = console.front.wait("detector.frame", frame_kind="Image")
    assert first.raw_sha256 == truth["sha256"]
    assert first.pixels.shape == (SIZE, SIZE)
    assert int(first.pixels.max()) < 1 << 14
    exposure = console.front.wait("generator.exposure")
    assert (first.kvp, first.ma, first.ms) == (
        pytest.approx(110.0),
        pytest.approx(200.0),
        pytest.approx(10.0),
    )
    assert first.mas == pytest.approx(exposure["mas"], abs=0.001)
    assert first.dap_dgycm2 == pytest.approx(exposure["dap_dgycm2"], abs=0.001)
    assert first.detector.serial == "FPD-0001"
    assert first.detector.pixel_pitch_mm == pytest.approx(0.139)
    assert "dark" in console.states("detector")
    mark = len(console.front.told)
    second = console.shoot(Technique(110.0, 200.0, 20.0, "PA", "CHEST"))
    assert second.raw_sha256 == console.front.wait("detector.frame", mark, frame_kind="Image")["sha256"]
    assert first.ei is not None
    assert second.ei is not None
    assert second.ei / first.ei == pytest.approx(2.0, rel=0.01)
    assert second.di is not None
    assert first.di is not None
    assert second.di - first.di == pytest.approx(3.01, abs=0.05)
    assert console.warnings() == []


def test_exposure_index_is_the_dose_at_the_detector(room: Callable[..., Console]) -> None:
    console = room()
    console.front.done("detector", "phantom", name="air")
    shot = console.shoot()
    truth = console.front.wait("detector.frame", frame_kind="Image")
    assert shot.ei is not None
    # air: the whole field is direct radiation, so the region is the centre; heel effect and grid are the world's
    assert shot.ei / (100 * truth["kerma_ugy"]) == pytest.approx(1.0, abs=0.35)


def test_one_percent_loss_is_repaired(room: Callable[..., Console]) -> None:
    console = room()
    console.front.done("detector", "arm", id="d", fault="drop", args={"percent": 1, "count": 0})
    shot = console.shoot()
    frame = console.front.wait("detector.frame", frame_kind="Image")
    assert shot.raw_sha256 == frame["sha256"]
    assert console.front.wait("detector.sent", block=frame["block"])["dropped"] > 0
    image = next(d for k, d in console.events if k == "state" and d["state"] == "image")
    assert image["repaired"] > 0


def test_missing_trailer_and_leader_are_asked_for(room: Callable[..., Console]) -> None:
    console = room()
    console.front.done("detector", "arm", id="t", fault="missing_trailer")
    console.front.done("detector", "arm", id="l", fault="missing_leader")
    shot = console.shoot()
    assert shot.raw_sha256 == console.front.wait("detector.frame", frame_kind="Image")["sha256"]
    assert console.warnings() == []


@pytest.mark.parametrize("fault", ["resend_off", "resend_refused"])
def test_there_are_no_half_images(room: Callable[..., Console], fault: str) -> None:
    console = room()
    console.front.done("detector", "arm", id="r", fault=fault)
    console.front.done("detector", "arm", id="d", fault="drop", args={"packets": [[20, 25]]})
    with pytest.raises(AcquisitionError, match="6 of") as caught:
        console.shoot()
    assert caught.value.code == "image-incomplete"
    console.front.done("detector", "disarm", id="r")
    assert console.shoot().raw_sha256  # and the next one works


def test_missed_trigger_is_told_after_the_dose(room: Callable[..., Console]) -> None:
    # Preparation is so long that a console that looks late sees it: a cycle between two looks is unknown to it.
    console = room(prep_ms=1500, image_timeout_s=2.0)
    console.front.done("detector", "arm", id="m", fault="missed_trigger")
    with pytest.raises(AcquisitionError, match="no image") as caught:
        console.shoot()
    assert caught.value.code == "no-image"
    console.front.wait("world.exposure")
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("fault", "words", "photons"),
    [("interlock", "door", 0), ("rotor", "rotor", 0), ("filament", "filament", 0)],
)
def test_generator_faults_before_the_exposure(
    room: Callable[..., Console], fault: str, words: str, photons: int
) -> None:
    console = room()
    console.acquisition.prepare(TECHNIQUE)
    console.front.done("generator", "arm", id="g", fault=fault)
    console.front.order("panel", "expose")
    with pytest.raises(AcquisitionError, match=words) as caught:
        console.acquisition.wait(60.0)
    assert caught.value.code == "generator-fault"
    assert not [e for e in console.front.told if e["kind"] == "world.exposure"]
    if fault == "interlock":
        with pytest.raises(AcquisitionError, match="door"):
            console.acquisition.prepare(TECHNIQUE)
        console.front.done("generator", "disarm", id="g")
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)  # preparing again clears the fault


def test_arc_gives_a_short_exposure_with_a_warning(room: Callable[..., Console]) -> None:
    console = room()
    console.acquisition.prepare(TECHNIQUE)
    console.front.done("generator", "arm", id="a", fault="arc", args={"fraction": 0.5})
    console.front.order("panel", "expose")
    shot = console.acquisition.wait(60.0)
    assert shot.truncated
    assert shot.mas == pytest.approx(1.0, abs=0.01)
    assert console.warnings() == ["generator-fault"]


def test_thumb_off_too_early(room: Callable[..., Console]) -> None:
    console = room(prep_ms=1500)  # each phase lasts so long that a console that looks late sees it
    shot = console.shoot(Technique(110.0, 20.0, 8000.0), "release_early", after_ms=1000)
    assert shot.truncated
    assert shot.mas is not None
    assert 20.0 <= shot.mas < 158.0
    assert console.warnings() == ["truncated"]
    states = console.states("generator")
    assert states.index("xray") > states.index("prep")


def test_nobody_presses_then_somebody_does(room: Callable[..., Console]) -> None:
    console = room()
    console.acquisition.prepare(TECHNIQUE)
    with pytest.raises(AcquisitionError) as caught:
        console.acquisition.wait(0.2)
    assert caught.value.code == "not-exposed"
    console.front.order("panel", "expose")
    assert console.acquisition.wait(60.0).mas == pytest.approx(2.0, abs=0.01)
    with pytest.raises(AcquisitionError) as caught:
        console.acquisition.wait(0.1)
    assert caught.value.code == "not-prepared"


def test_cancel_ends_a_wait(room: Callable[..., Console], monkeypatch: pytest.MonkeyPatch) -> None:
    console = room()
    console.acquisition.prepare(TECHNIQUE)
    waiting, wait = threading.Event(), console.acquisition._detector.wait

    def waited(seconds: float) -> Any:
        waiting.set()
        return wait(seconds)

    monkeypatch.setattr(console.acquisition._detector, "wait", waited)
    canceller = threading.Thread(target=lambda: waiting.wait(60) and console.acquisition.cancel())
    canceller.start()
    with pytest.raises(AcquisitionError) as caught:
        console.acquisition.wait(60.0)
    canceller.join(60)
    assert caught.value.code == "cancelled"
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("technique", "words"),
    [
        (Technique(30.0, 200.0, 10.0), "combination"),
        (Technique(80.0, 900.0, 1000.0), "combination"),
        (Technique(400.0, 200.0, 10.0), "outside"),
        (Technique(80.0, 200.0, 2.0), "time"),
    ],
)
def test_techniques_that_the_generator_refuses(
    room: Callable[..., Console], technique: Technique, words: str
) -> None:
    console = room()
    with pytest.raises(AcquisitionError, match=words):
        console.acquisition.prepare(technique)


def test_control_is_lost_while_waiting_and_comes_back(room: Callable[..., Console]) -> None:
    console = room()
    console.acquisition.prepare(TECHNIQUE)
    console.front.done("detector", "arm", id="c", fault="control_loss")
    with pytest.raises(AcquisitionError) as caught:
        console.acquisition.wait(60.0)
    assert caught.value.code == "detector-lost"
    assert console.warnings() == []  # wait() has told it
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)


def test_frozen_front_end_is_noticed_and_found_again(room: Callable[..., Console]) -> None:
    """SIGSTOP: nothing answers, as with a pulled cable; the heartbeat notices, and both devices come back."""
    console = room(heartbeat_ms=600)
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)
    console.front.process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while "detector-lost" not in console.warnings() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert set(console.warnings()) <= {"detector-lost", "generator-absent"}
    assert "detector-lost" in console.warnings()
    console.front.process.send_signal(signal.SIGCONT)
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)


def test_hot_detector_refuses(room: Callable[..., Console]) -> None:
    console = room()
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)
    console.front.done("detector", "set_temperature", celsius=60.0)
    with pytest.raises(AcquisitionError, match="too hot") as caught:
        console.acquisition.prepare(TECHNIQUE)
    assert caught.value.code == "detector-hot"
    console.front.done("detector", "set_temperature", celsius=30.0)
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)


def test_detector_that_becomes_hot_while_waiting(room: Callable[..., Console]) -> None:
    console = room()
    console.acquisition.prepare(TECHNIQUE)
    console.front.done("detector", "set_temperature", celsius=60.0)
    with pytest.raises(AcquisitionError, match="too hot") as caught:
        console.acquisition.wait(60.0)
    assert caught.value.code == "detector-hot"
    assert console.warnings() == []  # wait() has told it
    console.front.done("detector", "set_temperature", celsius=30.0)
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)
    deadline = time.monotonic() + 60
    while "recovered" not in console.states("detector") and time.monotonic() < deadline:
        threading.Event().wait(
            0.02
        )  # it looks now and then: hot, cool and hot again between two looks is hot
    console.front.done("detector", "set_temperature", celsius=60.0)
    while not console.warnings() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert console.warnings() == ["detector-hot"]


def test_a_slow_link_is_told_and_works(room: Callable[..., Console]) -> None:
    console = room()
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)
    console.front.done("detector", "link_mbps", mbps=10)
    deadline = time.monotonic() + 60
    while "link" not in console.warnings() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert console.warnings() == ["link"]
    took = []
    for _ in range(3):  # what comes while we stand still is then read at once: the longest of some
        mark = len(console.front.told)
        shot = console.shoot()
        assert shot.raw_sha256 == console.front.wait("detector.frame", mark, frame_kind="Image")["sha256"]
        took.append(shot.timings_ms["stream"])
    assert max(took) > 300  # half a megabyte at 10 Mbit/s


def test_a_pause_in_the_middle_of_a_frame_heals(room: Callable[..., Console]) -> None:
    """As a cable that is pulled and plugged in again: nothing moves for a while, then everything goes on."""
    console = room(heartbeat_ms=5000, stall_timeout_s=5.0)
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)
    console.front.done("detector", "link_mbps", mbps=10)
    mark = len(console.front.told)
    console.acquisition.prepare(TECHNIQUE)
    console.front.order("panel", "expose")
    console.front.wait("detector.state", mark, to="Readout")
    threading.Event().wait(0.15)
    console.front.process.send_signal(signal.SIGSTOP)
    threading.Timer(0.7, console.front.process.send_signal, (signal.SIGCONT,)).start()
    shot = console.acquisition.wait(60.0)
    assert shot.raw_sha256 == console.front.wait("detector.frame", mark, frame_kind="Image")["sha256"]


def test_hot_tube_is_told_before_the_exposure(room: Callable[..., Console]) -> None:
    console = room()
    console.front.done("generator", "warm", percent=95)
    with pytest.raises(AcquisitionError, match="too hot") as caught:
        console.acquisition.prepare(TECHNIQUE)
    assert caught.value.code == "generator-fault"
    console.front.done("generator", "warm", percent=10)
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)


def test_line_trouble_is_survived(room: Callable[..., Console]) -> None:
    console = room()
    for name, fault in (("n", "no_answer"), ("g", "garbled")):
        console.front.done("generator", "arm", id=name, fault=fault, args={"command": "50"})
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)
    console.front.done("generator", "arm", id="b", fault="bad_checksum", args={"command": "61"})
    assert console.shoot().mas == pytest.approx(2.0, abs=0.01)
    assert [e["id"] for e in console.front.told if e["kind"] == "fault.fired"] == ["n", "g", "b"]
    assert console.warnings() == []


def test_missing_devices_and_maps(room: Callable[..., Console], disc: Path, tmp_path: Path) -> None:
    console = room()
    maps = tmp_path / "empty"
    maps.mkdir()
    nothing = Console(console.front, maps, connect_timeout_s=1.0)
    console.acquisition.close()
    with pytest.raises(AcquisitionError, match="offset map cannot be read"):
        nothing.acquisition.prepare(TECHNIQUE)
    nothing.acquisition.close()
    with pytest.raises(AcquisitionError) as caught:
        nothing.acquisition.prepare(TECHNIQUE)
    assert caught.value.code == "closed"
    absent = Acquisition(
        AcquisitionConfig.from_settings(
            {"address": "127.0.0.1", "gvcp_port": 1, "connect_timeout_s": 0.5}, {}
        ),
        lambda kind, data: None,
    )
    absent.open()
    with pytest.raises(AcquisitionError) as caught:
        absent.prepare(TECHNIQUE)
    assert caught.value.code == "detector-absent"
    absent.close()


def test_the_same_frame_makes_the_same_picture(room: Callable[..., Console], disc: Path) -> None:
    """Two consoles, two front ends, one seed: pictures are equal byte by byte."""
    shas = [hashlib.sha256(np.ascontiguousarray(room().shoot().pixels)).hexdigest() for _ in range(2)]
    assert shas[0] == shas[1]


def test_no_thread_or_descriptor_is_left(room: Callable[..., Console]) -> None:
    console = room()
    console.shoot()
    console.acquisition.close()
    left = [
        t.name
        for t in threading.enumerate()
        if t.name.startswith(("detector", "generator", "keep", "processing"))
    ]
    assert not left
    before = len(os.listdir("/proc/self/fd"))
    again = Console(console.front, Path(console.acquisition._config.detector.calibration))
    again.shoot()
    again.acquisition.close()
    assert len(os.listdir("/proc/self/fd")) <= before
