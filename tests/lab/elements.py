"""Data sets in bytes: whatever is asked for, right or wrong.

    ds = DataSet(PatientName="Doe^Jane", PatientID="7")      # keywords; order of tags
    ds.put("Rows", 64); ds.drop("PatientID"); ds.put((0x0010, 0x0020), b"raw ")
    ds.put("ScheduledProcedureStepSequence", [DataSet(Modality="DX")])
    ds.append(Element(0x00100010, "LO", b"again "))           # at the end: wrong order, twice, wrong VR
    ds.append(Element(0x00280010, "US", b"\\1\\0", length=400)) # a length that lies
    ds.append(Element(raw=b"…"))                               # just bytes
    data = ds.encode(EXPLICIT_LE)                              # or IMPLICIT_LE, EXPLICIT_BE; undefined=True

Rules of this file: no validation and no repair.  ``str`` values are encoded in the set that SpecificCharacterSet
of the data set (or of the one around it) names and padded to even length; ``bytes`` stand as they are, also odd;
numbers are packed by VR (DS and IS written as text); lists are several values.  None is an empty element.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from bench.scenario import dictionary
from tests.lab import charsets

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.70"
UNDEFINED: Final = 0xFFFFFFFF
LONG: Final = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
"""VRs with two reserved bytes and a length of 32 bits (PS3.5 Table 7.1-1)."""
TEXT: Final = frozenset(["SH", "LO", "ST", "LT", "PN", "UC", "UT"])
"""VRs that Specific Character Set governs (PS3.5 6.1.2.3)."""
_NUMBER: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}

Key: TypeAlias = str | int | tuple[int, int]
Value: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Fragments:
    """Encapsulated pixel data: the basic offset table (None: empty) and the fragments, written as they are."""

    fragments: tuple[bytes, ...]
    offsets: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """One element.  ``length`` is written instead of the true one; ``raw`` is written instead of everything."""

    tag: int = 0
    vr: str = "UN"
    value: Value = None
    length: int | None = None
    undefined: bool | None = None
    raw: bytes | None = None


def tag_of(key: Key) -> int:
    """The tag of a keyword, of (group, element), or of itself."""
    if isinstance(key, tuple):
        return key[0] << 16 | key[1]
    return key if isinstance(key, int) else int(dictionary.elements()[key].tag, 16)


def vr_of(tag: int) -> str:
    """The (first) VR of a tag in the dictionary; UN when it is not there, UL for a group length."""
    keyword = dictionary.keywords_by_tag().get(f"{tag:08X}")
    if keyword is None:
        return "UL" if not tag & 0xFFFF else "UN"
    return dictionary.elements()[keyword].vr


class DataSet:
    """A list of elements in wire order; ``put`` keeps the order of tags, ``append`` does not care."""

    def __init__(self, items: Iterable[Element] = (), /, **values: Value) -> None:
        self.elements: list[Element] = list(items)
        for keyword, value in values.items():
            self.put(keyword, value)

    def put(self, key: Key, value: Value = None, *, vr: str | None = None, **how: Any) -> DataSet:
        """Set one element at its place, in place of one with the same tag.  Gives this data set back."""
        tag = tag_of(key)
        if isinstance(value, dict):
            value = [DataSet(**value)]
        if isinstance(value, DataSet):
            value = [value]
        new = Element(tag, vr or vr_of(tag), value, **how)
        for index, element in enumerate(self.elements):
            if element.raw is None and element.tag == tag:
                self.elements[index] = new
                return self
        at = len(self.elements)
        while at and self.elements[at - 1].raw is None and self.elements[at - 1].tag > tag:
            at -= 1
        self.elements.insert(at, new)
        return self

    def append(self, *elements: Element) -> DataSet:
        """Add elements at the end, whatever stands before them."""
        self.elements.extend(elements)
        return self

    def update(self, **values: Value) -> DataSet:
        """Set several elements by keyword."""
        for keyword, value in values.items():
            self.put(keyword, value)
        return self

    def change(self, key: Key, **how: Any) -> DataSet:
        """Change parts of an element that is there (vr=, length=, value=, undefined=)."""
        tag = tag_of(key)
        for index, element in enumerate(self.elements):
            if element.tag == tag:
                self.elements[index] = replace(element, **how)
                return self
        raise KeyError(key)

    def drop(self, *keys: Key) -> DataSet:
        """Take elements out; ``KeyError`` when one is not there, so that a defect cannot miss its aim."""
        for key in keys:
            tag = tag_of(key)
            if not any(element.tag == tag for element in self.elements):
                raise KeyError(key)
            self.elements = [element for element in self.elements if element.tag != tag]
        return self

    def get(self, key: Key) -> Value:
        """The value as it was put, None when absent."""
        tag = tag_of(key)
        return next((element.value for element in self.elements if element.tag == tag), None)

    def has(self, key: Key) -> bool:
        """Whether the element is there."""
        tag = tag_of(key)
        return any(element.tag == tag for element in self.elements)

    def item(self, key: Key, index: int = 0) -> DataSet:
        """An item of a sequence."""
        items: Sequence[DataSet] = self.get(key)
        return items[index]

    def walk(self) -> Iterator[tuple[DataSet, Element]]:
        """Every element with its owner, items too."""
        for element in list(self.elements):
            yield self, element
            if isinstance(element.value, list):
                for item in element.value:
                    if isinstance(item, DataSet):
                        yield from item.walk()

    def copy(self) -> DataSet:
        """A deep copy."""
        return DataSet(
            replace(e, value=[i.copy() if isinstance(i, DataSet) else i for i in e.value])
            if isinstance(e.value, list)
            else e
            for e in self.elements
        )

    def charset(self, outer: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The terms of SpecificCharacterSet here, or those of the data set around."""
        if not self.has("SpecificCharacterSet"):
            return outer
        value = self.get("SpecificCharacterSet")
        if value is None or isinstance(value, bytes):
            return ()
        return tuple(value) if isinstance(value, list | tuple) else tuple(str(value).split("\\"))

    def encode(
        self, transfer_syntax: str = EXPLICIT_LE, *, undefined: bool = False, charset: tuple[str, ...] = ()
    ) -> bytes:
        """The bytes in a transfer syntax (compressed ones are Explicit VR LE); ``undefined``: sequences and items."""
        charset = self.charset(charset)
        parts = []
        for e in self.elements:
            if e.raw is not None:
                parts.append(e.raw)
                continue
            long = e.undefined if e.undefined is not None else undefined
            body = _value(e, transfer_syntax, charset, undefined)
            length = e.length if e.length is not None else len(body)
            if isinstance(e.value, Fragments) or (e.vr == "SQ" and long and e.length is None):
                length = UNDEFINED
                body += _header(0xFFFEE0DD, None, 0, transfer_syntax)
            parts.append(_header(e.tag, e.vr, length, transfer_syntax) + body)
        return b"".join(parts)


