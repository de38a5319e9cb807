"""MX1's association policies: PDU sizes, identity, one association per AE, services not claimed.

Rules of this file:

* The statement says the same for each of its three services; a clause is judged on the associations that propose its
  service.
* PDU sizes by ruling C9: announce 64 KB and send up to 128 KB is the reading; the reverse, if the product keeps to it
  everywhere, is PASS-ERRATUM; a mixture is FAIL.
* 'External AE' is address, port and called AE title (ruling C8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.checks import policies
from bench.checks.case import Case
from bench.checks.contexts import listed, uid_text
from bench.checks.finding import (
    Finding,
    Unseen,
    check,
    erratum,
    failed,
    inconclusive,
    not_applicable,
    passed,
)
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import Deal, deals

CLASS_UID: Final = "1.2.392.200036.9107.804"
VERSION: Final = "KM_SMGMX1_1.00"
RECEIVE, SEND, SEND_V110 = 65536, 131072, 20480
_V110: Final = re.compile(r"(?<![0-9.])1\.10(?![0-9])")
SERVICES: Final = {"VER": "verification", "STO": "storage", "MWL": "worklist"}
_SPEC: Final = {
    "VER": {"async": 6, "uid": 7, "name": 8},
    "STO": {"async": 6, "uid": 8, "name": 9},
    "MWL": {"async": 6, "uid": 7, "name": 8},
}
_USED: Final = {
    "C-ECHO-RQ": ("MX-GEN-001",),
    "C-STORE-RQ": ("MX-GEN-002", "MX-STO-010"),
    "C-FIND-RQ": ("MX-GEN-003", "MX-MWL-009"),
}
"""Clauses that are kept when a request is sent over an accepted association."""
_US: Final = frozenset(
    {"1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.7"}
)

UNSEEN: Final = {
    **{
        f"MX-{short}-004": Unseen(
            "configuration", "only for software V1.10, and the version is not known (--config)"
        )
        for short in SERVICES
    },
}


@check("MX-GEN-001", "MX-GEN-002", "MX-GEN-003", "MX-STO-010", "MX-MWL-009")
@merged
def services(case: Case) -> Iterator[Finding]:
    """The three services are used over accepted associations."""
    for message in case.requests():
        association = case.association(message)
        answer = association.answer
        at = case.at(message)
        if association.request is None or not (association.whole or association.accepted):
            continue
        for id in _USED.get(message.name, ()):
            if policies.established(association, message):
                if id != "MX-STO-010" or message.sop_class in _US:
                    yield passed(id, f"{message.name} over an accepted association", at)
            elif deals(case)[association.number].peer_broke:
                continue
            elif answer is None or message.first_time < answer.time:
                yield failed(id, f"{message.name} before the association was accepted", at)


@check("MX-GEN-006")
@merged
def services_not_claimed(case: Case) -> Iterator[Finding]:
    """No other abstract syntax, no extended negotiation, no role selection, no association accepted (ruling C10)."""
    known = listed(case.statement)
    for deal, pdu, text in policies.spoken(case, both=False):
        if text.faults:
            continue
        at = case.at(pdu, association=deal.association)
        faults = []
        foreign = [uid for uid in deal.proposed if uid and uid not in known]
        if foreign:
            faults.append(
                f"proposed, and not in the statement: {', '.join(map(uid_text, sorted(foreign)[:5]))}"
            )
        if text.roles:
            faults.append("role selection is proposed")
        if text.of(0x56) or text.of(0x57):
            faults.append("extended negotiation is proposed")
        if faults:
            yield failed("MX-GEN-006", "; ".join(faults), at)
        else:
            yield passed("MX-GEN-006", "only Verification, Storage and Worklist as SCU are proposed", at)
    for association in case.incoming:
        at = case.at(association.answer or association, association=association)
        if association.accepted:
            yield failed("MX-GEN-006", "an association is accepted although no SCP role is claimed", at)
        elif association.answer is not None:
            yield failed("MX-GEN-006", "a DICOM port is open: an association is answered by a reject", at)


@check("MX-VER-0*", "MX-STO-00*", "MX-MWL-00*")
@merged
def policies_of_each_service(case: Case) -> Iterator[Finding]:
    """Application context, window, identity and one operation at a time, service by service."""
    for short, name in SERVICES.items():
        which, row = policies.proposing(name), _SPEC[short]
        mine = _outgoing(which)
        yield from policies.application_context(case, f"MX-{short}-001", mine)
        yield from policies.no_window(case, f"MX-{short}-{row['async']:03d}", mine)
        yield from policies.class_uid(case, f"MX-{short}-{row['uid']:03d}", CLASS_UID, mine)
        yield from policies.version_name(case, f"MX-{short}-{row['name']:03d}", VERSION, mine)
    yield from policies.one_at_a_time(case, "MX-STO-007", _outgoing(policies.proposing("storage")))


def _outgoing(which: policies.Which) -> policies.Which:
    return lambda deal: deal.side == "requestor" and which(deal)


# One association to each AE


@check("MX-VER-005", "MX-STO-005", "MX-MWL-005")
@merged
def one_association_per_ae(case: Case) -> Iterator[Finding]:
    """A second association to an AE begins after the first has ended."""
    for (address, port, called), associations in policies.by_peer(case).items():
        late = {id(second): first for first, second in policies.overlaps(associations)}
        for association in associations[1:]:
            if association.request is None:
                continue
            at = case.at(association)
            first = late.get(id(association))
            where = f"{called} at {address}:{port}"
            for clause in _clauses(deals(case)[association.number], 5):
                if first is not None:
                    reason = f"a second association to {where} while the first is open"
                    yield failed(clause, reason, at, case.at(first))
                else:
                    yield passed(clause, f"one association after the other to {where}", at)


def _clauses(deal: Deal, number: int) -> Iterator[str]:
    for short, name in SERVICES.items():
        if policies.proposing(name)(deal):
            yield f"MX-{short}-{number:03d}"


# PDU sizes


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the product as a whole uses its two numbers (ruling C9)."""

    swapped: bool
    receive: int
    send: int


