"""modbench and pytest run scenarios for real: verdicts, exit codes, reports, users, and what remains afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.journal import verify
from bench.links.probe import probe
from bench.pytest_plugin import RUN_DIR
from bench.results import cell_folder

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = {report.name: report.available for report in probe()}

needs_links = pytest.mark.skipif(
    not (BACKENDS["veth"] or BACKENDS["userns"]), reason="no network namespaces here"
)

APART = {name: value for name, value in os.environ.items() if name != RUN_DIR}
"""What is run here has a run folder of its own, also where this test is part of a parallel run."""
HEAD = """\
scenario: {name}
title: A question to the RIS
product: vxvue
covers: [VX-MWL-001]
"""
ASK = """\
steps:
  - ris.worklist: {{items: [{{PatientName: Doe^Jane, PatientID: "1", AccessionNumber: A1}}]}}
  - operator.query_worklist:
    as: asked
"""
EXPECT = """\
  - expect: ris.queried
    after: asked
    within: 10 s
    count: 1
"""


def scenario(folder: Path, name: str, body: str, head: str = HEAD) -> Path:
    """Write a scenario file below a folder named scenarios."""
    file = folder / "scenarios" / f"{name}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text((head + body).format(name=name))
    return file


def modbench(*arguments: object, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**APART, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        **options,
    )


def results(out: Path) -> Mapping[str, Any]:
    """Return results.json of the only run."""
    (file,) = out.glob("*/results.json")
    found: Mapping[str, Any] = json.loads(file.read_text())
    return found


@needs_links
@pytest.mark.netns
def test_a_run_leaves_a_report_that_can_be_checked(tmp_path: Path) -> None:
    """Exit 0, a report whose path is the last line, a journal whose chain holds, a capture that lost nothing."""
    file = scenario(tmp_path, "ask", ASK + EXPECT)
    done = modbench("run", file, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = Path(done.stdout.strip().splitlines()[-1].removeprefix("report: "))
    assert report.exists()
    html = report.read_text()
    assert not re.search(r"""(src|href)=["']https?://""", html), "the report must work without a network"
    (cell,) = results(tmp_path / "out")["cells"]
    assert cell["verdict"] == "PASS"
    folder = report.parent / "cells" / cell_folder(cell["id"])
    assert verify(folder / "journal.jsonl").ok
    assert {link["name"] for link in cell["links"]} >= {"modality", "ris", "pacs", "printer", "detector"}
    for link in cell["links"]:
        assert abs(link["measured_mbps"] / link["nominal_mbps"] - 1) <= 0.05
    lan = next(link for link in cell["links"] if link["name"] == "modality")
    assert lan["capture"]["packets"] > 0
    assert lan["capture"]["dropped"] == 0
    assert cell["repeat"] == "modbench run 'ask' --seed 1"


