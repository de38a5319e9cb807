"""What the expectation engine found, as data.

Rules of this file:

* Times ending in ``_ns`` are CLOCK_MONOTONIC nanoseconds, those ending in ``_s`` are seconds.
* A status says what was seen, not whose fault it is: the runner turns statuses into verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from bench.scenario.model import Step


class EventLike(Protocol):
    """What the engine needs of a journal event (:class:`bench.journal.Event` is one)."""

    @property
    def seq(self) -> int:
        """Return its number in the journal."""

    @property
    def t(self) -> int:
        """Return CLOCK_MONOTONIC at its source, in nanoseconds."""

    @property
    def src(self) -> str:
        """Return who says it."""

    @property
    def n(self) -> int:
        """Return its number at its source, from 1."""

    @property
    def kind(self) -> str:
        """Return its kind (:mod:`bench.kinds`)."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Return its fields."""


class Status(Enum):
    """State of an expectation; everything but PENDING is final, except MATCHED until :meth:`Engine.finish`."""

    PENDING = "pending"
    MATCHED = "matched"  # as it should be (a never: its whole window was seen, nothing came)
    MISSED = "missed"  # expect: did not come in time
    VIOLATED = (
        "violated"  # never: it came; order: it was another one; expect: `count` is wrong over the whole cell
    )
    UNOBSERVED = "unobserved"  # not seen to its end, so nothing can be said: never green

    @property
    def is_failure(self) -> bool:
        """Tell whether the SUT did not do what was expected."""
        return self in (Status.MISSED, Status.VIOLATED)

    @property
    def is_good(self) -> bool:
        """Tell whether all is well."""
        return self is Status.MATCHED


@dataclass(frozen=True)
class Near:
    """An event that did arrive, and why it was not the expected one."""

    seq: int
    kind: str
    t_ns: int
    why: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one ``expect``, ``never`` or ``order``."""

    step: Step
    status: Status
    anchor_ns: int
    anchor: str  # in words
    within_s: float | None  # limit of an expect, length of a never's window
    measured_s: float | None  # from the anchor to the (n-th) matching event
    events: tuple[int, ...]  # journal numbers of the events that matched, or that must not have come
    counted: int | None  # how many there were in the whole cell, when `count` was asked
    message: str
    near: tuple[Near, ...] = ()

    @property
    def margin_s(self) -> float | None:
        """Return how much of the limit was left; None when nothing was measured."""
        if self.measured_s is None or self.within_s is None:
            return None
        return round(self.within_s - self.measured_s, 9)


@dataclass(frozen=True)
class FaultOutcome:
    """What became of one armed fault."""

    id: str
    host: str
    fault: str
    armed_seq: int
    fired: int  # how often
    where: tuple[Any, ...] = ()
    fired_seqs: tuple[int, ...] = ()
    line: int | None = None


@dataclass(frozen=True)
class Report:
    """Everything the engine can say at the end of a cell."""

    outcomes: tuple[Outcome, ...]
    unexpected: tuple[EventLike, ...]
    faults: tuple[FaultOutcome, ...]
    failures: tuple[str, ...]  # -> FAIL
    unobserved: tuple[str, ...]  # -> INCONCLUSIVE
    errors: tuple[str, ...]  # -> ERROR
