"""``python -m bench.report RUN_DIR``: make the reports of a run folder again."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.report import ALWAYS, FORMATS, render, render_alone
from bench.report.pdf import PdfError
from bench.results import ResultsError, results_schema


def main(argv: Sequence[str] | None = None) -> int:
    """Render the reports of one or more run folders; return 0, or 2 when a folder cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.report", description="Make the reports of a run again."
    )
    parser.add_argument("run", nargs="*", type=Path, help="run folder (holds run.json)")
    parser.add_argument(
        "--format", action="append", choices=[*FORMATS], help="only this one; may be repeated"
    )
    parser.add_argument(
        "--alone", metavar="FILE", type=Path, help="only the page, as one file without links to others"
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of results.json")
    options = parser.parse_args(argv)
    if options.schema:
        print(json.dumps(results_schema(), indent=1))
        return 0
    if not options.run:
        parser.error("name a run folder")
    if options.alone and len(options.run) != 1:
        parser.error("--alone takes one run folder")
    for folder in options.run:
        try:
            if options.alone:
                print(render_alone(folder, options.alone))
                continue
            for path in render(folder, options.format or ALWAYS).values():
                print(path)
        except (ResultsError, PdfError, OSError) as error:
            print(f"{folder}: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
