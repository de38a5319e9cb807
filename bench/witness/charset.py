r"""Character sets at the level of bytes (PS3.5 6.1, PS3.3 C.12.1.1.2).

Rules of this file:

* A text is read by the state machine of ISO 2022 as DICOM limits it: G0 and G1 begin with the set of value 1, and do
  so again behind every delimiter (PS3.5 6.1.2.5.3).  A byte in a two-byte character is never a delimiter.
* What is wrong is said (:func:`examine`), what can be read is read (:func:`decode`): a byte without meaning becomes
  U+FFFD.
* Escape sequences of sets that are not declared are obeyed and reported.
* In JIS X 0201 the byte 5C is a yen sign and 7E an overline; as a delimiter 5C stays a backslash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bench.witness.vr import WHOLE

ESC: Final = 0x1B


@dataclass(frozen=True, slots=True)
class Set:
    """A coded character set: what it is called, where it is designated, how many bytes a character has."""

    name: str
    codec: str
    g1: bool
    width: int = 1
    escape: bytes = b""


ASCII: Final = Set("ISO 646 (ISO-IR 6)", "ascii", False, 1, b"(B")
ROMAJI: Final = Set("JIS X 0201 Romaji (ISO-IR 14)", "romaji", False, 1, b"(J")
KATAKANA: Final = Set("JIS X 0201 Katakana (ISO-IR 13)", "shift_jis", True, 1, b")I")
KANJI: Final = Set("JIS X 0208 (ISO-IR 87)", "jisx0208", False, 2, b"$B")
KANJI_EXTRA: Final = Set("JIS X 0212 (ISO-IR 159)", "jisx0212", False, 2, b"$(D")
HANGUL: Final = Set("KS X 1001 (ISO-IR 149)", "euc_kr", True, 2, b"$)C")
HANZI: Final = Set("GB 2312 (ISO-IR 58)", "gb2312", True, 2, b"$)A")

#: Number in the term, codec, last bytes of the escape sequence, for single-byte sets in G1 (PS3.3 table C.12-3).
_LATIN: Final = {
    "100": Set("ISO 8859-1 (ISO-IR 100)", "iso8859_1", True, 1, b"-A"),
    "101": Set("ISO 8859-2 (ISO-IR 101)", "iso8859_2", True, 1, b"-B"),
    "109": Set("ISO 8859-3 (ISO-IR 109)", "iso8859_3", True, 1, b"-C"),
    "110": Set("ISO 8859-4 (ISO-IR 110)", "iso8859_4", True, 1, b"-D"),
    "144": Set("ISO 8859-5 (ISO-IR 144)", "iso8859_5", True, 1, b"-L"),
    "127": Set("ISO 8859-6 (ISO-IR 127)", "iso8859_6", True, 1, b"-G"),
    "126": Set("ISO 8859-7 (ISO-IR 126)", "iso8859_7", True, 1, b"-F"),
    "138": Set("ISO 8859-8 (ISO-IR 138)", "iso8859_8", True, 1, b"-H"),
    "148": Set("ISO 8859-9 (ISO-IR 148)", "iso8859_9", True, 1, b"-M"),
    "203": Set("ISO 8859-15 (ISO-IR 203)", "iso8859_15", True, 1, b"-b"),
    "166": Set("TIS 620 (ISO-IR 166)", "iso8859_11", True, 1, b"-T"),
}

#: Terms without code extensions (tables C.12-2 and C.12-5): one value only.
ALONE: Final = {f"ISO_IR {number}": (ASCII, s) for number, s in _LATIN.items()} | {
    "ISO_IR 13": (ROMAJI, KATAKANA)
}
#: Terms of encodings that are no sets of ISO 2022: one value only.
WHOLE_CODES: Final = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}
#: Terms with code extensions: any value (C.12-3).
EXTENDED: Final = {
    "ISO 2022 IR 6": (ASCII, None),
    "ISO 2022 IR 13": (ROMAJI, KATAKANA),
    **{f"ISO 2022 IR {number}": (ASCII, s) for number, s in _LATIN.items()},
}
#: Multi-byte terms with code extensions: value 2 to n (C.12-4).
MULTIBYTE: Final = {
    "ISO 2022 IR 87": KANJI,
    "ISO 2022 IR 159": KANJI_EXTRA,
    "ISO 2022 IR 149": HANGUL,
    "ISO 2022 IR 58": HANZI,
}
#: Spelt in many places for the default repertoire, though C.12-2 gives it no term.
TOLERATED: Final = {"ISO_IR 6": (ASCII, None)}
TERMS: Final = frozenset((*ALONE, *WHOLE_CODES, *EXTENDED, *MULTIBYTE))

_ESCAPES: Final = {
    s.escape: s for s in (ASCII, ROMAJI, KATAKANA, KANJI, KANJI_EXTRA, HANGUL, HANZI, *_LATIN.values())
}
#: Older and longer spellings of the same designations.
_ESCAPES_TOO: Final = {b"$@": "JIS C 6226 (ISO-IR 42)", b"$(B": "JIS X 0208 by four bytes"}


@dataclass(frozen=True, slots=True)
class TextProblem:
    """Something in a text that its character sets do not allow.

    Codes: ``repertoire`` (a byte outside the sets), ``undeclared`` (escape to a set that is not declared), ``escape``
    (an escape sequence without code extensions, or none that exists), ``return`` (not back in the first set before a
    delimiter or the end), ``malformed`` (ill-formed UTF-8, GB18030, two-byte character), ``default`` (outside the
    default repertoire, and no character set declared).  ``offset`` is the byte in the value.
    """

    code: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class TermProblem:
    """Something wrong with the values of Specific Character Set: code ``unknown`` or ``combination``."""

    code: str
    text: str


def terms_of(value: bytes) -> tuple[str, ...]:
    """Return the values of Specific Character Set; () when it is empty."""
    terms = tuple(part.strip(" \0") for part in value.decode("latin-1").split("\\"))
    return terms if any(terms) else ()


def examine_terms(terms: Sequence[str]) -> tuple[TermProblem, ...]:
    """Return what is wrong with the values of Specific Character Set (PS3.3 C.12.1.1.2)."""
    found: list[TermProblem] = []
    unknown = [t for t in terms if t and t not in TERMS and t not in TOLERATED]
    found += (TermProblem("unknown", f'"{t}" is no defined term of Specific Character Set') for t in unknown)
    if unknown or not terms:
        return tuple(found)
    if terms[0] in MULTIBYTE:
        found.append(
            TermProblem("combination", f'"{terms[0]}" is a multi-byte set and cannot be the first value')
        )
    if len(terms) > 1:
        for term in terms:
            if term in ALONE or term in WHOLE_CODES or term in TOLERATED:
                text = f'"{term}" has no code extensions and cannot stand beside other values'
                found.append(TermProblem("combination", text))
            elif not term and term is not terms[0] and "" in terms[1:]:
                found.append(TermProblem("combination", "only the first value may be empty"))
                break
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How text is read under some terms."""

    code: str  # codec of a whole code, or ""
    g0: Set
    g1: Set | None
    declared: frozenset[Set]
    extended: bool
    default: bool  # nothing is declared
    known: bool


