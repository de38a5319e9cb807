"""JPEG of one frame of 8-bit samples: Baseline (Process 1) and Lossless (Process 14, Selection Value 1).

Rules of this file:

* The codec is libjpeg-turbo through imagecodecs: both processes, in both directions, without the interpreter's lock.
  It is imported when the first frame needs it: a console that sends native images never loads it.
* Colour is YCbCr 4:2:2 in Baseline (YBR_FULL_422) and unchanged RGB in Lossless (PS3.5 8.2.1); gray stays gray.
* What a decoder hands back is checked against the header before it is used.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .syntaxes import JPEG_BASELINE, PixelError

Pixels = npt.NDArray[np.uint8]

QUALITY: Final = 90
"""Of JPEG Baseline when nobody says otherwise (libjpeg's scale)."""


def _codec() -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise PixelError(f"JPEG needs the package imagecodecs, which cannot be loaded: {error}") from error
    return imagecodecs


def encode_frame(pixels: Pixels, syntax: str, quality: int = QUALITY) -> bytes:
    """One frame as a JPEG stream, not yet made even.

    Args:
        pixels: (rows, columns) gray or (rows, columns, 3) RGB.

    Raises:
        PixelError: the codec refuses it.
    """
    colour = pixels.ndim == 3
    options: dict[str, Any]
    if syntax == JPEG_BASELINE:
        options = {"level": quality}
        if colour:
            options |= {"colorspace": "RGB", "outcolorspace": "YCBCR", "subsampling": "422"}
    else:
        options = {"lossless": True, "predictor": 1}
        if colour:
            options |= {"colorspace": "RGB", "outcolorspace": "RGB"}
    codec = _codec()
    try:
        return bytes(codec.jpeg8_encode(np.ascontiguousarray(pixels), **options))
    except (ValueError, RuntimeError) as error:
        raise PixelError(f"a frame cannot be compressed: {error}") from error


def decode_frame(stream: bytes, rows: int, columns: int, samples: int, photometric: str) -> Pixels:
    """A JPEG stream of either process as gray or RGB samples.

    Args:
        photometric: what the data set says of the stream: its word goes over guesses from markers.

    Raises:
        PixelError: it is no such stream, or of another size.
    """
    codec = _codec()
    options: dict[str, Any] = {}
    if samples == 3:
        options = {"colorspace": "RGB" if photometric == "RGB" else "YCBCR", "outcolorspace": "RGB"}
    try:
        found = np.asarray(codec.jpeg8_decode(stream, **options))
    except (ValueError, RuntimeError) as error:
        raise PixelError(f"a frame cannot be decompressed: {error}") from error
    wanted = (rows, columns) if samples == 1 else (rows, columns, samples)
    if found.shape != wanted or found.dtype != np.uint8:
        raise PixelError(f"a frame is {found.shape} of {found.dtype}; the header says {wanted} of 8 bits")
    return found
