"""Conforming captures of an MX1: verification, worklist, images in every transfer syntax, both versions."""

from __future__ import annotations

from dataclasses import replace

from tests.lab.conversation import Lab
from tests.lab.elements import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    DataSet,
    Fragments,
)
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import MX1, PACS, PACS2, RIS, STORAGE, Picture, Scan
from tests.lab.products.vxvue import Peer
from tests.lab.recipes import good
from tests.lab.recipes.defects import dataset

KANJI = ("", "ISO 2022 IR 87")
BIG = Peer("PACS", "10.0.0.21", 104, {"max_length": 0})


@good(
    "mx1",
    passes="MX-VER-001 MX-VER-002 MX-VER-007 MX-VER-008 MX-VER-PC-001 MX-MWL-010 MX-MWL-PC-001 MX-MWL-MK-02",
)
def mx_worklist(lab: Lab) -> None:
    """Verification of two peers, then worklists: all of today, one patient by name, none."""
    mx = MX1(lab)
    mx.verify(PACS)
    mx.verify(RIS)
    lab.wait(1)
    mx.worklist(RIS, [Scan(PERSONS["kanji"], 1), Scan(PERSONS["default"], 2), Scan(PERSONS["latin1"], 3)])
    lab.wait(1)
    mx.worklist(RIS, [Scan(PERSONS["kanji"], 1)], charset=KANJI, PatientName="山田*")
    lab.wait(1)
    mx.worklist(RIS, PatientID="UNKNOWN")


@good(
    "mx1",
    passes="MX-STO-010 MX-STO-IMG-005 MX-STO-IMG-012 MX-STO-IMG-017 MX-STO-PC-001 MX-STO-PC-005 MX-STO-PC-011",
)
def mx_native_images(lab: Lab) -> None:
    """Images, clips and screen captures in the three native transfer syntaxes, in colour and grey."""
    mx = MX1(lab)
    for number, syntax in enumerate((IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)):
        choosy = replace(PACS, accept={"prefer": [syntax]})
        scan = Scan(PERSONS["default"], 10 + number)
        pictures = [
            Picture("us", syntax, 1, 12, 16),
            Picture("us", syntax, 2, 12, 16, colour=False),
            Picture("clip", syntax, 1, 12, 16),
            Picture("sc", syntax, 1, 13, 15, colour=False),
        ]
        mx.store(choosy, scan, pictures)
        lab.wait(5)


@good("mx1", passes="MX-STO-PC-004 MX-STO-PC-008 MX-STO-PC-009 MX-STO-IMG-009 MX-STO-IMG-010 MX-STO-IMG-011")
def mx_compressed_images(lab: Lab) -> None:
    """Images, clips and screen captures as JPEG, lossy and lossless, with and without offset tables."""
    pictures = [
        Picture("us", JPEG_BASELINE, 1),
        Picture("us", JPEG_LOSSLESS, 2),
        Picture("us", JPEG_BASELINE, 3, colour=False),
        Picture("clip", JPEG_BASELINE, 1, offsets=True),
        Picture("clip", JPEG_BASELINE, 2),
        Picture("sc", JPEG_BASELINE, 1),
        Picture("sc", JPEG_LOSSLESS, 2, offsets=True),
    ]
    MX1(lab).store(PACS, Scan(PERSONS["kanji"], 20), pictures)


@good("mx1", passes="MX-CHR-002 MX-CHR-003 MX-CHR-005 MX-CHR-006 MX-CHR-007")
def mx_languages(lab: Lab) -> None:
    """Images of patients in every character set of the statement."""
    mx = MX1(lab)
    for number, language in enumerate(("kanji", "kanjix", "latin1", "utf8", "gb18030")):
        scan = Scan(PERSONS[language], 30 + number)
        mx.worklist(RIS, [scan])
        scan.start = lab.time + 1
        lab.wait(60)
        mx.store(PACS, scan, [Picture("us", EXPLICIT_LE, 1, 12, 16)])


@good("mx1", passes="MX-STO-002 MX-STO-003", suffix=".pcapng.gz")
def mx_long_pdus(lab: Lab) -> None:
    """An archive without limit gets PDUs of 128 KB."""
    MX1(lab).store(BIG, Scan(number=40), [Picture("us", EXPLICIT_LE, 1, 240, 320)])


@good(
    "mx1",
    passes="MX-STO-002 MX-STO-004",
    suffix=".pcapng.gz",
    config={"software_version": "V1.10", "variants": ["V1.10"]},
)
def mx_version_110(lab: Lab) -> None:
    """The version V1.10 sends PDUs of 20 KB to an archive without limit."""
    MX1(lab, version="1.10").store(BIG, Scan(number=41), [Picture("us", EXPLICIT_LE, 1, 120, 160)])


