"""What a mounted medium shows: the files of a FAT volume, or nothing but errors.

Rules of this file:

* A medium that was pulled out gives EIO for everything, also for what is held in memory.
* Closing a file brings its chain and size to the medium, so that their errors reach the application; only
  ``fsync`` makes anything durable.
* What happens to the application is told as it happens: see :class:`Note`.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator
from typing import Protocol

from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatnames import fold
from bench.volumes.fuseproto import Facts, Space


class Note(Protocol):
    """Told of what the application does: read, written (count: bytes), asked (for space), synced, refused (errno)."""

    def __call__(self, what: str, op: str, count: int = 0) -> None: ...


def _no_note(what: str, op: str, count: int = 0) -> None:
    return None


class FatFiles:
    """The files of a mounted :class:`FatVolume`, as :class:`bench.volumes.fuse.Files` wants them."""

    def __init__(self, volume: FatVolume, device: BlockDevice, note: Note = _no_note) -> None:
        self.volume = volume
        self._device = device
        self._note = note
        self._writers: set[int] = set()

    @contextlib.contextmanager
    def _doing(self, op: str) -> Iterator[FatVolume]:
        if self._device.yanked:
            raise OSError(errno.EIO, "the medium was pulled out")
        try:
            yield self.volume
        except OSError as error:
            if error.errno in (errno.EROFS, errno.ENOSPC, errno.EIO):
                self._note("refused", op, error.errno)
            raise

    def stat(self, path: str) -> Facts:
        with self._doing("stat") as volume:
            found = volume.stat(path)
            return Facts(found.is_dir, found.size, found.mtime)

    def listdir(self, path: str) -> list[tuple[str, bool | None]]:
        with self._doing("list") as volume:
            return [(name, None) for name in volume.listdir(path)]

    def create(self, path: str) -> int:
        with self._doing("create") as volume:
            handle = volume.create(path)
            self._writers.add(handle)
            return handle

    def open(self, path: str, write: bool, truncate: bool) -> int:
        with self._doing("open") as volume:
            if (write or truncate) and (volume.read_only or self._device.protected):
                raise OSError(errno.EROFS, "the medium is write protected")
            handle = volume.open(path)
            try:
                if truncate:
                    volume.truncate(handle, 0)
            except OSError:
                volume.close(handle)
                raise
            if write or truncate:
                self._writers.add(handle)
            return handle

    def read(self, handle: int, offset: int, size: int) -> bytes:
        with self._doing("read") as volume:
            data = volume.read(handle, offset, size)
            self._note("read", "read", len(data))
            return data

    def write(self, handle: int, offset: int, data: memoryview) -> int:
        with self._doing("write") as volume:
            done = volume.write(handle, offset, data)
            self._note("written", "write", done)
            return done

    def truncate(self, path: str, handle: int | None, size: int) -> None:
        with self._doing("truncate") as volume:
            volume.truncate(path if handle is None else handle, size)

    def flush(self, handle: int, path: str | None) -> None:
        """Bring chain and size of a file that was written to the medium; ``path`` None: it has no name any more."""
        if handle not in self._writers or path is None:
            return
        with self._doing("close") as volume:
            # Closing any handle writes back the file's chain and entry; here its error can still be told.
            volume.close(volume.open(path))

    def fsync(self, handle: int, datasync: bool) -> None:
        with self._doing("fsync") as volume:
            volume.fsync(handle, datasync=datasync)
            self._note("synced", "fsync")

    def fsync_folder(self, path: str) -> None:
        with self._doing("fsync") as volume:
            if volume.read_only:
                return
            volume.fsync_folder(path)
            self._note("synced", "fsync")

    def release(self, handle: int) -> None:
        self._writers.discard(handle)
        with self._doing("close") as volume:
            volume.close(handle)

    def unlink(self, path: str) -> None:
        with self._doing("remove") as volume:
            volume.unlink(path)

    def mkdir(self, path: str) -> None:
        with self._doing("mkdir") as volume:
            volume.mkdir(path)

    def rmdir(self, path: str) -> None:
        with self._doing("rmdir") as volume:
            volume.rmdir(path)

    def rename(self, old: str, new: str, replace: bool) -> None:
        with self._doing("rename") as volume:
            if not replace and fold(old) != fold(new):
                with contextlib.suppress(FileNotFoundError):
                    volume.stat(new)
                    raise OSError(errno.EEXIST, f"{new} exists")
            volume.rename(old, new)

    def utime(self, path: str, mtime: float) -> None:
        with self._doing("touch") as volume:
            volume.utime(path, mtime)

    def access(self, path: str, write: bool) -> None:
        with self._doing("ask") as volume:
            if write and (volume.read_only or self._device.protected):
                raise OSError(errno.EROFS, "the medium is write protected")

    def statfs(self) -> Space:
        with self._doing("ask for space") as volume:
            found = volume.statfs()
            self._note("asked", "statfs", found.free_bytes)
            return Space(found.block_size, found.blocks, found.free)

    def idle(self) -> None:
        """Write back what has waited for long; the application hears of no error of that."""
        if not self._device.yanked and not self.volume.read_only:
            self.volume.age(time.monotonic())


class Refusing:
    """Files of which nothing is possible; others put in what is."""

    def _error(self) -> OSError:
        raise NotImplementedError

    def stat(self, path: str) -> Facts:
        raise self._error()

    def listdir(self, path: str) -> list[tuple[str, bool | None]]:
        raise self._error()

    def create(self, path: str) -> int:
        raise self._error()

    def open(self, path: str, write: bool, truncate: bool) -> int:
        raise self._error()

    def read(self, handle: int, offset: int, size: int) -> bytes:
        raise self._error()

    def write(self, handle: int, offset: int, data: memoryview) -> int:
        raise self._error()

    def truncate(self, path: str, handle: int | None, size: int) -> None:
        raise self._error()

    def flush(self, handle: int, path: str | None) -> None:
        raise self._error()

    def fsync(self, handle: int, datasync: bool) -> None:
        raise self._error()

    def fsync_folder(self, path: str) -> None:
        raise self._error()

    def release(self, handle: int) -> None:
        raise self._error()

    def unlink(self, path: str) -> None:
        raise self._error()

    def mkdir(self, path: str) -> None:
        raise self._error()

    def rmdir(self, path: str) -> None:
        raise self._error()

    def rename(self, old: str, new: str, replace: bool) -> None:
        raise self._error()

    def utime(self, path: str, mtime: float) -> None:
        raise self._error()

    def access(self, path: str, write: bool) -> None:
        raise self._error()

    def statfs(self) -> Space:
        raise self._error()

    def idle(self) -> None:
        """Nothing waits."""


class NoFiles(Refusing):
    """A medium that cannot be read as a volume: its folder is there, and every access gives EIO."""

    def __init__(self, why: str) -> None:
        self.why = why

    def _error(self) -> OSError:
        return OSError(errno.EIO, self.why)
