"""The generator as a simulator: the machine, its timer, the world's contacts and the serial line together.

Rules of this file:

* One lock guards the machine.  What the machine decides is carried out with no lock held, in the order
  in which it was decided, by whichever thread comes first.
* The beam in the world begins and ends at the machine's own moments, so a set 5 ms are exactly 5 ms of
  photons however late a thread wakes up.
* The timer thread sleeps until the machine's next deadline; an idle generator costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from simulators.base import CommandError, Emit
from simulators.generator import faults
from simulators.generator.codec import Decoder, Garbage, encode
from simulators.generator.config import Config
from simulators.generator.dialect import Panel, Reply, checksum_reply, execute
from simulators.generator.line import SerialServer
from simulators.generator.machine import Action, Exposure, Machine
from simulators.world.bus import Signal, World, air_kerma_ugy

MAX_GARBAGE_EVENTS = 16


class Generator:
    """A simulated X-ray generator on a serial line."""

    def __init__(
        self, config: Config, emit: Emit, world: World, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.config = config
        self._emit = emit
        self._world = world
        self._clock = clock
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._machine = Machine(config.limits, clock())
        self._panel = Panel()
        self._decoder = Decoder()
        self._waiting: list[faults.Waiting] = []
        self._queue: deque[Action] = deque()
        self._performing = False
        self._garbage_bytes = 0
        self._garbage_events = 0
        self._stopping = False
        self._server: SerialServer | None = None
        self._timer: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] | None = None

    # ---------------------------------------------------------------- simulator

    def start(self) -> Mapping[str, Any]:
        """Open the line; returns ``{"url", "transport", "host", "port", "baud"}`` for a pyserial client."""
        server = SerialServer(self.config, self._on_bytes, self._on_client, self._on_noise)
        where = server.start()  # first: it may fail
        self._server = server
        self._unsubscribe = self._world.subscribe(self._on_signal)
        self._timer = threading.Thread(target=self._run_timer, name="generator-timer", daemon=True)
        self._timer.start()
        return where

    def stop(self) -> None:
        """Switch off: no photons, no line, no threads.  Idempotent."""
        with self._changed:
            self._stopping = True
            actions = self._machine.interrupt(self._clock())
            self._changed.notify_all()
        self._perform(actions)
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._timer is not None and self._timer is not threading.current_thread():
            self._timer.join(5.0)
            self._timer = None

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do a step of a scenario: arm, disarm, watch, state, wait {state, timeout}, warm {percent}."""
        match verb:
            case "arm":
                return self._arm(args)
            case "disarm":
                return self._disarm(str(args.get("id", "")))
            case "watch":
                rest = {k: v for k, v in args.items() if k != "id"}
                condition = faults.Condition.parse(rest, "watch")
                self._add(faults.Waiting(_id(args), condition))
                return {}
            case "state":
                return self.snapshot()
            case "wait":
                state = str(args.get("state", "ready"))
                if not self.wait_state((state,), float(args.get("timeout", 30.0))):
                    raise CommandError(f"generator did not become {state}, it is {self.snapshot()['state']}")
                return self.snapshot()
            case "warm":
                percent = float(args.get("percent", 90.0))
                with self._changed:
                    self._machine.warm(percent / 100.0, self._clock())
                    self._changed.notify_all()
                return self.snapshot()
        raise CommandError(
            f"the generator cannot {verb!r}; it can arm, disarm, watch, state, wait {{state, timeout}}, warm"
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the state as JSON types."""
        with self._lock:
            now = self._clock()
            machine = self._machine
            last = machine.last
            return {
                "state": machine.state,
                "fault": machine.fault,
                "heat_units": round(machine.heat(now), 1),
                "locked_out": machine.locked_out(now),
                "invalid": machine.invalid(now),
                "exposures": last.number if last else 0,
                "truncated": last.truncated if last else False,
                "mas": last.mas if last else None,
                "ms": last.ms if last else None,
            }

    def wait_state(self, states: tuple[str, ...], timeout_s: float) -> bool:
        """Wait until the state is one of these; False when the time is over first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._machine.state in states, timeout_s)

    def wait_exposure(self, after: int, timeout_s: float) -> bool:
        """Wait until an exposure with a number above ``after`` has ended, or a fault came; False on time-
        ut."""

        def over() -> bool:
            last = self._machine.last
            return self._machine.state == "fault" or (last is not None and last.number > after)

        with self._changed:
            return self._changed.wait_for(over, timeout_s)

    # ---------------------------------------------------------------- inputs

    def _on_signal(self, signal: Signal) -> None:
        if signal.kind != "contact" or signal.contact not in ("prep", "expose"):
            return
        with self._changed:
            if self._stopping:
                return
            now = max(signal.t, self._clock())
            self._take(self._machine.contact(signal.contact, signal.closed, now), now)
            self._changed.notify_all()
        self._perform()
        if self._server is not None:
            contacts = self._world.contacts()
            self._server.lines(prep=contacts["prep"], expose=contacts["expose"])

    def _run_timer(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                now = self._clock()
                self._take(self._machine.tick(now), now)
                if self._queue:
                    self._changed.notify_all()
                else:
                    times = [w.due for w in self._waiting if w.due is not None]
                    deadline = self._machine.deadline()
                    if deadline is not None:
                        times.append(deadline)
                    wait = max(0.0, (min(times) - self._clock()) / 1e9) if times else None
                    self._changed.wait(wait)
            self._perform()

    def _on_client(self, how: str, baud: int) -> None:
        with self._lock:
            self._decoder.reset()
        self._emit("generator.line", how=how, baud=baud)

    def _on_noise(self, data: bytes, why: str) -> None:
        self._garbage(Garbage("noise", len(data), bytes(data[:16])), why)

    def _on_bytes(self, data: bytes) -> bytes:
        """Take bytes from the line; return the replies."""
        with self._lock:
            units = self._decoder.feed(data)
        return b"".join(self._answer(unit) for unit in units)

    def _answer(self, unit: Any) -> bytes:
        if isinstance(unit, Garbage):
            if unit.why != "checksum":
                self._garbage(unit, unit.why)
                return b""
            reply = checksum_reply(unit.command)
        else:
            with self._changed:
                now = self._clock()
                reply = execute(unit, self._machine, self._panel, now)
                self._take(list(reply.actions), now)
                for waiting in self._waiting:
                    waiting.command_seen(unit.command, now)
                self._take([], now)
                self._changed.notify_all()
        if reply.technique is not None:
            t = reply.technique
            self._emit("generator.set", kvp=t.kvp, ma=t.ma, ms=t.ms)
        if reply.code:
            self._emit("generator.refused", command=reply.command, code=reply.code, reason=reply.reason)
        self._perform()
        if reply.code == "1" and self.config.checksum_reply == "ignore":
            return b""
        return self._spoil(reply)

    def _garbage(self, unit: Garbage, why: str) -> None:
        with self._lock:
            self._garbage_bytes += unit.size
            self._garbage_events += 1
            count, total = self._garbage_events, self._garbage_bytes
        if count <= MAX_GARBAGE_EVENTS or count & (count - 1) == 0:  # then only at powers of two
            self._emit("generator.garbage", why=why, size=unit.size, sample=unit.sample.hex(), total=total)

    def _spoil(self, reply: Reply) -> bytes:
        """Return the bytes of a reply, spoiled if a fault of the line is active."""
        data = encode(reply.command, *reply.args)
        with self._lock:
            for waiting in self._waiting:
                if not waiting.active or waiting.fault not in faults.LINE_FAULTS:
                    continue
                if waiting.args.get("command") not in (None, reply.command):
                    continue
                waiting.seen += 1
                if waiting.seen >= int(waiting.args.get("count", 1)):
                    self._waiting.remove(waiting)
                break
            else:
                return data
        self._emit("fault.fired", id=waiting.id, fault=waiting.fault, where=f"reply to {reply.command}")
        if waiting.fault == "no_answer":
            return b""
        spoiled = bytearray(data)
        if waiting.fault == "bad_checksum":
            spoiled[-2] = 0x40 | ((spoiled[-2] + 1) & 0x3F)
        else:
            spoiled[len(spoiled) // 2] = 0x7F
            del spoiled[0]
        return bytes(spoiled)

    # ---------------------------------------------------------------- faults

    def _arm(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        fault = str(args.get("fault", ""))
        details = args.get("args") or {}
        when = args.get("when")
        if not isinstance(details, Mapping) or not isinstance(when, Mapping | None):
            raise CommandError("args and when must be mappings")
        faults.check(fault, details)
        condition = faults.Condition.parse(when, f"fault {fault}") if when else None
        waiting = faults.Waiting(_id(args), condition, fault, dict(details))
        self._emit("fault.armed", id=waiting.id, fault=fault)
        self._add(waiting)
        return {}

    def _add(self, waiting: faults.Waiting) -> None:
        with self._changed:
            if any(w.id == waiting.id for w in self._waiting):
                raise CommandError(f"id {waiting.id!r} is armed already")
            now = self._clock()
            self._waiting.append(waiting)
            if waiting.condition is None:
                waiting.due = now
            else:
                waiting.state_entered(self._machine.state, now)
                last = self._machine.last
                waiting.exposure_begun(last.number if last else 0, now)
            self._take([], now)
            self._changed.notify_all()
        self._perform()

    def _disarm(self, which: str) -> Mapping[str, Any]:
        with self._changed:
            now = self._clock()
            found = [w for w in self._waiting if w.id == which]
            if not found:
                raise CommandError(f"nothing is armed as {which!r}")
            self._waiting.remove(found[0])
            troubles = self._machine.troubles
            match found[0].fault:
                case "interlock":
                    self._take(self._machine.interlock(False, now), now)
                case "rotor":
                    troubles.rotor = 0
                case "filament":
                    troubles.filament = 0
                case "arc":
                    troubles.arc = 0
                case "over_dose":
                    troubles.over_dose = 0
                case "kv_drift":
                    troubles.kv_drift_percent = 0.0
                case "stuck_busy":
                    troubles.busy = False
            self._changed.notify_all()
        self._perform()
        return {}

    def _activate(self, waiting: faults.Waiting, now: int) -> list[Action]:
        """Let an armed fault begin (lock held); returns what the machine did at once."""
        waiting.active, waiting.due, waiting.seen = True, None, 0
        troubles = self._machine.troubles
        count = int(waiting.args.get("count", 1))
        match waiting.fault:
            case "":
                self._waiting.remove(waiting)
                return [Action("fired", {"watch": waiting.id})]
            case "interlock":
                return self._machine.interlock(True, now)
            case "rotor":
                troubles.rotor = count
            case "filament":
                troubles.filament = count
            case "arc":
                troubles.arc, troubles.arc_fraction = count, float(waiting.args.get("fraction", 0.3))
            case "over_dose":
                troubles.over_dose = count
                troubles.over_dose_factor = float(waiting.args.get("factor", 2.0))
            case "kv_drift":
                troubles.kv_drift_percent = float(waiting.args.get("percent", 10.0))
            case "stuck_busy":
                troubles.busy = True
                return [
                    Action("fired", {"fault": "stuck_busy", "where": self._machine.state}),
                    *self._machine.tick(now),
                ]
        return []

    # ---------------------------------------------------------------- outputs

    def _take(self, actions: list[Action], now: int) -> None:
        """Queue what the machine did and look which conditions came true by it (lock held)."""
        todo = list(actions)
        while True:
            for action in todo:
                self._queue.append(action)
                if action.kind == "xray_off":  # before a console can read it back
                    self._panel.dap_dgycm2 = self._dap(action.data["exposure"])
                for waiting in self._waiting:
                    if action.kind == "state":
                        waiting.state_entered(action.data["to"], now)
                    elif action.kind == "xray_on":
                        waiting.exposure_begun(int(action.data["number"]), now)
            todo = []
            for waiting in [w for w in self._waiting if w.due is not None and w.due <= now]:
                todo += self._activate(waiting, now)
            if not todo:
                return

    def _perform(self, actions: list[Action] | None = None) -> None:
        """Carry out what is queued, unless another thread is doing so."""
        with self._lock:
            self._queue.extend(actions or [])
            if self._performing:
                return
            self._performing = True
        while True:
            with self._lock:
                if not self._queue:
                    self._performing = False
                    return
                action = self._queue.popleft()
            try:
                self._carry_out(action)
            except BaseException:  # a listener failed: what follows must not wait for us for ever
                with self._lock:
                    self._performing = False
                raise

    def _carry_out(self, action: Action) -> None:
        data = action.data
        match action.kind:
            case "state":
                self._emit("generator.state", **data)
            case "fault":
                self._emit("generator.fault", **data)
            case "refused":
                self._emit("generator.refused", **data)
            case "xray_on":
                self._world.xray_on(data["kvp"], data["ma"], data["ms"], at=data["at"])
            case "xray_off":
                self._exposed(data["exposure"])
            case "fired" if "watch" in data:
                self._emit("trigger.hit", id=data["watch"])
            case "fired":
                self._fired(str(data["fault"]), str(data["where"]))

    def _dap(self, exposure: Exposure) -> float:
        """Return the dose-area product in dGy·cm²: kerma at 1 m times the field's area at 1 m."""
        sid, (width, height) = self._world.sid_mm, self._world.field_mm
        area_m2 = (width / sid) * (height / sid)
        return air_kerma_ugy(exposure.kvp, exposure.mas, 1000.0) * area_m2 * 0.1  # 10 µGy·m² are 1 dGy·cm²

    def _exposed(self, exposure: Exposure) -> None:
        end = exposure.start + round(exposure.ms * 1e6)
        self._world.xray_off(truncated=exposure.truncated, at=end)
        with self._lock:
            dap = self._panel.dap_dgycm2
            heat = self._machine.heat(self._clock())
        self._emit(
            "generator.exposure",
            kvp=exposure.kvp,
            ma=exposure.ma,
            ms=exposure.ms,
            mas=exposure.mas,
            set_ms=exposure.set_ms,
            truncated=exposure.truncated,
            heat_units=round(heat, 1),
            dap_dgycm2=dap,
        )

    def _fired(self, fault: str, where: str) -> None:
        with self._lock:
            found = next((w for w in self._waiting if w.active and w.fault == fault), None)
            if found is not None and "count" in faults.FAULT_ARGS[fault]:
                found.seen += 1
                if found.seen >= int(found.args.get("count", 1)):
                    self._waiting.remove(found)
        self._emit("fault.fired", id=found.id if found else "", fault=fault, where=where)


def _id(args: Mapping[str, Any]) -> str:
    name = args.get("id")
    if not isinstance(name, str) or not name:
        raise CommandError("an id is needed")
    return name
