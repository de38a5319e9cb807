"""The run folder: written cell by cell, collected into the one model behind every report.

Rules of this file:

* A run folder holds ``run.json`` (:class:`RunInfo`, written when the run starts and again when it ends), and per cell
  ``cells/<folder>/cell.json`` (:class:`CellResult`) beside its journal, capture and objects.  :func:`collect` merges
  them into ``results.json`` (:class:`RunResult`).  Reports read nothing else but the journals and attachments.
* A cell that was planned and left no result is an ERROR, never a hole.
* Names of folders are made here from ids (:func:`cell_folder`), never taken from anything that a peer sent.
* The model itself is in :mod:`bench.resultmodel`; everything of it can be imported from here.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from bench.jsonmodel import ModelError, schema
from bench.resultmodel import (
    FORMAT_VERSION,
    Artefact,
    Capture,
    CellResult,
    ClauseResult,
    ClauseSummary,
    Evidence,
    ExcerptLine,
    ExpectationResult,
    Expected,
    FaultResult,
    HostFacts,
    JournalSeal,
    LinkFidelity,
    NearMiss,
    PhaseTime,
    PlannedCell,
    Product,
    RunInfo,
    RunResult,
    StepResult,
    StrictnessFinding,
    SutInfo,
    VolumeFidelity,
    WireFacts,
    in_words,
)
from bench.verdict import Verdict, combine

__all__ = [
    "FORMAT_VERSION",
    "LIBRARIES",
    "MAX_FOLDER",
    "Artefact",
    "Capture",
    "CellResult",
    "ClauseResult",
    "ClauseSummary",
    "Evidence",
    "ExcerptLine",
    "ExpectationResult",
    "Expected",
    "FaultResult",
    "HostFacts",
    "JournalSeal",
    "LinkFidelity",
    "NearMiss",
    "PhaseTime",
    "PlannedCell",
    "Product",
    "ResultsError",
    "RunInfo",
    "RunResult",
    "StepResult",
    "StrictnessFinding",
    "SutInfo",
    "VolumeFidelity",
    "WireFacts",
    "build",
    "cell_dir",
    "cell_folder",
    "collect",
    "exit_code",
    "host_facts",
    "in_words",
    "library_versions",
    "not_run",
    "portable_path",
    "read_cell",
    "read_results",
    "read_run",
    "results_schema",
    "section_of",
    "summarise_clauses",
    "write_cell",
    "write_run",
]


class ResultsError(Exception):
    """A run folder cannot be read; the message names the file."""


_SAFE: Final = re.compile(r"[^A-Za-z0-9._=-]+")
MAX_FOLDER: Final = 96
"""Longest folder name that is made from an id; Windows allows 260 characters for a whole path."""


def cell_folder(cell_id: str) -> str:
    """Return the folder name of a cell id: readable, safe everywhere, different for different ids."""
    name = _SAFE.sub("-", cell_id).strip("-.")
    if name and name == cell_id and len(name) <= MAX_FOLDER and name == name.lower():
        return name
    # Changed, too long, or apart from another id by case only (Windows, macOS): the id's hash keeps them
    # apart.
    digest = hashlib.sha256(cell_id.encode(errors="replace")).hexdigest()
    return f"{name[: MAX_FOLDER - 9] or 'cell'}-{digest[:8]}"


def cell_dir(run_dir: str | os.PathLike[str], cell_id: str) -> Path:
    """Make (if needed) and return the folder of a cell inside a run folder."""
    folder = Path(run_dir) / "cells" / cell_folder(cell_id)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old or the new file, never half of one."""
    text = json.dumps(value, ensure_ascii=True, indent=1, allow_nan=False) + "\n"
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="ascii", newline="\n")
    partial.replace(path)


def _read(path: Path) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{path.name}: {error}") from error
    version = value.get("format_version", FORMAT_VERSION) if isinstance(value, dict) else None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ResultsError(
            f"{path.name}: format version {version!r}; this program reads up to {FORMAT_VERSION}"
        )
    return value


def portable_path(file: str) -> str:
    """Return a scenario's file as results name it: without the folders of the machine that it was run on.

    A relative path stays what it is; an absolute one begins at the current folder or at ``scenarios``.
    """
    parts = file.replace("\\", "/").split("/")
    if parts[0] not in ("", "~") and ":" not in parts[0]:
        return file
    try:
        return Path(file).relative_to(Path.cwd()).as_posix()
    except (OSError, ValueError):
        at = max((i for i, part in enumerate(parts) if part == "scenarios"), default=max(len(parts) - 2, 0))
        return "/".join(parts[at:])


