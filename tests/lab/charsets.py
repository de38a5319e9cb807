"""Text in bytes, as a careful modality writes it: single sets, UTF-8, GB18030, and ISO 2022 with escapes (PS3.5 6.1).

Rules of this file: written from PS3.3 C.12.1.1.2 and PS3.5 6.1.2.5 only; it shares nothing with the simulators, the
witness or pydicom, so that an agreement with them means something.  A character that no declared set has raises
``UnicodeEncodeError``: the laboratory writes wrong bytes only when it is given bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SINGLE: Final[dict[str, str]] = {
    "": "ascii",
    "ISO_IR 6": "ascii",
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 127": "iso8859-6",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8",
    "ISO_IR 148": "iso8859-9",
    "ISO_IR 203": "iso8859-15",
    "ISO_IR 166": "iso8859-11",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
"""Defined terms without code extensions, and the Python codec that has their repertoire."""


class _Half(NamedTuple):
    """One set that can be designated: the escape, the half it goes to, and the codec of its characters."""

    escape: bytes
    half: int  # 0: G0 (7 bit), 1: G1 (8 bit)
    codec: str
    width: int


_LATIN: Final = {
    100: b"A",
    101: b"B",
    109: b"C",
    110: b"D",
    144: b"L",
    127: b"G",
    126: b"F",
    138: b"H",
    148: b"M",
}
_ASCII: Final = _Half(b"\x1b(B", 0, "ascii", 1)
_ROMAJI: Final = _Half(b"\x1b(J", 0, "romaji", 1)
_KATAKANA: Final = _Half(b"\x1b)I", 1, "shift_jis", 1)
EXTENSIONS: Final[dict[str, tuple[_Half, ...]]] = {
    "ISO 2022 IR 6": (_ASCII,),
    "ISO 2022 IR 13": (_ROMAJI, _KATAKANA),
    "ISO 2022 IR 87": (_Half(b"\x1b$B", 0, "jisx0208", 2),),
    "ISO 2022 IR 159": (_Half(b"\x1b$(D", 0, "jisx0212", 2),),
    "ISO 2022 IR 149": (_Half(b"\x1b$)C", 1, "euc_kr", 2),),
    "ISO 2022 IR 58": (_Half(b"\x1b$)A", 1, "gb2312", 2),),
    "ISO 2022 IR 166": (_ASCII, _Half(b"\x1b-T", 1, "iso8859-11", 1)),
    **{
        f"ISO 2022 IR {number}": (_ASCII, _Half(b"\x1b-" + final, 1, SINGLE[f"ISO_IR {number}"], 1))
        for number, final in _LATIN.items()
    },
}
"""Defined terms with code extensions (PS3.3 Table C.12-3 and C.12-4)."""


def _code(half: _Half, character: str) -> bytes | None:
    """The bytes of one character in one set, or None when it is not there."""
    try:
        if half.codec == "romaji":
            data = {"¥": b"\\", "‾": b"~"}.get(character) or character.encode("ascii")
            return None if character in "\\~" else data
        if half.codec == "jisx0208":
            data = character.encode("iso2022_jp")
            return data[3:5] if data.startswith(b"\x1b$B") else None
        if half.codec == "jisx0212":
            data = character.encode("iso2022_jp_2")
            return data[4:6] if data.startswith(b"\x1b$(D") else None
        data = character.encode(half.codec)
    except UnicodeEncodeError:
        return None
    if len(data) != half.width or (data[0] >= 0x80) is not bool(half.half):
        return None
    return data


def encode(text: str, charset: tuple[str, ...], *, person: bool = False, delimiters: str = "") -> bytes:
    """The bytes of one text in the sets of Specific Character Set ``charset`` (() = default repertoire).

    ``delimiters``: characters before which the sets of value 1 are active again and after which they are
    (always CR, LF, FF, TAB; ``^`` and ``=`` too when ``person``).  Raises ``UnicodeEncodeError``.
    """
    terms = charset or ("",)
    if len(terms) == 1 and terms[0] in SINGLE:
        if terms[0] == "ISO_IR 13":
            return text.replace("¥", "\\").replace("‾", "~").encode("shift_jis")
        return text.encode(SINGLE[terms[0]])
    first = EXTENSIONS.get(terms[0]) or EXTENSIONS["ISO 2022 IR 6"]
    sets = [half for term in (terms[0] or "ISO 2022 IR 6", *terms[1:]) for half in EXTENSIONS[term]]
    if _ASCII not in sets:
        sets.append(_ASCII)  # always there with code extensions (PS3.5 6.1.2.5.3)
    start: dict[int, _Half | None] = {0: None, 1: None}
    for half in first:
        start[half.half] = half
    out = bytearray()
    active = dict(start)
    marks = "\r\n\f\t" + delimiters + ("^=" if person else "")

    def back() -> None:
        for side in (0, 1):
            wanted = start[side]
            if wanted is not None and active[side] is not wanted:
                out.extend(wanted.escape)
            active[side] = wanted

    for character in text:
        if character in marks:
            back()
            out += character.encode("ascii")
            continue
        for half in sorted(sets, key=lambda h: active[h.half] is not h):
            data = _code(half, character)
            if data is not None:
                break
        else:
            raise UnicodeEncodeError("DICOM", character, 0, 1, f"not in {'|'.join(terms)}")
        if active[half.half] is not half:
            out += half.escape
            active[half.half] = half
        out += data
    back()
    return bytes(out)
