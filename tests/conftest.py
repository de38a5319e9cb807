"""What all tests share: witnesses that must not be silently absent where they are required, and signals as they are."""

from __future__ import annotations

import os
import signal

import pytest

try:
    import hypothesis
except ImportError:
    hypothesis = None  # type: ignore[assignment]

_skipped_witnesses: list[str] = []


def pytest_configure() -> None:
    """Examples have no time limit of their own, and Ctrl-C can be tested where a shell started the tests.

    What a shell starts in the background ignores SIGINT.
    """
    if hypothesis is not None:  # a machine that stands still for a moment has found nothing
        hypothesis.settings.register_profile(
            "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
        )
        hypothesis.settings.load_profile("patient")
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
