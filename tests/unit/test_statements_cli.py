"""``modbench statement list|show``: every id, readable words, JSON, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.statements import clause_ids, load
from bench.statements.cli import run_list, run_show


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was printed as JSON."""
    return json.loads(capsys.readouterr().out)


def test_both_statements_list_all_ids(capsys: pytest.CaptureFixture[str]) -> None:
    """770 clauses over both, those of the committed list; the defaults stand beside them."""
    found: set[str] = set()
    defaults: set[str] = set()
    for name, count in (("vxvue", 569), ("mx1", 201)):
        assert run_list(name, True) == 0
        listed = told(capsys)
        assert listed["statement"] == name
        assert len(listed["clauses"]) == count == listed["counts"]["clauses"]
        found |= {entry["id"] for entry in listed["clauses"]}
        defaults |= {entry["id"] for entry in listed["defaults"]}
        assert all(entry["title"] and entry["section"] and entry["kind"] for entry in listed["clauses"])
    assert len(found) == 770
    assert found | defaults == clause_ids()
    assert run_list(None, True) == 0
    both = told(capsys)
    assert {entry["id"] for one in both["statements"] for entry in one["clauses"]} == found


def test_the_list_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per clause under the titles of its section."""
    assert run_list("mx1", False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("  MX-") for line in lines) == 201
    assert "3.1  Storage SCU: Image attributes" in lines
    assert any(line.split() == ["MX-COM-006", "communication", "IPv4", "only"] for line in lines)
    assert run_list(None, False) == 0
    assert capsys.readouterr().out.count(" clauses, ") == 2


def test_a_clause_is_shown_with_its_errata(capsys: pytest.CaptureFixture[str]) -> None:
    """Words, how to check, the doubt and the reading used."""
    assert run_show("vxvue", "VX-ASC-013", False) == 0
    out = capsys.readouterr().out
    clause = load("vxvue").by_id["VX-ASC-013"]
    for part in (clause.text, clause.check, "VX-E-06", load("vxvue").errata["VX-E-06"].reading):
        assert part in out
    assert run_show("vxvue", "VX-STO-DX-010", False) == 0
    assert "Only for: veterinary: configured for animals" in capsys.readouterr().out


def test_a_clause_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The rule in full, errata expanded, nothing about the place of the file."""
    assert run_show("vxvue", "VX-MPPS-NC-008", True) == 0
    shown = told(capsys)
    assert shown["clause"]["attribute"]["path"] == ["(0040,0270)", "(0008,1110)"]
    assert shown["section_title"] == "Modality performed procedure step: N-CREATE attributes"
    assert run_show("mx1", "MX-VER-002", True) == 0
    shown = told(capsys)
    assert shown["clause"]["errata"][0]["id"] == "MX-E-01"
    assert "file" not in shown
    for number, key in (("VX-D-09", "default"), ("VX-E-13", "erratum")):
        assert run_show("vxvue", number, True) == 0
        assert told(capsys)[key]["id"] == number


@pytest.mark.parametrize("name", ["vxvue", "mx1"])
def test_everything_can_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No clause, default or erratum breaks the page, in words or as JSON."""
    statement = load(name)
    for number in (*statement.by_id, *statement.defaults, *statement.errata):
        assert run_show(name, number, False) == 0
        assert capsys.readouterr().out.startswith(f"{number}  ")
        assert run_show(name, number, True) == 0
        assert told(capsys)["id"] == number


def test_the_statement_itself_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Edition, product and sections with their counts, which add up."""
    assert run_show("vxvue", None, False) == 0
    out = capsys.readouterr().out
    assert "revision 3.8, 2022-05-13" in out
    assert run_show("mx1", None, True) == 0
    shown = told(capsys)
    assert sum(section["clauses"] for section in shown["sections"]) == 201
    assert shown["product"]["variants"] == {"V1.10": "software version V1.10 (MX-E-02)"}


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: run_list("vxvu", True), "did you mean 'vxvue'?"),
        (lambda: run_show("nothing.yaml", None, False), "nothing.yaml:1: cannot be read"),
        (lambda: run_show("vxvue", "VX-ASC-O13", False), "did you mean 'VX-ASC-013'"),
        (lambda: run_show("mx1", "VX-ASC-013", True), "mx1 has no 'VX-ASC-013'"),
    ],
)
def test_refusals_are_told_on_stderr(
    call: Callable[[], int], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the nearest right word; nothing on standard output."""
    assert call() == 2
    output = capsys.readouterr()
    assert part in output.err
    assert output.out == ""
