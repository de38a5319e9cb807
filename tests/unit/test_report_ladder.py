"""The ladder: what becomes a mark, what is folded, what is red, and that nothing overlaps or leaves the drawing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from bench.journal import Event
from bench.kinds import KINDS
from bench.report.ladder import MAX_MARKS, WIDTH, ladder
from bench.report.marks import Mark, bands, mark, marks
from bench.results import CellResult, ExpectationResult, StepResult
from bench.verdict import Verdict

SVG = "{http://www.w3.org/2000/svg}"


def cell(**more: Any) -> CellResult:
    return CellResult(
        id="x", scenario="s", file="f", line=1, verdict=Verdict.PASS, reason="", seconds=1, **more
    )


def events(*said: tuple[float, str, str, dict[str, Any]]) -> list[Event]:
    return [Event(i, int(s * 1e9), src, i, kind, data) for i, (s, src, kind, data) in enumerate(said, 1)]


def one(kind: str, src: str = "pacs", **data: Any) -> Mark:
    made = mark(Event(1, 0, src, 1, kind, data))
    assert made is not None
    return made


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


@pytest.mark.parametrize(
    ("status", "text", "tone"),
    [
        (0, "C-STORE-RSP success", ""),
        ("0000", "C-STORE-RSP success", ""),
        ("0x0000", "C-STORE-RSP success", ""),
        (0xA700, "C-STORE-RSP A700H", "bad"),
        ("A700H", "C-STORE-RSP A700H", "bad"),
        (0xB000, "C-STORE-RSP B000H", "warn"),
        (0xFF00, "C-STORE-RSP pending", "quiet"),
        (0xFE00, "C-STORE-RSP FE00H", "warn"),
        (0x0110, "C-STORE-RSP 0110H", "bad"),
    ],
)
def test_status_of_a_response(status: object, text: str, tone: str) -> None:
    made = one("wire.message", assoc=1, dir="out", field="C-STORE-RSP", status=status)
    assert (made.actor, made.to, made.text, made.tone) == ("pacs", "modality", text, tone)


def test_direction_and_size_of_a_request() -> None:
    made = one("wire.message", src="ris#2", assoc=1, dir="in", field="N-CREATE-RQ", bytes=2500)
    assert (made.actor, made.to, made.text) == ("modality", "ris", "N-CREATE-RQ 2.5 kB")


def test_what_was_cut_off_says_so() -> None:
    made = one("wire.message", assoc=1, dir="in", field="C-STORE-RQ", bytes=4_000_000, complete=False)
    assert (made.text, made.tone) == ("C-STORE-RQ 4 MB cut off", "bad")
    lost = one("pacs.lost", assoc=1, how="reset", pending="C-STORE-RQ")
    assert (lost.text, lost.tone) == ("lost: reset, C-STORE-RQ unfinished", "bad")


@pytest.mark.parametrize(
    ("kind", "data", "tone"),
    [
        ("wire.abort", {"by": "peer"}, "bad"),
        ("wire.reject", {"result": 1, "source": 1, "reason": 7}, "bad"),
        ("wire.close", {"how": "reset"}, "bad"),
        ("pacs.refused", {"reason": "out of resources"}, "bad"),
        ("pacs.lost", {"how": "timeout"}, "bad"),
        ("ris.mpps_set", {"state": "COMPLETED", "status": 0x0110}, "bad"),
        ("ris.mpps_set", {"state": "COMPLETED", "status": 0}, "good"),
        ("link.pulled", {"link": "pacs"}, "bad"),
        ("link.plugged", {"link": "pacs"}, "link"),
        ("fault.fired", {"host": "pacs", "fault": "abort"}, "bad"),
        ("generator.refused", {"reason": "rotor"}, "bad"),
        ("modality.warning", {"text": "PACS down"}, "warn"),
        ("sut.answer", {"do": "send", "ok": False, "error": "no"}, "bad"),
        ("sut.exited", {"expected": False}, "bad"),
        ("bench.error", {"message": "lost"}, "bad"),
        ("detector.sent", {"resent": 3, "bytes": 5}, "warn"),
    ],
)
def test_trouble_is_loud(kind: str, data: dict[str, Any], tone: str) -> None:
    assert one(kind, **data).tone == tone


def test_no_kind_and_no_data_breaks_it() -> None:
    odd = {"status": "zz", "bytes": "x", "assoc": "1", "args": 3, "how": 5, "to": None, "host": 7}
    strange: list[dict[str, Any]] = [{}, odd]
    for data in strange:
        said = events(*((i / 10, "pacs", kind, data) for i, kind in enumerate(KINDS)))
        parse(ladder(said, cell(), "c1"))


def test_pending_answers_are_folded_and_counted() -> None:
    said = [(0.0, "ris", "wire.message", {"assoc": 1, "dir": "in", "field": "C-FIND-RQ"})]
    pending = {"assoc": 1, "dir": "out", "field": "C-FIND-RSP", "status": 0xFF00}
    said += [(0.1 + i / 100, "ris", "wire.message", pending) for i in range(12)]
    said += [(0.4, "ris", "wire.message", {"assoc": 1, "dir": "out", "field": "C-FIND-RSP", "status": 0})]
    found = marks(events(*said))
    assert [(m.text, m.times) for m in found] == [
        ("C-FIND-RQ", 1), ("C-FIND-RSP pending", 12), ("C-FIND-RSP success", 1),
    ]  # fmt: skip
    assert found[1].seqs == tuple(range(2, 14))
    assert "C-FIND-RSP pending × 12" in ladder(events(*said), cell(), "c1")


def test_requests_are_never_folded() -> None:
    said = [
        (i / 10, "pacs", "wire.message", {"assoc": 1, "dir": "in", "field": "C-ECHO-RQ"}) for i in range(5)
    ]
    assert len(marks(events(*said))) == 5


@pytest.mark.parametrize(
    ("kinds", "tone", "how"),
    [
        (["open", "associate", "release", "close"], "", "released"),
        (["open", "associate", "abort", "close"], "bad", "aborted"),
        (["open", "associate", "close"], "bad", "lost"),
        (["open", "reject", "close"], "bad", "rejected"),
        (["open", "close"], "", "no association"),
        (["open", "associate"], "", "open"),
    ],
)
def test_bands_tell_how_associations_ended(kinds: list[str], tone: str, how: str) -> None:
    data = {"assoc": 4, "calling": "A", "called": "B"}
    said = [(float(i), "pacs", f"wire.{kind}", data) for i, kind in enumerate(kinds)]
    (band,) = bands(events(*said))
    assert (band.actor, band.assoc, band.tone) == ("pacs", 4, tone)
    assert how in band.title
    assert (band.start, band.end) == (0, int((len(kinds) - 1) * 1e9))


def busy() -> list[Event]:
    """Five associations, sixty messages, two of the associations at the same time."""
    said: list[tuple[float, str, str, dict[str, Any]]] = []
    t = 0.0
    for number in range(1, 6):
        peer = "pacs" if number % 2 else "ris"
        said.append((t, peer, "wire.open", {"assoc": number}))
        said.append(
            (t + 0.001, peer, "wire.associate", {"assoc": number, "calling": "VXVUE", "called": peer.upper()})
        )
        name = "C-STORE" if peer == "pacs" else "N-SET"
        request = {"assoc": number, "dir": "in", "field": f"{name}-RQ", "bytes": 33_000_000}
        response = {"assoc": number, "dir": "out", "field": f"{name}-RSP", "status": 0}
        for _ in range(6):
            t += 0.05
            said += [(t, peer, "wire.message", request), (t + 0.02, peer, "wire.message", response)]
        said.append((t + 0.03, peer, "wire.release", {"assoc": number}))
        said.append((t + 0.031, peer, "wire.close", {"assoc": number, "how": "release"}))
        t += 5 if number == 3 else -0.1
    return events(*sorted(said, key=lambda s: s[0]))


def test_five_associations_and_sixty_messages_are_readable() -> None:
    svg = parse(ladder(busy(), cell(), "c1"))
    messages = [g for g in svg.iter(f"{SVG}g") if (g.get("class") or "").startswith("m ")]
    assert sum("-RQ" in "".join(g.itertext()) for g in messages) >= 30
    boxes = []
    for group in messages:
        for text in group.iter(f"{SVG}text"):
            width = len(text.text or "") * 5.0
            x, y = float(text.get("x", 0)), float(text.get("y", 0))
            x -= width / 2 if text.get("text-anchor") == "middle" else 0
            boxes.append((x, x + width, y))
            assert x >= 0
            assert x + width <= WIDTH
    for i, (a, b, y) in enumerate(boxes):
        for c, d, z in boxes[i + 1 :]:
            assert abs(y - z) > 8 or b <= c or d <= a, "two labels lie on each other"
    heights = [float(line.get("y1", 0)) for g in messages for line in g.iter(f"{SVG}line")]
    assert heights == sorted(heights), "time runs down"
    assert "⋮" in "".join(svg.itertext())
    height = float((svg.get("viewBox") or "").split()[3])
    assert height < 2200


def test_marks_link_to_their_events_and_say_where_they_come_from() -> None:
    text = ladder(busy(), cell(), "c7")
    svg = parse(text)
    links = {a.get("href") for a in svg.iter(f"{SVG}a")}
    assert "#c7-e3" in links
    assert all(link and re.fullmatch(r"#c7-e\d+", link) for link in links)
    assert "drawn from the journal" in text
    titles = ["".join(t.itertext()) for t in svg.iter(f"{SVG}title")]
    assert any(t.startswith("event 3 · ") and "C-STORE-RQ" in t for t in titles)


def test_steps_and_expectations_stand_beside_it() -> None:
    said = events(
        (0.0, "runner", "step.start", {}),
        (1.0, "pacs", "pacs.stored", {"bytes": 5_000_000}),
        (2.0, "runner", "step.end", {}),
        (2.1, "runner", "step.start", {}),
        (12.1, "runner", "step.end", {}),
    )
    good = ExpectationResult(
        line=3, text="pacs.stored", verdict=Verdict.PASS, within_s=9, measured_s=1.0, matched=(2,)
    )
    bad = ExpectationResult(
        line=4, text="ris.mpps_set", verdict=Verdict.FAIL, within_s=10, message="none came"
    )
    steps = (
        StepResult(index=0, line=3, text="expect: pacs.stored", verdict=Verdict.PASS, start_seq=1, end_seq=3),
        StepResult(
            index=1, line=4, text="expect: ris.mpps_set", verdict=Verdict.FAIL, start_seq=4, end_seq=5
        ),
    )
    svg = parse(ladder(said, cell(steps=steps, expectations=(good, bad)), "c1"))
    words = " ".join(t.text or "" for t in svg.iter(f"{SVG}text"))
    assert "✓ 3 pacs.stored 1.00 s" in words
    assert "✗ 4 ris.mpps_set not in 10.0 s" in words
    assert "✗ line 4: ris.mpps_set not within 10.0 s" in words
    assert "⋮ 11.1 s" in words
    assert any((g.get("class") or "") == "step bad" for g in svg.iter(f"{SVG}g"))


def test_peers_text_is_escaped_and_control_characters_are_shown() -> None:
    said = events((0.0, "<b>", "modality.warning", {"text": '<script>"&\x00\u202e'}))
    text = ladder(said, cell(), "c1")
    parse(text)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text


def test_too_many_marks_keep_the_red_ones_and_say_so() -> None:
    request = {"assoc": 1, "dir": "in", "field": "C-ECHO-RQ"}
    said: list[Any] = [(i / 100, "pacs", "wire.message", request) for i in range(MAX_MARKS + 50)]
    said.append((99.0, "pacs", "pacs.lost", {"how": "reset"}))
    text = ladder(events(*said), cell(), "c1")
    assert "lost: reset" in text
    assert "51 quieter events are only in the table" in text


@pytest.mark.parametrize(("idle", "named"), [(0.3, ""), (0.4, "⋮ 400 ms"), (75.0, "⋮ 75.0 s")])
def test_idle_time_is_cut_and_named(idle: float, named: str) -> None:
    svg = ladder(
        events((0, "pacs", "pacs.echoed", {"assoc": 1}), (idle, "pacs", "pacs.echoed", {"assoc": 2})),
        cell(),
        "c1",
    )
    gaps = [
        text.text
        for text in parse(svg).iter("{http://www.w3.org/2000/svg}text")
        if text.get("class") == "gap"
    ]
    assert gaps == ([named] if named else [])


def test_nothing_to_draw_is_nothing() -> None:
    assert ladder([], cell(), "c1") == ""
    assert ladder(events((0, "runner", "bench.note", {"message": "x"})), cell(), "c1") == ""


def test_what_was_said_before_is_not_said_again() -> None:
    said = events(
        (0.0, "pacs", "wire.associate", {"assoc": 1}),
        (0.1, "pacs", "wire.abort", {"assoc": 1, "by": "peer"}),
        (0.2, "pacs", "wire.close", {"assoc": 1, "how": "rst"}),
        (0.3, "pacs", "wire.associate", {"assoc": 2}),
        (0.4, "pacs", "wire.close", {"assoc": 2, "how": "rst", "by": "self"}),
        (0.5, "pacs", "fault.armed", {"id": 1, "fault": "abort"}),
        (0.6, "bench", "fault.armed", {"id": "1", "fault": "abort", "host": "pacs"}),
    )
    assert [m.text for m in marks(said)] == [
        "A-ASSOCIATE ? → ?", "A-ABORT", "A-ASSOCIATE ? → ?", "TCP reset", "⚑ armed: abort",
    ]  # fmt: skip
    assert (marks(said)[3].actor, marks(said)[3].to) == ("pacs", "modality")


def test_the_word_expect_is_not_said_twice() -> None:
    said = events((0.0, "pacs", "pacs.stored", {}), (1.0, "runner", "bench.note", {}))
    bad = ExpectationResult(line=4, text="expect pacs.stored", verdict=Verdict.FAIL, within_s=10)
    never = ExpectationResult(
        line=5, text="never pacs.lost", what="never", verdict=Verdict.FAIL, matched=(1,)
    )
    words = ladder(said, cell(expectations=(bad, never)), "c1")
    assert "✗ line 4: pacs.stored not within 10.0 s" in words
    assert "✗ 5 never pacs.lost" in words
    assert "expect expect" not in words
    assert "never never" not in words
