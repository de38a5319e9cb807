"""GVCP and GVSP codecs and the device's control channel: any bytes are survived, valid ones come back unchanged."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.detector import Config, gvcp, gvsp
from simulators.detector.bootstrap import Reg
from simulators.detector.device import Device
from simulators.detector.gvcp import Status

u16, u24, u32, u64 = (st.integers(0, (1 << n) - 1) for n in (16, 24, 32, 64))
words = st.integers(0, 0x3FFFFFFF).map(lambda n: 4 * n)

bodies = st.one_of(
    st.just(gvcp.Discovery()),
    st.builds(gvcp.ReadReg, st.lists(u32, min_size=1, max_size=135).map(tuple)),
    st.builds(gvcp.WriteReg, st.lists(st.tuples(u32, u32), min_size=1, max_size=67).map(tuple)),
    st.builds(gvcp.ReadMem, words, st.integers(1, gvcp.MAX_MEM // 4).map(lambda n: 4 * n)),
    st.builds(
        gvcp.WriteMem, words, st.integers(1, 134).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
    ),
    st.builds(gvcp.PacketResend, u16, u16, u24, u24),
    st.builds(gvcp.ForceIp, st.binary(min_size=6, max_size=6), u32, u32, u32),
    st.builds(gvcp.Event, u16, u16, u16, u64),
    st.builds(gvcp.Action, u32, u32, u32),
)
commands = st.builds(gvcp.Command, bodies, st.integers(1, 0xFFFF), st.integers(0, 0xFF))

# Bytes that get past the first checks: a right header around anything.
framed = st.builds(
    lambda code, flags, payload, rid: struct.pack(">BBHHH", 0x42, flags, code, len(payload), rid) + payload,
    st.one_of(u16, st.sampled_from([int(c) for c in gvcp.Code])),
    st.integers(0, 255),
    st.binary(max_size=600),
    u16,
)
packets = st.one_of(
    st.builds(gvsp.Leader, st.integers(1, 0xFFFF), u64, u32, u32, u32, u32, u32, u16),
    st.builds(gvsp.Payload, st.integers(1, 0xFFFF), u24, st.binary(max_size=200), u16),
    st.builds(gvsp.Trailer, st.integers(1, 0xFFFF), u24, u32, u16),
)


@given(commands)
def test_a_command_comes_back_unchanged(command: gvcp.Command) -> None:
    assert gvcp.decode_command(gvcp.encode_command(command)) == command


@given(st.one_of(st.binary(max_size=700), framed))
def test_any_bytes_are_a_command_or_a_refusal(data: bytes) -> None:
    result = gvcp.decode_command(data)
    if isinstance(result, gvcp.Refusal):
        assert result.status is not Status.SUCCESS
        assert result.reason
    else:
        assert isinstance(result, gvcp.Command)


@given(u16, u16, u16, st.binary(max_size=540))
def test_an_acknowledge_comes_back_unchanged(status: int, ack: int, rid: int, payload: bytes) -> None:
    assert gvcp.decode_answer(gvcp.encode_answer(status, ack, rid, payload)) == gvcp.Answer(
        status, ack, rid, payload
    )


@given(st.binary(max_size=64))
def test_any_bytes_are_an_acknowledge_or_none(data: bytes) -> None:
    answer = gvcp.decode_answer(data)
    assert answer is None or len(answer.payload) == len(data) - 8


@given(packets)
def test_a_stream_packet_comes_back_unchanged(packet: gvsp.Packet) -> None:
    assert gvsp.decode(gvsp.encode(packet)) == packet


@given(st.binary(max_size=200))
def test_any_bytes_are_a_stream_packet_or_none(data: bytes) -> None:
    packet = gvsp.decode(data)
    assert packet is None or packet.block != 0


@given(st.integers(1, 1 << 20), st.integers(576, 9000))
def test_the_pieces_of_a_frame_cover_it_once(size: int, packet_size: int) -> None:
    cut = gvsp.Packets(size, packet_size)
    end = 0
    for packet in range(1, cut.count + 1):
        piece = cut.piece(packet)
        assert piece.start == end
        assert 0 < piece.stop - piece.start <= cut.step
        end = piece.stop
    assert end == size


@given(st.lists(st.one_of(framed, commands.map(gvcp.encode_command), st.binary(max_size=40)), max_size=25))
@settings(max_examples=100, deadline=None)
def test_the_control_channel_survives_anything_and_answers_with_a_valid_acknowledge(
    datagrams: list[bytes],
) -> None:
    device = Device(Config(width=64, height=64), lambda kind, /, **data: None, clock=lambda: 1)
    peer = ("127.0.0.1", 5000)
    with device.lock:
        device.control.handle(gvcp.encode_command(gvcp.Command(gvcp.WriteReg(((Reg.CCP, 2),)), 7)), peer, 1)
        for number, data in enumerate(datagrams):
            reply = device.control.handle(data, peer, 2 + number)
            if reply is not None:
                answer = gvcp.decode_answer(reply.data)
                assert answer is not None
                assert answer.request_id == struct.unpack(">H", data[6:8])[0]
                assert len(answer.payload) <= gvcp.MAX_PAYLOAD
