"""No image ever gets the identity of another exam: what the console's verbs do to each other, in every order.

The probe and the devices are stand-ins that stop where the test says, so that every race is a decision and not luck.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from modality.control import Refused
from modality.dicom import worklist
from modality.products.mx1 import config as mx1_config
from modality.products.mx1.console import Mx1Console
from modality.ultrasound.cine import make_clip
from modality.ultrasound.model import Clip, Frame, ScannerError, Settings

SETTINGS = Settings(depth_mm=100.0, mode="B", probe="C5-2", columns=32, rows=24, fps=30.0)


def picture(number: int) -> Frame:
    pixels = np.full((24, 32), number % 251, np.uint8)
    return Frame(pixels, number, time.monotonic(), SETTINGS)


class Probe:
    """A scanner whose pictures come when the test says; ``before_*`` is called while a picture is being fetched."""

    def __init__(self) -> None:
        self.cine: list[Frame] = []
        self.frozen = False
        self.live = True
        """A new picture whenever one is looked at."""
        self.before_clip: Callable[[], None] = lambda: None
        self.before_still: Callable[[], None] = lambda: None

    def shoot(self) -> Frame:
        self.cine.append(picture(len(self.cine) + 1))
        return self.cine[-1]

    def still(self, sequence: int | None = None) -> Frame:
        if sequence is not None:
            found = next((frame for frame in self.cine if frame.sequence == sequence), None)
            if found is None:
                raise ScannerError("no-picture", "not there")
        elif self.live and not self.frozen:
            found = self.shoot()
        elif not self.cine:
            raise ScannerError("stalled", "no picture")
        else:
            found = self.cine[-1]
        self.before_still()
        return found

    def screen(self, lines: Any = (), frame: Frame | None = None) -> Any:
        shown = frame or self.still()
        return np.repeat(shown.pixels[:, :, None], 3, axis=2)

    def clip(
        self, frames: int | None, seconds: Any = None, *, before: bool = False, timeout: float = 0
    ) -> Clip:
        assert frames
        found = self.cine[-frames:] if before else [self.shoot() for _ in range(frames)]
        self.before_clip()
        return make_clip(found, "whole")

    def freeze(self, on: bool = True) -> None:
        self.frozen = on

    def state(self) -> dict[str, Any]:
        state = "frozen" if self.frozen else "live" if self.live else "stalled"
        return {"state": state, "sequence": len(self.cine)}

    def open(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "mx1.yaml"
    path.write_text(
        json.dumps({"data_dir": str(tmp_path / "data"), "control": str(tmp_path / "c"), "auto_send": "off"})
    )
    made = Mx1Console(path, mx1_config.load(path), lambda: None)
    made.scanner = made.captures._scanner = Probe()  # type: ignore[assignment]
    made._load()
    yield made
    made.close()
    made.store.close()


def begin(console: Any, patient: str) -> Any:
    return console.do("start_exam", {"patient": {"PatientID": patient, "PatientName": f"Of^{patient}"}})


def owners(console: Any) -> dict[str, tuple[str, str]]:
    """Every file: its patient, and the patient of the exam that its row belongs to."""
    found = {}
    for path in console.store.images.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        row = console.store.row(
            "SELECT e.dataset, e.study_uid FROM images i JOIN exams e ON e.id=i.exam WHERE i.sop_instance=?",
            path.stem,
        )
        assert dataset.StudyInstanceUID == row["study_uid"]
        found[path.stem] = (str(dataset.PatientID), str(worklist.unpack(row["dataset"]).PatientID))
    return found


def test_what_was_frozen_in_one_exam_is_no_image_of_the_next(console: Any) -> None:
    begin(console, "A")
    console.do("freeze", {})
    console.do("capture_still", {})
    console.do("complete", {})
    console.scanner.live = False  # nothing new comes
    begin(console, "B")
    assert not console.scanner.frozen
    for verb, args in (
        ("capture_still", {}),
        ("capture_still", {"of": "screen"}),
        ("capture_clip", {"frames": 1, "before": True}),
    ):
        with pytest.raises(Refused, match="before this exam"):
            console.do(verb, args)
    assert set(owners(console).values()) == {("A", "A")}


def test_a_freeze_key_pressed_again_does_not_bring_the_last_patient_back(console: Any) -> None:
    begin(console, "A")
    console.scanner.shoot()
    console.do("capture_still", {})
    console.do("complete", {})
    console.scanner.live = False
    begin(console, "B")
    console.scanner.frozen = True
    looked: list[int] = []
    console.scanner.before_still = lambda: looked.append(1)
    with pytest.raises(Refused, match="before this exam"):
        console.do("capture_still", {})
    assert len(looked) == 1  # a frozen picture is not waited for


def test_a_clip_from_the_memory_begins_with_the_exam(console: Any) -> None:
    begin(console, "A")
    console.do("capture_still", {})
    for _ in range(5):
        console.scanner.shoot()
    console.do("complete", {})
    begin(console, "B")
    own = len(console.scanner.cine)  # the exam's first picture, and three more
    for _ in range(3):
        console.scanner.shoot()
    claim = console.do("capture_clip", {"frames": 8, "before": True})
    assert (claim["frames"], claim["first"], claim["last"], claim["ended"]) == (4, own, own + 3, "memory")


def test_what_came_between_the_end_of_an_exam_and_its_going_on_is_not_its_image(console: Any) -> None:
    begin(console, "A")
    console.do("capture_still", {})
    console.do("complete", {})
    strangers = [console.scanner.shoot() for _ in range(3)]
    console.do("append", {})
    own = console.scanner.shoot()
    claim = console.do("capture_clip", {"frames": 9, "before": True})
    assert strangers[-1].sequence < claim["first"]
    assert claim["last"] == own.sequence
    console._foot(strangers[-1].sequence)
    assert "before this exam" in console.store.warnings()[-1]["text"]


def test_the_first_picture_of_an_exam_is_waited_for(console: Any) -> None:
    probe = console.scanner
    probe.shoot()
    probe.live = False
    looked = threading.Event()
    probe.before_still = looked.set

    def later() -> None:
        assert looked.wait(60)
        probe.shoot()

    thread = threading.Thread(target=later)
    thread.start()
    begin(console, "A")
    thread.join()
    assert console.do("capture_still", {})["sequence"] == 2


@pytest.mark.parametrize(
    ("made_s", "connection", "taken"),
    [
        (-0.5, 1, False),  # made half a second before the exam, and late on its way
        (600.0, 1, True),
        (-20.0, 1, True),  # the probe's clock was set back: nothing to go by
        (-0.5, 2, True),  # another connection: another clock
    ],
)
def test_a_picture_that_was_late_on_its_way_is_judged_by_the_clock_of_the_probe(
    console: Any, made_s: float, connection: int, taken: bool
) -> None:
    probe = console.scanner
    probe.live = False
    now = time.monotonic()
    # It fell silent a second before the exam began; its clock is a day ahead.
    clock = 86_400_000_000_000
    last = replace(probe.shoot(), t=now - 1.0, timestamp_ns=clock)
    probe.cine[-1] = last

    def comes(on: bool = True) -> None:  # when the exam has begun, the picture is let run
        made = clock + round((1.0 + made_s) * 1e9)
        probe.cine.append(replace(picture(2), timestamp_ns=made, connection=connection))

    probe.freeze = comes
    begin(console, "A")
    if taken:
        assert console.do("capture_still", {})["sequence"] == 2
    else:
        for verb, args in (("capture_still", {}), ("capture_clip", {"frames": 1, "before": True})):
            with pytest.raises(Refused, match="before this exam"):
                console.do(verb, args)


@pytest.mark.parametrize("verb", ["capture_still", "capture_clip"])
@pytest.mark.parametrize("how", ["next", "same", "none"])
def test_an_exam_that_changes_while_a_picture_is_taken(console: Any, verb: str, how: str) -> None:
    begin(console, "A")
    console.do("capture_still", {})

    def change() -> None:
        console.scanner.before_clip = console.scanner.before_still = lambda: None
        console.do("discontinue", {})
        if how == "next":
            begin(console, "B")
        elif how == "same":
            console.do("append", {})

    console.scanner.before_clip = console.scanner.before_still = change
    args = {"frames": 3} if verb == "capture_clip" else {}
    if (verb, how) == (
        "capture_still",
        "same",
    ):  # the same patient's exam went on: a picture of now, not of before
        began = len(console.scanner.cine)
        assert console.do(verb, args)["sequence"] > began + 1
    else:
        with pytest.raises(Refused):
            console.do(verb, args)
    assert set(owners(console).values()) == {("A", "A")}


def test_the_foot_switch_of_one_exam_takes_no_picture_in_the_next(console: Any) -> None:
    begin(console, "A")
    console.do("capture_still", {})
    pressed = console.scanner.shoot().sequence
    console.do("complete", {})
    begin(console, "B")
    console._foot(pressed)  # its thread came late
    assert list(owners(console).values()) == [("A", "A")]
    assert "before this exam" in console.store.warnings()[-1]["text"]
    console._foot(console.scanner.shoot().sequence)
    assert sorted(owners(console).values()) == [("A", "A"), ("B", "B")]


def test_an_exam_waits_for_the_image_that_is_being_written(
    console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(console, "A")
    writing, go_on = threading.Event(), threading.Event()
    write = console.store.write_object

    def slowly(*args: Any) -> None:
        writing.set()
        assert go_on.wait(60)
        write(*args)

    monkeypatch.setattr(console.store, "write_object", slowly)
    took = threading.Thread(target=console.do, args=("capture_clip", {"frames": 3}))
    took.start()
    assert writing.wait(60)
    ended = threading.Thread(target=console.do, args=("complete", {}))
    ended.start()
    ended.join(0.1)
    assert ended.is_alive()  # the image of the exam is still being made
    assert console.exams.open()["id"] == 1
    go_on.set()
    took.join(60)
    ended.join(60)
    assert console.exams.current()["state"] == "completed"
    assert list(owners(console).values()) == [("A", "A")]


def test_completing_an_exam_never_ends_the_next_one(console: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(console, "A")
    console.do("capture_still", {})

    def meanwhile(state: str) -> None:
        monkeypatch.setattr(console, "ending", lambda state: None)
        console.do("complete", {})
        begin(console, "B")
        console.do("capture_still", {})

    monkeypatch.setattr(console, "ending", meanwhile)
    with pytest.raises(Refused, match="ended meanwhile"):
        console.do("complete", {})
    assert console.exams.open()["id"] == 2


# ------------------------------------------------------------------------------------------------ worklist


def entry(patient: str, accession: str, study: str = "1.2.3", step: str = "S1") -> Dataset:
    item = Dataset()
    item.PatientID, item.PatientName, item.AccessionNumber = patient, f"Of^{patient}", accession
    item.StudyInstanceUID, item.RequestedProcedureID = study, "R1"
    scheduled = Dataset()
    scheduled.ScheduledProcedureStepID = step
    item.ScheduledProcedureStepSequence = [scheduled]
    return item


@pytest.fixture
def ris(console: Any, monkeypatch: pytest.MonkeyPatch) -> list[Dataset]:
    items: list[Dataset] = []
    asked: list[Any] = []
    object.__setattr__(console.config, "worklist", SimpleNamespace(name="worklist"))

    def query(config: Any, peer: Any, wanted: Any, today: Any) -> worklist.Answer:
        asked.append(dict(wanted))
        if wanted.get("PatientID") == "DOWN":
            raise Refused("the RIS does not answer")
        return worklist.Answer(tuple(items), truncated=False)

    monkeypatch.setattr(worklist, "query", query)
    console.asked = asked
    return items


def test_a_refresh_that_changes_the_selected_item_is_not_taken_over_in_silence(
    console: Any, ris: list[Dataset]
) -> None:
    ris[:] = [entry("A", "1")]
    console.do("query_worklist", {})
    console.do("select", {"AccessionNumber": "1"})
    console.do("query_worklist", {})
    ris[:] = [entry("B", "1")]
    console.do("query_worklist", {})
    with pytest.raises(Refused, match="select it again"):
        console.do("start_exam", {})
    assert console.exams.current() is None
    console.do("select", {"AccessionNumber": "1"})
    console.do("start_exam", {})
    console.do("capture_still", {})
    assert list(owners(console).values()) == [("B", "B")]


def test_a_refresh_that_changes_nothing_of_it_keeps_the_selection(console: Any, ris: list[Dataset]) -> None:
    ris[:] = [entry("A", "1")]
    console.do("query_worklist", {})
    console.do("select", {"PatientID": "A"})
    ris[0].PatientComments = "more is known"
    ris.append(entry("C", "3", "1.2.5"))
    console.do("query_worklist", {})
    assert console.do("start_exam", {})["study_instance"] == "1.2.3"
    assert console.exams.order(console.exams.open()).PatientComments == "more is known"


def test_two_patients_under_one_study_and_step_stay_two_items(console: Any, ris: list[Dataset]) -> None:
    ris[:] = [entry("A", "1"), entry("B", "2"), entry("A", "1")]
    for _ in range(2):
        assert len({item["key"] for item in console.do("query_worklist", {})["items"]}) == 2
    assert sorted(item["PatientID"] for item in console.do("worklist", {})["items"]) == ["A", "B"]
    assert "not of one patient" in console.store.warnings()[0]["text"]
    console.do("start_exam", {"AccessionNumber": "2"})
    console.do("capture_still", {})
    assert list(owners(console).values()) == [("B", "B")]


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID"])
def test_half_of_an_identifier_is_nobodys(console: Any, ris: list[Dataset], keyword: str) -> None:
    ris[:] = [entry("A", "1")]
    setattr(ris[0], keyword, "1.2\\1.3")
    console.do("query_worklist", {})
    with pytest.raises(Refused, match=f"more than one value in {keyword}"):
        console.do("start_exam", {"RequestedProcedureID": "R1"})
    assert console.exams.current() is None


def test_a_study_of_one_patient_is_not_begun_for_another(console: Any, ris: list[Dataset]) -> None:
    ris[:] = [entry("A", "1"), entry("B", "2", step="S2"), entry("A", "3", step="S3")]
    console.do("query_worklist", {})
    console.do("start_exam", {"AccessionNumber": "1"})
    console.do("capture_still", {})
    console.do("complete", {})
    with pytest.raises(Refused, match="another patient"):
        console.do("start_exam", {"AccessionNumber": "2"})
    console.do("start_exam", {"AccessionNumber": "3"})  # the same patient's next step


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({}, "which worklist item"),
        ({"kind": "scheduled"}, "which worklist item"),
        ({"AccessionNumber": ""}, "empty"),
        ({"AccessionNumber": None}, "empty"),
        ({"kind": "scheduled", "AccessionNumber": "1", "patient": {"PatientID": "B"}}, "none can be typed"),
        ({"AccessionNumber": "1", "PatientID": "B"}, "no worklist items"),
        ({"kind": "unscheduled", "PatientID": "A\\B"}, "more than one value"),
        ({"kind": "emergency", "PatientID": "x" * 65}, "length"),
        ({"kind": "unscheduled", "PatientID": "A\x1b$B"}, "control"),
        ({"kind": "unscheduled", "StudyInstanceUID": "1.2.3"}, "nothing that can be typed"),
    ],
)
def test_who_it_is_must_be_said_and_fit(
    console: Any, ris: list[Dataset], args: dict[str, Any], said: str
) -> None:
    ris[:] = [entry("A", "1")]
    console.do("query_worklist", {})
    with pytest.raises(Refused, match=said):
        console.do("start_exam", args)
    assert console.exams.current() is None


# ------------------------------------------------------------------------------------------------ barcode


def scan(console: Any, text: str) -> None:
    console._on_event("barcode", {"text": text})


def test_a_barcode_counts_until_it_was_of_use(console: Any, ris: list[Dataset]) -> None:
    ris[:] = [entry("B", "2")]
    scan(console, "DOWN")
    with pytest.raises(Refused):
        console.do("query_worklist", {})
    with pytest.raises(Refused):
        console.do("query_worklist", {})
    assert [asked["PatientID"] for asked in console.asked] == ["DOWN", "DOWN"]
    scan(console, "A")
    console.do("query_worklist", {"PatientID": "B"})  # it was not asked for this one
    for _ in range(2):  # never the only item of somebody else
        with pytest.raises(Refused, match="no worklist items match PatientID=A"):
            console.do("select", {})
    console.do("query_worklist", {})
    console.do("query_worklist", {})
    assert [asked.get("PatientID") for asked in console.asked[-2:]] == ["A", None]


def test_a_barcode_from_before_the_exam_ends_with_it(console: Any, ris: list[Dataset]) -> None:
    ris[:] = [entry("A", "1"), entry("B", "2", "1.2.4")]
    console.do("query_worklist", {})
    scan(console, "A")
    console.do("start_exam", {"AccessionNumber": "2"})
    console.do("capture_still", {})
    assert console.do("exam_state", {})["barcode"] is None
    scan(console, "A")  # the next patient's, during this exam
    console.do("capture_still", {})
    console.do("complete", {})
    assert set(owners(console).values()) == {("B", "B")}
    assert console.do("select", {})["PatientID"] == "A"
    console.do("start_exam", {})
    assert console.exams.order(console.exams.open()).PatientID == "A"


# ------------------------------------------------------------------------------------------------ emergency, clock


def test_emergencies_are_never_one_patient_even_when_the_clock_steps_back(
    console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime as real

    class Clock(real.datetime):
        today_is = real.datetime(2026, 11, 22, 10, 0)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.today_is

    monkeypatch.setattr("modality.console.datetime", Clock)
    found = []
    for moment in (
        real.datetime(2026, 11, 22, 10),
        real.datetime(2026, 11, 21, 10),
        real.datetime(2026, 11, 21, 10),
    ):
        Clock.today_is = moment
        exam = console.do("start_exam", {"kind": "emergency"})
        order = console.exams.order(console.exams.open())
        step = console.exams.step(console.exams.open())
        claim = console.do("capture_still", {})
        found.append(
            (
                exam["study_instance"],
                exam["study_id"],
                str(order.PatientID),
                step["pps_id"],
                claim["sop_instance"],
            )
        )
        console.do("discontinue", {})
    for column in zip(*found, strict=True):
        assert len(set(column)) == 3


def test_a_screen_shows_the_picture_that_its_claim_names(console: Any) -> None:
    """The picture runs on between choosing it and drawing it."""
    begin(console, "A")
    claim = console.do("capture_still", {"of": "screen"})
    (path,) = console.store.images.glob("*.dcm")
    assert set(pydicom.dcmread(path).PixelData) == {claim["sequence"] % 251}


@pytest.mark.parametrize(
    "keyword", ["PatientID", "PatientName", "AccessionNumber", "ScheduledProcedureStepID"]
)
def test_an_identifier_with_several_values_is_refused(console: Any, keyword: str) -> None:
    """Which of them would be the patient's, or the order's?"""
    item, step = Dataset(), Dataset()
    item.PatientID, item.PatientName, item.StudyInstanceUID = "A", "Of^A", "1.2.3"
    item.RequestedProcedureID = "R"
    step.ScheduledProcedureStepID = "S"
    setattr(step if keyword.startswith("Scheduled") else item, keyword, "A\\B")
    item.ScheduledProcedureStepSequence = [step]
    shown = worklist.summary(item)
    console.store.merge_worklist([("k", worklist.pack(item), shown)])
    with pytest.raises(Refused, match=f"more than one value in {keyword}"):
        console.do("start_exam", {"key": "k"})
    assert console.do("exam_state", {})["exam"] is None
