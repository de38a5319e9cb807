"""Dates and times of an object in their order, and the patient's age.

Rules of this file:

* Two moments are compared as precisely as both are known: without a time, or with a shorter one, only the
  common part.
* Study Date and Time may be those of the schedule (ruling D1); then they say nothing about what came first.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed, remark
from bench.checks.iod.borrowed import borrowed
from bench.checks.iod.subjects import Subject, subjects
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet

ORDER: Final = "STD-IOD-030"
AGE: Final = "STD-IOD-031"
_DATE: Final = re.compile(r"(\d{4})[.]?(\d\d)[.]?(\d\d)$")
_TIME: Final = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?$")
CHAIN: Final = (
    ("SeriesDate", "SeriesTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
)
ELDEST: Final = 130
"""Years that nobody lives."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, and as much of a time (digits HHMMSS.FFFFFF without the point) as is known."""

    date: str
    time: str = ""

    def after(self, other: Moment) -> bool:
        """Whether this is later, as far as both are known."""
        if self.date != other.date:
            return self.date > other.date
        common = min(len(self.time), len(other.time))
        return self.time[:common] > other.time[:common]

    def __str__(self) -> str:
        return f"{self.date} {self.time}".strip()


def moment(dataset: DataSet, date_keyword: str, time_keyword: str) -> Moment | None:
    """Read a date with its time; None when the date is missing or is none."""
    return moment_of(dataset.text(date_keyword) or "", dataset.text(time_keyword) or "")


def moment_of(date: str, time: str) -> Moment | None:
    """Make a moment of the texts of a DA and a TM."""
    found = _DATE.match(date)
    if not found or real_date(date) is None:
        return None
    time = time.replace(":", "")
    if any(
        part > most for part, most in zip((time[0:2], time[2:4], time[4:6]), ("23", "59", "60"), strict=True)
    ):
        time = ""
    return Moment("".join(found.groups()), time.replace(".", "") if _TIME.match(time) else "")


def real_date(date: str) -> datetime.date | None:
    """Return a DA as a date, None for one that is no date."""
    found = _DATE.match(date)
    if not found:
        return None
    try:
        return datetime.date(*(int(part) for part in found.groups()))
    except ValueError:
        return None


@check(ORDER, AGE)
def dates(case: Case) -> Iterator[Finding]:
    """Every object."""
    for subject in subjects(case):
        yield from birth(subject)
        yield from calibrated(subject)
        yield from chain(subject)
        yield from acquired(subject)
        yield from age(subject)


def birth(subject: Subject) -> Iterator[Finding]:
    """Nobody is imaged before being born."""
    dataset = subject.dataset
    born, study = (
        moment(dataset, "PatientBirthDate", "PatientBirthTime"),
        moment(dataset, "StudyDate", "StudyTime"),
    )
    if born is None or study is None:
        return
    where = subject.at("PatientBirthDate", "StudyDate")
    if borrowed(subject.case).has("PatientBirthDate", dataset.text("PatientBirthDate") or ""):
        given = " as the worklist gave it"
    else:
        given = ""
    if born.date > study.date and given:
        yield remark(
            ORDER, f"{label('PatientBirthDate')} {born.date} is after {label('StudyDate')}{given}", *where
        )
    elif born.date > study.date:
        reason = f"{label('PatientBirthDate')} {born.date} is after {label('StudyDate')} {study.date}"
        yield failed(ORDER, reason, *where)
    elif int(study.date[:4]) - int(born.date[:4]) > ELDEST:
        yield remark(
            ORDER,
            f"{label('PatientBirthDate')} {born.date} is more than {ELDEST} years before the study",
            *where,
        )
    else:
        yield passed(ORDER, "born before the study", *where)


