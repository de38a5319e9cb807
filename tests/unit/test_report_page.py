"""The page, JUnit and rendering again: made from a synthetic run folder that looks like a real night.

``python tests/unit/test_report_page.py FOLDER`` leaves that folder and its report to look at.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from bench.journal import JournalWriter
from bench.report import render
from bench.report.__main__ import main
from bench.report.cellview import MAX_EVENTS
from bench.results import (
    Artefact,
    Capture,
    CellResult,
    ClauseResult,
    Evidence,
    ExpectationResult,
    FaultResult,
    HostFacts,
    JournalSeal,
    LinkFidelity,
    NearMiss,
    PhaseTime,
    PlannedCell,
    Product,
    RunInfo,
    StepResult,
    StrictnessFinding,
    SutInfo,
    cell_dir,
    cell_folder,
    write_cell,
    write_run,
)
from bench.verdict import Verdict

V = Verdict
T0 = 5_000_000_000_000
EVIL = "<script>alert(1)</script>^../../x"
NAME = {"vr": "PN", "Value": [{"Alphabetic": EVIL}]}
DX = "1.2.840.10008.5.1.4.1.1.1.1"
MWL, MPPS = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"


def phantom() -> np.ndarray[Any, Any]:
    """Return a chest of sorts on 256 x 256: transmission, 0 (dense) to 1 (air)."""
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    image = np.ones((256, 256))
    image[(x / 0.8) ** 2 + (y / 0.95) ** 2 < 1] = 0.35
    for side in (-0.36, 0.36):
        image[((x - side) / 0.27) ** 2 + ((y + 0.05) / 0.62) ** 2 < 1] = 0.75
    image[np.abs(x) < 0.09] *= 0.6
    for k in range(8):
        image[(np.abs(y + 0.7 - 0.17 * k - 0.12 * x**2) < 0.022) & (np.abs(x) < 0.7)] *= 0.8
    image[((x - 0.12) / 0.3) ** 2 + ((y - 0.25) / 0.28) ** 2 < 1] *= 0.62
    image[8:40, 8:30] = 0.05  # a lead letter: tells left from right
    return image


def write_object(path: Path, truth: np.ndarray[Any, Any], uid: str, name: str) -> str:
    """Write a DX-like object of the truth, bones bright, and return the file's SHA-256."""
    rng = np.random.default_rng(3)
    big = np.kron(truth, np.ones((2, 2)))
    pixels = 16383 * (1 - big) + rng.normal(0, 250, big.shape)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = DX
    ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID, ds.PatientName = DX, uid, name
    ds.Rows = ds.Columns = 512
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 14, 13, 0
    ds.WindowCenter, ds.WindowWidth, ds.PresentationLUTShape = 8192, 16000, "IDENTITY"
    ds.PixelData = np.clip(pixels, 0, 16383).astype("<u2").tobytes()
    path.parent.mkdir(exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Story:
    """Writes the journal of one cell, at times of its own."""

    def __init__(self, folder: Path, cell: str) -> None:
        self.folder = folder
        self.writer = JournalWriter(folder / "journal.jsonl", {"cell": cell})
        self.t = T0
        self.numbers: dict[str, int] = {}
        self.steps: list[StepResult] = []
        self.expectations: list[ExpectationResult] = []
        self.step_t = self.t
        self.step_seq = 0
        self.assoc: dict[str, int] = {}

    def say(self, src: str, kind: str, ms: float = 1.0, /, **data: Any) -> int:
        self.t += int(ms * 1e6)
        self.numbers[src] = self.numbers.get(src, 0) + 1
        return self.writer.append(src, self.numbers[src], self.t, kind, data).seq

    def begin(self, line: int, text: str) -> None:
        self.step_seq = self.say("runner", "step.start", 2, index=len(self.steps), line=line, text=text)
        self.step_t = self.t
        self.now = (line, text)

    def end(self, verdict: Verdict = V.PASS, message: str | None = None) -> None:
        end = self.say("runner", "step.end", 1, index=len(self.steps), outcome=verdict.value)
        line, text = self.now
        took = (self.t - self.step_t) / 1e9
        self.steps.append(
            StepResult(
                index=len(self.steps), line=line, text=text, verdict=verdict, seconds=took, message=message,
                start_seq=self.step_seq, end_seq=end,
            )
        )  # fmt: skip

    def do(self, line: int, verb: str, ms: float = 40, **args: Any) -> None:
        self.begin(line, f"operator.{verb}")
        self.say("runner", "sut.request", 1, do=verb, args=args)
        self.t += int(ms * 1e6)

    def done(self, verb: str, ok: bool = True, error: str | None = None) -> None:
        self.say("runner", "sut.answer", 2, do=verb, ok=ok, error=error)
        self.end(V.PASS)

    def open(self, peer: str) -> int:
        self.assoc[peer] = n = self.assoc.get(peer, 0) + 1
        self.say(peer, "wire.open", 3, assoc=n, peer="10.77.0.10", port=104, role="acceptor")
        called = peer.upper()
        self.say(
            peer, "wire.associate", 2, assoc=n, calling="VXVUE", called=called, contexts=3, max_pdu=16384
        )
        return n

    def message(self, peer: str, n: int, way: str, field: str, ms: float = 2, **more: Any) -> int:
        return self.say(peer, "wire.message", ms, assoc=n, dir=way, field=field, msgid=1, context=1, **more)

    def close(self, peer: str, n: int) -> None:
        self.say(peer, "wire.release", 2, assoc=n, by="peer")
        self.say(peer, "wire.close", 1, assoc=n, by="peer", how="release", bytes_in=9000, bytes_out=700)

    def expect(
        self, line: int, text: str, within: float, seq: int | None, took: float | None = None, **more: Any
    ) -> None:
        self.begin(line, f"expect: {text}")
        verdict = V.PASS if seq is not None else V.FAIL
        if seq is None:
            self.t += int(within * 1e9)
        self.end(verdict)
        self.expectations.append(
            ExpectationResult(
                line=line, text=text, verdict=verdict, index=len(self.steps) - 1, within_s=within, measured_s=took,
                margin_s=within - took if took is not None else None, count_expected=1, count_seen=int(seq is not None),
                matched=(seq,) if seq is not None else (), **more,
            )
        )  # fmt: skip


def exam(run: Path, cell_id: str, axes: dict[str, str], lost: bool, pulled: bool = False) -> CellResult:
    """Tell one exam; with ``lost`` the association breaks in the image and the product never sends it again."""
    folder = cell_dir(run, cell_id)
    s = Story(folder, cell_id)
    s.say("runner", "cell.start", 0, scenario="store-after-lost-association", seed=7)
    s.say("runner", "clock.pair", 0, mono=T0, real=1_795_000_000_000_000_000, uncertainty=900)
    s.say("runner", "sut.started", 5, pid=4242, command="modality")
    s.say("runner", "sut.ready", 610)
    s.do(8, "query_worklist", date="20261121")
    n = s.open("ris")
    s.message("ris", n, "in", "C-FIND-RQ", sop_class=MWL)
    for _ in range(12):
        s.message("ris", n, "out", "C-FIND-RSP", 0.4, status=0xFF00)
    s.message("ris", n, "out", "C-FIND-RSP", status=0)
    s.say("ris", "ris.queried", 0, assoc=n, matches=12, status=0, calling="VXVUE")
    s.close("ris", n)
    s.done("query_worklist")
    s.do(9, "start_exam", AccessionNumber="A1")
    n = s.open("ris")
    s.message("ris", n, "in", "N-CREATE-RQ", sop_class=MPPS)
    created = s.say(
        "ris", "ris.mpps_created", 2, assoc=n, sop_instance="1.2.826.9.7", state="IN PROGRESS", status=0,
        dataset={"00100010": NAME},
    )  # fmt: skip
    s.message("ris", n, "out", "N-CREATE-RSP", status=0)
    s.close("ris", n)
    s.done("start_exam")
    s.expect(10, "ris.mpps_created", 10, created, 0.021, clauses=("VX-MPPS-NC-001",))
    armed = fired = None
    if lost:
        s.begin(11, "arm: pacs.abort on C-STORE-RQ at 400 kB")
        armed = s.say("pacs", "fault.armed", 1, id="f1", host="pacs", fault="abort")
        s.end()
    s.do(13, "expose", view="PA")
    s.say("generator", "generator.set", 1, kvp=110.0, ma=200.0, ms=12.5)
    for state in ("Prepared", "Integrating", "Readout", "Idle"):
        if state == "Integrating":
            s.say("panel", "panel.contact", 20, prep=True, expose=False)
            s.say("generator", "generator.state", 1, **{"from": "idle", "to": "prep"})
            s.say("generator", "generator.state", 480, **{"from": "prep", "to": "ready"})
            s.say("panel", "panel.contact", 60, prep=True, expose=True)
            s.say("world", "world.exposure", 9, kvp=110.0, ma=200.0, ms=12.5, mas=2.5, sid_mm=1800.0)
            s.say(
                "generator", "generator.exposure", 5, kvp=110.0, ma=200.0, ms=12.5, mas=2.5, truncated=False
            )
        s.say("detector", "detector.state", 14, **{"from": "x", "to": state})
    truth = phantom()
    (folder / "truth").mkdir()
    np.save(folder / "truth" / "frame-1.npy", truth.astype(np.float32))
    Image.fromarray((255 - truth * 255).astype(np.uint8)).save(folder / "truth" / "frame-1.png")
    raw = hashlib.sha256(truth.tobytes()).hexdigest()
    s.say(
        "detector", "detector.frame", 3, block=1, sha256=raw, width=3072, height=3072, format="Mono14", seed=7,
        truth="truth/frame-1.npy",
    )  # fmt: skip
    s.say(
        "detector", "detector.sent", 160, block=1, packets=2097, bytes=18_874_368, resent=3 if pulled else 0
    )
    uid = "1.2.826.0.1.3680043.9.1"
    s.say("modality", "modality.image", 210, sop_instance=uid, sha256="aa", raw_sha256=raw)
    s.done("expose")
    n = s.open("pacs")
    request = s.message("pacs", n, "in", "C-STORE-RQ", 5, sop_class=DX, sop_instance=uid, bytes=18_876_032)
    stored = None
    artefacts = [
        Artefact(kind="journal", path="journal.jsonl"),
        Artefact(kind="capture", path="wire.pcapng", bytes=64),
    ]
    (folder / "wire.pcapng").write_bytes(b"\x0a\x0d\x0d\x0a" * 16)
    if lost:
        fired = s.say("pacs", "fault.fired", 40, id="f1", host="pacs", fault="abort", where="byte 400000")
        s.say("pacs", "wire.abort", 1, assoc=n, by="pacs", source=0, reason=0)
        gone = s.say("pacs", "pacs.lost", 1, assoc=n, how="abort", pending="C-STORE-RQ")
        s.say("pacs", "wire.close", 1, assoc=n, by="pacs", how="reset", bytes_in=400000, bytes_out=400)
        warned = s.say(
            "modality", "modality.warning", 35, service="storage", peer="PACS", text=f"Send failed: {EVIL}"
        )
        s.expect(16, "modality.warning", 120, warned, 0.036, clauses=("VX-STO-004",))
        s.do(18, "send")
        s.done("send", ok=False, error="queue is empty")
        s.expect(
            19, "pacs.stored {AccessionNumber: A1}", 30, None, clauses=("VX-STO-007",),
            message="No pacs.stored arrived within 30 s.",
            nearest=(NearMiss(seq=request, why="C-STORE-RQ of this instance began, but 18.5 MB were missing"),
                     NearMiss(seq=gone, why="pacs.lost, not pacs.stored")),
        )  # fmt: skip
    else:
        if pulled:
            s.say("runner", "link.pulled", 40, link="pacs")
            s.say("runner", "link.plugged", 4000, link="pacs")
        sha = write_object(folder / "objects" / "1.dcm", truth, uid, EVIL)
        artefacts.append(Artefact(kind="object", path="objects/1.dcm", sha256=sha, bytes=2_097_000))
        stored = s.say(
            "pacs", "pacs.stored", 180, assoc=n, msgid=1, sop_class=DX, sop_instance=uid, sha256=sha,
            object="objects/1.dcm", bytes=18_876_032,
            dataset={"00100010": NAME, "00080050": {"vr": "SH", "Value": ["A1"]}},
        )  # fmt: skip
        s.message("pacs", n, "out", "C-STORE-RSP", status=0)
        s.close("pacs", n)
        s.expect(
            19, "pacs.stored {AccessionNumber: A1}", 5 if pulled else 30, stored, 4.26 if pulled else 0.24
        )
        s.do(21, "complete")
        n = s.open("ris")
        s.message("ris", n, "in", "N-SET-RQ", sop_class=MPPS)
        s.say("ris", "ris.mpps_set", 1, assoc=n, sop_instance="1.2.826.9.7", state="COMPLETED", status=0)
        s.message("ris", n, "out", "N-SET-RSP", status=0)
        s.close("ris", n)
        s.done("complete")
    s.say("runner", "clock.pair", 0, mono=s.t, real=1_795_000_000_000_000_000 + s.t - T0, uncertainty=800)
    s.say("runner", "cell.end", 1)
    seal = s.writer.close()
    total = (s.t - T0) / 1e9
    strictness: tuple[StrictnessFinding, ...] = ()
    faults: tuple[FaultResult, ...] = ()
    if lost:
        strictness = (StrictnessFinding(seq=created, kind="pacs.lost", message="no expectation, no allow:"),)
        faults = (
            FaultResult(
                id="f1",
                host="pacs",
                fault="abort",
                line=11,
                armed_seq=armed,
                fired_seq=fired,
                where="byte 400000",
            ),
        )
    resent = ("Not stored again.", V.FAIL) if lost else ("Stored.", V.PASS)
    evidence = (
        Evidence(seq=stored, tag="(0010,0010)") if stored else Evidence(seq=request, frame=1042, pdu=17),
    )
    return CellResult(
        id=cell_id,
        scenario="store-after-lost-association" if lost else "one-exam",
        file="scenarios/regression/store-after-lost-association.yaml" if lost else "scenarios/regression/one-exam.yaml",
        line=1,
        title="Association lost in the middle of an image" if lost else "One exam, end to end",
        axes=axes,
        verdict=V.FAIL if lost else V.PASS,
        reason="The image was not stored within 30 s after the operator sent it again."
        if lost
        else "All expectations were met.",
        seconds=total,
        seed=7,
        start="2026-11-21T02:00:05+00:00",
        phases=(
            PhaseTime(name="links and capture", seconds=0.12, start_s=0),
            PhaseTime(name="calibration", seconds=0.2),
            PhaseTime(name="start of the SUT", seconds=0.61),
            PhaseTime(name="exam", seconds=total * 0.5),
            PhaseTime(name="waiting", seconds=total * 0.2),
        ),
        steps=tuple(s.steps),
        expectations=tuple(s.expectations),
        strictness=strictness,
        faults=faults,
        links=(
            LinkFidelity(
                name="modality", backend="veth", mode=axes["link"], nominal_mbps=94.1, measured_mbps=93.2,
                cannot_prove=("copper, autonegotiation", "the product's own network driver"),
                capture=Capture(file="wire.pcapng", packets=20_411, dropped=0),
            ),
            LinkFidelity(name="detector", backend="veth", mode="1000BASE-T", nominal_mbps=941.5, measured_mbps=934.0),
        ),
        clauses=(
            ClauseResult(id="VX-STO-004", verdict=V.PASS, reason="The operator was warned.", evidence=evidence),
            ClauseResult(id="VX-STO-007", verdict=resent[1], reason=resent[0]),
            ClauseResult(id="VX-MPPS-NC-001", verdict=V.PASS_ERRATUM, reason="Created as the erratum reads it."),
            *(ClauseResult(id=f"VX-STO-DX-{i:03}", verdict=V.NOT_EXERCISED if i > 9 else V.PASS) for i in range(1, 15)),
        ),
        artefacts=tuple(artefacts),
        journal=JournalSeal(events=seal.events, last=seal.last),
        repeat=f"modbench run scenarios/regression/one-exam.yaml --matrix link={axes['link']} --seed 7",
    )  # fmt: skip


def run_info(**more: Any) -> RunInfo:
    return RunInfo(
        run_id="2026-11-21T02-00-00-seed7",
        product=Product(
            name="VXvue",
            serial="VX-0042",
            version="3.8.1",
            statement="VXvue DICOM Conformance Statement, 2022 edition",
        ),
        tester="night bench 3",
        start="2026-11-21T02:00:00+00:00",
        end="2026-11-21T02:04:11+00:00",
        seed=7,
        sut=SutInfo(adapter="reference", description="python -m modality vxvue", ae_title="VXVUE"),
        host=HostFacts(system="Linux", kernel="6.18", machine="x86_64", python="3.11.7", cpu_count=2),
        versions={"modality-bench": "0.1.0", "pydicom": "3.0.2"},
        command="modbench run scenarios/regression",
        **more,
    )


def make_run(folder: Path) -> Path:
    """Write a run folder with three cells: one fails, one is lost, one cannot run here, the rest pass."""
    cells = [
        exam(folder, "one-exam-1000", {"link": "1000BASE-T"}, lost=False),
        exam(folder, "lost-100", {"link": "100BASE-T", "charset": "ISO_IR 192"}, lost=True),
        exam(folder, "short-pull-100", {"link": "100BASE-T"}, lost=False, pulled=True),
    ]
    cells[2] = replace(cells[2], title="A short pull that TCP heals", scenario="short-pull")
    planned = [PlannedCell(id=c.id, scenario=c.scenario, file=c.file, line=1, title=c.title) for c in cells]
    planned.append(
        PlannedCell(
            id="ris-down",
            scenario="ris-down",
            file="scenarios/regression/ris-down.yaml",
            line=1,
            title="RIS down",
        )
    )
    for cell in cells:
        write_cell(folder, cell)
    idle = CellResult(
        id="netns-only", scenario="byte-pull", file="scenarios/regression/byte-pull.yaml", line=1, seconds=0,
        verdict=V.NOT_EXERCISED, reason="It needs network namespaces.", not_runnable="needs network namespaces",
    )  # fmt: skip
    write_cell(folder, idle)
    write_run(folder, run_info(planned=tuple(planned)))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"))
    render(folder)
    return folder


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: dict[str, int] = {}
        self.sources: list[str] = []
        self.events: list[str] = []
        self.stack: list[str] = []
        self.unbalanced: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in ("meta", "img", "input", "br", "link", "path", "line", "rect", "circle", "hr"):
            self.stack.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "xlink:href"):
                self.links.append(value or "")
            elif name in ("src", "data", "action", "srcset"):
                self.sources.append(value or "")
            elif name.startswith("on"):
                self.events.append(name)

    def handle_endtag(self, tag: str) -> None:
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()
        elif tag not in ("path", "line", "rect", "circle"):
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def text_of(folder: Path) -> str:
    return " ".join(" ".join(page(folder).texts).split())


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
    found = page(run)
    assert len(found.ids) == len(set(found.ids))
    for link in found.links:
        if link.startswith("#"):
            assert link[1:] in found.ids, link
        else:
            assert (run / link).resolve().is_relative_to(run.resolve())
            assert (run / link).is_file(), link
    assert sum(link.startswith("cells/") for link in found.links) >= 8
    assert found.stack == []
    assert found.unbalanced == []


