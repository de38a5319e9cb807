"""Whether a file that is on the medium already is the whole image.

Rules of this file:

* A file that this device wrote is the bytes that it would write now, and nothing else.
* Of a file of somebody else only what must be the same is asked for: its data set is ours byte for byte, or it has the
  class of the image and pixels to their very end, the same ones where neither is compressed.
* What cannot be read is an OSError of the medium, never a yes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Final

from .elements import ITEM, UNDEFINED, BadElements, walk
from .master import BIG_ENDIAN, Master
from .model import EXPLICIT_LE, IMPLICIT_LE, MediaError
from .source import Source
from .volume import Names, Volume

_PIECE: Final = 1 << 20
_HEAD: Final = 1 << 12
_MOST: Final = 1 << 24
_PIXELS: Final = 0x7FE00010
_END: Final = 0xFFFEE0DD
_LITTLE: Final = (IMPLICIT_LE, EXPLICIT_LE)

Read = Callable[[int, int], bytes]
"""Up to so many bytes (second) from a place (first)."""


def is_whole(
    volume: Volume,
    names: Names,
    master: Master,
    implementation: tuple[str, str],
    made: Callable[[Master, str], Source],
) -> bool:
    """Tell whether a file is all of an image.

    Args:
        implementation: Implementation Class UID and Version Name by which files of this device are known.
        made: the file of an image in a transfer syntax, as it would be written; MediaError when that cannot be.
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
            source = _made(made, master, syntax)
            if source is not None:
                with _Bytes(source) as ours:
                    own = (group.get(0x00020012, ""), group.get(0x00020013, "")) == implementation
                    start = 0 if own else _meta(ours.read)[1]
                    if _same(read, 0 if own else body, size, ours.read, start, source.size):
                        return True
                    if own:
                        return False
            return _pixels_are_there(read, body, size, syntax, master)
        except (BadElements, struct.error):
            return False
    finally:
        volume.close_file(handle)


def _made(made: Callable[[Master, str], Source], master: Master, syntax: str) -> Source | None:
    try:
        return made(master, syntax)
    except MediaError:
        return None  # a syntax that is not ours


class _Bytes:
    """The bytes of a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._handle = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)

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
        return start + os.pread(self._handle, left, self._source.offset + behind)


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


def _same(one: Read, at: int, size: int, other: Read, begin: int, length: int) -> bool:
    """Compare two files from a place in each to their ends."""
    if size - at != length - begin:
        return False
    while at < size:
        mine = one(at, min(_PIECE, size - at))
        if not mine or mine != other(begin, len(mine)):
            return False
        at += len(mine)
        begin += len(mine)
    return True


def _pixels_are_there(read: Read, body: int, size: int, syntax: str, master: Master) -> bool:
    at, length = _pixels(read, body, size, syntax)
    if length == UNDEFINED:
        return syntax not in (*_LITTLE, BIG_ENDIAN) and _ended(read, at, size)
    if not length or at + length > size:
        return False
    if syntax not in _LITTLE or master.syntax not in _LITTLE:
        return True
    with _Bytes(Source(master.path, 0, master.size, b"")) as ours:
        begin, wanted = _pixels(ours.read, master.body, master.size, master.syntax)
        return wanted == length and _same(read, at, at + length, ours.read, begin, begin + wanted)


def _pixels(read: Read, body: int, size: int, syntax: str) -> tuple[int, int]:
    """Where the value of Pixel Data begins, and its length."""
    implicit, big = syntax == IMPLICIT_LE, syntax == BIG_ENDIAN
    length = _HEAD
    while True:
        data = read(body, min(length, size - body))
        at = 0
        try:
            for element in walk(data, 0, len(data), implicit=implicit, big=big):
                at = element.end
                if element.tag == _PIXELS:  # a short one, whole in what was read
                    return body + element.value, element.length
        except BadElements:
            pass
        order = ">" if big else "<"
        if len(data) - at >= 12 and struct.unpack_from(order + "HH", data, at) == (0x7FE0, 0x0010):
            value = at + (8 if implicit else 12)
            return body + value, struct.unpack_from(order + "I", data, value - 4)[0]
        if len(data) < length or length >= _MOST:
            raise BadElements("no Pixel Data")
        length *= 8


def _ended(read: Read, at: int, size: int) -> bool:
    """Step over the fragments of compressed pixels: at least one behind the table of offsets, and the delimiter."""
    count = 0
    while at + 8 <= size:
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
