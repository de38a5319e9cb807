"""The command line: every command is there, wrong words end with 2, and slow things are not imported for help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_every_command_of_the_readme_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """What the README promises is known to the program."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for command in ("run", "enter", "list", "plan", "check", "report", "statement", "doctor", "simulate"):
        assert f"    {command} " in said or f"    {command}\n" in said, command


@pytest.mark.parametrize(
    "command", [["run", "no-such-scenario"], ["check", "no/such/file.yaml"], ["report", "nowhere"]]
)
def test_what_is_not_there_ends_with_2(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, exit code 2, no traceback."""
    monkeypatch.chdir(ROOT)
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.strip()
    assert "Traceback" not in said


def test_statements_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """All 770 clauses as JSON; one clause with the statement's words."""
    assert main(["statement", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["statements"]
    assert sum(len(statement["clauses"]) for statement in listed) == 770
    assert main(["statement", "show", "vxvue", "VX-ASC-001"]) == 0
    assert "16384" in capsys.readouterr().out
    assert main(["statement", "show", "vxvue", "VX-ASC-999"]) == 2


def test_a_dry_run_touches_nothing_and_names_everything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts, addresses, links, seed and steps of a cell, without a run folder."""
    monkeypatch.chdir(ROOT)
    before = sorted((ROOT / "reports").iterdir())
    assert main(["plan", "one-exam", "--backend", "veth"]) == 0
    said = capsys.readouterr().out
    for part in ("10.77.0.21", "port=104", "1000BASE-T", "seed", "one-exam.yaml:", "modbench run 'one-exam["):
        assert part in said
    assert sorted((ROOT / "reports").iterdir()) == before


def test_help_is_quick() -> None:
    """Neither numpy nor the DICOM stack is loaded to print a help text."""
    code = (
        "import sys, bench.cli\n"
        "bad = {'numpy', 'pydicom', 'pynetdicom', 'scapy'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
