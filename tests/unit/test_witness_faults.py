"""Faults of the upper layer and of messages: each one is named once, at its frame, and everything else is read on."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.witness import Association, read
from bench.witness.problems import CODES, EVIDENCE
from simulators.wire import PresentationContextRQ, RawItem, RawPDU, encode
from simulators.wire.dimse import Command, encode_command
from tests.lab.conversation import Conversation, Cut, Lab
from tests.lab.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, DataSet

ECHO, STORE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.1.1"
DATA = DataSet(PatientID="7", PixelData=bytes(3000))


def begin(lab: Lab) -> Conversation:
    """An accepted association with two contexts."""
    return lab.associate(contexts=[(ECHO, [IMPLICIT_LE]), (STORE, [EXPLICIT_LE])]).accept()


def one(lab: Lab, folder: Path, **how: object) -> Association:
    """The only association of a lab."""
    capture = read(lab.write(folder / "a.pcapng", **how))  # type: ignore[arg-type]
    (association,) = capture.associations
    return association


def pdv(context: int, control: int, data: bytes, length: int | None = None) -> bytes:
    """A presentation data value."""
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context, control) + data


def pdata(*pdvs: bytes, length: int | None = None) -> RawPDU:
    """A P-DATA-TF PDU of anything."""
    return RawPDU(4, b"".join(pdvs), length)


ECHO_RQ = encode_command(Command.new("C-ECHO-RQ", MessageID=9, AffectedSOPClassUID=ECHO, dataset=False))
STORE_RQ = encode_command(
    Command.new(
        "C-STORE-RQ",
        MessageID=8,
        AffectedSOPClassUID=STORE,
        AffectedSOPInstanceUID="1.2.3",
        Priority=0,
        dataset=True,
    )
)


def too_long(a: Conversation) -> None:
    a.request("C-STORE-RQ", DATA, sop_class=STORE, sop_instance="1.2", how=Cut(longest=16386))
    a.pdu("requestor", pdata(pdv(1, 3, ECHO_RQ + bytes(16384))))


def unknown_type(a: Conversation) -> None:
    a.pdu("requestor", RawPDU(9, b"12345678"))


def long_release(a: Conversation) -> None:
    a.pdu("requestor", RawPDU(5, bytes(6)))


def empty_data(a: Conversation) -> None:
    a.pdu("requestor", RawPDU(4, b""))


def pdv_beyond(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(1, 3, ECHO_RQ, length=5000)))


def pdv_of_one(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(1, 3, ECHO_RQ), b"\0\0\0\1\1"))


def control_bits(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(1, 0x83, ECHO_RQ)))


def odd(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(1, 1, ECHO_RQ[:11]), pdv(1, 3, ECHO_RQ[11:])))


def never_proposed(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(77, 3, ECHO_RQ)))


def changed(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(3, 3, STORE_RQ), pdv(1, 2, DATA.encode(EXPLICIT_LE))))


def command_instead(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(3, 3, STORE_RQ), pdv(1, 3, ECHO_RQ)))


def command_within(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(3, 3, STORE_RQ), pdv(3, 0, bytes(8)), pdv(1, 3, ECHO_RQ)))


def unannounced(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(1, 3, ECHO_RQ), pdv(1, 2, bytes(8))))


def orphan(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(1, 2, bytes(8))))


def second_request(a: Conversation) -> None:
    a.pdu("requestor", a.proposal)


def answer_by_requestor(a: Conversation) -> None:
    a.pdu("requestor", RawPDU(3, b"\0\1\1\1"))


def answer_to_nothing(a: Conversation) -> None:
    a.pdu("acceptor", RawPDU(6, bytes(4)))


def no_command(a: Conversation) -> None:
    a.pdu("requestor", pdata(pdv(1, 3, b"\0\0\0\0\4\0\0\0\6\0\0\0\0\0\0\1\xff\xff\xff\x7f")))


def strange_command(a: Conversation) -> None:
    a.pdu(
        "requestor", pdata(pdv(1, 3, ECHO_RQ.replace(b"\0\0\0\1\2\0\0\0\x30\0", b"\0\0\0\1\2\0\0\0\x77\7")))
    )


def reserved(a: Conversation) -> None:
    a.say("requestor", encode(pdata(pdv(1, 3, ECHO_RQ))).replace(b"\4\0", b"\4\7", 1))


FAULTS: list[tuple[Callable[[Conversation], None], str, set[str]]] = [
    (too_long, "pdu-too-long", {"command-undecodable", "dataset-undecodable"}),
    (unknown_type, "pdu-type", set()),
    (long_release, "pdu-length", {"pdu-unexpected", "pdu-after-end", "reserved"}),
    (empty_data, "pdv-empty", set()),
    (pdv_beyond, "pdv-length", set()),
    (pdv_of_one, "pdv-length", set()),
    (control_bits, "pdv-control", set()),
    (odd, "pdv-odd", set()),
    (never_proposed, "context-unknown", set()),
    (changed, "context-changed", set()),
    (command_instead, "dataset-missing", set()),
    (command_within, "command-in-dataset", set()),
    (unannounced, "dataset-unannounced", set()),
    (orphan, "dataset-without-command", set()),
    (second_request, "pdu-unexpected", set()),
    (answer_by_requestor, "pdu-unexpected", {"pdu-after-end"}),
    (answer_to_nothing, "pdu-unexpected", {"pdu-after-end"}),
    (no_command, "command-undecodable", {"command-field", "command-dataset-type"}),
    (strange_command, "command-field", set()),
    (reserved, "reserved", set()),
]


@pytest.mark.parametrize(("fault", "code", "more"), FAULTS, ids=[f[0].__name__ for f in FAULTS])
@pytest.mark.parametrize("order", ["normal", "shuffled"])
def test_a_fault_is_named_and_read_over(
    tmp_path: Path, fault: Callable[[Conversation], None], code: str, more: set[str], order: str
) -> None:
    """The fault, at the frame in which it stands, on the side that made it; messages around it are read."""
    lab = Lab()
    a = begin(lab)
    a.request("C-STORE-RQ", DATA, sop_class=STORE, sop_instance="1.2.3")
    a.respond()
    before = len(lab.frames())
    fault(a)
    after = len(lab.frames())
    a.request("C-ECHO-RQ", sop_class=ECHO)
    a.respond()
    a.release()
    association = one(lab, tmp_path, order=order)
    found = [p for p in association.problems if p.code == code]
    assert len(found) == (2 if fault is odd else 1), association.problems
    problem = found[0]
    assert {p.code for p in association.problems} <= {code} | more
    assert problem.code in CODES
    assert problem.side == ("acceptor" if fault is answer_to_nothing else "requestor")
    if order == "normal":
        assert problem.frame is not None
        assert before < problem.frame <= after
    names = [m.name for m in association.messages]
    assert names[:2] == ["C-STORE-RQ", "C-STORE-RSP"]
    assert names[-2:] == ["C-ECHO-RQ", "C-ECHO-RSP"]
    assert association.messages[-1].complete


def test_before_the_answer_and_after_the_end(tmp_path: Path) -> None:
    """P-DATA before the A-ASSOCIATE-AC, after the own A-RELEASE-RQ, after the own A-ABORT."""
    lab = Lab()
    a = lab.associate(contexts=[(ECHO, [IMPLICIT_LE])])
    a.pdu("requestor", pdata(pdv(1, 3, ECHO_RQ)))
    a.accept()
    a.release()
    assert [p.code for p in one(lab, tmp_path).problems] == ["pdu-unexpected", "context-unseen"]
    lab = Lab()
    a = begin(lab)
    a.pdu("requestor", RawPDU(5, bytes(4)))
    a.pdu("requestor", pdata(pdv(1, 3, ECHO_RQ)))
    a.pdu("acceptor", RawPDU(6, bytes(4)))
    assert [p.code for p in one(lab, tmp_path).problems] == ["pdu-unexpected"]
    lab = Lab()
    a = begin(lab)
    a.abort("requestor", close=False)
    a.pdu("requestor", pdata(pdv(1, 3, ECHO_RQ)))
    association = one(lab, tmp_path)
    assert [p.code for p in association.problems] == ["pdu-after-end"]
    assert (association.end, association.ended_by) == ("aborted", "requestor")


def test_what_was_on_its_way_when_the_peer_aborted_is_no_fault(tmp_path: Path) -> None:
    """The acceptor aborts in the middle of an image; the requestor could not know."""
    lab = Lab()
    a = begin(lab)
    a.pdu("requestor", pdata(pdv(3, 3, STORE_RQ)))
    a.pdu("requestor", pdata(pdv(3, 0, bytes(4000))))
    a.abort("acceptor", 2, 0, close=False)
    a.pdu("requestor", pdata(pdv(3, 0, bytes(4000))))
    a.close("requestor")
    association = one(lab, tmp_path)
    assert (association.end, association.ended_by) == ("aborted", "acceptor")
    assert [p.code for p in association.problems] == ["message-stopped"]
    assert set(EVIDENCE) >= {"message-stopped", "pdu-stopped"}


def test_the_sender_that_stops_within_a_message_or_pdu(tmp_path: Path) -> None:
    """Closing the connection in the middle is the sender's own doing."""
    lab = Lab()
    a = begin(lab)
    a.pdu("requestor", pdata(pdv(3, 3, STORE_RQ)))
    a.close("requestor")
    association = one(lab, tmp_path)
    assert [p.code for p in association.problems] == ["message-cut"]
    assert (association.end, association.ended_by) == ("closed", "requestor")
    lab = Lab()
    a = begin(lab)
    a.say("requestor", encode(pdata(pdv(1, 3, ECHO_RQ)))[:30])
    a.reset("requestor")
    association = one(lab, tmp_path)
    assert [p.code for p in association.problems] == ["pdu-cut"]
    assert (association.end, association.ended_by) == ("reset", "requestor")


