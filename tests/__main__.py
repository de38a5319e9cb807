"""``python -m tests``: all tests; with arguments: pytest with these.

Tests share two processors; those marked ``alone`` have the machine for themselves.
"""

from __future__ import annotations

import subprocess
import sys

PARTS = (
    ["-n", "2", "tests/unit", "tests/property"],
    ["-n", "2", "--dist", "worksteal", "-m", "not alone", "tests/integration"],
    ["-m", "alone", "tests/integration"],
)


def main(arguments: list[str]) -> int:
    """Run pytest for each part, or once with *arguments*; return the worst exit code."""
    runs = [arguments] if arguments else PARTS
    return max(subprocess.run([sys.executable, "-m", "pytest", *run], check=False).returncode for run in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
