"""Laws of the report: whatever a journal holds, the drawing is well-formed and the text is harmless."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.journal import Event
from bench.kinds import KINDS
from bench.report.ladder import ladder
from bench.report.text import seconds, size, visible
from bench.results import CellResult, ExpectationResult, StepResult, cell_folder
from bench.verdict import Verdict

SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
)
VALUE = SCALAR | st.lists(SCALAR, max_size=3) | st.dictionaries(st.text(max_size=5), SCALAR, max_size=3)
FIELDS = st.sampled_from(  # names that drawings look at
    [
        *(
            "assoc",
            "dir",
            "field",
            "status",
            "bytes",
            "by",
            "how",
            "calling",
            "called",
            "reason",
            "link",
            "host",
        ),
        *(
            "fault",
            "id",
            "where",
            "do",
            "args",
            "ok",
            "error",
            "text",
            "to",
            "kvp",
            "ma",
            "ms",
            "mas",
            "state",
        ),
        *("matches", "resent", "width", "height", "frame_kind", "what", "prep", "expose", "index", "message"),
    ]
)
EVENT = st.tuples(
    st.integers(0, 2**45),
    st.sampled_from(["pacs", "ris#2", "modality", "bench", "<b>&\x00"]),
    st.sampled_from(sorted(KINDS)) | st.text(max_size=10),
    st.dictionaries(FIELDS, VALUE, max_size=6),
)
VERDICTS = st.sampled_from(list(Verdict))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(EVENT, max_size=25), VERDICTS, st.text(max_size=20), st.floats(-1e6, 1e6), st.integers(-1, 30)
)
def test_any_journal_is_drawn_well_formed(
    said: list[tuple[int, str, str, dict[str, Any]]], verdict: Verdict, text: str, limit: float, seq: int
) -> None:
    events = [Event(i, t, src, i, kind, data) for i, (t, src, kind, data) in enumerate(said, 1)]
    cell = CellResult(
        id="x",
        scenario="s",
        file="f",
        line=1,
        verdict=verdict,
        reason="",
        seconds=1,
        steps=(StepResult(index=0, line=1, text=text, verdict=verdict, start_seq=seq, end_seq=seq),),
        expectations=(
            ExpectationResult(line=1, text=text, verdict=verdict, within_s=limit, matched=(seq,)),
            ExpectationResult(line=2, text=text, verdict=verdict, what="never", measured_s=limit),
        ),
    )
    drawing = ladder(events, cell, "c1")
    if drawing:
        ET.fromstring(drawing)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_text_becomes_visible_and_fits_xml(text: str) -> None:
    element = ET.Element("x", a=visible(text))
    element.text = visible(text)
    again = ET.fromstring(ET.tostring(element, encoding="utf-8"))
    assert again.text == (visible(text) or None)
    assert again.get("a") == visible(text)
    assert visible(visible(text)) == visible(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_ids_have_two_folders_of_one_plain_part(a: str, b: str) -> None:
    for name in (cell_folder(a), cell_folder(b)):
        assert name
        assert not name.startswith((".", "-"))
        assert not set(name) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=-")
    assert (a == b) == (cell_folder(a).lower() == cell_folder(b).lower())


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e9))
def test_any_number_has_a_unit(value: float) -> None:
    assert seconds(value)[-1] in "s"
    assert size(value)[-1] == "B"
