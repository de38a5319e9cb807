"""The steps that put a process into namespaces of its own.

Rules of this file:

* Linux only at run time; importing works everywhere.
* Each step either does what it says or raises :class:`IsolationError` with a sentence for people; a step
  that may be missing without harm returns a note instead.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

from bench.links import netns

MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 1 << 18
_PR_SET_CHILD_SUBREAPER: Final = 36


class IsolationError(RuntimeError):
    """A namespace could not be made; the text says which, and what the system said."""


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2).

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind or 'flags'} on {target}: {os.strerror(number)}")


def new_user_namespace() -> None:
    """Become root of a new user namespace that holds only the caller's user and group (one thread only)."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        netns.unshare(netns.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise IsolationError(f"no user namespace: {error}") from error


def children_in_new_pid_namespace() -> None:
    """From now on the caller's children are born in a new pid namespace; the first of them is its pid 1."""
    try:
        netns.unshare(netns.CLONE_NEWPID)
    except OSError as error:
        raise IsolationError(f"no pid namespace: {error}") from error


def new_network_and_mounts() -> list[str]:
    """Give the calling process (pid 1 of its namespace) its own network, mounts and ``/proc``.

    Returns:
        Notes on what could not be had and why that is bearable.
    """
    netns.remember_host()
    try:
        netns.unshare(netns.CLONE_NEWNET)
    except OSError as error:
        raise IsolationError(f"no network namespace: {error}") from error
    netns.refuse_host()
    try:
        netns.unshare(netns.CLONE_NEWNS)
        mount("none", "/", "", MS_REC | MS_PRIVATE)
    except OSError as error:
        raise IsolationError(f"no mount namespace: {error}") from error
    try:
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError as error:
        # containers with a masked /proc refuse it; /proc/self and /proc/thread-self still work
        return [f"/proc shows the processes of the machine: {error}"]
    return []


def become_subreaper() -> bool:
    """Let orphaned descendants become the caller's children, so that it can end them; False if
    unsupported."""
    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def children() -> list[int]:
    """Pids of the caller's own children (Linux; elsewhere empty)."""
    try:
        words = Path("/proc/thread-self/children").read_text().split()
    except OSError:
        return _children_by_scan()
    return [int(word) for word in words]


def _children_by_scan() -> list[int]:
    me, found = os.getpid(), []
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for name in names:
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == me:
            found.append(int(name))
    return found


def close_all_but(kept: set[int]) -> None:
    """Close every other descriptor; those of other sandboxes would keep them (or us) alive."""
    previous = -1
    for fd in sorted(kept):
        if fd > previous + 1:  # an empty range would mean "all" to some versions of Python
            os.closerange(previous + 1, fd)
        previous = fd
    os.closerange(previous + 1, max(previous + 1, os.sysconf("SC_OPEN_MAX")))
