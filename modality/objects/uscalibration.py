"""US Region Calibration and what the front end says of itself in an image (PS3.3 C.8.5.5, C.8.5.6)."""

from __future__ import annotations

import math
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ..dicom.values import integer
from .usfacts import Region, Settings

_CONTENT: Final = {"B": 0x01, "M": 0x02, "CW": 0x04, "PW": 0x08, "colour": 0x11}
"""Mode -> the sum of codes that value 4 of Image Type is (PS3.3 C.8.5.6.1.1)."""


def image_type(settings: Settings) -> list[str]:
    """Image Type of a picture of the front end (MX-D-13)."""
    return ["ORIGINAL", "PRIMARY", "ABDOMINAL", f"{_CONTENT.get(settings.mode, 1):04X}"]


def put_ultrasound(out: Dataset, settings: Settings, *, rows: int, columns: int) -> None:
    """Regions, transducer and depth.

    Raises:
        ValueError: a region lies outside the picture, or its scale is no number.
    """
    if settings.regions:
        out.SequenceOfUltrasoundRegions = Sequence([_region(r, rows, columns) for r in settings.regions])
    if settings.probe:
        out.TransducerData = settings.probe
    if settings.depth_mm > 0:
        out.DepthOfScanField = integer(settings.depth_mm)


def _region(region: Region, rows: int, columns: int) -> Dataset:
    if not (0 <= region.min_x0 <= region.max_x1 < columns and 0 <= region.min_y0 <= region.max_y1 < rows):
        raise ValueError(
            f"region ({region.min_x0},{region.min_y0}) to ({region.max_x1},{region.max_y1}) "
            f"is not within {columns} x {rows} pixels"
        )
    numbers = (region.delta_x, region.delta_y, region.reference_value_x, region.reference_value_y)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("a region's scale is no number")
    item = Dataset()
    item.RegionSpatialFormat = region.spatial_format
    item.RegionDataType = region.data_type
    item.RegionFlags = region.flags
    item.RegionLocationMinX0 = region.min_x0
    item.RegionLocationMinY0 = region.min_y0
    item.RegionLocationMaxX1 = region.max_x1
    item.RegionLocationMaxY1 = region.max_y1
    item.PhysicalUnitsXDirection = region.units_x
    item.PhysicalUnitsYDirection = region.units_y
    item.PhysicalDeltaX = region.delta_x
    item.PhysicalDeltaY = region.delta_y
    item.ReferencePixelX0 = region.reference_x0
    item.ReferencePixelY0 = region.reference_y0
    item.ReferencePixelPhysicalValueX = region.reference_value_x
    item.ReferencePixelPhysicalValueY = region.reference_value_y
    return item
