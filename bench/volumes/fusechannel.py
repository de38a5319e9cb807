"""The way to the kernel: ``/dev/fuse``, open, and a pipe by which whoever reads from it is woken.

Rules of this file:

* Requests come one after the other; each is answered, or not, before the next one is asked for.
* Reading ends when the mount is gone or :meth:`Channel.wake` was called, however many requests still come.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from collections.abc import Callable, Iterator
from typing import Final

from bench.volumes import fuseproto as proto

DEVICE: Final = "/dev/fuse"
IDLE_S: Final = 5.0
"""How often ``idle`` is called, in seconds, between two requests or while there are none."""


class Channel:
    """One open ``/dev/fuse``; raises :class:`OSError` where there is none."""

    def __init__(self) -> None:
        self.fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self.woken, self._wake = os.pipe2(os.O_CLOEXEC)
        self._ended = False

    def options(self, *more: str) -> str:
        """The options that mount(2) wants for this channel."""
        own = f"fd={self.fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        return ",".join((own, f"max_read={proto.MAX_WRITE}", *more))

    def requests(self, idle: Callable[[], None] | None = None) -> Iterator[memoryview]:
        """Every request until the end; each is good until the next is asked for."""
        buffer = bytearray(proto.BUFFER)
        view = memoryview(buffer)
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        poll.register(self.woken, select.POLLIN)
        due = time.monotonic() + IDLE_S
        while not self._ended:
            if idle is not None and time.monotonic() >= due:
                idle()
                due = time.monotonic() + IDLE_S
            try:
                length = os.readv(self.fd, [buffer])
            except BlockingIOError:
                ready = dict(poll.poll(None if idle is None else IDLE_S * 1000))
                if self.woken in ready or ready.get(self.fd, 0) & select.POLLNVAL:
                    return
                continue
            except OSError as error:
                # ENOENT: the caller was killed before its request was read
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return
            if length >= proto.IN_HEADER.size:
                yield view[:length]

    def answer(self, reply: bytes) -> bool:
        """Send an answer; False when nobody will ask again."""
        try:
            os.write(self.fd, reply)
        except OSError as error:
            # ENOENT: the caller was killed meanwhile and nobody waits for this one
            return error.errno not in (errno.ENODEV, errno.EBADF)
        return True

    def wake(self) -> None:
        """Let requests() end, whoever waits; also after close()."""
        self._ended = True
        with contextlib.suppress(OSError):
            os.write(self._wake, b"x")

    def close(self) -> None:
        """Let go; from then on the kernel answers ENOTCONN.  Idempotent."""
        self._ended = True
        for name in ("fd", "woken", "_wake"):
            number = getattr(self, name)
            if number >= 0:
                setattr(self, name, -1)
                os.close(number)
