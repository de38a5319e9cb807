"""What devices and drivers tell, kept in order, and waiting for some of it."""

from __future__ import annotations

import threading
from typing import Any, Final

WAIT: Final = 20.0
"""Seconds that a test waits for an event at the most."""


class Log:
    """Events of one side, and waiting for one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._new = threading.Condition()

    def emit(self, kind: str, /, **data: Any) -> None:
        """Take an event as simulators give it."""
        self.tell(kind, data)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Take an event as drivers give it."""
        with self._new:
            self.events.append((kind, data))
            self._new.notify_all()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All events of a kind so far."""
        with self._new:
            return [d for k, d in self.events if k == kind]

    def wait(self, kind: str, count: int = 1, **wanted: Any) -> dict[str, Any]:
        """The ``count``-th event of a kind with these values."""

        def found() -> list[dict[str, Any]]:
            return [d for k, d in self.events if k == kind and wanted.items() <= d.items()]

        with self._new:
            assert self._new.wait_for(lambda: len(found()) >= count, WAIT), (kind, wanted, self.events[-5:])
            return found()[count - 1]

    def warnings(self) -> list[str]:
        """The codes of all warnings so far."""
        return [d["code"] for d in self.of("warning")]
