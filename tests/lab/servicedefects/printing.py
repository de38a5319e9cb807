"""Print."""

from __future__ import annotations

from simulators.wire.dimse import Command
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import DataSet
from tests.lab.products.vxvue import (
    FILM_BOX,
    FILM_SESSION,
    IMAGE_BOX,
    PRINT,
    PRINTER,
    PRINTER_CLASS,
    PRINTER_INSTANCE,
    VXvue,
)
from tests.lab.recipes.defects import OTHER, dataset, exam, on, one_film
from tests.lab.servicedefects.registry import SHOT, aborting, command, defect


@defect("VX-PRN-004")
def film_box_of_another_class(lab: Lab) -> None:
    command(lab, "N-CREATE-RQ", of=FILM_BOX, AffectedSOPClassUID=IMAGE_BOX)
    one_film(lab)


@defect("STD-SVC-501")
def class_of_another_meta_class(lab: Lab) -> None:
    a = VXvue(lab).associate(PRINTER, PRINT)
    a.request("N-GET-RQ", sop_class=PRINTER_CLASS, sop_instance=PRINTER_INSTANCE)
    a.respond(0, DataSet(PrinterStatus="NORMAL"))
    a.request("N-CREATE-RQ", DataSet(PresentationLUTShape="IDENTITY"), sop_class="1.2.840.10008.5.1.1.23")
    a.respond(0x0122)
    a.release()


@defect("STD-SVC-502", "VX-PRN-002")
def another_printer(lab: Lab) -> None:
    command(lab, "N-GET-RQ", RequestedSOPInstanceUID="2.25.6")
    one_film(lab)


@defect("STD-SVC-503", "VX-PRN-004")
def film_of_another_session(lab: Lab) -> None:
    dataset(
        lab,
        "N-CREATE-RQ",
        lambda ds: ds.item("ReferencedFilmSessionSequence").put("ReferencedSOPInstanceUID", "2.25.8"),
        of=FILM_BOX,
    )
    one_film(lab)


@defect("STD-SVC-504")
def film_without_format(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.drop("ImageDisplayFormat"), of=FILM_BOX)
    one_film(lab)


@defect("STD-SVC-505", "VX-PRN-005")
def another_image_box(lab: Lab) -> None:
    command(lab, "N-SET-RQ", of=IMAGE_BOX, RequestedSOPInstanceUID="2.25.9")
    one_film(lab)


@defect("STD-SVC-506")
def position_used_twice(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("ImageBoxPosition", 1), of=IMAGE_BOX)
    VXvue(lab).print_film(PRINTER, exam(shots=(SHOT, OTHER)), columns=2)


@defect("STD-SVC-506")
def position_outside(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("ImageBoxPosition", 2), of=IMAGE_BOX)
    one_film(lab)


@defect("STD-SVC-507")
def image_without_rows(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.item("BasicGrayscaleImageSequence").drop("Rows"), of=IMAGE_BOX)
    one_film(lab)


@defect("STD-SVC-508")
def pixels_of_ten_bits(lab: Lab) -> None:
    def change(ds: DataSet) -> None:
        ds.item("BasicGrayscaleImageSequence").update(BitsStored=10, HighBit=9)

    dataset(lab, "N-SET-RQ", change, of=IMAGE_BOX)
    one_film(lab)


@defect("STD-SVC-508")
def pixels_missing(lab: Lab) -> None:
    def change(ds: DataSet) -> None:
        ds.item("BasicGrayscaleImageSequence").put("PixelData", b"\0\0", vr="OW")

    dataset(lab, "N-SET-RQ", change, of=IMAGE_BOX)
    one_film(lab)


@defect("STD-SVC-509", "VX-PRN-006")
def another_film_printed(lab: Lab) -> None:
    command(lab, "N-ACTION-RQ", RequestedSOPInstanceUID="2.25.10")
    one_film(lab)


@defect("STD-SVC-509", "VX-PRN-006")
def film_action_two(lab: Lab) -> None:
    command(lab, "N-ACTION-RQ", ActionTypeID=2)
    one_film(lab)


@defect("STD-SVC-510", "VX-PRN-007")
def another_film_deleted(lab: Lab) -> None:
    command(lab, "N-DELETE-RQ", RequestedSOPInstanceUID="2.25.11")
    one_film(lab)


@defect("STD-SVC-511")
def printer_report_refused(lab: Lab) -> None:
    a = VXvue(lab).associate(PRINTER, PRINT)
    a.request("N-GET-RQ", sop_class=PRINTER_CLASS, sop_instance=PRINTER_INSTANCE)
    a.respond(0, DataSet(PrinterStatus="NORMAL"))
    a.request(
        "N-EVENT-REPORT-RQ",
        sop_class=PRINTER_CLASS,
        sop_instance=PRINTER_INSTANCE,
        side="acceptor",
        EventTypeID=2,
    )
    a.respond(0x0110)
    a.release()


