"""What a page shows of a cell: which stored objects are compared and drawn, and what its media hold in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.journal import Event
from bench.report.cellview import MediumLeft, _left
from bench.report.images import GRID, Picture
from bench.report.medium import MediumFile, MediumView
from bench.report.pictures import MAX_PICTURES, CellPictures
from bench.results import CellResult
from bench.verdict import Verdict

CELL = CellResult(id="c", scenario="c", file="c.yaml", line=1, verdict=Verdict.PASS, reason="", seconds=1.0)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Note which objects are drawn instead of drawing them."""
    found: list[Path] = []

    def draw(path: Path) -> Picture:
        found.append(path)
        return Picture("data:x", 1, 1, grid=np.arange(GRID * GRID, dtype=np.float64).reshape(GRID, GRID))

    monkeypatch.setattr("bench.report.pictures.dicom_picture", draw)
    monkeypatch.setattr(
        "bench.report.pictures.truth_picture", lambda files: draw(Path("truth")) if files else None
    )
    return found


def night(folder: Path, images: int, **frame: Any) -> CellPictures:
    """Return the pictures of a cell in which so many images were made and stored, one after the other."""
    (folder / "objects").mkdir()
    (folder / "truth").mkdir()
    events = []
    for number in range(images):
        (folder / "objects" / f"{number}.dcm").touch()
        (folder / "truth" / f"f{number}.npy").touch()
        kind = "ultrasound.frame" if not frame else "detector.frame"
        truth = {"truth": f"f{number}.npy"} if frame else {}
        for what, data in (
            (kind, {"sha256": f"raw{number}", "sequence": number, **truth}),
            ("modality.image", {"sop_instance": f"1.{number}", "raw_sha256": f"raw{number}"}),
            (
                "pacs.stored",
                {"sop_instance": f"1.{number}", "object": f"{number}.dcm", "sha256": f"s{number}"},
            ),
        ):
            events.append(Event(len(events) + 1, len(events), "x", 1, what, data))
    return CellPictures(folder, CELL, events)


def test_every_stored_image_is_compared_however_many_a_page_shows(tmp_path: Path, drawn: list[Path]) -> None:
    """The thirteenth image of a cell may be the mirrored one."""
    pictures = night(tmp_path, MAX_PICTURES + 8, kind="detector")
    judged, left = pictures.pairs()
    assert (len(judged), left) == (MAX_PICTURES + 8, 0)
    assert all(pair.agreement is not None for pair in judged)
    assert len({pair.frame_seq for pair in judged}) == MAX_PICTURES + 8
    shown, more = pictures.pairs(MAX_PICTURES)
    assert (len(shown), more) == (MAX_PICTURES, 8)


def test_what_nothing_is_compared_with_is_drawn_for_the_page_only(tmp_path: Path, drawn: list[Path]) -> None:
    """A probe tells its pictures by their hash; 200 stills are not drawn for a judge who looks at none."""
    pictures = night(tmp_path, 15)
    judged, _ = pictures.pairs()
    assert len(judged) == 15
    assert drawn == []
    assert all(pair.stored.note and pair.agreement is None for pair in judged)
    pictures.pairs(2)
    assert len(drawn) == 2


def test_a_medium_in_one_line_tells_what_is_wrong_first() -> None:
    def file(origin: str, good: bool = True, folder: bool = False) -> MediumFile:
        return MediumFile("x", 0, 1, "ab", origin, good, folder)

    files = (
        *(file("saved, as the product reported"),) * 3,
        file("", folder=True),
        file("lay there before, changed", good=False),
        file("lay there before"),
    )
    assert _left(MediumView("usb", "FAT16", "media/usb.img", files, more=7, note="n")) == MediumLeft(
        "usb",
        "FAT16",
        "n",
        (
            ("lay there before, changed", False, 1),
            ("lay there before", True, 1),
            ("saved, as the product reported", True, 3),
        ),
        7,
    )
