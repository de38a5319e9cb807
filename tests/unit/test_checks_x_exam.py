"""One exam with one thing wrong in it: the rule of STD-X that names it turns, and no other one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from bench.checks.crossobject import commitment, copies, dose, identity, steps, truth
from bench.checks.finding import Check, Finding
from bench.journal import Event
from bench.verdict import Verdict
from tests.unit.judged_exam import Exam, asked, ended, order
from tests.unit.judged_objects import DX, STEP, STUDY, code, dose_report, dx, event, us_multi
from tests.unit.judged_scene import WORKLIST, Scene, encode, failures

MODULES = (commitment, copies, dose, identity, steps, truth)


def judge(scene: Scene) -> list[Finding]:
    """Findings of all cross-object checks."""
    case = scene.case()
    checks = [value for module in MODULES for value in vars(module).values() if isinstance(value, Check)]
    return [finding for each in checks for finding in each(case)]


def measured(dataset: Dataset, concept: str, value: str) -> None:
    """Change every measurement of a concept below a data set."""
    for item in dataset.ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == concept:
            item.MeasuredValueSequence[0].NumericValue = value
        if "ContentSequence" in item:
            measured(item, concept, value)


def reference(exam: Exam, uid: str) -> None:
    """Let the first event name another image."""
    for item in exam.report.ContentSequence:
        for inner in item.get("ContentSequence", []):
            if inner.ConceptNameCodeSequence[0].CodeValue == "113795":
                inner.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = uid
                return


def scheduled(exam: Exam) -> Dataset:
    """Scheduled step attributes of the N-CREATE."""
    found: Dataset = exam.begun.ScheduledStepAttributesSequence[0]
    return found


def both(exam: Exam, keyword: str, value: object) -> None:
    """Change an attribute of both images."""
    for one in exam.images:
        setattr(one, keyword, value)


def one_series_more(exam: Exam) -> None:
    """The step names an image under a series that is not its own."""
    exam.ended.PerformedSeriesSequence[0].SeriesInstanceUID = "2.25.77"


DEFECTS: dict[str, tuple[set[str], Callable[[Exam], object]]] = {
    "wrong patient in the step": ({"STD-X-010"}, lambda e: setattr(e.begun, "PatientID", "P2")),
    "name cut in the step": ({"STD-X-010"}, lambda e: setattr(e.begun, "PatientName", "Doe")),
    "sex lost in the step": ({"STD-X-010"}, lambda e: setattr(e.begun, "PatientSex", "")),
    "other study in the step": (
        {"STD-X-011"},
        lambda e: setattr(scheduled(e), "StudyInstanceUID", "2.25.88"),
    ),
    "accession lost in the step": ({"STD-X-012"}, lambda e: setattr(scheduled(e), "AccessionNumber", "")),
    "step id changed": ({"STD-X-013"}, lambda e: setattr(scheduled(e), "ScheduledProcedureStepID", "SPSX")),
    "requested procedure id lost": (
        {"STD-X-013"},
        lambda e: setattr(scheduled(e), "RequestedProcedureID", ""),
    ),
    "description changed": (
        {"STD-X-014"},
        lambda e: setattr(scheduled(e), "RequestedProcedureDescription", "Thorax"),
    ),
    "protocol code changed": (
        {"STD-X-014"},
        lambda e: setattr(scheduled(e).ScheduledProtocolCodeSequence[0], "CodeValue", "ZZ"),
    ),
    "referenced study": (
        {"STD-X-015"},
        lambda e: setattr(scheduled(e).ReferencedStudySequence[0], "ReferencedSOPInstanceUID", "2.25.1"),
    ),
    "wrong patient id in an image": ({"STD-X-020"}, lambda e: setattr(e.images[0], "PatientID", "P2")),
    "wrong patient id in all images": ({"STD-X-020"}, lambda e: both(e, "PatientID", "P2")),
    "birth date of an image": ({"STD-X-020"}, lambda e: setattr(e.images[1], "PatientBirthDate", "19800201")),
    "patient of the report": ({"STD-X-020"}, lambda e: setattr(e.report, "PatientName", "Roe^Jane")),
    "study of an image": ({"STD-X-021"}, lambda e: setattr(e.images[1], "StudyInstanceUID", "2.25.88")),
    "study of all images": ({"STD-X-021"}, lambda e: both(e, "StudyInstanceUID", "2.25.88")),
    "accession of an image": ({"STD-X-022"}, lambda e: setattr(e.images[0], "AccessionNumber", "A2")),
    "request id of an image": (
        {"STD-X-023"},
        lambda e: setattr(e.images[0].RequestAttributesSequence[0], "RequestedProcedureID", "RP2"),
    ),
    "referring physician": (
        {"STD-X-025"},
        lambda e: setattr(e.images[0], "ReferringPhysicianName", "Else^One"),
    ),
    "study time of one image": ({"STD-X-026"}, lambda e: setattr(e.images[1], "StudyTime", "100000")),
    "step id of an image": (
        {"STD-X-032"},
        lambda e: setattr(e.images[0], "PerformedProcedureStepID", "PPS9"),
    ),
    "step start of an image": (
        {"STD-X-032"},
        lambda e: setattr(e.images[0], "PerformedProcedureStepStartTime", "081400"),
    ),
    "step description": (
        {"STD-X-032"},
        lambda e: [
            setattr(e.begun, "PerformedProcedureStepDescription", "Chest"),
            setattr(e.images[0], "PerformedProcedureStepDescription", "Hand"),
        ],
    ),
    "image names another step": (
        {"STD-X-033"},
        lambda e: setattr(
            e.images[0].ReferencedPerformedProcedureStepSequence[0], "ReferencedSOPInstanceUID", "2.25.5999"
        ),
    ),
    "image not in the step": ({"STD-X-034"}, lambda e: setattr(e, "ended", ended("2.25.3001"))),
    "step names an image never made": (
        {"STD-X-034"},
        lambda e: setattr(e, "ended", ended("2.25.3001", "2.25.3002", "2.25.3999")),
    ),
    "series of the step": ({"STD-X-035"}, one_series_more),
    "class in the step": (
        {"STD-X-035"},
        lambda e: setattr(
            e.ended.PerformedSeriesSequence[0].ReferencedImageSequence[0], "ReferencedSOPClassUID", DX + ".1"
        ),
    ),
    "protocol name": (
        {"STD-X-036"},
        lambda e: setattr(e.ended.PerformedSeriesSequence[0], "ProtocolName", "Hand"),
    ),
    "ended before it began": (
        {"STD-X-037"},
        lambda e: setattr(e.ended, "PerformedProcedureStepEndTime", "080000"),
    ),
    "modality of the step": ({"STD-X-038"}, lambda e: setattr(e.begun, "Modality", "CR")),
    "study id": ({"STD-X-032"}, lambda e: setattr(e.images[0], "StudyID", "S9")),
    "report names an image never made": ({"STD-X-042"}, lambda e: reference(e, "2.25.3999")),
    "event of an image": ({"STD-X-043"}, lambda e: setattr(e.images[0], "IrradiationEventUID", "2.25.6999")),
    "EI differs": ({"STD-X-044"}, lambda e: setattr(e.images[0], "ExposureIndex", "500.0")),
    "kV differs": ({"STD-X-045"}, lambda e: measured(e.report, "113733", "80")),
    "exposure in mAs instead of uAs": ({"STD-X-045"}, lambda e: measured(e.report, "113736", "4")),
    "area product differs": (
        {"STD-X-046"},
        lambda e: setattr(e.images[0], "ImageAndFluoroscopyAreaDoseProduct", "15"),
    ),
    "commitment of what was never stored": (
        {"STD-X-050"},
        lambda e: e.asked.ReferencedSOPSequence.append(asked((DX, "2.25.3999")).ReferencedSOPSequence[0]),
    ),
    "commitment leaves one out": ({"STD-X-051"}, lambda e: e.asked.ReferencedSOPSequence.pop(0)),
    "commitment by another class": (
        {"STD-X-052"},
        lambda e: setattr(e.asked.ReferencedSOPSequence[0], "ReferencedSOPClassUID", DX + ".1"),
    ),
    "modality differs within the series": (
        {"STD-X-072"},
        lambda e: setattr(e.images[1], "SeriesNumber", 7),
    ),
    "instance and series share a UID": (
        {"STD-X-073"},
        lambda e: [
            both(e, "SeriesInstanceUID", STUDY),
            setattr(e.ended.PerformedSeriesSequence[0], "SeriesInstanceUID", STUDY),
        ],
    ),
    "step created after the images": (
        {"STD-X-002"},
        lambda e: setattr(e, "order_of_work", ("worklist", "images", "begin", "report", "end", "commit")),
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_of_an_exam_turns_the_rule_that_names_it(name: str) -> None:
    wanted, break_it = DEFECTS[name]
    exam = Exam()
    break_it(exam)
    found = failures(judge(exam.play()))
    assert set(found) == wanted, found


def test_a_right_exam_has_no_failure_and_says_what_agrees() -> None:
    findings = judge(Exam().play())
    assert failures(findings) == {}
    assert failures(findings, Verdict.INCONCLUSIVE) == {}
    passed = set(failures(findings, Verdict.PASS))
    assert {
        "STD-X-010",
        "STD-X-020",
        "STD-X-033",
        "STD-X-034",
        "STD-X-044",
        "STD-X-046",
        "STD-X-050",
    } <= passed


def test_an_exam_without_a_worklist_in_the_capture_is_compared_with_its_step() -> None:
    exam = Exam()
    exam.order_known = False
    exam.images[0].PatientID = "P2"
    found = failures(judge(exam.play()))
    assert "STD-X-030" in found
    assert "STD-X-020" not in found
    exam = Exam()
    exam.order_known = False
    assert failures(judge(exam.play())) == {}


def test_an_emergency_exam_is_not_matched_with_an_order() -> None:
    exam = Exam()
    for part in (exam.begun, *exam.images, exam.report):
        part.PatientName, part.PatientID, part.PatientBirthDate, part.PatientSex = "Emergency", "E1", "", ""
    for part in (*exam.images, exam.report):
        part.AccessionNumber, part.StudyInstanceUID = "", "2.25.1999"
        part.pop("RequestAttributesSequence", None)
    item = scheduled(exam)
    for keyword in ("AccessionNumber", "ScheduledProcedureStepID", "RequestedProcedureID"):
        setattr(item, keyword, "")
    item.StudyInstanceUID = "2.25.1999"
    assert failures(judge(exam.play())) == {}


def test_names_are_compared_as_decoded() -> None:
    exam = Exam()
    exam.order.SpecificCharacterSet, exam.order.PatientName = "ISO_IR 192", "Müller^Jürgen"
    for part in (exam.begun, *exam.images, exam.report):
        part.PatientName = "Müller^Jürgen^^^"
    assert failures(judge(exam.play())) == {}


def test_an_item_that_changed_before_the_exam_counts_as_it_was_last() -> None:
    exam = Exam()
    earlier = order()
    earlier.PatientName = "Roe^Jane"
    exam.scene.worklist(earlier)
    assert failures(judge(exam.play())) == {}
    stale = Exam()
    newer = order()
    newer.PatientName = "Roe^Jane"
    stale.order_of_work = ("worklist",)
    stale.play()
    stale.scene.worklist(newer)
    stale.order_of_work = ("begin", "images", "report", "end", "commit")
    assert set(failures(judge(stale.play()))) == {"STD-X-010", "STD-X-020"}


def test_an_item_that_changes_during_the_exam_may_be_followed_or_not() -> None:
    exam = Exam()
    exam.order_of_work = ("worklist", "begin")
    exam.play()
    newer = order()
    newer.PatientName = "Roe^Jane"
    exam.scene.worklist(newer)
    exam.images[1].PatientName = "Roe^Jane"
    exam.order_of_work = ("images", "report", "end", "commit")
    found = failures(judge(exam.play()))
    assert "STD-X-020" not in found


def test_retries_and_several_archives_are_no_fault() -> None:
    exam = Exam()
    exam.order_of_work = ("worklist", "begin")
    exam.play()
    exam.scene.store(exam.images[0], status=0xA700)
    exam.order_of_work = ("images", "report", "end", "commit")
    exam.play()
    for one in exam.images:
        exam.scene.store(one, peer="10.0.0.10", called="PACS2")
    assert failures(judge(exam.scene)) == {}


def test_one_uid_with_two_contents() -> None:
    exam = Exam()
    exam.play()
    other = exam.images[0].copy()
    other.WindowCenter = "1000"
    exam.scene.store(other)
    found = failures(judge(exam.scene))
    assert set(found) == {"STD-X-070"}
    assert "WindowCenter" in found["STD-X-070"][0]


def test_commitment_at_an_archive_that_does_not_have_it() -> None:
    exam = Exam()
    exam.order_of_work = ("worklist", "begin", "images", "report", "end")
    exam.play()
    one = exam.images[0]
    exam.scene.store(one, peer="10.0.0.10", called="PACS2")
    exam.scene.commit(asked((DX, "2.25.3001"), (DX, "2.25.3002")), peer="10.0.0.10", called="PACS2")
    assert set(failures(judge(exam.scene))) == {"STD-X-050"}


def test_commitment_at_a_separate_server_counts_what_was_stored_anywhere() -> None:
    exam = Exam()
    exam.order_of_work = ("worklist", "begin", "images", "report", "end")
    exam.play()
    exam.scene.commit(exam.asked, peer="10.0.0.30", called="COMMIT")
    assert failures(judge(exam.scene)) == {}


def test_two_patients_in_one_study_without_worklist_and_step() -> None:
    scene = Scene()
    scene.store(dx("2.25.31"))
    other = dx("2.25.32")
    other.PatientID = "P2"
    scene.store(other)
    assert set(failures(judge(scene))) == {"STD-X-071"}


def test_an_image_without_its_step_is_the_statements_deviation() -> None:
    exam = Exam()
    del exam.images[0].ReferencedPerformedProcedureStepSequence
    findings = judge(exam.play())
    assert failures(findings) == {}
    assert "STD-IOD-042" in failures(findings, Verdict.DEV_FROM_STD)


def test_a_group_case_copies_two_orders() -> None:
    exam = Exam()
    second = order()
    second.StudyInstanceUID, second.AccessionNumber, second.RequestedProcedureID = "2.25.1002", "A2", "RP2"
    second.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID = "SPS2"
    exam.scene.worklist(second)
    item = copy.deepcopy(scheduled(exam))
    item.StudyInstanceUID, item.AccessionNumber = "2.25.1002", "A2"
    item.RequestedProcedureID, item.ScheduledProcedureStepID = "RP2", "SPS2"
    item.ReferencedStudySequence = Sequence([])
    exam.begun.ScheduledStepAttributesSequence.append(item)
    assert failures(judge(exam.play())) == {}
    item.AccessionNumber = "A1"
    again = Exam()
    again.scene.worklist(second)
    again.begun.ScheduledStepAttributesSequence.append(item)
    assert set(failures(judge(again.play()))) == {"STD-X-012"}


def test_images_that_wait_in_the_queue_are_not_held_against_the_step() -> None:
    exam = Exam()
    exam.order_of_work = ("worklist", "begin", "end")
    findings = judge(exam.play())
    assert failures(findings) == {}
    assert "STD-X-034" in failures(findings, Verdict.INCONCLUSIVE)


def test_what_the_generator_delivered_is_the_truth() -> None:
    exposure = {"kvp": 110.0, "ma": 200.0, "ms": 20.0, "mas": 4.0, "dap_dgycm2": 1.5}
    claim = {"sop_instance": "2.25.3001", "state": "acquired"}
    events = [
        Event(1, 1, "g", 1, "generator.exposure", exposure),
        Event(2, 2, "m", 1, "modality.image", claim),
    ]
    exam = Exam()
    exam.scene = Scene(events=events)
    assert failures(judge(exam.play())) == {}
    wrong = Exam()
    wrong.scene = Scene(events=events)
    wrong.images[0].KVP, wrong.report = "80", dx("2.25.3005")
    wrong.order_of_work = ("worklist", "begin", "images")
    assert set(failures(judge(wrong.play()))) == {"STD-X-080"}


def test_a_second_step_of_a_study_is_told_apart_by_reference() -> None:
    exam = Exam()
    exam.play()
    again = Exam()
    again.scene = exam.scene
    again.begun.PerformedProcedureStepID = "PPS2"
    uid = STEP + "7"
    exam.scene.begin(uid, again.begun)
    appended = again.images[0]
    appended.SOPInstanceUID, appended.PerformedProcedureStepID = "2.25.3003", "PPS2"
    appended.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID = uid
    appended.IrradiationEventUID = "2.25.6003"
    exam.scene.store(appended)
    exam.scene.end(uid, ended("2.25.3003"))
    exam.scene.commit(asked((DX, "2.25.3003")))
    assert failures(judge(exam.scene)) == {}


def test_a_step_that_could_not_be_created_in_time_is_no_fault() -> None:
    exam = Exam()
    exam.order_of_work = ("worklist",)
    exam.play()
    exam.scene.begin(STEP, exam.begun, status=0x0110)
    exam.order_of_work = ("images", "begin", "report", "end", "commit")
    findings = judge(exam.play())
    assert failures(findings) == {}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom writes what is too long, and says so
def test_what_the_worklist_gave_wrongly_is_not_the_modalitys_fault() -> None:
    exam = Exam()
    exam.order.AccessionNumber = "12345678901234567890"
    for part in (scheduled(exam), *exam.images, exam.report):
        part.AccessionNumber = "1234567890123456"
    assert failures(judge(exam.play())) == {}


def test_without_a_step_every_earlier_version_of_an_order_counts() -> None:
    scene = Scene("mx1")
    scene.worklist(order())
    newer = order()
    newer.PatientName = "Roe^Jane"
    scene.worklist(newer)
    scene.store(dx())
    assert failures(judge(scene)) == {}


def test_a_study_may_have_two_reports() -> None:
    exam = Exam()
    exam.report = dose_report(event("2.25.3001", "2.25.6001"), images=("2.25.3001",))
    exam.order_of_work = ("worklist", "begin")
    exam.play()
    second = dose_report(event("2.25.3002", "2.25.6002"), instance="2.25.4002", images=("2.25.3002",))
    scene = exam.scene
    scene.store(exam.images[0])
    scene.store(exam.report)
    scene.store(exam.images[1])
    scene.store(second)
    assert failures(judge(scene)) == {}


def test_a_scan_under_another_study_than_the_order_is_told_without_a_step() -> None:
    scene = Scene("mx1")
    scene.worklist(order())
    clip = us_multi()
    clip.StudyInstanceUID = "2.25.77"
    scene.store(clip)
    assert set(failures(judge(scene))) == {"STD-X-021"}
    two = Scene("mx1")
    other = order()
    other.StudyInstanceUID = "2.25.1003"
    other.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID = "SPS9"
    two.worklist(order(), other)
    two.store(clip)
    assert failures(judge(two)) == {}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_values_that_cannot_be_copied_are_the_peers_fault() -> None:
    exam = Exam()
    exam.order.PatientSex = "f"
    assert failures(judge(exam.play())) == {}
    unknown = Exam()
    unknown.order.PatientSex = "W"
    for part in (unknown.begun, *unknown.images, unknown.report):
        part.PatientSex = ""
    assert failures(judge(unknown.play())) == {}


def test_a_name_that_the_peer_did_not_encode_rightly_is_not_compared() -> None:
    exam = Exam()
    item = encode(exam.order).replace(b"Doe^Jane", b"D\x1b$Boe^x")
    exam.order_known = False
    exam.scene.exchange("C-FIND", WORKLIST, None, Dataset(), answers=[item], peer="10.0.0.8")
    assert failures(judge(exam.play())) == {}


def test_codes_of_the_request_in_an_image() -> None:
    exam = Exam()
    request = exam.images[0].RequestAttributesSequence[0]
    request.ScheduledProtocolCodeSequence = Sequence([code("PA1", "99LOCAL", "Chest PA")])
    assert failures(judge(exam.play())) == {}
    wrong = Exam()
    request = wrong.images[0].RequestAttributesSequence[0]
    request.ScheduledProtocolCodeSequence = Sequence([code("HAND", "99LOCAL", "Hand")])
    assert set(failures(judge(wrong.play()))) == {"STD-X-024"}


def test_a_report_of_another_patient_without_worklist_and_step() -> None:
    scene = Scene()
    scene.store(dx())
    report = dose_report()
    report.PatientID = "P2"
    scene.store(report)
    assert set(failures(judge(scene))) == {"STD-X-040"}


def test_an_image_that_no_event_names() -> None:
    scene = Scene()
    scene.store(dx())
    scene.store(dx("2.25.3002"))
    scene.store(dose_report())
    found = failures(judge(scene))
    assert set(found) == {"STD-X-047"}
    assert "2.25.3002" in found["STD-X-047"][0]
