"""The page on rows names words that are understood, and the decisions cover every erratum that a row cites."""

from __future__ import annotations

import re
from pathlib import Path

from bench.checks.attributes import conditions, readings, words
from bench.checks.attributes.where import SOURCES
from bench.statements import load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rows.md"


def table(title: str) -> list[str]:
    """The quoted words of the first column of a table of the page."""
    part = PAGE.read_text("utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    return [text for cell in cells for text in re.findall("`([^`]+)`", cell)]


def test_the_conditions_of_the_page_are_understood() -> None:
    phrases = [text.replace("…", "an") for text in table("Conditions that are understood")]
    phrases = [text for text in phrases if not text.startswith(("is ", "species"))]
    assert len(phrases) > 8
    for phrase in phrases:
        assert any(pattern.search(phrase) for pattern, _ in conditions.PREDICATES), phrase


def test_the_cells_of_the_page_are_understood() -> None:
    phrases = table("Cells that are understood")
    assert len(phrases) > 8
    for phrase in phrases:
        assert any(pattern.search(phrase) for pattern, _ in words.RULES), phrase


def test_every_erratum_of_a_row_has_a_decision() -> None:
    cited = {
        erratum
        for name in ("vxvue", "mx1")
        for section in load(name).sections
        if section.dataset in SOURCES
        for clause in section.clauses
        if clause.kind in ("attribute", "key")
        for erratum in clause.errata
    }
    assert cited == set(readings.ERRATA)


def test_conditions_of_the_statements_are_understood_or_known_not_to_be() -> None:
    unknown = {
        clause.attribute.condition
        for name in ("vxvue", "mx1")
        for section in load(name).sections
        if section.dataset in SOURCES
        for clause in section.clauses
        if clause.attribute is not None and clause.attribute.condition
        if not any(pattern.search(clause.attribute.condition) for pattern, _ in conditions.PREDICATES)
    }
    assert unknown == {
        "image is part of a temporally related series",
        "required when part of a temporally related series",
        "required when not implied by other geometry attributes",
    }
