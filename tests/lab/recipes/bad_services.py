"""Defects of services of a VXvue, of the messages in them, and of the story that they tell together."""

from __future__ import annotations

from dataclasses import replace

from simulators.wire.dimse import Command
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import DataSet, tag_of
from tests.lab.products.vxvue import (
    COMMITMENT,
    FILM_BOX,
    FILM_SESSION,
    IMAGE_BOX,
    PACS,
    PRINT,
    PRINTER,
    PRINTER_CLASS,
    PRINTER_INSTANCE,
    PRINTER_KEYS,
    RIS,
    STUDY_ROOT,
    WORKLIST,
    VXvue,
    film_image,
    worklist_item,
    worklist_keys,
)
from tests.lab.products.vxvue_objects import DX, MPPS, final, in_progress, reference
from tests.lab.recipes import bad
from tests.lab.recipes.defects import OTHER, SMALL, dataset, exam, on, one_exam, one_film, one_worklist

# -- worklist -----------------------------------------------------------------------------------------------


@bad("vxvue", "VX-MWL-K-033", may="VX-MWL-002")
def bad_no_weight_key(lab: Lab) -> None:
    """The worklist query has no key Patient's Weight."""
    one_worklist(lab, lambda ds: ds.drop("PatientWeight"))


@bad("vxvue", "VX-MWL-K-007", may="VX-MWL-002")
def bad_modality_key_at_top(lab: Lab) -> None:
    """Modality is a key of the query's top level instead of the scheduled step."""

    def change(ds: DataSet) -> None:
        ds.item("ScheduledProcedureStepSequence").drop("Modality")
        ds.put("Modality", "DX")

    one_worklist(lab, change)


@bad("vxvue", "STD-SVC-202", may="STD-SVC-203 VX-MWL-K-001")
def bad_two_scheduled_steps(lab: Lab) -> None:
    """Scheduled Procedure Step Sequence of the query has two items."""

    def change(ds: DataSet) -> None:
        step = ds.item("ScheduledProcedureStepSequence")
        ds.put("ScheduledProcedureStepSequence", [step, step.copy()])

    one_worklist(lab, change)


@bad("vxvue", "STD-SVC-201")
def bad_level_in_worklist(lab: Lab) -> None:
    """The worklist query has a Query/Retrieve Level."""
    one_worklist(lab, lambda ds: ds.put("QueryRetrieveLevel", "STUDY"))


@bad("vxvue", "STD-SVC-204", may="STD-DS-023 VX-MWL-K-005")
def bad_wild_date(lab: Lab) -> None:
    """The date of the scheduled step is asked for with an asterisk."""
    one_worklist(
        lab,
        lambda ds: ds.item("ScheduledProcedureStepSequence").put(
            "ScheduledProcedureStepStartDate", "202506*"
        ),
    )


# -- query --------------------------------------------------------------------------------------------------


@bad("vxvue", "VX-QR-K-001", "VX-QR-002", may="STD-SVC-303 STD-SVC-304")
def bad_series_level(lab: Lab) -> None:
    """The study query is at level SERIES."""
    dataset(lab, "C-FIND-RQ", lambda ds: ds.put("QueryRetrieveLevel", "SERIES"))
    VXvue(lab).query(PACS, StudyInstanceUID="1.2.3.4")


@bad("vxvue", "VX-QR-K-005", may="VX-QR-002")
def bad_no_accession_key(lab: Lab) -> None:
    """The study query has no key Accession Number."""
    dataset(lab, "C-FIND-RQ", lambda ds: ds.drop("AccessionNumber"))
    VXvue(lab).query(PACS, StudyDate="20250601-20250630")


@bad("vxvue", "VX-QR-005")
def bad_two_queries(lab: Lab) -> None:
    """Two study queries share an association."""
    from tests.lab.products.vxvue import study_keys

    a = VXvue(lab).associate(PACS, STUDY_ROOT)
    for day in ("20250601", "20250602"):
        a.request("C-FIND-RQ", study_keys(StudyDate=day))
        a.respond()
    a.release()


# -- performed procedure step -------------------------------------------------------------------------------


@bad("vxvue", "VX-MPPS-NC-027", "STD-SVC-101", "VX-MPPS-002", may="STD-SVC-104 VX-MPPS-010")
def bad_created_completed(lab: Lab) -> None:
    """The step is created as COMPLETED."""
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("PerformedProcedureStepStatus", "COMPLETED"), of=MPPS)
    vx = VXvue(lab)
    vx.worklist(RIS, [exam()])
    vx.begin(RIS, exam())


