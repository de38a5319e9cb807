"""Rendering: which files are made of a run folder, again and again, and what happens when it cannot be done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.report import render
from bench.report.__main__ import main
from bench.results import cell_folder, write_cell, write_run
from tests.unit.report_story import CELLS, exam, make_run, page, place, run_info, text_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"))
    render(folder)
    return folder


def test_rendering_again_gives_the_same_files(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("index.html", "junit.xml", "results.json", *map(place, CELLS))
    before = {name: (run / name).read_bytes() for name in names}
    for name in before:
        (run / name).unlink()
    assert main([str(run)]) == 0
    assert len(capsys.readouterr().out.split()) == 3
    assert {name: (run / name).read_bytes() for name in before} == before


def test_a_page_alone_has_all_pictures_and_no_links_to_files(run: Path, tmp_path: Path) -> None:
    assert main([str(run), "--alone", str(tmp_path / "index.html")]) == 0
    found = page(tmp_path)
    assert found.tags["img"] == sum(page(run, place(name)).tags.get("img", 0) for name in CELLS) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html"]
    assert found.links
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert "objects/1.dcm" in text_of(tmp_path)


def test_only_the_wanted_formats_are_written(tmp_path: Path) -> None:
    write_run(tmp_path, run_info())
    assert set(render(tmp_path, ["junit"])) == {"junit"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["junit.xml", "run.json"]
    with pytest.raises(ValueError, match="docx"):
        render(tmp_path, ["docx"])


def test_a_folder_without_a_run_is_exit_2_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "run.json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_report_has_no_linux_only_or_slow_import() -> None:
    code = (
        "import sys; import bench.report.html, bench.report.junit, bench.journal, bench.results;"
        "bad = {'fcntl','termios','pyroute2','scapy','pynetdicom','pydicom','PIL','resource','pwd'} & set(sys.modules);"
        "bad |= {m for m in sys.modules if m.startswith(('simulators','modality.','bench.runner','bench.links'))};"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_mistake_of_ours_costs_one_cell_not_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("<oops>")

    monkeypatch.setattr("bench.report.cellview.ladder", broken)
    write_run(tmp_path, run_info())
    write_cell(tmp_path, exam(tmp_path, "one", {"link": "100BASE-T"}, lost=True))
    render(tmp_path, ["html"])
    whole = text_of(tmp_path, place("one"))
    assert "What this cell left could not be shown: RuntimeError: <oops>" in whole
    assert "The image was not stored within 30 s" in whole


def test_an_empty_run_is_a_page_too(tmp_path: Path) -> None:
    write_run(tmp_path, run_info())
    render(tmp_path)
    assert "Nothing was run." in text_of(tmp_path)


def test_cells_of_the_demonstration_have_safe_folders(run: Path) -> None:
    assert sorted(p.name for p in (run / "cells").iterdir()) == sorted(map(cell_folder, CELLS))
