"""Laws of the walk: chunks do not matter, nothing makes it fail, pydicom reads the same."""

from __future__ import annotations

import io
import zlib
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.witness.charset import TERMS, decode, examine, examine_terms
from bench.witness.dataset import DataSet as Read
from bench.witness.dataset import Limits, Reader, read
from bench.witness.values import fault
from tests.lab.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, DataSet

DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
SYNTAXES = st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED, JPEG])

text = st.text("abcXYZ 0129^", max_size=12)
leaves = st.fixed_dictionaries(
    {},
    optional={
        "SpecificCharacterSet": st.just("ISO_IR 192"),
        "PatientName": st.text("aé王ß^", min_size=1, max_size=9),
        "StudyDate": st.dates().map(lambda d: d.strftime("%Y%m%d").rjust(8, "0")),
        "ImageType": st.lists(st.sampled_from(["A", "BC"]), min_size=1, max_size=4),
        "PatientComments": text,
        "Rows": st.integers(0, 65535),
        "WindowCenter": st.lists(st.integers(-999, 999), min_size=1, max_size=3),
        "ExposureTimeInms": st.floats(width=32, allow_nan=False),
        "FrameIncrementPointer": st.lists(
            st.sampled_from(["FrameTime", "FrameDelay"]), min_size=1, max_size=2
        ),
        "StudyInstanceUID": st.sampled_from(["1.2.3", "1.2.3.44", None]),
        "RedPaletteColorLookupTableData": st.binary(max_size=60).map(lambda b: b + b),
    },
).map(lambda values: DataSet(**values))
trees = st.recursive(
    leaves,
    lambda inner: st.tuples(leaves, st.lists(inner, max_size=3)).map(
        lambda pair: pair[0].copy().put("ReferencedSeriesSequence", pair[1])
    ),
    max_leaves=6,
).map(lambda tree: tree.copy().put("SpecificCharacterSet", "ISO_IR 192"))


def dump(data: Read) -> Any:
    """Everything in a data set, to compare."""
    rows = [
        (e.tag, e.vr, e.explicit, e.length, e.offset, e.value, e.fragments, e.truncated, e.charset,
         dump_items(e.items))
        for e in data.elements
    ]  # fmt: skip
    return rows, data.problems, data.charset, data.length, data.offset, data.pixels, data.read_as


def dump_items(items: tuple[Read, ...]) -> Any:
    return [dump(item) for item in items]


def chunked(data: bytes, syntax: str, cuts: list[int], limits: Limits) -> Read:
    reader = Reader(syntax, limits=limits)
    last = 0
    for cut in sorted({c % (len(data) + 1) for c in cuts}):
        reader.feed(memoryview(data)[last:cut])
        last = cut
    reader.feed(data[last:])
    return reader.finish()


def packed(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


cuts = st.lists(st.integers(0, 5000), max_size=12)
limits = st.sampled_from([Limits(), Limits(keep=8), Limits(depth=1), Limits(elements=5, problems=3)])


@given(trees, SYNTAXES, st.booleans(), cuts, limits)
@settings(max_examples=60, deadline=None)
def test_chunks_do_not_matter(
    tree: DataSet, syntax: str, undefined: bool, at: list[int], most: Limits
) -> None:
    data = tree.encode(syntax, undefined=undefined)
    if syntax == DEFLATED:
        data = packed(tree.encode(EXPLICIT_LE, undefined=undefined))
    whole = chunked(data, syntax, [], most)
    assert dump(chunked(data, syntax, at, most)) == dump(whole)
    assert dump(chunked(data, syntax, list(range(len(data))), most)) == dump(whole)
    if most == Limits():
        assert whole.problems == ()


@given(trees, SYNTAXES, st.data())
@settings(max_examples=80, deadline=None)
def test_damaged_bytes_never_make_it_fail(tree: DataSet, syntax: str, draw: st.DataObject) -> None:
    data = bytearray(tree.encode(draw.draw(st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]))))
    for _ in range(draw.draw(st.integers(1, 4))):
        if data:
            at = draw.draw(st.integers(0, len(data) - 1))
            data[at : at + draw.draw(st.integers(0, 3))] = draw.draw(st.binary(max_size=3))
    whole = chunked(bytes(data), syntax, [], Limits())
    assert dump(chunked(bytes(data), syntax, draw.draw(cuts), Limits())) == dump(whole)
    for _, owner, element in whole.walk():
        owner.text_of(element), owner.numbers_of(element), element.vm, repr(element)


@given(st.binary(max_size=300), SYNTAXES, cuts)
@settings(max_examples=80, deadline=None)
def test_any_bytes(data: bytes, syntax: str, at: list[int]) -> None:
    assert dump(chunked(data, syntax, at, Limits())) == dump(read(data, syntax))


@given(trees, st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_pydicom_reads_the_same(tree: DataSet, syntax: str, undefined: bool) -> None:
    data = tree.encode(syntax, undefined=undefined)
    theirs = pydicom.dcmread(io.BytesIO(_file(data, syntax)), force=True)
    _compare(read(data, syntax), theirs)


def _file(data: bytes, syntax: str) -> bytes:
    meta = DataSet(TransferSyntaxUID=syntax).encode()
    return b"\0" * 128 + b"DICM" + DataSet(FileMetaInformationGroupLength=len(meta)).encode() + meta + data


def _compare(mine: Read, theirs: pydicom.Dataset) -> None:
    assert [e.tag for e in mine.elements] == [int(e.tag) for e in theirs]
    for element, other in zip(mine.elements, theirs, strict=True):
        if other.VR == "SQ":
            assert len(element.items) == len(other.value)
            for item, their in zip(element.items, other.value, strict=True):
                _compare(item, their)
        elif other.VR in ("PN", "LO", "LT", "CS", "UI", "DA"):
            values = list(other.value) if other.VM > 1 else [other.value] if other.value else []
            assert [str(v).strip() for v in values if str(v).strip()] == [
                t.strip() for t in mine.texts_of(element) if t.strip()
            ]
        elif other.VR in ("US", "FD", "DS", "UL"):
            values = list(other.value) if other.VM > 1 else [other.value]
            assert [float(v) for v in values] == [float(n) for n in mine.numbers_of(element)]


@given(
    st.lists(st.sampled_from([*sorted(TERMS), "", "ISO_IR 6", "NONSENSE"]), max_size=3),
    st.binary(max_size=40),
)
@settings(max_examples=200, deadline=None)
def test_any_text_in_any_sets_can_be_read(terms: list[str], value: bytes) -> None:
    examine_terms(terms)
    examine(terms, value, "PN")
    assert isinstance(decode(terms, value, "ST"), str)


@given(
    st.sampled_from(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "ST", "TM", "UI", "UR"]),
    st.text(max_size=30),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_value_gets_an_answer(vr: str, value: str, query: bool) -> None:
    assert fault(vr, value, query=query) is None or value.strip(" \0")


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_every_cut_of_a_data_set_is_noticed_or_ends_behind_an_element(syntax: str) -> None:
    tree = DataSet(
        PatientName="A^B", ReferencedSeriesSequence=[DataSet(Rows=1), DataSet(Rows=2)], StudyID="1"
    )
    data = tree.encode(syntax)
    ends = {0} | {e.offset + e.header + e.length for e in read(data, syntax).elements}
    for cut in range(len(data)):
        assert bool(read(data[:cut], syntax).problems) is (cut not in ends)
