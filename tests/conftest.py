"""What all tests share: witnesses that must not be silently absent where they are required."""

from __future__ import annotations

import os

import pytest

_skipped_witnesses: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember every witness test that was skipped, with its reason."""
    if report.skipped and "witness" in report.keywords and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped_witnesses.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where witnesses are required (the landing check), a skipped one is a failure."""
    if os.environ.get("MODBENCH_REQUIRE_WITNESSES") and _skipped_witnesses:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which witness was missing."""
    if os.environ.get("MODBENCH_REQUIRE_WITNESSES") and _skipped_witnesses:
        terminalreporter.section("witnesses that are required here and were skipped")
        for line in _skipped_witnesses:
            terminalreporter.line(line)
