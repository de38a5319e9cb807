"""The rules of the standard itself, with permanent ids and citations (``STD-…``).

Rules of this folder:

* One YAML file per area; an id is never renumbered and never reused.
* A rule says what the standard demands and where; how it is judged is a check's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from bench.scenario.source import plain

_ID: Final = re.compile(r"STD-(UL|DIMSE|DS|CS|IOD|SVC|SR|MED|X)-\d{3}")
AREAS: Final[Mapping[str, str]] = {
    "ul": "Upper layer",
    "dimse": "Messages",
    "ds": "Data sets",
    "cs": "Character sets",
    "iod": "Information objects",
    "svc": "Services",
    "sr": "Structured reports",
    "med": "Media",
    "x": "Agreement between objects",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the standard: ``cite`` names the part and section."""

    id: str
    title: str
    text: str
    cite: str
    area: str


class RuleError(ValueError):
    """A rule file of this package is wrong; the message names file and entry."""


@cache
def rules() -> Mapping[str, Rule]:
    """Return every rule by id, in the order of :data:`AREAS` and of the files."""
    found: dict[str, Rule] = {}
    for area in AREAS:
        file = resources.files(__package__).joinpath(f"{area}.yaml")
        if not file.is_file():
            continue
        for entry in plain(file.read_text("utf-8")) or ():
            rule = _rule(entry, area)
            if rule.id in found:
                raise RuleError(f"{area}.yaml: {rule.id} is there twice")
            found[rule.id] = rule
    return found


def _rule(entry: Any, area: str) -> Rule:
    if not isinstance(entry, dict) or set(entry) != {"id", "title", "text", "cite"}:
        raise RuleError(f"{area}.yaml: every rule has id, title, text and cite, and nothing else: {entry!r}")
    texts = {key: str(value).strip() for key, value in entry.items()}
    if not _ID.fullmatch(texts["id"]) or texts["id"].split("-")[1].lower() != area:
        raise RuleError(f"{area}.yaml: {texts['id']} is no id of this file (STD-{area.upper()}-001)")
    if not all(texts.values()):
        raise RuleError(f"{area}.yaml: {texts['id']} has an empty field")
    return Rule(**texts, area=area)
