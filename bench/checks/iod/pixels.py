"""Pixel Data against the attributes that describe it: length, bits, values, frames, compression.

Rules of this file:

* Where an attribute that a rule needs is missing or impossible, the rule has nothing to say: its absence is
  judged elsewhere.
* The facts of the pixels come from the witness, which saw all of them pass by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.checks.case import Stored
from bench.checks.finding import Finding, check, deviates, failed, passed
from bench.checks.iod.declared import Declared
from bench.checks.iod.subjects import Subject, images
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.resultmodel import Evidence
    from bench.witness.dataset import DataSet
    from bench.witness.pixels import Jpeg, Pixels

LENGTH: Final = "STD-IOD-010"
VALUES: Final = "STD-IOD-011"
BITS: Final = "STD-IOD-012"
EXTREMES: Final = "STD-IOD-013"
SAMPLES: Final = "STD-IOD-014"
SYNTAX: Final = "STD-IOD-015"
PLANAR: Final = "STD-IOD-016"
FRAMES: Final = "STD-IOD-017"
STREAM: Final = "STD-IOD-018"
ALLOWED: Final = "STD-IOD-026"
ENCAPSULATED: Final = "STD-IOD-027"
ORDER: Final = "STD-IOD-028"
MOST: Final = 100_000
"""Fragments that the witness keeps."""

BASELINE: Final = "1.2.840.10008.1.2.4.50"
NATIVE: Final = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.113619.5.2",
    }
)
ONE: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
THREE: Final = frozenset(
    {
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_PARTIAL_420",
        "YBR_PARTIAL_422",
        "YBR_ICT",
        "YBR_RCT",
        "HSV",
        "XYB",
    }
)
RETIRED: Final = frozenset({"ARGB", "CMYK"})
GRAY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})

# PS3.5 8.2: what a transfer syntax allows (native ones: everything but the interpretations of one codec)
INTERPRETATIONS: Final = {
    BASELINE: GRAY | {"RGB", "YBR_FULL_422", "YBR_FULL"},
    "1.2.840.10008.1.2.4.51": GRAY | {"RGB", "YBR_FULL_422", "YBR_FULL"},
    "1.2.840.10008.1.2.4.57": GRAY | {"RGB", "YBR_FULL", "PALETTE COLOR"},
    "1.2.840.10008.1.2.4.70": GRAY | {"RGB", "YBR_FULL", "PALETTE COLOR"},
    "1.2.840.10008.1.2.4.80": GRAY | {"RGB", "YBR_FULL", "PALETTE COLOR"},
    "1.2.840.10008.1.2.4.81": GRAY | {"RGB", "YBR_FULL"},
    "1.2.840.10008.1.2.4.90": GRAY | {"RGB", "YBR_RCT", "YBR_FULL", "PALETTE COLOR"},
    "1.2.840.10008.1.2.4.91": GRAY | {"RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL"},
    "1.2.840.10008.1.2.5": GRAY | {"RGB", "YBR_FULL", "PALETTE COLOR"},
}
NATIVE_ONLY_NOT: Final = frozenset({"YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "XYB"})

HALVED: Final = (BASELINE, "1.2.840.10008.1.2.4.51")
"""Transfer syntaxes whose streams may leave out samples of colour."""

# process of the JPEG family -> SOF markers of its streams
MARKERS: Final = {
    BASELINE: (0xC0,),
    "1.2.840.10008.1.2.4.51": (0xC0, 0xC1),
    "1.2.840.10008.1.2.4.57": (0xC3,),
    "1.2.840.10008.1.2.4.70": (0xC3,),
    "1.2.840.10008.1.2.4.80": (0xF7,),
    "1.2.840.10008.1.2.4.81": (0xF7,),
    "1.2.840.10008.1.2.4.90": (0x51,),
    "1.2.840.10008.1.2.4.91": (0x51,),
}

DX: Final = ("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1")
US: Final = ("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1")


@dataclass(frozen=True, slots=True)
class Layout:
    """The numbers of the Image Pixel module; None where an attribute is missing or no number."""

    rows: int | None
    columns: int | None
    samples: int | None
    frames: int | None  # Number of Frames, 1 when it is absent
    allocated: int | None
    stored: int | None
    high: int | None
    interpretation: str

    @classmethod
    def of(cls, dataset: DataSet) -> Layout:
        """Read them."""
        frames = _int(dataset, "NumberOfFrames") if dataset.state("NumberOfFrames") == "value" else 1
        return cls(
            _int(dataset, "Rows"),
            _int(dataset, "Columns"),
            _int(dataset, "SamplesPerPixel"),
            frames,
            _int(dataset, "BitsAllocated"),
            _int(dataset, "BitsStored"),
            _int(dataset, "HighBit"),
            dataset.text("PhotometricInterpretation") or "",
        )

    @property
    def samples_wanted(self) -> int | None:
        """Samples per pixel of the photometric interpretation."""
        return 1 if self.interpretation in ONE else (3 if self.interpretation in THREE else None)

    @property
    def agreed(self) -> bool:
        """Whether Samples per Pixel are those of the photometric interpretation."""
        return self.samples_wanted is None or self.samples in (None, self.samples_wanted)

    @property
    def frame_bits(self) -> int | None:
        """Bits of one frame of native pixels; half of the chroma is there with 422 (PS3.3 C.7.6.3.1.2)."""
        if not self.rows or not self.columns or not self.samples or not self.allocated:
            return None
        samples: float = self.samples
        if self.samples == 3 and self.interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422"):
            samples = 2
        if self.samples == 3 and self.interpretation == "YBR_PARTIAL_420":
            samples = 1.5
        return int(self.rows * self.columns * samples * self.allocated)


def _int(dataset: DataSet, keyword: str) -> int | None:
    value = dataset.number(keyword)
    return int(value) if value is not None else None


@check(LENGTH, VALUES, BITS, EXTREMES, SAMPLES, SYNTAX, PLANAR, FRAMES, STREAM, ALLOWED, ENCAPSULATED, ORDER)
def pixel_data(case: Case) -> Iterator[Finding]:
    """Every image's pixels."""
    for subject in images(case):
        layout = Layout.of(subject.dataset)
        yield from bits(subject, layout)
        yield from interpretation(subject, layout)
        if layout.agreed:
            yield from planes(subject, layout)
        pixels = subject.dataset.pixels
        element = subject.dataset.get("PixelData")
        if pixels is None or element is None:
            if not any(
                subject.dataset.has(k)
                for k in ("PixelDataProviderURL", "FloatPixelData", "DoubleFloatPixelData")
            ):
                yield failed(ENCAPSULATED, f"{label('PixelData')} is missing", *subject.at("PixelData"))
            continue
        if more := [k for k in ("FloatPixelData", "DoubleFloatPixelData") if subject.dataset.has(k)]:
            reason = f"{label('PixelData')} and {label(more[0])} are there; an image has pixels of one kind"
            yield failed(ENCAPSULATED, reason, *subject.at("PixelData", *more))
        yield from amount(subject, layout, pixels)
        yield from values(subject, layout, pixels)
        yield from stream(subject, layout, pixels)
        yield from arrangement(subject, layout, pixels)


