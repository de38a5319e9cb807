"""Ultrasound Image: one picture of the front end (PS3.3 A.6)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from .uscalibration import image_type, put_ultrasound
from .usfacts import US, Frame, Instance, UsFacts
from .ushead import finish, put_image, put_pixels, start


def build_still(facts: UsFacts, order: Dataset, frame: Frame) -> Instance:
    """Make a still.

    Args:
        order: the worklist item, or a data set of the same shape made from what the operator typed.

    Raises:
        ValueError: the picture or its calibration cannot be an image.
    """
    out = start(US, facts, order)
    put_image(out, facts, image_type(frame.settings), burned_in=False)
    put_pixels(out, [frame.pixels])
    put_ultrasound(out, frame.settings, rows=int(out.Rows), columns=int(out.Columns))
    out.UltrasoundColorDataPresent = int(out.SamplesPerPixel == 3)
    return finish(out, facts, order, [frame.pixels])
