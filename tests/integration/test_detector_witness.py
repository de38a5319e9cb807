"""Tools that nobody here wrote take frames from the detector: viva-genicam, aravis, tshark, scapy.

A GigE Vision client broadcasts on every interface of its namespace.  So everything here runs in namespaces made
for the test, in a child process; the clients are never started anywhere else.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.detector import gvsp

DEVICE, CLIENT = "10.78.0.2", "10.78.0.10"

# The detector's side: started by the launcher in the second namespace, told what to do by lines on standard input.
DETECTOR = """
import json, sys, threading
from simulators.detector import Config, create
from simulators.world import World
out = threading.Lock()
def emit(kind, /, **data):
    with out:
        print(json.dumps({"kind": kind, "data": data}), flush=True)
world = World("hand", 1100.0, 1)
detector = create(Config.from_dict(json.loads(sys.argv[1])), emit, world)
emit("ready", **detector.start())
for line in sys.stdin:
    verb, args = json.loads(line)
    if verb == "xray":
        world.xray_on(args["kvp"], args["ma"], args["ms"])
        threading.Timer(args["ms"] / 1000, world.xray_off).start()
    else:
        emit("answer", **detector.command(verb, args))
detector.stop()
"""

# The launcher is the first process of a fresh network namespace: it builds the pair of interfaces, starts the detector
# in a second namespace, and runs the client script here.  When it ends, everything has gone with it.
LAUNCHER = """
import os, subprocess, sys, time, socket
from pyroute2 import IPRoute, NetNS
assert all(name in ("lo", "sit0", "tunl0") for _, name in socket.if_nameindex())  # a fresh namespace
config, script = sys.argv[1:3]
holder = subprocess.Popen(["unshare", "--net", "--kill-child", "sleep", "600"])
deadline = time.monotonic() + 60
while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
    assert time.monotonic() < deadline
    time.sleep(0.01)
with IPRoute() as ip:
    ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")
    ip.link("add", ifname="acq0", kind="veth", peer={"ifname": "fpd0", "net_ns_fd": f"/proc/{holder.pid}/ns/net"})
    mine = ip.link_lookup(ifname="acq0")[0]
    ip.addr("add", index=mine, address="CLIENT", prefixlen=24, broadcast="10.78.0.255")
    ip.link("set", index=mine, state="up")
enter = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
setup = '''
from pyroute2 import IPRoute
with IPRoute() as ip:
    ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")
    n = ip.link_lookup(ifname="fpd0")[0]
    ip.addr("add", index=n, address="DEVICE", prefixlen=24, broadcast="10.78.0.255")
    ip.link("set", index=n, state="up")
'''
subprocess.run([*enter, sys.executable, "-c", setup], check=True)
log = open("detector.jsonl", "wb")
detector = subprocess.Popen([*enter, sys.executable, "-c", open("detector.py").read(), config],
                            stdin=subprocess.PIPE, stdout=log, cwd=os.environ["PROJECT"])
deadline = time.monotonic() + 60
while b'"ready"' not in open("detector.jsonl", "rb").read():
    assert detector.poll() is None and time.monotonic() < deadline
    time.sleep(0.02)
import json
def tell(verb, **args):
    detector.stdin.write((json.dumps([verb, args]) + "\\n").encode())
    detector.stdin.flush()
def events(kind):
    lines = [json.loads(l) for l in open("detector.jsonl") if l.endswith("\\n")]
    return [l["data"] for l in lines if l["kind"] == kind]
def wait(kind, count=1, seconds=60):
    end = time.monotonic() + seconds
    while len(events(kind)) < count:
        assert time.monotonic() < end, f"no {kind}"
        time.sleep(0.02)
    return events(kind)
try:
    exec(compile(open(script).read(), script, "exec"))
finally:
    detector.stdin.close()
    detector.wait(60)
    holder.kill()
    holder.wait()
