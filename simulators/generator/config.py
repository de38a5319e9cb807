"""How a generator simulator is configured."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from simulators.generator.machine import Limits


@dataclass(frozen=True)
class Config:
    """One generator.  Times in ms, baud in bit/s; ``port`` 0 lets the system choose."""

    transport: Literal["rfc2217", "socket", "pty"] = "rfc2217"
    host: str = "127.0.0.1"
    port: int = 0
    baud: int = 19200
    strict_baud: bool = True
    """A client at another speed than the generator's is understood as noise, as on a real line."""
    pace: bool = True
    """Let every byte take its ten bit times, both ways."""
    second_client: Literal["wait", "refuse"] = "wait"
    checksum_reply: Literal["error", "ignore"] = "error"
    """Answer a bad checksum with error code 1 (PMX), or not at all (SLM)."""
    prep_ms: int = 2000
    cooldown_ms: int = 500
    max_kw: float = 80.0
    heat_capacity_hu: float = 300_000.0
    cooling_s: float = 300.0
    name: str = "generator"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("transport", ("rfc2217", "socket", "pty")),
            ("second_client", ("wait", "refuse")),
            ("checksum_reply", ("error", "ignore")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be 0-65535, not {self.port}")
        if not 300 <= self.baud <= 4_000_000:
            raise ValueError(f"baud must be 300-4000000, not {self.baud}")
        if not 0 <= self.prep_ms <= 5000:
            raise ValueError(f"prep_ms must be 0-5000, not {self.prep_ms}")
        if self.cooldown_ms < 0 or self.max_kw <= 0 or self.heat_capacity_hu <= 0 or self.cooling_s <= 0:
            raise ValueError("cooldown_ms, max_kw, heat_capacity_hu and cooling_s must be positive")

    @property
    def limits(self) -> Limits:
        """The part that the state machine needs."""
        return Limits(self.prep_ms, self.cooldown_ms, self.max_kw, self.heat_capacity_hu, self.cooling_s)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Config:
        """Build a configuration from parsed YAML or JSON.

        Raises :class:`ValueError` naming an unknown key (and the nearest known one) or a wrong value.
        """
        known = {f.name: f for f in fields(cls)}
        for key, value in data.items():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"generator: unknown key {key!r}{hint}")
            default = known[key].default
            wanted = (int, float) if isinstance(default, float) else (type(default),)
            if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
                raise ValueError(f"generator: {key} must be {type(default).__name__}, not {value!r}")
        return cls(**data)
