"""Pictures of the ultrasound phantom: calibrated by what is sent along, alive, repeatable."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from simulators.ultrasound.doppler import Colour, fast_length
from simulators.ultrasound.engine import Engine, matrix
from simulators.ultrasound.knobs import MODES, SIZES, Knobs, parse
from simulators.ultrasound.phantom import BEAT_S, CYSTS, LESION, VESSEL
from simulators.ultrasound.probe import PROBES

SMALL, LARGE = SIZES["640x480"], SIZES["1024x768"]


def picture(engine: Engine, number: int = 0) -> npt.NDArray[np.float64]:
    """Grey values of a frame."""
    got = engine.render(number)
    shape = (got.geometry.height, got.geometry.width, got.geometry.components)
    return np.frombuffer(got.pixels, np.uint8).reshape(shape).astype(float).mean(-1)


def tops(profile: npt.NDArray[np.float64], apart: int) -> list[float]:
    """Places of the peaks of a profile: centre of gravity around everything that is clearly bright."""
    found: list[float] = []
    profile = profile.copy()
    while profile.max() > 160:
        at = int(profile.argmax())
        cut = slice(max(0, at - apart), at + apart + 1)
        weight = np.clip(profile[cut] - 130, 0, None)
        found.append(float((weight * np.arange(cut.start, cut.start + len(weight))).sum() / weight.sum()))
        profile[cut] = 0
    return sorted(found)


@pytest.mark.parametrize(
    ("probe", "size"), [("C5-2", LARGE), ("C5-2", SMALL), ("L12-4", SMALL), ("P4-2", LARGE)]
)
def test_a_caliper_on_the_pins_measures_millimetres(probe: str, size: tuple[int, int]) -> None:
    """Pins are found in the picture and measured with nothing but the geometry that is sent along."""
    depth = PROBES[probe].depth_mm
    engine = Engine(3, 30, size, Knobs(probe=probe, depth=depth, gain=-6.0), bank=False)
    region = engine.geometry.regions[0]
    grey = picture(engine)
    u, v = region.x0 + region.reference[0], region.y0 + region.reference[1]
    column = grey[:, round(u - 0.5) : round(u - 0.5) + 2].max(1)
    measured = [(row - v) * region.delta_y for row in tops(column, 6)]
    wanted = [float(z) for z in range(20, int(depth), 20)]
    assert len(measured) == len(wanted), measured
    assert measured == pytest.approx(wanted, abs=0.5)
    row_mm, across = (30.0, [-10.0, 10.0]) if probe == "L12-4" else (80.0, [-40.0, -20.0, 0.0, 20.0, 40.0])
    row = round(v + row_mm / region.delta_y)
    profile = grey[row - 1 : row + 2].max(0)
    measured = [(at - u) * region.delta_x for at in tops(profile, round(4 / region.delta_x))]
    assert measured == pytest.approx(across, abs=0.6)


def test_cyst_is_black_lesion_bright_and_speckle_is_speckle() -> None:
    """Means as the phantom says; speckle of many scatterers has a mean to deviation ratio of 1.91."""
    engine = Engine(3, 30, LARGE, Knobs(), bank=False)
    grey = picture(engine)
    step = engine.geometry.spacing_mm
    u, v = engine.layout.origin

    def mean(x: float, z: float, mm: float = 4.0) -> float:
        r, c, h = round(v + z / step), round(u + x / step), round(mm / step)
        return float(grey[r - h : r + h, c - h : c + h].mean())

    tissue = mean(-30, 70)
    assert 60 < tissue < 130
    assert all(mean(d.x, d.z) < 5 for d in CYSTS)
    assert mean(LESION.x, LESION.z) > tissue + 25
    echo = np.abs(engine.beam.echoes(0.0)[20:70, 200:400])
    assert 1.72 < echo.mean() / echo.std() < 2.02


def test_matrix_of_the_message_agrees_with_the_region() -> None:
    """What IMAGE says about the middle of the picture and what the region says about its reference are the same."""
    g = Engine(1, 30, LARGE, Knobs(), bank=False).geometry
    m, region = matrix(g), g.regions[0]
    at = [m[9 + k] - ((g.width - 1) / 2 * m[k] + (g.height - 1) / 2 * m[3 + k]) for k in (0, 1)]
    u, v = region.x0 + region.reference[0], region.y0 + region.reference[1]
    assert (u * m[0] + at[0], v * m[4] + at[1]) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert m[0] == m[4] == g.spacing_mm == region.delta_x


@pytest.mark.parametrize("mode", ["B", "colour"])
def test_bank_and_synthesis_give_the_same_pixels_and_live_gain_acts_on_both(mode: str) -> None:
    """A stored frame is the frame, whatever the gain was when it was stored."""
    bank = Engine(5, 10, SMALL, Knobs(mode=mode), bank=True)
    bank.fill_bank()
    fresh = Engine(5, 10, SMALL, Knobs(gain=9.0, mode=mode), bank=False)
    dark = bank.render(3)
    bank.set(SMALL, Knobs(gain=9.0, mode=mode))
    bright = bank.render(11)  # the beat has 8 frames: the same moment
    assert (dark.source, bright.source, fresh.render(3).source) == ("bank", "bank", "synthesis")
    assert bright.pixels == fresh.render(3).pixels
    assert np.frombuffer(bright.pixels, np.uint8).mean() > np.frombuffer(dark.pixels, np.uint8).mean() + 10
    assert bank.render(4).pixels != bank.render(5).pixels
    assert Engine(6, 10, SMALL, Knobs(gain=9.0, mode=mode), bank=False).render(3).pixels != bright.pixels


def test_the_bank_is_one_beat_and_colour_comes_to_it_when_it_is_wanted() -> None:
    """Grey frames stay when colour is switched on; what was coloured is kept, and no more than a beat of it."""
    engine = Engine(5, 10, SMALL, Knobs(), bank=True)
    engine.fill_bank()
    grey = engine.render(3).pixels
    engine.set(SMALL, Knobs(mode="colour"))
    assert [engine.render(n).source for n in (3, 11)] == ["synthesis", "bank"]
    rgb = np.frombuffer(engine.render(19).pixels, np.uint8).reshape(-1, 3)
    plain = (rgb == np.frombuffer(grey, np.uint8)[:, None]).all(1)
    assert 0 < (~plain).sum() < 0.05 * len(plain)  # only the flow is another colour
    for number in range(40):
        engine.render(number)
    assert (len(engine._bank), len(engine._flows)) == (engine.phases, engine.phases)
    engine.set(SMALL, Knobs(mode="colour", depth=100.0))
    assert engine.render(3).source == "synthesis"  # of another depth nothing is kept
    assert (
        engine.render(3).pixels
        == Engine(5, 10, SMALL, Knobs(mode="colour", depth=100.0), bank=False).render(3).pixels
    )


@pytest.mark.parametrize(
    ("probe", "depth"), [("L12-4", 20.0), ("L12-4", 45.0), ("P4-2", 60.0), ("C5-2", 60.0)]
)
def test_colour_without_the_vessel_in_the_picture_is_grey_and_has_no_box(probe: str, depth: float) -> None:
    """A box that is not there is not a calibrated region; one that is there lies in the picture."""
    got = Engine(1, 30, SMALL, Knobs(mode="colour", probe=probe, depth=depth), bank=False).render(0)
    boxes = [r for r in got.geometry.regions if r.kind == "colour"]
    rgb = np.frombuffer(got.pixels, np.uint8).reshape(-1, 3)
    if boxes:
        assert 0 <= boxes[0].x0 < boxes[0].x1 < 640
        assert 0 <= boxes[0].y0 < boxes[0].y1 < 480
    else:
        assert (rgb == rgb[:, :1]).all()
    assert bool(boxes) == (depth > 40)


@pytest.mark.parametrize(("least", "length"), [(1, 1), (7, 8), (236, 240), (241, 243), (1024, 1024)])
def test_lengths_that_a_transform_is_quick_at(least: int, length: int) -> None:
    """The next product of 2, 3 and 5."""
    assert fast_length(least) == length


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_repeatable_and_fills_its_geometry(mode: str) -> None:
    """Two devices of one seed agree to the last pixel; sizes are what the geometry says."""
    a, b = (Engine(2, 30, SMALL, Knobs(mode=mode), bank=False) for _ in range(2))
    for number in range(3):
        one, two = a.render(number), b.render(number)
        assert one.pixels == two.pixels
        g = one.geometry
        assert len(one.pixels) == g.width * g.height * g.components
        for r in g.regions:
            assert 0 <= r.x0 < r.x1 < g.width
            assert 0 <= r.y0 < r.y1 < g.height


def along(probe: str) -> float:
    """Part of the flow that a beam through the middle of the vessel sees."""
    x, z = VESSEL.x, VESSEL.z + PROBES[probe].radius_mm
    u, w = VESSEL.direction
    return (x * u + z * w) / math.hypot(x, z)


def test_colour_measures_the_flow() -> None:
    """Fastest at systole, a third of it in diastole, away from the probe; only in the vessel there is colour."""
    engine = Engine(1, 30, LARGE, Knobs(mode="colour"), bank=False)
    colour = engine._colour
    assert isinstance(colour, Colour)
    fastest = []
    for t in (BEAT_S / 2, 0.01):
        velocity, power = colour.velocity(t)
        fastest.append(float(np.percentile(velocity[power > 0.003], 5)))
    wanted = -VESSEL.peak_mm_s * along("C5-2")
    assert fastest == pytest.approx([wanted, 0.3 * wanted], rel=0.15)
    got = engine.render(12)
    rgb = np.frombuffer(got.pixels, np.uint8).reshape(768, 1024, 3).astype(int)
    painted = rgb[..., 2] > rgb[..., 0] + 30
    box = got.geometry.regions[1]
    assert painted.sum() > 500
    inside = np.zeros_like(painted)
    inside[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1] = True
    assert not (painted & ~inside).any()
    assert (rgb[..., 0] > rgb[..., 2] + 30).sum() < 0.03 * painted.sum()


def test_spectrum_is_calibrated_in_velocity() -> None:
    """The lower edge at systole is the fastest flow by the region's numbers; nothing flows towards the probe."""
    engine = Engine(1, 5, SMALL, Knobs(mode="PW"), bank=False)
    for number in range(6):
        grey = picture(engine, number)
    region = engine.geometry.regions[0]
    assert (region.unit_x, region.unit_y) == ("s", "mm/s")
    rows = np.flatnonzero((grey > 100).any(1))
    speeds = (rows - region.reference[1]) * region.delta_y
    assert speeds.min() == pytest.approx(-VESSEL.peak_mm_s * along("C5-2"), rel=0.12)
    assert speeds.max() < 25


