"""A small, strict data-set codec: bytes to elements, elements to bytes, elements to the DICOM JSON model.

Rules of this file:

* Strict where pydicom is silent: an element that ends beyond the data is :class:`MalformedDataset`, and so
  is nesting beyond :data:`MAX_DEPTH` or more than :data:`MAX_ELEMENTS` elements.  Nothing else is ever raised for
  bytes that a peer sent.
* A data set is a plain ``dict`` from tag to :class:`Element`; text is decoded, numbers of IS and DS stay as
  written, so that what arrived can be shown and compared as it was.
* Values longer than a threshold can be replaced by :class:`Bulk` (their hash and length) while reading.
* The dictionary (keyword, VR) is pydicom's.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from pydicom._dicom_dict import DicomDictionary

from simulators.dicom import charset

MAX_DEPTH: Final = 64
"""Nesting of sequences that is read (DCMTK's own limit)."""
MAX_ELEMENTS: Final = 50_000
"""Elements of one data set that are read, items included."""
BULK_THRESHOLD: Final = 1024
"""Values longer than this many bytes appear in events by hash and length only."""

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"

PIXEL_DATA: Final = 0x7FE00010
SPECIFIC_CHARACTER_SET: Final = 0x00080005
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
UNDEFINED: Final = 0xFFFFFFFF

_LONG: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_SHORT: Final = frozenset(
    (
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FL",
        "FD",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    )
)
BINARY: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
TEXT: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
"""VRs whose repertoire follows Specific Character Set (PS3.5 6.1.2.3)."""
_SINGLE: Final = frozenset(("LT", "ST", "UT", "UR"))
_NUMBER: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}


class MalformedDataset(Exception):
    """The bytes are no data set of their transfer syntax, or exceed a limit; the text says where and why."""


class Bulk(NamedTuple):
    """A value that is represented by its hash: ``sha256`` (hex) and ``length`` in bytes."""

    sha256: str | None
    length: int


class Element(NamedTuple):
    """One element: ``vr`` and ``value``: a tuple of str, int, float or data sets; bytes; or :class:`Bulk`."""

    vr: str
    value: Any

    @property
    def first(self) -> Any:
        """The first value, or ``None`` when there is none."""
        return (
            self.value[0]
            if isinstance(self.value, tuple) and type(self.value) is tuple and self.value
            else None
        )


DataSet: TypeAlias = dict[int, Element]

_KEYWORDS: Final[dict[str, tuple[int, str]]] = {
    entry[4]: (tag, entry[0]) for tag, entry in DicomDictionary.items() if entry[4]
}


def keyword_entry(keyword: str) -> tuple[int, str]:
    """Tag and VR of a DICOM keyword.

    Raises:
        KeyError: there is no such keyword; the message suggests the nearest ones.
    """
    try:
        tag, vr = _KEYWORDS[keyword]
    except KeyError:
        import difflib

        near = difflib.get_close_matches(keyword, _KEYWORDS, 3)
        hint = f", did you mean {' or '.join(near)}?" if near else ""
        raise KeyError(f"unknown DICOM keyword {keyword!r}{hint}") from None
    return tag, _definite(vr)


def keyword_of(tag: int) -> str:
    """The keyword of a tag, or its ``(gggg,eeee)`` form."""
    entry = DicomDictionary.get(tag)
    return entry[4] if entry and entry[4] else f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _definite(vr: str) -> str:
    """Choose one VR where the dictionary leaves a choice (the pixel representation may correct US to SS)."""
    if " or " not in vr:
        return vr
    return "OW" if "OW" in vr else "US"


@lru_cache(maxsize=8192)
def implicit_vr(tag: int) -> str:
    """The VR of a tag in an implicit VR transfer syntax (PS3.5 A.1)."""
    entry = DicomDictionary.get(tag)
    if entry is not None:
        return _definite(entry[0])
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0:
        return "UL"
    if group & 1 and 0x10 <= element <= 0xFF:
        return "LO"
    from pydicom.datadict import dictionary_has_tag, dictionary_VR  # repeating groups (50xx, 60xx)

    return _definite(dictionary_VR(tag)) if dictionary_has_tag(tag) else "UN"


