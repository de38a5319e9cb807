"""VXvue as its conformance statement describes it: every service, both ways, message by message.

    lab = Lab(); vx = VXvue(lab); exam = Exam(PERSONS["kanji"])
    vx.exam(exam, mwl=RIS, mpps=RIS, storage=[PACS], commitment=PACS, printer=PRINTER)

Each method is one conversation and gives it back.  Rules of this file: all rows of the statement are satisfied, errata
and rulings as in the specification; attributes that the standard demands beyond the tables are sent too (VX-E-59, 61,
E1).  Defects are made by ``lab.edit`` only, never here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from simulators.wire import RoleSelection
from tests.lab.conversation import Conversation, Cut, Lab
from tests.lab.elements import EXPLICIT_LE, DataSet, tag_of
from tests.lab.products.facts import PERSONS, Exam, Exposure, Person, da, tm, uid
from tests.lab.products.vxvue_objects import (
    DX,
    MPPS,
    SR,
    commitment_request,
    dose_report,
    dx_image,
    final,
    in_progress,
    procedure_codes,
    protocol_codes,
)

VERIFICATION: Final = "1.2.840.10008.1.1"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
PRINT: Final = "1.2.840.10008.5.1.1.9"
FILM_SESSION: Final = "1.2.840.10008.5.1.1.1"
FILM_BOX: Final = "1.2.840.10008.5.1.1.2"
IMAGE_BOX: Final = "1.2.840.10008.5.1.1.4"
PRINTER_CLASS: Final = "1.2.840.10008.5.1.1.16"
PRINTER_INSTANCE: Final = "1.2.840.10008.5.1.1.17"
STUDY_ROOT: Final = "1.2.840.10008.5.1.4.1.2.2.1"
IMPLEMENTATION: Final = "1.3.6.1.4.1.19719"
PRINTER_KEYS: Final = (
    "PrinterStatus",
    "PrinterStatusInfo",
    "PrinterName",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "DateOfLastCalibration",
    "TimeOfLastCalibration",
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A host that VXvue talks to: where it is, what it is called, how it accepts (arguments of ``accept``)."""

    ae: str
    address: str
    port: int = 104
    accept: dict[str, Any] = field(default_factory=dict)
    how: Cut | None = None


RIS: Final = Peer("RIS", "10.0.0.20")
PACS: Final = Peer("PACS", "10.0.0.21", 11112)
PACS2: Final = Peer(
    "ARCHIVE2", "10.0.0.23", 4242, {"implementation_class": "1.2.40.0.13.1.3", "max_length": 32768}
)
PRINTER: Final = Peer("PRINTER", "10.0.0.22", 104)


