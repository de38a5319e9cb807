"""A synthetic run folder that looks like a real night, for the tests of reports.

``python tests/unit/report_story.py FOLDER`` leaves that folder and its report to look at.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from bench.journal import JournalWriter
from bench.report import render
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
CELLS = ("one-exam-1000", "lost-100", "short-pull-100", "ris-down", "netns-only")
"""The cells of :func:`make_run` in the order of the report."""


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


def page(folder: Path, name: str = "index.html") -> Page:
    return Page((folder / name).read_text(encoding="utf-8"))


def text_of(folder: Path, name: str = "index.html") -> str:
    return " ".join(" ".join(page(folder, name).texts).split())


def place(cell: str) -> str:
    """Return the path of a cell's page in its run folder."""
    return f"cells/{cell_folder(cell)}/cell.html"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    make_run(target)
    print(*render(target).values(), sep="\n")
