"""The strict data-set codec, against pydicom where pydicom is right."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from simulators.dicom import charset
from simulators.dicom.cutter import BIG, Cutter
from simulators.dicom.elements import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    MAX_DEPTH,
    Bulk,
    MalformedDataset,
    decode,
    encode,
    to_json,
)

SYNTAXES = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)


def _pydicom_bytes(dataset: Dataset, syntax: str) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian = syntax != EXPLICIT_BE
    file.is_implicit_VR = syntax == IMPLICIT_LE
    write_dataset(file, dataset)
    return file.getvalue()


def _sample() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    dataset.OtherPatientNames = ["A^B", "C^D"]
    dataset.PatientComments = "line one\r\nline \\ two"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PatientWeight = "70.5"
    dataset.InstanceNumber = "3"
    dataset.Rows = 512
    dataset.PixelRepresentation = 1
    dataset.SmallestImagePixelValue = -5
    dataset.FrameIncrementPointer = [0x00181063, 0x00181065]
    dataset.RecommendedDisplayFrameRateInFloat = 2.5
    dataset.StudyDate = ""
    dataset["SmallestImagePixelValue"].VR = "SS"
    inner = Dataset()
    inner.CodeValue = "X"
    inner.CodeMeaning = "胸部"
    deeper = Dataset()
    deeper.ReferencedSOPInstanceUID = "1.2.3"
    inner.ReferencedImageSequence = Sequence([deeper, Dataset()])
    dataset.ProcedureCodeSequence = Sequence([inner])
    dataset.RequestAttributesSequence = Sequence([])
    dataset.add_new(0x00091001, "UN", b"\1\2\3\4")
    return dataset


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_reading_agrees_with_pydicom(syntax: str, undefined: bool) -> None:
    dataset = _sample()
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
    assert to_json(decode(_pydicom_bytes(dataset, syntax), syntax)) == dataset.to_json_dict()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_writing_agrees_with_pydicom(syntax: str) -> None:
    theirs = _pydicom_bytes(_sample(), syntax)
    assert encode(decode(theirs, syntax), syntax) == theirs


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_truncation_is_noticed(syntax: str) -> None:
    # pydicom reads most of these without a word.
    whole = _pydicom_bytes(_sample(), syntax)
    complete = set()
    at = 0
    while at < len(whole):  # ends of top-level elements are legal ends
        complete.add(at)
        at = _next_element(whole, at, syntax)
    for length in range(len(whole)):
        if length in complete:
            decode(whole[:length], syntax)
            continue
        with pytest.raises(MalformedDataset):
            decode(whole[:length], syntax)


def _next_element(data: bytes, at: int, syntax: str) -> int:
    order = ">" if syntax == EXPLICIT_BE else "<"
    if syntax == IMPLICIT_LE:
        return at + 8 + int(struct.unpack_from("<I", data, at + 4)[0])
    if data[at + 4 : at + 6] in (b"SQ", b"UN", b"OB", b"OW", b"UT"):
        return at + 12 + int(struct.unpack_from(order + "I", data, at + 8)[0])
    return at + 8 + int(struct.unpack_from(order + "H", data, at + 6)[0])


def _nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data
        data = struct.pack("<HHI", 0x0008, 0x1140, len(item)) + item
    return data


def test_nesting_is_limited_at_its_limit() -> None:
    decode(_nested(MAX_DEPTH), IMPLICIT_LE)
    with pytest.raises(MalformedDataset, match="deeper"):
        decode(_nested(MAX_DEPTH + 1), IMPLICIT_LE)
    with pytest.raises(MalformedDataset):
        decode(_nested(5000), IMPLICIT_LE)


def test_the_number_of_elements_is_limited() -> None:
    with pytest.raises(MalformedDataset, match="elements"):
        decode(
            struct.pack("<HHI", 0x0008, 0x1140, 8 * 60_000) + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 60_000,
            IMPLICIT_LE,
        )


def test_long_values_and_pixels_are_shown_by_their_hash() -> None:
    dataset = Dataset()
    dataset.PatientComments = "x" * 1026
    dataset.ImageComments = "y" * 1024
    dataset.BitsAllocated = 16
    dataset.PixelData = b"ab"
    shown = to_json(decode(_pydicom_bytes(dataset, IMPLICIT_LE), IMPLICIT_LE, bulk_over=1024))
    assert shown["00104000"] == {
        "vr": "LT",
        "sha256": hashlib.sha256(b"x" * 1026).hexdigest(),
        "length": 1026,
    }
    assert shown["00204000"]["Value"] == ["y" * 1024]
    assert shown["7FE00010"] == {"vr": "OW", "sha256": hashlib.sha256(b"ab").hexdigest(), "length": 2}


def test_numbers_that_are_none_stay_text() -> None:
    data = (
        struct.pack("<HHI", 0x0010, 0x1030, 8) + b"70kg\\1E3" + struct.pack("<HHI", 0x0020, 0x0013, 2) + b"x "
    )
    shown = to_json(decode(data, IMPLICIT_LE))
    assert shown["00101030"]["Value"] == ["70kg", 1000.0]
    assert shown["00200013"]["Value"] == ["x"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_any_bytes_are_a_data_set_or_malformed(data: bytes, syntax: str) -> None:
    try:
        shown = to_json(decode(data, syntax, bulk_over=64))
    except MalformedDataset:
        return
    assert isinstance(shown, dict)


# -- the cutter ------------------------------------------------------------------------------------------------


def _cut(data: bytes, syntax: str, sizes: list[int]) -> tuple[dict[str, Any], list[bytes]]:
    values: list[bytes] = []
    current = bytearray()

    def on_bulk(piece: memoryview | None) -> None:
        if piece is None:
            values.append(bytes(current))
            current.clear()
        else:
            current.extend(piece)

    cutter = Cutter(syntax, on_bulk)
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        cutter.feed(memoryview(data)[at : at + size])
        at, turn = at + size, turn + 1
    cutter.finish()
    bulk = {
        place: Bulk(hashlib.sha256(value).hexdigest(), length)
        for (place, (_, length)), value in zip(cutter.holes.items(), values, strict=True)
    }
    return to_json(decode(cutter.kept, syntax, bulk=bulk, bulk_over=1024)), values


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("sizes", [[1], [7, 1, 64], [16374], [1 << 20]])
def test_cut_or_not_the_events_say_the_same(syntax: str, sizes: list[int]) -> None:
    dataset = _sample()
    dataset.BitsAllocated = 16
    dataset.PixelData = bytes(range(256)) * 40
    dataset.add_new(0x00420011, "OB", b"p" * (BIG + 2))
    dataset.DigitalSignaturesSequence = Sequence([])
    data = _pydicom_bytes(dataset, syntax)
    shown, values = _cut(data, syntax, sizes)
    assert shown == to_json(decode(data, syntax, bulk_over=1024))
    assert values == [b"p" * (BIG + 2), bytes(range(256)) * 40]


@pytest.mark.parametrize("sizes", [[1], [13], [1 << 20]])
def test_encapsulated_pixels_are_their_fragments(sizes: list[int]) -> None:
    fragments = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 6) + b"abcdef"
    head = struct.pack("<HH2sH", 0x0028, 0x0010, b"US", 2) + b"\1\0"
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + fragments
    tail = (
        struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 2) + b"\0\0"
    )
    shown, values = _cut(head + pixels + tail, "1.2.840.10008.1.2.4.50", sizes)
    assert values == [fragments]
    assert shown["7FE00010"]["length"] == len(fragments)
    assert "FFFCFFFC" in shown
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta = b"\0" * 128 + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", 22) + b"1.2.840.10008.1.2.4.50"
        theirs = dcmread(io.BytesIO(meta + head + pixels + tail), force=True)
    assert theirs.PixelData == fragments


def test_an_object_that_ends_in_its_pixels_is_malformed() -> None:
    data = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 1000) + bytes(999)
    cutter = Cutter(EXPLICIT_LE)
    cutter.feed(memoryview(data))
    with pytest.raises(MalformedDataset, match="1 bytes before"):
        cutter.finish()


def test_many_tiny_fragments_cost_no_stack() -> None:
    data = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    data += (struct.pack("<HHI", 0xFFFE, 0xE000, 2) + b"xx") * 5000 + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    shown, _ = _cut(data, EXPLICIT_LE, [1 << 20])
    assert shown["7FE00010"]["length"] == 50_000


def test_small_elements_are_kept_up_to_a_limit() -> None:
    element = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 60_000) + bytes(60_000)
    cutter = Cutter(EXPLICIT_LE)
    with pytest.raises(MalformedDataset, match="small elements"):
        for _ in range(100):
            cutter.feed(memoryview(element))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(SYNTAXES), st.integers(1, 50))
def test_the_cutter_takes_any_bytes(data: bytes, syntax: str, size: int) -> None:
    try:
        _cut(data, syntax, [size])
    except MalformedDataset:
        pass


# -- character sets ------------------------------------------------------------------------------------------------


def test_examples_of_the_standard() -> None:
    # PS3.5 H.3.1, H.3.2 and I.2
    h31 = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    assert charset.decode(h31, ("", "ISO 2022 IR 87")) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert (
        charset.encode("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87"), person_name=True)
        == h31
    )
    korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    assert charset.decode(korean, ("", "ISO 2022 IR 149")) == "Hong^Gildong=洪^吉洞=홍^길동"
    assert charset.encode("Hong^Gildong=洪^吉洞=홍^길동", ("", "ISO 2022 IR 149"), person_name=True) == korean


def test_a_backslash_byte_in_a_kanji_is_no_delimiter() -> None:
    for terms, name in ((("GB18030",), "俓"), (("", "ISO 2022 IR 87"), "亀")):
        raw = charset.encode(f"{name}\\{name}", terms)
        assert charset.decode(raw, terms).split("\\") == [name, name]


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60), st.lists(st.sampled_from([*sorted(charset.DEFINED_TERMS), "", "x"]), max_size=3)
)
def test_decoding_never_fails(data: bytes, terms: list[str]) -> None:
    assert isinstance(charset.decode(data, charset.normalise(terms)), str)
