"""The bench around an exam: how long it takes to put one up and down, and how long a whole exam takes.

Both are given as ratios against a peer in the same run: what it costs to start plain Python processes that import
what the hosts (numpy, pydicom) and the console (numpy, pydicom, pynetdicom) need.  A bench that started its hosts that
way, one after the other, would have a ratio of at most 1.

``python tests/benchmarks/bench_exam.py [--quick] [--json FILE]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCENARIO = ROOT / "scenarios" / "regression" / "one-exam.yaml"
CELL = "one-exam[link=1000BASE-T,detector=3072x3072]"
HOSTS = 4
"""Host processes of a bench: RIS, PACS, front end, recorder."""


def rehearse(channel: Any, argument: Mapping[str, Any]) -> int:
    """Put a bench up and down without a SUT; body of a sandbox."""
    from bench.expect import Engine
    from bench.journal import JournalWriter
    from bench.links.calibrate import Calibrations
    from bench.plan import make_plan
    from bench.runner.cell import find_cell
    from bench.runner.stage import Live, Phases, build, end
    from bench.runner.stream import Stream
    from bench.scenario import load

    folder = Path(argument["folder"])
    cell = find_cell(load(SCENARIO), CELL)
    plan = make_plan(cell, backend=argument["backend"], cache=Path(argument["cache"]))
    phases = Phases()
    calibrations = Calibrations(argument["calibrations"])
    journal = JournalWriter(folder / "journal.jsonl", {})
    live = Live(plan, folder, Stream(journal, Engine(cell.allow)))
    build(live, calibrations, phases, lambda news: None)
    with phases.phase("teardown"):
        end(live)
    live.stream.close()
    journal.close()
    channel.send(
        {
            "calibrations": calibrations.to_json(),
            "phases": {p.name: p.seconds for p in phases.done},
            "errors": live.errors + live.stream.errors,
        }
    )
    return 0


def benches(backend: str, rounds: int) -> list[float]:
    """Seconds of each bench up and down; the first of a worker is not counted."""
    from bench.runner.devices import preload
    from bench.sandbox.channel import ChannelClosed
    from bench.zygote import Zygote

    seconds = []
    calibrations: Any = {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        Zygote(preload(backend), backend, path=[str(HERE)]) as zygote,
    ):
        cache = Path(scratch) / "cache"
        cache.mkdir()
        for number in range(rounds + 1):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            argument = {
                "folder": str(folder),
                "cache": str(cache),
                "backend": backend,
                "calibrations": calibrations,
            }
            began = time.monotonic()
            handle = zygote.run("bench_exam:rehearse", argument)
            answer: Any = {}
            try:
                while True:
                    answer = handle.channel.recv(timeout_s=60)
            except ChannelClosed:
                pass
            ended = handle.wait(timeout_s=30)
            took = time.monotonic() - began
            if ended.status or answer.get("errors"):
                raise SystemExit(f"the bench failed: {ended.error or answer}")
            calibrations = answer["calibrations"]
            if number:
                seconds.append(took)
            shown = ", ".join(f"{k} {v * 1000:.0f}" for k, v in answer["phases"].items())
            print(f"  bench {number}: {took * 1000:.0f} ms ({shown})", flush=True)
    return seconds


def exams(backend: str, rounds: int) -> list[float]:
    """Seconds from the start of the SUT to the stored image, without the generator's own preparation."""
    from bench.journal import read
    from bench.results import cell_dir
    from bench.runner.cell import find_cell
    from bench.scenario import load
    from bench.session import Options, Worker

    cell = find_cell(load(SCENARIO), CELL)
    seconds = []
    with tempfile.TemporaryDirectory() as scratch:
        worker = Worker(Path(scratch), Options(out=Path(scratch)), backend)
        try:
            for number in range(rounds + 1):
                result = worker.run(cell, lambda news: None)
                if not result.verdict.green:
                    raise SystemExit(f"the exam is {result.verdict}: {result.reason}")
                folder = cell_dir(scratch, cell.id)
                stamps = {e.kind: e.t for e in read(folder / "journal.jsonl")}
                states = [
                    (e.t, e.data.get("to"))
                    for e in read(folder / "journal.jsonl")
                    if e.kind == "generator.state"
                ]
                preparing = _between(states, "prep", "ready")
                took = (stamps["pacs.stored"] - stamps["sut.started"]) / 1e9 - preparing
                print(f"  exam {number}: {took:.2f} s without {preparing:.2f} s of preparation", flush=True)
                if number:
                    seconds.append(took)
                for file in sorted(folder.rglob("*"), reverse=True):
                    file.rmdir() if file.is_dir() else file.unlink()
        finally:
            worker.close()
    return seconds


def _between(states: list[tuple[int, Any]], first: str, then: str) -> float:
    """Seconds that the generator spent from one state to another, all exposures together."""
    total, since = 0, None
    for stamp, state in states:
        if state == first:
            since = stamp
        elif state == then and since is not None:
            total += stamp - since
            since = None
    return total / 1e9


def interpreters(modules: str, number: int) -> float:
    """Seconds to start that many Python processes one after the other, each importing ``modules``."""
    began = time.monotonic()
    for _ in range(number):
        subprocess.run([sys.executable, "-c", f"import {modules}"], check=True)
    return time.monotonic() - began


def main() -> int:
    """Measure, print ratios, compare with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, against half of each ratio")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from bench.links.probe import best_backend

    backend = best_backend()
    rounds = 3 if options.quick else 7
    up = statistics.median(benches(backend, rounds))
    hosts = statistics.median(interpreters("numpy, pydicom", HOSTS) for _ in range(3))
    exam = statistics.median(exams(backend, rounds))
    console = statistics.median(interpreters("numpy, pydicom, pynetdicom", 1) for _ in range(3))
    figures = {"exam.bench_up_and_down": hosts / up, "exam.whole_exam": console / exam}
    print(
        f"bench up and down: {up * 1000:.0f} ms; {HOSTS} interpreters with numpy and pydicom: {hosts * 1000:.0f} ms"
    )
    print(f"one exam: {exam:.2f} s; one interpreter with what the console imports: {console:.2f} s")
    wanted = json.loads((HERE / "ratios.json").read_text())
    below = False
    for name, ratio in figures.items():
        limit = float(wanted[name]) / (2 if options.quick else 1)
        below |= ratio < limit
        print(f"{name:<28} {ratio:6.2f}  (committed {limit:.2f}){'  BELOW' if ratio < limit else ''}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return int(below)


if __name__ == "__main__":
    sys.exit(main())