@bad("vxvue", "VX-MPPS-NC-020", "STD-SVC-107")
def bad_no_station(lab: Lab) -> None:
    """The N-CREATE lacks Performed Station AE Title."""
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.drop("PerformedStationAETitle"), of=MPPS)
    one_exam(lab)


@bad("vxvue", "VX-MPPS-NC-026", "STD-SVC-108")
def bad_no_end_time(lab: Lab) -> None:
    """The N-CREATE lacks Performed Procedure Step End Time."""
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.drop("PerformedProcedureStepEndTime"), of=MPPS)
    one_exam(lab)


@bad("vxvue", "VX-MPPS-NS-008", "STD-SVC-104", "VX-MPPS-006", may="VX-MPPS-012")
def bad_final_status(lab: Lab) -> None:
    """The N-SET says FINISHED."""
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedProcedureStepStatus", "FINISHED"))
    one_exam(lab)


@bad("vxvue", "STD-SVC-102", "VX-MPPS-006", may="STD-X-034")
def bad_other_step(lab: Lab) -> None:
    """The N-SET names a step that was never created."""
    on(lab, "N-SET-RQ", lambda out: out.command.elements.update({0x1001: "2.25.815"}))  # type: ignore[union-attr]
    one_exam(lab)


@bad("vxvue", "STD-SVC-103", may="VX-MPPS-013 VX-MPPS-006 VX-MPPS-012 VX-MPPS-008")
def bad_second_final(lab: Lab) -> None:
    """A completed step is set again."""
    vx = VXvue(lab)
    today = exam()
    vx.exam(today, dose=False, commitment=None)
    lab.wait(5)
    vx.end(RIS, today)


@bad("vxvue", "VX-MPPS-NS-016", "STD-SVC-112", may="STD-X-034")
def bad_no_series(lab: Lab) -> None:
    """Performed Series Sequence is empty in a completed step."""
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedSeriesSequence", []))
    one_exam(lab)


@bad("vxvue", "VX-MPPS-NS-018", "STD-SVC-113")
def bad_no_protocol(lab: Lab) -> None:
    """Protocol Name of the performed series is empty."""
    dataset(lab, "N-SET-RQ", lambda ds: ds.item("PerformedSeriesSequence").put("ProtocolName"))
    one_exam(lab)


@bad("vxvue", "VX-MPPS-NS-006", "STD-SVC-111", may="VX-MPPS-NS-007")
def bad_no_end_date(lab: Lab) -> None:
    """The N-SET lacks Performed Procedure Step End Date."""
    dataset(lab, "N-SET-RQ", lambda ds: ds.drop("PerformedProcedureStepEndDate"))
    one_exam(lab)


@bad("vxvue", "STD-SVC-105")
def bad_patient_in_set(lab: Lab) -> None:
    """The N-SET changes Patient's Name."""
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PatientName", "Doe^Jane"))
    one_exam(lab)


@bad("vxvue", "VX-MPPS-005", may="VX-MPPS-004 VX-MPPS-008")
def bad_step_on_one_association(lab: Lab) -> None:
    """N-CREATE and N-SET share one association."""
    vx = VXvue(lab)
    today = exam(shots=())
    today.start = lab.time
    vx.worklist(RIS, [today])
    a = vx.associate(RIS, MPPS)
    a.request("N-CREATE-RQ", in_progress(today, vx.ae), sop_instance=today.step)
    a.respond(0)
    lab.wait(30)
    a.request("N-SET-RQ", final(today, "DISCONTINUED", "", lab.time), sop_instance=today.step)
    a.respond(0)
    a.release()


# -- commitment ---------------------------------------------------------------------------------------------


@bad("vxvue", "VX-SC-002", "STD-DIMSE-049", "STD-SVC-401")
def bad_action_type(lab: Lab) -> None:
    """The Action Type ID of the commitment request is 2."""
    on(lab, "N-ACTION-RQ", lambda out: out.command.elements.update({0x1008: 2}), of=COMMITMENT)  # type: ignore[union-attr]
    one_exam(lab, commitment=True)