class VXvue:
    """A VXvue in a laboratory."""

    def __init__(self, lab: Lab, *, address: str = "10.0.0.5", ae: str = "VXVUE", port: int = 104) -> None:
        self.lab = lab
        self.address = address
        self.ae = ae
        self.port = port
        self.films = 0

    # -- associations ---------------------------------------------------------------------------------------

    def propose(self, peer: Peer, abstract: str, **how: Any) -> Conversation:
        """Ask a peer for an association for one service."""
        return self.lab.associate(
            client=self.address,
            server=peer.address,
            port=peer.port,
            calling=self.ae,
            called=peer.ae,
            contexts=[(abstract, [EXPLICIT_LE])],
            max_length=16384,
            implementation_class=IMPLEMENTATION,
            **how,
        )

    def associate(self, peer: Peer, abstract: str, **how: Any) -> Conversation:
        """Ask, and be accepted."""
        conversation = self.propose(peer, abstract, **how)
        conversation.accept(**peer.accept)
        return conversation

    def accept(
        self, peer: Peer, contexts: Sequence[tuple[str, Sequence[str]]], user_items: Any = (), **how: Any
    ) -> Conversation:
        """A peer asks for an association at the receiver, and VXvue accepts what it serves."""
        conversation = self.lab.associate(
            client=peer.address,
            server=self.address,
            port=self.port,
            calling=peer.ae,
            called=self.ae,
            contexts=contexts,
            implementation_class="1.2.276.0.7230010.3.0.3.6.8",
            implementation_version="OFFIS_DCMTK_368",
            user_items=user_items,
            **how,
        )
        serves: dict[str | int, str] = {
            a: EXPLICIT_LE
            for a, syntaxes in contexts
            if a in (VERIFICATION, COMMITMENT) and EXPLICIT_LE in syntaxes
        }
        conversation.accept(
            only=serves, implementation_class=IMPLEMENTATION, implementation_version=None, max_length=16384
        )
        return conversation

    # -- verification ---------------------------------------------------------------------------------------

    def verify(self, peer: Peer, status: int = 0) -> Conversation:
        """The operator checks a peer."""
        a = self.associate(peer, VERIFICATION)
        a.request("C-ECHO-RQ")
        a.respond(status)
        a.release()
        return a

    def be_verified(self, peer: Peer) -> Conversation:
        """A peer checks VXvue's receiver."""
        a = self.accept(peer, [(VERIFICATION, ["1.2.840.10008.1.2", EXPLICIT_LE])])
        a.request("C-ECHO-RQ")
        a.respond()
        a.release()
        return a

    # -- queries --------------------------------------------------------------------------------------------

    def worklist(
        self, peer: Peer, exams: Sequence[Exam] = (), *, keys: dict[str, str] | None = None, status: int = 0
    ) -> Conversation:
        """Query the worklist; the peer gives these exams."""
        a = self.associate(peer, WORKLIST)
        a.request("C-FIND-RQ", worklist_keys(self.lab.time, self.ae, **(keys or {})))
        for exam in exams:
            self.lab.wait(0.002)
            a.respond(0xFF00, worklist_item(exam), how=peer.how)
        a.respond(status)
        a.release()
        return a

    def query(self, peer: Peer, exams: Sequence[Exam] = (), *, status: int = 0, **keys: str) -> Conversation:
        """Query studies; the peer gives these."""
        a = self.associate(peer, STUDY_ROOT)
        a.request("C-FIND-RQ", study_keys(**keys))
        for exam in exams:
            a.respond(0xFF00, study_answer(exam, peer.ae), how=peer.how)
        a.respond(status)
        a.release()
        return a

    # -- performed procedure step ---------------------------------------------------------------------------

    def begin(self, peer: Peer, exam: Exam, status: int = 0) -> Conversation:
        """N-CREATE, IN PROGRESS."""
        a = self.associate(peer, MPPS)
        a.request("N-CREATE-RQ", in_progress(exam, self.ae), sop_instance=exam.step)
        a.respond(status)
        a.release()
        return a

    def end(
        self, peer: Peer, exam: Exam, result: str = "COMPLETED", *, retrieve: str = "PACS", status: int = 0
    ) -> Conversation:
        """The final N-SET."""
        a = self.associate(peer, MPPS)
        a.request("N-SET-RQ", final(exam, result, retrieve, self.lab.time), sop_instance=exam.step)
        a.respond(status)
        a.release()
        return a

    # -- storage --------------------------------------------------------------------------------------------

    def store(
        self, peer: Peer, exam: Exam, *, mpps: bool = True, full: bool = False, statuses: Sequence[int] = ()
    ) -> Conversation:
        """Send the images of an exam in one association."""
        a = self.associate(peer, DX)
        for number, exposure in enumerate(exam.exposures):
            a.request(
                "C-STORE-RQ",
                dx_image(exam, exposure, mpps=mpps, full=full),
                sop_instance=exam.image(exposure),
            )
            a.respond(statuses[number] if number < len(statuses) else 0)
        a.release()
        return a

    def dose(self, peer: Peer, exam: Exam, *, mpps: bool = True, status: int = 0) -> Conversation:
        """Send the dose report of an exam."""
        a = self.associate(peer, SR)
        a.request("C-STORE-RQ", dose_report(exam, self.lab.time, mpps=mpps), sop_instance=exam.report)
        a.respond(status)
        a.release()
        return a

    # -- commitment -----------------------------------------------------------------------------------------

    def commit(
        self,
        peer: Peer,
        exam: Exam,
        *,
        report: str | None = "same",
        dose: bool = True,
        failed: Sequence[str] = (),
        wait: float = 0.5,
        number: int = 1,
    ) -> Conversation:
        """Ask for commitment; ``report``: "same" association, "separate", or None (it never comes)."""
        instances = [(DX, exam.image(e)) for e in exam.exposures] + ([(SR, exam.report)] if dose else [])
        transaction = exam.uid("transaction", peer.ae, number)
        a = self.associate(peer, COMMITMENT)
        a.request(
            "N-ACTION-RQ",
            commitment_request(transaction, instances),
            sop_instance=COMMITMENT_INSTANCE,
            ActionTypeID=1,
        )
        a.respond(0)
        if report == "same":
            self.lab.wait(wait)
            self._report(a, "acceptor", transaction, instances, failed)
        a.release()
        if report == "separate":
            self.lab.wait(wait)
            b = self.accept(
                peer, [(COMMITMENT, ["1.2.840.10008.1.2", EXPLICIT_LE])], [RoleSelection(COMMITMENT, 0, 1)]
            )
            self._report(b, "requestor", transaction, instances, failed)
            b.release()
        return a

    def _report(
        self,
        a: Conversation,
        side: Any,
        transaction: str,
        instances: Sequence[tuple[str, str]],
        failed: Sequence[str],
    ) -> None:
        ds = DataSet(TransactionUID=transaction)
        good = [pair for pair in instances if pair[1] not in failed]
        bad = [pair for pair in instances if pair[1] in failed]
        ds.put("ReferencedSOPSequence", [_reference(*pair) for pair in good]) if good else None
        if bad:
            ds.put("FailedSOPSequence", [_reference(*pair).put("FailureReason", 0x0112) for pair in bad])
        a.request(
            "N-EVENT-REPORT-RQ", ds, sop_instance=COMMITMENT_INSTANCE, EventTypeID=2 if bad else 1, side=side
        )
        a.respond(0)

    # -- print ----------------------------------------------------------------------------------------------

    def print_film(
        self,
        peer: Peer,
        exam: Exam,
        *,
        columns: int = 1,
        rows: int = 1,
        session: dict[str, Any] | None = None,
        film: dict[str, Any] | None = None,
        box: dict[str, Any] | None = None,
        bits: int = 12,
        printer_status: str = "NORMAL",
    ) -> Conversation:
        """Print the images of an exam on one film of columns x rows boxes."""
        self.films += 1
        number = self.films
        a = self.associate(peer, PRINT)
        a.request(
            "N-GET-RQ",
            sop_class=PRINTER_CLASS,
            sop_instance=PRINTER_INSTANCE,
            AttributeIdentifierList=tuple(tag_of(key) for key in PRINTER_KEYS),
        )
        status = {
            "PrinterStatus": printer_status,
            "PrinterStatusInfo": "NORMAL" if printer_status == "NORMAL" else "SUPPLY LOW",
        }
        a.respond(
            0,
            DataSet(
                **status,
                PrinterName="FILM1",
                Manufacturer="Printer Maker",
                ManufacturerModelName="P1",
                DeviceSerialNumber="77",
                SoftwareVersions="1.0",
                DateOfLastCalibration="20250101",
                TimeOfLastCalibration="080000",
            ),
        )
        session_uid, film_uid = uid("session", number, peer.ae), uid("film", number, peer.ae)
        texts = {
            "NumberOfCopies": 1,
            "PrintPriority": "MED",
            "MediumType": "BLUE FILM",
            "FilmDestination": "PROCESSOR",
        }
        a.request("N-CREATE-RQ", DataSet(**(texts | (session or {}))), sop_class=FILM_SESSION)
        a.respond(0, AffectedSOPInstanceUID=session_uid)
        values: dict[str, Any] = {
            "ImageDisplayFormat": f"STANDARD\\{columns},{rows}",
            "FilmOrientation": "PORTRAIT",
            "FilmSizeID": "14INX17IN",
            "MagnificationType": "CUBIC",
            "SmoothingType": "NORMAL",
            "BorderDensity": "BLACK",
            "MinDensity": 40,
            "MaxDensity": 400,
            "Illumination": 2000,
            "ReflectedAmbientLight": 10,
            "ReferencedFilmSessionSequence": [_reference(FILM_SESSION, session_uid)],
        } | (film or {})
        a.request("N-CREATE-RQ", DataSet(**values), sop_class=FILM_BOX)
        boxes = [uid("box", number, peer.ae, n) for n in range(columns * rows)]
        answer = DataSet(**{k: v for k, v in values.items() if k != "ReferencedFilmSessionSequence"})
        answer.put("ReferencedFilmSessionSequence", [_reference(FILM_SESSION, session_uid)])
        answer.put("ReferencedImageBoxSequence", [_reference(IMAGE_BOX, b) for b in boxes])
        a.respond(0, answer, AffectedSOPInstanceUID=film_uid)
        for place, exposure in enumerate(exam.exposures[: len(boxes)]):
            a.request(
                "N-SET-RQ",
                film_image(place + 1, exposure, bits, **(box or {})),
                sop_class=IMAGE_BOX,
                sop_instance=boxes[place],
            )
            a.respond(0)
        a.request("N-ACTION-RQ", sop_class=FILM_BOX, sop_instance=film_uid, ActionTypeID=1)
        self.lab.wait(0.8)
        a.respond(0)
        a.request("N-DELETE-RQ", sop_class=FILM_BOX, sop_instance=film_uid)
        a.respond(0)
        a.release()
        return a

    # -- whole exams ----------------------------------------------------------------------------------------

    def exam(
        self,
        exam: Exam,
        *,
        mwl: Peer | None = RIS,
        mpps: Peer | None = RIS,
        storage: Sequence[Peer] = (PACS,),
        commitment: Peer | None = PACS,
        printer: Peer | None = None,
        dose: bool = True,
        result: str = "COMPLETED",
        report: str | None = "same",
        full: bool = False,
    ) -> None:
        """Worklist, N-CREATE, images, dose report, N-SET, commitment, film: one story."""
        exam.start = self.lab.time
        exam.station_ae = self.ae
        if mwl:
            self.worklist(mwl, [exam])
        if mpps:
            self.begin(mpps, exam)
        self.lab.time = exam.start + 60 + 20 * len(exam.exposures)
        for peer in storage:
            self.store(peer, exam, mpps=bool(mpps), full=full)
        if dose:
            self.dose(storage[0], exam, mpps=bool(mpps))
        if mpps:
            self.lab.wait(5)
            self.end(mpps, exam, result, retrieve=storage[0].ae)
        if commitment:
            self.lab.wait(2)
            self.commit(commitment, exam, report=report, dose=dose)
        if printer:
            self.print_film(printer, exam, columns=len(exam.exposures))


