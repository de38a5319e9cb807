"""Right objects to be made wrong: a DX image, a clip, a Secondary Capture and a dose report."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence

DX = "1.2.840.10008.5.1.4.1.1.1.1"
US = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTI = "1.2.840.10008.5.1.4.1.1.3.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
DOSE = "1.2.840.10008.5.1.4.1.1.88.67"
STUDY = "2.25.1001"
STEP = "2.25.5001"


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A coded entry."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def common(sop_class: str, instance: str, modality: str, series: str) -> Dataset:
    """Patient, study, series, equipment."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, instance
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "P1", "19800102", "F"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20261121", "090000", "A1"
    ds.ReferringPhysicianName, ds.StudyID, ds.StudyInstanceUID = "Ref^Erring", "S1", STUDY
    ds.StudyDescription = "Chest"
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = modality, series, 1
    ds.Manufacturer, ds.InstanceNumber = "Vieworks Co.,Ltd", 1
    return ds


def pixels(ds: Dataset, rows: int, columns: int, stored: int, values: np.ndarray, samples: int = 1) -> None:
    """The Image Pixel module of native pixels."""
    ds.SamplesPerPixel, ds.Rows, ds.Columns = samples, rows, columns
    ds.BitsAllocated = 8 if stored <= 8 else 16
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = stored, stored - 1, 0
    ds.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    ds["PixelData"].VR = "OW" if stored > 8 else "OB"


def dx(instance: str = "2.25.3001", series: str = "2.25.2001", rows: int = 40, columns: int = 30) -> Dataset:
    """A DX image for presentation with everything that VXvue's tables and the standard ask for."""
    ds = common(DX, instance, "DX", series)
    ds.SeriesDate, ds.SeriesTime = "20261121", "091500"
    ds.AcquisitionDate, ds.AcquisitionTime = "20261121", "091502"
    ds.ContentDate, ds.ContentTime = "20261121", "091503"
    ds.PresentationIntentType, ds.BodyPartExamined, ds.ProtocolName = "FOR PRESENTATION", "CHEST", "Chest PA"
    ds.ImageType, ds.BurnedInAnnotation, ds.LossyImageCompression = ["DERIVED", "PRIMARY"], "NO", "00"
    ds.PhotometricInterpretation = "MONOCHROME2"
    values = (np.arange(rows * columns, dtype="<u2") * 7 + 5) % 16384
    pixels(ds, rows, columns, 14, values.astype("<u2"))
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue = int(values.min()), int(values.max())
    ds["SmallestImagePixelValue"].VR = ds["LargestImagePixelValue"].VR = "US"
    ds.PatientOrientation, ds.ImageLaterality = ["L", "F"], "U"
    ds.AnatomicRegionSequence = Sequence([code("816094009", "SCT", "Chest")])
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape, ds.WindowCenter, ds.WindowWidth = "IDENTITY", "8192", "16384"
    ds.ViewPosition, ds.PositionerType = "PA", "COLUMN"
    ds.ViewCodeSequence = Sequence([code("272479007", "SCT", "postero-anterior")])
    ds.DetectorType, ds.ImagerPixelSpacing, ds.DetectorManufacturerName = (
        "SCINTILLATOR",
        ["0.139", "0.139"],
        "Vieworks Co.,Ltd",
    )
    ds.DetectorManufacturerModelName, ds.ManufacturerModelName, ds.StationName = (
        "VIVIX-S 1417N",
        "VIVIX-S 1417N",
        "ROOM1",
    )
    ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime, ds.Exposure = "110", 200, 20, 4
    ds.ExposureInuAs = 4000
    ds.ExposureIndex, ds.TargetExposureIndex, ds.DeviationIndex = "317.0", "400.0", "-1.0"
    ds.ImageAndFluoroscopyAreaDoseProduct = "1.5"
    ds.AcquisitionContextSequence = Sequence([])
    step = Dataset()
    step.ReferencedSOPClassUID, step.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.3", STEP
    ds.ReferencedPerformedProcedureStepSequence = Sequence([step])
    return ds


