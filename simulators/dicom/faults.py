"""Faults and watches: what a scenario arms, and the moment at which it happens.

Rules of this file:

* A fault is armed before its stimulus and fires at one exact moment: an association request, the command of a DIMSE
  request, a byte of the stream of a connection (counted from its first one) or a byte of a message (of its data
  set).
* It fires ``count`` times (1; 0 = until disarmed) after ``skip`` occasions were let pass.
* This file decides *whether*; :mod:`simulators.dicom.mishaps` does it.  Nothing here touches a socket.
* While nothing is armed a connection pays one attribute read per batch of bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from simulators.base import CommandError, Emit

REQUESTS: Final = (
    "C-STORE-RQ",
    "C-GET-RQ",
    "C-FIND-RQ",
    "C-MOVE-RQ",
    "C-ECHO-RQ",
    "N-EVENT-REPORT-RQ",
    "N-GET-RQ",
    "N-SET-RQ",
    "N-ACTION-RQ",
    "N-CREATE-RQ",
    "N-DELETE-RQ",
)
ASSOCIATE: Final = "associate"
RELEASE: Final = "release"

_ARGUMENTS: Final[dict[str, dict[str, type]]] = {
    "reject": {"result": int, "source": int, "reason": int},
    "abort": {"source": int, "reason": int},
    "status": {"status": int, "comment": str, "error_id": int, "perform": bool},
    "delay": {"seconds": float},
    "stall": {},
    "close": {"how": str},
}
"""Fault -> its own arguments; ``on``, ``at_bytes``, ``of``, ``count``, ``skip`` and ``calling`` go with every one."""


def _number(value: Any) -> int:
    """Integers may be stated as ``0xA700``, ``"A700H"`` or ``4 MB``."""
    if isinstance(value, bool | float):
        raise ValueError(f"{value!r} is no whole number")
    if isinstance(value, int):
        return value
    text = str(value).strip()
    for unit, factor in (("kB", 1000), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1)):
        if text.endswith(unit) and not text.lower().startswith("0x"):
            try:
                return int(float(text.removesuffix(unit)) * factor)
            except ValueError:
                break
    if text.upper().endswith("H"):
        return int(text[:-1], 16)
    return int(text, 0)


def status_number(value: Any) -> int:
    """A DIMSE status: 42752, ``0xA700``, or four hexadecimal digits as text (``A700``, ``0110``)."""
    if isinstance(value, str):
        text = value.strip().upper().removesuffix("H").removeprefix("0X")
        return int(text, 16)
    return _number(value)


@dataclass(slots=True)
class Fault:
    """One armed fault."""

    id: str
    kind: Literal["reject", "abort", "status", "delay", "stall", "close"]
    on: str
    args: dict[str, Any]
    at_bytes: int | None = None
    of: Literal["message", "stream"] = "message"
    count: int = 1
    skip: int = 0
    calling: str | None = None
    fired: int = 0
    lifted: threading.Event = field(default_factory=threading.Event)
    """Set when the fault is disarmed: a stalled connection goes on."""
    on_lift: list[Callable[[], None]] = field(default_factory=list)


@dataclass(slots=True)
class Watch:
    """One watched condition."""

    id: str
    received_bytes: int | None
    request: str | None
    count: int
    seen: int = 0
    hit: bool = False


def parse_fault(fault_id: str, kind: str, args: Mapping[str, Any], when: Mapping[str, Any] | None) -> Fault:
    """Check what a scenario states; raise :class:`CommandError` saying what is wrong."""
    own = _ARGUMENTS.get(kind)
    if own is None:
        raise CommandError(f"unknown fault {kind!r}; there are {', '.join(_ARGUMENTS)}")
    merged = dict(args)
    if "of" in merged and str(merged["of"]) not in ("message", "stream"):
        merged["on"] = merged.pop("of")  # a status is said to be *of* a request
    if kind == "delay" and "by" in merged:
        merged["seconds"] = merged.pop("by")
    for key, value in (when or {}).items():
        alias = {"received_bytes": "at_bytes", "request": "on"}.get(key, key)
        merged.setdefault(alias, value)
        if key == "received_bytes":
            merged.setdefault("of", "stream")
    common = {"on", "at_bytes", "of", "count", "skip", "calling"}
    for key in merged:
        if key not in common and key not in own:
            there_are = ", ".join(sorted(common | set(own)))
            raise CommandError(f"fault {kind} has no argument {key!r}; it has {there_are}")
    default_on = ASSOCIATE if kind == "reject" else "any"
    on = str(merged.get("on", default_on))
    if on not in (ASSOCIATE, RELEASE, "any", *REQUESTS):
        raise CommandError(f"on: {on!r} is neither {ASSOCIATE}, {RELEASE} nor a DIMSE request")
    if kind == "reject" and on != ASSOCIATE:
        raise CommandError("an association can only be rejected on associate")
    if kind == "status" and on in (ASSOCIATE, RELEASE):
        raise CommandError("a status answers a DIMSE request")
    try:
        values = {key: _convert(own[key], key, merged[key]) for key in merged if key in own}
        at_bytes = _number(merged["at_bytes"]) if merged.get("at_bytes") is not None else None
        of = str(merged.get("of", "stream" if on in (ASSOCIATE, "any") else "message"))
        fault = Fault(
            fault_id,
            kind,  # type: ignore[arg-type]
            on,
            values,
            at_bytes,
            of,  # type: ignore[arg-type]
            _number(merged["count"])
            if merged.get("count") is not None
            else (1 if "count" not in merged else 0),
            _number(merged.get("skip", 0)),
            str(merged["calling"]) if merged.get("calling") is not None else None,
        )
    except (ValueError, TypeError) as error:
        raise CommandError(f"fault {kind}: {error}") from None
    if at_bytes is not None and of == "stream" and on not in (ASSOCIATE, "any"):
        raise CommandError("a byte of the stream belongs to no request: leave out `on`, or say `of: message`")
    if of not in ("message", "stream"):
        raise CommandError(f"of: {of!r} is neither message nor stream")
    if kind == "close" and fault.args.setdefault("how", "fin") not in ("rst", "fin"):
        raise CommandError("how: a connection is closed by rst or by fin")
    if kind == "delay" and "seconds" not in fault.args:
        raise CommandError("a delay wants seconds")
    if kind == "status" and "status" not in fault.args:
        raise CommandError("a status fault wants status")
    if kind in ("reject", "status") and at_bytes is not None:
        raise CommandError(f"{kind} happens at a message, not at a byte")
    if at_bytes is not None and at_bytes < 0:
        raise CommandError("at_bytes counts from 0")
    return fault


def _convert(kind: type, key: str, value: Any) -> Any:
    if key in ("status", "error_id"):
        return status_number(value)
    if kind is int:
        return _number(value)
    if kind is float:
        seconds = float(str(value).removesuffix("s").strip())
        if not 0 <= seconds <= 3600:
            raise ValueError(f"{key} must be 0 to 3600 seconds")
        return seconds
    if kind is bool:
        return value if isinstance(value, bool) else str(value).lower() in ("true", "yes", "1")
    return str(value)


class FaultBook:
    """All armed faults and watches of one simulator; thread-safe.

    Attributes:
        active: whether anything is armed or watched at all; read without the lock on the fast path.
        by_bytes: whether anything waits for a byte count, so that reads must be cut to it.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._faults: dict[str, Fault] = {}
        self._watches: dict[str, Watch] = {}
        self.active = False
        self.by_bytes = False

    # -- commands --------------------------------------------------------------------------------

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Handle ``arm``, ``disarm`` and ``watch``; ``None`` for other verbs."""
        if verb == "arm":
            when = args.get("when")
            fault = parse_fault(str(args["id"]), str(args["fault"]), args.get("args") or {}, when)
            with self._lock:
                if fault.id in self._faults:
                    raise CommandError(f"fault {fault.id!r} is armed already")
                self._faults[fault.id] = fault
                self._refresh()
            self._emit("fault.armed", id=fault.id, fault=fault.kind, on=fault.on)
            return {}
        if verb == "disarm":
            return self._disarm(str(args.get("id", "*")))
        if verb == "watch":
            return self._watch(args)
        return None

    def _disarm(self, name: str) -> Mapping[str, Any]:
        """Take back one fault or watch, or all of them (``*``)."""
        with self._lock:
            gone = (
                list(self._faults.values())
                if name == "*"
                else [f for f in self._faults.values() if f.id == name]
            )
            for fault in gone:
                del self._faults[fault.id]
            if name == "*":
                self._watches.clear()
            else:
                self._watches.pop(name, None)
            self._refresh()
        for fault in gone:
            lift(fault)
        return {"fired": sum(fault.fired for fault in gone)}

    def _watch(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        unknown = set(args) - {"id", "received_bytes", "request", "count"}
        if unknown or "id" not in args or not ("received_bytes" in args) ^ ("request" in args):
            raise CommandError("a watch wants id and either received_bytes or request (and count)")
        request = str(args["request"]) if "request" in args else None
        if request is not None and request not in (ASSOCIATE, RELEASE, *REQUESTS):
            raise CommandError(f"request: {request!r} is neither {ASSOCIATE}, {RELEASE} nor a DIMSE request")
        try:
            limit = _number(args["received_bytes"]) if "received_bytes" in args else None
            watch = Watch(str(args["id"]), limit, request, _number(args.get("count", 1)))
        except ValueError as error:
            raise CommandError(f"watch: {error}") from None
        with self._lock:
            self._watches[watch.id] = watch
            self._refresh()
        return {}

    def _refresh(self) -> None:
        self.active = bool(self._faults or any(not w.hit for w in self._watches.values()))
        self.by_bytes = any(f.at_bytes is not None for f in self._faults.values()) or any(
            w.received_bytes is not None and not w.hit for w in self._watches.values()
        )

    def release_all(self) -> None:
        """Let every stalled connection go (the simulator stops)."""
        with self._lock:
            faults = list(self._faults.values())
            self._faults.clear()
            self._watches.clear()
            self._refresh()
        for fault in faults:
            lift(fault)

    # -- occasions --------------------------------------------------------------------------------

    def occasion(self, on: str, calling: str) -> list[Fault]:
        """The faults that fire now that ``on`` arrived, at no particular byte."""
        with self._lock:
            due = []
            for fault in self._faults.values():
                if fault.at_bytes is None and self._fits(fault, on, calling) and self._claim(fault):
                    due.append(fault)
            return due

    def waiting_in_message(self, on: str, calling: str) -> list[Fault]:
        """The faults that wait for a byte of the data set of this request, nearest first; none is fired yet."""
        with self._lock:
            found = [f for f in self._faults.values() if f.at_bytes is not None and f.of == "message"]
            found = [f for f in found if self._fits(f, on, calling) and self._left(f)]
            return sorted(found, key=lambda f: f.at_bytes or 0)

    def nearest_message_byte(self) -> int | None:
        """The smallest byte count of a data set that any fault waits for, or None."""
        with self._lock:
            return min(
                (
                    max(f.at_bytes, 1)
                    for f in self._faults.values()
                    if f.at_bytes is not None and f.of == "message" and self._left(f)
                ),
                default=None,
            )

    def waiting_in_stream(self, received: int) -> list[Fault]:
        """The faults that wait for a byte of a connection that has ``received`` so many, nearest first."""
        with self._lock:
            found = [f for f in self._faults.values() if f.at_bytes is not None and f.of == "stream"]
            found = [f for f in found if self._left(f) and (f.at_bytes or 0) >= received]
            return sorted(found, key=lambda f: f.at_bytes or 0)

    def claim(self, fault: Fault) -> bool:
        """Take one firing of a fault that waited for a byte; false when it is used up, disarmed, or skips this."""
        with self._lock:
            return fault.id in self._faults and self._claim(fault)

    def fire(self, fault: Fault, **where: Any) -> None:
        """Tell the journal that a fault happens now."""
        self._emit("fault.fired", id=fault.id, fault=fault.kind, where=where)

    @staticmethod
    def _fits(fault: Fault, on: str, calling: str) -> bool:
        if fault.calling is not None and fault.calling != calling:
            return False
        if fault.on == "any":
            return on != RELEASE and (on != ASSOCIATE or fault.kind != "status")
        return fault.on == on

    @staticmethod
    def _left(fault: Fault) -> bool:
        return fault.count == 0 or fault.fired < fault.count

    def _claim(self, fault: Fault) -> bool:
        if not self._left(fault):
            return False
        if fault.skip > 0:
            fault.skip -= 1
            return False
        fault.fired += 1
        return True

    # -- watches --------------------------------------------------------------------------------

    def received(self, count: int, assoc: int) -> None:
        """Count bytes of any connection for the watches."""
        hits = []
        with self._lock:
            for watch in self._watches.values():
                if watch.received_bytes is not None and not watch.hit:
                    watch.seen += count
                    if watch.seen >= watch.received_bytes:
                        watch.hit = True
                        hits.append(watch)
            if hits:
                self._refresh()
        for watch in hits:
            self._emit("trigger.hit", id=watch.id, received_bytes=watch.seen, assoc=assoc)

    def watch_room(self) -> int | None:
        """Bytes until the nearest watch is hit, or ``None``."""
        with self._lock:
            rooms = [
                w.received_bytes - w.seen
                for w in self._watches.values()
                if w.received_bytes is not None and not w.hit
            ]
            return max(min(rooms), 1) if rooms else None

    def requested(self, on: str, assoc: int) -> None:
        """Count an occasion for the watches."""
        hits = []
        with self._lock:
            for watch in self._watches.values():
                if watch.request == on and not watch.hit:
                    watch.seen += 1
                    if watch.seen >= watch.count:
                        watch.hit = True
                        hits.append(watch)
            if hits:
                self._refresh()
        for watch in hits:
            self._emit("trigger.hit", id=watch.id, request=on, assoc=assoc)


def lift(fault: Fault) -> None:
    """Let the connections go that this fault holds."""
    fault.lifted.set()
    for call in list(fault.on_lift):
        call()