def _reference(sop_class: str, sop_instance: str) -> DataSet:
    return DataSet(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=sop_instance)


def _code_keys() -> list[DataSet]:
    return [DataSet(CodeValue=None, CodingSchemeDesignator=None, CodingSchemeVersion=None, CodeMeaning=None)]


def worklist_keys(now: float, ae: str, **keys: str) -> DataSet:
    """The identifier of section 6.2: every key, matching on station, date and modality; ``keys`` by keyword."""
    ds = DataSet()
    if any(not value.isascii() for value in keys.values()):
        ds.put("SpecificCharacterSet", "ISO_IR 192")
    for keyword in (
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientWeight",
        "MedicalAlerts",
        "Allergies",
        "PregnancyStatus",
        "StudyInstanceUID",
        "RequestingPhysician",
        "RequestedProcedureDescription",
        "AdmissionID",
        "SpecialNeeds",
        "CurrentPatientLocation",
        "PatientState",
        "RequestedProcedureID",
        "RequestedProcedurePriority",
        "PatientTransportArrangements",
        "ConfidentialityConstraintOnPatientDataDescription",
    ):
        ds.put(keyword, keys.get(keyword))
    ds.put("ReferencedStudySequence", [DataSet(ReferencedSOPClassUID=None, ReferencedSOPInstanceUID=None)])
    ds.put("ReferencedPatientSequence", [DataSet(ReferencedSOPClassUID=None, ReferencedSOPInstanceUID=None)])
    ds.put("RequestedProcedureCodeSequence", _code_keys())
    step = DataSet(
        Modality="DX",
        RequestedContrastAgent=None,
        ScheduledStationAETitle=ae,
        ScheduledProcedureStepStartDate=da(now),
        ScheduledProcedureStepStartTime=None,
        ScheduledPerformingPhysicianName=None,
        ScheduledProcedureStepDescription=None,
        ScheduledProtocolCodeSequence=_code_keys(),
        ScheduledProcedureStepID=None,
        ScheduledStationName=None,
        ScheduledProcedureStepLocation=None,
        PreMedication=None,
    )
    return ds.put("ScheduledProcedureStepSequence", [step])


