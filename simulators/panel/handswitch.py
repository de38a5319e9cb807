"""A two-stage hand switch: first stage prep, second stage expose, as contacts of the world.

Rules of this file:

* The switch only closes and opens contacts; whether photons come is the generator's business.
* ``expose`` and ``release_early`` do what a practised operator does: wait until the generator has cooled
  down, press the first stage, wait for its ready lamp, press the second, hold, release.  They return
  what happened and never raise because an exposure did not come: ``outcome`` says so.
* The second stage cannot be closed without the first on a real switch; ``press_expose`` alone closes only the
  second contact, which is a broken switch, and scenarios want that.
* Releasing opens the second stage before the first, as a spring does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from simulators.base import CommandError, Emit
from simulators.generator import Generator
from simulators.world.bus import World

VERBS = ("press_prep", "press_expose", "release", "expose", "release_early", "bounce", "state")


@dataclass(frozen=True)
class Config:
    """One hand switch."""

    timeout_s: float = 30.0
    """How long an operator waits for the ready lamp before giving up."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Config:
        """Build a configuration; raises :class:`ValueError` for an unknown key."""
        known = [f.name for f in fields(cls)]
        for key, value in data.items():
            if key not in known:
                raise ValueError(f"panel: unknown key {key!r}; there are {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ValueError(f"panel: {key} must be a positive number, not {value!r}")
        return cls(**data)


class HandSwitch:
    """A thumb on a two-stage switch."""

    def __init__(self, config: Config, emit: Emit, world: World, generator: Generator) -> None:
        self._config = config
        self._emit = emit
        self._world = world
        self._generator = generator
        self._thumb = threading.Lock()
        self._stop = threading.Event()

    def start(self) -> Mapping[str, Any]:
        """There is nothing to listen on."""
        return {}

    def stop(self) -> None:
        """Let go; a sequence in progress ends."""
        self._stop.set()
        self._release()

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Press, hold, release; see :data:`VERBS`."""
        _only(verb, args)
        if verb == "release":
            return self._release()  # also while another verb holds the switch
        if verb == "state":
            return self._world.contacts()
        with self._thumb:
            match verb:
                case "press_prep":
                    return self._contact("prep", True)
                case "press_expose":
                    return self._contact("expose", True)
                case "expose":
                    return self._expose(_number(args, "timeout", self._config.timeout_s), None)
                case "release_early":
                    timeout = _number(args, "timeout", self._config.timeout_s)
                    return self._expose(timeout, _number(args, "after_ms", 20.0))
                case "bounce":
                    return self._bounce(args)
        raise CommandError(f"the hand switch cannot {verb!r}; it can {', '.join(VERBS)}")

    # ---------------------------------------------------------------- contacts

    def _contact(self, name: str, closed: bool) -> dict[str, Any]:
        before = self._world.contacts()
        if before[name] != closed:
            now = {**before, name: closed}
            self._emit("panel.contact", prep=now["prep"], expose=now["expose"])
            self._world.contact(name, closed)
        return {"prep": self._world.contacts()["prep"], "expose": self._world.contacts()["expose"]}

    def _release(self) -> dict[str, Any]:
        self._contact("expose", False)
        return self._contact("prep", False)

    def _bounce(self, args: Mapping[str, Any]) -> dict[str, Any]:
        contact = str(args.get("contact", "expose"))
        if contact not in ("prep", "expose"):
            raise CommandError(f"a hand switch has contacts prep and expose, not {contact!r}")
        times = int(_number(args, "times", 3))
        if not 1 <= times <= 1000:
            raise CommandError(f"times must be 1-1000, not {times}")
        pause = _number(args, "ms", 5.0) / 1000.0
        for _ in range(times):
            self._contact(contact, True)
            self._stop.wait(pause)
            self._contact(contact, False)
            self._stop.wait(pause)
        return self._contact(contact, bool(args.get("closed", False)))

    # ---------------------------------------------------------------- the whole press

    def _expose(self, timeout_s: float, early_ms: float | None) -> dict[str, Any]:
        """Press through both stages; ``early_ms`` releases so long after the second stage was pressed."""
        generator = self._generator
        deadline = time.monotonic() + timeout_s

        def left() -> float:
            return max(0.0, deadline - time.monotonic())

        before = int(generator.snapshot()["exposures"])
        try:
            if not generator.wait_state(("idle", "fault"), left()):
                return self._outcome("not_ready", "generator is still cooling down", before)
            self._contact("prep", True)
            if generator.snapshot()["state"] not in ("prep", "ready"):
                return self._outcome("refused", "no preparation", before)
            generator.wait_state(("ready", "idle", "fault"), left())
            if generator.snapshot()["state"] != "ready":
                return self._outcome("not_ready", "no ready lamp", before)
            self._contact("expose", True)
            if early_ms is not None:
                self._stop.wait(early_ms / 1000.0)
                self._contact("expose", False)
            if not generator.wait_exposure(before, left()):
                return self._outcome("held_too_long", "the exposure did not end", before)
            return self._outcome("", "", before)
        finally:
            self._release()

    def _outcome(self, outcome: str, reason: str, before: int) -> dict[str, Any]:
        after = self._generator.snapshot()
        came = int(after["exposures"]) > before
        if came:
            outcome = "truncated" if after["truncated"] else "exposed"
        elif after["fault"]:
            outcome, reason = "fault", str(after["fault"])
        result = {"outcome": outcome or "no_exposure", "generator": after["state"], "fault": after["fault"]}
        if reason:
            result["reason"] = reason
        if came:
            result |= {"mas": after["mas"], "ms": after["ms"]}
        return result


_ARGS: Mapping[str, tuple[str, ...]] = {
    "expose": ("timeout",),
    "release_early": ("timeout", "after_ms"),
    "bounce": ("contact", "times", "ms", "closed"),
}


def _only(verb: str, args: Mapping[str, Any]) -> None:
    for key in args:
        if key not in _ARGS.get(verb, ()):
            raise CommandError(f"{verb}: unknown argument {key!r}")


def _number(args: Mapping[str, Any], key: str, default: float) -> float:
    value = args.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise CommandError(f"{key} must be a number from 0, not {value!r}")
    return float(value)
