"""The virtual network: a switch with veth cables, each shaped to its line rate at both ends.

Rules of this file:

* It is built in the calling thread's namespace, which becomes the switch, and refuses to be the launcher's.
* A cable is a veth pair: one end is the host's NIC, the other a port of a switch; both are shaped (the NIC's
  queue and the switch's buffer).  The acquisition cable joins two NICs through a switch of its own with
  nothing else on it, because that is where it can be captured and pulled; both of its ports count as one
  cable.
* The kernel hands TCP to the NIC's queue in big pieces and cuts them into frames behind it; the port's queue
  sees true frames and makes the rate exact.
* The token bucket counts what the wire carries: 24 bytes of preamble, FCS and gap per frame, 84 bytes at
  least, so its rate is the line rate itself, for every frame size.
* A NIC queues as much as a Linux NIC does (1000 full frames, so local senders are held back instead of losing
  datagrams); a switch port queues 20 ms or 64 KB, whichever is more, and drops the rest, as switches do.
* Nothing here outlives the namespaces.
"""

from __future__ import annotations

import errno
import importlib.util
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.links import netns, offload, rtnl
from bench.links.bytepull import PullAtBytes
from bench.links.network import (
    CapturePoint,
    Counters,
    Direction,
    Fidelity,
    LinkState,
    NetworkError,
    PullReport,
    monotonic_ns,
)
from bench.links.rtnl import Rtnl
from bench.links.spec import HOSTS, LINE_RATES, End, LinkSpec, NetworkSpec, check_mode, standard

WIRE_OVERHEAD: Final = 24
"""Preamble 8, FCS 4, inter-frame gap 12 bytes (IEEE 802.3)."""
SHORTEST_ON_WIRE: Final = 84
NIC_QUEUE_BYTES: Final = 1000 * 1514
SWITCH_QUEUE_BYTES: Final = 65536
SWITCH_QUEUE_SECONDS: Final = 0.020
_LAN, _CABLE = 2, 3
_FIRST_PORT: Final = 10
_FIRST_NIC: Final = 2


@dataclass
class _Port:
    """One end of a cable: the host's NIC and the interface it is plugged into."""

    end: End
    name: str
    index: int
    nic_index: int
    bridge: int


@dataclass
class _Cable:
    spec: LinkSpec
    ports: tuple[_Port, ...]
    mode: str
    plugged: bool = True


