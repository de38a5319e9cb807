"""``modbench enter HOST``: a shell inside a held cell's namespaces.

Rules of this file:

* It changes nothing: it reads where a held cell is and exec's a shell there with ``nsenter``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

HELD = "held.json"


def outer_pids(root: int, inner: Mapping[str, int]) -> dict[str, int]:
    """Return the pids of processes of a sandbox as seen from here.

    ``root`` is the sandbox's first process as seen from here; ``inner`` are pids as the sandbox sees them.
    """
    found = {}
    try:
        wanted = os.readlink(f"/proc/{root}/ns/pid")
    except OSError:
        return {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns/pid") != wanted:
                continue
            status = (process / "status").read_text()
        except OSError:
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
        found[int(numbers[-1])] = int(process.name)
    return {name: found[pid] for name, pid in inner.items() if pid in found}


def enter(out: Path, host: str) -> int:
    """Exec a shell in the namespaces of ``host`` of the newest held cell below ``out``; 2 if there is none."""
    for file in sorted(out.glob(f"*/cells/*/{HELD}"), reverse=True):
        pids = json.loads(file.read_text())
        if host not in pids:
            print(f"{file.parent.name} has no host {host}; it has {', '.join(pids)}", file=sys.stderr)
            return 2
        pid = str(pids[host])
        if not Path(f"/proc/{pid}").exists():
            continue
        nsenter = shutil.which("nsenter")
        if nsenter is None:
            print("nsenter is missing (apt install util-linux)", file=sys.stderr)
            return 2
        user = ["--user", "--preserve-credentials"] if os.getuid() else []
        shell = os.environ.get("SHELL", "/bin/sh")
        os.execv(nsenter, [nsenter, "--target", pid, *user, "--net", "--mount", "--pid", shell])  # noqa: S606
    print(f"no held cell below {out}: run with --hold-on-failure", file=sys.stderr)
    return 2
