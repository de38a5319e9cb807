"""Which ways of putting a medium before the product this machine offers, best first, and what each cannot prove.

Rules of this file:

* A probe changes nothing: mounts are tried in a child with a mount namespace of its own, which vanishes with it, as
  does the loop device that the trial of ``block`` takes; no kernel module is loaded for it.
* What a backend cannot prove is stated with the backend, so that a report can say it.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HARDWARE: Final = "the electrical interface, the USB or SD stack and its drivers"
KERNEL_FS: Final = (
    "a kernel's own FAT driver and its page cache: written-back late, torn between applications"
)
ERRNO: Final = "errors of the medium: nothing gives EIO, ENOSPC or EROFS"
SHARED_CHAIN: Final = (
    "what a kernel's FAT driver does with clusters that two names share after a pull "
    "(Linux frees them when one of the two is deleted)"
)
SYNC: Final = (
    "that sync(2) and syncfs(2) keep anything: Linux tells FUSE only of fsync(2), of files and of folders"
)
LIVE_FAT: Final = "that the product writes to FAT: it writes to a folder, which becomes an image at removal"
NO_FAT: Final = "anything of FAT: names, sizes, space, partition, what remains after a medium is pulled out"

LOOP_CONTROL: Final = "/dev/loop-control"
ORDER: Final = ("block", "fuse", "image", "folder")


@dataclass(frozen=True)
class Backend:
    """One way to present a medium: whether it works here, why (not), what it cannot prove, how to get it."""

    name: str
    available: bool
    why: str
    cannot_prove: tuple[str, ...]
    advice: str = ""


class NoBackend(Exception):
    """The wanted backend does not exist or does not work here."""


CANNOT_PROVE: Final[dict[str, tuple[str, ...]]] = {
    "block": (HARDWARE,),
    "fuse": (HARDWARE, KERNEL_FS, SHARED_CHAIN, SYNC),
    "image": (HARDWARE, KERNEL_FS, LIVE_FAT, ERRNO),
    "folder": (HARDWARE, KERNEL_FS, ERRNO, NO_FAT),
}


def probe() -> tuple[Backend, ...]:
    """Every backend in order of fidelity, with what was found here."""
    return tuple(_PROBES[name]() for name in ORDER)


def best(wanted: str | None = None) -> Backend:
    """The backend of this name, or (None, "auto") the best one that works here.

    Raises:
        NoBackend: it is unknown, or does not work here; the text says why and what to do.
    """
    if wanted in (None, "auto"):
        return next(backend for backend in probe() if backend.available)
    if wanted not in _PROBES:
        raise NoBackend(f"there is no volume backend {wanted!r}; there are {', '.join(ORDER)}")
    found = _PROBES[wanted]()
    if not found.available:
        advice = f"; {found.advice}" if found.advice else ""
        raise NoBackend(f"volume backend {wanted} does not work here: {found.why}{advice}")
    return found


def _block() -> Backend:
    systems = _kernel_file_systems()
    mine = CANNOT_PROVE["block"]
    if "vfat" not in systems:
        return Backend(
            "block",
            False,
            "the kernel has no vfat",
            mine,
            "a kernel with vfat, e.g. of a distribution: modprobe vfat as root",
        )
    if not os.access(LOOP_CONTROL, os.R_OK | os.W_OK):
        return Backend(
            "block", False, "no access to loop devices", mine, "run as root on a machine with loop"
        )
    why = can_block()
    if why:
        return Backend("block", False, why, mine, "run as root on a machine with /dev/fuse and loop devices")
    return Backend("block", True, "the kernel's vfat on a loop device over a FAT image", mine)


def _fuse() -> Backend:
    why = can_mount()
    mine = CANNOT_PROVE["fuse"]
    if not why:
        return Backend("fuse", True, "FUSE mounts over a FAT image", mine)
    advice = "run as root, or with user namespaces, and with read-write access to /dev/fuse"
    return Backend("fuse", False, why, mine, advice)


def _image() -> Backend:
    return Backend("image", True, "a folder, packed into a FAT image at removal", CANNOT_PROVE["image"])


def _folder() -> Backend:
    return Backend("folder", True, "a plain folder", CANNOT_PROVE["folder"])


_PROBES: Final[dict[str, Callable[[], Backend]]] = {
    "block": _block,
    "fuse": _fuse,
    "image": _image,
    "folder": _folder,
}


def _kernel_file_systems() -> frozenset[str]:
    try:
        lines = Path("/proc/filesystems").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(line.split()[-1] for line in lines if line.strip())


@functools.cache
def can_block() -> str:
    """Empty if a medium of the block backend can be put in, written and taken out here, else why not."""
    folders = os.pathsep.join(
        [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    with tempfile.TemporaryDirectory(prefix="volume-trial-", ignore_cleanup_errors=True) as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "bench.volumes.block", folder],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env={**os.environ, "PYTHONPATH": folders},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"the trial did not end: {type(error).__name__}"
    if done.returncode != 0:
        return f"the trial failed: {done.stderr.strip().splitlines()[-1:]}"
    return done.stdout.strip()


_TRY: Final = """
import ctypes, os, sys, tempfile
libc = ctypes.CDLL(None, use_errno=True)
def must(done, what):
    if done != 0:
        print(what + ": " + os.strerror(ctypes.get_errno())); sys.exit(1)
uid, gid = os.geteuid(), os.getegid()
if libc.unshare(0x00020000) != 0:
    must(libc.unshare(0x10020000), "no mount namespace, and no user namespace")
    try:
        open("/proc/self/setgroups", "w").write("deny")
        open("/proc/self/uid_map", "w").write("0 %d 1" % uid)
        open("/proc/self/gid_map", "w").write("0 %d 1" % gid)
    except OSError as error:
        print("no rights in a user namespace: %s" % error.strerror); sys.exit(1)
must(libc.mount(b"none", b"/", None, ctypes.c_ulong(0x44000), None), "mounts cannot be made private")
try:
    fd = os.open("/dev/fuse", os.O_RDWR)
except OSError as error:
    print("/dev/fuse: " + str(error.strerror)); sys.exit(1)
options = ("fd=%d,rootmode=40000,user_id=%d,group_id=%d" % (fd, os.getuid(), os.getgid())).encode()
must(libc.mount(b"probe", sys.argv[1].encode(), b"fuse.probe", ctypes.c_ulong(6), options), "no right to mount FUSE")
"""


@functools.cache
def can_mount() -> str:
    """Empty if a FUSE file system can be mounted in a mount namespace of one's own, else why not."""
    if sys.platform != "linux":
        return f"no FUSE of this kind on {sys.platform}"
    with tempfile.TemporaryDirectory(prefix="volume-probe-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _TRY, folder],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"the trial mount did not end: {type(error).__name__}"
    if done.returncode == 0:
        return ""
    return done.stdout.strip() or f"the trial mount failed: {done.stderr.strip().splitlines()[-1:]}"
