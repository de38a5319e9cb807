"""Policies that association clauses of several products share: findings for one id each.

Rules of this file: a function judges one policy and knows no product; the ids and values come from the caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.dimse.dialogue import turns
from bench.checks.dimse.tables import (
    COLOR_META,
    COMMITMENT,
    GRAYSCALE_META,
    META,
    MPPS,
    VERIFICATION,
    WORKLIST,
    services,
    storage,
)
from bench.checks.finding import Finding, erratum, failed, passed, remark
from bench.checks.upperlayer.deal import Deal, deals
from bench.checks.upperlayer.items import Negotiation, uid_of
from bench.checks.upperlayer.proposal import APPLICATION
from bench.resultmodel import Evidence
from bench.witness.model import Association, Message, Pdu

_PRINT: Final = frozenset({GRAYSCALE_META, COLOR_META}).union(*META.values())
Which = Callable[[Deal], bool]


def service(sop_class: str) -> str:
    """Return the service that a SOP class belongs to, in words; ruling C2: image and dose report storage are one."""
    if storage(sop_class):
        return "storage"
    if sop_class in _PRINT or sop_class.startswith("1.2.840.10008.5.1.1."):
        return "print"
    if sop_class.startswith("1.2.840.10008.5.1.4.1.2."):
        return "query"
    known = {
        VERIFICATION: "verification",
        WORKLIST: "worklist",
        MPPS: "MPPS",
        COMMITMENT: "storage commitment",
    }
    return known.get(sop_class, sop_class)


def every(_: Deal) -> bool:
    """Choose every association."""
    return True


def proposing(name: str) -> Which:
    """Choose associations that propose a SOP class of a service."""
    return lambda deal: any(service(abstract) == name for abstract in deal.proposed)


def established(association: Association, message: Message) -> bool:
    """Tell whether a message was sent after the A-ASSOCIATE-AC."""
    answer = association.answer
    return association.accepted and answer is not None and message.first_pdu > answer.index


def spoken(
    case: Case, which: Which = every, *, both: bool = True, again: bool = False
) -> Iterator[tuple[Deal, Pdu, Negotiation]]:
    """What the SUT said about itself: its requests, and with ``both`` its accepts.

    What is the same to the byte is given once, unless ``again``.
    """
    seen: set[bytes] = set()
    for deal in deals(case).values():
        if deal.side == "acceptor" and not both:
            continue
        pdu = deal.association.request if deal.side == "requestor" else deal.association.answer
        if pdu is None or deal.ours is None or (pdu.raw in seen and not again):
            continue
        if which(deal):
            seen.add(pdu.raw)
            yield deal, pdu, deal.ours


def application_context(case: Case, id: str, which: Which) -> Iterator[Finding]:
    """The application context name is the one of DICOM."""
    for deal, pdu, text in spoken(case, which, both=False):
        names = [uid_of(item.data) for item in text.of(0x10)]
        at = case.at(pdu, association=deal.association)
        if names:
            reason = f"the application context name is {names[0]}"
            yield passed(id, reason, at) if names[0] == APPLICATION else failed(id, reason, at)
        elif not text.faults:
            yield failed(id, "no application context name is proposed", at)


def no_window(case: Case, id: str, which: Which = every) -> Iterator[Finding]:
    """No asynchronous operations window, or one of 1 and 1."""
    for deal, pdu, text in spoken(case, which):
        at = case.at(pdu, association=deal.association)
        items = text.of(0x53)
        if not items and text.faults:
            continue
        if not items:
            yield passed(id, "no asynchronous operations window", at)
        elif text.window == (1, 1):
            yield passed(id, "the asynchronous operations window is 1/1", at)
        else:
            shown = "/".join(map(str, text.window)) if text.window else items[0].data.hex(" ")
            yield failed(id, f"the asynchronous operations window is {shown}", at)


def one_at_a_time(case: Case, id: str, which: Which = every) -> Iterator[Finding]:
    """Never a request before the final response to the one before, whatever was negotiated."""
    for turn in turns(case):
        if not which(turn.deal):
            continue
        at = case.at(turn.request)
        if not turn.outstanding:
            yield passed(id, f"{turn.request.name} with nothing outstanding", at)
        elif turn.lost:
            yield remark(id, f"{turn.request.name} although an earlier operation was never answered", at)
        else:
            before = turn.outstanding[-1]
            reason = f"{turn.request.name} before the final response to {before.name}"
            yield failed(id, reason, at, case.at(before))


def class_uid(case: Case, id: str, wanted: str, which: Which = every) -> Iterator[Finding]:
    """The Implementation Class UID is the statement's."""
    for deal, pdu, text in spoken(case, which):
        at = case.at(pdu, association=deal.association)
        said = [uid_of(item.data) for item in text.of(0x52)]
        if not said:
            if not text.faults:
                yield failed(id, f"no Implementation Class UID; {wanted} is promised", at)
            continue
        reason = f"the Implementation Class UID is {said[0]}"
        if said[0] == wanted:
            yield passed(id, reason, at)
        else:
            yield failed(id, f"{reason}, not {wanted}", at)