def worklist_item(exam: Exam) -> DataSet:
    """What a RIS answers for an exam."""
    p: Person = exam.person
    ds = DataSet(
        AccessionNumber=exam.accession,
        ReferringPhysicianName=p.physician,
        PatientName=p.name,
        PatientID=exam.patient_id,
        PatientBirthDate=p.birth,
        PatientSex=p.sex,
        PatientWeight="61.5",
        MedicalAlerts=None,
        Allergies=None,
        PregnancyStatus=4,
        StudyInstanceUID=exam.study,
        RequestingPhysician=p.physician,
        RequestedProcedureDescription=p.procedure,
        RequestedProcedureID=exam.requested_id,
        RequestedProcedurePriority="ROUTINE",
        AdmissionID=None,
        SpecialNeeds=None,
        CurrentPatientLocation=None,
        PatientState=None,
        PatientTransportArrangements=None,
        ConfidentialityConstraintOnPatientDataDescription=None,
        ReferencedPatientSequence=[],
        ReferencedStudySequence=[],
    )
    if p.charset:
        ds.put("SpecificCharacterSet", list(p.charset))
    ds.put("RequestedProcedureCodeSequence", procedure_codes(exam))
    step = DataSet(
        Modality="DX",
        RequestedContrastAgent=None,
        ScheduledStationAETitle=exam.station_ae,
        ScheduledProcedureStepStartDate=da(exam.start),
        ScheduledProcedureStepStartTime=tm(exam.start),
        ScheduledPerformingPhysicianName=p.physician,
        ScheduledProcedureStepDescription=p.step,
        ScheduledProtocolCodeSequence=protocol_codes(exam),
        ScheduledProcedureStepID=exam.scheduled_id,
        ScheduledStationName="ROOM1",
        ScheduledProcedureStepLocation="XRAY",
        PreMedication=None,
    )
    return ds.put("ScheduledProcedureStepSequence", [step])


