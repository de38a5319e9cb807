"""The hand switch: two stages, pressed by a scenario instead of a thumb."""

from __future__ import annotations

from simulators.base import Emit
from simulators.generator import Generator
from simulators.panel.handswitch import Config, HandSwitch
from simulators.world.bus import World

__all__ = ["Config", "HandSwitch", "create"]


def create(config: Config, emit: Emit, world: World, generator: Generator) -> HandSwitch:
    """Build the hand switch that is wired to a generator by the contacts of their common world."""
    return HandSwitch(config, emit, world, generator)
