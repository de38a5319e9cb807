"""A check of a whole FAT volume, read afresh from the medium: what fsck would complain about, and no repair.

Rules of this file:
- It reads the medium and nothing that a mounted volume holds in memory.
- Bounded: every cluster is visited once, at most MAX_FINDINGS lines are given.
- The rules are those of Microsoft's FAT specification (fatgen103).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.volumes import fatnames as names
from bench.volumes.device import SECTOR, BlockDevice
from bench.volumes.layout import Layout, find_volume

MAX_FINDINGS = 200
MAX_ENTRIES = 2_000_000
_DOTS = (b".          ", b"..         ")


def check_device(device: BlockDevice) -> list[str]:
    """Findings about the volume on a device that is not mounted; OSError if there is none."""
    return check_volume(device, find_volume(device), mounted=False)


def check_volume(device: BlockDevice, layout: Layout, *, mounted: bool) -> list[str]:
    """Findings about a volume; the dirty bits are right while it is `mounted`."""
    return list(_Findings(device, layout, mounted).run())[:MAX_FINDINGS]


class _Findings:
    def __init__(self, device: BlockDevice, layout: Layout, mounted: bool) -> None:
        self._device = device
        self._layout = layout
        self._mounted = mounted
        self._found: list[str] = []
        self._wide = layout.fat == "FAT32"
        copies = [
            device.read(layout.fat_offset(copy), layout.fat_sectors * SECTOR) for copy in range(layout.fats)
        ]
        if layout.active_fat is None and any(copy != copies[0] for copy in copies[1:]):
            self._say("the copies of the FAT differ")
        raw = copies[layout.active_fat or 0]
        cells: npt.NDArray[Any] = np.frombuffer(raw, dtype="<u4" if self._wide else "<u2")
        self._cells = cells & 0x0FFFFFFF if self._wide else cells
        self._stop = layout.clusters + 2
        self._used = bytearray(self._stop)
        self._entries = 0

    def run(self) -> Iterator[str]:
        layout = self._layout
        if not self._mounted:
            clean = int(self._cells[1]) & (0x08000000 if self._wide else 0x8000)
            if self._device.read(layout.state_offset, 1)[0] & 1 or not clean:
                self._say("the volume was not unmounted: its dirty bit is set")
        if self._wide:
            root = self._chain(layout.root_cluster, "/")
            places = [(layout.cluster_offset(cluster), layout.cluster_bytes) for cluster in root]
        else:
            places = [(layout.root_offset, layout.root_sectors * SECTOR)]
        # No recursion: a hostile medium may be as deep as it likes.
        waiting: list[tuple[str, list[tuple[int, int]], int, int]] = [("/", places, 0, 0)]
        while waiting and len(self._found) < MAX_FINDINGS and self._entries < MAX_ENTRIES:
            path, places, own, parent = waiting.pop()
            try:
                raw = b"".join(self._device.read(at, length) for at, length in places)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                self._say(f"{path}: cannot be read: {error.strerror}")
                continue
            for name, start in self._directory(path, raw, own, parent):
                chain = self._chain(start, name)
                below = [(layout.cluster_offset(cluster), layout.cluster_bytes) for cluster in chain]
                waiting.append((name + "/", below, start, own))
        taken = self._cells[2 : self._stop]
        known = np.frombuffer(self._used, dtype=np.uint8)[2:]
        bad = 0x0FFFFFF7 if self._wide else 0xFFF7
        lost = int(np.count_nonzero((taken != 0) & (taken != bad) & (known == 0)))
        if lost:
            self._say(f"{lost} clusters are in use but belong to no file")
        if self._wide and layout.fsinfo and not self._mounted:
            sector = self._device.read((layout.start + layout.fsinfo) * SECTOR, SECTOR)
            told = struct.unpack_from("<I", sector, 488)[0]
            free = int(np.count_nonzero(taken == 0))
            if told not in (free, 0xFFFFFFFF):
                self._say(f"FSInfo tells of {told} free clusters, there are {free}")
        yield from self._found

    def _say(self, text: str) -> None:
        if len(self._found) < MAX_FINDINGS:
            self._found.append(text)

    def _chain(self, start: int, name: str, limit: int | None = None) -> list[int]:
        """The clusters of a chain as far as they are its own; each is taken once."""
        chain: list[int] = []
        cluster = start
        last = 0x0FFFFFF8 if self._wide else 0xFFF8
        while True:
            if not 2 <= cluster < self._stop:
                self._say(f"{name}: its chain leads to {cluster or 'a free cluster'}")
                break
            if self._used[cluster]:
                self._say(f"{name}: its chain comes to cluster {cluster}, which is already in use")
                break
            if limit is not None and len(chain) == limit:
                self._say(f"{name}: its chain is longer than its size")
                limit = None
            self._used[cluster] = 1
            chain.append(cluster)
            following = int(self._cells[cluster])
            if following >= last:
                break
            cluster = following
        return chain

    def _directory(self, path: str, raw: bytes, own: int, parent: int) -> list[tuple[str, int]]:
        """Look at one directory's entries; its sub-directories as (path, first cluster)."""
        found: list[tuple[str, int]] = []
        seen: set[str] = set()
        parts: list[bytes] = []
        check, expect = -1, 0
        ended = False
        for at in range(0, len(raw), 32):
            entry = raw[at : at + 32]
            self._entries += 1
            if entry[0] == 0:
                ended = True
                break
            if entry[0] == 0xE5:
                if parts:
                    self._say(f"{path}: a part of a long name without its file")
                parts = []
                continue
            if entry[11] & 0x3F == names.ATTR_LONG:
                if entry[0] & 0x40:
                    if parts:
                        self._say(f"{path}: a part of a long name without its file")
                    parts, check = [], entry[13]
                    expect = entry[0] & 0x3F
                elif not parts or (entry[0] & 0x3F) != expect - len(parts) or entry[13] != check:
                    self._say(f"{path}: a part of a long name out of order")
                parts.append(entry[1:11] + entry[14:26] + entry[28:32])
                continue
            short = entry[:11]
            attributes = entry[11]
            high, low, size = struct.unpack("<H4xHI", entry[20:32])
            start = low | (high << 16 if self._wide else 0)
            if attributes & names.ATTR_VOLUME:
                parts = []
                continue
            if own and at < 64:
                if short != _DOTS[at // 32] or start != (own, parent)[at // 32]:
                    self._say(f"{path}: its entry {at // 32} is not {'.' * (at // 32 + 1)}")
                continue
            name = names.short_text(short, entry[12])
            aliases = {names.fold(names.short_text(short))}
            if parts:
                text = names.long_text(parts[::-1]) if names.checksum(short) == check else ""
                if not text or expect != len(parts):
                    self._say(f"{path}{name}: its long name is not its own")
                else:
                    name = text
                    aliases.add(names.fold(text))
            parts = []
            if seen & aliases:
                self._say(f"{path}{name}: the name is there twice")
            seen |= aliases
            full = path + name
            if attributes & names.ATTR_DIR:
                found.append((full, start))
                if size:
                    self._say(f"{full}: a directory with a size")
                continue
            needed = -(-size // self._layout.cluster_bytes)
            if not start:
                if size:
                    self._say(f"{full}: {size} bytes without a cluster")
                continue
            if len(self._chain(start, full, needed)) < needed:
                self._say(f"{full}: its chain is shorter than its {size} bytes")
        if parts and ended:
            self._say(f"{path}: a part of a long name without its file")
        return found
