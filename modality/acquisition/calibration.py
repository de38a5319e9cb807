"""The detector's calibration maps: read, verified, prepared for fast correction.

Rules of this file:

* A folder holds ``offset.map``, ``gain.map`` and ``defect.map``.  Each has a 32-byte big-endian header
  (``XM``, version 1, type, serial, CRC-32 of the body, width, height, binning, reserved) and a
  little-endian body, row by row: offset uint16, gain float32, defect uint8 (1 = bad).
* A map that is missing, cut, of another detector, of another size, or damaged is an
  :class:`AcquisitionError` that says which and why: an image is never corrected with something else.
* corrected = (raw - offset) x gain; then every bad pixel becomes the distance-weighted mean of the
  nearest good pixels to its left, right, top and bottom (at most :data:`REACH` away).
* A live dark frame moves the offset map by the smooth part of the difference, so its noise does not get
  into the images (mean of blocks, bad pixels left out).
"""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modality.acquisition.model import AcquisitionError

F32 = npt.NDArray[np.float32]
U16 = npt.NDArray[np.uint16]

HEADER: Final = struct.Struct(">2sBB16sIHHHH")
KINDS: Final = {"offset": (1, "<u2"), "gain": (2, "<f4"), "defect": (3, "u1")}
REACH: Final = 16
DARK_BLOCK: Final = 32
MAX_DEFECTS: Final = 0.05
"""More bad pixels than this fraction are no calibration."""


@dataclass(frozen=True)
class Repair:
    """How bad pixels are computed: flat indices of the bad, of four neighbours each, and the weights of
    those."""

    bad: npt.NDArray[np.int64]
    neighbours: npt.NDArray[np.int64]
    weights: F32

    def apply(self, flat: F32) -> None:
        """Replace the bad pixels of a flat image, in place."""
        if len(self.bad):
            flat[self.bad] = np.einsum("ij,ij->i", flat[self.neighbours], self.weights)


@dataclass(frozen=True)
class Calibration:
    """The maps of one detector; ``offset`` and ``gain`` are float32 of shape (height, width)."""

    serial: str
    offset: F32
    gain: F32
    bad: npt.NDArray[np.bool_]
    repair: Repair
    calibrated: datetime

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.offset.shape[0], self.offset.shape[1]


def load(folder: str | Path, serial: str, width: int, height: int) -> Calibration:
    """Read and verify the maps of a detector; raises :class:`AcquisitionError` (``calibration``)."""
    where = Path(folder)
    with ThreadPoolExecutor(len(KINDS), "calibration") as pool:
        reads = {
            kind: pool.submit(read_map, where / f"{kind}.map", kind, serial, width, height) for kind in KINDS
        }
    maps = {kind: read.result() for kind, read in reads.items()}
    gain = maps["gain"]
    if not (float(gain.min()) > 0 and float(gain.max()) < np.inf):  # false for not-a-numbers too
        raise _error("The gain map holds impossible values.")
    bad = maps["defect"] != 0
    if np.count_nonzero(bad) > MAX_DEFECTS * bad.size:
        raise _error(f"The defect map marks {100 * np.count_nonzero(bad) / bad.size:.0f} % of all pixels.")
    stamp = datetime.fromtimestamp((where / "gain.map").stat().st_mtime, UTC).astimezone()
    return Calibration(serial, maps["offset"].astype(np.float32), gain, bad, plan_repair(bad), stamp)


def read_map(path: Path, kind: str, serial: str, width: int, height: int) -> npt.NDArray[Any]:
    """Read one map file; raises :class:`AcquisitionError` (``calibration``)."""
    number, dtype = KINDS[kind]
    size = width * height * np.dtype(dtype).itemsize
    try:
        with path.open("rb") as stream:
            head = stream.read(HEADER.size)
            body = np.empty(size, np.uint8)
            got = stream.readinto(body.data)
            more = stream.read(1)
    except OSError as error:
        raise _error(f"The {kind} map cannot be read: {error.strerror or error}.") from error
    if len(head) < HEADER.size or head[:2] != b"XM":
        raise _error(f"{path.name} is no calibration map.")
    _, version, found, name, crc, columns, rows, binning, _ = HEADER.unpack(head)
    if version != 1 or binning != 1:
        raise _error(f"{path.name} has version {version} and binning {binning}; only 1 and 1 are known.")
    if found != number:
        raise _error(f"{path.name} is no {kind} map.")
    owner = name.split(b"\0", 1)[0].decode("ascii", "replace")
    if owner != serial:
        raise _error(f"The {kind} map belongs to detector {owner!r}, not to {serial!r}.")
    if (columns, rows) != (width, height):
        raise _error(f"The {kind} map is for {columns} x {rows} pixels, the detector has {width} x {height}.")
    if got != size or more:
        raise _error(f"The {kind} map has the wrong length.")
    if zlib.crc32(body.data) != crc:
        raise _error(f"The {kind} map is damaged (checksum).")
    return body.view(dtype).reshape(height, width)


def _error(text: str) -> AcquisitionError:
    return AcquisitionError("calibration", text)


def plan_repair(bad: npt.NDArray[np.bool_]) -> Repair:
    """Find for every bad pixel the nearest good one in each of four directions, weighted by 1/distance."""
    height, width = bad.shape
    rows, columns = np.nonzero(bad)
    count = len(rows)
    neighbours = np.zeros((count, 4), np.int64)
    weights = np.zeros((count, 4), np.float32)
    for place, (dy, dx) in enumerate(((0, -1), (0, 1), (-1, 0), (1, 0))):
        open_ = np.ones(count, bool)
        for distance in range(1, REACH + 1):
            y, x = rows + dy * distance, columns + dx * distance
            inside = open_ & (y >= 0) & (y < height) & (x >= 0) & (x < width)
            good = inside.copy()
            good[inside] = ~bad[y[inside], x[inside]]
            neighbours[good, place] = y[good] * width + x[good]
            weights[good, place] = 1.0 / distance
            open_ = inside & ~good
            if not open_.any():
                break
    total = weights.sum(1, keepdims=True)
    weights /= np.where(total > 0, total, 1)
    return Repair(rows.astype(np.int64) * width + columns, neighbours, weights)


def follow_dark(calibration: Calibration, dark: U16) -> tuple[F32, float]:
    """Return the offset map moved by the smooth difference of a live dark frame, and the mean move in
    counts."""
    if dark.shape != calibration.shape:
        raise _error(f"A dark frame of {dark.shape[1]} x {dark.shape[0]} pixels does not fit the maps.")
    height, width = calibration.shape
    edges = np.arange(0, width, DARK_BLOCK)
    bands = [slice(a, min(a + DARK_BLOCK, height)) for a in range(0, height, DARK_BLOCK)]
    sums = np.zeros((len(bands), len(edges)), np.float64)
    counts = np.zeros_like(sums)
    for number, band in enumerate(bands):  # band by band: it stays in the processor's cache
        difference = dark[band] - calibration.offset[band]
        bad = calibration.bad[band]
        difference[bad] = 0
        sums[number] = np.add.reduceat(difference.sum(0, dtype=np.float64), edges)
        counts[number] = np.add.reduceat(bad.shape[0] - np.count_nonzero(bad, axis=0), edges)
    overall = float(sums.sum()) / max(1.0, float(counts.sum()))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), overall).astype(np.float32)
    moved = np.empty_like(calibration.offset)
    for number, band in enumerate(bands):
        np.add(calibration.offset[band], np.repeat(means[number], DARK_BLOCK)[:width], out=moved[band])
    return moved, overall
