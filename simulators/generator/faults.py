"""Faults and watches of the generator: what is armed, when it becomes active, and under which id it is told.

Rules of this file:

* A fault without ``when`` is active at once; with ``when`` it becomes active when that condition comes true.
* Conditions: ``{"state": "exposing", "after_ms": 50}``, ``{"exposures": 2}`` (beams that have begun),
  ``{"command": "50", "count": 3}`` (commands received since arming).
* The list of faults is closed (:data:`FAULT_ARGS`); a wrong name or argument is a :class:`CommandError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from simulators.base import CommandError

FAULT_ARGS: Final[dict[str, frozenset[str]]] = {
    "interlock": frozenset(),
    "rotor": frozenset({"count"}),
    "filament": frozenset({"count"}),
    "arc": frozenset({"count", "fraction"}),
    "over_dose": frozenset({"count", "factor"}),
    "kv_drift": frozenset({"percent"}),
    "stuck_busy": frozenset(),
    "no_answer": frozenset({"count", "command"}),
    "garbled": frozenset({"count", "command"}),
    "bad_checksum": frozenset({"count", "command"}),
}
"""Fault -> its arguments.  The last three are faults of the line: they spoil ``count`` replies (to
``command``)."""

LINE_FAULTS: Final = ("no_answer", "garbled", "bad_checksum")


@dataclass(frozen=True)
class Condition:
    """When something armed becomes active, or something watched is told."""

    state: str = ""
    after_ms: float = 0.0
    exposures: int = 0
    command: str = ""
    count: int = 1

    @classmethod
    def parse(cls, data: Mapping[str, Any], what: str) -> Condition:
        """Read a condition; raises :class:`CommandError`."""
        keys = ("state", "after_ms", "exposures", "command", "count")
        for key in data:
            if key not in keys:
                raise CommandError(f"{what}: unknown condition {key!r}; there are {', '.join(keys)}")
        try:
            made = cls(
                str(data.get("state", "")),
                float(data.get("after_ms", 0.0)),
                int(data.get("exposures", 0)),
                str(data.get("command", "")),
                int(data.get("count", 1)),
            )
        except (TypeError, ValueError) as error:
            raise CommandError(f"{what}: {error}") from None
        if not (made.state or made.exposures or made.command):
            raise CommandError(f"{what}: a condition needs state, exposures or command")
        if made.state not in ("", "idle", "prep", "ready", "exposing", "cooldown", "fault"):
            raise CommandError(f"{what}: the generator has no state {made.state!r}")
        return made


@dataclass
class Waiting:
    """Something that waits for a condition: a fault to become active (``fault`` set) or a watch."""

    id: str
    condition: Condition | None
    fault: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0
    due: int | None = None
    active: bool = False

    def state_entered(self, state: str, now: int) -> None:
        """Note a change of state; sets ``due`` when the condition is about this state."""
        c = self.condition
        if c is not None and not self.active:
            self.due = now + round(c.after_ms * 1e6) if c.state and c.state == state else None

    def exposure_begun(self, number: int, now: int) -> None:
        """Note the beginning of a beam."""
        c = self.condition
        if c is not None and not self.active and c.exposures and number >= c.exposures:
            self.due = now

    def command_seen(self, command: str, now: int) -> None:
        """Note a received command."""
        c = self.condition
        if c is not None and not self.active and c.command and c.command == command:
            self.seen += 1
            if self.seen >= c.count:
                self.due = now


def check(fault: str, args: Mapping[str, Any]) -> None:
    """Refuse an unknown fault or argument with a hint."""
    if fault not in FAULT_ARGS:
        near = difflib.get_close_matches(fault, FAULT_ARGS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(FAULT_ARGS)}"
        raise CommandError(f"the generator has no fault {fault!r}{hint}")
    for key, value in args.items():
        if key not in FAULT_ARGS[fault]:
            raise CommandError(f"fault {fault}: unknown argument {key!r}")
        if key == "command":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CommandError(f"fault {fault}: {key} must be a number, not {value!r}")
        if key == "count" and not (isinstance(value, int) and value >= 1):
            raise CommandError(f"fault {fault}: count must be a whole number from 1, not {value!r}")
        if key == "fraction" and not 0 < value < 1:
            raise CommandError(f"fault {fault}: fraction must be between 0 and 1, not {value!r}")
        if key == "factor" and not 1 < value <= 10:
            raise CommandError(f"fault {fault}: factor must be above 1 and at most 10, not {value!r}")
        if key == "percent" and not -50 <= value <= 50:
            raise CommandError(f"fault {fault}: percent must be -50 to 50, not {value!r}")
