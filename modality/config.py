"""The settings that every console has: who it is, whom it speaks with, and how patient it is.

Rules of this file: a product adds its own settings in ``products/NAME/config.py`` by a subclass of :class:`Config` and
a reader that takes :func:`common`; a setting that only one product knows is an unknown key to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .settings import ConfigError, Section

if TYPE_CHECKING:
    from .products.profile import Profile

__all__ = ["AUTO_SEND", "Config", "ConfigError", "Peer", "Timeouts", "WorklistPeer", "common", "peer"]

AUTO_SEND: Final = ("complete", "accept", "off")


@dataclass(frozen=True)
class Peer:
    """One remote application entity (VX-CFG-002 and following, MX-CFG-001 … 012)."""

    name: str
    ae_title: str
    host: str
    port: int = 104


@dataclass(frozen=True)
class WorklistPeer(Peer):
    """The worklist provider and which keys are asked for (VX-CFG-017)."""

    remove_keys: tuple[str, ...] = ()
    add_keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Timeouts:
    """Seconds (VX-D-05, MX-D-04)."""

    connect: float = 10.0
    association: float = 30.0
    dimse: float = 30.0
    idle: float = 60.0


@dataclass(frozen=True)
class Config:
    """The common settings of one console."""

    data_dir: Path
    control: Path
    profile: Profile
    ae_title: str = ""
    station_name: str = ""
    worklist: WorklistPeer | None = None
    storage: tuple[Peer, ...] = ()
    charset: tuple[str, ...] = ("ISO_IR 192",)
    timeouts: Timeouts = field(default_factory=Timeouts)
    auto_send: str = "complete"
    auto_retry: bool = False
    retry_interval: float = 60.0
    institution: str = ""
    institution_address: str = ""
    department: str = ""
    manufacturer: str = ""
    operator: str = ""
    modality: str = ""

    @property
    def peers(self) -> dict[str, Peer]:
        """Every configured peer by the name that the operator knows."""
        peers: dict[str, Peer] = {peer.name: peer for peer in self.storage}
        if self.worklist:
            peers["worklist"] = self.worklist
        return peers


def common(top: Section, standard: type[Config]) -> dict[str, Any]:
    """The common settings of a file, as arguments of ``standard``, whose defaults count."""
    timeouts = top.section("timeouts")
    patience = Timeouts()
    worklist = top.section("worklist") if "worklist" in top else None
    found = {
        "data_dir": Path(top.text("data_dir", required=True)),
        "control": Path(top.text("control", required=True, limit=100)),
        "ae_title": top.ae("ae_title", standard.ae_title),
        "station_name": top.text("station_name", standard.station_name, limit=16),
        "worklist": _worklist(worklist) if worklist else None,
        "storage": _storage(top.sections("storage")),
        "charset": top.texts("charset", standard.charset),
        "timeouts": Timeouts(
            connect=timeouts.number("connect", patience.connect),
            association=timeouts.number("association", patience.association),
            dimse=timeouts.number("dimse", patience.dimse),
            idle=timeouts.number("idle", patience.idle),
        ),
        "auto_send": _auto_send(top),
        "auto_retry": top.boolean("auto_retry", standard.auto_retry),
        "retry_interval": top.number("retry_interval", standard.retry_interval),
        "institution": top.text("institution", limit=64),
        "institution_address": top.text("institution_address"),
        "department": top.text("department", limit=64),
        "manufacturer": top.text("manufacturer", standard.manufacturer, limit=64),
        "operator": top.text("operator", limit=64),
        "modality": top.text("modality", standard.modality, limit=16),
    }
    timeouts.done()
    return found


def peer(section: Section, name: str) -> Peer:
    """One peer; the caller ends the section."""
    return Peer(
        name=name,
        ae_title=section.ae("ae_title", required=True),
        host=section.text("host", required=True, limit=253),
        port=section.integer("port", 104, 1, 65535),
    )


def _worklist(section: Section) -> WorklistPeer:
    found = peer(section, "worklist")
    keys = section.section("keys")
    added = keys.section("add")
    extra = {key: added.text(key) for key in added.given()}
    removed = keys.texts("remove", ())
    keys.done()
    section.done()
    return WorklistPeer(found.name, found.ae_title, found.host, found.port, removed, extra)


def _storage(sections: list[Section]) -> tuple[Peer, ...]:
    peers: list[Peer] = []
    for section in sections:
        name = section.text("name", required=True, limit=64)
        found = peer(section, name)
        section.done()
        if any(p.name == name for p in peers):
            section.fault("name", f"two destinations are called {name!r}")
        peers.append(found)
    return tuple(peers)


def _auto_send(top: Section) -> str:
    value = top.text("auto_send", "complete")
    word = {"true": "complete", "yes": "complete", "false": "off", "no": "off"}.get(value.lower(), value)
    if word not in AUTO_SEND:
        top.fault("auto_send", f"must be true, false, {', '.join(AUTO_SEND)}, not {value!r}")
    return word
