"""The pages for people: the first screen of a run, and the page of a cell."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.journal import JournalWriter
from bench.report import render
from bench.report.cellview import MAX_EVENTS
from bench.results import (
    CellResult,
    ClauseResult,
    ExpectationResult,
    Expected,
    JournalSeal,
    LinkFidelity,
    cell_dir,
    write_cell,
    write_run,
)
from tests.unit.report_story import CELLS, V, exam, make_run, page, place, run_info, text_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"))
    render(folder)
    return folder


def test_first_screen_says_what_an_engineer_needs_at_seven(run: Path) -> None:
    whole = text_of(run)
    top = whole[: whole.index("Cells at a glance")]
    for words in (
        "VXvue", "3.8.1", "VX-0042", "2022 edition", "FAIL", "1 of 5 cells failed", "reference software",
        "veth 100BASE-T", "veth 1000BASE-T", "The image was not stored within 30 s after the operator sent it again.",
        "store-after-lost-association.yaml:19", "18.5 MB were missing",
        "This cell left no result",
    ):  # fmt: skip
        assert words in top, words


def test_every_anchor_exists_and_every_link_leads_to_a_file_of_the_run(run: Path) -> None:
    names = ["index.html", *map(place, CELLS)]
    pages = {(run / name).resolve(): page(run, name) for name in names}
    for path, found in pages.items():
        assert len(found.ids) == len(set(found.ids))
        for link in found.links:
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.is_relative_to(run.resolve())
            assert target.is_file(), link
            if anchor:
                assert anchor in pages[target].ids, link
        assert found.stack == []
        assert found.unbalanced == []
    index = pages[(run / "index.html").resolve()]
    assert {place(name) for name in CELLS} <= {link.partition("#")[0] for link in index.links}


def test_the_first_page_stays_small_and_leads_from_cell_to_cell(run: Path) -> None:
    """Pictures, ladders and events are on the cells' own pages; no page asks for another file."""
    index = page(run)
    assert "img" not in index.tags
    assert "svg" not in index.tags
    assert not any("-e" in name for name in index.ids)
    for before, name, after in zip((None, *CELLS), CELLS, (*CELLS[1:], None), strict=False):
        links = page(run, place(name)).links
        assert "../../index.html" in links
        near = {f"../../{place(other)}" for other in (before, after) if other}
        assert near == {link for link in links if link.endswith("/cell.html")}


def test_a_red_card_says_how_to_repeat_it_and_what_was_asked(run: Path) -> None:
    whole = text_of(run)
    card = whole[whole.index("What needs a look") : whole.index("Cells at a glance")]
    assert "store-after-lost-association.yaml:19: pacs.stored {AccessionNumber: A1}" in card
    assert "again: modbench run scenarios/regression/one-exam.yaml --matrix link=100BASE-T --seed 7" in card
    assert "C-STORE-RQ of this instance began, but 18.5 MB were missing" in card
    assert "pacs.lost, not pacs.stored" in card


def test_a_green_cell_that_turns_the_run_red_needs_a_look(tmp_path: Path) -> None:
    """A fault of the bench, or a declared deviation that is gone: nothing of that is green on the first screen."""
    known = Expected(verdict=V.DEV_FROM_STD, reason="known", date="2026-05-01")
    good = exam(tmp_path, "good", {"link": "100BASE-T"}, lost=False)
    gone = ClauseResult(id="VX-PC-001", verdict=V.PASS, reason="r", expected=known)
    for cell in (
        good,
        replace(good, id="faulty", title="Faulty", errors=("packets were lost",)),
        replace(good, id="gone", title="Gone", clauses=(gone,)),
    ):
        write_cell(tmp_path, cell)
    write_run(tmp_path, run_info())
    render(tmp_path, ["html"])
    whole = text_of(tmp_path)
    card = whole[whole.index("What needs a look") : whole.index("Cells at a glance")]
    assert "Faulty" in card
    assert "the bench was at fault: packets were lost" in card
    assert "VX-PC-001: declared DEV-FROM-STD since 2026-05-01, found PASS" in card
    assert good.title not in card
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'class="top card v-error"' in text
    assert text.count("<tr id=") == 3
    assert text.count("data-red") == 2 + text.count("hasAttribute(&#34;data-red") + text.count(
        'hasAttribute("data-red'
    )


def test_a_clause_names_every_cell_that_touched_it(run: Path) -> None:
    """Red ones by name, green ones by their number in the table, and all of them for the filter."""
    text = (run / "index.html").read_text(encoding="utf-8")
    clause = text[text.index('id="VX-STO-007"') :]
    clause = clause[: clause.index("</details>")]
    assert 'data-cells="c2 c1 c3 "' in clause
    assert f'<a href="{place("lost-100")}#c2">lost-100</a>' in clause
    assert '<a href="#r1">1</a> <a href="#r3">3</a>' in clause
    assert {"r1", "r2", "r3"} <= set(page(run).ids)


