"""Ultrasound Multi-frame Image: a clip (PS3.3 A.7) with Cine and Multi-frame modules (MX-D-16)."""

from __future__ import annotations

import math

from pydicom.dataset import Dataset

from ..dicom.values import decimal, integer
from .uscalibration import image_type, put_ultrasound
from .usfacts import US_MULTIFRAME, Clip, Instance, UsFacts
from .ushead import finish, put_image, put_pixels, start

_FRAME_TIME = 0x00181063


def build_clip(facts: UsFacts, order: Dataset, clip: Clip) -> Instance:
    """Make a clip; the calibration is that of its first picture.

    Raises:
        ValueError: the pictures cannot be one clip, the frame time is none, or the trim lies outside the clip.
    """
    frames = [frame.pixels for frame in clip.frames]
    out = start(US_MULTIFRAME, facts, order)
    put_pixels(out, frames)
    settings = clip.frames[0].settings
    put_image(out, facts, image_type(settings), burned_in=False)
    put_ultrasound(out, settings, rows=int(out.Rows), columns=int(out.Columns))
    out.UltrasoundColorDataPresent = int(out.SamplesPerPixel == 3)
    _cine(out, facts, len(frames), clip.frame_time_ms)
    return finish(out, facts, order, frames)


def _cine(out: Dataset, facts: UsFacts, frames: int, frame_time_ms: float) -> None:
    """Multi-frame (PS3.3 C.7.6.6) and Cine (C.7.6.5)."""
    if not math.isfinite(frame_time_ms) or frame_time_ms <= 0:
        raise ValueError(f"a frame time of {frame_time_ms} ms")
    first = 1 if facts.start_trim is None else facts.start_trim
    last = frames if facts.stop_trim is None else facts.stop_trim
    if not 1 <= first <= last <= frames:
        raise ValueError(f"trim {first} to {last} is not within the {frames} frame(s) of the clip")
    rate = integer(max(1.0, 1000 / frame_time_ms))
    out.NumberOfFrames = str(frames)
    out.FrameIncrementPointer = _FRAME_TIME
    out.FrameTime = decimal(frame_time_ms)
    out.CineRate = rate
    out.RecommendedDisplayFrameRate = rate
    out.EffectiveDuration = decimal(frames * frame_time_ms / 1000)
    if facts.start_trim is not None:
        out.StartTrim = str(first)
    if facts.stop_trim is not None:
        out.StopTrim = str(last)