def version_name(case: Case, id: str, wanted: str, which: Which = every) -> Iterator[Finding]:
    """The Implementation Version Name is the statement's; '' = none (then a literal '-' is its erratum)."""
    for deal, pdu, text in spoken(case, which):
        at = case.at(pdu, association=deal.association)
        names = [item.text for item in text.of(0x55)]
        if not names:
            if text.faults:
                continue
            if wanted:
                yield failed(id, f"no Implementation Version Name; {wanted} is promised", at)
            else:
                yield passed(id, "no Implementation Version Name", at)
        elif names[0].rstrip(" ") == wanted and wanted:
            yield passed(id, f"the Implementation Version Name is {names[0]}", at)
        elif not wanted and names[0].strip() == "-":
            yield erratum(id, 'the Implementation Version Name is "-", as printed', at)
        else:
            yield failed(id, f"the Implementation Version Name is '{names[0]}', not {wanted or 'absent'}", at)


def same_class_uid(case: Case, id: str) -> Iterator[Finding]:
    """All associations of the SUT have the same Implementation Class UID."""
    said: dict[str, Evidence] = {}
    last = None
    count = 0
    for deal, pdu, text in spoken(case, again=True):
        for item in text.of(0x52)[:1]:
            count += 1
            last = case.at(pdu, association=deal.association)
            said.setdefault(uid_of(item.data), last)
    if len(said) > 1:
        yield failed(
            id, f"{len(said)} different Implementation Class UIDs: {', '.join(said)}", *said.values()
        )
    elif count > 1 and last is not None:
        yield passed(id, f"{count} associations with the same Implementation Class UID", last)


def maximum_length(case: Case, id: str, wanted: int) -> Iterator[Finding]:
    """Every request announces this maximum length."""
    for deal, pdu, text in spoken(case, both=False):
        at = case.at(pdu, association=deal.association)
        said = {int.from_bytes(item.data) for item in text.of(0x51) if len(item.data) == 4}
        if not said:
            if not text.faults:
                yield failed(id, f"no maximum length is announced; {wanted} is promised", at)
        elif said == {wanted}:
            yield passed(id, f"a maximum length of {wanted} is announced", at)
        else:
            shown = ", ".join(str(n) for n in sorted(said - {wanted}))
            yield failed(id, f"a maximum length of {shown} is announced, not {wanted}", at)


def one_service(case: Case, id: str) -> Iterator[Finding]:
    """No association that the SUT opened carries requests of two services."""
    for association in case.outgoing:
        found: dict[str, Message] = {}
        side = case.side(association)
        for message in association.messages:
            if message.sender == side and message.command.is_request and message.name != "C-CANCEL-RQ":
                sop_class = _class_of(message)
                if sop_class:
                    found.setdefault(service(sop_class), message)
        at = case.at(association)
        if len(found) > 1:
            reason = f"one association carries requests of {' and '.join(found)}"
            yield failed(id, reason, *(case.at(m) for m in found.values()))
        elif found:
            yield passed(id, f"an association for {next(iter(found))} alone", at)


def _class_of(message: Message) -> str:
    """The SOP class of a request: that of its context, unless the command names another one of the service."""
    abstract = message.context.abstract if message.context is not None else ""
    said = message.command.sop_class or ""
    return abstract if abstract and (services(said) is None or abstract in META) else said or abstract


def finished(association: Association) -> float | None:
    """When an association was over for both sides; None when the capture does not show it."""
    ends = {"released": "A-RELEASE-RP", "aborted": "A-ABORT", "rejected": "A-ASSOCIATE-RJ"}
    kind = ends.get(association.end)
    if kind is not None:
        return next((p.time for p in association.pdus if p.kind == kind), association.last_time)
    return association.last_time if association.end in ("closed", "reset") else None


def overlaps(associations: Iterable[Association]) -> Iterator[tuple[Association, Association]]:
    """Pairs of associations of which the second was requested before the first was over; each second once.

    Associations of which the request or the end was not seen take no part.
    """
    known = [a for a in associations if a.request is not None and finished(a) is not None]
    known.sort(key=lambda a: a.request.time if a.request else 0.0)
    open_: list[Association] = []
    for association in known:
        start = association.request.time if association.request else 0.0
        open_ = [a for a in open_ if (finished(a) or 0.0) > start]
        if open_:
            yield open_[-1], association
        open_.append(association)


def by_peer(case: Case) -> dict[tuple[str, int, str], list[Association]]:
    """The SUT's associations by external AE: address, port, called AE title."""
    found: dict[tuple[str, int, str], list[Association]] = defaultdict(list)
    for association in case.outgoing:
        found[association.acceptor.address, association.acceptor.port, association.called].append(association)
    return found
