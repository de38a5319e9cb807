"""TCP as it is met in the field: reused ports, half a conversation, pauses, floods; facts and bounds."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.witness import Association, read, tcp
from bench.witness.problems import EVIDENCE
from simulators.wire.dimse import Command, encode_command
from tests.lab import files
from tests.lab.conversation import Conversation, Lab
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet

ECHO, STORE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.1.1"


def echo(lab: Lab, **how: object) -> Conversation:
    """An association with one C-ECHO."""
    a = lab.associate(contexts=[(ECHO, [IMPLICIT_LE])], **how).accept()  # type: ignore[arg-type]
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()
    return a


def store(lab: Lab, size: int = 60_000) -> Conversation:
    """An association with one C-STORE that is still open."""
    a = lab.associate(contexts=[(STORE, [EXPLICIT_LE])]).accept()
    a.request("C-STORE-RQ", DataSet(PatientID="7", PixelData=bytes(size)), sop_instance="1.2.3")
    a.respond()
    return a


def one(lab: Lab, folder: Path, **how: object) -> Association:
    """The only association of a lab."""
    (association,) = read(lab.write(folder / "a.pcapng", **how)).associations  # type: ignore[arg-type]
    return association


@pytest.mark.parametrize("order", ["normal", "retransmitted", "shuffled", "overlapping"])
def test_reused_ports_are_new_conversations(tmp_path: Path, order: str) -> None:
    """Six associations from the same port, sequence numbers near the wrap: six whole associations."""
    lab = Lab(client_port=40000)
    for number in range(6):
        lab.isn = (0xFFFFFF00 + number * 70_000 & 0xFFFFFFFF, 0xFFFFFFF0 + number * 90_000 & 0xFFFFFFFF)
        echo(lab)
        lab.wait(0.5)
    capture = read(lab.write(tmp_path / "a.pcap", order=order))
    assert [(a.end, a.whole, len(a.messages), a.problems) for a in capture.associations] == [
        ("released", True, 2, ()) for _ in range(6)
    ]
    assert [a.number for a in capture.associations] == [1, 2, 3, 4, 5, 6]
    assert all(m.association == a.number for a in capture.associations for m in a.messages)


@pytest.mark.parametrize(("pause", "count"), [(0.2, 1), (20.0, 2), (3600.0, 2)])
def test_the_same_sequence_numbers_an_hour_later_are_another_connection(
    tmp_path: Path, pause: float, count: int
) -> None:
    """Same ports, same first sequence numbers: soon after it is a repetition, an hour later it is not."""
    lab = Lab(client_port=40000, isn=(7000, 900_000))
    echo(lab)
    lab.wait(pause)
    echo(lab)
    capture = read(lab.write(tmp_path / "a.pcap"))
    assert [(a.end, a.whole, len(a.messages), a.problems) for a in capture.associations] == [
        ("released", True, 2, ()) for _ in range(count)
    ]


@pytest.mark.parametrize(("pause", "count"), [(30.0, 1), (300.0, 2)])
def test_the_same_sequence_numbers_after_a_connection_that_never_ended(
    tmp_path: Path, pause: float, count: int
) -> None:
    """A host that lost its power begins again with the same numbers; before that a SYN only comes late."""
    lab = Lab(client_port=40000, isn=(7000, 900_000))
    store(lab)
    lab.wait(pause)
    echo(lab)
    capture = read(lab.write(tmp_path / "a.pcap"))
    assert len(capture.associations) == count
    assert capture.associations[0].messages[0].name == "C-STORE-RQ"


def test_interleaved_conversations_are_kept_apart(tmp_path: Path) -> None:
    """Thirty associations at the same time."""
    lab = Lab()
    open_ones = [lab.associate(contexts=[(ECHO, [IMPLICIT_LE])], called=f"AE{n}") for n in range(30)]
    for step in (
        Conversation.accept,
        lambda a: a.request("C-ECHO-RQ"),
        Conversation.respond,
        Conversation.release,
    ):
        for a in open_ones:
            step(a)  # type: ignore[operator]
    capture = read(lab.write(tmp_path / "a.pcap"))
    assert [a.called for a in capture.associations] == [f"AE{n}" for n in range(30)]
    assert all(a.whole and a.end == "released" and len(a.messages) == 2 for a in capture.associations)


@pytest.mark.parametrize("side", [0, 1])
def test_one_direction(tmp_path: Path, side: int) -> None:
    """Only one side's frames: its PDUs and messages, nothing said against anybody."""
    lab = Lab()
    a = store(lab)
    a.release()
    lab.streams[0].one_direction = side
    association = one(lab, tmp_path)
    assert association.tcp.one_direction
    assert not association.whole
    assert {p.code for p in association.problems} <= set(EVIDENCE)
    names = [m.name for m in association.messages]
    assert names == (["C-STORE-RQ"] if side == 0 else ["C-STORE-RSP"])
    assert association.requestor.address == "10.0.0.5"
    assert association.messages[0].complete
    if side == 0:
        assert association.messages[0].dataset is not None
        assert association.messages[0].dataset.text("PatientID") == "7"


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.6, 0.9])
def test_mid_stream(tmp_path: Path, fraction: float) -> None:
    """The capture begins within an association: what follows the next PDU is read."""
    lab = Lab()
    a = store(lab)
    a.request("C-STORE-RQ", DataSet(PatientID="8", PixelData=bytes(60_000)), sop_instance="1.2.4")
    a.respond()
    a.release()
    frames = lab.frames()
    frames = frames[max(4, int(len(frames) * fraction)) :]
    capture = read(files.write(tmp_path / "a.pcap", files.pcap(frames)))
    (association,) = capture.associations
    assert association.tcp.mid_stream
    assert {p.code for p in association.problems} <= set(EVIDENCE)
    assert association.requestor.address == "10.0.0.5"
    assert association.end == "released"
    assert association.messages[-1].name == "C-STORE-RSP"
    if fraction < 0.4:
        last = association.messages[-2]
        assert last.complete
        assert last.dataset is not None
        assert last.dataset.text("PatientID") == "8"


