"""A simulated X-ray generator: a Spellman-style serial line, a state machine, and photons in the world."""

from __future__ import annotations

from simulators.base import Emit
from simulators.generator.config import Config
from simulators.generator.device import Generator
from simulators.world.bus import World

__all__ = ["Config", "Generator", "create"]


def create(config: Config, emit: Emit, world: World | None = None) -> Generator:
    """Build a generator in a world (in a world of its own when none is given)."""
    return Generator(config, emit, world or World(emit=emit))