@defect("STD-SVC-512")
def unknown_priority(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("PrintPriority", "URGENT"), of=FILM_SESSION)
    one_film(lab)


@defect("VX-PRN-001", "VX-PRN-002")
def film_by_single_classes(lab: Lab) -> None:
    a = VXvue(lab).associate(PRINTER, FILM_SESSION)
    a.request("N-CREATE-RQ", DataSet(NumberOfCopies=1), sop_class=FILM_SESSION)
    a.respond(0x0110)
    a.release()


def _skip(lab: Lab, name: str, of: str) -> None:
    """Leave out a request and its answer."""
    on(lab, name, lambda out: setattr(out, "skip", True), of=of)
    on(lab, name.replace("-RQ", "-RSP"), lambda out: setattr(out, "skip", True), of=of)


@defect("VX-PRN-002")
def printer_not_asked(lab: Lab) -> None:
    _skip(lab, "N-GET-RQ", PRINTER_CLASS)
    one_film(lab)


@defect("STD-SVC-503", "VX-PRN-003", "VX-PRN-004")
def no_film_session(lab: Lab) -> None:
    on(lab, "N-CREATE-RQ", lambda out: setattr(out, "skip", True), of=FILM_SESSION)
    _drop_next_answer(lab, "N-CREATE-RSP")
    one_film(lab)


def _drop_next_answer(lab: Lab, name: str) -> None:
    on(lab, name, lambda out: setattr(out, "skip", True), nth=1)


@defect("STD-SVC-503", "VX-PRN-002", "VX-PRN-003", "VX-PRN-004")
def film_box_first_of_all(lab: Lab) -> None:
    a = VXvue(lab).associate(PRINTER, PRINT)
    session = DataSet(ReferencedSOPClassUID=FILM_SESSION, ReferencedSOPInstanceUID="2.25.20")
    film = DataSet(ImageDisplayFormat="STANDARD\\1,1", ReferencedFilmSessionSequence=[session])
    a.request("N-CREATE-RQ", film, sop_class=FILM_BOX, sop_instance="2.25.21")
    a.respond(0x0112)
    a.request("N-CREATE-RQ", DataSet(NumberOfCopies=1), sop_class=FILM_SESSION, sop_instance="2.25.20")
    a.respond(0)
    a.release()


@defect("VX-PRN-005")
def images_after_printing(lab: Lab) -> None:
    held: list[Outgoing] = []
    _swap(lab, held)
    one_film(lab)


def _swap(lab: Lab, held: list[Outgoing]) -> None:
    """The N-SET goes out behind the N-ACTION."""

    def keep(out: Outgoing) -> None:
        if not held:
            held.append(out)
            out.skip = True

    on(lab, "N-SET-RQ", keep, of=IMAGE_BOX)
    on(lab, "N-SET-RSP", lambda out: setattr(out, "skip", True), of=IMAGE_BOX, nth=1)

    def late(out: Outgoing) -> None:
        image = held[0]
        assert isinstance(image.dataset, DataSet)
        assert isinstance(image.command, Command)
        uid = str(image.command.get("RequestedSOPInstanceUID"))
        image.association.request(
            "N-SET-RQ", image.dataset, sop_class=IMAGE_BOX, sop_instance=uid, MessageID=99
        )
        image.association.respond(0, side="acceptor")

    on(lab, "N-DELETE-RQ", late, of=FILM_BOX)


@defect("VX-PRN-005")
def no_image_on_the_film(lab: Lab) -> None:
    _skip(lab, "N-SET-RQ", IMAGE_BOX)
    one_film(lab)


@defect("VX-PRN-006")
def not_printed(lab: Lab) -> None:
    _skip(lab, "N-ACTION-RQ", FILM_BOX)
    one_film(lab)


@defect("VX-PRN-007")
def not_deleted(lab: Lab) -> None:
    _skip(lab, "N-DELETE-RQ", FILM_BOX)
    one_film(lab)


@defect("VX-PRN-009")
def print_aborted(lab: Lab) -> None:
    with aborting():
        one_film(lab)


@defect("VX-PRN-010")
def two_sessions_on_one_association(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.associate = lambda peer, abstract, **_: shared  # type: ignore[method-assign, assignment]
    shared = VXvue(lab).associate(PRINTER, PRINT)
    release = shared.release
    shared.release = lambda *_, **__: None  # type: ignore[method-assign]
    vx.print_film(PRINTER, exam())
    vx.print_film(PRINTER, exam(number=2))
    release()
