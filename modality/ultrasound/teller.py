"""Events of the scanner, told one after the other from a thread of their own.

Rules of this file:

* Who tells never waits; who is told may call back, and take its time.
* A listener that fails is logged and told the next event all the same.
* No more than :data:`MOST` events wait: then the oldest states and warnings are left out (and that is logged), never
  what an operator did as long as there is anything else.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

OnEvent = Callable[[str, dict[str, Any]], None]

MOST: Final = 1000
PASSING: Final = frozenset({"state", "warning"})
"""Events that newer ones make up for."""


class Teller:
    """One listener."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._ready = threading.Condition()
        self._events: deque[tuple[str, dict[str, Any]]] = deque()
        self._left_out = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ultrasound-events", daemon=True)

    def open(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def close(self) -> None:
        """Tell what is left and end."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(10.0)

    def post(self, kind: str, data: dict[str, Any]) -> None:
        """Tell an event."""
        with self._ready:
            if len(self._events) >= MOST:
                oldest = next((i for i, (k, _) in enumerate(self._events) if k in PASSING), 0)
                del self._events[oldest]
                self._left_out += 1
            self._events.append((kind, data))
            self._ready.notify()

    def warn(self, peer: str, code: str, text: str) -> None:
        """Tell a warning for the operator."""
        self.post("warning", {"service": "acquisition", "peer": peer, "code": code, "text": text})

    def _next(self) -> tuple[str, dict[str, Any]] | None:
        with self._ready:
            self._ready.wait_for(lambda: self._events or self._closed)
            left_out, self._left_out = self._left_out, 0
            event = self._events.popleft() if self._events else None
        if left_out:
            logging.getLogger(__name__).warning("%d events of the scanner were left out", left_out)
        return event

    def _run(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._on_event(*event)
            except Exception:
                logging.getLogger(__name__).exception("an event of the scanner was not taken: %s", event[0])
