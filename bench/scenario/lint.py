"""Lint: every fault of many files, without running anything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.scenario.loader import load
from bench.scenario.problems import InputErrors, Problem


def lint(paths: Iterable[Path]) -> list[Problem]:
    """Return every fault of scenario files, also what only shows when all files are seen together."""
    problems: list[Problem] = []
    names: dict[str, str] = {}
    for path in paths:
        try:
            scenario = load(path)
        except InputErrors as errors:
            problems.extend(errors.problems)
            continue
        if scenario.name in names:
            first = names[scenario.name]
            problems.append(
                Problem(str(path), scenario.line, f"scenario '{scenario.name}' is also the name of {first}")
            )
        names.setdefault(scenario.name, str(path))
    return problems
