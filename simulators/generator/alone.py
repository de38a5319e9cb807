"""The generator alone, for other tools: ``modbench simulate generator``.

Standard input drives the hand switch, one word a line: prep, expose, release, press (the whole
sequence), state.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from typing import Any

from simulators.base import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the generator."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 lets the system choose")
    parser.add_argument("--transport", choices=("rfc2217", "socket", "pty"), default="rfc2217")
    parser.add_argument("--baud", type=int, default=19200)
    parser.add_argument("--prep-ms", type=int, default=2000, help="time from prep to ready (default 2000)")
    parser.add_argument("--no-pace", action="store_true", help="answer at once, not at the line's speed")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or the end of the process; returns the exit code."""
    from simulators import panel
    from simulators.generator import Config, create
    from simulators.world.bus import World

    printing = threading.Lock()

    def emit(kind: str, /, **data: Any) -> None:
        with printing:
            print(json.dumps({"kind": kind, **data}), flush=True)

    world = World(emit=emit)
    try:
        config = Config(
            transport=args.transport,
            host=args.host,
            port=args.port,
            baud=args.baud,
            prep_ms=args.prep_ms,
            pace=not args.no_pace,
        )
        generator = create(config, emit, world)
        switch = panel.create(panel.Config(), emit, world, generator)
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        where = generator.start()
    except (ValueError, OSError, OverflowError) as error:
        print(f"modbench simulate generator: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"kind": "listening", **where}), flush=True)
    threading.Thread(target=_thumb, args=(switch, emit), name="thumb", daemon=True).start()
    ended.wait()
    switch.stop()
    generator.stop()
    return 0


def _thumb(switch: Any, emit: Any) -> None:
    """Press the hand switch as standard input says."""
    words = {"prep": "press_prep", "expose": "press_expose", "press": "expose"}
    for line in sys.stdin:
        word = line.strip()
        if word:
            try:
                emit("bench.note", message=json.dumps(switch.command(words.get(word, word), {})))
            except CommandError as error:
                emit("bench.note", message=str(error))