def write_run(run_dir: str | os.PathLike[str], info: RunInfo) -> Path:
    """Write run.json; at the start of a run, and again with ``end`` when it is over."""
    folder = Path(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    planned = tuple(replace(plan, file=portable_path(plan.file)) for plan in info.planned)
    _write(folder / "run.json", replace(info, planned=planned).to_json())
    return folder / "run.json"


def write_cell(run_dir: str | os.PathLike[str], cell: CellResult) -> Path:
    """Write the cell.json of a cell into its folder."""
    path = cell_dir(run_dir, cell.id) / "cell.json"
    cell = replace(cell, file=portable_path(cell.file))
    _write(path, {"format_version": FORMAT_VERSION, **cell.to_json()})
    return path


def read_run(run_dir: str | os.PathLike[str]) -> RunInfo:
    """Read run.json.

    Raises:
        ResultsError: there is none, or it does not fit the model.
    """
    try:
        return RunInfo.from_json(_read(Path(run_dir) / "run.json"), "run")
    except ModelError as error:
        raise ResultsError(f"run.json: {error}") from error


def read_cell(path: str | os.PathLike[str]) -> CellResult:
    """Read one cell.json.

    Raises:
        ResultsError: it cannot be read or does not fit the model.
    """
    try:
        return CellResult.from_json(_read(Path(path)), "cell")
    except ModelError as error:
        raise ResultsError(f"{Path(path).parent.name}/cell.json: {error}") from error


def _lost(plan: PlannedCell, why: str) -> CellResult:
    return CellResult(
        id=plan.id,
        scenario=plan.scenario,
        file=plan.file,
        line=plan.line,
        title=plan.title,
        verdict=Verdict.ERROR,
        reason=why,
        seconds=0.0,
        errors=(why,),
    )


def _cells(folder: Path, info: RunInfo) -> Iterator[CellResult]:
    """Yield the cells in the order of the plan, then those that nobody planned."""
    found: dict[str, CellResult] = {}
    broken: dict[str, str] = {}
    for path in sorted((folder / "cells").glob("*/cell.json")):
        try:
            cell = read_cell(path)
        except ResultsError as error:
            broken[path.parent.name] = str(error)
        else:
            if path.parent.name == cell_folder(cell.id):
                found[cell.id] = cell
            else:  # a copy must not hide the result of the cell that it names
                broken[path.parent.name] = f"it says that it is {cell.id}, whose folder this is not"
    for plan in info.planned:
        why = broken.pop(cell_folder(plan.id), None)
        if plan.id in found:
            yield found.pop(plan.id)
        elif why:
            yield _lost(plan, f"The result of this cell cannot be read: {why}.")
        else:
            yield _lost(
                plan,
                "This cell left no result: it was not started, or its sandbox ended before it could write.",
            )
    yield from found.values()
    for name, why in broken.items():
        plan = PlannedCell(id=name, scenario=name, file=f"cells/{name}/cell.json", line=1)
        yield _lost(plan, f"The result of this cell cannot be read: {why}.")


UNTOUCHED: Final = "a scenario says that it covers this, but nothing exercised it"
_NUMBER: Final = re.compile(r"-\d+[a-z]?$")


def section_of(clause_id: str) -> str:
    """Return the section part of a clause id: ``VX-STO-DX-012`` is in ``VX-STO-DX``."""
    return _NUMBER.sub("", clause_id)


def summarise_clauses(cells: Iterable[CellResult]) -> tuple[ClauseSummary, ...]:
    """Combine the clauses over all cells, in the order of their ids.

    A scenario vouches for what it covers once its whole matrix ran: a smoke run may leave out the very combination.
    """
    touched: dict[str, list[tuple[ClauseResult, str]]] = {}
    scenarios: dict[tuple[str, str], list[CellResult]] = {}
    for cell in cells:
        if cell.not_runnable is None:
            scenarios.setdefault((cell.file, cell.scenario), []).append(cell)
        for clause in cell.clauses:
            touched.setdefault(clause.id, []).append((clause, cell.id))
    covered: set[str] = set()
    in_part: dict[str, str] = {}
    for (_, name), ran in scenarios.items():
        claims = {clause_id for cell in ran for clause_id in cell.covers}
        of = ran[0].combinations
        if len(ran) >= of:
            covered |= claims
        else:
            text = f"not in what ran of {name} ({len(ran)} of {of} combinations; --matrix-mode full runs all)"
            in_part |= dict.fromkeys(claims, text)
    summaries = []
    for clause_id, hits in sorted(touched.items()):
        verdict = combine(clause.verdict for clause, _ in hits)
        hits.sort(key=lambda hit: hit[0].verdict is not verdict)  # stable: the deciding cells first
        worst = hits[0][0]
        if verdict is Verdict.NOT_EXERCISED and clause_id in covered:
            # A scenario vouches for it: that must not look as if nobody had cared.
            verdict = Verdict.INCONCLUSIVE
            worst = replace(worst, reason=f"{UNTOUCHED}: {worst.reason}")
        elif verdict is Verdict.NOT_EXERCISED and clause_id in in_part:
            worst = replace(worst, reason=f"{worst.reason}: {in_part[clause_id]}")
        summaries.append(
            ClauseSummary(
                id=clause_id,
                verdict=verdict,
                section=worst.section or section_of(clause_id),
                reason=worst.reason,
                title=next((clause.title for clause, _ in hits if clause.title), None),
                cells=tuple(dict.fromkeys(cell_id for _, cell_id in hits)),
                evidence=worst.evidence,
                expected=worst.expected,
                remarks=tuple(dict.fromkeys(text for clause, _ in hits for text in clause.remarks))[:20],
                text=next((clause.text for clause, _ in hits if clause.text), None),
                reading=next((clause.reading for clause, _ in hits if clause.reading), None),
                cite=next((clause.cite for clause, _ in hits if clause.cite), None),
                by=worst.by,
            )
        )
    return tuple(summaries)


def exit_code(run: RunResult) -> int:
    """Return what modbench ends with (DESIGN, "Exit codes").

    2: the bench is at fault somewhere, also beside a FAIL; else 1: a verdict that nobody declared (FAIL,
    INCONCLUSIVE, a declared deviation that passes); else 3: nothing was runnable here; else 0.
    """
    return _exit_code(run.run, run.cells)


def _exit_code(info: RunInfo, cells: tuple[CellResult, ...]) -> int:
    if info.errors or any(cell.bench_at_fault for cell in cells):
        return 2
    if any(cell.unexpected for cell in cells):
        return 1
    if all(cell.verdict in (Verdict.NOT_EXERCISED, Verdict.NA) for cell in cells):
        return 3
    return 0


def build(info: RunInfo, cells: Iterable[CellResult]) -> RunResult:
    """Combine a run and its cells; every clause of the run's statement is there, also what nothing touched."""
    cells = tuple(cells)
    clauses = summarise_clauses(cells)
    if info.statement is not None:
        from bench.judge.table import complete

        clauses = complete(clauses, info.statement)
    verdict = combine(
        [*(cell.verdict for cell in cells), *([Verdict.ERROR] if info.errors else ())],
    )
    counts = {v.value: sum(cell.verdict is v for cell in cells) for v in Verdict}
    return RunResult(
        run=info,
        verdict=verdict,
        counts=counts,
        exit_code=_exit_code(info, cells),
        clauses=clauses,
        cells=cells,
    )


def collect(run_dir: str | os.PathLike[str], write: bool = True) -> RunResult:
    """Merge run.json and every cell.json of a run folder, and write results.json (unless ``write`` is false).

    A planned cell without a readable result becomes ERROR.

    Raises:
        ResultsError: there is no readable run.json.
    """
    folder = Path(run_dir)
    info = read_run(folder)
    result = build(info, _cells(folder, info))
    if write:
        _write(folder / "results.json", result.to_json())
    return result


def read_results(path: str | os.PathLike[str]) -> RunResult:
    """Read a results.json.

    Raises:
        ResultsError: it cannot be read or does not fit the model.
    """
    try:
        return RunResult.from_json(_read(Path(path)), "results")
    except ModelError as error:
        raise ResultsError(f"{Path(path).name}: {error}") from error


def results_schema() -> dict[str, Any]:
    """Return the JSON Schema of results.json (committed as bench/report/results.schema.json)."""
    return schema(RunResult, "Modality Bench results", f"results.json, format version {FORMAT_VERSION}")


LIBRARIES: Final = (
    "modality-bench",
    "pydicom",
    "pynetdicom",
    "numpy",
    "scapy",
    "pyserial",
    "pyroute2",
    "Jinja2",
    "Pillow",
)
"""Distributions whose versions can change a result."""


def library_versions() -> dict[str, str]:
    """Return the installed versions of :data:`LIBRARIES`."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def host_facts() -> HostFacts:
    """Return what this machine is, without its name."""
    return HostFacts(
        system=platform.system(),
        kernel=platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        cpu_count=os.cpu_count() or 1,
    )


def not_run(plan: PlannedCell, why: str) -> CellResult:
    """Return the result of a cell that cannot run here, and why."""
    return replace(_lost(plan, why), verdict=Verdict.NOT_EXERCISED, errors=(), not_runnable=why)
