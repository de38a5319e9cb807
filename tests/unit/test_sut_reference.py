"""The adapter of the reference console, against stand-ins for the console's process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.sut import ReferenceSut, SutError, SutGone

CONSOLE = """
import json, os, socket, sys, yaml
config = yaml.safe_load(open(sys.argv[sys.argv.index("--config") + 1]))
listener = socket.socket(socket.AF_UNIX)
listener.bind(config["control"])
listener.listen()
connection, _ = listener.accept()
for line in connection.makefile("rb"):
    request = json.loads(line)
    say = lambda **m: connection.sendall(json.dumps(m).encode() + b"\\n")
    match request["do"]:
        case "exam_state": say(id=request["id"], ok=True, result={})
        case "verify":
            say(event="modality.warning", t=5, data={"text": "no peer"})
            say(id=request["id"], ok=False, error="no peer")
        case "send": os._exit(7)
        case "shutdown": os._exit(0)
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Start the adapter with a console of a few lines in place of the product."""

    def make(program: str = CONSOLE) -> Any:
        package = tmp_path / "path" / "modality"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(program)
        monkeypatch.setenv("PYTHONPATH", str(package.parent))
        monkeypatch.chdir(tmp_path)
        events: list[Any] = []
        sut = ReferenceSut(
            "vxvue",
            {},
            tmp_path,
            contextlib.nullcontext,
            lambda kind, data: events.append((kind, data)),
            lambda t, kind, data: events.append((kind, {**data, "t": t})),
        )
        return sut, events

    return make


def test_answers_and_claims_are_told_apart(start: Callable[..., Any]) -> None:
    """A 'no' is an answer; a warning is a claim with the console's own stamp."""
    sut, events = start()
    sut.start()
    answer = sut.do("verify", {"peer": "pacs"}, 10)
    assert (answer.ok, answer.error) == (False, "no peer")
    assert ("modality.warning", {"text": "no peer", "t": 5}) in events
    assert sut.stop() is None


def test_a_console_that_dies_is_gone_and_its_end_is_told(start: Callable[..., Any]) -> None:
    """A crash while it is operated is the product's fault, at once and not after the time limit."""
    sut, events = start()
    sut.start()
    began = time.monotonic()
    with pytest.raises(SutGone, match="gone"):
        sut.do("send", {}, 600)
    assert time.monotonic() - began < 120
    assert "ended by itself with status 7" in sut.stop()
    deadline = time.monotonic() + 60
    while ("sut.exited", {"status": 7, "expected": False}) not in events:
        assert time.monotonic() < deadline, events
        time.sleep(0.01)  # the listener's own thread tells it


def test_a_console_that_does_not_start_is_an_error_with_its_last_words(start: Callable[..., Any]) -> None:
    """The last lines of its log are in the message."""
    sut, _ = start("import sys; print('settings are wrong', file=sys.stderr); sys.exit(2)")
    with pytest.raises(SutError, match=r"status 2.*settings are wrong"):
        sut.start()
    sut.stop()


def test_a_power_cut_is_no_crash(start: Callable[..., Any]) -> None:
    """What the scenario itself did to it is not held against it."""
    sut, _ = start()
    sut.start()
    sut.kill()
    assert sut.stop() is None
