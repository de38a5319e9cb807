"""One level of a data set that is being read: the data set itself, a sequence, an item, or a row of fragments.

Rules of this file:

* A level holds what was read in it and what its elements say of others in it: character set, layout of pixels.
* Offsets are absolute: from the first byte of the data set, whatever the level begins at.
"""

from __future__ import annotations

from typing import Final

from bench.witness.elements import DataSet, Element
from bench.witness.encodings import U16
from bench.witness.pixels import Fragments, Layout, Native
from bench.witness.vr import CHARACTER_SET

ROOT, SEQUENCE, ITEM_LEVEL, FRAGMENTS = range(4)
WORDS: Final = ("data set", "sequence", "item", "encapsulated pixel data")

_FRAMES: Final = 0x00280008
#: Pixel Representation.
SIGNED: Final = 0x00280103
#: What :meth:`Level.lay_out` wants to know.
LAYOUT: Final = frozenset(
    (0x00280002, _FRAMES, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, SIGNED)
)


class Level:
    """A data set, sequence, item or row of fragments that is open."""

    __slots__ = (
        "big",
        "charset",
        "defined",
        "element",
        "elements",
        "explicit",
        "items",
        "kind",
        "last",
        "layout",
        "limit",
        "number",
        "pixels",
        "seen",
        "sink",
        "start",
    )

    def __init__(
        self,
        kind: int,
        start: int,
        limit: int | None,
        defined: bool,
        explicit: bool,
        big: bool,
        element: Element | None = None,
    ) -> None:
        self.kind = kind
        self.start = start
        self.limit = limit  # the absolute end: of its own length, or of what is around it
        self.defined = defined
        self.explicit = explicit
        self.big = big
        self.element = element  # the sequence or pixel data
        self.number = 0  # of the item
        self.charset: tuple[str, ...] = ()
        self.elements: list[Element] = []
        self.items: list[DataSet] = []
        self.last = -1
        self.seen: set[int] | None = None
        self.sink: Fragments | None = None
        self.layout: dict[int, int] = {}
        self.pixels: Native | Fragments | None = None

    def lay_out(self, tag: int, value: bytes) -> None:
        """Keep what says how pixels lie in memory."""
        if tag == _FRAMES:
            text = value.strip(b" \0")
            if text.isdigit() and len(text) < 12:
                self.layout[tag] = int(text)
        elif len(value) == 2:
            self.layout[tag] = U16[self.big].unpack(value)[0]

    def laid_out(self) -> Layout:
        """Return how Pixel Data of this level lies in memory, as far as was said before it."""
        known = self.layout.get
        pixels = colours = frame = None
        rows, columns = known(0x00280010), known(0x00280011)
        if rows is not None and columns is not None:
            if known(0x00280002) == 3:
                colours = rows * columns
            frame = rows * columns * known(0x00280002, 1)
            pixels = frame * known(_FRAMES, 1)
        return Layout(
            known(0x00280100),
            known(0x00280101),
            known(0x00280102),
            known(SIGNED) == 1,
            pixels,
            self.big,
            colours,
            frame,
        )

    def take_charset(self, element: Element, value: bytes) -> None:
        """Let *element*, Specific Character Set, govern the level, and what came before it (PS3.5 6.1.2.3)."""
        terms = tuple(part.strip(" \0") for part in value.decode("latin-1").split("\\"))
        self.charset = terms if any(terms) else ()
        if len(self.elements) > 1:  # group lengths, or out of order
            for earlier in self.elements:
                _inherit(earlier, self.charset)
        element.charset = self.charset


def _inherit(element: Element, charset: tuple[str, ...]) -> None:
    """Give an element and its items, where they have none of their own, a character set."""
    waiting = [element]
    while waiting:
        element = waiting.pop()
        element.charset = charset
        for item in element.items:
            if not item.has(CHARACTER_SET):
                item.charset = charset
                waiting += item.elements
