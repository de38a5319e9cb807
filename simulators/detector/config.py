"""Configuration of the simulated detector.

Rules of this file:

* A configuration is a frozen value; unknown keys and impossible values are errors that name the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from simulators.detector import gvcp


@dataclass(frozen=True)
class Config:
    """One detector.

    ``rate_mbps`` caps the pace on the line (Mbit/s, line bytes; 0: 97 % of the link's speed); ``link_mbps`` is the
    negotiated speed; ``broadcast`` also answers broadcast discovery (only in namespaces of a bench).
    """

    host: str = "127.0.0.1"
    serial: str = "FPD-0001"
    model: str = "FPD-4343"
    vendor: str = "Modality Bench"
    user_name: str = "bucky"
    width: int = 3072
    height: int = 3072
    pixel_pitch_mm: float = 0.139
    bits: int = 16
    full_scale_ugy: float = 60.0
    """Air kerma at the detector in µGy that reaches the largest count."""
    seed: int = 1
    rate_mbps: float = 0.0
    link_mbps: int = 1000
    gvcp_port: int = gvcp.PORT
    broadcast: bool = False
    temperature_c: float = 30.0
    cache_dir: str | None = None
    truth_dir: str | None = None
    warm: bool = False
    """Draw what lies in the beam as soon as the detector starts, and not at the first exposure."""
    plain_send: bool = False
    """Send with sendmsg even where sendmmsg exists."""

    def __post_init__(self) -> None:
        if self.width % 16 or not 64 <= self.width <= 8192:
            raise ValueError(f"detector.width must be a multiple of 16 from 64 to 8192, not {self.width}")
        if self.height % 16 or not 64 <= self.height <= 8192:
            raise ValueError(f"detector.height must be a multiple of 16 from 64 to 8192, not {self.height}")
        if self.bits not in (14, 16):
            raise ValueError(f"detector.bits must be 14 or 16, not {self.bits}")
        if self.link_mbps not in (10, 100, 1000):
            raise ValueError(f"detector.link_mbps must be 10, 100 or 1000, not {self.link_mbps}")
        if not 0 <= self.gvcp_port <= 65535:
            raise ValueError(f"detector.gvcp_port must be 0 to 65535, not {self.gvcp_port}")
        for name in ("pixel_pitch_mm", "full_scale_ugy"):
            if not getattr(self, name) > 0:
                raise ValueError(f"detector.{name} must be positive, not {getattr(self, name)}")
        if self.rate_mbps < 0:
            raise ValueError(f"detector.rate_mbps must not be negative, not {self.rate_mbps}")
        for name in ("serial", "user_name"):
            if len(getattr(self, name).encode()) > 15 or not getattr(self, name).isprintable():
                raise ValueError(f"detector.{name} must be printable and at most 15 bytes")

    @property
    def sensitivity(self) -> float:
        """Counts per µGy of air kerma at the detector."""
        return ((1 << self.bits) - 1) / self.full_scale_ugy

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Build from plain data; raises :class:`ValueError` naming what is wrong."""
        known = {f.name: f for f in fields(cls)}
        if unknown := set(values) - set(known):
            raise ValueError(
                f"detector: unknown {', '.join(sorted(unknown))}; known keys are {', '.join(sorted(known))}"
            )
        for name, value in values.items():
            default = known[name].default
            if default is None:
                good = value is None or isinstance(value, str)
            elif isinstance(default, bool):
                good = isinstance(value, bool)
            elif isinstance(default, float):
                good = isinstance(value, int | float) and not isinstance(value, bool)
            else:
                good = isinstance(value, type(default)) and not isinstance(value, bool)
            if not good:
                raise ValueError(f"detector.{name}: {value!r} is not what is wanted here")
        return cls(**dict(values))
