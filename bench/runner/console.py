"""The reference console on its place in the bench: configured as an installer would, and started.

Rules of this file:

* The configuration holds what an installer knows: addresses, AE titles, the panel's certificate and its disc.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.runner.stage import Live
from bench.sut import ReferenceSut, SutError


def start_sut(live: Live) -> ReferenceSut:
    """Start the console with the peers' real endpoints and return it when it answers."""
    plan, stream = live.plan, live.stream
    if plan.product != "vxvue":
        raise SutError(f"the reference modality does not implement {plan.product!r} yet")

    def claim(t: int, kind: str, data: dict[str, Any]) -> None:
        stream.publish("modality", None, t, kind, data)

    def say(kind: str, data: dict[str, Any]) -> None:
        stream.publish("sut", None, time.monotonic_ns(), kind, data)

    fd = live.namespaces.get("modality")
    if fd is None:
        inside: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    else:
        from bench.links import netns

        modality_fd = fd

        def inside() -> contextlib.AbstractContextManager[None]:
            return netns.inside(modality_fd)

    config = sut_config(live)
    live.sut = ReferenceSut(plan.product, config, live.folder, inside, say, claim, live.scratch)
    with stream.lock:
        stream.engine.scope.put(
            "modality",
            {
                "ae": config["ae_title"],
                "host": config["receiver"]["host"],
                "port": config["receiver"]["port"],
            },
        )
        stream.engine.scope.put("cell", {"id": plan.cell.id, "seed": plan.seed})
    live.sut.start()
    return live.sut


def sut_config(live: Live) -> dict[str, Any]:
    """The plan's configuration of the SUT with the endpoints at which its peers really are."""
    plan = live.plan
    found = {name: e for host in live.hosts.values() for name, e in host.endpoints.items()}
    config = json.loads(json.dumps(plan.sut))
    config["receiver"]["port"] = live.receiver_port
    for service in ("worklist", "mpps"):
        if service in config:
            config[service].update(host=found["ris"]["host"], port=found["ris"]["port"])
    for destination in config["storage"]:
        where = found[destination["name"]]
        destination.update(host=where["host"], port=where["port"])
    detector, generator = found["detector"], found["generator"]
    from simulators.detector import Config as DetectorConfig

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
    return config  # type: ignore[no-any-return]


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
