"""Ultrasound regions: where they are and how they are calibrated (PS3.3 C.8.5.5)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.iod.subjects import Subject, images
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet

PLACE: Final = "STD-IOD-054"
CALIBRATION: Final = "STD-IOD-055"
REFERENCE: Final = "STD-IOD-056"
SEQUENCE: Final = "SequenceOfUltrasoundRegions"
TWO_DIMENSIONS, M_MODE, SPECTRAL = 1, 2, 3
NOT_SPACE: Final = {4: "seconds", 5: "hertz", 6: "dB/seconds", 7: "cm/sec"}
"""Physical units that no axis of a picture of space has (PS3.3 C.8.5.5.1.15)."""
CENTIMETRES: Final = 3
SECONDS: Final = 4
DEEPEST: Final = 60.0
"""Centimetres; no probe sees half as deep, and no view is as wide."""
SMALLEST: Final = 0.01
"""Centimetres across a whole region; no probe sees so little."""
FLAGS: Final = 0x1F
"""Bits of Region Flags that have a meaning (PS3.3 C.8.5.5.1.3); the others are 0."""
EDGES: Final = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")


@check(PLACE, CALIBRATION, REFERENCE)
def regions(case: Case) -> Iterator[Finding]:
    """Every region of every image."""
    for subject in images(case):
        for number, item in enumerate(subject.dataset.items(SEQUENCE), 1):
            yield from place(subject, item, number)
            yield from calibration(subject, item, number)


def place(subject: Subject, item: DataSet, number: int) -> Iterator[Finding]:
    """The region lies within the image."""
    values = [item.number(keyword) for keyword in EDGES]
    columns, rows = subject.dataset.number("Columns"), subject.dataset.number("Rows")
    if any(value is None for value in values) or columns is None or rows is None:
        return
    left, top, right, bottom = (int(value or 0) for value in values)
    where = subject.at(*EDGES, owner=item)
    said = f"region {number} ({left},{top}) to ({right},{bottom})"
    if left > right or top > bottom:
        yield failed(PLACE, f"{said}: its corners are exchanged", *where)
    elif right >= columns or bottom >= rows:
        yield failed(PLACE, f"{said} is not within the image of {int(columns)} x {int(rows)} pixels", *where)
    else:
        yield passed(PLACE, said, *where)


def calibration(subject: Subject, item: DataSet, number: int) -> Iterator[Finding]:
    """A known unit has a delta that is not 0."""
    wrong = False
    for axis in ("X", "Y"):
        unit, delta = item.number(f"PhysicalUnits{axis}Direction"), item.number(f"PhysicalDelta{axis}")
        if unit and delta == 0:
            wrong = True
            reason = f"{label(SEQUENCE, f'PhysicalDelta{axis}')} of region {number} is 0 in a known unit"
            yield failed(CALIBRATION, reason, *subject.at(f"PhysicalDelta{axis}", owner=item))
        elif delta is not None and not math.isfinite(delta):
            wrong = True
            reason = (
                f"{label(SEQUENCE, f'PhysicalDelta{axis}')} of region {number} is {delta}, which is no number"
            )
            yield failed(CALIBRATION, reason, *subject.at(f"PhysicalDelta{axis}", owner=item))
        elif delta is not None and delta < 0 and item.number("RegionSpatialFormat") == TWO_DIMENSIONS:
            reason = f"{label(SEQUENCE, f'PhysicalDelta{axis}')} of region {number} is {delta:g}: it runs backwards"
            yield remark(CALIBRATION, reason, *subject.at(f"PhysicalDelta{axis}", owner=item))
    if (flags := item.number("RegionFlags")) is not None and int(flags) & ~FLAGS:
        reason = f"{label(SEQUENCE, 'RegionFlags')} of region {number} are {int(flags):08X}H; bits 5 to 31 are reserved"
        yield failed(CALIBRATION, reason, *subject.at("RegionFlags", owner=item))
    if not wrong and item.number("PhysicalDeltaX") is not None:
        yield passed(CALIBRATION, f"region {number} is calibrated", *subject.at("PhysicalDeltaX", owner=item))
    units = {axis: item.number(f"PhysicalUnits{axis}Direction") for axis in ("X", "Y")}
    for axis, unit in units.items():
        if item.number("RegionSpatialFormat") == TWO_DIMENSIONS and unit in NOT_SPACE:
            reason = f"region {number} is a two-dimensional image, its {axis} axis is in {NOT_SPACE[int(unit or 0)]}"
            yield failed(CALIBRATION, reason, *subject.at(f"PhysicalUnits{axis}Direction", owner=item))
    known = [unit for unit in units.values() if unit]
    form = item.number("RegionSpatialFormat")
    if form in (M_MODE, SPECTRAL) and len(known) == len(units) and SECONDS not in known:
        kind = "an M-mode" if form == M_MODE else "a spectral"
        reason = f"region {number} is {kind} trace, and none of its axes is in seconds"
        yield failed(CALIBRATION, reason, *subject.at("PhysicalUnitsXDirection", owner=item))
    yield from reach(subject, item, number)
    there = [item.has(f"ReferencePixel{axis}0") for axis in ("X", "Y")]
    if any(there) and not all(there):
        yield remark(
            REFERENCE,
            f"region {number} has a reference pixel in one direction only",
            *subject.at("ReferencePixelX0", owner=item),
        )
    elif all(there):
        yield passed(
            REFERENCE, f"region {number} has a reference pixel", *subject.at("ReferencePixelX0", owner=item)
        )


def reach(subject: Subject, item: DataSet, number: int) -> Iterator[Finding]:
    """A two-dimensional region is of a size that sound reaches: else its deltas are in another unit."""
    if item.number("RegionSpatialFormat") != TWO_DIMENSIONS:
        return
    for axis, first, last, way in (
        ("Y", "RegionLocationMinY0", "RegionLocationMaxY1", "deep"),
        ("X", "RegionLocationMinX0", "RegionLocationMaxX1", "wide"),
    ):
        begin, end = item.number(first), item.number(last)
        unit, delta = item.number(f"PhysicalUnits{axis}Direction"), item.number(f"PhysicalDelta{axis}")
        if unit != CENTIMETRES or begin is None or end is None or not delta or not math.isfinite(delta):
            continue
        size = abs(delta) * (end - begin + 1)
        if size > DEEPEST or 0 < size < SMALLEST:
            name = label(SEQUENCE, f"PhysicalDelta{axis}")
            reason = f"region {number} would be {size:.3g} cm {way}: {name} is {delta:g} cm"
            yield failed(CALIBRATION, reason, *subject.at(f"PhysicalDelta{axis}", owner=item))
