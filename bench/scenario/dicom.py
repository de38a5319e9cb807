"""DICOM values: which texts are possible for a VR, and when two values are the same (PS3.5 section 6.2).

Rules of this file:

* Expected values are texts from a scenario; received values are those of the DICOM JSON model (PS3.18 F).
* Two values are compared as their VR means them: numbers as numbers, dates and times as moments, names by
  representation group and component, texts without padding, UIDs also by their well-known names.
* Every check raises ValueError with a sentence that says what would be right.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from bench.scenario.dictionary import Element, elements, uids
from bench.scenario.problems import did_you_mean, shorten

BINARY_VRS: Final = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "UN"})
FLOAT_VRS: Final = frozenset({"FL", "FD", "DS"})
INTEGER_RANGES: Final[dict[str, tuple[int, int]]] = {
    "US": (0, 2**16 - 1),
    "SS": (-(2**15), 2**15 - 1),
    "UL": (0, 2**32 - 1),
    "SL": (-(2**31), 2**31 - 1),
    "UV": (0, 2**64 - 1),
    "SV": (-(2**63), 2**63 - 1),
    "IS": (-(2**31), 2**31 - 1),
}
ORDERED_VRS: Final = FLOAT_VRS | INTEGER_RANGES.keys() | {"DA", "TM", "DT", "AS"}
SINGLE_VRS: Final = frozenset({"LT", "ST", "UT", "UR"})  # a backslash is a character there
TEXT_LIMITS: Final[dict[str, int]] = {"AE": 16, "CS": 16, "LO": 64, "SH": 16, "LT": 10240, "ST": 1024}
STATUS: Final = "status"  # not a VR: a DIMSE status in an event
PLAIN: Final = "plain"  # not a VR: any other field of an event

_DA: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_TM: Final = re.compile(r"(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?")
_DT: Final = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?"
)
_AS: Final = re.compile(r"(\d{3})([DWMY])")
_AS_DAYS: Final = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}
_UID: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_STEP: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\[(\d{1,4}|\*)\])?")
_PN_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True)
class PathStep:
    """One step of ``Sequence[0].Keyword``; `item` is the index, -1 for ``[*]``, None at the end."""

    keyword: str
    tag: str
    vr: str
    item: int | None = None


def parse_path(text: str) -> tuple[PathStep, ...]:
    """Parse a keyword path such as ``RequestAttributesSequence[0].ScheduledProcedureStepID``."""
    steps: list[PathStep] = []
    parts = text.split(".")
    for number, part in enumerate(parts):
        match = _STEP.fullmatch(part)
        if match is None:
            raise ValueError(
                f"'{shorten(text)}' is no path of DICOM keywords like 'SomeSequence[0].SomeKeyword'"
            )
        element = lookup(match[1])
        last = number == len(parts) - 1
        if match[2] is not None and element.vr != "SQ":
            raise ValueError(f"{element.keyword} is {element.vr}, not a sequence: no [{match[2]}] there")
        if not last and match[2] is None:
            if element.vr != "SQ":
                raise ValueError(f"{element.keyword} is {element.vr}, not a sequence: nothing inside it")
            raise ValueError(f"which item of {element.keyword}? write {element.keyword}[0] or [*]")
        index = None if match[2] is None else -1 if match[2] == "*" else int(match[2])
        steps.append(PathStep(element.keyword, element.tag, element.vr, index))
    return tuple(steps)


def lookup(keyword: str) -> Element:
    """Return the dictionary's entry; ValueError with a suggestion for unknown keywords."""
    found = elements().get(keyword)
    if found is None:
        hint = did_you_mean(keyword, elements())
        raise ValueError(f"unknown DICOM keyword '{shorten(keyword)}'" + (f" ({hint})" if hint else ""))
    return found


def split_values(text: str, vr: str) -> list[str]:
    """Split a text at backslashes where the VR has several values; the empty text has none."""
    if text == "":
        return []
    return [text] if vr in SINGLE_VRS else text.split("\\")


