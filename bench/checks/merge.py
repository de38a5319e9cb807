"""Findings of the same kind told once: a capture of ten thousand messages needs no hundred thousand PASSes.

Rules of this file: only PASS is merged; what speaks against the SUT, and remarks, are told one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding
from bench.verdict import Verdict

if TYPE_CHECKING:
    from bench.checks.case import Case

KEPT: Final = 3
"""PASSes of one id that are told each with its evidence."""


def merged(function: Callable[[Case], Iterable[Finding]]) -> Callable[[Case], Iterator[Finding]]:
    """Wrap a check: of each id the first PASSes are told, the others counted in one more."""

    @wraps(function)
    def wrapped(case: Case) -> Iterator[Finding]:
        counts: dict[str, int] = {}
        for finding in function(case):
            if finding.verdict is Verdict.PASS and not finding.remark:
                count = counts.get(finding.id, 0) + 1
                counts[finding.id] = count
                if count > KEPT:
                    continue
            yield finding
        for id, count in counts.items():
            if count > KEPT:
                more = count - KEPT
                plural = "s" if more > 1 else ""
                yield Finding(id, Verdict.PASS, f"kept on {more} further occasion{plural}")

    return wrapped
