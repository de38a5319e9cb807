"""A FAT16 or FAT32 volume on a block device: files by path, as POSIX calls them.

    volume = FatVolume.mount(BlockDevice("stick.img"))
    handle = volume.create("/DICOMDIR"); volume.write(handle, 0, data); volume.fsync(handle); volume.close(handle)

Rules of this file:
- Order of writes, so that after any part of them the volume is whole: data; new chains with their ends; the link
  from the old end of a chain; the directory entry (start, size, times); only then clusters that nothing points
  to any more are freed. New data goes to the device at once, a file's chain and size at fsync, close or unmount;
  names (create, mkdir, unlink) go to the device at once. `fsync` also flushes the device.
- A renaming waits in memory, as with Linux' vfat: what the new name stands for is written with the *file* (fsync) or
  with everything; that the old name is gone, and that there is a new one, with the *folder* (fsync_folder). Until
  then a target that was renamed over stands on the medium as it was, but every fsync and fsync_folder frees its
  clusters: whoever synchronises the folder only has neither the old file nor the new one after a pull.
  While a directory waits, so do later changes of it, closing included. After 30 s (age()) everything is written.
- Every call is one step under one lock; any thread may call. All errors are OSError with a POSIX errno.
- The dirty bits are set while mounted for writing and taken back by unmount(), unless they were set before (as
  Linux does; only a repair tool may say that such a volume is whole). Times are UTC.
- A corrupt structure met on the way makes the volume read-only (Linux vfat's errors=remount-ro).
Sources: Microsoft FAT specification 1.03 (fatgen103); PS3.12 Annex R (USB) and Annex U (SD) for what is wanted.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.volumes import fatnames as names
from bench.volumes.device import BlockDevice, Data
from bench.volumes.fatback import WriteBack
from bench.volumes.fatcheck import check_volume
from bench.volumes.fatdir import DOT, DOTDOT, Access, Directory, Node
from bench.volumes.fatfile import Files
from bench.volumes.fattable import FatTable
from bench.volumes.fattree import Tree, parent_of
from bench.volumes.layout import Layout, find_volume

MAX_FILE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of a file or directory; `mtime` in seconds since 1970, even. A directory's size is 0."""

    is_dir: bool
    size: int
    mtime: float
    inode: int
    attributes: int = 0  # the entry's attribute byte
    short: str = ""  # the 8.3 name


@dataclass(frozen=True, slots=True)
class StatFs:
    """Room of the volume: `blocks` clusters of `block_size` bytes, `free` of them free."""

    block_size: int
    blocks: int
    free: int
    name_max: int = names.MAX_NAME

    @property
    def free_bytes(self) -> int:
        """Free clusters in bytes."""
        return self.free * self.block_size


