"""Text of strangers (names, file names, AE titles, barcodes, labels) in pages, JUnit, PDF and on the terminal.

Each is hostile in the language of one of them; what they say must be legible everywhere and act nowhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.journal import JournalWriter
from bench.progress import LiveObserver, PlainObserver
from bench.report import render
from bench.report.pdf import available, pdf
from bench.report.text import visible
from bench.resultmodel import JudgeLine, JudgeOpinion
from bench.results import (
    Artefact,
    CellResult,
    ClauseResult,
    Evidence,
    ExpectationResult,
    FaultResult,
    JournalSeal,
    LinkFidelity,
    NearMiss,
    PhaseTime,
    StepResult,
    StrictnessFinding,
    VolumeFidelity,
    cell_dir,
    collect,
    write_cell,
    write_run,
)
from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.format import format_image
from tests.unit.report_story import CELLS, EVIL, Page, V, exam, make_run, page, place, run_info

HOSTILE = {
    "tag": EVIL,
    "attribute": '"><svg onload=x>',
    "entity": "&lt;b&gt;&#x41;&amp;",
    "cdata": "]]><failure/>",
    "template": "{{ 7*7 }}{% raw %}",
    "typst": '#eval("1+1") #import "x.typ"; $x$ *bold* _it_ <label> @ref [a] // c \\ ```raw```',
    "rich": "[bold red]x[/bold red] [link=http://x]y[/link]",
    "escape": "a\x00b\x1b[31m\x1b]0;title\x07\x1b[2J\rgone\x08",
    "c1": "\x9b31m\x9d0;t\x9c",
    "direction": "\u202egnp.exe\u2066",
    "hidden": "0047\u200d11\u00ad\u2061\U000e0041",
    "half": "\ud800",
    "lines": "PASS\n::error::x\r\nFAIL",
    "address": "javascript:alert(1)",
}
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff]")
"""What no page, file or terminal may get: control, direction and half characters."""

each_hostile = pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"))
    render(folder)
    return folder


def hostile_cell(folder: Path, value: str) -> CellResult:
    """Write what a cell leaves whose every text is one of a stranger, and return its result."""
    writer = JournalWriter(cell_dir(folder, value) / "journal.jsonl", {})
    emit = writer.source(value)
    for kind in (
        *(
            "pacs.stored",
            "pacs.lost",
            "wire.message",
            "wire.associate",
            "sut.request",
            "sut.answer",
            "bench.error",
        ),
        *("modality.warning", "panel.barcode", "ultrasound.refused", "ultrasound.set", "ultrasound.probe"),
        *(
            "volume.inserted",
            "volume.refused",
            "modality.media",
            "fault.armed",
            "link.pulled",
            "generator.fault",
        ),
    ):
        emit(
            kind, text=value, field=value, assoc=1, dir="in", message=value, sop_instance=value, args={value: value},
            calling=value, called=value, reason=value, why=value, label=value, format=value, probe=value, mode=value,
            volume=value, action=value, error=value, id=value, host=value, fault=value, link=value, what=value,
        )  # fmt: skip
    seal = writer.close()
    proof = Evidence(note=value, sha256=value, tag=value)
    line = JudgeLine(severity="error", text=value, standing="open", why=value)
    return CellResult(
        id=value, scenario=value, file=value, line=1, verdict=V.FAIL, reason=value, seconds=1.0, title=value,
        axes={value: value}, repeat=value, remarks=(value,), errors=(f"the bench: {value}",),
        steps=(StepResult(index=0, line=1, text=value, verdict=V.FAIL, message=value, start_seq=1, end_seq=2),),
        expectations=(
            ExpectationResult(
                line=1, text=value, verdict=V.FAIL, message=value, matched=(1,),
                nearest=(NearMiss(seq=1, why=f"not {value}"),),
            ),
        ),
        strictness=(StrictnessFinding(seq=1, kind=value, message=value),),
        faults=(FaultResult(id=value, host=value, fault=value, where=value),),
        clauses=(ClauseResult(id=value, verdict=V.FAIL, reason=value, title=value, evidence=(proof,)),),
        links=(LinkFidelity(name=value, backend=value, mode=value, cannot_prove=(value,)),),
        volumes=(VolumeFidelity(name=value, backend=value, filesystem=value, cannot_prove=(value,)),),
        opinions=(JudgeOpinion(judge=value, object=value, kind=value, lines=(line,)),),
        artefacts=(Artefact(kind="other", path=value, label=value),),
        phases=(PhaseTime(name=value, seconds=0.5),),
        journal=JournalSeal(events=seal.events, last=seal.last),
    )  # fmt: skip


@each_hostile
def test_pages_and_junit_show_it_and_do_nothing(tmp_path: Path, value: str) -> None:
    write_run(tmp_path, replace(run_info(remarks=(value,), errors=(value,)), tester=value, run_id=value))
    write_cell(tmp_path, hostile_cell(tmp_path, value))
    render(tmp_path)
    shown = visible(value, lines=True)
    names = ["index.html", place(value)]
    for name in names:
        text = (tmp_path / name).read_text(encoding="utf-8")
        found = Page(text)
        assert found.tags["script"] == 1
        assert not {"iframe", "object", "failure", "b onload"} & set(found.tags)
        assert found.events == []
        assert found.unbalanced == []
        assert not ACTING.search(text)
        assert shown in "".join(found.texts)
        for link in found.links:
            assert link.startswith(
                ("#", "cells/", "../../index.html#", "../../index.html", "journal.jsonl")
            ) or (link in ("results.json", "junit.xml")), link
    junit = (tmp_path / "junit.xml").read_text(encoding="utf-8")
    assert not ACTING.search(junit)
    top = ET.fromstring(junit)
    assert len(list(top.iter("failure"))) == 2, "one of the cell, one of its clause"
    assert top.findtext("testsuite/testcase/system-out") == shown
    (case, *_) = top.iter("testcase")
    assert case.get("name") == visible(value)
    json.loads((tmp_path / "results.json").read_text())


@each_hostile
def test_a_terminal_shows_it_and_does_nothing(tmp_path: Path, value: str) -> None:
    """Names with escape sequences would repaint the terminal, or hide the line above."""
    result = hostile_cell(tmp_path, value)
    cell = SimpleNamespace(id=value, scenario=SimpleNamespace(name=value))
    for kind in (PlainObserver, LiveObserver):
        written = io.StringIO()
        console = Console(file=written, width=4000, highlight=False, color_system=None, force_terminal=False)
        observer = kind(console, 1)
        observer.started(cell)
        for news in ({"await": value, "within": 3.0}, {"line": 7, "text": value}, {"phase": value}):
            observer.progress(cell, news)
            if isinstance(observer, LiveObserver):
                console.print(observer._render())
        observer.finished(cell, result)
        text = written.getvalue()
        assert not ACTING.search(text), ascii(text)
        assert visible(value) in text
        assert "\n::error" not in text, "no line of a stranger's own: build servers read such as orders"


@pytest.mark.skipif(not available(), reason="the extra 'pdf' (typst) is not installed")
@pytest.mark.witness
def test_the_pdf_shows_it_and_does_nothing(tmp_path: Path) -> None:
    """Typst's own markup, and everything else, in every text of a report at once."""
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    info = run_info(remarks=tuple(HOSTILE.values()), errors=tuple(HOSTILE.values()))
    write_run(tmp_path, replace(info, tester=HOSTILE["typst"], run_id=HOSTILE["typst"]))
    for value in HOSTILE.values():
        write_cell(tmp_path, hostile_cell(tmp_path, value))
    (tmp_path / "r.pdf").write_bytes(pdf(collect(tmp_path, write=False)))
    done = subprocess.run(
        [tool, "-raw", str(tmp_path / "r.pdf"), "-"], capture_output=True, check=True, timeout=60
    )
    text = re.sub(r"\s+", "", done.stdout.decode("utf-8"))
    for value in HOSTILE.values():
        # fonts join some letters and lack some signs; every word of plain letters must be there
        for word in re.findall(r"[A-Za-z0-9#$*_@<>(){}/%]{3,}", visible(value)):
            assert word in text, word
    assert not ACTING.search(text)
    uses = subprocess.run(["strings", str(tmp_path / "r.pdf")], capture_output=True, timeout=60).stdout
    assert b"/URI" not in uses
    assert b"/JavaScript" not in uses


