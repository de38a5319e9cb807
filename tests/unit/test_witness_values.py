"""Values of each VR, and dates, times and names taken apart."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

import pytest

from bench.witness.values import (
    fault,
    is_uid,
    multiplicity,
    parse_date,
    parse_datetime,
    parse_time,
    person_name,
)

RIGHT = {
    "AE": ["VXVUE", " a b ", "lower case"],
    "AS": ["000D", "018M", "120Y", "001W "],
    "CS": ["ORIGINAL", "ISO_IR 100", " DX ", "A" * 16],
    "DA": ["20240229", "19000101"],
    "DS": ["1", "-1.5", "+.5", "1.", "1.5E-10", "  12  ", "1e5"],
    "DT": ["2026", "202601", "20260102030405.123456+0130", "20260102-0500"],
    "IS": ["0", "-2147483648", "+7", " 12 ", "2147483647"],
    "LO": ["a" * 64, "漢" * 64, "a^b=c"],
    "PN": ["A^B^C^D^E", "A=B=C", "漢" * 64 + "=" + "b" * 64, "^^^^"],
    "SH": ["a" * 16],
    "ST": ["line\r\nnext\f\t", "a" * 1024],
    "TM": ["10", "1011", "101112", "101112.1", "101112.123456", "235960", "1011  "],
    "UI": ["1.2.840.10008", "0.0", "2.25.1", "1.2\0", "1." + "2" * 62],
    "UR": ["http://example.org/a?b=c#d "],
    "UT": ["x" * 100_000],
}
WRONG = {
    "AE": ["A" * 17, "a\tb"],
    "AS": ["45Y", "045y", "0045Y", "045"],
    "CS": ["dx", "A-B", "A" * 17, "A*"],
    "DA": ["20230229", "2024-01-01", "2024.01.01", "20240101-20240102", "202401", "20240101 "],
    "DS": ["1,5", "1.5.2", "12345678901234567", "0x1", "NaN", "1E", "- 1", "١"],
    "DT": ["20261301", "2026010203040506", "20260102 030405", "20260102+9999"],
    "IS": ["1.0", "2147483648", "1234567890123", "1 2", "a"],
    "LO": ["a" * 65, "a\nb"],
    "PN": ["a^b^c^d^e^f", "a=b=c=d", "a" * 65, "a\tb"],
    "SH": ["a" * 17],
    "ST": ["a\x07b", "a" * 1025],
    "TM": ["24", "1060", "101161", "10:11:12", "101112.1234567", "1", "101112."],
    "UI": ["1.02", "1..2", ".1", "1.", "1.a", "1." + "2" * 63],
    "UR": [" http://x", "a b"],
}
QUERIES = {
    "AE": ["ST*"],
    "CS": ["C*", "?X", "*"],
    "DA": ["20260101-20260131", "-20260131", "20260101-", "20260101", "20260101- "],
    "TM": ["08-12", "-120000.5", "0800-"],
    "DT": ["2026-2027", "2026-0500-2027-0500", "-2026", "2026-0500-"],
    "PN": ["*", "Do?^*"],
    "UI": ["1.2.3"],
}


@pytest.mark.parametrize(("vr", "value"), [(vr, value) for vr, values in RIGHT.items() for value in values])
def test_right_values(vr: str, value: str) -> None:
    assert fault(vr, value) is None
    if vr not in ("DA", "TM", "DT"):
        assert fault(vr, value, query=True) is None


@pytest.mark.parametrize(("vr", "value"), [(vr, value) for vr, values in WRONG.items() for value in values])
def test_wrong_values(vr: str, value: str) -> None:
    assert fault(vr, value) is not None


@pytest.mark.parametrize(("vr", "value"), [(vr, value) for vr, values in QUERIES.items() for value in values])
def test_values_of_queries(vr: str, value: str) -> None:
    assert fault(vr, value, query=True) is None


@pytest.mark.parametrize("value", ["20260101-20260131-", "-", "2026010-20260131", "20261301-20270101"])
def test_no_ranges(value: str) -> None:
    assert fault("DA", value, query=True) is not None


@pytest.mark.parametrize("vr", [*RIGHT])
def test_an_empty_value_is_never_wrong(vr: str) -> None:
    assert fault(vr, "") is None
    assert fault(vr, "  ") is None


def test_dates_and_times() -> None:
    assert parse_date("20240229") == date(2024, 2, 29)
    assert parse_date("20230229") is None
    assert parse_time("101112.5") == time(10, 11, 12, 500_000)
    assert parse_time("10") == time(10)
    assert parse_time("235960") == time(23, 59, 59)
    assert parse_time("10:11") is None
    assert parse_datetime("20260102030405.5-0130") == datetime(
        2026, 1, 2, 3, 4, 5, 500_000, timezone(-timedelta(hours=1, minutes=30))
    )
    assert parse_datetime("20260230") is None


def test_names() -> None:
    name = person_name("Yamada^Tarou=山田^太郎=やまだ^たろう")
    assert name.alphabetic == ("Yamada", "Tarou")
    assert name.family == "Yamada"
    assert person_name("Doe^Jane^^^ ").same(person_name("Doe^Jane="))
    assert not person_name("Doe^Jane").same(person_name("Doe^John"))
    assert person_name("=山田").family == "山田"


def test_uids() -> None:
    assert is_uid("1.2.840")
    assert not is_uid("1.02")
    assert not is_uid("")


@pytest.mark.parametrize(
    ("vm", "right", "wrong"),
    [
        ("1", [1], [0, 2]),
        ("1-n", [1, 9], [0]),
        ("2-2n", [2, 4], [1, 3]),
        ("1-3", [1, 3], [4]),
        ("3-3n", [3, 6], [4]),
    ],
)
def test_multiplicity(vm: str, right: list[int], wrong: list[int]) -> None:
    assert all(map(multiplicity(vm), right))
    assert not any(map(multiplicity(vm), wrong))
