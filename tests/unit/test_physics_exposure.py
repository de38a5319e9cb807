"""Exposures: dose, attenuation, noise, collimator, defects; and that a frame can be made again byte by byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simulators.world.bus import Beam
from simulators.world.phantom import PHANTOMS, Scene, Sensor, scene
from simulators.world.physics import Picture, expose, ideal
from simulators.world.physics_panel import Panel, panel

SENSOR = Sensor(256, 256, 0.139)


@pytest.fixture(scope="module")
def plate() -> Panel:
    return panel(SENSOR, 16, 5)


@pytest.fixture(scope="module")
def good(plate: Panel) -> npt.NDArray[np.bool_]:
    return np.asarray((plate.gain > 0.5) & (plate.offset < 1e5))


def beam(
    kvp: float = 80, mas: float = 1.0, sid: float = 1800, phantom: str = "air", field: float = 500
) -> Beam:
    return Beam(kvp, mas * 10, 0, 100_000_000, sid, phantom, 1, (field, field))


def take(
    plate: Panel, *beams: Beam, shot: int = 1, bits: int = 16, region: tuple[int, int, int, int] | None = None
) -> tuple[npt.NDArray[np.uint16], Picture]:
    region = region or (0, 0, SENSOR.width, SENSOR.height)
    out = np.zeros((region[3], region[2]), np.uint16)
    scenes = [scene(b.phantom, SENSOR) for b in beams]
    picture = expose(plate, scenes, beams, shot=shot, region=region, bits=bits, integration_s=0.5, out=out)
    return out, picture


def signal(plate: Panel, good: Any, *beams: Beam) -> float:
    """Mean counts above the dark frame."""
    lit, dark = take(plate, *beams)[0], take(plate, shot=2)[0]
    return float((lit.astype(float) - dark)[good].mean())


def test_the_same_shot_is_the_same_bytes_and_the_next_one_is_not(plate: Panel) -> None:
    one, again, other = (take(plate, beam(phantom="hand"), shot=s)[0] for s in (4, 4, 5))
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


def test_another_seed_is_another_panel(plate: Panel) -> None:
    sibling = panel(SENSOR, 16, 6)
    assert not np.array_equal(plate.gain, sibling.gain)
    assert not np.array_equal(plate.offset, sibling.offset)


def test_signal_is_linear_in_mas(plate: Panel, good: Any) -> None:
    assert signal(plate, good, beam(mas=0.4)) * 2 == pytest.approx(
        signal(plate, good, beam(mas=0.8)), rel=0.01
    )


def test_signal_falls_with_the_square_of_the_distance(plate: Panel, good: Any) -> None:
    near, far = signal(plate, good, beam(sid=1000, mas=0.2)), signal(plate, good, beam(sid=2000, mas=0.2))
    assert near / far == pytest.approx(4, rel=0.02)


def test_counts_per_kerma_are_what_the_panel_says(plate: Panel, good: Any) -> None:
    lit, picture = take(plate, beam(mas=0.5))
    dark, _ = take(plate, shot=2)
    counts = (lit.astype(float) - dark)[good] / plate.gain[good]
    assert counts.mean() == pytest.approx(picture.kerma_ugy * plate.counts_per_ugy, rel=0.02)


def test_higher_voltage_goes_through_more(plate: Panel, good: Any) -> None:
    def transmission(kvp: float) -> float:
        through = signal(plate, good, beam(kvp, 1, phantom="flat"))
        return through / signal(plate, good, beam(kvp, 0.2))

    assert transmission(120) > 1.1 * transmission(60)


def test_quantum_noise_grows_with_the_root_of_the_dose(plate: Panel, good: Any) -> None:
    def spread(mas: float) -> float:
        a, b = (take(plate, beam(mas=mas), shot=s)[0].astype(float) for s in (1, 2))
        return float((a - b)[good].std())

    assert spread(1.6) / spread(0.4) == pytest.approx(2, rel=0.06)


def test_a_dark_frame_is_offset_and_electronic_noise_only(plate: Panel, good: Any) -> None:
    dark, picture = take(plate)
    assert picture.photons == 0
    assert picture.kvp is None
    residual = dark.astype(float)[good] - plate.offset[good]
    assert 0 < residual.mean() < 5 * plate.unit
    assert residual.std() < 5 * plate.unit


def test_defects_show(plate: Panel) -> None:
    lit, _ = take(plate, beam(mas=0.5))
    dead, stuck = plate.gain == 0, plate.offset > 1e5
    assert dead.sum() > 20
    assert stuck.sum() > 20
    assert lit[dead & ~stuck].max() < 2000
    assert (lit[stuck] == 65535).all()


def test_the_collimator_covers_what_is_outside(plate: Panel, good: Any) -> None:
    lit, _ = take(plate, beam(mas=1, field=10))
    dark, _ = take(plate, shot=2)
    seen = np.where(good, lit.astype(float) - dark, np.nan)
    assert np.nanmean(seen[100:156, 100:156]) > 50 * abs(np.nanmean(seen[:40, :40]))


def test_two_beams_add_up(plate: Panel, good: Any) -> None:
    both = signal(plate, good, beam(60, 0.3), beam(90, 0.2))
    assert both == pytest.approx(
        signal(plate, good, beam(60, 0.3)) + signal(plate, good, beam(90, 0.2)), rel=0.01
    )


def test_fourteen_bits_clip(plate: Panel) -> None:
    lit, _ = take(plate, beam(mas=3), bits=14)
    assert lit.max() == 16383


def test_a_region_shows_that_part_of_the_sensor(plate: Panel, good: Any) -> None:
    whole, _ = take(plate, beam(mas=0.5, phantom="step_wedge"))
    part, _ = take(plate, beam(mas=0.5, phantom="step_wedge"), region=(64, 32, 128, 96))
    cut, ok = whole[32:128, 64:192].astype(float), good[32:128, 64:192]
    assert np.corrcoef(part[ok].astype(float), cut[ok])[0, 1] > 0.98


def test_photons_are_counted(plate: Panel) -> None:
    half, whole = take(plate, beam(mas=0.5))[1], take(plate, beam(mas=1))[1]
    assert whole.photons == pytest.approx(2 * half.photons, rel=1e-6)
    assert whole.photons == pytest.approx(whole.kerma_ugy * 30000 * 0.139**2 * 0.65 * 256 * 256, rel=0.01)


def test_the_ideal_picture_is_the_mean_of_many_noisy_ones(plate: Panel, good: Any) -> None:
    b = beam(mas=0.5, phantom="step_wedge")
    truth = ideal(plate, [scene("step_wedge", SENSOR)], [b], (0, 0, 256, 256))
    assert truth.shape == (256, 256)
    frames = np.mean([take(plate, b, shot=s)[0].astype(float) for s in range(8)], 0)
    dark = np.mean([take(plate, shot=s)[0].astype(float) for s in range(8)], 0)
    kerma = (frames - dark)[good] / plate.gain[good] / plate.counts_per_ugy
    assert np.abs(kerma / truth[good] - 1).mean() < 0.05
    assert kerma.mean() == pytest.approx(truth[good].mean(), rel=0.01)


def test_no_beam_has_a_black_truth(plate: Panel) -> None:
    assert not ideal(plate, [], [], (0, 0, 256, 256)).any()


def test_scatter_lightens_the_shadow_and_a_grid_takes_it_away(plate: Panel) -> None:
    water = np.full((256, 256), np.float32(15))
    bone = np.zeros((256, 256), np.float32)
    bone[112:144, 112:144] = 10
    with_, without = (
        ideal(plate, [Scene("x", water, bone, None, grid)], [beam(mas=5)], (0, 0, 256, 256))
        for grid in (True, False)
    )

    def contrast(a: Any) -> float:
        return float(a[128, 128] / a[20:60, 20:60].mean())

    assert contrast(with_) < 0.5 * contrast(without)


@pytest.mark.parametrize("name", sorted(PHANTOMS))
def test_every_phantom_can_be_drawn_and_exposed(plate: Panel, name: str) -> None:
    made = scene(name, SENSOR)
    for part in (made.water, made.bone):
        if part is not None:
            assert part.shape == (256, 256)
            assert part.dtype == np.float32
            assert np.isfinite(part).all()
            assert part.min() >= 0
    out, picture = take(plate, beam(phantom=name, mas=2))
    assert picture.phantom == name
    assert out.std() > 0


@pytest.mark.parametrize("name", ["chest", "hand", "step_wedge", "line_pairs", "small_field"])
def test_a_flip_or_a_turn_can_be_seen(name: str) -> None:
    s = Sensor(512, 512, 427 / 512)
    made = scene(name, s)
    picture = (made.water if made.water is not None else 0) + (made.bone if made.bone is not None else 0)
    for turned in (picture[:, ::-1], picture[::-1], picture[::-1, ::-1], picture.T):
        assert (np.abs(turned - picture) > 0.5).mean() > 0.002


def test_maps_come_from_the_cache_unchanged(tmp_path: Path) -> None:
    from simulators.world import physics_cache

    first = panel(SENSOR, 14, 9, cache_dir=str(tmp_path))
    kept = {p.name for p in tmp_path.iterdir()}
    assert any(n.startswith("panel-") for n in kept)
    physics_cache._memory.clear()
    second = panel(SENSOR, 14, 9, cache_dir=str(tmp_path))
    assert isinstance(second.gain, np.memmap)
    assert np.array_equal(first.gain, second.gain)
    assert {p.name for p in tmp_path.iterdir()} == kept
