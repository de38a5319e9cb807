"""Value representations (PS3.5 6.2) and the data dictionary (PS3.6) by tag, for the walk of elements.

Rules of this file:

* The tables are those of :mod:`bench.scenario.dictionary`; nothing imports pydicom.
* A tag is an int, ``0xGGGGEEEE``.  Repeating groups (``60xx``) are known; private elements have no entry.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from bench.scenario.dictionary import _table

#: Value representations with a 16 bit length in Explicit VR (PS3.5 7.1.2).
SHORT: Final = frozenset(
    [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    ],
)
#: Value representations with two reserved bytes and a 32 bit length.
LONG: Final = frozenset(
    ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"),
)
ALL: Final = SHORT | LONG
#: Text that Specific Character Set governs (PS3.5 6.1.2.2).
CHARSET: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
#: Text in the default repertoire.
PLAIN: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
TEXT: Final = CHARSET | PLAIN
#: Text that is one value, whatever backslashes stand in it (PS3.5 6.4).
WHOLE: Final = frozenset(("LT", "ST", "UR", "UT"))
#: Bytes of one value of a binary representation; AT is two 16 bit words.
UNIT: Final = {
    **dict.fromkeys(("US", "SS"), 2),
    **dict.fromkeys(("UL", "SL", "FL", "AT"), 4),
    **dict.fromkeys(("FD", "SV", "UV"), 8),
}
#: Bytes of one word of a stream; its value multiplicity is always 1.
WORD: Final = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}

ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
UNDEFINED: Final = 0xFFFFFFFF
PIXEL_DATA: Final = 0x7FE00010
CHARACTER_SET: Final = 0x00080005


class Entry(NamedTuple):
    """One attribute of the dictionary; ``vrs`` has several where it leaves a choice (``US or SS``)."""

    vrs: tuple[str, ...]
    vm: str
    name: str
    keyword: str
    retired: bool


@cache
def dictionary() -> dict[int, Entry]:
    """Return the attributes of PS3.6 by tag, without the repeating groups."""
    return {tag: _entry(row) for tag, row in _table("_dicom_dict", "DicomDictionary").items()}


@cache
def _repeating() -> tuple[dict[tuple[int, int], Entry], tuple[int, ...]]:
    found: dict[tuple[int, int], Entry] = {}
    for text, row in _table("_dicom_dict", "RepeatersDictionary").items():
        mask = int("".join("0" if c == "x" else "F" for c in text), 16)
        found[mask, int(text.replace("x", "0"), 16)] = _entry(row)
    return found, tuple(dict.fromkeys(mask for mask, _ in found))


def _entry(row: tuple[str, str, str, str, str]) -> Entry:
    return Entry(tuple(row[0].split(" or ")), row[1], row[2], row[4], bool(row[3]))


def lookup(tag: int) -> Entry | None:
    """Return the dictionary's entry of a tag; None for private and unknown ones.

    >>> lookup(0x00100010).keyword
    'PatientName'
    >>> lookup(0x60020010).keyword
    'OverlayRows'
    """
    entry = dictionary().get(tag)
    if entry is None and not tag & 0x00010000:
        entry = _repeater(tag)
    return entry


@cache
def _masks() -> tuple[int, ...]:
    return _repeating()[1]


def _repeater(tag: int) -> Entry | None:
    group = tag >> 16
    if group not in (0x0020, 0x0028, 0x1000, 0x1010) and group >> 8 not in (0x50, 0x60, 0x7F):
        return None
    table = _repeating()[0]
    for mask in _masks():
        entry = table.get((mask, tag & mask))
        if entry is not None:
            return entry
    return None


@cache
def tag_of(keyword: str) -> int:
    """Return the tag of a keyword.  Raises KeyError for one that the dictionary does not have."""
    return _tags()[keyword]


@cache
def _tags() -> dict[str, int]:
    return {entry.keyword: tag for tag, entry in dictionary().items() if entry.keyword}


def implicit_vr(tag: int) -> str:
    """Return the value representation of an element in Implicit VR; ``UN`` where nothing is known.

    Where the dictionary leaves a choice it is ``OW`` for streams and ``US`` for numbers (PS3.5 A.1); whether US or SS
    is meant is Pixel Representation's affair.
    """
    if tag & 0xFFFF == 0:
        return "UL"
    if tag & 0x00010000:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    entry = lookup(tag)
    if entry is None:
        return "UN"
    vrs = entry.vrs
    if len(vrs) > 1:
        return "OW" if vrs[0] == "OB" or vrs[0] == "OW" else vrs[0]
    return vrs[0] if vrs[0] in ALL else "UN"


def text_of(tag: int) -> str:
    """Return ``(GGGG,EEEE)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def number_of(key: str | int) -> int:
    """Return the tag meant by a tag, ``(GGGG,EEEE)``, ``GGGGEEEE`` or a keyword.  Raises KeyError for others."""
    if isinstance(key, int):
        return key
    if key[:1].isalpha() and not _hexadecimal(key):
        return tag_of(key)
    plain = key.strip("()").replace(",", "")
    if not _hexadecimal(plain):
        raise KeyError(key)
    return int(plain, 16)


def _hexadecimal(text: str) -> bool:
    return len(text) == 8 and all(c in "0123456789ABCDEFabcdef" for c in text)
