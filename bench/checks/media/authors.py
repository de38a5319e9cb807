"""Who wrote what is on a medium: the product, or another implementation.

Rules of this file:

* The file meta information tells by its Implementation Class UID and Version Name; a file that bears one of the
  product's identities (those that its statement prints), or none at all, is the product's.
* A file that names another implementation is foreign only where the product's own files show what its own look like:
  when not one object bears the product's identity, the whole medium is its work, and its identity is wrong.
* What lay on the medium of a cell before, and does not bear the product's identity, is foreign whatever else is there.
* A file with a foreign identity in a series of the product's own, or from a device of the same make and model, is the
  product's, and its identity is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from bench.witness.medium import DicomFile, Record

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.statements.model import Statement

_UID: Final = re.compile(r"\b\d(?:\.\d+){5,}\b")
_VERSION: Final = re.compile(r"=\s*([A-Za-z0-9_][A-Za-z0-9_. -]{0,15}[A-Za-z0-9_])")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a statement prints of itself: all class UIDs and version names, and those of its media rows."""

    uids: frozenset[str]
    versions: frozenset[str]
    media_uids: tuple[tuple[str, str], ...]  # clause id, UID
    media_versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Authors:
    """Paths of files that the product wrote, and of foreign ones; numbers of records that are the product's."""

    own: frozenset[str]
    foreign: frozenset[str]
    records: frozenset[int]
    directory: bool = True
    certain: bool = True


@cache
def _identity(texts: tuple[tuple[str, str, str, str], ...]) -> Identity:
    uids, versions = set(), set()
    media_uids, media_versions = [], []
    for id, kind, title, text in texts:
        about = f"{title} {text}"
        if "Implementation Class UID" in about:
            found = _UID.findall(text)
            uids.update(found)
            if kind == "media":
                media_uids += [(id, one) for one in found[:1]]
        elif "Implementation Version Name" in about:
            said = _VERSION.findall(text.split("(14")[0]) or re.findall(r"\b[A-Z][A-Z0-9]*_[\w.]+", text)
            versions.update(said)
            if kind == "media":
                media_versions += [(id, one) for one in said[:1]]
    return Identity(frozenset(uids), frozenset(versions), tuple(media_uids), tuple(media_versions))


def identity(statement: Statement) -> Identity:
    """Return what a statement prints of its implementation's identity."""
    return _identity(
        tuple(
            (clause.id, clause.kind, clause.title, clause.text)
            for clause in statement.clauses
            if "Implementation" in clause.title or "Implementation" in clause.text
        )
    )


def authors(case: Case) -> Authors:
    """Return who wrote what, once for a case."""
    return case.once(_authors)


def bears(file: DicomFile, known: Identity) -> bool | None:
    """Tell whether a file bears the product's identity; None when it bears none."""
    uid = file.meta.text("ImplementationClassUID") or ""
    version = file.meta.text("ImplementationVersionName") or ""
    if not uid:
        return True if version in known.versions else None
    return uid in known.uids or version in known.versions


def _make(file: DicomFile) -> tuple[str, str] | None:
    dataset = file.dataset
    if dataset is None:
        return None
    made = (dataset.text("Manufacturer") or "", dataset.text("ManufacturerModelName") or "")
    return made if made[0] else None


def _series(file: DicomFile) -> str:
    return (file.dataset.text("SeriesInstanceUID") or "") if file.dataset is not None else ""


def _authors(case: Case) -> Authors:
    medium = case.media[0]
    known = identity(case.statement)
    files = medium.files
    told = _told(case)
    if told is not None:
        return told
    sure = [file for file in files if bears(file, known)]
    claimed = bool(sure)
    foreign: set[str] = set()
    if claimed and (known.uids or known.versions):
        makes = {made for file in sure if (made := _make(file)) is not None}
        series = {uid for file in sure if (uid := _series(file))}
        for file in files:
            if bears(file, known) is not False:
                continue
            made = _make(file)
            if made in makes or (_series(file) and _series(file) in series):
                continue
            foreign.add(file.path)
    own = {file.path for file in files} - foreign
    return Authors(frozenset(own), frozenset(foreign), frozenset(_records(case, foreign)), certain=claimed)


def _told(case: Case) -> Authors | None:
    """By the history of a cell's medium: what lay there before and bears another identity is foreign."""
    story = getattr(case, "story", None)
    if story is None or story.before is None:
        return None
    known = identity(case.statement)
    foreign = {
        file.path
        for file in case.media[0].files
        if "/".join(file.entry.short) in story.before
        and "/".join(file.entry.short) not in story.saved
        and bears(file, known) is not True
    }
    own = {file.path for file in case.media[0].files} - foreign
    records = _records(case, foreign)
    if foreign or story.had_file_set:
        records = _added(case, own)
    return Authors(frozenset(own), frozenset(foreign), frozenset(records))


def _added(case: Case, own: set[str]) -> set[int]:
    """Records of the product's files, and those above that hold nothing else: the others were there before."""
    medium = case.media[0]
    if medium.directory is None:
        return set()
    mine: set[int] = set()
    others: set[int] = set()
    for record in medium.directory.records:
        if not record.file_id:
            continue
        entry = medium.find(record.file_id)
        above = {one.number for one in medium.directory.above(record)}
        written = "/".join(record.file_id) in case.story.saved  # type: ignore[attr-defined]  # a medium of a cell
        if written or (entry is not None and entry.path in own):
            mine |= {record.number, *above}
        else:
            others |= {record.number, *above}
    return mine - others


def _records(case: Case, foreign: set[str]) -> set[int]:
    """Records of the product: all but those of foreign objects, and those above that hold foreign ones only."""
    directory = case.media[0].directory
    if directory is None:
        return set()
    if not foreign:
        return {record.number for record in directory.records}
    own: set[int] = set()
    strange: set[int] = set()
    for record in directory.records:
        if not record.file_id:
            continue
        entry = case.media[0].find(record.file_id)
        target = strange if entry is not None and entry.path in foreign else own
        target.add(record.number)
        target.update(above.number for above in directory.above(record))
    return {r.number for r in directory.records if r.number in own or r.number not in strange}


def older(case: Case, record: Record) -> bool:
    """Tell whether a record lay on the medium of a cell before: what is wrong with it is not the product's."""
    return getattr(case, "story", None) is not None and record.number not in authors(case).records


__all__ = ["Authors", "Identity", "authors", "bears", "identity", "older"]
