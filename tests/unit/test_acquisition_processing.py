"""Maps are verified, frames corrected, and the picture and its exposure index follow the dose."""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from modality.acquisition.calibration import Calibration, follow_dark, load, plan_repair
from modality.acquisition.model import AcquisitionConfig, AcquisitionError
from modality.acquisition.processing import Processed, Processor, deviation_index, presentation_table

W, H, SERIAL = 192, 160, "FPD-7"


def map_file(number: int, pixels: npt.NDArray[Any], serial: str = SERIAL, **change: int) -> bytes:
    body = pixels.tobytes()
    head = struct.pack(
        ">2sBB16sIHHHH",
        b"XM",
        change.get("version", 1),
        change.get("kind", number),
        serial.encode(),
        change.get("crc", zlib.crc32(body)),
        change.get("width", pixels.shape[1]),
        change.get("height", pixels.shape[0]),
        change.get("binning", 1),
        0,
    )
    return head + body


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    offset = rng.integers(150, 250, (H, W)).astype("<u2")
    gain = rng.uniform(0.8, 1.25, (H, W)).astype("<f4")
    defect = np.zeros((H, W), "u1")
    defect[:, 50] = 1  # a line
    defect[20:23, 100:103] = 1  # a cluster
    defect[0, 0] = 1  # a corner
    (tmp_path / "offset.map").write_bytes(map_file(1, offset))
    (tmp_path / "gain.map").write_bytes(map_file(2, gain))
    (tmp_path / "defect.map").write_bytes(map_file(3, defect))
    return tmp_path


def test_good_maps(maps: Path) -> None:
    made = load(maps, SERIAL, W, H)
    assert made.shape == (H, W)
    assert np.count_nonzero(made.bad) == H + 9 + 1
    assert made.calibrated.tzinfo is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"kind": 1}, "no gain map"),
        ({"crc": 1}, "damaged"),
        ({"width": W + 2}, f"{W + 2} x {H}"),
        ({"binning": 2}, "binning 2"),
    ],
)
def test_wrong_headers(maps: Path, change: dict[str, int], words: str) -> None:
    gain = np.ones((H, W), "<f4")
    (maps / "gain.map").write_bytes(map_file(2, gain, **change))
    with pytest.raises(AcquisitionError, match=words) as caught:
        load(maps, SERIAL, W, H)
    assert caught.value.code == "calibration"


def test_wrong_files(maps: Path) -> None:
    good = (maps / "gain.map").read_bytes()
    for data, words in (
        (b"", "no calibration map"),
        (b"PK\3\4" + bytes(100), "no calibration map"),
        (good[:-1], "length"),
        (good + b"x", "length"),
        (good[:40] + bytes([good[40] ^ 1]) + good[41:], "damaged"),
        (map_file(2, np.zeros((H, W), "<f4")), "impossible"),
        (map_file(2, np.full((H, W), np.nan, "<f4")), "impossible"),
        (map_file(2, np.ones((H, W), "<f4"), "FPD-8"), "FPD-8"),
    ):
        (maps / "gain.map").write_bytes(data)
        with pytest.raises(AcquisitionError, match=words):
            load(maps, SERIAL, W, H)
    (maps / "gain.map").unlink()
    with pytest.raises(AcquisitionError, match="gain map cannot be read"):
        load(maps, SERIAL, W, H)


def test_more_defects_than_pixels_is_no_calibration(maps: Path) -> None:
    (maps / "defect.map").write_bytes(map_file(3, np.ones((H, W), "u1")))
    with pytest.raises(AcquisitionError, match="100 %"):
        load(maps, SERIAL, W, H)


def test_defects_are_interpolated_from_good_neighbours(maps: Path) -> None:
    repair = load(maps, SERIAL, W, H).repair
    image = np.add.outer(np.arange(H) * 3.0, np.arange(W) * 2.0).astype(np.float32)
    spoiled = image.copy()
    spoiled.reshape(-1)[repair.bad] = -1e9
    repair.apply(spoiled.reshape(-1))
    assert spoiled[80, 50] == pytest.approx(image[80, 50])
    assert spoiled[21, 101] == pytest.approx(image[21, 101])
    assert np.abs(spoiled - image).max() < 6  # the corner has neighbours on two sides only


def test_a_wholly_bad_neighbourhood_does_not_crash() -> None:
    bad = np.ones((4, 4), bool)
    flat = np.full(16, 7, np.float32)
    plan_repair(bad).apply(flat)
    assert (flat == 0).all()


def scene(dose: float, seed: int = 1) -> npt.NDArray[np.float32]:
    """Counts of a disc of tissue in air behind a collimator."""
    y, x = np.mgrid[0:H, 0:W].astype(np.float32)
    tissue = 0.2 * np.exp(-(((x - W / 2) / 60) ** 2 + ((y - H / 2) / 50) ** 2)) - 1.6
    image = np.where(((x - W / 2) / 70) ** 2 + ((y - H / 2) / 60) ** 2 < 1, np.exp(tissue), 1.0)
    image[:6] = 0.002
    return np.asarray(image * dose, np.float32)


