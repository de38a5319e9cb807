"""Defaults about associations, in both statements: PDU sizes, timeouts, ports, titles, retries, UIDs, security."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case, Exchange
from bench.checks.defaults.common import (
    EXPLICIT_LE,
    acceptance,
    has,
    keeps,
    peer_limit,
    proposal,
    sent_datasets,
    waits,
)
from bench.checks.finding import Finding, Unseen, check
from bench.checks.services import claims
from bench.checks.services.common import FILM_BOX, FILM_SESSION, MPPS, ending, peer_key, proposes, uid
from bench.checks.upperlayer.deal import deals
from bench.witness.model import Association

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
UNSEEN: Final = {
    "VX-D-09": Unseen("operator", "whether the operator sent again is not on the wire"),
    "VX-D-10": Unseen("operator", "the event log is at the product"),
    "VX-D-32": Unseen("not-testable", "whether a value was known is not on the wire"),
    "VX-D-41": Unseen("not-testable", "the speed of the link is not in a capture"),
    "MX-D-09": Unseen("operator", "the result is shown at the product"),
}


@check("VX-D-01")
def application_context(case: Case) -> Iterator[Finding]:
    """One application context name, in requests and accepts."""
    if not has(case, "VX-D-01"):
        return
    for association in case.associations:
        ours = proposal(association) if case.side(association) == "requestor" else acceptance(association)
        pdu = association.request if case.side(association) == "requestor" else association.answer
        if ours is None or pdu is None:
            continue
        name = (ours.application_context or "").strip(" \0")
        at = case.at(pdu, association=association)
        text = f"application context {name}"
        yield keeps(case, "VX-D-01", name == APPLICATION_CONTEXT, text, text, at)


@check("VX-D-02")
def no_fallback(case: Case) -> Iterator[Finding]:
    """After Explicit VR LE was refused nothing else is proposed."""
    if not has(case, "VX-D-02"):
        return
    refused: dict[tuple[tuple[str, str, int], str], Association] = {}
    for association in case.outgoing:
        for context in association.contexts.values():
            key = (peer_key(association), context.abstract)
            if key in refused:
                other = [ts for ts in context.proposed if ts != EXPLICIT_LE]
                yes = "the same proposal again after the refusal"
                no = f"after the refusal {', '.join(other)} is proposed"
                yield keeps(case, "VX-D-02", not other, yes, no, case.at(association))
            elif association.accepted and context.result in (3, 4) and EXPLICIT_LE in context.proposed:
                refused[key] = association
                yield keeps(case, "VX-D-02", True, "refused; nothing else follows", "", case.at(association))


@check("VX-D-03")
def accepting_length(case: Case) -> Iterator[Finding]:
    """The maximum length announced as acceptor is 16384."""
    if not has(case, "VX-D-03"):
        return
    for association in case.incoming:
        answer = acceptance(association)
        if answer is not None and association.answer is not None:
            text = f"announces {answer.max_length} as acceptor; 16384 is the default"
            at = case.at(association.answer, association=association)
            yield keeps(case, "VX-D-03", answer.max_length == 16384, text, text, at)


@check("VX-D-04", "MX-D-03")
def longest_pdu(case: Case) -> Iterator[Finding]:
    """P-DATA within the peer's maximum, and within the product's own cap where the peer has none."""
    id = "VX-D-04" if has(case, "VX-D-04") else "MX-D-03"
    if not has(case, id):
        return
    variants = case.config.get("variants") or ()
    cap = 16384 if id == "VX-D-04" else 20480 if "V1.10" in variants else 131072
    for association in case.associations:
        limit = peer_limit(case, association)
        if limit is None:
            continue
        if id == "MX-D-03":
            allowed = min(limit, cap) if limit else cap
        else:
            allowed = limit or cap
        mine = [m for m in association.messages if case.sends(m)]
        largest = max(mine, key=lambda m: m.largest_pdu, default=None)
        if largest is not None:
            text = f"P-DATA of {largest.largest_pdu} bytes; {allowed} is the most"
            yield keeps(case, id, largest.largest_pdu <= allowed, text, text, case.at(largest))


@check("MX-D-03")
def announced_length(case: Case) -> Iterator[Finding]:
    """The maximum length announced is 65536."""
    id = "MX-D-03"
    if not has(case, id):
        return
    for deal in deals(case).values():
        request = deal.association.request
        if deal.side != "requestor" or deal.request is None or request is None or deal.request.faults:
            continue
        said = [int.from_bytes(i.data) for i in deal.request.of(0x51) if len(i.data) == 4]
        text = f"announces {', '.join(map(str, said)) or 'no maximum length'}; 65536 is the default"
        yield keeps(case, id, said == [65536], text, text, case.at(request, association=deal.association))


@check("VX-D-05", "MX-D-04")
def timeouts(case: Case) -> Iterator[Finding]:
    """How long silence is borne."""
    id = "VX-D-05" if has(case, "VX-D-05") else "MX-D-04"
    if not has(case, id):
        return
    configured = case.config.get("timeouts.dimse")

    def seconds(exchange: Exchange) -> float:
        request = exchange.request
        printing = request.name == "N-ACTION-RQ" and request.command.sop_class in (FILM_BOX, FILM_SESSION)
        if printing and id == "VX-D-05":
            return 60.0
        return float(configured) if isinstance(configured, int | float) else 30.0

    yield from waits(case, id, seconds)
    answer = case.config.get("timeouts.association")
    wanted = float(answer) if isinstance(answer, int | float) else 30.0
    for association in case.outgoing:
        asked = association.request
        if asked is None or association.answer is not None or association.ended_by != "requestor":
            continue
        if association.tcp.one_direction or association.problems:
            continue
        waited = association.last_time - asked.time
        text = f"gave up {waited:.1f} s after the A-ASSOCIATE-RQ; {wanted:g} s is the default"
        kept = wanted - 1 <= waited <= wanted + 5
        yield keeps(case, id, kept, text, text, case.at(asked, association=association))


@check("VX-D-06", "MX-D-05")
def ports(case: Case) -> Iterator[Finding]:
    """Port 104 unless another one is configured: what is configured is not known from a capture."""
    id = "VX-D-06" if has(case, "VX-D-06") else "MX-D-05"
    if not has(case, id):
        return
    listening = case.config.get("receiver_port")
    for association in case.incoming if id == "VX-D-06" else ():
        port = association.acceptor.port
        text = f"the receiver listens on port {port}"
        if port in (104, 11112, listening):
            yield keeps(case, id, True, text, "", case.at(association))
    for association in case.outgoing:
        if association.acceptor.port == 104:
            yield keeps(case, id, True, "the peer is called on port 104", "", case.at(association))


@check("VX-D-07")
def own_title(case: Case) -> Iterator[Finding]:
    """The local AE title is VXVUE unless configured; case counts."""
    if not has(case, "VX-D-07"):
        return
    titles = case.config.get("ae_titles") or (case.config.get("ae_title"),)
    for association in case.outgoing:
        if association.request is None:
            continue
        calling = association.calling
        at = case.at(association.request, association=association)
        if calling == "VXVUE" or calling in titles:
            yield keeps(case, "VX-D-07", True, f"calls itself {calling}", "", at)
        elif any(titles):
            yield keeps(case, "VX-D-07", False, "", f"calls itself {calling}; configured is {titles[0]}", at)


@check("VX-D-08")
def receiver_titles(case: Case) -> Iterator[Finding]:
    """Who calls another title is rejected (1/1/7); who is unknown is accepted."""
    id = "VX-D-08"
    if not has(case, id):
        return
    own = {a.calling for a in case.outgoing if a.request is not None} | set(case.sut.ae_titles)
    own |= {str(t) for t in (*(case.config.get("ae_titles") or ()), case.config.get("ae_title")) if t}
    if not own:
        return
    for association in case.incoming:
        if association.request is None or association.answer is None:
            continue
        at = case.at(association.answer, association=association)
        pdu = association.answer.pdu
        reject = (getattr(pdu, "result", None), getattr(pdu, "source", None), getattr(pdu, "reason", None))
        rejected = association.answer.kind == "A-ASSOCIATE-RJ"
        if association.called not in own:
            said = "/".join(map(str, reject)) if rejected else "accepted"
            text = f"called as {association.called}: {said}; 1/1/7 is the default"
            yield keeps(case, id, rejected and reject == (1, 1, 7), text, text, at)
        elif rejected:
            text = f"the caller {association.calling} is not recognised; every caller is accepted by default"
            if reject[2] == 3 and reject[1] == 1:
                yield keeps(case, id, False, "", text, at)
        else:
            yield keeps(case, id, True, f"the caller {association.calling} is accepted", "", at)


@check("VX-D-09")
def no_retry(case: Case) -> Iterator[Finding]:
    """After a failure an image is sent again only when the operator asks (seen with the journal only)."""
    id = "VX-D-09"
    if not has(case, id) or not claims.tells(case) or case.config.get("auto_retry"):
        return
    asked = claims.operator(
        case, "send", "complete", "accept", "append", "discontinue", "restart", "start_exam"
    )
    failed_at: dict[tuple[object, str], float] = {}
    for stored in case.objects:
        association = case.association(stored.message)
        key = (peer_key(association), stored.sop_instance)
        if key in failed_at:
            begin, end = failed_at[key], association.first_time
            by_hand = any(begin - claims.SLACK <= t <= end + claims.SLACK for t, _ in asked)
            started = any(True for _ in case.happened("sut.started"))
            restarted = started and sum(1 for _ in case.happened("sut.started")) > 1
            yes, no = "sent again by the operator", "sent again without the operator"
            if not restarted or by_hand:
                yield keeps(case, id, by_hand, yes, no, case.at(stored.message))
            del failed_at[key]
        if not stored.accepted:
            final = stored.exchange.final
            failed_at[key] = final.last_time if final is not None else association.last_time


@check("VX-D-10")
def warnings_logged(case: Case) -> Iterator[Finding]:
    """Every failure of a peer is one entry with service, peer and text (a claim)."""
    id = "VX-D-10"
    if not has(case, id) or not claims.tells(case):
        return
    wall = claims.clock(case)
    assert wall is not None
    shown = [(wall(e.t), e) for e in case.happened("modality.warning")]
    for _, event in shown:
        complete = all(event.data.get(key) for key in ("service", "peer", "text"))
        yes, no = "a warning with service, peer and text", "a warning lacks service, peer or text"
        yield keeps(case, id, complete, yes, no, claims.claim(event))
    for association in case.outgoing:
        end = ending(case, association)
        trouble = end.how == "excused" or any(
            s.exchange.final is not None and not s.accepted
            for s in case.objects
            if s.message.association == association.number
        )
        if not trouble or claims.until(case) < association.last_time + claims.PATIENCE:
            continue
        found = any(
            association.first_time - claims.SLACK <= t <= association.last_time + claims.PATIENCE
            for t, _ in shown
        )
        yes, no = "the failure is in the log", f"no warning of the failure: {end.reason}"
        yield keeps(case, id, found, yes, no, case.at(association))


@check("VX-D-28", "MX-D-28")
def uid_root(case: Case) -> Iterator[Finding]:
    """UIDs that the product makes begin with 2.25."""
    id = "VX-D-28" if has(case, "VX-D-28") else "MX-D-28"
    if not has(case, id):
        return
    for stored in case.objects:
        made = {
            "SOP Instance UID": stored.sop_instance,
            "Series Instance UID": uid(stored.dataset, "SeriesInstanceUID"),
        }
        for name, value in made.items():
            if value:
                text = f"{name} {value}"
                yield keeps(case, id, value.startswith("2.25."), text, text, case.at(stored.message))
    for message in case.requests("N-CREATE-RQ", MPPS):
        value = message.sop_instance or ""
        if value:
            text = f"MPPS instance {value}"
            yield keeps(case, id, value.startswith("2.25."), text, text, case.at(message))


@check("VX-D-33")
def no_time_zone(case: Case) -> Iterator[Finding]:
    """Local time, no Timezone Offset From UTC."""
    id = "VX-D-33"
    if not has(case, id):
        return
    for message in sent_datasets(case):
        data = message.dataset
        if data is not None and message.command.is_request:
            zone = data.get("TimezoneOffsetFromUTC")
            at = case.at(message, zone)
            yield keeps(case, id, zone is None, "no time zone", "Timezone Offset From UTC is sent", at)


@check("VX-D-39", "VX-D-40", "MX-D-29")
def plain_network(case: Case) -> Iterator[Finding]:
    """IPv4, no TLS, no user identity."""
    for association in case.outgoing:
        at = case.at(association)
        address = association.requestor.address
        if has(case, "VX-D-39"):
            text = f"the product's address is {address}"
            yield keeps(case, "VX-D-39", ":" not in address, text, text, at)
        request = proposal(association)
        if request is None:
            continue
        identity = any(type(item).__name__ == "UserIdentityRQ" for item in request.user_items)
        for id in ("VX-D-40", "MX-D-29"):
            if has(case, id):
                yield keeps(
                    case, id, not identity, "plain, without user identity", "a user identity is sent", at
                )
        if has(case, "MX-D-29"):
            yield keeps(case, "MX-D-29", ":" not in address, f"address {address}", f"address {address}", at)


@check("MX-D-30")
def no_receiver(case: Case) -> Iterator[Finding]:
    """The product has no receiver: nobody is accepted."""
    id = "MX-D-30"
    if not has(case, id):
        return
    for association in case.incoming:
        text = f"an association of {association.requestor} is accepted"
        yield keeps(case, id, not association.accepted, "nobody is accepted", text, case.at(association))
    for stream in case.capture.streams:
        if stream.what == "refused" and stream.other.address.lower() in case.sut.addresses:
            yield keeps(case, id, True, "a connection is refused", "")


@check("VX-D-12", "MX-D-07")
def one_study(case: Case) -> Iterator[Finding]:
    """An association carries the images of one study."""
    id = "VX-D-12" if has(case, "VX-D-12") else "MX-D-07"
    if not has(case, id):
        return
    studies: dict[int, set[str]] = {}
    for stored in case.objects:
        study = uid(stored.dataset, "StudyInstanceUID")
        if study:
            studies.setdefault(stored.message.association, set()).add(study)
    for association in case.outgoing:
        count = len(studies.get(association.number, ()))
        if count:
            text = (
                f"{count} study on the association" if count == 1 else f"{count} studies on one association"
            )
            yield keeps(case, id, count == 1, text, text, case.at(association))


@check("VX-D-11", "MX-D-08")
def goes_on(case: Case) -> Iterator[Finding]:
    """After a refused image the next one is sent, or the association is released."""
    id = "VX-D-11" if has(case, "VX-D-11") else "MX-D-08"
    if not has(case, id):
        return
    for stored in case.objects:
        if stored.exchange.final is None or stored.accepted:
            continue
        association = case.association(stored.message)
        later = [m for m in association.messages if case.sends(m) and m.number > stored.message.number]
        how = ending(case, association).how
        if later or how == "released":
            yield keeps(case, id, True, "goes on after the refused image", "", case.at(stored.message))
        elif how == "wrong":
            no = "the association is cut off after the refused image"
            yield keeps(case, id, False, "", no, case.at(stored.message))


@check("MX-D-06")
def one_job_at_a_time(case: Case) -> Iterator[Finding]:
    """A second job to an AE waits."""
    id = "MX-D-06"
    if not has(case, id):
        return
    busy: dict[str, Association] = {}
    for association in case.outgoing:
        before = busy.get(association.called)
        if before is not None:
            overlap = before.last_time > association.first_time and before.whole
            no = f"two associations to {association.called} at a time"
            yield keeps(case, id, not overlap, "one after the other", no, case.at(association))
        if before is None or association.last_time > before.last_time:
            busy[association.called] = association


@check("MX-D-01")
def context_layout(case: Case) -> Iterator[Finding]:
    """One context for each compressed syntax, one for the uncompressed ones."""
    from bench.checks.defaults.common import UNCOMPRESSED

    id = "MX-D-01"
    if not has(case, id):
        return
    for association in case.outgoing:
        request = association.request
        if (
            request is None
            or not association.contexts
            or not proposes(association, *(c.abstract for c in association.contexts.values()))
        ):
            continue
        mixed = [
            c
            for c in association.contexts.values()
            if len(c.proposed) > 1 and not set(c.proposed) <= UNCOMPRESSED
        ]
        yes = "compressed syntaxes have contexts of their own"
        no = f"context {mixed[0].id} mixes compressed syntaxes with others" if mixed else ""
        yield keeps(case, id, not mixed, yes, no, case.at(request, association=association))
