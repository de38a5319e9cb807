"""Start a product: ``python -m modality vxvue|mx1 --config FILE``.

Rules of this file: exit 0 after ``shutdown`` or SIGTERM, 2 for a bad command line or configuration (with every
fault and its line), 1 when the console cannot start.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from .config import Config
from .products import NAMES, Product, product
from .settings import ConfigError, load


def main(argv: Sequence[str] | None = None) -> int:
    """Run one product until it is told to end; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m modality", description="Reference modality software")
    parser.add_argument("product", choices=NAMES, help="which product to be")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML settings")
    parser.add_argument("--check", action="store_true", help="only check the settings")
    options = parser.parse_args(argv)
    chosen = product(options.product)
    try:
        config = load(options.config, chosen.read)
        chosen.check(config, options.check)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    return 0 if options.check else _run(chosen, options.config, config)


def _run(chosen: Product, path: Path, config: Config) -> int:
    from .control import ControlServer
    from .store import StoreError

    warnings.filterwarnings("ignore", module="pydicom")  # a peer's odd data is no matter for stderr
    # A pipe, since a signal handler may not touch locks that the interrupted code could hold.
    ended, end = os.pipe()

    def stop(*_: object) -> None:
        os.write(end, b"x")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        console = chosen.console()(path, config, stop)
        server = ControlServer(config.control, console.do, console.notices)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except (StoreError, OSError) as error:
        print(f"modality: {error}", file=sys.stderr)
        return 1
    console.start()
    try:
        os.read(ended, 1)
    finally:
        server.close()
        console.close()
        console.store.close()
    return 0
