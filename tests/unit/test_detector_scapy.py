"""The scapy layers say the same as the codecs."""

from __future__ import annotations

from simulators.detector import gvcp, gvsp


def test_scapy_layers_agree_with_the_codec() -> None:
    from simulators.detector.scapy_layers import layers

    s = layers()
    made = bytes(s.GvcpCommand(request_id=9) / s.GvcpReadReg(addresses=[0xA00, 0x938]))
    assert gvcp.decode_command(made) == gvcp.Command(gvcp.ReadReg((0xA00, 0x938)), 9)
    made = bytes(s.GvcpCommand(request_id=3, flags=0) / s.GvcpResend(block=5, first=7, last=9))
    assert gvcp.decode_command(made) == gvcp.Command(gvcp.PacketResend(0, 5, 7, 9), 3, 0)
    read = s.GvcpAnswer(gvcp.encode_answer(0x8006, 0x83, 77, b"\0\0\0\1"))
    assert (read.status, read.answer, read.request_id, read.data) == (0x8006, 0x83, 77, b"\0\0\0\1")
    leader = gvsp.Leader(12, 1 << 40, gvsp.MONO14, 640, 480, 2, 4)
    read = s.Gvsp(gvsp.encode(leader))
    assert (read.block, read.packet, read.timestamp, read.width, read.height) == (12, 0, 1 << 40, 640, 480)
    assert read.pixel_format == gvsp.MONO14
    assert gvsp.decode(bytes(read)) == leader
    trailer = gvsp.decode(bytes(s.Gvsp(block=3, format=2, packet=99) / s.GvspImageTrailer(height=64)))
    assert trailer == gvsp.Trailer(3, 99, 64)
