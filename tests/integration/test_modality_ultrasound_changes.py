"""Knobs, probes and sizes that change while stills are taken: each still is one picture with its own calibration."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest

from modality.ultrasound import Frame, Scanner, ScannerError, UltrasoundConfig
from simulators.ultrasound import Config, create
from tests.lab.eventlog import WAIT, Log

STILLS = 30
CHANGES: tuple[dict[str, Any], ...] = (
    {"mode": "M"},
    {"mode": "PW"},
    {"depth": 100},
    {"mode": "B"},
    {"probe": "L12-4"},
    {"freeze": True},
    {"mode": "colour", "depth": 50},
    {"freeze": False},
    {"probe": "C5-2", "mode": "B"},
    {"gain": 5},
)


def stills(scanner: Scanner, log: Log) -> list[Frame]:
    """As they come, each picture once; where there is none just now, the next."""
    found: dict[int, Frame] = {}
    log.wait("state", state="live")
    deadline = time.monotonic() + 3 * WAIT
    while len(found) < STILLS and time.monotonic() < deadline:
        time.sleep(0.002)  # others have to get a turn
        try:
            still = scanner.still()
        except ScannerError as error:
            if error.code not in ("probe-unplugged", "no-picture", "stalled"):
                raise
            continue
        found.setdefault(still.sequence, still)
    return list(found.values())


@pytest.mark.parametrize("protocol", [1, 3])
def test_each_still_is_one_picture_with_its_own_calibration(protocol: int) -> None:
    """Pixels, mode, probe, depth, size and regions of one and the same picture, as the front end made it."""
    truth, log, done = Log(), Log(), threading.Event()
    values = {"port": 0, "fps": 60.0, "bank": False, "protocol": protocol, "queue": 64}
    device = create(Config.from_dict(values), truth.emit)
    port = int(device.start()["port"])
    scanner = Scanner(UltrasoundConfig("127.0.0.1", port), log.tell)

    def turn() -> None:
        for number, change in enumerate(itertools.cycle(CHANGES)):
            if done.is_set():
                return
            before = len(truth.of("ultrasound.frame"))
            device.command("set", change)
            while not device.command("state", {})["freeze"] and len(truth.of("ultrasound.frame")) <= before:
                if done.wait(0.005):
                    return
            if number % 7 == 6:
                device.command("unplug", {})
                device.command("plug", {})
            if number % 11 == 10:
                size = ("1024x768", "640x480")[number // 11 % 2]
                order = {"id": str(number), "fault": "resize", "args": {"size": size}}
                device.command("arm", order)

    knobs = threading.Thread(target=turn)
    scanner.open()
    knobs.start()
    try:
        got = stills(scanner, log)
    finally:
        done.set()
        knobs.join()
        scanner.close()
        device.stop()
    assert len(got) == STILLS
    made = {e["sequence"]: e for e in truth.of("ultrasound.frame")}
    calibrations = {e["geometry"]: e for e in truth.of("ultrasound.geometry")}
    for still in got:
        told = made[still.sequence]
        assert still.sha256 == told["sha256"]
        assert (still.mode, still.columns, still.rows) == (told["mode"], told["width"], told["height"])
        geometry = calibrations[told["geometry"]]
        assert still.settings.geometry == told["geometry"]
        assert still.settings.spacing_mm[0] == geometry["spacing_mm"]
        assert len(still.settings.regions) == len(geometry["regions"])
        for region, true in zip(still.settings.regions, geometry["regions"], strict=True):
            assert [region.min_x0, region.min_y0, region.max_x1, region.max_y1] == true["rectangle"]
            assert region.delta_y == pytest.approx(true["delta"][1] * 0.1)
        deepest = {"C5-2": (60.0, 240.0), "L12-4": (20.0, 80.0)}[still.settings.probe]
        assert deepest[0] <= still.settings.depth_mm <= deepest[1]
        if still.mode == "M":  # a picture of time is as high as it is deep
            assert still.settings.depth_mm == pytest.approx(geometry["regions"][0]["delta"][1] * still.rows)
    assert len({(still.mode, still.settings.probe, still.settings.depth_mm) for still in got}) > 3
    assert not [code for code in log.warnings() if code == "calibration"]