def test_every_measured_number_links_to_its_event(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    for number, cell in enumerate(results["cells"], 1):
        links = page(run, place(cell["id"])).links
        for expectation in cell["expectations"]:
            for seq in expectation["matched"]:
                assert f"#c{number}-e{seq}" in links
        for fault in cell["faults"]:
            assert f"#c{number}-e{fault['fired_seq']}" in links


def test_pictures_stand_side_by_side_with_their_correlation(run: Path) -> None:
    whole = " ".join(text_of(run, place(name)) for name in CELLS)
    assert sum(page(run, place(name)).tags.get("img", 0) for name in CELLS) == 4
    values = [float(v.replace("−", "-")) for v in re.findall(r"ρ = (\S+) rank correlation", whole)]
    assert len(values) == 2
    assert all(value > 0.95 for value in values)
    assert whole.count("upright, not mirrored") == 2
    assert "paired by the raw frame's SHA-256" in whole


def test_loopback_is_said_loudly(tmp_path: Path) -> None:
    cell = exam(tmp_path, "one", {"link": "1000BASE-T"}, lost=False)
    write_run(tmp_path, run_info())
    write_cell(
        tmp_path, replace(cell, links=(LinkFidelity(name="modality", backend="loopback", tested=False),))
    )
    render(tmp_path, ["html"])
    top = text_of(tmp_path)
    assert "No link was tested." in top[: top.index("Cells at a glance")]
    write_cell(tmp_path, replace(cell, links=()))
    render(tmp_path, ["html"])
    assert "No link was tested." in text_of(tmp_path)
    write_cell(tmp_path, cell)
    render(tmp_path, ["html"])
    assert "No link was tested." not in text_of(tmp_path)


def test_damaged_journal_is_told_on_the_first_screen(tmp_path: Path) -> None:
    cell = exam(tmp_path, "one", {"link": "1000BASE-T"}, lost=False)
    write_run(tmp_path, run_info())
    write_cell(tmp_path, cell)
    journal = cell_dir(tmp_path, "one") / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"matches":12', b'"matches":13'))
    render(tmp_path, ["html"])
    whole = text_of(tmp_path)
    assert "Evidence is damaged" in whole[: whole.index("Cells at a glance")]
    journal.unlink()
    render(tmp_path, ["html"])
    assert "There is no journal" in text_of(tmp_path)
    journal.write_bytes(b"\x00\xff" * 500)
    render(tmp_path, ["html"])
    assert "The journal cannot be read" in text_of(tmp_path)


def test_steps_and_faults_are_found_in_the_journal_when_the_result_does_not_say(tmp_path: Path) -> None:
    cell = exam(tmp_path, "one", {"link": "100BASE-T"}, lost=True)
    bare = replace(
        cell,
        file="/home/somebody/project/scenarios/regression/x.yaml",
        steps=tuple(replace(step, start_seq=None, end_seq=None) for step in cell.steps),
        faults=tuple(replace(fault, armed_seq=None, fired_seq=None) for fault in cell.faults),
    )
    write_run(tmp_path, run_info())
    for each in (cell, bare):
        write_cell(tmp_path, each)
        render(tmp_path, ["html"])
        text = text_of(tmp_path, place("one"))
        assert "byte 400000 armed #42" in text
        assert "never happened" not in text
        assert "8 operator.query_worklist" in text
    for name in ("index.html", place("one")):
        assert "/home/somebody" not in (tmp_path / name).read_text(encoding="utf-8")
        assert "scenarios/regression/x.yaml:19" in text_of(tmp_path, name)


def test_a_long_journal_shows_its_beginning_and_all_that_is_referred_to(tmp_path: Path) -> None:
    writer = JournalWriter(cell_dir(tmp_path, "one") / "journal.jsonl", {})
    emit = writer.source("pacs", clock=iter(range(10_000)).__next__)
    for number in range(MAX_EVENTS + 2000):
        emit("bench.note", message=f"n{number}")
    seal = writer.close()
    last = MAX_EVENTS + 1500
    write_run(tmp_path, run_info())
    write_cell(
        tmp_path,
        CellResult(
            id="one", scenario="s", file="s.yaml", line=1, verdict=V.PASS, reason="r", seconds=1.0,
            expectations=(ExpectationResult(line=1, text="x", verdict=V.PASS, matched=(last, last + 9999)),),
            journal=JournalSeal(events=seal.events, last=seal.last),
        ),
    )  # fmt: skip
    render(tmp_path, ["html"])
    found = page(tmp_path, place("one"))
    assert f"c1-e{last}" in found.ids
    assert f"#c1-e{last}" in found.links
    assert f"#c1-e{last + 9999}" not in found.links
    assert f"c1-e{last - 1}" not in found.ids
    assert f"All events ({MAX_EVENTS + 1} of {MAX_EVENTS + 2000})" in text_of(tmp_path, place("one"))
