"""What FAT keeps twice or only as a help: the media byte, the copy of the boot sector, the count of free clusters.

Rules of this file:

* Nothing here decides where a file is; what does not fit is told, and the rest of the medium is read as it is.
* A value that the specification allows to be unknown is no trouble.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from bench.witness.medium.model import Trouble
from bench.witness.medium.source import Source

UNKNOWN: Final = 0xFFFFFFFF
_PARAMETERS: Final = slice(11, 90)
"""Of a FAT32 boot sector: its parameters and its name, without the code."""
_MEDIA: Final = frozenset((0xF0, *range(0xF8, 0x100)))


def hints(source: Source, start: int, table: int, free: int | None) -> Iterator[Trouble]:
    """What does not fit in a file system.

    Args:
        source: the image.
        start: where the file system begins in it.
        table: where its allocation table in use begins, counted from there.
        free: how many clusters are free; None where it is not known.
    """
    head = source.read(start, 512)
    first = source.read(start + table, 1)
    if head[21] not in _MEDIA or first != head[21:22]:
        said = first[0] if first else 0
        text = f"the boot sector says media {head[21]:02X}H, and the allocation table {said:02X}H"
        yield Trouble("media-byte", text, offset=start + 21)
    if not struct.unpack_from("<H", head, 22)[0]:  # only FAT32 keeps the other two
        yield from _copy(source, start, head)
        yield from _counted(source, start, head, free)


def _copy(source: Source, start: int, head: bytes) -> Iterator[Trouble]:
    sector, number = struct.unpack_from("<H", head, 11)[0], struct.unpack_from("<H", head, 50)[0]
    if number in (0, 0xFFFF):
        return
    copy = source.read(start + number * sector, 512)
    if copy[_PARAMETERS] != head[_PARAMETERS] or copy[510:512] != b"\x55\xaa":
        text = f"the copy of the boot sector (sector {number}) is not like it"
        yield Trouble("boot-copy", text, offset=start + number * sector)


def _counted(source: Source, start: int, head: bytes, free: int | None) -> Iterator[Trouble]:
    sector, number = struct.unpack_from("<H", head, 11)[0], struct.unpack_from("<H", head, 48)[0]
    if number in (0, 0xFFFF):
        return
    where = start + number * sector
    data = source.read(where, 512)
    if data[:4] != b"RRaA" or data[484:488] != b"rrAa":
        yield Trouble("free-count", f"sector {number} should count free clusters and does not", offset=where)
        return
    (said,) = struct.unpack_from("<I", data, 488)
    if free is not None and said not in (UNKNOWN, free):
        text = f"{said} clusters are said to be free, and {free} are"
        yield Trouble("free-count", text, offset=where + 488)


__all__ = ["hints"]
