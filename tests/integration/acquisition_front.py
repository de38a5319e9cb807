"""The front end of a bench as one process: world, detector, generator, hand switch; JSON lines in and out."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from simulators import detector, generator, panel
from simulators.world import World


def main() -> None:
    settings = json.loads(sys.argv[1])
    printing = threading.Lock()

    def emit(kind: str, /, **data: Any) -> None:
        with printing:
            print(json.dumps({"kind": kind, **data}), flush=True)

    world = World(emit=emit, phantom=settings.get("phantom", "chest"), sid_mm=settings.get("sid_mm", 1800.0))
    det = detector.create(detector.Config.from_dict(settings["detector"]), emit, world)
    gen = generator.create(generator.Config.from_dict(settings["generator"]), emit, world)
    switch = panel.create(panel.Config(), emit, world, gen)
    devices: dict[str, Any] = {"detector": det, "generator": gen, "panel": switch}
    if "calibration" in settings:
        detector.write_factory_calibration(det.config, settings["calibration"])
    emit("listening", detector=dict(det.start()), generator=dict(gen.start()))

    def press(order: dict[str, Any]) -> None:
        try:
            result = dict(devices[order["device"]].command(order["verb"], order.get("args", {})))
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        emit("answer", verb=order["verb"], result=result)

    for line in sys.stdin:
        threading.Thread(target=press, args=(json.loads(line),), daemon=True).start()
    switch.stop()
    gen.stop()
    det.stop()


if __name__ == "__main__":
    main()
