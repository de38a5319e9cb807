"""The cells of a matrix: which combinations of axis values are run, and what they are called.

Rules of this file:

* The order of cells is the order of the file: the last axis changes fastest.
* Pairwise selection is greedy and deterministic; pairs that no allowed cell has are not asked for.
* Ids are unique and safe as names of files on every system.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

MODES: Final = ("smoke", "pairwise", "full")
MAX_CELLS: Final = 4096

Values = Mapping[str, str]


def key(cell: Values) -> tuple[tuple[str, str], ...]:
    """Return the cell as something hashable."""
    return tuple(cell.items())


def cells(
    axes: Mapping[str, Sequence[str]],
    exclude: Sequence[Mapping[str, Sequence[str]]],
    mode: str,
    filters: Mapping[str, str | Iterable[str]],
) -> list[dict[str, str]]:
    """Return the selected cells; raises ValueError for an unknown mode."""
    if mode not in MODES:
        raise ValueError(f"unknown matrix mode '{mode}': there are {', '.join(MODES)}")
    wanted = {
        axis: {value} if isinstance(value, str) else set(value)
        for axis, value in filters.items()
        if axis in axes
    }
    allowed = []
    for combination in itertools.product(*axes.values()):
        cell = dict(zip(axes, combination, strict=True))
        if any(all(cell[axis] in values for axis, values in rule.items()) for rule in exclude):
            continue
        if all(cell[axis] in values or safe(cell[axis]) in values for axis, values in wanted.items()):
            allowed.append(cell)
            if mode == "smoke":
                break
    return pairwise(allowed) if mode == "pairwise" else allowed


def pairwise(allowed: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return a small part of `allowed` in which every pair of values that occurs in it still occurs."""
    if not allowed or len(allowed[0]) < 2:
        return allowed
    pairs = [set(itertools.combinations(sorted(cell.items()), 2)) for cell in allowed]
    missing = set().union(*pairs)
    chosen: list[int] = []
    while missing:
        best = max(range(len(allowed)), key=lambda number: (len(pairs[number] & missing), -number))
        chosen.append(best)
        missing -= pairs[best]
    return [allowed[number] for number in sorted(chosen)]


def safe(text: str) -> str:
    """Make a text fit for a file name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-") or "default"


def ids(name: str, all_cells: Sequence[Values]) -> dict[tuple[tuple[str, str], ...], str]:
    """Return the id of every cell: ``name[link=100BASE-T,charset=ISO_IR-100]``, or ``name`` without a matrix."""
    out: dict[tuple[tuple[str, str], ...], str] = {}
    taken: set[str] = set()
    for cell in all_cells:
        text = name
        if cell:
            text += "[" + ",".join(f"{axis}={safe(value)}" for axis, value in cell.items()) + "]"
        folded = text.casefold()  # file systems of Windows and macOS do not tell A from a
        if folded in taken or len(text) > 160:
            digest = hashlib.sha256(repr(key(cell)).encode()).hexdigest()[:8]
            text = f"{text[:150]}~{digest}"
            folded = text.casefold()
        taken.add(folded)
        out[key(cell)] = text
    return out
