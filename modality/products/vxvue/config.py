"""VXvue's settings: those of every console, and its devices, receiver and procedure steps.

Rules of this file: every field has the statement's or section 15's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ... import settings
from ...config import Config, Peer, common, peer
from ...settings import Section
from ..profile import Profile
from . import PROFILE

LATERALITIES: Final = ("L", "R", "U", "B")


@dataclass(frozen=True)
class Receiver:
    """The DICOM Receiver: answers Verification while enabled (VX-VER-006)."""

    enabled: bool = False
    host: str = "0.0.0.0"
    port: int = 11112


@dataclass(frozen=True)
class AcquisitionSettings:
    """What is handed to the acquisition driver; ``driver`` is ``module:Class``."""

    driver: str = "modality.acquisition:Acquisition"
    detector: Mapping[str, Any] = field(default_factory=dict)
    generator: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VxvueConfig(Config):
    """All settings of one VXvue."""

    profile: Profile = PROFILE
    ae_title: str = "VXVUE"
    station_name: str = "VXVUE"
    manufacturer: str = "Vieworks Co.,Ltd"
    modality: str = "DX"
    receiver: Receiver = field(default_factory=Receiver)
    mpps: Peer | None = None
    acquisition: AcquisitionSettings = field(default_factory=AcquisitionSettings)
    location: str = ""
    bits_stored: int = 14
    laterality: str = "U"

    @property
    def peers(self) -> dict[str, Peer]:
        """Every configured peer by the name that the operator knows."""
        peers = super().peers
        if self.mpps:
            peers["mpps"] = self.mpps
        return peers


def read(top: Section) -> VxvueConfig:
    """The settings of a file's mapping; faults are noted there."""
    receiver = top.section("receiver")
    acquisition = top.section("acquisition")
    mpps = top.section("mpps") if "mpps" in top else None
    config = VxvueConfig(
        **common(top, VxvueConfig),
        receiver=Receiver(
            enabled=receiver.boolean("enabled", bool(receiver.given())),
            host=receiver.text("host", "0.0.0.0", limit=253),
            port=receiver.integer("port", 11112, 1, 65535),
        ),
        mpps=peer(mpps, "mpps") if mpps else None,
        acquisition=AcquisitionSettings(
            driver=acquisition.text("driver", AcquisitionSettings.driver),
            detector=top.plain("detector"),
            generator=top.plain("generator"),
            options=acquisition.plain("options"),
        ),
        location=top.text("location", limit=16),
        bits_stored=int(top.choice("bits_stored", "14", ("12", "14"))),
        laterality=top.choice("laterality", "U", LATERALITIES),
    )
    receiver.done()
    acquisition.done()
    if mpps:
        mpps.done()
    if ":" not in config.acquisition.driver:
        acquisition.fault("driver", "must read module:Class")
    from ...dicom.terms import unknown_terms

    for term in unknown_terms(config.charset):
        top.fault("charset", f"{term!r} is not among the character sets of the statement (section 3)")
    return config


def load(path: Path, changes: Mapping[str, Any] | None = None) -> VxvueConfig:
    """Read a settings file; see :func:`modality.settings.load`."""
    return settings.load(path, read, changes)


def parse(source: str, name: str, changes: Mapping[str, Any] | None = None) -> VxvueConfig:
    """Read settings from text; see :func:`modality.settings.parse`."""
    return settings.parse(source, name, read, changes)


def check(config: VxvueConfig, thoroughly: bool) -> None:
    """Look at what the drivers judge: devices' settings and, ``thoroughly``, that the driver can be loaded.

    Raises:
        ConfigError: with what is wrong.
    """
    from .devices import driver_class, settings

    settings(config)
    if thoroughly:
        driver_class(config.acquisition.driver)
