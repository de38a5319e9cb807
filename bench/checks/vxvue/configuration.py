"""VXvue's network, its settings and its security assumptions (VX-COM, VX-CFG, VX-SEC)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks import configured, policies
from bench.checks.case import Case
from bench.checks.dimse.tables import FILM_BOX
from bench.checks.finding import Finding, Unseen, check, failed, inconclusive, passed, remark
from bench.checks.merge import merged
from bench.witness.model import Association

_SPEEDS: Final = {"10BASE-T": "VX-COM-003", "100BASE-T": "VX-COM-004", "1000BASE-T": "VX-COM-005"}
_UNKNOWN: Final = "the setting is not on the wire; with --config it is compared with what the product does"
_PARTS: Final = ("ae_title", "address", "port")

UNSEEN: Final = {
    "VX-COM-002": Unseen(
        "not-testable", "a capture of TCP conversations does not show what else there may be"
    ),
    **{
        id: Unseen("configuration", "the speed of a link is not in a capture; a run of the bench knows it")
        for id in _SPEEDS.values()
    },
    **{f"VX-CFG-{n:03d}": Unseen("configuration", _UNKNOWN) for n in range(1, 16)},
    "VX-CFG-016": Unseen("operator", "whether the layout can be changed is seen in the product's menus"),
    "VX-CFG-017": Unseen("operator", "whether every key can be changed is seen in the product's menus"),
    "VX-CFG-018": Unseen("operator", "whether the processing can be changed is seen in the product's menus"),
    "VX-CFG-019": Unseen("operator", "whether the processing can be changed is seen in the product's menus"),
    "VX-CFG-020": Unseen("configuration", _UNKNOWN),
    "VX-SEC-002": Unseen("not-testable", "an assumption about the site's firewall, not about the product"),
    "VX-SEC-003": Unseen("configuration", "which hosts are approved is not on the wire (--config)"),
    "VX-SEC-004": Unseen("not-testable", "an assumption about the site's network, not about the product"),
}


@check("VX-COM-001", *_SPEEDS.values())
@merged
def network(case: Case) -> Iterator[Finding]:
    """DICOM over TCP/IP, at the speeds of the run."""
    for association in case.associations:
        if association.accepted:
            yield passed("VX-COM-001", "the upper layer protocol over TCP/IP", case.at(association))
    yield from configured.link_speeds(case, _SPEEDS)


def _ids(first: int) -> dict[str, str]:
    return {part: f"VX-CFG-{first + n:03d}" for n, part in enumerate(_PARTS)}


@check(*(f"VX-CFG-{n:03d}" for n in range(2, 14)), "VX-CFG-020")
@merged
def peers(case: Case) -> Iterator[Finding]:
    """AE titles, addresses and ports of the peers are those that are configured."""
    yield from configured.peer_settings(case, "worklist", _ids(2), "worklist")
    yield from configured.peer_settings(case, "MPPS", _ids(5), "mpps")
    yield from configured.peer_settings(case, "storage commitment", _ids(8), "commitment")
    yield from configured.peer_settings(case, "print", _ids(11), "printer")
    same = dict.fromkeys(_PARTS, "VX-CFG-020")
    yield from configured.peer_settings(case, "storage", same, "storage")
    yield from configured.peer_settings(case, "query", same, "query")


@check("VX-CFG-014")
@merged
def trim(case: Case) -> Iterator[Finding]:
    """Trim is in the film box when the option is on, and only then."""
    on = case.config.get("trim")
    for message in case.requests("N-CREATE-RQ", FILM_BOX):
        if message.dataset is None or message.dataset.broken_at is not None:
            continue
        at = case.at(message, "(2010,0140)")
        value = message.dataset.text("Trim")
        if value is None:
            if on:
                yield failed("VX-CFG-014", "Trim is switched on, and absent from the film box", at)
            elif on is False:
                yield passed("VX-CFG-014", "Trim is off, and absent from the film box", at)
        elif on is False:
            yield failed(
                "VX-CFG-014", f"Trim is switched off, and the film box has {value or 'it empty'}", at
            )
        elif value not in ("YES", "NO"):
            yield failed("VX-CFG-014", f"Trim is '{value}', neither YES nor NO", at)
        elif on:
            yield passed("VX-CFG-014", f"Trim is on, and {value} in the film box", at)


@check("VX-CFG-015")
@merged
def receiver(case: Case) -> Iterator[Finding]:
    """The receiver answers when it is on, and not when it is off."""
    on = case.config.get("receiver")
    if on is None:
        return
    for association in case.incoming:
        at = case.at(association)
        if association.answer is None:
            continue
        if on:
            yield passed("VX-CFG-015", "the receiver is on, and answers", at)
        else:
            yield failed("VX-CFG-015", "the receiver is off, and an association is answered", at)
    port = case.config.get("receiver_port")
    for stream in case.capture.streams:
        mine = stream.other.address.lower() in case.sut.addresses and stream.other.port == port
        if mine and stream.what == "refused":
            text = f"connections to port {port} are refused"
            if on:
                yield inconclusive("VX-CFG-015", f"the receiver is on, yet {text} (at that moment)")
            else:
                yield passed("VX-CFG-015", f"the receiver is off, and {text}")


@check("VX-SEC-001", "VX-SEC-003")
@merged
def security(case: Case) -> Iterator[Finding]:
    """No TLS, no user identity; only configured hosts are spoken to."""
    for deal, pdu, text in policies.spoken(case, both=False):
        at = case.at(pdu, association=deal.association)
        if text.of(0x58):
            yield failed("VX-SEC-001", "the request has a user identity (58H)", at)
        elif not text.faults:
            yield passed("VX-SEC-001", "no user identity, no TLS", at)
    ports = {a.acceptor for a in case.outgoing}
    for stream in case.capture.streams:
        if stream.what != "tls" or stream.opener.address.lower() not in case.sut.addresses:
            continue
        text_ = f"TLS from the product to {stream.other} (frame {stream.first_frame})"
        if stream.other in ports or stream.other.port in (104, 2762, 11112):
            yield failed("VX-SEC-001", f"{text_}, a DICOM port")
        else:
            yield remark("VX-SEC-001", text_)
    yield from _hosts(case)


def _hosts(case: Case) -> Iterator[Finding]:
    known = {str(p["address"]).lower() for p in configured.peers(case, *configured.PEERS) if p.get("address")}
    if not known:
        return
    for association in case.outgoing:
        host, at = association.acceptor.address.lower(), case.at(association)
        if host in known:
            yield passed("VX-SEC-003", f"{host} is a configured host", at)
        elif case.reference or _complete(case, association):
            yield failed("VX-SEC-003", f"an association to {host}, which is not configured", at)
        else:
            yield inconclusive(
                "VX-SEC-003", f"an association to {host}, which the configuration leaves out", at
            )


def _complete(case: Case, association: Association) -> bool:
    """Whether the configuration names the peers of all services of an association."""
    keys = {
        "worklist": "worklist",
        "MPPS": "mpps",
        "storage": "storage",
        "storage commitment": "commitment",
        "print": "printer",
        "query": "query",
        "verification": "verification",
    }
    found = {policies.service(c.abstract) for c in association.contexts.values()}
    return bool(found) and all(name in keys and configured.peers(case, keys[name]) for name in found)
