"""The report's section of a medium: its files, where they came from, its pictures."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from bench.journal import Event
from bench.judge.volumes import note_before
from bench.report.medium import MAX_FILES, MediumView, media_of
from bench.results import CellResult, ClauseResult, Evidence, VolumeFidelity
from bench.verdict import Verdict
from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.format import format_image

SIZE = 16 << 20


def cell(*volumes: VolumeFidelity) -> CellResult:
    return CellResult(
        id="c",
        scenario="c",
        file="c.yaml",
        line=1,
        verdict=Verdict.PASS,
        reason="",
        seconds=1.0,
        volumes=volumes,
    )


def image(syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A file with a picture whose left half is bright."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.3"
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, "1.2.3"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = 32, 48, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    pixels = np.zeros((32, 48), np.uint8)
    pixels[:, :24] = 200
    packed = encapsulate([pixels.tobytes()]) if syntax == JPEGBaseline8Bit else pixels.tobytes()
    ds.PixelData = packed
    ds["PixelData"].VR = "OB"
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def write(path: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Put files on an image; returns their SHA-256."""
    import hashlib

    device = BlockDevice(path, SIZE)
    volume = FatVolume.mount(device)
    for name, data in files.items():
        *folders, _ = name.split("/")
        for depth in range(len(folders)):
            folder = "/" + "/".join(folders[: depth + 1])
            try:
                volume.stat(folder)
            except FileNotFoundError:
                volume.mkdir(folder)
        handle = volume.create("/" + name)
        volume.write(handle, 0, data)
        volume.close(handle)
    volume.unmount()
    device.close()
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cell's folder with a freshly formatted medium."""
    (tmp_path / "media").mkdir()
    format_image(tmp_path / "media" / "usb.img", size=SIZE, fat="FAT16", label="STICK")
    return tmp_path


def claim(files: dict[str, str]) -> Event:
    data = {
        "action": "export",
        "medium": "usb",
        "files": [{"file_id": name, "sha256": digest, "bytes": 1} for name, digest in files.items()],
        "dicomdir_sha256": "",
    }
    return Event(seq=7, t=1, src="modality", n=1, kind="modality.media", data=data)


def red(id: str, what: str, verdict: Verdict = Verdict.FAIL, offset: int | None = None) -> ClauseResult:
    return ClauseResult(id=id, verdict=verdict, evidence=(Evidence(what=what, offset=offset),))


def view(folder: Path, *events: Event, volumes: tuple[VolumeFidelity, ...] = ()) -> MediumView:
    (found,) = media_of(folder, cell(*volumes), events)
    return found


def test_files_are_a_tree_with_their_origins(folder: Path) -> None:
    place = folder / "media" / "usb.img"
    write(place, {"OLD.TXT": b"old"})
    note_before(place)
    hashes = write(place, {"DICOM/PA1/IM1": b"one", "DICOM/PA1/IM2": b"two", "STRAY.BIN": b"?"})
    told = {"DICOM/PA1/IM1": hashes["DICOM/PA1/IM1"], "DICOM/PA1/IM2": "0" * 64}
    fidelity = VolumeFidelity(name="usb", backend="fuse", written=12345)
    found = view(folder, claim(told), volumes=(fidelity,))
    rows = [(row.name, row.depth, row.folder, row.origin, row.good) for row in found.files]
    assert rows == [
        ("DICOM", 0, True, "", True),
        ("PA1", 1, True, "", True),
        ("IM1", 2, False, "saved, as the product reported", True),
        ("IM2", 2, False, "not what the product reported", False),
        ("OLD.TXT", 0, False, "lay there before", True),
        ("STRAY.BIN", 0, False, "nobody told of it", True),
    ]
    assert found.files[2].sha256 == hashes["DICOM/PA1/IM1"]
    assert found.facts == "FAT16, label STICK, mbr, 16.78 MB, backend fuse, 12,345 bytes written"


def test_uncompressed_pictures_are_drawn(folder: Path) -> None:
    write(folder / "media" / "usb.img", {"A": image(), "B": image(JPEGBaseline8Bit)})
    found = view(folder)
    assert [path for path, _ in found.pictures] == ["A"]
    picture = found.pictures[0][1]
    assert picture.uri.startswith("data:image/png")
    assert picture.grid is not None
    assert picture.grid[:, :100].mean() > picture.grid[:, 150:].mean() + 0.5


def test_an_empty_and_an_unreadable_medium_say_so(folder: Path) -> None:
    assert view(folder).note == "It is empty."
    format_image(folder / "media" / "usb.img", size=SIZE, fat=None)
    assert view(folder).note.startswith("It cannot be read: ")


def test_many_files_are_cut_short(folder: Path) -> None:
    write(folder / "media" / "usb.img", {f"D/F{n}": b"x" for n in range(MAX_FILES + 20)})
    found = view(folder)
    assert (len(found.files), found.more, found.more_bad) == (MAX_FILES, 21, 0)


def test_bad_files_come_before_the_cut(folder: Path) -> None:
    names = {f"A/F{n}": b"x" for n in range(MAX_FILES)} | {"Z/BAD": b"?", "Z/GOOD": b"x", "Z/NAMED": b"x"}
    hashes = write(folder / "media" / "usb.img", names)
    clause = red("X-1", "media/usb.img: Z/NAMED")
    (found,) = media_of(folder, replace(cell(), clauses=(clause,)), [claim(hashes | {"Z/BAD": "0" * 64})])
    assert len(found.files) == MAX_FILES
    shown = [(row.name, row.depth, row.good, row.found) for row in found.files]
    assert shown[0] == ("A", 0, True, ())
    assert shown[-3:] == [
        ("Z", 0, True, ()),
        ("BAD", 1, False, ()),
        ("NAMED", 1, True, (("X-1", Verdict.FAIL),)),
    ], "in the order of the tree, below their folder"
    assert (found.more, found.more_bad) == (5, 0)


def test_bad_files_that_are_not_listed_are_told(folder: Path) -> None:
    hashes = write(folder / "media" / "usb.img", {f"D/F{n}": b"x" for n in range(MAX_FILES + 20)})
    found = view(folder, claim(dict.fromkeys(hashes, "0" * 64)))
    assert (len(found.files), found.more, found.more_bad) == (MAX_FILES, 21, 21)


def test_a_cell_without_media_has_no_section(tmp_path: Path) -> None:
    assert media_of(tmp_path, cell(), ()) == []
