"""Matchers compare as the VR means it (PS3.5 6.2), and say what was different."""

from __future__ import annotations

from typing import Any

import pytest

from bench.scenario import EventTest, Expect, load_text
from bench.scenario.dicom import check_text, parse_path, person_name_fits, same

PIXELS = "ab" * 32


def why(dataset_yaml: str, dataset: dict[str, Any]) -> tuple[str, ...]:
    text = f"scenario: t\nproduct: vxvue\nsteps:\n  - expect: pacs.stored\n    dataset: {dataset_yaml}\n"
    step = load_text(text).steps[0]
    assert isinstance(step, Expect)
    test: EventTest = step.test
    return test.mismatches({"dataset": dataset})


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def name(alphabetic: str = "", ideographic: str = "", phonetic: str = "") -> dict[str, str]:
    groups = {"Alphabetic": alphabetic, "Ideographic": ideographic, "Phonetic": phonetic}
    return {key: value for key, value in groups.items() if value}


JAPANESE = name("Yamada^Tarou", "山田^太郎", "やまだ^たろう")
DATASET: dict[str, Any] = {
    "00080005": element("CS", "ISO_IR 192"),
    "00080008": element("CS", "DERIVED", "PRIMARY"),
    "00080016": element("UI", "1.2.840.10008.5.1.4.1.1.1.1"),
    "00080020": element("DA", "20261121"),
    "00080030": element("TM", "103000.000"),
    "00080050": element("SH", "A1"),
    "00100010": element("PN", JAPANESE),
    "00100020": element("LO", "010 "),
    "00100030": element("DA"),
    "00180060": element("DS", 120.0),
    "00181411": element("DS", 412.3),
    "00280010": element("US", 3072),
    "00281050": element("DS", 100.0, 50.0),
    "00280009": element("AT", "00181063"),
    "00280030": element("DS", 0.139, 0.139),
    "00181164": element("DS", "0.1390", "0.1390"),
    "00182042": element("UI", "1.2.3"),
    "00400275": element(
        "SQ",
        {"00400009": element("SH", "S1"), "00400007": element("LO", "Chest PA")},
        {"00400009": element("SH", "S2")},
    ),
    "7FE00010": {"vr": "OW", "sha256": PIXELS, "length": 18874368},
}