def test_names_on_a_medium_are_shown_and_do_nothing(tmp_path: Path) -> None:
    """A directory entry can hold bytes that no file system would write."""
    folder = cell_dir(tmp_path, "one")
    image = folder / "media" / "usb.img"
    image.parent.mkdir()
    format_image(image, size=16 << 20, fat="FAT16", label="EVIL")
    device = BlockDevice(image, 16 << 20)
    volume = FatVolume.mount(device)
    volume.close(volume.create("/PLAINNAM.TXT"))
    volume.unmount()
    device.close()
    raw = image.read_bytes()
    assert raw.count(b"PLAINNAMTXT") == 1
    image.write_bytes(
        raw.replace(b"PLAINNAMTXT", b'<I>\x1b[2JA&"').replace(b"EVIL       ", b"<U>\x1b[2J\x07   ")
    )
    cell = replace(exam_like("one"), volumes=(VolumeFidelity(name="usb", backend="fuse"),))
    write_run(tmp_path, run_info())
    write_cell(tmp_path, cell)
    JournalWriter(folder / "journal.jsonl", {}).close()
    render(tmp_path, ["html"])
    found = page(tmp_path, place("one"))
    text = (tmp_path / place("one")).read_text(encoding="utf-8")
    assert not ACTING.search(text)
    assert "<I>" not in text
    assert "What is on the medium" in " ".join(found.texts)
    shown = "".join(found.texts)
    assert "<I>␛[2JA.&" in shown
    assert "<U>␛[2J␇" in shown
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "&lt;U&gt;␛[2J␇" in index
    assert not ACTING.search(index)


