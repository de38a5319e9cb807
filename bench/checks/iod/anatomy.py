"""What an image says it shows: view, side and body part, each said twice and meant once.

Rules of this file:

* Two statements contradict each other when what the one may mean and what the other may mean have nothing in
  common (``anatomy.yaml``); a term or a code that is not listed there is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import yaml

from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.subjects import Subject, images
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet

VIEW: Final = "STD-IOD-035"
SIDE: Final = "STD-IOD-036"
PART: Final = "STD-IOD-037"
SIDES: Final = {"L": "left", "R": "right", "U": "unpaired", "B": "both"}


@check(VIEW, SIDE, PART)
def anatomy(case: Case) -> Iterator[Finding]:
    """Every image."""
    for subject in images(case):
        yield from view(subject)
        yield from side(subject)
        yield from part(subject)


def view(subject: Subject) -> Iterator[Finding]:
    """View Position against View Code Sequence."""
    dataset = subject.dataset
    term, item = dataset.text("ViewPosition"), dataset.first("ViewCodeSequence")
    if not term or item is None:
        return
    code = code_value(item)
    one, other = _data()["view_positions"].get(term), _data()["view_codes"].get(code)
    if one is None or other is None:
        return
    where = subject.at("ViewPosition", "ViewCodeSequence")
    meaning = item.text("CodeMeaning") or code
    if set(one) & set(other):
        yield passed(VIEW, f"{term} and {meaning}", *where)
    else:
        reason = f"{label('ViewPosition')} is {term}, {label('ViewCodeSequence')} says {meaning} ({code})"
        yield failed(VIEW, reason, *where)


def side(subject: Subject) -> Iterator[Finding]:
    """Laterality, Image Laterality and the region's modifier."""
    dataset = subject.dataset
    said = {}
    for keyword in ("Laterality", "ImageLaterality"):
        value = dataset.text(keyword)
        if value in SIDES:
            said[keyword] = value
    region = dataset.first("AnatomicRegionSequence")
    modifier = region.first("AnatomicRegionModifierSequence") if region is not None else None
    if modifier is not None:
        coded = _data()["sides"].get(code_value(modifier))
        if coded:
            said["AnatomicRegionSequence"] = coded
    if len(said) < 2:
        return
    where = subject.at(*said)
    if len(set(said.values())) > 1:
        reason = "; ".join(f"{label(keyword)} says {SIDES[value]}" for keyword, value in said.items())
        yield failed(SIDE, reason, *where)
    else:
        yield passed(SIDE, f"{', '.join(said)} say {SIDES[next(iter(said.values()))]}", *where)


def part(subject: Subject) -> Iterator[Finding]:
    """Body Part Examined against Anatomic Region Sequence."""
    dataset = subject.dataset
    term, item = dataset.text("BodyPartExamined"), dataset.first("AnatomicRegionSequence")
    if not term or item is None:
        return
    code = code_value(item)
    named = _data()["regions"].get(code)
    cells = _data()["body_parts"]
    if named is None or term not in cells or named not in cells:
        return
    where = subject.at("BodyPartExamined", "AnatomicRegionSequence")
    if set(cells[term]) & set(cells[named]):
        yield passed(PART, f"{term} and {item.text('CodeMeaning') or code}", *where)
    else:
        region = f"{item.text('CodeMeaning') or named} ({code})"
        reason = f"{label('BodyPartExamined')} is {term}, {label('AnatomicRegionSequence')} says {region}"
        yield failed(PART, reason, *where)


def code_value(item: DataSet) -> str:
    """The code of a coded entry, empty when it has none."""
    return item.text("CodeValue") or item.text("LongCodeValue") or item.text("URNCodeValue") or ""


@cache
def _data() -> Any:
    return yaml.safe_load(resources.files(__package__).joinpath("anatomy.yaml").read_text(encoding="utf-8"))
