"""The one file ``disk.img`` of a medium that is a block device, served through FUSE from a :class:`BlockDevice`.

Rules of this file:

* The thread that speaks to ``/dev/fuse`` has a table of files and an (empty) mount namespace of its own and does
  nothing else.  Otherwise a killed process could be the one that unmounts, and wait for ever for itself to answer:
  the kernel unmounts a dead process's namespace *before* it closes its files.
* The device works, and its events are told, in an ordinary thread beside it.
* A medium that was pulled out stays dead for the mount that used it, also when it is put in again.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

from bench.volumes import mounting
from bench.volumes.device import SECTOR, BlockDevice
from bench.volumes.files import Note, Refusing
from bench.volumes.fuse import Server
from bench.volumes.fusechannel import Channel
from bench.volumes.fuseproto import Facts, Space

DISK: Final = "disk.img"

_CLONE_NEWNS: Final = 0x00020000
_CLONE_FILES: Final = 0x00000400
_MS_REC_PRIVATE: Final = 0x00044000
_PR_SET_IO_FLUSHER: Final = 57


class Disk(Refusing):
    """The one file ``disk.img``, as :class:`bench.volumes.fuse.Files` wants it: a device and its faults."""

    def __init__(self, device: BlockDevice, note: Note) -> None:
        self._device = device
        self._note = note
        self.dead = False

    def _error(self) -> OSError:
        return OSError(errno.EPERM, "only the disk is here, and it has its size")

    def _alive(self) -> None:
        if self._device.yanked:
            self.dead = True
        if self.dead:
            raise OSError(errno.EIO, "the medium was pulled out")

    def stat(self, path: str) -> Facts:
        if path == "/":
            return Facts(True, 0, 0.0)
        if path != "/" + DISK:
            raise OSError(errno.ENOENT, "only the disk is here")
        return Facts(False, self._device.size, 0.0)

    def listdir(self, path: str) -> list[tuple[str, bool | None]]:
        return [(DISK, False)]

    def open(self, path: str, write: bool, truncate: bool) -> int:
        if truncate:
            raise self._error()
        return 1

    def read(self, handle: int, offset: int, size: int) -> bytes:
        self._alive()
        size = max(0, min(size, self._device.size - offset))
        try:
            data = self._device.read(offset, size)
        except OSError as error:
            self._note("refused", "read", error.errno or errno.EIO)
            raise
        self._note("read", "read", len(data))
        return data

    def write(self, handle: int, offset: int, data: memoryview) -> int:
        self._alive()
        try:
            self._device.write(offset, data)
        except OSError as error:
            self._note("refused", "write", error.errno or errno.EIO)
            raise
        self._note("written", "write", len(data))
        return len(data)

    def fsync(self, handle: int, datasync: bool) -> None:
        self._alive()
        self._device.flush()
        self._note("synced", "fsync")

    def fsync_folder(self, path: str) -> None:
        self.fsync(1, False)

    def flush(self, handle: int, path: str | None) -> None:
        """Closing is not flushing."""

    def release(self, handle: int) -> None:
        """Nothing is kept for a handle."""

    def access(self, path: str, write: bool) -> None:
        """Who may mount may also read."""

    def statfs(self) -> Space:
        return Space(SECTOR, self._device.size // SECTOR, 0)

    def utime(self, path: str, mtime: float) -> None:
        """A disk has no times."""


class DiskServer(Server):
    """Serves a :class:`Disk` below a file system of the kernel.

    Two threads: a carrier, which alone has ``/dev/fuse`` open (see the rules of this file), and a worker of the
    ordinary kind, in which the device works and its events are told.
    """

    def __init__(self, disk: Disk, *, source: str, on_trouble: Callable[[str], None] | None = None) -> None:
        super().__init__(disk, source=source, on_trouble=on_trouble)
        self._asked: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._apart: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()
        self._go = threading.Event()

    def mount(self, target: str | os.PathLike[str], *, read_only: bool = False) -> None:
        """Mount at an existing folder and begin to serve; raises :class:`OSError` as :meth:`Server.mount`."""
        channel = self._channel = Channel()
        self._thread = threading.Thread(
            target=self._carry, args=(channel,), name=f"carrier {self._source}", daemon=True
        )
        self._thread.start()
        try:
            failed = self._apart.get()
            if failed is not None:
                raise failed
            mounting.mount(self._source, target, "fuse.disk", mounting.FLAGS, channel.options())
        except BaseException:
            self.close()
            raise
        # From here on only the carrier has it open; the number stays taken, so that nothing else gets it.
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nothing, channel.fd, inheritable=False)
        os.close(nothing)
        threading.Thread(target=self._work, name=f"disk {self._source}", daemon=True).start()
        self._go.set()

    def close(self, seconds: float = 5.0) -> bool:
        """Stop serving, whoever waits: from then on every access gives an error.  Idempotent."""
        if self._channel is not None:
            self._channel.wake()
        self._answered.put(None)
        self._go.set()
        return super().close(seconds)

    def _carry(self, channel: Channel) -> None:
        try:
            stand_apart({channel.fd, channel.woken})
        except OSError as error:
            self._apart.put(error)
            return
        self._apart.put(None)
        self._go.wait()
        _flusher()
        try:
            for message in channel.requests():
                self._asked.put(message)
                reply = self._answered.get()
                if reply is None or (reply and not channel.answer(reply)):
                    return
        finally:
            self._asked.put(None)

    def _work(self) -> None:
        _flusher()
        while (message := self._asked.get()) is not None:
            self._answered.put(self._handle(message) or b"")


def _unshare(flags: int, what: str) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no {what} of its own: {os.strerror(number)}")


def own_mounts() -> None:
    """Give the calling thread a mount namespace of its own, from which nothing spreads; raises :class:`OSError`."""
    _unshare(_CLONE_NEWNS, "mount namespace")
    mounting.mount("none", "/", "", _MS_REC_PRIVATE)


def stand_apart(keep: set[int]) -> None:
    """Give the calling thread a table with only these files, and a mount namespace in which nothing is mounted."""
    _unshare(_CLONE_FILES, "table of files")
    own_mounts()  # private first: otherwise the unmounting would be done everywhere
    for number in [int(name) for name in os.listdir("/proc/thread-self/fd")]:
        if number not in keep:
            with contextlib.suppress(OSError):
                os.close(number)
    mounting.unmount("/", mounting.MNT_DETACH)


def _flusher() -> None:
    """The kernel writes back through this thread: it must not wait for write-back itself (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_IO_FLUSHER, 1, 0, 0, 0)  # without CAP_SYS_RESOURCE it goes on without
