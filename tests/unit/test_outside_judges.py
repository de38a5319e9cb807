"""Outside judges and the comparison with what lay in the beam, on a synthetic cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from bench.checks import object_judge, outside
from bench.journal import Event
from bench.results import CellResult
from bench.verdict import Verdict

UID = "2.25.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def scene() -> np.ndarray[Any, Any]:
    """Kerma behind something without any symmetry, in µGy."""
    y, x = np.mgrid[0:256, 0:256] / 255.0
    picture: np.ndarray[Any, Any] = 5 + 50 * x + 20 * y * y + 30 * ((x - 0.3) ** 2 + (y - 0.2) ** 2 < 0.02)
    return picture


def stored(file: Path, pixels: np.ndarray[Any, Any]) -> None:
    """A stored image, bone bright: the more kerma, the darker."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = UID
    image = pydicom.Dataset()
    image.file_meta = meta
    image.SOPClassUID = meta.MediaStorageSOPClassUID
    image.SOPInstanceUID = UID
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 14, 13, 0
    image.PixelData = pixels.astype("<u2").tobytes()
    image.save_as(file, enforce_file_format=True)


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., CellResult]:
    """Judge a cell with one stored image and the truth of its frame."""

    def judge(
        pixels: np.ndarray[Any, Any],
        phantom: str = "chest",
        spoil: Callable[[Path, list[Event]], object] | None = None,
    ) -> CellResult:
        (tmp_path / "objects").mkdir()
        (tmp_path / "truth").mkdir()
        stored(tmp_path / "objects" / "one.dcm", pixels)
        np.save(tmp_path / "truth" / "t.npy", scene().astype(np.float32))
        frame = {"sha256": "ab", "truth": "t.png", "frame_kind": "Image", "phantom": phantom}
        events = [
            Event(seq=1, t=1, src="detector", n=1, kind="detector.frame", data=frame),
            Event(
                seq=2,
                t=2,
                src="pacs",
                n=1,
                kind="pacs.stored",
                data={"object": "objects/one.dcm", "sop_instance": UID, "sop_class": DX, "sha256": "cd"},
            ),
        ]
        if spoil is not None:
            spoil(tmp_path, events)
        result = CellResult(
            id="c", scenario="c", file="c.yaml", line=1, verdict=Verdict.PASS, reason="fine", seconds=1.0
        )
        return outside._pictures(result, tmp_path, events)

    return judge


def shown() -> np.ndarray[Any, Any]:
    """What a right console makes of the scene."""
    picture: np.ndarray[Any, Any] = (12000 - 2500 * np.log(scene())).clip(0, 16383)
    return picture


def test_the_right_picture_passes(judged: Callable[..., CellResult]) -> None:
    """And the report says that it was looked at."""
    result = judged(shown())
    assert result.verdict is Verdict.PASS
    assert "what lay in the beam" in result.remarks[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.fliplr, "mirrored"),
        (lambda a: np.rot90(a, 2), "turned"),
        (lambda a: 16383 - a, "does not show"),
        (lambda a: np.random.default_rng(1).permutation(a.ravel()).reshape(a.shape), "does not show"),
    ],
    ids=["mirrored", "upside-down", "negative", "another"],
)
def test_wrong_pictures_fail(judged: Callable[..., CellResult], wrong: Any, said: str) -> None:
    """Sent as shown is not enough: what is shown must be what lay in the beam."""
    result = judged(wrong(shown()))
    assert result.verdict is Verdict.FAIL
    assert said in result.reason


def test_a_flat_field_has_nothing_to_recognise(judged: Callable[..., CellResult]) -> None:
    """No judgement where there is nothing to judge."""
    result = judged(shown() * 0 + 5, "flat")
    assert result.verdict is Verdict.PASS
    assert result.remarks == ()


def compressed(folder: Path, _: list[Event]) -> None:
    """The stored object says a transfer syntax that nobody draws."""
    image = pydicom.dcmread(folder / "objects" / "one.dcm")
    image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"
    image.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    image["PixelData"].is_undefined_length = True
    image.save_as(folder / "objects" / "one.dcm", enforce_file_format=True)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder, _: (folder / "truth" / "t.npy").unlink(), "the truth of its frame is missing"),
        (
            lambda folder, _: (folder / "truth" / "t.npy").write_bytes(b"no array"),
            "the truth of its frame is missing",
        ),
        (lambda _, events: events.pop(0), "the detector tells of no frame"),
        (lambda folder, _: (folder / "objects" / "one.dcm").unlink(), "was not kept"),
        (compressed, "is not decoded here"),
    ],
    ids=["no truth", "a truth that cannot be read", "no frame", "no object", "compressed"],
)
def test_a_radiograph_that_nobody_compared_is_not_green(
    judged: Callable[..., CellResult], spoil: Any, said: str
) -> None:
    """The cell says which one, and why."""
    result = judged(shown(), spoil=spoil)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert said in result.reason
    assert UID in result.reason
    assert result.reason in result.remarks


def test_an_image_that_is_no_radiograph_has_no_truth(judged: Callable[..., CellResult]) -> None:
    """What the detector did not make is not compared with it."""

    def spoil(_: Path, events: list[Event]) -> None:
        del events[0]
        events[0] = replace(events[0], data={**events[0].data, "sop_class": "1.2.840.10008.5.1.4.1.1.6.1"})

    result = judged(shown(), spoil=spoil)
    assert (result.verdict, result.remarks) == (Verdict.PASS, ())


def test_deviations_of_dciodvfy_are_told_both_ways() -> None:
    """A line that nobody committed, and one that is no longer reported."""
    opinion = object_judge.Opinion("DX", ("Error - a", "Error - b"), ())
    found = object_judge.compare(opinion, {"DX": {"Error - b": "VX-E-01", "Error - c": "VX-E-02"}})
    assert (found.unexpected, found.missing) == (("Error - a",), ("Error - c",))
    assert "Error - c" in str(found)
    assert not object_judge.compare(opinion, {"DX": {"Error - a": "", "Error - b": ""}})


@pytest.mark.witness
def test_dciodvfy_finds_what_is_missing(tmp_path: Path) -> None:
    """An image of a few elements is no DX image, and the judge says so line by line."""
    if object_judge.program() is None:
        pytest.skip("dciodvfy is not installed")
    stored(tmp_path / "one.dcm", shown())
    opinion = object_judge.examine(tmp_path / "one.dcm")
    assert len(opinion.errors) > 10
    assert object_judge.compare(opinion, object_judge.expected("vxvue")).unexpected
