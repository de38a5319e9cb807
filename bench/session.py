"""A run: cells through workers into a run folder, then the reports.

Rules of this file:

* A worker has one warm process (the zygote) and runs one cell at a time, each in a sandbox of its own; the
  worker itself never enters a namespace and never opens a socket.
* What may be kept between the cells of a worker is kept here: calibrations, and a folder of maps.
* A cell that leaves no result is an ERROR with the reason; Ctrl-C ends the cells and still writes the reports.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import secrets
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from bench.checks.outside import ask, at_fault
from bench.enter import HELD, outer_pids
from bench.judge.inrun import clauses, warm
from bench.plan import (
    DEFAULT_SEED,
    DEFAULT_TIMEOUT_S,
    PlanError,
    VolumeChoice,
    make_plan,
    not_runnable,
)
from bench.products import product_of
from bench.report import render
from bench.results import (
    CellResult,
    PlannedCell,
    Product,
    RunInfo,
    RunResult,
    SutInfo,
    cell_dir,
    collect,
    host_facts,
    library_versions,
    not_run,
    read_cell,
    write_cell,
    write_run,
)
from bench.scenario import Cell
from bench.scenario.spec import MEDIA
from bench.testbed import VIRTUAL, Testbed, load_testbed
from bench.verdict import Verdict
from bench.zygote import SandboxError, Zygote

SCRATCH: Final = "modbench-"
"""Scratch folders are named so, then the worker's pid."""
EXTRA_S: Final = 60.0
"""A cell's own limit is its scenario's; the worker adds this for building and teardown before it kills it."""

PRODUCTS: Final[Mapping[str, Product]] = {
    "vxvue": Product(
        name="VXvue", version="0.1.0", statement="VXvue DICOM Conformance Statement, revision 3.8"
    ),
    "mx1": Product(
        name="SONIMAGE MX1", version="0.1.0", statement="SONIMAGE MX1 DICOM Conformance Statement"
    ),
}


@dataclass(frozen=True)
class Options:
    """How to run."""

    out: Path = Path("reports")
    testbed: Path | None = None
    backend: str | None = None
    seed: int = DEFAULT_SEED
    jobs: int = 1
    exit_first: bool = False
    hold_on_failure: bool = False
    tester: str = "unattended"
    command: str | None = None
    second_witness: bool = False
    deviations: Path | None = None


class Observer(Protocol):
    """Who watches a run; called from several threads."""

    def started(self, cell: Cell) -> None:
        """A cell begins."""

    def progress(self, cell: Cell, news: Mapping[str, Any]) -> None:
        """Something goes on in a cell: a phase, a step, what is awaited."""

    def finished(self, cell: Cell, result: CellResult) -> None:
        """A cell ended."""


def planned(cell: Cell) -> PlannedCell:
    """Return what the run folder keeps of a cell before it ran."""
    scenario = cell.scenario
    return PlannedCell(
        id=cell.id, scenario=scenario.name, file=scenario.file, line=scenario.line, title=scenario.title or ""
    )


def choose_backend(testbed: Testbed, asked: str | None) -> str:
    """Return the best link backend that the testbed names and this machine offers."""
    named = next((link.backend for link in testbed.links.values() if link.backend), None)
    if asked or named in ("veth", "userns", "loopback"):
        return asked or str(named)
    from bench.links.probe import best_backend

    return best_backend()


def choose_volumes(testbed: Testbed, backend: str, cells: Iterable[Cell]) -> dict[str, VolumeChoice]:
    """Return the best volume backend for each slot that the testbed names and this machine offers.

    Args:
        testbed: may name a backend for a slot.
        backend: of the links; on loopback there is no sandbox that a mount could be confined to.
        cells: what is to run; nothing is probed when no product of theirs has a slot.

    Raises:
        PlanError: the testbed names a backend that does not work here.
    """
    if not any(product_of(name).slots for name in {cell.scenario.product for cell in cells}):
        return {}
    from bench.volumes.backends import NoBackend, best, probe

    def one(slot: str) -> VolumeChoice:
        wanted = testbed.volumes[slot].backend if slot in testbed.volumes else None
        if backend == "loopback" and wanted not in ("image", "folder"):
            found, why = best("image"), "nothing is mounted outside a sandbox, and there is none on loopback"
        else:
            found = best(wanted)
            better = (
                itertools.takewhile(lambda other: other.name != found.name, probe()) if not wanted else ()
            )
            why = "; ".join(f"no {other.name}: {other.why}" for other in better)
        return VolumeChoice(found.name, found.cannot_prove, why)

    try:
        return {slot: one(slot) for slot in MEDIA}
    except NoBackend as error:
        raise PlanError(f"testbed {testbed.name}: {error}") from error


