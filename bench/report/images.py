"""Pictures for the report: a stored DICOM object as a person would see it, the phantom's truth beside it.

Rules of this file:

* Nothing here raises for a bad file: a picture that cannot be made is a :class:`Picture` with a note instead.
* Limits come first: the header is read without pixels, sizes are checked, and only then are pixels read.
  Compressed objects are not decoded (decoders are for a child process).
* Pictures are made small by area averaging in bands, so that a 4096 x 4096 image costs a few MB beside its
  pixels.
* Agreement is measured by rank correlation (Spearman): it does not care about windows, look-up tables or
  polarity, and says by its sign whether bright and dark are exchanged.
* pydicom and Pillow are imported where they are used.
"""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bench.report.text import shorten, visible

Floats = NDArray[np.float64]

MAX_FILE: Final = 512 * 1024 * 1024
MAX_PIXELS: Final = 64 * 1024 * 1024
"""Of one frame; a 4096 x 4096 detector has 16 Mi."""
SIDE: Final = 360
"""Longest side of a picture in the report, in pixels."""
GRID: Final = 256
"""Side of the square grids that are compared."""


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, or (``uri`` empty) a note that says why there is none."""

    uri: str = ""
    width: int = 0
    height: int = 0
    note: str = ""
    grid: Floats | None = None
    """Brightness on a GRID x GRID raster as a person sees it (bright is high), for :func:`compare`."""


@dataclass(frozen=True)
class Agreement:
    """How well an image shows its truth: rank correlation in [-1, 1], and the orientation that fits best."""

    rho: float
    orientation: str
    best: float

    @property
    def upright(self) -> bool:
        """Tell whether no flip or turn fits clearly better than the image as it is."""
        return self.orientation == "as stored" or abs(self.rho) >= abs(self.best) - 0.005


def _block(values: NDArray[Any], rows: int, cols: int) -> Floats:
    """Average a 2-D array down to rows x cols by area; a side that is smaller already is repeated instead."""
    high, wide = values.shape
    row_at = np.linspace(0, high, rows + 1).astype(int)
    col_at = np.linspace(0, wide, cols + 1).astype(int)
    out = np.empty((rows, cols), np.float64)
    widths = np.maximum(np.diff(col_at), 1)
    for i in range(rows):
        band = values[row_at[i] : max(row_at[i + 1], row_at[i] + 1)]
        means = band.mean(axis=0, dtype=np.float64)
        out[i] = np.add.reduceat(means, np.minimum(col_at[:-1], wide - 1)) / widths
    return out


def _fit(high: int, wide: int) -> tuple[int, int]:
    scale = min(SIDE / max(high, wide), 1.0)
    return max(round(high * scale), 1), max(round(wide * scale), 1)


def _uri(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG", optimize=True)
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _scaled(values: Floats, low: float, high: float) -> Floats:
    """Return brightness 0 to 1."""
    return np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)


def _picture(shown: Floats, grid: Floats, note: str = "") -> Picture:
    """Make a picture of brightness 0 to 1."""
    pixels = (shown * 255 + 0.5).astype(np.uint8)
    return Picture(_uri(pixels), shown.shape[1], shown.shape[0], note, grid)


def _first(value: Any, default: float | None = None) -> float | None:
    """Return the first of one or several numbers."""
    if value is None or value == "":
        return default
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        return float(value)
    return float(value[0]) if len(value) else default


def _windowed(values: Floats, ds: Any) -> tuple[Floats, str]:
    """Apply the first window (PS3.3 C.11.2.1.2) or, without one, the range of the values; brightness 0 to 1."""
    center, width = _first(ds.get("WindowCenter")), _first(ds.get("WindowWidth"))
    if center is None or width is None or not width > 0:
        stored = int(ds.get("BitsStored") or 0)
        if 0 < stored <= 8 and "RescaleSlope" not in ds:  # made for a screen, as it is
            return _scaled(values, 0.0, float(2**stored - 1)), ""
        low, high = np.percentile(values, (0.5, 99.5))
        return _scaled(values, float(low), float(high)), "no window in the object; shown from 0.5 % to 99.5 %"
    function = str(ds.get("VOILUTFunction") or "LINEAR").strip()
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -60, 60))), ""
    if function == "LINEAR_EXACT" or width <= 1:
        return _scaled(values, center - width / 2, center + width / 2), ""
    return _scaled(values, center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2), ""


IMPLICIT: Final = "1.2.840.10008.1.2"
_NATIVE: Final = {IMPLICIT: "<", "1.2.840.10008.1.2.1": "<", "1.2.840.10008.1.2.2": ">"}
"""Transfer syntaxes without compression and their byte order."""


def _pixels(file: BinaryIO, syntax: str, most: int) -> bytes | None:
    """Return the first bytes of native Pixel Data at which a file stands; None when there is none.

    A clip has hundreds of frames, of which one is drawn.
    """
    order: Literal["little", "big"] = "big" if _NATIVE[syntax] == ">" else "little"
    start = file.read(8)
    group, element = (int.from_bytes(start[at : at + 2], order) for at in (0, 2))
    if len(start) < 8 or (group, element) != (0x7FE0, 0x0010):
        return None
    if syntax == IMPLICIT:
        length = int.from_bytes(start[4:], order)
    elif start[4:6] in (b"OB", b"OW", b"UN"):
        length = int.from_bytes(file.read(4), order)
    else:
        return None
    return None if length == 0xFFFFFFFF else file.read(min(length, most))


def _dicom(path: Path | BinaryIO) -> Picture:
    import pydicom

    if isinstance(path, Path):
        if path.stat().st_size > MAX_FILE:
            return Picture(note=f"no picture: the file is larger than {MAX_FILE >> 20} MiB")
        with path.open("rb") as file:
            return _dicom(file)
    head = pydicom.dcmread(path, stop_before_pixels=True, force=False)
    syntax = str(head.file_meta.get("TransferSyntaxUID", ""))
    if syntax not in _NATIVE:
        return Picture(note=f"no picture: transfer syntax {visible(shorten(syntax, 64))} is not decoded here")
    rows, cols = int(head.get("Rows") or 0), int(head.get("Columns") or 0)
    samples = int(head.get("SamplesPerPixel") or 1)
    bits, stored = int(head.get("BitsAllocated") or 0), int(head.get("BitsStored") or 0)
    colour = str(head.get("PhotometricInterpretation") or "")
    if rows <= 0 or cols <= 0:
        return Picture(note="no picture: the object has no pixels")
    if rows * cols > MAX_PIXELS:
        return Picture(note=f"no picture: {cols} × {rows} pixels are too many")
    planar = int(head.get("PlanarConfiguration") or 0)
    if (
        (samples, bits) not in ((1, 8), (1, 16), (3, 8))
        or not 0 < stored <= bits
        or (samples == 3 and planar)
    ):
        return Picture(note=f"no picture: {samples} × {bits} bit pixels are not drawn here")
    count = rows * cols * samples
    pixels = _pixels(path, syntax, count * bits // 8)
    if pixels is None:
        return Picture(note="no picture: the object has no pixels")
    if len(pixels) < count * bits // 8:
        return Picture(note=f"no picture: {len(pixels)} bytes of pixels where {count * bits // 8} belong")
    dtype = np.dtype(np.uint8) if bits == 8 else np.dtype(f"{_NATIVE[syntax]}u2")
    frame = np.frombuffer(pixels, dtype, count)
    shown_size = _fit(rows, cols)
    if samples == 3:
        planes = frame.reshape(rows, cols, 3)
        small = np.stack([_block(planes[..., i], *shown_size) for i in range(3)], axis=-1) / 255
        grid = _block(planes.mean(axis=-1, dtype=np.float32), GRID, GRID)
        return _picture(
            small, grid, "" if colour == "RGB" else f"drawn as RGB, the object says {visible(colour)}"
        )
    image = frame.reshape(rows, cols)
    if stored < bits:
        image = image & ((1 << stored) - 1)
    if int(head.get("PixelRepresentation") or 0):
        sign = 1 << (stored - 1)
        image = (image.astype(np.int32) ^ sign) - sign
    slope, intercept = (
        _first(head.get("RescaleSlope"), 1.0) or 1.0,
        _first(head.get("RescaleIntercept"), 0.0) or 0.0,
    )
    shown, note = _windowed(_block(image, *shown_size) * slope + intercept, head)
    grid, _ = _windowed(_block(image, GRID, GRID) * slope + intercept, head)
    inverse = str(head.get("PresentationLUTShape") or "") == "INVERSE"
    if inverse or (colour == "MONOCHROME1" and not head.get("PresentationLUTShape")):
        shown, grid = 1.0 - shown, 1.0 - grid
    if colour not in ("MONOCHROME1", "MONOCHROME2"):
        note = f"drawn as MONOCHROME2, the object says {visible(shorten(colour, 20))}. {note}"
    return _picture(shown, grid, note)


def dicom_picture(path: str | Path | BinaryIO) -> Picture:
    """Draw the first frame of a stored object, a file or its bytes, with its own window and polarity."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's opinion of a product's file is no warning of ours
            return _dicom(Path(path) if isinstance(path, str) else path)
    except Exception as error:  # any file that a product can produce
        return Picture(note=f"no picture: {visible(shorten(str(error) or type(error).__name__, 160))}")


