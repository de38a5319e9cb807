"""Where things lie on a FAT16 or FAT32 medium: partition table, boot sector, FATs, root, clusters.

Rules of this file:
- Pure: bytes in, numbers out, and back. What does not fit together is refused with a text that says what.
- The FAT type follows from the number of clusters alone and from nothing else (Microsoft FAT specification
  1.03 "fatgen103", FAT Type Determination).
- The file-set of a USB stick or an SD card lies in the first partition, or on the whole medium when there is
  no partition table (PS3.12 Annex R.3 and Annex U.3).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from typing import Literal

from bench.volumes.device import SECTOR, BlockDevice

FatType = Literal["FAT16", "FAT32"]

MIN_FAT16 = 4085  # fewer clusters: FAT12
MIN_FAT32 = 65525
MAX_FAT32 = 0x0FFFFFF5
#: A FAT is held in memory whole; 16 MiB are 4 million clusters, 128 GB of a card's 32 KB clusters.
MAX_TABLE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one volume; sectors are of 512 bytes and counted from the start of the medium."""

    fat: FatType
    start: int  # first sector of the volume
    sectors: int  # of the volume
    cluster_sectors: int
    reserved: int
    fats: int
    fat_sectors: int
    root_entries: int  # FAT16; 0 for FAT32
    clusters: int  # data clusters; they are numbered 2 … clusters + 1
    root_cluster: int  # FAT32; 0 for FAT16
    fsinfo: int  # sector in the volume; 0: none
    backup: int  # sector in the volume; 0: none
    active_fat: int | None  # FAT32 without mirroring: the one in use
    serial: int
    label: str

    @property
    def cluster_bytes(self) -> int:
        """Bytes of one cluster."""
        return self.cluster_sectors * SECTOR

    @property
    def root_sectors(self) -> int:
        """Sectors of the fixed root directory (FAT16)."""
        return -(-self.root_entries * 32 // SECTOR)

    def fat_offset(self, copy: int) -> int:
        """Byte position of one copy of the FAT."""
        return (self.start + self.reserved + copy * self.fat_sectors) * SECTOR

    @property
    def root_offset(self) -> int:
        """Byte position of the fixed root directory (FAT16)."""
        return (self.start + self.reserved + self.fats * self.fat_sectors) * SECTOR

    @property
    def data_offset(self) -> int:
        """Byte position of cluster 2."""
        return self.root_offset + self.root_sectors * SECTOR

    def cluster_offset(self, cluster: int) -> int:
        """Byte position of a cluster."""
        return self.data_offset + (cluster - 2) * self.cluster_bytes

    @property
    def state_offset(self) -> int:
        """Byte position of the boot sector's state byte; bit 0: the volume is in use or was not unmounted."""
        return self.start * SECTOR + (0x41 if self.fat == "FAT32" else 0x25)


def no_volume(text: str) -> OSError:
    """What mount(2) says to a medium it cannot use."""
    return OSError(errno.EINVAL, text)


def find_volume(device: BlockDevice) -> Layout:
    """The layout of the first partition, or of the whole medium where it has none. OSError(EINVAL) says why
    there is no FAT16 or FAT32 volume; OSError(EIO) if the medium cannot be read."""
    first = device.read(0, SECTOR)
    if first[510:512] != b"\x55\xaa":
        if not any(first):
            raise no_volume("the medium is not formatted: its first sector is empty")
        raise no_volume("the medium is not formatted: its first sector has no boot signature")
    if looks_like_boot(first):
        return parse_boot(first, 0, device.size // SECTOR)
    for number in range(4):
        entry = first[446 + 16 * number : 462 + 16 * number]
        status, kind = entry[0], entry[4]
        start, count = struct.unpack_from("<II", entry, 8)
        if status not in (0x00, 0x80):
            raise no_volume("the first sector is neither a FAT boot sector nor a partition table")
        if kind == 0 or count == 0:
            continue
        if kind == 0xEE:
            raise no_volume("the medium has a GPT; the file-set belongs in the first partition of an MBR")
        if start == 0 or start + count > device.size // SECTOR:
            raise no_volume(
                f"partition {number + 1} lies outside the medium: {count} sectors from {start}, "
                f"the medium has {device.size // SECTOR}"
            )
        boot = device.read(start * SECTOR, SECTOR)
        if boot[510:512] != b"\x55\xaa":
            raise no_volume(f"partition {number + 1} is not formatted: no boot signature")
        return parse_boot(boot, start, count)
    raise no_volume("the medium is partitioned but has no partition in use")


def looks_like_boot(sector: bytes) -> bool:
    """A boot sector begins with a jump; a partition table's sector may too, but has no BIOS parameter block."""
    if sector[0] not in (0xEB, 0xE9):
        return False
    if sector[3:11] in (b"EXFAT   ", b"NTFS    "):
        return True
    size = struct.unpack_from("<H", sector, 11)[0]
    return size in (512, 1024, 2048, 4096) and sector[16] != 0


def parse_boot(boot: bytes, start: int, available: int) -> Layout:
    """The layout from a boot sector (fatgen103, Boot Sector and BPB) of a volume with `available` sectors."""
    if boot[3:11] == b"EXFAT   ":
        raise no_volume("the medium is formatted as exFAT; a file-set wants FAT16 or FAT32")
    if boot[3:11] == b"NTFS    ":
        raise no_volume("the medium is formatted as NTFS; a file-set wants FAT16 or FAT32")
    sector_bytes, cluster_sectors, reserved, fats, root_entries, total16, media, fat16 = struct.unpack_from(
        "<HBHBHHBH", boot, 11
    )
    total32, fat32 = struct.unpack_from("<II", boot, 32)
    if sector_bytes != SECTOR:
        raise no_volume(f"corrupt boot sector: sectors of {sector_bytes} bytes on a medium of 512")
    if cluster_sectors == 0 or cluster_sectors & (cluster_sectors - 1):
        raise no_volume(f"corrupt boot sector: {cluster_sectors} sectors per cluster")
    if reserved == 0 or fats == 0 or fats > 4:
        raise no_volume(f"corrupt boot sector: {reserved} reserved sectors, {fats} FATs")
    if media < 0xF0:
        raise no_volume(f"corrupt boot sector: media byte 0x{media:02x}")
    total = total16 or total32
    fat_sectors = fat16 or fat32
    if total == 0 or total > available:
        raise no_volume(f"corrupt boot sector: {total} sectors in a volume of {available}")
    if fat_sectors == 0:
        raise no_volume("corrupt boot sector: the FAT has no sectors")
    head = reserved + fats * fat_sectors + -(-root_entries * 32 // SECTOR)
    if head + cluster_sectors > total:
        raise no_volume(f"corrupt boot sector: {head} sectors before the data in a volume of {total}")
    clusters = (total - head) // cluster_sectors
    if clusters < MIN_FAT16:
        raise no_volume(f"the medium is formatted as FAT12 ({clusters} clusters); wanted are FAT16 or FAT32")
    if clusters > MAX_FAT32:
        raise no_volume(f"corrupt boot sector: {clusters} clusters")
    is32 = clusters >= MIN_FAT32
    # As Linux does: a FAT without 16-bit length is FAT32's, whatever the count says.
    if is32 != (fat16 == 0):
        raise no_volume(f"corrupt boot sector: {clusters} clusters do not go with its FAT's length field")
    entries = fat_sectors * SECTOR // (4 if is32 else 2)
    clusters = min(clusters, entries - 2)
    if clusters < 1 or fat_sectors * SECTOR > MAX_TABLE:
        raise no_volume(f"the FAT has {fat_sectors} sectors, which is not usable")
    root_cluster = fsinfo = backup = 0
    active: int | None = None
    if is32:
        flags, version, root_cluster, fsinfo, backup = struct.unpack_from("<HHIHH", boot, 40)
        if version:
            raise no_volume(f"FAT32 version 0x{version:04x} is unknown")
        if root_entries:
            raise no_volume("corrupt boot sector: FAT32 with a fixed root directory")
        if not 2 <= root_cluster < clusters + 2:
            raise no_volume(f"corrupt boot sector: the root directory's cluster {root_cluster} is outside")
        if flags & 0x80:
            active = flags & 0x0F
            if active >= fats:
                raise no_volume(f"corrupt boot sector: FAT {active} of {fats} is the active one")
        fsinfo = 0 if fsinfo == 0xFFFF or fsinfo >= reserved else fsinfo
        backup = 0 if backup == 0xFFFF or backup >= reserved else backup
    elif root_entries == 0:
        raise no_volume("corrupt boot sector: FAT16 without a root directory")
    at = 0x43 if is32 else 0x27
    serial, label = struct.unpack_from("<I11s", boot, at)
    return Layout(
        fat="FAT32" if is32 else "FAT16",
        start=start,
        sectors=total,
        cluster_sectors=cluster_sectors,
        reserved=reserved,
        fats=fats,
        fat_sectors=fat_sectors,
        root_entries=root_entries,
        clusters=clusters,
        root_cluster=root_cluster,
        fsinfo=fsinfo,
        backup=backup,
        active_fat=active,
        serial=serial,
        label=label.decode("cp437").rstrip(),
    )
