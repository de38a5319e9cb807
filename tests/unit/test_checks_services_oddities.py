"""What looks odd in the services and is right, or somebody else's fault: nothing FAILs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from bench.verdict import Verdict
from simulators.wire import RoleSelection
from simulators.wire.dimse import Command
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import EXPLICIT_LE, DataSet
from tests.lab.products.vxvue import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    FILM_BOX,
    FILM_SESSION,
    IMAGE_BOX,
    PACS,
    PACS2,
    PRINT,
    PRINTER,
    PRINTER_CLASS,
    PRINTER_INSTANCE,
    RIS,
    STUDY_ROOT,
    VERIFICATION,
    WORKLIST,
    Exam,
    Peer,
    VXvue,
    film_image,
    study_keys,
    worklist_keys,
)
from tests.lab.products.vxvue_objects import DX, MPPS, SR, dx_image, in_progress
from tests.lab.recipes.defects import OTHER, SMALL, dataset, exam, on
from tests.lab.services import failures, judged

Build = Callable[[Lab], object]
ODD: Final[dict[str, tuple[Build, dict[str, str]]]] = {}
"""Name -> conversation, and verdicts that some rows must have."""


def odd(**verdicts: str) -> Callable[[Build], Build]:
    """A right conversation; ``VX_STO_005="N/A"`` for rows whose verdict matters."""

    def add(build: Build) -> Build:
        ODD[build.__name__] = (build, {k.replace("_", "-"): v for k, v in verdicts.items()})
        return build

    return add


def _started(lab: Lab, number: int = 1, **how: object) -> Exam:
    today = exam(number=number, **how)  # type: ignore[arg-type]
    today.start = lab.time
    return today


@odd(VX_STO_005="N/A", VX_STO_001="PASS")
def everybody_rejects(lab: Lab) -> None:
    vx = VXvue(lab)
    for peer, abstract in (
        (RIS, WORKLIST), (RIS, MPPS), (PACS, DX), (PACS, COMMITMENT), (PACS, STUDY_ROOT), (PRINTER, PRINT), (PACS, SR),
    ):  # fmt: skip
        vx.propose(peer, abstract).reject(1, 1, 7)


@odd(VX_STO_005="PASS")
def contexts_refused(lab: Lab) -> None:
    vx = VXvue(lab)
    for peer, abstract in ((RIS, WORKLIST), (PACS, DX), (PRINTER, PRINT), (PACS, COMMITMENT), (PACS, SR)):
        a = vx.propose(peer, abstract)
        a.accept(refuse={abstract: 4})
        a.release()


@odd(VX_STO_005="N/A", VX_MWL_005="N/A")
def nothing_accepted_and_aborted(lab: Lab) -> None:
    vx = VXvue(lab)
    for peer, abstract in ((RIS, WORKLIST), (PACS, DX), (PRINTER, PRINT)):
        a = vx.propose(peer, abstract)
        a.accept(refuse={abstract: 3})
        a.abort("requestor")


@odd(VX_SC_003="INCONCLUSIVE", STD_SVC_409="INCONCLUSIVE")
def report_crosses_the_release(lab: Lab) -> None:
    from simulators.wire import ReleaseRequest, ReleaseResponse
    from tests.lab.products.vxvue_objects import commitment_request

    vx, today = VXvue(lab), _started(lab)
    lab.wait(90)
    vx.store(PACS, today)
    a = vx.associate(PACS, COMMITMENT)
    named = commitment_request("2.25.6", [(DX, today.image(SMALL))])
    a.request("N-ACTION-RQ", named, sop_instance=COMMITMENT_INSTANCE, ActionTypeID=1)
    a.respond(0)
    a.pdu("requestor", ReleaseRequest())
    a.request("N-EVENT-REPORT-RQ", named, sop_instance=COMMITMENT_INSTANCE, EventTypeID=1, side="acceptor")
    a.pdu("acceptor", ReleaseResponse())
    a.close("requestor")


@odd(VX_SC_008="PASS", VX_SC_009="PASS")
def two_archives_on_one_host(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    lab.wait(90)
    vx.store(PACS, today)
    other = vx.associate(replace(PACS, ae="MIRROR"), DX)
    other.request("C-STORE-RQ", dx_image(today, SMALL), sop_instance=today.image(SMALL))
    vx.commit(PACS, today, dose=False)
    other.respond(0)
    other.release()


@odd(VX_STO_005="N/A")
def archive_falls_silent(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    lab.wait(100)
    a = vx.associate(PACS, DX)
    a.request("C-STORE-RQ", dx_image(today, SMALL), sop_instance=today.image(SMALL))
    lab.wait(30)
    a.abort("requestor")


@odd(VX_STO_005="PASS", VX_STO_002="PASS")
def archive_aborts_and_gets_it_again(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab, shots=(SMALL, OTHER))
    lab.wait(100)
    a = vx.associate(PACS, DX)
    a.request("C-STORE-RQ", dx_image(today, SMALL), sop_instance=today.image(SMALL))
    a.abort("acceptor", 2, 0)
    lab.wait(10)
    b = vx.associate(PACS, DX)
    for shot, status in ((SMALL, 0), (OTHER, 0xA700)):
        b.request("C-STORE-RQ", dx_image(today, shot), sop_instance=today.image(shot))
        b.respond(status)
    b.abort("acceptor")
    lab.wait(1)
    vx.store(PACS, replace(today, exposures=(OTHER,)))


@odd(VX_STO_006="PASS", VX_STO_002="PASS")
def operator_sends_the_study_again(lab: Lab) -> None:
    vx = VXvue(lab)
    today = _started(lab, shots=(SMALL, OTHER), scheduled=False)
    lab.wait(100)
    vx.store(PACS, today, mpps=False)
    lab.wait(1)
    vx.store(PACS, today, mpps=False)


@odd(VX_STO_006="PASS")
def images_sent_as_they_are_made(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab, shots=(SMALL, OTHER), scheduled=False)
    for shot in today.exposures:
        lab.time = max(lab.time, today.time(shot) + 3)
        vx.store(PACS, replace(today, exposures=(shot,)), mpps=False)


@odd(VX_STO_006="PASS", VX_SC_009="PASS")
def two_archives_at_once(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab, shots=(SMALL, OTHER))
    vx.begin(RIS, today)
    lab.wait(90)
    vx.end(RIS, today)
    begin = lab.time
    vx.store(PACS, today)
    lab.time = begin + 0.001
    vx.store(PACS2, today, statuses=(0, 0xA700))
    lab.wait(3)
    vx.commit(PACS, today, dose=False)


@odd(STD_SVC_102="PASS", STD_SVC_103="PASS", VX_MPPS_006="PASS", STD_SVC_116="PASS")
def step_repeated_after_failures(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    vx.begin(RIS, today, status=0x0110)
    lab.wait(5)
    vx.begin(RIS, today)
    lab.wait(90)
    vx.end(RIS, today, status=0x0110)
    lab.wait(5)
    vx.end(RIS, today)


@odd(STD_SVC_103="PASS")
def answer_to_the_last_set_is_lost(lab: Lab) -> None:
    from tests.lab.products.vxvue_objects import final

    vx, today = VXvue(lab), _started(lab)
    vx.begin(RIS, today)
    lab.wait(90)
    a = vx.associate(RIS, MPPS)
    a.request("N-SET-RQ", final(today, "COMPLETED", "PACS", lab.time), sop_instance=today.step)
    a.abort("acceptor")
    lab.wait(5)
    vx.end(RIS, today, status=0x0110)


@odd(STD_SVC_116="PASS", STD_SVC_103="PASS", STD_SVC_102="PASS")
def step_told_to_two_systems(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    vx.begin(RIS, today)
    vx.begin(PACS, today)
    lab.wait(90)
    vx.end(RIS, today)
    vx.end(PACS, today)


@odd(STD_SVC_102="INCONCLUSIVE", VX_MPPS_006="INCONCLUSIVE")
def begins_in_mid_exam(lab: Lab) -> None:
    vx, before, today = VXvue(lab), _started(lab), _started(lab, number=2)
    lab.wait(100)
    vx.store(PACS, before)
    vx.begin(RIS, today)
    lab.wait(5)
    vx.end(RIS, before)
    lab.wait(60)
    vx.store(PACS, today)
    vx.end(RIS, today)
    vx.commit(PACS, before, dose=False)


@odd(STD_SVC_102="INCONCLUSIVE", VX_MPPS_006="INCONCLUSIVE")
def list_refreshes_itself_in_mid_exam(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    for _ in range(2):
        vx.worklist(RIS, [today])
        lab.wait(60)
    vx.store(PACS, today)
    vx.end(RIS, today)


@odd(STD_SVC_102="INCONCLUSIVE")
def scheduler_was_away_at_the_begin(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    vx.worklist(RIS, [today])
    stream = lab.connect("10.0.0.5", RIS.address, 104)
    stream.add(lab.time + 0.001, 1, "rst")
    lab.wait(60)
    vx.store(PACS, today)
    vx.end(RIS, today, status=0x0112)


@odd()
def scheduler_is_away_at_the_end(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    vx.begin(RIS, today)
    lab.wait(60)
    vx.propose(RIS, MPPS).reject(2, 3, 2)
    vx.store(PACS, today)
    vx.commit(PACS, today, dose=False)
    lab.wait(60)
    vx.verify(PACS)


@odd(STD_SVC_112="PASS")
def discontinued_without_images(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab, shots=())
    vx.begin(RIS, today)
    lab.wait(20)
    vx.end(RIS, today, "DISCONTINUED")


@odd(STD_SVC_111="PASS", STD_SVC_112="PASS", VX_MPPS_004="PASS")
def capture_ends_in_mid_exam(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.exam(exam(), commitment=None, dose=False)
    lab.wait(60)
    today = _started(lab, number=2)
    vx.worklist(RIS, [today])
    vx.begin(RIS, today)
    a = vx.associate(PACS, DX)
    a.request("C-STORE-RQ", dx_image(today, SMALL), sop_instance=today.image(SMALL))


@odd(STD_SVC_108="DEV-FROM-STD", STD_SVC_109="DEV-FROM-STD")
def tables_as_printed(lab: Lab) -> None:
    def change(ds: DataSet) -> None:
        ds.drop("ReferencedPatientSequence")
        ds.item("ScheduledStepAttributesSequence").drop("ScheduledProtocolCodeSequence")

    dataset(lab, "N-CREATE-RQ", change)
    VXvue(lab).exam(exam(), commitment=None, dose=False)


@odd(STD_SVC_115="DEV-FROM-STD")
def codes_without_meaning(lab: Lab) -> None:
    for name in ("N-CREATE-RQ", "N-SET-RQ"):
        dataset(lab, name, lambda ds: ds.item("ProcedureCodeSequence").drop("CodeMeaning"))
    VXvue(lab).exam(exam(), commitment=None, dose=False)


@odd(STD_SVC_115="PASS")
def codes_that_the_scheduler_cut(lab: Lab) -> None:
    def drop(ds: DataSet) -> None:
        if ds.has("RequestedProcedureCodeSequence"):
            ds.item("RequestedProcedureCodeSequence").drop("CodingSchemeDesignator")

    def change(out: object) -> None:
        data = getattr(out, "dataset", None)
        if isinstance(data, DataSet):
            drop(data)

    from tests.lab.recipes.defects import on

    on(lab, "C-FIND-RSP", change)
    for name in ("N-CREATE-RQ", "N-SET-RQ"):
        dataset(lab, name, lambda ds: ds.item("ProcedureCodeSequence").drop("CodingSchemeDesignator"))
    VXvue(lab).exam(exam(), commitment=None, dose=False)


@odd(STD_SVC_202="PASS", STD_SVC_204="PASS")
def queries_with_matching(lab: Lab) -> None:
    vx = VXvue(lab)

    def change(ds: DataSet) -> None:
        ds.item("ScheduledProcedureStepSequence").put("ScheduledProcedureStepStartDate", "20250601-20250630")
        ds.put("RequestedProcedureCodeSequence", [])

    vx.worklist(RIS, [], keys={"PatientName": "D?e*", "PatientID": "*"}, status=0xA700)
    dataset(lab, "C-FIND-RQ", change, of=WORKLIST)
    vx.worklist(RIS, [exam()])
    vx.query(PACS, [exam()], StudyDate="20250101-", AccessionNumber="A*", StudyInstanceUID="1.2.3\\1.2.4")


@odd(VX_MWL_005="N/A")
def scheduler_closes_without_a_word(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, WORKLIST)
    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
    a.close("acceptor")
    b = VXvue(lab).associate(PACS, STUDY_ROOT)
    b.request("C-FIND-RQ", study_keys())
    b.respond(0)
    b.release("acceptor")


@odd(VX_SC_003="PASS", VX_SC_006="N/A", STD_SVC_409="PASS")
def reports_twice_and_of_nobody(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    lab.wait(90)
    vx.store(PACS, today)
    vx.commit(PACS, today, dose=False)
    for transaction in (today.uid("transaction", PACS.ae, 1), "2.25.404"):
        a = vx.accept(PACS, [(COMMITMENT, [EXPLICIT_LE])], [RoleSelection(COMMITMENT, 0, 1)])
        reference = DataSet(ReferencedSOPClassUID=DX, ReferencedSOPInstanceUID=today.image(SMALL))
        ds = DataSet(TransactionUID=transaction, ReferencedSOPSequence=[reference])
        a.request("N-EVENT-REPORT-RQ", ds, sop_instance=COMMITMENT_INSTANCE, EventTypeID=1)
        a.respond(0x0110)
        a.release()


@odd(STD_SVC_404="PASS")
def commitment_asked_again(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    lab.wait(90)
    vx.store(PACS, today)
    vx.commit(PACS, today, dose=False, report=None)
    lab.wait(60)
    vx.commit(PACS, today, dose=False, report="separate", number=2)


@odd(VX_SC_005="N/A")
def strangers_ask_for_commitment(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.verify(PACS)
    for called, contexts in (
        ("NOBODY", [(COMMITMENT, [EXPLICIT_LE])]),
        ("VXVUE", [(COMMITMENT, ["1.2.840.10008.1.2"])]),
    ):
        a = lab.associate(client=PACS.address, server=vx.address, calling="PACS", called=called, contexts=contexts,
                          user_items=[RoleSelection(COMMITMENT, 0, 1)])  # fmt: skip
        a.reject(1, 1, 7)


@odd(VX_SC_008="PASS", VX_SC_009="PASS")
def appended_and_committed_twice(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab, scheduled=False)
    lab.wait(90)
    vx.store(PACS, today, mpps=False)
    vx.commit(PACS, today, dose=False)
    lab.wait(300)
    more = replace(today, exposures=(OTHER,))
    vx.store(PACS, more, mpps=False)
    vx.commit(PACS, more, dose=False, number=2)


@odd(VX_SC_009="INCONCLUSIVE")
def commitment_by_another_host(lab: Lab) -> None:
    vx, today = VXvue(lab), _started(lab)
    lab.wait(90)
    vx.store(PACS, today)
    vx.store(PACS2, today)
    vx.commit(Peer("COMMITTER", "10.0.0.40"), today, dose=False)


@odd(VX_PRN_006="N/A")
def printer_says_no(lab: Lab) -> None:
    vx = VXvue(lab)
    a = vx.associate(PRINTER, PRINT)
    a.request("N-GET-RQ", sop_class=PRINTER_CLASS, sop_instance=PRINTER_INSTANCE)
    a.respond(0, DataSet(PrinterStatus="FAILURE", PrinterStatusInfo="SUPPLY EMPTY"))
    a.release()
    b = vx.associate(PRINTER, PRINT)
    b.request("N-GET-RQ", sop_class=PRINTER_CLASS, sop_instance=PRINTER_INSTANCE)
    b.respond(0, DataSet(PrinterStatus="NORMAL"))
    b.request("N-CREATE-RQ", DataSet(NumberOfCopies=1), sop_class=FILM_SESSION)
    b.respond(0xB600, AffectedSOPInstanceUID="2.25.20")
    session = DataSet(ReferencedSOPClassUID=FILM_SESSION, ReferencedSOPInstanceUID="2.25.20")
    film = DataSet(ImageDisplayFormat="STANDARD\\2,1", ReferencedFilmSessionSequence=[session])
    b.request("N-CREATE-RQ", film, sop_class=FILM_BOX)
    boxes = [DataSet(ReferencedSOPClassUID=IMAGE_BOX, ReferencedSOPInstanceUID=f"2.25.3{n}") for n in (0, 1)]
    b.respond(0, film.copy().put("ReferencedImageBoxSequence", boxes), AffectedSOPInstanceUID="2.25.21")
    b.request("N-SET-RQ", film_image(1, SMALL, 12), sop_class=IMAGE_BOX, sop_instance="2.25.30")
    b.respond(0xC603)
    b.request("N-DELETE-RQ", sop_class=FILM_BOX, sop_instance="2.25.21")
    b.respond(0)
    b.release()


@odd(VX_PRN_005="PASS", VX_PRN_007="PASS", VX_PRN_010="PASS", STD_SVC_506="PASS")
def two_films_of_one_session(lab: Lab) -> None:
    a = VXvue(lab).associate(PRINTER, PRINT)
    a.request("N-GET-RQ", sop_class=PRINTER_CLASS, sop_instance=PRINTER_INSTANCE)
    a.respond(0, DataSet(PrinterStatus="WARNING"))
    a.request("N-CREATE-RQ", DataSet(NumberOfCopies=1), sop_class=FILM_SESSION, sop_instance="2.25.20")
    a.respond(0)
    session = DataSet(ReferencedSOPClassUID=FILM_SESSION, ReferencedSOPInstanceUID="2.25.20")
    for number in (1, 2):
        film = DataSet(ImageDisplayFormat="ROW\\1,2", ReferencedFilmSessionSequence=[session])
        a.request("N-CREATE-RQ", film, sop_class=FILM_BOX, sop_instance=f"2.25.4{number}")
        boxes = [
            DataSet(ReferencedSOPClassUID=IMAGE_BOX, ReferencedSOPInstanceUID=f"2.25.5{number}{n}")
            for n in range(3)
        ]
        a.respond(0, DataSet(ReferencedImageBoxSequence=boxes))
        for place in (3, 1):
            uid = f"2.25.5{number}{place - 1}"
            a.request("N-SET-RQ", film_image(place, SMALL, 12), sop_class=IMAGE_BOX, sop_instance=uid)
            a.respond(0)
        a.request("N-ACTION-RQ", sop_class=FILM_BOX, sop_instance=f"2.25.4{number}", ActionTypeID=1)
        a.respond(0)
        a.request("N-DELETE-RQ", sop_class=FILM_BOX, sop_instance=f"2.25.4{number}")
        a.respond(0)
    a.request("N-DELETE-RQ", sop_class=FILM_SESSION, sop_instance="2.25.20")
    a.respond(0)
    a.release()


@odd(STD_SVC_508="DEV-FROM-STD")
def film_of_14_bits(lab: Lab) -> None:
    VXvue(lab).print_film(PRINTER, exam(), bits=14)


@odd(VX_SR_004="PASS", VX_SR_005="PASS", VX_STO_005="PASS")
def images_and_report_together(lab: Lab) -> None:
    today = _started(lab, scheduled=False)
    lab.wait(90)
    a = lab.associate(client="10.0.0.5", server=PACS.address, called="PACS",
                      contexts=[(DX, [EXPLICIT_LE]), (SR, [EXPLICIT_LE])])  # fmt: skip
    a.accept()
    a.request("C-STORE-RQ", dx_image(today, SMALL, mpps=False), sop_class=DX, sop_instance=today.image(SMALL))
    a.respond(0xB000)
    report = DataSet(StudyInstanceUID=today.study)
    a.request("C-STORE-RQ", report, sop_class=SR, sop_instance=today.report)
    a.respond(0)
    a.release()


@odd()
def wrong_questions_to_the_receiver(lab: Lab) -> None:
    vx = VXvue(lab)
    a = vx.accept(PACS, [(VERIFICATION, [EXPLICIT_LE]), (DX, [EXPLICIT_LE])])
    a.request("C-ECHO-RQ")
    a.respond(0)
    a.abort("requestor")


@odd()
def no_uid_from_the_modality(lab: Lab) -> None:
    from tests.lab.products.vxvue_objects import final

    vx, today = VXvue(lab), _started(lab)
    a = vx.associate(RIS, MPPS)
    a.request("N-CREATE-RQ", in_progress(today, "VXVUE"))
    a.respond(0, AffectedSOPInstanceUID="2.25.77")
    a.release()
    lab.wait(60)
    b = vx.associate(RIS, MPPS)
    b.request("N-SET-RQ", final(today, "COMPLETED", "PACS", lab.time), sop_instance="2.25.77")
    b.respond(0)
    b.release()


@pytest.mark.parametrize("name", sorted(ODD))
def test_odd_but_right(name: str, tmp_path: Path) -> None:
    build, wanted = ODD[name]
    verdicts = judged(tmp_path, build)
    assert failures(verdicts) == set()
    assert {id: verdicts.get(id, Verdict.NOT_EXERCISED).value for id in wanted} == wanted


@pytest.mark.parametrize("order", ["gaps", "shuffled"])
def test_a_bad_network_makes_nobody_guilty(order: str, tmp_path: Path) -> None:
    def build(lab: Lab) -> None:
        VXvue(lab).exam(exam(shots=(SMALL, OTHER)), printer=PRINTER, report="separate")

    assert failures(judged(tmp_path, build, order=order)) == set()


@pytest.mark.parametrize("part", [0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9])
def test_a_capture_that_begins_or_ends_anywhere(part: float, tmp_path: Path) -> None:
    def late(lab: Lab) -> None:
        start = lab.time
        VXvue(lab).exam(exam(shots=(SMALL, OTHER)), printer=PRINTER, report="separate")
        lab.missing_until = start + (lab.time - start) * part

    assert failures(judged(tmp_path, late)) == set()


@pytest.mark.parametrize("kept", range(20, 420, 25))
def test_a_capture_that_is_cut(kept: int, tmp_path: Path) -> None:
    from bench.checks.case import Case, Sut
    from bench.statements import load
    from bench.witness import read
    from tests.lab import files
    from tests.lab.services import SERVICES, VXVUE, findings

    lab = Lab()
    VXvue(lab).exam(exam(shots=(SMALL, OTHER)), printer=PRINTER, report="separate")
    path = files.write(tmp_path / "wire.pcapng", files.pcapng(lab.frames()[:kept]))
    case = Case(load("vxvue"), read(str(path)), Sut(addresses=frozenset({"10.0.0.5"})))
    found = findings(case, (*SERVICES, *VXVUE))
    assert [f for f in found if f.verdict is Verdict.FAIL] == []


def test_an_answer_without_status_is_the_archives_fault(tmp_path: Path) -> None:
    """Whether the image was taken is not known: asking for its commitment is neither right nor wrong."""
    from bench.checks.crossobject import commitment

    def build(lab: Lab) -> None:
        def mute(out: Outgoing) -> None:
            assert isinstance(out.command, Command)
            out.command = Command({k: v for k, v in out.command.elements.items() if k != 0x0900})

        on(lab, "C-STORE-RSP", mute)
        vx, today = VXvue(lab), _started(lab, shots=(SMALL,), scheduled=False)
        vx.store(PACS, today, mpps=False)
        vx.commit(PACS, today, dose=False)

    modules = ("bench.checks.vxvue.commitment", commitment.__name__)
    told = judged(tmp_path, build, modules=modules)
    assert told["VX-SC-009"] is told["STD-X-050"] is Verdict.INCONCLUSIVE
    assert not failures(told)