def _reading(case: Case, v110: bool) -> _Reading:
    send = SEND_V110 if v110 else SEND
    return _Reading(True, send, RECEIVE) if _swapped(case, send) else _Reading(False, RECEIVE, send)


def _swapped(case: Case, send: int) -> bool:
    """Whether the product announces its 'send' size everywhere and keeps to its 'receive' size when it sends."""
    announced = [d.ours.max_length for d in deals(case).values() if d.side == "requestor" and d.ours]
    longest = max(
        (m.largest_pdu for a in case.outgoing for m in a.messages if m.sender == "requestor"), default=0
    )
    return bool(announced) and all(n == send for n in announced) and longest <= RECEIVE


def version_1_10(case: Case) -> bool | None:
    """Whether the software is V1.10; None when nobody says (ruling B2)."""
    variants = case.config.get("variants")
    if variants is not None:
        return "V1.10" in variants
    said = case.config.get("software_version")
    texts = [str(said)] if said else []
    for stored in case.objects:
        if stored.dataset is not None:
            texts += stored.dataset.texts("SoftwareVersions")
    if not any(texts):
        return None
    return any(_V110.search(text) for text in texts)


@check(*(f"MX-{short}-{n:03d}" for short in SERVICES for n in (2, 3, 4)))
@merged
def pdu_sizes(case: Case) -> Iterator[Finding]:
    """What is announced, and the longest P-DATA-TF that is sent where the peer allows more."""
    version = version_1_10(case)
    reading = _reading(case, bool(version))
    for deal in deals(case).values():
        request = deal.association.request
        if deal.side != "requestor" or deal.request is None or request is None:
            continue
        at = case.at(request, association=deal.association)
        said = {int.from_bytes(i.data) for i in deal.request.of(0x51) if len(i.data) == 4}
        for id in _clauses(deal, 2):
            if not said:
                if not deal.request.faults:
                    yield failed(id, f"no maximum length is announced; {RECEIVE} is promised", at)
            elif version is None and said == {SEND_V110} and _swapped(case, SEND_V110):
                reason = f"a maximum length of {SEND_V110} is announced: right for V1.10 in the other reading"
                yield inconclusive(id, f"{reason}, and the version is not known (--config)", at)
            elif said != {reading.receive}:
                shown = ", ".join(str(n) for n in sorted(said - {reading.receive}))
                yield failed(id, f"a maximum length of {shown} is announced, not {reading.receive}", at)
            elif reading.swapped:
                reason = f"a maximum length of {reading.receive} is announced: the numbers read the other way round"
                yield erratum(id, reason, at)
            else:
                yield passed(id, f"a maximum length of {reading.receive} is announced", at)
        yield from _longest(case, deal, reading, version)


def _longest(case: Case, deal: Deal, reading: _Reading, version: bool | None) -> Iterator[Finding]:
    number = 4 if version else 3
    sent = [m for m in deal.association.messages if m.sender == "requestor" and m.pdus]
    for other in _clauses(deal, 3 if version else 4):
        if version is not None:
            at = case.at(deal.association)
            yield not_applicable(other, f"the software is {'V1.10' if version else 'another than V1.10'}", at)
    if not sent:
        return
    longest = max(sent, key=lambda m: m.largest_pdu)
    size, at = longest.largest_pdu, case.at(longest)
    free = deal.limit == 0 or (deal.limit or 0) > reading.send
    for id in _clauses(deal, number):
        if size > reading.send:
            yield failed(id, f"a P-DATA-TF of {size} bytes; at most {reading.send} are promised", at)
        elif not free:
            continue  # the peer's own limit is lower: nothing shows the product's
        elif reading.swapped:
            yield erratum(id, f"P-DATA-TF of at most {size} bytes: the numbers read the other way round", at)
        else:
            yield passed(id, f"P-DATA-TF of at most {size} bytes; {reading.send} are promised", at)
