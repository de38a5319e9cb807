"""Technique and exposure indices of an X-ray image: their units, and what they say about each other.

Rules of this file:

* A value is only called wrong when no device can have it, or when two attributes of the same object name
  different values beyond rounding of the coarser one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.subjects import Subject, subjects
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case

DEVIATION: Final = "STD-IOD-032"
UNITS: Final = "STD-IOD-033"
AGREES: Final = "STD-IOD-034"

PLAUSIBLE: Final = {
    "KVP": (0.0, 500.0, "kV"),
    "XRayTubeCurrent": (0.0, 3000.0, "mA"),
    "XRayTubeCurrentInuA": (0.0, 3_000_000.0, "uA"),
    "XRayTubeCurrentInmA": (0.0, 3000.0, "mA"),
    "ExposureTime": (0.0, 600_000.0, "ms"),
    "ExposureTimeInuS": (0.0, 600_000_000.0, "us"),
    "ExposureTimeInms": (0.0, 600_000.0, "ms"),
    "Exposure": (0.0, 100_000.0, "mAs"),
    "ExposureInuAs": (0.0, 100_000_000.0, "uAs"),
    "ExposureInmAs": (0.0, 100_000.0, "mAs"),
    "ImageAndFluoroscopyAreaDoseProduct": (0.0, 1_000_000.0, "dGy.cm2"),
    "ExposureIndex": (0.0, 1_000_000.0, "an exposure index"),
    "TargetExposureIndex": (0.0, 1_000_000.0, "an exposure index"),
    "DeviationIndex": (-100.0, 100.0, "a deviation index"),
    "DistanceSourceToDetector": (50.0, 10_000.0, "mm"),
    "DistanceSourceToPatient": (10.0, 10_000.0, "mm"),
}
PAIRS: Final = (
    ("XRayTubeCurrent", "XRayTubeCurrentInuA", 1000.0),
    ("XRayTubeCurrent", "XRayTubeCurrentInmA", 1.0),
    ("ExposureTime", "ExposureTimeInuS", 1000.0),
    ("ExposureTime", "ExposureTimeInms", 1.0),
    ("Exposure", "ExposureInuAs", 1000.0),
    ("Exposure", "ExposureInmAs", 1.0),
)
"""Coarse attribute (IS, whole numbers), fine attribute, fine units in one coarse unit."""


@check(DEVIATION, UNITS, AGREES)
def technique(case: Case) -> Iterator[Finding]:
    """Every object that has technique or indices."""
    for subject in subjects(case):
        yield from deviation_index(subject)
        yield from units(subject)
        yield from agreement(subject)


def deviation_fits(ei: float, target: float, di: float, decimals: int) -> bool:
    """Whether DI = 10 log10(EI / EI_T) within the rounding of what is written (IEC 62494-1 asks for 0.1)."""
    wanted = 10 * math.log10(ei / target)
    slack = (
        0.5 * 10**-decimals
        + 10 / math.log(10) * 0.5 / max(ei, 1.0)
        + 10 / math.log(10) * 0.5 / max(target, 1.0)
    )
    return bool(abs(wanted - di) <= max(slack, 0.06))


def deviation_index(subject: Subject) -> Iterator[Finding]:
    """The formula of the Deviation Index."""
    dataset = subject.dataset
    ei, target, di = (dataset.number(k) for k in ("ExposureIndex", "TargetExposureIndex", "DeviationIndex"))
    if ei is None or target is None or di is None or ei <= 0 or target <= 0:
        return
    where = subject.at("DeviationIndex", "ExposureIndex", "TargetExposureIndex")
    text = dataset.text("DeviationIndex") or ""
    decimals = len(text.partition(".")[2]) if "e" not in text.lower() else 1
    wanted = 10 * math.log10(ei / target)
    if deviation_fits(ei, target, di, decimals):
        yield passed(DEVIATION, f"DI {di} of EI {ei} and target {target}", *where)
    else:
        yield failed(
            DEVIATION, f"{label('DeviationIndex')} is {di}; 10 log10({ei} / {target}) is {wanted:.2f}", *where
        )


def units(subject: Subject) -> Iterator[Finding]:
    """Values that no device can have are in a wrong unit."""
    good = False
    for keyword, (low, high, unit) in PLAUSIBLE.items():
        value = subject.dataset.number(keyword)
        if value is None:
            continue
        if not low <= value <= high:
            reason = f"{label(keyword)} is {value:g}; that cannot be {unit}"
            yield failed(UNITS, reason, *subject.at(keyword))
        else:
            good = True
    if good:
        yield passed(UNITS, "technique has values that a device can have", *subject.at("KVP"))


def agreement(subject: Subject) -> Iterator[Finding]:
    """The same value in two units; exposure = current x time."""
    dataset = subject.dataset
    wrong = good = False
    for coarse, fine, factor in PAIRS:
        one, other = dataset.number(coarse), dataset.number(fine)
        if one is None or other is None:
            continue
        if abs(one - other / factor) > max(1.0, 0.02 * abs(one)):
            wrong = True
            reason = f"{label(coarse)} is {one:g}, {label(fine)} is {other:g}: not the same value"
            yield failed(AGREES, reason, *subject.at(coarse, fine))
        else:
            good = True
    current = _first(dataset.number("XRayTubeCurrentInuA"), 1000.0, dataset.number("XRayTubeCurrent"))
    time = _first(dataset.number("ExposureTimeInuS"), 1000.0, dataset.number("ExposureTime"))
    exposure = _first(dataset.number("ExposureInuAs"), 1000.0, dataset.number("Exposure"))
    if not wrong and current and time and exposure is not None and _in_range(subject):
        product = current * time / 1000.0
        coarse_current = dataset.number("XRayTubeCurrentInuA") is None
        coarse_time = dataset.number("ExposureTimeInuS") is None
        coarse_exposure = dataset.number("ExposureInuAs") is None
        slack = 0.1 * product + (1.0 if coarse_exposure else 0.01)
        slack += (1.0 / current if coarse_current else 0.0) * product + (
            1.0 / time if coarse_time else 0.0
        ) * product
        if exposure > product + slack or exposure < 0.3 * product - slack:
            reason = f"exposure is {exposure:g} mAs; {current:g} mA x {time:g} ms are {product:.4g} mAs"
            yield failed(AGREES, reason, *subject.at("Exposure", "XRayTubeCurrent", "ExposureTime"))
        else:
            good = True
    if good and not wrong:
        yield passed(AGREES, "current, time and exposure agree", *subject.at("Exposure"))


def _first(fine: float | int | None, factor: float, coarse: float | int | None) -> float | None:
    if fine is not None:
        return fine / factor
    return None if coarse is None else float(coarse)


def _in_range(subject: Subject) -> bool:
    for keyword in (
        "XRayTubeCurrent",
        "XRayTubeCurrentInuA",
        "ExposureTime",
        "ExposureTimeInuS",
        "Exposure",
        "ExposureInuAs",
    ):
        low, high, _unit = PLAUSIBLE[keyword]
        value = subject.dataset.number(keyword)
        if value is not None and not low <= value <= high:
            return False
    return True


__all__ = ["deviation_fits", "technique"]
