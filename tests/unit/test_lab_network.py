"""The capture laboratory writes what it is told to, as TCP/IP and capture formats want it."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from bench.witness import read
from tests.lab import files
from tests.lab.conversation import Cut, Lab, pdus
from tests.lab.elements import EXPLICIT_LE, DataSet
from tests.lab.products.vxvue import PACS, VXvue

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def _lab() -> Lab:
    lab = Lab(isn=(0xFFFFFF00, 0xFFFFFFF0))
    VXvue(lab).verify(PACS)
    a = lab.associate(contexts=[(DX, [EXPLICIT_LE])])
    a.accept()
    image = DataSet(SOPClassUID=DX, SOPInstanceUID="1.2.3", Rows=100)
    image.put("PixelData", bytes(range(256)) * 80, vr="OW")
    a.request("C-STORE-RQ", image, sop_instance="1.2.3")
    a.respond()
    a.release()
    return lab


@pytest.mark.parametrize("link", ["ethernet", "vlan", "qinq", "sll", "sll2", "raw", "null", "ipv6"])
@pytest.mark.parametrize("order", ["normal", "shuffled", "retransmitted", "overlapping"])
def test_every_road_carries_the_same(link: str, order: str, tmp_path: Path) -> None:
    """Whatever happens on the way, the same messages are read."""
    lab = _lab()
    for name in ("a.pcap", "a.pcapng", "a.pcap.gz"):
        capture = read(lab.write(tmp_path / name, link=link, order=order))
        names = [m.name for a in capture.associations for m in a.messages]
        assert names == ["C-ECHO-RQ", "C-ECHO-RSP", "C-STORE-RQ", "C-STORE-RSP"]
        stored = capture.associations[1].messages[0].dataset
        assert stored is not None
        assert stored.pixels is not None
        assert stored.pixels.length == 256 * 80
        assert all(a.end == "released" for a in capture.associations)


def test_fragments_are_put_together(tmp_path: Path) -> None:
    """IPv4 fragments carry the same."""
    lab = _lab()
    assert len(lab.frames(mtu=576)) > len(lab.frames())
    capture = read(lab.write(tmp_path / "a.pcap", mtu=576))
    assert capture.dicom_messages == 4


def test_gaps_lose_something(tmp_path: Path) -> None:
    """Lost segments are lost."""
    capture = read(_lab().write(tmp_path / "a.pcap", order="gaps"))
    assert any(a.tcp.gaps for a in capture.associations) or len(capture.associations) < 2


def test_what_is_unseen_is_not_there() -> None:
    """Nothing of what is said unseen is in the frames, and the numbers go on behind it."""
    lab = Lab()
    a = lab.associate()
    with a.unseen():
        a.say("acceptor", b"SECRET" * 3)
    a.say("acceptor", b"PUBLIC")
    data = b"".join(frame.data for frame in lab.frames())
    assert b"SECRET" not in data
    assert b"PUBLIC" in data
    first = lab.streams[0].segments(1460)
    public = next(s for s in first if s.data == b"PUBLIC")
    assert (public.seq - lab.streams[0].isn[1] - 1) % (1 << 32) == 18


def test_the_same_bytes_every_time() -> None:
    """Two laboratories write the same file."""
    assert files.pcapng(_lab().frames()) == files.pcapng(_lab().frames())
    assert files.pcap(_lab().frames(order="shuffled")) == files.pcap(_lab().frames(order="shuffled"))


def test_formats(tmp_path: Path) -> None:
    """Magic numbers, nanoseconds, byte order, snap length, sections, compression."""
    frames = _lab().frames()
    assert files.pcap(frames)[:4] == struct.pack("<I", 0xA1B2C3D4)
    assert files.pcap(frames, nanoseconds=True, order=">")[:4] == struct.pack(">I", 0xA1B23C4D)
    for how in ({"order": ">"}, {"sections": 3}, {"nanoseconds": True}, {"comment": "made by hand"}):
        data = files.pcapng(frames, **how)  # type: ignore[arg-type]
        assert read(files.write(tmp_path / "a.pcapng", data)).dicom_messages == 4
    cut = files.pcap(frames, snaplen=100)
    assert len(cut) < len(files.pcap(frames))
    packed = files.write(tmp_path / "b.pcap.gz", cut).read_bytes()
    assert gzip.decompress(packed) == cut


def _flags(data: bytes) -> list[list[tuple[int, int]]]:
    out, at = [], 0
    while at < len(data):
        end = at + 6 + int.from_bytes(data[at + 2 : at + 6], "big")
        at, pdu = at + 6, []
        while at < end:
            size = int.from_bytes(data[at : at + 4], "big")
            pdu.append((data[at + 5], size - 2))
            at += 4 + size
        out.append(pdu)
    return out


def test_cuts() -> None:
    """Messages are cut into PDVs and PDUs as asked."""
    whole = b"".join(pdus(1, b"c" * 10, b"d" * 100, 50, Cut()))
    assert _flags(whole) == [[(3, 10)], [(0, 44)], [(0, 44)], [(2, 12)]]
    small = b"".join(pdus(1, b"c" * 10, b"d" * 10, 200, Cut((4,), pdvs=2)))
    assert _flags(small) == [[(1, 4), (1, 4)], [(3, 2)], [(0, 4), (0, 4)], [(2, 2)]]
    joined = b"".join(pdus(1, b"c" * 10, b"d" * 10, 200, Cut(together=True)))
    assert _flags(joined) == [[(3, 10), (2, 10)]]
    empty = b"".join(pdus(1, b"c" * 10, b"d" * 10, 200, Cut(empty_last=True)))
    assert _flags(empty) == [[(1, 10)], [(3, 0)], [(0, 10)], [(2, 0)]]
