"""P-DATA as the MX1 writes it, and whose turn it is with a peer."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modality.config import Peer
from modality.dicom.association import associate
from modality.dicom.datapipe import DataPipe, TooShort
from modality.dicom.turns import turn
from modality.notices import ServiceFailure
from modality.products.mx1.config import Mx1Config


def _sent(limit: int, command: bytes, pieces: list[bytes]) -> list[tuple[int, int, bytes]]:
    """Length, control header and value of every PDV written."""
    near, far = socket.socketpair()
    got = bytearray()

    def read() -> None:
        while data := far.recv(1 << 16):
            got.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    pipe = DataPipe(near, limit, 5.0)
    pipe.send(7, command, pieces)
    pipe.close()
    near.shutdown(socket.SHUT_WR)
    reader.join(10)
    near.close()
    far.close()
    found, at = [], 0
    while at < len(got):
        assert got[at : at + 2] == b"\x04\0"
        length = int.from_bytes(got[at + 2 : at + 6], "big")
        assert int.from_bytes(got[at + 6 : at + 10], "big") == length - 4  # one PDV in each
        assert got[at + 10] == 7
        found.append((length, got[at + 11], bytes(got[at + 12 : at + 6 + length])))
        at += 6 + length
    assert at == len(got)
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.integers(16, 300),
    st.binary(min_size=1, max_size=200),
    st.lists(st.binary(max_size=700), max_size=12),
)
def test_messages_are_cut_as_the_peer_allows(limit: int, command: bytes, pieces: list[bytes]) -> None:
    found = _sent(limit, command, pieces)
    assert all(length <= limit for length, _, _ in found)
    assert b"".join(value for _, control, value in found if control & 1) == command
    assert b"".join(value for _, control, value in found if not control & 1) == b"".join(pieces)
    controls = [control for _, control, _ in found]
    commands = sum(control & 1 for control in controls)
    assert controls == [1] * (commands - 1) + [3] + [0] * (len(controls) - commands - 1) + [2]
    for group in (found[: commands - 1], found[commands:-1]):
        assert all(len(value) == (limit - 6) & ~1 for _, _, value in group)  # full, and of even length


def test_a_peer_that_takes_nothing_is_refused() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(TooShort, match="PDUs of 9 bytes"):
        DataPipe(near, 9, 1.0)


def test_a_peer_that_stops_reading_is_given_up() -> None:
    near, far = socket.socketpair()
    with near, far:
        pipe = DataPipe(near, 16384, 0.05)
        with pytest.raises(TimeoutError):
            pipe.send(1, b"ab", [bytes(50_000_000)])
        pipe.close()


def test_turns_are_taken_one_after_the_other_in_the_order_of_asking() -> None:
    inside: list[int] = []
    order: list[int] = []
    most = 0
    waiting = threading.Event()
    first_is_in = threading.Event()

    def first() -> None:
        with turn("h", 104, "PACS"):
            first_is_in.set()
            waiting.wait(10)
            order.append(0)

    def later(number: int) -> None:
        nonlocal most
        with turn("h", 104, "PACS "):  # the same peer: trailing spaces do not count
            inside.append(number)
            most = max(most, len(inside))
            order.append(number)
            inside.remove(number)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert first_is_in.wait(10)
    for number in range(1, 6):
        threads.append(threading.Thread(target=later, args=(number,)))
        threads[-1].start()
    with turn("h", 104, "OTHER"), turn("h", 105, "PACS"):
        pass  # other peers do not wait
    waiting.set()
    for thread in threads:
        thread.join(10)
    assert order[0] == 0
    assert sorted(order) == list(range(6))
    assert most == 1


def test_a_turn_ends_when_its_owner_fails() -> None:
    with pytest.raises(ZeroDivisionError), turn("h", 1, "X"):
        raise ZeroDivisionError
    with turn("h", 1, "X"):
        pass


def test_ipv6_is_refused_without_a_connection() -> None:
    config = Mx1Config(data_dir=Path("/x"), control=Path("/y"))
    with (
        pytest.raises(ServiceFailure, match="IPv4 only"),
        associate(config, Peer("six", "X", "::1", 104), "verification"),
    ):
        pass
