"""Attributes that belong to another kind of object.

Rules of this file:

* An attribute that no module of the IOD names makes the object one of a Standard Extended SOP Class. That is
  wrong where the statement excludes these and the attribute has no meaning in this kind of object
  (:data:`FOREIGN`); else it is a remark.
* What the statement's own tables list is its own affair (erratum VX-E-10).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.iod.subjects import Subject, subjects
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case

ID: Final = "STD-IOD-008"

FOREIGN: Final = frozenset(
    {
        # frames and their times
        "FrameTime",
        "FrameTimeVector",
        "FrameDelay",
        "CineRate",
        "StartTrim",
        "StopTrim",
        "NumberOfFrames",
        "FrameIncrementPointer",
        "EffectiveDuration",
        "RecommendedDisplayFrameRate",
        "PreferredPlaybackSequencing",
        "ActualFrameDuration",
        "RepresentativeFrameNumber",
        "MultiplexedAudioChannelsDescriptionCodeSequence",
        # ultrasound
        "SequenceOfUltrasoundRegions",
        "UltrasoundColorDataPresent",
        "MechanicalIndex",
        "BoneThermalIndex",
        "CranialThermalIndex",
        "SoftTissueThermalIndex",
        "SoftTissueFocusThermalIndex",
        "SoftTissueSurfaceThermalIndex",
        "DepthOfScanField",
        "TransducerData",
        "TransducerType",
        "FocusDepth",
        "ProcessingFunction",
        "IVUSAcquisition",
        "IVUSPullbackRate",
        # slices and their physics
        "SliceThickness",
        "SpacingBetweenSlices",
        "SliceLocation",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "ReconstructionDiameter",
        "GantryDetectorTilt",
        "TableHeight",
        "SpiralPitchFactor",
        "CTDIvol",
        "ConvolutionKernel",
        "EchoTime",
        "RepetitionTime",
        "InversionTime",
        "FlipAngle",
        "MagneticFieldStrength",
        "EchoNumbers",
        "EchoTrainLength",
        "ImagingFrequency",
        "ScanningSequence",
        "SequenceVariant",
        "EnergyWindowInformationSequence",
        "RadiopharmaceuticalInformationSequence",
        "DecayCorrection",
        # X-ray
        "KVP",
        "XRayTubeCurrent",
        "ExposureTime",
        "Exposure",
        "ExposureInuAs",
        "ExposureIndex",
        "TargetExposureIndex",
        "DeviationIndex",
        "DetectorType",
        "ImagerPixelSpacing",
        "DetectorID",
        "ImageAndFluoroscopyAreaDoseProduct",
        "PresentationIntentType",
        "ViewPosition",
        # plans and doses
        "DoseUnits",
        "DoseType",
        "DoseGridScaling",
        "StructureSetROISequence",
        "RTImagePlane",
        "BeamSequence",
    }
)


@check(ID)
def foreign_attributes(case: Case) -> Iterator[Finding]:
    """Every object that has a table."""
    for subject in subjects(case):
        yield from judge(subject)


def judge(subject: Subject) -> Iterator[Finding]:
    """Judge one object: attributes of the top level that its IOD does not name."""
    iod = subject.iod
    if iod is None:
        return
    wrong = False
    for element in subject.dataset.elements:
        keyword = element.keyword
        if not keyword or keyword in iod.keywords or subject.declared.names(keyword):
            continue
        where = subject.on(element)
        reason = f"{label(keyword)} is no attribute of the {iod.name} IOD"
        excluded = subject.declared.excludes_extension if keyword in FOREIGN else None
        harmless = keyword == "NumberOfFrames" and subject.dataset.number(keyword) == 1
        if excluded and not harmless:
            wrong = True
            yield failed(ID, f"{reason}, and {excluded} excludes Standard Extended SOP Classes", where)
        else:
            yield remark(ID, f"{reason}: a Standard Extended SOP Class", where)
    if not wrong:
        yield passed(ID, "the object has the attributes of its IOD", *subject.at())