def test_motion_is_calibrated_in_time_and_depth() -> None:
    """Pins are lines at their depths; what moves repeats itself after a beat."""
    engine = Engine(1, 5, SMALL, Knobs(mode="M"), bank=False)
    for number in range(21):
        grey = picture(engine, number)
    region = engine.geometry.regions[0]
    depths = [(row - region.reference[1]) * region.delta_y for row in tops(grey.min(1), 6)]
    assert depths == pytest.approx([float(z) for z in range(20, 160, 20)], abs=0.6)
    beat = round(BEAT_S / region.delta_x)
    assert np.array_equal(grey[:, 200], grey[:, 200 + beat])
    assert not np.array_equal(grey[:, 200], grey[:, 200 + beat // 2])


def test_depth_and_probe_change_the_geometry() -> None:
    """More depth, larger pixels; another probe brings its own depth."""
    knobs = Knobs()
    steps = [
        Engine(1, 30, SMALL, knobs.turned({"depth": d}), bank=False).geometry.spacing_mm for d in (80, 200)
    ]
    assert steps[1] > 1.8 * steps[0]
    assert knobs.turned({"probe": "L12-4"}).depth == PROBES["L12-4"].depth_mm
    assert knobs.turned({"probe": "L12-4", "depth": "40"}).depth == 40.0


@pytest.mark.parametrize(
    "text",
    [
        "depth=10",
        "depth=nan",
        "depth=inf",
        "gain=loud",
        "freeze=2",
        "probe=X",
        "mode=3D",
        "colour=1",
        "depth",
        "",
        ";",
    ],
)
def test_a_wrong_knob_is_refused_in_words(text: str) -> None:
    """Nothing is half set."""
    with pytest.raises(ValueError, match=r"\w+"):
        Knobs().turned(parse(text))
