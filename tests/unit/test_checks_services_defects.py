"""Each rule and clause of the services is turned by a defect of its own, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.servicedefects import DEFECTS
from tests.lab.services import failures, judged


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_defect_turns_its_rows_and_no_others(name: str, tmp_path: Path) -> None:
    build, fails, how = DEFECTS[name]
    assert failures(judged(tmp_path, build, **how)) == fails


def test_every_wire_row_has_a_defect() -> None:
    from bench.checks.standard import rules
    from bench.statements import load
    from tests.lab.services import VXVUE, checks

    turned = set().union(*(fails for _, fails, _ in DEFECTS.values()))
    wanted = {id for id in rules() if id.startswith("STD-SVC-")}
    claims = {
        "VX-STO-003",
        "VX-STO-004",
        "VX-MWL-004",
        "VX-MPPS-009",
        "VX-MPPS-010",
        "VX-MPPS-011",
        "VX-MPPS-012",
    }
    claims |= {"VX-STO-007", "VX-MWL-007", "VX-PRN-011", "VX-QR-006", "VX-SR-006"}
    wanted |= {id for one in checks(*VXVUE) for id in one.ids} - claims
    assert wanted <= set(load("vxvue").by_id) | set(rules())
    assert not wanted - turned
