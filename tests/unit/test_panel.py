"""Outside judges: their lines, never their exit codes; and how each line stands to what the bench found."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.panel import judges
from bench.panel.ask import agree, ask, explanations, missing
from bench.panel.judges import JUDGES, Judge
from bench.panel.opinion import MAX_LENGTH, MAX_LINES, JudgeError, Line, Opinion, line, opinion
from bench.resultmodel import CellResult, ClauseResult, Evidence, JudgeLine, JudgeOpinion
from bench.verdict import Verdict
from tests.lab.conversation import START
from tests.lab.elements import part10
from tests.lab.products.facts import Exam
from tests.lab.products.vxvue_objects import dose_report, dx_image

DX = "1.2.840.10008.5.1.4.1.1.1.1"
SR = "1.2.840.10008.5.1.4.1.1.88.67"


def stub(*lines: Line, name: str = "dciodvfy", installed: bool = True, broken: bool = False) -> Judge:
    def reads(command: Sequence[str], file: Path) -> Opinion:
        if broken:
            raise JudgeError("it fell over")
        return opinion(name, "Thing", list(lines))

    return Judge(
        name, "things", "install it", lambda: ["x"] if installed else None, lambda uid: uid == DX, reads
    )


def test_a_line_is_about_the_last_tag_else_the_last_code() -> None:
    assert line("error", "Error - </A(0008,1032)[1]/B(0008,010a)> - bad").about == "(0008,010A)"
    assert line("error", 'Error: NUM (113722,DCM,"Dose"): units').about == "113722"
    assert line("error", "Error - nothing named").about == ""
    assert len(line("error", "x" * 5000).text) == MAX_LENGTH


def test_a_chatty_judge_is_cut() -> None:
    kept = opinion("x", "", [Line("error", str(n)) for n in range(MAX_LINES + 7)])
    assert len(kept.lines) == MAX_LINES + 1
    assert "7 more" in kept.lines[-1].text


def test_how_a_line_stands(tmp_path: Path) -> None:
    judge = stub(
        Line("error", "Error - a (0010,0020)", "(0010,0020)"),
        Line("warning", "CodingSchemeDesignator is deprecated = <SRT>"),
        Line("error", "Error - something new"),
    )
    (said,) = ask([(tmp_path / "f", "f", DX)], {"(0010,0020)"}, [judge])
    assert [one.standing for one in said.lines] == ["agreed", "explained", "open"]
    assert said.lines[1].why


def test_an_explanation_is_one_judges_only(tmp_path: Path) -> None:
    judge = stub(Line("warning", "CodingSchemeDesignator is deprecated = <SRT>"), name="other")
    (said,) = ask([(tmp_path / "f", "f", DX)], (), [judge])
    assert said.lines[0].standing == "open"


def test_a_judge_that_falls_over_is_told_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    objects = [(tmp_path / "f", "f", DX)]
    assert ask(objects, (), [stub(broken=True)])[0].error == "it fell over"
    assert ask(objects, (), [stub(installed=False)]) == ()
    assert "dciodvfy is not installed" in missing([DX], [stub(installed=False)])[0]
    assert missing([SR], [stub(installed=False)]) == (), "it would have had nothing to say"


def test_every_explanation_names_a_judge_and_a_reason() -> None:
    assert {one.judge for one in explanations()} <= {judge.name for judge in JUDGES}
    assert all(one.why for one in explanations())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("dciodvfy", marks=pytest.mark.witness),
        pytest.param("dsrdump", marks=pytest.mark.witness),
        # not asked for in CI: it needs Java and 10 s for a file
        pytest.param("PixelMed", marks=pytest.mark.slow),
    ],
)
def test_the_laboratorys_objects_leave_no_open_error(name: str, tmp_path: Path) -> None:
    judge = next(judge for judge in JUDGES if judge.name == name)
    if name == "PixelMed" and judge.finds() is None:
        pytest.skip(
            "PixelMed (libpixelmed-java) or Java is not installed"
        )  # not installed in CI: 10 s a file
    if judge.finds() is None:
        pytest.skip(f"{name} is not installed")
    exam = Exam()
    objects = []
    for uid, dataset in ((DX, dx_image(exam, exam.exposures[0])), (SR, dose_report(exam, START))):
        file = tmp_path / f"{uid}.dcm"
        file.write_bytes(part10(dataset))
        objects.append((file, uid, uid))
    opinions = ask(objects, (), [judge])
    assert opinions
    for said in opinions:
        assert said.error is None
        assert [one.text for one in said.lines if one.standing == "open" and one.severity == "error"] == []


@pytest.mark.skipif(shutil.which("true") is None, reason="no 'true' program")
def test_a_program_that_says_nothing_is_no_judgement(tmp_path: Path) -> None:
    judge = JUDGES[0]
    with pytest.raises(JudgeError):
        judge.reads([sys.executable, "-c", "pass"], tmp_path / "x")


def test_a_program_that_prints_without_end_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spoiled object can make a dump of gigabytes; what is kept is bounded, and standard output comes first."""
    monkeypatch.setattr(judges, "MAX_OUTPUT", 1000)
    code = "import sys; sys.stderr.write('Error - last\\n'); print('first'); print('x' * 50_000_000)"
    lines = judges._run([sys.executable, "-c", code])
    assert lines[0] == "first"
    assert lines[-1] == "Error - last"
    assert sum(map(len, lines)) < 1100


def test_a_program_that_never_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "TIMEOUT_S", 0.2)
    with pytest.raises(JudgeError, match="timed out"):
        judges._run([sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(JudgeError, match="no-such-judge"):
        judges._run(["no-such-judge"])


def test_a_judged_cell_agrees_only_about_the_elements_it_found_wrong() -> None:
    """Also where the element stands in a sequence; a PASS about an element agrees with nobody."""
    wrong = ClauseResult(
        id="STD-IOD-001", verdict=Verdict.FAIL, evidence=(Evidence(tag="(0040,0275).(0040,0007)"),)
    )
    right = ClauseResult(id="STD-IOD-002", verdict=Verdict.PASS, evidence=(Evidence(tag="(0010,0010)"),))
    texts = ("Error - bad (0040,0007)", "Error - bad (0010,0010)", "Error - bad")
    said = JudgeOpinion(
        judge="dciodvfy",
        object="o",
        lines=(
            *(JudgeLine(severity="error", text=text, standing="open") for text in texts),
            JudgeLine(severity="error", text=texts[0], standing="explained", why="known"),
        ),
    )
    cell = CellResult(
        id="c", scenario="c", file="c", line=1, verdict=Verdict.FAIL, reason="", seconds=1.0,
        clauses=(wrong, right), opinions=(said,),
    )  # fmt: skip
    (opinion,) = agree(cell).opinions
    assert [one.standing for one in opinion.lines] == ["agreed", "open", "open", "explained"]