def study_keys(**keys: str) -> DataSet:
    """The identifier of section 10."""
    ds = DataSet(QueryRetrieveLevel="STUDY")
    for keyword in (
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyDescription",
        "Modality",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ):
        ds.put(keyword, keys.get(keyword))
    return ds


def study_answer(exam: Exam, retrieve: str) -> DataSet:
    """What an archive answers for a study."""
    ds = DataSet(
        QueryRetrieveLevel="STUDY",
        RetrieveAETitle=retrieve,
        StudyInstanceUID=exam.study,
        StudyDate=da(exam.start),
        StudyTime=tm(exam.start),
        AccessionNumber=exam.accession,
        ReferringPhysicianName=exam.person.physician,
        StudyDescription=exam.person.step,
        Modality="DX",
        NumberOfStudyRelatedSeries=1,
        NumberOfStudyRelatedInstances=len(exam.exposures),
    )
    if exam.person.charset:
        ds.put("SpecificCharacterSet", list(exam.person.charset))
    return ds


def film_image(place: int, exposure: Exposure, bits: int, **more: Any) -> DataSet:
    """The N-SET of an image box."""
    shown = Exposure(exposure.number, bits=bits, rows=exposure.rows, columns=exposure.columns)
    image = DataSet(
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=shown.rows,
        Columns=shown.columns,
        PixelAspectRatio=["1", "1"],
        BitsAllocated=16,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=0,
    )
    image.put("PixelData", shown.pixels(), vr="OW")
    values: dict[str, Any] = {
        "ImageBoxPosition": place,
        "Polarity": "NORMAL",
        "MagnificationType": "CUBIC",
        "SmoothingType": "NORMAL",
    }
    return DataSet(**(values | more)).put("BasicGrayscaleImageSequence", [image])


__all__ = ["PACS", "PACS2", "PERSONS", "PRINTER", "RIS", "Exam", "Exposure", "Peer", "VXvue"]
