"""Lint: many files at once, quickly, from the command line too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.scenario import lint

GOOD = "scenario: {name}\nproduct: vxvue\nsteps:\n  - operator.send:\n"


def test_faults_of_all_files_and_names_that_are_there_twice(tmp_path: Path) -> None:
    for file, name in (("a", "one"), ("b", "two"), ("c", "one"), ("d", "Bad")):
        (tmp_path / f"{file}.yaml").write_text(GOOD.format(name=name), encoding="utf-8")
    found = lint([*sorted(tmp_path.glob("*.yaml")), tmp_path / "e.yaml"])
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in found] == [
        f"c.yaml:1: scenario 'one' is also the name of {tmp_path / 'a.yaml'}",
        "d.yaml:1: scenario: 'Bad' is not a name of small letters, digits and single hyphens",
        "e.yaml:1: cannot be read: No such file or directory",
    ]


def test_the_command_line_says_every_fault_and_ends_with_2(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD.format(name="good"), encoding="utf-8")
    bad.write_text(GOOD.format(name="bad").replace("send", "sendd"), encoding="utf-8")
    for files, code in (([good], 0), ([good, bad], 2)):
        command = [sys.executable, "-m", "bench.scenario", *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code
        assert done.stderr.count("\n") == (code > 0)
    assert "bad.yaml:4: unknown step 'operator.sendd' (did you mean 'operator.send'" in done.stderr


def test_lint_imports_nothing_heavy() -> None:
    """A lint of a whole suite is to be done in a second: pydicom and numpy alone would take half of it."""
    text = GOOD.format(name="a") + "  - expect: pacs.stored\n    dataset: {Rows: 1}\n"
    code = (
        f"import sys; from bench.scenario import load_text; load_text({text!r});"
        "print(sorted({'pydicom', 'numpy', 'pynetdicom', 'pyroute2', 'scapy', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