""".replace("CLIENT", CLIENT).replace("DEVICE", DEVICE)


def _namespaces() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("nsenter"):
        return False
    probe = ["unshare", "--net", sys.executable, "-c", PROBE]
    return subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0


PROBE = """
from pyroute2 import IPRoute
with IPRoute() as ip:
    ip.link("add", ifname="a", kind="veth", peer={"ifname": "b"})
"""

pytestmark = [pytest.mark.netns, pytest.mark.witness]


def needs_module(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


def needs_tool(*names: str) -> pytest.MarkDecorator:
    missing = [n for n in names if shutil.which(n) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")


@pytest.fixture(scope="module")
def namespaces() -> None:
    if not _namespaces():
        pytest.skip("network namespaces with a veth cannot be made here")


Run = Callable[..., list[tuple[str, dict[str, Any]]]]


@pytest.fixture
def run(namespaces: None, tmp_path: Path) -> Run:
    def started(script: str, *, seconds: float = 240, **config: Any) -> list[tuple[str, dict[str, Any]]]:
        (tmp_path / "detector.py").write_text(DETECTOR)
        (tmp_path / "launcher.py").write_text(LAUNCHER)
        (tmp_path / "client.py").write_text(script)
        settings = {"host": DEVICE, "broadcast": True, "width": 1024, "height": 768, **config}
        project = str(Path(__file__).resolve().parents[2])
        command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        done = subprocess.run(
            [*command, sys.executable, "launcher.py", json.dumps(settings), "client.py"],
            cwd=tmp_path,
            env={**os.environ, "PROJECT": project, "PYTHONPATH": project},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        lines = (tmp_path / "detector.jsonl").read_text() if (tmp_path / "detector.jsonl").exists() else ""
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{lines}"
        run_events = [json.loads(line) for line in lines.splitlines()]
        return [(e["kind"], e["data"]) for e in run_events]

    return started


VIVA = """
import hashlib, time
import viva_genicam as vg
def found():
    end = time.monotonic() + 10
    while time.monotonic() < end:
        devices = [d for d in vg.discover(timeout_ms=300) if d.ip == "DEVICE"]
        if devices:
            return devices[0]
    raise AssertionError("not discovered")
def sha(frame):
    return hashlib.sha256(frame.payload()).hexdigest()
""".replace("DEVICE", DEVICE)


@needs_module("viva_genicam")
def test_viva_discovers_configures_and_grabs_the_very_pixels(run: Run) -> None:
    events = run(
        VIVA
        + """
device = found()
assert device.manufacturer == "Modality Bench", device
with vg.connect_gige(device) as cam:
    assert cam.skipped() == [], cam.skipped()
    assert cam.get_integer("SensorWidth") == 1024 and cam.get_enum("DetectorState") == "Idle"
    assert abs(cam.get_float("DeviceTemperature") - 30) < 0.5
    for name, low in (("DetectorSensitivity", 273), ("PixelPitch", 0.1)):
        assert cam.get_float(name) > low
    cam.set_integer("Width", 640)
    cam.set_enum("PixelFormat", "Mono14")
    cam.set_exposure_time(40000.0)
    assert cam.get_integer("PayloadSize") == 640 * 768 * 2
    cam.enable_trigger("FrameStart", "Line1")
    events_ = cam.events(["ExposureStart", "ExposureEnd"])
    with cam.stream() as frames:
        cam.execute("DetectorPrepare")
        assert cam.get_enum("DetectorState") == "Prepared"
        tell("xray", kvp=55, ma=100, ms=20)
        frame = frames.next_frame(timeout_ms=30000)
        assert (frame.width, frame.height, frame.pixel_format) == (640, 768, "Mono14"), frame
        assert frame.is_complete and frame.to_numpy().max() <= 16383
        assert sha(frame) == wait("detector.frame")[0]["sha256"]
        assert [events_.next_event(30000).id for _ in range(2)] == [3, 4]
        cam.set_enum("TriggerSource", "Software")
        cam.trigger_software()
        dark = frames.next_frame(timeout_ms=30000)
        assert sha(dark) == wait("detector.frame", 2)[1]["sha256"]
        assert dark.to_numpy().mean() < frame.to_numpy().mean()
