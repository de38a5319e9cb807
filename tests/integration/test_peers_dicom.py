"""The same PACS and RIS serve what nobody here wrote: DCMTK's and pynetdicom's requestors.

Simulators run as a user runs them (``python -m simulators …``), so that their command line is tested with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from bench.doctor import dcmtk

pytestmark = pytest.mark.witness

ROOT = Path(__file__).resolve().parents[2]
DX = "1.2.840.10008.5.1.4.1.1.1.1"
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
LIMIT_S = 200


def _tool(name: str) -> str:
    found = dcmtk(name)
    if found is None:
        pytest.skip(f"{name} of DCMTK is not installed")
    return found


class Alone:
    """A simulator in a process of its own, with the events that it printed."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulators", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        word, _, endpoint = self.process.stdout.readline().partition(" ")
        assert word == "listening"
        self.port = str(json.loads(endpoint)["port"])
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            _, kind, data = line.split(" ", 2)
            self.events.append((kind, json.loads(data)))

    def end(self) -> int:
        """SIGTERM; the exit code, with all events read."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._reader.join(60)
        return code

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for k, data in self.events if k == kind]


@contextlib.contextmanager
def _alone(*arguments: str) -> Iterator[Alone]:
    simulator = Alone(*arguments)
    try:
        yield simulator
    finally:
        if simulator.process.poll() is None:
            simulator.process.kill()
            simulator.process.wait(20)
        assert simulator.process.stdout is not None
        simulator._reader.join(20)
        simulator.process.stdout.close()


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=ENVIRONMENT,
        timeout=LIMIT_S,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _image(path: Path, uid: str, syntax: str, rows: int = 300) -> bytes:
    """Write a DX file; return the bytes of its data set."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = DX, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Yamada^Tarou=山田^太郎", "P1", "DX"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, 200
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 14, 13, 0
    pixels = np.random.default_rng(1).integers(0, 1 << 14, (rows, 200), dtype=np.uint16)
    dataset.PixelData = (pixels.byteswap() if syntax == ExplicitVRBigEndian else pixels).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return _body(path)


def _body(path: Path) -> bytes:
    """The data set's bytes of a PS3.10 file."""
    content = path.read_bytes()
    return content[144 + int.from_bytes(content[140:144], "little") :]


def test_echoscu_is_answered() -> None:
    echoscu = _tool("echoscu")
    with _alone("pacs") as pacs, _alone("ris") as ris:
        assert _run(echoscu, "-aec", "PACS", "127.0.0.1", pacs.port).returncode == 0
        assert _run(echoscu, "-aec", "RIS", "127.0.0.1", ris.port).returncode == 0
        assert "Called AE Title Not Recognized" in _run(echoscu, "-aec", "X", "127.0.0.1", pacs.port).stdout
        assert (pacs.end(), ris.end()) == (0, 0)
    assert len(pacs.of("pacs.echoed")) == len(ris.of("ris.echoed")) == 1
    assert (pacs.of("wire.reject")[0]["source"], pacs.of("wire.reject")[0]["reason"]) == (1, 7)


@pytest.mark.parametrize(
    ("syntax", "option"),
    [(ImplicitVRLittleEndian, "-xi"), (ExplicitVRLittleEndian, "-xe"), (ExplicitVRBigEndian, "-xb")],
)
def test_storescu_objects_arrive_byte_by_byte(tmp_path: Path, syntax: str, option: str) -> None:
    storescu, dcmdump = _tool("storescu"), _tool("dcmdump")
    sent = {uid: _image(tmp_path / f"{uid}.dcm", uid, syntax) for uid in ("1.2.3.1", "1.2.3.2")}
    with _alone("pacs", "--store", str(tmp_path / "objects")) as pacs:
        files = [str(tmp_path / f"{uid}.dcm") for uid in sent]
        done = _run(storescu, option, "-aec", "PACS", "127.0.0.1", pacs.port, *files)
        assert done.returncode == 0, done.stdout
        assert pacs.end() == 0
    stored = pacs.of("pacs.stored")
    assert [s["sop_instance"] for s in stored] == list(sent)
    for event in stored:
        path = tmp_path / event["object"]
        assert _body(path) == sent[event["sop_instance"]]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == event["sha256"]
        assert _run(dcmdump, "-q", "+fo", str(path)).returncode == 0
        pixels = dcmread(path).PixelData
        assert event["dataset"]["7FE00010"]["sha256"] == hashlib.sha256(pixels).hexdigest()
        assert event["dataset"]["00100010"]["Value"][0]["Ideographic"] == "山田^太郎"
    requests = [m for m in pacs.of("wire.message") if m["field"] == "C-STORE-RQ"]
    assert [m["bytes"] for m in requests] == [len(data) for data in sent.values()]


