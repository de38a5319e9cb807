"""What a data set holds: elements in the order of the wire, with what could not be read as it should be.

Rules of this file:

* Nothing is repaired: duplicates, wrong order and odd lengths stay as they were sent, and are problems.
* Text is decoded with the character set in force at its place: that of the item, else of what is around it
  (PS3.3 C.12.1.1.2).
* Absent, empty and "has a value" are three states.

:class:`Reader` (bench/witness/reader.py) makes data sets of bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from bench.witness import charset as charsets
from bench.witness.pixels import Pixels
from bench.witness.vr import CHARSET, PLAIN, TEXT, UNIT, WHOLE, lookup, number_of, text_of

Key: TypeAlias = "str | int"
State: TypeAlias = Literal["absent", "empty", "value"]

#: Every code of a problem, and whether reading behind it is in doubt (a break of the structure).
CODES: Final[dict[str, tuple[bool, str]]] = {
    "wrong-syntax": (True, "the data set is not in the negotiated transfer syntax"),
    "deflate": (True, "the deflated stream is damaged or too big"),
    "explicit-in-implicit": (False, "an explicit value representation in Implicit VR"),
    "implicit-in-explicit": (False, "an element without value representation in Explicit VR"),
    "unreadable": (True, "bytes that are no element"),
    "beyond": (True, "a length reaches beyond the item or sequence around it"),
    "swallows": (True, "a length that reaches over the next elements"),
    "truncated": (True, "the data set ends inside an element, item or sequence"),
    "leftover": (True, "bytes are left over where an element should begin"),
    "not-an-item": (True, "something else than an item in a sequence"),
    "missing-delimiter": (True, "an undefined length without its delimiter"),
    "stray-delimiter": (True, "an item or delimiter where none may stand"),
    "delimiter-length": (False, "a delimiter with a length"),
    "undefined-length": (False, "an undefined length where none may be"),
    "too-deep": (False, "sequences nested too deep"),
    "too-many": (True, "more elements than are kept"),
    "odd-length": (False, "an odd length"),
    "order": (False, "an element behind one with a higher tag"),
    "duplicate": (False, "an element twice"),
    "unknown-vr": (False, "a value representation that does not exist"),
    "reserved": (False, "reserved bytes that are not zero"),
    "file-meta": (True, "a preamble or file meta information in a data set"),
}


@dataclass(frozen=True, slots=True)
class DataSetProblem:
    """Something that is not as PS3.5 says.

    ``offset`` is the byte in the data set; ``path`` are the sequences and item numbers (from 1) around it; ``tag`` the
    element, if one is meant.  ``since``: the element before it, when its length may be the one that lies.
    """

    code: str
    text: str
    offset: int
    path: tuple[str | int, ...] = ()
    tag: int | None = None
    since: int | None = None

    @property
    def structural(self) -> bool:
        """Whether what follows may have been read wrongly."""
        return CODES[self.code][0]


@dataclass(slots=True, eq=False)
class Element:
    """One element as it stood on the wire.

    ``value`` is None for sequences, encapsulated pixels, values that are too big to be kept, and those cut off;
    ``length`` is the length field (0xFFFFFFFF: undefined), ``header`` the bytes before the value.
    """

    tag: int
    vr: str
    explicit: bool
    length: int
    offset: int
    header: int = 8
    value: bytes | None = None
    items: tuple[DataSet, ...] = ()
    fragments: tuple[int, ...] = ()
    big_endian: bool = False
    truncated: bool = False
    charset: tuple[str, ...] = ()

    @property
    def tag_text(self) -> str:
        """``(GGGG,EEEE)``."""
        return text_of(self.tag)

    @property
    def keyword(self) -> str:
        """The dictionary's keyword, empty for private and unknown elements."""
        entry = lookup(self.tag)
        return entry.keyword if entry is not None else ""

    @property
    def name(self) -> str:
        """The dictionary's name, or the tag."""
        entry = lookup(self.tag)
        return entry.name if entry is not None else self.tag_text

    @property
    def private(self) -> bool:
        """Whether the group is odd."""
        return bool(self.tag & 0x00010000)

    @property
    def undefined(self) -> bool:
        """Whether the length is undefined."""
        return self.length == 0xFFFFFFFF

    @property
    def empty(self) -> bool:
        """Whether there is no value: length 0, an undefined length without items, or only padding of a text."""
        if self.vr == "SQ" or self.items:
            return not self.items
        if self.length == 0:
            return True
        return self.vr in TEXT and self.value is not None and not self.value.strip(b" \0")

    @property
    def vm(self) -> int:
        """The number of values; items of a sequence count as one value (PS3.5 6.4)."""
        if self.vr == "SQ":
            return 1 if self.items else 0
        if self.length == 0:
            return 0
        if self.value is None:
            return 1
        unit = UNIT.get(self.vr)
        if unit is not None:
            return len(self.value) // unit
        if self.vr in TEXT and self.vr not in WHOLE:
            if self.vr in PLAIN or (self.value.isascii() and b"\x1b" not in self.value):
                return self.value.count(b"\\") + 1
            return charsets.decode(self.charset, self.value, self.vr).count("\\") + 1
        return 1

    def __repr__(self) -> str:
        shown = self.value if self.value is None or len(self.value) < 65 else self.value[:64] + b"..."
        return f"<{self.tag_text} {self.keyword} {self.vr} {self.length} at {self.offset}: {shown!r}>"


