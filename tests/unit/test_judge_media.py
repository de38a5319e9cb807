"""``modbench judge`` with removable media: what it takes, says and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli import main
from bench.judge.inputs import InputError, MediumInput, find
from tests.lab.media import FileSet


def judge(*arguments: object) -> int:
    """Run the command."""
    try:
        return main(["judge", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def usb(tmp_path: Path) -> Path:
    """A configuration that tells the kind of the medium."""
    path = tmp_path / "site.yaml"
    path.write_text("medium: usb\n")
    return path


def test_a_good_image(tmp_path: Path, usb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and the JSON of a judgement."""
    path = FileSet.of_mx1().write_image(tmp_path / "stick.bin")
    out = tmp_path / "out.json"
    assert judge(path, "--statement", "mx1", "--config", usb, "--json", out) == 0
    found = json.loads(out.read_text())
    assert (found["statement"], found["messages"], found["bytes"]) == ("mx1", 0, path.stat().st_size)
    verdicts = {row["id"]: row["verdict"] for row in found["clauses"]}
    assert verdicts["MX-MED-006"] == "PASS"
    assert verdicts["MX-VER-001"] == "NOT-EXERCISED"
    assert "FAT16" in capsys.readouterr().out


def test_a_bad_folder(tmp_path: Path, usb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; rule and clause on one evidence are told together, with the byte; and a report."""
    made = FileSet.of_mx1()
    del made.files[made.paths[1]]
    folder = made.write_folder(tmp_path / "mounted")
    out, html = tmp_path / "out.json", tmp_path / "report"
    assert judge(folder, "--statement", "mx1", "--config", usb, "--json", out, "--html", html) == 1
    found = json.loads(out.read_text())
    assert found["faults"] == [["MX-MED-DIR-10", "STD-MED-014"]]
    row = next(row for row in found["clauses"] if row["id"] == "STD-MED-014")
    evidence = row["evidence"][0]
    data = made.dicomdir()
    assert data[evidence["offset"] : evidence["offset"] + 4] == b"\x04\x00\x00\x15"
    assert evidence["tag"] == "(0004,1500)"
    marked = [line for line in evidence["excerpt"] if line.get("marked")]
    assert [(line["keyword"], line["offset"]) for line in marked] == [
        ("ReferencedFileID", evidence["offset"])
    ]
    assert "IM000002" in row["reason"]
    assert "removable medium" in (html / "index.html").read_text(encoding="utf-8")
    assert "MX-MED-DIR-10, STD-MED-014" in capsys.readouterr().out


def test_two_faults_are_two(tmp_path: Path, usb: Path) -> None:
    """Faults at different places of a medium are not told as one."""
    made = FileSet.of_mx1()
    made.record("PATIENT").drop("PatientBirthDate")
    made.record("IMAGE").put("InstanceNumber", 7)
    out = tmp_path / "out.json"
    path = made.write_image(tmp_path / "m.img")
    assert judge(path, "--statement", "mx1", "--config", usb, "--json", out) == 1
    assert json.loads(out.read_text())["faults"] == [["MX-MED-PK-04"], ["STD-X-093"]]


def test_what_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and exit code 2; JSON says why."""
    path = tmp_path / "x.img"
    path.write_bytes(b"nothing" * 1000)
    out = tmp_path / "out.json"
    assert judge(path, "--statement", "mx1", "--json", out) == 2
    assert "neither a partition table" in capsys.readouterr().err
    assert "neither a partition table" in json.loads(out.read_text())["error"]
    image = FileSet.of_mx1().write_image(tmp_path / "m.img")
    assert judge(image) == 2
    assert "needs --statement" in capsys.readouterr().err


def test_inputs(tmp_path: Path) -> None:
    """Media are told from captures by their first bytes."""
    image = FileSet.of_mx1().write_image(tmp_path / "without-suffix")
    assert find([image]) == MediumInput(image)
    with pytest.raises(InputError, match="judged alone"):
        find([image, image])
    with pytest.raises(InputError, match="nor a medium"):
        find([_empty(tmp_path / "empty")])


def _empty(folder: Path) -> Path:
    folder.mkdir()
    (folder / "note.txt").write_text("hello")
    return folder
