"""Plan: scenario x cell x testbed, everything resolved, nothing touched.

Rules of this file:

* Pure data in, pure data out: making a plan opens nothing, so that ``modbench plan`` is a true dry run.  What this
  machine offers (links, volumes) was probed by the caller and is handed in.
* Everything that a run could differ in is in the plan: hosts, addresses, ports, configuration, seed, deadlines.
* A port 0 means 'whatever is free when it starts' (loopback only); namespaces use the well-known ports.
* What is true of one product only is in :mod:`bench.products`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.links.spec import DETECTOR_ADDRESSES, LAN_ADDRESSES, NetworkSpec, standard
from bench.products import ActorPlan, HostPlan, Place, PlanError, VolumePlan, product_of
from bench.products.model import AE_TITLES
from bench.scenario import Act, Arm, Cell, Step
from bench.scenario.spec import MEDIA
from bench.testbed import VIRTUAL, Testbed

__all__ = [
    "ActorPlan",
    "HostPlan",
    "Plan",
    "PlanError",
    "VolumeChoice",
    "VolumePlan",
    "make_plan",
    "not_runnable",
]

DICOM_PORT: Final = 104
DEFAULT_SEED: Final = 1
DEFAULT_TIMEOUT_S: Final = 180.0
DEFAULT_LINK: Final = "1000BASE-T"
DEFAULT_VOLUME_BYTES: Final = 256 << 20
SECTOR: Final = 512
FAT16_LIMIT: Final = 2 * 10**9
"""Up to here cards are SD standard capacity and FAT16, above SDHC and FAT32 (SD specification part 2)."""
OWN_MEDIUM: Final = ("block", "fuse")
"""Volume backends where every access goes through the bench, so that it can fail, be slow, or be cut at a byte."""
NEED_OWN_MEDIUM: Final = ("yank", "protect", "full", "slow", "io_error", "wear")
NEED_OWN_CONTENT: Final = frozenset({"corrupt-fat", "dotdot-names"})


@dataclass(frozen=True)
class VolumeChoice:
    """The volume backend that a machine offers for one slot; ``why`` says why it is not a better one."""

    backend: str
    cannot_prove: tuple[str, ...] = ()
    why: str = ""


PLAIN_FOLDER: Final = VolumeChoice(
    "folder", ("anything about a file system: the medium is a folder of this machine",), "nothing was probed"
)


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
    volumes: tuple[VolumePlan, ...] = field(default=())
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
        lines += [f"volume    {volume.describe()}" for volume in self.volumes]
        media = {volume.name for volume in self.volumes}
        for host in (each for each in self.hosts if each.name not in media):
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


def not_runnable(cell: Cell, backend: str, volumes: Mapping[str, VolumeChoice] | None = None) -> str:
    """Return why a cell cannot run on these backends of links and volumes; empty if it can."""
    for step in cell.steps:
        slot, what = _own_medium(step)
        chosen = (volumes or {}).get(slot, PLAIN_FOLDER)
        if slot and chosen.backend not in OWN_MEDIUM:
            return (
                f"{what} (line {step.line}) needs a medium that the bench itself serves; "
                f"this machine offers {chosen.backend!r} only."
            )
    for slot in MEDIA:
        asked = cell.setup.get(slot)
        chosen = (volumes or {}).get(slot, PLAIN_FOLDER)
        if asked is None or chosen.backend in OWN_MEDIUM:
            continue
        if (
            asked.get("protected")
            or asked.get("format") == "none"
            or set(asked.get("content", ())) & NEED_OWN_CONTENT
        ):
            return f"setup: {slot}: such a medium cannot be had here: this machine offers {chosen.backend!r} only."
    if backend == "loopback":
        for step in cell.steps:
            if isinstance(step, Act) and step.spec.family == "link":
                return f"{step.verb} (line {step.line}) needs a cable; this machine offers loopback only."
    return ""


def _own_medium(step: Step) -> tuple[str, str]:
    """Return the slot whose medium a step needs to be the bench's own, and what needs it; empty when none is."""
    if (
        isinstance(step, Act)
        and step.spec.family in MEDIA
        and step.what in NEED_OWN_MEDIUM
        and (step.what != "yank" or step.args)  # a folder can vanish, but nobody counts its bytes
    ):
        return step.spec.family, step.verb
    if isinstance(step, Arm) and step.when is not None and step.when.kind == "written_bytes":
        return step.when.host, f"{step.when.host}.written_bytes"
    return "", ""


