"""Rules about the command sets that the SUT sends (PS3.7 6.3.1, 9.3, 10.3, E.1).

Rules of this file: one fault turns one rule.  A UID that stands in the wrong element (Affected for Requested) is one
fault, not a missing and a foreign element; where the command set cannot be read, nothing is said about its content.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from bench.checks.case import Case
from bench.checks.dimse.tables import FORMS, KEYWORDS, SINGLE, USES_REQUESTED, VRS
from bench.checks.finding import Finding, check, failed, passed
from bench.checks.merge import merged
from bench.checks.upperlayer.proposal import valid_uid
from bench.resultmodel import Evidence
from bench.witness.dataset import Element
from bench.witness.model import Message

_UNREADABLE: Final = ("command-undecodable", "command-long")
_SAID_ELSEWHERE: Final = frozenset({"order", "duplicate", "odd-length"})
_PAIRS: Final = ((0x0002, 0x0003), (0x1000, 0x1001))


@check("STD-DIMSE-001", "STD-DIMSE-002", "STD-DIMSE-003", "STD-DIMSE-004", "STD-DIMSE-005")
@merged
def form(case: Case) -> Iterator[Finding]:
    """Encoding, order, group length and command field."""
    for association in case.associations:
        for problem in association.problems:
            known = problem.side == case.side(association) and problem.code in _UNREADABLE
            if known and not {problem.pdu, (problem.pdu or 0) + 1} & _torn(case)[association.number]:
                yield failed("STD-DIMSE-001", problem.text, case.at(problem, association=association))
    for message in commands(case):
        at = case.at(message)
        fault = _encoding(message)
        if fault:
            yield failed("STD-DIMSE-001", f"{message.name}: {fault}", at)
            continue
        yield passed("STD-DIMSE-001", "the command set is Implicit VR Little Endian", at)
        yield from _order(message, at)
        yield _group_length(message, at)
        field = message.command.command_field
        if message.name in FORMS:
            yield passed("STD-DIMSE-005", f"the command is {message.name}", at)
        elif field is None:
            yield failed("STD-DIMSE-005", "the command set has no Command Field", _tag(case, message, 0x0100))
        else:
            reason = f"Command Field is {field:04X}H, which is no message of PS3.7"
            yield failed("STD-DIMSE-005", reason, _tag(case, message, 0x0100))


def commands(case: Case) -> Iterator[Message]:
    """Messages that the SUT sent, without those whose presentation data values are torn (STD-UL-041)."""
    torn = _torn(case)
    for message in case.sent():
        if not any(message.first_pdu <= pdu <= message.last_pdu + 1 for pdu in torn[message.association]):
            yield message


def _torn(case: Case) -> Mapping[int, frozenset[int]]:
    return case.once(_find_torn)


def _find_torn(case: Case) -> Mapping[int, frozenset[int]]:
    return {
        a.number: frozenset(p.pdu for p in a.problems if p.code == "pdv-length" and p.pdu is not None)
        for a in case.associations
    }


def readable(message: Message) -> bool:
    """Whether the command set can be judged by its content."""
    return message.name in FORMS and not _encoding(message)


def _encoding(message: Message) -> str:
    for fault in message.command.data.problems:
        if fault.code not in _SAID_ELSEWHERE:
            return fault.text
    for problem in message.command.problems:
        if problem.code in _UNREADABLE:
            return problem.text
    foreign = next((e for e in message.command.elements if e.tag >> 16), None)
    return f"{foreign.tag_text} is no command element" if foreign is not None else ""


def _order(message: Message, at: Evidence) -> Iterator[Finding]:
    tags = [e.tag for e in message.command.elements]
    twice = [tag for tag, count in Counter(tags).items() if count > 1]
    if twice:
        yield failed("STD-DIMSE-003", f"{message.name}: {_name(twice[0])} is there more than once", at)
    else:
        yield passed("STD-DIMSE-003", "every command element is there once", at)
    wrong = next((b for a, b in itertools.pairwise(tags) if b < a), None)
    if wrong is not None:
        yield failed("STD-DIMSE-002", f"{message.name}: {_name(wrong)} stands behind a higher tag", at)
    else:
        yield passed("STD-DIMSE-002", "command elements ascend", at)


def _group_length(message: Message, at: Evidence) -> Finding:
    elements = message.command.elements
    if not any(e.tag == 0 for e in elements):
        return failed("STD-DIMSE-004", f"{message.name} has no Command Group Length", at)
    if elements[0].tag:
        return failed("STD-DIMSE-004", f"{message.name}: Command Group Length is not the first element", at)
    first = elements[0]
    if first.value is None or len(first.value) != 4:
        return failed("STD-DIMSE-004", f"{message.name}: Command Group Length has no four bytes", at)
    said, true = int.from_bytes(first.value, "little"), len(message.command.raw) - 12
    text = f"{message.name}: Command Group Length says {said}, {true} bytes follow it"
    return passed("STD-DIMSE-004", text, at) if said == true else failed("STD-DIMSE-004", text, at)


@check("STD-DIMSE-006", "STD-DIMSE-007", "STD-DIMSE-010")
@merged
def elements(case: Case) -> Iterator[Finding]:
    """Required, foreign, and exchanged elements."""
    for message in commands(case):
        if not readable(message):
            continue
        at = case.at(message)
        there = {e.tag for e in message.command.elements}
        form = FORMS[message.name]
        swapped = _swapped(message.name, there)
        if message.command.is_request and message.name != "C-CANCEL-RQ":
            wrong = [taken for taken, _ in swapped]
            if wrong:
                words = "Requested" if message.name in USES_REQUESTED else "Affected"
                got = ", ".join(_name(tag) for tag in wrong)
                reason = f"{message.name} has {got}; it should name the {words} UID"
                yield failed("STD-DIMSE-010", reason, _tag(case, message, wrong[0]))
            else:
                yield passed("STD-DIMSE-010", f"{message.name} names its SOP class and instance rightly", at)
        taken = {tag for pair in swapped for tag in pair}
        missing = sorted(form.required - there - taken - {0x0000, 0x0100})
        empty = [e.tag for e in message.command.elements if e.tag in form.required and not _has_value(e)]
        for tag in missing:
            yield failed("STD-DIMSE-006", f"{message.name} has no {_name(tag)}", _tag(case, message, tag))
        for tag in empty:
            yield failed(
                "STD-DIMSE-006", f"{message.name}: {_name(tag)} has no value", _tag(case, message, tag)
            )
        if not missing and not empty:
            yield passed("STD-DIMSE-006", f"{message.name} has its elements", at)
        foreign = sorted(there - form.allowed - taken)
        for tag in foreign:
            reason = f"{message.name} has {_name(tag)}, which is none of its elements"
            yield failed("STD-DIMSE-007", reason, _tag(case, message, tag))
        if not foreign:
            yield passed("STD-DIMSE-007", f"{message.name} has no foreign elements", at)


def _swapped(name: str, there: set[int]) -> list[tuple[int, int]]:
    """Affected elements where Requested ones belong, or the reverse: (there, wanted)."""
    form = FORMS[name]
    found = []
    for affected, requested in _PAIRS:
        for wrong, right in ((affected, requested), (requested, affected)):
            if wrong in there and wrong not in form.allowed and right in form.allowed and right not in there:
                found.append((wrong, right))
    return found


@check("STD-DIMSE-008", "STD-DIMSE-009", "STD-DIMSE-011")
@merged
def values(case: Case) -> Iterator[Finding]:
    """Lengths and forms of values, UIDs, priority."""
    for message in commands(case):
        if not readable(message):
            continue
        at = case.at(message)
        clean = {"STD-DIMSE-008": True, "STD-DIMSE-009": True}
        for element in message.command.elements:
            if element.tag not in VRS or not element.tag:
                continue
            ui = VRS[element.tag] == "UI"
            id = "STD-DIMSE-009" if ui else "STD-DIMSE-008"
            fault = _uid_fault(element) if ui else _value_fault(element)
            if fault:
                clean[id] = False
                reason = f"{message.name}: {_name(element.tag)} {fault}"
                yield failed(id, reason, _tag(case, message, element.tag))
        for id, ok in clean.items():
            if ok:
                yield passed(id, f"{message.name}: values are well formed", at)
        priority = message.command.get("Priority")
        if isinstance(priority, int) and 0x0700 in FORMS[message.name].allowed:
            text = f"Priority is {priority:04X}H"
            yield (
                passed("STD-DIMSE-011", text, at)
                if priority in (0, 1, 2)
                else failed("STD-DIMSE-011", text, _tag(case, message, 0x0700))
            )


def _value_fault(element: Element) -> str:
    vr, value = VRS[element.tag], element.value
    if value is None:
        return ""
    size = len(value)
    if size % 2:
        return f"has the odd length {size}"
    if not size:
        return ""  # a value that must be there: STD-DIMSE-006
    width = {"US": 2, "AT": 4}.get(vr)
    if width is not None and size % width:
        return f"has {size} bytes, {vr} has {width}"
    if width is not None and size != width and element.tag in SINGLE:
        return f"has {size // width} values"
    longest = {"AE": 16, "LO": 64}.get(vr)
    if longest is not None and len(value.rstrip(b" ")) > longest:
        return f"has {len(value.rstrip(b' '))} characters, {vr} has at most {longest}"
    if vr == "AE" and any(byte < 0x20 or byte > 0x7E for byte in value):
        return f"holds other bytes than characters and spaces: {value!r}"
    return ""


def _uid_fault(element: Element) -> str:
    value = element.value or b""
    if not value:
        return ""
    if len(value) % 2:
        return f"has the odd length {len(value)}: a UID is padded by NUL"
    bare = value[:-1] if value.endswith(b"\0") else value
    shown = bare.decode("ascii", "backslashreplace")
    if bare != value and len(bare) % 2 == 0:
        return f"is padded although it is even: {shown}"
    if value.endswith(b" "):
        return f"is padded by a space: '{shown}'"
    return "" if valid_uid(shown) else f"'{shown[:80]}' is no valid UID"


def _has_value(element: Element) -> bool:
    return element.length != 0 and bool(
        (element.value or b"\1").strip(b"\0 ") or VRS.get(element.tag) != "UI"
    )


def _name(tag: int) -> str:
    return f"{KEYWORDS.get(tag, 'element')} (0000,{tag & 0xFFFF:04X})"


def _tag(case: Case, message: Message, tag: int) -> Evidence:
    return case.at(message, f"(0000,{tag & 0xFFFF:04X})")
