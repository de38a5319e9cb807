"""How what a FAT volume holds in memory comes to the medium: a file, a folder, everything, or what is old.

Rules of this file:
- An entry goes before what it does not point to any more is free; a chain goes before its entry (`Files.sync`).
- What lost its name is held until the next synchronisation of anything, as Linux' FAT driver keeps one table for all
  files and writes it with each. A name that still points there on the medium then points to free clusters.
- What waits for :data:`AGE_S` is written, not flushed, as a kernel writes back what is old.
- The caller holds the volume's lock, and has seen that the volume may be written.
"""

from __future__ import annotations

import struct

from bench.volumes.device import SECTOR
from bench.volumes.fatdir import Access, Directory, Node
from bench.volumes.fatfile import Files

#: After so many seconds a kernel writes back on its own (Linux: vm.dirty_expire_centisecs).
AGE_S = 30.0


class WriteBack:
    """What of one volume waits, and its own state on the medium: dirty bits and hints."""

    def __init__(self, access: Access, files: Files) -> None:
        self._device = access.device
        self._layout = access.layout
        self._table = access.table
        self._folders = access.waiting
        self._files = files
        self._since: float | None = None

    def file(self, node: Node, *, datasync: bool = False) -> None:
        """Write one file's chain and entry; with `datasync` no entry of which only times wait."""
        self._files.sync(node, datasync=datasync)
        self._free_held()

    def folder(self, directory: Directory) -> None:
        """Write the names of one directory; what a renamed file's new name stands for is not among them."""
        if directory.node is not None:
            self._files.sync(directory.node)
        directory.flush()
        self._free_held()

    def everything(self) -> None:
        """Write all that waits, and the hints."""
        for node in list(self._files.waiting.values()):
            self._files.sync(node)
        for directory in list(self._folders):
            directory.flush()
        self._free_held()
        self.hint(write=True)

    def old(self, now: float) -> bool:
        """Whether something has waited for long enough; `now`: seconds of the clock of the calls before."""
        if not (self._files.waiting or self._files.held or self._folders):
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= AGE_S:
            self._since = None
            return True
        return False

    def mark(self, *, clean: bool) -> None:
        """Set or take back both dirty bits (fatgen103, FAT[1]; Linux: FAT_STATE_DIRTY)."""
        at = self._layout.state_offset
        state = self._device.read(at, 1)[0]
        self._table.set_clean(clean)
        self._table.flush()
        self._device.write(at, bytes((state & ~1 if clean else state | 1,)))

    def marked(self) -> bool:
        """Whether one of them is set."""
        return bool(self._device.read(self._layout.state_offset, 1)[0] & 1) or not self._table.is_clean

    def hint(self, write: bool = False) -> int:
        """FAT32's hints (fatgen103, FSInfo Sector Structure): where to look next; with `write`, as it is now."""
        if not self._layout.fsinfo:
            return 0
        at = (self._layout.start + self._layout.fsinfo) * SECTOR
        sector = self._device.read(at, SECTOR)
        if sector[:4] != b"RRaA" or sector[484:488] != b"rrAa":
            return 0
        following = self._table.hint if self._table.hint < self._table.stop else 2
        fields = struct.pack("<II", self._table.free, following)
        if write and sector[488:496] != fields:
            self._device.write(at, sector[:488] + fields + sector[496:])
        return int(struct.unpack_from("<I", sector, 492)[0])

    def _free_held(self) -> None:
        self._files.let_go()
        self._table.flush()
