"""The records of a medium's DICOMDIR in the report: which patient's record refers to which file, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from bench.report import mediumrecords
from bench.report.cellview import cell_view
from bench.report.html import environment
from bench.report.medium import MediumView, media_of
from bench.report.mediumrecords import RecordRow, cut
from bench.results import ClauseResult
from bench.verdict import Verdict
from bench.volumes.format import format_image
from tests.unit.test_report_medium import SIZE, cell, red, write

US = "1.2.840.10008.5.1.4.1.1.6.1"


def instance(patient: str, name: str, number: int, study: str, series: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = US, generate_uid(entropy_srcs=[patient, str(number)])
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = US, ds.SOPInstanceUID
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = patient, name, ""
    ds.StudyInstanceUID, ds.StudyID, ds.StudyDate, ds.StudyTime = study, "S1", "20260102", "101112"
    ds.AccessionNumber = "A<1>"
    ds.SeriesInstanceUID, ds.Modality, ds.SeriesNumber, ds.InstanceNumber = series, "US", 3, number
    return ds


def file_set(place: Path) -> dict[str, bytes]:
    """Files by name: two patients, the first with two images."""
    files = FileSet()
    files.add(instance("P1", "Doe^<script>", 1, "1.2.1", "1.2.1.1"))
    files.add(instance("P1", "Doe^<script>", 2, "1.2.1", "1.2.1.1"))
    files.add(instance("P2", "Roe^R", 1, "1.2.2", "1.2.2.1"))
    files.write(place)
    return {
        path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()
    }


@dataclass
class Stick:
    """A medium in a cell's folder, and its files."""

    folder: Path
    files: dict[str, bytes]

    def put(self, files: dict[str, bytes] | None = None) -> None:
        image = self.folder / "media" / "usb.img"
        image.unlink(missing_ok=True)
        format_image(image, size=SIZE, fat="FAT16", label="STICK")
        write(image, self.files if files is None else files)

    def view(self, *clauses: ClauseResult) -> MediumView:
        (found,) = media_of(self.folder, replace(cell(), clauses=clauses), ())
        return found

    def replaced(self, name: str, old: bytes, new: bytes, count: int = 1) -> dict[str, bytes]:
        assert old in self.files[name]
        return {**self.files, name: self.files[name].replace(old, new, count)}


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    folder = tmp_path / "cells" / "c"
    (folder / "media").mkdir(parents=True)
    made = Stick(folder, file_set(tmp_path / "set"))
    made.put()
    return made


def by_kind(rows: tuple[RecordRow, ...], kind: str) -> list[RecordRow]:
    return [row for row in rows if row.kind == kind]


def test_records_are_a_tree_with_keys_files_and_offsets(stick: Stick) -> None:
    rows = stick.view().records
    assert [(row.kind, row.depth) for row in rows] == [
        *(("PATIENT", 0), ("STUDY", 1), ("SERIES", 2), ("IMAGE", 3), ("IMAGE", 3)),
        *(("PATIENT", 0), ("STUDY", 1), ("SERIES", 2), ("IMAGE", 3)),
    ]
    assert rows[0].keys == (("Patient ID", "P1"), ("Name", "Doe^<script>"), ("Birth Date", None))
    assert dict(rows[1].keys) == {
        "Study ID": "S1",
        "Accession": "A<1>",
        "Date": "20260102",
        "Time": "101112",
        "UID": "1.2.1",
    }
    assert dict(rows[2].keys) == {"Modality": "US", "Number": "3", "UID": "1.2.1.1"}
    assert dict(rows[4].keys)["Number"] == "2"
    assert [row.file_id.count("\\") for row in rows if row.file_id] == [3, 3, 3]
    assert all(not row.facts and not row.found for row in rows)
    data = stick.files["DICOMDIR"]
    for row in rows:
        assert data[row.offset : row.offset + 4] == b"\xfe\xff\x00\xe0", "an item begins there"