@needs_links
@pytest.mark.netns
def test_verdicts_and_exit_codes(tmp_path: Path) -> None:
    """A product that does not do what is expected is FAIL and 1; a fault that never fires is ERROR and 2."""
    scenario(
        tmp_path, "missed", ASK + EXPECT.replace("10 s", "1 s").replace("count: 1", "where: {{matches: 7}}")
    )
    scenario(tmp_path, "duplicate", ASK + "  - operator.query_worklist:\n" + EXPECT)
    scenario(tmp_path, "strict", ASK)
    out = tmp_path / "out"
    done = modbench("run", tmp_path / "scenarios", "--out", out, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    cells = {cell["id"]: cell for cell in results(out)["cells"]}
    assert {name: cell["verdict"] for name, cell in cells.items()} == {
        "missed": "FAIL",
        "duplicate": "FAIL",
        "strict": "FAIL",
    }
    assert "missed.yaml:9" in done.stdout, done.stdout
    assert "matches" in done.stdout  # what did arrive, and why it did not fit
    assert "ris.queried" in cells["strict"]["reason"]
    shutil.rmtree(tmp_path / "scenarios")
    scenario(
        tmp_path,
        "unfired",
        ASK.replace("  - operator", "  - arm: {{pacs.abort: {{}}}}\n  - operator") + EXPECT,
    )
    out = tmp_path / "second"
    done = modbench("run", tmp_path / "scenarios", "--out", out, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    (cell,) = results(out)["cells"]
    assert cell["verdict"] == "ERROR"


def test_a_wrong_file_starts_nothing(tmp_path: Path) -> None:
    """Every fault with its line, exit 2, and no run folder."""
    file = scenario(
        tmp_path, "wrong", ASK.replace("AccessionNumber", "AcessionNumber") + EXPECT + "  - fly:\n"
    )
    done = modbench("run", file, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(r"wrong\.yaml:6: .*AcessionNumber.*AccessionNumber", done.stderr), done.stderr
    assert re.search(r"wrong\.yaml:13: .*fly", done.stderr), done.stderr
    assert not (tmp_path / "out").exists()


def test_loopback_says_that_no_link_was_tested(tmp_path: Path) -> None:
    """The same cell without namespaces passes, and the report is loud about what that does not prove."""
    scenario(tmp_path, "ask", ASK + EXPECT)
    pull = "  - link.pull: {{host: pacs}}\n  - link.plug: {{host: pacs}}\n"
    scenario(tmp_path, "pulled", ASK + pull + EXPECT)
    out = tmp_path / "out"
    done = modbench("run", tmp_path / "scenarios", "--out", out, "--backend", "loopback", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no link was tested" in done.stdout
    run = results(out)
    cells = {cell["id"]: cell for cell in run["cells"]}
    assert cells["ask"]["verdict"] == "PASS"
    assert all(not link["tested"] for link in cells["ask"]["links"])
    assert cells["pulled"]["verdict"] == "NOT-EXERCISED"
    assert "cable" in cells["pulled"]["not_runnable"]
    (html,) = out.glob("*/index.html")
    assert "no link was tested" in html.read_text().lower()


@pytest.mark.netns
@pytest.mark.skipif(
    os.geteuid() != 0 or not BACKENDS["userns"], reason="needs root to become an ordinary user"
)
def test_an_ordinary_user_gets_namespaces_too(tmp_path: Path) -> None:
    """The same file, the same verdict, links that are calibrated: in a user namespace."""
    try:
        subprocess.run([sys.executable, "-c", "pass"], user=65534, group=65534, extra_groups=[], check=True)
    except PermissionError:
        pytest.skip("this Python lives where only root may go")
    file = scenario(tmp_path, "ask", ASK + EXPECT)
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and path.is_relative_to("/tmp/") and path != Path("/tmp"):
            path.chmod(0o777)
    out = tmp_path / "out"
    done = modbench("run", file, "--out", out, cwd=tmp_path, user=65534, group=65534, extra_groups=[])
    assert done.returncode == 0, done.stdout + done.stderr
    (cell,) = results(out)["cells"]
    assert {link["backend"] for link in cell["links"]} == {"userns"}
    assert all(abs(link["measured_mbps"] / link["nominal_mbps"] - 1) <= 0.05 for link in cell["links"])


@needs_links
@pytest.mark.netns
def test_pytest_collects_the_same_cells(tmp_path: Path) -> None:
    """One item per cell, failures with file and line, one run folder for all workers of a session."""
    scenario(tmp_path, "ask", ASK + EXPECT)
    scenario(tmp_path, "strict", ASK)

    def pytest_run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "scenarios"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            env={**APART, "PYTHONPATH": str(ROOT), "COLUMNS": "160"},
        )

    listed = pytest_run("--collect-only", "-q")
    assert "scenarios/ask.yaml::ask" in listed.stdout, listed.stdout + listed.stderr
    done = pytest_run("-n", "2", "-q", f"--bench-out={tmp_path / 'out'}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert "strict.yaml:" in done.stdout
    assert "Traceback" not in done.stdout
    run = results(tmp_path / "out")
    assert {cell["id"]: cell["verdict"] for cell in run["cells"]} == {"ask": "PASS", "strict": "FAIL"}
    only = pytest_run("-k", "ask", "-q", f"--bench-out={tmp_path / 'second'}")
    assert only.returncode == 0, only.stdout + only.stderr


@needs_links
@pytest.mark.netns
def test_a_failed_cell_is_held_until_ctrl_c(tmp_path: Path) -> None:
    """Held for a look, then ended in order: the verdict, the report and exit code of an interrupted run."""
    file = scenario(
        tmp_path, "missed", ASK + EXPECT.replace("10 s", "1 s").replace("count: 1", "where: {{matches: 7}}")
    )
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", str(file), "--out", str(out), "--hold-on-failure"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**APART, "PYTHONPATH": str(ROOT)},
    )
    try:
        deadline = time.monotonic() + 120
        while not (held := list(out.glob("*/cells/*/held.json"))):
            assert time.monotonic() < deadline, "it was not held"
            assert process.poll() is None
            time.sleep(0.05)  # a file is all that another program gets to see of a held cell
        pids = json.loads(held[0].read_text())
        assert {"modality", "ris", "pacs", "frontend"} <= set(pids)
        assert all(Path(f"/proc/{pid}").exists() for pid in pids.values())
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 2, said
    run = results(out)
    assert [cell["verdict"] for cell in run["cells"]] == ["FAIL"]
    assert "interrupted" in run["run"]["errors"][0]
    assert list(out.glob("*/index.html"))


PYTHON_TEST = """
SCENARIO = '''scenario: from-python
product: vxvue
steps:
  - ris.worklist: {items: [{PatientName: Doe^Jane, PatientID: "1", AccessionNumber: A1}]}
  - operator.query_worklist:
    as: asked
  - expect: ris.queried
    after: asked
'''

def test_from_python(bench_run):
    (cell,) = bench_run(SCENARIO)
    assert cell.verdict.value == "PASS", cell.reason
"""


@needs_links
@pytest.mark.netns
def test_python_tests_use_the_same_steps(tmp_path: Path) -> None:
    """A fixture runs scenario text from an ordinary test, into the same run folder."""
    (tmp_path / "test_it.py").write_text(PYTHON_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--bench-out={tmp_path / 'out'}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**APART, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(tmp_path / "out")["counts"]["PASS"] == 1


def test_the_readme_commands_are_the_ones_that_are_tested() -> None:
    """The landing check takes its command from the README; both commands end in an environment of tox.ini."""
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2
    environments = re.findall(r"^\[testenv:(\w+)\]$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    assert [command.rpartition(" ")[2] in environments for command in commands] == [True, True]
