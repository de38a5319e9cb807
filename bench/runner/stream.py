"""The one stream of events of a cell: many sources in, one journal and one expectation engine at the end.

Rules of this file:

* One thread (the pump) writes the journal and feeds the engine; everybody else only puts events into its queue.
* The engine is touched under :attr:`Stream.lock` only, and every change notifies :attr:`Stream.changed`.
* Waiting is always bounded by a CLOCK_MONOTONIC deadline in ns; nothing polls.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from bench.expect import Engine
from bench.journal import Event, JournalWriter, read_clock_pair

CLOCK_EVERY_S: Final = 1.0
"""Both clocks are journalled together this often (DESIGN, time)."""

HALF_OPEN_FACTOR: Final = 16
STEADY: Final = frozenset({"clock.pair", "ultrasound.frame", "ultrasound.late", "ultrasound.dropped"})
"""What goes on for ever by itself, and so says nothing about whether a cell has come to rest."""

STOOD_STILL_S: Final = 1.0
"""A picture stream that the bench itself holds up for so long looks to a product like one that broke off."""

Listener = Callable[[Event], None]
_Item = tuple[str, int | None, int, str, dict[str, Any]]


class Stream:
    """Journal, engine and listeners behind one queue."""

    def __init__(self, journal: JournalWriter, engine: Engine) -> None:
        self.journal = journal
        self.engine = engine
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.last_ns = time.monotonic_ns()
        self._open: dict[tuple[str, Any], bool] = {}
        """Open connections of the simulators, and whether a cable was pulled since they were opened."""
        self.errors: list[str] = []
        self._queue: queue.SimpleQueue[_Item | threading.Event | None] = queue.SimpleQueue()
        self._numbers: dict[str, int] = {}
        self._listeners: list[Listener] = []
        self._thread = threading.Thread(target=self._pump, name="journal", daemon=True)
        self._started = False
        self._closed = False

    def start(self) -> None:
        """Begin to write; before this, published events wait in the queue.  A second call does nothing."""
        if not self._started:
            self._started = True
            self._thread.start()

    def publish(self, src: str, n: int | None, t: int, kind: str, data: dict[str, Any]) -> None:
        """Hand over one event that its source stamped; without ``n`` the stream numbers it itself."""
        self._queue.put((src, n, t, kind, data))

    def say(self, src: str, kind: str, /, **data: Any) -> None:
        """An event of the bench's own, stamped now."""
        self.publish(src, None, time.monotonic_ns(), kind, data)

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` in the pump's thread for every event from now on; it must not block."""
        with self.lock:
            self._listeners.append(listener)

    def _pump(self) -> None:
        next_clock = 0.0
        while True:
            now = time.monotonic()
            if now >= next_clock:
                next_clock = now + CLOCK_EVERY_S
                self.say("bench", "clock.pair", **read_clock_pair().to_data())
            try:
                item = self._queue.get(timeout=max(0.0, next_clock - now))
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, threading.Event):
                item.set()
                continue
            self._take(*item)

    def _take(self, src: str, n: int | None, t: int, kind: str, data: dict[str, Any]) -> None:
        with self.lock:
            try:
                if n is None:
                    n = self._numbers[src] = self._numbers.get(src, 0) + 1
                event = self.journal.append(src, n, t, kind, data)
                self.engine.feed(event)
            except Exception as error:
                # The journal refuses what it does not know: the bench's fault, and it must be seen.
                self.errors.append(f"{src} {kind}: {type(error).__name__}: {error}")
                self.changed.notify_all()
                return
            if kind not in STEADY:
                self.last_ns = time.monotonic_ns()
            self._count(event)
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception as error:
                    self.errors.append(f"on {kind}: {type(error).__name__}: {error}")
            self.changed.notify_all()

    def _count(self, event: Event) -> None:
        """Keep account of open connections, and of what the bench itself could not do."""
        if event.kind == "wire.open":
            self._open[event.src, event.data.get("assoc")] = False
        elif event.kind == "wire.close":
            self._open.pop((event.src, event.data.get("assoc")), None)
        elif event.kind == "link.pulled":
            self._open = dict.fromkeys(self._open, True)
        elif event.kind == "bench.error":
            self.errors.append(f"{event.data.get('where', event.src)}: {event.data.get('message', '')}")
        elif event.kind == "ultrasound.late" and event.data.get("seconds", 0) >= STOOD_STILL_S:
            self.errors.append(
                f"the ultrasound front end stood still for {event.data['seconds']:.1f} s: this machine is too busy "
                f"(event {event.seq})"
            )

    @property
    def _silence_factor(self) -> int | None:
        """How many times the usual silence is needed: 1 with nothing open, None while something is.

        A connection that was open while a cable was pulled may be dead at one end for ever; a long silence has to do.
        """
        if not self._open:
            return 1
        return HALF_OPEN_FACTOR if all(self._open.values()) else None

    def drain(self, timeout_s: float = 10.0) -> None:
        """Return when everything published before this call is in the journal."""
        self.start()
        mark = threading.Event()
        self._queue.put(mark)
        if not mark.wait(timeout_s):
            self.errors.append("the journal did not keep up with its sources")

    def wait(self, predicate: Callable[[], bool], until_ns: int) -> bool:
        """Wait (under the lock) until ``predicate`` holds or CLOCK_MONOTONIC passes ``until_ns``."""
        with self.changed:
            while not predicate():
                left = (until_ns - time.monotonic_ns()) / 1e9
                if left <= 0:
                    return False
                self.changed.wait(left)
            return True

    def quiesce(self, silence_s: float, timeout_s: float) -> bool:
        """Wait until no connection is open and nothing was said for ``silence_s``; False if that never came."""
        end = time.monotonic_ns() + int(timeout_s * 1e9)
        while True:
            with self.changed:
                now = time.monotonic_ns()
                factor = self._silence_factor
                quiet_at = end if factor is None else self.last_ns + int(silence_s * factor * 1e9)
                if factor is not None and now >= quiet_at:
                    return True
                if now >= end:
                    return False
                self.changed.wait(max(0.001, (min(end, quiet_at) - now) / 1e9))

    def close(self) -> None:
        """Write what is left and end the pump; the journal itself is closed by its owner."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self.start()
            self._thread.join()