@bad("vxvue", "VX-SC-002", "STD-DIMSE-033", "STD-SVC-402")
def bad_commitment_instance(lab: Lab) -> None:
    """The commitment request is not addressed to the well-known instance."""
    on(lab, "N-ACTION-RQ", lambda out: out.command.elements.update({0x1001: "2.25.99"}), of=COMMITMENT)  # type: ignore[union-attr]
    one_exam(lab, commitment=True)


@bad("vxvue", "VX-SC-NA-001", "STD-SVC-403")
def bad_no_transaction(lab: Lab) -> None:
    """The commitment request has no Transaction UID."""
    dataset(lab, "N-ACTION-RQ", lambda ds: ds.drop("TransactionUID"), of=COMMITMENT)
    vx = VXvue(lab)
    today = exam()
    vx.exam(today, dose=False, commitment=None)
    lab.wait(1)
    vx.commit(PACS, today, dose=False, report=None)


@bad("vxvue", "VX-SC-009", "STD-X-050", may="STD-X-051")
def bad_commit_more(lab: Lab) -> None:
    """Commitment is asked for an image that was never sent."""
    vx = VXvue(lab)
    today = exam()
    vx.exam(today, dose=False, commitment=None)
    lab.wait(1)
    vx.commit(PACS, replace(today, exposures=(SMALL, OTHER)), dose=False, report=None)


@bad("vxvue", "VX-SC-009", "STD-X-051")
def bad_commit_less(lab: Lab) -> None:
    """Commitment is not asked for one of two images."""
    vx = VXvue(lab)
    today = exam(shots=(SMALL, OTHER))
    vx.exam(today, dose=False, commitment=None)
    lab.wait(1)
    vx.commit(PACS, replace(today, exposures=(SMALL,)), dose=False, report=None)


@bad("vxvue", "VX-SC-008", may="VX-SC-009 STD-X-050 STD-X-051")
def bad_commit_early(lab: Lab) -> None:
    """Commitment is asked for before the second image is stored."""
    vx = VXvue(lab)
    today = exam(shots=(SMALL, OTHER), scheduled=False)
    a = vx.associate(PACS, DX)
    from tests.lab.products.vxvue_objects import dx_image

    for shot in today.exposures:
        a.request("C-STORE-RQ", dx_image(today, shot, mpps=False), sop_instance=today.image(shot))
        a.respond()
        if shot is SMALL:
            vx.commit(PACS, today, dose=False, report=None)
    a.release()


@bad("vxvue", "VX-SC-003", "STD-SVC-409", may="VX-SC-010 STD-DIMSE-044 STD-DIMSE-045")
def bad_report_refused(lab: Lab) -> None:
    """The report of a known transaction is answered with a failure."""

    def edit(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        out.command.elements[0x0900] = 0x0110

    on(lab, "N-EVENT-REPORT-RSP", edit)
    one_exam(lab, commitment=True)


# -- print --------------------------------------------------------------------------------------------------


@bad("vxvue", "VX-PRN-FB-004", "STD-DS-022")
def bad_film_size(lab: Lab) -> None:
    """Film Size ID is 8.5INX11IN."""
    one_film(lab, film={"FilmSizeID": "8.5INX11IN"})


@bad("vxvue", "VX-PRN-FS-001")
def bad_copies(lab: Lab) -> None:
    """Nine copies."""
    one_film(lab, session={"NumberOfCopies": 9})


@bad("vxvue", "VX-PRN-FS-002", "STD-SVC-512")
def bad_print_priority(lab: Lab) -> None:
    """Print Priority is URGENT."""
    one_film(lab, session={"PrintPriority": "URGENT"})


@bad("vxvue", "VX-PRN-IB-009", "VX-PRN-IB-010", "STD-SVC-508")
def bad_print_bits(lab: Lab) -> None:
    """The film's pixels have 16 of 16 bits."""
    one_film(lab, bits=16)


@bad("vxvue", "VX-PRN-004", "STD-SVC-503", may="VX-PRN-FB-002")
def bad_film_session(lab: Lab) -> None:
    """The film box refers to another film session."""
    dataset(
        lab,
        "N-CREATE-RQ",
        lambda ds: ds.put("ReferencedFilmSessionSequence", [reference(FILM_SESSION, "2.25.17")]),
        of=FILM_BOX,
    )
    one_film(lab)


@bad("vxvue", "VX-PRN-007")
def bad_no_delete(lab: Lab) -> None:
    """The film box is not deleted."""
    _film_without(lab, "N-DELETE-RQ")


@bad("vxvue", "VX-PRN-002")
def bad_no_printer_query(lab: Lab) -> None:
    """The printer is not asked for its state."""
    _film_without(lab, "N-GET-RQ")


@bad("vxvue", "VX-PRN-005", may="STD-SVC-507 VX-PRN-IB-001")
def bad_no_image_box(lab: Lab) -> None:
    """A film is printed without an image in its box."""
    _film_without(lab, "N-SET-RQ")


@bad("vxvue", "STD-SVC-506", "VX-PRN-IB-001")
def bad_image_position(lab: Lab) -> None:
    """Image Box Position is 7 in a film of one box."""
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("ImageBoxPosition", 7), of=IMAGE_BOX)
    one_film(lab)


