"""The levels of a data set that are open, and what was found wrong in them (PS3.5 7.5, A.4).

Rules of this file:

* No recursion: sequences are levels on a stack.  Deeper than ``Limits.depth`` they are skipped, whatever they hold.
* A length that lies is a problem with its offset, and reading goes on where what is around it ends.  Where that is
  unknown too, reading stops: one fault is not to look like a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.witness.elements import CODES, DataSet, DataSetProblem, Element
from bench.witness.encodings import EXPLICIT_BIG, IMPLICIT_LITTLE
from bench.witness.level import FRAGMENTS, ITEM_LEVEL, ROOT, SEQUENCE, WORDS, Level
from bench.witness.pixels import Fragments, Native
from bench.witness.vr import ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, UNDEFINED, text_of


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept at most, and how deep sequences nest.

    ``keep``: bytes of one value; ``elements`` and ``kept``: elements and bytes of all values of one data set;
    ``inflated``: bytes that a deflated data set may become; ``digest``: SHA-256 of Pixel Data (slow).
    """

    keep: int = 1 << 16
    elements: int = 200_000
    kept: int = 1 << 26
    depth: int = 64
    problems: int = 100
    inflated: int = 1 << 31
    digest: bool = False


DEFAULT: Final = Limits()


class Levels:
    """The stack of open levels.  What reads the elements (:class:`bench.witness.walk.Walk`) builds upon it."""

    __slots__ = (
        "_deep",
        "_limits",
        "_pass",
        "_passing",
        "_prior",
        "_problems",
        "_recent",
        "_sink",
        "_stack",
        "_syntax",
        "dead",
    )

    def __init__(self, transfer_syntax: str, limits: Limits) -> None:
        self._limits = limits
        self._syntax = transfer_syntax
        explicit, big = transfer_syntax != IMPLICIT_LITTLE, transfer_syntax == EXPLICIT_BIG
        self._stack = [Level(ROOT, 0, None, False, explicit, big)]
        self._problems: list[DataSetProblem] = []
        self._prior: int | None = None  # the one before
        self._recent: int | None = None  # offset of the last element: the one whose length may lie
        self._pass = 0  # bytes of a value that pass by
        self._passing: Element | None = None
        self._sink: Native | Fragments | None = None
        self._deep = 0  # open undefined lengths below the deepest level that is kept
        self.dead = False
        """Nothing more can be read."""

    # Problems

    def problem(
        self, code: str, text: str, offset: int, tag: int | None = None, since: int | None = None
    ) -> None:
        """Keep a problem of the innermost level; *since*: where what is at fault may stand, before *offset*."""
        # A break of the structure is told although there are many other problems: it ends what can be judged.
        if len(self._problems) >= self._limits.problems * (2 if CODES[code][0] else 1):
            return
        path: list[str | int] = []
        for level in self._stack[1:]:
            if level.kind == ITEM_LEVEL:
                path.append(level.number)
            elif level.element is not None:
                path.append(level.element.keyword or level.element.tag_text)
        if since is None and CODES[code][0]:
            # In Implicit VR any bytes look like an element: the one before it may be the one that lies.
            since = self._recent if self._stack[-1].explicit else self._prior
            if since is not None and since >= offset:
                since = None
        self._problems.append(DataSetProblem(code, text, offset, tuple(path), tag, since))

    def _stop(self, code: str, text: str, at: int, tag: int | None = None, since: int | None = None) -> int:
        """What stands at *at* cannot be read: go on behind the innermost known end, or not at all."""
        self.problem(code, text, at, tag, since)
        limit = self._stack[-1].limit
        if limit is None:
            self.dead = True
        else:
            self._pass = limit - at
        return 0

    # Levels

    def _open(self, level: Level, element: Element, begin: int) -> int:
        """A sequence, or encapsulated pixels, begins."""
        vr, length, tag = element.vr, element.length, element.tag
        defined = length != UNDEFINED
        fragments = not defined and vr in ("OB", "OW")
        if not defined and not fragments and vr not in ("SQ", "UN"):
            text = f"{element.tag_text} has an undefined length, which {vr} cannot have"
            self.problem("undefined-length", text, element.offset, tag)
        limit = level.limit
        if defined:
            end = begin + length
            if limit is not None and end > limit:
                text = f"{element.tag_text} ends {end - limit} bytes behind the {WORDS[level.kind]} it is in"
                self.problem("beyond", text, element.offset, tag)
                element.truncated = True
                end = limit
            limit = end
        if len(self._stack) > 2 * self._limits.depth:
            text = f"sequences nest deeper than {self._limits.depth}; what is below is skipped"
            self.problem("too-deep", text, element.offset, tag)
            if defined and limit is not None:
                self._pass = limit - begin
            else:
                self._deep = 1
            return element.header
        explicit, big = (level.explicit, level.big) if vr != "UN" else (False, False)
        inner = Level(FRAGMENTS if fragments else SEQUENCE, begin, limit, defined, explicit, big, element)
        inner.charset = level.charset
        if fragments:
            inner.sink = Fragments(digest=self._limits.digest)
            if tag == PIXEL_DATA and level.pixels is None:
                level.pixels = inner.sink
        self._stack.append(inner)
        return element.header

    def _delimiter(self, level: Level, at: int, tag: int, length: int) -> int:
        """An item or a delimiter."""
        inside = level.kind == SEQUENCE or level.kind == FRAGMENTS
        if tag == ITEM and inside:
            return self._item(level, at, length)
        ends = (tag == SEQUENCE_END and inside) or (tag == ITEM_END and level.kind == ITEM_LEVEL)
        if ends and not level.defined:
            if length:
                self.problem("delimiter-length", f"a delimiter has the length {length}", at, tag)
            self._close(level, at)
            return 8
        if tag in (ITEM, SEQUENCE_END) and level.kind == ITEM_LEVEL and not level.defined:
            self.problem("missing-delimiter", "the item is not ended by its delimiter", at, tag)
            self._close(level, at)
            return 0
        if tag in (ITEM, ITEM_END, SEQUENCE_END):
            self.problem("stray-delimiter", f"{text_of(tag)} stands where none may", at, tag)
            if length != UNDEFINED and tag == ITEM:
                limit = level.limit
                self._pass = length if limit is None else min(length, limit - at - 8)
            return 8
        return self._stop("unreadable", f"what stands here is no element (read as {text_of(tag)})", at, tag)

    def _item(self, level: Level, at: int, length: int) -> int:
        defined = length != UNDEFINED
        begin = at + 8
        limit = level.limit
        tag = level.element.tag if level.element is not None else None
        if defined:
            end = begin + length
            if length & 1:
                self.problem("odd-length", f"an item has the odd length {length}", at, tag)
            if limit is not None and end > limit:
                self.problem("beyond", f"the item ends {end - limit} bytes behind its sequence", at, tag)
                end = limit
            limit = end
        if level.sink is not None:
            if not defined or limit is None:
                return self._stop("unreadable", "a fragment of undefined length", at, tag)
            level.sink.begin(limit - begin)
            self._pass = limit - begin
            if self._pass:
                self._sink, self._passing = level.sink, level.element
            return 8
        inner = Level(ITEM_LEVEL, begin, limit, defined, level.explicit, level.big)
        inner.charset = level.charset
        inner.number = len(level.items) + 1
        self._stack.append(inner)
        return 8

    def _no_item(self, level: Level, at: int, tag: int) -> int:
        """An element where only items may stand."""
        what = level.element.tag if level.element is not None else None
        if level.defined:
            return self._stop(
                "not-an-item", f"{text_of(tag)} stands in a sequence instead of an item", at, what
            )
        self.problem("missing-delimiter", f"the {WORDS[level.kind]} is not ended by its delimiter", at, what)
        self._close(level, at)
        return 0

    def _close(self, level: Level, at: int) -> None:
        self._stack.pop()
        if level.kind == ITEM_LEVEL:
            self._stack[-1].items.append(self._made(level, at))
        elif level.element is not None:
            level.element.items = tuple(level.items)
            if level.sink is not None:
                level.element.fragments = level.sink.fragments

    def _made(self, level: Level, at: int) -> DataSet:
        return DataSet(
            tuple(level.elements),
            transfer_syntax=self._syntax,
            charset=level.charset,
            length=at - level.start,
            pixels=level.pixels.finish() if level.pixels is not None else None,
            offset=level.start,
        )
