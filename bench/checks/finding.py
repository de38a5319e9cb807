"""What a check says: findings on clauses and rules, one for every occasion.

Rules of this file:

* A finding is about one id: a clause of the statement, a default, or a rule of the standard.
* FAIL says that the SUT is wrong.  Where the evidence has a gap it is INCONCLUSIVE; where the occasion did not come
  there is no finding at all, and the clause is NOT-EXERCISED.
* A remark stands beside the verdict and never changes it.
* What no wire can show is said once, with its reason (:class:`Unseen`), not silently left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from bench.resultmodel import Evidence
from bench.verdict import Verdict

if TYPE_CHECKING:
    from bench.checks.case import Case

CheckFunction: TypeAlias = "Callable[[Case], Iterable[Finding]]"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict on one occasion of one clause or rule; ``reason`` is one sentence for a person."""

    id: str
    verdict: Verdict
    reason: str
    evidence: tuple[Evidence, ...] = ()
    remark: bool = False


@dataclass(frozen=True, slots=True)
class Unseen:
    """Why no capture can show a clause, and what could: an operator's answer, a medium, a configuration."""

    by: Literal["operator", "media", "configuration", "not-testable"]
    why: str


BY: Final = {
    "operator": "needs the answer of a person at the product",
    "media": "needs the removable medium",
    "configuration": "needs the product's configuration",
    "not-testable": "cannot be tested from outside",
}


@dataclass(frozen=True, slots=True)
class Check:
    """A check function with the ids that it may speak of; ``STD-UL-*`` stands for all that begin so."""

    function: CheckFunction
    ids: tuple[str, ...]

    @property
    def name(self) -> str:
        """Module and function."""
        return f"{self.function.__module__.removeprefix('bench.checks.')}.{self.function.__name__}"

    def __call__(self, case: Case) -> Iterable[Finding]:
        """Look at a case."""
        return self.function(case)


def check(*ids: str) -> Callable[[CheckFunction], Check]:
    """Make a check of a function; *ids* are those on which it may give findings."""
    if not ids:
        raise TypeError("a check names the clauses or rules that it speaks of")
    return lambda function: Check(function, ids)


def passed(id: str, reason: str, *evidence: Evidence) -> Finding:
    """The product kept the clause on this occasion."""
    return Finding(id, Verdict.PASS, reason, evidence)


def erratum(id: str, reason: str, *evidence: Evidence) -> Finding:
    """The product did what the statement means; its words hold a known error."""
    return Finding(id, Verdict.PASS_ERRATUM, reason, evidence)


def deviates(id: str, reason: str, *evidence: Evidence) -> Finding:
    """The product departs from the standard exactly as its statement (or a ruling) says (ruling A2)."""
    return Finding(id, Verdict.DEV_FROM_STD, reason, evidence)


def failed(id: str, reason: str, *evidence: Evidence) -> Finding:
    """The product broke the clause on this occasion."""
    return Finding(id, Verdict.FAIL, reason, evidence)


def inconclusive(id: str, reason: str, *evidence: Evidence) -> Finding:
    """The occasion came, but the evidence has a gap (ruling B5)."""
    return Finding(id, Verdict.INCONCLUSIVE, reason, evidence)


def not_applicable(id: str, reason: str, *evidence: Evidence) -> Finding:
    """The clause's condition is false (ruling B5)."""
    return Finding(id, Verdict.NA, reason, evidence)


def remark(id: str, reason: str, *evidence: Evidence) -> Finding:
    """Something that a person should know and that changes no verdict."""
    return Finding(id, Verdict.NOT_EXERCISED, reason, evidence, remark=True)
