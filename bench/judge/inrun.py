"""The clauses of a cell that has just ended, in the worker, after its network is gone.

Rules of this file:

* Whatever goes wrong here is the bench's fault and is told as that; it never costs the cell's own result.
* Statement and declared deviations are read once for all cells of a worker.
"""

from __future__ import annotations

import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path

from bench.judge.cellwise import judge_cell
from bench.judge.deviations import Deviation, default_file, load_deviations
from bench.judge.engine import known_ids
from bench.resultmodel import CellResult
from bench.statements import BUNDLED, load
from bench.statements.model import Statement
from bench.verdict import Verdict, combine


def clauses(result: CellResult, folder: Path, product: str) -> CellResult:
    """Return the result of a cell with the verdicts of the clauses that its capture touches."""
    if product not in BUNDLED:
        return result
    try:
        return judge_cell(result, folder, _statement(product), deviations=_deviations(product))
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
def _deviations(product: str) -> tuple[Deviation, ...]:
    statement = _statement(product)
    file = default_file(product)
    return load_deviations(file, known_ids(statement), statement.errata) if file is not None else ()


__all__ = ["clauses"]
