"""The PACS's faults over real sockets: at their request, at their byte, as long as said."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.dicom.client import AssociationLost, NotEstablished, Requestor
from simulators.dicom.elements import IMPLICIT_LE
from simulators.pacs import Pacs
from simulators.wire import (
    Abort,
    AssociateReject,
    ConnectionClosed,
)
from tests.unit.pacs_peers import (
    ECHO,
    WAIT_S,
    Log,
    Start,
    an_association,
    an_object,
    ask_echo,
    checked_log,
    it_answers,
    put_object,
    starter,
)


@pytest.fixture
def log() -> Iterator[Log]:
    with checked_log() as made:
        yield made


@pytest.fixture
def start(log: Log, tmp_path: Path) -> Iterator[Start]:
    with starter(log, tmp_path) as begin:
        yield begin


def _arm(pacs: Pacs, fault: str, **args: Any) -> None:
    pacs.command("arm", {"id": "f", "fault": fault, "args": args})


def test_reject_on_command(start: Start, log: Log) -> None:
    pacs, port = start()
    _arm(pacs, "reject", result=2, source=3, reason=1)
    with Requestor("127.0.0.1", port) as peer, pytest.raises(NotEstablished) as caught:
        peer.associate("PACS", "TEST", {ECHO: [IMPLICIT_LE]})
    assert caught.value.event == AssociateReject(2, 3, 1)
    assert log.wait("fault.fired")["id"] == "f"
    it_answers(port)


@pytest.mark.parametrize(("status", "stored"), [("A700", 0), ("C000", 0), ("B000", 1), ("0000", 1)])
def test_a_status_on_command(start: Start, log: Log, status: str, stored: int) -> None:
    pacs, port = start()
    _arm(pacs, "status", of="C-STORE-RQ", status=status, comment="as told")
    with an_association(port) as peer:
        assert ask_echo(peer) == 0
        response = put_object(peer, an_object())
        assert (response.status, response.get("ErrorComment")) == (int(status, 16), "as told")
        assert put_object(peer, an_object("1.2.4"), "1.2.4").status == 0
    assert log.wait("pacs.stored", stored + 1)["sop_instance"] == "1.2.4"
    assert "pacs.refused" not in log.kinds()


@pytest.mark.parametrize("on", ["associate", "C-STORE-RQ"])
def test_abort_on_command(start: Start, log: Log, on: str) -> None:
    pacs, port = start()
    _arm(pacs, "abort", on=on, source=2, reason=6)
    if on == "associate":
        with Requestor("127.0.0.1", port) as peer, pytest.raises(NotEstablished) as refused:
            peer.associate("PACS", "TEST", {ECHO: [IMPLICIT_LE]})
        assert refused.value.event == Abort(2, 6)
    else:
        with an_association(port) as peer:
            with pytest.raises(AssociationLost) as lost:
                put_object(peer, an_object())
            assert lost.value.event == Abort(2, 6)
    assert log.wait("wire.abort")["by"] == "self"
    log.wait("wire.close")
    assert "pacs.lost" not in log.kinds()
    it_answers(port)


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("at_bytes", [1, 12, 300_000, 999_999])
def test_close_at_a_byte_of_the_object(
    start: Start, log: Log, tmp_path: Path, how: str, at_bytes: int
) -> None:
    pacs, port = start()
    _arm(pacs, "close", on="C-STORE-RQ", at_bytes=at_bytes, how=how)
    with an_association(port) as peer:
        with pytest.raises((AssociationLost, ConnectionError)) as lost:
            put_object(peer, an_object(pixels=2_000_000))
        if isinstance(lost.value, AssociationLost):
            assert isinstance(lost.value.event, ConnectionClosed)
    assert log.wait("fault.fired")["where"]["bytes"] == at_bytes
    assert log.wait("wire.close")["how"] == how
    assert [m["complete"] for k, m in log.events if k == "wire.message"] == [False]
    assert list((tmp_path / "objects" / "pacs").iterdir()) == []
    assert "pacs.lost" not in log.kinds()
    it_answers(port)


def test_close_at_a_byte_of_the_stream(start: Start, log: Log) -> None:
    pacs, port = start()
    _arm(pacs, "close", at_bytes=1000, how="rst")
    with an_association(port) as peer, pytest.raises((AssociationLost, ConnectionError)):
        put_object(peer, an_object(pixels=100_000))
    assert log.wait("fault.fired")["where"]["bytes"] == 1000
    assert log.wait("wire.close")["bytes_in"] == 1000


def test_a_watch_sees_its_byte_at_once(start: Start, log: Log) -> None:
    pacs, port = start()
    pacs.command("watch", {"id": "w", "received_bytes": 500_000})
    with an_association(port) as peer:
        assert put_object(peer, an_object(pixels=1_000_000)).status == 0
    assert log.wait("trigger.hit") == {"id": "w", "received_bytes": 500_000, "assoc": 1}
    assert log.kinds().index("trigger.hit") < log.kinds().index("pacs.stored")


def test_a_delay_is_as_long_as_said(start: Start, log: Log) -> None:
    pacs, port = start()
    _arm(pacs, "delay", on="C-ECHO-RQ", by=0.3)
    with an_association(port) as peer:
        begin = time.monotonic()
        assert ask_echo(peer) == 0
        assert time.monotonic() - begin >= 0.3
    log.wait("fault.fired")


@pytest.mark.parametrize("at_bytes", [None, 100_000])
def test_a_stall_lasts_until_it_is_disarmed(start: Start, log: Log, at_bytes: int | None) -> None:
    pacs, port = start()
    _arm(pacs, "stall", on="C-STORE-RQ", at_bytes=at_bytes)
    with an_association(port) as peer:
        answers: list[int] = []
        sender = threading.Thread(
            target=lambda: answers.append(put_object(peer, an_object(pixels=1_000_000)).status)
        )
        sender.start()
        log.wait("fault.fired")
        it_answers(port)  # only this association stands
        assert answers == []
        pacs.command("disarm", {"id": "*"})
        sender.join(WAIT_S)
        assert answers == [0]


def test_a_stall_ends_with_its_peer_and_with_the_server(start: Start, log: Log) -> None:
    pacs, port = start()
    _arm(pacs, "stall", on="C-ECHO-RQ", count=2)
    with an_association(port) as peer:
        peer.send("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO)
        log.wait("fault.fired")
    log.wait("wire.close", assoc=1)
    with an_association(port) as peer:
        peer.send("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO)
        log.wait("fault.fired", 2)
        pacs.stop()
        log.wait("wire.close", how="stopped")
