"""Hashing beside receiving: lanes, each a thread that hashes while the association's thread receives.

Rules of this file:

* ``hashlib`` releases the GIL, so the lanes of an object (the file, its pixel data) run on cores of their own.
* What waits in a lane is bounded by :data:`SLOTS` chunks; a sender that is faster than the hash is slowed by TCP.
* A job is used by one association at a time and by one lane at a time; results are read after :meth:`Job.result`.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Sequence
from typing import Final, TypeAlias

SLOTS: Final = 16
"""Chunks that may wait in one lane; a chunk is at most one receive buffer (256 KB)."""

Chunk: TypeAlias = bytes | memoryview


class Job:
    """SHA-256 of values that come in pieces: ``None`` in a list of pieces ends a value."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._digests: list[str] = []
        self._done = threading.Event()

    def work(self, pieces: Sequence[Chunk | None]) -> None:
        """Hash pieces now, in the calling thread."""
        for piece in pieces:
            if piece is None:
                self._digests.append(self._sha.hexdigest())
                self._sha = hashlib.sha256()
            else:
                self._sha.update(piece)

    def end(self) -> None:
        """Nothing more will come."""
        self._done.set()

    def result(self) -> list[str]:
        """The digests of all values (hex), when all is hashed."""
        self._done.wait()
        return self._digests


class Lane:
    """A thread that works for jobs in the order of their pieces."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[tuple[Job, Sequence[Chunk | None] | None] | None] = queue.SimpleQueue()
        self._slots = threading.Semaphore(SLOTS)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job, pieces: Sequence[Chunk | None]) -> None:
        """Hand over pieces; blocks while the lane is full."""
        self._slots.acquire()
        self._queue.put((job, pieces))

    def finish(self, job: Job) -> None:
        """All pieces of a job were handed over."""
        self._queue.put((job, None))

    def stop(self) -> None:
        """End the thread when all is hashed."""
        self._queue.put(None)
        self._thread.join(5)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            job, pieces = entry
            if pieces is None:
                job.end()
            else:
                job.work(pieces)
                self._slots.release()
            del entry, job, pieces  # or the last chunk lives until the next one comes
