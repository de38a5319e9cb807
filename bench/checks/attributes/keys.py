"""Keys of a query: is each key of the statement's table in the identifier that the SUT sent?

Rules of this file:

* A key is there when its element is, with a value or with zero length (PS3.4 C.2.2.2); a value may hold wildcards,
  ranges and lists, so its multiplicity is not judged.
* A sequence key has one item (PS3.4 C.2.2.2.6).  A sequence of zero length is the universal key of a code sequence,
  and then the keys inside it are not exercised; a sequence whose keys the statement matches on needs its item
  (ruling D2).
* What the statement says about keys being configurable counts only with a configuration that names those switched
  off (``worklist_keys_removed``); the table is the factory's default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from bench.checks.attributes import engine
from bench.checks.attributes.conditions import Row, condition
from bench.checks.attributes.readings import readings
from bench.checks.attributes.where import Occasion, Owner, owners, tag_number
from bench.checks.case import Case
from bench.checks.finding import Finding, failed, inconclusive, not_applicable, passed
from bench.checks.upperlayer.deal import lists_match
from bench.statements.model import Clause, Section
from bench.verdict import Verdict
from bench.witness.dataset import DataSet

QUERIES: Final = frozenset(("worklist-query", "study-query"))
#: Attributes of the worklist modules that a statement may leave to 'all others' (PS3.4 Table K.6-1), by module.
OTHERS: Final[Mapping[str, frozenset[str]]] = {
    module: frozenset(names.split())
    for module, names in (
        (
            "Requested Procedure",
            """ReferencedStudySequence RequestedProcedurePriority PatientTransportArrangements StudyDate StudyTime
            ReasonForTheRequestedProcedure RequestedProcedureComments ReportingPriority RequestedProcedureLocation
            ReasonForRequestedProcedureCodeSequence PlacerOrderNumberProcedure FillerOrderNumberProcedure
            NamesOfIntendedRecipientsOfResults IntendedRecipientsOfResultsIdentificationSequence""",
        ),
        (
            "Imaging Service Request",
            """ImagingServiceRequestComments RequestingService OrderEnteredBy OrderEntererLocation AdmissionID
            PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest OrderCallbackPhoneNumber
            IssueDateOfImagingServiceRequest IssueTimeOfImagingServiceRequest ReasonForTheImagingServiceRequest
            RequestingPhysicianIdentificationSequence ReferringPhysicianIdentificationSequence
            IssuerOfAccessionNumberSequence""",
        ),
        (
            "Patient Identification",
            """OtherPatientIDs OtherPatientIDsSequence OtherPatientNames PatientBirthName IssuerOfPatientID
            PatientMotherBirthName MedicalRecordLocator IssuerOfPatientIDQualifiersSequence""",
        ),
        (
            "Patient Demographic",
            """EthnicGroup Occupation PatientAddress CountryOfResidence RegionOfResidence MilitaryRank
            PatientTelephoneNumbers BranchOfService PatientReligiousPreference PatientBirthTime ResponsiblePerson
            PatientInsurancePlanCodeSequence PatientPrimaryLanguageCodeSequence PatientSpeciesDescription
            ConfidentialityConstraintOnPatientDataDescription""",
        ),
        (
            "Patient Medical",
            "AdditionalPatientHistory SmokingStatus ContrastAllergies PertinentDocumentsSequence",
        ),
    )
}
_STEPS: Final = "ScheduledProcedureStepSequence"


def judge(case: Case, section: Section, clause: Clause, occasion: Occasion) -> Iterator[Finding]:
    """Judge a key in one identifier."""
    rule = clause.attribute
    if occasion.dataset is None:
        if occasion.gap:
            yield inconclusive(clause.id, occasion.gap, case.at(occasion.message))
        elif rule is not None and not rule.path:
            yield failed(clause.id, "the query has no identifier", case.at(occasion.message))
        return
    root = occasion.dataset
    if rule is None:
        yield from _others(case, section, clause, occasion, root)
        return
    for owner in owners(root, rule.path, rule.path_keywords):
        row = Row(case, clause, rule, occasion, root, owner)
        if not owner.missing:
            yield _at_its_place(row, section)
        elif owner.element is None or owner.missing.endswith(_STEPS):
            yield engine.missing(row)
        # a code sequence of zero length: the keys of its item are not exercised


def _at_its_place(row: Row, section: Section) -> Finding:
    id, element = row.clause.id, row.item.get(row.tag)
    if engine.in_doubt(row, element):
        return inconclusive(id, f"{row.name}: {row.occasion.gap}", engine.evidence(row, element))
    if element is None:
        return _absent(row, section)
    at = engine.evidence(row, element)
    wrong = engine.wrong_vr(row, element)
    if wrong:
        return failed(id, wrong, at)
    if element.vr == "SQ":
        if len(element.items) > 1:
            return failed(id, f"{row.name} has {len(element.items)} items; a sequence key has one", at)
        if not element.items and _matched_inside(section, row.clause):
            return failed(id, f"{row.name} has no item; the keys that are matched on stand in it", at)
    elif row.rule.values and (element.empty or not set(row.item.texts_of(element)) & set(row.rule.values)):
        wanted = " or ".join(row.rule.values)
        return failed(id, f"{row.name} is {engine.shown(row, element)}; it must be {wanted}", at)
    if element.vr != "UI" and not lists_match(row.case, row.occasion.message):
        several = engine.wrong_vm(row, element, row.item.texts_of(element))
        if several:
            return failed(id, f"{several}; only UIDs are matched by lists", at)
    decided = readings(row.case.statement, row.clause)
    what = "universal (zero length)" if element.empty else engine.shown(row, element)
    return engine.right(row, element, decided, f"the key {row.name} is in the identifier: {what}")


def _absent(row: Row, section: Section) -> Finding:
    id, at = row.clause.id, engine.evidence(row)
    removed = row.case.config.get("worklist_keys_removed") if section.dataset == "worklist-query" else None
    if isinstance(removed, list | tuple) and (row.rule.dotted in removed or row.rule.keyword in removed):
        return not_applicable(id, f"the key {row.name} is switched off by configuration", at)
    if row.rule.keyword == "SpecificCharacterSet":
        if condition(row):
            return failed(id, f"{row.name} is absent, and keys are not in the default repertoire", at)
        return not_applicable(id, f"{row.name} is absent, and every key is in the default repertoire", at)
    for reading in readings(row.case.statement, row.clause):
        instead = row.item.get(tag_number(reading.instead)) if reading.instead else None
        if instead is not None:
            text = f"the key {instead.keyword} stands in place of {row.name}: {reading.why}"
            return Finding(id, Verdict.PASS_ERRATUM, text, (engine.evidence(row, instead),))
    if not _promised(row):
        return Finding(id, Verdict.NOT_EXERCISED, f"the optional key {row.name} is not used", (at,))
    return failed(id, f"the key {row.name} is not in the identifier{_elsewhere(row)}", at)


def _promised(row: Row) -> bool:
    """Whether the statement's table promises the key: matched on, or wanted back; type 3 with O is optional."""
    key = row.rule.key
    if key is None or row.rule.types.promised not in (None, "3"):
        return True
    return key.matching == "R" or key.returned in ("1", "1C", "2", "2C")


