"""Answering an association request (PS3.8 7.1.1 and 9.3.3, PS3.7 D.3).

Rules of this file:

* Pure: request and policy in, acceptance or rejection out.
* Every proposed context is answered in its order; the first acceptable transfer syntax *as proposed* wins, because
  the order is the requestor's preference.
* Roles are answered for SOP classes that were asked about, never with more than was proposed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from simulators.wire import (
    ApplicationContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextAC,
    RoleSelection,
    UserInformation,
)
from simulators.wire.pdu import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION,
    AssociateItem,
)

ACCEPTED: Final = 0
NO_ABSTRACT_SYNTAX: Final = 3
NO_TRANSFER_SYNTAX: Final = 4
IMPLICIT_LE: Final = "1.2.840.10008.1.2"


@dataclass(frozen=True)
class Policy:
    """What a server accepts.

    ``syntaxes``: abstract syntax -> accepted transfer syntaxes.  ``roles``: abstract syntax -> (SCU, SCP) roles that
    the *requestor* may take; others may be SCU only.
    """

    syntaxes: Mapping[str, Collection[str]]
    called: Collection[str] | None = None
    calling: Collection[str] | None = None
    max_pdu: int = 16384
    roles: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def decide(request: AssociateRequest, policy: Policy) -> AssociateAccept | AssociateReject:
    """Accept or reject a request."""
    if not request.protocol_version & 1:
        return AssociateReject(1, 2, 2)
    if request.application_context not in (None, APPLICATION_CONTEXT):
        return AssociateReject(1, 1, 2)
    if policy.called is not None and request.called not in policy.called:
        return AssociateReject(1, 1, 7)
    if policy.calling is not None and request.calling not in policy.calling:
        return AssociateReject(1, 1, 3)
    answers = []
    for context in request.contexts:
        accepted = policy.syntaxes.get(context.abstract_syntax)
        if accepted is None:
            result, syntax = NO_ABSTRACT_SYNTAX, None
        else:
            syntax = next((s for s in context.transfer_syntaxes if s in accepted), None)
            result = ACCEPTED if syntax is not None else NO_TRANSFER_SYNTAX
        # The sub-item must be there although it means nothing when refused (PS3.8 9.3.3.2).
        answers.append(_answer(context.context_id, result, syntax or IMPLICIT_LE))
    roles = tuple(
        RoleSelection(sop_class, scu & most[0], scp & most[1])
        for sop_class, (scu, scp) in request.roles.items()
        if sop_class in policy.syntaxes
        for most in (policy.roles.get(sop_class, (1, 0)),)
    )
    items: tuple[AssociateItem, ...] = (_CONTEXT, *answers, _user(policy.max_pdu, roles))
    return AssociateAccept(request.called, request.calling, items)


_CONTEXT: Final = ApplicationContext()
_answer = lru_cache(maxsize=1024)(PresentationContextAC)


@lru_cache(maxsize=64)
def _user(max_pdu: int, roles: tuple[RoleSelection, ...]) -> UserInformation:
    return UserInformation(
        (
            MaximumLength(max_pdu),
            ImplementationClassUID(IMPLEMENTATION_CLASS_UID),
            ImplementationVersionName(IMPLEMENTATION_VERSION),
            *roles,
        )
    )
