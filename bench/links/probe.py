"""Which kind of network this machine can give the bench, found out by really building one.

Rules of this file:

* A return code of ``unshare`` proves nothing: user namespaces may exist and have no rights.  The probe
  builds two hosts, a shaped cable with a capture socket on it, private mounts and a pid namespace, in a
  process of its own.
* Nothing of it remains: everything is in namespaces of that process.
* It runs on every system; elsewhere than on Linux the answer is loopback, with the reason.

``python -m bench.links.probe`` prints the answer as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from typing import Final

from bench.sandbox.spawn import python_module

ORDER: Final = ("veth", "userns", "loopback")
"""From the best backend to the last resort."""


@dataclass(frozen=True)
class BackendReport:
    """Whether a backend can be used here, and if not, why and what would help."""

    name: str
    available: bool
    reason: str
    advice: str = ""


@cache
def probe() -> tuple[BackendReport, ...]:
    """Try all backends; takes about half a second the first time, then the answer is kept."""
    if sys.platform != "linux":
        why = f"network namespaces exist on Linux only (this is {sys.platform})"
        return (
            BackendReport("veth", False, why, "run the bench on Linux, or in a Linux virtual machine"),
            BackendReport("userns", False, why),
            _LOOPBACK,
        )
    if os.geteuid() == 0:
        veth = _try("veth")
    else:
        veth = BackendReport("veth", False, "needs root", "run as root, or use user namespaces")
    return veth, _try("userns"), _LOOPBACK


def best_backend() -> str:
    """The first of :data:`ORDER` that works here."""
    return next(report.name for report in probe() if report.available)


_LOOPBACK: Final = BackendReport("loopback", True, "always possible, but no link is tested")


def _try(name: str) -> BackendReport:
    """Build a small bench in a child process; what it prints is the answer."""
    advice = (
        "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
        "kernel.apparmor_restrict_unprivileged_userns=0; docker run --privileged), or run as root"
        if name == "userns"
        else "give the process CAP_SYS_ADMIN and CAP_NET_ADMIN (docker run --privileged)"
    )
    try:
        done = subprocess.run(
            python_module("bench.links.probe", "--try", name),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return BackendReport(name, False, f"the probe did not end: {error}", advice)
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines == ["ok"]:
        text = "as root" if name == "veth" else "in a user namespace"
        return BackendReport(name, True, f"a shaped cable between two hosts was built and captured {text}")
    reason = (
        lines[-1] if lines else (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    )
    return BackendReport(name, False, reason, advice)


def _attempt(name: str) -> None:
    """In the child: everything a sandbox and its network need, once."""
    import socket

    from bench.links import netns
    from bench.links.spec import standard
    from bench.links.veth import VethNetwork
    from bench.sandbox import isolate

    if name == "userns":
        isolate.new_user_namespace()
    isolate.children_in_new_pid_namespace()
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    isolate.new_network_and_mounts()
    spec = standard(lan="100BASE-T", hosts=("modality", "pacs"))
    network = VethNetwork(spec, {host: netns.create() for host in spec.hosts}, name)
    network.up()
    network.verify()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as capture:  # ETH_P_ALL
        capture.bind((network.capture_points()[0].interface, 0))
        capture.settimeout(5)
        with netns.inside(network.namespace("pacs")):
            server = socket.create_server((network.address("pacs"), 104))
        with netns.inside(network.namespace("modality")):
            client = socket.create_connection(server.getsockname(), timeout=5)
        if len(capture.recv(2048)) < 42:
            raise OSError("the capture saw no frame")
        client.close()
        server.close()


def _main(arguments: list[str]) -> int:
    if arguments[:1] == ["--try"]:
        try:
            _attempt(arguments[1])
        except Exception as error:
            print(error)
            return 1
        print("ok")
        return 0
    print(json.dumps({"best": best_backend(), "backends": [asdict(report) for report in probe()]}, indent=2))
    return 0


if __name__ == "__main__":
    status = _main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)