def test_storescu_sends_jpeg(tmp_path: Path) -> None:
    storescu, dcmcjpeg = _tool("storescu"), _tool("dcmcjpeg")
    _image(tmp_path / "plain.dcm", "1.2.3.1", ExplicitVRLittleEndian)
    assert _run(dcmcjpeg, "+e1", str(tmp_path / "plain.dcm"), str(tmp_path / "jpeg.dcm")).returncode == 0
    with _alone("pacs", "--store", str(tmp_path / "objects")) as pacs:
        done = _run(storescu, "-xs", "-aec", "PACS", "127.0.0.1", pacs.port, str(tmp_path / "jpeg.dcm"))
        assert done.returncode == 0, done.stdout
        pacs.end()
    (event,) = pacs.of("pacs.stored")
    original, kept = dcmread(tmp_path / "jpeg.dcm"), dcmread(tmp_path / event["object"])
    assert kept.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID != JPEGBaseline8Bit
    assert kept.PixelData == original.PixelData
    assert event["dataset"]["7FE00010"]["sha256"] == hashlib.sha256(original.PixelData).hexdigest()


def test_findscu_reads_the_worklist(tmp_path: Path) -> None:
    findscu = _tool("findscu")
    worklist = tmp_path / "worklist.yaml"
    worklist.write_text(
        """
- {PatientName: Yamada^Tarou=山田^太郎, PatientID: "007", AccessionNumber: A1, Modality: DX,
   ScheduledProcedureStepStartDate: 20260101, ScheduledProcedureStepStartTime: "0930"}
- {PatientName: Smith^John, PatientID: "008", AccessionNumber: A2, Modality: CR,
   ScheduledProcedureStepStartDate: 20260102, ScheduledProcedureStepStartTime: "0800"}
- {PatientName: Smith^Jane, PatientID: "009", AccessionNumber: A3, Modality: DX,
   ScheduledProcedureStepStartDate: 20260103, ScheduledProcedureStepStartTime: "0800"}
""",
        encoding="utf-8",
    )

    def ask(port: str, *keys: str) -> list[Dataset]:
        folder = tmp_path / f"answers{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        options = [part for key in keys for part in ("-k", key)]
        done = _run(findscu, "-W", "-X", "-od", str(folder), "-aec", "RIS", *options, "127.0.0.1", port)
        assert done.returncode == 0, done.stdout
        return [dcmread(path, force=True) for path in sorted(folder.iterdir())]

    step = "ScheduledProcedureStepSequence[0]"
    with _alone("ris", "--worklist", str(worklist)) as ris:
        found = ask(ris.port, "PatientName=smith*", "PatientID", "AccessionNumber", f"{step}.Modality")
        assert [(d.PatientID, d[0x00400100][0].Modality) for d in found] == [("008", "CR"), ("009", "DX")]
        found = ask(
            ris.port,
            "PatientName",
            "AccessionNumber",
            f"{step}.Modality=DX",
            f"{step}.ScheduledProcedureStepStartDate=-20260102",
        )
        assert [str(d.PatientName) for d in found] == ["Yamada^Tarou=山田^太郎"]
        period = (
            f"{step}.ScheduledProcedureStepStartDate=20260101-20260102",
            f"{step}.ScheduledProcedureStepStartTime=0900-0800",
        )
        assert [d.AccessionNumber for d in ask(ris.port, "AccessionNumber", *period)] == ["A1", "A2"]
        assert ask(ris.port, "PatientID=nobody") == []
        everything = ask(ris.port, "PatientID", "StudyInstanceUID", "ScheduledProcedureStepSequence")
        assert len({d.StudyInstanceUID for d in everything}) == 3
        assert ris.end() == 0
    assert [q["matches"] for q in ris.of("ris.queried")] == [2, 1, 2, 0, 3]


