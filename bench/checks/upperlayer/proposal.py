"""Rules about what both A-ASSOCIATE-RQ and -AC hold, as far as the SUT sent it (PS3.8 9.3.2, 9.3.3, PS3.7 D.3.3).

Rules of this file:

* The bytes are judged, not a decoded value: a decoder that is strict hides all faults but the first.
* When items do not fit together (STD-UL-016), nothing is said about what may be missing because of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, check, deviates, failed, passed, remark
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import IMPLICIT, Deal, deals
from bench.checks.upperlayer.items import KNOWN, NAMES, Item, Negotiation, uid_of
from bench.resultmodel import Evidence
from bench.statements.model import Statement
from bench.witness.model import Pdu

APPLICATION: Final = "1.2.840.10008.3.1.1.1"
_UID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))*")
_LOSSY: Final = frozenset(
    "1.2.840.10008.1.2.4." + last
    for last in (
        "50",
        "51",
        "81",
        "91",
        "93",
        "100",
        "101",
        "102",
        "103",
        "104",
        "105",
        "106",
        "107",
        "108",
        "203",
    )
) | {"1.2.840.10008.1.2.4.100.1", "1.2.840.10008.1.2.4.101.1"}


def valid_uid(uid: str) -> bool:
    """Tell whether a UID without padding has the form of PS3.5 9.1."""
    return len(uid) <= 64 and _UID.fullmatch(uid) is not None


def said(case: Case) -> Iterator[tuple[Deal, Pdu, Negotiation]]:
    """Every A-ASSOCIATE-RQ and -AC that the SUT sent, each that is the same to the byte once."""
    seen: set[bytes] = set()
    for deal in deals(case).values():
        pdu = deal.association.request if deal.side == "requestor" else deal.association.answer
        if pdu is not None and deal.ours is not None and pdu.raw not in seen:
            seen.add(pdu.raw)
            yield deal, pdu, deal.ours


@check("STD-UL-001", "STD-UL-002", "STD-UL-010", "STD-UL-016", "STD-UL-017", "STD-UL-023")
@merged
def frame_of_the_pdu(case: Case) -> Iterator[Finding]:
    """Application context, protocol version, items and their lengths, reserved fields."""
    for deal, pdu, text in said(case):
        at = case.at(pdu, association=deal.association)
        bit = text.protocol_version & 1
        yield _either("STD-UL-002", bit, f"the protocol version is {text.protocol_version:04X}H", at)
        yield from _lengths(case, deal, pdu, text)
        yield from _foreign(case, deal, pdu, text)
        yield from _reserved(case, deal, pdu, text)
        if text.faults:
            continue
        contexts = [uid_of(item.data) for item in text.of(0x10)]
        if len(contexts) != 1:
            yield failed(
                "STD-UL-001", f"the A-ASSOCIATE-{text.kind} has {len(contexts)} application contexts", at
            )
        else:
            ok = contexts[0] == APPLICATION
            yield _either("STD-UL-001", ok, f"the application context name is {contexts[0] or 'empty'}", at)
        users = len(text.of(0x50))
        yield _either("STD-UL-010", users == 1, f"the PDU has {users} user information items", at)


def _lengths(case: Case, deal: Deal, pdu: Pdu, text: Negotiation) -> Iterator[Finding]:
    behind = ("pdu-cut", "pdu-stopped", "pdu-type", "pdu-garbage", "pdu-length")
    if text.faults and any(
        p.side == deal.side and p.frame == pdu.frame and p.code in behind for p in deal.association.problems
    ):
        return  # bytes of the PDU stand behind its end: its own length is wrong (STD-UL-051)
    for fault in text.faults:
        yield failed(
            "STD-UL-016", f"A-ASSOCIATE-{text.kind}: {fault.text}", _place(case, deal, pdu, fault.offset)
        )
    if not text.faults:
        yield passed("STD-UL-016", "all items fit together", case.at(pdu, association=deal.association))


def _foreign(case: Case, deal: Deal, pdu: Pdu, text: Negotiation) -> Iterator[Finding]:
    other = {"RQ": {0x21, 0x59}, "AC": {0x20, 0x57, 0x58}}[text.kind]
    found = False
    for item in (*text.items, *text.user):
        if item.type in other:
            found = True
            at = _place(case, deal, pdu, item.offset)
            reason = f"an A-ASSOCIATE-{text.kind} with a {item.name} item ({item.type:02X}H)"
            yield failed("STD-UL-017", reason, at)
        elif item.type not in NAMES and not text.faults:
            at = _place(case, deal, pdu, item.offset)
            yield remark(
                "STD-UL-017", f"an item of the unknown type {item.type:02X}H, which peers ignore", at
            )
    if not found:
        yield passed("STD-UL-017", "no items of the other PDU", case.at(pdu, association=deal.association))


def _reserved(case: Case, deal: Deal, pdu: Pdu, text: Negotiation) -> Iterator[Finding]:
    if any(text.reserved):
        yield failed(
            "STD-UL-023",
            f"reserved bytes of the A-ASSOCIATE-{text.kind} are not zero: {text.reserved.hex(' ')}",
            case.at(pdu, association=deal.association),
        )
        return
    if text.faults:
        return
    inner = [i for c in text.contexts for i in (*c.abstract, *c.transfer)]
    for item in (*text.items, *text.user, *inner):
        if item.reserved and item.type in NAMES and item.type != 0x57:  # there it is a version
            reason = f"the reserved byte of a {item.name} item is {item.reserved:02X}H"
            yield failed("STD-UL-023", reason, _place(case, deal, pdu, item.offset))
            return
    for context in text.contexts:
        if any(context.reserved[:3]):
            reason = f"reserved bytes of presentation context {context.id} are not zero"
            yield failed("STD-UL-023", reason, _place(case, deal, pdu, context.offset))
            return
    odd = next((c for c in text.contexts if any(c.reserved[3:])), None)
    if odd is not None:  # DCMTK sends FFH where an answer has its result; every peer lives with it
        reason = f"the reserved byte in the place of a result is {odd.reserved[3]:02X}H in context {odd.id}"
        yield remark("STD-UL-023", reason, _place(case, deal, pdu, odd.offset))
    yield passed("STD-UL-023", "reserved fields are zero", case.at(pdu, association=deal.association))


@check("STD-UL-003")
@merged
def ae_titles(case: Case) -> Iterator[Finding]:
    """AE title fields of requests (ruling C3: leading spaces are a remark)."""
    for deal, pdu, text in said(case):
        if text.kind != "RQ" or len(text.calling) < 16:
            continue
        at = case.at(pdu, association=deal.association)
        for name, field in (("called", text.called), ("calling", text.calling)):
            fault = ae_fault(field)
            if fault:
                yield failed("STD-UL-003", f"the {name} AE title {fault}", at)
            else:
                yield passed("STD-UL-003", f"the {name} AE title is '{field.decode('ascii')}'", at)
                if field.startswith(b" "):
                    yield remark(
                        "STD-UL-003", f"the {name} AE title begins with a space (not significant)", at
                    )


def ae_fault(field: bytes) -> str:
    """Say what is wrong with the 16 bytes of an AE title; empty when nothing is (PS3.8 9.3.2)."""
    if not field.strip(b" "):
        return "is 16 spaces, which means no name"
    if b"\0" in field:
        return f"holds NUL where only spaces may pad: {field!r}"
    if any(byte < 0x20 or byte == 0x7F for byte in field):
        return f"holds control characters: {field!r}"
    if any(byte > 0x7E for byte in field):
        return f"holds characters outside of ISO 646: {field!r}"
    return f"holds a backslash: {field!r}" if b"\\" in field else ""


@check("STD-UL-004", "STD-UL-005", "STD-UL-006", "STD-UL-007", "STD-UL-008")
@merged
def proposed_contexts(case: Case) -> Iterator[Finding]:
    """Ids, abstract syntax and transfer syntaxes of what the SUT proposes."""
    for deal, pdu, text in said(case):
        if text.kind != "RQ":
            continue
        at = case.at(pdu, association=deal.association)
        if not text.contexts:
            if not text.faults:
                yield failed("STD-UL-006", "the A-ASSOCIATE-RQ proposes no presentation context", at)
            continue
        yield passed("STD-UL-006", f"{len(text.contexts)} presentation contexts are proposed", at)
        for id, count in Counter(c.id for c in text.contexts).items():
            where = _place(case, deal, pdu, next(c.offset for c in text.contexts if c.id == id))
            yield _either("STD-UL-004", id % 2, f"presentation context id {id}", where)
            yield _either(
                "STD-UL-005", count == 1, f"presentation context id {id} is proposed {count} times", where
            )
        if text.faults:
            continue
        for context in text.contexts:
            where = _place(case, deal, pdu, context.offset)
            one, some = len(context.abstract), len(context.transfer)
            yield _either("STD-UL-007", one == 1, f"context {context.id} has {one} abstract syntaxes", where)
            yield _either("STD-UL-008", some > 0, f"context {context.id} has {some} transfer syntaxes", where)


@check("STD-UL-009")
@merged
def default_transfer_syntax(case: Case) -> Iterator[Finding]:
    """Implicit VR Little Endian is offered for each abstract syntax; DEV-FROM-STD where the statement says no."""
    for deal, pdu, text in said(case):
        if text.kind != "RQ" or text.faults:
            continue
        offered: dict[str, set[str]] = {}
        for context in text.contexts:
            offered.setdefault(context.abstract_syntax, set()).update(context.transfer_syntaxes)
        for abstract, syntaxes in offered.items():
            at = case.at(pdu, association=deal.association)
            if not abstract or not syntaxes:
                continue
            if IMPLICIT in syntaxes:
                yield passed("STD-UL-009", f"{abstract} is offered with Implicit VR Little Endian", at)
            elif syntaxes <= _LOSSY:
                yield remark("STD-UL-009", f"{abstract} is offered with lossy transfer syntaxes only", at)
            elif declares_no_implicit(case.statement, abstract):
                reason = f"{abstract} is offered without Implicit VR Little Endian, as the statement declares"
                yield deviates("STD-UL-009", reason, at)
            else:
                reason = (
                    f"{abstract} is offered without Implicit VR Little Endian ({', '.join(sorted(syntaxes))})"
                )
                yield failed("STD-UL-009", reason, at)


def declares_no_implicit(statement: Statement, abstract: str) -> bool:
    """Tell whether the statement's contexts for an abstract syntax (or, unlisted, for all) leave Implicit VR out."""
    rows = [c.sop for c in statement.clauses if c.kind == "context" and c.sop is not None]
    mine = [row for row in rows if row.uid == abstract] or rows
    return bool(mine) and not any(IMPLICIT in row.transfer_syntaxes for row in mine)