def test_what_findings_name_is_marked(stick: Stick) -> None:
    rows = stick.view().records
    image, other = by_kind(rows, "IMAGE")[:2]
    patient = by_kind(rows, "PATIENT")[1]
    path = other.file_id.replace("\\", "/")
    found = stick.view(
        red("R-1", f"media/usb.img: DICOMDIR, IMAGE record {image.number}"),
        red("R-2", f"media/usb.img: {path}", Verdict.INCONCLUSIVE),
        red("R-3", "media/usb.img: DICOMDIR", offset=patient.offset + 20),
        red("R-4", f"media/sd.img: DICOMDIR, IMAGE record {image.number}"),
        red("R-5", "media/usb.img: DICOMDIR, IMAGE record 999"),
        red("R-6", f"media/usb.img: DICOMDIR, IMAGE record {image.number}", Verdict.PASS),
        red("R-7", "media/usb.img: DICOMDIR"),
        red("R-8", "media/usb.img: DICOMDIR", offset=200),
        red("R-9", "media/usb.img: DICOMDIR", offset=len(stick.files["DICOMDIR"])),
    )
    assert {row.number: row.found for row in found.records if row.found} == {
        image.number: (("R-1", Verdict.FAIL),),
        other.number: (("R-2", Verdict.INCONCLUSIVE),),
        patient.number: (("R-3", Verdict.FAIL),),
    }
    named = [(row.name, [id for id, _ in row.found]) for row in found.files if row.found]
    assert named == [("DICOMDIR", ["R-5", "R-7", "R-8", "R-9"]), (path.rpartition("/")[2], ["R-2"])]


def test_a_file_of_another_patient_is_told(stick: Stick) -> None:
    """The record in the wrong patient's branch: what nobody may overlook."""
    stick.put(stick.replaced("DICOMDIR", b"P1", b"P2"))
    images = by_kind(stick.view().records, "IMAGE")
    assert [row.facts for row in images] == [
        ("the file says Patient ID 'P1'",),
        ("the file says Patient ID 'P1'",),
        (),
    ]


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        (b"Roe^R", b"Roe^S", "the file says Patient's Name 'Roe^R'"),
        (b"1.2.2\0", b"1.2.3\0", "the file says Study Instance UID '1.2.2'"),
        (b"1.2.2.1\0", b"1.2.3.1\0", "the file says Series Instance UID '1.2.2.1'"),
    ],
)
def test_what_else_differs_is_told(stick: Stick, old: bytes, new: bytes, fact: str) -> None:
    stick.put(stick.replaced("DICOMDIR", old, new))
    assert by_kind(stick.view().records, "IMAGE")[2].facts == (fact,)


def test_another_instance_is_told(stick: Stick) -> None:
    one, two = (row.file_id.replace("\\", "/") for row in by_kind(stick.view().records, "IMAGE")[:2])
    stick.put({**stick.files, one: stick.files[two], two: stick.files[one]})
    facts = [row.facts for row in by_kind(stick.view().records, "IMAGE")]
    assert all("SOP Instance UID" in facts[n][0] for n in (0, 1))
    assert facts[2] == ()


def test_a_missing_file_an_inactive_record_and_a_lost_one_are_told(stick: Stick) -> None:
    rows = stick.view().records
    image = by_kind(rows, "IMAGE")[2]
    without = {name: data for name, data in stick.files.items() if name != image.file_id.replace("\\", "/")}
    directory = bytearray(without["DICOMDIR"])
    at = directory.index(b"\x04\x00\x10\x14US\x02\x00", by_kind(rows, "STUDY")[0].offset)
    directory[at + 8 : at + 10] = b"\0\0"
    stick.put({**without, "DICOMDIR": bytes(directory)})
    rows = stick.view().records
    assert by_kind(rows, "IMAGE")[2].facts == ("there is no such file on the medium",)
    assert "marked as not in use" in by_kind(rows, "STUDY")[0].facts
    # the second patient's record is led to by nothing
    at = directory.index(b"\x04\x00\x00\x14UL\x04\x00", rows[0].offset)
    directory[at + 8 : at + 12] = bytes(4)
    stick.put({**stick.files, "DICOMDIR": bytes(directory)})
    rows = stick.view().records
    lost = [row for row in rows if "no offset leads to it" in row.facts]
    assert ("PATIENT", "P2") in [(row.kind, dict(row.keys).get("Patient ID")) for row in lost]
    assert len(rows) == 9


