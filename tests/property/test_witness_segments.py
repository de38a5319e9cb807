"""However a conversation was cut, doubled and shuffled on its way into the capture, it is read the same."""

from __future__ import annotations

import hashlib
import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.witness import Capture, NotACapture, read
from tests.lab import files
from tests.lab.conversation import Cut, Lab
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet

STORE = "1.2.840.10008.5.1.4.1.1.1.1"
ECHO = "1.2.840.10008.1.1"


def laboratory(isn: tuple[int, int], how: Cut) -> Lab:
    """Two associations on the same ports: one is refused, one echoes and stores."""
    lab = Lab(isn=isn, how=how, client_port=40000)
    contexts = [(ECHO, [IMPLICIT_LE]), (STORE, [EXPLICIT_LE, IMPLICIT_LE])]
    a = lab.associate(contexts=contexts)
    a.accept()
    a.request("C-ECHO-RQ")
    a.respond()
    data = DataSet(PatientName="Doe^Jane", PatientID="7", PixelData=bytes(range(250)) * 60)
    a.request("C-STORE-RQ", data, sop_class=STORE, sop_instance="1.2.3")
    a.respond()
    a.release()
    return lab


def summary(capture: Capture) -> list[Any]:
    """What must not depend on the segments."""
    return [
        (
            str(a.requestor),
            str(a.acceptor),
            a.called,
            a.calling,
            a.end,
            a.ended_by,
            a.whole,
            a.tcp.first_fin,
            dict(a.contexts),
            [(p.index, p.kind, p.side, p.length) for p in a.pdus],
            [p.code for p in a.problems],
            [
                (
                    *(
                        m.number,
                        m.name,
                        m.sender,
                        m.context_id,
                        m.complete,
                        m.pdus,
                        m.largest_pdu,
                        m.first_pdu,
                    ),
                    *(m.last_pdu, m.dataset_length, m.largest_fragment, m.transfer_syntax, m.command.raw),
                    m.dataset and [(e.tag, e.vr, e.length, e.offset, e.value) for e in m.dataset.elements],
                )
                for m in a.messages
            ],
        )
        for a in capture.associations
    ]


def read_frames(frames: list[files.Frame]) -> Capture:
    """Read frames as they stand."""
    with tempfile.TemporaryDirectory() as folder:
        return read(files.write(Path(folder) / "a.pcap", files.pcap(frames, nanoseconds=True)))


@settings(max_examples=120, deadline=None)
@given(
    mss=st.sampled_from((100, 536, 1000, 1460, 8960)),
    sizes=st.sampled_from((None, (2000,), (14, 998), (16378,))),
    pdvs=st.integers(1, 3),
    reach=st.integers(0, 60),
    doubled=st.floats(0, 0.5),
    isn=st.tuples(st.sampled_from((1, 0xFFFFFFF0, 0xFFFFF000, 7_000_000)), st.sampled_from((2, 0xFFFFFFFE))),
    seed=st.integers(0, 1 << 30),
)
def test_any_segmentation_order_and_duplication(
    mss: int,
    sizes: tuple[int, ...] | None,
    pdvs: int,
    reach: int,
    doubled: float,
    isn: tuple[int, int],
    seed: int,
) -> None:
    """Frames up to 60 places away from where they were sent, every second one twice: the same associations."""
    lab = laboratory(isn, Cut(sizes=sizes, pdvs=pdvs))
    wanted = summary(read_frames(lab.frames(mss=1460)))
    assert len(wanted) == 1
    assert len(wanted[0][11]) == 4
    assert set(wanted[0][10]) <= {"pdv-odd"}
    dice = random.Random(seed)
    places = []
    for index, frame in enumerate(lab.frames(mss=mss)):
        places.append((index + dice.uniform(0, reach), frame))
        if dice.random() < doubled:
            places.append((index + dice.uniform(0, reach), frame))
    places.sort(key=lambda place: place[0])
    assert summary(read_frames([frame for _, frame in places])) == wanted


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_bytes_make_it_raise(data: st.DataObject) -> None:
    """A capture with bytes changed, cut out or cut off is read to an end; every problem has a known code."""
    from bench.witness.problems import CODES

    lab = laboratory((5, 6), Cut())
    frames = lab.frames(mss=data.draw(st.sampled_from((300, 1460))))
    raw = bytearray(files.pcap(frames) if data.draw(st.booleans()) else files.pcapng(frames))
    for _ in range(data.draw(st.integers(1, 12))):
        place = data.draw(st.integers(24, len(raw) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                raw[place] = data.draw(st.integers(0, 255))
            case 1:
                del raw[place : place + data.draw(st.integers(1, 40))]
            case _:
                raw[place:place] = data.draw(st.binary(max_size=20))
        if len(raw) < 30:
            break
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    with tempfile.TemporaryDirectory() as folder:
        path = files.write(Path(folder) / "a.pcap", bytes(raw))
        try:
            capture = read(path)
        except NotACapture:
            return
    for association in capture.associations:
        for problem in association.problems:
            assert problem.code in CODES
            assert problem.code != "reader-failed", problem
        for message in association.messages:
            assert 1 <= message.first_frame <= message.last_frame <= capture.frames
            assert set(message.problems) <= set(association.problems)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), lost=st.integers(1, 5), mss=st.sampled_from((400, 1460)))
def test_a_gap_is_no_fault(seed: int, lost: int, mss: int) -> None:
    """Frames that the capture missed: only evidence problems, and every complete message is a true one."""
    from bench.witness.problems import EVIDENCE

    lab = laboratory((5, 6), Cut(sizes=(2000,)))
    whole = read_frames(lab.frames(mss=mss)).associations[0]
    true = {hashlib.sha256(repr(key(m)).encode()).digest() for m in whole.messages}
    dice = random.Random(seed)
    frames = lab.frames(mss=mss)
    start = dice.randrange(len(frames) - lost)
    del frames[start : start + lost]
    for association in read_frames(frames).associations:
        assert {p.code for p in association.problems} <= set(EVIDENCE), association.problems
        for message in association.messages:
            if message.complete and message.dataset is not None:
                assert hashlib.sha256(repr(key(message)).encode()).digest() in true


def key(message: Any) -> Any:
    """A message without its number and frames."""
    return (
        message.name,
        message.command.raw,
        message.dataset and [(e.tag, e.length, e.value) for e in message.dataset.elements],
    )