@check(LENGTH, VALUES, BITS, SAMPLES, ENCAPSULATED)
def film_images(case: Case) -> Iterator[Finding]:
    """The images of films (Basic Grayscale and Color Image Sequence of an image box, PS3.3 C.13.5)."""
    for message in case.requests("N-SET-RQ"):
        dataset = message.dataset
        if dataset is None or not message.complete or dataset.broken_at is not None:
            continue
        for keyword in ("BasicGrayscaleImageSequence", "BasicColorImageSequence"):
            for item in dataset.items(keyword):
                subject = Subject(
                    case, Stored(message, case.exchange(message)), item, None, Declared(case.statement, "")
                )
                layout = Layout.of(item)
                yield from (one for one in bits(subject, layout) if one.id == BITS)
                yield from (one for one in interpretation(subject, layout) if one.id == SAMPLES)
                if item.pixels is None:
                    yield failed(
                        ENCAPSULATED, f"{label(keyword, 'PixelData')} is missing", *subject.at("PixelData")
                    )
                    continue
                yield from (one for one in amount(subject, layout, item.pixels) if one.id != FRAMES)
                yield from (one for one in values(subject, layout, item.pixels) if one.id == VALUES)


def bits(subject: Subject, layout: Layout) -> Iterator[Finding]:
    """Bits Allocated, Bits Stored, High Bit; and what the IOD allows of them."""
    allocated, stored, high = layout.allocated, layout.stored, layout.high
    if stored is not None and high is not None:
        where = subject.at("BitsStored", "HighBit")
        if high != stored - 1:
            yield failed(
                BITS, f"High Bit is {high} with Bits Stored {stored}; {stored - 1} is wanted", *where
            )
        elif allocated is not None and stored > allocated:
            yield failed(BITS, f"Bits Stored is {stored} of {allocated} bits allocated", *where)
        else:
            yield passed(BITS, f"High Bit {high}, Bits Stored {stored}, Bits Allocated {allocated}", *where)
    faults = list(_iod_bits(subject, layout))
    yield from faults
    if not faults and subject.iod is not None and allocated is not None:
        yield passed(ALLOWED, "samples and bits are ones of the IOD", *subject.at("BitsAllocated"))


