"""The MX1 console's sending against DCMTK's ``storescu``: 200 stills, and one clip of 300 MB.

Both send the same files to the same PACS (discarding, PDUs of 128 KB) over a loopback of 1 Gbit/s in a network
namespace of its own, or, where that is not permitted, over the bare loopback (``mx1.….loopback``); rounds alternate.
The console is driven as a bench drives it, and its time is from the operator's ``send`` to the last answer, with its
database and its operator's log; storescu's is that of the process.  Figures are ratios, 1 is as fast as storescu.

``python tests/benchmarks/bench_mx1.py [--quick] [--json FILE]``; exit 1 below a committed ratio (``--quick``: below
half of it).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.doctor import dcmtk  # noqa: E402

STILLS: Final = 200
CLIP_FRAMES: Final = 128
"""Of 1024 x 768 RGB: 302 MB."""


class Operator:
    """The console's control socket."""

    def __init__(self, path: Path) -> None:
        deadline = time.monotonic() + 30
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                self._socket.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self._file = self._socket.makefile("rwb")

    def do(self, verb: str, **args: Any) -> dict[str, Any]:
        """One verb; it must succeed."""
        self._file.write(json.dumps({"id": 1, "do": verb, "args": args}).encode() + b"\n")
        self._file.flush()
        while True:
            message = json.loads(self._file.readline())
            if message.get("id") == 1:
                if not message["ok"]:
                    raise RuntimeError(f"{verb}: {message['error']}")
                return dict(message["result"])

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


@contextmanager
def simulator(*arguments: str) -> Iterator[int]:
    """One simulator as its user starts it; gives its port."""
    command = [sys.executable, "-m", "simulators", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = re.search(r"(?:127\.0\.0\.1:|\"port\": )(\d+)", process.stdout.readline())
        assert found, "the simulator says where it listens"
        yield int(found[1])
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@contextmanager
def console(folder: Path, settings: dict[str, Any]) -> Iterator[tuple[Operator, Path]]:
    """The console in a process of its own; gives its operator and the folder of its images."""
    file = folder / "mx1.yaml"
    file.write_text(
        json.dumps({"data_dir": str(folder / "data"), "control": str(folder / "ctl"), **settings})
    )
    process = subprocess.Popen([sys.executable, "-m", "modality", "mx1", "--config", str(file)], cwd=ROOT)
    try:
        operator = Operator(folder / "ctl")
        try:
            yield operator, folder / "data" / "images"
        finally:
            operator.close()
    finally:
        process.terminate()
        process.wait(20)


def ours(operator: Operator) -> float:
    """Seconds to send everything that waits."""
    start = time.perf_counter()
    answer = operator.do("send", wait=300)
    seconds = time.perf_counter() - start
    if not answer["done"]:
        raise RuntimeError("the console did not send everything")
    return seconds


def theirs(port: int, files: list[str]) -> float:
    """Seconds of one storescu with the same files."""
    command = [dcmtk("storescu") or "storescu", "-R", "--max-send-pdu", "131072", "-pdu", "65536"]
    start = time.perf_counter()
    subprocess.run(
        [*command, "127.0.0.1", str(port), *files],
        env={**os.environ, "TCP_NODELAY": "1"},
        check=True,
    )
    return time.perf_counter() - start


def measure(rounds: int, folder: Path, frontend: int, prepare: Any) -> tuple[float, str]:
    """Median quotient of one kind of load, each round in a new exam; what a person reads of it."""
    with simulator(
        "pacs", "--any-called", "--quiet", "--discard", "--no-hash", "--max-pdu", "131072"
    ) as pacs:
        peer = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs}
        settings = {
            "ultrasound": {"address": "127.0.0.1", "port": frontend},
            "storage": [peer],
            "storage_syntax": {"clip": "explicit"},
            "auto_send": "off",
        }
        mine, other = [], []
        with console(folder, settings) as (operator, images):
            while operator.do("exam_state")["acquisition"] not in ("live", "frozen"):
                time.sleep(0.02)
            for number in range(rounds):
                operator.do("start_exam", patient={"PatientName": "Bench^Mark", "PatientID": str(number)})
                before = set(images.iterdir())
                prepare(operator)
                files = sorted(str(path) for path in set(images.iterdir()) - before)
                operator.do("complete")
                if number % 2:
                    mine.append(ours(operator))
                    other.append(theirs(pacs, files))
                else:
                    other.append(theirs(pacs, files))
                    mine.append(ours(operator))
                size = sum(os.path.getsize(path) for path in files)
                for path in files:
                    os.unlink(path)
    ratios = [o / m for o, m in zip(other, mine, strict=True)]
    note = (
        f"{statistics.median(mine):.2f} s for {size / 1e6:.0f} MB in {len(files)} file(s), "
        f"{size / 1e6 / statistics.median(mine):.0f} MB/s; storescu {statistics.median(other):.2f} s; "
        f"rounds {' '.join(f'{ratio:.2f}' for ratio in ratios)}, load {os.getloadavg()[0]:.1f}"
    )
    return statistics.median(ratios), note