def test_a_garbled_directory_has_rows_or_none_and_never_raises(stick: Stick) -> None:
    whole = stick.files["DICOMDIR"]
    for size in (0, 100, 132, 400, 700, len(whole) - 30):
        stick.put({**stick.files, "DICOMDIR": whole[:size]})
        assert len(stick.view().records) <= 9
    for step in range(400, len(whole), 97):
        garbled = bytearray(whole)
        garbled[step] ^= 0xFF
        stick.put({**stick.files, "DICOMDIR": bytes(garbled)})
        stick.view(red("R", "media/usb.img: DICOMDIR", offset=step))


def test_many_records_are_cut_and_the_red_ones_stay(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    last = by_kind(stick.view().records, "IMAGE")[-1].number
    monkeypatch.setattr(mediumrecords, "MAX_RECORDS", 5)
    found = stick.view(red("R", f"media/usb.img: DICOMDIR, IMAGE record {last}"))
    assert (len(found.records), found.more_records) == (5, 4)
    assert [row.kind for row in found.records] == ["PATIENT", "PATIENT", "STUDY", "SERIES", "IMAGE"]
    assert found.records[-1].number == last
    monkeypatch.setattr(mediumrecords, "LOOKED", 3)
    found = stick.view(red("R", f"media/usb.img: DICOMDIR, IMAGE record {last}"))
    assert found.records[-1].number == last
    assert len(found.records) + found.more_records == 9


def test_a_tree_is_cut_at_any_size() -> None:
    rows = [RecordRow(n, "X", depth, 0, ()) for n, depth in enumerate((0, 1, 2, 2, 1, 2, 0, 1, 2, 2))]
    for most in range(12):
        for first in range(10):
            kept = cut(rows, most, lambda row, first=first: row.number == first)  # type: ignore[misc]
            assert len(kept) <= most
            assert kept == sorted(kept, key=lambda row: row.number)
            if most > rows[first].depth:
                assert rows[first] in kept
            before = -1
            for row in kept:
                assert row.depth <= before + 1, "nothing stands without what it lies in"
                before = row.depth


def test_a_private_record_without_a_file_has_no_keys_to_miss(stick: Stick) -> None:
    stick.put(stick.replaced("DICOMDIR", b"PATIENT ", b"PRIVATE "))
    (private,) = by_kind(stick.view().records, "PRIVATE")
    assert private.keys == ()


def test_long_and_hidden_text_is_short_and_shown(stick: Stick) -> None:
    stick.put(stick.replaced("DICOMDIR", b"Roe^R", b"R\x1b\x07\x00R"))
    (_, patient) = by_kind(stick.view().records, "PATIENT")
    name = dict(patient.keys)["Name"]
    assert name is not None
    assert name.isprintable()
    assert len(mediumrecords._short("x" * 5000)) == mediumrecords.MAX_TEXT


def page(stick: Stick, *clauses: ClauseResult) -> str:
    """The body of a cell's page."""
    view = cell_view(stick.folder.parents[1], replace(cell(), clauses=clauses), 1)
    view.media = media_of(stick.folder, view.cell, ())
    template = environment().from_string(
        "{% from 'parts.html.j2' import cell_body with context %}{{ cell_body(view) }}"
    )
    return template.render(view=view, here="cell", up="../../", bare=False)


def test_the_page_shows_the_tree_escaped_and_marked(stick: Stick) -> None:
    image = by_kind(stick.view().records, "IMAGE")[2]
    path = image.file_id.replace("\\", "/")
    stick.put({name: data for name, data in stick.files.items() if name != path})
    text = page(stick, red("R-<1>", f"media/usb.img: DICOMDIR, IMAGE record {image.number}"))
    assert "<script>" not in text
    assert "Doe^&lt;script&gt;" in text
    assert "A&lt;1&gt;" in text
    assert image.file_id in text
    assert "R-&lt;1&gt;" in text
    assert text.count('<tr class="fail">') == 1
    row = text[text.index('<tr class="fail">') :].partition("</tr>")[0]
    assert f'<td class="num mono">{image.offset}</td>' in row
    assert "there is no such file on the medium" in row
    assert '<i class="faint">absent</i>' in text


def test_the_page_tells_what_it_leaves_out(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediumrecords, "MAX_RECORDS", 5)
    monkeypatch.setattr("bench.report.medium.MAX_FILES", 2)
    hashes = [red("R", f"media/usb.img: {name}") for name in stick.files]
    text = page(stick, *hashes)
    assert "4 more records are in it." in text
    assert "of them not as they should be" in text
