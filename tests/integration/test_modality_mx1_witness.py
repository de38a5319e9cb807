"""The MX1 against archives that nobody here wrote: DCMTK's storescp, Orthanc; a worklist from wlmscpfs."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from bench.doctor import dcmtk

_NAME = "modality_mx1_bench"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name(f"{_NAME}.py"))
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
mx1: Any = sys.modules[_NAME]

pytestmark = pytest.mark.witness


def tool(name: str) -> str:
    path = shutil.which(name) if name == "Orthanc" else dcmtk(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    running: list[subprocess.Popen[bytes]] = []
    with mx1.Mx1Bench(tmp_path, {"size": "640x480", "mode": "colour"}) as made:

        def background(*command: str) -> None:
            running.append(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
            )

        made.background = background
        yield made
    for process in running:
        process.terminate()
    for process in running:
        process.wait(60)


def _capture(operator: Any) -> list[dict[str, Any]]:
    return [
        operator.do("capture_still"),
        operator.do("capture_still", of="screen"),
        operator.do("capture_clip", frames=5),
    ]


@pytest.mark.parametrize(
    ("option", "still", "clip"),
    [
        ("+xe", mx1.EXPLICIT, mx1.EXPLICIT),
        ("+xb", mx1.BIG, mx1.BIG),
        ("+xi", mx1.IMPLICIT, mx1.IMPLICIT),
        ("+xs", mx1.EXPLICIT, mx1.EXPLICIT),
        ("+xy", mx1.EXPLICIT, mx1.BASELINE),
        ("+xa", mx1.EXPLICIT, mx1.BASELINE),
    ],
)
def test_storescp_receives_every_kind(bench: Any, option: str, still: str, clip: str) -> None:
    port = mx1.peers.free_port()
    received = bench.folder / "received"
    received.mkdir()
    bench.background(tool("storescp"), option, "-aet", "PACS", "-od", str(received), str(port))
    bench.settings(storage=[{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port}])
    operator = bench.start()
    bench.until(lambda: operator.ask("verify", peer="pacs")["ok"])
    bench.exam()
    images = _capture(operator)
    operator.do("complete")
    assert operator.do("queue", wait=60)["jobs"][0]["state"] == "sent"
    got = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, received.iterdir())}
    for claim in images:
        dataset = got[claim["sop_instance"]]
        # still and screen go uncompressed wherever they may (MX-D-02)
        assert dataset.file_meta.TransferSyntaxUID == (clip if claim["kind"] == "clip" else still)
        if dataset.file_meta.TransferSyntaxUID != mx1.BASELINE:
            assert dataset.pixel_array.tobytes() == _native(bench, claim).pixel_array.tobytes()


def _native(bench: Any, claim: dict[str, Any]) -> Any:
    return pydicom.dcmread(bench.folder / "data" / "images" / f"{claim['sop_instance']}.dcm")


def test_orthanc_keeps_every_kind_and_dcmtk_serves_the_worklist(bench: Any) -> None:
    dicom, http, ris = (mx1.peers.free_port() for _ in range(3))
    (bench.folder / "orthanc.json").write_text(
        json.dumps(
            {
                "DicomPort": dicom,
                "HttpPort": http,
                "DicomAet": "ORTHANC",
                "StorageDirectory": str(bench.folder / "orthanc"),
                "AuthenticationEnabled": False,
                "DicomAlwaysAllowStore": True,
                "DicomAlwaysAllowEcho": True,
            }
        )
    )
    bench.background(tool("Orthanc"), str(bench.folder / "orthanc.json"))
    place = bench.folder / "wl" / "RIS"
    place.mkdir(parents=True)
    (place / "lockfile").touch()
    item = mx1.peers.worklist_item("山田^太郎", "ISO_IR 192", PatientID="W1")
    step = item.ScheduledProcedureStepSequence[0]
    step.ScheduledStationAETitle, step.Modality = "MX1", "US"
    step.ScheduledProcedureStepStartDate = mx1.time.strftime("%Y%m%d")
    item.file_meta = pydicom.dataset.FileMetaDataset()
    item.file_meta.TransferSyntaxUID = mx1.EXPLICIT
    item.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.31"
    item.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"
    pydicom.dcmwrite(place / "item.wl", item, enforce_file_format=True)
    bench.background(tool("wlmscpfs"), "-dfp", str(bench.folder / "wl"), "-csk", str(ris))
    bench.settings(
        storage=[{"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": dicom}],
        worklist={"ae_title": "RIS", "host": "127.0.0.1", "port": ris},
    )
    operator = bench.start()
    bench.until(lambda: operator.ask("verify", peer="pacs")["ok"])
    bench.until(lambda: operator.ask("verify", peer="worklist")["ok"])
    assert operator.do("query_worklist")["count"] == 1
    operator.do("start_exam", PatientID="W1")
    images = _capture(operator)
    operator.do("complete")
    assert operator.do("queue", wait=60)["jobs"][0]["state"] == "sent"

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def listens() -> bool:
        try:
            ask("/system")
        except urllib.error.URLError:
            return False
        return True

    bench.until(listens)  # its DICOM port is open before this one

    found = {i["MainDicomTags"]["SOPInstanceUID"]: i["ID"] for i in ask("/instances?expand")}
    assert set(found) == {claim["sop_instance"] for claim in images}
    for claim in images:
        tags = ask(f"/instances/{found[claim['sop_instance']]}/simplified-tags")
        assert tags["PatientName"] == "山田^太郎"
        assert tags["StudyInstanceUID"] == claim["study_instance"]
