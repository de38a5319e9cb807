"""Attribute matching of a query, as PS3.4 C.2.2.2 and K.4.1.1.3 have it.

Rules of this file:

* Pure: keys and a candidate in, yes or no out.  Both are data sets with decoded text, so that names compare as
  text whatever character set they came in.
* A key is a universal one (empty), a list of UIDs, a range, a wildcard or a single value; which of these is
  possible is decided by its VR, never by its looks alone.
* Person names match without regard to case; everything else with (C.2.2.2.1).  A key with one component group
  matches any group of the name, so that ``山田*`` finds ``Yamada^Tarou=山田^太郎``.
* A date range and a time range of the scheduled step together are one period (K.6.1.2.2, remark to Scheduled
  Procedure Step Start Time): July 5 to 7 and 10 to 18 h mean July 5, 10 h until July 7, 18 h.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from simulators.dicom.elements import DataSet, Element

START_DATE: Final = 0x00400002
START_TIME: Final = 0x00400003
COMBINED: Final = ((START_DATE, START_TIME),)
"""Pairs of date and time keys whose ranges are one period."""

CONTROL: Final = frozenset({0x00080005, 0x00080053, 0x00080201})
"""Specific Character Set, Query/Retrieve View and Timezone Offset rule the query; they are no keys."""

_NO_WILDCARD: Final = frozenset(
    (
        "AS",
        "AT",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "OB",
        "OD",
        "OF",
        "OL",
        "OV",
        "OW",
        "SL",
        "SQ",
        "SS",
        "SV",
        "TM",
        "UI",
        "UL",
        "UN",
        "US",
        "UV",
    )
)


def matches(keys: DataSet, candidate: DataSet) -> bool:
    """Tell whether ``candidate`` matches every key."""
    done: set[int] = set()
    for date_tag, time_tag in COMBINED:
        if _is_range(keys.get(date_tag)) and _is_range(keys.get(time_tag)):
            done |= {date_tag, time_tag}
            if not _in_period(keys, candidate, date_tag, time_tag):
                return False
    for tag, key in keys.items():
        if tag in done or tag in CONTROL or tag & 0xFFFF == 0:
            continue
        if not _matches_one(key, candidate.get(tag)):
            return False
    return True


def is_universal(key: Element) -> bool:
    """Tell whether a key asks for the attribute without restricting it (C.2.2.2.3)."""
    if key.vr == "SQ":
        return all(is_universal(inner) for item in key.value for inner in item.values())
    if isinstance(key.value, tuple):
        # '*' is equivalent to universal matching (C.2.2.2.4)
        return all(v == "" or (v == "*" and key.vr not in _NO_WILDCARD) for v in key.value)
    return not key.value


def _matches_one(key: Element, value: Element | None) -> bool:
    if is_universal(key):
        return True
    if key.vr == "SQ":  # C.2.2.2.6: some item matches all keys of the (only) item
        wanted = key.value[0]
        items = value.value if value is not None and value.vr == "SQ" else ()
        return any(matches(wanted, item) for item in items)
    if value is None or not isinstance(value.value, tuple) or not isinstance(key.value, tuple):
        return False
    # Several values: a list of UIDs (C.2.2.2.2); elsewhere not foreseen, read as 'one of these'.
    return any(_matches_value(key.vr, k, v) for k in key.value if k != "" for v in value.value)


def _matches_value(vr: str, key: object, value: object) -> bool:
    if not isinstance(key, str) or not isinstance(value, str):
        return key == value
    if vr == "PN":
        return _matches_name(key, value)
    if vr in ("DA", "TM", "DT"):
        return _matches_moment(vr, key, value)
    if vr in ("IS", "DS"):
        try:
            return float(key) == float(value)
        except ValueError:
            return key == value
    if vr not in _NO_WILDCARD and ("*" in key or "?" in key):
        return wildcard(_text(key), _text(value))
    return _text(key) == _text(value)


def _text(value: str) -> str:
    """Text in one normal form: leading and trailing spaces do not count (PS3.5 6.2)."""
    return unicodedata.normalize("NFC", value.strip(" "))


def wildcard(key: str, value: str) -> bool:
    """Match ``*`` and ``?`` in linear memory and at most len(key) * len(value) steps, whatever the key."""
    k = v = 0
    star, resume = -1, 0
    while v < len(value):
        if k < len(key) and key[k] != "*" and (key[k] == "?" or key[k] == value[v]):
            k, v = k + 1, v + 1
        elif k < len(key) and key[k] == "*":
            star, resume = k, v
            k += 1
        elif star >= 0:
            resume += 1
            k, v = star + 1, resume
        else:
            return False
    return all(c == "*" for c in key[k:])


# -- names ------------------------------------------------------------------------------------------------


def _group(text: str) -> str:
    """A component group in the form that is compared: without trailing delimiters, spaces, case."""
    return "^".join(_text(part) for part in text.split("^")).rstrip("^").casefold()


def _matches_name(key: str, value: str) -> bool:
    wanted = [_group(g) for g in key.split("=")]
    groups = [_group(g) for g in value.split("=")]
    if len(wanted) == 1:
        return any(wildcard(wanted[0], g) for g in groups if g)
    groups += [""] * (len(wanted) - len(groups))
    return all(not w or wildcard(w, g) for w, g in zip(wanted, groups, strict=False))


# -- dates and times ------------------------------------------------------------------------------------

_DT_RANGE: Final = re.compile(r"(\d[\d.]*(?:[+-]\d{4})?)?-(\d[\d.]*(?:[+-]\d{4})?)?")
_SINGLE_DT: Final = re.compile(r"\d[\d.]*(?:[+-]\d{4})?")


def _is_range(key: Element | None) -> bool:
    if key is None or not isinstance(key.value, tuple) or len(key.value) != 1:
        return False
    return "-" in str(key.value[0]) and str(key.value[0]) != "-"


def _bounds(vr: str, key: str) -> tuple[str | None, str | None] | None:
    """Lower and upper end of a range key (``None``: open), or ``None`` when the key is a single value."""
    if vr == "DT":
        if _SINGLE_DT.fullmatch(key):  # 20260101-0500 is a moment with its offset, no range (C.2.2.2.5)
            return None
        found = _DT_RANGE.fullmatch(key)
        return (found[1], found[2]) if found else None
    low, dash, high = key.partition("-")
    return (low.strip() or None, high.strip() or None) if dash else None


def _plain(vr: str, value: str) -> str:
    """Forms of ACR-NEMA (2026.01.31, 10:30) are read too (PS3.5 6.2)."""
    return value.replace("." if vr == "DA" else ":", "").strip() if vr != "DT" else value.strip()


def _low(vr: str, value: str) -> datetime | None:
    """The first moment of a possibly imprecise date, time or date-time; ``None`` when it is none."""
    return _moment(vr, _plain(vr, value), last=False)


def _high(vr: str, value: str) -> datetime | None:
    """The last moment of it: the range includes what its imprecise end includes."""
    return _moment(vr, _plain(vr, value), last=True)


def _moment(vr: str, text: str, *, last: bool) -> datetime | None:
    zone: tzinfo = UTC
    if vr == "DT":
        found = re.fullmatch(r"([\d.]+)([+-]\d{4})?", text)
        if not found:
            return None
        if found[2]:
            minutes = int(found[2][1:3]) * 60 + int(found[2][3:5])
            zone = timezone(timedelta(minutes=-minutes if found[2][0] == "-" else minutes))
        text = found[1]
    elif vr == "TM":
        text = "20000101" + text
    whole, _, fraction = text.partition(".")
    sizes = (4, 2, 2, 2, 2, 2)
    parts, at = [], 0
    for size in sizes:
        piece = whole[at : at + size]
        if not piece:
            break
        if len(piece) < size or not piece.isdigit():
            return None
        parts.append(int(piece))
        at += size
    if at < len(whole) or not parts or (fraction and (len(parts) < 6 or not fraction.isdigit())):
        return None
    try:
        if not last:
            full = [*parts, *(1, 1, 1, 0, 0, 0)[len(parts) :]]
            micro = int(fraction[:6].ljust(6, "0")) if fraction else 0
        else:
            day = 28 if len(parts) < 3 else parts[2]
            full = [*parts, *(1, 12, 31, 23, 59, 59)[len(parts) :]]
            if len(parts) == 2:
                following = datetime(full[0] + full[1] // 12, full[1] % 12 + 1, 1)
                day = (following - timedelta(days=1)).day
                full[2] = day
            micro = int(fraction[:6].ljust(6, "9")) if fraction else 999_999
        # A second of 60 is a leap second: read as the end of 59.
        if full[5] == 60:
            full[5], micro = 59, 999_999
        return datetime(*full, micro, tzinfo=zone)  # type: ignore[arg-type,misc]
    except (ValueError, OverflowError):
        return None


def _matches_moment(vr: str, key: str, value: str) -> bool:
    begin, end = _low(vr, value), _high(vr, value)
    if begin is None or end is None:
        return _text(key) == _text(value)
    bounds = _bounds(vr, key)
    if bounds is None:
        first, last = _low(vr, key), _high(vr, key)
        if first is None or last is None:
            return False
        # 0900 and 090000 state the same; an imprecise key includes what it includes.
        return first <= begin <= last
    low = _low(vr, bounds[0]) if bounds[0] else None
    high = _high(vr, bounds[1]) if bounds[1] else None
    if (bounds[0] and low is None) or (bounds[1] and high is None):
        return False
    return (low is None or begin >= low) and (high is None or begin <= high)


def _in_period(keys: DataSet, candidate: DataSet, date_tag: int, time_tag: int) -> bool:
    date, time = candidate.get(date_tag), candidate.get(time_tag)
    if date is None or not date.value:
        return False
    day = _low("DA", str(date.value[0]))
    clock = _low("TM", str(time.value[0])) if time is not None and time.value else _low("TM", "00")
    if day is None or clock is None:
        return False
    moment = _join(day, clock)
    days = _bounds("DA", str(keys[date_tag].value[0])) or (None, None)
    times = _bounds("TM", str(keys[time_tag].value[0])) or (None, None)
    if days[0] and (low := _low("DA", days[0])) is not None:
        first = _low("TM", times[0]) if times[0] else _low("TM", "00")
        if first is None or moment < _join(low, first):
            return False
    if days[1] and (high := _low("DA", days[1])) is not None:
        last = _high("TM", times[1]) if times[1] else _high("TM", "23")
        if last is None or moment > _join(high, last):
            return False
    return True


def _join(day: datetime, clock: datetime) -> datetime:
    return day.replace(
        hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=clock.microsecond
    )
