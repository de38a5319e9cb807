"""One cell in its sandbox: from the plan to its folder.

Rules of this file:

* :func:`main` is the body of the sandbox.  Everything it makes ends with the sandbox; orderly teardown exists so
  that evidence is whole, not so that nothing is left.
* Namespaces and hosts are made while this process has one thread; the first thread starts after the last fork.
* Teardown runs in reverse order, each part with a deadline, whatever happened before; its troubles are ERROR.
* The result is written even when the cell could not start: a hole in a report looks like a pass.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.expect import Engine
from bench.journal import JournalWriter
from bench.links.calibrate import Calibrations
from bench.links.capture import Capture, CaptureReport, CaptureUnavailable
from bench.links.network import Network
from bench.plan import HostPlan, Plan, make_plan
from bench.results import (
    Artefact,
    CellResult,
    JournalSeal,
    LinkFidelity,
    PhaseTime,
    cell_dir,
    library_versions,
    write_cell,
)
from bench.results import Capture as CaptureFacts
from bench.runner import judge
from bench.runner.actors import Host
from bench.runner.devices import specs
from bench.runner.steps import Progress, Walk
from bench.runner.stream import Stream
from bench.scenario import Cell, load
from bench.sut import ReferenceSut, SutError
from bench.testbed import VIRTUAL, load_testbed
from bench.verdict import Verdict

SILENCE_S: Final = 0.25
QUIET_WITHIN_S: Final = 20.0
START_WITHIN_S: Final = 20.0


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
    namespaces: dict[str, int] = field(default_factory=dict)
    receiver_port: int = 0


def main(channel: Any, argument: Mapping[str, Any]) -> int:
    """Run one cell; body of the sandbox's child.

    Args:
        channel: JSON messages to the worker: ``{"progress": …}``, at the end ``{"result": …}``.
        argument: scenario file, cell id, run folder, seed, backend, testbed file, calibrations, cache folder.
    """
    phases = Phases()
    started = datetime.now().astimezone()
    cell = find_cell(load(Path(argument["file"])), argument["cell"])
    testbed = load_testbed(Path(argument["testbed"])) if argument.get("testbed") else VIRTUAL
    cache = Path(argument["cache"]) if argument.get("cache") else None
    plan = make_plan(cell, testbed=testbed, backend=argument["backend"], seed=argument["seed"], cache=cache)
    folder = cell_dir(argument["run_dir"], cell.id)
    calibrations = Calibrations(argument.get("calibrations") or {})
    result = run_cell(
        plan,
        folder,
        calibrations=calibrations,
        scratch=cache,
        phases=phases,
        progress=lambda news: channel.send({"progress": dict(news)}),
        hold=bool(argument.get("hold")),
    )
    result = replace(result, start=started.isoformat(), end=datetime.now().astimezone().isoformat())
    write_cell(argument["run_dir"], result)
    channel.send({"result": result.verdict.value, "calibrations": calibrations.to_json()})
    return 0


def find_cell(scenario: Any, cell_id: str) -> Cell:
    """Return the cell of this id; LookupError if the scenario has changed since it was planned."""
    for cell in scenario.cells(mode="full"):
        if cell.id == cell_id:
            found: Cell = cell
            return found
    raise LookupError(f"{scenario.file} has no cell {cell_id}")


def run_cell(
    plan: Plan,
    folder: Path,
    *,
    calibrations: Calibrations,
    scratch: Path | None,
    phases: Phases,
    progress: Progress,
    hold: bool = False,
) -> CellResult:
    """Build the bench of ``plan``, walk through its steps, take it down and judge what was seen."""
    journal = JournalWriter(
        folder / "journal.jsonl",
        {"cell": plan.cell.id, "seed": plan.seed, "versions": library_versions(), "backend": plan.backend},
    )
    engine = Engine(plan.cell.allow)
    stream = Stream(journal, engine)
    stream.say("bench", "cell.start", cell=plan.cell.id, axes=dict(plan.cell.values), seed=plan.seed)
    live = Live(plan, folder, stream, scratch)
    walk: Walk | None = None
    try:
        build(live, calibrations, phases, progress)
        progress({"phase": "modality"})
        with phases.phase("modality start"):
            _start_sut(live)
        walk = Walk(plan, stream, live.hosts, live.network, _sut(live), progress)
        with phases.phase("steps"):
            walk.run()
        with phases.phase("quiet"):
            _settle(live, progress)
        if hold and any(not r.verdict.green for r in walk.results):
            _hold(live, progress)
    except Exception as error:
        live.errors.append(f"{type(error).__name__}: {error}")
        traceback.print_exc()
    finally:
        with phases.phase("teardown"):
            end(live)
    stream.say("bench", "cell.end")
    stream.close()
    live.errors += stream.errors
    live.errors += [
        f"events {first} to {last} of {source} never reached the journal"
        for source, gaps in journal.gaps.items()
        for first, last in gaps
    ]
    with stream.lock:
        report = engine.finish()
    seal = journal.close()
    with phases.phase("judge"):
        result = judge.judge(plan, walk, report, live.errors)
    seconds = (time.monotonic_ns() - phases.origin) / 1e9
    return replace(
        result,
        seconds=seconds,
        phases=tuple(phases.done),
        links=tuple(_links(live)),
        artefacts=tuple(_artefacts(folder)),
        journal=JournalSeal(events=seal.events, last=seal.last),
    )


def _sut(live: Live) -> ReferenceSut:
    assert live.sut is not None
    return live.sut


# ---------------------------------------------------------------------- building


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
    placed = [_placed(host, live) for host in plan.hosts]
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
        for host in live.hosts.values():
            host.wait_up(START_WITHIN_S)
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


PORT_OF: Final = {"generator": "port", "detector": "gvcp_port"}


def _placed(host: HostPlan, live: Live) -> HostPlan:
    """Give the actors of a host their ports and the folders of this cell that they write to."""
    actors = []
    for actor in host.actors:
        config = dict(actor.config)
        key = PORT_OF.get(actor.package, "port")
        if config.get(key) == 0:
            config[key] = live.network.port(host.name, actor.name, 0, udp=actor.package == "detector")
        if actor.package == "pacs":
            config["store"] = str(live.folder / "objects" / actor.name)
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
    capture = Capture(live.network, live.folder / "wire.pcapng")
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


def _start_sut(live: Live) -> None:
    plan, stream = live.plan, live.stream
    if plan.product != "vxvue":
        raise SutError(f"the reference modality does not implement {plan.product!r} yet")

    def claim(t: int, kind: str, data: dict[str, Any]) -> None:
        stream.publish("modality", None, t, kind, data)

    def say(kind: str, data: dict[str, Any]) -> None:
        stream.publish("sut", None, time.monotonic_ns(), kind, data)

    fd = live.namespaces.get("modality")
    if fd is None:
        inside: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    else:
        from bench.links import netns

        modality_fd = fd

        def inside() -> contextlib.AbstractContextManager[None]:
            return netns.inside(modality_fd)

    config = sut_config(live)
    live.sut = ReferenceSut(plan.product, config, live.folder, inside, say, claim, live.scratch)
    with stream.lock:
        stream.engine.scope.put(
            "modality",
            {
                "ae": config["ae_title"],
                "host": config["receiver"]["host"],
                "port": config["receiver"]["port"],
            },
        )
        stream.engine.scope.put("cell", {"id": plan.cell.id, "seed": plan.seed})
    live.sut.start()


def sut_config(live: Live) -> dict[str, Any]:
    """The plan's configuration of the SUT with the endpoints at which its peers really are."""
    plan = live.plan
    found = {name: e for host in live.hosts.values() for name, e in host.endpoints.items()}
    config = json.loads(json.dumps(plan.sut))
    config["receiver"]["port"] = live.receiver_port
    for service in ("worklist", "mpps"):
        if service in config:
            config[service].update(host=found["ris"]["host"], port=found["ris"]["port"])
    for destination in config["storage"]:
        where = found[destination["name"]]
        destination.update(host=where["host"], port=where["port"])
    detector, generator = found["detector"], found["generator"]
    from simulators.detector import Config as DetectorConfig

    panel = DetectorConfig.from_dict(
        next(a.config for h in plan.hosts for a in h.actors if a.package == "detector")
    )
    config["detector"] = {
        "address": detector["host"],
        "gvcp_port": detector["gvcp_port"],
        # From the panel's certificate, as an installer would type it in.
        "counts_per_ugy": panel.sensitivity,
        "local_address": "127.0.0.1"
        if plan.backend == "loopback"
        else live.network.address("modality", "detector"),
        "calibration": str(_panel_disc(panel, live.folder)),
        **config.get("detector", {}),
    }
    config["generator"] = {"url": generator["url"], **config.get("generator", {})}
    return config  # type: ignore[no-any-return]


