"""Pytest plugin: every cell of a scenario file is a test item; ``-k``, ``-n``, ``--lf`` and IDEs work as always.

Rules of this file:

* Options and fixtures carry the prefix ``bench``: plain names clash with other plugins.
* Nothing slow is imported unless a scenario file is collected: the plugin is loaded by every pytest run here.
* The same cells, sandboxes and results as ``modbench run``; one run folder for all workers of a session.
* FAIL is a failure and ERROR an error, as far as pytest can tell them apart: an ERROR says so in its first word.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from bench.results import CellResult
    from bench.scenario import Cell
    from bench.session import Options, Worker

RUN_DIR: Final = "MODBENCH_RUN_DIR"
"""How the workers of one session learn their common run folder."""

_session: pytest.StashKey[_BenchSession] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``modbench run``, with a prefix."""
    group = parser.getgroup("modality bench")
    group.addoption("--bench-matrix-mode", choices=("smoke", "pairwise", "full"), default="smoke")
    group.addoption(
        "--bench-matrix", action="append", default=[], metavar="K=V", help="only this value of an axis"
    )
    group.addoption("--bench-seed", type=int, default=1)
    group.addoption("--bench-out", default="reports", help="where run folders go")
    group.addoption("--bench-testbed", default=None, metavar="FILE")
    group.addoption("--bench-backend", choices=("veth", "userns", "loopback"), default=None)


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    """Collect scenario files: every ``*.yaml`` below a folder ``scenarios`` except worklists, testbeds, schema."""
    if file_path.suffix != ".yaml" or "scenarios" not in file_path.parts:
        return None
    from bench.select import NOT_SCENARIOS

    inner = file_path.parts[file_path.parts.index("scenarios") + 1 : -1]
    if NOT_SCENARIOS & set(inner):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


class ScenarioFile(pytest.File):
    """One scenario file; a fault in it is a collection error with file and line."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield one item per cell."""
        from bench.scenario import ScenarioErrors, load

        config = self.config
        try:
            scenario = load(self.path)
            filters = dict(entry.split("=", 1) for entry in config.getoption("--bench-matrix"))
            cells = scenario.cells(mode=config.getoption("--bench-matrix-mode"), filters=filters)
        except ScenarioErrors as errors:
            raise self.CollectError(str(errors)) from errors
        for cell in cells:
            item = ScenarioItem.from_parent(self, name=cell.id, cell=cell)
            for mark in scenario.marks:
                item.add_marker(mark)
            yield item


class ScenarioFailed(Exception):
    """A cell that is not green."""

    def __init__(self, result: CellResult, folder: Path) -> None:
        super().__init__(result.reason)
        self.result = result
        self.folder = folder


