"""Specific Character Set (0008,0005): bytes to text and text to bytes (PS3.3 C.12.1.1.2, PS3.5 6.1).

Rules of this file:

* Decoding never fails: what cannot be decoded becomes U+FFFD, and an unknown defined term is read as ASCII.
  A simulator shows what arrived; it does not judge it.
* Encoding is strict: text that does not fit the character set raises :class:`UnicodeEncodeError`, because
  then the scenario asked for something that no RIS could send.
* Values are decoded before they are split at the backslash: 0x5C may be half a kanji (PS3.5 6.1.2.5.3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SINGLE: Final[dict[str, str]] = {
    "": "ascii",
    "ISO_IR 6": "ascii",
    "ISO_IR 100": "iso8859_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 203": "iso8859_15",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 166": "iso8859_11",
    "ISO_IR 192": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
"""Defined terms without code extensions -> Python codec."""

_EXTENSION: Final[dict[str, tuple[str, tuple[bytes, ...]]]] = {
    "ISO 2022 IR 6": ("ascii", (b"\x1b(B",)),
    "ISO 2022 IR 100": ("iso8859_1", (b"\x1b-A",)),
    "ISO 2022 IR 101": ("iso8859_2", (b"\x1b-B",)),
    "ISO 2022 IR 109": ("iso8859_3", (b"\x1b-C",)),
    "ISO 2022 IR 110": ("iso8859_4", (b"\x1b-D",)),
    "ISO 2022 IR 144": ("iso8859_5", (b"\x1b-L",)),
    "ISO 2022 IR 127": ("iso8859_6", (b"\x1b-G",)),
    "ISO 2022 IR 126": ("iso8859_7", (b"\x1b-F",)),
    "ISO 2022 IR 138": ("iso8859_8", (b"\x1b-H",)),
    "ISO 2022 IR 148": ("iso8859_9", (b"\x1b-M",)),
    "ISO 2022 IR 203": ("iso8859_15", (b"\x1b-b",)),
    "ISO 2022 IR 166": ("iso8859_11", (b"\x1b-T",)),
    "ISO 2022 IR 13": ("shift_jis", (b"\x1b)I", b"\x1b(J")),
    "ISO 2022 IR 87": ("iso2022_jp", (b"\x1b$B",)),
    "ISO 2022 IR 159": ("iso2022_jp_2", (b"\x1b$(D",)),
    "ISO 2022 IR 149": ("euc_kr", (b"\x1b$)C",)),
    "ISO 2022 IR 58": ("gb2312", (b"\x1b$)A",)),
}
"""Defined terms with code extensions -> Python codec, escape sequences (the first one is written)."""

_BY_ESCAPE: Final = {escape: codec for codec, escapes in _EXTENSION.values() for escape in escapes}
_SPLIT: Final = re.compile(b"(" + b"|".join(re.escape(e) for e in sorted(_BY_ESCAPE, key=len)[::-1]) + b")")
_G0_MULTIBYTE: Final = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}
_DELIMITER: Final = re.compile(rb"[\\^=\r\n\f\t]")
_PN_PARTS: Final = re.compile(r"([\\^=])")
_LINES: Final = re.compile(r"([\\\r\n\f\t]+)")

DEFINED_TERMS: Final = frozenset({*_SINGLE, *_EXTENSION} - {""})
"""Every defined term of PS3.3 C.12.1.1.2 that is known here."""


def normalise(terms: Sequence[str]) -> tuple[str, ...]:
    """Give the values of (0008,0005) without padding, ``()`` meaning the default repertoire."""
    stripped = tuple(term.strip(" \0") for term in terms)
    return stripped if any(stripped) else ()


def check(terms: Sequence[str]) -> None:
    """Raise :class:`ValueError` unless every term is a defined term and the combination is legal."""
    for index, term in enumerate(terms):
        if term not in DEFINED_TERMS and not (term == "" and index == 0 and len(terms) > 1):
            raise ValueError(f"{term!r} is not a defined term of Specific Character Set")
    if len(terms) > 1:
        for term in terms:
            if term and term not in _EXTENSION:
                raise ValueError(f"{term!r} cannot be used with code extensions (PS3.3 C.12.1.1.2)")


def _codec(term: str) -> str:
    if term in _EXTENSION:
        return _EXTENSION[term][0]
    return _SINGLE.get(term, "ascii")


def _base(terms: Sequence[str]) -> str:
    """Codec of text before any escape sequence; a multi-byte G0 set is never initially active."""
    codec = _codec(terms[0]) if terms else "ascii"
    return "ascii" if codec in _G0_MULTIBYTE else codec


def decode(value: bytes, terms: Sequence[str]) -> str:
    """Turn the bytes of a text value (all its values, backslashes included) into text; never raises."""
    if value.isascii() and b"\x1b" not in value and (not terms or len(terms) > 1 or terms[0] != "ISO_IR 13"):
        return value.decode("ascii")
    base = _base(terms)
    if b"\x1b" not in value:
        return _read(value, base)
    pieces = _SPLIT.split(value)
    text = [_read(pieces[0], base)]
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        codec = _BY_ESCAPE[escape]
        if codec in _G0_MULTIBYTE:
            text.append(_read(_G0_MULTIBYTE[codec] + piece, codec) if piece else "")
        else:
            text.append(_read_until_delimiter(piece, codec, base))
    return "".join(text)


def _read_until_delimiter(piece: bytes, codec: str, base: str) -> str:
    """Decode with ``codec`` up to a delimiter, which makes the base set active again (PS3.5 6.1.2.5.3)."""
    end = _DELIMITER.search(piece)
    if end is None or piece[end.start() :].isascii() or base == "ascii":
        # Writers that forget to escape again after a delimiter are understood where nothing else is possible.
        return _read(piece, codec)
    return _read(piece[: end.start()], codec) + _read(piece[end.start() :], base)


def _read(piece: bytes, codec: str) -> str:
    return piece.decode(codec, "replace")


def encode(text: str, terms: Sequence[str], *, person_name: bool = False) -> bytes:
    """Turn text into bytes of the given character set.

    Raises:
        UnicodeEncodeError: the text holds a character that none of ``terms`` has.
    """
    if text.isascii() and (not terms or _base(terms) != "shift_jis"):
        return text.encode("ascii")
    if len(terms) <= 1 and _codec(terms[0] if terms else "") not in _G0_MULTIBYTE:
        codec = _codec(terms[0]) if terms else "ascii"
        data = text.encode(codec)
        if codec == "shift_jis" and len(data) != len(text):
            # JIS X 0201 has one byte for a character; what needs two is another set, which nobody declared.
            foreign = next(i for i, char in enumerate(text) if len(char.encode(codec)) > 1)
            raise UnicodeEncodeError("dicom", text, foreign, foreign + 1, f"not in {terms[0]}")
        return data
    parts = (_PN_PARTS if person_name else _LINES).split(text)
    return b"".join(_encode_part(part, terms) for part in parts)


def _encode_part(part: str, terms: Sequence[str]) -> bytes:
    """Encode text between two delimiters: in one set when one fits, else in runs."""
    out = bytearray()
    base = _base(terms)
    rest = part
    while rest:
        run, codec, escape = _longest(rest, terms, base, switched=bool(out))
        data = run.encode(codec)
        # Python's codecs of the ISO-2022-JP family write the escape sequences of both ends themselves.
        out += data if codec in _G0_MULTIBYTE else escape + data
        rest = rest[len(run) :]
    return bytes(out)


def _longest(text: str, terms: Sequence[str], base: str, *, switched: bool) -> tuple[str, str, bytes]:
    """Find the set of ``terms`` that can write most of the beginning of ``text``."""
    best: tuple[str, str, bytes] = ("", base, b"")
    for index, term in enumerate(terms):
        codec = _codec(term)
        escapes = _EXTENSION[term][1] if term in _EXTENSION else (b"",)
        initial = index == 0 and codec not in _G0_MULTIBYTE and not switched
        length = _fits(text, codec)
        if length > len(best[0]):
            best = (text[:length], codec, b"" if initial else escapes[0])
    if not best[0]:
        names = "\\".join(terms) or "ISO_IR 6"
        raise UnicodeEncodeError("dicom", text, 0, 1, f"not in {names}")
    return best


def _fits(text: str, codec: str) -> int:
    """Count the leading characters of ``text`` that belong to ``codec`` (and really to its escape's set)."""
    for count, char in enumerate(text):
        try:
            data = char.encode(codec)
        except UnicodeEncodeError:
            return count
        if codec in _G0_MULTIBYTE and not data.startswith(_G0_MULTIBYTE[codec]) and not char.isascii():
            return count  # iso2022_jp_2 would reach for another set that (0008,0005) does not name
        if codec == "shift_jis" and len(data) > 1:
            return count  # JIS X 0201 has one byte; the rest of Shift JIS is no DICOM character set
    return len(text)
