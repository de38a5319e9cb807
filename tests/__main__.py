"""``python -m tests``: all tests; with arguments: pytest with these.

Unit and property tests share the processors; integration tests have the machine for themselves, because they measure
links and moments.
"""

from __future__ import annotations

import subprocess
import sys

PARTS = (["-n", "2", "tests/unit", "tests/property"], ["tests/integration"])


def main(arguments: list[str]) -> int:
    """Run pytest for each part, or once with *arguments*; return the worst exit code."""
    runs = [arguments] if arguments else PARTS
    return max(subprocess.run([sys.executable, "-m", "pytest", *run], check=False).returncode for run in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
