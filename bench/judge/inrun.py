"""The clauses of a cell that has just ended, in the worker, after its network is gone.

Rules of this file:

* Whatever goes wrong here is the bench's fault and is told as that; it never costs the cell's own result.
* Statement and declared deviations are read once for all cells of a worker.
"""

from __future__ import annotations

import contextlib
import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path

from bench.checks import registry
from bench.judge.cellwise import judge_cell
from bench.judge.deviations import Deviation, default_file, load_deviations
from bench.judge.engine import known_ids
from bench.panel.ask import agree
from bench.resultmodel import CellResult
from bench.statements import BUNDLED, load
from bench.statements.model import Statement
from bench.verdict import Verdict, combine


def clauses(result: CellResult, folder: Path, product: str, deviations: Path | None = None) -> CellResult:
    """Return the result of a cell with the verdicts of the clauses that its capture touches.

    Args:
        result: what the scenario found.
        folder: of the cell.
        product: name of its statement.
        deviations: a file of declared deviations beside those of the reference product.
    """
    if product not in BUNDLED:
        return result
    try:
        declared = declared_for(product, deviations)
        return agree(judge_cell(result, folder, _statement(product), deviations=declared))
    except Exception as error:
        traceback.print_exc()
        why = f"the clauses could not be judged: {type(error).__name__}: {error}"
        verdict = combine([result.verdict, Verdict.ERROR])
        reason = f"The bench failed: {why}" if verdict is Verdict.ERROR else result.reason
        return replace(result, verdict=verdict, reason=reason, errors=(*result.errors, why))


@cache
def _statement(product: str) -> Statement:
    return load(product)


@cache
def declared_for(product: str, file: Path | None = None) -> tuple[Deviation, ...]:
    """Return the deviations that are declared: those of a file, then those of the reference product.

    Raises:
        bench.judge.deviations.DeviationErrors: a file has faults.
    """
    statement = _statement(product)
    files = [each for each in (file, default_file(product)) if each is not None]
    ids = known_ids(statement)
    return tuple(one for each in files for one in load_deviations(each, ids, statement.errata))


def warm(product: str) -> None:
    """Load what judging needs, while a cell runs: the statement and the checks; faults are told when they matter."""
    if product in BUNDLED:
        with contextlib.suppress(Exception):
            declared_for(product)
            registry.checks(product)


__all__ = ["clauses", "declared_for", "warm"]
