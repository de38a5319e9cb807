"""PS3.4 Annex A, Verification: no data set, answered with success (STD-SVC-001, -002)."""

from __future__ import annotations

from collections.abc import Iterator

from bench.checks.case import Case
from bench.checks.finding import Finding, check, failed, inconclusive, passed
from bench.checks.services.common import VERIFICATION, status_text


@check("STD-SVC-001")
def no_data_set(case: Case) -> Iterator[Finding]:
    """C-ECHO messages of the SUT carry no data set."""
    for message in case.sent():
        if message.name not in ("C-ECHO-RQ", "C-ECHO-RSP"):
            continue
        if message.command.has_dataset or message.dataset is not None:
            yield failed("STD-SVC-001", f"{message.name} carries a data set", case.at(message))
        else:
            yield passed("STD-SVC-001", f"{message.name} carries no data set", case.at(message))


@check("STD-SVC-002")
def echo_answered(case: Case) -> Iterator[Finding]:
    """A C-ECHO that the SUT accepted as SCP is answered with 0000H."""
    for request in case.received("C-ECHO-RQ"):
        if (
            request.context is None
            or request.context.abstract != VERIFICATION
            or not request.context.accepted
        ):
            continue
        final = case.exchange(request).final
        if final is None:
            # whether it is answered at all is the business of PS3.7 (STD-DIMSE)
            yield inconclusive("STD-SVC-002", "no answer to C-ECHO is in the capture", case.at(request))
        elif final.command.status == 0:
            yield passed("STD-SVC-002", "C-ECHO is answered with 0000H", case.at(final))
        elif (
            request.sop_class == VERIFICATION and request.complete and request.command.message_id is not None
        ):
            text = f"C-ECHO is answered with {status_text(final.command.status)}; 0000H is wanted"
            yield failed("STD-SVC-002", text, case.at(final))
