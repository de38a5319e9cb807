"""Clauses of a cell: what the scenario found and what its capture shows become one result, again and again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.checks import registry
from bench.checks.case import SutConfig
from bench.cli import main
from bench.journal import Event, JournalWriter
from bench.judge import cellwise
from bench.judge.cellwise import combined, judge_cell, unjudged
from bench.judge.deviations import load_deviations_text
from bench.judge.inputs import as_it_went
from bench.judge.inrun import clauses
from bench.resultmodel import CellResult, ClauseResult, PlannedCell, WireFacts
from bench.results import (
    Product,
    RunInfo,
    SutInfo,
    build,
    cell_dir,
    host_facts,
    read_results,
    summarise_clauses,
    write_cell,
    write_run,
)
from bench.statements import load
from bench.verdict import Verdict
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import DataSet
from tests.lab.products.facts import PERSONS, Exam, Exposure
from tests.lab.products.vxvue import PACS, RIS, VXvue

VXVUE = load("vxvue")
MODALITY = """\
ae_title: VXVUE
receiver: {host: 10.0.0.5, port: 104, enabled: true}
worklist: {ae_title: RIS, host: 10.0.0.20, port: 104}
mpps: {ae_title: RIS, host: 10.0.0.20, port: 104}
storage:
- {name: pacs, ae_title: PACS, host: 10.0.0.21, port: 11112}
"""


def result(**changes: Any) -> CellResult:
    base = CellResult(
        id="one-exam[link=1]",
        scenario="one-exam",
        file="scenarios/one-exam.yaml",
        line=1,
        verdict=Verdict.PASS,
        reason="All 3 expectations held.",
        seconds=1.0,
        covers=("VX-STO-001",),
    )
    return replace(base, **changes)


def folder(tmp_path: Path, defect: bool = False, lost: int = 0, shown: str = "") -> Path:
    """A cell's folder as a run leaves it; ``lost``: messages that the journal tells of and the wire never saw.

    ``shown``: SHA-256 of the pixels that the console says it made.
    """
    lab = Lab()
    if defect:
        lab.edit(_without_patient_id)
    exam = Exam(next(iter(PERSONS.values())))
    VXvue(lab).exam(exam, mwl=RIS, mpps=RIS, storage=[PACS], commitment=None)
    cell = cell_dir(tmp_path, "one-exam[link=1]")
    lab.write(cell / "wire.pcapng")
    (cell / "modality.yaml").write_text(MODALITY)
    with JournalWriter(cell / "journal.jsonl", {}) as journal:
        number = 0
        for assoc, conversation in enumerate(lab.conversations, 1):
            address, port = conversation.stream.ends[0]
            number += 1
            data: dict[str, Any] = {"assoc": assoc, "peer": address, "port": port, "role": "acceptor"}
            journal.append(src="pacs", n=number, t=number, kind="wire.open", data=data)
            for _ in range(_messages(cell, port) + (lost if assoc == 1 else 0)):
                number += 1
                journal.append(src="pacs", n=number, t=number, kind="wire.message", data={"assoc": assoc})
        if shown:
            image = {"sop_instance": exam.image(exam.exposures[0]), "state": "acquired", "sha256": shown}
            journal.append(src="modality", n=1, t=number, kind="modality.image", data=image)
    return cell


def _messages(cell: Path, port: int) -> int:
    from bench import witness

    found = witness.read(cell / "wire.pcapng").associations
    return sum(len(a.messages) for a in found if a.requestor.port == port)


def _without_patient_id(out: Outgoing) -> None:
    if out.name == "C-STORE-RQ" and isinstance(out.dataset, DataSet):
        out.dataset.drop("PatientID")


def test_a_right_cell_stays_green(tmp_path: Path) -> None:
    """Its clauses come with verdicts; its configuration and its SUT come from the folder."""
    found = judge_cell(result(), folder(tmp_path), VXVUE)
    assert found.verdict is Verdict.PASS, found.reason
    assert found.reason == "All 3 expectations held."
    assert found.wire is not None
    assert not found.wire.errors
    assert found.wire.sut == "10.0.0.5"
    assert "modality.yaml" in found.wire.sut_reason
    assert any(c.verdict is Verdict.PASS for c in found.clauses)
    assert not [c.id for c in found.clauses if c.verdict in (Verdict.FAIL, Verdict.ERROR)]


def test_pixels_are_compared_with_what_the_console_showed(tmp_path: Path) -> None:
    """The witness makes the digest of every image of a cell: one other bit is another picture."""
    right = hashlib.sha256(Exposure().pixels()).hexdigest()
    for shown, wanted in ((right, Verdict.PASS), ("0" * 64, Verdict.FAIL)):
        found = judge_cell(result(), folder(tmp_path / shown, shown=shown), VXVUE)
        assert [c.verdict for c in found.clauses if c.id == "VX-STO-003"] == [wanted]


def test_a_broken_clause_makes_the_cell_fail(tmp_path: Path) -> None:
    """However green the expectations were; and the first sentence says which, and where."""
    found = judge_cell(result(), folder(tmp_path, defect=True), VXVUE)
    assert found.verdict is Verdict.FAIL
    failed = [c for c in found.clauses if c.verdict is Verdict.FAIL]
    assert failed[0].id in found.reason
    assert "frame" in found.reason
    assert (found.scenario_verdict, found.scenario_reason) == (Verdict.PASS, "All 3 expectations held.")
    assert failed[0].text


def test_judging_again_gives_the_same(tmp_path: Path) -> None:
    """A run of years ago is judged as often as one likes."""
    cell = folder(tmp_path, defect=True)
    once = judge_cell(result(), cell, VXVUE)
    twice = judge_cell(CellResult.from_json(json.loads(json.dumps(once.to_json()))), cell, VXVUE)
    assert once.wire is not None
    assert twice.wire is not None
    same = replace(twice, wire=replace(twice.wire, seconds=once.wire.seconds))
    assert same == once


def test_an_old_result_without_clauses_on_the_wire_is_judged(tmp_path: Path) -> None:
    """What was a list of covered clauses once is taken as that."""
    old = result(covers=(), clauses=(ClauseResult(id="VX-STO-001", verdict=Verdict.INCONCLUSIVE),))
    assert unjudged(old).covers == ("VX-STO-001",)
    assert judge_cell(old, folder(tmp_path), VXVUE).verdict is Verdict.PASS


def test_a_declared_failure_is_no_failure_of_the_cell(tmp_path: Path) -> None:
    """It stays visible in its clause."""
    cell = folder(tmp_path, defect=True)
    failed = [c.id for c in judge_cell(result(), cell, VXVUE).clauses if c.verdict is Verdict.FAIL]
    text = "".join(
        f"- {{id: {id}, verdict: FAIL, reason: known, owner: us, date: 2026-11-21}}\n" for id in failed
    )
    found = judge_cell(result(), cell, VXVUE, deviations=load_deviations_text(text))
    assert found.verdict is Verdict.PASS
    assert not found.unexpected
    assert {c.id for c in found.clauses if c.verdict is Verdict.FAIL} == set(failed)


def test_two_witnesses_that_disagree_are_the_benchs_fault(tmp_path: Path) -> None:
    """A message that the journal tells of and the capture does not have."""
    found = judge_cell(result(), folder(tmp_path, lost=1), VXVUE)
    assert found.verdict is Verdict.ERROR
    assert found.bench_at_fault
    assert "according to the journal" in found.reason


def test_what_is_covered_and_not_exercised_is_told(tmp_path: Path) -> None:
    """A scenario must not vouch for what never happened."""
    found = judge_cell(result(covers=("VX-PRN-001", "VX-GEN-001")), folder(tmp_path), VXVUE)
    clause = next(c for c in found.clauses if c.id == "VX-PRN-001")
    assert clause.verdict is Verdict.NOT_EXERCISED
    assert found.wire is not None
    assert any("VX-PRN-001" in remark for remark in found.wire.remarks)
    table = {c.id: c for c in summarise_clauses([found])}
    assert table["VX-PRN-001"].verdict is Verdict.INCONCLUSIVE
    assert "a scenario says that it covers this" in table["VX-PRN-001"].reason
    elsewhere = result(clauses=(ClauseResult(id="VX-PRN-001", verdict=Verdict.PASS),))
    table = {c.id: c for c in summarise_clauses([found, elsewhere])}
    assert table["VX-PRN-001"].verdict is Verdict.PASS, "another cell of the matrix exercised it"


def test_a_part_of_a_matrix_vouches_for_nothing(tmp_path: Path) -> None:
    """A smoke run leaves combinations out: what only those exercise is not held against it."""
    one = judge_cell(result(covers=("VX-PRN-001",), combinations=2), folder(tmp_path), VXVUE)
    told = {c.id: c for c in summarise_clauses([one])}["VX-PRN-001"]
    assert told.verdict is Verdict.NOT_EXERCISED
    assert "1 of 2 combinations" in told.reason
    both = {c.id: c for c in summarise_clauses([one, replace(one, id="the-other")])}["VX-PRN-001"]
    assert both.verdict is Verdict.INCONCLUSIVE


def test_what_no_capture_can_show_is_answered_by_the_scenario(tmp_path: Path) -> None:
    """A setting, or what the operator sees: the expectations held, or did not."""
    unseen = next(id for id, why in registry.unseen("vxvue").items() if why.by == "operator")
    cell = folder(tmp_path)
    held = judge_cell(result(covers=(unseen,)), cell, VXVUE)
    assert next(c for c in held.clauses if c.id == unseen).verdict is Verdict.PASS
    failed = judge_cell(result(covers=(unseen,), verdict=Verdict.FAIL), cell, VXVUE)
    assert next(c for c in failed.clauses if c.id == unseen).verdict is Verdict.INCONCLUSIVE


def test_without_a_capture_nothing_is_judged(tmp_path: Path) -> None:
    """And a cell that never ran stays what it is."""
    found = judge_cell(result(), tmp_path, VXVUE)
    assert [c.verdict for c in found.clauses] == [Verdict.INCONCLUSIVE]
    assert "no capture" in found.remarks[-1]
    asleep = result(verdict=Verdict.NOT_EXERCISED, not_runnable="no cable")
    assert judge_cell(asleep, tmp_path, VXVUE).verdict is Verdict.NOT_EXERCISED


def test_a_capture_that_is_none_is_the_benchs_fault(tmp_path: Path) -> None:
    """Not a traceback, and not a FAIL of the SUT."""
    (tmp_path / "wire.pcapng").write_bytes(b"nonsense" * 9)
    found = judge_cell(result(), tmp_path, VXVUE)
    assert found.verdict is Verdict.ERROR
    assert found.bench_at_fault


def test_a_failure_stays_visible_beside_an_error() -> None:
    """FAIL outweighs ERROR in the verdict, and the exit code is 2 all the same."""
    facts = WireFacts(
        files=(), frames=0, bytes=0, associations=0, messages=0, sut="", sut_reason="", errors=("lost",)
    )
    clause = ClauseResult(id="VX-STO-001", verdict=Verdict.FAIL, reason="wrong")
    found = combined(result(), (clause,), facts)
    assert found.verdict is Verdict.FAIL
    assert found.bench_at_fault


def test_a_check_that_fails_costs_nothing_but_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in the judge is told as the bench's fault; the cell's own result stays."""

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("oops")

    monkeypatch.setattr(cellwise, "judge_capture", broken)
    found = clauses(result(), folder(tmp_path), "vxvue")
    assert found.verdict is Verdict.ERROR
    assert "oops" in found.errors[-1]