@check("STD-UL-011", "STD-UL-012", "STD-UL-013", "STD-UL-018", "STD-UL-019", "STD-UL-021", "STD-UL-022")
@merged
def user_information(case: Case) -> Iterator[Finding]:
    """Sub-items of the user information: how often, and what they may hold."""
    for deal, pdu, text in said(case):
        at = case.at(pdu, association=deal.association)
        if text.faults or not text.of(0x50):
            continue
        lengths = text.of(0x51)
        ok = len(lengths) == 1 and len(lengths[0].data) == 4
        shown = f"the maximum length sub-item is there {len(lengths)} times"
        if len(lengths) == 1 and not ok:
            shown = f"the maximum length has {len(lengths[0].data)} bytes"
        yield _either("STD-UL-011", ok, shown, at)
        classes = len(text.of(0x52))
        yield _either(
            "STD-UL-012", classes == 1, f"the implementation class UID is there {classes} times", at
        )
        for finding in (_version(text), _window(text), _roles(text), _extended(text), _identity(text)):
            if finding is not None:
                id, fault = finding
                yield failed(id, fault, at) if fault else passed(id, "as the standard has it", at)


def _version(text: Negotiation) -> tuple[str, str] | None:
    names = text.of(0x55)
    if not names:
        return None
    if len(names) > 1:
        return "STD-UL-013", f"the implementation version name is given {len(names)} times"
    name = names[0].data
    if not 1 <= len(name) <= 16:
        return "STD-UL-013", f"the implementation version name has {len(name)} characters: {names[0].text}"
    if any(not 0x20 <= byte < 0x7F for byte in name):
        return "STD-UL-013", f"the implementation version name holds other bytes than ISO 646: {name!r}"
    return "STD-UL-013", ""


