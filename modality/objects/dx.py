"""Digital X-Ray Image - For Presentation, with every attribute of the statement (VX-STO-DX-001 … 143).

Rules of this file:

* One function per module of spec sections 5.2 to 5.15; the rows for animals stay out (VX-D-24).
* Type 3 is sent when the value is known (VX-D-32), type 2 always, empty when not known.
* Beyond the tables only what the standard demands: Positioner Type (E1) and Acquisition Context Sequence (VX-E-61).
* The pixels are written behind the encoded data set, so that an image of 32 MB is never copied by the encoder.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.dsutils import encode

from ..dicom.charset import seal, terms_of
from ..dicom.uids import DX_PRESENTATION, MPPS
from ..dicom.values import age, da, decimal, integer, tm
from ..products import vxvue
from ..products.vxvue.config import VxvueConfig
from . import anatomy
from .common import (
    StepFacts,
    code,
    codes,
    put,
    put_start,
    reference,
    references,
    request,
    scheduled_step,
    sex,
    step_description,
    text,
    value,
)

_PIXEL_TAG: Final = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0)[:8]
_PRIORITIES: Final = ("STAT", "HIGH", "ROUTINE", "MEDIUM", "LOW")


class Detector(Protocol):
    """What the acquisition says of the detector (contract of modality.acquisition)."""

    model: str
    serial: str
    temperature_c: float | None
    pixel_pitch_mm: float
    calibrated: datetime | None


class Shot(Protocol):
    """One processed exposure (contract of modality.acquisition)."""

    pixels: npt.NDArray[np.uint16]
    bits_stored: int
    window_center: float
    window_width: float
    kvp: float | None
    ma: float | None
    ms: float | None
    mas: float | None
    dap_dgycm2: float | None
    ei: float | None
    target_ei: float | None
    di: float | None
    started: datetime
    detector: Any


@dataclass(frozen=True)
class ImageFacts:
    """What the console knows of an image beside its pixels."""

    sop_instance: str
    number: int
    series_uid: str
    series_number: int
    series_started: datetime
    protocol: str
    description: str
    body_part: str
    view: str
    laterality: str
    exam_started: datetime
    mpps: bool


def build(
    config: VxvueConfig, order: Dataset, step: StepFacts, facts: ImageFacts, shot: Shot
) -> tuple[bytes, memoryview]:
    """Make one image.

    Returns:
        Everything of the Part 10 file before the pixel values, and the pixel values (little endian); a file is the
        two behind each other.

    Raises:
        ValueError: the pixels are no (rows, columns) array of 1 to 4096 each, or exceed ``bits_stored``.
    """
    pixels = checked(shot.pixels, shot.bits_stored)
    out = Dataset()
    _sop_common(out, facts)
    _patient(out, order)
    _study(out, order, step, facts)
    _series(out, config, order, step, facts)
    _equipment(out, config, shot)
    _image(out, facts, shot)
    _image_pixel(out, pixels, shot.bits_stored)
    _anatomy(out, facts)
    _dx_image(out, shot)
    _positioning(out, facts)
    _detector(out, shot.detector)
    _dose(out, shot)
    out.AcquisitionContextSequence = Sequence()
    seal(out, terms_of(order), config.charset)  # VX-D-16

    body = encode(out, False, True)
    if body is None:
        raise ValueError("the image's attributes cannot be written")
    data = np.ascontiguousarray(pixels, dtype="<u2").data.cast("B")
    header = _PIXEL_TAG + struct.pack("<I", data.nbytes)
    return _file_start(facts.sop_instance) + bytes(body) + header, data


def checked(pixels: npt.NDArray[np.uint16], bits_stored: int) -> npt.NDArray[np.uint16]:
    """The pixels, after making sure that they are an image of the statement (VX-STO-DX-085, 086, 091)."""
    if pixels.ndim != 2 or not all(1 <= side <= 4096 for side in pixels.shape) or pixels.dtype != np.uint16:
        raise ValueError(f"no image of 1 to 4096 rows and columns of 16 bits: {pixels.shape} {pixels.dtype}")
    if bits_stored not in (12, 14):
        raise ValueError(f"{bits_stored} bits stored are not offered (12, 14)")
    if int(pixels.max()) >= 1 << bits_stored:
        raise ValueError(f"a pixel of {int(pixels.max())} does not fit {bits_stored} bits")
    return pixels


def _file_start(sop_instance: str) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # set by the writer
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(DX_PRESENTATION)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(vxvue.IMPLEMENTATION_CLASS_UID)
    buffer = io.BytesIO()
    buffer.write(b"\x00" * 128 + b"DICM")
    # Not enforce_standard: that would add the library's own version name (VX-ASC-008).
    write_file_meta_info(buffer, meta, enforce_standard=False)  # type: ignore[arg-type]
    return buffer.getvalue()


def _sop_common(out: Dataset, facts: ImageFacts) -> None:
    out.SOPClassUID = DX_PRESENTATION
    out.SOPInstanceUID = facts.sop_instance


def _copy(out: Dataset, source: Dataset, *keywords: str) -> None:
    for keyword in keywords:
        found = value(source, keyword)
        if found is not None:
            setattr(out, keyword, found)


def _patient(out: Dataset, order: Dataset) -> None:
    out.PatientName = text(order, "PatientName")
    out.PatientID = text(order, "PatientID")
    out.PatientBirthDate = text(order, "PatientBirthDate")
    out.PatientSex = sex(order)
    _copy(
        out, order,
        "PatientBirthTime", "OtherPatientIDs", "OtherPatientNames", "EthnicGroup", "PatientComments",
        "AdmittingDiagnosesDescription", "PatientAge", "PatientSize", "PatientWeight", "Occupation",
        "AdditionalPatientHistory", "PatientInstitutionResidence",
    )  # fmt: skip


def _study(out: Dataset, order: Dataset, step: StepFacts, facts: ImageFacts) -> None:
    scheduled = scheduled_step(order)
    day = text(scheduled, "ScheduledProcedureStepStartDate")
    out.StudyDate = day or da(facts.exam_started)  # D1
    out.StudyTime = (text(scheduled, "ScheduledProcedureStepStartTime") if day else "") or tm(
        facts.exam_started
    )
    out.AccessionNumber = text(order, "AccessionNumber")
    out.ReferringPhysicianName = text(order, "ReferringPhysicianName")
    out.StudyDescription = step_description(order)
    out.StudyInstanceUID = step.study_uid
    out.StudyID = step.study_id
    _copy(out, order, "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord")
    put(out, "ProcedureCodeSequence", codes(order, "RequestedProcedureCodeSequence"))
    put(out, "ReferencedStudySequence", references(order, "ReferencedStudySequence"))
    if "PatientAge" not in out:
        known = age(text(order, "PatientBirthDate"), facts.exam_started.date())
        if known:
            out.PatientAge = known


def _series(out: Dataset, config: VxvueConfig, order: Dataset, step: StepFacts, facts: ImageFacts) -> None:
    scheduled = scheduled_step(order)
    out.SeriesDate = da(facts.series_started)
    out.SeriesTime = tm(facts.series_started)
    out.Modality = "DX"  # VX-E-18, D3
    out.PresentationIntentType = "FOR PRESENTATION"
    out.SeriesInstanceUID = facts.series_uid
    out.SeriesNumber = str(facts.series_number)
    out.ProtocolName = facts.protocol
    out.SeriesDescription = facts.description
    out.BodyPartExamined = facts.body_part
    # Laterality stays out: its condition (PS3.3 C.7.3.1) is a missing Image Laterality, which DX always has.
    physician = text(scheduled, "ScheduledPerformingPhysicianName")
    if physician:
        out.PerformingPhysicianName = physician
    operator = text(order, "OperatorsName") or config.operator
    if operator:
        out.OperatorsName = operator
    put_start(out, step)
    out.PerformedProcedureStepID = step.pps_id
    description = step_description(order)
    if description:
        out.PerformedProcedureStepDescription = description
    put(out, "PerformedProtocolCodeSequence", codes(scheduled, "ScheduledProtocolCodeSequence"))
    if facts.mpps:
        out.ReferencedPerformedProcedureStepSequence = Sequence([reference(MPPS, step.sop_instance)])  # E2
    answered = request(order, step.study_uid)
    if answered is not None:
        put(answered, "ReferencedStudySequence", references(order, "ReferencedStudySequence"))
        put(out, "RequestAttributesSequence", [answered])
    priority = text(order, "RequestedProcedurePriority").upper()
    if priority in _PRIORITIES:
        out.RequestedProcedurePriority = priority


def _equipment(out: Dataset, config: VxvueConfig, shot: Shot) -> None:
    detector = shot.detector
    model = str(detector.model or "")
    out.Manufacturer = config.manufacturer
    out.StationName = config.station_name
    out.ManufacturerModelName = model if model.startswith(vxvue.MODEL) else vxvue.MODEL
    out.SoftwareVersions = vxvue.SOFTWARE_VERSION
    for keyword, found in (
        ("InstitutionName", config.institution),
        ("InstitutionAddress", config.institution_address),
        ("InstitutionalDepartmentName", config.department),
        ("DeviceSerialNumber", str(detector.serial or "")),
    ):
        if found:
            setattr(out, keyword, found)
    if detector.calibrated is not None:
        out.DateOfLastCalibration = da(detector.calibrated)
        out.TimeOfLastCalibration = tm(detector.calibrated)


def _image(out: Dataset, facts: ImageFacts, shot: Shot) -> None:
    out.InstanceNumber = str(facts.number)
    out.PatientOrientation = list(anatomy.orientation(facts.view))  # VX-E-24
    out.ContentDate = out.AcquisitionDate = da(shot.started)
    out.ContentTime = out.AcquisitionTime = tm(shot.started, fraction=True)
    out.ImageType = ["DERIVED", "PRIMARY"]
    out.DerivationDescription = "Offset, gain and defect correction; processing for presentation"
    out.BurnedInAnnotation = "NO"
    out.LossyImageCompression = "00"


def _image_pixel(out: Dataset, pixels: npt.NDArray[np.uint16], bits_stored: int) -> None:
    out.SamplesPerPixel = 1
    out.PhotometricInterpretation = "MONOCHROME2"
    out.Rows, out.Columns = (int(side) for side in pixels.shape)
    out.BitsAllocated = 16
    out.BitsStored = bits_stored
    out.HighBit = bits_stored - 1
    out.PixelRepresentation = 0
    out.add_new(0x00280106, "US", int(pixels.min()))  # SmallestImagePixelValue: the true extremes (VX-E-27)
    out.add_new(0x00280107, "US", int(pixels.max()))


def _anatomy(out: Dataset, facts: ImageFacts) -> None:
    out.ImageLaterality = facts.laterality
    out.AnatomicRegionSequence = Sequence([code(*anatomy.region(facts.body_part))])


def _dx_image(out: Dataset, shot: Shot) -> None:
    pitch = decimal(shot.detector.pixel_pitch_mm)
    out.PixelIntensityRelationship = "LOG"  # VX-D-30
    out.PixelIntensityRelationshipSign = -1
    out.RescaleIntercept = "0"
    out.RescaleSlope = "1"
    out.RescaleType = "US"
    out.PresentationLUTShape = "IDENTITY"  # VX-E-29
    out.PixelSpacing = [pitch, pitch]
    out.WindowCenter = decimal(shot.window_center)
    out.WindowWidth = decimal(shot.window_width)


def _positioning(out: Dataset, facts: ImageFacts) -> None:
    out.ViewPosition = facts.view
    out.PositionerType = ""  # E1: type 2 in the standard, not known here
    view = anatomy.VIEWS.get(facts.view)
    if view:
        out.ViewCodeSequence = Sequence([code(view[0], "SCT", view[1])])


def _detector(out: Dataset, detector: Detector) -> None:
    pitch = decimal(detector.pixel_pitch_mm)
    out.DetectorType = "SCINTILLATOR"  # VX-D-31
    out.DetectorConfiguration = "AREA"
    out.DetectorMode = "Full resolution"
    out.DetectorBinning = ["1", "1"]
    out.DetectorManufacturerName = vxvue.DETECTOR_MANUFACTURER
    out.DetectorManufacturerModelName = str(detector.model or "") or vxvue.MODEL
    out.ImagerPixelSpacing = [pitch, pitch]
    if detector.serial and len(detector.serial) <= 16:
        out.DetectorID = detector.serial
    if detector.calibrated is not None:
        out.DateOfLastDetectorCalibration = da(detector.calibrated)
        out.TimeOfLastDetectorCalibration = tm(detector.calibrated)
    if detector.temperature_c is not None:
        out.DetectorTemperature = decimal(detector.temperature_c)


def _dose(out: Dataset, shot: Shot) -> None:
    if shot.kvp is not None:
        out.KVP = decimal(shot.kvp)
    if shot.ma is not None:
        out.XRayTubeCurrent = integer(shot.ma)
        out.XRayTubeCurrentInuA = decimal(shot.ma * 1000)
    if shot.ms is not None:
        out.ExposureTime = integer(shot.ms)
        out.ExposureTimeInuS = decimal(shot.ms * 1000)
    if shot.mas is not None:
        out.Exposure = integer(shot.mas)
        out.ExposureInuAs = integer(shot.mas * 1000)
    if shot.ei is not None:
        out.ExposureIndex = decimal(shot.ei)
    if shot.target_ei is not None:
        out.TargetExposureIndex = decimal(shot.target_ei)
    if shot.di is not None:
        out.DeviationIndex = decimal(shot.di)
    if shot.dap_dgycm2 is not None:
        out.ImageAndFluoroscopyAreaDoseProduct = decimal(shot.dap_dgycm2)
