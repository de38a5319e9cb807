"""The screen as the operator sees it: the picture, lines of text above it, knobs, and a ruler in mm beside it.

Rules of this file:

* The picture itself is not covered by text: text has a band of its own above it.  Only the ruler stands in it, at the
  right edge of the calibrated region or beside it.
* The ruler is drawn from the region's calibration (a tick per 10 mm from the probe's face, a longer one per 50 mm);
  no calibration in mm, no ruler.
* Only Pillow's own font is used (what it cannot write: ``lettering``), so the same frame gives the same screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from modality.ultrasound.lettering import drawable
from modality.ultrasound.model import Frame, Pixels, Region

CM: Final = 3
TICK: Final = 8
LONG_TICK: Final = 14
LEAST_STEP: Final = 2
"""Rows between two ticks at the least."""
MAX_LINES: Final = 8
MAX_TEXT: Final = 160
INK: Final = (230, 230, 200)
RULER_INK: Final = (120, 220, 120)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


@cache
def _has(sign: str) -> bool:
    """Pillow's font can draw it."""
    font = _font(16)
    if sign == " ":
        return True
    try:
        return bytes(font.getmask(sign)) != bytes(font.getmask("\uffff"))
    except UnicodeEncodeError:  # the bitmap font of a Pillow without FreeType
        return False


def legible(text: str) -> str:
    """What will be written for a text; the carets of a DICOM name are spaces."""
    return drawable(text[:MAX_TEXT].replace("^", " "), _has)


def knob_line(frame: Frame, *, frozen: bool) -> str:
    """Mode, probe, depth, gain and rate in words."""
    s = frame.settings
    parts = [s.mode, s.probe, *([f"{s.depth_mm:g} mm", f"{s.gain_db:+g} dB"] if s.depth_mm else [])]
    parts.append("FROZEN" if frozen else f"{s.fps:g}/s")
    return "  ".join(part for part in parts if part)


def ruler(frame: Frame) -> tuple[int, list[tuple[int, int]]]:
    """Column of the ruler, and (mm, row) of its ticks; no ticks without a calibration in mm."""
    region = next((r for r in frame.settings.regions if r.spatial_format in (1, 2) and r.units_y == CM), None)
    if region is None or region.delta_y <= 0:
        return 0, []
    return min(region.max_x1 + 4, frame.columns - LONG_TICK - 2), _ticks(region)


def _ticks(region: Region) -> list[tuple[int, int]]:
    if region.delta_y * LEAST_STEP > 1:
        return []  # so coarse that ticks would touch: a scale of no probe, and perhaps billions of them
    top = region.value(region.min_x0, region.min_y0)[1]
    bottom = region.value(region.min_x0, region.max_y1)[1]
    found = []
    for step in range(max(0, math.ceil(top)), math.floor(bottom) + 1):
        row = region.min_y0 + region.reference_y0 + (step - region.reference_value_y) / region.delta_y
        found.append((10 * step, round(row)))
    return found


def draw_screen(frame: Frame, lines: Sequence[str] = (), *, frozen: bool = False) -> Pixels:
    """(rows + band, columns, 3) uint8; both sizes are even."""
    size = 14 if frame.rows < 600 else 18
    line_height = size + 4
    texts = [legible(line) for line in lines[:MAX_LINES]]
    texts = [text for text in texts if text]
    band = (line_height * (len(texts) + 1) + 6 + 1) // 2 * 2
    rows, columns = frame.rows + frame.rows % 2 + band, frame.columns + frame.columns % 2
    canvas = np.zeros((rows, columns, 3), np.uint8)
    grey = frame.pixels if frame.samples == 3 else frame.pixels[:, :, None]
    canvas[band : band + frame.rows, : frame.columns] = grey
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for i, text in enumerate((knob_line(frame, frozen=frozen), *texts)):
        draw.text((4, 3 + i * line_height), text, fill=INK, font=_font(size))
    column, ticks = ruler(frame)
    for mm, row in ticks:
        long = mm % 50 == 0
        y = band + row
        draw.line((column, y, column + (LONG_TICK if long else TICK) - 1, y), fill=RULER_INK)
        if long and mm:
            label = f"{mm} mm"
            width = draw.textlength(label, font=_font(size - 3))
            draw.text((column - 4 - width, y - size // 2), label, fill=RULER_INK, font=_font(size - 3))
    return np.asarray(image, np.uint8).copy()