def stills(operator: Operator) -> None:
    """Many stills of one frozen picture."""
    operator.do("freeze")
    for _ in range(STILLS):
        operator.do("capture_still")


def clip(operator: Operator) -> None:
    """One clip of 300 MB."""
    operator.do("freeze", on=False)
    claim = operator.do("capture_clip", frames=CLIP_FRAMES)
    operator.do("freeze")  # a live stream would share the processors with what is measured
    if claim["frames"] != CLIP_FRAMES:
        raise RuntimeError(f"the clip has {claim['frames']} frames: {claim['ended']}")


def gigabit(*command: str) -> int:
    """Run a command where the loopback passes 1 Gbit/s, in a network namespace; not 0 without the right to."""
    shape = "ip link set lo up && tc qdisc add dev lo root tbf rate 1gbit burst 256k latency 50ms"
    try:
        done = subprocess.run(
            ["unshare", "-n", "sh", "-c", f'({shape}) 2>/dev/null && exec "$@"', "sh", *command], check=False
        )
    except FileNotFoundError:
        return 127
    return done.returncode


def main() -> int:
    """Measure, compare, report."""
    parser = argparse.ArgumentParser(description="The MX1's sending against DCMTK's storescu.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, half of each ratio")
    parser.add_argument("--json", metavar="FILE", help="write the ratios there")
    parser.add_argument("--wire", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if dcmtk("storescu") is None:
        print("skipped: storescu of DCMTK not installed")
        return 0
    if not args.wire and gigabit("true") == 0:
        return gigabit(sys.executable, __file__, "--wire", *sys.argv[1:])
    rounds = 1 if args.quick else 5
    end = "" if args.wire else ".loopback"
    memory = Path("/dev/shm")
    ratios: dict[str, float] = {}
    notes: dict[str, str] = {}
    with (
        simulator("ultrasound", "--port", "0", "--size", "1024x768", "--mode", "colour") as frontend,
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
    ):
        for name, prepare in (("mx1.stills", stills), ("mx1.clip", clip)):
            place = Path(folder) / name
            place.mkdir()
            name += end
            ratios[name], notes[name] = measure(rounds, place, frontend, prepare)
            print(f"{name:<20} {ratios[name]:8.2f}   {notes[name]}", flush=True)
    committed: dict[str, float] = json.loads((Path(__file__).parent / "ratios.json").read_text())
    below = []
    for name, ratio in ratios.items():
        wanted = committed.get(name, 0.0) * (0.5 if args.quick else 1.0)
        if ratio < wanted:
            below.append(f"{name} {ratio:.2f} is below {wanted:.2f}")
    if args.json:
        Path(args.json).write_text(json.dumps({"ratios": ratios, "notes": notes}, indent=2) + "\n")
    print("\n".join(below) if below else "all at or above the committed ratios")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
