"""Media of a cell: what the product did to them is judged, what lay there before and what was broken off is not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.checks.media.history import problems
from bench.journal import JournalWriter, read
from bench.judge.cellwise import judge_cell
from bench.judge.config import from_modality
from bench.judge.volumes import note_before, story_of
from bench.resultmodel import CellResult, ClauseResult
from bench.results import cell_dir
from bench.statements import load
from bench.verdict import Verdict
from tests.lab.conversation import Lab
from tests.lab.media import START, FileSet
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import MX1, PACS, Picture, Scan

MX1_SAYS = load("mx1")
MODALITY = """\
ae_title: MX1
worklist: {ae_title: RIS, host: 10.0.0.20, port: 104}
storage:
- {name: pacs, ae_title: PACS, host: 10.0.0.21, port: 104}
"""
Events = Sequence[tuple[str, Mapping[str, Any]]]
EXPORT = ("sut.request", {"do": "export", "args": {"medium": "usb"}})
REFUSED = ("sut.answer", {"do": "export", "ok": False})
ADD = ("sut.request", {"do": "add", "args": {"medium": "usb"}})
PULLED = ("volume.removed", {"volume": "usb", "how": "yanked"})
PICTURES = (Picture("us", number=1), Picture("us", number=2))


def sha(data: bytes) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()


def claim(made: FileSet, paths: Sequence[Any], action: str = "export") -> tuple[str, dict[str, Any]]:
    """What the product reports."""
    files = [{"file_id": "/".join(path), "sha256": sha(made.files[path])} for path in paths]
    data = {"action": action, "medium": "usb", "files": files, "dicomdir_sha256": sha(made.dicomdir())}
    return "modality.media", data


def cell(
    tmp_path: Path, events: Events, now: FileSet, before: FileSet | None = None, name: str = "usb"
) -> Path:
    """A cell's folder with a medium as it was before and as it is."""
    folder = cell_dir(tmp_path, "export")
    (folder / "media").mkdir(parents=True, exist_ok=True)
    image = folder / "media" / f"{name}.img"
    (before or FileSet(directory=False)).write_image(image)
    note_before(image)
    now.write_image(image)
    (folder / "modality.yaml").write_text(MODALITY)
    (folder / "journal.jsonl").unlink(missing_ok=True)
    with JournalWriter(folder / "journal.jsonl", {}) as journal:
        for number, (kind, data) in enumerate(events, 1):
            journal.append(src="x", n=number, t=number, kind=kind, data=dict(data))
    return folder


def _left(
    tmp_path: Path, events: Events, now: FileSet, before: FileSet | None = None
) -> tuple[Path, list[Any]]:
    """The image that a cell left, and its events."""
    folder = cell(tmp_path, events, now, before)
    return folder / "media" / "usb.img", list(read(folder / "journal.jsonl"))


def judged(folder: Path) -> tuple[CellResult, dict[str, ClauseResult]]:
    """The cell's result and its clauses."""
    base = CellResult(
        id="export", scenario="export", file="e.yaml", line=1, verdict=Verdict.PASS, reason="", seconds=1.0
    )
    found = judge_cell(base, folder, MX1_SAYS)
    return found, {clause.id: clause for clause in found.clauses}


def verdict(rows: Mapping[str, ClauseResult], id: str) -> Verdict:
    """NOT-EXERCISED when it is not told."""
    return rows[id].verdict if id in rows else Verdict.NOT_EXERCISED


def foreign(changed: bool = False) -> FileSet:
    """A file-set of another vendor."""
    made = FileSet.of_mx1(PERSONS["latin1"], PICTURES, uid="1.2.3.4.5", version="OTHER_1")
    if changed:
        made.files[made.paths[0]] = made.files[made.paths[0]][:-2]
    return made


def added(changed: bool = False) -> tuple[FileSet, list[Any]]:
    """The same with two pictures of the product's."""
    made = foreign(changed)
    known = list(made.paths)
    made.add(Scan(PERSONS["default"], 5, start=START), PICTURES)
    return made, [path for path in made.paths if path not in known]


def test_an_export_is_judged_without_a_network(tmp_path: Path) -> None:
    """A file-set on an empty medium: creator and profile, with the image in the evidence and no FAIL at all."""
    made = FileSet.of_mx1()
    found, rows = judged(cell(tmp_path, [EXPORT, claim(made, made.paths)], made))
    assert found.verdict is Verdict.PASS, found.reason
    for id in ("MX-GEN-004", "MX-MED-003", "MX-MED-001", "MX-MED-006", "MX-MED-PC-001", "MX-MED-DIR-02"):
        assert rows[id].verdict is Verdict.PASS, id
    assert verdict(rows, "MX-MED-007") is Verdict.NOT_EXERCISED
    assert rows["MX-MED-003"].evidence[0].seq == 2
    assert rows["MX-MED-001"].evidence[0].what.startswith("media/usb.img: ")
    assert found.wire is not None
    assert found.wire.files == ("media/usb.img",)


