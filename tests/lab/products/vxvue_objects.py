"""What VXvue sends as data sets: DX images, procedure steps, commitment requests, dose reports.

Rules of this file: sections 5, 8, 9.1 and 11 of the specification, with today's standard where it demands more.  Empty
type 2 elements are None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tests.lab.elements import DataSet
from tests.lab.products.facts import Exam, Exposure, Person, da, tm, uid

DX: Final = "1.2.840.10008.5.1.4.1.1.1.1"
SR: Final = "1.2.840.10008.5.1.4.1.1.88.67"
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
DETACHED_STUDY: Final = "1.2.840.10008.3.1.2.3.1"
REGION: Final = {"CHEST": ("816094009", "Chest"), "HAND": ("85562004", "Hand")}
VIEW: Final = {
    "PA": ("272479007", "postero-anterior"),
    "LL": ("399173006", "left lateral"),
    "AP": ("399348003", "antero-posterior"),
}
ORIENTATION: Final = {"PA": ["L", "F"], "AP": ["L", "F"], "LL": ["A", "F"]}


def code(value: str, scheme: str, meaning: str, version: str | None = None) -> DataSet:
    """A coded entry."""
    ds = DataSet(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
    return ds.put("CodingSchemeVersion", version) if version else ds


def reference(sop_class: str, sop_instance: str) -> DataSet:
    """An item that names an instance."""
    return DataSet(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=sop_instance)


def procedure_codes(exam: Exam) -> list[DataSet]:
    """Requested Procedure Code Sequence, and what it becomes."""
    return [code("CHEST2V", "99RIS", exam.person.procedure)] if exam.codes and exam.scheduled else []


def protocol_codes(exam: Exam) -> list[DataSet]:
    """Scheduled Protocol Code Sequence, and what it becomes."""
    return [code("CHESTPA", "99RIS", exam.person.step)] if exam.codes and exam.scheduled else []


def _common(exam: Exam, sop_class: str, sop_instance: str) -> DataSet:
    """What every composite object of the study says: patient, study, SOP."""
    p: Person = exam.person
    ds = DataSet(
        SOPClassUID=sop_class,
        SOPInstanceUID=sop_instance,
        StudyDate=da(exam.start),
        StudyTime=tm(exam.start),
        AccessionNumber=exam.accession,
        ReferringPhysicianName=p.physician if exam.scheduled else None,
        StudyDescription=p.step,
        StudyInstanceUID=exam.study,
        StudyID=f"S{exam.number}",
        PatientName=p.name,
        PatientID=exam.patient_id,
        PatientBirthDate=p.birth,
        PatientSex=p.sex,
        PatientAge=p.age,
        PatientWeight="61.5",
        PatientSize="1.68",
    )
    if p.charset:
        ds.put("SpecificCharacterSet", list(p.charset))
    if exam.scheduled and exam.codes:
        ds.put("ProcedureCodeSequence", procedure_codes(exam))
    return ds


def _equipment(ds: DataSet, exam: Exam) -> None:
    ds.update(
        Manufacturer="Vieworks Co.,Ltd",
        InstitutionName=exam.person.institution,
        InstitutionAddress="1 Test Street",
        StationName="ROOM1",
        InstitutionalDepartmentName="Radiology",
        ManufacturerModelName="VIVIX-S 1417N",
        DeviceSerialNumber="VX12345",
        SoftwareVersions="1.1.3.8",
        DateOfLastCalibration="20250102",
        TimeOfLastCalibration="081500",
    )


def _step_reference(exam: Exam) -> list[DataSet]:
    return [reference(MPPS, exam.step)]


def dx_image(exam: Exam, e: Exposure, *, mpps: bool = True, full: bool = False) -> DataSet:
    """A DX image for presentation; ``full``: with the optional rows of the tables that are usually unknown."""
    p = exam.person
    when = exam.time(e)
    ds = _common(exam, DX, exam.image(e))
    _equipment(ds, exam)
    # General and DX series
    ds.update(
        SeriesDate=da(exam.start + 20),
        SeriesTime=tm(exam.start + 20),
        Modality="DX",
        ProtocolName=e.body_part,
        SeriesDescription=p.step,
        OperatorsName="Tech^Nick",
        BodyPartExamined=e.body_part,
        SeriesInstanceUID=exam.series(e),
        SeriesNumber=e.series,
        PresentationIntentType="FOR PRESENTATION",
        PerformedProcedureStepStartDate=da(exam.start + 10),
        PerformedProcedureStepStartTime=tm(exam.start + 10),
        PerformedProcedureStepID=exam.performed_id,
        PerformedProcedureStepDescription=p.step,
    )
    if mpps:
        ds.put("ReferencedPerformedProcedureStepSequence", _step_reference(exam))
    if exam.scheduled:
        ds.put("PerformingPhysicianName", p.physician)
        request = DataSet(
            RequestedProcedureID=exam.requested_id,
            ScheduledProcedureStepID=exam.scheduled_id,
            StudyInstanceUID=exam.study,
            AccessionNumber=exam.accession,
            RequestedProcedureDescription=p.procedure,
            ScheduledProcedureStepDescription=p.step,
        )
        if exam.codes:
            request.put("RequestedProcedureCodeSequence", procedure_codes(exam))
            request.put("ScheduledProtocolCodeSequence", protocol_codes(exam))
            ds.put("PerformedProtocolCodeSequence", protocol_codes(exam))
        ds.put("RequestAttributesSequence", [request])
        ds.put("RequestedProcedurePriority", "ROUTINE")
    # General image
    ds.update(
        InstanceNumber=e.number,
        PatientOrientation=ORIENTATION[e.view],
        ContentDate=da(when),
        ContentTime=tm(when),
        AcquisitionDate=da(when),
        AcquisitionTime=tm(when),
        ImageType=["DERIVED", "PRIMARY"],
        DerivationDescription="Processed for presentation",
        BurnedInAnnotation="NO",
        LossyImageCompression="00",
    )
    # Image pixel and DX image
    pixels = e.pixels()
    words = memoryview(pixels).cast("H")
    ds.update(
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=e.rows,
        Columns=e.columns,
        BitsAllocated=16,
        BitsStored=e.bits,
        HighBit=e.bits - 1,
        PixelRepresentation=0,
        SmallestImagePixelValue=min(words),
        LargestImagePixelValue=max(words),
        PixelIntensityRelationship="LOG",
        PixelIntensityRelationshipSign=-1,
        RescaleIntercept="0",
        RescaleSlope="1",
        RescaleType="US",
        PresentationLUTShape="IDENTITY",
        WindowCenter=str(1 << e.bits - 1),
        WindowWidth=str(1 << e.bits),
        PixelSpacing=["0.139", "0.139"],
    )
    ds.put("PixelData", pixels, vr="OW")
    # Anatomy, positioning, detector, dose
    ds.update(
        ImageLaterality="U",
        AnatomicRegionSequence=[code(REGION[e.body_part][0], "SCT", REGION[e.body_part][1])],
        ViewPosition=e.view,
        PositionerType=None,
        ViewCodeSequence=[code(VIEW[e.view][0], "SCT", VIEW[e.view][1])],
        AcquisitionContextSequence=[],
        DetectorType="SCINTILLATOR",
        DetectorConfiguration="AREA",
        DetectorMode="NORMAL",
        DetectorID="F1N3000123",
        DateOfLastDetectorCalibration="20250102",
        TimeOfLastDetectorCalibration="081500",
        DetectorBinning=["1", "1"],
        DetectorManufacturerName="Vieworks Co.,Ltd",
        DetectorManufacturerModelName="VIVIX-S 1417N",
        DetectorTemperature="31.5",
        ImagerPixelSpacing=["0.139", "0.139"],
        KVP=e.kvp,
        XRayTubeCurrent=e.ma,
        XRayTubeCurrentInuA=e.ma * 1000,
        ExposureTime=e.ms,
        ExposureTimeInuS=e.ms * 1000,
        Exposure=round(e.mas),
        ExposureInuAs=round(e.mas * 1000),
        ExposureIndex=e.ei,
        TargetExposureIndex=e.target,
        DeviationIndex=e.di,
        ImageAndFluoroscopyAreaDoseProduct=f"{e.dap_dgycm2:g}",
    )
    if full:
        ds.update(
            PatientBirthTime="031500",
            OtherPatientIDs="OLD77",
            OtherPatientNames=p.name,
            EthnicGroup="N/A",
            PatientComments=p.comment,
            NameOfPhysiciansReadingStudy=[p.physician, p.physician],
            PhysiciansOfRecord=p.physician,
            AdmittingDiagnosesDescription="Cough",
            Occupation="Miner",
            AdditionalPatientHistory=p.comment,
            PatientInstitutionResidence="Ward 3",
            ImageComments=p.comment,
            SmallestPixelValueInSeries=min(words),
            LargestPixelValueInSeries=max(words),
            ReferencedStudySequence=[reference(DETACHED_STUDY, exam.study)],
        )
    return ds


def in_progress(exam: Exam, ae: str) -> DataSet:
    """The N-CREATE of a performed procedure step (section 8.2)."""
    p = exam.person
    scheduled = DataSet(
        AccessionNumber=exam.accession,
        ReferencedStudySequence=[reference(DETACHED_STUDY, exam.study)],
        StudyInstanceUID=exam.study,
        RequestedProcedureDescription=p.procedure if exam.scheduled else None,
        ScheduledProcedureStepDescription=p.step if exam.scheduled else None,
        ScheduledProtocolCodeSequence=protocol_codes(exam),
        ScheduledProcedureStepID=exam.scheduled_id,
        RequestedProcedureID=exam.requested_id,
    )
    ds = DataSet(
        PatientName=p.name,
        PatientID=exam.patient_id,
        PatientBirthDate=p.birth,
        PatientSex=p.sex,
        ReferencedPatientSequence=[],
        ScheduledStepAttributesSequence=[scheduled],
        ProcedureCodeSequence=procedure_codes(exam),
        PerformedStationAETitle=ae,
        PerformedStationName="ROOM1",
        PerformedLocation="XRAY",
        PerformedProcedureStepStartDate=da(exam.start + 10),
        PerformedProcedureStepStartTime=tm(exam.start + 10),
        PerformedProcedureStepEndDate=None,
        PerformedProcedureStepEndTime=None,
        PerformedProcedureStepStatus="IN PROGRESS",
        PerformedProcedureStepID=exam.performed_id,
        PerformedProcedureStepDescription=p.step,
        PerformedProcedureTypeDescription=None,
        Modality="DX",
        StudyID=f"S{exam.number}",
        PerformedProtocolCodeSequence=protocol_codes(exam),
        PerformedSeriesSequence=[],
    )
    if p.charset:
        ds.put("SpecificCharacterSet", list(p.charset))
    return ds


def final(exam: Exam, result: str, retrieve: str, now: float) -> DataSet:
    """The final N-SET (section 8.3)."""
    p = exam.person
    series: dict[int, list[Exposure]] = {}
    for e in exam.exposures:
        series.setdefault(e.series, []).append(e)
    items = []
    for group in series.values():
        protocol = group[0].body_part if result == "COMPLETED" else "Unknown"
        items.append(
            DataSet(
                PerformingPhysicianName=p.physician if exam.scheduled else None,
                ProtocolName=protocol,
                OperatorsName="Tech^Nick",
                SeriesInstanceUID=exam.series(group[0]),
                SeriesDescription=p.step,
                RetrieveAETitle=retrieve,
                ReferencedImageSequence=[reference(DX, exam.image(e)) for e in group],
                ReferencedNonImageCompositeSOPInstanceSequence=[],
            )
        )
    ds = DataSet(
        ProcedureCodeSequence=procedure_codes(exam),
        PerformedProcedureStepEndDate=da(now),
        PerformedProcedureStepEndTime=tm(now),
        PerformedProcedureStepStatus=result,
        PerformedProcedureStepDescription=p.step,
        PerformedProcedureTypeDescription=None,
        PerformedProtocolCodeSequence=protocol_codes(exam),
        PerformedSeriesSequence=items,
    )
    if p.charset:
        ds.put("SpecificCharacterSet", list(p.charset))
    return ds


def commitment_request(transaction: str, instances: Sequence[tuple[str, str]]) -> DataSet:
    """The N-ACTION of section 9.1."""
    return DataSet(TransactionUID=transaction, ReferencedSOPSequence=[reference(*pair) for pair in instances])


# -- dose report --------------------------------------------------------------------------------------------


def item(relation: str, kind: str, concept: tuple[str, str, str], **values: Any) -> DataSet:
    """A content item."""
    ds = DataSet(RelationshipType=relation, ValueType=kind, ConceptNameCodeSequence=[code(*concept)])
    return ds.update(**values)


def coded(
    relation: str, concept: tuple[str, str, str], value: tuple[str, str, str], *children: DataSet
) -> DataSet:
    """A CODE item."""
    ds = item(relation, "CODE", concept, ConceptCodeSequence=[code(*value)])
    return ds.put("ContentSequence", list(children)) if children else ds


def number(concept: tuple[str, str, str], value: float, unit: str, meaning: str | None = None) -> DataSet:
    """A NUM item."""
    measured = DataSet(
        NumericValue=f"{value:g}", MeasurementUnitsCodeSequence=[code(unit, "UCUM", meaning or unit)]
    )
    return item("CONTAINS", "NUM", concept, MeasuredValueSequence=[measured])


def container(concept: tuple[str, str, str], children: list[DataSet]) -> DataSet:
    """A CONTAINER item."""
    return item("CONTAINS", "CONTAINER", concept, ContinuityOfContent="SEPARATE", ContentSequence=children)


def dcm(value: str, meaning: str) -> tuple[str, str, str]:
    """A code of the DICOM vocabulary."""
    return value, "DCM", meaning


YES: Final = ("R-0038D", "SRT", "Yes")
NO: Final = ("R-00339", "SRT", "No")
PLANE: Final = (dcm("113764", "Acquisition Plane"), dcm("113622", "Single Plane"))
DETECTOR_PLANE: Final = (dcm("113780", "Reference Point Definition"), dcm("113941", "In Detector Plane"))
AREA: Final = 0.1505
"""Area of the beam at the detector in m²."""


def _event(exam: Exam, e: Exposure) -> DataSet:
    when = exam.time(e)
    return container(
        dcm("113706", "Irradiation Event X-Ray Data"),
        [
            coded("HAS CONCEPT MOD", *PLANE),
            item("CONTAINS", "UIDREF", dcm("113769", "Irradiation Event UID"), UID=exam.event(e)),
            item("CONTAINS", "DATETIME", dcm("111526", "DateTime Started"), DateTime=da(when) + tm(when)),
            coded(
                "CONTAINS", dcm("113721", "Irradiation Event Type"), dcm("113611", "Stationary Acquisition")
            ),
            coded("CONTAINS", dcm("111031", "Image View"), (VIEW[e.view][0], "SCT", VIEW[e.view][1])),
            coded(
                "CONTAINS",
                dcm("123014", "Target Region"),
                (REGION[e.body_part][0], "SCT", REGION[e.body_part][1]),
            ),
            number(dcm("122130", "Dose Area Product"), e.dap_ugym2, "uGy.m2"),
            number(dcm("113845", "Exposure Index"), e.ei, "1", "no units"),
            number(dcm("113846", "Target Exposure Index"), e.target, "1", "no units"),
            number(dcm("113847", "Deviation Index"), float(e.di), "1", "no units"),
            item(
                "CONTAINS",
                "IMAGE",
                dcm("113795", "Acquired Image"),
                ReferencedSOPSequence=[reference(DX, exam.image(e))],
            ),
            number(dcm("113738", "Dose (RP)"), _dose(e), "Gy"),
            coded("CONTAINS", *DETECTOR_PLANE),
            number(dcm("113733", "KVP"), e.kvp, "kV"),
            number(dcm("113734", "X-Ray Tube Current"), e.ma, "mA"),
            number(dcm("113824", "Exposure Time"), e.ms, "ms"),
            number(dcm("113736", "Exposure"), e.mas * 1000, "uA.s"),
            coded("CONTAINS", dcm("111635", "X-Ray Grid"), dcm("111641", "Fixed grid")),
            coded(
                "CONTAINS",
                dcm("113956", "CR/DR Mechanical Configuration"),
                dcm("113954", "Upright Stand Mount"),
            ),
            number(dcm("112011", "Positioner Primary Angle"), 0, "deg"),
            number(dcm("111633", "Compression Thickness"), 0, "mm"),
            number(dcm("113750", "Distance Source to Detector"), 1800, "mm"),
        ],
    )


def _dose(e: Exposure) -> float:
    """Dose at the reference point in Gy."""
    return float(f"{e.dap_ugym2 / 1e6 / AREA:.3g}")


def dose_report(exam: Exam, now: float, *, mpps: bool = True) -> DataSet:
    """The X-Ray Radiation Dose SR (section 11), TID 10001."""
    shots = exam.exposures
    ds = _common(exam, SR, exam.report)
    _equipment(ds, exam)
    observer = [
        coded("HAS OBS CONTEXT", dcm("121005", "Observer Type"), dcm("121007", "Device")),
        item("HAS OBS CONTEXT", "UIDREF", dcm("121012", "Device Observer UID"), UID=uid("device")),
        item("HAS OBS CONTEXT", "TEXT", dcm("121013", "Device Observer Name"), TextValue="ROOM1"),
        item(
            "HAS OBS CONTEXT",
            "TEXT",
            dcm("121014", "Device Observer Manufacturer"),
            TextValue="Vieworks Co.,Ltd",
        ),
        item(
            "HAS OBS CONTEXT", "TEXT", dcm("121015", "Device Observer Model Name"), TextValue="VIVIX-S 1417N"
        ),
        item("HAS OBS CONTEXT", "TEXT", dcm("121016", "Device Observer Serial Number"), TextValue="VX12345"),
    ]
    total = round(sum(e.dap_ugym2 for e in shots), 6)
    dose = float(f"{sum(_dose(e) for e in shots):.4g}")
    accumulated = container(
        dcm("113702", "Accumulated X-Ray Dose Data"),
        [
            coded("HAS CONCEPT MOD", *PLANE),
            number(dcm("113727", "Acquisition Dose Area Product Total"), total, "uGy.m2"),
            number(dcm("113729", "Acquisition Dose (RP) Total"), dose, "Gy"),
            number(dcm("113855", "Total Acquisition Time"), sum(e.ms for e in shots) / 1000, "s"),
            number(dcm("113722", "Dose Area Product Total"), total, "uGy.m2"),
            number(dcm("113725", "Dose (RP) Total"), dose, "Gy"),
            coded("CONTAINS", *DETECTOR_PLANE),
        ],
    )
    intent = coded(
        "HAS CONCEPT MOD", ("G-C0E8", "SRT", "Has Intent"), ("R-408C3", "SRT", "Diagnostic Intent")
    )
    study = item("HAS PROPERTIES", "UIDREF", dcm("110180", "Study Instance UID"), UID=exam.study)
    content = [
        coded(
            "HAS CONCEPT MOD", dcm("121058", "Procedure reported"), dcm("113704", "Projection X-Ray"), intent
        ),
        *observer,
        coded("HAS OBS CONTEXT", dcm("113705", "Scope of Accumulation"), dcm("113014", "Study"), study),
        coded("CONTAINS", dcm("113945", "X-Ray Detector Data Available"), YES),
        coded("CONTAINS", dcm("113943", "X-Ray Source Data Available"), YES),
        coded("CONTAINS", dcm("113944", "X-Ray Mechanical Data Available"), NO),
        accumulated,
        *(_event(exam, e) for e in shots),
        coded(
            "CONTAINS",
            dcm("113854", "Source of Dose Information"),
            dcm("113856", "Automated Data Collection"),
        ),
    ]
    evidence: dict[str, list[DataSet]] = {}
    for e in shots:
        evidence.setdefault(exam.series(e), []).append(reference(DX, exam.image(e)))
    series = [DataSet(SeriesInstanceUID=s, ReferencedSOPSequence=refs) for s, refs in evidence.items()]
    ds.update(
        Modality="SR",
        SeriesInstanceUID=exam.uid("dose series"),
        SeriesNumber=9999,
        SeriesDate=da(now),
        SeriesTime=tm(now),
        SeriesDescription="Dose report",
        InstanceNumber=1,
        ContentDate=da(now),
        ContentTime=tm(now),
        CompletionFlag="PARTIAL",
        VerificationFlag="UNVERIFIED",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=[code("113701", "DCM", "X-Ray Radiation Dose Report")],
        ContinuityOfContent="SEPARATE",
        ContentTemplateSequence=[DataSet(MappingResource="DCMR", TemplateIdentifier="10001")],
        ContentSequence=content,
        ReferencedPerformedProcedureStepSequence=_step_reference(exam) if mpps else [],
        PerformedProcedureCodeSequence=[],
        CurrentRequestedProcedureEvidenceSequence=[
            DataSet(StudyInstanceUID=exam.study, ReferencedSeriesSequence=series)
        ],
    )
    if exam.scheduled:
        request = DataSet(
            StudyInstanceUID=exam.study,
            ReferencedStudySequence=[],
            AccessionNumber=exam.accession,
            PlacerOrderNumberImagingServiceRequest=None,
            FillerOrderNumberImagingServiceRequest=None,
            RequestedProcedureID=exam.requested_id,
            RequestedProcedureDescription=exam.person.procedure,
            RequestedProcedureCodeSequence=procedure_codes(exam),
        )
        ds.put("ReferencedRequestSequence", [request])
    return ds
