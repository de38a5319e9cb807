"""Laws of the expectation engine, against a plain model that looks at the whole stream at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.expect import Engine, Status
from bench.scenario import EventTest, Expect, FieldTest, Never
from bench.scenario.matchers import Test as Asked

KINDS = ("pacs.stored", "ris.mpps_set", "wire.open")
MS = 1_000_000


@dataclass(frozen=True)
class Ev:
    seq: int
    t: int
    src: str
    n: int
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


@st.composite
def streams(draw: st.DrawFn) -> list[Ev]:
    """Events in the order of their time, as one pump writes them."""
    rows = draw(
        st.lists(st.tuples(st.integers(0, 100), st.sampled_from(KINDS), st.integers(0, 2)), max_size=25)
    )
    rows.sort(key=lambda row: row[0])
    return [
        Ev(seq, at * MS, kind.split(".")[0], seq, kind, {"assoc": assoc})
        for seq, (at, kind, assoc) in enumerate(rows, 1)
    ]


def place(index: int) -> dict[str, Any]:
    return {"index": index, "file": "s.yaml", "line": index + 1, "text": ""}


def asked(assoc: int | None) -> tuple[FieldTest, ...]:
    return () if assoc is None else (FieldTest(("assoc",), (Asked("eq", str(assoc)),), 1),)


expectations = st.builds(
    lambda kind, assoc, within, count: Expect(
        kind=kind, where=asked(assoc), within_s=within / 1000, count=count, **place(0)
    ),
    st.sampled_from(KINDS),
    st.none() | st.integers(0, 2),
    st.integers(0, 120),
    st.none() | st.integers(1, 3),
)


def fits(test: EventTest, event: Ev) -> bool:
    return event.kind == test.kind and all(
        str(event.data["assoc"]) == one.value for t in test.where for one in t.tests
    )


@settings(max_examples=200, deadline=None)
@given(streams(), expectations, st.integers(0, 25))
def test_one_expectation_is_what_a_look_at_the_whole_stream_says(
    events: list[Ev], step: Expect, begun: int
) -> None:
    engine = Engine()
    handle = None
    for number, event in enumerate(events):
        if number == begun:
            handle = engine.begin(step, event.t)
        engine.feed(event)
    if handle is None:
        handle = engine.begin(step, 0)
    engine.observed(1000 * MS)
    live = engine.outcome(handle)

    window = [e for e in events if fits(step.test, e) and e.t <= step.within_s * 1000 * MS]
    wanted = step.count or 1
    assert live.status is (Status.MATCHED if len(window) >= wanted else Status.MISSED)
    assert live.events == tuple(e.seq for e in window[:wanted])
    if live.status is Status.MATCHED:
        assert live.measured_s is not None
        assert round(live.measured_s * 1000) == window[wanted - 1].t // MS
        assert live.margin_s is not None
        assert live.margin_s >= 0

    final = engine.finish().outcomes[0]
    total = sum(fits(step.test, e) for e in events)
    exact = step.count is None or total == step.count
    assert final.status.is_good is (live.status is Status.MATCHED and exact)
    assert step.count is None or final.counted == total


@settings(max_examples=200, deadline=None)
@given(streams(), st.lists(expectations, min_size=1, max_size=4))
def test_it_does_not_matter_whether_events_arrive_before_or_after_the_expectation_begins(
    events: list[Ev], steps: list[Expect]
) -> None:
    def run(early: bool) -> list[tuple[Status, tuple[int, ...]]]:
        engine = Engine()
        fed = 0
        out = []
        if early:
            for event in events:
                engine.feed(event)
            fed = len(events)
        for step in steps:
            handle = engine.begin(step, 0)
            while engine.outcome(handle).status is Status.PENDING and fed < len(events):
                engine.feed(events[fed])
                fed += 1
            if engine.outcome(handle).status is Status.PENDING:
                engine.observed(10_000 * MS)
            out.append((engine.outcome(handle).status, engine.outcome(handle).events))
            if out[-1][0] is not Status.MATCHED:
                break  # a runner stops at the first step that is not green
        return out

    assert run(early=True) == run(early=False)


@settings(max_examples=200, deadline=None)
@given(streams(), st.lists(expectations, min_size=1, max_size=5))
def test_no_event_is_taken_twice_and_every_strict_event_is_accounted_for_or_told(
    events: list[Ev], steps: list[Expect]
) -> None:
    engine = Engine()
    for event in events:
        engine.feed(event)
    handles = [engine.begin(step, 0) for step in steps]
    engine.observed(10_000 * MS)
    taken = [seq for handle in handles for seq in engine.outcome(handle).events]
    assert len(taken) == len(set(taken))
    report = engine.finish()
    strict = {e.seq for e in events if not e.kind.startswith("wire.")}
    unexpected = {e.seq for e in report.unexpected}
    assert unexpected <= strict
    assert not unexpected & set(taken)
    # What nobody took is told, unless it is already told as a wrong count or as late.
    silent = strict - unexpected - set(taken)
    assert all(any(fits(step.test, e) for step in steps) for e in events if e.seq in silent)


@settings(max_examples=200, deadline=None)
@given(streams(), st.sampled_from(KINDS), st.integers(0, 120), st.integers(0, 150))
def test_a_window_is_green_only_when_it_was_seen_to_its_end_and_empty(
    events: list[Ev], kind: str, length: int, seen: int
) -> None:
    engine = Engine()
    engine.begin(Never(kind=kind, for_s=length / 1000, **place(0)), 0)
    for event in events:
        if event.t <= seen * MS:
            engine.feed(event)
    engine.observed(seen * MS)
    inside = [e for e in events if e.kind == kind and e.t <= min(length, seen) * MS]
    status = engine.finish(complete=False).outcomes[0].status
    if inside:
        assert status is Status.VIOLATED
    else:
        assert status is (Status.MATCHED if seen > length else Status.UNOBSERVED)
