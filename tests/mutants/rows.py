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
        if (
            base.statement == "mx1"
            and section.dataset in KEYS
            and rule.vrs[-1] == "LT"
            and kept_to(rule) == "3"
        ):
            continue  # an optional key in Implicit VR whose backslash is text: whatever is sent is right
        what, turns, change = defect(base, section, clause, rule, found)
        done.add(clause.id)
        edit = _edit(section, rule, change)
        yield Mutant(f"{clause.id} {rule.dotted} {what}", base, clause.id, turns, edit)


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
            listed | standard_value(section, rule) | _defaults(base, section, rule) | _eight_bits(base, rule),
            lambda made: made.put(tag, wrong, vr=rule.vrs[-1]),
        )
    absent = frozenset(id for id, other in same if kept_to(other) in ("1", "2"))
    if clause.id in absent and rule.keyword not in ("SpecificCharacterSet", "PixelData"):
        absent |= standard_absent(section, rule) | _defaults(base, section, rule)
        return "absent", absent, lambda made: made.drop(tag)
    if section.dataset in KEYS and base.statement == "mx1":  # Implicit VR: there is no VR on the wire
        return (
            "two values",
            frozenset(id for id, _ in same) | {"STD-DS-014"},
            lambda made: made.put(tag, TWO.get(rule.vrs[-1], b"A\\B "), vr=rule.vrs[-1]),
        )
    return (
        "other VR",
        frozenset(id for id, _ in same)
        | {"STD-DS-008", *_other(section, rule), *_defaults(base, section, rule)},
        lambda made: made.put(tag, b"1 ", vr="LO" if "LO" not in rule.vrs else "SH"),
    )


def _eight_bits(base: Base, rule: AttributeRule) -> frozenset[str]:
    """Pixels of 8 bits stand in OB; with more bits allocated they would stand in OW (PS3.5 8.2)."""
    eight = base.statement == "mx1" and rule.keyword == "BitsAllocated"
    return frozenset({"STD-DS-040"} if eight else ())


def leave_out(made: DataSet) -> None:
    """Text beyond the default repertoire without Specific Character Set: its bytes stay as they are."""
    for owner, element in list(made.walk()):
        if isinstance(element.value, str) and not element.value.isascii():
            value = element.value.encode("latin-1")
            owner.change(element.tag, value=value + b" " * (len(value) % 2))
    made.put("PatientName", "Müller^Jürgen ".encode("latin-1"))
    made.drop("SpecificCharacterSet")


def standard_absent(section: Section, rule: AttributeRule) -> frozenset[str]:
    """The rules of the standard for an element that is not there."""
    types = rule.types.standard or ""
    if section.dataset == "object":
        by_type = {"1": "STD-IOD-001", "2": "STD-IOD-002"}.get(types)
        by_type = (
            "STD-IOD-001" if rule.keyword in REPORT_TYPE_1 and REPORT in section.sop_classes else by_type
        )
        by_type = "STD-IOD-003" if rule.keyword in CONDITION_HOLDS else by_type
        return frozenset({by_type} if by_type else ()) | _root(section, rule)
    if section.dataset == "mpps-create":
        inside = rule.path_keywords[:1] == ("ScheduledStepAttributesSequence",)
        if rule.keyword in ("ScheduledStepAttributesSequence", "StudyInstanceUID"):
            return frozenset({"STD-SVC-106"})
        if rule.keyword.startswith("ReferencedSOP"):
            return frozenset({"STD-SVC-110"})
        if inside:
            return frozenset({"STD-SVC-109"})
        if rule.path:
            return frozenset({"STD-SVC-115"} if types == "1" else ())
        return {"1": frozenset({"STD-SVC-107"}), "2": frozenset({"STD-SVC-108"})}.get(types, frozenset())
    if section.dataset == "mpps-set":
        if rule.keyword in ("CodeValue", "CodingSchemeDesignator"):
            agree = {"STD-X-036"} if rule.path_keywords == ("PerformedProtocolCodeSequence",) else set()
            return frozenset({"STD-SVC-115", *agree})
        if rule.path_keywords == ("PerformedSeriesSequence",):
            type_1 = rule.keyword in ("ProtocolName", "SeriesInstanceUID")
            agree = {"STD-X-034"} if rule.keyword in TELLS_IMAGES else set()
            return frozenset({"STD-SVC-113" if type_1 else "STD-SVC-114", *agree})
        agree = {"STD-X-034"} if rule.keyword in TELLS_IMAGES else set()
        return frozenset({AT_THE_END[rule.keyword], *agree} if rule.keyword in AT_THE_END else ())
    return frozenset(ABSENT.get((section.dataset, rule.keyword), ()))


