"""A removable medium as a block device: an image file with a volatile write cache and faults.

Rules of this file:
- The image file always holds what the host has written; what lay there before is in a log until the next flush
  (:mod:`bench.volumes.unsynced`). Losing unflushed writes means putting old contents back, so the file is always
  what a stick would hold after the event.
- All faults act at the granularity of a 512-byte sector, as on real media: a sector is old or new, never mixed.
- Every method may be called from any thread; callbacks run outside the lock.

Sizes and positions are in bytes. All errors are OSError with the errno a kernel would give: EIO (pulled out,
bad sector), EROFS (write protected), EINVAL (outside the medium).
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.volumes.unsynced import CACHE_LIMIT, Loss, Unsynced
from bench.volumes.unsynced import SECTOR as SECTOR

ZEROS = bytes(64 * 1024)

Data = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Yank:
    """What a yank did: bytes `written` by the host before it, `unsynced` of them not flushed, `lost` of those."""

    written: int
    unsynced: int
    lost: int


@dataclass(slots=True)
class _Fault:
    """Accesses that touch [start, stop) fail with EIO: after `spare` good ones, `count` times (None: always)."""

    start: int
    stop: int
    on: Literal["read", "write"]
    spare: int
    count: int | None
    name: str


class BlockDevice:
    """A sparse image file as a disk of 512-byte sectors, with a volatile write cache and faults to set."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: int | None = None,
        *,
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
        cache_limit: int = CACHE_LIMIT,
    ) -> None:
        """Open the image `path`, made as an empty sparse file of `size` bytes where it does not exist.

        Raises ValueError if the size is no positive multiple of 512 or smaller than the image there is.
        `on_event(kind, data)` gets "yanked" {written, unsynced, lost}, "reinserted", "flushed" {written},
        "io_error" {fault, on, offset, length} and "reached" {name, written}.
        """
        self.path = Path(path)
        self._on_event = on_event
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            there = os.fstat(self._fd).st_size
            self.size = there if size is None else size
            if self.size <= 0 or self.size % SECTOR:
                raise ValueError(f"a medium's size is a multiple of {SECTOR} bytes, not {self.size}")
            if there > self.size:
                raise ValueError(f"the image has {there} bytes, the medium only {self.size}")
            if there < self.size:
                os.ftruncate(self._fd, self.size)
        except BaseException:
            os.close(self._fd)
            raise
        self._lock = threading.Condition(threading.RLock())
        self._unsynced = Unsynced(cache_limit)
        self._written = 0
        self._gone = False
        self._closed = False
        self._protected = False
        self._rate: float | None = None
        self._ready_at = 0.0
        self._yank_at: tuple[int, Loss] | None = None
        self._faults: dict[int, _Fault] = {}
        self._next_fault = 1
        self._watches: list[tuple[int, str]] = []
        self.last_yank: Yank | None = None

    # ---- what the host does -------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`."""
        events: list[tuple[str, dict[str, Any]]] = []
        try:
            with self._lock:
                self._range(offset, length)
                self._throttle(length)
                self._hit("read", offset, length, events)
                data = os.pread(self._fd, length, offset)
                while len(data) < length:
                    more = os.pread(self._fd, length - len(data), offset + len(data))
                    if not more:
                        raise OSError(errno.EIO, "the image file is shorter than the medium")
                    data += more
                return data
        finally:
            self._tell(events)

    def write(self, offset: int, data: Data) -> None:
        """Write `data` at `offset`; sectors written in part keep their other bytes.

        A write during which the medium is pulled out is done up to the last whole sector before that point.
        """
        view = memoryview(data).cast("B")
        events: list[tuple[str, dict[str, Any]]] = []
        try:
            with self._lock:
                self._range(offset, len(view))
                if not len(view):
                    return
                self._throttle(len(view))
                if self._protected:
                    raise OSError(errno.EROFS, "the medium is write protected")
                start = offset - offset % SECTOR
                stop = -(-(offset + len(view)) // SECTOR) * SECTOR
                if start != offset or stop != offset + len(view):
                    before = os.pread(self._fd, offset - start, start)
                    after = os.pread(self._fd, stop - offset - len(view), offset + len(view))
                    view = memoryview(b"".join((before, view, after)))
                allowed = len(view)
                pulled = False
                if self._yank_at is not None and self._written + allowed >= self._yank_at[0]:
                    pulled = True
                    allowed = (self._yank_at[0] - self._written) // SECTOR * SECTOR
                self._hit("write", start, len(view), events)
                if allowed:
                    self._store(start, view[:allowed])
                self._written += allowed
                for watch in [w for w in self._watches if w[0] <= self._written]:
                    self._watches.remove(watch)
                    events.append(("reached", {"name": watch[1], "written": self._written}))
                if pulled:
                    assert self._yank_at is not None
                    self._pull(self._yank_at[1], events)
                    if allowed < len(view):
                        raise OSError(errno.EIO, "the medium was pulled out")
        finally:
            self._tell(events)

    def flush(self) -> None:
        """Make everything written durable: a later yank loses nothing of it."""
        with self._lock:
            self._alive()
            self._unsynced.forget()
            written = self._written
        self._tell([("flushed", {"written": written})])

    def close(self) -> None:
        """Close the image file; everything written stays. May be called twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._unsynced.forget()
                os.close(self._fd)
                self._lock.notify_all()

    @property
    def written(self) -> int:
        """Bytes (of whole sectors) the host has written since the device was opened."""
        return self._written

    @property
    def unsynced(self) -> int:
        """Bytes written since the last flush, still to be lost."""
        return self._unsynced.bytes

    @property
    def yanked(self) -> bool:
        """True from a yank until reinsert()."""
        return self._gone

    # ---- what happens to the medium -----------------------------------------------------------------------

    def yank(self, lose: Loss = 0) -> Yank:
        """Pull the medium out now: every access gives EIO, and so much of what was not flushed is undone, in whole
        sectors: the newest `lose` bytes, all of it (None), or some of it by chance."""
        events: list[tuple[str, dict[str, Any]]] = []
        try:
            with self._lock:
                if self._gone and self.last_yank is not None:
                    return self.last_yank
                return self._pull(lose, events)
        finally:
            self._tell(events)

    def yank_at(self, written_bytes: int | None, lose: Loss = 0) -> None:
        """Pull the medium out when `written` reaches this count (now, if it has); None takes that back."""
        now = False
        with self._lock:
            self._yank_at = None
            if written_bytes is not None:
                if written_bytes <= self._written:
                    now = True
                else:
                    self._yank_at = (written_bytes, lose)
        if now:
            self.yank(lose)

    def reinsert(self) -> None:
        """The medium is back, as the yank left it; bad sectors and protection stay."""
        with self._lock:
            self._gone = False
        self._tell([("reinserted", {})])

    def bad(
        self,
        span: range | tuple[int, int] | None = None,
        on: Literal["read", "write"] = "read",
        count: int | None = None,
        *,
        name: str = "bad",
    ) -> int:
        """Accesses that touch the bytes of `span` (start, stop; None: all) give EIO, `count` times (None:
        for ever). Returns a number for heal()."""
        return self._add(span, on, 0, count, name)

    def wear(
        self, span: range | tuple[int, int] | None = None, after_reads: int = 0, *, name: str = "wear"
    ) -> int:
        """Reads that touch `span` give EIO for ever after `after_reads` good ones. A number for heal()."""
        return self._add(span, "read", after_reads, None, name)

    def heal(self, fault: int | None = None) -> None:
        """Take back one fault of bad() or wear(), or all of them."""
        with self._lock:
            if fault is None:
                self._faults.clear()
            else:
                self._faults.pop(fault, None)

    def watch(self, written_bytes: int, name: str) -> None:
        """Tell "reached" {name} once when `written` has come to this count."""
        with self._lock:
            if written_bytes > self._written:
                self._watches.append((written_bytes, name))
                return
        self._tell([("reached", {"name": name, "written": self._written})])

    @property
    def protected(self) -> bool:
        """The write-protect switch: writes give EROFS."""
        return self._protected

    @protected.setter
    def protected(self, on: bool) -> None:
        with self._lock:
            self._protected = bool(on)

    @property
    def rate(self) -> float | None:
        """Bytes per second the medium manages, or None for no limit."""
        return self._rate

    @rate.setter
    def rate(self, value: float | None) -> None:
        if value is not None and value <= 0:
            raise ValueError("a rate is above 0 bytes per second")
        with self._lock:
            self._rate = value
            self._ready_at = 0.0
            self._lock.notify_all()

    # ---- inside, all with the lock held --------------------------------------------------------------------

    def _alive(self) -> None:
        if self._closed:
            raise OSError(errno.EIO, "the device is closed")
        if self._gone:
            raise OSError(errno.EIO, "the medium was pulled out")

    def _range(self, offset: int, length: int) -> None:
        self._alive()
        if offset < 0 or length < 0 or offset + length > self.size:
            raise OSError(errno.EINVAL, f"{length} bytes at {offset} are outside a medium of {self.size}")

    def _throttle(self, length: int) -> None:
        """Wait as long as a slow medium takes; a yank or another rate wakes the waiter."""
        if self._rate is None:
            return
        self._ready_at = max(self._ready_at, time.monotonic()) + length / self._rate
        until = self._ready_at
        while not self._gone and not self._closed and self._rate is not None:
            left = until - time.monotonic()
            if left <= 0:
                break
            self._lock.wait(left)
        self._alive()

    def _hit(
        self, on: Literal["read", "write"], offset: int, length: int, events: list[tuple[str, dict[str, Any]]]
    ) -> None:
        for number, fault in list(self._faults.items()):
            if fault.on != on or offset + length <= fault.start or offset >= fault.stop:
                continue
            if fault.spare > 0:
                fault.spare -= 1
                continue
            if fault.count is not None:
                fault.count -= 1
                if fault.count <= 0:
                    del self._faults[number]
            events.append(
                (
                    "io_error",
                    {"fault": number, "name": fault.name, "on": on, "offset": offset, "length": length},
                )
            )
            raise OSError(errno.EIO, f"the medium cannot {on} {length} bytes at {offset}")

    def _store(self, offset: int, view: memoryview) -> None:
        length = len(view)
        try:
            hole = os.lseek(self._fd, offset, os.SEEK_DATA) >= offset + length
        except OSError as error:
            hole = error.errno == errno.ENXIO  # no data up to the end of the file
        old = None if hole else os.pread(self._fd, length, offset)
        # Zeros written where nothing ever was stay a hole: a formatted 32 GB card costs almost nothing.
        if not (hole and _is_zero(view)):
            self._put(offset, view)
        self._unsynced.add(offset, length, old)

    def _pull(self, lose: Loss, events: list[tuple[str, dict[str, Any]]]) -> Yank:
        unsynced, lost = self._unsynced.bytes, 0
        for offset, data in self._unsynced.undo(lose):
            self._put(offset, data)
            lost += len(data)
        self._unsynced.forget()
        self._gone = True
        self._yank_at = None
        self._lock.notify_all()
        self.last_yank = Yank(self._written, unsynced, lost)
        events.append(("yanked", {"written": self._written, "unsynced": unsynced, "lost": lost}))
        return self.last_yank

    def _put(self, offset: int, data: Data) -> None:
        """Write to the image file."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += os.pwrite(self._fd, view[done:], offset + done)

    def _add(
        self,
        span: range | tuple[int, int] | None,
        on: Literal["read", "write"],
        spare: int,
        count: int | None,
        name: str,
    ) -> int:
        if on not in ("read", "write"):
            raise ValueError(f"a fault is on read or write, not {on!r}")
        if span is None:
            start, stop = 0, self.size
        elif isinstance(span, range):
            start, stop = span.start, span.stop
        else:
            start, stop = span
        with self._lock:
            number = self._next_fault
            self._next_fault += 1
            self._faults[number] = _Fault(start, stop, on, spare, count, name)
        return number

    def _tell(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        if self._on_event is not None:
            for kind, data in events:
                self._on_event(kind, data)


def _is_zero(view: memoryview) -> bool:
    if view[0] or view[-1]:
        return False
    return all(
        view[at : at + len(ZEROS)].tobytes() == ZEROS[: len(view) - at]
        for at in range(0, len(view), len(ZEROS))
    )