@bad("vxvue", "VX-PRN-FB-012", config={"trim": False}, may="VX-CFG-014")
def bad_trim(lab: Lab) -> None:
    """Trim is sent although the option is off."""
    one_film(lab, film={"Trim": "NO"})


def _film_without(lab: Lab, name: str) -> None:
    """A film without one kind of request (and without its answer)."""
    response = name.replace("-RQ", "-RSP")

    def edit(out: Outgoing) -> None:
        out.skip = out.name in (name, response)

    lab.edit(edit)
    one_film(lab)


# -- the story ----------------------------------------------------------------------------------------------


@bad("vxvue", "STD-X-020", may="STD-X-030 STD-X-071 STD-X-074")
def bad_patient_of_image(lab: Lab) -> None:
    """The image has another Patient ID than worklist and step."""
    dataset(lab, "C-STORE-RQ", lambda ds: ds.put("PatientID", "PAT99999"))
    one_exam(lab)


@bad("vxvue", "STD-X-010", may="STD-X-030")
def bad_patient_of_step(lab: Lab) -> None:
    """The step has another Patient's Birth Date than worklist and image."""
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("PatientBirthDate", "19700216"), of=MPPS)
    one_exam(lab)


@bad("vxvue", "STD-X-022", may="STD-X-031 STD-X-041 STD-X-023")
def bad_accession_of_image(lab: Lab) -> None:
    """The image has another Accession Number than worklist and step."""

    def change(ds: DataSet) -> None:
        ds.put("AccessionNumber", "ACC77777")
        ds.item("RequestAttributesSequence").put("AccessionNumber", "ACC77777")

    dataset(lab, "C-STORE-RQ", change)
    one_exam(lab)


@bad("vxvue", "STD-X-034")
def bad_step_names_other_image(lab: Lab) -> None:
    """The final N-SET names an image that was never stored beside the one that was."""

    def change(ds: DataSet) -> None:
        series = ds.item("PerformedSeriesSequence")
        series.put(
            "ReferencedImageSequence", [*series.get("ReferencedImageSequence"), reference(DX, "2.25.4242")]
        )

    dataset(lab, "N-SET-RQ", change)
    one_exam(lab)


@bad("vxvue", "VX-STO-DX-060", "STD-X-033")
def bad_image_names_other_step(lab: Lab) -> None:
    """The image refers to another procedure step."""
    dataset(
        lab,
        "C-STORE-RQ",
        lambda ds: ds.put("ReferencedPerformedProcedureStepSequence", [reference(MPPS, "2.25.1")]),
    )
    one_exam(lab)


@bad("vxvue", "STD-X-032")
def bad_step_id_of_image(lab: Lab) -> None:
    """Performed Procedure Step ID of the image is not that of the step."""
    dataset(lab, "C-STORE-RQ", lambda ds: ds.put("PerformedProcedureStepID", "PPS9999"))
    one_exam(lab)


@bad("vxvue", "STD-X-002", may="STD-X-033 VX-STO-DX-060")
def bad_image_before_step(lab: Lab) -> None:
    """The image is stored before the step is created."""
    vx = VXvue(lab)
    today = exam()
    today.start = lab.time
    vx.worklist(RIS, [today])
    lab.time = today.start + 100
    vx.store(PACS, today)
    vx.begin(RIS, today)
    lab.wait(5)
    vx.end(RIS, today)


@bad("vxvue", "STD-X-037", "STD-SVC-117")
def bad_end_before_start(lab: Lab) -> None:
    """The step ends an hour before it began."""
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedProcedureStepEndTime", "140000"))
    one_exam(lab)


