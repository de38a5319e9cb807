"""Everything around the SUT: put up before it starts, taken down after it has ended.

Rules of this file:

* Namespaces and hosts are made while this process has one thread; the first thread starts after the last fork.
* Teardown runs in reverse order, each part with a deadline, whatever happened before; its troubles are ERROR.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bench.links.calibrate import Calibrations
from bench.links.capture import Capture, CaptureReport, CaptureUnavailable
from bench.links.network import Network
from bench.plan import HostPlan, Plan
from bench.products import PRODUCTS
from bench.results import Capture as CaptureFacts
from bench.results import LinkFidelity, PhaseTime
from bench.runner.actors import Host
from bench.runner.devices import specs
from bench.runner.media import Media
from bench.runner.steps import Progress
from bench.runner.stream import Stream
from bench.sut import ReferenceSut

PORTS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "detector": ("gvcp_port",),
    "bedside": ("contacts_port", "barcode_port"),
    "ultrasound": (),
}
"""Which settings of a package are ports that are chosen beforehand, so that a capture on loopback knows them (and not
the gigabytes of the picture stream); of all others it is ``port``.
"""


@dataclass
class Phases:
    """Where the time went; phases follow each other and together are the whole."""

    origin: int = field(default_factory=time.monotonic_ns)
    done: list[PhaseTime] = field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic_ns()
        try:
            yield
        finally:
            now = time.monotonic_ns()
            self.done.append(
                PhaseTime(name=name, seconds=(now - began) / 1e9, start_s=(began - self.origin) / 1e9)
            )


@dataclass
class Live:
    """What a running cell consists of; filled from top to bottom, ended from bottom to top."""

    plan: Plan
    folder: Path
    stream: Stream
    scratch: Path | None = None
    network: Network = None  # type: ignore[assignment]  # there from the first step of building on
    hosts: dict[str, Host] = field(default_factory=dict)
    capture: Capture | None = None
    captured: CaptureReport | None = None
    sut: ReferenceSut | None = None
    links: list[LinkFidelity] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """What the bench did wrong."""
    failures: list[str] = field(default_factory=list)
    """What the SUT did wrong apart from every step."""
    namespaces: dict[str, int] = field(default_factory=dict)
    receiver_port: int = 0
    media: Path = Path()
    """Folder in which media appear, private to this cell."""
    volumes: Media | None = None


def build(live: Live, calibrations: Calibrations, phases: Phases, progress: Progress) -> None:
    """Bring up everything but the SUT: network, calibration, capture, hosts."""
    plan, stream = live.plan, live.stream
    progress({"phase": "network"})
    with phases.phase("network"):
        live.network = _network(live)
    with phases.phase("calibration"):
        for link in plan.network.links:
            _calibrate(live, calibrations, link.name)
    # Every port is chosen before the capture starts: on loopback it looks at the ports of this bench only.
    if PRODUCTS[plan.product].slots:
        live.media = Path(tempfile.mkdtemp(prefix="media-", dir=live.scratch))
        live.volumes = Media(plan.volumes, live.media, live.folder)
        stream.listen(live.volumes.on_event)
    placed = [_placed(host, live) for host in plan.hosts]
    if "receiver" in plan.sut:
        live.receiver_port = int(plan.sut["receiver"]["port"]) or live.network.port("modality", "receiver", 0)
    with phases.phase("capture"):
        _capture(live)
    with phases.phase("hosts"):
        for place in placed:
            enter = _entrance(live.namespaces.get(place.name))
            live.hosts[place.name] = Host.fork(place.name, specs(place), enter)
        # The last fork is done: threads may start.
        stream.start()
        for host in live.hosts.values():
            threading.Thread(target=host.listen, args=(stream.publish,), name=host.name, daemon=True).start()
    with phases.phase("hosts ready"):
        within = {host.name: host.start_within_s for host in plan.hosts}
        for host in live.hosts.values():
            host.wait_up(within[host.name])
            stream.say("bench", "host.started", host=host.name, pid=host.pid, endpoints=host.endpoints)
            for name, endpoint in host.endpoints.items():
                with stream.lock:
                    stream.engine.scope.put(
                        name,
                        {
                            "ae": endpoint.get("ae_title", ""),
                            "host": endpoint.get("host", ""),
                            "port": endpoint.get("port", 0),
                        },
                    )
        for name in plan.down:
            live.hosts[name].command(name, "@stop", {})
    if plan.volumes and live.volumes is not None:
        with phases.phase("media"):
            live.volumes.note()


def _network(live: Live) -> Network:
    """Bring the network up, in the namespace that this process is in."""
    plan = live.plan
    network: Network
    if plan.backend == "loopback":
        from bench.links.loopback import LoopbackNetwork

        network = LoopbackNetwork(plan.network)
    else:
        from bench.links import netns
        from bench.links.veth import VethNetwork

        live.namespaces = {host: netns.create() for host in plan.network.hosts}
        network = VethNetwork(plan.network, live.namespaces, plan.backend)
    network.up()
    for link in plan.network.links:
        live.stream.say("link", "link.up", link=link.name, backend=plan.backend, mode=link.mode)
    return network


def _entrance(namespace: int | None) -> Callable[[], None] | None:
    """Return how a forked process gets into its host's namespace."""
    if namespace is None:
        return None
    from bench.links import netns

    return lambda: netns.enter(namespace)


