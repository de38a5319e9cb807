"""The world bus: which photons there are, and which contacts are closed, at which monotonic nanosecond.

Rules of this file:

* All times are CLOCK_MONOTONIC nanoseconds (``time.monotonic_ns``) or what the injected clock says.
* A :class:`Beam` is a constant tube voltage and current between two moments.  The generator says when the
  beam begins and, if it knows, when it is due to end; so a detector that asks at the end of its window gets
  exactly the planned charge, whichever thread wakes first.
* Every method may be called from every thread.  Subscribers are called with no lock held, one signal after
  the other in the order in which things happened; a signal caused inside a callback is delivered after the
  current one.
* A subscriber that raises does not hurt the others: its error is told as ``bench.error``.
* Here are facts, not physics of images: attenuation, scatter and noise live in ``simulators.world.physics``.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from simulators.base import Emit

OUTPUT_UGY_PER_MAS: Final = 46.0
"""Tube output of this world: air kerma in µGy per mAs at 1 m and 80 kVp, no object (a parameter of ours)."""

CONTACTS: Final = ("prep", "expose", "footswitch")


def air_kerma_ugy(kvp: float, mas: float, distance_mm: float) -> float:
    """Return the air kerma in µGy without an object at a distance in mm from the focus.

    K = 46 µGy x (kVp/80)^2.3 x mAs x (1 m / distance)^2: one formula for the generator's dose-area product
    and the detector's image, so that the two can be compared.
    """
    return OUTPUT_UGY_PER_MAS * math.pow(kvp / 80.0, 2.3) * mas * (1000.0 / distance_mm) ** 2


@dataclass(frozen=True)
class Beam:
    """Photons with constant kVp and mA from ``start`` to ``end`` (monotonic ns), and their geometry."""

    kvp: float
    ma: float
    start: int
    end: int
    sid_mm: float
    phantom: str
    number: int
    """1 for the first exposure of this world, 2 for the next: a detector seeds its noise with it."""
    field_mm: tuple[float, float]
    """Collimated field (width, height) in mm at the detector plane."""

    @property
    def ms(self) -> float:
        """Duration in milliseconds."""
        return (self.end - self.start) / 1e6

    @property
    def mas(self) -> float:
        """Charge in mAs."""
        return self.ma * (self.end - self.start) / 1e9


@dataclass(frozen=True)
class Signal:
    """Something changed.

    ``xray_on`` and ``xray_off`` carry ``beam``, ``contact`` carries ``contact`` and ``closed``.  The beam of
    ``xray_on`` has ``end`` = the due end if the generator gave one, else = ``start``.
    """

    kind: Literal["xray_on", "xray_off", "contact"]
    t: int
    beam: Beam | None = None
    contact: str = ""
    closed: bool = False


Subscriber = Callable[[Signal], None]


class World:
    """What the devices of one front end share.

    ``phantom`` names the object in the beam, ``sid_mm`` is the distance from focus to detector, ``seed``
    is the root of everything random.  ``emit`` receives ``world.exposure`` when a beam ends.
    """

    def __init__(
        self,
        phantom: str = "chest",
        sid_mm: float = 1800.0,
        seed: int = 0,
        *,
        field_mm: tuple[float, float] = (400.0, 400.0),
        emit: Emit | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not sid_mm > 0:
            raise ValueError(f"sid_mm must be positive, not {sid_mm}")
        self.seed = seed
        self.clock = clock
        self._emit = emit
        self._lock = threading.Lock()
        self._phantom = phantom
        self._sid_mm = float(sid_mm)
        self._field_mm = field_mm
        self._beams: deque[Beam] = deque(maxlen=256)
        self._open: Beam | None = None
        self._due: int | None = None
        self._count = 0
        self._contacts = dict.fromkeys(CONTACTS, False)
        self._subscribers: list[Subscriber] = []
        self._signals: deque[Signal] = deque()
        self._delivering = False

    # ---------------------------------------------------------------- geometry

    @property
    def phantom(self) -> str:
        """The name of the object in the beam."""
        with self._lock:
            return self._phantom

    @property
    def sid_mm(self) -> float:
        """Distance from focus to detector in mm."""
        with self._lock:
            return self._sid_mm

    @property
    def field_mm(self) -> tuple[float, float]:
        """Collimated field (width, height) in mm at the detector plane."""
        with self._lock:
            return self._field_mm

    @property
    def exposures(self) -> int:
        """How many beams have begun."""
        with self._lock:
            return self._count

    def place(
        self,
        *,
        phantom: str | None = None,
        sid_mm: float | None = None,
        field_mm: tuple[float, float] | None = None,
    ) -> None:
        """Change what stands in the beam; counts for beams that begin from now on."""
        if sid_mm is not None and not sid_mm > 0:
            raise ValueError(f"sid_mm must be positive, not {sid_mm}")
        with self._lock:
            self._phantom = self._phantom if phantom is None else phantom
            self._sid_mm = self._sid_mm if sid_mm is None else float(sid_mm)
            self._field_mm = self._field_mm if field_mm is None else field_mm

    # ---------------------------------------------------------------- photons

    def xray_on(self, kvp: float, ma: float, ms: float | None = None, *, at: int | None = None) -> Beam:
        """Begin a beam now, or at ``at`` (monotonic ns).

        ``ms`` is when it is due to end by itself (the generator's timer), if known.  Raises
        :class:`RuntimeError` when a beam is on already: one tube, one beam.
        """
        with self._lock:
            if self._open is not None:
                raise RuntimeError("X-ray is on already")
            now = self.clock() if at is None else at
            self._count += 1
            due = None if ms is None else now + round(ms * 1e6)
            beam = Beam(
                kvp=float(kvp),
                ma=float(ma),
                start=now,
                end=now if due is None else due,
                sid_mm=self._sid_mm,
                phantom=self._phantom,
                number=self._count,
                field_mm=self._field_mm,
            )
            self._open, self._due = beam, due
            self._signals.append(Signal("xray_on", now, beam))
        self._deliver()
        return beam

    def xray_off(self, *, truncated: bool = False, at: int | None = None) -> Beam | None:
        """End the beam: now (or at ``at``), or at its due end if that has passed.  Returns it; None if no
        beam was on."""
        with self._lock:
            if self._open is None:
                return None
            now = self.clock() if at is None else at
            end = now if self._due is None else min(now, self._due)
            beam = replace(self._open, end=end)
            self._open = self._due = None
            self._beams.append(beam)
            self._signals.append(Signal("xray_off", end, beam))
        if self._emit is not None:
            self._emit(
                "world.exposure",
                kvp=beam.kvp,
                ma=beam.ma,
                ms=beam.ms,
                mas=beam.mas,
                sid_mm=beam.sid_mm,
                phantom=beam.phantom,
                start=beam.start,
                end=beam.end,
                truncated=truncated,
            )
        self._deliver()
        return beam

    @property
    def xray(self) -> bool:
        """Whether there are photons at this moment."""
        with self._lock:
            return self._open is not None and (self._due is None or self.clock() < self._due)

    def photons(self, t0: int, t1: int) -> list[Beam]:
        """Return the beams between two moments (monotonic ns), *clipped* to them, oldest first.

        So the sum of ``mas`` over the answer is the charge that a detector integrating from t0 to t1 saw.  A
        beam that is still on is clipped to its due end, or to t1 if it has none.
        """
        with self._lock:
            beams = list(self._beams)
            if self._open is not None:
                beams.append(replace(self._open, end=t1 if self._due is None else self._due))
        clipped = (replace(b, start=max(b.start, t0), end=min(b.end, t1)) for b in beams)
        return [b for b in clipped if b.end > b.start]

    # ---------------------------------------------------------------- contacts

    def contact(self, name: str, closed: bool) -> None:
        """Close or open a contact ("prep", "expose", "footswitch"); no signal if nothing changes."""
        with self._lock:
            if name not in self._contacts:
                raise ValueError(f"no contact {name!r}; there are {', '.join(self._contacts)}")
            if self._contacts[name] == closed:
                return
            self._contacts[name] = closed
            self._signals.append(Signal("contact", self.clock(), contact=name, closed=closed))
        self._deliver()

    def contacts(self) -> dict[str, bool]:
        """Return which contacts are closed."""
        with self._lock:
            return dict(self._contacts)

    # ---------------------------------------------------------------- subscriptions

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Have every later signal told to ``callback`` (in any thread); returns how to end that."""
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def _deliver(self) -> None:
        """Call the subscribers for every waiting signal, unless another call is doing just that."""
        with self._lock:
            if self._delivering:
                return
            self._delivering = True
        while True:
            with self._lock:
                if not self._signals:
                    self._delivering = False
                    return
                signal = self._signals.popleft()
                subscribers = list(self._subscribers)
            for callback in subscribers:
                try:
                    callback(signal)
                except Exception as error:
                    self._tell_error(error)

    def _tell_error(self, error: Exception) -> None:
        """A subscriber failed; that the journal may be gone too must not stop the others."""
        if self._emit is not None:
            with contextlib.suppress(Exception):
                self._emit("bench.error", where="world", message=f"{type(error).__name__}: {error}")
