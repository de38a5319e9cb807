"""tshark counts what the witness read: on every link, in every order, on every port; a difference is told."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench.checks.second_witness import Count, Counts, WitnessError, check_capture, count_witness, pair_of
from bench.witness import Endpoint, read
from tests.lab.conversation import Cut, Lab
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet

ECHO, STORE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.1.1"
A, B, C = Endpoint("10.0.0.5", 40000), Endpoint("10.0.0.9", 104), Endpoint("10.0.0.9", 11112)

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def laboratory() -> Lab:
    """Associations on two ports, one port of which is DICOM to nobody's knowledge, one refused."""
    lab = Lab()
    for port in (104, 31337):
        a = lab.associate(contexts=[(ECHO, [IMPLICIT_LE]), (STORE, [EXPLICIT_LE])], port=port).accept()
        a.request("C-ECHO-RQ", sop_class=ECHO)
        a.respond()
        for pdvs in (1, 3):
            data = DataSet(PatientID="7", PixelData=bytes(50_000))
            a.request("C-STORE-RQ", data, sop_class=STORE, sop_instance="1.2.3", how=Cut(pdvs=pdvs))
            a.respond()
        a.release()
    lab.associate().reject()
    return lab


def test_a_difference_is_named_unless_excused() -> None:
    """Sentences with both endpoints and both counts; a pair that neither saw wrongly is excused with its reason."""
    pair, other = pair_of(B, A), pair_of(A, C)
    counts = Counts(
        {pair: Count(9, 3)}, {pair: Count(9, 2), other: Count(4, 1)}, {other: "half of it was captured"}
    )
    assert counts.disagreements == (
        "between 10.0.0.5:40000 and 10.0.0.9:104 "
        "tshark counts 9 PDUs and 2 messages, the witness 9 PDUs and 3 messages",
    )
    assert len(counts.excused) == 1
    assert counts.excused[0].endswith("the witness 0 PDUs and 0 messages (half of it was captured)")
    assert counts.total == Count(9, 3)


@needs_tshark
@pytest.mark.witness
@pytest.mark.parametrize(
    ("order", "link"),
    [("normal", "ethernet"), ("shuffled", "vlan"), ("retransmitted", "ipv6"), ("overlapping", "sll2")],
)
def test_agreement(tmp_path: Path, order: str, link: str) -> None:
    """Both count the same."""
    path = laboratory().write(tmp_path / "a.pcapng", order=order, link=link)
    capture = read(path)
    counts = check_capture(capture, path)
    assert counts.disagreements == ()
    assert counts.excused == ()
    assert counts.total.messages == 12
    assert len(counts.witness) == 3


@needs_tshark
@pytest.mark.witness
def test_what_the_witness_misses_is_found_out(tmp_path: Path) -> None:
    """A message, or a whole association."""
    path = laboratory().write(tmp_path / "a.pcapng")
    capture = read(path)
    first = capture.associations[0]
    short = replace(first, messages=first.messages[:-1])
    wrong = replace(capture, associations=(short, *capture.associations[1:]))
    (sentence,) = check_capture(wrong, path).disagreements
    assert "and 6 messages, the witness" in sentence
    assert "and 5 messages" in sentence
    forgotten = replace(capture, associations=capture.associations[1:])
    assert len(check_capture(forgotten, path).disagreements) == 1


@needs_tshark
@pytest.mark.witness
def test_gaps_are_excused(tmp_path: Path) -> None:
    """Where frames are missing two readers may differ: no error, but a remark where they do."""
    path = laboratory().write(tmp_path / "a.pcapng", order="gaps")
    capture = read(path)
    assert not any(a.whole for a in capture.associations[:2])
    assert set(count_witness(capture)[1]) >= {
        pair_of(a.requestor, a.acceptor) for a in capture.associations[:2]
    }
    assert check_capture(capture, path).disagreements == ()


@needs_tshark
@pytest.mark.witness
def test_a_file_that_tshark_cannot_read(tmp_path: Path) -> None:
    """It is the bench's error, with tshark's words."""
    path = laboratory().write(tmp_path / "a.pcapng")
    capture = read(path)
    path.write_bytes(b"this is no capture file " * 9)
    with pytest.raises(WitnessError, match="tshark"):
        check_capture(capture, path)