def _panel_disc(panel: Any, folder: Path) -> Path:
    """Return the folder with the maps that come with this panel; made once per worker where it has a cache."""
    from simulators.detector import write_factory_calibration

    place = Path(panel.cache_dir) if panel.cache_dir else folder
    disc = place / f"disc-{panel.serial}-{panel.width}x{panel.height}-{panel.bits}-{panel.seed}"
    if not disc.exists():
        partial = disc.with_name(disc.name + ".part")
        partial.mkdir(parents=True, exist_ok=True)
        write_factory_calibration(panel, partial)
        partial.rename(disc)
    return disc


# ---------------------------------------------------------------------- ending


def _settle(live: Live, progress: Progress) -> None:
    """Wait for the windows that are still open, then for silence: only then can counts be judged."""
    stream = live.stream
    with stream.lock:
        until = stream.engine.open_until()
    if until is not None:
        progress({"await": "windows of 'never'", "within": (until - time.monotonic_ns()) / 1e9})
        stream.wait(lambda: False, until + 100_000_000)
    progress({"await": "silence", "within": QUIET_WITHIN_S})
    if not stream.quiesce(SILENCE_S, QUIET_WITHIN_S):
        stream.say("bench", "bench.note", message=f"no silence within {QUIET_WITHIN_S:g} s at the end")
    stream.drain()
    with stream.lock:
        stream.engine.observed(time.monotonic_ns() - 1)


