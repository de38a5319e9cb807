"""Mounting and unmounting with the system calls themselves, and asking who still uses a mount.

Rules of this file:

* Nothing here looks *into* a mount: its state is read from ``/proc/self/mountinfo`` and from the links of
  ``/proc/PID``, so that a file system served by the calling process cannot be waited for by itself.
* Every wait has an end; the last resort is :func:`detach`, which always works.
* Linux only at run time; importing works everywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_NOATIME: Final = 1024
MNT_DETACH: Final = 2

FLAGS: Final = MS_NOSUID | MS_NODEV | MS_NOATIME
"""What removable media are mounted with on a desktop."""


@dataclass(frozen=True)
class Holder:
    """A process that keeps a mount busy: with an open file, or as its working or root directory."""

    pid: int
    command: str
    path: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command}) has {self.path}"


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str | os.PathLike[str], kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2); raises :class:`OSError` with what the kernel said."""
    path = os.fspath(target)
    done = _libc().mount(
        os.fsencode(source), os.fsencode(path), kind.encode(), ctypes.c_ulong(flags), os.fsencode(options)
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount of {kind} on {path}: {os.strerror(number)}")


def unmount(target: str | os.PathLike[str], flags: int = 0) -> None:
    """umount2(2); raises :class:`OSError`, with EBUSY while somebody uses the mount."""
    path = os.fspath(target)
    if _libc().umount2(os.fsencode(path), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unmount of {path}: {os.strerror(number)}")


def unmount_within(target: str | os.PathLike[str], seconds: float) -> bool:
    """Unmount as soon as nobody uses it any more; False if that did not happen in time.

    Raises:
        OSError: anything but EBUSY.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            unmount(target)
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)


def detach(target: str | os.PathLike[str]) -> bool:
    """Take a mount out of the tree at once, whoever uses it (MNT_DETACH); False if nothing was mounted there."""
    try:
        unmount(target, MNT_DETACH)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return False
        raise
    return True


def mounted(target: str | os.PathLike[str]) -> str | None:
    """The type of the topmost file system mounted at exactly this path, else None."""
    path = os.path.realpath(os.path.dirname(os.path.abspath(target)))
    wanted = os.path.join(path, os.path.basename(os.path.abspath(target)))
    found = None
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        where = left.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        with contextlib.suppress(UnicodeError):
            where = where.encode("latin-1").decode("utf-8")  # the octal escapes are those of bytes
        if where == wanted:
            found = right.split(" ")[0]
    return found


def holders(target: str | os.PathLike[str]) -> list[Holder]:
    """Processes that use something below the path, as far as this process may see them."""
    top = os.path.abspath(target)
    found: list[Holder] = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        for link in _links(Path(entry.path)):
            if link == top or link.startswith(top + "/"):
                command = ""
                with contextlib.suppress(OSError):
                    command = (Path(entry.path) / "comm").read_text().strip()
                found.append(Holder(int(entry.name), command, link))
                break
    return found


def _links(process: Path) -> list[str]:
    links: list[str] = []
    for name in ("cwd", "root"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(process / name))
    with contextlib.suppress(OSError):
        for entry in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):
                links.append(os.readlink(process / "fd" / entry))
    return links