def test_a_missing_handshake_alone_costs_nothing(tmp_path: Path) -> None:
    """Without SYNs, but from the A-ASSOCIATE-RQ on: whole."""
    lab = Lab()
    echo(lab)
    lab.streams[0].handshake = "none"
    association = one(lab, tmp_path)
    assert association.whole
    assert association.tcp.mid_stream
    assert association.problems == ()
    assert [m.name for m in association.messages] == ["C-ECHO-RQ", "C-ECHO-RSP"]


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_syn(tmp_path: Path, lost: int) -> None:
    """Any frame of the handshake is missing: the order of the PDUs is right all the same."""
    lab = Lab()
    echo(lab)
    frames = lab.frames()
    del frames[lost]
    capture = read(files.write(tmp_path / "a.pcap", files.pcap(frames)))
    (association,) = capture.associations
    assert [p.kind for p in association.pdus] == [
        *("A-ASSOCIATE-RQ", "A-ASSOCIATE-AC", "A-RELEASE-RQ", "A-RELEASE-RP"),
    ]
    assert association.problems == ()
    assert association.whole


def finished(a: Conversation) -> None:
    a.release(first_to_close="acceptor")


def aborted(a: Conversation) -> None:
    a.abort("acceptor", 2, 1)


def closed(a: Conversation) -> None:
    a.close("acceptor")


def reset(a: Conversation) -> None:
    a.reset("acceptor")


@pytest.mark.parametrize(
    ("end", "name", "by", "fin"),
    [
        (finished, "released", "requestor", "acceptor"),
        (aborted, "aborted", "acceptor", "requestor"),
        (closed, "closed", "acceptor", "acceptor"),
        (reset, "reset", "acceptor", None),
    ],
)
def test_ends(
    tmp_path: Path, end: Callable[[Conversation], None], name: str, by: str, fin: str | None
) -> None:
    """How an association ended, by whom, and who closed the connection first."""
    lab = Lab()
    end(store(lab, 100))
    association = one(lab, tmp_path)
    assert (association.end, association.ended_by, association.tcp.first_fin) == (name, by, fin)
    assert association.tcp.reset == ("acceptor" if name == "reset" else None)


