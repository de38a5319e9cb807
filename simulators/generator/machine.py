"""What the generator does between a hand switch and a tube: a state machine without clock, thread or wire.

Rules of this file:

* Time comes in as ``now`` (ns, any monotonic origin) with every call; :meth:`Machine.deadline` says when
  :meth:`Machine.tick` wants to be called next.  So a test runs hours in microseconds.
* What happens goes out as :class:`Action` values, in order; the caller carries them out.
* X-rays begin in exactly one way: idle -> (prep contact) prep -> (filament and rotor, ``prep_ms``) ready ->
  (expose contact) exposing.  An expose contact that closes during prep is honoured when ready, as with a
  switch pressed right through; one that was closed before the prep contact is refused and must be
  released first.
* An exposure ends when its time is over, when either contact opens, or when a fault ends it; in the last two
  cases it is truncated and its mAs are what really flowed.
* After every exposure the generator cools down: at least ``cooldown_ms``, until the switch is released,
  and, at 90 % anode heat, until the anode is below that again.
* A fault stays until it is cleared by command and its cause is gone.
* Limits: 40-150 kV, at most 1000 mA, 5-12000 ms, at most 600 mAs, at most ``max_kw``; prep and exposure
  together at most 30 s (PMX 118165-001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal

KV_MIN: Final = 40.0
KV_MAX: Final = 150.0
MA_MIN: Final = 10.0
MA_MAX: Final = 1000.0
MS_MIN: Final = 5
MS_MAX: Final = 12_000
MAS_MAX: Final = 600.0
PREP_AND_EXPOSURE_MS: Final = 30_000
LOCKOUT: Final = 0.90
"""Fraction of the anode's heat capacity at which no further exposure is allowed."""
HEAT_FACTOR: Final = 1.4
"""Heat units per kV x mAs of a high-frequency generator."""
BACKUP_FACTOR: Final = 2.0
"""The back-up timer ends an exposure that did not end by itself at this multiple of its set time."""

State = Literal["idle", "prep", "ready", "exposing", "cooldown", "fault"]

FAULTS: Final[dict[str, tuple[int, str]]] = {
    # codes as in the Spellman monoblock list (FLT); 33-36 are ours
    "arc": (2, "arc in the tube, exposure cut short"),
    "interlock": (9, "interlock open"),
    "rotor": (33, "rotor not up to speed"),
    "filament": (34, "filament open"),
    "over_dose": (35, "back-up timer ended the exposure"),
    "prep_timeout": (36, "prep and exposure took longer than 30 s"),
}


@dataclass(frozen=True)
class Limits:
    """What this generator and tube can do, and how long it takes."""

    prep_ms: int = 2000
    cooldown_ms: int = 500
    max_kw: float = 80.0
    heat_capacity_hu: float = 300_000.0
    cooling_s: float = 300.0
    """Time constant of the anode's cooling (Newton's law): 300 s is about 60 kHU/min when hot."""


@dataclass(frozen=True)
class Technique:
    """Set points.  ``mode`` 3 is kV, mA, ms (three-point); 2 is kV and mAs (two-point, mA chosen here)."""

    kvp: float
    ma: float
    ms: int
    mode: Literal[2, 3] = 3

    @property
    def mas(self) -> float:
        """Charge in mAs."""
        return self.ma * self.ms / 1000.0

    @property
    def heat_units(self) -> float:
        """Heat that this exposure brings into the anode."""
        return HEAT_FACTOR * self.kvp * self.mas


@dataclass(frozen=True)
class Exposure:
    """The last exposure as it really was; ``mas`` is the charge that flowed."""

    number: int
    kvp: float
    ma: float
    ms: float
    set_ms: int
    truncated: bool
    start: int

    @property
    def mas(self) -> float:
        """Charge in mAs."""
        return self.ma * self.ms / 1000.0


ActionKind = Literal["state", "xray_on", "xray_off", "refused", "fault", "fired"]