def _iod_bits(subject: Subject, layout: Layout) -> Iterator[Finding]:
    uid, dataset = subject.sop_class, subject.dataset

    def wrong(keyword: str, value: object, allowed: str) -> Finding:
        return failed(ALLOWED, f"{label(keyword)} is {value}; the IOD allows {allowed}", *subject.at(keyword))

    if uid in DX:
        if layout.samples not in (None, 1) and layout.agreed:
            yield wrong("SamplesPerPixel", layout.samples, "1")
        if layout.interpretation and layout.interpretation not in GRAY:
            yield wrong("PhotometricInterpretation", layout.interpretation, "MONOCHROME1 or MONOCHROME2")
        if layout.allocated not in (None, 8, 16):
            yield wrong("BitsAllocated", layout.allocated, "8 or 16")
        if layout.stored is not None and not 6 <= layout.stored <= 16:
            yield wrong("BitsStored", layout.stored, "6 to 16")
        if dataset.number("PixelRepresentation") not in (None, 0):
            yield wrong("PixelRepresentation", dataset.number("PixelRepresentation"), "0")
    elif uid in US:
        wide = layout.interpretation in ("PALETTE COLOR", "MONOCHROME2")
        if layout.allocated is not None and layout.allocated not in ((8, 16) if wide else (8,)):
            yield wrong("BitsAllocated", layout.allocated, "8 or 16" if wide else "8 with colour")
        if layout.stored is not None and layout.stored not in ((8, 16) if wide else (8,)):
            yield wrong("BitsStored", layout.stored, "8 or 16" if wide else "8 with colour")
        if dataset.number("PixelRepresentation") not in (None, 0):
            yield wrong("PixelRepresentation", dataset.number("PixelRepresentation"), "0")
        known = not layout.interpretation or layout.interpretation in (ONE | THREE | RETIRED) - {"HSV"}
        if layout.interpretation == "MONOCHROME1" or not known:
            yield wrong(
                "PhotometricInterpretation", layout.interpretation, "MONOCHROME2, PALETTE COLOR, RGB and YBR"
            )


def interpretation(subject: Subject, layout: Layout) -> Iterator[Finding]:
    """Photometric Interpretation, Samples per Pixel, transfer syntax."""
    kind, syntax = layout.interpretation, subject.message.transfer_syntax or ""
    if not kind:
        return
    where = subject.at("PhotometricInterpretation", "SamplesPerPixel")
    wanted = layout.samples_wanted
    if wanted is not None and layout.samples is not None:
        if layout.samples != wanted:
            yield failed(
                SAMPLES,
                f"{kind} has {wanted} sample{'s'[: wanted - 1]} per pixel, not {layout.samples}",
                *where,
            )
        else:
            yield passed(SAMPLES, f"{kind} with {layout.samples} samples", *where)
    if kind not in ONE | THREE:
        return
    at = subject.at("PhotometricInterpretation")
    if syntax in NATIVE:
        if kind in NATIVE_ONLY_NOT:
            yield failed(SYNTAX, f"{kind} belongs to a compressed transfer syntax, the object is native", *at)
        else:
            yield passed(SYNTAX, f"{kind} in a native transfer syntax", *at)
    elif syntax in INTERPRETATIONS:
        if kind not in INTERPRETATIONS[syntax]:
            allowed = ", ".join(sorted(INTERPRETATIONS[syntax]))
            yield failed(SYNTAX, f"{kind} with transfer syntax {syntax}, which allows {allowed}", *at)
        else:
            yield passed(SYNTAX, f"{kind} with transfer syntax {syntax}", *at)


