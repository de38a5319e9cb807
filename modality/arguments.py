"""What a verb was given: read with a refusal that names the argument.

Rules of this file: pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .control import Refused


def text_of(args: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """One argument as text; without a default it must be there."""
    value = args.get(key, default)
    if value is None:
        raise Refused(f"{key} is missing")
    return str(value)


def number_of(args: Mapping[str, Any], key: str, default: float) -> float:
    """Seconds between 0 and a day."""
    value = args.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise Refused(f"{key} must be seconds, not {value!r}")
    return float(value)


def mapping_of(value: Any, what: str) -> dict[str, Any]:
    """An object, or nothing."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(f"{what} must be an object of keywords")
    return value


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ``above`` over those of ``below``; objects merge, everything else replaces."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = overlay(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
