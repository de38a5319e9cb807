"""VXvue's Verification as the operator sees it: started by hand, the result shown (VX-VER-001, VX-VER-005).

Rules of this file:

* Only a run's journal knows what the operator did and saw; without it there is no finding.
* What the product says about itself counts here, since these clauses are about what it shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.dimse.tables import VERIFICATION
from bench.checks.finding import Finding, check, failed, passed
from bench.checks.merge import merged
from bench.checks.services.claims import SLACK, claim, clock, operator
from bench.checks.upperlayer.deal import Deal, deals
from bench.journal import Event

SOON: Final = 60.0
"""Seconds in which an association follows the press of the button."""


@check("VX-VER-001", "VX-VER-005")
@merged
def by_hand(case: Case) -> Iterator[Finding]:
    """Each Verification follows a press of the button, and its result is shown as it was."""
    wall = clock(case)
    if wall is None or next(case.happened("sut.request"), None) is None:
        return
    presses = operator(case, "verify")
    answers = [(wall(e.t), e) for e in case.happened("sut.answer") if e.data.get("do") == "verify"]
    used: set[int] = set()
    for deal in deals(case).values():
        request = deal.association.request
        if deal.side != "requestor" or request is None or deal.proposed != {VERIFICATION}:
            continue
        at = case.at(request, association=deal.association)
        press = next(
            (
                (t, e)
                for t, e in presses
                if e.seq not in used and t - SLACK <= deal.association.first_time <= t + SOON
            ),
            None,
        )
        if press is None:
            yield failed("VX-VER-001", "an association for Verification that nobody asked for", at)
            continue
        used.add(press[1].seq)
        yield passed("VX-VER-001", "Verification was started by the operator", at, claim(press[1]))
        answer = next((e for t, e in answers if t >= press[0]), None)
        if answer is not None:
            yield _shown(case, deal, answer)


def _shown(case: Case, deal: Deal, answer: Event) -> Finding:
    """Compare what was shown with the status of the C-ECHO."""
    said = bool(answer.data.get("ok"))
    echo = next((m for m in deal.association.messages if m.name == "C-ECHO-RQ"), None)
    good = echo is not None and case.exchange(echo).status == 0
    at = (case.at(deal.association), claim(answer))
    result = "0000H" if good else "no C-ECHO-RSP with 0000H"
    reason = f"{result}, and {'success' if said else 'failure'} was shown"
    return passed("VX-VER-005", reason, *at) if said == good else failed("VX-VER-005", reason, *at)
