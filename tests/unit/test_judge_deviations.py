"""Declared deviations: strict files, and what they make of verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.judge.deviations import (
    DeviationErrors,
    declare,
    default_file,
    load_deviations,
    load_deviations_text,
)
from bench.judge.engine import known_ids
from bench.resultmodel import CellResult, ClauseResult
from bench.statements import load
from bench.verdict import Verdict

ONE = """\
- id: VX-STO-001
  verdict: FAIL
  reason: The archive wants it so.
  owner: integration
  date: 2026-11-01
  until: 2026-12-31
"""


def clause(verdict: Verdict, id: str = "VX-STO-001") -> ClauseResult:
    return ClauseResult(id=id, verdict=verdict, reason="because")


def cell(*clauses: ClauseResult) -> CellResult:
    return CellResult(
        id="c",
        scenario="s",
        file="f.yaml",
        line=1,
        verdict=Verdict.PASS,
        reason="",
        seconds=0,
        clauses=clauses,
    )


def test_a_declared_failure_is_no_news_and_stays_visible() -> None:
    """The verdict stands; beside it stands who accepts it, why and since when."""
    deviations = load_deviations_text(ONE, "d.yaml")
    (found,) = declare([clause(Verdict.FAIL)], deviations, today="2026-11-21")
    assert found.verdict is Verdict.FAIL
    assert found.expected is not None
    assert (found.expected.owner, found.expected.until) == ("integration", "2026-12-31")
    assert not cell(found).unexpected


def test_one_that_passes_turns_the_run_red() -> None:
    """Somebody mended the product: the file must be mended, too."""
    deviations = load_deviations_text(ONE, "d.yaml")
    (found,) = declare([clause(Verdict.PASS)], deviations, today="2026-11-21")
    assert cell(found).unexpected
    (unseen,) = declare([clause(Verdict.NOT_EXERCISED)], deviations, today="2026-11-21")
    assert not cell(unseen).unexpected, "nobody looked: no news"


def test_after_its_last_day_it_holds_no_more() -> None:
    """Until is the last day on which it is accepted; then a remark says that it was."""
    deviations = load_deviations_text(ONE, "d.yaml")
    assert declare([clause(Verdict.FAIL)], deviations, today="2026-12-31")[0].expected is not None
    (late,) = declare([clause(Verdict.FAIL)], deviations, today="2027-01-01")
    assert late.expected is None
    assert "d.yaml:1" in late.remarks[0]


def test_of_one_scenario_only() -> None:
    """A deviation of one scenario says nothing elsewhere, and goes before a general one."""
    text = ONE + ONE.replace("FAIL", "INCONCLUSIVE") + "  scenario: [pull, short-pull]\n"
    deviations = load_deviations_text(text, "d.yaml")
    (here,) = declare([clause(Verdict.FAIL)], deviations, {"pull[link=1]", "pull"}, today="2026-11-21")
    (there,) = declare([clause(Verdict.FAIL)], deviations, {"one-exam"}, today="2026-11-21")
    assert here.expected is not None
    assert here.expected.verdict is Verdict.INCONCLUSIVE
    assert there.expected is not None
    assert there.expected.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("VX-STO-001", "VX-STO-0O1"),
            "d.yaml:1: unknown clause, default or rule 'VX-STO-0O1' (did you mean",
        ),
        (("FAIL", "PASS"), "d.yaml:2: deviation: verdict: unknown verdict 'PASS'"),
        (("  owner: integration\n", ""), "d.yaml:1: deviation: 'owner' is missing"),
        (("2026-11-01", "yesterday"), "d.yaml:5: deviation: date: 'yesterday' is not a date"),
        (("2026-12-31", "2026-10-31"), "d.yaml:6: 'until' is before 'date'"),
        (("reason:", "raeson:"), "unknown key 'raeson' (did you mean 'reason'?)"),
        (("  until: 2026-12-31", "  erratum: VX-E-99"), "unknown erratum 'VX-E-99'"),
        (("- id", "  id"), "a file of deviations is a list of mappings"),
    ],
)
def test_faults_are_told_with_their_line(change: tuple[str, str], said: str) -> None:
    """Every fault is file:line with what would be right."""
    vxvue = load("vxvue")
    with pytest.raises(DeviationErrors) as error:
        load_deviations_text(ONE.replace(*change), "d.yaml", known_ids(vxvue), vxvue.errata)
    assert said in str(error.value)


def test_twice_the_same_is_a_fault() -> None:
    """Two declarations of one id would leave open which one holds."""
    with pytest.raises(DeviationErrors, match=r"d.yaml:7: 'VX-STO-001' is declared twice \(line 1\)"):
        load_deviations_text(ONE + ONE, "d.yaml")


def test_the_committed_deviations_can_be_read() -> None:
    """Those of the reference product name known ids, follow known errata, and have an owner."""
    vxvue = load("vxvue")
    file = default_file("vxvue")
    assert file is not None
    for deviation in load_deviations(file, known_ids(vxvue), vxvue.errata):
        assert deviation.expected.verdict is not Verdict.FAIL or deviation.expected.erratum


def test_the_example_of_the_docs_can_be_read() -> None:
    """What a person copies from docs/judge.md works."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "judge.md").read_text(encoding="utf-8")
    example = next(part for part in page.split("```") if part.startswith("yaml\n- id:")).removeprefix(
        "yaml\n"
    )
    vxvue = load("vxvue")
    assert len(load_deviations_text(example, "docs", known_ids(vxvue), vxvue.errata)) == 2


def test_no_path_comes_of_a_name(tmp_path: Path) -> None:
    """A statement's name is part of a file name only when it is a plain word."""
    assert default_file("../statements/vxvue") is None
    assert default_file("no-such") is None
    with pytest.raises(DeviationErrors, match="cannot be read"):
        load_deviations(tmp_path / "none.yaml")
