"""What every backend of the network offers; the words in which the runner speaks to it.

Rules of this file:

* All counters are given as the *host* at the end of the cable sees them: ``sent`` left the host.
* What a backend cannot do raises :class:`NotSupportedError` with a sentence for people; it is never a silent
  no-op.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.links.spec import NetworkSpec

Direction = Literal["sent", "received"]


class NotSupportedError(RuntimeError):
    """This backend cannot do what was asked; the text says why and what could."""


class NetworkError(RuntimeError):
    """The bench could not build or keep its network: ERROR, never FAIL."""


@dataclass(frozen=True)
class Fidelity:
    """What a backend is, and what a result obtained with it does not prove."""

    backend: str
    text: str
    cannot_prove: tuple[str, ...] = ()


@dataclass(frozen=True)
class LinkState:
    """A cable now: *carrier* is what the host's interface says, *plugged* is what the bench did."""

    link: str
    mode: str
    plugged: bool
    carrier: bool


@dataclass(frozen=True)
class Counters:
    """Bytes (Ethernet frames without FCS) and packets of a cable since it exists, as the host sees them."""

    sent_bytes: int
    sent_packets: int
    received_bytes: int
    received_packets: int
    queue_drops: int
    """Packets dropped by the full queues of both ends, in both directions."""


@dataclass(frozen=True)
class PullReport:
    """A cable was pulled at a byte count: *asked* and really *reached*, with the time of the pull."""

    link: str
    direction: Direction
    asked: int
    reached: int
    monotonic_ns: int


@dataclass(frozen=True)
class CapturePoint:
    """Where the traffic of one link is captured: an interface of the namespace the bench itself is in."""

    link: str
    interface: str
    ports: frozenset[int] = frozenset()
    """Only TCP and UDP traffic from or to these ports is kept; empty: everything."""


class Trigger(Protocol):
    """An armed pull."""

    def cancel(self) -> None:
        """Disarm; no effect once it fired."""

    @property
    def fired(self) -> PullReport | None:
        """The report, once it fired."""


class Network(Protocol):
    """The cables of one bench.  After :meth:`up` every method may be called from any thread."""

    spec: NetworkSpec
    fidelity: Fidelity

    def up(self) -> None:
        """Build everything.  Raises NetworkError."""

    def down(self) -> None:
        """Take everything away again (optional: the end of the namespaces does it too)."""

    def address(self, host: str, link: str | None = None) -> str:
        """The IPv4 address of a host: on its only cable, or on the named one."""

    def port(self, host: str, service: str, preferred: int, *, udp: bool = False) -> int:
        """The port where a service of a host is to listen; the same answer each time it is asked.

        It is the preferred one where every host has a network of its own, else one that is free now.
        """

    def namespace(self, host: str) -> int | None:
        """Descriptor of the host's network namespace; None where hosts have none of their own."""

    def pull(self, link: str) -> int:
        """Pull the cable; returns CLOCK_MONOTONIC (ns) of the moment.  Pulling a pulled cable is allowed."""

    def plug(self, link: str) -> int:
        """Plug the cable in again; returns CLOCK_MONOTONIC (ns) of the moment."""

    def set_mode(self, link: str, mode: str) -> None:
        """Change the mode of a cable while it is in use (as after a renegotiation, without its pause)."""

    def state(self, link: str) -> LinkState:
        """The cable now."""

    def counters(self, link: str) -> Counters:
        """Traffic of the cable until now."""

    def pull_at(
        self, link: str, bytes: int, direction: Direction, on_fired: Callable[[PullReport], None]
    ) -> Trigger:
        """Pull the cable once it carried *bytes* more than now; *on_fired* is called from another thread."""

    def verify(self) -> None:
        """Read back from the system that the cables are as they should be.  Raises NetworkError."""

    def capture_points(self) -> tuple[CapturePoint, ...]:
        """Where to capture what; raises NotSupportedError."""


def monotonic_ns() -> int:
    """CLOCK_MONOTONIC in nanoseconds (the clock of the journal)."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
