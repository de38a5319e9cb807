"""Exams that are mixed up, and pictures that are not what they say: the defects that harm a patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulators.wire import ReleaseRequest
from simulators.wire.dimse import Command
from tests.lab import charsets
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, TEXT, DataSet, Fragments
from tests.lab.products import jpeg
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import MX1, PACS, RIS, VERIFICATION, Picture, Scan
from tests.lab.products.vxvue import VXvue
from tests.lab.products.vxvue_objects import DX, SR
from tests.lab.recipes import bad, good
from tests.lab.recipes.defects import OTHER, SMALL, content, dataset, exam, on, one_image, one_report

NATIVE = replace(PACS, accept={"prefer": [EXPLICIT_LE]})
STILL = Picture("us", EXPLICIT_LE, 1, 12, 16)
SECOND = replace(STILL, number=2)
LARGE = Picture("us", EXPLICIT_LE, 1, 48, 64)
JPEG = Picture("us", JPEG_BASELINE, 1, 16, 16)
Change = Callable[[DataSet], object]


def _two(language: str = "kanji", other: str = "gb18030") -> tuple[Scan, Scan]:
    return Scan(PERSONS[language], 1), Scan(PERSONS[other], 2)


def _day(
    lab: Lab,
    change: Change | None = None,
    *,
    nth: int | None = None,
    pictures: tuple[Picture, ...] = (STILL, SECOND),
) -> None:
    """A worklist of two patients, then both are examined."""
    if change is not None:
        dataset(lab, "C-STORE-RQ", change, nth=nth)
    mx, scans = MX1(lab), _two()
    mx.worklist(RIS, scans)
    for scan in scans:
        lab.wait(30)
        scan.start = lab.time
        lab.wait(100)
        mx.store(NATIVE, scan, pictures)


def _one(lab: Lab, picture: Picture, change: Change, peer: object = NATIVE) -> None:
    dataset(lab, "C-STORE-RQ", change)
    MX1(lab).store(peer, Scan(), [picture])  # type: ignore[arg-type]


def _of_first(change: Change) -> Change:
    """Only objects of the first patient."""
    return lambda ds: change(ds) if ds.get("PatientID") == "US00001" else None


def _grey(ds: DataSet, *, planes: bool = False, exchanged: bool = False, planar: int = 0) -> None:
    """Speckle in grey on black, its samples laid out in one way or another."""
    count, columns = ds.get("Rows") * ds.get("Columns"), ds.get("Columns")
    shades = bytes((37 * n * n + 11 * n) % 200 + 20 if n % columns > 5 else 0 for n in range(count))
    data = shades * 3 if planes else bytes(shade for shade in shades for _ in range(3))
    if exchanged:
        data = b"".join(data[n + 1 : n + 2] + data[n : n + 1] for n in range(0, len(data), 2))
    ds.change("PixelData", value=data).put("PlanarConfiguration", planar)


# -- two items of one worklist ------------------------------------------------------------------------------


@good("mx1", passes="STD-X-020 STD-X-021 STD-X-022 STD-X-023")
def mx_two_patients(lab: Lab) -> None:
    """Two patients of one worklist, in Japanese and Chinese; their images name the orders."""

    def request(ds: DataSet) -> None:
        number = str(ds.get("PatientID"))[-1]
        item = DataSet(
            AccessionNumber=f"ACU000{number}",
            StudyInstanceUID=ds.get("StudyInstanceUID"),
            RequestedProcedureID=f"RU000{number}",
            ScheduledProcedureStepID=f"SU000{number}",
        )
        ds.put("RequestAttributesSequence", [item])

    _day(lab, request, pictures=(STILL, SECOND, Picture("clip", EXPLICIT_LE, 1, 12, 16)))


@bad("mx1", "STD-X-020", may="STD-X-071")
def bad_mx_other_patient(lab: Lab) -> None:
    """The second image has the Patient ID of the other item of the worklist."""
    _day(lab, lambda ds: ds.put("PatientID", "US00002"), nth=2)


@bad(
    "mx1",
    "STD-X-020",
    may="STD-X-021 STD-X-022 STD-X-025 STD-X-026 STD-X-041 STD-X-071 STD-X-072 STD-X-023",
)
def bad_mx_other_study(lab: Lab) -> None:
    """An image of the first patient is stored under the study of the second."""
    _day(lab, lambda ds: ds.put("StudyInstanceUID", _two()[1].uid("study")), nth=1)


@bad("mx1", "STD-X-022", may="STD-X-041")
def bad_mx_other_accession(lab: Lab) -> None:
    """All images of the first patient have the Accession Number of the second."""
    _day(lab, _of_first(lambda ds: ds.put("AccessionNumber", "ACU0002")))


@bad("mx1", "STD-X-021")
def bad_mx_own_study(lab: Lab) -> None:
    """MX1 makes a Study Instance UID of its own although the worklist gave one."""
    _day(lab, _of_first(lambda ds: ds.put("StudyInstanceUID", "2.25.123456")))


@bad("mx1", "STD-X-023")
def bad_mx_order_of_request(lab: Lab) -> None:
    """Request Attributes Sequence names another Accession Number than the worklist."""

    def change(ds: DataSet) -> None:
        number = str(ds.get("PatientID"))[-1]
        item = DataSet(AccessionNumber="ACU0009", RequestedProcedureID=f"RU000{number}")
        ds.put("RequestAttributesSequence", [item.put("ScheduledProcedureStepID", f"SU000{number}")])

    _day(lab, change)


@bad("mx1", "STD-X-020", may="MX-CHR-005 STD-CS-004")
def bad_mx_utf8_as_latin(lab: Lab) -> None:
    """A name is written in UTF-8 and declared as Latin-1: it reads differently."""
    dataset(lab, "C-STORE-RQ", lambda ds: ds.put("PatientName", "Müller^Jürgen".encode() + b" "))
    mx, scan = MX1(lab), Scan(PERSONS["latin1"])
    mx.worklist(RIS, [scan])
    scan.start = lab.time
    lab.wait(100)
    mx.store(NATIVE, scan, [STILL])


@bad("mx1", "STD-X-020", may="STD-X-025 MX-CHR-001 STD-CS-004 MX-CHR-005 MX-CHR-007")
def bad_mx_chinese_as_latin(lab: Lab) -> None:
    """All texts are GB18030 and are declared as Latin-1."""

    def change(ds: DataSet) -> None:
        terms = ds.charset()
        for owner, element in list(ds.walk()):
            if element.vr in TEXT and isinstance(element.value, str):
                raw = charsets.encode(element.value, terms, person=element.vr == "PN")
                owner.change(element.tag, value=raw + b" " * (len(raw) % 2))
        ds.put("SpecificCharacterSet", "ISO_IR 100")

    dataset(lab, "C-STORE-RQ", change)
    mx, scan = MX1(lab), Scan(PERSONS["gb18030"])
    mx.worklist(RIS, [scan])
    scan.start = lab.time
    lab.wait(100)
    mx.store(NATIVE, scan, [STILL])


@bad("vxvue", "STD-X-023")
def bad_request_of_report(lab: Lab) -> None:
    """The dose report names the Accession Number of another order in Referenced Request Sequence."""
    dataset(
        lab,
        "C-STORE-RQ",
        lambda ds: ds.item("ReferencedRequestSequence").put("AccessionNumber", "ACC00002"),
        of=SR,
    )
    VXvue(lab).exam(exam(shots=(SMALL,)), commitment=None)


@bad("vxvue", "STD-X-023")
def bad_study_of_request(lab: Lab) -> None:
    """Request Attributes Sequence names the study of another order."""
    dataset(
        lab,
        "C-STORE-RQ",
        lambda ds: ds.item("RequestAttributesSequence").put("StudyInstanceUID", "2.25.7"),
        of=DX,
    )
    VXvue(lab).exam(exam(shots=(SMALL,)), dose=False, commitment=None)


# -- one identifier, two things -----------------------------------------------------------------------------


@bad("vxvue", "STD-X-072")
def bad_other_device(lab: Lab) -> None:
    """One image of a series has the serial number of another device."""
    dataset(lab, "C-STORE-RQ", lambda ds: ds.put("DeviceSerialNumber", "VX99999"), of=DX, nth=2)
    VXvue(lab).exam(exam(shots=(SMALL, OTHER)), dose=False, commitment=None)


@bad("mx1", "STD-SVC-010", "STD-X-070")
def bad_mx_other_pixels(lab: Lab) -> None:
    """An image is sent again with one other byte of its pixels, far behind the first block."""
    times = [0]

    def change(out: Outgoing) -> None:
        times[0] += 1
        assert isinstance(out.dataset, DataSet)
        data = bytearray(out.dataset.get("PixelData"))
        data[9000] ^= 1
        if times[0] == 2:
            out.dataset.change("PixelData", value=bytes(data))

    on(lab, "C-STORE-RQ", change)
    mx, scan = MX1(lab), Scan()
    mx.store(NATIVE, scan, [LARGE])
    lab.wait(60)
    mx.store(NATIVE, scan, [LARGE])


@bad("mx1", "STD-SVC-010", "STD-X-070", may="MX-STO-010")
def bad_mx_one_uid(lab: Lab) -> None:
    """Two images with different pixels have one SOP Instance UID."""
    first = Scan().image(STILL)

    def change(out: Outgoing) -> None:
        assert isinstance(out.dataset, DataSet)
        assert isinstance(out.command, Command)
        data = bytes(255 - value for value in out.dataset.get("PixelData"))
        out.dataset.put("SOPInstanceUID", first).change("PixelData", value=data)
        out.command = Command({**out.command.elements, 0x1000: first})

    on(lab, "C-STORE-RQ", change, nth=2)
    MX1(lab).store(NATIVE, Scan(), [STILL, SECOND])


# -- pixels that are not what they say ----------------------------------------------------------------------


@good("mx1", passes="STD-IOD-016 STD-IOD-028")
def mx_grey_in_colour(lab: Lab) -> None:
    """Grey pictures in colour: by pixel, by plane, and in words of Big Endian."""
    ways = [{}, {"planes": True, "planar": 1}, {"exchanged": True}]
    times = [0]

    def change(ds: DataSet) -> None:
        _grey(ds, **ways[times[0]])  # type: ignore[arg-type]
        times[0] += 1
        if times[0] == 3:
            ds.change("PixelData", vr="OW")

    dataset(lab, "C-STORE-RQ", change)
    mx = MX1(lab)
    mx.store(NATIVE, Scan(number=1), [LARGE, replace(LARGE, number=2)])
    lab.wait(60)
    big = replace(PACS, accept={"prefer": [EXPLICIT_BE]})
    mx.store(big, Scan(number=2), [replace(LARGE, syntax=EXPLICIT_BE)])


@bad("mx1", "STD-IOD-016", may="MX-STO-IMG-013")
def bad_mx_planes_as_pixels(lab: Lab) -> None:
    """Colour lies plane by plane, Planar Configuration says pixel by pixel."""
    _one(lab, LARGE, lambda ds: _grey(ds, planes=True))


@bad("mx1", "STD-IOD-016", may="MX-STO-IMG-013")
def bad_mx_pixels_as_planes(lab: Lab) -> None:
    """Colour lies pixel by pixel, Planar Configuration says plane by plane."""
    _one(lab, LARGE, lambda ds: _grey(ds, planar=1))


@bad("mx1", "STD-IOD-028")
def bad_mx_bytes_exchanged(lab: Lab) -> None:
    """The bytes of each word of a Little Endian picture are exchanged."""
    _one(lab, LARGE, lambda ds: _grey(ds, exchanged=True))


@bad("mx1", "STD-IOD-028")
def bad_mx_bytes_kept(lab: Lab) -> None:
    """Words of Big Endian hold the bytes of Little Endian."""

    def change(ds: DataSet) -> None:
        _grey(ds)
        ds.change("PixelData", vr="OW")

    _one(lab, replace(LARGE, syntax=EXPLICIT_BE), change, replace(PACS, accept={"prefer": [EXPLICIT_BE]}))


@bad("mx1", "STD-IOD-027")
def bad_mx_native_as_jpeg(lab: Lab) -> None:
    """JPEG is announced and native pixels are sent."""
    _one(lab, JPEG, lambda ds: ds.put("PixelData", bytes(16 * 16 * 3), vr="OW"), PACS)


@bad("mx1", "STD-IOD-015", may="STD-IOD-006")
def bad_mx_rgb_of_halved_stream(lab: Lab) -> None:
    """A JPEG stream with half of the chroma says that it is RGB."""
    _one(lab, JPEG, lambda ds: ds.put("PhotometricInterpretation", "RGB"), PACS)


@bad("mx1", "STD-IOD-018")
def bad_mx_cut_stream(lab: Lab) -> None:
    """A JPEG stream is cut off in its middle."""

    def change(ds: DataSet) -> None:
        stream = jpeg.baseline(16, 16, 3, JPEG.shade(0))
        ds.change("PixelData", value=Fragments((stream[: len(stream) // 4 * 2],)))

    _one(lab, JPEG, change, PACS)


@bad("mx1", "STD-IOD-020", may="MX-STO-IMG-010")
def bad_mx_ratio_of_nothing(lab: Lab) -> None:
    """The compression ratio is far from that of the pixels."""
    _one(lab, JPEG, lambda ds: ds.put("LossyImageCompressionRatio", "50"), PACS)


@bad("mx1", "STD-DS-016")
def bad_mx_padded_with_ones(lab: Lab) -> None:
    """An odd number of pixels is made even with FFH."""
    odd = Picture("sc", EXPLICIT_LE, 1, 13, 15, colour=False)
    _one(lab, odd, lambda ds: ds.change("PixelData", value=ds.get("PixelData")[:-1] + b"\xff"))


@bad("mx1", "STD-DS-040")
def bad_mx_unknown_pixels(lab: Lab) -> None:
    """Pixel Data has the value representation UN."""
    _one(lab, STILL, lambda ds: ds.change("PixelData", vr="UN"))


# -- measures -----------------------------------------------------------------------------------------------


@bad("mx1", "STD-IOD-055", may="STD-IOD-022")
def bad_mx_millimetres(lab: Lab) -> None:
    """The deltas of the region are millimetres, its unit says centimetres: the picture would be 158 cm deep."""

    def change(ds: DataSet) -> None:
        ds.item("SequenceOfUltrasoundRegions").put("PhysicalDeltaX", 0.33).put("PhysicalDeltaY", 0.33)

    _one(lab, Picture("us", JPEG_BASELINE, 1, 488, 16), change, PACS)


@bad("mx1", "STD-IOD-022")
def bad_mx_delta_of_one_axis(lab: Lab) -> None:
    """The delta in one direction is ten times that in the other, and no aspect ratio says so."""
    _one(lab, STILL, lambda ds: ds.item("SequenceOfUltrasoundRegions").put("PhysicalDeltaX", 0.2))


@bad("mx1", "STD-IOD-022")
def bad_mx_two_calibrations(lab: Lab) -> None:
    """Pixel Spacing contradicts the calibration of the region."""
    _one(lab, STILL, lambda ds: ds.put("PixelSpacing", ["0.5", "0.5"]))


@bad("vxvue", "STD-IOD-022")
def bad_spacings_exchanged(lab: Lab) -> None:
    """The two values of Pixel Spacing are exchanged against those of the detector."""
    one_image(
        lab,
        lambda ds: ds.put("ImagerPixelSpacing", ["0.139", "0.278"]).put("PixelSpacing", ["0.278", "0.139"]),
    )


@bad("vxvue", "STD-IOD-022")
def bad_detector_of_metres(lab: Lab) -> None:
    """By its spacing the detector is longer than two metres."""
    one_image(
        lab, lambda ds: ds.put("ImagerPixelSpacing", ["300", "300"]).put("PixelSpacing", ["300", "300"])
    )


@bad("vxvue", "STD-IOD-022")
def bad_spacing_in_centimetres(lab: Lab) -> None:
    """Pixel Spacing is in centimetres."""
    one_image(lab, lambda ds: ds.put("PixelSpacing", ["0.0139", "0.0139"]))


# -- smaller ones -------------------------------------------------------------------------------------------


@bad("mx1", "STD-IOD-026", may="STD-IOD-006 STD-IOD-009")
def bad_mx_no_interpretation(lab: Lab) -> None:
    """Photometric Interpretation is a word that nobody knows."""
    _one(lab, STILL, lambda ds: ds.put("PhotometricInterpretation", "RBG"))


@bad("mx1", "STD-UL-056")
def bad_mx_gone_after_release(lab: Lab) -> None:
    """MX1 asks for the release and closes the connection without waiting for the answer."""
    a = MX1(lab).associate(PACS, [(VERIFICATION, (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE))])
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("requestor", ReleaseRequest())
    a.close("requestor")


@bad("vxvue", "STD-X-045")
def bad_event_of_another_day(lab: Lab) -> None:
    """The dose report says of an exposure that it was on another day than its image."""
    one_report(lab, lambda ds: content(ds, "113706", "111526").put("DateTime", "20250601120000"))
