"""MX-STO-010 and MX-MWL-009 on right and wrong conversations of an MX1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.verdict import Verdict
from simulators.wire.dimse import Command
from tests.lab.conversation import Lab, Side
from tests.lab.elements import EXPLICIT_LE
from tests.lab.products.mx1 import MX1, NATIVE, STORAGE, US, Picture, Scan, image
from tests.lab.products.vxvue import PACS, RIS, WORKLIST
from tests.lab.services import judged

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
