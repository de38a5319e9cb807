"""Network namespaces as file descriptors, and the guard that keeps every change away from the host.

Rules of this file:

* A namespace is an open file descriptor, never a name under ``/run/netns``: names survive a crash,
  descriptors do not.
* ``setns`` and ``unshare`` act on the *calling thread*.  :func:`create` and :func:`inside` therefore give the
  thread back in the namespace it came from, also when something fails.
* Nothing may be changed in the namespace of the launcher.  The sandbox calls :func:`remember_host` before it
  leaves that namespace; whoever changes something calls :func:`refuse_host` first.
* Linux only, but importing it works everywhere: ``bench doctor`` runs on any machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, Protocol

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

SIOCGSKNS: Final = 0x894C
"""ioctl: a descriptor of the network namespace that a socket belongs to (linux/sockios.h)."""


class HostNamespaceError(RuntimeError):
    """Somebody was about to change the launcher's own network."""


class HasFileno(Protocol):
    """A socket, or anything with a descriptor."""

    def fileno(self) -> int: ...


_host: dict[int, int] = {}
"""Inode -> a descriptor that keeps the namespace alive, because the kernel gives inode numbers out again."""


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the shared namespaces named by ``CLONE_NEW*`` flags.

    Raises:
        OSError: the kernel refuses (no rights, or namespaces are switched off).
    """
    _check(_libc().unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace behind *fd*; *kind* is its ``CLONE_NEW*`` flag."""
    _check(_libc().setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def current_inode() -> int:
    """The inode that identifies the calling thread's network namespace."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def remember_host() -> int:
    """Declare the calling thread's present namespace as one that is never to be changed; return its inode."""
    inode = current_inode()
    if inode not in _host:
        _host[inode] = current()
    return inode


def host_inode() -> frozenset[int]:
    """Inodes of the namespaces that must never be changed."""
    return frozenset(_host)


def refuse_host(sock: HasFileno | None = None) -> None:
    """Raise unless a change made now, by this thread or through *sock*, spares the launcher's network.

    A socket belongs to the namespace it was made in, wherever the thread has gone since: for a socket the
    kernel is asked (``SIOCGSKNS``), for a thread ``/proc/thread-self``.

    Raises:
        HostNamespaceError: the namespace is the launcher's, or nobody said which one that is.
    """
    if not _host:
        raise HostNamespaceError(
            "refused: the launcher's network namespace is not known (remember_host was not called)"
        )
    inode = current_inode() if sock is None else socket_inode(sock)
    if inode in _host:
        raise HostNamespaceError("refused: this would change the network of the machine itself")


def socket_inode(sock: HasFileno) -> int:
    """The inode of the network namespace that *sock* belongs to."""
    fd = fcntl.ioctl(sock.fileno(), SIOCGSKNS, 0)
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def current() -> int:
    """A descriptor of the calling thread's network namespace (close-on-exec)."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def create(*, ipv6: bool = False) -> int:
    """Make an empty network namespace and return its descriptor; the calling thread stays where it is.

    Its loopback interface is down.  Without *ipv6* no interface of it will ever speak IPv6 by itself, so
    that a capture holds no neighbour or router discovery that nobody asked for.

    Raises:
        OSError: the kernel refuses.
    """
    old = current()
    try:
        unshare(CLONE_NEWNET)
        try:
            if not ipv6:
                disable_ipv6()
            return current()
        finally:
            setns(old, CLONE_NEWNET)
    finally:
        os.close(old)


def disable_ipv6() -> bool:
    """Switch IPv6 off for all present and future interfaces of the current namespace.

    Returns:
        False when ``/proc/sys`` is read-only here (some containers): interfaces then get link-local
        addresses.
    """
    if current_inode() in _host:
        raise HostNamespaceError("refused: this would change the network of the machine itself")
    try:
        for name in ("default", "all"):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    except FileNotFoundError:
        return True  # a kernel without IPv6 speaks none
    except OSError:
        return False
    return True


def enter(fd: int) -> None:
    """Move the calling thread into *fd* for good; for a freshly forked host actor."""
    setns(fd, CLONE_NEWNET)


@contextlib.contextmanager
def inside(fd: int) -> Iterator[None]:
    """Move the calling thread into *fd* for the length of the block.

    Sockets and child processes made inside belong there for good.  Threads started inside stay there for
    good, too.
    """
    old = current()
    try:
        setns(fd, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(old, CLONE_NEWNET)
    finally:
        os.close(old)
