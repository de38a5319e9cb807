"""The bytes that came and were not understood yet, in one block of memory that the kernel writes into.

Rules of this file:

* Nothing is copied but what is left of an unfinished PDU, once per receive, to the front of the block.
* The block is never resized, but replaced: views that were handed out stay readable, though their content lives only
  until the next :meth:`ReceiveBuffer.space`.
* Small while little arrives (an idle association costs 4 KB), large while much does, and larger than that only for
  one PDU that needs it, growing as its bytes arrive and not as its header claims.
"""

from __future__ import annotations

from typing import Final

IDLE_SIZE: Final = 4096


class ReceiveBuffer:
    """Bytes ``data[start:end]`` are pending; the caller moves ``start`` on as it understands them."""

    __slots__ = ("_best", "_filled", "_offered", "data", "end", "start", "view")

    def __init__(self, best: int) -> None:
        """``best``: the size to grow to while a peer fills what is offered to it."""
        self._best = best
        self.data = bytearray(IDLE_SIZE)
        self.view = memoryview(self.data)
        self.start = self.end = self._offered = 0
        self._filled = False

    @property
    def full(self) -> bool:
        """Whether everything is pending, so that only a larger block could take more."""
        return self.end - self.start == len(self.data)

    def space(self, most: int) -> memoryview:
        """Free space to receive into, never empty; ``most``: the size that one PDU may make necessary."""
        self._to_front()
        size, pending = len(self.data), self.end
        if self._filled and size < self._best:
            # The peer sent more than was offered: offer more.
            self._resize(min(size * 4, self._best))
        elif pending == size:
            self._resize(min(size * 4, most))
        elif size > self._best and pending * 4 < self._best:
            self._resize(self._best)
        self._offered = len(self.data) - pending
        return self.view[pending:]

    def added(self, count: int) -> bool:
        """``count`` bytes were written into :meth:`space`; False when that cannot be."""
        if not 0 <= count <= self._offered:
            return False
        self._filled = count == self._offered > 0
        self._offered = 0
        self.end += count
        return True

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes by copying, whatever size that takes."""
        end = self.end + len(data)
        if end > len(self.data):
            self._to_front()
            end = self.end + len(data)
            if end > len(self.data) or len(self.data) > self._best:
                self._resize(max(end, IDLE_SIZE))
        self.view[self.end : end] = data
        self.end = end

    def shrink(self) -> None:
        """Give back what is not needed for the pending bytes."""
        self._to_front()
        size = max(IDLE_SIZE, self.end)
        if len(self.data) > size:
            self._resize(size)
        self._filled = False

    def _to_front(self) -> None:
        pending = self.end - self.start
        if pending and self.start:
            self.view[:pending] = self.view[self.start : self.end]
        self.start, self.end = 0, pending

    def _resize(self, size: int) -> None:
        fresh = bytearray(size)
        view = memoryview(fresh)
        view[: self.end] = self.view[: self.end]
        self.data, self.view = fresh, view
