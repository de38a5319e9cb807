"""A file system served to the kernel through ``/dev/fuse``: the mount of a removable medium.

Rules of this file:

* The kernel's protocol is spoken directly: no library, no helper program, and every errno is the volume's own.
* One thread serves a mount, as a stick does one thing at a time; :attr:`Server.lock` keeps others out of the files.
* No write-back cache: a write that the application was told to have succeeded is in the volume, and an error of the
  volume is the error that the application sees.
* Names are asked for at each use and never remembered by the kernel, so a medium that is pulled out is gone at once.
* sync(2) and syncfs(2) do not come here: Linux tells them to no FUSE file system of this kind.
* The serving process must not use the mount itself; :mod:`bench.volumes.mounting` does not either.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from bench.volumes import fuseproto as proto
from bench.volumes import mounting
from bench.volumes.fatnames import fold
from bench.volumes.fusechannel import Channel
from bench.volumes.fusenames import Names
from bench.volumes.fuseproto import Facts, Op, Space

_SILENT: Final = frozenset((Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT))


class Files(Protocol):
    """What is served: paths begin with ``/``, errors are :class:`OSError` with the errno for the application."""

    def stat(self, path: str) -> Facts: ...
    def listdir(self, path: str) -> list[tuple[str, bool | None]]: ...
    def create(self, path: str) -> int: ...
    def open(self, path: str, write: bool, truncate: bool) -> int: ...
    def read(self, handle: int, offset: int, size: int) -> bytes: ...
    def write(self, handle: int, offset: int, data: memoryview) -> int: ...
    def truncate(self, path: str, handle: int | None, size: int) -> None: ...
    def flush(self, handle: int, path: str | None) -> None: ...
    def fsync(self, handle: int, datasync: bool) -> None: ...
    def fsync_folder(self, path: str) -> None: ...
    def release(self, handle: int) -> None: ...
    def unlink(self, path: str) -> None: ...
    def mkdir(self, path: str) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def rename(self, old: str, new: str, replace: bool) -> None: ...
    def utime(self, path: str, mtime: float) -> None: ...
    def access(self, path: str, write: bool) -> None: ...
    def statfs(self) -> Space: ...
    def idle(self) -> None: ...


class Server:
    """Serves :class:`Files` at a mount point until it is unmounted or :meth:`close` is called."""

    def __init__(
        self, files: Files, *, source: str = "volume", on_trouble: Callable[[str], None] | None = None
    ) -> None:
        """Args:
        source: the name shown as the mounted device.
        on_trouble: told when the server itself failed (the application got EIO).
        """
        self.files = files
        self.lock = threading.RLock()
        self._source = source
        self._on_trouble = on_trouble
        self._names = Names()
        self._folders: dict[int, list[bytes]] = {}
        self._handles = itertools.count(1)
        self._root = Facts(True, 0, time.time())
        self._uid, self._gid = os.getuid(), os.getgid()
        self._channel: Channel | None = None
        self._thread: threading.Thread | None = None

    # -- life ------------------------------------------------------------------------------------

    def mount(self, target: str | os.PathLike[str], *, read_only: bool = False) -> None:
        """Mount at an existing folder, in the mount namespace of the calling thread, and begin to serve.

        Raises:
            OSError: no /dev/fuse, or no right to mount.
        """
        channel = Channel()
        try:
            flags = mounting.FLAGS | (mounting.MS_RDONLY if read_only else 0)
            mounting.mount(self._source, target, "fuse.volume", flags, channel.options("allow_other"))
        except BaseException:
            channel.close()
            raise
        self._channel = channel
        self._thread = threading.Thread(
            target=self._serve, args=(channel,), name=f"fuse {self._source}", daemon=True
        )
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait until the kernel has let go (after an unmount); False if it has not."""
        if self._thread is not None:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def close(self, seconds: float = 5.0) -> bool:
        """Stop serving, whoever waits: from then on the kernel answers ENOTCONN.  Idempotent.

        Returns:
            False if the thread is still inside the files (a slow medium).
        """
        if self._channel is not None:
            self._channel.wake()
        if not self.join(seconds):
            return False
        if self._channel is not None:
            self._channel.close()
        return True

    # -- the loop --------------------------------------------------------------------------------

    def _serve(self, channel: Channel) -> None:
        for message in channel.requests(self._idle):
            reply = self._handle(message)
            if reply is not None and not channel.answer(reply):
                return

    def _idle(self) -> None:
        with (
            self.lock,
            contextlib.suppress(OSError),
        ):  # what could not be written is tried and told again at fsync
            self.files.idle()

    def _handle(self, message: memoryview) -> bytes | None:
        _, code, unique, node, *_ = proto.IN_HEADER.unpack_from(message)
        body = message[proto.IN_HEADER.size :]
        try:
            op = Op(code)
        except ValueError:
            return proto.answer(unique, error=errno.ENOSYS)
        try:
            with self.lock:
                payload = _HANDLERS[op](self, node, body)
        except OSError as error:
            return None if op in _SILENT else proto.answer(unique, error=error.errno or errno.EIO)
        except Exception as error:
            if self._on_trouble is not None:
                self._on_trouble(f"{op.name}: {type(error).__name__}: {error}")
            return None if op in _SILENT else proto.answer(unique, error=errno.EIO)
        return None if op in _SILENT else proto.answer(unique, payload)

    def _entry(self, parent: int, name: str, facts: Facts) -> bytes:
        number = self._names.told(parent, name)
        return proto.entry_answer(number, proto.attr(number, facts, self._uid, self._gid))

    # -- operations ------------------------------------------------------------------------------

    def _init(self, node: int, body: memoryview) -> bytes:
        major, _minor, readahead, flags = proto.INIT_IN.unpack_from(body)
        if major != proto.MAJOR:
            raise OSError(errno.EPROTO, f"FUSE protocol {major}")
        return proto.init_answer(flags, readahead)

    def _lookup(self, node: int, body: memoryview) -> bytes:
        name = _name(body)
        return self._entry(node, name, self.files.stat(self._names.below(node, name)))

    def _forget(self, node: int, body: memoryview) -> bytes:
        self._names.forget(node, proto.FORGET_IN.unpack_from(body)[0])
        return b""

    def _batch_forget(self, node: int, body: memoryview) -> bytes:
        count = int.from_bytes(body[:4], "little" if _LITTLE else "big")
        for index in range(count):
            self._names.forget(*proto.FORGET_ONE.unpack_from(body, 8 + index * proto.FORGET_ONE.size))
        return b""

    def _attributes(self, number: int) -> bytes:
        known = self._names.node(number)
        if number == proto.ROOT:
            facts = self._root  # known from the mount: a medium that is pulled out still has its mount point
        elif known.gone is not None:
            facts = known.gone
        else:
            facts = self.files.stat(self._names.path(number))
        links = 0 if known.gone is not None else 1
        return proto.attr_answer(proto.attr(number, facts, self._uid, self._gid, links=links))

    def _getattr(self, node: int, body: memoryview) -> bytes:
        return self._attributes(node)

    def _setattr(self, node: int, body: memoryview) -> bytes:
        valid, _, handle, size, _, _, mtime, _, _, nanos, *_ = proto.SETATTR_IN.unpack_from(body)
        known = self._names.node(node)
        if valid & proto.SET_SIZE:
            with_handle = handle if valid & proto.SET_FH else None
            if known.gone is None or with_handle is None:
                self.files.truncate(self._names.path(node), with_handle, size)
            else:
                self.files.truncate("", with_handle, size)
                known.gone = Facts(False, size, known.gone.mtime)
        if valid & proto.SET_MTIME and known.gone is None and node != proto.ROOT:
            when = time.time() if valid & proto.SET_MTIME_NOW else mtime + nanos / 1e9
            self.files.utime(self._names.path(node), when)
        # FAT has no owners and modes: those are taken without a word, as mount option "quiet" does
        return self._attributes(node)

    def _no_links(self, node: int, body: memoryview) -> bytes:
        raise OSError(errno.EPERM, "FAT has no links")

    def _mknod(self, node: int, body: memoryview) -> bytes:
        mode = proto.MKNOD_IN.unpack_from(body)[0]
        if mode & 0o170000 not in (0, 0o100000):
            raise OSError(errno.EPERM, "FAT has regular files only")
        name = _name(body[proto.MKNOD_IN.size :])
        path = self._names.below(node, name)
        self.files.release(self.files.create(path))
        return self._entry(node, name, self.files.stat(path))

    def _mkdir(self, node: int, body: memoryview) -> bytes:
        name = _name(body[proto.MKDIR_IN.size :])
        path = self._names.below(node, name)
        self.files.mkdir(path)
        return self._entry(node, name, self.files.stat(path))

    def _unlink(self, node: int, body: memoryview) -> bytes:
        name = _name(body)
        path = self._names.below(node, name)
        facts = self.files.stat(path)
        self.files.unlink(path)
        self._names.removed(node, name, facts)
        return b""

    def _rmdir(self, node: int, body: memoryview) -> bytes:
        name = _name(body)
        self.files.rmdir(self._names.below(node, name))
        self._names.removed(node, name, Facts(True, 0, 0.0))
        return b""

    def _rename(self, node: int, body: memoryview) -> bytes:
        return self._move(node, proto.RENAME_IN.unpack_from(body)[0], 0, body[proto.RENAME_IN.size :])

    def _rename2(self, node: int, body: memoryview) -> bytes:
        target, flags, _ = proto.RENAME2_IN.unpack_from(body)
        return self._move(node, target, flags, body[proto.RENAME2_IN.size :])

    def _move(self, node: int, target: int, flags: int, names: memoryview) -> bytes:
        if flags & ~proto.RENAME_NOREPLACE:
            raise OSError(errno.EINVAL, "names cannot be exchanged")
        old, new, *_ = (os.fsdecode(part) for part in bytes(names).split(b"\0"))
        before, after = self._names.below(node, old), self._names.below(target, new)
        same = (node, fold(old)) == (target, fold(new))
        replaced: Facts | None = None
        if not same:
            with contextlib.suppress(OSError):
                replaced = self.files.stat(after)
        self.files.rename(before, after, not flags & proto.RENAME_NOREPLACE)
        if not same:
            self._names.removed(target, new, replaced)
        self._names.moved(node, old, target, new)
        return b""

    def _open(self, node: int, body: memoryview) -> bytes:
        flags = proto.OPEN_IN.unpack_from(body)[0]
        write = flags & os.O_ACCMODE != os.O_RDONLY
        handle = self.files.open(self._names.path(node), write, bool(flags & os.O_TRUNC))
        return proto.OPEN_OUT.pack(handle, 0, 0)

    def _create(self, node: int, body: memoryview) -> bytes:
        flags = proto.CREATE_IN.unpack_from(body)[0]
        name = _name(body[proto.CREATE_IN.size :])
        path = self._names.below(node, name)
        try:
            handle = self.files.create(path)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            handle = self.files.open(path, True, bool(flags & os.O_TRUNC))
        return self._entry(node, name, self.files.stat(path)) + proto.OPEN_OUT.pack(handle, 0, 0)

    def _read(self, node: int, body: memoryview) -> bytes:
        handle, offset, size, *_ = proto.READ_IN.unpack_from(body)
        return self.files.read(handle, offset, size)

    def _write(self, node: int, body: memoryview) -> bytes:
        handle, offset, size, *_ = proto.WRITE_IN.unpack_from(body)
        data = body[proto.WRITE_IN.size : proto.WRITE_IN.size + size]
        done = self.files.write(handle, offset, data)
        known = self._names.node(node)
        if known.gone is not None:
            known.gone = Facts(False, max(known.gone.size, offset + done), known.gone.mtime)
        return proto.WRITE_OUT.pack(done, 0)

    def _flush(self, node: int, body: memoryview) -> bytes:
        path = None if self._names.node(node).gone is not None else self._names.path(node)
        self.files.flush(proto.FH_IN.unpack_from(body)[0], path)
        return b""

    def _fsync(self, node: int, body: memoryview) -> bytes:
        handle, flags, _ = proto.FSYNC_IN.unpack_from(body)
        self.files.fsync(handle, bool(flags & proto.FSYNC_DATASYNC))
        return b""

    def _release(self, node: int, body: memoryview) -> bytes:
        self.files.release(proto.FH_IN.unpack_from(body)[0])
        return b""

    def _opendir(self, node: int, body: memoryview) -> bytes:
        entries: list[bytes] = []
        pairs: list[tuple[str, bool | None]] = [(".", True), ("..", True)]
        for name, is_dir in [*pairs, *self.files.listdir(self._names.path(node))]:
            entries.append(proto.dirent(len(entries) + 1, os.fsencode(name), is_dir))
        handle = next(self._handles)
        self._folders[handle] = entries
        return proto.OPEN_OUT.pack(handle, 0, 0)

    def _readdir(self, node: int, body: memoryview) -> bytes:
        handle, offset, size, *_ = proto.READ_IN.unpack_from(body)
        self.files.access(self._names.path(node), False)
        found = bytearray()
        for entry in self._folders.get(handle, [])[offset:]:
            if len(found) + len(entry) > size:
                break
            found += entry
        return bytes(found)

    def _releasedir(self, node: int, body: memoryview) -> bytes:
        self._folders.pop(proto.FH_IN.unpack_from(body)[0], None)
        return b""

    def _fsyncdir(self, node: int, body: memoryview) -> bytes:
        if self._names.node(node).gone is None:
            self.files.fsync_folder(self._names.path(node))
        return b""

    def _access(self, node: int, body: memoryview) -> bytes:
        self.files.access(self._names.path(node), bool(proto.ACCESS_IN.unpack_from(body)[0] & os.W_OK))
        return b""

    def _statfs(self, node: int, body: memoryview) -> bytes:
        space = self.files.statfs()
        return proto.STATFS_OUT.pack(
            space.total, space.free, space.free, 0, 0, space.cluster, 255, space.cluster
        )

    def _nothing(self, node: int, body: memoryview) -> bytes:
        return b""