""",
        bits=14,
    )
    frames = [d for k, d in events if k == "detector.frame"]
    assert [round(f["mas"], 6) for f in frames] == [2.0, 0]
    assert frames[0]["photons"] > 0
    assert [d["how"] for k, d in events if k == "detector.control"] == ["taken", "released"]


@needs_module("viva_genicam")
@pytest.mark.slow
@pytest.mark.parametrize("size", [3072, 4096])
def test_viva_grabs_full_frames(run: Run, size: int) -> None:
    run(
        VIVA
        + f"""
with vg.connect_gige(found()) as cam:
    cam.set_exposure_time(1000.0)
    cam.enable_trigger("FrameStart", "Software")
    with cam.stream() as frames:
        for number in range(3):
            cam.trigger_software()
            frame = frames.next_frame(timeout_ms=30000)
            assert (frame.width, frame.height) == ({size}, {size}) and frame.is_complete
            assert sha(frame) == wait("detector.frame", number + 1)[number]["sha256"]
""",
        width=size,
        height=size,
        rate_mbps=250,  # a busy machine's receiver is no faster; the whole line's pace is the benchmark's matter
        seconds=240,
    )


@needs_module("viva_genicam")
def test_viva_repairs_one_percent_of_loss_by_resend(run: Run) -> None:
    events = run(
        VIVA
        + """
tell("arm", id="d", fault="drop", args={"percent": 1, "count": 0})
with vg.connect_gige(found()) as cam:
    cam.set_exposure_time(1000.0)
    cam.enable_trigger("FrameStart", "Software")
    with cam.stream() as frames:
        for number in range(5):
            cam.trigger_software()
            frame = frames.next_frame(timeout_ms=30000)
            assert frame.is_complete
            assert sha(frame) == wait("detector.frame", number + 1)[number]["sha256"]
        stats = frames.stats()
assert stats.resend_recovered > 0 and stats.frames_complete == 5, stats
"""
    )
    dropped = sum(d["dropped"] for k, d in events if k == "detector.sent")
    again = sum(d["resent"] for k, d in events if k == "detector.sent")
    again += sum(d["packets"] for k, d in events if k == "detector.resent")
    assert 20 < dropped <= again
    assert sum(k == "fault.fired" for k, _ in events) == 5


@needs_module("viva_genicam")
@pytest.mark.parametrize("fault", ["resend_off", "resend_refused"])
def test_without_resend_viva_has_no_frame(run: Run, fault: str) -> None:
    run(
        VIVA
        + f"""
tell("arm", id="r", fault="{fault}")
tell("arm", id="d", fault="drop", args={{"percent": 1, "count": 0}})
with vg.connect_gige(found()) as cam:
    cam.set_exposure_time(1000.0)
    cam.enable_trigger("FrameStart", "Software")
    with cam.stream() as frames:
        cam.trigger_software()
        frame = None
        try:
            frame = frames.next_frame(timeout_ms=3000)
        except vg.GenicamError:
            pass
        assert frame is None, frame
"""
    )


@needs_module("viva_genicam")
def test_a_second_viva_is_denied_and_a_silent_one_loses_control(run: Run) -> None:
    events = run(
        VIVA
        + """
import os, signal, subprocess, sys
other = "import viva_genicam as vg, time; d = vg.discover(timeout_ms=500)[0]; c = vg.connect_gige(d)"
other += "; print('in control', flush=True); time.sleep(60)"
first = subprocess.Popen([sys.executable, "-c", other], stdout=subprocess.PIPE)
assert first.stdout.readline() == b"in control\\n"
device = found()
try:
    vg.connect_gige(device)
    raise SystemExit("two in control")
except vg.GenicamError as error:
    assert "denied" in str(error).lower() or "8006" in str(error), error
os.kill(first.pid, signal.SIGSTOP)
wait("detector.control", 2)
with vg.connect_gige(device) as cam:
    assert cam.get_integer("SensorWidth") == 1024
