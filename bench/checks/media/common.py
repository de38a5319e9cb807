"""What the checks of media share: rows of a statement by element, the kind of the medium, findings on rule and clause.

Rules of this file: nothing of one product stands here; clauses are found by the data set and element that they speak
of, or by the profile that they name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from bench.checks.finding import Finding, failed, passed
from bench.resultmodel import Evidence
from bench.witness.vr import PLAIN

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.statements.model import Clause
    from bench.witness.dataset import Element
    from bench.witness.medium import Directory, Record

FIRST: Final = "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity"
LAST: Final = "OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity"
NEXT: Final = "OffsetOfTheNextDirectoryRecord"
LOWER: Final = "OffsetOfReferencedLowerLevelDirectoryEntity"
RECORDS: Final = "DirectoryRecordSequence"
MOST: Final = 40
"""Findings of one rule on one medium that are told one by one."""
Say: TypeAlias = "Callable[..., Finding]"
_PROFILE: Final = re.compile(r"\bSTD-GEN(?:-SEC)?-(USB|SD|MMC|CF|CD|DVD)\b")


def clauses_of(case: Case, keyword: str) -> tuple[str, ...]:
    """Return the rows of the statement that speak of an element of the DICOMDIR."""
    found = case.once(_rows)
    return found.get(keyword, ())


def _rows(case: Case) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for section in case.statement.sections:
        if section.dataset != "dicomdir":
            continue
        for clause in section.clauses:
            if clause.attribute is not None:
                keyword = clause.attribute.keyword
                found[keyword] = (*found.get(keyword, ()), clause.id)
    return found


def profiles(case: Case) -> tuple[tuple[str, Clause], ...]:
    """Return the clauses that claim a general purpose profile, each with its medium (usb, sd)."""
    return tuple(
        (found.group(1).lower(), clause)
        for clause in case.statement.clauses
        if clause.kind == "media" and (found := _PROFILE.search(f"{clause.title} {clause.text}"))
    )


def activity_of(clause: Clause) -> str:
    """Return what a clause says of activities: create, update, foreign (what others made), else nothing."""
    said = clause.text if clause.kind == "media" else ""
    if "as FSC" in said or "can be written to a medium that has none" in said:
        return "create"
    if "as FSU" in said or "can be updated by adding" in said:
        return "update"
    return "foreign" if "Only SOP Instances made by" in said else ""


def kind_of(case: Case) -> tuple[str, str]:
    """Return usb, sd or nothing, and where this is known from (ruling B2: a label is a hint)."""
    told = case.config.get("medium")
    if isinstance(told, str) and told.lower() in ("usb", "sd"):
        return told.lower(), "as the configuration says"
    label = case.media[0].file_system.label.upper()
    for word in ("USB", "SD"):
        if re.search(rf"(^|[^A-Z]){word}([^A-Z]|HC|XC|$)", label):
            return word.lower(), f"by its label {label!r}"
    return "", "not known; --config says it (medium: usb or sd)"


def in_doubt(directory: Directory, record: Record, keys: tuple[str, ...]) -> bool:
    """Tell whether a record is probably of another kind: it stands in the wrong place, and has no key of its kind."""
    return record.number in directory.misplaced and not any(record.item.has(key) for key in keys)


def on(ids: tuple[str, ...], say: Say, reason: str, *evidence: Evidence) -> Iterator[Finding]:
    """Say one thing of several ids."""
    for id in ids:
        yield say(id, reason, *evidence)


def judged(
    rule: str, faults: list[tuple[str, Evidence, tuple[str, ...]]], count: int, right: str, where: Evidence
) -> Iterator[Finding]:
    """Tell the faults of a rule (each with the clauses that fall with it), or that it was kept."""
    for reason, evidence, clauses in faults[:MOST]:
        yield from on((rule, *clauses), failed, reason, evidence)
    if not faults and count:
        yield passed(rule, right, where)


def padding(element: Element) -> str:
    """Say how a text of group 0002 or 0004 is wrongly made even; empty when it is not (PS3.5 6.2, 9.1).

    Data sets of objects are judged by :mod:`bench.checks.datasets`, which never sees these groups.
    """
    value = element.value
    if not value or element.length & 1 or element.vr not in PLAIN:
        return ""
    if element.vr != "UI":
        return "is padded with NUL instead of a space" if value.endswith(b"\0") else ""
    for part in value.split(b"\\"):
        if part.endswith(b" "):
            return "is padded with a space instead of NUL"
        if part.endswith(b"\0\0"):
            return "is padded with more than one NUL"
    return ""


def number(count: int, one: str) -> str:
    """Say how many.

    >>> number(1, "file"), number(3, "file")
    ('1 file', '3 files')
    """
    return f"{count} {one}" if count == 1 else f"{count} {one}s"
