"""Run every benchmark script of this folder; exit 1 if any is below its committed ratio.

``python -m tests.benchmarks [--quick] [NAME …]``: names select scripts, ``bench_dicom`` or just ``dicom``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """Run the scripts one after the other; each prints its own table of ratios."""
    flags = [a for a in arguments if a.startswith("-")]
    names = {a.removeprefix("bench_").removesuffix(".py") for a in arguments if not a.startswith("-")}
    scripts = [
        s for s in sorted(HERE.glob("bench_*.py")) if not names or s.stem.removeprefix("bench_") in names
    ]
    if not scripts:
        print(f"no benchmark named {', '.join(sorted(names))}", file=sys.stderr)
        return 2
    failed = []
    for script in scripts:
        print(f"== {script.stem}", flush=True)
        if subprocess.run([sys.executable, str(script), *flags], check=False).returncode:
            failed.append(script.stem)
    if failed:
        print(f"below the committed ratios: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
