"""Dose reports."""

from __future__ import annotations

from tests.lab.conversation import Lab
from tests.lab.elements import DataSet
from tests.lab.products.vxvue import PACS, VXvue
from tests.lab.products.vxvue_objects import SR
from tests.lab.recipes.defects import exam, one_report
from tests.lab.servicedefects.registry import aborting, defect


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
    with aborting():
        one_report(lab)


@defect("VX-SR-005")
def reports_of_two_studies(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, SR)
    for number in (1, 2):
        today = exam(number=number, scheduled=False)
        a.request("C-STORE-RQ", DataSet(StudyInstanceUID=today.study), sop_instance=today.report)
        a.respond(0)
    a.release()
