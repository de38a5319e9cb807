"""A dose report with one thing wrong: the row of the statement and the rule of the standard that name it turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from bench.checks.finding import Check, Finding
from bench.checks.iod import presence, terms
from bench.checks.sr import clauses, numbers, structure, templates
from bench.verdict import Verdict
from tests.unit.judged_objects import code, coded, dcm, dose_report, event, measured, node
from tests.unit.judged_scene import Scene, failures

MODULES = (clauses, numbers, structure, templates, presence, terms)


def judge(report: Dataset, scene: Scene | None = None) -> list[Finding]:
    """Findings on a report."""
    scene = scene or Scene()
    scene.store(report)
    case = scene.case()
    checks = [value for module in MODULES for value in vars(module).values() if isinstance(value, Check)]
    return [finding for each in checks for finding in each(case)]


def items(dataset: Dataset) -> Iterator[tuple[Dataset, Dataset]]:
    """Every content item below a data set, with its parent."""
    for item in dataset.get("ContentSequence", []):
        yield dataset, item
        yield from items(item)


def find(report: Dataset, concept: str, parent: str = "") -> tuple[Dataset, Dataset]:
    """The first item with a concept (below a parent with another one), and its parent."""
    for above, item in items(report):
        if item.ConceptNameCodeSequence[0].CodeValue == concept and (
            not parent or above.ConceptNameCodeSequence[0].CodeValue == parent
        ):
            return above, item
    raise LookupError(concept)


def drop(concept: str, parent: str = "") -> Callable[[Dataset], None]:
    """Take an item away."""

    def act(report: Dataset) -> None:
        above, item = find(report, concept, parent)
        above.ContentSequence = Sequence([one for one in above.ContentSequence if one is not item])

    return act


def again(concept: str) -> Callable[[Dataset], None]:
    """Put an item there twice."""

    def act(report: Dataset) -> None:
        above, item = find(report, concept)
        above.ContentSequence.append(item)

    return act


def value(concept: str, number: str) -> Callable[[Dataset], None]:
    """Change a measurement."""

    def act(report: Dataset) -> None:
        find(report, concept)[1].MeasuredValueSequence[0].NumericValue = number

    return act


def unit(concept: str, term: str) -> Callable[[Dataset], None]:
    """Change the unit of a measurement."""

    def act(report: Dataset) -> None:
        inside = find(report, concept)[1].MeasuredValueSequence[0]
        inside.MeasurementUnitsCodeSequence[0].CodeValue = term
        inside.MeasurementUnitsCodeSequence[0].CodeMeaning = term

    return act


def answer(concept: str, term: Dataset) -> Callable[[Dataset], None]:
    """Change the value of a CODE."""

    def act(report: Dataset) -> None:
        find(report, concept)[1].ConceptCodeSequence = Sequence([term])

    return act


def relate(concept: str, relationship: str) -> Callable[[Dataset], None]:
    """Change a relationship."""

    def act(report: Dataset) -> None:
        find(report, concept)[1].RelationshipType = relationship

    return act


def retype(report: Dataset) -> None:
    """A TEXT where a CODE belongs."""
    item = find(report, "113854")[1]
    item.ValueType, item.TextValue = "TEXT", "automated"
    del item.ConceptCodeSequence


def move(report: Dataset) -> None:
    """The event's time in the accumulated dose."""
    above, item = find(report, "111526")
    above.ContentSequence = Sequence([one for one in above.ContentSequence if one is not item])
    find(report, "113702")[1].ContentSequence.append(item)


def mute(report: Dataset) -> None:
    """A NUM without a number."""
    del find(report, "113733")[1].MeasuredValueSequence[0].NumericValue


def meaning(report: Dataset) -> None:
    """A concept with the meaning of another one."""
    find(report, "113733")[1].ConceptNameCodeSequence[0].CodeMeaning = "X-Ray Tube Current"


def nameless(report: Dataset) -> None:
    """A code without its scheme."""
    find(report, "113721")[1].ConceptCodeSequence[0].CodingSchemeDesignator = ""


