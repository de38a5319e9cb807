"""STD-UL rules on what the product answers as an acceptor: accepts, rejects, roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulators.wire import (
    AsyncOperationsWindow,
    ExtendedNegotiation,
    ImplementationClassUID,
    MaximumLength,
    PresentationContextAC,
    RawItem,
    RoleSelection,
    UserIdentityAC,
    UserInformation,
)
from tests.lab.conversation import Conversation, Lab
from tests.unit.judged_conversations import DX, EXPLICIT, IMPLICIT, VERIFICATION, failing, verdicts

CLASS = "1.3.6.1.4.1.19719"
COMMITMENT = "1.2.840.10008.1.20.1"
Items = Callable[[list[Any]], list[Any]]


def _asked(lab: Lab, *contexts: tuple[str, list[str]], **how: Any) -> Conversation:
    return lab.associate(
        client="10.0.0.9",
        server="10.0.0.5",
        calling="PACS",
        called="VXVUE",
        implementation_class="1.2.3",
        contexts=contexts or [(VERIFICATION, [EXPLICIT])],
        **how,
    )


def _accepted(lab: Lab, a: Conversation, **how: Any) -> None:
    a.accept(implementation_class=CLASS, implementation_version=None, **how)
    a.release()


def test_a_right_accept_fails_nothing() -> None:
    lab = Lab()
    _accepted(lab, _asked(lab))
    found = verdicts(lab)
    assert "FAIL" not in found.values()
    for number in (1, 2, 10, 11, 12, 14, 15, 16, 17, 23, 30, 31, 32, 33, 34, 36, 54):
        assert found[f"STD-UL-{number:03d}"] == "PASS", number
    assert found["VX-ASC-014"] == found["VX-ASC-007"] == found["VX-ASC-008"] == "PASS"


def _replace(kind: type, *new: Any) -> Items:
    def edit(items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            if isinstance(item, kind):
                out += new
                new_ = ()
                del new_
            else:
                out.append(item)
        return out

    return edit


def _users(*new: Any) -> Items:
    base = (MaximumLength(16384), ImplementationClassUID(CLASS))
    return _replace(UserInformation, UserInformation((*base, *new)))


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        (_replace(PresentationContextAC), {"STD-UL-030", "VX-ASC-014"}),
        (
            _replace(
                PresentationContextAC,
                PresentationContextAC(1, 0, EXPLICIT),
                PresentationContextAC(3, 3, EXPLICIT),
            ),
            {"STD-UL-030"},
        ),
        (_replace(PresentationContextAC, *[PresentationContextAC(1, 0, EXPLICIT)] * 2), {"STD-UL-030"}),
        (
            _replace(PresentationContextAC, PresentationContextAC(1, 9, EXPLICIT)),
            {"STD-UL-031", "VX-ASC-014"},
        ),
        (_replace(PresentationContextAC, PresentationContextAC(1, 0, None)), {"STD-UL-032"}),
        (_replace(PresentationContextAC, PresentationContextAC(1, 0, IMPLICIT)), {"STD-UL-033"}),
        (
            _replace(PresentationContextAC, PresentationContextAC(1, 0, "1.2.840.113619.5.2")),
            {"STD-UL-033", "VX-GEN-010"},
        ),
        (_users(AsyncOperationsWindow(1, 1)), {"STD-UL-018"}),
        (_users(RoleSelection(VERIFICATION, 1, 0)), {"STD-UL-020"}),
        (_users(ExtendedNegotiation(VERIFICATION, b"\1")), {"STD-UL-021"}),
        (_users(UserIdentityAC(b"ok")), {"STD-UL-022"}),
        (_users(RawItem(0x58, b"\1\0\0\0\0\0")), {"STD-UL-017"}),
    ],
)
def test_a_wrong_accept_turns_its_rule(items: Items, wanted: set[str]) -> None:
    lab = Lab()
    _accepted(lab, _asked(lab), items=items)
    assert failing(lab) == wanted


def test_a_window_larger_than_proposed() -> None:
    lab = Lab()
    a = _asked(lab, user_items=[AsyncOperationsWindow(2, 2)])
    _accepted(lab, a, user_items=[AsyncOperationsWindow(5, 2)])
    assert failing(lab) == {"STD-UL-018", "VX-ASC-005"}


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        (RoleSelection(COMMITMENT, 0, 1), set()),
        (RoleSelection(COMMITMENT, 1, 1), {"STD-UL-020"}),
        (RoleSelection(COMMITMENT, 0, 0), {"VX-ASC-015"}),
        (None, {"VX-ASC-015"}),
    ],
)
def test_the_role_of_a_commitment_report(role: RoleSelection | None, wanted: set[str]) -> None:
    lab = Lab()
    a = _asked(lab, (COMMITMENT, [EXPLICIT]), user_items=[RoleSelection(COMMITMENT, 0, 1)])
    _accepted(lab, a, roles=False, user_items=[role] if role else [])
    assert failing(lab) == wanted


@pytest.mark.parametrize(
    ("reject", "wanted"),
    [
        ((1, 1, 7), set()),
        ((2, 3, 1), set()),
        ((3, 1, 1), {"STD-UL-035"}),
        ((1, 4, 1), {"STD-UL-035"}),
        ((1, 1, 4), {"STD-UL-035"}),
        ((1, 2, 3), {"STD-UL-035"}),
    ],
)
def test_rejects(reject: tuple[int, int, int], wanted: set[str]) -> None:
    lab = Lab()
    _asked(lab, (DX, [EXPLICIT])).reject(*reject)
    assert failing(lab) == wanted


def test_a_request_that_is_not_answered() -> None:
    lab = Lab()
    _asked(lab, (DX, [EXPLICIT])).close("acceptor")
    assert failing(lab) == {"STD-UL-036"}


def test_a_peer_that_does_not_wait_is_at_fault_itself() -> None:
    lab = Lab()
    _asked(lab).close("requestor")
    assert failing(lab) == set()


def test_other_titles_in_the_accept_are_a_remark() -> None:
    lab = Lab()
    _accepted(lab, _asked(lab), called="X", calling="Y")
    assert failing(lab) == set()


def test_the_wrong_accept_of_a_peer_is_none_of_the_product_s() -> None:
    lab = Lab()
    a = lab.associate()
    a.accept(items=_replace(PresentationContextAC, PresentationContextAC(1, 0, IMPLICIT)))
    a.abort("requestor")
    assert not {id for id in failing(lab) if id.startswith("STD-")}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (lambda a: a.accept(implementation_class=CLASS, implementation_version=None), {"VX-ASC-013"}),
        (lambda a: a.accept(only={}, implementation_class=CLASS, implementation_version=None), set()),
        (lambda a: a.reject(1, 1, 1), set()),
    ],
)
def test_services_that_vxvue_only_uses_are_refused(
    answer: Callable[[Conversation], Any], wanted: set[str]
) -> None:
    lab = Lab()
    answer(_asked(lab, (DX, [EXPLICIT])))
    assert failing(lab) == wanted


def test_verification_that_is_refused_while_the_receiver_is_on() -> None:
    lab = Lab()
    _accepted(lab, _asked(lab), refuse=[VERIFICATION])
    assert failing(lab, config={"ae_titles": ("VXVUE",), "receiver": True}) == {"VX-ASC-014"}
    assert failing(lab, config={"ae_titles": ("VXVUE",), "receiver": False}) == {"VX-CFG-015"}


@pytest.mark.parametrize(
    ("reject", "title", "wanted"),
    [
        ((1, 1, 1), "VXVUE", {"VX-ASC-014"}),
        ((1, 1, 1), "OTHER", set()),
        ((1, 1, 7), "VXVUE", set()),
        ((2, 3, 1), "VXVUE", set()),
    ],
)
def test_verification_that_is_rejected(reject: tuple[int, int, int], title: str, wanted: set[str]) -> None:
    lab = Lab()
    _asked(lab).reject(*reject)
    assert failing(lab, config={"ae_titles": (title,), "receiver": True}) == wanted
