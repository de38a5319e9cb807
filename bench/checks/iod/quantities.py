"""Quantities that cannot be, and numbers of one object that contradict each other.

Rules of this file:

* A value is only called wrong when no patient and no clock can have it: it is in a wrong unit, or a slip.
* What the worklist gave is the peer's, and animals are of any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.borrowed import borrowed
from bench.checks.iod.subjects import Subject, subjects
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case

POSSIBLE: Final = "STD-IOD-060"
TOGETHER: Final = "STD-IOD-061"
PLAUSIBLE: Final = {
    "PatientSize": (0.0, 3.0, "metres"),
    "PatientWeight": (0.0, 700.0, "kilograms"),
    "HeartRate": (0.0, 1000.0, "beats a minute"),
    "MechanicalIndex": (0.0, 10.0, "a mechanical index"),
    "SoftTissueThermalIndex": (0.0, 50.0, "a thermal index"),
    "BoneThermalIndex": (0.0, 50.0, "a thermal index"),
    "CranialThermalIndex": (0.0, 50.0, "a thermal index"),
    "DepthOfScanField": (0.0, 1000.0, "millimetres of depth"),
}
COUNTED: Final = (("StageNumber", "NumberOfStages"), ("ViewNumber", "NumberOfViewsInStage"))
_ZONE: Final = re.compile(r"[+-](\d\d)(\d\d)")


@check(POSSIBLE, TOGETHER)
def quantities(case: Case) -> Iterator[Finding]:
    """Every object."""
    for subject in subjects(case):
        yield from plausible(subject)
        yield from zone(subject)
        yield from together(subject)


def plausible(subject: Subject) -> Iterator[Finding]:
    """Size, weight, heart rate, depth and indices in their units (PS3.3 C.7.2.2, C.7.6.18.1, C.8.5.6)."""
    dataset = subject.dataset
    if dataset.has("PatientSpeciesDescription") or dataset.has("PatientSpeciesCodeSequence"):
        return
    for keyword, (low, high, unit) in PLAUSIBLE.items():
        number = dataset.number(keyword)
        if number is None or borrowed(subject.case).has(keyword, dataset.text(keyword) or ""):
            continue
        if low <= number <= high:
            yield passed(POSSIBLE, f"{label(keyword)} {number:g}", *subject.at(keyword))
        else:
            reason = f"{label(keyword)} is {number:g}; that cannot be {unit}"
            yield failed(POSSIBLE, reason, *subject.at(keyword))


def zone(subject: Subject) -> Iterator[Finding]:
    """Timezone Offset From UTC is -1200 to +1400 (PS3.3 C.12.1)."""
    text = (subject.dataset.text("TimezoneOffsetFromUTC") or "").strip()
    if not text:
        return
    where = subject.at("TimezoneOffsetFromUTC")
    found = _ZONE.fullmatch(text)
    hours, minutes = (int(part) for part in found.groups()) if found else (99, 99)
    most = 14 if text[0] == "+" else 12
    if minutes > 59 or hours * 60 + minutes > most * 60 or text == "-0000":
        reason = f"{label('TimezoneOffsetFromUTC')} is {text!r}; it is &HHMM from -1200 to +1400"
        yield failed(POSSIBLE, reason, *where)
    else:
        yield passed(POSSIBLE, f"time zone {text}", *where)


def together(subject: Subject) -> Iterator[Finding]:
    """Stage and view among those there are, and colour that can be there (PS3.3 C.8.5.6)."""
    dataset = subject.dataset
    for keyword, all_of_them in COUNTED:
        number, count = dataset.number(keyword), dataset.number(all_of_them)
        if number is None or not count:
            continue
        if not 1 <= number <= count:
            reason = f"{label(keyword)} is {number:g}, and {label(all_of_them)} is {count:g}"
            yield failed(TOGETHER, reason, *subject.at(keyword, all_of_them))
        else:
            yield passed(TOGETHER, f"{label(keyword)} is one of {count:g}", *subject.at(keyword))
    said, kind = dataset.number("UltrasoundColorDataPresent"), dataset.text("PhotometricInterpretation")
    if said is None or not kind:
        return
    where = subject.at("UltrasoundColorDataPresent", "PhotometricInterpretation")
    if said == 1 and kind in ("MONOCHROME1", "MONOCHROME2"):
        yield failed(TOGETHER, f"{label('UltrasoundColorDataPresent')} is 1 in an image of {kind}", *where)
    elif said in (0, 1):
        yield passed(TOGETHER, f"{label('UltrasoundColorDataPresent')} is {said:g} with {kind}", *where)


__all__ = ["quantities"]
