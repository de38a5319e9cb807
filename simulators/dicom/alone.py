"""What the DICOM simulators share when they run alone: options, event lines, a clean end.

Rules of this file:

* The first line on standard output is ``listening {"host": …, "port": …, "ae_title": …}``: readable by both.
* Events are lines ``<monotonic seconds> <kind> <JSON>`` on standard output, or nothing with ``--quiet``.
* SIGTERM and SIGINT end it with exit code 0, also while nobody reads its lines, and so does a reader who goes away;
  what is wrong at the start is one line and exit code 2.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from simulators.base import Emit, Simulator

_STDOUT: Final = 1


def add_server_arguments(parser: argparse.ArgumentParser, ae_title: str) -> None:
    """Options of every DICOM server."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one (%(default)s)")
    parser.add_argument("--ae-title", default=ae_title, help="own AE title (%(default)s)")
    parser.add_argument(
        "--max-pdu", type=int, default=16384, help="announced maximum PDU length (%(default)s)"
    )
    parser.add_argument("--any-called", action="store_true", help="accept every called AE title")
    parser.add_argument(
        "--calling",
        action="append",
        metavar="AE",
        help="accept only these calling AE titles (may be repeated)",
    )
    parser.add_argument("--max-associations", type=int, default=256, metavar="N", help="(%(default)s)")
    parser.add_argument("--artim", type=float, default=30.0, metavar="S", help="ARTIM, seconds (%(default)s)")
    parser.add_argument(
        "--idle", type=float, default=600.0, metavar="S", help="idle time-out, seconds (%(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="do not print events")


def server_config(args: argparse.Namespace) -> dict[str, Any]:
    """The options as configuration."""
    return {
        "host": args.host,
        "port": args.port,
        "ae_title": args.ae_title,
        "max_pdu": args.max_pdu,
        "accept_called": [] if args.any_called else None,
        "accept_calling": args.calling,
        "max_associations": args.max_associations,
        "artim_s": args.artim,
        "idle_s": args.idle,
    }


def run_until_signal(
    create: Callable[[Mapping[str, Any], Emit], Simulator], config: dict[str, Any], quiet: bool
) -> int:
    """Run a simulator until SIGTERM or SIGINT; return the exit code."""
    lock = threading.Lock()
    ended = threading.Event()

    def put(line: str) -> None:
        # Not by sys.stdout: a thread that waits for a slow reader would hold its lock when the interpreter ends.
        rest = line.encode("utf-8", "backslashreplace")
        with lock:
            try:
                while rest and not ended.is_set():
                    rest = rest[os.write(_STDOUT, rest) :]
            except BrokenPipeError:
                ended.set()

    def show(kind: str, /, **data: Any) -> None:
        put(f"{time.monotonic():.6f} {kind} {json.dumps(data, ensure_ascii=False)}\n")

    def silence(kind: str, /, **data: Any) -> None:
        pass

    # Handlers first: a signal in the moment after the line was read must not kill us.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        simulator = create(config, silence if quiet else show)
        endpoints = simulator.start()
    except (ValueError, OSError) as error:
        print(f"modbench simulate: {error}", file=sys.stderr)
        return 2
    # What was imported is here to stay: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    try:
        put(f"listening {json.dumps(dict(endpoints))}\n")
        ended.wait()
    finally:
        simulator.stop()
    return 0
