"""A strict walk through the bytes of a data set as they come, in any chunks (PS3.5 section 7).

Rules of this file:

* Big values pass by: what is kept are lengths, facts about pixels, and values up to ``Limits.keep``.
* No recursion: sequences are frames on a stack.  Deeper than ``Limits.depth`` they are skipped, whatever they hold.
* A length that lies is a problem with its offset, and reading goes on where what is around it ends.  Where that is
  unknown too, reading stops: one fault is not to look like a hundred.
* An element is first read as the transfer syntax says; only what cannot be so is tried as something else.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from bench.witness.elements import CODES, DataSet, DataSetProblem, Element
from bench.witness.pixels import Fragments, Layout, Native
from bench.witness.vr import (
    CHARACTER_SET,
    ITEM,
    ITEM_END,
    LONG,
    PIXEL_DATA,
    SEQUENCE_END,
    SHORT,
    TEXT,
    UNDEFINED,
    implicit_vr,
    lookup,
    text_of,
)

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
#: Also JPIP Referenced Deflate (PS3.5 A.7, A.9).
_DEFLATES: Final = frozenset((DEFLATED, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
#: Transfer syntaxes of the standard begin so; how a private one is encoded is found out.
_STANDARD: Final = "1.2.840.10008.1.2"

_SHORT: Final = {vr.encode(): vr for vr in SHORT}
_LONG: Final = {vr.encode(): vr for vr in LONG}
_HEAD: Final = struct.Struct("<HH2sH")
_U16: Final = (struct.Struct("<H"), struct.Struct(">H"))
_U32: Final = (struct.Struct("<I"), struct.Struct(">I"))
_PIECE: Final = 1 << 16
_BEGIN: Final = 16

_ROOT, _SEQUENCE, _ITEM, _FRAGMENTS = range(4)
_WORDS: Final = ("data set", "sequence", "item", "encapsulated pixel data")
#: A length in Implicit VR above which an element of no known tag is taken for garbage.
_FAR: Final = 1 << 24
#: Where in a value with a lying length the next element is looked for.
_FARTHEST: Final = 2048
_FRAMES: Final = 0x00280008
_SIGNED: Final = 0x00280103
_LAYOUT: Final = frozenset(
    (0x00280002, _FRAMES, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, _SIGNED)
)
_OTHERS: Final = (
    (True, False, EXPLICIT_LITTLE, "Explicit VR Little Endian"),
    (False, False, IMPLICIT_LITTLE, "Implicit VR Little Endian"),
    (True, True, EXPLICIT_BIG, "Explicit VR Big Endian"),
    (False, True, "", "Implicit VR Big Endian"),
)


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


class _Frame:
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


class _Head(NamedTuple):
    """The header of an element, with what is wrong with it."""

    vr: str
    length: int
    size: int
    explicit: bool
    problem: tuple[str, str] | None = None


class Reader:
    """Reads one data set.  Give it the bytes by :meth:`feed`, in any chunks, then call :meth:`finish`."""

    def __init__(self, transfer_syntax: str, *, limits: Limits = DEFAULT) -> None:
        """Read a data set in *transfer_syntax* (a UID); any unknown one is Explicit VR LE (PS3.5 A.4)."""
        self._limits = limits
        self._syntax = transfer_syntax
        self._read_as = ""
        self._inflate = zlib.decompressobj(-15) if transfer_syntax in _DEFLATES else None
        self._inflated = 0
        self._begin = bytearray()
        self._buffer = bytearray()
        self._base = 0  # offset of the buffer's first byte in the data set
        self._need = 8  # bytes in the buffer before the walk can go on
        self._pass = 0  # bytes of a value that pass by
        self._passing: Element | None = None
        self._sink: Native | Fragments | None = None
        explicit, big = transfer_syntax != IMPLICIT_LITTLE, transfer_syntax == EXPLICIT_BIG
        self._stack = [_Frame(_ROOT, 0, None, False, explicit, big)]
        self._prior: int | None = None  # the one before
        self._recent: int | None = None  # offset of the last element: the one whose length may lie
        self._deep = 0  # open undefined lengths below the deepest level that is kept
        self._dead = False
        self._total = 0
        self._count = 0
        self._kept = 0
        self._problems: list[DataSetProblem] = []
        self._done: DataSet | None = None

    # Bytes

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the data set."""
        if self._inflate is None:
            self._feed(memoryview(data))
        elif len(self._begin) >= _BEGIN:
            self._inflate_more(bytes(data))
        else:
            self._begin += data
            if len(self._begin) >= _BEGIN:
                self._begun()

    def _begun(self) -> None:
        """The first bytes of what should be a deflated stream are there: is it one?"""
        data = bytes(self._begin)
        if _explicit(data):
            self._problem("wrong-syntax", "not deflated, but plain Explicit VR Little Endian", 0)
            self._read_as, self._inflate = EXPLICIT_LITTLE, None
            self._feed(memoryview(data))
        else:
            self._inflate_more(data)

    def _inflate_more(self, data: bytes) -> None:
        inflate = self._inflate
        while data and inflate is not None and not self._dead and not inflate.eof:
            before = inflate.copy()
            try:
                plain = inflate.decompress(data, 1 << 20)
            except zlib.error as error:
                self._inflate_last(before, data)
                self._problem("deflate", f"the deflated stream is damaged ({error})", self._total)
                self._dead = True
                return
            data = inflate.unconsumed_tail
            self._inflated += len(plain)
            if self._inflated > self._limits.inflated:
                self._problem("deflate", f"inflates to more than {self._limits.inflated} bytes", self._total)
                self._dead = True
                return
            self._feed(memoryview(plain))

    def _inflate_last(self, inflate: Any, data: bytes) -> None:
        """Get what comes before the damage: zlib keeps nothing of the bytes given together with it."""
        with suppress(zlib.error):
            for at in range(len(data)):
                self._feed(memoryview(inflate.decompress(data[at : at + 1], 1 << 20)))

    def _feed(self, view: memoryview) -> None:
        if view.itemsize != 1 or view.ndim != 1:
            view = view.cast("B")
        self._total += len(view)
        buffer = self._buffer
        while len(view) and not self._dead:
            if self._pass:
                view = view[self._by(view) :]
                continue
            buffer += view[:_PIECE]
            view = view[_PIECE:]
            if len(buffer) >= self._need:
                self._walk()
        if self._dead:
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

    def finish(self) -> DataSet:
        """Return the data set: nothing more will come.  Calling it again gives the same."""
        if self._done is not None:
            return self._done
        if self._inflate is not None and 0 < len(self._begin) < _BEGIN:
            self._begun()
        if self._inflate is not None and self._begin and not self._dead and not self._inflate.eof:
            self._problem("deflate", "the deflated stream does not end", self._total)
        elif not self._dead:
            self._end()
        while len(self._stack) > 1:
            self._close(self._stack[-1], self._base)
        self._done = self._made(self._stack[0], self._total)
        self._done.problems = tuple(self._problems)
        self._done.read_as = self._read_as
        return self._done

    def _end(self) -> None:
        """Say what is missing at the end of the data set, once."""
        if not self._pass:
            self._walk()  # close what ended with the last bytes that passed by
            if self._dead:
                return
        left = len(self._buffer)
        if self._pass:
            element = self._passing
            name, at, tag = "a value", self._base, None
            if element is not None:
                element.truncated = True
                name, at, tag = element.tag_text, element.offset, element.tag
                if not element.explicit and lookup(tag) is None and not tag & 0x00010000:
                    self._problem("unreadable", f"what stands here is no element (read as {name})", at, tag)
                    return
            self._problem("truncated", f"{name} lacks {self._pass} bytes where the data set ends", at, tag)
        elif 0 < left < 8:
            self._problem("leftover", f"{left} bytes behind the last element", self._base)
        elif left:
            self._cut(left)
        else:
            for frame in reversed(self._stack[1:]):
                tag = frame.element.tag if frame.element is not None else None
                if frame.defined and frame.limit is not None and frame.limit > self._base:
                    text = f"{frame.limit - self._base} bytes of the {_WORDS[frame.kind]} are missing"
                    self._problem("truncated", text, frame.start, tag)
                    return
                if not frame.defined:
                    text = f"the {_WORDS[frame.kind]} is not ended by its delimiter"
                    self._problem("missing-delimiter", text, frame.start, tag)
                    return

    def _cut(self, left: int) -> None:
        """An element is not whole: keep its header."""
        frame, at = self._stack[-1], self._base
        tag = _tag(self._buffer, 0, frame.big)
        self._problem(
            "truncated", f"{text_of(tag)} lacks {self._need - left} bytes where the data set ends", at, tag
        )
        head = self._head(frame, at, 0, tag)
        if isinstance(head, _Head) and frame.kind in (_ROOT, _ITEM):
            element = Element(tag, head.vr, head.explicit, head.length, at, head.size, big_endian=frame.big)
            element.truncated = True
            self._keep(frame, element)

    # Problems

    def _problem(
        self, code: str, text: str, offset: int, tag: int | None = None, since: int | None = None
    ) -> None:
        # A break of the structure is told although there are many other problems: it ends what can be judged.
        if len(self._problems) >= self._limits.problems * (2 if CODES[code][0] else 1):
            return
        path: list[str | int] = []
        for frame in self._stack[1:]:
            if frame.kind == _ITEM:
                path.append(frame.number)
            elif frame.element is not None:
                path.append(frame.element.keyword or frame.element.tag_text)
        if since is None and CODES[code][0]:
            # In Implicit VR any bytes look like an element: the one before it may be the one that lies.
            since = self._recent if self._stack[-1].explicit else self._prior
            if since is not None and since >= offset:
                since = None
        self._problems.append(DataSetProblem(code, text, offset, tuple(path), tag, since))

    def _stop(self, code: str, text: str, at: int, tag: int | None = None, since: int | None = None) -> int:
        """What stands at *at* cannot be read: go on behind the innermost known end, or not at all."""
        self._problem(code, text, at, tag, since)
        limit = self._stack[-1].limit
        if limit is None:
            self._dead = True
        else:
            self._pass = limit - at
        return 0

    # The walk

    def _walk(self) -> None:
        """Read as many elements as the buffer holds."""
        buffer = self._buffer
        start = self._base
        size = len(buffer)
        pos = 0
        self._need = 8
        while not self._dead:
            if self._pass:
                if pos >= size:
                    break
                self._base = start + pos
                pos += self._by(memoryview(bytes(buffer[pos : pos + self._pass])))
                continue
            frame = self._stack[-1]
            at = start + pos
            limit = frame.limit
            if limit is not None and limit - at < 8:
                if limit > at:
                    text = f"{limit - at} bytes at the end of the {_WORDS[frame.kind]}"
                    self._problem("leftover", text, at)
                    self._pass = limit - at
                    continue
                self._deep = 0
                if not frame.defined:
                    text = f"the {_WORDS[frame.kind]} is not ended by its delimiter"
                    self._problem("missing-delimiter", text, frame.start)
                self._close(frame, at)
                continue
            if size - pos < 8:
                self._need = 8
                break
            step = self._skipped(frame, at, pos) if self._deep else self._step(frame, at, pos)
            if step < 0:
                break
            pos += step
        del buffer[:pos]
        self._base = start + pos

    def _step(self, frame: _Frame, at: int, pos: int) -> int:
        """Read what stands at *at* (byte *pos* of the buffer); return the bytes taken, -1 for more needed."""
        buffer = self._buffer
        kind = frame.kind
        big = frame.big
        tag: int
        length: int
        if big:
            tag = _tag(buffer, pos, big)
        else:
            group, number, code, length = _HEAD.unpack_from(buffer, pos)
            tag = group << 16 | number
        if tag >= 0xFFFE0000 and tag >> 16 == 0xFFFE:
            return self._delimiter(frame, at, pos, tag)
        if kind in (_SEQUENCE, _FRAGMENTS):
            return self._no_item(frame, at, tag)
        if at == 0:
            again = self._sniff(frame, pos)
            if again is not None:
                return again
        if not big and frame.explicit and code in _SHORT:  # by far the most
            vr, size, explicit, problem = _SHORT[code], 8, True, None
        else:
            head = self._head(frame, at, pos, tag)
            if not isinstance(head, _Head):
                return head
            vr, length, size, explicit, problem = head
        left = len(buffer) - pos
        begin = at + size
        limit = frame.limit
        beyond = limit is not None and length != UNDEFINED and begin + length > limit
        opens = length == UNDEFINED or vr == "SQ"
        passes = opens or beyond or length > self._limits.keep or tag == PIXEL_DATA
        if not passes and left < size + length:
            self._need = size + length
            return -1
        # From here on the element is taken: what is wrong with it is said once.
        if problem is not None:
            self._problem(problem[0], problem[1], at, tag)
        if tag <= frame.last:
            self._disorder(frame, at, tag)
        frame.last = tag
        self._prior, self._recent = self._recent, at
        element = Element(tag, vr, explicit, length, at, size, None, (), (), big, False, frame.charset)
        if frame.seen is not None:
            frame.seen.add(tag)
        self._keep(frame, element)
        if self._dead:
            return size
        if length & 1 and length != UNDEFINED:
            self._problem("odd-length", f"{element.tag_text} has the odd length {length}", at, tag)
        if opens:
            return self._open(frame, element, begin)
        if beyond and limit is not None:
            element.truncated = True
            text = f"{element.tag_text} ends {begin + length - limit} bytes behind the {_WORDS[frame.kind]} it is in"
            self._problem("beyond", text, at, tag)
            self._pass = limit - begin
            return size
        if passes:
            self._pass, self._passing = length, element
            if tag == PIXEL_DATA and frame.pixels is None:
                frame.pixels = self._sink = Native(_laid_out(frame), digest=self._limits.digest)
                if not length:
                    self._sink = None
            elif not length:
                self._passing = None
            if tag == PIXEL_DATA and not length:
                element.value = b""
            return size
        value = bytes(buffer[pos + size : pos + size + length])
        if vr in TEXT and value.find(0, 0, -1) >= 0:
            inside = _swallowed(value, tag, explicit, big)
            if inside is not None:
                text = f"{element.tag_text} has the length {length}, in which {text_of(inside)} begins"
                self._problem("swallows", text, at, tag)
                element.truncated = True
                return size + length
        self._kept += length
        if self._kept <= self._limits.kept:
            element.value = value
        if tag == CHARACTER_SET:
            self._charset(frame, element, value)
        elif tag in _LAYOUT:
            _lay_out(frame, tag, value)
        return size + length

    def _keep(self, frame: _Frame, element: Element) -> None:
        self._count += 1
        if self._count > self._limits.elements:
            text = f"more than {self._limits.elements} elements; the rest is not read"
            self._problem("too-many", text, element.offset, element.tag)
            self._dead = True
            return
        frame.elements.append(element)

    def _disorder(self, frame: _Frame, at: int, tag: int) -> None:
        if frame.seen is None:
            frame.seen = {element.tag for element in frame.elements}
        if tag in frame.seen:
            self._problem("duplicate", f"{text_of(tag)} stands in the data set or item twice", at, tag)
        else:
            self._problem("order", f"{text_of(tag)} stands behind {text_of(frame.last)}", at, tag)

    def _charset(self, frame: _Frame, element: Element, value: bytes) -> None:
        terms = tuple(part.strip(" \0") for part in value.decode("latin-1").split("\\"))
        frame.charset = terms if any(terms) else ()
        if len(frame.elements) > 1:  # group lengths, or out of order
            for earlier in frame.elements:
                _inherit(earlier, frame.charset)
        element.charset = frame.charset

    # Headers

    def _head(self, frame: _Frame, at: int, pos: int, tag: int) -> _Head | int:
        """Read the header of an element: the header, or what :meth:`_step` returns instead."""
        buffer = self._buffer
        big = frame.big
        code = bytes(buffer[pos + 4 : pos + 6])
        if frame.explicit:
            vr = _SHORT.get(code)
            if vr is not None:
                return _Head(vr, _U16[big].unpack_from(buffer, pos + 6)[0], 8, True)
            vr = _LONG.get(code)
            if vr is None:
                return self._strange(frame, at, pos, tag, code)
            if len(buffer) - pos < 12:
                self._need = 12
                return -1
            problem = None
            if buffer[pos + 6] or buffer[pos + 7]:
                problem = ("reserved", f"the bytes behind the VR of {text_of(tag)} are not zero")
            return _Head(vr, _U32[big].unpack_from(buffer, pos + 8)[0], 12, True, problem)
        length = _U32[big].unpack_from(buffer, pos + 4)[0]
        if code in _SHORT or code in _LONG:
            entry = lookup(tag)
            vr = code.decode()
            if (entry is not None and vr in entry.vrs) or (entry is None and length > _FAR):
                if vr in LONG and len(buffer) - pos < 12:
                    self._need = 12
                    return -1
                problem = ("explicit-in-implicit", f"{text_of(tag)} has the explicit VR {vr} in Implicit VR")
                if vr in SHORT:
                    return _Head(vr, _U16[big].unpack_from(buffer, pos + 6)[0], 8, True, problem)
                if not buffer[pos + 6] and not buffer[pos + 7]:
                    return _Head(vr, _U32[big].unpack_from(buffer, pos + 8)[0], 12, True, problem)
        if length == UNDEFINED:
            return _Head("OW" if tag == PIXEL_DATA else "SQ", length, 8, False)
        vr = implicit_vr(tag)
        if vr == "UN" and not tag & 0x00010000 and (tag < frame.last or length > _FAR):
            return self._garbage(frame, at, pos, tag)
        if vr == "US" and self._signed(frame):
            entry = lookup(tag)
            if entry is not None and "SS" in entry.vrs:
                vr = "SS"
        return _Head(vr, length, 8, False)

    def _signed(self, frame: _Frame) -> bool:
        """Whether Pixel Representation of the item, or else of the data set, says signed (PS3.5 A.1)."""
        layout = frame.layout if _SIGNED in frame.layout else self._stack[0].layout
        return layout.get(_SIGNED) == 1

    def _strange(self, frame: _Frame, at: int, pos: int, tag: int, code: bytes) -> _Head | int:
        """No VR of the standard where one should be."""
        buffer, big = self._buffer, frame.big
        length = _U32[big].unpack_from(buffer, pos + 4)[0]
        entry = lookup(tag)
        known = entry is not None or tag & 0xFFFF == 0
        fits = frame.limit is None or at + 8 + length <= frame.limit
        letters = code.isalpha() and (code.isupper() or code.upper() in _SHORT or code.upper() in _LONG)
        vr = implicit_vr(tag)
        nested = length == UNDEFINED and vr == "SQ"
        before = frame.elements[-1].value if frame.elements and frame.elements[-1].vr in TEXT else None
        dirty = before is not None and before.find(0, 0, -1) >= 0  # it holds the beginning of this header
        if (
            known
            and not letters
            and not dirty
            and tag > frame.last
            and ((length < 1 << 20 and fits) or nested)
        ):
            text = f"{text_of(tag)} has no VR in an Explicit VR syntax"
            return _Head(vr, length, 8, False, ("implicit-in-explicit", text))
        if letters and (tag > frame.last or known):
            problem = ("unknown-vr", f'{text_of(tag)} has the VR "{code.decode()}", which does not exist')
            if buffer[pos + 6] or buffer[pos + 7] or code.upper() in _SHORT:
                return _Head(code.decode(), _U16[big].unpack_from(buffer, pos + 6)[0], 8, True, problem)
            if len(buffer) - pos < 12:
                self._need = 12
                return -1
            return _Head(code.decode(), _U32[big].unpack_from(buffer, pos + 8)[0], 12, True, problem)
        return self._garbage(frame, at, pos, tag)

    def _garbage(self, frame: _Frame, at: int, pos: int, tag: int) -> int:
        """What stands here is no element: say what stood before it, since its length may lie."""
        before = frame.elements[-1] if frame.elements else None
        if frame.kind == _ROOT and not any(self._buffer[pos : pos + 8]):
            return self._stop("leftover", "zero bytes behind the last element", at)
        what = f"what stands here is no element (read as {text_of(tag)})"
        if before is not None and before.tag == PIXEL_DATA and frame.kind == _ROOT:
            return self._stop("leftover", "bytes that are no element behind Pixel Data", at)
        if before is not None:
            length = "an undefined length" if before.undefined else f"the length {before.length}"
            what += f"; {before.tag_text} before it has {length}"
        return self._stop("unreadable", what, at, since=None if before is None else before.offset)

    def _sniff(self, frame: _Frame, pos: int) -> int | None:
        """At the first element: is this the transfer syntax that it should be?  None: go on reading."""
        buffer = self._buffer
        if buffer[pos : pos + 8] == bytes(8):
            if len(buffer) - pos < 132:
                self._need = 132
                return -1
            if buffer[pos + 128 : pos + 132] == b"DICM":
                self._problem("file-meta", "a data set of a message begins with the preamble of a file", 0)
                frame.explicit, frame.big = True, False
                return 132
        if _sensible(buffer, pos, frame.explicit, frame.big):
            return None
        for explicit, big, syntax, name in _OTHERS:
            if (explicit, big) != (frame.explicit, frame.big) and _sensible(buffer, pos, explicit, big):
                if self._syntax.startswith(_STANDARD):
                    self._problem("wrong-syntax", f"the data set is in {name}, which was not negotiated", 0)
                frame.explicit, frame.big, self._read_as = explicit, big, syntax
                return 0
        return None

    # Sequences

    def _open(self, frame: _Frame, element: Element, begin: int) -> int:
        """A sequence, or encapsulated pixels, begins."""
        vr, length, tag = element.vr, element.length, element.tag
        defined = length != UNDEFINED
        fragments = not defined and vr in ("OB", "OW")
        if not defined and not fragments and vr not in ("SQ", "UN"):
            text = f"{element.tag_text} has an undefined length, which {vr} cannot have"
            self._problem("undefined-length", text, element.offset, tag)
        limit = frame.limit
        if defined:
            end = begin + length
            if limit is not None and end > limit:
                text = f"{element.tag_text} ends {end - limit} bytes behind the {_WORDS[frame.kind]} it is in"
                self._problem("beyond", text, element.offset, tag)
                element.truncated = True
                end = limit
            limit = end
        if len(self._stack) > 2 * self._limits.depth:
            text = f"sequences nest deeper than {self._limits.depth}; what is below is skipped"
            self._problem("too-deep", text, element.offset, tag)
            if defined and limit is not None:
                self._pass = limit - begin
            else:
                self._deep = 1
            return element.header
        explicit, big = (frame.explicit, frame.big) if vr != "UN" else (False, False)
        inner = _Frame(_FRAGMENTS if fragments else _SEQUENCE, begin, limit, defined, explicit, big, element)
        inner.charset = frame.charset
        if fragments:
            inner.sink = Fragments(digest=self._limits.digest)
            if tag == PIXEL_DATA and frame.pixels is None:
                frame.pixels = inner.sink
        self._stack.append(inner)
        return element.header

    def _delimiter(self, frame: _Frame, at: int, pos: int, tag: int) -> int:
        """An item or a delimiter."""
        length = _U32[frame.big].unpack_from(self._buffer, pos + 4)[0]
        inside = frame.kind == _SEQUENCE or frame.kind == _FRAGMENTS
        if tag == ITEM and inside:
            return self._item(frame, at, length)
        ends = (tag == SEQUENCE_END and inside) or (tag == ITEM_END and frame.kind == _ITEM)
        if ends and not frame.defined:
            if length:
                self._problem("delimiter-length", f"a delimiter has the length {length}", at, tag)
            self._close(frame, at)
            return 8
        if tag in (ITEM, SEQUENCE_END) and frame.kind == _ITEM and not frame.defined:
            self._problem("missing-delimiter", "the item is not ended by its delimiter", at, tag)
            self._close(frame, at)
            return 0
        if tag in (ITEM, ITEM_END, SEQUENCE_END):
            self._problem("stray-delimiter", f"{text_of(tag)} stands where none may", at, tag)
            if length != UNDEFINED and tag == ITEM:
                limit = frame.limit
                self._pass = length if limit is None else min(length, limit - at - 8)
            return 8
        return self._stop("unreadable", f"what stands here is no element (read as {text_of(tag)})", at, tag)

    def _item(self, frame: _Frame, at: int, length: int) -> int:
        defined = length != UNDEFINED
        begin = at + 8
        limit = frame.limit
        tag = frame.element.tag if frame.element is not None else None
        if defined:
            end = begin + length
            if length & 1:
                self._problem("odd-length", f"an item has the odd length {length}", at, tag)
            if limit is not None and end > limit:
                self._problem("beyond", f"the item ends {end - limit} bytes behind its sequence", at, tag)
                end = limit
            limit = end
        if frame.sink is not None:
            if not defined or limit is None:
                return self._stop("unreadable", "a fragment of undefined length", at, tag)
            frame.sink.begin(limit - begin)
            self._pass = limit - begin
            if self._pass:
                self._sink, self._passing = frame.sink, frame.element
            return 8
        inner = _Frame(_ITEM, begin, limit, defined, frame.explicit, frame.big)
        inner.charset = frame.charset
        inner.number = len(frame.items) + 1
        self._stack.append(inner)
        return 8

    def _no_item(self, frame: _Frame, at: int, tag: int) -> int:
        """An element where only items may stand."""
        what = frame.element.tag if frame.element is not None else None
        if frame.defined:
            return self._stop(
                "not-an-item", f"{text_of(tag)} stands in a sequence instead of an item", at, what
            )
        self._problem(
            "missing-delimiter", f"the {_WORDS[frame.kind]} is not ended by its delimiter", at, what
        )
        self._close(frame, at)
        return 0

    def _skipped(self, frame: _Frame, at: int, pos: int) -> int:
        """Below the deepest level: only lengths count."""
        tag = _tag(self._buffer, pos, frame.big)
        if tag >> 16 == 0xFFFE:
            length = _U32[frame.big].unpack_from(self._buffer, pos + 4)[0]
            size = 8
            if tag in (ITEM_END, SEQUENCE_END):
                self._deep -= 1
                return 8
        else:
            head = self._head(frame, at, pos, tag)
            if not isinstance(head, _Head):
                return head
            length, size = head.length, head.size
        if length == UNDEFINED:
            self._deep += 1
        elif frame.limit is not None and at + size + length > frame.limit:
            self._pass = frame.limit - at - size
        else:
            self._pass = length
        return size

    def _close(self, frame: _Frame, at: int) -> None:
        self._stack.pop()
        if frame.kind == _ITEM:
            self._stack[-1].items.append(self._made(frame, at))
        elif frame.element is not None:
            frame.element.items = tuple(frame.items)
            if frame.sink is not None:
                frame.element.fragments = frame.sink.fragments

    def _made(self, frame: _Frame, at: int) -> DataSet:
        return DataSet(
            tuple(frame.elements),
            transfer_syntax=self._syntax,
            charset=frame.charset,
            length=at - frame.start,
            pixels=frame.pixels.finish() if frame.pixels is not None else None,
            offset=frame.start,
        )


