"""A caliper on a still measures what is in the phantom: pins found in the pixels, mm from the region's calibration."""

from __future__ import annotations

import math
import threading
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from modality.ultrasound import Frame, Scanner, UltrasoundConfig
from modality.ultrasound.overlay import draw_screen, ruler
from simulators.ultrasound import Config, create
from simulators.ultrasound.phantom import PINS

WAIT = 20.0
CM = 3


def still(size: str, depth: float, **values: Any) -> Frame:
    """One picture of a front end, dark enough that pins do not saturate."""
    config = Config.from_dict({"port": 0, "size": size, "depth": depth, "gain": -22.0, "fps": 20.0, **values})
    device = create(config, lambda kind, /, **data: None)
    port = int(device.start()["port"])
    live = threading.Event()
    scanner = Scanner(
        UltrasoundConfig("127.0.0.1", port),
        lambda kind, data: live.set() if data.get("state") == "live" else None,
    )
    try:
        scanner.open()
        assert live.wait(WAIT)
        scanner.set(gain=-22)  # answered: the front end listens as well
        return scanner.still()
    finally:
        scanner.close()
        device.stop()


def peaks(pixels: npt.NDArray[np.uint8], count: int, apart: int) -> list[tuple[float, float]]:
    """The brightest spots (column, row), each the centre of gravity of what is bright around it; no prior knowledge.

    Only what is brighter than half of a spot belongs to it: speckle in the rest of the window would pull the centre
    towards itself (by 0.3 mm on L12-4, whose points are a fifteenth of the window).
    """
    weights = pixels.astype(np.float64)
    left = weights.copy()
    found = []
    for _ in range(count):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        y0, x0 = max(0, int(row) - apart), max(0, int(column) - apart)
        window = (slice(y0, row + apart + 1), slice(x0, column + apart + 1))
        spot = np.clip(weights[window] - weights[row, column] / 2, 0, None)
        ys, xs = np.mgrid[0 : spot.shape[0], 0 : spot.shape[1]]
        found.append((x0 + (xs * spot).sum() / spot.sum(), y0 + (ys * spot).sum() / spot.sum()))
        left[window] = 0
    return found


@pytest.mark.parametrize("size", ["640x480", "1024x768"])
@pytest.mark.parametrize(
    ("probe", "depth", "seen"),
    [
        ("C5-2", 100.0, [(-10.0, 30.0), (10.0, 30.0), (0.0, 60.0), (-20.0, 80.0), (20.0, 80.0)]),
        (
            "C5-2",
            160.0,
            [(-40.0, 80.0), (-20.0, 80.0), (20.0, 80.0), (40.0, 80.0), (0.0, 100.0), (0.0, 60.0)],
        ),
        ("P4-2", 160.0, [(-40.0, 80.0), (-20.0, 80.0), (20.0, 80.0), (40.0, 80.0), (0.0, 60.0)]),
        ("L12-4", 50.0, [(-10.0, 30.0), (10.0, 30.0), (0.0, 20.0), (0.0, 40.0)]),
    ],
)
def test_a_caliper_measures_the_phantom(
    size: str, probe: str, depth: float, seen: list[tuple[float, float]]
) -> None:
    """Every pin is where it is in the phantom, to half a pixel; every distance is right, to a pixel."""
    frame = still(size, depth, probe=probe)
    assert f"{frame.columns}x{frame.rows}" == size
    (region,) = frame.settings.regions
    assert (region.spatial_format, region.data_type, region.units_x, region.units_y) == (1, 1, CM, CM)
    pixel, apart = 10 * region.delta_x, round(0.4 / region.delta_x)
    inside = frame.pixels[region.min_y0 : region.max_y1 + 1, region.min_x0 : region.max_x1 + 1]
    spots = [(x + region.min_x0, y + region.min_y0) for x, y in peaks(inside, 16, apart)]
    places = [tuple(10 * v for v in region.value(x, y)) for x, y in spots]
    assert set(seen) <= set(PINS)
    measured = {}
    for pin in seen:
        nearest = min(places, key=lambda place: math.dist(place, pin))
        assert math.dist(nearest, pin) < pixel / 2, (pin, nearest)
        measured[pin] = nearest
    for a, b in combinations(seen, 2):
        read = math.dist(measured[a], measured[b])
        assert read == pytest.approx(math.dist(a, b), abs=pixel), (a, b)


def test_the_ruler_has_its_ticks_where_the_pins_are() -> None:
    frame = still("640x480", 160.0)
    column, ticks = ruler(frame)
    screen = draw_screen(frame)
    band = screen.shape[0] - frame.rows
    bare = frame.pixels[:, column : column + 8]
    (region,) = frame.settings.regions
    middle = round(region.min_x0 + region.reference_x0 - region.reference_value_x / region.delta_x)
    assert [mm for mm, _ in ticks] == list(range(0, 170, 10))
    for mm, row in ticks:
        assert (screen[band + row, column : column + 8, 1] == 220).all()
        whole = (0.0, float(mm)) in PINS and mm < 160  # the last one is cut by the edge of the picture
        assert not whole or _brightest(frame, middle, row) == pytest.approx(row, abs=2)
    between = {row for _, row in ticks}
    rest = [r for r in range(frame.rows) if r not in between]
    assert np.array_equal(screen[band:, column : column + 8, 1][rest], bare[rest])


def _brightest(frame: Frame, column: int, row: int) -> int:
    """Row of the brightest pixel near a place of the middle line."""
    part = frame.pixels[row - 8 : row + 9, column - 2 : column + 3].max(axis=1)
    return row - 8 + int(part.argmax())


def test_no_calibration_no_ruler() -> None:
    frame = still("640x480", 160.0, mode="PW")
    assert ruler(frame)[1] == []
    assert frame.settings.regions[0].spatial_format == 3
    assert frame.settings.spacing_mm == (0.0, 0.0)
    motion = still("640x480", 160.0, mode="M")
    assert [mm for mm, _ in ruler(motion)[1]][-1] in (150, 160)
    assert motion.settings.regions[0].spatial_format == 2
