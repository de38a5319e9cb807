"""Configuration that every DICOM server simulator has.

Rules of this file:

* Frozen; built by :meth:`ServerConfig.from_dict`, which rejects unknown keys and wrong types by name.
* Every number a peer could abuse has a default here.  Times are seconds, sizes bytes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, Self

_LONGEST_S: Final = 10_000_000


class ConfigError(ValueError):
    """A configuration states something that is not known or not possible."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What a DICOM server is told."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 0
    """TCP port; 0 lets the system choose one."""
    ae_title: str = "BENCH"
    """Own AE title."""
    max_pdu: int = 16384
    """Longest P-DATA-TF variable field that is announced (PS3.8 D.1); 0 announces no limit."""
    accept_called: tuple[str, ...] | None = None
    """Called AE titles that are accepted; None: only the own one; empty: any (else rejected 1/1/7)."""
    accept_calling: tuple[str, ...] | None = None
    """Calling AE titles that are accepted; None: any (else rejected 1/1/3)."""
    max_associations: int = 256
    """Connections at a time; beyond it the oldest half-open one is closed, else the new one is rejected 2/3/2."""
    artim_s: float = 30.0
    """ARTIM: time for a request after the connection, and for the peer to close after a release or reject."""
    idle_s: float = 600.0
    """Longest silence of an association between two messages."""
    dimse_s: float = 60.0
    """Longest silence within a message, and longest time that the peer may refuse to take an answer."""
    max_dataset: int = 4 << 20
    """Data sets that are kept in memory (identifiers, MPPS) may be so long; objects are streamed."""
    max_object: int = 4 << 30
    """Data sets of C-STORE may be so long."""
    tcp_nodelay: bool = True
    """False leaves Nagle's algorithm on, as many products do."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.ae_title) <= 16:
            raise ConfigError(f"ae_title must have 1 to 16 characters, not {self.ae_title!r}")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be 0 to 65535, not {self.port}")
        if self.max_pdu and not 1024 <= self.max_pdu <= 1 << 20:
            raise ConfigError(f"max_pdu must be 0 or 1024 to {1 << 20}, not {self.max_pdu}")
        for name in ("max_associations", "max_dataset", "max_object"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be positive")
        for name in ("artim_s", "idle_s", "dimse_s"):
            if not 0 < getattr(self, name) <= _LONGEST_S:  # not a number is neither
                raise ConfigError(f"{name} must be positive, and {_LONGEST_S} s at most")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the configuration; raises :class:`ConfigError` naming the key that is wrong."""
        known = {f.name: f for f in fields(cls)}
        ready: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
                raise ConfigError(f"unknown configuration key {key!r}{hint}")
            default = known[key].default
            if isinstance(value, list):
                value = tuple(value)
            if default is not MISSING and default is not None and value is not None:
                value = _like(key, value, default)
            ready[key] = value
        return cls(**ready)


def _like(key: str, value: Any, default: Any) -> Any:
    """Accept numbers written as text (scenario files do not guess), refuse what cannot be meant."""
    try:
        if isinstance(default, bool):
            if isinstance(value, bool):
                return value
            if str(value).lower() in ("true", "false"):
                return str(value).lower() == "true"
            raise ValueError
        if isinstance(default, int):
            if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
                raise ValueError
            return int(value)
        if isinstance(default, float):
            return float(value)
        if isinstance(default, str) and not isinstance(value, str):
            raise ValueError
        if isinstance(default, tuple) and isinstance(value, str):
            return (value,)
    except (TypeError, ValueError):
        raise ConfigError(f"{key}: {value!r} is no {type(default).__name__}") from None
    return value
