"""Data elements as bytes: read in one encoding, written in another, never decoded (PS3.5 section 7).

Rules of this file:

* A value is kept as the bytes of Explicit VR Little Endian.  Text is never decoded, so no character set can spoil it;
  only numbers change their byte order, by the unit of their VR (PS3.5 7.3).
* Every length is checked against what holds it; nothing is read beyond, and nesting is limited.
* Sequences are written with defined lengths, whatever they had before; group lengths (retired) are left out.
* Without VRs (Implicit VR) the dictionary tells them; what it does not know is UN (PS3.5 6.2.2).
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom.datadict import dictionary_VR

from .syntaxes import PixelError

PIXEL_DATA: Final = 0x7FE00010
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
UNDEFINED: Final = 0xFFFFFFFF
_REPRESENTATION: Final = 0x00280103
_DEEPEST: Final = 16
_LONG: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_SHORT: Final = frozenset(
    {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT"}
    | {"PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"}
)
_UNITS: Final = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}


class NeedMore(Exception):
    """The header goes on behind the bytes at hand."""


@dataclass(frozen=True)
class Element:
    """One element; the value of a sequence is its items."""

    tag: int
    vr: str
    value: bytes | tuple[tuple[Element, ...], ...]

    @property
    def raw(self) -> bytes:
        """The value of an element that is no sequence; empty for a sequence."""
        return self.value if isinstance(self.value, bytes) else b""


@dataclass(frozen=True)
class Header:
    """An element's tag, VR (empty where none is written), length and where its value begins."""

    tag: int
    vr: str
    length: int
    at: int


