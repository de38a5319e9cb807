"""JSON lines between a sandbox and its launcher."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bench.sandbox.channel import Channel, ChannelClosed


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    left, right = (Channel(sock) for sock in socket.socketpair())
    yield left, right
    left.close()
    right.close()


def test_messages_keep_their_order_and_value(pair: tuple[Channel, Channel]) -> None:
    left, right = pair
    messages = [1, "山田\nx", {"a": [None, True, 1.5]}, [], "y" * 100_000]
    sender = threading.Thread(target=lambda: [left.send(each) for each in messages])
    sender.start()
    assert [right.recv(60) for _ in messages] == messages
    sender.join()
    assert not right.pending()


def test_a_message_may_come_in_any_pieces() -> None:
    raw, other = socket.socketpair()
    channel = Channel(other)
    with raw:
        for byte in b'{"a":1}\n[2':
            raw.send(bytes([byte]))
        assert channel.recv(60) == {"a": 1}
        with pytest.raises(TimeoutError):
            channel.recv(0.01)
        raw.send(b"]\n3\n")
        assert channel.recv(60) == [2]
        assert channel.pending()
        assert channel.recv(0) == 3
    with pytest.raises(ChannelClosed):
        channel.recv(60)
    channel.close()


def test_what_was_sent_before_the_end_arrives(pair: tuple[Channel, Channel]) -> None:
    left, right = pair
    left.send("last words")
    left.close()
    assert right.recv(60) == "last words"
    with pytest.raises(ChannelClosed):
        right.recv(60)
    with pytest.raises(ChannelClosed):
        for _ in range(10):
            right.send("nobody there")


def test_threads_do_not_mix_their_messages(pair: tuple[Channel, Channel]) -> None:
    left, right = pair
    threads = [
        threading.Thread(target=lambda n=number: [left.send([n, "z" * 5000, at]) for at in range(50)])
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    got = [right.recv(60) for _ in range(200)]
    for thread in threads:
        thread.join()
    for number in range(4):
        assert [each[2] for each in got if each[0] == number] == list(range(50))
