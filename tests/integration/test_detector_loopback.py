"""The whole detector on loopback, driven by the project's own small client: frames, triggers, faults."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.kinds import KINDS
from simulators.base import CommandError
from simulators.detector import Config, create, gvcp, gvsp
from simulators.detector.bootstrap import Capability, Ccp, Reg, address
from simulators.detector.client import Client, Grab, GvcpError
from simulators.detector.detector import Detector
from simulators.detector.gvcp import Status
from simulators.world import World

SIZE = 192
BYTES = SIZE * SIZE * 2
PACKETS = gvsp.Packets(BYTES, 1500)
QUIET = 1.0
"""Seconds without a packet after which the rest of a frame is taken for lost."""


@dataclass
class Rig:
    """A detector, its world, a client, and what the detector told the journal."""

    detector: Detector
    world: World
    client: Client
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def emit(self, kind: str, /, **data: Any) -> None:
        assert kind in KINDS
        with self.arrived:
            self.events.append((kind, data))
            self.arrived.notify_all()

    def wait(
        self, kind: str, when: Callable[[dict[str, Any]], bool] = lambda d: True, count: int = 1
    ) -> dict[str, Any]:
        """The ``count``-th event of a kind."""

        def found() -> list[dict[str, Any]]:
            return [d for k, d in self.events if k == kind and when(d)]

        with self.arrived:
            assert self.arrived.wait_for(lambda: len(found()) >= count, 30), f"no {kind}: {self.events}"
            return found()[count - 1]

    def place(self, name: str) -> int:
        return self.detector.device.places[name]

    def set(self, **values: int) -> None:
        for name, value in values.items():
            self.client.write(self.place(name), value)

    def get(self, name: str) -> int:
        return self.client.read(self.place(name))

    def arm(self, id_: str, fault: str, when: dict[str, Any] | None = None, **args: Any) -> None:
        self.detector.command("arm", {"id": id_, "fault": fault, "args": args, "when": when or {}})

    def ready(self, source: int = 1, exposure_us: int = 1000, packet_size: int = 1500) -> None:
        """Take control, set the trigger source (0 Line1, 1 software) and start the acquisition."""
        self.client.open(packet_size)
        self.set(TriggerSource=source, ExposureTime=exposure_us, AcquisitionStart=1)

    def shoot(self, **grab: Any) -> Grab:
        """Software trigger and one frame."""
        self.set(TriggerSoftware=1)
        return self.grab(**grab)

    def grab(self, packet_size: int = 1500, **grab: Any) -> Grab:
        """One frame; a sender that has to wait for its processor has lost nothing."""
        return self.client.grab(BYTES, packet_size, **{"quiet": QUIET, "timeout": 20.0, **grab})


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    extra = getattr(request, "param", {})
    config = Config.from_dict({"width": SIZE, "height": SIZE, "gvcp_port": 0, "serial": "T-1", **extra})
    late: list[Rig] = []

    def emit(kind: str, /, **data: Any) -> None:
        late[0].emit(kind, **data)

    world = World("air", 1800.0, 1)
    detector = create(config, emit, world)
    late.append(Rig(detector, world, None))  # type: ignore[arg-type]
    where = detector.start()
    late[0].client = Client((where["host"], where["gvcp_port"]), timeout=2.0)
    yield late[0]
    late[0].client.close()
    detector.stop()
    detector.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("detector-")]


def digest(grab: Grab) -> str:
    return hashlib.sha256(grab.data.data).hexdigest()


def test_frames_arrive_as_they_left_the_sensor(rig: Rig) -> None:
    rig.ready()
    digests = []
    for number in (1, 2, 3):
        grab = rig.shoot()
        assert grab.complete
        assert grab.leader is not None
        assert (grab.block, grab.leader.width, grab.leader.height) == (number, SIZE, SIZE)
        assert grab.leader.pixel_format == gvsp.MONO16
        told = rig.wait("detector.frame", lambda d, n=number: d["number"] == n)  # type: ignore[misc]
        assert told["sha256"] == digest(grab)
        assert told["photons"] == 0
        assert told["mas"] == 0
        sent = rig.wait("detector.sent", lambda d, n=number: d["block"] == n)  # type: ignore[misc]
        assert (sent["packets"], sent["dropped"]) == (PACKETS.total, 0)
        digests.append(digest(grab))
    assert len(set(digests)) == 3


@pytest.mark.parametrize("rig", [{"plain_send": True}], indirect=True)
def test_without_sendmmsg_too(rig: Rig) -> None:
    rig.ready()
    grab = rig.shoot()
    assert digest(grab) == rig.wait("detector.frame")["sha256"]


def test_line1_opens_the_window_and_the_photons_of_the_window_make_the_frame(rig: Rig) -> None:
    rig.ready(source=0, exposure_us=60_000)
    rig.set(DetectorPrepare=1)
    assert rig.get("DetectorState") == 1
    rig.world.xray_on(80, 100, 20.0)
    grab = rig.grab()
    rig.world.xray_off()
    assert grab.complete
    told = rig.wait("detector.frame")
    assert told["kvp"] == 80
    assert told["mas"] == pytest.approx(2.0, abs=1e-9)
    assert told["photons"] > 0
    assert told["cause"] == "line1"
    moves = [(d["from"], d["to"]) for k, d in rig.events if k == "detector.state"]
    assert moves == [
        ("Idle", "Prepared"),
        ("Prepared", "Integrating"),
        ("Integrating", "Readout"),
        ("Readout", "Idle"),
    ]


def test_photons_outside_the_window_are_lost(rig: Rig) -> None:
    rig.ready(source=0, exposure_us=30_000)
    rig.set(DetectorPrepare=1)
    rig.world.xray_on(80, 100, 90.0)
    rig.grab()
    rig.world.xray_off()
    assert rig.wait("detector.frame")["mas"] == pytest.approx(3.0, abs=1e-9)


def test_the_same_exposure_again_is_the_same_bytes() -> None:
    digests = []
    for _ in range(2):
        told = threading.Event()
        frames: list[dict[str, Any]] = []

        def emit(kind: str, /, told: Any = told, frames: Any = frames, **data: Any) -> None:
            if kind == "detector.frame":
                frames.append(data)
                told.set()

        world = World("hand", 1100.0, 1)
        detector = create(Config(width=SIZE, height=SIZE, gvcp_port=0, seed=9), emit, world)
        where = detector.start()
        with Client((where["host"], where["gvcp_port"])) as client:
            client.open()
            at = detector.device.places
            for name, value in (("ExposureTime", 20_000), ("AcquisitionStart", 1), ("DetectorPrepare", 1)):
                client.write(at[name], value)
            world.xray_on(55, 100, 10.0)
            grab = client.grab(BYTES)
            assert told.wait(30)
        detector.stop()
        assert digest(grab) == frames[0]["sha256"]
        digests.append(digest(grab))
    assert digests[0] == digests[1]


def test_a_beam_that_nobody_prepared_for_makes_no_frame(rig: Rig) -> None:
    rig.ready(source=0)
    rig.world.xray_on(80, 100, 5.0)
    rig.world.xray_off()
    rig.set(DetectorPrepare=1)
    rig.world.xray_on(80, 100, 1.0)
    assert rig.grab().block == 1
    assert rig.wait("detector.frame")["number"] == 1


def test_a_part_of_the_sensor(rig: Rig) -> None:
    rig.client.open()
    rig.set(Width=64, Height=32, OffsetX=16, OffsetY=8, TriggerSource=1, ExposureTime=500, AcquisitionStart=1)
    rig.set(TriggerSoftware=1)
    grab = rig.client.grab(64 * 32 * 2, quiet=QUIET)
    assert grab.complete
    assert grab.leader is not None
    assert (grab.leader.width, grab.leader.height, grab.leader.offset_x, grab.leader.offset_y) == (
        64,
        32,
        16,
        8,
    )
    assert digest(grab) == rig.wait("detector.frame")["sha256"]


def test_free_run_until_stopped(rig: Rig) -> None:
    rig.client.open()
    rig.set(TriggerMode=0, ExposureTime=500, AcquisitionMode=3, AcquisitionFrameCount=3, AcquisitionStart=1)
    assert [rig.grab(resend=False).complete for _ in range(3)] == [True] * 3
    rig.wait("detector.sent", count=3)
    assert not rig.detector.command("status", {})["acquiring"]


def test_lost_packets_are_repaired_by_resend(rig: Rig) -> None:
    rig.ready()
    rig.arm("d", "drop", packets=[1, [3, 5], PACKETS.count], count=1)
    grab = rig.shoot()
    assert grab.lost == 5
    assert grab.complete
    assert digest(grab) == rig.wait("detector.frame")["sha256"]
    fired = rig.wait("fault.fired")
    assert fired == {
        "id": "d",
        "fault": "drop",
        "where": {"block": 1, "count": 5, "packets": [1, 3, 4, 5, PACKETS.count]},
    }
    assert rig.wait("detector.sent")["dropped"] == 5
    assert rig.wait("detector.resent")["packets"] == 5
    assert rig.shoot().lost == 0  # it was armed for one frame


def test_a_resend_is_served_while_the_frame_is_still_going_out(rig: Rig) -> None:
    rig.ready()
    rig.set(GevSCPD=4_000_000)  # 4 ms between packets: 51 packets take 200 ms
    rig.client.stream.settimeout(30)

    def places_after_the_repair() -> int:
        rig.arm("d", "drop", packets=[2])
        rig.set(TriggerSoftware=1)
        seen: list[int] = []
        over = False
        while not over or 2 not in seen:
            packet = gvsp.decode(rig.client.stream.recv(9000))
            assert packet is not None
            if isinstance(packet, gvsp.Payload):
                seen.append(packet.packet)
                if packet.packet == 4:
                    rig.client.send(gvcp.PacketResend(0, packet.block, 2, 2), 0)
            over = over or isinstance(packet, gvsp.Trailer)
        return len(seen) - 1 - seen.index(2)

    # A machine that stands still sends what is late in one go, and we ask too late: not five times in a row.
    assert any(places_after_the_repair() >= 10 for _ in range(5))


@pytest.mark.parametrize(("fault", "refusals"), [("resend_off", 0), ("resend_refused", 1)])
def test_without_resend_the_frame_stays_broken(rig: Rig, fault: str, refusals: int) -> None:
    rig.arm("r", fault)
    rig.ready()
    rig.arm("d", "drop", packets=[7])
    grab = rig.shoot(timeout=3.0)
    assert grab.missing == [7]
    assert (grab.unavailable > 0) == bool(refusals)
    offered = bool(rig.client.read(Reg.CAPABILITY) & Capability.PACKETRESEND)
    assert offered == bool(refusals)
    assert [d["id"] for k, d in rig.events if k == "fault.fired"] == (["d", "r"] if refusals else ["r", "d"])
    rig.detector.command("disarm", {"id": "r"})
    rig.arm("again", "drop", packets=[7])
    assert rig.shoot().complete


def test_an_old_block_is_not_available(rig: Rig) -> None:
    rig.ready()
    for _ in range(3):
        assert rig.shoot().complete
    rig.client.send(gvcp.PacketResend(0, 1, 4, 4), 0)
    packet = gvsp.decode(rig.client.stream.recv(9000))
    assert isinstance(packet, gvsp.Payload)
    assert (packet.block, packet.packet, packet.status) == (1, 4, Status.PACKET_UNAVAILABLE)
    assert rig.wait("detector.resent")["refused"] == 1


@pytest.mark.parametrize(
    ("fault", "args", "lost"),
    [
        ("missing_trailer", {}, [PACKETS.trailer]),
        ("missing_leader", {}, [0]),
        ("late", {"packets": [9], "ms": 150}, [9]),
    ],
)
def test_missing_pieces_are_noticed(rig: Rig, fault: str, args: dict[str, Any], lost: list[int]) -> None:
    rig.ready()
    rig.arm("f", fault, **args)
    started = time.monotonic()
    rig.set(TriggerSoftware=1)
    ids: list[int] = []
    rig.client.stream.settimeout(30)
    while len(ids) < PACKETS.total - 1:
        data = rig.client.stream.recv(9000)
        ids.append(int.from_bytes(data[5:8], "big"))
    assert sorted(set(range(PACKETS.total)) - set(ids)) == lost
    assert rig.wait("fault.fired")["where"]["block"] == 1
    if fault == "late":
        assert int.from_bytes(rig.client.stream.recv(9000)[5:8], "big") == 9
        assert time.monotonic() - started > 0.14


def test_reordered_and_doubled_packets_make_a_whole_frame(rig: Rig) -> None:
    rig.ready()
    rig.arm("a", "reorder", percent=20, distance=5)
    rig.arm("b", "duplicate", percent=20)
    grab = rig.shoot()
    assert grab.complete
    assert grab.lost == 0
    assert digest(grab) == rig.wait("detector.frame")["sha256"]
    assert rig.wait("detector.sent")["packets"] > PACKETS.total


def test_a_missed_trigger_leaves_the_panel_prepared(rig: Rig) -> None:
    rig.ready(source=0)
    rig.set(DetectorPrepare=1)
    rig.arm("m", "missed_trigger")
    rig.world.xray_on(80, 100, 1.0)
    rig.world.xray_off()
    assert rig.wait("fault.fired")["fault"] == "missed_trigger"
    assert rig.get("DetectorState") == 1
    rig.world.xray_on(80, 100, 1.0)
    assert rig.grab().complete


def test_a_second_client_is_denied_and_gets_control_when_the_first_falls_silent(rig: Rig) -> None:
    rig.client.open()
    rig.client.write(Reg.HEARTBEAT, 60_000)
    with Client(rig.client.device, timeout=2.0) as second:
        with pytest.raises(GvcpError) as refused:
            second.write(Reg.CCP, Ccp.CONTROL)
        assert refused.value.status == Status.ACCESS_DENIED
        rig.client.write(Reg.HEARTBEAT, 500)
        assert rig.wait("detector.control", lambda d: d["how"] == "heartbeat")["owner"] is None
        second.open()
        with pytest.raises(GvcpError) as refused:
            rig.set(ExposureTime=1000)
        assert refused.value.status == Status.ACCESS_DENIED


@pytest.mark.parametrize(("fault", "how"), [("control_loss", "fault"), ("no_heartbeat", "heartbeat")])
def test_control_can_be_lost_in_the_middle_of_a_frame(rig: Rig, fault: str, how: str) -> None:
    rig.ready()
    rig.set(GevSCPD=2_000_000)
    rig.arm("c", fault, when={"packet": 10})
    grab = rig.shoot(resend=False)
    assert 10 <= PACKETS.total - len(grab.missing) < PACKETS.total
    assert rig.wait("detector.control", lambda d: d["owner"] is None)["how"] == how
    assert rig.wait("detector.sent")["aborted"]
    with pytest.raises(GvcpError):
        rig.set(AcquisitionStart=1)


def test_over_temperature_stops_the_panel_until_it_is_cool(rig: Rig) -> None:
    rig.ready()
    rig.arm("hot", "over_temperature", when={"state": "Prepared"})
    rig.set(DetectorPrepare=1)
    assert rig.wait("detector.fault")["what"] == "over-temperature"
    assert rig.get("DetectorState") == 4
    assert rig.get("DeviceTemperature") > 150_00
    with pytest.raises(GvcpError):
        rig.set(DetectorPrepare=1)
    rig.detector.command("set_temperature", {"celsius": 25})
    assert rig.get("DetectorState") == 0
    rig.set(AcquisitionStart=1)
    assert rig.shoot().complete


def test_a_slower_link_shows_in_the_register_and_in_the_pace(rig: Rig) -> None:
    rig.ready()
    # The best of some: a machine that stands still makes a quick frame slow, and what is late then comes at once.
    fast = min(rig.shoot().seconds for _ in range(5))
    rig.arm("slow", "link_fallback", mbps=10)
    assert rig.client.read(Reg.LINK_SPEED) == 10
    grabs = [rig.shoot() for _ in range(5)]
    line = PACKETS.total * 1538 * 8 / 10e6
    assert all(grab.complete for grab in grabs)
    assert max(grab.seconds for grab in grabs) > 0.9 * line > 5 * fast
    rig.detector.command("disarm", {"id": "slow"})
    assert rig.client.read(Reg.LINK_SPEED) == 1000
    rig.detector.command("link_mbps", {"mbps": 100})
    assert rig.client.read(Reg.LINK_SPEED) == 100


def test_a_slow_command_is_announced_as_pending(rig: Rig) -> None:
    rig.client.open()
    rig.arm("p", "pending_ack", ms=100, command="WRITEREG")
    started = time.monotonic()
    rig.set(ExposureTime=2000)
    assert time.monotonic() - started >= 0.09
    assert rig.client.pending == 1
    assert rig.get("ExposureTime") == 2000


def test_an_unanswered_write_is_repeated_but_done_once(rig: Rig) -> None:
    rig.ready()
    rig.arm("n", "no_answer", command="WRITEREG")
    assert rig.shoot().complete
    assert rig.wait("fault.fired")["where"]["command"] == "WRITEREG"
    assert rig.detector.command("status", {})["frames"] == 1


def test_events_tell_when_the_exposure_began_and_ended(rig: Rig) -> None:
    rig.ready(source=0, exposure_us=20_000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        channel.settimeout(30)
        rig.client.write(Reg.MCDA, address("127.0.0.1"))
        rig.client.write(Reg.MCP, channel.getsockname()[1])
        rig.set(DetectorPrepare=1)
        beam = rig.world.xray_on(80, 10, 5.0)
        events = [gvcp.decode_command(channel.recv(600)) for _ in range(2)]
        assert [e.body.event for e in events] == [3, 4]  # type: ignore[union-attr]
        assert [e.body.timestamp - beam.start for e in events] == [0, 20_000_000]  # type: ignore[union-attr]
    assert rig.grab().complete


def test_packet_size_and_test_packet(rig: Rig) -> None:
    rig.client.open()
    rig.client.write(Reg.SCPS, 1 << 31 | 1 << 30 | 4000)
    rig.client.stream.settimeout(30)
    assert len(rig.client.stream.recv(9000)) == 4000 - 28
    assert rig.client.read(Reg.SCPS) & 0xFFFF == 4000
    rig.set(TriggerSource=1, ExposureTime=500, AcquisitionStart=1, TriggerSoftware=1)
    grab = rig.grab(4000)
    assert grab.complete
    assert digest(grab) == rig.wait("detector.frame")["sha256"]


def test_watches_hit_once(rig: Rig) -> None:
    rig.detector.command("watch", {"id": "w", "state": "Readout"})
    rig.detector.command("watch", {"id": "f", "frame": 2})
    rig.ready()
    rig.shoot()
    rig.shoot()
    rig.wait("trigger.hit", lambda d: d["id"] == "f")
    assert sum(k == "trigger.hit" for k, _ in rig.events) == 2


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("dance", {}),
        ("phantom", {"name": "../../etc"}),
        ("link_mbps", {"mbps": 42}),
        ("set_temperature", {}),
        ("watch", {"id": "x", "moon": 1}),
        ("disarm", {"id": "nobody"}),
        ("arm", {"id": "", "fault": "drop", "args": {"percent": 1}}),
    ],
)
def test_wrong_commands_are_refused(rig: Rig, verb: str, args: dict[str, Any]) -> None:
    with pytest.raises(CommandError):
        rig.detector.command(verb, args)


def test_the_phantom_can_be_changed(rig: Rig) -> None:
    rig.detector.command("phantom", {"name": "hand"})
    assert rig.world.phantom == "hand"


def test_garbage_on_the_control_port_is_survived(rig: Rig) -> None:
    for junk in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01" + bytes(300),
        b"",
        b"\x42",
        bytes(2000),
        b"\x42" * 1400,
    ):
        rig.client.control.sendto(junk, rig.client.device)
    header = struct.pack(">BBHHH", 0x42, 1, 0x84, 0xFFFF, 999)
    rig.client.control.sendto(header + b"x" * 20, rig.client.device)
    assert rig.get("SensorWidth") == SIZE


def test_the_truth_is_written_beside(tmp_path: Any) -> None:
    import numpy as np
    from PIL import Image

    told = threading.Event()
    frames: list[dict[str, Any]] = []

    def emit(kind: str, /, **data: Any) -> None:
        if kind == "detector.frame":
            frames.append(data)
            told.set()

    world = World("step_wedge", 1100.0, 1)
    detector = create(Config(width=512, height=512, gvcp_port=0, truth_dir=str(tmp_path)), emit, world)
    where = detector.start()
    with Client((where["host"], where["gvcp_port"])) as client:
        client.open()
        at = detector.device.places
        for name, value in (("ExposureTime", 20_000), ("AcquisitionStart", 1), ("DetectorPrepare", 1)):
            client.write(at[name], value)
        world.xray_on(80, 100, 10.0)
        grab = client.grab(512 * 512 * 2)
        assert told.wait(30)
    detector.stop()
    name = frames[0]["truth"]
    with Image.open(tmp_path / name) as picture:
        assert picture.size == (512, 512)
    kerma = np.load(tmp_path / name.replace(".png", ".npy"))
    assert kerma.shape == (256, 256)
    seen = grab.data.view("<u2").reshape(256, 2, 256, 2).mean((1, 3))
    assert (
        np.corrcoef(np.log(kerma[20:-20, 20:-20].ravel()), np.log(seen[20:-20, 20:-20].ravel()))[0, 1] > 0.97
    )


def test_stopping_in_the_middle_of_slow_frames_ends_everything_at_once(rig: Rig) -> None:
    rig.client.open()
    rig.set(TriggerMode=0, ExposureTime=500, GevSCPD=1_000_000_000, AcquisitionStart=1)
    rig.wait("detector.frame", count=2)  # one is going out for most of a minute, one waits
    started = time.monotonic()
    rig.detector.stop()
    assert time.monotonic() - started < 20


def test_a_stream_opened_again_gets_only_new_frames(rig: Rig) -> None:
    rig.ready()
    rig.set(GevSCPD=4_000_000)
    rig.set(TriggerSoftware=1)
    rig.wait("detector.frame")
    rig.client.write(Reg.SCP, 0)
    rig.set(GevSCPD=0)
    rig.wait("detector.sent", lambda d: d["aborted"])
    with Client(rig.client.device) as other:
        rig.client.write(Reg.SCP, other.stream.getsockname()[1])
        rig.set(TriggerSoftware=1)
        grab = other.grab(BYTES)
        assert (grab.block, grab.complete) == (2, True)


def test_alone_from_the_command_line(tmp_path: Any) -> None:
    import signal
    import subprocess
    import sys

    script = (
        "import argparse, sys; from simulators.detector import alone; p = argparse.ArgumentParser();"
        "alone.add_arguments(p); sys.exit(alone.run(p.parse_args()))"
    )
    options = ["--port", "0", "--width", "192", "--height", "192", "--shoot", "70,2", "--phantom", "hand"]
    options += ["--calibration", str(tmp_path / "disc")]
    process = subprocess.Popen([sys.executable, "-c", script, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().rsplit(":", 1)[1])
    places = create(Config(width=192, height=192), lambda kind, /, **data: None).device.places
    with Client(("127.0.0.1", port)) as client:
        client.open()
        for name, value in (("ExposureTime", 150_000), ("AcquisitionStart", 1), ("DetectorPrepare", 1)):
            client.write(places[name], value)
        grab = client.grab(BYTES)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert grab.complete
    assert grab.data.view("<u2").mean() > 2000
    assert {p.name for p in (tmp_path / "disc").iterdir()} == {"offset.map", "gain.map", "defect.map"}
    wrong = subprocess.run(
        [sys.executable, "-c", script, "--width", "100"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "width" in wrong.stdout
