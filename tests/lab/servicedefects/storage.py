"""Verification and storage."""

from __future__ import annotations

from dataclasses import replace

from tests.lab.conversation import Lab
from tests.lab.elements import EXPLICIT_LE, DataSet
from tests.lab.products.vxvue import PACS, RIS, VERIFICATION, VXvue
from tests.lab.products.vxvue_objects import DX, dx_image
from tests.lab.recipes.defects import OTHER, exam, one_image
from tests.lab.servicedefects.registry import SHOT, aborting, closing, command, defect


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
    command(lab, "C-STORE-RQ", AffectedSOPInstanceUID="2.25.1")
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
    with aborting():
        one_image(lab)


@defect("VX-STO-005")
def storage_closed(lab: Lab) -> None:
    with closing():
        one_image(lab)


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
