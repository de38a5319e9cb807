"""Defects inside the objects of a medium and between them, each with the rules that it breaks.

Rules of this file: records follow the objects (:func:`written`), so that only the object's own fault is left; what a
record says otherwise than its object stands in the other two files.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.lab.elements import JPEG_BASELINE, JPEG_LOSSLESS, DataSet, Fragments
from tests.lab.media import START, FileSet, object_file
from tests.lab.products import jpeg
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import US, Picture, Scan

Change = Callable[[DataSet], object]
STREAM: Final = "STD-IOD-018"
REGION: Final = "STD-IOD-055"
UIDS: Final = ("STD-DS-032", "MX-MED-DIR-12", "STD-MED-041", "STD-MED-067")
KEYS: Final = (
    ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    ("StudyDate", "StudyTime", "AccessionNumber", "StudyInstanceUID", "StudyID"),
    ("Modality", "SeriesInstanceUID", "SeriesNumber"),
    ("InstanceNumber",),
)
NATIVE: Final = (Picture("us", number=1), Picture("us", number=2), Picture("clip", number=1))
GRAY: Final = tuple(replace(one, colour=False) for one in NATIVE)
BASELINE: Final = tuple(replace(one, syntax=JPEG_BASELINE) for one in NATIVE)
LOSSLESS: Final = (Picture("us", JPEG_LOSSLESS, number=1), Picture("us", JPEG_LOSSLESS, number=2))


@dataclass(frozen=True)
class Defect:
    """A change of one object (its number; None: of all), and what falls."""

    change: Change
    wanted: frozenset[str]
    object: int | None = 0
    pictures: tuple[Picture, ...] = NATIVE


def written(made: FileSet, pictures: Sequence[Picture]) -> FileSet:
    """Write the objects anew, and what the records say of them."""
    above = [(p, s, e, i) for p in made.roots for s in p.below for e in s.below for i in e.below]
    for ds, path, picture, records in zip(made.objects, made.paths, pictures, above, strict=True):
        made.files[path] = object_file(ds, picture.syntax)
        for record, keys in zip(records, KEYS, strict=True):
            for key in keys:
                record.ds.put(key, ds.get(key))
        records[-1].ds.put("ReferencedSOPInstanceUIDInFile", ds.get("SOPInstanceUID"))
        records[-1].ds.put("ReferencedSOPClassUIDInFile", ds.get("SOPClassUID"))
    return made


def made_of(defect: Defect) -> FileSet:
    """The file-set with a defect."""
    made = FileSet.of_mx1(pictures=defect.pictures)
    numbers = range(len(made.objects)) if defect.object is None else (defect.object,)
    for number in numbers:
        defect.change(made.objects[number])
    return written(made, defect.pictures)


def icon(rows: int = 64, columns: int = 64, size: int | None = None, **other: object) -> DataSet:
    """An icon of 8 bits."""
    made = DataSet(
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=rows,
        Columns=columns,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
    )
    made.put("PixelData", bytes(rows * columns if size is None else size), vr="OB")
    return made.update(**other)


def palette(entries: int = 256, bits: int = 16, first: int = 256) -> Change:
    """Make an image one of PALETTE COLOR with tables of some *entries* where *first* are said."""

    def change(ds: DataSet) -> None:
        ds.put("PhotometricInterpretation", "PALETTE COLOR")
        for colour in ("Red", "Green", "Blue"):
            said = struct.pack("<3H", first, 0, bits)
            ds.put(f"{colour}PaletteColorLookupTableDescriptor", said, vr="US")
            ds.put(f"{colour}PaletteColorLookupTableData", bytes(entries * bits // 8), vr="OW")

    return change


def overlay(size: int) -> Change:
    """An overlay of 48 x 64 points in some bytes."""

    def change(ds: DataSet) -> None:
        for element, vr, value in (
            (0x10, "US", struct.pack("<H", 48)),
            (0x11, "US", struct.pack("<H", 64)),
            (0x40, "CS", b"G "),
            (0x50, "SS", struct.pack("<2h", 1, 1)),
            (0x100, "US", struct.pack("<H", 1)),
            (0x102, "US", bytes(2)),
            (0x3000, "OW", bytes(size)),
        ):
            ds.put((0x6000, element), value, vr=vr)

    return change


def _stream(rows: int = 48, columns: int = 64, components: int = 3, kind: object = jpeg.baseline) -> bytes:
    data = (jpeg.lossless if kind is jpeg.lossless else jpeg.baseline)(
        rows, columns, components, lambda row, column, component: 100 + component
    )
    return data + bytes(len(data) % 2)


def fragments(change: Callable[[Fragments], Fragments]) -> Change:
    """Change encapsulated pixels."""
    return lambda ds: ds.put("PixelData", change(ds.get("PixelData")), vr="OB")


def _each(change: Callable[[bytes], bytes]) -> Change:
    def even(data: bytes) -> bytes:
        return data + bytes(len(data) % 2)

    return fragments(lambda f: Fragments(tuple(even(change(part)) for part in f.fragments)))


def _second(data: Callable[[bytes], bytes]) -> Change:
    return fragments(lambda f: Fragments((f.fragments[0], data(f.fragments[1]), *f.fragments[2:])))


def _places(f: Fragments) -> list[int]:
    return [sum(len(part) + 8 for part in f.fragments[:n]) for n in range(len(f.fragments))]


def _no_huffman(data: bytes) -> bytes:
    return data[: data.index(b"\xff\xc4")] + data[data.index(b"\xff\xda") :]


def _region(**values: object) -> Change:
    return lambda ds: ds.item("SequenceOfUltrasoundRegions").update(**values)


def _put(**values: object) -> Change:
    return lambda ds: ds.update(**values)


def _vector(*steps: str) -> Change:
    def change(ds: DataSet) -> None:
        ds.drop("FrameTime", "CineRate").update(
            FrameIncrementPointer="FrameTimeVector", FrameTimeVector=steps
        )

    return change


def _slow(time: str) -> Change:
    return lambda ds: ds.drop("CineRate").put("FrameTime", time)


def _one(change: Change, *wanted: str, **how: object) -> Defect:
    return Defect(change, frozenset(wanted), **how)  # type: ignore[arg-type]


CONTENT: Final[dict[str, Defect]] = {
    # streams
    "second frame of another size": _one(
        _second(lambda _: _stream(56, 72)), STREAM, object=2, pictures=BASELINE
    ),
    "second frame of one component": _one(
        _second(lambda _: _stream(components=1)), STREAM, object=2, pictures=BASELINE
    ),
    "second frame lossless": _one(
        _second(lambda _: _stream(kind=jpeg.lossless)), STREAM, "STD-IOD-020", object=2, pictures=BASELINE
    ),
    "second frame without SOI": _one(_second(lambda data: data[2:]), STREAM, object=2, pictures=BASELINE),
    "an empty fragment": _one(fragments(lambda f: Fragments((b"",))), STREAM, pictures=BASELINE),
    "no Huffman table": _one(_each(_no_huffman), STREAM, pictures=BASELINE),
    "no quantization table": _one(_each(lambda data: data[:2] + data[2 + 69 :]), STREAM, pictures=BASELINE),
    "coded data cut, EOI kept": _one(
        _each(lambda data: data[: data.index(b"\xff\xda") + 30] + b"\xff\xd9"),
        STREAM,
        pictures=BASELINE,
    ),
    "lossless data cut, EOI kept": _one(
        _each(lambda data: data[: len(data) // 2] + b"\xff\xd9"), STREAM, pictures=LOSSLESS
    ),
    "offset table that stands still": _one(
        fragments(lambda f: Fragments(f.fragments, (0, _places(f)[2], _places(f)[2]))),
        "STD-DS-042",
        object=2,
        pictures=BASELINE,
    ),
    "offset table that goes back": _one(
        fragments(lambda f: Fragments(f.fragments, (0, _places(f)[2], _places(f)[1]))),
        "STD-DS-042",
        object=2,
        pictures=BASELINE,
    ),
    "YBR_FULL with halved colour": _one(
        _put(PhotometricInterpretation="YBR_FULL"), "STD-IOD-015", pictures=BASELINE
    ),
    # pixels and what stands beside them
    "HSV": _one(_put(PhotometricInterpretation="HSV"), "STD-IOD-026"),
    "pixels of two kinds": _one(
        lambda ds: ds.put("FloatPixelData", bytes(48 * 64 * 4), vr="OF"), "STD-IOD-027"
    ),
    "clip in a class of single frames": _one(lambda ds: ds.put("SOPClassUID", US), "STD-IOD-017", object=2),
    "palette of too few entries": _one(palette(200), "STD-IOD-057", pictures=GRAY),
    "palette of 12 bits": _one(palette(256, 12), "STD-IOD-057", pictures=GRAY),
    "icon too short": _one(lambda ds: ds.put("IconImageSequence", [icon(size=100)]), "STD-IOD-058"),
    "overlay too short": _one(overlay(100), "STD-IOD-059"),
    "colour in a monochrome image": _one(_put(UltrasoundColorDataPresent=1), "STD-IOD-061", pictures=GRAY),
    # frames in time
    "pointer to what tells no frames": _one(_put(FrameIncrementPointer="PatientID"), "STD-IOD-050", object=2),
    "vector that goes back": _one(_vector("0", "33", "-33"), "STD-IOD-051", object=2),
    "vector that does not begin with 0": _one(_vector("33", "33", "33"), "STD-IOD-051", object=2),
    "frames faster than any device": _one(_slow("0.0001"), "STD-IOD-051", object=2),
    "frames hours apart": _one(_slow("10800000"), "STD-IOD-051", object=2),
    "display rate 0": _one(_put(RecommendedDisplayFrameRate=0), "STD-IOD-052", object=2),
    "frame duration below 0": _one(_put(ActualFrameDuration="-1"), "STD-IOD-052", object=2),
    # regions
    "delta that is no number": _one(_region(PhysicalDeltaX=float("nan")), REGION),
    "region of less than a pixel's size": _one(_region(PhysicalDeltaX=1e-9, PhysicalDeltaY=1e-9), REGION),
    "region of metres": _one(_region(PhysicalDeltaX=2.0, PhysicalDeltaY=2.0), REGION),
    "reserved flags": _one(_region(RegionFlags=0xFF000000), REGION),
    "spectral trace without time": _one(_region(RegionSpatialFormat=3, RegionDataType=3), REGION),
    "M-mode without time": _one(_region(RegionSpatialFormat=2), REGION),
    # quantities
    "weight below 0": _one(_put(PatientWeight="-5"), "STD-IOD-060"),
    "size in centimetres": _one(_put(PatientSize="170"), "STD-IOD-060"),
    "index below 0": _one(_put(MechanicalIndex="-1"), "STD-IOD-060"),
    "depth below 0": _one(_put(DepthOfScanField="-10"), "STD-IOD-060"),
    "table of interest too short": _one(
        lambda ds: ds.put(
            "VOILUTSequence",
            [
                DataSet()
                .put("LUTDescriptor", struct.pack("<3H", 256, 0, 8), vr="US")
                .put("LUTData", bytes(100), vr="OW")
            ],
        ),
        "STD-IOD-057",
        pictures=GRAY,
    ),
    "frame time in seconds": _one(_slow("0.0333"), "STD-IOD-051", object=2),
    "heart rate below 0": _one(_put(HeartRate="-3"), "STD-IOD-060"),
    "time zone that is none": _one(_put(TimezoneOffsetFromUTC="+9999"), "STD-IOD-060"),
    "stage behind the last": _one(_put(StageNumber=5, NumberOfStages=2), "STD-IOD-061"),
    "another moment of acquisition": _one(_put(AcquisitionDateTime="19990101000000"), "STD-IOD-030"),
    # identity
    "series as an instance": _one(
        lambda ds: ds.put("SOPInstanceUID", ds.get("SeriesInstanceUID")), "STD-X-073"
    ),
    "instance below the standard's root": _one(
        _put(SOPInstanceUID="1.2.840.10008.5.1.4.1.1.6.1.77"), "STD-X-073"
    ),
    "referring physician of one object": _one(_put(ReferringPhysicianName="X^Y"), "STD-X-094"),
    "manufacturer of one object": _one(_put(Manufacturer="ACME"), "STD-X-094"),
    "begin of the series in one object": _one(_put(SeriesDate="20250101"), "STD-X-094"),
    "UID of another root": _one(_put(SOPInstanceUID="3.1.2"), *UIDS),
    "no UUID behind 2.25": _one(_put(SOPInstanceUID="2.25." + "9" * 50), *UIDS),
}


def _icons(*items: DataSet) -> Callable[[FileSet], object]:
    return lambda made: made.record("IMAGE").put("IconImageSequence", list(items))


def _empty(kind: str, key: str) -> Callable[[FileSet], object]:
    return lambda made: made.record(kind).put(key, None)


def _nameless(made: FileSet) -> None:
    ds = made.objects[0].put("PatientName", None)
    made.files[made.paths[0]] = object_file(ds)


ICON: Final = frozenset({"STD-IOD-058"})
RECORDS: Final[dict[str, tuple[Callable[[FileSet], object], frozenset[str]]]] = {
    "icon too short": (_icons(icon(size=4000)), ICON),
    "icon too long": (_icons(icon(size=4100)), ICON),
    **{
        f"icon without {keyword}": (_icons(icon().drop(keyword)), ICON)
        for keyword in (
            "SamplesPerPixel",
            "PhotometricInterpretation",
            "Rows",
            "Columns",
            "BitsAllocated",
            "BitsStored",
            "HighBit",
            "PixelRepresentation",
            "PixelData",
        )
    },
    "icon in colour": (
        _icons(icon(8, 8, 192, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)),
        ICON,
    ),
    "icon of a palette without tables": (_icons(icon(PhotometricInterpretation="PALETTE COLOR")), ICON),
    "icon of high bit 8": (_icons(icon(HighBit=8)), ICON),
    "two icons": (_icons(icon(), icon()), ICON),
    "record without the name": (_empty("PATIENT", "PatientName"), frozenset({"STD-X-090"})),
    "record without the accession": (_empty("STUDY", "AccessionNumber"), frozenset({"STD-X-091"})),
    "length of group 0004 in a record": (
        lambda made: made.record("IMAGE").put((4, 0), struct.pack("<I", 1), vr="UL"),
        frozenset({"STD-MED-041"}),
    ),
    "DICOMDIR with a UID of the standard": (
        lambda made: made.head.put("MediaStorageSOPInstanceUID", "1.2.840.10008.1.3.10"),
        frozenset({"STD-X-073"}),
    ),
    "object without the name": (_nameless, frozenset({"STD-X-090", "STD-X-094"})),
}


def other_patients_order(made: FileSet) -> None:
    """A second patient under the order of the first."""
    pictures = (Picture("us", number=1),)
    made.add(Scan(PERSONS["default"], number=2, start=START), pictures)
    made.objects[-1].put("AccessionNumber", made.objects[0].get("AccessionNumber"))
    written(made, (*NATIVE, *pictures))
