"""How far an operation is: bytes that were compared, encoded and written, of how many.

Rules of this file:

* What is done never becomes less.  Of how many it is, becomes certain only while images are looked at: what has to be
  written is a guess before.
* Whoever works on something long tells it piece by piece: there the operator may stop it.
"""

from __future__ import annotations

from .model import Progress


class Work:
    """The work of one operation."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._done = self._known = self._guess = 0

    def more(self, size: int) -> None:
        """So many bytes will be told beside those that are known of."""
        self._known += size

    def guess(self, size: int) -> None:
        """So many bytes will probably be told beside those that are known of; replaces the guess before."""
        self._guess = size

    def tell(self, size: int) -> None:
        """So many bytes are done.

        Raises:
            Stop: the operator wants no more.
        """
        self._done += size
        if self._progress is not None:
            total = self._known + self._guess
            self._progress(min(self._done, total), total)

    def part(self, size: int) -> Part:
        """Something of so many bytes, which is known of from now on."""
        self.more(size)
        return Part(self, size)


class Part:
    """A part of the work that is told in whatever steps it is done in, and counts as a whole when it ends."""

    def __init__(self, work: Work, size: int) -> None:
        self._work = work
        self._size = self._left = size

    def tell(self, size: int) -> None:
        """So many bytes of it are done; of more than there are, only those that there are."""
        size = min(size, self._left)
        self._left -= size
        self._work.tell(size)

    def share(self, done: int, total: int) -> None:
        """So much of it is done in another measure."""
        self.tell(max(0, self._size * done // max(total, 1) - (self._size - self._left)))

    def end(self) -> None:
        """The rest of it need not be done."""
        self.tell(self._left)
