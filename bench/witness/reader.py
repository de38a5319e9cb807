"""The reader of data sets: bytes in any chunks become a :class:`~bench.witness.elements.DataSet`.

Rules of this file:

* Deflated data sets are inflated as they come (PS3.5 A.5), never to more than ``Limits.inflated`` bytes.
* What should be deflated and is plain is read all the same.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import Any, Final

from bench.witness.elements import DataSet
from bench.witness.encodings import DEFLATES, EXPLICIT_LITTLE, begins_explicit
from bench.witness.levels import DEFAULT, Limits
from bench.witness.walk import Walk

_BEGIN: Final = 16


class Reader:
    """Reads one data set.  Give it the bytes by :meth:`feed`, in any chunks, then call :meth:`finish`."""

    __slots__ = (
        "_begin",
        "_damaged",
        "_done",
        "_inflate",
        "_inflated",
        "_most",
        "_walk",
    )

    def __init__(self, transfer_syntax: str, *, limits: Limits = DEFAULT) -> None:
        """Read a data set in *transfer_syntax* (a UID); any unknown one is Explicit VR LE (PS3.5 A.4)."""
        self._most = limits.inflated
        self._walk = Walk(transfer_syntax, limits)
        self._inflate = zlib.decompressobj(-15) if transfer_syntax in DEFLATES else None
        self._inflated = 0
        self._damaged = False
        self._begin = bytearray()
        self._done: DataSet | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the data set."""
        if self._inflate is None:
            self._walk.feed(memoryview(data))
        elif len(self._begin) >= _BEGIN:
            self._inflate_more(bytes(data))
        else:
            self._begin += data
            if len(self._begin) >= _BEGIN:
                self._begun()

    def _begun(self) -> None:
        """The first bytes of what should be a deflated stream are there: is it one?"""
        data, walk = bytes(self._begin), self._walk
        if begins_explicit(data):
            walk.problem("wrong-syntax", "not deflated, but plain Explicit VR Little Endian", 0)
            self._inflate, walk.read_as = None, EXPLICIT_LITTLE
            walk.feed(memoryview(data))
        else:
            self._inflate_more(data)

    def _inflate_more(self, data: bytes) -> None:
        # Where nothing more can be read it goes on all the same: the length of the data set is told.
        inflate = self._inflate
        while data and inflate is not None and not self._damaged and not inflate.eof:
            before = inflate.copy()
            try:
                plain = inflate.decompress(data, 1 << 20)
            except zlib.error as error:
                self._inflate_last(before, data)
                self._damage(f"the deflated stream is damaged ({error})")
                return
            data = inflate.unconsumed_tail
            self._inflated += len(plain)
            if self._inflated > self._most:
                self._damage(f"inflates to more than {self._most} bytes")
                return
            self._walk.feed(memoryview(plain))

    def _inflate_last(self, inflate: Any, data: bytes) -> None:
        """Get what comes before the damage: zlib keeps nothing of the bytes given together with it."""
        with suppress(zlib.error):
            for at in range(len(data)):
                self._walk.feed(memoryview(inflate.decompress(data[at : at + 1], 1 << 20)))

    def _damage(self, text: str) -> None:
        """Nothing more can be inflated."""
        walk = self._walk
        if not walk.dead:
            walk.problem("deflate", text, walk.total)
        walk.dead = self._damaged = True

    def finish(self) -> DataSet:
        """Return the data set: nothing more will come.  Calling it again gives the same."""
        if self._done is None:
            if self._inflate is not None and 0 < len(self._begin) < _BEGIN:
                self._begun()
            walk = self._walk
            cut = self._inflate is not None and bool(self._begin) and not self._inflate.eof
            if cut and not walk.dead:
                walk.problem("deflate", "the deflated stream does not end", walk.total)
            self._done = walk.finish(ended=not cut)
        return self._done


def read(data: bytes, transfer_syntax: str = EXPLICIT_LITTLE, *, limits: Limits = DEFAULT) -> DataSet:
    """Read a whole data set at once."""
    reader = Reader(transfer_syntax, limits=limits)
    reader.feed(data)
    return reader.finish()
