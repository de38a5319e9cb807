"""The expectation engine: judges ``expect``, ``never`` and ``order`` over one stream of events.

Rules of this file (docs/scenarios.md says the same for authors):

* Pure: no clock, no threads, no I/O.  Time is what events are stamped with and what the caller says it has seen.
* The anchor of an expectation is the end of the step before it, or what ``after:`` names.  The end of an
  ``expect`` is its last matching event, not the moment somebody noticed.  An event at or after the anchor counts,
  also when it arrived before the expectation began.
* An event is taken by at most one expectation (the first one that fits), so that three expected images are never
  proven by one; ``shared: true`` looks without taking.
* ``count`` is judged at the end over the whole stream, whoever took the events.
* A window that was not seen to its end proves nothing.
* An event that is delivered after its time was declared seen is the bench's fault: it never turns into FAIL.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from bench.expect.outcome import EventLike, FaultOutcome, Near, Outcome, Report, Status
from bench.kinds import is_strict
from bench.scenario.matchers import EventTest
from bench.scenario.model import Act, Allow, Arm, Expect, Never, Order, Step
from bench.scenario.refs import Scope, Unresolved
from bench.scenario.units import format_duration

MAX_NEAR: Final = 5
_IDENTITY: Final = ("SOPInstanceUID:", "sop_instance:")
_NS: Final = 1_000_000_000


@dataclass
class _Watch:
    """An expectation that was begun."""

    step: Expect | Never | Order
    test: EventTest | None
    anchor_ns: int
    anchor: str
    end_ns: int | None  # deadline of an expect, end of a window; None: the end of the cell
    status: Status = Status.PENDING
    events: list[EventLike] = field(default_factory=list)
    measured_ns: int | None = None
    counted: int | None = None
    message: str = ""


class Engine:
    """One cell's expectations.  Not thread-safe: call it from one thread, or under a lock."""

    _BEGINNING: Final = (0, "the beginning of the cell")
    """The anchor of a first step until the journal tells when the cell began."""

    def __init__(self, allow: Iterable[Allow] = ()) -> None:
        self.scope = Scope()
        self._allow = tuple(allow)
        self._events: list[EventLike] = []
        self._by_kind: dict[str, list[EventLike]] = {}
        self._watches: list[_Watch] = []
        self._live: list[_Watch] = []
        self._taken: dict[int, _Watch] = {}  # journal number -> who took it
        self._accounted: set[int] = set()
        self._starts: dict[str, tuple[int, str]] = {}
        self._ends: dict[str, tuple[int, str]] = {}
        self._named: dict[str, _Watch] = {}
        self._previous: _Watch | tuple[int, str] = self._BEGINNING
        self._armed: dict[str, list[Any]] = {}
        self._fired: dict[str, list[Any]] = {}
        self._errors: list[str] = []
        self._watermark = -1

    # -- what happens --------------------------------------------------------------------------------------

    def feed(self, event: EventLike) -> None:
        """Take the next event of the journal."""
        self._events.append(event)
        self._by_kind.setdefault(event.kind, []).append(event)
        if event.kind == "fault.armed":
            self._armed.setdefault(str(event.data.get("id")), []).append(event)
        elif event.kind == "cell.start" and self._previous == self._BEGINNING:
            self._previous = (event.t, self._BEGINNING[1])
        elif event.kind == "fault.fired":
            self._fired.setdefault(str(event.data.get("id")), []).append(event)
        for watch in tuple(self._live):
            self._offer(watch, event)
        if event.t <= self._watermark:
            self._delivered_late(event)

    def step_started(self, step: Act | Arm, t_ns: int) -> None:
        """Note that a step that does something begins now."""
        if step.name is not None:
            self._starts[step.name] = (t_ns, f"the beginning of {_place(step)}")

    def step_ended(self, step: Act | Arm, t_ns: int, result: Any = None) -> None:
        """Note that a step that does something is over; what it gave is known under its name."""
        moment = (t_ns, f"the end of {_place(step)}")
        self._previous = moment
        if step.name is not None:
            self._ends[step.name] = moment
            self.scope.put(step.name, result if isinstance(result, dict) else {})

    def observed(self, t_ns: int) -> None:
        """Note that every event stamped up to `t_ns` has been fed."""
        self._watermark = max(self._watermark, t_ns)
        for watch in tuple(self._live):
            if watch.end_ns is None or watch.end_ns >= self._watermark:
                continue
            if isinstance(watch.step, Expect):
                self._settle(watch, Status.MISSED)
            else:
                self._settle(watch, Status.MATCHED)

    # -- expectations --------------------------------------------------------------------------------------

    def begin(self, step: Expect | Never | Order, t_ns: int) -> int:
        """Begin to judge a step; returns its handle.  `t_ns` is the present, for messages only."""
        del t_ns  # anchors come from what was reported, never from when somebody looked
        handle = len(self._watches)
        if isinstance(step, Order):
            watch = _Watch(step, None, 0, "", None)
            self._watches.append(watch)
            return handle
        anchor_ns, anchor, trouble = self._anchor(step)
        try:
            test = self.scope.resolve(step.test)
        except Unresolved as error:
            test, trouble = step.test, str(error)
        limit = step.within_s if isinstance(step, Expect) else step.for_s
        end_ns = None if limit is None else anchor_ns + round(limit * _NS)
        watch = _Watch(step, test, anchor_ns, anchor, end_ns)
        self._watches.append(watch)
        for name in (step.name, step.save if isinstance(step, Expect) else None):
            if name is not None:
                self._named[name] = watch
        if isinstance(step, Expect) or step.wait:
            self._previous = watch
        if trouble:
            watch.message = trouble
            watch.status = Status.UNOBSERVED
            return handle
        self._live.append(watch)
        for event in tuple(self._candidates(test)):
            self._offer(watch, event)
        self.observed(self._watermark)
        return handle

    def outcome(self, handle: int) -> Outcome:
        """Return what is known about an expectation now."""
        return self._outcome(self._watches[handle])

    def deadline(self, handle: int) -> int | None:
        """Return the moment (ns) at which an expectation is decided at the latest; None: at the end of the cell."""
        return self._watches[handle].end_ns

    def open_until(self) -> int | None:
        """Return the end (ns) of the last window that is still open, or None."""
        return max((w.end_ns for w in self._live if w.end_ns is not None), default=None)

    def finish(self, *, complete: bool = True) -> Report:
        """Judge everything that is judged at the end.  `complete` False: the cell was cut short."""
        for watch in tuple(self._live):
            if isinstance(watch.step, Never) and watch.end_ns is None:
                self._settle(watch, Status.MATCHED if complete else Status.UNOBSERVED)
            else:
                self._settle(watch, Status.UNOBSERVED)
        for watch in self._watches:
            if isinstance(watch.step, Expect):
                self._judge_count(watch, watch.step)
        for watch in self._watches:
            if isinstance(watch.step, Order):
                self._judge_order(watch, watch.step)
        outcomes = tuple(self._outcome(watch) for watch in self._watches)
        unexpected = tuple(event for event in self._events if self._is_unexpected(event))
        faults = self._faults()
        return Report(
            outcomes,
            unexpected,
            faults,
            failures=tuple(
                [f"{o.step.where_it_is}: {o.message}" for o in outcomes if o.status.is_failure]
                + [f"{_say(event)}: no expectation and no 'allow' names it" for event in unexpected]
            ),
            unobserved=tuple(
                f"{o.step.where_it_is}: {o.message}" for o in outcomes if o.status is Status.UNOBSERVED
            ),
            errors=(
                *self._errors,
                *(
                    f"fault {fault.id} ({fault.host} {fault.fault}) was armed and never happened"
                    for fault in faults
                    if not fault.fired
                ),
            ),
        )

    # -- inside --------------------------------------------------------------------------------------------

    def _anchor(self, step: Expect | Never) -> tuple[int, str, str]:
        """Return the anchor, in words too, and what is wrong with it."""
        if step.after is None:
            if isinstance(self._previous, tuple):
                return *self._previous, ""
            return *self._end_of(self._previous), ""
        name, dot, _ = step.after.partition(".")
        if not dot and name in self._named:
            watch = self._named[name]
            if watch.measured_ns is None:
                return watch.anchor_ns, watch.anchor, f"'{name}' did not come, so nothing is after it"
            return *self._end_of(watch), ""
        moment = (self._ends if dot else self._starts).get(name)
        if moment is None:
            return 0, "", f"the step '{name}' was not done, so nothing is after it"
        return *moment, ""

    def _end_of(self, watch: _Watch) -> tuple[int, str]:
        if watch.measured_ns is not None and isinstance(watch.step, Expect):
            return watch.anchor_ns + watch.measured_ns, f"the {watch.step.kind} of {_place(watch.step)}"
        if watch.end_ns is not None:
            return watch.end_ns, f"the end of {_place(watch.step)}"
        return watch.anchor_ns, watch.anchor

    def _candidates(self, test: EventTest) -> list[EventLike]:
        if not test.kind.endswith(".*"):
            return self._by_kind.get(test.kind, [])
        return [event for event in self._events if test.takes_kind(event.kind)]

    def _offer(self, watch: _Watch, event: EventLike) -> None:
        """Let a live expectation look at an event."""
        test = watch.test
        if test is None or watch.status is not Status.PENDING or not test.takes_kind(event.kind):
            return
        if event.t < watch.anchor_ns or (watch.end_ns is not None and event.t > watch.end_ns):
            return
        if test.mismatches(event.data, event.src):
            return
        if isinstance(watch.step, Never):
            watch.events.append(event)
            self._accounted.add(event.seq)
            self._settle(watch, Status.VIOLATED)
            return
        assert isinstance(watch.step, Expect)
        if not watch.step.shared:
            if event.seq in self._taken:
                return
            self._taken[event.seq] = watch
        self._accounted.add(event.seq)
        watch.events.append(event)
        if len(watch.events) >= (watch.step.count or 1):
            watch.measured_ns = event.t - watch.anchor_ns
            for name in (watch.step.name, watch.step.save):
                if name is not None:
                    self.scope.put(name, {**event.data, "src": event.src})
            self._settle(watch, Status.MATCHED)

    def _delivered_late(self, event: EventLike) -> None:
        """Correct what was decided without an event whose time had been declared seen."""
        late = format_duration((self._watermark - event.t) / _NS)
        for watch in self._watches:
            decided = Status.MATCHED if isinstance(watch.step, Never) else Status.MISSED
            if watch.status is not decided or watch.test is None or watch.end_ns is None:
                continue
            if not watch.anchor_ns <= event.t <= watch.end_ns or not watch.test.takes_kind(event.kind):
                continue
            if watch.test.mismatches(event.data, event.src):
                continue
            self._accounted.add(event.seq)
            if isinstance(watch.step, Never):
                watch.events.append(event)
                watch.status = Status.VIOLATED
            elif event.seq not in self._taken or watch.step.shared:  # type: ignore[union-attr]
                watch.status = Status.UNOBSERVED
                watch.message = (
                    f"{event.kind} (event {event.seq}) was in time but reached the judge {late} too late"
                )
                self._errors.append(f"{watch.step.where_it_is}: {watch.message}")

    def _settle(self, watch: _Watch, status: Status) -> None:
        watch.status = status
        if watch in self._live:
            self._live.remove(watch)

    def _judge_count(self, watch: _Watch, step: Expect) -> None:
        if watch.test is None or (step.count is None and watch.status is not Status.MISSED):
            return
        fitting = [
            event
            for event in self._candidates(watch.test)
            if not watch.test.mismatches(event.data, event.src)
        ]
        if watch.status is Status.MISSED:
            # What came too late is told there; it is not a second fault.
            self._accounted.update(event.seq for event in fitting if event.t > (watch.end_ns or 0))
        if step.count is None:
            return
        watch.counted = len(fitting)
        if watch.status is Status.MATCHED:
            self._accounted.update(event.seq for event in fitting)
            if len(fitting) != step.count:
                watch.status = Status.VIOLATED
                seqs = ", ".join(str(event.seq) for event in fitting)
                watch.message = (
                    f"expected exactly {step.count} {step.kind} in the whole cell, "
                    f"there were {len(fitting)} (events {seqs})"
                )

    def _judge_order(self, watch: _Watch, step: Order) -> None:
        watch.status = Status.MATCHED
        parts: list[tuple[str, list[EventLike]]] = []
        for name in step.names:
            named = self._named.get(name)
            if named is None or named.measured_ns is None:
                watch.status = Status.UNOBSERVED
                watch.message = f"the order cannot be told: '{name}' did not come"
                return
            parts.append((name, named.events))
        watch.events = [event for _, events in parts for event in events]
        for (first, before), (second, after) in itertools.pairwise(parts):
            last, next_ = max(before, key=_moment), min(after, key=_moment)
            if last.t == next_.t and last.src != next_.src:
                watch.status = Status.UNOBSERVED
                watch.message = f"the order cannot be told: '{first}' and '{second}' have the same time"
                return
            if (last.t, last.n) >= (next_.t, next_.n):
                watch.status = Status.VIOLATED
                early = format_duration((last.t - next_.t) / _NS)
                watch.message = (
                    f"'{second}' (event {next_.seq}) came {early} before '{first}' (event {last.seq})"
                )
                return

    def _is_unexpected(self, event: EventLike) -> bool:
        if not is_strict(event.kind) or event.seq in self._accounted:
            return False
        return not any(
            allow.test.takes_kind(event.kind) and not self._mismatches(allow.test, event)
            for allow in self._allow
        )

    def _mismatches(self, test: EventTest, event: EventLike) -> tuple[str, ...]:
        try:
            return self.scope.resolve(test).mismatches(event.data, event.src)
        except Unresolved as error:
            return (str(error),)

    def _faults(self) -> tuple[FaultOutcome, ...]:
        out = []
        for fault_id, armed in self._armed.items():
            fired = self._fired.get(fault_id, [])
            data = armed[0].data
            out.append(
                FaultOutcome(
                    fault_id,
                    str(data.get("host", armed[0].src)),
                    str(data.get("fault", "")),
                    armed[0].seq,
                    len(fired),
                    tuple(event.data.get("where") for event in fired),
                    tuple(event.seq for event in fired),
                    data.get("line"),
                )
            )
        return tuple(out)

    def _outcome(self, watch: _Watch) -> Outcome:
        step = watch.step
        limit = step.within_s if isinstance(step, Expect) else step.for_s if isinstance(step, Never) else None
        near: tuple[Near, ...] = ()
        if isinstance(step, Expect) and watch.status in (Status.MISSED, Status.UNOBSERVED):
            near = self._near(watch)
        return Outcome(
            step,
            watch.status,
            watch.anchor_ns,
            watch.anchor,
            limit,
            None if watch.measured_ns is None else watch.measured_ns / _NS,
            tuple(event.seq for event in watch.events),
            watch.counted,
            watch.message or _message(watch, near),
            near,
        )

    def _near(self, watch: _Watch) -> tuple[Near, ...]:
        """Return the events that came nearest, with what was different, nearest first."""
        assert watch.test is not None
        found: list[tuple[bool, int, int, Near]] = []
        mine = {event.seq for event in watch.events}
        for event in self._candidates(watch.test):
            if event.seq in mine:
                continue
            why = list(watch.test.mismatches(event.data, event.src))
            if event.t < watch.anchor_ns:
                early = format_duration((watch.anchor_ns - event.t) / _NS)
                why.append(f"it came {early} before {watch.anchor}")
            elif watch.end_ns is not None and event.t > watch.end_ns:
                why.append(f"it came {format_duration((event.t - watch.end_ns) / _NS)} too late")
            elif event.seq in self._taken:
                why.append(f"{_place(self._taken[event.seq].step)} has taken it")
            # The very image with a wrong patient is nearer than another image with fewer differences.
            other = any(text.startswith(_IDENTITY) for text in why)
            found.append((other, len(why), -event.seq, Near(event.seq, event.kind, event.t, tuple(why))))
        if not found:
            host = watch.test.kind.partition(".")[0]
            for event in self._events:
                if event.t >= watch.anchor_ns and (
                    event.kind.startswith(f"{host}.") or is_strict(event.kind)
                ):
                    why_kind = (f"{_about(event)}, which is no {watch.test.kind}",)
                    found.append((True, 1, -event.seq, Near(event.seq, event.kind, event.t, why_kind)))
        return tuple(entry[3] for entry in sorted(found, key=lambda entry: entry[:3])[:MAX_NEAR])