@lru_cache(maxsize=256)
def _plan(terms: tuple[str, ...]) -> _Plan:
    known = all(not t or t in TERMS or t in TOLERATED for t in terms)
    first = terms[0] if terms else ""
    if first in WHOLE_CODES:
        return _Plan(WHOLE_CODES[first], ASCII, None, frozenset(), False, False, known)
    declared: set[Set] = set()
    for term in terms:
        if term in MULTIBYTE:
            declared.add(MULTIBYTE[term])
        else:
            declared.update(s for s in _pair(term) if s is not None)
    g0, g1 = _pair(first)
    extended = len(terms) > 1 or first.startswith("ISO 2022")
    return _Plan("", g0, g1, frozenset((*declared, ASCII)), extended, not any(terms), known)


def _pair(term: str) -> tuple[Set, Set | None]:
    return EXTENDED.get(term) or ALONE.get(term) or TOLERATED.get(term) or (ASCII, None)


def printable(value: bytes) -> bool:
    """Tell whether bytes are text of the default repertoire, with line ends."""
    return all(32 <= b < 127 or b in b"\t\n\f\r\0" for b in value)


def decode(terms: Sequence[str], value: bytes, vr: str = "LO") -> str:
    """Return a value (of all its components, with backslashes) as text.

    *terms* are the values of Specific Character Set in force.  Never raises: what has no meaning becomes U+FFFD.
    """
    plan = _plan(tuple(terms))
    if value.isascii() and ESC not in value and plan.g0 is ASCII:
        return value.decode("ascii")
    return _read(plan, value, vr)[0]


