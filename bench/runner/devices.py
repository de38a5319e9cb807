"""How the plan's simulators are built inside a host process.

Rules of this file:

* Imports happen inside the builders: the warm process that hosts are forked from has them loaded already.
* The devices of an X-ray front end share one world, made in their own process and visible to nobody else.
* A medium's process alone mounts; it alone may wait for its product.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from bench.plan import HostPlan
from bench.runner.actors import ActorSpec
from simulators.base import CommandError, Emit, Simulator

if TYPE_CHECKING:
    from simulators.generator import Generator
    from simulators.world import World

Build = Callable[[Emit, Mapping[str, Any]], Simulator]

PRELOAD = (
    "numpy",
    "pydicom",
    "bench.runner.cell",
    "bench.scenario.steps",
    "simulators.pacs",
    "simulators.ris",
    "simulators.world",
    "simulators.detector.detector",
    "simulators.detector.imaging",
    "simulators.generator",
    "simulators.panel",
    "simulators.ultrasound",
    "simulators.ultrasound.contacts",
    "simulators.generator.line",
    "bench.volumes.actor",
    "bench.judge.volumes",
    "PIL.Image",
)
"""What the warm process of a worker imports before its first cell."""

PRELOAD_NETWORK = (
    "bench.links.veth",
    "bench.links.capture",
    "pyroute2.netlink.rtnl.ifaddrmsg",
    "pyroute2.netlink.rtnl.ifinfmsg",
    "pyroute2.netlink.rtnl.ndmsg",
    "pyroute2.netlink.rtnl.tcmsg",
)
"""The same for a network of namespaces; it exists on Linux only."""


def preload(backend: str) -> tuple[str, ...]:
    """Return what a worker's warm process imports for this link backend."""
    names = PRELOAD if backend == "loopback" else (*PRELOAD, *PRELOAD_NETWORK)
    return tuple(name for name in names if _there(name))


def _there(name: str) -> bool:
    """Tell whether a module exists, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


class _WorldActor:
    """The world as an actor of the front end: a scenario may change what lies in the beam."""

    def __init__(self, world: World) -> None:
        self._world = world

    def start(self) -> Mapping[str, Any]:
        return {"phantom": self._world.phantom}

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        if verb == "phantom":
            self._world.place(phantom=str(args["name"]))
            return {"phantom": self._world.phantom}
        if verb == "sid":
            self._world.place(sid_mm=float(args["mm"]))
            return {"sid_mm": self._world.sid_mm}
        raise CommandError(f"the world cannot {verb!r}; it knows phantom and sid")

    def stop(self) -> None:
        """Nothing to end: the world has neither threads nor sockets."""


class _FrontEnd:
    """Builders of one front end; each device is given what it is wired to."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.generator: Generator | None = None

    def build_world(self, emit: Emit, config: Mapping[str, Any]) -> Simulator:
        from simulators.world import World

        self.world = World(**config, emit=emit)
        return _WorldActor(self.world)

    def build_detector(self, emit: Emit, config: Mapping[str, Any]) -> Simulator:
        from simulators.detector import Config, create

        assert self.world is not None
        return create(Config.from_dict(config), emit, self.world)

    def build_generator(self, emit: Emit, config: Mapping[str, Any]) -> Simulator:
        from simulators.generator import Config, create

        self.generator = create(Config.from_dict(config), emit, self.world)
        return self.generator

    def build_panel(self, emit: Emit, config: Mapping[str, Any]) -> Simulator:
        from simulators.panel import Config, create

        assert self.world is not None
        assert self.generator is not None
        return create(Config.from_dict(config), emit, self.world, self.generator)


TAP_S: Final = 0.12
"""How long a contact is closed when it is tapped."""


class Bedside:
    """Foot switch, freeze key and barcode reader of an ultrasound console as one actor, as they hang on one trolley."""

    def __init__(self, emit: Emit, config: Mapping[str, Any]) -> None:
        from simulators.ultrasound.contacts import BarcodeReader, Contacts

        host = str(config.get("host", "127.0.0.1"))
        self._contacts = Contacts(emit, host, int(config.get("contacts_port", 0)))
        self._reader = BarcodeReader(emit, host, int(config.get("barcode_port", 0)))

    def start(self) -> Mapping[str, Any]:
        """Open both lines; returns their URLs."""
        return {"footswitch": self._contacts.start()["url"], "barcode": self._reader.start()["url"]}

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Tread, press or read."""
        if verb in ("footswitch", "freeze"):
            how = str(args.get("how", "tap"))
            if how != "tap":
                return self._contacts.command(how, {"contact": verb})
            self._contacts.command("press", {"contact": verb})
            # A foot or finger is never quicker; consoles look at a line some 50 times a second.
            time.sleep(TAP_S)
            return self._contacts.command("release", {"contact": verb})
        if verb == "barcode":
            return self._reader.command("scan", args)
        raise CommandError(f"beside a probe nothing can {verb!r}; there are footswitch, freeze, barcode")

    def stop(self) -> None:
        """Close both lines; idempotent."""
        self._contacts.stop()
        self._reader.stop()


def _build_ultrasound(emit: Emit, config: Mapping[str, Any]) -> Simulator:
    from simulators.ultrasound import Config, create

    return create(Config.from_dict(config), emit)


def _build_volume(emit: Emit, config: Mapping[str, Any]) -> Simulator:
    from bench.volumes.actor import Config, create

    return create(Config.from_dict(config), emit)


def _build_ris(emit: Emit, config: Mapping[str, Any]) -> Simulator:
    from simulators.ris import Config, create

    return create(Config.from_dict(config), emit)


def _build_pacs(emit: Emit, config: Mapping[str, Any]) -> Simulator:
    from simulators.pacs import Config, create

    return create(Config.from_dict(config), emit)


def specs(host: HostPlan) -> list[ActorSpec]:
    """Return what a host process has to build, in the order of building."""
    front_end = _FrontEnd()
    builders: Mapping[str, Build] = {
        "world": front_end.build_world,
        "detector": front_end.build_detector,
        "generator": front_end.build_generator,
        "panel": front_end.build_panel,
        "ris": _build_ris,
        "pacs": _build_pacs,
        "ultrasound": _build_ultrasound,
        "bedside": Bedside,
        "volume": _build_volume,
    }
    return [ActorSpec(actor.name, builders[actor.package], actor.config) for actor in host.actors]
