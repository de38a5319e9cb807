"""Pictures: windows, polarity, bit depths, orientation against the truth, and files that are none."""

from __future__ import annotations

import base64
import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from bench.report.images import GRID, SIDE, compare, dicom_picture, truth_picture

Array = np.ndarray[Any, Any]


def save(path: Path, pixels: Array, syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> Path:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    ds.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = pixels.dtype.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in attributes.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    if "PixelData" not in attributes:
        ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    ds.preamble = b"\x00" * 128
    ds.save_as(path, enforce_file_format=False)
    return path


def shown(path: Path) -> Array:
    picture = dicom_picture(path)
    assert picture.uri.startswith("data:image/png;base64,"), picture.note
    with Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))) as image:
        assert image.size == (picture.width, picture.height)
        return np.asarray(image).astype(int)


RAMP = np.tile(np.arange(0, 4096, 16, dtype=np.uint16), (256, 1))


def test_window_is_applied(tmp_path: Path) -> None:
    image = shown(save(tmp_path / "x", RAMP, WindowCenter=2048, WindowWidth=1024))
    assert image[0, 0] == 0
    assert image[0, -1] == 255
    at = int(np.argmin(np.abs(RAMP[0].astype(int) - 2048)))
    assert abs(image[0, at] - 128) <= 2
    assert image[0, (RAMP[0] < 1500).sum() - 1] == 0


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_every_window_function_rises_through_the_middle(tmp_path: Path, function: str) -> None:
    image = shown(save(tmp_path / "x", RAMP, WindowCenter=2048, WindowWidth=2048, VOILUTFunction=function))
    assert (np.diff(image[0]) >= 0).all()
    assert abs(image[0, 128] - 128) <= 2


def test_monochrome1_and_inverse_are_shown_as_people_see_them(tmp_path: Path) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = shown(save(tmp_path / "a", RAMP, **window))
    one = shown(save(tmp_path / "b", RAMP, PhotometricInterpretation="MONOCHROME1", **window))
    inverse = shown(
        save(
            tmp_path / "c",
            RAMP,
            PhotometricInterpretation="MONOCHROME1",
            PresentationLUTShape="INVERSE",
            **window,
        )
    )
    assert np.abs(plain + one - 255).max() <= 1
    assert (one == inverse).all()


def test_bits_outside_bits_stored_are_not_pixels(tmp_path: Path) -> None:
    dirty = RAMP | np.uint16(0xC000)
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "BitsStored": 14, "HighBit": 13}
    assert (shown(save(tmp_path / "a", dirty, **window)) == shown(save(tmp_path / "b", RAMP, **window))).all()


def test_signed_pixels_and_rescale(tmp_path: Path) -> None:
    signed = RAMP.astype(np.int16) - 2048
    a = shown(save(tmp_path / "a", signed, WindowCenter=0, WindowWidth=4096))
    b = shown(
        save(tmp_path / "b", RAMP, RescaleSlope=1, RescaleIntercept=-2048, WindowCenter=0, WindowWidth=4096)
    )
    assert (a == b).all()
    assert a[0, 0] < 5
    assert a[0, -1] > 250


def test_without_a_window_it_is_shown_and_said(tmp_path: Path) -> None:
    path = save(tmp_path / "x", RAMP)
    assert "no window" in dicom_picture(path).note
    assert shown(path).max() == 255


def test_eight_bits_are_shown_as_they_are(tmp_path: Path) -> None:
    """An ultrasound picture has no window, and its gray is what was on the screen."""
    gray = np.full((64, 64), 100, np.uint8)
    gray[0, 0] = 130
    path = save(tmp_path / "x", gray)
    assert dicom_picture(path).note == ""
    assert set(np.unique(shown(path))) <= {100, 101, 130, 131}


def test_implicit_and_rgb(tmp_path: Path) -> None:
    assert (
        shown(save(tmp_path / "a", RAMP, syntax=ImplicitVRLittleEndian, WindowCenter=9, WindowWidth=9)).ndim
        == 2
    )
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[..., 0] = 200
    image = shown(save(tmp_path / "b", colour))
    assert image.shape == (20, 30, 3)
    assert image[5, 5].tolist() == [200, 0, 0]


