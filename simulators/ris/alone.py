"""``modbench simulate ris``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from simulators.dicom.alone import add_server_arguments, run_until_signal, server_config
from simulators.ris import create
from simulators.ris.mpps import CHECKS

_MOST_BYTES = 64 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a RIS."""
    add_server_arguments(parser, "RIS")
    parser.add_argument(
        "--worklist", metavar="FILE", help="YAML file: a list of items, or a mapping with `items`"
    )
    parser.add_argument("--charset", default="ISO_IR 192", help="character set of the answers (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of what items do not state (%(default)s)")
    parser.add_argument("--mpps-checks", choices=CHECKS, default="type1", help="(%(default)s)")


def load_worklist(path: str) -> list[Any]:
    """Read a worklist file; plain scalars stay text.  Raises :class:`ValueError` or :class:`OSError`."""
    import yaml

    with open(path, encoding="utf-8") as file:
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError(f"{path}: more than {_MOST_BYTES} characters")
    try:
        # BaseLoader: 007 is a patient id and 20260101 a date, never a number; and it builds no objects.
        content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from None
    if isinstance(content, dict):
        content = content.get("items")
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise ValueError(f"{path}: wants a list of worklist items")
    return content


def run(args: argparse.Namespace) -> int:
    """Run until a signal."""
    config = {
        **server_config(args),
        "charset": args.charset,
        "seed": args.seed,
        "mpps_checks": args.mpps_checks,
    }
    if args.worklist:
        try:
            config["items"] = load_worklist(args.worklist)
        except (OSError, ValueError) as error:
            print(f"modbench simulate: {error}", file=sys.stderr)
            return 2
    return run_until_signal(create, config, args.quiet)
