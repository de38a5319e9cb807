"""The detector alone: ``modbench simulate detector``, for other tools.

Rules of this file:

* Says where it listens (one line on standard output), then tells events as JSON lines when asked to.
* In a world of its own: ``--shoot`` makes photons by itself whenever the panel is prepared.
* Ends cleanly on SIGTERM and SIGINT.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from typing import Any

from simulators.detector.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said on the command line."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=3956, help="GVCP port (default: %(default)s)")
    parser.add_argument("--serial", default=Config.serial, help="serial number")
    parser.add_argument("--width", type=int, default=Config.width, help="sensor columns")
    parser.add_argument("--height", type=int, default=Config.height, help="sensor rows")
    parser.add_argument("--bits", type=int, choices=(14, 16), default=Config.bits, help="bits of the ADC")
    parser.add_argument(
        "--seed", type=int, default=Config.seed, help="decides gain, offset, defects and noise"
    )
    parser.add_argument(
        "--link-mbps", type=int, choices=(10, 100, 1000), default=1000, help="speed of the link"
    )
    parser.add_argument("--phantom", default="chest", help="what stands in the beam")
    parser.add_argument("--cache", metavar="DIR", help="keep maps here between runs")
    parser.add_argument("--truth", metavar="DIR", help="write what a perfect panel would have shown here")
    parser.add_argument("--calibration", metavar="DIR", help="write the factory calibration here and go on")
    parser.add_argument("--broadcast", action="store_true", help="answer broadcast discovery too")
    parser.add_argument("--shoot", metavar="KVP,MAS", help="expose with this technique whenever prepared")
    parser.add_argument("--events", action="store_true", help="print events as JSON lines")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; 2 when the configuration is wrong."""
    from simulators.detector import create, write_factory_calibration
    from simulators.world import World
    from simulators.world.phantom import PHANTOMS

    try:
        config = Config.from_dict(
            {
                "host": args.host,
                "gvcp_port": args.port,
                "serial": args.serial,
                "width": args.width,
                "height": args.height,
                "bits": args.bits,
                "seed": args.seed,
                "link_mbps": args.link_mbps,
                "cache_dir": args.cache,
                "truth_dir": args.truth,
                "broadcast": args.broadcast,
            }
        )
        if args.phantom not in PHANTOMS:
            raise ValueError(f"there is no phantom {args.phantom!r}; there are {', '.join(PHANTOMS)}")
        kvp, mas = (float(v) for v in args.shoot.split(",")) if args.shoot else (0.0, 0.0)
    except ValueError as error:
        print(f"detector: {error}")
        return 2

    def emit(kind: str, /, **data: Any) -> None:
        if args.events:
            print(json.dumps({"kind": kind, "data": data}), flush=True)
        if kind == "detector.state" and data["to"] == "Prepared" and args.shoot:
            threading.Timer(0.2, expose).start()

    def expose() -> None:
        try:
            world.xray_on(kvp, mas * 10, 100.0)
        except RuntimeError:
            return
        threading.Timer(0.11, world.xray_off).start()

    world = World(args.phantom, 1800.0, config.seed, emit=emit)
    if args.calibration:
        write_factory_calibration(config, args.calibration)
    detector = create(config, emit, world)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        where = detector.start()
    except OSError as error:
        detector.stop()
        print(f"detector: cannot listen on {config.host}:{config.gvcp_port}: {error.strerror}")
        return 2
    print(
        f"detector {where['model']} {where['serial']} listens on {where['host']}:{where['gvcp_port']}",
        flush=True,
    )
    stop.wait()
    detector.stop()
    return 0
