"""Rulings, errata and conditions in the judgement of attribute and key rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.checks.attributes import attributes
from bench.checks.finding import Finding
from bench.statements import load
from bench.verdict import Verdict, combine
from tests.lab.elements import IMPLICIT_LE, JPEG_BASELINE, DataSet, Element, Fragments
from tests.lab.single import Sent, case_of

DX = "1.2.840.10008.5.1.4.1.1.1.1"
SR = "1.2.840.10008.5.1.4.1.1.88.67"
US = "1.2.840.10008.5.1.4.1.1.6.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
WORKLIST = "1.2.840.10008.5.1.4.31"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
MPPS = "1.2.840.10008.3.1.2.3.3"
FILM_BOX = "1.2.840.10008.5.1.1.2"
IMAGE_BOX = "1.2.840.10008.5.1.1.4"
PRINTER = "1.2.840.10008.5.1.1.16"


def findings(
    *sent: Sent, statement: str = "vxvue", config: dict[str, Any] | None = None
) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in attributes(case_of(statement, *sent, config=config)):
        found.setdefault(finding.id, []).append(finding)
    return found


def verdict(id: str, *sent: Sent, statement: str = "vxvue", config: dict[str, Any] | None = None) -> str:
    """The verdict on a row; NOT-EXERCISED without findings."""
    found = findings(*sent, statement=statement, config=config).get(id, [])
    return str(combine(f.verdict for f in found)) if found else "NOT-EXERCISED"


def dx(**values: Any) -> Sent:
    return Sent("C-STORE-RQ", DX, DataSet(**values))


# Values


@pytest.mark.parametrize(
    ("id", "values", "wanted"),
    [
        ("VX-STO-DX-076", {"ImageType": ["DERIVED", "PRIMARY", "", "X"]}, "PASS-ERRATUM"),  # E4
        ("VX-STO-DX-076", {"ImageType": ["ORIGINAL", "PRIMARY"]}, "FAIL"),
        ("VX-STO-DX-067", {"ManufacturerModelName": "VIVIX-S 1417N"}, "PASS"),  # E3
        ("VX-STO-DX-067", {"ManufacturerModelName": "AcmeDR"}, "FAIL"),
        ("VX-STO-DX-119", {"DetectorType": "SCINTILLATOR"}, "PASS-ERRATUM"),
        ("VX-STO-DX-119", {"DetectorType": "DIRECT"}, "PASS"),
        ("VX-STO-DX-119", {"DetectorType": "SCINTILATOR"}, "FAIL"),
        ("VX-STO-DX-041", {"Modality": "CR"}, "DEV-FROM-STD"),
        ("VX-STO-DX-059", {"Modality": "CR"}, "FAIL"),
        ("VX-STO-DX-112", {"PresentationLUTShape": "IDENTITY"}, "PASS-ERRATUM"),
        ("VX-STO-DX-112", {"PresentationLUTShape": "INVERSE"}, "DEV-FROM-STD"),
        ("VX-STO-DX-108", {"RescaleIntercept": "0.0"}, "PASS"),
        ("VX-STO-DX-108", {"RescaleIntercept": "-1024"}, "FAIL"),
        ("VX-STO-DX-107", {"PixelIntensityRelationshipSign": -1}, "PASS"),
        ("VX-STO-DX-005", {"PatientSex": None}, "PASS"),
        ("VX-STO-DX-005", {"PatientSex": "U"}, "FAIL"),
        ("VX-STO-DX-092", {"PixelAspectRatio": [1, 1]}, "PASS-ERRATUM"),
        ("VX-STO-DX-092", {"PixelAspectRatio": [2, 1]}, "FAIL"),
        ("VX-STO-DX-125", {"DetectorBinning": ["1.0", "1.0"]}, "PASS-ERRATUM"),
        ("VX-STO-DX-089", {"BitsStored": 14, "HighBit": 13}, "PASS"),
        ("VX-STO-DX-089", {"BitsStored": 14, "HighBit": 11}, "FAIL"),
        ("VX-STO-DX-103", {"BitsStored": 14, "HighBit": 11}, "PASS"),
        ("VX-STO-DX-085", {"Rows": 4096}, "PASS"),
        ("VX-STO-DX-085", {"Rows": 4097}, "FAIL"),
        ("VX-STO-DX-001", {"PatientName": "Doe^Jane"}, "PASS"),
        ("VX-STO-DX-001", {"PatientName": "REX"}, "PASS"),
        ("VX-STO-DX-001", {"PatientName": "Doe, Jane"}, "FAIL"),
        ("VX-STO-DX-058", {"RequestedProcedurePriority": "ROUTINE"}, "DEV-FROM-STD"),
        ("VX-STO-DX-028", {"StudyInstanceUID": b"\0\0"}, "FAIL"),
        ("VX-STO-DX-028", {"StudyInstanceUID": "1.02.3"}, "FAIL"),
        ("VX-STO-DX-039", {"SeriesDate": "20261399"}, "FAIL"),
        ("VX-STO-DX-031", {"AdmittingDiagnosesDescription": "x" * 70}, "PASS"),  # STD-DS
        ("VX-STO-DX-072", {"InstanceNumber": b"  "}, "FAIL"),
        ("VX-STO-DX-042", {"ProtocolName": "a\\b"}, "FAIL"),  # VM
        ("VX-STO-DX-079", {"DerivationDescription": "a\\b"}, "PASS"),  # ST is never split
    ],
)
def test_values(id: str, values: dict[str, Any], wanted: str) -> None:
    assert verdict(id, dx(**values)) == wanted


@pytest.mark.parametrize(
    ("smallest", "largest", "verdicts"),
    [
        (0, 16383, ("PASS", "PASS")),
        (7, 900, ("PASS", "PASS")),
        (0, 900, ("PASS", "PASS")),
        (1, 4095, ("FAIL", "FAIL")),
    ],
)
def test_extremes_are_true_or_the_bounds_of_the_depth(
    smallest: int, largest: int, verdicts: tuple[str, str]
) -> None:
    image = dx(
        Rows=1, Columns=2, BitsAllocated=16, BitsStored=14, HighBit=13, PixelRepresentation=0, SamplesPerPixel=1,
        SmallestImagePixelValue=smallest, LargestImagePixelValue=largest, PixelData=bytes((7, 0, 0x84, 3)),
    )  # fmt: skip
    assert verdict("VX-STO-DX-093", image) == verdicts[0]
    assert verdict("VX-STO-DX-094", image) == verdicts[1]


@pytest.mark.parametrize(
    ("pixels", "wanted"),
    [(bytes((7, 0, 0x84, 3)), "PASS"), (bytes(2), "FAIL"), (bytes((0, 0, 0, 0x40)), "FAIL")],
)
def test_pixel_data_is_as_long_as_the_image_and_within_bits_stored(pixels: bytes, wanted: str) -> None:
    image = dx(
        Rows=1, Columns=2, BitsAllocated=16, BitsStored=14, HighBit=13, PixelRepresentation=0, SamplesPerPixel=1,
    )  # fmt: skip
    assert isinstance(image.dataset, DataSet)
    image.dataset.put("PixelData", pixels, vr="OW")
    assert verdict("VX-STO-DX-091", image) == wanted


def test_another_manufacturer_needs_the_configuration() -> None:
    image = dx(Manufacturer="Acme")
    assert verdict("VX-STO-DX-062", image) == "INCONCLUSIVE"
    assert verdict("VX-STO-DX-062", image, config={"oem_manufacturer": "Acme"}) == "PASS"
    assert verdict("VX-STO-DX-062", image, config={"oem_manufacturer": "Other"}) == "FAIL"


def test_vr_un_and_implicit_vr_are_no_fault() -> None:
    image = DataSet(PatientID="7").put("PatientComments", b"text", vr="UN")
    assert verdict("VX-STO-DX-009", Sent("C-STORE-RQ", DX, image)) == "PASS"
    assert verdict("VX-STO-DX-002", Sent("C-STORE-RQ", DX, image, syntax=IMPLICIT_LE)) == "PASS"


# Presence, errata


@pytest.mark.parametrize(
    ("id", "sent", "wanted"),
    [
        ("VX-STO-DX-073", dx(PatientOrientation=None), "DEV-FROM-STD"),
        ("VX-STO-DX-098", dx(PatientID="7"), "DEV-FROM-STD"),
        ("VX-STO-DX-074", dx(PatientID="7"), "N/A"),
        ("VX-STO-DX-044", dx(PatientID="7"), "NOT-EXERCISED"),
        ("VX-STO-DX-044", dx(PerformingPhysicianName="A^B"), "PASS-ERRATUM"),
        ("VX-STO-DX-096", dx(AnatomicRegionSequence=[]), "PASS-ERRATUM"),
        ("VX-STO-DX-092", dx(ImagerPixelSpacing=["0.1", "0.1"]), "N/A"),
        ("VX-STO-DX-143", dx(PatientName="Doe^Jane"), "N/A"),
        ("VX-STO-DX-143", dx(PatientName="Doe^Jane", SpecificCharacterSet=None), "PASS"),
        ("VX-STO-DX-143", dx(PatientName=b"M\xfcller "), "FAIL"),
        ("VX-STO-DX-143", dx(PatientName=b"M\xfcller ", SpecificCharacterSet=None), "FAIL"),
        ("VX-STO-DX-010", dx(PatientID="7"), "N/A"),
        ("VX-SR-A-031", Sent("C-STORE-RQ", SR, DataSet(PatientID="7")), "DEV-FROM-STD"),
        ("VX-SR-A-023", Sent("C-STORE-RQ", SR, DataSet(PatientID="7")), "FAIL"),
        ("VX-SR-A-044", Sent("C-STORE-RQ", SR, DataSet(ConceptNameCodeSequence=[DataSet()])), "DEV-FROM-STD"),
        ("VX-SR-A-044", Sent("C-STORE-RQ", SR, DataSet(PatientID="7")), "N/A"),
        ("VX-MPPS-NC-016", Sent("N-CREATE-RQ", MPPS, DataSet(ProcedureCodeSequence=[])), "N/A"),  # D8
        ("VX-MPPS-NC-016", Sent("N-CREATE-RQ", MPPS, DataSet(ProcedureCodeSequence=[DataSet()])), "FAIL"),
        ("VX-MPPS-NC-038", Sent("N-CREATE-RQ", MPPS, DataSet(PerformedSeriesSequence=[])), "PASS"),
        ("VX-MPPS-NC-038", Sent("N-CREATE-RQ", MPPS, DataSet(PerformedSeriesSequence=[DataSet()])), "FAIL"),
        ("VX-MPPS-NC-005", Sent("N-CREATE-RQ", MPPS, DataSet(ScheduledStepAttributesSequence=[])), "FAIL"),
    ],
)  # fmt: skip
def test_presence(id: str, sent: Sent, wanted: str) -> None:
    assert verdict(id, sent) == wanted


def test_the_misprinted_tag_is_no_substitute() -> None:
    image = DataSet(PatientID="7").put((0x0018, 0x1050), "Doe^Jane", vr="PN")
    assert verdict("VX-STO-DX-044", Sent("C-STORE-RQ", DX, image)) == "FAIL"
    image = DataSet(PatientID="7", SpatialResolution="0.1")
    assert verdict("VX-STO-DX-044", Sent("C-STORE-RQ", DX, image)) == "NOT-EXERCISED"


def test_veterinary_rows_need_an_animal() -> None:
    image = dx(PatientSpeciesDescription="Canine", PatientBreedDescription="Beagle")
    assert verdict("VX-STO-DX-038", image) == "FAIL"
    assert verdict("VX-STO-DX-038", image, config={"species": "human"}) == "N/A"
    assert verdict("VX-STO-DX-038", dx(PatientSpeciesDescription="Homo sapiens")) == "N/A"
    assert verdict("VX-STO-DX-011", image) == "N/A"  # the description is there
    assert verdict("VX-STO-DX-010", dx(PatientID="7"), config={"species": "veterinary"}) == "FAIL"
    assert verdict("VX-STO-DX-017", image) == "FAIL"
    assert verdict("VX-STO-DX-018", image) == "N/A"  # nobody is named


# Procedure steps


def ended(state: str, **values: Any) -> Sent:
    made = DataSet(PerformedProcedureStepStatus=state, PerformedSeriesSequence=[], **values)
    return Sent("N-SET-RQ", MPPS, made, instance="1.2.3.5")


def created(study: str = "1.2.9") -> Sent:
    scheduled = DataSet(StudyInstanceUID=study)
    step = DataSet(ScheduledStepAttributesSequence=[scheduled], PerformedProcedureStepID="P1")
    return Sent("N-CREATE-RQ", MPPS, step, instance="1.2.3.5")


def test_a_final_state_names_its_series_but_for_one_without_images() -> None:
    assert verdict("VX-MPPS-NS-016", created(), ended("COMPLETED")) == "FAIL"
    assert verdict("VX-MPPS-NS-016", created(), ended("DISCONTINUED")) == "PASS-ERRATUM"  # D6
    assert verdict("VX-MPPS-NS-016", created(), dx(StudyInstanceUID="1.2.9"), ended("DISCONTINUED")) == "FAIL"
    assert verdict("VX-MPPS-NS-018", created(), ended("DISCONTINUED")) == "N/A"


def test_the_end_has_a_time_in_a_final_state() -> None:
    assert verdict("VX-MPPS-NS-006", ended("COMPLETED", PerformedProcedureStepEndDate=None)) == "FAIL"
    assert verdict("VX-MPPS-NS-006", ended("COMPLETED", PerformedProcedureStepEndDate="20260101")) == "PASS"


@pytest.mark.parametrize(("state", "protocol", "wanted"), [
    ("COMPLETED", "CHEST PA", "PASS"), ("DISCONTINUED", "Unknown", "PASS"), ("DISCONTINUED", "CHEST PA", "FAIL"),
])  # fmt: skip
def test_the_protocol_of_a_discontinued_step_is_unknown(state: str, protocol: str, wanted: str) -> None:
    series = [DataSet(ProtocolName=protocol)]
    made = DataSet(PerformedProcedureStepStatus=state, PerformedSeriesSequence=series)
    assert verdict("VX-MPPS-NS-018", Sent("N-SET-RQ", MPPS, made)) == wanted


def test_an_image_names_the_step_that_was_created_for_its_study() -> None:
    def image(step: str) -> Sent:
        item = DataSet(ReferencedSOPClassUID=MPPS, ReferencedSOPInstanceUID=step)
        return dx(
            StudyInstanceUID="1.2.9",
            PerformedProcedureStepID="P1",
            ReferencedPerformedProcedureStepSequence=[item],
        )

    assert verdict("VX-STO-DX-060", created(), image("1.2.3.5")) == "PASS"
    assert verdict("VX-STO-DX-060", created(), image("1.2.3.6")) == "FAIL"
    assert (
        verdict("VX-STO-DX-060", created("1.2.10"), image("1.2.3.6")) == "PASS"
    )  # made before the capture began
    assert verdict("VX-STO-DX-060", created(), dx(StudyInstanceUID="1.2.9")) == "PASS"  # E2
    assert verdict("VX-STO-DX-060", dx(StudyInstanceUID="1.2.9")) == "NOT-EXERCISED"


# Commitment, print


def test_commitment_names_each_instance_once() -> None:
    item = DataSet(ReferencedSOPClassUID=DX, ReferencedSOPInstanceUID="1.2.3")
    twice = Sent("N-ACTION-RQ", "1.2.840.10008.1.20.1", DataSet(ReferencedSOPSequence=[item, item]))
    assert verdict("VX-SC-NA-002", twice) == "FAIL"


@pytest.mark.parametrize(
    ("config", "wanted"),
    [({"trim": True}, "PASS"), ({"trim": False}, "FAIL"), ({}, "INCONCLUSIVE")],
)
def test_trim_only_when_configured(config: dict[str, Any], wanted: str) -> None:
    film = Sent("N-CREATE-RQ", FILM_BOX, DataSet(Trim="YES"))
    assert verdict("VX-PRN-FB-012", film, config=config) == wanted
    assert (
        verdict("VX-PRN-FB-012", Sent("N-CREATE-RQ", FILM_BOX, DataSet()), config=config) == "NOT-EXERCISED"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("STANDARD\\2,3", "PASS-ERRATUM"),
        ("STANDARD\\0,1", "FAIL"),
        ("STANDARD/1,1", "FAIL"),
        ("ROW\\1,2", "FAIL"),
    ],
)
def test_display_format_is_one_text(text: str, wanted: str) -> None:
    assert verdict("VX-PRN-FB-001", Sent("N-CREATE-RQ", FILM_BOX, DataSet(ImageDisplayFormat=text))) == wanted


def test_print_attributes_are_optional_but_for_the_mandatory() -> None:
    box = Sent(
        "N-SET-RQ", IMAGE_BOX, DataSet(BasicGrayscaleImageSequence=[DataSet(BitsStored=14, HighBit=13)])
    )
    assert verdict("VX-PRN-IB-009", box) == "DEV-FROM-STD"
    assert verdict("VX-PRN-IB-010", box) == "DEV-FROM-STD"
    assert verdict("VX-PRN-IB-001", box) == "FAIL"
    assert verdict("VX-PRN-IB-013", box) == "NOT-EXERCISED"
    assert verdict("VX-PRN-IB-007", box) == "N/A"


def test_printer_attributes_are_in_the_list_or_there_is_no_list() -> None:
    one = Sent("N-GET-RQ", PRINTER, None, command={0x1005: (0x21100010,)})
    assert verdict("VX-PRN-PR-001", one) == "PASS"
    assert verdict("VX-PRN-PR-002", one) == "NOT-EXERCISED"
    assert verdict("VX-PRN-PR-002", Sent("N-GET-RQ", PRINTER, None)) == "PASS"


# Queries


def query(**values: Any) -> Sent:
    return Sent("C-FIND-RQ", WORKLIST, DataSet(**values))


@pytest.mark.parametrize(
    ("id", "sent", "wanted"),
    [
        ("VX-MWL-K-012", query(ScheduledProcedureStepSequence=[DataSet(ScheduledProtocolCodeSequence=[])]), "PASS"),
        ("VX-MWL-K-001", query(ScheduledProcedureStepSequence=[]), "FAIL"),
        ("VX-MWL-K-002", query(ScheduledProcedureStepSequence=[]), "N/A"),
        ("VX-MWL-K-001", query(ScheduledProcedureStepSequence=[DataSet(), DataSet()]), "FAIL"),
        ("VX-MWL-K-007", query(ScheduledProcedureStepSequence=[DataSet()], Modality="DX"), "FAIL"),
        ("VX-MWL-K-003", query(PatientID=None), "FAIL"),
        ("VX-MWL-K-030", query(PatientID=None), "PASS"),
        ("VX-MWL-K-005", query(ScheduledProcedureStepSequence=[
            DataSet(ScheduledProcedureStepStartDate="20260101-20260102")]), "PASS"),
    ],
)  # fmt: skip
def test_worklist_keys(id: str, sent: Sent, wanted: str) -> None:
    assert verdict(id, sent) == wanted


def test_a_key_that_is_configured_away_is_not_missed() -> None:
    sent = query(PatientID=None)
    assert verdict("VX-MWL-K-035", sent) == "FAIL"
    assert verdict("VX-MWL-K-035", sent, config={"worklist_keys_removed": ["PatientState"]}) == "N/A"


def test_keys_of_the_ultrasound_system() -> None:
    step = DataSet(ScheduledProtocolCodeSequence=[])
    sent = query(ScheduledProcedureStepSequence=[step])
    assert verdict("MX-MWL-RK-10", sent, statement="mx1") == "NOT-EXERCISED"  # D2
    assert verdict("MX-MWL-RK-35", sent, statement="mx1") == "NOT-EXERCISED"  # O and 3
    assert verdict("MX-MWL-RK-33", sent, statement="mx1") == "FAIL"
    assert verdict("MX-MWL-MK-01", sent, statement="mx1") == "N/A"
    step.put("ScheduledProtocolCodeSequence", [DataSet()])
    assert verdict("MX-MWL-RK-10", sent, statement="mx1") == "FAIL"
    assert verdict("MX-MWL-RK-13", sent, statement="mx1") == "NOT-EXERCISED"
    assert verdict("MX-MWL-RK-32", sent, statement="mx1") == "NOT-EXERCISED"
    more = query(OtherPatientNames=None)
    assert verdict("MX-MWL-RK-32", more, statement="mx1") == "PASS"


@pytest.mark.parametrize(
    ("id", "values", "wanted"),
    [
        ("VX-QR-K-001", {"QueryRetrieveLevel": "STUDY"}, "PASS"),
        ("VX-QR-K-001", {"QueryRetrieveLevel": "SERIES"}, "FAIL"),
        ("VX-QR-K-001", {"QueryRetrieveLevel": None}, "FAIL"),
        ("VX-QR-K-010", {"NumberOfStudyRelatedInstances": None}, "PASS"),  # E8
        ("VX-QR-K-008", {"Modality": None}, "DEV-FROM-STD"),
        ("VX-QR-K-008", {"ModalitiesInStudy": None}, "PASS-ERRATUM"),
        ("VX-QR-K-008", {"StudyDate": None}, "FAIL"),
        ("VX-QR-K-002", {"StudyInstanceUID": None}, "PASS-ERRATUM"),
        ("VX-QR-K-005", {"StudyDate": "7"}, "FAIL"),
    ],
)
def test_study_query_keys(id: str, values: dict[str, Any], wanted: str) -> None:
    assert verdict(id, Sent("C-FIND-RQ", STUDY_ROOT, DataSet(**values))) == wanted


# Where worklist values go


def item(study: str = "1.2.9", step: str = "S1", physician: str = "Ray^X") -> DataSet:
    scheduled = DataSet(
        ScheduledProcedureStepStartDate="20260101", ScheduledProcedureStepStartTime="0930",
        ScheduledPerformingPhysicianName=physician, ScheduledProcedureStepID=step, Modality="CR",
        ScheduledProcedureStepDescription="Chest",
    )  # fmt: skip
    return DataSet(StudyInstanceUID=study, PatientID="7", ScheduledProcedureStepSequence=[scheduled])


def image(step: str = "S1", **values: Any) -> Sent:
    right: dict[str, Any] = {
        "StudyInstanceUID": "1.2.9", "PatientID": "7", "StudyDate": "20260101", "StudyTime": "093000",
        "PerformingPhysicianName": "Ray^X^^^", "StudyDescription": "Chest", "Modality": "DX",
        "RequestAttributesSequence": [DataSet(ScheduledProcedureStepID=step)],
    }  # fmt: skip
    return dx(**right | values)


MAPPED = {"005": "StudyDate", "006": "StudyTime", "008": "PerformingPhysicianName", "009": "StudyDescription"}


def mapping(number: str, *sent: Sent) -> set[str]:
    return {str(f.verdict) for f in findings(*sent)[f"VX-MWL-K-{number}"] if "worklist gave" in f.reason}


def asked(*items: DataSet) -> Sent:
    return Sent("C-FIND-RQ", WORKLIST, DataSet(), answers=items)


@pytest.mark.parametrize("number", MAPPED)
def test_worklist_values_go_into_the_images(number: str) -> None:
    assert mapping(number, asked(item()), image()) == {"PASS"}
    other = {"StudyDate": "20260102", "StudyTime": "111500"}.get(MAPPED[number], "Other")
    assert mapping(number, asked(item()), image(**{MAPPED[number]: other})) == {"FAIL"}
    assert mapping(number, asked(item()), image(**{MAPPED[number]: None})) == {"FAIL"}
    assert mapping(number, image(**{MAPPED[number]: other}), asked(item())) == set()  # asked afterwards


def test_the_study_of_the_worklist_item_is_kept() -> None:
    assert mapping("019", asked(item()), image()) == {"PASS"}
    assert mapping("019", asked(item()), image(StudyInstanceUID="1.2.99")) == {"FAIL"}
    assert mapping("019", asked(item()), image(step="S2", StudyInstanceUID="1.2.99")) == set()


def test_either_answer_is_right_when_the_worklist_changed() -> None:
    both = (asked(item()), asked(item(physician="New^Man")))
    assert mapping("008", *both, image()) == {"PASS"}
    assert mapping("008", *both, image(PerformingPhysicianName="New^Man")) == {"PASS"}
    assert mapping("008", *both, image(PerformingPhysicianName="Third^Man")) == {"FAIL"}
    assert mapping("008", asked(item(physician="")), image(PerformingPhysicianName="Third^Man")) == set()


def test_a_name_as_the_worklist_gave_it_is_not_the_products_fault() -> None:
    odd = {"PatientName": "Doe, Jane", "PatientBirthDate": "1970.01.01", "PatientSex": "U"}
    given, sent = item().update(**odd), image(**odd)
    assert verdict("VX-STO-DX-005", asked(given), sent) == "N/A"
    assert verdict("VX-STO-DX-005", sent) == "FAIL"
    assert verdict("VX-STO-DX-059", asked(given), image(Modality="CR")) == "FAIL"
    assert verdict("VX-STO-DX-001", asked(given), sent) == "PASS"
    assert verdict("VX-STO-DX-003", asked(given), sent) == "PASS"
    assert verdict("VX-STO-DX-003", sent) == "FAIL"


# Ultrasound


def us(sop_class: str = US, syntax: str = JPEG_BASELINE, **values: Any) -> Sent:
    made = DataSet(**values)
    made.put("PixelData", Fragments((bytes(4),)), vr="OB")
    return Sent("C-STORE-RQ", sop_class, made, syntax=syntax)


def test_lossy_images_say_so() -> None:
    for id in ("MX-STO-IMG-009", "MX-STO-IMG-010", "MX-STO-IMG-011"):
        assert verdict(id, us(), statement="mx1") == "FAIL"
    good = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5"}
    method = {"LossyImageCompressionMethod": "ISO_10918_1"}
    for id in ("MX-STO-IMG-009", "MX-STO-IMG-010", "MX-STO-IMG-011"):
        assert verdict(id, us(**good, **method), statement="mx1") == "PASS"
    assert verdict("MX-STO-IMG-009", us(LossyImageCompression="00"), statement="mx1") == "FAIL"
    assert verdict("MX-STO-IMG-011", us(LossyImageCompressionMethod="ISO_15444_1"), statement="mx1") == "FAIL"
    plain = Sent("C-STORE-RQ", US, DataSet(**good))  # decompressed
    assert verdict("MX-STO-IMG-011", plain, statement="mx1") == "FAIL"
    assert (
        verdict("MX-STO-IMG-011", Sent("C-STORE-RQ", US, DataSet(Rows=1)), statement="mx1") == "NOT-EXERCISED"
    )


def test_sixteen_bits_and_start_trim_are_for_their_kinds() -> None:
    assert verdict("MX-STO-IMG-016", us(BitsAllocated=16), statement="mx1") == "PASS"
    assert verdict("MX-STO-IMG-016", us(SC, BitsAllocated=16), statement="mx1") == "FAIL"
    clip = "1.2.840.10008.5.1.4.1.1.3.1"
    assert verdict("MX-STO-IMG-017", us(clip, StartTrim="0"), statement="mx1") == "FAIL"
    assert verdict("MX-STO-IMG-017", us(US, StartTrim="0"), statement="mx1") == "NOT-EXERCISED"
    assert verdict("MX-STO-IMG-005", us(ImageType=["DERIVED", "SECONDARY"]), statement="mx1") == "PASS"
    assert verdict("MX-STO-IMG-005", us(ImageType=["COPY", "PRIMARY"]), statement="mx1") == "FAIL"


# Gaps


def test_a_data_set_with_a_gap_is_inconclusive_and_one_cut_off_is_no_occasion() -> None:
    gap = Sent("C-STORE-RQ", DX, DataSet(PatientID="7"), complete=False, whole=False)
    cut = Sent("C-STORE-RQ", DX, DataSet(PatientID="7"), complete=False)
    assert {f.verdict for fs in findings(gap).values() for f in fs} == {Verdict.INCONCLUSIVE}
    assert findings(cut) == {}


def test_behind_a_lying_length_nothing_is_known() -> None:
    made = DataSet(PatientName="Doe^Jane", PatientSex="X", PatientAge="055Y")
    made.append(Element(0x00101020, "DS", b"1.70", length=60000))
    sent = Sent("C-STORE-RQ", DX, made)
    assert (
        verdict("VX-STO-DX-005", sent) == "FAIL"
    )  # well before it; the element right before it may be the liar
    assert verdict("VX-STO-DX-002", sent) == "FAIL"  # (0010,0020) is absent between two that are there
    assert verdict("VX-STO-DX-085", sent) == "INCONCLUSIVE"  # behind it


def test_a_request_without_a_data_set_is_one_fault_of_messages_not_one_of_every_row() -> None:
    assert verdict("VX-PRN-FS-001", Sent("N-CREATE-RQ", "1.2.840.10008.5.1.1.1", None)) == "NOT-EXERCISED"
    assert verdict("VX-PRN-FB-001", Sent("N-CREATE-RQ", FILM_BOX, None)) == "NOT-EXERCISED"


# A third statement

THIRD = """
statement: acme-cr
prefix: AC
edition: {document: ACME CR-7, revision: B, date: "2026-03-01", language: en}
product: {name: CR-7, vendor: ACME, kind: computed radiography reader}
sections:
  - number: 3.1
    title: CR Image
    prefix: AC-IMG
    of: [3.1]
    kind: attribute
    dataset: object
    sop_classes: [1.2.840.10008.5.1.4.1.1.1]
    clauses:
      - id: AC-IMG-01
        attribute: (0008,0060) Modality CS 1
        types: {printed: 1, standard: 1, product: 1}
        values: [CR]
      - id: AC-IMG-02
        attribute: (0018,5101) ViewPosition CS 1
        types: {printed: 2, standard: 2, product: 1}
        values: [AP, PA, LL]
        printed: {tag: "(0018,5100)"}
        errata: [AC-E-01]
      - id: AC-IMG-03
        attribute: (0040,0275) RequestAttributesSequence SQ 1
        types: {standard: 3, product: 3}
      - id: AC-IMG-04
        attribute: (0040,0009) ScheduledProcedureStepID SH 1
        inside: [RequestAttributesSequence]
        types: {standard: 1C (when the step was scheduled), product: 1C}
        condition: the image was made for a scheduled step
      - id: AC-IMG-05
        attribute: (0018,1400) AcquisitionDeviceProcessingDescription LO 1
        types: {standard: 1, product: 3}
        errata: [AC-E-02]
