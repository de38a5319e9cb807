"""Rules about what a message of the SUT is about: its data set, its SOP class, its instance, its role.

Rules of this file: a message is compared with its own context and its own data set; what the service then does with
it (states, attributes) is not judged here.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.checks.case import Case
from bench.checks.dimse.commandset import readable
from bench.checks.dimse.tables import ACTIONS, EVENTS, FORMS, META, NOTIFICATIONS, WELL_KNOWN, services
from bench.checks.finding import Finding, check, failed, passed
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import Deal, deals
from bench.checks.upperlayer.pdata import said_none
from bench.resultmodel import Evidence
from bench.witness.model import Message


@check("STD-DIMSE-020", "STD-DIMSE-021")
@merged
def data_set_announced(case: Case) -> Iterator[Finding]:
    """Command Data Set Type says the truth, and the message's table allows it."""
    for deal in deals(case).values():
        came = {
            said.number: problem
            for problem in deal.association.problems
            if problem.side == deal.side
            and problem.code in ("dataset-without-command", "dataset-unannounced")
            if (said := said_none(deal, problem)) is not None
        }
        for message in _sent(deal):
            if not readable(message) or not message.command.has("CommandDataSetType"):
                continue
            announced, at = message.command.has_dataset, case.at(message, "(0000,0800)")
            if message.number in came and not announced:
                problem = came[message.number]
                where = case.at(problem, association=deal.association)
                reason = f"{message.name} says that no data set follows (0101H), and one does"
                yield failed("STD-DIMSE-020", reason, at, where)
                continue
            if announced and not message.dataset_length and not message.complete:
                if _went_on(deal, message):
                    reason = f"{message.name} announces a data set, and none follows"
                    yield failed("STD-DIMSE-020", reason, at)
                continue
            yield passed("STD-DIMSE-020", f"{message.name}: Command Data Set Type is right", at)
            wanted = FORMS[message.name].dataset
            if wanted == "always" and not announced:
                yield failed("STD-DIMSE-021", f"{message.name} has no data set", at)
            elif wanted == "never" and announced:
                yield failed("STD-DIMSE-021", f"{message.name} has a data set, which it cannot have", at)
            else:
                yield passed("STD-DIMSE-021", f"{message.name}: the data set is as its table says", at)


def _went_on(deal: Deal, message: Message) -> bool:
    """Whether the SUT sent something else, or was answered, instead of a data set."""
    association = deal.association
    if not association.whole:
        return False
    id = message.command.message_id
    for other in association.messages:
        if other.sender == deal.side and other.first_pdu > message.last_pdu:
            return True
        if other.sender == deal.peer and id is not None and other.command.responded_to == id:
            return True
    return any(
        p.side == deal.side and p.index > message.last_pdu and p.kind == "A-RELEASE-RQ"
        for p in association.pdus
    )


@check("STD-DIMSE-022", "STD-DIMSE-023")
@merged
def stored_objects(case: Case) -> Iterator[Finding]:
    """Affected SOP UIDs of a C-STORE are those of its data set."""
    for message in case.requests("C-STORE-RQ"):
        if message.dataset is None or not readable(message):
            continue
        for id, keyword, said in (
            ("STD-DIMSE-022", "SOPClassUID", message.command.get("AffectedSOPClassUID")),
            ("STD-DIMSE-023", "SOPInstanceUID", message.command.get("AffectedSOPInstanceUID")),
        ):
            element = message.dataset.get(keyword)
            inside = message.dataset.text(keyword)
            if not inside or not said or element is None:
                continue
            if inside == said:
                yield passed(
                    id, f"{keyword} of the data set is that of the command", case.at(message, element)
                )
            else:
                reason = f"the command says {said}, {keyword} of the data set is {inside}"
                yield failed(id, reason, case.at(message, element))


@check("STD-DIMSE-030", "STD-DIMSE-031", "STD-DIMSE-032", "STD-DIMSE-033", "STD-DIMSE-049")
@merged
def service_of_the_context(case: Case) -> Iterator[Finding]:
    """A request fits its context, its SOP class, its role, its well-known instance and its action or event."""
    for deal in deals(case).values():
        for message in _sent(deal):
            if message.command.is_request and readable(message) and message.name != "C-CANCEL-RQ":
                yield from _fits(case, deal, message)


def _fits(case: Case, deal: Deal, message: Message) -> Iterator[Finding]:
    at = case.at(message)
    context = deal.agreed.get(message.context_id)
    said = message.command.sop_class or None
    abstract = context.abstract_syntax or None if context is not None else None
    allowed = META.get(abstract or "") or {abstract, None}
    fits = said is not None and (abstract is None or said in allowed)
    if said is not None and abstract is not None:
        if fits:
            yield passed("STD-DIMSE-030", f"{message.name} of {said} in a context for {abstract}", at)
        else:
            reason = f"{message.name} names the SOP class {said}; its context is for {abstract}"
            yield failed("STD-DIMSE-030", reason, _class(case, message))
    sop_class = said if fits else abstract
    known = services(sop_class) if sop_class else None
    members = META.get(sop_class or "")
    if known is None and members and sop_class == abstract:
        known = frozenset().union(*(services(member) or frozenset() for member in members))
    if known is not None:
        if message.name in known:
            yield passed("STD-DIMSE-031", f"{message.name} belongs to {sop_class}", at)
        else:
            yield failed("STD-DIMSE-031", f"{message.name} is no request of {sop_class}", at)
    roles = deal.sut_is(message.context_id)
    if roles is not None and (known is None or message.name in known):
        notifies = message.name in NOTIFICATIONS
        role = "SCP" if notifies else "SCU"
        if roles[notifies]:
            yield passed("STD-DIMSE-032", f"{message.name} is sent as {role}", at)
        else:
            reason = f"{message.name} is sent by a side that is not {role} of {abstract}"
            yield failed("STD-DIMSE-032", reason, at)
    yield from _instance(case, message, sop_class or "")


def _instance(case: Case, message: Message, sop_class: str) -> Iterator[Finding]:
    at, instance = case.at(message), message.command.sop_instance
    wanted = WELL_KNOWN.get(sop_class)
    if wanted is not None and instance:
        if instance == wanted:
            yield passed("STD-DIMSE-033", f"{message.name} for the well-known instance {wanted}", at)
        else:
            reason = f"{message.name} for the instance {instance}; the well-known one is {wanted}"
            yield failed("STD-DIMSE-033", reason, _class(case, message, 0x1000))
    for table, keyword, tag in ((ACTIONS, "ActionTypeID", 0x1008), (EVENTS, "EventTypeID", 0x1002)):
        number = message.command.get(keyword)
        if sop_class in table and isinstance(number, int):
            text = f"{message.name} of {sop_class} with the type {number}"
            if number in table[sop_class]:
                yield passed("STD-DIMSE-049", text, at)
            else:
                yield failed("STD-DIMSE-049", text, case.at(message, f"(0000,{tag:04X})"))


def _class(case: Case, message: Message, affected: int = 0x0002) -> Evidence:
    keyword = {0x0002: "AffectedSOPClassUID", 0x1000: "AffectedSOPInstanceUID"}[affected]
    tag = affected if message.command.has(keyword) else affected + 1
    return case.at(message, f"(0000,{tag:04X})")


def _sent(deal: Deal) -> Iterator[Message]:
    return (m for m in deal.association.messages if m.sender == deal.side)
