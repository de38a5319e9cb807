"""Values of elements: what the syntax of each VR allows (PS3.5 6.2), and dates, times and names taken apart.

Rules of this file:

* Texts are decoded, one value, with their padding; a function says in words what is wrong with one, or None.
* In the identifier of a query ranges and wildcards are right (PS3.4 C.2.2.2).
* An empty value is never wrong here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Final

_TM: Final = re.compile(r"([01]\d|2[0-3])(?:([0-5]\d)(?:([0-5]\d|60)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DT: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:([01]\d|2[0-3])(?:([0-5]\d)(?:([0-5]\d|60)(?:\.(\d{1,6}))?)?)?)?)?)?"
    r"([+-](?:0\d|1[0-4])[0-5]\d)?"
)
_DS: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_IS: Final = re.compile(r"[+-]?\d+", re.ASCII)
_CS: Final = re.compile(r"[A-Z0-9 _]*", re.ASCII)
_CS_QUERY: Final = re.compile(r"[A-Z0-9 _*?]*", re.ASCII)
_UI: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*", re.ASCII)
_AS: Final = re.compile(r"\d{3}[DWMY]", re.ASCII)
_LINE: Final = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]", re.ASCII)
_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]", re.ASCII)
_ESCAPES: Final = re.compile(r"\x1b(\$[()]?.|[()\-]?.)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name: components of the alphabetic, ideographic and phonetic group (PS3.5 6.2.1), without padding."""

    groups: tuple[tuple[str, ...], ...]

    @property
    def alphabetic(self) -> tuple[str, ...]:
        """Components of the first group."""
        return self.groups[0] if self.groups else ()

    @property
    def family(self) -> str:
        """Family name complex of the first group that has one."""
        return next((group[0] for group in self.groups if group and group[0]), "")

    def same(self, other: PersonName) -> bool:
        """Tell whether names are equal but for trailing empty components and spaces at ends."""
        return _bare(self) == _bare(other)


def person_name(text: str) -> PersonName:
    """Take a name apart.

    >>> person_name("Yamada^Tarou=山田^太郎").groups
    (('Yamada', 'Tarou'), ('山田', '太郎'))
    """
    return PersonName(tuple(tuple(part.strip() for part in group.split("^")) for group in text.split("=")))


def _bare(name: PersonName) -> tuple[tuple[str, ...], ...]:
    groups = []
    for group in name.groups:
        parts = list(group)
        while parts and not parts[-1]:
            parts.pop()
        groups.append(tuple(parts))
    while groups and not groups[-1]:
        groups.pop()
    return tuple(groups)


def parse_date(text: str) -> date | None:
    """Return the day of a DA value; None when it is none."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def parse_time(text: str) -> time | None:
    """Return the time of a TM value, parts left out as zero and a leap second as 59; None when it is none."""
    found = _TM.fullmatch(text.rstrip(" "))
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    micro = int((fraction or "0").ljust(6, "0"))
    return time(int(hour), int(minute or 0), min(int(second or 0), 59), micro)


def parse_datetime(text: str) -> datetime | None:
    """Return the moment of a DT value, parts left out as their least value; None when it is none."""
    found = _DT.fullmatch(text.rstrip(" "))
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    where = None
    if zone is not None:
        shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
        where = timezone(-shift if zone[0] == "-" else shift)
    try:
        return datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            min(int(second or 0), 59),
            int((fraction or "0").ljust(6, "0")),
            where,
        )
    except ValueError:
        return None


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID (PS3.5 9.1): at most 64 characters, no leading zeros."""
    return len(text) <= 64 and _UI.fullmatch(text) is not None


def _ae(text: str, query: bool) -> str | None:
    bare = text.strip(" ")
    if len(bare) > 16:
        return f"has {len(bare)} characters, more than 16"
    return "has a control character" if _LINE.search(bare) or "\x1b" in bare else None


def _age(text: str, query: bool) -> str | None:
    return None if _AS.fullmatch(text.rstrip(" ")) else "is not nnnD, nnnW, nnnM or nnnY"


def _cs(text: str, query: bool) -> str | None:
    bare = text.strip(" ")
    if len(bare) > 16:
        return f"has {len(bare)} characters, more than 16"
    if (_CS_QUERY if query else _CS).fullmatch(bare) is None:
        return "has other characters than upper case letters, digits, space and underscore"
    return None


def _range(text: str, parse: Callable[[str], object | None]) -> bool:
    """Tell whether a text of a query is a value, or a range of values with one end open (PS3.4 C.2.2.2.5)."""
    if parse(text) is not None:
        return True
    for at, character in enumerate(text):
        if character == "-":
            low, high = text[:at].rstrip(" "), text[at + 1 :].strip(" ")
            if (low or high) and all(not end or parse(end) is not None for end in (low, high)):
                return True
    return False


def _da(text: str, query: bool) -> str | None:
    if query:
        return (
            None
            if _range(text.strip(" "), parse_date) or text.strip(" *") == ""
            else "is no date and no range"
        )
    if parse_date(text) is not None:
        return None
    return "is not YYYYMMDD" if not re.fullmatch(r"\d{8}", text) else "is no day of the calendar"


