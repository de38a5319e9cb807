"""The PACS over real sockets: who may associate for what, and how it is configured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.base import CommandError
from simulators.dicom.client import NotEstablished, Requestor
from simulators.dicom.config import ConfigError
from simulators.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from simulators.pacs import Config
from simulators.wire import (
    AssociateReject,
    RoleSelection,
)
from tests.unit.pacs_peers import (
    DX,
    ECHO,
    Log,
    Start,
    an_association,
    ask_echo,
    checked_log,
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


def test_who_may_associate(start: Start, log: Log) -> None:
    _, port = start(accept_calling=["GOOD"])
    for called, calling, expected in (
        ("WRONG", "GOOD", AssociateReject(1, 1, 7)),
        ("pacs", "GOOD", AssociateReject(1, 1, 7)),
        ("PACS", "BAD", AssociateReject(1, 1, 3)),
    ):
        with Requestor("127.0.0.1", port) as peer:
            with pytest.raises(NotEstablished) as caught:
                peer.associate(called, calling, {ECHO: [IMPLICIT_LE]})
            assert caught.value.event == expected
    assert log.wait("wire.reject", 3)["reason"] == 3


def test_contexts_are_answered_one_by_one(start: Start, log: Log) -> None:
    _, port = start(transfer_syntaxes=[EXPLICIT_LE, IMPLICIT_LE])
    with Requestor("127.0.0.1", port) as peer:
        accept = peer.associate(
            "PACS",
            "TEST",
            [
                (DX, [EXPLICIT_BE]),
                (DX, [EXPLICIT_BE, IMPLICIT_LE, EXPLICIT_LE]),
                ("1.2.840.10008.5.1.4.31", [IMPLICIT_LE]),
                (ECHO, [IMPLICIT_LE]),
            ],
            user_items=[RoleSelection(DX, 1, 1)],
        )
        assert [(c.context_id, c.result) for c in accept.contexts] == [(1, 4), (3, 0), (5, 3), (7, 0)]
        assert accept.contexts[1].transfer_syntax == IMPLICIT_LE
        assert accept.roles == {DX: (1, 0)}
        assert accept.max_length == 16384
        peer.release()
    contexts = log.wait("wire.associate")["contexts"]
    assert [c["transfer"] for c in contexts] == [None, IMPLICIT_LE, None, IMPLICIT_LE]


def test_the_story_of_an_association(start: Start, log: Log) -> None:
    _, port = start()
    with an_association(port) as peer:
        ask_echo(peer)
        peer.release()
    log.wait("wire.close")
    assert log.kinds() == [
        "wire.open",
        "wire.associate",
        "wire.message",
        "pacs.echoed",
        "wire.message",
        "wire.release",
        "wire.close",
    ]
    answer = log.events[4][1]
    assert (answer["dir"], answer["field"], answer["msgid"], answer["status"]) == ("out", "C-ECHO-RSP", 1, 0)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"ae_titel": "X"}, "did you mean 'ae_title'"),
        ({"ae_title": "X" * 17}, "1 to 16"),
        ({"port": 70000}, "port"),
        ({"max_pdu": 5}, "max_pdu"),
        ({"port": "many"}, "port"),
        ({"transfer_syntaxes": ["1.2.3"]}, "1.2.3"),
        ({"transfer_syntaxes": ["1.2.840.10008.1.2.1.99"]}, "not taken"),
        ({"artim_s": 0}, "artim_s"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Config.from_dict(config)


def test_an_unknown_verb(start: Start) -> None:
    with pytest.raises(CommandError, match="dance"):
        start()[0].command("dance", {})
