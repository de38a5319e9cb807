"""Which cells to run: paths, ids, ``-k`` expressions, matrix filters, last night's failures.

Rules of this file:

* Every ``*.yaml`` below a given folder is a scenario, except in folders named in :data:`NOT_SCENARIOS`: a file that
  cannot be read is an error and is never skipped, because a scenario that silently does not run looks like a pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.results import ResultsError, read_results
from bench.scenario import Cell, Problem, ScenarioErrors, load

NOT_SCENARIOS: Final = frozenset({"worklists", "testbeds", "schema"})
HOME: Final = Path("scenarios")


class SelectionError(Exception):
    """What was asked for does not exist, or is written wrongly."""


@dataclass(frozen=True)
class Selection:
    """What the user asked to run."""

    targets: Sequence[str] = ()
    keyword: str = ""
    mode: str = "smoke"
    filters: Mapping[str, str] = field(default_factory=dict)
    only: frozenset[str] | None = None


def scenario_files(targets: Iterable[str]) -> Iterator[Path]:
    """Yield the scenario files below files and folders, sorted.

    Raises:
        SelectionError: a target does not exist.
    """
    for target in targets:
        path = Path(target)
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from (
                p
                for p in sorted(path.rglob("*.yaml"))
                if not NOT_SCENARIOS & set(p.relative_to(path).parent.parts)
            )
        else:
            raise SelectionError(f"no such file, folder or scenario: {target}")


def select(selection: Selection) -> list[Cell]:
    """Return the cells to run, in the order of files and matrices.

    Raises:
        ScenarioErrors: files with faults; all faults of all files at once.
        SelectionError: unknown target, bad expression or filter.
    """
    paths, ids = _split(selection.targets)
    problems: list[Problem] = []
    cells: list[Cell] = []
    wanted = dict.fromkeys(ids)
    seen: dict[str, str] = {}
    for path in dict.fromkeys([*scenario_files(paths), *(scenario_files([str(HOME)]) if ids else ())]):
        try:
            scenario = load(path)
        except ScenarioErrors as errors:
            problems += errors.problems
            continue
        if scenario.name in seen:
            problems.append(
                Problem(
                    scenario.file,
                    scenario.line,
                    f"scenario {scenario.name!r} is also in {seen[scenario.name]}",
                    "",
                )
            )
        seen[scenario.name] = scenario.file
        if any(_inside(path, p) for p in paths):
            cells += scenario.cells(mode=selection.mode, filters=dict(selection.filters))
        if ids:
            cells += _by_id(scenario.cells(mode="full"), scenario.name, selection, wanted)
    if problems:
        raise ScenarioErrors(problems)
    missing = [i for i, found in wanted.items() if found is None]
    if missing:
        raise SelectionError(f"no such file, folder or scenario: {missing[0]}")
    cells = list({cell.id: cell for cell in cells}.values())
    if selection.keyword:
        matches = compile_keyword(selection.keyword)
        cells = [c for c in cells if matches(f"{c.id} {c.scenario.file} {' '.join(c.scenario.marks)}")]
    if selection.only is not None:
        cells = [c for c in cells if c.id in selection.only]
    return cells


def _split(targets: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part paths from ids: an id has a bracket or is the name of no file or folder."""
    paths = [t for t in targets if Path(t).exists()]
    ids = [t for t in targets if not Path(t).exists()]
    for name in ids:
        if "/" in name.split("[")[0] or name.split("[")[0].endswith(".yaml"):
            raise SelectionError(f"no such file, folder or scenario: {name}")
    if not targets:
        if not HOME.is_dir():
            raise SelectionError("no scenarios folder here: name a file, a folder or a scenario")
        paths = [str(HOME)]
    return paths, ids


def _inside(path: Path, target: str) -> bool:
    resolved, wanted = path.resolve(), Path(target).resolve()
    return resolved == wanted or wanted in resolved.parents


def _by_id(
    cells: Sequence[Cell], name: str, selection: Selection, wanted: dict[str, object]
) -> Iterator[Cell]:
    for target in wanted:
        if target == name:
            wanted[target] = True
            yield from cells[0].scenario.cells(mode=selection.mode, filters=dict(selection.filters))
        for cell in cells:
            if cell.id == target:
                wanted[target] = True
                yield cell


_TOKEN: Final = re.compile(r"\s*(\(|\)|[^\s()]+)")


def compile_keyword(expression: str) -> _Keyword:
    """Compile a ``-k`` expression: words joined by ``and``, ``or``, ``not`` and brackets; a word matches as a
    part of the cell's id, file or marks, without regard to case.

    Raises:
        SelectionError: the expression is not complete.
    """
    return _Keyword(expression)


class _Keyword:
    """Recursive descent over the few words of the grammar."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self("")  # a fault shows now, not at the first cell

    def __call__(self, text: str) -> bool:
        self._tokens = _TOKEN.findall(self._expression)
        self._text = text.lower()
        value = self._or()
        if self._tokens:
            raise SelectionError(f"-k {self._expression!r}: unexpected {self._tokens[0]!r}")
        return value

    def _or(self) -> bool:
        value = self._and()
        while self._tokens and self._tokens[0] == "or":
            self._tokens.pop(0)
            right = self._and()
            value = value or right
        return value

    def _and(self) -> bool:
        value = self._not()
        while self._tokens and self._tokens[0] == "and":
            self._tokens.pop(0)
            right = self._not()
            value = value and right
        return value

    def _not(self) -> bool:
        if not self._tokens:
            raise SelectionError(f"-k {self._expression!r}: something is missing at the end")
        token = self._tokens.pop(0)
        if token == "not":  # noqa: S105 (a word of the grammar)
            return not self._not()
        if token == "(":  # noqa: S105
            value = self._or()
            if not self._tokens or self._tokens.pop(0) != ")":
                raise SelectionError(f"-k {self._expression!r}: a bracket is not closed")
            return value
        if token in ("and", "or", ")"):
            raise SelectionError(f"-k {self._expression!r}: unexpected {token!r}")
        return token.lower() in self._text


def last_failed(out: Path) -> frozenset[str]:
    """Return the ids of the cells that were not green in the newest run below ``out``.

    Raises:
        SelectionError: there is no readable run.
    """
    for results in sorted(out.glob("*/results.json"), reverse=True):
        try:
            run = read_results(results)
        except ResultsError:
            continue
        return frozenset(cell.id for cell in run.cells if not cell.verdict.green)
    raise SelectionError(f"no earlier run below {out}")
