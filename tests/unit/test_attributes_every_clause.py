"""Every attribute and key row of both statements: a data set made from the statement's data keeps it, and one
defect in one element turns exactly the rows that are printed for that element."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bench.checks.attributes import attributes
from bench.checks.attributes.where import SOURCES, tag_number
from bench.checks.case import Case
from bench.statements import load
from bench.statements.model import AttributeRule, Clause, Section
from bench.verdict import Verdict, combine
from tests.lab.elements import DataSet
from tests.lab.single import Sent, case_of

GOOD = {Verdict.PASS, Verdict.PASS_ERRATUM, Verdict.DEV_FROM_STD}
REQUESTS = {
    "object": ("C-STORE-RQ", ""),
    "worklist-query": ("C-FIND-RQ", "1.2.840.10008.5.1.4.31"),
    "study-query": ("C-FIND-RQ", "1.2.840.10008.5.1.4.1.2.2.1"),
    "mpps-create": ("N-CREATE-RQ", "1.2.840.10008.3.1.2.3.3"),
    "mpps-set": ("N-SET-RQ", "1.2.840.10008.3.1.2.3.3"),
    "commitment-request": ("N-ACTION-RQ", "1.2.840.10008.1.20.1"),
    "film-session": ("N-CREATE-RQ", "1.2.840.10008.5.1.1.1"),
    "film-box": ("N-CREATE-RQ", "1.2.840.10008.5.1.1.2"),
    "image-box": ("N-SET-RQ", "1.2.840.10008.5.1.1.4"),
    "printer": ("N-GET-RQ", "1.2.840.10008.5.1.1.16"),
}
#: A value for elements that no list gives one for.
BY_VR: dict[str, Any] = {
    "AE": "AE1", "AS": "030Y", "CS": "ABC", "DA": "20260101", "DS": "1.5", "DT": "20260101101112", "IS": "1",
    "LO": "text", "LT": "text", "PN": "Doe^Jane", "SH": "text", "SS": 1, "ST": "text", "TM": "101112", "UI": "1.2.3",
    "US": 1,
}  # fmt: skip
#: Values that a list of values cannot tell.
SPECIAL: dict[str, Any] = {
    "ImageDisplayFormat": "STANDARD\\1,1",
    "ReferencedFilmSessionSequence": [
        DataSet(ReferencedSOPClassUID="1.2.840.10008.5.1.1.1", ReferencedSOPInstanceUID="1.2.3.4")
    ],
    "Rows": 2,
    "Columns": 2,
    "Laterality": "L",
    "ImageLaterality": "L",
    "ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1",
    "PixelData": bytes(8),
    "SpecificCharacterSet": "ISO_IR 192",
    "LossyImageCompressionMethod": "ISO_10918_1",
}
#: What the words of one row compare with another element.
COUPLED = {
    "StudyInstanceUID": {"ReferencedSOPInstanceUID"},
    "PerformedProcedureStepStatus": {"ProtocolName"},
}
#: VRs whose values are parted by a backslash.
SEVERAL = ("CS", "LO", "SH", "PN", "DA", "TM", "IS", "DS", "UI", "AE")
CONFIG = {"species": "dog", "trim": True, "oem_manufacturer": "Somebody"}


@dataclass(frozen=True)
class Group:
    """Sections whose rows stand in the same data set."""

    statement: str
    kind: str
    sop_class: str
    clauses: tuple[Clause, ...]

    def __str__(self) -> str:
        return f"{self.statement} {self.kind} {self.sop_class}".strip()

    @property
    def rows(self) -> list[tuple[Clause, AttributeRule]]:
        return [(c, c.attribute) for c in self.clauses if c.attribute is not None]


def groups() -> Iterator[Group]:
    for name in ("vxvue", "mx1"):
        found: dict[tuple[str, str], list[Clause]] = {}
        for section in load(name).sections:
            if section.dataset in SOURCES:
                for sop_class in section.sop_classes or ("",):
                    found.setdefault((section.dataset, sop_class), []).extend(_rows_for(section, sop_class))
        for (kind, sop_class), clauses in found.items():
            yield Group(name, kind, sop_class, tuple(clauses))


def _rows_for(section: Section, sop_class: str) -> list[Clause]:
    return [
        c
        for c in section.clauses
        if c.kind in ("attribute", "key")
        and (c.attribute is None or not c.attribute.sop_classes or sop_class in c.attribute.sop_classes)
    ]


GROUPS = tuple(groups())


# Data sets from the statement


def right(group: Group) -> DataSet:
    """A data set with every element of the group's rows, each with a value that all rows on it allow."""
    made = DataSet()
    for _, rule in sorted(group.rows, key=lambda row: len(row[1].path)):
        owner = made
        for keyword in rule.path_keywords:
            owner = owner.item(keyword)
        owner.put(tag_number(rule.tag), _value(group, rule), vr=rule.vrs[-1])
    if group.kind == "worklist-query":  # a row 'all other attributes' is exercised by one of them
        for keyword in (
            *(
                "ReasonForTheRequestedProcedure",
                "ImagingServiceRequestComments",
                "OtherPatientNames",
                "EthnicGroup",
            ),
            "SmokingStatus",
        ):
            made.put(keyword, None)
        made.item("ScheduledProcedureStepSequence").put("CommentsOnTheScheduledProcedureStep", None)
    return made