def element(key: Key, value: Value = None, *, vr: str | None = None, **how: Any) -> Element:
    """An element with its VR from the dictionary."""
    tag = tag_of(key)
    return Element(tag, vr or vr_of(tag), value, **how)


def _header(tag: int, vr: str | None, length: int, transfer_syntax: str) -> bytes:
    """Tag, VR and length; ``vr`` None: an item or delimiter."""
    order = ">" if transfer_syntax == EXPLICIT_BE else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if vr is None or transfer_syntax == IMPLICIT_LE:
        return head + struct.pack(order + "I", length)
    if vr in LONG:
        return head + vr.encode("ascii") + b"\0\0" + struct.pack(order + "I", length)
    return head + vr.encode("latin-1") + struct.pack(order + "H", length & 0xFFFF)


def _value(e: Element, transfer_syntax: str, charset: tuple[str, ...], undefined: bool) -> bytes:
    value = e.value
    if value is None:
        return b""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Fragments):
        table = struct.pack(f"<{len(value.offsets or ())}I", *(value.offsets or ()))
        return b"".join(
            _header(0xFFFEE000, None, len(part), transfer_syntax) + part for part in (table, *value.fragments)
        )
    values = list(value) if isinstance(value, list | tuple) else [value]
    if e.vr == "SQ":
        return b"".join(_item(item, transfer_syntax, charset, undefined) for item in values)
    order = ">" if transfer_syntax == EXPLICIT_BE else "<"
    if e.vr in _NUMBER:
        return struct.pack(f"{order}{len(values)}{_NUMBER[e.vr]}", *values)
    if e.vr == "AT":
        return b"".join(struct.pack(order + "HH", tag_of(v) >> 16, tag_of(v) & 0xFFFF) for v in values)
    text = e.vr in TEXT
    data = b"\\".join(
        charsets.encode(str(v), charset, person=e.vr == "PN") if text else str(v).encode("latin-1")
        for v in values
    )
    if len(data) & 1:
        data += b"\0" if e.vr in ("UI", "OB", "UN") else b" "
    return data


def _item(item: DataSet | bytes, transfer_syntax: str, charset: tuple[str, ...], undefined: bool) -> bytes:
    if isinstance(item, bytes):  # a whole item, header included
        return item
    body = item.encode(transfer_syntax, undefined=undefined, charset=charset)
    if undefined:
        end = _header(0xFFFEE00D, None, 0, transfer_syntax)
        return _header(0xFFFEE000, None, UNDEFINED, transfer_syntax) + body + end
    return _header(0xFFFEE000, None, len(body), transfer_syntax) + body


def part10(dataset: DataSet, transfer_syntax: str = EXPLICIT_LE) -> bytes:
    """A file (PS3.10 7.1) that holds a data set, for tools that judge files."""
    meta = DataSet(
        FileMetaInformationVersion=b"\0\1",
        MediaStorageSOPClassUID=dataset.get("SOPClassUID"),
        MediaStorageSOPInstanceUID=dataset.get("SOPInstanceUID"),
        TransferSyntaxUID=transfer_syntax,
        ImplementationClassUID="1.3.6.1.4.1.19719",
    ).encode()
    length = DataSet(FileMetaInformationGroupLength=len(meta)).encode()
    return b"\0" * 128 + b"DICM" + length + meta + dataset.encode(transfer_syntax)
