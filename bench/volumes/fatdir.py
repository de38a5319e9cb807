"""Directories of a FAT volume: entries read, found, placed and taken out again.

Rules of this file:
- A directory is held in memory whole and written back by the sector, at once: slots of one name in ascending order,
  taken out in descending order of sectors, so a yank in between leaves at most parts of a long name, which every
  reader skips (fatgen103, FAT Long Directory Entries).
- What a renaming changes waits in memory for flush(), and so does every later change of the same directory, so that
  none overtakes another. A sector that is written for another reason takes along what waits in it. `update` never
  waits: it is how one entry comes to the medium before its directory does (Linux: __fat_write_inode).
- Nothing read is trusted: size, chain, order and checksum of long names, the first cluster. A directory has at
  most 65,536 entries (fatgen103); what is reached by two ways is no tree and refused.
- Names are found without regard to case, by their long or their short form.
"""

from __future__ import annotations

import errno
import struct
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.volumes import fatnames as names
from bench.volumes.device import SECTOR, BlockDevice
from bench.volumes.fattable import FatTable, Run
from bench.volumes.layout import Layout

ENTRY = names.ENTRY
MAX_SLOTS = 65536
DELETED = 0xE5
DOT, DOTDOT = b".          ", b"..         "
_FORMAT = struct.Struct("<11sBBBHHHHHHHI")


@dataclass(eq=False, slots=True)
class Node:
    """A file or directory: what its entry says, and what is known of its clusters."""

    name: str
    short: bytes
    attributes: int
    start: int
    size: int
    mtime: float
    inode: int
    case: int = 0
    created: tuple[int, int, int] = (0, 0, 0)  # hundredths, time, date as stored
    accessed: int = 0  # date as stored
    parent: Directory | None = None
    first: int = 0  # slot of its first entry (long name or short)
    slot: int = 0  # slot of its short entry
    handles: int = 0
    gone: bool = False  # unlinked while open
    runs: list[Run] | None = None
    firsts: list[int] = field(default_factory=list)  # index in the file of each run's first cluster
    clusters: int = 0
    pending: tuple[int, int] | None = None  # (tail or 0, head): a new part of the chain, not linked yet
    moved: bool = False  # renamed, and its entry at the new place does not say yet what it is
    dirty: bool = False  # the entry waits to be written
    times_only: bool = True  # and nothing else of it than times
    content: Directory | None = None

    @property
    def is_dir(self) -> bool:
        """Whether this is a directory."""
        return bool(self.attributes & names.ATTR_DIR)

    def pack(self, *, empty: bool = False) -> bytes:
        """The 32 bytes of its short entry (fatgen103, FAT 32 Byte Directory Entry Structure); `empty`: of none."""
        hundredths, clock, date = self.created
        return _FORMAT.pack(
            self.short,
            self.attributes,
            self.case,
            hundredths,
            clock,
            date,
            self.accessed,
            0 if empty else self.start >> 16,
            names.short_time(self.mtime),
            names.short_date(self.mtime),
            0 if empty else self.start & 0xFFFF,
            0 if empty or self.is_dir else self.size,
        )


@dataclass(frozen=True, slots=True)
class Access:
    """What directories need of their volume."""

    device: BlockDevice
    layout: Layout
    table: FatTable
    corrupt: Callable[[str], OSError]
    inode: Callable[[], int]
    #: first clusters that more than one entry points to
    shared: set[int] = field(default_factory=set)
    #: those with changes that are not on the medium yet
    waiting: list[Directory] = field(default_factory=list)


