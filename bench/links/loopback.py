"""The last resort: all hosts on 127.0.0.1, told apart by their ports.  No link is tested.

Rules of this file:

* Nothing listens anywhere but on 127.0.0.1.
* Ports are free ones; TCP ports stay reserved (bound, not listening) until the network goes down, so that
  nobody else gets one between its choice and its use.  A server binds to it with SO_REUSEADDR, as
  ``socket.create_server`` does.
* Cables can neither be pulled nor shaped: :class:`NotSupportedError` says so.
* A capture sees only the ports of this bench, not what else runs on the machine.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, NoReturn

from bench.links.network import (
    CapturePoint,
    Counters,
    Direction,
    Fidelity,
    LinkState,
    NetworkError,
    NotSupportedError,
    PullReport,
    Trigger,
)
from bench.links.spec import NetworkSpec

ADDRESS: Final = "127.0.0.1"
MODE: Final = "loopback"
"""What :meth:`LoopbackNetwork.state` gives as mode: there is no line."""


class LoopbackNetwork:
    """See the rules of this file and :class:`bench.links.network.Network`."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec
        self.fidelity = Fidelity(
            "loopback",
            "all hosts on 127.0.0.1 of one machine: no link was tested",
            (
                "behaviour at 10, 100 or 1000BASE-T: there is no rate limit",
                "behaviour when a cable is pulled",
                "addresses, ports and names as on a hospital network",
                "discovery of the detector by broadcast",
            ),
        )
        self._ports: dict[tuple[str, str, bool], int] = {}
        self._reserved: list[socket.socket] = []

    def up(self) -> None:
        """Nothing is to be built."""

    def down(self) -> None:
        """Give the reserved ports back."""
        self.close()

    def close(self) -> None:
        """Give the reserved ports back."""
        for sock in self._reserved:
            sock.close()
        self._reserved.clear()
        self._ports.clear()

    def address(self, host: str, link: str | None = None) -> str:
        """127.0.0.1 for every host of the network.

        Raises:
            NetworkError: the host is not part of it.
        """
        if host not in self.spec.hosts:
            raise NetworkError(f"there is no host {host} here")
        return ADDRESS

    def port(self, host: str, service: str, preferred: int, *, udp: bool = False) -> int:
        """A port that is free now; the same one whenever this service of this host is asked for.

        Raises:
            NetworkError: the host is not part of the network.
        """
        self.address(host)
        key = (host, service, udp)
        if key not in self._ports:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
            if not udp:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((ADDRESS, 0))
            self._ports[key] = sock.getsockname()[1]
            if udp:
                sock.close()  # two sockets on one UDP port would steal each other's datagrams
            else:
                self._reserved.append(sock)
        return self._ports[key]

    def namespace(self, host: str) -> None:
        """Hosts have no network of their own here."""
        return

    def state(self, link: str) -> LinkState:
        """Always connected."""
        return LinkState(self.spec.name_of(link), MODE, plugged=True, carrier=True)

    def verify(self) -> None:
        """There is nothing that could be wrong."""

    def capture_points(self) -> tuple[CapturePoint, ...]:
        """The loopback interface, for the ports given out so far.

        Raises:
            NotSupportedError: none was given out; everything on the machine's loopback would be captured.
        """
        if not self._ports:
            raise NotSupportedError("nothing to capture on loopback: no port of this bench is known yet")
        return (CapturePoint("loopback", "lo", frozenset(self._ports.values())),)

    def counters(self, link: str) -> Counters:
        """Not to be had: there is no cable to count on."""
        self._refuse("traffic of a single cable cannot be counted")

    def pull(self, link: str) -> int:
        """Not possible."""
        self._refuse("a cable cannot be pulled")

    def plug(self, link: str) -> int:
        """Not possible."""
        self._refuse("a cable cannot be plugged in")

    def set_mode(self, link: str, mode: str) -> None:
        """Not possible."""
        self._refuse("a cable cannot change its mode")

    def pull_at(
        self, link: str, bytes: int, direction: Direction, on_fired: Callable[[PullReport], None]
    ) -> Trigger:
        """Not possible."""
        self._refuse("a cable cannot be pulled")

    def _refuse(self, what: str) -> NoReturn:
        raise NotSupportedError(
            f"{what} on loopback; run as root or allow user namespaces for virtual cables"
        )