def test_a_card_is_a_card(tmp_path: Path) -> None:
    """The kind of medium comes from its slot."""
    made = FileSet.of_mx1()
    kind, data = claim(made, made.paths)
    _, rows = judged(cell(tmp_path, [(kind, {**data, "medium": "sd"})], made, name="sd"))
    assert rows["MX-MED-007"].verdict is Verdict.PASS
    assert verdict(rows, "MX-MED-006") is Verdict.NOT_EXERCISED


def test_an_addition_to_a_foreign_file_set(tmp_path: Path) -> None:
    """Updater, and what others made is unchanged; their names and content are not the product's."""
    made, own = added()
    found, rows = judged(cell(tmp_path, [ADD, claim(made, own, "add")], made, foreign()))
    for id in ("MX-GEN-005", "MX-MED-004", "MX-MED-005"):
        assert rows[id].verdict is Verdict.PASS, (id, rows[id].reason)
    assert verdict(rows, "MX-MED-003") is Verdict.NOT_EXERCISED
    assert not [c.id for c in found.clauses if c.verdict is Verdict.FAIL]


def test_an_addition_that_changes_what_was_there(tmp_path: Path) -> None:
    """A foreign file that lost two bytes is held against the product."""
    made, own = added(changed=True)
    found, rows = judged(cell(tmp_path, [ADD, claim(made, own, "add")], made, foreign()))
    assert rows["MX-MED-004"].verdict is Verdict.FAIL
    assert rows["MX-MED-005"].verdict is Verdict.FAIL
    assert found.verdict is Verdict.FAIL


def test_a_report_that_no_record_bears_out(tmp_path: Path) -> None:
    """A file that was reported and that the DICOMDIR does not name: no file-set of it."""
    made = FileSet.of_mx1()
    path = ("DICOM", "PA000001", "ST000001", "SE000001", "IM000009")
    made.files[path] = made.files[made.paths[0]]
    _, rows = judged(cell(tmp_path, [EXPORT, claim(made, [*made.paths, path])], made))
    assert rows["MX-MED-003"].verdict is Verdict.FAIL
    assert "no record refers to it" in rows["MX-MED-003"].reason


def test_a_medium_that_nobody_wrote_to_gives_no_verdict(tmp_path: Path) -> None:
    """What is wrong on it is not the product's."""
    bad = foreign()
    bad.files["DICOM", "X.DCM"] = bad.files[bad.paths[0]]
    found, rows = judged(cell(tmp_path, [], bad, bad))
    assert not [id for id in rows if id.startswith("MX-MED")]
    assert found.verdict is Verdict.PASS


def test_a_product_that_refuses_leaves_it_alone(tmp_path: Path) -> None:
    """Then only that is judged."""
    made = foreign()
    _, rows = judged(cell(tmp_path, [EXPORT, REFUSED], made, made))
    assert rows["MX-MED-005"].verdict is Verdict.PASS
    assert rows["MX-D-24"].verdict is Verdict.PASS
    assert [
        id for id in rows if id.startswith("MX-MED") and rows[id].verdict is not Verdict.NOT_EXERCISED
    ] == ["MX-MED-005"]
    spoiled = foreign(changed=True)
    _, rows = judged(cell(tmp_path, [EXPORT, REFUSED], spoiled, made))
    assert rows["MX-MED-005"].verdict is Verdict.FAIL


def test_exporting_over_ones_own_file_set(tmp_path: Path) -> None:
    """Refused is right, done is wrong (MX-D-24); adding where there is none makes one (MX-D-23)."""
    made = FileSet.of_mx1()
    said = claim(made, made.paths)
    _, rows = judged(cell(tmp_path, [ADD, said, EXPORT, REFUSED], made))
    assert (rows["MX-D-23"].verdict, rows["MX-D-24"].verdict) == (Verdict.PASS, Verdict.PASS)
    _, rows = judged(cell(tmp_path, [EXPORT, said, EXPORT, said], made))
    assert rows["MX-D-24"].verdict is Verdict.FAIL


def test_what_was_broken_off_is_not_judged(tmp_path: Path) -> None:
    """Half a file without a record, after the medium was pulled: nobody's fault; the DICOMDIR is the old one."""
    made = FileSet.of_mx1()
    first = claim(made, made.paths)
    half = made.files[made.paths[0]][:700]
    made.files["DICOM", "PA000001", "ST000001", "SE000001", "IM000009"] = half
    found, rows = judged(cell(tmp_path, [EXPORT, first, ADD, PULLED], made))
    assert not [(c.id, c.reason) for c in found.clauses if c.verdict is Verdict.FAIL]
    assert rows["MX-D-25"].verdict is Verdict.PASS
    assert found.wire is not None
    assert any("IM000009" in text for text in found.wire.remarks)
    again, rows = judged(cell(tmp_path, [EXPORT, first], made))
    assert rows["STD-MED-016"].verdict is Verdict.FAIL
    assert again.verdict is Verdict.FAIL