def _value(group: Group, rule: AttributeRule) -> Any:
    if rule.words == "always empty":
        return []
    if rule.keyword in SPECIAL:
        return SPECIAL[rule.keyword]
    if "SQ" in rule.vrs:
        return [DataSet()]
    lists = [r.values for r in twins(group, rule) if r.values]
    if rule.match == "form":
        return "Doe^Jane"
    if rule.keyword == "ProtocolName" and group.kind == "mpps-set":
        return "Unknown"
    if lists:
        text = next(v for v in lists[0] if all(v in other for other in lists))
        return _typed(rule, text)
    if rule.keyword == "ImageType":
        return ["DERIVED", "PRIMARY"]
    value = BY_VR[rule.vrs[-1]]
    return [value, value] if rule.vm.startswith("2") else value


def _typed(rule: AttributeRule, text: str) -> Any:
    if rule.vrs[-1] in ("US", "SS"):
        return int(text)
    return text.split("\\") if "\\" in text else text


def twins(group: Group, rule: AttributeRule) -> list[AttributeRule]:
    return [r for _, r in group.rows if (r.path, r.tag) == (rule.path, rule.tag)]


def twin_ids(group: Group, rule: AttributeRule) -> list[tuple[str, AttributeRule]]:
    return [(c.id, r) for c, r in group.rows if (r.path, r.tag) == (rule.path, rule.tag)]


# A case around a data set


def case_with(group: Group, made: DataSet) -> Case:
    name, sop_class = REQUESTS[group.kind]
    command = None
    if group.kind == "printer":
        command = {0x1005: tuple(tag_number(rule.tag) for _, rule in group.rows)}
    sent = Sent(name, sop_class or group.sop_class, made, command=command)
    return case_of(group.statement, sent, config=CONFIG)


def verdicts(group: Group, made: DataSet) -> dict[str, Verdict]:
    found: dict[str, list[Verdict]] = {}
    for finding in attributes(case_with(group, made)):
        found.setdefault(finding.id, []).append(finding.verdict)
        assert finding.evidence
        assert finding.reason
    return {id: combine(several) for id, several in found.items()}


def failing(group: Group, made: DataSet) -> set[str]:
    found = verdicts(group, made)
    assert Verdict.ERROR not in found.values()
    return {id for id, verdict in found.items() if verdict is Verdict.FAIL}


# Defects


@dataclass(frozen=True)
class Defect:
    what: str
    made: DataSet
    turns: frozenset[str]


def kept_to(rule: AttributeRule) -> str:
    """The type of a row by itself, as a person reads the table."""
    if rule.usage is not None:
        return {"M": "1", "MC": "1C", "U": "3"}[rule.usage[0]]
    if rule.key is not None and rule.types.product is None:
        return "2" if rule.key.matching == "R" or rule.key.returned != "3" else "3"
    return rule.types.promised or "3"


