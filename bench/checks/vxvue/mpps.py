"""VX-MPPS-001 … -013: N-CREATE and N-SET on an association each, to the configured SCP, and what the operator does.

An N-SET on an instance that is in its final state breaks step 6 and the rule for appended steps (rulings D7, VX-E-40).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, Unseen, check, failed, inconclusive, passed
from bench.checks.services import claims
from bench.checks.services.commitment import requests
from bench.checks.services.common import (
    FINAL_STATES,
    IN_PROGRESS,
    MPPS,
    all_seen,
    asked,
    configured_peer,
    failed_attempt,
    idle_associations,
    opening,
    peer,
    recorded,
    release_finding,
    tag,
    uid,
)
from bench.checks.services.performed import (
    Late,
    Step,
    after_final,
    changes,
    creations,
    instance_of,
    is_step,
    status_of,
    steps,
)
from bench.witness.model import Message

UNSEEN: Final = {
    "VX-MPPS-009": Unseen("operator", "the user interface is not on the wire"),
    "VX-MPPS-010": Unseen("operator", "who caused the N-CREATE is not on the wire"),
    "VX-MPPS-011": Unseen("operator", "who caused the N-SET is not on the wire"),
    "VX-MPPS-012": Unseen("operator", "who caused the N-SET is not on the wire"),
}


@check("VX-MPPS-001", "VX-MPPS-002", "VX-MPPS-003", "VX-MPPS-004")
def creation(case: Case) -> Iterator[Finding]:
    """Steps 1 to 4: an association for the N-CREATE, released."""
    created = tuple(creations(case))
    yield from opening(case, "VX-MPPS-001", "MPPS", (MPPS,), created)
    for message in created:
        at = case.at(message, tag("PerformedProcedureStepStatus"))
        status = status_of(message)
        reused = _used_before(case, message)
        if reused is not None:
            text = f"N-CREATE on the association that carried the {reused.name} of frame {reused.first_frame}"
            yield failed("VX-MPPS-001", text, case.at(message))
        named = message.command.sop_class
        if named not in (MPPS, None):
            text = f"N-CREATE of SOP class {named}; {MPPS} is wanted"
            yield failed("VX-MPPS-002", text, case.at(message))
        elif status == IN_PROGRESS:
            yield passed("VX-MPPS-002", "N-CREATE, IN PROGRESS", at)
        elif status is None and not all_seen(message):
            yield inconclusive("VX-MPPS-002", "the data set of the N-CREATE is not whole", at)
        else:
            yield failed("VX-MPPS-002", f"N-CREATE with status '{status or ''}'; IN PROGRESS is wanted", at)
        yield configured_peer(case, "VX-MPPS-003", message, ("mpps",), "MPPS SCP")
    for association in {m.association: case.association(m) for m in created}.values():
        yield release_finding(case, "VX-MPPS-004", association)
    yield from _still_open(case)
    for association in idle_associations(case, (MPPS,)):
        waiting = [
            s
            for s in steps(case).steps.values()
            if s.created is not None and s.created.request.first_time < association.first_time and not s.sets
        ]
        id = "VX-MPPS-006" if waiting else "VX-MPPS-002"
        text = f"an association for MPPS to {peer(association)} is released without a request"
        yield failed(id, text, case.at(association))


def _used_before(case: Case, message: Message) -> Message | None:
    """Return a request of another step that went before on the same association."""
    for exchange in asked(case, case.association(message)):
        if exchange.request.number >= message.number:
            return None
        if is_step(exchange.request) and exchange.request.sop_instance != message.sop_instance:
            return exchange.request
    return None


def _still_open(case: Case) -> Iterator[Finding]:
    """The association of the N-CREATE must be gone when the one of the N-SET is opened."""
    for step in steps(case).steps.values():
        created = step.created
        if created is None or created.final is None or not step.sets:
            continue
        first = case.association(created.request)
        second = case.association(step.sets[0].request)
        gone = next((p for p in first.pdus if p.kind in ("A-RELEASE-RQ", "A-ABORT")), None)
        if second.number == first.number or second.first_time < created.final.last_time + 1:
            continue
        if first.last_time > second.first_time and gone is not None and gone.time > second.first_time:
            text = "the association of the N-CREATE is still open when that of the N-SET is opened"
            yield failed("VX-MPPS-004", text, case.at(first), case.at(second))


@check("VX-MPPS-002", "VX-MPPS-005", "VX-MPPS-006", "VX-MPPS-007", "VX-MPPS-008", "VX-MPPS-013")
def completion(case: Case) -> Iterator[Finding]:
    """Steps 5 to 8: a second association for the N-SET of the same instance, released; nothing after the end."""
    view = steps(case)
    stray = {id(s.exchange): s for s in view.strays}
    late = {id(f.exchange): f for f in after_final(case) if isinstance(f, Late)}
    creating = {
        (e.request.association, step.uid) for step in view.steps.values() for e in step.creates if e.request
    }
    for message in changes(case):
        exchange = case.exchange(message)
        at = case.at(message)
        if (message.association, instance_of(exchange)) in creating:
            text = "the N-SET goes over the association of the N-CREATE; a second one is wanted"
            yield failed("VX-MPPS-005", text, at)
        elif case.association(message).request is not None:
            yield passed("VX-MPPS-005", "the N-SET has an association of its own", at)
        yield configured_peer(case, "VX-MPPS-007", message, ("mpps",), "MPPS SCP")
        status = status_of(message)
        after, foreign = late.get(id(exchange)), stray.get(id(exchange))
        if after is not None:
            text = f"N-SET after the step became {after.state} in frame {after.final.request.first_frame}"
            yield failed("VX-MPPS-006", text, at, case.at(after.final.request))
            yield failed("VX-MPPS-013", text, at, case.at(after.final.request))
        elif foreign is not None and foreign.skipped:
            yield failed("VX-MPPS-002", foreign.reason, at)
        elif foreign is not None and foreign.verdict == "wrong":
            yield failed("VX-MPPS-006", foreign.reason, at)
        elif status is None and not all_seen(message):
            yield inconclusive("VX-MPPS-006", "the data set of the N-SET is not whole", at)
        elif status not in FINAL_STATES:
            text = f"N-SET with status '{status or ''}'; COMPLETED or DISCONTINUED is wanted"
            yield failed("VX-MPPS-006", text, case.at(message, tag("PerformedProcedureStepStatus")))
        elif foreign is not None:
            yield inconclusive("VX-MPPS-006", foreign.reason, at)
        else:
            yield passed("VX-MPPS-006", f"N-SET of the step that was created, {status}", at)
    created_on = {number for number, _ in creating}
    for association in {m.association: case.association(m) for m in changes(case)}.values():
        if association.number not in created_on:
            yield release_finding(case, "VX-MPPS-008", association)
    yield from _appended(case, list(view.steps.values()))
    yield from _never_ended(case, list(view.steps.values()))


def _never_ended(case: Case, all_steps: list[Step]) -> Iterator[Finding]:
    """A step whose study went to commitment is over; its N-SET must have been tried (VX-SC-008)."""
    last = case.capture.last_time or 0.0
    if not requests(case) or not recorded(case, MPPS):
        return
    study_of = {s.sop_instance: uid(s.dataset, "StudyInstanceUID") for s in case.objects}
    asked_for = {study_of[i]: r for r in reversed(requests(case)) for _, i in r.names if study_of.get(i)}
    count = Counter(step.study for step in all_steps)
    for step in all_steps:
        created = step.created
        if created is None or not created.succeeded or step.sets or not step.study:
            continue
        request = asked_for.get(step.study)
        address = case.association(created.request).acceptor.address
        if request is None or last - request.message.last_time < 5.0:
            continue
        if count[step.study] > 1 or failed_attempt(case, MPPS, address, created.request.last_time, last):
            continue
        text = f"no N-SET of step {step.uid}, although commitment was asked for its study"
        at = (case.at(created.request), case.at(request.message))
        yield failed("VX-MPPS-006", text, *at)


def _appended(case: Case, all_steps: list[Step]) -> Iterator[Finding]:
    """A step appended to a finished one is a new instance of the same study."""
    finished: dict[str, Step] = {}
    for step in all_steps:
        created = step.created
        if created is None:
            continue
        before = finished.get(step.study) if step.study else None
        done = before.finished if before is not None and before.uid != step.uid else None
        if done is not None and done.request.first_time < created.request.first_time:
            text = "a step appended to a finished one is a new instance"
            yield passed("VX-MPPS-013", text, case.at(created.request))
        if step.study and step.finished is not None:
            finished[step.study] = step
        end = step.finished
        again = [e for e in step.creates if end is not None and e.request.first_time > end.request.last_time]
        for exchange in again:
            text = f"N-CREATE of {step.uid} again, which is in its final state"
            yield failed("VX-MPPS-013", text, case.at(exchange.request))


# -- claims -------------------------------------------------------------------------------------------------


@check("VX-MPPS-009")
def shown(case: Case) -> Iterator[Finding]:
    """The scheduled steps are shown (a claim: the list that the SUT gives the operator)."""
    for event in case.happened("sut.answer"):
        result = event.data.get("result")
        if event.data.get("do") == "query_worklist" and event.data.get("ok") and isinstance(result, dict):
            items = result.get("items")
            if isinstance(items, list) and items and all(isinstance(i, dict) for i in items):
                text = f"{len(items)} scheduled steps are shown"
                yield passed("VX-MPPS-009", text, claims.claim(event))


@check("VX-MPPS-010", "VX-MPPS-011", "VX-MPPS-012")
def operator_notifies(case: Case) -> Iterator[Finding]:
    """What the operator does appears on the wire."""
    wanted = (
        ("VX-MPPS-010", "start_exam", "N-CREATE-RQ", IN_PROGRESS),
        ("VX-MPPS-011", "discontinue", "N-SET-RQ", "DISCONTINUED"),
        ("VX-MPPS-012", "complete", "N-SET-RQ", "COMPLETED"),
    )
    messages = [*creations(case), *changes(case)]
    for id, verb, name, status in wanted:
        for time, event in claims.operator(case, verb):
            after = (m for m in messages if m.name == name and 0 <= m.first_time - time + claims.SLACK <= 10)
            message = next(after, None)
            if message is None:
                continue  # the peer may be away: the steps themselves are judged elsewhere
            said = status_of(message)
            where = (case.at(message), claims.claim(event))
            if said == status:
                yield passed(id, f"the operator's '{verb}' is told as {status}", *where)
            elif said:
                yield failed(id, f"the operator's '{verb}' is told as {said}; {status} is wanted", *where)
