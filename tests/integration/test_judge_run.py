"""A run for real ends in a table of clauses, and judging it again without a bench gives the same table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.links.probe import probe

ROOT = Path(__file__).resolve().parents[2]
LINKS = {report.name for report in probe() if report.available} & {"veth", "userns"}

pytestmark = [pytest.mark.netns, pytest.mark.skipif(not LINKS, reason="no network namespaces here")]


def modbench(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )


def told(clauses: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {clause["id"]: (clause["verdict"], clause["reason"]) for clause in clauses}


def test_a_run_and_its_judgement_agree(tmp_path: Path) -> None:
    """The reference modality breaks nothing; what departs from the standard is declared; the table is the same."""
    scenario = ROOT / "scenarios" / "regression" / "one-exam.yaml"
    done = modbench("run", scenario, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "out").iterdir()
    results = json.loads((run / "results.json").read_text())
    (cell,) = results["cells"]
    assert cell["wire"]["errors"] == []
    assert cell["wire"]["sut"] == "10.77.0.10"
    assert cell["wire"]["messages"] > 6
    verdicts = {clause["id"]: clause["verdict"] for clause in cell["clauses"]}
    assert sum(verdict == "PASS" for verdict in verdicts.values()) > 250
    assert not [id for id, verdict in verdicts.items() if verdict in ("FAIL", "ERROR")]
    undeclared = [
        clause["id"]
        for clause in cell["clauses"]
        if clause["verdict"] == "DEV-FROM-STD" and "expected" not in clause
    ]
    assert not undeclared, "each departure of the reference modality follows an erratum and is declared"
    assert len(results["clauses"]) > 569, "what nothing touched stands in the table too"

    again = modbench("judge", run, "--json", tmp_path / "again.json", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    found = json.loads((tmp_path / "again.json").read_text())
    assert told(found["clauses"]) == told(results["clauses"])

    # The capture alone, as if it came from the field: other verdicts only where the configuration is not known.
    bare = modbench(
        "judge",
        *(run / "cells").glob("*/wire.pcapng"),
        "--statement",
        "vxvue",
        "--json",
        tmp_path / "bare.json",
        cwd=tmp_path,
    )
    assert bare.returncode in (0, 1), bare.stderr
    alone = told(json.loads((tmp_path / "bare.json").read_text())["clauses"])
    assert not [id for id, (verdict, _) in alone.items() if verdict in ("FAIL", "ERROR")]
    assert "10.77.0.10" in bare.stdout
