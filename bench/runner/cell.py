"""One cell in its sandbox: from the plan to its folder.

Rules of this file:

* :func:`main` is the body of the sandbox.  Everything it makes ends with the sandbox; orderly teardown exists so
  that evidence is whole, not so that nothing is left.
* The result is written even when the cell could not start: a hole in a report looks like a pass.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.expect import Engine
from bench.journal import JournalWriter
from bench.links.calibrate import Calibrations
from bench.plan import Plan, VolumeChoice, make_plan
from bench.results import Artefact, CellResult, JournalSeal, cell_dir, library_versions, write_cell
from bench.runner import judge
from bench.runner.console import start_sut
from bench.runner.stage import Live, Phases, build, end, links
from bench.runner.steps import Progress, Walk
from bench.runner.stream import Stream
from bench.scenario import Cell, load
from bench.testbed import VIRTUAL, load_testbed

SILENCE_S: Final = 0.25
QUIET_WITHIN_S: Final = 20.0


def main(channel: Any, argument: Mapping[str, Any]) -> int:
    """Run one cell; body of the sandbox's child.

    Args:
        channel: JSON messages to the worker: ``{"progress": …}``, at the end ``{"result": …}``.
        argument: scenario file, cell id, run folder, seed, backend of links, of volumes, testbed file,
            calibrations, cache folder.
    """
    phases = Phases()
    started = datetime.now().astimezone()
    cell = find_cell(load(Path(argument["file"])), argument["cell"])
    testbed = load_testbed(Path(argument["testbed"])) if argument.get("testbed") else VIRTUAL
    cache = Path(argument["cache"]) if argument.get("cache") else None
    volumes = {slot: VolumeChoice(**chosen) for slot, chosen in (argument.get("volumes") or {}).items()}
    plan = make_plan(
        cell,
        testbed=testbed,
        backend=argument["backend"],
        seed=argument["seed"],
        cache=cache,
        volumes=volumes,
    )
    folder = cell_dir(argument["run_dir"], cell.id)
    calibrations = Calibrations(argument.get("calibrations") or {})
    result = run_cell(
        plan,
        folder,
        calibrations=calibrations,
        scratch=cache,
        phases=phases,
        progress=lambda news: channel.send({"progress": dict(news)}),
        hold=(lambda: channel.recv(timeout_s=None)) if argument.get("hold") else None,
    )
    result = replace(result, start=started.isoformat(), end=datetime.now().astimezone().isoformat())
    write_cell(argument["run_dir"], result)
    channel.send({"result": result.verdict.value, "calibrations": calibrations.to_json()})
    return 0


def find_cell(scenario: Any, cell_id: str) -> Cell:
    """Return the cell of this id; LookupError if the scenario has changed since it was planned."""
    for cell in scenario.cells(mode="full"):
        if cell.id == cell_id:
            found: Cell = cell
            return found
    raise LookupError(f"{scenario.file} has no cell {cell_id}")


def run_cell(
    plan: Plan,
    folder: Path,
    *,
    calibrations: Calibrations,
    scratch: Path | None,
    phases: Phases,
    progress: Progress,
    hold: Callable[[], Any] | None = None,
) -> CellResult:
    """Build the bench of ``plan``, walk through its steps, take it down and judge what was seen."""
    journal = JournalWriter(
        folder / "journal.jsonl",
        {"cell": plan.cell.id, "seed": plan.seed, "versions": library_versions(), "backend": plan.backend},
    )
    engine = Engine(plan.cell.allow)
    stream = Stream(journal, engine)
    stream.say("bench", "cell.start", cell=plan.cell.id, axes=dict(plan.cell.values), seed=plan.seed)
    live = Live(plan, folder, stream, scratch)
    walk: Walk | None = None
    try:
        build(live, calibrations, phases, progress)
        progress({"phase": "modality"})
        with phases.phase("modality start"):
            sut = start_sut(live)
        walk = Walk(plan, stream, live.hosts, live.network, sut, progress)
        with phases.phase("steps"):
            walk.run()
        with phases.phase("quiet"):
            _settle(live, progress)
        if hold is not None and any(not r.verdict.green for r in walk.results):
            _hold(live, progress, hold)
    except Exception as error:
        live.errors.append(f"{type(error).__name__}: {error}")
        traceback.print_exc()
    finally:
        with phases.phase("teardown"):
            end(live)
    stream.say("bench", "cell.end")
    stream.close()
    live.errors += stream.errors
    live.errors += [
        f"events {first} to {last} of {source} never reached the journal"
        for source, gaps in journal.gaps.items()
        for first, last in gaps
    ]
    with stream.lock:
        report = engine.finish()
    seal = journal.close()
    with phases.phase("judge"):
        remarks = _read_back(live, folder)
        result = judge.judge(plan, walk, report, live.errors, live.failures)
    seconds = (time.monotonic_ns() - phases.origin) / 1e9
    return replace(
        result,
        remarks=(*result.remarks, *remarks),
        seconds=seconds,
        phases=tuple(phases.done),
        links=tuple(links(live)),
        volumes=tuple(live.volumes.fidelity()) if live.volumes is not None else (),
        artefacts=tuple(_artefacts(folder)),
        journal=JournalSeal(events=seal.events, last=seal.last),
    )


def _read_back(live: Live, folder: Path) -> list[str]:
    """Read the media from their images: what is wrong there is the SUT's failure; returns what is a remark only."""
    if not live.plan.volumes:
        return []
    from bench.journal import read
    from bench.volumes.readback import of_cell

    remarks: list[str] = []
    try:
        for back in of_cell(folder, read(folder / "journal.jsonl", lenient=True)):
            live.failures += back.problems
            remarks += back.remarks
    except Exception as error:
        live.errors.append(f"the media could not be read back: {type(error).__name__}: {error}")
        traceback.print_exc()
    return remarks


