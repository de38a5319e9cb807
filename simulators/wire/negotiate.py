"""Answering a proposal: which presentation contexts are accepted (PS3.8 7.1.1, PS3.7 D.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from simulators.wire.pdu import AssociateAccept, AssociateRequest, UserItem


def accept(
    request: AssociateRequest,
    supported: Mapping[str, Sequence[str]],
    *,
    max_length: int = 16384,
    roles: Mapping[str, tuple[int, int]] | None = None,
    user_items: Iterable[UserItem] = (),
) -> AssociateAccept:
    """The usual answer.  ``supported``: abstract syntax -> transfer syntaxes in order of preference; an empty
    sequence takes the first proposed one.  ``roles``: what role selection items are answered with at most.
    """
    raise NotImplementedError
