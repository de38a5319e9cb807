"""Foot switch, freeze key and barcode reader as a console sees them, through pyserial."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import serial

from bench.kinds import KINDS
from simulators.base import CommandError
from simulators.ultrasound.contacts import BarcodeReader, Contacts


class Log:
    """Events, and waiting for one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._new = threading.Condition()

    def __call__(self, kind: str, /, **data: Any) -> None:
        assert kind in KINDS
        with self._new:
            self.events.append((kind, data))
            self._new.notify_all()

    def wait(self, kind: str, count: int = 1) -> None:
        """Until a kind was told so often."""
        with self._new:
            assert self._new.wait_for(lambda: [k for k, _ in self.events].count(kind) >= count, 60.0)


def until(port: Any, lines: tuple[bool, bool]) -> bool:
    """Whether CTS and DSR get to these levels (RFC 2217 tells changes)."""
    pause = threading.Event()
    for _ in range(3000):
        if (port.cts, port.dsr) == lines:
            return True
        pause.wait(0.01)
    return False


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's own
def test_foot_switch_and_freeze_key_are_modem_lines() -> None:
    """CTS follows the pedal, DSR the key; a press that changes nothing is not told."""
    log = Log()
    contacts = Contacts(log)
    where = contacts.start()
    try:
        contacts.command("press", {"contact": "freeze"})
        with serial.serial_for_url(where["url"], timeout=60) as port:
            assert until(port, (False, True))
            contacts.command("press", {})
            contacts.command("press", {"contact": "footswitch"})
            assert until(port, (True, True))
            contacts.command("release", {"contact": "freeze"})
            assert contacts.command("release", {}) == {"footswitch": False, "freeze": False}
            assert until(port, (False, False))
        contacts.command("tap", {"contact": "freeze"})
    finally:
        contacts.stop()
    pressed = [(k, d["pressed"]) for k, d in log.events if "pressed" in d]
    key, pedal = "panel.freeze", "panel.footswitch"
    assert pressed == [(key, True), (pedal, True), (key, False), (pedal, False), (key, True), (key, False)]


@pytest.mark.parametrize("args", [{"contact": "hand"}, {"contact": "freeze", "ms": 3}])
def test_wrong_contacts_are_refused(args: dict[str, Any]) -> None:
    """By name."""
    contacts = Contacts(Log())
    with pytest.raises(CommandError):
        contacts.command("press", args)
    with pytest.raises(CommandError):
        contacts.command("hold", {})


def test_a_barcode_is_text_and_a_carriage_return() -> None:
    """Over a socket to the console that is there; without one it is read in vain and said so."""
    log = Log()
    reader = BarcodeReader(log)
    where = reader.start()
    try:
        assert reader.command("scan", {"text": "LOST"}) == {"delivered": False}
        for turn in (1, 2):
            with serial.serial_for_url(where["url"], timeout=60) as port:
                log.wait("panel.line", 2 * turn - 1)
                assert reader.command("scan", {"text": "ID-0815", "aim": "]C1"}) == {"delivered": True}
                assert reader.command("scan", {"text": "山田"}) == {"delivered": True}
                assert port.read_until(b"\r") == b"]C1ID-0815\r"
                assert port.read_until(b"\r") == "山田\r".encode()
            log.wait("panel.line", 2 * turn)
    finally:
        reader.stop()
        reader.stop()
    assert [d["text"] for k, d in log.events if k == "panel.barcode"] == ["LOST", *["ID-0815", "山田"] * 2]


def test_a_barcode_goes_into_any_port_of_pyserial() -> None:
    """``loop://`` gives it back."""
    with serial.serial_for_url("loop://", timeout=60) as port:
        reader = BarcodeReader(Log(), wired=port)
        assert reader.start() == {}
        assert reader.command("scan", {"text": "4711"}) == {"delivered": True}
        assert port.read_until(b"\r") == b"4711\r"
        reader.stop()


@pytest.mark.parametrize(
    "args", [{}, {"text": ""}, {"text": "a\rb"}, {"text": 5}, {"text": "x" * 201}, {"text": "x", "y": 1}]
)
def test_what_no_code_can_say_is_refused(args: dict[str, Any]) -> None:
    """Nothing is sent or told."""
    log = Log()
    with pytest.raises(CommandError):
        BarcodeReader(log).command("scan", args)
    assert not log.events
