"""``python -m bench.scenario FILE …``: lint scenario files; exit code 2 when there are faults."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.scenario.lint import lint


def main(arguments: list[str]) -> int:
    """Print every fault of the named files."""
    problems = lint(map(Path, arguments))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
