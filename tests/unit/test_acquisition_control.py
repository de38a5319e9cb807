"""The GVCP client against a scripted device: ids, repetition, pending answers, refusals, strangers."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from modality.acquisition import gvcp
from modality.acquisition.gvcp import ControlChannel, ControlError, Refused, Silent

PATIENCE_S = 30.0
Answer = Callable[["Device", int, int, bytes], list[bytes]]


def ack(code: int, ident: int, payload: bytes = b"", status: int = 0) -> bytes:
    return struct.pack(">HHHH", status, code, len(payload), ident) + payload


class Device:
    """Answers datagrams as the test says; default: register values equal their addresses."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.seen: list[tuple[int, int, int, bytes]] = []
        self.script: list[Answer] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            data, peer = self.socket.recvfrom(2048)
            if data == b"end":
                return
            key, flags, code, length, ident = struct.unpack_from(">BBHHH", data)
            assert key == 0x42
            assert length == len(data) - 8
            self.seen.append((flags, code, ident, data[8:]))
            if flags & 1:
                answer = self.script.pop(0) if self.script else usual
                for packet in answer(self, code, ident, data[8:]):
                    self.socket.sendto(packet, peer)

    def close(self) -> None:
        self.socket.sendto(b"end", ("127.0.0.1", self.port))
        self.thread.join(60.0)
        self.socket.close()


def usual(device: Device, code: int, ident: int, payload: bytes) -> list[bytes]:
    if code == gvcp.READREG:
        return [ack(code + 1, ident, payload)]
    if code == gvcp.READMEM:
        address, _, count = struct.unpack(">IHH", payload)
        return [ack(code + 1, ident, payload[:4] + bytes((address + i) & 0xFF for i in range(count)))]
    if code == gvcp.DISCOVERY:
        block = bytearray(0xF8)
        block[0x0A:0x10] = bytes(range(6))
        block[0x24:0x28] = socket.inet_aton("10.78.0.2")
        for at, text in ((0x48, b"Vendor"), (0x68, b"Model"), (0xD8, b"S-1"), (0xE8, b"bucky\xff")):
            block[at : at + len(text)] = text
        return [ack(code + 1, ident, bytes(block))]
    return [ack(code + 1, ident, b"\0\0\0\1")]


@pytest.fixture
def device() -> Iterator[Device]:
    made = Device()
    yield made
    made.close()


@pytest.fixture
def channel(device: Device) -> Iterator[ControlChannel]:
    made = ControlChannel("127.0.0.1", device.port, timeout_s=PATIENCE_S, retries=2)
    yield made
    made.close()


@pytest.fixture
def hasty(device: Device) -> Iterator[ControlChannel]:
    """One that does not wait long: for answers that do not come."""
    made = ControlChannel("127.0.0.1", device.port, timeout_s=1.0, retries=2)
    yield made
    made.close()


def test_who_is_there(channel: ControlChannel) -> None:
    info = channel.discover()
    assert (info.vendor, info.model, info.serial, info.user_name) == ("Vendor", "Model", "S-1", "bucky\ufffd")
    assert (info.mac, info.address) == ("00:01:02:03:04:05", "10.78.0.2")
    assert channel.local_address == "127.0.0.1"


def test_registers_and_memory(device: Device, channel: ControlChannel) -> None:
    assert channel.read_register(0xA00) == 0xA00
    channel.write_register(0xA00, 2)
    assert device.seen[-1][1:] == (gvcp.WRITEREG, 2, struct.pack(">II", 0xA00, 2))
    assert channel.read_memory(0x203, 1030) == bytes((0x203 + i) & 0xFF for i in range(1030))
    sizes = [struct.unpack(">IHH", p)[2] for _, c, _, p in device.seen if c == gvcp.READMEM]
    assert all(size <= 512 and size % 4 == 0 for size in sizes)
    with pytest.raises(ValueError, match="multiples of 4"):
        channel.write_memory(2, b"1234")


def test_a_lost_answer_is_asked_for_with_the_same_id(device: Device, hasty: ControlChannel) -> None:
    device.script = [lambda *a: [], lambda *a: []]
    assert hasty.read_register(8) == 8
    assert len({ident for _, _, ident, _ in device.seen}) == 1
    assert hasty.read_register(8) == 8
    idents = [ident for _, _, ident, _ in device.seen]
    assert idents[-1] == idents[0] + 1
    assert 0 not in idents


def test_silence_is_told_after_all_tries(device: Device, hasty: ControlChannel) -> None:
    device.script = [lambda *a: []] * 3
    with pytest.raises(Silent):
        hasty.read_register(8)
    deadline = time.monotonic() + PATIENCE_S
    while len(device.seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)  # the device may be behind
    assert len(device.seen) == 3
    assert hasty.read_register(12) == 12


def test_refusals_carry_the_status(device: Device, channel: ControlChannel) -> None:
    device.script = [lambda d, code, ident, p: [ack(code + 1, ident, b"", 0x8006)]]
    with pytest.raises(Refused, match="access denied") as caught:
        channel.write_register(0xA00, 2)
    assert caught.value.status == 0x8006
    assert len(device.seen) == 1


def test_a_pending_answer_is_waited_for(device: Device, hasty: ControlChannel) -> None:
    def later(d: Device, code: int, ident: int, payload: bytes) -> list[bytes]:
        peer = hasty._socket.getsockname()
        threading.Timer(1.5, d.socket.sendto, (ack(code + 1, ident, payload), peer)).start()
        return [ack(gvcp.PENDING_ACK, ident, struct.pack(">HH", 0, 60_000))]

    device.script = [later]
    assert hasty.read_register(16) == 16
    assert len(device.seen) == 1


def test_strange_datagrams_are_skipped(device: Device, channel: ControlChannel) -> None:
    def noisy(d: Device, code: int, ident: int, payload: bytes) -> list[bytes]:
        good = ack(code + 1, ident, payload)
        return [
            b"",
            b"abc",
            ack(code + 1, ident + 1, b"\0\0\0\7"),
            ack(code + 3, ident, payload),
            good[:-1],
            good,
        ]

    device.script = [noisy]
    assert channel.read_register(20) == 20
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(ack(gvcp.READREG + 1, 2, b"\0\0\0\7"), channel._socket.getsockname())
    assert channel.read_register(24) == 24


def test_short_answers_are_errors(device: Device, channel: ControlChannel) -> None:
    device.script = [lambda d, code, ident, p: [ack(code + 1, ident, b"\0\0")]] * 3
    for question in (
        lambda: channel.read_register(0),
        lambda: channel.read_memory(0, 4),
        lambda: channel.discover(),
    ):
        with pytest.raises(ControlError, match="bytes"):
            question()


def test_resend_has_no_answer_and_the_standard_layout(device: Device, channel: ControlChannel) -> None:
    channel.resend(0x1234, 5, 0x01_0000)
    assert channel.read_register(4) == 4
    flags, code, ident, payload = device.seen[0]
    assert (flags, code, payload) == (0, gvcp.PACKETRESEND, bytes.fromhex("0000 1234 00000005 00010000"))
    assert ident != 0


def test_nobody_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    channel = ControlChannel("127.0.0.1", port, timeout_s=0.02, retries=1)
    with pytest.raises(Silent):
        channel.discover()
    channel.close()
    with pytest.raises(Silent):
        channel.discover()