def exam_like(name: str) -> CellResult:
    return CellResult(id=name, scenario="s", file="s.yaml", line=1, verdict=V.PASS, reason="r", seconds=1.0)


def test_links_never_leave_the_cell(tmp_path: Path) -> None:
    cell = exam(tmp_path, "one", {"link": "1000BASE-T"}, lost=False)
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    (cell_dir(tmp_path, "one") / "escape").symlink_to(secret)
    paths = (
        "../../secret.txt",
        "/etc/passwd",
        "C:/x",
        "escape",
        "no-such-file",
        "a/../../../secret.txt",
        "javascript:x",
    )
    write_run(tmp_path, run_info())
    write_cell(tmp_path, replace(cell, artefacts=tuple(Artefact(kind="other", path=path) for path in paths)))
    render(tmp_path, ["html"])
    own = {"results.json", "junit.xml", "journal.jsonl", "objects/1.dcm"}
    for name, start in (("index.html", "cells/one/cell.html"), (place("one"), "../../index.html")):
        for link in page(tmp_path, name).links:
            assert link.startswith(("#", start)) or link in own, link
            assert not any(path in link for path in paths), link


@pytest.mark.parametrize("name", ["index.html", *map(place, CELLS)])
def test_page_needs_no_network_and_runs_only_its_own_script(run: Path, name: str) -> None:
    text = (run / name).read_text(encoding="utf-8")
    found = Page(text)
    assert found.tags["script"] == 1
    assert "link" not in found.tags
    assert found.events == []
    assert bool(found.sources) == (name in (place("one-exam-1000"), place("short-pull-100")))
    assert all(source.startswith("data:image/png;base64,") for source in found.sources)
    outside = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert outside == set()
    policy = re.search(r"script-src 'sha256-([^']+)'", text)
    script = re.search(r"<script>(.*)</script>", text, re.S)
    assert policy
    assert script
    digest = hashlib.sha256(script.group(1).encode()).digest()
    assert html.unescape(policy.group(1)) == base64.b64encode(digest).decode()


def test_names_of_strangers_are_shown_and_do_nothing(run: Path) -> None:
    text = (run / place("lost-100")).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;^../../x" in text
