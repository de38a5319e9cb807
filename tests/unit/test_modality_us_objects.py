"""The ultrasound product's objects against the statement and the modules of the standard."""

from __future__ import annotations

import hashlib
import io
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from modality.dicom.worklist import pack, unpack
from modality.objects.sc import build_screen
from modality.objects.us import build_still
from modality.objects.usfacts import UsFacts
from modality.objects.usmf import build_clip
from tests.unit.test_modality_us_objects_lab import (
    ALL_KINDS,
    FACTS,
    Clip,
    Frame,
    Region,
    Settings,
    clip_of,
    master,
    order,
    settings,
    soft,
)

US = "1.2.840.10008.5.1.4.1.1.6.1"
CLIP = "1.2.840.10008.5.1.4.1.1.3.1"
SC = "1.2.840.10008.5.1.4.1.1.7"


def read(kind: str, **how: Any) -> Dataset:
    made = master(kind, **how).instance
    return pydicom.dcmread(io.BytesIO(b"".join(bytes(part) for part in made.parts)))


# MX-D-12 and MX-STO-IMG, typed from the statement
TYPE_1 = [
    "StudyInstanceUID", "Modality", "SeriesInstanceUID", "BitsStored", "HighBit", "PixelRepresentation",
    "SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated",
]  # fmt: skip
TYPE_2 = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName", "StudyID", "SeriesNumber", "Manufacturer",
    "InstanceNumber", "PatientOrientation", "ContentDate", "ContentTime", "ImageType", "AcquisitionDate",
    "AcquisitionTime", "AcquisitionDateTime", "LossyImageCompression",
]  # fmt: skip


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_the_statement_wants_is_there(kind: str) -> None:
    for made in (read(kind), read(kind, of=Dataset())):  # also when nothing is known of the patient
        assert not [k for k in (*TYPE_1, *TYPE_2) if k not in made]
        assert not [k for k in TYPE_1 if made[k].is_empty]
        assert (made.file_meta.TransferSyntaxUID, made["PixelData"].VR) == ("1.2.840.10008.1.2.1", "OB")
        assert made.file_meta.ImplementationClassUID == "1.2.392.200036.9107.804"
        assert made.file_meta.ImplementationVersionName == "KM_SMGMX1_1.00"
        assert "SourceApplicationEntityTitle" not in made.file_meta


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_pixels_are_those_of_the_pictures(kind: str) -> None:
    truth = master(kind, rows=5, columns=7, frames=3)  # an odd number of bytes
    made = read(kind, rows=5, columns=7, frames=3)
    assert np.array_equal(
        np.asarray(made.pixel_array), truth.pixels.squeeze(0) if len(truth.pixels) == 1 else truth.pixels
    )
    assert hashlib.sha256(made.PixelData).hexdigest() == truth.instance.pixels_sha256()
    assert len(made.PixelData) % 2 == 0
    assert made.get("PlanarConfiguration") == (None if kind.endswith("gray") else 0)
    assert made.PhotometricInterpretation == ("MONOCHROME2" if kind.endswith("gray") else "RGB")
    assert truth.instance.size == sum(len(part) for part in truth.instance.parts)


def test_a_clip_is_not_copied() -> None:
    pictures = [soft(20, 30, colour=True, number=n) for n in range(4)]
    made = build_clip(FACTS, order(), clip_of(pictures))
    assert all(np.shares_memory(np.asarray(view), p) for view, p in zip(made.pixels, pictures, strict=True))


