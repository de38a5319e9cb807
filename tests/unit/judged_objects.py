"""Right objects to be made wrong: a DX image, a US Multi-frame image, a Secondary Capture and a dose report's header."""

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
