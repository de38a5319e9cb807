"""Storage commitment."""

from __future__ import annotations

from dataclasses import replace

from tests.lab.conversation import Lab
from tests.lab.elements import EXPLICIT_LE, DataSet
from tests.lab.products.vxvue import COMMITMENT, COMMITMENT_INSTANCE, PACS, VXvue
from tests.lab.products.vxvue_objects import DX, MPPS, SR, commitment_request, dx_image
from tests.lab.recipes.defects import OTHER, dataset, exam, on, one_exam
from tests.lab.servicedefects.registry import SHOT, aborting, command, defect, ending, shots


@defect("STD-SVC-401", "VX-SC-002")
def action_two(lab: Lab) -> None:
    command(lab, "N-ACTION-RQ", ActionTypeID=2)
    one_exam(lab, commitment=True)


@defect("STD-SVC-402", "VX-SC-002")
def commitment_of_another_instance(lab: Lab) -> None:
    command(lab, "N-ACTION-RQ", RequestedSOPInstanceUID="2.25.99")
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
    command(lab, "N-EVENT-REPORT-RSP", Status=0x0110)
    one_exam(lab, commitment=True)


@defect("STD-SVC-409", "VX-SC-006", "VX-SC-011")
def failure_report_refused(lab: Lab) -> None:
    command(lab, "N-EVENT-REPORT-RSP", Status=0x0110)
    vx, today = VXvue(lab), exam()
    vx.exam(today, commitment=None, dose=False)
    vx.commit(PACS, today, dose=False, report="separate", failed=[today.image(today.exposures[0])])


@defect("STD-SVC-409", "VX-SC-003")
def report_not_answered(lab: Lab) -> None:
    on(lab, "N-EVENT-REPORT-RSP", lambda out: setattr(out, "skip", True))
    one_exam(lab, commitment=True)


@defect("STD-SVC-410")
def answer_of_another_event(lab: Lab) -> None:
    command(lab, "N-EVENT-REPORT-RSP", EventTypeID=2)
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
    with aborting():
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
    with ending(PACS.address, lambda a: a.abort("acceptor")):
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
    shots(lab)


@defect("VX-SC-009")
def one_instance_too_many(lab: Lab) -> None:
    key = "ReferencedSOPSequence"
    more = DataSet(ReferencedSOPClassUID=DX, ReferencedSOPInstanceUID="2.25.31")
    dataset(lab, "N-ACTION-RQ", lambda ds: ds.put(key, [*ds.get(key), more]))
    shots(lab)


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


@defect("VX-SC-005", config={"receiver": True})
def receiver_does_not_listen(lab: Lab) -> None:
    VXvue(lab).exam(exam(), dose=False, report=None)
    stream = lab.connect(PACS.address, "10.0.0.5", 104)
    stream.add(lab.time + 0.001, 1, "rst")
