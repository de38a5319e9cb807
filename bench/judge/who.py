"""Who the system under test is in a capture, and why this is thought so (ruling B1).

Rules of this file:

* ``--who`` decides; else the configuration's address; else the host that requests most SCU associations of the
  statement's services.  Nobody, or a tie: the candidates are listed and nothing is judged.
* Only hosts that announce the Implementation Class UID which the statement prints are counted, when there are any:
  so a product that is only called by others is found, too.
* A host that speaks first is not yet an SCU: an archive that reports a commitment opens the association too, and
  one that hands on what it received is no modality.  Echoes decide only between hosts that do nothing else.
* Where both ends have one address (loopback), or one address has several modalities behind it, AE titles decide.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.checks.case import Sut, SutConfig, accomplished, pending
from bench.scenario.problems import did_you_mean
from bench.statements.model import Statement
from bench.witness.model import Association, Capture, Side, other_side
from simulators.wire.pdu import ImplementationClassUID

VERIFICATION: Final = "1.2.840.10008.1.1"
_SIDES: Final[tuple[Side, Side]] = ("requestor", "acceptor")
_UID: Final = re.compile(r"\b\d+(?:\.\d+){3,}\b")
_MAC: Final = re.compile(r"([0-9a-f]{2}[:-]){5}[0-9a-f]{2}")


class NoSut(Exception):
    """It cannot be told who the SUT is; the message lists the candidates."""

    def __init__(self, why: str, candidates: Iterable[Candidate]) -> None:
        lines = [why, *(f"  {candidate}" for candidate in candidates)]
        if len(lines) == 1:
            lines.append("  no host requests a DICOM association in this capture")
        else:
            lines.append("name it with --who ADDRESS, --who AE or --who MAC")
        super().__init__("\n".join(lines))


@dataclass(slots=True)
class Candidate:
    """A host that requests associations; ``apart`` says why it is not thought to be the SUT."""

    address: str
    by_title: str | None = None
    titles: Counter[str] = field(default_factory=Counter)
    macs: set[str] = field(default_factory=set)
    services: int = 0
    echoes: int = 0
    others: int = 0
    served: int = 0
    announces: str = ""
    apart: str = ""

    @property
    def rank(self) -> tuple[int, int]:
        """More is likelier."""
        return self.services, self.echoes

    @property
    def name(self) -> str:
        """Address, with the AE title where that tells it from another."""
        if self.by_title is None:
            return self.address
        titles = self.by_title if self.by_title != CLIENTS else ", ".join(sorted(self.titles))
        return f"{self.address} as {titles}"

    def __str__(self) -> str:
        titles = ", ".join(sorted(title or "(empty)" for title in self.titles))
        said = f"{self.address} ({'AE titles' if len(self.titles) > 1 else 'AE title'} {titles}): "
        said += f"{_plural(self.services, 'association')} of the statement's services"
        said += f", {_plural(self.echoes, 'association')} with Verification only"
        if self.others:
            said += f", {self.others} of other services"
        if self.served:
            said += f"; served such requests in {_plural(self.served, 'association')}"
        if self.announces:
            said += f"; announces the Implementation Class UID {self.announces} of the statement"
        return f"{said}; {self.apart}" if self.apart else said


def _plural(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def scu_services(statement: Statement) -> frozenset[str]:
    """Return the SOP classes that the product uses as SCU (PS3.4)."""
    return frozenset(
        clause.sop.uid for clause in statement.clauses if clause.sop is not None and "SCU" in clause.sop.roles
    )


def _scp_services(statement: Statement) -> frozenset[str]:
    return frozenset(
        clause.sop.uid for clause in statement.clauses if clause.sop is not None and "SCP" in clause.sop.roles
    )


def class_uids(statement: Statement) -> frozenset[str]:
    """Return the Implementation Class UIDs that the statement promises to announce (PS3.7 D.3.3.2)."""
    found = set()
    for clause in statement.clauses:
        if clause.kind in ("association", "behaviour") and "implementation class uid" in clause.title.lower():
            found |= set(_UID.findall(clause.text))
    return frozenset(found)


def choose(
    capture: Capture, statement: Statement, who: str | None = None, config: SutConfig | None = None
) -> Sut:
    """Say who the SUT is.

    Args:
        capture: what the witness read.
        statement: whose services are counted.
        who: address, MAC or AE title as named by the user.
        config: may name the SUT's addresses and AE titles.

    Raises:
        NoSut: nobody fits, or several fit equally well.
    """
    config = config or SutConfig()
    if who is not None:
        return _named(capture, statement, who.strip())
    addresses = frozenset(str(address).lower() for address in config.get("address", ()))
    if addresses and (not capture.associations or any(addresses & _ends(a) for a in capture.associations)):
        titles = _titles_of(capture, addresses) | frozenset(config.get("ae_titles", ()))
        if not any(a.requestor.address == a.acceptor.address for a in capture.associations):
            return Sut(addresses, titles, f"{config.source} names the address {', '.join(sorted(addresses))}")
        titles = frozenset(config.get("ae_titles", ())) or titles
        return Sut(
            addresses,
            titles,
            f"{config.source} names its address and its AE titles {', '.join(sorted(titles))}",
        )
    found = candidates(capture, statement)
    return _most(capture, found, config)


def _ends(association: Association) -> frozenset[str]:
    return frozenset((association.requestor.address.lower(), association.acceptor.address.lower()))


def _titles_of(capture: Capture, addresses: frozenset[str]) -> frozenset[str]:
    """AE titles under which these addresses request associations."""
    return frozenset(
        a.calling for a in capture.associations if a.requestor.address.lower() in addresses and a.calling
    )


def _named(capture: Capture, statement: Statement, who: str) -> Sut:
    address = _address(who)
    if address is not None:
        ends = {end.address.lower() for s in capture.streams for end in (s.opener, s.other)}
        if address in ends or any(address in _ends(a) for a in capture.associations):
            one = frozenset((address,))
            return Sut(one, _titles_of(capture, one), f"--who names the address {address}")
        raise NoSut(
            f"--who {who}: no TCP connection of this capture has this address", candidates(capture, statement)
        )
    mac = who.lower().replace("-", ":")
    if _MAC.fullmatch(mac):
        titles = frozenset(
            a.calling
            for a in capture.associations
            if (a.requestor_mac or "").lower().replace("-", ":") == mac and a.calling
        )
        seen = any(
            mac == (end or "").lower().replace("-", ":")
            for a in capture.associations
            for end in (a.requestor_mac, a.acceptor_mac)
        )
        if seen:
            return Sut(frozenset((mac,)), titles, f"--who names the MAC address {mac}")
        raise NoSut(
            f"--who {who}: no association of this capture has this MAC address",
            candidates(capture, statement),
        )
    return _by_title(capture, statement, who)


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _by_title(capture: Capture, statement: Statement, title: str) -> Sut:
    """By AE title: the whole host when it has no other calling title, else what speaks under this title."""
    hosts = {a.requestor.address.lower() for a in capture.associations if a.calling == title}
    if not hosts:
        hosts = {a.acceptor.address.lower() for a in capture.associations if a.called == title and a.accepted}
    if not hosts:
        known = {t for a in capture.associations for t in (a.calling, a.called) if t}
        hint = did_you_mean(title, known)
        raise NoSut(
            f"--who {title}: no association of this capture has this AE title{f' ({hint})' if hint else ''}",
            candidates(capture, statement),
        )
    one = frozenset((title,))
    shared = any(
        (a.requestor.address.lower() in hosts and a.calling != title)
        or (a.requestor.address == a.acceptor.address and a.requestor.address.lower() in hosts)
        for a in capture.associations
    )
    if shared:
        return Sut(
            frozenset(), one, f"--who names the AE title {title}; its address serves other AE titles too"
        )
    return Sut(frozenset(hosts), one, f"--who names the AE title {title}, at {', '.join(sorted(hosts))}")


def candidates(capture: Capture, statement: Statement) -> list[Candidate]:
    """Return every host that requests associations or announces the product's UID, likeliest first."""
    uids = class_uids(statement)
    scu, scp = scu_services(statement), _scp_services(statement)
    shared = _shared(capture, scu - scp - {VERIFICATION})
    found: dict[tuple[str, str | None], Candidate] = {}
    got: dict[tuple[str, str | None], set[str]] = {}
    handed_on: Counter[tuple[str, str | None]] = Counter()
    for association in capture.associations:
        key = _key(association, "requestor", shared)
        mine = found.get(key)
        if mine is None:
            mine = found[key] = Candidate(key[0], key[1])
        mine.titles[association.calling] += 1
        if association.requestor_mac:
            mine.macs.add(association.requestor_mac.lower())
        kind = _kind(association, scu)
        mine.services += kind == "service"
        mine.echoes += kind == "echo"
        mine.others += kind == "other"
    for association in capture.associations:
        for side in _SIDES:
            key = _key(association, side, shared)
            uid = _class_uid(association, side)
            if uid in uids:
                _announcing(found, key, association, side).announces = uid
            if key in found and _served(association, side, scu - scp - {VERIFICATION}):
                found[key].served += 1
        for message in association.messages:
            if message.name != "C-STORE-RQ" or not message.command.sop_instance:
                continue
            sender = _key(association, message.sender, shared)
            receiver = _key(association, other_side(message.sender), shared)
            if message.command.sop_instance in got.get(sender, ()):
                handed_on[sender] += 1
            got.setdefault(receiver, set()).add(message.command.sop_instance)
    for key, candidate in found.items():
        if handed_on[key]:
            candidate.apart = (
                f"not thought to be a modality: it hands on {_plural(handed_on[key], 'object')} it received"
            )
        elif candidate.served and candidate.served >= candidate.services:
            candidate.apart = "not thought to be a modality: it answers requests of these services itself"
    return sorted(
        found.values(), key=lambda c: (_tier(c), -c.services, -c.echoes, c.address, c.by_title or "")
    )


