"""A DICOMDIR by its bytes: the places of its records and the offsets between them (PS3.3 F.2, F.3).

Rules of this file:

* Records are never decoded as a whole and never written anew: they stay the bytes that they are, whoever wrote them.
* Whether all records hang together is proved before anything is built on it.  Offsets that are wrong are set right
  only when the right ones are certain: the records stand in the order of a tree, every offset is there or 0 as in
  that tree, and together they are in its order too, as when a writer miscounted bytes.
* Anything else is refused with a reason; bounded in time and memory.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .elements import (
    END_OF_SEQUENCE,
    ITEM,
    UNDEFINED,
    BadElements,
    Element,
    encode,
    file_meta,
    item_end,
    walk,
)
from .model import EXPLICIT_LE, MediaError
from .treewalk import depth_first

Ints = npt.NDArray[np.int64]

LARGEST: Final = 1 << 26
"""Bytes of a DICOMDIR that are read: some 150,000 records as they usually are."""
MOST: Final = 1 << 18
"""Records that are read; so many more would have to be far shorter than any image's."""
_TAIL: Final = 1 << 20
"""Bytes of elements behind the records."""
_AT_ONCE: Final = 1 << 14
DIRECTORY: Final = "1.2.840.10008.1.3.10"
_LEVELS: Final = {b"PATIENT": 1, b"STUDY": 2, b"SERIES": 3, b"IMAGE": 4}
_ITEM: Final = struct.Struct("<II")
_ITEM_WORD: Final = (ITEM & 0xFFFF) << 16 | ITEM >> 16
_END_WORD: Final = (END_OF_SEQUENCE & 0xFFFF) << 16 | END_OF_SEQUENCE >> 16
_NEXT, _FLAG, _LOWER, _KIND = 8, 20, 30, 42  # of the values, from the first element of a record
_USUAL: Final = np.frombuffer(
    b"\x04\x00\x00\x14UL\x04\x00????\x04\x00\x10\x14US\x02\x00??\x04\x00\x20\x14UL\x04\x00????\x04\x00\x30\x14CS??",
    np.uint8,
)
_UID: Final = re.compile(rb"[0-9.]{1,64}")
_FIXED: Final = np.flatnonzero(ord("?") != _USUAL)


class Damaged(Exception):
    """This DICOMDIR is not understood; the text goes behind 'The DICOMDIR on the medium …'."""


@dataclass(frozen=True, eq=False)
class Directory:
    """A DICOMDIR that was understood.

    Attributes:
        data: the file.
        body: where the data set begins; ``items``: where the first record does; ``end``: behind the last one.
        tail: behind the sequence: further elements, which are kept.
        defined: the sequence has a length.
        starts, sizes: of each record's item, in the order of the bytes.
        next, lower: the record that each one leads to; -1 for none.
        first: the first of the root; -1 for none.
        next_at, lower_at: where the offsets stand.
        kinds, active: of each record; reached: what the offsets lead to.
        order: the records as the offsets lead to them, depth first.
        notes: what was put right, or left out.
    """

    data: bytes
    body: int
    items: int
    end: int
    tail: bytes
    defined: bool
    instance: str
    first_at: int
    last_at: int | None
    starts: Ints
    sizes: Ints
    next: Ints
    lower: Ints
    first: int
    next_at: Ints
    lower_at: Ints
    kinds: npt.NDArray[np.bytes_]
    active: npt.NDArray[np.bool_]
    order: Ints
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    def record_at(self, position: int) -> int:
        """The record whose bytes hold a position; -1 when none does."""
        index = int(np.searchsorted(self.starts, position, "right")) - 1
        if index < 0 or position >= self.starts[index] + self.sizes[index]:
            return -1
        return index

    def elements(self, record: int) -> dict[int, bytes]:
        """The elements of a record by tag, without padding; those of sequences as they are."""
        start = int(self.starts[record])
        found: dict[int, bytes] = {}
        for element in _content(self.data, start, start + int(self.sizes[record])):
            found[element.tag] = self.data[element.value : element.value + element.length].rstrip(b" \0")
        return found


def _content(data: bytes, start: int, end: int) -> list[Element]:
    if struct.unpack_from("<I", data, start + 4)[0] == UNDEFINED:
        end -= 8
    return list(walk(data, start + 8, end))


