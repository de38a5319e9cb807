"""Defaults (ruling A3): a deviation is FAIL for a reference product and a remark for everybody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from bench.verdict import Verdict
from simulators.wire import ApplicationContext, MaximumLength, RoleSelection, UserIdentityRQ, UserInformation
from simulators.wire.dimse import Command
from tests.lab.conversation import Cut, Lab, Outgoing
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, DataSet
from tests.lab.products.mx1 import MX1, STORAGE, US, Picture, Scan
from tests.lab.products.vxvue import (
    COMMITMENT,
    FILM_BOX,
    FILM_SESSION,
    PACS,
    PRINT,
    PRINTER,
    PRINTER_CLASS,
    PRINTER_INSTANCE,
    RIS,
    WORKLIST,
    Peer,
    VXvue,
    worklist_keys,
)
from tests.lab.products.vxvue_objects import DX, dx_image
from tests.lab.recipes.defects import SMALL, dataset, exam, on, one_film, one_image
from tests.lab.services import case_of, findings, journal

MODULES: Final = tuple(f"bench.checks.defaults.{name}" for name in ("network", "content", "services"))
Build = Callable[[Lab], object]
BAD: Final[dict[str, tuple[str, Build, dict[str, Any]]]] = {}


def deviation(id: str, **how: Any) -> Callable[[Build], Build]:
    """A conversation that departs from one default."""

    def add(build: Build) -> Build:
        BAD[build.__name__] = (id, build, how)
        return build

    return add


def _of(id: str) -> str:
    return "mx1" if id.startswith("MX") else "vxvue"


def _verdicts(
    tmp_path: Path, build: Build, statement: str, reference: bool, **how: Any
) -> tuple[dict[str, set[Verdict]], set[str]]:
    case = case_of(tmp_path, build, statement=statement, reference=reference, **how)
    found: dict[str, set[Verdict]] = {}
    remarks = set()
    for finding in findings(case, MODULES):
        if finding.remark:
            remarks.add(finding.id)
        else:
            found.setdefault(finding.id, set()).add(finding.verdict)
        assert finding.reason
    return found, remarks


@deviation("VX-D-01")
def application_context(lab: Lab) -> None:
    def change(request: Any) -> Any:
        items = tuple(
            ApplicationContext("1.2.3") if isinstance(i, ApplicationContext) else i for i in request.items
        )
        return replace(request, items=items)

    lab.edit_request(change)
    VXvue(lab).verify(PACS)


@deviation("VX-D-02")
def fallback(lab: Lab) -> None:
    vx = VXvue(lab)
    a = vx.propose(PACS, DX)
    a.accept(refuse={DX: 4})
    a.release()
    b = lab.associate(
        client="10.0.0.5", server=PACS.address, port=PACS.port, called="PACS", contexts=[(DX, [IMPLICIT_LE])]
    )
    b.accept()
    b.release()


@deviation("VX-D-03")
def long_accept(lab: Lab) -> None:
    a = lab.associate(client=PACS.address, server="10.0.0.5", calling="PACS", called="VXVUE")
    a.accept(max_length=65536)
    a.release()


@deviation("VX-D-04")
def long_data(lab: Lab) -> None:
    peer = Peer("PACS", "10.0.0.21", 104, {"max_length": 0})
    lab.how = Cut(longest=40000)
    VXvue(lab).store(peer, exam(shots=(replace(SMALL, rows=200, columns=200),), scheduled=False), mpps=False)


@deviation("VX-D-05")
def impatient(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, WORKLIST)
    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
    lab.wait(10)
    a.abort("requestor")


@deviation("VX-D-05")
def impatient_association(lab: Lab) -> None:
    a = VXvue(lab).propose(RIS, WORKLIST)
    lab.wait(4)
    a.close("requestor")


@deviation("VX-D-07", config={"ae_title": "ROOM1"})
def another_title(lab: Lab) -> None:
    VXvue(lab, ae="Room1").verify(PACS)


@deviation("VX-D-08")
def takes_any_title(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.verify(PACS)
    a = lab.associate(client=PACS.address, server=vx.address, calling="PACS", called="SOMEBODY")
    a.accept()
    a.release()


@deviation(
    "VX-D-09",
    events=journal(
        (0.0, "sut.request", {"do": "send", "args": {}}),
        (11.0, "modality.warning", {"service": "storage", "peer": "pacs", "text": "refused, A700"}),
    ),
)
def retries_by_itself(lab: Lab) -> None:
    lab.wait(10)
    VXvue(lab).store(PACS, exam(scheduled=False), mpps=False, statuses=(0xA700,))
    lab.wait(10)
    VXvue(lab).store(PACS, exam(scheduled=False), mpps=False)


@deviation("VX-D-10", events=journal((0.0, "modality.state", {"what": "console"})))
def says_nothing(lab: Lab) -> None:
    VXvue(lab).propose(PACS, DX).reject()


@deviation("VX-D-11")
def gives_up_the_set(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, DX)
    today = exam(scheduled=False)
    a.request("C-STORE-RQ", dx_image(today, SMALL, mpps=False), sop_instance=today.image(SMALL))
    a.respond(0xA700)
    a.abort("requestor")


@deviation("VX-D-12")
def two_studies(lab: Lab) -> None:
    a = VXvue(lab).associate(PACS, DX)
    for number in (1, 2):
        today = exam(number=number, scheduled=False)
        a.request("C-STORE-RQ", dx_image(today, SMALL, mpps=False), sop_instance=today.image(SMALL))
        a.respond(0)
    a.release()


def _query(lab: Lab, change: Callable[[DataSet], object]) -> None:
    dataset(lab, "C-FIND-RQ", change)
    VXvue(lab).worklist(RIS, [exam()])


@deviation("VX-D-13")
def all_modalities(lab: Lab) -> None:
    _query(lab, lambda ds: ds.item("ScheduledProcedureStepSequence").put("Modality"))


@deviation("VX-D-14")
def cancels(lab: Lab) -> None:
    a = VXvue(lab).associate(RIS, WORKLIST)
    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
    a.request("C-CANCEL-RQ", MessageIDBeingRespondedTo=1)
    a.respond(0xFE00)
    a.release()


@deviation("VX-D-15")
def needless_charset(lab: Lab) -> None:
    _query(lab, lambda ds: ds.put("SpecificCharacterSet", "ISO_IR 192"))


@deviation("VX-D-16")
def another_charset(lab: Lab) -> None:
    dataset(lab, "C-STORE-RQ", lambda ds: ds.put("SpecificCharacterSet", "ISO_IR 192"))
    VXvue(lab).exam(exam("latin1"), dose=False, commitment=None)


@deviation("VX-D-17")
def no_instance(lab: Lab) -> None:
    def change(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        kept = {k: out.command.get(k) for k in ("MessageID", "AffectedSOPClassUID")}
        out.command = Command.new("N-CREATE-RQ", dataset=True, **kept)

    on(lab, "N-CREATE-RQ", change)
    VXvue(lab).begin(RIS, exam())


@deviation("VX-D-19")
def step_id_again(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("PerformedProcedureStepID", "P1"))
    for number in (1, 2):
        VXvue(lab).begin(RIS, exam(number=number))


@deviation("VX-D-20")
def does_not_wait(lab: Lab) -> None:
    VXvue(lab).exam(exam(), dose=False, report=None)


@deviation("VX-D-21")
def takes_any_report(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.exam(exam(), dose=False)
    a = vx.accept(PACS, [(COMMITMENT, [EXPLICIT_LE])], [RoleSelection(COMMITMENT, 0, 1)])
    a.request(
        "N-EVENT-REPORT-RQ",
        DataSet(TransactionUID="2.25.3"),
        sop_instance="1.2.840.10008.1.20.1.1",
        EventTypeID=1,
    )
    a.respond(0)
    a.release()


@deviation("VX-D-22")
def transaction_again(lab: Lab) -> None:
    vx = VXvue(lab)
    vx.exam(exam(), dose=False)
    vx.commit(PACS, exam(), dose=False)


@deviation("VX-D-23")
def printer_refused(lab: Lab) -> None:
    a = VXvue(lab).associate(PRINTER, PRINT)
    a.request(
        "N-EVENT-REPORT-RQ",
        sop_class=PRINTER_CLASS,
        sop_instance=PRINTER_INSTANCE,
        side="acceptor",
        EventTypeID=2,
    )
    a.respond(0x0110)
    a.release()


@deviation("VX-D-24")
def an_animal(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("PatientSpeciesDescription", "Dog"))


@deviation("VX-D-25", events=journal((0.0, "sut.request", {"do": "print", "args": {}})))
def two_copies(lab: Lab) -> None:
    dataset(lab, "N-CREATE-RQ", lambda ds: ds.put("NumberOfCopies", 2), of=FILM_SESSION)
    one_film(lab)


@deviation("VX-D-26")
def session_deleted(lab: Lab) -> None:
    def change(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        known = out.command.get("MessageID")
        out.command = Command.new(
            "N-DELETE-RQ",
            dataset=False,
            MessageID=known,
            RequestedSOPClassUID=FILM_SESSION,
            RequestedSOPInstanceUID="2.25.1",
        )

    on(lab, "N-DELETE-RQ", change, of=FILM_BOX)
    one_film(lab)


@deviation("VX-D-27")
def prints_on_a_broken_printer(lab: Lab) -> None:
    VXvue(lab).print_film(PRINTER, exam(), printer_status="FAILURE")


@deviation("VX-D-28")
def another_root(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("SeriesInstanceUID", "1.2.3.4"))


@deviation("VX-D-29")
def sixteen_bits(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.update(BitsStored=16, HighBit=15))


@deviation("VX-D-30")
def linear(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("PixelIntensityRelationship", "LIN"))


@deviation("VX-D-31")
def direct_detector(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("DetectorType", "DIRECT"))


@deviation("VX-D-33")
def time_zone(lab: Lab) -> None:
    one_image(lab, lambda ds: ds.put("TimezoneOffsetFromUTC", "+0900"))


def _report(lab: Lab, change: Callable[[DataSet], object], peer: Peer = PACS) -> None:
    vx, today = VXvue(lab), exam(scheduled=False)
    today.start = lab.time
    vx.store(PACS, today, mpps=False)
    dataset(lab, "C-STORE-RQ", change)
    vx.dose(peer, today, mpps=False)


@deviation("VX-D-34")
def report_elsewhere(lab: Lab) -> None:
    _report(lab, lambda ds: None, Peer("DOSE", "10.0.0.60"))


@deviation("VX-D-35")
def evidence_missing(lab: Lab) -> None:
    _report(lab, lambda ds: ds.put("CurrentRequestedProcedureEvidenceSequence", []))


@deviation("VX-D-36")
def language_told(lab: Lab) -> None:
    def change(ds: DataSet) -> None:
        code = DataSet(
            CodeValue="121049",
            CodingSchemeDesignator="DCM",
            CodeMeaning="Language of Content Item",
        )
        item = DataSet(RelationshipType="HAS CONCEPT MOD", ValueType="CODE", ConceptNameCodeSequence=[code])
        ds.put("ContentSequence", [item, *ds.get("ContentSequence")])

    _report(lab, change)


@deviation("VX-D-38")
def query_by_date_and_time(lab: Lab) -> None:
    VXvue(lab).query(PACS, [], StudyTime="0800-1200")


@deviation("VX-D-40")
def user_identity(lab: Lab) -> None:
    def change(request: Any) -> Any:
        items = tuple(
            UserInformation((*i.items, UserIdentityRQ(1, 0, b"me"))) if isinstance(i, UserInformation) else i
            for i in request.items
        )
        return replace(request, items=items)

    lab.edit_request(change)
    VXvue(lab).verify(PACS)


@deviation("MX-D-01")
def mixed_context(lab: Lab) -> None:
    MX1(lab).associate(PACS, [(US, (EXPLICIT_LE, JPEG_BASELINE))]).release()


@deviation("MX-D-03")
def longer_than_announced(lab: Lab) -> None:
    peer = Peer("PACS", "10.0.0.21", 104, {"max_length": 0})
    mx = MX1(lab)
    mx.longest = 200000
    mx.store(peer, Scan(), [Picture("us", EXPLICIT_LE, rows=300, columns=300)])


@deviation("MX-D-03")
def another_length_announced(lab: Lab) -> None:
    lab.edit_request(lambda request: _announcing(request, MaximumLength(32768)))
    MX1(lab).verify(PACS)


@deviation("MX-D-03")
def no_length_announced(lab: Lab) -> None:
    lab.edit_request(_announcing)
    MX1(lab).verify(PACS)


@deviation("MX-D-03")
def two_lengths_announced(lab: Lab) -> None:
    lab.edit_request(lambda request: _announcing(request, MaximumLength(65536), MaximumLength(32768)))
    MX1(lab).verify(PACS)


def _announcing(request: Any, *said: MaximumLength) -> Any:
    def change(info: UserInformation) -> UserInformation:
        return UserInformation((*said, *(i for i in info.items if not isinstance(i, MaximumLength))))

    items = tuple(change(i) if isinstance(i, UserInformation) else i for i in request.items)
    return replace(request, items=items)


@deviation("MX-D-10", config={"ae_titles": ("MX1",)})
def another_station(lab: Lab) -> None:
    MX1(lab, ae="MX9").worklist(RIS, [Scan()])


@deviation("VX-D-13", config={"ae_title": "ROOM1", "ae_titles": ("ROOM1",)})
def station_of_another_room(lab: Lab) -> None:
    dataset(
        lab,
        "C-FIND-RQ",
        lambda ds: ds.item("ScheduledProcedureStepSequence").put("ScheduledStationAETitle", "ROOM2"),
    )
    VXvue(lab, ae="ROOM1").worklist(RIS, [exam()])


@deviation("MX-D-06")
def two_at_a_time(lab: Lab) -> None:
    mx = MX1(lab)
    a = mx.associate(PACS, STORAGE)
    mx.verify(PACS)
    a.release()


def _picture(
    lab: Lab, change: Callable[[DataSet], object], kind: str = "us", syntax: str = EXPLICIT_LE
) -> None:
    dataset(lab, "C-STORE-RQ", change)
    MX1(lab).store(PACS, Scan(), [Picture(kind, syntax)])


@deviation("MX-D-12")
def no_study_id(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.drop("StudyID"))


@deviation("MX-D-13")
def two_values(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("ImageType", "ORIGINAL\\PRIMARY"))


@deviation("MX-D-14")
def palette(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("PhotometricInterpretation", "YBR_FULL"))


@deviation("MX-D-15")
def lossy_untold(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("LossyImageCompression", "00"), syntax=JPEG_BASELINE)


@deviation("MX-D-16")
def no_frame_time(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("StartTrim", "2"), "clip")


@deviation("MX-D-17")
def no_region(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.drop("SequenceOfUltrasoundRegions"))


@deviation("MX-D-18")
def scanned_film(lab: Lab) -> None:
    _picture(lab, lambda ds: ds.put("ConversionType", "DF"), "sc")


@deviation("MX-D-30")
def somebody_is_accepted(lab: Lab) -> None:
    MX1(lab).verify(PACS)
    a = lab.associate(client=PACS.address, server="10.0.0.6", calling="PACS", called="MX1")
    a.accept()
    a.release()


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_deviation_fails_for_the_reference_product_only(name: str, tmp_path: Path) -> None:
    id, build, how = BAD[name]
    found, _ = _verdicts(tmp_path, build, _of(id), reference=True, **how)
    assert {i for i, verdicts in found.items() if Verdict.FAIL in verdicts} == {id}
    found, remarks = _verdicts(tmp_path, build, _of(id), reference=False, **how)
    assert {i for i, verdicts in found.items() if Verdict.FAIL in verdicts} == set()
    assert id in remarks


@pytest.mark.parametrize(
    ("calling", "station", "titles", "right"),
    [
        ("OTHER", "MX1", ("MX1",), True),
        ("MX1", "MX1", ("MX1",), True),
        ("MX1", "", ("MX1",), True),
        ("OTHER", "OTHER", ("MX1",), False),
        ("OTHER", "OTHER", (), True),
        ("OTHER", "MX1", (), False),
    ],
)
def test_the_own_station_is_the_configured_one(
    tmp_path: Path, calling: str, station: str, titles: tuple[str, ...], right: bool
) -> None:
    """As whom it calls is another row's affair; only where nobody knows the title, it is the one that it calls as."""

    def build(lab: Lab) -> None:
        dataset(
            lab,
            "C-FIND-RQ",
            lambda ds: ds.item("ScheduledProcedureStepSequence").put("ScheduledStationAETitle", station),
        )
        MX1(lab, ae=calling).worklist(RIS, [Scan()])

    found, _ = _verdicts(tmp_path, build, "mx1", reference=True, config={"ae_titles": titles})
    assert found["MX-D-10"] == {Verdict.PASS if right else Verdict.FAIL}