def _name(body: memoryview) -> str:
    return os.fsdecode(bytes(body).split(b"\0", 1)[0])


_LITTLE: Final = sys.byteorder == "little"

_HANDLERS: Final[dict[Op, Callable[[Server, int, memoryview], bytes]]] = {
    Op.LOOKUP: Server._lookup,
    Op.FORGET: Server._forget,
    Op.GETATTR: Server._getattr,
    Op.SETATTR: Server._setattr,
    Op.SYMLINK: Server._no_links,
    Op.MKNOD: Server._mknod,
    Op.MKDIR: Server._mkdir,
    Op.UNLINK: Server._unlink,
    Op.RMDIR: Server._rmdir,
    Op.RENAME: Server._rename,
    Op.LINK: Server._no_links,
    Op.OPEN: Server._open,
    Op.READ: Server._read,
    Op.WRITE: Server._write,
    Op.STATFS: Server._statfs,
    Op.RELEASE: Server._release,
    Op.FSYNC: Server._fsync,
    Op.FLUSH: Server._flush,
    Op.INIT: Server._init,
    Op.OPENDIR: Server._opendir,
    Op.READDIR: Server._readdir,
    Op.RELEASEDIR: Server._releasedir,
    Op.FSYNCDIR: Server._fsyncdir,
    Op.ACCESS: Server._access,
    Op.CREATE: Server._create,
    Op.INTERRUPT: Server._nothing,
    Op.DESTROY: Server._nothing,
    Op.BATCH_FORGET: Server._batch_forget,
    Op.RENAME2: Server._rename2,
}
