"""SONIMAGE MX1: an ultrasound console with a probe, a foot switch, a barcode reader, and slots for USB and SD media.

Rules of this file:

* It has no DICOM receiver (MX-D-30) and reports no procedure steps.
* Its slots are always there; a medium is in one only where the scenario's setup names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bench.products.model import ActorPlan, HostPlan, Place
from bench.scenario.spec import MEDIA

if TYPE_CHECKING:
    from bench.runner.stage import Live

ULTRASOUND_PORT: Final = 18944
CONTACTS_PORT: Final = 5341
BARCODE_PORT: Final = 5342


class MX1:
    """See :class:`bench.products.model.Product`."""

    name = "mx1"
    ae_title = "MX1"
    devices = ("ultrasound",)
    slots: tuple[str, ...] = MEDIA
    not_captured = ("detector",)
    """Gigabytes of pictures; the front end tells the hash of each, and the modality that of each it kept."""

    def front_end(self, place: Place) -> HostPlan:
        """The ultrasound front end, and what hangs beside the probe."""

        def port(number: int) -> int:
            return 0 if place.loopback else number

        knobs = dict(place.overrides["ultrasound"])
        if "probe" in knobs and "depth" not in knobs:
            from simulators.ultrasound.probe import PROBES

            knobs["depth"] = PROBES[knobs["probe"]].depth_mm  # what it has when it is plugged in
        ultrasound = {
            "host": place.address,
            "port": port(ULTRASOUND_PORT),
            "size": "640x480",
            "fps": 30.0,
            "seed": place.seed,
            **knobs,
        }
        bedside = {
            "host": place.address,
            "contacts_port": port(CONTACTS_PORT),
            "barcode_port": port(BARCODE_PORT),
        }
        actors = (
            ActorPlan("ultrasound", "ultrasound", ultrasound),
            ActorPlan("panel", "bedside", bedside),
        )
        return HostPlan("frontend", place.address, actors)

    def installed(self, place: Place) -> dict[str, Any]:
        """Beside its peers there is only its name."""
        return {"station_name": "US1"}

    def connect(self, config: dict[str, Any], found: Mapping[str, Mapping[str, Any]], live: Live) -> None:
        """The stream's address, the lines of foot switch and barcode reader, the folders where media appear."""
        stream, bedside = found["ultrasound"], found["panel"]
        config["ultrasound"] = {
            "address": stream["host"],
            "port": stream["port"],
            "footswitch": bedside["footswitch"],
            "barcode": bedside["barcode"],
            **config.get("ultrasound", {}),
        }
        config["media"] = {slot: str(live.media / slot) for slot in self.slots}
