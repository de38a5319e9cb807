"""The boot sector of FAT12, FAT16 and FAT32: which of them it is, and where its areas are.

Rule of this file: the kind follows from the number of clusters, as Microsoft's specification says, and from the layout
where that leaves no doubt.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

CLUSTERS: Final = 1 << 28
"""Clusters that are looked at, at most."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where things are, in bytes from the start of the file system."""

    kind: str
    sector: int
    cluster: int
    table: int
    table_size: int
    root: int
    root_size: int
    root_cluster: int
    data: int
    clusters: int
    size: int
    label: str
    tables: int = 2
    mirrored: bool = True
    """Whether all tables are kept alike; otherwise :attr:`table` is the one in use (FAT32 only)."""


def geometry(head: bytes) -> Geometry | str:
    """Read the parameters of a first sector; a sentence when they make no sense."""
    if len(head) < 512:
        return "there is no whole first sector"
    sector, per, reserved, tables, roots, small, _media, short = struct.unpack_from("<HBHBHHBH", head, 11)
    large, long = struct.unpack_from("<I", head, 32)[0], struct.unpack_from("<I", head, 36)[0]
    if sector not in (512, 1024, 2048, 4096) or not per or per & (per - 1):
        return f"{sector} bytes in a sector and {per} sectors in a cluster cannot be"
    if not reserved or not 1 <= tables <= 2 or head[510:512] != b"\x55\xaa" or head[0] not in (0xEB, 0xE9):
        return "this is no boot sector of a FAT file system"
    total, size = small or large, short or long
    root_size = (roots * 32 + sector - 1) // sector
    first = reserved + tables * size + root_size
    if not total or not size or first >= total:
        return "the areas of the FAT file system do not fit into it"
    clusters = (total - first) // per
    kind = "FAT12" if clusters < 4085 else "FAT16" if clusters < 65525 else "FAT32"
    if kind == "FAT32" and short:
        kind = "FAT16"
    if not short and not roots:
        kind = "FAT32"
    elif kind == "FAT12" and head[54:59] == b"FAT16" and size * sector >= 2 * (clusters + 2):
        kind = "FAT16"  # too small for one, and made as one
    flags = struct.unpack_from("<H", head, 40)[0] if kind == "FAT32" else 0
    active = flags & 0xF if flags & 0x80 and flags & 0xF < tables else 0
    at = 71 if kind == "FAT32" else 43
    label = head[at : at + 11].decode("latin-1").rstrip() if head[at - 5] == 0x29 else ""
    return Geometry(
        kind,
        sector,
        per * sector,
        (reserved + active * size) * sector,
        size * sector,
        (reserved + tables * size) * sector,
        roots * 32,
        struct.unpack_from("<I", head, 44)[0] if kind == "FAT32" else 0,
        first * sector,
        min(clusters, CLUSTERS),
        total * sector,
        "" if label == "NO NAME" else label,
        tables,
        not flags & 0x80,
    )


__all__ = ["CLUSTERS", "Geometry", "geometry"]
