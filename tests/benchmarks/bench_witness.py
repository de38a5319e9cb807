"""The witness and the judge against tshark's dissection of the same capture; growth; small associations.

* ``witness.read``: reading a 200 MB C-STORE capture (16 KB PDUs, segments of 1460 bytes) against ``tshark -V``, which
  dissects everything and prints it to nowhere; processor time of both, a process of their own each.
* ``judge.capture``: the same with all verdicts (``modbench judge``).
* ``witness.small``, ``judge.small``: 1 ms per association against what 1000 C-ECHO associations cost, beyond what a
  single one costs.
* ``witness.linear``, ``judge.linear`` (not with ``--quick``): the time per byte of 50 MB against that of 800 MB;
  ``witness.memory``: 500 MB against the resident memory of 800 MB.

``python tests/benchmarks/bench_witness.py [--quick] [--json FILE]``; exit 1 below a committed ratio (``--quick``: below
half of it, one round).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
READ: Final = """
import sys
from bench.witness import read
capture = read(sys.argv[1])
assert capture.dicom_messages and not capture.problems
"""
SMALL: Final = 1000


class Cost(NamedTuple):
    """Processor seconds and resident bytes of a process."""

    seconds: float
    resident: int


def run(command: list[str], *, good: tuple[int, ...] = (0,)) -> Cost:
    """Run a command to its end.

    Raises:
        SystemExit: it ended with another status than the ``good`` ones.
    """
    with open(os.devnull, "wb") as nowhere, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=nowhere, stderr=said, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in good:
            said.seek(0)
            raise SystemExit(
                f"{command[0]} ended with {process.returncode}: {said.read()[-500:].decode(errors='replace')}"
            )
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def reading(path: Path) -> Cost:
    """The witness alone."""
    return run([sys.executable, "-c", READ, str(path)])


def judging(path: Path) -> Cost:
    """All verdicts; the exit status tells them and is 0 or 1."""
    return run([sys.executable, "-m", "bench", "judge", "--statement", "vxvue", str(path)], good=(0, 1))


def dissecting(path: Path) -> Cost:
    """tshark."""
    return run(["tshark", "-n", "-r", str(path), "-V"])


def main() -> int:
    """Measure, print ratios, compare with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, half of each ratio")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    ratios: dict[str, float] = {}

    def add(name: str, ratio: float, note: str) -> None:
        ratios[name] = round(ratio, 3)
        print(f"{name:16s} {ratio:7.2f}  {note}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wire.pcap"

        def capture(megabytes: int, echoes: int = 0) -> float:
            # In a process of its own: a child begins with the resident memory of its parent.
            maker = [sys.executable, str(HERE / "storecapture.py"), str(path), str(megabytes), str(echoes)]
            subprocess.run(maker, check=True)
            return path.stat().st_size / 1e6

        rounds = 1 if options.quick else 3
        size = capture(200)
        mine = min(reading(path).seconds for _ in range(rounds))
        judge = min(judging(path).seconds for _ in range(rounds))
        print(
            f"{size:.0f} MB: witness {size / mine:.0f} MB/s, judge {size / judge:.0f} MB/s of processor time"
        )
        if shutil.which("tshark") is None:
            print("tshark is not installed: no comparison")
        else:
            peer = min(dissecting(path).seconds for _ in range(rounds))
            add("witness.read", peer / mine, f"{mine:.2f} s, tshark {peer:.2f} s ({size / peer:.0f} MB/s)")
            add("judge.capture", peer / judge, f"{judge:.2f} s, tshark {peer:.2f} s")
        small: dict[str, float] = {}
        for number in (1, SMALL + 1):
            capture(0, echoes=number)
            for name, measure in (("witness", reading), ("judge", judging)):
                seconds = min(measure(path).seconds for _ in range(rounds))
                small[name] = seconds - small.get(name, 0.0)
        for name, seconds in small.items():
            each = max(seconds / SMALL, 1e-5)
            add(f"{name}.small", 0.001 / each, f"{each * 1000:.2f} ms per association")
        if not options.quick:
            costs: dict[int, tuple[Cost, Cost]] = {}
            for megabytes in (50, 200, 800):
                size = capture(megabytes)
                costs[megabytes] = reading(path), judging(path)
                for name, cost in zip(("witness", "judge"), costs[megabytes], strict=True):
                    print(
                        f"  {name} {size:.0f} MB: {cost.seconds:.2f} s, {cost.resident / 1e6:.0f} MB resident"
                    )
            for index, name in enumerate(("witness", "judge")):
                first, last = costs[50][index], costs[800][index]
                add(
                    f"{name}.linear",
                    first.seconds * 16 / last.seconds,
                    "time per byte of 50 MB against 800 MB",
                )
                add(
                    f"{name}.memory",
                    500e6 / last.resident,
                    f"{last.resident / 1e6:.0f} MB resident for 800 MB",
                )
    committed = json.loads((HERE / "ratios.json").read_text())
    below = False
    for name, ratio in ratios.items():
        wanted = float(committed.get(name, 0.0)) / (2 if options.quick else 1)
        if ratio < wanted:
            below = True
            print(f"{name} {ratio:.2f} is below {wanted:.2f}")
    if options.json:
        options.json.write_text(json.dumps(ratios, indent=1) + "\n")
    return int(below)


if __name__ == "__main__":
    sys.exit(main())
