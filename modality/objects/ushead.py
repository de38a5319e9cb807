"""What every object of the ultrasound product says: patient, study, series, equipment, image, pixels.

Rules of this file:

* Type 2 always, empty when not known; type 3 when the value is known (MX-D-12).
* Texts of the order are taken over and written in its character set when the statement lists it (MX-D-11, F7).
* Beside the statement's rows nothing but what the standard's modules have.
"""

from __future__ import annotations

from collections.abc import Sequence as Many

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from ..dicom.charset import seal, terms_of
from ..dicom.terms import normal
from ..dicom.values import age, da, tm
from ..pixel.elements import PIXEL_DATA, head
from ..pixel.part10 import file_start
from ..pixel.syntaxes import EXPLICIT_LE
from .common import codes, put, request, scheduled_step, sex, step_description, text, value
from .usfacts import CHARSETS, Instance, UsFacts

Pixels = npt.NDArray[np.uint8]
_LONGEST = 0xFFFFFFFE


def start(sop_class: str, facts: UsFacts, order: Dataset) -> Dataset:
    """A data set with the modules that all kinds share, without the image's own."""
    out = Dataset()
    out.SOPClassUID = sop_class
    out.SOPInstanceUID = facts.sop_instance
    _patient(out, order, facts)
    _study(out, order, facts)
    _series(out, order, facts)
    _equipment(out, facts)
    return out


def _patient(out: Dataset, order: Dataset, facts: UsFacts) -> None:
    out.PatientName = text(order, "PatientName")
    out.PatientID = text(order, "PatientID")
    out.PatientBirthDate = text(order, "PatientBirthDate")
    out.PatientSex = sex(order)
    for keyword in ("PatientAge", "PatientSize", "PatientWeight", "PatientComments"):
        found = value(order, keyword)
        if found is not None:
            setattr(out, keyword, found)
    if "PatientAge" not in out:
        known = age(text(order, "PatientBirthDate"), facts.study_started.date())
        if known:
            out.PatientAge = known


def _study(out: Dataset, order: Dataset, facts: UsFacts) -> None:
    scheduled = scheduled_step(order)
    day = text(scheduled, "ScheduledProcedureStepStartDate")
    out.StudyDate = day or da(facts.study_started)  # D1
    out.StudyTime = (text(scheduled, "ScheduledProcedureStepStartTime") if day else "") or tm(
        facts.study_started
    )
    out.AccessionNumber = text(order, "AccessionNumber")
    out.ReferringPhysicianName = text(order, "ReferringPhysicianName")
    out.StudyInstanceUID = facts.study_uid
    out.StudyID = facts.study_id
    _known(out, StudyDescription=step_description(order))
    put(out, "ProcedureCodeSequence", codes(order, "RequestedProcedureCodeSequence"))


def _series(out: Dataset, order: Dataset, facts: UsFacts) -> None:
    scheduled = scheduled_step(order)
    out.Modality = "US"
    out.SeriesInstanceUID = facts.series_uid
    out.SeriesNumber = str(facts.series_number)
    out.SeriesDate = da(facts.series_started)
    out.SeriesTime = tm(facts.series_started)
    _known(
        out,
        ProtocolName=facts.protocol,
        SeriesDescription=facts.description,
        BodyPartExamined=facts.body_part,
        PerformingPhysicianName=text(scheduled, "ScheduledPerformingPhysicianName"),
        OperatorsName=text(order, "OperatorsName") or facts.device.operator,
    )
    answered = request(order, facts.study_uid)
    put(out, "RequestAttributesSequence", [answered] if answered is not None else [])


def _equipment(out: Dataset, facts: UsFacts) -> None:
    device = facts.device
    out.Manufacturer = device.manufacturer
    _known(
        out,
        ManufacturerModelName=device.model,
        SoftwareVersions=device.software_version,
        DeviceSerialNumber=device.serial,
        StationName=device.station_name,
        InstitutionName=device.institution,
        InstitutionAddress=device.institution_address,
        InstitutionalDepartmentName=device.department,
    )


def _known(out: Dataset, **values: str) -> None:
    for keyword, found in values.items():
        if found:
            setattr(out, keyword, found)


def put_image(out: Dataset, facts: UsFacts, image_type: list[str], *, burned_in: bool) -> None:
    """General Image and General Acquisition (MX-STO-IMG-001 … 009)."""
    out.InstanceNumber = str(facts.number)
    out.ImageType = image_type
    out.PatientOrientation = None  # MX-STO-IMG-002: of type 2C, and not known for a hand-held probe
    out.ContentDate = out.AcquisitionDate = da(facts.acquired)
    out.ContentTime = out.AcquisitionTime = tm(facts.acquired, fraction=True)
    out.AcquisitionDateTime = da(facts.acquired) + tm(facts.acquired, fraction=True)
    out.BurnedInAnnotation = "YES" if burned_in else "NO"
    out.LossyImageCompression = "00"


def put_pixels(out: Dataset, frames: Many[Pixels]) -> None:
    """Image Pixel: one or more frames of one shape, 8 bits (MX-D-14).

    Raises:
        ValueError: no frame, or not all of one shape of gray or RGB bytes, or more than one Pixel Data can hold.
    """
    if not frames:
        raise ValueError("a clip without pictures")
    shape = frames[0].shape
    for frame in frames:
        if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or frame.shape[2:] not in ((), (3,)):
            raise ValueError(f"no gray or RGB picture of 8 bits: {frame.shape} {frame.dtype}")
        if frame.shape != shape:
            raise ValueError(f"pictures of {shape} and {frame.shape} cannot be one clip")
    if not all(1 <= side <= 0xFFFF for side in shape[:2]):
        raise ValueError(f"a picture of {shape[1]} x {shape[0]} pixels")
    if frames[0].nbytes * len(frames) > _LONGEST:
        raise ValueError("the clip has more than 4 GB")
    colour = len(shape) == 3
    out.SamplesPerPixel = 3 if colour else 1
    out.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        out.PlanarConfiguration = 0
    out.Rows, out.Columns = int(shape[0]), int(shape[1])
    out.BitsAllocated = out.BitsStored = 8
    out.HighBit = 7
    out.PixelRepresentation = 0


def finish(out: Dataset, facts: UsFacts, order: Dataset, frames: Many[Pixels]) -> Instance:
    """Freeze the texts in their character set and put header and pixels together.

    Raises:
        ValueError: the attributes cannot be written.
    """
    asked = normal(terms_of(order))
    seal(out, *([asked] if asked in CHARSETS else []), facts.charset)
    body = encode(out, False, True)
    if body is None:
        raise ValueError("the image's attributes cannot be written")
    views = [np.ascontiguousarray(frame).data.cast("B") for frame in frames]
    length = sum(view.nbytes for view in views)
    if length % 2:
        views.append(memoryview(b"\0"))
    sop_class = str(out.SOPClassUID)
    return Instance(
        sop_class,
        facts.sop_instance,
        file_start(sop_class, facts.sop_instance, EXPLICIT_LE, facts.device.implementation)
        + bytes(body)
        + head(PIXEL_DATA, "OB", length + length % 2, implicit=False, big=False),
        tuple(views),
        int(out.Rows),
        int(out.Columns),
        int(out.SamplesPerPixel),
        len(frames),
    )
