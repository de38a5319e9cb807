"""Single seeded defects in DX and US Multi-frame objects: each turns its own rule and no other one of STD-IOD."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from bench.checks.finding import Check, Finding
from bench.checks.iod import (
    anatomy,
    cine,
    display,
    foreign,
    lossy,
    pixels,
    presence,
    regions,
    technique,
    terms,
    times,
)
from bench.verdict import Verdict
from tests.unit.judged_objects import SC, code, dx, secondary, us_multi
from tests.unit.judged_scene import Scene, failures

MODULES = (anatomy, cine, display, foreign, lossy, pixels, presence, regions, technique, terms, times)


def every_check() -> Iterator[Check]:
    """All checks of objects."""
    for module in MODULES:
        yield from (value for value in vars(module).values() if isinstance(value, Check))


def judge(dataset: Dataset, statement: str = "vxvue", **options: object) -> list[Finding]:
    """Findings on one object."""
    scene = Scene(statement)
    scene.store(dataset, **options)
    case = scene.case()
    return [finding for each in every_check() for finding in each(case)]


def cut(dataset: Dataset, *keywords: str) -> None:
    """Take attributes away."""
    for keyword in keywords:
        del dataset[keyword]


def longer(dataset: Dataset) -> None:
    """Another number of frames than there are."""
    dataset.NumberOfFrames = 5


def region(dataset: Dataset) -> Dataset:
    """The first region."""
    found: Dataset = dataset.SequenceOfUltrasoundRegions[0]
    return found


def above(dataset: Dataset) -> None:
    """A pixel above Bits Stored."""
    dataset.PixelData = dataset.PixelData[:-2] + b"\x00\x50"


def step_missing_meaning(dataset: Dataset) -> None:
    """A code without meaning."""
    del dataset.AnatomicRegionSequence[0].CodeMeaning


Defect = Callable[[Dataset], object]

DX_DEFECTS: dict[str, tuple[str, Defect]] = {
    "type 1 missing": ("STD-IOD-001", lambda ds: cut(ds, "PresentationLUTShape")),
    "type 2 missing": ("STD-IOD-002", lambda ds: cut(ds, "AnatomicRegionSequence", "ViewCodeSequence")),
    "type 1 empty": ("STD-IOD-001", lambda ds: setattr(ds, "StudyInstanceUID", "")),
    "code without meaning": ("STD-IOD-001", step_missing_meaning),
    "rescale type HU": ("STD-IOD-025", lambda ds: setattr(ds, "RescaleType", "HU")),
    "detector type misspelt": ("STD-IOD-009", lambda ds: setattr(ds, "DetectorType", "SCINTILATOR")),
    "image type of one value": ("STD-IOD-021", lambda ds: setattr(ds, "ImageType", "DERIVED")),
    "window width 0": ("STD-IOD-023", lambda ds: setattr(ds, "WindowWidth", "0")),
    "pixel data too short": ("STD-IOD-010", lambda ds: setattr(ds, "PixelData", ds.PixelData[:-100])),
    "pixel above bits stored": ("STD-IOD-011", above),
    "largest pixel value": ("STD-IOD-013", lambda ds: setattr(ds, "LargestImagePixelValue", 77)),
    "high bit": ("STD-IOD-012", lambda ds: setattr(ds, "HighBit", 15)),
    "born after the study": ("STD-IOD-030", lambda ds: setattr(ds, "PatientBirthDate", "20270101")),
    "KVP in volts": ("STD-IOD-033", lambda ds: setattr(ds, "KVP", "120000")),
    "deviation index": ("STD-IOD-032", lambda ds: setattr(ds, "DeviationIndex", "1.0")),
    "view against its code": ("STD-IOD-035", lambda ds: setattr(ds, "ViewPosition", "AP")),
    "frame time in DX": ("STD-IOD-008", lambda ds: setattr(ds, "FrameTime", "33")),
    "laterality": ("STD-IOD-036", lambda ds: setattr(ds, "Laterality", "L")),
    "body part against its code": ("STD-IOD-037", lambda ds: setattr(ds, "BodyPartExamined", "FOOT")),
    "inverse with MONOCHROME2": ("STD-IOD-024", lambda ds: setattr(ds, "PresentationLUTShape", "INVERSE")),
    "laterality term": ("STD-IOD-006", lambda ds: setattr(ds, "ImageLaterality", "LEFT")),
    "sex": ("STD-IOD-006", lambda ds: setattr(ds, "PatientSex", "W")),
    "modality CR": ("STD-IOD-040", lambda ds: setattr(ds, "Modality", "CR")),
    "for processing": ("STD-IOD-041", lambda ds: setattr(ds, "PresentationIntentType", "FOR PROCESSING")),
    "parallel orientation": ("STD-IOD-039", lambda ds: setattr(ds, "PatientOrientation", ["L", "R"])),
    "frontal view seen from the side": (
        "STD-IOD-039",
        lambda ds: setattr(ds, "PatientOrientation", ["P", "F"]),
    ),
    "calibrated after the image": (
        "STD-IOD-030",
        lambda ds: setattr(ds, "DateOfLastDetectorCalibration", "20270101"),
    ),
    "exposure index negative": ("STD-IOD-033", lambda ds: setattr(ds, "ExposureIndex", "-4")),
    "spacing 0": ("STD-IOD-022", lambda ds: setattr(ds, "ImagerPixelSpacing", ["0", "0.139"])),
    "samples 3": ("STD-IOD-014", lambda ds: setattr(ds, "SamplesPerPixel", 3)),
    "planar configuration": ("STD-IOD-016", lambda ds: setattr(ds, "PlanarConfiguration", 0)),
    "acquired before the series": ("STD-IOD-030", lambda ds: setattr(ds, "AcquisitionTime", "091400")),
    "exposure not current x time": ("STD-IOD-034", lambda ds: setattr(ds, "ExposureInuAs", 400)),
    "lossy without the flag": ("STD-IOD-019", lambda ds: setattr(ds, "LossyImageCompressionRatio", "12")),
    "two regions": (
        "STD-IOD-007",
        lambda ds: ds.AnatomicRegionSequence.append(code("85562004", "SCT", "Hand")),
    ),
    "window center without width": ("STD-IOD-003", lambda ds: cut(ds, "WindowWidth")),
    "no pixels": ("STD-IOD-027", lambda ds: cut(ds, "PixelData")),
    "age": ("STD-IOD-031", lambda ds: setattr(ds, "PatientAge", "012Y")),
    "other module begun": ("STD-IOD-002", lambda ds: setattr(ds, "FrameOfReferenceUID", "2.25.9")),
}
US_DEFECTS: dict[str, tuple[str, Defect]] = {
    "frame increment pointer missing": ("STD-IOD-001", lambda ds: cut(ds, "FrameIncrementPointer")),
    "pointer to nothing": ("STD-IOD-050", lambda ds: cut(ds, "FrameTime", "CineRate")),
    "more frames than stored": ("STD-IOD-017", longer),
    "region outside": ("STD-IOD-054", lambda ds: setattr(region(ds), "RegionLocationMaxX1", 640)),
    "physical delta missing": ("STD-IOD-001", lambda ds: cut(region(ds), "PhysicalDeltaX")),
    "physical delta 0": ("STD-IOD-055", lambda ds: setattr(region(ds), "PhysicalDeltaY", 0.0)),
    "cine rate against frame time": ("STD-IOD-052", lambda ds: setattr(ds, "CineRate", 15)),
    "lossy without ratio and method": (
        "STD-IOD-020",
        lambda ds: cut(ds, "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
    ),
    "start trim": ("STD-IOD-053", lambda ds: setattr(ds, "StartTrim", 9)),
    "frame time negative": ("STD-IOD-051", lambda ds: setattr(ds, "FrameTime", "-33.3")),
    "16 bits in colour": ("STD-IOD-026", lambda ds: setattr(ds, "PhotometricInterpretation", "MONOCHROME1")),
    "region data type": ("STD-IOD-006", lambda ds: setattr(region(ds), "RegionDataType", 99)),
    "picture in seconds": ("STD-IOD-055", lambda ds: setattr(region(ds), "PhysicalUnitsXDirection", 4)),
    "orientation missing": ("STD-IOD-004", lambda ds: cut(ds, "PatientOrientation")),
}


@pytest.mark.parametrize("name", DX_DEFECTS)
def test_a_defect_of_a_dx_image_turns_its_own_rule(name: str) -> None:
    rule, break_it = DX_DEFECTS[name]
    image = dx()
    break_it(image)
    assert list(failures(judge(image))) == [rule], failures(judge(image))


@pytest.mark.parametrize("name", US_DEFECTS)
def test_a_defect_of_a_clip_turns_its_own_rule(name: str) -> None:
    rule, break_it = US_DEFECTS[name]
    clip = us_multi()
    break_it(clip)
    found = failures(judge(clip, "mx1"))
    assert list(found) == [rule], found


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_right_objects_have_no_failure(syntax: str) -> None:
    for image, statement in ((dx(), "vxvue"), (us_multi(), "mx1"), (secondary(), "mx1")):
        if syntax.endswith("2.2") and statement == "vxvue":
            image.PixelData = b"".join(
                image.PixelData[i + 1 : i + 2] + image.PixelData[i : i + 1]
                for i in range(0, len(image.PixelData), 2)
            )
        findings = judge(image, statement, syntax=syntax)
        assert failures(findings) == {}
        assert failures(findings, Verdict.DEV_FROM_STD) == {}
        assert failures(findings, Verdict.PASS)


def test_what_a_statement_declares_is_no_failure() -> None:
    image = dx()
    cut(image, "PositionerType", "AcquisitionContextSequence")
    image.PatientOrientation = None
    image.SmallestImagePixelValue, image.LargestImagePixelValue = 0, 16383
    findings = judge(image)
    assert failures(findings) == {}
    assert set(failures(findings, Verdict.DEV_FROM_STD)) == {"STD-IOD-002", "STD-IOD-003", "STD-IOD-013"}


def test_without_a_statement_that_declares_it_a_missing_attribute_fails() -> None:
    clip = secondary()
    cut(clip, "ConversionType")
    assert set(failures(judge(clip, "mx1"))) == {"STD-IOD-001"}


def test_colour_needs_planar_configuration() -> None:
    capture = secondary()
    assert capture.SOPClassUID == SC
    cut(capture, "PlanarConfiguration")
    assert set(failures(judge(capture, "mx1"))) == {"STD-IOD-016"}


def test_an_object_that_was_cut_off_is_not_judged() -> None:
    image = dx()
    cut(image, "PresentationLUTShape")
    assert judge(image, complete=False) == []


def test_an_attribute_of_another_iod_is_only_a_remark_where_nothing_excludes_it() -> None:
    clip = us_multi()
    clip.KVP = "70"
    findings = judge(clip, "mx1")
    assert failures(findings) == {}
    assert any(finding.remark and "KVP" in finding.reason for finding in findings)


def test_a_code_sequence_item_in_a_view(  # a modifier below a code is judged as well
) -> None:
    image = dx()
    image.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([Dataset()])
    found = failures(judge(image))
    assert set(found) == {"STD-IOD-001"}


def test_what_the_worklist_gave_is_not_held_against_the_copy() -> None:
    item = Dataset()
    item.PatientSex, item.PatientBirthDate = "X", "20270101"
    bare = Dataset()
    bare.CodeValue, bare.CodingSchemeDesignator = "PA1", "99X"
    item.RequestedProcedureCodeSequence = Sequence([bare])
    image = dx()
    image.PatientSex, image.PatientBirthDate = "X", "20270101"
    image.ProcedureCodeSequence = Sequence([bare])
    scene = Scene()
    scene.worklist(item)
    scene.store(image)
    case = scene.case()
    assert failures(finding for each in every_check() for finding in each(case)) == {}
    assert set(failures(judge(image))) == {"STD-IOD-001", "STD-IOD-006", "STD-IOD-030"}


def film(**changes: object) -> list[Finding]:
    """Findings on an image box with one image."""
    box, image = Dataset(), dx()
    item = Dataset()
    for keyword in (
        "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
        "PixelRepresentation", "PixelData",
    ):  # fmt: skip
        item[keyword] = image[keyword]
    for keyword, value in changes.items():
        setattr(item, keyword, value)
    box.ImageBoxPosition, box.BasicGrayscaleImageSequence = 1, Sequence([item])
    scene = Scene()
    scene.exchange("N-SET", "1.2.840.10008.5.1.1.4", "2.25.8001", box)
    case = scene.case()
    return [finding for each in every_check() for finding in each(case)]


def test_the_image_of_a_film_is_judged_like_others() -> None:
    assert failures(film()) == {}
    assert "STD-IOD-011" in failures(film(), Verdict.PASS)
    assert set(failures(film(HighBit=15))) == {"STD-IOD-012"}
    assert set(failures(film(PixelData=b"\0\0" * 100))) == {"STD-IOD-010"}
    assert set(failures(film(BitsStored=12, HighBit=11))) == {"STD-IOD-011"}


def test_an_edge_that_the_collimators_shape_does_not_have() -> None:
    image = dx()
    image.CollimatorShape, image.CenterOfCircularCollimator, image.RadiusOfCircularCollimator = (
        "CIRCULAR",
        [20, 15],
        9,
    )
    assert failures(judge(image)) == {}
    image.CollimatorLeftVerticalEdge = 3
    assert set(failures(judge(image))) == {"STD-IOD-005"}
    del image.RadiusOfCircularCollimator
    assert set(failures(judge(image))) == {"STD-IOD-003", "STD-IOD-005"}


def test_attributes_of_animals_in_a_human() -> None:
    image = dx()
    image.PatientSpeciesDescription = "Canis familiaris"
    scene = Scene(config={"species": "human"})
    scene.store(image)
    case = scene.case()
    assert set(failures(finding for each in every_check() for finding in each(case))) == {"STD-IOD-043"}


def test_a_baseline_image_that_calls_itself_lossless() -> None:
    still = us_multi(frames=1)
    del still.LossyImageCompressionRatio
    del still.LossyImageCompressionMethod
    still.LossyImageCompression = "00"
    findings = judge(still, "mx1", syntax="1.2.840.10008.1.2.4.50")
    assert {"STD-IOD-019", "STD-IOD-020", "STD-IOD-027"} <= set(failures(findings))
