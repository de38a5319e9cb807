"""VXvue: an X-ray console with a flat detector, a generator on a serial line and a two-stage hand switch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.links.spec import LAN_ADDRESSES
from bench.products.model import AE_TITLES, ActorPlan, HostPlan, Place, PlanError

if TYPE_CHECKING:
    from bench.runner.stage import Live

DICOM_PORT: Final = 104
GENERATOR_PORT: Final = 5331
GVCP_PORT: Final = 3956


class VXvue:
    """See :class:`bench.products.model.Product`."""

    name = "vxvue"
    ae_title = "VXVUE"
    devices = ("detector", "generator", "world", "panel")
    slots: tuple[str, ...] = ()
    not_captured: tuple[str, ...] = ()

    def front_end(self, place: Place) -> HostPlan:
        """World, detector, generator and hand switch in one process."""
        size = place.cell.values.get("detector", "3072x3072")
        try:
            width, height = (int(part) for part in size.split("x"))
        except ValueError as error:
            raise PlanError(f"{place.cell.id}: detector {size!r} is not WIDTHxHEIGHT") from error
        overrides = place.overrides
        world = {"phantom": "chest", "sid_mm": 1800.0, "seed": place.seed, **overrides["world"]}
        detector = {
            "host": place.address,
            "gvcp_port": 0 if place.loopback else GVCP_PORT,
            "broadcast": not place.loopback,
            "width": width,
            "height": height,
            "bits": int(place.cell.values.get("bits", 14)),
            # The panel is one device: its maps belong to its serial number, not to the run's seed.
            "seed": 1417,
            "cache_dir": str(place.cache) if place.cache else None,
            "warm": True,
            **overrides["detector"],
        }
        seconds = dict(overrides["generator"])
        generator = {
            "transport": "socket" if place.loopback else "rfc2217",
            "host": place.address,
            "port": 0 if place.loopback else GENERATOR_PORT,
            "prep_ms": round(seconds.pop("prep", 0.3) * 1000),
            "cooldown_ms": round(seconds.pop("cooldown", 0.1) * 1000),
            **seconds,
        }
        actors = (
            ActorPlan("world", "world", world),
            ActorPlan("detector", "detector", detector),
            ActorPlan("generator", "generator", generator),
            ActorPlan("panel", "panel", dict(overrides["panel"])),
        )
        return HostPlan("frontend", place.address, actors)

    def installed(self, place: Place) -> dict[str, Any]:
        """It has a DICOM receiver and reports procedure steps."""
        return {
            "station_name": "ROOM1",
            "receiver": {
                "host": "127.0.0.1" if place.loopback else LAN_ADDRESSES["modality"],
                "port": 0 if place.loopback else DICOM_PORT,
                "enabled": True,
            },
            "mpps": {"ae_title": AE_TITLES["ris"]},
        }

    def connect(self, config: dict[str, Any], found: Mapping[str, Mapping[str, Any]], live: Live) -> None:
        """The detector's address, certificate and disc; the generator's line."""
        from simulators.detector import Config as DetectorConfig

        plan = live.plan
        detector, generator = found["detector"], found["generator"]
        panel = DetectorConfig.from_dict(
            next(a.config for h in plan.hosts for a in h.actors if a.package == "detector")
        )
        config["detector"] = {
            "address": detector["host"],
            "gvcp_port": detector["gvcp_port"],
            # From the panel's certificate, as an installer would type it in.
            "counts_per_ugy": panel.sensitivity,
            "local_address": "127.0.0.1"
            if plan.backend == "loopback"
            else live.network.address("modality", "detector"),
            "calibration": str(_panel_disc(panel, live.folder)),
            **config.get("detector", {}),
        }
        config["generator"] = {"url": generator["url"], **config.get("generator", {})}


def _panel_disc(panel: Any, folder: Path) -> Path:
    """Return the folder with the maps that come with this panel; made once per worker where it has a cache."""
    from simulators.detector import write_factory_calibration

    place = Path(panel.cache_dir) if panel.cache_dir else folder
    disc = place / f"disc-{panel.serial}-{panel.width}x{panel.height}-{panel.bits}-{panel.seed}"
    if not disc.exists():
        partial = disc.with_name(disc.name + ".part")
        partial.mkdir(parents=True, exist_ok=True)
        write_factory_calibration(panel, partial)
        partial.rename(disc)
    return disc
