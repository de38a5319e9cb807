"""Capture files of every kind, whole and damaged, give the same conversation or say what is missing."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.witness import Capture, NotACapture, read
from tests.lab import files
from tests.lab.conversation import Lab
from tests.lab.elements import EXPLICIT_LE, DataSet

STORE = "1.2.840.10008.5.1.4.1.1.1.1"
PIXELS = bytes(range(256)) * 80


def laboratory(**how: object) -> Lab:
    """An association with one C-STORE."""
    lab = Lab()
    a = lab.associate(contexts=[(STORE, [EXPLICIT_LE])], **how)  # type: ignore[arg-type]
    a.accept()
    a.request("C-STORE-RQ", DataSet(PatientID="7", PixelData=PIXELS), sop_instance="1.2.3")
    a.respond()
    a.release()
    return lab


def is_whole(capture: Capture) -> None:
    """What :func:`laboratory` said was read."""
    (association,) = capture.associations
    assert (association.called, association.calling) == ("PACS", "VXVUE")
    assert [m.name for m in association.messages] == ["C-STORE-RQ", "C-STORE-RSP"]
    store = association.messages[0]
    assert store.complete
    assert store.dataset is not None
    assert store.dataset.text("PatientID") == "7"
    assert store.dataset.pixels is not None
    assert store.dataset.pixels.length == len(PIXELS)
    assert (association.end, association.ended_by, association.whole) == ("released", "requestor", True)
    assert association.problems == ()
    assert capture.problems == ()


@pytest.mark.parametrize("link", ["ethernet", "vlan", "qinq", "sll", "sll2", "raw", "null", "ipv6"])
@pytest.mark.parametrize("name", ["a.pcap", "a.pcapng", "a.pcap.gz", "a.pcapng.gz"])
def test_links_and_formats(tmp_path: Path, link: str, name: str) -> None:
    """Every link layer in every format."""
    is_whole(read(laboratory().write(tmp_path / name, link=link)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
@pytest.mark.parametrize("name", ["a.pcap", "a.pcapng"])
def test_byte_orders_and_clocks(tmp_path: Path, order: str, nanoseconds: bool, name: str) -> None:
    """Times come out the same whatever the unit; the first frame is the SYN."""
    lab = laboratory()
    capture = read(lab.write(tmp_path / name, order="normal", mss=700))
    make = files.pcap if name == "a.pcap" else files.pcapng
    other = read(
        files.write(tmp_path / f"b{name}", make(lab.frames(mss=700), order=order, nanoseconds=nanoseconds))
    )
    is_whole(other)
    assert other.first_time == pytest.approx(lab.streams[0].start, abs=2e-6)
    for mine, theirs in zip(capture.associations[0].messages, other.associations[0].messages, strict=True):
        assert mine.first_frame == theirs.first_frame
        assert mine.last_time == pytest.approx(theirs.last_time, abs=2e-6)


@pytest.mark.parametrize("accident", ["shuffled", "retransmitted", "overlapping"])
def test_accidents(tmp_path: Path, accident: str) -> None:
    """What the lab does to segments does not change what was said."""
    capture = read(laboratory().write(tmp_path / "a.pcapng", order=accident))
    is_whole(capture)
    tcp = capture.associations[0].tcp
    assert tcp.reordered if accident == "shuffled" else tcp.retransmissions


def test_ip_fragments(tmp_path: Path) -> None:
    """IPv4 fragments are put together; one that is missing is a gap and said so."""
    is_whole(read(laboratory().write(tmp_path / "a.pcap", mss=8000, mtu=1500)))
    frames = [f for n, f in enumerate(laboratory().frames(mss=8000, mtu=1500)) if n != 12]
    capture = read(files.write(tmp_path / "b.pcap", files.pcap(frames)))
    assert [p.code for p in capture.problems] == ["capture-fragments"]
    (association,) = capture.associations
    assert not association.whole
    assert {p.code for p in association.problems} <= {"gap", "message-open", "resynchronised", "pdu-open"}


def test_sections_interfaces_and_simple_packets(tmp_path: Path) -> None:
    """Several sections, each with its own interfaces; simple packet blocks have no time but are read."""
    lab = laboratory()
    lab.interfaces["10.0.0.5"] = 3
    assert len(lab.frames()) > 20
    is_whole(read(lab.write(tmp_path / "a.pcapng", sections=3)))
    is_whole(read(lab.write(tmp_path / "b.pcapng", simple=True)))


def test_several_files_are_one_capture(tmp_path: Path) -> None:
    """Parts of a capture are put in order of time; frames are numbered on and can be located."""
    frames = laboratory().frames()
    half = len(frames) // 2
    late = files.write(tmp_path / "a_late.pcap", files.pcap(frames[half:]))
    early = files.write(tmp_path / "b_early.pcapng.gz", files.pcapng(frames[:half]))
    capture = read(late, early)
    is_whole(capture)
    assert capture.files == ("b_early.pcapng.gz", "a_late.pcap")
    assert capture.frames == len(frames)
    assert capture.locate(half + 2) == ("a_late.pcap", 2)
    assert capture.locate(half) == ("b_early.pcapng.gz", half)


def test_frame_numbers_count_everything(tmp_path: Path) -> None:
    """Frames that are not TCP count too, as in Wireshark."""
    arp = files.Frame(0.0, b"\xff" * 12 + b"\x08\x06" + bytes(46))
    frames = laboratory().frames()
    before = read(files.write(tmp_path / "a.pcap", files.pcap(frames))).associations[0]
    after = read(files.write(tmp_path / "b.pcap", files.pcap([arp] * 7 + frames))).associations[0]
    assert after.request is not None
    assert before.request is not None
    assert after.request.frame == before.request.frame + 7
    assert after.messages[0].last_frame == before.messages[0].last_frame + 7


def test_the_frame_of_a_byte(tmp_path: Path) -> None:
    """``frame_at`` names the frame whose payload holds that byte of the data set."""
    lab = laboratory()
    frames = lab.frames()
    capture = read(lab.write(tmp_path / "a.pcap"))
    message = capture.associations[0].messages[0]
    assert message.dataset is not None
    element = message.dataset.get("PixelData")
    assert element is not None
    for offset in (0, 700, 5000, 20_000):
        place = message.frame_at(element.offset + element.header + offset)
        wanted = PIXELS[offset : offset + 16]
        payload = frames[place - 1].data[54:]
        after = frames[place].data[54:] if len(frames[place].data) > 60 else frames[place + 1].data[54:]
        assert wanted in payload + after, (offset, place)
        assert wanted[:1] in payload


@pytest.mark.parametrize("name", ["a.pcap", "a.pcapng", "a.pcap.gz"])
def test_cut_in_the_middle(tmp_path: Path, name: str) -> None:
    """A file that ends anywhere is read up to there, and the place is named; nothing is blamed on anybody."""
    whole = laboratory().write(tmp_path / name)
    data = whole.read_bytes()
    problems = 0
    for size in range(40, len(data) - 1, len(data) // 23):
        part = files.Path(tmp_path / f"cut-{name}")
        part.write_bytes(data[:size])
        try:
            capture = read(part)
        except NotACapture:
            assert name.endswith("gz"), size
            continue
        problems += len(capture.problems)
        for problem in capture.problems:
            assert problem.code == "capture-cut"
            assert problem.offset is not None
        for association in capture.associations:
            assert {p.code for p in association.problems} <= {
                "pdu-open",
                "message-open",
                "context-unseen",
                "one-direction",
            }
            assert association.end == "open" or size > len(data) * 0.9
    assert problems > 10


def test_snap_length(tmp_path: Path) -> None:
    """Frames captured in part: commands that were captured are read, the rest is evidence missing."""
    capture = read(laboratory().write(tmp_path / "a.pcap", snaplen=200))
    assert [p.code for p in capture.problems] == ["frame-cut"]
    (association,) = capture.associations
    assert association.request is None
    assert (association.called, association.calling) == ("PACS", "VXVUE")
    assert not association.whole
    store = association.messages[0]
    assert (store.name, store.complete) == ("C-STORE-RQ", False)
    assert {p.code for p in association.problems} <= {
        "frame-cut",
        "message-open",
        "left-out",
        "resynchronised",
    }
    assert association.end == "released"


def test_what_is_no_capture(tmp_path: Path) -> None:
    """Other files, empty files, folders and missing ones are refused with their name."""
    for name, data in (
        ("empty.pcap", b""),
        ("text.pcap", b"hello world, this is no capture at all"),
        ("zip.gz", gzip.compress(b"no capture inside")),
        ("bad.gz", b"\x1f\x8b\x08\x00 broken"),
        ("dicom.dcm", bytes(128) + b"DICM"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(NotACapture, match=name):
            read(path)
    for path in (tmp_path, tmp_path / "missing.pcap"):
        with pytest.raises(NotACapture, match=path.name):
            read(path)
    with pytest.raises(NotACapture):
        read()


def test_broken_blocks(tmp_path: Path) -> None:
    """A record with an impossible length ends the file with a problem that names the offset."""
    frames = laboratory().frames()
    for make in (files.pcap, files.pcapng):
        data = bytearray(make(frames[:10]))
        place = len(data)
        data += struct.pack("<IIII", 6, 0xFFFFFFF0, 0xFFFFFFF0, 0xFFFFFFF0) + bytes(500)
        capture = read(files.write(tmp_path / "a.pcap", bytes(data)))
        assert [(p.code, p.offset, p.frame) for p in capture.problems] == [("capture-broken", place, 10)]
        assert capture.frames == 10


def test_unknown_links_are_counted(tmp_path: Path) -> None:
    """USB or Bluetooth in the same pcapng: said once, and the rest is read."""
    data = bytearray(files.pcap(laboratory().frames()))
    struct.pack_into("<I", data, 20, 220)
    capture = read(files.write(tmp_path / "a.pcap", bytes(data)))
    assert [p.code for p in capture.problems] == ["capture-link"]
    assert capture.associations == ()


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    """The progress function hears growing numbers up to the size of all files."""
    path = laboratory().write(tmp_path / "a.pcapng")
    heard: list[tuple[int, int]] = []
    read(path, progress=lambda done, total: heard.append((done, total)))
    assert heard
    assert heard == sorted(heard)
    assert all(done <= total == path.stat().st_size for done, total in heard)


def test_it_needs_no_dicom_stack_and_nothing_live(tmp_path: Path) -> None:
    """Reading a capture imports neither pydicom nor pynetdicom, nothing of the bench that is live, nothing of Linux."""
    path = laboratory().write(tmp_path / "a.pcapng")
    code = (
        "import sys\n"
        "for name in ('pynetdicom', 'fcntl', 'resource', 'pyroute2', 'scapy'): sys.modules[name] = None\n"
        "from bench.witness import read\n"
        f"assert read({str(path)!r}).dicom_messages == 2\n"
        "live = ('pydicom', 'bench.runner', 'bench.links', 'bench.sandbox', 'bench.sut', 'modality')\n"
        "bad = [m for m in sys.modules if m.startswith(live)]\n"
        "assert not bad, bad\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60)
    assert done.returncode == 0, done.stderr


def extended(frame: files.Frame, number: int) -> list[files.Frame]:
    """An IPv6 frame with hop-by-hop and destination options; long ones in two fragments, the second one first."""
    ethernet, head, body = frame.data[:14], frame.data[14:54], frame.data[54:]
    size = int.from_bytes(head[4:6], "big")
    body = body[:size]
    options = bytes((60, 0, 1, 4, 0, 0, 0, 0))

    def packet(following: int, data: bytes) -> files.Frame:
        ip = head[:4] + (len(options) + len(data)).to_bytes(2, "big") + b"\0" + head[7:]
        first = bytes((following if following == 60 else 60,)) + options[1:]
        return replace(frame, data=ethernet + ip + first + data)

    if len(body) < 600:
        return [packet(60, bytes((6, 0, 1, 4, 0, 0, 0, 0)) + body)]
    cut = len(body) // 16 * 8
    pieces = []
    for at, part, more in ((cut, body[cut:], 0), (0, body[:cut], 1)):
        fragment = struct.pack(">BBHI", 6, 0, at | more, number)
        pieces.append(packet(60, bytes((44, 0, 1, 4, 0, 0, 0, 0)) + fragment + part))
    return pieces


def test_ipv6_extension_headers_and_fragments(tmp_path: Path) -> None:
    """Options before TCP, and datagrams in fragments that come the wrong way round."""
    frames = [
        piece
        for number, frame in enumerate(laboratory().frames(link="ipv6"))
        for piece in extended(frame, number)
    ]
    assert len(frames) > len(laboratory().frames())
    capture = read(files.write(tmp_path / "a.pcap", files.pcap(frames)))
    is_whole(capture)
    assert capture.associations[0].requestor.address == "fd00::a00:5"
