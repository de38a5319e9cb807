"""Lossy compression told truly (PS3.3 C.7.6.1.1.5; rulings F1): the flag, and with it ratio and method.

Rules of this file:

* An object in a lossy transfer syntax is lossy whatever it says.
* An object in another syntax is lossy when it gives a ratio or a method: then the flag says 01.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.subjects import Subject, images
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case

APART: Final = 3.0
"""A ratio that is so many times another one is not 'approximate' (C.7.6.1.1.5.2)."""
FLAG: Final = "STD-IOD-019"
DETAILS: Final = "STD-IOD-020"
METHODS: Final = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.100": "ISO_13818_2",
    "1.2.840.10008.1.2.4.102": "ISO_14496_10",
}
"""Transfer syntaxes that always lose something, with the term of their method."""


@check(FLAG, DETAILS)
def lossy(case: Case) -> Iterator[Finding]:
    """Every image."""
    for subject in images(case):
        yield from judge(subject)


def judge(subject: Subject) -> Iterator[Finding]:
    """Judge one image."""
    dataset, syntax = subject.dataset, subject.message.transfer_syntax or ""
    flag = dataset.text("LossyImageCompression") or ""
    ratios, methods = (
        dataset.texts("LossyImageCompressionRatio"),
        dataset.texts("LossyImageCompressionMethod"),
    )
    where = subject.at("LossyImageCompression")
    if syntax in METHODS and flag != "01":
        said = f"is {flag!r}" if flag else "is missing"
        yield failed(
            FLAG,
            f"{label('LossyImageCompression')} {said} with the lossy transfer syntax {syntax}; 01 is wanted",
            *where,
        )
    elif flag != "01" and (ratios or methods):
        said = f"is {flag!r}" if flag else "is missing"
        yield failed(
            FLAG,
            f"{label('LossyImageCompression')} {said} although ratio or method are given; 01 is wanted",
            *where,
        )
    elif flag in ("00", "01"):
        yield passed(FLAG, f"Lossy Image Compression {flag}", *where)
    if flag != "01" and syntax not in METHODS:
        return
    where = subject.at("LossyImageCompressionRatio", "LossyImageCompressionMethod")
    faults = []
    if not ratios:
        faults.append(f"{label('LossyImageCompressionRatio')} is missing")
    elif (real := unlike(subject)) is not None:
        faults.append(f"{label('LossyImageCompressionRatio')} is {ratios[-1]}; {real}")
    elif any((value or 0) <= 0 for value in dataset.numbers("LossyImageCompressionRatio")):
        faults.append(f"{label('LossyImageCompressionRatio')} is {ratios[0]}; a ratio is above 0")
    if not methods:
        faults.append(f"{label('LossyImageCompressionMethod')} is missing")
    elif syntax in METHODS and METHODS[syntax] not in methods:
        faults.append(
            f"{label('LossyImageCompressionMethod')} is {methods[-1]}; {METHODS[syntax]} is that of the transfer syntax"
        )
    elif ratios and len(ratios) != len(methods):
        faults.append(f"{len(ratios)} ratio(s) and {len(methods)} method(s)")
    for fault in faults:
        yield failed(DETAILS, f"{fault} (lossy compression)", *where)
    if not faults:
        yield passed(DETAILS, f"ratio {ratios[0]}, method {methods[0]}", *where)


def unlike(subject: Subject) -> str | None:
    """What Pixel Data's own ratio is, when the last one that is told is far from it.

    In a lossy transfer syntax the last compression is that of the object itself.  Its ratio is counted of all samples,
    or of those that 4:2:2 leaves.
    """
    dataset, pixels = subject.dataset, subject.dataset.pixels
    ratios = dataset.numbers("LossyImageCompressionRatio")
    numbers = [dataset.number(key) for key in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    frames = dataset.number("NumberOfFrames") if dataset.has("NumberOfFrames") else 1
    if (subject.message.transfer_syntax or "") not in METHODS or pixels is None or not pixels.encapsulated:
        return None
    if not ratios or not pixels.length or not frames or not all(numbers):
        return None
    whole = math.prod(int(number or 0) for number in numbers) / 8 * int(frames)
    most = whole / pixels.length
    least = most * (2 / 3 if numbers[2] == 3 else 1)
    if ratios[-1] <= 0 or least / APART <= ratios[-1] <= most * APART:
        return None
    return f"{whole:.0f} bytes became {pixels.length}, {most:.1f} to 1"
