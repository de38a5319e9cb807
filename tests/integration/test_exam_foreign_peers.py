"""The reference console finishes an exam against peers nobody here wrote: DCMTK's wlmscpfs and storescp, Orthanc."""

from __future__ import annotations

import hashlib
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest

from bench.doctor import dcmtk
from bench.links.probe import best_backend
from bench.sandbox.channel import ChannelClosed
from bench.zygote import Zygote

HERE = Path(__file__).resolve().parent
ITEM = """\
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [F1]
(0010,0010) PN [Müller^Jürgen]
(0010,0020) LO [4711]
(0010,0030) DA [19610514]
(0010,0040) CS [M]
(0020,000d) UI [1.2.276.0.7230010.3.1.2.1]
(0032,1060) LO [Thorax]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [DX]
(0040,0001) AE [VXVUE]
(0040,0002) DA [{today}]
(0040,0003) TM [100000]
(0040,0006) PN [Roentgen^Wilhelm]
(0040,0007) LO [Thorax pa]
(0040,0009) SH [SPS1]
(fffe,e00d) -
(fffe,e0dd) -
(0040,1001) SH [RP1]
"""


@pytest.mark.netns
@pytest.mark.witness
@pytest.mark.parametrize("archive", ["storescp", "Orthanc"])
def test_an_exam_against_foreign_peers(archive: str, tmp_path: Path) -> None:
    """The item is found, the image arrives whole at somebody else's archive, and nobody had to be warned."""
    for program in ("wlmscpfs", "dump2dcm", archive):
        if (shutil.which(program) if program == "Orthanc" else dcmtk(program)) is None:
            pytest.skip(f"{program} is not installed")
    backend = best_backend()
    if backend == "loopback":
        pytest.skip("no network namespaces here")
    item = tmp_path / "item"
    item.mkdir()
    said: list[Any] = []
    with Zygote(["numpy", "pydicom"], backend, path=[str(HERE)]) as zygote:
        argument = {
            "folder": str(item),
            "backend": backend,
            "archive": archive,
            "item": ITEM.replace("{today}", datetime.now().strftime("%Y%m%d")),  # the console asks for today
            "accession": "F1",
        }
        handle = zygote.run("foreign_exam:main", argument)
        try:
            while True:
                said.append(handle.channel.recv(timeout_s=120))
        except ChannelClosed:
            pass
        ended = handle.wait(timeout_s=30)
    assert ended.status == 0, ended.error
    (claims,) = said
    assert claims["worklist"] == 1
    assert claims["warnings"] == []
    stored = [file for file in (item / "store").rglob("*") if file.is_file() and _is_dicom(file)]
    (image,) = [pydicom.dcmread(file) for file in stored]
    assert image.SOPInstanceUID == claims["image"]["sop_instance"]
    assert hashlib.sha256(image.PixelData).hexdigest() == claims["image"]["sha256"]
    assert str(image.PatientName) == "Müller^Jürgen"
    assert image.AccessionNumber == "F1"
    assert image.StudyInstanceUID == "1.2.276.0.7230010.3.1.2.1"


def _is_dicom(file: Path) -> bool:
    with open(file, "rb") as start:
        return start.read(132)[128:] == b"DICM"