def name(tag: int) -> str:
    """A tag for messages."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def swapped(vr: str, value: bytes) -> bytes:
    """The value in the other byte order.

    Raises:
        PixelError: it is no whole number of units.
    """
    unit = _UNITS.get(vr, 1)
    if unit == 1 or not value:
        return value
    if len(value) % unit:
        raise PixelError(f"a value of VR {vr} has {len(value)} bytes, no multiple of {unit}")
    return np.frombuffer(value, f"<u{unit}").byteswap().tobytes()


class Reader:
    """Reads elements from the first bytes of something that is ``total`` bytes long."""

    def __init__(self, data: bytes, total: int, *, implicit: bool, big: bool) -> None:
        self._data, self._total = data, total
        self._implicit, self._order = implicit, ">" if big else "<"
        self._big = big
        self._signed = False

    def header(self, at: int, end: int, *, implicit: bool | None = None) -> Header:
        """The header at a place.

        Raises:
            NeedMore: not all of it is at hand.
            PixelError: it is none.
        """
        self._need(at, 8, end, "an element")
        group, element = struct.unpack_from(f"{self._order}HH", self._data, at)
        tag = group << 16 | element
        if tag in (ITEM, ITEM_END, SEQUENCE_END) or (self._implicit if implicit is None else implicit):
            return Header(tag, "", struct.unpack_from(f"{self._order}I", self._data, at + 4)[0], at + 8)
        vr = self._data[at + 4 : at + 6].decode("latin-1")
        if vr in _LONG:
            self._need(at, 12, end, name(tag))
            return Header(tag, vr, struct.unpack_from(f"{self._order}I", self._data, at + 8)[0], at + 12)
        if vr not in _SHORT:
            raise PixelError(f"{name(tag)} has no value representation but {vr!r}")
        return Header(tag, vr, struct.unpack_from(f"{self._order}H", self._data, at + 6)[0], at + 8)

    def _need(self, at: int, count: int, end: int, what: str) -> None:
        if at + count > end:
            raise PixelError(f"{what} at byte {at} reaches beyond what holds it")
        if at + count > len(self._data):
            if len(self._data) >= self._total:
                raise PixelError(f"{what} at byte {at} is cut off")
            raise NeedMore

    def elements(self, at: int, end: int, *, stop: int | None = None) -> tuple[list[Element], Header | None]:
        """The elements from a place on, up to ``end`` or the element ``stop``.

        Returns:
            The elements, and the header of ``stop`` when it was met.
        """
        found, where = self._run(at, end, stop, 0, None, self._implicit)
        return found, where if isinstance(where, Header) else None

    def _run(
        self, at: int, end: int, stop: int | None, depth: int, closing: int | None, implicit: bool
    ) -> tuple[list[Element], Header | int]:
        if depth > _DEEPEST:
            raise PixelError("sequences are nested too deep")
        found: list[Element] = []
        last = -1
        while at < end:
            head = self.header(at, end, implicit=implicit)
            if head.tag == closing:
                return found, head.at
            if head.tag <= last or head.tag in (ITEM, ITEM_END, SEQUENCE_END):
                raise PixelError(f"{name(head.tag)} at byte {at} is out of place")
            last = head.tag
            if head.tag == stop:
                return found, head
            vr = head.vr or self._vr(head.tag)
            if vr == "SQ" or (head.length == UNDEFINED and vr == "UN"):
                # UN of undefined length is a sequence in Implicit VR (PS3.5 6.2.2)
                items, at = self._items(head, end, depth, implicit or vr == "UN")
                found.append(Element(head.tag, "SQ", items))
                continue
            if head.length == UNDEFINED:
                raise PixelError(f"{name(head.tag)} of VR {vr} has no length")
            self._need(head.at, head.length, end, name(head.tag))
            at = head.at + head.length
            if not head.tag & 0xFFFF and head.tag > 0x0002FFFF:
                continue  # a group length (retired) would be wrong in another encoding
            value = self._data[head.at : at]
            if head.tag == _REPRESENTATION and depth == 0:
                self._signed = value[:1] == b"\x01" or value == b"\x00\x01"
            found.append(Element(head.tag, vr, swapped(vr, value) if self._big else value))
        if closing is not None:
            raise PixelError(f"a sequence before byte {end} has no end")
        return found, at

    def _items(
        self, head: Header, end: int, depth: int, implicit: bool
    ) -> tuple[tuple[tuple[Element, ...], ...], int]:
        at, open_end = head.at, head.length == UNDEFINED
        limit = end if open_end else head.at + head.length
        if limit > end:
            raise PixelError(f"{name(head.tag)} reaches beyond what holds it")
        items: list[tuple[Element, ...]] = []
        while open_end or at < limit:
            item = self.header(at, limit, implicit=implicit)
            if item.tag == SEQUENCE_END and open_end:
                return tuple(items), item.at
            if item.tag != ITEM:
                raise PixelError(f"{name(head.tag)} holds {name(item.tag)} where an item begins")
            if item.length == UNDEFINED:
                found, where = self._run(item.at, limit, None, depth + 1, ITEM_END, implicit)
                at = where if isinstance(where, int) else item.at
            else:
                if item.at + item.length > limit:
                    raise PixelError(f"an item of {name(head.tag)} reaches beyond its sequence")
                at = item.at + item.length
                found, _ = self._run(item.at, at, None, depth + 1, None, implicit)
            items.append(tuple(found))
        return tuple(items), at

    def _vr(self, tag: int) -> str:
        if tag & 0xFFFF == 0:
            return "UL"  # group lengths
        if (tag >> 16) & 1:
            return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
        try:
            vr = str(dictionary_VR(tag))
        except KeyError:
            return "UN"
        if vr == "US or SS":
            return "SS" if self._signed else "US"
        return "OW" if " or " in vr else vr


def write(elements: list[Element] | tuple[Element, ...], *, implicit: bool, big: bool) -> bytes:
    """The elements as bytes in an encoding.

    Raises:
        PixelError: a value cannot be written.
    """
    out = bytearray()
    for element in elements:
        if isinstance(element.value, bytes):
            value = swapped(element.vr, element.value) if big else element.value
        else:
            value = b"".join(_item(item, implicit, big) for item in element.value)
        out += head(element.tag, element.vr, len(value), implicit=implicit, big=big) + value
    return bytes(out)


def _item(item: tuple[Element, ...], implicit: bool, big: bool) -> bytes:
    body = write(item, implicit=implicit, big=big)
    return head(ITEM, "", len(body), implicit=True, big=big) + body


def head(tag: int, vr: str, length: int, *, implicit: bool, big: bool) -> bytes:
    """An element's header."""
    order = ">" if big else "<"
    start = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return start + struct.pack(f"{order}I", length)
    if vr not in _LONG and length > 0xFFFE:
        vr = "UN"  # PS3.5 6.2.2, note 8: too long for a short length
    if vr in _LONG:
        return start + vr.encode() + b"\0\0" + struct.pack(f"{order}I", length)
    return start + vr.encode() + struct.pack(f"{order}H", length)


def put(elements: list[Element], tag: int, vr: str, value: bytes | str | None) -> None:
    """Set an element in its place in order, made even; None takes it away."""
    at = bisect_left(elements, tag, key=lambda element: element.tag)
    there = at < len(elements) and elements[at].tag == tag
    if value is None:
        if there:
            del elements[at]
        return
    data = value.encode("ascii") if isinstance(value, str) else value
    data += (b"\0" if vr in ("UI", "OB") else b" ") * (len(data) % 2)
    elements[at : at + there] = [Element(tag, vr, data)]


def find(elements: list[Element], tag: int) -> Element | None:
    """The element of a tag."""
    at = bisect_left(elements, tag, key=lambda element: element.tag)
    return elements[at] if at < len(elements) and elements[at].tag == tag else None