class _Reader:
    """Reads one data set; ``bulk``: values that were cut out of ``data``, by the offset where they belong."""

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        syntax: str,
        bulk: Mapping[int, Bulk],
        bulk_over: int | None,
    ) -> None:
        self.data = bytes(data)
        self.explicit = syntax != IMPLICIT_LE
        order = ">" if syntax == EXPLICIT_BE else "<"
        self.order = order
        self.tag_length = struct.Struct(order + "HHI")
        self.tag_vr_length = struct.Struct(order + "HH2sH")
        self.u32 = struct.Struct(order + "I")
        self.bulk = bulk
        self.bulk_over = bulk_over
        self.count = 0

    def fail(self, at: int, why: str) -> MalformedDataset:
        return MalformedDataset(f"byte {at}: {why}")

    def header(self, at: int, end: int) -> tuple[int, str, int, int]:
        """Tag, VR (empty for items and delimiters), length, offset of the value."""
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise self.fail(at, f"more than {MAX_ELEMENTS} elements")
        if at + 8 > end:
            raise self.fail(at, "truncated element header")
        if not self.explicit or self.data[at : at + 2] in (b"\xfe\xff", b"\xff\xfe"):
            group, element, length = self.tag_length.unpack_from(self.data, at)
            tag = group << 16 | element
            if group == 0xFFFE:
                return tag, "", length, at + 8
            if not self.explicit:
                return tag, implicit_vr(tag), length, at + 8
        group, element, raw, length = self.tag_vr_length.unpack_from(self.data, at)
        tag = group << 16 | element
        vr = raw.decode("latin-1")
        if vr in _SHORT:
            return tag, vr, length, at + 8
        if vr in _LONG or (raw.isalpha() and raw.isupper()):
            if at + 12 > end:
                raise self.fail(at, "truncated element header")
            return tag, vr, self.u32.unpack_from(self.data, at + 8)[0], at + 12
        raise self.fail(at, f"({group:04X},{element:04X}) has no VR but {raw!r}")

    def dataset(
        self, at: int, end: int, depth: int, terms: Sequence[str], *, delimited: bool
    ) -> tuple[DataSet, int]:
        """Read elements up to ``end``, or to an item delimiter when ``delimited``."""
        if depth > MAX_DEPTH:
            raise self.fail(at, f"nested deeper than {MAX_DEPTH}")
        found: DataSet = {}
        signed = False
        while at < end:
            tag, vr, length, start = self.header(at, end)
            if vr == "":
                if tag == ITEM_END and delimited:
                    return found, start
                raise self.fail(at, f"unexpected ({tag >> 16:04X},{tag & 0xFFFF:04X})")
            cut = self.bulk.get(start)
            if cut is not None:
                found[tag] = Element(vr, cut)
                at = start
                continue
            if length == UNDEFINED:
                value, at = self.undefined(tag, vr, start, end, depth, terms)
                found[tag] = value
                continue
            if start + length > end:
                raise self.fail(
                    at, f"{keyword_of(tag)} of {length} bytes ends {start + length - end} bytes too late"
                )
            at = start + length
            if vr == "SQ":
                items = self.items(start, at, depth, terms, delimited=False)[0]
                found[tag] = Element("SQ", items)
                continue
            if tag == 0x00280103 and length == 2:
                signed = self.data[start : start + 2] in (b"\x01\x00", b"\x00\x01")
            if vr == "US" and signed and not self.explicit and "SS" in DicomDictionary.get(tag, ("",))[0]:
                vr = "SS"
            found[tag] = element = self.value(tag, vr, start, length, terms)
            if tag == SPECIFIC_CHARACTER_SET and isinstance(element.value, tuple):
                terms = charset.normalise(element.value)
        if delimited:
            raise self.fail(at, "item without its delimiter")
        return found, at

    def undefined(
        self, tag: int, vr: str, start: int, end: int, depth: int, terms: Sequence[str]
    ) -> tuple[Element, int]:
        """Read a value of undefined length: a sequence, or encapsulated fragments."""
        if vr == "SQ":
            items, at = self.items(start, end, depth, terms, delimited=True)
            return Element("SQ", items), at
        if vr == "UN":  # an implicit VR little endian sequence of unknown origin (PS3.5 6.2.2 note 2)
            if self.order != "<":
                raise self.fail(start, f"{keyword_of(tag)} has undefined length")
            explicit, self.explicit = self.explicit, False
            try:
                items, at = self.items(start, end, depth, terms, delimited=True)
            finally:
                self.explicit = explicit
            return Element("SQ", items), at
        if vr not in ("OB", "OW"):
            raise self.fail(start, f"{keyword_of(tag)} of VR {vr} has undefined length")
        at = start
        while True:
            item, _, length, value = self.header(at, end)
            if item == SEQUENCE_END:
                return self.binary(tag, vr, self.data[start:at]), value
            if item != ITEM or length == UNDEFINED or value + length > end:
                raise self.fail(at, f"bad fragment of {keyword_of(tag)}")
            at = value + length

    def items(
        self, at: int, end: int, depth: int, terms: Sequence[str], *, delimited: bool
    ) -> tuple[tuple[DataSet, ...], int]:
        """Read the items of a sequence."""
        found: list[DataSet] = []
        while at < end:
            tag, _, length, start = self.header(at, end)
            if tag == SEQUENCE_END and delimited:
                return tuple(found), start
            if tag != ITEM:
                raise self.fail(at, f"({tag >> 16:04X},{tag & 0xFFFF:04X}) where an item was due")
            if length == UNDEFINED:
                item, at = self.dataset(start, end, depth + 1, terms, delimited=True)
            elif start + length > end:
                raise self.fail(at, f"item of {length} bytes ends {start + length - end} bytes too late")
            else:
                item, at = self.dataset(start, start + length, depth + 1, terms, delimited=False)
            found.append(item)
        if delimited:
            raise self.fail(at, "sequence without its delimiter")
        return tuple(found), at

    def binary(self, tag: int, vr: str, raw: bytes) -> Element:
        if self.bulk_over is not None and (tag == PIXEL_DATA or len(raw) > self.bulk_over):
            return Element(vr, Bulk(hashlib.sha256(raw).hexdigest(), len(raw)))
        return Element(vr, raw)

    def value(self, tag: int, vr: str, start: int, length: int, terms: Sequence[str]) -> Element:
        raw = self.data[start : start + length]
        if self.bulk_over is not None and length > self.bulk_over:
            return self.binary(tag, vr, raw)
        if vr in BINARY or tag == PIXEL_DATA:
            return self.binary(tag, vr, raw)
        code = _NUMBER.get(vr)
        if code is not None:
            size = struct.calcsize("<" + code)
            if length % size:
                raise self.fail(start, f"{keyword_of(tag)} of VR {vr} has {length} bytes")
            return Element(vr, struct.unpack(f"{self.order}{length // size}{code}", raw))
        if vr == "AT":
            if length % 4:
                raise self.fail(start, f"{keyword_of(tag)} of VR AT has {length} bytes")
            half = struct.unpack(f"{self.order}{length // 2}H", raw)
            return Element(vr, tuple(g << 16 | e for g, e in zip(half[::2], half[1::2], strict=True)))
        if vr in TEXT:
            text = charset.decode(raw, terms)
        elif vr in _SHORT or vr == "UR":
            text = raw.decode("latin-1")
        else:
            return Element(vr, raw)  # a VR of the future: opaque
        return Element(vr, split_text(vr, text))