# -- order of work ------------------------------------------------------------------------------------------


def _reordered_film(lab: Lab, order: str) -> None:
    """The steps of a film in another order: g printer, s session, b film box, i image, a print, d delete."""
    a = VXvue(lab).associate(PRINTER, PRINT)
    keys = tuple(tag_of(key) for key in PRINTER_KEYS)
    box = DataSet(
        ImageDisplayFormat="STANDARD\\1,1", ReferencedFilmSessionSequence=[reference(FILM_SESSION, "2.25.1")]
    )
    boxes = DataSet(ReferencedImageBoxSequence=[reference(IMAGE_BOX, "2.25.3")])
    for step in order:
        if step == "g":
            a.request(
                "N-GET-RQ",
                sop_class=PRINTER_CLASS,
                sop_instance=PRINTER_INSTANCE,
                AttributeIdentifierList=keys,
            )
            a.respond(0, DataSet(PrinterStatus="NORMAL", PrinterStatusInfo="NORMAL"))
        elif step == "s":
            a.request("N-CREATE-RQ", DataSet(NumberOfCopies=1), sop_class=FILM_SESSION)
            a.respond(0, AffectedSOPInstanceUID="2.25.1")
        elif step == "b":
            a.request("N-CREATE-RQ", box.copy(), sop_class=FILM_BOX)
            a.respond(0, boxes.copy(), AffectedSOPInstanceUID="2.25.2")
        elif step == "i":
            a.request("N-SET-RQ", film_image(1, SMALL, 12), sop_class=IMAGE_BOX, sop_instance="2.25.3")
            a.respond(0)
        elif step == "a":
            a.request("N-ACTION-RQ", sop_class=FILM_BOX, sop_instance="2.25.2", ActionTypeID=1)
            a.respond(0)
        else:
            a.request("N-DELETE-RQ", sop_class=FILM_BOX, sop_instance="2.25.2")
            a.respond(0)
    a.release()


@bad("vxvue", "VX-PRN-005")
def bad_image_after_print(lab: Lab) -> None:
    """The image is set after the film was printed."""
    _reordered_film(lab, "gsbaid")


@bad("vxvue", "VX-PRN-002")
def bad_printer_asked_last(lab: Lab) -> None:
    """The printer is asked for its state when the film is printed."""
    _reordered_film(lab, "sbiadg")


@bad("vxvue", "STD-SVC-510", "VX-PRN-007")
def bad_deleted_twice(lab: Lab) -> None:
    """The film box is deleted twice."""
    _reordered_film(lab, "gsbiadd")


@bad("vxvue", "STD-SVC-404")
def bad_transaction_again(lab: Lab) -> None:
    """A second commitment request has the Transaction UID of the first."""
    vx = VXvue(lab)
    today = exam(scheduled=False)
    vx.store(PACS, today, mpps=False)
    for _ in range(2):
        vx.commit(PACS, today, dose=False)
        lab.wait(5)


@bad("vxvue", "STD-SVC-116")
def bad_created_twice(lab: Lab) -> None:
    """The step is created twice."""
    vx = VXvue(lab)
    today = exam()
    vx.worklist(RIS, [today])
    vx.begin(RIS, today)
    lab.wait(2)
    vx.begin(RIS, today)


@bad("vxvue", "VX-SC-008", may="STD-X-050 VX-SC-009")
def bad_commit_before_store(lab: Lab) -> None:
    """Commitment is asked for before the image is stored."""
    vx = VXvue(lab)
    today = exam(scheduled=False)
    vx.commit(PACS, today, dose=False, report=None)
    lab.wait(5)
    vx.store(PACS, today, mpps=False)


@bad("vxvue", "VX-ASC-002")
def bad_worklists_at_once(lab: Lab) -> None:
    """Two worklist associations are open at the same time."""
    vx = VXvue(lab)
    start = lab.time
    vx.worklist(RIS, [exam()])
    lab.time = start + 0.002
    vx.worklist(RIS, [exam()])


@bad("vxvue", "STD-DIMSE-048")
def bad_release_while_pending(lab: Lab) -> None:
    """VXvue releases while the worklist's answers are still coming."""
    a = VXvue(lab).associate(RIS, WORKLIST)
    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
    a.respond(0xFF00, worklist_item(exam()))
    a.release()
