"""The one model behind every report: what was run, on what, and what came out of it.

Rules of this file:

* A run folder holds ``run.json`` (:class:`RunInfo`, written when the run starts and again when it ends), and
  per cell ``cells/<folder>/cell.json`` (:class:`CellResult`) beside its journal, capture and objects.
  :func:`collect` merges them into ``results.json`` (:class:`RunResult`).  Reports read nothing else but the
  journals and attachments.
* A cell that was planned and left no result is an ERROR, never a hole.
* ``reason`` is one sentence for a person.  Times are seconds, stamps ISO 8601 with an offset, ``seq`` numbers
  of journal events, paths relative to the cell's folder with ``/``.
* Who ran it is named by the tester; no host name, no user name, no machine path is kept.
* Names of folders are made here from ids (:func:`cell_folder`), never taken from anything that a peer sent.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from bench.jsonmodel import Model, ModelError, schema
from bench.verdict import Verdict, combine

FORMAT_VERSION: Final = 1
"""Of run.json, cell.json and results.json; raised only when an old reader would misunderstand."""


class ResultsError(Exception):
    """A run folder cannot be read; the message names the file."""


@dataclass(frozen=True, kw_only=True)
class Product(Model):
    """The system under test: name, serial number, software version, and the edition of its statement."""

    name: str
    serial: str | None = None
    version: str | None = None
    statement: str | None = None


@dataclass(frozen=True, kw_only=True)
class SutInfo(Model):
    """How the bench reached the SUT: adapter (reference, operator, command, http), AE title and address."""

    adapter: str
    description: str | None = None
    ae_title: str | None = None
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class HostFacts(Model):
    """What the bench ran on; no host name."""

    system: str
    kernel: str
    machine: str
    python: str
    cpu_count: int


@dataclass(frozen=True, kw_only=True)
class Expected(Model):
    """A known deviation that was declared: the verdict expected, why, since when, and who answers for it."""

    verdict: Verdict
    reason: str
    date: str
    owner: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedCell(Model):
    """A cell that the run set out to do."""

    id: str
    scenario: str
    file: str
    line: int
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class PhaseTime(Model):
    """Where time went: a named phase, its seconds, and when it began (seconds after the cell's start)."""

    name: str
    seconds: float
    start_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class StepResult(Model):
    """One step of the scenario as it was done; ``start_seq`` and ``end_seq`` are its journal events."""

    index: int
    line: int
    text: str
    verdict: Verdict
    seconds: float | None = None
    message: str | None = None
    start_seq: int | None = None
    end_seq: int | None = None


@dataclass(frozen=True, kw_only=True)
class NearMiss(Model):
    """An event that almost matched, and why it did not."""

    seq: int
    why: str


@dataclass(frozen=True, kw_only=True)
class ExpectationResult(Model):
    """One expectation: what was asked (``within_s``, ``count_expected``), what was measured, and the margin
    between.
    """

    line: int
    text: str
    verdict: Verdict
    index: int = 0
    what: str = "expect"
    within_s: float | None = None
    measured_s: float | None = None
    margin_s: float | None = None
    count_expected: int | None = None
    count_seen: int | None = None
    matched: tuple[int, ...] = ()
    nearest: tuple[NearMiss, ...] = ()
    message: str | None = None
    clauses: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Return the text without the word that ``what`` says already."""
        return self.text.removeprefix(f"{self.what} ").removeprefix(f"{self.what}: ")


@dataclass(frozen=True, kw_only=True)
class StrictnessFinding(Model):
    """An event that no expectation matched and no ``allow:`` names."""

    seq: int
    kind: str
    message: str


def in_words(value: Any) -> str:
    """Return what a fault says of its place (an object, several of them) as words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(filter(None, map(in_words, value)))
    return "" if value is None else str(value)


@dataclass(frozen=True, kw_only=True)
class FaultResult(Model):
    """A fault that was armed; without ``fired_seq`` it never happened and the cell is ERROR.

    ``where`` is words; what a simulator tells as an object or a list is put into words here.
    """

    id: str
    host: str
    fault: str
    line: int | None = None
    armed_seq: int | None = None
    fired_seq: int | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        where: Any = self.where
        if where is not None and not isinstance(where, str):
            object.__setattr__(self, "where", in_words(where) or None)


@dataclass(frozen=True, kw_only=True)
class Capture(Model):
    """A packet capture: file, packets in it, packets that it lost."""

    file: str
    packets: int
    dropped: int


@dataclass(frozen=True, kw_only=True)
class LinkFidelity(Model):
    """How real a link was: backend, mode, calibrated goodput, and what this cannot prove."""

    name: str
    backend: str
    mode: str | None = None
    tested: bool = True
    nominal_mbps: float | None = None
    measured_mbps: float | None = None
    cannot_prove: tuple[str, ...] = ()
    capture: Capture | None = None


@dataclass(frozen=True, kw_only=True)
class VolumeFidelity(Model):
    """How real a removable medium was."""

    name: str
    backend: str
    filesystem: str | None = None
    cannot_prove: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence(Model):
    """Where something can be seen: journal event, frame of the capture, PDU, tag, object."""

    seq: int | None = None
    frame: int | None = None
    pdu: int | None = None
    tag: str | None = None
    sha256: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClauseResult(Model):
    """What a cell says about one clause; remarks stand beside the verdict and never change it."""

    id: str
    verdict: Verdict
    reason: str = ""
    section: str | None = None
    title: str | None = None
    evidence: tuple[Evidence, ...] = ()
    remarks: tuple[str, ...] = ()
    expected: Expected | None = None


@dataclass(frozen=True, kw_only=True)
class Artefact(Model):
    """A file in the cell's folder; kind: journal, capture, object, image, truth, film, medium, log, other."""

    kind: str
    path: str
    bytes: int | None = None
    sha256: str | None = None
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class JournalSeal(Model):
    """How the journal ended: number of events, SHA-256 of the last event's line."""

    events: int
    last: str
    sealed: bool = True


@dataclass(frozen=True, kw_only=True)
class CellResult(Model):
    """One scenario with one combination of its matrix."""

    id: str
    scenario: str
    file: str
    line: int
    verdict: Verdict
    reason: str
    seconds: float
    title: str = ""
    axes: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    start: str | None = None
    end: str | None = None
    phases: tuple[PhaseTime, ...] = ()
    steps: tuple[StepResult, ...] = ()
    expectations: tuple[ExpectationResult, ...] = ()
    strictness: tuple[StrictnessFinding, ...] = ()
    faults: tuple[FaultResult, ...] = ()
    links: tuple[LinkFidelity, ...] = ()
    volumes: tuple[VolumeFidelity, ...] = ()
    clauses: tuple[ClauseResult, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    journal: JournalSeal | None = None
    repeat: str = ""
    errors: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    not_runnable: str | None = None
    expected: Expected | None = None

    @property
    def bench_at_fault(self) -> bool:
        """Tell whether anything in the cell is ERROR, also where a FAIL outweighs it in the verdict."""
        parts: Iterable[StepResult | ExpectationResult | ClauseResult] = (
            *self.steps,
            *self.expectations,
            *self.clauses,
        )
        return bool(self.errors) or Verdict.ERROR in (self.verdict, *(part.verdict for part in parts))

    @property
    def unexpected(self) -> bool:
        """Tell whether the product's verdict is one that nobody declared: a red night."""
        return _unexpected(self.verdict, self.expected) or any(
            _unexpected(c.verdict, c.expected) for c in self.clauses if c.expected is not None
        )


def _unexpected(verdict: Verdict, expected: Expected | None) -> bool:
    if expected is not None and verdict is not Verdict.NOT_EXERCISED:
        return verdict is not expected.verdict  # a declared deviation that passes is news, too
    return verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, kw_only=True)
class RunInfo(Model):
    """What is known of a run apart from its cells."""

    run_id: str
    product: Product
    tester: str
    start: str
    seed: int
    sut: SutInfo
    host: HostFacts
    versions: dict[str, str]
    end: str | None = None
    testbed: str | None = None
    command: str | None = None
    planned: tuple[PlannedCell, ...] = ()
    remarks: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True, kw_only=True)