def _square(path: Path) -> Floats | None:
    """Read a 2-D array from a .npy file; None when it is none of ours."""
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    if values.ndim != 2 or values.size > MAX_PIXELS or values.size == 0 or values.dtype.kind not in "fui":
        return None
    grid = _block(values, GRID, GRID) if values.shape != (GRID, GRID) else np.array(values, np.float64)
    return grid if bool(np.isfinite(grid).all()) else None


def truth_picture(files: list[Path]) -> Picture:
    """Draw the phantom's truth from what the detector left: a PNG to look at, a .npy grid to compare with.

    The array is air kerma in µGy; its sign is turned, because a radiograph is dark where much arrived.
    """
    picture, grid, note = Picture(), None, ""
    try:
        for path in files:
            if path.suffix == ".npy" and grid is None:
                kerma = _square(path)
                grid = None if kerma is None else -kerma
            elif path.suffix == ".png" and not picture.uri:
                picture = _png(path)
    except Exception as error:
        note = f"no picture: {visible(shorten(str(error) or type(error).__name__, 160))}"
    if grid is not None and not picture.uri:
        low, high = np.percentile(grid, (0.5, 99.5))
        picture = _picture(_scaled(grid, float(low), float(high)), grid)
    if not picture.uri:
        return Picture(note=note or "no picture: the truth was not kept")
    if grid is None:
        grid = picture.grid
    return Picture(picture.uri, picture.width, picture.height, note, grid)


