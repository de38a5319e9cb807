"""Several values in one key of a query: lists are for UIDs, and for whoever negotiated more (PS3.4 C.2.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.checks.verdicts import judge
from bench.verdict import Verdict
from simulators.wire import ExtendedNegotiation
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import DataSet
from tests.lab.products.mx1 import MX1, WORKLIST, Scan
from tests.lab.products.vxvue import RIS, Peer, VXvue
from tests.lab.services import case_of
from tests.unit.judged_conversations import users

STEP = "ScheduledProcedureStepSequence"
PROTOCOL, REQUESTED = "ScheduledProtocolCodeSequence", "RequestedProcedureCodeSequence"


def asked(change: Callable[[DataSet], object], peer: Peer = RIS) -> Callable[[Lab], None]:
    """A worklist query of an MX1, changed on the way."""

    def build(lab: Lab) -> None:
        def edit(out: Outgoing) -> None:
            if out.name == "C-FIND-RQ" and isinstance(out.dataset, DataSet):
                change(out.dataset)

        lab.edit(edit)
        MX1(lab).worklist(peer, [Scan()])

    return build


def fails(tmp_path: Path, build: Callable[[Lab], object], statement: str = "mx1") -> set[str]:
    """Everything that FAILs, of all checks."""
    return {r.id for r in judge(case_of(tmp_path, build, statement=statement)) if r.verdict is Verdict.FAIL}


def inside(ds: DataSet, *path: str) -> DataSet:
    """The item of a sequence key; made where there is none."""
    for keyword in path:
        if not ds.get(keyword):
            ds.put(keyword, [DataSet()])
        ds = ds.get(keyword)[0]
    return ds


@pytest.mark.parametrize(
    ("row", "path", "keyword", "value"),
    [
        (35, (), "PatientAge", "045Y\\046Y"),
        (36, (), "PatientSize", "1.7\\1.8"),
        (43, (), "LastMenstrualDate", "20260101\\20260102"),
        (11, (STEP, PROTOCOL), "CodingSchemeVersion", "A\\B"),
        (13, (STEP, PROTOCOL), "CodeMeaning", "A\\B"),
        (22, (REQUESTED,), "CodingSchemeVersion", "A\\B"),
        (23, (REQUESTED,), "CodeMeaning", "A\\B"),
    ],
)
def test_two_values_in_a_key_of_one(
    tmp_path: Path, row: int, path: tuple[str, ...], keyword: str, value: str
) -> None:
    """The row, and the standard's rule on value multiplicity; nothing else."""
    before = fails(tmp_path, asked(lambda ds: inside(ds, *path).put(keyword, value.partition("\\")[0])))
    found = fails(tmp_path, asked(lambda ds: inside(ds, *path).put(keyword, value)))
    assert found - before == {f"MX-MWL-RK-{row}", "STD-DS-014"}


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("StudyInstanceUID", "2.25.1\\2.25.2"), ("SpecificCharacterSet", "\\ISO 2022 IR 87")],
)
def test_lists_of_uids_and_keys_of_several_values_are_right(tmp_path: Path, keyword: str, value: str) -> None:
    assert fails(tmp_path, asked(lambda ds: ds.put(keyword, value))) == set()


def test_two_values_in_a_key_of_the_detector(tmp_path: Path) -> None:
    """VXvue's table of keys too."""

    def build(lab: Lab) -> None:
        def edit(out: Outgoing) -> None:
            if out.name == "C-FIND-RQ" and isinstance(out.dataset, DataSet):
                out.dataset.put("PatientID", "1\\2")

        lab.edit(edit)
        VXvue(lab).worklist(RIS, [])

    found = fails(tmp_path, build, "vxvue")
    assert "STD-DS-014" in found
    assert any(id.startswith("VX-MWL-K-") for id in found)


@pytest.mark.parametrize(
    ("asked_for", "given", "lists"),
    [
        (b"\1\1\0\0\0\0\1", b"\1\1\0\0\0\0\1", True),
        (b"\1\1\0\0\0\0\1", b"\1\1\0\0\0\0\0", False),
        (b"\1\1\0\0\0\0\0", b"\1\1\0\0\0\0\1", False),
        (b"\1\1\0", b"\1\1\0", False),
    ],
)
def test_whoever_negotiated_lists_may_send_them(
    tmp_path: Path, asked_for: bytes, given: bytes, lists: bool
) -> None:
    """Both sides say so in byte 7 of the extended negotiation (PS3.4 C.5.1.1)."""

    def build(lab: Lab) -> None:
        lab.edit_request(lambda pdu: users(pdu, ExtendedNegotiation(WORKLIST, asked_for)))
        peer = replace(RIS, accept={"user_items": [ExtendedNegotiation(WORKLIST, given)]})
        asked(lambda ds: ds.put("PatientAge", "045Y\\046Y"), peer)(lab)

    found = fails(tmp_path, build)
    assert ("STD-DS-014" not in found) is lists
    assert ("MX-MWL-RK-35" not in found) is lists