@pytest.mark.parametrize(
    "fits",
    [
        "{AccessionNumber: A1, Rows: 3072, SeriesNumber: {absent: true}}",
        "{PatientID: 010}",  # padding is not significant; the leading zero is
        "{PatientBirthDate: , SpecificCharacterSet: ISO_IR 192}",
        "{PatientBirthDate: {empty: true, present: true}}",
        "{AccessionNumber: {empty: false}}",
        "{SOPClassUID: DigitalXRayImageStorageForPresentation}",
        "{SOPClassUID: {uid: 1.2.840.10008.5.1.4.1.1.1.1}}",
        "{StudyDate: {'>=': 20261101, '<': 20261201}}",
        "{StudyTime: 1030}",
        "{StudyTime: {'>': 0930, '<=': 10300000}}".replace("10300000", "103000"),
        "{KVP: 120, ExposureIndex: {'>': 400, '<': 1e3}}",
        "{KVP: 1.2E2}",
        "{ImageType: DERIVED\\PRIMARY}",
        "{ImageType: [DERIVED, PRIMARY]}",
        "{ImageType: {any: PRIMARY, vm: 2}}",
        "{ImageType: {any: {in: [PRIMARY, SECONDARY]}}}",
        "{PixelSpacing: 0.139\\0.1390}",
        "{ImagerPixelSpacing: [0.139, .139], 'PixelSpacing': {'<': 0.2}}",
        "{FrameIncrementPointer: 00181063}",
        "{PatientName: Yamada^Tarou=山田^太郎=やまだ^たろう}",
        "{PatientName: {pn: 山田^太郎}}",
        "{PatientName: {pn: =山田^太郎^^}}",
        "{PatientName: {re: '^Yamada.*=山田'}}",
        "{PatientName: {not: Yamada^Tarou}}",
        "{AccessionNumber: {in: [A0, A1]}}",
        "{AccessionNumber: {re: '^A[0-9]$', not: A2}}",
        "{'RequestAttributesSequence[0].ScheduledProcedureStepID': S1}",
        "{'RequestAttributesSequence[*].ScheduledProcedureStepID': S2}",
        "{'RequestAttributesSequence[1].ScheduledProcedureStepDescription': {absent: true}}",
        "{'RequestAttributesSequence[*].StudyID': {absent: true}}",
        "{'RequestAttributesSequence[5].StudyID': {absent: true}}",
        "{'RequestAttributesSequence[1]': {present: true}, 'RequestAttributesSequence[2]': {absent: true}}",
        "{RequestAttributesSequence: {vm: 2}}",
        "{RequestAttributesSequence: {vm: {'>=': 1}, present: true, empty: false}}",
        f"{{PixelData: {{sha256: {PIXELS.upper()}}}}}",
        "{PixelData: {present: true, empty: false}}",
    ],
)
def test_fits(fits: str) -> None:
    assert why(fits, DATASET) == ()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("{AccessionNumber: A2}", "AccessionNumber: expected A2, got A1"),
        ("{AccessionNumber: a1}", "AccessionNumber: expected a1, got A1"),
        ("{PatientID: 10}", "PatientID: expected 10, got 010 "),
        ("{SeriesNumber: 1}", "SeriesNumber: expected 1, got nothing (absent)"),
        ("{SeriesNumber: {not: 1}}", "SeriesNumber: expected not 1, got nothing (absent)"),
        ("{SeriesNumber: {present: true}}", "SeriesNumber: expected present, got nothing (absent)"),
        ("{Rows: {absent: true}}", "Rows: expected absent, got 3072"),
        ("{PatientBirthDate: {empty: false}}", "PatientBirthDate: expected a value, got no value"),
        ("{AccessionNumber: {empty: true}}", "AccessionNumber: expected no value, got A1"),
        ("{AccessionNumber: ''}", "AccessionNumber: expected no value, got A1"),
        ("{WindowCenter: {'>': 60}}", "WindowCenter: expected > 60, got 100.0\\50.0"),  # every value must fit
        ("{Rows: {'>': 3072}}", "Rows: expected > 3072, got 3072"),
        ("{PatientBirthDate: {'>': 19000101}}", "PatientBirthDate: expected > 19000101, got no value"),
        ("{ImageType: PRIMARY}", "ImageType: expected PRIMARY, got DERIVED\\PRIMARY"),
        ("{ImageType: [PRIMARY, DERIVED]}", "ImageType: expected PRIMARY\\DERIVED, got DERIVED\\PRIMARY"),
        (
            "{PatientName: Yamada^Tarou}",
            "PatientName: expected Yamada^Tarou, got Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            "{PatientName: {pn: 山田}}",
            "PatientName: expected pn 山田, got Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            "{'RequestAttributesSequence[0].ScheduledProcedureStepID': S2}",
            "RequestAttributesSequence[0].ScheduledProcedureStepID: expected S2, got S1",
        ),
        (
            "{'RequestAttributesSequence[2].ScheduledProcedureStepID': S2}",
            "RequestAttributesSequence: expected item 2, it has 2 item(s)",
        ),
        (
            "{'RequestAttributesSequence[*].ScheduledProcedureStepDescription': {absent: true}}",
            "RequestAttributesSequence[0].ScheduledProcedureStepDescription: expected absent, got Chest PA",
        ),
        ("{'DoseReference[0].Rows': 1}", ""),
        (
            f"{{PixelData: {{sha256: {'cd' * 32}}}}}",
            f"PixelData: expected sha256 {'cd' * 32}, got 18874368 bytes",
        ),
    ],
)
def test_does_not_fit_and_says_why(asked: str, reason: str) -> None:
    if not reason:
        with pytest.raises(ValueError, match="unknown DICOM keyword 'DoseReference'"):
            why(asked, DATASET)
        return
    (found,) = why(asked, DATASET)
    assert found.startswith(reason)


def test_an_event_without_a_data_set_does_not_fit() -> None:
    test = load_text(
        "scenario: t\nproduct: vxvue\nsteps:\n  - expect: pacs.stored\n    dataset: {Rows: 1}\n"
    ).steps[0]
    assert isinstance(test, Expect)
    assert test.test.mismatches({}) == ("it carries no data set",)


