"""MX1's policies: PDU sizes and their two readings, identity, one association per AE, what is not claimed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from simulators.wire import AsyncOperationsWindow, ExtendedNegotiation, RoleSelection
from tests.lab.conversation import Conversation, Cut, Lab
from tests.lab.elements import DataSet
from tests.unit.judged_conversations import DX, EXPLICIT, IMPLICIT, VERIFICATION, WORKLIST, failing, verdicts

BIG = "1.2.840.10008.1.2.2"
BASELINE, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
US = "1.2.840.10008.5.1.4.1.1.6.1"
CLIP = "1.2.840.10008.5.1.4.1.1.3.1"
NATIVE = [IMPLICIT, EXPLICIT, BIG]
STILLS = ((US, NATIVE), (US, [BASELINE]), (US, [LOSSLESS]))
CLASS = "1.2.392.200036.9107.804"
KEYS = DataSet(PatientName="*")


def _associate(lab: Lab, contexts: Sequence[tuple[str, Sequence[str]]], **how: Any) -> Conversation:
    options: dict[str, Any] = {
        "calling": "MX1",
        "max_length": 65536,
        "implementation_class": CLASS,
        "implementation_version": "KM_SMGMX1_1.00",
        **how,
    }
    return lab.associate(contexts=contexts, **options)


def _store(a: Conversation, size: int, number: int = 1, longest: int | None = None) -> None:
    image = DataSet(SOPClassUID=US, SOPInstanceUID=f"2.25.{number}", PixelData=bytes(size))
    a.request(
        "C-STORE-RQ", image, sop_class=US, sop_instance=f"2.25.{number}", Priority=0, how=Cut(longest=longest)
    )
    a.respond()


def _stored(lab: Lab, longest: int, announced: int = 65536, peer: int = 0) -> None:
    a = _associate(lab, STILLS, max_length=announced)
    a.accept(prefer=[EXPLICIT], max_length=peer)
    _store(a, 300_000, longest=longest)
    a.release()


def test_a_day_of_a_conforming_product() -> None:
    lab = Lab()
    a = _associate(lab, [(VERIFICATION, NATIVE)])
    a.accept(max_length=0)
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()
    a = _associate(lab, [(WORKLIST, [IMPLICIT])], server="10.0.0.20")
    a.accept(max_length=0)
    a.request("C-FIND-RQ", KEYS, Priority=0)
    a.respond()
    a.release()
    _stored(lab, 131072)
    config = {"ae_titles": ("MX1",), "variants": (), "worklist": {"ae_title": "PACS", "address": "10.0.0.20"}}
    found = verdicts(lab, "mx1", config=config)
    assert "FAIL" not in found.values()
    passed = {id for id, verdict in found.items() if verdict == "PASS"}
    wanted = {
        *("MX-GEN-001", "MX-GEN-002", "MX-GEN-003", "MX-GEN-006"),
        *(f"MX-VER-{n:03d}" for n in (1, 2, 3, 6, 7, 8)),
        *(f"MX-STO-{n:03d}" for n in (1, 2, 3, 5, 6, 7, 8, 9, 10)),
        *(f"MX-MWL-{n:03d}" for n in (1, 2, 3, 6, 7, 8, 9, 10)),
        *(f"MX-VER-PC-{n:03d}" for n in (1, 2, 3)),
        *(f"MX-STO-PC-{n:03d}" for n in (5, 6, 7, 8, 9)),
        *(
            "MX-MWL-PC-001",
            "MX-COM-001",
            "MX-COM-006",
            "MX-CFG-003",
            "MX-CFG-009",
            "MX-CFG-011",
            "MX-CFG-012",
        ),
    }
    assert wanted <= passed, sorted(wanted - passed)
    assert found["MX-STO-004"] == "N/A"


@pytest.mark.parametrize(
    ("announced", "longest", "variants", "receive", "send"),
    [
        (65536, 131072, (), "PASS", "PASS"),
        (65536, 65536, (), "PASS", "PASS"),
        (65536, 131074, (), "PASS", "FAIL"),
        (131072, 65536, (), "PASS-ERRATUM", "PASS-ERRATUM"),
        (131072, 131072, (), "FAIL", "PASS"),
        (16384, 16384, (), "FAIL", "PASS"),
        (65536, 20480, ("V1.10",), "PASS", "PASS"),
        (65536, 65536, ("V1.10",), "PASS", "FAIL"),
        (20480, 65536, ("V1.10",), "PASS-ERRATUM", "PASS-ERRATUM"),
    ],
)
def test_pdu_sizes(announced: int, longest: int, variants: tuple[str, ...], receive: str, send: str) -> None:
    lab = Lab()
    _stored(lab, longest, announced)
    found = verdicts(lab, "mx1", config={"variants": variants})
    assert found["MX-STO-002"] == receive
    assert found["MX-STO-004" if variants else "MX-STO-003"] == send
    assert found["MX-STO-003" if variants else "MX-STO-004"] == "N/A"


def test_the_peer_s_own_limit_shows_nothing_of_the_product_s() -> None:
    lab = Lab()
    _stored(lab, 16384, peer=16384)
    assert verdicts(lab, "mx1")["MX-STO-003"] == "NOT-EXERCISED"


@pytest.mark.parametrize(
    ("contexts", "how", "wanted"),
    [
        ([(VERIFICATION, NATIVE), (DX, NATIVE)], {}, {"MX-GEN-006"}),
        (
            [(VERIFICATION, NATIVE)],
            {"user_items": [ExtendedNegotiation(VERIFICATION, b"\1")]},
            {"MX-GEN-006"},
        ),
        ([(VERIFICATION, NATIVE)], {"user_items": [RoleSelection(VERIFICATION, 1, 0)]}, {"MX-GEN-006"}),
        ([(VERIFICATION, NATIVE)], {"user_items": [AsyncOperationsWindow(2, 2)]}, {"MX-VER-006"}),
        ([(VERIFICATION, NATIVE)], {"implementation_class": "1.2.3"}, {"MX-VER-007"}),
        ([(VERIFICATION, NATIVE)], {"implementation_version": None}, {"MX-VER-008"}),
        ([(VERIFICATION, NATIVE)], {"application_context": "1.2.3"}, {"MX-VER-001", "STD-UL-001"}),
        ([(VERIFICATION, NATIVE)], {"max_length": 32768}, {"MX-VER-002"}),
        ([(VERIFICATION, [IMPLICIT, EXPLICIT])], {}, {"MX-VER-PC-003"}),
        ([(VERIFICATION, [*NATIVE, BASELINE])], {}, {f"MX-VER-PC-00{n}" for n in (1, 2, 3)}),
    ],
)
def test_wrong_verifications(contexts: Any, how: dict[str, Any], wanted: set[str]) -> None:
    lab = Lab()
    a = _associate(lab, contexts, **how)
    a.accept()
    a.request("C-ECHO-RQ", sop_class=VERIFICATION)
    a.respond()
    a.release()
    found = failing(lab, "mx1")
    if DX in dict(contexts):
        found = {id for id in found if not id.startswith("MX-STO")}
    assert found == wanted


def test_lossless_clips_are_in_no_row() -> None:
    lab = Lab()
    a = _associate(lab, [(CLIP, NATIVE), (CLIP, [BASELINE]), (CLIP, [LOSSLESS])])
    a.accept()
    a.release()
    assert failing(lab, "mx1") == {f"MX-STO-PC-00{n}" for n in (1, 2, 3, 4)}


@pytest.mark.parametrize(("other", "wanted"), [("10.0.0.9", {"MX-STO-005"}), ("10.0.0.8", set())])
def test_one_association_to_each_ae(other: str, wanted: set[str]) -> None:
    lab = Lab()
    first = _associate(lab, STILLS)
    first.accept(prefer=[EXPLICIT])
    second = _associate(lab, STILLS, server=other)
    second.accept(prefer=[EXPLICIT])
    for number, a in enumerate((first, second)):
        _store(a, 10, number)
        a.release()
    assert failing(lab, "mx1") == wanted


def test_two_services_of_one_ae_at_the_same_time() -> None:
    lab = Lab()
    first = _associate(lab, STILLS)
    first.accept(prefer=[EXPLICIT])
    second = _associate(lab, [(VERIFICATION, NATIVE)])
    second.accept()
    second.request("C-ECHO-RQ")
    second.respond()
    second.release()
    _store(first, 10)
    first.release()
    assert failing(lab, "mx1") == {"MX-VER-005"}


def test_an_open_port() -> None:
    lab = Lab()
    a = lab.associate(client="10.0.0.21", server="10.0.0.5", called="MX1", implementation_class="1.2.3")
    a.accept(implementation_class=CLASS, implementation_version="KM_SMGMX1_1.00")
    a.release()
    assert failing(lab, "mx1") == {"MX-GEN-006"}


def test_a_port_that_is_closed_is_not_judged() -> None:
    lab = Lab()
    stream = lab.connect("10.0.0.21", "10.0.0.5", 104)
    stream.add(lab.time, 1, "rst")
    assert failing(lab, "mx1") == set()


@pytest.mark.parametrize(
    ("software", "wanted"),
    [("1.10", "PASS"), ("V1.10.3", "PASS"), ("2.1.10", "N/A"), ("1.100", "N/A"), ("", "NOT-EXERCISED")],
)
def test_the_version_is_read_from_the_images(software: str, wanted: str) -> None:
    lab = Lab()
    a = _associate(lab, STILLS)
    a.accept(prefer=[EXPLICIT], max_length=0)
    image = DataSet(SOPClassUID=US, SOPInstanceUID="2.25.1", SoftwareVersions=software)
    a.request("C-STORE-RQ", image, sop_class=US, sop_instance="2.25.1", Priority=0)
    a.respond()
    a.release()
    assert verdicts(lab, "mx1")["MX-STO-004"] == wanted


def test_twenty_kilobytes_announced_by_an_unknown_version() -> None:
    lab = Lab()
    _stored(lab, 65536, 20480)
    assert verdicts(lab, "mx1")["MX-STO-002"] == "INCONCLUSIVE"
    assert verdicts(lab, "mx1", config={"variants": ()})["MX-STO-002"] == "FAIL"
