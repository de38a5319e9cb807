"""The rules of the house: who may import whom, what starts slowly, what must run on a service engineer's laptop."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAY_NOT: dict[str, tuple[str, ...]] = {
    "modality": ("bench", "simulators"),
    "simulators": ("bench", "modality"),
    "bench": ("modality",),
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every absolute import of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module or ""


@pytest.mark.parametrize("package", MAY_NOT)
def test_packages_keep_apart(package: str) -> None:
    """Bench, simulators and modality are three worlds; only the bench may look down on the simulators."""
    bad = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in (ROOT / package).rglob("*.py")
        for line, name in imports(path)
        if name.split(".")[0] in MAY_NOT[package]
    ]
    assert not bad, "\n".join(bad)


def test_only_its_own_tests_import_the_modality() -> None:
    """The system under test is a process; a test that imports it must say so in its name."""
    bad = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith(("test_modality", "test_acquisition"))
        and any(name.split(".")[0] == "modality" for _, name in imports(path))
    ]
    assert not bad, bad


LIVE = ("bench.runner", "bench.links", "bench.volumes", "bench.sandbox", "bench.zygote", "bench.sut")


def test_judges_and_reports_touch_nothing_live() -> None:
    """Checks, statements, results and reports read what a run left, never the bench that made it."""
    judges = [
        p
        for part in ("report", "checks", "statements", "field")
        for p in (ROOT / "bench" / part).rglob("*.py")
    ]
    judges += [ROOT / "bench" / f"{name}.py" for name in ("journal", "results", "verdict", "kinds")]
    bad = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in judges
        if path.exists()
        for line, name in imports(path)
        if name.startswith(LIVE) or (name.startswith("simulators") and not name.startswith("simulators.wire"))
    ]
    assert not bad, "\n".join(bad)


def test_report_path_has_no_linux_only_import() -> None:
    """``modbench report`` runs on a laptop without namespaces: importing it must not load Linux-only modules."""
    code = (
        "import sys\n"
        "for name in ('pyroute2', 'fcntl', 'termios', 'resource'): sys.modules[name] = None\n"
        "import bench.report, bench.journal, bench.results, bench.verdict\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


def test_actors_start_without_slow_imports() -> None:
    """scapy takes a second to import and must never be in an actor's start."""
    code = (
        "import sys, simulators.pacs, simulators.ris, simulators.detector, simulators.generator, simulators.panel\n"
        "bad = {'scapy', 'pynetdicom', 'matplotlib'} & {m.split('.')[0] for m in sys.modules}\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
