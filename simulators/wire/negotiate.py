"""Proposal and answer: which presentation contexts are agreed (PS3.8 7.1.1, 9.3.3.2; PS3.7 D.3.3.4).

Rules of this file: pure functions of the two PDUs; what is inconsistent between them is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from simulators.wire.errors import RemoteProtocolError
from simulators.wire.pdu import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION,
    ApplicationContext,
    AssociateAccept,
    AssociateRequest,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextAC,
    RoleSelection,
    UserInformation,
    UserItem,
)


class AcceptedContext(NamedTuple):
    """A presentation context that both sides agreed on."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


def agreed_contexts(request: AssociateRequest, answer: AssociateAccept) -> dict[int, AcceptedContext]:
    """The accepted contexts by id.

    Raises :class:`RemoteProtocolError` (invalid parameter) for an answer to a context that was not proposed, or
    with a transfer syntax that was not.  A context without answer counts as not accepted.
    """
    proposed = {context.context_id: context for context in request.contexts}
    agreed: dict[int, AcceptedContext] = {}
    for context in answer.contexts:
        offer = proposed.get(context.context_id)
        if offer is None:
            raise RemoteProtocolError(f"context {context.context_id} was answered but never proposed", 6)
        if context.result != 0:
            continue
        transfer = context.transfer_syntax
        if transfer is None or transfer not in offer.transfer_syntaxes:
            raise RemoteProtocolError(
                f"context {context.context_id} accepted with {transfer}, which was not proposed", 6
            )
        agreed[context.context_id] = AcceptedContext(context.context_id, offer.abstract_syntax, transfer)
    return agreed


def accept(
    request: AssociateRequest,
    supported: Mapping[str, Sequence[str]],
    *,
    max_length: int = 16384,
    roles: Mapping[str, tuple[int, int]] | None = None,
    user_items: Iterable[UserItem] = (),
) -> AssociateAccept:
    """The usual answer to a request.

    ``supported``: abstract syntax -> transfer syntaxes in order of preference; an empty sequence takes the first
    proposed one.  Other abstract syntaxes get result 3, others' transfer syntaxes result 4.  ``roles``: SOP class ->
    the most that a role selection item of the request gets (SCU, SCP); items for other classes get no answer, which
    means the default roles.  ``user_items`` are added at the end.
    """
    answers: list[PresentationContextAC] = []
    for context in request.contexts:
        offered = context.transfer_syntaxes
        wanted = supported.get(context.abstract_syntax)
        if wanted is None:
            answers.append(PresentationContextAC(context.context_id, 3, offered[0]))
            continue
        chosen = next((uid for uid in wanted if uid in offered), None) if wanted else offered[0]
        result = 4 if chosen is None else 0
        answers.append(PresentationContextAC(context.context_id, result, chosen or offered[0]))
    selections: list[UserItem] = []
    if roles:
        for item in request.user_items:
            if type(item) is RoleSelection and item.sop_class in roles:
                scu, scp = roles[item.sop_class]
                selections.append(RoleSelection(item.sop_class, item.scu & scu, item.scp & scp))
    user = UserInformation(
        (
            MaximumLength(max_length),
            ImplementationClassUID(IMPLEMENTATION_CLASS_UID),
            *selections,
            ImplementationVersionName(IMPLEMENTATION_VERSION),
            *user_items,
        )
    )
    return AssociateAccept(request.called, request.calling, (ApplicationContext(), *answers, user))
