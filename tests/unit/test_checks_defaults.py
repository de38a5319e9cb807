"""Defaults (ruling A3): a deviation is FAIL for a reference product and a remark for everybody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from bench.verdict import Verdict
from tests.lab.conversation import Lab
from tests.lab.deviations import BAD, Build
from tests.lab.products.mx1 import MX1, Scan
from tests.lab.products.vxvue import PACS, PRINTER, RIS, VXvue
from tests.lab.recipes.defects import dataset, exam
from tests.lab.services import case_of, findings, journal

MODULES: Final = tuple(f"bench.checks.defaults.{name}" for name in ("network", "content", "services"))


def _of(id: str) -> str:
    return "mx1" if id.startswith("MX") else "vxvue"


def _verdicts(
    tmp_path: Path, build: Build, statement: str, reference: bool, **how: Any
) -> tuple[dict[str, set[Verdict]], set[str]]:
    case = case_of(tmp_path, build, statement=statement, reference=reference, **how)
    found: dict[str, set[Verdict]] = {}
    remarks = set()
    for finding in findings(case, MODULES):
        if finding.remark:
            remarks.add(finding.id)
        else:
            found.setdefault(finding.id, set()).add(finding.verdict)
        assert finding.reason
    return found, remarks


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_deviation_fails_for_the_reference_product_only(name: str, tmp_path: Path) -> None:
    id, build, how = BAD[name]
    found, _ = _verdicts(tmp_path, build, _of(id), reference=True, **how)
    assert {i for i, verdicts in found.items() if Verdict.FAIL in verdicts} == {id}
    found, remarks = _verdicts(tmp_path, build, _of(id), reference=False, **how)
    assert {i for i, verdicts in found.items() if Verdict.FAIL in verdicts} == set()
    assert id in remarks


@pytest.mark.parametrize(
    ("calling", "station", "titles", "right"),
    [
        ("OTHER", "MX1", ("MX1",), True),
        ("MX1", "MX1", ("MX1",), True),
        ("MX1", "", ("MX1",), True),
        ("OTHER", "OTHER", ("MX1",), False),
        ("OTHER", "OTHER", (), True),
        ("OTHER", "MX1", (), False),
    ],
)
def test_the_own_station_is_the_configured_one(
    tmp_path: Path, calling: str, station: str, titles: tuple[str, ...], right: bool
) -> None:
    """As whom it calls is another row's affair; only where nobody knows the title, it is the one that it calls as."""

    def build(lab: Lab) -> None:
        dataset(
            lab,
            "C-FIND-RQ",
            lambda ds: ds.item("ScheduledProcedureStepSequence").put("ScheduledStationAETitle", station),
        )
        MX1(lab, ae=calling).worklist(RIS, [Scan()])

    found, _ = _verdicts(tmp_path, build, "mx1", reference=True, config={"ae_titles": titles})
    assert found["MX-D-10"] == {Verdict.PASS if right else Verdict.FAIL}


MPPS_DOWN: Final = (4.0, "modality.warning", {"service": "mpps", "peer": "mpps", "text": "no connection"})
MPPS_PEER: Final = {"ae_title": "RIS", "address": RIS.address, "port": RIS.port}


def _without_step(lab: Lab, how: str = "refused", port: int = RIS.port, late: bool = False) -> None:
    """The MPPS peer is not there, and the exam goes on."""

    def knock() -> None:
        lab.wait(3)
        lab.connect("10.0.0.5", RIS.address, port).handshake = how
        lab.wait(10)

    if not late:
        knock()
    VXvue(lab).store(PACS, exam(), mpps=False)
    if late:
        knock()


