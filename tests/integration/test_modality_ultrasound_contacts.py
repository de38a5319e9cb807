"""Foot switch, freeze key and barcode reader beside the scanner, over real lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from modality.ultrasound import Scanner, UltrasoundConfig
from modality.ultrasound.contacts import BOUNCE_S
from simulators.ultrasound import Config, create
from simulators.ultrasound.contacts import BarcodeReader, Contacts
from tests.lab.eventlog import WAIT, Log


@contextmanager
def room(frontend: bool = True) -> Iterator[tuple[Scanner, Contacts, BarcodeReader, Log]]:
    """A front end with pedal and reader, and a scanner that is connected to all of them."""
    log = Log()
    contacts, reader = Contacts(log.emit), BarcodeReader(log.emit)
    device = create(Config(port=0), log.emit)
    port = int(device.start()["port"])
    config = UltrasoundConfig(
        "127.0.0.1" if frontend else "", port, str(contacts.start()["url"]), str(reader.start()["url"])
    )
    scanner = Scanner(config, log.tell)
    try:
        scanner.open()
        for line in scanner._lines:
            assert line.ready.wait(WAIT)
        log.wait("panel.line", count=2, how="opened")
        if frontend:
            log.wait("state", state="live")
            scanner.set(gain=0)  # answered: the front end listens as well
        yield scanner, contacts, reader, log
    finally:
        scanner.close()
        device.stop()
        contacts.stop()
        reader.stop()


def test_the_foot_switch_tells_which_picture_was_there() -> None:
    with room() as (scanner, contacts, _, log):
        contacts.command("press", {})
        told = log.wait("footswitch", pressed=True)
        still = scanner.still(told["sequence"])
        assert still.sequence == told["sequence"] > 0
        assert not [d for d in log.of("footswitch") if not d["pressed"]]
        contacts.command("release", {})
        log.wait("footswitch", pressed=False)
        assert scanner.state()["state"] == "live"


def test_a_tap_is_heard_however_short() -> None:
    with room(frontend=False) as (_, contacts, _, log):
        contacts.command("tap", {})
        log.wait("footswitch", pressed=False)
        assert [d["pressed"] for d in log.of("footswitch")] == [True, False]
        assert log.of("footswitch")[0]["sequence"] == 0


def test_the_freeze_key_freezes_and_lets_go() -> None:
    with room() as (scanner, contacts, _, log):
        contacts.command("press", {"contact": "freeze"})
        assert log.wait("freeze", on=True)["by"] == "key"
        log.wait("ultrasound.set", freeze=True)
        held = scanner.still()
        contacts.command("release", {"contact": "freeze"})
        contacts.command("press", {})
        assert log.wait("footswitch", pressed=True)["sequence"] == held.sequence
        assert scanner.state()["state"] == "frozen"
        threading.Event().wait(3 * BOUNCE_S)  # as long as a finger needs at least: else it is a bounce
        contacts.command("press", {"contact": "freeze"})
        assert log.wait("freeze", on=False)["by"] == "key"
        log.wait("ultrasound.set", count=2, freeze=False)
        assert scanner.still().sequence > held.sequence


def test_without_a_picture_the_freeze_key_says_so() -> None:
    with room(frontend=False) as (_, contacts, _, log):
        contacts.command("tap", {"contact": "freeze"})
        assert log.wait("warning", peer="contacts")["code"] == "frontend-absent"


@pytest.mark.parametrize(("text", "aim"), [("PAT-0001", ""), ("4912345678904", "]E0"), ("患者001", "]Q1")])
def test_a_code_is_read(text: str, aim: str) -> None:
    with room(frontend=False) as (_, _, reader, log):
        assert reader.command("scan", {"text": text, "aim": aim}) == {"delivered": True}
        assert log.wait("barcode") == {"text": text, "aim": aim}


def test_lines_that_break_are_opened_again() -> None:
    log = Log()
    contacts, reader = Contacts(log.emit), BarcodeReader(log.emit)
    urls = [contacts.start(), reader.start()]
    scanner = Scanner(
        UltrasoundConfig("", 1, str(urls[0]["url"]), str(urls[1]["url"])),
        log.tell,
    )
    scanner.open()
    try:
        log.wait("panel.line", count=2, how="opened")
        contacts.stop()
        reader.stop()
        log.wait("warning", code="contacts-absent")
        log.wait("warning", code="barcode-absent")
        contacts = Contacts(log.emit, port=int(urls[0]["port"]))
        reader = BarcodeReader(log.emit, port=int(urls[1]["port"]))
        contacts.command("press", {})  # somebody stands on it when the line is opened: no picture
        contacts.start()
        reader.start()
        log.wait("panel.line", count=4, how="opened")
        assert scanner._lines[0].ready.wait(WAIT)
        assert not log.of("footswitch")
        contacts.command("release", {})
        contacts.command("press", {})
        assert log.wait("footswitch", pressed=True)["sequence"] == 0
        reader.command("scan", {"text": "A1"})
        assert log.wait("barcode")["text"] == "A1"
        assert len(log.of("warning")) == 2
    finally:
        scanner.close()
        contacts.stop()
        reader.stop()
