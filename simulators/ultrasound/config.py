"""How an ultrasound front end is configured."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from simulators.ultrasound.knobs import SIZES, Knobs

PORT: Final = 18944
"""The port that OpenIGTLink programs look at first."""


@dataclass(frozen=True)
class Config:
    """One front end; ``port`` 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = PORT
    size: str = "640x480"
    fps: float = 30.0
    bank: bool = True
    """Stream from the cine bank; off: synthesise every frame."""
    seed: int = 1
    protocol: int = 3
    """OpenIGTLink version: 3 sends metadata with every picture, 1 and 2 have the older header."""
    max_clients: int = 4
    queue: int = 8
    """Pictures that may wait for one client; then its oldest is thrown away and told."""
    model: str = "US-1"
    serial: str = "US000001"
    probe: str = "C5-2"
    mode: str = "B"
    depth: float = 160.0
    gain: float = 0.0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"ultrasound: size must be one of {', '.join(SIZES)}, not {self.size!r}")
        for name, low, high in (
            ("port", 0, 65535),
            ("fps", 1, 60),
            ("protocol", 1, 3),
            ("max_clients", 1, 64),
            ("queue", 1, 256),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"ultrasound: {name} must be {low} to {high}, not {value!r}")
        try:
            _ = self.knobs
        except ValueError as error:
            raise ValueError(f"ultrasound: {error}") from None

    @property
    def knobs(self) -> Knobs:
        """How the knobs stand after power-up."""
        return Knobs(depth=self.depth, gain=self.gain, probe=self.probe, mode=self.mode)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Build from plain data; raises :class:`ValueError` naming what is wrong."""
        known = {f.name: f for f in fields(cls)}
        for name, value in values.items():
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
                raise ValueError(f"ultrasound: unknown key {name!r}{hint}")
            default = known[name].default
            wanted = (int, float) if isinstance(default, float) else (type(default),)
            if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
                raise ValueError(f"ultrasound: {name}: {value!r} is not what is wanted here")
        return cls(**dict(values))
