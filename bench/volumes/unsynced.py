"""What a medium was told and has not made durable: the log that a pull undoes, wholly or in part.

Rules of this file:
- The image holds everything that was written; the log holds what lay there before, write by write.
- What is undone is a set of sectors' writes. A sector ends as its newest write that was kept, or as it was at the
  last flush: a write below one that was kept is not seen any more, whether it was kept or not.
- A medium may lose its newest writes (an ordered cache), or any of them (most sticks: the cache is written in the
  order that suits the flash). Only a flush in between orders two writes.
- A cache has an end: what is older than that counts as durable.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

SECTOR = 512
#: Old contents held for undoing, in bytes; and writes.
CACHE_LIMIT = 256 * 1024 * 1024
CACHE_WRITES = 200_000

#: How often a write is lost in a pull that loses some: one share is drawn for each pull.
_SHARES = (0.1, 0.5, 0.9)
#: How often a write of several sectors is torn: each of its sectors has a lot of its own.
_TORN = 0.25


@dataclass(frozen=True, slots=True)
class Some:
    """Some of the unflushed writes are lost, older and newer ones by chance; the same `seed` draws the same lots."""

    seed: int | str


#: What is lost of what was not flushed: so many of the newest bytes, all (None), or some by chance.
Loss = int | None | Some


class Unsynced:
    """The writes since the last flush, oldest first."""

    def __init__(self, limit: int = CACHE_LIMIT) -> None:
        """`limit`: most bytes of old contents that are held."""
        self._limit = limit
        # offset, length, old contents (None: zeros)
        self._log: deque[tuple[int, int, bytes | None]] = deque()
        self._held = 0
        self.bytes = 0

    def add(self, offset: int, length: int, old: bytes | None) -> None:
        """Whole sectors are written; `old`: what lay there, None for zeros."""
        self._log.append((offset, length, old))
        self._held += 0 if old is None else length
        self.bytes += length
        while self._log and (self._held > self._limit or len(self._log) > CACHE_WRITES or not self._limit):
            _, oldest, kept = self._log.popleft()
            self._held -= 0 if kept is None else oldest
            self.bytes -= oldest

    def forget(self) -> None:
        """All of it is durable, or of no more interest."""
        self._log.clear()
        self._held = 0
        self.bytes = 0

    def undo(self, lose: Loss) -> Iterator[tuple[int, bytes]]:
        """What must be put back where, in this order, so that so much of it never was."""
        if isinstance(lose, Some):
            yield from self._some(random.Random(lose.seed))  # noqa: S311  # repeatable
        else:
            yield from self._newest(self.bytes if lose is None else -(-max(lose, 0) // SECTOR) * SECTOR)

    def _newest(self, left: int) -> Iterator[tuple[int, bytes]]:
        for offset, length, old in reversed(self._log):
            if left <= 0:
                return
            undo = min(left, length)
            keep = length - undo
            yield offset + keep, bytes(undo) if old is None else old[keep:]
            left -= undo

    def _some(self, chance: random.Random) -> Iterator[tuple[int, bytes]]:
        share = chance.choice(_SHARES)
        settled: set[int] = set()  # sectors of which a write was kept
        for offset, length, old in reversed(self._log):
            first, count = offset // SECTOR, length // SECTOR
            torn = count > 1 and chance.random() < _TORN
            whole = chance.random() < share
            run = 0  # sectors to be put back that end before `index`
            for index in range(count + 1):
                lost = index < count and (chance.random() < share if torn else whole)
                if lost and first + index not in settled:
                    run += 1
                    continue
                if index < count and not lost:
                    settled.add(first + index)
                if run:
                    at = (index - run) * SECTOR
                    yield offset + at, bytes(run * SECTOR) if old is None else old[at : index * SECTOR]
                    run = 0
