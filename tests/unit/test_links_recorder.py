"""The bytes of a capture file, and which packets the kernel's filter lets through."""

from __future__ import annotations

import socket
import struct

import pytest

from bench.links import pcapng
from bench.links.ring import WHOLE, filter_program


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each block."""
    found = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0
        assert data[length - 4 : length] == data[4:8]
        found.append((kind, data[8 : length - 4]))
        data = data[length:]
    return found


def options(data: bytes) -> dict[int, bytes]:
    """Options of a block; checks that they end properly."""
    found = {}
    while True:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            assert (length, len(data)) == (0, 4)
            return found
        found[code] = data[4 : 4 + length]
        data = data[4 + length + -length % 4 :]


def test_a_file_as_the_recorder_writes_it() -> None:
    data = (
        pcapng.section_header("Modality Bench")
        + pcapng.interface_description("lan", "the LAN", 128)
        + pcapng.packet(0, 0x1234_5678_9ABC_DEF0, b"abcde", 99)
        + pcapng.interface_statistics(0, 5, 2**33 + 7, 12, 3)
    )
    section, interface, packet, statistics = parse(data)
    assert section[0] == 0x0A0D0D0A
    assert struct.unpack_from("<IHHq", section[1]) == (0x1A2B3C4D, 1, 0, -1)
    assert options(section[1][16:]) == {4: b"Modality Bench"}
    assert struct.unpack_from("<HHI", interface[1]) == (1, 0, 128)
    assert options(interface[1][8:]) == {2: b"lan", 3: b"the LAN", 9: b"\x09"}
    assert packet == (6, struct.pack("<5I", 0, 0x12345678, 0x9ABCDEF0, 5, 99) + b"abcde\0\0\0")
    assert struct.unpack_from("<III", statistics[1]) == (0, 2, 7)
    found = options(statistics[1][12:])
    assert (found[4], found[5]) == (struct.pack("<Q", 12), struct.pack("<Q", 3))


@pytest.mark.parametrize("length", range(8))
def test_a_packet_block_is_padded_to_four_bytes(length: int) -> None:
    block = pcapng.packet(3, 1, bytes(length))
    total, tail = pcapng.packet_tail(length)
    assert len(block) == total == 28 + length + len(tail)
    assert total % 4 == 0


def run(program: list[tuple[int, int, int, int]], frame: bytes, kind: int = 0) -> int:
    """A small machine for classic BPF: the number of bytes to keep."""
    accumulator = index = 0
    at = 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == 0x06:
            return k
        if code == 0x30:
            accumulator = kind if k == 0xFFFF_F004 else frame[k]
        elif code == 0x28:
            accumulator = struct.unpack_from("!H", frame, k)[0]
        elif code == 0x48:
            accumulator = struct.unpack_from("!H", frame, index + k)[0]
        elif code == 0xB1:
            index = 4 * (frame[k] & 15)
        elif code == 0x15:
            at += yes if accumulator == k else no
        elif code == 0x45:
            at += yes if accumulator & k else no
        else:
            raise AssertionError(hex(code))


def frame(
    protocol: int, source: int, sink: int, *, ether: int = 0x0800, fragment: int = 0, words: int = 5
) -> bytes:
    """An Ethernet frame with an IPv4 header and two ports."""
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, 40, 0, fragment, 64, protocol, 0)
    addresses = socket.inet_aton("127.0.0.1") * 2
    ports = struct.pack("!HH", source, sink)
    return bytes(12) + struct.pack("!H", ether) + head + addresses + bytes(4 * (words - 5)) + ports


def test_without_ports_everything_is_kept() -> None:
    program = filter_program(WHOLE, [], once=False)
    assert run(program, frame(1, 0, 0)) == WHOLE
    assert run(program, frame(6, 5, 6), kind=4) == WHOLE
    assert run(filter_program(128, [], once=False), frame(6, 5, 6)) == 128


@pytest.mark.parametrize("ports", [[104], [104, 11112, 3956], list(range(1000, 1100))])
@pytest.mark.parametrize("once", [False, True])
def test_only_the_ports_of_the_bench_are_kept(ports: list[int], once: bool) -> None:
    program = filter_program(WHOLE, ports, once)
    for port in ports:
        for protocol in (6, 17):
            assert run(program, frame(protocol, port, 40000)) == WHOLE
            assert run(program, frame(protocol, 40000, port)) == WHOLE
            assert run(program, frame(protocol, 40000, port, words=8)) == WHOLE
        assert run(program, frame(1, port, port)) == 0, "ICMP has no ports"
        assert run(program, frame(6, port, port, ether=0x0806)) == 0
        assert run(program, frame(6, port, port, fragment=100)) == 0, "a later fragment has no ports"
        assert run(program, frame(6, port, 40000), kind=4) == (0 if once else WHOLE)
    assert run(program, frame(6, 40000, 40001)) == 0


def test_too_many_ports_are_refused() -> None:
    with pytest.raises(ValueError, match="100"):
        filter_program(WHOLE, list(range(101)), once=True)
