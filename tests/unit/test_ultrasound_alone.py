"""``modbench simulate ultrasound``: what it cannot do is said on standard error, and standard output stays clean."""

from __future__ import annotations

import argparse
import json
import socket

import pytest

from simulators.ultrasound import alone


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    alone.add_arguments(parser)
    return alone.run(parser.parse_args(words))


def test_a_wrong_configuration_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--port", "0", "--fps", "1000") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "fps" in told.err


def test_a_taken_port_is_told_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the handlers of the test's own process stay
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run("--host", "127.0.0.1", "--port", str(port), "--events") == 2
    told = capsys.readouterr()
    assert all(json.loads(line)["kind"] for line in told.out.splitlines()), "events, and nothing else"
    assert f"cannot listen on 127.0.0.1:{port}" in told.err