def test_request_items(tmp_path: Path) -> None:
    """A request that the simulators' own decoder would refuse is read item by item, with its faults."""
    lab = Lab()

    def change(request: object) -> object:
        from dataclasses import replace

        items = list(request.items)  # type: ignore[attr-defined]
        items.insert(0, RawItem(0x20, b"\5\0\0\0" + b"\x30\0\0\4" + b"1.2\0"))
        items.append(RawItem(0x99, b"??"))
        items.append(PresentationContextRQ(2, "1.2.3", (EXPLICIT_LE,)))
        return replace(request, items=tuple(items[:-3] + items[-2:]))  # type: ignore[type-var]

    lab.edit_request(change)  # type: ignore[arg-type]
    a = lab.associate(contexts=[(ECHO, [IMPLICIT_LE])])
    a.abort("acceptor", 2, 6)
    association = one(lab, tmp_path)
    assert {p.code for p in association.problems} == {
        *("item-order", "uid-padding", "item-missing", "item-unknown"),
    }
    assert set(association.contexts) == {1, 2, 5}
    assert association.contexts[5].abstract == "1.2"
    assert association.contexts[2].proposed == (EXPLICIT_LE,)


def test_other_protocols_are_named(tmp_path: Path) -> None:
    """TLS, HL7, HTTP and garbage on the port of a DICOM host: a problem with the frame, and nothing is lost."""
    lab = Lab()
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        b"\x0bMSH|^~\\&|A|B|C\r\x1c\r",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        bytes(range(128, 255)) * 9,
        b"\x01\x00\x00\x00\x00\x05hello",
        b"\x04\x00\x00\x00\x00\x10" + bytes(64),
    ):
        stream = lab.connect("10.0.0.5", "10.0.0.9", 104)
        lab.wait(0.01)
        stream.add(lab.time, 0, "data", data)
        lab.wait(0.1)
    a = begin(lab)
    a.request("C-ECHO-RQ", sop_class=ECHO)
    a.respond()
    a.release()
    capture = read(lab.write(tmp_path / "a.pcap"))
    assert [s.what for s in capture.streams] == ["tls", "hl7", "http", "unknown", "unknown", "unknown"]
    assert [p.code for p in capture.problems] == ["not-dicom"] * 6
    assert len({p.frame for p in capture.problems}) == 6
    assert [m.name for m in capture.associations[0].messages] == ["C-ECHO-RQ", "C-ECHO-RSP"]
    assert capture.associations[0].problems == ()


