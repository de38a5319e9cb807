"""Ultrasound regions: where they are and how they are calibrated (PS3.3 C.8.5.5)."""

from __future__ import annotations

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
TWO_DIMENSIONS: Final = 1
NOT_SPACE: Final = {4: "seconds", 5: "hertz", 6: "dB/seconds", 7: "cm/sec"}
"""Physical units that no axis of a picture of space has (PS3.3 C.8.5.5.1.15)."""
CENTIMETRES: Final = 3
DEEPEST: Final = 60.0
"""Centimetres; no probe sees half as deep."""
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
    if not wrong and item.number("PhysicalDeltaX") is not None:
        yield passed(CALIBRATION, f"region {number} is calibrated", *subject.at("PhysicalDeltaX", owner=item))
    units = {axis: item.number(f"PhysicalUnits{axis}Direction") for axis in ("X", "Y")}
    for axis, unit in units.items():
        if item.number("RegionSpatialFormat") == TWO_DIMENSIONS and unit in NOT_SPACE:
            reason = f"region {number} is a two-dimensional image, its {axis} axis is in {NOT_SPACE[int(unit or 0)]}"
            yield failed(CALIBRATION, reason, *subject.at(f"PhysicalUnits{axis}Direction", owner=item))
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
    """A two-dimensional region is not deeper than sound reaches: else its deltas are in another unit."""
    top, bottom = item.number("RegionLocationMinY0"), item.number("RegionLocationMaxY1")
    unit, delta = item.number("PhysicalUnitsYDirection"), item.number("PhysicalDeltaY")
    if item.number("RegionSpatialFormat") != TWO_DIMENSIONS or unit != CENTIMETRES:
        return
    if top is None or bottom is None or not delta:
        return
    depth = abs(delta) * (bottom - top + 1)
    if depth > DEEPEST:
        reason = f"region {number} would be {depth:.0f} cm deep: {label(SEQUENCE, 'PhysicalDeltaY')} is {delta:g} cm"
        yield failed(CALIBRATION, reason, *subject.at("PhysicalDeltaY", owner=item))