def _hold(live: Live, progress: Progress) -> None:
    """Keep everything alive for a person to look at, until Ctrl-C ends the run."""
    pids = {name: host.pid for name, host in live.hosts.items()}
    if live.sut is not None and live.sut.pid is not None:
        pids["modality"] = live.sut.pid
    progress({"held": pids})
    threading.Event().wait()


def end(live: Live) -> None:
    """Take everything down in reverse order; every trouble is an error of the bench, except the SUT's own."""
    if live.sut is not None:
        trouble = _guard(live, "modality", live.sut.stop)
        if isinstance(trouble, str):
            live.errors.append(trouble)
    if live.capture is not None:
        live.captured = _guard(live, "capture", live.capture.stop)
        if live.captured is not None:
            for entry in live.captured.interfaces:
                facts = {"link": entry.link, "packets": entry.packets, "dropped": entry.dropped}
                live.stream.say("capture", "capture.stopped", file="wire.pcapng", **facts)
                if entry.dropped:
                    live.errors.append(f"the capture of {entry.link} lost {entry.dropped} packets")
    for host in reversed(list(live.hosts.values())):
        trouble = _guard(live, host.name, host.stop)
        if isinstance(trouble, str):
            live.errors.append(trouble)
    live.stream.drain()
    for fd in live.namespaces.values():
        os.close(fd)


def _guard(live: Live, name: str, do: Callable[[], Any]) -> Any:
    try:
        return do()
    except Exception as error:
        live.errors.append(f"ending {name}: {type(error).__name__}: {error}")
        traceback.print_exc()
        return None


def _links(live: Live) -> Iterator[LinkFidelity]:
    interfaces = {e.link: e for e in live.captured.interfaces} if live.captured is not None else {}
    for link in live.links:
        # The hospital LAN is captured once, at the modality's port: that is the modality's cable.
        entry = interfaces.get("lan" if link.name == "modality" else link.name)
        facts = (
            CaptureFacts(file="wire.pcapng", packets=entry.packets, dropped=entry.dropped) if entry else None
        )
        yield replace(link, capture=facts)


KINDS_OF_FILES: Final = (
    ("journal.jsonl", "journal"),
    ("wire.pcapng", "capture"),
    ("*.pcapng", "capture"),
    ("objects/**/*.dcm", "object"),
    ("truth/*.png", "truth"),
    ("modality.log", "log"),
    ("modality.yaml", "other"),
)


def _artefacts(folder: Path) -> Iterator[Artefact]:
    seen: set[Path] = set()
    for pattern, kind in KINDS_OF_FILES:
        for path in sorted(folder.glob(pattern)):
            if path in seen or not path.is_file():
                continue
            seen.add(path)
            digest = None
            if kind != "capture":  # hundreds of megabytes; the journal's events tie the capture to the run
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield Artefact(
                kind=kind, path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=digest
            )


__all__ = ["Live", "Phases", "Verdict", "find_cell", "main", "run_cell"]