def _class_uid(association: Association, side: Side) -> str:
    pdu = association.request if side == "requestor" else association.answer
    items = getattr(pdu.pdu, "user_items", ()) if pdu is not None and pdu.pdu is not None else ()
    return next((item.uid for item in items if isinstance(item, ImplementationClassUID)), "")


def _announcing(
    found: dict[tuple[str, str | None], Candidate],
    key: tuple[str, str | None],
    association: Association,
    side: Side,
) -> Candidate:
    """Return the candidate of a side, also of one that requests nothing."""
    if key not in found:
        found[key] = Candidate(key[0], key[1])
    mine = found[key]
    if side == "acceptor":
        mine.titles[association.called] += 0
        if association.acceptor_mac:
            mine.macs.add(association.acceptor_mac.lower())
    return mine


def _tier(candidate: Candidate) -> int:
    if not candidate.services:
        return 2
    return 1 if candidate.apart else 0


CLIENTS: Final = "*"
"""On an address with both ends: everybody there who is no server."""


def _shared(capture: Capture, services: frozenset[str]) -> dict[str, set[str]]:
    """Return the addresses at which both ends of an association are, with the AE titles that are servers there.

    A capture of several tools on one machine has one modality, whatever its tools call themselves.
    """
    found: dict[str, set[str]] = {
        a.requestor.address: set() for a in capture.associations if a.requestor.address == a.acceptor.address
    }
    for a in capture.associations:
        if a.acceptor.address in found and _served(a, "acceptor", services):
            found[a.acceptor.address].add(a.called)
    return found