def _window(text: Negotiation) -> tuple[str, str] | None:
    windows = text.of(0x53)
    if not windows:
        return None
    if len(windows) > 1:
        return "STD-UL-018", f"the asynchronous operations window is given {len(windows)} times"
    if len(windows[0].data) != 4:
        return "STD-UL-018", f"the asynchronous operations window has {len(windows[0].data)} bytes, not 4"
    return "STD-UL-018", ""


def _roles(text: Negotiation) -> tuple[str, str] | None:
    roles = text.roles
    if not roles:
        return None
    for role in roles:
        if role.scu not in (0, 1) or role.scp not in (0, 1):
            return "STD-UL-019", f"role selection of {uid_of(role.sop_class)}: SCU {role.scu}, SCP {role.scp}"
    for sop_class, count in Counter(uid_of(r.sop_class) for r in roles).items():
        if count > 1:
            return "STD-UL-019", f"role selection of {sop_class} is given {count} times"
    return "STD-UL-019", ""


def _extended(text: Negotiation) -> tuple[str, str] | None:
    items = text.of(0x56)
    if not items:
        return None
    for sop_class, count in Counter(named(item) for item in items).items():
        if count > 1:
            return "STD-UL-021", f"extended negotiation of {sop_class} is given {count} times"
    return "STD-UL-021", ""


