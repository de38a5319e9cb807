"""Reading a medium back: what differs from what was reported, or from what lay there before, is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.checks.media.history import history, named
from bench.volumes.readback import ReadBack, before_of, compared, inventory, note_before, of_cell
from tests.lab.media import FileSet

OTHER = {("NOTES.TXT",): b"letters of somebody else", ("PHOTOS", "A.JPG"): bytes(70_000)}


@dataclass
class Happening:
    """An event of a journal."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 1


def sha(data: bytes) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()


def claim(made: FileSet, action: str = "export") -> dict[str, Any]:
    """What a product reports that wrote this file-set."""
    return {
        "action": action,
        "medium": "usb",
        "files": [
            {"file_id": "/".join(path), "sha256": sha(made.files[path]), "bytes": len(made.files[path])}
            for path in made.paths
        ],
        "dicomdir_sha256": sha(made.dicomdir()),
    }


def back_of(image: Path, said: Mapping[str, Any]) -> ReadBack:
    """What is found on a medium that was empty before, against one report."""
    now = inventory(image, (named(one["file_id"]) for one in said["files"]))
    return compared("usb", now, history("usb", [Happening("modality.media", said)], now.files, {}))


def cell(folder: Path) -> Path:
    """A cell's folder for media."""
    (folder / "media").mkdir(exist_ok=True)
    return folder / "media" / "usb.img"


def write(image: Path, files: Mapping[tuple[str, ...], bytes]) -> Path:
    """Write files into an image."""
    made = FileSet(files=dict(files), directory=False)
    return made.write_image(image)


def test_all_is_as_reported(tmp_path: Path) -> None:
    """Files and DICOMDIR hold the bytes that were reported: no problem, and every file is listed with its state."""
    made = FileSet.of_mx1()
    image = made.write_image(cell(tmp_path))
    back = back_of(image, claim(made))
    assert not back.problems
    assert not back.remarks
    states = {one.path: one.state for one in back.files}
    assert states.pop("DICOMDIR") == "directory"
    assert set(states) == {"/".join(path) for path in made.paths}
    assert set(states.values()) == {"saved"}


def _one_byte(made: FileSet) -> None:
    data = bytearray(made.files[made.paths[0]])
    data[-100] ^= 1
    made.files[made.paths[0]] = bytes(data)


def _gone(made: FileSet) -> None:
    del made.files[made.paths[0]]


def _shorter(made: FileSet) -> None:
    made.files[made.paths[0]] = made.files[made.paths[0]][:-512]


def _other_directory(made: FileSet) -> None:
    made.record("PATIENT").put("PatientID", "SOMEONE")


def _extra(made: FileSet) -> None:
    made.files["DICOM", "TEMP0001"] = b"x" * 600


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_one_byte, "holds other bytes than were reported"),
        (_gone, "it is not on the medium"),
        (_shorter, "holds other bytes"),
        (_other_directory, "the DICOMDIR is not the one that was reported"),
        (_extra, "nobody reported it"),
    ],
)
def test_a_difference_is_told_once(tmp_path: Path, spoil: Callable[[FileSet], None], says: str) -> None:
    """One byte, a missing file, a shorter one, another DICOMDIR, a file too many: one sentence each."""
    made = FileSet.of_mx1()
    said = claim(made)
    spoil(made)
    back = back_of(made.write_image(cell(tmp_path)), said)
    assert len(back.problems) == 1, back.problems
    assert says in back.problems[0]


def test_what_lay_there_before_stays(tmp_path: Path) -> None:
    """Files of others are no problem while they are unchanged; one that is changed or gone is."""
    made = FileSet.of_mx1()
    image = write(cell(tmp_path), OTHER)
    note_before(image)
    kept = before_of(image)
    assert kept is not None
    assert {one.sha256 for one in kept.files.values()} == {sha(data) for data in OTHER.values()}

    said = claim(made)
    made.files.update(OTHER)
    made.write_image(image)
    (good,) = of_cell(tmp_path, [Happening("modality.media", said)])
    assert not good.problems

    made.files["NOTES.TXT",] = b"letters of somebody ELSE"
    del made.files["PHOTOS", "A.JPG"]
    made.write_image(image)
    (bad,) = of_cell(tmp_path, [Happening("modality.media", said)])
    assert ["was changed" in text for text in bad.problems] == [True, False]
    assert "is gone" in bad.problems[1]


