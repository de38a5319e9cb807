"""How the elements of a data set are encoded, as its transfer syntax says (PS3.5 A) or as its bytes look.

Rules of this file:

* Pure functions of bytes; an encoding is two facts, Explicit VR or not and Big Endian or not.
* Bytes are only believed to be another encoding when they cannot be what they should be.
"""

from __future__ import annotations

import struct
from typing import Final

from bench.witness.vr import LONG, SHORT, UNDEFINED, lookup

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
#: Also JPIP Referenced Deflate (PS3.5 A.7, A.9).
DEFLATES: Final = frozenset((DEFLATED, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
#: Transfer syntaxes of the standard begin so; how a private one is encoded is found out.
STANDARD: Final = "1.2.840.10008.1.2"

#: Value representations as they stand in Explicit VR, by the size of the length behind them (PS3.5 7.1.2).
SHORT_CODES: Final = {vr.encode(): vr for vr in SHORT}
LONG_CODES: Final = {vr.encode(): vr for vr in LONG}
#: Little and Big Endian.
U16: Final = (struct.Struct("<H"), struct.Struct(">H"))
U32: Final = (struct.Struct("<I"), struct.Struct(">I"))

#: Where in a value with a lying length the next element is looked for.
_FARTHEST: Final = 2048
#: Explicit VR, Big Endian, UID, name; what is tried first stands first.
_ENCODINGS: Final = (
    (True, False, EXPLICIT_LITTLE, "Explicit VR Little Endian"),
    (False, False, IMPLICIT_LITTLE, "Implicit VR Little Endian"),
    (True, True, EXPLICIT_BIG, "Explicit VR Big Endian"),
    (False, True, "", "Implicit VR Big Endian"),
)


def tag_at(buffer: bytes | bytearray, pos: int, big: bool) -> int:
    """Return the tag at byte *pos*."""
    if big:
        return buffer[pos] << 24 | buffer[pos + 1] << 16 | buffer[pos + 2] << 8 | buffer[pos + 3]
    return buffer[pos + 1] << 24 | buffer[pos] << 16 | buffer[pos + 3] << 8 | buffer[pos + 2]


def _plausible(buffer: bytes | bytearray, pos: int, explicit: bool, big: bool) -> bool:
    """Tell whether the first bytes of a data set may be an element in this encoding."""
    tag = tag_at(bytearray(buffer[pos : pos + 4]), 0, big)
    entry = lookup(tag)
    group = tag >> 16
    if entry is None and tag & 0xFFFF and not (group & 1 and group > 8):
        return False
    code = bytes(buffer[pos + 4 : pos + 6])
    if explicit:
        return code in SHORT_CODES or code in LONG_CODES
    if (code in SHORT_CODES or code in LONG_CODES) and (entry is None or code.decode() in entry.vrs):
        return False
    length = int(U32[big].unpack_from(buffer, pos + 4)[0])
    return length < 1 << 20 or length == UNDEFINED


def _sensible(buffer: bytes | bytearray, pos: int, explicit: bool, big: bool) -> bool:
    """Tell whether this encoding is plausible and the other byte order not far better.

    (2000,0010), Number of Copies, turned round is (0020,1000), Series in Study.
    """
    if not _plausible(buffer, pos, explicit, big):
        return False
    if not _plausible(buffer, pos, explicit, not big):
        return True
    mine, other = (_first_length(buffer, pos, explicit, order) for order in (big, not big))
    return mine <= 255 or other > 64


def _first_length(buffer: bytes | bytearray, pos: int, explicit: bool, big: bool) -> int:
    at, unit = (pos + 6, U16) if explicit else (pos + 4, U32)
    return int(unit[big].unpack_from(buffer, at)[0])


def other_encoding(
    buffer: bytes | bytearray, pos: int, explicit: bool, big: bool
) -> tuple[bool, bool, str, str] | None:
    """Return the encoding (Explicit VR, Big Endian, UID, name) that the first element is in; None: as it should be.

    *explicit* and *big* say how it should be; what is in no encoding is taken to be so.
    """
    if _sensible(buffer, pos, explicit, big):
        return None
    for encoding in _ENCODINGS:
        if encoding[:2] != (explicit, big) and _sensible(buffer, pos, encoding[0], encoding[1]):
            return encoding
    return None


def guess(head: bytes) -> str:
    """Return the transfer syntax that the first 8 bytes of a data set look like.

    Where the first tag is in no dictionary: Explicit VR LE if a VR stands behind it, else Implicit VR LE.
    """
    if len(head) >= 8:
        for explicit, big, syntax, _ in _ENCODINGS[:3]:
            if _sensible(head, 0, explicit, big):
                return syntax
    code = head[4:6]
    return EXPLICIT_LITTLE if code in SHORT_CODES or code in LONG_CODES else IMPLICIT_LITTLE


def begins_explicit(data: bytes) -> bool:
    """Tell whether a data set that should be deflated begins as plain Explicit VR Little Endian."""
    return len(data) >= 8 and _plausible(data, 0, True, False)


def swallowed(value: bytes, tag: int, explicit: bool, big: bool) -> int | None:
    """Return the tag of an element that begins in a value, with another one behind it: the value's length lies."""
    end = len(value)
    for at in range(1, min(end - 7, _FARTHEST)):
        found, begin = tag, at
        first: int | None = None
        for _ in range(2):
            if begin + 8 > end:
                break
            inner = tag_at(value, begin, big)
            entry = lookup(inner)
            if entry is None or inner <= found:
                break
            if explicit:
                code = value[begin + 4 : begin + 6]
                if code not in SHORT_CODES or code.decode() not in entry.vrs:
                    break
                length = U16[big].unpack_from(value, begin + 6)[0]
            else:
                length = U32[big].unpack_from(value, begin + 4)[0]
            if first is not None:
                return first
            first, found = inner, inner
            begin += 8 + length
            if begin == end:
                return first
    return None