def sweep_scratch() -> None:
    """Delete the scratch folders of workers that were killed: they are ours, and their process is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*-*"):
        owner = folder.name.removeprefix(SCRATCH).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Worker:
    """One warm process and what may be kept between its cells."""

    def __init__(
        self,
        run_dir: Path,
        options: Options,
        backend: str,
        volumes: Mapping[str, VolumeChoice] | None = None,
    ) -> None:
        from bench.runner.devices import preload

        self._run_dir = run_dir
        self._options = options
        self._backend = backend
        self._volumes = volumes or {}
        self._calibrations: Any = {}
        sweep_scratch()
        self._cache = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-"))
        self._zygote = Zygote(preload(backend), backend)
        self._running: Any = None
        self._held = False

    def run(self, cell: Cell, progress: Callable[[Mapping[str, Any]], None]) -> CellResult:
        """Run one cell in a sandbox and return its result, whatever happens to the sandbox."""
        began = time.monotonic()
        why = not_runnable(cell, self._backend, self._volumes)
        if why:
            result = not_run(planned(cell), why)
            write_cell(self._run_dir, result)
            return result
        folder = cell_dir(self._run_dir, cell.id)
        argument = {
            "file": str(Path(cell.scenario.file).resolve()),
            "cell": cell.id,
            "run_dir": str(self._run_dir.resolve()),
            "seed": self._options.seed,
            "backend": self._backend,
            "volumes": {slot: asdict(chosen) for slot, chosen in self._volumes.items()},
            "testbed": str(self._options.testbed.resolve()) if self._options.testbed else None,
            "calibrations": self._calibrations,
            "cache": str(self._cache),
            "hold": self._options.hold_on_failure,
        }
        limit = (cell.scenario.timeout_s or DEFAULT_TIMEOUT_S) + EXTRA_S
        trouble = ""
        try:
            with open(folder / "bench.log", "ab") as log:
                handle = self._running = self._zygote.run(
                    "bench.runner.cell:main", argument, stdio=log.fileno()
                )
                # The checks take half a second to load: time that nobody waits for while the cell runs.
                threading.Thread(target=warm, args=(cell.scenario.product,), daemon=True).start()
                trouble = self._follow(handle, folder, began + limit, progress)
        except SandboxError as error:
            trouble = f"no sandbox: {error}"
        finally:
            self._running = None
        path = folder / "cell.json"
        if path.exists():
            result = read_cell(path)
            if trouble:
                result = at_fault(result, trouble)
            progress({"phase": "outside judges"})
            result = ask(result, folder, cell.scenario.product, tshark=self._options.second_witness)
            progress({"phase": "clauses"})
            result = clauses(result, folder, cell.scenario.product, self._options.deviations)
            write_cell(self._run_dir, result)
        else:
            lines = (folder / "bench.log").read_text(errors="replace").strip().splitlines()
            why = trouble or (lines[-1] if lines else "its sandbox ended before it could write a result")
            result = replace(
                not_run(planned(cell), f"The bench failed: {why}"),
                verdict=Verdict.ERROR,
                not_runnable=None,
                errors=(why,),
                seconds=time.monotonic() - began,
            )
            write_cell(self._run_dir, result)
        return result

    def _follow(
        self, handle: Any, folder: Path, deadline: float, progress: Callable[[Mapping[str, Any]], None]
    ) -> str:
        """Pass on what the cell says until it ends; return a sentence if it had to be ended."""
        from bench.sandbox.channel import ChannelClosed

        try:
            while True:
                left = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
                message = handle.channel.recv(timeout_s=left)
                if "progress" in message:
                    news = message["progress"]
                    if "held" in news:
                        self._held = True
                        deadline = float("inf")
                        whole = folder / f".{HELD}"  # whoever waits for it must never read a part
                        whole.write_text(json.dumps(outer_pids(handle.pid, news["held"])))
                        whole.replace(folder / HELD)
                    progress(news)
                elif "result" in message:
                    self._calibrations = message["calibrations"]
        except ChannelClosed:
            pass
        except TimeoutError:
            handle.kill()
            return "the cell did not end in time and was ended"
        ended = handle.wait(timeout_s=30)
        if ended.error:
            return str(ended.error).strip().splitlines()[-1]
        return f"the cell's process ended with status {ended.status}" if ended.status else ""

    def interrupt(self) -> None:
        """End the running cell: at once, or in order if it only waits for a person to be done with it."""
        running = self._running
        if running is None:
            return
        if self._held:
            self._held = False
            running.channel.send({"go": "on"})
        else:
            running.kill()

    def close(self) -> None:
        """End the warm process and delete what was kept."""
        self._zygote.close()
        shutil.rmtree(self._cache, ignore_errors=True)


def new_run_dir(out: Path) -> Path:
    """Make a folder for a run; names sort by time."""
    run_id = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    run_dir = out / run_id
    run_dir.mkdir(parents=True)
    return run_dir


def run_info(run_dir: Path, cells: Sequence[Cell], options: Options) -> RunInfo:
    """Return what is known of a run before its first cell."""
    testbed = load_testbed(options.testbed) if options.testbed else VIRTUAL
    product = PRODUCTS[cells[0].scenario.product] if cells else PRODUCTS["vxvue"]
    sut = testbed.sut
    return RunInfo(
        run_id=run_dir.name,
        product=replace(product, serial=sut.serial or product.serial, version=sut.version or product.version),
        tester=options.tester,
        start=datetime.now().astimezone().isoformat(),
        seed=options.seed,
        sut=SutInfo(
            adapter=sut.adapter,
            description="reference modality software" if sut.adapter == "reference" else None,
            ae_title=sut.ae,
            address=sut.address,
        ),
        host=host_facts(),
        versions=library_versions(),
        testbed=testbed.name,
        command=options.command,
        statement=cells[0].scenario.product if cells else None,
        planned=tuple(planned(cell) for cell in cells),
    )


def run(cells: Sequence[Cell], options: Options, observer: Observer) -> tuple[Path, RunResult]:
    """Run cells and write the reports; the folder and the result, also after Ctrl-C.

    Raises:
        PlanError: a cell cannot be planned on this testbed; nothing was started or written.
    """
    testbed = load_testbed(options.testbed) if options.testbed else VIRTUAL
    backend = choose_backend(testbed, options.backend)
    volumes = choose_volumes(testbed, backend, cells)
    for cell in cells:
        make_plan(cell, testbed=testbed, backend=backend, seed=options.seed, volumes=volumes)
    run_dir = new_run_dir(options.out)
    info = run_info(run_dir, cells, options)
    write_run(run_dir, info)
    todo: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    for cell in cells:
        todo.put(cell)
    stop = threading.Event()
    with _workers(min(options.jobs, len(cells)), run_dir, options, backend, volumes) as workers:
        ended = [threading.Event() for _ in workers]
        for worker, event in zip(workers, ended, strict=True):
            arguments = (worker, todo, stop, event, options, observer)
            threading.Thread(target=_work, args=arguments, daemon=True).start()
        try:
            # Not join: interrupted, it takes a running thread for ended.  A limit lets Ctrl-C through everywhere.
            while not all(event.wait(0.5) for event in ended):
                pass
        except KeyboardInterrupt:
            stop.set()
            info = replace(info, errors=("The run was interrupted by the operator.",))
            for worker in workers:
                worker.interrupt()
            for event in ended:
                event.wait(60)
    _skip_rest(todo, run_dir, stop)
    write_run(run_dir, replace(info, end=datetime.now().astimezone().isoformat()))
    result = collect(run_dir)
    try:
        render(run_dir)
    except Exception as error:
        # The results are there; a report that cannot be written is the bench's fault and must be seen as that.
        traceback.print_exc()
        write_run(run_dir, replace(info, errors=(*info.errors, f"The report could not be written: {error}")))
        result = collect(run_dir)
    return run_dir, result


@contextlib.contextmanager
def _workers(
    number: int, run_dir: Path, options: Options, backend: str, volumes: Mapping[str, VolumeChoice]
) -> Iterator[list[Worker]]:
    with contextlib.ExitStack() as stack:
        workers = []
        for _ in range(number):
            worker = Worker(run_dir, options, backend, volumes)
            stack.callback(worker.close)
            workers.append(worker)
        yield workers


def _work(
    worker: Worker,
    todo: queue.SimpleQueue[Cell],
    stop: threading.Event,
    ended: threading.Event,
    options: Options,
    observer: Observer,
) -> None:
    try:
        while not stop.is_set():
            try:
                cell = todo.get_nowait()
            except queue.Empty:
                return
            observer.started(cell)
            result = worker.run(cell, lambda news, cell=cell: observer.progress(cell, news))  # type: ignore[misc]
            observer.finished(cell, result)
            if options.exit_first and not result.verdict.green:
                stop.set()
    finally:
        ended.set()


def _skip_rest(todo: queue.SimpleQueue[Cell], run_dir: Path, stop: threading.Event) -> None:
    """Cells that were planned and not begun say so."""
    while True:
        try:
            cell = todo.get_nowait()
        except queue.Empty:
            return
        why = "The run was stopped before this cell."
        result = not_run(planned(cell), why)
        if stop.is_set():
            write_cell(run_dir, result)
