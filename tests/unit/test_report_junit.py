"""JUnit: what a build server counts and shows."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest

from bench.report.junit import junit
from bench.results import (
    CellResult,
    ClauseResult,
    ExpectationResult,
    Expected,
    HostFacts,
    NearMiss,
    Product,
    RunInfo,
    StepResult,
    StrictnessFinding,
    SutInfo,
    WireFacts,
    build,
)
from bench.verdict import Verdict

V = Verdict


def cell(verdict: Verdict, cell_id: str = "a", **more: Any) -> CellResult:
    return CellResult(
        id=cell_id, scenario="s", file="s/x.yaml", line=3, verdict=verdict, reason="why", seconds=1.5, **more
    )


def parse(*cells: CellResult) -> ET.Element:
    info = RunInfo(
        run_id="r",
        product=Product(name="P\x00<&>", version="1"),
        tester="t",
        start="2026-11-21T02:00:00+01:00",
        seed=1,
        sut=SutInfo(adapter="reference"),
        host=HostFacts(system="", kernel="", machine="", python="", cpu_count=1),
        versions={},
    )
    content = junit(build(info, cells))
    assert content.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    return ET.fromstring(content)


KNOWN = Expected(verdict=V.FAIL, reason="known since May", date="2026-05-01")


@pytest.mark.parametrize(
    ("made", "tag"),
    [
        (cell(V.PASS), None),
        (cell(V.PASS_ERRATUM), None),
        (cell(V.DEV_FROM_STD), None),
        (cell(V.FAIL), "failure"),
        (cell(V.INCONCLUSIVE), "failure"),
        (cell(V.ERROR), "error"),
        (cell(V.FAIL, errors=("lost events",)), "failure"),
        (cell(V.PASS, errors=("lost events",)), "error"),
        (cell(V.NOT_EXERCISED, not_runnable="no root"), "skipped"),
        (cell(V.NA), "skipped"),
        (cell(V.FAIL, expected=KNOWN), "skipped"),
        (cell(V.PASS, expected=KNOWN), "failure"),
    ],
)
def test_one_tag_per_verdict(made: CellResult, tag: str | None) -> None:
    top = parse(made)
    case = top.find("testsuite/testcase")
    assert case is not None
    tags = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
    assert tags == ([tag] if tag else [])


def test_sums_are_what_a_parser_counts() -> None:
    verdicts = [V.FAIL, V.FAIL, V.INCONCLUSIVE, V.ERROR, V.PASS, V.PASS, V.NOT_EXERCISED]
    top = parse(*(cell(v, f"c{i}") for i, v in enumerate(verdicts)))
    for head in (top, *top.iter("testsuite")):
        assert head.get("tests") == "7"
        assert head.get("failures") == "3" == str(len(list(top.iter("failure"))))
        assert head.get("errors") == "1" == str(len(list(top.iter("error"))))
        assert head.get("skipped") == "1" == str(len(list(top.iter("skipped"))))
        assert head.get("time") == "10.500"


def test_case_names_file_line_and_the_way_to_repeat_it() -> None:
    made = cell(
        V.FAIL,
        "s[100BASE-T]",
        axes={"link": "100BASE-T"},
        seed=7,
        repeat="modbench run x --seed 7",
        steps=(StepResult(index=0, line=5, text="operator.send", verdict=V.FAIL, message="refused"),),
        expectations=(
            ExpectationResult(
                line=9,
                text="pacs.stored",
                verdict=V.FAIL,
                message="none",
                nearest=(NearMiss(seq=4, why="late"),),
            ),
        ),
        strictness=(StrictnessFinding(seq=8, kind="pacs.lost", message="unexpected"),),
    )
    case = parse(made).find("testsuite/testcase")
    assert case is not None
    assert (case.get("name"), case.get("file"), case.get("line")) == ("s[100BASE-T]", "s/x.yaml", "3")
    assert (case.get("classname"), case.get("time")) == ("s", "1.500")
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert properties == {
        "verdict": "FAIL", "seed": "7", "axis.link": "100BASE-T", "repeat": "modbench run x --seed 7",
    }  # fmt: skip
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "why"
    assert failure.text is not None
    for line in (
        "s/x.yaml:5: FAIL: operator.send: refused",
        "s/x.yaml:9: FAIL: expect pacs.stored",
        "    nearest: event 4: late",
        "strictness: event 8 pacs.lost: unexpected",
        "repeat: modbench run x --seed 7",
    ):
        assert line in failure.text.splitlines()


def test_the_message_says_what_turned_the_cell_red() -> None:
    """A declaration that is not what was found, or a fault of the bench in the judging, is not in the cell's reason."""
    clause = ClauseResult(id="VX-PC-001", verdict=V.PASS, reason="r", expected=KNOWN)
    wire = WireFacts(
        files=(),
        frames=0,
        bytes=0,
        associations=0,
        messages=0,
        sut="",
        sut_reason="",
        errors=("counts differ",),
    )
    top = parse(
        cell(V.PASS, "a", clauses=(clause,)), cell(V.PASS, "b", wire=wire), cell(V.PASS, "c", expected=KNOWN)
    )
    case_a, case_b, case_c = top.findall("testsuite/testcase")[:3]
    found = [
        next(child for child in case if child.tag in ("failure", "error"))
        for case in (case_a, case_b, case_c)
    ]
    assert [(each.tag, each.get("message")) for each in found] == [
        ("failure", "VX-PC-001: declared FAIL since 2026-05-01, found PASS: why"),
        ("error", "counts differ"),
        ("failure", "declared FAIL since 2026-05-01, found PASS: why"),
    ]
    assert case_b.findtext("system-err") == "counts differ"


def test_a_failure_is_told_once_at_the_line_that_decided() -> None:
    told = "no pacs.stored within 3 s"
    made = cell(
        V.FAIL,
        steps=(StepResult(index=0, line=9, text="expect pacs.stored", verdict=V.FAIL, message=told),),
        expectations=(ExpectationResult(line=9, text="pacs.stored", verdict=V.FAIL, message=told),),
    )
    text = parse(replace(made, reason=f"Line 9: {told}")).findtext("testsuite/testcase/failure")
    assert text is not None
    assert text.splitlines() == [f"s/x.yaml:9: Line 9: {told}", "s/x.yaml:9: FAIL: expect pacs.stored"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x00b", "a␀b"),
        ("\x1b[0m", "␛[0m"),
        ("\ud800", "⟦U+D800⟧"),
        ("<![CDATA[", "<![CDATA["),
        ("\ufffe", "⟦U+FFFE⟧"),
        ("&'\"", "&'\""),
    ],
)
def test_what_xml_cannot_carry_is_shown(value: str, shown: str) -> None:
    made = replace(cell(V.FAIL, value, errors=(value,)), reason=value)
    top = parse(made)
    case = top.find("testsuite/testcase")
    failure = top.find("testsuite/testcase/failure")
    assert case is not None
    assert failure is not None
    assert (
        case.get("name") == failure.get("message") == top.findtext("testsuite/testcase/system-err") == shown
    )
    suite = top.find("testsuite")
    assert suite is not None
    assert (suite.get("name"), suite.get("timestamp")) == ("P␀<&>", "2026-11-21T02:00:00")
