"""Clauses on settings: what the configuration names, laid beside what the wire shows (ruling B2).

Rules of this file:

* Nothing is judged without a configuration; then the clause is NOT-EXERCISED, with its reason (``UNSEEN``).
* A peer is compared where the SUT used it: on every association on which it sent a request of the service.  Of several
  configured peers the nearest one counts, so that a wrong port is told as a wrong port.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bench.checks import policies
from bench.checks.case import Case
from bench.checks.finding import Finding, failed, passed
from bench.checks.upperlayer.deal import deals
from bench.witness.model import Association

PARTS: Final = (("ae_title", "AE title"), ("address", "IP address"), ("port", "port"))
PEERS: Final = ("worklist", "mpps", "storage", "commitment", "printer", "query", "verification")
LINK: Final = "modality"


def peers(case: Case, *keys: str) -> list[Mapping[str, Any]]:
    """Return the configured peers under some keys; ``commitment`` also stands inside ``storage``."""
    found: list[Mapping[str, Any]] = []
    for key in keys:
        value = case.config.get(key)
        found += [
            p for p in (value if isinstance(value, list | tuple) else (value,)) if isinstance(p, Mapping)
        ]
        if key == "commitment":
            for destination in case.config.get("storage") or ():
                inner = destination.get("commitment") if isinstance(destination, Mapping) else None
                if isinstance(inner, Mapping) and inner not in found:
                    found.append(inner)
    return found


def peer_settings(case: Case, service: str, ids: Mapping[str, str], *keys: str) -> Iterator[Finding]:
    """Compare the peers of a service with the configuration: ``ids`` by part (ae_title, address, port)."""
    known = peers(case, *keys)
    if not known:
        return
    for deal in deals(case).values():
        if deal.side != "requestor" or not policies.proposing(service)(deal):
            continue
        association = deal.association
        if association.request is None or not any(
            m.sender == "requestor" and m.command.is_request for m in association.messages
        ):
            continue
        entry = max(known, key=lambda one: sum(_same(one, part, association) for part, _ in PARTS))
        at = case.at(association.request, association=association)
        for part, name in PARTS:
            wanted = entry.get(part)
            if part not in ids or wanted is None or (part == "address" and not _is_address(str(wanted))):
                continue
            reason = f"{service}: {name} {_seen(part, association)}"
            if _same(entry, part, association):
                yield passed(ids[part], f"{reason}, as configured", at)
            else:
                yield failed(ids[part], f"{reason}, configured is {wanted}", at)


def _seen(part: str, association: Association) -> str:
    if part == "ae_title":
        return association.called
    return association.acceptor.address if part == "address" else str(association.acceptor.port)


def _same(entry: Mapping[str, Any], part: str, association: Association) -> bool:
    wanted = entry.get(part)
    return wanted is not None and str(wanted).lower() == _seen(part, association).lower()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def link_speeds(case: Case, ids: Mapping[str, str]) -> Iterator[Finding]:
    """The product worked at a link speed: told by the journal of a run, shown by its messages."""
    modes = {
        str(event.data.get("mode"))
        for event in case.happened("link.up", "link.mode")
        if event.data.get("link") == LINK and event.data.get("backend") != "loopback"
    }
    if len(modes) != 1:
        return
    mode = modes.pop()
    spoke = next((a for a in case.associations if a.accepted and a.messages), None)
    if mode in ids and spoke is not None:
        yield passed(ids[mode], f"DICOM messages were exchanged at {mode}", case.at(spoke))