def read(data: bytes, transfer_syntax: str = EXPLICIT_LITTLE, *, limits: Limits = DEFAULT) -> DataSet:
    """Read a whole data set at once."""
    reader = Reader(transfer_syntax, limits=limits)
    reader.feed(data)
    return reader.finish()


def _tag(buffer: bytes | bytearray, pos: int, big: bool) -> int:
    if big:
        return buffer[pos] << 24 | buffer[pos + 1] << 16 | buffer[pos + 2] << 8 | buffer[pos + 3]
    return buffer[pos + 1] << 24 | buffer[pos] << 16 | buffer[pos + 3] << 8 | buffer[pos + 2]


def _lay_out(frame: _Frame, tag: int, value: bytes) -> None:
    """Keep what says how pixels lie in memory."""
    if tag == _FRAMES:
        text = value.strip(b" \0")
        if text.isdigit() and len(text) < 12:
            frame.layout[tag] = int(text)
    elif len(value) == 2:
        frame.layout[tag] = _U16[frame.big].unpack(value)[0]


def _laid_out(frame: _Frame) -> Layout:
    known = frame.layout.get
    pixels = None
    rows, columns = known(0x00280010), known(0x00280011)
    if rows is not None and columns is not None:
        pixels = rows * columns * known(0x00280002, 1) * known(_FRAMES, 1)
    return Layout(
        known(0x00280100), known(0x00280101), known(0x00280102), known(_SIGNED) == 1, pixels, frame.big
    )


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


