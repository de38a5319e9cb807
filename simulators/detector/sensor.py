"""The panel's state machine: prepare, trigger, integration window, readout; and its temperature.

Rules of this file:

* No thread, socket or clock: times come in as monotonic ns, decisions come out.
* States: Idle -> Prepared (DetectorPrepare) -> Integrating (beam seen on Line1, or software trigger) -> Readout ->
  Idle; Fault from anywhere until the cause is gone.  A software trigger and free run also start from Idle.
* Every change of state is told once, to one callback, in order.
* Not thread-safe by itself: the device holds its lock around every call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from simulators.detector.gvcp import Status

HOT_C: Final = 50.0
"""Above this temperature the panel refuses to work."""
COOL_C: Final = 45.0
"""Below this one it works again."""
_TAU_S: Final = 900.0
_ACTIVE_RISE_C: Final = 4.0
_FRAME_RISE_C: Final = 0.02


class State(IntEnum):
    """What the panel is doing; the values are those of the DetectorState feature."""

    IDLE = 0
    PREPARED = 1
    INTEGRATING = 2
    READOUT = 3
    FAULT = 4


@dataclass(frozen=True)
class Window:
    """One integration: photons between ``start`` and ``end`` (monotonic ns) make the frame."""

    start: int
    end: int
    cause: str
    """``line1``, ``software`` or ``free``."""
    number: int


class Thermometer:
    """A temperature in °C that rises with use and falls back to the room's, first order in time."""

    def __init__(self, room_c: float, now: int) -> None:
        self.room_c = room_c
        self._rise = 0.0
        self._at = now
        self._active = False

    def _settle(self, now: int) -> None:
        seconds = max(0, now - self._at) / 1e9
        target = _ACTIVE_RISE_C if self._active else 0.0
        keep = 2.718281828 ** (-seconds / _TAU_S)
        self._rise = target + (self._rise - target) * keep
        self._at = now

    def read(self, now: int) -> float:
        """Temperature now."""
        self._settle(now)
        return self.room_c + self._rise

    def use(self, now: int, *, active: bool, frames: int = 0) -> None:
        """The panel is powered for acquisition or not; frames were read out."""
        self._settle(now)
        self._active = active
        self._rise += frames * _FRAME_RISE_C

    def put(self, celsius: float, now: int) -> None:
        """The panel has this temperature now and its surroundings keep it there."""
        self.room_c, self._rise, self._at = celsius, 0.0, now


class Sensor:
    """State of the panel between a client's commands and the photons."""

    def __init__(self, changed: Callable[[State, State, str], None]) -> None:
        self.state = State.IDLE
        self.acquiring = False
        self.left: int | None = None
        """Frames still to take; None: until stopped."""
        self.window: Window | None = None
        self.windows = 0
        self.fault = ""
        self._changed = changed

    def _go(self, state: State, reason: str) -> None:
        if state is not self.state:
            before, self.state = self.state, state
            self._changed(before, state, reason)

    # ---------------------------------------------------------------- what a client commands

    def start(self, frames: int | None) -> Status:
        """AcquisitionStart; ``frames`` None means continuous."""
        if self.state is State.FAULT:
            return Status.LOCAL_PROBLEM
        self.acquiring, self.left = True, frames
        return Status.SUCCESS

    def stop(self, reason: str) -> None:
        """AcquisitionStop, or control was lost: an open window is thrown away, a frame in readout is not."""
        self.acquiring = False
        if self.state in (State.PREPARED, State.INTEGRATING):
            self.window = None
            self._go(State.IDLE, reason)

    def prepare(self) -> Status:
        """DetectorPrepare."""
        if self.state is State.FAULT:
            return Status.LOCAL_PROBLEM
        if self.state in (State.INTEGRATING, State.READOUT):
            return Status.BUSY
        self._go(State.PREPARED, "DetectorPrepare")
        return Status.SUCCESS

    def software(self, now: int, exposure_ns: int) -> Status:
        """TriggerSoftware: a window opens at once."""
        if self.state is State.FAULT:
            return Status.LOCAL_PROBLEM
        if not self.acquiring or self.state in (State.INTEGRATING, State.READOUT):
            return Status.BUSY
        self._open(now, exposure_ns, "software")
        return Status.SUCCESS

    # ---------------------------------------------------------------- what happens to the panel

    def beam(self, start: int, exposure_ns: int) -> bool:
        """X-ray was seen from ``start`` on; True if it opened the window."""
        if not self.acquiring or self.state is not State.PREPARED:
            return False
        self._open(start, exposure_ns, "line1")
        return True

    def free_run(self, now: int, exposure_ns: int) -> bool:
        """Trigger mode off: open the next window if nothing is going on; True if it opened."""
        if not self.acquiring or self.state not in (State.IDLE, State.PREPARED):
            return False
        self._open(now, exposure_ns, "free")
        return True

    def _open(self, start: int, exposure_ns: int, cause: str) -> None:
        self.windows += 1
        self.window = Window(start, start + exposure_ns, cause, self.windows)
        self._go(State.INTEGRATING, cause)

    def close(self, now: int) -> Window | None:
        """The window that is over at ``now``, if there is one: the panel reads out."""
        window = self.window
        if window is None or now < window.end:
            return None
        self.window = None
        self._go(State.READOUT, "window over")
        return window

    def done(self) -> None:
        """The frame is read out."""
        if self.state is not State.READOUT:
            return
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                self.acquiring, self.left = False, None
        self._go(State.IDLE, "read out")

    def fail(self, what: str) -> None:
        """A fault of the panel; an open window is lost."""
        self.fault = what
        self.window = None
        self.acquiring = False
        self._go(State.FAULT, what)

    def heal(self) -> None:
        """The cause of the fault is gone."""
        if self.state is State.FAULT:
            self.fault = ""
            self._go(State.IDLE, "recovered")