@dataclass(frozen=True)
class Action:
    """Something that the machine did: ``state`` {from, to, reason}, ``xray_on`` {kvp, ma, ms, number,
    at}, ``xray_off`` {exposure}, ``refused`` {code, reason}, ``fault`` {code, what}, ``fired`` {fault,
    where}."""

    kind: ActionKind
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Troubles:
    """Which faults are armed; the device sets and clears them, the machine uses them up."""

    interlock: bool = False
    """The door is open for as long as this is set."""
    rotor: int = 0
    filament: int = 0
    arc: int = 0
    arc_fraction: float = 0.3
    over_dose: int = 0
    over_dose_factor: float = BACKUP_FACTOR
    busy: bool = False
    kv_drift_percent: float = 0.0


def setup_fault(technique: Technique | None, limits: Limits) -> str:
    """Return why a technique may not be exposed, or "" when it may."""
    if technique is None:
        return "no technique set"
    t = technique
    if not KV_MIN <= t.kvp <= KV_MAX:
        return f"{t.kvp:.1f} kV is outside {KV_MIN:.0f}-{KV_MAX:.0f} kV"
    if not MA_MIN <= t.ma <= MA_MAX:
        return f"{t.ma:.1f} mA is outside {MA_MIN:.0f}-{MA_MAX:.0f} mA"
    if not MS_MIN <= t.ms <= MS_MAX:
        return f"{t.ms} ms is outside {MS_MIN}-{MS_MAX} ms"
    if t.mas > MAS_MAX:
        return f"{t.mas:.1f} mAs is above {MAS_MAX:.0f} mAs"
    if t.kvp * t.ma / 1000.0 > limits.max_kw:
        return f"{t.kvp * t.ma / 1000.0:.1f} kW is above {limits.max_kw:.0f} kW"
    return ""


