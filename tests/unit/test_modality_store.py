"""Store and exam workflow without a network."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from modality.acquisition import DetectorInfo, Shot
from modality.config import Peer
from modality.dicom.worklist import pack
from modality.exam import ExamError
from modality.products.vxvue.config import VxvueConfig as Config
from modality.products.vxvue.exam import VxvueExams as Exams
from modality.store import Store, StoreError

NOW = datetime(2026, 11, 21, 9, 30)
INFO = DetectorInfo("V", "VIVIX", "SN", None, 0.139, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path, tmp_path / "c", storage=(Peer("a", "A", "h"), Peer("b", "B", "h")))


def shot(value: int = 1) -> Shot:
    pixels = np.full((4, 4), value, np.uint16)
    return Shot(pixels, 14, 1.0, 2.0, "", None, None, None, None, None, None, None, None, NOW, INFO)


def expose(exams: Exams, config: Config, **view: str) -> dict[str, Any]:
    return exams.keep(config, exams.plan_view(config, view, None), shot(), mpps=True)


def started(store: Store) -> Exams:
    exams = Exams(store)
    exams.start("emergency", pack(Dataset()), "", mpps=True, now=NOW)
    return exams


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        store.put("a", "1")
        with store.transaction():
            store.put("b", "2")
        raise RuntimeError
    assert (store.get("a"), store.get("b")) == ("", "")


def test_one_console_per_folder(tmp_path: Path) -> None:
    first = Store(tmp_path)
    with pytest.raises(StoreError, match="another console"):
        Store(tmp_path)
    first.close()
    Store(tmp_path).close()


def test_numbers_never_come_twice_even_after_a_restart(tmp_path: Path) -> None:
    first = Store(tmp_path)
    numbers = [first.next_number("n"), first.next_number("n"), first.next_number("m")]
    first.close()
    second = Store(tmp_path)
    assert [*numbers, second.next_number("n")] == [1, 2, 1, 3]
    second.close()


def test_recovery_puts_jobs_back_and_removes_orphans(store: Store, config: Config) -> None:
    exams = started(store)
    kept = expose(exams, config)
    lost = expose(exams, config)
    exams.decide(kept["sop_instance"], "accepted")
    rejected = expose(exams, config)
    exams.decide(rejected["sop_instance"], "rejected", "moved")
    store.write_object("2.25.99", [b"orphan"])
    (store.images / "2.25.98.part").write_bytes(b"half")
    foreign = store.images / "note.txt"
    foreign.write_text("not ours")
    store.remove_object(lost["sop_instance"])
    job = store.insert("jobs", exam=1, destination="a", state="sending", attempts=1)
    waiting = store.insert("jobs", exam=1, destination="b", state="queued")
    store.update("steps", 1, create_state="sending")
    assert store.recover() == {"interrupted": 1, "orphans": 2, "missing": 1}
    assert {path.name for path in store.images.iterdir()} == {f"{kept['sop_instance']}.dcm", "note.txt"}
    rows = {row["id"]: row for row in store.rows("SELECT * FROM jobs")}
    assert (rows[job]["state"], rows[job]["hold"]) == ("queued", 1)
    assert (rows[waiting]["state"], rows[waiting]["hold"]) == ("queued", 0)
    assert exams.step(exams.open())["create_state"] == "failed"
    assert store.recover() == {"interrupted": 0, "orphans": 0, "missing": 0}


def test_warnings_are_kept_in_order_and_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modality.store._WARNINGS_KEPT", 3)
    for number in range(5):
        store.add_warning("t", {"text": str(number)})
    assert [warning["text"] for warning in store.warnings()] == ["2", "3", "4"]


def test_identifiers_of_an_exam(store: Store, config: Config) -> None:
    exams = started(store)
    images = [expose(exams, config, view=view) for view in ("PA", "PA", "LL")]
    rows = exams.images(exams.open())
    assert [row["number"] for row in rows] == [1, 2, 1]
    assert rows[0]["series_uid"] == rows[1]["series_uid"] != rows[2]["series_uid"]
    assert len({row["sop_instance"] for row in images}) == 3
    for row in images:
        assert row["sop_instance"].startswith("2.25.")
        assert len(row["sop_instance"]) <= 64
        assert store.object_path(row["sop_instance"]).exists()
        exams.decide(row["sop_instance"], "accepted")
    exam, step = exams.close("COMPLETED", "", NOW)
    again = exams.append(mpps=True, now=NOW)
    new = exams.step(again)
    assert again["study_uid"] == exam["study_uid"]
    assert new["sop_instance"] != step["sop_instance"]
    for identifier in (exam["study_id"], step["pps_id"], new["pps_id"]):
        assert 1 <= len(identifier) <= 16
    assert new["pps_id"] != step["pps_id"]
    assert expose(exams, config)["number"] == 1  # a new step has series of its own
    assert exams.series(new) == []
    assert [len(series.instances) for series in exams.series(step)] == [2, 1]


def test_what_cannot_be_done_now_is_refused(store: Store, config: Config) -> None:
    exams = Exams(store)
    for action in (
        exams.open,
        lambda: exams.append(mpps=False, now=NOW),
        lambda: exams.decide(None, "accepted"),
    ):
        with pytest.raises(ExamError):
            action()
    exams = started(store)
    image = expose(exams, config)
    with pytest.raises(ExamError, match="waits for acceptance"):
        exams.close("COMPLETED", "", NOW)
    exams.decide(None, "rejected")
    assert not store.object_path(image["sop_instance"]).exists()
    with pytest.raises(ExamError, match="does not wait"):
        exams.decide(image["sop_instance"], "accepted")
    with pytest.raises(ExamError, match="no image"):
        exams.close("COMPLETED", "", NOW)
    exams.close("DISCONTINUED", "", NOW)
    with pytest.raises(ExamError):
        exams.close("COMPLETED", "", NOW)


def test_a_disk_that_was_not_there_for_once_costs_no_image(store: Store, config: Config) -> None:
    exams = started(store)
    kept, waiting = expose(exams, config), expose(exams, config)
    exams.decide(kept["sop_instance"], "accepted")
    away = store.folder / "away"
    store.images.rename(away)
    store.images.mkdir()
    assert store.recover() == {"interrupted": 0, "orphans": 0, "missing": 2}
    assert [row["state"] for row in exams.images(exams.open())] == ["missing", "missing"]
    store.images.rmdir()
    away.rename(store.images)
    (store.object_path(waiting["sop_instance"])).unlink()
    assert store.recover() == {"interrupted": 0, "orphans": 0, "missing": 0}  # told once
    assert [row["state"] for row in exams.images(exams.open())] == ["accepted", "missing"]
    assert store.object_path(kept["sop_instance"]).exists()


def test_a_transaction_that_cannot_be_ended_is_no_end_of_the_store(store: Store) -> None:
    with (
        pytest.raises(sqlite3.IntegrityError),
        store.transaction(),
    ):  # refused by the COMMIT, which leaves it open
        store.execute("PRAGMA defer_foreign_keys=ON")
        store.put("a", "1")
        store.insert("job_images", job=99, image=99)
    store.put("b", "2")
    with store.transaction():
        store.put("c", "3")
    assert [store.get(key) for key in "abc"] == ["", "2", "3"]


def test_a_full_disk_is_told_and_nothing_else_breaks(store: Store) -> None:
    pages = next(iter(store.row("PRAGMA page_count").values()))  # type: ignore[union-attr]
    store.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(sqlite3.OperationalError, match="full"), store.transaction():
        store.put("a", "x" * 100_000)  # ended by SQLite itself
    store.execute("PRAGMA max_page_count=1000000")
    with store.transaction():
        store.put("b", "2")
    assert [store.get(key) for key in "ab"] == ["", "2"]


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_an_image_that_cannot_be_written_takes_no_space(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "no space left")

    with monkeypatch.context() as broken:
        broken.setattr(Path if step == "rename" else os, step, full)
        with pytest.raises(OSError, match="no space"):
            store.write_object("2.25.5", [b"x" * 10])
    assert list(store.images.iterdir()) == []
    store.write_object("2.25.5", [b"x" * 10])
    assert store.object_path("2.25.5").read_bytes() == b"x" * 10
