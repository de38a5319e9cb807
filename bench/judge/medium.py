"""Judging a removable medium, an image or the folder where one is mounted, by the statement of its writer.

Rules of this file:

* Pure like :mod:`bench.judge.engine`: the medium that was read, statement, configuration in; results out.
* Only checks that speak of media are asked; what is on the network only stays NOT-EXERCISED.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.checks import verdicts
from bench.checks.case import SutConfig
from bench.checks.media.authors import authors
from bench.checks.media.view import case_of, checks_for
from bench.judge.config import completed
from bench.judge.deviations import Deviation, declare
from bench.judge.engine import PROBLEMS, Judged, tell
from bench.resultmodel import WireFacts
from bench.statements.model import Statement
from bench.witness.medium import Medium, NotAMedium, looks_like_medium, read_medium

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
) -> Judged:
    """Judge a medium by a statement; arguments as of :func:`bench.judge.engine.judge_capture`."""
    config = config or SutConfig()
    config = SutConfig(completed(config.values), config.source)
    binding = bool(config.get("reference", False)) if reference is None else reference
    case = case_of(medium, statement, config, reference=binding)
    found = verdicts.judge(case, checks_for(statement.name))
    told = tell(found, case)
    who = authors(case)
    why = "who wrote the files is told by their file meta information"
    if not who.certain:
        why = "no file bears the product's identity: the whole medium is taken for its work"
    elif who.foreign:
        why += f"; {len(who.foreign)} of {len(who.own) + len(who.foreign)} are foreign"
    return Judged(case, declare(told, deviations, names), facts(medium, why))


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
