"""The state machine of the generator, with hours in microseconds."""

from __future__ import annotations

import pytest

from simulators.generator.machine import LOCKOUT, Action, Limits, Machine, Technique, setup_fault

MS = 1_000_000


def ready_machine(limits: Limits | None = None) -> Machine:
    m = Machine(limits or Limits(), 0)
    m.set(Technique(80.0, 200.0, 100), 0)
    return m


def kinds(actions: list[Action]) -> list[str]:
    return [a.kind if a.kind != "state" else str(a.data["to"]) for a in actions]


def test_prep_ready_expose_with_real_times() -> None:
    m = ready_machine()
    assert kinds(m.contact("prep", True, 0)) == ["prep"]
    assert m.deadline() == 2000 * MS
    assert m.tick(1999 * MS) == []
    assert kinds(m.tick(2000 * MS)) == ["ready"]
    begun = m.contact("expose", True, 2500 * MS)
    assert kinds(begun) == ["exposing", "xray_on"]
    assert begun[1].data == {"kvp": 80.0, "ma": 200.0, "ms": 100.0, "number": 1, "at": 2500 * MS}
    assert kinds(m.tick(2600 * MS)) == ["xray_off", "cooldown"]
    assert m.last is not None
    assert (m.last.mas, m.last.truncated) == (20.0, False)
    m.contact("expose", False, 2700 * MS)
    assert m.state == "cooldown"
    assert kinds(m.contact("prep", False, 2700 * MS)) == []
    assert kinds(m.tick(3100 * MS)) == ["idle"]


def test_late_tick_ends_the_exposure_at_its_own_time() -> None:
    m = ready_machine()
    m.contact("prep", True, 0)
    m.contact("expose", True, 2100 * MS)
    m.tick(9000 * MS)
    assert m.last is not None
    assert m.last.ms == 100.0


def test_expose_without_prep_is_refused_and_must_be_released() -> None:
    m = ready_machine()
    refused = m.contact("expose", True, 0)
    assert kinds(refused) == ["refused"]
    assert refused[0].data["reason"] == "no prep"
    assert kinds(m.contact("prep", True, 0)) == ["refused"]
    assert m.deadline() is None
    m.contact("expose", False, 1)
    m.contact("prep", False, 1)
    assert kinds(m.contact("prep", True, 2)) == ["prep"]


def test_switch_pressed_right_through_exposes_when_ready() -> None:
    m = ready_machine()
    m.contact("prep", True, 0)
    assert m.contact("expose", True, 100 * MS) == []
    assert kinds(m.tick(2000 * MS)) == ["ready", "exposing", "xray_on"]


@pytest.mark.parametrize("contact", ["prep", "expose"])
def test_releasing_either_stage_truncates(contact: str) -> None:
    m = ready_machine()
    m.contact("prep", True, 0)
    m.tick(2000 * MS)
    m.contact("expose", True, 2000 * MS)
    ended = m.contact(contact, False, 2030 * MS)
    assert kinds(ended)[:2] == ["xray_off", "cooldown"]
    assert m.last is not None
    assert m.last.truncated
    assert m.last.mas == pytest.approx(6.0)
    assert m.last.set_ms == 100


def test_releasing_prep_in_time_gives_no_photons() -> None:
    m = ready_machine()
    m.contact("prep", True, 0)
    assert kinds(m.contact("prep", False, 1999 * MS)) == ["idle"]
    assert m.tick(10_000 * MS) == []
    assert m.last is None


@pytest.mark.parametrize(
    ("technique", "words"),
    [
        (Technique(39.9, 100, 100), "kV"),
        (Technique(150.1, 100, 100), "kV"),
        (Technique(80, 1001, 10), "mA"),
        (Technique(80, 5, 10), "mA"),
        (Technique(80, 100, 4), "ms"),
        (Technique(80, 10, 12001), "ms"),
        (Technique(80, 601, 1000), "mAs"),
        (Technique(150, 600, 10), "kW"),
    ],
)
def test_limits(technique: Technique, words: str) -> None:
    assert words in setup_fault(technique, Limits())
    m = Machine(Limits(), 0)
    m.set(technique, 0)
    refused = m.contact("prep", True, 0)
    assert kinds(refused) == ["refused"]
    assert refused[0].data["code"] == 10
    assert m.state == "idle"


def test_the_edges_of_the_limits_are_allowed() -> None:
    for t in (
        Technique(40, 10, 5),
        Technique(150, 500, 1200),
        Technique(80, 1000, 600),
        Technique(80, 50, 12000),
    ):
        assert setup_fault(t, Limits()) == ""
    assert setup_fault(None, Limits()) == "no technique set"


def test_prep_and_exposure_end_after_30_s() -> None:
    m = ready_machine()
    m.contact("prep", True, 0)
    m.tick(29_999 * MS)
    assert m.state == "ready"
    assert "fault" in kinds(m.tick(30_000 * MS))
    assert m.fault == "prep_timeout"


