"""``modbench judge``: a capture, a run, a cell, or a removable medium by a conformance statement, with no bench at all.

Rules of this file:

* Everything that can be wrong with what the user gave becomes one sentence on standard error and exit code 2.
* With ``--json`` a file is written also when nothing could be judged: it says why.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.checks.case import Sut, SutConfig
from bench.judge.config import load_config
from bench.judge.deviations import Deviation, default_file, load_deviations
from bench.judge.engine import facts, judge_capture, known_ids
from bench.judge.inputs import CaptureInput, InputError, MediumInput, RunInput, config_of, find
from bench.judge.medium import NotAMedium, judge_medium, read_medium
from bench.judge.output import (
    as_cell,
    as_run,
    body,
    head,
    json_of,
    with_clauses,
    write_folder,
    write_json,
)
from bench.judge.who import NoSut, choose
from bench.resultmodel import CellResult, RunInfo, WireFacts
from bench.results import ResultsError, build
from bench.scenario.problems import InputErrors
from bench.statements import BUNDLED, load
from bench.statements.model import Statement
from bench.verdict import Verdict
from bench.witness import Capture

EVERY_S: Final = 0.2
QUIET_S: Final = 0.7
"""A capture that is read faster needs no progress."""


def run(options: argparse.Namespace) -> int:
    """Judge; returns the exit code (DESIGN, "Exit codes")."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    try:
        return _run(options, console)
    except (InputError, InputErrors, ResultsError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except Exception as error:
        # What a capture holds must never end in a traceback; that it did is a fault of this program, said as one.
        place = traceback.extract_tb(error.__traceback__)[-1]
        file = place.filename.replace("\\", "/").rsplit("/", 1)[-1]
        why = f"the judge failed at {file}:{place.lineno}: {type(error).__name__}: {error}"
        print(why, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace, console: Any) -> int:
    found = find(options.paths)
    if isinstance(found, MediumInput):
        if not options.statement:
            raise InputError(f"a medium needs --statement: {', '.join(BUNDLED)}, or a file")
        return _medium(found, load(options.statement), options, console)
    if isinstance(found, CaptureInput):
        if not options.statement:
            raise InputError(f"a capture needs --statement: {', '.join(BUNDLED)}, or a file")
        return _captures(found, load(options.statement), options, console)
    statement = load(options.statement) if options.statement else _statement_of(found)
    return _cells(found, statement, options, console)


def _statement_of(found: RunInput) -> Statement:
    """The statement that a run was made for."""
    info = found.info
    if info is not None and info.statement in BUNDLED:
        return load(str(info.statement))
    if info is not None:
        for name in BUNDLED:
            statement = load(name)
            if statement.product.name == info.product.name:
                return statement
    raise InputError(f"{found.folder}: it does not say which product was tested: --statement is needed")


def _deviations(options: argparse.Namespace, statement: Statement, reference: bool) -> tuple[Deviation, ...]:
    ids = known_ids(statement)
    found: list[Deviation] = []
    if options.deviations is not None:
        found += load_deviations(options.deviations, ids, statement.errata)
    file = default_file(statement.name) if reference else None
    if file is not None:
        found += load_deviations(file, ids, statement.errata)
    return tuple(found)


# Captures


def _captures(found: CaptureInput, statement: Statement, options: argparse.Namespace, console: Any) -> int:
    from bench import witness

    config = load_config(options.config, statement) if options.config else SutConfig()
    deviations = _deviations(options, statement, bool(config.get("reference", False)))
    began = time.perf_counter()
    try:
        capture = witness.read(*found.files, progress=_Progress())
    except witness.NotACapture as error:
        _write_error(options, statement, (), str(error))
        raise InputError(str(error)) from error
    try:
        sut = choose(capture, statement, options.who, config)
    except NoSut as error:
        only = facts(capture, Sut())
        said = "\n".join([str(error), *_conversations(capture), *only.problems[:5]])
        _write_error(options, statement, (only,), said)
        raise InputError(said) from error
    judged = judge_capture(capture, statement, sut, config=config, deviations=deviations)
    read = judged.facts
    if options.second_witness:
        read = _second_witness(found.files, capture, read)
    read = replace(read, seconds=time.perf_counter() - began)
    name = read.files[0].split(".")[0] if len(read.files) == 1 else f"{len(read.files)} captures"
    for line in head(statement, read):
        console.print(line)
    console.print()
    _print(console, judged.clauses)
    if options.json:
        write_json(options.json, json_of(statement, judged.clauses, [read]))
    cell = as_cell(name, statement, judged.clauses, read)
    if read.errors and cell.verdict is not Verdict.FAIL:
        cell = replace(cell, verdict=Verdict.ERROR, reason=f"The bench failed: {read.errors[0]}")
    info = as_run(name, statement, read, getattr(options, "command_line", None), config)
    return _finish(options, console, info, [(cell, None)])


def _medium(found: MediumInput, statement: Statement, options: argparse.Namespace, console: Any) -> int:
    config = load_config(options.config, statement) if options.config else SutConfig()
    deviations = _deviations(options, statement, bool(config.get("reference", False)))
    began = time.perf_counter()
    try:
        medium = read_medium(found.path)
    except NotAMedium as error:
        _write_error(options, statement, (), str(error))
        raise InputError(str(error)) from error
    judged = judge_medium(medium, statement, config=config, deviations=deviations)
    read = replace(judged.facts, seconds=time.perf_counter() - began)
    for line in head(statement, read):
        console.print(line)
    console.print()
    _print(console, judged.clauses)
    if options.json:
        write_json(options.json, json_of(statement, judged.clauses, [read]))
    name = medium.name.split(".")[0] or "medium"
    title = f"A removable medium judged by the statement of {statement.product.name}"
    cell = replace(as_cell(name, statement, judged.clauses, read), title=title)
    info = as_run(name, statement, read, getattr(options, "command_line", None), config)
    info = replace(info, remarks=("Made from a removable medium: it may name patients.",))
    return _finish(options, console, info, [(cell, None)])


def _conversations(capture: Any) -> list[str]:
    """What else was spoken in a capture without DICOM."""
    return [
        f"frame {s.first_frame}: {s.opener} to {s.other}: {s.what}, {s.bytes} bytes"
        for s in capture.streams[:10]
    ]


def _write_error(
    options: argparse.Namespace, statement: Statement, read: Iterable[WireFacts], why: str
) -> None:
    if options.json:
        write_json(options.json, json_of(statement, (), read, error=why))


def _second_witness(files: Sequence[Path], capture: Capture, read: WireFacts) -> WireFacts:
    """Let tshark count, and add what it says."""
    from bench.checks import second_witness

    try:
        counts = second_witness.check_capture(capture, *files)
    except second_witness.WitnessError as error:
        return replace(read, errors=(*read.errors, f"second witness: {error}"))
    remarks = tuple(f"excused: {text}" for text in counts.excused)
    if not counts.disagreements and not counts.excused:
        remarks += (f"Second witness: tshark counts the same {counts.total}.",)
    return replace(read, errors=(*read.errors, *counts.disagreements), remarks=(*read.remarks, *remarks))


# Runs


def _cells(found: RunInput, statement: Statement, options: argparse.Namespace, console: Any) -> int:
    from bench import witness
    from bench.judge.cellwise import combined, judge_cell, unjudged

    given = load_config(options.config, statement) if options.config else None
    results: list[tuple[CellResult, Path | None]] = []
    for number, cell in enumerate(found.cells, 1):
        config = given
        if config is None and not cell.trouble:
            config = config_of(cell.folder, found.info, statement.name)
        reference = bool(config.get("reference", False)) if config is not None else False
        result = judge_cell(
            cell.result,
            cell.folder,
            statement,
            info=found.info,
            config=config,
            deviations=_deviations(options, statement, reference),
            who=options.who,
            progress=_Progress(f"cell {number} of {len(found.cells)} "),
        )
        if options.second_witness and result.wire is not None and result.wire.messages:
            capture = witness.read(cell.capture)
            wire = _second_witness([cell.capture], capture, result.wire)
            result = combined(unjudged(result), result.clauses, wire)
        results.append((result, cell.folder))
        console.print(f"{result.verdict.value:<13} {result.id}", style=_style(result.verdict))
        if not result.verdict.green:
            console.print(f"{'':<14}{result.reason}")
    info = with_clauses(found.info or _without_run(found, statement), statement)
    cells = [cell for cell, _ in results]
    run = build(info, cells)
    console.print()
    _print(console, run.clauses)
    if options.json:
        wires = [cell.wire for cell in cells if cell.wire is not None]
        write_json(options.json, json_of(statement, run.clauses, wires, cells))
    return _finish(options, console, info, results)


def _without_run(found: RunInput, statement: Statement) -> RunInfo:
    """A single cell's folder whose run is gone."""
    empty = WireFacts(
        files=(), frames=0, bytes=0, associations=0, messages=0, sut="", sut_reason="a cell without its run"
    )
    info = as_run(found.folder.name, statement, empty, None)
    return replace(info, origin="run", remarks=(), seed=found.cells[0].result.seed)


def _finish(
    options: argparse.Namespace, console: Any, info: RunInfo, cells: list[tuple[CellResult, Path | None]]
) -> int:
    if options.html:
        _check_folder(options.html, cells)
        write_folder(options.html, info, cells)
        console.print(f"report: {options.html / 'index.html'}")
    return build(info, [cell for cell, _ in cells]).exit_code


def _check_folder(folder: Path, cells: list[tuple[CellResult, Path | None]]) -> None:
    """A report never goes over the run that it was made from."""
    target = folder.resolve()
    for _, source in cells:
        if source is not None and (source.resolve() == target or target in source.resolve().parents):
            raise InputError(f"--html {folder}: this is the run that is judged; name another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--html {folder}: this is no folder")


# Terminal


def _print(console: Any, rows: Sequence[Any]) -> None:
    for verdict, line in body(rows):
        console.print(line, style=_style(verdict))


_STYLES: Final = {
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold magenta",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.DEV_FROM_STD: "yellow",
    Verdict.PASS: "green",
}


def _style(verdict: Verdict | None) -> str:
    return _STYLES.get(verdict, "") if verdict is not None else ""


class _Progress:
    """A line on the terminal that says how far a long capture was read."""

    def __init__(self, label: str = "") -> None:
        self._label = label
        self._began = self._last = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Say it, not too often, and clear the line at the end."""
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self._began < QUIET_S and not self._shown):
            return
        if done >= total:
            if self._shown:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
                self._shown = False
            return
        if now - self._last >= EVERY_S:
            self._last, self._shown = now, True
            share = 100 * done // max(total, 1)
            print(f"\r{self._label}reading {share} %", end="", file=sys.stderr, flush=True)


__all__ = ["run"]
