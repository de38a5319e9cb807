"""VX-PRN-001 … -011: printer asked, session, film box, image boxes, print, film box deleted, release.

Rules of this file:

* Each step is judged where it stands: a step that is missing, or comes after one that needs it, is that step's fault;
  what follows is judged by itself.
* A job that ended early is complete as far as it went: only the first missing step is a fault, and only when the peer
  gave no cause for stopping (a failure, a printer in failure, silence, a lost association: ruling B3).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case, Exchange
from bench.checks.finding import Finding, Unseen, check, failed, inconclusive, not_applicable, passed
from bench.checks.services import claims
from bench.checks.services.common import (
    FILM_BOX,
    FILM_SESSION,
    GRAYSCALE_BOX,
    GRAYSCALE_META,
    PRINTER,
    PRINTER_INSTANCE,
    asked,
    ending,
    opening,
    peer,
    proposes,
    release_finding,
    serves,
    whole,
)
from bench.checks.services.printing import FilmBox, Job, jobs, session_reference, shaky

UNSEEN: Final = {
    "VX-PRN-008": Unseen("operator", "the local database is not on the wire"),
    "VX-PRN-011": Unseen("operator", "the warning is shown at the product"),
}


def stopped(case: Case, job: Job) -> str | None:
    """Tell why the SUT may have stopped in the middle of a job; None if there was no reason."""
    for exchange in job.everything:
        if exchange.final is None:
            return f"{exchange.request.name} was not answered"
        if not exchange.succeeded:
            return f"{exchange.request.name} was answered with a failure"
        if exchange.request.name == "N-GET-RQ" and exchange.final.dataset is not None:
            status = exchange.final.dataset.text("PrinterStatus")
            if status == "FAILURE":
                return "the printer is in failure"
    ours = case.side(job.association)
    for message in job.association.messages:
        told = message.name == "N-EVENT-REPORT-RQ" and message.sender != ours
        if told and message.command.get("EventTypeID") in (2, 3):
            return "the printer reported trouble"
    if not whole(job.association):
        return "the capture has gaps in this association"
    how = ending(case, job.association)
    return None if how.how == "released" else f"the job was cut off: {how.reason}"


@check("VX-PRN-001", "VX-PRN-009", "VX-PRN-010")
def association(case: Case) -> Iterator[Finding]:
    """An association for the meta SOP class, for one set of images, released."""
    films = [e.request for job in jobs(case) for e in (*job.sessions, *(f.created for f in job.films))]
    yield from opening(case, "VX-PRN-001", "Basic Grayscale Print Management", (GRAYSCALE_META,), films)
    used = {job.association.number for job in jobs(case)}
    for one in case.outgoing:
        if proposes(one, GRAYSCALE_META) or one.number in used:
            yield release_finding(case, "VX-PRN-009", one)
    for job in jobs(case):
        made = [e for e in job.sessions if e.succeeded]
        if len(made) > 1:
            text = f"{len(made)} film sessions on one association; each set of images wants its own"
            yield failed("VX-PRN-010", text, *(case.at(e.request) for e in made[1:4]))
        elif made:
            yield passed("VX-PRN-010", "one film session on its association", case.at(made[0].request))


def _of_class(case: Case, id: str, exchange: Exchange, wanted: str, what: str) -> Finding:
    """Judge that a request names the SOP class of what it is about."""
    named = exchange.request.command.sop_class
    at = case.at(exchange.request)
    if named in (wanted, None):
        return passed(id, what, at)
    return failed(id, f"{what} names the SOP class {named}; {wanted} is wanted", at)


@check("VX-PRN-002", "VX-PRN-003")
def printer_and_session(case: Case) -> Iterator[Finding]:
    """The printer is asked before the film session is made."""
    for one in case.outgoing:
        empty = serves(one, GRAYSCALE_META) and not any(True for _ in asked(case, one))
        if empty and whole(one) and ending(case, one).how == "released":
            text = f"an association for printing to {peer(one)} is released without a request"
            yield failed("VX-PRN-002", text, case.at(one))
    for job in jobs(case):
        work = [e.request for e in job.everything if e.request.name != "N-GET-RQ"]
        first = min((m.number for m in work), default=None)
        for exchange in job.gets:
            target = (exchange.request.command.sop_class, exchange.request.sop_instance)
            at = case.at(exchange.request)
            if target != (PRINTER, PRINTER_INSTANCE):
                text = f"N-GET of {target[1]} of class {target[0]}; the printer {PRINTER_INSTANCE} is wanted"
                yield failed("VX-PRN-002", text, at)
            else:
                yield passed("VX-PRN-002", "N-GET of the printer", at)
        asked_first = any(first is not None and e.request.number < first for e in job.gets)
        if work and not asked_first:
            at = case.at(work[0])
            if whole(job.association):
                yield failed("VX-PRN-002", f"{work[0].name} without an N-GET of the printer before it", at)
            else:
                yield inconclusive("VX-PRN-002", "the begin of the association is not in the capture", at)
        for exchange in job.sessions:
            yield _of_class(case, "VX-PRN-003", exchange, FILM_SESSION, "N-CREATE of the film session")
        early = [
            f for f in job.films if not any(s.request.number < f.created.request.number for s in job.sessions)
        ]
        for film in early:
            at = case.at(film.created.request)
            if whole(job.association):
                yield failed("VX-PRN-003", "a film box is created without a film session before it", at)
            else:
                yield inconclusive("VX-PRN-003", "the begin of the association is not in the capture", at)


@check("VX-PRN-004", "VX-PRN-005", "VX-PRN-006", "VX-PRN-007")
def films(case: Case) -> Iterator[Finding]:
    """Film box, image boxes, print, delete."""
    for job in jobs(case):
        reason = stopped(case, job)
        for film in job.films:
            message = film.created.request
            yield _of_class(case, "VX-PRN-004", film.created, FILM_BOX, "N-CREATE of the film box")
            if message.dataset is not None:
                yield from session_reference(case, "VX-PRN-004", job, message)
            if film.created.succeeded:
                yield from _image_boxes(case, job, film, reason)
                yield from _print(case, job, film, reason)
                yield from _delete(case, job, film, reason)
        if not job.films and any(e.succeeded for e in job.sessions):
            at = case.at(job.sessions[0].request)
            if reason:
                yield not_applicable("VX-PRN-004", f"no film box: {reason}", at)
            else:
                yield failed("VX-PRN-004", "a film session without a film box", at)
        yield from _strays(case, job)


def _strays(case: Case, job: Job) -> Iterator[Finding]:
    """Requests on image boxes and film boxes that do not exist."""
    doubt = shaky(job)
    words = {
        "N-SET-RQ": ("VX-PRN-005", "no image box of a film box that exists"),
        "N-ACTION-RQ": ("VX-PRN-006", "no film box that exists"),
        "N-DELETE-RQ": ("VX-PRN-007", "no film box that exists"),
    }
    for exchange in job.strays:
        id, what = words[exchange.request.name]
        text = f"{exchange.request.name} of {exchange.request.sop_instance}, {what}"
        at = case.at(exchange.request)
        yield inconclusive(id, f"{text}; {doubt}", at) if doubt else failed(id, text, at)


def _image_boxes(case: Case, job: Job, film: FilmBox, reason: str | None) -> Iterator[Finding]:
    id = "VX-PRN-005"
    printed = min((e.request.number for e in (*film.actions, *job.session_actions)), default=None)
    seen: dict[str, Exchange] = {}
    before = 0
    for exchange in film.sets:
        message = exchange.request
        at = case.at(message)
        known = seen.get(message.sop_instance or "")
        if printed is not None and message.number > printed:
            yield failed(id, "an image box is set after the film was printed", at)
            continue
        before += 1
        if known is not None and known.succeeded:
            text = f"a second N-SET of image box {message.sop_instance}; one for each box is wanted"
            yield failed(id, text, at, case.at(known.request))
        else:
            yield _of_class(case, id, exchange, GRAYSCALE_BOX, "N-SET of an image box of the film box")
        seen[message.sop_instance or ""] = exchange
    strays = any(e.request.name == "N-SET-RQ" for e in job.strays)
    if before or strays:
        return
    at = case.at(film.created.request)
    if printed is not None and whole(job.association):
        yield failed(id, "the film is printed without an N-SET of an image box before", at)
    elif printed is None and not film.sets:
        if reason:
            yield not_applicable(id, f"no image box is set: {reason}", at)
        else:
            yield failed(id, "no image box of the film box is set", at)


def _print(case: Case, job: Job, film: FilmBox, reason: str | None) -> Iterator[Finding]:
    id = "VX-PRN-006"
    for exchange in film.actions:
        action = exchange.request.command.get("ActionTypeID")
        at = case.at(exchange.request)
        if action in (1, None):
            yield _of_class(case, id, exchange, FILM_BOX, "N-ACTION on the film box")
        else:
            yield failed(id, f"N-ACTION with Action Type ID {action}; 1 is wanted", at)
    for exchange in job.session_actions:
        text = "N-ACTION on the film session; the statement prints the film box"
        yield failed(id, text, case.at(exchange.request))
    strays = any(e.request.name == "N-ACTION-RQ" for e in job.strays)
    if film.actions or job.session_actions or strays:
        return
    at = case.at(film.created.request)
    if reason:
        yield not_applicable(id, f"the film is not printed: {reason}", at)
    elif film.sets:
        yield failed(id, "the film box is not printed (no N-ACTION)", at)


def _delete(case: Case, job: Job, film: FilmBox, reason: str | None) -> Iterator[Finding]:
    id = "VX-PRN-007"
    printed = film.actions[-1].request.number if film.actions else None
    strays = {e.request.name for e in job.strays}
    if film.deleted is not None:
        at = case.at(film.deleted.request)
        early = printed is None and any(
            e.request.name == "N-ACTION-RQ" and e.request.sop_instance == film.uid for e in job.strays
        )
        if early:
            yield failed(id, "the film box is deleted before it is printed", at)
        else:
            yield _of_class(case, id, film.deleted, FILM_BOX, "N-DELETE of the film box")
        return
    if "N-DELETE-RQ" in strays or not (film.actions or job.session_actions):
        return
    at = case.at(film.created.request)
    if reason:
        yield not_applicable(id, f"the film box is not deleted: {reason}", at)
    else:
        other = next((e for e in job.deletes if e.request.command.sop_class == FILM_SESSION), None)
        text = (
            "the film session is deleted instead of the film box" if other else "the film box is not deleted"
        )
        yield failed(id, text, at)


@check("VX-PRN-011")
def rejection_warning(case: Case) -> Iterator[Finding]:
    """A rejected print association gives a warning (a claim)."""
    yield from claims.warned(case, "VX-PRN-011", "print", GRAYSCALE_META)