def examine(terms: Sequence[str], value: bytes, vr: str = "LO") -> tuple[TextProblem, ...]:
    """Return what in a value its character sets do not allow; under unknown terms nothing can be said."""
    if value.isascii() and ESC not in value:
        return ()
    plan = _plan(tuple(terms))
    if not plan.known:
        return ()
    return tuple(_read(plan, value, vr)[1])


def _read(plan: _Plan, value: bytes, vr: str) -> tuple[str, list[TextProblem]]:
    if plan.code:
        return _read_whole(plan.code, value)
    return _Machine(plan, value, vr).run()


def _read_whole(code: str, value: bytes) -> tuple[str, list[TextProblem]]:
    problems: list[TextProblem] = []
    name = {"utf-8": "UTF-8", "gb18030": "GB18030", "gbk": "GBK"}[code]
    try:
        text = value.decode(code)
    except UnicodeDecodeError as error:
        at = error.start
        shown = value[at : at + 4].hex(" ").upper()
        problems.append(TextProblem("malformed", f"the bytes {shown} are no {name}", at))
        text = value.decode(code, "replace")
    at = value.find(b"\x1b")
    if at >= 0:
        problems.append(TextProblem("escape", f"an escape sequence in {name} text", at))
    return text, problems


_NAME_ENDS: Final = frozenset(b"^=")
_CONTROLS: Final = frozenset(b"\t\n\f\r")


