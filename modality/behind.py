"""Calls made behind the caller's back, in order: for what must be written down but need not be waited for.

Rules of this file: every call is made before the block ends, whatever ends it; the first one that fails is told there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any


class Behind:
    """A function whose calls are made by a thread of their own; use as a context manager."""

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call
        self._waiting: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="behind", daemon=True)
        self._error: BaseException | None = None

    def __call__(self, *args: Any) -> None:
        self._waiting.put(args)

    def __enter__(self) -> Behind:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _work(self) -> None:
        while (args := self._waiting.get()) is not None:
            try:
                self._call(*args)
            except Exception as error:
                self._error = self._error or error