def test_dicom_on_any_port_by_any_opener(tmp_path: Path) -> None:
    """The requestor is who sends the A-ASSOCIATE-RQ, also when the other side opened the connection."""
    lab = Lab()
    a = lab.associate(port=31337, say=False)
    a.say("acceptor", encode(a.proposal))
    a.say("requestor", encode(RawPDU(3, b"\0\1\1\7")))
    association = one(lab, tmp_path)
    assert association.requestor.port == 31337
    assert (association.end, association.ended_by) == ("rejected", "acceptor")
    assert association.tcp.opened_by == "acceptor"


def test_lying_lengths_cost_no_memory(tmp_path: Path) -> None:
    """PDU, PDV and command lengths of gigabytes: bounded memory, and the cut end is named."""
    image = b"\xe0\x7f\x10\x00OW\0\0\xf0\xff\xff\xff" + bytes(3_000_000)
    for pdu in (
        pdata(pdv(3, 3, STORE_RQ), pdv(3, 0, image, length=0xFFFFFFF0), length=0xFFFFFFFF),
        pdata(pdv(1, 1, bytes(3_000_000), length=0x7FFFFFF0), length=0x7FFFFFF4),
        RawPDU(1, bytes(3_000_000), 0xFFFFFFF0),
        RawPDU(0x44, bytes(3_000_000), 0xFFFFFFF0),
        RawPDU(6, bytes(900_000), 0x000FFFFF),
    ):
        lab = Lab()
        a = begin(lab)
        a.pdu("requestor", pdu)
        a.close("requestor")
        path = lab.write(tmp_path / "a.pcap", mss=60_000)
        read(path)
        tracemalloc.start()
        (association,) = read(path).associations
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6_000_000, pdu.pdu_type
        assert association.problems
        assert not any(p.code == "reader-failed" for p in association.problems)


