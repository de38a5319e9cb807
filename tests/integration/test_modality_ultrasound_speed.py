"""The ultrasound acquisition keeps up: 60 pictures of 1024x768 a second, every one checked."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import Any

import pytest

from modality.ultrasound import Scanner, UltrasoundConfig

WAIT = 30.0


@pytest.mark.slow
@pytest.mark.alone
def test_no_picture_is_lost_at_sixty_a_second() -> None:
    """The front end is a process of its own, as on the bench; slots that it leaves out are no losses."""
    command = "import sys; from bench.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["simulate", "ultrasound", "--port", "0", "--size", "1024x768", "--fps", "60"]
    device = subprocess.Popen(
        [sys.executable, "-c", command, *arguments], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    live = threading.Event()
    scanner: Scanner | None = None
    try:
        assert device.stdout is not None
        found = re.search(r":(\d+)$", device.stdout.readline().strip())
        assert found is not None

        def tell(kind: str, data: dict[str, Any]) -> None:
            if kind == "state" and data["state"] == "live":
                live.set()

        scanner = Scanner(UltrasoundConfig("127.0.0.1", int(found[1])), tell)
        scanner.open()
        assert live.wait(WAIT)
        clip = scanner.clip(frames=180, timeout=WAIT)
        assert (clip.ended, clip.gaps, len(clip.frames)) == ("whole", (), 180)
        assert scanner.state()["refused"] == 0
    finally:
        if scanner is not None:
            scanner.close()
        device.terminate()
        device.wait(WAIT)
        if device.stdout is not None:
            device.stdout.close()
