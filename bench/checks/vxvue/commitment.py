"""VX-SC-001 … -012: commitment is asked for what was sent, after it was sent, and every report is answered.

Rules of this file:

* What counts as sent is what the archive on the commitment peer's host took; where no object went to that host, the
  one archive that there is; where there are several, nothing is compared (ruling C6).
* A report of a transaction that the capture does not show may be answered with a failure (VX-D-21), and so may the
  repetition of a report that was answered.
* Ending the N-ACTION's association before the report comes is the other branch, not a fault (ruling C7).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case, Stored
from bench.checks.finding import Finding, Unseen, check, failed, inconclusive, not_applicable, passed
from bench.checks.services.archives import archive_of, performed
from bench.checks.services.commitment import Report, Request, answered, is_commitment, reports, requests
from bench.checks.services.common import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    DOSE_REPORT,
    DX_IMAGE,
    addresses,
    complain,
    idle_associations,
    opening,
    peer,
    proposes,
    readable,
    recorded,
    release_finding,
    status_text,
    tag,
    uid,
    whole,
)
from bench.resultmodel import Evidence
from bench.witness.model import Association

EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
UNSEEN: Final = {
    "VX-SC-012": Unseen("operator", "the mark of the study is shown at the product"),
}


@check("VX-SC-001", "VX-SC-002", "VX-SC-004")
def steps(case: Case) -> Iterator[Finding]:
    """Association, N-ACTION, release."""
    asked = requests(case)
    reported = {r.message.association for r in reports(case)}
    yield from opening(case, "VX-SC-001", "Storage Commitment", (COMMITMENT,), (r.message for r in asked))
    for request in asked:
        command = request.message.command
        at = case.at(request.message)
        faults = []
        if command.get("ActionTypeID") not in (1, None):
            faults.append(f"Action Type ID {command.get('ActionTypeID')}")
        if command.sop_class != COMMITMENT:
            faults.append(f"SOP class {command.sop_class}")
        if command.sop_instance != COMMITMENT_INSTANCE:
            faults.append(f"SOP instance {command.sop_instance}")
        if faults:
            text = f"N-ACTION with {', '.join(faults)}; action 1 on {COMMITMENT_INSTANCE} is wanted"
            yield failed("VX-SC-002", text, at)
        else:
            yield passed("VX-SC-002", "N-ACTION 1 on the well-known instance", at)
    for association in idle_associations(case, (COMMITMENT,)):
        text = f"an association for commitment to {peer(association)} is released without an N-ACTION-RQ"
        yield failed("VX-SC-002", text, case.at(association))
    for association in case.outgoing:
        if proposes(association, COMMITMENT):
            yield release_finding(case, "VX-SC-004", association, waits=association.number not in reported)


# -- the report ---------------------------------------------------------------------------------------------


@check("VX-SC-003", "VX-SC-006", "VX-SC-010", "VX-SC-011")
def report_answered(case: Case) -> Iterator[Finding]:
    """Reports on the request's association and on separate ones are answered; success and failure are processed."""
    done: set[str] = set()
    for report in reports(case):
        same = case.side(case.association(report.message)) == "requestor"
        id = "VX-SC-003" if same else "VX-SC-006"
        final = report.exchange.final
        yield _answer(case, id, report, report.transaction in done)
        if report.request is None or report.transaction in done or final is None:
            continue
        which = {1: "VX-SC-010", 2: "VX-SC-011"}.get(report.event or 0)
        if which is not None:
            kind = "success" if report.event == 1 else "failure"
            at = case.at(final)
            if final.command.status == 0:
                yield passed(which, f"the report of {kind} is answered as processed (0000H)", at)
            else:
                text = f"the report of {kind} is answered with {status_text(final.command.status)}"
                yield failed(which, text, at)
        if final.command.status == 0:
            done.add(report.transaction)


def _answer(case: Case, id: str, report: Report, again: bool) -> Finding:
    final = report.exchange.final
    if final is not None and final.command.status != 0 and (again or report.request is None):
        why = "the report was answered before" if again else "its request is not in the capture"
        return not_applicable(id, f"answered with {status_text(final.command.status)}; {why}", case.at(final))
    return answered(case, id, report)


@check("VX-SC-005", "VX-SC-007")
def separate_association(case: Case) -> Iterator[Finding]:
    """The commitment peer's association is accepted, and ends with its release."""
    for association in case.incoming:
        if not proposes(association, COMMITMENT):
            continue
        yield _accepted(case, association)
        if association.accepted and any(is_commitment(m) for m in association.messages):
            yield _closed(case, association)