def other_template(report: Dataset) -> None:
    """Another template."""
    report.ContentTemplateSequence[0].TemplateIdentifier = "2000"


def evidence(report: Dataset) -> None:
    """No evidence."""
    del report.CurrentRequestedProcedureEvidenceSequence


def scope(report: Dataset) -> None:
    """The scope of another study."""
    find(report, "110180")[1].UID = "2.25.99"


Defect = tuple[set[str], Callable[[Dataset], object]]
DEFECTS: dict[str, Defect] = {
    "event uid missing": ({"VX-SR-T-018", "STD-SR-002"}, drop("113769")),
    "procedure reported missing": ({"VX-SR-T-001", "STD-SR-002"}, drop("121058")),
    "intent missing": ({"VX-SR-T-002", "STD-SR-002"}, drop("G-C0E8")),
    "plane missing": ({"VX-SR-T-017", "STD-SR-002"}, drop("113764", "113706")),
    "kV missing": ({"VX-SR-T-033", "STD-SR-003"}, drop("113733")),
    "current missing": ({"VX-SR-T-034"}, drop("113734")),
    "target region missing": ({"VX-SR-T-022"}, drop("123014")),
    "device name missing": ({"VX-SR-T-051"}, drop("121013")),
    "device uid missing": ({"VX-SR-T-050", "STD-SR-003"}, drop("121012")),
    "acquired image missing": ({"VX-SR-T-030"}, drop("113795")),
    "source of dose missing": ({"VX-SR-T-011"}, drop("113854")),
    "dose total missing": ({"VX-SR-T-046"}, drop("113725")),
    "event type twice": ({"VX-SR-T-020", "STD-SR-004"}, again("113721")),
    "kV in keV": ({"VX-SR-T-033", "STD-SR-008"}, unit("113733", "keV")),
    "exposure in mA.s": ({"VX-SR-T-036", "STD-SR-008"}, unit("113736", "mA.s")),
    "area product in dGy.cm2": ({"VX-SR-T-023", "STD-SR-008"}, unit("122130", "dGy.cm2")),
    "relationship": ({"VX-SR-T-013", "STD-SR-006"}, relate("113764", "CONTAINS")),
    "a text that contains": (
        {"STD-SR-013"},
        lambda r: find(r, "121013")[1].__setattr__(
            "ContentSequence",
            Sequence([coded("CONTAINS", code("2", "99X", "Too"), code("3", "99X", "Three"))]),
        ),
    ),
    "event type": ({"VX-SR-T-020"}, answer("113721", dcm("113612", "Stepping Acquisition"))),
    "yes and no": ({"VX-SR-T-006", "STD-SR-009"}, answer("113945", code("MAYBE", "99X", "Maybe"))),
    "view of no context group": ({"VX-SR-T-021"}, answer("111031", code("99", "99X", "Nowhere"))),
    "text for a code": ({"VX-SR-T-011", "STD-SR-005"}, retype),
    "in a wrong place": ({"VX-SR-T-019", "STD-SR-007"}, move),
    "no number": ({"VX-SR-T-033", "STD-SR-010"}, mute),
    "meaning of another code": ({"STD-SR-012"}, meaning),
    "code without scheme": ({"VX-SR-T-020", "STD-SR-011"}, nameless),
    "other template": ({"STD-SR-001"}, other_template),
    "no evidence": ({"STD-SR-016"}, evidence),
    "other study in the scope": ({"VX-SR-T-005", "STD-SR-022"}, scope),
    "total is no sum": ({"STD-SR-018"}, value("113722", "150")),
    "kilovolts in volts": ({"STD-SR-021"}, value("113733", "110000")),
    "deviation index": ({"STD-SR-023"}, value("113847", "2.0")),
    "verified by nobody": ({"STD-SR-015"}, lambda r: setattr(r, "VerificationFlag", "VERIFIED")),
    "compression thickness": (
        {"VX-SR-T-040"},
        lambda r: find(r, "113706")[1].ContentSequence.append(
            measured(dcm("111633", "Compression Thickness"), "40", "mm")
        ),
    ),
    "begun after the report": (
        {"STD-SR-024"},
        lambda r: setattr(find(r, "111526")[1], "DateTime", "20261121120000"),
    ),
    "source data not available": ({"STD-SR-020"}, answer("113943", code("R-00339", "SRT", "No"))),
    "reference to another class": (
        {"VX-SR-T-030", "STD-SR-016"},
        lambda r: setattr(
            find(r, "113795")[1].ReferencedSOPSequence[0],
            "ReferencedSOPClassUID",
            "1.2.840.10008.5.1.4.1.1.1",
        ),
    ),
    "performed procedure code sequence": ({"STD-IOD-001"}, lambda r: setattr(r, "ContentDate", "")),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_of_a_report_turns_its_row_and_its_rule(name: str) -> None:
    wanted, break_it = DEFECTS[name]
    report = dose_report()
    break_it(report)
    found = failures(judge(report))
    if name == "performed procedure code sequence":
        found.pop("STD-SR-024", None)
        assert failures(judge(report), Verdict.DEV_FROM_STD).keys() >= wanted
        return
    assert set(found) == wanted, found


def test_a_right_report_has_no_failure_and_every_row_is_judged() -> None:
    findings = judge(dose_report())
    assert failures(findings) == {}
    assert len({finding.id for finding in findings if finding.id.startswith("VX-SR-T-")}) == 54
    assert set(failures(findings, Verdict.DEV_FROM_STD)) == {"STD-SR-008", "STD-SR-014", "STD-SR-019"}


def test_the_standards_own_reading_passes_too() -> None:
    report = dose_report()
    for concept in ("122130", "113727", "113722"):
        unit(concept, "Gy.m2")(report)
        value(concept, "0.000015")(report)
    answer("113945", code("373066001", "SCT", "Yes"))(report)
    drop("113956")(report)
    drop("112011")(report)
    drop("113750")(report)
    report.CompletionFlag = "COMPLETE"
    findings = judge(report)
    assert failures(findings) == {}
    assert failures(findings, Verdict.DEV_FROM_STD) == {}
    assert {"VX-SR-T-023", "VX-SR-T-006"} <= set(failures(findings, Verdict.PASS_ERRATUM))
    assert {"VX-SR-T-026", "VX-SR-T-038"} <= set(failures(findings, Verdict.NA))


def test_two_events_with_one_uid() -> None:
    report = dose_report(event("2.25.1", "2.25.6"), event("2.25.2", "2.25.6"), images=("2.25.1", "2.25.2"))
    assert set(failures(judge(report))) == {"VX-SR-T-018", "STD-SR-017"}


def test_rows_of_another_statement_are_judged_by_its_data() -> None:
    scene = Scene()
    statement = scene.statement
    section = next(s for s in statement.sections if any(c.content for c in s.clauses))
    renamed = tuple(
        replace(clause, id=clause.id.replace("VX-", "AC-")) for clause in section.clauses if clause.content
    )
    scene.statement = replace(
        statement,
        prefix="AC",
        name="acme",
        sections=(replace(section, clauses=renamed),),
        by_id={c.id: c for c in renamed},
    )
    report = dose_report()
    drop("113738")(report)
    found = failures(judge(report, scene))
    assert "AC-SR-T-031" in found
    assert not any(id.startswith("VX-") for id in found)


def test_items_of_ones_own_in_a_template_are_no_fault() -> None:
    report = dose_report()
    report.ContentSequence.append(
        node("CONTAINS", "CONTAINER", code("1", "99X", "Mine"), measured(dcm("113733", "KVP"), "1", "kV"))
    )
    report.ContentSequence.append(coded("CONTAINS", code("2", "99X", "Too"), code("3", "99X", "Three")))
    found = failures(judge(report))
    assert not {"STD-SR-007", "STD-SR-010"} & set(found), found
