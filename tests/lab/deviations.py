"""Conversations that each depart from one default of a statement (ruling A3), and the ruled id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from simulators.wire import ApplicationContext, MaximumLength, RoleSelection, UserIdentityRQ, UserInformation
from simulators.wire.dimse import Command
from tests.lab.conversation import Cut, Lab, Outgoing
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, DataSet
from tests.lab.products.mx1 import MX1, STORAGE, US, Picture, Scan
from tests.lab.products.vxvue import (
    COMMITMENT,
    FILM_BOX,
    FILM_SESSION,
    PACS,
    PRINT,
    PRINTER,
    PRINTER_CLASS,
    PRINTER_INSTANCE,
    RIS,
    WORKLIST,
    Peer,
    VXvue,
    worklist_keys,
)
from tests.lab.products.vxvue_objects import DX, dx_image
from tests.lab.recipes.defects import SMALL, dataset, exam, on, one_film, one_image
from tests.lab.services import journal

Build = Callable[[Lab], object]
BAD: Final[dict[str, tuple[str, Build, dict[str, Any]]]] = {}


def deviation(id: str, **how: Any) -> Callable[[Build], Build]:
    """A conversation that departs from one default."""

    def add(build: Build) -> Build:
        BAD[build.__name__] = (id, build, how)
        return build

    return add


@deviation("VX-D-01")
def application_context(lab: Lab) -> None:
    def change(request: Any) -> Any:
        items = tuple(
            ApplicationContext("1.2.3") if isinstance(i, ApplicationContext) else i for i in request.items
        )
        return replace(request, items=items)

    lab.edit_request(change)
    VXvue(lab).verify(PACS)


@deviation("VX-D-02")
def fallback(lab: Lab) -> None:
    vx = VXvue(lab)
    a = vx.propose(PACS, DX)
    a.accept(refuse={DX: 4})
    a.release()
    b = lab.associate(
        client="10.0.0.5", server=PACS.address, port=PACS.port, called="PACS", contexts=[(DX, [IMPLICIT_LE])]
    )
    b.accept()
    b.release()


@deviation("VX-D-03")
def long_accept(lab: Lab) -> None:
    a = lab.associate(client=PACS.address, server="10.0.0.5", calling="PACS", called="VXVUE")
    a.accept(max_length=65536)
    a.release()


@deviation("VX-D-04")
def long_data(lab: Lab) -> None:
    peer = Peer("PACS", "10.0.0.21", 104, {"max_length": 0})
    lab.how = Cut(longest=40000)
    VXvue(lab).store(peer, exam(shots=(replace(SMALL, rows=200, columns=200),), scheduled=False), mpps=False)


@deviation("VX-D-05")
def impatient(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, WORKLIST)
    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
    lab.wait(10)
    a.abort("requestor")


@deviation("VX-D-05")
def impatient_association(lab: Lab) -> None:
    a = VXvue(lab).propose(RIS, WORKLIST)
    lab.wait(4)
    a.close("requestor")


@deviation("VX-D-07", config={"ae_title": "ROOM1"})
def another_title(lab: Lab) -> None:
    VXvue(lab, ae="Room1").verify(PACS)


@deviation("VX-D-08")
def takes_any_title(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.verify(PACS)
    a = lab.associate(client=PACS.address, server=vx.address, calling="PACS", called="SOMEBODY")
    a.accept()
    a.release()


@deviation(
    "VX-D-09",
    events=journal(
        (0.0, "sut.request", {"do": "send", "args": {}}),
        (11.0, "modality.warning", {"service": "storage", "peer": "pacs", "text": "refused, A700"}),
    ),
)
def retries_by_itself(lab: Lab) -> None:
    lab.wait(10)
    VXvue(lab).store(PACS, exam(scheduled=False), mpps=False, statuses=(0xA700,))
    lab.wait(10)
    VXvue(lab).store(PACS, exam(scheduled=False), mpps=False)


@deviation("VX-D-10", events=journal((0.0, "modality.state", {"what": "console"})))
def says_nothing(lab: Lab) -> None:
    VXvue(lab).propose(PACS, DX).reject()


@deviation("VX-D-11")
def gives_up_the_set(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, DX)
    today = exam(scheduled=False)
    a.request("C-STORE-RQ", dx_image(today, SMALL, mpps=False), sop_instance=today.image(SMALL))
    a.respond(0xA700)
    a.abort("requestor")


@deviation("VX-D-12")
def two_studies(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, DX)
    for number in (1, 2):
        today = exam(number=number, scheduled=False)
        a.request("C-STORE-RQ", dx_image(today, SMALL, mpps=False), sop_instance=today.image(SMALL))
        a.respond(0)
    a.release()


def _query(lab: Lab, change: Callable[[DataSet], object]) -> None:
    dataset(lab, "C-FIND-RQ", change)
    VXvue(lab).worklist(RIS, [exam()])


@deviation("VX-D-13")
def all_modalities(lab: Lab) -> None:
    _query(lab, lambda ds: ds.item("ScheduledProcedureStepSequence").put("Modality"))


@deviation("VX-D-14")
def cancels(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, WORKLIST)
    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
    a.request("C-CANCEL-RQ", MessageIDBeingRespondedTo=1)
    a.respond(0xFE00)
    a.release()


@deviation("VX-D-15")
def needless_charset(lab: Lab) -> None:
    _query(lab, lambda ds: ds.put("SpecificCharacterSet", "ISO_IR 192"))


@deviation("VX-D-16")
def another_charset(lab: Lab) -> None:
    dataset(lab, "C-STORE-RQ", lambda ds: ds.put("SpecificCharacterSet", "ISO_IR 192"))
    VXvue(lab).exam(exam("latin1"), dose=False, commitment=None)


@deviation("VX-D-17")
def no_instance(lab: Lab) -> None:
    def change(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        kept = {k: out.command.get(k) for k in ("MessageID", "AffectedSOPClassUID")}
        out.command = Command.new("N-CREATE-RQ", dataset=True, **kept)

    on(lab, "N-CREATE-RQ", change)
    VXvue(lab).begin(RIS, exam())


@deviation("VX-D-19")
def step_id_again(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("PerformedProcedureStepID", "P1"))
    for number in (1, 2):
        VXvue(lab).begin(RIS, exam(number=number))


@deviation("VX-D-20")
def does_not_wait(lab: Lab) -> None:
    VXvue(lab).exam(exam(), dose=False, report=None)


@deviation("VX-D-21")
def takes_any_report(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.exam(exam(), dose=False)
    a = vx.accept(PACS, [(COMMITMENT, [EXPLICIT_LE])], [RoleSelection(COMMITMENT, 0, 1)])
    a.request(
        "N-EVENT-REPORT-RQ",
        DataSet(TransactionUID="2.25.3"),
        sop_instance="1.2.840.10008.1.20.1.1",
        EventTypeID=1,
    )
    a.respond(0)
    a.release()


@deviation("VX-D-22")
def transaction_again(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.exam(exam(), dose=False)
    vx.commit(PACS, exam(), dose=False)


@deviation("VX-D-23")
def printer_refused(lab: Lab) -> None:
    a = VXvue(lab).associate(PRINTER, PRINT)
    a.request(
        "N-EVENT-REPORT-RQ",
        sop_class=PRINTER_CLASS,
        sop_instance=PRINTER_INSTANCE,
        side="acceptor",
        EventTypeID=2,
    )
    a.respond(0x0110)
    a.release()


@deviation("VX-D-24")
def an_animal(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("PatientSpeciesDescription", "Dog"))


@deviation("VX-D-25", events=journal((0.0, "sut.request", {"do": "print", "args": {}})))
def two_copies(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("NumberOfCopies", 2), of=FILM_SESSION)
    one_film(lab)


@deviation("VX-D-26")
def session_deleted(lab: Lab) -> None:
    def change(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        known = out.command.get("MessageID")
        out.command = Command.new(
            "N-DELETE-RQ",
            dataset=False,
            MessageID=known,
            RequestedSOPClassUID=FILM_SESSION,
            RequestedSOPInstanceUID="2.25.1",
        )

    on(lab, "N-DELETE-RQ", change, of=FILM_BOX)
    one_film(lab)


@deviation("VX-D-27")
def prints_on_a_broken_printer(lab: Lab) -> None:
    VXvue(lab).print_film(PRINTER, exam(), printer_status="FAILURE")


@deviation("VX-D-28")
def another_root(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("SeriesInstanceUID", "1.2.3.4"))


@deviation("VX-D-29")
def sixteen_bits(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.update(BitsStored=16, HighBit=15))


@deviation("VX-D-30")
def linear(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("PixelIntensityRelationship", "LIN"))


@deviation("VX-D-31")
def direct_detector(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("DetectorType", "DIRECT"))


@deviation("VX-D-33")
def time_zone(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("TimezoneOffsetFromUTC", "+0900"))


def _report(lab: Lab, change: Callable[[DataSet], object], peer: Peer = PACS) -> None:
    vx, today = VXvue(lab), exam(scheduled=False)
    today.start = lab.time
    vx.store(PACS, today, mpps=False)
    dataset(lab, "C-STORE-RQ", change)
    vx.dose(peer, today, mpps=False)


@deviation("VX-D-34")
def report_elsewhere(lab: Lab) -> None:
    _report(lab, lambda ds: None, Peer("DOSE", "10.0.0.60"))


@deviation("VX-D-35")
def evidence_missing(lab: Lab) -> None:
    _report(lab, lambda ds: ds.put("CurrentRequestedProcedureEvidenceSequence", []))


@deviation("VX-D-36")
def language_told(lab: Lab) -> None:
    def change(ds: DataSet) -> None:
        code = DataSet(
            CodeValue="121049",
            CodingSchemeDesignator="DCM",
            CodeMeaning="Language of Content Item",
        )
        item = DataSet(RelationshipType="HAS CONCEPT MOD", ValueType="CODE", ConceptNameCodeSequence=[code])
        ds.put("ContentSequence", [item, *ds.get("ContentSequence")])

    _report(lab, change)


@deviation("VX-D-38")
def query_by_date_and_time(lab: Lab) -> None:
    VXvue(lab).query(PACS, [], StudyTime="0800-1200")


@deviation("VX-D-40")
def user_identity(lab: Lab) -> None:
    def change(request: Any) -> Any:
        items = tuple(
            UserInformation((*i.items, UserIdentityRQ(1, 0, b"me"))) if isinstance(i, UserInformation) else i
            for i in request.items
        )
        return replace(request, items=items)

    lab.edit_request(change)
    VXvue(lab).verify(PACS)


@deviation("MX-D-01")
def mixed_context(lab: Lab) -> None:
    MX1(lab).associate(PACS, [(US, (EXPLICIT_LE, JPEG_BASELINE))]).release()


@deviation("MX-D-03")
def longer_than_announced(lab: Lab) -> None:
    peer = Peer("PACS", "10.0.0.21", 104, {"max_length": 0})
    mx = MX1(lab)
    mx.longest = 200000
    mx.store(peer, Scan(), [Picture("us", EXPLICIT_LE, rows=300, columns=300)])


@deviation("MX-D-03")
def another_length_announced(lab: Lab) -> None:
    lab.edit_request(lambda request: _announcing(request, MaximumLength(32768)))
    MX1(lab).verify(PACS)


@deviation("MX-D-03")
def no_length_announced(lab: Lab) -> None:
    lab.edit_request(_announcing)
    MX1(lab).verify(PACS)


@deviation("MX-D-03")
def two_lengths_announced(lab: Lab) -> None:
    lab.edit_request(lambda request: _announcing(request, MaximumLength(65536), MaximumLength(32768)))
    MX1(lab).verify(PACS)


def _announcing(request: Any, *said: MaximumLength) -> Any:
    def change(info: UserInformation) -> UserInformation:
        return UserInformation((*said, *(i for i in info.items if not isinstance(i, MaximumLength))))

    items = tuple(change(i) if isinstance(i, UserInformation) else i for i in request.items)
    return replace(request, items=items)


@deviation("MX-D-10", config={"ae_titles": ("MX1",)})
def another_station(lab: Lab) -> None:
    MX1(lab, ae="MX9").worklist(RIS, [Scan()])


@deviation("VX-D-13", config={"ae_title": "ROOM1", "ae_titles": ("ROOM1",)})
def station_of_another_room(lab: Lab) -> None:
    dataset(
        lab,
        "C-FIND-RQ",
        lambda ds: ds.item("ScheduledProcedureStepSequence").put("ScheduledStationAETitle", "ROOM2"),
    )
    VXvue(lab, ae="ROOM1").worklist(RIS, [exam()])


@deviation("MX-D-06")
def two_at_a_time(lab: Lab) -> None:
    mx = MX1(lab)
    a = mx.associate(PACS, STORAGE)
    mx.verify(PACS)
    a.release()


def _picture(
    lab: Lab, change: Callable[[DataSet], object], kind: str = "us", syntax: str = EXPLICIT_LE
) -> None:
    dataset(lab, "C-STORE-RQ", change)
    MX1(lab).store(PACS, Scan(), [Picture(kind, syntax)])


@deviation("MX-D-12")
def no_study_id(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.drop("StudyID"))


@deviation("MX-D-13")
def two_values(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("ImageType", "ORIGINAL\\PRIMARY"))


@deviation("MX-D-14")
def palette(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("PhotometricInterpretation", "YBR_FULL"))


@deviation("MX-D-15")
def lossy_untold(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("LossyImageCompression", "00"), syntax=JPEG_BASELINE)


@deviation("MX-D-16")
def no_frame_time(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("StartTrim", "2"), "clip")


@deviation("MX-D-17")
def no_region(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.drop("SequenceOfUltrasoundRegions"))


@deviation("MX-D-18")
def scanned_film(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("ConversionType", "DF"), "sc")


@deviation("MX-D-30")
def somebody_is_accepted(lab: Lab) -> None:
    MX1(lab).verify(PACS)
    a = lab.associate(client=PACS.address, server="10.0.0.6", calling="PACS", called="MX1")
    a.accept()
    a.release()