def planes(subject: Subject, layout: Layout) -> Iterator[Finding]:
    """Planar Configuration."""
    dataset = subject.dataset
    if layout.samples is None:
        return
    state, where = dataset.state("PlanarConfiguration"), subject.at("PlanarConfiguration")
    value = dataset.number("PlanarConfiguration")
    if layout.samples > 1 and state != "value":
        yield failed(
            PLANAR, f"{label('PlanarConfiguration')} is wanted with {layout.samples} samples", *where
        )
    elif layout.samples == 1 and state != "absent":
        yield failed(PLANAR, f"{label('PlanarConfiguration')} has no place with 1 sample per pixel", *where)
    elif layout.samples > 1:
        native_422 = layout.interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
        must_be_0 = native_422 or subject.message.transfer_syntax in MARKERS
        if value == 1 and must_be_0:
            why = layout.interpretation if native_422 else "this compressed transfer syntax"
            yield failed(PLANAR, f"{label('PlanarConfiguration')} is 1; 0 is wanted with {why}", *where)
        elif value in (0, 1):
            yield passed(PLANAR, f"Planar Configuration {value}", *where)


def amount(subject: Subject, layout: Layout, pixels: Pixels) -> Iterator[Finding]:
    """Native or encapsulated, length, number of frames."""
    where = subject.at("PixelData")
    syntax = subject.message.transfer_syntax or ""
    if pixels.encapsulated != (syntax not in NATIVE) and syntax:
        how = "encapsulated" if pixels.encapsulated else "native"
        yield failed(ENCAPSULATED, f"{label('PixelData')} is {how} in transfer syntax {syntax}", *where)
        return
    yield passed(ENCAPSULATED, "Pixel Data is there", *where)
    frames = layout.frames
    if pixels.encapsulated:
        yield from _single(subject, frames)
        yield from _fragments(subject, frames, pixels, where)
        return
    yield from _single(subject, frames)
    frame = layout.frame_bits
    if frame is None or frames is None:
        return
    bits_wanted = frame * max(frames, 0)
    wanted = (bits_wanted + 7) // 8
    if not layout.agreed:
        return  # which of the two is wrong is not known: told by STD-IOD-014
    if pixels.length == wanted + wanted % 2:
        yield passed(LENGTH, f"{pixels.length} bytes, {frames} frame(s)", *where)
        yield passed(FRAMES, f"{frames} frame(s)", *where)
        return
    size = (frame + 7) // 8
    there = pixels.length // size if size else 0
    if subject.dataset.has("NumberOfFrames") and there >= 1 and pixels.length - there * size in (0, 1):
        where = subject.at("NumberOfFrames", "PixelData")
        yield failed(
            FRAMES, f"Number of Frames is {frames}, Pixel Data holds {there} frame(s) of {size} bytes", *where
        )
        return
    reason = (
        f"{label('PixelData')} has {pixels.length} bytes; {layout.rows} x {layout.columns} x {layout.samples} "
        f"sample(s) of {layout.allocated} bits in {frames} frame(s) are {wanted}"
    )
    yield failed(LENGTH, reason, *where)


def _single(subject: Subject, frames: int | None) -> Iterator[Finding]:
    """An IOD without frames is one of a single frame (PS3.3 A.6, A.8.1)."""
    if subject.iod is None or "NumberOfFrames" in subject.iod.keywords or frames in (None, 0, 1):
        return
    reason = f"{label('NumberOfFrames')} is {frames}; the {subject.iod.name} IOD is of one frame"
    yield failed(FRAMES, reason, *subject.at("NumberOfFrames"))


def _fragments(
    subject: Subject, frames: int | None, pixels: Pixels, where: tuple[Evidence, ...]
) -> Iterator[Finding]:
    if frames is None:
        return
    there = len(pixels.fragments)
    table = len(pixels.offset_table) if pixels.offset_table else None
    where = subject.at("NumberOfFrames", "PixelData") if subject.dataset.has("NumberOfFrames") else where
    jpeg = subject.message.transfer_syntax in MARKERS and subject.message.transfer_syntax not in (
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.91",
    )
    if there < frames or not there:
        yield failed(FRAMES, f"Number of Frames is {frames}, Pixel Data has only {there} fragment(s)", *where)
    elif table is not None and table != frames:
        yield failed(FRAMES, f"Number of Frames is {frames}, the offset table names {table}", *where)
    elif table is None and jpeg and pixels.eoi and pixels.eoi != frames:
        yield failed(
            FRAMES, f"Number of Frames is {frames}, Pixel Data holds {pixels.eoi} JPEG streams", *where
        )
    elif table is not None or (jpeg and pixels.eoi) or there == frames:
        yield passed(FRAMES, f"{frames} frame(s)", *where)