def _placed(host: HostPlan, live: Live) -> HostPlan:
    """Give the actors of a host their ports and the folders of this cell that they write to."""
    actors = []
    for actor in host.actors:
        config = dict(actor.config)
        for key in PORTS_OF.get(actor.package, ("port",)):
            if config.get(key) == 0:
                service = actor.name if key in ("port", "gvcp_port") else key
                config[key] = live.network.port(host.name, service, 0, udp=actor.package == "detector")
        if actor.package == "pacs":
            config["store"] = str(live.folder / "objects" / actor.name)
        elif actor.package == "volume" and live.volumes is not None:
            config |= live.volumes.places(actor.name)
        elif actor.package == "detector":
            config["truth_dir"] = str(live.folder / "truth")
            (live.folder / "truth").mkdir(exist_ok=True)
        actors.append(replace(actor, config=config))
    return replace(host, actors=tuple(actors))


def _calibrate(live: Live, calibrations: Calibrations, link: str) -> None:
    plan = live.plan
    fidelity = live.network.fidelity
    mode = plan.network.modes[link]
    if plan.backend == "loopback":
        live.links.append(
            LinkFidelity(name=link, backend="loopback", tested=False, cannot_prove=fidelity.cannot_prove)
        )
        return
    found = calibrations.check(live.network, link)
    assert found.measured_mbps is not None
    assert found.nominal_mbps is not None
    live.stream.say(
        "link",
        "link.calibrated",
        link=link,
        mode=found.mode,
        measured_mbps=round(found.measured_mbps, 3),
        nominal_mbps=round(found.nominal_mbps, 3),
        ok=found.ok,
        cached=found.cached,
    )
    if not found.ok:
        live.errors.append(
            f"link {link} ({mode}) gives {found.measured_mbps:.1f} Mbit/s instead of {found.nominal_mbps:.1f}: "
            "more than 5 % off, so nothing measured on it would count"
        )
    live.links.append(
        LinkFidelity(
            name=link,
            backend=fidelity.backend,
            mode=mode,
            nominal_mbps=found.nominal_mbps,
            measured_mbps=found.measured_mbps,
            cannot_prove=fidelity.cannot_prove,
        )
    )


def _capture(live: Live) -> None:
    leave_out = PRODUCTS[live.plan.product].not_captured
    capture = Capture(live.network, live.folder / "wire.pcapng", leave_out=leave_out)
    try:
        capture.start()
    except CaptureUnavailable as error:
        if live.plan.backend != "loopback":
            raise
        # The report says so, and no verdict rests on it.
        live.stream.say("bench", "bench.note", message=f"no capture: {error}")
        return
    live.capture = capture
    live.stream.say("capture", "capture.started", file="wire.pcapng", link="all")


def end(live: Live) -> None:
    """Take everything down in reverse order; every trouble is an error of the bench, except the SUT's own."""
    if live.sut is not None:
        trouble = _guard(live, "modality", live.sut.stop)
        if isinstance(trouble, str):
            live.failures.append(trouble)
    if live.capture is not None:
        live.captured = _guard(live, "capture", live.capture.stop)
        if live.captured is not None:
            for entry in live.captured.interfaces:
                facts = {"link": entry.link, "packets": entry.packets, "dropped": entry.dropped}
                live.stream.say("capture", "capture.stopped", file="wire.pcapng", **facts)
                if entry.dropped:
                    live.errors.append(f"the capture of {entry.link} lost {entry.dropped} packets")
    within = {host.name: host.stop_within_s for host in live.plan.hosts}
    for host in reversed(list(live.hosts.values())):
        trouble = _guard(live, host.name, lambda host=host: host.stop(within[host.name]))  # type: ignore[misc]
        if isinstance(trouble, str):
            live.errors.append(trouble)
    live.stream.drain()
    if live.volumes is not None:
        live.errors += live.volumes.close()
    for fd in live.namespaces.values():
        os.close(fd)


def _guard(live: Live, name: str, do: Callable[[], Any]) -> Any:
    try:
        return do()
    except Exception as error:
        live.errors.append(f"ending {name}: {type(error).__name__}: {error}")
        traceback.print_exc()
        return None


def links(live: Live) -> Iterator[LinkFidelity]:
    interfaces = {e.link: e for e in live.captured.interfaces} if live.captured is not None else {}
    for link in live.links:
        # The hospital LAN is captured once, at the modality's port: that is the modality's cable.
        entry = interfaces.get("lan" if link.name == "modality" else link.name)
        facts = (
            CaptureFacts(file="wire.pcapng", packets=entry.packets, dropped=entry.dropped) if entry else None
        )
        yield replace(link, capture=facts)
