"""What a person sees while a run goes on: live lines on a terminal, plain lines elsewhere.

Rules of this file:

* One line per cell with the step in progress and what is awaited, a bar for the whole, failures at once with
  file and line.
* Nothing that a peer sent acts: markup is text, and control characters are shown (:func:`bench.report.text.visible`);
  a name with escape sequences would otherwise repaint the terminal.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.report.firstscreen import bench_faults, decided, misses, surprises
from bench.report.text import visible
from bench.results import CellResult
from bench.scenario import Cell
from bench.verdict import Verdict

INDENT: Final = 14
"""Width of the longest verdict and a space."""
STYLES: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "green",
    Verdict.PASS_ERRATUM: "green",
    Verdict.DEV_FROM_STD: "yellow",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold magenta",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_EXERCISED: "dim",
    Verdict.NA: "dim",
}


@dataclass
class _Row:
    """One running cell."""

    cell: Cell
    began: float = field(default_factory=time.monotonic)
    doing: str = "starting"
    since: float = field(default_factory=time.monotonic)
    within: float | None = None

    def text(self) -> str:
        waited = time.monotonic() - self.since
        limit = f" of {self.within:.0f} s" if self.within else " s"
        return f"{visible(self.doing)}  {waited:.1f}{limit}"


def verdict_line(cell: Cell, result: CellResult) -> Text:
    """Return what stays when a cell has ended: one line, and for whoever must look why, where and how to repeat it."""
    line = Text()
    line.append(f"{result.verdict.value:<{INDENT}}", STYLES[result.verdict])
    line.append(f"{visible(cell.id)}  ")
    line.append(f"{result.seconds:.1f} s", "dim")

    def more(text: str, style: str = "dim") -> None:
        line.append(f"\n{'':<{INDENT}}{visible(text)}", style)

    if not result.verdict.green:
        part = decided(result)
        reason = re.sub(r"^Line \d+: ", "", result.reason)
        more(f"{result.file}:{part.line if part else result.line}: {reason}", STYLES[result.verdict])
        for _, near in misses(result)[:3]:
            more(f"did arrive: {near.why}")
    for surprise in surprises(result):
        more(surprise, STYLES[Verdict.FAIL])
    for error in bench_faults(result):
        more(f"the bench was at fault: {error}", STYLES[Verdict.ERROR])
    if result.repeat and (result.unexpected or result.bench_at_fault):
        more(f"again: {result.repeat}")
    return line


class PlainObserver:
    """One line when a cell begins and one when it ends."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def __enter__(self) -> PlainObserver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def started(self, cell: Cell) -> None:
        """Say nothing: the line comes when there is a verdict."""

    def progress(self, cell: Cell, news: Mapping[str, Any]) -> None:
        """Say nothing."""

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Print the verdict."""
        with self._lock:
            self._done += 1
            self._console.print(
                Text(f"[{self._done}/{self._total}] ") + verdict_line(cell, result), soft_wrap=True
            )


class LiveObserver:
    """A live table of running cells above a bar for the whole."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveObserver:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for row in self._rows.values():
                table.add_row(
                    Text(visible(row.cell.id), "cyan"),
                    Text(row.text(), "dim", overflow="ellipsis", no_wrap=True),
                )
            bar = Table.grid(padding=(0, 2))
            bar.add_row(
                ProgressBar(total=max(1, self._total), completed=self._done, width=40),
                escape(f"{self._done} of {self._total} cells"),
            )
        return Group(table, bar)

    def started(self, cell: Cell) -> None:
        """Add a line."""
        with self._lock:
            self._rows[cell.id] = _Row(cell)

    def progress(self, cell: Cell, news: Mapping[str, Any]) -> None:
        """Show the step, and what is awaited for how long."""
        with self._lock:
            row = self._rows.get(cell.id)
            if row is None:
                return
            row.since, row.within = time.monotonic(), news.get("within")
            if "phase" in news:
                row.doing = str(news["phase"])
            elif "held" in news:
                row.doing = "held: modbench enter HOST in another terminal; Ctrl-C ends it"
            elif "await" in news:
                row.doing = f"awaiting {news['await']}"
            else:
                row.doing = f"line {news.get('line', '?')}: {news.get('text', '')}"

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Print the verdict above the table and remove the line."""
        with self._lock:
            self._rows.pop(cell.id, None)
            self._done += 1
        self._console.print(verdict_line(cell, result), soft_wrap=True)


def observer(console: Console, total: int) -> LiveObserver | PlainObserver:
    """Return what fits where the output goes."""
    return LiveObserver(console, total) if console.is_terminal else PlainObserver(console, total)
