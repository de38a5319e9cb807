"""What a product is to the bench, and the pieces that plans are made of.

Rules of this file:

* Pure data and one protocol; nothing here opens anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from bench.scenario import Cell

if TYPE_CHECKING:
    from bench.runner.stage import Live

AE_TITLES: Final[Mapping[str, str]] = {"ris": "RIS", "pacs": "PACS", "pacs2": "PACS2", "printer": "PRINTER"}
"""Of the bench's own peers."""


class PlanError(Exception):
    """This cell cannot be planned on this testbed; the message says what is missing."""


@dataclass(frozen=True)
class ActorPlan:
    """One simulator: its name in steps and events, the package that builds it, its configuration."""

    name: str
    package: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class HostPlan:
    """One simulated host and the simulators that run in it; one without an address has no network of its own."""

    name: str
    address: str
    actors: tuple[ActorPlan, ...]
    start_within_s: float = 20.0
    stop_within_s: float = 5.0


@dataclass(frozen=True)
class VolumePlan:
    """One removable medium: what it is made of, and what its backend therefore cannot prove."""

    name: str
    backend: str
    config: Mapping[str, Any]
    cannot_prove: tuple[str, ...] = ()
    why: str = ""
    """Why it is not a better backend."""

    def describe(self) -> str:
        """Say it in one line."""
        c = self.config
        kind = "not formatted" if c["format"] == "none" else c["format"]
        facts = [f"{c['size'] / 1e6:.4g} MB {kind}", *([f"label {c['label']}"] if c["label"] else [])]
        facts += [] if c["partition"] == "mbr" else ["no partition table"]
        facts += [f"holds {', '.join(c['content'])}"] if c["content"] else ["empty"]
        facts += [] if c["inserted"] else ["not inserted"]
        facts += ["write-protected"] if c["protected"] else []
        limits = f"; cannot prove: {'; '.join(self.cannot_prove)}" if self.cannot_prove else ""
        return f"{self.name}: {self.backend}: {', '.join(facts)}{limits}" + (
            f" ({self.why})" if self.why else ""
        )


@dataclass(frozen=True)
class Place:
    """What a product may look at while it is planned."""

    cell: Cell
    loopback: bool
    seed: int
    address: str
    """Of the front end on the acquisition link."""
    overrides: Mapping[str, Mapping[str, Any]]
    """Settings of the simulators, by name."""
    cache: Path | None = None


class Product(Protocol):
    """One product."""

    @property
    def name(self) -> str:
        """Its name in scenarios."""

    @property
    def ae_title(self) -> str:
        """The AE title that it has unless something else is configured."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Simulators of its front end that a scenario's setup may configure."""

    @property
    def slots(self) -> tuple[str, ...]:
        """Places for removable media."""

    @property
    def not_captured(self) -> tuple[str, ...]:
        """Links whose packets nobody would ever look at."""

    def front_end(self, place: Place) -> HostPlan:
        """Return the host on the acquisition link."""

    def installed(self, place: Place) -> dict[str, Any]:
        """Return settings of the SUT as its installer would write them, beside AE titles and archives."""

    def connect(self, config: dict[str, Any], found: Mapping[str, Mapping[str, Any]], live: Live) -> None:
        """Fill in where the devices really are, once they are up."""
