"""Defects inside the objects of a medium: found under the right rule; and right things that look like them: not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.witness.medium import looks_like_medium
from bench.witness.pixels import jpeg as header
from tests.lab.elements import JPEG_BASELINE, DataSet, Fragments
from tests.lab.media import FileSet
from tests.lab.products import jpeg
from tests.lab.products.mx1 import Picture
from tests.unit.judged_media import explained, fails, judge, judge_set
from tests.unit.media_defects_content import (
    BASELINE,
    CONTENT,
    GRAY,
    NATIVE,
    RECORDS,
    fragments,
    icon,
    made_of,
    other_patients_order,
    overlay,
    palette,
    written,
)


@pytest.mark.parametrize("name", CONTENT)
def test_defect_of_an_object(name: str, tmp_path: Path) -> None:
    """Exactly the declared rules fail, and the evidence names the object."""
    defect = CONTENT[name]
    rows = judge_set(made_of(defect), tmp_path)
    assert fails(rows) == defect.wanted, explained(rows)
    for id in defect.wanted:
        assert any(one.what for one in rows[id].evidence), id


@pytest.mark.parametrize("name", RECORDS)
def test_defect_of_a_record(name: str, tmp_path: Path) -> None:
    """What is inside a record, or missing there, falls under its rule."""
    change, wanted = RECORDS[name]
    made = FileSet.of_mx1()
    change(made)
    rows = judge_set(made, tmp_path)
    assert fails(rows) == wanted, explained(rows)


def _item(ds: DataSet) -> DataSet:
    return ds.item("SequenceOfUltrasoundRegions")


def _trace(ds: DataSet) -> None:
    """A picture above a spectral trace, whose velocity grows upwards."""
    picture = _item(ds).copy().update(RegionLocationMaxY1=20)
    trace = _item(ds).copy()
    trace.update(RegionSpatialFormat=3, RegionDataType=3, RegionLocationMinY0=22, PhysicalUnitsXDirection=4)
    trace.update(PhysicalUnitsYDirection=7, PhysicalDeltaX=0.005, PhysicalDeltaY=-1.5)
    ds.put("SequenceOfUltrasoundRegions", [picture, trace])


def _vector(ds: DataSet) -> None:
    ds.drop("FrameTime").update(
        FrameIncrementPointer="FrameTimeVector", FrameTimeVector=["0", "33.3", "33.4"]
    )


def _labels(ds: DataSet) -> None:
    ds.drop("FrameTime", "CineRate")
    ds.update(FrameIncrementPointer="FrameLabelVector", FrameLabelVector=["a", "b", "c"])


def _halved(f: Fragments) -> Fragments:
    """Every frame in two fragments, with a table."""
    parts, places = [], []
    for part in f.fragments:
        places.append(sum(len(one) + 8 for one in parts))
        parts += [part[:100], part[100:]]
    return Fragments(tuple(parts), tuple(places))


def _marked(f: Fragments) -> Fragments:
    """JFIF and a comment in front, fill bytes before EOI."""
    jfif = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xfe\0\6text"
    parts = []
    for part in f.fragments:
        body = part[: part.rindex(b"\xff\xd9")]
        data = body[:2] + jfif + body[2:]
        parts.append(data + b"\xff" * (2 - len(data) % 2) + b"\xff\xd9")
    return Fragments(tuple(part + bytes(len(part) % 2) for part in parts))


RIGHT: dict[str, tuple[Callable[[DataSet], object], int | None, tuple[Picture, ...]]] = {
    "palette": (palette(), 0, GRAY),
    "palette of 8 bits": (palette(256, 8), 0, GRAY),
    "icon": (lambda ds: ds.put("IconImageSequence", [icon()]), 0, NATIVE),
    "overlay": (overlay(48 * 64 // 8), 0, NATIVE),
    "spectral trace": (_trace, 0, NATIVE),
    "a heart 25 cm deep": (lambda ds: _item(ds).update(PhysicalDeltaX=0.6, PhysicalDeltaY=0.6), 0, NATIVE),
    "priority and protected scale": (lambda ds: _item(ds).update(RegionFlags=3), 0, NATIVE),
    "frame time vector": (_vector, 2, NATIVE),
    "frame labels": (_labels, 2, NATIVE),
    "size, weight, heart, zone, stage": (
        lambda ds: ds.update(
            PatientSize="1.72",
            PatientWeight="70",
            HeartRate="72",
            TimezoneOffsetFromUTC="+0930",
            StageNumber=1,
            NumberOfStages=2,
        ),
        0,
        NATIVE,
    ),
    "moment with its zone": (
        lambda ds: ds.put("AcquisitionDateTime", ds.get("AcquisitionDateTime") + ".000000+0900"),
        0,
        NATIVE,
    ),
    "nobody's name": (lambda ds: ds.put("PatientName", None), None, NATIVE),
    "nobody's order": (lambda ds: ds.put("AccessionNumber", None), None, NATIVE),
    "frames in two fragments each": (fragments(_halved), 2, BASELINE),
    "JFIF, comment, fill bytes": (fragments(_marked), None, BASELINE),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_content(name: str, tmp_path: Path) -> None:
    """What is legal stays right."""
    change, number, pictures = RIGHT[name]
    made = FileSet.of_mx1(pictures=pictures)
    for ds in made.objects if number is None else (made.objects[number],):
        change(ds)
    rows = judge_set(written(made, pictures), tmp_path)
    assert not fails(rows), explained(rows)


def test_one_order_of_two_patients_is_a_remark(tmp_path: Path) -> None:
    """Accession numbers are only unique within their issuer; two patients under one are told."""
    made = FileSet.of_mx1()
    other_patients_order(made)
    rows = judge_set(made, tmp_path)
    assert not fails(rows), explained(rows)
    assert any("two patients" in text for text in rows["STD-X-094"].remarks)


def test_one_number_twice_is_a_remark(tmp_path: Path) -> None:
    """Instance Number may repeat in a series, and seldom should."""
    made = FileSet.of_mx1()
    made.objects[1].put("InstanceNumber", 1)
    rows = judge_set(written(made, NATIVE), tmp_path)
    assert not fails(rows), explained(rows)
    assert any("same Instance Number 1" in text for text in rows["STD-X-093"].remarks)


def test_another_body_part_is_a_remark(tmp_path: Path) -> None:
    """Body Part Examined is of the series; many set it for each image."""
    made = FileSet.of_mx1()
    made.objects[1].put("BodyPartExamined", "HEAD")
    rows = judge_set(written(made, NATIVE), tmp_path)
    assert not fails(rows), explained(rows)
    assert any("BodyPartExamined" in text for text in rows["STD-X-094"].remarks)


def test_backward_scale_is_a_remark(tmp_path: Path) -> None:
    """A scale that runs from right to left is legal, and odd."""
    made = FileSet.of_mx1()
    _item(made.objects[0]).put("PhysicalDeltaX", -0.02)
    rows = judge_set(written(made, NATIVE), tmp_path)
    assert not fails(rows), explained(rows)
    assert any("backwards" in text for text in rows["STD-IOD-055"].remarks)


def _changed(tmp_path: Path, change: Callable[[bytearray], object]) -> Path:
    path = FileSet.of_mx1().write_image(tmp_path / "medium.img")
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def test_partition_table_without_its_signature(tmp_path: Path) -> None:
    """It is a medium all the same, and few systems would find anything on it."""
    path = _changed(tmp_path, lambda data: data.__setitem__(slice(510, 512), b"\0\0"))
    assert looks_like_medium(path)
    rows = judge(path)
    assert fails(rows) == {"STD-MED-002"}, explained(rows)


@pytest.mark.parametrize(
    ("rule", "words", "change"),
    [
        ("STD-MED-003", "neither active", lambda data: data.__setitem__(446, 0x55)),
        ("STD-MED-002", "not all of it", lambda data: data.__delitem__(slice(2048 * 512 + 400 * 512, None))),
        (
            "STD-MED-003",
            "a folder says 0",
            lambda data: struct.pack_into("<I", data, data.index(b"SE000001   \x10") + 28, 4096),
        ),
    ],
    ids=["boot flag", "image cut behind its files", "size of a folder"],
)
def test_unwise_volumes(rule: str, words: str, change: Callable[[bytearray], object], tmp_path: Path) -> None:
    """What hinders nobody is a remark."""
    path = _changed(tmp_path, change)
    assert looks_like_medium(path)
    rows = judge(path)
    assert not fails(rows), explained(rows)
    assert any(words in text for text in rows[rule].remarks), rows[rule].remarks


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (48, 64), (47, 63), (17, 1)])
@pytest.mark.parametrize("write", [jpeg.baseline, jpeg.lossless], ids=["baseline", "lossless"])
def test_a_whole_stream_has_what_it_needs(
    write: Callable[..., bytes], size: tuple[int, int], components: int
) -> None:
    """The least length of a stream is never above that of a whole one, of any size."""
    data = write(*size, components, lambda row, column, component: 128)
    found = header(data)
    assert found is not None
    assert not found.missing
    assert 0 < found.least <= len(data)


def test_streams_of_a_library_have_what_they_need() -> None:
    """Real tables have shorter codes than the laboratory's: flat pictures take next to nothing."""
    imagecodecs = pytest.importorskip("imagecodecs")
    numpy = pytest.importorskip("numpy")
    for shape in ((64, 64), (31, 57, 3), (480, 640, 3)):
        flat = numpy.full(shape, 128, dtype=numpy.uint8)
        for data in (
            imagecodecs.jpeg8_encode(flat, level=1),
            imagecodecs.ljpeg_encode(flat[..., 0] if flat.ndim > 2 else flat),
        ):
            found = header(bytes(data))
            assert found is not None
            assert not found.missing
            assert found.least <= len(data)


def test_clip_that_is_not_compressed_alike(tmp_path: Path) -> None:
    """Two sizes in one clip are told with the number of the fragment."""
    defect = CONTENT["second frame of another size"]
    assert defect.pictures[2].syntax == JPEG_BASELINE
    assert "fragment 2" in judge_set(made_of(defect), tmp_path)["STD-IOD-018"].reason
