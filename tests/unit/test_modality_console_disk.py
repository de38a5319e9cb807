"""A console whose own disk fails: the operator is told in one sentence, and nothing is half done."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modality.control import Refused
from modality.products.mx1 import config as mx1_config
from modality.products.mx1.console import Mx1Console


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "mx1.yaml"
    path.write_text(json.dumps({"data_dir": str(tmp_path / "data"), "control": str(tmp_path / "c")}))
    made = Mx1Console(path, mx1_config.load(path), lambda: None)
    made._load()
    yield made
    made.close()
    made.store.close()


def full(*_: Any, **__: Any) -> None:
    raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("log_too", [False, True])
def test_what_cannot_be_written_down_is_refused_and_told(
    console: Any, monkeypatch: pytest.MonkeyPatch, log_too: bool
) -> None:
    told: list[dict[str, Any]] = []
    console.notices.listen(lambda event: told.append(event) if event["event"] == "modality.warning" else None)
    with monkeypatch.context() as broken:
        broken.setattr(console.store, "insert", full)
        if log_too:
            broken.setattr(console.store, "add_warning", full)
        with pytest.raises(Refused, match="own disk: database or disk is full"):
            console.do("start_exam", {"patient": {"PatientID": "1"}})
    assert [(one["data"]["service"], one["data"]["peer"]) for one in told] == [("store", "disk")]
    assert console.exams.current() is None
    assert console.do("start_exam", {"patient": {"PatientID": "1"}})["study_id"].endswith("0001")


def test_settings_that_cannot_be_kept_do_not_count(console: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(console.store, "put", full)
        with pytest.raises(Refused, match="own disk"):
            console.do("configure", {"ae_title": "OTHER"})
    assert console.config.ae_title == "MX1"
    console.do("configure", {"ae_title": "OTHER"})
    assert console.config.ae_title == "OTHER"
