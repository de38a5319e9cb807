"""The commands of the generator and its own errors."""

from __future__ import annotations

import pytest

from simulators.generator.codec import Frame
from simulators.generator.dialect import REASONS, Panel, Reply, checksum_reply, execute, kv_counts, ma_counts
from simulators.generator.machine import Limits, Machine

MS = 1_000_000


class Desk:
    """A machine with somebody typing commands."""

    def __init__(self) -> None:
        self.machine = Machine(Limits(), 0)
        self.panel = Panel()
        self.now = 0

    def ask(self, command: str, *args: object) -> tuple[object, ...]:
        return self.reply(command, *args).args

    def reply(self, command: str, *args: object) -> Reply:
        return execute(Frame(command, tuple(str(a) for a in args)), self.machine, self.panel, self.now)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_set_and_read_back_three_points(desk: Desk) -> None:
    assert desk.ask("50", 100, kv_counts(110), ma_counts(200), 1) == ("$",)
    assert desk.ask("14") == (3003,)
    assert desk.ask("15") == (819,)
    assert desk.ask("63") == (100, 3003, 819, 3)
    assert desk.ask("53") == (1,)
    assert desk.machine.technique is not None
    assert desk.machine.technique.kvp == pytest.approx(110.0)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((4, 2000, 1000), "3"),
        ((12001, 2000, 1000), "3"),
        ((100, 4096, 1000), "4"),
        ((100, 2000, 4096), "5"),
        ((100, 2000, 1000, 2), "6"),
        ((100, 2000), "7"),
        ((100, 2000, 1000, 0, 0), "7"),
        ((100, "x", 1000), "7"),
        ((100, -5, 1000), "7"),
        ((100, "9" * 40, 1000), "7"),
        ((100, 1000, 1000), "10"),  # 36.6 kV
        ((1000, 2000, 4095), "10"),  # 1000 mAs
        ((10, 4095, 3000), "10"),  # 110 kW
    ],
)
def test_wrong_techniques_get_the_protocols_own_error(
    desk: Desk, args: tuple[object, ...], code: str
) -> None:
    reply = desk.reply("50", *args)
    assert reply.args == (code,)
    assert reply.code == code
    assert reply.reason
    assert desk.machine.contact("prep", True, 0)[0].kind == "refused"


def test_two_point_technique(desk: Desk) -> None:
    desk.ask("10", kv_counts(80))
    assert desk.ask("74", 200) == ("$",)
    technique = desk.machine.technique
    assert technique is not None
    assert technique.mas == pytest.approx(20.0)
    assert technique.mode == 2
    assert desk.ask("11", 100) == ("11",)
    assert desk.ask("74", 6001) == ("3",)
    desk.ask("10", kv_counts(100))
    assert desk.machine.technique is not None
    assert desk.machine.technique.mas == pytest.approx(20.0)
    assert desk.ask("50", 50, 2000, 1000) == ("$",)
    assert desk.ask("11", 100) == ("$",)


def test_status_follows_the_machine(desk: Desk) -> None:
    flags = desk.ask("22")
    assert len(flags) == 26
    assert (flags[1], flags[13]) == (1, 1)  # interlock closed, set-up invalid
    desk.ask("50", 100, 2000, 1000)
    desk.machine.contact("prep", True, 0)
    assert (desk.ask("22")[3], desk.ask("22")[12]) == (1, 0)
    desk.now = 2000 * MS
    assert desk.ask("22")[12] == 1
    desk.machine.contact("expose", True, desk.now)
    assert desk.ask("22")[0] == 1
    assert desk.ask("10", 2000) == ("9",)
    desk.now += 100 * MS
    flags = desk.ask("22")
    assert (flags[0], flags[21], flags[23]) == (0, 1, 0)
    assert desk.ask("61")[:5] == (1, 733, 2442, 1000, 24420)
    assert desk.ask("60") == (2000,)


def test_xray_on_by_command_is_refused_and_off_works(desk: Desk) -> None:
    desk.ask("50", 100, 2000, 1000)
    assert desk.ask("99", 1) == ("2",)
    assert desk.machine.state == "idle"
    desk.machine.contact("prep", True, 0)
    desk.now = 2000 * MS
    desk.machine.tick(desk.now)
    desk.machine.contact("expose", True, desk.now)
    desk.now += 10 * MS
    reply = desk.reply("99", 0)
    assert reply.args == ("$",)
    assert any(a.kind == "xray_off" for a in reply.actions)
    assert desk.ask("61")[6] == 1


def test_faults_are_read_and_cleared(desk: Desk) -> None:
    assert desk.ask("62") == (0,)
    desk.machine.interlock(True, 0)
    assert desk.ask("62") == (9,)
    assert desk.ask("22")[1:3] == (0, 1)
    assert desk.ask("52") == ("10",)
    desk.machine.interlock(False, 0)
    assert desk.ask("52") == ("$",)
    assert desk.ask("22")[1:3] == (1, 0)


def test_rotor_detail_heat_and_ready_time(desk: Desk) -> None:
    assert desk.ask("84") == (0, 0, 0, 0, 0, 0)
    desk.machine.warm(0.93, 0)
    assert desk.ask("78") == (1, 0, 93)
    assert desk.ask("34") == (2000,)
    assert desk.ask("34", 1999) == ("3",)
    assert desk.ask("34", 3000) == ("$",)
    assert desk.ask("34") == (3000,)


def test_busy_unknown_and_bad_checksum(desk: Desk) -> None:
    desk.machine.troubles.busy = True
    assert desk.ask("50", 100, 2000, 1000) == ("8",)
    assert desk.ask("22")[14] == 1
    assert desk.ask("12") == ("2",)
    assert desk.ask("22", 1) == ("7",)
    assert checksum_reply("50").args == ("1",)
    assert checksum_reply("").command == "00"
    assert set(REASONS) == {str(n) for n in range(1, 12)}
