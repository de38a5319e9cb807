"""Faults of a detector: what can be armed, when it fires, and what it does to a frame's packets.

Rules of this file:

* Every fault is named in :data:`FAULTS` with its arguments; anything else is refused when it is armed.
* A fault fires when its ``when`` comes true, ``count`` times (0: until disarmed); it always says where.
* What a stream fault does to a frame is a pure function of its arguments, its seed and the block id
  (:func:`plan`), so that a run can be repeated packet by packet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulators.base import CommandError
from simulators.detector.sensor import HOT_C


@dataclass(frozen=True)
class Kind:
    """One fault: allowed arguments with defaults; ``moment`` is where the device asks for it."""

    moment: str
    defaults: Mapping[str, Any]
    count: int = 1


_SOME: Final = {"percent": None, "packets": None, "seed": 0}
FAULTS: Final[Mapping[str, Kind]] = {
    "drop": Kind("stream", _SOME),
    "late": Kind("stream", {**_SOME, "ms": 20.0}),
    "reorder": Kind("stream", {**_SOME, "distance": 8}),
    "duplicate": Kind("stream", dict(_SOME)),
    "missing_leader": Kind("stream", {}),
    "missing_trailer": Kind("stream", {}),
    "missed_trigger": Kind("trigger", {}),
    "resend_refused": Kind("resend", {}, count=0),
    "resend_off": Kind("now", {}, count=0),
    "link_fallback": Kind("now", {"mbps": 100}, count=0),
    "over_temperature": Kind("now", {"celsius": 60.0}),
    "control_loss": Kind("now", {}),
    "no_heartbeat": Kind("now", {}),
    "no_answer": Kind("answer", {"command": None}),
    "pending_ack": Kind("answer", {"ms": 200, "command": None}),
}
WHEN: Final[Mapping[str, tuple[str, ...]]] = {
    "stream": ("frame",),
    "trigger": ("frame",),
    "resend": (),
    "answer": (),
    "now": ("state", "frame", "packet"),
}
"""Conditions by moment: a state is entered; the n-th frame since power-up; so many payload packets are out."""


@dataclass
class Armed:
    """A fault that waits."""

    id: str
    fault: str
    args: Mapping[str, Any]
    when: Mapping[str, Any]
    left: int
    """How often it may still fire; -1: until disarmed."""
    fired: int = 0
    block: int = 0
    """The block that it last hit."""
    active: bool = False
    """A lasting fault (link, capability) is in force."""


@dataclass(frozen=True)
class Plan:
    """What happens to one frame: packet ids in the order of sending, and what is missing."""

    order: npt.NDArray[np.int64]
    dropped: npt.NDArray[np.int64]
    late: tuple[tuple[int, float], ...] = ()
    """Packet id and delay in seconds."""
    leader: bool = True
    trailer: bool = True
    where: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Per armed fault's id: which packets it hit."""