_FORMATS: Final = {
    "US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "SV": "q", "UV": "Q",
}  # fmt: skip


@dataclass(slots=True, eq=False)
class DataSet:
    """A data set, or an item of a sequence.

    ``problems`` of the whole tree stand in the root only.  ``charset`` are the values of Specific Character Set in
    force, () for none.  ``offset`` is where the elements begin in the data set of the message; ``end`` where they end.
    ``pixels`` are those of this data set or item.
    ``transfer_syntax`` is the negotiated one; ``read_as`` says how it was read where this differs.
    """

    elements: tuple[Element, ...] = ()
    problems: tuple[DataSetProblem, ...] = ()
    transfer_syntax: str = ""
    charset: tuple[str, ...] = ()
    length: int = 0
    pixels: Pixels | None = None
    offset: int = 0
    read_as: str = ""
    _index: dict[int, Element] | None = field(default=None, repr=False)

    @property
    def end(self) -> int:
        """The byte behind the last element."""
        return self.offset + self.length

    @property
    def broken_at(self) -> int | None:
        """Where the structure first breaks; elements from there on are in doubt.  None: everything was read."""
        breaks = (p.offset if p.since is None else p.since for p in self.problems if p.structural)
        return min(breaks, default=None)

    def _find(self, key: Key) -> Element | None:
        index = self._index
        if index is None:
            index = {}
            for element in self.elements:
                index.setdefault(element.tag, element)
            self._index = index
        return index.get(number_of(key))

    def get(self, key: Key) -> Element | None:
        """Return the (first) element of a keyword or tag at this level; KeyError for a keyword that does not exist."""
        return self._find(key)

    def has(self, key: Key) -> bool:
        """Tell whether the element is there, empty or not."""
        return self._find(key) is not None

    __contains__ = has

    def state(self, key: Key) -> State:
        """Tell whether an element is absent, empty, or has a value."""
        element = self._find(key)
        if element is None:
            return "absent"
        return "empty" if element.empty else "value"

    def text(self, key: Key) -> str | None:
        """Return a value as text, decoded and stripped; None when absent, "" when empty.

        Several values stay together with backslashes; numbers are written out; values not kept are "".
        """
        element = self._find(key)
        return None if element is None else self.text_of(element)

    def texts(self, key: Key) -> tuple[str, ...]:
        """Return all values as texts; () when absent or empty.  ST, LT, UT and UR are one value (PS3.5 6.4)."""
        element = self._find(key)
        return () if element is None else self.texts_of(element)

    def text_of(self, element: Element) -> str:
        """Return the value of an element of this data set as text (see :meth:`text`)."""
        values = self.texts_of(element)
        return values[0] if len(values) == 1 else "\\".join(values)

    def raw_text(self, element: Element) -> str:
        """Return the value of a text decoded, with its backslashes and its padding."""
        return charsets.decode(
            element.charset if element.vr in CHARSET else (), element.value or b"", element.vr
        )

    def texts_of(self, element: Element) -> tuple[str, ...]:
        """Return the values of an element of this data set as texts (see :meth:`texts`)."""
        value = element.value
        if not value:
            return ()
        vr = element.vr
        if vr in TEXT or (vr == "UN" and charsets.printable(value)):
            if element.empty:
                return ()
            terms = element.charset if vr in CHARSET else ()
            text = charsets.decode(terms, value, vr)
            if vr in WHOLE:
                return (text.rstrip(" \0"),)
            return tuple(part.strip(" \0") for part in text.split("\\"))
        if vr == "AT":
            return tuple(
                f"({group:04X},{number:04X})"
                for group, number in struct.iter_unpack(
                    (">" if element.big_endian else "<") + "HH", _whole(value, 4)
                )
            )
        return tuple(str(number) for number in self.numbers_of(element))

    def number(self, key: Key) -> float | int | None:
        """Return the first value as a number; None when absent, empty or no number."""
        return next(iter(self.numbers(key)), None)

    def numbers(self, key: Key) -> tuple[float | int, ...]:
        """Return all values as numbers; () when absent, empty, or one of them is no number."""
        element = self._find(key)
        return () if element is None else self.numbers_of(element)

    def numbers_of(self, element: Element) -> tuple[float | int, ...]:
        """Return the values of an element of this data set as numbers (see :meth:`numbers`)."""
        value = element.value
        if not value:
            return ()
        code = _FORMATS.get(element.vr)
        if code is None and element.vr == "OW":
            code = "H"  # LUT Data and the like
        if code is not None:
            size = struct.calcsize("=" + code)
            whole = _whole(value, size)
            order = ">" if element.big_endian else "<"
            return struct.unpack(f"{order}{len(whole) // size}{code}", whole)
        if element.vr not in TEXT:
            return ()
        found: list[float | int] = []
        for text in self.texts_of(element):
            try:
                found.append(int(text) if text.lstrip("+-").isdigit() else float(text))
            except ValueError:
                return ()
        return tuple(found)

    def items(self, key: Key) -> tuple[DataSet, ...]:
        """Return the items of a sequence; () when absent or empty."""
        element = self._find(key)
        return () if element is None else element.items

    def first(self, key: Key) -> DataSet | None:
        """Return the first item of a sequence, None without one."""
        return next(iter(self.items(key)), None)

    def walk(self) -> Iterator[tuple[tuple[str | int, ...], DataSet, Element]]:
        """Go through all elements, each sequence before its items: (path, data set or item that holds it, element).

        A path is keyword (or tag) and item number, from 1, of every sequence around the element.
        """
        stack: list[tuple[tuple[str | int, ...], DataSet, Iterator[Element]]] = [
            ((), self, iter(self.elements))
        ]
        while stack:
            path, owner, rest = stack[-1]
            element = next(rest, None)
            if element is None:
                stack.pop()
                continue
            yield path, owner, element
            if element.items:
                name = element.keyword or element.tag_text
                for number in range(len(element.items), 0, -1):
                    item = element.items[number - 1]
                    stack.append(((*path, name, number), item, iter(item.elements)))


def _whole(value: bytes, size: int) -> bytes:
    return value if len(value) % size == 0 else value[: len(value) // size * size]
