"""MX-STO-010 and MX-MWL-009 on right and wrong conversations of an MX1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.checks.verdicts import judge
from bench.verdict import Verdict
from simulators.wire.dimse import Command
from tests.lab.conversation import Lab, Side
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE
from tests.lab.products.facts import da
from tests.lab.products.mx1 import MX1, NATIVE, STORAGE, US, Picture, Scan, image, worklist_keys
from tests.lab.products.vxvue import PACS, RIS, WORKLIST
from tests.lab.services import case_of, judged

STORE, FIND = "MX-STO-010", "MX-MWL-009"
Build = Callable[[Lab], object]


def right(lab: Lab) -> None:
    mx = MX1(lab)
    mx.worklist(RIS, [Scan()])
    mx.store(PACS, Scan(), [Picture("us", EXPLICIT_LE), Picture("sc", EXPLICIT_LE, 2)])


def twice(lab: Lab) -> None:
    MX1(lab).store(PACS, Scan(), [Picture("us", EXPLICIT_LE), Picture("us", EXPLICIT_LE)])


def no_image(lab: Lab) -> None:
    a = MX1(lab).associate(PACS, [(US, NATIVE)])
    a.request("C-STORE-RQ", sop_instance="2.25.1")
    a.respond(0)
    a.release()


def foreign_association(lab: Lab) -> None:
    a = MX1(lab).associate(PACS, [("1.2.840.10008.5.1.4.1.1.2", (EXPLICIT_LE,))])
    picture = Picture("us", EXPLICIT_LE)
    a.request("C-STORE-RQ", image(Scan(), picture, "1.20"), sop_class=US, sop_instance=Scan().image(picture))
    a.respond(0)
    a.release()


def nothing_stored(lab: Lab) -> None:
    MX1(lab).associate(PACS, STORAGE).release()


def nothing_asked(lab: Lab) -> None:
    MX1(lab).associate(RIS, [(WORKLIST, NATIVE[:1])]).release()


def no_identifier(lab: Lab) -> None:
    a = MX1(lab).associate(RIS, [(WORKLIST, NATIVE[:1])])
    a.request("C-FIND-RQ")
    a.respond(0)
    a.release()


def cut_while_asking(lab: Lab, by: Side) -> None:
    a = MX1(lab).associate(RIS, [(WORKLIST, NATIVE[:1])])
    command = Command.new("C-FIND-RQ", dataset=True, MessageID=1, AffectedSOPClassUID=WORKLIST, Priority=0)
    a.request("C-FIND-RQ", command=command)
    a.abort(by)


def refused(lab: Lab) -> None:
    mx = MX1(lab)
    for peer, contexts in ((PACS, STORAGE), (RIS, [(WORKLIST, NATIVE[:1])])):
        mx.propose(peer, contexts).reject()
        a = mx.propose(peer, contexts)
        a.accept(refuse=[abstract for abstract, _ in contexts])
        a.release()


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (right, {STORE: Verdict.PASS, FIND: Verdict.PASS}),
        (twice, {STORE: Verdict.FAIL}),
        (no_image, {STORE: Verdict.FAIL}),
        (foreign_association, {STORE: Verdict.FAIL}),
        (nothing_stored, {STORE: Verdict.FAIL}),
        (nothing_asked, {FIND: Verdict.FAIL}),
        (no_identifier, {FIND: Verdict.FAIL}),
        (lambda lab: cut_while_asking(lab, "acceptor"), {FIND: Verdict.NA}),
        (lambda lab: cut_while_asking(lab, "requestor"), {FIND: Verdict.INCONCLUSIVE}),
        (refused, {}),
    ],
)
def test_behaviour(build: Build, wanted: dict[str, Any], tmp_path: Path) -> None:
    found = judged(tmp_path, build, statement="mx1")
    assert {id: v for id, v in found.items() if id.startswith("MX-")} == wanted


@pytest.mark.parametrize("late", [False, True])
def test_a_query_that_does_not_wait_for_the_answer(tmp_path: Path, late: bool) -> None:
    """The A-ASSOCIATE-AC comes after the C-FIND-RQ: the rows of the worklist and the standard's rule, nothing else."""

    def build(lab: Lab) -> None:
        a = MX1(lab).propose(RIS, [(WORKLIST, (IMPLICIT_LE,))])
        if late:
            a.accept()
        a.request("C-FIND-RQ", worklist_keys("MX1", da(lab.time)), transfer_syntax=IMPLICIT_LE)
        if not late:
            a.accept()
        a.respond()
        a.release()

    found = {r.id: r.verdict for r in judge(case_of(tmp_path, build, statement="mx1"))}
    failed = {id for id, verdict in found.items() if verdict is Verdict.FAIL}
    assert failed == (set() if late else {"MX-GEN-003", "MX-MWL-009", "STD-UL-052"})
    if late:
        assert found["MX-GEN-003"] is found["MX-MWL-009"] is Verdict.PASS


def test_an_image_that_does_not_wait_for_the_answer(tmp_path: Path) -> None:
    """As for queries."""

    def build(lab: Lab) -> None:
        picture = Picture("us", EXPLICIT_LE)
        a = MX1(lab).propose(PACS, [(US, (EXPLICIT_LE,))])
        ds, uid = image(Scan(), picture, "1.20"), Scan().image(picture)
        a.request("C-STORE-RQ", ds, sop_class=US, sop_instance=uid, transfer_syntax=EXPLICIT_LE)
        a.accept()
        a.respond(0)
        a.release()

    found = judge(case_of(tmp_path, build, statement="mx1"))
    failed = {r.id for r in found if r.verdict is Verdict.FAIL}
    assert {"MX-GEN-002", STORE, "STD-UL-052"} <= failed
