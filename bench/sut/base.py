"""What the runner asks of a system under test, whoever it is.

Rules of this file:

* One vocabulary (DESIGN, operator actions) for every adapter; an adapter says which verbs it can do.
* What comes back is a *claim*: it is journalled as ``sut.answer`` or ``modality.*`` and never evidence by itself.
* :class:`SutError` means that the bench could not operate the SUT (it is not there, the verb is unknown): ERROR.
  :class:`SutGone` means that the SUT crashed or hangs while it is operated: FAIL.  A SUT that answers 'no' is
  neither: the answer says so, and the step judges it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class SutError(Exception):
    """The SUT could not be started or operated."""


class SutGone(SutError):
    """The SUT ended by itself, or does not answer any more: that is its own fault."""


@dataclass(frozen=True)
class Answer:
    """What the SUT (or the person in front of it) said to one operator action."""

    ok: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


class SutAdapter(Protocol):
    """One system under test."""

    name: str
    verbs: frozenset[str]

    def start(self) -> None:
        """Bring the SUT to where an operator can use it; raise :class:`SutError`."""

    def do(self, verb: str, args: Mapping[str, Any], timeout: float) -> Answer:
        """Let the operator do something and wait for what the SUT says."""

    def kill(self) -> None:
        """Take the power away (SIGKILL for a process)."""

    def stop(self) -> str | None:
        """End it in an orderly way; return a sentence if it did not end as it should."""
