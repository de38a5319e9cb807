"""When two values mean the same: names, ids, descriptions, codes, dates, over character sets and padding.

Rules of this file:

* Texts are compared as decoded, without insignificant padding; variants of one character that two character
  sets write differently (yen and backslash, wave dash and tilde) are one.
* A text that could not be decoded on either side cannot be compared.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from bench.scenario.dictionary import elements

if TYPE_CHECKING:
    from bench.witness.dataset import DataSet

_VARIANTS: Final = str.maketrans(
    {
        "\u00a5": "\\",
        "\u20a9": "\\",
        "\u203e": "~",
        "\u301c": "~",
        "\uff5e": "~",
        "\u2212": "-",
        "\uff0d": "-",
        "\u2016": "|",
        "\u2225": "|",
        "\u2014": "-",
        "\u2015": "-",
        "\u00a0": " ",
        "\u3000": " ",
    }
)


def plain(text: str) -> str:
    """Bring a text into the form in which texts are compared."""
    return unicodedata.normalize("NFC", text).translate(_VARIANTS).strip(" \0")


def readable(text: str) -> bool:
    """Whether a text was decoded: no replacement characters, no escapes left in it."""
    return "\ufffd" not in text and "\x1b" not in text and not any("\udc80" <= c <= "\udcff" for c in text)


def same_name(one: str, other: str) -> bool:
    """Whether two PN values are the same; trailing empty components and groups, and padding, mean nothing."""
    return _groups(one) == _groups(other)


def _groups(name: str) -> list[list[str]]:
    groups = []
    for group in plain(name).split("="):
        parts = [" ".join(part.split()) for part in group.split("^")]
        while parts and not parts[-1]:
            parts.pop()
        groups.append(parts)
    while groups and not groups[-1]:
        groups.pop()
    return groups


def same(keyword: str, one: str, other: str) -> bool:
    """Whether two values of an attribute are the same."""
    if keyword.endswith(("Name", "PhysicianName")) and (
        "^" in one or "^" in other or "=" in one or "=" in other
    ):
        return same_name(one, other)
    if keyword.endswith("Time"):
        return same_time(one, other)
    if keyword.endswith("Date"):
        return plain(one).replace(".", "") == plain(other).replace(".", "")
    one, other = plain(one), plain(other)
    if keyword == "PatientSex":
        one, other = one.upper(), other.upper()
    return one == other or _cut(keyword, one, other)


def sound(keyword: str, text: str) -> bool:
    """Whether a value that a peer gave can be copied at all: a date that is none, or a UID that is none, cannot."""
    if keyword.endswith("UID"):
        return bool(_UID.match(text)) and len(text) <= 64
    if keyword.endswith("Date"):
        return bool(re.fullmatch(r"\d{4}\.?(0[1-9]|1[0-2])\.?(0[1-9]|[12]\d|3[01])", text))
    return keyword != "PatientSex" or text.upper() in ("M", "F", "O")


_UID: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+$")
_LONGEST: Final = {"SH": 16, "CS": 16, "LO": 64}


def _cut(keyword: str, one: str, other: str) -> bool:
    """Whether one is the other, cut to what its VR can hold: the longer one was illegal where it came from."""
    entry = elements().get(keyword)
    most = _LONGEST.get(entry.vr, 0) if entry is not None else 0
    short, long = sorted((one, other), key=len)
    return bool(most) and len(long) > most and short == long[:most].strip()


def same_time(one: str, other: str) -> bool:
    """Whether two TM values are the same, as precisely as both are written."""
    a, b = (plain(value).replace(":", "").partition(".") for value in (one, other))
    if a[0] != b[0]:
        short, long = sorted((a[0], b[0]), key=len)
        return len(short) in (2, 4) and long.startswith(short) and not long[len(short) :].strip("0")
    common = min(len(a[2]), len(b[2]))
    return a[2][:common] == b[2][:common]


def value(dataset: DataSet | None, keyword: str) -> str | None:
    """The comparable text of an attribute: None when it is absent or was not decoded, "" when empty."""
    if dataset is None:
        return None
    element = dataset.get(keyword)
    if element is not None and element.value and not declared(dataset, element.value):
        return None
    text = dataset.text(keyword)
    return text if text is None or readable(text) else None


def declared(dataset: DataSet, raw: bytes) -> bool:
    """Whether the character set in force says how to read bytes: escapes need ISO 2022, high bytes any set."""
    if b"\x1b" in raw and not any(term.startswith("ISO 2022") for term in dataset.charset):
        return False
    return bool(any(dataset.charset)) or all(byte < 0x80 for byte in raw)


def codes(dataset: DataSet, keyword: str) -> tuple[tuple[str, str], ...]:
    """The codes of a sequence as (value, scheme)."""
    return tuple(
        (
            item.text("CodeValue") or item.text("LongCodeValue") or item.text("URNCodeValue") or "",
            item.text("CodingSchemeDesignator") or "",
        )
        for item in dataset.items(keyword)
    )
