"""Worklist items made of little, and the answers made of them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from simulators.dicom.elements import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    DataSet,
    decode,
    encode,
    keyword_entry,
    to_json,
)
from simulators.dicom.keywords import from_mapping
from simulators.ris.worklist import Defaults, Worklist, answer, build_items, unsupported

SPS = keyword_entry("ScheduledProcedureStepSequence")[0]


def _tag(keyword: str) -> int:
    return keyword_entry(keyword)[0]


def _build(*items: dict[str, Any], **defaults: Any) -> list[Any]:
    return build_items(items, Defaults(**defaults))


def test_three_keys_are_enough() -> None:
    (item,) = _build(
        {"PatientName": "Doe^John", "AccessionNumber": "A1", "ScheduledProcedureStepStartTime": "0930"}
    )
    step = item.dataset[SPS].value[0]
    assert item.dataset[_tag("PatientName")].value == ("Doe^John",)
    assert step[_tag("ScheduledProcedureStepStartTime")].value == ("0930",)
    assert _tag("ScheduledProcedureStepStartTime") not in item.dataset
    for keyword in ("StudyInstanceUID", "PatientID", "RequestedProcedureID", "PatientBirthDate"):
        assert item.dataset[_tag(keyword)].first
    for keyword in ("Modality", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepID"):
        assert step[_tag(keyword)].first
    assert item.dataset[_tag("StudyInstanceUID")].first.startswith("2.25.")


def test_what_is_made_up_depends_on_seed_and_place_only() -> None:
    def uid(item: Any) -> str:
        return str(item.dataset[_tag("StudyInstanceUID")].first)

    again = _build({"PatientID": "1"}, {"PatientID": "2"}, seed=7)
    assert [uid(i) for i in again] == [uid(i) for i in _build({}, {}, seed=7)]
    assert len({uid(i) for i in again} | {uid(i) for i in _build({}, {}, seed=8)}) == 4


def test_an_item_with_two_steps_is_two_items() -> None:
    items = _build(
        {"ScheduledProcedureStepSequence": [{"Modality": "DX"}, {"Modality": "CR"}], "PatientID": "1"}
    )
    assert [i.dataset[SPS].value[0][_tag("Modality")].first for i in items] == ["DX", "CR"]
    assert items[0].dataset[_tag("StudyInstanceUID")] == items[1].dataset[_tag("StudyInstanceUID")]


def test_a_step_without_station_belongs_to_whoever_asks() -> None:
    worklist = Worklist()
    worklist.set(_build({"PatientID": "open"}, {"PatientID": "other", "ScheduledStationAETitle": "OTHER"}))
    keys = from_mapping(
        {"PatientID": "", "ScheduledProcedureStepSequence": [{"ScheduledStationAETitle": "VXVUE"}]}
    )
    found = [answer(keys, item, seen) for item, seen in worklist.find(keys, "VXVUE")]
    assert [f[_tag("PatientID")].first for f in found] == ["open"]
    assert found[0][SPS].value[0][_tag("ScheduledStationAETitle")].first == "VXVUE"


def test_an_answer_has_what_was_asked_for_and_no_more() -> None:
    (item,) = _build({"PatientName": "Doe^John", "PatientID": "1"})
    keys = from_mapping(
        {"PatientName": "D*", "PatientWeight": "", "ScheduledProcedureStepSequence": [{"Modality": "DX"}]}
    )
    found = answer(keys, item, item.seen_by("X"))
    assert to_json(found) == {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]},
        "00101030": {"vr": "DS"},
        "00400100": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["DX"]}}]},
    }


def test_an_empty_sequence_key_returns_the_whole_item() -> None:
    (item,) = _build({"Modality": "DX"})
    found = answer(from_mapping({"ScheduledProcedureStepSequence": []}), item, item.seen_by("X"))
    assert found[SPS].value == item.seen_by("X")[SPS].value


def test_keys_that_no_ris_supports() -> None:
    keys = from_mapping(
        {
            "SpecificCharacterSet": "ISO_IR 100",
            "PatientID": "",
            "BodyPartExamined": "",
            "ScheduledProcedureStepSequence": [{"Modality": "", "KVP": ""}],
        }
    )
    assert unsupported(keys) == [_tag("BodyPartExamined"), _tag("KVP")]


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Zhang^XiaoDong=张^小东"),
        ("GBK", "Wang^XiaoDong=王^小东"),
        ("\\ISO 2022 IR 58", "Zhang^XiaoDong=张^小东"),
        ("ISO_IR 100", "Äneas^Rüdiger"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 126", "Διονυσιος"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", "Müller=Люкс"),
    ],
)
@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE])
def test_names_survive_their_character_set(charset: str, name: str, syntax: str) -> None:
    (item,) = _build({"PatientName": name}, charset=charset)
    keys = from_mapping({"PatientName": ""})
    sent = encode(answer(keys, item, item.seen_by("X")), syntax)
    got = decode(sent, syntax)
    assert got[_tag("PatientName")].value == (name,)
    assert got[0x00080005].value == tuple(charset.split("\\"))


def test_a_name_that_its_character_set_lacks_is_an_error_of_the_scenario() -> None:
    with pytest.raises(ValueError, match=r"worklist item 2: .*山田.* in ISO_IR 100"):
        _build({}, {"PatientName": "山田", "charset": "ISO_IR 100"})


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"PatientNam": "x"}, "PatientName"),
        ({"charset": "ISO_IR 999"}, "ISO_IR 999"),
        ({"charset": "ISO_IR 192\\ISO 2022 IR 87"}, "code extensions"),
        ({"ScheduledProcedureStepSequence": "x"}, "list of mappings"),
        ({"PatientName": {"Alphabet": "x"}}, "Alphabet"),
    ],
)
def test_mistakes_are_named(item: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _build(item)


def test_a_raw_item_is_left_alone() -> None:
    (item,) = _build({"raw": "true", "PatientID": "1", "Modality": "DX"})
    assert set(item.dataset) == {_tag("PatientID"), _tag("Modality")}


def test_ten_thousand_answers_cost_the_memory_of_one() -> None:
    worklist = Worklist()
    worklist.set(_build(*({"PatientID": f"{n}"} for n in range(10_000))))
    keys: DataSet = from_mapping({"PatientID": "", "PatientName": "", "ScheduledProcedureStepSequence": []})
    tracemalloc.start()
    try:
        count = sum(len(encode(answer(keys, i, s), IMPLICIT_LE)) > 0 for i, s in worklist.find(keys, "X"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak < 1_000_000
