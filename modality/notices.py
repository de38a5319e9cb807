"""What the operator is told: warnings and changes of state, kept and sent to every listener.

Rules of this file:

* One warning = one entry of the log = one ``modality.warning`` event (VX-D-10), with service, peer and text.
* A listener that raises or is slow never stops the console; nor does a disk that cannot take the log's line.
* ``t`` of an event is CLOCK_MONOTONIC in ns, taken when the thing happened.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from .store import Store

Listener = Callable[[dict[str, Any]], None]


class ServiceFailure(Exception):
    """A DICOM service could not be done; becomes one warning.

    Args:
        service: verification, worklist, mpps or storage.
        peer: name of the configured peer.
        text: one sentence for the operator.
        details: ``result``/``source``/``reason`` of a rejection, ``abort``, ``timeout``, ``status``… (VX-D-10).
    """

    def __init__(self, service: str, peer: str, text: str, **details: Any) -> None:
        super().__init__(text)
        self.service, self.peer, self.text = service, peer, text
        self.details = details


class Notices:
    """The operator's log and the source of all events."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every event until the returned function is called."""
        with self._lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send an event to every listener."""
        event = {"event": kind, "t": time.monotonic_ns(), "data": dict(data)}
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(event)
            except Exception:  # noqa: S112 (one broken listener must not silence the others)
                continue

    def state(self, **data: Any) -> None:
        """Something of the console changed: ``what`` says what."""
        self.emit("modality.state", data)

    def warn(self, service: str, peer: str, text: str, **details: Any) -> dict[str, Any]:
        """Raise one warning."""
        data = {"service": service, "peer": peer, "text": text, **details}
        with contextlib.suppress(sqlite3.Error):  # a full disk is told as well as anything else
            self._store.add_warning(datetime.now().isoformat(timespec="milliseconds"), data)
        self.emit("modality.warning", data)
        return data

    def failure(self, failure: ServiceFailure) -> dict[str, Any]:
        """Raise the warning of a failed service."""
        return self.warn(failure.service, failure.peer, failure.text, **failure.details)