def _settle(live: Live, progress: Progress) -> None:
    """Wait for the windows that are still open, then for silence: only then can counts be judged."""
    stream = live.stream
    with stream.lock:
        until = stream.engine.open_until()
    if until is not None:
        progress({"await": "windows of 'never'", "within": (until - time.monotonic_ns()) / 1e9})
        stream.wait(lambda: False, until + 100_000_000)
    progress({"await": "silence", "within": QUIET_WITHIN_S})
    if not stream.quiesce(SILENCE_S, QUIET_WITHIN_S):
        live.errors.append(
            f"connections were still open, or events still came, {QUIET_WITHIN_S:g} s after the last step: "
            "what must not come twice cannot be judged"
        )
    stream.drain()
    with stream.lock:
        stream.engine.observed(time.monotonic_ns() - 1)


def _hold(live: Live, progress: Progress, until: Callable[[], Any]) -> None:
    """Keep everything alive for a person to look at, until the worker says to go on."""
    pids = {name: host.pid for name, host in live.hosts.items()}
    if live.sut is not None and live.sut.pid is not None:
        pids["modality"] = live.sut.pid
    progress({"held": pids})
    until()


KINDS_OF_FILES: Final = (
    ("journal.jsonl", "journal"),
    ("wire.pcapng", "capture"),
    ("*.pcapng", "capture"),
    ("objects/**/*.dcm", "object"),
    ("media/*.img", "medium"),
    ("truth/*.png", "truth"),
    ("modality.log", "log"),
    ("modality.yaml", "other"),
)


def _artefacts(folder: Path) -> Iterator[Artefact]:
    seen: set[Path] = set()
    for pattern, kind in KINDS_OF_FILES:
        for path in sorted(folder.glob(pattern)):
            if path in seen or not path.is_file():
                continue
            seen.add(path)
            digest = None
            if kind != "capture":  # hundreds of megabytes; the journal's events tie the capture to the run
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield Artefact(
                kind=kind, path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=digest
            )
