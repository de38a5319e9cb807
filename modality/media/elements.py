"""Elements of a data set by their bytes: where each begins and ends, without an opinion on its value (PS3.5 7).

Rules of this file:

* Nothing is copied or decoded; positions are those in the buffer.
* Bounded: an element that does not fit into the buffer, or nests deeper than :data:`DEEPEST`, raises
  :class:`BadElements`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

DEEPEST: Final = 24
UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
END_OF_ITEM: Final = 0xFFFEE00D
END_OF_SEQUENCE: Final = 0xFFFEE0DD
_LONG: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)

_READ: Final = {
    big: tuple(struct.Struct(order + form).unpack_from for form in ("HH", "H", "I", "HHI"))
    for big, order in ((False, "<"), (True, ">"))
}


class BadElements(ValueError):
    """The bytes are no elements, or end too early."""


class Element(NamedTuple):
    """Where an element stands: ``data[value:value + length]`` is its value; ``end`` is behind it."""

    tag: int
    vr: bytes
    start: int
    value: int
    length: int
    end: int


def walk(
    data: bytes | memoryview, at: int, end: int, *, implicit: bool = False, big: bool = False, depth: int = 0
) -> Iterator[Element]:
    """Step from element to element; nested ones are stepped over."""
    pair, short, long, _ = _READ[big]
    while at < end:
        if at + 8 > end:
            raise BadElements(f"{end - at} bytes are left at byte {at}")
        group, number = pair(data, at)
        tag = group << 16 | number
        if group == 0xFFFE:
            raise BadElements(f"an item where an element should be, at byte {at}")
        if implicit:
            vr, value, length = b"  ", at + 8, long(data, at + 4)[0]
        else:
            vr = bytes(data[at + 4 : at + 6])
            if not (vr.isalpha() and vr.isupper()):
                raise BadElements(f"no value representation at byte {at + 4}")
            if vr in _LONG:
                if at + 12 > end:
                    raise BadElements(f"the element at byte {at} is cut")
                value, length = at + 12, long(data, at + 8)[0]
            else:
                value, length = at + 8, short(data, at + 6)[0]
        if length == UNDEFINED:
            # An element of UN and undefined length is a sequence in Implicit VR (PS3.5 6.2.2).
            behind = skip(data, value, end, implicit=implicit or vr == b"UN", big=big, depth=depth)
        else:
            behind = value + length
        if behind > end:
            raise BadElements(f"the element at byte {at} is cut")
        yield Element(tag, vr, at, value, length, behind)
        at = behind


def skip(data: bytes | memoryview, at: int, end: int, *, implicit: bool, big: bool, depth: int = 0) -> int:
    """Step over the items of a sequence of undefined length; return what is behind its delimiter."""
    if depth >= DEEPEST:
        raise BadElements("sequences nest too deeply")
    header = _READ[big][3]
    while True:
        if at + 8 > end:
            raise BadElements("a sequence is cut")
        group, number, length = header(data, at)
        tag = group << 16 | number
        at += 8
        if tag == END_OF_SEQUENCE:
            return at
        if tag != ITEM:
            raise BadElements(f"no item at byte {at - 8}")
        at = item_end(data, at, end, length, implicit=implicit, big=big, depth=depth)


def item_end(
    data: bytes | memoryview, at: int, end: int, length: int, *, implicit: bool, big: bool, depth: int = 0
) -> int:
    """Return what is behind an item whose content begins at *at*, its delimiter included."""
    if length != UNDEFINED:
        if at + length > end:
            raise BadElements("an item is cut")
        return at + length
    header = _READ[big][0]
    while True:
        if at + 8 > end:
            raise BadElements("an item is cut")
        group, number = header(data, at)
        if group << 16 | number == END_OF_ITEM:
            return at + 8
        # One element at a time, since the delimiter ends the walk.
        at = next(walk(data, at, end, implicit=implicit, big=big, depth=depth + 1)).end


_UI_OR_OB: Final = frozenset((b"UI", b"OB", b"UN"))


def encode(tag: int, vr: bytes, value: bytes) -> bytes:
    """One element in Explicit VR Little Endian with a value that is padded to even length (PS3.5 6.2, 7.1.2)."""
    if len(value) % 2:
        value += b"\0" if vr in _UI_OR_OB else b" "
    if vr in _LONG:
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value)) + value
    if len(value) > 0xFFFE:
        raise BadElements(f"a value of {len(value)} bytes is too long for {vr.decode()}")
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def file_meta(sop_class: str, sop_instance: str, syntax: str, implementation: tuple[str, str]) -> bytes:
    """The group 0002 of a file with its group length (PS3.10 7.1; no AE title, no private information: MX-D-27)."""
    uid, version = implementation
    group = b"".join(
        (
            encode(0x00020001, b"OB", b"\0\1"),
            encode(0x00020002, b"UI", sop_class.encode("ascii")),
            encode(0x00020003, b"UI", sop_instance.encode("ascii")),
            encode(0x00020010, b"UI", syntax.encode("ascii")),
            encode(0x00020012, b"UI", uid.encode("ascii")),
            encode(0x00020013, b"SH", version.encode("ascii")),
        )
    )
    return encode(0x00020000, b"UL", struct.pack("<I", len(group))) + group
