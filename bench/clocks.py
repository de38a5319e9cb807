"""Two clocks: the monotonic one of the journal, and the wall clock of captures and people.

Rules of this file:

* Both are read together (:func:`read_clock_pair`) at the start, at the end and every second, and journalled as
  ``clock.pair``.
* A wall time is never given without its uncertainty (:class:`ClockMap`).
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.journal import Event


class ClockError(Exception):
    """There is no pair of clocks to go by."""


@dataclass(frozen=True, slots=True)
class ClockPair:
    """CLOCK_MONOTONIC and CLOCK_REALTIME of one moment (ns); they belong together ± ``uncertainty``."""

    mono: int
    real: int
    uncertainty: int = 1_000

    def to_data(self) -> dict[str, int]:
        """Return the data of a ``clock.pair`` event."""
        return {"mono": self.mono, "real": self.real, "uncertainty": self.uncertainty}


def read_clock_pair(tries: int = 5) -> ClockPair:
    """Read both clocks; of several tries the one in which the least time passed between the reads."""
    best: ClockPair | None = None
    for _ in range(tries):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        pair = ClockPair((before + after) // 2, real, (after - before) // 2 + 1)
        if best is None or pair.uncertainty < best.uncertainty:
            best = pair
    assert best is not None
    return best


@dataclass(frozen=True, slots=True)
class WallTime:
    """A moment in ns since 1970 UTC, right within ± ``uncertainty`` ns."""

    ns: int
    uncertainty: int


class ClockMap:
    """Turns monotonic times of one run into wall time, and says how sure that is.

    Between two pairs the offset is interpolated; the uncertainty is that of the reads plus the change of the
    offset between the pairs (a slewed clock moves a little, a stepped one a lot: nobody knows when between
    the pairs it stepped). Outside of all pairs the nearest offset holds, and the uncertainty grows by 100 ppm
    of the distance, a poor quartz.
    """

    STEP: Final = 1_000_000
    """A change of the offset (ns) beyond 500 ppm, the most that NTP slews, and beyond this is a step."""

    def __init__(self, pairs: Iterable[ClockPair]) -> None:
        self.pairs = sorted(pairs, key=lambda pair: pair.mono)

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> ClockMap:
        """Take the ``clock.pair`` events out of a journal."""
        pairs = []
        for event in events:
            match (event.kind, event.data):
                case ("clock.pair", {"mono": int(mono), "real": int(real)}):
                    width = event.data.get("uncertainty")
                    pairs.append(ClockPair(mono, real, width if isinstance(width, int) else 1_000))
        return cls(pairs)

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Return where somebody set the wall clock, as (monotonic ns of the first pair after it, by ns)."""
        found = []
        for a, b in pairwise(self.pairs):
            by = (b.real - b.mono) - (a.real - a.mono)
            if abs(by) > max(self.STEP, (b.mono - a.mono) // 2_000):
                found.append((b.mono, by))
        return found

    def wall(self, mono: int) -> WallTime:
        """Return the wall time of a monotonic time in ns.

        Raises:
            ClockError: there is no pair of clocks.
        """
        if not self.pairs:
            raise ClockError("no clock.pair: the wall time is unknown")
        a, b = self._around(mono)
        offset_a, offset_b = a.real - a.mono, b.real - b.mono
        if b.mono == a.mono:  # before the first or after the last pair
            return WallTime(mono + offset_a, a.uncertainty + abs(mono - a.mono) // 10_000)
        offset = offset_a + (offset_b - offset_a) * (mono - a.mono) // (b.mono - a.mono)
        return WallTime(mono + offset, max(a.uncertainty, b.uncertainty) + abs(offset_b - offset_a))

    def _around(self, mono: int) -> tuple[ClockPair, ClockPair]:
        """Return the pairs before and after a moment; twice the same one outside of all."""
        at = bisect.bisect_right([pair.mono for pair in self.pairs], mono)
        return self.pairs[max(at - 1, 0)], self.pairs[min(at, len(self.pairs) - 1)]

    def iso(self, mono: int) -> str:
        """Return the wall time as ISO 8601 in UTC with milliseconds."""
        at = datetime.fromtimestamp(self.wall(mono).ns / 1e9, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