MPPS_DOWN: Final = (4.0, "modality.warning", {"service": "mpps", "peer": "mpps", "text": "no connection"})
MPPS_PEER: Final = {"ae_title": "RIS", "address": RIS.address, "port": RIS.port}


def _without_step(lab: Lab, how: str = "refused", port: int = RIS.port, late: bool = False) -> None:
    """The MPPS peer is not there, and the exam goes on."""

    def knock() -> None:
        lab.wait(3)
        lab.connect("10.0.0.5", RIS.address, port).handshake = how
        lab.wait(10)

    if not late:
        knock()
    VXvue(lab).store(PACS, exam(), mpps=False)
    if late:
        knock()


@pytest.mark.parametrize("how", ["refused", "unanswered"])
def test_images_are_sent_although_nobody_takes_the_step(tmp_path: Path, how: str) -> None:
    """Nothing of the MPPS is on the wire but a connection that nobody answers, which the product told of."""
    found, _ = _verdicts(
        tmp_path,
        lambda lab: _without_step(lab, how),
        "vxvue",
        reference=True,
        config={"mpps": MPPS_PEER},
        events=journal(MPPS_DOWN),
    )
    assert found["VX-D-18"] == {Verdict.PASS}


@pytest.mark.parametrize(
    ("build", "config", "events"),
    [
        (_without_step, {"mpps": MPPS_PEER}, ()),
        (_without_step, {"mpps": MPPS_PEER}, journal()),
        (
            _without_step,
            {"mpps": MPPS_PEER},
            journal((4.0, "modality.warning", {"service": "worklist", "text": "x"})),
        ),
        (_without_step, {"mpps": MPPS_PEER}, journal((900.0, *MPPS_DOWN[1:]))),
        (_without_step, {}, journal(MPPS_DOWN)),
        (lambda lab: _without_step(lab, port=4000), {"mpps": MPPS_PEER}, journal(MPPS_DOWN)),
        (lambda lab: _without_step(lab, "whole"), {"mpps": MPPS_PEER}, journal(MPPS_DOWN)),
        (lambda lab: _without_step(lab, late=True), {"mpps": MPPS_PEER}, journal(MPPS_DOWN)),
    ],
    ids=[
        "no journal",
        "no warning",
        "another service",
        "another time",
        "no peer",
        "another port",
        "answered",
        "before",
    ],
)
def test_a_step_that_was_not_tried_is_no_failure_of_the_mpps(
    tmp_path: Path, build: Build, config: dict[str, Any], events: Any
) -> None:
    """Images without a step may have many reasons."""
    found, remarks = _verdicts(tmp_path, build, "vxvue", reference=True, config=config, events=events)
    assert "VX-D-18" not in {*found, *remarks}