class _Machine:
    """The state machine for one value."""

    def __init__(self, plan: _Plan, value: bytes, vr: str) -> None:
        self.plan = plan
        self.value = value
        self.whole = vr in WHOLE
        self.ends = _CONTROLS | (frozenset() if self.whole else frozenset(b"\\"))
        if vr == "PN":
            self.ends |= _NAME_ENDS
        self.g0 = plan.g0
        self.g1 = plan.g1
        self.out: list[str] = []
        self.problems: list[TextProblem] = []
        self.told: set[str] = set()

    def tell(self, code: str, text: str, at: int) -> None:
        """Report each kind once in a value."""
        if code not in self.told:
            self.told.add(code)
            self.problems.append(TextProblem(code, text, at))

    def run(self) -> tuple[str, list[TextProblem]]:
        """Go through the value."""
        value, size, at = self.value, len(self.value), 0
        while at < size:
            byte = value[at]
            if byte == ESC:
                at = self.escape(at)
            elif byte >= 0x80:
                at = self.right(at)
            elif self.g0.width == 2 and 0x21 <= byte <= 0x7E:
                at = self.left(at)
            else:
                at = self.single(at)
        if self.g0.width == 2:
            self.tell("return", f"{self.g0.name} is still active at the end of the value", size)
        return "".join(self.out), self.problems

    def escape(self, at: int) -> int:
        """Read an escape sequence."""
        value, plan = self.value, self.plan
        for length in (2, 3):
            code = value[at + 1 : at + 1 + length]
            found = _ESCAPES.get(code)
            if found is None and code not in _ESCAPES_TOO:
                continue
            if plan.default:
                self.tell("default", "an escape sequence, which is not of the default repertoire", at)
            elif not plan.extended:
                self.tell(
                    "escape", f"an escape sequence (ESC {code.decode('latin-1')}) without code extensions", at
                )
            elif found is None:
                self.tell(
                    "undeclared", f"the escape sequence of {_ESCAPES_TOO[code]}, which no term stands for", at
                )
            elif found not in plan.declared:
                self.tell("undeclared", f"an escape sequence to {found.name}, which is not declared", at)
            if found is None:
                found = KANJI
            if found.g1:
                self.g1 = found
            else:
                self.g0 = found
            return at + 1 + length
        shown = value[at : at + 4].hex(" ").upper()
        self.tell("escape", f"an escape sequence that does not exist ({shown})", at)
        self.out.append("\ufffd")
        return at + 1

    def left(self, at: int) -> int:
        """Read a two-byte character of G0; a delimiter in front of an escape is one that came too early."""
        value = self.value
        byte = value[at]
        pair = value[at : at + 2]
        after = value[at + 1] if at + 1 < len(value) else ESC
        if byte in self.ends and not 0x21 <= after <= 0x7E:
            self.tell("return", f"{self.g0.name} is still active before a delimiter", at)
            self.reset()
            self.out.append(chr(byte))
            return at + 1
        text = _double(self.g0, pair)
        if text is None:
            code = pair.hex(" ").upper()
            self.tell("malformed", f"the bytes {code} are no character of {self.g0.name}", at)
            self.out.append("\ufffd")
            return at + (2 if len(pair) == 2 and 0x21 <= pair[1] <= 0x7E else 1)
        self.out.append(text)
        return at + 2

    def single(self, at: int) -> int:
        """Read a byte of 00 to 7F."""
        byte = self.value[at]
        if byte in self.ends:
            if self.g0.width == 2:
                self.tell("return", f"{self.g0.name} is still active before a delimiter", at)
            self.reset()
            self.out.append(chr(byte))
        elif byte == 0x5C and self.g0 is ROMAJI:
            self.out.append("\xa5")
        elif byte == 0x7E and self.g0 is ROMAJI:
            self.out.append("\u203e")
        else:
            self.out.append(chr(byte))
        return at + 1

    def right(self, at: int) -> int:
        """Read a byte of 80 to FF, or two of a two-byte set."""
        value, g1 = self.value, self.g1
        byte = value[at]
        if g1 is None:
            if self.plan.default:
                self.tell("default", f"the byte {byte:02X} is outside the default repertoire", at)
            else:
                self.tell("repertoire", f"the byte {byte:02X} has no meaning: no set is designated in G1", at)
            self.out.append("\ufffd")
            return at + 1
        if g1.width == 2:
            pair = value[at : at + 2]
            text = _double(g1, pair)
            if text is not None:
                self.out.append(text)
                return at + 2
            self.tell("malformed", f"the bytes {pair.hex(' ').upper()} are no character of {g1.name}", at)
            self.out.append("\ufffd")
            return at + (2 if len(pair) == 2 and pair[1] >= 0xA1 else 1)
        text = _single(g1.codec)[byte - 0x80]
        if text is None:
            self.tell("repertoire", f"the byte {byte:02X} is no character of {g1.name}", at)
            text = "\ufffd"
        self.out.append(text)
        return at + 1

    def reset(self) -> None:
        """Behind a delimiter the sets of value 1 are active again."""
        self.g0, self.g1 = self.plan.g0, self.plan.g1


@lru_cache(maxsize=32)
def _single(codec: str) -> tuple[str | None, ...]:
    """The characters of 80 to FF in a set; C1 controls are none (PS3.5 6.1.3)."""
    found: list[str | None] = []
    for byte in range(0x80, 0x100):
        try:
            text: str | None = bytes([byte]).decode(codec)
        except UnicodeDecodeError:
            text = None
        if text is not None and (byte < 0xA0 or (codec == "shift_jis" and not 0xA1 <= byte <= 0xDF)):
            text = None
        found.append(text)
    return tuple(found)


def _double(s: Set, pair: bytes) -> str | None:
    if len(pair) != 2:
        return None
    try:
        if s is KANJI:
            return (b"\x1b$B" + pair + b"\x1b(B").decode("iso2022_jp")
        if s is KANJI_EXTRA:
            return (b"\x1b$(D" + pair + b"\x1b(B").decode("iso2022_jp_1")
        if pair[0] < 0xA1 or pair[1] < 0xA1:
            return None
        return pair.decode(s.codec)
    except UnicodeDecodeError:
        return None