def test_every_measured_number_links_to_its_event(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    links = page(run).links
    for number, cell in enumerate(results["cells"], 1):
        for expectation in cell["expectations"]:
            for seq in expectation["matched"]:
                assert f"#c{number}-e{seq}" in links
        for fault in cell["faults"]:
            assert f"#c{number}-e{fault['fired_seq']}" in links


def test_page_needs_no_network_and_runs_only_its_own_script(run: Path) -> None:
    text = (run / "index.html").read_text(encoding="utf-8")
    found = Page(text)
    assert found.tags["script"] == 1
    assert "link" not in found.tags
    assert found.events == []
    assert found.sources
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
    text = (run / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;^../../x" in text
    for link in page(run).links:
        assert ".." not in link


def test_pictures_stand_side_by_side_with_their_correlation(run: Path) -> None:
    whole = text_of(run)
    assert page(run).tags["img"] == 4
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
    own = {"results.json", "junit.xml"}
    for link in page(tmp_path).links:
        assert link.startswith(("#", "cells/one/")) or link in own, link
        assert not any(path in link for path in paths), link


@pytest.mark.parametrize(
    "value", [EVIL, "a\x00b\x1b[31m", "\u202egnp.exe", "\ud800", "]]>", '"><svg onload=x>', "{{ 7*7 }}"]
)
def test_any_text_in_any_place_is_harmless(tmp_path: Path, value: str) -> None:
    write_run(tmp_path, replace(run_info(remarks=(value,), errors=(value,)), tester=value, run_id=value))
    writer = JournalWriter(cell_dir(tmp_path, value) / "journal.jsonl", {})
    emit = writer.source(value)
    for kind in (
        "pacs.stored",
        "modality.warning",
        "wire.message",
        "wire.associate",
        "sut.request",
        "bench.error",
    ):
        emit(
            kind,
            text=value,
            field=value,
            assoc=1,
            dir="in",
            message=value,
            sop_instance=value,
            args={value: value},
        )
    seal = writer.close()
    proof = Evidence(note=value, sha256=value)
    write_cell(
        tmp_path,
        CellResult(
            id=value, scenario=value, file=value, line=1, verdict=V.FAIL, reason=value, seconds=1.0, title=value,
            axes={value: value}, repeat=value, remarks=(value,), errors=(value,),
            steps=(StepResult(index=0, line=1, text=value, verdict=V.FAIL, message=value, start_seq=1, end_seq=2),),
            expectations=(ExpectationResult(line=1, text=value, verdict=V.FAIL, message=value, matched=(1,)),),
            clauses=(ClauseResult(id=value, verdict=V.FAIL, reason=value, evidence=(proof,)),),
            links=(LinkFidelity(name=value, backend=value, mode=value, cannot_prove=(value,)),),
            phases=(PhaseTime(name=value, seconds=0.5),),
            journal=JournalSeal(events=seal.events, last=seal.last),
        ),
    )  # fmt: skip
    render(tmp_path)
    found = page(tmp_path)
    assert found.tags["script"] == 1
    assert found.events == []
    assert found.unbalanced == []
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not set(text) & {"\x00", "\x1b", "\u202e"}
    if value == "{{ 7*7 }}":
        assert "{{ 7*7 }}" in text
    ET.parse(tmp_path / "junit.xml")
    json.loads((tmp_path / "results.json").read_text())


def test_an_empty_run_is_a_page_too(tmp_path: Path) -> None:
    write_run(tmp_path, run_info())
    render(tmp_path)
    assert "Nothing was run." in text_of(tmp_path)


def test_rendering_again_gives_the_same_files(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (run / name).read_bytes() for name in ("index.html", "junit.xml", "results.json")}
    for name in before:
        (run / name).unlink()
    assert main([str(run)]) == 0
    assert len(capsys.readouterr().out.split()) == 3
    assert {name: (run / name).read_bytes() for name in before} == before


def test_a_page_alone_has_all_pictures_and_no_links_to_files(run: Path, tmp_path: Path) -> None:
    assert main([str(run), "--alone", str(tmp_path / "index.html")]) == 0
    found = page(tmp_path)
    assert found.tags["img"] == page(run).tags["img"]
    assert found.links
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert "objects/1.dcm" in text_of(tmp_path)


def test_only_the_wanted_formats_are_written(tmp_path: Path) -> None:
    write_run(tmp_path, run_info())
    assert set(render(tmp_path, ["junit"])) == {"junit"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["junit.xml", "run.json"]
    with pytest.raises(ValueError, match="docx"):
        render(tmp_path, ["docx"])


def test_a_folder_without_a_run_is_exit_2_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "run.json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_report_has_no_linux_only_or_slow_import() -> None:
    code = (
        "import sys; import bench.report.html, bench.report.junit, bench.journal, bench.results;"
        "bad = {'fcntl','termios','pyroute2','scapy','pynetdicom','pydicom','PIL','resource','pwd'} & set(sys.modules);"
        "bad |= {m for m in sys.modules if m.startswith(('simulators','modality.','bench.runner','bench.links'))};"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


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
        text = text_of(tmp_path)
        assert "byte 400000 armed #42" in text
        assert "never happened" not in text
        assert "8 operator.query_worklist" in text
    assert "/home/somebody" not in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "scenarios/regression/x.yaml:19" in text


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
    found = page(tmp_path)
    assert f"c1-e{last}" in found.ids
    assert f"#c1-e{last}" in found.links
    assert f"#c1-e{last + 9999}" not in found.links
    assert f"c1-e{last - 1}" not in found.ids
    assert f"All events ({MAX_EVENTS + 1} of {MAX_EVENTS + 2000})" in text_of(tmp_path)


def test_a_mistake_of_ours_costs_one_cell_not_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("<oops>")

    monkeypatch.setattr("bench.report.cellview.ladder", broken)
    write_run(tmp_path, run_info())
    write_cell(tmp_path, exam(tmp_path, "one", {"link": "100BASE-T"}, lost=True))
    render(tmp_path, ["html"])
    whole = text_of(tmp_path)
    assert "What this cell left could not be shown: RuntimeError: <oops>" in whole
    assert "The image was not stored within 30 s" in whole


def test_cells_of_the_demonstration_have_safe_folders(run: Path) -> None:
    assert sorted(p.name for p in (run / "cells").iterdir()) == sorted(
        cell_folder(name) for name in ("one-exam-1000", "lost-100", "short-pull-100", "netns-only")
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    make_run(target)
    print(*render(target).values(), sep="\n")
    sys.exit()
