"""VXvue's association policies, its Verification, its receiver (VX-ASC, VX-VER, VX-GEN-009 to 011).

Rules of this file:

* The receiver is judged only when somebody knocks (ruling B4), and only for requests that are in order themselves.
* A policy over several associations is judged where a second one shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks import policies
from bench.checks.case import Case
from bench.checks.contexts import listed, uid_text
from bench.checks.dimse.dialogue import ignored
from bench.checks.dimse.tables import (
    COMMITMENT,
    META,
    MPPS,
    STUDY_FIND,
    VERIFICATION,
    WORKLIST,
    storage,
)
from bench.checks.finding import (
    Finding,
    Unseen,
    check,
    failed,
    inconclusive,
    not_applicable,
    passed,
)
from bench.checks.merge import merged
from bench.checks.services.common import release_finding
from bench.checks.upperlayer.deal import Deal, deals
from bench.checks.upperlayer.items import uid_of
from bench.checks.upperlayer.proposal import APPLICATION, ae_fault
from bench.scenario.dictionary import uid_names
from bench.witness.model import Association, Message

MAXIMUM: Final = 16384
CLASS_UID: Final = "1.3.6.1.4.1.19719"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
_RETRIEVE: Final = (".2", ".3")
_QUERY: Final = "1.2.840.10008.5.1.4.1.2."

UNSEEN: Final = {
    "VX-VER-001": Unseen("operator", "whether a person pressed the button is not on the wire"),
    "VX-VER-005": Unseen("operator", "what the dialog shows is not on the wire"),
    "VX-ASC-004": Unseen(
        "configuration", "needs several archives that are served at the same time, and the list of them"
    ),
    "VX-ASC-011": Unseen("configuration", "the AE titles as configured are not on the wire (--config)"),
    "VX-ASC-012": Unseen("configuration", "the AE title as configured is not on the wire (--config)"),
}


@check("VX-GEN-009", "VX-GEN-010", "VX-GEN-011")
@merged
def what_is_proposed(case: Case) -> Iterator[Finding]:
    """SOP classes of the list, no private transfer syntax, no retrieve."""
    known = listed(case.statement)
    known |= {member for uid in known for member in META.get(uid, ())}
    for deal, pdu, text in policies.spoken(case, both=False):
        if text.faults or not text.contexts:
            continue
        at = case.at(pdu, association=deal.association)
        abstracts = list(dict.fromkeys(c.abstract_syntax for c in text.contexts))
        foreign = [uid for uid in abstracts if uid not in known]
        if foreign:
            shown = ", ".join(map(uid_text, foreign[:5]))
            yield failed("VX-GEN-009", f"proposed, and not in the statement: {shown}", at)
        else:
            yield passed("VX-GEN-009", "only SOP classes of the statement are proposed", at)
        retrieve = [uid for uid in abstracts if uid.startswith(_QUERY) and uid.endswith(_RETRIEVE)]
        if retrieve:
            yield failed("VX-GEN-011", f"retrieve is proposed: {', '.join(map(uid_text, retrieve))}", at)
        else:
            yield passed("VX-GEN-011", "no retrieve is proposed", at)
    for deal, pdu, text in policies.spoken(case):
        if text.faults:
            continue
        at = case.at(pdu, association=deal.association)
        used = {ts for c in text.contexts if text.kind == "RQ" or not c.result for ts in c.transfer_syntaxes}
        private = sorted(ts for ts in used if ts not in uid_names())
        if private:
            verb = "proposed" if text.kind == "RQ" else "accepted"
            yield failed("VX-GEN-010", f"a private transfer syntax is {verb}: {', '.join(private)}", at)
        elif used:
            yield passed("VX-GEN-010", "transfer syntaxes of the standard only", at)


@check("VX-ASC-001", "VX-ASC-005", "VX-ASC-006", "VX-ASC-007", "VX-ASC-008", "VX-ASC-009", "VX-ASC-010")
@merged
def values_and_policies(case: Case) -> Iterator[Finding]:
    """What every association announces, and what it is used for."""
    yield from policies.maximum_length(case, "VX-ASC-001", MAXIMUM)
    yield from policies.no_window(case, "VX-ASC-005")
    yield from policies.one_at_a_time(case, "VX-ASC-006")
    yield from policies.class_uid(case, "VX-ASC-007", CLASS_UID)
    yield from policies.version_name(case, "VX-ASC-008", "")
    yield from policies.same_class_uid(case, "VX-ASC-009")
    yield from policies.one_service(case, "VX-ASC-010")


@check("VX-ASC-002")
@merged
def one_association_for_a_query(case: Case) -> Iterator[Finding]:
    """A worklist query has one association: none beside it, none opened in vain."""
    mine = [d.association for d in deals(case).values() if d.side == "requestor" and WORKLIST in d.proposed]
    beside = {id(second): first for first, second in policies.overlaps(mine)}
    for number, association in enumerate(mine):
        deal = deals(case)[association.number]
        at = case.at(association)
        other = beside.get(id(association))
        if other is not None:
            reason = "two associations for worklist queries are open at the same time"
            yield failed("VX-ASC-002", reason, at, case.at(other))
        elif any(m.name == "C-FIND-RQ" for m in association.messages):
            yield passed("VX-ASC-002", "one association for the worklist query", at)
        elif _in_vain(deal) and any(
            0 <= later.first_time - association.last_time < 5 for later in mine[number + 1 : number + 2]
        ):
            reason = "an association for worklist queries is opened, not used, and followed by another"
            yield failed("VX-ASC-002", reason, at, case.at(mine[number + 1]))


def _in_vain(deal: Deal) -> bool:
    """Whether the SUT released an association that it could have used, without any request."""
    association = deal.association
    usable = any(c.abstract_syntax in deal.proposed for c in deal.agreed.values())
    asked = any(m.sender == deal.side for m in association.messages)
    return (
        usable
        and not asked
        and association.whole
        and (association.end, association.ended_by)
        == (
            "released",
            deal.side,
        )
    )


@check("VX-ASC-003", "VX-ASC-004")
@merged
def parallel_destinations(case: Case) -> Iterator[Finding]:
    """Associations to several archives at the same time: allowed, shown where it happens (ruling C6)."""
    stores = [
        d.association
        for d in deals(case).values()
        if d.side == "requestor" and any(storage(abstract) for abstract in d.proposed)
    ]
    for first, second in policies.overlaps(stores):
        if first.acceptor != second.acceptor or first.called != second.called:
            at = (case.at(first), case.at(second))
            reason = f"associations to {first.called} and {second.called} are open at the same time"
            yield passed("VX-ASC-003", reason, *at)
    configured = case.config.get("storage")
    names = {(a.called, a.acceptor) for a in stores}
    if configured and len(configured) > 1 and len(names) == len(configured):
        deepest = _deepest(stores)
        if len({(a.called, a.acceptor) for a in deepest}) == len(configured):
            reason = f"associations to all {len(configured)} configured archives are open at the same time"
            yield passed("VX-ASC-004", reason, *(case.at(a) for a in deepest))


def _deepest(associations: list[Association]) -> list[Association]:
    """The most associations that were open at one moment."""
    moments: list[tuple[float, int, Association]] = []
    for association in associations:
        end = policies.finished(association)
        if association.request is not None and end is not None:
            moments += [(association.request.time, 1, association), (end, 0, association)]
    open_: dict[int, Association] = {}
    best: list[Association] = []
    for _, begins, association in sorted(moments, key=lambda m: m[:2]):
        if begins:
            open_[association.number] = association
            if len(open_) > len(best):
                best = list(open_.values())
        else:
            open_.pop(association.number, None)
    return best


@check("VX-ASC-011", "VX-ASC-012", "VX-CFG-001")
@merged
def ae_titles(case: Case) -> Iterator[Finding]:
    """The AE titles are those that are configured; the calling one to the letter (ruling C3)."""
    configured = [t for t in case.config.get("ae_titles", ()) or () if t]
    for association in case.outgoing:
        if association.request is None or len(association.calling_raw) < 16:
            continue
        at = case.at(association.request, association=association)
        fault = ae_fault(association.calling_raw)
        if fault:
            yield failed("VX-ASC-012", f"the calling AE title {fault}", at)
            continue
        said = association.calling
        wanted = _calling_towards(case, association) or configured
        if not wanted:
            continue
        shown = " or ".join(wanted)
        if said in wanted:
            yield passed("VX-ASC-012", f"the calling AE title is {said}, as configured", at)
        else:
            yield failed("VX-ASC-012", f"the calling AE title is {said}, configured is {shown}", at)
        if said.lower() in [w.lower() for w in wanted]:
            yield passed("VX-CFG-001", f"the local AE title is {said}, as configured", at)
            peer = _known_peer(case, association)
            if said in wanted and peer is not None:
                yield passed("VX-ASC-011", f"{said} calls {association.called}, both as configured", at)
        else:
            reason = f"the local AE title is {said}, configured is {shown}"
            yield failed("VX-CFG-001", reason, at)
            yield failed("VX-ASC-011", reason, at)


def _known_peer(case: Case, association: Association) -> object:
    for key in ("worklist", "mpps", "storage", "commitment", "printer", "query", "verification"):
        value = case.config.get(key)
        for entry in value if isinstance(value, list | tuple) else (value,):
            if isinstance(entry, dict) and entry.get("ae_title") == association.called:
                return entry
    return None


def _calling_towards(case: Case, association: Association) -> list[str]:
    """AE titles of the product towards one peer, where the configuration names one."""
    peer = _known_peer(case, association)
    calling = peer.get("calling") if isinstance(peer, dict) else None
    return [str(calling)] if calling else []


# The receiver


_FOR_SCU: Final = frozenset({WORKLIST, MPPS, STUDY_FIND, *META, *(m for s in META.values() for m in s)})


def _is_scu_service(abstract: str) -> bool:
    return abstract in _FOR_SCU or storage(abstract) or abstract.startswith(_QUERY)


@check("VX-ASC-013")
@merged
def no_scp_of_its_services(case: Case) -> Iterator[Finding]:
    """What others propose of the services that VXvue only uses is refused (ruling C5)."""
    for deal in _knocks(case):
        asked = {c.id: c.abstract_syntax for c in deal.request.contexts} if deal.request else {}
        mine = [id for id, abstract in asked.items() if _is_scu_service(abstract)]
        if not mine:
            continue
        answer = deal.association.answer
        at = case.at(answer or deal.association, association=deal.association)
        taken = [deal.agreed[id] for id in mine if id in deal.agreed]
        if taken:
            shown = ", ".join(uid_text(c.abstract_syntax) for c in taken)
            yield failed("VX-ASC-013", f"accepted as SCP: {shown}", at)
        elif answer is not None:
            yield passed("VX-ASC-013", f"refused: {', '.join(uid_text(asked[i]) for i in mine[:4])}", at)


@check("VX-ASC-014", "VX-ASC-015")
@merged
def receiver_accepts(case: Case) -> Iterator[Finding]:
    """Verification, and commitment by its SCP, are accepted while the receiver is on."""
    for deal in _knocks(case):
        for id, abstract in (("VX-ASC-014", VERIFICATION), ("VX-ASC-015", COMMITMENT)):
            if abstract in deal.proposed:
                yield from _welcome(case, deal, id, abstract)


def _knocks(case: Case) -> Iterator[Deal]:
    """Associations that others requested of the SUT, read whole."""
    for deal in deals(case).values():
        if deal.side == "acceptor" and deal.request is not None and not deal.request.faults:
            yield deal


def _welcome(case: Case, deal: Deal, id: str, abstract: str) -> Iterator[Finding]:
    association, request = deal.association, deal.request
    answer = association.answer
    at = case.at(answer or association, association=association)
    if request is None or case.config.get("receiver") is False:
        yield not_applicable(id, "the receiver is switched off", at)
        return
    role = next((r for r in request.roles if uid_of(r.sop_class) == abstract), None)
    if abstract == COMMITMENT and (role is None or not role.scp):
        yield not_applicable(id, "the peer did not propose itself as the SCP of Storage Commitment", at)
        return
    if any(c.abstract_syntax == abstract for c in deal.agreed.values()):
        fault = _role_answer(deal, abstract) if role is not None and abstract == COMMITMENT else ""
        if fault:
            yield failed(id, fault, at)
        else:
            yield passed(id, f"{uid_text(abstract)} is accepted", at)
        return
    excuse = _excuse(case, deal, abstract)
    if excuse:
        yield not_applicable(id, excuse, at)
    elif answer is None:
        if association.whole and association.end in ("closed", "reset") and association.ended_by == deal.side:
            yield failed(id, "the association is not answered, the connection closed", at)
        else:
            yield inconclusive(id, "the answer to the request is not in the capture", at)
    elif association.accepted:
        result = next((c.result for c in deal.accept.contexts), None) if deal.accept else None
        yield failed(id, f"{uid_text(abstract)} is refused with the result {result}", at)
    else:
        yield failed(id, f"the association is rejected (source, reason {tuple(answer.raw[8:10])})", at)


def _role_answer(deal: Deal, abstract: str) -> str:
    for role in deal.accept.roles if deal.accept else ():
        if uid_of(role.sop_class) == abstract:
            return "" if role.scp == 1 else f"the requestor's SCP role is answered with {role.scp}"
    return "the requestor's proposal to be SCP is not answered"


def _excuse(case: Case, deal: Deal, abstract: str) -> str:
    """Why a refusal is right, or may be: the request itself, or what the statement leaves open (VX-D-08)."""
    request, answer = deal.request, deal.association.answer
    if request is None:
        return "the request was not captured"
    if not request.protocol_version & 1 or [uid_of(i.data) for i in request.of(0x10)] != [APPLICATION]:
        return "the request is not in order"
    offered = {ts for c in request.contexts if c.abstract_syntax == abstract for ts in c.transfer_syntaxes}
    if EXPLICIT not in offered:
        return "the peer does not offer Explicit VR Little Endian"
    own = case.config.get("ae_titles") or sorted({a.calling for a in case.outgoing})
    if deal.association.called not in own and not deal.association.accepted:
        return f"the peer calls '{deal.association.called}', which is not known to be the product's AE title"
    if answer is not None and answer.kind == "A-ASSOCIATE-RJ" and len(answer.raw) >= 10:
        result, source, reason = answer.raw[7:10]
        if result == 2 or source == 3 or (source, reason) in ((1, 3), (1, 7)):
            return f"rejected for a reason of the moment or of a name (source {source}, reason {reason})"
    return ""


# Verification


@check("VX-VER-002", "VX-VER-003", "VX-VER-004")
@merged
def verification(case: Case) -> Iterator[Finding]:
    """Open an association that proposes Verification, send one C-ECHO, release."""
    for deal in deals(case).values():
        association = deal.association
        if deal.side != "requestor" or association.request is None:
            continue
        echoes = [m for m in association.messages if m.sender == "requestor" and m.name == "C-ECHO-RQ"]
        at = case.at(association)
        if VERIFICATION in deal.proposed:
            yield passed("VX-VER-002", "an association that proposes Verification is opened", at)
        elif echoes and not (deal.request and deal.request.faults):
            reason = "C-ECHO-RQ on an association that does not propose Verification"
            yield failed("VX-VER-002", reason, case.at(echoes[0]))
        if not echoes and deal.proposed != {VERIFICATION}:
            continue
        yield from _echoes(case, deal, echoes)
        served = any(c.abstract_syntax == VERIFICATION for c in deal.agreed.values())
        if echoes or served or association.end == "released":
            yield release_finding(case, "VX-VER-004", association)
        elif association.answer is not None:
            yield not_applicable("VX-VER-004", "the peer did not accept Verification", at)


def _echoes(case: Case, deal: Deal, echoes: list[Message]) -> Iterator[Finding]:
    at = case.at(deal.association)
    if not echoes:
        if deal.association.accepted and _in_vain(deal):
            yield failed("VX-VER-003", "the association is released without a C-ECHO-RQ", at)
        elif deal.association.answer is not None:
            yield not_applicable("VX-VER-003", "the peer left no occasion for a C-ECHO-RQ", at)
        return
    faults = []
    if len(echoes) > 1:
        faults.append(f"{len(echoes)} C-ECHO-RQ on one association, one is promised")
    for echo in echoes:
        if echo.command.has_dataset or echo.dataset_length:
            faults.append("the C-ECHO-RQ has a data set")
        said = echo.command.get("AffectedSOPClassUID")
        if said != VERIFICATION:
            faults.append(f"the Affected SOP Class UID of the C-ECHO-RQ is {said or 'absent'}")
    if faults:
        yield failed("VX-VER-003", "; ".join(dict.fromkeys(faults)), *(case.at(m) for m in echoes))
    else:
        yield passed("VX-VER-003", "one C-ECHO-RQ for Verification, without a data set", case.at(echoes[0]))


@check("VX-VER-006")
@merged
def echo_answered(case: Case) -> Iterator[Finding]:
    """A C-ECHO of a peer is answered with success while the receiver is on."""
    for message in case.received("C-ECHO-RQ"):
        deal = deals(case)[message.association]
        context = deal.agreed.get(message.context_id)
        at = case.at(message)
        if context is None or context.abstract_syntax != VERIFICATION or not message.complete:
            continue
        if case.config.get("receiver") is False:
            yield failed("VX-VER-006", "a C-ECHO reaches the product although its receiver is off", at)
            continue
        final = case.exchange(message).final
        if final is not None:
            status = final.command.status
            if status == 0:
                yield passed("VX-VER-006", "C-ECHO is answered with 0000H", case.at(final))
            else:
                shown = "no status" if status is None else f"{status:04X}H"
                yield failed("VX-VER-006", f"C-ECHO is answered with {shown}", case.at(final))
        elif deal.association.end == "open" or deal.peer_broke or not message.complete:
            continue
        elif deal.association.whole and ignored(deal, message):
            yield failed("VX-VER-006", "C-ECHO is not answered", at)
    if case.config.get("receiver") is False:
        for stream in case.capture.streams:
            if stream.what == "refused" and stream.other.address.lower() in case.sut.addresses:
                port = case.config.get("receiver_port", 104)
                if stream.other.port == port:
                    yield passed("VX-VER-006", f"port {port} does not answer, the receiver is off")
