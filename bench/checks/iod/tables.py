"""The tables of PS3.3 as data: modules of an IOD, attributes of a module, their types, conditions and terms.

Rules of this file:

* Types come from ``modules.json``; where several modules of an IOD name an attribute, the strictest type holds.
* A user-optional or conditional module counts as present when the object has an attribute that only this module
  of its IOD brings; until then its attributes are not demanded.
* A table is read once; an IOD that is not in it is not judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml

from bench.scenario.dictionary import elements

DESCRIBED: Final = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
"""What an image that is part of something else (an icon, a box of a film) must say of its pixels, and they."""
STRICTNESS: Final = ("1", "1C", "2", "2C", "3")


@dataclass(frozen=True, slots=True)
class Condition:
    """When a conditional attribute is required; ``absent_otherwise``: and not allowed else."""

    when: str
    absent_otherwise: bool = False


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a module: type, what its items hold (``code``: a coded entry), condition where data can tell."""

    keyword: str
    type: str
    items: Mapping[str, Attribute] = field(default_factory=dict)
    code: bool = False
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Iod:
    """An IOD: its attributes by keyword (mandatory modules), and its other modules."""

    uid: str
    name: str
    mandatory: Mapping[str, Attribute]
    optional: Mapping[str, Mapping[str, Attribute]]
    marks: Mapping[str, frozenset[str]]  # optional module -> keywords that only it brings
    keywords: frozenset[str]  # every attribute of the top level that any of its modules names


@cache
def iod(uid: str) -> Iod | None:
    """Return the IOD of a storage SOP class, None when there is no table for it."""
    raw = _raw()
    if uid not in raw["iods"]:
        return None
    modules: Mapping[str, str] = raw["iods"][uid]["modules"]
    mandatory: dict[str, Attribute] = {}
    optional: dict[str, Mapping[str, Attribute]] = {}
    for name, usage in modules.items():
        attributes = _module(name)
        if usage != "M":
            optional[name] = attributes
            continue
        for keyword, attribute in attributes.items():
            mandatory[keyword] = stricter(mandatory.get(keyword), attribute)
    marks = {
        name: frozenset(attributes) - set(mandatory) - _elsewhere(optional, name)
        for name, attributes in optional.items()
    }
    keywords = frozenset(mandatory).union(*optional.values())
    return Iod(uid, raw["iods"][uid]["name"], mandatory, optional, marks, keywords)


def stricter(one: Attribute | None, other: Attribute) -> Attribute:
    """Return the attribute whose type demands more; a condition is kept where the winner has none of its own."""
    if one is None or STRICTNESS.index(other.type) < STRICTNESS.index(one.type):
        return other
    return one


def _elsewhere(modules: Mapping[str, Mapping[str, Attribute]], name: str) -> set[str]:
    return {keyword for other, attributes in modules.items() if other != name for keyword in attributes}


@cache
def _module(name: str) -> Mapping[str, Attribute]:
    return _attributes(_raw()["modules"][name], name)


def _attributes(rows: Mapping[str, Any], path: str) -> dict[str, Attribute]:
    found = {}
    for keyword, row in rows.items():
        if keyword not in elements():  # the mark of a coded entry, or of a repeating group
            continue
        kind, items = (row, {}) if isinstance(row, str) else row
        where = f"{path}.{keyword}"
        found[keyword] = Attribute(
            keyword, kind, _attributes(items, where), "*" in items, _conditions().get(where)
        )
    return found


@cache
def _conditions() -> Mapping[str, Condition]:
    return {
        path: Condition(entry["when"], entry.get("otherwise") == "absent")
        for path, entry in _yaml("conditions.yaml").items()
    }


@cache
def enumerated(uid: str) -> Mapping[str, tuple[str, ...]]:
    """Return enumerated values by dotted keyword, for a SOP class."""
    table = _yaml("values.yaml")
    here = {**table["enumerated"], **table["enumerated_in"].get(uid, {})}
    return {keyword: tuple(str(value) for value in values) for keyword, values in here.items()}


@cache
def defined() -> Mapping[str, tuple[str, ...]]:
    """Return defined terms by keyword."""
    return {keyword: tuple(map(str, values)) for keyword, values in _yaml("values.yaml")["defined"].items()}


@cache
def tag_text(keyword: str) -> str:
    """Return the tag of a keyword as ``(GGGG,EEEE)``, the keyword itself when the dictionary has none."""
    element = elements().get(keyword)
    return keyword if element is None else f"({element.tag[:4]},{element.tag[4:]})"


def label(*path: str) -> str:
    """Return an attribute for people: ``RequestAttributesSequence > CodeMeaning (0008,0104)``."""
    return f"{' > '.join(path)} {tag_text(path[-1])}"


@cache
def _raw() -> Any:
    return json.loads(_file("modules.json"))


@cache
def _yaml(name: str) -> Any:
    return yaml.safe_load(_file(name))


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
