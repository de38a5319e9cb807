"""The console's process through whole exams, against peers on pynetdicom."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NAME = "modality_peers"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name(f"{_NAME}.py"))
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
peers: Any = sys.modules[_NAME]

pytestmark = pytest.mark.filterwarnings("ignore:The value length:UserWarning")


@pytest.fixture
def ris() -> Iterator[Any]:
    peer = peers.Ris()
    yield peer
    peer.close()


@pytest.fixture
def pacs() -> Iterator[Any]:
    peer = peers.Pacs()
    yield peer
    peer.close()


@pytest.fixture
def console(tmp_path: Path, ris: Any, pacs: Any) -> Iterator[Any]:
    made = peers.Console(
        tmp_path,
        worklist=peers.peer_settings(ris),
        mpps=peers.peer_settings(ris),
        storage=[peers.peer_settings(pacs, "pacs")],
    )
    yield made
    made.end()
    assert b"Traceback" not in (tmp_path / "stderr").read_bytes()


def test_one_exam_from_worklist_to_archive(console: Any, ris: Any, pacs: Any) -> None:
    ris.items = [peers.worklist_item("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"])]
    operator = console.start()
    found = operator.do("query_worklist")
    assert found["count"] == 1
    assert found["items"][0]["PatientName"] == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    started = operator.do("start_exam", AccessionNumber="A1")
    assert started["mpps"] == "sent"
    image = operator.expose(view="PA", kvp=117, ma=250, ms=16)
    ended = operator.do("complete")
    assert ended["mpps"] == "sent"
    assert operator.do("send", wait=60)["done"]
    assert operator.warnings() == []

    ((uid, dataset, sha256),) = pacs.stored
    assert uid == image["sop_instance"]
    assert sha256 == image["sha256"]
    assert dataset.file_meta.TransferSyntaxUID == peers.ELE
    assert list(dataset.SpecificCharacterSet) == ["", "ISO 2022 IR 87"]
    assert str(dataset.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert dataset.PatientName.original_string == (
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    )
    assert dataset.StudyInstanceUID == "1.2.826.0.1.3680043.2.1"
    assert (dataset.StudyDate, dataset.StudyTime) == ("20261121", "083000")
    assert (dataset.KVP, dataset.XRayTubeCurrent, dataset.ExposureTime) == (117, 250, 16)
    assert dataset.StudyDescription == "Chest two views"
    assert dataset.PerformingPhysicianName == "House^Gregory"

    ((step_uid, created),) = ris.steps.items()
    assert created.PerformedProcedureStepStatus == "IN PROGRESS"
    assert created.ScheduledStepAttributesSequence[0].ScheduledProcedureStepID == "SPS1"
    assert len(created.PerformedSeriesSequence) == 0
    final = ris.final[step_uid]
    assert final.PerformedProcedureStepStatus == "COMPLETED"
    (series,) = final.PerformedSeriesSequence
    assert series.SeriesInstanceUID == dataset.SeriesInstanceUID
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedImageSequence] == [uid]
    assert series.RetrieveAETitle == "PACS"
    reference = dataset.ReferencedPerformedProcedureStepSequence[0]
    assert reference.ReferencedSOPInstanceUID == step_uid
    assert dataset.PerformedProcedureStepID == created.PerformedProcedureStepID
    assert len(dataset.StudyID) <= 16
    # worklist, N-CREATE, N-SET: three associations, each released
    assert ris.told(*[["accepted", what, "released"] for what in ("find", "create", "set")]), ris.stories
    assert pacs.told(["accepted", "stored", "released"]), pacs.stories
    assert console.end() == 0


def test_identity_on_the_wire(console: Any, ris: Any, pacs: Any) -> None:
    operator = console.start()
    for name in ("worklist", "mpps", "pacs"):
        operator.do("verify", peer=name)
    primitives = [value for what, value in ris.log + pacs.log if what == "accepted"]
    assert len(primitives) == 3
    for primitive in primitives:
        assert primitive.application_context_name == "1.2.840.10008.3.1.1.1"
        assert primitive.maximum_length_received == 16384
        assert primitive.implementation_class_uid == "1.3.6.1.4.1.19719"
        assert [item.__class__.__name__ for item in primitive.user_information] == [
            "MaximumLengthNotification",
            "ImplementationClassUIDNotification",
        ]
        (context,) = primitive.presentation_context_definition_list
        assert context.transfer_syntax == [peers.ELE]


def test_three_images_of_one_study_go_over_one_association_to_each_destination(
    tmp_path: Path, ris: Any, pacs: Any
) -> None:
    second = peers.Pacs("PACS2")
    console = peers.Console(
        tmp_path,
        mpps=peers.peer_settings(ris),
        storage=[peers.peer_settings(pacs, "pacs"), peers.peer_settings(second, "pacs2")],
    )
    try:
        meet = peers.threading.Barrier(2, timeout=60)  # both must be open at the same time (VX-ASC-003)
        met: list[Any] = []

        def answer(event: Any) -> int:
            if event.assoc not in met:
                met.append(event.assoc)
                meet.wait()
            return 0

        pacs.answer = second.answer = answer
        operator = console.start()
        operator.do("start_exam", patient={"PatientName": "Doe^John", "PatientID": "7"})
        uids = [operator.expose(view=view)["sop_instance"] for view in ("PA", "PA", "LL")]
        rejected = operator.do("prepare", view="AP") and operator.do("wait_image", timeout=5)
        operator.do("reject", reason="moved")
        operator.do("complete")
        assert operator.do("send", wait=60)["done"]
        for peer in (pacs, second):
            assert [stored[0] for stored in peer.stored] == uids
            assert peer.told(["accepted", "stored", "stored", "stored", "released"]), peer.stories
        assert rejected["sop_instance"] not in uids
        (final,) = ris.final.values()
        by_protocol = {s.ProtocolName: len(s.ReferencedImageSequence) for s in final.PerformedSeriesSequence}
        assert by_protocol == {"Chest PA": 2, "Chest LL": 1}
        assert operator.do("exam_state")["exam"]["sent"] is True
    finally:
        console.end()
        second.close()


def test_discontinued_and_appended(console: Any, ris: Any, pacs: Any) -> None:
    ris.items = [peers.worklist_item()]
    operator = console.start()
    operator.do("query_worklist")
    operator.do("select", PatientID="PID-1")
    first = operator.do("start_exam")
    assert operator.do("discontinue", reason="patient left")["state"] == "discontinued"
    (given_up,) = ris.final.values()
    assert given_up.PerformedProcedureStepStatus == "DISCONTINUED"
    assert len(given_up.PerformedSeriesSequence) == 0
    appended = operator.do("append")
    assert appended["study_instance"] == first["study_instance"]
    assert appended["step"]["sop_instance"] != first["step"]["sop_instance"]
    assert appended["step"]["pps_id"] != first["step"]["pps_id"]
    operator.expose()
    operator.do("discontinue", reason="enough")
    last = ris.final[appended["step"]["sop_instance"]]
    assert last.PerformedSeriesSequence[0].ProtocolName == "Unknown"
    assert len(last.PerformedSeriesSequence[0].ReferencedImageSequence) == 1
    assert operator.do("send", wait=60)["done"]
    assert len(pacs.stored) == 1
    assert len(ris.steps) == 2
    assert not operator.ask("complete")["ok"]


def test_emergency_without_a_patient_and_what_is_refused(console: Any, pacs: Any) -> None:
    operator = console.start()
    assert "no exam is open" in operator.ask("prepare", view="PA")["error"]
    exam = operator.do("start_exam", kind="emergency")
    assert "complete or discontinue" in operator.ask("start_exam", kind="emergency")["error"]
    assert "discontinue" in operator.ask("complete")["error"]
    assert "1 to 16" in operator.ask("prepare", view="a view with far too many letters")["error"]
    assert "150 kV" in operator.ask("prepare", view="AP", kvp=200)["error"]
    operator.expose(view="AP", body_part="HAND", laterality="L")
    operator.do("complete")
    assert operator.do("send", wait=60)["done"]
    ((_, dataset, _),) = pacs.stored
    assert dataset.PatientID.startswith("EMG-")
    assert dataset.StudyInstanceUID == exam["study_instance"]
    assert dataset.StudyInstanceUID.startswith("2.25.")
    assert (dataset.ImageLaterality, dataset.BodyPartExamined) == ("L", "HAND")
    assert "Laterality" not in dataset
    assert "RequestAttributesSequence" not in dataset
    (warning,) = operator.warnings()
    assert (warning["service"], warning["code"]) == ("acquisition", "generator-refused")


def test_other_questions_are_answered_while_an_exposure_is_awaited(console: Any) -> None:
    operator = console.start()
    other = peers.Operator(console.socket)
    operator.do("start_exam", kind="emergency")
    operator.do("prepare", view="PA", ms=9000)
    operator.file.write(b'{"id": 77, "do": "wait_image", "args": {"timeout": 60}}\n')
    operator.file.flush()
    assert other.do("exam_state")["exam"]["state"] == "open"
    peers.until(lambda: other.do("exam_state")["awaiting_image"])
    assert "awaited already" in other.ask("wait_image", timeout=0)["error"]
    other.do("discontinue", reason="no patient")
    while True:
        message = operator.read()
        if message.get("id") == 77:
            break
    assert not message["ok"]
    assert operator.warnings() == []
    other.close()


def test_a_late_image_never_gets_into_the_next_exam(console: Any, tmp_path: Path) -> None:
    console.environment["FRONT_RELEASE"] = str(tmp_path / "release")
    operator = console.start()
    other = peers.Operator(console.socket)
    operator.do("start_exam", patient={"PatientID": "FIRST"})
    operator.do("prepare", view="PA", ms=4999)
    operator.file.write(b'{"id": 77, "do": "wait_image", "args": {"timeout": 60}}\n')
    operator.file.flush()
    peers.until(lambda: other.do("exam_state")["awaiting_image"])
    other.do("discontinue", reason="wrong patient")
    other.do("start_exam", patient={"PatientID": "SECOND"})
    (tmp_path / "release").touch()
    while (message := operator.read()).get("id") != 77:
        pass
    assert not message["ok"]
    assert other.do("exam_state")["exam"]["images"] == []
    assert "nothing is prepared" in other.ask("wait_image", timeout=0)["error"]
    other.close()


def test_the_queue_survives_a_restart_and_waits_for_the_operator(console: Any, pacs: Any) -> None:
    port = pacs.port
    pacs.close()
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    image = operator.expose()
    operator.do("complete")
    assert operator.do("queue", wait=60)["idle"]
    assert console.end() == 0
    back = peers.Pacs(port=port)
    operator = console.start()
    (job,) = operator.do("queue", wait=60)["jobs"]
    assert (job["state"], job["waits_for_operator"]) == ("queued", True)
    assert [warning["service"] for warning in operator.warnings()] == ["storage"]  # the log survives too
    assert back.stored == []
    assert operator.do("send", wait=60)["done"]
    assert [(uid, sha256) for uid, _, sha256 in back.stored] == [(image["sop_instance"], image["sha256"])]
    back.close()


def test_images_can_be_sent_as_they_are_accepted(console: Any, ris: Any, pacs: Any) -> None:
    console.settings["auto_send"] = "accept"
    operator = console.start()
    operator.do("start_exam", patient={"PatientID": "1"})
    for count in (1, 2):
        operator.expose()
        assert pacs.wait(lambda count=count: len(pacs.stored) == count)
    assert ris.final == {}
    assert operator.do("complete")["jobs"] == []


def test_a_changed_worklist_item_is_updated_and_not_doubled(console: Any, ris: Any) -> None:
    ris.items = [
        peers.worklist_item(),
        peers.worklist_item(AccessionNumber="A2", ScheduledProcedureStepID="SPS2"),
    ]
    operator = console.start()
    assert operator.do("query_worklist")["added"] == 2
    ris.items[0].PatientName = "Doe^Janet"
    again = operator.do("query_worklist")
    assert (again["added"], again["updated"]) == (0, 2)
    names = [item["PatientName"] for item in operator.do("worklist")["items"]]
    assert sorted(names) == ["Doe^Jane", "Doe^Janet"]
    assert ris.names("accepted", "find") == ["accepted", "find"] * 2
    ris.find_status = 0xA700
    assert "A700" in operator.ask("query_worklist")["error"]
    assert operator.do("worklist")["count"] == 2  # the old list stays
    (warning,) = operator.warnings()
    assert (warning["service"], warning["status"]) == ("worklist", "A700")


def test_settings_changed_at_run_time_survive_a_restart(console: Any, ris: Any, pacs: Any) -> None:
    operator = console.start()
    operator.do("configure", ae_title="MixedCase", timeouts={"dimse": 7})
    assert "did you mean" in operator.ask("configure", worklist={"hots": "x"})["error"]
    assert "cannot be changed" in operator.ask("configure", data_dir="/elsewhere")["error"]
    operator.do("verify", peer="pacs")
    assert console.end() == 0
    operator = console.start()
    operator.do("verify", peer="pacs")
    titles = [value.calling_ae_title for what, value in pacs.log if what == "accepted"]
    assert titles == ["MixedCase", "MixedCase"]


def test_receiver_answers_verification_and_nothing_else(tmp_path: Path, pacs: Any) -> None:
    port = peers.free_port()
    console = peers.Console(tmp_path, receiver={"enabled": True, "host": "127.0.0.1", "port": port})
    try:
        operator = console.start()
        peers.until(lambda: operator.do("exam_state")["receiver"] is not None)
        ae = peers.AE("ANYBODY")
        ae.add_requested_context("1.2.840.10008.1.1", peers.ELE)
        ae.add_requested_context(peers.DX, peers.ELE)
        association = ae.associate("127.0.0.1", port, ae_title="VXVUE")
        assert association.is_established
        assert [c.abstract_syntax for c in association.accepted_contexts] == ["1.2.840.10008.1.1"]
        answer = association.acceptor.primitive
        assert answer.maximum_length_received == 16384
        assert answer.implementation_class_uid == "1.3.6.1.4.1.19719"
        assert [item.__class__.__name__ for item in answer.user_information] == [
            "MaximumLengthNotification",
            "ImplementationClassUIDNotification",
        ]
        assert association.send_c_echo().Status == 0
        association.release()
        heard: list[
            Any
        ] = []  # pynetdicom itself may find the connection closed before it looks at the answer
        hear = [(peers.evt.EVT_PDU_RECV, lambda event: heard.append(event.pdu))]
        refused = ae.associate("127.0.0.1", port, ae_title="vxvue", evt_handlers=hear)
        assert not refused.is_established
        (reply,) = heard
        assert (reply.pdu_type, reply.result, reply.source, reply.reason_diagnostic) == (3, 1, 1, 7)
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00" + bytes(200),
            b"GET / HTTP/1.0\r\n\r\n",
            b"\x01\x00\xff\xff\xff\xff",
            b"",
        ):
            with socket.create_connection(("127.0.0.1", port), 10) as stranger:
                stranger.sendall(garbage)
        again = ae.associate("127.0.0.1", port, ae_title="VXVUE")
        assert again.is_established
        assert again.send_c_echo().Status == 0
        again.release()
        operator.do("configure", receiver={"enabled": False})
        assert operator.do("exam_state")["receiver"] is None
        silent = ae.associate("127.0.0.1", port, ae_title="VXVUE")
        assert silent.is_aborted
    finally:
        console.end()
