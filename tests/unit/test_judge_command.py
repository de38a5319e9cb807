"""``modbench judge`` from the command line: JSON, report, exit codes, bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from bench.judge.output import faults
from bench.resultmodel import ClauseResult, Evidence
from bench.results import read_results, read_run
from bench.verdict import Verdict
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import DataSet
from tests.lab.products.facts import PERSONS, Exam
from tests.lab.products.vxvue import PACS, RIS, VXvue

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A right exam."""
    lab = Lab()
    exam(lab)
    return lab.write(tmp_path / "good.pcapng")


def exam(lab: Lab) -> None:
    VXvue(lab).exam(Exam(next(iter(PERSONS.values()))), mwl=RIS, mpps=RIS, storage=[PACS])


def without_patient_id(out: Outgoing) -> None:
    """One seeded defect."""
    if out.name == "C-STORE-RQ" and isinstance(out.dataset, DataSet):
        out.dataset.drop("PatientID")


def judge(*arguments: object) -> int:
    return main(["judge", *map(str, arguments)])


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def test_the_json_has_every_clause_in_the_order_of_the_statement(good: Path, tmp_path: Path) -> None:
    """DESIGN's keys first; all clauses, defaults and rules; the choice of the SUT with its reason."""
    code = judge(good, "--statement", "vxvue", "--json", tmp_path / "out.json")
    found = read(tmp_path / "out.json")
    assert list(found)[:4] == ["statement", "clauses", "messages", "bytes"]
    assert found["statement"] == "vxvue"
    assert found["messages"] > 4
    assert found["bytes"] == good.stat().st_size
    assert found["sut"]["address"] == "10.0.0.5"
    assert "most associations" in found["sut"]["why"]
    ids = [clause["id"] for clause in found["clauses"]]
    assert ids[0] == "VX-GEN-001"
    assert len(ids) == len(set(ids))
    assert sum(id.startswith("VX-") and not id.startswith("VX-D-") for id in ids) == 569
    kinds = [0 if id.startswith("VX-") else 1 for id in ids]
    assert kinds == sorted(kinds), "rules of the standard come last"
    assert not [c for c in found["clauses"] if c["verdict"] in ("FAIL", "ERROR")]
    assert code in (0, 1)


def test_a_defect_is_named_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; the clause, the frame, the message, and the elements around the absent one."""
    lab = Lab()
    lab.edit(without_patient_id)
    exam(lab)
    capture = lab.write(tmp_path / "bad.pcap")
    assert judge(capture, "--statement", "vxvue", "--json", tmp_path / "out.json") == 1
    found = read(tmp_path / "out.json")
    failed = {c["id"]: c for c in found["clauses"] if c["verdict"] == "FAIL"}
    assert failed
    evidence = next(e for c in failed.values() for e in c["evidence"] if "excerpt" in e)
    assert evidence["frame"]
    assert evidence["what"].startswith("C-STORE-RQ")
    marked = [line for line in evidence["excerpt"] if line.get("marked")]
    assert [(line["tag"], line["value"]) for line in marked] == [("(0010,0020)", "absent")]
    assert {id for group in found["faults"] for id in group} == set(failed)
    told = capsys.readouterr().out
    assert all(id in told for id in list(failed)[:3])
    assert f"{len(failed)} FAIL" in told


def test_several_captures_are_judged_as_one(tmp_path: Path) -> None:
    """Also compressed; a place names the file and the frame in it."""
    first, second = Lab(), Lab()
    second.time += 3600
    second._port = 51000
    second.edit(without_patient_id)
    for lab in (first, second):
        exam(lab)
    paths = [second.write(tmp_path / "late.pcapng.gz"), first.write(tmp_path / "early.pcap")]
    assert judge(*paths, "--statement", "vxvue", "--who", "VXVUE", "--json", tmp_path / "out.json") == 1
    found = read(tmp_path / "out.json")
    assert found["captures"][0]["files"] == ["early.pcap", "late.pcapng.gz"]
    clause = next(c for c in found["clauses"] if c["id"] == "VX-STO-DX-002")
    assert clause["verdict"] == "FAIL"
    assert "of late.pcapng.gz" in clause["evidence"][0]["note"]


def test_a_report_is_written(good: Path, tmp_path: Path) -> None:
    """The report of a capture is that of a run with one cell, and says that it may name patients."""
    folder = tmp_path / "report"
    judge(good, "--statement", "vxvue", "--html", folder)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "good" in page
    assert "may name patients" in page
    assert "Evidence is damaged" not in page, "a capture from the field has no journal"
    assert "No link was tested" not in page
    results = read_results(folder / "results.json")
    assert [cell.id for cell in results.cells] == ["good"]
    assert results.run.origin == "capture"
    assert "patients" in results.run.remarks[0]
    assert len(results.clauses) > 569
    assert read_run(folder).statement == "vxvue"
    assert results.cells[0].wire is not None
    assert results.cells[0].wire.sut == "10.0.0.5"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p / "none.pcap", "there is no such file or folder"),
        (lambda p: _write(p / "text.pcap", b"hello, world\n" * 50), "text.pcap"),
        (lambda p: _write(p / "empty.pcap", b""), "empty.pcap"),
        (lambda p: _write(p / "stick.img", b"\0" * 512), "neither a partition table nor a FAT file system"),
        (lambda p: p, "neither a run folder"),
    ],
)
def test_bad_input_is_one_sentence(
    make: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and no traceback."""
    assert judge(make(tmp_path), "--statement", "vxvue", "--json", tmp_path / "out.json") == 2
    assert said in capsys.readouterr().err


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_what_cannot_be_judged_is_told_in_json_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A capture without DICOM: what was spoken instead."""
    lab = Lab()
    stream = lab.connect("10.0.0.5", "10.0.0.9", 104)
    stream.add(lab.time + 0.01, 0, "data", bytes.fromhex("1603010200010001fc0303") + bytes(400))
    capture = lab.write(tmp_path / "tls.pcapng")
    assert judge(capture, "--statement", "vxvue", "--json", tmp_path / "out.json") == 2
    said = capsys.readouterr().err
    assert "frame" in said
    found = read(tmp_path / "out.json")
    assert found["clauses"] == []
    assert "tls" in found["error"].lower()


def test_configuration_statement_and_deviations_are_checked(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Faults of every file that a person writes are file:line and exit code 2."""
    config = _write(tmp_path / "c.yaml", b"reciever: true\n")
    assert judge(good, "--statement", "vxvue", "--config", config) == 2
    assert "c.yaml:1:" in capsys.readouterr().err
    known = _write(tmp_path / "d.yaml", b"- {id: VX-NO-1}\n")
    assert judge(good, "--statement", "vxvue", "--deviations", known) == 2
    assert "d.yaml:1:" in capsys.readouterr().err
    assert judge(good, "--statement", "vxvu") == 2
    capsys.readouterr()
    assert judge(good) == 2
    assert "--statement" in capsys.readouterr().err
    assert judge(good, "--statement", "vxvue", "--who", "NOBODY") == 2
    assert "NOBODY" in capsys.readouterr().err


