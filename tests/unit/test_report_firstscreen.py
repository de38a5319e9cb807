"""What the first screen says of a run: the sentence, its colour, what decided, what was declared otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from bench.report.firstscreen import badges, bench_faults, decided, headline, surprises, tone
from bench.results import (
    CellResult,
    ClauseResult,
    ExpectationResult,
    Expected,
    RunResult,
    StepResult,
    VolumeFidelity,
    WireFacts,
    build,
)
from bench.verdict import Verdict
from tests.unit.report_story import run_info

V = Verdict
KNOWN = Expected(verdict=V.DEV_FROM_STD, reason="known", date="2026-05-01")


def cell(verdict: Verdict = V.PASS, **more: Any) -> CellResult:
    return CellResult(
        id=more.pop("id", "a"),
        scenario="s",
        file="s.yaml",
        line=2,
        verdict=verdict,
        reason="why",
        seconds=1.0,
        **more,
    )


def run(*cells: CellResult, **more: Any) -> RunResult:
    return build(run_info(**more), cells)


def clause(verdict: Verdict, expected: Expected | None = KNOWN) -> ClauseResult:
    return ClauseResult(id="VX-PC-001", verdict=verdict, reason="r", expected=expected)


def wire(*errors: str) -> WireFacts:
    return WireFacts(
        files=(), frames=0, bytes=0, associations=0, messages=0, sut="", sut_reason="", errors=errors
    )


@pytest.mark.parametrize(
    ("made", "colour", "said"),
    [
        (run(cell()), V.PASS, "The one cell did what was expected."),
        (run(cell(), cell(V.FAIL, id="b")), V.FAIL, "1 of 2 cells failed."),
        (run(cell(errors=("lost events",))), V.ERROR, "In 1 of 1 the bench itself was at fault."),
        (run(cell(wire=wire("a count differs"))), V.ERROR, "In 1 of 1 the bench itself was at fault."),
        (run(cell(), errors=("interrupted",)), V.ERROR, "The bench itself was at fault."),
        (run(errors=("interrupted",)), V.ERROR, "Nothing was run: the bench itself was at fault."),
        (run(cell(clauses=(clause(V.DEV_FROM_STD),))), V.PASS, "The one cell did what was expected."),
        (
            run(cell(clauses=(clause(V.PASS),))),
            V.FAIL,
            "In 1 of 1 a declared deviation is not what was found.",
        ),
        (run(cell(V.INCONCLUSIVE)), V.INCONCLUSIVE, "1 could not be judged."),
        (run(cell(V.NOT_EXERCISED)), V.NOT_EXERCISED, "Nothing was runnable here."),
    ],
)
def test_no_run_is_green_on_the_first_screen_whose_exit_code_is_not_0(
    made: RunResult, colour: Verdict, said: str
) -> None:
    assert (tone(made), headline(made)) == (colour, said)
    assert tone(made).green == (made.exit_code == 0)


def test_a_declaration_that_is_not_what_was_found_is_named() -> None:
    assert surprises(cell(V.PASS, expected=KNOWN)) == ["declared DEV-FROM-STD since 2026-05-01, found PASS"]
    assert surprises(cell(clauses=(clause(V.FAIL),))) == [
        "VX-PC-001: declared DEV-FROM-STD since 2026-05-01, found FAIL"
    ]
    for found in (V.DEV_FROM_STD, V.NOT_EXERCISED, V.NA, V.INCONCLUSIVE):
        assert surprises(cell(clauses=(clause(found),))) == []
    for verdict in V:  # it says something exactly when the run turns red by it
        for made in (cell(verdict, expected=KNOWN), cell(clauses=(clause(verdict),))):
            assert bool(surprises(made)) == made.unexpected, verdict


def test_what_decided_is_the_first_failure_before_any_error() -> None:
    steps = (
        StepResult(index=0, line=5, text="a", verdict=V.ERROR),
        StepResult(index=1, line=6, text="b", verdict=V.FAIL),
    )
    late = ExpectationResult(line=9, text="c", verdict=V.FAIL)
    assert decided(cell(V.FAIL, steps=steps)) is steps[1]
    assert decided(cell(V.FAIL, steps=steps, expectations=(late,))) is late
    assert decided(cell(V.ERROR, steps=steps[:1])) is steps[0]
    assert decided(cell(V.FAIL)) is None


def test_faults_of_the_bench_are_told_once_and_wherever_they_were_found() -> None:
    found = bench_faults(cell(V.FAIL, errors=("one", "why", "two"), wire=wire("two", "three")))
    assert found == ("one", "two", "three")


def test_media_of_one_kind_are_one_badge_and_a_folder_is_no_medium() -> None:
    def usb(backend: str, system: str, *limits: str) -> VolumeFidelity:
        return VolumeFidelity(name="usb", backend=backend, filesystem=system, cannot_prove=limits)

    made = run(
        cell(
            volumes=(
                usb("fuse", "FAT32", "a"),
                VolumeFidelity(name="sd", backend="image", filesystem="FAT16"),
            )
        ),
        cell(id="b", volumes=(usb("fuse", "FAT16", "a", "b"), usb("fuse", "none"))),
    )
    found = [(badge.label, badge.text, badge.tone, badge.title) for badge in badges(made)[1:]]
    assert found == [
        ("volume usb", "fuse FAT16, FAT32, unformatted", "good", "Cannot prove: a; b"),
        ("volume sd", "image FAT16", "warn", ""),
    ]