class FatVolume:
    """A mounted volume."""

    def __init__(
        self, device: BlockDevice, layout: Layout, *, read_only: bool, clock: Callable[[], float] = time.time
    ) -> None:
        """Use mount()."""
        self.device = device
        self.layout = layout
        self.read_only = read_only
        self.damage: str | None = None  # the corrupt structure that made the volume read-only
        self._clock = clock
        self._lock = threading.RLock()
        self._mounted = True
        self._table = FatTable(device, layout, self._corrupt)
        self._inodes = 1
        self._access = Access(device, layout, self._table, self._corrupt, self._inode)
        self._tree = Tree(self._access)
        self._handles: dict[int, Node] = {}
        self._next_handle = 1
        self._files = Files(self._access, clock, self._writable)
        self._table.reclaim = self._reclaim
        self._back = WriteBack(self._access, self._files)
        self.was_dirty = self._back.marked()
        hint = self._back.hint()
        if 2 <= hint < self._table.stop:
            self._table.hint = hint
        if not read_only:
            self._back.mark(clean=False)
            device.flush()

    @classmethod
    def mount(
        cls, device: BlockDevice, *, read_only: bool = False, clock: Callable[[], float] = time.time
    ) -> FatVolume:
        """The FAT volume in the first partition of `device`, or on the whole of it. A write-protected medium is
        mounted read-only. OSError(EINVAL) says why there is none: unformatted, exFAT, FAT12, corrupt …;
        OSError(EIO) if the medium cannot be read or the root directory is corrupt."""
        layout = find_volume(device)
        return cls(device, layout, read_only=read_only or device.protected, clock=clock)

    # ---- names ---------------------------------------------------------------------------------------------

    def stat(self, path: str) -> Stat:
        """What `path` is; OSError(ENOENT)."""
        with self._lock:
            self._alive()
            return self._stat(self._tree.find(path))

    def stat_handle(self, handle: int) -> Stat:
        """What an open file is, also after it was unlinked."""
        with self._lock:
            return self._stat(self._node(handle))

    def listdir(self, path: str = "/") -> list[str]:
        """The names in a directory, in the order of its entries."""
        with self._lock:
            self._alive()
            return [node.name for node in self._tree.directory(path).nodes()]

    def create(self, path: str) -> int:
        """Make an empty file and open it: a handle. OSError(EEXIST, ENOENT, ENOSPC, EROFS …)."""
        with self._lock:
            self._writable()
            directory, name = self._tree.place(path)
            if directory.find(name) is not None:
                raise OSError(errno.EEXIST, f"{path} exists")
            node = self._new(names.ATTR_ARCHIVE)
            directory.add(node, name)
            return self._open(node)

    def open(self, path: str) -> int:
        """Open an existing file: a handle for read, write, truncate, fsync and close."""
        with self._lock:
            self._alive()
            node = self._tree.find(path)
            if node is None or node.is_dir:
                raise OSError(errno.EISDIR, f"{path} is a directory")
            return self._open(node)

    def close(self, handle: int) -> None:
        """Close a handle: chain and size go to the device (not flushed); an unlinked file is freed."""
        with self._lock:
            node = self._node(handle)
            del self._handles[handle]
            node.handles -= 1
            if self.device.yanked or not self._mounted:
                self._files.waiting.pop(node.inode, None)
            elif node.gone and not node.handles:
                if node not in self._files.held:
                    self._files.free(node)
            elif not self._files.put_off(node):
                self._files.sync(node)

    def unlink(self, path: str) -> None:
        """Remove a file; one that is open stays readable until it is closed."""
        with self._lock:
            self._writable()
            node = self._tree.find(path)
            if node is None or node.is_dir:
                raise OSError(errno.EISDIR, f"{path} is a directory")
            self._take_out(node)

    def mkdir(self, path: str) -> None:
        """Make an empty directory."""
        with self._lock:
            self._writable()
            directory, name = self._tree.place(path)
            if directory.find(name) is not None:
                raise OSError(errno.EEXIST, f"{path} exists")
            node = self._new(names.ATTR_DIR)
            runs = self._table.allocate(1)
            node.start = runs[0][0]
            try:
                body = bytearray(self.layout.cluster_bytes)
                for slot, (short, start) in enumerate(
                    ((DOT, node.start), (DOTDOT, self._tree.dotdot(directory)))
                ):
                    link = Node("", short, names.ATTR_DIR, start, 0, node.mtime, 0, created=node.created)
                    link.accessed = node.accessed
                    body[slot * 32 : slot * 32 + 32] = link.pack()
                self.device.write(self.layout.cluster_offset(node.start), body)
                self._table.flush()
                directory.add(node, name)
            except OSError:
                self._table.release(runs)
                raise

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        with self._lock:
            self._writable()
            node = self._tree.find(path)
            if node is None:
                raise OSError(errno.EBUSY, "the root directory stays")
            if not self._tree.content(node).empty:
                raise OSError(errno.ENOTEMPTY, f"{path} is not empty")
            self._take_out(node)

    def rename(self, old: str, new: str) -> None:
        """Rename or move; a file (or an empty directory) that has the new name is replaced. It waits: the medium has
        it after fsync() of the file *and* fsync_folder() of the folders, or after fsync() of everything."""
        with self._lock:
            self._writable()
            node = self._tree.find(old)
            if node is None:
                raise OSError(errno.EBUSY, "the root directory stays")
            target_dir, name = self._tree.place(new)
            above: Directory | None = target_dir
            while node.is_dir and above is not None and above.node is not None:
                if above.node is node:
                    raise OSError(errno.EINVAL, f"{old} cannot be moved into itself")
                above = above.node.parent
            target = target_dir.find(name)
            if target is node and node.name == name:
                return
            source = parent_of(node)
            if not self._files.put_off(node):
                self._files.sync(node, datasync=True)  # times come with the new entry
            former = Node(node.name, node.short, 0, 0, 0, 0.0, 0, parent=source)
            former.first, former.slot = node.first, node.slot
            if target is None or target is node:
                target_dir.add(node, name, late=True)
            else:
                if node.is_dir and not target.is_dir:
                    raise OSError(errno.ENOTDIR, f"{new} is no directory")
                if target.is_dir:
                    if not node.is_dir:
                        raise OSError(errno.EISDIR, f"{new} is a directory")
                    if not self._tree.content(target).empty:
                        raise OSError(errno.ENOTEMPTY, f"{new} is not empty")
                target_dir.replace(target, node)
            node.moved = True
            self._files.touch(node)
            if node.is_dir and source is not target_dir:
                self._tree.content(node).set_parent(self._tree.dotdot(target_dir))
            source.remove(former, late=True)
            if target is not None and target is not node:
                self._drop(target, held=True)

    def utime(self, path: str, mtime: float | None = None) -> None:
        """Set the modification time (None: now)."""
        with self._lock:
            self._writable()
            node = self._tree.find(path)
            if node is not None:
                node.mtime = self._clock() if mtime is None else mtime
                self._files.touch(node)
                if not self._files.put_off(node):
                    self._files.sync(node)

    # ---- contents ------------------------------------------------------------------------------------------

    def read(self, handle: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the file."""
        with self._lock:
            node = self._node(handle)
            if offset < 0 or size < 0:
                raise OSError(errno.EINVAL, "a negative position")
            return self._files.read(node, offset, size)

    def write(self, handle: int, offset: int, data: Data) -> int:
        """Write all of `data` at `offset` (what lies between the end and it becomes zeros): its length.
        OSError(ENOSPC) writes nothing; OSError(EFBIG) above 4 GiB - 1."""
        with self._lock:
            node = self._node(handle)
            self._writable()
            view = memoryview(data).cast("B")
            end = offset + len(view)
            if offset < 0:
                raise OSError(errno.EINVAL, "a negative position")
            if end > MAX_FILE:
                raise OSError(errno.EFBIG, "a file on a FAT volume has at most 4 GiB - 1 bytes")
            if not len(view):
                return 0
            self._files.write(node, offset, view)
            return len(view)

    def truncate(self, target: str | int, size: int) -> None:
        """Cut a file (path or handle) to `size` bytes, or lengthen it with zeros."""
        with self._lock:
            self._writable()
            node = self._node(target) if isinstance(target, int) else self._tree.find(target)
            if node is None or node.is_dir:
                raise OSError(errno.EISDIR, f"{target} is a directory")
            if size < 0:
                raise OSError(errno.EINVAL, "a negative size")
            if size > MAX_FILE:
                raise OSError(errno.EFBIG, "a file on a FAT volume has at most 4 GiB - 1 bytes")
            self._files.resize(node, size)

    def fsync(self, handle: int | None = None, *, datasync: bool = False) -> None:
        """Make a file (None: everything) durable: its chain, its entry, and the device's cache. `datasync`, as
        fdatasync(2): the entry is left out if only the time of the last write waits in it."""
        with self._lock:
            if handle is None:
                self._everything()
            else:
                node = self._node(handle)
                if node.dirty or not self.read_only:
                    self._back.file(node, datasync=datasync)
            self.device.flush()

    def fsync_folder(self, path: str) -> None:
        """Make the names of a directory durable; what a renamed file's new name stands for is not among them."""
        with self._lock:
            self._writable()
            self._back.folder(self._tree.directory(path))
            self.device.flush()

    def age(self, now: float) -> None:
        """Write (not flush) what has waited for half a minute; to be called every few seconds with the time `now`, in
        seconds of one clock."""
        with self._lock:
            if self._back.old(now):
                self._everything()

    # ---- the whole -----------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """The label in the boot sector ("" for none)."""
        return "" if self.layout.label == "NO NAME" else self.layout.label

    def statfs(self) -> StatFs:
        """Room of the volume."""
        with self._lock:
            free = max(0, self._table.free + self._files.held_clusters - self._table.withheld)
            return StatFs(self.layout.cluster_bytes, self.layout.clusters, free)

    def leave(self, free: int | None) -> None:
        """Let only `free` bytes (rounded down to clusters) be left from now on, as if the rest were in use;
        what is removed later gives room as usual. None gives all of it back."""
        with self._lock:
            now = self._table.free + self._files.held_clusters
            keep = 0 if free is None else max(0, now - max(0, free) // self.layout.cluster_bytes)
            self._table.withheld = keep

    def check(self) -> list[str]:
        """What is wrong with the volume, as lines of text; nothing waits to be written while it looks."""
        with self._lock:
            if not self.read_only:
                self._everything()
            return check_volume(self.device, self.layout, mounted=not self.read_only)

    def unmount(self) -> None:
        """Write everything, set the clean bits, flush; open handles are dead. Where that fails (the medium is
        gone) the volume is forgotten all the same, and the OSError raised. A second time does nothing."""
        with self._lock:
            if not self._mounted:
                return
            try:
                if not self.read_only:
                    for node in {node.inode: node for node in self._handles.values()}.values():
                        if node.gone:
                            self._files.free(node)
                    self._everything()
                    if not self.was_dirty:
                        self._back.mark(clean=True)
                    self.device.flush()
            finally:
                self._mounted = False

    def abandon(self) -> None:
        """Forget the volume without a write, as when its medium is gone."""
        with self._lock:
            self._mounted = False

    # ---- inside: finding -----------------------------------------------------------------------------------

    def _corrupt(self, text: str) -> OSError:
        if self.damage is None:
            self.damage = text
            self.read_only = True
        return OSError(errno.EIO, f"the volume is corrupt: {text}")

    def _inode(self) -> int:
        self._inodes += 1
        return self._inodes

    def _alive(self) -> None:
        if not self._mounted:
            raise OSError(errno.EIO, "the volume is not mounted")
        if self.device.yanked:
            raise OSError(errno.EIO, "the medium was pulled out")

    def _writable(self) -> None:
        self._alive()
        if self.read_only or self.device.protected:
            why = f": it is corrupt ({self.damage})" if self.damage else ""
            raise OSError(errno.EROFS, f"the volume is read-only{why}")

    def _stat(self, node: Node | None) -> Stat:
        if node is None:
            return Stat(True, 0, 0.0, 1, names.ATTR_DIR)
        mtime = float(int(node.mtime) // 2 * 2)
        short = names.short_text(node.short)
        return Stat(node.is_dir, node.size, mtime, node.inode, node.attributes, short)

    def _node(self, handle: int) -> Node:
        self._alive()
        node = self._handles.get(handle)
        if node is None:
            raise OSError(errno.EBADF, "no such handle")
        return node

    def _open(self, node: Node) -> int:
        handle = self._next_handle
        self._next_handle += 1
        self._handles[handle] = node
        node.handles += 1
        return handle

    def _new(self, attributes: int) -> Node:
        now = self._clock()
        date, clock = names.short_date(now), names.short_time(now)
        hundredths = int(now % 2 * 100)
        node = Node("", b"", attributes, 0, 0, now, self._inode(), created=(hundredths, clock, date))
        node.accessed = date
        return node

    def _take_out(self, node: Node) -> None:
        """Remove the node's entry, and the node."""
        parent = parent_of(node)
        parent.remove(node)
        self._drop(node, held=parent.waits)

    def _drop(self, node: Node, *, held: bool) -> None:
        """The node's entry is gone: free it, now or when it is closed; `held`: not while the medium names it."""
        node.gone = True
        if node.is_dir:
            self._tree.forget(node)
        if held:
            self._files.held.append(node)
        elif not node.handles:
            self._files.free(node)

    def _everything(self) -> None:
        self._writable()
        self._back.everything()

    def _reclaim(self) -> None:
        """There is no room: what is held is given back, once nothing on the medium names it any more."""
        if self._files.held:
            self._everything()