@pytest.mark.parametrize(
    ("where", "data", "fits"),
    [
        ("{status: A700}", {"status": 0xA700}, True),
        ("{status: A700}", {"status": "A700"}, True),
        ("{status: 0xA700}", {"status": "0xa700"}, True),
        ("{status: 0000}", {"status": 0}, True),
        ("{status: A700}", {"status": 0xA701}, False),
        ("{bytes: {'>': 1000}}", {"bytes": 1001}, True),
        ("{bytes: {'>': 1000}}", {"bytes": "many"}, False),
        ("{assoc: 1}", {"assoc": 1}, True),
        ("{assoc: 1}", {"assoc": True}, False),
        ("{dir: in, field: C-STORE-RQ}", {"dir": "in", "field": "C-STORE-RQ"}, True),
        ("{sop_class: Verification}", {"sop_class": "1.2.840.10008.1.1"}, True),
        ("{src: pacs2}", {}, True),
        ("{src: pacs}", {}, False),
        ("{dir: {present: true}}", {"dir": None}, False),
        ("{dir: {absent: true}}", {}, True),
    ],
)
def test_plain_fields(where: str, data: dict[str, Any], fits: bool) -> None:
    text = f"scenario: t\nproduct: vxvue\nsteps:\n  - expect: wire.message\n    where: {where}\n"
    step = load_text(text).steps[0]
    assert isinstance(step, Expect)
    assert (step.test.mismatches(data, "pacs2") == ()) is fits


def test_a_source_that_was_started_again_is_still_the_same_one() -> None:
    text = "scenario: t\nproduct: vxvue\nsteps:\n  - expect: pacs.stored\n    where: {src: pacs}\n"
    step = load_text(text).steps[0]
    assert isinstance(step, Expect)
    assert step.test.mismatches({}, "pacs#2") == ()
    assert step.test.mismatches({}, "pacs2") == ("src: expected pacs, got pacs2",)


def test_an_exit_status_is_a_plain_number() -> None:
    text = "scenario: t\nproduct: vxvue\nsteps:\n  - expect: sut.exited\n    where: {status: -9}\n"
    step = load_text(text).steps[0]
    assert isinstance(step, Expect)
    assert step.test.mismatches({"status": -9}) == ()
    assert step.test.mismatches({"status": 0}) == ("status: expected -9, got 0",)


def test_float_values_are_compared_with_the_precision_of_their_vr() -> None:
    single = 0.13899999856948853  # what 0.139 is as FL
    assert same("0.139", single, "FL")
    assert not same("0.139", single, "FD")


def test_dates_times_and_ages_mean_moments() -> None:
    assert same("20261121120000+0100", "20261121110000+0000", "DT")
    assert not same("20261121120000", "20261121120001", "DT")
    assert same("10", "1000", "TM")
    assert same("007D", "001W", "AS")
    assert not same("20261121", "20261122", "DA")


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        ("Yamada^Tarou", True),
        ("山田^太郎", True),
        ("Yamada^Tarou=山田^太郎", True),
        ("=山田^太郎", True),
        ("Yamada", False),
    ],
)
def test_person_names_by_group(expected: str, fits: bool) -> None:
    assert person_name_fits(expected, JAPANESE) is fits


@pytest.mark.parametrize(
    ("text", "vr"),
    [
        ("x" * 17, "SH"),
        ("x" * 65, "LO"),
        ("chest", "CS"),
        ("1234567890.1234567", "DS"),
        ("1.5", "IS"),
        ("-1", "US"),
        ("20261321", "DA"),
        ("2500", "TM"),
        ("1..2", "UI"),
        ("1.2." + "3" * 62, "UI"),
        ("a=b=c=d", "PN"),
        ("a^b^c^d^e^f", "PN"),
        ("Kölner PACS", "AE"),
        ("0018106", "AT"),
        ("ab", "OW"),
        ("12", "AS"),
    ],
)
def test_values_that_cannot_be_of_their_vr(text: str, vr: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_text(text, vr)


@pytest.mark.parametrize(
    ("text", "vr"),
    [("20261101-20261130", "DA"), ("-20261130", "DA"), ("0800-", "TM"), ("YAM*", "PN"), ("C?", "CS")],
)
def test_matching_keys_may_be_ranges_and_wildcards(text: str, vr: str) -> None:
    assert check_text(text, vr, matching=True) == text
    if vr != "PN":
        with pytest.raises(ValueError, match=r"."):
            check_text(text, vr)


def test_paths() -> None:
    path = parse_path("RequestAttributesSequence[3].ScheduledProtocolCodeSequence[*].CodeValue")
    assert [(step.tag, step.item) for step in path] == [("00400275", 3), ("00400008", -1), ("00080100", None)]
