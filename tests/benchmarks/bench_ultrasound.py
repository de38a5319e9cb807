"""The ultrasound front end on one core: pictures per second at 1024x768 against the goals, and none lost.

* ``ultrasound.bank``: paced at 60/s from the cine bank while the gain is turned, against 60/s; every picture received,
  its CRC and its SHA-256 compared with the truth.
* ``ultrasound.synthesis``: paced at 30/s, every picture synthesised, against 30/s; likewise.
* ``ultrasound.bank.free``, ``ultrasound.synthesis.free``: what the device could do on that core if nothing paced it
  (render, hash, encode with CRC), against the same goals.

The device is a process tied to one core, the receiver another process on another core where there is one.

``python tests/benchmarks/bench_ultrasound.py [--quick]``; exit 1 below a committed ratio (``--quick``: below half)
or when a picture is lost or wrong.  A slot that the device left out (late) lowers the rate.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from simulators.ultrasound import igtl  # noqa: E402
from simulators.ultrasound.engine import Engine, matrix, metadata  # noqa: E402
from simulators.ultrasound.knobs import SIZES, Knobs  # noqa: E402

SIZE: Final = "1024x768"
GOALS: Final = {"bank": 60, "synthesis": 30}
ALL: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def tie(core: int) -> None:
    """This process and what it starts run on one core (or where they are, on other systems)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {ALL[core % len(ALL)]})


def received(sock: socket.socket, count: int, turn: bool) -> tuple[list[igtl.Message], float]:
    """So many pictures, and the seconds from the first to the last; the gain is turned now and then."""
    decoder, pictures, times = igtl.Decoder(), [], []
    while len(pictures) < count:
        decoder.receive(sock.recv(1 << 20))
        while (got := decoder.next()) is not None:
            if not isinstance(got, igtl.Message):
                raise SystemExit(f"spoiled: {got}")
            if isinstance(got.body, igtl.Image) and len(pictures) < count:
                pictures.append(got)
                times.append(time.perf_counter())
                if turn and len(pictures) % 20 == 0:
                    knob = igtl.Message(igtl.Text(f"gain={len(pictures) // 20 % 9}"), "UsSet")
                    sock.sendall(igtl.encode(knob))
    return pictures, times[-1] - times[0]


def paced(kind: str, seconds: float) -> tuple[float, dict[str, Any]]:
    """Pictures per second over a socket, and what went wrong."""
    goal = GOALS[kind]
    command = [sys.executable, "-m", "simulators", "ultrasound", "--port", "0", "--size", SIZE, "--events"]
    command += ["--fps", str(goal), *(["--synthesise"] if kind == "synthesis" else [])]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    tie(0)  # what is started inherits it
    device = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1], env=environment
    )
    tie(1)
    assert device.stdout is not None
    events = []
    while not (line := device.stdout.readline()).startswith("ultrasound US"):
        events.append(json.loads(line))
    with socket.create_connection(("127.0.0.1", int(line.rsplit(":", 1)[1]))) as sock:
        drain = follow(device)
        pictures, took = received(sock, round(goal * seconds) + 1, turn=kind == "bank")
    device.send_signal(signal.SIGTERM)
    events += drain()
    device.wait(20)
    truth = {e["data"]["sequence"]: e["data"] for e in events if e["kind"] == "ultrasound.frame"}
    numbers = [m.number for m in pictures]
    wrong = sum(
        hashlib.sha256(m.body.pixels).hexdigest() != truth[m.number]["sha256"]
        for m in pictures
        if isinstance(m.body, igtl.Image)
    )
    told = [truth[n] for n in numbers]
    bad = {
        "lost": numbers[-1] - numbers[0] + 1 - len(numbers),
        "late": sum(e["data"]["slots"] for e in events if e["kind"] == "ultrasound.late"),
        "wrong": wrong,
        "other source": sum(t["source"] != kind for t in told),
    }
    return (len(pictures) - 1) / took, bad


def follow(device: subprocess.Popen[str]) -> Any:
    """Read a process's events in a thread, so that its pipe never fills; call the result for all of them."""
    lines: list[str] = []
    assert device.stdout is not None
    thread = threading.Thread(target=lambda: lines.extend(device.stdout or ()))
    thread.start()

    def all_events() -> list[dict[str, Any]]:
        thread.join(20)
        return [json.loads(line) for line in lines]

    return all_events


def free(kind: str, count: int) -> float:
    """Pictures per second of processor time without a pace."""
    engine = Engine(1, GOALS[kind], SIZES[SIZE], Knobs(), bank=kind == "bank")
    engine.fill_bank()
    times = []
    for number in range(count):
        start = time.process_time()
        picture = engine.render(number)
        hashlib.sha256(picture.pixels)
        g = picture.geometry
        body = igtl.Image((g.width, g.height, 1), picture.pixels, matrix(g))
        igtl.pieces(igtl.Message(body, "Image_Probe", 0, 2, number, metadata(g, number, "B", 1)))
        times.append(time.process_time() - start)
    return 1 / statistics.median(times)


def main() -> int:
    """Measure, print ratios, compare with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    ratios: dict[str, float] = {}
    lost = 0
    for kind, goal in GOALS.items():
        rate, bad = paced(kind, 3 if quick else 15)
        ratios[f"ultrasound.{kind}"] = rate / goal
        lost += sum(v for k, v in bad.items() if k != "late")
        print(f"{kind}: {rate:.2f} pictures/s; " + ", ".join(f"{v} {k}" for k, v in bad.items()))
    for kind, goal in GOALS.items():
        ratios[f"ultrasound.{kind}.free"] = free(kind, 20 if quick else 100) / goal
    committed = json.loads((HERE / "ratios.json").read_text("utf-8"))
    below = 0
    for name, ratio in ratios.items():
        least = committed.get(name, 0.0) * (0.5 if quick else 1.0)
        below += ratio < least
        print(f"{name:26s} {ratio:7.3f}  (at least {least})")
    return 1 if below or lost else 0


if __name__ == "__main__":
    sys.exit(main())
