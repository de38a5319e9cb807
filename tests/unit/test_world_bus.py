"""The world bus: exact charge in a window, order of signals, no lock held in callbacks."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bench.kinds import KINDS
from simulators.world import Signal, World, air_kerma_ugy

MS = 1_000_000


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 1000 * MS

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
def world(clock: Clock, told: list[tuple[str, dict[str, Any]]]) -> World:
    def emit(kind: str, /, **data: Any) -> None:
        assert kind in KINDS
        told.append((kind, data))

    return World("step-wedge", 1000.0, 7, emit=emit, clock=clock)


def test_charge_in_a_window_is_the_overlap(world: World, clock: Clock) -> None:
    world.xray_on(80.0, 200.0, 100)
    clock.now += 100 * MS
    world.xray_off()
    whole = world.photons(0, clock.now)
    assert [b.mas for b in whole] == [20.0]
    early = world.photons(0, 1000 * MS + 25 * MS)
    assert sum(b.mas for b in early) == pytest.approx(5.0)
    assert world.photons(1100 * MS, 2000 * MS) == []


def test_open_beam_counts_only_until_its_due_end(world: World, clock: Clock) -> None:
    world.xray_on(80.0, 200.0, 100)
    clock.now += 500 * MS  # the generator's thread is late
    assert sum(b.mas for b in world.photons(0, clock.now)) == pytest.approx(20.0)
    assert not world.xray
    late = world.xray_off()
    assert late is not None
    assert late.ms == 100.0


def test_explicit_moments_win_over_the_clock(world: World, clock: Clock) -> None:
    world.xray_on(80.0, 100.0, 50, at=5 * MS)
    beam = world.xray_off(at=25 * MS, truncated=True)
    assert beam is not None
    assert (beam.start, beam.end, beam.mas) == (5 * MS, 25 * MS, 2.0)


def test_exposure_is_told_once_with_its_geometry(world: World, clock: Clock, told: list[Any]) -> None:
    world.xray_on(80.0, 200.0, 100)
    world.place(phantom="hand", sid_mm=1150.0)
    clock.now += 40 * MS
    world.xray_off(truncated=True)
    assert world.xray_off() is None
    assert [k for k, _ in told] == ["world.exposure"]
    data = told[0][1]
    assert data["phantom"] == "step-wedge"  # the object when the beam began
    assert data["sid_mm"] == 1000.0
    assert data["mas"] == pytest.approx(8.0)
    assert data["truncated"] is True


def test_two_beams_at_once_are_refused(world: World) -> None:
    world.xray_on(80.0, 200.0)
    with pytest.raises(RuntimeError, match="on already"):
        world.xray_on(80.0, 200.0)


def test_exposures_are_numbered(world: World, clock: Clock) -> None:
    numbers = []
    for _ in range(3):
        numbers.append(world.xray_on(80.0, 200.0, 1).number)
        clock.now += MS
        world.xray_off()
    assert numbers == [1, 2, 3]
    assert world.exposures == 3


def test_unknown_contact_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="prep"):
        world.contact("pedal", True)


def test_a_signal_caused_in_a_callback_comes_after_the_present_one(world: World) -> None:
    order: list[str] = []

    def first(signal: Signal) -> None:
        order.append(f"a:{signal.kind}")
        if signal.kind == "contact":
            world.xray_on(80.0, 100.0)

    world.subscribe(first)
    world.subscribe(lambda s: order.append(f"b:{s.kind}"))
    world.contact("expose", True)
    assert order == ["a:contact", "b:contact", "a:xray_on", "b:xray_on"]


def test_callbacks_may_ask_the_world_from_another_thread(world: World) -> None:
    answers: list[dict[str, bool]] = []

    def ask(signal: Signal) -> None:
        thread = threading.Thread(target=lambda: answers.append(world.contacts()))
        thread.start()
        thread.join(5.0)
        assert not thread.is_alive(), "a lock was held during the callback"

    world.subscribe(ask)
    world.contact("prep", True)
    world.contact("prep", True)  # nothing changes, nothing is told
    assert len(answers) == 1
    assert answers[0]["prep"] is True


def test_a_failing_subscriber_does_not_hurt_the_next(world: World, told: list[Any]) -> None:
    seen: list[str] = []

    def broken(signal: Signal) -> None:
        raise ZeroDivisionError("oops")

    world.subscribe(broken)
    end = world.subscribe(lambda s: seen.append(s.contact))
    world.contact("prep", True)
    end()
    world.contact("expose", True)
    assert seen == ["prep"]
    assert told[0][0] == "bench.error"
    assert "oops" in told[0][1]["message"]


def test_every_signal_arrives_once_in_order_from_many_threads(world: World) -> None:
    got: list[Signal] = []
    world.subscribe(got.append)

    def toggle(name: str) -> None:
        for i in range(200):
            world.contact(name, i % 2 == 0)

    threads = [threading.Thread(target=toggle, args=(n,)) for n in ("prep", "expose", "footswitch")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for name in ("prep", "expose", "footswitch"):
        assert [s.closed for s in got if s.contact == name] == [i % 2 == 0 for i in range(200)]


def test_kerma_is_that_of_the_published_formula() -> None:
    assert air_kerma_ugy(80.0, 10.0, 1000.0) == pytest.approx(460.0)
    assert air_kerma_ugy(80.0, 10.0, 2000.0) == pytest.approx(115.0)
    assert air_kerma_ugy(110.0, 2.0, 1800.0) == pytest.approx(46 * (110 / 80) ** 2.3 * 2 / 3.24)


def test_a_failing_journal_does_not_stop_the_world(clock: Clock) -> None:
    def emit(kind: str, /, **data: Any) -> None:
        raise OSError("journal is gone")

    world = World(emit=emit, clock=clock)
    seen: list[str] = []

    def broken(signal: Signal) -> None:
        raise ZeroDivisionError

    world.subscribe(broken)
    world.subscribe(lambda s: seen.append(s.contact))
    world.contact("prep", True)
    world.contact("expose", True)
    assert seen == ["prep", "expose"]