def us_multi(instance: str = "2.25.3101", series: str = "2.25.2101", frames: int = 3) -> Dataset:
    """A US Multi-frame image, native, one calibrated region."""
    ds = common(US_MULTI, instance, "US", series)
    ds.ImageType, ds.PhotometricInterpretation = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"], "MONOCHROME2"
    pixels(ds, 20, 30, 8, np.arange(20 * 30 * frames, dtype="<u2").astype("u1"))
    ds.NumberOfFrames, ds.FrameIncrementPointer = frames, 0x00181063
    ds.FrameTime, ds.CineRate, ds.StartTrim = "33.3", 30, 1
    ds.PatientOrientation = None
    ds.LossyImageCompression, ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = (
        "01",
        "10",
        "ISO_10918_1",
    )
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 29, 19
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.02
    ds.SequenceOfUltrasoundRegions = Sequence([region])
    return ds


def secondary(instance: str = "2.25.3201") -> Dataset:
    """A colour Secondary Capture."""
    ds = common(SC, instance, "US", "2.25.2201")
    ds.ConversionType, ds.ImageType, ds.PhotometricInterpretation = "WSD", ["DERIVED", "SECONDARY"], "RGB"
    pixels(ds, 8, 10, 8, np.zeros(240, "u1"), 3)
    ds.PlanarConfiguration, ds.PatientOrientation = 0, None
    return ds


def node(relationship: str, kind: str, concept: Dataset, *below: Dataset, **values: object) -> Dataset:
    """A content item."""
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, kind
    item.ConceptNameCodeSequence = Sequence([concept])
    if kind == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for keyword, value in values.items():
        setattr(item, keyword, value)
    if below:
        item.ContentSequence = Sequence(below)
    return item


def coded(relationship: str, concept: Dataset, value: Dataset, *below: Dataset) -> Dataset:
    """A CODE."""
    return node(relationship, "CODE", concept, *below, ConceptCodeSequence=Sequence([value]))


def measured(concept: Dataset, value: str, unit: str, meaning: str = "") -> Dataset:
    """A NUM."""
    inside = Dataset()
    inside.NumericValue = value
    inside.MeasurementUnitsCodeSequence = Sequence([code(unit, "UCUM", meaning or unit)])
    return node("CONTAINS", "NUM", concept, MeasuredValueSequence=Sequence([inside]))


def dcm(value: str, meaning: str) -> Dataset:
    """A code of the DICOM vocabulary."""
    return code(value, "DCM", meaning)


def event(image: str, uid: str, area: str = "15", rp: str = "0.0001") -> Dataset:
    """An irradiation event of VXvue's table."""
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = DX, image
    return node(
        "CONTAINS", "CONTAINER", dcm("113706", "Irradiation Event X-Ray Data"),
        coded("HAS CONCEPT MOD", dcm("113764", "Acquisition Plane"), dcm("113622", "Single Plane")),
        node("CONTAINS", "UIDREF", dcm("113769", "Irradiation Event UID"), UID=uid),
        node("CONTAINS", "DATETIME", dcm("111526", "DateTime Started"), DateTime="20261121091502"),
        coded("CONTAINS", dcm("113721", "Irradiation Event Type"), dcm("113611", "Stationary Acquisition")),
        coded("CONTAINS", dcm("111031", "Image View"), code("272479007", "SCT", "postero-anterior")),
        coded("CONTAINS", dcm("123014", "Target Region"), code("816094009", "SCT", "Chest")),
        measured(dcm("122130", "Dose Area Product"), area, "uGy.m2"),
        measured(dcm("113845", "Exposure Index"), "317", "1", "no units"),
        measured(dcm("113846", "Target Exposure Index"), "400", "1", "no units"),
        measured(dcm("113847", "Deviation Index"), "-1.0", "1", "no units"),
        node("CONTAINS", "IMAGE", dcm("113795", "Acquired Image"), ReferencedSOPSequence=Sequence([reference])),
        measured(dcm("113738", "Dose (RP)"), rp, "Gy"),
        coded("CONTAINS", dcm("113780", "Reference Point Definition"), dcm("113941", "In Detector Plane")),
        measured(dcm("113733", "KVP"), "110", "kV"),
        measured(dcm("113734", "X-Ray Tube Current"), "200", "mA"),
        measured(dcm("113824", "Exposure Time"), "20", "ms"),
        measured(dcm("113736", "Exposure"), "4000", "uA.s"),
        coded("CONTAINS", dcm("111635", "X-Ray Grid"), dcm("111646", "No grid")),
        coded("CONTAINS", dcm("113956", "CR/DR Mechanical Configuration"), dcm("113954", "Upright Stand Mount")),
        measured(dcm("112011", "Positioner Primary Angle"), "0", "deg"),
        measured(dcm("113750", "Distance Source to Detector"), "1800", "mm"),
    )  # fmt: skip


