"""The data sets of the console against the tables of the statement (tags typed here from the tables, not imported)."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts

from modality.acquisition import DetectorInfo, Shot
from modality.config import WorklistPeer
from modality.dicom.values import age, decimal, integer
from modality.dicom.worklist import KeyFault, build_query, identity, pack, summary, unpack
from modality.objects import anatomy, common, dx, mpps
from modality.objects.common import SeriesFacts, StepFacts
from modality.products.vxvue.config import VxvueConfig as Config

NOW = datetime(2026, 11, 21, 9, 30, 15, 250000)
CONFIG = Config(Path("data"), Path("control"))
STEP = StepFacts("1.2.3", "S1", "1.2.3.4", "P1", NOW, "VXVUE", "VX1", "ROOM 1")
DETECTOR = DetectorInfo("V", "VIVIX-S 1417N", "SN1", 31.25, 0.139, datetime(2026, 1, 2, 3, 4, 5))
FACTS = dx.ImageFacts("2.25.7", 2, "2.25.8", 1, NOW, "Chest PA", "Chest PA", "CHEST", "PA", "U", NOW, True)


def shot(**changes: Any) -> Shot:
    pixels = np.arange(35, dtype=np.uint16).reshape(5, 7) + np.uint16(3)
    made = Shot(
        pixels, 14, 8192.0, 16384.0, "", 117.0, 250.0, 16.4, 4.1, 1.25, 388.123, 400.0, -0.131, NOW, DETECTOR
    )
    return replace(made, **changes)


def order() -> Dataset:
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.PatientName, item.PatientID, item.PatientBirthDate, item.PatientSex = "Süß^Ida", "7", "19920229", "X"
    item.PatientWeight = "61.5"
    item.AccessionNumber, item.StudyInstanceUID, item.RequestedProcedureID = "A1", "1.2.3", "RP1"
    item.RequestedProcedureDescription, item.RequestedProcedurePriority = "Thorax", "HIGH"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "C1", "99X"
    item.RequestedProcedureCodeSequence = [code]
    step = Dataset()
    step.ScheduledProcedureStepID, step.ScheduledProcedureStepDescription = "SPS1", "Thorax p.a."
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20261120", "0815"
    step.ScheduledPerformingPhysicianName = "House^Gregory"
    step.ScheduledProtocolCodeSequence = [code]
    item.ScheduledProcedureStepSequence = [step]
    return unpack(pack(item))


def image(facts: dx.ImageFacts = FACTS, of: Dataset | None = None, **changes: Any) -> Dataset:
    header, pixels = dx.build(CONFIG, order() if of is None else of, STEP, facts, shot(**changes))
    return pydicom.dcmread(io.BytesIO(header + bytes(pixels)))


def test_an_image_has_everything_that_is_promised() -> None:
    made = image()
    assert made.file_meta.ImplementationClassUID == "1.3.6.1.4.1.19719"
    assert "ImplementationVersionName" not in made.file_meta
    expected = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "SOPInstanceUID": "2.25.7", "SpecificCharacterSet": "ISO_IR 100",
        "PatientName": "Süß^Ida", "PatientSex": "", "PatientAge": "034Y", "PatientWeight": 61.5,
        "StudyDate": "20261120", "StudyTime": "0815", "SeriesDate": "20261121", "SeriesTime": "093015",
        "StudyDescription": "Thorax p.a.", "StudyID": "S1", "Modality": "DX", "BodyPartExamined": "CHEST",
        "PerformingPhysicianName": "House^Gregory", "PerformedProcedureStepID": "P1",
        "RequestedProcedurePriority": "HIGH", "PresentationIntentType": "FOR PRESENTATION",
        "Manufacturer": "Vieworks Co.,Ltd", "ManufacturerModelName": "VIVIX-S 1417N", "DeviceSerialNumber": "SN1",
        "DateOfLastCalibration": "20260102", "InstanceNumber": 2, "PatientOrientation": ["L", "F"],
        "ContentTime": "093015.250000", "ImageType": ["DERIVED", "PRIMARY"], "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 5, "Columns": 7, "BitsAllocated": 16, "BitsStored": 14, "HighBit": 13, "PixelRepresentation": 0,
        "SmallestImagePixelValue": 3, "LargestImagePixelValue": 37, "ImageLaterality": "U",
        "PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": -1, "RescaleIntercept": 0,
        "RescaleSlope": 1, "RescaleType": "US", "PresentationLUTShape": "IDENTITY", "WindowCenter": 8192,
        "WindowWidth": 16384, "ViewPosition": "PA", "PositionerType": "", "DetectorType": "SCINTILLATOR",
        "DetectorBinning": [1, 1], "DetectorManufacturerName": "Vieworks Co.,Ltd", "DetectorID": "SN1",
        "DetectorManufacturerModelName": "VIVIX-S 1417N", "DetectorTemperature": 31.25,
        "ImagerPixelSpacing": [0.139, 0.139], "KVP": 117, "XRayTubeCurrent": 250, "XRayTubeCurrentInuA": 250000,
        "ExposureTime": 16, "ExposureTimeInuS": 16400, "Exposure": 4, "ExposureInuAs": 4100, "ExposureIndex": 388.123,
        "TargetExposureIndex": 400, "DeviationIndex": -0.131, "ImageAndFluoroscopyAreaDoseProduct": 1.25,
    }  # fmt: skip
    for keyword, value in expected.items():
        assert made[keyword].value == value or (value == "" and made[keyword].is_empty), keyword
    assert made.AnatomicRegionSequence[0].CodeValue == "816094009"
    assert made.ViewCodeSequence[0].CodeMeaning == "postero-anterior"
    assert made.RequestAttributesSequence[0].ScheduledProcedureStepID == "SPS1"
    assert made.ProcedureCodeSequence[0].CodeMeaning == "C1"  # never without a meaning (VX-E-42)
    assert len(made.AcquisitionContextSequence) == 0
    assert made.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert made["PixelData"].VR == "OW"
    assert (made.pixel_array == shot().pixels).all()
    assert "PatientSpeciesDescription" not in made


def test_the_character_set_is_that_of_the_item_unless_it_cannot_carry_the_text() -> None:
    plain = order()
    plain.PatientName = "Doe^Jane"
    del plain.SpecificCharacterSet
    assert "SpecificCharacterSet" not in image(of=plain)
    plain.PatientName = "Süß^Ida"
    assert image(of=plain).SpecificCharacterSet == "ISO_IR 192"
    assert image(of=plain).PatientName == "Süß^Ida"
    latin = order()
    latin.PatientComments = "山"
    assert image(of=latin).SpecificCharacterSet == "ISO_IR 192"
    assert image(of=latin).PatientComments == "山"


def test_an_image_without_mpps_refers_to_none() -> None:
    assert "ReferencedPerformedProcedureStepSequence" not in image(replace(FACTS, mpps=False))


def test_what_is_not_known_is_not_sent() -> None:
    nothing: dict[str, None] = dict.fromkeys(
        ("kvp", "ma", "ms", "mas", "dap_dgycm2", "ei", "target_ei", "di")
    )
    made = image(
        of=Dataset(), detector=replace(DETECTOR, temperature_c=None, calibrated=None, serial=""), **nothing
    )
    for keyword in ("KVP", "Exposure", "ExposureIndex", "DetectorTemperature", "DetectorID", "DateOfLastCalibration",
                    "RequestAttributesSequence", "PatientAge", "ImageAndFluoroscopyAreaDoseProduct"):  # fmt: skip
        assert keyword not in made
    for keyword in (
        "PatientName",
        "PatientID",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyDescription",
    ):
        assert made[keyword].is_empty


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((4, 4), 1 << 14, np.uint16),
        np.zeros((4097, 1), np.uint16),
        np.zeros((0, 4), np.uint16),
        np.zeros((4,), np.uint16),
        np.zeros((4, 4), np.uint8),
    ],
)
def test_what_is_no_image_of_the_statement_is_refused(pixels: Any) -> None:
    with pytest.raises(ValueError):
        image(pixels=pixels)


def test_pixels_that_do_not_lie_in_one_piece_are_written_rightly() -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)[:, ::2]
    assert (image(pixels=pixels).pixel_array == pixels).all()


def test_codes_are_those_of_the_standard() -> None:
    assert set(anatomy.REGIONS.values()) <= _group(4031)
    assert set(anatomy.VIEWS.values()) <= _group(4010)
    assert anatomy.region("STIFLE") == ("STIFLE", "99VXVUE", "Stifle")


def _group(cid: int) -> set[tuple[str, str]]:
    """Code and meaning of everything in a context group of PS3.16."""
    entries = (item for names in concepts["SCT"].values() for item in names.items())
    return {(code, meaning) for code, (meaning, groups) in entries if cid in groups}


# -- MPPS

NC = (
    "00100010 00100020 00100030 00100040 00081120 00400270 00081032 00400241 00400242 00400243 00400244 "
    "00400245 00400250 00400251 00400252 00400253 00400254 00400255 00080060 00200010 00400260 00400340 "
)
NC_ITEM = "00080050 00081110 0020000D 00321060 00400007 00400008 00400009 00401001"
NS = "00081032 00400250 00400251 00400252 00400254 00400255 00400260 00400340"
NS_ITEM = "00081050 00181030 00081070 0020000E 0008103E 00080054 00081140 00400220"


def keywords(tags: str) -> set[str]:
    return {keyword_for_tag(tag) for tag in tags.split()}


@pytest.mark.parametrize("of", [order(), Dataset()], ids=["scheduled", "unscheduled"])
def test_n_create_has_the_table_and_nothing_else(of: Dataset) -> None:
    made = mpps.in_progress(of, STEP)
    assert {element.keyword for element in made} == keywords(NC)
    (item,) = made.ScheduledStepAttributesSequence
    assert {element.keyword for element in item} == keywords(NC_ITEM)
    assert item.ReferencedStudySequence[0].ReferencedSOPClassUID == "1.2.840.10008.3.1.2.3.1"
    assert item.ReferencedStudySequence[0].ReferencedSOPInstanceUID == item.StudyInstanceUID == "1.2.3"
    assert made.PerformedProcedureStepStatus == "IN PROGRESS"
    assert made.PerformedStationAETitle == "VXVUE"
    assert (made.PerformedProcedureStepStartDate, made.PerformedProcedureStepStartTime) == (
        "20261121",
        "093015",
    )
    assert made["PerformedProcedureStepEndDate"].is_empty
    assert len(made.PerformedSeriesSequence) == 0


@pytest.mark.parametrize(("status", "protocol"), [("COMPLETED", "Chest PA"), ("DISCONTINUED", "Unknown")])
def test_n_set_has_the_table_and_nothing_else(status: str, protocol: str) -> None:
    series = [SeriesFacts("2.25.8", "Chest PA", "Chest PA", ("2.25.7", "2.25.9"))]
    made = mpps.final(order(), status, NOW, series, "Op^Erator", "PACS")
    assert {element.keyword for element in made} == keywords(NS)
    (item,) = made.PerformedSeriesSequence
    assert {element.keyword for element in item} == keywords(NS_ITEM)
    assert item.ProtocolName == protocol
    assert [ref.ReferencedSOPInstanceUID for ref in item.ReferencedImageSequence] == ["2.25.7", "2.25.9"]
    assert len(item.ReferencedNonImageCompositeSOPInstanceSequence) == 0
    assert (made.PerformedProcedureStepEndDate, made.PerformedProcedureStepEndTime) == ("20261121", "093015")


def test_a_completed_step_needs_an_image() -> None:
    with pytest.raises(ValueError):
        mpps.final(order(), "COMPLETED", NOW, [], "", "")
    assert len(mpps.final(order(), "DISCONTINUED", NOW, [], "", "").PerformedSeriesSequence) == 0


# -- worklist

TOP = (
    "00080020 00080030 00080050 00080090 00081110 00081120 00100010 00100020 00100030 00100040 00101030 "
    "00102000 00102110 001021C0 0020000D 00321032 00321060 00321064 00380010 00380050 00380300 00380500 "
    "00400100 00401001 00401003 00401004 00403001 "
)
INNER = "00080060 00321070 00400001 00400002 00400003 00400006 00400007 00400008 00400009 00400010 00400011 00400012"
PEER = WorklistPeer("worklist", "RIS", "h", 104)


def test_the_query_has_all_39_keys_and_the_values_of_the_default() -> None:
    query = build_query(CONFIG, PEER, {}, date(2026, 11, 21))
    assert {element.keyword for element in query} == keywords(TOP)
    (step,) = query.ScheduledProcedureStepSequence
    assert {element.keyword for element in step} == keywords(INNER)
    assert len(keywords(TOP)) + len(keywords(INNER)) == 39
    filled = {e.keyword: str(e.value) for e in [*query, *step] if e.VR != "SQ" and not e.is_empty}
    assert filled == {
        "PatientName": "*",
        "ScheduledStationAETitle": "VXVUE",
        "ScheduledProcedureStepStartDate": "20261121",
        "Modality": "DX",
    }
    for sequence in (
        query.ReferencedStudySequence,
        query.RequestedProcedureCodeSequence,
        step.ScheduledProtocolCodeSequence,
    ):
        assert len(sequence) == 1
        assert all(element.is_empty for element in sequence[0])


def test_keys_follow_the_configuration_and_the_operator() -> None:
    peer = replace(
        PEER,
        remove_keys=("PatientWeight", "PreMedication", "ReferencedPatientSequence"),
        add_keys={
            "PatientSize": "",
            "ScheduledProcedureStepSequence.ScheduledProcedureStepStatus": "SCHEDULED",
        },
    )
    query = build_query(
        CONFIG, peer, {"PatientName": "Yama", "Modality": "", "AccessionNumber": "A1"}, date(2026, 1, 1)
    )
    step = query.ScheduledProcedureStepSequence[0]
    assert "PatientWeight" not in query
    assert "ReferencedPatientSequence" not in query
    assert "PreMedication" not in step
    assert query["PatientSize"].is_empty
    assert step.ScheduledProcedureStepStatus == "SCHEDULED"
    assert query.PatientName == b"Yama*" or str(query.PatientName) == "Yama*"
    assert step["Modality"].is_empty
    with pytest.raises(KeyFault):
        build_query(CONFIG, PEER, {"PatientShoeSize": "44"}, date(2026, 1, 1))
    with pytest.raises(KeyFault):
        build_query(CONFIG, PEER, {"PregnancyStatus": "perhaps"}, date(2026, 1, 1))


def test_items_without_what_they_must_have_are_shown_with_the_lack() -> None:
    bare = Dataset()
    bare.PatientName = "Flat^Item"
    bare.ScheduledProcedureStepID = "SPS1"  # at the wrong level (field issue WL-06)
    shown = summary(unpack(pack(bare)))
    assert shown["PatientName"] == "Flat^Item"
    assert "StudyInstanceUID" in shown["missing"]
    assert "ScheduledProcedureStepSequence" in shown["missing"]
    changed = dict(shown, PatientWeight="80")
    assert identity(shown) == identity(changed)
    assert identity(shown) != identity(dict(shown, ScheduledProcedureStepID="SPS2"))


# -- values


def test_numbers_as_text() -> None:
    assert [decimal(v) for v in (0, 0.139, 31.25, -0.131, 250000, 1 / 3, 1e-20)] == [
        "0", "0.139", "31.25", "-0.131", "250000", "0.333333333333", "1e-20",
    ]  # fmt: skip
    assert all(len(decimal(v)) <= 16 for v in (-1 / 3, -1.23456789e-200, -123456789012345.6))
    assert integer(2.5) in ("2", "3")
    with pytest.raises(ValueError):
        decimal(float("nan"))
    with pytest.raises(ValueError):
        integer(3e9)


def test_ages() -> None:
    on = date(2026, 11, 21)
    cases = {"19921121": "034Y", "19921122": "033Y", "20261120": "001D", "20260101": "010M", "20241121": "002Y",
             "": "", "2026": "", "20270101": ""}  # fmt: skip
    assert {born: age(born, on) for born in cases} == cases


def test_an_identifier_with_several_values_stays_whole() -> None:
    """Half of it may be somebody else's; a reference or a code of two is none."""
    order, item = Dataset(), Dataset()
    order.PatientID = ["A", "B"]
    order.AccessionNumber = ["1", "2"]
    order.RequestedProcedureDescription = ["chest", "hand"]
    assert common.text(order, "PatientID") == "A\\B"
    assert common.text(order, "AccessionNumber") == "1\\2"
    assert common.text(order, "RequestedProcedureDescription") == "chest"
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2", ["1.2.3", "1.2.4"]
    order.ReferencedStudySequence = [item]
    assert common.references(order, "ReferencedStudySequence") == []
    coded = common.code("1", "L", "one")
    coded.CodeValue = ["1", "2"]
    order.RequestedProcedureCodeSequence = [coded, common.code("3", "L", "three")]
    assert [one.CodeValue for one in common.codes(order, "RequestedProcedureCodeSequence")] == ["3"]
