"""FAT images in bytes: what is asked for is written, right or wrong; images are sparse.

    fat_image(path, {("README.TXT",): b"hello"}, kind="FAT32", partition=None, spoil=lambda volume: ...)

Rules of this file: nothing is repaired; raw 8.3 names, long names, chains and deleted entries are at the caller's will.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

Path8 = tuple[str, ...]
SECTOR: Final = 512


def short_name(name: str) -> bytes:
    """The 11 raw bytes of a name, as it is written: no upper case, no tilde."""
    base, _, extension = name.partition(".")
    raw = base.encode("latin-1")[:8].ljust(8) + extension.encode("latin-1")[:3].ljust(3)
    return b"\x05" + raw[1:] if raw[:1] == b"\xe5" else raw


def long_entries(name: str, raw: bytes) -> bytes:
    """Entries of a long name for a raw one."""
    check = 0
    for byte in raw:
        check = ((check >> 1) + ((check & 1) << 7) + byte) & 0xFF
    text = name.encode("utf-16-le") + b"\0\0"
    text += b"\xff" * (-len(text) % 26)
    if len(name) % 13 == 0:
        text = name.encode("utf-16-le")
    parts = [text[at : at + 26] for at in range(0, len(text), 26)]
    out = []
    for number in range(len(parts), 0, -1):
        part = parts[number - 1]
        order = number | (0x40 if number == len(parts) else 0)
        out.append(
            bytes([order]) + part[:10] + b"\x0f\0" + bytes([check]) + part[10:22] + b"\0\0" + part[22:26]
        )
    return b"".join(out)


@dataclass
class Volume:
    """A FAT file system being made; ``table`` may be changed before it is written."""

    kind: str
    clusters: int
    cluster: int
    label: str
    fragmented: bool = False
    table: dict[int, int] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    first: dict[Path8, int] = field(default_factory=dict)
    free: int = 2
    root: bytes = b""

    @property
    def end(self) -> int:
        """The mark of the last cluster."""
        return {"FAT12": 0xFFF, "FAT16": 0xFFFF, "FAT32": 0x0FFFFFFF}[self.kind]

    def store(self, data: bytes) -> int:
        """Put bytes into clusters; returns the first."""
        if not data:
            return 0
        pieces = [data[at : at + self.cluster] for at in range(0, len(data), self.cluster)]
        numbers = []
        for _ in pieces:
            numbers.append(self.free)
            self.free += 2 if self.fragmented else 1
        for number, then, piece in zip(numbers, [*numbers[1:], self.end], pieces, strict=True):
            self.table[number] = then
            self.data[number] = piece
        return numbers[0]


def entry(raw: bytes, first: int, size: int, attributes: int = 0x20) -> bytes:
    """One entry of a folder."""
    return raw + bytes([attributes]) + bytes(8) + struct.pack("<HIHI", first >> 16, 0, first & 0xFFFF, size)


def fat_image(
    path: Path,
    files: dict[Path8, bytes],
    *,
    kind: str = "FAT16",
    partition: int | None = 1,
    start: int = 2048,
    label: str = "BENCH",
    cluster: int = 4096,
    clusters: int | None = None,
    fragmented: bool = False,
    raw_names: dict[Path8, bytes] | None = None,
    long_names: dict[Path8, str] | None = None,
    deleted: tuple[str, ...] = (),
    type_: int | None = None,
    spoil: Callable[[Volume], None] | None = None,
) -> Path:
    """Write an image: *partition* is the number of the MBR entry (None: no partition table).

    Args:
        path: of the image.
        files: bytes by names from the root down; folders are made.
        raw_names: raw 8.3 bytes of some files or folders instead of their own.
        long_names: long names of some.
        deleted: names of entries in the root that are marked as deleted.
        spoil: changes the volume before it is written.
    """
    count = clusters or {"FAT12": 2000, "FAT16": 8000, "FAT32": 70000}[kind]
    volume = Volume(kind, count, cluster, label, fragmented)
    if kind == "FAT32":
        volume.free = 3
    names = dict(raw_names or {})
    long = dict(long_names or {})

    def folder(here: Path8, parent: int, own: int | None) -> bytes:
        listing = b""
        if not here:
            listing += entry(label.encode().ljust(11), 0, 0, 0x08)
            for name in deleted:
                listing += entry(b"\xe5" + short_name(name)[1:], 2, 10)
        else:
            listing += entry(b".".ljust(11), own or 0, 0, 0x10) + entry(b"..".ljust(11), parent, 0, 0x10)
        children = sorted(
            {path[: len(here) + 1] for path in files if path[: len(here)] == here and path != here}
        )
        for child in children:
            raw = names.get(child, short_name(child[-1]))
            if child in long:
                listing += long_entries(long[child], raw)
            if child in files:
                volume.first[child] = first = volume.store(files[child])
                listing += entry(raw, first, len(files[child]))
            else:
                number = volume.free
                volume.free += 2 if fragmented else 1
                volume.first[child] = number
                inner = folder(child, own or 0, number)
                if len(inner) > cluster:
                    rest = volume.store(inner[cluster:])
                else:
                    rest = volume.end
                volume.table[number], volume.data[number] = rest, inner[:cluster].ljust(cluster, b"\0")
                listing += entry(raw, number, 0, 0x10)
        return listing

    volume.root = folder((), 0, None)
    if spoil is not None:
        spoil(volume)
    per = cluster // SECTOR
    width = {"FAT12": 12, "FAT16": 16, "FAT32": 32}[kind]
    table_sectors = ((count + 2) * width // 8 + SECTOR) // SECTOR
    reserved = 32 if kind == "FAT32" else 1
    roots = 0 if kind == "FAT32" else 512
    first_data = reserved + 2 * table_sectors + roots * 32 // SECTOR
    total = first_data + count * per
    base = 0 if partition is None else start * SECTOR
    boot = bytearray(SECTOR)
    boot[:11] = b"\xeb\x3c\x90MSDOS5.0"
    struct.pack_into(
        "<HBHBHHBHHHII", boot, 11, SECTOR, per, reserved, 2, roots, 0, 0xF8,
        0 if kind == "FAT32" else table_sectors, 63, 255, 0 if partition is None else start, total,
    )  # fmt: skip
    if kind == "FAT32":
        struct.pack_into("<IHHIHH", boot, 36, table_sectors, 0, 0, 2, 1, 6)
        boot[66], boot[71:82], boot[82:90] = 0x29, label.encode().ljust(11), b"FAT32   "
    else:
        boot[38], boot[43:54], boot[54:62] = 0x29, label.encode().ljust(11), kind.encode().ljust(8)
    boot[510:] = b"\x55\xaa"
    if kind == "FAT32":
        root = volume.root
        volume.table[2], volume.data[2] = volume.end, root[:cluster]
        if len(root) > cluster:
            volume.table[2] = volume.store(root[cluster:])
    table = bytearray(table_sectors * SECTOR)
    links = {0: {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[width], 1: volume.end} | volume.table
    for number, value in links.items():
        if width == 12:
            at = number * 3 // 2
            old = struct.unpack_from("<H", table, at)[0]
            new = (old & 0x000F) | value << 4 if number & 1 else (old & 0xF000) | value
            struct.pack_into("<H", table, at, new & 0xFFFF)
        else:
            struct.pack_into("<H" if width == 16 else "<I", table, number * width // 8, value)
    with path.open("wb") as out:
        if partition is not None:
            mbr = bytearray(SECTOR)
            kinds = {"FAT12": 1, "FAT16": 0x0E, "FAT32": 0x0C}
            at = 446 + 16 * (partition - 1)
            struct.pack_into(
                "<B3sB3sII", mbr, at, 0, b"\xfe\xff\xff", type_ or kinds[kind], b"\xfe\xff\xff", start, total
            )
            mbr[510:] = b"\x55\xaa"
            out.write(mbr)
        out.seek(base)
        out.write(boot)
        if kind == "FAT32":
            info = bytearray(SECTOR)
            info[:4], info[484:488], info[510:] = b"RRaA", b"rrAa", b"\x55\xaa"
            used = len(volume.table)
            struct.pack_into("<II", info, 488, count - used, volume.free)
            out.write(info)
            out.seek(base + 6 * SECTOR)
            out.write(boot)
        for copy in range(2):
            out.seek(base + (reserved + copy * table_sectors) * SECTOR)
            out.write(table)
        if kind != "FAT32":
            out.seek(base + (reserved + 2 * table_sectors) * SECTOR)
            out.write(volume.root)
        for number, data in volume.data.items():
            out.seek(base + first_data * SECTOR + (number - 2) * cluster)
            out.write(data)
        out.seek(0, os.SEEK_END)
        out.truncate(base + total * SECTOR)
    return path


__all__ = ["Path8", "Volume", "entry", "fat_image", "long_entries", "short_name"]