@pytest.mark.parametrize("how", ["refused", "unanswered"])
def test_images_are_sent_although_nobody_takes_the_step(tmp_path: Path, how: str) -> None:
    """Nothing of the MPPS is on the wire but a connection that nobody answers, which the product told of."""
    found, _ = _verdicts(
        tmp_path,
        lambda lab: _without_step(lab, how),
        "vxvue",
        reference=True,
        config={"mpps": MPPS_PEER},
        events=journal(MPPS_DOWN),
    )
    assert found["VX-D-18"] == {Verdict.PASS}


@pytest.mark.parametrize(
    ("build", "config", "events"),
    [
        (_without_step, {"mpps": MPPS_PEER}, ()),
        (_without_step, {"mpps": MPPS_PEER}, journal()),
        (
            _without_step,
            {"mpps": MPPS_PEER},
            journal((4.0, "modality.warning", {"service": "worklist", "text": "x"})),
        ),
        (_without_step, {"mpps": MPPS_PEER}, journal((900.0, *MPPS_DOWN[1:]))),
        (_without_step, {}, journal(MPPS_DOWN)),
        (lambda lab: _without_step(lab, port=4000), {"mpps": MPPS_PEER}, journal(MPPS_DOWN)),
        (lambda lab: _without_step(lab, "whole"), {"mpps": MPPS_PEER}, journal(MPPS_DOWN)),
        (lambda lab: _without_step(lab, late=True), {"mpps": MPPS_PEER}, journal(MPPS_DOWN)),
    ],
    ids=[
        "no journal",
        "no warning",
        "another service",
        "another time",
        "no peer",
        "another port",
        "answered",
        "before",
    ],
)
def test_a_step_that_was_not_tried_is_no_failure_of_the_mpps(
    tmp_path: Path, build: Build, config: dict[str, Any], events: Any
) -> None:
    """Images without a step may have many reasons."""
    found, remarks = _verdicts(tmp_path, build, "vxvue", reference=True, config=config, events=events)
    assert "VX-D-18" not in {*found, *remarks}


def test_an_exam_whose_step_was_taken_is_no_failure_of_the_mpps(tmp_path: Path) -> None:
    """The peer came back before this exam."""

    def build(lab: Lab) -> None:
        lab.wait(3)
        lab.connect("10.0.0.5", RIS.address, RIS.port).handshake = "refused"
        lab.wait(10)
        VXvue(lab).exam(exam(), printer=PRINTER)

    found, _ = _verdicts(
        tmp_path, build, "vxvue", reference=True, config={"mpps": MPPS_PEER}, events=journal(MPPS_DOWN)
    )
    assert "VX-D-18" not in found


def test_the_defaults_of_a_right_exam(tmp_path: Path) -> None:
    def build(lab: Lab) -> None:
        vx = VXvue(lab)
        vx.be_verified(PACS)
        vx.exam(exam(), printer=PRINTER)
        vx.query(PACS, [exam()], StudyDate="20250615")

    found, remarks = _verdicts(tmp_path, build, "vxvue", reference=True)
    assert all(verdicts == {Verdict.PASS} for verdicts in found.values())
    assert not remarks
    wanted = "01 03 04 06 07 08 12 13 14 15 17 19 22 24 25 26 28 29 30 31 33 34 35 36 38 39 40"
    assert {f"VX-D-{n}" for n in wanted.split()} <= set(found)


def test_a_third_statement_has_no_defaults(tmp_path: Path) -> None:
    case = case_of(tmp_path, lambda lab: VXvue(lab).exam(exam(), printer=PRINTER))
    bare = replace(case, statement=replace(case.statement, defaults={}))
    assert findings(bare, MODULES) == []


@pytest.mark.parametrize("name", ["vxvue", "mx1"])
def test_every_default_is_judged_or_says_why_not(name: str) -> None:
    import importlib

    from bench.statements import load
    from tests.lab.services import checks

    judged = {id for one in checks(*MODULES) for id in one.ids}
    told: dict[str, Any] = {}
    for module in MODULES:
        told |= getattr(importlib.import_module(module), "UNSEEN", {})
    assert set(load(name).defaults) <= judged | set(told)
