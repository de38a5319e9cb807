"""``modbench simulate pacs``."""

from __future__ import annotations

import argparse

from simulators.dicom.alone import add_server_arguments, run_until_signal, server_config
from simulators.pacs import create


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a PACS."""
    add_server_arguments(parser, "PACS")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--store", metavar="DIR", help="folder of the received objects")
    where.add_argument("--discard", action="store_true", help="keep nothing (the default)")
    parser.add_argument("--no-hash", action="store_true", help="do not hash objects and pixel data")
    parser.add_argument(
        "--syntax",
        action="append",
        metavar="UID",
        help="accept only these transfer syntaxes (may be repeated)",
    )


def run(args: argparse.Namespace) -> int:
    """Run until a signal."""
    config = {**server_config(args), "store": args.store, "hash": not args.no_hash}
    if args.syntax:
        config["transfer_syntaxes"] = args.syntax
    return run_until_signal(create, config, args.quiet)
