"""The picture as it runs now: newest, held, cine memory, recording; and what state that is.

Rules of this file:

* No lock, no thread, no socket: the scanner calls with its own lock held and says what time it is.
* What was before a freeze, another probe or another connection is never in one clip with what came after.
* What is held stays, whatever comes.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from modality.ultrasound.cine import Cine, Recording
from modality.ultrasound.intake import Intake
from modality.ultrasound.model import Frame, Settings, UltrasoundConfig


class Stream:
    """The pictures of one scanner."""

    def __init__(self, config: UltrasoundConfig, intake: Intake) -> None:
        self._config = config
        self._intake = intake
        self.cine = Cine(config.cine_frames, config.cine_bytes)
        self.recording: Recording | None = None
        self.closed = False
        self.connected = False
        self.frozen = False
        self.newest: Frame | None = None
        """The newest picture of the stream as it runs now: None from its begin to its first picture."""
        self.held: Frame | None = None
        """The picture that was frozen."""
        self._since = 0.0
        """When the stream last gave a sign: its begin or its newest picture."""
        self._arrivals: deque[float] = deque(maxlen=61)

    @property
    def shown(self) -> Frame | None:
        """What is on the screen."""
        return self.held if self.frozen else self.newest

    @property
    def settings(self) -> Settings | None:
        """Of what is on the screen, else those that were told last."""
        frame = self.shown
        return frame.settings if frame else self._intake.settings

    def state(self, now: float) -> str:
        """absent, starting, live, frozen, stalled, unplugged or closed."""
        if self.closed:
            return "closed"
        if self.frozen:
            return "frozen"
        if not self.connected:
            return "absent"
        if not self._intake.plugged:
            return "unplugged"
        if self._intake.settings is None and self.newest is None:
            return (
                "starting"  # it was reached and has not said a word: the link decides when that is too long
            )
        if now - self._since > self._config.stall_s:
            return "stalled"
        return "live" if self.newest is not None else "starting"

    def begin(self, now: float) -> None:
        """A stream begins: nothing that was before belongs to it."""
        self.newest = None
        self._since = now
        self._arrivals.clear()

    def alive(self, now: float) -> None:
        """A sign of life that is no picture."""
        self._since = now

    def hold(self, on: bool, now: float) -> None:
        """Freeze or go on."""
        self.frozen = on
        if on:
            self.held = self.newest
            self.end_recording("frozen")
        else:
            self.held = None
            self.cine.clear()
            self.begin(now)

    def joined(self, now: float) -> None:
        """There is a connection."""
        self.connected = True
        self.begin(now)
        if not self.frozen:
            self.cine.clear()

    def plugged(self, on: bool, now: float) -> None:
        """A probe was plugged in or pulled."""
        if not on:
            self.end_recording("probe-unplugged")
        elif not self.frozen:
            self.cine.clear()
        self.begin(now)

    def add(self, frame: Frame, now: float) -> bool:
        """A picture has come; False when it is not wanted."""
        self._since = now
        self._arrivals.append(now)
        if self.frozen:
            return False
        self.newest = frame
        self.cine.add(frame)
        if self.recording is not None:
            self.recording.add(frame)
        return True

    def end_recording(self, why: str) -> None:
        """A clip that is being recorded ends."""
        if self.recording is not None:
            self.recording.end(why)

    def find(self, sequence: int) -> Frame | None:
        """The picture of a number."""
        if self.held is not None and self.held.sequence == sequence:
            return self.held
        return self.cine.find(sequence)

    def looks(self) -> dict[str, Any]:
        """What an operator sees of the settings; empty while nothing is known."""
        s = self.settings
        if s is None:
            return {}
        return {
            "size": f"{s.columns}x{s.rows}",
            "mode": s.mode,
            "depth_mm": s.depth_mm,
            "gain_db": s.gain_db,
            "probe": s.probe,
        }

    def to_json(self, now: float) -> dict[str, Any]:
        """Everything as plain data."""
        span = self._arrivals[-1] - self._arrivals[0] if len(self._arrivals) > 1 else 0.0
        running = self.state(now) == "live" and span > 0
        nothing = {"size": "", "mode": "", "depth_mm": 0.0, "gain_db": 0.0, "probe": ""}
        return {
            "state": self.state(now),
            "connected": self.connected,
            **nothing,
            **self.looks(),
            "fps": round((len(self._arrivals) - 1) / span, 2) if running else 0.0,
            "sequence": self.shown.sequence if self.shown else 0,
            "received": self._intake.received,
            "dropped": self._intake.dropped,
            "refused": self._intake.refused,
            "recording": self.recording is not None,
            "cine": {"frames": len(self.cine), "bytes": self.cine.bytes},
        }