errata:
  - {id: AC-E-01, severity: typo, statement: "(0018,5100)", standard: "(0018,5101)", reading: View Position}
  - {id: AC-E-02, severity: contradiction, statement: 3, standard: 1, reading: Send it; absent = DEV-FROM-STD}
"""


def test_a_third_statement_needs_no_code(tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(THIRD, "utf-8")
    load(str(file))

    def judged(**values: Any) -> dict[str, str]:
        sent = Sent("C-STORE-RQ", "1.2.840.10008.5.1.4.1.1.1", DataSet(**values))
        return {
            id: str(combine(f.verdict for f in fs)) for id, fs in findings(sent, statement=str(file)).items()
        }

    assert judged(Modality="CR", ViewPosition="PA", RequestAttributesSequence=[DataSet()]) == {
        "AC-IMG-01": "PASS",
        "AC-IMG-02": "PASS-ERRATUM",
        "AC-IMG-03": "PASS",
        "AC-IMG-04": "N/A",
        "AC-IMG-05": "DEV-FROM-STD",
    }
    assert judged(Modality="DX", ViewPosition=None) == {
        "AC-IMG-01": "FAIL",
        "AC-IMG-02": "FAIL",
        "AC-IMG-03": "NOT-EXERCISED",
        "AC-IMG-04": "N/A",
        "AC-IMG-05": "DEV-FROM-STD",
    }


# One fault, one name


def full(**values: Any) -> Sent:
    right: dict[str, Any] = {
        "Rows": 1, "Columns": 2, "BitsAllocated": 16, "BitsStored": 14, "HighBit": 13, "PixelRepresentation": 0,
        "SamplesPerPixel": 1, "SmallestImagePixelValue": 7, "LargestImagePixelValue": 900,
    }  # fmt: skip
    made = DataSet(**right | values)
    made.put("PixelData", values.get("PixelData", bytes((7, 0, 0x84, 3))), vr="OW")
    return Sent("C-STORE-RQ", DX, made)


@pytest.mark.parametrize(
    ("values", "failing"),
    [
        ({}, set()),
        ({"BitsStored": 10}, {"088", "102"}),
        ({"BitsAllocated": 8}, {"087", "101"}),
        ({"HighBit": 15}, {"089", "103"}),
        ({"HighBit": 11}, {"089"}),
        ({"PixelRepresentation": 1}, {"090", "104"}),
        ({"Rows": 5000}, {"085"}),
        ({"Rows": 2}, {"091"}),
        ({"PixelData": bytes((7, 0))}, {"091"}),
        ({"PixelData": bytes((7, 0, 0x84, 0x43))}, {"091"}),  # above Bits Stored
        ({"LargestImagePixelValue": 901}, {"094"}),
        ({"BitsStored": 12, "HighBit": 11}, set()),
    ],
)
def test_what_describes_the_pixels_fails_alone(values: dict[str, Any], failing: set[str]) -> None:
    rows = {f"VX-STO-DX-{n}" for n in ("085", "086", "087", "088", "089", "090", "091", "093", "094")}
    rows |= {f"VX-STO-DX-{n}" for n in ("101", "102", "103", "104")}
    found = findings(full(**values))
    assert {id[-3:] for id in rows if any(f.verdict is Verdict.FAIL for f in found.get(id, []))} == failing


@pytest.mark.parametrize("number", [b"1e400 ", b"nan ", b"1e15", b"-3"])
def test_numbers_that_are_none_break_nothing(number: bytes) -> None:
    sent = full()
    assert isinstance(sent.dataset, DataSet)
    for keyword in ("BitsStored", "HighBit", "Rows", "BitsAllocated", "LargestImagePixelValue"):
        sent.dataset.put(keyword, number, vr="DS")
    assert not [f for fs in findings(sent).values() for f in fs if f.verdict is Verdict.ERROR]


def test_a_missing_study_date_is_named_by_the_images_row() -> None:
    sent = image()
    assert isinstance(sent.dataset, DataSet)
    sent.dataset.drop("StudyDate")
    assert verdict("VX-STO-DX-020", asked(item()), sent) == "FAIL"
    assert mapping("005", asked(item()), sent) == set()


def test_a_malformed_time_is_named_by_the_images_row() -> None:
    sent = image(StudyTime="09:30:00")
    assert verdict("VX-STO-DX-021", asked(item()), sent) == "FAIL"
    assert mapping("006", asked(item()), sent) == set()


def test_laterality_agrees_with_image_laterality() -> None:
    assert verdict("VX-STO-DX-049", dx(Laterality="L", ImageLaterality="L")) == "PASS"  # E5
    assert verdict("VX-STO-DX-049", dx(Laterality="L", ImageLaterality="R")) == "FAIL"
    assert verdict("VX-STO-DX-049", dx(Laterality="L")) == "PASS"


def test_the_study_that_a_step_refers_to() -> None:
    def step(sop_class: str, uid: str) -> Sent:
        reference = DataSet(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid)
        made = DataSet(StudyInstanceUID="1.2.9", ReferencedStudySequence=[reference])
        return Sent("N-CREATE-RQ", MPPS, DataSet(ScheduledStepAttributesSequence=[made]))

    assert verdict("VX-MPPS-NC-008", step("1.2.3", "1.2.9")) == "PASS"  # nobody saw what the worklist gave
    seen, detached, other = asked(item()), "1.2.840.10008.3.1.2.3.1", "1.2.840.10008.3.1.2.3.2"
    assert verdict("VX-MPPS-NC-008", seen, step(detached, "1.2.9")) == "PASS"  # D4
    assert verdict("VX-MPPS-NC-008", seen, step(other, "1.2.9")) == "FAIL"
    assert verdict("VX-MPPS-NC-009", seen, step(detached, "1.2.9")) == "PASS"
    assert verdict("VX-MPPS-NC-009", seen, step(detached, "1.2.77")) == "FAIL"
    given = item().put(
        "ReferencedStudySequence", [DataSet(ReferencedSOPClassUID=other, ReferencedSOPInstanceUID="1.7")]
    )
    assert verdict("VX-MPPS-NC-008", asked(given), step(other, "1.7")) == "PASS"
    assert verdict("VX-MPPS-NC-009", asked(given), step(other, "1.7")) == "PASS"


def test_retrieve_ae_title_is_a_storage_destination() -> None:
    sent = Sent("N-SET-RQ", MPPS, DataSet(PerformedSeriesSequence=[DataSet(RetrieveAETitle="PACS2")]))
    assert verdict("VX-MPPS-NS-022", sent) == "PASS"
    assert verdict("VX-MPPS-NS-022", sent, config={"storage": [{"ae_title": "PACS"}]}) == "FAIL"


# The bench's own faults


def test_a_check_that_breaks_is_an_error_on_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        raise KeyError("broken")

    monkeypatch.setattr("bench.checks.attributes.values.prefix", broken)
    found = findings(dx(ManufacturerModelName="VIVIX", PatientID="7"))
    assert [str(f.verdict) for f in found["VX-STO-DX-067"]] == ["ERROR"]
    assert [str(f.verdict) for f in found["VX-STO-DX-002"]] == ["PASS"]
    monkeypatch.setattr("bench.checks.attributes.occasions", broken)
    assert verdict("VX-STO-DX-002", dx(PatientID="7")) == "ERROR"
