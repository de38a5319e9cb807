"""Mounted media are pulled out at random bytes while the console's process writes images on them.

Four times by default; ``MODBENCH_YANKS`` says how often, and ``MODBENCH_YANKS_EVEN=1`` that every byte is as likely as
any other (else the moments in which the directory changes come up far more often than by chance).  Each time the old or
the new file-set must be there, no file that was there before may change, the images stay on the device, the operator is
told by a code, and once the medium was put in again and the operation repeated, it must be as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.volumes.backends import NoBackend, best
from bench.volumes.mounting import mounted

BODY = Path(__file__).with_name("modality_media_mounted_body.py")


def needed() -> str:
    """Why media cannot be mounted here; empty if they can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "a mount namespace of one's own wants root"
    try:
        best("fuse")
    except NoBackend as error:
        return str(error)
    return ""


@pytest.mark.netns
@pytest.mark.slow
@pytest.mark.skipif(bool(needed()), reason=needed() or "-")
def test_pulled_out_while_the_console_writes(tmp_path: Path) -> None:
    """Whole at once or after the repeat, and no image lost, wherever it was pulled out."""
    count = int(os.environ.get("MODBENCH_YANKS", "4"))
    even = ["even"] if os.environ.get("MODBENCH_YANKS_EVEN") == "1" else []
    body = subprocess.Popen(
        [sys.executable, str(BODY), str(tmp_path), str(count), *even],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, said = body.communicate(timeout=120 + 5 * count)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(body.pid, signal.SIGKILL)  # a console that was left, after a failure
        body.wait(10)
    assert body.returncode == 0, said
    assert "Traceback" not in said
    told = json.loads(out)
    print(out)
    seen = told["seen"]
    assert seen["clean after the repeat"] == count
    assert seen["valid at once"] + seen.get("untold images", 0) == count
    assert seen["refused"] + seen.get("succeeded", 0) == count
    kinds = ("old set", "old set with leftovers", "new set", "new set with leftovers")
    assert sum(seen.get(kind, 0) for kind in kinds) == count
    assert all(mounted(tmp_path / name / "in" / "usb") is None for name in ("usb", "sd"))
