"""DCMTK writes the same object in every encoding that it knows: all of them are right, and read the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.checks.datasets import faults_of
from bench.witness.dataset import DataSet as Read
from bench.witness.dataset import read
from tests.lab.elements import DataSet, part10

pytestmark = [
    pytest.mark.witness,
    pytest.mark.skipif(shutil.which("dcmconv") is None, reason="DCMTK is not installed"),
]
NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def example() -> DataSet:
    item = DataSet(CodeValue="T-D3000", CodingSchemeDesignator="SRT", CodeMeaning="胸部")
    data = DataSet(
        SpecificCharacterSet=["", "ISO 2022 IR 87"], SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID="1.2.3",
        PatientName=NAME, StudyDate="20260102", KVP="80", ProcedureCodeSequence=[item, item.copy()],
        SamplesPerPixel=1, Rows=2, Columns=2, BitsAllocated=16, BitsStored=12, HighBit=11, PixelRepresentation=0,
        PhotometricInterpretation="MONOCHROME2",
    )  # fmt: skip
    data.put(0x00090010, "ACME", vr="LO").put(0x00091001, "private", vr="LO")
    return data.put("PixelData", bytes(range(8)), vr="OW")


def opened(file: Path) -> Read:
    """The data set of a file, read in the transfer syntax that its meta information names."""
    data = file.read_bytes()[132:]
    meta = read(data[:12])
    end = 12 + int(meta.number("FileMetaInformationGroupLength") or 0)
    return read(data[end:], read(data[:end]).text("TransferSyntaxUID") or "")


@pytest.mark.parametrize(
    "options",
    ["+te", "+ti", "+tb", "+td", "+te +g", "+te -e", "+te +e", "+ti +g -e", "+tb +g -e", "+te +p 1024 64"],
)
def test_every_encoding_of_dcmtk_is_right(tmp_path: Path, options: str) -> None:
    source, made = tmp_path / "in.dcm", tmp_path / "out.dcm"
    source.write_bytes(part10(example()))
    subprocess.run(["dcmconv", *options.split(), source, made], check=True, timeout=30)
    found = opened(made)
    assert found.problems == ()
    assert faults_of(found) == ()
    assert found.text("PatientName") == NAME
    assert [i.text("CodeMeaning") for i in found.items("ProcedureCodeSequence")] == ["胸部", "胸部"]
    assert found.pixels is not None
    assert (found.pixels.length, found.pixels.largest) == (8, 0x0706)
