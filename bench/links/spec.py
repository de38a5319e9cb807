"""What the network of a bench consists of: hosts, cables, modes, addresses.  Pure data.

Rules of this file:

* A *link* is one cable.  On the hospital LAN it runs from a host to a port of the switch and is named after
  the host; the acquisition cable runs from the modality's second interface to the front end and is named
  ``detector``.
* Rates are those of the line in bit/s; what a payload can get of them is said by :data:`TCP_SHARE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

LINE_RATES: Final[Mapping[str, int]] = {
    "10BASE-T": 10_000_000,
    "100BASE-T": 100_000_000,
    "1000BASE-T": 1_000_000_000,
}
"""Mode -> line rate in bit/s (full duplex)."""

FRAME_OVERHEAD: Final = 1538 / 1514
"""Bytes on the wire (with preamble, FCS, gap) per byte the kernel counts, for full-sized frames."""

TCP_SHARE: Final = 1448 / 1538
"""Ideal share of the line for TCP payload: MTU 1500, with time stamps (94.15 %)."""

HOSTS: Final = ("modality", "ris", "pacs", "printer", "pacs2", "frontend")
LAN_ADDRESSES: Final[Mapping[str, str]] = {
    "modality": "10.77.0.10",
    "ris": "10.77.0.20",
    "pacs": "10.77.0.21",
    "printer": "10.77.0.22",
    "pacs2": "10.77.0.23",
}
DETECTOR_ADDRESSES: Final[Mapping[str, str]] = {"modality": "10.78.0.10", "frontend": "10.78.0.2"}
ALIASES: Final[Mapping[str, str]] = {"lan": "modality", "link": "modality", "frontend": "detector"}


class UnknownLinkError(KeyError):
    """A link was named that this network does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class End:
    """One plug of a cable: an interface of a host."""

    host: str
    interface: str
    address: str
    mac: str
    prefix: int = 24


@dataclass(frozen=True)
class LinkSpec:
    """One cable; *ends* has one entry for a cable to the LAN switch, two for a cable between two hosts."""

    name: str
    mode: str
    ends: tuple[End, ...]

    def __post_init__(self) -> None:
        check_mode(self.mode)


@dataclass(frozen=True)
class NetworkSpec:
    """All hosts and cables.  With *neighbours* hosts know each other's MAC addresses: no ARP is seen."""

    links: tuple[LinkSpec, ...]
    neighbours: bool = False
    modes: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", {link.name: link.mode for link in self.links})

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts that have an end of a cable, in the order of the links."""
        return tuple(dict.fromkeys(end.host for link in self.links for end in link.ends))

    def name_of(self, name: str) -> str:
        """The link behind a name or alias (``lan``, ``frontend``).

        Raises:
            UnknownLinkError: there is none.
        """
        found = name if name in self.modes else ALIASES.get(name, name)
        if found not in self.modes:
            raise UnknownLinkError(f"no link named {name!r} here; there are: {', '.join(self.modes)}")
        return found

    def link(self, name: str) -> LinkSpec:
        """The link of this name or alias; UnknownLinkError if there is none."""
        found = self.name_of(name)
        return next(link for link in self.links if link.name == found)

    def with_mode(self, name: str, mode: str) -> NetworkSpec:
        """The same network with another mode for one link."""
        found = self.name_of(name)
        links = tuple(replace(link, mode=mode) if link.name == found else link for link in self.links)
        return NetworkSpec(links, self.neighbours)


def check_mode(mode: str) -> None:
    """Raise ValueError unless *mode* is one of :data:`LINE_RATES`."""
    if mode not in LINE_RATES:
        raise ValueError(f"unknown link mode {mode!r}; known are: {', '.join(LINE_RATES)}")


def standard(
    lan: str = "1000BASE-T",
    detector: str = "1000BASE-T",
    modes: Mapping[str, str] | None = None,
    hosts: Iterable[str] = ("modality", "ris", "pacs", "printer", "frontend"),
    *,
    neighbours: bool = False,
) -> NetworkSpec:
    """The network of the virtual bench.

    Args:
        lan: mode of the modality's LAN cable (the one that scenarios vary); the other LAN cables are
            1000BASE-T.
        detector: mode of the acquisition cable.
        modes: modes of single cables by link name; wins over the other two.
        hosts: which hosts exist; the acquisition cable exists if the front end does.
        neighbours: tell hosts each other's MAC addresses.

    Raises:
        ValueError: unknown host or mode.
        UnknownLinkError: *modes* names a cable that does not exist.
    """
    wanted = tuple(dict.fromkeys(hosts))
    unknown = [h for h in wanted if h not in HOSTS]
    if unknown:
        raise ValueError(f"unknown host {unknown[0]!r}; known are: {', '.join(HOSTS)}")
    links = []
    for host in wanted:
        if host in LAN_ADDRESSES:
            address = LAN_ADDRESSES[host]
            end = End(host, "eth0", address, _mac(address))
            links.append(LinkSpec(host, lan if host == "modality" else "1000BASE-T", (end,)))
    if "frontend" in wanted:
        ends = tuple(
            End(
                h,
                "eth1" if h in LAN_ADDRESSES else "eth0",
                DETECTOR_ADDRESSES[h],
                _mac(DETECTOR_ADDRESSES[h]),
            )
            for h in ("modality", "frontend")
            if h in wanted
        )
        links.append(LinkSpec("detector", detector, ends))
    spec = NetworkSpec(tuple(links), neighbours)
    for name, mode in (modes or {}).items():
        spec = spec.with_mode(name, mode)
    return spec


def _mac(address: str) -> str:
    """A locally administered MAC address that shows the IPv4 address it belongs to."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))
