"""What every simulator has in common: how it is driven and how it tells what happened.

Rules of this file:

* A simulator is built from a frozen configuration and an :class:`Emit`; building it touches nothing.
* ``start`` opens sockets and threads *in the calling thread's network namespace*; ``stop`` ends them all.
* ``emit`` may be called from any thread; the stamp is taken by the callee at once, so it must be called when
  the thing happens and not later.
* A simulator states facts (what it received, produced, did).  It never judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Emit(Protocol):
    """Tell the journal that something happened; values are JSON types."""

    def __call__(self, kind: str, /, **data: Any) -> None: ...


class CommandError(Exception):
    """A scenario commanded something that this simulator cannot do (wrong verb, wrong argument)."""


class Simulator(Protocol):
    """A device or peer that a bench can start, command and stop."""

    def start(self) -> Mapping[str, Any]:
        """Begin to serve; return the endpoints, e.g. ``{"host": "10.77.0.21", "port": 104, "ae_title": "PACS"}``."""

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what a scenario's step says; raise :class:`CommandError` when it cannot be done."""

    def stop(self) -> None:
        """End every thread and socket; idempotent."""