def values(subject: Subject, layout: Layout, pixels: Pixels) -> Iterator[Finding]:
    """Values within Bits Stored, and the true extremes."""
    if pixels.encapsulated or pixels.largest is None or pixels.smallest is None:
        return
    stored, dataset = layout.stored, subject.dataset
    if stored is not None and layout.allocated is not None and 0 < stored <= layout.allocated:
        count = pixels.above_bits_stored
        if count == 0:
            yield passed(VALUES, f"all pixels fit {stored} bits", *subject.at("PixelData"))
        elif layout.high == stored - 1:
            element = dataset.get("PixelData")
            base = element.offset + element.header if element is not None else 0
            spot = base + (pixels.first_above_offset or 0)
            where = subject.case.at(subject.message, "(7FE0,0010)", offset=spot)
            first = f"the first is at byte {spot} of the data set"
            yield failed(VALUES, f"{count} pixel value(s) do not fit {stored} bits stored; {first}", where)
    if (
        layout.samples not in (None, 1)
        or pixels.above_bits_stored
        or layout.high not in (None, (stored or 0) - 1)
        or pixels.length * 8 < (layout.frame_bits or 0) * (layout.frames or 1)
    ):
        return
    bounds = {"SmallestImagePixelValue": 0, "LargestImagePixelValue": 2**stored - 1 if stored else None}
    truths = {"SmallestImagePixelValue": pixels.smallest, "LargestImagePixelValue": pixels.largest}
    for keyword, truth in truths.items():
        said = dataset.number(keyword)
        if said is None:
            continue
        at_value = subject.at(keyword)
        if said == truth:
            yield passed(EXTREMES, f"{keyword} {said} is that of the pixels", *at_value)
            continue
        reason = f"{label(keyword)} is {said}; the pixels' own is {truth}"
        declared = _printed_bounds(subject, keyword) if said == bounds[keyword] else None
        if declared:
            yield deviates(EXTREMES, f"{reason}; the bound is declared by {declared}", *at_value)
        else:
            yield failed(EXTREMES, reason, *at_value)


def _printed_bounds(subject: Subject, keyword: str) -> str | None:
    return next((c.id for c, rule in subject.declared.rows(keyword) if rule.match == "bounds"), None)


def stream(subject: Subject, layout: Layout, pixels: Pixels) -> Iterator[Finding]:
    """The header inside the compressed stream."""
    syntax, head = subject.message.transfer_syntax, pixels.jpeg
    if not pixels.encapsulated or syntax not in MARKERS or not pixels.fragments:
        return
    where = subject.at("PixelData")
    if head is None:
        if len(pixels.head) < 4:
            yield failed(STREAM, f"the first fragment has {len(pixels.head)} bytes", *where)
        elif pixels.head[:2] not in (b"\xff\xd8", b"\xff\x4f"):
            yield failed(STREAM, f"the first fragment is no stream of transfer syntax {syntax}", *where)
        return
    faults = []
    if head.sof not in MARKERS[syntax]:
        faults.append(
            f"the stream's process (marker FF{head.sof:02X}) is not that of transfer syntax {syntax}"
        )
    elif syntax == "1.2.840.10008.1.2.4.70" and head.predictor not in (None, 1):
        faults.append(f"the predictor is {head.predictor}, the transfer syntax names 1")
    pairs = (
        ("rows", head.rows, layout.rows),
        ("columns", head.columns, layout.columns),
        ("components", head.components, layout.samples),
    )
    faults += [
        f"{what} are {inside} in the stream, {said} in the attributes"
        for what, inside, said in pairs
        if said is not None and inside != said
    ]
    if layout.stored is not None and not layout.stored <= head.precision <= (layout.allocated or 16):
        faults.append(f"precision is {head.precision} in the stream, Bits Stored {layout.stored}")
    if head.sof != 0x51 and pixels.eoi < (layout.frames or 1) == len(pixels.fragments):
        faults.append(f"{len(pixels.fragments) - pixels.eoi} JPEG stream(s) are cut off: no EOI marker")
    if head.missing:
        faults.append(f"the stream has no {head.missing} table in front of its scan")
    if head.least and pixels.eoi and len(pixels.fragments) == (layout.frames or 1) and not faults:
        short = [number for number, length in enumerate(pixels.fragments, 1) if length < head.least]
        if short:
            has, at = pixels.fragments[short[0] - 1], short[0]
            faults.append(
                f"the stream of frame {at} has {has} bytes; with its tables it has at least {head.least}"
            )
    faults += _other_streams(layout, pixels, head)
    for fault in faults:
        yield failed(STREAM, fault, *where)
    if not faults:
        yield passed(STREAM, "stream and attributes agree", *where)
    if syntax in HALVED and layout.interpretation in ("RGB", "YBR_FULL") and len(set(head.sampling)) > 1:
        only = "only YBR has" if layout.interpretation == "RGB" else "only YBR_FULL_422 has"
        yield failed(
            SYNTAX,
            f"Photometric Interpretation is {layout.interpretation}; "
            f"the stream has fewer samples of some components, as {only}",
            *subject.at("PhotometricInterpretation", "PixelData"),
        )


