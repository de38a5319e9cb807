"""The allocation table of FAT as a whole: how much is free, and where its two copies differ.

Rules of this file:

* Read in pieces, each unpacked by itself: the table of a large card is many megabytes.
* What the image does not hold is not counted; a table that is not whole gives no numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.witness.medium.source import Source

PIECE: Final = 3 << 19
"""Bytes at a time, whole links of every width."""
MOST: Final = 10_000
"""Clusters in which two copies differ that are named."""
FREE: Final = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A copy of an allocation table: its first byte in the image, the bits of a link (12, 16, 32), its clusters."""

    start: int
    width: int
    clusters: int

    @property
    def bad(self) -> int:
        """The link of a cluster that must not be used."""
        return 0x0FFFFFF7 & (1 << min(self.width, 28)) - 1

    @property
    def length(self) -> int:
        """Bytes of all links; two of 12 bits share three bytes."""
        count = self.clusters + 2
        return -(-count // 2) * 3 if self.width == 12 else count * self.width // 8

    def pieces(self, source: Source) -> Iterator[tuple[int, bytes]]:
        """The bytes of the table, each piece with the cluster that it begins with."""
        for at in range(0, self.length, PIECE):
            yield at * 8 // self.width, source.read(self.start + at, min(PIECE, self.length - at))

    def links(self, data: bytes) -> Sequence[int]:
        """The links in a piece."""
        if self.width == 12:
            triples = (int.from_bytes(data[at : at + 3], "little") for at in range(0, len(data) // 3 * 3, 3))
            return tuple(half for both in triples for half in (both & 0xFFF, both >> 12))
        size = self.width // 8
        values = struct.unpack(
            f"<{len(data) // size}{'H' if size == 2 else 'I'}", data[: len(data) // size * size]
        )
        return values if size == 2 else tuple(value & 0x0FFFFFFF for value in values)


def tally(source: Source, table: Table) -> tuple[int, int] | None:
    """Count free and bad clusters; None where the table is not whole in the image."""
    free = bad = count = 0
    for first, data in table.pieces(source):
        values = table.links(data)[2 if not first else 0 : max(table.clusters + 2 - first, 0)]
        count += len(values)
        free += values.count(FREE)
        bad += values.count(table.bad)
    return (free, bad) if count == table.clusters else None


def differing(source: Source, one: Table, other: Table) -> list[int]:
    """Clusters whose links are not the same in two copies, at most so many."""
    found: list[int] = []
    for (first, a), (_, b) in zip(one.pieces(source), other.pieces(source), strict=True):
        if a == b:
            continue
        for number, (x, y) in enumerate(zip(one.links(a), other.links(b), strict=False), first):
            if x != y and 2 <= number < one.clusters + 2:
                found.append(number)
                if len(found) == MOST:
                    return found
    return found


__all__ = ["Table", "differing", "tally"]
