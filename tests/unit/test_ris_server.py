"""The RIS over real sockets: queries, cancellation, MPPS."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.kinds import KINDS
from simulators.base import CommandError
from simulators.dicom.client import AssociationLost, Requestor
from simulators.dicom.config import ConfigError
from simulators.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet, decode, encode, keyword_entry
from simulators.dicom.keywords import from_mapping
from simulators.ris import Config, Ris, create
from simulators.ris.mpps import SOP_CLASS as MPPS
from simulators.wire import Abort

MWL = "1.2.840.10008.5.1.4.31"
ECHO = "1.2.840.10008.1.1"
WAIT_S = 20.0

LARGE = [{"PatientID": str(n), "PatientComments": "x" * 8000} for n in range(4000)]
"""More than all buffers on the way hold: whoever answers has to wait for whoever reads."""

CREATE: dict[str, Any] = {
    "ScheduledStepAttributesSequence": [{"StudyInstanceUID": "1.2.3"}],
    "PerformedProcedureStepID": "1",
    "PerformedStationAETitle": "VXVUE",
    "PerformedProcedureStepStartDate": "20260101",
    "PerformedProcedureStepStartTime": "080000",
    "PerformedProcedureStepStatus": "IN PROGRESS",
    "Modality": "DX",
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "Yamada^Tarou=山田^太郎",
}
FINAL: dict[str, Any] = {
    "PerformedProcedureStepStatus": "COMPLETED",
    "PerformedProcedureStepEndDate": "20260101",
    "PerformedProcedureStepEndTime": "081500",
    "PerformedSeriesSequence": [{"SeriesInstanceUID": "1.2.3.4", "ProtocolName": "CHEST"}],
}


class Log:
    """Collects events and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._more = threading.Condition()

    def __call__(self, kind: str, /, **data: Any) -> None:
        with self._more:
            self.events.append((kind, data))
            self._more.notify_all()

    def wait(self, kind: str, count: int = 1) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [d for k, d in self.events if k == kind]

        with self._more:
            assert self._more.wait_for(lambda: len(found()) >= count, WAIT_S), (kind, self.events)
            return found()[count - 1]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    assert set(made.kinds()) <= set(KINDS)
    assert "bench.error" not in made.kinds(), made.events


Start = Callable[..., tuple[Ris, int]]


@pytest.fixture
def start(log: Log) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def begin(*items: dict[str, Any], **config: Any) -> tuple[Ris, int]:
            ris = create({"charset": "ISO_IR 192", "items": list(items), **config}, log)
            stack.callback(ris.stop)
            return ris, int(ris.start()["port"])

        yield begin


@contextlib.contextmanager
def _association(port: int, syntax: str = EXPLICIT_LE, calling: str = "VXVUE") -> Iterator[Requestor]:
    with Requestor("127.0.0.1", port, timeout_s=WAIT_S) as peer:
        peer.associate("RIS", calling, {MWL: [syntax], MPPS: [syntax], ECHO: [IMPLICIT_LE]})
        yield peer


def _syntax(peer: Requestor, context: int) -> str:
    return peer.connection.contexts[context].transfer_syntax


def _query(peer: Requestor, **keys: Any) -> tuple[list[int], list[DataSet]]:
    """All statuses and all identifiers."""
    context = peer.context_for(MWL)
    syntax = _syntax(peer, context)
    peer.send("C-FIND-RQ", encode(from_mapping(keys), syntax), context=context, AffectedSOPClassUID=MWL)
    statuses, found = [], []
    while True:
        response, data = peer.receive()
        statuses.append(response.status)
        if response.status & 0xFF00 != 0xFF00:
            return statuses, found
        found.append(decode(data, syntax))


def _value(dataset: DataSet, keyword: str) -> Any:
    return dataset[keyword_entry(keyword)[0]].first


def _mpps(peer: Requestor, name: str, uid: str | None, dataset: dict[str, Any]) -> Any:
    context = peer.context_for(MPPS)
    kind = "Affected" if name == "N-CREATE-RQ" else "Requested"
    elements: dict[str, Any] = {f"{kind}SOPClassUID": MPPS}
    if uid is not None:
        elements[f"{kind}SOPInstanceUID"] = uid
    return peer.ask(name, encode(from_mapping(dataset), _syntax(peer, context)), context=context, **elements)


# -- worklist ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE])
def test_a_query_finds_by_a_japanese_name(start: Start, log: Log, syntax: str) -> None:
    _, port = start(
        {"PatientName": "Yamada^Tarou=山田^太郎", "AccessionNumber": "A1", "charset": "\\ISO 2022 IR 87"},
        {"PatientName": "Smith^John", "AccessionNumber": "A2"},
    )
    with _association(port, syntax) as peer:
        statuses, found = _query(
            peer, SpecificCharacterSet="ISO_IR 192", PatientName="=山*", AccessionNumber="", PatientID=""
        )
        peer.release()
    assert statuses == [0xFF00, 0x0000]
    assert _value(found[0], "PatientName") == "Yamada^Tarou=山田^太郎"
    assert found[0][0x00080005].value == ("", "ISO 2022 IR 87")
    queried = log.wait("ris.queried")
    assert (queried["matches"], queried["status"], queried["calling"]) == (1, 0, "VXVUE")
    assert queried["identifier"]["00100010"]["Value"] == [{"Alphabetic": "", "Ideographic": "山*"}]