def dose_report(
    *events: Dataset, instance: str = "2.25.4001", images: tuple[str, ...] = ("2.25.3001",)
) -> Dataset:
    """A dose report as VXvue prints it, of one event unless others are given."""
    ds = common(DOSE, instance, "SR", "2.25.2401")
    ds.SeriesNumber, ds.ManufacturerModelName, ds.DeviceSerialNumber, ds.SoftwareVersions = (
        9999,
        "VIVIX-S 1417N",
        "1",
        "3.8",
    )
    ds.StationName, ds.ContentDate, ds.ContentTime = "ROOM1", "20261121", "091600"
    ds.CompletionFlag, ds.VerificationFlag = "PARTIAL", "UNVERIFIED"
    ds.PerformedProcedureCodeSequence = Sequence([])
    step = Dataset()
    step.ReferencedSOPClassUID, step.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.3", STEP
    ds.ReferencedPerformedProcedureStepSequence = Sequence([step])
    references = []
    for image in images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, image
        references.append(item)
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "2.25.2001", Sequence(references)
    study.StudyInstanceUID, study.ReferencedSeriesSequence = STUDY, Sequence([series])
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence([study])
    yes, no = code("R-0038D", "SRT", "Yes"), code("R-00339", "SRT", "No")
    found = events or (event("2.25.3001", "2.25.6001"),)
    area, dose = 15 * len(found), 0.0001 * len(found)
    accumulated = node(
        "CONTAINS", "CONTAINER", dcm("113702", "Accumulated X-Ray Dose Data"),
        coded("HAS CONCEPT MOD", dcm("113764", "Acquisition Plane"), dcm("113622", "Single Plane")),
        measured(dcm("113727", "Acquisition Dose Area Product Total"), str(area), "uGy.m2"),
        measured(dcm("113729", "Acquisition Dose (RP) Total"), f"{dose:.4f}", "Gy"),
        measured(dcm("113855", "Total Acquisition Time"), "0.02", "s"),
        measured(dcm("113722", "Dose Area Product Total"), str(area), "uGy.m2"),
        measured(dcm("113725", "Dose (RP) Total"), f"{dose:.4f}", "Gy"),
        coded("CONTAINS", dcm("113780", "Reference Point Definition"), dcm("113941", "In Detector Plane")),
    )  # fmt: skip
    root = node(
        "", "CONTAINER", dcm("113701", "X-Ray Radiation Dose Report"),
        coded(
            "HAS CONCEPT MOD", dcm("121058", "Procedure reported"), dcm("113704", "Projection X-Ray"),
            coded("HAS CONCEPT MOD", code("G-C0E8", "SRT", "Has Intent"), code("R-408C3", "SRT", "Diagnostic Intent")),
        ),
        coded("HAS OBS CONTEXT", dcm("121005", "Observer Type"), dcm("121007", "Device")),
        node("HAS OBS CONTEXT", "UIDREF", dcm("121012", "Device Observer UID"), UID="2.25.7001"),
        node("HAS OBS CONTEXT", "TEXT", dcm("121013", "Device Observer Name"), TextValue="ROOM1"),
        node("HAS OBS CONTEXT", "TEXT", dcm("121014", "Device Observer Manufacturer"), TextValue="Vieworks Co.,Ltd"),
        node("HAS OBS CONTEXT", "TEXT", dcm("121015", "Device Observer Model Name"), TextValue="VIVIX-S 1417N"),
        node("HAS OBS CONTEXT", "TEXT", dcm("121016", "Device Observer Serial Number"), TextValue="1"),
        coded(
            "HAS OBS CONTEXT", dcm("113705", "Scope of Accumulation"), dcm("113014", "Study"),
            node("HAS PROPERTIES", "UIDREF", dcm("110180", "Study Instance UID"), UID=STUDY),
        ),
        coded("CONTAINS", dcm("113945", "X-Ray Detector Data Available"), yes),
        coded("CONTAINS", dcm("113943", "X-Ray Source Data Available"), yes),
        coded("CONTAINS", dcm("113944", "X-Ray Mechanical Data Available"), no),
        accumulated, *found,
        coded("CONTAINS", dcm("113854", "Source of Dose Information"), dcm("113856", "Automated Data Collection")),
    )  # fmt: skip
    del root.RelationshipType
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "10001"
    root.ContentTemplateSequence = Sequence([template])
    ds.update(root)
    return ds