class ClauseSummary(Model):
    """A clause over all cells that touched it: the combined verdict and the cells, worst first."""

    id: str
    verdict: Verdict
    section: str
    reason: str
    title: str | None
    cells: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    expected: Expected | None


@dataclass(frozen=True, kw_only=True)
class RunResult(Model):
    """results.json: a run with everything that reports are made from."""

    run: RunInfo
    verdict: Verdict
    counts: dict[str, int]
    exit_code: int
    clauses: tuple[ClauseSummary, ...]
    cells: tuple[CellResult, ...]
    format_version: int = FORMAT_VERSION

    @property
    def links(self) -> tuple[LinkFidelity, ...]:
        """Return every link of every cell."""
        return tuple(link for cell in self.cells for link in cell.links)


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
            found[cell.id] = cell
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


_NUMBER: Final = re.compile(r"-\d+[a-z]?$")


def section_of(clause_id: str) -> str:
    """Return the section part of a clause id: ``VX-STO-DX-012`` is in ``VX-STO-DX``."""
    return _NUMBER.sub("", clause_id)


def summarise_clauses(cells: Iterable[CellResult]) -> tuple[ClauseSummary, ...]:
    """Combine the clauses over all cells, in the order of their ids."""
    touched: dict[str, list[tuple[ClauseResult, str]]] = {}
    for cell in cells:
        for clause in cell.clauses:
            touched.setdefault(clause.id, []).append((clause, cell.id))
    summaries = []
    for clause_id, hits in sorted(touched.items()):
        verdict = combine(clause.verdict for clause, _ in hits)
        hits.sort(key=lambda hit: hit[0].verdict is not verdict)  # stable: the deciding cells first
        worst = hits[0][0]
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
    """Combine a run and its cells; pure."""
    cells = tuple(cells)
    verdict = combine(
        [*(cell.verdict for cell in cells), *([Verdict.ERROR] if info.errors else ())],
    )
    counts = {v.value: sum(cell.verdict is v for cell in cells) for v in Verdict}
    return RunResult(
        run=info,
        verdict=verdict,
        counts=counts,
        exit_code=_exit_code(info, cells),
        clauses=summarise_clauses(cells),
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
