"""One simulator alone, for people and for other tools: ``modbench simulate pacs --port 11112 --store DIR``.

Rules of this file:

* A simulator is found by a table of module paths; its ``alone`` module offers ``add_arguments(parser)`` and
  ``run(args) -> int``.  A new simulator is a new line in the table.
* Nothing of a simulator is imported unless it was asked for; one that is not there is said so.
* Loopback unless ``--host`` says otherwise.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SIMULATORS: Final[dict[str, tuple[str, str]]] = {
    "pacs": ("simulators.pacs.alone", "Storage and Verification; keeps what it receives"),
    "ris": ("simulators.ris.alone", "Modality Worklist, MPPS and Verification"),
    "printer": ("simulators.printer.alone", "Print Management"),
    "detector": ("simulators.detector.alone", "GigE Vision X-ray detector"),
    "generator": ("simulators.generator.alone", "X-ray generator on a serial line"),
    "ultrasound": ("simulators.ultrasound.alone", "ultrasound front end (OpenIGTLink)"),
}
"""Name -> module, what it is."""


def _available(module: str) -> bool:
    # find_spec would import the package to look into it.
    return Path(__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py").is_file()


def build_parser(wanted: str | None) -> argparse.ArgumentParser:
    """The parser, with the arguments of the wanted simulator only (its module is imported for that)."""
    parser = argparse.ArgumentParser(
        prog="modbench simulate", description="Run one simulator alone until SIGTERM or Ctrl-C."
    )
    commands = parser.add_subparsers(dest="simulator", required=True, metavar="SIMULATOR")
    for name, (module, text) in SIMULATORS.items():
        if not _available(module):
            continue
        command = commands.add_parser(name, help=text, description=text)
        if name == wanted:
            importlib.import_module(module).add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run; return the exit code (0 ended on request, 2 wrong arguments or not startable)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    if wanted in SIMULATORS and not _available(SIMULATORS[wanted][0]):
        print(f"modbench simulate: {wanted} cannot be run alone yet", file=sys.stderr)
        return 2
    args = build_parser(wanted).parse_args(arguments)
    result: int = importlib.import_module(SIMULATORS[args.simulator][0]).run(args)
    return result