def run_folder(tmp_path: Path, defect: bool) -> Path:
    run = tmp_path / "run"
    cell = folder(run, defect)
    write_cell(run, judge_cell(result(), cell, VXVUE))
    planned = PlannedCell(id="one-exam[link=1]", scenario="one-exam", file="one-exam.yaml", line=1)
    info = RunInfo(
        run_id="run",
        product=Product(name="VXvue"),
        tester="t",
        start="2026-11-21T00:00:00+00:00",
        seed=1,
        sut=SutInfo(adapter="reference"),
        host=host_facts(),
        versions={},
        planned=(planned,),
        statement="vxvue",
    )
    write_run(run, info)
    return run


@pytest.mark.parametrize("defect", [False, True])
def test_a_run_is_judged_without_a_bench(tmp_path: Path, defect: bool) -> None:
    """The same verdicts as the run's own, in another folder; the run itself is not touched."""
    run = run_folder(tmp_path, defect)
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    code = main(["judge", str(run), "--json", str(tmp_path / "o.json"), "--html", str(tmp_path / "h")])
    assert code in ((1,) if defect else (0, 1))
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before
    found = json.loads((tmp_path / "o.json").read_text())
    own = read_results(tmp_path / "h" / "results.json")
    assert found["statement"] == "vxvue"
    assert found["cells"][0]["verdict"] == own.cells[0].verdict == (Verdict.FAIL if defect else Verdict.PASS)
    assert len(own.clauses) == len(found["clauses"]) > 569
    assert (tmp_path / "h" / "cells").is_dir()
    assert next((tmp_path / "h").glob("cells/*/journal.jsonl")).is_file()
    again = build(own.run, own.cells)
    assert [c.verdict for c in again.clauses] == [c.verdict for c in own.clauses]
    assert main(["judge", str(run), "--html", str(run)]) == 2


def test_a_single_cell_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also without its run beside it; then the statement must be named."""
    run = run_folder(tmp_path, defect=False)
    cell = next(run.glob("cells/*"))
    assert main(["judge", str(cell)]) in (0, 1)
    alone = tmp_path / "alone"
    cell.rename(alone)
    assert main(["judge", str(alone)]) == 2
    assert "--statement" in capsys.readouterr().err
    assert main(["judge", str(alone), "--statement", "vxvue"]) in (0, 1)


def test_what_was_changed_on_the_way_is_not_known() -> None:
    """At which moment which value held cannot be told; AE titles, old and new, still tell who the SUT is."""
    before = SutConfig({"ae_titles": ("VXVUE",), "ae_title": "VXVUE", "charset": ("ISO_IR 192",)}, "x")
    data = {"do": "configure", "args": {"ae_title": "ROOM2", "charset": "ISO_IR 100"}}
    event = Event(seq=1, t=0, src="bench", n=1, kind="sut.request", data=data)
    after = as_it_went(before, [event])
    assert after.get("charset") is None
    assert after.get("ae_titles") == ("VXVUE", "ROOM2")
    assert as_it_went(before, []) is before