ABSENT: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    # rules of services, and rows that speak of the same element, when it is not there
    ("film-box", "ImageDisplayFormat"): ("STD-SVC-504",),
    ("film-box", "ReferencedFilmSessionSequence"): ("STD-SVC-503", "VX-PRN-004"),
    ("image-box", "ImageBoxPosition"): ("STD-SVC-506",),
    ("image-box", "BasicGrayscaleImageSequence"): ("STD-SVC-507",),
    ("image-box", "Rows"): ("STD-SVC-507",),
    ("image-box", "Columns"): ("STD-SVC-507",),
    ("commitment-request", "TransactionUID"): ("STD-SVC-403",),
    ("commitment-request", "ReferencedSOPSequence"): ("STD-SVC-405",),
    ("commitment-request", "ReferencedSOPClassUID"): ("STD-SVC-406",),
    # an instance without its UID is one that commitment is not asked for
    ("commitment-request", "ReferencedSOPInstanceUID"): ("STD-SVC-406", "VX-SC-009", "STD-X-051"),
}
ROOT: Final = {
    # elements of the report's root (PS3.16 TID 10001 row 1): the tree's rules speak of them too
    "ValueType": ("STD-SR-001", "STD-SR-010"),
    "ConceptNameCodeSequence": ("STD-SR-010",),
    "CodeValue": ("STD-SR-001",),
    "CodingSchemeDesignator": ("STD-SR-001",),
    "ContentTemplateSequence": ("STD-SR-001",),
    "TemplateIdentifier": ("STD-SR-001",),
}
REPORT: Final = "1.2.840.10008.5.1.4.1.1.88.67"
REPORT_TYPE_1: Final = (
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "ConceptNameCodeSequence",
)
"""Type 1 in a dose report by modules that the statement's tables do not name (PS3.3 C.7.5.2, C.17.3 of the root)."""
CONDITION_HOLDS: Final = ("WindowCenter", "WindowWidth")
"""Type 1C elements whose condition holds in every image for presentation (PS3.3 C.8.11.3, C.11.2)."""
AT_THE_END: Final = {
    # PS3.4 Table F.7.2-1, final state
    "PerformedProcedureStepEndDate": "STD-SVC-111",
    "PerformedProcedureStepEndTime": "STD-SVC-111",
    "PerformedSeriesSequence": "STD-SVC-112",
}
TELLS_IMAGES: Final = ("PerformedSeriesSequence", "ReferencedImageSequence")
"""Without these the final N-SET does not name the images that were stored."""
WRONG_VALUE: Final[dict[str, tuple[str, ...]]] = {
    # what the standard says of an element whose value is none of its terms
    **dict.fromkeys(
        (
            "CompletionFlag",
            "VerificationFlag",
            "ContinuityOfContent",
            "BurnedInAnnotation",
            "LossyImageCompression",
            "ImageLaterality",
            "PixelIntensityRelationship",
            "PixelIntensityRelationshipSign",
            "PresentationLUTShape",
        ),
        ("STD-IOD-006",),
    ),
    "PatientSex": ("STD-IOD-006", "STD-X-020"),
    "Modality": ("STD-IOD-040",),
    "PresentationIntentType": ("STD-IOD-041",),
    "ImageType": ("STD-IOD-021",),
    "SamplesPerPixel": ("STD-IOD-014",),
    "PhotometricInterpretation": ("STD-IOD-026",),
    "BitsAllocated": ("STD-IOD-010", "STD-IOD-026"),
    "BitsStored": ("STD-IOD-012", "STD-IOD-026"),
    "HighBit": ("STD-IOD-012",),
    "PixelRepresentation": ("STD-IOD-006", "STD-IOD-026"),
    "SmallestImagePixelValue": ("STD-IOD-013",),
    "LargestImagePixelValue": ("STD-IOD-013",),
    "RescaleIntercept": ("STD-IOD-025",),
    "RescaleSlope": ("STD-IOD-025",),
    "RescaleType": ("STD-IOD-025",),
    "SOPClassUID": ("STD-DIMSE-022", "STD-DS-032"),
}
WRONG_ELSEWHERE: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("mpps-create", "PatientSex"): ("STD-X-010",),
    ("mpps-create", "Modality"): ("STD-X-038",),
    ("film-session", "PrintPriority"): ("STD-SVC-512",),
    ("film-box", "FilmOrientation"): ("STD-SVC-512",),
    ("image-box", "Polarity"): ("STD-SVC-512",),
    ("image-box", "SamplesPerPixel"): ("STD-SVC-508", "STD-IOD-014"),
    ("image-box", "PhotometricInterpretation"): ("STD-SVC-508",),
    ("image-box", "BitsAllocated"): ("STD-SVC-508", "STD-IOD-010"),
    ("image-box", "BitsStored"): ("STD-SVC-508", "STD-IOD-012"),
    ("image-box", "HighBit"): ("STD-SVC-508", "STD-IOD-012"),
    ("image-box", "PixelRepresentation"): ("STD-SVC-508",),
}
OTHER_VALUE: Final[dict[str, tuple[str, ...]]] = {
    # the defect "other VR" also gives the element another value, "1": what that breaks
    "PerformingPhysicianName": ("STD-X-036",),
    **dict.fromkeys(("ProtocolName", "SeriesDescription", "OperatorsName"), ("STD-X-036",)),
    **dict.fromkeys(
        (
            "PerformedProcedureStepStartDate",
            "PerformedProcedureStepStartTime",
            "PerformedProcedureStepID",
            "PerformedProcedureStepDescription",
        ),
        ("STD-X-032",),
    ),
    "ReferencedPerformedProcedureStepSequence": ("STD-IOD-042",),
    "ImageType": ("STD-IOD-021",),
    "LossyImageCompressionMethod": ("STD-IOD-020",),
    "PatientOrientation": ("STD-IOD-039",),
    "PixelData": ("STD-IOD-010",),
    "PixelSpacing": ("STD-IOD-022",),
    **dict.fromkeys(
        (
            "XRayTubeCurrent",
            "XRayTubeCurrentInuA",
            "ExposureTime",
            "ExposureTimeInuS",
            "Exposure",
            "ExposureInuAs",
        ),
        ("STD-IOD-034",),
    ),
    "ExposureIndex": ("STD-IOD-032",),
    "TargetExposureIndex": ("STD-IOD-032",),
    "DeviationIndex": ("STD-IOD-032",),
}