def read(data: bytes) -> Directory:
    """Understand a DICOMDIR.

    Raises:
        MediaError: foreign-damaged, foreign-unsupported.
    """
    try:
        return _read(data)
    except (BadElements, StopIteration, struct.error) as error:
        raise broken(error) from error
    except Damaged as error:
        raise MediaError("foreign-damaged", f"The DICOMDIR on the medium {error}. {_LEFT}") from error


def broken(error: Exception) -> MediaError:
    """A DICOMDIR whose bytes are no elements somewhere; records are looked into only when they are needed."""
    return MediaError("foreign-damaged", f"The DICOMDIR on the medium is damaged ({error}). {_LEFT}")


_LEFT: Final = "Nothing was changed on the medium; use another one."


def empty(file_set_id: str = "", instance: str = "") -> Directory:
    """A file-set without records."""
    data = (
        bytes(128)
        + b"DICM"
        + file_meta(DIRECTORY, instance, EXPLICIT_LE, ("0", ""))
        + encode(0x00041130, b"CS", file_set_id.encode("ascii"))
        + encode(0x00041200, b"UL", bytes(4))
        + encode(0x00041202, b"UL", bytes(4))
        + encode(0x00041212, b"US", bytes(2))
        + encode(0x00041220, b"SQ", b"")
    )
    return _read(data)


def _read(data: bytes) -> Directory:
    if data[128:132] != b"DICM":
        raise Damaged("is no DICOM file")
    body, meta = _meta(data)
    if not meta.get(0x00020010):
        raise Damaged("does not say how it is written")
    if (syntax := meta.get(0x00020010, b"").decode("latin-1")) != EXPLICIT_LE:
        raise MediaError(
            "foreign-unsupported",
            f"The DICOMDIR on the medium is written in another way ({syntax!r}). {_LEFT}",
        )
    if (sop_class := meta.get(0x00020002, b"").decode("latin-1")) != DIRECTORY:
        raise Damaged(f"is another object ({sop_class!r})")
    top: dict[int, Element] = {}
    sequence: Element | None = None
    at = body
    while at < len(data):
        head = struct.unpack_from("<HH2s", data, at) if at + 12 <= len(data) else (0, 0, b"")
        if head == (0x0004, 0x1220, b"SQ"):
            length = struct.unpack_from("<I", data, at + 8)[0]
            sequence = Element(0x00041220, b"SQ", at, at + 12, length, 0)
            break
        element = next(walk(data, at, len(data)))
        top[element.tag] = element
        at = element.end
    first, last = top.get(0x00041200), top.get(0x00041202)
    if sequence is None or first is None or first.length != 4 or (last is not None and last.length != 4):
        raise Damaged("lacks the elements of a directory")
    defined = sequence.length != UNDEFINED
    limit = sequence.value + sequence.length if defined else len(data)
    if limit > len(data):
        raise Damaged("ends before its last record")
    starts, end = _items(data, sequence.value, limit, defined)
    behind = end if defined else end + 8
    tail, notes = _tail(data, behind)
    sizes = np.diff(np.append(starts, end))
    return _linked(data, body, sequence.value, end, tail, defined, meta, first, last, starts, sizes, notes)


def _meta(data: bytes) -> tuple[int, dict[int, bytes]]:
    meta: dict[int, bytes] = {}
    at = 132
    while data[at : at + 2] == b"\x02\x00":
        element = next(walk(data, at, len(data)))
        meta[element.tag] = data[element.value : element.end].rstrip(b" \0")
        at = element.end
    return at, meta


def _identity(meta: dict[int, bytes]) -> str:
    """The UID of the file-set; empty when there is none, or something else in its place (PS3.5 9.1)."""
    uid = meta.get(0x00020003, b"")
    return uid.decode("ascii") if _UID.fullmatch(uid) else ""