def test_no_match_is_a_success(start: Start) -> None:
    _, port = start({"PatientID": "1"})
    with _association(port) as peer:
        assert _query(peer, PatientID="2") == ([0x0000], [])


def test_an_unsupported_key_makes_matches_ff01(start: Start) -> None:
    _, port = start({"PatientID": "1"}, {"PatientID": "2", "BodyPartExamined": "CHEST"})
    with _association(port) as peer:
        statuses, found = _query(peer, PatientID="", BodyPartExamined="")
    assert statuses == [0xFF01, 0xFF00, 0x0000]
    assert "00180015" not in found[0]
    assert _value(found[1], "BodyPartExamined") == "CHEST"


def test_a_worklist_by_command_replaces_or_adds(start: Start) -> None:
    ris, port = start({"PatientID": "1"})
    assert ris.command("worklist", {"items": [{"PatientID": "2"}], "charset": "ISO_IR 100"}) == {"items": 1}
    assert ris.command("worklist", {"items": [{"PatientID": "3"}], "add": True}) == {"items": 2}
    with _association(port) as peer:
        _, found = _query(peer, PatientID="")
    assert [_value(f, "PatientID") for f in found] == ["2", "3"]
    assert [_value(f, "SpecificCharacterSet") for f in found] == ["ISO_IR 100", "ISO_IR 192"]
    with pytest.raises(CommandError, match="PatientName"):
        ris.command("worklist", {"items": [{"PatientNam": "x"}]})


