"""Whatever goes wrong while a medium is written, the operator gets one clear warning and the images stay."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modality import media
from modality.control import Refused
from modality.media import MediaError
from tests.unit.test_modality_console_identity import begin, console

__all__ = ["console"]


@pytest.fixture
def usb(console: Any, tmp_path: Path) -> Path:
    """A medium that is in, and an exam with an image."""
    path = tmp_path / "usb"
    path.mkdir()
    console.keeping._config = lambda: replace(console.config, media={"usb": path})
    begin(console, "A")
    console.do("capture_still", {})
    return path


def _warnings(console: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["text"]) for one in console.do("warnings", {})["warnings"] if "code" in one]


def _export_works(console: Any) -> None:
    assert len(console.do("export", {"medium": "usb"})["files"]) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (MediaError("full", "The medium is full."), "full"),
        (OSError(5, "Input/output error"), "io"),
        (RuntimeError("never thought of"), "internal"),
        (KeyError("neither"), "internal"),
        (MemoryError(), "internal"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_every_fault_is_a_warning(
    fault: Exception,
    code: str,
    console: Any,
    usb: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One of our own too, which leaves a traceback in the log."""

    def fails(*_: object) -> None:
        raise fault

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR), pytest.raises(Refused) as caught:
        patch.setattr(media, "export", fails)
        console.do("export", {"medium": "usb"})
    assert _warnings(console) == [(code, str(caught.value))]
    assert [record.exc_info is not None for record in caplog.records] == [True] * (code == "internal")
    if code == "internal":
        assert "still on the device" in str(caught.value)
    assert not list(usb.iterdir())
    _export_works(console)


def test_what_cannot_be_noted_is_told(
    console: Any, usb: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The files are on the medium: it is not said that they are not."""

    insert = console.store.insert

    def fails(table: str, **values: Any) -> Any:
        if table == "saved":
            raise sqlite3.OperationalError("disk I/O error")
        return insert(table, **values)

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR), pytest.raises(Refused) as caught:
        patch.setattr(console.store, "insert", fails)
        console.do("export", {"medium": "usb"})
    assert "is on the medium, but could not be noted" in str(caught.value)
    assert [code for code, _ in _warnings(console)] == ["internal"]
    assert (usb / "DICOMDIR").exists()
    assert len(console.do("add", {"medium": "usb"})["skipped"]) == 1


def test_a_refusal_is_no_warning(console: Any, usb: Path) -> None:
    """What the operator asked for cannot be: an answer, and the medium can be used at once."""
    with pytest.raises(Refused, match="syntax"):
        console.do("export", {"medium": "usb", "syntax": "no such"})
    assert _warnings(console) == []
    _export_works(console)
