"""A flat-panel X-ray detector: a GigE Vision 1.2 device over real UDP (GVCP, GVSP, GenICam XML).

It sees photons only from :mod:`simulators.world`.  ``create`` builds one, ``write_factory_calibration`` makes the disc
that comes with the panel.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulators.detector.config import Config

if TYPE_CHECKING:
    from simulators.base import Emit
    from simulators.detector.detector import Detector
    from simulators.world import World

__all__ = ["Config", "create", "write_factory_calibration"]


def create(config: Config, emit: Emit, world: World | None = None) -> Detector:
    """Build a detector in a world (its own, dark one if none is given); nothing is opened yet."""
    from simulators.detector.detector import Detector
    from simulators.world import World

    return Detector(config, emit, World(seed=config.seed, emit=emit) if world is None else world)


def write_factory_calibration(config: Config, folder: str | Path) -> None:
    """Write offset.map, gain.map and defect.map, measured from simulated darks and flats, into ``folder``."""
    from simulators.detector.calibration import write

    write(config, Path(folder))
