"""Law of the receiver: whatever arrives, there is the whole frame, exactly, or a reason why not."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modality.acquisition.gvsp import PROBLEMS, Format, Receiver

FORMAT = Format(64, 40, 0x01100007, 576)
PIXELS = np.random.default_rng(9).integers(0, 65536, (40, 64), dtype="<u2")
RAW = PIXELS.tobytes()
COUNT = FORMAT.count


def frame(block: int) -> list[bytes]:
    shape = (FORMAT.pixel_format, FORMAT.width, FORMAT.height, 0, 0, 0, 0)
    head = struct.pack(">HHI", 0, block, 1 << 24) + struct.pack(">HHIIIIIIIHH", 0, 1, 0, 0, *shape)
    middle = [
        struct.pack(">HHI", 0, block, 3 << 24 | p) + RAW[(p - 1) * FORMAT.step : p * FORMAT.step]
        for p in range(1, COUNT + 1)
    ]
    return [head, *middle, struct.pack(">HHIHHI", 0, block, 2 << 24 | COUNT + 1, 0, 1, FORMAT.height)]


WIRE = st.lists(
    st.one_of(
        st.integers(0, COUNT + 1),  # a packet of the frame
        st.integers(0, COUNT + 1).map(lambda p: ("cut", p)),
        st.integers(0, COUNT + 1).map(lambda p: ("foreign", p)),
        st.tuples(st.just("status"), st.integers(0, COUNT + 1)),
        st.binary(max_size=60),
    ),
    min_size=1,
    max_size=60,
)


@given(WIRE, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whole_or_a_reason(wire: list[object], complete: bool, repairs: bool, shuffler: object) -> None:
    receiver = Receiver("127.0.0.1", slots=8)
    packets = frame(1)
    sent: list[bytes] = []
    for item in [*wire, *(range(COUNT + 2) if complete else ())]:
        if isinstance(item, int):
            sent.append(packets[item])
        elif isinstance(item, bytes):
            sent.append(item)
        else:
            assert isinstance(item, tuple)
            what, number = item
            packet = frame(7)[number] if what == "foreign" else packets[number]
            if what == "cut":
                packet = packet[:-2]
            elif what == "status":
                packet = b"\x80\x0c" + packet[2:8]
            sent.append(packet)
    shuffler.shuffle(sent)  # type: ignore[attr-defined]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.bind(("127.0.0.1", 0))
        receiver.connect("127.0.0.1", device.getsockname()[1])
        to = ("127.0.0.1", receiver.port)

        def resend(block: int, first: int, last: int) -> None:
            assert 0 <= first <= last <= COUNT + 1
            if repairs and block in (1, 7):
                for packet in frame(block)[first : last + 1]:
                    device.sendto(packet, to)

        receiver.expect(FORMAT)
        for packet in sent:
            device.sendto(packet, to)
        cancelled = threading.Event()
        timer = threading.Timer(1.5, cancelled.set)  # nothing of a frame may have been among it
        timer.start()
        got = receiver.receive(resend, cancelled, 0.15, 1.0)
        timer.cancel()
    try:
        if got.problem:
            assert got.problem in PROBLEMS
        else:
            assert np.array_equal(receiver.pixels(), PIXELS)
            assert receiver.sha256() == hashlib.sha256(RAW).hexdigest()
            assert got.missing == (0 if got.trailer else 1)
    finally:
        receiver.close()
