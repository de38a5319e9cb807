"""What programs that nobody here wrote say to a medium of the reference modality."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from pydicom.fileset import FileSet as PydicomFileSet

from bench.doctor import dcmtk
from modality.media import Options, add, export
from tests.lab.elements import JPEG_BASELINE
from tests.unit.test_modality_media_lab import masters

pytestmark = pytest.mark.witness
PEOPLE = ("default", "latin1", "utf8", "gb18030", "kanji", "kanjix")


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All six character sets, exported and added, stills in two syntaxes."""
    tmp = tmp_path_factory.mktemp("witness")
    root = tmp / "medium"
    root.mkdir()
    for number, person in enumerate(PEOPLE, 1):
        images = masters(tmp / "device", person, number=number)
        options = Options(syntaxes={"still": JPEG_BASELINE} if number % 2 else {}, state=tmp / "state")
        (export if number == 1 else add)(root, images, options)
    return root


def _run(program: str, *arguments: str) -> str:
    path = shutil.which(program) if program.startswith(("dcdir", "dcent", "dciod")) else dcmtk(program)
    if path is None:
        pytest.skip(f"no {program}")
    done = subprocess.run(
        [path, *arguments], capture_output=True, check=False, timeout=60, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_pydicom_reads_all(medium: Path) -> None:
    """Every instance is found by the records, and is what they say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = PydicomFileSet(medium / "DICOMDIR")
        assert len(found) == 4 * len(PEOPLE)
        names = set()
        for instance in found:
            ds = instance.load()
            assert instance.ReferencedSOPInstanceUIDInFile == ds.SOPInstanceUID == instance.SOPInstanceUID
            assert str(instance.PatientName) == str(ds.PatientName)
            names.add(str(ds.PatientName))
    assert len(names) == len(PEOPLE) - 1  # two of the persons share a name


def test_dcdirdmp_follows_the_offsets(medium: Path) -> None:
    """dicom3tools walk by offset."""
    said = _run("dcdirdmp", str(medium / "DICOMDIR"))
    assert "Error" not in said
    assert said.count("IMAGE") >= 4 * len(PEOPLE)


def test_dciodvfy_and_dcentvfy(medium: Path) -> None:
    """The directory's IOD, and the agreement of all files."""
    said = _run("dciodvfy", str(medium / "DICOMDIR"))
    assert not [line for line in said.splitlines() if line.startswith("Error")], said
    files = sorted(str(p) for p in medium.rglob("IM*"))
    said = _run("dcentvfy", *files)
    assert not [line for line in said.splitlines() if "Error" in line], said


def test_dcmdump_and_dcmmkdir(medium: Path, tmp_path: Path) -> None:
    """DCMTK reads the directory, and would make one of the same files."""
    said = _run("dcmdump", "+fo", str(medium / "DICOMDIR"))
    assert said.count("(0004,1430)") == len(PEOPLE) * (1 + 1 + 3 + 4)
    copy = tmp_path / "copy"
    shutil.copytree(medium, copy)
    (copy / "DICOMDIR").unlink()
    said = _run("dcmmkdir", "+r", "+id", str(copy), "+D", str(copy / "DICOMDIR"), "-Pfl", "DICOM")
    assert "E:" not in said


def test_dcmtk_adds_to_our_directory(medium: Path, tmp_path: Path) -> None:
    """Another file-set updater goes on where we ended, and we after it."""
    copy = tmp_path / "copy"
    shutil.copytree(medium, copy)
    other = masters(tmp_path / "device", "utf8", number=40)
    (copy / "OTHER").mkdir()
    shutil.copy(other[0], copy / "OTHER" / "US1")
    _run("dcmmkdir", "+A", "+id", str(copy), "+D", str(copy / "DICOMDIR"), "-Pgp", "OTHER/US1")
    saved = add(copy, other)
    assert (len(saved.files), len(saved.skipped)) == (3, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(PydicomFileSet(copy / "DICOMDIR")) == 4 * len(PEOPLE) + 4
