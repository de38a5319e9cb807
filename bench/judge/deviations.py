"""Declared deviations: verdicts that are known, with the reason, who answers for them, and since when.

Rules of this file:

* A deviation is declared for one id; it never hides a verdict, it says that the verdict is no news.
* One that passes unexpectedly, or is past its ``until``, is news again: the run is red until the file is mended.
* Every fault of a file is told as ``file:line: message``, with the nearest known word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from bench.resultmodel import ClauseResult, Expected
from bench.scenario.fields import INVALID, Context, Enum, Field, ListOf, Record, Text
from bench.scenario.problems import InputErrors, Problems, shorten
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import Node, describe, parse, read_text
from bench.scenario.source import Sequence as SequenceNode
from bench.verdict import Verdict

STATEMENTS: Final = Path(__file__).resolve().parents[1] / "statements"
MAY_BE: Final = ("FAIL", "DEV-FROM-STD", "PASS-ERRATUM", "INCONCLUSIVE")
"""Verdicts that can be declared: a PASS needs no excuse, an ERROR has none."""


class DeviationErrors(InputErrors):
    """A file of deviations cannot be used."""


@dataclass(frozen=True)
class _Date(Text):
    """A calendar date."""

    say: str = "a date like `2026-11-21`"

    def convert(self, text: str) -> str:
        """Check it."""
        try:
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
                raise ValueError
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise ValueError(f"'{shorten(text)}' is not {self.say}") from None


DEVIATION: Final = Record(
    (
        Field("id", Text("the id of a clause, default or rule", longest=64), "what deviates", required=True),
        Field("verdict", Enum(MAY_BE, "verdict"), "the verdict that is expected", required=True),
        Field("reason", Text("one sentence", longest=1000), "why it is so and accepted", required=True),
        Field("owner", Text("a role", longest=80), "the role that answers for it", required=True),
        Field("date", _Date(), "since when it is known", required=True),
        Field("until", _Date(), "the last day on which it is accepted"),
        Field("erratum", Text("the id of an erratum", longest=64), "the erratum that it follows"),
        Field(
            "scenario",
            ListOf(Text("the name of a scenario", longest=200)),
            "only in these scenarios or cells",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Deviation:
    """One declared deviation; ``place`` is its file and line."""

    id: str
    expected: Expected
    scenarios: tuple[str, ...]
    place: str

    def holds(self, names: Collection[str], today: str) -> bool:
        """Tell whether it is declared for a cell or scenario of one of these names, today."""
        return (not self.scenarios or bool(set(self.scenarios) & set(names))) and not self.expired(today)

    def expired(self, today: str) -> bool:
        """Tell whether its last day is past."""
        return self.expected.until is not None and today > self.expected.until


def default_file(statement: str) -> Path | None:
    """Return the deviations of a reference product, committed beside its statement; None when it has none."""
    file = STATEMENTS / f"{statement}-deviations.yaml"
    return file if re.fullmatch(r"[a-z0-9_-]+", statement) and file.is_file() else None


def load_deviations(
    path: Path | str, known: Collection[str] = (), errata: Mapping[str, Any] | None = None
) -> tuple[Deviation, ...]:
    """Read a file of deviations: a list of mappings with the keys of :data:`DEVIATION`.

    Args:
        path: the file.
        known: every id that can have a verdict; empty: ids are not compared.
        errata: the statement's errata; None: not compared.

    Raises:
        DeviationErrors: every fault with file and line.
    """
    path = Path(path)
    problems = Problems(str(path))
    text = read_text(path, problems)
    if text is None:
        raise DeviationErrors(problems.found)
    return load_deviations_text(text, str(path), known, errata)


def load_deviations_text(
    text: str, file: str = "<text>", known: Collection[str] = (), errata: Mapping[str, Any] | None = None
) -> tuple[Deviation, ...]:
    """Read deviations from text; see :func:`load_deviations`."""
    problems = Problems(file)
    root = parse(text, problems)
    found: list[Deviation] = []
    if isinstance(root, SequenceNode):
        context = Context(problems, allow_refs=False)
        for node in root.items:
            values = DEVIATION.read(node, context, "deviation")
            if values is not INVALID and isinstance(node, MappingNode):
                found.append(_deviation(values, node, problems, known, errata))
    elif root is not None:
        problems.add(root.line, f"a file of deviations is a list of mappings, not {describe(root)}")
    _twice(found, problems)
    if problems.found:
        raise DeviationErrors(problems.found)
    return tuple(found)


def _deviation(
    values: Mapping[str, Any],
    node: MappingNode,
    problems: Problems,
    known: Collection[str],
    errata: Mapping[str, Any] | None,
) -> Deviation:
    def line(key: str) -> int:
        at: Node | None = node.get(key)
        return at.line if at is not None else node.line

    name, of = values["id"], values.get("erratum")
    if known and name not in known:
        problems.unknown(line("id"), "clause, default or rule", name, known)
    if errata is not None and of is not None and of not in errata:
        problems.unknown(line("erratum"), "erratum", of, errata)
    if values.get("until", "9") < values["date"]:
        problems.add(line("until"), "'until' is before 'date'")
    expected = Expected(
        verdict=Verdict(values["verdict"]),
        reason=values["reason"],
        date=values["date"],
        owner=values["owner"],
        until=values.get("until"),
        erratum=of,
    )
    return Deviation(name, expected, tuple(values.get("scenario", ())), f"{problems.file}:{node.line}")


def _twice(found: Iterable[Deviation], problems: Problems) -> None:
    seen: dict[tuple[str, str], str] = {}
    for deviation in found:
        for scenario in deviation.scenarios or ("",):
            first = seen.setdefault((deviation.id, scenario), deviation.place)
            if first != deviation.place:
                line = int(deviation.place.rpartition(":")[2])
                at = first.rpartition(":")[2]
                problems.add(line, f"'{deviation.id}' is declared twice (line {at})")


def declare(
    clauses: Iterable[ClauseResult],
    deviations: Iterable[Deviation],
    names: Collection[str] = (),
    today: str | None = None,
) -> tuple[ClauseResult, ...]:
    """Return the clauses with what was declared of them.

    Args:
        clauses: results of one cell or capture.
        deviations: what was declared.
        names: of the cell and its scenario.
        today: an ISO date; default: the day on which this is called.
    """
    today = today or date.today().isoformat()
    by_id: dict[str, list[Deviation]] = {}
    for deviation in deviations:
        by_id.setdefault(deviation.id, []).append(deviation)
    out = []
    for clause in clauses:
        for deviation in sorted(by_id.get(clause.id, ()), key=lambda d: not d.scenarios):
            if deviation.holds(names, today):
                clause = replace(clause, expected=deviation.expected)
                break
            if deviation.expired(today) and clause.verdict is deviation.expected.verdict:
                said = f"declared as {clause.verdict} until {deviation.expected.until}: that day is past"
                clause = replace(clause, remarks=(*clause.remarks, f"{said} ({deviation.place})"))
        out.append(clause)
    return tuple(out)


__all__ = [
    "Deviation",
    "DeviationErrors",
    "declare",
    "default_file",
    "load_deviations",
    "load_deviations_text",
]
