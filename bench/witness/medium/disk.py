"""What an image is: a partition table or a bare file system, and which file systems there are.

Rules of this file:

* A master boot record and the first sector of FAT look alike; a sector is FAT when its parameters make sense.
* Only primary partitions are looked at, an extended one is named; behind a protective one (EEH) stands a GUID partition
  table, of which the first entries are read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from bench.witness.medium.fatform import Geometry, geometry
from bench.witness.medium.model import Partition, Trouble
from bench.witness.medium.source import Source

SECTOR: Final = 512
FAT_TYPES: Final = frozenset((0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E))
"""Types of partitions that hold FAT; 07H is exFAT or NTFS."""
PROTECTIVE: Final = 0xEE
MOST_BY_GUID: Final = 16


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
    if len(head) < SECTOR:
        return "", (), troubles
    if head[510:512] != b"\x55\xaa":
        if not leads_to_fat(head, lambda first: source.read(first, SECTOR)):
            return "", (), troubles
        text = "the partition table is not signed with 55AAH: few systems look into it"
        troubles.append(Trouble("unsigned", text, offset=510))
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
        if head[at] not in (0, 0x80):
            text = f"partition {number + 1} is neither active (80H) nor not (00H): {head[at]:02X}H"
            troubles.append(Trouble("active", text, offset=at))
        partitions.append(Partition(number + 1, kind, first, length * SECTOR, inside))
    for one in partitions:
        for other in partitions:
            if one.number < other.number and (
                one.start < other.start + other.length and other.start < one.start + one.length
            ):
                text = f"partitions {one.number} and {other.number} share sectors"
                troubles.append(Trouble("partition", text, offset=446))
    if any(one.type == PROTECTIVE for one in partitions):
        return "gpt", _by_guid(source) or tuple(partitions), troubles
    return "mbr", tuple(partitions), troubles


def leads_to_fat(head: bytes, read: Callable[[int], bytes]) -> bool:
    """Tell whether a first sector, signed or not, has an entry of a partition in which FAT begins."""
    for number in range(4):
        at = 446 + 16 * number
        start, length = struct.unpack_from("<II", head, at + 8)
        if head[at + 4] and start and length and isinstance(geometry(read(start * SECTOR)), Geometry):
            return True
    return False


def _by_guid(source: Source) -> tuple[Partition, ...]:
    """The partitions of a GUID partition table; none when there is no header behind the protective record."""
    head = source.read(SECTOR, SECTOR)
    if head[:8] != b"EFI PART":
        return ()
    (begin,), (count, size) = struct.unpack_from("<Q", head, 72), struct.unpack_from("<II", head, 80)
    if not 128 <= size <= 4096:
        return ()
    found = []
    for number in range(min(count, MOST_BY_GUID)):
        entry = source.read(begin * SECTOR + number * size, 128)
        if len(entry) < 128 or not any(entry[:16]):
            continue
        first, last = struct.unpack_from("<QQ", entry, 32)
        if last >= first > 0:
            inside = name_of(source.read(first * SECTOR, SECTOR))
            length = (last - first + 1) * SECTOR
            found.append(Partition(number + 1, PROTECTIVE, first * SECTOR, length, inside))
    return tuple(found)


def damaged(head: bytes) -> bool:
    """Tell whether a first sector that is none of FAT was one, by the name that formatters write into it."""
    return b"FAT" in (head[54:57], head[82:85]) or head[3:8] in (b"MSDOS", b"MSWIN", b"mkfs.")


__all__ = ["FAT_TYPES", "PROTECTIVE", "damaged", "leads_to_fat", "look", "name_of"]
