"""Faults of the front end: what can be armed, with which arguments, and when it is due.

Rules of this file:

* The list is closed (:data:`FAULTS`); a wrong name or argument is a :class:`CommandError`.
* ``when: {frame: N}`` is due at the first frame whose sequence number is N or more; without it, at the next frame.
* A fault fires ``count`` times in a row and is then spent.  Of one kind only one fires in a picture; another of that
  kind waits for the next picture, so that whatever is told as fired has happened.

=========  ==========================================================================================
stall      nothing leaves for ``seconds``, after ``at_bytes`` of a picture's message (0: between messages)
drop       the picture is made and counted, but sent to nobody
crc        the picture's header has a wrong CRC
resize     the picture has another ``size`` from now on; the settings say so just before it, as for any knob
unplug     the probe is pulled: no pictures for ``seconds`` (0: until ``plug``), STATUS says not present
close      the connection is cut after ``at_bytes`` of a picture's message
=========  ==========================================================================================
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulators.base import CommandError
from simulators.ultrasound.knobs import SIZES

FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "stall": {"seconds": 2.0, "at_bytes": 0, "count": 1},
    "drop": {"count": 1},
    "crc": {"count": 1},
    "resize": {"size": "1024x768"},
    "unplug": {"seconds": 0.0},
    "close": {"at_bytes": 0},
}
"""Fault -> arguments with defaults."""


@dataclass
class Armed:
    """A fault that waits."""

    id: str
    fault: str
    args: Mapping[str, Any]
    frame: int
    left: int


def check(fault: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a fault's arguments; raises :class:`CommandError`."""
    if fault not in FAULTS:
        near = difflib.get_close_matches(fault, FAULTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(FAULTS)}"
        raise CommandError(f"an ultrasound front end has no fault {fault!r}{hint}")
    for name, value in args.items():
        if name not in FAULTS[fault]:
            known = ", ".join(FAULTS[fault]) or "none"
            raise CommandError(f"fault {fault}: unknown argument {name!r}; known: {known}")
        if name == "size":
            if value not in SIZES:
                raise CommandError(f"fault {fault}: size must be one of {', '.join(SIZES)}, not {value!r}")
            continue
        _number(fault, name, value)
    return {**FAULTS[fault], **args}


def _number(fault: str, name: str, value: Any) -> None:
    whole = name in ("count", "at_bytes")
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise CommandError(
            f"fault {fault}: {name} must be a {'whole ' if whole else ''}number, not {value!r}"
        )
    low, high = (1, 100_000) if name == "count" else (0, 600) if name == "seconds" else (0, 1 << 30)
    if not (math.isfinite(value) and low <= value <= high):
        raise CommandError(f"fault {fault}: {name} must be {low} to {high}, not {value!r}")


class Book:
    """The faults that are armed; its caller holds the device's lock."""

    def __init__(self) -> None:
        self._armed: dict[str, Armed] = {}

    def arm(self, id_: str, fault: str, args: Mapping[str, Any], when: Mapping[str, Any]) -> Armed:
        """Remember a fault; raises :class:`CommandError`."""
        if not id_ or id_ in self._armed:
            raise CommandError(f"fault {id_!r} is armed already" if id_ else "a fault needs an id")
        full = check(fault, args)
        frame = when.get("frame", 0)
        if unknown := set(when) - {"frame"}:
            raise CommandError(f"fault {fault}, when: unknown {', '.join(sorted(unknown))}; known: frame")
        if isinstance(frame, bool) or not isinstance(frame, int) or frame < 0:
            raise CommandError(f"fault {fault}, when: frame must be a whole number, not {frame!r}")
        item = self._armed[id_] = Armed(id_, fault, full, frame, int(full.get("count", 1)))
        return item

    def disarm(self, id_: str) -> bool:
        """Forget a fault; tell whether it was known."""
        return self._armed.pop(id_, None) is not None

    def due(self, sequence: int, *faults: str) -> list[Armed]:
        """The faults of these names that happen at this frame, one of a name; each counts as fired once."""
        ready = [a for a in self._armed.values() if a.fault in faults and a.left > 0 and sequence >= a.frame]
        found = list({a.fault: a for a in reversed(ready)}.values())  # the one that was armed first
        for item in found:
            item.left -= 1
        return found
