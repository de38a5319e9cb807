"""Text into bytes and back without loss, in every character set of the statement (VX-CS-001 … 030).

Rules of this file:

* Never lossy: a text that the wished set cannot carry raises :class:`Unencodable`, and :func:`seal` then takes
  ISO_IR 192 for the whole object instead of writing question marks (field issues CS-11, CS-12).
* Code extensions follow PS3.5 6.1.2.5: every component of a name and every line starts from value 1's sets, and G0 is
  designated back before a delimiter.
* JIS X 0201 Romaji has a yen sign and an overline where ASCII has backslash and tilde (VX-E-56).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pydicom import config as pydicom_config
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from .terms import EXTENSIONS, SINGLE, WHOLE, CodedSet, normal

# What a peer sent is taken as it is; what cannot be used is left out where it is used, with a reason.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
pydicom_config.settings.writing_validation_mode = pydicom_config.IGNORE

TEXT_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SINGLE_VALUED: Final = frozenset({"LT", "ST", "UT"})
_BREAKS: Final = re.compile("([\r\n\t\f])")
_NAME_BREAKS: Final = re.compile("([\\^=\r\n\t\f])")
FALLBACK: Final = ("ISO_IR 192",)


class Unencodable(ValueError):
    """A text has a character that the character set does not have."""


def encode_text(text: str, terms: Sequence[str], *, name: bool = False) -> bytes:
    """Encode one value; ``name`` when it is a PN (components and groups are delimiters then).

    Raises:
        Unencodable: ``terms`` cannot carry the text, or are unknown.
    """
    terms = tuple(terms) or ("",)
    if len(terms) == 1 and terms[0] in WHOLE:
        return text.encode(WHOLE[terms[0]])
    first = EXTENSIONS.get(terms[0]) or SINGLE.get(terms[0])
    if first is None or any(term not in EXTENSIONS for term in terms[1:]):
        raise Unencodable(f"character set {terms!r} cannot be written")
    others = [coded for term in terms[1:] for coded in EXTENSIONS[term]]
    pieces = (_NAME_BREAKS if name else _BREAKS).split(text)
    return b"".join(_encode_piece(piece, first, others) for piece in pieces)


def _encode_piece(text: str, first: tuple[CodedSet, ...], others: list[CodedSet]) -> bytes:
    """Encode text without delimiters, beginning and ending with value 1's G0 set."""
    active: dict[str, CodedSet] = {coded.element: coded for coded in first}
    home = active["G0"]
    out = bytearray()
    for character in text:
        for coded in (*active.values(), *first, *others):
            code = _code(character, coded)
            if code is not None:
                break
        else:
            raise Unencodable(f"{character!r} is not in the character set")
        if coded.element == "G1" and active["G0"].width > 1:
            out += home.escape
            active = {"G0": home}
        if active.get(coded.element) != coded:
            out += coded.escape
            # Legal decoders keep G1 over a change of G0, real ones do not: it is designated again when needed.
            active = {"G0": coded} if coded.element == "G0" else {**active, "G1": coded}
        out += code
    if active["G0"] != home:
        out += home.escape
    return bytes(out)


def _code(character: str, coded: CodedSet) -> bytes | None:
    """The bytes of one character in one set, or None when the set does not have it."""
    point = ord(character)
    if coded.codec == "jis-romaji":
        special = {"¥": b"\x5c", "‾": b"\x7e"}.get(character)
        return special or (bytes([point]) if point < 0x7E and character != "\\" else None)
    if coded.codec == "jis-katakana":
        return bytes([point - 0xFF61 + 0xA1]) if 0xFF61 <= point <= 0xFF9F else None
    if coded.codec == "iso2022_jp":
        if point < 0x80:
            return None
        code = _try(character, coded.codec)
        return code[3:5] if code and code.startswith(coded.escape) and len(code) == 8 else None
    code = _try(character, coded.codec)
    if code is None or len(code) != coded.width:
        return None
    if coded.element == "G1" and min(code) < 0xA0:
        return None
    return code


def _try(character: str, codec: str) -> bytes | None:
    try:
        return character.encode(codec)
    except UnicodeEncodeError:
        return None


def carries(texts: Iterable[tuple[str, bool]], terms: Sequence[str]) -> bool:
    """Tell whether ``terms`` can carry every (text, is a name)."""
    try:
        for text, name in texts:
            encode_text(text, terms, name=name)
    except Unencodable:
        return False
    return True


