"""The ultrasound front end on one core: pictures per second at 1024x768 against the goals, and none lost.

* ``ultrasound.bank``, ``ultrasound.colour.bank``: grey and colour, paced at 60/s from the cine bank while the gain is
  turned, against 60/s; every picture received, its SHA-256 compared with the truth, and the CRC of every fifth.
* ``ultrasound.synthesis``, ``ultrasound.colour.synthesis``: paced at 30/s, every picture synthesised, against 30/s.
* ``ultrasound.motion``, ``ultrasound.spectrum``: M-mode and PW, which have no bank, paced at 60/s, against 60/s.
* the same names with ``.free``: what the device could do by its processor time per picture if nothing paced it
  (render, hash, encode with CRC; sending is not in it), against the same goals.

The device is a process tied to one core, the receiver another process on another core where there is one.  How much of
its core the device took while it was paced is printed (its own processor time, sending included), and is no ratio.

``python tests/benchmarks/bench_ultrasound.py [--quick]``; exit 1 below a committed ratio (``--quick``: below half)
or when a picture is lost or wrong.  A slot that the device left out (late) lowers the rate.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from simulators.ultrasound import igtl  # noqa: E402
from simulators.ultrasound.crc import crc64  # noqa: E402
from simulators.ultrasound.engine import Engine, matrix, metadata  # noqa: E402
from simulators.ultrasound.knobs import SIZES, Knobs  # noqa: E402

SIZE: Final = "1024x768"
CHECKED: Final = 5
"""Of so many pictures one has its CRC looked at; the SHA-256 is compared for all."""


@dataclass(frozen=True)
class Case:
    """Pictures of a mode at a pace; ``bank``: they shall come from the cine bank while the gain is turned."""

    goal: int
    mode: str
    bank: bool

    @property
    def source(self) -> str:
        """What the device shall say of where its pictures come from."""
        return "bank" if self.bank else "synthesis"


CASES: Final = {
    "bank": Case(60, "B", True),
    "synthesis": Case(30, "B", False),
    "colour.bank": Case(60, "colour", True),
    "colour.synthesis": Case(30, "colour", False),
    "motion": Case(60, "M", False),
    "spectrum": Case(60, "PW", False),
}
ALL: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def tie(core: int) -> None:
    """This process and what it starts run on one core (or where they are, on other systems)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {ALL[core % len(ALL)]})


class Got(NamedTuple):
    """A picture that came: its number and the digest of its pixels (pictures themselves would fill the memory)."""

    number: int
    sha256: str


def whole(sock: socket.socket, size: int) -> bytearray:
    """So many bytes."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view)
        if not count:
            raise SystemExit("the device has closed the connection")
        view = view[count:]
    return data


def received(sock: socket.socket, count: int, turn: bool) -> tuple[list[Got], float]:
    """So many pictures, and the seconds from the first to the last; the gain is turned now and then.

    Read by hand: a receiver that costs more than the device would measure itself.
    """
    pictures: list[Got] = []
    times: list[float] = []
    while len(pictures) < count:
        _, type_, _, _, _, size, crc = igtl.HEADER.unpack(whole(sock, igtl.HEADER.size))
        body = whole(sock, size)
        if type_.rstrip(b"\0") != b"IMAGE":
            continue
        times.append(time.perf_counter())
        if len(pictures) % CHECKED == 0 and crc64(body) != crc:
            raise SystemExit("a wrong CRC")
        own, index, values, number = igtl.EXTENDED.unpack_from(body)
        pixels = memoryview(body)[own + igtl.IMAGE.size : size - index - values]
        pictures.append(Got(number, hashlib.sha256(pixels).hexdigest()))
        if turn and len(pictures) % 20 == 0:
            knob = igtl.Message(igtl.Text(f"gain={len(pictures) // 20 % 9}"), "UsSet")
            sock.sendall(igtl.encode(knob))
    return pictures, times[-1] - times[0]


def processor_s(pid: int) -> float:
    """Processor time of a process so far; not a number where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def paced(case: Case, seconds: float) -> tuple[float, float, dict[str, Any]]:
    """Pictures per second over a socket, the share of its core that the device took, and what went wrong."""
    command = [sys.executable, "-m", "simulators", "ultrasound", "--port", "0", "--size", SIZE, "--events"]
    command += ["--fps", str(case.goal), "--mode", case.mode, *([] if case.bank else ["--synthesise"])]
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
        used, began = processor_s(device.pid), time.perf_counter()
        pictures, took = received(sock, round(case.goal * seconds) + 1, turn=case.bank)
        share = (processor_s(device.pid) - used) / (time.perf_counter() - began)
    device.send_signal(signal.SIGTERM)
    events += drain()
    device.wait(20)
    truth = {e["data"]["sequence"]: e["data"] for e in events if e["kind"] == "ultrasound.frame"}
    numbers = [got.number for got in pictures]
    bad = {
        "lost": numbers[-1] - numbers[0] + 1 - len(numbers),
        "late": sum(e["data"]["slots"] for e in events if e["kind"] == "ultrasound.late"),
        "wrong": sum(got.sha256 != truth[got.number]["sha256"] for got in pictures),
        "other source": sum(truth[n]["source"] != case.source for n in numbers),
    }
    return (len(pictures) - 1) / took, share, bad


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


def free(case: Case, count: int) -> float:
    """Pictures per second of processor time without a pace."""
    engine = Engine(1, case.goal, SIZES[SIZE], Knobs(mode=case.mode), bank=case.bank)
    engine.fill_bank()
    times = []
    for number in range(count):
        start = time.process_time()
        picture = engine.render(number)
        hashlib.sha256(picture.pixels)
        g = picture.geometry
        body = igtl.Image((g.width, g.height, 1), picture.pixels, matrix(g), g.components)
        igtl.pieces(igtl.Message(body, "Image_Probe", 0, 2, number, metadata(g, number, case.mode, 1)))
        times.append(time.process_time() - start)
    return 1 / statistics.median(times)


def main() -> int:
    """Measure, print ratios, compare with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    ratios: dict[str, float] = {}
    lost = 0
    for name, case in CASES.items():
        rate, share, bad = paced(case, 2 if quick else 15)
        ratios[f"ultrasound.{name}"] = rate / case.goal
        lost += sum(v for k, v in bad.items() if k != "late")
        counts = ", ".join(f"{v} {k}" for k, v in bad.items())
        print(f"{name}: {rate:.2f} pictures/s with {share:.0%} of a core; {counts}")
    for name, case in CASES.items():
        ratios[f"ultrasound.{name}.free"] = free(case, 20 if quick else 100) / case.goal
    committed = json.loads((HERE / "ratios.json").read_text("utf-8"))
    below = 0
    for name, ratio in ratios.items():
        least = committed.get(name, 0.0) * (0.5 if quick else 1.0)
        below += ratio < least
        print(f"{name:32s} {ratio:7.3f}  (at least {least})")
    return 1 if below or lost else 0


if __name__ == "__main__":
    sys.exit(main())
