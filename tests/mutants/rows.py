"""One mutant for every attribute and key row that is exercised: made from the statement's data alone.

Rules of this file:

* The defect is made in the first message that carries the row, in the first item of every sequence around it.
* What turns is declared from the statement: rows printed for the same element, rows whose words compare with it, and
  the rule of the standard for such a defect (types of the standard, terms of the standard, value representations).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bench.checks.attributes.where import tag_number
from bench.resultmodel import ClauseResult
from bench.statements import load
from bench.statements.model import AttributeRule, Clause, Section
from simulators.wire.dimse import Command
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import DataSet
from tests.mutants.declared import defaults, eight_bits, other_value, standard_absent, standard_value
from tests.mutants.model import GREEN, Base, Mutant

REQUESTS: Final = {
    "object": ("C-STORE-RQ", ""),
    "worklist-query": ("C-FIND-RQ", "1.2.840.10008.5.1.4.31"),
    "study-query": ("C-FIND-RQ", "1.2.840.10008.5.1.4.1.2.2.1"),
    "mpps-create": ("N-CREATE-RQ", "1.2.840.10008.3.1.2.3.3"),
    "mpps-set": ("N-SET-RQ", "1.2.840.10008.3.1.2.3.3"),
    "commitment-request": ("N-ACTION-RQ", "1.2.840.10008.1.20.1"),
    "film-session": ("N-CREATE-RQ", "1.2.840.10008.5.1.1.1"),
    "film-box": ("N-CREATE-RQ", "1.2.840.10008.5.1.1.2"),
    "image-box": ("N-SET-RQ", "1.2.840.10008.5.1.1.4"),
}
KEYS: Final = ("worklist-query", "study-query")

NO_SET: Final = {"vxvue": ("VX-CS-001", "VX-CS-003"), "mx1": ("MX-CHR-001",)}
"""Rows about character sets that text without Specific Character Set breaks."""
TWO: Final = {"AS": b"045Y\\046Y ", "DS": b"1\\2 ", "DA": b"20260101\\20260102 "}
"""Two values where one is wanted, by VR."""


def rows(base: Base, found: dict[str, ClauseResult]) -> Iterator[tuple[Section, Clause, AttributeRule]]:
    """The rows that a base exercises and keeps."""
    for section in load(base.statement).sections:
        if section.dataset in REQUESTS:
            for clause in section.clauses:
                if clause.attribute is not None and found[clause.id].verdict in GREEN:
                    yield section, clause, clause.attribute


def mutants(base: Base, found: dict[str, ClauseResult], done: set[str]) -> Iterator[Mutant]:
    """One mutant for every row that has none yet (``done`` grows)."""
    for section, clause, rule in rows(base, found):
        if clause.id in done:
            continue
        if _anything_goes(base, section, rule):
            continue
        what, turns, change = defect(base, section, clause, rule, found)
        done.add(clause.id)
        edit = _edit(section, rule, change)
        yield Mutant(f"{clause.id} {rule.dotted} {what}", base, clause.id, turns, edit)


def _anything_goes(base: Base, section: Section, rule: AttributeRule) -> bool:
    """An optional key in Implicit VR whose backslash is text: no VR is sent, and any number of values is one."""
    return _implicit(base, section) and rule.vrs[-1] == "LT" and kept_to(rule) == "3"


def _implicit(base: Base, section: Section) -> bool:
    return base.statement == "mx1" and section.dataset in KEYS


def twins(
    base: Base, section: Section, rule: AttributeRule, found: dict[str, ClauseResult]
) -> list[tuple[str, AttributeRule]]:
    """Rows printed for the same element of the same data set."""
    mine = set(rule.sop_classes or section.sop_classes)
    return [
        (clause.id, clause.attribute)
        for other in load(base.statement).sections
        if other.dataset == section.dataset and (not mine or mine & set(other.sop_classes))
        for clause in other.clauses
        if clause.attribute is not None
        and (clause.attribute.path, clause.attribute.tag) == (rule.path, rule.tag)
        and found[clause.id].verdict in GREEN
    ]


def kept_to(rule: AttributeRule) -> str:
    """The type of a row by itself, as a person reads the table."""
    if rule.usage is not None:
        return {"M": "1", "MC": "1C", "U": "3"}[rule.usage[0]]
    if rule.key is not None and rule.types.product is None:
        return "2" if rule.key.matching == "R" or rule.key.returned != "3" else "3"
    return rule.types.promised or "3"


def defect(
    base: Base, section: Section, clause: Clause, rule: AttributeRule, found: dict[str, ClauseResult]
) -> tuple[str, frozenset[str], Any]:
    """What is done, what it turns, and a function that does it to the data set around the element."""
    same = twins(base, section, rule, found)
    tag = tag_number(rule.tag)
    if rule.keyword == "SpecificCharacterSet":
        turns = frozenset(id for id, _ in same) | {"STD-CS-003", *NO_SET[base.statement]}
        return "left out", turns, leave_out
    is_key = section.dataset in KEYS
    if rule.values and not is_key and rule.match not in ("form",):
        listed = frozenset(id for id, other in same if other.values)
        if rule.vrs[-1] in ("US", "SS"):
            wrong: Any = 77
        elif rule.vrs[-1] in ("IS", "DS"):
            wrong = "77"
        else:
            wrong = "WRONG"
        if rule.vm.startswith("2"):
            wrong = [wrong, wrong]
        return (
            "wrong value",
            listed | standard_value(section, rule) | defaults(base, section, rule) | eight_bits(base, rule),
            lambda made: made.put(tag, wrong, vr=rule.vrs[-1]),
        )
    absent = frozenset(id for id, other in same if kept_to(other) in ("1", "2"))
    if clause.id in absent and rule.keyword not in ("SpecificCharacterSet", "PixelData"):
        absent |= standard_absent(section, rule) | defaults(base, section, rule)
        return "absent", absent, lambda made: made.drop(tag)
    if _implicit(base, section):  # there is no VR on the wire
        return (
            "two values",
            frozenset(id for id, _ in same) | {"STD-DS-014"},
            lambda made: made.put(tag, TWO.get(rule.vrs[-1], b"A\\B "), vr=rule.vrs[-1]),
        )
    return (
        "other VR",
        frozenset(id for id, _ in same)
        | {"STD-DS-008", *other_value(section, rule), *defaults(base, section, rule)},
        lambda made: made.put(tag, b"1 ", vr="LO" if "LO" not in rule.vrs else "SH"),
    )


def leave_out(made: DataSet) -> None:
    """Text beyond the default repertoire without Specific Character Set: its bytes stay as they are."""
    for owner, element in list(made.walk()):
        if isinstance(element.value, str) and not element.value.isascii():
            value = element.value.encode("latin-1")
            owner.change(element.tag, value=value + b" " * (len(value) % 2))
    made.put("PatientName", "Müller^Jürgen ".encode("latin-1"))
    made.drop("SpecificCharacterSet")


def _edit(section: Section, rule: AttributeRule, change: Any) -> Any:
    name, sop_class = REQUESTS[section.dataset]
    wanted = {sop_class} if sop_class else set(rule.sop_classes or section.sop_classes)

    def install(lab: Lab) -> None:
        hit = [False]

        def edit(out: Outgoing) -> None:
            if hit[0] or out.name != name or not isinstance(out.command, Command):
                return
            if out.command.sop_class not in wanted or not isinstance(out.dataset, DataSet):
                return
            made = out.dataset
            for keyword in rule.path_keywords:
                if not made.get(keyword):
                    return
                made = made.item(keyword)
            if made.has(tag_number(rule.tag)):
                hit[0] = True
                change(made)

        lab.edit(edit)

    return install
