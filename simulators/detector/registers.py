"""The register space of a device: spans of bytes with access rights and hooks.

Rules of this file:

* One :class:`Span` per register or block; what no span covers does not exist (INVALID_ADDRESS).
* READREG and READMEM, WRITEREG and WRITEMEM go through the same two methods, so that a hook cannot be missed by
  the one that a client happens to use.
* A write hook runs *before* the value is kept and may refuse it with a status, or replace it; a read hook
  computes the value at the moment of reading.
* Not thread-safe by itself: the owner holds one lock around it.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulators.detector.gvcp import Status

ReadHook = Callable[[], int]
WriteHook = Callable[[int], "Status | int | None"]
"""Gets the value; a :class:`Status` refuses it, another int replaces it, None keeps it."""

WORD: Final = 4


@dataclass(frozen=True)
class Span:
    """Bytes ``address`` to ``address + length``; ``access`` is "RO", "RW" or "WO"."""

    address: int
    length: int
    access: str = "RO"
    name: str = ""

    @property
    def end(self) -> int:
        """First byte after the span."""
        return self.address + self.length


class Refused(Exception):
    """A register access that the device refuses, with the status for the acknowledge."""

    def __init__(self, status: Status, address: int) -> None:
        super().__init__(f"{status.name} at 0x{address:x}")
        self.status = status
        self.address = address


class RegisterMap:
    """Memory of a device behind its access rights."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._starts: list[int] = []
        self._data: dict[int, bytearray] = {}
        self._readers: dict[int, ReadHook] = {}
        self._writers: dict[int, WriteHook] = {}

    def add(self, span: Span, content: bytes = b"") -> None:
        """Define a span; raises :class:`ValueError` when it is unaligned, too long, or overlaps another."""
        if span.address % WORD or span.length % WORD or not span.length:
            raise ValueError(f"{span} is not aligned to {WORD} bytes")
        if len(content) > span.length:
            raise ValueError(f"{len(content)} bytes do not fit {span}")
        at = bisect.bisect(self._starts, span.address)
        if (at and self._spans[at - 1].end > span.address) or (
            at < len(self._spans) and span.end > self._spans[at].address
        ):
            raise ValueError(f"{span} overlaps another")
        self._spans.insert(at, span)
        self._starts.insert(at, span.address)
        self._data[span.address] = bytearray(content.ljust(span.length, b"\0"))

    def on_read(self, address: int, hook: ReadHook) -> None:
        """Compute the 32-bit register at ``address`` whenever it is read."""
        self._readers[address] = hook

    def on_write(self, address: int, hook: WriteHook) -> None:
        """Have every client's write to the 32-bit register at ``address`` judged."""
        self._writers[address] = hook

    # ---------------------------------------------------------------- the device's own access

    def _find(self, address: int) -> Span:
        at = bisect.bisect(self._starts, address) - 1
        if at >= 0 and address < self._spans[at].end:
            return self._spans[at]
        raise Refused(Status.INVALID_ADDRESS, address)

    def get(self, address: int) -> int:
        """Value of a 32-bit register, as kept (no hook)."""
        span = self._find(address)
        return int(struct.unpack_from(">I", self._data[span.address], address - span.address)[0])

    def set(self, address: int, value: int) -> None:
        """Keep a 32-bit value (no hook, no right needed)."""
        span = self._find(address)
        struct.pack_into(">I", self._data[span.address], address - span.address, value & 0xFFFFFFFF)

    def fill(self, address: int, content: bytes) -> None:
        """Replace the first bytes of a span (no hook, no right needed)."""
        span = self._find(address)
        start = address - span.address
        self._data[span.address][start : start + len(content)] = content

    # ---------------------------------------------------------------- a client's access

    def read(self, address: int, count: int) -> bytes:
        """READREG or READMEM: ``count`` bytes; raises :class:`Refused`."""
        if address % WORD or count % WORD:
            raise Refused(Status.BAD_ALIGNMENT, address)
        out = bytearray()
        end = address + count
        while address < end:
            span = self._find(address)
            if span.access == "WO":
                raise Refused(Status.ACCESS_DENIED, address)
            stop = min(end, span.end)
            for word in range(address, stop, WORD):
                if word in self._readers:
                    self.set(word, self._readers[word]())
            out += self._data[span.address][address - span.address : stop - span.address]
            address = stop
        return bytes(out)

    def check_write(self, address: int, count: int) -> None:
        """Raise :class:`Refused` unless all these bytes may be written."""
        if address % WORD or count % WORD:
            raise Refused(Status.BAD_ALIGNMENT, address)
        for word in range(address, address + count, WORD):
            if self._find(word).access == "RO":
                raise Refused(Status.WRITE_PROTECT, word)

    def write(self, address: int, value: int) -> None:
        """WRITEREG, or one word of WRITEMEM; raises :class:`Refused`."""
        self.check_write(address, WORD)
        hook = self._writers.get(address)
        if hook is not None:
            verdict = hook(value)
            if isinstance(verdict, Status):
                if verdict is not Status.SUCCESS:
                    raise Refused(verdict, address)
            elif verdict is not None:
                value = verdict
        if self._find(address).access != "WO":
            self.set(address, value)
