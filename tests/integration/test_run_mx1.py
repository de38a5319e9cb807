"""Cells of the MX1 for real: probe, foot switch and media around the reference product, in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.judge.volumes import inventory
from bench.links.probe import probe
from bench.results import cell_folder
from bench.volumes.backends import can_mount

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = {report.name: report.available for report in probe()}

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(
        not (BACKENDS["veth"] or BACKENDS["userns"]) or bool(can_mount()),
        reason="no network namespaces, or no right to mount FUSE, here",
    ),
]

EXAM = """
  - operator.start_exam: {kind: unscheduled, PatientID: P1, PatientName: Doe^Jane}
  - operator.capture_still:
    as: still
"""
SCENARIOS = {
    "hands": """
setup: {auto_send: off}
allow: [pacs.stored, modality.warning]
steps:
  - operator.start_exam: {kind: unscheduled, PatientID: P1, PatientName: Doe^Jane}
  - panel.footswitch:
    as: foot
  - expect: modality.image
    after: foot
    where: {kind: still}
  - panel.barcode: {text: P77}
    as: code
  - expect: modality.state
    after: code
    where: {what: barcode, text: P77}
  - arm: {ultrasound.drop: {count: 2}}
    when: {ultrasound.frame: , count: 5}
  - operator.capture_clip: {frames: 20, start_trim: 1}
    as: clip
    answer: {frames: 20}
  - expect: ultrasound.frame
    after: clip
    where: {sequence: "${clip.last}"}
  - ultrasound.unplug:
    as: pulled
  - expect: ultrasound.probe
    after: pulled
    where: {plugged: false}
  - operator.complete:
  - operator.configure: {storage: [pacs2]}
  - operator.send: {wait: 20 s}
    as: sent
  - expect: pacs.stored
    after: sent
    dataset: {SOPInstanceUID: "${clip.sop_instance}"}
    within: 20 s
""",
    "saved": """
setup: {auto_send: off, usb: {size: 64 MB}, sd: {size: 64 MB, content: [foreign-fileset]}}
steps:"""
    + EXAM
    + """
  - operator.complete:
  - operator.export: {medium: usb}
    as: exported
    answer: {count: 1, files: {vm: 1}}
  - expect: modality.media
    after: exported
    where: {action: export, medium: usb, dicomdir_sha256: "${exported.dicomdir_sha256}"}
  - operator.add: {medium: sd}
    as: added
  - expect: modality.media
    after: added
    where: {action: add, medium: sd}
  - usb.remove:
    as: out
  - expect: volume.removed
    after: out
    where: {volume: usb, how: clean}
  - operator.export: {medium: usb}
    fails: no medium
    as: empty
  - expect: modality.warning
    after: empty
    where: {service: media, peer: usb, code: no-medium}
  - usb.insert:
""",
    "pulled": """
setup: {auto_send: off, usb: {size: 64 MB}}
allow: [modality.warning]
steps:"""
    + EXAM
    + """
  - operator.complete:
  - arm: {usb.yank: {at_bytes: 100 kB, lose: all}}
    as: pull
  - operator.export: {medium: usb}
    fails: true
    as: saving
  - expect: volume.removed
    after: saving
    where: {volume: usb, how: yanked}
""",
    "never-full": """
setup: {auto_send: off, usb: {size: 64 MB}}
steps:
  - arm: {usb.yank: {}}
    when: {usb.written_bytes: 30 MB}
  - operator.exam_state:
""",
}


def modbench(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )


class Ran:
    """What a run left."""

    def __init__(self, folder: Path, done: subprocess.CompletedProcess[str]) -> None:
        self.done = done
        (file,) = folder.glob("*/results.json")
        self.folder = file.parent
        self.cells: Mapping[str, Any] = {cell["id"]: cell for cell in json.loads(file.read_text())["cells"]}

    def place(self, name: str) -> Path:
        """The folder of a cell."""
        return self.folder / "cells" / cell_folder(name)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """All scenarios in one run."""
    folder = tmp_path_factory.mktemp("mx1")
    (folder / "scenarios").mkdir()
    for name, body in SCENARIOS.items():
        (folder / "scenarios" / f"{name}.yaml").write_text(f"scenario: {name}\nproduct: mx1{body}")
    done = modbench(folder, "run", "scenarios", "--out", "out")
    return Ran(folder / "out", done)


def test_probe_foot_switch_and_barcode_reader_work_together(ran: Ran) -> None:
    """Every word of the front end reaches the device, and the product shows it."""
    cell = ran.cells["hands"]
    assert cell["scenario_verdict"] == "PASS", cell["reason"]
    assert {fault["fault"] for fault in cell["faults"]} == {"drop"}
    assert all(fault["fired_seq"] for fault in cell["faults"])
    assert cell["volumes"] == []


def test_files_are_on_the_media_that_were_left(ran: Ran) -> None:
    """What the product says it saved is read back from the images by a reader of its own."""
    cell = ran.cells["saved"]
    assert cell["scenario_verdict"] == "PASS", cell["reason"]
    volumes = {volume["name"]: volume for volume in cell["volumes"]}
    assert set(volumes) == {"usb", "sd"}
    for name, volume in volumes.items():
        assert volume["backend"] in ("block", "fuse")
        assert volume["filesystem"] == "FAT16"
        assert volume["written"] > 300_000, name
        assert volume["cannot_prove"]
        assert volume["image"] == f"media/{name}.img"
    events = [json.loads(line) for line in (ran.place("saved") / "journal.jsonl").read_text().splitlines()]
    claims = [e["data"] for e in events if e.get("kind") == "modality.media"]
    assert {claim["medium"] for claim in claims} == {"usb", "sd"}
    for claim in claims:
        held = inventory(ran.place("saved") / "media" / f"{claim['medium']}.img").files
        for file in claim["files"]:
            assert held[file["file_id"].replace("\\", "/")].sha256 == file["sha256"]
    assert any(a["kind"] == "medium" and a["path"] == "media/usb.img" for a in cell["artefacts"])


def test_a_medium_that_is_pulled_out_keeps_what_was_on_it(ran: Ran) -> None:
    """The product says no, the fault tells the byte, and the image can still be read."""
    cell = ran.cells["pulled"]
    assert cell["scenario_verdict"] == "PASS", cell["reason"]
    (fault,) = cell["faults"]
    assert (fault["host"], fault["fault"]) == ("usb", "yank")
    assert fault["fired_seq"]
    assert not inventory(ran.place("pulled") / "media" / "usb.img").unreadable


def test_a_fault_of_a_medium_that_never_happens_is_the_benchs_error(ran: Ran) -> None:
    """Nothing was written, so nothing was pulled: the scenario tested nothing."""
    cell = ran.cells["never-full"]
    assert cell["verdict"] == "ERROR"
    assert any("never happened" in error for error in cell["errors"]), cell["errors"]


def _mounted(pid: str, folder: str) -> bool:
    """Whether a process sees a mount below a folder."""
    try:
        return folder in Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return False


def test_nothing_of_a_medium_remains(ran: Ran) -> None:
    """Mounts end with their cell."""
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(ran.folder) not in mounts  # of other runs at the same time nothing is said here
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _mounted(pid, str(ran.folder))]


def test_the_page_shows_the_media(ran: Ran) -> None:
    """Files, hashes, and how real it was."""
    page = (ran.folder / "index.html").read_text()
    assert "volume usb" in page
    assert "saved, as the product reported" in page
    assert "lay there before" in page


def test_without_mounts_a_medium_is_a_folder_and_says_so(tmp_path: Path) -> None:
    """On loopback links there is no sandbox: what needs more is not run, what does not, is."""
    (tmp_path / "scenarios").mkdir()
    for name in ("saved", "pulled"):
        (tmp_path / "scenarios" / f"{name}.yaml").write_text(
            f"scenario: {name}\nproduct: mx1{SCENARIOS[name]}"
        )
    done = modbench(tmp_path, "run", "scenarios", "--out", "out", "--backend", "loopback")
    found = Ran(tmp_path / "out", done)
    saved, pulled = found.cells["saved"], found.cells["pulled"]
    assert saved["scenario_verdict"] == "PASS", saved["reason"]
    assert {volume["backend"] for volume in saved["volumes"]} == {"image"}
    assert "usb.yank" in pulled["not_runnable"]
    assert inventory(found.place("saved") / "media" / "usb.img").files
