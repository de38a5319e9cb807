"""STD-UL rules on P-DATA, states and ends: the odd but legal ways, and each fault with its rule."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bench.checks.standard import rules
from bench.checks.upperlayer import RULES_OF_CODES
from bench.witness import problems
from simulators.wire import Abort, PresentationData, RawPDU, ReleaseRequest, ReleaseResponse, encode
from simulators.wire.dimse import Command, encode_command
from simulators.wire.pdu import PDV
from tests.lab.conversation import Conversation, Cut, Lab
from tests.lab.elements import DataSet
from tests.unit.judged_conversations import DX, EXPLICIT, VERIFICATION, echo, failing, verdicts

EVIDENCE = {"transfer-syntax-guessed"}
IMAGE = DataSet(SOPClassUID=DX, SOPInstanceUID="2.25.1", PatientID="P" * 40, PatientName="A^B")
STORE = encode_command(
    Command.new(
        "C-STORE-RQ",
        MessageID=1,
        AffectedSOPClassUID=DX,
        AffectedSOPInstanceUID="2.25.1",
        Priority=0,
        dataset=True,
    )
)
ECHO = encode_command(Command.new("C-ECHO-RQ", MessageID=1, AffectedSOPClassUID=VERIFICATION))


def _storage(lab: Lab, **how: object) -> Conversation:
    a = lab.associate(contexts=[(DX, [EXPLICIT])])
    a.accept(**how)  # type: ignore[arg-type]
    return a


def _verify(lab: Lab) -> Conversation:
    a = lab.associate()
    a.accept()
    return a


def _say(a: Conversation, *pdvs: tuple[int, int, bytes]) -> bytes:
    raw = encode(PresentationData(tuple(PDV(*one) for one in pdvs)))
    a.say("requestor", raw)
    return raw


def _after(a: Conversation, command: bytes = STORE) -> None:
    """The peer answers, and the product releases."""
    name = "C-STORE-RSP" if command is STORE else "C-ECHO-RSP"
    a.request(name, side="acceptor", command=_response(name))
    a.release()


def _response(name: str) -> bytes:
    return encode_command(Command.new(name, MessageIDBeingRespondedTo=1, Status=0, dataset=False))


@pytest.mark.parametrize(
    "how",
    [
        Cut(),
        Cut((2,)),
        Cut((4, 10, 6)),
        Cut((8,), pdvs=5),
        Cut(together=True),
        Cut(empty_last=True),
        Cut((16,), pdvs=3, together=True, empty_last=True),
    ],
)
def test_legal_ways_to_cut_a_message(how: Cut) -> None:
    lab = Lab()
    a = _storage(lab)
    a.request("C-STORE-RQ", IMAGE, sop_class=DX, sop_instance="2.25.1", how=how)
    a.respond()
    a.release()
    found = verdicts(lab)
    assert "FAIL" not in found.values()
    for number in (40, 41, 42, 43, 44, 45, 46, 47, 50, 51, 52, 53, 55, 56):
        assert found[f"STD-UL-{number:03d}"] == "PASS", number


@pytest.mark.parametrize(
    ("limit", "length", "wanted"), [(64, 64, set()), (64, 66, {"STD-UL-040"}), (0, 9000, set())]
)
def test_the_peer_s_maximum(limit: int, length: int, wanted: set[str]) -> None:
    lab = Lab()
    a = _storage(lab, max_length=limit)
    a.request("C-STORE-RQ", IMAGE, sop_class=DX, sop_instance="2.25.1", how=Cut(longest=length))
    a.respond()
    a.release()
    assert failing(lab) == wanted


DATA = IMAGE.encode(EXPLICIT)


@pytest.mark.parametrize(
    ("speak", "wanted"),
    [
        (lambda a: a.say("requestor", b"\4\0\0\0\0\0"), {"STD-UL-041"}),
        (lambda a: (_say(a, (1, 7, STORE)), _say(a, (1, 2, DATA))), {"STD-UL-042"}),
        (lambda a: (_say(a, (1, 3, STORE)), _say(a, (1, 0, DATA[:5]), (1, 2, DATA[5:]))), {"STD-UL-044"}),
        (lambda a: (_say(a, (1, 3, STORE)), _say(a, (3, 2, DATA))), {"STD-UL-045"}),
        (
            lambda a: (_say(a, (1, 2, DATA[:20])), _say(a, (1, 3, STORE)), _say(a, (1, 2, DATA))),
            {"STD-UL-045"},
        ),
    ],
)
def test_presentation_data_that_is_wrong(speak: Callable[[Conversation], object], wanted: set[str]) -> None:
    lab = Lab()
    a = lab.associate(contexts=[(DX, [EXPLICIT]), (DX, [EXPLICIT])])
    a.accept()
    speak(a)
    if wanted == {"STD-UL-041"}:
        _say(a, (1, 3, STORE))
        _say(a, (1, 2, DATA))
    _after(a)
    assert failing(lab) == wanted


def test_two_messages_in_one_pdu() -> None:
    lab = Lab()
    a = lab.associate(contexts=[(DX, [EXPLICIT])])
    a.accept()
    second = STORE.replace(b"\x10\x01\x02\0\0\0\1\0", b"\x10\x01\x02\0\0\0\2\0")
    _say(a, (1, 3, STORE), (1, 2, DATA), (1, 3, second))
    _say(a, (1, 2, DATA))
    _after(a)
    assert "STD-UL-046" in failing(lab)


def test_a_context_that_was_refused() -> None:
    lab = Lab()
    a = lab.associate(contexts=[(DX, [EXPLICIT]), (VERIFICATION, [EXPLICIT])])
    a.accept(refuse=[DX])
    _say(a, (1, 3, STORE))
    _say(a, (1, 2, DATA))
    a.abort("acceptor", 2, 6)
    assert failing(lab) == {"STD-UL-043"}


def test_a_context_that_was_never_proposed() -> None:
    lab = Lab()
    a = _verify(lab)
    _say(a, (9, 3, ECHO))
    a.abort("acceptor", 2, 6)
    assert {id for id in failing(lab) if id.startswith("STD-")} == {"STD-UL-043"}


def test_a_message_that_stops_before_its_end() -> None:
    lab = Lab()
    a = _storage(lab)
    _say(a, (1, 3, STORE))
    _say(a, (1, 0, DATA[:20]))
    lab.wait(2)
    a.release()
    assert failing(lab) == {"STD-UL-047"}


def test_a_message_cut_by_an_abort_is_no_fault() -> None:
    lab = Lab()
    a = _storage(lab)
    _say(a, (1, 3, STORE))
    _say(a, (1, 0, DATA[:20]))
    a.abort("requestor")
    assert failing(lab) == set()


# States


def test_an_unknown_pdu() -> None:
    lab = Lab()
    a = _verify(lab)
    a.pdu("requestor", RawPDU(0x42, b"abcd"))
    a.abort("acceptor", 2, 1)
    assert "STD-UL-050" in failing(lab)


def test_a_release_of_six_bytes() -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("requestor", RawPDU(5, b"\0" * 6))
    a.pdu("acceptor", ReleaseResponse())
    a.close()
    assert {id for id in failing(lab) if id.startswith("STD-")} == {"STD-UL-051"}


@pytest.mark.parametrize("what", [b"\5\1\0\0\0\4\0\0\0\0", b"\5\0\0\0\0\4\0\0\0\1"])
def test_reserved_bytes_of_a_release(what: bytes) -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.say("requestor", what)
    a.pdu("acceptor", ReleaseResponse())
    a.close()
    assert failing(lab) == {"STD-UL-023"}


def test_data_before_the_accept() -> None:
    lab = Lab()
    a = lab.associate()
    _say(a, (1, 3, ECHO))
    lab.wait(0.5)
    a.accept()
    a.abort("acceptor", 2, 2)
    assert failing(lab) == {"STD-UL-052"}


def test_data_after_a_reject() -> None:
    lab = Lab()
    a = lab.associate()
    a.reject(1, 1, 1, close=False)
    _say(a, (1, 3, ECHO))
    a.close("acceptor")
    assert failing(lab) == {"STD-UL-052"}


def test_data_after_the_product_s_own_release() -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("requestor", ReleaseRequest())
    _say(a, (1, 3, ECHO.replace(b"\x10\x01\x02\0\0\0\1\0", b"\x10\x01\x02\0\0\0\2\0")))
    a.pdu("acceptor", ReleaseResponse())
    a.close()
    assert failing(lab) == {"STD-UL-053", "VX-VER-003"}


def test_a_release_that_the_product_does_not_answer() -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("acceptor", ReleaseRequest())
    lab.wait(30)
    a.close("acceptor")
    assert failing(lab) == {"STD-UL-054"}


def test_a_peer_that_closes_behind_its_release_request() -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("acceptor", ReleaseRequest())
    a.reset("acceptor")
    assert failing(lab) == set()


def test_a_release_collision() -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("requestor", ReleaseRequest())
    a.pdu("acceptor", ReleaseRequest())
    a.pdu("requestor", ReleaseResponse())
    a.pdu("acceptor", ReleaseResponse())
    a.close()
    assert failing(lab) == set()


@pytest.mark.parametrize(
    "speak",
    [
        lambda a: a.pdu("requestor", ReleaseResponse()),
        lambda a: a.say("requestor", b"\3\0\0\0\0\4\0\1\1\1"),
    ],
)
def test_pdus_that_do_not_belong_to_the_state(speak: Callable[[Conversation], None]) -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    speak(a)
    a.abort("acceptor", 2, 2)
    assert "STD-UL-055" in failing(lab)


@pytest.mark.parametrize("end", [lambda a: a.close("requestor"), lambda a: a.reset("requestor")])
def test_an_association_that_is_dropped(end: Callable[[Conversation], None]) -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    end(a)
    assert failing(lab) == {"STD-UL-056", "VX-VER-004"}


@pytest.mark.parametrize(
    ("pause", "crossing", "told"), [(0.0, False, True), (2.0, False, False), (0.0, True, False)]
)
def test_a_release_that_is_not_waited_for(pause: float, crossing: bool, told: bool) -> None:
    """Gone at once is a fault; gone after a while, or when the peer said something else, is none."""
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("requestor", ReleaseRequest())
    if crossing:
        a.pdu("acceptor", ReleaseRequest())
    lab.wait(pause)
    a.close("requestor")
    assert ("STD-UL-056" in failing(lab)) is told


def test_an_association_dropped_after_silence_is_no_fault() -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    lab.wait(30)
    a.close("requestor")
    assert failing(lab) == set()


def test_tcp_closed_by_the_product_after_the_release_is_no_fault() -> None:
    for first in ("requestor", "acceptor"):
        lab = Lab()
        a = _verify(lab)
        a.request("C-ECHO-RQ")
        a.respond()
        a.release(first_to_close=first)
        assert failing(lab) == set()


@pytest.mark.parametrize(
    ("source", "reason", "wanted"),
    [(0, 0, set()), (2, 6, set()), (2, 3, {"STD-UL-057"}), (1, 0, {"STD-UL-057"}), (0, 4, {"STD-UL-057"})],
)
def test_source_and_reason_of_an_abort(source: int, reason: int, wanted: set[str]) -> None:
    lab = Lab()
    a = lab.associate(client="10.0.0.9", server="10.0.0.5", called="VXVUE", implementation_class="1.2.3")
    a.accept(implementation_class="1.3.6.1.4.1.19719", implementation_version=None)
    a.abort("acceptor", source, reason)
    assert failing(lab) == wanted


def test_data_after_the_product_s_own_abort() -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    lab.wait(30)
    a.pdu("requestor", Abort(0, 0))
    _say(a, (1, 3, ECHO))
    a.close("acceptor")
    assert "STD-UL-058" in failing(lab)


def test_faults_of_the_peer_are_none_of_the_product_s() -> None:
    lab = Lab()
    a = lab.associate()
    a.accept()
    a.request("C-ECHO-RQ")
    a.say("acceptor", b"\4\0\0\0\0\0")
    a.pdu("acceptor", RawPDU(0x42, b"abcd"))
    a.abort("requestor", 2, 1)
    assert failing(lab) == set()


@pytest.mark.parametrize("order", ["shuffled", "retransmitted", "overlapping"])
def test_disorder_of_the_network_is_no_fault(order: str) -> None:
    lab = Lab()
    for _ in range(3):
        a = _storage(lab)
        a.request("C-STORE-RQ", IMAGE, sop_class=DX, sop_instance="2.25.1", how=Cut((20,)))
        a.respond()
        a.release()
        b = _verify(lab)
        echo(b)
    assert failing(lab, order=order, mss=60) == set()


def test_every_code_of_the_witness_has_a_rule() -> None:
    assert set(RULES_OF_CODES) == {*problems.UPPER_LAYER, *problems.PRESENTATION_DATA} - EVIDENCE
    known = rules()
    for text in RULES_OF_CODES.values():
        for id in re.findall(r"STD-[A-Z]+-[0-9]{3}", text):
            assert id in known


@pytest.mark.parametrize("by", ["acceptor", "requestor"])
def test_a_data_set_whose_last_fragment_is_not_marked(by: str) -> None:
    lab = Lab()
    a = _storage(lab)
    _say(a, (1, 3, STORE))
    _say(a, (1, 0, DATA))
    lab.wait(30)
    a.abort(by)  # type: ignore[arg-type]
    assert failing(lab) == {"STD-UL-047"}


def test_going_on_long_after_the_peer_s_abort() -> None:
    lab = Lab()
    a = _storage(lab)
    a.pdu("acceptor", Abort(2, 0))
    lab.wait(5)
    _say(a, (1, 3, STORE))
    _say(a, (1, 2, DATA))
    a.close("acceptor")
    assert "STD-UL-058" in failing(lab)


def test_data_that_cross_the_peer_s_abort_are_no_fault() -> None:
    lab = Lab()
    a = _storage(lab)
    a.pdu("acceptor", Abort(2, 0))
    _say(a, (1, 3, STORE))
    _say(a, (1, 2, DATA))
    a.close("acceptor")
    assert failing(lab) == set()


def test_a_second_association_on_the_same_connection() -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("requestor", ReleaseRequest())
    a.pdu("acceptor", ReleaseResponse())
    a.pdu("requestor", a.proposal)
    a.accept()
    echo(a)
    assert failing(lab) == {"STD-UL-055"}


@pytest.mark.parametrize("claimed", [2, 40])
def test_a_presentation_data_value_that_does_not_fit_its_pdu(claimed: int) -> None:
    lab = Lab()
    a = _verify(lab)
    body = (len(ECHO) + claimed).to_bytes(4, "big") + b"\1\3" + ECHO
    length = len(body) - (4 if claimed == 2 else 0)
    a.say("requestor", b"\4\0" + length.to_bytes(4, "big") + body)
    lab.wait(1)
    a.abort("acceptor", 2, 6)
    assert failing(lab) == {"STD-UL-041"}


@pytest.mark.parametrize("length", [5, 0x1004])
def test_a_release_whose_length_says_too_much(length: int) -> None:
    lab = Lab()
    a = _verify(lab)
    a.request("C-ECHO-RQ")
    a.respond()
    a.say("requestor", b"\5\0" + length.to_bytes(4, "big") + b"\0\0\0\0")
    a.pdu("acceptor", ReleaseResponse())
    a.close()
    assert failing(lab) == {"STD-UL-051"}


@pytest.mark.parametrize("more", [9, -8, 60000])
def test_a_request_whose_length_is_wrong(more: int) -> None:
    lab = Lab()
    a = lab.associate(say=False)
    raw = bytearray(encode(a.proposal))
    raw[2:6] = (len(raw) - 6 + more).to_bytes(4, "big")
    a.say("requestor", bytes(raw))
    lab.wait(10)
    a.abort("acceptor", 2, 6)
    assert failing(lab) == {"STD-UL-051"}


def test_an_image_broken_off_by_the_peer_is_no_wrong_length() -> None:
    lab = Lab()
    a = _storage(lab)
    _say(a, (1, 3, STORE))
    a.say("requestor", b"\4\0\0\0\x20\0\0\0\x1f\xfc\1\0" + DATA)
    a.abort("acceptor", 2, 0)
    assert failing(lab) == set()