def split_text(vr: str, text: str) -> tuple[str, ...]:
    """Split decoded text into its values and drop the padding (PS3.5 6.2); empty text has no value."""
    text = text.rstrip("\0 ")
    if not text:
        return ()
    if vr in _SINGLE:
        return (text,)
    if vr in ("IS", "DS", "AE", "CS"):
        return tuple(part.strip(" ") for part in text.split("\\"))
    return tuple(part.rstrip("\0 ") for part in text.split("\\"))


def decode(
    data: bytes | bytearray | memoryview,
    syntax: str,
    *,
    bulk: Mapping[int, Bulk] | None = None,
    bulk_over: int | None = None,
) -> DataSet:
    """Read a whole data set.

    Args:
        data: the encoded data set, without file meta information.
        syntax: transfer syntax UID; everything but implicit LE and explicit BE is read as explicit LE.
        bulk: values that were cut out of ``data``, by the offset at which they would begin.
        bulk_over: replace values of more bytes than this, and PixelData, by their hash.

    Raises:
        MalformedDataset: see the rules of this file.
    """
    reader = _Reader(data, syntax, bulk or {}, bulk_over)
    return reader.dataset(0, len(reader.data), 0, (), delimited=False)[0]


# -- writing ------------------------------------------------------------------------------------------------


