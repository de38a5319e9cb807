"""Facts about Pixel Data while it passes by: extremes, bits above Bits Stored, fragments, the JPEG header.

Rules of this file:

* Nothing of the pixels is kept but one block (256 KiB), the first 4 KiB of the first fragment, and numbers.
* Facts are made of what the attributes before Pixel Data say; where these say nothing usable there are none.
* A digest of each native frame is made for the first :data:`MOST_FRAMES` frames; what comes behind them has none.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.witness.arrangement import Greys, Probe

BLOCK: Final = 1 << 18
HEAD: Final = 4096
TAIL: Final = 16
#: Fragments, and entries of an offset table, that are kept.
MOST: Final = 100_000
#: Native frames of which a digest is made.
MOST_FRAMES: Final = 10_000

_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Jpeg:
    """The frame header of a JPEG stream (ISO 10918-1 B.2.2; JPEG-LS the same); ``sof`` is the marker's second byte.

    0xC0 baseline, 0xC1 extended, 0xC3 lossless, 0xF7 JPEG-LS; 0x51 for JPEG 2000 (SIZ).
    """

    sof: int
    precision: int
    rows: int
    columns: int
    components: int
    predictor: int | None = None
    sampling: tuple[int, ...] = ()
    """Horizontal (high half byte) and vertical sampling factor of each component."""
    missing: str = ""
    """The kind of table that the first scan names and that is not in front of it; seen only where the scan is."""
    least: int = 0
    """Bytes that the stream has at least: headers, and the shortest codes for all samples; 0: not known."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """What was seen of Pixel Data (7FE0,0010).

    ``length`` is bytes of native pixels, or the sum of the fragments.  ``smallest`` and ``largest`` are values as
    stored (signed where Pixel Representation says so), None where they were not made.  ``above_bits_stored`` counts
    pixels that do not fit Bits Stored, ``first_above_offset`` is the byte in the value of the first of them.
    ``fragments`` are lengths without the offset table; ``eoi`` counts fragments that end with a JPEG EOI marker.
    ``starts`` are the numbers of the fragments (from 0) that begin with SOI, ``other`` is the first of them whose
    header says another size, process or precision than the first stream, with that header.
    ``crc`` is the CRC-32 of all bytes (without the offset table): equal pixels have equal ones.  ``last`` is the last
    byte of native pixels; ``greys`` is how the samples of a colour image lie (:mod:`bench.witness.arrangement`).
    ``frames`` are the SHA-256 of whole native frames in their order, without a padding byte behind the last one; they
    are made with ``sha256``, and fewer than Number of Frames say that the others were not there or not looked at.
    """

    length: int
    smallest: int | None = None
    largest: int | None = None
    above_bits_stored: int = 0
    first_above_offset: int | None = None
    sha256: str | None = None
    encapsulated: bool = False
    fragments: tuple[int, ...] = ()
    offset_table: tuple[int, ...] | None = None
    head: bytes = b""
    jpeg: Jpeg | None = None
    eoi: int = 0
    starts: tuple[int, ...] = ()
    other: tuple[int, Jpeg] | None = None
    crc: int = 0
    last: int | None = None
    greys: Greys | None = None
    frames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """How pixels lie in memory: the attributes of the Image Pixel module; None = not there."""

    bits_allocated: int | None = None
    bits_stored: int | None = None
    high_bit: int | None = None
    signed: bool = False
    pixels: int | None = None  # rows x columns x samples x frames
    big_endian: bool = False
    colours: int | None = None  # pixels of one frame, when they have three samples
    frame: int | None = None  # samples of one frame


class _Frames:
    """The digest of each frame, by any chunks."""

    def __init__(self, size: int, count: int) -> None:
        """Look at *count* frames of *size* bytes."""
        self._size, self._left = size, size
        self._wanted = min(count, MOST_FRAMES)
        self._hash = hashlib.sha256()
        self.digests: list[str] = []

    def feed(self, data: memoryview) -> None:
        """Take the next bytes."""
        at = 0
        while at < len(data) and len(self.digests) < self._wanted:
            piece = data[at : at + self._left]
            self._hash.update(piece)
            at += len(piece)
            self._left -= len(piece)
            if not self._left:
                self.digests.append(self._hash.hexdigest())
                self._hash, self._left = hashlib.sha256(), self._size


class Native:
    """Native pixels, by any chunks."""

    def __init__(self, layout: Layout, *, digest: bool = False) -> None:
        """Look at pixels of *layout*; ``digest`` makes their SHA-256 too."""
        size = {8: 1, 16: 2, 32: 4}.get(layout.bits_allocated or 0)
        self._layout = layout
        self._size = size or 1
        order = ">" if layout.big_endian else "<"
        self._dtype = np.dtype(f"{order}{'i' if layout.signed else 'u'}{self._size}") if size else None
        stored = layout.bits_stored or layout.bits_allocated or 0
        if size and not 0 < stored <= 8 * size:
            stored = 8 * size
        self._stored = stored
        self._shift = max(0, (layout.high_bit if layout.high_bit is not None else stored - 1) + 1 - stored)
        if size and self._shift + stored > 8 * size:
            self._shift = 0
        self._left = -1 if layout.pixels is None else layout.pixels * self._size
        self._block = bytearray(BLOCK)
        self._view = memoryview(self._block)
        self._array = np.frombuffer(self._block, self._dtype) if self._dtype is not None else None
        self._used = 0
        self._done = 0
        self._length = 0
        self._low: int | None = None
        self._high: int | None = None
        self._above = 0
        self._first: int | None = None
        self._hash = hashlib.sha256() if digest else None
        self._frame = (layout.frame or 0) * (size or 0)
        """Bytes of a frame; 0 where they are not known, or are not looked at."""
        count = layout.pixels // layout.frame if layout.pixels and layout.frame else 0
        if not digest or not count:
            self._frame = 0
        self._one = count == 1 and not self._frame & 1  # its digest is that of all bytes
        self._frames = _Frames(self._frame, count) if self._frame and not self._one else None
        self._crc = 0
        self._last: int | None = None
        self._probe = Probe(layout.colours) if layout.colours and size == 1 else None

    def feed(self, data: memoryview) -> None:
        """Take the next bytes."""
        size = len(data)
        if size:
            self._last = data[-1]
        if self._probe is not None and self._length < self._probe.end:
            self._probe.feed(data)
        self._length += size
        self._crc = zlib.crc32(data, self._crc)
        if self._hash is not None:
            self._hash.update(data)
        if self._frames is not None:
            self._frames.feed(data)
        if self._array is None:
            return
        if self._left >= 0:
            if size > self._left:
                data = data[: self._left]
                size = self._left
            self._left -= size
        used = self._used
        while used + size >= BLOCK:
            take = BLOCK - used
            self._view[used:BLOCK] = data[:take]
            self._look(self._array)
            self._done += BLOCK
            data = data[take:]
            size -= take
            used = 0
        if size:
            self._view[used : used + size] = data
        self._used = used + size

    def _look(self, values: npt.NDArray[Any]) -> None:
        if not values.size:
            return
        layout, stored, shift = self._layout, self._stored, self._shift
        bits = 8 * self._size
        raw = values
        if shift or (layout.signed and stored < bits):
            unsigned = values.view(values.dtype.str.replace("i", "u")).astype(f"u{self._size}")
            over = unsigned >> (shift + stored) if shift + stored < bits else np.zeros_like(unsigned)
            wide = unsigned.astype(np.int64) >> shift & ((1 << stored) - 1)
            if layout.signed:
                sign = wide >> (stored - 1)
                full = (1 << (bits - shift - stored)) - 1
                bad = (over != 0) & ~((over == full) & (sign == 1))
                wide = wide - (sign << stored)
            else:
                bad = over != 0
            raw = wide
            self._count(bad)
        low, high = int(raw.min()), int(raw.max())
        if raw is values and stored < bits and high >> stored:
            self._count(values > (1 << stored) - 1)
        if self._low is None or low < self._low:
            self._low = low
        if self._high is None or high > self._high:
            self._high = high

    def _count(self, bad: npt.NDArray[np.bool_]) -> None:
        count = int(np.count_nonzero(bad))
        if count and self._first is None:
            self._first = self._done + int(bad.argmax()) * self._size
        self._above += count

    def finish(self) -> Pixels:
        """Return the facts."""
        if self._array is not None:
            self._look(self._array[: self._used // self._size])
        return Pixels(
            self._length,
            self._low,
            self._high,
            self._above,
            self._first,
            self._hash.hexdigest() if self._hash is not None else None,
            crc=self._crc,
            last=self._last,
            greys=self._probe.finish() if self._probe is not None else None,
            frames=self._digests(),
        )

    def _digests(self) -> tuple[str, ...]:
        if self._frames is not None:
            return tuple(self._frames.digests)
        whole = self._one and self._frame and self._length == self._frame
        return (self._hash.hexdigest(),) if whole and self._hash is not None else ()


class Fragments:
    """Encapsulated pixels (PS3.5 A.4), fragment by fragment; the first one is the Basic Offset Table."""

    def __init__(self, *, digest: bool = False) -> None:
        """Look at fragments; ``digest`` makes the SHA-256 of all but the offset table."""
        self._lengths: list[int] = []
        self._table: bytearray | None = None
        self._table_length = 0
        self._in_table = False
        self._head = bytearray()
        self._tail = b""
        self._sum = 0
        self._eoi = 0
        self._piece = bytearray()
        self._starts: list[int] = []
        self._first: Jpeg | None = None
        self._other: tuple[int, Jpeg] | None = None
        self._crc = 0
        self._hash = hashlib.sha256() if digest else None

    def begin(self, length: int) -> None:
        """A fragment of *length* bytes begins."""
        if self._table is None:
            self._table = bytearray()
            self._in_table = True
            self._table_length = length
            return
        self._close()
        self._sum += length
        if len(self._lengths) < MOST:
            self._lengths.append(length)

    def feed(self, data: memoryview) -> None:
        """Take the next bytes of the fragment."""
        if self._in_table:
            table = self._table
            if table is not None and len(table) < 4 * MOST:
                table += data[: 4 * MOST - len(table)]
            return
        self._crc = zlib.crc32(data, self._crc)
        if self._hash is not None:
            self._hash.update(data)
        if len(self._lengths) == 1 and len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        if len(self._piece) < HEAD:
            self._piece += data[: HEAD - len(self._piece)]
        self._tail = (self._tail + bytes(data[-TAIL:]))[-TAIL:]

    def _close(self) -> None:
        self._in_table = False
        if self._piece[:2] == b"\xff\xd8":
            self._started()
        self._piece.clear()
        if b"\xff\xd9" in self._tail:  # no coded data can hold these two bytes; padding may follow them
            self._eoi += 1
        self._tail = b""

    def _started(self) -> None:
        """A fragment was one that begins a stream."""
        number = len(self._lengths) - 1
        if len(self._starts) < MOST:
            self._starts.append(number)
        if self._other is not None:
            return
        found = jpeg(bytes(self._piece))
        if found is None:
            return
        found = replace(found, sampling=(), missing="", least=0)
        self._first = self._first or found
        if found != self._first:
            self._other = number, found

    @property
    def fragments(self) -> tuple[int, ...]:
        """Lengths of the fragments so far."""
        return tuple(self._lengths)

    def finish(self) -> Pixels:
        """Return the facts."""
        self._close()
        table = None
        if self._table is not None:
            table = struct.unpack(f"<{len(self._table) // 4}I", self._table[: len(self._table) // 4 * 4])
        head = bytes(self._head)
        return Pixels(
            self._sum,
            encapsulated=True,
            fragments=self.fragments,
            offset_table=table,
            head=head,
            jpeg=jpeg(head),
            eoi=self._eoi,
            starts=tuple(self._starts),
            other=self._other,
            crc=self._crc,
            sha256=self._hash.hexdigest() if self._hash is not None else None,
        )


def jpeg(head: bytes) -> Jpeg | None:
    """Return the frame header in the first bytes of a JPEG, JPEG-LS or JPEG 2000 stream; None where there is none."""
    if head[:4] == b"\xff\x4f\xff\x51" and len(head) >= 43:
        right, lower, left, upper = struct.unpack_from(">4I", head, 8)
        components = struct.unpack_from(">H", head, 40)[0]
        return Jpeg(0x51, (head[42] & 0x7F) + 1, lower - upper, right - left, components)
    if head[:2] != b"\xff\xd8":
        return None
    at = 2
    found: Jpeg | None = None
    codes: dict[int, int] = {}
    quantized = False
    while at + 4 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in (0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            at += 2
            continue
        length = struct.unpack_from(">H", head, at + 2)[0]
        if marker in _SOF or marker == 0xF7:
            if at + 10 > len(head):
                return None
            precision, rows, columns, components = struct.unpack_from(">BHHB", head, at + 4)
            sampling = tuple(head[at + 11 : min(at + 11 + 3 * components, at + 2 + length) : 3])
            found = Jpeg(marker, precision, rows, columns, components, sampling=sampling)
        elif marker == 0xC4:
            codes |= _shortest(head[at + 4 : at + 2 + length])
        elif marker == 0xDB:
            quantized = True
        elif marker == 0xDA:
            if found is not None and at + 5 < len(head):
                predictor = at + 5 + 2 * head[at + 4]
                if found.sof in (0xC3, 0xC7, 0xCB) and predictor < len(head):
                    found = replace(found, predictor=head[predictor])
                found = _scanned(found, head[at + 4 : at + 2 + length], codes, quantized, at + 2 + length)
            return found
        elif marker == 0xD9:
            return found
        at += 2 + max(2, length)
    return found


def _shortest(segment: bytes) -> dict[int, int]:
    """The length in bits of the shortest code of each Huffman table of a segment, by class and number."""
    found, at = {}, 0
    while at + 17 <= len(segment):
        counts = segment[at + 1 : at + 17]
        found[segment[at]] = next((bits for bits, count in enumerate(counts, 1) if count), 0)
        at += 17 + sum(counts)
    return found


def _scanned(found: Jpeg, scan: bytes, codes: dict[int, int], quantized: bool, begin: int) -> Jpeg:
    """Add what the first scan needs: its tables (ISO 10918-1 B.2.4), and bits for every sample (F.1.2, H.1.2)."""
    if found.sof not in (0xC0, 0xC1, 0xC3) or not scan or len(scan) < 1 + 2 * scan[0]:
        return found
    tables = [scan[2 + 2 * n] for n in range(scan[0])]
    lossless = found.sof == 0xC3
    if not lossless and not quantized:
        return replace(found, missing="quantization")
    wanted = {one >> 4 for one in tables} | (set() if lossless else {0x10 | one & 0xF for one in tables})
    if not wanted <= set(codes):
        return replace(found, missing="Huffman")
    if len(tables) != found.components or len(found.sampling) != found.components or not found.components:
        return found
    factors = [(one >> 4, one & 0xF) for one in found.sampling]
    across, down = max(h for h, _ in factors) or 1, max(v for _, v in factors) or 1
    unit = 1 if lossless else 8
    bits = 0
    for (h, v), table in zip(factors, tables, strict=True):
        units = (-(-found.columns * h // across) // unit) * (-(-found.rows * v // down) // unit)
        bits += units * (codes[table >> 4] + (0 if lossless else codes[0x10 | table & 0xF]))
    return replace(found, least=begin + bits // 8)
