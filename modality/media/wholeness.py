"""Whether a file that is on the medium already is the whole image.

Rules of this file:

* A file that this device wrote is the bytes that it would write now, and nothing else.
* Of a file of somebody else only what must be the same is asked for: its data set is ours byte for byte, or it has the
  class of the image and the same pixels; compressed ones are only followed to their very end.
* What cannot be read is never a yes: an OSError of the medium, or a MediaError of the device's own disk.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from .elements import ITEM, UNDEFINED, BadElements, walk
from .master import BIG_ENDIAN, Master
from .model import EXPLICIT_LE, IMPLICIT_LE
from .source import Source, unreadable
from .volume import Names, Volume

_PIECE: Final = 1 << 20
_HEAD: Final = 1 << 12
_MOST: Final = 1 << 24
_PIXELS: Final = 0x7FE00010
_END: Final = 0xFFFEE0DD
_NATIVE: Final = (IMPLICIT_LE, EXPLICIT_LE, BIG_ENDIAN)
_MOST_FRAGMENTS: Final = 1 << 18

Read = Callable[[int, int], bytes]
"""Up to so many bytes (second) from a place (first)."""
Tell = Callable[[int], None]


def is_whole(
    volume: Volume,
    names: Names,
    master: Master,
    implementation: tuple[str, str],
    made: Callable[[Master, str], Source | None],
    tell: Tell,
) -> bool:
    """Tell whether a file is all of an image.

    Args:
        implementation: Implementation Class UID and Version Name by which files of this device are known.
        made: the file of an image in a transfer syntax, as it would be written; None when there is none.
        tell: told the bytes of the file that were compared, piece by piece; what it raises ends the work.

    Raises:
        OSError: the medium cannot be read.
        MediaError: the device's own disk cannot.
    """
    about = volume.find(names)
    handle = volume.open(names)
    try:

        def read(at: int, length: int) -> bytes:
            return volume.read(handle, at, length)

        size = about.size if about is not None else 0
        try:
            group, body = _meta(read)
            syntax = group.get(0x00020010, "")
            if group.get(0x00020002) != master.sop_class or group.get(0x00020003) != master.sop_instance:
                return False
            own = (group.get(0x00020012, ""), group.get(0x00020013, "")) == implementation
            source = made(master, syntax)
            if source is None:
                return not own and _pixels_end(read, body, size, syntax)
            with _Bytes(source) as ours:
                begin = 0 if own else _meta(ours.read)[1]
                if _same(_Span(read, 0 if own else body, size), _Span(ours.read, begin, source.size), tell):
                    return True
                if own or syntax not in _NATIVE:
                    return not own and _pixels_end(read, body, size, syntax)
                theirs = _native_pixels(read, body, size, syntax)
                return theirs is not None and _same(
                    theirs, _native_pixels(ours.read, begin, source.size, syntax), tell
                )
        except (BadElements, struct.error):
            return False
    finally:
        volume.close_file(handle)


class _Bytes:
    """The bytes of a source; errors of the device's disk are MediaErrors, since no medium is at fault."""

    def __init__(self, source: Source) -> None:
        self._source = source
        try:
            self._handle = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(source, error.strerror) from error

    def __enter__(self) -> _Bytes:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def read(self, at: int, length: int) -> bytes:
        """Up to so many bytes from a place; less only at the end, or where the file is shorter than it was."""
        start = self._source.start[at : at + length]
        left = min(length - len(start), self._source.size - at - len(start))
        if left <= 0:
            return start
        behind = max(0, at - len(self._source.start))
        try:
            return start + os.pread(self._handle, left, self._source.offset + behind)
        except OSError as error:
            raise unreadable(self._source, error.strerror) from error


def _meta(read: Read) -> tuple[dict[int, str], int]:
    """The UIDs and texts of the file meta information, and where the data set begins."""
    head = read(0, _HEAD)
    if head[128:132] != b"DICM":
        raise BadElements("no DICOM file")
    found: dict[int, str] = {}
    at = 132
    while head[at : at + 2] == b"\x02\0":
        element = next(walk(head, at, len(head)))
        if element.vr in (b"UI", b"SH"):
            found[element.tag] = head[element.value : element.end].rstrip(b" \0").decode("latin-1")
        at = element.end
    return found, at


class _Span(NamedTuple):
    """Bytes of a file from a place up to another one; ``words``: as pairs whose bytes are exchanged."""

    read: Read
    begin: int
    end: int
    words: bool = False

    def piece(self, at: int, length: int) -> bytes:
        """Up to so many bytes from a place in the span."""
        data = self.read(self.begin + at, min(length, self.end - self.begin - at))
        if not self.words or len(data) % 2:
            return data
        exchanged = bytearray(len(data))
        exchanged[0::2], exchanged[1::2] = data[1::2], data[0::2]
        return bytes(exchanged)


def _same(one: _Span, other: _Span | None, tell: Tell) -> bool:
    """Compare two spans of files."""
    size = one.end - one.begin
    if other is None or size != other.end - other.begin:
        return False
    at = 0
    while at < size:
        mine = one.piece(at, _PIECE)
        if not mine or mine != other.piece(at, len(mine)):
            return False
        at += len(mine)
        tell(len(mine))
    return True


def _native_pixels(read: Read, body: int, size: int, syntax: str) -> _Span | None:
    """The value of Pixel Data that are not compressed; None when they are not all there."""
    at, length, vr = _pixels(read, body, size, syntax)
    if not length or length % 2 or at + length > size:  # also of undefined length
        return None
    return _Span(read, at, at + length, syntax == BIG_ENDIAN and vr == b"OW")


def _pixels_end(read: Read, body: int, size: int, syntax: str) -> bool:
    """Tell whether compressed pixels go on to their very end."""
    at, length, _ = _pixels(read, body, size, syntax)
    return syntax not in _NATIVE and length == UNDEFINED and _ended(read, at, size)


def _pixels(read: Read, body: int, size: int, syntax: str) -> tuple[int, int, bytes]:
    """Where the value of Pixel Data begins, its length and VR."""
    implicit, big = syntax == IMPLICIT_LE, syntax == BIG_ENDIAN
    length = _HEAD
    while True:
        data = read(body, min(length, size - body))
        at = 0
        try:
            for element in walk(data, 0, len(data), implicit=implicit, big=big):
                at = element.end
                if element.tag == _PIXELS:  # a short one, whole in what was read
                    return body + element.value, element.length, element.vr
        except BadElements:
            pass
        order = ">" if big else "<"
        if len(data) - at >= 12 and struct.unpack_from(order + "HH", data, at) == (0x7FE0, 0x0010):
            value = at + (8 if implicit else 12)
            return body + value, struct.unpack_from(order + "I", data, value - 4)[0], data[at + 4 : at + 6]
        if len(data) < length or length >= _MOST:
            raise BadElements("no Pixel Data")
        length *= 8


def _ended(read: Read, at: int, size: int) -> bool:
    """Step over the fragments of compressed pixels: at least one behind the table of offsets, and the delimiter."""
    count = 0
    while at + 8 <= size and count <= _MOST_FRAGMENTS:
        group, number, length = struct.unpack("<HHI", read(at, 8))
        at += 8
        tag = group << 16 | number
        if tag == _END:
            return count > 1
        if tag != ITEM or length == UNDEFINED:
            return False
        at += length
        count += 1
    return False