def check(fault: str, args: Mapping[str, Any], when: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Complete the arguments of a fault; returns them and its count.  Raises :class:`CommandError`."""
    kind = FAULTS.get(fault)
    if kind is None:
        raise CommandError(f"a detector has no fault {fault!r}; it has {', '.join(FAULTS)}")
    known = {*kind.defaults, "count"}
    if unknown := set(args) - known:
        raise CommandError(
            f"fault {fault}: unknown {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
        )
    if unknown := set(when) - set(WHEN[kind.moment]):
        known_when = ", ".join(WHEN[kind.moment]) or "none"
        raise CommandError(f"fault {fault}, when: unknown {', '.join(sorted(unknown))}; known: {known_when}")
    full = {**kind.defaults, **args}
    count = full.pop("count", kind.count)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise CommandError(f"fault {fault}: count must be a whole number, 0 or more")
    if "percent" in kind.defaults:
        _check_selection(fault, full)
    for name in ("ms", "distance", "mbps", "celsius"):
        if name in full and not (isinstance(full[name], int | float) and full[name] > 0):
            raise CommandError(f"fault {fault}: {name} must be a positive number")
    if "celsius" in full and full["celsius"] <= HOT_C:
        raise CommandError(f"fault {fault}: celsius must be above {HOT_C:.0f}, where the panel gives up")
    if "mbps" in full and full["mbps"] not in (10, 100, 1000):
        raise CommandError(f"fault {fault}: mbps must be 10, 100 or 1000")
    return full, count


def _check_selection(fault: str, args: Mapping[str, Any]) -> None:
    percent, packets = args["percent"], args["packets"]
    if (percent is None) == (packets is None):
        raise CommandError(f"fault {fault}: give either percent or packets")
    if percent is not None and not (isinstance(percent, int | float) and 0 < percent <= 100):
        raise CommandError(f"fault {fault}: percent must be above 0 and at most 100")
    if packets is not None:
        _ranges(packets, fault)


def _ranges(packets: Any, fault: str) -> list[tuple[int, int]]:
    """[5, [10, 20]] -> [(5, 5), (10, 20)]."""
    out: list[tuple[int, int]] = []
    if not isinstance(packets, Sequence) or isinstance(packets, str) or not packets:
        raise CommandError(f"fault {fault}: packets is a list of packet ids or [first, last] pairs")
    for item in packets:
        pair = (item, item) if isinstance(item, int) else tuple(item) if isinstance(item, Sequence) else ()
        if len(pair) != 2 or not all(isinstance(v, int) and v >= 1 for v in pair) or pair[0] > pair[1]:
            raise CommandError(f"fault {fault}: {item!r} is neither a packet id nor [first, last]")
        out.append((int(pair[0]), int(pair[1])))
    return out


def choose(args: Mapping[str, Any], block: int, count: int) -> npt.NDArray[np.int64]:
    """The payload packets (1..count) of a block that a stream fault hits."""
    if args.get("packets") is not None:
        hit = np.zeros(count + 1, bool)
        for first, last in _ranges(args["packets"], "stream"):
            hit[first : last + 1] = True
        hit[0] = False
        return np.flatnonzero(hit)
    rng = np.random.default_rng((int(args.get("seed") or 0), block))
    return np.flatnonzero(rng.random(count) < float(args["percent"]) / 100.0) + 1


def plan(count: int, block: int, armed: Sequence[Armed]) -> Plan:
    """What these faults do to a frame of ``count`` payload packets."""
    order = np.arange(1, count + 1)
    dropped = np.zeros(0, np.int64)
    late: list[tuple[int, float]] = []
    leader = trailer = True
    where: dict[str, Mapping[str, Any]] = {}
    for item in armed:
        if item.fault == "missing_leader":
            leader = False
            where[item.id] = {"block": block, "packets": [0]}
            continue
        if item.fault == "missing_trailer":
            trailer = False
            where[item.id] = {"block": block, "packets": [count + 1]}
            continue
        hit = choose(item.args, block, count)
        hit = hit[np.isin(hit, order)]
        if not len(hit):
            continue
        if item.fault == "drop":
            order = order[~np.isin(order, hit)]
            dropped = np.union1d(dropped, hit)
        elif item.fault == "late":
            order = order[~np.isin(order, hit)]
            late += [(int(p), float(item.args["ms"]) / 1000.0) for p in hit]
        elif item.fault == "duplicate":
            order = np.repeat(order, 1 + np.isin(order, hit))
        else:
            place = np.arange(len(order), dtype=np.float64)
            place[np.isin(order, hit)] += float(item.args["distance"]) + 0.5
            order = order[np.argsort(place, kind="stable")]
        where[item.id] = {"block": block, "count": len(hit), "packets": [int(p) for p in hit[:50]]}
    return Plan(order, dropped, tuple(late), leader, trailer, where)


def _true(name: str, wanted: Any, actual: Any) -> bool:
    """Whether one condition holds; packets go out in batches, so a number of them is 'at least'."""
    return bool(actual >= wanted) if name == "packet" else bool(actual == wanted)


class Book:
    """The faults that are armed now."""

    def __init__(self) -> None:
        self._armed: dict[str, Armed] = {}

    def arm(self, id_: str, fault: str, args: Mapping[str, Any], when: Mapping[str, Any]) -> Armed:
        """Remember a fault; raises :class:`CommandError` when it makes no sense or the id is taken."""
        if not id_:
            raise CommandError("a fault needs an id")
        if id_ in self._armed:
            raise CommandError(f"fault {id_!r} is armed already")
        full, count = check(fault, args, when)
        item = Armed(id_, fault, full, dict(when), count or -1)
        self._armed[id_] = item
        return item

    def disarm(self, id_: str) -> Armed | None:
        """Forget a fault; returns it if it was known."""
        return self._armed.pop(id_, None)

    def all(self) -> list[Armed]:
        """Every fault that is still known."""
        return list(self._armed.values())

    def due(self, moment: str, *names: str, **context: Any) -> list[Armed]:
        """The faults that are to happen at this moment, in the order of arming; ``used`` must follow."""
        return [
            item
            for item in self._armed.values()
            if item.left
            and FAULTS[item.fault].moment == moment
            and (not names or item.fault in names)
            and not item.active
            and all(k in context and _true(k, v, context[k]) for k, v in item.when.items())
        ]

    def waiting_for(self, condition: str) -> bool:
        """Whether any fault that may still fire depends on this condition."""
        return any(condition in item.when and item.left and not item.active for item in self.all())

    def used(self, item: Armed) -> None:
        """The fault has fired once."""
        item.fired += 1
        if item.left > 0:
            item.left -= 1
