"""The knobs of the device: what they are called, what they may be, how they are said on the line.

Rules of this file:

* A setting is text ``depth=120;gain=6;freeze=1`` (STRING, COMMAND) or plain data (scenario steps); both mean the same.
* A wrong name or value refuses the whole setting and says what is possible; nothing is half set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from simulators.ultrasound.probe import PROBES

MODES: Final = ("B", "colour", "M", "PW")
SIZES: Final[Mapping[str, tuple[int, int]]] = {"640x480": (640, 480), "1024x768": (1024, 768)}
NAMES: Final = ("depth", "gain", "dynamic_range", "freeze", "probe", "mode")


@dataclass(frozen=True)
class Knobs:
    """Depth in mm, gain and dynamic range in dB."""

    depth: float = 160.0
    gain: float = 0.0
    dynamic_range: float = 60.0
    freeze: bool = False
    probe: str = "C5-2"
    mode: str = "B"

    def __post_init__(self) -> None:
        if self.probe not in PROBES:
            raise ValueError(f"there is no probe {self.probe!r}; there are {', '.join(PROBES)}")
        if self.mode not in MODES:
            raise ValueError(f"there is no mode {self.mode!r}; there are {', '.join(MODES)}")
        probe = PROBES[self.probe]
        for name, value, low, high in (
            ("depth", self.depth, probe.min_depth_mm, probe.max_depth_mm),
            ("gain", self.gain, -30.0, 30.0),
            ("dynamic_range", self.dynamic_range, 30.0, 90.0),
        ):
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{name} must be {low:g} to {high:g}, not {value:g}")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: getattr(self, name) for name in NAMES}

    def turned(self, values: Mapping[str, Any]) -> Knobs:
        """These knobs with some of them set; another probe brings its own depth.  Raises :class:`ValueError`."""
        new: dict[str, Any] = {}
        for name, value in values.items():
            if name not in NAMES:
                raise ValueError(f"there is no knob {name!r}; there are {', '.join(NAMES)}")
            new[name] = _value(name, value)
        if new.get("probe", self.probe) != self.probe and "depth" not in new and new["probe"] in PROBES:
            new["depth"] = PROBES[new["probe"]].depth_mm
        return replace(self, **new)


def _value(name: str, value: Any) -> Any:
    if name in ("probe", "mode"):
        if not isinstance(value, str):
            raise ValueError(f"{name} is a name, not {value!r}")
        return next((m for m in (*MODES, *PROBES) if m.lower() == value.lower()), value)
    if name == "freeze":
        text = str(value).lower()
        if text not in ("0", "1", "true", "false", "on", "off"):
            raise ValueError(f"freeze is 0 or 1, not {value!r}")
        return text in ("1", "true", "on")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{name} must be a number, not {value!r}")
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {value!r}") from None


def parse(text: str) -> dict[str, str]:
    """Read ``name=value;name=value``; raises :class:`ValueError`."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part.strip()!r} is not name=value")
        found[name.strip()] = value.strip()
    if not found:
        raise ValueError("no knob was named")
    return found
