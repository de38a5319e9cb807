"""A directory that grows: records are hung into the tree, and the file is laid out anew, depth first (MX-D-26).

Rules of this file:

* Old records keep their bytes but for the offsets; elements around them keep theirs.
* Cost grows with the number of new records, not of old ones, but for a few passes of numpy.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final

import numpy as np

from .directory import DIRECTORY, Directory, Ints
from .elements import END_OF_SEQUENCE, UNDEFINED, file_meta
from .model import EXPLICIT_LE
from .records import LOWER_AT, NEXT_AT
from .treewalk import depth_first

ROOT: Final = -1


class Tree:
    """The records of a directory with those that come to it; records have the numbers of the directory, new ones
    follow."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self._next: list[int] = directory.next.tolist()
        self._lower: list[int] = directory.lower.tolist()
        self._first = directory.first
        self._last: dict[int, int] = {}
        self.new: list[bytes] = []

    def __len__(self) -> int:
        return len(self._next)

    def first_below(self, parent: int) -> int:
        """The first record below another one or the root; -1 when there is none."""
        return self._first if parent == ROOT else self._lower[parent]

    def below(self, parent: int) -> list[int]:
        """All records below another one, or the root."""
        found = []
        at = self.first_below(parent)
        while at >= 0:
            found.append(at)
            at = self._next[at]
        return found

    def last_below(self, parent: int) -> int:
        """The last record below another one or the root; -1 when there is none."""
        at = self._last.get(parent, self.first_below(parent))
        if at >= 0:
            then = self._next
            while then[at] >= 0:
                at = then[at]
            self._last[parent] = at
        return at

    def append(self, parent: int, record: bytes) -> int:
        """Hang a new record behind the others below *parent*; return its number."""
        number = len(self._next)
        last = self.last_below(parent)
        if last >= 0:
            self._next[last] = number
        elif parent == ROOT:
            self._first = number
        else:
            self._lower[parent] = number
        self._next.append(-1)
        self._lower.append(-1)
        self._last[parent] = number
        self.new.append(record)
        return number

    def _order(self, then: Ints, below: Ints) -> Ints:
        order = depth_first(then, below, self._first)
        if order is None:
            raise AssertionError("the tree was proved before")
        if len(order) < len(then):  # not in use, and nobody leads there: kept behind the others
            apart = np.ones(len(then), np.bool_)
            apart[order] = False
            order = np.concatenate((order, np.flatnonzero(apart)))
        return order

    def encode(self, instance: str, implementation: tuple[str, str]) -> bytes:
        """The whole DICOMDIR; *instance* is its SOP Instance UID, which identifies the file-set."""
        old = self.directory
        meta = file_meta(DIRECTORY, instance, EXPLICIT_LE, implementation)
        head = bytearray(old.data[:128] + b"DICM" + meta + old.data[old.body : old.items])
        shift = len(head) - old.items
        count = len(old)
        then, below = np.array(self._next, np.int64), np.array(self._lower, np.int64)
        order = self._order(then, below)
        sizes = np.concatenate((old.sizes, np.array([len(one) for one in self.new], np.int64)))
        placed = np.zeros(len(order), np.int64)
        ordered = sizes[order]
        placed[order] = len(head) + np.cumsum(ordered) - ordered
        total = int(ordered.sum())

        pieces: list[bytes | memoryview] = []
        view = memoryview(old.data)
        breaks = np.flatnonzero(np.diff(order) != 1) + 1
        bounds = [0, *breaks.tolist(), len(order)]
        for begin, stop in pairwise(bounds):
            if begin == stop:
                continue
            low, high = int(order[begin]), int(order[stop - 1])
            if low < count:
                until = min(high, count - 1)
                pieces.append(view[int(old.starts[low]) : int(old.starts[until] + old.sizes[until])])
            pieces.extend(self.new[max(low, count) - count : high - count + 1] if high >= count else ())
        out = np.frombuffer(bytearray(b"").join((bytes(head), *pieces)), np.uint8).copy()

        fresh = np.arange(count, len(order))
        next_at = np.concatenate((placed[:count] + (old.next_at - old.starts), placed[fresh] + NEXT_AT))
        lower_at = np.concatenate((placed[:count] + (old.lower_at - old.starts), placed[fresh] + LOWER_AT))
        for places, lead in ((next_at, then), (lower_at, below)):
            offsets = np.where(lead >= 0, placed[lead], 0) if len(lead) else lead
            out[places[:, None] + np.arange(4)] = offsets.astype("<u4").view(np.uint8).reshape(-1, 4)
        data = bytearray(out.tobytes())
        last = self.last_below(ROOT)
        struct.pack_into(
            "<I", data, old.first_at + shift, int(placed[self._first]) if self._first >= 0 else 0
        )
        if old.last_at is not None:
            struct.pack_into("<I", data, old.last_at + shift, int(placed[last]) if last >= 0 else 0)
        if old.defined:
            struct.pack_into("<I", data, len(head) - 4, total)
        else:
            struct.pack_into("<I", data, len(head) - 4, UNDEFINED)
            data += struct.pack("<HHI", END_OF_SEQUENCE >> 16, END_OF_SEQUENCE & 0xFFFF, 0)
        return bytes(data) + old.tail


__all__ = ["ROOT", "Tree"]
