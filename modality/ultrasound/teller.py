"""Events of the scanner, told one after the other from a thread of their own.

Rules of this file:

* Who tells never waits; who is told may call back, and take its time.
* A listener that fails is logged and told the next event all the same.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

OnEvent = Callable[[str, dict[str, Any]], None]


class Teller:
    """One listener."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._events: queue.SimpleQueue[tuple[str, dict[str, Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ultrasound-events", daemon=True)

    def open(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def close(self) -> None:
        """Tell what is left and end."""
        self._events.put(None)
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(10.0)

    def post(self, kind: str, data: dict[str, Any]) -> None:
        """Tell an event."""
        self._events.put((kind, data))

    def warn(self, peer: str, code: str, text: str) -> None:
        """Tell a warning for the operator."""
        self.post("warning", {"service": "acquisition", "peer": peer, "code": code, "text": text})

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                self._on_event(*event)
            except Exception:
                logging.getLogger(__name__).exception("an event of the scanner was not taken: %s", event[0])