def test_windows_keepalives_and_stalls(tmp_path: Path) -> None:
    """Zero windows are counted, keep-alives are not data, 40 ms between small segments are stalls."""
    lab = Lab()
    a = lab.associate(contexts=[(STORE, [EXPLICIT_LE])]).accept()
    a.keepalive("requestor")
    a.window("acceptor", 0)
    a.window("acceptor", 0)
    a.window("acceptor", 64_000)
    command = encode_command(Command.new("C-ECHO-RQ", MessageID=9, AffectedSOPClassUID=ECHO, dataset=False))
    pdu = struct.pack(">BxIIBB", 4, len(command) + 6, len(command) + 2, 1, 3) + command
    for _ in range(3):
        a.say("requestor", pdu[:20])
        lab.wait(0.041)
        a.say("requestor", pdu[20:])
        a.keepalive("requestor")
        lab.wait(1.0)
    association = one(lab, tmp_path)
    assert association.tcp.zero_windows == 2
    assert association.tcp.stalls == 3
    assert len(association.messages) == 3
    assert association.problems == ()


def test_connections_without_an_association(tmp_path: Path) -> None:
    """Refused, unanswered, opened and left: conversations, not associations."""
    lab = Lab()
    for kind in ("refused", "unanswered", "whole"):
        stream = lab.connect("10.0.0.5", "10.0.0.9", 104)
        stream.handshake = kind
        lab.wait(5)
    capture = read(lab.write(tmp_path / "a.pcap"))
    assert [s.what for s in capture.streams] == ["refused", "unanswered", "empty"]
    assert capture.associations == ()
    assert capture.problems == ()
    assert capture.streams[1].frames == 3


def test_a_flood_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More open conversations than are kept: the older ones are finished; an association in use survives."""
    monkeypatch.setattr(tcp, "FLOWS", 50)
    monkeypatch.setattr(tcp, "LISTED", 100)
    lab = Lab()
    a = lab.associate(contexts=[(ECHO, [IMPLICIT_LE])]).accept()
    for _ in range(300):
        lab.connect("10.0.0.66", "10.0.0.9", 104).handshake = "unanswered"
    lab.wait(10)
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()
    capture = read(lab.write(tmp_path / "a.pcap"))
    assert [(x.end, x.whole, len(x.messages)) for x in capture.associations] == [("released", True, 2)]
    assert len(capture.streams) == 100
    assert capture.streams_left_out >= 200


def test_a_hole_that_nobody_acknowledges_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One direction with a missing segment: given up when too much waits behind it, read on at the next PDU."""
    monkeypatch.setattr(tcp, "HELD", 100_000)
    lab = Lab()
    a = store(lab, 400_000)
    a.request("C-STORE-RQ", DataSet(PatientID="8", PixelData=bytes(400_000)), sop_instance="1.2.4")
    lab.streams[0].one_direction = 0
    frames = lab.frames()
    del frames[40]
    (association,) = read(files.write(tmp_path / "a.pcap", files.pcap(frames))).associations
    assert [g.code for g in association.tcp.gaps] == ["gap"]
    assert [m.complete for m in association.messages] == [False, True]


def test_an_old_segment_does_not_disturb_its_successor(tmp_path: Path) -> None:
    """The last acknowledgement of the old conversation arrives after the SYN of the new one on the same ports."""
    lab = Lab(client_port=40000)
    lab.isn = (1000, 2_000_000_000)
    echo(lab)
    first = len(lab.frames())
    lab.isn = (900_000_000, 77)
    echo(lab)
    frames = lab.frames()
    late = frames.pop(first - 1)
    frames.insert(first + 6, late)
    frames.insert(first + 9, frames[first - 3])
    capture = read(files.write(tmp_path / "a.pcap", files.pcap(frames)))
    assert [(a.end, a.whole, len(a.messages), a.problems) for a in capture.associations] == [
        ("released", True, 2, ()) for _ in range(2)
    ]