class VethNetwork:
    """See the rules of this file and :class:`bench.links.network.Network`.

    Args:
        spec: hosts and cables.
        namespaces: host -> descriptor of its network namespace; stays the caller's.
        backend: ``veth`` (as root) or ``userns`` (inside a user namespace); only told, it changes nothing
            here.
    """

    def __init__(self, spec: NetworkSpec, namespaces: Mapping[str, int], backend: str = "veth") -> None:
        missing = [host for host in spec.hosts if host not in namespaces]
        if missing:
            raise NetworkError(f"no network namespace was given for {', '.join(missing)}")
        self.spec = spec
        self.fidelity = Fidelity(
            backend,
            "virtual Ethernet cables, shaped to the line rate at both ends"
            + (" (in a user namespace, without root)" if backend == "userns" else ""),
            (
                "auto-negotiation, duplex and cabling of a physical interface",
                "the SUT's own network driver and its offloads",
            ),
        )
        self._namespaces = dict(namespaces)
        self._lock = threading.RLock()
        self._shapes = 0
        self._switch: Rtnl | None = None
        self._hosts: dict[str, Rtnl] = {}
        self._cables: dict[str, _Cable] = {}
        index = _FIRST_PORT
        nics: dict[str, int] = {}
        for link in spec.links:
            ports = []
            for end in link.ends:
                prefix = "lan" if len(link.ends) == 1 else "det"
                nic = nics[end.host] = nics.get(end.host, _FIRST_NIC - 1) + 1
                bridge = _LAN if prefix == "lan" else _CABLE
                ports.append(_Port(end, f"{prefix}-{end.host}"[:15], index, nic, bridge))
                index += 1
            self._cables[link.name] = _Cable(link, tuple(ports), link.mode)

    # ---------------------------------------------------------------------------------------- up and down

    def up(self) -> None:
        """Build the switch, all cables, addresses and rates.

        Raises:
            HostNamespaceError: the calling thread is in the launcher's namespace.
            NetworkError: the kernel refused something.
        """
        netns.refuse_host()
        try:
            netns.disable_ipv6()
            switch = self._switch = Rtnl()
            switch.run(self._switch_requests())
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                for port in self._ports():
                    offload.switch_off(control, port.name)
            for host in self.spec.hosts:
                self._host_up(host)
        except OSError as error:
            raise NetworkError(f"the virtual network could not be built: {error}") from error

    def down(self) -> None:
        """Delete the cables and close what this object opened; the namespaces stay the caller's."""
        with self._lock:
            if self._switch is not None:
                indices = [port.index for port in self._ports()] + [_LAN, _CABLE]
                for index in indices:
                    try:
                        self._switch.run([rtnl.delete_link(index)])
                    except OSError as error:
                        if error.errno != errno.ENODEV:
                            raise NetworkError(
                                f"the virtual network could not be removed: {error}"
                            ) from error
            self.close()

    def close(self) -> None:
        """Close the sockets of this object and leave the rest to the end of the namespaces."""
        with self._lock:
            for connection in (*self._hosts.values(), *([self._switch] if self._switch else [])):
                connection.close()
            self._hosts = {}
            self._switch = None

    def _switch_requests(self) -> list[rtnl.Request]:
        requests = [rtnl.set_link(1, up=True)]
        if any(len(cable.ports) == 1 for cable in self._cables.values()):
            requests.append(rtnl.add_bridge("lan", _LAN))
        if any(len(cable.ports) > 1 for cable in self._cables.values()):
            requests.append(rtnl.add_bridge("cable", _CABLE))
        for cable in self._cables.values():
            for port in cable.ports:
                fd = self._namespaces[port.end.host]
                requests.append(
                    rtnl.add_veth(port.name, port.index, port.end.interface, port.nic_index, port.end.mac, fd)
                )
                requests.append(rtnl.set_link(port.index, up=True, master=port.bridge))
                requests.append(_rate(port.index, cable.mode, _switch_limit(cable.mode)))
        return requests

    def _host_up(self, host: str) -> None:
        with netns.inside(self._namespaces[host]):
            connection = Rtnl()
            control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._hosts[host] = connection
        requests = [rtnl.set_link(1, up=True)]
        with control:
            for cable in self._cables.values():
                for port in cable.ports:
                    if port.end.host == host:
                        offload.switch_off(control, port.end.interface)
                        requests += self._nic_requests(cable, port)
        connection.run(requests)

    def _nic_requests(self, cable: _Cable, port: _Port) -> list[rtnl.Request]:
        requests = [
            rtnl.add_address(port.nic_index, port.end.address, port.end.prefix),
            _rate(port.nic_index, cable.mode, _nic_limit(cable.mode)),
            rtnl.set_link(port.nic_index, up=True),
        ]
        if self.spec.neighbours:
            for other in self._cables.values():
                if (len(other.ports) > 1) == (len(cable.ports) > 1):
                    for peer in other.ports:
                        if peer.end.host != port.end.host:
                            requests.append(
                                rtnl.add_neighbour(port.nic_index, peer.end.address, peer.end.mac)
                            )
        return requests

    # ---------------------------------------------------------------------------------------- questions

    def address(self, host: str, link: str | None = None) -> str:
        """The IPv4 address of *host*: on the LAN if it is there, else on its only cable; or on *link*."""
        cables = [self._cable(link)] if link is not None else list(self._cables.values())
        for cable in cables:
            for port in cable.ports:
                if port.end.host == host:
                    return port.end.address
        raise NetworkError(f"{host} has no {'cable' if link is None else link + ' cable'} here")

    def port(self, host: str, service: str, preferred: int, *, udp: bool = False) -> int:
        """The preferred port: every host has all ports for itself."""
        return preferred

    def namespace(self, host: str) -> int:
        """Descriptor of the host's network namespace."""
        return self._namespaces[host]

    def state(self, link: str) -> LinkState:
        """The cable now; the carrier is read from the (first) host's own interface."""
        cable = self._cable(link)
        port = cable.ports[0]
        carrier = self._connection(port.end.host).link(port.nic_index).carrier
        return LinkState(cable.spec.name, cable.mode, cable.plugged, carrier)

    def counters(self, link: str) -> Counters:
        """Traffic of the cable, read at the switch port of its first host; drops of all its queues."""
        cable = self._cable(link)
        port = cable.ports[0]
        stats = self._opened().link(port.index)
        drops = 0
        switch_queues = self._opened().qdiscs()
        for each in cable.ports:
            drops += switch_queues.get(each.index, ("", b"", 0))[2]
            drops += self._connection(each.end.host).qdiscs().get(each.nic_index, ("", b"", 0))[2]
        return Counters(stats.rx_bytes, stats.rx_packets, stats.tx_bytes, stats.tx_packets, drops)

    def verify(self) -> None:
        """Read back from the kernel that every cable has the rate of its mode and frames as on a real wire.

        Raises:
            NetworkError: one has not; the sentence names it.
        """
        switch_queues = self._opened().qdiscs()
        for cable in self._cables.values():
            for port in cable.ports:
                nic_queue = self._connection(port.end.host).qdiscs().get(port.nic_index)
                for queue, where in (
                    (nic_queue, f"{port.end.host}'s NIC"),
                    (switch_queues.get(port.index), f"the switch port of {port.end.host}"),
                ):
                    if queue is None or queue[0] != "tbf" or rtnl.rate_of(queue[1]) != LINE_RATES[cable.mode]:
                        raise NetworkError(f"{where} on link {cable.spec.name} is not shaped to {cable.mode}")
                with netns.inside(self._namespaces[port.end.host]):
                    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                with control:
                    left_on = offload.switched_on(control, port.end.interface)
                if left_on:
                    raise NetworkError(
                        f"{port.end.host}'s NIC on link {cable.spec.name} still has {', '.join(left_on)}"
                    )

    def capture_points(self) -> tuple[CapturePoint, ...]:
        """The modality's port of each network (without modality: the first host's): all it sends and
        receives."""
        points = {}
        for cable in self._cables.values():
            kind = "lan" if len(cable.ports) == 1 else "detector"
            for port in cable.ports:
                if kind not in points or port.end.host == "modality":
                    points[kind] = CapturePoint(kind, port.name)
        return tuple(points.values())

    # ---------------------------------------------------------------------------------------- changes

    def pull(self, link: str) -> int:
        """Switch the far side of the cable off: the host's NIC loses its carrier, what was queued is lost."""
        return self._set_plugged(link, plugged=False)

    def plug(self, link: str) -> int:
        """Undo :meth:`pull`."""
        return self._set_plugged(link, plugged=True)

    def _set_plugged(self, link: str, *, plugged: bool) -> int:
        cable = self._cable(link)
        with self._lock:
            self._opened().run([rtnl.set_link(port.index, up=plugged) for port in cable.ports])
            moment = monotonic_ns()
            cable.plugged = plugged
        return moment

    def set_mode(self, link: str, mode: str) -> None:
        """Change the rate of both ends of the cable; frames that wait are lost, as when a line is negotiated anew.

        Raises:
            ValueError: unknown mode.
        """
        check_mode(mode)
        cable = self._cable(link)
        with self._lock:
            self._shapes = self._shapes % 0xFFF0 + 1
            handle = self._shapes + 1  # 1 is the one that the cable began with
            for port in cable.ports:
                self._opened().run([_rate(port.index, mode, _switch_limit(mode), handle)])
                self._connection(port.end.host).run([_rate(port.nic_index, mode, _nic_limit(mode), handle)])
            cable.mode = mode

    def pull_at(
        self, link: str, bytes: int, direction: Direction, on_fired: Callable[[PullReport], None]
    ) -> PullAtBytes:
        """Pull the cable when it carried *bytes* more than now (Ethernet frames without FCS)."""
        cable = self._cable(link)
        port = cable.ports[0]

        def count() -> int:
            stats = self._opened().link(port.index)
            return stats.rx_bytes if direction == "sent" else stats.tx_bytes

        return PullAtBytes(
            self.pull, cable.spec.name, bytes, direction, LINE_RATES[cable.mode], count, on_fired
        )

    # ---------------------------------------------------------------------------------------- helpers

    def _ports(self) -> list[_Port]:
        return [port for cable in self._cables.values() for port in cable.ports]

    def _cable(self, link: str) -> _Cable:
        return self._cables[self.spec.name_of(link)]

    def _opened(self) -> Rtnl:
        if self._switch is None:
            raise NetworkError("the virtual network is not up")
        return self._switch

    def _connection(self, host: str) -> Rtnl:
        if host not in self._hosts:
            raise NetworkError("the virtual network is not up")
        return self._hosts[host]


def _rate(index: int, mode: str, limit: int, handle: int = 1) -> rtnl.Request:
    line = LINE_RATES[mode]
    burst = max(3028, line // 8 // 1000)
    return rtnl.set_rate(index, line, burst, limit, WIRE_OVERHEAD, SHORTEST_ON_WIRE, handle)


def _switch_limit(mode: str) -> int:
    return max(SWITCH_QUEUE_BYTES, int(LINE_RATES[mode] / 8 * SWITCH_QUEUE_SECONDS))


def _nic_limit(mode: str) -> int:
    return max(NIC_QUEUE_BYTES, _switch_limit(mode))


def warm_up() -> None:
    """Encode all messages of the standard network in every mode; called by a zygote that preloads this module."""
    if importlib.util.find_spec("pyroute2") is None:
        return  # not a system that could build a network
    hosts = dict.fromkeys(HOSTS, 0)
    for mode in LINE_RATES:
        for neighbours in (False, True):
            spec = standard(lan=mode, detector=mode, modes={"pacs": mode}, neighbours=neighbours)
            network = VethNetwork(spec, hosts)
            network._switch_requests()
            for cable in network._cables.values():
                for port in cable.ports:
                    network._nic_requests(cable, port)
