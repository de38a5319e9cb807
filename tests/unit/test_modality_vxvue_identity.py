"""An exposure belongs to the exam and the view that the devices were prepared for, whatever is done meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modality.acquisition import AcquisitionError, DetectorInfo, Shot
from modality.control import Refused
from modality.products.vxvue import config as vxvue_config
from modality.products.vxvue.console import VxvueConsole

INFO = DetectorInfo("V", "VIVIX", "SN", None, 0.139, None)


class Driver:
    """Detector and generator that stop where the test says."""

    def __init__(self) -> None:
        self.armed = False
        self.while_preparing: Callable[[], None] = lambda: None
        self.while_waiting: Callable[[], None] = lambda: None
        self.exposed = True

    def prepare(self, technique: Any) -> None:
        self.armed = False
        self.while_preparing()
        if technique.kvp > 150:
            raise AcquisitionError("generator-refused", "150 kV is the limit")
        self.armed = True

    def wait(self, timeout: float) -> Shot:
        if not self.armed:
            raise AcquisitionError("not-prepared", "Nothing is prepared.")
        self.while_waiting()
        if not self.exposed:
            raise AcquisitionError("not-exposed", "No exposure was made.")
        self.armed = False
        pixels = np.full((4, 4), 7, np.uint16)
        return Shot(
            pixels, 14, 1.0, 2.0, "", None, None, None, None, None, None, None, None, datetime.now(), INFO
        )

    def cancel(self) -> None:
        self.armed = False

    def close(self) -> None: ...


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "vxvue.yaml"
    path.write_text(
        json.dumps({"data_dir": str(tmp_path / "data"), "control": str(tmp_path / "c"), "auto_send": "off"})
    )
    made = VxvueConsole(path, vxvue_config.load(path), lambda: None)
    made.devices._driver, made.devices.state = Driver(), "ready"
    made._load()
    yield made
    made.close()
    made.store.close()


def begin(console: Any, patient: str) -> None:
    console.do("start_exam", {"patient": {"PatientID": patient}})


def images(console: Any) -> list[tuple[int, str, str, str]]:
    """Exam, view, laterality and state of every image."""
    found = []
    for row in console.store.rows("SELECT * FROM images ORDER BY id"):
        claim = json.loads(row["claim"])
        found.append((row["exam"], claim["view"], claim["laterality"], row["state"]))
    return found


def once(action: Callable[[], Any], owner: Any, name: str) -> None:
    """Do something at one moment of the driver, the first time only."""

    def now() -> None:
        setattr(owner, name, lambda: None)
        action()

    setattr(owner, name, now)


def change(console: Any) -> None:
    console.do("discontinue", {})
    begin(console, "B")


def test_devices_prepared_for_one_exam_are_not_for_the_next(console: Any) -> None:
    driver = console.devices._driver
    begin(console, "A")
    once(lambda: change(console), driver, "while_preparing")
    with pytest.raises(Refused, match="ended while"):
        console.do("prepare", {"view": "PA"})
    assert not driver.armed  # no X-rays without an exam that asked for them
    driver.armed = True  # and if they could not be stopped
    with pytest.raises(Refused, match="nothing is prepared"):
        console.do("wait_image", {})
    assert images(console) == []


def test_an_exposure_that_comes_after_the_change_is_in_no_exam(console: Any) -> None:
    begin(console, "A")
    console.do("prepare", {"view": "PA"})
    once(lambda: change(console), console.devices._driver, "while_waiting")
    with pytest.raises(Refused, match="ended before its exposure"):
        console.do("wait_image", {})
    assert images(console) == []


def test_a_view_that_the_devices_did_not_take_is_not_written_on_the_image(console: Any) -> None:
    driver = console.devices._driver
    begin(console, "A")
    console.do("prepare", {"view": "PA", "laterality": "L"})

    def other() -> None:
        with pytest.raises(Refused, match="awaited already"):
            console.do("prepare", {"view": "LL", "laterality": "R"})

    once(other, driver, "while_waiting")
    driver.exposed = False
    with pytest.raises(Refused, match="No exposure"):
        console.do("wait_image", {})
    driver.exposed = True
    console.do("wait_image", {})
    assert images(console) == [(1, "PA", "L", "acquired")]


def test_after_a_refused_technique_there_is_nothing_to_expose(console: Any) -> None:
    begin(console, "A")
    console.do("prepare", {"view": "PA"})
    with pytest.raises(Refused, match="150 kV"):
        console.do("prepare", {"view": "LL", "kvp": 160})
    console.devices._driver.armed = True
    with pytest.raises(Refused, match="nothing is prepared"):
        console.do("wait_image", {})


def test_an_exposure_in_memory_keeps_its_exam_from_being_completed(
    console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(console, "A")
    console.do("prepare", {"view": "PA"})
    console.do("wait_image", {})
    console.do("accept", {})
    console.do("prepare", {"view": "LL"})
    with monkeypatch.context() as full:
        full.setattr(console.store, "write_object", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
        with pytest.raises(Refused, match="kept in memory"):
            console.do("wait_image", {})
    with pytest.raises(Refused, match="not stored yet"):
        console.do("complete", {})
    console.do("wait_image", {})
    console.do("accept", {})
    console.do("complete", {})
    assert images(console) == [(1, "PA", "U", "accepted"), (1, "LL", "U", "accepted")]


def test_an_exposure_in_memory_ends_with_its_exam(console: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(console, "A")
    console.do("prepare", {"view": "PA"})
    with monkeypatch.context() as full:
        full.setattr(console.store, "write_object", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
        with pytest.raises(Refused, match="kept in memory"):
            console.do("wait_image", {})
    change(console)
    with pytest.raises(Refused, match="nothing is prepared"):
        console.do("wait_image", {})
    assert images(console) == []


def test_two_views_at_once_are_prepared_one_after_the_other(console: Any) -> None:
    driver = console.devices._driver
    begin(console, "A")
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        inside.set()
        assert go_on.wait(60)

    once(slow, driver, "while_preparing")
    first = threading.Thread(target=console.do, args=("prepare", {"view": "PA"}))
    first.start()
    assert inside.wait(60)
    second = threading.Thread(target=console.do, args=("prepare", {"view": "LL", "laterality": "R"}))
    second.start()
    go_on.set()
    first.join(60)
    second.join(60)
    console.do("wait_image", {})
    assert images(console) == [(1, "LL", "R", "acquired")]  # what the devices were prepared for last


def test_the_step_that_ended_is_reported_though_the_exam_goes_on_at_once(
    console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[tuple[str, str]] = []

    def send(exam: Any, step: Any = None) -> str:
        row = step or console.exams.step(exam)
        reported.append((row["sop_instance"], row["state"]))
        return "sent"

    monkeypatch.setattr(console.steps, "send", send)
    monkeypatch.setattr(console, "_queue_images", lambda exam: [1])
    begin(console, "A")
    console.do("prepare", {"view": "PA"})
    console.do("wait_image", {})
    console.do("accept", {})
    object.__setattr__(console.config, "auto_send", "complete")
    monkeypatch.setattr(console.queue, "wait", lambda *_: console.do("append", {}))
    console.do("complete", {})
    (first, _), (second, second_state), (third, third_state) = reported
    assert (third, third_state) == (first, "COMPLETED")
    assert second not in (first, third)
    assert second_state == "IN PROGRESS"
