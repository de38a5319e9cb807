"""What is wrong on a medium after a cell is the failure of the product, not of the bench."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.journal import JournalWriter
from bench.judge.volumes import note_before
from bench.runner.cell import _read_back
from tests.lab.media import FileSet


def cell(folder: Path, made: FileSet, kind: str = "sut.ready", **data: Any) -> Any:
    """A cell's folder with a stick that was empty before, and what the runner knows of it."""
    (folder / "media").mkdir(parents=True)
    image = folder / "media" / "usb.img"
    FileSet(directory=False).write_image(image)
    note_before(image)
    made.write_image(image)
    with JournalWriter(folder / "journal.jsonl", {}) as journal:
        journal.append(src="x", n=1, t=1, kind=kind, data=data)
    return SimpleNamespace(plan=SimpleNamespace(volumes=("usb",)), failures=[], errors=[])


def test_what_nobody_reported_is_a_failure(tmp_path: Path) -> None:
    """A file-set on a stick, and no report of it."""
    live = cell(tmp_path / "a", FileSet.of_mx1())
    assert _read_back(live, tmp_path / "a") == []
    assert len(live.failures) == 4
    assert not live.errors


def test_what_an_interruption_left_is_a_remark(tmp_path: Path) -> None:
    """The same after the stick was pulled out."""
    live = cell(tmp_path / "a", FileSet.of_mx1(), "volume.removed", volume="usb", how="yanked")
    (remark,) = _read_back(live, tmp_path / "a")
    assert "pulled out" in remark
    assert not live.failures


def test_a_bench_that_cannot_read_is_at_fault(tmp_path: Path) -> None:
    """A journal that is not there: an error, never a failure of the product."""
    live = cell(tmp_path / "a", FileSet.of_mx1())
    (tmp_path / "a" / "journal.jsonl").unlink()
    assert _read_back(live, tmp_path / "a") == []
    assert "could not be read back" in live.errors[0]
    assert not live.failures