def test_rows_on_the_same_evidence_are_one_fault() -> None:
    """Ruling A4: a person sees one fault."""

    def failed(id: str, **place: Any) -> ClauseResult:
        return ClauseResult(id=id, verdict=Verdict.FAIL, evidence=(Evidence(**place),))

    rows = [
        failed("A", association=1, message=2, tag="(0010,0020)", frame=9),
        failed("B", association=1, message=2, tag="(0010,0010)", frame=9),
        failed("C", association=1, message=2, tag="(0010,0020)", frame=9),
        failed("D", frame=9),
        ClauseResult(id="E", verdict=Verdict.PASS),
    ]
    assert [[row.id for row in group] for group in faults(rows)] == [["A", "C"], ["B"], ["D"]]


def test_judging_imports_nothing_of_linux_and_no_dicom_toolkit(good: Path, tmp_path: Path) -> None:
    """A service engineer judges on a Windows laptop; the witness shares nothing with the SUT's stack."""
    code = (
        "import sys\n"
        "for name in ('fcntl', 'resource', 'pyroute2', 'termios', 'pwd', 'grp', 'scapy', 'pynetdicom'):\n"
        "    sys.modules[name] = None\n"
        "from bench.cli import main\n"
        f"code = main(['judge', {str(good)!r}, '--statement', 'vxvue', '--html', {str(tmp_path / 'html')!r}])\n"
        "assert code in (0, 1), code\n"
        "live = ('bench.runner', 'bench.links', 'bench.sandbox', 'bench.zygote', 'bench.sut', 'bench.session',\n"
        "        'modality', 'pydicom', 'simulators.dicom')\n"
        "bad = [m for m in sys.modules if m.startswith(live)]\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


def test_judge_and_witness_name_nothing_live() -> None:
    """Not even where an import is late."""
    bad = re.compile(
        r"^\s*(?:from|import) (?:bench\.(?:runner|links|sandbox|zygote|sut|session)|modality|pydicom|pynetdicom)\b",
        re.M,
    )
    files = [*(ROOT / "bench" / "judge").rglob("*.py"), *(ROOT / "bench" / "witness").rglob("*.py")]
    assert len(files) > 20
    assert not [file.name for file in files if bad.search(file.read_text(encoding="utf-8"))]
