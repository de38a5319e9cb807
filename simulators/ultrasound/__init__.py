"""A simulated ultrasound front end: OpenIGTLink pictures of a scatterer phantom, with knobs and geometry."""

from __future__ import annotations

from simulators.base import Emit
from simulators.ultrasound.config import Config
from simulators.ultrasound.device import Ultrasound

__all__ = ["Config", "Ultrasound", "create"]


def create(config: Config, emit: Emit) -> Ultrasound:
    """Build a front end."""
    return Ultrasound(config, emit)