def _key(association: Association, side: Side, shared: Mapping[str, set[str]]) -> tuple[str, str | None]:
    end = association.requestor if side == "requestor" else association.acceptor
    if end.address not in shared:
        return end.address.lower(), None
    title = association.calling if side == "requestor" else association.called
    return end.address.lower(), title if title in shared[end.address] else CLIENTS


def _kind(association: Association, scu: frozenset[str]) -> str:
    """Say what the requestor of an association wants: ``service``, ``echo``, ``other``, or to report (empty)."""
    asked = [m for m in association.messages if m.sender == "requestor" and m.command.is_request]
    as_scu = {
        c.abstract for c in association.contexts.values() if c.abstract and (c.proposed_role or (1, 0))[0]
    }
    if asked:
        reports = [m for m in asked if m.name == "N-EVENT-REPORT-RQ"]
        if len(reports) == len(asked):
            return ""
        as_scu |= {m.sop_class for m in asked if m.sop_class}
    wanted = as_scu & scu
    if wanted - {VERIFICATION}:
        return "service"
    if wanted:
        return "echo" if as_scu <= {VERIFICATION} else "other"
    return "other" if as_scu else ""


def _served(association: Association, side: Side, services: frozenset[str]) -> bool:
    """Tell whether this side answered a request of services that the product only uses."""
    return any(
        m.sender == side
        and not m.command.is_request
        and m.sop_class in services
        and m.name != "N-EVENT-REPORT-RSP"
        and (accomplished(m.command.status) or pending(m.command.status))
        for m in association.messages
    )


def _most(capture: Capture, found: list[Candidate], config: SutConfig) -> Sut:
    own = [c for c in found if c.announces]
    able = own or [c for c in found if c.services or c.echoes]
    if not able:
        raise NoSut("nobody in this capture requests a service of the statement", found)
    titles = frozenset(config.get("ae_titles", ()))
    if titles and (named := [c for c in able if titles & set(c.titles)]):
        able = named
    best = able[0]
    ties = [c for c in able if _tier(c) == _tier(best) and c.rank == best.rank]
    if len(ties) > 1:
        raise NoSut(f"{len(ties)} hosts request equally many associations of the statement's services", found)
    why = _why(best, [c for c in found if c is not best], own)
    if best.by_title is not None:
        return Sut(frozenset(), frozenset(best.titles), f"{why}; both ends have one address")
    return Sut(_one_host(capture, best), frozenset(t for t in best.titles if t) | titles, why)


def _why(best: Candidate, rest: list[Candidate], own: list[Candidate]) -> str:
    number, what = (
        (best.services, "of the statement's services")
        if best.services
        else (best.echoes, "with Verification")
    )
    why = f"it requests the most associations {what}: {number}"
    if best.announces and (len(own) == 1 and any(c.rank >= best.rank for c in rest)):
        why = f"it alone announces the Implementation Class UID of the statement, {best.announces}"
        why += f"; it requests {_plural(number, 'association')} {what}"
    if rest:
        why += "; next: " + "; ".join(
            f"{c.name} {c.services or c.echoes}" + (f" ({c.apart})" if c.apart else "") for c in rest[:2]
        )
    if len(best.titles) > 1:
        why += f"; its AE titles are {', '.join(sorted(best.titles))}"
    return why


def _one_host(capture: Capture, best: Candidate) -> frozenset[str]:
    """Add further addresses of the same interface card under the same AE title (IPv4 and IPv6, a new lease)."""
    addresses = {best.address}
    for a in capture.associations:
        mac = (a.requestor_mac or "").lower()
        same_card = bool(mac) and best.macs == {mac}
        if same_card and a.calling in best.titles:
            addresses.add(a.requestor.address.lower())
    return frozenset(addresses)


__all__ = ["Candidate", "NoSut", "candidates", "choose", "scu_services"]
