"""The detector's control channel: privilege, heartbeat, register access and statuses (GigE Vision 1.2)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from simulators.detector import Config, gvcp
from simulators.detector.bootstrap import Ccp, Reg, address, mac_of
from simulators.detector.device import Device
from simulators.detector.gvcp import Command, ReadMem, ReadReg, Status, WriteMem, WriteReg
from simulators.detector.sensor import State

A, B = ("10.0.0.1", 4000), ("10.0.0.2", 4000)
SECOND = 1_000_000_000


class Bench:
    """A device without sockets, and a clock that stands still until told."""

    def __init__(self, **config: Any) -> None:
        self.now = 1
        self.events: list[tuple[str, dict[str, Any]]] = []
        config = {"width": 64, "height": 64, **config}
        self.device = Device(Config(**config), self.emit, clock=lambda: self.now)
        self.device.lock.acquire()  # whoever calls into a device holds its lock
        self.at = self.device.places
        self._id = 0

    def emit(self, kind: str, /, **data: Any) -> None:
        self.events.append((kind, data))

    def ask(self, body: gvcp.Body, peer: tuple[str, int] = A, flags: int = 1) -> gvcp.Answer | None:
        self._id += 1
        with self.device.lock:
            reply = self.device.control.handle(
                gvcp.encode_command(Command(body, self._id, flags)), peer, self.now
            )
        return None if reply is None else gvcp.decode_answer(reply.data)

    def status(self, body: gvcp.Body, peer: tuple[str, int] = A) -> int:
        answer = self.ask(body, peer)
        assert answer is not None
        return answer.status

    def write(self, register: int, value: int, peer: tuple[str, int] = A) -> int:
        return self.status(WriteReg(((register, value),)), peer)

    def read(self, register: int) -> int:
        answer = self.ask(ReadReg((register,)))
        assert answer is not None
        assert answer.status == 0
        return int(struct.unpack(">I", answer.payload)[0])


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    assert made.write(Reg.CCP, Ccp.CONTROL) == Status.SUCCESS
    return made


def test_discovery_tells_who_it_is() -> None:
    bench = Bench(serial="SN-77", host="127.0.0.1", user_name="wall-stand")
    answer = bench.ask(gvcp.Discovery(), B)
    assert answer is not None
    assert len(answer.payload) == 248
    assert answer.payload[0xD8:0xE8].rstrip(b"\0") == b"SN-77"
    assert answer.payload[0xE8:0xF8].rstrip(b"\0") == b"wall-stand"
    assert answer.payload[10:16] == mac_of("SN-77")
    assert struct.unpack_from(">I", answer.payload, 0x24)[0] == address("127.0.0.1")


def test_nobody_writes_without_control() -> None:
    bench = Bench()
    assert bench.write(Reg.SCPD, 5) == Status.ACCESS_DENIED
    assert bench.status(WriteMem(Reg.SCPD, bytes(4))) == Status.ACCESS_DENIED


def test_a_second_application_reads_but_does_not_write(bench: Bench) -> None:
    assert bench.write(Reg.SCPD, 5, B) == Status.ACCESS_DENIED
    assert bench.write(Reg.CCP, Ccp.CONTROL, B) == Status.ACCESS_DENIED
    assert bench.status(ReadReg((bench.at["Width"],)), B) == Status.SUCCESS
    assert bench.device.control.owner == A


def test_exclusive_access_also_forbids_reading(bench: Bench) -> None:
    assert bench.write(Reg.CCP, Ccp.EXCLUSIVE) == Status.SUCCESS
    assert bench.status(ReadReg((bench.at["Width"],)), B) == Status.ACCESS_DENIED
    assert bench.status(ReadMem(0, 8), B) == Status.ACCESS_DENIED
    assert bench.status(ReadReg((Reg.CCP,)), B) == Status.SUCCESS
    assert bench.status(gvcp.Discovery(), B) == Status.SUCCESS


def test_control_given_back_can_be_taken_by_another(bench: Bench) -> None:
    assert bench.write(Reg.CCP, 0) == Status.SUCCESS
    assert bench.write(Reg.CCP, Ccp.CONTROL, B) == Status.SUCCESS
    assert [d["how"] for k, d in bench.events if k == "detector.control"] == ["taken", "released", "taken"]


def test_silence_frees_control_and_ends_the_acquisition(bench: Bench) -> None:
    bench.write(Reg.SCDA, address("10.0.0.1"))
    bench.write(Reg.SCP, 5000)
    bench.write(bench.at["AcquisitionStart"], 1)
    bench.write(bench.at["DetectorPrepare"], 1)
    bench.now += 3 * SECOND
    bench.device.control.tick(bench.now)
    assert bench.device.control.owner == A
    bench.now += 1
    bench.device.control.tick(bench.now)
    assert bench.device.control.owner is None
    assert bench.device.sensor.state is State.IDLE
    assert not bench.device.sensor.acquiring
    assert bench.device.destination()[1] == 0
    assert bench.events[-1] == ("detector.control", {"owner": None, "how": "heartbeat"})


def test_any_command_of_the_owner_is_a_heartbeat(bench: Bench) -> None:
    for _ in range(5):
        bench.now += 2 * SECOND
        bench.read(Reg.CCP)
        bench.device.control.tick(bench.now)
    bench.now += 2 * SECOND
    bench.ask(ReadReg((Reg.CCP,)), B)  # somebody else's is not
    bench.now += 2 * SECOND
    bench.device.control.tick(bench.now)
    assert bench.device.control.owner is None


def test_the_heartbeat_timeout_is_never_below_half_a_second(bench: Bench) -> None:
    bench.write(Reg.HEARTBEAT, 10)
    assert bench.read(Reg.HEARTBEAT) == 500


def test_writemem_and_writereg_trigger_the_same_hooks() -> None:
    for memory in (False, True):
        bench = Bench()
        bench.write(Reg.CCP, Ccp.CONTROL)
        for name, value in (("AcquisitionStart", 1), ("DetectorPrepare", 1)):
            body: gvcp.Body = WriteReg(((bench.at[name], value),))
            if memory:
                body = WriteMem(bench.at[name], struct.pack(">I", value))
            assert bench.status(body) == Status.SUCCESS
        assert bench.device.sensor.state is State.PREPARED
        assert bench.device.sensor.acquiring


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (ReadReg((0x9000,)), Status.INVALID_ADDRESS),
        (ReadReg((0xA002,)), Status.BAD_ALIGNMENT),
        (ReadMem(0xFFFFFFFC, 4), Status.INVALID_ADDRESS),
        (WriteReg(((0x9000, 1),)), Status.INVALID_ADDRESS),
        (WriteReg(((Reg.CURRENT_IP, 1),)), Status.WRITE_PROTECT),
        (WriteMem(Reg.VENDOR, b"abcd"), Status.WRITE_PROTECT),
        (WriteMem(Reg.SCPD, bytes(8)), Status.WRITE_PROTECT),
        (WriteReg(((Reg.SCPS, 100),)), Status.INVALID_PARAMETER),
        (gvcp.Action(1, 2, 3), Status.NOT_IMPLEMENTED),
    ],
)
def test_refusals_have_the_right_status(bench: Bench, body: gvcp.Body, status: Status) -> None:
    assert bench.status(body) == status


@pytest.mark.parametrize(
    ("code", "payload", "status"),
    [
        (0x0084, struct.pack(">IHH", 2, 0, 4), Status.BAD_ALIGNMENT),
        (0x0084, struct.pack(">IHH", 0, 0, 6), Status.BAD_ALIGNMENT),
        (0x0084, struct.pack(">IHH", 0, 0, 540), Status.INVALID_PARAMETER),
        (0x0084, struct.pack(">IHH", 0, 0, 0), Status.INVALID_PARAMETER),
        (0x0086, struct.pack(">I", Reg.SCPD) + b"abc" + b"d" * 2, Status.BAD_ALIGNMENT),
        (0x0080, b"abc", Status.INVALID_PARAMETER),
        (0x0082, b"abcd", Status.INVALID_PARAMETER),
        (0x7777, b"", Status.NOT_IMPLEMENTED),
    ],
)
def test_malformed_commands_have_the_right_status(
    bench: Bench, code: int, payload: bytes, status: Status
) -> None:
    data = struct.pack(">BBHHH", 0x42, 1, code, len(payload), 9) + payload
    reply = bench.device.control.handle(data, A, bench.now)
    assert reply is not None
    answer = gvcp.decode_answer(reply.data)
    assert answer is not None
    assert (answer.status, answer.ack, answer.request_id) == (status, code + 1, 9)


def test_the_index_of_a_partial_write_tells_how_many_succeeded(bench: Bench) -> None:
    answer = bench.ask(WriteReg(((Reg.SCPD, 11), (0x9000, 1), (Reg.SCPD, 12))))
    assert answer is not None
    assert answer.status == Status.INVALID_ADDRESS
    assert struct.unpack(">HH", answer.payload) == (0, 1)
    assert bench.read(Reg.SCPD) == 11


def test_no_answer_where_none_is_wanted(bench: Bench) -> None:
    assert bench.ask(WriteReg(((Reg.SCPD, 3),)), flags=0) is None
    assert bench.read(Reg.SCPD) == 3


def test_a_repeated_write_is_answered_again_but_not_done_again(bench: Bench) -> None:
    bench.write(bench.at["TriggerSource"], 1)
    bench.write(bench.at["AcquisitionStart"], 1)
    data = gvcp.encode_command(Command(WriteReg(((bench.at["TriggerSoftware"], 1),)), 500))
    replies = [bench.device.control.handle(data, A, bench.now) for _ in range(3)]
    assert all(r is not None and gvcp.decode_answer(r.data).status == 0 for r in replies)  # type: ignore[union-attr]
    assert bench.device.sensor.windows == 1


def test_forceip_is_for_the_right_mac_and_an_address_that_we_have() -> None:
    bench = Bench(serial="S")
    mine = address("127.0.0.1")
    assert bench.ask(gvcp.ForceIp(b"\2abcde", mine, 0, 0), B) is None
    assert bench.status(gvcp.ForceIp(mac_of("S"), mine, 0, 0), B) == Status.SUCCESS
    assert bench.status(gvcp.ForceIp(mac_of("S"), mine + 1, 0, 0), B) == Status.INVALID_PARAMETER
    bench.write(Reg.CCP, Ccp.CONTROL)
    assert bench.status(gvcp.ForceIp(mac_of("S"), mine, 0, 0), B) == Status.ACCESS_DENIED


def test_sizes_are_checked_and_locked_while_acquiring(bench: Bench) -> None:
    assert bench.write(bench.at["Width"], 66) == Status.INVALID_PARAMETER
    assert bench.write(bench.at["Width"], 33) == Status.INVALID_PARAMETER
    assert bench.write(bench.at["Width"], 32) == Status.SUCCESS
    assert bench.write(bench.at["OffsetX"], 34) == Status.INVALID_PARAMETER
    assert bench.write(bench.at["OffsetX"], 32) == Status.SUCCESS
    assert bench.write(bench.at["PixelFormat"], 0x01100005) == Status.INVALID_PARAMETER
    bench.write(bench.at["AcquisitionStart"], 1)
    assert bench.write(bench.at["Width"], 16) == Status.BUSY
    assert bench.write(bench.at["PixelFormat"], 0x01100025) == Status.BUSY


def test_the_temperature_is_read_fresh_and_too_much_of_it_is_a_fault(bench: Bench) -> None:
    assert bench.read(bench.at["DeviceTemperature"]) == 13000
    bench.device.thermometer.put(61.5, bench.now)
    assert bench.read(bench.at["DeviceTemperature"]) == 16150
    bench.device.check_temperature()
    assert bench.read(bench.at["DetectorState"]) == State.FAULT
    assert bench.write(bench.at["AcquisitionStart"], 1) == Status.LOCAL_PROBLEM
    assert bench.write(bench.at["DetectorPrepare"], 1) == Status.LOCAL_PROBLEM
    assert ("detector.fault", {"what": "over-temperature", "celsius": 61.5}) in bench.events
    bench.device.thermometer.put(30, bench.now)
    bench.device.check_temperature()
    assert bench.read(bench.at["DetectorState"]) == State.IDLE


def test_a_heartbeat_that_was_switched_off_never_ends(bench: Bench) -> None:
    bench.write(Reg.GVCP_CONFIG, 1)
    bench.now += 3600 * SECOND
    bench.device.control.tick(bench.now)
    assert bench.device.control.owner == A


def test_control_is_lost_only_where_somebody_has_it() -> None:
    bench = Bench()
    bench.device.book.arm("c", "control_loss", {}, {})
    bench.device.run_due()
    assert [k for k, _ in bench.events] == []
    bench.write(Reg.CCP, Ccp.CONTROL)
    bench.write(bench.at["AcquisitionStart"], 1)
    bench.write(bench.at["DetectorPrepare"], 1)
    assert bench.device.control.owner is None
    assert "fault.fired" in [k for k, _ in bench.events]


def test_event_notification_belongs_to_the_selected_event(bench: Bench) -> None:
    bench.write(bench.at["EventSelector"], 4)
    bench.write(bench.at["EventNotification"], 0)
    assert bench.read(bench.at["EventNotification"]) == 0
    bench.write(bench.at["EventSelector"], 3)
    assert bench.read(bench.at["EventNotification"]) == 1
    assert bench.write(bench.at["EventSelector"], 99) == Status.INVALID_PARAMETER
