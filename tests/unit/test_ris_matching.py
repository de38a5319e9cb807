"""Attribute matching of PS3.4 C.2.2.2 as a table of cases."""

from __future__ import annotations

import itertools
import re

import pytest

from simulators.dicom.elements import Element
from simulators.dicom.keywords import from_mapping
from simulators.ris.matching import matches, wildcard


@pytest.mark.parametrize(
    ("keyword", "key", "value", "expected"),
    [
        # single value, case sensitive but for names
        ("PatientID", "P1", "P1", True),
        ("PatientID", "p1", "P1", False),
        ("PatientID", " P1 ", "P1", True),
        ("PatientID", "P1", "P12", False),
        ("Modality", "DX", "DX", True),
        ("Modality", "DX", "CR", False),
        # universal
        ("PatientID", "", "P1", True),
        ("PatientID", "*", "", True),
        # wildcards
        ("PatientID", "P*", "P12", True),
        ("PatientID", "P?", "P1", True),
        ("PatientID", "P?", "P12", False),
        ("PatientID", "*2", "P12", True),
        ("PatientID", "**2", "P12", True),
        ("PatientID", "P.2", "P12", False),
        ("AccessionNumber", "A[12]*", "A[12]7", True),
        # no wildcards in these VRs
        ("StudyInstanceUID", "1.2.*", "1.2.3", False),
        # names
        ("PatientName", "yamada*", "Yamada^Tarou", True),
        ("PatientName", "YAMADA^TAROU", "Yamada^Tarou", True),
        ("PatientName", "Yamada", "Yamada^Tarou", False),
        ("PatientName", "Yamada^Tarou^^", "Yamada^Tarou", True),
        ("PatientName", "山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PatientName", "やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PatientName", "=山田^太郎", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "Smith=山田*", "Yamada^Tarou=山田^太郎", False),
        ("PatientName", "Yamada*=鈴木*", "Yamada^Tarou=山田^太郎", False),
        ("PatientName", "Müller*", "MÜLLER^Jörg", True),
        ("PatientName", "Mu\u0308ller", "M\u00fcller", True),
        # lists of UIDs
        ("StudyInstanceUID", "1.2.3\\1.2.4", "1.2.4", True),
        ("StudyInstanceUID", "1.2.3\\1.2.4", "1.2.5", False),
        # dates
        ("PatientBirthDate", "19700102", "19700102", True),
        ("PatientBirthDate", "19700101-19700131", "19700131", True),
        ("PatientBirthDate", "19700101-19700131", "19700201", False),
        ("PatientBirthDate", "-19700131", "19500101", True),
        ("PatientBirthDate", "19700101-", "19691231", False),
        ("PatientBirthDate", "1970.01.02", "19700102", True),
        ("PatientBirthDate", "19700101-19700131", "", False),
        # times
        ("StudyTime", "0900", "090000", True),
        ("StudyTime", "0900", "090030", True),
        ("StudyTime", "090000", "090001", False),
        ("StudyTime", "0900-0930", "093059.999", True),
        ("StudyTime", "0900-0930", "0931", False),
        ("StudyTime", "09:00-09:30", "0915", True),
        # date-times with an offset that looks like a range
        ("ScheduledProcedureStepStartDateTime", "20260101120000-0500", "20260101120000-0500", True),
        ("ScheduledProcedureStepStartDateTime", "20260101120000-0500", "20260101170000+0000", True),
        ("ScheduledProcedureStepStartDateTime", "20260101-20260102", "20260102235959", True),
        ("ScheduledProcedureStepStartDateTime", "20260101-20260102", "20260103", False),
        ("ScheduledProcedureStepStartDateTime", "2026", "20260703", True),
        ("ScheduledProcedureStepStartDateTime", "20260101000000+0100-20260101000000-0100", "20260101", True),
        # decimal strings are numbers
        ("PatientWeight", "70", "70.0", True),
    ],
)
def test_one_key(keyword: str, key: str, value: str, expected: bool) -> None:
    assert matches(from_mapping({keyword: key}), from_mapping({keyword: value})) is expected


def test_a_missing_attribute_matches_only_universal_keys() -> None:
    assert matches(from_mapping({"PatientID": ""}), {})
    assert not matches(from_mapping({"PatientID": "P1"}), {})


def _step(**keywords: object) -> dict[int, Element]:
    return from_mapping({"ScheduledProcedureStepSequence": [keywords]})


def test_one_item_must_match_all_keys_of_the_sequence() -> None:
    candidate = from_mapping(
        {
            "ScheduledProcedureStepSequence": [
                {"Modality": "CR", "ScheduledStationAETitle": "A"},
                {"Modality": "DX"},
            ]
        }
    )
    assert matches(_step(Modality="DX"), candidate)
    assert not matches(_step(Modality="DX", ScheduledStationAETitle="A"), candidate)


@pytest.mark.parametrize("key", [[], [{}], [{"Modality": ""}]])
def test_an_empty_sequence_key_is_universal(key: list[dict[str, str]]) -> None:
    assert matches(from_mapping({"ScheduledProcedureStepSequence": key}), _step(Modality="DX"))
    assert matches(from_mapping({"ScheduledProcedureStepSequence": key}), {})


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        ("20260705", "100000", True),
        ("20260705", "095959", False),
        ("20260706", "030000", True),  # outside 10-18 h, but inside the period
        ("20260707", "180000", True),
        ("20260707", "180100", False),
        ("20260708", "120000", False),
    ],
)
def test_date_and_time_ranges_are_one_period(day: str, clock: str, expected: bool) -> None:
    keys = _step(
        ScheduledProcedureStepStartDate="20260705-20260707", ScheduledProcedureStepStartTime="1000-1800"
    )
    candidate = _step(ScheduledProcedureStepStartDate=day, ScheduledProcedureStepStartTime=clock)
    assert matches(keys, candidate) is expected


def test_a_single_date_and_a_time_range_are_two_keys() -> None:
    keys = _step(ScheduledProcedureStepStartDate="20260705", ScheduledProcedureStepStartTime="1000-1800")
    inside = _step(ScheduledProcedureStepStartDate="20260705", ScheduledProcedureStepStartTime="1200")
    outside = _step(ScheduledProcedureStepStartDate="20260705", ScheduledProcedureStepStartTime="0900")
    assert matches(keys, inside)
    assert not matches(keys, outside)


def test_wildcards_agree_with_regular_expressions() -> None:
    letters = "ab*?"
    values = ["".join(v) for n in range(4) for v in itertools.product("ab", repeat=n)]
    for length in range(5):
        for key in map("".join, itertools.product(letters, repeat=length)):
            pattern = re.compile("".join({"*": ".*", "?": "."}.get(c, c) for c in key))
            for value in values:
                assert wildcard(key, value) is bool(pattern.fullmatch(value)), (key, value)


def test_an_expensive_looking_key_is_cheap() -> None:
    # A regular expression made of it would backtrack for ever.
    assert not wildcard("*a" * 60 + "b", "a" * 2000)
