"""Plan: scenario x cell x testbed, everything resolved, nothing touched.

Rules of this file:

* Pure data in, pure data out: making a plan opens nothing, so that ``modbench plan`` is a true dry run.
* Everything that a run could differ in is in the plan: hosts, addresses, ports, configuration, seed, deadlines.
* A port 0 means 'whatever is free when it starts' (loopback only); namespaces use the well-known ports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.links.spec import DETECTOR_ADDRESSES, LAN_ADDRESSES, NetworkSpec, standard
from bench.scenario import Act, Cell, Step
from bench.testbed import VIRTUAL, Testbed

DICOM_PORT: Final = 104
GENERATOR_PORT: Final = 5331
GVCP_PORT: Final = 3956
DEFAULT_SEED: Final = 1
DEFAULT_TIMEOUT_S: Final = 180.0
DEFAULT_LINK: Final = "1000BASE-T"

AE_TITLES: Final[Mapping[str, str]] = {
    "modality": "VXVUE",
    "ris": "RIS",
    "pacs": "PACS",
    "pacs2": "PACS2",
    "printer": "PRINTER",
}


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
    """One simulated host and the simulators that run in it."""

    name: str
    address: str
    actors: tuple[ActorPlan, ...]


@dataclass(frozen=True)
class Plan:
    """One cell, ready to run."""

    cell: Cell
    testbed: str
    backend: str
    network: NetworkSpec
    hosts: tuple[HostPlan, ...]
    product: str
    adapter: str
    sut: Mapping[str, Any]
    seed: int
    base_seed: int
    timeout_s: float
    down: tuple[str, ...] = field(default=())
    """Peers whose service is not running when the cell begins."""
    notes: tuple[str, ...] = field(default=())

    @property
    def repeat(self) -> str:
        """The command that repeats exactly this cell."""
        return f"modbench run '{self.cell.id}' --seed {self.base_seed}"

    def describe(self) -> str:
        """The dry run: what would be built, started and done, in the order of the run."""
        scenario = self.cell.scenario
        lines = [
            f"cell      {self.cell.id}",
            f"scenario  {scenario.file}:{scenario.line}  {scenario.title}",
            f"testbed   {self.testbed}; links: {self.backend}; SUT: {self.adapter} {self.product}",
            f"seed      {self.seed} (from --seed {self.base_seed}); at most {self.timeout_s:g} s",
        ]
        lines += [f"link      {link.name}: {link.mode}" for link in self.network.links]
        for host in self.hosts:
            for actor in host.actors:
                settings = ", ".join(f"{k}={v}" for k, v in actor.config.items() if v not in (None, ""))
                lines.append(f"host      {host.name} ({host.address}): {actor.name}: {settings}")
        lines += [f"sut       {key}: {value}" for key, value in self.sut.items()]
        lines += [f"step {s.index + 1:3}  {s.file}:{s.line}  {shown(s)}" for s in self.cell.steps]
        lines += [f"note      {note}" for note in self.notes]
        lines.append(f"repeat    {self.repeat}")
        return "\n".join(lines)


def shown(step: Step) -> str:
    """Return the step as its author wrote it, on one line."""
    text = step.text.removeprefix("- ").split("  #")[0].strip()
    return text if len(text) <= 120 else text[:119] + "…"


def cell_seed(base: int, cell_id: str) -> int:
    """Seed of one cell: from the run's seed and the cell's id, so that cells differ and each repeats alone."""
    return int.from_bytes(hashlib.sha256(f"{base}:{cell_id}".encode()).digest()[:4], "big") >> 1


def not_runnable(cell: Cell, backend: str) -> str:
    """Return why a cell cannot run on this backend; empty if it can."""
    if backend == "loopback":
        for step in cell.steps:
            if isinstance(step, Act) and step.spec.family == "link":
                return f"{step.verb} (line {step.line}) needs a cable; this machine offers loopback only."
    return ""


def make_plan(
    cell: Cell,
    *,
    testbed: Testbed = VIRTUAL,
    backend: str,
    seed: int = DEFAULT_SEED,
    cache: Path | None = None,
) -> Plan:
    """Resolve a cell.

    Args:
        cell: scenario with one combination of its matrix.
        testbed: what stands in the lab; the built-in virtual one by default.
        backend: link backend that this machine offers (``veth``, ``userns``, ``loopback``).
        seed: the run's seed.
        cache: folder for maps that may be kept between cells (scene, detector), or None.

    Raises:
        PlanError: the testbed lacks something, or a value of the matrix means nothing here.
    """
    if testbed.sut.adapter != "reference":
        raise PlanError(f"testbed {testbed.name}: SUT adapter {testbed.sut.adapter!r} is not supported yet")
    real = [name for name, link in testbed.links.items() if link.backend == "nic"]
    if real:
        raise PlanError(f"testbed {testbed.name}: link {real[0]} names a physical NIC: not supported yet")
    scenario = cell.scenario
    setup: dict[str, Any] = {**cell.setup}
    overrides = {
        n: dict(setup.pop(n, {})) for n in ("ris", "pacs", "pacs2", "detector", "generator", "world", "panel")
    }
    down = tuple(name for name, values in overrides.items() if not values.pop("running", True))
    storage = tuple(setup.pop("storage", ("pacs",)))
    unknown = [name for name in storage if name not in ("pacs", "pacs2")]
    if unknown:
        raise PlanError(f"setup: storage names {unknown[0]!r}; there are pacs and pacs2")
    own_seed = cell_seed(seed, cell.id)
    loopback = backend == "loopback"
    lan_hosts = ["modality", "ris", "pacs", *(["pacs2"] if "pacs2" in storage else []), "printer", "frontend"]
    network = _network(cell, lan_hosts)
    address = {
        h: "127.0.0.1" if loopback else LAN_ADDRESSES.get(h, DETECTOR_ADDRESSES["frontend"])
        for h in lan_hosts
    }

    def peer(name: str) -> HostPlan:
        config = {
            "host": address[name],
            "port": 0 if loopback else DICOM_PORT,
            "ae_title": AE_TITLES[name],
            **overrides[name],
        }
        return HostPlan(name, address[name], (ActorPlan(name, "ris" if name == "ris" else "pacs", config),))

    hosts = [peer("ris"), *(peer(name) for name in storage)]
    hosts.append(_front_end(cell, address["frontend"], loopback, own_seed, overrides, cache))
    return Plan(
        cell=cell,
        testbed=testbed.name,
        backend=backend,
        network=network,
        hosts=tuple(hosts),
        product=testbed.sut.product or scenario.product,
        adapter=testbed.sut.adapter,
        sut=_sut_config(cell, setup, storage, loopback, testbed),
        seed=own_seed,
        base_seed=seed,
        timeout_s=scenario.timeout_s or DEFAULT_TIMEOUT_S,
        down=down,
        notes=("no link is tested: loopback has neither line rates nor cables",) if loopback else (),
    )


def _network(cell: Cell, hosts: list[str]) -> NetworkSpec:
    modes = {k.removeprefix("link."): v for k, v in cell.values.items() if k.startswith("link.")}
    try:
        return standard(
            lan=cell.values.get("link", DEFAULT_LINK),
            detector=modes.pop("detector", DEFAULT_LINK),
            modes=modes,
            hosts=hosts,
        )
    except (KeyError, ValueError) as error:
        raise PlanError(f"{cell.id}: {error}") from error


def _front_end(
    cell: Cell,
    address: str,
    loopback: bool,
    seed: int,
    overrides: Mapping[str, Mapping[str, Any]],
    cache: Path | None,
) -> HostPlan:
    size = cell.values.get("detector", "3072x3072")
    try:
        width, height = (int(part) for part in size.split("x"))
    except ValueError as error:
        raise PlanError(f"{cell.id}: detector {size!r} is not WIDTHxHEIGHT") from error
    world = {"phantom": "chest", "sid_mm": 1800.0, "seed": seed, **overrides["world"]}
    detector = {
        "host": address,
        "gvcp_port": 0 if loopback else GVCP_PORT,
        "broadcast": not loopback,
        "width": width,
        "height": height,
        "bits": int(cell.values.get("bits", 14)),
        # The panel is one device: its maps belong to its serial number, not to the run's seed.
        "seed": 1417,
        "cache_dir": str(cache) if cache else None,
        "warm": True,
        **overrides["detector"],
    }
    seconds = dict(overrides["generator"])
    generator = {
        "transport": "socket" if loopback else "rfc2217",
        "host": address,
        "port": 0 if loopback else GENERATOR_PORT,
        "prep_ms": round(seconds.pop("prep", 0.3) * 1000),
        "cooldown_ms": round(seconds.pop("cooldown", 0.1) * 1000),
        **seconds,
    }
    actors = (
        ActorPlan("world", "world", world),
        ActorPlan("detector", "detector", detector),
        ActorPlan("generator", "generator", generator),
        ActorPlan("panel", "panel", dict(overrides["panel"])),
    )
    return HostPlan("frontend", address, actors)


def _sut_config(
    cell: Cell, setup: Mapping[str, Any], storage: tuple[str, ...], loopback: bool, testbed: Testbed
) -> dict[str, Any]:
    """The SUT's configuration as its installer would write it; endpoints are filled in when the peers are up."""
    config: dict[str, Any] = {
        "ae_title": AE_TITLES["modality"],
        "station_name": "ROOM1",
        "receiver": {
            "host": "127.0.0.1" if loopback else LAN_ADDRESSES["modality"],
            "port": 0 if loopback else DICOM_PORT,
            "enabled": True,
        },
        "worklist": {"ae_title": AE_TITLES["ris"]},
        "mpps": {"ae_title": AE_TITLES["ris"]},
        "storage": [{"name": name, "ae_title": AE_TITLES[name]} for name in storage],
    }
    if "charset" in cell.values:
        config["charset"] = cell.values["charset"].split("\\")
    receiver = setup.get("receiver")
    rest = {k: v for k, v in setup.items() if k != "receiver"}
    if isinstance(receiver, bool):
        config["receiver"]["enabled"] = receiver
    return {**config, **dict(testbed.sut.config or {}), **rest}
