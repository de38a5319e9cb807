"""Secondary Capture Image: the screen as the operator saw it (PS3.3 A.8; MX-D-13, MX-D-18)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from ..dicom.values import da, tm
from .usfacts import SECONDARY_CAPTURE, Instance, UsFacts
from .ushead import Pixels, finish, put_image, put_pixels, start


def build_screen(facts: UsFacts, order: Dataset, pixels: Pixels) -> Instance:
    """Make a secondary capture of a screen; whatever names the patient on it is part of the picture.

    Args:
        pixels: (rows, columns, 3) RGB, or (rows, columns) gray.

    Raises:
        ValueError: the pixels cannot be an image.
    """
    out = start(SECONDARY_CAPTURE, facts, order)
    put_image(out, facts, ["DERIVED", "SECONDARY"], burned_in=True)
    put_pixels(out, [pixels])
    device = facts.device
    out.ConversionType = "WSD"
    out.SecondaryCaptureDeviceManufacturer = device.manufacturer
    out.SecondaryCaptureDeviceManufacturerModelName = device.model
    out.SecondaryCaptureDeviceSoftwareVersions = device.software_version
    out.DateOfSecondaryCapture = da(facts.acquired)
    out.TimeOfSecondaryCapture = tm(facts.acquired, fraction=True)
    return finish(out, facts, order, [pixels])
