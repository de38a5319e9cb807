"""The MX1 killed while it captures, sends and exports: no claimed image is lost, none is somebody else's."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

_NAME = "modality_mx1_bench"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name(f"{_NAME}.py"))
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
mx1: Any = sys.modules[_NAME]

MOMENTS = int(os.environ.get("MODBENCH_KILLS", "3"))
"""How often the console is killed; ``MODBENCH_KILLS=30`` for the long run."""


class Work:
    """An operator who works until the console dies, and remembers what was answered."""

    def __init__(self) -> None:
        self.claims: dict[str, tuple[str, str]] = {}  # instance -> (pixel hash, patient), as answered
        self.saved: dict[str, str] = {}  # file ID -> its hash, as answered
        self.patients = 0

    def one_exam(self, operator: Any) -> None:
        exam = operator.do("exam_state")["exam"]
        if exam is None or exam["state"] != "open":
            self.patients += 1
            operator.do("start_exam", patient={"PatientID": f"P{self.patients}", "PatientName": "Of^Work"})
        self._take(operator, "capture_still")
        self._take(operator, "capture_clip", frames=3)
        self._take(operator, "capture_still", of="screen")
        self.save(operator)
        operator.do("complete")
        operator.do("send")

    def _take(self, operator: Any, verb: str, **args: Any) -> None:
        claim = operator.do(verb, **args)
        self.claims[claim["sop_instance"]] = claim["sha256"], f"P{self.patients}"

    def save(self, operator: Any) -> None:
        answer = operator.ask("add", medium="usb", exam="all")
        if not answer["ok"]:  # there is no file-set yet
            answer = operator.ask("export", medium="usb", exam="all")
        if answer["ok"]:
            self.saved.update({file["file_id"]: file["sha256"] for file in answer["result"]["files"]})


def _work_until_killed(bench: Any, work: Work, after: float) -> None:
    operator = bench.start() if bench.operator is None else bench.restart()
    killer = threading.Timer(after, bench.console.kill)
    killer.start()
    try:
        while True:
            work.one_exam(operator)
    except (ConnectionError, OSError, ValueError):
        pass  # the moment has come
    finally:
        killer.join()


def _pixels(got: Any) -> str:
    """The hash of an object's pixels as they are without compression."""
    compressed = got.file_meta.TransferSyntaxUID.is_compressed
    return str(mx1.sha256(got.pixel_array.tobytes() if compressed else got.PixelData))


@pytest.mark.slow
def test_killed_at_seeded_moments(tmp_path: Path) -> None:
    from bench.cli import main

    rng = random.Random(20261122)
    work = Work()
    with mx1.Mx1Bench(tmp_path, {"size": "640x480"}) as bench:
        tap = bench.pacs(tapped=True)
        usb = tmp_path / "usb"
        usb.mkdir()
        wished = {"still": "lossless", "clip": "explicit", "screen": "big"}  # made on the way out, mostly
        bench.settings(media={"usb": str(usb)}, storage_syntax=wished, auto_send="accept")
        operator = bench.start()
        begun = time.monotonic()  # how long two exams take on this machine, busy as it is
        work.one_exam(operator)
        work.one_exam(operator)
        usual = time.monotonic() - begun
        bench.console.kill()
        for _ in range(MOMENTS):
            _work_until_killed(bench, work, rng.uniform(0.0, usual))

        operator = bench.restart()
        state = operator.do("exam_state")
        assert state["recovered"]["missing"] == 0
        if state["exam"]["state"] == "open":
            operator.do("discontinue", reason="end of the test")
        assert operator.do("send", wait=120)["done"]
        queue = operator.do("queue", wait=60)
        assert {job["state"] for job in queue["jobs"]} == {"sent"}
        work.save(operator)
        assert tap.most_open == 1  # also across restarts: one association at a time
        stored = bench.stored()
        told = bench.log.of("pacs.stored")

    # nothing claimed is lost, and everything is whose it was said to be
    for instance, (sha256, patient) in work.claims.items():
        got = stored[instance]
        assert (_pixels(got), got.PatientID) == (sha256, patient)
    studies: dict[str, set[str]] = {}
    for got in stored.values():
        studies.setdefault(got.StudyInstanceUID, set()).add(got.PatientID)
    assert all(len(patients) == 1 for patients in studies.values())
    assert len({next(iter(patients)) for patients in studies.values()}) == len(studies)
    # what came twice came with the same content, and no instance number twice in a series
    contents = {(event["sop_instance"], event["sha256"]) for event in told}
    assert len(contents) == len({instance for instance, _ in contents})
    places = [(got.SeriesInstanceUID, got.InstanceNumber) for got in stored.values()]
    assert len(places) == len(set(places))
    # the device has exactly what it sent, and nothing is left lying about
    database = sqlite3.connect(tmp_path / "data" / "console.db")
    rows = dict(database.execute("SELECT sop_instance, claim FROM images WHERE state='accepted'"))
    assert database.execute("SELECT COUNT(*) FROM images WHERE state<>'accepted'").fetchone() == (0,)
    database.close()
    assert {path.stem for path in (tmp_path / "data" / "images").iterdir()} == set(rows) == set(stored)
    assert list((tmp_path / "data" / "sending").iterdir()) == []
    assert all(json.loads(claim)["sha256"] == _pixels(stored[instance]) for instance, claim in rows.items())
    # the stick has every image once, whole, and what was said of its files is still so
    for file_id, digest in work.saved.items():
        assert mx1.sha256(usb.joinpath(*file_id.split("/")).read_bytes()) == digest
    on_stick = [mx1.pydicom.dcmread(path) for path in (usb / "DICOM").rglob("*") if path.is_file()]
    assert sorted(str(one.SOPInstanceUID) for one in on_stick) == sorted(rows)
    config = tmp_path / "judge.yaml"
    config.write_text("medium: usb\n")
    assert main(["judge", str(usb), "--statement", "mx1", "--config", str(config)]) == 0