def test_findscu_cancels(tmp_path: Path) -> None:
    findscu = _tool("findscu")
    worklist = tmp_path / "worklist.yaml"
    # More than all buffers on the way hold: the RIS cannot have answered everything before it hears of the end.
    items = [f"- {{PatientID: '{n}', PatientComments: *long}}\n" for n in range(2000)]
    worklist.write_text("".join([f"- {{PatientID: x, PatientComments: &long {'x' * 8000}}}\n", *items]))
    with _alone("ris", "--worklist", str(worklist)) as ris:
        keys = ("-k", "PatientID", "-k", "PatientComments")
        done = _run(findscu, "-W", "--cancel", "2", "-aec", "RIS", *keys, "127.0.0.1", ris.port)
        assert done.returncode == 0, done.stdout
        assert ris.end() == 0
    responses = [m["status"] for m in ris.of("wire.message") if m["field"] == "C-FIND-RSP"]
    assert responses[-1] == 0xFE00
    assert ris.of("ris.cancelled")[0]["sent"] == len(responses) - 1 < 2001


def test_pynetdicom_reports_a_procedure_step() -> None:
    from pynetdicom import AE
    from pynetdicom.sop_class import ModalityPerformedProcedureStep

    created = Dataset()
    scheduled = Dataset()
    scheduled.StudyInstanceUID = "1.2.3"
    created.ScheduledStepAttributesSequence = [scheduled]
    created.PerformedProcedureStepID, created.PerformedStationAETitle = "1", "PYNET"
    created.PerformedProcedureStepStartDate, created.PerformedProcedureStepStartTime = "20260101", "080000"
    created.PerformedProcedureStepStatus, created.Modality = "IN PROGRESS", "DX"
    final = Dataset()
    final.PerformedProcedureStepStatus = "COMPLETED"
    final.PerformedProcedureStepEndDate, final.PerformedProcedureStepEndTime = "20260101", "081500"
    series = Dataset()
    series.SeriesInstanceUID, series.ProtocolName = "1.2.3.4", "CHEST"
    final.PerformedSeriesSequence = [series]

    ae = AE("PYNET")
    ae.add_requested_context(ModalityPerformedProcedureStep)
    with _alone("ris") as ris:
        association = ae.associate("127.0.0.1", int(ris.port), ae_title="RIS")
        assert association.is_established
        status, _ = association.send_n_create(created, ModalityPerformedProcedureStep, "1.2.9")
        assert status.Status == 0
        status, _ = association.send_n_create(created, ModalityPerformedProcedureStep, "1.2.9")
        assert status.Status == 0x0111
        status, _ = association.send_n_set(final, ModalityPerformedProcedureStep, "1.2.8")
        assert status.Status == 0x0112
        status, _ = association.send_n_set(final, ModalityPerformedProcedureStep, "1.2.9")
        assert status.Status == 0
        status, _ = association.send_n_set(final, ModalityPerformedProcedureStep, "1.2.9")
        assert (status.Status, status.ErrorID) == (0x0110, 0xA710)
        association.release()
        assert ris.end() == 0
    assert ris.of("ris.mpps_created")[0]["state"] == "IN PROGRESS"
    assert ris.of("ris.mpps_set")[0]["state"] == "COMPLETED"


def test_storescu_meets_a_pacs_of_one_syntax(tmp_path: Path) -> None:
    storescu = _tool("storescu")
    _image(tmp_path / "a.dcm", "1.2.3.1", ExplicitVRLittleEndian)
    with _alone("pacs", "--syntax", ImplicitVRLittleEndian, "--store", str(tmp_path / "objects")) as pacs:
        done = _run(storescu, "-aec", "PACS", "127.0.0.1", pacs.port, str(tmp_path / "a.dcm"))
        assert done.returncode == 0, done.stdout
        pacs.end()
    (event,) = pacs.of("pacs.stored")
    kept = dcmread(tmp_path / event["object"])
    assert kept.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert kept.PixelData == dcmread(tmp_path / "a.dcm").PixelData


@pytest.mark.parametrize("arguments", [["pacs", "--max-pdu", "5"], ["ris", "--worklist", "/nowhere.yaml"]])
def test_a_wrong_start_is_one_line(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulators", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("modbench simulate: ")
    assert len(done.stderr.splitlines()) == 1
