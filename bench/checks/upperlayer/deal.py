"""What was proposed and agreed on one association, read from the bytes of its two PDUs.

Rules of this file:

* :func:`deal` gives the view of the SUT's side, made once per case; the checks of messages and clauses use it too.
* Where a PDU was not captured, or cannot be read whole, the deal says so (``known``), and nobody is blamed for what
  follows from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bench.checks.case import Case
from bench.checks.upperlayer.items import Negotiation, Proposal, read, uid_of
from bench.witness.model import Association, Message, Side, other_side
from bench.witness.problems import EVIDENCE

IMPLICIT: Final = "1.2.840.10008.1.2"
_HARMLESS: Final = frozenset(
    {
        "reserved",
        "item-unknown",
        "item-order",
        "uid-padding",
        "associate-value",
        "pdv-odd",
        "pdv-control",
        "pdu-mixed",
    }
)
"""Problems that leave no doubt about what was said."""
_TORN: Final = frozenset({"pdu-open", "pdu-stopped", "message-open", "message-stopped"})


@dataclass(frozen=True, slots=True)
class Agreed:
    """An accepted presentation context; ``roles``: (SCU, SCP) of the association's requestor.

    ``abstract_syntax`` is empty when the request gave the id twice, so that nobody knows what was accepted.
    """

    id: int
    abstract_syntax: str
    transfer_syntax: str
    roles: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Deal:
    """The negotiation of an association; ``side`` is the SUT's."""

    association: Association
    side: Side
    request: Negotiation | None
    accept: Negotiation | None
    agreed: Mapping[int, Agreed]

    @property
    def known(self) -> bool:
        """Whether request and accept were both read whole, so that what is not in them was not said."""
        return all(n is not None and not n.faults for n in (self.request, self.accept))

    @property
    def ours(self) -> Negotiation | None:
        """What the SUT said: the request of a requestor, the accept of an acceptor."""
        return self.request if self.side == "requestor" else self.accept

    @property
    def theirs(self) -> Negotiation | None:
        """What the peer said."""
        return self.accept if self.side == "requestor" else self.request

    @property
    def peer(self) -> Side:
        """The other side."""
        return other_side(self.side)

    @property
    def peer_broke(self) -> bool:
        """Whether the peer sent what cannot be read, so that nobody knows what the SUT made of it."""
        if self.theirs is not None and self.theirs.faults:
            return True
        return any(
            p.side == self.peer and (p.code in _TORN or (p.code not in EVIDENCE and p.code not in _HARMLESS))
            for p in self.association.problems
        )

    @property
    def limit(self) -> int | None:
        """Length of the longest P-DATA-TF that the SUT may send: 0 is no limit, None is unknown."""
        return None if self.theirs is None else self.theirs.max_length

    @property
    def proposed(self) -> frozenset[str]:
        """Every abstract syntax of the request."""
        return frozenset(c.abstract_syntax for c in self.request.contexts) if self.request else frozenset()

    def proposals(self) -> Mapping[int, Proposal]:
        """Proposed contexts by id; of a repeated id the first."""
        found: dict[int, Proposal] = {}
        for context in self.request.contexts if self.request else ():
            found.setdefault(context.id, context)
        return found

    def sut_is(self, context_id: int) -> tuple[bool, bool] | None:
        """Whether the SUT is SCU, and SCP, in an accepted context; None when the context is not known."""
        context = self.agreed.get(context_id)
        if context is None:
            return None
        scu, scp = context.roles
        return (scu, scp) if self.side == "requestor" else (scp, scu)


def deals(case: Case) -> Mapping[int, Deal]:
    """Return the deal of every association of the SUT by the association's number."""
    return case.once(_deals)


def deal(case: Case, association: Association) -> Deal:
    """Return the deal of one association of the SUT."""
    return deals(case)[association.number]


def lists_match(case: Case, message: Message) -> bool:
    """Tell whether keys of a query may hold several values: negotiated (PS3.4 C.5.1.1, byte 7), not only for UIDs."""
    both = deals(case)[message.association]
    asked, given = (_seventh(one, message.sop_class) for one in (both.request, both.accept))
    return asked and given


def _seventh(negotiation: Negotiation | None, sop_class: str | None) -> bool:
    for item in negotiation.of(0x56) if negotiation is not None else ():
        length = int.from_bytes(item.data[:2])
        if uid_of(item.data[2 : 2 + length]) == sop_class:
            return item.data[2 + length + 6 : 2 + length + 7] == b"\1"
    return False


def _deals(case: Case) -> Mapping[int, Deal]:
    known: dict[bytes, Negotiation] = {}  # hosts say the same again and again
    return {a.number: _deal(a, case.side(a) or "requestor", known) for a in case.associations}


def _read(raw: bytes, known: dict[bytes, Negotiation]) -> Negotiation:
    found = known.get(raw)
    if found is None:
        found = known[raw] = read(raw)
    return found


def _deal(association: Association, side: Side, known: dict[bytes, Negotiation]) -> Deal:
    request = _read(association.request.raw, known) if association.request else None
    answer = association.answer
    accept = _read(answer.raw, known) if answer is not None and association.accepted else None
    return Deal(association, side, request, accept, _agreed(request, accept))


def _agreed(request: Negotiation | None, accept: Negotiation | None) -> dict[int, Agreed]:
    if request is None or accept is None:
        return {}
    asked = {uid_of(r.sop_class): (r.scu, r.scp) for r in request.roles}
    given = {uid_of(r.sop_class): (r.scu, r.scp) for r in accept.roles}
    found: dict[int, Agreed] = {}
    proposals = {c.id: c for c in reversed(request.contexts)}
    twice = {id for id, count in Counter(c.id for c in request.contexts).items() if count > 1}
    for answer in accept.contexts:
        proposal = proposals.get(answer.id)
        if answer.result != 0 or proposal is None:
            continue
        abstract = "" if answer.id in twice else proposal.abstract_syntax
        roles = (True, False)
        if abstract in asked and abstract in given:
            roles = (bool(given[abstract][0]), bool(given[abstract][1]))
        syntax = answer.transfer_syntaxes[0] if answer.transfer else ""
        found.setdefault(answer.id, Agreed(answer.id, abstract, syntax, roles))
    return found
