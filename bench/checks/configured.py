"""Clauses on settings: what the configuration names, laid beside what the wire shows (ruling B2).

Rules of this file:

* Nothing is judged without a configuration; then the clause is NOT-EXERCISED, with its reason (``UNSEEN``).
* A peer is compared where the SUT used it: on every association on which it sent a request of the service.  Of several
  configured peers the nearest one counts, so that a wrong port is told as a wrong port.
* What the operator changed on the way (``configure`` in the journal) holds from the product's answer on; between
  request and answer both hold.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.checks import policies
from bench.checks.case import Case
from bench.checks.finding import Finding, failed, passed
from bench.checks.services import claims
from bench.checks.upperlayer.deal import deals
from bench.witness.model import Association

PARTS: Final = (("ae_title", "AE title"), ("address", "IP address"), ("port", "port"))
PEERS: Final = ("worklist", "mpps", "storage", "commitment", "printer", "query", "verification")
LINK: Final = "modality"
SLACK: Final = 0.005
"""Seconds by which the clocks of journal and capture may differ on one host."""


@dataclass(frozen=True, slots=True)
class Change:
    """One ``configure``: asked and answered when (seconds since 1970), and the settings that it gave."""

    asked: float
    done: float
    settings: Mapping[str, Any]


def changes(case: Case) -> tuple[Change, ...]:
    """Return what the operator changed on the way and the product took, in order."""
    return case.once(_changes)


def _changes(case: Case) -> tuple[Change, ...]:
    wall = claims.clock(case)
    if wall is None:
        return ()
    found: list[Change] = []
    asked: tuple[float, Mapping[str, Any]] | None = None
    for event in case.happened("sut.request", "sut.answer"):
        if event.data.get("do") != "configure":
            continue
        if event.kind == "sut.request":
            asked = wall(event.t), dict(event.data.get("args") or {})
        elif asked is not None:
            if event.data.get("ok"):
                found.append(Change(asked[0], wall(event.t), asked[1]))
            asked = None
    return tuple(found)


def values_at(case: Case, key: str, association: Association) -> list[Any]:
    """Return the values that a setting had when an association was requested: two while it was being changed."""
    missing: Any = object()
    first = case.config.get(f"before.{key}", missing)
    if first is missing:
        first = case.config.get(key, missing)
    held = [] if first is missing else [first]
    when = association.request.time if association.request is not None else association.first_time
    for change in changes(case):
        if key not in change.settings:
            continue
        if when > change.done + SLACK:
            held = [change.settings[key]]
        elif when >= change.asked - SLACK:
            held.append(change.settings[key])
    return held


def own_titles(case: Case, association: Association) -> list[str]:
    """Return the product's own AE titles when an association was requested; none where nobody configured them."""
    if any("ae_title" in change.settings for change in changes(case)):
        return [str(title) for title in values_at(case, "ae_title", association) if title]
    return [str(title) for title in case.config.get("ae_titles", ()) or () if title]


def peers_at(case: Case, association: Association, *keys: str) -> list[Mapping[str, Any]]:
    """Return the peers under some keys as they were configured when an association was requested."""
    found: list[Mapping[str, Any]] = []
    for key in keys:
        for value in values_at(case, key, association):
            for one in value if isinstance(value, list | tuple) else (value,):
                if isinstance(one, Mapping):
                    found.append({**one, "address": one["host"]} if "host" in one else one)
        if key == "commitment":
            inner = [one.get("commitment") for one in peers_at(case, association, "storage")]
            found += [one for one in inner if isinstance(one, Mapping) and one not in found]
    return found


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
    for deal in deals(case).values():
        if deal.side != "requestor" or not policies.proposing(service)(deal):
            continue
        association = deal.association
        if association.request is None or not any(
            m.sender == "requestor" and m.command.is_request for m in association.messages
        ):
            continue
        known = peers(case, *keys) if not changes(case) else peers_at(case, association, *keys)
        if not known:
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