def _identity(text: Negotiation) -> tuple[str, str] | None:
    items = text.of(0x58)
    if not items or text.kind != "RQ":
        return None
    if len(items) > 1:
        return "STD-UL-022", f"user identity is given {len(items)} times"
    data = items[0].data
    if len(data) < 6 or data[0] not in (1, 2, 3, 4, 5) or data[1] not in (0, 1):
        return (
            "STD-UL-022",
            f"user identity begins with {data[:2].hex(' ')}: type 1 to 5, response request 0 or 1",
        )
    return "STD-UL-022", ""


def named(item: Item) -> str:
    """The SOP class UID at the begin of an extended negotiation sub-item."""
    return uid_of(item.data[2 : 2 + int.from_bytes(item.data[:2])])


@check("STD-UL-014", "STD-UL-015")
@merged
def uids(case: Case) -> Iterator[Finding]:
    """UIDs of items have the right form and no padding."""
    for deal, pdu, text in said(case):
        if text.faults:
            continue
        whole = [("STD-UL-014", True), ("STD-UL-015", True)]
        for item in uid_items(text):
            at = _place(case, deal, pdu, item.offset)
            bare = uid_of(item.data)
            if bare.encode("ascii", "replace") != item.data:
                whole[1] = ("STD-UL-015", False)
                yield failed("STD-UL-015", f"the {item.name} {bare} is padded: {item.data[-2:].hex(' ')}", at)
            if not valid_uid(bare):
                whole[0] = ("STD-UL-014", False)
                yield failed("STD-UL-014", f"the {item.name} '{bare[:80]}' is no valid UID", at)
        for id, clean in whole:
            if clean:
                yield passed(id, "the UIDs are well formed", case.at(pdu, association=deal.association))


def uid_items(text: Negotiation) -> Iterator[Item]:
    """Every item that is, or begins with, a UID; transfer syntaxes of refused contexts mean nothing."""
    for item in (*text.of(0x10), *text.of(0x52)):
        yield item
    for context in text.contexts:
        yield from context.abstract
        if text.kind == "RQ" or context.result == 0:
            yield from context.transfer
    for item in (*text.of(0x54), *text.of(0x56)):
        length = int.from_bytes(item.data[:2])
        yield Item(item.type, item.offset, item.reserved, item.data[2 : 2 + length])


def _either(id: str, ok: object, text: str, at: Evidence) -> Finding:
    return passed(id, text, at) if ok else failed(id, text, at)


def _place(case: Case, deal: Deal, pdu: Pdu, offset: int) -> Evidence:
    return replace(case.at(pdu, association=deal.association), offset=offset)


__all__ = ["KNOWN", "ae_fault", "declares_no_implicit", "named", "said", "uid_items", "valid_uid"]
