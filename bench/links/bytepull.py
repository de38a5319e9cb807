"""A cable that is pulled when it has carried a number of bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bench.links.network import Direction, NetworkError, PullReport


class PullAtBytes:
    """Watches a counter in a thread of its own and pulls the cable when it passed a mark.

    It sleeps for as long as the line needs at most half of what is missing, and at most a millisecond, so
    that the pull comes as close behind the byte as the scheduler allows.
    """

    def __init__(
        self,
        pull: Callable[[str], int],
        link: str,
        asked: int,
        direction: Direction,
        line_rate: int,
        count: Callable[[], int],
        on_fired: Callable[[PullReport], None],
    ) -> None:
        self._pull = pull
        self._link = link
        self._asked = asked
        self._direction: Direction = direction
        self._rate = line_rate / 8
        self._count = count
        self._on_fired = on_fired
        self._start = count()
        self._cancelled = threading.Event()
        self._report: PullReport | None = None
        self._thread = threading.Thread(target=self._watch, name=f"pull-{link}", daemon=True)
        self._thread.start()

    @property
    def fired(self) -> PullReport | None:
        """The report, once it fired."""
        return self._report

    def cancel(self) -> None:
        """Disarm; no effect once it fired.  Returns when the watch has ended."""
        self._cancelled.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(5)

    def _watch(self) -> None:
        while not self._cancelled.is_set():
            try:
                missing = self._asked - (self._count() - self._start)
                if missing <= 0:
                    self._fire()
                    return
            except (OSError, NetworkError):
                return  # the network is being taken down
            time.sleep(min(0.001, max(0.00002, missing / self._rate / 2)))

    def _fire(self) -> None:
        moment = self._pull(self._link)
        reached = self._count() - self._start
        self._report = PullReport(self._link, self._direction, self._asked, reached, moment)
        self._on_fired(self._report)
