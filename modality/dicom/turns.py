"""Who may have an association with a peer: one at a time, in the order of asking (MX-VER-005 and sisters, ruling C8).

Rules of this file: a peer is address, port and called AE title; peers do not wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_turns: dict[tuple[str, int, str], list[threading.Event]] = {}


@contextmanager
def turn(host: str, port: int, ae_title: str) -> Iterator[None]:
    """Wait until nobody has an association with this peer, and keep others from it until the end."""
    key = host, port, ae_title.strip()
    mine = threading.Event()
    with _lock:
        waiting = _turns.setdefault(key, [])
        waiting.append(mine)
        if len(waiting) == 1:
            mine.set()
    mine.wait()
    try:
        yield
    finally:
        with _lock:
            waiting.remove(mine)
            if waiting:
                waiting[0].set()
            else:
                del _turns[key]