def test_an_exam_whose_step_was_taken_is_no_failure_of_the_mpps(tmp_path: Path) -> None:
    """The peer came back before this exam."""

    def build(lab: Lab) -> None:
        lab.wait(3)
        lab.connect("10.0.0.5", RIS.address, RIS.port).handshake = "refused"
        lab.wait(10)
        VXvue(lab).exam(exam(), printer=PRINTER)

    found, _ = _verdicts(
        tmp_path, build, "vxvue", reference=True, config={"mpps": MPPS_PEER}, events=journal(MPPS_DOWN)
    )
    assert "VX-D-18" not in found


def test_the_defaults_of_a_right_exam(tmp_path: Path) -> None:
    def build(lab: Lab) -> None:
        vx = VXvue(lab)
        vx.be_verified(PACS)
        vx.exam(exam(), printer=PRINTER)
        vx.query(PACS, [exam()], StudyDate="20250615")

    found, remarks = _verdicts(tmp_path, build, "vxvue", reference=True)
    assert all(verdicts == {Verdict.PASS} for verdicts in found.values())
    assert not remarks
    wanted = "01 03 04 06 07 08 12 13 14 15 17 19 22 24 25 26 28 29 30 31 33 34 35 36 38 39 40"
    assert {f"VX-D-{n}" for n in wanted.split()} <= set(found)


def test_a_third_statement_has_no_defaults(tmp_path: Path) -> None:
    case = case_of(tmp_path, lambda lab: VXvue(lab).exam(exam(), printer=PRINTER))
    bare = replace(case, statement=replace(case.statement, defaults={}))
    assert findings(bare, MODULES) == []


@pytest.mark.parametrize("name", ["vxvue", "mx1"])
def test_every_default_is_judged_or_says_why_not(name: str) -> None:
    import importlib

    from bench.statements import load
    from tests.lab.services import checks

    judged = {id for one in checks(*MODULES) for id in one.ids}
    told: dict[str, Any] = {}
    for module in MODULES:
        told |= getattr(importlib.import_module(module), "UNSEEN", {})
    assert set(load(name).defaults) <= judged | set(told)
