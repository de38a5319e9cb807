"""What a scenario may arm, and when it is due."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.base import CommandError
from simulators.dicom.faults import FaultBook, parse_fault, status_number


class Log:
    """Collects events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, kind: str, /, **data: Any) -> None:
        self.events.append((kind, data))


@pytest.mark.parametrize(
    ("fault", "args", "text"),
    [
        ("explode", {}, "unknown fault"),
        ("reject", {"on": "C-STORE-RQ"}, "only be rejected on associate"),
        ("abort", {"on": "C-STOER-RQ"}, "C-STOER-RQ"),
        ("close", {"how": "gently"}, "rst or by fin"),
        ("close", {"at_bytes": "many"}, "close"),
        ("close", {"at_bytes": -1}, "counts from 0"),
        ("status", {}, "wants status"),
        ("status", {"status": "A700", "on": "associate"}, "answers a DIMSE request"),
        ("status", {"status": "A700", "at_bytes": 5}, "at a message"),
        ("delay", {}, "wants seconds"),
        ("delay", {"seconds": 1e9}, "3600"),
        ("stall", {"seconds": 1}, "no argument 'seconds'"),
        ("close", {"on": "C-STORE-RQ", "at_bytes": 5, "of": "stream"}, "belongs to no request"),
    ],
)
def test_mistakes_are_named(fault: str, args: dict[str, Any], text: str) -> None:
    with pytest.raises(CommandError, match=text):
        parse_fault("f", fault, args, None)


@pytest.mark.parametrize(
    ("stated", "number"),
    [("A700", 0xA700), ("0110", 0x110), ("0xA900", 0xA900), ("C000H", 0xC000), (0xB000, 0xB000), ("0000", 0)],
)
def test_a_status_is_hexadecimal(stated: Any, number: int) -> None:
    assert status_number(stated) == number


def test_the_words_of_a_scenario() -> None:
    fault = parse_fault("f", "status", {"of": "C-STORE-RQ", "status": "A700"}, None)
    assert (fault.on, fault.args["status"]) == ("C-STORE-RQ", 0xA700)
    assert parse_fault("f", "delay", {"on": "C-FIND-RQ", "by": 2.5}, None).args["seconds"] == 2.5
    late = parse_fault("f", "close", {}, {"received_bytes": "4 MB"})
    assert (late.at_bytes, late.of) == (4_000_000, "stream")
    assert parse_fault("f", "close", {"on": "C-STORE-RQ", "at_bytes": 10}, None).of == "message"


def _book() -> tuple[FaultBook, Log]:
    log = Log()
    return FaultBook(log), log


def test_a_fault_fires_as_often_as_said_after_what_it_skips() -> None:
    book, log = _book()
    book.command("arm", {"id": "f1", "fault": "abort", "args": {"on": "C-STORE-RQ", "count": 2, "skip": 1}})
    assert log.events == [("fault.armed", {"id": "f1", "fault": "abort", "on": "C-STORE-RQ"})]
    due = [len(book.occasion("C-STORE-RQ", "X")) for _ in range(5)]
    assert due == [0, 1, 1, 0, 0]
    assert book.command("disarm", {"id": "f1"}) == {"fired": 2}
    assert not book.active


def test_other_requests_and_other_peers_do_not_fire_it() -> None:
    book, _ = _book()
    book.command("arm", {"id": "f", "fault": "abort", "args": {"on": "C-STORE-RQ", "calling": "A"}})
    assert book.occasion("C-ECHO-RQ", "A") == []
    assert book.occasion("C-STORE-RQ", "B") == []
    assert len(book.occasion("C-STORE-RQ", "A")) == 1


def test_a_fault_without_occasion_takes_the_next_one() -> None:
    book, _ = _book()
    book.command("arm", {"id": "f", "fault": "abort", "args": {}})
    assert book.occasion("release", "A") == []
    assert len(book.occasion("associate", "A")) == 1
    assert book.occasion("C-ECHO-RQ", "A") == []


def test_an_id_is_armed_once_and_star_disarms_all() -> None:
    book, _ = _book()
    book.command("arm", {"id": "f", "fault": "stall", "args": {}})
    with pytest.raises(CommandError, match="armed already"):
        book.command("arm", {"id": "f", "fault": "stall", "args": {}})
    book.command("watch", {"id": "w", "received_bytes": 5})
    book.command("disarm", {"id": "*"})
    assert not book.active
    assert not book.by_bytes


def test_a_watch_hits_once_at_its_byte() -> None:
    book, log = _book()
    book.command("watch", {"id": "w", "received_bytes": "1 kB"})
    assert book.watch_room() == 1000
    book.received(400, 1)
    assert book.watch_room() == 600
    book.received(600, 2)
    book.received(600, 2)
    assert log.events == [("trigger.hit", {"id": "w", "received_bytes": 1000, "assoc": 2})]
    assert not book.active


def test_a_watch_counts_requests() -> None:
    book, log = _book()
    book.command("watch", {"id": "w", "request": "C-STORE-RQ", "count": 2})
    for name in ("C-STORE-RQ", "C-ECHO-RQ", "C-STORE-RQ", "C-STORE-RQ"):
        book.requested(name, 3)
    assert log.events == [("trigger.hit", {"id": "w", "request": "C-STORE-RQ", "assoc": 3})]


@pytest.mark.parametrize(
    "args", [{}, {"id": "w"}, {"id": "w", "request": "C-EAT-RQ"}, {"id": "w", "bytes": 1}]
)
def test_a_watch_that_means_nothing(args: dict[str, Any]) -> None:
    with pytest.raises(CommandError):
        _book()[0].command("watch", args)
