"""A removable medium as a real block device: the kernel's own file system and page cache over a faulty disk.

One file, ``disk.img``, is served through FUSE from a :class:`BlockDevice`; a loop device lies on it, and the kernel
mounts the first partition of that.  What an application writes stays in the page cache until the kernel writes it
back, so a medium that is pulled out loses what a real one loses, and says as little about it.

Rules of this file:

* Everything hangs from the one mount that the product sees: the FUSE mount is taken out of the tree as soon as the
  loop device has the file, and the loop device clears itself (AUTOCLEAR) when the mount goes, killed processes or not.
* What may wait for the medium is done in a thread with a time-out; the last resort is that every access fails (EIO).
* Faults are those of the disk, and reach the application as a kernel reports them: a write that could only be written
  back too late fails nowhere, or at ``fsync``, or with a later write; a protection that is pushed while the medium is
  in is an EIO of write-back.  Only ``full`` is done in the file system, by a file that nobody sees.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import queue
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.volumes import mounting
from bench.volumes.blockdisk import DISK, Disk, DiskServer, own_mounts
from bench.volumes.config import Config
from bench.volumes.device import SECTOR, BlockDevice
from bench.volumes.files import NoFiles, Note
from bench.volumes.format import format_image
from bench.volumes.fuse import Server
from bench.volumes.layout import find_volume
from bench.volumes.media import END_S, Busy, take_away

MOUNT_S: Final = 20.0
"""Longest time for mounting, in seconds; a slow medium takes some."""
LONGEST_S: Final = 120.0
"""Longest time for writing back to a slow medium that gets on, in seconds."""
CALL_S: Final = 10.0
"""Longest time for a question to the mounted file system, in seconds."""

# include/uapi/linux/loop.h
LOOP_CONTROL: Final = "/dev/loop-control"
_LOOP_CONFIGURE: Final = 0x4C0A
_LOOP_CTL_GET_FREE: Final = 0x4C82
_LO_READ_ONLY: Final = 1
_LO_AUTOCLEAR: Final = 4
_LO_DIRECT_IO: Final = 16
_LOOP_CONFIG: Final = struct.Struct("=II QQQQQ IIII 64s 64s 32s QQ 64x")
# fd, block size; device, inode, rdevice, offset, sizelimit; number, -, -, flags; file name, crypt name, key, init; -

_KEEP_SIZE: Final = 1

T = TypeVar("T")


@dataclass(frozen=True)
class System:
    """A file system of the kernel: its name, the options of mount(2), where it lies on a device (start, bytes)."""

    name: str
    options: str
    where: Callable[[BlockDevice], tuple[int, int]]


def _first_volume(device: BlockDevice) -> tuple[int, int]:
    found = find_volume(device)
    return found.start * SECTOR, found.sectors * SECTOR


VFAT: Final = System("vfat", "umask=000,shortname=mixed,utf8=1,errors=remount-ro", _first_volume)
"""As desktops mount sticks, but without ``flush``: what was not asked to be written may be written late."""


@dataclass(frozen=True)
class Loop:
    """A loop device that was set up: open until it is mounted; ``direct``: past the page cache of the file below."""

    path: str
    fd: int
    direct: bool


def attach(disk: int, offset: int, length: int, name: str, *, read_only: bool = False) -> Loop:
    """Put a loop device over a part of an open file; it clears itself with its last user.

    Raises:
        OSError: no right, no free device.
    """
    flags = _LO_AUTOCLEAR | _LO_DIRECT_IO | (_LO_READ_ONLY if read_only else 0)
    config = _LOOP_CONFIG.pack(
        disk, SECTOR, 0, 0, 0, offset, length, 0, 0, 0, flags, name.encode()[:63], b"", b"", 0, 0
    )
    control = os.open(LOOP_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(16):  # somebody else may be quicker to take the free one
            path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            fd = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, _LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(fd)
                if error.errno != errno.EBUSY:
                    raise
                continue
            shown = Path("/sys/block", path.rpartition("/")[2], "loop/dio")
            direct = False
            with contextlib.suppress(OSError):
                direct = shown.read_text().strip() == "1"
            return Loop(path, fd, direct)
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no free loop device")


def within(seconds: float, what: Callable[[], T], name: str, progress: Callable[[], int] | None = None) -> T:
    """Do it in a thread of its own, and wait for it.

    With `progress`, that long without any; and :data:`LONGEST_S` at most.

    Raises:
        TimeoutError: (an OSError) it has not ended in time; it goes on by itself.
    """
    done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((what(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, name=name, daemon=True).start()
    last = time.monotonic() + LONGEST_S
    while True:
        before = progress() if progress is not None else 0
        try:
            value, failed = done.get(timeout=seconds)
            break
        except queue.Empty:
            if progress is None or progress() == before or time.monotonic() > last:
                raise TimeoutError(errno.ETIMEDOUT, f"{name}: no end in sight after {seconds:g} s") from None
    if failed is not None:
        raise failed
    return value  # type: ignore[return-value]


class Blocked:
    """A medium behind the kernel's own file system (:class:`bench.volumes.media.Medium`)."""

    def __init__(
        self,
        config: Config,
        device: BlockDevice,
        trouble: Callable[[str], None],
        system: System | None = None,
    ) -> None:
        self._config = config
        self._device = device
        self._trouble = trouble
        self._system = system or VFAT
        self._server: Server | None = None
        self._disk: Disk | None = None
        self._old: list[Server] = []
        self._ballast = -1
        self._full: int | None = None
        self.direct = False

    def insert(self, note: Note) -> str:
        place = self._config.mount
        place.mkdir(parents=True)
        try:
            why = self._try(place, note)
            if why:
                # What cannot be mounted still appears, and every access fails.
                server = Server(NoFiles(why), source=self._config.name, on_trouble=self._trouble)
                server.mount(place, read_only=self._device.protected)
                self._server = server
            return why
        except BaseException:
            self._end()
            mounting.detach(place)
            take_away(place)
            raise

    def _try(self, place: Path, note: Note) -> str:
        try:
            start, length = self._system.where(self._device)
            within(MOUNT_S, lambda: self._mount(place, start, length, note), "mounting")
            return ""
        except TimeoutError:  # it may still come true, then on a dead disk
            raise
        except OSError as error:
            self._end()
            if self._server is not None:
                self._server.close(END_S)
            self._server = self._disk = None
            return error.strerror or str(error)

    def _mount(self, place: Path, start: int, length: int, note: Note) -> None:
        read_only = self._device.protected
        self._disk = Disk(self._device, note)
        server = DiskServer(self._disk, source=self._config.name, on_trouble=self._trouble)
        below = tempfile.mkdtemp(
            prefix=".disk-", dir=place.parent
        )  # where whoever sweeps after a crash looks
        try:
            server.mount(below)
            self._server = server
            try:
                disk = os.open(f"{below}/{DISK}", (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
            finally:
                mounting.detach(below)
        finally:
            os.rmdir(below)
        try:
            loop = attach(disk, start, length, self._config.name, read_only=read_only)
        finally:
            os.close(disk)
        self.direct = loop.direct
        flags = mounting.FLAGS | (mounting.MS_RDONLY if read_only else 0)
        try:
            mounting.mount(loop.path, place, self._system.name, flags, self._system.options)
        finally:
            os.close(loop.fd)

    def remove(self, seconds: float, *, force: bool = False) -> str:
        server, place = self._server, self._config.mount
        if server is None:
            return ""
        why = ""
        kept = self._full
        self.leave(None)
        if self._disk is not None:
            try:
                within(seconds + CALL_S, lambda: _sync(place), "writing back", self._moved)
            except OSError as error:
                why = f"not everything could be written: {error.strerror}"
        try:
            out = within(
                seconds + CALL_S, lambda: mounting.unmount_within(place, seconds), "unmounting", self._moved
            )
        except TimeoutError as error:
            out, force, why = False, True, str(error.strerror)
        if not out:
            if not force:
                using = ", ".join(str(holder) for holder in mounting.holders(place)[:5])
                with contextlib.suppress(OSError):
                    self.leave(kept)
                raise Busy(f"{self._config.name} is still in use: {using or 'by a process nobody can see'}")
            why = why or "somebody still used it"
            self._end()
            self._drop(place)
        if self._disk is not None and not self._disk.dead:
            if server.join(END_S):
                with contextlib.suppress(OSError):
                    self._device.flush()  # taken out properly is: the medium was told to keep everything
            else:
                self._end()
        server.close(END_S)
        self._server = self._disk = None
        take_away(place)
        return why

    def _moved(self) -> int:
        return self._device.written

    def vanish(self) -> list[str]:
        place, server = self._config.mount, self._server
        self._end()
        self._drop(place)
        self.leave(None)
        self._server = self._disk = None
        left = take_away(place)
        if server is not None:
            # Whoever has files open gets errors from it until it closes them.
            if server.join(0.2):
                server.close()
            else:
                self._old.append(server)
        return left

    def _drop(self, place: Path) -> None:
        """Out of the tree; whoever was the last user unmounts, which may take a while."""
        with contextlib.suppress(TimeoutError):
            within(CALL_S, lambda: mounting.detach(place), "detaching")

    def _end(self) -> None:
        """From now on every access of this mount to the device fails at once."""
        if self._disk is not None:
            self._disk.dead = True

    def leave(self, free: int | None) -> Mapping[str, Any] | None:
        """Leave only so many bytes free, by a file without a name that takes the rest; None gives them back."""
        if self._ballast >= 0:
            fd, self._ballast = self._ballast, -1
            with contextlib.suppress(TimeoutError):
                within(CALL_S, lambda: os.close(fd), "giving space back")
        self._full = free
        if free is None or self._disk is None:
            return None
        found = within(CALL_S + MOUNT_S, lambda: self._fill(free), "taking space")
        return {"doing": "arm", "free": found}

    def _fill(self, free: int) -> int:
        name = self._config.mount / ".full"
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.unlink(name)
            libc = ctypes.CDLL(None, use_errno=True)
            for _ in range(64):
                now = os.fstatvfs(fd)
                step = (now.f_bavail * now.f_frsize - free) // now.f_frsize * now.f_frsize
                if step <= 0:
                    break
                held = os.fstat(fd).st_blocks * 512
                if libc.fallocate(fd, _KEEP_SIZE, ctypes.c_long(held), ctypes.c_long(step)) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, f"the ballast file: {os.strerror(number)}")
        except BaseException:
            os.close(fd)
            raise
        self._ballast = fd
        return now.f_bavail * now.f_frsize

    def free(self) -> int | None:
        """Bytes that are free on the mounted medium; None if it does not say in time."""
        if self._disk is None or self._disk.dead:
            return None
        try:
            found = within(1.0, lambda: os.statvfs(self._config.mount), "asking for space")
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        for server in self._old:
            server.close()
        self._old.clear()


def _sync(place: Path) -> None:
    """Write everything back, and learn of errors of earlier write-back (syncfs(2))."""
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)


def trial(folder: Path, system: System | None = None) -> str:
    """Put a medium in, write to it, and take it out; returns what went wrong, empty if nothing did.

    For a process of its own: it leaves the mount namespace it was started in.  With another file system than vfat,
    ``folder/trial.img`` is there already.
    """
    config = Config("trial", folder / "in" / "trial", folder / "trial.img")
    try:
        own_mounts()
        if system is None:
            format_image(config.image, size=16 << 20, fat="FAT16", label="TRIAL")
        device = BlockDevice(config.image)
        medium = Blocked(config, device, lambda text: None, system)
        try:
            why = medium.insert(lambda what, op, count=0: None)
            if not why:
                within(CALL_S, lambda: _write_through(config.mount / "TRIAL"), "writing")
            if not why and (not device.written or device.unsynced):
                why = "what was written and synced did not come to the medium"
            return medium.remove(1.0, force=True) or why
        finally:
            medium.close()
            device.close()
    except OSError as error:
        return error.strerror or str(error)


def _write_through(path: Path) -> None:
    with path.open("wb") as file:
        file.write(bytes(range(256)) * 16)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    print(trial(Path(sys.argv[1])))
