"""Headers of elements (PS3.5 7.1), also of those that are encoded as their transfer syntax does not allow.

Rules of this file:

* Only the header is read, and what is around it looked at; nothing is taken from the buffer and nothing is told.
* First a header is read as the encoding of its level says; only what cannot be so is tried as something else.
* ``None`` where 12 bytes are needed to know.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bench.witness.encodings import LONG_CODES, SHORT_CODES, U16, U32
from bench.witness.level import ROOT, SIGNED, Level
from bench.witness.vr import LONG, PIXEL_DATA, SHORT, TEXT, UNDEFINED, implicit_vr, lookup, text_of

#: A length in Implicit VR above which an element of no known tag is taken for garbage.
_FAR: Final = 1 << 24


class Head(NamedTuple):
    """The header of an element, with what is wrong with it."""

    vr: str
    length: int
    size: int
    explicit: bool
    problem: tuple[str, str] | None = None


class NoElement(NamedTuple):
    """What stands where a header should, told as a problem."""

    code: str
    text: str
    since: int | None = None
    """Offset of the element before it, whose length may lie."""


def read_header(
    buffer: bytearray, pos: int, at: int, tag: int, level: Level, root: Level
) -> Head | NoElement | None:
    """Read the header of an element at byte *pos* of the buffer, offset *at* of the data set.

    *root* is the level of the data set, whose Pixel Representation governs items that have none.
    """
    big = level.big
    code = bytes(buffer[pos + 4 : pos + 6])
    if level.explicit:
        vr = SHORT_CODES.get(code)
        if vr is not None:
            return Head(vr, U16[big].unpack_from(buffer, pos + 6)[0], 8, True)
        vr = LONG_CODES.get(code)
        if vr is None:
            return _strange(buffer, pos, at, tag, level, code)
        if len(buffer) - pos < 12:
            return None
        problem = None
        if buffer[pos + 6] or buffer[pos + 7]:
            problem = ("reserved", f"the bytes behind the VR of {text_of(tag)} are not zero")
        return Head(vr, U32[big].unpack_from(buffer, pos + 8)[0], 12, True, problem)
    length = U32[big].unpack_from(buffer, pos + 4)[0]
    if code in SHORT_CODES or code in LONG_CODES:
        entry = lookup(tag)
        vr = code.decode()
        if (entry is not None and vr in entry.vrs) or (entry is None and length > _FAR):
            if vr in LONG and len(buffer) - pos < 12:
                return None
            problem = ("explicit-in-implicit", f"{text_of(tag)} has the explicit VR {vr} in Implicit VR")
            if vr in SHORT:
                return Head(vr, U16[big].unpack_from(buffer, pos + 6)[0], 8, True, problem)
            if not buffer[pos + 6] and not buffer[pos + 7]:
                return Head(vr, U32[big].unpack_from(buffer, pos + 8)[0], 12, True, problem)
    if length == UNDEFINED:
        return Head("OW" if tag == PIXEL_DATA else "SQ", length, 8, False)
    vr = implicit_vr(tag)
    if vr == "UN" and not tag & 0x00010000 and (tag < level.last or length > _FAR):
        return _garbage(buffer, pos, tag, level)
    if vr == "US" and _signed(level, root):
        entry = lookup(tag)
        if entry is not None and "SS" in entry.vrs:
            vr = "SS"
    return Head(vr, length, 8, False)


def _strange(
    buffer: bytearray, pos: int, at: int, tag: int, level: Level, code: bytes
) -> Head | NoElement | None:
    """No VR of the standard where one should be."""
    big = level.big
    length = U32[big].unpack_from(buffer, pos + 4)[0]
    entry = lookup(tag)
    known = entry is not None or tag & 0xFFFF == 0
    fits = level.limit is None or at + 8 + length <= level.limit
    letters = code.isalpha() and (code.isupper() or code.upper() in SHORT_CODES or code.upper() in LONG_CODES)
    vr = implicit_vr(tag)
    nested = length == UNDEFINED and vr == "SQ"
    before = level.elements[-1].value if level.elements and level.elements[-1].vr in TEXT else None
    dirty = before is not None and before.find(0, 0, -1) >= 0  # it holds the beginning of this header
    if known and not letters and not dirty and tag > level.last and ((length < 1 << 20 and fits) or nested):
        text = f"{text_of(tag)} has no VR in an Explicit VR syntax"
        return Head(vr, length, 8, False, ("implicit-in-explicit", text))
    if letters and (tag > level.last or known):
        problem = ("unknown-vr", f'{text_of(tag)} has the VR "{code.decode()}", which does not exist')
        if buffer[pos + 6] or buffer[pos + 7] or code.upper() in SHORT_CODES:
            return Head(code.decode(), U16[big].unpack_from(buffer, pos + 6)[0], 8, True, problem)
        if len(buffer) - pos < 12:
            return None
        return Head(code.decode(), U32[big].unpack_from(buffer, pos + 8)[0], 12, True, problem)
    return _garbage(buffer, pos, tag, level)


def _garbage(buffer: bytearray, pos: int, tag: int, level: Level) -> NoElement:
    """What stands here is no element: say what stood before it, since its length may lie."""
    before = level.elements[-1] if level.elements else None
    if level.kind == ROOT and not any(buffer[pos : pos + 8]):
        return NoElement("leftover", "zero bytes behind the last element")
    what = f"what stands here is no element (read as {text_of(tag)})"
    if before is not None and before.tag == PIXEL_DATA and level.kind == ROOT:
        return NoElement("leftover", "bytes that are no element behind Pixel Data")
    if before is not None:
        length = "an undefined length" if before.undefined else f"the length {before.length}"
        what += f"; {before.tag_text} before it has {length}"
    return NoElement("unreadable", what, None if before is None else before.offset)


def _signed(level: Level, root: Level) -> bool:
    """Whether Pixel Representation of the item, or else of the data set, says signed (PS3.5 A.1)."""
    layout = level.layout if SIGNED in level.layout else root.layout
    return layout.get(SIGNED) == 1
