"""Simulated hosts as processes: events up, commands down, troubles in words."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROLOGUE = """
import threading, time
from bench.runner.actors import ActorSpec, Host, HostError
from simulators.base import CommandError

class Echo:
    def __init__(self, emit, config): self.emit, self.config = emit, config
    def start(self):
        if self.config.get("broken"): raise OSError("the port is taken")
        self.emit("bench.note", message="up")
        return {"port": 7}
    def command(self, verb, args):
        if verb == "say":
            for n in range(args["times"]): self.emit("bench.note", message=str(n))
            return {"said": args["times"]}
        if verb == "die": import os; os._exit(9)
        raise CommandError(f"cannot {verb}")
    def stop(self): self.emit("bench.note", message="down")

def build(emit, config): return Echo(emit, config)

seen = []
def publish(*event): seen.append(event)

def host(**config):
    h = Host.fork("h", [ActorSpec("echo", build, config)], None)
    t = threading.Thread(target=h.listen, args=(publish,)); t.start()
    return h, t
"""


def run(body: str) -> str:
    """Run a body in a process of its own: hosts are forked, and forking belongs to single-threaded processes."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_events_are_numbered_and_commands_are_answered() -> None:
    """Every event of a source has the next number and a later stamp; answers find their question."""
    run(
        """
        h, t = host()
        h.wait_up(60)
        assert h.endpoints == {"echo": {"port": 7}}
        assert h.command("echo", "say", {"times": 200}) == {"said": 200}
        assert h.stop() is None
        t.join(60)
        numbers = [n for _, n, *_ in seen]
        assert numbers == list(range(1, 203)), numbers
        stamps = [stamp for _, _, stamp, *_ in seen]
        assert stamps == sorted(stamps)
        """
    )


def test_a_refused_command_is_an_error_with_its_words() -> None:
    """What a simulator cannot do is said with its own words, and the host goes on."""
    run(
        """
        h, t = host()
        h.wait_up(60)
        try: h.command("echo", "fly", {})
        except HostError as error: assert "cannot fly" in str(error)
        else: raise SystemExit("no error")
        assert h.command("echo", "say", {"times": 1}) == {"said": 1}
        h.stop()
        """
    )


def test_a_host_that_cannot_start_says_why() -> None:
    """The reason reaches the person in front of the red cell."""
    run(
        """
        h, t = host(broken=True)
        try: h.wait_up(60)
        except HostError as error: assert "the port is taken" in str(error), error
        else: raise SystemExit("it started")
        h.stop()
        """
    )


def test_a_host_that_dies_is_noticed_at_once() -> None:
    """A command to a dead host fails without waiting for its time limit, and its end is a trouble."""
    run(
        """
        h, t = host()
        h.wait_up(60)
        began = time.monotonic()
        try: h.command("echo", "die", {}, timeout=300)
        except HostError: pass
        else: raise SystemExit("no error")
        assert time.monotonic() - began < 60
        assert "status 9" in h.stop()
        """
    )


def test_a_service_can_go_down_and_come_back() -> None:
    """The host stays, its service does not: that is a refused connection, not an unreachable host."""
    out = run(
        """
        h, t = host()
        h.wait_up(60)
        h.command("echo", "@stop", {})
        print(h.command("echo", "@start", {}))
        h.stop()
        t.join(60)
        print([d["message"] for *_, d in seen])
        """
    )
    assert "['up', 'down', 'up', 'down']" in out


@pytest.mark.parametrize(
    ("expression", "text", "matches"),
    [
        ("lost", "association-lost[link=1]", True),
        ("lost and not 100", "association-lost[link=100BASE-T]", False),
        ("(a or b) and c", "bc", True),
        ("not (a or b)", "xyz", True),
        ("LOST", "association-lost", True),
    ],
)
def test_keyword_expressions(expression: str, text: str, matches: bool) -> None:
    """-k works as people know it from pytest."""
    from bench.select import compile_keyword

    assert compile_keyword(expression)(text) is matches


@pytest.mark.parametrize("expression", ["and", "a and", "(a", "a b", "not", ")"])
def test_wrong_keyword_expressions_are_errors(expression: str) -> None:
    """A mistyped -k never selects nothing silently."""
    from bench.select import SelectionError, compile_keyword

    with pytest.raises(SelectionError):
        compile_keyword(expression)
