"""The ultrasound front end alone: ``modbench simulate ultrasound``, for 3D Slicer, PLUS and other tools.

Rules of this file:

* Says where it listens (one line on standard output), then tells events as JSON lines when asked to; errors go to
  standard error.
* Ends cleanly on SIGTERM and SIGINT.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from typing import Any

from simulators.ultrasound.config import Config
from simulators.ultrasound.knobs import MODES, SIZES
from simulators.ultrasound.probe import PROBES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said on the command line."""
    c = Config
    parser.add_argument("--host", default=c.host, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=c.port, help="TCP port (default: %(default)s)")
    parser.add_argument("--size", choices=tuple(SIZES), default=c.size, help="of the picture in pixels")
    parser.add_argument("--fps", type=float, default=c.fps, help="pictures per second, 1 to 60")
    parser.add_argument("--seed", type=int, default=c.seed, help="decides the speckle")
    parser.add_argument("--probe", choices=tuple(PROBES), default=c.probe, help="what is plugged in")
    parser.add_argument("--mode", choices=MODES, default=c.mode, help="mode after power-up")
    parser.add_argument("--depth", type=float, metavar="MM", help="depth after power-up")
    parser.add_argument("--gain", type=float, metavar="DB", default=c.gain, help="gain after power-up")
    parser.add_argument("--protocol", type=int, choices=(1, 2, 3), default=c.protocol, help="of OpenIGTLink")
    parser.add_argument("--synthesise", action="store_true", help="make every frame anew, without cine bank")
    parser.add_argument("--events", action="store_true", help="print events as JSON lines")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; 2 when the configuration is wrong."""
    from simulators.ultrasound import create

    names = ("host", "port", "size", "fps", "seed", "probe", "mode", "gain", "protocol")
    values: dict[str, Any] = {name: getattr(args, name) for name in names}
    values["depth"] = PROBES[args.probe].depth_mm if args.depth is None else args.depth
    values["bank"] = not args.synthesise
    try:
        config = Config.from_dict(values)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    guard = threading.Lock()

    def emit(kind: str, /, **data: Any) -> None:
        if args.events:
            with guard:
                print(json.dumps({"kind": kind, "data": data}), flush=True)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    device = create(config, emit)
    try:
        where = device.start()
    except OSError as error:
        device.stop()
        place = f"{config.host}:{config.port}"
        print(f"ultrasound: cannot listen on {place}: {error.strerror}", file=sys.stderr)
        return 2
    print(
        f"ultrasound {where['model']} {where['serial']} listens on {where['host']}:{where['port']}",
        flush=True,
    )
    stop.wait()
    device.stop()
    return 0
