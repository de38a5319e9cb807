"""Data sets as people write them: keywords and plain values, or the DICOM JSON model.

Rules of this file:

* Input is what a scenario or YAML file states; every fault in it is a :class:`ValueError` that names the keyword.
* A value may be a string, a number, a list, ``None`` (present, empty), a mapping (one item of a sequence, or
  the component groups of a person name) or a list of mappings (items).
* Strings are taken as they are: nothing is guessed, nothing converted between VRs but text of number VRs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.dicom.elements import (
    _NUMBER,
    BINARY,
    DataSet,
    Element,
    implicit_vr,
    keyword_entry,
    split_text,
)


def from_mapping(mapping: Mapping[str, Any]) -> DataSet:
    """Build a data set from keywords (``PatientName``), tags (``00100010``), or a mix of both.

    Raises:
        ValueError: an unknown keyword or a value that its VR cannot hold.
    """
    dataset: DataSet = {}
    for key, value in mapping.items():
        tag, vr = _entry(str(key))
        if isinstance(value, Mapping) and "vr" in value:
            vr = str(value["vr"])
            if "InlineBinary" in value:
                import base64

                dataset[tag] = Element(vr, base64.b64decode(str(value["InlineBinary"])))
                continue
            value = value.get("Value")
        try:
            dataset[tag] = Element(vr, _value(vr, value))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{key}: {error}") from None
    return dataset


def _entry(key: str) -> tuple[int, str]:
    digits = key.replace(",", "").strip("()")
    if len(digits) == 8:
        try:
            tag = int(digits, 16)
            return tag, implicit_vr(tag)
        except ValueError:
            pass
    try:
        return keyword_entry(key)
    except KeyError as error:
        raise ValueError(error.args[0]) from None


def _value(vr: str, value: Any) -> Any:
    if value is None or value == "" or value == []:
        return b"" if vr in BINARY else ()
    values = value if isinstance(value, list | tuple) else [value]
    if vr == "SQ":
        if not all(isinstance(item, Mapping) for item in values):
            raise ValueError("a sequence wants a list of mappings")
        return tuple(from_mapping(item) for item in values)
    if vr in BINARY:
        if not isinstance(value, bytes):
            raise ValueError(f"VR {vr} wants bytes or InlineBinary")
        return value
    if vr in _NUMBER:
        return tuple(float(v) if vr in ("FL", "FD") else int(v) for v in values)
    if vr == "AT":
        return tuple(v if isinstance(v, int) else int(str(v), 16) for v in values)
    if vr == "PN":
        values = [_name(v) if isinstance(v, Mapping) else v for v in values]
    if any(isinstance(v, Mapping | list) for v in values):
        raise ValueError(f"VR {vr} wants text")
    return split_text(vr, "\\".join("" if v is None else str(v) for v in values))


def _name(groups: Mapping[str, Any]) -> str:
    """A person name given by its component groups."""
    unknown = set(groups) - {"Alphabetic", "Ideographic", "Phonetic"}
    if unknown:
        raise ValueError(f"a person name has no group {sorted(unknown)[0]!r}")
    return "=".join(str(groups.get(g) or "") for g in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
