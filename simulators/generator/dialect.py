"""Which serial command does what: the table between frames and the machine.

Command numbers and reply codes follow the Spellman PMX manual (118165-001 Rev A) where it has them:

===  =====================================================================================================
22   status: 26 flags, see :func:`status_flags`
50   set exposure: ms, kV 0-4095, mA 0-4095[, filament 0|1]: three-point technique
10   set kV 0-4095 (other Spellman manuals)          11   set mA 0-4095
74   set mAs in 0.1 mAs, 0-6000: two-point technique, the generator chooses mA and ms
14   read back the kV set point                      15   read back the mA set point
53   read back the filament (0 small, 1 large focus)
60   average kV of the last exposure, 0-4095
78   auxiliary status: RTC battery good, anode heat below 90 %, *ours:* anode heat in per cent
84   rotor detail: six flags (bus under voltage, phase over current, phase under current, not up to speed in
     2 s, more than 2 starts in 60 s, wrong wiring)
34   time until ready in ms: without argument read; with argument set, from the real time to 5000 ms
52   clear faults (ESL): ``$`` cleared, 10 the cause is still there
99   X-ray on or off by command (XRB011): *refused* with 2 here, X-rays belong to the hand switch; 99,0
     ends them
61   *ours:* read the last exposure: number, kV in 0.1, mA in 0.1, ms in 0.1, mAs in 0.001, DAP in 0.001
     dGy·cm², truncated 0|1.  No public manual that was found has such a command.
62   *ours:* read the fault: monoblock fault code (2 arc, 9 interlock, 33 rotor, 34 filament, 35 back-up
     timer, 36 prep time-out), 0 when there is none
63   *ours:* read back the whole technique: ms, kV 0-4095, mA 0-4095, mode 2|3
===  =====================================================================================================

Reply codes to commands that set: ``$`` done; 1 checksum; 3-9 parameter errors, namely 3, 4, 5, 6 = first
to fourth argument out of range, 7 = wrong number of arguments or no number (3-7: our reading of "3-9"),
8 = busy (ours), 9 = cannot change with X-ray on; 10 = accepted but the combination is invalid, X-rays
will not come on; 11 = wrong technique mode.  2 = unknown command (ours).

Scaling is ours: 0-4095 is 0-150 kV and 0-1000 mA (the PMX itself is a mammography generator, 50 kV / 200 mA).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from simulators.generator.codec import Frame
from simulators.generator.machine import (
    FAULTS,
    KV_MAX,
    MA_MAX,
    MAS_MAX,
    MS_MAX,
    MS_MIN,
    Action,
    Machine,
    Technique,
)

FULL: Final = 4095
KNOWN: Final = frozenset(
    ("22", "50", "10", "11", "74", "14", "15", "53", "60", "78", "84", "34", "52", "99", "61", "62", "63")
)
REASONS: Final = {
    "1": "bad checksum",
    "2": "command not available",
    "3": "first argument out of range",
    "4": "second argument out of range",
    "5": "third argument out of range",
    "6": "fourth argument out of range",
    "7": "wrong number of arguments or no number",
    "8": "busy",
    "9": "cannot change with X-ray on",
    "10": "accepted, but X-ray will not come on",
    "11": "wrong technique mode",
}


@dataclass
class Panel:
    """What the dialect knows beside the machine: the filament and the last dose-area product."""

    filament: int = 1
    dap_dgycm2: float = 0.0


@dataclass(frozen=True)
class Reply:
    """The answer to a frame, and what the machine did because of it.

    ``code`` is the reply code of a refused command, else "".
    """

    command: str
    args: tuple[str | int, ...]
    actions: tuple[Action, ...] = ()
    code: str = ""
    reason: str = ""
    technique: Technique | None = field(default=None)
    """Set when the frame changed the set points."""


def kv_counts(kvp: float) -> int:
    """Return 0-4095 for 0-150 kV."""
    return max(0, min(FULL, round(kvp * FULL / KV_MAX)))


def ma_counts(ma: float) -> int:
    """Return 0-4095 for 0-1000 mA."""
    return max(0, min(FULL, round(ma * FULL / MA_MAX)))


def status_flags(machine: Machine, now: int) -> list[int]:
    """Return the 26 status flags, first = argument 1.

    From the PMX: 1 X-ray on, 2 interlock closed, 3 fault, 4 prep, 13 ready, 14 set-up invalid, 15 calibrating
    (busy), 16 filament open.  Ours, in places whose PMX meaning was not seen: 17 rotor fault, 18 arc, 19
    back-up timer, 20 anode heat lock-out, 21 prep time-out, 22 cooling down, 23 expose contact, 24 last
    exposure was cut short.
    """
    flags = [0] * 26
    values = {
        1: machine.state == "exposing",
        2: not machine.troubles.interlock,
        3: machine.state == "fault",
        4: machine.state in ("prep", "ready", "exposing"),
        13: machine.state in ("ready", "exposing"),
        14: bool(machine.invalid(now)),
        15: machine.troubles.busy,
        16: machine.fault == "filament",
        17: machine.fault == "rotor",
        18: machine.fault == "arc",
        19: machine.fault == "over_dose",
        20: machine.locked_out(now),
        21: machine.fault == "prep_timeout",
        22: machine.state == "cooldown",
        23: machine.expose_contact,
        24: machine.last is not None and machine.last.truncated,
    }
    for number, value in values.items():
        flags[number - 1] = int(value)
    return flags


def execute(frame: Frame, machine: Machine, panel: Panel, now: int) -> Reply:
    """Carry out one command and return the answer to it."""
    if frame.command not in KNOWN:
        return _refused(frame.command, "2")
    reader = _READERS.get(frame.command)
    if reader is not None and not frame.args:
        actions = tuple(machine.tick(now))
        return Reply(frame.command, reader(machine, panel, now), actions)
    numbers = _numbers(frame.args)
    if reader is not None and frame.command != "34":
        return _refused(frame.command, "7")
    if numbers is None:
        return _refused(frame.command, "7")
    return _set(frame.command, numbers, machine, panel, now)


def checksum_reply(command: str) -> Reply:
    """Answer a frame whose checksum was wrong: error code 1; command 00 stands for an unreadable one."""
    return _refused(command or "00", "1")


def _refused(command: str, code: str, actions: tuple[Action, ...] = ()) -> Reply:
    return Reply(command, (code,), actions, code, REASONS[code])


def _numbers(args: tuple[str, ...]) -> list[int] | None:
    """Read decimal arguments; None when one of them is none, or is absurdly long."""
    if any(not a.isdigit() or len(a) > 9 for a in args):
        return None
    return [int(a) for a in args]


def _set(command: str, numbers: list[int], machine: Machine, panel: Panel, now: int) -> Reply:
    actions = list(machine.tick(now))
    count = {"50": (3, 4), "52": (0, 0), "34": (1, 1)}.get(command, (1, 1))
    if not count[0] <= len(numbers) <= count[1]:
        return _refused(command, "7", tuple(actions))
    if command == "52":
        gone, more = machine.clear(now)
        actions += more
        return Reply("52", ("$",), tuple(actions)) if gone else _refused("52", "10", tuple(actions))
    if command == "99":
        if numbers[0] != 0:
            return _refused("99", "2", tuple(actions))
        actions += machine.interrupt(now)
        return Reply("99", ("$",), tuple(actions))
    if machine.state == "exposing":
        return _refused(command, "9", tuple(actions))
    if machine.troubles.busy:
        return _refused(command, "8", tuple(actions))
    if command == "34":
        if not machine.limits.prep_ms <= numbers[0] <= 5000:
            return _refused("34", "3", tuple(actions))
        machine.ready_ms = numbers[0]
        return Reply("34", ("$",), tuple(actions))
    old = machine.technique or Technique(0.0, 0.0, 0)
    wanted = _technique(command, numbers, old, panel, machine.limits.max_kw)
    if isinstance(wanted, str):
        return _refused(command, wanted, tuple(actions))
    actions += machine.set(wanted, now)
    why = machine.invalid(now)
    if why and (command in ("50", "74") or (wanted.kvp and wanted.ma and wanted.ms)):
        return Reply(command, ("10",), tuple(actions), "10", why, wanted)
    return Reply(command, ("$",), tuple(actions), technique=wanted)


def _technique(
    command: str, numbers: list[int], old: Technique, panel: Panel, max_kw: float
) -> Technique | str:
    """Return the new set points, or a reply code."""
    if command == "50":
        limits = [(MS_MIN, MS_MAX), (0, FULL), (0, FULL), (0, 1)]
        for place, (number, (low, high)) in enumerate(zip(numbers, limits, strict=False)):
            if not low <= number <= high:
                return str(3 + place)
        if len(numbers) == 4:
            panel.filament = numbers[3]
        return Technique(numbers[1] * KV_MAX / FULL, numbers[2] * MA_MAX / FULL, numbers[0], 3)
    if command in ("10", "11"):
        if numbers[0] > FULL:
            return "3"
        if command == "11":
            if old.mode == 2:
                return "11"
            return Technique(old.kvp, numbers[0] * MA_MAX / FULL, old.ms, 3)
        kvp = numbers[0] * KV_MAX / FULL
        return _two_point(kvp, old.mas, max_kw) if old.mode == 2 else Technique(kvp, old.ma, old.ms, 3)
    assert command == "74", command
    if numbers[0] > MAS_MAX * 10:
        return "3"
    return _two_point(old.kvp, numbers[0] / 10.0, max_kw)


def _two_point(kvp: float, mas: float, max_kw: float) -> Technique:
    """Choose mA and ms for a charge: the highest current, at 80 % of the power, that still takes 5 ms."""
    ma = min(MA_MAX, 0.8 * max_kw * 1000.0 / kvp) if kvp > 0 else MA_MAX
    ms = max(MS_MIN, round(mas * 1000.0 / ma))
    return Technique(kvp, mas * 1000.0 / ms, ms, 2)


def _exposure(machine: Machine, panel: Panel, now: int) -> tuple[str | int, ...]:
    last = machine.last
    if last is None:
        return (0, 0, 0, 0, 0, 0, 0)
    return (
        last.number,
        round(last.kvp * 10),
        round(last.ma * 10),
        round(last.ms * 10),
        round(last.mas * 1000),
        round(panel.dap_dgycm2 * 1000),
        int(last.truncated),
    )


def _fault(machine: Machine, panel: Panel, now: int) -> tuple[str | int, ...]:
    return (FAULTS[machine.fault][0] if machine.fault else 0,)


def _points(machine: Machine, panel: Panel, now: int) -> tuple[str | int, ...]:
    t = machine.technique or Technique(0.0, 0.0, 0)
    return (t.ms, kv_counts(t.kvp), ma_counts(t.ma), t.mode)


def _auxiliary(machine: Machine, panel: Panel, now: int) -> tuple[str | int, ...]:
    heat = round(100 * machine.heat(now) / machine.limits.heat_capacity_hu)
    return (1, int(not machine.locked_out(now)), heat)


_READERS: Final[dict[str, Callable[[Machine, Panel, int], tuple[str | int, ...]]]] = {
    "22": lambda machine, panel, now: tuple(status_flags(machine, now)),
    "14": lambda machine, panel, now: (_points(machine, panel, now)[1],),
    "15": lambda machine, panel, now: (_points(machine, panel, now)[2],),
    "53": lambda machine, panel, now: (panel.filament,),
    "60": lambda machine, panel, now: (kv_counts(machine.last.kvp) if machine.last else 0,),
    "61": _exposure,
    "62": _fault,
    "63": _points,
    "78": _auxiliary,
    "84": lambda machine, panel, now: (0, 0, 0, int(machine.fault == "rotor"), 0, 0),
    "34": lambda machine, panel, now: (machine.ready_ms,),
}