def calibrated(subject: Subject) -> Iterator[Finding]:
    """The last calibration before an image was not after it."""
    dataset = subject.dataset
    made = moment(dataset, "AcquisitionDate", "AcquisitionTime") or moment(
        dataset, "ContentDate", "ContentTime"
    )
    if made is None:
        return
    for day in ("DateOfLastCalibration", "DateOfLastDetectorCalibration"):
        days = [found for text in dataset.texts(day) if (found := moment_of(text, "")) is not None]
        if days and max(one.date for one in days) > made.date:
            reason = f"{label(day)} {max(one.date for one in days)} is after the image was made ({made.date})"
            yield failed(ORDER, reason, *subject.at(day))


def chain(subject: Subject) -> Iterator[Finding]:
    """Series, acquisition, content; and the study where it is no schedule's."""
    dataset = subject.dataset
    known = [(pair, when) for pair in CHAIN if (when := moment(dataset, *pair)) is not None]
    good = bool(known)
    for (earlier, one), (later, other) in itertools.pairwise(known):
        if one.after(other):
            good = False
            reason = f"{label(earlier[0])} {one} is after {label(later[0])} {other}"
            yield failed(ORDER, reason, *subject.at(*earlier, *later))
    study = moment(dataset, "StudyDate", "StudyTime")
    if study is not None and known and study.after(known[0][1]):
        pair, when = known[0]
        yield remark(
            ORDER,
            f"{label('StudyDate')} {study} is after {label(pair[0])} {when}: a scheduled start?",
            *subject.at("StudyDate", pair[0]),
        )
    if good and len(known) > 1:
        yield passed(
            ORDER, "series, acquisition and content in order", *subject.at(*(pair[0] for pair, _ in known))
        )


def acquired(subject: Subject) -> Iterator[Finding]:
    """Acquisition DateTime, and Acquisition Date and Time, are one moment."""
    dataset = subject.dataset
    text = dataset.text("AcquisitionDateTime") or ""
    digits, _, _ = text.partition("+")
    digits = digits.partition("-")[0]
    one, other = (
        moment_of(digits[:8], digits[8:]),
        moment(dataset, "AcquisitionDate", "AcquisitionTime"),
    )
    if one is None or other is None:
        return
    where = subject.at("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime")
    gap = abs((_clock(one) - _clock(other)).total_seconds())
    allowed = 60.0 if len(one.time) >= 6 and len(other.time) >= 6 else 86_400.0
    if digits != text:
        allowed = 2 * 86_400.0  # it tells its zone; the other two are in that of the object
    if gap > allowed:
        said = f"{label('AcquisitionDateTime')} {text} is not {label('AcquisitionDate')} {other}"
        yield failed(ORDER, said, *where)


def _clock(when: Moment) -> datetime.datetime:
    """A moment as far as it is known; its day's begin without a time."""
    day = real_date(when.date) or datetime.date.min
    hours, minutes, seconds = (int(when.time[at : at + 2] or 0) for at in (0, 2, 4))
    clock = datetime.datetime.combine(day, datetime.time())
    return clock + datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds)


def age(subject: Subject) -> Iterator[Finding]:
    """Patient's Age at the time of the study, or (where that is a schedule's) of its series or images."""
    dataset = subject.dataset
    text = dataset.text("PatientAge") or ""
    born = real_date(dataset.text("PatientBirthDate") or "")
    days = [
        (when - born).days
        for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
        if born is not None and (when := real_date(dataset.text(keyword) or "")) is not None and when >= born
    ]
    if not days or not re.fullmatch(r"\d{3}[DWMY]", text) or borrowed(subject.case).has("PatientAge", text):
        return
    unit = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}[text[3]]
    where = subject.at("PatientAge", "PatientBirthDate", "StudyDate")
    if all(abs(int(text[:3]) - count / unit) > 1.1 + 0.01 * count / unit for count in days):
        lived = f"since {born} there are {days[0] / unit:.1f} of these"
        yield failed(AGE, f"{label('PatientAge')} is {text}; {lived}", *where)
    else:
        yield passed(AGE, f"{text}", *where)
