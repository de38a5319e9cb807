"""MX1's settings: those of every console, and its version, probe, media and transfer syntaxes.

Rules of this file: every field has the statement's or section 10's default.  There is no receiver (MX-D-30) and no
MPPS: such keys are unknown here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ... import settings
from ...config import Config, common
from ...dicom.terms import normal
from ...objects.usfacts import CHARSETS
from ...settings import ConfigError, Section
from ..profile import Profile
from . import (
    COMPRESSED,
    MANUFACTURER,
    MEDIA_SYNTAX,
    PROFILE,
    STORAGE_SYNTAX,
    SYNTAXES,
    UNCOMPRESSED,
    VERSIONS,
    profile_of,
)

MEDIA: Final = ("usb", "sd")


@dataclass(frozen=True)
class Mx1Config(Config):
    """All settings of one MX1."""

    profile: Profile = PROFILE
    ae_title: str = "MX1"  # MX-D-05
    station_name: str = "MX1"
    charset: tuple[str, ...] = ("", "ISO 2022 IR 87")  # MX-D-11: the Japanese profile
    manufacturer: str = MANUFACTURER
    modality: str = "US"
    version: str = "1.20"
    serial: str = ""
    body_part: str = "ABDOMEN"
    ultrasound: Mapping[str, Any] = field(default_factory=dict)
    """For :class:`modality.ultrasound.UltrasoundConfig`."""
    media: Mapping[str, Path] = field(default_factory=dict)
    """``usb`` and ``sd`` -> folder that is there while the medium is in."""
    storage_syntax: Mapping[str, str] = field(default_factory=lambda: dict(STORAGE_SYNTAX))
    media_syntax: Mapping[str, str] = field(default_factory=lambda: dict(MEDIA_SYNTAX))


def read(top: Section) -> Mx1Config:
    """The settings of a file's mapping; faults are noted there."""
    media = top.section("media")
    version = top.choice("version", "1.20", VERSIONS)
    storage_syntax = _syntaxes(top.section("storage_syntax"), STORAGE_SYNTAX)
    config = Mx1Config(
        **common(top, Mx1Config),
        profile=profile_of(version, storage_syntax),
        version=version,
        serial=top.text("serial", limit=64),
        body_part=top.text("body_part", "ABDOMEN", limit=16),
        ultrasound=top.plain("ultrasound"),
        media={name: Path(media.text(name, required=True)) for name in MEDIA if name in media},
        storage_syntax=storage_syntax,
        media_syntax=_syntaxes(top.section("media_syntax"), MEDIA_SYNTAX),
    )
    media.done()
    if normal(config.charset) not in CHARSETS:
        top.fault("charset", f"{config.charset} is none of the six of the statement (section 7.1)")
    for peer in config.peers.values():
        if _is_ipv6(peer.host):
            top.fault("worklist" if peer is config.worklist else "storage", "IPv4 only (MX-COM-006)")
    return config


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).version == 6
    except ValueError:
        return False


def _syntaxes(section: Section, standard: Mapping[str, str]) -> dict[str, str]:
    """Kind of image -> word of a transfer syntax that the statement lists for it."""
    found = {}
    for kind, word in standard.items():
        words = tuple(w for w, uid in SYNTAXES.items() if uid in (*UNCOMPRESSED, *COMPRESSED[kind]))
        found[kind] = section.choice(kind, word, words)
    section.done()
    return found


def check(config: Mx1Config, thoroughly: bool) -> None:
    """Look at what the probe's driver judges.

    Raises:
        ConfigError: with what is wrong.
    """
    from ...ultrasound import UltrasoundConfig

    try:
        UltrasoundConfig.from_settings(config.ultrasound)
    except (ValueError, TypeError) as error:
        raise ConfigError([str(error)]) from None


def load(path: Path, changes: Mapping[str, Any] | None = None) -> Mx1Config:
    """Read a settings file; see :func:`modality.settings.load`."""
    return settings.load(path, read, changes)


def parse(source: str, name: str, changes: Mapping[str, Any] | None = None) -> Mx1Config:
    """Read settings from text; see :func:`modality.settings.parse`."""
    return settings.parse(source, name, read, changes)
