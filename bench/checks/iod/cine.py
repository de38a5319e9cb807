"""Multi-frame images: frame increment, frame times, cine rate, trim (PS3.3 C.7.6.5, C.7.6.6).

Rules of this file:

* Rates and times contradict each other when they differ beyond the rounding of a whole rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.subjects import Subject, images
from bench.checks.iod.tables import label, tag_text
from bench.scenario import dictionary

if TYPE_CHECKING:
    from bench.checks.case import Case

POINTER: Final = "STD-IOD-050"
TIMES: Final = "STD-IOD-051"
RATE: Final = "STD-IOD-052"
TRIM: Final = "STD-IOD-053"
TARGETS: Final = frozenset(
    {
        "FrameTime",
        "FrameTimeVector",
        "PageNumberVector",
        "FrameLabelVector",
        "FramePrimaryAngleVector",
        "FrameSecondaryAngleVector",
        "SliceLocationVector",
        "DisplayWindowLabelVector",
        "GridFrameOffsetVector",
    }
)
"""What tells one frame from the next (PS3.3 C.7.6.5, C.8.6.4, C.8.8.3); also group 0054 and private ones."""
SHORTEST: Final = 0.05
LONGEST: Final = 600_000.0
"""Milliseconds between two frames that any device takes: far beyond the fastest and the slowest."""
ABOVE_ZERO: Final = ("CineRate", "RecommendedDisplayFrameRate", "ActualFrameDuration", "EffectiveDuration")


@check(POINTER, TIMES, RATE, TRIM)
def cine(case: Case) -> Iterator[Finding]:
    """Every image that has frames."""
    for subject in images(case):
        if subject.iod is not None and "NumberOfFrames" not in subject.iod.keywords:
            continue
        yield from pointer(subject)
        yield from times(subject)
        yield from rate(subject)
        yield from trim(subject)


def pointer(subject: Subject) -> Iterator[Finding]:
    """Frame Increment Pointer points to an attribute that is there."""
    dataset = subject.dataset
    for tag in dataset.texts("FrameIncrementPointer"):
        element = dataset.get(int(tag[1:5] + tag[6:10], 16))
        where = subject.at("FrameIncrementPointer")
        group = int(tag[1:5], 16)
        known = dictionary.keywords_by_tag().get(tag[1:5].upper() + tag[6:10].upper(), "")
        if known not in TARGETS and not group & 1 and group not in (0x0054, 0x5200):
            reason = f"{label('FrameIncrementPointer')} points to {tag} {known}, which tells no frame from the next"
            yield failed(POINTER, reason, *where)
        elif element is None or element.empty:
            yield failed(
                POINTER, f"{label('FrameIncrementPointer')} points to {tag}, which is missing", *where
            )
        else:
            yield passed(POINTER, f"Frame Increment Pointer points to {element.keyword or tag}", *where)


def times(subject: Subject) -> Iterator[Finding]:
    """Frame Time and Frame Time Vector."""
    dataset = subject.dataset
    frames = dataset.number("NumberOfFrames")
    value = dataset.number("FrameTime")
    if value is not None:
        where = subject.at("FrameTime")
        if value < 0 or (value == 0 and (frames or 1) > 1):
            yield failed(TIMES, f"{label('FrameTime')} is {value} ms", *where)
        elif value and not SHORTEST <= value <= LONGEST:
            reason = f"{label('FrameTime')} is {value:g} ms; no device takes frames at such times"
            yield failed(TIMES, reason, *where)
        else:
            yield passed(TIMES, f"Frame Time {value} ms", *where)
    vector = dataset.texts("FrameTimeVector")
    if vector and frames is not None:
        where = subject.at("FrameTimeVector", "NumberOfFrames")
        if len(vector) != int(frames):
            yield failed(
                TIMES, f"{label('FrameTimeVector')} has {len(vector)} values for {int(frames)} frames", *where
            )
        elif any(step < 0 for step in dataset.numbers("FrameTimeVector")):
            yield failed(TIMES, f"{label('FrameTimeVector')} goes back in time", *where)
        elif dataset.numbers("FrameTimeVector")[:1] not in ([0], (0,), [], ()):
            reason = (
                f"{label('FrameTimeVector')} begins with {vector[0]}; the first frame has the increment 0"
            )
            yield failed(TIMES, reason, *where)
        else:
            yield passed(TIMES, f"Frame Time Vector of {len(vector)}", *where)


def rate(subject: Subject) -> Iterator[Finding]:
    """Cine Rate and Effective Duration against Frame Time."""
    dataset = subject.dataset
    for keyword in ABOVE_ZERO:
        number = dataset.number(keyword)
        if number is not None and (number < 0 or (not number and keyword != "EffectiveDuration")):
            yield failed(RATE, f"{label(keyword)} is {number:g}", *subject.at(keyword))
    time, frames = dataset.number("FrameTime"), dataset.number("NumberOfFrames")
    if time is None or time <= 0 or time_is_unused(subject):
        return
    said = dataset.number("CineRate")
    if said is not None and said > 0:
        true = 1000 / time
        where = subject.at("CineRate", "FrameTime")
        if abs(said - true) > max(1.0, 0.03 * true):
            reason = f"{label('CineRate')} is {said:g}/s, {label('FrameTime')} {time:g} ms means {true:.2f}/s"
            yield failed(RATE, reason, *where)
        else:
            yield passed(RATE, f"{said:g}/s and {time:g} ms", *where)
    lasts = dataset.number("EffectiveDuration")
    if lasts is not None and lasts >= 0 and frames:
        true = time * frames / 1000
        if abs(lasts - true) > 2 * time / 1000 + 0.05 * true + 0.5:
            true_time = f"{int(frames)} frames of {time:g} ms last {true:.2f} s"
            reason = f"{label('EffectiveDuration')} is {lasts:g} s; {true_time}"
            yield failed(RATE, reason, *subject.at("EffectiveDuration", "FrameTime"))


def time_is_unused(subject: Subject) -> bool:
    """Whether the frames are placed by something else than Frame Time."""
    tags = subject.dataset.texts("FrameIncrementPointer")
    return bool(tags) and tag_text("FrameTime") not in tags


def trim(subject: Subject) -> Iterator[Finding]:
    """Start Trim and Stop Trim are frames of the image."""
    dataset = subject.dataset
    frames = dataset.number("NumberOfFrames")
    start, stop = dataset.number("StartTrim"), dataset.number("StopTrim")
    if frames is None or (start is None and stop is None):
        return
    wrong = False
    for keyword, value in (("StartTrim", start), ("StopTrim", stop)):
        if value is not None and not 1 <= value <= frames:
            wrong = True
            yield failed(
                TRIM,
                f"{label(keyword)} is {value:g} in an image of {frames:g} frame(s)",
                *subject.at(keyword),
            )
    if start is not None and stop is not None and start > stop and not wrong:
        wrong = True
        yield failed(
            TRIM,
            f"{label('StartTrim')} {start:g} is after {label('StopTrim')} {stop:g}",
            *subject.at("StartTrim", "StopTrim"),
        )
    if not wrong:
        yield passed(TRIM, "trim lies within the frames", *subject.at("StartTrim"))
