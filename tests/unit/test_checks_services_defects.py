"""Each rule and clause of the services is turned by a defect of its own, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from simulators.wire.dimse import Command
from tests.lab.conversation import Conversation, Lab, Outgoing
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
    VXvue,
    study_keys,
    worklist_keys,
)
from tests.lab.products.vxvue_objects import DX, MPPS, SR, commitment_request, dx_image, final, in_progress
from tests.lab.recipes.defects import OTHER, dataset, exam, on, one_exam, one_film, one_image, one_report
from tests.lab.services import failures, judged

Build = Callable[[Lab], object]
DEFECTS: Final[dict[str, tuple[Build, frozenset[str], dict[str, Any]]]] = {}
CONFIG: Final = {
    "worklist": {"ae_title": "RIS", "address": "10.0.0.20", "port": 104},
    "mpps": {"ae_title": "RIS", "address": "10.0.0.20", "port": 104},
}


def defect(*fails: str, **how: Any) -> Callable[[Build], Build]:
    """A conversation with one defect: exactly these rows FAIL."""

    def add(build: Build) -> Build:
        DEFECTS[build.__name__] = (build, frozenset(fails), how)
        return build

    return add


def _command(lab: Lab, name: str, *, of: str | None = None, nth: int | None = None, **values: Any) -> None:
    """Change command elements."""

    def change(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        old = out.command
        known = {k: old.get(k) for k in ("MessageID", "AffectedSOPClassUID", "RequestedSOPClassUID")}
        for k in (
            "AffectedSOPInstanceUID",
            "RequestedSOPInstanceUID",
            "ActionTypeID",
            "EventTypeID",
            "Status",
        ):
            known[k] = old.get(k)
        known["MessageIDBeingRespondedTo"] = old.get("MessageIDBeingRespondedTo")
        kept = {k: v for k, v in (known | values).items() if v is not None}
        out.command = Command.new(name, dataset=old.has_dataset, **kept)

    on(lab, name, change, of=of, nth=nth)


def _shots(lab: Lab, **how: Any) -> None:
    VXvue(lab).exam(exam(shots=(SHOT, OTHER)), **how)


SHOT: Final = replace(OTHER, number=1, view="PA")


# -- verification and storage ---------------------------------------------------------------------------------


@defect("STD-SVC-001")
def echo_with_data_set(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, VERIFICATION)
    a.request("C-ECHO-RQ", DataSet(PatientID="1"))
    a.respond()
    a.release()


@defect("STD-SVC-002")
def echo_refused(lab: Lab) -> None:
    a = VXvue(lab).accept(PACS, [(VERIFICATION, [EXPLICIT_LE])])
    a.request("C-ECHO-RQ")
    a.respond(0x0110)
    a.release()


@defect("STD-SVC-010")
def one_uid_for_two_images(lab: Lab) -> None:
    _command(lab, "C-STORE-RQ", AffectedSOPInstanceUID="2.25.1")
    VXvue(lab).store(PACS, exam(shots=(SHOT, OTHER), scheduled=False), mpps=False)


@defect("STD-SVC-011")
def store_without_object(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, DX)
    a.request("C-STORE-RQ", sop_instance="2.25.1")
    a.respond(0)
    a.release()


@defect("VX-STO-001")
def image_on_a_foreign_association(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, "1.2.840.10008.5.1.4.1.1.1")
    today = exam(scheduled=False)
    shot = today.exposures[0]
    a.request("C-STORE-RQ", dx_image(today, shot, mpps=False), sop_class=DX, sop_instance=today.image(shot))
    a.respond(0)
    a.release()


@defect("VX-STO-002")
def image_sent_twice(lab: Lab) -> None:
    today = exam(scheduled=False)
    VXvue(lab).store(PACS, replace(today, exposures=today.exposures * 2), mpps=False)


@defect("VX-STO-002")
def association_for_nothing(lab: Lab) -> None:
    VXvue(lab).associate(PACS, DX).release()


@defect("VX-STO-005")
def storage_aborted(lab: Lab) -> None:
    with _aborting():
        one_image(lab)


@defect("VX-STO-005")
def storage_closed(lab: Lab) -> None:
    with _closing():
        one_image(lab)


@contextmanager
def _ends(client: str, how: Callable[[Conversation], None]) -> Iterator[None]:
    """The associations of one host end otherwise than by a release."""
    original = Conversation.release

    def release(self: Conversation, *arguments: Any, **named: Any) -> None:
        if self.stream.ends[0][0] == client:
            how(self)
        else:
            original(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conversation, "release", release)
        yield


def _aborting() -> AbstractContextManager[None]:
    return _ends("10.0.0.5", lambda a: a.abort("requestor"))


def _closing() -> AbstractContextManager[None]:
    return _ends("10.0.0.5", lambda a: a.close("requestor"))


@defect("VX-STO-006")
def image_by_image(lab: Lab) -> None:
    vx, today = VXvue(lab), exam(shots=(SHOT, OTHER), scheduled=False)
    for shot in today.exposures:
        vx.store(PACS, replace(today, exposures=(shot,)), mpps=False)


@defect("VX-STO-006")
def image_by_image_after_the_step(lab: Lab) -> None:
    vx, today = VXvue(lab), exam(shots=(SHOT, OTHER))
    today.start = lab.time
    vx.begin(RIS, today)
    lab.wait(120)
    vx.end(RIS, today)
    for shot in today.exposures:
        lab.wait(30)
        vx.store(PACS, replace(today, exposures=(shot,)))


@defect("VX-STO-006")
def two_studies_on_one_association(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, DX)
    for number in (1, 2):
        today = exam(number=number, scheduled=False)
        shot = today.exposures[0]
        a.request("C-STORE-RQ", dx_image(today, shot, mpps=False), sop_instance=today.image(shot))
        a.respond(0)
    a.release()


# -- performed procedure step ----------------------------------------------------------------------------------


@defect("STD-SVC-101", "VX-MPPS-002")
def created_completed(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("PerformedProcedureStepStatus", "COMPLETED"))
    one_exam(lab)


@defect("VX-MPPS-002")
def step_of_another_class(lab: Lab) -> None:
    _command(lab, "N-CREATE-RQ", AffectedSOPClassUID="1.2.840.10008.3.1.2.3.4")
    one_exam(lab)


@defect("VX-PRN-004")
def film_box_of_another_class(lab: Lab) -> None:
    _command(lab, "N-CREATE-RQ", of=FILM_BOX, AffectedSOPClassUID=IMAGE_BOX)
    one_film(lab)


@defect("STD-SVC-102", "VX-MPPS-006")
def another_step_is_set(lab: Lab) -> None:
    _command(lab, "N-SET-RQ", RequestedSOPInstanceUID="2.25.4711")
    one_exam(lab)


@defect("STD-SVC-103", "VX-MPPS-006", "VX-MPPS-013")
def set_after_the_end(lab: Lab) -> None:
    one_exam(lab)
    lab.wait(10)
    VXvue(lab).end(RIS, exam(), status=0x0110)


@defect("STD-SVC-104", "VX-MPPS-006")
def state_of_no_table(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedProcedureStepStatus", "FINISHED"))
    one_exam(lab)


@defect("VX-MPPS-006")
def never_final(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedProcedureStepStatus", "IN PROGRESS"))
    one_exam(lab)


@defect("STD-SVC-105")
def patient_changed_by_set(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PatientName", "Roe^Jane"))
    one_exam(lab)


@defect("STD-SVC-106")
def no_scheduled_step(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("ScheduledStepAttributesSequence", []))
    one_exam(lab)


@defect("STD-SVC-106")
def scheduled_step_without_study(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.item("ScheduledStepAttributesSequence").put("StudyInstanceUID"))
    one_exam(lab)


@defect("STD-SVC-107")
def no_step_id(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("PerformedProcedureStepID"))
    one_exam(lab)


@defect("STD-SVC-107", "VX-MPPS-002")
def created_with_nothing(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, MPPS)
    a.request("N-CREATE-RQ", sop_instance="2.25.1")
    a.respond(0x0120)
    a.release()


@defect("STD-SVC-108")
def no_sex(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.drop("PatientSex"))
    one_exam(lab)


@defect("STD-SVC-109")
def scheduled_step_without_id(lab: Lab) -> None:
    dataset(
        lab,
        "N-CREATE-RQ",
        lambda ds: ds.item("ScheduledStepAttributesSequence").drop("ScheduledProcedureStepID"),
    )
    one_exam(lab)


@defect("STD-SVC-110")
def image_without_instance(lab: Lab) -> None:
    def change(ds: DataSet) -> None:
        ds.item("PerformedSeriesSequence").item("ReferencedImageSequence").drop("ReferencedSOPInstanceUID")

    dataset(lab, "N-SET-RQ", change)
    one_exam(lab)


@defect("STD-SVC-111")
def no_end(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedProcedureStepEndDate"))
    one_exam(lab)


@defect("STD-SVC-112")
def no_series(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedSeriesSequence", []))
    one_exam(lab)


@defect("STD-SVC-112")
def discontinued_with_images_but_no_series(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedSeriesSequence", []))
    VXvue(lab).exam(exam(), result="DISCONTINUED", dose=False, commitment=None)


@defect("STD-SVC-113")
def series_without_protocol(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.item("PerformedSeriesSequence").put("ProtocolName"))
    one_exam(lab)


@defect("STD-SVC-114")
def series_without_operator(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.item("PerformedSeriesSequence").drop("OperatorsName"))
    one_exam(lab)


@defect("STD-SVC-115")
def code_without_scheme(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.item("ProcedureCodeSequence").drop("CodingSchemeDesignator"))
    one_exam(lab)


@defect("STD-SVC-116")
def created_twice(lab: Lab) -> None:
    vx, today = VXvue(lab), exam()
    today.start = lab.time
    vx.begin(RIS, today)
    lab.wait(1)
    vx.begin(RIS, today, status=0x0111)


@defect("STD-SVC-117")
def ends_before_it_begins(lab: Lab) -> None:
    dataset(lab, "N-SET-RQ", lambda ds: ds.put("PerformedProcedureStepEndTime", "000001"))
    one_exam(lab)


@defect("VX-MPPS-001")
def association_of_the_step_before(lab: Lab) -> None:
    first, second = exam(), exam(number=2)
    first.start = second.start = lab.time
    vx = VXvue(lab)
    vx.begin(RIS, first)
    lab.wait(60)
    a = vx.associate(RIS, MPPS)
    a.request("N-SET-RQ", final(first, "COMPLETED", "PACS", lab.time), sop_instance=first.step)
    a.respond(0)
    a.request("N-CREATE-RQ", in_progress(second, "VXVUE"), sop_instance=second.step)
    a.respond(0)
    a.release()


@defect("VX-MPPS-003", config=CONFIG)
def step_created_elsewhere(lab: Lab) -> None:
    today = exam()
    today.start = lab.time
    VXvue(lab).begin(PACS2, today)


@defect("VX-MPPS-007", config=CONFIG)
def step_set_elsewhere(lab: Lab) -> None:
    today = exam()
    today.start = lab.time
    vx = VXvue(lab)
    vx.begin(RIS, today)
    lab.wait(60)
    vx.end(PACS2, today)


@defect("VX-MPPS-004", "VX-MPPS-008", "VX-MWL-005", "VX-STO-005")
def everything_aborted(lab: Lab) -> None:
    with _aborting():
        one_exam(lab)


@defect("VX-MPPS-004")
def first_association_stays(lab: Lab) -> None:
    today = exam()
    today.start = lab.time
    vx = VXvue(lab)
    a = vx.associate(RIS, MPPS)
    a.request("N-CREATE-RQ", in_progress(today, "VXVUE"), sop_instance=today.step)
    a.respond(0)
    lab.wait(60)
    vx.end(RIS, today)
    a.release()


@defect("VX-MPPS-005")
def one_association_for_both(lab: Lab) -> None:
    today = exam()
    today.start = lab.time
    a = VXvue(lab).associate(RIS, MPPS)
    a.request("N-CREATE-RQ", in_progress(today, "VXVUE"), sop_instance=today.step)
    a.respond(0)
    lab.wait(60)
    a.request("N-SET-RQ", final(today, "COMPLETED", "PACS", lab.time), sop_instance=today.step)
    a.respond(0)
    a.release()


@defect("STD-SVC-102", "VX-MPPS-002")
def step_never_created(lab: Lab) -> None:
    on(lab, "N-CREATE-RQ", lambda out: setattr(out, "skip", True))
    vx, today = VXvue(lab), exam()
    today.start = lab.time
    vx.worklist(RIS, [today])
    lab.wait(90)
    vx.store(PACS, today)
    vx.end(RIS, today)


@defect("VX-MPPS-006")
def step_never_ended(lab: Lab) -> None:
    vx, today = VXvue(lab), exam()
    today.start = lab.time
    vx.worklist(RIS, [today])
    vx.begin(RIS, today)
    lab.wait(90)
    vx.store(PACS, today)
    vx.commit(PACS, today, dose=False)
    lab.wait(30)
    vx.verify(PACS)


@defect("VX-SC-005", config={"receiver": True})
def receiver_does_not_listen(lab: Lab) -> None:
    VXvue(lab).exam(exam(), dose=False, report=None)
    stream = lab.connect(PACS.address, "10.0.0.5", 104)
    stream.add(lab.time + 0.001, 1, "rst")


# -- queries ---------------------------------------------------------------------------------------------------


def _find(lab: Lab, change: Callable[[DataSet], object]) -> None:
    dataset(lab, "C-FIND-RQ", change)
    VXvue(lab).worklist(RIS, [exam()])


def _query(lab: Lab, change: Callable[[DataSet], object]) -> None:
    dataset(lab, "C-FIND-RQ", change)
    VXvue(lab).query(PACS, [exam()])


@defect("STD-SVC-201")
def worklist_with_level(lab: Lab) -> None:
    _find(lab, lambda ds: ds.put("QueryRetrieveLevel", "STUDY"))


@defect("STD-SVC-202")
def two_scheduled_steps(lab: Lab) -> None:
    key = "ScheduledProcedureStepSequence"
    _find(lab, lambda ds: ds.put(key, [ds.item(key), ds.item(key)]))


@defect("STD-SVC-203")
def two_code_items(lab: Lab) -> None:
    key = "RequestedProcedureCodeSequence"
    _find(lab, lambda ds: ds.put(key, [ds.item(key), ds.item(key)]))


@defect("STD-SVC-204")
def wildcard_in_a_date(lab: Lab) -> None:
    _find(
        lab,
        lambda ds: ds.item("ScheduledProcedureStepSequence").put(
            "ScheduledProcedureStepStartDate", "202506*"
        ),
    )


@defect("STD-SVC-205", "VX-MWL-002")
def find_without_identifier(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, WORKLIST)
    a.request("C-FIND-RQ")
    a.respond(0)
    a.release()


@defect("VX-MWL-002")
def worklist_association_for_nothing(lab: Lab) -> None:
    VXvue(lab).associate(RIS, WORKLIST).release()


@defect("VX-MWL-001")
def worklist_on_a_foreign_association(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, STUDY_ROOT)
    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"), sop_class=WORKLIST)
    a.respond(0)
    a.release()


@defect("VX-MWL-003", config=CONFIG)
def worklist_elsewhere(lab: Lab) -> None:
    VXvue(lab).worklist(PACS, [exam()])


@defect("VX-MWL-006")
def two_worklists_on_one_association(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, WORKLIST)
    for _ in range(2):
        a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
        a.respond(0)
    a.release()


@defect("STD-SVC-301", "VX-QR-002")
def query_without_level(lab: Lab) -> None:
    _query(lab, lambda ds: ds.drop("QueryRetrieveLevel"))


@defect("STD-SVC-302", "VX-QR-002")
def query_of_no_level(lab: Lab) -> None:
    _query(lab, lambda ds: ds.put("QueryRetrieveLevel", "EXAM"))


@defect("STD-SVC-303", "VX-QR-002")
def series_of_all_studies(lab: Lab) -> None:
    _query(lab, lambda ds: ds.put("QueryRetrieveLevel", "SERIES"))


@defect("STD-SVC-304")
def key_of_an_image(lab: Lab) -> None:
    _query(lab, lambda ds: ds.put("InstanceNumber"))


@defect("VX-QR-001")
def query_on_a_foreign_association(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, WORKLIST)
    a.request("C-FIND-RQ", study_keys(), sop_class=STUDY_ROOT)
    a.respond(0)
    a.release()


@defect("VX-QR-003")
def query_aborted(lab: Lab) -> None:
    with _aborting():
        VXvue(lab).query(PACS, [exam()])


@defect("VX-QR-005")
def two_queries_on_one_association(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, STUDY_ROOT)
    for _ in range(2):
        a.request("C-FIND-RQ", study_keys())
        a.respond(0)
    a.release()


# -- commitment ------------------------------------------------------------------------------------------------


@defect("STD-SVC-401", "VX-SC-002")
def action_two(lab: Lab) -> None:
    _command(lab, "N-ACTION-RQ", ActionTypeID=2)
    one_exam(lab, commitment=True)


@defect("STD-SVC-402", "VX-SC-002")
def commitment_of_another_instance(lab: Lab) -> None:
    _command(lab, "N-ACTION-RQ", RequestedSOPInstanceUID="2.25.99")
    one_exam(lab, commitment=True)


@defect("STD-SVC-403")
def no_transaction(lab: Lab) -> None:
    def change(ds: DataSet) -> None:
        ds.put("TransactionUID")

    dataset(lab, "N-ACTION-RQ", change)
    VXvue(lab).exam(exam(), dose=False, report=None)


@defect("STD-SVC-404")
def transaction_used_again(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.exam(exam(), dose=False)
    lab.wait(60)
    vx.commit(PACS, exam(), dose=False)


@defect("STD-SVC-405")
def commitment_of_nothing(lab: Lab) -> None:
    dataset(lab, "N-ACTION-RQ", lambda ds: ds.put("ReferencedSOPSequence", []))
    one_exam(lab, commitment=True)


@defect("STD-SVC-406")
def instance_without_class(lab: Lab) -> None:
    dataset(lab, "N-ACTION-RQ", lambda ds: ds.item("ReferencedSOPSequence").drop("ReferencedSOPClassUID"))
    one_exam(lab, commitment=True)


@defect("STD-SVC-407")
def instance_named_twice(lab: Lab) -> None:
    key = "ReferencedSOPSequence"
    dataset(lab, "N-ACTION-RQ", lambda ds: ds.put(key, [*ds.get(key), ds.item(key)]))
    one_exam(lab, commitment=True)


@defect("STD-SVC-408")
def another_class_than_stored(lab: Lab) -> None:
    dataset(lab, "N-ACTION-RQ", lambda ds: ds.item("ReferencedSOPSequence").put("ReferencedSOPClassUID", SR))
    one_exam(lab, commitment=True)


@defect("STD-SVC-409", "VX-SC-003", "VX-SC-010")
def report_refused(lab: Lab) -> None:
    _command(lab, "N-EVENT-REPORT-RSP", Status=0x0110)
    one_exam(lab, commitment=True)


@defect("STD-SVC-409", "VX-SC-006", "VX-SC-011")
def failure_report_refused(lab: Lab) -> None:
    _command(lab, "N-EVENT-REPORT-RSP", Status=0x0110)
    vx, today = VXvue(lab), exam()
    vx.exam(today, commitment=None, dose=False)
    vx.commit(PACS, today, dose=False, report="separate", failed=[today.image(today.exposures[0])])


@defect("STD-SVC-409", "VX-SC-003")
def report_not_answered(lab: Lab) -> None:
    on(lab, "N-EVENT-REPORT-RSP", lambda out: setattr(out, "skip", True))
    one_exam(lab, commitment=True)


@defect("STD-SVC-410")
def answer_of_another_event(lab: Lab) -> None:
    _command(lab, "N-EVENT-REPORT-RSP", EventTypeID=2)
    one_exam(lab, commitment=True)


@defect("VX-SC-001")
def commitment_on_a_foreign_association(lab: Lab) -> None:
    vx, today = VXvue(lab), exam()
    vx.exam(today, commitment=None, dose=False)
    a = vx.associate(PACS, MPPS)
    a.request(
        "N-ACTION-RQ",
        commitment_request("2.25.5", [(DX, today.image(today.exposures[0]))]),
        sop_class=COMMITMENT,
        sop_instance=COMMITMENT_INSTANCE,
        ActionTypeID=1,
    )
    a.respond(0)
    a.release()


@defect("VX-SC-004")
def commitment_aborted(lab: Lab) -> None:
    vx, today = VXvue(lab), exam()
    vx.exam(today, commitment=None, dose=False)
    with _aborting():
        vx.commit(PACS, today, dose=False)


@defect("VX-SC-005")
def commitment_peer_rejected(lab: Lab) -> None:
    from simulators.wire import RoleSelection

    vx = VXvue(lab)
    vx.exam(exam(), dose=False, report=None)
    a = lab.associate(
        client=PACS.address,
        server=vx.address,
        calling=PACS.ae,
        called=vx.ae,
        contexts=[(COMMITMENT, [EXPLICIT_LE])],
        user_items=[RoleSelection(COMMITMENT, 0, 1)],
    )
    a.reject(1, 1, 1)


@defect("VX-SC-007")
def commitment_peer_aborted(lab: Lab) -> None:
    with _ends(PACS.address, lambda a: a.abort("acceptor")):
        VXvue(lab).exam(exam(), dose=False, report="separate")


@defect("VX-SC-008")
def commitment_too_early(lab: Lab) -> None:
    vx, today = VXvue(lab), exam(shots=(SHOT, OTHER), scheduled=False)
    today.start = lab.time
    lab.wait(100)
    a = vx.associate(PACS, DX)
    for shot in today.exposures:
        a.request("C-STORE-RQ", dx_image(today, shot, mpps=False), sop_instance=today.image(shot))
        a.respond(0)
        if shot is today.exposures[0]:
            vx.commit(PACS, replace(today, exposures=(shot,)), dose=False)
    a.release()


@defect("VX-SC-009")
def one_instance_forgotten(lab: Lab) -> None:
    key = "ReferencedSOPSequence"
    dataset(lab, "N-ACTION-RQ", lambda ds: ds.put(key, ds.get(key)[:1]))
    _shots(lab)


@defect("VX-SC-009")
def one_instance_too_many(lab: Lab) -> None:
    key = "ReferencedSOPSequence"
    more = DataSet(ReferencedSOPClassUID=DX, ReferencedSOPInstanceUID="2.25.31")
    dataset(lab, "N-ACTION-RQ", lambda ds: ds.put(key, [*ds.get(key), more]))
    _shots(lab)


@defect("VX-SC-009")
def refused_instance_named(lab: Lab) -> None:
    vx, today = VXvue(lab), exam(shots=(SHOT, OTHER), scheduled=False)
    today.start = lab.time
    lab.wait(100)
    vx.store(PACS, today, mpps=False, statuses=(0, 0xA700))
    vx.commit(PACS, today, dose=False)


@defect("VX-SC-008")
def commitment_before_the_dose_report(lab: Lab) -> None:
    vx, today = VXvue(lab), exam(scheduled=False)
    today.start = lab.time
    lab.wait(100)
    vx.store(PACS, today, mpps=False)
    vx.commit(PACS, today, dose=False)
    vx.dose(PACS, today, mpps=False)


# -- print -----------------------------------------------------------------------------------------------------


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
    _command(lab, "N-GET-RQ", RequestedSOPInstanceUID="2.25.6")
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
    _command(lab, "N-SET-RQ", of=IMAGE_BOX, RequestedSOPInstanceUID="2.25.9")
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
    _command(lab, "N-ACTION-RQ", RequestedSOPInstanceUID="2.25.10")
    one_film(lab)


@defect("STD-SVC-509", "VX-PRN-006")
def film_action_two(lab: Lab) -> None:
    _command(lab, "N-ACTION-RQ", ActionTypeID=2)
    one_film(lab)


@defect("STD-SVC-510", "VX-PRN-007")
def another_film_deleted(lab: Lab) -> None:
    _command(lab, "N-DELETE-RQ", RequestedSOPInstanceUID="2.25.11")
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


@defect("VX-PRN-001")
def film_by_single_classes(lab: Lab) -> None:
    a = VXvue(lab).associate(PRINTER, FILM_SESSION)
    a.request("N-CREATE-RQ", DataSet(NumberOfCopies=1), sop_class=FILM_SESSION)
    a.respond(0x0110)
    a.release()


DEFECTS["film_by_single_classes"] = (
    film_by_single_classes,
    frozenset({"VX-PRN-001", "VX-PRN-002"}),
    {},
)


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
    with _aborting():
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


# -- dose report -----------------------------------------------------------------------------------------------


@defect("VX-SR-001")
def report_on_a_foreign_association(lab: Lab) -> None:
    today = exam(scheduled=False)
    a = VXvue(lab).associate(PACS, "1.2.840.10008.5.1.4.1.1.88.33")
    a.request("C-STORE-RQ", DataSet(StudyInstanceUID=today.study), sop_class=SR, sop_instance=today.report)
    a.respond(0)
    a.release()


@defect("VX-SR-002")
def report_association_for_nothing(lab: Lab) -> None:
    VXvue(lab).associate(PACS, SR).release()


@defect("VX-SR-004", "VX-STO-005")
def report_aborted(lab: Lab) -> None:
    with _aborting():
        one_report(lab)


@defect("VX-SR-005")
def reports_of_two_studies(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, SR)
    for number in (1, 2):
        today = exam(number=number, scheduled=False)
        a.request("C-STORE-RQ", DataSet(StudyInstanceUID=today.study), sop_instance=today.report)
        a.respond(0)
    a.release()


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_defect_turns_its_rows_and_no_others(name: str, tmp_path: Path) -> None:
    build, fails, how = DEFECTS[name]
    assert failures(judged(tmp_path, build, **how)) == fails


def test_every_wire_row_has_a_defect() -> None:
    from bench.checks.standard import rules
    from bench.statements import load
    from tests.lab.services import VXVUE, checks

    turned = set().union(*(fails for _, fails, _ in DEFECTS.values()))
    wanted = {id for id in rules() if id.startswith("STD-SVC-")}
    claims = {
        "VX-STO-003",
        "VX-STO-004",
        "VX-MWL-004",
        "VX-MPPS-009",
        "VX-MPPS-010",
        "VX-MPPS-011",
        "VX-MPPS-012",
    }
    claims |= {"VX-STO-007", "VX-MWL-007", "VX-PRN-011", "VX-QR-006", "VX-SR-006"}
    wanted |= {id for one in checks(*VXVUE) for id in one.ids} - claims
    assert wanted <= set(load("vxvue").by_id) | set(rules())
    assert not wanted - turned
