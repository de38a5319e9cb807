"""The detector at 1000BASE-T: how much of the line's goodput its frames use, and how many packets are lost.

The peer is the line itself: a veth pair shaped to 1000 Mbit/s (tbf on both ends, segmentation offload off) in
namespaces of its own; goodput = 1000 Mbit/s x 1464/1538.  The receiver is a plain ``recv_into`` loop without resend; a
frame's time is that between the kernel's stamps of its first and last packet.

``python tests/benchmarks/bench_detector.py [--quick] [--json FILE]``; exit 1 below the ratio or when packets are lost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

RATIO: Final = 0.92
"""Committed: at least this part of the line's goodput."""
SIZE: Final = 4096
DEVICE, CLIENT = "10.78.0.2", "10.78.0.10"
LINE_BITS: Final = 1_000_000_000 * 1514 // 1538
"""tbf counts 1514 bytes of a frame that takes 1538 on the line."""


def shape(interface: str, address: str) -> None:
    """Bring an interface of this namespace up as one end of a 1000BASE-T cable."""
    from pyroute2 import IPRoute

    from bench.links.offload import switch_off

    with IPRoute() as ip, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")
        index = ip.link_lookup(ifname=interface)[0]
        ip.addr("add", index=index, address=address, prefixlen=24)
        ip.link("set", index=index, state="up")
        switch_off(any_socket, interface)
        rate = LINE_BITS // 8
        ip.tc("add", "tbf", index, rate=rate, burst=rate // 1000, limit=rate // 50)


def detector() -> int:
    """The device's side: serve until standard input ends; tell events on standard output."""
    from simulators.detector import Config, create
    from simulators.world import World

    shape("fpd0", DEVICE)

    def emit(kind: str, /, **data: Any) -> None:
        print(json.dumps({"kind": kind, "data": data}), flush=True)

    device = create(Config(host=DEVICE, width=SIZE, height=SIZE), emit, World("air", 1800.0, 1))
    device.start()
    emit("ready", places=device.device.places)
    sys.stdin.read()
    device.stop()
    return 0


def measure(frames: int) -> dict[str, Any]:
    """Both ends; runs as the first process of a fresh network namespace."""
    from pyroute2 import IPRoute

    from simulators.detector.client import Client
    from simulators.detector.gvsp import goodput
    from simulators.detector.transmit import hurry

    hurry()  # as the detector does: the line is measured, not who else wants the processors
    holder = subprocess.Popen(["unshare", "--net", "--kill-child", "sleep", "600"])
    theirs = f"/proc/{holder.pid}/ns/net"
    while os.readlink(theirs) == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    with IPRoute() as ip:
        ip.link("add", ifname="acq0", kind="veth", peer={"ifname": "fpd0", "net_ns_fd": theirs})
    shape("acq0", CLIENT)
    command = ["nsenter", f"--net={theirs}", sys.executable, __file__, "--role", "detector"]
    device = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert device.stdin is not None
    assert device.stdout is not None
    told: dict[str, list[dict[str, Any]]] = {}

    def wait(kind: str, count: int) -> dict[str, Any]:
        assert device.stdout is not None
        while len(told.get(kind, [])) < count:
            line = device.stdout.readline()
            if not line:
                raise SystemExit("the detector ended")
            event = json.loads(line)
            told.setdefault(event["kind"], []).append(event["data"])
        return told[kind][count - 1]

    places = wait("ready", 1)["places"]
    seconds, read, lost, wrong = [], [], 0, 0
    with Client((DEVICE, 3956), CLIENT) as client:
        client.open()
        for name, value in (("TriggerSource", 1), ("ExposureTime", 1000), ("AcquisitionStart", 1)):
            client.write(places[name], value)
        for number in range(1, frames + 1):
            client.write(places["TriggerSoftware"], 1)
            grab = client.grab(SIZE * SIZE * 2, timeout=10, resend=False)
            lost += len(grab.missing)
            seconds.append(grab.line_seconds)
            read.append(grab.seconds)
            sent = wait("detector.frame", number)
            wrong += hashlib.sha256(grab.data.data).hexdigest() != sent["sha256"]
            wait("detector.sent", number)
            client.read(0xA00)
    device.stdin.close()
    device.wait(20)
    holder.kill()
    holder.wait()
    line = goodput(1000)
    size = SIZE * SIZE * 2
    return {
        "frames": frames,
        "frame_bytes": size,
        "line_goodput_mb_s": round(line / 1e6, 2),
        "goodput_mb_s": round(size * frames / sum(seconds) / 1e6, 2),
        "as_read_mb_s": round(size * frames / sum(read) / 1e6, 2),
        "median_frame_s": round(statistics.median(seconds), 4),
        "slowest_frame_s": round(max(seconds), 4),
        "ratio": round(size * frames / sum(seconds) / line, 4),
        "lost_packets": lost,
        "wrong_frames": wrong,
    }


def main() -> int:
    """Run in namespaces of our own and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 frames and half of the ratio")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--role", choices=("detector", "measure"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "detector":
        return detector()
    if args.role == "measure":
        Path(args.json).write_text(json.dumps(measure(4 if args.quick else 20)))
        return 0
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("nsenter"):
        print("detector: not measured (needs root, unshare and nsenter for namespaces of its own)")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += [sys.executable, __file__, "--role", "measure", "--json", str(result)]
        command += ["--quick"] if args.quick else []
        subprocess.run(command, check=True, timeout=300)
        figures = json.loads(result.read_text())
    required = RATIO / 2 if args.quick else RATIO
    good = figures["ratio"] >= required and not figures["lost_packets"] and not figures["wrong_frames"]
    figures |= {"name": "detector", "required": required, "ok": good}
    for name, value in figures.items():
        print(f"{name:18s} {value}")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
