"""A whole exam that is right: worklist, step, two images, dose report, commitment; to be made wrong in one place."""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence

from tests.unit.judged_objects import DX, STEP, STUDY, code, dose_report, dx, event
from tests.unit.judged_scene import Scene

IMAGES = ("2.25.3001", "2.25.3002")


def order() -> Dataset:
    """A worklist item."""
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.PatientName, item.PatientID, item.PatientBirthDate, item.PatientSex = (
        "Doe^Jane",
        "P1",
        "19800102",
        "F",
    )
    item.AccessionNumber, item.StudyInstanceUID, item.RequestedProcedureID = "A1", STUDY, "RP1"
    item.ReferringPhysicianName, item.RequestedProcedureDescription = "Ref^Erring", "Chest"
    item.ReferencedStudySequence = Sequence([])
    step = Dataset()
    step.Modality, step.ScheduledProcedureStepID, step.ScheduledStationAETitle = "DX", "SPS1", "VXVUE"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20261121", "090000"
    step.ScheduledProcedureStepDescription = "Chest PA"
    step.ScheduledProtocolCodeSequence = Sequence([code("PA1", "99LOCAL", "Chest PA")])
    item.ScheduledProcedureStepSequence = Sequence([step])
    return item


def begun() -> Dataset:
    """An N-CREATE."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "P1", "19800102", "F"
    ds.PerformedProcedureStepID, ds.PerformedProcedureStepStatus, ds.Modality = "PPS1", "IN PROGRESS", "DX"
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime, ds.StudyID = (
        "20261121",
        "091400",
        "S1",
    )
    item = Dataset()
    item.StudyInstanceUID, item.AccessionNumber = STUDY, "A1"
    item.ScheduledProcedureStepID, item.RequestedProcedureID = "SPS1", "RP1"
    item.RequestedProcedureDescription, item.ScheduledProcedureStepDescription = "Chest", "Chest PA"
    item.ScheduledProtocolCodeSequence = Sequence([code("PA1", "99LOCAL", "Chest PA")])
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", STUDY
    item.ReferencedStudySequence = Sequence([study])
    ds.ScheduledStepAttributesSequence = Sequence([item])
    ds.PerformedSeriesSequence = Sequence([])
    return ds


def ended(*images: str) -> Dataset:
    """A final N-SET."""
    ds = Dataset()
    ds.PerformedProcedureStepStatus = "COMPLETED"
    ds.PerformedProcedureStepEndDate, ds.PerformedProcedureStepEndTime = "20261121", "091700"
    series = Dataset()
    series.SeriesInstanceUID, series.ProtocolName, series.SeriesDescription = "2.25.2001", "Chest PA", "Chest"
    references = []
    for image in images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, image
        references.append(item)
    series.ReferencedImageSequence = Sequence(references)
    series.ReferencedNonImageCompositeSOPInstanceSequence = Sequence([])
    ds.PerformedSeriesSequence = Sequence([series])
    return ds


def image(number: int) -> Dataset:
    """One of the two images, with its request and its event."""
    ds = dx(IMAGES[number])
    ds.InstanceNumber = number + 1
    ds.PerformedProcedureStepID, ds.IrradiationEventUID = "PPS1", f"2.25.600{number + 1}"
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = "20261121", "091400"
    request = Dataset()
    request.ScheduledProcedureStepID, request.RequestedProcedureID = "SPS1", "RP1"
    request.ScheduledProcedureStepDescription = "Chest PA"
    ds.RequestAttributesSequence = Sequence([request])
    return ds


def asked(*instances: tuple[str, str]) -> Dataset:
    """A commitment request."""
    ds = Dataset()
    ds.TransactionUID = "2.25.9001"
    items = []
    for klass, uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = klass, uid
        items.append(item)
    ds.ReferencedSOPSequence = Sequence(items)
    return ds


class Exam:
    """The parts of the exam; change one, then play it."""

    def __init__(self) -> None:
        self.order = order()
        self.begun = begun()
        self.images = [image(0), image(1)]
        self.report: Dataset = dose_report(
            event(IMAGES[0], "2.25.6001"), event(IMAGES[1], "2.25.6002"), images=IMAGES
        )
        self.ended = ended(*IMAGES)
        self.asked = asked(
            (DX, IMAGES[0]), (DX, IMAGES[1]), (str(self.report.SOPClassUID), str(self.report.SOPInstanceUID))
        )
        self.order_known = True
        self.order_of_work = ("worklist", "begin", "images", "report", "end", "commit")
        self.scene = Scene()

    def play(self, **options: Any) -> Scene:
        """Put all of it into a scene."""
        scene = self.scene
        for part in self.order_of_work:
            if part == "worklist":
                if self.order_known:
                    scene.worklist(self.order)
            elif part == "begin":
                scene.begin(STEP, self.begun)
            elif part == "images":
                for one in self.images:
                    scene.store(one, **options)
            elif part == "report":
                scene.store(self.report)
            elif part == "end":
                scene.end(STEP, self.ended)
            else:
                scene.commit(self.asked)
        return scene
