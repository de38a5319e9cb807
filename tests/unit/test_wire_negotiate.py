"""The usual answer to a proposal (PS3.8 7.1.1.14, PS3.7 D.3.3.4)."""

from __future__ import annotations

import pytest

from simulators.wire import (
    AcceptedContext,
    ApplicationContext,
    AssociateAccept,
    AssociateRequest,
    AsyncOperationsWindow,
    PresentationContextAC,
    RemoteProtocolError,
    RoleSelection,
    UserInformation,
    accept,
    agreed_contexts,
    decode,
    encode,
)

REQUEST = AssociateRequest.build(
    called="CALLED",
    calling="CALLING",
    contexts=[("1.1", ["9.1", "9.2"]), ("1.2", ["9.2"]), ("1.3", ["9.1"]), ("1.1", ["9.2"])],
    user_items=[RoleSelection("1.1", 1, 1), RoleSelection("1.2", 0, 1), RoleSelection("1.3", 1, 1)],
)


def test_contexts_are_answered_in_order_with_the_preferred_syntax() -> None:
    answer = accept(REQUEST, {"1.1": ["9.2", "9.1"], "1.2": ["9.1"]}, max_length=77)
    assert answer.contexts == (
        PresentationContextAC(1, 0, "9.2"),
        PresentationContextAC(3, 4, "9.2"),
        PresentationContextAC(5, 3, "9.1"),
        PresentationContextAC(7, 0, "9.2"),
    )
    assert agreed_contexts(REQUEST, answer) == {
        1: AcceptedContext(1, "1.1", "9.2"),
        7: AcceptedContext(7, "1.1", "9.2"),
    }
    assert (answer.called, answer.calling, answer.max_length) == ("CALLED", "CALLING", 77)
    assert decode(encode(answer)) == answer


def test_without_a_preference_the_first_proposed_syntax_is_taken() -> None:
    answer = accept(REQUEST, {"1.1": []})
    assert [context.transfer_syntax for context in answer.contexts if context.result == 0] == ["9.1", "9.2"]


def test_roles_are_granted_at_most_as_proposed_and_as_allowed() -> None:
    answer = accept(REQUEST, {"1.1": [], "1.2": []}, roles={"1.1": (1, 0), "1.2": (1, 1)})
    assert answer.roles == {"1.1": (1, 0), "1.2": (0, 1)}
    assert accept(REQUEST, {}).roles == {}


def test_other_items_can_be_added() -> None:
    assert accept(REQUEST, {}, user_items=[AsyncOperationsWindow(1, 1)]).user_items[
        -1
    ] == AsyncOperationsWindow(1, 1)


@pytest.mark.parametrize(
    "context",
    [
        PresentationContextAC(9, 0, "9.1"),
        PresentationContextAC(3, 0, "9.1"),
        PresentationContextAC(3, 0, None),
    ],
)
def test_an_answer_that_does_not_fit(context: PresentationContextAC) -> None:
    answer = AssociateAccept("A", "B", (ApplicationContext(), context, UserInformation()))
    with pytest.raises(RemoteProtocolError):
        agreed_contexts(REQUEST, answer)


def test_a_context_without_answer_is_not_accepted() -> None:
    answer = AssociateAccept("A", "B", (PresentationContextAC(7, 0, "9.2"),))
    assert set(agreed_contexts(REQUEST, answer)) == {7}
