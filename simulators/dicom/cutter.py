"""Looks into a data set while it streams past: keeps the small elements, passes the big values by.

Rules of this file:

* A data set of any size costs at most :data:`MAX_KEPT` bytes here: values over :data:`BIG` bytes, and
  PixelData of any size, are not kept but announced to ``on_bulk``, which may hash them.
* What is kept is a data set with holes; :func:`simulators.dicom.elements.decode` reads it with ``holes``.
* Fragments may end anywhere, also within an element header.
* The value of encapsulated PixelData is its items, from the basic offset table to the last fragment, without
  the sequence delimiter (as pydicom's ``PixelData``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from simulators.dicom.elements import (
    _LONG,
    _SHORT,
    EXPLICIT_BE,
    IMPLICIT_LE,
    ITEM,
    MAX_ELEMENTS,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    MalformedDataset,
    implicit_vr,
)

BIG: Final = 1 << 16
"""Values over this many bytes are not kept."""
STRIDE: Final = 4096
"""Bytes that are looked at in one go, so that little is copied twice."""
MAX_KEPT: Final = 4 << 20
"""Bytes of small elements that are kept at most."""

OnBulk = Callable[[memoryview | None], None]
"""Called with the bytes of a big value as they come, and with ``None`` at its end."""


class Cutter:
    """Takes the fragments of one data set.

    Attributes:
        kept: the bytes of the data set without the big values.
        holes: offset in ``kept`` where a big value belongs -> (tag, length in bytes), in order of arrival.
    """

    def __init__(self, syntax: str, on_bulk: OnBulk | None = None) -> None:
        """``syntax``: transfer syntax UID.  ``on_bulk``: sees every big value."""
        self.kept = bytearray()
        self.holes: dict[int, tuple[int, int]] = {}
        self._on_bulk = on_bulk
        self._explicit = syntax != IMPLICIT_LE
        order = ">" if syntax == EXPLICIT_BE else "<"
        self._tag_length = struct.Struct(order + "HHI")
        self._tag_vr_length = struct.Struct(order + "HH2sH")
        self._u32 = struct.Struct(order + "I")
        self._at = 0  # where in `kept` the next token begins
        self._skip = 0  # bytes of a big value (or of a fragment of it) still to come
        self._fragments = 0  # tag of the encapsulated element whose fragments are coming
        self._hole = 0
        self._fragment_bytes = 0
        self._tokens = 0
        self._unknown = 0  # open sequences inside a UN value of undefined length

    def feed(self, data: memoryview) -> None:
        """Take the next bytes; raises :class:`MalformedDataset` for what can be no data set."""
        pending = [data]
        while pending:
            data = pending.pop()
            if self._skip:
                part = data[: self._skip] if len(data) > self._skip else data
                self._skip -= len(part)
                if self._on_bulk is not None:
                    self._on_bulk(part)
                    if not self._skip and not self._fragments:
                        self._on_bulk(None)
                if len(part) < len(data):
                    pending.append(data[len(part) :])
                continue
            if len(data) > STRIDE:
                pending.append(data[STRIDE:])
                data = data[:STRIDE]
            self.kept += data
            if len(self.kept) > MAX_KEPT:
                raise MalformedDataset(f"more than {MAX_KEPT} bytes of small elements")
            over = self._tokenise()
            if over:
                # The end of `kept` belongs to a big value: take it back and let it pass.
                start = len(self.kept) - over
                taken = bytes(memoryview(self.kept)[start:])
                del self.kept[start:]
                pending.append(memoryview(taken))

    @property
    def remaining(self) -> int:
        """Bytes of the current big value that are still to come."""
        return self._skip

    def pass_by(self, count: int) -> bool:
        """Take bytes unseen if they all lie within a big value that nobody hashes; else say no and take nothing."""
        if self._on_bulk is not None or count > self._skip:
            return False
        self._skip -= count
        return True

    def finish(self) -> None:
        """The data set ended here; raises :class:`MalformedDataset` when it ended too early."""
        if self._skip or self._fragments:
            raise MalformedDataset(f"the data set ends {self._skip} bytes before the end of a value")
        if self._at != len(self.kept):
            raise MalformedDataset("the data set ends within an element")

    def _tokenise(self) -> int:
        """Walk over the headers in ``kept``; return how many bytes at its end belong to a big value."""
        kept = self.kept
        while True:
            at = self._at
            have = len(kept) - at
            if have < 8:
                return 0
            self._tokens += 1
            if self._tokens > 4 * MAX_ELEMENTS:
                raise MalformedDataset("too many elements")
            group, element, length = self._tag_length.unpack_from(kept, at)
            tag = group << 16 | element
            start = at + 8
            if self._fragments:
                done = self._fragment(tag, length, at, start)
                if done is not None:
                    return done
                continue
            if group == 0xFFFE:
                self._at = start  # items and delimiters: their contents are tokens like all others
                if tag == SEQUENCE_END and self._unknown:
                    self._unknown -= 1
                    self._explicit = not self._unknown
                continue
            if self._explicit:
                raw, short = self._tag_vr_length.unpack_from(kept, at)[2:]
                vr = raw.decode("latin-1")
                if vr in _SHORT:
                    length = short
                elif vr in _LONG or (raw.isalpha() and raw.isupper()):
                    if have < 12:
                        return 0
                    length = self._u32.unpack_from(kept, at + 8)[0]
                    start = at + 12
                else:
                    raise MalformedDataset(f"({group:04X},{element:04X}) has no VR but {raw!r}")
            else:
                vr = implicit_vr(tag)
            if length == UNDEFINED:
                self._at = start
                if vr in ("OB", "OW"):
                    self._fragments, self._hole, self._fragment_bytes = tag, start, 0
                elif self._unknown:
                    self._unknown += 1
                elif vr == "UN" and self._explicit:  # its items are implicit VR (PS3.5 6.2.2 note 2)
                    self._unknown, self._explicit = 1, False
                continue
            if length > BIG and vr == "SQ":
                self._at = start
                continue
            if length > BIG or (tag == PIXEL_DATA and length):
                self.holes[start] = (tag, length)
                self._at = start
                self._skip = length
                return len(kept) - start
            if start + length > len(kept):
                return 0
            self._at = start + length

    def _fragment(self, tag: int, length: int, at: int, start: int) -> int | None:
        """Handle an item of an encapsulated value; the item headers belong to the value too."""
        kept = self.kept
        if tag == ITEM and length != UNDEFINED:
            self._fragment_bytes += 8 + length
            self._skip = 8 + length
            return len(kept) - at
        if tag == SEQUENCE_END:
            self.holes[self._hole] = (self._fragments, self._fragment_bytes)
            self._fragments = 0
            if self._on_bulk is not None:
                self._on_bulk(None)
            # the delimiter is dropped: a hole is a complete value
            over = bytes(memoryview(kept)[start:])
            del kept[at:]
            kept += over
            return None
        raise MalformedDataset(f"bad fragment of encapsulated data ({tag:08X})")
