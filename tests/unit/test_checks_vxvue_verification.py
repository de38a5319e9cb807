"""Verification as the operator sees it: the journal of a run laid beside the capture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.checks.verdicts import judge
from bench.checks.vxvue.verification import by_hand
from bench.journal import Event
from tests.lab.conversation import START, Lab
from tests.lab.products.vxvue import PACS, VXvue
from tests.unit.judged_conversations import case


def _event(seq: int, at: float, kind: str, **data: Any) -> Event:
    return Event(seq=seq, t=int(at * 1e9), src="sut", n=seq, kind=kind, data=data)


def _verdicts(lab: Lab, *events: Event) -> tuple[str, str]:
    pair = _event(1, 0, "clock.pair", mono=0, real=int(START * 1e9))
    made = replace(case(lab), events=(pair, *events) if events else ())
    found = {r.id: str(r.verdict) for r in judge(made, (by_hand,))}
    return found["VX-VER-001"], found["VX-VER-005"]


PRESS = _event(2, 0, "sut.request", do="verify", args={})


@pytest.mark.parametrize(
    ("status", "ok", "wanted"),
    [(0, True, "PASS"), (0, False, "FAIL"), (0x0122, False, "PASS"), (0x0122, True, "FAIL")],
)
def test_the_result_is_shown(status: int, ok: bool, wanted: str) -> None:
    lab = Lab()
    VXvue(lab).verify(PACS, status)
    assert _verdicts(lab, PRESS, _event(3, 1, "sut.answer", do="verify", ok=ok)) == ("PASS", wanted)


def test_a_rejected_association_is_a_failure() -> None:
    lab = Lab()
    VXvue(lab).propose(PACS, "1.2.840.10008.1.1").reject()
    assert _verdicts(lab, PRESS, _event(3, 1, "sut.answer", do="verify", ok=False)) == ("PASS", "PASS")


def test_a_verification_that_nobody_asked_for() -> None:
    lab = Lab()
    vx = VXvue(lab)
    vx.verify(PACS)
    vx.verify(PACS)
    assert _verdicts(lab, PRESS)[0] == "FAIL"


def test_without_a_journal_nothing_is_said() -> None:
    lab = Lab()
    VXvue(lab).verify(PACS)
    assert _verdicts(lab) == ("NOT-EXERCISED", "NOT-EXERCISED")