@check("VX-SC-005")
def receiver_listens(case: Case) -> Iterator[Finding]:
    """The receiver, when it is known to be on, takes the connection of the commitment peer."""
    if case.config.get("receiver") is not True:
        return
    hosts = {case.association(r.message).acceptor.address for r in requests(case) if r.exchange.succeeded}
    for stream in case.capture.streams:
        knocks = stream.what == "refused" and stream.opener.address in hosts
        here = stream.other.address.lower() in addresses(case)
        port = stream.other.port
        if knocks and here and case.config.get("receiver_port", port) == port:
            text = f"the connection of the commitment peer {stream.opener} is refused at port {port}"
            yield failed("VX-SC-005", text, Evidence(frame=stream.first_frame))


def _accepted(case: Case, association: Association) -> Finding:
    id = "VX-SC-005"
    at = case.at(association.answer or association, association=association)
    contexts = [c for c in association.contexts.values() if c.abstract == COMMITMENT]
    usable = [
        c
        for c in contexts
        if EXPLICIT_LE in c.proposed and c.proposed_role is not None and c.proposed_role[1]
    ]
    if association.accepted and any(c.accepted for c in contexts):
        return passed(id, f"the association of {association.calling} is accepted", at)
    names = {a.calling for a in case.outgoing if a.request is not None} | set(case.sut.ae_titles)
    names |= {str(title) for title in case.config.get("ae_titles") or ()}
    if case.config.get("receiver") is False:
        return not_applicable(id, "the receiver is off", at)
    if not usable:
        return not_applicable(id, "the peer proposes no Explicit VR LE with the role of SCP", at)
    if names and association.called not in names:
        return not_applicable(
            id, f"the peer calls '{association.called}', which is not the product's title", at
        )
    if complain(association.problems, "requestor"):
        return not_applicable(id, "the peer broke the protocol", at)
    if association.answer is None:
        last = case.capture.last_time or association.last_time
        if whole(association) and association.end != "open" and association.ended_by == "acceptor":
            return failed(id, "the commitment peer's association is not answered", at)
        waited = whole(association) and last - association.first_time > 30.0
        verdict = failed if waited else inconclusive
        return verdict(id, "no answer to the commitment peer's association is in the capture", at)
    kind = "rejected" if not association.accepted else "accepted without its presentation context"
    return failed(id, f"the commitment peer's association is {kind}", at)


def _closed(case: Case, association: Association) -> Finding:
    id = "VX-SC-007"
    ours = case.side(association)
    asked = next((p for p in association.pdus if p.kind == "A-RELEASE-RQ" and p.side != ours), None)
    reply = next((p for p in association.pdus if p.kind == "A-RELEASE-RP" and p.side == ours), None)
    abort = next((p for p in association.pdus if p.kind == "A-ABORT"), None)
    own = next((p for p in association.pdus if p.kind == "A-RELEASE-RQ" and p.side == ours), None)
    if asked is not None and reply is not None:
        return passed(
            id, "the peer releases, the product answers A-RELEASE-RP", case.at(reply, association=association)
        )
    if own is not None and asked is None:
        text = "the product asks for the release; the peer, who opened the association, should"
        return failed(id, text, case.at(own, association=association))
    if abort is not None and abort.side == ours:
        at = case.at(abort, association=association)
        if complain(association.problems, "requestor"):
            return not_applicable(id, "the peer broke the protocol; the association was aborted", at)
        waited = abort.time - max((m.last_time for m in association.messages), default=abort.time)
        if waited >= 10.0:
            return not_applicable(id, "the peer did not release for a while; the association was aborted", at)
        return failed(id, "the product aborts the commitment peer's association", at)
    at = case.at(association)
    if abort is not None:
        return not_applicable(id, "the peer aborted the association", at)
    if asked is not None and whole(association) and association.end != "open":
        at = case.at(asked, association=association)
        return failed(id, "the peer's A-RELEASE-RQ is not answered", at)
    if association.end in ("closed", "reset") and association.ended_by == ours and whole(association):
        return failed(id, "the product closes the connection instead of waiting for the release", at)
    if association.end in ("closed", "reset"):
        return not_applicable(id, "the connection was ended by the peer", at)
    return inconclusive(id, "the end of the association is not in the capture", at)


# -- what is asked for --------------------------------------------------------------------------------------