def test_a_cancel_ends_a_large_answer(start: Start, log: Log) -> None:
    _, port = start(*LARGE)
    with _association(port) as peer:
        context = peer.context_for(MWL)
        keys = encode(from_mapping({"PatientID": "", "PatientComments": ""}), EXPLICIT_LE)
        msgid = peer.send("C-FIND-RQ", keys, context=context, AffectedSOPClassUID=MWL)
        for _ in range(3):
            assert peer.receive()[0].status == 0xFF00
        peer.send("C-CANCEL-RQ", context=context, MessageIDBeingRespondedTo=msgid)
        received = 3
        while (status := peer.receive()[0].status) == 0xFF00:
            received += 1
        assert status == 0xFE00
        assert peer.ask("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO).status == 0
    assert log.wait("ris.cancelled")["sent"] == received < len(LARGE)
    assert "ris.queried" not in log.kinds()


def test_all_of_ten_thousand_arrive(start: Start, log: Log) -> None:
    _, port = start(*({"PatientID": str(n)} for n in range(10_000)))
    with _association(port) as peer:
        statuses, found = _query(peer, PatientID="")
    assert len(found) == 10_000
    assert statuses[-1] == 0
    assert log.wait("ris.queried")["matches"] == 10_000


def test_a_peer_that_goes_away_ends_the_answer(start: Start, log: Log) -> None:
    _, port = start(*LARGE)
    with _association(port) as peer:
        peer.send(
            "C-FIND-RQ",
            encode(from_mapping({"PatientID": "", "PatientComments": ""}), EXPLICIT_LE),
            context=peer.context_for(MWL),
            AffectedSOPClassUID=MWL,
        )
        peer.receive()
        peer.abort()
    lost = log.wait("ris.lost")
    assert lost["pending"] == "C-FIND-RQ"
    assert lost["how"] in ("abort", "reset")
    log.wait("wire.close")
    assert "ris.queried" not in log.kinds()


def test_a_peer_that_does_not_read_is_given_up(start: Start, log: Log) -> None:
    _, port = start(
        *({"PatientID": str(n), "PatientComments": "x" * 1000} for n in range(10_000)), dimse_s=0.3
    )
    with _association(port) as peer:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.send(
            "C-FIND-RQ",
            encode(from_mapping({"PatientID": "", "PatientComments": ""}), EXPLICIT_LE),
            context=peer.context_for(MWL),
            AffectedSOPClassUID=MWL,
        )
        assert log.wait("ris.lost")["how"] == "timeout"


def test_malformed_and_oversized_identifiers(start: Start, log: Log) -> None:
    _, port = start(max_dataset=10_000)
    with _association(port) as peer:
        context = peer.context_for(MWL)
        bad = peer.ask("C-FIND-RQ", b"\x10\x00\x10\x00PN\xff\x00x", context=context, AffectedSOPClassUID=MWL)
        assert bad.status == 0xC000
        big = encode(from_mapping({"PatientComments": "x" * 10_000}), EXPLICIT_LE)
        assert peer.ask("C-FIND-RQ", big, context=context, AffectedSOPClassUID=MWL).status == 0xA700
        assert _query(peer, PatientID="")[0] == [0]
    assert log.wait("ris.refused", 2)["status"] == 0xA700


def test_a_status_fault_answers_instead(start: Start, log: Log) -> None:
    ris, port = start({"PatientID": "1"})
    ris.command("arm", {"id": "f", "fault": "status", "args": {"of": "C-FIND-RQ", "status": "A700"}})
    with _association(port) as peer:
        assert _query(peer, PatientID="") == ([0xA700], [])
        assert _query(peer, PatientID="")[0] == [0xFF00, 0]
    assert log.wait("fault.fired")["where"]["msgid"] == 1


def test_matches_may_be_limited(start: Start) -> None:
    _, port = start({}, {}, {}, max_matches=2)
    with _association(port) as peer:
        assert _query(peer, PatientID="")[0] == [0xFF00, 0xFF00, 0xA700]


# -- MPPS ------------------------------------------------------------------------------------------------


def test_a_step_from_creation_to_its_end(start: Start, log: Log) -> None:
    ris, port = start()
    with _association(port) as peer:
        assert _mpps(peer, "N-CREATE-RQ", "1.2.9", CREATE).status == 0
        assert _mpps(peer, "N-CREATE-RQ", "1.2.9", CREATE).status == 0x0111
        assert _mpps(peer, "N-SET-RQ", "1.2.8", FINAL).status == 0x0112
        assert _mpps(peer, "N-SET-RQ", "1.2.9", FINAL).status == 0
        late = _mpps(peer, "N-SET-RQ", "1.2.9", FINAL)
        assert (late.status, late.get("ErrorID")) == (0x0110, 0xA710)
        assert "no longer be updated" in late.get("ErrorComment")
    created, was_set = log.wait("ris.mpps_created"), log.wait("ris.mpps_set")
    assert (created["sop_instance"], created["state"], created["status"]) == ("1.2.9", "IN PROGRESS", 0)
    assert created["dataset"]["00100010"]["Value"][0]["Ideographic"] == "山田^太郎"
    assert was_set["state"] == "COMPLETED"
    assert [d["status"] for k, d in log.events if k == "ris.refused"] == [0x0111, 0x0112, 0x0110]
    assert [s["state"] for s in ris.command("steps", {})["steps"]] == ["COMPLETED"]


def test_a_step_without_uid_gets_one(start: Start, log: Log) -> None:
    _, port = start()
    with _association(port) as peer:
        response = _mpps(peer, "N-CREATE-RQ", None, CREATE)
        assert response.status == 0
        assert response.sop_instance.startswith("2.25.")
        assert _mpps(peer, "N-SET-RQ", response.sop_instance, FINAL).status == 0


def test_a_lost_answer_and_a_repeated_creation(start: Start, log: Log) -> None:
    # The fault that makes products create twice: the request arrives, the answer does not.
    ris, port = start()
    ris.command("arm", {"id": "f", "fault": "close", "args": {"on": "N-SET-RQ", "how": "rst"}})
    with _association(port) as peer:
        assert _mpps(peer, "N-CREATE-RQ", "1.2.9", CREATE).status == 0
        with pytest.raises((AssociationLost, ConnectionError)):
            _mpps(peer, "N-SET-RQ", "1.2.9", FINAL)
    with _association(port) as peer:
        assert _mpps(peer, "N-CREATE-RQ", "1.2.9", CREATE).status == 0x0111
        assert _mpps(peer, "N-SET-RQ", "1.2.9", FINAL).status == 0


def test_services_can_be_left_out(start: Start) -> None:
    _, port = start(services=["mpps", "verification"])
    with Requestor("127.0.0.1", port) as peer:
        accept = peer.associate("RIS", "X", [(MWL, [IMPLICIT_LE]), (MPPS, [IMPLICIT_LE])])
        assert [c.result for c in accept.contexts] == [3, 0]


def test_requests_in_the_wrong_context(start: Start) -> None:
    _, port = start()
    with _association(port) as peer:
        data = encode(from_mapping({"PatientID": ""}), EXPLICIT_LE)
        context = peer.context_for(MPPS)
        assert peer.ask("C-FIND-RQ", data, context=context, AffectedSOPClassUID=MWL).status == 0x0211


def test_an_answer_without_a_request_is_passed_over(start: Start, log: Log) -> None:
    from simulators.wire import dimse

    _, port = start()
    with _association(port) as peer:
        reply = dimse.Command.new(
            "C-ECHO-RSP", MessageIDBeingRespondedTo=7, AffectedSOPClassUID=ECHO, Status=0
        )
        peer.sock.sendall(peer.connection.send_message(peer.context_for(ECHO), reply))
        assert peer.ask("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO).status == 0
    assert log.wait("wire.message")["field"] == "C-ECHO-RSP"


def test_abort_after_the_final_answer(start: Start) -> None:
    ris, port = start()
    ris.command("arm", {"id": "f", "fault": "abort", "args": {"on": "release"}})
    with _association(port) as peer:
        assert _query(peer, PatientID="")[0] == [0]
        assert isinstance(peer.release(), Abort)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"mpps_checks": "some"}, "mpps_checks"),
        ({"services": ["worklists"]}, "worklists"),
        ({"items": [{"PatientNam": "x"}]}, "PatientName"),
        ({"worklist": []}, "unknown configuration key"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        create(Config.from_dict(config), lambda kind, /, **data: None)