def test_half_a_directory_is_held_against_it(tmp_path: Path) -> None:
    """Also when the medium was pulled (MX-D-25)."""
    made = FileSet.of_mx1()
    first = claim(made, made.paths)
    made.after = lambda data: data[:-150]
    _, rows = judged(cell(tmp_path, [EXPORT, first, ADD, PULLED], made))
    assert rows["MX-D-25"].verdict is Verdict.FAIL


def test_wire_and_medium_stand_in_one_table(tmp_path: Path) -> None:
    """A clause that both show has the worse verdict; what only one shows is exercised."""
    made = FileSet.of_mx1()
    made.files[made.paths[0]] = made.files[made.paths[0]].replace(b"ORIGINAL\\PRIMARY", b"ORIGINAL\\primary")
    folder = cell(tmp_path, [EXPORT, claim(made, made.paths)], made)
    lab = Lab()
    mx = MX1(lab)
    mx.verify(PACS)
    mx.store(PACS, Scan(PERSONS["default"], 1), [Picture("us", number=1)])
    lab.write(folder / "wire.pcapng")
    found, rows = judged(folder)
    assert rows["MX-VER-001"].verdict is Verdict.PASS
    assert rows["MX-MED-003"].verdict is Verdict.PASS
    assert rows["MX-STO-IMG-005"].verdict is Verdict.FAIL
    assert rows["MX-STO-IMG-005"].evidence[0].what.startswith("media/usb.img")
    assert found.wire is not None
    assert found.wire.files == ("wire.pcapng", "media/usb.img")
    assert rows["MX-CFG-001"].verdict is Verdict.PASS


def test_settings_of_the_reference(tmp_path: Path) -> None:
    """The MX1's own defaults, and its version as a variant of the statement."""
    told = from_modality({"version": "1.10"}, "mx1")
    assert (told["ae_title"], told["variants"], told["receiver"]) == ("MX1", ("V1.10",), False)
    assert told["charset"] == ("", "ISO 2022 IR 87")
    assert from_modality({}, "mx1")["variants"] == ()
    assert from_modality({})["ae_title"] == "VXVUE"


WARNED = (
    "modality.warning",
    {"service": "media", "peer": "usb", "code": "full", "text": "The medium is full."},
)
BROKE = ("fault.fired", {"host": "usb", "fault": "io_error"})


@pytest.mark.parametrize(("why", "told"), [((WARNED,), True), ((BROKE, WARNED), False), ((PULLED,), False)])
def test_a_product_that_gives_up_leaves_the_directory_alone(why: Events, told: bool, tmp_path: Path) -> None:
    """Only what breaks it off from outside excuses another DICOMDIR than the one that was there."""
    now = foreign()
    now.top.put("FileSetID", "CHANGED")
    _, story = story_of(*_left(tmp_path, [ADD, *why], now, foreign()))
    found = [text for text in problems(story) if "DICOMDIR" in text]
    assert bool(found) is told, found


@pytest.mark.parametrize(("why", "told"), [((WARNED,), True), ((BROKE,), False)])
def test_a_product_that_gives_up_later_keeps_what_it_reported(
    why: Events, told: bool, tmp_path: Path
) -> None:
    """After an export that was reported, a refused addition changes nothing."""
    made = FileSet.of_mx1()
    said = claim(made, made.paths)
    made.top.put("FileSetID", "CHANGED")
    _, story = story_of(*_left(tmp_path, [EXPORT, said, ADD, *why], made))
    assert any("not the one that was reported" in text for text in problems(story)) is told


def test_a_file_that_was_not_hashed_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what is hashed in all, an export is not called kept."""
    monkeypatch.setattr("bench.witness.medium.hashes.MOST", 100)
    made = FileSet.of_mx1()
    _, rows = judged(cell(tmp_path, [EXPORT, claim(made, made.paths)], made))
    assert rows["MX-GEN-004"].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("after", "wanted"), [((), True), ((PULLED,), False)])
def test_tables_that_an_interruption_tore_are_nobodys_fault(
    after: Events, wanted: bool, tmp_path: Path
) -> None:
    """The two allocation tables differ in a saved file: a fault, unless the medium was pulled out meanwhile."""
    made = FileSet.of_mx1()
    folder = cell(tmp_path, [EXPORT, claim(made, made.paths), *after], made)
    image = folder / "media" / "usb.img"
    data = bytearray(image.read_bytes())
    start = 2048 * 512
    second = start + 512 + int.from_bytes(data[start + 22 : start + 24], "little") * 512
    data[second + 6 : second + 40] = bytes(34)
    image.write_bytes(data)
    _, rows = judged(folder)
    assert (rows["STD-MED-003"].verdict is Verdict.FAIL) is wanted, rows["STD-MED-003"].reason