def test_nothing_may_change_without_a_report(tmp_path: Path) -> None:
    """A product that refuses leaves the medium as it was, the DICOMDIR too."""
    image = FileSet.of_mx1().write_image(cell(tmp_path))
    note_before(image)
    asked = Happening("sut.request", {"do": "export", "args": {"medium": "usb"}})
    (same,) = of_cell(tmp_path, [asked])
    assert not same.problems
    other = FileSet.of_mx1()
    other.record("STUDY").put("StudyID", "77")
    other.write_image(image)
    (changed,) = of_cell(tmp_path, [asked])
    assert changed.problems == ("usb: the DICOMDIR was changed, and nothing was reported as saved",)


def test_what_an_interruption_leaves_is_a_remark(tmp_path: Path) -> None:
    """A medium that was pulled may hold half a file; what had been reported before must be there all the same."""
    made = FileSet.of_mx1()
    image = write(cell(tmp_path), {})
    note_before(image)
    said = Happening("modality.media", claim(made))
    pulled = Happening("volume.removed", {"volume": "usb", "how": "yanked"})
    made.files["DICOM", "PA000002"] = b"x" * 600
    made.write_image(image)
    (back,) = of_cell(tmp_path, [said, pulled])
    assert not back.problems
    assert "PA000002" in back.remarks[0]
    assert "pulled" in back.remarks[0]
    again = Happening("modality.media", claim(made, "add"))
    del made.files[made.paths[1]]
    made.write_image(image)
    (lost,) = of_cell(tmp_path, [said, pulled])
    assert [text for text in lost.problems if "not on the medium" in text]
    (later,) = of_cell(tmp_path, [said, pulled, again])
    assert [text for text in later.problems if "nobody reported" in text]


def test_claims_end_when_the_medium_is_formatted(tmp_path: Path) -> None:
    """What was saved before a format is not looked for."""
    image = write(cell(tmp_path), {})
    note_before(image)
    said = Happening("modality.media", claim(FileSet.of_mx1()))
    (back,) = of_cell(tmp_path, [said, Happening("step.start", {"text": "usb.format {format: FAT16}"})])
    assert not back.problems


def test_a_medium_that_was_spoiled_on_purpose_is_no_problem(tmp_path: Path) -> None:
    """Nothing but zeros, before and after: a remark; with files reported since, or readable before: a problem."""
    image = cell(tmp_path)
    image.write_bytes(bytes(1 << 20))
    note_before(image)
    (back,) = of_cell(tmp_path, [])
    assert not back.problems
    assert "cannot be read back" in back.remarks[0]
    (said,) = of_cell(tmp_path, [Happening("modality.media", claim(FileSet.of_mx1()))])
    assert "cannot be read back" in said.problems[0]
    assert not said.remarks

    made = FileSet.of_mx1()
    made.write_image(image)
    note_before(image)
    image.write_bytes(bytes(1 << 20))
    (lost,) = of_cell(tmp_path, [Happening("modality.media", claim(made))])
    assert "cannot be read back" in lost.problems[0]


def test_a_medium_that_became_unreadable_is_a_problem_unless_it_was_pulled(tmp_path: Path) -> None:
    """A product that destroys what it was not asked to write, or gave up on, is not excused by its silence."""
    image = FileSet.of_mx1().write_image(cell(tmp_path))
    note_before(image)
    image.write_bytes(bytes(1 << 20))
    asked = Happening("sut.request", {"do": "add", "args": {"medium": "usb"}})
    warned = Happening("modality.warning", {"service": "media", "peer": "usb", "text": "full"})
    pulled = Happening("volume.removed", {"volume": "usb", "how": "yanked"})
    for events in ((), (asked,), (asked, warned)):
        (back,) = of_cell(tmp_path, events)
        assert "cannot be read back" in back.problems[0]
        assert not back.remarks
    (back,) = of_cell(tmp_path, (asked, pulled))
    assert not back.problems
    assert "cannot be read back" in back.remarks[0]
    image.with_suffix(".before.json").unlink()
    (unknown,) = of_cell(tmp_path, (asked,))
    assert not unknown.problems
    assert unknown.remarks


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    """It is told, never raised."""
    assert inventory(tmp_path / "usb.img").unreadable


def test_a_file_of_before_that_is_unreadable_is_nothing_to_go_by(tmp_path: Path) -> None:
    """Then what lay there is not known, and nothing is held against it."""
    image = write(cell(tmp_path), OTHER)
    image.with_suffix(".before.json").write_text("{")
    (back,) = of_cell(tmp_path, [])
    assert not back.problems
    assert {one.state for one in back.files} == {"unknown"}
