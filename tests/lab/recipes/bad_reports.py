"""Defects of the dose report of a VXvue."""

from __future__ import annotations

from tests.lab.conversation import Lab
from tests.lab.elements import DataSet
from tests.lab.products.vxvue_objects import code
from tests.lab.recipes import bad
from tests.lab.recipes.defects import OTHER, SMALL, content, drop_content, one_report

EVENT = "113706"
TOTAL = "113702"


def _number(root: DataSet, *codes: str) -> DataSet:
    return content(root, *codes).item("MeasuredValueSequence")


@bad("vxvue", "VX-SR-T-020", "STD-SR-002")
def bad_no_event_type(lab: Lab) -> None:
    """Irradiation Event Type is missing."""
    one_report(lab, lambda ds: drop_content(ds, EVENT, "113721"))


@bad("vxvue", "VX-SR-T-001", "STD-SR-002", may="VX-SR-T-002")
def bad_no_procedure_reported(lab: Lab) -> None:
    """Procedure reported is missing."""
    one_report(lab, lambda ds: drop_content(ds, "121058"))


@bad("vxvue", "VX-SR-T-033", "STD-SR-008", may="STD-SR-021")
def bad_unit(lab: Lab) -> None:
    """KVP is in V."""
    one_report(
        lab,
        lambda ds: _number(ds, EVENT, "113733").put("MeasurementUnitsCodeSequence", [code("V", "UCUM", "V")]),
    )


@bad("vxvue", "VX-SR-T-013", "STD-SR-006")
def bad_relationship(lab: Lab) -> None:
    """Acquisition Plane hangs on the totals by CONTAINS."""
    one_report(lab, lambda ds: content(ds, TOTAL, "113764").put("RelationshipType", "CONTAINS"))


@bad("vxvue", "VX-SR-T-019", "STD-SR-005", may="STD-SR-010")
def bad_value_type(lab: Lab) -> None:
    """DateTime Started is a TEXT."""

    def change(ds: DataSet) -> None:
        item = content(ds, EVENT, "111526")
        item.put("TextValue", item.get("DateTime")).drop("DateTime").put("ValueType", "TEXT")

    one_report(lab, change)


@bad("vxvue", "STD-SR-018", may="VX-SR-T-042 VX-SR-T-045")
def bad_total(lab: Lab) -> None:
    """The dose area product total is not the sum of the events."""

    def change(ds: DataSet) -> None:
        for concept in ("113727", "113722"):
            _number(ds, TOTAL, concept).put("NumericValue", "99")

    one_report(lab, change, (SMALL, OTHER))


@bad("vxvue", "STD-SR-016")
def bad_no_evidence(lab: Lab) -> None:
    """Current Requested Procedure Evidence Sequence does not name the image."""
    one_report(
        lab,
        lambda ds: (
            ds.item("CurrentRequestedProcedureEvidenceSequence")
            .item("ReferencedSeriesSequence")
            .item("ReferencedSOPSequence")
            .put("ReferencedSOPInstanceUID", "2.25.31")
        ),
    )


@bad("vxvue", "STD-SR-017", "VX-SR-T-018", may="STD-X-073")
def bad_event_uid(lab: Lab) -> None:
    """Two events have the same Irradiation Event UID."""

    def change(ds: DataSet) -> None:
        for item in ds.get("ContentSequence"):
            if item.item("ConceptNameCodeSequence").get("CodeValue") == EVENT:
                content(item, "113769").put("UID", "2.25.12")

    one_report(lab, change, (SMALL, OTHER))


@bad("vxvue", "VX-SR-A-038", may="STD-SR-014")
def bad_completion(lab: Lab) -> None:
    """Completion Flag is COMPLETE."""
    one_report(lab, lambda ds: ds.put("CompletionFlag", "COMPLETE"))


@bad("vxvue", "VX-SR-A-023")
def bad_series_number(lab: Lab) -> None:
    """Series Number of the report is 1."""
    one_report(lab, lambda ds: ds.put("SeriesNumber", "1"))


@bad("vxvue", "STD-SR-023", may="STD-X-044 VX-SR-T-029")
def bad_report_index(lab: Lab) -> None:
    """Deviation Index of the report is not what the exposure indices say."""
    one_report(lab, lambda ds: _number(ds, EVENT, "113847").put("NumericValue", "2.5"))


@bad("vxvue", "STD-X-045", may="VX-SR-T-033")
def bad_report_kilovolts(lab: Lab) -> None:
    """KVP of the report is not that of the image."""
    one_report(lab, lambda ds: _number(ds, EVENT, "113733").put("NumericValue", "81"))


@bad("vxvue", "STD-X-042", "STD-SR-016", may="VX-SR-T-030")
def bad_report_image(lab: Lab) -> None:
    """The report's event refers to an image that was never stored."""
    one_report(
        lab,
        lambda ds: (
            content(ds, EVENT, "113795")
            .item("ReferencedSOPSequence")
            .put("ReferencedSOPInstanceUID", "2.25.8")
        ),
    )


@bad("vxvue", "STD-SR-012", may="VX-SR-T-018")
def bad_meaning(lab: Lab) -> None:
    """The code of Irradiation Event UID has another meaning."""
    one_report(
        lab,
        lambda ds: (
            content(ds, EVENT, "113769")
            .item("ConceptNameCodeSequence")
            .put("CodeMeaning", "Study Instance UID")
        ),
    )


@bad("vxvue", "VX-SR-T-050", may="STD-SR-002 STD-SR-003")
def bad_no_observer(lab: Lab) -> None:
    """Device Observer UID is missing."""
    one_report(lab, lambda ds: drop_content(ds, "121012"))
