"""The state rules of a performed procedure step (PS3.4 F.7.2)."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.dicom.elements import DataSet
from simulators.dicom.keywords import from_mapping
from simulators.ris.mpps import Refusal, Steps

CREATE: dict[str, Any] = {
    "ScheduledStepAttributesSequence": [{"StudyInstanceUID": "1.2.3"}],
    "PerformedProcedureStepID": "1",
    "PerformedStationAETitle": "VXVUE",
    "PerformedProcedureStepStartDate": "20260101",
    "PerformedProcedureStepStartTime": "080000",
    "PerformedProcedureStepStatus": "IN PROGRESS",
    "Modality": "DX",
}
FINAL: dict[str, Any] = {
    "PerformedProcedureStepStatus": "COMPLETED",
    "PerformedProcedureStepEndDate": "20260101",
    "PerformedProcedureStepEndTime": "081500",
    "PerformedSeriesSequence": [{"SeriesInstanceUID": "1.2.3.4", "ProtocolName": "CHEST"}],
}


def _without(stated: dict[str, Any], *keywords: str, **others: Any) -> DataSet:
    return from_mapping({**{k: v for k, v in stated.items() if k not in keywords}, **others})


def _refused(call: Any, *args: Any) -> tuple[int, int | None]:
    with pytest.raises(Refusal) as caught:
        call(*args)
    return caught.value.status, caught.value.error_id


@pytest.fixture
def steps() -> Steps:
    made = Steps()
    made.create("1.2", from_mapping(CREATE))
    return made


def test_a_step_is_created_completed_and_then_final(steps: Steps) -> None:
    assert steps.set("1.2", from_mapping({"PerformedProcedureStepDescription": "x"})).state == "IN PROGRESS"
    assert steps.set("1.2", from_mapping(FINAL)).state == "COMPLETED"
    assert _refused(steps.set, "1.2", from_mapping(FINAL)) == (0x0110, 0xA710)
    assert [s.state for s in steps.all()] == ["COMPLETED"]


def test_a_discontinued_step_may_be_without_series(steps: Steps) -> None:
    ended = _without(FINAL, "PerformedSeriesSequence", PerformedProcedureStepStatus="DISCONTINUED")
    assert steps.set("1.2", ended).state == "DISCONTINUED"
    assert _refused(steps.set, "1.2", from_mapping({})) == (0x0110, 0xA710)


def test_the_same_instance_twice_is_a_duplicate(steps: Steps) -> None:
    assert _refused(steps.create, "1.2", from_mapping(CREATE)) == (0x0111, None)


def test_an_unknown_instance(steps: Steps) -> None:
    assert _refused(steps.set, "1.9", from_mapping(FINAL)) == (0x0112, None)


@pytest.mark.parametrize(
    ("state", "status"),
    [("COMPLETED", 0x0106), ("DISCONTINUED", 0x0106), ("in progress", 0x0106), ("", 0x0121)],
)
def test_a_step_begins_in_progress(state: str, status: int) -> None:
    assert _refused(Steps().create, "1.2", _without(CREATE, PerformedProcedureStepStatus=state)) == (
        status,
        None,
    )


def test_a_step_without_state() -> None:
    dataset = _without(CREATE, "PerformedProcedureStepStatus")
    assert _refused(Steps().create, "1.2", dataset) == (0x0120, None)


def test_a_state_that_does_not_exist(steps: Steps) -> None:
    assert _refused(steps.set, "1.2", _without(FINAL, PerformedProcedureStepStatus="DONE")) == (0x0106, None)
    assert steps.all()[0].state == "IN PROGRESS"


@pytest.mark.parametrize("keyword", [k for k in CREATE if k != "PerformedProcedureStepStatus"])
def test_type_1_attributes_of_the_creation(keyword: str) -> None:
    assert _refused(Steps().create, "1.2", _without(CREATE, keyword)) == (0x0120, None)
    assert _refused(Steps().create, "1.2", _without(CREATE, **{keyword: None})) == (0x0121, None)
    lenient = Steps("state")
    lenient.create("1.2", _without(CREATE, keyword))


def test_the_study_of_every_scheduled_step() -> None:
    dataset = _without(
        CREATE, ScheduledStepAttributesSequence=[{"StudyInstanceUID": "1"}, {"AccessionNumber": "A"}]
    )
    assert _refused(Steps().create, "1.2", dataset) == (0x0120, None)


@pytest.mark.parametrize(
    "keyword", ["PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedSeriesSequence"]
)
def test_what_a_completed_step_needs(steps: Steps, keyword: str) -> None:
    assert _refused(steps.set, "1.2", _without(FINAL, keyword)) == (0x0120, None)
    assert steps.set("1.2", from_mapping(FINAL)).state == "COMPLETED"


def test_what_was_set_before_counts_for_the_final_state(steps: Steps) -> None:
    steps.set("1.2", _without(FINAL, "PerformedProcedureStepStatus"))
    assert steps.set("1.2", from_mapping({"PerformedProcedureStepStatus": "COMPLETED"})).state == "COMPLETED"


def test_the_full_table_wants_type_2_and_forbids_changes() -> None:
    strict = Steps("full")
    assert _refused(strict.create, "1.2", from_mapping(CREATE)) == (0x0120, None)
    type_2 = dict.fromkeys(
        (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "ReferencedPatientSequence",
            "PerformedStationName",
            "PerformedLocation",
            "PerformedProcedureStepDescription",
            "PerformedProcedureTypeDescription",
            "ProcedureCodeSequence",
            "PerformedProcedureStepEndDate",
            "PerformedProcedureStepEndTime",
            "StudyID",
            "PerformedProtocolCodeSequence",
            "PerformedSeriesSequence",
        )
    )
    item = dict.fromkeys(
        (
            "ReferencedStudySequence",
            "AccessionNumber",
            "RequestedProcedureID",
            "RequestedProcedureDescription",
            "ScheduledProcedureStepID",
            "ScheduledProcedureStepDescription",
            "ScheduledProtocolCodeSequence",
        )
    )
    whole = {**CREATE, **type_2, "ScheduledStepAttributesSequence": [{**item, "StudyInstanceUID": "1.2.3"}]}
    strict.create("1.2", from_mapping(whole))
    assert _refused(strict.set, "1.2", from_mapping({"PatientName": "Other"})) == (0x0105, None)
    assert _refused(strict.set, "1.2", from_mapping(FINAL)) == (0x0120, None)  # series attributes of type 2


def test_the_number_of_steps_is_bounded() -> None:
    few = Steps(limit=1)
    few.create("1.2", from_mapping(CREATE))
    assert _refused(few.create, "1.3", from_mapping(CREATE)) == (0x0213, None)
