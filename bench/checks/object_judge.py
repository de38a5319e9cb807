"""dciodvfy judges every received object: exactly the errors that the statement's errata force, no more, no fewer.

Rules of this file:

* dciodvfy returns 0 on errors: its lines are read, never its exit code.
* What is expected is committed per product and object kind, each line tied to an erratum.  An unexpected line and a
  missing one are both deviations: the second means that the product or the tool has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from bench.panel.judges import JUDGES
from bench.panel.opinion import JudgeError

EXPECTED: Final = Path(__file__).resolve().parents[1] / "statements"
DCIODVFY: Final = next(judge for judge in JUDGES if judge.name == "dciodvfy")


class ObjectJudgeError(Exception):
    """dciodvfy is missing, fails, or does not recognise the object."""


@dataclass(frozen=True)
class Opinion:
    """What dciodvfy says about one object: its kind and its lines."""

    kind: str
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Deviation:
    """The difference between what dciodvfy says and what is committed."""

    unexpected: tuple[str, ...]
    missing: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.unexpected or self.missing)

    def __str__(self) -> str:
        parts = [f"unexpected: {line}" for line in self.unexpected]
        parts += [f"no longer reported: {line}" for line in self.missing]
        return "; ".join(parts)


def program() -> str | None:
    """Return dciodvfy: the one beside this Python, else the system's; None when it is not installed."""
    command = DCIODVFY.finds()
    return command[0] if command else None


def examine(file: Path) -> Opinion:
    """Let dciodvfy read one object.

    Raises:
        ObjectJudgeError: the tool is missing, took too long, or could not recognise the object.
    """
    try:
        said = DCIODVFY.examine(file)
    except JudgeError as error:
        raise ObjectJudgeError(str(error)) from error
    return Opinion(
        kind=said.kind,
        errors=tuple(line.text for line in said.errors),
        warnings=tuple(line.text for line in said.lines if line.severity == "warning"),
    )


@cache
def expected(product: str) -> Mapping[str, Mapping[str, str]]:
    """Return kind -> error line -> erratum for a product; empty for a product without a committed list."""
    file = EXPECTED / f"{product}-dciodvfy.yaml"
    if not file.exists():
        return {}
    data = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return {
        kind: {entry["line"]: entry["erratum"] for entry in entries or ()} for kind, entries in data.items()
    }


def compare(opinion: Opinion, known: Mapping[str, Mapping[str, str]]) -> Deviation:
    """Return what is reported and not committed, and the other way round."""
    wanted: Sequence[str] = tuple(known.get(opinion.kind, {}))
    reported = set(opinion.errors)
    return Deviation(
        unexpected=tuple(line for line in opinion.errors if line not in wanted),
        missing=tuple(line for line in wanted if line not in reported),
    )