def _elsewhere(row: Row) -> str:
    """Say whether the key stands at another place: outside its sequence, or under the tag that was misprinted."""
    if row.rule.path and row.root.has(row.tag):
        return f", but at its top level, outside {row.rule.path_keywords[-1]}"
    printed = row.clause.printed.tag
    if printed is not None and row.item.has(tag_number(printed)):
        return f"; {printed}, the tag that the statement misprints, does not stand for it"
    return ""


def _matched_inside(section: Section, clause: Clause) -> bool:
    """Whether the statement matches on keys inside this sequence."""
    rule = clause.attribute
    if rule is None:
        return False
    path = (*rule.path, rule.tag)
    inside = (c.attribute for c in section.clauses if c.attribute is not None)
    return any(a.path == path and a.key is not None and a.key.matching == "R" for a in inside)


def _others(
    case: Case, section: Section, clause: Clause, occasion: Occasion, root: DataSet
) -> Iterator[Finding]:
    """'Every other attribute of this module': none is required; those that are there are allowed (MX-E-16)."""
    module = clause.title.removeprefix("Other attributes of ")
    listed = {
        (rule.path_keywords, rule.keyword)
        for one in case.statement.sections
        if one.dataset == section.dataset
        for c in one.clauses
        if (rule := c.attribute) is not None
    }
    if module == "Scheduled Procedure Step":
        found = [
            e for item in root.items(_STEPS) for e in item.elements if ((_STEPS,), e.keyword) not in listed
        ]
    else:
        names = OTHERS.get(module, frozenset())
        found = [e for e in root.elements if e.keyword in names and ((), e.keyword) not in listed]
    if found:
        names_found = ", ".join(e.keyword or e.tag_text for e in found[:5])
        text = f"further keys of the module are sent, which is allowed: {names_found}"
        yield passed(clause.id, text, case.at(occasion.message, found[0]))


def printer(case: Case, clause: Clause, occasion: Occasion) -> Iterator[Finding]:
    """Judge a row of the printer's attributes: its tag is in the attribute identifier list, or there is no list."""
    rule = clause.attribute
    if rule is None:
        return
    at = case.at(occasion.message, rule.tag)
    command = occasion.message.command
    asked = command.get("AttributeIdentifierList")
    if not command.has("AttributeIdentifierList"):
        yield passed(
            clause.id, f"no attribute identifier list: all attributes, {rule.keyword} too, are asked for", at
        )
    elif not isinstance(asked, tuple | int):
        yield inconclusive(clause.id, "the attribute identifier list cannot be read", at)
    elif tag_number(rule.tag) in (asked if isinstance(asked, tuple) else (asked,)):
        yield passed(clause.id, f"{rule.keyword} is in the attribute identifier list", at)
    elif engine.held_to(Row(case, clause, rule, occasion, DataSet(), Owner(DataSet()))) == "1":
        yield failed(clause.id, f"{rule.keyword} is not in the attribute identifier list", at)
    else:
        text = f"{rule.keyword}, which is optional, is not in the attribute identifier list"
        yield Finding(clause.id, Verdict.NOT_EXERCISED, text, (at,))
