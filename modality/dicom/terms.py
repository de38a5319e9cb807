"""The character sets of the statement (VX-CS-001 … 030) and what each one can carry.

Rules of this file: pure Python, no DICOM library, so that the configuration can be checked before anything is loaded.
Terms are those of PS3.3 C.12.1.1.2; a set is written down as Python codec, code element (G0 or G1), bytes per
character and the escape sequence that designates it (PS3.3 tables C.12-3 and C.12-4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class CodedSet:
    """One set of graphic characters as ISO 2022 sees it."""

    name: str
    codec: str
    element: str  # "G0" or "G1"
    width: int
    escape: bytes


ASCII: Final = CodedSet("ISO 646", "ascii", "G0", 1, b"\x1b(B")
ROMAJI: Final = CodedSet("JIS X 0201 Romaji", "jis-romaji", "G0", 1, b"\x1b(J")
KATAKANA: Final = CodedSet("JIS X 0201 Katakana", "jis-katakana", "G1", 1, b"\x1b)I")

_LATIN: Final = {
    "100": ("iso8859_1", b"\x1b-A"),
    "101": ("iso8859_2", b"\x1b-B"),
    "109": ("iso8859_3", b"\x1b-C"),
    "110": ("iso8859_4", b"\x1b-D"),
    "144": ("iso8859_5", b"\x1b-L"),
    "127": ("iso8859_6", b"\x1b-G"),
    "126": ("iso8859_7", b"\x1b-F"),
    "138": ("iso8859_8", b"\x1b-H"),
    "148": ("iso8859_9", b"\x1b-M"),
    "166": ("iso8859_11", b"\x1b-T"),
}

EXTENSIONS: Final[dict[str, tuple[CodedSet, ...]]] = {
    "ISO 2022 IR 6": (ASCII,),
    "ISO 2022 IR 13": (ROMAJI, KATAKANA),
    "ISO 2022 IR 87": (CodedSet("JIS X 0208", "iso2022_jp", "G0", 2, b"\x1b$B"),),
    "ISO 2022 IR 149": (CodedSet("KS X 1001", "euc_kr", "G1", 2, b"\x1b$)C"),),
    **{
        f"ISO 2022 IR {n}": (ASCII, CodedSet(f"ISO-IR {n}", codec, "G1", 1, escape))
        for n, (codec, escape) in _LATIN.items()
    },
}
"""Terms with code extensions -> the sets they bring."""

SINGLE: Final[dict[str, tuple[CodedSet, ...]]] = {
    "": (ASCII,),
    "ISO_IR 6": (ASCII,),
    "ISO_IR 13": (ROMAJI, KATAKANA),
    **{
        f"ISO_IR {n}": (ASCII, CodedSet(f"ISO-IR {n}", codec, "G1", 1, escape))
        for n, (codec, escape) in _LATIN.items()
    },
}
"""Terms without code extensions -> the sets they bring."""

WHOLE: Final[dict[str, str]] = {"ISO_IR 192": "utf-8", "GB18030": "gb18030"}
"""Terms that stand alone and replace everything -> Python codec."""

MULTI_BYTE_ONLY: Final = ("ISO 2022 IR 87", "ISO 2022 IR 149")
"""Sets that may never be value 1 (VX-E-57)."""


def normal(terms: Iterable[str]) -> tuple[str, ...]:
    """The terms as they may stand in (0008,0005): a multi-byte set never first, nothing beside a stand-alone term."""
    values = tuple(term.strip() for term in terms)
    if values and values[0] in MULTI_BYTE_ONLY:
        values = ("", *values)
    if values and values[0] in WHOLE:
        return values[:1]
    return () if values in ((), ("",)) else values


def unknown_terms(terms: Iterable[str]) -> list[str]:
    """Those of ``terms`` that the statement does not list."""
    known = {*EXTENSIONS, *SINGLE, *WHOLE}
    return [term for term in terms if term.strip() not in known]
