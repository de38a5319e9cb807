"""Pixels made small on the way, or a night of mutants would take days: what is judged stays true.

Rules of this file:

* Rows, columns, extremes and ultrasound regions are made to fit; everything else stays as it was recorded.
* Pixels that are compressed are left alone.
"""

from __future__ import annotations

from typing import Final

from tests.lab import replay
from tests.lab.conversation import Outgoing
from tests.lab.elements import EXPLICIT_BE, DataSet

EDGE: Final = replay.EDGE
REGION: Final = "SequenceOfUltrasoundRegions"
CORNERS: Final = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")


def small(out: Outgoing) -> None:
    """An edit: native pixels of an image that is stored become a corner of it."""
    if out.name == "C-STORE-RQ" and isinstance(out.dataset, DataSet):
        if _number(out.dataset, "BitsAllocated", out.transfer_syntax) == 8:
            eight_bits(out.dataset, out.transfer_syntax)
        else:
            replay.small(out)


def _number(made: DataSet, keyword: str, syntax: str) -> int:
    value = made.get(keyword)
    if not isinstance(value, bytes) or len(value) != 2:
        return 0
    return int.from_bytes(value, "big" if syntax == EXPLICIT_BE else "little")


def eight_bits(made: DataSet, syntax: str) -> None:
    """Native pixels of 8 bits, one or three samples by pixel, any number of frames."""
    pixels = made.get("PixelData")
    if not isinstance(pixels, bytes):
        return
    rows, columns = _number(made, "Rows", syntax), _number(made, "Columns", syntax)
    samples = _number(made, "SamplesPerPixel", syntax)
    frames = int(made.get("NumberOfFrames") or 1)
    size = rows * columns * samples
    if rows <= EDGE or columns <= EDGE or len(pixels) != size * frames + (size * frames) % 2:
        return
    line, width = columns * samples, EDGE * samples
    corner = b"".join(
        pixels[frame * size + row * line :][:width] for frame in range(frames) for row in range(EDGE)
    )
    made.put("Rows", EDGE).put("Columns", EDGE)
    made.change("PixelData", value=corner)
    for region in made.get(REGION) or ():
        for keyword, value in zip(CORNERS, (0, 0, EDGE - 1, EDGE - 1), strict=True):
            region.put(keyword, value)
