"""Defaults of VXvue's commitment and print services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.defaults.common import has, keeps, suits
from bench.checks.finding import Finding, check
from bench.checks.services import claims
from bench.checks.services.commitment import reports, requests
from bench.checks.services.common import FILM_BOX, FILM_SESSION, PRINTER, asked, status_text
from bench.checks.services.printing import Job, jobs
from bench.witness.dataset import DataSet

WAITING: Final = 5.0
"""Seconds that the product waits for the report on the association of its request (VX-D-20)."""
PRINT_VALUES: Final = {
    "NumberOfCopies": "1",
    "PrintPriority": "MED",
    "MediumType": "BLUE FILM",
    "FilmDestination": "PROCESSOR",
    "ImageDisplayFormat": "STANDARD\\1,1",
    "FilmOrientation": "PORTRAIT",
    "FilmSizeID": "14INX17IN",
    "MagnificationType": "CUBIC",
    "MinDensity": "40",
    "MaxDensity": "400",
    "BorderDensity": "BLACK",
    "SmoothingType": "NORMAL",
}


@check("VX-D-20")
def commitment_wait(case: Case) -> Iterator[Finding]:
    """The report is awaited for 5 s on the association of the request, then at the receiver."""
    id = "VX-D-20"
    if not has(case, id):
        return
    reported = {r.message.association for r in reports(case)}
    for request in requests(case):
        association = case.association(request.message)
        release = next((p for p in association.pdus if p.kind == "A-RELEASE-RQ"), None)
        final = request.exchange.final
        if (
            association.number in reported
            or final is None
            or release is None
            or not request.exchange.succeeded
        ):
            continue
        if release.side != case.side(association):
            continue
        waited = release.time - final.last_time
        text = f"released {waited:.1f} s after the answer to the N-ACTION; {WAITING:g} s is the default"
        kept = WAITING - 1 <= waited <= WAITING + 3
        yield keeps(case, id, kept, text, text, case.at(release, association=association))


@check("VX-D-21", "VX-D-22", "VX-D-23")
def transactions(case: Case) -> Iterator[Finding]:
    """Unknown transactions are refused with 0110H; each request has its own; the printer's reports are answered."""
    if not has(case, "VX-D-21"):
        return
    asked_before = requests(case)
    for report in reports(case):
        final = report.exchange.final
        if report.request is not None or final is None or not (asked_before or case.events):
            continue
        text = f"a report of an unknown transaction is answered with {status_text(final.command.status)}"
        yield keeps(case, "VX-D-21", final.command.status == 0x0110, text, text, case.at(final))
    seen: set[str] = set()
    for request in asked_before:
        if request.transaction:
            fresh = request.transaction not in seen
            no = f"Transaction UID {request.transaction} is used again"
            yield keeps(case, "VX-D-22", fresh, "a new Transaction UID", no, case.at(request.message))
            seen.add(request.transaction)
    for message in case.received("N-EVENT-REPORT-RQ"):
        final = case.exchange(message).final
        if message.sop_class == PRINTER and final is not None:
            text = f"the printer's report is answered with {status_text(final.command.status)}"
            yield keeps(case, "VX-D-23", final.command.status == 0, text, text, case.at(final))


@check("VX-D-25", "VX-D-26", "VX-D-27")
def films(case: Case) -> Iterator[Finding]:
    """Values of films, what is deleted, and what happens when the printer says no."""
    if not has(case, "VX-D-25"):
        return
    for job in jobs(case):
        yield from _values(case, job)
        for exchange in job.deletes:
            kind = exchange.request.command.sop_class
            text = "the film session is deleted" if kind == FILM_SESSION else "the film box is deleted"
            yield keeps(case, "VX-D-26", kind == FILM_BOX, text, text, case.at(exchange.request))
        yield from _failures(case, job)


def _values(case: Case, job: Job) -> Iterator[Finding]:
    wanted = dict(PRINT_VALUES)
    layout = case.config.get("image_display_format")
    if layout:
        wanted["ImageDisplayFormat"] = str(layout)
    printed = claims.operator(case, "print")
    chosen = not printed or any(event.data.get("args") for _, event in printed)
    judge = suits if chosen else keeps
    for exchange in (*job.sessions, *(f.created for f in job.films)):
        data = exchange.request.dataset
        if data is None:
            continue
        for keyword, value in wanted.items():
            seen = data.text(keyword)
            if seen and seen != value:
                no = f"{keyword} is {seen}; {value} is the default"
                yield judge(case, "VX-D-25", False, "", no, case.at(exchange.request, data.get(keyword)))
            elif seen:
                yield judge(case, "VX-D-25", True, f"{keyword} {seen}", "", case.at(exchange.request))


def _failures(case: Case, job: Job) -> Iterator[Finding]:
    id = "VX-D-27"
    refused = None
    for exchange in asked(case, job.association):
        message, final = exchange.request, exchange.final
        at = case.at(message)
        if refused is not None and message.name in ("N-SET-RQ", "N-ACTION-RQ", "N-CREATE-RQ"):
            yield keeps(case, id, False, "", f"{message.name} after {refused}", at)
        elif refused is not None:
            yield keeps(case, id, True, f"stops after {refused}", "", at)
        if final is None:
            continue
        status = final.command.status or 0
        if status and not exchange.succeeded:
            refused = f"{message.name} was answered with {status_text(status)}"
        elif message.name == "N-GET-RQ" and _in_failure(final.dataset):
            refused = "the printer said FAILURE"
            yield keeps(case, id, True, "the printer's failure is seen", "", at)


def _in_failure(data: DataSet | None) -> bool:
    return data is not None and data.text("PrinterStatus") == "FAILURE"
