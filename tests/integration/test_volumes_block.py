"""Media behind the kernel's own file system: a faulty disk, a loop device, a mount, and nothing left of them.

Run with vfat where the kernel has it, and with ext4 as a stand-in: the bench itself never offers ext4.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.volumes.backends import can_block, can_mount, probe

BODIES = Path(__file__).with_name("volumes_block_bodies.py")


def lacking(system: str) -> str:
    """Why media cannot be put behind this file system here; empty if they can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "loop devices want root"
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        return "no loop devices"
    if why := can_mount():
        return why
    if system == "vfat":
        found = next(backend for backend in probe() if backend.name == "block")
        return "" if found.available else found.why
    known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    if system not in known:
        return f"the kernel has no {system}"
    return "" if shutil.which("mkfs.ext4") and shutil.which("e2fsck") else "no e2fsprogs"


SYSTEMS = [
    pytest.param(name, marks=pytest.mark.skipif(bool(lacking(name)), reason=lacking(name) or "-"))
    for name in ("vfat", "ext4")
]
pytestmark = pytest.mark.netns


def start(name: str, system: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(BODIES), name, system, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("name", ["life", "late", "yank", "faults", "ends", "trial"])
def test_a_medium_behind_the_kernel(name: str, system: str, tmp_path: Path) -> None:
    process = start(name, system, tmp_path)
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_killed_bench_does_not_wait_for_itself(system: str, tmp_path: Path) -> None:
    """The kernel unmounts a dead process's mounts; what serves them must have ended by then."""
    process = start("killed", system, tmp_path)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == -9, errors
    loop = Path(out.strip())
    assert loop.name == "loop"
    deadline = time.monotonic() + 10
    while loop.exists():
        assert time.monotonic() < deadline, "the loop device is still in use"
        time.sleep(0.05)


def test_the_trial_says_why_there_is_no_such_backend(tmp_path: Path) -> None:
    """The trial is run for real, whatever this machine has."""
    why = can_block()
    if not lacking("vfat"):
        assert why == ""
    else:
        assert why
        assert "Traceback" not in why
        assert "trial failed" not in why
