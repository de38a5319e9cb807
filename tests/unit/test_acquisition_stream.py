"""The receiver of a frame against a sender of this test, packet by packet."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from modality.acquisition.gvsp import Format, Frame, Receiver

WIDTH, HEIGHT, SIZE = 200, 130, 576
FORMAT = Format(WIDTH, HEIGHT, 0x01100007, SIZE)
PIXELS = np.random.default_rng(5).integers(0, 65536, (HEIGHT, WIDTH), dtype="<u2")
RAW = PIXELS.tobytes()
STEP = SIZE - 36
COUNT = -(-len(RAW) // STEP)


def leader(block: int = 1, width: int = WIDTH) -> bytes:
    body = struct.pack(">HHIIIIIIIHH", 0, 1, 1, 2, FORMAT.pixel_format, width, HEIGHT, 0, 0, 0, 0)
    return struct.pack(">HHI", 0, block, 1 << 24) + body


def payload(packet: int, block: int = 1, status: int = 0) -> bytes:
    head = struct.pack(">HHI", status, block, 3 << 24 | packet)
    return head + (b"" if status else RAW[(packet - 1) * STEP : packet * STEP])


def trailer(block: int = 1, count: int = COUNT) -> bytes:
    return struct.pack(">HHIHHI", 0, block, 2 << 24 | count + 1, 0, 1, HEIGHT)


def frame(block: int = 1) -> list[bytes]:
    return [leader(block), *(payload(p, block) for p in range(1, COUNT + 1)), trailer(block)]


class Sender:
    """A device that sends what it is told, and answers requests as it is told."""

    def __init__(self, plain: bool) -> None:
        self.receiver = Receiver("127.0.0.1", slots=16, plain=plain)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.receiver.connect("127.0.0.1", self.socket.getsockname()[1])
        self.asked: list[tuple[int, int, int]] = []
        self.answer: Callable[[int, int], list[bytes]] = lambda block, packet: []

    def send(self, packets: list[bytes]) -> None:
        for packet in packets:
            self.socket.sendto(packet, ("127.0.0.1", self.receiver.port))

    def resend(self, block: int, first: int, last: int) -> None:
        self.asked.append((block, first, last))
        for packet in range(first, last + 1):
            self.send(self.answer(block, packet))

    def receive(self, packets: list[bytes], *, able: bool = True, stall_s: float = 0.6) -> Frame:
        self.receiver.expect(FORMAT)
        self.send(packets)
        return self.receiver.receive(self.resend if able else None, threading.Event(), stall_s, 5.0)

    def repair(self, block: int, packet: int) -> list[bytes]:
        """Answer as a healthy device does."""
        return [frame(block)[packet]]


@pytest.fixture(params=[False, True], ids=["recvmmsg", "recv_into"])
def sender(request: pytest.FixtureRequest) -> Iterator[Sender]:
    made = Sender(request.param)
    yield made
    made.socket.close()
    made.receiver.close()


def whole(sender: Sender, got: Frame) -> None:
    assert (got.problem, got.text) == ("", "")
    assert np.array_equal(sender.receiver.pixels(), PIXELS)
    assert sender.receiver.sha256() == hashlib.sha256(RAW).hexdigest()


def test_a_frame_in_order(sender: Sender) -> None:
    got = sender.receive(frame())
    whole(sender, got)
    assert (got.missing, got.requests, got.trailer, got.timestamp) == (0, 0, True, 1 << 32 | 2)


def test_duplicates_disorder_and_strangers(sender: Sender) -> None:
    packets = frame()
    order = np.random.default_rng(3).permutation(len(packets) - 1)
    mixed = (
        [packets[i] for i in order] + packets[10:20] + [b"", b"\0" * 5, b"\xff" * 600, payload(3, block=9)]
    )
    got = sender.receive([*mixed, packets[-1]])
    whole(sender, got)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        sender.receiver.expect(FORMAT)
        stranger.sendto(payload(1, block=7)[:20] * 3, ("127.0.0.1", sender.receiver.port))
        sender.send(frame(2))
        whole(sender, sender.receiver.receive(None, threading.Event(), 1.0, 5.0))


def test_losses_are_repaired(sender: Sender) -> None:
    sender.answer = sender.repair
    lost = {3, 4, 5, 40, COUNT}
    got = sender.receive([p for i, p in enumerate(frame()) if i not in lost])
    whole(sender, got)
    assert got.repaired == len(lost)
    assert {p for _, a, b in sender.asked for p in range(a, b + 1)} == lost
    assert (1, 3, 5) in sender.asked  # a run is one request


def test_leader_and_trailer_are_repaired(sender: Sender) -> None:
    sender.answer = sender.repair
    got = sender.receive(frame()[1:-1])
    whole(sender, got)
    assert got.trailer
    assert {a for _, a, _ in sender.asked} == {0, COUNT + 1}


def test_a_trailer_that_never_comes_is_noted(sender: Sender) -> None:
    got = sender.receive(frame()[:-1])
    whole(sender, got)
    assert not got.trailer


def test_a_repair_that_is_lost_is_asked_for_again(sender: Sender) -> None:
    def stubborn(block: int, packet: int) -> list[bytes]:
        return sender.repair(block, packet) if len(sender.asked) >= 3 else []

    sender.answer = stubborn
    whole(sender, sender.receive([p for i, p in enumerate(frame()) if i != 7]))
    assert len(sender.asked) == 3


@pytest.mark.parametrize("case", ["silent", "unable", "refused"])
def test_no_half_images(sender: Sender, case: str) -> None:
    if case == "refused":
        sender.answer = lambda block, packet: [payload(packet, block, 0x800C)]
    got = sender.receive([p for i, p in enumerate(frame()) if i not in (7, 8)], able=case != "unable")
    assert got.problem == "incomplete"
    assert got.missing == 2
    assert f"2 of {COUNT + 2} packets" in got.text


def test_a_frame_without_leader_is_no_image(sender: Sender) -> None:
    assert sender.receive(frame()[1:]).problem == "incomplete"


def test_another_size_is_refused(sender: Sender) -> None:
    got = sender.receive([leader(width=WIDTH + 2), *frame()[1:]])
    assert got.problem == "size"
    assert "202 x 130" in got.text
    assert sender.receive([*frame(2)[:-1], trailer(2, COUNT - 1)]).problem == "size"


def test_stragglers_of_the_frame_before_are_ignored(sender: Sender) -> None:
    whole(sender, sender.receive(frame(1)))
    sender.receiver.expect(FORMAT)
    sender.send([payload(5, block=1), trailer(1)])
    cancelled = threading.Event()
    threading.Timer(0.15, cancelled.set).start()
    assert sender.receiver.receive(None, cancelled, 1.0, 5.0).problem == "cancelled"
    whole(sender, sender.receive([payload(5, block=1), *frame(2)]))


def test_cut_payload_does_not_count(sender: Sender) -> None:
    packets = frame()
    packets[9] = packets[9][:-4]
    assert sender.receive(packets).problem == "incomplete"


def test_closing_ends_the_wait(sender: Sender) -> None:
    sender.receiver.expect(FORMAT)
    done: list[Frame] = []
    thread = threading.Thread(
        target=lambda: done.append(sender.receiver.receive(None, threading.Event(), 1.0, 5.0))
    )
    thread.start()
    sender.receiver.close()
    thread.join(5.0)
    assert done[0].problem == "socket"


def test_a_straggler_of_an_old_block_does_not_hide_the_frame(sender: Sender) -> None:
    whole(sender, sender.receive([payload(5, block=9), payload(6, block=9), *frame(2)], able=False))