def encode(dataset: DataSet, syntax: str, terms: Sequence[str] | None = None) -> bytes:
    """Write a data set, tags ascending, sequences and items with defined lengths.

    Args:
        terms: Specific Character Set in force around this data set (an own one takes precedence).

    Raises:
        UnicodeEncodeError: a text does not fit the character set.
        ValueError, TypeError: a value does not fit its VR.
    """
    own = dataset.get(SPECIFIC_CHARACTER_SET)
    terms = charset.normalise(own.value) if own is not None else (terms or ())
    explicit, order = syntax != IMPLICIT_LE, ">" if syntax == EXPLICIT_BE else "<"
    out = []
    for tag in sorted(dataset):
        vr, value = dataset[tag]
        raw = _encode_value(vr, value, syntax, order, terms)
        group, element = tag >> 16, tag & 0xFFFF
        if not explicit:
            head = struct.pack(order + "HHI", group, element, len(raw))
        elif vr in _SHORT:
            if len(raw) > 0xFFFF:
                raise ValueError(f"{keyword_of(tag)}: {len(raw)} bytes are too long for VR {vr}")
            head = struct.pack(order + "HH2sH", group, element, vr.encode(), len(raw))
        else:
            head = struct.pack(order + "HH2sHI", group, element, vr.encode(), 0, len(raw))
        out.append(head)
        out.append(raw)
    return b"".join(out)


def _encode_value(vr: str, value: Any, syntax: str, order: str, terms: Sequence[str]) -> bytes:
    if vr == "SQ":
        parts = []
        for item in value:
            body = encode(item, syntax, terms)
            parts.append(struct.pack(order + "HHI", 0xFFFE, 0xE000, len(body)) + body)
        return b"".join(parts)
    if isinstance(value, bytes):
        return value + b"\0" if len(value) & 1 else value
    if vr in _NUMBER:
        return struct.pack(f"{order}{len(value)}{_NUMBER[vr]}", *value)
    if vr == "AT":
        return b"".join(struct.pack(order + "HH", v >> 16, v & 0xFFFF) for v in value)
    text = "\\".join(value)
    raw = charset.encode(text, terms, person_name=vr == "PN") if vr in TEXT else text.encode("ascii")
    if len(raw) & 1:
        raw += b"\0" if vr == "UI" else b" "
    return raw


# -- DICOM JSON model ---------------------------------------------------------------------------------------


def to_json(dataset: DataSet) -> dict[str, Any]:
    """The DICOM JSON model of a data set (PS3.18 F), as pydicom writes it; bulk values by hash and length."""
    return {f"{tag:08X}": _json_element(dataset[tag]) for tag in sorted(dataset)}


def _json_element(element: Element) -> dict[str, Any]:
    vr, value = element
    if isinstance(value, Bulk):
        return {"vr": vr, "sha256": value.sha256, "length": value.length}
    if vr == "SQ":
        return {"vr": vr, "Value": [to_json(item) for item in value]}
    if not value:
        return {"vr": vr}
    if isinstance(value, bytes):
        return {"vr": vr, "InlineBinary": base64.b64encode(value).decode("ascii")}
    return {"vr": vr, "Value": [_json_value(vr, one) for one in value]}


def _json_value(vr: str, value: Any) -> Any:
    if vr == "PN":
        groups = value.split("=")
        return dict(zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False))
    if vr == "AT":
        return f"{value:08X}"
    if value == "":
        return None
    if vr == "IS" or vr == "DS":
        return json_number(vr, value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def json_number(vr: str, text: str) -> int | float | str:
    """The number that a value of IS or DS states; the text itself when it states none."""
    try:
        number = float(text)
        if not math.isfinite(number):
            return text
        return int(text) if vr == "IS" else number
    except ValueError:
        return text