def _moment(event: EventLike) -> tuple[int, int]:
    return event.t, event.n


def _place(step: Step) -> str:
    return f"line {step.line} ({step.head})"


def _about(event: EventLike) -> str:
    """An event in a few words: its kind and what tells most about it."""
    telling = ("assoc", "service", "peer", "text", "reason")
    about = [f"{key} {event.data[key]}" for key in telling if event.data.get(key) not in (None, "")]
    return event.kind + (f" ({', '.join(about)})" if about else "")


def _say(event: EventLike) -> str:
    return f"unexpected {_about(event)}, event {event.seq}"


def _message(watch: _Watch, near: tuple[Near, ...]) -> str:
    step = watch.step
    if isinstance(step, Order):
        return "in order: " + ", ".join(step.names)
    kind = watch.test.kind if watch.test is not None else step.kind
    if isinstance(step, Never):
        window = "the rest of the cell" if step.for_s is None else format_duration(step.for_s)
        if watch.status is Status.VIOLATED:
            event = watch.events[0]
            into = format_duration((event.t - watch.anchor_ns) / _NS)
            return f"{event.kind} (event {event.seq}) came {into} after {watch.anchor}, and must not for {window}"
        if watch.status is Status.UNOBSERVED:
            return f"no {kind} was seen, but the window of {window} was not observed to its end"
        return f"no {kind} for {window} after {watch.anchor}"
    limit = format_duration(step.within_s)
    wanted = step.count or 1
    if watch.measured_ns is not None:
        return f"{kind} came {format_duration(watch.measured_ns / _NS)} after {watch.anchor} (limit {limit})"
    came = f"{len(watch.events)} of {wanted} {kind}" if wanted > 1 else f"no {kind}"
    if watch.status is Status.PENDING:
        return f"waiting for {kind}: {len(watch.events)} of {wanted} within {limit} after {watch.anchor}"
    if watch.status is Status.UNOBSERVED:
        return f"{came} was seen, but the {limit} after {watch.anchor} were not observed to their end"
    text = f"{came} within {limit} after {watch.anchor}"
    if near:
        text += f"; nearest: event {near[0].seq}: {'; '.join(near[0].why)}"
        if len(near[0].why) == 1 and " before the end of line " in near[0].why[0] and step.after is None:
            text += " (give that step a name with 'as' and write 'after: <name>' here)"
    return text
