"""Formatting an image as real cards are: FAT16 or FAT32, with or without a partition table, sparse.

Rules of this file:
- Cluster sizes and alignment as the SD Association's formatter and Windows choose them: cards of up to 2 GB are
  FAT16 with clusters of 16 or 32 KB, SDHC cards of 4-32 GB FAT32 with 32 KB, the partition begins at sector
  8192. The data area begins on a cluster boundary of the medium.
- Only what holds something is written: a 32 GB card takes a few kilobytes.
- Fields by Microsoft's FAT specification (fatgen103: BPB, FSInfo Sector Structure, Backup Boot Sector).
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from pathlib import Path
from typing import Literal

from bench.volumes.device import SECTOR
from bench.volumes.fatnames import short_date, short_time
from bench.volumes.layout import MIN_FAT16, MIN_FAT32, FatType, Layout, parse_boot

KB, MB, GB = 1024, 1024 * 1024, 1024 * 1024 * 1024
MEDIA = 0xF8
_FORBIDDEN = frozenset('"*+,./:;<=>?[\\]|')


def format_image(
    path: str | os.PathLike[str],
    *,
    size: int,
    fat: FatType | None = "FAT16",
    label: str = "",
    cluster: int | None = None,
    partition: Literal["mbr", "none"] = "mbr",
    serial: int | None = None,
) -> Layout | None:
    """Make the image `path` anew with `size` bytes and format it; `fat` None leaves it unformatted (zeros).

    `label` has up to 11 characters of ASCII, `cluster` is in bytes (None: as real cards of this size),
    `serial` the 32-bit volume number. Returns the layout (None if unformatted). ValueError if it cannot be.
    """
    if size <= 0 or size % SECTOR:
        raise ValueError(f"a medium's size is a multiple of {SECTOR} bytes, not {size}")
    sectors = size // SECTOR
    if sectors > 0xFFFFFFFF:
        raise ValueError("a medium has at most 2 TiB")
    pieces: list[tuple[int, bytes]] = []
    layout: Layout | None = None
    if fat is not None:
        name = _label(label)
        start = 0 if partition == "none" else 8192 if size >= 64 * MB else 2048
        if partition not in ("mbr", "none"):
            raise ValueError(f"a medium has the partition mbr or none, not {partition!r}")
        if serial is None:
            serial = zlib.crc32(f"{fat} {size} {label}".encode())
        boot = _boot_sector(fat, start, sectors - start, cluster or default_cluster(size, fat), name, serial)
        try:
            layout = parse_boot(boot, start, sectors - start)
        except OSError as error:
            raise ValueError(f"nothing could mount that: {error.strerror}") from error
        pieces = _volume(layout, boot, name)
        if partition == "mbr":
            pieces.insert(0, (0, _partition_table(layout, serial)))
    target = Path(path)
    with target.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
    return layout


def default_cluster(size: int, fat: FatType) -> int:
    """Bytes of a cluster on a card of this size, as sold; small test sizes get what gives the FAT type."""
    if fat == "FAT16":
        for limit, cluster in ((10 * MB, 1 * KB), (80 * MB, 2 * KB), (1 * GB, 16 * KB)):
            if size <= limit:
                return cluster
        return 32 * KB
    for limit, cluster in ((280 * MB, 512), (560 * MB, 2 * KB), (3 * GB, 4 * KB)):
        if size <= limit:
            return cluster
    return 32 * KB if size <= 64 * GB else 64 * KB


def _label(label: str) -> bytes:
    if len(label) > 11 or not label.isascii() or not all(c.isprintable() for c in label):
        raise ValueError(f"a volume's label has up to 11 characters of ASCII: {label!r}")
    if _FORBIDDEN & set(label):
        raise ValueError(f"a volume's label has none of {''.join(sorted(_FORBIDDEN))}: {label!r}")
    return label.upper().encode("ascii").ljust(11) if label.strip() else b"NO NAME    "


def _boot_sector(fat: FatType, start: int, sectors: int, cluster: int, name: bytes, serial: int) -> bytes:
    if cluster < SECTOR or cluster > 64 * KB or cluster & (cluster - 1):
        raise ValueError(f"a cluster has 512 bytes to 64 KB, a power of two, not {cluster}")
    per = cluster // SECTOR
    width = 2 if fat == "FAT16" else 4
    root_entries = 512 if fat == "FAT16" else 0
    root_sectors = root_entries * 32 // SECTOR
    reserved = 1 if fat == "FAT16" else 32
    # The FAT must hold the clusters that are left beside it: grow it until it does.
    fat_sectors = 1
    while True:
        head = reserved + 2 * fat_sectors + root_sectors
        pad = -(start + head) % per  # the data begins on a cluster boundary of the medium
        clusters = (sectors - head - pad) // per
        if clusters < 1:
            raise ValueError(f"{sectors} sectors are too few for a {fat} volume")
        needed = -(-(clusters + 2) * width // SECTOR)
        if needed <= fat_sectors:
            break
        fat_sectors = needed
    reserved += pad
    low, high = (MIN_FAT16, MIN_FAT32) if fat == "FAT16" else (MIN_FAT32, 0x0FFFFFF5)
    if not low <= clusters < high or reserved > 0xFFFF:
        raise ValueError(
            f"{fat} has {low} to {high - 1} clusters; {cluster} bytes each would make {clusters}"
        )
    boot = bytearray(SECTOR)
    small = sectors if sectors < 0x10000 and fat == "FAT16" else 0
    struct.pack_into("<3s8s", boot, 0, b"\xeb\x58\x90" if fat == "FAT32" else b"\xeb\x3c\x90", b"MSDOS5.0")
    struct.pack_into(
        "<HBHBHHBHHHII",
        boot,
        11,
        SECTOR,
        per,
        reserved,
        2,
        root_entries,
        small,
        MEDIA,
        fat_sectors if fat == "FAT16" else 0,
        63,
        255,
        start,
        0 if small else sectors,
    )
    at = 36
    if fat == "FAT32":
        struct.pack_into("<IHHIHH", boot, 36, fat_sectors, 0, 0, 2, 1, 6)
        at = 64
    kind = b"FAT16   " if fat == "FAT16" else b"FAT32   "
    struct.pack_into("<BBBI11s8s", boot, at, 0x80, 0, 0x29, serial & 0xFFFFFFFF, name, kind)
    boot[510:512] = b"\x55\xaa"
    return bytes(boot)


def _volume(layout: Layout, boot: bytes, name: bytes) -> list[tuple[int, bytes]]:
    base = layout.start * SECTOR
    pieces = [(base, boot)]
    if layout.fat == "FAT16":
        head = struct.pack("<HH", 0xFF00 | MEDIA, 0xFFFF)
        root = layout.root_offset
    else:
        head = struct.pack("<III", 0x0FFFFF00 | MEDIA, 0x0FFFFFFF, 0x0FFFFFFF)
        root = layout.cluster_offset(layout.root_cluster)
        info = bytearray(SECTOR)
        struct.pack_into("<I", info, 0, 0x41615252)
        struct.pack_into("<III", info, 484, 0x61417272, layout.clusters - 1, 3)
        struct.pack_into("<I", info, 508, 0xAA550000)
        for sector in (0, layout.backup):
            pieces.append((base + sector * SECTOR, boot))
            pieces.append((base + (sector + layout.fsinfo) * SECTOR, bytes(info)))
            pieces.append((base + (sector + 2) * SECTOR, bytes(510) + b"\x55\xaa"))
    pieces += [(layout.fat_offset(copy), head) for copy in range(layout.fats)]
    if name != b"NO NAME    ":
        now = time.time()
        entry = struct.pack("<11sB10xHH6x", name, 0x08, short_time(now), short_date(now))
        pieces.append((root, entry))
    return pieces


def _partition_table(layout: Layout, serial: int) -> bytes:
    sector = bytearray(SECTOR)
    struct.pack_into("<I", sector, 440, (serial ^ 0x5A5A5A5A) & 0xFFFFFFFF)
    kind = 0x0C if layout.fat == "FAT32" else 0x04 if layout.sectors < 0x10000 else 0x06
    end = layout.start + layout.sectors - 1
    entry = struct.pack("<B3sB3sII", 0, _chs(layout.start), kind, _chs(end), layout.start, layout.sectors)
    sector[446:462] = entry
    sector[510:512] = b"\x55\xaa"
    return bytes(sector)


def _chs(sector: int) -> bytes:
    """Cylinder, head and sector in the three bytes of a partition table, for 255 heads of 63 sectors."""
    cylinder, rest = divmod(sector, 255 * 63)
    if cylinder > 1023:
        return b"\xfe\xff\xff"
    head, number = divmod(rest, 63)
    return bytes((head, (number + 1) | (cylinder >> 8) << 6, cylinder & 0xFF))
