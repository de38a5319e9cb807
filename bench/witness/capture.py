"""Capture files to frames: pcap and pcapng, also gzip, read in large blocks.

Rules of this file:

* A frame is ``(time in s, link type, buffer, start, end, length on the wire)``; the buffer is only valid until the
  next frame is asked for.  Nothing is copied here.
* Frames are counted by who reads them; every record that Wireshark counts is given, also of unknown links.
* Memory is bounded by the block size and the longest record allowed; a file that is cut or broken ends with a
  :class:`~bench.witness.model.Problem` in ``problems``, never with an exception.  What is no capture at all is
  :class:`NotACapture`.

Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeAlias, cast

from bench.witness.model import Problem

BLOCK: Final = 1 << 18
"""Bytes read at a time."""
LONGEST: Final = 1 << 26
"""Bytes of the longest record that is believed; a longer one is a broken file."""

Frame: TypeAlias = tuple[float, int, bytes, int, int, int]

_PCAP: Final[dict[bytes, tuple[str, float]]] = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e6),
    b"\xa1\xb2\xc3\xd4": (">", 1e6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e9),
    b"\xa1\xb2\x3c\x4d": (">", 1e9),
}
_MODIFIED: Final[dict[bytes, str]] = {b"\x34\xcd\xb2\xa1": "<", b"\xa1\xb2\xcd\x34": ">"}
_SECTION: Final = b"\x0a\x0d\x0d\x0a"


class NotACapture(Exception):
    """The file is no packet capture, or there is no such file."""


class _Gzip:
    """Reads gzip members one after the other; gives all that can be had of a file that is cut or damaged."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._inflate = zlib.decompressobj(31)
        self._waiting = b""
        self._over = False
        self.fault = ""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end (then ``fault`` says whether it was the true one)."""
        while not self._over:
            data = self._waiting or self._raw.read(1 << 18)
            if not data:
                self._over = True
                self.fault = "the compressed file ends early"
                break
            try:
                plain = self._inflate.decompress(data, size)
            except zlib.error as error:
                self._over = True
                self.fault = f"the compressed file is damaged: {error}"
                break
            self._waiting = self._inflate.unconsumed_tail
            if self._inflate.eof:
                rest = self._inflate.unused_data.lstrip(b"\0") or self._raw.read(1 << 18)
                self._inflate, self._waiting = zlib.decompressobj(31), rest
                self._over = not rest
            if plain:
                return plain
        return b""


class _Interface(NamedTuple):
    link: int
    ticks: float
    offset: int
    snap: int


@dataclass(slots=True)
class Source:
    """One open capture file: iterate over ``frames()``, then look at ``problems``."""

    path: Path
    problems: list[Problem]
    size: int
    count: int = 0

    _file: BinaryIO | _Gzip | None = None
    _raw: BinaryIO | None = None
    _buffer: bytes = b""
    _position: int = 0
    _base: int = 0

    @classmethod
    def open(cls, path: str | Path) -> Source:
        """Open a file and look at its first bytes.

        Raises:
            NotACapture: it cannot be opened or is no capture.
        """
        source = cls(Path(path), [], 0)
        try:
            source.size = source.path.stat().st_size
            raw = cast(BinaryIO, source.path.open("rb"))
        except OSError as error:
            raise NotACapture(f"{source.path}: {error.strerror or error}") from error
        source._raw = source._file = raw
        try:
            head = raw.read(2)
            raw.seek(0)
            if head == b"\x1f\x8b":
                source._file = _Gzip(raw)
            if not source._need(4) or not source._known():
                raise NotACapture(f"{source.path}: neither pcap nor pcapng")
        except OSError as error:
            source.close()
            raise NotACapture(f"{source.path}: {error}") from error
        except NotACapture:
            source.close()
            raise
        return source

    def close(self) -> None:
        """Close the file."""
        if self._raw is not None:
            self._raw.close()

    @property
    def consumed(self) -> int:
        """Bytes of the file that were read so far (of a compressed one: compressed bytes)."""
        return self._raw.tell() if self._raw is not None and not self._raw.closed else self.size

    def first_time(self) -> float | None:
        """Time of the first frame; for ordering several files.  The file is then at its start again."""
        copy = Source.open(self.path)
        try:
            return next((frame[0] for frame in copy.frames()), None)
        finally:
            copy.close()

    def frames(self, progress: Callable[[int], None] | None = None) -> Iterator[Frame]:
        """Every frame of the file, in order.  ``progress`` is called with :attr:`consumed` now and then."""
        self._progress = progress
        try:
            if self._buffer[:4] == _SECTION:
                yield from self._pcapng()
            else:
                yield from self._pcap()
        except OSError as error:
            self._broken("capture-broken", f"the file cannot be read any further: {error}")
        finally:
            self.close()

    _progress: Callable[[int], None] | None = None

    # -- bytes ----------------------------------------------------------------------------------------------

    def _known(self) -> bool:
        head = self._buffer[:4]
        return head in _PCAP or head in _MODIFIED or head == _SECTION

    def _need(self, count: int) -> bool:
        """Make sure that ``count`` bytes stand at the position; False at the end of the file."""
        have = len(self._buffer) - self._position
        if have >= count:
            return True
        assert self._file is not None
        self._base += self._position
        parts = [self._buffer[self._position :]]
        while have < count:
            more = self._file.read(max(BLOCK, count - have))
            if not more:
                if isinstance(self._file, _Gzip) and self._file.fault:
                    self._broken("capture-cut", self._file.fault)
                break
            parts.append(more)
            have += len(more)
        self._buffer = b"".join(parts)
        self._position = 0
        if self._progress is not None:
            self._progress(self.consumed)
        return have >= count

    def _broken(self, code: str, text: str) -> None:
        if not any(problem.code == code for problem in self.problems):
            self.problems.append(
                Problem(
                    code, f"{self.path.name}: {text}", self.count or None, offset=self._base + self._position
                )
            )

    def _cut(self, what: str) -> None:
        have = len(self._buffer) - self._position
        if have:
            self._broken("capture-cut", f"the file ends {have} bytes into {what}")

    # -- pcap -----------------------------------------------------------------------------------------------

    def _pcap(self) -> Iterator[Frame]:
        head = self._buffer[:4]
        order, ticks = _PCAP.get(head) or (_MODIFIED[head], 1e6)
        header = 24 if head in _MODIFIED else 16
        if not self._need(24):
            self._cut("the file header")
            return
        (link,) = struct.unpack_from(order + "I", self._buffer, 20)
        link &= 0x0FFFFFFF
        self._position = 24
        unpack = struct.Struct(order + "IIII").unpack_from
        while True:
            # All records that are whole in the buffer, without a call per record.
            buffer, position = self._buffer, self._position
            size, count = len(buffer), 0
            last = size - header
            while position <= last:
                seconds, fraction, captured, length = unpack(buffer, position)
                start = position + header
                end = start + captured
                if end > size:
                    break
                count += 1
                position = end
                yield seconds + fraction / ticks, link, buffer, start, end, length
            self._position = position
            self.count += count
            if not self._need(header):
                self._cut("a record header")
                return
            captured = unpack(self._buffer, self._position)[2]
            if captured > LONGEST:
                self._broken("capture-broken", f"a record of {captured} bytes")
                return
            if not self._need(header + captured):
                self._cut(f"a record of {captured} bytes")
                return

    # -- pcapng ---------------------------------------------------------------------------------------------

    def _pcapng(self) -> Iterator[Frame]:
        order = "<"
        interfaces: list[_Interface] = []
        enhanced = struct.Struct("<IIIIIII").unpack_from
        while True:
            buffer, position = self._buffer, self._position
            size, count = len(buffer), 0
            while position + 28 <= size:
                kind, total, number, high, low, captured, length = enhanced(buffer, position)
                if kind != 6 or position + total > size or total & 3 or captured + 32 > total:
                    break
                if number >= len(interfaces):
                    break
                link, ticks, offset, _ = interfaces[number]
                count += 1
                start = position + 28
                position += total
                yield ((high << 32 | low) / ticks + offset), link, buffer, start, start + captured, length
            self._position = position
            self.count += count
            if not self._need(12):
                self._cut("a block header")
                return
            buffer, position = self._buffer, self._position
            if buffer[position : position + 4] == _SECTION:
                magic = buffer[position + 8 : position + 12]
                order = "<" if magic == b"\x4d\x3c\x2b\x1a" else ">" if magic == b"\x1a\x2b\x3c\x4d" else ""
                if not order:
                    self._broken("capture-broken", f"a section header with the magic {magic.hex()}")
                    return
                interfaces = []
                enhanced = struct.Struct(order + "IIIIIII").unpack_from
            kind, total = struct.unpack_from(order + "II", buffer, position)
            if total < 12 or total & 3 or total > LONGEST:
                self._broken("capture-broken", f"a block of type {kind:08X}H and {total} bytes")
                return
            if not self._need(total):
                self._cut(f"a block of {total} bytes")
                return
            buffer, position = self._buffer, self._position
            body, end = position + 8, position + total - 4
            frame = None
            if kind == 1 and end - body >= 8:
                interfaces.append(_interface(order, buffer, body, end))
            elif kind in (2, 3, 6):
                frame = self._packet(order, kind, interfaces, body, end)
            self._position = position + total
            if frame is not None:
                self.count += 1
                yield frame

    def _packet(
        self, order: str, kind: int, interfaces: list[_Interface], body: int, end: int
    ) -> Frame | None:
        """An enhanced, simple or obsolete packet block."""
        buffer = self._buffer
        try:
            if kind == 3:
                number, high, low = 0, 0, 0
                (length,) = struct.unpack_from(order + "I", buffer, body)
                start = body + 4
                snap = interfaces[0].snap if interfaces else 0
                captured = min(length, snap or length, end - start)
            elif kind == 2:
                number, _, high, low, captured, length = struct.unpack_from(order + "HHIIII", buffer, body)
                start = body + 20
            else:
                number, high, low, captured, length = struct.unpack_from(order + "IIIII", buffer, body)
                start = body + 20
        except struct.error:
            self._broken("capture-broken", "a packet block that is too short")
            return None
        if number >= len(interfaces):
            self._broken("capture-broken", f"a packet of interface {number}, which the section does not have")
            return (0.0, -1, buffer, start, start, length)
        if start + captured > end:
            self._broken("capture-broken", f"a packet block with {captured} bytes that it has no room for")
            captured = max(end - start, 0)
        link, ticks, offset, _ = interfaces[number]
        return (high << 32 | low) / ticks + offset, link, buffer, start, start + captured, length


def _interface(order: str, buffer: bytes, body: int, end: int) -> _Interface:
    """An interface description block; options 9 (if_tsresol) and 14 (if_tsoffset) count."""
    link, _, snap = struct.unpack_from(order + "HHI", buffer, body)
    ticks, offset = 1e6, 0
    position = body + 8
    while position + 4 <= end:
        code, length = struct.unpack_from(order + "HH", buffer, position)
        position += 4
        if code == 0 or position + length > end:
            break
        if code == 9 and length == 1:
            value = buffer[position]
            ticks = float(1 << (value & 0x7F)) if value & 0x80 else 10.0 ** (value & 0x7F)
        elif code == 14 and length == 8:
            (offset,) = struct.unpack_from(order + "q", buffer, position)
        position += length + 3 & ~3
    return _Interface(link, ticks, offset, snap)
