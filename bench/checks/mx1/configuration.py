"""MX1's network and settings (MX-COM, MX-CFG)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks import configured, policies
from bench.checks.case import Case
from bench.checks.finding import Finding, Unseen, check, failed, passed
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import deals

_SPEEDS: Final = {"1000BASE-T": "MX-COM-003", "100BASE-T": "MX-COM-004", "10BASE-T": "MX-COM-005"}
_UNKNOWN: Final = "the setting is not on the wire; with --config it is compared with what the product does"
_SETTINGS: Final = (("verification", 1), ("storage", 5), ("worklist", 9))

UNSEEN: Final = {
    "MX-COM-002": Unseen("not-testable", "whose TCP/IP stack it is cannot be told from outside"),
    **{
        id: Unseen("configuration", "the speed of a link is not in a capture; a run of the bench knows it")
        for id in _SPEEDS.values()
    },
    **{f"MX-CFG-{n:03d}": Unseen("configuration", _UNKNOWN) for n in range(1, 13)},
}


@check("MX-COM-001", "MX-COM-006", *_SPEEDS.values())
@merged
def network(case: Case) -> Iterator[Finding]:
    """DICOM over TCP/IP version 4, at the speeds of the run."""
    for association in case.outgoing:
        at = case.at(association)
        if association.accepted:
            yield passed("MX-COM-001", "the upper layer protocol over TCP/IP", at)
        if ":" in association.acceptor.address:
            yield failed("MX-COM-006", f"an association over IPv6 to {association.acceptor}", at)
        else:
            yield passed("MX-COM-006", "an association over IPv4", at)
    for stream in case.capture.streams:
        if ":" in stream.opener.address and stream.opener.address.lower() in case.sut.addresses:
            yield failed(
                "MX-COM-006", f"a connection over IPv6 to {stream.other} (frame {stream.first_frame})"
            )
    yield from configured.link_speeds(case, _SPEEDS)


@check("MX-CFG-*")
@merged
def settings(case: Case) -> Iterator[Finding]:
    """Addresses, ports and AE titles are those that are configured, before a change and after it."""
    for service, first in _SETTINGS:
        ids = {"address": f"MX-CFG-{first:03d}", "port": f"MX-CFG-{first + 1:03d}"}
        ids["ae_title"] = f"MX-CFG-{first + 3:03d}"
        keys: tuple[str, ...] = (service,)
        if service == "verification" and case.reference and case.config.get(service) is None:
            keys = ("worklist", "storage")  # the operator verifies a peer as it is configured for its service
        yield from configured.peer_settings(case, service, ids, *keys)
        for deal in deals(case).values():
            if deal.side != "requestor" or not policies.proposing(service)(deal):
                continue
            association = deal.association
            wanted = configured.own_titles(case, association)
            wanted += [str(p["calling"]) for p in configured.peers(case, *keys) if p.get("calling")]
            if not wanted:
                continue
            said, at = association.calling, case.at(association)
            id = f"MX-CFG-{first + 2:03d}"
            if said in wanted:
                yield passed(id, f"the calling AE title is {said}, as configured", at)
            else:
                yield failed(id, f"the calling AE title is {said}, configured is {' or '.join(wanted)}", at)