def check_text(text: str, vr: str, *, matching: bool = False) -> str:
    """Check one value that a scenario gives for a VR and return it normalised (UID names become UIDs).

    With `matching` the value may be a matching key (PS3.4 C.2.2.2): wildcards and ranges are allowed.
    Raises ValueError with the reason.
    """
    if matching and _is_matching_key(text, vr):
        return text
    if text == "" or vr in (PLAIN, "UT", "UC", "UR"):
        return text
    if vr == STATUS:
        return text
    if vr in INTEGER_RANGES:
        low, high = INTEGER_RANGES[vr]
        if not re.fullmatch(r"[+-]?\d+", text.strip()) or not low <= int(text) <= high:
            raise ValueError(f"{vr} is a whole number from {low} to {high}, not '{shorten(text)}'")
    elif vr in FLOAT_VRS:
        if not _NUMBER.fullmatch(text.strip()) or (vr == "DS" and len(text) > 16):
            limit = " of at most 16 characters" if vr == "DS" else ""
            raise ValueError(f"{vr} is a number{limit}, not '{shorten(text)}'")
    elif vr == "UI":
        return uid(text)
    elif vr in BINARY_VRS:
        raise ValueError(f"{vr} holds bytes: only present, absent, empty and sha256 can be asked")
    elif vr == "AT":
        if not re.fullmatch(r"[0-9A-Fa-f]{8}", text):
            raise ValueError(f"AT is a tag of eight hexadecimal digits, not '{shorten(text)}'")
        return text.upper()
    elif vr == "PN":
        if text.count("=") > 2 or any(group.count("^") > 4 or len(group) > 64 for group in text.split("=")):
            raise ValueError("PN has at most 3 groups ('=') of at most 5 components ('^') and 64 characters")
    elif vr in ("DA", "TM", "DT", "AS"):
        sort_key(text, vr)
    elif vr in TEXT_LIMITS:
        if len(text) > TEXT_LIMITS[vr]:
            raise ValueError(f"{vr} has at most {TEXT_LIMITS[vr]} characters, here are {len(text)}")
        if vr == "CS" and not re.fullmatch(r"[A-Z0-9 _]*", text):
            raise ValueError(f"CS has capital letters, digits, space and underscore, not '{shorten(text)}'")
        if vr == "AE" and not re.fullmatch(r"[ -\[\]-~]*", text):
            raise ValueError(f"AE has ASCII characters without backslash, not '{shorten(text)}'")
    return text


def _is_matching_key(text: str, vr: str) -> bool:
    if vr in ("DA", "TM", "DT") and "-" in text and not _DT.fullmatch(text):
        for end in text.split("-", 1):
            if end:
                sort_key(end, vr)
        return True
    return ("*" in text or "?" in text) and vr in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")


def uid(text: str) -> str:
    """Return a UID given as digits or as a well-known name; ValueError with a suggestion."""
    if text and text[0].isalpha():
        found = uids().get(text)
        if found is None:
            hint = did_you_mean(text, uids())
            raise ValueError(f"unknown UID name '{shorten(text)}'" + (f" ({hint})" if hint else ""))
        return found
    if len(text) > 64 or not _UID.fullmatch(text):
        raise ValueError(f"'{shorten(text)}' is no UID (digits and dots, at most 64, no leading zeros)")
    return text


def sort_key(value: Any, vr: str) -> Any:
    """Return what `value` means in a VR that has an order; ValueError when it means nothing."""
    text = str(value).strip().rstrip("\0")
    try:
        if vr in INTEGER_RANGES or vr in ("DS", "FD", PLAIN, STATUS):
            if isinstance(value, bool):
                raise ValueError(f"{value} is no number")
            return Decimal(text)
        if vr == "FL":
            return Decimal(repr(struct.unpack("<f", struct.pack("<f", float(text)))[0]))
        if vr == "DA":
            match = _DA.fullmatch(text)
            if match is None:
                raise ValueError(f"DA is YYYYMMDD, not '{shorten(text)}'")
            return date(int(match[1]), int(match[2]), int(match[3]))
        if vr == "TM":
            match = _TM.fullmatch(text)
            if match is None or int(match[1]) > 23 or int(match[2] or 0) > 59 or int(match[3] or 0) > 60:
                raise ValueError(f"TM is HHMMSS.FFFFFF, not '{shorten(text)}'")
            seconds = int(match[1]) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0)
            return timedelta(seconds=seconds, microseconds=int((match[4] or "0").ljust(6, "0")))
        if vr == "DT":
            return _moment(text)
        if vr == "AS":
            match = _AS.fullmatch(text)
            if match is None:
                raise ValueError(f"AS is nnnD, nnnW, nnnM or nnnY, not '{shorten(text)}'")
            return int(match[1]) * _AS_DAYS[match[2]]
    except (InvalidOperation, OverflowError):
        raise ValueError(f"'{shorten(text)}' is no number") from None
    raise ValueError(f"values of {vr} have no order")