def test_exposure_begun_late_is_cut_at_30_s() -> None:
    m = Machine(Limits(), 0)
    m.set(Technique(80, 20, 10_000), 0)
    m.contact("prep", True, 0)
    m.tick(2000 * MS)
    m.contact("expose", True, 25_000 * MS)
    m.tick(60_000 * MS)
    assert m.fault == "prep_timeout"
    assert m.last is not None
    assert m.last.ms == 5000.0
    assert m.last.truncated


def test_heat_locks_out_and_cools() -> None:
    m = ready_machine(Limits(heat_capacity_hu=10_000.0, cooling_s=100.0))
    t = 0
    for _ in range(4):  # 4 x 2240 HU = 8960, still below 9000 with the cooling in between
        m.contact("prep", True, t)
        m.tick(t + 2000 * MS)
        m.contact("expose", True, t + 2000 * MS)
        t += 2100 * MS
        m.tick(t)
        m.contact("expose", False, t)
        m.contact("prep", False, t)
        t += 500 * MS
        m.tick(t)
        assert m.state == "idle"
    m.warm(0.95, t)
    assert m.locked_out(t)
    refused = m.contact("prep", True, t)
    assert "heat" in refused[0].data["reason"]
    m.contact("prep", False, t)
    assert not m.locked_out(t + 6_000 * MS)  # 9500 exp(-6/100) = 8947
    assert m.heat(t + 100_000 * MS) == pytest.approx(9500 / 2.718281828, rel=1e-6)


def test_cooldown_lasts_until_the_anode_is_below_lock_out() -> None:
    m = ready_machine(Limits(heat_capacity_hu=10_000.0, cooling_s=100.0))
    m.warm(0.76, 0)  # room for one exposure of 2240 HU
    m.contact("prep", True, 0)
    m.tick(2000 * MS)
    m.contact("expose", True, 2000 * MS)
    m.tick(2100 * MS)
    m.contact("expose", False, 2200 * MS)
    m.contact("prep", False, 2200 * MS)
    m.tick(2600 * MS)
    assert m.state == "cooldown"
    deadline = m.deadline()
    assert deadline is not None
    assert m.heat(deadline) < LOCKOUT * 10_000
    m.tick(deadline)
    assert m.state == "idle"


def test_interlock_during_exposure() -> None:
    m = ready_machine()
    m.contact("prep", True, 0)
    m.tick(2000 * MS)
    m.contact("expose", True, 2000 * MS)
    out = m.interlock(True, 2010 * MS)
    assert kinds(out) == ["fired", "xray_off", "fault", "fault"]
    assert m.last is not None
    assert m.last.mas == pytest.approx(2.0)
    assert m.clear(2020 * MS)[0] is False
    m.interlock(False, 2030 * MS)
    assert m.state == "fault"
    assert m.clear(2040 * MS)[0] is True
    assert m.state == "cooldown"  # the switch is still pressed
    m.contact("expose", False, 2050 * MS)
    m.contact("prep", False, 2050 * MS)
    m.tick(2540 * MS)
    assert m.state == "idle"


def test_rotor_filament_arc_and_over_dose() -> None:
    for trouble in ("rotor", "filament"):
        m = ready_machine()
        setattr(m.troubles, trouble, 1)
        m.contact("prep", True, 0)
        m.tick(2000 * MS)
        assert m.fault == trouble
        m.contact("prep", False, 2100 * MS)
        m.clear(2100 * MS)
        assert kinds(m.contact("prep", True, 2200 * MS)) == ["prep"]
        m.tick(4200 * MS)
        assert m.state == "ready"  # the fault was used up
    m = ready_machine()
    m.troubles.arc = 1
    m.contact("prep", True, 0)
    m.contact("expose", True, 2000 * MS)
    m.tick(2100 * MS)
    assert m.fault == "arc"
    assert m.last is not None
    assert m.last.ms == 30.0
    assert m.last.truncated
    m = ready_machine()
    m.troubles.over_dose = 1
    m.contact("prep", True, 0)
    m.contact("expose", True, 2000 * MS)
    m.tick(2199 * MS)
    assert m.state == "exposing"
    m.tick(2200 * MS)
    assert m.fault == "over_dose"
    assert m.last is not None
    assert m.last.mas == 40.0
    assert not m.last.truncated


def test_busy_generator_does_not_prepare() -> None:
    m = ready_machine()
    m.troubles.busy = True
    assert kinds(m.contact("prep", True, 0)) == ["refused"]


def test_new_set_points_that_cannot_be_exposed_end_the_preparation() -> None:
    m = ready_machine()
    m.contact("prep", True, 0)
    assert kinds(m.set(Technique(200, 100, 100), 10 * MS)) == ["idle"]


def test_set_points_cannot_change_with_xray_on() -> None:
    m = ready_machine()
    m.contact("prep", True, 0)
    m.tick(2000 * MS)
    m.contact("expose", True, 2000 * MS)
    with pytest.raises(ValueError, match="X-ray"):
        m.set(Technique(80, 100, 100), 2010 * MS)


def test_longer_ready_time_counts() -> None:
    m = ready_machine()
    m.ready_ms = 3000
    m.contact("prep", True, 0)
    m.tick(2500 * MS)
    assert m.state == "prep"
    m.tick(3000 * MS)
    assert m.state == "ready"