@check("VX-SC-008")
def after_all_stores(case: Case) -> Iterator[Finding]:
    """Commitment is asked when the stores of the study are complete."""
    for request in requests(case):
        archive = archive_of(case, request)
        if archive is None:
            continue
        at = case.at(request.message)
        moment = request.message.first_time
        named = {i for _, i in request.names}
        sent, _ = archive.concerned(named)
        earlier = {s.sop_instance for s in sent if s.message.first_time <= moment}
        more = False  # whether images went on after the request: then an exam goes on, not a set
        fault: tuple[Stored, str] | None = None
        for stored in sent:
            text = _too_early(case, request, stored, earlier, more)
            if text and fault is None:
                fault = (stored, text)
            more = more or (stored.message.first_time > moment and stored.sop_class != DOSE_REPORT)
        if fault is not None:
            yield failed("VX-SC-008", fault[1], at, case.at(fault[0].message))
        elif named & earlier:
            yield passed("VX-SC-008", "asked after the stores of the study", at)


def _too_early(case: Case, request: Request, stored: Stored, earlier: set[str], more: bool) -> str:
    """Tell why a C-STORE shows that a request came before the stores were complete; empty if it does not."""
    moment = request.message.first_time
    instance = stored.sop_instance
    if stored.message.first_time <= moment:
        final = stored.exchange.final
        late = final is not None and final.first_time > moment
        return f"commitment is asked before the C-STORE of {instance} is answered" if late else ""
    if instance in earlier:
        return ""  # sent again
    if any(i == instance for _, i in request.names):
        return f"commitment is asked for {instance} before it is sent"
    if case.association(stored.message).first_time < moment:
        return "commitment is asked while images of the study are still being sent"
    if stored.sop_class == DOSE_REPORT and not more:
        return "commitment is asked before the dose report of the study is sent"
    if performed(case).get(instance, moment + 1) <= moment:
        return f"commitment is asked before {instance} of the study is sent"
    return ""


@check("VX-SC-009")
def exactly_the_sent(case: Case) -> Iterator[Finding]:
    """The request names exactly what was stored there."""
    everything = {i for r in requests(case) for _, i in r.names}
    gaps = not recorded(case, COMMITMENT, DX_IMAGE, DOSE_REPORT, *{s.sop_class for s in case.objects})
    for request in requests(case):
        named = list(dict.fromkeys(i for _, i in request.names if i))
        if named and readable(request.message):
            yield _exactly(case, request, named, everything, gaps)


def _exactly(case: Case, request: Request, named: list[str], everything: set[str], gaps: bool) -> Finding:
    id = "VX-SC-009"
    at = case.at(request.message, tag("ReferencedSOPSequence"))
    archive = archive_of(case, request)
    if archive is None:
        return inconclusive(id, "what this archive took is not in the capture", at)
    sent, studies = archive.concerned(named)
    taken: dict[str, Stored] = {}  # the first time that the archive took it
    seen: dict[str, Stored] = {}
    for stored in sent:
        seen[stored.sop_instance] = stored
        if stored.accepted:
            taken.setdefault(stored.sop_instance, stored)
    moment = request.message.first_time
    before = {i for i, s in taken.items() if s.exchange.final and s.exchange.final.first_time <= moment}
    refused = [seen[i] for i in named if i in seen and i not in taken]
    missing = [
        taken[i]
        for i in before
        if i not in everything and uid(taken[i].dataset, "StudyInstanceUID") in studies
    ]
    unknown = [i for i in named if i not in seen]
    # An answer without a status refuses nothing: that fault is the archive's.
    told = [s for s in refused if s.exchange.status is not None or (s.exchange.final is None and not gaps)]
    if told:
        status = status_text(told[0].exchange.status)
        text = f"{told[0].sop_instance} is named; its C-STORE got {status}"
        return failed(id, text, at, case.at(told[0].message))
    if not before & set(named):
        return inconclusive(id, "the C-STOREs of what is named are not in the capture", at)
    if refused or ((missing or unknown) and gaps):
        return inconclusive(id, "what was stored and asked for is not wholly in the capture", at)
    if missing:
        text = f"{missing[0].sop_instance} of the study was stored there and is not named"
        if len(missing) > 1:
            text += f" ({len(missing)} instances)"
        return failed(id, text, at, case.at(missing[0].message))
    if unknown:
        text = f"{unknown[0]} is named and was not stored there ({len(unknown)} of {len(named)} instances)"
        return failed(id, text, at)
    return passed(id, f"names the {len(named)} instances that were stored", at)
