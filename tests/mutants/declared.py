"""What a defect of an attribute or key turns besides its own row: rules of the standard, defaults of the product.

Rules of this file: every entry follows from the text of a rule or row, never from what a check happens to say.
"""

from __future__ import annotations

from typing import Final

from bench.statements import load
from bench.statements.model import AttributeRule, Section
from tests.mutants.model import Base


def eight_bits(base: Base, rule: AttributeRule) -> frozenset[str]:
    """Pixels of 8 bits stand in OB; with more bits allocated they would stand in OW (PS3.5 8.2)."""
    eight = base.statement == "mx1" and rule.keyword == "BitsAllocated"
    return frozenset({"STD-DS-040"} if eight else ())


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
    "LossyImageCompressionRatio": ("STD-IOD-020",),
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


def defaults(base: Base, section: Section, rule: AttributeRule) -> frozenset[str]:
    """The default of a reference product that a wrong or missing value breaks."""
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


def other_value(section: Section, rule: AttributeRule) -> tuple[str, ...]:
    """The rules that the value "1" breaks, which the defect "other VR" gives an element."""
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
