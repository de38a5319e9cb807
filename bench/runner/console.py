"""The reference console on its place in the bench: configured as an installer would, and started.

Rules of this file:

* The configuration holds what an installer knows: addresses, AE titles, and what the product adds
  (:mod:`bench.products`).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from bench.products import PRODUCTS
from bench.runner.settings import endpoints
from bench.runner.stage import Live
from bench.sut import ReferenceSut


def start_sut(live: Live) -> ReferenceSut:
    """Start the console with the peers' real endpoints and return it when it answers."""
    plan, stream = live.plan, live.stream

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
    # A product without a receiver has an address all the same.
    where = config.get("receiver") or {"host": live.network.address("modality"), "port": 0}
    with stream.lock:
        stream.engine.scope.put(
            "modality", {"ae": config["ae_title"], "host": where["host"], "port": where["port"]}
        )
        stream.engine.scope.put("cell", {"id": plan.cell.id, "seed": plan.seed})
    live.sut.start()
    return live.sut


def sut_config(live: Live) -> dict[str, Any]:
    """The plan's configuration of the SUT with the endpoints at which its peers really are."""
    found = endpoints(live.hosts)
    config = json.loads(json.dumps(live.plan.sut))
    if "receiver" in config:
        config["receiver"]["port"] = live.receiver_port
    for service in ("worklist", "mpps"):
        if service in config:
            config[service].update(host=found["ris"]["host"], port=found["ris"]["port"])
    for destination in config["storage"]:
        where = found[destination["name"]]
        destination.update(host=where["host"], port=where["port"])
    PRODUCTS[live.plan.product].connect(config, found, live)
    return config  # type: ignore[no-any-return]