def test_the_order_is_taken_over() -> None:
    item = order()
    item.PatientWeight, item.PatientComments = "61.5", "takes aspirin"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "C1", "99X"
    item.RequestedProcedureCodeSequence = [code]
    made = read("us-gray", of=unpack(pack(item)))
    expected = {
        "PatientName": "Yamada^Tarou", "PatientAge": "056Y", "PatientWeight": 61.5, "PatientComments": "takes aspirin",
        "StudyDate": "20261121", "StudyTime": "0915", "StudyDescription": "Abdomen", "AccessionNumber": "A1",
        "PerformingPhysicianName": "Yamada^Tarou", "InstitutionName": "Hospital", "StationName": "MX1",
        "SeriesDate": "20261121", "SeriesTime": "093015", "Modality": "US", "BodyPartExamined": "ABDOMEN",
        "AcquisitionDateTime": "20261121093015.250000", "LossyImageCompression": "00", "TransducerData": "C5-2",
        "DepthOfScanField": 120, "BurnedInAnnotation": "NO",
    }  # fmt: skip
    assert {k: made.get(k) for k in expected} == expected
    request = made.RequestAttributesSequence[0]
    assert (request.RequestedProcedureID, request.ScheduledProcedureStepID) == ("RP1", "SPS1")
    assert made.ProcedureCodeSequence[0].CodeMeaning == "C1"
    assert request.RequestedProcedureCodeSequence[0].CodeMeaning == "C1"


def test_without_a_request_there_are_no_request_attributes() -> None:
    assert "RequestAttributesSequence" not in read("us-gray", of=Dataset())
    item = order()
    item.RequestedProcedureID = ""
    assert "RequestAttributesSequence" not in read("us-gray", of=item)


@pytest.mark.parametrize(
    ("mode", "code"), [("B", "0001"), ("colour", "0011"), ("M", "0002"), ("PW", "0008"), ("", "0001")]
)
def test_image_type_says_the_mode(mode: str, code: str) -> None:
    frame = Frame(soft(8, 8, colour=False), settings(8, 8, mode))
    made = build_still(FACTS, order(), frame)
    found = pydicom.dcmread(io.BytesIO(b"".join(made.parts)))
    assert list(found.ImageType) == ["ORIGINAL", "PRIMARY", "ABDOMINAL", code]


def test_regions_are_those_of_the_device() -> None:
    made = read("us-colour", rows=48, columns=64)
    item = made.SequenceOfUltrasoundRegions[0]
    expected = {
        "RegionSpatialFormat": 1, "RegionDataType": 1, "RegionFlags": 0, "RegionLocationMinX0": 0,
        "RegionLocationMinY0": 0, "RegionLocationMaxX1": 63, "RegionLocationMaxY1": 47, "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3, "PhysicalDeltaX": 0.02, "PhysicalDeltaY": 0.02, "ReferencePixelX0": 32,
        "ReferencePixelY0": 0, "ReferencePixelPhysicalValueX": 0.0, "ReferencePixelPhysicalValueY": 0.0,
    }  # fmt: skip
    assert {k: item[k].value for k in expected} == expected
    uncalibrated = build_still(FACTS, order(), Frame(soft(8, 8, colour=False), Settings()))
    assert b"\x18\x00\x11\x60SQ" not in uncalibrated.start


def test_every_number_of_a_region_stands_in_its_own_place() -> None:
    """No two are alike here: what is exchanged shows."""
    region = Region(2, 3, 4, 5, 6, 57, 38, 4, 3, 0.011, 0.022, 7, 8, 9.5, -10.5)
    frame = Frame(soft(40, 60, colour=False), Settings(regions=(region,)))
    made = b"".join(bytes(part) for part in build_still(FACTS, order(), frame).parts)
    item = pydicom.dcmread(io.BytesIO(made)).SequenceOfUltrasoundRegions[0]
    names = (
        "RegionSpatialFormat", "RegionDataType", "RegionFlags", "RegionLocationMinX0", "RegionLocationMinY0",
        "RegionLocationMaxX1", "RegionLocationMaxY1", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection",
        "PhysicalDeltaX", "PhysicalDeltaY", "ReferencePixelX0", "ReferencePixelY0",
        "ReferencePixelPhysicalValueX", "ReferencePixelPhysicalValueY",
    )  # fmt: skip
    assert {name: item[name].value for name in names} == dict(zip(names, astuple(region), strict=True))


