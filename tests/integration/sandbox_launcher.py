"""A worker for the crash tests: starts a zygote and sandboxes, tells every pid as soon as it is known, then waits.

Usage: sandbox_launcher.py BACKEND FOLDER TOKEN LOOP(0|1)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.zygote import SandboxError, Zygote


def tell(**facts: Any) -> None:
    """One JSON line."""
    print(json.dumps(facts), flush=True)


def main() -> None:
    """See the docstring of the file."""
    backend, folder, token, loop = sys.argv[1:]
    zygote = Zygote(
        ["pyroute2", "bench.links.veth", "bench.volumes.block"], backend, path=[str(Path(__file__).parent)]
    )
    tell(zygote=zygote.pid)
    zygote.wait_ready()
    tell(ready=True)
    try:
        for number in range(2):
            argument = {"folder": folder, "token": f"{token}-{number}", "loop": loop == "1"}
            handle = zygote.run("sandbox_bodies:bench_like", argument)
            tell(init=handle.pid)
            handles.append(handle)
        tell(up=[handle.channel.recv(20) for handle in handles for _ in range(2)])
    except (SandboxError, ConnectionError):
        pass  # the test killed something
    sys.stdin.read()


handles: list[Any] = []
if __name__ == "__main__":
    main()
