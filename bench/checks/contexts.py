"""Clauses that any statement has: SOP classes with their roles, and presentation contexts (kinds service, context).

Rules of this file:

* Everything comes from the statement's data, so that it works for a statement that nobody has written yet.
* What is judged is what the SUT proposes.  A peer that refuses is no fault; what it then cannot show is N/A.
* A row says which transfer syntaxes are proposed for its SOP class: one that is missing breaks the row; one that no
  row of the SOP class has breaks those rows when the statement says 'and no other' (``exact``), or by ruling C10.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from bench.checks.case import Case
from bench.checks.dimse.tables import META
from bench.checks.finding import Finding, check, failed, not_applicable, passed
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import Deal, deals
from bench.checks.upperlayer.items import uid_of
from bench.scenario.dictionary import uid_names
from bench.statements.model import Clause, SopRule, Statement
from bench.witness.model import Message

IDS: Final = (
    "VX-GEN-00*",
    "VX-PC-*",
    "MX-VER-PC-*",
    "MX-STO-PC-*",
    "MX-MWL-PC-*",
    "MX-MWL-010",
)
"""Ids of the bundled statements; those of others are found by their kind."""
CLOSED: Final = frozenset({"mx1"})
"""Statements whose tables are closed by a ruling, row by row (ruling C10)."""


def service_rows(statement: Statement) -> Iterator[tuple[Clause, SopRule]]:
    """Clauses that name a SOP class as a service."""
    return ((c, c.sop) for c in statement.clauses if c.kind == "service" and c.sop is not None)


def context_rows(statement: Statement) -> Mapping[str, list[tuple[Clause, SopRule]]]:
    """Clauses of presentation contexts by abstract syntax."""
    found: dict[str, list[tuple[Clause, SopRule]]] = defaultdict(list)
    for clause in statement.clauses:
        if clause.kind == "context" and clause.sop is not None:
            found[clause.sop.uid].append((clause, clause.sop))
    return found


def listed(statement: Statement) -> frozenset[str]:
    """Return every SOP class that the statement names as a service or a context."""
    return frozenset(
        clause.sop.uid
        for clause in statement.clauses
        if clause.kind in ("service", "context") and clause.sop is not None
    )


def uid_text(uid: str) -> str:
    """Return a UID with its name, where the dictionary has one."""
    name = uid_names().get(uid)
    return f"{uid} ({name})" if name else uid or "no UID"


@check(*IDS)
@merged
def services(case: Case) -> Iterator[Finding]:
    """A SOP class that the product supports as SCU is used: a request on it was sent over an accepted context."""
    rows = list(service_rows(case.statement))
    used: dict[str, list[Message]] = defaultdict(list)
    for message in case.requests():
        if message.sop_class:
            used[message.sop_class].append(message)
    for clause, sop in rows:
        if sop.roles and "SCU" not in sop.roles:
            continue
        names = {sop.uid} | set(META.get(sop.uid, ()))
        messages = [m for name in names for m in used.get(name, ())]
        for message in messages:
            yield passed(clause.id, f"{message.name} of {sop.name}", case.at(message))
        if messages:
            continue
        for deal in deals(case).values():
            if deal.side == "requestor" and sop.uid in deal.proposed and _refused(deal, sop.uid):
                reason = f"{sop.name} was proposed, and the peer did not accept it"
                yield not_applicable(clause.id, reason, case.at(deal.association))


def _refused(deal: Deal, abstract: str) -> bool:
    if deal.association.answer is not None and not deal.association.accepted:
        return True
    return deal.known and not any(c.abstract_syntax == abstract for c in deal.agreed.values())


@check(*IDS)
@merged
def contexts(case: Case) -> Iterator[Finding]:
    """Transfer syntaxes and roles that the product proposes for the SOP classes of its table."""
    table = context_rows(case.statement)
    for deal in deals(case).values():
        request = deal.association.request
        if deal.side != "requestor" or deal.request is None or request is None or deal.request.faults:
            continue
        at = case.at(request, association=deal.association)
        offered: dict[str, dict[str, None]] = defaultdict(dict)
        for context in deal.request.contexts:
            offered[context.abstract_syntax].update(dict.fromkeys(context.transfer_syntaxes))
        for abstract, syntaxes in offered.items():
            rows = table.get(abstract, [])
            wanted = {ts for _, sop in rows for ts in sop.transfer_syntaxes}
            foreign = [ts for ts in syntaxes if ts not in wanted]
            roles = _roles(deal, abstract)
            for clause, sop in rows:
                yield _row(case.statement, clause, sop, list(syntaxes), foreign, roles).at(at)


class _Said:
    """A verdict on a row that still lacks its evidence."""

    def __init__(self, ok: bool, id: str, reason: str) -> None:
        self.ok, self.id, self.reason = ok, id, reason

    def at(self, *evidence: object) -> Finding:
        give = passed if self.ok else failed
        return give(self.id, self.reason, *evidence)  # type: ignore[arg-type]


def _row(
    statement: Statement,
    clause: Clause,
    sop: SopRule,
    syntaxes: list[str],
    foreign: list[str],
    roles: tuple[int | None, int | None] | None,
) -> _Said:
    missing = [ts for ts in sop.transfer_syntaxes if ts not in syntaxes]
    shown = ", ".join(map(uid_text, syntaxes)) or "no transfer syntax"
    if missing:
        reason = f"{sop.name} is proposed with {shown}; {', '.join(map(uid_text, missing))} is missing"
        return _Said(False, clause.id, reason)
    if foreign and (sop.exact or statement.name in CLOSED):
        reason = (
            f"{sop.name} is proposed with {', '.join(map(uid_text, foreign))}, which its table does not list"
        )
        return _Said(False, clause.id, reason)
    if roles is not None:
        scu, scp = roles
        extra = [
            name for name, on in (("SCU", scu), ("SCP", scp)) if on and sop.roles and name not in sop.roles
        ]
        if extra:
            reason = f"the role {' and '.join(extra)} of {sop.name} is proposed; its table says {'/'.join(sop.roles)}"
            return _Said(False, clause.id, reason)
        if "SCU" in sop.roles and scu == 0 and scp == 0:
            return _Said(False, clause.id, f"role selection of {sop.name} proposes neither SCU nor SCP")
    return _Said(True, clause.id, f"{sop.name} is proposed with {shown}")


def _roles(deal: Deal, abstract: str) -> tuple[int | None, int | None] | None:
    for role in deal.request.roles if deal.request else ():
        if uid_of(role.sop_class) == abstract:
            return role.scu, role.scp
    return None
