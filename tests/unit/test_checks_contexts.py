"""Service and context rows of statements: what is proposed, with which transfer syntaxes and roles."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench.witness
from bench.checks.case import Case, Sut
from bench.checks.contexts import contexts, services
from bench.checks.verdicts import judge
from bench.statements import load
from simulators.wire import RoleSelection
from tests.lab.conversation import Lab
from tests.lab.elements import DataSet
from tests.unit.judged_conversations import DX, EXPLICIT, IMPLICIT, VERIFICATION, failing, verdicts

CR = "1.2.840.10008.5.1.4.1.1.1"
ACME = f"""
statement: acme-cr
prefix: AC
edition: {{document: ACME CR-7, revision: B, date: "2026-03-01", language: en}}
product: {{name: CR-7, vendor: ACME, kind: computed radiography reader}}
sections:
  - number: 1
    title: Services
    prefix: AC-GEN
    of: [1]
    kind: service
    clauses:
      - id: AC-GEN-01
        sop_class: {CR} Computed Radiography Image Storage
        role: SCU
  - number: 2
    title: Presentation contexts
    prefix: AC-PC
    of: [2]
    kind: context
    clauses:
      - id: AC-PC-01
        sop_class: {CR} Computed Radiography Image Storage
        transfer_syntaxes: [{IMPLICIT}, {EXPLICIT}]
        exact: true
        role: SCU
      - id: AC-PC-02
        sop_class: {VERIFICATION} Verification SOP Class
        transfer_syntaxes: [{IMPLICIT}]
        role: SCU
"""


def _acme(tmp_path: Path, lab: Lab) -> dict[str, str]:
    file = tmp_path / "acme.yaml"
    file.write_text(ACME, encoding="utf-8")
    capture = bench.witness.read(lab.write(tmp_path / "a.pcapng"))
    case = Case(load(file), capture, Sut(addresses=frozenset({"10.0.0.5"})))
    return {r.id: str(r.verdict) for r in judge(case, (contexts, services)) if r.id.startswith("AC-")}


@pytest.mark.parametrize(
    ("proposed", "wanted"),
    [
        ([(CR, [IMPLICIT, EXPLICIT])], "PASS"),
        ([(CR, [IMPLICIT]), (CR, [EXPLICIT])], "PASS"),
        ([(CR, [EXPLICIT, IMPLICIT])], "PASS"),
        ([(CR, [IMPLICIT])], "FAIL"),
        ([(CR, [IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2"])], "FAIL"),
        ([(VERIFICATION, [IMPLICIT, EXPLICIT])], "NOT-EXERCISED"),
    ],
)
def test_a_statement_of_another_vendor(
    tmp_path: Path, proposed: list[tuple[str, list[str]]], wanted: str
) -> None:
    lab = Lab()
    a = lab.associate(contexts=proposed)
    a.accept()
    a.release()
    found = _acme(tmp_path, lab)
    assert found["AC-PC-01"] == wanted
    assert found["AC-PC-02"] == ("PASS" if proposed[0][0] == VERIFICATION else "NOT-EXERCISED")


def test_a_service_that_is_used_refused_or_idle(tmp_path: Path) -> None:
    lab = Lab()
    a = lab.associate(contexts=[(CR, [IMPLICIT, EXPLICIT])])
    a.accept(refuse=[CR])
    a.release()
    assert _acme(tmp_path, lab)["AC-GEN-01"] == "N/A"
    b = lab.associate(contexts=[(CR, [IMPLICIT, EXPLICIT])])
    b.accept()
    image = DataSet(SOPClassUID=CR, SOPInstanceUID="2.25.1")
    b.request("C-STORE-RQ", image, sop_class=CR, sop_instance="2.25.1", Priority=0)
    b.respond()
    b.release()
    assert _acme(tmp_path, lab)["AC-GEN-01"] == "PASS"


def test_roles_that_the_table_does_not_have() -> None:
    lab = Lab()
    a = lab.associate(contexts=[(DX, [EXPLICIT])], user_items=[RoleSelection(DX, 1, 1)])
    a.accept()
    a.release()
    assert failing(lab) == {"VX-PC-006"}


def test_roles_that_the_table_has() -> None:
    lab = Lab()
    commitment = "1.2.840.10008.1.20.1"
    a = lab.associate(contexts=[(commitment, [EXPLICIT])], user_items=[RoleSelection(commitment, 1, 1)])
    a.accept()
    a.release()
    found = verdicts(lab)
    assert found["VX-PC-004"] == "PASS"
    assert "FAIL" not in found.values()


def test_what_others_propose_to_the_product_is_no_row_of_its_table() -> None:
    lab = Lab()
    a = lab.associate(client="10.0.0.9", server="10.0.0.5", called="VXVUE", implementation_class="1.2.3",
                      contexts=[(VERIFICATION, [IMPLICIT, "1.2.840.10008.1.2.2"])])  # fmt: skip
    a.accept(implementation_class="1.3.6.1.4.1.19719", implementation_version=None)
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()
    found = verdicts(lab)
    assert "FAIL" not in found.values()
    assert found["VX-PC-001"] == "NOT-EXERCISED"