class Directory:
    """One directory, read from the medium."""

    def __init__(self, access: Access, start: int, node: Node | None) -> None:
        """Read the directory that begins at cluster `start` (0: FAT16's fixed root). OSError(EIO) if corrupt."""
        self._access = access
        self.node = node
        self.start = start
        layout = access.layout
        if start == 0:
            self._unit = layout.root_sectors * SECTOR
            self._units = [layout.root_offset]
        else:
            self._unit = layout.cluster_bytes
            limit = max(1, MAX_SLOTS * ENTRY // self._unit)
            self._units = [
                layout.cluster_offset(cluster)
                for first, count in access.table.follow(start, limit)
                for cluster in range(first, first + count)
            ]
        self.raw = bytearray(b"".join(access.device.read(at, self._unit) for at in self._units))
        self._end = 0
        self._holes: list[int] = []
        self._stale: list[int] = []
        self._late: set[int] = set()  # sectors that wait
        self._by_name: dict[str, Node] = {}
        self._by_alias: dict[str, Node] = {}
        self._shorts: set[bytes] = set()
        self._hints: dict[bytes, int] = {}
        self._parse()

    # ---- looking -------------------------------------------------------------------------------------------

    def find(self, name: str) -> Node | None:
        """The node of that name or alias, without regard to case."""
        for key in (names.fold(name), names.fold(name.rstrip("."))):
            node = self._by_name.get(key) or self._by_alias.get(key)
            if node is not None:
                return node
        return None

    def nodes(self) -> list[Node]:
        """All files and directories, in the order of their entries."""
        return sorted(self._by_name.values(), key=lambda node: node.slot)

    @property
    def empty(self) -> bool:
        """Whether it holds nothing but itself and its parent."""
        return not self._by_name

    @property
    def waits(self) -> bool:
        """Whether changes of it are not on the medium yet."""
        return bool(self._late)

    # ---- changing ------------------------------------------------------------------------------------------

    def add(self, node: Node, name: str, *, late: bool = False) -> None:
        """Give `node` an entry under `name` (cleaned, not there yet, unless it is the node's own). OSError
        (ENOSPC), with nothing changed, if there is no room. `late`: it waits, and is empty until update()."""
        own = node.short if node.parent is self else None
        short = names.as_short(name)
        if short is None:
            short = names.short_alias(name, self._shorts - {own} if own else self._shorts, self._hints)
            data = names.long_entries(name, short)
        else:
            data = b""
        count = len(data) // ENTRY + 1
        first = self._room(count)
        former = (node.short, node.case)
        node.short, node.case = short, 0
        try:
            self._store(first, data + node.pack(empty=late), late=late)
        except OSError:
            node.short, node.case = former
            raise
        if first < self._end:
            self._holes = [hole for hole in self._holes if not first <= hole < first + count]
        self._end = max(self._end, first + count)
        node.name, node.parent, node.first, node.slot = name, self, first, first + count - 1
        self._remember(node)

    def update(self, node: Node) -> None:
        """Write the node's short entry anew: one sector, at once."""
        self._store(node.slot, node.pack(), now=True)

    def replace(self, old: Node, new: Node) -> None:
        """Let `new` have the entry of `old`, and its name; the medium is told by update()."""
        new.short, new.case, new.name = old.short, old.case, old.name
        new.parent, new.first, new.slot = self, old.first, old.slot
        self._by_name[names.fold(old.name)] = new
        self._by_alias[names.fold(names.short_text(old.short))] = new

    def remove(self, node: Node, *, late: bool = False) -> None:
        """Take the node's entries out: the short one first where they lie in several sectors. `late`: it waits."""
        last = node.slot
        while last >= node.first:
            first = max(node.first, self._sector(last) * SECTOR // ENTRY)
            self._store_many({slot: self._dead(slot) for slot in range(first, last + 1)}, late=late)
            last = first - 1
        self._release(node)

    def set_parent(self, start: int) -> None:
        """Let the ".." entry point to the directory at this cluster (0: the root); it waits."""
        for slot in (0, 1):
            if bytes(self.raw[slot * ENTRY : slot * ENTRY + 11]) == DOTDOT:
                entry = bytearray(self.raw[slot * ENTRY : slot * ENTRY + ENTRY])
                struct.pack_into("<H", entry, 20, start >> 16)
                struct.pack_into("<H", entry, 26, start & 0xFFFF)
                self._store(slot, bytes(entry), late=True)

    def flush(self) -> None:
        """Write what waits, in ascending order of sectors."""
        if self._late:
            self._write_all(sorted(self._late))

    def forget(self) -> None:
        """What waits is never written: the directory is gone."""
        self._late.clear()
        if self in self._access.waiting:
            self._access.waiting.remove(self)

    # ---- inside --------------------------------------------------------------------------------------------

    def _parse(self) -> None:
        raw, wide = self.raw, self._access.layout.fat == "FAT32"
        parts: list[bytes] = []
        expect, check, long_first = 0, 0, 0
        starts: dict[int, Node] = {}
        slots = len(raw) // ENTRY
        self._end = slots
        for slot in range(slots):
            at = slot * ENTRY
            lead = raw[at]
            if lead == 0:
                self._end = slot
                break
            attributes = raw[at + 11]
            if lead == DELETED:
                self._holes.append(slot)
                expect = 0
                parts = []
                continue
            if attributes & 0x3F == names.ATTR_LONG:
                order = lead & 0x3F
                if lead & 0x40 and 1 <= order <= 20:
                    parts, expect, check, long_first = [], order, raw[at + 13], slot
                if expect and order == expect and raw[at + 13] == check:
                    parts.append(
                        bytes(raw[at + 1 : at + 11] + raw[at + 14 : at + 26] + raw[at + 28 : at + 32])
                    )
                    expect -= 1
                else:
                    expect, parts = 0, []
                continue
            short = bytes(raw[at : at + 11])
            text, first = "", slot
            if parts and expect == 0 and names.checksum(short) == check:
                text = names.long_text(parts[::-1])
                first = long_first if text else slot
            expect, parts = 0, []
            if attributes & names.ATTR_VOLUME:
                continue
            if short in (DOT, DOTDOT):
                continue
            _, _, case, tenths, ctime, cdate, adate, high, mtime, mdate, low, size = _FORMAT.unpack_from(
                raw, at
            )
            start = low | (high << 16 if wide else 0)
            self._shorts.add(short)
            node = Node(
                name=text or names.short_text(short, case),
                short=short,
                attributes=attributes,
                start=start,
                size=0 if attributes & names.ATTR_DIR else size,
                mtime=names.seconds(mdate, mtime),
                inode=self._access.inode(),
                case=case,
                created=(tenths, ctime, cdate),
                accessed=adate,
                parent=self,
                first=first,
                slot=slot,
            )
            if start and start in starts:
                self._access.shared.add(start)
            starts[start] = node
            self._remember(node, first_wins=True)
        tail = self._end * ENTRY
        for sector in range(tail // SECTOR, len(raw) // SECTOR):
            low_at = max(tail, sector * SECTOR)
            if raw.count(0, low_at, (sector + 1) * SECTOR) != (sector + 1) * SECTOR - low_at:
                self._stale.append(sector)
        if self._stale:
            raw[tail:] = bytes(len(raw) - tail)

    def _remember(self, node: Node, *, first_wins: bool = False) -> None:
        key, alias = names.fold(node.name), names.fold(names.short_text(node.short))
        self._shorts.add(node.short)
        if first_wins:
            self._by_name.setdefault(key, node)
            self._by_alias.setdefault(alias, node)
        else:
            self._by_name[key] = node
            self._by_alias[alias] = node

    def _release(self, node: Node) -> None:
        """Forget the entry of `node`; its slots are free."""
        key, alias = names.fold(node.name), names.fold(names.short_text(node.short))
        there = self._by_name.get(key)
        if there is not None and (
            there.parent is not self or there.slot == node.slot or names.fold(there.name) != key
        ):
            del self._by_name[key]
        there = self._by_alias.get(alias)
        if there is not None and (
            there.parent is not self or there.slot == node.slot or there.short != node.short
        ):
            del self._by_alias[alias]
        if alias not in self._by_alias:
            self._shorts.discard(node.short)
        for slot in range(node.first, node.slot + 1):
            insort(self._holes, slot)

    def _room(self, count: int) -> int:
        """The first of `count` free slots in a row; the directory grows where it can."""
        run = 0
        if len(self._holes) >= count:
            for index, slot in enumerate(self._holes):
                run = run + 1 if index and self._holes[index - 1] == slot - 1 else 1
                if run == count:
                    return slot - count + 1
        while self._end + count > len(self.raw) // ENTRY:
            self._grow()
        return self._end

    def _grow(self) -> None:
        access = self._access
        if self.start == 0:
            raise OSError(errno.ENOSPC, "the root directory is full")
        if len(self.raw) + self._unit > MAX_SLOTS * ENTRY:
            raise OSError(errno.ENOSPC, f"a directory has at most {MAX_SLOTS} entries")
        ((cluster, _),) = access.table.allocate(1)
        offset = access.layout.cluster_offset(cluster)
        tail = (self._units[-1] - access.layout.data_offset) // self._unit + 2
        try:
            access.device.write(offset, bytes(self._unit))
            access.table.flush()
        except OSError:
            access.table.release([(cluster, 1)])
            raise
        access.table.link(tail, cluster)
        self._units.append(offset)
        self.raw += bytes(self._unit)
        access.table.flush()

    def _sector(self, slot: int) -> int:
        return slot * ENTRY // SECTOR

    def _dead(self, slot: int) -> bytes:
        return bytes((DELETED,)) + bytes(self.raw[slot * ENTRY + 1 : (slot + 1) * ENTRY])

    def _store(self, slot: int, data: bytes, *, late: bool = False, now: bool = False) -> None:
        slots = {slot + n: data[n * ENTRY : (n + 1) * ENTRY] for n in range(len(data) // ENTRY)}
        self._store_many(slots, late=late, now=now)

    def _store_many(self, slots: dict[int, bytes], *, late: bool = False, now: bool = False) -> None:
        """Change these slots, and write their sectors: at once, unless they are to wait (`late`) or others do and
        these are not to go before them (`now`)."""
        old = {slot: bytes(self.raw[slot * ENTRY : (slot + 1) * ENTRY]) for slot in slots}
        for slot, data in slots.items():
            self.raw[slot * ENTRY : (slot + 1) * ENTRY] = data
        sectors = sorted({self._sector(slot) for slot in slots})
        try:
            if self._stale:
                # What lies behind the end would come to life when the end moves: it is wiped first.
                for sector in self._stale:
                    if sector * SECTOR >= self._end * ENTRY:
                        self._write(sector, sector + 1)
                self._stale = []
            if late or (self._late and not now):
                if not self._late:
                    self._access.waiting.append(self)
                self._late.update(sectors)
            else:
                self._write_all(sectors)
        except OSError:
            for slot, data in old.items():
                self.raw[slot * ENTRY : (slot + 1) * ENTRY] = data
            raise

    def _write_all(self, sectors: list[int]) -> None:
        """Write these sectors, neighbours in one go."""
        low = high = sectors[0]
        for sector in [*sectors[1:], -1]:
            if sector == high + 1 and sector * SECTOR % self._unit:
                high = sector
                continue
            self._write(low, high + 1)
            low = high = sector

    def _write(self, low: int, high: int) -> None:
        unit, within = divmod(low * SECTOR, self._unit)
        self._access.device.write(self._units[unit] + within, self.raw[low * SECTOR : high * SECTOR])
        if self._late:
            self._late.difference_update(range(low, high))
            if not self._late:
                self._access.waiting.remove(self)
