"""A strict walk through the bytes of a data set as they come, in any chunks (PS3.5 section 7).

Rules of this file:

* Big values pass by: what is kept are lengths, facts about pixels, and values up to ``Limits.keep``.
* An element is taken once its header and its value, if that is kept, are whole; what is wrong with it is said then.
"""

from __future__ import annotations

import struct
from typing import Final

from bench.witness.elements import DataSet, Element
from bench.witness.encodings import SHORT_CODES, STANDARD, U32, other_encoding, swallowed, tag_at
from bench.witness.headers import Head, NoElement, read_header
from bench.witness.level import FRAGMENTS, ITEM_LEVEL, LAYOUT, ROOT, SEQUENCE, WORDS, Level
from bench.witness.levels import Levels, Limits
from bench.witness.pixels import Native
from bench.witness.vr import (
    CHARACTER_SET,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    TEXT,
    UNDEFINED,
    lookup,
    text_of,
)

_HEAD: Final = struct.Struct("<HH2sH")
_PIECE: Final = 1 << 16


class Walk(Levels):
    """Walks through the plain bytes of one data set."""

    __slots__ = (
        "_base",
        "_buffer",
        "_count",
        "_kept",
        "_need",
        "read_as",
        "total",
    )

    def __init__(self, transfer_syntax: str, limits: Limits) -> None:
        super().__init__(transfer_syntax, limits)
        self._buffer = bytearray()
        self._base = 0  # offset of the buffer's first byte in the data set
        self._need = 8  # bytes in the buffer before the walk can go on
        self._count = 0
        self._kept = 0
        self.total = 0
        """Bytes that came."""
        self.read_as = ""
        """The transfer syntax that the data set turned out to be in; empty: the one that it should be in."""

    # Bytes

    def feed(self, view: memoryview) -> None:
        """Take the next bytes of the data set."""
        if view.itemsize != 1 or view.ndim != 1:
            view = view.cast("B")
        self.total += len(view)
        buffer = self._buffer
        while len(view) and not self.dead:
            if self._pass:
                view = view[self._by(view) :]
                continue
            buffer += view[:_PIECE]
            view = view[_PIECE:]
            if len(buffer) >= self._need:
                self._walk()
        if self.dead:
            buffer.clear()

    def _by(self, view: memoryview) -> int:
        """Let the bytes of a value pass by; return how many."""
        take = min(self._pass, len(view))
        if self._sink is not None:
            self._sink.feed(view[:take])
        self._pass -= take
        self._base += take
        if not self._pass:
            self._sink = self._passing = None
        return take

    def finish(self, *, ended: bool) -> DataSet:
        """Return the data set; *ended*: this is where it should end, and what is missing is told."""
        if ended and not self.dead:
            self._end()
        while len(self._stack) > 1:
            self._close(self._stack[-1], self._base)
        made = self._made(self._stack[0], self.total)
        made.problems = tuple(self._problems)
        made.read_as = self.read_as
        return made

    def _end(self) -> None:
        """Say what is missing at the end of the data set, once."""
        if not self._pass:
            self._walk()  # close what ended with the last bytes that passed by
            if self.dead:
                return
        left = len(self._buffer)
        if self._pass:
            element = self._passing
            name, at, tag = "a value", self._base, None
            if element is not None:
                element.truncated = True
                name, at, tag = element.tag_text, element.offset, element.tag
                if not element.explicit and lookup(tag) is None and not tag & 0x00010000:
                    self.problem("unreadable", f"what stands here is no element (read as {name})", at, tag)
                    return
            self.problem("truncated", f"{name} lacks {self._pass} bytes where the data set ends", at, tag)
        elif 0 < left < 8:
            self.problem("leftover", f"{left} bytes behind the last element", self._base)
        elif left:
            self._cut(left)
        else:
            for level in reversed(self._stack[1:]):
                tag = level.element.tag if level.element is not None else None
                if level.defined and level.limit is not None and level.limit > self._base:
                    text = f"{level.limit - self._base} bytes of the {WORDS[level.kind]} are missing"
                    self.problem("truncated", text, level.start, tag)
                    return
                if not level.defined:
                    text = f"the {WORDS[level.kind]} is not ended by its delimiter"
                    self.problem("missing-delimiter", text, level.start, tag)
                    return

    def _cut(self, left: int) -> None:
        """An element is not whole: keep its header."""
        level, at = self._stack[-1], self._base
        tag = tag_at(self._buffer, 0, level.big)
        self.problem(
            "truncated", f"{text_of(tag)} lacks {self._need - left} bytes where the data set ends", at, tag
        )
        head = read_header(self._buffer, 0, at, tag, level, self._stack[0])
        if not isinstance(head, Head):
            self._unread(head, at)
        elif level.kind in (ROOT, ITEM_LEVEL):
            element = Element(tag, head.vr, head.explicit, head.length, at, head.size, big_endian=level.big)
            element.truncated = True
            self._keep(level, element)

    # Elements

    def _walk(self) -> None:
        """Read as many elements as the buffer holds."""
        buffer = self._buffer
        start = self._base
        size = len(buffer)
        pos = 0
        self._need = 8
        while not self.dead:
            if self._pass:
                if pos >= size:
                    break
                self._base = start + pos
                pos += self._by(memoryview(bytes(buffer[pos : pos + self._pass])))
                continue
            level = self._stack[-1]
            at = start + pos
            limit = level.limit
            if limit is not None and limit - at < 8:
                if limit > at:
                    text = f"{limit - at} bytes at the end of the {WORDS[level.kind]}"
                    self.problem("leftover", text, at)
                    self._pass = limit - at
                    continue
                self._deep = 0
                if not level.defined:
                    text = f"the {WORDS[level.kind]} is not ended by its delimiter"
                    self.problem("missing-delimiter", text, level.start)
                self._close(level, at)
                continue
            if size - pos < 8:
                self._need = 8
                break
            step = self._skipped(level, at, pos) if self._deep else self._step(level, at, pos)
            if step < 0:
                break
            pos += step
        del buffer[:pos]
        self._base = start + pos

    def _step(self, level: Level, at: int, pos: int) -> int:
        """Read what stands at *at* (byte *pos* of the buffer); return the bytes taken, -1 for more needed."""
        buffer = self._buffer
        kind = level.kind
        big = level.big
        tag: int
        length: int
        if big:
            tag = tag_at(buffer, pos, big)
        else:
            group, number, code, length = _HEAD.unpack_from(buffer, pos)
            tag = group << 16 | number
        if tag >= 0xFFFE0000 and tag >> 16 == 0xFFFE:
            return self._delimiter(level, at, tag, U32[big].unpack_from(buffer, pos + 4)[0])
        if kind in (SEQUENCE, FRAGMENTS):
            return self._no_item(level, at, tag)
        if at == 0:
            again = self._sniff(level, pos)
            if again is not None:
                return again
        if not big and level.explicit and code in SHORT_CODES:  # by far the most
            vr, size, explicit, problem = SHORT_CODES[code], 8, True, None
        else:
            head = read_header(buffer, pos, at, tag, level, self._stack[0])
            if not isinstance(head, Head):
                return self._unread(head, at)
            vr, length, size, explicit, problem = head
        left = len(buffer) - pos
        begin = at + size
        limit = level.limit
        beyond = limit is not None and length != UNDEFINED and begin + length > limit
        opens = length == UNDEFINED or vr == "SQ"
        passes = opens or beyond or length > self._limits.keep or tag == PIXEL_DATA
        if not passes and left < size + length:
            self._need = size + length
            return -1
        # From here on the element is taken: what is wrong with it is said once.
        if problem is not None:
            self.problem(problem[0], problem[1], at, tag)
        if tag <= level.last:
            self._disorder(level, at, tag)
        level.last = tag
        self._prior, self._recent = self._recent, at
        element = Element(tag, vr, explicit, length, at, size, None, (), (), big, False, level.charset)
        if level.seen is not None:
            level.seen.add(tag)
        self._keep(level, element)
        if self.dead:
            return size
        if length & 1 and length != UNDEFINED:
            self.problem("odd-length", f"{element.tag_text} has the odd length {length}", at, tag)
        if opens:
            return self._open(level, element, begin)
        if beyond and limit is not None:
            element.truncated = True
            text = f"{element.tag_text} ends {begin + length - limit} bytes behind the {WORDS[level.kind]} it is in"
            self.problem("beyond", text, at, tag)
            self._pass = limit - begin
            return size
        if passes:
            self._pass, self._passing = length, element
            if tag == PIXEL_DATA and level.pixels is None:
                level.pixels = self._sink = Native(level.laid_out(), digest=self._limits.digest)
                if not length:
                    self._sink = None
            elif not length:
                self._passing = None
            if tag == PIXEL_DATA and not length:
                element.value = b""
            return size
        value = bytes(buffer[pos + size : pos + size + length])
        if vr in TEXT and value.find(0, 0, -1) >= 0:
            inside = swallowed(value, tag, explicit, big)
            if inside is not None:
                text = f"{element.tag_text} has the length {length}, in which {text_of(inside)} begins"
                self.problem("swallows", text, at, tag)
                element.truncated = True
                return size + length
        self._kept += length
        if self._kept <= self._limits.kept:
            element.value = value
        if tag == CHARACTER_SET:
            level.take_charset(element, value)
        elif tag in LAYOUT:
            level.lay_out(tag, value)
        return size + length

    def _unread(self, head: NoElement | None, at: int) -> int:
        """No header could be read; return what :meth:`_step` does then."""
        if head is None:
            self._need = 12
            return -1
        return self._stop(head.code, head.text, at, since=head.since)

    def _keep(self, level: Level, element: Element) -> None:
        self._count += 1
        if self._count > self._limits.elements:
            text = f"more than {self._limits.elements} elements; the rest is not read"
            self.problem("too-many", text, element.offset, element.tag)
            self.dead = True
            return
        level.elements.append(element)

    def _disorder(self, level: Level, at: int, tag: int) -> None:
        if level.seen is None:
            level.seen = {element.tag for element in level.elements}
        if tag in level.seen:
            self.problem("duplicate", f"{text_of(tag)} stands in the data set or item twice", at, tag)
        else:
            self.problem("order", f"{text_of(tag)} stands behind {text_of(level.last)}", at, tag)

    def _sniff(self, level: Level, pos: int) -> int | None:
        """At the first element: is this the transfer syntax that it should be?  None: go on reading."""
        buffer = self._buffer
        if buffer[pos : pos + 8] == bytes(8):
            if len(buffer) - pos < 132:
                self._need = 132
                return -1
            if buffer[pos + 128 : pos + 132] == b"DICM":
                self.problem("file-meta", "a data set of a message begins with the preamble of a file", 0)
                level.explicit, level.big = True, False
                return 132
        found = other_encoding(buffer, pos, level.explicit, level.big)
        if found is None:
            return None
        level.explicit, level.big, self.read_as, name = found
        if self._syntax.startswith(STANDARD):
            self.problem("wrong-syntax", f"the data set is in {name}, which was not negotiated", 0)
        return 0

    def _skipped(self, level: Level, at: int, pos: int) -> int:
        """Below the deepest level: only lengths count."""
        buffer = self._buffer
        tag = tag_at(buffer, pos, level.big)
        if tag >> 16 == 0xFFFE:
            length = U32[level.big].unpack_from(buffer, pos + 4)[0]
            size = 8
            if tag in (ITEM_END, SEQUENCE_END):
                self._deep -= 1
                return 8
        else:
            head = read_header(buffer, pos, at, tag, level, self._stack[0])
            if not isinstance(head, Head):
                return self._unread(head, at)
            length, size = head.length, head.size
        if length == UNDEFINED:
            self._deep += 1
        elif level.limit is not None and at + size + length > level.limit:
            self._pass = level.limit - at - size
        else:
            self._pass = length
        return size
