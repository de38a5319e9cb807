"""VXvue's policies over several associations, its verification and its settings."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.wire import ImplementationVersionName, ReleaseRequest
from tests.lab.conversation import Conversation, Lab
from tests.lab.elements import DataSet
from tests.lab.products.facts import PERSONS, Exam, Exposure
from tests.lab.products.vxvue import PACS, PACS2, PRINTER, RIS, VXvue
from tests.unit.judged_conversations import DX, EXPLICIT, VERIFICATION, WORKLIST, failing, results, verdicts

SMALL = Exposure(rows=8, columns=8)
KEYS = DataSet(PatientName="*")
CONFIG = {
    "ae_titles": ("VXVUE",),
    "worklist": {"ae_title": "RIS", "address": "10.0.0.20", "port": 104},
    "mpps": {"ae_title": "RIS", "address": "10.0.0.20", "port": 104},
    "storage": ({"ae_title": "PACS", "address": "10.0.0.21", "port": 11112},),
    "commitment": {"ae_title": "PACS", "address": "10.0.0.21", "port": 11112},
    "printer": {"ae_title": "PRINTER", "address": "10.0.0.22", "port": 104},
    "verification": {"ae_title": "PACS", "address": "10.0.0.21", "port": 11112},
}


def _exam() -> Exam:
    return Exam(PERSONS["default"], number=1, exposures=(SMALL,))


def _day(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.verify(PACS)
    vx.exam(_exam(), printer=PRINTER, full=True)


def test_a_day_of_a_conforming_product() -> None:
    lab = Lab()
    _day(lab)
    found = verdicts(lab, config=CONFIG)
    assert "FAIL" not in found.values()
    passed = {id for id, verdict in found.items() if verdict == "PASS"}
    wanted = {
        *(f"VX-GEN-{n:03d}" for n in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11)),
        *(f"VX-PC-{n:03d}" for n in (1, 2, 3, 4, 5, 6, 8)),
        *(f"VX-ASC-{n:03d}" for n in (1, 2, 5, 6, 7, 8, 9, 10, 11, 12)),
        *(f"VX-CFG-{n:03d}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 20)),
        *(f"VX-VER-{n:03d}" for n in (2, 3, 4)),
        *("VX-COM-001", "VX-SEC-001", "VX-SEC-003"),
    }
    assert wanted <= passed, sorted(wanted - passed)


def test_settings_are_not_judged_without_a_configuration() -> None:
    lab = Lab()
    _day(lab)
    found = results(lab)
    for id in ("VX-CFG-002", "VX-ASC-012", "VX-SEC-003"):
        assert str(found[id].verdict) == "NOT-EXERCISED"
        assert "configuration" in found[id].reason


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"ae_titles": ("vxvue",)}, {"VX-ASC-012"}),
        ({"ae_titles": ("ROOM1",)}, {"VX-ASC-011", "VX-ASC-012", "VX-CFG-001"}),
        ({"worklist": {"ae_title": "RIS2", "address": "10.0.0.20", "port": 104}}, {"VX-CFG-002"}),
        ({"mpps": {"ae_title": "RIS", "address": "10.0.0.20", "port": 105}}, {"VX-CFG-007"}),
        (
            {"printer": {"ae_title": "PRINTER", "address": "10.0.0.99", "port": 104}},
            {"VX-CFG-012", "VX-SEC-003"},
        ),
        ({"storage": ({"ae_title": "PACS", "address": "10.0.0.21", "port": 104},)}, {"VX-CFG-020"}),
    ],
)
def test_settings_that_are_not_kept(change: dict[str, Any], wanted: set[str]) -> None:
    lab = Lab()
    _day(lab)
    assert failing(lab, config={**CONFIG, **change}) == wanted


def test_a_literal_hyphen_as_version_name_is_the_erratum() -> None:
    lab = Lab()
    a = lab.associate(user_items=[ImplementationVersionName("-")])
    a.accept()
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()
    assert verdicts(lab)["VX-ASC-008"] == "PASS-ERRATUM"


def test_two_worklist_associations_side_by_side() -> None:
    lab = Lab()
    a = lab.associate(contexts=[(WORKLIST, [EXPLICIT])])
    b = lab.associate(contexts=[(WORKLIST, [EXPLICIT])])
    for one in (a, b):
        one.accept()
    for one in (a, b):
        one.request("C-FIND-RQ", KEYS, Priority=0)
        one.respond()
        one.release()
    assert failing(lab) == {"VX-ASC-002"}


def test_a_worklist_association_in_vain() -> None:
    lab = Lab()
    for asked in (False, True):
        a = lab.associate(contexts=[(WORKLIST, [EXPLICIT])])
        a.accept()
        if asked:
            a.request("C-FIND-RQ", KEYS, Priority=0)
            a.respond()
        a.release()
    assert failing(lab) == {"VX-ASC-002"}


def test_a_worklist_that_was_refused_and_asked_again() -> None:
    lab = Lab()
    a = lab.associate(contexts=[(WORKLIST, [EXPLICIT])])
    a.accept(refuse=[WORKLIST])
    a.release()
    VXvue(lab).worklist(RIS, [_exam()])
    assert failing(lab) == set()


def _images(a: Conversation, number: int) -> None:
    image = DataSet(SOPClassUID=DX, SOPInstanceUID=f"2.25.{number}")
    a.request("C-STORE-RQ", image, sop_class=DX, sop_instance=f"2.25.{number}", Priority=0)
    a.respond()


def test_two_archives_at_the_same_time() -> None:
    lab = Lab()
    vx = VXvue(lab)
    first, second = vx.associate(PACS, DX), vx.associate(PACS2, DX)
    _images(first, 1)
    _images(second, 1)
    first.release()
    second.release()
    destinations = tuple({"ae_title": p.ae, "address": p.address, "port": p.port} for p in (PACS, PACS2))
    found = verdicts(lab, config={"storage": destinations})
    assert "FAIL" not in found.values()
    assert found["VX-ASC-003"] == found["VX-ASC-004"] == "PASS"


def test_one_archive_after_the_other_is_allowed() -> None:
    lab = Lab()
    vx = VXvue(lab)
    for peer in (PACS, PACS2):
        a = vx.associate(peer, DX)
        _images(a, 1)
        a.release()
    found = verdicts(lab)
    assert "FAIL" not in found.values()
    assert found["VX-ASC-003"] == "NOT-EXERCISED"


@pytest.mark.parametrize("second", ["storage", "worklist"])
def test_two_services_on_one_association(second: str) -> None:
    lab = Lab()
    abstract = DX if second == "storage" else WORKLIST
    a = lab.associate(contexts=[(VERIFICATION, [EXPLICIT]), (abstract, [EXPLICIT])])
    a.accept()
    a.request("C-ECHO-RQ")
    a.respond()
    if second == "storage":
        _images(a, 1)
    else:
        a.request("C-FIND-RQ", KEYS, sop_class=WORKLIST, Priority=0)
        a.respond()
    a.release()
    assert failing(lab) == {"VX-ASC-010"}


def test_images_and_dose_report_may_share_an_association() -> None:
    lab = Lab()
    dose = "1.2.840.10008.5.1.4.1.1.88.67"
    a = lab.associate(contexts=[(DX, [EXPLICIT]), (dose, [EXPLICIT])])
    a.accept()
    _images(a, 1)
    report = DataSet(SOPClassUID=dose, SOPInstanceUID="2.25.9")
    a.request("C-STORE-RQ", report, sop_class=dose, sop_instance="2.25.9", Priority=0)
    a.respond()
    a.release()
    assert failing(lab) == set()


# Verification


def test_a_verification_without_an_echo() -> None:
    lab = Lab()
    a = lab.associate()
    a.accept()
    a.release()
    assert failing(lab) == {"VX-VER-003"}


def test_an_echo_on_an_association_for_something_else() -> None:
    lab = Lab()
    a = lab.associate(contexts=[(WORKLIST, [EXPLICIT])])
    a.accept()
    a.request("C-ECHO-RQ", sop_class=VERIFICATION)
    a.respond()
    a.release()
    assert failing(lab) == {"VX-VER-002", "STD-DIMSE-030", "STD-DIMSE-031"}


@pytest.mark.parametrize("peer", ["rejects", "refuses", "aborts", "is silent", "fails"])
def test_what_a_peer_does_is_no_fault_of_the_product(peer: str) -> None:
    lab = Lab()
    a = lab.associate()
    if peer == "rejects":
        a.reject()
    elif peer == "refuses":
        a.accept(refuse=[VERIFICATION])
        a.abort("requestor", 0, 0)
    else:
        a.accept()
        a.request("C-ECHO-RQ")
        if peer == "aborts":
            a.abort("acceptor", 2, 0)
        elif peer == "is silent":
            lab.wait(30)
            a.abort("requestor")
        else:
            a.respond(0x0211)
            a.release()
    assert failing(lab) == set()


def test_a_release_that_the_peer_never_answers() -> None:
    lab = Lab()
    a = lab.associate()
    a.accept()
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("requestor", ReleaseRequest())
    lab.wait(30)
    a.close("requestor")
    assert failing(lab) == set()


# The receiver


def _knock(lab: Lab) -> Conversation:
    return lab.associate(client="10.0.0.21", server="10.0.0.5", called="VXVUE", implementation_class="1.2.3")


def test_a_receiver_that_is_off_and_answers() -> None:
    lab = Lab()
    a = _knock(lab)
    a.accept(implementation_class="1.3.6.1.4.1.19719", implementation_version=None)
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()
    assert failing(lab, config={"receiver": False}) == {"VX-CFG-015", "VX-VER-006"}
    assert failing(lab, config={"receiver": True}) == set()


def test_nobody_knocks() -> None:
    lab = Lab()
    VXvue(lab).verify(PACS)
    found = verdicts(lab, config={"receiver": True})
    for id in ("VX-ASC-013", "VX-ASC-014", "VX-ASC-015", "VX-VER-006"):
        assert found[id] == "NOT-EXERCISED"