first.kill()
first.wait()
"""
    )
    assert [d["how"] for k, d in events if k == "detector.control"] == [
        "taken",
        "heartbeat",
        "taken",
        "released",
    ]


@needs_tool("arv-camera-test-0.8")
def test_aravis_takes_frames_and_repairs_loss(run: Run) -> None:
    events = run(
        """
import subprocess
tell("arm", id="d", fault="drop", args={"percent": 1, "count": 0})
done = subprocess.run(["arv-camera-test-0.8", "--duration=4", "--software-trigger=4", "--exposure=1000"],
                      capture_output=True, text=True, timeout=200)
open("arv.txt", "w").write(done.stdout + done.stderr)
assert done.returncode == 0, done.stderr
print(done.stdout)
import re
value = lambda name: int(re.search(name + r" += (\\d+)", done.stdout).group(1))
good, bad = value("n_completed_buffers"), value("n_failures")
assert value("n_resent_packets") > 0
assert good >= 5 and bad == 0, done.stdout
"""
    )
    assert sum(k == "fault.fired" for k, _ in events) >= 5
    assert sum(d.get("resent", 0) + d.get("packets", 0) for k, d in events if k.startswith("detector.")) > 0


@needs_module("viva_genicam")
@needs_tool("tshark", "dumpcap")
def test_tshark_decodes_every_packet(run: Run, tmp_path: Path) -> None:
    pcap = tmp_path / "acquisition.pcapng"
    run(
        VIVA
        + f"""
import subprocess
capture = subprocess.Popen(["dumpcap", "-q", "-i", "acq0", "-f", "udp", "-w", {str(pcap)!r}], stderr=subprocess.PIPE)
assert any(b"File:" in line for line in capture.stderr)
tell("arm", id="d", fault="drop", args={{"percent": 2}})
with vg.connect_gige(found()) as cam:
    cam.set_integer("Width", 128)
    cam.set_integer("Height", 128)
    cam.set_exposure_time(1000.0)
    cam.enable_trigger("FrameStart", "Software")
    port = cam.events(["ExposureStart"]).port
    with cam.stream() as frames:
        for number in range(2):
            cam.trigger_software()
            assert frames.next_frame(timeout_ms=30000).is_complete
wait("detector.sent", 2)
import os
pcap, size, deadline = {str(pcap)!r}, -1, time.monotonic() + 60
while size != os.path.getsize(pcap) or size < 2 * 128 * 128 * 2:  # both frames are in it, and nothing comes any more
    assert time.monotonic() < deadline
    size = os.path.getsize(pcap)
    time.sleep(0.5)
capture.terminate()
capture.wait()
""",
    )

    def fields(*args: str) -> list[str]:
        command = ["tshark", "-n", "-r", str(pcap), *args]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout.splitlines()

    summary = fields("-T", "fields", "-e", "frame.protocols", "-e", "udp.srcport", "-e", "udp.dstport")
    assert len(summary) > 50
    assert sum("gvsp" in line for line in summary) >= 2 * (gvsp.Packets(128 * 128 * 2, 1500).total)
    stray = [line for line in summary if not re.search(r"gvcp|gvsp", line) and "3956" in line]
    assert stray == []
    assert fields("-Y", "_ws.malformed") == []
    text = "\n".join(fields("-Y", "gvcp"))
    for word in ("DISCOVERY_ACK", "READMEM_ACK", "WRITE", "PACKETRESEND"):
        assert word in text, text
    leaders = [line for line in fields("-Y", "gvsp") if "LEADER" in line]
    assert any("Block ID: 1" in line for line in leaders)
    # Every packet that tshark saw is decoded by our own codec to the same block and packet ids.
    rows = fields(
        "-Y", "gvsp", "-T", "fields", "-e", "gvsp.blockid16", "-e", "gvsp.packetid24", "-e", "udp.payload"
    )
    for row in rows:
        block, packet, payload = row.split("\t")
        ours = gvsp.decode(bytes.fromhex(payload))
        assert ours is not None
        assert ours.block == int(block, 0)
        assert int(packet, 0) == (0 if isinstance(ours, gvsp.Leader) else ours.packet)