class ScenarioItem(pytest.Item):
    """One cell."""

    # Plugins of other lab frameworks read these on every item.
    fixturenames = ()
    funcargs: Final[dict[str, Any]] = {}

    def __init__(self, *, cell: Cell, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cell = cell

    def runtest(self) -> None:
        """Run the cell in its sandbox."""
        session = self.config.stash.setdefault(_session, _BenchSession(self.config))
        result = session.worker([self.cell]).run(self.cell, lambda news: None)
        self.user_properties += [("verdict", result.verdict.value), ("line", result.line)]
        if result.not_runnable:
            pytest.skip(result.not_runnable)
        if not result.verdict.green:
            raise ScenarioFailed(result, session.run_dir)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the verdict, the line and what did arrive instead of a traceback."""
        if not isinstance(excinfo.value, ScenarioFailed):
            return super().repr_failure(excinfo)
        result = excinfo.value.result
        lines = [f"{result.verdict.value}: {result.reason}"]
        for step in result.steps:
            mark = ">" if step.verdict is result.verdict else " "
            lines.append(f"{mark} {result.file}:{step.line}: {step.text}  {step.verdict.value}")
        for expectation in result.expectations:
            if expectation.verdict is result.verdict:
                lines += [f"  did arrive: {near.why}" for near in expectation.nearest]
        lines += [f"  bench: {error}" for error in result.errors]
        lines.append(f"  repeat: {result.repeat}")
        lines.append(f"  run folder: {excinfo.value.folder}")
        return "\n".join(lines)

    def reportinfo(self) -> tuple[os.PathLike[str], int, str]:
        """File, line (from 0) and name."""
        return self.path, self.cell.scenario.line - 1, self.name


class _BenchSession:
    """The run folder of a pytest session, and this process's worker."""

    def __init__(self, config: pytest.Config) -> None:
        from bench.checks.second_witness import available
        from bench.session import Options, new_run_dir

        self._config = config
        testbed = config.getoption("--bench-testbed")
        self.options: Options = Options(
            out=Path(config.getoption("--bench-out")),
            testbed=Path(testbed) if testbed else None,
            backend=config.getoption("--bench-backend"),
            seed=config.getoption("--bench-seed"),
            command="pytest " + " ".join(config.invocation_params.args),
            second_witness=available(),
        )
        given = os.environ.get(RUN_DIR)
        self.run_dir = Path(given) if given else new_run_dir(self.options.out)
        self._worker: Worker | None = None

    def worker(self, cells: list[Cell]) -> Worker:
        """Return the worker of this process; the first call starts it."""
        from bench.results import write_run
        from bench.session import Worker, choose_backend, choose_volumes, run_info
        from bench.testbed import VIRTUAL, load_testbed

        if self._worker is None:
            if not (self.run_dir / "run.json").exists():
                items = getattr(self._config, "_bench_cells", cells)
                write_run(self.run_dir, run_info(self.run_dir, items, self.options))
            testbed = load_testbed(self.options.testbed) if self.options.testbed else VIRTUAL
            backend = choose_backend(testbed, self.options.backend)
            volumes = choose_volumes(testbed, backend, getattr(self._config, "_bench_cells", cells))
            self._worker = Worker(self.run_dir, self.options, backend, volumes)
        return self._worker

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember what is planned, so that a cell without a result is an ERROR in the report."""
    cells = [item.cell for item in session.items if isinstance(item, ScenarioItem)]
    if cells:
        session.config._bench_cells = cells  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every worker of pytest-xdist the same run folder."""
    from bench.session import new_run_dir

    config = node.config
    if not hasattr(config, "_bench_run_dir"):
        config._bench_run_dir = str(new_run_dir(Path(config.getoption("--bench-out"))).resolve())
    node.workerinput["bench_run_dir"] = config._bench_run_dir


def pytest_configure(config: pytest.Config) -> None:
    """In a worker of pytest-xdist: take over the common run folder."""
    given = getattr(config, "workerinput", {}).get("bench_run_dir")
    if given:
        os.environ[RUN_DIR] = given


def pytest_unconfigure(config: pytest.Config) -> None:
    """End this process's worker."""
    session = config.stash.get(_session, None)
    if session is not None:
        session.close()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the reports of the run and say where they are."""
    session = config.stash.get(_session, None)
    common = getattr(config, "_bench_run_dir", None)
    run_dir = Path(common) if common else (session.run_dir if session is not None else None)
    if run_dir is None:
        return
    if not (run_dir / "run.json").exists():
        if common:  # no scenario ran in any worker
            run_dir.rmdir()
        return
    from bench.report import render
    from bench.results import collect

    result = collect(run_dir)
    render(run_dir)
    terminalreporter.section("modality bench")
    terminalreporter.line(json.dumps({k: v for k, v in result.counts.items() if v}))
    terminalreporter.line(f"report: {run_dir / 'index.html'}")


@pytest.fixture
def bench_run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., tuple[CellResult, ...]]:
    """Run a scenario from Python: ``bench_run("one.yaml")`` or ``bench_run(text)``; returns the cells' results.

    The same language, steps and evidence as in scenario files; keyword arguments choose values of the matrix, e.g.
    ``bench_run(text, link="100BASE-T")``.
    """
    from bench.scenario import load

    def run(source: str | os.PathLike[str], **axes: str) -> tuple[CellResult, ...]:
        path = (
            Path(source)
            if isinstance(source, os.PathLike) or "\n" not in source
            else tmp_path / "inline.yaml"
        )
        if isinstance(source, str) and "\n" in source:
            path.write_text(source, encoding="utf-8")
        mode = "full" if axes else request.config.getoption("--bench-matrix-mode")
        cells = load(path).cells(mode=mode, filters=axes)
        session = request.config.stash.setdefault(_session, _BenchSession(request.config))
        return tuple(session.worker(list(cells)).run(cell, lambda news: None) for cell in cells)

    return run
