"""STD-UL rules on A-ASSOCIATE-RQ: a right request fails nothing, each wrong one turns exactly its rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from simulators.wire import (
    ApplicationContext,
    AssociateRequest,
    AsyncOperationsWindow,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextRQ,
    RawItem,
    RoleSelection,
    UserIdentityRQ,
    UserInformation,
    encode,
)
from tests.lab.conversation import Lab
from tests.unit.judged_conversations import (
    DX,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    contexts,
    echo,
    failing,
    users,
    verdicts,
)

Edit = Callable[[AssociateRequest], AssociateRequest]
RIGHT = AssociateRequest(
    "PACS",
    "VXVUE",
    (
        ApplicationContext(),
        PresentationContextRQ(1, VERIFICATION, (EXPLICIT,)),
        UserInformation((MaximumLength(16384), ImplementationClassUID("1.3.6.1.4.1.19719"))),
    ),
)


def _asked(request: AssociateRequest | bytes) -> Lab:
    lab = Lab()
    a = lab.associate(request=request)
    a.accept()
    echo(a)
    return lab


def _raw(change: Callable[[bytearray], None]) -> Lab:
    raw = bytearray(encode(RIGHT))
    change(raw)
    raw[2:6] = (len(raw) - 6).to_bytes(4, "big")
    lab = Lab()
    a = lab.associate(request=bytes(raw))
    a.accept()
    echo(a)
    return lab


def _user(*items: object) -> AssociateRequest:
    return replace(RIGHT, items=(*RIGHT.items[:-1], UserInformation(items)))  # type: ignore[arg-type]


def test_a_right_request_fails_nothing() -> None:
    found = verdicts(_asked(RIGHT))
    assert "FAIL" not in found.values()
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14, 15, 16, 17, 23):
        assert found[f"STD-UL-{number:03d}"] == "PASS"
    assert found["STD-UL-009"] == "DEV-FROM-STD"
    assert found["STD-UL-013"] == "NOT-EXERCISED"


MAX, CLASS = MaximumLength(16384), ImplementationClassUID("1.3.6.1.4.1.19719")


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (replace(RIGHT, items=(ApplicationContext("1.2.3"), *RIGHT.items[1:])), {"STD-UL-001"}),
        (replace(RIGHT, items=RIGHT.items[1:]), {"STD-UL-001"}),
        (replace(RIGHT, items=(RIGHT.items[0], *RIGHT.items)), {"STD-UL-001"}),
        (replace(RIGHT, protocol_version=2), {"STD-UL-002"}),
        (replace(RIGHT, called=""), {"STD-UL-003"}),
        (replace(RIGHT, called="PA\\CS"), {"STD-UL-003"}),
        (replace(RIGHT, calling="VX\tVUE"), {"STD-UL-003", "VX-ASC-012"}),
        (contexts(RIGHT, PresentationContextRQ(2, VERIFICATION, (EXPLICIT,))), {"STD-UL-004"}),
        (
            contexts(
                RIGHT,
                PresentationContextRQ(1, VERIFICATION, (EXPLICIT,)),
                PresentationContextRQ(1, VERIFICATION, (EXPLICIT,)),
            ),
            {"STD-UL-005"},
        ),
        (contexts(RIGHT, PresentationContextRQ(1, VERIFICATION, ())), {"STD-UL-008", "VX-PC-001"}),
        (replace(RIGHT, items=RIGHT.items[:-1]), {"STD-UL-010", "VX-ASC-001", "VX-ASC-007"}),
        (_user(MAX, MAX, CLASS), {"STD-UL-011"}),
        (_user(RawItem(0x51, b"\0\x40\0"), CLASS), {"STD-UL-011", "VX-ASC-001"}),
        (_user(MAX), {"STD-UL-012", "VX-ASC-007"}),
        (_user(MAX, CLASS, CLASS), {"STD-UL-012"}),
        (_user(MAX, CLASS, RawItem(0x55, b"A" * 17)), {"STD-UL-013", "VX-ASC-008"}),
        (_user(MAX, CLASS, RawItem(0x55, b"")), {"STD-UL-013", "VX-ASC-008"}),
        (_user(MAX, CLASS, RawItem(0x55, b"A\0")), {"STD-UL-013", "VX-ASC-008"}),
        (_user(MAX, ImplementationClassUID("1.02.3")), {"STD-UL-014", "VX-ASC-007"}),
        (_user(MAX, RawItem(0x52, b"1.3.6.1.4.1.19719\0")), {"STD-UL-015"}),
        (_user(MAX, CLASS, RawItem(0x59, b"\0\0")), {"STD-UL-017"}),
        (_user(MAX, CLASS, *[AsyncOperationsWindow(1, 1)] * 2), {"STD-UL-018"}),
        (_user(MAX, CLASS, RoleSelection(VERIFICATION, 2, 0)), {"STD-UL-019"}),
        (_user(MAX, CLASS, *[RoleSelection(VERIFICATION, 1, 0)] * 2), {"STD-UL-019"}),
        (_user(MAX, CLASS, *[ExtendedNegotiation(VERIFICATION, b"\1")] * 2), {"STD-UL-021"}),
        (_user(MAX, CLASS, UserIdentityRQ(9, 0, b"me")), {"STD-UL-022", "VX-SEC-001"}),
    ],
)
def test_a_wrong_request_turns_its_rule(request_: AssociateRequest, wanted: set[str]) -> None:
    assert failing(_asked(request_)) == wanted


def test_no_context_at_all() -> None:
    lab = Lab()
    lab.associate(request=contexts(RIGHT)).abort("acceptor", 2, 6)
    assert failing(lab) == {"STD-UL-006"}


def test_two_abstract_syntaxes_in_a_context() -> None:
    abstract = b"\x30\0" + len(DX).to_bytes(2, "big") + DX.encode()

    def change(raw: bytearray) -> None:
        at = raw.index(b"\x20\0", 74)
        length = int.from_bytes(raw[at + 2 : at + 4], "big")
        raw[at + 2 : at + 4] = (length + len(abstract)).to_bytes(2, "big")
        raw[at + 8 : at + 8] = abstract

    assert "STD-UL-007" in failing(_raw(change))


def test_an_item_length_that_lies() -> None:
    def longer(raw: bytearray) -> None:
        at = raw.index(b"\x50\0", 74)
        raw[at + 2 : at + 4] = (int.from_bytes(raw[at + 2 : at + 4], "big") + 4).to_bytes(2, "big")

    assert failing(_raw(longer)) == {"STD-UL-016"}


def test_bytes_behind_the_last_item() -> None:
    assert failing(_raw(lambda raw: raw.extend(b"\0\0"))) == {"STD-UL-016"}


@pytest.mark.parametrize("at", [1, 9, 45])
def test_reserved_bytes_of_a_request(at: int) -> None:
    def change(raw: bytearray) -> None:
        raw[at] = 1

    assert failing(_raw(change)) == {"STD-UL-023"}


def test_a_leading_space_in_a_title_is_a_remark() -> None:
    assert failing(_asked(replace(RIGHT, called=" PACS"))) == set()


def test_unknown_user_items_are_no_fault() -> None:
    assert failing(_asked(users(RIGHT, RawItem(0x5F, b"new")))) == set()


def test_several_contexts_of_one_abstract_syntax() -> None:
    two = contexts(
        RIGHT,
        PresentationContextRQ(1, VERIFICATION, (EXPLICIT,)),
        PresentationContextRQ(3, VERIFICATION, (EXPLICIT,)),
    )
    assert failing(_asked(two)) == set()


def test_implicit_vr_is_demanded_where_the_statement_lists_it() -> None:
    lab = Lab()
    request = AssociateRequest(
        "PACS",
        "MX1",
        (
            ApplicationContext(),
            PresentationContextRQ(1, VERIFICATION, (EXPLICIT, "1.2.840.10008.1.2.2")),
            UserInformation(
                (
                    MaximumLength(65536),
                    ImplementationClassUID("1.2.392.200036.9107.804"),
                    ImplementationVersionName("KM_SMGMX1_1.00"),
                )
            ),
        ),
    )
    a = lab.associate(request=request)
    a.accept()
    echo(a)
    assert failing(lab, "mx1") == {"STD-UL-009", "MX-VER-PC-001"}
    assert IMPLICIT == "1.2.840.10008.1.2"


def test_a_peer_s_wrong_request_is_none_of_the_product_s() -> None:
    lab = Lab()
    wrong = replace(
        RIGHT, items=(ApplicationContext("1.2.3"), *RIGHT.items[1:]), called="VXVUE", calling="A\\B"
    )
    lab.associate(client="10.0.0.9", server="10.0.0.5", request=wrong).reject(1, 1, 2)
    assert failing(lab) == set()