def test_cine() -> None:
    made = read("clip-gray", frames=5, stop_trim=4)
    expected = {
        "NumberOfFrames": 5, "FrameIncrementPointer": 0x00181063, "FrameTime": 33.33, "CineRate": 30,
        "RecommendedDisplayFrameRate": 30, "StartTrim": 1, "StopTrim": 4, "SOPClassUID": CLIP,
    }  # fmt: skip
    assert {k: made.get(k) for k in expected} == expected
    free = read("clip-gray", frames=5, start_trim=None)
    assert "StartTrim" not in free
    assert "StopTrim" not in free


def test_a_screen_is_a_secondary_capture() -> None:
    made = read("sc")
    assert (made.SOPClassUID, made.ConversionType, list(made.ImageType)) == (
        SC,
        "WSD",
        ["DERIVED", "SECONDARY"],
    )
    assert made.BurnedInAnnotation == "YES"
    assert "SequenceOfUltrasoundRegions" not in made
    assert (made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture) == ("20261121", "093015.250000")


SETS: list[tuple[list[str], str]] = [
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 87", "ISO 2022 IR 13"], "Yamada^Tarou=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ"),
    (["ISO_IR 100"], "Süß^Ida"),
    (["ISO_IR 192"], "Žofia^Ņina=王^小东"),
    (["GB18030"], "Wang^XiaoDong=王^小东"),
]


@pytest.mark.parametrize(
    ("terms", "name"), SETS, ids=lambda value: "+".join(value) if isinstance(value, list) else ""
)
@pytest.mark.parametrize("configured", [True, False])
def test_character_sets(terms: list[str], name: str, configured: bool) -> None:
    item = order([] if configured else terms, name)
    how = {"charset": tuple(terms)} if configured else {}
    made = read("us-gray", of=item if configured else unpack(pack(item)), **how)
    said = made.SpecificCharacterSet
    assert ([said] if isinstance(said, str) else list(said)) == terms
    assert str(made.PatientName) == name


def test_a_set_that_the_statement_does_not_list_is_not_written() -> None:
    made = read("us-gray", of=unpack(pack(order("ISO_IR 101", "Łukasz^Jan"))))
    assert made.SpecificCharacterSet == "ISO_IR 192"  # the configured one cannot carry the name
    assert str(made.PatientName) == "Łukasz^Jan"


def test_what_cannot_be_an_image_is_refused() -> None:
    still = Frame(soft(8, 9, colour=False), settings(8, 9))
    with pytest.raises(ValueError, match=r"is not within 9 x 8 pixels"):
        build_still(FACTS, order(), replace(still, settings=settings(9, 9)))
    with pytest.raises(ValueError, match="8 bits"):
        build_still(FACTS, order(), replace(still, pixels=np.zeros((8, 9), np.uint16)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="8 bits"):
        build_screen(FACTS, order(), np.zeros((8, 9, 4), np.uint8))
    with pytest.raises(ValueError, match="pixels"):
        build_screen(FACTS, order(), np.zeros((0, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="cannot be one clip"):
        build_clip(FACTS, order(), clip_of([soft(8, 9, colour=False), soft(9, 9, colour=False)]))
    with pytest.raises(ValueError, match="without pictures"):
        build_clip(FACTS, order(), Clip((), 33.0))


@pytest.mark.parametrize("time_ms", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_frame_times(time_ms: float) -> None:
    with pytest.raises(ValueError, match="frame time"):
        build_clip(FACTS, order(), clip_of([soft(8, 9, colour=False)], frame_time_ms=time_ms))


@pytest.mark.parametrize(("first", "last"), [(0, None), (3, None), (2, 1), (1, 3)])
def test_trim_lies_within_the_clip(first: int, last: int | None) -> None:
    facts: UsFacts = replace(FACTS, start_trim=first, stop_trim=last)
    with pytest.raises(ValueError, match="trim"):
        build_clip(facts, order(), clip_of([soft(8, 9, colour=False, number=n) for n in range(2)]))