def _png(path: Path) -> Picture:
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as image:
        if image.width * image.height > MAX_PIXELS:
            return Picture(note="no picture: the truth is too large")
        values = np.asarray(image)
    if values.ndim == 3:
        values = values[..., :3].mean(axis=-1)
    top = 65535.0 if values.dtype.itemsize > 1 and float(values.max(initial=0)) > 255 else 255.0
    return _picture(_block(values, *_fit(*values.shape)) / top, _block(values, GRID, GRID))


def _ranks(values: Floats) -> Floats:
    """Return ranks, equal values sharing their mean rank; centred and of length 1 (all zero when constant)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = ((ends - counts + ends - 1) / 2)[inverse.ravel()].reshape(values.shape)
    ranks = ranks - ranks.mean()
    norm = float(np.sqrt((ranks**2).sum()))
    return ranks / norm if norm > 0 else np.zeros_like(ranks)


_TURNS: Final = ("as stored", "turned 90° right", "turned 180°", "turned 90° left")
"""What was done to the image when undoing it takes so many quarter turns to the left."""


def compare(truth: Floats, image: Floats) -> Agreement:
    """Compare two grids of the same square shape: rank correlation as stored, and the best of all 8
    orientations.
    """
    a, b = _ranks(truth), _ranks(image)
    rho = float((a * b).sum())
    best, name = rho, _TURNS[0]
    for flip in (False, True):
        turned = np.fliplr(b) if flip else b
        for quarter, turn in enumerate(_TURNS):
            value = float((a * np.rot90(turned, quarter)).sum())
            if abs(value) > abs(best) + 1e-9:
                best = value
                name = ("mirrored" if quarter == 0 else f"mirrored and {turn}") if flip else turn
    return Agreement(rho, name, best)