def choose(texts: Sequence[tuple[str, bool]], *wished: Sequence[str]) -> tuple[str, ...]:
    """The first of the wished sets that carries everything, else ISO_IR 192."""
    for terms in wished:
        candidate = normal(terms)
        if carries(texts, candidate):
            return candidate
    return FALLBACK


def decode_text(data: bytes, terms: Sequence[str], *, name: bool = False) -> str:
    """Decode one value as received; bytes that break the rules become U+FFFD, never an error."""
    terms = normal(terms)
    if terms and terms[0] in WHOLE:
        return data.decode(WHOLE[terms[0]], errors="replace")
    try:
        encodings = convert_encodings(list(terms) or None)
        text = decode_bytes(data, encodings, set(b"\n\r\t\f^=" if name else b"\n\r\t\f"))
    except (LookupError, ValueError):
        text = data.decode("ascii", errors="replace")
    if terms and terms[0] in ("ISO_IR 13", "ISO 2022 IR 13"):
        text = text.replace("~", "‾")
    return str(text)


def texts_of(dataset: Dataset) -> Iterator[tuple[str, bool]]:
    """Every text value of a data set and its items, with whether it is a name."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from texts_of(item)
        elif element.VR in TEXT_VRS:
            for value in _values(element):
                yield value, element.VR == "PN"


def _values(element: DataElement) -> list[str]:
    value: Any = element.value
    if value is None or value == "":
        return []
    if isinstance(value, MultiValue | list | tuple):
        return [str(v) for v in value]
    return [str(value)]


def seal(dataset: Dataset, *wished: Sequence[str], ascii_too: bool = True) -> tuple[str, ...]:
    """Choose the character set, write (0008,0005) and freeze every text as bytes in it.

    Args:
        dataset: changed in place; items of sequences too.
        wished: sets in order of preference (VX-D-16: the worklist item's, then the configured one).
        ascii_too: name the set although all text is ASCII; False leaves (0008,0005) out then (VX-D-15).

    Returns:
        The terms written.
    """
    texts = list(texts_of(dataset))
    plain = all(text.isascii() for text, _ in texts)
    terms = () if plain and not ascii_too else choose(texts, *wished)
    if "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet
    _freeze(dataset, terms)
    if terms:
        dataset.SpecificCharacterSet = list(terms) if len(terms) > 1 else terms[0]
    return terms


def _freeze(dataset: Dataset, terms: Sequence[str]) -> None:
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                if "SpecificCharacterSet" in item:
                    del item.SpecificCharacterSet
                _freeze(item, terms)
        elif element.VR in TEXT_VRS:
            name = element.VR == "PN"
            data = [encode_text(value, terms, name=name) for value in _values(element)]
            if name:
                encodings = convert_encodings(list(terms) or None)
                element.value = [PersonName(part, encodings) for part in data]
            elif len(data) == 1:
                element.value = data[0]
            else:
                element.value = data


def thaw(dataset: Dataset, parent: Sequence[str] = ()) -> None:
    """Decode every text of a received data set in place, with the character set of its own item (CS-13).

    Raw bytes are taken before any library decodes them, so that a backslash inside a GB18030 character does not
    split a value (CS-10) and an overline stays one.
    """
    terms = _terms(dataset) if "SpecificCharacterSet" in dataset else tuple(parent)
    for tag in list(dataset.keys()):
        raw: Any = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.VR in TEXT_VRS:
            data = bytes(raw.value or b"").rstrip(b"\x00 ")
            values = [
                decode_text(part, terms, name=raw.VR == "PN").strip()
                for part in _split(data, terms, raw.VR in _SINGLE_VALUED)
            ]
            element = DataElement(tag, raw.VR, values[0] if len(values) == 1 else values)
            dataset[tag] = element
        elif raw.VR == "SQ":
            for item in dataset[tag].value:
                thaw(item, terms)


def _split(data: bytes, terms: Sequence[str], single: bool) -> list[bytes]:
    if single:
        return [data]
    if tuple(terms[:1]) == ("GB18030",):
        return [part.encode("gb18030") for part in data.decode("gb18030", errors="replace").split("\\")]
    return data.split(b"\\")


def _terms(dataset: Dataset) -> tuple[str, ...]:
    value: Any = dataset.get("SpecificCharacterSet")
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else list(value)
    return normal(str(v) for v in values)


def terms_of(dataset: Dataset) -> tuple[str, ...]:
    """The normalised character set of a data set (empty: default repertoire)."""
    return _terms(dataset)
