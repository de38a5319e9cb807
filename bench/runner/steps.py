"""Does the steps of a scenario, one after the other.

Rules of this file:

* A step that acts is judged by what the operator or the bench can see of it at once; what it causes is judged by
  expectations.  A SUT that answers 'no' is FAIL (or what the step says with ``fails``); a bench that cannot do a
  step is ERROR.
* The first step that is not green ends the walk: what follows would measure the consequences of a fault.
* A fault with ``when:`` waits for its trigger in the bench; its moment and what it reached are journalled.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.expect import Outcome, Status
from bench.journal import Event
from bench.links.network import Network, NotSupportedError
from bench.plan import Plan, shown
from bench.results import StepResult
from bench.runner.actors import Host, HostError
from bench.runner.settings import endpoints, settings
from bench.runner.stream import Stream
from bench.scenario import Act, Arm, Expect, Never, Order, Step, When
from bench.sut import Answer, SutAdapter, SutError, SutGone
from bench.verdict import Verdict

GRACE_NS: Final = 300_000_000
"""How long after a deadline an event with an earlier stamp may still be on its way to the journal."""
VERB_TIMEOUT_S: Final = 60.0

Progress = Callable[[Mapping[str, Any]], None]

VERDICTS: Final = {
    Status.MATCHED: Verdict.PASS,
    Status.MISSED: Verdict.FAIL,
    Status.VIOLATED: Verdict.FAIL,
    Status.UNOBSERVED: Verdict.INCONCLUSIVE,
    Status.PENDING: Verdict.INCONCLUSIVE,
}


class StepFailed(Exception):
    """The SUT did not do what the step says."""


class BenchFailed(Exception):
    """The bench could not do what the step says."""


@dataclass
class Walk:
    """One walk through the steps of a cell."""

    plan: Plan
    stream: Stream
    hosts: Mapping[str, Host]
    network: Network
    sut: SutAdapter
    progress: Progress
    handles: dict[int, int]
    results: list[StepResult]

    def __init__(
        self,
        plan: Plan,
        stream: Stream,
        hosts: Mapping[str, Host],
        network: Network,
        sut: SutAdapter,
        progress: Progress,
    ) -> None:
        self.plan, self.stream, self.hosts, self.network = plan, stream, hosts, network
        self.sut, self.progress = sut, progress
        self.handles = {}
        self.results = []
        self.requests: Counter[str] = Counter()
        """DIMSE requests that were seen on the LAN, by kind."""
        self._seqs: dict[tuple[str, int], int] = {}
        self._armed = 0
        self._fired: dict[str, Callable[[], None]] = {}
        self._injected: list[tuple[str, str, str | None]] = []
        self._killed = False
        self._host_of = {actor.name: host.name for host in plan.hosts for actor in host.actors}
        self._acts: dict[str, Callable[[Act], Mapping[str, Any] | None]] = {
            "operator": self._operator,
            "link": self._link,
            "host": self._host,
            "sut": self._sut,
            "bench": self._wait,
        }
        stream.listen(self._on_event)

    # ------------------------------------------------------------------ the walk

    def run(self) -> None:
        """Do every step until one is not green; :attr:`results` then has one entry for each step."""
        stopped = False
        for step in self.plan.cell.steps:
            if stopped:
                self.results.append(
                    StepResult(
                        index=step.index, line=step.line, text=shown(step), verdict=Verdict.NOT_EXERCISED
                    )
                )
                continue
            self.progress({"step": step.index, "text": step.head, "line": step.line})
            result = self._one(step)
            self.results.append(result)
            stopped = not result.verdict.green

    @property
    def steps(self) -> tuple[StepResult, ...]:
        """The results with their journal events; complete once the stream has ended."""
        return tuple(
            replace(
                result,
                start_seq=self._seqs.get(("step.start", result.index)),
                end_seq=self._seqs.get(("step.end", result.index)),
            )
            for result in self.results
        )

    def _one(self, step: Step) -> StepResult:
        began = time.monotonic_ns()
        self.stream.say("bench", "step.start", index=step.index, line=step.line, text=shown(step))
        verdict, message = Verdict.PASS, None
        try:
            if isinstance(step, Expect | Never | Order):
                verdict, message = self._observe(step, began)
            else:
                self._act(step, began)
        except (StepFailed, SutGone) as error:
            verdict, message = Verdict.FAIL, str(error)
        except (BenchFailed, HostError, SutError) as error:
            verdict, message = Verdict.ERROR, str(error)
        except Exception as error:
            verdict, message = Verdict.ERROR, f"{type(error).__name__}: {error}"
        seconds = (time.monotonic_ns() - began) / 1e9
        self.stream.say("bench", "step.end", index=step.index, outcome=verdict.value, message=message)
        return StepResult(
            index=step.index,
            line=step.line,
            text=step.head,
            verdict=verdict,
            seconds=seconds,
            message=message,
        )

    def _observe(self, step: Expect | Never | Order, now: int) -> tuple[Verdict, str | None]:
        stream = self.stream
        with stream.lock:
            handle = stream.engine.begin(step, now)
            self.handles[step.index] = handle
        if isinstance(step, Never) and not step.wait:
            return Verdict.PASS, None
        deadline = self._deadline(handle)
        if deadline is None:
            stream.drain()
        else:
            within = (deadline - now) / 1e9
            self.progress({"await": step.head, "within": within})
            stream.wait(lambda: self._outcome(handle).status is not Status.PENDING, deadline + GRACE_NS)
            stream.drain()
            with stream.lock:
                if stream.engine.outcome(handle).status is Status.PENDING:
                    stream.engine.observed(max(deadline + 1, time.monotonic_ns() - GRACE_NS))
        outcome = self._outcome(handle)
        if isinstance(step, Order) and outcome.status is Status.PENDING:
            return Verdict.PASS, None  # judged over the whole stream at the end of the cell
        return VERDICTS[outcome.status], None if outcome.status is Status.MATCHED else outcome.message

    def _outcome(self, handle: int) -> Outcome:
        with self.stream.lock:
            return self.stream.engine.outcome(handle)

    def _deadline(self, handle: int) -> int | None:
        with self.stream.lock:
            return self.stream.engine.deadline(handle)

    # ------------------------------------------------------------------ acts

    def _act(self, step: Act | Arm, now: int) -> None:
        stream = self.stream
        stream.drain()
        with stream.lock:
            resolved = stream.engine.scope.resolve(step)
            stream.engine.step_started(resolved, now)
        result: Mapping[str, Any] | None = None
        try:
            if isinstance(resolved, Arm):
                self._arm(resolved)
            elif resolved.spec.fault and not resolved.spec.at_once:
                self._inject(resolved, self._new_id())
            elif resolved.what == "recover":
                self._recover(resolved)
            else:
                result = self._acts.get(resolved.spec.family, self._command)(resolved)
        finally:
            stream.drain()
            with stream.lock:
                stream.engine.step_ended(
                    resolved, time.monotonic_ns(), dict(result) if result is not None else None
                )

    def _command(self, step: Act) -> Mapping[str, Any] | None:
        """A verb of a simulator: ``ris.worklist``, ``panel.press_prep``, ``world.phantom``…"""
        host = self._hosts_of(step.host)
        return host.command(step.host, step.spec.word, step.args, VERB_TIMEOUT_S)

    def _hosts_of(self, actor: str) -> Host:
        try:
            return self.hosts[self._host_of[actor]]
        except KeyError:
            raise BenchFailed(f"this bench has no {actor}") from None

    def _operator(self, step: Act) -> Mapping[str, Any] | None:
        args = dict(step.args)
        timeout = float(args.get("timeout") or VERB_TIMEOUT_S)
        if step.what == "expose":
            answer = self._expose(args, timeout)
        else:
            if step.what not in self.sut.verbs:
                raise BenchFailed(f"the {self.sut.name} adapter cannot {step.what}")
            args.pop("timeout", None)
            if step.what == "configure":
                try:
                    args = settings(args, endpoints(self.hosts))
                except LookupError as error:
                    raise BenchFailed(str(error)) from error
            try:
                answer = self.sut.do(step.what, args, timeout)
            except SutGone as error:
                if not step.fails or not self._killed:
                    raise
                answer = Answer(False, error=str(error))  # its power was cut: no other answer can come
            if step.what == "restart":
                self._killed = False
        result = named(answer.result)
        self._judge(step, answer.ok, answer.error, result)
        return result

    def _expose(self, args: dict[str, Any], timeout: float) -> Answer:
        """The operator's exposure: console ready, two-stage press, image on the screen."""
        args.pop("timeout", None)
        ready = self.sut.do("prepare", args, timeout)
        if not ready.ok:
            return ready
        press = self._hosts_of("panel").command("panel", "expose", {}, timeout)
        shown = self.sut.do("wait_image", {"timeout": timeout}, timeout + 5)
        return replace(shown, result={**shown.result, "press": dict(press)})

    @staticmethod
    def _judge(step: Act, ok: bool, error: str, result: Mapping[str, Any]) -> None:
        if step.fails:
            if ok:
                raise StepFailed(f"{step.verb} succeeded; the scenario says that it fails")
            if isinstance(step.fails, str) and not re.search(step.fails, error):
                raise StepFailed(f"{step.verb} failed with {error!r}, which does not match {step.fails!r}")
        elif not ok:
            raise StepFailed(f"{step.verb}: the modality says: {error or 'no'}")
        for test in step.answer:
            why = test.check(result)
            if why:
                raise StepFailed(f"{step.verb}: the answer does not fit: {why}")

    def _link(self, step: Act) -> None:
        self._cable(step.what, step.args)

    def _cable(self, what: str, args: Mapping[str, Any]) -> str:
        """Do something to a cable; return what it reached."""
        link = str(args.get("host", "modality"))
        try:
            if what == "pull":
                before = self.network.counters(link)
                self.network.pull(link)
                self.stream.say("link", "link.pulled", link=link)
                return f"cable of {link}, after {before.received_bytes} bytes received and {before.sent_bytes} sent"
            if what == "plug":
                self.network.plug(link)
                self.stream.say("link", "link.plugged", link=link)
                return f"cable of {link}"
            self.network.set_mode(link, str(args["mode"]))
            self.stream.say("link", "link.mode", link=link, mode=str(args["mode"]))
            return f"{link} at {args['mode']}"
        except NotSupportedError as error:
            raise BenchFailed(str(error)) from error

    def _host(self, step: Act) -> None:
        """A peer's service goes down or comes back: its port is closed, its host stays."""
        name = str(step.args["host"])
        self._hosts_of(name).command(name, f"@{step.what}", {}, VERB_TIMEOUT_S)

    def _sut(self, step: Act) -> None:
        if step.what == "kill":
            self._killed = True
            self.sut.kill()
        else:
            raise BenchFailed(f"sut.{step.what} is unknown")

    def _wait(self, step: Act) -> None:
        # A wait is part of what the scenario measures, not a way to synchronise with anything.
        seconds = float(step.args["for"])
        self.progress({"await": step.head, "within": seconds})
        time.sleep(seconds)

    # ------------------------------------------------------------------ faults

    def _new_id(self) -> str:
        self._armed += 1
        return f"f{self._armed}"

    def _arm(self, step: Arm) -> None:
        number = self._new_id()
        if step.when is None:
            self._now(step, number)
            return
        self.stream.say("bench", "fault.armed", id=number, host=step.host, fault=step.what, line=step.line)

        def fire() -> None:
            # A thread of its own: the pump, which saw the trigger, must not wait for a host's answer.
            threading.Thread(target=self._fire, args=(step, number), daemon=True).start()

        when = step.when
        if when.kind == "time":
            timer = threading.Timer(float(when.value), fire)
            timer.daemon = True
            timer.start()
            return
        self._fired[number] = fire
        if when.kind == "event":
            self._watch_event(number, when)
        else:
            condition: dict[str, Any] = {when.kind: when.value}
            if when.kind == "request":
                condition["count"] = when.count
            self._hosts_of(when.host).command(when.host, "watch", {"id": number, **condition})

    def _watch_event(self, number: str, when: When) -> None:
        left = when.count

        def look(event: Event) -> None:
            nonlocal left
            if when.match is not None and when.match.matches(event):
                left -= 1
                if left > 0:
                    return
                fire = self._fired.pop(number, None)
                if fire is not None:
                    fire()

        self.stream.listen(look)

    def _on_event(self, event: Event) -> None:
        if event.kind == "wire.message" and str(event.data.get("field", "")).endswith("-RQ"):
            self.requests[event.data["field"].removesuffix("-RQ")] += 1
        if event.kind in ("step.start", "step.end"):
            self._seqs[event.kind, int(event.data["index"])] = event.seq
        if event.kind == "trigger.hit":
            fire = self._fired.pop(str(event.data.get("id")), None)
            if fire is not None:
                fire()

    def _fire(self, step: Arm, number: str) -> None:
        try:
            self._now(step, number)
        except Exception as error:
            self.stream.say("bench", "bench.error", where=f"{step.file}:{step.line}", message=str(error))

    def _now(self, step: Arm, number: str) -> None:
        """Let an armed fault happen (or wait inside its simulator for its own byte or message)."""
        if not step.spec.at_once:
            self._inject(step, number)
            return
        source, host, where = "bench", step.host, ""
        if step.spec.family == "link":
            source, where = "link", self._cable(step.what, step.args)
        elif step.spec.family == "sut":
            self._killed = True
            self.sut.kill()
            host = "modality"
        else:
            plain = Act(**{**_common(step), "verb": step.verb, "args": step.args})
            self._acts.get(step.spec.family, self._command)(plain)
        self.stream.say(source, "fault.fired", id=number, host=host, fault=step.verb, where=where)

    def _inject(self, step: Act, number: str) -> None:
        self._injected.append((step.host, number, step.name))
        arguments = {"id": number, "fault": step.spec.word, "args": dict(step.args)}
        self._hosts_of(step.host).command(step.host, "arm", arguments)

    def _recover(self, step: Act) -> None:
        """Disarm what was armed at this device: one fault by name, or all."""
        wanted = step.args.get("fault")
        for entry in [e for e in self._injected if e[0] == step.host and wanted in (None, e[2])]:
            self._injected.remove(entry)
            # A fault that fired for the last time is gone already; that is no trouble.
            with contextlib.suppress(HostError):
                self._hosts_of(step.host).command(step.host, "disarm", {"id": entry[1]})


def named(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with names for what a reference cannot say: ends of a range, lengths of lists."""
    out = dict(result)
    sequence, files = out.get("sequence"), out.get("files")
    if isinstance(sequence, list) and len(sequence) == 2:
        out |= {"first": sequence[0], "last": sequence[1]}
    if isinstance(files, list):
        out.setdefault("count", len(files))
    return out


def _common(step: Step) -> dict[str, Any]:
    return {"index": step.index, "file": step.file, "line": step.line, "text": step.text, "name": None}
