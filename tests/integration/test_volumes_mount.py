"""Media mounted through FUSE, used by another process, in a mount namespace that nothing leaks from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.volumes.backends import NoBackend, best
from bench.volumes.mounting import mounted

BODIES = Path(__file__).with_name("volumes_bodies.py")


def needed() -> str:
    """Why media cannot be mounted here; empty if they can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "a mount namespace of one's own wants root"
    try:
        best("fuse")
    except NoBackend as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(needed()), reason=needed() or "-")]


def run(name: str, folder: Path) -> str:
    """Let one body run in a process with a mount namespace of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, str(BODIES), name, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert mounted(folder / "in" / "usb") is None
    return done.stdout


@pytest.mark.parametrize(
    "name", ["life", "busy", "yank", "renamed", "datasync", "aged", "faults", "other_media", "alike"]
)
def test_a_mounted_medium(name: str, tmp_path: Path) -> None:
    run(name, tmp_path)


def test_a_folder_instead_of_a_mount(tmp_path: Path) -> None:
    run("folder", tmp_path)


@pytest.mark.slow
def test_copying_to_a_medium_is_not_slow(tmp_path: Path) -> None:
    """157 MB in 51 files at 100 MB/s; a busy machine is compared with what it needs for a plain folder."""
    seconds = json.loads(run("speed", tmp_path))
    assert seconds["big stick"] < max(157 / 100, 12 * seconds["big plain"]), seconds
    assert seconds["small stick"] < max(3.0, 15 * seconds["small plain"]), seconds
