"""The data dictionary (PS3.6) as a statement needs it: names, every VR, repeating groups, and the kind of each UID.

The tables are pydicom's files, read without importing pydicom (`bench.scenario.dictionary` tells why).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

from bench.scenario.dictionary import _table

VRS: Final = frozenset(
    [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "OB",
        "OD",
        "OF",
        "OL",
        "OV",
        "OW",
        "PN",
        "SH",
        "SL",
        "SQ",
        "SS",
        "ST",
        "SV",
        "TM",
        "UC",
        "UI",
        "UL",
        "UN",
        "UR",
        "US",
        "UT",
        "UV",
    ]
)
STANDARD_ROOT: Final = "1.2.840.10008."


class Entry(NamedTuple):
    """One attribute of the dictionary."""

    tag: str  # (GGGG,EEEE); x where a group repeats
    keyword: str
    name: str
    vrs: tuple[str, ...]
    vm: str


def _entry(digits: str, row: Any) -> Entry:
    vrs = tuple(str(row[0]).split(" or "))
    return Entry(f"({digits[:4]},{digits[4:]})", row[4], row[2], vrs, row[1])


@cache
def by_keyword() -> dict[str, Entry]:
    """Return every attribute of PS3.6 by keyword."""
    rows = {f"{tag:08X}": row for tag, row in _table("_dicom_dict", "DicomDictionary").items()}
    rows |= {
        tag.upper().replace("X", "x"): row
        for tag, row in _table("_dicom_dict", "RepeatersDictionary").items()
    }
    return {row[4]: _entry(digits, row) for digits, row in rows.items() if row[4]}


@cache
def by_tag() -> dict[str, Entry]:
    """Return every attribute of PS3.6 by tag ``(GGGG,EEEE)``."""
    return {entry.tag: entry for entry in by_keyword().values()}


@cache
def retired() -> frozenset[str]:
    """Return the keywords of retired attributes."""
    return frozenset(
        row[4] for row in _table("_dicom_dict", "DicomDictionary").values() if row[3] == "Retired"
    )


@cache
def uid_types() -> dict[str, str]:
    """Return the type of every UID of PS3.6 A: ``SOP Class``, ``Transfer Syntax``, ``Meta SOP Class`` and so on."""
    return {uid: str(row[1]) for uid, row in _table("_uid_dict", "UID_dictionary").items()}


@cache
def uid_names() -> dict[str, str]:
    """Return the name of every UID of PS3.6 A."""
    return {uid: str(row[0]) for uid, row in _table("_uid_dict", "UID_dictionary").items()}
