"""From lines to pixels: scan conversion by table, and grey by table.

Rules of this file:

* Between lines four steps are interpolated, along a line the nearest sample is taken (a third of a pixel or less).
* Black (0) is outside the sector, and whatever is below the dynamic range.
* Grey depends on level, gain and dynamic range only: one table of 256, fit for ``bytes.translate``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.ultrasound.beamform import FLOOR_DB, LINES, SAMPLES, STEP_DB, Bytes
from simulators.ultrasound.probe import Floats, Layout

FINE: Final = 4
"""Steps between two lines."""
ROWS: Final = (LINES - 1) * FINE + 1
WINDOW_DB: Final = -22.0
"""Where grey begins at gain 0: speckle is then at somewhat more than a third of full white (60 dB)."""


def grey(gain_db: float, dynamic_range_db: float) -> bytes:
    """Level -> grey."""
    level = np.arange(256)
    db = FLOOR_DB + (level - 1) * STEP_DB + gain_db - WINDOW_DB
    value = np.clip(np.rint(db * (255 / dynamic_range_db)), 0, 255).astype(np.uint8)
    value[0] = 0
    table: bytes = value.tobytes()
    return table


def refine(lines: Floats) -> Bytes:
    """(LINES, SAMPLES) of levels to a flat picture of ROWS rows and one last black value."""
    out = np.empty(ROWS * SAMPLES + 1, np.uint8)
    out[-1] = 0
    fine = out[:-1].reshape(ROWS, SAMPLES)
    fine[::FINE] = lines
    step = (lines[1:] - lines[:-1]) * np.float32(1 / FINE)
    between = lines[:-1].copy()
    for k in range(1, FINE):
        between += step
        fine[k::FINE] = between
    return out


class Converter:
    """Tables of one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        u, v = layout.origin
        step = layout.spacing_mm
        x = ((np.arange(layout.width) - u) * step)[None, :]
        z = ((np.arange(layout.height) - v) * step)[:, None]
        line, depth = layout.probe.polar(x, z)
        row = np.rint(line * (ROWS - 1)).astype(np.int64)
        sample = np.rint(depth * (SAMPLES / layout.depth_mm)).astype(np.int64)
        row, sample = np.broadcast_arrays(row, sample)
        inside = (line >= 0) & (line <= 1) & (depth >= 0) & (sample < SAMPLES)
        self.table: npt.NDArray[np.int64] = np.where(inside, row * SAMPLES + sample, ROWS * SAMPLES)

    def convert(self, fine: Bytes) -> Bytes:
        """(height, width) of what :func:`refine` made."""
        out = np.empty(self.table.shape, np.uint8)
        return np.take(fine, self.table, out=out, mode="clip")
