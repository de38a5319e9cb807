"""Files of a FAT volume below their names: chains that grow, are cut, are read, written and brought to the medium.

Rules of this file:
- A file's new clusters are a chain of their own until sync() links them: first the whole new chain is written,
  then the link to it (from the old end of the chain, or the directory entry), then size and times. In that order
  every part of it leaves either the old or the new file.
- Cutting writes the entry first, then the new end of the chain; only then the rest may be used again.
- What a name that was taken away while its directory waits has of clusters is held until let_go(): until then the
  medium still names them.
- The caller holds the volume's lock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

from bench.volumes import fatnames as names
from bench.volumes.fatdir import Access, Node
from bench.volumes.fattree import parent_of

_ZEROS = bytes(1024 * 1024)


class Files:
    """The chains of one volume's files, and which of them wait to be written."""

    def __init__(self, access: Access, clock: Callable[[], float], writable: Callable[[], None]) -> None:
        """`writable()` raises if nothing may be written now."""
        self._access = access
        self._device = access.device
        self._layout = access.layout
        self._table = access.table
        self._clock = clock
        self._writable = writable
        self.waiting: dict[int, Node] = {}  # by inode: chain, size, times or new name not on the medium yet
        self.held: list[Node] = []  # without a name, to be freed

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """Bytes of the file, fewer at its end."""
        size = min(size, node.size - offset)
        if size <= 0:
            return b""
        self._load(node)
        parts = [self._device.read(at, length) for at, length in self._extents(node, offset, size)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, node: Node, offset: int, view: memoryview) -> None:
        """Write all of `view`; OSError(ENOSPC) with nothing written."""
        end = offset + len(view)
        self._load(node)
        self._grow(node, end)
        if offset > node.size:
            self._zero(node, node.size, offset)
        done = 0
        for at, length in self._extents(node, offset, len(view)):
            self._device.write(at, view[done : done + length])
            done += length
        within = end <= node.size and bool(node.attributes & names.ATTR_ARCHIVE)
        node.size = max(node.size, end)
        node.mtime = self._clock()
        self.touch(node, times_only=within)

    def resize(self, node: Node, size: int) -> None:
        """Cut the file, or lengthen it with zeros."""
        self._load(node)
        if size < node.size:
            self._shrink(node, size)
        elif size > node.size:
            self._grow(node, size)
            self._zero(node, node.size, size)
            node.size = size
        node.mtime = self._clock()
        self.touch(node)

    def _load(self, node: Node) -> None:
        """Read the node's chain, once."""
        if node.runs is not None:
            return
        if node.start == 0:
            node.runs = []
            return
        runs = self._table.follow(node.start, self._layout.clusters)
        total = 0
        for _, count in runs:
            node.firsts.append(total)
            total += count
        node.runs, node.clusters = runs, total

    def _grow(self, node: Node, end: int) -> None:
        """Give the node clusters for `end` bytes; how they are linked waits for sync()."""
        assert node.runs is not None
        needed = -(-end // self._layout.cluster_bytes) - node.clusters
        if needed <= 0:
            return
        if -(-node.size // self._layout.cluster_bytes) > node.clusters:
            raise self._access.corrupt(f"{node.name} has fewer clusters than its size wants")
        runs = self._table.allocate(needed)
        head, tail = runs[0][0], 0
        if node.runs:
            tail = node.runs[-1][0] + node.runs[-1][1] - 1
        if node.pending is None:
            node.pending = (tail, head)
        else:
            self._table.link(tail, head)
        for first, count in runs:
            if node.runs and first == tail + 1 and node.runs[-1][0] + node.runs[-1][1] == first:
                node.runs[-1] = (node.runs[-1][0], node.runs[-1][1] + count)
            else:
                node.firsts.append(node.clusters)
                node.runs.append((first, count))
            node.clusters += count
        self.touch(node)

    def _shrink(self, node: Node, size: int) -> None:
        """Cut the node: the entry first, then the chain, then its rest is free."""
        self.sync(node)
        assert node.runs is not None
        keep = -(-size // self._layout.cluster_bytes)
        kept: list[tuple[int, int]] = []
        rest: list[tuple[int, int]] = []
        for index, (first, count) in zip(node.firsts, node.runs, strict=True):
            inside = min(max(keep - index, 0), count)
            if inside:
                kept.append((first, inside))
            if inside < count:
                rest.append((first + inside, count - inside))
        shared = node.start in self._access.shared
        node.size = size
        node.mtime = self._clock()
        if not keep:
            node.start = 0
        self.touch(node)  # if it cannot be written now, it still must be
        if not node.gone:
            parent_of(node).update(node)
        if shared and keep:
            return  # the chain is another file's as well: only the size changes
        if keep and rest:
            self._table.link(kept[-1][0] + kept[-1][1] - 1, 0)
            self._table.flush()
        node.runs, node.firsts, node.clusters = kept, node.firsts[: len(kept)], min(keep, node.clusters)
        if not shared:
            self._table.release(rest)

    def _extents(self, node: Node, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """(position on the device, bytes) of a part of the file, in order."""
        assert node.runs is not None
        size = self._layout.cluster_bytes
        if offset + length > node.clusters * size:
            raise self._access.corrupt(f"{node.name} has fewer clusters than its size wants")
        index = bisect_right(node.firsts, offset // size) - 1
        while length > 0:
            first, count = node.runs[index]
            within = offset - node.firsts[index] * size
            part = min(length, count * size - within)
            yield self._layout.cluster_offset(first) + within, part
            offset += part
            length -= part
            index += 1

    def _zero(self, node: Node, start: int, stop: int) -> None:
        for at, length in self._extents(node, start, stop - start):
            for position in range(at, at + length, len(_ZEROS)):
                left = at + length - position
                self._device.write(position, _ZEROS if left >= len(_ZEROS) else bytes(left))

    def touch(self, node: Node, *, times_only: bool = False) -> None:
        """The node's entry waits to be written; `times_only`: a write that changed nothing else of it."""
        node.times_only = times_only and (node.times_only or not node.dirty)
        node.dirty = True
        self.waiting[node.inode] = node

    def sync(self, node: Node, *, datasync: bool = False) -> None:
        """Bring the node's chain and entry to the device, in the order that survives a yank; with `datasync` the entry
        goes on waiting if nothing of it but times does (Linux: I_DIRTY_SYNC without I_DIRTY_DATASYNC)."""
        if not node.dirty or (datasync and node.times_only):
            return
        self._writable()
        if not node.gone:
            self._table.flush()
            if node.pending is not None:
                tail, head = node.pending
                if tail:
                    self._table.link(tail, head)
                    self._table.flush()
                else:
                    node.start = head
                node.pending = None
            node.attributes |= 0 if node.is_dir else names.ATTR_ARCHIVE
            parent_of(node).update(node)
        node.dirty = node.moved = False
        self.waiting.pop(node.inode, None)

    def put_off(self, node: Node) -> bool:
        """Whether the node's entry waits for its file, its directory or everything to be synchronised."""
        return node.moved or parent_of(node).waits

    def let_go(self) -> None:
        """What lost its name is free, but for what is open: that is freed when it is closed."""
        held, self.held = self.held, []
        for node in held:
            if not node.handles:
                self.free(node)

    @property
    def held_clusters(self) -> int:
        """How many clusters let_go() would free."""
        size = self._layout.cluster_bytes
        return sum(-(-node.size // size) for node in self.held if not node.handles)

    def free(self, node: Node) -> None:
        """Nothing points to the node any more: its clusters are free."""
        self.waiting.pop(node.inode, None)
        node.dirty = False
        if node.start in self._access.shared:
            self._access.shared.discard(node.start)
            return  # what another entry points to as well stays: a rename that a yank cut in two
        try:
            self._load(node)
        except OSError:
            return  # a corrupt chain: nothing of it is safe to free (and the volume is read-only now)
        self._table.release(node.runs or ())
        node.runs, node.firsts, node.clusters = [], [], 0
