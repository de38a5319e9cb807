"""The PDF for the quality file: what stands in it, that nothing of a peer acts in it, and that names are legible."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.report.chapters import chapters, faults
from bench.report.pdf import available, font_folders, pages, pdf
from bench.results import (
    CellResult,
    ClauseResult,
    Evidence,
    Expected,
    HostFacts,
    Product,
    RunInfo,
    RunResult,
    StepResult,
    SutInfo,
    build,
)
from bench.statements import load
from bench.verdict import Verdict as V

PLACE = Evidence(frame=12, pdu=3, tag="(0010,0020)", association=1, message=2, offset=80)


def clause(id: str, verdict: V, section: str, **more: Any) -> ClauseResult:
    return ClauseResult(id=id, verdict=verdict, reason=more.pop("reason", "because"), section=section, **more)


def run(*clauses: ClauseResult, adapter: str = "reference", product: str = "VXvue") -> RunResult:
    info = RunInfo(
        run_id="r1",
        product=Product(name=product, serial="S-1", version="3.8.1", statement="revision 3.8"),
        tester="A. Tester",
        start="2026-11-21T21:34:28+00:00",
        seed=1,
        sut=SutInfo(adapter=adapter),
        host=HostFacts(system="", kernel="", machine="", python="", cpu_count=1),
        versions={"modality-bench": "0"},
    )
    cell = CellResult(
        id="one",
        scenario="one",
        file="one.yaml",
        line=1,
        verdict=V.PASS,
        reason="held",
        seconds=1.0,
        clauses=clauses,
    )
    return build(info, [cell])


FAILED = clause("VX-STO-DX-002", V.FAIL, "5.2", reason="Patient ID is empty", evidence=(PLACE,))
RULE = clause("STD-IOD-001", V.FAIL, "Standard: Information objects", evidence=(PLACE,))
OTHER = clause(
    "VX-STO-DX-003",
    V.FAIL,
    "5.2",
    evidence=(Evidence(frame=12, association=1, message=2, tag="(0010,0030)"),),
)


def test_every_clause_of_the_statement_is_there_in_its_order() -> None:
    parts = chapters(run(FAILED, RULE))
    rows = [row.id for part in parts for row in part.rows]
    assert rows[:-1] == [c.id for c in load("vxvue").clauses]
    assert rows[-1] == "STD-IOD-001"
    untouched = next(row for part in parts for row in part.rows if row.id == "VX-GEN-001")
    assert untouched.verdict is V.NOT_EXERCISED


def test_every_row_stands_in_one_chapter_only() -> None:
    """A default of the statement, too; all its other defaults come with it."""
    parts = chapters(run(FAILED, RULE, clause("VX-D-09", V.PASS, "Defaults")))
    rows = [row.id for part in parts for row in part.rows]
    assert len(rows) == len(set(rows))
    assert [part.title for part in parts if any(row.id == "VX-D-09" for row in part.rows)] == [
        "Defaults of VXvue: where the statement is silent"
    ]
    assert set(load("vxvue").defaults) <= set(rows)


def test_a_clause_of_an_unknown_statement_is_not_lost() -> None:
    parts = chapters(run(clause("AC-IMG-01", V.PASS, "2.1")))
    assert [row.id for part in parts for row in part.rows] == ["AC-IMG-01"]


def test_rows_with_the_same_evidence_are_one_fault() -> None:
    found = faults(run(RULE, FAILED, OTHER))
    assert [[row.id for row in fault.rows] for fault in found] == [
        ["VX-STO-DX-002", "STD-IOD-001"],
        ["VX-STO-DX-003"],
    ]


def test_rows_without_evidence_are_never_thrown_together() -> None:
    found = faults(run(clause("VX-GEN-001", V.FAIL, "1"), clause("VX-GEN-002", V.FAIL, "1")))
    assert len(found) == 2


def test_a_capture_of_the_field_warns_of_patients_data() -> None:
    assert "patients" in pages(run(adapter="capture"))["phi"]
    assert pages(run())["phi"] is None


def test_declared_deviations_are_listed_with_what_was_found() -> None:
    declared = Expected(verdict=V.DEV_FROM_STD, reason="VX-E-13", date="2026-11-21", owner="DICOM lead")
    listed = pages(run(clause("VX-PC-001", V.PASS, "3", expected=declared)))["deviations"]
    assert listed == [
        {
            "id": "VX-PC-001",
            "declared": "DEV-FROM-STD",
            "found": "PASS",
            "reason": "VX-E-13",
            "owner": "DICOM lead, 2026-11-21",
        }
    ]


def test_rules_of_the_standard_have_headings_in_words_and_only_touched_ones_are_listed() -> None:
    """Also in a run, whose table names them by their ids."""
    result = run(clause("STD-IOD-001", V.PASS, "STD-IOD"), clause("STD-IOD-002", V.NOT_EXERCISED, "STD-IOD"))
    made = pages(result)["sections"][-1]
    assert made["title"] == "Standard: Information objects"
    assert [row["id"] for row in made["rows"]] == ["STD-IOD-001"]
    assert made["total"] == 2


def test_a_cell_that_failed_without_a_clause_is_in_the_summary() -> None:
    """So is one whose only trouble is the bench, or a declaration that is not so any more."""
    known = Expected(verdict=V.DEV_FROM_STD, reason="VX-E-13", date="2026-11-21")
    good = run().cells[0]
    step = StepResult(index=0, line=9, text="operator.send", verdict=V.FAIL)
    cells = (
        replace(good, id="a", verdict=V.FAIL, reason="never sent", steps=(step,), repeat="modbench run a"),
        replace(good, id="b", errors=("packets were lost",)),
        replace(good, id="c", clauses=(clause("VX-PC-001", V.PASS, "3", expected=known),)),
        replace(good, id="d"),
    )
    made = pages(build(run().run, cells))
    assert [(row["id"], row["reason"], row["where"]) for row in made["red_cells"]] == [
        ("a", "never sent", "one.yaml:9 · modbench run a"),
        ("b", "held; the bench was at fault: packets were lost", "one.yaml:1"),
        ("c", "held; VX-PC-001: declared DEV-FROM-STD since 2026-11-21, found PASS", "one.yaml:1"),
    ]
    assert (made["verdict"], made["tone"]) == ("FAIL", "FAIL")


needs_typst = pytest.mark.skipif(not available(), reason="the extra 'pdf' (typst) is not installed")


def text_of(content: bytes, folder: Path) -> str:
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    file = folder / "r.pdf"
    file.write_bytes(content)
    done = subprocess.run([tool, "-layout", str(file), "-"], capture_output=True, check=True, timeout=60)
    return done.stdout.decode("utf-8")


@needs_typst
@pytest.mark.witness
def test_names_are_legible_and_markup_is_text(tmp_path: Path) -> None:
    if not font_folders():
        pytest.skip("the font of the extra 'pdf' is not installed")
    names = "山田^太郎 王^小明 김^희중"
    evil = '#import "x.typ"; $x$ *bold* <label> \\ \u202ereversed'
    content = pdf(run(clause("VX-STO-DX-001", V.FAIL, "5.2", reason=f"{names} {evil}"), product=names))
    assert content.startswith(b"%PDF-")
    text = text_of(content, tmp_path)
    for name in names.split():
        assert name in text
    assert '#import "x.typ"' in text
    assert "*bold*" in text
    assert "\u202e" not in text
    assert "VX-GEN-001" in text, "untouched clauses are listed too"


@needs_typst
def test_the_same_results_make_the_same_pages() -> None:
    once, again = pdf(run(FAILED)), pdf(run(FAILED))
    assert len(once) == len(again)


@needs_typst
@pytest.mark.witness
@pytest.mark.parametrize("attempts", [None, 1])
def test_what_no_font_can_show_is_shown_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: int | None
) -> None:
    """PDF/A refuses such a text; a name of an unknown script, or a zero byte, must not cost the whole report."""
    if attempts is not None:
        monkeypatch.setattr("bench.report.pdf.ATTEMPTS", attempts)
    strange = "\u1202\U00013000 \x00\x1b[31m \x7f"
    rows = [clause(f"VX-STO-DX-{n:03}", V.FAIL, "5.2", reason=f"Müller {strange} {n}") for n in range(1, 4)]
    text = text_of(pdf(run(*rows)), tmp_path)
    assert "Müller" in text
    for shown in ("[U+1202]", "[U+13000]", "[U+0000]", "[U+001B]", "[U+007F]"):
        assert text.count(shown) >= 3, shown


@needs_typst
@pytest.mark.witness
def test_a_script_without_a_font_is_left_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred names of a script that no font here has: not one attempt for each of them."""
    import typst

    compile_, calls = typst.compile, []
    monkeypatch.setattr(typst, "compile", lambda *a, **k: calls.append(1) or compile_(*a, **k))
    rows = [
        clause(f"VX-STO-DX-{n:03}", V.FAIL, "5.2", reason=f"山田 → {chr(0x1200 + n)} – {chr(0x13000 + n)}")
        for n in range(1, 30)
    ]
    text = text_of(pdf(run(*rows)), tmp_path)
    assert len(calls) <= 4
    assert "[U+1201]" in text
    assert "[U+1301D]" in text
    assert "→" in text
    if font_folders():
        assert "山田" in text
