"""Worklist and study queries."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.conversation import Lab
from tests.lab.elements import DataSet
from tests.lab.products.vxvue import PACS, RIS, STUDY_ROOT, WORKLIST, VXvue, study_keys, worklist_keys
from tests.lab.recipes.defects import dataset, exam
from tests.lab.servicedefects.registry import CONFIG, aborting, defect


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
    with aborting():
        VXvue(lab).query(PACS, [exam()])


@defect("VX-QR-005")
def two_queries_on_one_association(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, STUDY_ROOT)
    for _ in range(2):
        a.request("C-FIND-RQ", study_keys())
        a.respond(0)
    a.release()
