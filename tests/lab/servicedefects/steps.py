"""Performed procedure steps."""

from __future__ import annotations

from tests.lab.conversation import Lab
from tests.lab.elements import DataSet
from tests.lab.products.vxvue import PACS, PACS2, RIS, VXvue
from tests.lab.products.vxvue_objects import MPPS, final, in_progress
from tests.lab.recipes.defects import dataset, exam, on, one_exam
from tests.lab.servicedefects.registry import CONFIG, aborting, command, defect


@defect("STD-SVC-101", "VX-MPPS-002")
def created_completed(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("PerformedProcedureStepStatus", "COMPLETED"))
    one_exam(lab)


@defect("VX-MPPS-002")
def step_of_another_class(lab: Lab) -> None:
    command(lab, "N-CREATE-RQ", AffectedSOPClassUID="1.2.840.10008.3.1.2.3.4")
    one_exam(lab)


@defect("STD-SVC-102", "VX-MPPS-006")
def another_step_is_set(lab: Lab) -> None:
    command(lab, "N-SET-RQ", RequestedSOPInstanceUID="2.25.4711")
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
    with aborting():
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