def test_nested_a_thousand_deep(tmp_path: Path) -> None:
    """The walk says so; the message is complete all the same."""
    deep = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 1000
    lab = Lab()
    a = begin(lab)
    a.request("C-STORE-RQ", deep, sop_class=STORE, sop_instance="1.2")
    a.respond()
    a.release()
    association = one(lab, tmp_path)
    message = association.messages[0]
    assert message.complete
    assert message.dataset is not None
    assert message.dataset.problems
    assert association.problems == ()


def test_two_associations_on_one_connection(tmp_path: Path) -> None:
    """A second A-ASSOCIATE-RQ after the release: another association, and a problem."""
    lab = Lab()
    a = begin(lab)
    a.pdu("requestor", RawPDU(5, bytes(4)))
    a.pdu("acceptor", RawPDU(6, bytes(4)))
    a.pdu("requestor", a.proposal)
    a.accept()
    a.request("C-ECHO-RQ", sop_class=ECHO)
    a.respond()
    a.release()
    capture = read(lab.write(tmp_path / "a.pcap"))
    assert [(x.end, len(x.messages)) for x in capture.associations] == [("released", 0), ("released", 2)]
    assert [[p.code for p in x.problems] for x in capture.associations] == [[], ["pdu-unexpected"]]


def test_many_problems_are_bounded(tmp_path: Path) -> None:
    """A thousand faults of one kind: forty are listed, the rest is counted."""
    lab = Lab()
    a = begin(lab)
    a.say("requestor", encode(RawPDU(4, b"")) * 1000)
    association = one(lab, tmp_path)
    codes = [p.code for p in association.problems]
    assert codes.count("pdv-empty") == 40
    assert codes.count("left-out") == 1
    assert "960 more" in next(p.text for p in association.problems if p.code == "left-out")


def test_announced_maximum_of_both_sides(tmp_path: Path) -> None:
    """Each side's PDUs are measured by what the other one announced; 0 is no limit."""
    for announced, problems in ((0, 0), (4096, 1), (20_000, 0)):
        lab = Lab()
        a = lab.associate(contexts=[(STORE, [EXPLICIT_LE])], max_length=8192).accept(max_length=announced)
        data = DataSet(PixelData=bytes(6000))
        a.request("C-STORE-RQ", data, sop_instance="1.2", how=Cut(longest=16384))
        a.respond()
        found = [p.code for p in one(lab, tmp_path).problems]
        assert found == ["pdu-too-long"] * problems


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])
def test_a_data_set_without_an_accepted_syntax_is_read_as_it_looks(tmp_path: Path, syntax: str) -> None:
    """(2000,0010), with which a film session begins, makes sense in both byte orders."""
    lab = Lab()
    a = lab.associate(contexts=[(STORE, [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])]).accept(refuse=[STORE])
    film = DataSet(NumberOfCopies="2", MediumType="BLUE FILM")
    a.pdu("requestor", pdata(pdv(1, 3, STORE_RQ), pdv(1, 2, film.encode(syntax))))
    (message,) = one(lab, tmp_path).messages
    assert {p.code for p in message.problems} == {"context-refused", "transfer-syntax-guessed"}
    assert message.transfer_syntax == syntax
    assert message.dataset is not None
    assert message.dataset.problems == ()
    assert [message.dataset.text(k) for k in ("NumberOfCopies", "MediumType")] == ["2", "BLUE FILM"]
