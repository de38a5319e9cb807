"""The listing beside a verdict: the elements around the one that is meant, bounded, never with pixels."""

from __future__ import annotations

from pathlib import Path

from bench import witness
from bench.judge.excerpt import AROUND, LONGEST, excerpt
from bench.witness.model import Message
from tests.lab.conversation import Lab
from tests.lab.elements import DataSet

DX = "1.2.840.10008.5.1.4.1.1.1.1"
LE = "1.2.840.10008.1.2.1"


def message(tmp_path: Path, **values: object) -> Message:
    lab = Lab()
    a = lab.associate(contexts=[(DX, [LE])])
    a.accept()
    data = DataSet(
        SpecificCharacterSet="ISO_IR 192",
        SOPInstanceUID="1.2.3",
        StudyDate="20261121",
        Modality="DX",
        PatientName="Müller^Jörg",
        PatientID="P1",
        PatientBirthDate=None,
        ReferencedStudySequence=[
            DataSet(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID="1.2.3.4"),
            DataSet(ReferencedSOPClassUID="1.2.5"),
        ],
        Rows=16,
        Columns=16,
        PixelData=bytes(512),
    )
    for keyword, value in values.items():
        data.put(keyword, value)
    a.request("C-STORE-RQ", data, sop_class=DX, sop_instance="1.2.3")
    a.respond()
    a.release()
    lab.write(tmp_path / "x.pcapng")
    return witness.read(tmp_path / "x.pcapng").associations[0].messages[0]


def marked(message: Message, tag: str | None, offset: int | None = None) -> list[tuple[str, str, int]]:
    return [(line.tag, line.value, line.depth) for line in excerpt(message, tag, offset) if line.marked]


def test_an_element_is_marked_among_its_neighbours(tmp_path: Path) -> None:
    """By tag, by keyword, and by its byte; decoded as its character set says."""
    one = message(tmp_path)
    lines = excerpt(one, "(0010,0010)", None)
    assert [line.keyword for line in lines if line.marked] == ["PatientName"]
    assert next(line.value for line in lines if line.marked) == "Müller^Jörg"
    assert len(lines) == 2 * AROUND + 1
    assert [line.offset for line in lines] == sorted(line.offset or 0 for line in lines)
    assert excerpt(one, "PatientName", None) == lines
    assert one.dataset is not None
    element = one.dataset.get("PatientName")
    assert element is not None
    assert excerpt(one, None, element.offset) == lines


def test_an_absent_element_is_shown_where_it_would_stand(tmp_path: Path) -> None:
    """Between its neighbours, with its name."""
    lines = excerpt(message(tmp_path), "(0010,0040)", None)
    at = next(i for i, line in enumerate(lines) if line.marked)
    assert (lines[at].keyword, lines[at].value) == ("PatientSex", "absent")
    assert lines[at - 1].keyword == "PatientBirthDate"
    assert lines[at - 1].value == "empty"


def test_elements_of_sequences_are_found(tmp_path: Path) -> None:
    """By path with item numbers, absent ones too; and by the byte alone."""
    one = message(tmp_path)
    assert marked(one, "(0008,1110)/(0008,1155)") == [("(0008,1155)", "1.2.3.4", 1)]
    assert marked(one, "ReferencedStudySequence.ReferencedSOPInstanceUID") == [("(0008,1155)", "1.2.3.4", 1)]
    assert marked(one, "(0008,1110)[2]/(0008,1150)") == [("(0008,1150)", "1.2.5", 1)]
    assert marked(one, "(0008,1110)[2]/(0008,1155)") == [("(0008,1155)", "absent", 1)]
    assert marked(one, "(0008,1110)[3]/(0008,1155)") == [("(0008,1110)", "2 items", 0)]
    assert marked(one, "(0008,1111)/(0008,1155)") == [("(0008,1111)", "absent", 0)]
    assert one.dataset is not None
    item = one.dataset.items("ReferencedStudySequence")[1]
    offset = item.elements[0].offset
    assert marked(one, "(0008,1110)[2]/(0008,1150)", offset) == [("(0008,1150)", "1.2.5", 1)]
    assert marked(one, None, offset) == [("(0008,1150)", "1.2.5", 1)]


def test_values_are_short_and_printable(tmp_path: Path) -> None:
    """Numbers are read, pixels never shown, and what is sent cannot act on a terminal."""
    one = message(tmp_path, PatientID="x" * 500, PatientName=b"\x1b[31mred\x07 ")
    lines = {line.keyword: line.value for line in excerpt(one, "PatientName", None)}
    assert lines["PatientID"] == "x" * (LONGEST - 1) + "…"
    assert lines["PatientName"].isprintable()
    last = {line.keyword: line.value for line in excerpt(one, "(7FE0,0010)", None)}
    assert last["Rows"] == "16"
    assert len(last["PixelData"]) <= LONGEST


def test_elements_of_the_command_are_shown(tmp_path: Path) -> None:
    """Group 0000 is the command set."""
    one = message(tmp_path)
    assert marked(one, "(0000,0110)")[0][0] == "(0000,0110)"
    assert marked(one, "(0000,0900)") == [("(0000,0900)", "absent", 0)]
    assert excerpt(one, None, None) == ()
    assert excerpt(one, "nonsense", None) == ()
