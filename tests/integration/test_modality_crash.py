"""Killed at seeded moments: no accepted image is lost, none is sent under a second UID, nothing is orphaned."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

_NAME = "modality_peers"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name(f"{_NAME}.py"))
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
peers: Any = sys.modules[_NAME]

MOMENTS = int(os.environ.get("MODBENCH_KILLS", "4"))
"""How often the console is killed; ``MODBENCH_KILLS=100`` for the long run."""


class Work:
    """An operator who works until the console dies, and remembers what was answered."""

    def __init__(self) -> None:
        self.accepted: dict[str, str] = {}  # instance -> pixel hash, as answered
        self.asked: set[str] = set()  # accept was asked for, the answer may be missing

    def one_exam(self, operator: Any) -> None:
        exam = operator.do("exam_state")["exam"]
        if exam is None or exam["state"] != "open":
            operator.do("start_exam", kind="emergency")
            exam = operator.do("exam_state")["exam"]
        for image in exam["images"]:
            if image["state"] == "acquired":
                self.accept(operator, image)
        for _ in range(2):
            operator.do("prepare", view="PA")
            self.accept(operator, operator.do("wait_image", timeout=60))
        operator.do("complete")
        operator.do("send")

    def accept(self, operator: Any, image: dict[str, Any]) -> None:
        self.asked.add(image["sop_instance"])
        operator.do("accept", image=image["sop_instance"])
        self.accepted[image["sop_instance"]] = image["sha256"]


def _work_until_killed(console: Any, work: Work, after: float) -> None:
    operator = console.start()
    killer = threading.Timer(after, console.kill)
    killer.start()
    try:
        while True:
            work.one_exam(operator)
    except (ConnectionError, OSError, ValueError):
        pass  # the moment has come
    finally:
        killer.join()
        operator.close()


def test_killed_at_seeded_moments(tmp_path: Path) -> None:
    ris, pacs = peers.Ris(), peers.Pacs()
    console = peers.Console(
        tmp_path, mpps=peers.peer_settings(ris), storage=[peers.peer_settings(pacs, "pacs")]
    )
    console.environment["FRONT_SIDE"] = "1024"
    work = Work()
    rng = random.Random(20261121)
    try:
        begun = time.monotonic()  # how long a start and two exams take on this machine, busy as it is
        operator = console.start()
        work.one_exam(operator)
        work.one_exam(operator)
        usual = time.monotonic() - begun
        console.kill()
        operator.close()
        for _ in range(MOMENTS):
            _work_until_killed(console, work, rng.uniform(0.0, usual))
        operator = console.start()
        state = operator.do("exam_state")
        assert state["recovered"]["missing"] == 0
        if state["exam"] is not None and state["exam"]["state"] == "open":
            for image in state["exam"]["images"]:
                if image["state"] == "acquired":
                    work.accept(operator, image)
            operator.do("discontinue", reason="end of the test")
        assert operator.do("send", wait=60)["done"]
        queue = operator.do("queue", wait=60)
        assert {job["state"] for job in queue["jobs"]} == {"sent"}
        assert queue["mpps"] == []
        operator.close()
    finally:
        console.end()
        ris.close()
        pacs.close()

    assert work.accepted, "the moments were all too early to prove anything"
    received = {(uid, sha256) for uid, _, sha256 in pacs.stored}
    assert set(work.accepted.items()) <= received
    assert len({uid for uid, _ in received}) == len(received), "one UID with two contents"
    assert len({sha256 for _, sha256 in received}) == len(received), "one image under two UIDs"
    assert {uid for uid, _ in received} <= work.asked, "an image was sent that nobody accepted"
    files = {path.stem for path in (tmp_path / "data" / "images").iterdir()}
    assert files == {uid for uid, _ in received}
    # every step that was begun at the RIS is finished there, and names what was sent
    assert set(ris.steps) == set(ris.final)
    named = {
        reference.ReferencedSOPInstanceUID
        for final in ris.final.values()
        for series in final.PerformedSeriesSequence
        for reference in series.ReferencedImageSequence
    }
    assert named == {uid for uid, _ in received}