class Room:
    """A calibrated detector of this test."""

    def __init__(self, maps: Path, threads: int = 2, bits: int = 14) -> None:
        self.calibration: Calibration = load(maps, SERIAL, W, H)
        self.processor = Processor(W, H, bits, threads)

    def shoot(self, dose: float, target: float = 400.0) -> Processed:
        c = self.calibration
        raw = np.rint(scene(dose) / c.gain + c.offset).astype(np.uint16)
        raw[c.bad] = 65535
        return self.processor.process(raw, c, c.offset, 1000.0, target)


def test_exposure_index_is_proportional_to_dose(maps: Path) -> None:
    room = Room(maps)
    one, two = room.shoot(10_000), room.shoot(20_000)
    # tissue in the central half: exp(-1.6 + 0.2 g) with g near 0.75 lets about 23.5 % of 10 µGy through
    assert one.ei == pytest.approx(100 * 2.35, rel=0.03)
    assert two.ei == pytest.approx(2 * one.ei, rel=1e-3)
    assert two.di - one.di == pytest.approx(10 * np.log10(2), abs=0.01)
    assert room.shoot(10_000, target=one.ei).di == pytest.approx(0.0, abs=1e-6)


def test_direct_radiation_and_collimator_do_not_count(maps: Path) -> None:
    image = scene(10_000)
    central = image[H // 4 : H - H // 4, W // 4 : W - W // 4]
    tissue = central[(central > 200) & (central < 8000)]
    assert Room(maps).shoot(10_000).ei == pytest.approx(100 * float(np.median(tissue)) / 1000, rel=0.02)


def test_picture_is_bone_bright_deterministic_and_in_range(maps: Path) -> None:
    pictures = [Room(maps, threads).shoot(10_000).pixels for threads in (1, 2, 3)]
    for other in pictures[1:]:
        assert np.array_equal(pictures[0], other)
    picture = pictures[0].astype(int)
    assert picture.max() <= (1 << 14) - 1
    assert picture[10, 10] < picture[H // 2, W // 2]  # air is dark, tissue bright
    assert picture[2, W // 2] == (1 << 14) - 1  # behind the collimator
    assert Room(maps, bits=12).shoot(10_000).pixels.max() <= (1 << 12) - 1


def test_picture_does_not_depend_on_the_dose(maps: Path) -> None:
    room = Room(maps)
    a, b = room.shoot(8_000).pixels.astype(int), room.shoot(32_000).pixels.astype(int)
    inside = np.s_[30 : H - 30, 40 : W - 40]
    assert np.abs(a[inside] - b[inside]).mean() < 0.005 * (1 << 14)


def test_corrected_image_is_flat_where_the_scene_is(maps: Path) -> None:
    room = Room(maps)
    room.shoot(30_000)
    air = room.processor._corrected[20:30, 2:20]
    assert air.std() / air.mean() < 1e-3
    assert air.mean() == pytest.approx(30_000, rel=1e-3)


def test_a_dark_field_gives_a_picture_too(maps: Path) -> None:
    done = Room(maps).shoot(0)
    assert done.ei < 1
    assert done.pixels.shape == (H, W)


def test_wrong_size_is_refused(maps: Path) -> None:
    room = Room(maps)
    with pytest.raises(ValueError, match="frame"):
        room.processor.process(
            np.zeros((4, 4), np.uint16), room.calibration, room.calibration.offset, 1.0, 1.0
        )


def test_a_dark_frame_moves_the_offset_smoothly(maps: Path) -> None:
    c = load(maps, SERIAL, W, H)
    rng = np.random.default_rng(4)
    drift = np.linspace(0, 8, W)[None, :] + 10
    dark = np.rint(c.offset + drift + rng.normal(0, 3, (H, W))).astype(np.uint16)
    dark[c.bad] = 60_000
    moved, mean = follow_dark(c, dark)
    assert mean == pytest.approx(14, abs=0.2)
    assert np.abs(moved - (c.offset + drift))[~c.bad].max() < 2.0  # the noise of single pixels is 3
    with pytest.raises(AcquisitionError, match="does not fit"):
        follow_dark(c, dark[:10])


def test_presentation_table() -> None:
    table = presentation_table(100.0, 10_000.0, 14)
    assert (np.diff(table.astype(int)) <= 0).all()
    assert (table[0], table[100], table[10_000], table[65535]) == (16383, 16383, 0, 0)
    assert table[1000] == pytest.approx(8191.5, abs=1)


def test_deviation_index_has_limits() -> None:
    assert deviation_index(400, 400) == 0
    assert deviation_index(500, 400) == pytest.approx(0.969, abs=1e-3)
    assert deviation_index(0, 400) == deviation_index(400, 0) == -99.9


def test_calibrated_date_is_that_of_the_gain_map(maps: Path) -> None:
    made = load(maps, SERIAL, W, H).calibrated
    assert abs((datetime.now(UTC) - made).total_seconds()) < 600


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (({"adress": "x"}, {}), "did you mean 'address'"),
        (({"packet_size": 1501}, {}), "multiple of 4"),
        (({"gvcp_port": 0}, {}), "gvcp_port"),
        (({"heartbeat_ms": 10}, {}), "heartbeat_ms"),
        (({}, {"url": 5}), "generator.url must be str"),
        (({}, {}, {"threads": 0}), "threads"),
        (({}, {}, {}, 16), "bits_stored"),
    ],
)
def test_wrong_settings(args: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AcquisitionConfig.from_settings(*args)
