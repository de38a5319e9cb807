"""Clauses about what the operator sees or does: judged by the journal's claims, silent without them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from bench.verdict import Verdict
from tests.lab.conversation import Lab
from tests.lab.products.vxvue import PACS, PRINT, RIS, STUDY_ROOT, WORKLIST, VXvue
from tests.lab.products.vxvue_objects import DX, SR
from tests.lab.recipes.defects import OTHER, exam
from tests.lab.services import journal, judged

SHOT: Final = replace(OTHER, number=1, view="PA")


@pytest.mark.parametrize(
    ("id", "service", "abstract"),
    [
        ("VX-STO-007", "storage", DX),
        ("VX-MWL-007", "worklist", WORKLIST),
        ("VX-PRN-011", "print", PRINT),
        ("VX-QR-006", "query", STUDY_ROOT),
        ("VX-SR-006", "dose", SR),
    ],
)
def test_a_rejection_is_warned_of(id: str, service: str, abstract: str, tmp_path: Path) -> None:
    def build(lab: Lab) -> None:
        VXvue(lab).propose(PACS, abstract).reject(1, 1, 7)

    warning = (0.5, "modality.warning", {"service": service, "peer": "pacs", "text": "rejected"})
    other = (0.5, "modality.warning", {"service": "acquisition", "peer": "detector", "text": "cold"})
    assert judged(tmp_path, build, events=journal(warning))[id] is Verdict.PASS
    assert judged(tmp_path, build, events=journal(other))[id] is Verdict.FAIL
    assert judged(tmp_path, build, events=journal(other, end=2.0))[id] is Verdict.INCONCLUSIVE
    assert id not in judged(tmp_path, build)


def test_pixels_are_those_that_were_shown(tmp_path: Path) -> None:
    from bench.checks.case import Case
    from tests.lab.services import VXVUE, case_of, findings

    def build(lab: Lab) -> None:
        VXvue(lab).store(PACS, exam(scheduled=False), mpps=False)

    case = case_of(tmp_path, build, digest=True)
    stored = case.objects[0]
    right = hashlib.sha256(exam(scheduled=False).exposures[0].pixels()).hexdigest()
    for digest, verdict in ((right, Verdict.PASS), ("0" * 64, Verdict.FAIL)):
        told = (0.1, "modality.image", {"sop_instance": stored.sop_instance, "sha256": digest})
        told_case = Case(case.statement, case.capture, case.sut, events=journal(told))
        found = [f.verdict for f in findings(told_case, VXVUE) if f.id == "VX-STO-003"]
        assert found == [verdict]


@pytest.mark.parametrize(
    ("status", "verdict"), [(0, Verdict.PASS), (0xB000, Verdict.PASS), (0xA700, Verdict.FAIL)]
)
def test_an_exam_is_sent_when_the_archive_took_it(status: int, verdict: Verdict, tmp_path: Path) -> None:
    def build(lab: Lab) -> None:
        VXvue(lab).store(PACS, exam(shots=(SHOT, OTHER), scheduled=False), mpps=False, statuses=(0, status))

    told = (
        (0.0, "modality.state", {"what": "job", "job": 1, "destination": "pacs", "state": "sending"}),
        (2.0, "modality.state", {"what": "job", "job": 1, "destination": "pacs", "state": "sent"}),
    )
    assert judged(tmp_path, build, events=journal(*told))["VX-STO-004"] is verdict


@pytest.mark.parametrize(
    ("count", "verdict"), [(2, Verdict.PASS), (3, Verdict.FAIL), (1, Verdict.INCONCLUSIVE)]
)
def test_the_list_holds_what_the_scheduler_sent(count: int, verdict: Verdict, tmp_path: Path) -> None:
    def build(lab: Lab) -> None:
        VXvue(lab).worklist(RIS, [exam(), exam(number=2)])

    told = (1.0, "modality.state", {"what": "worklist", "count": count, "added": count, "updated": 0})
    assert judged(tmp_path, build, events=journal(told))["VX-MWL-004"] is verdict


def _steps(result: str) -> Callable[[Lab], None]:
    def build(lab: Lab) -> None:
        VXvue(lab).exam(exam(), result=result, dose=False, commitment=None)

    return build


def test_what_the_operator_does_is_told(tmp_path: Path) -> None:
    start = (0.0, "sut.request", {"do": "start_exam", "args": {}})
    for verb, result, id in (
        ("complete", "COMPLETED", "VX-MPPS-012"),
        ("discontinue", "DISCONTINUED", "VX-MPPS-011"),
    ):
        ended = (85.0, "sut.request", {"do": verb, "args": {}})
        verdicts = judged(tmp_path, _steps(result), events=journal(start, ended))
        assert verdicts["VX-MPPS-010"] is Verdict.PASS
        assert verdicts[id] is Verdict.PASS
        other = "DISCONTINUED" if result == "COMPLETED" else "COMPLETED"
        assert judged(tmp_path, _steps(other), events=journal(start, ended))[id] is Verdict.FAIL
    assert "VX-MPPS-010" not in judged(tmp_path, _steps("COMPLETED"))


def test_scheduled_steps_are_shown(tmp_path: Path) -> None:
    answer = {"do": "query_worklist", "ok": True, "result": {"items": [{"key": "a"}]}, "error": ""}
    verdicts = judged(tmp_path, _steps("COMPLETED"), events=journal((1.0, "sut.answer", answer)))
    assert verdicts["VX-MPPS-009"] is Verdict.PASS


def test_every_operator_clause_says_why_it_is_unseen() -> None:
    import importlib

    from bench.statements import load
    from tests.lab.services import VXVUE, checks

    told: dict[str, Any] = {}
    for name in VXVUE:
        told |= getattr(importlib.import_module(name), "UNSEEN", {})
    mine = ("VX-STO-0", "VX-MWL-0", "VX-PRN-0", "VX-MPPS-0", "VX-SC-0", "VX-QR-0", "VX-SR-0")
    clauses = {c.id for c in load("vxvue").clauses if c.kind == "behaviour" and c.id.startswith(mine)}
    judged_ids = {id for one in checks(*VXVUE) for id in one.ids}
    assert clauses <= judged_ids | set(told)
    assert set(told) <= clauses