def _plausible(buffer: bytes | bytearray, pos: int, explicit: bool, big: bool) -> bool:
    """Tell whether the first bytes of a data set may be an element in this encoding."""
    tag = _tag(bytearray(buffer[pos : pos + 4]), 0, big)
    entry = lookup(tag)
    group = tag >> 16
    if entry is None and tag & 0xFFFF and not (group & 1 and group > 8):
        return False
    code = bytes(buffer[pos + 4 : pos + 6])
    if explicit:
        return code in _SHORT or code in _LONG
    if (code in _SHORT or code in _LONG) and (entry is None or code.decode() in entry.vrs):
        return False
    length = int(_U32[big].unpack_from(buffer, pos + 4)[0])
    return length < 1 << 20 or length == UNDEFINED


def _swallowed(value: bytes, tag: int, explicit: bool, big: bool) -> int | None:
    """Return the tag of an element that begins in a value, with another one behind it: the value's length lies."""
    end = len(value)
    for at in range(1, min(end - 7, _FARTHEST)):
        found, begin = tag, at
        first: int | None = None
        for _ in range(2):
            if begin + 8 > end:
                break
            inner = _tag(value, begin, big)
            entry = lookup(inner)
            if entry is None or inner <= found:
                break
            if explicit:
                code = value[begin + 4 : begin + 6]
                if code not in _SHORT or code.decode() not in entry.vrs:
                    break
                length = _U16[big].unpack_from(value, begin + 6)[0]
            else:
                length = _U32[big].unpack_from(value, begin + 4)[0]
            if first is not None:
                return first
            first, found = inner, inner
            begin += 8 + length
            if begin == end:
                return first
    return None


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
    at, unit = (pos + 6, _U16) if explicit else (pos + 4, _U32)
    return int(unit[big].unpack_from(buffer, at)[0])


def guess(head: bytes) -> str:
    """Return the transfer syntax that the first 8 bytes of a data set look like; Implicit VR LE for none."""
    if len(head) >= 8:
        for explicit, big, syntax, _ in _OTHERS[:3]:
            if _sensible(head, 0, explicit, big):
                return syntax
    return IMPLICIT_LITTLE


def _explicit(data: bytes) -> bool:
    return len(data) >= 8 and _plausible(data, 0, True, False)
