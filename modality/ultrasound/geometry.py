"""From the front end's own words (STRING UsSettings, JSON) to settings and calibrated regions.

Rules of this file:

* Sans-I/O; whatever is said, the outcome is :class:`Settings` or a :class:`ValueError` that says what is wrong.
* Every number of a region was said by the front end.  Only units are turned (mm to cm, which PS3.3 C.8.5.5 wants), and
  the reference is moved to the nearest whole pixel (Reference Pixel X0/Y0 are integers) with the value that is there.
* A region of an unknown kind or unit, outside the picture or without a scale is left out and named, never guessed.
* Flags (PS3.3 C.8.5.5.1.3): bit 0 (low priority) for tissue under a colour box; the Doppler scale is velocity
  (bit 2 is 0) when its unit is one of velocity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from modality.ultrasound.model import Region, Settings

TEXT_LIMIT: Final = 65536
REGION_LIMIT: Final = 16

KINDS: Final[Mapping[str, tuple[int, int]]] = {
    "tissue": (1, 1),
    "colour": (1, 2),
    "motion": (2, 1),
    "spectrum": (3, 3),
}
"""Kind -> Region Spatial Format (C.8.5.5.1.1) and Region Data Type (C.8.5.5.1.2)."""
UNITS: Final[Mapping[str, tuple[int, float]]] = {
    "cm": (3, 1.0),
    "mm": (3, 0.1),
    "s": (4, 1.0),
    "ms": (4, 0.001),
    "Hz": (5, 1.0),
    "cm/s": (7, 1.0),
    "mm/s": (7, 0.1),
}
"""Unit -> Physical Units (C.8.5.5.1.15) and what it is multiplied by."""
LOW_PRIORITY: Final = 1
FREQUENCY_SCALE: Final = 4


def read_settings(text: str) -> tuple[Settings, tuple[str, ...]]:
    """Settings, and why regions were left out.  Raises :class:`ValueError`."""
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"settings of {len(text)} characters")
    try:
        said = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("settings that are not JSON") from None
    top = _mapping(said, "settings")
    knobs = _mapping(top.get("knobs"), "knobs")
    geometry = _mapping(top.get("geometry"), "geometry")
    columns, rows = _whole(geometry, "width"), _whole(geometry, "height")
    components = _whole(geometry, "components")
    if not (1 <= columns <= 65535 and 1 <= rows <= 65535 and components in (1, 3)):
        raise ValueError(f"a picture of {columns} x {rows} with {components} components")
    spacing = _number(geometry, "spacing_mm")
    if spacing < 0:
        raise ValueError(f"spacing of {spacing} mm")
    regions, left_out = _regions(geometry.get("regions"), columns, rows)
    settings = Settings(
        depth_mm=_number(knobs, "depth"),
        gain_db=_number(knobs, "gain"),
        dynamic_range_db=_number(knobs, "dynamic_range"),
        mode=_string(knobs, "mode"),
        probe=_string(knobs, "probe"),
        frozen=knobs.get("freeze") is True,
        geometry=_whole(top, "number"),
        columns=columns,
        rows=rows,
        components=components,
        spacing_mm=(spacing, spacing),
        regions=regions,
        first=_whole(top, "from") if "from" in top else 0,
        fps=max(0.0, _number(top, "fps")),
        model=_string(top, "model"),
        serial=_string(top, "serial"),
    )
    return settings, left_out


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"no {what}")
    return value


def _number(values: Mapping[str, Any], name: str) -> float:
    return _real(values.get(name), name)


def _real(value: Any, name: str) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or abs(value) > 1e12
        or math.isnan(value)
    ):
        raise ValueError(f"{name} is not a number")
    return float(value)


def _whole(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 62:
        raise ValueError(f"{name} is not a whole number")
    return value


def _string(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(f"{name} is not a text")
    return value


def _regions(said: Any, columns: int, rows: int) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    if not isinstance(said, list) or len(said) > REGION_LIMIT:
        return (), ("regions are not a list",)
    good: list[Region] = []
    left_out: list[str] = []
    colour = any(isinstance(r, dict) and r.get("kind") == "colour" for r in said)
    for i, one in enumerate(said):
        try:
            good.append(_region(_mapping(one, "region"), columns, rows, colour))
        except ValueError as error:
            left_out.append(f"region {i + 1}: {error}")
    return tuple(good), tuple(left_out)


def _list(said: Mapping[str, Any], name: str, count: int) -> list[Any]:
    value = said.get(name)
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"{name} has not {count} values")
    return value


def _region(said: Mapping[str, Any], columns: int, rows: int, colour: bool) -> Region:
    kind = said.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind {str(kind)[:20]!r} is not known")
    corners = _list(said, "rectangle", 4)
    if any(isinstance(c, bool) or not isinstance(c, int) for c in corners):
        raise ValueError("rectangle is not of whole pixels")
    x0, y0, x1, y1 = corners
    if not (0 <= x0 < x1 < columns and 0 <= y0 < y1 < rows):
        raise ValueError(f"rectangle {corners} does not lie in {columns} x {rows}")
    axes = []
    sizes = (x1 - x0, y1 - y0)
    lists = [_list(said, name, 2) for name in ("units", "delta", "reference", "value")]
    for unit, delta, reference, value, size in zip(*lists, sizes, strict=True):
        axes.append(_axis(unit, delta, reference, value, size))
    (unit_x, delta_x, at_x, value_x), (unit_y, delta_y, at_y, value_y) = axes
    flags = 0
    if colour and kind == "tissue":
        flags |= LOW_PRIORITY
    if kind == "spectrum" and unit_y == UNITS["Hz"][0]:
        flags |= FREQUENCY_SCALE
    codes = (
        *KINDS[kind],
        flags,
        x0,
        y0,
        x1,
        y1,
        unit_x,
        unit_y,
        delta_x,
        delta_y,
        at_x,
        at_y,
        value_x,
        value_y,
    )
    return Region(*codes)


def _axis(unit: Any, delta: Any, reference: Any, value: Any, size: int) -> tuple[int, float, int, float]:
    """Unit code, value per pixel, whole reference pixel inside the region, value there."""
    if not isinstance(unit, str) or unit not in UNITS:
        raise ValueError(f"unit {str(unit)[:20]!r} is not known")
    code, factor = UNITS[unit]
    step = _real(delta, "delta")
    if step == 0:
        raise ValueError("a scale of 0")
    place, there = _real(reference, "reference"), _real(value, "value")
    whole = min(max(round(place), 0), size)
    return code, step * factor, whole, (there + (whole - place) * step) * factor