def _other_streams(layout: Layout, pixels: Pixels, head: Jpeg) -> Iterator[str]:
    """What the streams behind the first one say, and where they begin."""
    if head.sof == 0x51:
        return
    if pixels.other is not None:
        number, other = pixels.other
        for what, one, first in (
            ("rows", other.rows, head.rows),
            ("columns", other.columns, head.columns),
            ("components", other.components, head.components),
            ("bits of precision", other.precision, head.precision),
        ):
            if one != first:
                yield f"{what} are {one} in the stream that fragment {number + 1} begins, {first} in the first"
        if other.sof != head.sof or other.predictor != head.predictor:
            yield f"the stream that fragment {number + 1} begins is of another process than the first"
    begins = set(pixels.starts)
    if not begins or len(pixels.fragments) >= MOST:
        return
    at, places = 0, {}
    for number, length in enumerate(pixels.fragments):
        places[at] = number
        at += 8 + length
    frames = [places[o] for o in pixels.offset_table or () if o in places]
    if not pixels.offset_table and len(pixels.fragments) == (layout.frames or 1):
        frames = list(range(len(pixels.fragments)))
    for number in frames:
        if number not in begins:
            yield f"a frame begins with fragment {number + 1}, which begins no JPEG stream"
            return


def arrangement(subject: Subject, layout: Layout, pixels: Pixels) -> Iterator[Finding]:
    """Samples of native colour lie as Planar Configuration and the byte order of the transfer syntax say."""
    greys, value = pixels.greys, subject.dataset.number("PlanarConfiguration")
    element = subject.dataset.get("PixelData")
    if greys is None or element is None or layout.interpretation != "RGB":
        return
    if (
        element.big_endian and element.vr == "OW"
    ):  # two samples of 8 bits in a word, the first in its low byte
        if greys.pixels:
            reason = f"the samples of {label('PixelData')} lie one by one, not in words (OW) of Big Endian"
            yield failed(ORDER, reason, *subject.at("PixelData"))
        elif greys.swapped:
            yield passed(ORDER, "samples lie in words of Big Endian", *subject.at("PixelData"))
        return
    where = subject.at("PlanarConfiguration", "PixelData")
    if (value == 0 and greys.planes) or (value == 1 and greys.pixels):
        lie = "plane by plane" if greys.planes else "pixel by pixel"
        share = round(100 * max(greys.by_plane, greys.by_pixel))
        yield failed(
            PLANAR,
            f"{label('PlanarConfiguration')} is {int(value)}; the samples lie {lie}: only so {share} % are grey",
            *where,
        )
    if greys.swapped:
        share = round(100 * greys.exchanged)
        yield failed(
            ORDER,
            f"bytes of {label('PixelData')} are exchanged in each word: only so {share} % of the pixels are grey",
            *subject.at("PixelData"),
        )
    elif greys.pixels or greys.planes:
        yield passed(ORDER, "bytes lie in the order of the transfer syntax", *subject.at("PixelData"))
