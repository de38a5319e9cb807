"""Judging a removable medium, an image or the folder where one is mounted, by the statement of its writer.

Rules of this file:

* Pure like :mod:`bench.judge.engine`: the medium that was read, statement, configuration in; results out.
* Only checks that speak of media are asked; what is on the network only stays NOT-EXERCISED.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from bench.checks import verdicts
from bench.checks.case import SutConfig
from bench.checks.media.authors import authors
from bench.checks.media.history import History
from bench.checks.media.view import case_of, checks_for
from bench.journal import Event
from bench.judge.config import completed
from bench.judge.deviations import Deviation, declare
from bench.judge.engine import EXCERPTS, NEWS, PROBLEMS, Judged, tell
from bench.judge.excerpt import excerpt
from bench.resultmodel import ClauseResult, Evidence, WireFacts
from bench.statements.model import Statement
from bench.witness.dataset import DataSet
from bench.witness.medium import Medium, NotAMedium, looks_like_medium, read_medium
from bench.witness.model import Message

LOOKED_AT: Final = 2000
"""Files of a folder that are opened to find out whether it is a medium."""


def judge_medium(
    medium: Medium,
    statement: Statement,
    *,
    config: SutConfig | None = None,
    reference: bool | None = None,
    deviations: Iterable[Deviation] = (),
    names: Collection[str] = (),
    story: History | None = None,
    events: Sequence[Event] = (),
) -> Judged:
    """Judge a medium by a statement; arguments as of :func:`bench.judge.engine.judge_capture`.

    *story* tells, for the medium of a cell, what lay on it before and what the product did; *events* are its journal.
    """
    config = config or SutConfig()
    config = SutConfig(completed(config.values), config.source)
    binding = bool(config.get("reference", False)) if reference is None else reference
    case = case_of(medium, statement, config, reference=binding, story=story, events=events)
    found = verdicts.judge(case, checks_for(statement.name))
    told = _with_excerpts(tell(found, case), medium)
    who = authors(case)
    why = "who wrote the files is told by their file meta information"
    if not who.certain:
        why = "no file bears the product's identity: the whole medium is taken for its work"
    elif who.foreign:
        why += f"; {len(who.foreign)} of {len(who.own) + len(who.foreign)} are foreign"
    return Judged(case, declare(told, deviations, names), facts(medium, why))


def _with_excerpts(clauses: Iterable[ClauseResult], medium: Medium) -> tuple[ClauseResult, ...]:
    """Give what is news the elements around the one that is meant; offsets count from the begin of the file."""
    places: dict[str, tuple[DataSet, int, DataSet]] = {}
    empty = DataSet()
    for file in medium.files:
        places[file.path] = (file.dataset or empty, file.begin, file.meta)
    if (directory := medium.directory) is not None:
        file = directory.file
        places[file.path] = (file.dataset or empty, file.begin, file.meta)
        for record in directory.records:
            places[f"{file.path}, {record.name}"] = (record.item, file.begin, file.meta)

    def shown(evidence: Evidence) -> Evidence:
        place = places.get(evidence.what or "")
        if place is None or evidence.tag is None:
            return evidence
        dataset, begin, meta = place
        tag = evidence.tag.rpartition("/")[2]
        if tag.startswith("(0002,"):
            dataset, begin = meta, 0
        at = None if evidence.offset is None else evidence.offset - begin
        lines = excerpt(cast("Message", _Listed(dataset)), tag, at)
        return replace(
            evidence,
            excerpt=tuple(
                replace(one, offset=None if one.offset is None else one.offset + begin) for one in lines
            ),
        )

    return tuple(
        replace(
            clause,
            evidence=tuple(
                shown(one) if number < EXCERPTS else one for number, one in enumerate(clause.evidence)
            ),
        )
        if clause.verdict in NEWS
        else clause
        for clause in clauses
    )


@dataclass(frozen=True, slots=True)
class _Listed:
    """A data set in the place of a message; elements of a command that strayed into it are its own."""

    dataset: DataSet

    @property
    def command(self) -> DataSet:
        """Where an excerpt looks for group 0000."""
        return self.dataset


def facts(medium: Medium, why: str = "") -> WireFacts:
    """Return what a report says of a medium."""
    problems = [trouble.text for trouble in medium.troubles]
    more = len(problems) - PROBLEMS
    if more > 0:
        problems = [*problems[:PROBLEMS], f"and {more} more"]
    return WireFacts(
        files=(medium.name,),
        frames=0,
        bytes=medium.size,
        associations=0,
        messages=0,
        sut="the product that wrote the medium",
        sut_reason=why,
        problems=tuple(problems),
        remarks=(described(medium),),
    )


def described(medium: Medium) -> str:
    """Say in one sentence what kind of medium it is and what is on it."""
    records = len(medium.directory.records) if medium.directory is not None else 0
    count = sum(not entry.folder for entry in medium.entries)
    inside = f"{count} files, {len(medium.files)} DICOM objects, {records} directory records"
    if not medium.raw:
        return f"A folder: {inside}; file system, partitions and raw names cannot be seen."
    system = medium.file_system
    label = f", label {system.label!r}" if system.label else ""
    form = f", clusters of {system.cluster} bytes" if system.cluster else ""
    place = f"partition {system.partition}" if system.partition else "no partitions"
    return f"An image: {place}, {system.kind}{label}{form}; {inside}."


def is_image(path: Path) -> bool:
    """Tell whether a file is an image of a medium."""
    return looks_like_medium(path)


def is_mounted(folder: Path) -> bool:
    """Tell whether a folder is a medium: a DICOMDIR in its root, or a DICOM file among the first it holds."""
    seen = 0
    waiting = [folder]
    while waiting and seen < LOOKED_AT:
        try:
            listing = sorted(waiting.pop(0).iterdir())
        except OSError:
            continue
        for one in listing:
            seen += 1
            if seen > LOOKED_AT or one.is_symlink():
                continue
            if one.is_dir():
                waiting.append(one)
                continue
            if one.parent == folder and one.name.upper() == "DICOMDIR":
                return True
            try:
                with one.open("rb") as stream:
                    if stream.read(132)[128:] == b"DICM":
                        return True
            except OSError:
                continue
    return False


def with_seconds(read: WireFacts, seconds: float) -> WireFacts:
    """Return facts with the time that it took."""
    return replace(read, seconds=seconds)


__all__ = [
    "NotAMedium",
    "described",
    "facts",
    "is_image",
    "is_mounted",
    "judge_medium",
    "read_medium",
    "with_seconds",
]