def test_downsampling_is_by_area_and_keeps_the_shape(tmp_path: Path) -> None:
    checker = (np.indices((1440, 720)).sum(axis=0) % 2 * 4000).astype(np.uint16)
    image = shown(save(tmp_path / "x", checker, WindowCenter=2000, WindowWidth=4000))
    assert image.shape == (SIDE, SIDE // 2)
    assert np.abs(image - 127).max() <= 2


@pytest.mark.parametrize(
    "attributes",
    [
        {"Rows": 0},
        {"Rows": 60000, "Columns": 60000},
        {"Rows": 257},
        {"BitsAllocated": 32},
        {"BitsStored": 0},
        {"BitsStored": 17},
        {"Rows": None},
        {"syntax": JPEGBaseline8Bit, "PixelData": encapsulate([b"\xff\xd8\xff\xd9"])},
        {"PixelData": b""},
        {"WindowWidth": "1E300", "WindowCenter": "-1E300"},
        {"RescaleSlope": "1E300"},
    ],
)
def test_bad_objects_give_a_note_or_a_picture_but_never_raise(
    tmp_path: Path, attributes: dict[str, Any]
) -> None:
    picture = dicom_picture(save(tmp_path / "x", RAMP, **attributes))
    assert bool(picture.uri) != picture.note.startswith("no picture")


HEAD = b"\x00" * 128 + b"DICM"


@pytest.mark.parametrize(
    "content", [b"", b"DICM", b"\x00" * 200, HEAD, HEAD + b"\xff" * 64, b"MZ" + b"x" * 999]
)
def test_no_dicom_file_gives_a_note(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert dicom_picture(tmp_path / "x").note.startswith("no picture")
    assert dicom_picture(tmp_path / "missing").note.startswith("no picture")
    assert dicom_picture(tmp_path).note.startswith("no picture")


def test_every_cut_of_a_file_gives_a_note_or_a_picture(tmp_path: Path) -> None:
    whole = save(tmp_path / "x", RAMP).read_bytes()
    for at in range(0, len(whole), 4999):
        (tmp_path / "cut").write_bytes(whole[:at])
        assert dicom_picture(tmp_path / "cut").note


def test_a_large_image_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = save(tmp_path / "x", np.zeros((4096, 4096), np.uint16), WindowCenter=1, WindowWidth=2)
    tracemalloc.start()
    dicom_picture(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3.2 * path.stat().st_size


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_of_a_clip_only_the_first_frame_is_read(tmp_path: Path, syntax: str) -> None:
    """A clip of 300 MB is drawn with the memory of one frame."""
    frames = np.zeros((3, 256, 256), np.uint8)
    frames[0, :, 128:] = 200
    frames[1:] = 255
    file = save(tmp_path / "clip", frames[0], syntax=syntax, NumberOfFrames="3", PixelData=frames.tobytes())
    image = shown(file)
    assert (image[0, 0], image[0, -1]) == (0, 200)
    data = file.read_bytes()
    order = "big" if syntax == ExplicitVRBigEndian else "little"
    length, longer = ((n).to_bytes(4, order) for n in (frames.nbytes, 300_000_000))
    at = data.rindex(length, 0, len(data) - frames.nbytes)
    file.write_bytes(data[:at] + longer + data[at + 4 :])
    with file.open("r+b") as grown:
        grown.truncate(300_000_000 + at + 4)
    tracemalloc.start()
    try:
        assert shown(file)[0, -1] == 200
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_sixteen_bits_of_big_endian_are_drawn_as_such(tmp_path: Path) -> None:
    swapped = RAMP.astype(">u2").tobytes()
    image = shown(
        save(
            tmp_path / "x",
            RAMP,
            syntax=ExplicitVRBigEndian,
            PixelData=swapped,
            WindowCenter=2048,
            WindowWidth=4096,
        )
    )
    assert (np.diff(image[0]) >= 0).all()
    assert image[0, -1] > 250


def blobs() -> Array:
    y, x = np.mgrid[0 : 1 : GRID * 1j, 0 : 1 : GRID * 1j]
    large = np.exp(-((x - 0.3) ** 2 + (y - 0.2) ** 2) * 20)
    small = np.exp(-((x - 0.7) ** 2 + (y - 0.5) ** 2) * 40)
    result: Array = large + 0.5 * small + x / 9
    return result


def test_agreement_ignores_windows_noise_and_polarity_but_tells_the_sign() -> None:
    truth = blobs()
    rng = np.random.default_rng(1)
    assert compare(truth, truth).rho == pytest.approx(1)
    assert compare(truth, np.sqrt(truth) * 3 + 1).rho == pytest.approx(1)
    assert compare(truth, -truth).rho == pytest.approx(-1)
    noisy = compare(truth, truth + rng.normal(0, 0.01, truth.shape))
    assert noisy.rho > 0.95
    assert noisy.upright
    assert abs(compare(truth, rng.random(truth.shape)).rho) < 0.05
    assert compare(truth, np.ones_like(truth)).rho == 0


@pytest.mark.parametrize(
    ("turn", "name"),
    [
        (lambda a: a, "as stored"),
        (np.fliplr, "mirrored"),
        (lambda a: np.rot90(a, 1), "turned 90° left"),
        (lambda a: np.rot90(a, -1), "turned 90° right"),
        (lambda a: np.rot90(a, 2), "turned 180°"),
        (np.flipud, "mirrored and turned 180°"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_flips_and_turns_are_named(turn: Any, name: str, sign: int) -> None:
    found = compare(blobs(), sign * turn(blobs()))
    assert found.orientation == name
    assert found.best == pytest.approx(sign)
    assert found.upright == (name == "as stored")


def test_truth_from_grid_and_picture(tmp_path: Path) -> None:
    # The array is kerma: much of it is dark on the picture.
    np.save(tmp_path / "t.npy", (blobs().max() - blobs()).astype(np.float32))
    Image.fromarray((blobs() / blobs().max() * 65535).astype(np.uint16)).save(tmp_path / "t.png")
    for files in (["t.npy", "t.png"], ["t.npy"], ["t.png"]):
        picture = truth_picture([tmp_path / name for name in files])
        assert picture.uri
        assert picture.grid is not None
        assert compare(blobs(), picture.grid).rho > 0.99


def test_bad_truth_gives_a_note(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.save(tmp_path / "nan.npy", np.full((9, 9), np.nan))
    np.save(tmp_path / "cube.npy", np.zeros((3, 3, 3)))
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    for name in ("object.npy", "nan.npy", "cube.npy", "x.png", "missing.npy"):
        assert truth_picture([tmp_path / name]).note.startswith("no picture")
    assert truth_picture([]).note == "no picture: the truth was not kept"


def test_truth_is_compared_with_the_polarity_that_is_shown(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", blobs().astype(np.float32))  # kerma: bone is low
    shown_white = 255 * (1 - blobs() / blobs().max())  # the picture shows bone white
    Image.fromarray(shown_white.astype(np.uint8)).save(tmp_path / "t.png")
    picture = truth_picture([tmp_path / "t.npy", tmp_path / "t.png"])
    assert picture.grid is not None
    assert compare(picture.grid, -blobs()).rho == pytest.approx(1)