def make_plan(
    cell: Cell,
    *,
    testbed: Testbed = VIRTUAL,
    backend: str,
    seed: int = DEFAULT_SEED,
    cache: Path | None = None,
    volumes: Mapping[str, VolumeChoice] | None = None,
) -> Plan:
    """Resolve a cell.

    Args:
        cell: scenario with one combination of its matrix.
        testbed: what stands in the lab; the built-in virtual one by default.
        backend: link backend that this machine offers (``veth``, ``userns``, ``loopback``).
        seed: the run's seed.
        cache: folder for maps that may be kept between cells (scene, detector), or None.
        volumes: volume backend that this machine offers for each slot (else a plain folder).

    Raises:
        PlanError: the testbed lacks something, or a value of the matrix means nothing here.
    """
    _check_testbed(testbed)
    scenario = cell.scenario
    product = product_of(testbed.sut.product or scenario.product)
    setup: dict[str, Any] = {**cell.setup}
    overrides = {n: dict(setup.pop(n, {})) for n in ("ris", "pacs", "pacs2", *product.devices)}
    media = {slot: dict(setup.pop(slot)) for slot in product.slots if slot in setup}
    down = tuple(name for name, values in overrides.items() if not values.pop("running", True))
    storage = tuple(setup.pop("storage", ("pacs",)))
    unknown = [name for name in storage if name not in ("pacs", "pacs2")]
    if unknown:
        raise PlanError(f"setup: storage names {unknown[0]!r}; there are pacs and pacs2")
    archives = (*storage, *_sent_to(cell, storage))
    own_seed = cell_seed(seed, cell.id)
    loopback = backend == "loopback"
    lan_hosts = [
        "modality",
        "ris",
        "pacs",
        *(["pacs2"] if "pacs2" in archives else []),
        "printer",
        "frontend",
    ]
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

    place = Place(cell, loopback, own_seed, address["frontend"], overrides, cache)
    volume_plans = tuple(
        _volume(slot, values, (volumes or {}).get(slot, PLAIN_FOLDER), own_seed)
        for slot, values in media.items()
    )
    sut = {
        "ae_title": product.ae_title,
        **product.installed(place),
        "worklist": {"ae_title": AE_TITLES["ris"]},
        "storage": [{"name": name, "ae_title": AE_TITLES[name]} for name in storage],
    }
    return Plan(
        cell=cell,
        testbed=testbed.name,
        backend=backend,
        network=network,
        hosts=(
            *(peer(name) for name in ("ris", *archives)),
            product.front_end(place),
            *(_volume_host(volume) for volume in volume_plans),
        ),
        product=product.name,
        adapter=testbed.sut.adapter,
        sut=_sut_config(cell, setup, sut, testbed),
        seed=own_seed,
        base_seed=seed,
        timeout_s=scenario.timeout_s or DEFAULT_TIMEOUT_S,
        volumes=volume_plans,
        down=down,
        notes=("no link is tested: loopback has neither line rates nor cables",) if loopback else (),
    )


def _check_testbed(testbed: Testbed) -> None:
    """Raise PlanError for what this version cannot use yet."""
    if testbed.sut.adapter != "reference":
        raise PlanError(f"testbed {testbed.name}: SUT adapter {testbed.sut.adapter!r} is not supported yet")
    real = [name for name, link in testbed.links.items() if link.backend == "nic"]
    if real:
        raise PlanError(f"testbed {testbed.name}: link {real[0]} names a physical NIC: not supported yet")
    for name, volume in testbed.volumes.items():
        if volume.backend not in ("block", "fuse", "image", "folder"):
            raise PlanError(
                f"testbed {testbed.name}: volume {name}: backend {volume.backend!r} is not supported yet"
            )


def _sent_to(cell: Cell, storage: tuple[str, ...]) -> tuple[str, ...]:
    """Return archives that only a later step configures: they must be there from the beginning."""
    later = [
        str(name)
        for step in cell.steps
        if isinstance(step, Act) and step.verb == "operator.configure"
        for name in step.args.get("storage", ())
    ]
    return tuple(name for name in dict.fromkeys(later) if name in AE_TITLES and name not in storage)


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


def _volume(slot: str, values: Mapping[str, Any], chosen: VolumeChoice, seed: int) -> VolumePlan:
    size = int(values.get("size", DEFAULT_VOLUME_BYTES)) // SECTOR * SECTOR
    if size < SECTOR:
        raise PlanError(f"setup: {slot}: a medium has at least {SECTOR} bytes")
    config = {
        "name": slot,
        "kind": slot,
        "backend": chosen.backend,
        "size": size,
        "format": values.get("format") or ("FAT16" if size <= FAT16_LIMIT else "FAT32"),
        "label": values.get("label", ""),
        "partition": values.get("partition", "mbr"),
        "content": list(values.get("content", ())),
        "inserted": values.get("inserted", True),
        "protected": values.get("protected", False),
        "seed": values.get("seed", seed),
    }
    return VolumePlan(slot, chosen.backend, config, chosen.cannot_prove, chosen.why)


def _volume_host(volume: VolumePlan) -> HostPlan:
    """A medium is a host of its own without a network: what is mounted is served by its process."""
    actor = ActorPlan(volume.name, "volume", volume.config)
    return HostPlan(volume.name, "", (actor,), start_within_s=60.0, stop_within_s=30.0)


def _sut_config(
    cell: Cell, setup: Mapping[str, Any], config: dict[str, Any], testbed: Testbed
) -> dict[str, Any]:
    """The SUT's configuration as its installer would write it; endpoints are filled in when the peers are up."""
    if "charset" in cell.values:
        config["charset"] = cell.values["charset"].split("\\")
    receiver = setup.get("receiver")
    rest = {k: v for k, v in setup.items() if k not in ("receiver", "worklist_keys")}
    site = dict(testbed.sut.config or {})
    keys = (*site.pop("worklist_keys", ()), *setup.get("worklist_keys", ()))
    if keys:
        config["worklist"]["keys"] = {"add": dict.fromkeys(keys, "")}
    if isinstance(receiver, bool) and "receiver" in config:
        config["receiver"]["enabled"] = receiver
    return {**config, **site, **rest}
