"""What an image is: a partition table or a bare file system, and which file systems there are.

Rules of this file:

* A master boot record and the first sector of FAT look alike; a sector is FAT when its parameters make sense.
* Only primary partitions are looked at; an extended or protective (GPT) one is named.
"""

from __future__ import annotations

import struct
from typing import Final

from bench.witness.medium.fat import Geometry, geometry
from bench.witness.medium.model import Partition, Trouble
from bench.witness.medium.source import Source

SECTOR: Final = 512
FAT_TYPES: Final = frozenset((0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E))
"""Types of partitions that hold FAT; 07H is exFAT or NTFS."""


def name_of(head: bytes) -> str:
    """Name the file system of a first sector; empty when it is none that is known.

    >>> name_of(b"\\xeb\\x76\\x90EXFAT   " + bytes(501))
    'exFAT'
    """
    if head[3:11] == b"EXFAT   ":
        return "exFAT"
    if head[3:11] == b"NTFS    ":
        return "NTFS"
    found = geometry(head)
    return found.kind if isinstance(found, Geometry) else ""


def look(source: Source) -> tuple[str, tuple[Partition, ...], list[Trouble]]:
    """Return scheme (mbr, gpt, none, or empty: nothing known), partitions, and what is wrong with them."""
    head = source.read(0, SECTOR)
    troubles: list[Trouble] = []
    if name_of(head):
        return "none", (), troubles
    if len(head) < SECTOR or head[510:512] != b"\x55\xaa":
        return "", (), troubles
    partitions = []
    for number in range(4):
        at = 446 + 16 * number
        kind = head[at + 4]
        start, length = struct.unpack_from("<II", head, at + 8)
        if not kind or not length:
            continue
        first = start * SECTOR
        if first >= source.size:
            text = f"partition {number + 1} begins at byte {first}, behind the end of the medium"
            troubles.append(Trouble("partition", text, offset=at))
        elif first + length * SECTOR > source.size:
            text = (
                f"partition {number + 1} ends {first + length * SECTOR - source.size} bytes behind the medium"
            )
            troubles.append(Trouble("partition", text, offset=at))
        inside = name_of(source.read(first, SECTOR)) if first else ""
        partitions.append(Partition(number + 1, kind, first, length * SECTOR, inside))
    for one in partitions:
        for other in partitions:
            if one.number < other.number and (
                one.start < other.start + other.length and other.start < one.start + one.length
            ):
                text = f"partitions {one.number} and {other.number} share sectors"
                troubles.append(Trouble("partition", text, offset=446))
    if any(one.type == 0xEE for one in partitions):
        return "gpt", tuple(partitions), troubles
    return "mbr", tuple(partitions), troubles


__all__ = ["FAT_TYPES", "look", "name_of"]
