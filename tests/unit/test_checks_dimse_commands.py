"""STD-DIMSE rules on command sets and on what a message is about: each fault turns exactly its rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulators.wire import RoleSelection
from simulators.wire.dimse import Command, encode_command
from tests.lab.conversation import Conversation, Lab
from tests.lab.elements import DataSet
from tests.unit.judged_conversations import DX, EXPLICIT, VERIFICATION, WORKLIST, failing, verdicts

COMMITMENT = "1.2.840.10008.1.20.1"
PRINT = "1.2.840.10008.5.1.1.9"
PRINTER = "1.2.840.10008.5.1.1.16"
FILM_BOX = "1.2.840.10008.5.1.1.2"
MPPS = "1.2.840.10008.3.1.2.3.3"
IMAGE = DataSet(SOPClassUID=DX, SOPInstanceUID="2.25.1", PatientID="P1")
Part = tuple[int, bytes]


def us(number: int) -> bytes:
    """A US value."""
    return number.to_bytes(2, "little")


def ui(text: str) -> bytes:
    """A UI value."""
    return (text + "\0" * (len(text) % 2)).encode()


def command(*parts: Part, length: int | None = None) -> bytes:
    """A command set of these elements in this order, the group length before them."""
    body = b"".join(
        b"\0\0" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
        for number, value in parts
    )
    return b"\0\0\0\0\4\0\0\0" + (len(body) if length is None else length).to_bytes(4, "little") + body


ECHO: tuple[Part, ...] = (
    (0x0002, ui(VERIFICATION)),
    (0x0100, us(0x30)),
    (0x0110, us(1)),
    (0x0800, us(0x0101)),
)


def _without(number: int) -> tuple[Part, ...]:
    return tuple(part for part in ECHO if part[0] != number)


def _with(*changed: Part) -> tuple[Part, ...]:
    new = dict(changed)
    return tuple(sorted({**dict(ECHO), **new}.items()))


def _echoed(raw: bytes) -> Lab:
    lab = Lab()
    a = lab.associate()
    a.accept()
    a.request("C-ECHO-RQ", command=raw)
    a.request(
        "C-ECHO-RSP",
        side="acceptor",
        command=encode_command(
            Command.new("C-ECHO-RSP", MessageIDBeingRespondedTo=1, Status=0, dataset=False)
        ),
    )
    a.release()
    return lab


def test_a_right_command_fails_nothing() -> None:
    found = verdicts(_echoed(command(*ECHO)))
    assert "FAIL" not in found.values()
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 21, 30, 31, 32, 40, 41, 48):
        assert found[f"STD-DIMSE-{number:03d}"] == "PASS", number


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (command(ECHO[1], ECHO[0], *ECHO[2:]), {"STD-DIMSE-002"}),
        (command(*ECHO[:2], ECHO[1], *ECHO[2:]), {"STD-DIMSE-003"}),
        (command(*ECHO, length=4), {"STD-DIMSE-004"}),
        (command(*ECHO)[12:], {"STD-DIMSE-004"}),
        (command(*_without(0x0002)), {"STD-DIMSE-006", "VX-VER-003"}),
        (command(*_with((0x0002, b""))), {"STD-DIMSE-006", "VX-VER-003"}),
        (command(*_with((0x0700, us(0)))), {"STD-DIMSE-007"}),
        (command(*_with((0x0800, b"\1\1\1\1"))), {"STD-DIMSE-008"}),
        (command(*_with((0x0002, b"1.2.840.10008.1.1 "))), {"STD-DIMSE-009"}),
        (command(*_with((0x0002, b"1.2.840.10008.1.1"))), {"STD-DIMSE-009"}),
    ],
)
def test_command_sets(raw: bytes, wanted: set[str]) -> None:
    assert failing(_echoed(raw)) == wanted


def test_a_command_set_in_explicit_vr() -> None:
    explicit = b"".join(
        b"\0\0" + number.to_bytes(2, "little") + vr + len(value).to_bytes(2, "little") + value
        for (number, value), vr in zip(ECHO, (b"UI", b"US", b"US", b"US"), strict=True)
    )
    raw = b"\0\0\0\0UL\4\0" + len(explicit).to_bytes(4, "little") + explicit
    assert {id for id in failing(_echoed(raw)) if id.startswith("STD-")} == {"STD-DIMSE-001"}


def test_a_command_field_that_does_not_exist() -> None:
    found = failing(_echoed(command(*_with((0x0100, us(0x0031))))))
    assert {id for id in found if id.startswith("STD-")} == {"STD-DIMSE-005"}


# Requests with data sets


def _sent(
    abstract: str,
    name: str,
    dataset: DataSet | None,
    edit: Callable[[Command], object] = lambda c: None,
    *,
    answer: bool = True,
    **elements: Any,
) -> Lab:
    lab = Lab()

    def change(out: object) -> None:
        asked = getattr(out, "command", None)
        if getattr(out, "name", "") == name and isinstance(asked, Command):
            edit(asked)

    lab.edit(change)
    a = lab.associate(contexts=[(abstract, [EXPLICIT])])
    a.accept()
    a.request(name, dataset, **elements)
    if answer:
        a.respond()
        a.release()
    return lab


def _put(number: int, value: object) -> Callable[[Command], object]:
    return lambda c: c.elements.update({number: value})  # type: ignore[dict-item]


def _move(source: int, target: int) -> Callable[[Command], object]:
    return lambda c: c.elements.update({target: c.elements.pop(source)})


STORE: dict[str, Any] = {"sop_class": DX, "sop_instance": "2.25.1", "Priority": 0}
SET: dict[str, Any] = {"sop_class": MPPS, "sop_instance": "2.25.5"}
CREATE: dict[str, Any] = {"sop_class": MPPS, "sop_instance": "2.25.5"}
STEP = DataSet(PerformedProcedureStepStatus="COMPLETED")
ACTION: dict[str, Any] = {
    "sop_class": COMMITMENT,
    "sop_instance": "1.2.840.10008.1.20.1.1",
    "ActionTypeID": 1,
}
ASKED = DataSet(TransactionUID="2.25.7")


@pytest.mark.parametrize(
    ("abstract", "name", "dataset", "elements"),
    [
        (DX, "C-STORE-RQ", IMAGE, STORE),
        (DX, "C-STORE-RQ", IMAGE, {**STORE, "MoveOriginatorMessageID": 3}),
        (WORKLIST, "C-FIND-RQ", STEP, {"Priority": 2}),
        (MPPS, "N-CREATE-RQ", STEP, {"sop_class": MPPS}),
        (MPPS, "N-SET-RQ", STEP, SET),
        (COMMITMENT, "N-ACTION-RQ", ASKED, ACTION),
        (PRINT, "N-GET-RQ", None, {"sop_class": PRINTER, "sop_instance": "1.2.840.10008.5.1.1.17"}),
        (PRINT, "N-DELETE-RQ", None, {"sop_class": FILM_BOX, "sop_instance": "2.25.6"}),
    ],
)
def test_right_requests_of_every_service(
    abstract: str, name: str, dataset: DataSet | None, elements: dict[str, Any]
) -> None:
    found = verdicts(_sent(abstract, name, dataset, **elements))
    assert "FAIL" not in found.values()
    for number in (6, 7, 10, 20, 21, 30, 31, 32):
        assert found[f"STD-DIMSE-{number:03d}"] == "PASS", number


@pytest.mark.parametrize(
    ("abstract", "name", "dataset", "elements", "edit", "wanted"),
    [
        (DX, "C-STORE-RQ", IMAGE, STORE, _put(0x0700, 3), {"STD-DIMSE-011"}),
        (DX, "C-STORE-RQ", IMAGE, STORE, lambda c: c.elements.pop(0x0700), {"STD-DIMSE-006"}),
        (DX, "C-STORE-RQ", IMAGE, STORE, _put(0x1030, "A" * 18), {"STD-DIMSE-008"}),
        (DX, "C-STORE-RQ", IMAGE, STORE, _put(0x1000, "2.25.2"), {"STD-DIMSE-023"}),
        (
            DX,
            "C-STORE-RQ",
            IMAGE,
            STORE,
            _put(0x0002, "1.2.840.10008.5.1.4.1.1.1"),
            {"STD-DIMSE-022", "STD-DIMSE-030"},
        ),
        (MPPS, "N-SET-RQ", STEP, SET, _move(0x0003, 0x0002), {"STD-DIMSE-010"}),
        (MPPS, "N-SET-RQ", STEP, SET, _move(0x1001, 0x1000), {"STD-DIMSE-010"}),
        (MPPS, "N-CREATE-RQ", STEP, CREATE, _move(0x1000, 0x1001), {"STD-DIMSE-010"}),
        (MPPS, "N-SET-RQ", None, SET, lambda c: None, {"STD-DIMSE-021"}),
        (DX, "C-STORE-RQ", None, STORE, lambda c: None, {"STD-DIMSE-021"}),
        (VERIFICATION, "C-ECHO-RQ", STEP, {}, lambda c: None, {"STD-DIMSE-021", "VX-VER-003"}),
        (DX, "C-STORE-RQ", IMAGE, STORE, _put(0x0800, 0x0101), {"STD-DIMSE-020"}),
        (VERIFICATION, "C-ECHO-RQ", None, {}, _put(0x0800, 0), {"STD-DIMSE-020", "VX-VER-003"}),
        (MPPS, "N-SET-RQ", STEP, SET, _put(0x0003, DX), {"STD-DIMSE-030"}),
        (PRINT, "N-CREATE-RQ", STEP, {"sop_class": PRINT}, lambda c: None, {"STD-DIMSE-030"}),
        (WORKLIST, "C-STORE-RQ", IMAGE, {**STORE, "sop_class": WORKLIST}, lambda c: None, {"STD-DIMSE-031"}),
        (COMMITMENT, "N-ACTION-RQ", ASKED, ACTION, _put(0x1001, "2.25.9"), {"STD-DIMSE-033"}),
        (COMMITMENT, "N-ACTION-RQ", ASKED, ACTION, _put(0x1008, 2), {"STD-DIMSE-049"}),
    ],
)
def test_wrong_requests(
    abstract: str,
    name: str,
    dataset: DataSet | None,
    elements: dict[str, Any],
    edit: Callable[[Command], object],
    wanted: set[str],
) -> None:
    found = failing(_sent(abstract, name, dataset, edit, **elements))
    if "STD-DIMSE-031" in wanted:
        found.discard("STD-DIMSE-022")  # the data set names its true class
    assert found == wanted


def test_a_notification_by_the_user_of_a_service() -> None:
    lab = Lab()
    a = lab.associate(contexts=[(COMMITMENT, [EXPLICIT])])
    a.accept()
    a.request("N-EVENT-REPORT-RQ", ASKED, sop_instance="1.2.840.10008.1.20.1.1", EventTypeID=1)
    a.respond()
    a.release()
    assert failing(lab) == {"STD-DIMSE-032"}


def test_a_notification_by_the_side_that_took_the_role() -> None:
    lab = Lab()
    a = lab.associate(
        client="10.0.0.9",
        server="10.0.0.5",
        called="VXVUE",
        implementation_class="1.2.3",
        contexts=[(COMMITMENT, [EXPLICIT])],
        user_items=[RoleSelection(COMMITMENT, 0, 1)],
    )
    a.accept(implementation_class="1.3.6.1.4.1.19719", implementation_version=None)
    a.request("N-EVENT-REPORT-RQ", ASKED, sop_instance="1.2.840.10008.1.20.1.1", EventTypeID=1)
    a.respond()
    a.release()
    assert failing(lab) == set()


def test_a_data_set_cut_by_the_end_of_the_connection_is_not_missing() -> None:
    lab = _sent(DX, "C-STORE-RQ", None, _put(0x0800, 1), answer=False, **STORE)
    lab.conversations[0].reset("acceptor")
    assert failing(lab) == set()


def _odd(a: Conversation) -> None:
    a.request("C-ECHO-RQ", command=command(*_with((0x0110, b"\1"))))


def test_an_odd_value_length() -> None:
    lab = Lab()
    a = lab.associate()
    a.accept()
    _odd(a)
    a.abort("acceptor", 2, 6)
    assert "STD-DIMSE-008" in failing(lab)
