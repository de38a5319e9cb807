"""What a terminal shows of a run: one line for a cell, and for whoever must look why, where and how to repeat it."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from bench.progress import LiveObserver, PlainObserver, observer, verdict_line
from bench.results import CellResult, ClauseResult, ExpectationResult, Expected, NearMiss, StepResult
from bench.verdict import Verdict

V = Verdict
KNOWN = Expected(verdict=V.DEV_FROM_STD, reason="known", date="2026-05-01")


def cell(
    verdict: Verdict = V.FAIL, reason: str = "Line 9: no pacs.stored within 3 s", **more: Any
) -> CellResult:
    return CellResult(
        id="one[link=10]", scenario="one", file="s/one.yaml", line=2, verdict=verdict, reason=reason, seconds=1.25,
        repeat="modbench run s/one.yaml --seed 7", **more,
    )  # fmt: skip


def said(result: CellResult) -> list[str]:
    return [line.strip() for line in verdict_line(SimpleNamespace(id=result.id), result).plain.splitlines()]


def miss(why: str) -> ExpectationResult:
    return ExpectationResult(line=9, text="pacs.stored", verdict=V.FAIL, nearest=(NearMiss(seq=4, why=why),))


def test_a_green_cell_is_one_line() -> None:
    assert said(cell(V.PASS)) == ["PASS          one[link=10]  1.2 s"]


@pytest.mark.parametrize("verdict", list(V))
def test_a_verdict_never_touches_the_name(verdict: Verdict) -> None:
    assert said(cell(verdict))[0].split()[:2] == [verdict.value, "one[link=10]"]


def test_a_failure_says_why_where_what_did_arrive_and_how_to_repeat_it() -> None:
    """The line is that of the expectation also where its step passed: a count is judged at the end of the cell."""
    step = StepResult(index=0, line=9, text="expect", verdict=V.PASS)
    result = cell(steps=(step,), expectations=(miss("pacs.stored: PatientID: expected 4711, got 9999"),))
    assert said(result)[1:] == [
        "s/one.yaml:9: no pacs.stored within 3 s",
        "did arrive: pacs.stored: PatientID: expected 4711, got 9999",
        "again: modbench run s/one.yaml --seed 7",
    ]


def test_what_the_reason_says_is_not_said_twice() -> None:
    result = cell(reason="Line 9: none; nearest: event 4: too late", expectations=(miss("too late"),))
    assert sum("too late" in line for line in said(result)) == 1


def test_a_fault_of_the_bench_is_seen_beside_any_verdict() -> None:
    for verdict in (V.PASS, V.FAIL):
        assert "the bench was at fault: lost events" in said(cell(verdict, errors=("lost events",)))


def test_a_green_cell_that_turns_the_run_red_says_why() -> None:
    clause = ClauseResult(id="VX-PC-001", verdict=V.PASS, reason="r", expected=KNOWN)
    lines = said(cell(V.PASS, clauses=(clause,)))
    assert lines[1:] == [
        "VX-PC-001: declared DEV-FROM-STD since 2026-05-01, found PASS",
        "again: modbench run s/one.yaml --seed 7",
    ]


def test_what_could_not_run_says_why_and_asks_nobody_to_repeat_it() -> None:
    lines = said(cell(V.NOT_EXERCISED, "needs a cable", not_runnable="needs a cable"))
    assert lines[1:] == ["s/one.yaml:2: needs a cable"]


def test_a_live_row_says_what_is_awaited_and_goes_when_the_cell_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.progress.time.monotonic", lambda: 1000.0)
    console = Console(file=io.StringIO(), width=200, highlight=False, color_system=None)
    watch = LiveObserver(console, 2)
    one = SimpleNamespace(id="one")
    watch.progress(one, {"phase": "of a cell that nobody started"})
    watch.started(one)
    watch.progress(one, {"await": "pacs.stored", "within": 10.0})
    with console.capture() as shown:
        console.print(watch._render())
    assert "awaiting pacs.stored  0.0 of 10 s" in shown.get()
    assert "0 of 2 cells" in shown.get()
    with console.capture() as shown:
        watch.finished(one, cell(V.PASS))
        console.print(watch._render())
    assert "1 of 2 cells" in shown.get()
    assert "awaiting" not in shown.get()


def test_a_file_gets_plain_lines_with_a_count() -> None:
    file = io.StringIO()
    watch = observer(Console(file=file, width=80, highlight=False), 2)
    assert isinstance(watch, PlainObserver)
    with watch:
        watch.finished(SimpleNamespace(id="one[link=10]"), cell(V.PASS))
    assert file.getvalue() == "[1/2] PASS          one[link=10]  1.2 s\n"