@good("mx1", passes="MX-STO-005", write={"order": "shuffled"})
def mx_two_archives(lab: Lab) -> None:
    """Two archives at the same time, one association each; the packets were recorded out of order."""
    mx = MX1(lab)
    scan = Scan(PERSONS["latin1"], 50)
    start = lab.time
    scan.start = start - 60
    mx.store(PACS, scan, [Picture("us", EXPLICIT_LE), Picture("clip", JPEG_BASELINE)])
    ended, lab.time = lab.time, start + 0.0013
    mx.store(PACS2, scan, [Picture("us", EXPLICIT_LE), Picture("clip", JPEG_BASELINE)])
    lab.time = max(ended, lab.time) + 1
    mx.store(PACS, scan, [Picture("sc", EXPLICIT_LE, 1, 12, 16)])


@good("mx1")
def mx_refusals(lab: Lab) -> None:
    """Peers that reject, take no compressed images, refuse an image, abort, and are silent."""
    mx = MX1(lab)
    mx.propose(RIS, [("1.2.840.10008.5.1.4.31", (IMPLICIT_LE,))]).reject(1, 1, 7)
    lab.wait(1)
    plain = replace(PACS, accept={"refuse": {3: 4, 7: 4, 9: 4, 13: 4, 15: 4}, "prefer": [EXPLICIT_LE]})
    scan = Scan(number=60)
    mx.store(
        plain,
        scan,
        [Picture("us", EXPLICIT_LE, 1, 12, 16), Picture("us", EXPLICIT_LE, 2, 12, 16)],
        statuses=[0xA700],
    )
    lab.wait(1)
    a = mx.propose(PACS, STORAGE)
    a.accept(refuse=range(1, 17, 2))
    a.release()
    lab.wait(1)
    mx.associate(PACS, STORAGE).abort("acceptor", 2, 0)
    lab.wait(1)
    b = mx.associate(PACS, [("1.2.840.10008.1.1", (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE))])
    b.request("C-ECHO-RQ")
    lab.wait(30)
    b.abort("requestor")


@good("mx1", passes="STD-IOD-022 STD-IOD-055 STD-DS-016 STD-IOD-018 STD-IOD-020 STD-X-072")
def mx_odd_but_right(lab: Lab) -> None:
    """Rare and right: regions and aspects, padding in words of Big Endian, streams in pieces, two compressions."""
    odd = Picture("sc", EXPLICIT_BE, 9, 13, 15, colour=False)
    still, stream = Picture("us", EXPLICIT_LE, 1, 12, 16), Picture("us", JPEG_BASELINE, 1, 16, 16)

    def region(ds: DataSet, **values: object) -> DataSet:
        return ds.item("SequenceOfUltrasoundRegions").copy().update(**values)

    def doppler(ds: DataSet) -> None:
        more = {"PhysicalUnitsXDirection": 4, "PhysicalUnitsYDirection": 7, "PhysicalDeltaY": -1.5}
        spectrum = region(ds, RegionSpatialFormat=3, RegionDataType=3, PhysicalDeltaX=0.005, **more)
        ds.put("SequenceOfUltrasoundRegions", [region(ds), spectrum])

    def motion(ds: DataSet) -> None:
        moving = region(ds, RegionSpatialFormat=2, PhysicalUnitsXDirection=4, PhysicalDeltaX=0.01)
        ds.put("SequenceOfUltrasoundRegions", [moving])

    def unknown(ds: DataSet) -> None:
        none = {"PhysicalUnitsXDirection": 0, "PhysicalUnitsYDirection": 0}
        ds.put("SequenceOfUltrasoundRegions", [region(ds, PhysicalDeltaX=1.0, PhysicalDeltaY=9.0, **none)])

    def wide(ds: DataSet) -> None:
        ds.item("SequenceOfUltrasoundRegions").put("PhysicalDeltaX", 0.04)
        ds.put("PixelAspectRatio", ["1", "2"])

    def spaced(ds: DataSet) -> None:
        ds.item("SequenceOfUltrasoundRegions").put("PhysicalDeltaX", 0.04)
        ds.put("PixelSpacing", ["0.2", "0.4"])

    def words(ds: DataSet) -> None:
        data = ds.get("PixelData")
        data = b"".join(data[n + 1 : n + 2] + data[n : n + 1] for n in range(0, len(data), 2))
        ds.change("PixelData", value=data, vr="OW")

    def pieces(ds: DataSet) -> None:
        (whole,) = ds.get("PixelData").fragments
        ds.change("PixelData", value=Fragments((whole[:100], whole[100:] + b"\0\0"), (0,)))

    def again(ds: DataSet) -> None:
        ds.put("LossyImageCompressionRatio", ["10", ds.get("LossyImageCompressionRatio")])
        ds.put("LossyImageCompressionMethod", ["ISO_10918_1", "ISO_10918_1"])

    ways = [
        (still, unknown), (still, doppler),
        (still, motion), (still, wide), (still, spaced), (odd, words), (stream, pieces),
        (stream, again),
    ]  # fmt: skip
    mx, scan = MX1(lab), Scan(number=70)
    for number, (picture, change) in enumerate(ways, 1):
        dataset(lab, "C-STORE-RQ", change)
        archive = replace(PACS, accept={"prefer": [picture.syntax]})
        mx.store(archive, scan, [replace(picture, number=number)])
        lab.edits.clear()
        lab.wait(30)