def defects(group: Group, clause: Clause, rule: AttributeRule) -> Iterator[Defect]:
    same = twin_ids(group, rule)
    is_key = group.kind in ("worklist-query", "study-query")
    all_turn = frozenset(id for id, _ in same)
    tag = tag_number(rule.tag)

    def changed(value: Any, *, vr: str | None = None) -> DataSet:
        made = right(group)
        owner(made, rule).put(tag, value, vr=vr or rule.vrs[-1])
        return made

    if rule.keyword != "SpecificCharacterSet":
        absent = frozenset(id for id, r in same if kept_to(r) in ("1", "2"))
        if clause.id in absent:
            made = right(group)
            owner(made, rule).drop(tag)
            yield Defect("absent", made, absent)
        empty = frozenset(id for id, r in same if kept_to(r) in ("1", "1C") and not is_key)
        if clause.id in empty:
            yield Defect("empty", changed([] if "SQ" in rule.vrs else None), empty)
    if rule.values and not is_key and rule.match != "form":
        listed = frozenset(id for id, r in same if r.values)
        wrong: Any = 77 if rule.vrs[-1] in ("US", "SS") else "77" if rule.vrs[-1] in ("IS", "DS") else "WRONG"
        if rule.vm.startswith("2"):
            wrong = [wrong, wrong]
        yield Defect("value", changed(wrong), listed)
    if rule.range is not None:
        above = rule.range[1] + 1
        yield Defect("range", changed(above), frozenset(id for id, r in same if r.range))
    if (
        rule.vm in ("1", "2")
        and rule.vrs[-1] in ("CS", "LO", "SH", "PN", "DA", "TM", "IS", "DS", "UI", "AE")
        and not is_key
    ):
        value = owner(right(group), rule).get(tag)
        value = value if isinstance(value, list) else [value]
        yield Defect("multiplicity", changed([*value, *value]), all_turn)
    if rule.words == "always empty":
        yield Defect("not empty", changed([DataSet()]), frozenset({clause.id}))
    if "one item" in rule.words and "SQ" in rule.vrs:
        value = owner(right(group), rule).get(tag)
        yield Defect("two items", changed([*value, *(item.copy() for item in value)]), frozenset({clause.id}))
    if rule.keyword == "SpecificCharacterSet":
        made = right(group).put("PatientName", "Müller^Jürgen".encode())
        made.drop("SpecificCharacterSet")
        yield Defect("text without its set", made, all_turn)
    yield Defect("VR", changed(b"1 ", vr="LO" if "LO" not in rule.vrs else "SH"), all_turn)


def owner(made: DataSet, rule: AttributeRule) -> DataSet:
    for keyword in rule.path_keywords:
        made = made.item(keyword)
    return made


def coupled(group: Group, rule: AttributeRule) -> set[str]:
    names = COUPLED.get(rule.keyword, set())
    return {c.id for c, r in group.rows if r.keyword in names}


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_a_data_set_made_from_the_statement_keeps_every_row(group: Group) -> None:
    found = verdicts(group, right(group))
    bad = {c.id: found.get(c.id) for c in group.clauses if found.get(c.id) not in GOOD}
    assert bad == {}


@pytest.mark.parametrize("group", [g for g in GROUPS if g.kind != "printer"], ids=str)
def test_one_defect_turns_the_rows_of_its_element_and_no_others(group: Group) -> None:
    wrong, turned = [], set()
    for clause, rule in group.rows:
        for defect in defects(group, clause, rule):
            failed = failing(group, defect.made)
            if clause.id in failed:
                turned.add(clause.id)
            missed = defect.turns - failed
            beside = failed - defect.turns - coupled(group, rule)
            if missed or beside:
                wrong.append(f"{clause.id} {rule.dotted} {defect.what}: missed {missed}, beside {beside}")
    assert wrong == []
    assert {c.id for c, _ in group.rows} - turned == set()