def _moment(text: str) -> datetime:
    match = _DT.fullmatch(text)
    if match is None:
        raise ValueError(f"DT is YYYYMMDDHHMMSS.FFFFFF&ZZXX, not '{shorten(text)}'")
    parts = [int(match[n] or (1 if n in (2, 3) else 0)) for n in range(1, 7)]
    zone = None
    if match[8]:
        offset = timedelta(hours=int(match[8][1:3]), minutes=int(match[8][3:5]))
        zone = timezone(-offset if match[8][0] == "-" else offset)
    second = min(parts[5], 59)
    micro = int((match[7] or "0").ljust(6, "0"))
    # Without an offset the sender's own zone is meant: comparable with others without one only.
    return datetime(parts[0], parts[1], parts[2], parts[3], parts[4], second, micro, zone)


def same(expected: str, value: Any, vr: str) -> bool:
    """Tell whether one received value is the expected one, as its VR means it."""
    if vr == "PN":
        return _pn_groups(expected) == _pn_groups(value)
    if value is None:
        return expected == ""
    if vr == STATUS:
        return _same_status(expected, value)
    if vr == PLAIN:
        return _same_plain(expected, value)
    if vr in ORDERED_VRS and expected != "":
        try:
            return bool(sort_key(expected, vr) == sort_key(value, vr))
        except ValueError:
            return str(value).strip() == expected.strip()
    if vr == "UI":
        return str(value).rstrip("\0 ") == uids().get(expected, expected)
    if vr == "AT":
        return str(value).upper() == expected.upper()
    if vr in SINGLE_VRS or vr == "UC":
        return str(value).rstrip() == expected.rstrip()
    return str(value).strip() == expected.strip()


def _same_status(expected: str, value: Any) -> bool:
    try:
        wanted = int(str(expected), 16)
        return wanted == (value if isinstance(value, int) else int(str(value), 16))
    except ValueError:
        return False


def _same_plain(expected: str, value: Any) -> bool:
    if isinstance(value, bool):
        return expected == ("true" if value else "false")
    if isinstance(value, int | float):
        try:
            return bool(Decimal(expected) == Decimal(str(value)))
        except InvalidOperation:
            return False
    return str(value) == expected


def _pn_groups(value: Any) -> tuple[tuple[str, ...], ...]:
    """Components by group, trailing empty ones and padding removed (PS3.5 6.2.1)."""
    if isinstance(value, Mapping):
        groups = [str(value.get(name) or "") for name in _PN_GROUPS]
    else:
        groups = str(value or "").split("=")
    result = [_components(group) for group in groups]
    while result and not result[-1]:
        result.pop()
    return tuple(result)


def _components(group: str) -> tuple[str, ...]:
    parts = [part.strip() for part in group.split("^")]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def person_name_fits(expected: str, value: Any) -> bool:
    """Tell whether a name has the groups that are given.

    Without '=' in it the expected name may be in any representation group; with it, groups that are
    written must be equal, and empty ones are not looked at.
    """
    wanted = [_components(group) for group in expected.split("=")]
    got = _pn_groups(value)
    if len(wanted) == 1:
        return wanted[0] in got or (not wanted[0] and not got)
    return all(
        not group or (number < len(got) and group == got[number]) for number, group in enumerate(wanted)
    )


def show(value: Any) -> str:
    """Write a received value for a message."""
    if isinstance(value, Mapping) and (
        "Alphabetic" in value or "Ideographic" in value or "Phonetic" in value
    ):
        groups = [str(value.get(name) or "") for name in _PN_GROUPS]
        return shorten("=".join(groups).rstrip("="), 80)
    if isinstance(value, bool):
        return "true" if value else "false"
    return shorten(str(value), 80)


def read_keyword_path(dataset: Mapping[str, Any], text: str) -> Any:
    """Return the value at a keyword path of a DICOM JSON data set: one value as it is, several as a list.

    A PN comes as text (``A=B=C``), bytes as their sha-256.  Raises LookupError when it is not there.
    """
    from bench.scenario.refs import Unresolved

    try:
        path = parse_path(text)
    except ValueError as error:
        raise Unresolved(str(error)) from None
    level: Any = dataset
    element: Any = None
    for step in path:
        element = level.get(step.tag) if isinstance(level, Mapping) else None
        if element is None:
            raise Unresolved(f"{text} is not in the data set")
        if step.item is not None:
            items = element.get("Value") or []
            if step.item < 0 or step.item >= len(items):
                raise Unresolved(f"{text}: {step.keyword} has {len(items)} item(s)")
            level = items[step.item]
            element = {"Value": [level]}
    if "sha256" in element:
        return element["sha256"]
    values = [
        show(v) if isinstance(v, Mapping) and path[-1].vr == "PN" else v for v in element.get("Value") or []
    ]
    return values[0] if len(values) == 1 else values if values else ""
