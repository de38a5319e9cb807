"""The expectation engine: pure judgement of ``expect``, ``never`` and ``order`` over one event stream."""

from bench.expect.engine import Engine
from bench.expect.outcome import EventLike, FaultOutcome, Near, Outcome, Report, Status

__all__ = ["Engine", "EventLike", "FaultOutcome", "Near", "Outcome", "Report", "Status"]
