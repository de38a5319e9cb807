"""Verdicts, and how many of them become one.

Rules of this file:

* FAIL says that the system under test is wrong, ERROR that the bench is wrong; they are never mixed.
* Verdicts combine in one fixed order (DESIGN, "Verdicts combine"); nothing else decides what is worse.
* Remarks are no verdicts and never appear here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What was found out about a clause, an expectation, a step, a cell or a run."""

    PASS = "PASS"  # noqa: S105
    PASS_ERRATUM = "PASS-ERRATUM"  # noqa: S105
    DEV_FROM_STD = "DEV-FROM-STD"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_EXERCISED = "NOT-EXERCISED"
    NA = "N/A"
    ERROR = "ERROR"

    @property
    def green(self) -> bool:
        """Tell whether a person may lean back: the SUT did what its statement (as read) promises."""
        return self in (Verdict.PASS, Verdict.PASS_ERRATUM, Verdict.DEV_FROM_STD)

    @property
    def meaning(self) -> str:
        """One sentence for the legend of a report."""
        return _MEANING[self]


_MEANING = {
    Verdict.PASS: "The product did what was expected.",
    Verdict.PASS_ERRATUM: "The product did what the statement means; its words hold a known error.",
    Verdict.DEV_FROM_STD: "The product keeps its statement, which departs from the DICOM Standard here.",
    Verdict.FAIL: "The product did not do what was expected.",
    Verdict.INCONCLUSIVE: "What was seen allows no judgement.",
    Verdict.NOT_EXERCISED: "Nothing in the run touched it.",
    Verdict.NA: "It does not apply to this product or configuration.",
    Verdict.ERROR: "The bench itself is at fault; nothing is said about the product.",
}

WORST_FIRST: tuple[Verdict, ...] = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.DEV_FROM_STD,
    Verdict.PASS_ERRATUM,
    Verdict.PASS,
    Verdict.NA,
    Verdict.NOT_EXERCISED,
)
"""The order in which verdicts win over each other."""

_RANK = {verdict: rank for rank, verdict in enumerate(WORST_FIRST)}


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the one verdict that stands for all of them; nothing at all is NOT-EXERCISED."""
    return min(verdicts, key=_RANK.__getitem__, default=Verdict.NOT_EXERCISED)
