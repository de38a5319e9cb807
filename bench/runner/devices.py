"""How the plan's simulators are built inside a host process.

Rules of this file:

* Imports happen inside the builders: the warm process that hosts are forked from has them loaded already.
* The devices of the front end share one world, made in their own process and visible to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bench.plan import HostPlan
from bench.runner.actors import ActorSpec
from simulators.base import CommandError, Emit, Simulator

if TYPE_CHECKING:
    from simulators.world import World

PRELOAD = (
    "numpy",
    "pydicom",
    "bench.runner.cell",
    "simulators.pacs",
    "simulators.ris",
    "simulators.world",
    "simulators.detector",
    "simulators.generator",
    "simulators.panel",
    "PIL.Image",
)
"""What the warm process of a worker imports before its first cell."""


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
    """Builders of one front end; the world is made by the first and used by the others."""

    def __init__(self) -> None:
        self.world: World | None = None

    def build_world(self, emit: Emit, config: Mapping[str, Any]) -> Simulator:
        from simulators.world import World

        self.world = World(**config, emit=emit)
        return _WorldActor(self.world)

    def build(self, package: str) -> Callable[[Emit, Mapping[str, Any]], Simulator]:
        def device(emit: Emit, config: Mapping[str, Any]) -> Simulator:
            import importlib

            create = importlib.import_module(f"simulators.{package}").create
            simulator: Simulator = create(config, emit, self.world)
            return simulator

        return device


def _peer(package: str) -> Callable[[Emit, Mapping[str, Any]], Simulator]:
    def build(emit: Emit, config: Mapping[str, Any]) -> Simulator:
        import importlib

        simulator: Simulator = importlib.import_module(f"simulators.{package}").create(config, emit)
        return simulator

    return build


def specs(host: HostPlan) -> list[ActorSpec]:
    """Return what a host process has to build, in the order of building."""
    front_end = _FrontEnd()
    found = []
    for actor in host.actors:
        if actor.package == "world":
            build = front_end.build_world
        elif host.name == "frontend":
            build = front_end.build(actor.package)
        else:
            build = _peer(actor.package)
        found.append(ActorSpec(actor.name, build, actor.config))
    return found
