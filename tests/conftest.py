"""What all tests share: witnesses that must not be silently absent where they are required, and signals as they are."""

from __future__ import annotations

import os
import signal

import pytest

_skipped_witnesses: list[str] = []


def pytest_configure() -> None:
    """Let Ctrl-C be tested where a shell started the tests in the background: what it starts so ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
