"""STD-DIMSE rules on requests and responses: order, ids, answers, cancels, releases."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.wire import AsyncOperationsWindow, RoleSelection
from tests.lab.conversation import Conversation, Lab
from tests.lab.elements import DataSet
from tests.unit.judged_conversations import DX, EXPLICIT, VERIFICATION, WORKLIST, failing, verdicts

COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
KEYS = DataSet(PatientName="*")
REPORT = DataSet(TransactionUID="2.25.7")


def _image(number: int) -> dict[str, Any]:
    return {
        "dataset": DataSet(SOPClassUID=DX, SOPInstanceUID=f"2.25.{number}"),
        "sop_class": DX,
        "sop_instance": f"2.25.{number}",
        "Priority": 0,
    }


def _storage(lab: Lab, **how: Any) -> Conversation:
    a = lab.associate(contexts=[(DX, [EXPLICIT])], **how)
    a.accept(user_items=how.get("user_items", ()))
    return a


def _pipelined(a: Conversation, *ids: int) -> None:
    asked = [a.request("C-STORE-RQ", **_image(n), MessageID=id) for n, id in enumerate(ids, 1)]
    for one in asked:
        a.respond(to=one)
    a.release()


def test_one_request_after_the_other() -> None:
    lab = Lab()
    a = _storage(lab)
    for number in (1, 2, 3):
        a.request("C-STORE-RQ", **_image(number), MessageID=1)
        a.respond()
    a.release()
    found = verdicts(lab)
    assert "FAIL" not in found.values()
    assert (
        found["STD-DIMSE-040"]
        == found["STD-DIMSE-041"]
        == found["STD-DIMSE-048"]
        == found["VX-ASC-006"]
        == "PASS"
    )


def test_a_request_before_the_response() -> None:
    lab = Lab()
    _pipelined(_storage(lab), 1, 2)
    assert failing(lab) == {"STD-DIMSE-041", "VX-ASC-006"}


def test_a_message_id_that_is_outstanding() -> None:
    lab = Lab()
    a = _storage(lab, user_items=[AsyncOperationsWindow(3, 1)])
    _pipelined(a, 1, 1)
    assert failing(lab) == {"STD-DIMSE-040", "VX-ASC-005", "VX-ASC-006"}


@pytest.mark.parametrize(("window", "wanted"), [(3, set()), (0, set()), (2, {"STD-DIMSE-041"})])
def test_a_negotiated_window(window: int, wanted: set[str]) -> None:
    lab = Lab()
    _pipelined(_storage(lab, user_items=[AsyncOperationsWindow(window, 1)]), 1, 2, 3)
    assert {id for id in failing(lab) if id.startswith("STD-")} == wanted


def test_going_on_after_a_peer_s_silence_is_a_remark() -> None:
    lab = Lab()
    a = _storage(lab)
    a.request("C-STORE-RQ", **_image(1))
    lab.wait(60)
    a.request("C-STORE-RQ", **_image(2))
    a.respond()
    a.release()
    assert failing(lab) == set()


def test_a_release_without_waiting() -> None:
    lab = Lab()
    a = _storage(lab)
    a.request("C-STORE-RQ", **_image(1))
    a.release()
    assert failing(lab) == {"STD-DIMSE-048"}


def test_a_release_after_the_peer_s_silence() -> None:
    lab = Lab()
    a = _storage(lab)
    a.request("C-STORE-RQ", **_image(1))
    lab.wait(30)
    a.release()
    assert failing(lab) == set()


# Cancels


def _find(lab: Lab) -> Conversation:
    a = lab.associate(contexts=[(WORKLIST, [EXPLICIT]), (WORKLIST, [EXPLICIT])])
    a.accept()
    a.request("C-FIND-RQ", KEYS, Priority=0)
    a.respond(0xFF00, KEYS)
    return a


def test_a_cancel() -> None:
    lab = Lab()
    a = _find(lab)
    asked = a.last["requestor"]
    a.request("C-CANCEL-RQ", MessageIDBeingRespondedTo=1)
    a.respond(0xFE00, to=asked)
    a.release()
    found = verdicts(lab)
    assert "FAIL" not in found.values()
    assert found["STD-DIMSE-047"] == "PASS"


@pytest.mark.parametrize(
    "elements", [{"MessageIDBeingRespondedTo": 9}, {"MessageIDBeingRespondedTo": 1, "context": 3}]
)
def test_wrong_cancels(elements: dict[str, Any]) -> None:
    lab = Lab()
    a = _find(lab)
    asked = a.last["requestor"]
    a.request("C-CANCEL-RQ", **elements)
    a.respond(0, to=asked, context=1)
    a.release()
    assert failing(lab) == {"STD-DIMSE-047"}


def test_a_cancel_long_after_the_end() -> None:
    lab = Lab()
    a = _find(lab)
    a.respond(0)
    lab.wait(5)
    a.request("C-CANCEL-RQ", MessageIDBeingRespondedTo=1)
    a.release()
    assert failing(lab) == {"STD-DIMSE-047"}


# What the product answers


def _reported(lab: Lab) -> Conversation:
    """The archive asks for an association and reports a commitment."""
    a = lab.associate(
        client="10.0.0.9",
        server="10.0.0.5",
        called="VXVUE",
        implementation_class="1.2.3",
        contexts=[(COMMITMENT, [EXPLICIT]), (VERIFICATION, [EXPLICIT])],
        user_items=[RoleSelection(COMMITMENT, 0, 1)],
    )
    a.accept(implementation_class="1.3.6.1.4.1.19719", implementation_version=None)
    a.request(
        "N-EVENT-REPORT-RQ", REPORT, sop_class=COMMITMENT, sop_instance=WELL_KNOWN, EventTypeID=1, MessageID=7
    )
    return a


def test_a_right_answer() -> None:
    lab = Lab()
    a = _reported(lab)
    a.respond(0)
    a.release()
    found = verdicts(lab)
    assert "FAIL" not in found.values()
    for number in (42, 43, 44, 45):
        assert found[f"STD-DIMSE-{number:03d}"] == "PASS", number


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"MessageIDBeingRespondedTo": 8}, {"STD-DIMSE-042"}),
        ({"context": 3}, {"STD-DIMSE-043"}),
        ({"status": 0xC123}, {"STD-DIMSE-045"}),
        ({"status": 0x0110}, set()),
        ({"AffectedSOPClassUID": VERIFICATION}, {"STD-DIMSE-046"}),
        ({"AffectedSOPInstanceUID": "2.25.3"}, {"STD-DIMSE-046"}),
        ({"AffectedSOPInstanceUID": WELL_KNOWN, "EventTypeID": 1}, set()),
    ],
)
def test_answers(how: dict[str, Any], wanted: set[str]) -> None:
    lab = Lab()
    a = _reported(lab)
    a.respond(**how)
    a.release()
    assert failing(lab) == wanted


def test_an_answer_of_another_service() -> None:
    lab = Lab()
    a = _reported(lab)
    asked = a.last["requestor"]
    answer = asked.reply(0, dataset=False)
    answer.elements[0x0100] = 0x8030
    for number in (0x1000, 0x1002):
        answer.elements.pop(number, None)
    a.respond(command=answer)
    a.release()
    assert failing(lab) == {"STD-DIMSE-043"}


def test_two_final_answers() -> None:
    lab = Lab()
    a = _reported(lab)
    asked = a.last["requestor"]
    a.respond(0, to=asked)
    a.respond(0, to=asked)
    a.release()
    assert failing(lab) == {"STD-DIMSE-044"}


def test_no_answer_before_the_release() -> None:
    lab = Lab()
    a = _reported(lab)
    a.release()
    assert failing(lab) == {"STD-DIMSE-044"}


def test_no_answer_for_half_a_minute() -> None:
    lab = Lab()
    a = _reported(lab)
    lab.wait(30)
    a.abort("requestor", 2, 0)
    assert failing(lab) == {"STD-DIMSE-044"}


def test_a_peer_that_does_not_wait_for_the_answer() -> None:
    lab = Lab()
    a = _reported(lab)
    a.abort("requestor")
    assert failing(lab) == set()


def test_an_echo_that_is_not_answered() -> None:
    lab = Lab()
    a = lab.associate(client="10.0.0.9", server="10.0.0.5", called="VXVUE", implementation_class="1.2.3")
    a.accept(implementation_class="1.3.6.1.4.1.19719", implementation_version=None)
    a.request("C-ECHO-RQ")
    lab.wait(30)
    a.abort("requestor", 2, 0)
    assert failing(lab) == {"STD-DIMSE-044", "VX-VER-006"}


def test_a_gap_in_the_capture_is_no_fault() -> None:
    lab = Lab()
    a = _reported(lab)
    with a.unseen():
        a.respond(0)
    a.release()
    assert failing(lab) == set()


def test_a_capture_that_begins_in_the_middle_is_no_fault() -> None:
    lab = Lab()
    a = _storage(lab)
    a.request("C-STORE-RQ", **_image(1))
    a.respond()
    lab.missing_until = lab.time
    a.request("C-STORE-RQ", **_image(2))
    a.respond()
    a.release()
    assert failing(lab) == set()


def test_a_peer_s_answer_to_no_request_is_taken_for_what_it_was_meant_to_be() -> None:
    lab = Lab()
    a = _storage(lab)
    for number in (1, 2):
        a.request("C-STORE-RQ", **_image(number), MessageID=number)
        a.respond(MessageIDBeingRespondedTo=77)
    a.release()
    assert failing(lab) == set()


def test_a_peer_s_answer_that_cannot_be_read() -> None:
    lab = Lab()
    a = _storage(lab)
    a.request("C-STORE-RQ", **_image(1))
    a.request("C-STORE-RSP", side="acceptor", command=b"garbage!")
    a.request("C-STORE-RQ", **_image(2))
    a.respond()
    a.release()
    assert failing(lab) == set()