def _tm(text: str, query: bool) -> str | None:
    if query:
        return (
            None
            if _range(text.strip(" "), parse_time) or text.strip(" *") == ""
            else "is no time and no range"
        )
    return None if parse_time(text) is not None else "is not HHMMSS.FFFFFF"


def _dt(text: str, query: bool) -> str | None:
    if query:
        return (
            None
            if _range(text.strip(" "), parse_datetime) or text.strip(" *") == ""
            else "is no time and no range"
        )
    return None if parse_datetime(text) is not None else "is not YYYYMMDDHHMMSS.FFFFFF&ZZXX"


def _ds(text: str, query: bool) -> str | None:
    bare = text.strip(" ")
    if len(bare) > 16:
        return f"has {len(bare)} characters, more than 16"
    return None if _DS.fullmatch(bare) else "is no decimal number"


def _is(text: str, query: bool) -> str | None:
    bare = text.strip(" ")
    if _IS.fullmatch(bare) is None:
        return "is no whole number"
    if len(bare) > 12:
        return f"has {len(bare)} characters, more than 12"
    return None if -(2**31) <= int(bare) < 2**31 else "is outside of -2^31 to 2^31-1"


def _line(most: int | None) -> Callable[[str, bool], str | None]:
    def judge(text: str, query: bool) -> str | None:
        bare = _ESCAPES.sub("", text).rstrip(" ")
        if _LINE.search(bare):
            return "has a control character"
        if most is not None and len(bare) > most:
            return f"has {len(bare)} characters, more than {most}"
        return None

    return judge


def _text(most: int | None) -> Callable[[str, bool], str | None]:
    def judge(text: str, query: bool) -> str | None:
        bare = _ESCAPES.sub("", text).rstrip(" ")
        if _TEXT.search(bare):
            return "has a control character other than TAB, LF, FF and CR"
        if most is not None and len(bare) > most:
            return f"has {len(bare)} characters, more than {most}"
        return None

    return judge


def _pn(text: str, query: bool) -> str | None:
    bare = _ESCAPES.sub("", text).rstrip(" ")
    if _LINE.search(bare):
        return "has a control character"
    groups = bare.split("=")
    if len(groups) > 3:
        return f"has {len(groups)} component groups, more than three"
    for group in groups:
        if group.count("^") > 4:
            return f"has {group.count('^') + 1} components in a group, more than five"
        if len(group.rstrip(" ")) > 64:
            return f"has {len(group)} characters in a group, more than 64"
    return None


def _ui(text: str, query: bool) -> str | None:
    bare = text.rstrip("\0 ")
    if len(bare) > 64:
        return f"has {len(bare)} characters, more than 64"
    if _UI.fullmatch(bare):
        arcs = bare.split(".")
        if arcs[0] not in ("0", "1", "2"):
            return "begins with another component than 0, 1 or 2"
        if bare.startswith("2.25.") and len(arcs) == 3 and int(arcs[2]) >> 128:
            return "has a number behind 2.25 that is no UUID"
        return None
    if re.fullmatch(r"[0-9.]+", bare) and re.search(r"(^|\.)0\d", bare):
        return "has a component with a leading zero"
    return "is not digits in components with dots between them"


def _ur(text: str, query: bool) -> str | None:
    if text.startswith(" "):
        return "begins with a space"
    bare = text.rstrip(" ")
    return (
        "has a character that a URI cannot have" if re.search(r"[\x00-\x20\x7f\"<>\\^`{|}]", bare) else None
    )


_JUDGES: Final[dict[str, Callable[[str, bool], str | None]]] = {
    "AE": _ae,
    "AS": _age,
    "CS": _cs,
    "DA": _da,
    "DS": _ds,
    "DT": _dt,
    "IS": _is,
    "LO": _line(64),
    "LT": _text(10240),
    "PN": _pn,
    "SH": _line(16),
    "ST": _text(1024),
    "TM": _tm,
    "UC": _line(None),
    "UI": _ui,
    "UR": _ur,
    "UT": _text(None),
}


def fault(vr: str, text: str, *, query: bool = False) -> str | None:
    """Return what is wrong with one decoded value of *vr* ("has 17 characters, more than 16"), None if nothing.

    *query*: the value stands in the identifier of a query, retrieve or worklist request.
    """
    if not text.strip(" \0"):
        return None
    judge = _JUDGES.get(vr)
    return None if judge is None else judge(text, query)


def multiplicity(vm: str) -> Callable[[int], bool]:
    """Return the test of a value multiplicity of the dictionary: ``1``, ``1-3``, ``1-n``, ``2-2n``.

    >>> multiplicity("2-2n")(4), multiplicity("2-2n")(3)
    (True, False)
    """
    low, _, high = vm.partition("-")
    least = int(low)
    if not high:
        return lambda count: count == least
    if high == "n":
        return lambda count: count >= least
    if high.endswith("n"):
        step = int(high[:-1])
        return lambda count: count >= least and count % step == 0
    most = int(high)
    return lambda count: least <= count <= most