def _items(data: bytes, at: int, limit: int, defined: bool) -> tuple[Ints, int]:
    """Where the records begin, and where the last one ends."""
    if defined and limit > at:
        # Nearly always every item has a length, and no other one is inside of it: all are found at once.
        words = np.frombuffer(data, "<u2", (limit - at) // 2, at)
        found = np.flatnonzero(words[:-1] == 0xFFFE)
        found = found[words[found + 1] == 0xE000]
        found = found[found + 3 < len(words)]
        lengths = words[found + 2].astype(np.int64) | words[found + 3].astype(np.int64) << 16
        places = at + 2 * found.astype(np.int64)
        ends = places + 8 + lengths
        if len(places) and places[0] == at and ends[-1] == limit and bool((ends[:-1] == places[1:]).all()):
            _bounded(len(places))
            return places, limit
    starts: list[int] = []
    add = starts.append
    header = _ITEM.unpack_from
    while at < limit:
        if at + 8 > limit:
            raise Damaged("has bytes behind its last record that are none")
        tag, length = header(data, at)
        if tag == _ITEM_WORD:
            add(at)
            _bounded(len(starts))
            at += 8 + length
            if length == UNDEFINED:
                at = item_end(data, starts[-1] + 8, limit, length, implicit=False, big=False)
        elif tag == _END_WORD and not defined:
            return np.array(starts, np.int64), at
        else:
            raise Damaged(f"has something else where a record should begin, at byte {at}")
    if at > limit or not defined:
        raise Damaged("ends before its last record")
    return np.array(starts, np.int64), at


def _bounded(count: int) -> None:
    if count > MOST:
        raise Damaged(f"has more than {MOST} records, which cannot be right")


def _tail(data: bytes, at: int) -> tuple[bytes, list[str]]:
    """Elements behind the records are kept; zeros that fill up a block are left out."""
    tail = data[at:]
    if not tail:
        return b"", []
    if tail.count(0) == len(tail):
        return b"", [f"{len(tail)} bytes of filling behind the DICOMDIR were left out."]
    before = 0x00041220
    try:
        if len(tail) > _TAIL:
            raise BadElements("too many")
        for element in walk(data, at, len(data)):
            if element.tag <= before:
                raise BadElements("order")
            before = element.tag
    except BadElements:
        raise Damaged(f"has {len(tail)} bytes behind its records that are no elements") from None
    return tail, []


def _linked(
    data: bytes,
    body: int,
    items: int,
    end: int,
    tail: bytes,
    defined: bool,
    meta: dict[int, bytes],
    first: Element,
    last: Element | None,
    starts: Ints,
    sizes: Ints,
    notes: list[str],
) -> Directory:
    count = len(starts)
    next_at, lower_at, flags, kinds = _fields(data, starts, sizes)
    if b"\x04\x00\x04\x15UL" in data[items:end] or bool((kinds == b"MRDR").any()):
        raise MediaError(
            "foreign-unsupported",
            f"The DICOMDIR on the medium has records of an old kind (multi-referenced files). {_LEFT}",
        )
    u8 = np.frombuffer(data, np.uint8)
    words = np.array([0, 1, 2, 3], np.int64)
    said_next = u8[next_at[:, None] + words].view("<u4").ravel().astype(np.int64)
    said_lower = u8[lower_at[:, None] + words].view("<u4").ravel().astype(np.int64)
    said_first = struct.unpack_from("<I", data, first.value)[0]
    active = flags != 0

    def lead(offsets: Ints) -> Ints:
        if not count:
            return np.where(offsets == 0, -1, -2)
        index = np.minimum(np.searchsorted(starts, offsets), count - 1)
        return np.where(offsets == 0, -1, np.where(starts[index] == offsets, index, -2))

    nexts, lowers = lead(said_next), lead(said_lower)
    head = int(lead(np.array([said_first], np.int64))[0])
    order = _walk(nexts, lowers, head, active)
    if order is None:
        nexts, lowers, head = _restored(said_next, said_lower, said_first, kinds, active)
        order = _walk(nexts, lowers, head, active)
        if order is None:
            raise Damaged("has wrong offsets between its records, and the right ones are not certain")
        notes = [*notes, "Wrong offsets in the DICOMDIR were put right."]
    if len(order) < count:
        apart = np.ones(count, np.bool_)
        apart[order] = False
        nexts, lowers = np.where(apart, -1, nexts), np.where(apart, -1, lowers)
    return Directory(
        data, body, items, end, tail, defined, _identity(meta), first.value,
        last.value if last is not None else None, starts, sizes, nexts, lowers, head, next_at,
        lower_at, kinds, active, order, tuple(notes),
    )  # fmt: skip


def _fields(data: bytes, starts: Ints, sizes: Ints) -> tuple[Ints, Ints, Ints, npt.NDArray[np.bytes_]]:
    """Where each record's offsets stand, its flag, and its kind."""
    u8 = np.frombuffer(data + bytes(64), np.uint8)
    base = starts + 8
    next_at, lower_at = base + _NEXT, base + _LOWER
    usual, flags = np.zeros(len(starts), np.bool_), np.zeros(len(starts), np.int64)
    kinds: npt.NDArray[Any] = np.zeros(len(starts), "S16")
    for at in range(0, len(starts), _AT_ONCE):  # a window is far larger than what is taken from it
        part = slice(at, at + _AT_ONCE)
        usual[part], flags[part], kinds[part] = _begun(u8, base[part], sizes[part])
    for odd in np.flatnonzero(~usual).tolist():
        found = {e.tag: e for e in _content(data, int(starts[odd]), int(starts[odd] + sizes[odd]))}
        try:
            to, flag, down, kind = (found[tag] for tag in (0x00041400, 0x00041410, 0x00041420, 0x00041430))
        except KeyError:
            raise Damaged(f"has a record without its offsets, at byte {int(starts[odd])}") from None
        if (to.length, flag.length, down.length) != (4, 2, 4):
            raise Damaged(f"has a record with strange offsets, at byte {int(starts[odd])}")
        next_at[odd], lower_at[odd] = to.value, down.value
        flags[odd] = struct.unpack_from("<H", data, flag.value)[0]
        kinds[odd] = data[kind.value : kind.end].strip(b" \0")[:16]
    return next_at, lower_at, flags, kinds


def _begun(
    u8: npt.NDArray[np.uint8], base: Ints, sizes: Ints
) -> tuple[npt.NDArray[np.bool_], Ints, npt.NDArray[Any]]:
    """Of some records: whether they begin as nearly all do, and if so, flag and kind."""
    window = u8[base[:, None] + np.arange(_KIND + 16)]
    usual = (window[:, _FIXED] == _USUAL[_FIXED]).all(axis=1) & (sizes >= 8 + _KIND)
    flags = window[:, _FLAG].astype(np.int64) | window[:, _FLAG + 1].astype(np.int64) << 8
    lengths = window[:, _KIND - 2].astype(np.int64) | window[:, _KIND - 1].astype(np.int64) << 8
    text = window[:, _KIND : _KIND + 16].copy()
    usual &= (lengths <= 16) & (8 + _KIND + lengths <= sizes)
    text[np.arange(16) >= lengths[:, None]] = 0
    text[text == 0x20] = 0  # padding; the kinds with spaces inside are no levels of ours
    return usual, flags, np.ascontiguousarray(text).view("S16").ravel()


def _walk(nexts: Ints, lowers: Ints, head: int, active: npt.NDArray[np.bool_]) -> Ints | None:
    """The records depth first; None when they do not hang together: an offset leads nowhere, two lead to the same
    record, or one in use cannot be reached.  Records that are not in use may be left out of the chain."""
    order = depth_first(nexts, lowers, head)
    if order is None:
        return None
    apart = active.copy()
    apart[order] = False
    return None if bool(apart.any()) else order


def _restored(
    said_next: Ints,
    said_lower: Ints,
    said_first: int,
    kinds: npt.NDArray[np.bytes_],
    active: npt.NDArray[np.bool_],
) -> tuple[Ints, Ints, int]:
    """The offsets that a writer meant, where that is certain.

    Raises:
        Damaged: it is not.
    """
    uncertain = Damaged("has wrong offsets between its records, and the right ones are not certain")
    count = len(kinds)
    levels = [_LEVELS.get(bytes(kind), 0) for kind in kinds.tolist()]
    if not count or 0 in levels or levels[0] != 1 or not bool(active.all()):
        raise uncertain
    nexts, lowers = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    latest = [-1] * 5  # the last record of each level in the branch at hand
    for index, level in enumerate(levels):
        before = levels[index - 1] if index else 0
        if level > before + 1:
            raise uncertain
        if level == before + 1 and index:
            lowers[index - 1] = index
        elif latest[level] >= 0:
            nexts[latest[level]] = index
        latest[level] = index
        latest[level + 1 :] = [-1] * (4 - level)
    if bool(((said_next != 0) != (nexts >= 0)).any()) or bool(((said_lower != 0) != (lowers >= 0)).any()):
        raise uncertain
    said = np.concatenate(([said_first], said_next[nexts >= 0], said_lower[lowers >= 0]))
    meant = np.concatenate(([0], nexts[nexts >= 0], lowers[lowers >= 0]))
    sorted_by_place = said[np.argsort(meant)]
    if said_first == 0 or bool((np.diff(sorted_by_place) <= 0).any()):
        raise uncertain
    return nexts, lowers, 0


__all__ = ["DIRECTORY", "LARGEST", "MOST", "Damaged", "Directory", "broken", "empty", "read"]