class Machine:
    """The generator.  Not thread-safe: whoever owns it holds one lock."""

    def __init__(self, limits: Limits, now: int) -> None:
        self.limits = limits
        self.state: State = "idle"
        self.technique: Technique | None = None
        self.troubles = Troubles()
        self.fault: str = ""
        self.last: Exposure | None = None
        self.ready_ms = limits.prep_ms
        self.arced = self.over_dosed = self.timed_out = False
        self._prep = self._expose = False
        self._stale_expose = False
        self._heat = 0.0
        self._heat_at = now
        self._since = now
        self._prep_since = now
        self._due = 0
        self._running: Technique | None = None
        self._number = 0
        self._out: list[Action] = []

    # ---------------------------------------------------------------- questions

    def heat(self, now: int) -> float:
        """Return the anode's heat units at a moment."""
        return self._heat * math.exp(-max(0, now - self._heat_at) / 1e9 / self.limits.cooling_s)

    def locked_out(self, now: int) -> bool:
        """Whether the anode is too hot for another exposure."""
        return self.heat(now) >= LOCKOUT * self.limits.heat_capacity_hu

    def invalid(self, now: int) -> str:
        """Return why the present set-up could not be exposed now, or ""."""
        why = setup_fault(self.technique, self.limits)
        if why or self.technique is None:
            return why
        if self.heat(now) + self.technique.heat_units > self.limits.heat_capacity_hu:
            return "anode would become too hot"
        return ""

    @property
    def prep_contact(self) -> bool:
        """Whether the first stage of the hand switch is closed."""
        return self._prep

    @property
    def expose_contact(self) -> bool:
        """Whether the second stage of the hand switch is closed."""
        return self._expose

    def deadline(self) -> int | None:
        """Return when :meth:`tick` should be called next, or None when only an input can change anything."""
        if self.state == "prep":
            end = self._prep_since + PREP_AND_EXPOSURE_MS * 1_000_000
            return end if self.troubles.busy else min(end, self._since + self.ready_ms * 1_000_000)
        if self.state == "ready":
            return self._prep_since + PREP_AND_EXPOSURE_MS * 1_000_000
        if self.state == "exposing":
            return self._due
        if self.state == "cooldown":
            end = self._since + self.limits.cooldown_ms * 1_000_000
            limit = LOCKOUT * self.limits.heat_capacity_hu
            if self._heat >= limit:
                cool = math.log(self._heat / limit) * self.limits.cooling_s
                end = max(end, self._heat_at + math.ceil(cool * 1e9) + 1_000_000)
            return None if self._prep or self._expose else end
        return None

    # ---------------------------------------------------------------- inputs

    def contact(self, name: str, closed: bool, now: int) -> list[Action]:
        """Take a change of the hand switch ("prep" or "expose")."""
        self._advance(now)
        if name == "prep" and closed != self._prep:
            self._prep = closed
            if closed:
                self._start_prep(now)
            elif self.state in ("prep", "ready"):
                self._go("idle", now, "hand switch released")
            elif self.state == "exposing":
                self._end_exposure(now, "hand switch released")
        elif name == "expose" and closed != self._expose:
            self._expose = closed
            if not closed:
                self._stale_expose = False
                if self.state == "exposing":
                    self._end_exposure(now, "hand switch released")
            elif self.state == "ready":
                self._start_exposure(now)
            elif self.state != "prep":
                self._stale_expose = True
                self._refuse("no prep" if self.state == "idle" else f"generator is in {self.state}")
        self._advance(now)
        return self._take()

    def tick(self, now: int) -> list[Action]:
        """Let time pass."""
        self._advance(now)
        return self._take()

    def set(self, technique: Technique, now: int) -> list[Action]:
        """Take new set points; a set-up that cannot be exposed is kept and refused at prep.

        Must not be called while X-rays are on (the dialect answers 9 there).
        """
        self._advance(now)
        if self.state == "exposing":
            raise ValueError("X-ray is on")
        self.technique = technique
        if self.state in ("prep", "ready") and self.invalid(now):
            self._go("idle", now, self.invalid(now))
        return self._take()

    def clear(self, now: int) -> tuple[bool, list[Action]]:
        """Clear a fault; returns whether its cause is gone."""
        self._advance(now)
        if self.state == "fault":
            if self.troubles.interlock:
                return False, self._take()
            self.fault = ""
            self.arced = self.over_dosed = self.timed_out = False
            self._go("cooldown" if self._prep or self._expose else "idle", now, "fault cleared")
        return True, self._take()

    def interrupt(self, now: int) -> list[Action]:
        """End X-rays by command."""
        self._advance(now)
        if self.state == "exposing":
            self._end_exposure(now, "ended by command")
        return self._take()

    def warm(self, fraction: float, now: int) -> None:
        """Bring the anode to a fraction of its heat capacity (a test needs no hour of exposures)."""
        self._heat, self._heat_at = max(0.0, fraction) * self.limits.heat_capacity_hu, now

    def interlock(self, is_open: bool, now: int) -> list[Action]:
        """Open or close the door contact; open is a fault at once, in every state."""
        self._advance(now)
        self.troubles.interlock = is_open
        if is_open:
            self._fired("interlock", self.state)
        if is_open and self.state != "fault":
            if self.state == "exposing":
                self._end_exposure(now, "interlock open", fault="interlock")
            else:
                self._fail("interlock", now)
        return self._take()

    # ---------------------------------------------------------------- transitions

    def _advance(self, now: int) -> None:
        """Do everything that is due."""
        for _ in range(8):  # a bound: each pass changes the state or ends
            due = self.deadline()
            if due is None or due > now:
                return
            timeout = self._prep_since + PREP_AND_EXPOSURE_MS * 1_000_000
            if self.state in ("prep", "ready") and due >= timeout:
                self.timed_out = True
                self._fail("prep_timeout", due)
            elif self.state == "prep":
                self._finish_prep(due)
            elif self.state == "exposing":
                self._time_is_over(due)
            elif self.state == "cooldown":
                self._go("idle", due, "cool again")

    def _start_prep(self, now: int) -> None:
        if self.state != "idle":
            self._refuse("fault: " + FAULTS[self.fault][1] if self.fault else f"generator is in {self.state}")
        elif self.troubles.busy:
            self._refuse("generator is busy")
        elif self.locked_out(now):
            self._refuse("anode heat lock-out", code=1)
        elif why := self.invalid(now):
            self._refuse(why, code=10)
        elif self._expose:
            self._stale_expose = True
            self._refuse("second stage was closed before the first")
        else:
            self._prep_since = now
            self._go("prep", now, "hand switch")
            if self.troubles.filament:
                self.troubles.filament -= 1
                self._fired("filament", "prep")
                self._fail("filament", now)

    def _finish_prep(self, now: int) -> None:
        if self.troubles.rotor:
            self.troubles.rotor -= 1
            self._fired("rotor", "prep")
            self._fail("rotor", now)
            return
        self._go("ready", now, "filament and rotor ready")
        if self._expose and not self._stale_expose:
            self._start_exposure(now)

    def _start_exposure(self, now: int) -> None:
        technique = self.technique
        assert technique is not None
        room = self._prep_since + PREP_AND_EXPOSURE_MS * 1_000_000 - now
        ms: float = technique.ms
        if self.troubles.over_dose:
            ms = technique.ms * self.troubles.over_dose_factor
        if self.troubles.arc:
            ms = technique.ms * self.troubles.arc_fraction
        length = min(round(ms * 1e6), room)
        kvp = min(KV_MAX, technique.kvp * (1.0 + self.troubles.kv_drift_percent / 100.0))
        if self.troubles.kv_drift_percent:
            self._fired("kv_drift", "exposing")
        self._running = Technique(kvp, technique.ma, technique.ms, technique.mode)
        self._number += 1
        self._due = now + length
        self._go("exposing", now, "hand switch")
        data = {"kvp": kvp, "ma": technique.ma, "ms": length / 1e6, "number": self._number, "at": now}
        self._out.append(Action("xray_on", data))

    def _time_is_over(self, now: int) -> None:
        running = self._running
        assert running is not None
        whole = now - self._since >= running.ms * 1_000_000
        if self.troubles.arc:
            self.troubles.arc -= 1
            self.arced = True
            self._fired("arc", "exposing")
            self._end_exposure(now, "arc", fault="arc")
        elif self.troubles.over_dose:
            self.troubles.over_dose -= 1
            self.over_dosed = True
            self._fired("over_dose", "exposing")
            self._end_exposure(now, "back-up timer", fault="over_dose", truncated=False)
        elif not whole:
            self.timed_out = True
            self._end_exposure(now, "prep and exposure took 30 s", fault="prep_timeout")
        else:
            self._end_exposure(now, "time is over", truncated=False)

    def _end_exposure(self, now: int, reason: str, *, fault: str = "", truncated: bool = True) -> None:
        running = self._running
        assert running is not None
        ms = (now - self._since) / 1e6
        self.last = Exposure(
            self._number, running.kvp, running.ma, ms, running.ms, truncated and ms < running.ms, self._since
        )
        self._heat = min(
            self.heat(now) + HEAT_FACTOR * running.kvp * self.last.mas, self.limits.heat_capacity_hu * 1.2
        )
        self._heat_at = now
        self._running = None
        self._out.append(Action("xray_off", {"exposure": self.last}))
        if fault:
            self._fail(fault, now)
        else:
            self._go("cooldown", now, reason)

    def _fail(self, fault: str, now: int) -> None:
        self.fault = fault
        code, what = FAULTS[fault]
        self._go("fault", now, what)
        self._out.append(Action("fault", {"code": code, "what": what}))

    def _refuse(self, reason: str, code: int = 0) -> None:
        self._out.append(Action("refused", {"command": "exposure", "code": code, "reason": reason}))

    def _fired(self, fault: str, where: str) -> None:
        self._out.append(Action("fired", {"fault": fault, "where": where}))

    def _go(self, state: State, now: int, reason: str) -> None:
        self._out.append(Action("state", {"from": self.state, "to": state, "reason": reason}))
        self.state = state
        self._since = now

    def _take(self) -> list[Action]:
        out, self._out = self._out, []
        return out
