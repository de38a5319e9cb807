"""Results: verdicts, the run folder, and what modbench ends with."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench import results
from bench.jsonmodel import ModelError
from bench.results import (
    Artefact,
    Capture,
    CellResult,
    ClauseResult,
    Evidence,
    ExpectationResult,
    Expected,
    FaultResult,
    JournalSeal,
    LinkFidelity,
    NearMiss,
    PhaseTime,
    PlannedCell,
    Product,
    ResultsError,
    RunInfo,
    RunResult,
    StepResult,
    StrictnessFinding,
    SutInfo,
    VolumeFidelity,
    build,
    cell_dir,
    cell_folder,
    collect,
    exit_code,
    write_cell,
    write_run,
)
from bench.verdict import WORST_FIRST, Verdict, combine

V = Verdict
SCHEMA = Path(results.__file__).parent / "report" / "results.schema.json"


def cell(verdict: Verdict = V.PASS, cell_id: str = "a", **more: Any) -> CellResult:
    return CellResult(
        id=cell_id, scenario="s", file="s.yaml", line=1, verdict=verdict, reason="r", seconds=1.0, **more
    )


def info(**more: Any) -> RunInfo:
    return RunInfo(
        run_id="r1",
        product=Product(name="VXvue", serial="1", version="1.0"),
        tester="T. Ester",
        start="2026-11-21T18:00:00+00:00",
        seed=7,
        sut=SutInfo(adapter="reference"),
        host=results.host_facts(),
        versions=results.library_versions(),
        **more,
    )


def full_cell() -> CellResult:
    return cell(
        V.FAIL,
        axes={"link": "100BASE-T"},
        phases=(PhaseTime(name="exam", seconds=1, start_s=0.5),),
        steps=(StepResult(index=0, line=3, text="x", verdict=V.PASS, seconds=0.1, start_seq=1, end_seq=2),),
        expectations=(
            ExpectationResult(
                line=4, text="pacs.stored", verdict=V.FAIL, within_s=30, nearest=(NearMiss(seq=3, why="no"),)
            ),
        ),
        strictness=(StrictnessFinding(seq=9, kind="pacs.lost", message="m"),),
        faults=(FaultResult(id="f", host="pacs", fault="abort", armed_seq=4),),
        links=(LinkFidelity(name="lan", backend="veth", capture=Capture(file="w", packets=1, dropped=0)),),
        volumes=(VolumeFidelity(name="usb", backend="image"),),
        clauses=(
            ClauseResult(id="VX-STO-004", verdict=V.FAIL, evidence=(Evidence(seq=3, tag="0010,0010"),)),
        ),
        artefacts=(Artefact(kind="journal", path="journal.jsonl", bytes=10),),
        journal=JournalSeal(events=9, last="00"),
        expected=Expected(verdict=V.FAIL, reason="known", date="2026-01-01"),
    )


def test_combine_follows_the_order_for_every_pair() -> None:
    for a, b in itertools.product(WORST_FIRST, repeat=2):
        assert combine([a, b]) is WORST_FIRST[min(WORST_FIRST.index(a), WORST_FIRST.index(b))]
    assert set(WORST_FIRST) == set(Verdict)
    assert [v.value for v in WORST_FIRST] == (
        ["FAIL", "ERROR", "INCONCLUSIVE", "DEV-FROM-STD", "PASS-ERRATUM", "PASS", "N/A", "NOT-EXERCISED"]
    )
    assert combine([]) is V.NOT_EXERCISED


def test_green_and_meaning() -> None:
    assert {v for v in Verdict if v.green} == {V.PASS, V.PASS_ERRATUM, V.DEV_FROM_STD}
    assert len({v.meaning for v in Verdict}) == len(Verdict)


def test_round_trip_of_everything() -> None:
    run = build(info(planned=(PlannedCell(id="a", scenario="s", file="s.yaml", line=1),)), [full_cell()])
    text = json.dumps(run.to_json(), allow_nan=False)
    assert RunResult.from_json(json.loads(text)) == run


def test_schema_is_the_committed_one_and_accepts_what_is_written() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema == results.results_schema(), "run: python -m bench.report --schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    written = build(info(), [full_cell(), cell(V.NOT_EXERCISED, "b", not_runnable="no root")]).to_json()
    assert list(validator.iter_errors(written)) == []
    written["cells"][0]["verdict"] = "GREAT"
    del written["run"]["seed"]
    assert {tuple(e.path) for e in validator.iter_errors(written)} == {("cells", 0, "verdict"), ("run",)}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"verdict": "MAYBE"}, "cell.verdict"),
        ({"seconds": "1"}, "cell.seconds"),
        ({"line": True}, "cell.line"),
        ({"steps": [{"index": 0}]}, r"cell.steps\[0\].line"),
        ({"axes": {"link": 3}}, "cell.axes.link"),
        ({"links": {}}, "cell.links"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(change: dict[str, Any], where: str) -> None:
    with pytest.raises(ModelError, match=f"^{where}"):
        CellResult.from_json({**cell().to_json(), **change}, "cell")


def test_unknown_keys_of_later_versions_and_missing_optional_ones_are_accepted() -> None:
    value = {**cell().to_json(), "brand_new": 1}
    del value["remarks"]
    assert CellResult.from_json(value) == cell()


def test_not_a_number_is_written_as_null() -> None:
    step = StepResult(index=0, line=1, text="", verdict=V.PASS, seconds=float("nan"))
    assert step.to_json()["seconds"] is None


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ([cell()], 0),
        ([cell(), cell(V.FAIL)], 1),
        ([cell(V.INCONCLUSIVE)], 1),
        ([cell(V.PASS_ERRATUM), cell(V.DEV_FROM_STD), cell(V.NOT_EXERCISED)], 0),
        ([cell(V.ERROR), cell(V.FAIL)], 2),
        ([cell(V.FAIL, errors=("lost events",))], 2),
        ([cell(V.FAIL, steps=(StepResult(index=0, line=1, text="", verdict=V.ERROR),))], 2),
        ([cell(V.FAIL, expectations=(ExpectationResult(line=1, text="", verdict=V.ERROR),))], 2),
        ([cell(clauses=(ClauseResult(id="X-1", verdict=V.ERROR),))], 2),
        ([cell(V.NOT_EXERCISED, not_runnable="no"), cell(V.NA)], 3),
        ([], 3),
        ([cell(V.FAIL, expected=Expected(verdict=V.FAIL, reason="known", date="2026-01-01"))], 0),
        ([cell(V.INCONCLUSIVE, expected=Expected(verdict=V.INCONCLUSIVE, reason="w", date="2026-01-01"))], 0),
        ([cell(V.PASS, expected=Expected(verdict=V.FAIL, reason="known", date="2026-01-01"))], 1),
        ([cell(V.ERROR, expected=Expected(verdict=V.ERROR, reason="no", date="2026-01-01"))], 2),
        (
            [
                cell(
                    clauses=(
                        ClauseResult(
                            id="X-1",
                            verdict=V.PASS,
                            expected=Expected(verdict=V.FAIL, reason="known", date="2026-01-01"),
                        ),
                    )
                )
            ],
            1,
        ),
    ],
)
def test_exit_code(cells: list[CellResult], code: int) -> None:
    run = build(info(), cells)
    assert exit_code(run) == run.exit_code == code


def test_a_fault_of_the_whole_run_is_exit_2() -> None:
    run = build(info(errors=("the capture tool vanished",)), [cell()])
    assert (run.exit_code, run.verdict) == (2, V.ERROR)


def test_collect_merges_in_the_order_of_the_plan_and_makes_lost_cells_errors(tmp_path: Path) -> None:
    planned = tuple(PlannedCell(id=i, scenario="s", file="s.yaml", line=1) for i in ("b", "lost", "a"))
    write_run(tmp_path, info(planned=planned))
    for cell_id in ("a", "b", "extra"):
        write_cell(tmp_path, cell(cell_id=cell_id))
    run = collect(tmp_path)
    assert [c.id for c in run.cells] == ["b", "lost", "a", "extra"]
    assert run.cells[1].verdict is V.ERROR
    assert "left no result" in run.cells[1].reason
    assert run.exit_code == 2
    assert run.counts["PASS"] == 3
    assert results.read_results(tmp_path / "results.json") == run


def test_a_broken_cell_file_is_an_error_with_its_reason(tmp_path: Path) -> None:
    write_run(tmp_path, info(planned=(PlannedCell(id="a", scenario="s", file="s.yaml", line=1),)))
    (cell_dir(tmp_path, "a") / "cell.json").write_text('{"id": "a"}')
    (cell_dir(tmp_path, "z") / "cell.json").write_text("\x00")
    run = collect(tmp_path, write=False)
    assert [(c.id, c.verdict) for c in run.cells] == [("a", V.ERROR), ("z", V.ERROR)]
    assert "cell.scenario: missing" in run.cells[0].reason
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("content", [None, "", "[]", '{"format_version": 99}', "{}", "[" * 100_000])
def test_a_folder_without_a_readable_run_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ResultsError, match=r"run\.json"):
        collect(tmp_path)


def test_clauses_combine_over_cells_and_remember_the_deciding_cell() -> None:
    good = ClauseResult(id="VX-MPPS-NS-014", verdict=V.PASS, reason="fine")
    bad = ClauseResult(id="VX-MPPS-NS-014", verdict=V.FAIL, reason="no end date", evidence=(Evidence(seq=4),))
    other = ClauseResult(id="VX-GEN-001", verdict=V.PASS)
    run = build(info(), [cell(cell_id="a", clauses=(good,)), cell(cell_id="b", clauses=(bad, other))])
    first, second = run.clauses
    assert (first.id, first.section, first.verdict) == ("VX-GEN-001", "VX-GEN", V.PASS)
    assert (second.section, second.verdict, second.reason) == ("VX-MPPS-NS", V.FAIL, "no end date")
    assert second.cells == ("b", "a")
    assert second.evidence == (Evidence(seq=4),)


@pytest.mark.parametrize(
    "cell_id",
    [
        "../../x",
        "a/b",
        "C:\\x",
        "<script>",
        "store[100BASE-T,ISO_IR 100]",
        "",
        ".",
        "x" * 500,
        "山田",
        "a\x00b",
    ],
)
def test_folder_names_stay_inside_and_apart(tmp_path: Path, cell_id: str) -> None:
    name = cell_folder(cell_id)
    assert cell_dir(tmp_path, cell_id).parent == tmp_path / "cells"
    assert len(name) <= results.MAX_FOLDER
    assert not set(name) & set('/\\:<>"|?*\x00 ')
    assert name.strip(".") == name != ""
    assert name.lower() != cell_folder(cell_id + " ").lower()


def test_folder_names_differ_where_case_is_ignored() -> None:
    assert cell_folder("Chest").lower() != cell_folder("chest").lower()
    assert cell_folder("one-exam") == "one-exam"


def test_not_run_is_skipped_not_error() -> None:
    lost = results.not_run(PlannedCell(id="a", scenario="s", file="s.yaml", line=1), "needs root")
    assert (lost.verdict, lost.not_runnable, lost.bench_at_fault) == (V.NOT_EXERCISED, "needs root", False)
    assert build(info(), [lost]).exit_code == 3
    assert build(info(), [lost, replace(lost, verdict=V.PASS)]).exit_code == 0


def test_facts_hold_no_host_name() -> None:
    import platform

    node = platform.node()
    assert not node or node not in json.dumps(results.host_facts().to_json())
    assert "modality-bench" in results.library_versions()


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("byte 4", "byte 4"),
        (({"byte": 400, "request": "C-STORE-RQ"}, None, {"byte": 7}), "byte 400, request C-STORE-RQ; byte 7"),
        ((None,), None),
        ((), None),
        (None, None),
    ],
)
def test_the_place_of_a_fault_is_words(where: Any, words: str | None) -> None:
    fault = FaultResult(id="f", host="pacs", fault="abort", where=where)
    assert fault.where == words
    assert FaultResult.from_json(json.loads(json.dumps(fault.to_json()))) == fault


@pytest.mark.parametrize(
    ("file", "kept"),
    [
        ("scenarios/regression/x.yaml", "scenarios/regression/x.yaml"),
        ("../other/x.yaml", "../other/x.yaml"),
        ("/home/somebody/bench/scenarios/regression/x.yaml", "scenarios/regression/x.yaml"),
        ("C:\\Users\\somebody\\scenarios\\x.yaml", "scenarios/x.yaml"),
        ("/home/somebody/own/x.yaml", "own/x.yaml"),
        ("/x.yaml", "/x.yaml"),
    ],
)
def test_no_machine_path_is_kept(tmp_path: Path, file: str, kept: str) -> None:
    write_run(tmp_path, info(planned=(PlannedCell(id="a", scenario="s", file=file, line=1),)))
    write_cell(tmp_path, replace(cell(), file=file))
    run = collect(tmp_path)
    assert run.cells[0].file == run.run.planned[0].file == kept


def test_a_path_below_the_current_folder_is_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert results.portable_path(str(tmp_path / "own" / "x.yaml")) == "own/x.yaml"
