"""The expectation engine: anchors, limits, counts, windows, order, strictness, faults (DESIGN section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.expect import Engine, Report, Status
from bench.scenario import Act, Cell, Expect, Never, Order, Step, load_text

S = 1_000_000_000


@dataclass
class Ev:
    seq: int
    t: int
    src: str
    n: int
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


class Bench:
    """Plays a scenario by hand: steps by index, events at seconds."""

    def __init__(self, steps: str, head: str = "") -> None:
        text = f"scenario: t\nproduct: vxvue\n{head}\nsteps:\n{steps}"
        self.cell: Cell = load_text(text, file="t.yaml").cells()[0]
        self.engine = Engine(self.cell.allow)
        self.seq = 0

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.cell.steps

    def event(self, at: float, kind: str, src: str = "", **data: Any) -> int:
        self.seq += 1
        source = src or kind.split(".")[0]
        self.engine.feed(Ev(self.seq, round(at * S), source, self.seq, kind, data))
        return self.seq

    def act(self, index: int, start: float, end: float, result: dict[str, Any] | None = None) -> None:
        step = self.steps[index]
        assert isinstance(step, Act)
        self.engine.step_started(step, round(start * S))
        self.engine.step_ended(step, round(end * S), result)

    def begin(self, index: int) -> int:
        step = self.steps[index]
        assert isinstance(step, Expect | Never | Order)
        return self.engine.begin(step, 0)

    def seen(self, at: float) -> None:
        self.engine.observed(round(at * S))


def stored(accession: str, **more: Any) -> dict[str, Any]:
    dataset = {"00080050": {"vr": "SH", "Value": [accession]}} | more
    return {"dataset": dataset}


SEND = "  - operator.send:\n"
TWO = SEND + "  - expect: pacs.stored\n    within: 5 s\n"


def test_an_event_after_the_end_of_the_previous_step_matches_with_its_margin() -> None:
    bench = Bench(TWO)
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    assert bench.engine.outcome(handle).status is Status.PENDING
    assert bench.engine.deadline(handle) == 7 * S
    bench.event(3.5, "pacs.stored", **stored("A1"))
    outcome = bench.engine.outcome(handle)
    assert (outcome.status, outcome.measured_s, outcome.margin_s) == (Status.MATCHED, 1.5, 3.5)
    assert outcome.events == (1,)


def test_an_event_that_arrived_before_the_expectation_began_counts() -> None:
    bench = Bench(TWO)
    bench.act(0, 1, 2)
    bench.event(2.0, "pacs.stored", **stored("A1"))
    assert bench.engine.outcome(bench.begin(1)).status is Status.MATCHED


def test_the_first_step_counts_from_the_beginning_of_the_cell() -> None:
    bench = Bench("  - expect: pacs.stored\n    within: 5 s\n")
    bench.event(1000, "cell.start")
    bench.event(1002, "pacs.stored", **stored("A1"))
    outcome = bench.engine.outcome(bench.begin(0))
    assert (outcome.status, outcome.measured_s) == (Status.MATCHED, 2.0)


def test_an_event_during_the_previous_step_does_not_count_and_the_message_says_what_to_write() -> None:
    bench = Bench(TWO)
    bench.event(1.5, "pacs.stored", **stored("A1"))
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    bench.seen(7.1)
    outcome = bench.engine.outcome(handle)
    assert outcome.status is Status.MISSED
    assert outcome.near[0].why == ("it came 500 ms before the end of line 5 (operator.send)",)
    assert "after: <name>" in outcome.message


def test_after_a_named_action_counts_from_its_beginning_and_after_its_end_from_there() -> None:
    steps = "  - operator.send:\n    as: go\n  - wait: {for: 1 s}\n  - expect: pacs.stored\n    after: "
    for anchor, status in (("go", Status.MATCHED), ("go.end", Status.PENDING)):
        bench = Bench(steps + anchor + "\n")
        bench.act(0, 1, 2)
        bench.event(1.5, "pacs.stored")
        bench.act(1, 2, 3)
        assert bench.engine.outcome(bench.begin(2)).status is status


def test_an_expectation_ends_at_its_event_not_when_somebody_looked() -> None:
    bench = Bench(TWO + "  - expect: ris.mpps_set\n    within: 5 s\n")
    bench.act(0, 1, 2)
    bench.event(3, "pacs.stored")
    bench.event(3.25, "ris.mpps_set")
    bench.begin(1)
    outcome = bench.engine.outcome(bench.begin(2))
    assert (outcome.status, outcome.measured_s) == (Status.MATCHED, 0.25)
    assert outcome.anchor == "the pacs.stored of line 6 (expect pacs.stored)"


@pytest.mark.parametrize(("at", "status"), [(7.0, Status.MATCHED), (7.000000001, Status.MISSED)])
def test_the_limit_belongs_to_the_window_and_nothing_beyond(at: float, status: Status) -> None:
    bench = Bench(TWO)
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    bench.seen(7.0)
    assert bench.engine.outcome(handle).status is Status.PENDING
    bench.engine.feed(Ev(1, 7 * S + (at > 7.0), "pacs", 1, "pacs.stored", {}))
    bench.seen(8.0)
    assert bench.engine.outcome(handle).status is status


COUNT = SEND + "  - expect: pacs.stored\n    within: 5 s\n    count: 2\n"


def test_within_bounds_the_nth_match() -> None:
    bench = Bench(COUNT)
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    bench.event(3, "pacs.stored")
    bench.event(7.5, "pacs.stored")
    bench.seen(8)
    outcome = bench.engine.outcome(handle)
    assert outcome.status is Status.MISSED
    assert outcome.message.startswith("1 of 2 pacs.stored within 5 s")
    assert outcome.near[0].why == ("it came 500 ms too late",)


def test_count_is_judged_over_the_whole_stream_so_that_a_late_duplicate_is_seen() -> None:
    bench = Bench(COUNT)
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    bench.event(3, "pacs.stored")
    bench.event(4, "pacs.stored")
    assert bench.engine.outcome(handle).status is Status.MATCHED
    bench.event(60, "pacs.stored")
    report = bench.engine.finish()
    assert report.outcomes[0].status is Status.VIOLATED
    assert report.outcomes[0].counted == 3
    assert report.unexpected == ()  # told once, as a wrong count
    assert len(report.failures) == 1
    assert "exactly 2 pacs.stored" in report.failures[0]


def test_count_sees_what_came_before_the_anchor_too() -> None:
    bench = Bench(SEND + "  - expect: pacs.stored\n    count: 1\n")
    bench.event(0.5, "pacs.stored")
    bench.act(0, 1, 2)
    bench.begin(1)
    bench.event(3, "pacs.stored")
    assert bench.engine.finish().outcomes[0].status is Status.VIOLATED


def test_three_expectations_need_three_events() -> None:
    steps = "  - operator.send:\n    as: go\n" + "  - expect: pacs.stored\n    after: go\n" * 3
    bench = Bench(steps)
    bench.act(0, 1, 2)
    bench.event(3, "pacs.stored")
    bench.event(4, "pacs.stored")
    handles = [bench.begin(index) for index in (1, 2, 3)]
    states = [bench.engine.outcome(handle).status for handle in handles]
    assert states == [Status.MATCHED, Status.MATCHED, Status.PENDING]
    bench.seen(100)
    near = bench.engine.outcome(handles[2]).near
    assert near[0].why == ("line 9 (expect pacs.stored) has taken it",)


def test_shared_looks_at_a_taken_event_and_takes_nothing() -> None:
    steps = "  - operator.send:\n    as: go\n  - expect: pacs.stored\n    after: go\n"
    steps += "  - expect: pacs.stored\n    after: go\n    shared: true\n    dataset: {AccessionNumber: A1}\n"
    bench = Bench(steps)
    bench.act(0, 1, 2)
    bench.event(3, "pacs.stored", **stored("A1"))
    assert bench.engine.outcome(bench.begin(1)).status is Status.MATCHED
    assert bench.engine.outcome(bench.begin(2)).status is Status.MATCHED


def test_the_nearest_event_says_what_was_different() -> None:
    steps = SEND + "  - expect: pacs.stored\n    within: 5 s\n"
    steps += "    dataset: {AccessionNumber: A1, PatientID: {present: true}}\n"
    bench = Bench(steps)
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    bench.event(3, "pacs.stored", **stored("A2"))
    bench.event(4, "pacs.stored", **stored("A3", **{"00100020": {"vr": "LO", "Value": ["P"]}}))
    bench.seen(8)
    near = bench.engine.outcome(handle).near
    assert [one.seq for one in near] == [2, 1]  # fewest differences first
    assert near[0].why == ("AccessionNumber: expected A1, got A3",)
    assert near[1].why == (
        "AccessionNumber: expected A1, got A2",
        "PatientID: expected present, got nothing (absent)",
    )


def test_the_very_image_with_a_wrong_patient_is_nearer_than_another_image() -> None:
    steps = SEND + "  - expect: pacs.stored\n    within: 5 s\n"
    steps += "    dataset: {SOPInstanceUID: '1.2.3', AccessionNumber: A1, PatientID: P, PatientName: N}\n"
    bench = Bench(steps)
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    mixed_up = {"00080018": {"vr": "UI", "Value": ["1.2.3"]}}
    bench.event(3, "pacs.stored", **stored("A2", **mixed_up))
    another = {
        "00080018": {"vr": "UI", "Value": ["1.2.4"]},
        "00100020": {"vr": "LO", "Value": ["P"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "N"}]},
    }
    bench.event(4, "pacs.stored", **stored("A1", **another))
    bench.seen(8)
    assert [one.seq for one in bench.engine.outcome(handle).near] == [1, 2]


NEVER = SEND + "  - never: pacs.stored\n    for: 5 s\n"


def test_never_does_not_block_and_is_held_only_when_its_window_was_seen() -> None:
    bench = Bench(NEVER)
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    assert bench.engine.open_until() == 7 * S
    bench.seen(6.9)
    assert bench.engine.outcome(handle).status is Status.PENDING
    bench.seen(7.1)
    assert bench.engine.outcome(handle).status is Status.MATCHED
    assert bench.engine.open_until() is None
    assert bench.engine.finish().unobserved == ()


def test_never_that_was_cut_short_is_not_green() -> None:
    bench = Bench(NEVER)
    bench.act(0, 1, 2)
    bench.begin(1)
    bench.seen(6)
    report = bench.engine.finish()
    assert report.outcomes[0].status is Status.UNOBSERVED
    assert len(report.unobserved) == 1
    assert not report.failures


@pytest.mark.parametrize(
    ("at", "status"), [(1.9, Status.MATCHED), (2.0, Status.VIOLATED), (7.1, Status.MATCHED)]
)
def test_never_is_a_window_of_its_own(at: float, status: Status) -> None:
    bench = Bench(NEVER)
    bench.act(0, 1, 2)
    handle = bench.begin(1)
    bench.event(at, "pacs.stored")
    bench.seen(8)
    assert bench.engine.outcome(handle).status is status


def test_never_does_not_move_the_anchor_unless_it_waits() -> None:
    for wait, anchor in (("false", 2), ("true", 7)):
        bench = Bench(NEVER + f"    wait: {wait}\n  - expect: ris.echoed\n")
        bench.act(0, 1, 2)
        bench.begin(1)
        assert bench.engine.outcome(bench.begin(2)).anchor_ns == anchor * S


def test_never_for_the_rest_of_the_cell() -> None:
    for complete, event, status in (
        (True, False, Status.MATCHED),
        (False, False, Status.UNOBSERVED),
        (True, True, Status.VIOLATED),
    ):
        bench = Bench(SEND + "  - never: pacs.stored\n    for: end\n")
        bench.act(0, 1, 2)
        handle = bench.begin(1)
        assert bench.engine.deadline(handle) is None
        if event:
            bench.event(500, "pacs.stored")
        assert bench.engine.finish(complete=complete).outcomes[0].status is status


ORDER = (
    "  - operator.send:\n    as: go\n"
    "  - expect: pacs.stored\n    after: go\n    as: image\n"
    "  - expect: ris.mpps_set\n    after: go\n    as: done\n"
    "  - order: [image, done]\n"
)


@pytest.mark.parametrize(
    ("image", "done", "status"),
    [
        (3, 4, Status.MATCHED),
        (4, 3, Status.VIOLATED),
        (3, 3, Status.UNOBSERVED),  # two sources, one moment: nobody can tell
        (3, None, Status.UNOBSERVED),
    ],
)
def test_order(image: float, done: float | None, status: Status) -> None:
    bench = Bench(ORDER)
    bench.act(0, 1, 2)
    bench.event(image, "pacs.stored")
    if done is not None:
        bench.event(done, "ris.mpps_set")
    for index in (1, 2, 3):
        bench.begin(index)
    assert bench.engine.finish().outcomes[2].status is status


def test_strict_events_that_nothing_names_are_failures_and_context_is_not() -> None:
    bench = Bench(TWO, head="allow: [pacs.echoed, {event: modality.warning, where: {service: storage}}]")
    bench.act(0, 1, 2)
    bench.begin(1)
    bench.event(3, "pacs.stored")
    bench.event(3, "pacs.echoed")
    bench.event(3, "modality.warning", service="storage")
    bench.event(3, "wire.message")
    bench.event(3, "modality.state")
    odd = [
        bench.event(3, "modality.warning", service="mpps"),
        bench.event(4, "pacs.stored"),
        bench.event(5, "ris.queried"),
    ]
    report = bench.engine.finish()
    assert [event.seq for event in report.unexpected] == odd
    assert len(report.failures) == 3


def test_a_fault_that_never_happened_is_an_error() -> None:
    bench = Bench(SEND)
    bench.event(1, "fault.armed", src="pacs", id="a", fault="abort")
    bench.event(1, "fault.armed", src="pacs", id="b", fault="stall")
    bench.event(2, "fault.fired", src="pacs", id="a", where={"bytes": 7})
    report: Report = bench.engine.finish()
    assert report.errors == ("fault b (pacs stall) was armed and never happened",)
    assert [(fault.id, fault.fired) for fault in report.faults] == [("a", 1), ("b", 0)]


def test_results_and_saved_events_are_filled_in() -> None:
    steps = "  - operator.expose: {view: PA}\n    as: shot\n"
    steps += "  - expect: pacs.stored\n    dataset: {PixelData: {sha256: '${shot.sha256}'}}\n    save: img\n"
    steps += "  - expect: ris.mpps_set\n"
    steps += "    where: {state: 'x${img.AccessionNumber}', sop_instance: '${img.sop_instance}'}\n"
    bench = Bench(steps)
    bench.act(0, 1, 2, {"sha256": "ab" * 32})
    pixels = {"7FE00010": {"vr": "OW", "sha256": "AB" * 32, "length": 4}}
    bench.event(3, "pacs.stored", sop_instance="1.2.3", **stored("A1", **pixels))
    bench.event(4, "ris.mpps_set", state="xA1", sop_instance="1.2.3")
    assert bench.engine.outcome(bench.begin(1)).status is Status.MATCHED
    assert bench.engine.outcome(bench.begin(2)).status is Status.MATCHED


def test_a_reference_to_something_the_sut_did_not_tell_cannot_be_judged() -> None:
    steps = "  - operator.expose: {view: PA}\n    as: shot\n"
    steps += "  - expect: pacs.stored\n    dataset: {PixelData: {sha256: '${shot.sha256}'}}\n"
    bench = Bench(steps)
    bench.act(0, 1, 2, {})
    outcome = bench.engine.outcome(bench.begin(1))
    assert outcome.status is Status.UNOBSERVED
    assert outcome.message == "${shot.sha256}: 'shot' has no 'sha256' (it has nothing)"


def test_an_event_delivered_after_its_time_was_declared_seen_is_no_failure_of_the_sut() -> None:
    bench = Bench(TWO)
    bench.act(0, 1, 2)
    bench.begin(1)
    bench.seen(8)
    bench.event(3, "pacs.stored")
    report = bench.engine.finish()
    assert report.outcomes[0].status is Status.UNOBSERVED
    assert not report.failures
    assert "reached the judge" in report.errors[0]


def test_an_expectation_that_was_not_waited_for_is_not_a_failure() -> None:
    bench = Bench(TWO)
    bench.act(0, 1, 2)
    bench.begin(1)
    report = bench.engine.finish(complete=False)
    assert report.outcomes[0].status is Status.UNOBSERVED
    assert not report.failures


@pytest.mark.parametrize(
    ("images", "dones", "status"),
    [((3, 4), (5, 6), Status.MATCHED), ((3, 5), (4, 6), Status.VIOLATED), ((3, 7), (5, 6), Status.VIOLATED)],
)
def test_order_is_about_every_event_of_an_expectation(
    images: tuple[float, ...], dones: tuple[float, ...], status: Status
) -> None:
    bench = Bench(
        ORDER.replace("    as: image\n", "    as: image\n    count: 2\n").replace(
            "    as: done\n", "    as: done\n    count: 2\n"
        )
    )
    bench.act(0, 1, 2)
    rows = [(at, "pacs.stored") for at in images] + [(at, "ris.mpps_set") for at in dones]
    for at, kind in sorted(rows):
        bench.event(at, kind)
    for index in (1, 2, 3):
        bench.begin(index)
    assert bench.engine.finish().outcomes[2].status is status
