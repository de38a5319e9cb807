"""The linter finds by comparison what readers of the two statements found by hand, and what is planted in a third."""

from __future__ import annotations

import json

import pytest

from bench.statements import load
from bench.statements.cli import run_lint
from bench.statements.lint import RULES, LintFinding, lint
from bench.statements.loader import load_text

CONTRADICTIONS = [
    # statement, rule, clause or words, erratum that decides it: what the research found by hand
    ("vxvue", "missing", "PositionerType", None),
    ("vxvue", "missing", "AcquisitionContextSequence", "VX-E-61"),
    ("vxvue", "missing", "ScheduledProtocolCodeSequence", "VX-E-59"),
    ("vxvue", "transfer-syntax", "VX-PC-001", "VX-E-13"),
    ("vxvue", "always-empty", "VX-MPPS-NS-016", "VX-E-44"),
    ("vxvue", "value", "VX-SR-A-038", None),  # Completion Flag PARTIAL
    ("vxvue", "content-tree", "VX-SR-T-004", "VX-E-50"),  # Scope of Accumulation
    ("vxvue", "content-tree", "VX-SR-T-023", "VX-E-53"),  # uGy.m2
    ("vxvue", "content-tree", "SRT", "VX-E-49"),
    ("vxvue", "twice", "VX-STO-DX-098", "VX-E-24"),  # Patient Orientation 2C and 1
    ("vxvue", "twice", "VX-STO-DX-041", "VX-E-18"),  # Modality DX, CR and DX
    ("vxvue", "tag", "VX-STO-DX-096", "VX-E-01"),
    ("vxvue", "tag", "VX-QR-K-002", "VX-E-01"),
    ("vxvue", "name", "VX-STO-DX-115", "VX-E-30"),  # Window Level
    ("vxvue", "value", "VX-STO-DX-119", "VX-E-31"),  # SCINTILATOR
    ("vxvue", "value", "VX-STO-DX-112", "VX-E-29"),  # IDENTIT
    ("vxvue", "value", "VX-STO-DX-125", "VX-E-25"),  # Detector Binning
    ("vxvue", "value", "VX-PRN-FB-004", "VX-E-35"),  # 8.5INX11IN
    ("vxvue", "value", "VX-PRN-IB-009", "VX-E-20"),  # 14 bits on film
    ("vxvue", "excluding-values", "VX-STO-DX-112", "VX-E-29"),
    ("vxvue", "type", "VX-MPPS-NS-006", "VX-E-60"),
    ("vxvue", "type", "VX-SR-A-044", "VX-E-42"),
    ("vxvue", "type", "VX-STO-DX-105", "VX-E-28"),
    ("vxvue", "key-type", "VX-MWL-K-003", "VX-E-33"),
    ("vxvue", "key-type", "VX-QR-K-008", "VX-E-45"),
    ("vxvue", "retired", "VX-STO-DX-006", "VX-E-15"),
    ("vxvue", "character-set", "VX-CS-025", "VX-E-57"),
    ("vxvue", "character-set", "VX-CS-023", "VX-E-56"),
    ("vxvue", "identity", "VX-ASC-007", "VX-E-11"),
    ("mx1", "profile", "MX-MED-006", "MX-E-06"),
    ("mx1", "profile", "MX-MED-PC-002", "MX-E-06"),
    ("mx1", "transfer-syntax", "MX-STO-PC-003", "MX-E-05"),
    ("mx1", "tag", "MX-MWL-MK-05", "MX-E-12"),
    ("mx1", "identity", "MX-VER-007", "MX-E-03"),
]


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[LintFinding, ...]]:
    return {name: lint(load(name)) for name in ("vxvue", "mx1")}


@pytest.mark.parametrize(("statement", "rule", "where", "erratum"), CONTRADICTIONS)
def test_what_readers_found_is_found(
    found: dict[str, tuple[LintFinding, ...]], statement: str, rule: str, where: str, erratum: str | None
) -> None:
    hits = [f for f in found[statement] if f.rule == rule and (where in f.clauses or where in f.says)]
    assert hits, f"{rule} says nothing of {where}"
    assert all(hit.line for hit in hits)
    if erratum is None:
        assert all(hit.open for hit in hits)
    else:
        assert any(erratum in hit.errata and hit.reading for hit in hits)


@pytest.mark.parametrize("name", ["vxvue", "mx1"])
def test_every_erratum_is_reported_once_found_or_noted(
    found: dict[str, tuple[LintFinding, ...]], name: str
) -> None:
    statement = load(name)
    compared = {id for f in found[name] if f.rule != "noted" for id in f.errata} & set(statement.errata)
    noted = [f.errata[0] for f in found[name] if f.rule == "noted"]
    assert sorted([*compared, *noted]) == sorted(statement.errata)


GOOD = """
statement: acme
prefix: AC
edition: {document: ACME, revision: 1, date: "2026-01-01"}
product: {name: A, vendor: B, kind: C}
sections:
  - number: 1
    title: Contexts
    prefix: AC-PC
    of: [1]
    kind: context
    clauses:
      - id: AC-PC-01
        sop_class: 1.2.840.10008.1.1 Verification
        role: SCU
        transfer_syntaxes: [1.2.840.10008.1.2]
  - number: 2
    title: Images
    prefix: AC-IMG
    of: [2]
    kind: attribute
    dataset: object
    sop_classes: [1.2.840.10008.5.1.4.1.1.1]
    clauses:
      - id: AC-IMG-01
        attribute: (0008,0060) Modality CS 1
        types: {printed: 1, standard: 1, product: 1}
        values: [CR]
"""


def test_a_statement_without_fault_has_no_finding() -> None:
    assert lint(load_text(GOOD, "acme.yaml")) == ()


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("[1.2.840.10008.1.2]", "[1.2.840.10008.1.2.1]", "transfer-syntax"),
        ("[1.2.840.10008.1.2]", "[1.2.840.10008.1.2, 1.2.840.10008.1.2.2]", "transfer-syntax"),
        ("printed: 1, standard: 1", "printed: 3, standard: 1", "type"),
        ("values: [CR]", "values: [CR]\n        printed: {name: Modus}", "name"),
        (
            "        values: [CR]",
            "        values: [CR]\n      - id: AC-IMG-02\n        attribute: (0008,0060) Modality CS 1\n"
            "        types: {printed: 1, standard: 1, product: 1}\n        values: [DX]",
            "twice",
        ),
    ],
)
def test_one_planted_fault_is_one_rules_finding(old: str, new: str, rule: str) -> None:
    assert GOOD.count(old) == 1
    findings = lint(load_text(GOOD.replace(old, new), "acme.yaml"))
    assert {f.rule for f in findings} == {rule}
    assert all(f.open for f in findings), "nobody has decided it"


def test_every_rule_says_what_it_is() -> None:
    assert all(rule.__doc__ for rule in RULES.values())


def test_the_command_prints_and_tells_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_lint("mx1", json=False) == 0
    text = capsys.readouterr().out
    assert "mx1.yaml:" in text
    assert "contradiction:" in text
    assert run_lint("mx1", json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["findings"]) == len(lint(load("mx1")))
    assert run_lint("no-such", json=False) == 2
