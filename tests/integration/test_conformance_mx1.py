"""The MX1's conformance scenarios run for real: green cells, clauses with evidence, every clause somewhere covered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from bench.links.probe import probe
from bench.scenario import load
from bench.statements import load as statement
from bench.volumes.backends import best

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scenarios" / "conformance" / "mx1"
BACKENDS = {report.name: report.available for report in probe()}
FILES: Final = ("one-study", "media-export", "media-foreign", "media-pulled-and-kept")
NOT_COVERED: Final = {"MX-COM-002"}
"""Not to be tested from outside."""
GREEN: Final = ("PASS", "PASS-ERRATUM", "N/A", "NOT-EXERCISED")

needs_links = pytest.mark.skipif(
    not (BACKENDS["veth"] or BACKENDS["userns"]), reason="no network namespaces here"
)
needs_mounts = pytest.mark.skipif(
    best().name not in ("block", "fuse"), reason="nothing can be mounted here: a medium cannot be pulled"
)


def test_every_clause_is_covered_by_a_scenario() -> None:
    """Which clauses a scenario says it covers; what no scenario names is known by name."""
    covered = {id for path in FOLDER.glob("*.yaml") for id in load(path).covers}
    clauses = statement("mx1").by_id
    assert covered <= {*clauses, *statement("mx1").defaults}
    ids = {path.stem: load(path) for path in FOLDER.glob("*.yaml")}
    assert all(scenario.title and scenario.purpose and scenario.covers for scenario in ids.values())
    assert len({scenario.name for scenario in ids.values()}) == len(ids)


def test_the_cases_of_ihe_pdi_are_named() -> None:
    """1901 to 1905: somebody who knows them finds them."""
    text = (FOLDER / "media-export.yaml").read_text(encoding="utf-8")
    assert all(number in text for number in ("1901", "1902", "1903", "1904", "1905"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The results of a part of the folder, run as a user would."""
    out = tmp_path_factory.mktemp("conformance")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", *(FOLDER / f"{name}.yaml" for name in FILES), "--out", out],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "200"},
    )
    (file,) = out.glob("*/results.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {**found, "said": done.stdout + done.stderr, "code": done.returncode, "folder": file.parent}


@needs_links
@needs_mounts
@pytest.mark.netns
def test_a_part_of_the_folder_is_green(run: Mapping[str, Any]) -> None:
    """Every cell passes, no clause fails, and what deviates from the standard is declared."""
    assert run["code"] == 0, run["said"]
    assert {cell["verdict"] for cell in run["cells"]} == {"PASS"}
    news = [
        (cell["id"], clause["id"], clause["verdict"], clause["reason"])
        for cell in run["cells"]
        for clause in cell["clauses"]
        if clause["verdict"] not in GREEN and "expected" not in clause
    ]
    assert not news


@needs_links
@needs_mounts
@pytest.mark.netns
def test_wire_and_media_are_judged(run: Mapping[str, Any]) -> None:
    """Clauses of network, creator, updater, foreign media and interruption have evidence in these four cells."""
    told = {clause["id"]: clause for clause in run["clauses"]}
    for id in (
        *("MX-VER-001", "MX-STO-010", "MX-MWL-009", "MX-MED-001", "MX-MED-003", "MX-MED-004", "MX-MED-005"),
        *("MX-MED-006", "MX-MED-007", "MX-GEN-004", "MX-GEN-005", "MX-MED-DIR-10", "MX-D-25", "STD-X-081"),
    ):
        assert told[id]["verdict"] == "PASS", (id, told[id]["reason"])
        assert told[id]["evidence"], id


@needs_links
@needs_mounts
@pytest.mark.netns
def test_it_can_be_judged_again(run: Mapping[str, Any], tmp_path: Path) -> None:
    """The run folder holds all that the judge needs: the same verdicts come out of it."""
    out = tmp_path / "again.json"
    subprocess.run(
        [sys.executable, "-m", "bench", "judge", run["folder"], "--json", out],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    again = {cell["id"]: cell for cell in json.loads(out.read_text(encoding="utf-8"))["cells"]}
    for cell in run["cells"]:
        before = {clause["id"]: clause["verdict"] for clause in cell["clauses"]}
        after = {clause["id"]: clause["verdict"] for clause in again[cell["id"]]["clauses"]}
        assert before == after, cell["id"]
