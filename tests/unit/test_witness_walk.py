"""The walk of data sets: structure, lies, limits, and what is made of them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from bench.witness.dataset import DataSet as Read
from bench.witness.dataset import Limits, Reader, guess, read
from tests.lab.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, DataSet, Element, Fragments

DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)


def example() -> DataSet:
    code = DataSet(CodeValue="T-D3000", CodingSchemeDesignator="SRT", CodeMeaning="Chest")
    step = DataSet(Modality="DX", ScheduledProtocolCodeSequence=[code, code.copy()])
    return DataSet(
        SpecificCharacterSet="ISO_IR 100",
        StudyDate="20260102",
        PatientName="Müller^Jürgen",
        ScheduledProcedureStepSequence=[step, DataSet()],
        Rows=4,
        WindowCenter=["1.5", "2"],
    )


def codes(data: bytes, syntax: str = EXPLICIT_LE) -> list[str]:
    return [p.code for p in read(data, syntax).problems]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_a_right_data_set_has_no_problems_and_every_value(syntax: str, undefined: bool) -> None:
    found = read(example().encode(syntax, undefined=undefined), syntax)
    assert found.problems == ()
    assert found.broken_at is None
    assert found.text("PatientName") == "Müller^Jürgen"
    assert found.number("Rows") == 4
    assert found.numbers("WindowCenter") == (1.5, 2)
    items = found.items("ScheduledProcedureStepSequence")
    assert [len(item.elements) for item in items] == [2, 0]
    inner = items[0].items("ScheduledProtocolCodeSequence")
    assert [item.text("CodeMeaning") for item in inner] == ["Chest", "Chest"]
    assert inner[1].charset == ("ISO_IR 100",)
    paths = {path for path, _, e in found.walk() if e.keyword == "CodeMeaning"}
    assert ("ScheduledProcedureStepSequence", 1, "ScheduledProtocolCodeSequence", 2) in paths


def test_absent_empty_and_value_are_three_states() -> None:
    data = DataSet(PatientID=None, PatientName="A", StudyID="  ", ProcedureCodeSequence=[])
    found = read(data.encode())
    assert [found.state(k) for k in ("AccessionNumber", "PatientID", "PatientName", "StudyID")] == [
        "absent", "empty", "value", "empty",
    ]  # fmt: skip
    assert found.state("ProcedureCodeSequence") == "empty"
    assert (found.text("AccessionNumber"), found.text("PatientID")) == (None, "")


def test_a_long_text_with_backslash_is_one_value() -> None:
    found = read(DataSet(ConfigurationInformation="STANDARD\\1,1", ImageType=["A", "B"]).encode())
    assert found.texts("ConfigurationInformation") == ("STANDARD\\1,1",)
    assert found.texts("ImageType") == ("A", "B")
    assert found.get("ImageType").vm == 2  # type: ignore[union-attr]


def test_offsets_point_at_the_tag() -> None:
    data = example().encode()
    for _, _, element in read(data).walk():
        assert data[element.offset : element.offset + 4] == struct.pack(
            "<HH", element.tag >> 16, element.tag & 0xFFFF
        )


@pytest.mark.parametrize(
    ("sent", "negotiated"),
    [(a, b) for a in SYNTAXES for b in (*SYNTAXES, JPEG) if a != b and (a, b) != (EXPLICIT_LE, JPEG)],
)
def test_another_syntax_than_negotiated_is_one_problem_and_still_read(sent: str, negotiated: str) -> None:
    found = read(example().encode(sent), negotiated)
    assert [p.code for p in found.problems] == ["wrong-syntax"]
    assert found.read_as == sent
    assert found.text("PatientName") == "Müller^Jürgen"


def test_deflated_is_inflated_and_bounded() -> None:
    plain = example().encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(plain) + packer.flush()
    assert read(packed + b"\0", DEFLATED).text("PatientName") == "Müller^Jürgen"
    assert read(packed + b"\0", DEFLATED).problems == ()
    assert read(packed[:-4], DEFLATED).problems[0].code == "deflate"
    assert codes(plain, DEFLATED) == ["wrong-syntax"]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(DataSet(PixelData=b"\0" * 3_000_000).encode()) + packer.flush()
    reader = Reader(DEFLATED, limits=Limits(inflated=1 << 20))
    reader.feed(bomb)
    assert [p.code for p in reader.finish().problems] == ["deflate"]


def test_the_length_of_a_deflated_data_set_is_told_however_it_came_and_wherever_reading_ended() -> None:
    plain = example().encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(plain) + packer.flush()
    for step in (1, 9, len(packed)):
        reader = Reader(DEFLATED, limits=Limits(elements=2))
        for at in range(0, len(packed), step):
            reader.feed(packed[at : at + step])
        found = reader.finish()
        assert ([p.code for p in found.problems], found.length) == (["too-many"], len(plain))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: d.append(Element(0x00280010, "US", b"\1\0")), "duplicate"),
        (lambda d: d.append(Element(0x00080060, "CS", b"DX")), "order"),
        (lambda d: d.put("PatientID", b"odd"), "odd-length"),
        (lambda d: d.put("PatientID", b"ab", vr="ZZ"), "unknown-vr"),
        (lambda d: d.append(Element(0x7FE00010, "OW", b"ab", length=4)), "truncated"),
        (lambda d: d.append(Element(raw=b"\xe0\x7f\x10")), "leftover"),
        (lambda d: d.append(Element(raw=struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))), "stray-delimiter"),
        (lambda d: d.append(Element(raw=struct.pack("<HHI", 0xFFFE, 0xE000, 0))), "stray-delimiter"),
        (lambda d: d.append(Element(raw=b"\xe0\x7f\x10\0\0\0\0\0")), "implicit-in-explicit"),
        (lambda d: d.append(Element(raw=b"\xe0\x7f\x10\0OW\1\0\0\0\0\0")), "reserved"),
        (lambda d: d.append(Element(raw=b"\xe0\x7f\x10\0\1\2\3\4\5\6\7\x08")), "unreadable"),
        (lambda d: d.change("ScheduledProcedureStepSequence", length=100000), "truncated"),
    ],
)
def test_each_fault_is_named_once(change: object, code: str) -> None:
    data = example()
    change(data)  # type: ignore[operator]
    assert codes(data.encode()) == [code]


def test_an_explicit_element_in_implicit_is_named_and_read() -> None:
    data = (
        example().encode(IMPLICIT_LE) + DataSet(SoftwareVersions="1").encode()
    )  # behind: (0018,1020) is lower
    assert set(codes(data, IMPLICIT_LE)) == {"order", "explicit-in-implicit"}
    found = read(DataSet(Rows=1).encode(IMPLICIT_LE) + DataSet(Columns=7).encode(), IMPLICIT_LE)
    assert [p.code for p in found.problems] == ["explicit-in-implicit"]
    assert found.number("Columns") == 7


def test_lying_lengths_inside_a_sequence_do_not_spoil_what_follows() -> None:
    data = example()
    data.item("ScheduledProcedureStepSequence").change("Modality", length=60000)
    found = read(data.encode())
    assert [p.code for p in found.problems] == ["beyond"]
    assert found.number("Rows") == 4
    problem = found.problems[0]
    assert problem.path == ("ScheduledProcedureStepSequence", 1)
    assert problem.tag == 0x00080060
    assert found.broken_at == problem.offset


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_missing_delimiters(syntax: str) -> None:
    order = ">" if syntax == EXPLICIT_BE else "<"
    item_end = struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0)
    end = struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0)
    whole = DataSet(ProcedureCodeSequence=[DataSet(CodeValue="1"), DataSet(CodeValue="2")], Rows=1)
    data = whole.encode(syntax, undefined=True)
    assert read(data, syntax).problems == ()
    for cut in (data.replace(item_end, b"", 1), data.replace(item_end + end, end)):
        found = read(cut, syntax)
        assert [p.code for p in found.problems] == ["missing-delimiter"]
        assert found.number("Rows") == 1
        assert [i.text("CodeValue") for i in found.items("ProcedureCodeSequence")] == ["1", "2"]
    found = read(data.replace(end, b""), syntax)
    assert [p.code for p in found.problems] == ["missing-delimiter"]
    assert found.number("Rows") == 1


def test_un_of_undefined_length_is_implicit() -> None:
    inner = DataSet(CodeValue="1").encode(IMPLICIT_LE)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    raw = struct.pack("<HH2sHI", 0x0009, 0x1010, b"UN", 0, 0xFFFFFFFF) + item
    raw += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    found = read(raw + DataSet(Rows=1).encode())
    assert found.problems == ()
    assert found.items(0x00091010)[0].text("CodeValue") == "1"


@pytest.mark.parametrize("defined", [False, True])
def test_a_thousand_levels_are_skipped_without_recursion(defined: bool) -> None:
    data = DataSet(CodeValue="deep").encode()
    for _ in range(1000):
        length = len(data) if defined else 0xFFFFFFFF
        data = struct.pack("<HHI", 0xFFFE, 0xE000, length) + data
        if not defined:
            data += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        length = len(data) if defined else 0xFFFFFFFF
        data = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, length) + data
        if not defined:
            data += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    found = read(data + DataSet(PresentationLUTShape="IDENTITY").encode())
    assert [p.code for p in found.problems] == ["too-deep"]
    assert found.text("PresentationLUTShape") == "IDENTITY"
    assert sum(1 for _ in found.walk()) == 66


def test_memory_is_bounded_by_the_limits() -> None:
    many = DataSet(Rows=1).encode() * 500
    reader = Reader(EXPLICIT_LE, limits=Limits(elements=100, problems=10))
    reader.feed(many)
    found = reader.finish()
    assert len(found.elements) == 100
    assert [p.code for p in found.problems] == ["duplicate"] * 10 + ["too-many"]
    assert found.broken_at is not None
    big = DataSet(PatientComments=b"x" * 9000, Rows=2).encode()
    found = Reader(EXPLICIT_LE, limits=Limits(keep=100)).finish()
    reader = Reader(EXPLICIT_LE, limits=Limits(keep=100))
    reader.feed(big)
    found = reader.finish()
    assert found.get("PatientComments").value is None  # type: ignore[union-attr]
    assert (found.state("PatientComments"), found.number("Rows")) == ("value", 2)


def test_a_file_instead_of_a_data_set() -> None:
    from tests.lab.elements import part10

    found = read(part10(DataSet(SOPClassUID="1.2", SOPInstanceUID="1.3", Rows=5)))
    assert found.problems[0].code == "file-meta"
    assert found.number("Rows") == 5


def image(pixels: bytes, **more: object) -> Read:
    values: dict[str, object] = {
        "SamplesPerPixel": 1, "Rows": 2, "Columns": 3, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11,
        "PixelRepresentation": 0,
    }  # fmt: skip
    data = DataSet(**(values | more))
    data.put("PixelData", pixels, vr="OW")
    return read(data.encode())


def test_pixels_above_bits_stored_are_counted() -> None:
    found = image(np.array([5, 4095, 4096, 9, 60000, 7], "<u2").tobytes()).pixels
    assert found is not None
    assert (found.smallest, found.largest, found.above_bits_stored, found.first_above_offset) == (
        5,
        60000,
        2,
        4,
    )
    assert image(np.array([5, 4095, 1, 2, 3, 4], "<u2").tobytes()).pixels.above_bits_stored == 0  # type: ignore[union-attr]


def test_signed_pixels() -> None:
    values = np.array([-2048, 2047, 0, 1, -1, 2], "<i2")
    found = image(values.tobytes(), PixelRepresentation=1).pixels
    assert found is not None
    assert (found.smallest, found.largest, found.above_bits_stored) == (-2048, 2047, 0)
    found = image((values & 0x0FFF).astype("<u2").tobytes(), PixelRepresentation=1).pixels
    assert found is not None
    assert (found.smallest, found.largest, found.above_bits_stored) == (-2048, 2047, 0)
    found = image(np.array([-2049, 5000, 0, 1, -1, 2], "<i2").tobytes(), PixelRepresentation=1).pixels
    assert found is not None
    assert found.above_bits_stored == 2


def test_the_padding_byte_is_no_pixel() -> None:
    found = image(b"\5\6\7\0", Rows=1, BitsAllocated=8, BitsStored=8, HighBit=7).pixels
    assert found is not None
    assert (found.length, found.smallest, found.largest) == (4, 5, 7)


def test_big_endian_pixels() -> None:
    data = DataSet(Rows=1, Columns=2, BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0)
    data.put("PixelData", b"\0\1\1\0", vr="OW")
    found = read(data.encode(EXPLICIT_BE), EXPLICIT_BE).pixels
    assert found is not None
    assert (found.smallest, found.largest) == (1, 256)


def test_encapsulated_pixels() -> None:
    sof = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 480, 640, 1) + b"\1\x11\0"
    stream = b"\xff\xd8\xff\xe0\0\4ab" + sof + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + b"x\xff\xd9"
    data = DataSet(Rows=480)
    data.put("PixelData", Fragments((stream, b"\1\2\xff\xd9"), (0, 8 + len(stream))), vr="OB")
    found = read(data.encode(JPEG), JPEG)
    assert found.problems == ()
    pixels = found.pixels
    assert pixels is not None
    assert pixels.jpeg is not None
    assert pixels.encapsulated
    assert pixels.fragments == (len(stream), 4) == found.get("PixelData").fragments  # type: ignore[union-attr]
    assert pixels.offset_table == (0, 8 + len(stream))
    assert (pixels.jpeg.sof, pixels.jpeg.rows, pixels.jpeg.columns, pixels.jpeg.precision) == (
        0xC0,
        480,
        640,
        8,
    )
    assert pixels.eoi == 2
    assert pixels.head == stream


def test_a_late_character_set_still_counts() -> None:
    data = DataSet(ProcedureCodeSequence=[DataSet(CodeMeaning="Müller ".encode())])
    data.append(Element(0x00080005, "CS", b"ISO_IR 192"))
    found = read(data.encode())
    assert [p.code for p in found.problems] == ["order"]
    assert found.first("ProcedureCodeSequence").text("CodeMeaning") == "Müller"  # type: ignore[union-attr]


def test_pixels_of_an_item() -> None:
    inner = DataSet(Rows=1, Columns=2, BitsAllocated=16, BitsStored=12, HighBit=11, PixelRepresentation=0)
    inner.put("PixelData", b"\5\0\0\x20", vr="OW")
    found = read(DataSet(Rows=9, BasicGrayscaleImageSequence=[inner]).encode())
    assert found.pixels is None
    pixels = found.items("BasicGrayscaleImageSequence")[0].pixels
    assert pixels is not None
    assert (pixels.smallest, pixels.largest, pixels.above_bits_stored) == (5, 0x2000, 1)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "first", ["NumberOfCopies", "ImageDisplayFormat", "Modality", "PatientName", "PerformedSeriesSequence"]
)
def test_the_syntax_of_a_data_set_can_be_guessed(syntax: str, first: str) -> None:
    data = DataSet(**{first: [] if first.endswith("Sequence") else "1"}).encode(syntax)
    assert guess(data) == syntax
    for other in SYNTAXES:
        found = read(data, other)
        assert [p.code for p in found.problems] == ([] if other == syntax else ["wrong-syntax"])
        assert found.elements[0].keyword == first


def test_an_unknown_first_tag_is_guessed_by_the_vr_behind_it() -> None:
    assert guess(bytes.fromhex("0800ff00") + b"DA\x08\0") == EXPLICIT_LE
    assert guess(bytes.fromhex("0800ff00") + b"\x08\0\0\0") == IMPLICIT_LE
    assert guess(b"\x08\0") == IMPLICIT_LE