DEFAULTS: Final[dict[str, dict[tuple[str, str], str]]] = {
    # choices of the reference products that the same defect breaks (ruling A3)
    "vxvue": {
        ("object", "PhotometricInterpretation"): "VX-D-29",
        ("object", "BitsStored"): "VX-D-29",
        ("object", "PixelIntensityRelationship"): "VX-D-30",
        ("object", "PixelIntensityRelationshipSign"): "VX-D-30",
        ("object", "ImageLaterality"): "VX-D-31",
        ("object", "DetectorType"): "VX-D-31",
        ("worklist-query", "ScheduledProcedureStepStartDate"): "VX-D-13",
        ("worklist-query", "Modality"): "VX-D-13",
    },
    "mx1": {
        ("object", "ImageType"): "MX-D-13",
        ("worklist-query", "ScheduledProcedureStepStartDate"): "MX-D-10",
        ("worklist-query", "Modality"): "MX-D-10",
    },
}
NO_SET: Final = {"vxvue": ("VX-CS-001", "VX-CS-003"), "mx1": ("MX-CHR-001",)}
"""Rows about character sets that text without Specific Character Set breaks."""
TWO: Final = {"AS": b"045Y\\046Y ", "DS": b"1\\2 ", "DA": b"20260101\\20260102 "}
"""Two values where one is wanted, by VR."""


def _defaults(base: Base, section: Section, rule: AttributeRule) -> frozenset[str]:
    table = DEFAULTS[base.statement] if base.reference else {}
    default = table.get((section.dataset, rule.keyword))
    return frozenset({default} if default else ())


def _root(section: Section, rule: AttributeRule) -> frozenset[str]:
    if rule.keyword == "ContentSequence" and not rule.path and REPORT in section.sop_classes:
        return _whole_tree()
    of_root = rule.path_keywords in ((), ("ConceptNameCodeSequence",), ("ContentTemplateSequence",))
    return frozenset(ROOT.get(rule.keyword, ()) if REPORT in section.sop_classes and of_root else ())


def _whole_tree() -> frozenset[str]:
    """A report without its tree lacks every row that stands at its root."""
    rows_of_root = {
        clause.id
        for clause in load("vxvue").clauses
        if (row := clause.content) is not None
        and (row.level == 0 or (row.template, row.level) == ("10001", 1))
    }
    return frozenset(rows_of_root | {"STD-SR-002"})


def _other(section: Section, rule: AttributeRule) -> tuple[str, ...]:
    if section.dataset == "image-box" and rule.keyword == "PixelData":
        return ("STD-SVC-508", "STD-IOD-010", "STD-IOD-011")
    if REPORT in section.sop_classes:  # agreement of series is about images
        return ()
    return OTHER_VALUE.get(rule.keyword, ())


def standard_value(section: Section, rule: AttributeRule) -> frozenset[str]:
    """The rules of the standard for a value that is none of the terms; rows of a service that speak of it too."""
    if section.dataset == "object":
        return frozenset(WRONG_VALUE.get(rule.keyword, ())) | _root(section, rule)
    if rule.keyword == "PerformedProcedureStepStatus":
        if section.dataset == "mpps-create":
            return frozenset({"STD-SVC-101", "VX-MPPS-002"})
        return frozenset({"STD-SVC-104", "VX-MPPS-006"})
    return frozenset(WRONG_ELSEWHERE.get((section.dataset, rule.keyword), ()))


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
