"""Simulated hosts as processes: forked from the cell's process, driven over a socket pair.

Rules of this file:

* A host is forked while the cell's process is still single-threaded, enters its network namespace and only then
  builds its simulators: every socket they open belongs to that host.
* One socket pair per host carries JSON lines both ways: events up, commands down, answers up.
* The stamp of an event is taken where it happens, in ``emit``; the sequence number per source lets the journal
  see a lost event.
* A host that cannot start says why; one that dies unexpectedly is an event, and the cell is an ERROR.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from simulators.base import CommandError, Simulator

Publish = Callable[[str, int, int, str, dict[str, Any]], None]
"""(source, number, monotonic ns, kind, data) -> journal."""

LINE_LIMIT: Final = 64 << 20
"""Longest line between a host and the cell: a worklist of 10,000 items fits, a runaway does not."""


class HostError(Exception):
    """A simulated host could not start, answer or end: the bench's fault."""


@dataclass(frozen=True)
class ActorSpec:
    """One simulator inside a host: its name in events and steps, and how to build it."""

    name: str
    build: Callable[[Callable[..., None], Mapping[str, Any]], Simulator]
    config: Mapping[str, Any]


class Emitter:
    """The ``emit`` of one simulator: stamps, numbers and sends; any thread may call it."""

    def __init__(self, source: str, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._source = source
        self._send = send
        self._number = 0
        self._lock = threading.Lock()

    def __call__(self, kind: str, /, **data: Any) -> None:
        """Send one event; the order of numbers is the order of stamps."""
        with self._lock:
            self._number += 1
            self._send(
                {"ev": kind, "src": self._source, "n": self._number, "t": time.monotonic_ns(), "data": data}
            )


def _serve(channel: socket.socket, specs: Sequence[ActorSpec]) -> None:
    """Body of a host process: build, start, obey until the channel ends."""
    lock = threading.Lock()

    def send(message: Mapping[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"
        with lock:
            channel.sendall(line)

    simulators: dict[str, Simulator] = {}
    endpoints: dict[str, Any] = {}
    try:
        for spec in specs:
            emit = Emitter(spec.name, send)
            simulators[spec.name] = simulator = spec.build(emit, spec.config)
            endpoints[spec.name] = dict(simulator.start())
        send({"up": endpoints})
        reader = channel.makefile("rb")
        while line := reader.readline(LINE_LIMIT):
            request = json.loads(line)
            if request["do"] == "stop":
                break
            threading.Thread(target=_obey, args=(request, simulators, send), daemon=True).start()
    except Exception as error:
        with contextlib.suppress(OSError):
            send({"down": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})
    finally:
        for simulator in reversed(list(simulators.values())):
            try:
                simulator.stop()
            except Exception as error:
                with contextlib.suppress(OSError):
                    send({"down": f"stop: {error}", "trace": traceback.format_exc()})
        with contextlib.suppress(OSError):
            send({"stopped": True})


def _obey(
    request: Mapping[str, Any],
    simulators: Mapping[str, Simulator],
    send: Callable[[Mapping[str, Any]], None],
) -> None:
    """Do one command; a long one (a full press of the hand switch) must not hold up the others."""
    answer: dict[str, Any] = {"re": request["id"]}
    try:
        simulator = simulators[request["actor"]]
        if request["do"] == "@stop":  # the service goes down, its host stays: connections are refused
            simulator.stop()
            answer["result"] = {}
        elif request["do"] == "@start":
            answer["result"] = dict(simulator.start())
        else:
            answer["result"] = dict(simulator.command(request["do"], request["args"]) or {})
    except CommandError as error:
        answer["error"] = str(error)
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
        answer["trace"] = traceback.format_exc()
    with contextlib.suppress(OSError):
        send(answer)


@dataclass
class Host:
    """The cell's side of one host process."""

    name: str
    pid: int
    channel: socket.socket
    endpoints: dict[str, Any] = field(default_factory=dict)
    _answers: dict[int, Any] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _next: int = 0
    _ended: bool = False
    _stopping: bool = False
    failure: str | None = None

    @classmethod
    def fork(cls, name: str, specs: Sequence[ActorSpec], enter: Callable[[], None] | None) -> Host:
        """Fork a host; ``enter`` moves the child into its network namespace before anything is built."""
        assert threading.active_count() == 1, "fork before the first thread"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                if enter is not None:
                    enter()
                _serve(theirs, specs)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        theirs.close()
        return cls(name, pid, ours)

    def listen(self, publish: Publish) -> None:
        """Read everything the host says until it ends; body of one thread."""
        reader = self.channel.makefile("rb")
        with contextlib.suppress(OSError, ValueError):
            while line := reader.readline(LINE_LIMIT):
                message = json.loads(line)
                if "ev" in message:
                    publish(message["src"], message["n"], message["t"], message["ev"], message["data"])
                    continue
                with self._changed:
                    if "up" in message:
                        self.endpoints = message["up"]
                    elif "re" in message:
                        self._answers[message["re"]] = message
                    elif "down" in message:
                        self.failure = message["down"]
                        print(message.get("trace", ""), file=sys.stderr)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_up(self, timeout: float) -> None:
        """Wait until every simulator of the host serves.

        Raises:
            HostError: it said why not, died, or took too long.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.endpoints or self._ended or self.failure, timeout)
            if not self.endpoints:
                raise HostError(f"host {self.name} did not start: {self.failure or 'no answer'}")

    def command(
        self, actor: str, verb: str, args: Mapping[str, Any], timeout: float = 30.0
    ) -> dict[str, Any]:
        """Let a simulator do something and wait for its answer.

        Raises:
            HostError: the simulator refused, failed, or did not answer in time.
        """
        with self._changed:
            self._next += 1
            number = self._next
        request = {"id": number, "actor": actor, "do": verb, "args": dict(args)}
        try:
            self.channel.sendall(json.dumps(request, default=str).encode() + b"\n")
        except OSError as error:
            raise HostError(f"{actor}.{verb}: host {self.name} is gone ({error})") from error
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._ended, timeout)
            answer = self._answers.pop(number, None)
        if answer is None:
            raise HostError(f"{actor}.{verb}: no answer from host {self.name} within {timeout:g} s")
        if "error" in answer:
            if "trace" in answer:
                print(answer["trace"], file=sys.stderr)
            raise HostError(f"{actor}.{verb}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def stop(self, timeout: float = 5.0) -> str | None:
        """End the host; return a sentence if it did not end as it should."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self.channel.sendall(b'{"do":"stop"}\n')
        deadline = time.monotonic() + timeout
        trouble = None
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                trouble = None if code == 0 else f"host {self.name} ended with status {code}"
                break
            with self._changed:
                # The channel's end is the news; the short wait only covers the moment until the exit itself.
                self._changed.wait_for(lambda: self._ended, 0.005 if self._ended else 0.1)
                ended = self._ended
            if ended:
                time.sleep(0.001)
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                trouble = f"host {self.name} did not end within {timeout:g} s"
                break
        self.channel.close()
        return trouble or self.failure
